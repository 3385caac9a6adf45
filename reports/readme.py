"""The parts of the README that come from a results file and those beside it, written between marks and checked."""

from collections.abc import Sequence
from pathlib import Path

from reports import checks, figures, labels, long_times, power, readers, sweeps, tables, training, verification
from reports import claims as verified
from reports.claims import Row
from reports.data import SIZE, Frame, groups, measured, settings, tidy
from reports.plotting import Plot
from reports.site import paper
from suite.results import ResultsError

# beside the results file
PLOT, CLAIMS, LONG, PAIRS = "headline.png", "verification.csv", "long_times.csv", "pairs.csv"
TRAINED, GRADIENTS = "train.csv", "long_gradients.csv"
THIRD, THIRD_CLAIMS = "third_party.csv", "third_party_verification.csv"
VERIFIED, DEFECT, PAPER, ENSEMBLES = "verified.png", "defect.png", "paper.png", "paths_per_second.png"
MOST = 6  # works of a measure in the table
YES = "yes: "  # before what a program printed that reproduced a failure


def marks(name: str) -> tuple[str, str]:
    return f"<!-- {name}:start -->", f"<!-- {name}:end -->"


def embedded(text: str, frame: Frame, file: Path) -> str:
    """The README `text` with the current headline and the paper's claims, and with third-party libraries, the claims,
    the trainings, the gate's power, the very long gradients and the long solves if there are any.
    ResultsError unless the marks of each are there once, in order."""
    text = _between(text, marks("headline"), headline(frame, file))
    text = _between(text, marks("paper"), papers(frame, file))
    if file.with_name(THIRD).exists():
        text = _between(text, marks("third-party"), third_party(file))
    checked, long, pairs = (file.with_name(name) for name in (CLAIMS, LONG, PAIRS))
    if checked.exists():
        rows = verified.read(checked)
        text = _between(
            text, marks("claims"), "\n\n".join(filter(None, (claims(rows, checked), defect(rows, checked))))
        )
    if (trained := file.with_name(TRAINED)).exists():
        text = _between(text, marks("training"), trainings(trained))
    if (gradients := file.with_name(GRADIENTS)).exists():
        text = _between(text, marks("long-gradients"), long_gradients(gradients))
    if pairs.exists():
        text = _between(text, marks("power"), power.block(pairs))
    return _between(text, marks("long-times"), long_times.block(long)) if long.exists() else text


def _between(text: str, ends: tuple[str, str], content: str) -> str:
    start, end = ends
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ResultsError(f"the README needs the line {start} once and the line {end} once after it; add them.")
    return f"{text.split(start)[0]}{start}\n{content}\n{end}{text.split(end)[1]}"


def headline(frame: Frame, file: Path) -> str:
    """The Markdown table of the first setting of the results, what its ratio to torchsde consists of, and where it was
    measured."""
    part = settings(frame)[0]
    where = f"Measured on {labels.markdown(labels.place(part))}; all rows: `{file.as_posix()}`."
    return "\n\n".join(filter(None, (tables.headline(part, most=MOST).markdown(), _torchsde(part), where)))


# How torchsde may be run -> the noise and the step of such rows. Whole steps add up exactly in float32.
_TORCHSDE_RUNS = {
    "by default": {"noise_source": "own", "dt": 0.01},
    "told dt": {"noise_source": "own, told dt", "dt": 0.01},
    "at its best, in steps of 1,": {"noise_source": "own", "dt": 1.0},
}


def _torchsde(part: Frame) -> str:
    """Ratios of torchsde's gradient time to sdegrad's: by default, and where its arithmetic of times costs less."""
    rows = measured(part, "gradient_time_ratio")
    rows = rows[
        (rows["implementation"] == "torchsde") & (rows["method"] == tables.HEADLINE_METHOD) & (rows["compiled"] == "")
    ]
    sizes = []
    for size, of_size in groups(rows[rows["steps"] == 100], SIZE):
        ratios = {}
        for run, columns in _TORCHSDE_RUNS.items():
            found = of_size[(of_size["noise_source"] == columns["noise_source"]) & (of_size["dt"] == columns["dt"])]
            if len(found):
                last = found.iloc[-1]
                ratios[run] = f"{labels.number(last['value'])}×{labels.interval(last['low'], last['high'])}"
        if len(ratios) > 1:
            text = ", ".join(f"{run} {ratio}" for run, ratio in ratios.items())
            sizes.append(f"batch {size['batch']:.0f}, 100 steps: {text}")
    if not sizes:
        return ""
    return (
        "What the ratio to torchsde consists of: it adds up times in float32, where 0.01 is inexact and 1 is not, and "
        f"its Brownian motion pays for each time that is off. Gradient, {'; '.join(sizes)}."
    )


def papers(frame: Frame, file: Path) -> str:
    """What the paper claims beside what was measured, and the figure of its ratios."""
    picture = f"![Ratios of times, and what the paper reports at most]({file.with_name(PAPER).as_posix()})"
    return "\n\n".join((paper.table(_with_trainings(frame, file)).markdown(), picture))


def _with_trainings(frame: Frame, file: Path) -> Frame:
    """The first setting of the results, and the trainings beside them."""
    part, trained = settings(frame)[0], file.with_name(TRAINED)
    return paper.with_training(part, tidy(readers.from_results(trained))) if trained.exists() else part


def third_party(file: Path) -> str:
    """The figure of plain ensembles by all libraries, what is seen in it, and the claims of the third parties."""
    drawn, checked = _ensembles(file), file.with_name(THIRD_CLAIMS)
    picture = f"![Paths per second against their number, by library]({file.with_name(ENSEMBLES).as_posix()})"
    where = f"All rows: `{file.with_name(THIRD).as_posix()}`, and the others' beside it."
    parts = [picture, labels.markdown(drawn.caption), where]
    return "\n\n".join([*parts, _claimed(verified.read(checked), checked)] if checked.exists() else parts)


def _ensembles(file: Path) -> Plot:
    """Of the results and the third-party rows beside them."""
    both = [*readers.from_results(file.with_name(THIRD)), *readers.from_results(file)]
    frame = settings(tidy(both))[0]
    return sweeps.paths_per_second(sweeps.ensembles(measured(frame, "solve_time")), frame)


def trainings(file: Path) -> str:
    """The table of the trainings, the figure that was drawn of them last, and where they were made."""
    frame = training.load(file)
    where = f"Trained on {labels.markdown(labels.place(frame))}; all rows: `{file.as_posix()}`."
    picture = f"![Distance of the marginals against the seconds of training]({file.with_suffix('.png').as_posix()})"
    return "\n\n".join((training.table(frame).markdown(), picture, where))


def long_gradients(file: Path) -> str:
    """The figure of very long gradients, what is seen in it, and where they were computed."""
    drawn = _long_gradients(file)
    picture = f"![Memory, processor time and error against steps]({file.with_suffix('.png').as_posix()})"
    where = f"Measured on {labels.markdown(labels.place(drawn.rows))}; all rows: `{file.as_posix()}`."
    return "\n\n".join((picture, labels.markdown(drawn.caption), where))


def _long_gradients(file: Path) -> Plot:
    frame = tidy(readers.from_results(file))
    rows = measured(frame, "gradient_cpu_time")
    if rows.empty:
        raise ResultsError(f"{file} has no long gradients; take rows of `nox -s bench -- --full --kind long`.")
    return sweeps.long_gradients(rows, frame)


def claims(rows: Sequence[Row], file: Path) -> str:
    """How many claims of each library hold, as a table and as a figure."""
    picture = f"![Claims that hold, by check and library]({file.with_name(VERIFIED).as_posix()})"
    return f"{_claimed(rows, file)}\n\n{picture}"


def _claimed(rows: Sequence[Row], file: Path) -> str:
    """A table of how many claims of each library hold and, apart, how much of what theory says beyond them."""
    lines = [
        "| library | its claims that hold | beyond its claims: theory that holds | what fails, and what was measured |",
        "| --- | --- | --- | --- |",
    ]
    checked = [row for row in rows if not verified.is_control(row)]
    for name, version in dict.fromkeys((row["implementation"], row["version"]) for row in checked):
        own = [row for row in checked if row["implementation"] == name]
        claimed, theory = ([row for row in own if verified.kind(row) == kind] for kind in ("claim", "theory"))
        failures = "<br>".join(filter(None, (_failures(own, kind) for kind in _KINDS)))
        lines.append(
            f"| {labels.markdown(f'{name} {version}')} | {_held(claimed)} | {_held(theory)} | {failures or '–'} |"
        )
    controls = [row for row in rows if verified.is_control(row) and row["verdict"] != "unsupported"]
    right = sum(not verified.misjudged(row) for row in controls)
    failing = [row for row in checked if row["verdict"] == "fails"]
    shown = sum(row["reproduced"].startswith(YES) for row in failing)
    note = (
        "A claim is what a library says itself, quoted in its row with the place; theory is what others have proved. "
        f"[ ]: of joint confidence 99.9 % over all rows. {right} of {len(controls)} controls, true or false by "
        f"construction, were judged rightly. {shown} of {len(failing)} failures were reproduced by a program with the "
        f"library alone. All rows: `{file.as_posix()}`."
    )
    return "\n".join([*lines, "", note])


def defect(rows: Sequence[Row], file: Path) -> str:
    """One failure explained: what was claimed where, what was measured, and what the program says that shows it."""
    row = _explained(rows)
    if row is None:
        return ""
    library, subject = (labels.markdown(text) for text in (f"{row['implementation']} {row['version']}", row["subject"]))
    return "\n\n".join(
        (
            f"**One of the failures.** {library}, {subject}: *{labels.markdown(row['claim'])}*, by "
            f"{labels.markdown(row['source'])}. Measured: {verified.measured(row)}.",
            f"![Error against step size, with the claimed slope]({file.with_name(DEFECT).as_posix()})",
            f"A program shows it with the library alone, and is run with the verification. What it is about: "
            f"*{labels.markdown(verified.first_words(row))}* What it printed: "
            f"*{labels.markdown(row['reproduced'].removeprefix(YES))}*.",
        )
    )


def _explained(rows: Sequence[Row]) -> Row | None:
    """The first failure that a program reproduces and a curve shows; one of strong order, if there is any."""
    found = [row for row in rows if row["verdict"] == "fails" and not verified.is_control(row) and row["curve"]]
    found = [row for row in found if row["reproduced"].startswith(YES)]
    return min(found, key=lambda row: row["check"] != "order", default=None)


# The kinds of rows beside controls -> the words before one that fails.
_KINDS = {"claim": "", "theory": "theory, not claimed: "}


def _held(rows: Sequence[Row]) -> str:
    verdicts = [row["verdict"] for row in rows if row["verdict"] not in verified.UNDECIDED]
    open_ones = verdicts.count("inconclusive")
    text = f"{verdicts.count('holds') + verdicts.count('exceeds')} of {len(verdicts)}" if verdicts else "–"
    return text + f", {open_ones} inconclusive" * (open_ones > 0)


def _failures(rows: Sequence[Row], kind: str) -> str:
    """The rows of this kind that fail, claim by claim."""
    by_claim: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] == "fails" and verified.kind(row) == kind:
            failure = labels.markdown(_shown(row))
            by_claim.setdefault(labels.markdown(row["claim"]), []).append(failure)
    return "<br>".join(f"{_KINDS[kind]}*{claim}*: {'; '.join(subjects)}" for claim, subjects in by_claim.items())


def _shown(row: Row) -> str:
    """The subject, with its number where that has an interval, or why there is none."""
    told = not row["measured"] or row["low"] != row["high"]
    return f"{row['subject']}: {verified.measured(row)}" if told else row["subject"]


def write(readme: Path, frame: Frame, file: Path) -> None:
    """Put the headline into `readme`, the plots beside the results `file`; all are made before any is written."""
    text = embedded(_read(readme), frame, file)
    plots = {PLOT: lambda: figures.headline(settings(frame)[0])}
    plots[PAPER] = lambda: paper.figure(_with_trainings(frame, file))
    if file.with_name(THIRD).exists():
        plots[ENSEMBLES] = lambda: _ensembles(file)
    rows = verified.read(file.with_name(CLAIMS)) if file.with_name(CLAIMS).exists() else []
    if rows:
        plots[VERIFIED] = lambda: verification.overview(rows)
    gradients = file.with_name(GRADIENTS)
    if gradients.exists():
        plots[gradients.with_suffix(".png").name] = lambda: _long_gradients(gradients)
    row = _explained(rows)
    if row is not None:
        plots[DEFECT] = lambda: verification.evidence(row)
    try:
        made = {name: plot().png() for name, plot in plots.items()}
    except figures.NoData as reason:
        raise ResultsError(f"{file}: {reason}") from None
    for name, plot in made.items():
        file.with_name(name).write_bytes(plot)
    readme.write_text(text, encoding="utf-8")


def is_current(readme: Path, frame: Frame, file: Path) -> bool:
    """Whether the README says what the results say."""
    text = _read(readme)
    return embedded(text, frame, file) == text


def _read(readme: Path) -> str:
    if not readme.is_file():
        raise ResultsError(f"no {readme}; name the README to put the headline into.")
    return checks.text(readme)
