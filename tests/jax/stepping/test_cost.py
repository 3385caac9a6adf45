"""What a solve by constant steps is made of, by count and not by clock: draws, evaluations, loops, memory."""

import re
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.contract import Task
from sdegrad.jax import BrownianInterval, sdeint
from sdegrad.jax.brownian import cells
from sdegrad.jax.stepping import fixed as steps
from sdegrad.registry import load
from suite.problems import make

PATHS, DIM, HIDDEN = 4, 3, 5
STEPS = 100
BLOCK = 128 // (PATHS * DIM)  # increments drawn at once


def drift(t, y, args):
    return jnp.tanh(y @ args["a"] + t) @ args["b"]


def diffusion(t, y, args):
    return jax.nn.sigmoid(y @ args["c"] - t) @ args["b"]


def arguments(dtype: Any = np.float64):
    rng = np.random.default_rng(0)
    shapes = {"a": (DIM, HIDDEN), "b": (HIDDEN, DIM), "c": (DIM, HIDDEN)}
    weights = {name: 0.3 * rng.normal(size=shape) for name, shape in shapes.items()}
    y0, weights = jax.tree.map(lambda x: jnp.asarray(x, dtype), (rng.normal(size=(PATHS, DIM)), weights))
    return y0, weights, jax.random.key(0)


def solve(y0, args, key, ts=(0, 1), dt=1 / STEPS, drift=drift, **options):
    bm = BrownianInterval(0, 1, y0.shape, key, dt=dt, dtype=y0.dtype)
    return sdeint(drift, diffusion, y0, ts, bm=bm, dt=dt, args=args, **options)


def gradient(y0, args, key, **options):
    loss = lambda y0, args: jnp.sum(solve(y0, args, key, **options)[1:] ** 2)  # noqa: E731
    return jax.grad(loss, (0, 1))(y0, args)


def compiled(work, *, dtype: Any = np.float64, **options):
    given = arguments(dtype)
    return jax.jit(lambda *a: work(*a, **options)).lower(*given).compile()


@pytest.mark.exhaustive(but=["ts0-0.01-at0", "ts1-0.01-at1"])
@pytest.mark.parametrize(
    ("ts", "dt", "at"),
    [
        ((0, 1), 0.01, (0, 100)),
        ((0, 0.31, 0.32, 0.4, 1), 0.01, (0, 31, 32, 40, 100)),
        ((0, 0.49, 1), 0.07, (0, 7, 15)),  # the last step is shorter
        ((0.1, 1), 0.01, (10, 100)),
    ],
)
def test_the_increments_of_a_block_are_those_of_the_cells(ts, dt, at):
    y0, _, key = arguments()
    bm = BrownianInterval(0, 1, y0.shape, key, dt=dt)
    zero, one = (lambda t, y, args, x=x: jnp.full_like(y, x) for x in (0, 1))
    options: dict[str, Any] = {"method": "euler", "sde_type": "ito", "adjoint": "backsolve"}
    W = jax.jit(lambda: sdeint(zero, one, 0 * y0, ts, bm=bm, dt=dt, **options))()
    path = np.concatenate([0 * y0[None], np.cumsum(jax.vmap(bm.cell)(jnp.arange(bm.grid.steps)), axis=0)])
    at = np.asarray(at)
    np.testing.assert_allclose(W, path[at] - path[at[0]], atol=1e-14)
    assert np.max(np.abs(W[-1] - (path[at[-1] - 1] - path[at[0]]))) > 1e-3  # without the last step


@pytest.mark.exhaustive(but=["ts0"])
@pytest.mark.slow
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("ts", [(0, 1), (0, 0.03, 0.31, 0.32, 1)])
def test_gradients_are_exact_with_increments_drawn_in_blocks(ts):
    a, b = (compiled(gradient, ts=ts, adjoint=adjoint)(*arguments()) for adjoint in ("reversible", "backprop"))
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (a, b))
    assert np.sum(np.abs(a - b)) < 1e-13 * np.sum(np.abs(b))


@pytest.fixture
def counted(monkeypatch):
    """The function work -> how many normals and evaluations of the drift it makes."""
    count, made = Counter(), cells.normal

    def normal(key, counter, shape, dtype, first):
        jax.debug.callback(lambda _: count.update(normals=int(np.prod(shape))), counter)
        return made(key, counter, shape, dtype, first)

    def evaluated(t, y, args):
        jax.debug.callback(lambda _: count.update(evaluations=1), y[0, 0])
        return drift(t, y, args)

    def counts(work, **options):
        count.clear()
        jax.block_until_ready(compiled(work, drift=evaluated, **options)(*arguments()))
        jax.effects_barrier()
        return count["normals"] / (STEPS * PATHS * DIM), count["evaluations"]

    monkeypatch.setattr(cells, "normal", normal)
    jax.clear_caches()
    yield counts
    jax.clear_caches()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_step_draws_a_normal_and_evaluates_once(counted):
    spare = BLOCK / STEPS  # the last block is drawn whole
    for work, passes in ((solve, 1), (gradient, 2)):
        normals, evaluations = counted(work)
        assert passes <= normals <= passes * (1 + spare) + 1 / STEPS  # one for its shape
        assert evaluations == passes * (STEPS + 1)
    _, evaluations = counted(gradient, method="heun", adjoint="checkpoint")
    assert evaluations == 4 * STEPS  # two a step, all of them twice


def loops(program):
    """Of every loop that multiplies matrices itself: its operations, and how many of them are loops."""
    text = program.as_text()
    bodies = set(re.findall(r"body=%([\w.\-]+)", text))
    found = []
    for name, body in re.findall(r"^%([\w.\-]+) \(.*?\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        operations = Counter(re.findall(r"^ +(?:ROOT )?%[\w.\-]+ = .*? ([\w\-]+)\(%", body, re.MULTILINE))
        for free in ("get-tuple-element", "tuple", "parameter", "constant", "bitcast"):
            del operations[free]
        if name in bodies and operations["dot"]:
            found.append((operations.total(), operations["while"] + operations["call"]))
    return found


@pytest.mark.exhaustive
def test_the_loop_over_steps_does_nothing_else(monkeypatch):
    """One loop for the forward pass and one for the backward pass, without loops inside; a bound on the kernels that a
    step starts: seen were 14 and 48.
    """
    ((operations, inner),) = loops(compiled(solve, dtype=np.float32))
    assert operations <= 20
    assert inner == 0
    forward, backward = sorted(loops(compiled(gradient, dtype=np.float32)))
    assert forward[0] <= 20
    assert backward[0] <= 60
    assert forward[1] == backward[1] == 0
    monkeypatch.setattr(steps, "_DRAWS", 1)
    ((operations, inner),) = loops(compiled(solve, dtype=np.float32))
    assert inner > 0  # the draw of a single increment


@pytest.mark.exhaustive
def test_memory_does_not_grow_with_the_steps_where_increments_are_drawn_in_blocks():
    plans: Any = [compiled(gradient, dt=dt).memory_analysis() for dt in (1e-2, 1e-4)]
    few, many = (plan.temp_size_in_bytes for plan in plans)
    assert abs(many - few) <= 0.05 * few


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("library", ["sdegrad_jax", "diffrax"])
def test_rejected_steps_show_in_the_evaluations_only(library):
    """Steps are those accepted. Every step tried is one evaluation. A finer tolerance takes more steps."""
    task: dict[str, Any] = {"method": "reversible_heun", "dt": 0.5, "ts": (0.0, 1.0), "atol": 1e-6}
    problem = make("mlp", paths=2, dim=3, hidden=4)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        coarse, fine = (load(library).prepare(Task(problem=problem, rtol=r, **task)).count() for r in (1e-2, 1e-3))
    assert coarse.drift == coarse.diffusion > coarse.steps
    assert fine.drift == fine.diffusion > fine.steps + 2
    assert fine.steps > coarse.steps >= 2
