"""Tables as plain values, three ways to write one, and the headline: cost and accuracy of each library."""

import itertools
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape

from reports import labels
from reports.data import (
    CHOSEN,
    SIZE,
    STEPPING,
    Frame,
    groups,
    implementations,
    keys,
    measured,
    solvers,
    standalone,
    varying,
    work_columns,
)

Cell = tuple[str, ...]  # lines

# The method that the headline compares, where it was measured; gradient errors and evaluations are shown for all.
HEADLINE_METHOD = "reversible_heun"
MOST = 100  # works of a measure in the table
_WORDED = ("problem", "noise_type", "method", "access", *CHOSEN, *SIZE, "dt", "steps", "rtol", "dtype")


@dataclass(frozen=True)
class Table:
    """Cells are tuples of lines; the first column holds the work, the others one implementation each."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    def text(self, first: int = 40) -> str:
        """For the terminal: aligned columns, the first wrapped at `first` characters."""
        rows = [(tuple(textwrap.wrap(" ".join(row[0]), first)), *row[1:]) for row in self.rows]
        lines = [[(c,) for c in self.columns], *rows]
        widths = [max(len(line) for row in lines for line in row[k] or ("",)) for k in range(len(self.columns))]
        rule = "  ".join("-" * w for w in widths)
        head, *blocks = ("\n".join(_block(row, widths)) for row in lines)
        return "\n".join([head, rule, "\n\n".join(blocks), rule, self.note]).rstrip()

    def markdown(self) -> str:
        def line(cells: Iterable[Cell]) -> str:
            return "| " + " | ".join("<br>".join(map(labels.markdown, cell)) for cell in cells) + " |"

        head = [line((c,) for c in self.columns), "|" + " --- |" * len(self.columns)]
        body = [line(row) for row in self.rows]
        return "\n".join(head + body) + (f"\n\n{self.note}" if self.note else "")

    def html(self) -> str:
        head = "".join(f"<th>{escape(c)}</th>" for c in self.columns)
        body = "\n".join(
            "<tr>" + "".join(f"<td>{'<br>'.join(map(escape, cell))}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>{note}"


def _block(row: list[Cell] | tuple[Cell, ...], widths: list[int]) -> list[str]:
    depth = max(len(cell) for cell in row)
    padded = [(*cell, *[""] * (depth - len(cell))) for cell in row]
    return [
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in zip(*padded, strict=True)
    ]


def _most_steps(frame: Frame) -> Frame:
    columns = ["measure", *work_columns(*STEPPING, *CHOSEN)]
    return frame[frame["steps"] == frame.groupby(columns, dropna=False)["steps"].transform("max")]


def _largest(frame: Frame) -> Frame:
    columns = ["implementation", *work_columns(*STEPPING)]
    largest = frame.sort_values("value", kind="stable").drop_duplicates(columns, keep="last")
    return largest.sort_index().assign(dt=float("nan"), steps=float("nan"))


@dataclass(frozen=True)
class _Line:
    """One kind of row: the measure, what it is called, which rows are shown, and whether of all methods."""

    measure: str
    name: str
    pick: Callable[[Frame], Frame]
    every_method: bool = False


_LINES = (
    _Line("gradient_time", "gradient", standalone),
    _Line("solve_time", "solve", standalone),
    _Line("brownian_time", "Brownian motion", standalone),
    _Line("gradient_memory", "memory of a gradient", _most_steps),
    _Line("gradient_error", "gradient error, largest over all dt", _largest, every_method=True),
    _Line("strong_order", "strong order", lambda rows: rows),
)


def headline(frame: Frame, *, everything: bool = False, most: int = MOST) -> Table:
    """The table of one setting, with so many works of a measure at most. `everything`: all methods, not only reversible
    Heun, and bounds too.

    Where adjoints, or kinds of Brownian motion, differ in a row each cell names its own. What was timed beside an
    error is left to the figures.
    """
    frame = frame if everything else solvers(frame)
    names = implementations(frame)
    found = [*(_rows(frame, line, names, everything) for line in _LINES), _evaluations(frame, names)]
    rows = [row for of_measure in found for row in of_measure[:most]]
    note = "×: relative to sdegrad in the same framework, paired by round. [ ]: 95 % confidence interval."
    cut = max(map(len, found)) > most
    more = f" Of each measure {most} works are shown here, the others are in the results file." * cut
    return Table(("work", *names), tuple(rows), note + more)


def _rows(frame: Frame, line: _Line, names: list[str], everything: bool) -> list[tuple[Cell, ...]]:
    rows = frame[frame["measure"] == line.measure]
    if not (line.every_method or everything) and HEADLINE_METHOD in set(rows["method"]):
        # And, of a library that lacks it, what it was measured with instead.
        compared = rows["method"] == HEADLINE_METHOD
        rows = rows[
            compared | ~rows["implementation"].isin(rows[compared & (rows["status"] == "ok")]["implementation"])
        ]
    good, missing = line.pick(measured(rows, line.measure)), rows[rows["status"] != "ok"]
    worded = [*_WORDED, *varying(good, (c for c in work_columns() if c not in _WORDED))]
    columns = ["implementation", *work_columns()]
    ratios = measured(frame, f"{line.measure}_ratio").drop_duplicates(columns, keep="last")
    ratios = ratios[[*columns, "value", "low", "high"]]
    good = good.drop_duplicates(columns, keep="last").merge(ratios, on=columns, how="left", suffixes=("", "_ratio"))
    # Skipped and failed rows have no step size, the skipped no adjoint.
    known = work_columns(*STEPPING, *CHOSEN)
    why_not = dict(zip(keys(missing, ["implementation", *known]), missing["status"], strict=True))
    table = []
    for work, part in itertools.islice(groups(good, work_columns(*CHOSEN)), MOST + 1):
        # Plain values from here on: a frame for every cell would take most of the time of a report.
        own: dict[str, list[dict]] = {}
        for row in part.to_dict("records"):
            own.setdefault(row["implementation"], []).append(row)
        choices = {tuple(row[c] for c in CHOSEN) for rows in own.values() for row in rows}
        chosen = next(iter(choices)) if len(choices) == 1 else ("",) * len(CHOSEN)
        shared: dict = work | dict(zip(CHOSEN, chosen, strict=True))
        cells = [_cell(own[n], len(choices) > 1) if n in own else () for n in names]
        values = tuple(work[c] for c in known)
        reasons = [(why_not.get((n, *values), "–"),) for n in names]
        first = (f"{line.name}, {labels.work(shared, worded)}",)
        table.append((first, *(cell or why for cell, why in zip(cells, reasons, strict=True))))
    return table


def _cell(rows: Iterable[dict], name_choice: bool) -> Cell:
    lines: list[str] = []
    for r in rows:
        lines.append(labels.quantity(r["value"], r["unit"], r["low"], r["high"]))
        if r["value_ratio"] == r["value_ratio"] and not r["implementation"].startswith("sdegrad"):
            lines.append(f"{labels.number(r['value_ratio'])}×{labels.interval(r['low_ratio'], r['high_ratio'])}")
        if name_choice:
            lines.append(labels.work(r, CHOSEN))
    return tuple(lines)


def _evaluations(frame: Frame, names: list[str]) -> list[tuple[Cell, ...]]:
    """Evaluations of the drift per step, of a solve and of a gradient."""
    counts = measured(frame, "nfe_drift", "nfe_drift_vjp").drop_duplicates(
        ["implementation", "method", "adjoint", "measure"]
    )
    table = []
    for work, part in itertools.islice(groups(counts, ["method"]), MOST + 1):
        cells = [_count_cell(part[part["implementation"] == n]) for n in names]
        table.append(((f"drift evaluations per step, {labels.method(work['method'])}",), *cells))
    return table


def _count_cell(rows: Frame) -> Cell:
    lines = []
    for work, part in groups(rows, ["adjoint"]):
        counts = part.set_index("measure")["value"]
        evaluations = f"{counts.get('nfe_drift', 0.0):.3g}"
        vjps = f" + {counts.get('nfe_drift_vjp', 0.0):.3g} vjp, {work['adjoint']}" if work["adjoint"] else ""
        lines.append(f"{evaluations}{vjps or ', solve'}")
    return tuple(lines) or ("–",)
