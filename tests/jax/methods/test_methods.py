"""What is special about single methods: Levy areas, options, trees, their reversible gradients, Ito backwards, forward
mode. That they take the right steps is held by tests/adapters/test_agreement.py, for every method and noise type.
"""

from collections import Counter

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdegrad.jax import BrownianInterval, LevyIncrement, sdeint
from sdegrad.jax.methods import SOLVERS, make_method
from sdegrad.jax.methods.euler import Euler
from sdegrad.jax.sde import SDE
from sdegrad.methods import METHODS
from suite.paths import make_path
from tests.costs import first_is_quick
from tests.jax.sdes import DIFFUSION, NOISE_DIM, PATHS, drift, initial, parameters

EXACT = 1e-13
STEPS = 8


class AreaPath(eqx.Module):
    """Any numbers for W, H and A of the cells of length 1/STEPS, increments of no path at all."""

    W: jax.Array
    H: jax.Array
    A: jax.Array

    @classmethod
    def sample(cls, shape, seed=2):
        rng = np.random.default_rng(seed)
        W, H = (jnp.asarray(rng.normal(size=(STEPS, *shape)) * s) for s in (STEPS**-0.5, (12 * STEPS) ** -0.5))
        A = rng.normal(size=(STEPS, *shape, shape[-1])) / STEPS
        return cls(W, H, jnp.asarray(A - A.swapaxes(-1, -2)))

    def evaluate(self, t0, t1, use_levy=False):
        del t1
        k = jnp.round(jnp.asarray(t0) * STEPS).astype(jnp.int32)
        return LevyIncrement(self.W[k], self.H[k], A=self.A[k]) if use_levy else self.W[k]


def solve(method, noise_type, y0, args, sde_type=None, ts=(0, 0.3, 1), bm=None, dt=1 / STEPS, **options):
    return sdeint(
        *(drift, DIFFUSION[noise_type], y0, ts),
        bm=AreaPath.sample((PATHS, NOISE_DIM[noise_type])) if bm is None else bm,
        dt=dt,
        args=args,
        method=method,
        sde_type=sde_type or METHODS[method].sde_type,
        noise_type=noise_type,
        **options,
    )


def gradient(*case, **options):
    def loss(y0, args):
        return jnp.sum(solve(*case, y0, args, **options)[1:] ** 2)

    return jax.jit(jax.grad(loss, (0, 1)))(initial(), parameters())


def distance(a, b):
    """Relative L1 distance over all leaves."""
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (a, b))
    return np.sum(np.abs(a - b)) / max(np.sum(np.abs(a)), np.sum(np.abs(b)))


def test_every_method_of_the_table_is_there():
    assert set(SOLVERS) == set(METHODS)


# The method with the bases that are of another kind, and every noise type.
BASES = [
    ("diagonal", {"coupling": 0.99}),
    ("scalar", {"base": "ees27"}),
    ("general", {"base": "euler_heun"}),
    ("additive", {"base": "shark"}),
]


@pytest.mark.exhaustive(but=["diagonal-options0"])
@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(("noise_type", "options"), first_is_quick(BASES))
@pytest.mark.slow
def test_mccallum_foster_has_exact_reversible_gradients(noise_type, options):
    reversible, backprop = (
        gradient("mccallum_foster", noise_type, adjoint=adjoint, options=options) for adjoint in (None, "backprop")
    )
    assert distance(reversible, backprop) < EXACT


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_a_levy_area_that_does_not_survive_the_way_back_is_seen(monkeypatch):
    """The companion: H is even under time reversal."""
    backwards = "sdegrad.jax.methods.mccallum_foster.backwards"
    monkeypatch.setattr(backwards, lambda dW: jax.tree.map(jnp.negative, dW))
    wrong = gradient("mccallum_foster", "additive", options={"base": "shark"}, adjoint="backprop")
    monkeypatch.undo()
    right = gradient("mccallum_foster", "additive", options={"base": "shark"}, adjoint="backprop")
    assert distance(wrong, right) > 1e3 * EXACT


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_ees_is_almost_reversible():
    """The miss of a step and back is of the order 6 and 8 in the increments: so is that of the gradient, and it falls
    with dt; heun's, of order 4, is what it is not.
    """
    errors = {}
    for method in ("ees25", "ees27"):
        reversible, backprop = (gradient(method, "diagonal", adjoint=a) for a in ("reversible", "backprop"))
        errors[method] = distance(reversible, backprop)
    assert EXACT < errors["ees27"] < errors["ees25"] / 10 < 1e-6
    assert METHODS["ees25"].near_reversible
    with pytest.raises(ValueError, match="needs a reversible method"):
        gradient("heun", "diagonal", adjoint="reversible")


class GridPath(eqx.Module):
    """A path with its integral up to t, at multiples of 2^-8."""

    W: jax.Array
    integral: jax.Array

    def evaluate(self, t0, t1, use_levy=False):
        i, j = (jnp.round(jnp.asarray(t) * 2**8).astype(jnp.int32) for t in (t0, t1))
        W = self.W[j] - self.W[i]
        mean = (self.integral[j] - self.integral[i]) / (t1 - t0)
        return LevyIncrement(W, mean - (self.W[i] + self.W[j]) / 2) if use_levy else W


def ito_error(method, noise_type, dt):
    """Of the backsolve gradient, on one path."""
    path = make_path(0.0, 1.0, 2**8, PATHS, NOISE_DIM[noise_type], seed=7)
    bm = GridPath(jnp.asarray(path.W), jnp.asarray(path.integral))
    gradients = [
        gradient(method, noise_type, sde_type="ito", ts=(0, 1), bm=bm, dt=dt, adjoint=adjoint)
        for adjoint in ("backsolve", "backprop")
    ]
    return distance(*gradients)


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize("case", [("euler", "general"), ("milstein", "scalar"), ("srk", "diagonal")])
def test_backsolve_of_ito_methods_converges(case):
    """A factor 16 in dt gives 4 at order 1/2; that it is more than 2 leaves room for the one path."""
    coarse, fine = (ito_error(*case, dt) for dt in (2.0**-4, 2.0**-8))
    assert EXACT < fine < coarse / 2 < 0.05


@pytest.mark.slow
def test_ito_steps_taken_backwards_as_they_are_go_wrong(monkeypatch):
    """The companion: taken with (-dt, -dW) Euler solves another SDE, at every dt."""
    monkeypatch.setattr(Euler, "smooth", True)
    assert ito_error("euler", "general", 2.0**-8) > 0.05


KINDS = [
    ("ees25", "general", {}),
    ("log_ode", "general", {}),
    ("mccallum_foster", "general", {}),
    ("milstein", "scalar", {"sde_type": "ito"}),
    ("milstein", "diagonal", {"sde_type": "stratonovich"}),
    ("milstein", "diagonal", {"sde_type": "ito", "options": {"grad_free": True}}),
    ("shark", "additive", {}),
    ("srk", "diagonal", {}),
]


@pytest.mark.exhaustive(but=["milstein-diagonal-options4"])
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
@pytest.mark.parametrize(("method", "noise_type", "options"), KINDS)
def test_forward_mode_is_the_transpose_of_reverse_mode(method, noise_type, options):
    """a . J v by jvp through backprop and checkpoint, and by vjp through backprop."""
    rng = np.random.default_rng(3)
    at = (initial(), parameters())
    v = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), at)
    a = jnp.asarray(rng.normal(size=(3, *at[0].shape)))

    @jax.jit
    def products(at):
        results = []
        for adjoint in ("backprop", "checkpoint"):

            def outputs(y0, args, adjoint=adjoint):
                return solve(method, noise_type, y0, args, adjoint=adjoint, **options)

            results.append(jnp.sum(a * jax.jvp(outputs, at, v)[1]))
        pulled = jax.vjp(lambda y0, args: solve(method, noise_type, y0, args, adjoint="backprop", **options), *at)[1](a)
        return *results, sum(jnp.sum(x * y) for x, y in zip(*map(jax.tree.leaves, (pulled, v)), strict=True))

    backprop, checkpoint, reverse = products(at)
    assert abs(backprop - reverse) < 1e-12 * abs(reverse)
    assert abs(checkpoint - reverse) < 1e-12 * abs(reverse)


@pytest.mark.exhaustive(but=["False-backsolve-*"])
@pytest.mark.slow
@pytest.mark.parametrize(("adjoint", "method"), [("reversible", "reversible_heun"), ("backsolve", "heun")])
@pytest.mark.parametrize("adaptive", [False, True])
def test_no_second_derivative_backwards(adjoint, method, adaptive):
    def slope(y0):
        options = {"adjoint": adjoint, "adaptive": adaptive, "max_steps": 16, "rtol": 1.0}
        bm = BrownianInterval(0, 1, y0.shape, jax.random.key(0), dt=0.125)
        return jax.grad(lambda y0: jnp.sum(solve(method, "diagonal", y0, parameters(), bm=bm, **options) ** 2))(y0)

    message = f'adjoint="{adjoint}" gives a gradient .* use adjoint="backprop" or "checkpoint"'
    with pytest.raises(RuntimeError, match=message):
        jax.grad(lambda y0: jnp.sum(slope(y0)))(initial())


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_second_derivatives_forwards_over_the_reversible_gradient():
    """All of them, so under vmap."""

    def slopes(y0, adjoint):
        loss = lambda y0: jnp.sum(solve("reversible_heun", "diagonal", y0, parameters(), adjoint=adjoint) ** 2)  # noqa: E731
        return jax.grad(loss)(y0)

    hessian = jax.jit(jax.jacfwd(slopes), static_argnums=1)
    assert distance(hessian(initial(), "reversible"), hessian(initial(), "backprop")) < EXACT


@pytest.mark.exhaustive
@pytest.mark.usefixtures("kept")
@pytest.mark.slow
def test_jit_vmap_and_grad_compose_with_a_levy_area():
    def loss(y0, args, key):
        bm = BrownianInterval(0, 1, (NOISE_DIM["diagonal"],), key, dt=0.125, levy_area="space-time")
        ys = sdeint(
            *(drift, DIFFUSION["diagonal"], y0, (0, 0.5, 1)),
            **{"bm": bm, "dt": 0.125, "args": args, "method": "srk", "sde_type": "ito"},
        )
        return jnp.sum(ys[1:] ** 2)

    keys, y0, args = jax.random.split(jax.random.key(4), PATHS), initial(), parameters()
    batched = jax.vmap(loss, (0, None, 0))
    of_vmap = jax.jit(jax.grad(lambda y0, args: jnp.sum(batched(y0, args, keys)), (0, 1)))(y0, args)
    vmapped = jax.jit(jax.vmap(jax.grad(loss, (0, 1)), (0, None, 0)))(y0, args, keys)
    assert distance(of_vmap, (vmapped[0], jax.tree.map(lambda x: jnp.sum(x, axis=0), vmapped[1]))) < 1e-14


@pytest.mark.exhaustive(but=["milstein-scalar", "shark-*"])
@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "noise_type"),
    [("milstein", "diagonal"), ("milstein", "scalar"), ("srk", "diagonal"), ("srk", "scalar"), ("shark", "additive"),
     ("log_ode", "general"), ("mccallum_foster", "general")],
)  # fmt: skip
def test_state_may_be_a_tree(method, noise_type):
    """The same numbers as with one array, whose parts the leaves are."""
    y0, args, path = initial(), parameters(), AreaPath.sample((PATHS, NOISE_DIM[noise_type]))

    def split(y, axis):
        first, second = jnp.split(y, [1], axis=axis)
        return {"p": first, "q": second}

    def join(tree, axis=-1):
        return jnp.concatenate([tree["p"], tree["q"]], axis=axis)

    diagonal = noise_type == "diagonal"

    def g(t, y, args):
        return split(DIFFUSION[noise_type](t, join(y), args), -1 if diagonal else -2)

    class TreePath(eqx.Module):
        def evaluate(self, t0, t1, use_levy=False):
            dW = path.evaluate(t0, t1, use_levy)
            return jax.tree.map(lambda x: split(x, -1), dW) if diagonal else dW

    common = {"dt": 1 / STEPS, "args": args, "method": method, "noise_type": noise_type}
    common["sde_type"] = METHODS[method].sde_type
    tree = sdeint(
        lambda t, y, args: split(drift(t, join(y), args), -1), g, split(y0, -1), (0, 1), bm=TreePath(), **common
    )
    array = sdeint(drift, DIFFUSION[noise_type], y0, (0, 1), bm=path, **common)
    np.testing.assert_allclose(join(tree), array, rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_evaluations_are_those_of_the_table(method):
    facts = METHODS[method]
    noise_type = "general" if "general" in facts.order else "diagonal" if "diagonal" in facts.order else "additive"
    calls = Counter()

    def counting(name, field):
        def count(*arguments):
            calls[name] += 1
            return field(*arguments)

        return count

    fields = (counting("f", drift), counting("g", DIFFUSION[noise_type]))
    sde, solver = SDE(*fields, parameters(), noise_type), make_method(method, facts.sde_type, noise_type, {})
    path = AreaPath.sample((PATHS, NOISE_DIM[noise_type]))
    dW = path.evaluate(0.0, 0.125, use_levy=solver.levy_area != "none")
    state = solver.init(sde, jnp.asarray(0.0), initial())
    calls.clear()
    jax.make_jaxpr(lambda state: solver.step(sde, *map(jnp.asarray, (0.0, 0.125, 0.125)), dW, state))(state)
    assert (calls["f"], calls["g"]) == facts.nfe


@pytest.mark.parametrize(
    ("method", "noise_type", "change", "message"),
    [
        ("srk", "general", {}, "'srk' is for diagonal, additive, scalar noise, but noise_type='general'"),
        ("shark", "diagonal", {}, "'shark' is for additive noise"),
        ("srk", "diagonal", {"sde_type": "stratonovich"}, "'srk' solves ito SDEs"),
        ("mccallum_foster", "general", {"options": {"base": "shark"}}, "base 'shark' is none for general noise"),
        ("mccallum_foster", "general", {"options": {"coupling": 1.5}}, r"coupling must be in \(0, 1\], got 1.5"),
        ("mccallum_foster", "general", {"options": {"bases": "heun"}}, "no options .*its options are base, coupling"),
        ("milstein", "diagonal", {"options": {"free": True}}, "no options .*its options are grad_free"),
        ("srk", "diagonal", {"options": {"grad_free": True}}, "no options .*leave options out"),
    ],
)
def test_what_a_method_is_not_for_is_refused(method, noise_type, change, message):
    with pytest.raises(ValueError, match=message):
        solve(method, noise_type, initial(), parameters(), **change)


def test_backsolve_of_a_base_that_does_not_go_backwards_is_refused():
    with pytest.raises(ValueError, match=r'cannot take .* use adjoint="reversible"'):
        gradient("mccallum_foster", "additive", options={"base": "shark"}, adjoint="backsolve")


class PlainPath(eqx.Module):
    def evaluate(self, t0, t1):
        return jnp.zeros((PATHS, 3))


@pytest.mark.exhaustive(but=["log_ode-*"])
@pytest.mark.parametrize(
    ("method", "noise_type", "area"), [("srk", "diagonal", "space-time"), ("log_ode", "general", "foster")]
)
@pytest.mark.slow
def test_a_path_without_the_levy_area_is_refused(method, noise_type, area):
    plain = BrownianInterval(0, 1, (PATHS, NOISE_DIM[noise_type]), jax.random.key(0), dt=1 / STEPS)
    for bm in (PlainPath(), plain):
        with pytest.raises(ValueError, match=f'with their {area} Levy area.*levy_area="{area}"'):
            solve(method, noise_type, initial(), parameters(), bm=bm)
    enough = BrownianInterval(0, 1, (PATHS, NOISE_DIM[noise_type]), jax.random.key(0), dt=1 / STEPS, levy_area=area)
    assert solve(method, noise_type, initial(), parameters(), bm=enough).shape == (3, *initial().shape)
