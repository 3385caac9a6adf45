"""A decorator for functions that torch's compiler must not trace."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, not traced by a `torch.compile` around its caller, which would unroll the loop over the steps and
    fail on integers of 64 bits.

    torch's own decorator for that imports its compiler at the first call, which takes seconds, so it is
    used only while compiling.
    """
    untraced = torch._disable_dynamo(function)  # pyright: ignore[reportPrivateImportUsage]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return (untraced if torch.compiler.is_compiling() else function)(*args, **kwargs)

    return call
