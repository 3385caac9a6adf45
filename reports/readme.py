"""What the README tells of a results file and of the claims beside it, put between marks, checked to be current."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reports import checks, figures, readers, tables, words
from reports.frame import Frame, settings
from suite.results import ResultsError

PLOT, CLAIMS = "headline.png", "verification.csv"  # beside the results file


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}:start -->", f"<!-- {name}:end -->"


def embedded(text: str, frame: Frame, file: Path) -> str:
    """The README `text` with the current headline, and with the claims if there are any. ResultsError unless the marks
    of each are there once, in order."""
    text = _between(text, marks("headline"), headline(frame, file))
    verification = file.with_name(CLAIMS)
    if not verification.exists():
        return text
    return _between(text, marks("claims"), claims(readers.from_verification(verification), verification))


def _between(text: str, ends: tuple[str, str], content: str) -> str:
    start, end = ends
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ResultsError(f"the README needs the line {start} once and the line {end} once after it; add them.")
    return f"{text.split(start)[0]}{start}\n{content}\n{end}{text.split(end)[1]}"


def headline(frame: Frame, file: Path) -> str:
    """The Markdown table of the first setting of the results, and where it was measured."""
    part = settings(frame)[0]
    where = f"Measured on {words.markdown(words.place(part))}; all rows: `{file.as_posix()}`."
    return f"{tables.headline(part).markdown()}\n\n{where}"


def claims(rows: Sequence[Mapping[str, str]], file: Path) -> str:
    """By library how many claims hold, and which do not."""
    real = [row for row in rows if not row["source"].startswith("control")]
    lines = ["| library | claims that hold | claims that fail, and what was measured |", "| --- | --- | --- |"]
    for name, version in dict.fromkeys((row["implementation"], row["version"]) for row in real):
        own = [row for row in real if row["implementation"] == name]
        failed = [row for row in own if row["verdict"] == "fails"]
        held = sum(row["verdict"] == "holds" for row in own)
        library = words.markdown(f"{name} {version}")
        lines.append(f"| {library} | {held} of {held + len(failed)} | {_failures(failed)} |")
    controls = [row for row in rows if row not in real]
    rejected = sum(row["verdict"] == "fails" for row in controls)
    told = f"{rejected} of {len(controls)} controls, which are false by construction, were rejected"
    return "\n".join(
        [*lines, "", f"[ ]: of joint confidence 95 % over all claims. {told}. All rows: `{file.as_posix()}`."]
    )


def _failures(rows: Sequence[Mapping[str, str]]) -> str:
    """Claim by claim."""
    by_claim: dict[str, list[str]] = {}
    for row in rows:
        measured, low, high = (float(row[column] or "nan") for column in ("measured", "low", "high"))
        told = words.number(measured) + ("" if low == high else words.interval(low, high))
        by_claim.setdefault(words.markdown(row["claim"]), []).append(words.markdown(f"{row['subject']}: {told}"))
    return "<br>".join(f"*{claim}*: {'; '.join(subjects)}" for claim, subjects in by_claim.items()) or "–"


def write(readme: Path, frame: Frame, file: Path) -> None:
    """Put the headline into `readme`, its plot beside the results `file`; made before any is written."""
    text = embedded(_read(readme), frame, file)
    try:
        plot = figures.headline(settings(frame)[0]).png()
    except figures.NoData as reason:
        raise ResultsError(f"{file}: {reason}") from None
    file.with_name(PLOT).write_bytes(plot)
    readme.write_text(text, encoding="utf-8")


def is_current(readme: Path, frame: Frame, file: Path) -> bool:
    """Whether the README says what the results say."""
    text = _read(readme)
    return embedded(text, frame, file) == text


def _read(readme: Path) -> str:
    if not readme.is_file():
        raise ResultsError(f"no {readme}; name the README to put the headline into.")
    return checks.text(readme)
