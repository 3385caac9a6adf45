"""Whether the Brownian paths of a solve by diffrax are as long as the solve: asked once, before its loop."""

import equinox as eqx
from diffrax._term import WrapTerm  # what diffeqsolve puts around terms, to go backwards in time
from jaxtyping import Array

from sdegrad.jax.arguments import eps_of
from sdegrad.jax.brownian.interval import BrownianInterval
from sdegrad.jax.brownian.positions import inside
from sdegrad.jax.diffrax.terms import Terms, parts_of
from sdegrad.jax.times import OneCell


def spanned(time: Array, terms: Terms, ends: tuple[Array, Array]) -> Array:
    """`time` unchanged; an error at run time where a `BrownianInterval` in the terms does not span both ends."""
    for wrapped in parts_of(WrapTerm, terms):
        for path in parts_of(BrownianInterval, wrapped):
            reached = [inside(path.grid, wrapped.direction * end, eps_of(end)) for end in ends]
            known = "[t0, t1]" if isinstance(path.grid, OneCell) else f"[{path.t0}, {path.t1}]"
            sentence = (
                f"t0 or t1 of diffeqsolve is not within {known}, where its BrownianInterval is; make the path "
                "longer, or the solve shorter."
            )
            time = eqx.error_if(time, ~(reached[0] & reached[1]), sentence)
    return time
