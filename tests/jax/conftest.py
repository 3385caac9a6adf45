"""Double precision, and strict promotion of dtypes and ranks, in every test here, and only here."""

import jax
import jax.experimental
import pytest

if not hasattr(jax, "enable_x64"):  # before JAX 0.8
    jax.enable_x64 = jax.experimental.enable_x64  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(autouse=True)
def _strict_double():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
