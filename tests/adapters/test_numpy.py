"""What stands on numpy behind the contract: the loop by hand, and what every library on numpy shares."""

import numpy as np
import pytest

from sdegrad.adapters import numpy_run
from sdegrad.adapters.numpy_run import NumpyRun
from sdegrad.contract import NUMPY, BrownianTask, Task
from sdegrad.methods import METHODS, NOISE_TYPES, Method
from sdegrad.registry import IMPLEMENTATIONS, load
from suite import harness
from suite.cases import Case
from suite.paths import make_path
from suite.problems import PROBLEMS, make

PROBLEM = {"diagonal": "mlp", "additive": "mlp_additive", "scalar": "mlp_scalar", "general": "mlp_general"}


def task(problem="mlp", method="heun", given=True, **changes):
    p = make(problem, paths=3, sde_type=METHODS[method].sde_type)
    path = make_path(0.0, 1.0, 32, 3, p.noise_dim, seed=5) if given else None
    values = {"dt": 1 / 8, "ts": (0.0, 0.4, 1.0), "noise": path, "dtype": "float64"} | changes
    return Task(problem=p, method=method, **values)


def run(name, t):
    r = load(name).prepare(t)
    return r.outcome(r()).ys


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_problem_is_written_for_numpy_too(problem, dtype):
    """For all paths at once and for one alone, in the dtype of the task."""
    p = make(problem)
    y, params = p.y0.astype(dtype), {name: np.asarray(value, dtype) for name, value in p.params.items()}
    for field in (p.drift, p.diffusion):
        every, one = field(NUMPY, 0.3, y, params), field(NUMPY, 0.3, y[1], params)
        assert every.dtype == one.dtype == dtype
        np.testing.assert_allclose(every[1], one, rtol=1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("method", ["euler", "heun"])
def test_the_loop_by_hand_agrees_with_a_library(method, noise_type):
    t = task(PROBLEM[noise_type], method)
    np.testing.assert_allclose(run("numpy_by_hand", t), run("sdegrad_torch", t), rtol=0, atol=1e-13)


def test_its_own_noise_is_a_function_of_the_seed():
    one, same, other = (run("numpy_by_hand", task(given=False, seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other)[1:].min() > 1e-6


def test_it_counts():
    for method, each in (("euler", 1), ("heun", 2)):
        counts = load("numpy_by_hand").prepare(task(method=method)).count()
        assert (counts.steps, counts.drift, counts.diffusion) == (8, 8 * each, 8 * each)


@pytest.mark.parametrize(
    "refused",
    [
        task(adjoint="backprop"),
        task(rtol=1e-3),
        task(levy_area="space-time"),
        task(prior=lambda *_: 0.0),
        task(method="midpoint"),
        BrownianTask(queries=((0.0, 1.0),), shape=(1,)),
    ],
)
def test_what_it_cannot_do_is_a_sentence(refused):
    assert load("numpy_by_hand").unsupported(refused).endswith(".")
    assert load("numpy_by_hand").unsupported(task()) is None
    assert "CPU" in load("numpy_by_hand").unavailable("cuda")


@pytest.mark.parametrize("changes", [{"dt": -1 / 8, "ts": (1.0, 0.0)}, {"dt": 0.0}, {"ts": (0.0, float("nan"))}])
def test_times_that_do_not_go_forward_are_an_error(changes):
    with pytest.raises(
        ValueError, match=r"dt must be a positive finite number|ts must be finite and strictly increasing"
    ):
        load("numpy_by_hand").prepare(task(given=False, **changes))


def test_off_the_grid_of_a_given_path_is_an_error():
    with pytest.raises(ValueError, match="its grid"):
        run("numpy_by_hand", task(dt=0.15))


def test_steps_that_are_not_even_are_told():
    assert numpy_run.uneven(task(dt=0.1), "it") is None
    assert "divides the span" in numpy_run.uneven(task(dt=0.15), "it")


def test_who_counts_in_vain_says_why():
    by_path = NumpyRun(task(), lambda f, g, y0: np.stack([f(0.0, y) for y in y0]), by_path=True)
    assert by_path.count().drift == 1
    with pytest.raises(NotImplementedError, match="no such thing"):
        NumpyRun(task(), lambda *_: np.zeros(1), uncounted="no such thing").count()


class OwnMethod:
    """A library with one method, which nobody else has."""

    name = "own"
    framework = "numpy"
    methods = {"own_scheme": Method(("ito",), {"diagonal": 1.0}, (1, 1))}  # noqa: RUF012

    def unsupported(self, t):
        return None if t.method == "own_scheme" else f"it has no {t.method!r}."


def test_a_library_is_measured_with_a_method_of_its_own(monkeypatch):
    """Where any method will do; where one is asked for, it is not."""
    monkeypatch.setitem(IMPLEMENTATIONS, "own", f"{__name__}:IMPLEMENTATION")
    monkeypatch.setattr(harness, "load", lambda name: OwnMethod())
    any_method = Case(kind="time", sizes={"paths": 2}, any_method=True)
    chosen = harness.choose("own", any_method, "cpu")
    assert (chosen.case.method, chosen.case.sde_type) == ("own_scheme", "ito")
    assert chosen.task(0.5).problem.sde_type == "ito"
    assert harness.choose("own", Case(kind="time", sizes={"paths": 2}), "cpu") == "it has no 'reversible_heun'."


def test_a_library_that_draws_its_own_noise_is_not_measured_on_a_path(monkeypatch):
    """It is asked with the path that it would get, not before."""

    class OwnNoise(OwnMethod):
        def unsupported(self, t):
            return None if t.noise is None else "it draws its own noise."

    monkeypatch.setattr(harness, "load", lambda name: OwnNoise())
    case = Case(kind="strong_error", problem="gbm", sizes={"paths": 2}, dts=(0.5, 0.25))
    assert harness.choose("own", case, "cpu") == "it draws its own noise."
