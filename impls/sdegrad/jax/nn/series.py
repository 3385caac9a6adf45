"""Data as a path that drives an SDE: series at irregular times, with missing values, linear between observations.

The path is solved over against the index s of the data (0 at the first, 1 at the second, ...), so that steps end at
data, whatever their times are. Its slope jumps there, and a solver that evaluates the vector field once at the end of a
step and the start of the next needs both slopes at once. So the slope has two columns, of the even and of the odd
interval beside s, and the path is driven by how much of s was spent in either. Both columns are arrays that the vector
field holds, hence gradients reach the data.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from sdegrad.jax.types import Time, Times
from sdegrad.networks import check_series_shapes

Series = Float[Array, "times *paths channels"]
Data = Array | np.ndarray


def check_series(ts: Data, ys: Data, mask: Data | None, channels: int, masked: bool) -> None:
    """ValueError for shapes that are not those of series, and for wrong values where these are concrete."""
    check_series_shapes(ts.shape, ys.shape, None if mask is None else mask.shape, channels, masked)
    if mask is not None and mask.dtype != np.bool_:
        raise ValueError(f"mask must be of dtype bool, True where a value was observed, got {mask.dtype}.")
    if not isinstance(ts, Tracer):
        times = np.asarray(ts)
        if not np.isfinite(times).all() or (np.diff(times, axis=0) < 0).any() or (times[-1] <= times[0]).any():
            raise ValueError("ts must be finite and increasing; sort the times. Padding repeats the last one.")
    if isinstance(ys, Tracer) or isinstance(mask, Tracer):
        return
    finite = np.isfinite(np.asarray(ys)) | (False if mask is None else ~np.asarray(mask))
    if not finite.all():
        raise ValueError(
            f"ys has {(~finite).sum()} values that are NaN or infinite; if they are missing, pass "
            "mask=jnp.isfinite(ys) to a module with masked=True."
        )


def as_array(ts: Times) -> Data:
    """The times as an array: in NumPy's, if they are numbers in a sequence."""
    return ts if isinstance(ts, (Array, np.ndarray)) else np.asarray(ts)


def as_path(
    ts: Times, ys: Data, mask: Data | None, channels: int, masked: bool
) -> Float[Array, "times *paths extended"]:
    """The time, the values and, if masked, how many values of each channel were observed so far.

    ts [times] or, if each series has its own, [times, *paths]. ValueError for what does not fit.
    """
    ts = as_array(ts)
    check_series(ts, ys, mask, channels, masked)
    t, ys = jnp.asarray(ts, ys.dtype), jnp.asarray(ys)
    t = t.reshape(*t.shape, *[1] * (ys.ndim - t.ndim))
    t = jnp.broadcast_to(t, (*ys.shape[:-1], 1))
    if mask is None:
        return jnp.concatenate((t, ys), -1)
    return jnp.concatenate((t, fill(t, ys, jnp.asarray(mask)), jnp.cumsum(mask.astype(ys.dtype), 0)), -1)


def with_time(t: Time, y: Float[Array, "*paths dim"]) -> Float[Array, "*paths extended"]:
    return jnp.concatenate((jnp.broadcast_to(jnp.asarray(t, y.dtype), (*y.shape[:-1], 1)), y), -1)


def fill(t: Float[Array, "times *paths 1"], ys: Series, mask: Bool[Array, "times *paths channels"]) -> Series:
    """`ys` with missing values interpolated linearly in time from the observed ones beside them. Before the first and
    after the last observation the value is constant, and zero where none was observed.
    """
    times = len(ys)
    index = lax.broadcasted_iota(jnp.int32, ys.shape, 0)
    before = lax.cummax(jnp.where(mask, index, -1), 0)
    after = lax.cummin(jnp.where(mask, index, times), 0, reverse=True)
    left = jnp.minimum(jnp.where(before < 0, after, before), times - 1)
    right = jnp.maximum(jnp.where(after == times, before, after), 0)
    known, t = jnp.where(mask, ys, 0.0), jnp.broadcast_to(t, ys.shape)
    t0, t1 = (jnp.take_along_axis(t, k, 0) for k in (left, right))
    y0, y1 = (jnp.take_along_axis(known, k, 0) for k in (left, right))
    w = jnp.where(t1 > t0, (t - t0) / jnp.where(t1 > t0, t1 - t0, 1.0), 0.0)
    return y0 + w * (y1 - y0)


class Slopes(eqx.Module):
    """The path at s, and its two slopes there. substeps: steps from one datum to the next."""

    times: Float[Array, "intervals *paths 1"]
    steps: Float[Array, "intervals *paths extended"]
    near: float = eqx.field(static=True)

    def __init__(self, path: Float[Array, "times *paths extended"], substeps: int) -> None:
        self.times, self.steps, self.near = path[:-1, ..., :1], jnp.diff(path, axis=0), 0.25 / substeps

    def at(self, s: Time) -> tuple[Float[Array, "*paths 1"], Float[Array, "*paths extended 2"]]:
        """The time at s, and the slope in the even interval beside s and in the odd one."""
        s = jnp.asarray(s)
        last = len(self.steps) - 1
        left = jnp.clip(jnp.ceil(s - self.near).astype(jnp.int32) - 1, 0, last)
        right = jnp.clip(jnp.floor(s + self.near).astype(jnp.int32), 0, last)
        even, odd = jnp.where(left % 2 == 0, left, right), jnp.where(left % 2 == 1, left, right)
        time = self.times[right] + (s - right.astype(s.dtype)).astype(self.times.dtype) * self.steps[right, ..., :1]
        return time, jnp.moveaxis(self.steps[jnp.stack((even, odd))], 0, -1)


class Alternating(eqx.Module):
    """Drives the two columns: how much of s lies in even intervals, and how much in odd ones."""

    shape: tuple[int, ...] = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)

    def __init__(self, like: Float[Array, "*paths hidden"]) -> None:
        self.shape, self.dtype = (*like.shape[:-1], 2), like.dtype

    def evaluate(self, t0: Array, t1: Array, /) -> Float[Array, "*paths 2"]:
        a, b = _even_part(t0), _even_part(t1)
        increment = jnp.stack((b - a, (t1 - b) - (t0 - a))).astype(self.dtype)
        return jnp.broadcast_to(increment, self.shape)


def _even_part(s: Array) -> Array:
    return jnp.floor(s / 2) + jnp.minimum(s % 2, 1)
