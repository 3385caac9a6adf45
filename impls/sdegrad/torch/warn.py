"""Warnings that point at the user's own line, however deep in the library or in PyTorch they come up."""

import sys
import warnings

_INSIDE = ("sdegrad", "torch", "jaxtyping", "beartype")


def warn(message: str) -> None:
    """Warn as from the innermost call outside sdegrad and PyTorch: the call of sdeint, of backward, of bm."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _package(frame.f_globals.get("__name__", "")) in _INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


def _package(module: str) -> str:
    return module.partition(".")[0]
