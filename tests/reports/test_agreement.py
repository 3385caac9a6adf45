"""The tools beside each other: when they are said to agree, and the figure of it, from rows made for the purpose."""

import pytest

from reports import agreement
from reports.__main__ import main
from reports.data import tidy
from reports.plotting import NoData
from suite import results
from tests.reports.synthetic import MLP, row

WORK = MLP | {"method": "reversible_heun", "batch": 128, "dim": 16, "noise_dim": 16, "hidden": 32, "dt": 0.01}


def times(**tools):
    """A gradient's time by each tool, with an interval of 1 %; asv does not know the adjoint."""
    for tool, seconds in tools.items():
        how = {} if tool == "asv" else {"adjoint": "reversible"}
        yield row("sdegrad_torch", "gradient_time", seconds, 0.01, **WORK, **how, steps=100, tool=tool)


@pytest.mark.parametrize(
    ("tools", "agree"),
    [
        ({"harness": 1.0, "asv": 1.3, "pytest-benchmark": 0.8}, True),
        ({"harness": 1.0, "asv": 2.4}, False),  # the forward pass is timed twice, say
        ({"harness": 1.0, "pytest-benchmark": 0.4}, False),
        ({"harness": 1.0, "asv": 1000.0}, False),  # another unit
    ],
)
def test_the_rule_of_times(tools, agree):
    found = list(agreement.disagreements(agreement.shared(tidy(times(**tools)))))
    assert (not found) == agree
    assert agree or "gradient time of sdegrad_torch" in found[0]


def test_more_processes_widen_what_a_tool_says():
    rows = [*times(harness=1.0), *times(asv=2.4), *times(asv=1.5)]
    rows[-1]["run"] = "r2"
    assert not list(agreement.disagreements(agreement.shared(tidy(rows))))


@pytest.mark.parametrize(("other", "agree"), [(2.0, True), (2.0001, False)])
def test_counts_are_equal(other, agree):
    rows = [row("diffrax", "nfe_drift", 2.0, **WORK), row("diffrax", "nfe_drift", other, **WORK, tool="asv")]
    assert (not list(agreement.disagreements(agreement.shared(tidy(rows))))) == agree


def test_what_one_tool_alone_measured_is_no_agreement():
    told = [
        row("diffrax", "solve_time", 1.0, **WORK),
        row("diffrax", "solve_time", 1.0, **WORK | {"dt": 0.1}, tool="asv"),
    ]
    with pytest.raises(NoData):
        agreement.figure(tidy(told))


def test_the_figure_is_on_the_page(tmp_path):
    file = tmp_path / "results.csv"
    results.write(file, list(times(harness=1.0, asv=1.1, **{"pytest-benchmark": 5.0})))
    assert main([str(file), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "figures" / "tools.png").stat().st_size > 5000
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "they differ in gradient time of sdegrad_torch" in page
