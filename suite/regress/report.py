"""A comparison in words: as a table for a terminal, as Markdown for a job's summary or a comment, and as JSON."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from suite.regress.verdicts import ALPHA, UNTOLD, Finding, exit_code

ORDER = ("slower", "worse", "lost", *UNTOLD, "faster", "better", "new")


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.4g}" if abs(x) < 1e5 or x % 1 else f"{x:.0f}"


def _cells(f: Finding) -> tuple[str, ...]:
    detail = f.reason
    if f.ratio:
        detail = f"{f.ratio[0]:.3f}x [{f.ratio[1]:.3f}, {f.ratio[2]:.3f}] {detail}".rstrip()
    verdict = f"{f.verdict} (accepted)" if f.accepted else f.verdict
    return verdict, f.benchmark, _number(f.base), _number(f.head), detail


HEADS = ("verdict", "benchmark", "base", "HEAD", "HEAD / base, or why")


def sort(findings: Sequence[Finding]) -> list[Finding]:
    """The findings in order of importance: red ones first, unchanged ones last."""
    return sorted(findings, key=lambda f: ORDER.index(f.verdict) if f.verdict in ORDER else len(ORDER))


def sentence(base: str, findings: Sequence[Finding]) -> str:
    """The outcome of the comparison, in a sentence."""
    code, red = exit_code(findings), [f for f in findings if f.red]
    compared = sum(f.told for f in findings)
    if code == 1:
        return (
            f"HEAD is worse than {base} in {len(red)} of {compared + len(red) - sum(f.told for f in red)} benchmarks."
        )
    untold = [f for f in findings if f.verdict in UNTOLD]
    more = "; the same command with more --minutes goes on" if any("cannot" in f.verdict for f in untold) else ""
    if not compared:
        return f"Nothing could be compared with {base}, the table says why{more}."
    if untold:
        return f"Nothing is known to be worse than {base}, but {len(untold)} benchmarks tell nothing{more}."
    return f"HEAD is no worse than {base} in {compared} benchmarks."


def text(base: str, findings: Sequence[Finding]) -> str:
    """The table without what is the same, which is counted."""
    shown = [f for f in sort(findings) if f.verdict != "same"]
    rows = [HEADS, *map(_cells, shown)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(HEADS))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows] if shown else []
    same = len(findings) - len(shown)
    return "\n".join([*lines, *[f"{same} deterministic figures are the same."] * bool(same), sentence(base, findings)])


def markdown(base: str, findings: Sequence[Finding]) -> str:
    """The same as a page."""
    shown = [f for f in sort(findings) if f.verdict != "same"]
    lines = ["## Regressions", "", f"**{sentence(base, findings)}**", ""]
    if shown:
        lines += [f"| {' | '.join(row)} |" for row in (HEADS, ("---",) * len(HEADS), *map(_escaped, shown))] + [""]
    lines += [f"{len(findings) - len(shown)} deterministic figures are the same.", ""]
    lines += [f"Times: intervals that together miss with a probability of at most {100 * ALPHA:g} %.", ""]
    return "\n".join(lines)


def _escaped(f: Finding) -> tuple[str, ...]:
    return tuple(cell.replace("|", "\\|").replace("<", "&lt;") for cell in _cells(f))


def write(folder: Path, base: str, findings: Sequence[Finding]) -> Path:
    """Both files, and the summary of a job of GitHub; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / "regress.md"
    page.write_text(markdown(base, findings))
    if "GITHUB_STEP_SUMMARY" in os.environ:
        with Path(os.environ["GITHUB_STEP_SUMMARY"]).open("a") as summary:
            summary.write(markdown(base, findings))
    found = {"sentence": sentence(base, findings), "exit_code": exit_code(findings)}
    found |= {"findings": [asdict(f) for f in sort(findings)]}
    (folder / "regress.json").write_text(json.dumps(found, indent=1) + "\n")
    return page
