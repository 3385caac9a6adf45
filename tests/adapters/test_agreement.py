"""One Brownian path, four libraries: whoever has a method takes the same steps, to rounding, for every noise type.

The SDE below is nonlinear, depends on time and breaks every symmetry that could hide a wrong index; its diagonal noise
does not mix components, without which no Milstein scheme has its order. Where libraries differ nevertheless stands in
OTHER_SCHEME, and what follows shows who is right.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import sdegrad.jax
import sdegrad.torch
from sdegrad.contract import Task
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.registry import load
from suite.paths import Path, make_path
from suite.problems import make
from suite.problems.problem import Problem

LIBRARIES = ("sdegrad_torch", "sdegrad_jax", "diffrax", "torchsde")
STEPS, PATHS, DIM, NOISE = 4, 3, 3, 2
NOISE_DIM = {"diagonal": DIM, "additive": NOISE, "scalar": 1, "general": NOISE}

# (library, method): the noise types where its scheme of that name is another one.
OTHER_SCHEME = {
    ("diffrax", "euler_heun"): NOISE_TYPES,  # the diffusion of the corrector is taken at the start of the step
    ("diffrax", "sra1"): ("additive",),  # and so is that of the second stage; both where it depends on time only
    ("torchsde", "milstein"): ("scalar",),  # the Jacobian is transposed, but for grad_free
}
VARIANTS = {
    "milstein": ({}, {"grad_free": True}),
    "mccallum_foster": ({}, {"base": "ees25", "coupling": 0.99}),
}
# Additive noise has one calculus, and for it milstein is euler; without a Levy area log_ode is midpoint.
CASES = [
    (method, noise_type, sde_type, options)
    for method, facts in METHODS.items()
    for noise_type in facts.order
    for sde_type in (facts.sde_types[:1] if noise_type == "additive" else facts.sde_types)
    for options in VARIANTS.get(method, ({},))
    if method != "log_ode" and (method, noise_type) != ("milstein", "additive")
]


def drift(xp, t, y, params):
    return xp.tanh(y @ params["a"] + t)


DIFFUSION = {
    "diagonal": lambda xp, t, y, p: xp.sin(y * p["b"][:, 0] + t) + 0.5,
    "additive": lambda xp, t, y, p: xp.broadcast_to((1 + t) * p["b"], (*y.shape, NOISE)),
    "scalar": lambda xp, t, y, p: xp.tanh(y @ p["a"] + t)[..., None],
    "general": lambda xp, t, y, p: xp.sin(y[..., None] * p["b"] + (y @ p["a"])[..., None] + t),
}


def problem(noise_type, sde_type):
    rng = np.random.default_rng(0)
    return Problem(
        name=f"agreement, {noise_type}",
        version="1",
        t1=1.0,
        y0=rng.normal(size=(PATHS, DIM)),
        params={"a": rng.normal(size=(DIM, DIM)), "b": rng.normal(size=(DIM, NOISE))},
        sde_type=sde_type,
        noise_type=noise_type,
        noise_dim=NOISE_DIM[noise_type],
        drift=drift,
        diffusion=DIFFUSION[noise_type],
        lipschitz=5.0,
    )


def task(method, noise_type, sde_type, options=None):
    path = make_path(0.0, 1.0, 2 * STEPS, PATHS, NOISE_DIM[noise_type], seed=5)
    ts = tuple(k / STEPS for k in range(STEPS + 1))
    return Task(
        problem=problem(noise_type, sde_type),
        method=method,
        options=options or {},
        dt=1 / STEPS,
        ts=ts,
        noise=path,
        dtype="float64",
    )


def solve(library, t):
    run = load(library).prepare(t)
    return run.outcome(run()).ys


def has(library, t):
    return load(library).unsupported(t) is None and not (library == "diffrax" and t.options)


def test_every_method_is_shared_by_two_libraries():
    """So that each is held by another's steps, and no case is compared with nothing."""
    for case in CASES:
        assert has("sdegrad_torch", task(*case)), case
        assert has("sdegrad_jax", task(*case)), case
    assert {method for method, *_ in CASES} | {"log_ode"} == set(METHODS)


@pytest.mark.exhaustive(
    but=["*-general-*", "milstein-diagonal-ito-*", "milstein-scalar-stratonovich-*", "shark-*", "srk-scalar-*"]
)
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    ("method", "noise_type", "sde_type", "options"),
    [pytest.param(*case, marks=[] if case[1] == "general" else pytest.mark.slow) for case in CASES],
)
@pytest.mark.filterwarnings("ignore:the two copies")  # few long steps: wrong or not, they must be the same
@pytest.mark.slow
def test_the_same_steps(method, noise_type, sde_type, options):
    t = task(method, noise_type, sde_type, options)
    expected = solve("sdegrad_torch", t)
    assert np.abs(np.diff(expected, axis=0)).min() > 1e-8  # every path moves at every step
    for library in LIBRARIES[1:]:
        if has(library, t):
            error = np.abs(solve(library, t) - expected).max()
            other = not options and noise_type in OTHER_SCHEME.get((library, method), ())
            assert (error > 1e-4) if other else (error < 1e-12), (library, error)


@pytest.mark.parametrize(("method", "other"), [("heun", "midpoint"), ("ees25", "ees27"), ("euler", "milstein")])
def test_another_method_is_noticed(method, other):
    sde_type = METHODS[method].sde_type
    ys = [solve("sdegrad_torch", task(m, "scalar", sde_type)) for m in (method, other)]
    assert np.abs(ys[0] - ys[1]).max() > 1e-4


def test_another_path_is_noticed():
    t = task("heun", "general", "stratonovich")
    W = t.noise.W.copy()
    W[2:] += 1e-9
    moved = Task(**{**vars(t), "noise": Path(t.noise.times, W, t.noise.integral)})
    assert np.abs(solve("sdegrad_torch", moved) - solve("sdegrad_torch", t)).max() > 1e-12


@pytest.mark.slow
def test_log_ode_takes_the_same_steps_with_the_same_levy_area():
    """A given path has no Levy area; here both libraries are handed the same one, of no path at all."""
    rng = np.random.default_rng(1)
    W = rng.normal(size=(STEPS, PATHS, NOISE)) / STEPS**0.5
    A = rng.normal(size=(STEPS, PATHS, NOISE, NOISE)) / STEPS
    A = A - A.swapaxes(-1, -2)
    p = problem("general", "stratonovich")

    class JaxPath:
        def evaluate(self, t0, t1, use_levy=False):
            del t1
            k = jnp.round(t0 * STEPS).astype(int)
            return sdegrad.jax.LevyIncrement(jnp.asarray(W)[k], None, A=jnp.asarray(A)[k]) if use_levy else None

    with jax.enable_x64(True):
        ys = sdegrad.jax.sdeint(
            *(lambda t, y, args: p.drift(jnp, t, y, args), lambda t, y, args: p.diffusion(jnp, t, y, args)),
            *(jnp.asarray(p.y0), (0, 1)),
            **{"bm": JaxPath(), "dt": 1 / STEPS, "args": p.params, "method": "log_ode", "noise_type": "general"},
        )

    def torch_path(t0, t1, **_):
        del t1
        k = round(float(t0) * STEPS)
        return torch.tensor(W[k]), torch.tensor(A[k])

    torch_path.levy_area_approximation = "foster"
    sde = sdegrad.torch.SDEStratonovich("general")
    params = {name: torch.tensor(value) for name, value in p.params.items()}
    sde.f = lambda t, y: p.drift(torch, t, y, params)
    sde.g = lambda t, y: torch.sin(y[..., None] * params["b"] + (y @ params["a"])[..., None] + t)
    y0 = torch.tensor(p.y0)
    theirs = sdegrad.torch.sdeint(sde, y0, (0.0, 1.0), bm=torch_path, method="log_ode", dt=1 / STEPS)
    assert np.abs(np.asarray(ys) - theirs.detach().numpy()).max() < 1e-12
    A[:] = A.swapaxes(-1, -2)  # and the sign of it is seen
    other = sdegrad.torch.sdeint(sde, y0, (0.0, 1.0), bm=torch_path, method="log_ode", dt=1 / STEPS)
    assert (other - theirs).abs().max() > 1e-3


def ends(library, method, p, dts, path):
    """The solution at the end for each dt."""
    tasks = (Task(problem=p, method=method, dt=dt, ts=(0.0, 1.0), noise=path, dtype="float64") for dt in dts)
    return np.array([solve(library, t)[-1] for t in tasks])


def sizes(errors):
    """Root mean squares, one for each dt."""
    return np.sqrt(np.mean(errors**2, axis=(1, 2)))


def slope(dts, values):
    return float(np.polyfit(np.log2(dts), np.log2(values), 1)[0])


def pure_noise(g):
    """dX = g(t) dW."""
    return Problem(
        name="noise of time alone",
        version="1",
        t1=1.0,
        y0=np.zeros((2000, 1)),
        params={},
        sde_type="stratonovich",
        noise_type="additive",
        noise_dim=1,
        drift=lambda xp, t, y, p: 0 * y,
        diffusion=lambda xp, t, y, p: xp.broadcast_to(g(t) + 0 * y[..., None], (*y.shape, 1)),
        lipschitz=0.0,
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_euler_heun_with_the_corrector_at_the_end_of_the_step_has_half_the_error():
    """dX = (1 + t) dW is integrated by parts. Over a step of h the error of g at its start is the integral of (t - t0)
    dW, of variance h^3/3, and with the mean of both ends h^3/12. 2000 paths of 16 steps give the ratio of the root mean
    squares, 2, with a standard error below 0.03; the bounds are 5 of them off (two-sided 6e-7).
    """
    p, path = pure_noise(lambda t: 1 + t), make_path(0.0, 1.0, 32, 2000, 1, seed=3)
    truth = 2 * path.W[-1] - path.integral[-1]
    ours, theirs = (
        sizes(ends(name, "euler_heun", p, [1 / 16], path) - truth)[0] for name in ("sdegrad_jax", "diffrax")
    )
    assert 1.85 < theirs / ours < 2.15


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_sra1_is_of_order_three_halves_with_either_second_stage():
    """The two schemes differ by O(dt^2), below their error of O(dt^3/2): by 4, not 2.8, from one dt to its half. 300
    paths; the difference is a sum of many small ones, so its root mean square is known to some 5 %.
    """
    p = make("additive", paths=300, dim=2, noise_dim=2, seed=1)
    path = make_path(0.0, 1.0, 64, 300, 2, seed=3)
    truth, dts = p.exact(path, p.y0, p.params), np.array([1 / 4, 1 / 8, 1 / 16])
    ours, theirs = (ends(name, "sra1", p, dts, path) for name in ("sdegrad_torch", "diffrax"))
    assert slope(dts, sizes(ours - truth)) > 1.4
    assert slope(dts, sizes(theirs - truth)) > 1.4
    assert slope(dts, sizes(ours - theirs)) > 1.8


def test_milstein_with_the_jacobian_untransposed_has_order_one():
    """Scalar noise that rotates, against the exact solution; a slope over 2000 paths, known to about 0.03."""
    p = make("scalar", paths=2000, dim=2, sde_type="ito", seed=1)
    path = make_path(0.0, 1.0, 128, 2000, 1, seed=3)
    truth, dts = p.exact(path, p.y0, p.params), 2.0 ** -np.arange(4, 8)
    ours, theirs = (ends(name, "milstein", p, dts, path) for name in ("sdegrad_torch", "torchsde"))
    assert slope(dts, sizes(ours - truth)) > 0.85
    assert slope(dts, sizes(theirs - truth)) < 0.65


def mixing(sde_type):
    """dx = cos y dW1, dy = sin(x + y) dW2 (Ito): diagonal noise whose entries depend on all components."""

    def f(xp, t, y, p):
        angle = y[..., 0] + y[..., 1]
        correction = 0 * angle if sde_type == "ito" else -0.25 * xp.sin(2 * angle)
        return xp.stack((0 * angle, correction), axis=-1)

    def g(xp, t, y, p):
        return xp.stack((xp.cos(y[..., 1]), xp.sin(y[..., 0] + y[..., 1])), axis=-1)

    return Problem(
        name="mixing",
        version="1",
        t1=1.0,
        y0=np.tile([0.3, 0.5], (2048, 1)),
        params={},
        sde_type=sde_type,
        noise_type="diagonal",
        noise_dim=2,
        drift=f,
        diffusion=g,
        lipschitz=1.5,
    )


@pytest.mark.exhaustive(but=["stratonovich"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_milstein_for_noise_that_mixes_components(sde_type):
    """Nobody has order 1 there, and the schemes differ: ours agree with each other, and like diffrax's they converge to
    the right process, which torchsde's, with its transposed Jacobian, does not in the Stratonovich case. The mean
    difference from Euler with steps of 2^-7 on the same 2048 paths, beyond the 0.02 that steps of 2^-5 explain, in
    standard errors: one-sided level 3e-7 for each of four.
    """
    path = make_path(0.0, 1.0, 128, 2048, 2, seed=3)
    fine = Task(problem=mixing("ito"), method="euler", dt=2.0**-7, ts=(0.0, 1.0), noise=path, dtype="float64")
    truth = solve("sdegrad_torch", fine)[-1]
    t = Task(problem=mixing(sde_type), method="milstein", dt=2.0**-5, ts=(0.0, 1.0), noise=path, dtype="float64")
    ys = {library: solve(library, t)[-1] for library in LIBRARIES}
    assert np.abs(ys["sdegrad_jax"] - ys["sdegrad_torch"]).max() < 1e-12
    bias = {}
    for library, y in ys.items():
        difference = y - truth
        bias[library] = ((np.abs(difference.mean(0)) - 0.02) / difference.std(0)).max() * 2048**0.5
    assert max(bias["sdegrad_jax"], bias["diffrax"]) < 5, bias
    if sde_type == "stratonovich":
        assert bias["torchsde"] > 10, bias
        assert np.abs(ys["diffrax"] - ys["sdegrad_jax"]).max() < 1e-12
    else:
        assert np.abs(ys["diffrax"] - ys["sdegrad_jax"]).max() > 1e-3
