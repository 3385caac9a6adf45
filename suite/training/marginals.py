"""The marginals of generated paths at a few times, kept to be drawn: quantiles, a line of text each."""

import csv
import io
from pathlib import Path

import numpy as np

from suite.journal import append, check_header, repair

COLUMNS = ("run", "problem", "implementation", "seed", "t", "probability", "value")
PROBABILITIES = np.linspace(0.02, 0.98, 33)


def times(ts: np.ndarray) -> list[int]:
    """Which of the times: the second, one in the middle and the last."""
    return sorted({1, len(ts) // 2, len(ts) - 1})


def keep(path: Path, names: tuple[str, str, str, int], ts: np.ndarray, ys: np.ndarray) -> None:
    """Add the quantiles of paths [times, paths, 1] to the file. names: run, problem, implementation, seed."""
    check_header(path, ",".join(COLUMNS) + "\n")
    repair(path)
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if not path.exists() or path.stat().st_size == 0:
        writer.writerow(COLUMNS)
    for k in times(ts):
        for probability, value in zip(PROBABILITIES, np.quantile(ys[k, :, 0], PROBABILITIES), strict=True):
            writer.writerow((*names, f"{ts[k]:g}", f"{probability:g}", f"{value:.6g}"))
    append(path, lines.getvalue())
