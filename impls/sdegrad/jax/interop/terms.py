"""The terms of a solve with all that they close over in sight."""

from typing import Any

import diffrax
import equinox as eqx
import jax


class HoistedTerm(diffrax.AbstractTerm):
    """The same as some terms, but with every array that they use, closed over or not, as a leaf."""

    vector_field: Any
    control: Any
    interaction: Any
    paths: list  # of Brownian motion: by these diffrax knows an SDE, and its order

    def vf(self, t: Any, y: Any, args: Any) -> Any:
        return self.vector_field(t, y, args)

    def contr(self, t0: Any, t1: Any, **_: Any) -> Any:
        return self.control(t0, t1)

    def prod(self, vf: Any, control: Any) -> Any:
        return self.interaction(vf, control)


def hoist(terms: Any, t: Any, y: Any, args: Any) -> HoistedTerm:
    vf, control = eqx.filter_eval_shape(terms.vf, t, y, args), eqx.filter_eval_shape(terms.contr, t, t)
    leaves = jax.tree.leaves(terms, is_leaf=_is_brownian)
    return HoistedTerm(
        eqx.filter_closure_convert(terms.vf, t, y, args),
        eqx.filter_closure_convert(terms.contr, t, t),
        eqx.filter_closure_convert(terms.prod, vf, control),
        [leaf for leaf in leaves if _is_brownian(leaf)],
    )


def _is_brownian(x: Any) -> bool:
    return isinstance(x, diffrax.AbstractBrownianPath)
