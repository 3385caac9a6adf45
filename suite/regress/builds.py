"""Commits, and a wheel of each in a folder of its own: both run in the one pinned environment, driven by today's suite.

Folders of all commits have names of the same length: the size of a process's environment alone can move its speed by
some per cent (Mytkowicz et al., Producing wrong data without doing anything obviously wrong, 2009).
"""

import errno
import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from suite.provenance import ROOT, environment, git

CACHE = ROOT / ".asv" / "regress"
DECIDES = ("impls", "suite", "pyproject.toml", "constraints.txt")  # what a result depends on
KEEP = 12  # builds; the oldest go


class Unusable(ValueError):
    """Two commits cannot be compared: why, and what to do, in a sentence."""


class NoBase(Unusable):
    """The base commit is not in this clone."""


def resolve(base: str) -> tuple[str, str]:
    """The full names of the base and of HEAD. Unusable, or NoBase, if they cannot be compared."""
    head = _commit("HEAD")
    if head is None:
        raise Unusable(f"{ROOT} is no git repository, so it has no commits to compare; clone the project instead.")
    found = _commit(base)
    if found is None:
        if git("rev-parse", "--is-shallow-repository") == "true":
            raise NoBase(f"{base!r} is not in this shallow clone; get it: git fetch --deepen=100, or --unshallow.")
        if _commit("HEAD~1") is None:
            raise NoBase(f"{base!r} is no commit of this repository, which has one alone; compare after the next.")
        raise Unusable(f"{base!r} is no commit of this repository; name one that `git log` shows.")
    if found == head:
        raise Unusable(f"{base!r} is HEAD itself; name an earlier commit to compare with.")
    check_clean()
    return found, head


def check_clean() -> None:
    changed = git("status", "--porcelain", "--", *DECIDES)
    if changed:
        names = ", ".join(line.split()[-1] for line in changed.splitlines()[:3])
        raise Unusable(f"there are changes that are in no commit ({names}); commit or stash them first.")


def _commit(name: str) -> str | None:
    return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}") or None


def build(commit: str, cache: Path = CACHE) -> Path:
    """The folder in which this commit's wheel is installed, made if need be. Unusable if it does not build."""
    folder = cache / "builds" / commit[:12]
    if folder.is_dir():
        folder.touch()
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as scratch:
        sources, wheels, target = (Path(scratch) / name for name in ("sources", "wheels", "target"))
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, env=environment())
        if archive.returncode:
            raise Unusable(f"git cannot give the files of {commit[:12]}: {_last(archive.stderr)}; try git fsck.")
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(sources, filter="data")
        _pip(commit, "wheel", "--no-build-isolation", "--wheel-dir", str(wheels), str(sources))
        _pip(commit, "install", "--target", str(target), *map(str, wheels.glob("*.whl")))
        target.rename(folder)
    for old in sorted(folder.parent.iterdir(), key=lambda f: f.stat().st_mtime)[:-KEEP]:
        shutil.rmtree(old)
    return folder


def _pip(commit: str, *command: str) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    done = subprocess.run([*pip, *command[:1], "--no-deps", *command[1:]], capture_output=True)
    if done.returncode:
        full = os.strerror(errno.ENOSPC)
        if full.encode() in done.stderr:
            raise OSError(errno.ENOSPC, full)
        raise Unusable(
            f"the commit {commit[:12]} does not build ({_last(done.stderr)}); name another, or mend it: pip wheel."
        )


def _last(output: bytes) -> str:
    """The last error, or else the last line, of what a program printed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line and not line.startswith("note:")]  # pip's notes are no errors
    return (errors or lines or ["it says nothing"])[-1][:200]
