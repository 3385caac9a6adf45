"""Every problem of the table: the same numbers in every framework, and what is said to be exact is.

Orders are measured on 2000 Brownian paths, seed fixed. An order is accepted if its 0.95 interval, widened by
0.05 for the finite step sizes, holds the theoretical one.
"""

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import get_args

import jax
import numpy as np
import pytest
import torch
from array_api_compat import torch as torch_namespace
from scipy.linalg import expm
from scipy.special import expit

from sdegrad import contract, methods
from suite import statistics
from suite.paths import make_path
from suite.problems import PROBLEMS, NoiseType, SDEType, make
from tests.suite.coarse import coarsen

NAMES = list(PROBLEMS)
EXACT = [name for name in NAMES if make(name).exact]
DIFFERENTIATED = [name for name in EXACT if make(name).exact_gradient]
BOUNDED = [name for name in NAMES if np.isfinite(make(name).lipschitz)]
CALCULI = get_args(SDEType)


def namespace(module, sigmoid, silu):
    return SimpleNamespace(**{name: getattr(module, name) for name in dir(module)} | {"sigmoid": sigmoid, "silu": silu})


NUMPY = namespace(np, expit, lambda x: x * expit(x))
TORCH = namespace(torch_namespace, torch.sigmoid, torch.nn.functional.silu)


def evaluate(problem, t=0.3):
    return [f(NUMPY, t, problem.y0, problem.params) for f in (problem.drift, problem.diffusion)]


def path_for(problem, steps, seed=1):
    return make_path(problem.t0, problem.t1, steps, len(problem.y0), problem.noise_dim, seed)


# --- fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_fields_agree_in_numpy_torch_and_jax(name):
    problem = make(name, seed=3)
    in_torch = {key: torch.from_numpy(p) for key, p in problem.params.items()}
    with jax.enable_x64(True):
        JAX = namespace(jax.numpy, jax.nn.sigmoid, jax.nn.silu)
        for field in (problem.drift, problem.diffusion):
            expected = field(NUMPY, 0.3, problem.y0, problem.params)
            t = torch.tensor(0.3, dtype=torch.float64)
            ours = field(TORCH, t, torch.from_numpy(problem.y0), in_torch)
            np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12, atol=1e-12)
            call = jax.jit(lambda t, y, p, field=field: field(JAX, t, y, p))
            ours = call(0.3, problem.y0, dict(problem.params))
            assert ours.dtype == np.float64
            np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_fields_keep_single_precision(name):
    problem = make(name)
    params = {key: torch.from_numpy(p).float() for key, p in problem.params.items()}
    for t in (0.3, torch.tensor(0.3)):
        for field in (problem.drift, problem.diffusion):
            assert field(TORCH, t, torch.from_numpy(problem.y0).float(), params).dtype == torch.float32


@pytest.mark.parametrize("name", NAMES)
def test_shapes_fit_the_noise_type(name):
    problem = make(name, paths=5)
    dim, noise = problem.y0.shape[1], problem.noise_dim
    drift, diffusion = evaluate(problem)
    assert problem.y0.shape == drift.shape == (5, dim)
    assert diffusion.shape == ((5, dim) if problem.noise_type == "diagonal" else (5, dim, noise))
    assert {"diagonal": noise == dim, "scalar": noise == 1}.get(problem.noise_type, True)
    for p in (problem.y0, *problem.params.values()):
        assert p.dtype == np.float64
    for field, whole in ((problem.drift, drift), (problem.diffusion, diffusion)):
        one = field(NUMPY, 0.3, problem.y0[2], problem.params)
        np.testing.assert_allclose(one, whole[2], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_as_asked(name):
    asked = {"paths": 3, "dim": 5, "hidden": 7, "noise_dim": 4}
    asked = {size: value for size, value in asked.items() if size in PROBLEMS[name].sizes}
    problem = make(name, **asked, t1=2.0)
    got = {"paths": problem.y0.shape[0], "dim": problem.y0.shape[1], "hidden": problem.hidden}
    got["noise_dim"] = problem.noise_dim
    assert {size: got[size] for size in asked} == asked
    assert (problem.hidden > 0) == ("hidden" in asked)
    assert (problem.name, problem.t0, problem.t1) == (name, 0.0, 2.0)
    evaluate(problem)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_depend_on_the_seed_and_not_on_the_number_of_paths(name):
    one, more, other = make(name, seed=1), make(name, seed=1, paths=77), make(name, seed=2)
    for key, p in one.params.items():
        np.testing.assert_array_equal(p, more.params[key])
        assert not np.isclose(p, other.params[key]).all()
    assert not np.isclose(one.y0, other.y0).all()


def additive(problem):
    y = np.random.default_rng(0).standard_normal(problem.y0.shape)
    return np.array_equal(*(problem.diffusion(NUMPY, 0.3, x, problem.params) for x in (y, problem.y0)))


@pytest.mark.parametrize("name", NAMES)
def test_only_additive_noise_is_the_same_in_every_state(name):
    problem = make(name)
    assert additive(problem) == (problem.noise_type == "additive")


def bracket(problem, y, eps=1e-6):
    """Of the first two columns of the diffusion at the states y, by central differences [paths, dim]."""

    def column(x, j):
        return problem.diffusion(NUMPY, 0.0, x, problem.params)[..., j]

    def along(j, v):
        return (column(y + eps * v, j) - column(y - eps * v, j)) / (2 * eps)

    return along(1, column(y, 0)) - along(0, column(y, 1))


@pytest.mark.parametrize("name", ["general", "neural", "mlp_general", "driven_general"])
def test_general_noise_does_not_commute(name):
    problem = make(name)
    assert np.median(np.abs(bracket(problem, problem.y0))) > 1e-3
    same = replace(problem, diffusion=lambda *a: np.repeat(problem.diffusion(*a)[..., :1], 2, -1))
    assert np.abs(bracket(same, problem.y0)).max() < 1e-8


# --- exact solutions -------------------------------------------------------------------------------------


def solve(problem, path):
    """Euler-Maruyama for Ito, Heun for Stratonovich: the end state [paths, dim]."""
    y = problem.y0
    for k in range(len(path.times) - 1):
        dW = path.W[k + 1] - path.W[k]

        def step(t, y, dW=dW):
            f, g = (field(NUMPY, t, y, problem.params) for field in (problem.drift, problem.diffusion))
            return f * path.dt + (g * dW if problem.noise_type == "diagonal" else np.einsum("pdn,pn->pd", g, dW))

        first = step(path.times[k], y)
        heun = problem.sde_type == "stratonovich"
        y = y + ((first + step(path.times[k + 1], y + first)) / 2 if heun else first)
    return y


def converges(problem, exact):
    """Whether the scheme converges to `exact` [paths, dim] at its strong order in the table of methods."""
    path, factors = path_for(problem, 256), (1, 2, 4, 8, 16)
    squares = [statistics.squared_errors(solve(problem, coarsen(path, f)), exact) for f in factors]
    order = statistics.order([f * path.dt for f in factors], np.array(squares))
    method = methods.METHODS["heun" if problem.sde_type == "stratonovich" else "euler"]
    return order.low - 0.05 < method.order[problem.noise_type] < order.high + 0.05


@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("name", DIFFERENTIATED)  # for the others `test_verify_orders` measures sharper orders
def test_exact_solution_solves_the_equation(name, sde_type):
    problem = make(name, paths=2000, sde_type=sde_type)
    path = path_for(problem, 256)
    assert converges(problem, problem.exact(path, problem.y0, problem.params))
    for key in problem.params:
        wrong = {k: p * 1.03 if k == key else p for k, p in problem.params.items()}
        assert not converges(problem, problem.exact(path, problem.y0, wrong)), key


@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("name", ["gbm", "scalar"])
def test_the_solution_in_the_other_calculus_is_rejected(name, sde_type):
    problem = make(name, paths=2000, sde_type=sde_type)
    (other,) = set(CALCULI) - {sde_type}
    exact = make(name, paths=2000, sde_type=other).exact
    assert not converges(problem, exact(path_for(problem, 256), problem.y0, problem.params))


@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("dim", [2, 3, 6])
def test_scalar_solution_is_the_matrix_exponential(sde_type, dim):
    problem = make("scalar", dim=dim, sde_type=sde_type)
    A, B = problem.params["A"], problem.params["B"]
    np.testing.assert_allclose(A @ B, B @ A, atol=1e-15)
    for M in (A, B):
        assert np.linalg.norm(M - M.T) > 0.1
        assert np.linalg.norm(M @ M.T - M.T @ M) > 0.01
    path = path_for(problem, 4)
    drift = A - B @ B / 2 if sde_type == "ito" else A
    ours = problem.exact(path, problem.y0, problem.params)
    theirs = [y @ expm(drift + B * w) for y, w in zip(problem.y0, path.W[-1, :, 0], strict=True)]
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_ou_quadrature_error_is_of_second_order_and_as_small_as_stated():
    problem = make("ou", paths=2000, dim=1, noise_dim=1)
    fine = path_for(problem, 1024)
    theta, sigma = problem.params["theta"], problem.params["sigma"]
    exact = problem.exact(fine, problem.y0, problem.params)
    for factor in (64, 16):
        coarse = coarsen(fine, factor)
        error = np.std(problem.exact(coarse, problem.y0, problem.params) - exact)
        stated = abs(sigma) * theta**2 * coarse.dt**2 / 720**0.5
        assert 0.5 < error / stated.item() < 1.1  # the early cells decay until T


def test_ou_has_its_gaussian_law():
    """80 000 paths; mean and variance of X(T) within 4 standard deviations, a variance 3 % off is not."""
    problem = replace(make("ou", dim=1, noise_dim=2), y0=np.full((80_000, 1), 0.7))
    theta, mean, sigma = (problem.params[key] for key in ("theta", "mean", "sigma"))
    x = problem.exact(path_for(problem, 16), problem.y0, problem.params)
    variance = (sigma**2).sum() * (1 - np.exp(-2 * theta)) / (2 * theta)
    centre = mean + (0.7 - mean) * np.exp(-theta)
    spread = 4 * (2 / len(x)) ** 0.5
    assert abs(x.mean() - centre) < 4 * (variance / len(x)) ** 0.5
    assert abs(x.var() / variance - 1) < spread
    assert abs(x.var() / (1.03 * variance) - 1) > spread


@pytest.mark.parametrize("name", EXACT)
def test_exact_solution_refuses_a_path_that_does_not_fit(name):
    problem = make(name)
    for path in (
        make_path(0.0, 1.0, 8, 1, problem.noise_dim, 0),
        make_path(0.0, 1.0, 8, len(problem.y0), problem.noise_dim + 1, 0),
        make_path(0.5, 1.0, 8, len(problem.y0), problem.noise_dim, 0),
    ):
        for function in filter(None, (problem.exact, problem.exact_gradient)):
            with pytest.raises(ValueError, match=r"path from time 0 with W of shape .* use make_path"):
                function(path, problem.y0, problem.params)


# --- exact gradients -------------------------------------------------------------------------------------


def differences(problem, path, key, eps=1e-5):
    """The derivative by `key` of the sum of squares of the exact solution, by central differences."""
    point = dict(problem.params) | {"y0": problem.y0}
    out = np.zeros_like(point[key])
    for entry in np.ndindex(out.shape):
        for sign in (1, -1):
            moved = point[key].copy()
            moved[entry] += sign * eps
            changed = point | {key: moved}
            x = problem.exact(path, changed.pop("y0"), changed)
            out[entry] += sign * (x**2).sum() / (2 * eps)
    return out


@pytest.mark.parametrize("sde_type", CALCULI)
@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_exact_gradients_are_those_of_the_exact_solution(name, sde_type):
    problem = make(name, paths=3, t1=1.5, sde_type=sde_type)
    path = path_for(problem, 64)
    gradients = problem.exact_gradient(path, problem.y0, problem.params)
    assert set(gradients) == ({"y0"} if name == "scalar" else {"y0", *problem.params})
    for key, gradient in gradients.items():
        expected = {key: differences(problem, path, key)}
        assert statistics.relative_l1({key: gradient}, expected) < 1e-8
        assert statistics.relative_l1({key: gradient * (1 + 1e-6)}, expected) > 1e-8


# --- Lipschitz bounds ------------------------------------------------------------------------------------


def largest_ratio(problem, pairs=4000):
    """The largest |f(y) - f(x)| / |y - x| seen in drift and diffusion, from near and far pairs."""
    rng = np.random.default_rng(0)
    shape = (pairs, problem.y0.shape[1])
    x = rng.standard_normal(shape) * 10 ** rng.uniform(-2, 1, (pairs, 1))
    y = x + rng.standard_normal(shape) * 10 ** rng.uniform(-3, 1, (pairs, 1))
    distance = np.linalg.norm(y - x, axis=1)
    ratios = []
    for field in (problem.drift, problem.diffusion):
        change = field(NUMPY, 0.0, y, problem.params) - field(NUMPY, 0.0, x, problem.params)
        ratios.append((np.linalg.norm(change.reshape(pairs, -1), axis=1) / distance).max())
    return max(ratios)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", BOUNDED)
def test_lipschitz_bounds_hold_and_are_not_idle(name, seed):
    problem = make(name, seed=seed)
    seen = largest_ratio(problem)
    assert seen <= problem.lipschitz * (1 + 1e-9)
    assert seen > problem.lipschitz / 6


NETWORKS = [name for name in NAMES if "hidden" in PROBLEMS[name].sizes]
SIZES = [(1, 8, 8), (128, 16, 32), (2560, 32, 64), (32768, 16, 16)]


@pytest.mark.parametrize("t1", [1.0, 100.0])
def test_networks_have_lipschitz_constant_times_duration_of_at_most_two(t1):
    for seed in range(5):
        for name in NETWORKS:
            assert make(name, t1=t1, seed=seed).lipschitz * t1 <= 2
        for _, dim, hidden in SIZES:
            assert make("mlp", paths=1, dim=dim, hidden=hidden, t1=t1, seed=seed).lipschitz * t1 <= 2


def round_trip(problem, params, steps=100):
    """Error of y0 after reversible Heun to t1 and back, in single precision."""
    h = np.float32(problem.t1 / steps)
    y0, params = problem.y0.astype("f4"), {key: p.astype("f4") for key, p in params.items()}
    dW = np.random.default_rng(0).standard_normal((steps, *y0.shape), "f4") * h**0.5

    def fields(y):
        return problem.drift(NUMPY, 0.0, y, params), problem.diffusion(NUMPY, 0.0, y, params)

    z, zh, (f, g) = y0, y0, fields(y0)
    for sign, increments in ((1, dW), (-1, dW[::-1])):
        for w in increments:
            zh = 2 * z - zh + sign * (f * h + g * w)
            f1, g1 = fields(zh)
            z = z + sign * ((f + f1) * h + (g + g1) * w) / 2
            f, g = f1, g1
    return np.abs(z - y0).max()


def test_the_networks_are_reversible_over_a_hundred_time_units():
    problem = make("mlp", paths=32, t1=100.0)
    undivided = {key: p * 100 if key.endswith(("w2", "b2")) else p for key, p in problem.params.items()}
    assert round_trip(problem, problem.params) < 1e-4
    assert round_trip(problem, undivided) > 1e-2


# --- the table -------------------------------------------------------------------------------------------


def test_errors_name_the_value_and_the_remedy():
    with pytest.raises(ValueError, match=r"unknown problem 'gmb'; known are: gbm, ou"):
        make("gmb")
    with pytest.raises(ValueError, match=r"'gbm' has no size 'hidden', got hidden=3; it takes paths, dim"):
        make("gbm", hidden=3)
    with pytest.raises(ValueError, match="paths must be at least 1, got paths=0"):
        make("ou", paths=0)
    with pytest.raises(ValueError, match="t1 must be finite and positive"):
        make("ou", t1=0.0)
    with pytest.raises(ValueError, match=r"sde_type must be one of.*got 'strat'"):
        make("ou", sde_type="strat")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="dim must be 2 or more, got dim=1"):
        make("scalar", dim=1)
    with pytest.raises(ValueError, match=r"noise_dim must be 2 or more.*noise_dim=1"):
        make("general", noise_dim=1)


def test_problems_are_problems_of_the_contract():
    asked = {name for name in vars(contract.Problem) if not name.startswith("_")}
    assert {"drift", "y0"} <= asked <= {field.name for field in fields(make("gbm"))}
    assert set(get_args(NoiseType)) == set(methods.NOISE_TYPES) == {make(name).noise_type for name in NAMES}
    assert set(CALCULI) == set(get_args(methods.SDEType))
