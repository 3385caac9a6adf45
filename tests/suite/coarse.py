"""The same path on fewer grid times, bit for bit."""

from suite.paths import Path


def coarsen(path: Path, factor: int) -> Path:
    """`path` at every `factor`-th grid time; `factor` divides the number of its steps."""
    assert (len(path.times) - 1) % factor == 0
    return Path(path.times[::factor], path.W[::factor], path.integral[::factor])
