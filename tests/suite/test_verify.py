"""The verification is verified: what lies, crashes, refuses or has nothing to say, and controls that are not rejected.

Small solvers in numpy stand in for libraries: 4096 paths, step sizes from 1/8 to 1/128, fixed seeds.
"""

import csv
import os
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from sdegrad.contract import BrownianTask, Outcome
from sdegrad.registry import IMPLEMENTATIONS, load
from suite import laws
from suite.verify import __main__ as verify
from suite.verify import brownian, checks, orders, run, solving, table
from suite.verify.claims import Claim
from suite.verify.findings import Effort, Finding, at_most
from suite.verify.spoiled import DEFECTS


class Run(SimpleNamespace):
    def __call__(self):
        return self.work()

    def outcome(self, result):
        return result


class Library:
    """Euler's method in numpy, and Brownian increments drawn by their covariance."""

    name, framework = "mylib", "numpy"

    def versions(self):
        return "1.0", f"numpy {np.__version__}"

    def unavailable(self, device):
        return None

    def unsupported(self, task):
        if isinstance(task, BrownianTask):
            return None
        return "mylib has Euler's method alone." if task.method != "euler" or task.adjoint else None

    def drift(self, value):
        return value

    def noise(self, samples):
        return samples

    def prepare(self, task):
        return Run(work=lambda: self.solve(task))

    def brownian(self, task):
        return Run(work=lambda: self.draw(task))

    def solve(self, task):
        p, y, stride = task.problem, task.problem.y0, round(task.dt / (task.noise.times[1] - task.noise.times[0]))
        W = task.noise.W[::stride]
        for k, t in enumerate(task.noise.times[:-1:stride]):
            g, dW = p.diffusion(np, t, y, p.params), W[k + 1] - W[k]
            noise = g * dW if p.noise_type == "diagonal" else (g @ dW[..., None])[..., 0]
            y = y + self.drift(p.drift(np, t, y, p.params)) * task.dt + noise
        return Outcome(ys=np.stack([p.y0, y]))

    def draw(self, task):
        exact = laws.covariance([(s, t, what) for what in ("W", "H") for s, t in task.queries])
        normals = np.random.default_rng(task.seed).standard_normal((len(exact), *task.shape))
        W, H = np.split(self.noise(np.tensordot(np.linalg.cholesky(exact), normals, 1)), 2)
        return Outcome(ys=W, H=H)


@pytest.fixture
def verified(monkeypatch, tmp_path, capsys):
    """verified(library, *arguments) -> (exit code, rows, what was printed); of its orders and the law of its noise."""
    monkeypatch.setattr(orders, "NOISES", {kind: orders.NOISES[kind] for kind in ("diagonal", "scalar", "additive")})
    monkeypatch.setattr(brownian, "SITUATIONS", {name: brownian.SITUATIONS[name] for name in brownian.QUICK})
    monkeypatch.setattr(brownian, "ENTRIES", 256)
    for other in set(checks.CHECKS) - {"order", "law"}:
        monkeypatch.delitem(checks.CHECKS, other)
    solving.forget()

    def verified(library, *arguments):
        monkeypatch.setitem(sys.modules, "mylib", SimpleNamespace(implementation=library))
        monkeypatch.setitem(IMPLEMENTATIONS, "mylib", "mylib:implementation")
        code = verify.main(["--implementation", "mylib", *arguments, "--jobs", "1", "--out", str(tmp_path)])
        with (tmp_path / "verification.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        return code, rows, "".join(capsys.readouterr())

    yield verified
    solving.forget()


def verdicts(rows, check, kind="theory"):
    subjects = {"order": "noise", "law": "grid"}
    return [r["verdict"] for r in rows if r["source"].startswith(kind) and r["subject"].endswith(subjects[check])]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_library_without_claims_is_held_to_theory(verified):
    code, rows, said = verified(Library())
    assert code == 0
    assert {r["source"].partition(":")[0] for r in rows} == {"theory", "negative control", "positive control"}
    held = {r["subject"]: r["verdict"] for r in rows if r["source"].startswith("theory: ") and r["measured"]}
    assert held.pop("Brownian motion without a grid") == "holds"
    assert held["euler, ito, additive noise"] == "holds"
    assert "fails" not in held.values()
    false = [r for r in rows if r["kind"] == "negative control"]
    assert len([r for r in false if r["check"] == "law"]) == len(DEFECTS)
    assert len([r for r in false if r["check"] == "order"]) > 1
    assert {r["verdict"] for r in false} == {"fails"}
    true = [r for r in rows if r["kind"] == "positive control"]
    assert {r["check"] for r in true} == {"law", "order"}
    assert {r["verdict"] for r in true} == {"holds"}
    assert {r["reason"] for r in rows if r["subject"].startswith("heun,")} == {"mylib has Euler's method alone."}
    assert "verification.csv" in said


@pytest.mark.slow
def test_a_library_that_lies_is_found_out(verified, monkeypatch):
    """A drift that is a tenth too large converges, but to another process; two rows of a batch share their noise. A
    second look at either, with more samples, would see the same."""
    monkeypatch.setattr(run, "MOST", 1.0)
    monkeypatch.setattr(orders, "NOISES", {kind: replace(noise, paths=512) for kind, noise in orders.NOISES.items()})
    monkeypatch.setattr(brownian, "ENTRIES", 64)

    class Liar(Library):
        def drift(self, value):
            return 1.1 * value

        def noise(self, samples):
            samples[:, 1] = samples[:, 0]
            return samples

    _, rows, _ = verified(Liar(), "--check", "order")
    # the slope and the limit, of three kinds of noise
    assert verdicts([r for r in rows if r["measured"]], "order") == ["fails"] * 6
    _, rows, _ = verified(Liar(), "--check", "law", "--quick")
    assert "fails" in {r["verdict"] for r in rows if r["subject"] == "Brownian motion without a grid"}
    assert any(r["reason"] == "correlation of rows of the whitened samples" for r in rows)


@pytest.mark.slow
def test_rows_of_one_measurement_say_so(verified):
    """Orders of different sources and controls rest on the same solutions; each draws no samples of its own."""
    _, rows, _ = verified(Library(), "--quick")
    by_number = {row["number"]: row for row in rows}
    for row in rows:
        first = by_number[row["measured_with"].removeprefix("row ") or row["number"]]
        assert not first["measured_with"]
        assert re.split("[ ,]", row["subject"])[0] == re.split("[ ,]", first["subject"])[0] or not row["measured_with"]
    shared = [r for r in rows if r["measured_with"] and r["kind"] == "negative control"]
    assert len([r for r in shared if r["check"] == "law"]) == len(brownian.QUICK_CONTROLS)


def claim(**fields):
    stated = {"kind": "theory", "check": "toy", "implementation": "sdegrad_torch", "subject": "it", "claim": "is so"}
    return Claim(**{**stated, "source": "a paper", **fields})


@pytest.fixture
def looked_at(monkeypatch):
    """looked_at(findings, **fields of the claim) -> (what it comes to, the efforts that were made)."""

    def looked_at(findings, **fields):
        left, efforts = list(findings), []

        def measure(claim, effort):
            efforts.append(effort)
            return left.pop(0)

        monkeypatch.setitem(checks.CHECKS, "toy", checks.Check(lambda name: [], measure))
        return run.looked_at(claim(**fields), Effort(1e-3, 7)), efforts

    return looked_at


@pytest.mark.parametrize(
    ("errors", "verdict"), [((1.0, 0.0), "inconclusive"), ((1.0, 2.0), "fails"), ((1.0, 1.0), "fails")]
)
def test_a_failure_of_what_is_not_random_is_measured_once_more(looked_at, errors, verdict):
    found, efforts = looked_at([at_most(0.5, error) for error in errors])
    assert found.verdict == verdict
    assert efforts == [Effort(1e-3, 7)] * 2
    assert ("not deterministic" in found.reason) == (errors[0] != errors[1])


def test_what_holds_and_controls_are_measured_once(looked_at):
    assert len(looked_at([at_most(1.0, 0.5)])[1]) == 1
    found, efforts = looked_at([at_most(0.5, 1.0)], kind="negative control")
    assert (found.verdict, len(efforts)) == ("fails", 1)


@pytest.mark.parametrize(("needs", "more"), [(50.0, 1.0), (200.0, 5.827), (1e6, run.MOST)])
def test_a_failure_of_what_is_random_is_looked_at_with_a_fresh_seed(looked_at, needs, more):
    """And with the samples that it needs, up to ten times as many; that decides."""
    first = Finding("fails", 1.0, 0.5, 0.4, 0.6, samples=100.0, needs=needs)
    second = Finding("holds", 1.0, 1.0, 0.9, 1.1, samples=100.0 * more)
    found, efforts = looked_at([first, second], statistical=True)
    assert found.verdict == "holds"
    assert found.reason == "(first, with seed 7: 0.5, fails)"
    assert efforts == [Effort(1e-3, 7), Effort(1e-3, 7 + run.FRESH, pytest.approx(more, rel=1e-3))]


def test_a_second_look_has_the_power_that_is_stated():
    """Of means 3 standard errors off a bound that take 4.9 to be told from it."""
    rng, n, level, gap = np.random.default_rng(0), 100, 1e-6, 3.0
    z = stats.norm.isf(level / 2)
    needs = n * (z / gap) ** 2
    for taken, decided in ((needs, 0.5), (run._with_power(needs, level), run.POWER)):
        means = gap / n**0.5 + rng.standard_normal(4000) / taken**0.5
        assert np.mean(means > z / taken**0.5) == pytest.approx(decided, abs=0.03)


def test_an_error_is_looked_at_once_more(monkeypatch):
    answers = [TimeoutError("a busy machine"), Finding("holds", 1.0, 1.0, 1.0, 1.0), ValueError("x"), ValueError("y")]

    def measure(claim, effort):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(checks.CHECKS, "toy", checks.Check(lambda name: [], measure))
    assert run.verified(claim(), Effort(1e-3, 7))["verdict"] == "holds"
    row = run.verified(claim(), Effort(1e-3, 7))
    assert (row["verdict"], row["reason"]) == ("fails", "ValueError: y")


def test_what_cannot_be_decided_says_how_many_samples_it_would_need(looked_at):
    first = Finding("inconclusive", 1.0, 1.0, 0.4, 1.6, samples=100.0, needs=2e6)
    found, _ = looked_at([first, first._replace(samples=1000.0)], statistical=True)
    assert found.verdict == "inconclusive"
    assert found.reason.startswith("it would need about 5.8e+06 samples, 1e+03 were taken.")


@pytest.mark.slow
def test_a_process_that_dies_costs_its_own_claim_alone(monkeypatch):
    monkeypatch.setattr(run, "measured", measured_in_a_process)
    groups = run.grouped(list(enumerate([claim(subject=s, case={"of": s}) for s in ("a", "dies", "b", "c")], start=1)))
    rows = dict(row for found in run.rows_of(groups, Effort(1e-3, 7), jobs=2) for row in found)
    assert [rows[n]["verdict"] for n in sorted(rows)] == ["holds", "fails", "holds", "holds"]
    assert rows[2]["reason"] == "the process that measured it died"


def measured_in_a_process(group, effort):
    ((number, only),) = group
    if only.subject == "dies":
        os._exit(9)
    return [(number, {"verdict": "holds"})]


def interrupted(claim, effort):
    raise KeyboardInterrupt


@pytest.fixture
def stopped(verified, monkeypatch):
    """A quick run that was interrupted at the first law."""
    law = checks.CHECKS["law"]
    monkeypatch.setitem(checks.CHECKS, "law", law._replace(measure=interrupted))
    with pytest.raises(KeyboardInterrupt):
        verified(Library(), "--quick")
    monkeypatch.setitem(checks.CHECKS, "law", law)


@pytest.mark.usefixtures("stopped")
@pytest.mark.slow
def test_an_interrupted_run_goes_on(verified, monkeypatch):
    """What was measured is kept, of the same code and claims alone."""
    monkeypatch.setitem(checks.CHECKS, "order", checks.CHECKS["order"]._replace(measure=interrupted))
    code, rows, said = verified(Library(), "--quick")
    assert code == 0
    assert "rows are there from an interrupted run" in said
    assert {row["check"] for row in rows} == {"order", "law"}
    with pytest.raises(KeyboardInterrupt):
        verified(Library(), "--quick", "--seed", "5")


def test_a_run_is_resumed_by_its_claims_its_code_and_that_of_the_library(tmp_path, monkeypatch):
    """Two libraries have claims of the same numbers and words."""

    def place(seed=7, **fields):
        claims = [claim(**{"implementation": "sdegrad_torch", **fields})]
        return table.place(tmp_path, table.identity(claims, Effort(1e-3, seed)))

    first = place()
    assert place() == first
    others = [place(implementation="sdegrad_jax"), place(claim="another"), place(8)]
    monkeypatch.setattr(table, "source", lambda name: "mended")
    assert len({first, *others, place()}) == 5


@pytest.mark.usefixtures("stopped")
@pytest.mark.slow
def test_a_look_at_a_part_leaves_an_interrupted_run_as_it_is(verified):
    assert "rows are there" not in verified(Library(), "--quick", "--seed", "5", "--check", "law")[2]
    assert "rows are there from an interrupted run" in verified(Library(), "--quick")[2]


def test_what_is_no_table_of_ours_is_left_alone(tmp_path, capsys):
    for name, arguments in (("verification.csv", []), ("calibration.csv", ["--controls"])):
        (tmp_path / name).write_text("precious")
        arguments = [*arguments, "--check", "stability", "--implementation", "sdegrad_torch", "--out", str(tmp_path)]
        assert verify.main(arguments) == 2
        assert f"{name} is not a table of this command" in capsys.readouterr().err
        assert (tmp_path / name).read_text() == "precious"


def test_a_table_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "verification").write_text("")
    code = verify.main(["--check", "stability", "--implementation", "sdegrad_torch", "--out", str(tmp_path)])
    assert (code, "nothing can be written in" in capsys.readouterr().err) == (2, True)
    (tmp_path / "verification").unlink()
    (tmp_path / "verification.csv").mkdir()
    code = verify.main(["--check", "stability", "--implementation", "sdegrad_torch", "--out", str(tmp_path)])
    assert (code, "cannot read" in capsys.readouterr().err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--check", "slope"], "unknown check 'slope'; known are: "),
        (["--jobs", "0"], "--jobs is 0, expected 1 or more."),
        (["--seed", "-1"], "--seed is -1, expected a whole number from 0 to"),
        (["--seed", str(2**70)], "expected a whole number from 0 to"),
        (
            ["--implementation", "sdegrad_torch", "--method", "srk", "--method", "nope"],
            "unknown method 'nope'; there are",
        ),
        (
            ["--implementation", "sdegrad_torch", "--problem", "nope"],
            "unknown problem 'nope'; there are claims about: ",
        ),
        (["--method", "rk4"], "unknown method 'rk4'; there are claims about"),
    ],
)
def test_a_selection_of_nothing_is_an_error(tmp_path, capsys, arguments, message):
    assert verify.main(["--implementation", "sdegrad_torch", *arguments, "--out", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_selection_takes_what_fits(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "rows_of", lambda groups, effort, jobs: [run.measured(g, effort) for g in groups])
    monkeypatch.setattr(run, "looked_at", lambda claim, effort: at_most(1.0, 0.5))
    chosen = ["--check", "order", "--method", "heun", "--problem", "sinh", "--problem", "squares"]
    verify.main(["--implementation", "sdegrad_torch", *chosen, "--out", str(tmp_path)])
    with (tmp_path / "verification.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert {(r["check"], r["method"]) for r in rows} == {("order", "heun")}
    assert {r["problem"] for r in rows} == {"sinh", "squares"}


@pytest.mark.slow
def test_a_control_that_crashes_is_not_rejected(verified):
    class Broken(Library):
        def solve(self, task):
            raise RuntimeError("out of order")

    code, rows, said = verified(Broken(), "--check", "order")
    assert code == 1
    crashed = [r for r in rows if "out of order" in r["reason"]]
    assert {(r["source"].partition(":")[0], r["verdict"]) for r in crashed} == {
        ("theory", "fails"),
        ("negative control", "inconclusive"),
    }
    assert said.count("<-- must not be") == 2
    assert "2 of ours or of the controls not as they must be" in said


@pytest.mark.slow
def test_a_control_that_is_not_rejected_fails_the_run(verified, monkeypatch):
    monkeypatch.setitem(DEFECTS, "scaled by 1.01", lambda x: x)
    code, rows, _ = verified(Library(), "--quick")
    assert code == 1
    assert [r["verdict"] for r in rows if r["subject"].endswith("scaled by 1.01")] == ["holds"]


@pytest.mark.slow
def test_a_library_that_can_do_nothing_of_it_is_told_of(verified):
    """As one that has its own noise alone: its rows say why, and that is no error."""

    class Empty(Library):
        def unsupported(self, task):
            return "mylib draws its own noise."

    code, rows, said = verified(Empty(), "--quick")
    assert code == 0
    stated = [r for r in rows if not r["kind"].endswith("control")]
    assert {(r["verdict"], r["reason"]) for r in stated} == {("unsupported", "mylib draws its own noise.")}
    assert "mylib can do nothing that is checked here; its rows say why." in said


def test_evaluations_that_nobody_can_count_are_unsupported(monkeypatch):
    def count():
        raise NotImplementedError("the fields are written into it.")

    monkeypatch.setattr(solving, "prepared", lambda name, task: Run(count=count))
    claims = [c for c in checks.claims_of("torchsde") if c.check == "count" and c.case.get("method") == "euler"]
    rows = [run.verified(claim, Effort(1e-3, 0)) for claim in claims[:2]]
    assert [(r["verdict"], r["reason"]) for r in rows] == [("unsupported", "the fields are written into it.")] * 2


@pytest.mark.slow
def test_a_library_that_fails_before_anything_is_measured_is_an_error(verified):
    class Broken(Library):
        def unsupported(self, task):
            raise RuntimeError("out of order")

    code, rows, said = verified(Broken(), "--quick")
    assert code == 1
    assert {r["verdict"] for r in rows if not r["kind"].endswith("control")} == {"fails"}
    assert "error: nothing of mylib could be measured; its rows say why." in said


def test_a_library_that_is_not_there_is_an_error_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(IMPLEMENTATIONS, "mylib", "no_such_module:implementation")
    for name, message in (("nobody", "unknown implementation 'nobody'"), ("mylib", "no_such_module is not installed")):
        assert verify.main(["--implementation", name, "--out", str(tmp_path)]) == 2
        assert message in "".join(capsys.readouterr())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_claim_of_ours_that_is_no_longer_supported_fails_the_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(type(load("sdegrad_torch")), "unsupported", lambda self, task: "it is gone.")
    arguments = ["--implementation", "sdegrad_torch", "--check", "law", "--jobs", "1", "--out", str(tmp_path)]
    assert verify.main(arguments) == 1
    claims = [c for c in checks.claims_of("sdegrad_torch") if c.check == "law" and c.preset != "full"]
    stopped = [c for c in claims if not c.may_lack]
    assert capsys.readouterr().out.count("<-- must not be") == len(stopped) > 0


@pytest.mark.parametrize(
    ("kind", "name", "verdict", "expected"),
    [
        ("claim", "sdegrad_torch", "holds", False),
        ("claim", "sdegrad_torch", "exceeds", False),
        ("claim", "sdegrad_torch", "fails", True),
        ("claim", "sdegrad_jax", "inconclusive", True),
        ("theory", "sdegrad_jax", "unsupported", True),
        ("claim", "torchsde", "fails", False),
        ("claim", "mylib", "unsupported", False),
        ("positive control", "torchsde", "fails", True),
        ("positive control", "torchsde", "holds", False),
        ("negative control", "torchsde", "fails", False),
        ("negative control", "torchsde", "holds", True),
        ("negative control", "torchsde", "inconclusive", True),
        ("negative control", "mylib", "unsupported", False),
        ("negative control", "sdegrad_torch", "unsupported", True),
    ],
)
def test_what_must_stop_the_build(kind, name, verdict, expected):
    assert run.wrong(claim(kind=kind, implementation=name), {"verdict": verdict}) is expected


def test_ours_may_lack_what_it_says():
    assert run.wrong(claim(), {"verdict": "unsupported"})
    assert not run.wrong(claim(may_lack=True), {"verdict": "unsupported"})
    assert run.wrong(claim(may_lack=True), {"verdict": "fails"})


@pytest.mark.slow
def test_statistical_rows_share_one_false_alarm():
    """Controls state nothing, so they have no share."""
    claims = checks.claims_of("mylib")
    statistical = [c for c in claims if c.statistical and not c.control]
    assert len(statistical) * run.level_of(claims) == pytest.approx(run.ALPHA)
    assert 0 < len(statistical) < len([c for c in claims if not c.control])


def test_claims_that_share_a_measurement_share_its_repetition():
    measured = []

    @solving.remembered
    def measure(name):
        measured.append(name)
        return len(measured)

    seen = []
    for _ in range(2):
        seen.append(measure("toy"))
        with solving.second_look():
            seen.append(measure("toy"))
    assert seen == [1, 2, 1, 2]
    solving.forget()
    assert measure("toy") == 3
