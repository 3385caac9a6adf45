"""The verification is verified: what lies, crashes, refuses or has nothing to say, and controls that are not rejected.

Small solvers in numpy stand in for libraries: 4096 paths, step sizes from 1/8 to 1/128, fixed seeds.
"""

import csv
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sdegrad.contract import BrownianTask, Outcome
from sdegrad.registry import IMPLEMENTATIONS, load
from suite import checks, laws, verify
from suite.defects import DEFECTS


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
    """verified(library, *arguments) -> (exit code, rows, what was printed)."""
    monkeypatch.setattr(checks, "PATHS", 4096)  # as many as --quick takes
    monkeypatch.setattr(checks, "ENTRIES", 256)
    monkeypatch.setattr(checks, "ORDER_DTS", (1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128))
    for cached in (checks._path, checks._solutions, checks._gradients, checks._samples):
        cached.cache_clear()

    def verified(library, *arguments):
        monkeypatch.setitem(sys.modules, "mylib", SimpleNamespace(implementation=library))
        monkeypatch.setitem(IMPLEMENTATIONS, "mylib", "mylib:implementation")
        code = verify.main(["--implementation", "mylib", *arguments, "--out", str(tmp_path)])
        with (tmp_path / "verification.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        return code, rows, "".join(capsys.readouterr())

    yield verified
    for cached in (checks._path, checks._solutions, checks._gradients, checks._samples):
        cached.cache_clear()


def verdicts(rows, check, kind="theory"):
    subjects = {"order": "noise", "law": "grid"}
    return [r["verdict"] for r in rows if r["source"].startswith(kind) and r["subject"].endswith(subjects[check])]


def test_a_library_without_claims_is_held_to_theory(verified):
    code, rows, said = verified(Library())
    assert code == 0
    assert {r["source"].partition(":")[0] for r in rows} == {"theory", "control"}
    held = {r["subject"]: r["verdict"] for r in rows if r["source"].startswith("theory: ") and r["measured"]}
    assert held.pop("Brownian Interval without a grid") == "holds"
    assert held["euler, ito, additive noise"] == "holds"
    assert "fails" not in held.values()
    controls = [r for r in rows if r["source"].startswith("control") and r["verdict"] != "unsupported"]
    assert len(controls) == 1 + len(DEFECTS)
    assert {r["verdict"] for r in controls} == {"fails"}
    assert {r["reason"] for r in rows if r["subject"].startswith("heun,")} == {"mylib has Euler's method alone."}
    assert "verification.csv" in said


def test_a_library_that_lies_is_found_out(verified):
    """A drift that is a tenth too large converges, but to another process; two rows of a batch share their noise."""

    class Liar(Library):
        def drift(self, value):
            return 1.1 * value

        def noise(self, samples):
            samples[:, 1] = samples[:, 0]
            return samples

    _, rows, _ = verified(Liar())
    assert verdicts([r for r in rows if r["measured"]], "order") == ["fails"] * 3
    assert "fails" in {r["verdict"] for r in rows if r["subject"] == "Brownian Interval without a grid"}
    assert any(r["reason"] == "correlation of rows of the whitened samples" for r in rows)


def test_rows_of_one_measurement_say_so(verified):
    """Orders of different sources and controls rest on the same solutions; each draws no samples of its own."""
    _, rows, _ = verified(Library(), "--quick")
    for row in rows:
        first = rows[int(row["measured_with"].removeprefix("row ") or 1) - 1]
        assert not first["measured_with"]
        assert re.split("[ ,]", row["subject"])[0] == re.split("[ ,]", first["subject"])[0] or not row["measured_with"]
    shared = [r for r in rows if r["measured_with"] and r["source"].startswith("control")]
    assert len([r for r in shared if r["subject"].startswith("Brownian Interval")]) == len(DEFECTS)


@pytest.mark.parametrize(
    ("errors", "verdict"), [((1.0, 0.0), "inconclusive"), ((1.0, 2.0), "fails"), ((0.0,), "holds")]
)
def test_a_failure_of_what_is_not_random_is_measured_once_more(monkeypatch, errors, verdict):
    left = list(errors)
    monkeypatch.setattr(checks, "_largest_error", lambda claim: left.pop(0))
    (claim, *_) = (c for c in verify.claims_of("mylib") if c.check == "gradient" and c.kind != "control")
    found = checks.check_gradient(claim, checks.Effort(1e-3, 2))
    assert (found.verdict, left) == (verdict, [])
    assert ("not deterministic" in found.reason) == (len(errors) == 2)


def test_a_control_that_crashes_is_not_rejected(verified):
    class Broken(Library):
        def solve(self, task):
            raise RuntimeError("out of order")

    code, rows, said = verified(Broken())
    assert code == 1
    crashed = [r for r in rows if "out of order" in r["reason"]]
    assert {(r["source"].partition(":")[0], r["verdict"]) for r in crashed} == {
        ("theory", "fails"),
        ("control", "inconclusive"),
    }
    assert said.count("<-- must not be") == 1
    assert "1 of ours or of the controls not as they must be" in said


def test_a_control_that_is_not_rejected_fails_the_run(verified, monkeypatch):
    monkeypatch.setitem(DEFECTS, "scaled by 1.01", lambda x: x)
    code, rows, _ = verified(Library(), "--quick")
    assert code == 1
    assert [r["verdict"] for r in rows if r["subject"].endswith("scaled by 1.01")] == ["holds"]


def test_a_library_of_which_nothing_can_be_measured_is_an_error(verified):
    class Empty(Library):
        def unsupported(self, task):
            return "nothing is here."

    code, rows, said = verified(Empty(), "--quick")
    assert code == 1
    assert rows
    assert {r["verdict"] for r in rows} == {"unsupported"}
    assert "nothing of mylib could be measured" in said


def test_a_library_that_is_not_there_is_an_error_and_writes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(IMPLEMENTATIONS, "mylib", "no_such_module:implementation")
    for name, message in (("nobody", "unknown implementation 'nobody'"), ("mylib", "no_such_module is not installed")):
        assert verify.main(["--implementation", name, "--out", str(tmp_path)]) == 2
        assert message in "".join(capsys.readouterr())
    assert not list(tmp_path.iterdir())


def test_a_claim_of_ours_that_is_no_longer_supported_fails_the_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(type(load("sdegrad_torch")), "unsupported", lambda self, task: "it is gone.")
    claims = [c for c in verify.claims_of("sdegrad_torch") if c.check == "law"]
    monkeypatch.setattr(verify, "claims_of", lambda name: claims)
    assert verify.main(["--implementation", "sdegrad_torch", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().out.count("<-- must not be") == len(claims)


@pytest.mark.parametrize(
    ("kind", "name", "verdict", "expected"),
    [
        ("claim", "sdegrad_torch", "holds", False),
        ("claim", "sdegrad_torch", "fails", True),
        ("claim", "sdegrad_jax", "inconclusive", True),
        ("theory", "sdegrad_jax", "unsupported", True),
        ("claim", "torchsde", "fails", False),
        ("claim", "mylib", "unsupported", False),
        ("control", "torchsde", "fails", False),
        ("control", "torchsde", "holds", True),
        ("control", "torchsde", "inconclusive", True),
        ("control", "mylib", "unsupported", False),
        ("control", "sdegrad_torch", "unsupported", True),
    ],
)
def test_what_must_stop_the_build(kind, name, verdict, expected):
    claim = SimpleNamespace(kind=kind, implementation=name)
    assert verify.wrong(claim, {"verdict": verdict}) is expected


def test_statistical_rows_share_one_false_alarm():
    claims = verify.claims_of("mylib")
    statistical = [c for c in claims if c.statistical]
    assert len(statistical) * verify.level_of(claims) == pytest.approx(verify.ALPHA)
    assert all(c.kind != "control" and c.check in ("order", "law") for c in statistical)
