"""`BrownianInterval` as the control of diffrax's solvers."""

import functools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval
from tests.jax.adjoints.test_gradients import distance
from tests.jax.brownian.test_interval import is_standard_normal
from tests.jax.diffrax.test_adjoint import CHECKPOINT, DIM, EXACT, REVERSIBLE, own_path, parameters, solve, terms_of

# Intervals over whole cells, parts of cells, and both.
POINTS = np.asarray([0.0, 0.1, 0.25, 0.5, 0.6, 1.0])
AREAS = (diffrax.BrownianIncrement, diffrax.SpaceTimeLevyArea, diffrax.SpaceTimeTimeLevyArea)
SOLVERS = {
    None: [
        "Euler",
        "EulerHeun",
        "Heun",
        "ItoMilstein",
        "Midpoint",
        "Ralston",
        "ReversibleHeun",
        "StratonovichMilstein",
    ],
    "space-time": ["GeneralShARK", "SEA", "SPaRK", "SRA1", "ShARK", "SlowRK", "ALIGN"],
    "space-time-time": ["ShOULD", "QUICSORT"],
}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_is_a_brownian_path_of_diffrax():
    for area, cls in zip((None, "space-time", "space-time-time"), AREAS, strict=True):
        bm = BrownianInterval(0, 1, (3,), jax.random.key(0), dt=0.25, levy_area=area)
        assert isinstance(bm, diffrax.AbstractBrownianPath)
        assert bm.levy_area is cls
        asked = eqx.filter_eval_shape(lambda bm: (bm.evaluate(0.1, 0.6), bm.evaluate(0.1, 0.6, use_levy=True)), bm)
        assert type(asked[1]) is cls
        assert asked[0].shape == (3,)
        again = BrownianInterval(0, 1, (3,), jax.random.key(0), dt=0.25, levy_area=cls)
        assert jax.tree.structure(again) == jax.tree.structure(bm)
        assert eqx.tree_equal(again, bm)
    np.testing.assert_array_equal(again.evaluate(0.1, 0.6), bm.evaluate(0.1, 0.6, use_levy=True).W)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_signs_and_units_are_those_of_diffrax():
    """Its own tree asked from a later to an earlier time, and both paths over [0, 1] by their law: H of variance h/12
    and K of h/720, of the same sign as the integrals that define them (in the tests of Levy areas)."""
    tree = diffrax.VirtualBrownianTree(0, 1, 1e-3, (3,), jax.random.key(0), diffrax.SpaceTimeTimeLevyArea)
    bm = BrownianInterval(0, 1, (3,), jax.random.key(0), levy_area="space-time-time")
    signs, ask = [], eqx.filter_jit(lambda path, times: path.evaluate(*times, use_levy=True))
    for path in (tree, bm):
        forwards, backwards = (ask(path, jnp.asarray(times)) for times in ((0.2, 0.7), (0.7, 0.2)))
        ratios = [np.asarray(getattr(backwards, name) / getattr(forwards, name)) for name in ("dt", "W", "H", "K")]
        signs.append([float(np.unique(np.round(ratio, 6)).item()) for ratio in ratios])
    assert signs[0] == signs[1] == [-1, -1, 1, -1]


@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_law_of_increments_as_diffrax_asks_for_them():
    """Means and covariances of W and H over 5 intervals, 20 000 samples, at 1e-3 with Bonferroni over all 65."""
    bm = BrownianInterval(0, 1, (20_000,), jax.random.key(0), dt=0.25, levy_area="space-time")
    t0, t1 = map(jnp.asarray, (POINTS[:-1], POINTS[1:]))
    levy = eqx.filter_jit(lambda: jax.lax.map(lambda t: bm.evaluate(*t, use_levy=True), (t0, t1)))()
    np.testing.assert_allclose(levy.dt, np.diff(POINTS))
    h = np.diff(POINTS)[:, None]
    z = np.concatenate([levy.W / np.sqrt(h), levy.H / np.sqrt(h / 12)])
    assert is_standard_normal(z)
    assert not is_standard_normal(1.025 * z)  # variance 5 % too large


def additive(path, dt, solver, t0=0.0, t1=1.0, y0=1.0):
    """dy = -y dt + dW, a path per entry."""
    shape = path.evaluate(0.0, 1.0).shape
    identity = lambda t, y, args: lineax.DiagonalLinearOperator(jnp.ones(shape))  # noqa: E731
    terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: -y), diffrax.ControlTerm(identity, path))
    y0 = jnp.broadcast_to(jnp.asarray(y0), shape)
    solution = diffrax.diffeqsolve(
        terms, solver, t0, t1, dt, y0, adjoint=diffrax.ForwardMode(), max_steps=600, throw=False
    )
    return solution.ys[0]


def langevin(path, dt, solver):
    """Position of dx = v dt, dv = -(v + x + sin x) dt + sqrt(2) dW from rest."""
    shape = path.evaluate(0.0, 1.0).shape
    unit, zero = jnp.ones(shape), jnp.zeros(shape)
    terms = diffrax.MultiTerm(
        diffrax.UnderdampedLangevinDriftTerm(unit, unit, lambda x, _: x + jnp.sin(x)),
        diffrax.UnderdampedLangevinDiffusionTerm(unit, unit, path),
    )
    solution = diffrax.diffeqsolve(
        terms, solver, 0.0, 1.0, dt, (zero, zero), adjoint=diffrax.ForwardMode(), max_steps=600, throw=False
    )
    return solution.ys[0][0]


def problem_of(name):
    return langevin if name in ("ALIGN", "ShOULD", "QUICSORT") else additive


@pytest.mark.parametrize("area", SOLVERS)
@pytest.mark.slow
def test_every_solver_of_diffrax_takes_it(area):
    bm = BrownianInterval(0, 1, (2,), jax.random.key(3), levy_area=area)
    for name in SOLVERS[area]:
        made = jax.eval_shape(lambda name=name: problem_of(name)(bm, 0.5, getattr(diffrax, name)()))
        assert all(leaf.shape[-1] == 2 for leaf in jax.tree.leaves(made)), name


def test_too_little_levy_area_is_refused_by_diffrax():
    bm = BrownianInterval(0, 1, (2,), jax.random.key(3))
    with pytest.raises(ValueError, match="Terms are not compatible with solver"):
        additive(bm, 0.5, diffrax.SRA1())


class Signed(diffrax.AbstractBrownianPath):
    """The same W, with areas of these signs."""

    path: BrownianInterval
    signs: dict

    t0 = property(lambda self: self.path.t0)
    t1 = property(lambda self: self.path.t1)
    levy_area = property(lambda self: self.path.levy_area)

    def evaluate(self, t0, t1=None, left=True, use_levy=False):
        made = self.path.evaluate(t0, t1, left, use_levy)
        for name, sign in self.signs.items() if use_levy else ():
            made = eqx.tree_at(lambda made, name=name: getattr(made, name), made, sign * getattr(made, name))
        return made


@pytest.mark.exhaustive(but=["ShARK-*"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize(("solver", "names"), [("ShARK", ["H"]), ("QUICSORT", ["H", "K"])])
def test_areas_belong_to_the_path(solver, names):
    """A step of 1/8 with the areas of the path is far closer to 256 steps on that path than with other areas."""
    area = {1: "space-time", 2: "space-time-time"}[len(names)]
    bm = BrownianInterval(0, 1, (64,), jax.random.key(5), dt=1 / 256, levy_area=area)
    right = {name: jnp.asarray(1.0) for name in names}

    @eqx.filter_jit
    def solve(path, dt):
        return problem_of(solver)(path, dt, getattr(diffrax, solver)())

    fine = solve(Signed(bm, right), jnp.asarray(1 / 256))

    def error(signs):
        return float(jnp.sqrt(jnp.mean((solve(Signed(bm, signs), jnp.asarray(1 / 8)) - fine) ** 2)))

    for name in names:
        assert error(right) < error({**right, name: jnp.asarray(-1.0)}) / 5


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_backwards_in_time_it_is_the_same_path():
    bm = BrownianInterval(0, 1, (4,), jax.random.key(4), dt=1 / 128)
    solve = eqx.filter_jit(lambda t0, t1, dt, y0: additive(bm, dt, diffrax.Heun(), t0, t1, y0))
    end = solve(*map(jnp.asarray, (0.0, 1.0, 1 / 128)), jnp.ones(4))
    start, other = (solve(*map(jnp.asarray, (1.0, 0.0, -1 / 128)), y1) for y1 in (end, end[::-1]))
    np.testing.assert_allclose(start, 1.0, atol=1e-3)
    assert np.max(np.abs(other - 1.0)) > 0.1


@functools.cache
def adaptive_gradient(adjoint, max_steps=64):
    """(t0, t1, dt) -> (gradient, number of rejected steps) over adaptive steps along our own path."""
    terms = terms_of("diagonal", own_path((DIM,), 0.0, 1.0))

    def value(at, t0, t1, dt):
        options = {"t0": t0, "t1": t1, "dt": dt, "stepsize_controller": diffrax.PIDController(1e-2, 1e-2)}
        solution = solve(terms, adjoint, *at, max_steps=max_steps, **options)
        return jnp.sum(solution.ys**2), solution.stats["num_rejected_steps"]

    return functools.partial(jax.jit(jax.grad(value, has_aux=True)), parameters())


@pytest.mark.exhaustive(but=["False"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("wrong", [False, True])
def test_adaptive_steps_walk_along_it(wrong, monkeypatch):
    """`ReversibleAdjoint` walks along the path, in both passes; diffrax's own adjoint asks every interval by itself.
    Forwards and backwards in time."""
    advance = BrownianInterval.advance
    walked = []

    def counted(self, walk, s, t):
        walked.append(1)
        increment, walk = advance(self, walk, s, t)
        return increment * (1 + 1e-9 * wrong), walk

    spans = (0.0, 1.0, 0.3), (1.0, 0.0, -0.3)
    expected = [adaptive_gradient(CHECKPOINT)(*span)[0] for span in spans]
    monkeypatch.setattr(BrownianInterval, "advance", counted)
    walking = adaptive_gradient(REVERSIBLE, max_steps=64 + wrong)  # diffrax would not trace the same solve anew
    for span, gradient in zip(spans, expected, strict=True):
        made, rejected = walking(*span)
        assert rejected >= 1
        error = distance(made, gradient)
        assert error > EXACT if wrong else error < EXACT
    assert walked


def noisy(path, adjoint, t1=1.0, dt=0.1, **options):
    """dy = -y dt + (0.2 + y^2 / 10) dW by reversible Heun."""
    diffusion = lambda t, y, args: lineax.DiagonalLinearOperator(0.2 + y**2 / 10)  # noqa: E731
    terms = diffrax.MultiTerm(diffrax.ODETerm(lambda t, y, args: -y), diffrax.ControlTerm(diffusion, path))
    options = {"max_steps": 4096, **options}
    return diffrax.diffeqsolve(terms, diffrax.ReversibleHeun(), 0.0, t1, dt, jnp.ones(2), adjoint=adjoint, **options)


TIMES = {
    "derivative": lambda bm: bm.derivative(0.3),
    "to_ode": lambda bm: diffrax.diffeqsolve(
        diffrax.ControlTerm(lambda t, y, args: lineax.DiagonalLinearOperator(y), bm).to_ode(),
        *(diffrax.Euler(), 0.0, 1.0, 0.1, jnp.ones(2)),
    ),
    "t1": lambda bm: jax.grad(lambda t1: jnp.sum(noisy(bm, CHECKPOINT, t1).ys))(1.0),
    "dt0": lambda bm: jax.grad(lambda dt: jnp.sum(noisy(bm, CHECKPOINT, dt=dt).ys))(0.1),
    "forwards": lambda bm: jax.jvp(lambda t1: noisy(bm, diffrax.ForwardMode(), t1).ys, (1.0,), (1.0,)),
    "ends": lambda bm: jax.grad(lambda t1: jnp.sum(BrownianInterval(0, t1, (2,), jax.random.key(0)).evaluate(0, 0.5)))(
        1.0
    ),
}


@pytest.mark.parametrize("case", TIMES)
def test_a_derivative_with_respect_to_time_is_an_error_that_says_so(case):
    bm = BrownianInterval(0, 1, (2,), jax.random.key(0))
    with pytest.raises(RuntimeError, match=r"BrownianInterval cannot be differentiated with respect to time: .* Keep"):
        TIMES[case](bm)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.slow
def test_a_path_shorter_than_the_solve_is_an_error_with_every_adjoint(adaptive):
    bm = BrownianInterval(0, 0.5, (2,), jax.random.key(0))
    controller = diffrax.PIDController(1e-2, 1e-2) if adaptive else diffrax.ConstantStepSize()
    with pytest.raises(RuntimeError, match=r"outside \[t0, t1\] = \[0\.0, 0\.5\] of this BrownianInterval; make"):
        noisy(bm, CHECKPOINT, stepsize_controller=controller, throw=False)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_a_solve_on_a_path_with_traced_ends():
    def final(t1, adjoint):
        return noisy(BrownianInterval(0, t1, (2,), jax.random.key(0), dtype=jnp.float64), adjoint, t1, t1 / 8).ys

    made, expected = (jax.jit(lambda t1, a=adjoint: final(t1, a))(0.7) for adjoint in (REVERSIBLE, CHECKPOINT))
    assert np.all(np.isfinite(expected))
    np.testing.assert_allclose(made, expected, atol=1e-14)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_adaptive_steps_are_as_many_as_on_the_tree_of_diffrax():
    """The mean over 24 paths of the accepted and of the rejected steps: of three sets of paths, each within 15 % of the
    tree's, where the standard error is 4 %.
    """
    paths = {
        "tree": lambda key: diffrax.VirtualBrownianTree(0, 1, 2.0**-14, (2,), key),
        "cells": lambda key: BrownianInterval(0, 1, (2,), key, dt=1e-3),
        "one cell": lambda key: BrownianInterval(0, 1, (2,), key),
    }
    keys, controller = jax.random.split(jax.random.key(1), 24), diffrax.PIDController(1e-3, 1e-3)
    with jax.enable_x64(False):

        def counts(path):
            solution = noisy(path, CHECKPOINT, stepsize_controller=controller)
            steps = [solution.stats[f"num_{kind}_steps"].astype(float) for kind in ("accepted", "rejected")]
            return jnp.where(jnp.all(jnp.isfinite(solution.ys)), jnp.stack(steps), jnp.nan)

        means = {
            name: np.mean(jax.jit(jax.vmap(lambda key, path=path: counts(path(key))))(keys), axis=0)
            for name, path in paths.items()
        }
    assert np.all(means["tree"] > 20), means
    for name in ("cells", "one cell"):
        np.testing.assert_allclose(means[name], means["tree"], rtol=0.15, err_msg=str(means))
