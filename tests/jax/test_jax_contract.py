"""What is refused: always a ValueError that names the value, the expectation and the remedy, before any step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, sdeint
from tests.jax.sdes import PATHS

KEY = jax.random.key(0)
Y0 = np.ones((PATHS, 3))


def path(shape=(PATHS, 3), dtype=None, t1=1.0):
    return BrownianInterval(0.0, t1, shape, KEY, dtype=dtype, dt=0.1)


def solve(
    *,
    drift=lambda t, y, args: -y,
    diffusion=lambda t, y, args: y,
    y0=Y0,
    ts=(0.0, 1.0),
    bm=None,
    dt=0.1,
    **options,
):
    return sdeint(drift, diffusion, y0, ts, bm=path() if bm is None else bm, dt=dt, **options)


def test_the_plain_call_is_accepted():
    assert solve().shape == (2, PATHS, 3)
    area = BrownianInterval(0.0, 1.0, (PATHS, 3), KEY, dt=0.1, levy_area="space-time")
    np.testing.assert_array_equal(solve(bm=area), solve())
    assert solve(ts=jnp.asarray([0.0, 0.55, 1.0]), dt=np.float32(0.1)).shape == (3, PATHS, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ts": (0.0, 0.5, 0.5)}, "strictly increasing"),
        ({"ts": (0.0,)}, "at least two times"),
        ({"ts": np.ones((2, 2))}, "sequence of times"),
        ({"ts": (0.0, float("nan"))}, "finite"),
        ({"ts": (0.0, 2.0)}, r"ts spans \[0.0, 2.0\]"),
        ({"ts": (-0.5, 1.0)}, r"but bm only \[0.0, 1.0\]"),
        ({"dt": 0.0}, "positive finite"),
        ({"dt": float("inf")}, "positive finite"),
        ({"dt": jnp.ones(2)}, "one number"),
        ({"y0": np.ones((PATHS, 3), int)}, "floating dtype"),
        ({"y0": np.full((PATHS, 3), np.nan)}, "NaN"),
        ({"y0": ()}, "no arrays"),
        ({"method": "rk4"}, "unknown method 'rk4'; choose one of 'ees25'"),
        ({"adjoint": "magic"}, "unknown adjoint"),
        ({"noise_type": "pink"}, "unknown noise_type"),
        ({"sde_type": "Ito"}, "unknown sde_type"),
        ({"sde_type": "ito"}, "solves stratonovich SDEs"),
        ({"method": "euler"}, "solves ito SDEs"),
        ({"method": "heun", "adjoint": "reversible"}, "needs a reversible method"),
        ({"options": {"base": "heun"}}, "has no options"),
        ({"drift": lambda t, y, args: y[0]}, r"drift has shape \(3,\), expected \(2, 3\)"),
        ({"drift": lambda t, y, args: (y,)}, "drift has the tree"),
        ({"diffusion": lambda t, y, args: y[..., None]}, r"has shape \(2, 3, 1\), expected \(2, 3\)"),
        ({"noise_type": "scalar"}, r"expected \(2, 3, 1\)"),
        (
            {"noise_type": "general", "diffusion": lambda t, y, args: y[..., None]},
            r"increment of bm .*expected \(2, 1\)",
        ),
        ({"noise_type": "general", "y0": np.asarray(1.0)}, r"\[\*batch, dim\]"),
        ({"bm": path((3,))}, r"increment of bm .* has shape \(3,\), expected \(2, 3\)"),
        ({"y0": np.ones((PATHS, 3), np.float32)}, "has dtype float64, but y0 has float32"),
    ],
)
def test_a_bad_call_is_refused(change, message):
    if "y0" in change and isinstance(change["y0"], np.ndarray) and change["y0"].dtype == np.float32:
        change["bm"] = path(dtype=np.float64)
    with jax.enable_x64(True), pytest.raises(ValueError, match=message):
        solve(**change)


def test_traced_times_are_refused():
    for change in ("dt", "ts"):

        def traced(x, change=change):
            return solve(**{change: x if change == "dt" else (0.0, x)})

        with pytest.raises(ValueError, match=f"{change} is traced.*static_argnames"):
            jax.jit(traced)(0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"t0": 2.0}, "strictly increasing"),
        ({"dt": -1.0}, "positive finite"),
        ({"shape": 3}, "tuple of integers"),
        ({"dtype": int}, "floating"),
        ({"levy_area": "area"}, "levy_area must be"),
        ({"key": 0}, "JAX random key"),
        ({"shape": jax.ShapeDtypeStruct((3,), np.float32), "dtype": np.float32}, "leave dtype out"),
    ],
)
def test_a_bad_path_is_refused(change, message):
    good = {"t0": 0.0, "t1": 1.0, "shape": (3,), "key": KEY}
    BrownianInterval(**good)
    with pytest.raises(ValueError, match=message):
        BrownianInterval(**(good | change))


def test_double_precision_needs_its_mode():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        BrownianInterval(0.0, 1.0, (3,), KEY, dtype=np.float64)
