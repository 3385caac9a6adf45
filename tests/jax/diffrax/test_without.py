"""What `sdegrad.jax` does where diffrax is not installed, or is imported later."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
START = """
import sys
import jax
import jax.numpy as jnp
import sdegrad.jax
from sdegrad.jax import BrownianInterval, sdeint

bm = BrownianInterval(0.0, 1.0, (2,), jax.random.key(0), levy_area="space-time", dt=0.25)
assert "diffrax" not in sys.modules
"""

BLOCKED = """
sys.modules["diffrax"] = None  # as if it were not installed

def solve(y0, **steps):
    ys = sdeint(lambda t, y, a: -y, lambda t, y, a: jnp.ones((2, 2)), y0, (0.0, 1.0), bm=bm, method="sra1",
                noise_type="additive", **steps)
    return jnp.sum(ys[-1])

for steps in ({"dt": 0.25}, {"steps": 2}):
    assert jnp.isfinite(jax.jit(jax.grad(lambda y0: solve(y0, **steps)))(jnp.ones(2))).all()
BrownianInterval(0.0, 1.0, (2,), jax.random.key(0))
assert sdegrad.jax.__version__ == sdegrad.__version__
assert {*sdegrad.jax.__all__, "ReversibleAdjoint"} <= set(dir(sdegrad.jax))
exec("from sdegrad.jax import *", names := {})
assert set(sdegrad.jax.__all__) <= set(names)
for ask in (lambda: sdegrad.jax.ReversibleAdjoint, lambda: bm.levy_area):
    try:
        ask()
    except ImportError as error:
        assert "diffrax" in str(error)
    else:
        raise AssertionError
"""

IMPORTED_LATER = """
import diffrax
assert not isinstance(bm, diffrax.AbstractPath)
term = diffrax.ControlTerm(lambda t, y, args: jnp.ones((2, 2)), bm)
try:
    term.contr(0.0, 1.0)
except RuntimeError as error:
    assert "import sdegrad.jax.diffrax first" in str(error)
else:
    raise AssertionError
"""

ASKED_FOR = """
import sdegrad.jax.diffrax
assert isinstance(bm, diffrax.AbstractBrownianPath)
term = diffrax.ControlTerm(lambda t, y, args: jnp.ones((2, 2)), bm)
made = jax.eval_shape(lambda: term.contr(0.0, 1.0, use_levy=True))
assert type(made) is bm.levy_area is diffrax.SpaceTimeLevyArea
assert sdegrad.jax.ReversibleAdjoint is sdegrad.jax.diffrax.ReversibleAdjoint
"""

ANOTHER_PATH = """
BrownianInterval(0.0, 1.0, (2,), jax.random.key(0))
assert isinstance(bm, diffrax.AbstractBrownianPath)
assert "sdegrad.jax.diffrax" not in sys.modules
"""


def run(*parts):
    done = subprocess.run([sys.executable, "-c", START + "".join(parts)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_it_needs_no_diffrax():
    run(BLOCKED)


def test_a_path_made_before_diffrax_was_imported():
    """It is none of diffrax's until `sdegrad.jax.diffrax` is imported, and until then an error says so."""
    run(IMPORTED_LATER, ASKED_FOR)


def test_a_path_made_after_diffrax_was_imported():
    """It registers the class, and so the path made before."""
    run(IMPORTED_LATER, ANOTHER_PATH)
