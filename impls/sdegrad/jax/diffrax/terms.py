"""The terms of a solve as a pytree of all arrays that they use, and their `BrownianInterval`s."""

from collections.abc import Callable

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from diffrax._term import WrapTerm  # what diffeqsolve puts around every term, to go backwards in time
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.types import Args, Carried, Increment, Time, Y

Terms = PyTree  # of diffrax: a term, or several
VF, Control = PyTree, PyTree  # what a term returns from `vf`, and from `contr`


class HoistedTerm(diffrax.AbstractTerm):
    """The same as some terms, but with every array that they use, closed over or not, as a leaf.

    The increments of the paths in `brownian` are made first, over the intervals that `intervals` returns for a step;
    that these are within [t0, t1] was checked before.
    """

    vector_field: Callable[..., VF]
    control: Callable[..., Control]
    interaction: Callable[[VF, Control], Y]
    intervals: Callable[..., list]
    brownian: list
    cached: bool = eqx.field(static=True)
    paths: list  # of Brownian motion: by these diffrax knows an SDE, and its order

    def vf(self, t: ArrayLike, y: Y, args: Args) -> VF:
        return self.vector_field(t, y, args)

    def contr(self, t0: ArrayLike, t1: ArrayLike, **_: object) -> Control:
        return self.advance(self.start(), t0, t1)[0]

    def prod(self, vf: VF, control: Control) -> Y:
        return self.interaction(vf, control)

    def start(self) -> list:
        """The carry of `advance` from step to step."""
        return [path.start() if self.cached else None for path in self.brownian]

    def advance(self, caches: list, t0: ArrayLike, t1: ArrayLike) -> tuple[Control, list]:
        """(The control over [t0, t1], the caches after it)."""
        asked = zip(self.brownian, caches, self.intervals(t0, t1), strict=True)
        made = [path.advance(cache, *interval) for path, cache, interval in asked]
        increments = [
            made if path.area == "none" else made.W for path, (made, _) in zip(self.brownian, made, strict=True)
        ]
        return self.control(t0, t1, increments), [cache for _, cache in made]


class Known(diffrax.AbstractTerm):
    """Terms over one step, whose control is known."""

    terms: HoistedTerm
    control: Control

    def vf(self, t: ArrayLike, y: Y, args: Args) -> VF:
        return self.terms.vf(t, y, args)

    def contr(self, *_: object, **__: object) -> Control:
        return self.control

    def prod(self, vf: VF, control: Control) -> Y:
        return self.terms.prod(vf, control)


class CachingSolver(eqx.Module):
    """The solver, as diffrax's loop uses it, with the caches of the Brownian paths beside its state."""

    solver: diffrax.ReversibleHeun

    @property
    def interpolation_cls(self) -> Callable[..., diffrax.AbstractLocalInterpolation]:
        return self.solver.interpolation_cls

    def error_order(self, terms: HoistedTerm) -> ArrayLike | None:
        return self.solver.error_order(terms)

    def step(
        self, terms: HoistedTerm, t0: Time, t1: Time, y0: Y, args: Args, state: Carried, made_jump: bool | Array
    ) -> tuple:
        state, caches = state
        control, caches = terms.advance(caches, t0, t1)
        y, error, dense, state, result = self.solver.step(Known(terms, control), t0, t1, y0, args, state, made_jump)
        return y, error, dense, (state, caches), result


def hoist(terms: Terms, t: Time, y: Y, args: Args, cached: bool) -> HoistedTerm:
    """cached: whether the `BrownianInterval`s in the terms keep their `TreeCache` from step to step, which pays unless
    the steps are the cells of a path.
    """
    brownian = [part.control for part in jax.tree.leaves(terms, is_leaf=_is_part) if _is_brownian(part)]

    def replaced(controls: list) -> Terms:
        """The terms with other controls in the place of the paths."""
        rest = iter(controls)
        return jax.tree.map(
            lambda part: diffrax.ControlTerm(part.vector_field, next(rest)) if _is_brownian(part) else part,
            terms,
            is_leaf=_is_part,
        )

    def intervals(t0: Time, t1: Time) -> list:
        asked: list = [None] * len(brownian)

        def recorder(i: int) -> Callable[[Time, Time], Increment]:
            def record(t0: Time, t1: Time) -> Increment:
                asked[i] = (t0, t1)
                return _zeros(brownian[i])

            return record

        replaced([recorder(i) for i in range(len(brownian))]).contr(t0, t1)
        return asked

    def control(t0: Time, t1: Time, increments: list) -> Control:
        return replaced([lambda t0, t1, W=W: W for W in increments]).contr(t0, t1)

    vf, example = eqx.filter_eval_shape(terms.vf, t, y, args), eqx.filter_eval_shape(terms.contr, t, t)
    return HoistedTerm(
        eqx.filter_closure_convert(terms.vf, t, y, args),
        eqx.filter_closure_convert(control, t, t, list(map(_zeros, brownian))),
        eqx.filter_closure_convert(terms.prod, vf, example),
        eqx.filter_closure_convert(intervals, t, t),
        brownian,
        cached,
        parts_of(diffrax.AbstractBrownianPath, terms),
    )


def _zeros(path: BrownianInterval) -> Increment:
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), path.structs)


def _is_part(x: object) -> bool:
    """Whether x is a term by itself, not several put together, nor one wrapped by diffrax."""
    return not isinstance(x, diffrax.MultiTerm | WrapTerm | tuple)


def _is_brownian(x: object) -> bool:
    return type(x) is diffrax.ControlTerm and isinstance(x.control, BrownianInterval)


def parts_of(cls: type, tree: PyTree) -> list:
    """The instances of a class in a pytree."""
    leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, cls))
    return [leaf for leaf in leaves if isinstance(leaf, cls)]
