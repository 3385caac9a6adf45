"""The parts of the README that come from a results file and those beside it, written between marks and checked."""

from pathlib import Path

from reports import (
    checks,
    claims,
    claims_table,
    figures,
    labels,
    long_times,
    paper,
    power,
    readers,
    sweeps,
    tables,
    training,
    verification,
)
from reports.data import SIZE, Frame, groups, measured, settings, tidy
from reports.plotting import Plot
from suite.results import ResultsError

# beside the results file
PLOT, CLAIMS, LONG, PAIRS = "headline.png", "verification.csv", "long_times.csv", "pairs.csv"
TRAINED, GRADIENTS = "train.csv", "long_gradients.csv"
THIRD, THIRD_CLAIMS = "third_party.csv", "third_party_verification.csv"
PAPER, ENSEMBLES = "paper.png", "paths_per_second.png"
MOST = 6  # works of a measure in the table


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
        text = _between(text, marks("claims"), claims_table.block(claims.read(checked), checked))
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
    return "\n\n".join([*parts, claims_table.table(claims.read(checked), checked)] if checked.exists() else parts)


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


def write(readme: Path, frame: Frame, file: Path) -> None:
    """Put the headline into `readme`, the plots beside the results `file`; all are made before any is written."""
    text = embedded(_read(readme), frame, file)
    plots = {PLOT: lambda: figures.headline(settings(frame)[0])}
    plots[PAPER] = lambda: paper.figure(_with_trainings(frame, file))
    if file.with_name(THIRD).exists():
        plots[ENSEMBLES] = lambda: _ensembles(file)
    rows = claims.read(file.with_name(CLAIMS)) if file.with_name(CLAIMS).exists() else []
    if rows:
        plots[claims_table.VERIFIED] = lambda: verification.overview(rows)
    gradients = file.with_name(GRADIENTS)
    if gradients.exists():
        plots[gradients.with_suffix(".png").name] = lambda: _long_gradients(gradients)
    row = claims_table.explained(rows)
    if row is not None:
        plots[claims_table.DEFECT] = lambda: verification.evidence(row)
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
