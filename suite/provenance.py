"""The provenance of a run: commit, machine, versions; and the name of the run, which follows from them."""

import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_COMMIT = "unknown"
_MEASURED = ("impls/sdegrad", "suite")  # a change here makes another run; a change of words does not


@dataclass(frozen=True)
class Context:
    """The columns that all rows of a run share. Two runs with the same name can be one: a run resumes by it."""

    commit: str
    dirty: bool
    machine: str
    threads: int
    run: str

    def known_by(self, more: str) -> str:
        """The name of the run of an implementation, of whose own sources `more` is the digest (`harness.source`)."""
        return digest(f"{self.run} {more}") if more else self.run


def digest(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def context(threads: int) -> Context:
    commit, dirty = git("rev-parse", "HEAD") or NO_COMMIT, bool(git("status", "--porcelain"))
    machine = _machine()
    return Context(commit, dirty, machine, threads, _digest(_MEASURED, commit, machine, str(threads)))


def code() -> str:
    """The name of what is measured and what measures it, whatever the machine."""
    return _digest(_MEASURED, git("rev-parse", "HEAD") or NO_COMMIT, platform.python_version())


def yardstick() -> str:
    """The name of what measures: the suite, the machine and the versions, whatever is measured."""
    return _digest(("suite",), _machine(), platform.python_version())


def _digest(tops: Iterable[str], *parts: str) -> str:
    """A digest of the code in these folders, of the installed versions, and of further parts."""
    pinned = re.findall(r"^[\w.-]+", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    found = hashlib.sha256()
    for part in (*parts, *(f"{name}=={installed(name)}" for name in pinned)):
        found.update(part.encode() + b"\0")
    for top in tops:
        for source in sorted((ROOT / top).rglob("*.py")):
            found.update(source.read_bytes())
    return found.hexdigest()[:12]


def installed(distribution: str) -> str:
    """The version of a distribution; empty if it is not there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def package_digest(name: str, distributions: Iterable[Distribution], package: str) -> str:
    """A digest of the code of a top-level package or module, and of the versions of what its distributions require."""
    digest = hashlib.sha256(name.encode())
    for distribution in distributions:
        for needed in (distribution.name, *(distribution.requires or ())):
            needed = re.split(r"[^\w.-]", needed, maxsplit=1)[0]
            digest.update(f"{needed}=={installed(needed)}".encode())
    for file in _files(package):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(package: str) -> list[Path]:
    """The code of a top-level package or module; nothing if there is none."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    folders = map(Path, spec.submodule_search_locations or ()) if spec else ()
    code = [f for folder in folders for f in sorted(folder.rglob("*")) if f.suffix in (".py", ".so", ".pyd")]
    return code or ([Path(spec.origin)] if spec and spec.origin else [])


def environment() -> dict[str, str]:
    """Environment variables with which git finds this repository or none, never one around it."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return rest | {"GIT_CEILING_DIRECTORIES": str(ROOT.parent)}


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def git(*arguments: str) -> str:
    """The output of git for this repository; empty where there is none, even inside another repository."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=environment())
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    parts = (_processor(), f"{os.cpu_count()} cores", f"{memory:.0f} GiB", *_accelerators())
    return ", ".join((*parts, f"{platform.system()} {platform.machine()}"))


def _accelerators() -> list[str]:
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    except (OSError, subprocess.CalledProcessError):
        return []


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
