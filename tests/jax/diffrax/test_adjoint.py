"""`ReversibleAdjoint` inside diffrax."""

import functools
import pathlib
import re

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax
import numpy as np
import pytest

import sdegrad.jax
from sdegrad.jax import BrownianInterval, ReversibleAdjoint
from sdegrad.jax.diffrax.backward import Backward
from sdegrad.jax.diffrax.times import Times
from tests.costs import first_is_quick
from tests.jax.adjoints.test_gradients import distance
from tests.jax.sdes import TablePath

EXACT = 1e-13  # Lipschitz constant times the time span is below 2 everywhere
DIM, NOISE = 3, 2
REVERSIBLE, DIRECT, CHECKPOINT = (
    ReversibleAdjoint(),
    diffrax.DirectAdjoint(),
    diffrax.RecursiveCheckpointAdjoint(),
)


def parameters():
    rng = np.random.default_rng(0)
    a, b, y0 = (rng.normal(size=shape) for shape in ((DIM, DIM), (DIM, NOISE), DIM))
    return jnp.asarray(y0), {"a": jnp.asarray(0.3 * a), "b": jnp.asarray(0.3 * b)}


def drift(t, y, args):
    return jnp.tanh(args["a"] @ y + t)


DIFFUSION = {
    "diagonal": lambda t, y, args: lineax.DiagonalLinearOperator(jax.nn.sigmoid(y * args["b"][:, 0] + t)),
    "general": lambda t, y, args: jnp.sin(y[:, None] * args["b"] + (args["a"] @ y)[:, None]),
}


def terms_of(noise_type, path):
    if noise_type is None:
        return diffrax.ODETerm(drift)
    return diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(DIFFUSION[noise_type], path))


def tree_path(shape, t0, t1):
    return diffrax.VirtualBrownianTree(t0, t1, 1e-3, shape, jax.random.key(0))


def own_path(shape, t0, t1):
    return BrownianInterval(t0, t1, shape, jax.random.key(1), dt=0.1)


def unsafe_path(shape, *_):
    return diffrax.UnsafeBrownianPath(shape, jax.random.key(2))


def hidden(path):
    """The path as a function, of which diffrax does not see what it is. A new program for every call."""
    return lambda t0, t1: path.evaluate(t0, t1)


def solve(terms, adjoint, y0, args, t0=0.0, t1=1.0, dt=0.07, max_steps=16, **options):
    solver = options.pop("solver", diffrax.ReversibleHeun())
    return diffrax.diffeqsolve(terms, solver, t0, t1, dt, y0, args, adjoint=adjoint, max_steps=max_steps, **options)


def loss(terms, adjoint, at, **options):
    """A weighted sum of squares of all that is saved."""
    ys = solve(terms, adjoint, *at, **options).ys
    return sum(jnp.sum(jnp.arange(1.0, len(y) + 1) @ y**2) for y in jax.tree.leaves(ys))


def gradient(terms, adjoint, **options):
    """With respect to (y0, args)."""
    return jax.jit(jax.grad(lambda at: loss(terms, adjoint, at, **options)))(parameters())


CASES = [
    (None, None, 0.0, 1.0, 1.0),
    ("diagonal", tree_path, 0.0, 1.0, 0.07),
    ("general", tree_path, 1.3, 0.3, -0.07),  # backwards in time
    ("diagonal", own_path, 0.0, 1.0, 1 / 97),
    ("general", unsafe_path, 0.31, 1.73, 0.13),
]


@pytest.mark.exhaustive(but=["diagonal-own_path-*", "general-tree_path-*", "None-None-*"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("noise_type", "path_of", "t0", "t1", "dt"), first_is_quick(CASES))
@pytest.mark.slow
def test_gradient_is_exact(noise_type, path_of, t0, t1, dt):
    path = path_of and path_of((DIM if noise_type == "diagonal" else NOISE,), min(t0, t1), max(t0, t1))
    # At the ends, on a grid time, twice within a step.
    ts = t0 + (t1 - t0) * np.asarray([0, 0.101, 0.102, 1 / 3, 0.8, 1])
    steps = 97 if path_of is own_path else 16  # what DirectAdjoint compiles grows with them
    options = {"t0": t0, "t1": t1, "dt": dt, "max_steps": steps, "saveat": diffrax.SaveAt(t0=True, t1=True, ts=ts)}
    reversible = gradient(terms_of(noise_type, path), REVERSIBLE, **options)
    # DirectAdjoint refuses an UnsafeBrownianPath that it sees, and compiles long on a path of our own.
    adjoint = CHECKPOINT if path_of is own_path else DIRECT
    assert distance(reversible, gradient(terms_of(noise_type, hidden(path)), adjoint, **options)) < EXACT
    assert distance(reversible, parameters()) > 0.01


def grid(t0, t1, dt):
    """diffrax's times of constant steps, every operation correctly rounded."""
    steps = int(np.ceil((t1 - t0) / np.nextafter(dt, np.inf)))
    times = t0 + (t1 - t0) * (np.arange(steps + 1) / steps)
    times[1], times[-1] = t0 + dt, t1
    return times


def bits_path(t0, t1):
    """Increments hashed from the bits of the two times: an ulp in either gives another one. Quick to compile."""
    low, high = jax.lax.bitcast_convert_type(jnp.stack([t0, t1]), jnp.uint32).T
    factors = jnp.asarray([[2654435761, 2246822519], [3266489917, 668265263], [374761393, 1540483477]], jnp.uint32)
    words = factors @ (low * jnp.uint32(2654435769) + (high ^ (low >> jnp.uint32(15))))
    return (words.astype(float) / 2.0**31 - 1) * jnp.sqrt(3 * (t1 - t0))


SPAN = {"t0": 0.3, "t1": 1.7, "max_steps": 200}
DT = 0.013


@functools.cache
def hash_reference():
    step_to = {"dt": None, "stepsize_controller": diffrax.StepTo(grid(SPAN["t0"], SPAN["t1"], DT))}
    return gradient(terms_of("diagonal", lambda t0, t1: bits_path(t0, t1)), CHECKPOINT, **SPAN, **step_to)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_both_passes_visit_diffrax_s_times_to_the_last_bit():
    terms = terms_of("diagonal", lambda t0, t1: bits_path(t0, t1))
    traced = jax.jit(lambda dt: jax.grad(lambda at: loss(terms, REVERSIBLE, at, dt=dt, **SPAN))(parameters()))(DT)
    assert distance(traced, hash_reference()) < EXACT
    assert distance(gradient(terms, REVERSIBLE, dt=DT, **SPAN), hash_reference()) < EXACT


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["sign", "control", "time"])
def test_a_wrong_adjoint_is_seen(fault, monkeypatch):
    step, time = Backward.step, Times.__call__

    def wrong_step(self, arrays, k, r):
        r = step(self, arrays, k, r)
        if fault == "sign":
            return r._replace(a_hat=jax.tree.map(jnp.negative, r.a_hat))
        return r._replace(after=jax.tree.map(lambda x: x * (1 + 1e-9), r.after))

    if fault == "time":
        monkeypatch.setattr(Times, "__call__", lambda self, k: jnp.nextafter(time(self, k), 2.0))
    else:
        monkeypatch.setattr(Backward, "step", wrong_step)
    wrong = gradient(terms_of("diagonal", lambda t0, t1: bits_path(t0, t1)), REVERSIBLE, dt=DT, **SPAN)
    assert not distance(wrong, hash_reference()) < 1e3 * EXACT


def pid():
    return diffrax.PIDController(1e-2, 1e-2)


CONTROLLERS = {
    "step_to": (lambda: diffrax.StepTo(np.asarray([0, 0.1, 0.15, 0.4, 0.9, 1])), None, 0),
    "first step rejected": (pid, 0.3, 1),
    "clipped, first step chosen": (
        lambda: diffrax.ClipStepSizeController(pid(), step_ts=[0.3, 0.7], store_rejected_steps=9),
        None,
        1,
    ),
}


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLLERS)
def test_gradient_is_exact_for_steps_that_are_not_constant(name):
    controller, dt, rejected = CONTROLLERS[name]
    saveat = diffrax.SaveAt(t1=True, ts=(0, 0.101, 0.102, 0.7))
    options = {"dt": dt, "stepsize_controller": controller(), "saveat": saveat, "max_steps": 64}
    terms = terms_of("general", hidden(TablePath.sample((NOISE,), points=8)))

    def value(at, adjoint):
        solution = solve(terms, adjoint, *at, **options)
        return jnp.sum(jnp.arange(1.0, 6.0) @ solution.ys**2), solution.stats["num_rejected_steps"]

    (reversible, rejections), (checkpoint, _) = (
        jax.jit(jax.grad(lambda at, adjoint=adjoint: value(at, adjoint), has_aux=True))(parameters())
        for adjoint in (REVERSIBLE, CHECKPOINT)
    )
    assert distance(reversible, checkpoint) < EXACT
    assert rejections >= rejected


def temporary_bytes(adjoint, steps):
    terms = terms_of("diagonal", hidden(TablePath.sample((DIM,))))
    grad = jax.jit(jax.grad(lambda at: loss(terms, adjoint, at, dt=1 / steps, max_steps=steps)))
    return grad.lower(parameters()).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.exhaustive
@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps():
    few, many = temporary_bytes(REVERSIBLE, 100), temporary_bytes(REVERSIBLE, 10_000)
    assert abs(many - few) <= 0.05 * few
    every_step = diffrax.RecursiveCheckpointAdjoint(checkpoints=10_000)
    assert temporary_bytes(every_step, 10_000) > 10 * many  # the measure sees what grows


class Growth(diffrax.AbstractTerm):
    """A term of the user's own: y' = rate(y) y."""

    rate: object

    def vf(self, t, y, args):
        return self.rate(y)

    def contr(self, t0, t1, **kwargs):
        return t1 - t0

    def prod(self, vf, control):
        return vf * control


class Field(eqx.Module):
    a: jax.Array

    def __call__(self, t, y, args):
        return jnp.tanh(self.a @ y)


def terms_holding(kind, a):
    """Terms that hold or close over the matrix a in every part."""
    if kind == "functions":
        diffusion = lambda t, y, args: lineax.DiagonalLinearOperator(jnp.sin(a[0] * y))  # noqa: E731
        control = lambda t0, t1: a[0] * (t1 - t0)  # noqa: E731
        return diffrax.MultiTerm(diffrax.ODETerm(Field(a)), diffrax.ControlTerm(diffusion, control))
    ts, values = jnp.linspace(0, 1, 4), jnp.sin(jnp.arange(12.0)).reshape(4, DIM)
    path = diffrax.LinearInterpolation(ts, values * jnp.sum(a, axis=0)[None])
    controlled = diffrax.ControlTerm(lambda t, y, args: jnp.diag(jnp.tanh(a @ y)), path)
    return diffrax.MultiTerm(controlled, Growth(lambda y: a @ y))


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["functions", "paths and own terms"])
def test_gradients_reach_what_the_terms_hold_and_close_over(kind):
    y0, args = parameters()
    reversible, checkpoint = (
        jax.jit(jax.grad(lambda a, adjoint=adjoint: loss(terms_holding(kind, a), adjoint, (y0, None))))(args["a"])
        for adjoint in (REVERSIBLE, CHECKPOINT)
    )
    assert distance(reversible, checkpoint) < EXACT
    assert distance(reversible, args["a"]) > 0.01


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_state_may_be_a_tree_and_a_solve_may_stop_early_or_be_empty():
    def field(t, y, args):
        return {"p": -jnp.sin(y["q"]), "q": y["p"]}

    def value(y0, t1, adjoint):
        saveat = diffrax.SaveAt(t0=True, t1=True, ts=t1 * np.linspace(0, 1, 5))
        ys = solve(diffrax.ODETerm(field), adjoint, y0, None, t1=t1, max_steps=5, saveat=saveat, throw=False).ys
        return jnp.sum(jnp.where(jnp.isfinite(ys["p"]), ys["p"], 0) ** 2)  # q has no cotangent

    y0 = {"p": jnp.ones((2, 1)), "q": jnp.asarray([[0.0], [1.0]])}
    reversible, checkpoint = (
        jax.jit(jax.grad(lambda y0, t1, adjoint=adjoint: value(y0, t1, adjoint)))
        for adjoint in (REVERSIBLE, CHECKPOINT)
    )
    for t1 in (0.3, 1.0, 0.0):  # five steps; fifteen, of which five are made; none
        assert distance(reversible(y0, t1), checkpoint(y0, t1)) < EXACT


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_jit_vmap_and_grad_compose():
    def value(y0, args, key):
        terms = terms_of("diagonal", diffrax.UnsafeBrownianPath((DIM,), key))
        return loss(terms, REVERSIBLE, (y0, args), dt=0.1, saveat=diffrax.SaveAt(ts=(0, 0.55, 1)))

    (y0, args), keys = parameters(), jax.random.split(jax.random.key(4), 2)
    y0 = jnp.stack([y0, 1 - y0])
    batched = jax.vmap(value, (0, None, 0))
    of_vmap = jax.jit(jax.grad(lambda y0, args: jnp.sum(batched(y0, args, keys)), (0, 1)))(y0, args)
    vmapped = jax.jit(jax.vmap(jax.grad(value, (0, 1)), (0, None, 0)))(y0, args, keys)
    assert distance(of_vmap, (vmapped[0], jax.tree.map(lambda x: jnp.sum(x, axis=0), vmapped[1]))) < EXACT


REFUSED = {
    "Midpoint": {"solver": diffrax.Midpoint()},
    "HalfSolver": {"solver": diffrax.HalfSolver(diffrax.ReversibleHeun())},
    "steps, fn": {"saveat": diffrax.SaveAt(steps=True)},
    "apply fn": {"saveat": diffrax.SaveAt(t1=True, fn=lambda t, y, args: y[0])},
    "subs": {"saveat": diffrax.SaveAt(subs=[diffrax.SubSaveAt(t1=True)])},
    "dense": {"saveat": diffrax.SaveAt(dense=True)},
    "states": {"saveat": diffrax.SaveAt(t1=True, solver_state=True)},
    "event": {"event": diffrax.Event(lambda t, y, args, **_: y[0] > 0)},
    "jump_ts": {
        "stepsize_controller": diffrax.ClipStepSizeController(diffrax.PIDController(1e-2, 1e-2), jump_ts=[0.5])
    },
    "max_steps": {"stepsize_controller": diffrax.PIDController(1e-2, 1e-2), "max_steps": None},
    "resume": {"made_jump": True},
}


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_not_exact_is_refused(word):
    with pytest.raises(ValueError, match=f"ReversibleAdjoint .*{word}"):
        solve(diffrax.ODETerm(drift), REVERSIBLE, *parameters(), **REFUSED[word])


@functools.cache
def solve_on_a_path_of_length_one():
    terms = terms_of("diagonal", own_path((DIM,), 0.0, 1.0))
    return eqx.filter_jit(lambda t0, t1: solve(terms, REVERSIBLE, *parameters(), t0=t0, t1=t1, dt=(t1 - t0) / 2).ys)


@pytest.mark.exhaustive(but=["1.0-0.0-True", "0.0-1.1-False", "1.0--0.1-False"])
@pytest.mark.parametrize(
    ("t0", "t1", "spanned"), [(0.0, 1.0, True), (1.0, 0.0, True), (0.0, 1.1, False), (1.0, -0.1, False)]
)
@pytest.mark.slow
def test_a_path_too_short_for_the_solve_is_an_error(t0, t1, spanned):
    solution, span = solve_on_a_path_of_length_one(), (jnp.asarray(t0), jnp.asarray(t1))
    if spanned:
        assert jnp.all(jnp.isfinite(solution(*span)))
    else:
        with pytest.raises(RuntimeError, match=r"not within \[0\.0, 1\.0\], where its BrownianInterval is; make"):
            jax.block_until_ready(solution(*span))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_second_derivatives_go_forwards_over_the_gradient():
    y0, args = parameters()
    terms = terms_of("diagonal", lambda t0, t1: jnp.arange(1.0, DIM + 1) * (jnp.sin(9 * t1) - jnp.sin(9 * t0)))

    def slopes(y0, adjoint):
        return jax.grad(lambda y0: loss(terms, adjoint, (y0, args), dt=0.25, max_steps=4))(y0)

    hessian = jax.jit(jax.jacfwd(slopes), static_argnums=1)
    assert distance(hessian(y0, REVERSIBLE), hessian(y0, DIRECT)) < EXACT
    with pytest.raises(RuntimeError, match=r"backwards again; use diffrax\.DirectAdjoint"):
        jax.grad(lambda y0: jnp.sum(slopes(y0, REVERSIBLE)))(y0)


@pytest.mark.slow
def test_untested_versions_and_derivatives_in_time_are_refused(monkeypatch):
    with pytest.raises(RuntimeError, match="t1"):
        jax.grad(lambda t1: loss(diffrax.ODETerm(drift), REVERSIBLE, parameters(), t1=t1))(1.0)
    with pytest.raises(RuntimeError, match="finite t1"):
        solve(diffrax.ODETerm(drift), REVERSIBLE, *parameters(), t1=jnp.inf)
    monkeypatch.setattr(diffrax, "__version__", "0.8.0")
    with pytest.raises(ValueError, match=r"0\.7\.2, but this is diffrax 0\.8\.0; install"):
        ReversibleAdjoint()


@pytest.mark.slow
def test_the_guide_runs():
    guide = pathlib.Path(sdegrad.jax.__file__).with_name("DIFFRAX.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(block, {})
