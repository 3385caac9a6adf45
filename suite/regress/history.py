"""`python -m suite.regress.history`: our own figures over the commits, and the steps in them, as a page.

asv builds, measures and stores: a commit that it has at this machine is not measured again. The steps are those of
`asv.step_detect`; what is deterministic steps where it changes. Of a shallow clone, the commits that are there.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from suite.provenance import ROOT, environment, git
from suite.regress.__main__ import pattern_of, say
from suite.regress.builds import Unusable, check_clean
from suite.run import ASV, OUT

OURS = r"\W(sdegrad_torch|sdegrad_jax|diffrax_sdegrad)\W.*\Wcpu\W"  # implementation and device
DETERMINISTIC = r"track_(?!compile|import)"


def spread(commits: Sequence[str]) -> list[str]:
    """The ends first, then what halves the gaps: wherever it is interrupted, what there is spans all."""
    order, gap = [0, len(commits) - 1], 1 << len(commits).bit_length()
    while gap > 1:
        gap //= 2
        order += range(0, len(commits), gap)
    return [commits[k] for k in dict.fromkeys(order)]


def commits(most: int) -> list[str]:
    """The first parents up to HEAD that have something to build and changed it, the newest first."""
    return git("log", "--first-parent", f"--max-count={most}", "--format=%H", "--", "impls").split()


def measure(wanted: Sequence[str], pattern: str) -> int:
    """asv's exit code; what it has already is not measured again."""
    options = ("--skip-existing", "--bench", pattern, "HASHFILE:-")
    asv = [sys.executable, "-m", "asv", "run", *options]
    return subprocess.run(asv, cwd=ROOT, env=environment(), input="\n".join(wanted), text=True).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """0: the page is written; 2: there is nothing to show, or the input is wrong."""
    parser = argparse.ArgumentParser(prog="nox -s history --", description=__doc__)
    parser.add_argument("--bench", default=DETERMINISTIC, help="which of asv's benchmarks (default: no times)")
    parser.add_argument("--commits", type=int, default=50, help="at most so many, the newest (default: 50)")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, draw what asv has")
    parser.add_argument("--out", type=Path, default=OUT / "history")
    options = parser.parse_args(arguments)
    try:
        if options.commits < 1:
            raise Unusable(f"--commits must be at least 1, got {options.commits}.")
        if not options.page_only:
            pattern_of(options.bench)
            _measure_all(options.commits, rf"(?:{options.bench}).*{OURS}")
    except Unusable as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("interrupted; asv keeps what was measured, the same command goes on from here.")
        return 2
    page = (sys.executable, "-m", "reports.history", str(ASV), "--out", str(options.out))
    return subprocess.run(page, cwd=ROOT).returncode


def _measure_all(most: int, pattern: str) -> None:
    check_clean()
    wanted = commits(most)
    if not wanted:
        raise Unusable(f"{ROOT} has no commits of impls; run this in a clone of the repository.")
    subprocess.run([sys.executable, "-m", "asv", "machine", "--yes"], cwd=ROOT, stdout=subprocess.DEVNULL)
    for cache in (ROOT / ".asv" / "env").glob("*/asv-build-cache"):
        shutil.rmtree(cache)  # what a killed build leaves in it stops asv
    say(f"{len(wanted)} commits, the ends first; an interrupt loses the commit at work alone.")
    if measure(spread(wanted), pattern):
        say("not all was measured; asv says why above.")


if __name__ == "__main__":
    sys.exit(main())
