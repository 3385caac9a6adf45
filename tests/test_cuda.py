"""On a GPU: the same solutions and gradients as on the CPU, exact gradients, and no waiting between the steps.

Skipped where there is none.
"""

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import sdegrad.torch as sd
from sdegrad.contract import BrownianTask, Task
from sdegrad.jax import BrownianInterval
from sdegrad.methods import METHODS, NOISE_TYPES
from sdegrad.registry import IMPLEMENTATIONS, YARDSTICKS, load
from suite.paths import make_path
from suite.problems import make
from suite.statistics import relative_l1

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

PROBLEM = {"diagonal": "mlp", "additive": "mlp_additive", "scalar": "mlp_scalar", "general": "mlp_general"}
OURS = ("sdegrad_torch", "sdegrad_jax")
STEPS = 8


@pytest.fixture(autouse=True)
def _same_arithmetic():
    """Matrix products of float32 in float32, as on the CPU."""
    with jax.default_matmul_precision("highest"):
        yield


def task(noise_type="diagonal", method="reversible_heun", adjoint="reversible", **changes):
    problem = make(PROBLEM[noise_type], paths=5, dim=3, hidden=4, sde_type=METHODS[method].sde_type)
    path = make_path(0.0, 1.0, 4 * STEPS, 5, problem.noise_dim, seed=5)
    values = {"dt": 1 / STEPS, "ts": (0.0, 0.375, 1.0), "noise": path, "dtype": "float64", "device": "cuda"} | changes
    return Task(problem=problem, method=method, adjoint=adjoint, **values)


def outcome(name, work):
    run = load(name).prepare(work)
    return run.outcome(run())


def reversible(name):
    return "checkpoint" if name == "diffrax" else "reversible"


def skip_unavailable(name):
    reason = load(name).unavailable("cuda")
    if reason:
        pytest.skip(reason)


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_gradient_is_that_of_the_cpu(name, noise_type):
    skip_unavailable(name)
    on_gpu = task(noise_type, adjoint=reversible(name))
    got, expected = outcome(name, on_gpu), outcome(name, replace(on_gpu, device="cpu"))
    np.testing.assert_allclose(got.ys, expected.ys, rtol=1e-12, atol=1e-13)
    assert relative_l1(got.gradients, expected.gradients) < 1e-12
    wrong = outcome(name, replace(on_gpu, dt=0.25))
    assert relative_l1(wrong.gradients, expected.gradients) > 1e-6


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", OURS)
def test_every_method_solves_as_on_the_cpu(name, method):
    skip_unavailable(name)
    levy = {"levy_area": "space-time"} if method in ("srk", "shark", "sra1", "log_ode") else {}
    on_gpu = task("additive", method, None, **levy)
    reason = load(name).unsupported(on_gpu)
    if reason:
        pytest.skip(reason)
    np.testing.assert_allclose(
        outcome(name, on_gpu).ys, outcome(name, replace(on_gpu, device="cpu")).ys, rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OURS)
def test_gradient_is_exact_on_the_librarys_own_noise(name, dtype):
    skip_unavailable(name)
    work = task(noise_type="general", noise=None, dtype=dtype, dt=0.01)
    error = relative_l1(outcome(name, work).gradients, outcome(name, replace(work, adjoint="backprop")).gradients)
    assert error < (1e-13 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize("name", [*OURS, "torchsde", "diffrax", "torch_tree"])
def test_brownian_increments(name):
    """Additive, repeatable, and of the variance of their length: 4000 samples, 3 queries, two-sided 1e-4."""
    skip_unavailable(name)
    kind = "tree" if name in ("diffrax", "torch_tree") else "interval"
    queries = ((0.0, 0.25), (0.25, 1.0), (0.0, 1.0))
    work = BrownianTask(
        queries=queries, shape=(4000,), kind=kind, dt=0.125, tol=2.0**-6, seed=1, dtype="float64", device="cuda"
    )
    if load(name).unsupported(work):
        pytest.skip(load(name).unsupported(work))
    run = load(name).brownian(work)
    W = run.outcome(run()).ys
    np.testing.assert_array_equal(W, run.outcome(run()).ys)
    np.testing.assert_allclose(W[0] + W[1], W[2], atol=1e-12)
    lengths = np.array([t - s for s, t in queries])
    bound = 3.89 * np.sqrt(2 / 4000)
    assert np.abs((W**2).mean(1) / lengths - 1).max() < bound
    assert np.abs((1.2 * W[2]).var() - 1) > bound


def test_jax_draws_the_same_path_on_every_device():
    """On the grid and inside cells. The bits are the same; the normals made of them differ by what erfinv rounds."""
    if load("sdegrad_jax").unavailable("cuda"):
        pytest.skip("JAX sees no cuda device here")

    def increments(device):
        with jax.default_device(jax.devices(device)[0]):
            bm = BrownianInterval(0.0, 1.0, (1000,), jax.random.key(3), dt=0.01)
            return np.stack([bm.evaluate(*query) for query in ((0.0, 0.01), (0.3, 0.9), (0.123, 0.456))])

    np.testing.assert_allclose(increments("cuda"), increments("cpu"), rtol=2e-6, atol=1e-6)
    assert np.abs(increments("cuda")).max() > 0.5


@pytest.mark.parametrize("method", ["reversible_heun", "heun", "midpoint", "euler_heun"])
def test_steps_do_not_wait_for_the_device(method):
    """A solve is launched ahead of the device: nothing in its loop waits for a result, in either pass."""
    net = torch.nn.Linear(4, 4, device="cuda")
    sde = torch.nn.Module()
    sde.noise_type, sde.sde_type = "diagonal", "stratonovich"
    sde.net, sde.f, sde.g = net, lambda t, y: net(y), lambda t, y: torch.sigmoid(net(y))
    y0, ts = torch.zeros(7, 4, device="cuda", requires_grad=True), torch.linspace(0, 1, 3)
    solver = sd.sdeint_adjoint if method == "reversible_heun" else sd.sdeint

    def waits(dt):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                bm = sd.BrownianInterval(0.0, 1.0, (7, 4), device="cuda", entropy=0, dt=dt)
                ys = solver(sde, y0, ts, bm=bm, dt=dt, method=method)
                torch.autograd.grad(ys[-1].sum(), [y0, *sde.parameters()])
        finally:
            torch.cuda.set_sync_debug_mode("default")
        return [f"{w.filename}:{w.lineno}" for w in seen if "synchronizing" in str(w.message)]

    waits(0.1)  # what is done once a process
    few, many = waits(0.1), waits(0.01)
    assert len(many) == len(few), many


def test_memory_of_the_reversible_adjoint_is_flat():
    name = "sdegrad_torch"
    few, many = (
        load(name).prepare(task(noise=None, dt=dt, dtype="float32", ts=(0.0, 1.0))).memory()
        for dt in (2.0**-10, 2.0**-12)
    )
    assert many < 1.05 * few
    few, many = (
        load(name).prepare(task(noise=None, adjoint="backprop", dt=dt, dtype="float32", ts=(0.0, 1.0))).memory()
        for dt in (2.0**-10, 2.0**-12)
    )
    assert many > 3 * few


@pytest.mark.parametrize("name", [*IMPLEMENTATIONS, *YARDSTICKS])
def test_every_measure_can_be_taken(name):
    """Counts and memory of what an implementation supports on the GPU."""
    skip_unavailable(name)
    work = task(noise=None, dtype="float32", adjoint=reversible(name), ts=(0.0, 1.0))
    if load(name).unsupported(work):
        pytest.skip(load(name).unsupported(work))
    run = load(name).prepare(work)
    assert np.isfinite(run.outcome(run()).ys).all()
    assert run.count().steps == STEPS
    assert run.memory() > 0


def test_default_device():
    """torch.set_default_device("cuda"), as many programs begin."""
    sde = torch.nn.Module()
    sde.noise_type, sde.sde_type = "diagonal", "ito"
    sde.f, sde.g = lambda t, y: -y, lambda t, y: torch.ones_like(y)
    torch.set_default_device("cuda")
    try:
        ys = sd.sdeint(sde, torch.zeros(3, 2), torch.linspace(0, 1, 3), dt=0.1, method="euler")
        assert ys.device.type == "cuda"
        adaptive = sd.sdeint(sde, torch.zeros(3, 2), torch.linspace(0, 1, 3), dt=0.1, method="milstein", adaptive=True)
        assert adaptive.isfinite().all()
    finally:
        torch.set_default_device("cpu")


def test_jax_arrays_stay_on_the_device():
    if load("sdegrad_jax").unavailable("cuda"):
        pytest.skip("JAX sees no cuda device here")
    from sdegrad.jax import sdeint

    with jax.default_device(jax.devices("cuda")[0]):
        bm = BrownianInterval(0.0, 1.0, (3, 2), jax.random.key(0), dt=0.1)
        ys = sdeint(lambda t, y, a: -y, lambda t, y, a: jnp.ones_like(y), jnp.zeros((3, 2)), (0.0, 1.0), bm=bm, dt=0.1)
    assert {d.platform for d in ys.devices()} == {"gpu"}


def test_a_portable_path_is_that_of_the_cpu():
    paths = [
        sd.BrownianInterval(0, 1, (300, 7), device=device, entropy=3, dt=0.03, generator="portable")
        for device in ("cpu", "cuda")
    ]
    for times in ((0.0, 0.03), (0.99, 1.0), (0.1, 0.455)):
        here, there = (bm(*times).cpu() for bm in paths)
        assert torch.equal(here, there)
