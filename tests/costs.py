"""What a quick answer leaves out: `-m "not slow"`."""

from collections.abc import Sequence

import pytest


def first_is_quick(cases: Sequence[tuple]) -> list:
    """The cases of a parametrised test: the first one answers quickly, the others are marked slow."""
    first, *others = cases
    return [first, *(pytest.param(*case, marks=pytest.mark.slow) for case in others)]
