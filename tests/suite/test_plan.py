"""The plan of a run, on a clock that is ours: what is done first, what is shortened or left out, and when it ends."""

import pytest

from suite import plan
from suite.cases import select
from suite.harness import main_measure
from suite.plan import Plan, expected, telling
from suite.timing import Budget

USUAL = Budget()
BENCH = [(case, "cpu", ["a", "b", "c", "d"]) for case in select("bench")]


def walk(monkeypatch, slowness, minutes=10.0, shorter=1.0):
    """(seconds, plan, [(case, budget)]) of a machine this many times slower than planned for. shorter: what shortening
    makes of the time of a comparison of times."""
    now = [1000.0]
    monkeypatch.setattr(plan.time, "time", lambda: now[0])
    planned, made = Plan(BENCH, USUAL, minutes), []
    while (item := planned.next()) is not None:
        work, budget = item
        now[0] += slowness * expected(work) * (shorter if budget != USUAL and work[0].compares_times else 1.0)
        made.append((work[0], budget))
    return now[0] - 1000, planned, made


def test_the_most_telling_first():
    measures = [main_measure(case) for case, *_ in telling(BENCH)]
    assert set(measures[: len(set(measures))]) == set(measures)
    assert telling(BENCH)[0] == BENCH[0]
    assert sorted(map(repr, telling(BENCH))) == sorted(map(repr, BENCH))


def test_a_machine_like_the_reference_does_all_of_it(monkeypatch):
    seconds, planned, made = walk(monkeypatch, 1.0)
    assert seconds < 540
    assert [budget for _, budget in made] == [USUAL] * len(BENCH)
    assert list(planned.shortened()) == []


def test_a_slower_machine_makes_fewer_rounds_before_fewer_cases(monkeypatch):
    slowness = 540 / sum(map(expected, BENCH)) * 1.1
    seconds, planned, made = walk(monkeypatch, slowness, shorter=0.4)
    assert seconds <= 540
    assert len(made) == len(BENCH)
    assert made[0][1] == USUAL
    assert planned.rest == []
    (sentence,) = planned.shortened()
    assert sentence.startswith("To end within 10 minutes fewer rounds were made of: time of the solve")


@pytest.mark.parametrize("slowness", [3.0, 10.0, 40.0])
def test_it_ends_in_time_wherever_it_runs(slowness, monkeypatch):
    seconds, planned, made = walk(monkeypatch, slowness)
    assert seconds <= max(540, slowness * expected(telling(BENCH)[0]))  # the first case is always measured
    assert len(made) + len(planned.rest) == len(BENCH)
    assert "there was no measurement of: " in list(planned.shortened())[-1]
    assert all(budget.until == 1540 for _, budget in made if budget != USUAL)


def test_without_a_limit_everything_is_done(monkeypatch):
    _, planned, made = walk(monkeypatch, 40.0, minutes=None)
    assert [budget for _, budget in made] == [USUAL] * len(BENCH)
    assert list(planned.shortened()) == []
