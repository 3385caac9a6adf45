"""A page for each question: what the rows say to it, in sentences, tables and figures."""

from collections.abc import Iterator, Sequence

from reports import claims as verified
from reports import figures, held_out, history, labels, long_times, marginals, power, tables, training, verification
from reports.data import Frame
from reports.site.content import Part, Section, Site
from reports.tables import Table

MOST = 200  # reasons, or failures, that a page lists
# The kinds of figures that answer a question; the page of the libraries has all others.
ERROR_AND_WORK = ("work_precision_strong", "strong_error", "work_precision_gradient", "evaluations")
GRADIENT, MEMORY = "gradient_error", "gradient_memory"
_MISSING = ("implementation", "measure", "problem", "method", "adjoint", "access")


def _figures(part: Part, *kinds: str) -> dict:
    """The pictures of these kinds, and why others of them are not there."""
    return {
        "pictures": [picture for kind in kinds for picture in part.pictures.get(kind, ())],
        "notes": [(name, why, "") for name, why in part.left_out.items() if name.startswith(kinds)],
    }


def _said(part: Part, *about: str) -> list[str]:
    return [part.said[name] for name in about if name in part.said]


def _table(frame: Frame, *measures: str, everything: bool = True) -> str:
    rows = frame[frame["measure"].isin(measures)] if measures else frame
    return tables.headline(rows, everything=everything).html() if len(rows) else ""


def library(site: Site) -> Iterator[Section]:
    """Which library for my framework?"""
    elsewhere = {*ERROR_AND_WORK, GRADIENT, MEMORY}
    kinds = [kind for kind in (*figures.FIGURES, "tools") if kind not in elsewhere]
    for part in site.parts:
        said = _said(part, "Solve", "Brownian motion", "By hand", "First call")
        yield Section("All of them", said, part.place, **_figures(part, *kinds))
        by = part.frame["framework"].str.partition(" ")[0]
        for name, rows in part.frame.groupby(by, sort=False):
            about = {"torch": "Gradient, PyTorch", "jax": "Gradient, JAX"}.get(str(name), "")
            text = [*_said(part, about), _versions(rows)]
            yield Section(str(name) or "no framework", text, part.place, _table(rows, everything=False))
    yield _not_measured(site.source.frame)


def _versions(rows: Frame) -> str:
    found = rows.loc[rows["status"] == "ok", ["implementation", "version", "framework"]].drop_duplicates()
    return "; ".join(" ".join(filter(None, row)) for row in found.itertuples(index=False)) + "."


def _not_measured(frame: Frame) -> Section:
    rows = frame[frame["status"] != "ok"].drop_duplicates([*_MISSING, "reason"])
    if rows.empty:
        return Section("Skipped and failed", ["Nothing was skipped, nothing failed."])
    notes = [
        (f"{row['status']}: {' '.join(labels.plain(row[c]) for c in _MISSING if row[c])}", row["reason"], "")
        for _, row in rows[:MOST].iterrows()
    ]
    more = [f"{len(rows)} of them, {MOST} here; the others are in the table of all rows."] * (len(rows) > MOST)
    return Section("Skipped and failed", more, notes=notes, noted="reasons")


def solver(site: Site) -> Iterator[Section]:
    """Which solver and adjoint?"""
    guide = ("guide.html#which-solver-and-which-adjoint", "Which solver and which adjoint: the guide's table by SDE")
    for part in site.parts:
        table = _table(part.frame, "strong_order", "nfe_drift", "nfe_drift_vjp")
        said = _said(part, "Accuracy")
        yield Section("Error and work", said, part.place, table, link=guide, **_figures(part, *ERROR_AND_WORK))


def trust(site: Site) -> Iterator[Section]:
    """How far can I trust the gradient?"""
    for part in site.parts:
        yield Section(
            "Against backpropagation",
            _said(part, "Exactness"),
            part.place,
            _table(part.frame, GRADIENT),
            link=("guide.html#what-exact-means-and-when-not-to-use-it", "What exact means, and when not to use it"),
            **_figures(part, GRADIENT),
        )
    if site.source.long_times is not None:
        table = long_times.table(site.source.long_times)
        plot = site.picture("long_times", long_times.figure(site.source.long_times), "Errors against the time span")
        yield Section("Over long times", table=table.html(), looks="", pictures=[plot])
    yield from _checked(site, ("gradient", "gradient order", "memory", "count"), "What was verified of gradients")


def memory(site: Site) -> Iterator[Section]:
    """What does memory cost?"""
    for part in site.parts:
        table = _table(part.frame, MEMORY)
        said = _said(part, "Memory")
        yield Section("Peak memory of a gradient", said, part.place, table, **_figures(part, MEMORY))
    yield from _checked(site, ("memory",), "What was verified of memory")


def trained(site: Site) -> Iterator[Section]:
    """How good are trained neural SDEs, and how soon?"""
    rows, real = training.of_last_run(site.source.frame), list(held_out.of_last_run(site.source.frame))
    if rows is None and not real:
        yield Section("Training", ["There are no trainings beside these results; nox -s train makes them."])
    if rows is not None:
        place = labels.place(rows)
        pictures = [site.picture("training", training.figure(rows))]
        if site.source.marginals is not None:
            pictures.append(site.picture("marginals", marginals.figure(site.source.marginals, rows)))
        yield Section("SDE-GANs", place=place, table=training.table(rows).html(), pictures=pictures)
        yield Section("As the paper's table has it", place=place, table=training.paper(rows).html(), looks="")
    for part in real:
        table = held_out.table(part)
        yield Section(f"On real data: {table.columns[0]}", place=labels.place(part), table=table.html(), looks="")


def _checked(site: Site, checks: Sequence[str], heading: str) -> Iterator[Section]:
    """How many claims of these checks hold, by library, and the pages of those that fail."""
    rows = [r for r in site.source.claims if verification.check_of(r) in checks and not verified.is_control(r)]
    rows = [r for r in rows if r["verdict"] not in verified.UNDECIDED]
    names = list(dict.fromkeys(r["implementation"] for r in rows))
    if not rows:
        return
    body = []
    for check in dict.fromkeys(map(verification.check_of, rows)):
        cells = []
        for name in names:
            own = [r["verdict"] for r in rows if (r["implementation"], verification.check_of(r)) == (name, check)]
            held = sum(verdict in ("holds", "exceeds") for verdict in own)
            cells.append((f"{held} of {len(own)}" if own else "–",))
        body.append(((check,), *cells))
    table = Table(("check: claims that hold", *names), tuple(body)).html()
    failing = [r for r in rows if r["verdict"] == "fails"]
    notes = [
        (f"{r['implementation']}: {r['subject']}", r["claim"], f"{verification.PAGES}/{verification.page_of(r)}")
        for r in failing[:MOST]
    ]
    link = (verification.PAGE, "Every claim, and each failure")
    yield Section(heading, table=table, looks="", notes=notes, noted="that fail", link=link)


def changes(site: Site) -> Iterator[Section]:
    """What changed over the commits?"""
    if site.source.history is None:
        yield Section("Over the commits", ["There is no history beside these results; nox -s history makes one."])
    else:
        yield _steps(site, site.source.history)
    frame, alarms = site.source.recording, site.source.alarms
    if frame is None or alarms is None:
        yield Section("What the gate can tell", ["Beside these results lies no recording of its alarms."])
        return
    said, shares = power.sentences(frame, alarms), power.shares(alarms)
    heads = ("called slower", *(f"{100 * d:g} % planted" if d else "nothing planted" for d in shares))
    body = tuple(((str(name),), *((f"{100 * x:.1f} %",) for x in row)) for name, row in shares.iterrows())
    picture = site.picture("power", power.figure(alarms, said))
    yield Section("What the gate can tell", said, table=Table(heads, body).html(), looks="", pictures=[picture])


def _steps(site: Site, frame: Frame) -> Section:
    found, pictures = [], []
    for number, (series, values, stepped) in enumerate(history.walked(frame), start=1):
        found += stepped
        if stepped:
            plot = history.figure(series, values, stepped)
            pictures.append(site.picture(f"history-{number}", plot))
    body = tuple(tuple((cell,) for cell in step.words()) for step in found)
    table = Table(history.HEADS, body).html() if body else ""
    said = [history.said(frame, found)]
    return Section("Over the commits", said, table=table, looks="", pictures=pictures)
