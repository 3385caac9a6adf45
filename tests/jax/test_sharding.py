"""A batch that is divided among devices stays divided: no state, increment or cotangent is gathered."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PROGRAM = """
import json, re
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sdegrad.jax import BrownianInterval, sdeint

jax.config.update("jax_enable_x64", True)
PATHS, DIM, HIDDEN = 44, 3, 5
whole = NamedSharding(Mesh(np.asarray(jax.devices()), ("paths",)), PartitionSpec())
divided = NamedSharding(whole.mesh, PartitionSpec("paths"))
rng = np.random.default_rng(0)
y0 = jnp.asarray(rng.normal(size=(PATHS, DIM)))
args = jnp.asarray(0.3 * rng.normal(size=(DIM, HIDDEN))), jnp.asarray(0.3 * rng.normal(size=(HIDDEN, DIM)))


def solve(gathered, y0, args, key):
    def drift(t, y, args):
        y = jax.lax.with_sharding_constraint(y, whole) if gathered else y
        return jnp.tanh(y @ args[0] + t) @ args[1]

    def diffusion(t, y, args):
        return jax.nn.sigmoid(y @ args[0]) @ args[1]

    bm = BrownianInterval(0, 1, y0.shape, key, dt=0.1)
    return sdeint(drift, diffusion, y0, (0, 0.45, 1), bm=bm, dt=0.1, args=args)


def gradient(gathered, y0, args, key):
    return jax.grad(lambda y0, args: jnp.mean(solve(gathered, y0, args, key)[1:] ** 2), (0, 1))(y0, args)


def report(work, gathered=False):
    work = jax.jit(work, static_argnums=0)
    one = work(False, y0, args, jax.random.key(0))
    placed = jax.device_put(y0, divided), *jax.device_put((args, jax.random.key(0)), whole)
    program = work.lower(gathered, *placed).compile()
    many = program(*placed)
    text = program.as_text()
    sizes = {int(n) for shape in re.findall(r"\\b[a-z]+\\d+\\[([\\d,]+)\\]", text) for n in shape.split(",")}
    return {
        "error": max(jax.tree.leaves(jax.tree.map(lambda a, b: float(np.max(np.abs(np.asarray(a) - b))), one, many))),
        "gathers": len(re.findall(r" all-gather(?:-start)?\\(", text)),
        "undivided": sorted(sizes & {PATHS, PATHS * DIM, PATHS * HIDDEN}),
        "divided": str(jax.tree.leaves(many)[0].sharding.spec),
    }


print(json.dumps({
    "forward": report(solve), "gradient": report(gradient), "gathered": report(solve, gathered=True)
}))
"""


@pytest.fixture(scope="module")
def reports():
    """Of the program above on four simulated devices."""
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "impls"), environment.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("work", "divided"), [("forward", "(None, 'paths')"), ("gradient", "('paths',)")])
def test_nothing_is_gathered_and_the_numbers_are_the_same(reports, work, divided):
    report = reports[work]
    assert report["gathers"] == 0
    assert report["undivided"] == []  # no array of the program has room for all paths
    assert report["divided"].endswith(divided)
    assert report["error"] < 1e-14


def test_a_gather_is_seen(reports):
    assert reports["gathered"]["gathers"] > 0
    assert reports["gathered"]["undivided"] != []
