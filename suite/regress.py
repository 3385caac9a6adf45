"""`python -m suite.regress [BASE]`: asv compares our own numbers at HEAD with a base commit, both built here.

Exit code 0: nothing got worse; 1: something did, by more than a fifth; 2: a benchmark failed or the input is wrong.
Times of a busy machine are worth nothing; `--bench track_` leaves them out, and what it compares is deterministic.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

from suite.provenance import ROOT, git

FACTOR = "1.2"


def commit(name: str) -> str | None:
    return git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="nox -s regress --", description="Did a commit make us slower or less accurate?"
    )
    parser.add_argument("base", nargs="?", default="HEAD~1", help="the commit to compare HEAD with (default: HEAD~1)")
    parser.add_argument("--bench", default=".", help="only the benchmarks that match this regular expression")
    given = parser.parse_args(arguments)
    base, head = commit(given.base), commit("HEAD")
    if head is None:
        print(
            f"error: {ROOT} is no git repository, so it has no commits to compare; clone the project instead.",
            file=sys.stderr,
        )
        return 2
    if base is None:
        print(
            f"error: {given.base!r} is no commit of this repository; name one that `git log` shows.",
            file=sys.stderr,
        )
        return 2
    if base == head:
        print(f"error: {given.base!r} is HEAD itself; name an earlier commit to compare with.", file=sys.stderr)
        return 2
    asv = (sys.executable, "-m", "asv")
    subprocess.run([*asv, "machine", "--yes"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    options = ["--interleave-rounds", "--factor", FACTOR, "--cpu-affinity", "0", "--bench", given.bench]
    code = subprocess.run([*asv, "continuous", *options, base, head], cwd=ROOT).returncode
    what, where = f"`{given.base}` ({base[:8]})", f"HEAD ({head[:8]})"
    if code == 0:
        print(f"Nothing at {where} is worse than at {what} by more than a fifth.")
    if code == 1:
        print(f"Worse at {where} than at {what} by more than a fifth: the lines marked + above.", file=sys.stderr)
    if code == 2:
        subprocess.run([*asv, "compare", "--factor", FACTOR, base, head], cwd=ROOT)
        print("error: a benchmark failed on one of the commits; see above.", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
