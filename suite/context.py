"""Where and on what a run is made: commit, machine, versions; and the name of the run that follows from them."""

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_MEASURED = ("impls", "suite")  # a change here makes another run; a change of words does not


@dataclass(frozen=True)
class Context:
    """The columns that all rows of a run share. Two runs with the same name can be one: a run resumes by it."""

    commit: str
    dirty: bool
    machine: str
    threads: int
    run: str


def context(threads: int) -> Context:
    commit, dirty = _git("rev-parse", "HEAD") or "unknown", bool(_git("status", "--porcelain"))
    machine = _machine()
    versions = sorted(f"{d.name}=={d.version}" for d in distributions())
    digest = hashlib.sha256()
    for part in (commit, machine, str(threads), *versions):
        digest.update(part.encode() + b"\0")
    for top in _MEASURED:
        for source in sorted((ROOT / top).rglob("*.py")):
            digest.update(source.read_bytes())
    return Context(commit, dirty, machine, threads, digest.hexdigest()[:12])


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0
    parts = (_processor(), f"{os.cpu_count()} cores", f"{memory:.0f} GiB", *_accelerators())
    return ", ".join((*parts, f"{platform.system()} {platform.machine()}"))


def _accelerators() -> list[str]:
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    except (OSError, subprocess.CalledProcessError):
        return []


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
