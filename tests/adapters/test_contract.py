"""The contract, over every implementation: what each must support at least, and that it does what it says.

That all libraries agree step for step on a given path is tested in test_agreement.py.
"""

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
import pytest

from sdegrad.contract import Adjoint, BrownianTask, Implementation, Task
from sdegrad.methods import METHODS, NOISE_TYPES, SDEType
from sdegrad.registry import IMPLEMENTATIONS, known, load, register
from suite.paths import make_path
from suite.problems import make
from suite.statistics import relative_l1

STEPS = 8
# noise type -> problem; and the sizes, kept small
PROBLEM = {"diagonal": "mlp", "additive": "mlp_additive", "scalar": "mlp_scalar", "general": "mlp_general"}
STRATONOVICH = ("reversible_heun", "heun", "midpoint", "euler_heun")
OURS = ("sdegrad_torch", "sdegrad_jax")

# The least that each must support: (method, adjoint), for all four noise types. `unsupported` may not shrink this.
LEAST = {
    **{
        name: {
            *((method, None) for method in (*STRATONOVICH, "euler")),
            *((method, "backprop") for method in (*STRATONOVICH, "euler")),
            *((method, "checkpoint") for method in (*STRATONOVICH, "euler")),
            *((method, "backsolve") for method in ("heun", "midpoint", "euler_heun")),
            *((method, "backsolve") for method in ("euler", "ees25", "ees27")),
            *((method, "reversible") for method in ("reversible_heun", "mccallum_foster")),
        }
        for name in OURS
    },
    "torchsde": {
        *((method, None) for method in (*STRATONOVICH, "euler")),
        *((method, "backprop") for method in (*STRATONOVICH, "euler")),
        *((method, "backsolve") for method in ("heun", "midpoint", "euler_heun")),
        ("reversible_heun", "reversible"),
    },
    "diffrax": {
        *((method, None) for method in (*STRATONOVICH, "euler")),
        *((method, "backprop") for method in (*STRATONOVICH, "euler")),
        *((method, "checkpoint") for method in (*STRATONOVICH, "euler")),
        *((method, "backsolve") for method in ("heun", "midpoint")),
    },
}
# (kind, levy area) of the Brownian objects
LEAST_BROWNIAN = {
    "sdegrad_torch": {("interval", "none"), ("interval", "space-time")},
    "torchsde": {("interval", "none"), ("interval", "space-time")},
    "sdegrad_jax": {("interval", "none"), ("interval", "space-time")},
    "diffrax": {("tree", "none"), ("tree", "space-time")},
}


def problem(noise_type, method="heun"):
    return make(PROBLEM[noise_type], paths=3, dim=3, hidden=4, sde_type=METHODS[method].sde_type)


def task(noise_type, method, adjoint=None, **changes):
    p = problem(noise_type, method)
    path = make_path(0.0, 1.0, 4 * STEPS, 3, p.noise_dim, seed=5)
    values = {"dt": 1 / STEPS, "ts": (0.0, 0.375, 1.0), "noise": path, "dtype": "float64"} | changes
    return Task(problem=p, method=method, adjoint=adjoint, **values)


def run(name, t):
    r = load(name).prepare(t)
    return r.outcome(r())


def test_every_implementation_is_tested():
    assert set(LEAST) == set(LEAST_BROWNIAN) == set(IMPLEMENTATIONS)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_interface(name):
    implementation = load(name)
    assert isinstance(implementation, Implementation)
    assert implementation.name == name
    assert implementation.unavailable("cpu") is None
    version, framework = implementation.versions()
    assert version[0].isdigit()
    assert framework.startswith(implementation.framework)


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_supports_at_least(name):
    for noise_type in NOISE_TYPES:
        for method, adjoint in LEAST[name]:
            assert load(name).unsupported(task(noise_type, method, adjoint)) is None, (noise_type, method, adjoint)
    for kind, levy_area in LEAST_BROWNIAN[name]:
        brownian = BrownianTask(queries=((0.0, 1.0),), shape=(2,), kind=kind, levy_area=levy_area)
        assert load(name).unsupported(brownian) is None


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_refuses_with_a_sentence(name):
    unknown = replace(task("diagonal", "heun"), method="no_such_method")
    for t in (unknown, task("diagonal", "euler_heun", "reversible")):
        reason = load(name).unsupported(t)
        assert reason is not None
        assert reason.endswith(".")


@pytest.mark.parametrize("adjoint", [None, *get_args(Adjoint)])
@pytest.mark.parametrize("name", ["sdegrad_torch", "torchsde"])  # in JAX it would be a program each
def test_what_is_not_refused_is_done(name, adjoint):
    done = 0
    for method, noise_type, sde_type in product(METHODS, NOISE_TYPES, get_args(SDEType)):
        p = make(PROBLEM[noise_type], paths=2, dim=2, hidden=2, sde_type=sde_type)
        path = None if method == "log_ode" else make_path(0.0, 1.0, 4, 2, p.noise_dim, seed=5)
        t = Task(problem=p, method=method, adjoint=adjoint, dt=0.5, ts=(0.0, 1.0), noise=path)
        if load(name).unsupported(t) is None:
            assert np.isfinite(run(name, t).ys).all(), (method, noise_type, sde_type)
            done += 1
    assert done or (name, adjoint) == ("torchsde", "checkpoint")


@pytest.mark.exhaustive(but=["sdegrad_torch-*", "torchsde-*", "sdegrad_jax-diagonal"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("name", LEAST)
def test_gradients_of_the_discrete_solve_agree(name, noise_type):
    """reversible, checkpoint and backprop differentiate the same numbers: to rounding, within a library and across."""
    reference = run("sdegrad_torch", task(noise_type, "reversible_heun", "backprop")).gradients
    exact = [a for m, a in LEAST[name] if m == "reversible_heun" and a in ("reversible", "checkpoint", "backprop")]
    if noise_type != "general" and load(name).framework == "jax":  # compiling is what takes the time here
        exact = ["backprop" if name == "diffrax" else "reversible"]
    for adjoint in exact:
        gradients = run(name, task(noise_type, "reversible_heun", adjoint)).gradients
        assert set(gradients) == {"y0", *problem(noise_type).params}
        assert relative_l1(gradients, reference) < 1e-13, adjoint


@pytest.mark.exhaustive(but=["sdegrad_torch", "torchsde"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_continuous_adjoint_is_near_and_not_exact(name):
    reference = run(name, task("diagonal", "heun", "backprop")).gradients
    error = relative_l1(run(name, task("diagonal", "heun", "backsolve")).gradients, reference)
    assert 1e-8 < error < 0.1


@pytest.mark.exhaustive(but=["sdegrad_torch", "torchsde", "sdegrad_jax"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "diffrax" else []) for name in IMPLEMENTATIONS]
)
@pytest.mark.slow
def test_own_noise_is_a_function_of_the_seed(name):
    same = [run(name, task("diagonal", "heun", noise=None, seed=3)).ys for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert np.abs(run(name, task("diagonal", "heun", noise=None, seed=4)).ys - same[0]).max() > 1e-3


@pytest.mark.exhaustive(but=["sdegrad_*", "torchsde"])
@pytest.mark.slow
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_counts(name):
    """Reversible Heun: one evaluation a step, whatever a library does at the start."""
    counts = [load(name).prepare(task("diagonal", "reversible_heun", dt=dt)).count() for dt in (1 / 4, 1 / 8)]
    assert [c.steps for c in counts] == [4, 8]
    assert counts[1].drift - counts[0].drift == counts[1].diffusion - counts[0].diffusion == 4
    assert counts[0].drift_vjp == 0


# method -> how often (tried, accepted), from the counts. sdegrad.torch doubles its steps: six evaluations of Heun's for
# each step that is tried, and two for each half that is taken; the others have an estimate in the step itself.
ADAPTIVE = {
    "sdegrad_torch": ("heun", lambda c: ((c.drift - 1 - 2 * c.steps) / 6, c.steps / 2)),
    "sdegrad_jax": ("reversible_heun", lambda c: (c.drift - 1, c.steps)),
    "diffrax": ("reversible_heun", lambda c: (c.drift - 1, c.steps)),
}


@pytest.mark.exhaustive(but=["sdegrad_*", "torchsde"])
@pytest.mark.slow
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_steps_are_those_of_the_solution(name):
    """Rejected steps are evaluated, and not counted; who does not tell the number of adaptive steps, says so."""
    method, told = ADAPTIVE.get(name, ("heun", None))
    t = task("diagonal", method, dt=0.5, ts=(0.0, 1.0), noise=None, rtol=1e-3, atol=1e-4)
    if told is None:
        with pytest.raises(NotImplementedError, match="does not tell"):
            load(name).prepare(t).count()
        return
    tried, accepted = told(load(name).prepare(t).count())
    assert tried == int(tried)
    assert 4 < accepted < tried < 3 * accepted


@pytest.mark.exhaustive(
    but=[
        "sdegrad_torch-reversible_heun-exact",
        "sdegrad_torch-heun-backsolve",
        "torchsde-reversible_heun-exact",
        "torchsde-heun-backsolve",
        "sdegrad_jax-heun-backsolve",
    ]
)
@pytest.mark.slow
@pytest.mark.parametrize(("method", "adjoint"), [("reversible_heun", "exact"), ("heun", "backsolve")])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_counts_of_a_gradient(name, method, adjoint):
    """One pull-back a step of reversible Heun, two of Heun; more would be work done twice."""
    if adjoint == "exact":
        adjoint = "checkpoint" if name == "diffrax" else "reversible"
    t = [task("general", method, adjoint, dt=dt, ts=(0.0, 1.0)) for dt in (1 / 4, 1 / 8)]
    coarse, fine = (load(name).prepare(each).count() for each in t)
    pulled = 1 if method == "reversible_heun" else 2
    assert fine.drift_vjp - coarse.drift_vjp == fine.diffusion_vjp - coarse.diffusion_vjp == 4 * pulled
    assert fine.drift - coarse.drift >= 4 * (1 + pulled)


@pytest.mark.exhaustive(but=["sdegrad_*", "torchsde"])
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
@pytest.mark.slow
def test_off_the_grid_of_a_given_path_is_an_error(name):
    with pytest.raises(Exception, match=r"(?s)its grid|off its grid"):
        run(name, task("diagonal", "heun", dt=0.15, ts=(0.0, 1.0)))


@pytest.mark.exhaustive(but=["*-interval-space-time", "torchsde-*", "sdegrad_torch-*", "diffrax-tree-none"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("name", "kind", "levy_area"), [(n, *k) for n, ks in LEAST_BROWNIAN.items() for k in sorted(ks)]
)
@pytest.mark.slow
def test_brownian(name, kind, levy_area):
    """Increments add up, and have the variance of their length: 2000 samples a query, 4 queries, two-sided 1e-4."""
    queries = ((0.0, 0.25), (0.25, 1.0), (0.0, 1.0), (0.5, 0.625))
    b = BrownianTask(
        queries=queries, shape=(2000,), kind=kind, levy_area=levy_area, dt=0.125, tol=2.0**-6, seed=1, dtype="float64"
    )
    r = load(name).brownian(b)
    outcome = r.outcome(r())
    assert outcome.ys.shape == (4, 2000)
    np.testing.assert_allclose(outcome.ys[0] + outcome.ys[1], outcome.ys[2], atol=1e-12)
    lengths = np.array([t - s for s, t in queries])
    bound = 3.89 * np.sqrt(2 / 2000)  # normal quantile at 1e-4 / 2; the spread of a sample variance of 1
    assert np.abs((outcome.ys**2).mean(1) / lengths - 1).max() < bound
    assert np.abs((1.2 * outcome.ys[2]).var() - 1) > bound  # and 44 % more is seen
    if levy_area == "space-time":
        assert np.abs((outcome.H**2).mean(1) / (lengths / 12) - 1).max() < bound
    else:
        assert outcome.H is None


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown implementation 'nobody'; known are: sdegrad_torch"):
        load("nobody")


def test_register_a_third_party():
    register("another", "sdegrad.adapters.torchsde:implementation")
    try:
        assert "another" in known()
        assert load("another").name == "torchsde"
        with pytest.raises(ValueError, match="exists already"):
            register("another", "x:y")
    finally:
        del IMPLEMENTATIONS["another"]
