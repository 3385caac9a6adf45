"""From a results file to tables, figures, page and README. All values are synthetic, see synthetic.py."""

import contextlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from reports import accuracy, claims_table, figures, labels, readme, tables
from reports.__main__ import main
from reports.data import apart, implementations, join, measured, settings, standalone, tidy, work_columns
from reports.plotting import NoData
from suite import results
from suite.cases import CASES
from suite.goals import GOALS, goal
from suite.harness import main_measure, taking_part
from tests.reports.synthetic import DTS, FRAMEWORKS, GBM, METHODS, bench, row

START, END = readme.marks("headline")
PAPER = "\n".join(readme.marks("paper"))


@pytest.fixture(scope="module")
def frame(rows):
    return settings(tidy(rows))[0]


@pytest.fixture(scope="module")
def written(rows, tmp_path_factory):
    """The folder of a report of everything, what the command printed, and what `figures.draw` returned to it."""
    folder, drawn, draw = tmp_path_factory.mktemp("report"), [], figures.draw
    results.write(folder / "results.csv", rows)
    with pytest.MonkeyPatch.context() as m, contextlib.redirect_stdout(io.StringIO()) as printed:
        m.setattr(figures, "draw", lambda frame: drawn.append(draw(frame)) or drawn[-1])
        assert main([str(folder / "results.csv"), "--out", str(folder)]) == 0
    (only,) = drawn
    return folder, printed.getvalue(), only


@pytest.fixture(scope="module")
def drawn(written):
    return written[2]


# Frame


@pytest.mark.slow
def test_numbers_are_numbers_and_the_last_row_counts():
    frame = tidy([row("diffrax", "solve_time", 1.0, batch=3), row("diffrax", "solve_time", 2.0, batch=3)])
    assert frame["value"].tolist() == [2.0]
    assert frame["batch"].tolist() == [3.0]
    assert frame["dt"].isna().all()


def test_settings_are_kept_apart_and_of_runs_the_last_counts():
    rows = [row("diffrax", "solve_time", 1.0), row("diffrax", "solve_time", 2.0, run="r2")]
    rows += [row("diffrax", "solve_time", 3.0, device="cuda"), row("diffrax", "solve_time", 9.0, tool="asv")]
    assert [part["value"].tolist() for part in settings(tidy(rows))] == [[2.0], [3.0]]


def test_other_tools_stand_in_where_the_bench_has_not_run():
    (part,) = settings(tidy([row("diffrax", "solve_time", 9.0, tool="asv")]))
    assert part["value"].tolist() == [9.0]


def test_known_implementations_come_first():
    rows = [row(name, "solve_time", 1.0) for name in ("mine", "diffrax", "sdegrad_torch")]
    assert implementations(tidy(rows)) == ["sdegrad_torch", "diffrax", "mine"]


def test_join_is_strict_about_the_work():
    work = {"method": "heun", "dt": 0.5, "dtype": "float64"}
    errors = tidy([row("diffrax", "strong_error", 0.1, **work)])
    same, other = (row("diffrax", "solve_time", 2.0, **work | {"dtype": d}) for d in ("float64", "float32"))
    assert join(errors, tidy([same]))["cost"].tolist() == [2.0]
    assert join(errors, tidy([other])).empty


def test_apart_names_no_more_columns_than_needed():
    frame = tidy([row("diffrax", "solve_time", 1.0, problem=p, batch=b, dim=b) for p, b in (("a", 1), ("b", 2))])
    assert apart(frame, work_columns()) == ["problem"]
    assert apart(frame, ("dtype",)) == []


# Words


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((0.0123, "s", 0.0121, 0.0126), "12.3 ms [12.1, 12.6]"),
        ((1.5e-5, "s"), "15.0 µs"),
        ((3 * 2**20, "B"), "3.00 MiB"),
        ((3.4e-16, "1"), "3.4e-16"),
        ((0.0, "1"), "0"),
        ((1.012, "1", 0.98, 1.04), "1.01 [0.980, 1.04]"),
    ],
)
def test_quantities_in_words(arguments, text):
    assert labels.quantity(*arguments) == text


def test_work_in_words():
    given = {
        "problem": "mlp",
        "hidden": 32.0,
        "method": "reversible_heun",
        "noise_type": "diagonal",
        "noise_dim": 4.0,
    }
    given |= {
        "batch": 128.0,
        "dt": 0.01,
        "steps": 100.0,
        "adjoint": "",
        "rtol": float("nan"),
        "dtype": "float32",
    }
    text = "neural SDE mlp, hidden 32, reversible Heun, batch 128, 100 steps of 0.01, float32"
    assert labels.work(given, given) == text
    assert labels.work(given | {"noise_type": "general"}, ["noise_type", "noise_dim"]) == "general noise, noise dim 4"


# Tables


def test_headline_has_each_figure_and_its_ratio(frame):
    table = tables.headline(frame)
    assert table.columns == ("work", *FRAMEWORKS)
    cells = {r[0][0]: r[1:] for r in table.rows}
    work = "neural SDE mlp, reversible Heun, batch 128, dim 16, hidden 32, 100 steps of 0.01, float32"
    ours, torchsde, _, diffrax = cells[f"gradient, {work}"]
    assert re.fullmatch(r"\S+ ms \[\S+, \S+\]", ours[0])
    assert ours[1:] == ("reversible adjoint",)
    assert re.fullmatch(r"\d\.\d\d× \[\d\.\d\d, \d\.\d\d\]", torchsde[1])
    assert diffrax[-1] == "checkpoint adjoint"
    midpoint = next(c for w, c in cells.items() if w.startswith("gradient error") and "midpoint" in w)
    assert midpoint[-1] == ("skipped",)
    assert [w for w in cells if w.startswith("strong order")] == [
        "strong order, gbm, reversible Heun, batch 4096, dim 1, float64"
    ]
    assert cells["drift evaluations per step, reversible Heun"][0] == ("2 + 1 vjp, reversible", "1, solve")


def test_gradient_error_in_the_headline_is_the_largest_over_dt(frame):
    errors = measured(frame, "gradient_error")
    mine = errors[(errors["implementation"] == "torchsde") & (errors["method"] == "heun")]
    cell = next(r for r in tables.headline(frame).rows if "gradient error" in r[0][0] and " Heun" in r[0][0])[2]
    assert cell == (labels.number(mine["value"].max()),)


def test_times_beside_an_error_are_not_in_the_headline(frame):
    assert not any(r[0][0].startswith(("solve, gbm", "gradient, neural SDE,")) for r in tables.headline(frame).rows)
    assert len(standalone(frame)) < len(frame)


def test_everything_shows_the_methods_that_the_headline_leaves_out(frame):
    orders = [r for r in tables.headline(frame, everything=True).rows if r[0][0].startswith("strong order")]
    assert len(orders) == len(METHODS)


def test_one_table_three_ways():
    table = tables.Table(("work", "a|b"), ((("solve, <small>",), ("1 ms", "2×")), (("other",), ("–",))), "note")
    lines = ["work            a|b", "--------------  ----", "solve, <small>  1 ms", "                2×"]
    assert table.text() == "\n".join([*lines, "", "other           –", "--------------  ----", "note"])
    assert "| work | a&#124;b |\n| --- | --- |\n| solve, &#60;small&#62; | 1 ms<br>2× |" in table.markdown()
    assert "<td>solve, &lt;small&gt;</td><td>1 ms<br>2×</td>" in table.html()


# Figures


# Those of sweeps have rows and tests of their own, in test_sweeps.py.
SWEEPS = ("long_gradients", "work_precision_weak", "weak_error_time", "paths_per_second")
FIGURES = [name for name in figures.FIGURES if name not in SWEEPS]


@pytest.mark.slow
def test_every_figure_is_drawn(drawn):
    plots, left_out = drawn
    assert set(plots) == set(FIGURES)
    assert set(left_out) == set(SWEEPS)


def test_rows_of_several_commits_name_them_all():
    row = {"machine": "a machine", "device": "cpu", "threads": 2.0, "dirty": "False"}
    older = row | {"time": "2026-01-01T00:00:00", "commit": "1" * 40}
    newer = row | {"time": "2026-01-02T00:00:00", "commit": "2" * 40, "dirty": "True"}
    expected = "a machine, cpu, 2 threads, 2026-01-02, commits 11111111 and 22222222 with changes"
    assert labels.place(pd.DataFrame([newer, older, older])) == expected
    assert labels.place(pd.DataFrame([older])).endswith("2026-01-01, commit 11111111")


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_a_picture_with_a_caption(written, name):
    folder, _, (plots, _) = written
    plot = plots[name]
    png, svg = ((folder / "figures" / f"{name}.{kind}").read_bytes() for kind in ("png", "svg"))
    assert png.startswith(b"\x89PNG")
    assert len(png) > 20_000
    assert svg.endswith(b"</svg>\n")
    assert re.search(r"\d.*\.$", plot.caption)
    assert plot.figure.dpi >= 150
    assert any("commit 01234567" in text.get_text() for text in plot.figure.texts)
    for axes in plot.figure.axes:
        assert axes.has_data()
        assert axes.get_xlabel() or axes.get_xticklabels()


def test_the_same_rows_give_the_same_picture(drawn, frame):
    again, _ = figures.draw(frame[frame["measure"] == "gradient_memory"])
    assert again["gradient_memory"].svg() == drawn[0]["gradient_memory"].svg()


def _lines(axes):
    """The series of an axes: its lines with markers."""
    return [line for line in axes.get_lines() if line.get_marker() not in ("None", "", None)]


def test_gradient_error_has_a_panel_for_each_implementation_and_a_line_for_each_method(drawn):
    panels = drawn[0]["gradient_error"].figure.axes
    assert [axes.get_title("left") for axes in panels] == list(FRAMEWORKS)
    assert [len(_lines(axes)) for axes in panels] == [3, 3, 3, 2]
    assert all(len(line.get_xdata()) == len(DTS) for axes in panels for line in _lines(axes))
    assert min(line.get_ydata().min() for line in _lines(panels[0])) == 1e-18  # an exact zero is still seen


def test_strong_error_names_the_fitted_orders(drawn, frame):
    panels = drawn[0]["strong_error"].figure.axes
    assert [axes.get_title("left") for axes in panels] == ["midpoint", "Heun", "reversible Heun"]
    order = measured(frame, "strong_order").query("implementation == 'diffrax' and method == 'heun'").iloc[0]
    labels = panels[1].texts[-1].get_text().splitlines()
    assert f"diffrax {order['value']:.2f} [{order['low']:.2f}, {order['high']:.2f}]" in labels


@pytest.mark.parametrize("name", ["work_precision_gradient", "work_precision_strong"])
def test_work_precision_has_time_and_evaluations(drawn, name):
    by_time, by_count = drawn[0][name].figure.axes
    assert len(_lines(by_time)) == len(_lines(by_count)) == 11  # 4 x 3, less what diffrax skips
    costs = [line.get_xdata() for line in _lines(by_count)]
    assert {round(c.max() / c.min()) for c in costs} == {1024 if name.endswith("gradient") else 256}


def test_colour_means_the_same_everywhere(drawn):
    seen = {}
    for name in ("gradient_time", "gradient_memory", "work_precision_strong"):
        (legend,) = drawn[0][name].figure.legends
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            assert isinstance(handle, Line2D)
            seen.setdefault(text.get_text(), set()).add(to_hex(handle.get_color()))
    assert all(len(looks) == 1 for looks in seen.values())
    assert len({looks.copy().pop() for name, looks in seen.items() if name in FRAMEWORKS}) == 4


def test_ratios_carry_their_number_and_their_goal(drawn, frame):
    """A point at every ratio, its number beside it, and where there is a goal its mark; the caption counts them."""
    plot = drawn[0]["gradient_time_ratio"]
    (axes,) = plot.figure.axes
    ratios = measured(frame, "gradient_time_ratio")
    assert {text.get_text() for text in axes.texts} == {f"{labels.number(v)}×" for v in ratios["value"]}
    goals = [goal(row) for _, row in ratios.iterrows()]
    marks = [g for g in goals if g]
    points = [x for dots in axes.collections if isinstance(dots, PathCollection) for x, _ in dots.get_offsets()]
    assert sorted(points) == pytest.approx(sorted([*ratios["value"], *marks]))
    reached = sum(v >= g for v, g in zip(ratios["value"], goals, strict=True) if g)
    assert f"{reached} of {len(marks)} goals reached" in plot.caption
    assert 0 < reached < len(marks)


def test_goals_are_for_their_work_only(frame):
    ratios = measured(frame, "gradient_time_ratio")
    row = ratios[(ratios["implementation"] == "torchsde") & (ratios["batch"] == 1)].iloc[0]
    assert goal(row) == 25
    for column, value in {"compiled": "compiled", "rtol": 0.01, "steps": 1000.0, "implementation": "mine"}.items():
        assert goal(row.to_dict() | {column: value}) is None
    assert goal(row.to_dict() | {"dt": 1.0, "compiled": "compiled"}) == 15


def test_every_goal_is_for_a_case_of_the_suite():
    """A goal that no case measures would never be seen missed."""
    for measure, implementation, work, ratios in GOALS:
        for batch in ratios:
            assert any(
                main_measure(case) == measure.removesuffix("_ratio")
                and implementation in taking_part(case)
                and case.sizes.get("paths") == batch
                and all(_column(case, column) == value for column, value in work.items())
                for case in CASES
            ), (measure, implementation, work, batch)


def _column(case, column):
    columns = {
        "method": case.method,
        "access": case.access,
        "problem": case.problem,
        "rtol": case.rtol,
        "dt": case.dts[0],
    }
    columns |= {"noise_source": case.noise_source, "compiled": "compiled" if case.compiled else ""}
    return columns[column] if column in columns else round(case.t1 / case.dts[0])


def test_sizes_are_drawn_where_there_are_two(drawn, frame):
    """A point of one size is no curve: it is left to the tables, and the figure with it if nothing else is there."""
    plot = drawn[0]["gradient_time"]
    assert [axes.get_title("left") for axes in plot.figure.axes] == ["reversible Heun"]
    _, left_out = figures.draw(frame[(frame["measure"] == "solve_time") & (frame["batch"] == 128)])
    assert left_out["solve_time"] == "no work was measured at two sizes or more."


@pytest.mark.slow
def test_several_problems_give_several_figures():
    rows = [r | {"problem": p} for r in bench() if r["measure"] == "gradient_error" for p in ("neural", "mlp_scalar")]
    plots, _ = figures.draw(tidy(rows))
    assert set(plots) == {"gradient_error-neural", "gradient_error-mlp_scalar"}


def test_a_figure_without_data_is_left_out_with_the_reason():
    plots, left_out = figures.draw(
        tidy([row("mine", "strong_error", 0.1 * dt, method="new", dt=dt) for dt in (0.5, 0.25)])
    )
    assert set(plots) == {"strong_error"}
    assert set(left_out) == set(figures.FIGURES) - set(plots)
    assert left_out["gradient_memory"].startswith("no gradient_memory")
    assert "evaluations" in left_out["work_precision_strong"]


@pytest.mark.slow
def test_headline_figure_needs_its_rows(frame):
    assert len(figures.headline(frame).figure.axes) == 2
    with pytest.raises(NoData, match="gradient_time_ratio"):
        figures.headline(frame[frame["measure"] != "gradient_time_ratio"])


# Page


class _Page(HTMLParser):
    """What the page asks of others, and whether its tags close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.images, self.rows = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links += [given[a] for a in ("src", "href") if a in given]
        self.images += [given["src"]] if tag == "img" else []
        self.rows += tag == "tr"
        assert tag not in ("link", "iframe")
        if tag not in ("meta", "img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_report_is_one_self_contained_page(written, rows):
    out, printed, _ = written
    text = (out / "index.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert page.open == []
    assert not [link for link in page.links if not link.startswith(("data:image/svg+xml;base64,", "figures/"))]
    assert not re.search(r"(src|href|url|import)\s*[=(]\s*[\"']?(https?:)?//", text)
    assert len(page.images) == len(FIGURES)
    assert page.rows > len(results.latest(rows))
    assert "diffrax does not do this." in text
    assert "<b>no</b>" not in text
    assert "&lt;b&gt;no&lt;/b&gt; &amp; never" in text
    for name in FIGURES:
        assert (out / "figures" / f"{name}.png").is_file()
        assert (out / "figures" / f"{name}.svg").is_file()
    assert "drift evaluations per step" in printed
    assert str(out / "index.html") in printed


@pytest.mark.slow
def test_two_devices_have_two_parts(tmp_path):
    rows = [row("diffrax", "gradient_memory", 1e6, steps=s, device=d) for s in (1, 2) for d in ("cpu", "cuda")]
    results.write(tmp_path / "results.csv", rows)
    assert main([str(tmp_path / "results.csv"), "--out", str(tmp_path)]) == 0
    names = {f.name for f in (tmp_path / "figures").iterdir()}
    assert names == {f"gradient_memory{k}.{kind}" for k in ("", "-2") for kind in ("png", "svg")}


def _spoil(text, how):
    lines = text.splitlines(keepends=True)
    return {
        "cut off": text[:-40],
        "other schema": lines[0] + "".join("0" + line[1:] for line in lines[1:]),
        "other columns": "a,b\n1,2\n",
        "no rows": lines[0],
    }[how]


@pytest.mark.parametrize("how", ["missing", "cut off", "other schema", "other columns", "no rows"])
def test_a_file_that_cannot_be_used_is_one_line_and_overwrites_nothing(file, tmp_path, capsys, how):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("before")
    if how == "missing":
        file.unlink()
    else:
        file.write_text(_spoil(file.read_text(encoding="utf-8"), how), encoding="utf-8")
    assert main([str(file), "--out", str(out)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert (out / "index.html").read_text() == "before"
    assert not (out / "figures").exists()


# README


@pytest.mark.slow
def test_readme_is_embedded_once_and_checked(file, tmp_path, capsys):
    target = tmp_path / "README.md"
    target.write_text(f"{PAPER}\nbefore\n{START}\nold\n{END}\nafter\n", encoding="utf-8")
    arguments = ["--readme", str(target), "--results", str(file)]
    assert main([*arguments, "--check"]) == 1
    assert "old" in target.read_text(encoding="utf-8")
    assert not (tmp_path / readme.PLOT).exists()
    assert main(arguments) == 0
    first = target.read_text(encoding="utf-8")
    assert f"\nbefore\n{START}\n| work | sdegrad_torch |" in first
    claims = first.split(PAPER.partition("\n")[0])[1]
    assert claims.startswith("\n| the paper | what is compared | here |\n")
    assert "| gradients with almost zero error | relative L1 distance to backpropagation | " in claims
    assert (tmp_path / readme.PAPER).read_bytes().startswith(b"\x89PNG")
    assert first.endswith(f"{END}\nafter\n")
    assert "Measured on Processor X" in first
    assert (tmp_path / readme.PLOT).read_bytes().startswith(b"\x89PNG")
    assert main(arguments) == 0
    assert target.read_text(encoding="utf-8") == first
    assert main([*arguments, "--check"]) == 0
    target.write_text(first.replace("ms", "s", 1), encoding="utf-8")
    assert main([*arguments, "--check"]) == 1


@pytest.mark.parametrize("text", ["no marks", f"{END}\n{START}", f"{START * 2}{END}"])
def test_readme_without_its_marks_is_refused(file, tmp_path, capsys, text):
    target = tmp_path / "README.md"
    target.write_text(text, encoding="utf-8")
    assert main(["--readme", str(target), "--results", str(file)]) == 2
    assert "headline:start" in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == text


VERIFICATION = (
    "implementation,version,subject,claim,source,expected,measured,low,high,verdict,reason\n"
    "somebody,1,a method,strong order 1,claim: a page,1.0,0.503,0.49,0.51,fails,\n"
    "somebody,1,another method,strong order 1,claim: a page,1.0,1.0,0.9,1.1,holds,\n"
    "somebody,1,a third,strong order 1,claim: a page,,,,,unsupported,it has none\n"
    "somebody,1,a fourth,strong order 1,claim: a page,1.0,1.0,0.9,1.1,inconclusive,\n"
    "somebody,1,a method,strong order 2,theory: a paper (1999),2.0,0.503,0.49,0.51,fails,\n"
    "somebody,1,a fifth,strong order 2,theory: a paper (1999),,,,,fails,KeyError: 'it broke'\n"
    "somebody,1,scaled,strong order 1,control: false by construction,1.0,0.1,0.09,0.11,fails,\n"
    "somebody,1,shifted,strong order 1,control: false by construction,,,,,inconclusive,it crashed\n"
)


@pytest.mark.slow
def test_readme_tells_the_claims_beside_the_results(file, tmp_path):
    results_file, target = tmp_path / file.name, tmp_path / "README.md"
    results_file.write_bytes(file.read_bytes())
    (tmp_path / readme.CLAIMS).write_text(VERIFICATION)
    arguments = ["--readme", str(target), "--results", str(results_file)]
    target.write_text(f"{START}\n{END}\n{PAPER}\n")
    assert main(arguments) == 2  # no marks for the claims
    start, end = readme.marks("claims")
    target.write_text(f"{START}\n{END}\n{PAPER}\n{start}\n{end}\n")
    assert main(arguments) == 0
    block = target.read_text().split(start)[1]
    claims = "*strong order 1*: a method: 0.503 [0.490, 0.510]"
    theory = "theory, not claimed: *strong order 2*: a method: 0.503 [0.490, 0.510]; a fifth: KeyError: 'it broke'"
    assert f"| somebody 1 | 1 of 3, 1 inconclusive | 0 of 2 | {claims}<br>{theory} |" in block
    assert "1 of 2 controls, true or false by construction, were judged rightly" in block
    assert "scaled" not in block
    (tmp_path / readme.CLAIMS).write_text(VERIFICATION.replace("0.503", "0.603"))
    assert main([*arguments, "--check"]) == 1


def test_readme_explains_a_failure_that_a_program_reproduces(file, tmp_path):
    """Of two such failures that of a strong order; without a curve, or not reproduced, there is none."""
    curve = json.dumps(
        {"x": [0.1, 0.2], "y": [0.3, 0.4], "low": [0.3, 0.4], "high": [0.3, 0.4], "slope": 1.0}
        | {"x_label": "dt", "y_label": "error"}
    )
    script = json.dumps('"""The corrector forgets a term.\n\nAs one step shows.\n"""\nimport sys\n')
    common = {"implementation": "somebody", "version": "1", "source": "claim: a page", "measured": "0.5", "low": "0.4"}
    common |= {
        "high": "0.6",
        "p": "",
        "verdict": "fails",
        "curve": curve,
        "script": script,
        "reproduced": "yes: off by 1",
    }
    rows = [
        common | {"subject": "memory of it", "claim": "flat", "check": "memory"},
        common | {"subject": "a method", "claim": "strong order 1", "check": "order"},
    ]
    text = claims_table.defect(rows, Path("here/verification.csv"))
    assert "somebody 1, a method: *strong order 1*, by claim: a page. Measured: 0.500 [0.400, 0.600]." in text
    assert "(here/defect.png)" in text
    assert "*The corrector forgets a term.* What it printed: *off by 1*." in text
    assert "memory of it" in claims_table.defect(rows[:1], Path("verification.csv"))
    assert claims_table.defect([row | {"reproduced": "no"} for row in rows], Path("verification.csv")) == ""
    assert claims_table.defect([row | {"curve": ""} for row in rows], Path("verification.csv")) == ""
    assert "2 of 2 failures were reproduced" in claims_table.table(rows[:2], Path("verification.csv"))
    assert "failures" not in claims_table.table([row | {"verdict": "holds"} for row in rows], Path("verification.csv"))


def test_readme_tells_what_the_ratio_to_torchsde_consists_of(frame):
    """By default and in steps of 1 as measured; told dt as soon as there is such a row; nothing of one way alone."""
    told = readme.headline(frame, Path("results.csv"))
    found = r"Gradient, batch 128, 100 steps: by default [\d.]+× \[.*\], at its best, in steps of 1, [\d.]+×"
    assert re.search(found, told)
    ratio = frame[(frame["measure"] == "gradient_time_ratio") & (frame["dt"] == 0.01) & (frame["batch"] == 128)]
    hinted = pd.concat([frame, ratio.assign(noise_source="own, told dt", value=7.0, low=6.0, high=8.0)])
    assert "told dt 7.00× [6.00, 8.00]" in readme.headline(hinted, Path("results.csv"))
    assert "consists of" not in readme.headline(frame[frame["dt"] != 1.0], Path("results.csv"))


def test_claims_are_told(tmp_path):
    """With a verification beside the results the page leads to its verdicts; a file that is cut off is an error."""
    from reports import __main__ as command

    table, claims, out = tmp_path / "results.csv", tmp_path / "verification.csv", tmp_path / "out"
    results.write(table, [row("diffrax", "gradient_memory", 1e6, steps=steps) for steps in (1, 2)])
    head = "implementation,version,subject,claim,source,expected,measured,low,high,verdict,reason\n"
    claims.write_text(head + "somebody,1,a method,strong order 1,a book,1.0,0.503,0.49,0.51,fails,\n")
    arguments = [str(table), "--out", str(out), "--verification", str(claims)]
    assert command.main(arguments) == 0
    page = (out / "index.html").read_text()
    assert "0 of 1 claims hold." in page
    assert 'href="verification.html"' in page
    assert "0.503" in (out / "verification.html").read_text()
    claims.write_text(head + "somebody,1,a method")
    assert command.main(arguments) == 2


def test_evaluations_are_those_of_the_kind_of_noise():
    """Where that was not counted, those of the noise that was counted first."""
    rows = [
        row("torchsde", measure, n, **{**GBM, "noise_type": noise, "method": "srk", "adjoint": ""})
        for noise, n in (("diagonal", 10), ("additive", 3))
        for measure in ("nfe_drift", "nfe_diffusion")
    ]
    errors = [
        row("torchsde", "weak_error", 0.1, **{**GBM, "noise_type": noise, "method": "srk", "adjoint": "", "steps": 8})
        for noise in ("diagonal", "additive", "scalar")
    ]
    frame = tidy(rows + errors)
    found = accuracy._with_evaluations(measured(frame, "weak_error"), frame)
    assert dict(zip(found["noise_type"], found["cost"], strict=True)) == {
        "diagonal": 160,
        "additive": 48,
        "scalar": 160,
    }


def test_a_value_that_is_no_number_is_shown_as_none():
    (value,) = tidy([row("torchsde", "solve_time", 1.0) | {"value": "nan"}])["value"]
    assert value != value
