"""What torch's compiler must leave as it is."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, that a `torch.compile` around its caller does not trace: it would unroll the loop over the steps, and
    fails on integers of 64 bits.

    torch's own decorator for that imports its compiler at the first call, which takes seconds; so it is for those alone
    who compile.
    """
    untraced = torch._disable_dynamo(function)  # pyright: ignore[reportPrivateImportUsage]

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return (untraced if torch.compiler.is_compiling() else function)(*args, **kwargs)

    return call
