"""Figures of what is taken far, from rows whose growth is known."""

import re

import numpy as np
import pytest
from matplotlib.text import Text

from reports import figures, readme
from reports.data import tidy
from suite import results
from tests.reports.synthetic import row
from tests.reports.test_report import VERIFICATION

GBM = {"problem": "gbm", "noise_type": "diagonal", "noise_source": "own", "outputs": 2, "dtype": "float32"}
PATHS = GBM | {"batch": 16, "dim": 4, "noise_dim": 4, "hidden": 0}
STEPS = (10, 100, 1000, 10000)
POWERS = {"reversible": 0.0, "checkpoint": 0.5, "backprop": 1.0}


def memory(names=("sdegrad_torch", "torchsde"), **columns):
    for name in names:
        for adjoint, power in POWERS.items():
            for n in STEPS:
                value = 1e5 + 100 * n**power
                work = PATHS | {"method": "heun", "adjoint": adjoint, "dt": 1 / n, "steps": n}
                yield row(name, "gradient_memory", value, **work, **columns)


def words(axes):
    return [line for text in axes.texts for line in text.get_text().splitlines()]


def test_memory_has_a_panel_for_each_adjoint_and_says_how_it_grows():
    drawn, _ = figures.draw(tidy(list(memory())))
    panels = drawn["gradient_memory"].figure.axes
    assert [axes.get_title("left") for axes in panels] == [f"{adjoint} adjoint" for adjoint in POWERS]
    for axes, power in zip(panels, POWERS.values(), strict=True):
        sizes = 1e5 + 100 * np.array(STEPS[-3:]) ** power
        fitted = np.polyfit(np.log(STEPS[-3:]), np.log(sizes), 1)[0]
        assert f"torchsde {fitted:.2f}" in words(axes)
    assert "torchsde 0.00" in words(panels[0])


def test_memory_at_few_numbers_of_steps_has_no_growth():
    rows = [r for r in memory() if r["adjoint"] == "reversible" and float(r["steps"]) < 1000]
    (axes,) = figures.draw(tidy(rows))[0]["gradient_memory"].figure.axes
    assert not [line for line in words(axes) if "power" in line]


def long_rows():
    """Memory that rises by 4 %, time a step by 10 %, and 12 bytes for each adaptive step."""
    work = PATHS | {"problem": "ou", "noise_type": "additive", "method": "reversible_heun", "adjoint": "reversible"}
    for k, n in enumerate((10**4, 10**6)):
        at = work | {"dt": 1 / n, "steps": n, "dtype": "float64"}
        yield row("sdegrad_jax", "gradient_memory", 1e6 * (1 + 0.04 * k), **at)
        yield row("sdegrad_jax", "gradient_cpu_time", 1e-4 * n * (1 + 0.1 * k), **at)
        yield row("sdegrad_jax", "gradient_error", 1e-15 * (1 + k), **at)
        at |= {"dt": 1e-3, "steps": n / 10, "rtol": 1e-5 / n}
        yield row("sdegrad_jax", "gradient_memory", 1e6 + 1.2 * n, **at)
        yield row("sdegrad_jax", "gradient_cpu_time", 1e-3 * n, **at)
        yield row("sdegrad_jax", "gradient_error", 3e-15, **at)


def test_long_gradients_say_what_is_flat_linear_and_exact():
    drawn, left_out = figures.draw(tidy(list(long_rows())))
    plot = drawn["long_gradients"]
    assert len(plot.figure.axes) == 3
    assert [len([x for x in axes.get_lines() if x.get_marker() == "o"]) for axes in plot.figure.axes] == [2, 2, 2]
    assert "error of a gradient is 3.0e-15." in plot.caption
    assert "from 10000 to 1000000 constant steps: memory within 4.0%, time a step within 10.0%." in plot.caption
    assert "to 100000 adaptive steps: 12.0 bytes a step." in plot.caption
    assert "gradient_error" in left_out  # which is of given paths
    assert len(drawn["gradient_memory"].figure.axes) == 1  # of constant steps alone


def test_long_gradients_beside_a_peer():
    work = PATHS | {"problem": "ou", "noise_type": "additive", "method": "reversible_heun", "dtype": "float64"}
    peer = [
        row("diffrax", measure, value * n, **work, adjoint="checkpoint", dt=1 / n, steps=n)
        for n in (10**3, 10**4)
        for measure, value in (("gradient_memory", 1024.0), ("gradient_cpu_time", 1e-3))
    ]
    plot = figures.draw(tidy([*long_rows(), *peer]))[0]["long_gradients"]
    told = {text.get_text() for text in plot.figure.findobj(Text)}
    assert {"checkpoint", "reversible", "diffrax", "adaptive"} <= told
    assert "diffrax, from 1000 to 10000 constant steps: memory times 10.0, time a step within 0.0%." in plot.caption
    assert "10000 constant steps take: " in plot.caption
    assert "sdegrad_jax (reversible) 1.00 s and 977 KiB" in plot.caption
    assert "diffrax (checkpoint) 10.0 s and 9.77 MiB" in plot.caption
    alone = figures.draw(tidy(peer))[0]["long_gradients"]
    assert len(alone.figure.axes) == 2
    assert "error of a gradient" not in alone.caption
    alone.png()


@pytest.mark.parametrize("part", ["adaptive", "time"])
def test_a_part_of_the_long_gradients_has_its_figure(part):
    kept = {"adaptive": lambda row: row["rtol"], "time": lambda row: row["measure"] == "gradient_cpu_time"}[part]
    plot = figures.draw(tidy([row for row in long_rows() if kept(row)]))[0]["long_gradients"]
    plot.png()
    assert len(plot.figure.axes) == {"adaptive": 3, "time": 1}[part]
    assert "constant steps take" not in plot.caption


@pytest.mark.parametrize("measures", [{"gradient_error"}, {"gradient_memory", "gradient_cpu_time"}])
def test_zeros_of_long_gradients_have_a_place_on_the_axis(measures):
    rows = [row | {"value": "0.0"} if row["measure"] in measures else row for row in long_rows()]
    plot = figures.draw(tidy(rows))[0]["long_gradients"]
    plot.png()
    assert ("error of a gradient is 0." in plot.caption) == ("gradient_error" in measures)


def test_the_readme_tells_of_long_gradients(tmp_path):
    file = tmp_path / "long.csv"
    results.write(file, list(long_rows()))
    told = readme.long_gradients(file)
    assert f"({file.with_suffix('.png').as_posix()})" in told
    assert "The largest error of a gradient is 3.0e-15." in told
    assert "from 10000 to 1000000 constant steps" in told
    results.write(file, list(ensembles()))
    with pytest.raises(results.ResultsError, match=r"no long gradients; take rows of .* --kind long"):
        readme.long_gradients(file)


def ensembles():
    for k, batch in enumerate((1024, 4096, 16384)):
        work = GBM | {"batch": batch, "dim": 1, "noise_dim": 1, "hidden": 0, "method": "euler", "dt": 1 / 256}
        for name, rate in (("sdegrad_jax", 2e6), ("jax_by_hand", 1e6)):
            yield row(name, "solve_time", batch / rate / (1 + k), 0.1, **work, steps=256)


def test_paths_per_second():
    drawn, _ = figures.draw(tidy(list(ensembles())))
    plot = drawn["paths_per_second"]
    assert plot.caption == "Most paths in a second: sdegrad_jax 6.00 million; jax_by_hand 3.00 million."
    (axes,) = plot.figure.axes
    lines = [line for line in axes.get_lines() if line.get_marker() not in ("None", "", None)]
    assert sorted(line.get_ydata().max() for line in lines) == pytest.approx([3e6, 6e6])


def test_the_readme_tells_of_third_party_libraries(tmp_path):
    file, rows = tmp_path / "results.csv", list(ensembles())
    results.write(file, rows)
    theirs = [r | {"implementation": "stranger", "value": repr(float(r["value"]) * 2)} for r in rows[::2]]
    theirs = [r | {"low": "", "high": ""} for r in theirs]
    results.write(file.with_name(readme.THIRD), theirs)
    told = readme.third_party(file)
    assert "jax 6.00 million; " in told
    assert "stranger 3.00 million" in told
    assert "| library |" not in told
    file.with_name(readme.THIRD_CLAIMS).write_text(VERIFICATION, encoding="utf-8")
    assert "| somebody 1 | 1 of 3, 1 inconclusive | 0 of 2 |" in readme.third_party(file)


def weak_rows(name="sdegrad_torch"):
    work = GBM | {"noise_source": "given", "batch": 200, "samples": 100, "dim": 1, "noise_dim": 1, "hidden": 0}
    for method, order in (("euler", 1), ("heun", 2)):
        for steps in (2, 4, 8):
            at = work | {"method": method, "dt": 1 / steps, "steps": steps}
            ends = {"low": -0.1 / steps**order - 0.002, "high": -0.1 / steps**order + 0.002}
            yield row(name, "weak_error", -0.1 / steps**order, **at) | {k: repr(v) for k, v in ends.items()}
            yield row(name, "solve_time", 1e-3 * steps * order, **at)
        for what in ("nfe_drift", "nfe_diffusion"):
            yield row(name, what, float(order), **PATHS, method=method)


def test_weak_errors_have_a_panel_for_each_library_and_a_line_for_each_method():
    names = ("sdegrad_torch", "torchsde")
    drawn, _ = figures.draw(tidy([r for name in names for r in weak_rows(name)]))
    for figure in ("work_precision_weak", "weak_error_time"):
        plot = drawn[figure]
        assert [axes.get_title("left") for axes in plot.figure.axes] == list(names)
        for axes in plot.figure.axes:
            lines = [line for line in axes.get_lines() if line.get_marker() not in ("None", "", None)]
            assert [len(line.get_xdata()) for line in lines] == [3, 3]
            assert all((line.get_ydata() > 0).all() for line in lines)
        assert "2 of 12 intervals reach zero" in plot.caption
    evaluations = drawn["work_precision_weak"].figure.axes[0].get_lines()
    assert {x for line in evaluations if len(line.get_xdata()) == 3 for x in line.get_xdata()} == {4, 8, 16, 32}


def test_weak_errors_without_pairs_or_costs_are_left_out():
    alone = [r | {"samples": "200"} for r in weak_rows()]
    assert "work_precision_weak" in figures.draw(tidy(alone))[1]
    bare = [r for r in weak_rows() if r["measure"] == "weak_error"]
    drawn, left_out = figures.draw(tidy(bare))
    assert not drawn
    assert re.search("no evaluations", left_out["work_precision_weak"])
