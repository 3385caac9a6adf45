"""Solves of one batch over the devices of two processes, as a program of each process.

    python -m tests.jax.over_mesh NAME PORT RANK FILE

The file holds, of each solve, the parts of its results that lie in this process, and what its compiled program says.
"""

import pickle
import re
import sys
from functools import partial
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import lineax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sdegrad.jax import BrownianInterval, sdeint
from sdegrad.jax.diffrax import ReversibleAdjoint

PROCESSES, DEVICES = 2, 4
PATHS, DIM, HIDDEN = 44, 3, 5
AXES = ("hosts", "devices")


def inputs():
    rng = np.random.default_rng(0)
    args = 0.3 * rng.normal(size=(DIM, HIDDEN)), 0.3 * rng.normal(size=(HIDDEN, DIM))
    return rng.normal(size=(PATHS, DIM)), args


def drift(t, y, args):
    return jnp.tanh(y @ args[0] + t) @ args[1]


def diffusion(t, y, args):
    return jax.nn.sigmoid(y @ args[0]) @ args[1]


def path(rows=None):
    return BrownianInterval(0, 1, (PATHS, DIM), jax.random.key(3), dtype=jnp.float64, dt=0.1, rows=rows)


def with_sdegrad(y0, args, bm):
    return sdeint(drift, diffusion, y0, (0, 0.45, 1), bm=bm, dt=0.1, args=args)


def with_diffrax(y0, args, bm):
    control = diffrax.ControlTerm(lambda t, y, args: lineax.DiagonalLinearOperator(diffusion(t, y, args)), bm)
    saveat = diffrax.SaveAt(ts=jnp.asarray([0, 0.45, 1], y0.dtype))
    terms = diffrax.MultiTerm(diffrax.ODETerm(drift), control)
    solver, adjoint = diffrax.ReversibleHeun(), ReversibleAdjoint()
    end = {"saveat": saveat, "adjoint": adjoint, "throw": False}  # what may throw lies on one device
    return diffrax.diffeqsolve(terms, solver, 0.0, 1.0, 0.1, y0, args, **end).ys


SOLVES = {"sdegrad": with_sdegrad, "diffrax": with_diffrax}


def gradient(solve, y0, args, rows=None):
    """The increment over a cell, the solution, and the gradients with respect to y0 and args."""
    bm = path(rows)

    def loss(y0, args):
        ys = solve(y0, args, bm)
        return jnp.sum(ys[1:] ** 2), ys

    (a_y0, a_args), ys = jax.grad(loss, (0, 1), has_aux=True)(y0, args)
    return bm.cell(4), ys, a_y0, a_args


SPECS = P(AXES), P(None, AXES), P(AXES), P()  # of what `gradient` returns


def over_mesh(solve, mesh):
    """By the sharding of y0; of the increment, with which y0 has nothing to do, by that of the result."""
    return jax.jit(partial(gradient, solve), out_shardings=jax.tree.map(partial(NamedSharding, mesh), SPECS))


def by_shard_map(solve, mesh, check):
    """Each device with its rows; gradients of args are summed by `check_vma`, or by hand without."""

    def here(y0, args):
        dW, ys, a_y0, a_args = gradient(solve, y0, args, AXES)
        return dW, ys, a_y0, a_args if check else jax.lax.psum(a_args, AXES)

    return jax.jit(jax.shard_map(here, mesh=mesh, check_vma=check, in_specs=(P(AXES), P()), out_specs=SPECS))


def gathered(mesh):
    """A solve that gathers the states of all paths at every step: what must be seen."""

    def everywhere(t, y, args):
        return drift(t, jax.lax.with_sharding_constraint(y, NamedSharding(mesh, P())), args)

    how = {"bm": path(), "dt": 0.1, "method": "euler_heun"}
    return jax.jit(lambda y0, args: sdeint(everywhere, diffusion, y0, (0, 1), args=args, **how))


def told(program):
    """What the text of a compiled program says of its collectives, and of arrays with room for all paths. in_loops:
    sums over devices that are not made once for the whole program."""
    sizes = {int(n) for shape in re.findall(r"\b[a-z]+\d+\[([\d,]+)\]", program) for n in shape.split(",")}
    moved = re.findall(r" (all-gather|all-to-all|collective-permute)(?:-start)?\(", program)
    in_loops = program.partition("\nENTRY")[0].count(" all-reduce(")
    return {"moved": moved, "in_loops": in_loops, "undivided": sorted(sizes & {PATHS, PATHS * DIM, PATHS * HIDDEN})}


def parts(x):
    return [(shard.index, np.asarray(shard.data)) for shard in x.addressable_shards]


def main(name, port, rank, file):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", PROCESSES, int(rank))
    mesh = Mesh(np.asarray(jax.devices()).reshape(PROCESSES, -1), AXES)
    y0, args = inputs()
    divided, whole = NamedSharding(mesh, P(AXES)), NamedSharding(mesh, P())
    placed = [
        jax.make_array_from_callback(x.shape, where, x.__getitem__)
        for x, where in ((y0, divided), (args[0], whole), (args[1], whole))
    ]
    works = {
        "gathered": gathered(mesh),
        "sharding": over_mesh(SOLVES[name], mesh),
        "shard_map": by_shard_map(SOLVES[name], mesh, check=name == "sdegrad"),
    }
    reports = {}
    for how, work in works.items():
        program = work.lower(placed[0], tuple(placed[1:])).compile()
        made = program(placed[0], tuple(placed[1:]))
        reports[how] = told(program.as_text()) | {"parts": jax.tree.map(parts, made)}
    Path(file).write_bytes(pickle.dumps(reports))


if __name__ == "__main__":
    main(*sys.argv[1:])
