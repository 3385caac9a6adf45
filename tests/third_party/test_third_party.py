"""The libraries of impls/third_party behind the contract; skipped where they are not installed."""

import importlib.util
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdegrad.contract import BrownianTask, Implementation, Task
from sdegrad.registry import known, load
from suite.paths import make_path
from suite.problems import make

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that are not ours
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "impls" / "third_party"
PROJECT = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
# name -> (method, calculus, whether a path can be given) of a small task on one-dimensional gbm
WORKS = {
    "sdeint": [
        ("euler", "ito", True),
        ("sri2", "ito", True),
        ("heun", "stratonovich", True),
        ("srs2", "stratonovich", True),
        ("kp2is", "stratonovich", True),
    ],
    "sdepy": [("euler", "ito", True)],
    "jitcsde": [("sriw1", "ito", False), ("sriw1", "stratonovich", False)],
    "pychastic": [("euler", "ito", False)],
    "pathwise": [("euler", "ito", False), ("milstein", "ito", False)],
    "numba_by_hand": [("euler", "ito", False)],
}
NAMES = list(WORKS)


def there(name):
    module = {"numba_by_hand": "numba"}.get(name, name)
    for needed in (module, "sdegrad_third_party"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed; nox makes .nox/third for it.")
    return load(name)


def task(method, sde_type, given=False, paths=3, **changes):
    p = make("gbm", paths=paths, dim=1, sde_type=sde_type)
    path = make_path(0.0, 1.0, 32, paths, 1, seed=5) if given else None
    return Task(problem=p, method=method, **{"dt": 1 / 16, "ts": (0.0, 1.0), "noise": path} | changes)


def run(name, t):
    r = load(name).prepare(t)
    return r.outcome(r()).ys


def test_they_register_as_a_strangers_library_does():
    """By entry points alone, each with its line in the README, and its pin."""
    assert set(PROJECT["entry-points"]["sdegrad.implementations"]) == set(NAMES)
    words = (FOLDER / "README.md").read_text()
    assert all(f"| `{name}` |" in words for name in NAMES)
    pinned = [line for line in PROJECT["dependencies"] if "==" in line]
    assert len(pinned) == len(NAMES)
    assert all(line.replace("==", " ").removesuffix("-sde") in words for line in pinned)
    for file in (FOLDER / "sdegrad_third_party").glob("*.py"):
        assert len(file.read_text().splitlines()) <= 80, file


def test_the_suite_has_no_line_about_them():
    """But for sdeint, which is what functions of others are called too."""
    for source in (f for top in ("suite", "impls/sdegrad", "reports") for f in (ROOT / top).rglob("*.py")):
        assert not {name for name in NAMES[1:] if name in source.read_text()}, source


@pytest.mark.parametrize("name", NAMES)
def test_the_contract(name):
    implementation = there(name)
    assert name in known()
    assert isinstance(implementation, Implementation)
    assert implementation.name == name
    assert implementation.unavailable("cpu") is None
    version, framework = implementation.versions()
    assert version[0].isdigit()
    assert framework.startswith(implementation.framework)
    some = task(*WORKS[name][0])
    brownian = BrownianTask(queries=((0.0, 1.0),), shape=(1,))
    for refused in (replace(some, method="none"), replace(some, adjoint="reversible"), brownian):
        assert implementation.unsupported(refused).endswith(".")
    for method, sde_type, given in WORKS[name]:
        assert implementation.unsupported(task(method, sde_type)) is None
        assert (implementation.unsupported(task(method, sde_type, given=True)) is None) == given


@pytest.mark.parametrize("name", NAMES)
def test_it_solves_on_its_own_noise(name):
    """A function of the seed; and the mean of 4000 paths of gbm is right to five standard errors, with a step of 1/16,
    whose bias is a tenth of one."""
    there(name)
    method, sde_type, _ = WORKS[name][0]
    one, same, other = (run(name, task(method, sde_type, seed=seed)) for seed in (3, 3, 4))
    assert one.shape == (2, 3, 1)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other)[1].min() > 1e-4
    t = task(method, sde_type, paths=4000)
    mu, sigma = t.problem.params["mu"], t.problem.params["sigma"]
    growth = run(name, t)[-1] / t.problem.y0
    assert abs(growth.mean() / np.exp(mu) - 1) < 5 * np.sqrt(np.expm1(sigma**2) / 4000)
    assert abs(np.log(growth).std() / sigma - 1) < 5 / np.sqrt(2 * 4000) + 0.01


@pytest.mark.parametrize(("name", "given"), [(n, w) for n, works in WORKS.items() for w in works if w[2]])
def test_it_is_near_the_exact_solution_on_a_given_path(name, given):
    """Nearer with smaller steps: by 1.2 at least for 4 times as many, where order 1/2 says 2."""
    there(name)
    coarse = task(*given, paths=200, dtype="float64", dt=1 / 8)
    exact = coarse.problem.exact(coarse.noise, coarse.problem.y0, coarse.problem.params)
    errors = [np.sqrt(((run(name, t)[-1] - exact) ** 2).mean()) for t in (coarse, replace(coarse, dt=coarse.dt / 4))]
    assert 1.2 * errors[1] < errors[0] < 0.1


@pytest.mark.parametrize("name", ["sdeint", "sdepy"])
@pytest.mark.parametrize("problem", ["mlp", "mlp_additive", "mlp_scalar", "mlp_general"])
def test_eulers_method_agrees_with_the_loop_by_hand(name, problem):
    there(name)
    p = make(problem, paths=3, sde_type="ito")
    path = make_path(0.0, 1.0, 32, 3, p.noise_dim, seed=5)
    t = Task(problem=p, method="euler", dt=1 / 8, ts=(0.0, 0.4, 1.0), noise=path, dtype="float64")
    np.testing.assert_allclose(run(name, t), run("numpy_by_hand", t), rtol=0, atol=1e-13)


def test_adaptive_steps_of_jitcsde_follow_the_tolerance():
    there("jitcsde")
    p = make("mlp", paths=2, dim=2, hidden=2, sde_type="ito")
    ends = [
        run("jitcsde", Task(problem=p, method="sriw1", dt=0.5, ts=(0.0, 1.0), rtol=rtol, atol=rtol))[-1]
        for rtol in (1e-1, 1e-5)
    ]
    assert np.isfinite(ends).all()
    assert np.abs(ends[0] - ends[1]).max() > 0


def test_without_a_compiler_it_is_a_sentence(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "C compiler" in there("jitcsde").unavailable("cpu")


def test_pychastic_tells_of_a_step_that_it_loses():
    """0.3 / 0.1 is 2.999..., which it rounds down."""
    there("pychastic")
    t = task("euler", "ito", dt=0.1, ts=(0.0, 0.3))
    with pytest.raises(ValueError, match="2 steps where there are 3"):
        load("pychastic").prepare(t)
