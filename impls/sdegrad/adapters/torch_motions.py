"""The Brownian motions of torchsde's API, made alike: of the same arguments as its interval."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sdegrad.contract import BrownianTask

_WITHOUT_AREAS = ("points", "path", "tree")


def why_not(task: BrownianTask) -> str | None:
    if task.levy_area == "space-time-time":
        return "torchsde's API has no space-time-time Levy area."
    if task.kind in _WITHOUT_AREAS and task.levy_area != "none":
        return f"torchsde's Brownian {task.kind} takes no Levy area."
    return None


def motion(library: Any, task: BrownianTask) -> Callable[..., Any]:
    """The class of the library for this kind of task, or a function that makes one. library: torchsde or its like."""

    def dyadic(*ends_and_size: Any, dt: None, **arguments: Any) -> Any:  # noqa: ARG001 (torchsde takes none here)
        return library.BrownianInterval(*ends_and_size, halfway_tree=True, tol=task.tol or 1e-6, **arguments)

    def portable(*ends_and_size: Any, **arguments: Any) -> Any:
        return library.BrownianInterval(*ends_and_size, generator="portable", **arguments)

    def tree(*ends_and_size: Any, dt: None, levy_area_approximation: str, **arguments: Any) -> Any:  # noqa: ARG001
        tol = task.tol or (task.dt or task.t1 - task.t0) / 2
        return library.VirtualBrownianTree(*ends_and_size, tol=tol, **arguments)

    def points(t0: float, t1: float, size: Any, dtype: Any, device: Any, entropy: Any, **_: Any) -> Any:
        return library.BrownianTree(t0, torch.zeros(size, dtype=dtype, device=device), t1, entropy=entropy)

    def path(t0: float, t1: float, size: Any, dtype: Any, device: Any, entropy: Any, **_: Any) -> Any:  # noqa: ARG001
        _seed_all(entropy)
        return library.BrownianPath(t0, torch.zeros(size, dtype=dtype, device=device))

    def reversed_interval(t0: float, t1: float, size: Any, **arguments: Any) -> Any:
        return library.ReverseBrownian(library.BrownianInterval(-t1, -t0, size, **arguments))

    def given(t0: float, t1: float, size: Any, dtype: Any, device: Any, entropy: int, **arguments: Any) -> Any:
        generator = torch.Generator(device).manual_seed(entropy + 1)
        drawn = {"generator": generator, "dtype": dtype, "device": device}
        W, H = (((t1 - t0) * v) ** 0.5 * torch.randn(size, **drawn) for v in (1, 1 / 12))
        return library.BrownianInterval(t0, t1, W=W, H=H, entropy=entropy, **arguments)

    makers = {
        "tree": tree,
        "dyadic": dyadic,
        "portable": portable,
        "points": points,
        "path": path,
        "reversed": reversed_interval,
        "given": given,
    }
    return makers.get(task.kind, library.BrownianInterval)


def _seed_all(entropy: int | None) -> None:
    """The global generators, for a motion that takes no seed; as they are if it is None."""
    if entropy is not None:
        torch.manual_seed(entropy)
        np.random.seed(entropy)  # noqa: NPY002 (torchsde's)
