"""What a quick answer leaves out, `-m "not slow"`, and which compiled programs are kept."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest


def first_is_quick(cases: Sequence[tuple]) -> list:
    """The cases of a parametrised test: the first one answers quickly, the others are marked slow."""
    first, *others = cases
    return [first, *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]


@contextmanager
def programs_kept() -> Iterator[None]:
    """Errors at run time are NaN, as by EQX_ON_ERROR=nan: so no program calls back into Python, and JAX keeps it."""
    import jax
    from equinox import _errors

    # The precision, of no effect on the CPU, keeps what is traced here from tests that wait for an error.
    with pytest.MonkeyPatch.context() as patch, jax.default_matmul_precision("highest"):
        patch.setattr(_errors, "EQX_ON_ERROR", "nan")
        yield
