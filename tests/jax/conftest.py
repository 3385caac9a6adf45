"""Double precision and strict promotion of dtypes in every test here, and only here."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _strict_double():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield
