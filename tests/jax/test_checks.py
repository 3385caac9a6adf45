"""What is refused: always a ValueError that names the value, the expectation and the remedy, before any step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, sdeint
from sdegrad.jax.arguments import check_choice, check_flag, check_options, runtime_number, static_number
from sdegrad.jax.checks import check_callable, check_path, static_times
from sdegrad.methods import METHODS
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


ADDITIVE = {"noise_type": "additive", "bm": path((PATHS, 1)), "y0": jnp.ones((PATHS, 3), np.float32)}


@pytest.mark.slow
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
        ({"y0": "abc"}, "y0 must be an array"),
        ({"y0": (Y0, jnp.tanh)}, "y0 must be an array"),
        ({"method": "reversable_heun"}, "did you mean 'reversible_heun'"),
        ({"sde_type": "Stratonovich"}, "did you mean 'stratonovich'"),
        ({"adjoint": ""}, "unknown adjoint ''"),
        ({"noise_type": "general", "diffusion": lambda t, y, args: None}, "diffusion .* returns nothing"),
        ({"noise_type": "general", "diffusion": lambda t, y, args: y[0, 0]}, r"has shape \(\), expected \(2, 3, 1\)"),
        ({"y0": np.ones((PATHS, 3), int)}, "floating dtype"),
        ({"y0": np.full((PATHS, 3), np.nan)}, "NaN"),
        ({"y0": ()}, "no arrays"),
        ({"method": "rk4"}, "unknown method 'rk4'; did you mean 'srk'. choose one of 'ees25'"),
        ({"adjoint": "magic"}, "unknown adjoint"),
        ({"noise_type": "pink"}, "unknown noise_type"),
        ({"sde_type": "Ito"}, "unknown sde_type"),
        ({"sde_type": "ito"}, "solves stratonovich SDEs"),
        ({"method": "euler"}, "solves ito SDEs"),
        ({"method": "heun", "adjoint": "reversible"}, "needs a reversible method"),
        ({"options": {"base": "heun"}}, "has no options"),
        ({"drift": lambda t, y, args: y[0]}, r"drift has shape \(3,\), expected \(2, 3\)"),
        ({"drift": lambda t, y, args: (y,)}, "drift has the tree"),
        ({"drift": lambda t, y, args: None}, "drift is None: its function returns nothing"),
        ({"drift": lambda t, y, args: 0.0}, "drift has 0.0 in it, expected an array of shape .*zeros_like"),
        ({"drift": lambda t, y, args: "y"}, "drift has 'y' in it"),
        ({"diffusion": dict}, "diffusion must be a function .*class 'dict'.*pass an object of it"),
        ({"dt": None}, "dt or steps must be given"),
        ({"steps": 4}, "steps=4 is in place of dt.*leave out dt"),
        ({"dt": None, "steps": 0}, "steps must be a positive integer"),
        ({"dt": None, "steps": 2**31}, "steps must be a positive integer .* at most 1073741824, got 2147483648"),
        ({"adaptive": True, "max_steps": 2**40}, "max_steps must be a positive integer .* at most 1073741824"),
        ({"dt": None, "steps": 4, "adaptive": True}, "for constant steps; leave out adaptive"),
        ({"diffusion": lambda t, y, args: y[..., None]}, r"has shape \(2, 3, 1\), expected \(2, 3\)"),
        ({"noise_type": "scalar"}, r"expected \(2, 3, 1\)"),
        (
            {"noise_type": "general", "diffusion": lambda t, y, args: y[..., None]},
            r"increment of bm .*expected \(2, 1\)",
        ),
        ({"noise_type": "general", "y0": np.asarray(1.0)}, r"\[\*batch, dim\]"),
        (
            ADDITIVE | {"diffusion": lambda t, y, args: t * y[..., None]},
            "'additive' must not depend on y",
        ),
        (ADDITIVE | {"diffusion": lambda t, y, args: jnp.floor(y)[..., None]}, "take only its shape"),
        ({"bm": path((3,))}, r"increment of bm .* has shape \(3,\), expected \(2, 3\)"),
        ({"y0": np.ones((PATHS, 3), np.float32)}, "has dtype float64, but y0 has float32"),
    ],
)
def test_a_bad_call_is_refused(change, message):
    if "y0" in change and isinstance(change["y0"], np.ndarray) and change["y0"].dtype == np.float32:
        change["bm"] = path(dtype=np.float64)
    with jax.enable_x64(True), pytest.raises(ValueError, match=message):
        solve(**change)


@pytest.mark.slow
def test_additive_noise_may_take_its_shape_by_a_factor_of_zero():
    made, expected = (
        solve(**ADDITIVE, diffusion=diffusion)
        for diffusion in (
            lambda t, y, args: 0 * y[..., None] + 0.5,
            lambda t, y, args: 0.5 * jnp.ones_like(y)[..., None],
        )
    )
    np.testing.assert_array_equal(made, expected)


@pytest.mark.parametrize("method", METHODS)
def test_fields_of_another_dtype_are_refused_before_the_first_step(method):
    """Whatever the method would do with them: one sentence that names both dtypes."""
    facts, single = METHODS[method], Y0.astype(np.float32)
    noise_type = "diagonal" if "diagonal" in facts.order else "additive"
    bm = BrownianInterval(0.0, 1.0, Y0.shape, KEY, dtype=np.float32, dt=0.1, levy_area="space-time")
    options = {"method": method, "sde_type": facts.sde_type, "noise_type": noise_type, "bm": bm, "y0": single}

    def diffusion(t, y, args):
        return y if noise_type == "diagonal" else jnp.broadcast_to(y[..., None], (*y.shape, 3))

    def changed(f, dtype):
        return lambda t, y, args: f(t, y, args).astype(dtype)

    for dtype in (np.float64, jnp.bfloat16, np.int32, np.complex64):
        for name, field in (("drift", lambda t, y, args: y), ("diffusion", diffusion)):
            message = f"{name}.* has dtype {np.dtype(dtype).name}, but y0 has float32"
            with pytest.raises(ValueError, match=message):
                solve(**({"diffusion": diffusion} | options | {name: changed(field, dtype)}))


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
        ({"key": jnp.ones(2)}, "JAX random key"),
        ({"key": jax.random.split(KEY, 3)}, "one JAX random key.*jax.vmap"),
        ({"dtype": "float23"}, "floating"),
        ({"shape": jax.ShapeDtypeStruct((3,), np.float32), "dtype": np.float32}, "leave dtype out"),
    ],
)
def test_a_bad_path_is_refused(change, message):
    good = {"t0": 0.0, "t1": 1.0, "shape": (3,), "key": KEY}
    BrownianInterval(**good)
    with pytest.raises(ValueError, match=message):
        BrownianInterval(**(good | change))


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        *[(static_number, value, "x must be one number") for value in (None, "0.1", True, 1j, [0.0], jnp.ones(2))],
        *[(runtime_number, value, "x must be one number") for value in (None, "0.1", False, 1j)],
        (check_flag, "yes", "x must be True or False, got 'yes'"),
        (check_choice, ["heun"], r"unknown x \['heun'\]; choose one of 'heun'"),
        (check_choice, None, "unknown x None; choose one of 'heun'"),
        (check_options, ["base"], "options must be a dict"),
        (static_times, ("a", "b"), "sequence of times"),
        (static_times, (0j, 1j), "complex128"),
        (check_callable, 3, r"x must be a function of \(t, y, args\), got 3"),
        (check_path, BrownianInterval, r"bm must have evaluate\(t0, t1\)"),
    ],
)
def test_a_wrong_type_is_refused(check, value, message):
    """By the checks themselves, as in the tests the annotations of `sdeint` refuse it first."""
    with pytest.raises(ValueError, match=message):
        calls(check)(value)


@pytest.mark.parametrize("check", [static_number, check_flag, check_choice, check_options, static_times])
def test_what_must_be_static_is_refused_where_traced(check):
    with pytest.raises(ValueError, match=r"is traced.*static_argnames"):
        jax.jit(lambda x: calls(check)({"coupling": x} if check is check_options else x))(1.0)


def calls(check):
    """`check`, of a value alone."""
    if check is check_choice:
        return lambda value: check("x", value, ("heun",))
    if check is check_path:
        return lambda value: check(value, None, 0.0)
    if check is runtime_number:
        return lambda value: check("x", value, positive=True)
    return check if check in (check_options, static_times) else lambda value: check("x", value)


@pytest.mark.exhaustive(but=["jit"])
@pytest.mark.slow
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.grad, lambda f: lambda x: jax.vmap(f)(x[None])])
def test_a_double_precision_state_is_not_rounded_in_silence(transform):
    def total(x, y0):
        return jnp.sum(solve(y0=y0, bm=path(dtype=np.float32), drift=lambda t, y, args: x * y))

    double = np.ones((PATHS, 3))
    with jax.enable_x64(False):
        for y0 in (double, np.float64(1.0), {"a": double}):
            with pytest.raises(ValueError, match=r"dtype float64.*astype\('float32'\).*jax_enable_x64"):
                transform(lambda x, y0=y0: total(x, y0))(jnp.ones(()))
        assert np.isfinite(transform(lambda x: total(x, double.astype(np.float32)))(jnp.ones(()))).all()
        assert solve(y0=1.0, bm=path((), np.float32)).dtype == np.float32  # a Python number has no dtype of its own
    assert solve(y0=double).dtype == np.float64


@pytest.mark.exhaustive(but=["reversible", "backsolve"])
@pytest.mark.parametrize("adjoint", ["reversible", "backprop", "checkpoint", "backsolve"])
@pytest.mark.slow
def test_args_may_hold_what_has_no_gradient(adjoint):
    args = {"rate": jnp.ones(3), "ints": jnp.arange(3), "power": 2, "flag": True}
    args |= {"name": "mean", "act": jnp.tanh, "none": None}

    def drift(t, y, args):
        assert (args["flag"], args["name"], args["none"]) == (True, "mean", None)
        rate, ints = (jnp.broadcast_to(args[name], y.shape) for name in ("rate", "ints"))
        return -(args["act"](rate * y) ** args["power"]) + 0 * ints.astype(y.dtype)

    def loss(rate):
        return jnp.sum(solve(drift=drift, args={**args, "rate": rate}, adjoint=adjoint)[-1])

    gradient = jax.jit(jax.grad(loss))(args["rate"])
    assert np.all(np.abs(gradient) > 1e-3)


def test_double_precision_needs_its_mode():
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64"):
        BrownianInterval(0.0, 1.0, (3,), KEY, dtype=np.float64)
