"""Steps of equal length from one output to the next: their number is static, the times need not be."""

import jax
import jax.numpy as jnp
import numpy as np

from sdegrad.jax.stepping.accepted import Accepted
from sdegrad.jax.types import Path


def even_steps(bm: Path, ts: jax.Array, count: int, dtype: np.dtype, levy_area: str) -> Accepted:
    """`count` steps from every time of ts to the next."""
    parts = jnp.arange(count, dtype=ts.dtype)[None] / count
    times = jnp.append(ts[:-1, None] + jnp.diff(ts)[:, None] * parts, ts[-1])
    return Accepted(bm, times, count * jnp.arange(len(ts), dtype=jnp.int32), False, dtype, levy_area)
