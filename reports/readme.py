"""The README's headline: table and plot from a results file, put between two marks, checked to be current."""

from pathlib import Path

from reports import figures, tables, words
from reports.frame import Frame, settings
from suite.results import ResultsError

START, END = "<!-- headline:start -->", "<!-- headline:end -->"
PLOT = "headline.png"  # beside the results file


def embedded(text: str, frame: Frame, file: Path) -> str:
    """The README `text` with the current headline. ResultsError unless each mark is there once, in order."""
    if text.count(START) != 1 or text.count(END) != 1 or text.index(START) > text.index(END):
        raise ResultsError(f"the README needs the line {START} once and the line {END} once after it; add them.")
    before, after = text.split(START)[0], text.split(END)[1]
    return f"{before}{START}\n{headline(frame, file)}\n{END}{after}"


def headline(frame: Frame, file: Path) -> str:
    """The Markdown table of the first setting of the results, and where it was measured."""
    part = settings(frame)[0]
    where = f"Measured on {words.place(part)}; all rows: `{file.as_posix()}`."
    return f"{tables.headline(part).markdown()}\n\n{where}"


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
    return readme.read_text(encoding="utf-8")
