"""The calibration says which controls were misjudged, which mutants were caught and by what, and resumes."""

import numpy as np
import pytest

from suite import mutants
from suite.harness import compared
from suite.verify import calibration, checks
from suite.verify.calibration import Work
from suite.verify.checks import CHECKS
from suite.verify.claims import Claim
from suite.verify.findings import Effort, likely

EFFORT = Effort(1e-6, 1)


def row(kind, verdict, p=""):
    return {"implementation": "x", "subject": "y", "check": "law", "kind": kind, "verdict": verdict, "p": p}


@pytest.mark.parametrize(
    ("kind", "verdict", "wrong"),
    [
        ("negative control", "fails", False),
        ("negative control", "holds", True),
        ("negative control", "inconclusive", True),
        ("negative control", "unsupported", False),
        ("positive control", "holds", False),
        ("positive control", "fails", True),
        ("mutant", "fails", False),
        ("mutant", "missed", True),
        ("claim", "fails", False),
    ],
)
def test_what_is_misjudged(kind, verdict, wrong):
    assert calibration.misjudged(row(kind, verdict)) is wrong


def test_p_values_that_are_small_too_often_are_seen():
    p = np.random.default_rng(1).uniform(size=400)
    rows = [row("claim", "holds", str(x)) for x in p]
    assert calibration.uniform(rows)[0] > 1e-3
    assert calibration.uniform([row("claim", "holds", str(x**1.3)) for x in p])[0] < 1e-3
    assert calibration.uniform([row("claim", "holds", str(min(1, 5 * x))) for x in p])[0] > 0.5
    assert calibration.uniform([row("negative control", "fails", "0.0")])[1] == 0


def test_a_mutant_is_caught_by_the_first_claim_that_fails_and_cells_are_kept(monkeypatch, tmp_path, capsys):
    claims = [
        Claim(kind="theory", check="law", implementation="sdegrad_torch", subject=s, claim="c", source="s")
        for s in ("first", "second", "third")
    ]
    measured = []

    def measure(claim, effort):
        measured.append(claim.subject)
        return likely(effort.level, 0.5 if claim.subject == "first" else 1e-9, 10)

    monkeypatch.setitem(checks.CHECKS, "law", checks.Check(lambda name: claims, measure))
    todo = [
        Work("mutant: variance off", calibration.held_to("variance off"), 1),
        Work("sdegrad_torch: first: c", claims[:1], 5),
    ]
    assert {c.implementation for c in todo[0].claims} == {"variance off"}
    rows = calibration.calibrate(tmp_path, todo, EFFORT, 1)
    assert [r["caught_by"] for r in rows if r["kind"] == "mutant"] == ["law: second: c"]
    assert measured == ["first", "second", "second", "first"]  # a failure is looked at twice
    again = calibration.calibrate(tmp_path, todo, EFFORT, 1)
    assert len(measured) == 4
    assert [r["verdict"] for r in again] == [r["verdict"] for r in rows] == ["fails", "holds"]
    assert "1 mutants, 1 caught: 1 by law" in calibration.summary(again)[1]
    part = calibration.calibrate(tmp_path, todo[:1], EFFORT, 1)
    assert [r["kind"] for r in part] == ["mutant"]  # what was not asked for is no part of the summary
    (own,) = tmp_path.glob("verification/calibration-*.csv")
    own.write_text(own.read_text()[:-5])
    assert calibration.calibrate(tmp_path, todo, EFFORT, 1) == rows
    assert len(measured) == 5  # that whose row was cut short
    calibration.calibrate(tmp_path, todo, Effort(1e-5, 1), 1)
    assert len(measured) == 9  # at another level all is judged anew
    assert "caught by law: second" in capsys.readouterr().out


def crash(claim, effort):
    raise AttributeError("a mutant that no longer fits the library")


def test_a_mutant_that_is_missed_or_crashes_is_said(monkeypatch, tmp_path, capsys):
    claim = Claim(kind="theory", check="law", implementation="variance off", subject="x", claim="c", source="s")
    monkeypatch.setitem(checks.CHECKS, "law", checks.Check(lambda name: [], lambda c, e: likely(e.level, 0.5, 10)))
    rows = calibration.calibrate(tmp_path / "c", [Work("mutant: variance off", [claim], 1)], EFFORT, 1)
    missed = "missed or misjudged: variance off: by 1 claims, of which"
    assert calibration.summary(rows)[-1] == f"{missed} 0 crashed"
    assert "misjudged" in capsys.readouterr().out
    monkeypatch.setitem(checks.CHECKS, "law", checks.Check(lambda name: [], crash))
    rows = calibration.calibrate(tmp_path / "d", [Work("mutant: variance off", [claim], 1)], EFFORT, 1)
    assert calibration.summary(rows)[-1] == f"{missed} 1 crashed"


@pytest.mark.slow
def test_works_are_the_controls_and_what_is_true_with_every_seed():
    works = list(calibration.works(compared(), ["increments", "consumed"], 3, 2))
    assert {work.seed for work in works} == {3, 3 + calibration.STRIDE}
    of_mutants = [work for work in works if work.name.startswith("mutant: ")]
    assert {work.claims[0].implementation for work in of_mutants} >= {"a step late", "no noise beyond the end"}
    assert "redrawn after rejection" in {c.implementation for work in of_mutants for c in work.claims}
    assert "last cell not clipped" not in {c.implementation for work in of_mutants for c in work.claims}  # law sees it
    assert all(not c.control and c.check in ("increments", "consumed") for work in of_mutants for c in work.claims)
    rest = [c for work in works if work not in of_mutants for c in work.claims]
    assert all(c.control or (c.statistical and c.implementation.startswith("sdegrad")) for c in rest)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_every_mutant_names_its_checks():
    for name, mutant in mutants.MUTANTS.items():
        assert set(mutant.checks) <= set(CHECKS), name
        assert calibration.held_to(name), name
