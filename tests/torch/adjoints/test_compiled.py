"""compile=True: the same numbers as step by step, exact gradients, and no compilation that is not needed.

Everything is compiled, so the shapes are few. Most tests leave out the code generator, which takes nearly all of the
time and which the first test has: what is traced, recorded and reused does not depend on it.
"""

import functools
import gc
import weakref

import jaxtyping
import pytest
import torch
from torch import nn
from torch._inductor.exc import CppCompileError

import sdegrad.torch as sd
from sdegrad.methods import METHODS
from sdegrad.torch.adjoints import compiled
from tests.torch.sdes import channels, neural, state

counters = torch._dynamo.utils.counters["stats"]
TS = (0.0, 0.31, 1.0)  # between and on grid times


@pytest.fixture(autouse=True)
def _no_checks_of_shapes():
    """Those of jaxtyping cannot be compiled."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture
def traced(monkeypatch):
    """Blocks of two steps, traced but run by torch's own operations."""
    options = {"fullgraph": True, "dynamic": False, "isolate_recompiles": True, "recompile_limit": 20}
    compile_ = functools.cache(functools.partial(torch.compile, backend="aot_eager", **options))
    monkeypatch.setattr(compiled, "LENGTH", 2)
    monkeypatch.setattr(compiled, "_compiled", lambda block, _device: compile_(block))


def run(sde, *, compile, method="reversible_heun", adjoint="reversible", dt=0.1, ts=TS, seed=0, batch=(3,), **options):
    """ys, and the gradients in y0 and the parameters."""
    scheme = sd.methods.make_scheme(method, sde.sde_type, sde.noise_type, options.get("options", {}))
    y0 = options.pop("y0", state(batch=batch).double()).requires_grad_()
    bm = sd.BrownianInterval(
        *(ts[0], ts[-1], (*y0.shape[:-1], channels(sde.noise_type))),
        dtype=y0.dtype,
        entropy=seed,
        dt=dt,
        levy_area_approximation=scheme.levy_area,
    )
    ts = torch.tensor(ts, dtype=y0.dtype)
    ys = sd.sdeint(sde, y0, ts, bm=bm, dt=dt, method=method, adjoint=adjoint, compile=compile, **options)
    grads = torch.autograd.grad(ys.square().sum(), [y0, *sde.parameters()], allow_unused=True)
    return ys.detach(), [torch.zeros(()) if g is None else g for g in grads]


def relative(a, b):
    return float(sum((x - y).abs().sum() for x, y in zip(a, b, strict=True)) / sum(x.abs().sum() for x in b))


def agree(sde, tolerance=1e-13, **options):
    ys, grads = run(sde, compile=True, **options)
    expected, by_backprop = run(sde, compile=False, **options | {"adjoint": "backprop"})
    torch.testing.assert_close(ys, expected, rtol=1e-12, atol=1e-12)
    return relative(grads, by_backprop) < tolerance


@pytest.mark.exhaustive
@pytest.mark.slow
def test_generated_code_is_right_and_is_reused(monkeypatch):
    """For another seed, number of steps, step, ts (every step clipped differently) and parameters; and another
    object of the class."""
    monkeypatch.setattr(compiled, "LENGTH", 4)  # long enough for steps whose code is that of others
    sde = neural("diagonal").double()
    assert agree(sde, dt=1 / 9)  # two blocks of four steps and one of one
    graphs = counters["unique_graphs"]
    for options in ({"seed": 1}, {"dt": 0.07}, {"ts": (0.5, 0.51, 0.52, 2.0)}, {"dt": 0.3}):
        assert agree(sde, **{"dt": 1 / 9} | options)
    with torch.no_grad():
        for p in sde.parameters():
            p.mul_(0.9)
    assert agree(sde)
    assert agree(neural("diagonal", seed=5).double())
    assert counters["unique_graphs"] == graphs


class Rated(sd.SDEStratonovich):
    """A drift with a tensor where torch takes a number."""

    def __init__(self, rate):
        super().__init__("diagonal")
        self.rate = torch.tensor(rate, dtype=torch.float64)

    def f(self, t, y):
        return torch.add(y, t * y, alpha=self.rate)

    def g(self, t, y):
        return 0.1 * y


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_tensor_used_as_a_number_is_not_frozen(monkeypatch):
    """Nor taken from torch's cache on disk. The two solutions differ, so the check could fail."""
    monkeypatch.setattr(compiled, "LENGTH", 1)
    y0, ends = state(), []
    for rate in (0.5, 2.5):
        bm = sd.BrownianInterval(0.0, 1.0, y0.shape, dtype=y0.dtype, entropy=0, dt=1.0)
        solve = functools.partial(sd.sdeint, Rated(rate), y0, [0.0, 1.0], bm=bm, dt=1.0, method="reversible_heun")
        with torch.no_grad():
            ends.append(solve(compile=True))
            torch.testing.assert_close(ends[-1], solve())
    assert (ends[1] - ends[0]).abs().max() > 0.1


class Writing(sd.SDEStratonovich):
    """A drift that writes to the time it is given."""

    def __init__(self):
        super().__init__("diagonal")
        self.rate = nn.Parameter(torch.ones((), dtype=torch.float64))

    def f(self, t, y):
        return self.rate * y * t.add_(1.0)

    def g(self, t, y):
        return self.rate * y


def test_a_time_that_is_written_to_is_refused():
    for compile in (True, False):
        with pytest.raises(ValueError, match="writes into the state y or the time t"):
            run(Writing(), compile=compile, dt=0.4)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("cells", [0.1, 0.04])
@pytest.mark.slow
def test_pieces_of_the_noise_are_those_of_the_steps(cells):
    """From a Brownian motion with the cells of the solve, in one piece or more, or with others; and of a large state,
    whose increments are passed one by one."""
    sde = neural("diagonal").double()
    for paths in (3, 3000):
        y0, ys = state(batch=(paths,)).double(), []
        for compile in (True, False):
            bm = sd.BrownianInterval(0.0, 1.0, y0.shape, dtype=y0.dtype, entropy=0, dt=cells)
            with torch.no_grad():
                ys.append(sd.sdeint(sde, y0, TS, bm=bm, dt=0.1, method="reversible_heun", compile=compile))
        torch.testing.assert_close(*ys, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_the_count_of_graphs_sees_a_compilation():
    graphs = counters["unique_graphs"]
    run(neural("diagonal").double(), compile=True, batch=(2,), dt=0.4)
    assert counters["unique_graphs"] > graphs


def _cases():
    """Every method once, reversible Heun with every noise type, and those that differentiate g with what that meets."""
    more = {"reversible_heun": list(METHODS["reversible_heun"].order), "milstein": ["diagonal", "scalar"]}
    more["log_ode"] = ["general"]
    for method, fact in METHODS.items():
        for noise_type in more.get(method, list(fact.order)[:1]):
            yield pytest.param(method, noise_type, {}, id=f"{method}-{noise_type}")
    yield pytest.param("milstein", "diagonal", {"grad_free": True}, id="milstein-grad_free")


@pytest.mark.exhaustive(
    but=["ees25-diagonal", "heun-diagonal", "mccallum_foster-diagonal", "reversible_heun-diagonal", "srk-diagonal"]
)
@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("method", "noise_type", "options"), list(_cases()))
def test_every_method(method, noise_type, options):
    """In whole blocks: one, and two of another dt, which shows that none is frozen in the code."""
    adjoint = "reversible" if METHODS[method].reversible else "backprop"
    for sde_type in METHODS[method].sde_types:
        sde = neural(noise_type, sde_type).double()
        for dt in (0.5, 0.26):
            assert agree(sde, method=method, adjoint=adjoint, dt=dt, options=options)


class Steady(sd.SDEIto):
    """A diffusion whose derivative is zero."""

    def __init__(self):
        super().__init__("diagonal")
        self.rate = nn.Parameter(torch.ones((), dtype=torch.float64))

    def f(self, t, y):
        return -self.rate * y

    def g(self, t, y):
        return self.rate * torch.ones_like(y)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_the_derivative_of_a_constant():
    assert agree(Steady(), method="milstein", adjoint="backprop", dt=0.4)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.usefixtures("traced")
def test_adjoints_shapes_and_dtypes():
    sde = neural("general").double()
    assert agree(sde, adjoint="checkpoint", dt=0.19)
    assert agree(sde, batch=(), dt=0.4)
    single = neural("diagonal").float()
    y0 = state(batch=(2, 2)).float()
    ys, grads = run(single, compile=True, y0=y0, dt=0.4)
    expected, by_steps = run(single, compile=False, y0=y0, dt=0.4)
    assert ys.dtype == torch.float32
    torch.testing.assert_close(ys, expected)
    assert relative(grads, by_steps) < 1e-5


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_a_way_back_that_only_nears_the_way_there():
    """The same numbers as step by step, with a gradient that differs from that of backprop by a high power of dt."""
    sde = neural("diagonal").double()
    ys, grads = run(sde, compile=True, method="ees25", dt=0.1)
    expected, by_steps = run(sde, compile=False, method="ees25", dt=0.1)
    torch.testing.assert_close(ys, expected, rtol=1e-12, atol=1e-12)
    assert relative(grads, by_steps) < 1e-12
    _, other = run(sde, compile=False, method="ees25", dt=0.1, adjoint="backprop")
    assert relative(grads, other) > 1e-12  # the tolerance can tell two gradients apart


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("adjoint", ["reversible", "backprop"])
@pytest.mark.slow
def test_adaptive_steps(adjoint):
    assert agree(neural("diagonal").double(), 1e-12, adjoint=adjoint, dt=0.2, adaptive=True, rtol=1e-2, atol=1e-2)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_the_continuous_adjoint():
    """Its way back is not compiled, and starts from what is."""
    sde = neural("diagonal").double()
    options = {"method": "midpoint", "adjoint": "backsolve", "dt": 0.2}
    ys, grads = run(sde, compile=True, **options)
    expected, by_steps = run(sde, compile=False, **options)
    torch.testing.assert_close(ys, expected, rtol=1e-12, atol=1e-12)
    assert relative(grads, by_steps) < 1e-12


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_a_wrong_block_is_seen(monkeypatch):
    """The check of the gradients can fail: with one that forgets what it receives at the end of each step."""
    forgetful = compiled.backward

    def wrong(*arguments):
        *others, received, on = arguments
        return forgetful(*others, [0.5 * r for r in received], on)

    monkeypatch.setattr(compiled, "backward", wrong)
    assert not agree(neural("diagonal").double(), 1e-3, dt=0.4)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_extra_and_log_ratio():
    sde = neural("diagonal").double()
    sde.h = lambda t, y: -y
    y0 = state().double()
    arguments = {"method": "reversible_heun", "dt": 0.4, "logqp": True, "extra": True}

    def solve(**more):
        torch.manual_seed(0)
        ys, log_ratio, rest = sd.sdeint_adjoint(sde, y0, [0.0, 0.5, 1.0], **arguments, **more)
        return ys, log_ratio, *rest

    torch.testing.assert_close(solve(compile=True), solve(), rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
def test_the_sde_is_not_kept_alive():
    sde = neural("additive").double()
    run(sde, compile=True, dt=0.4)
    gone = weakref.ref(sde)
    del sde
    gc.collect()
    assert gone() is None


class Branching(sd.SDEStratonovich):
    """A drift that looks at the values of the state."""

    def __init__(self):
        super().__init__("diagonal")
        self.rate = nn.Parameter(torch.ones((), dtype=torch.float64))

    def f(self, t, y):
        return self.rate * y if y.sum() > 0 else -y

    def g(self, t, y):
        return self.rate * y


@pytest.mark.usefixtures("traced")
def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(ValueError, match=r"what Branching computes.*branching.*compile=False"):
        run(Branching(), compile=True)
    with pytest.raises(ValueError, match=r"return_stats.*compile=False"):
        run(neural("diagonal").double(), compile=True, return_stats=True)
    compiled._cpp_compiler.cache_clear()
    missing = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})
    with missing, pytest.raises(ValueError, match=r"compiler for C\+\+.*compile=False"):
        run(neural("diagonal").double(), compile=True)


def test_a_failing_compiler_is_not_blamed_on_the_sde(monkeypatch):
    def fail(*_):
        raise CppCompileError(["g++", "x.cpp"], "cc1plus: out of memory\nmore")

    sde = neural("diagonal").double()
    monkeypatch.setattr(compiled, "_compiled", lambda block, _device: torch.compile(block, backend=fail))
    with pytest.raises(ValueError, match=r"g\+\+ failed: cc1plus: out of memory\. .*CXX.*compile=False"):
        run(sde, compile=True)


@pytest.mark.exhaustive(but=["reversible-dtype1"])
@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("adjoint", ["reversible", "checkpoint", "backprop"])
def test_gradients_in_parameters_without_axes(adjoint, dtype):
    """In compiled code such a tensor is a number: what is added to it there is lost. For several values of one, and two
    blocks of steps and some more."""

    class Rates(torch.nn.Module):
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self, rate):
            super().__init__()
            self.rate = torch.nn.Parameter(torch.tensor(rate, dtype=dtype))
            self.scale = torch.nn.Parameter(torch.tensor([0.1, 0.2], dtype=dtype))
            self.register_buffer("shift", torch.tensor(rate / 2, dtype=dtype))

        def f(self, t, y):
            return self.rate * (self.shift - y)

        def g(self, t, y):
            return self.rate * self.scale * y

    def gradients(rate, compiled):
        sde, y0 = Rates(rate), torch.ones(4, 2, dtype=dtype, requires_grad=True)
        bm = sd.BrownianInterval(0.0, 1.0, (4, 2), entropy=1, dt=1 / 64, dtype=dtype)
        options = {"method": "reversible_heun", "adjoint": adjoint, "compile": compiled}
        ys = sd.sdeint(sde, y0, [0.0, 0.5, 1.0], bm=bm, dt=1 / 64, **options)
        return torch.autograd.grad(ys.square().sum(), (sde.rate, sde.scale, y0))

    rtol = 1e-3 if dtype == torch.float32 else 1e-12
    for rate in (1.0, 0.5, 2.0):
        torch.testing.assert_close(gradients(rate, True), gradients(rate, False), rtol=rtol, atol=0.0)
