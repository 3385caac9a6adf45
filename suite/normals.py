"""The portable generator, asked for many normals: moments to order 8, tails, the density, and correlations.

    python -m suite.normals reports/reference/cpu/normals.csv --numbers 1e9

The numbers are increments W and areas H, scaled, over cells of length 1, in single precision, half of them each, of
the paths of two seeds. Lags: numbers at a distance within one draw; also W and H of a cell, two cells one after
another, two seeds. Every row has a p-value, two-sided; all hold if the least one times the number of rows is above
`SIGNIFICANCE`. The command goes on where it was interrupted: sums are kept beside the file.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.special import bdtr, bdtrc, chdtrc, factorial2, ndtr

from suite.harness import part
from suite.provenance import context

SEEDS = (0, 1)
SIZE = 2**16  # numbers of a draw, for which a processor's cache has room
ROUND = 64  # cells between two looks at the clock and the file
SIGNIFICANCE = 1e-3  # of all rows together
TAILS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
LAGS = (1, 2, 3, 8, 64, 1024)
BINS, WIDTH, LEAST = 1024, 1 / 64, 10.0  # of the density; the least expected in a bin
COLUMNS = ("test", "numbers", "value", "expected", "p_value", "seeds", "machine", "commit")

Draw = Callable[[int, int], tuple[np.ndarray, np.ndarray]]  # (seed, cell) -> W and H, both standard normal


class Row(NamedTuple):
    test: str
    numbers: int
    value: float
    expected: float
    p_value: float


def portable(cells: int) -> Draw:
    import torch

    kind: dict[str, Any] = {"size": (SIZE,), "dt": 1.0, "dtype": torch.float32, "generator": "portable"}
    kind |= {"levy_area_approximation": "space-time"}
    paths = {seed: part("torch").BrownianInterval(0.0, float(cells), entropy=seed, **kind) for seed in SEEDS}

    def draw(seed: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
        W, U = (x.numpy().astype(float) for x in paths[seed].cell(cell, return_U=True))
        return W, (U - W / 2) * 12**0.5

    return draw


def pairs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums of products of two independent numbers, and of their squares less one."""
    return np.array([len(x), x @ y, (x * x - 1) @ (y * y - 1)])


def sums(draw: Draw, cell: int) -> dict[str, np.ndarray]:
    """Of one cell of each seed, and its neighbour before: what is added up over cells."""
    drawn = [draw(seed, cell) for seed in SEEDS]
    X = np.stack([x for pair in drawn for x in pair])
    found = {"tails": np.array([[(s * X > t).sum() for t in TAILS] for s in (1, -1)]).ravel()}
    found["bins"] = np.bincount(np.clip(X.ravel() / WIDTH + BINS / 2, 0, BINS - 1).astype(int), minlength=BINS)
    power, moments = X.ravel().copy(), []
    for _ in range(8):
        moments.append(power.sum())
        power *= X.ravel()
    found["moments"] = np.array([X.size, *moments])
    for lag in LAGS:
        found[f"lag {lag}"] = np.sum([pairs(x[lag:], x[:-lag]) for x in X], 0)
    found["W and H"] = np.sum([pairs(*pair) for pair in drawn], 0)
    found["two seeds"] = np.sum([pairs(*of_both) for of_both in zip(*drawn, strict=True)], 0)
    if cell:
        before = draw(SEEDS[0], cell - 1)
        found["two cells"] = np.sum([pairs(*x) for x in zip(before, drawn[0], strict=True)], 0)
    return found


def rows(total: dict[str, np.ndarray]) -> Iterator[Row]:
    count = int(total["moments"][0])
    mean = {k: 0.0 if k % 2 else float(factorial2(k - 1)) for k in range(1, 17)}
    for k, moment in enumerate(total["moments"][1:], 1):
        error = ((mean[2 * k] - mean[k] ** 2) / count) ** 0.5
        yield Row(f"moment {k}", count, moment / count, mean[k], _two_sided((moment / count - mean[k]) / error))
    sides = [f"{sign}{t:g}" for sign in ("above ", "below -") for t in TAILS]
    for side, t, found in zip(sides, 2 * TAILS, total["tails"], strict=True):
        p = float(ndtr(-t))
        least = min(bdtr(found, count, p), bdtrc(found - 1, count, p) if found else 1.0)
        yield Row(side, count, float(found), count * p, min(1.0, 2 * float(least)))
    yield _density(total["bins"], count)
    for name, (n, *products) in total.items():
        if name in ("moments", "tails", "bins"):
            continue
        for product, what, error in zip(products, ("", ", squares"), (1.0, 2.0), strict=True):
            z = product / error / n**0.5
            yield Row(f"correlation: {name}{what}", int(n), product / error / n, 0.0, _two_sided(z))


def _density(bins: np.ndarray, count: int) -> Row:
    """Chi squared over the bins where enough are expected; the rest are two more."""
    edges = (np.arange(BINS + 1) - BINS / 2) * WIDTH
    expected = count * np.diff(ndtr(edges))
    kept = expected > LEAST
    found, wanted = ([*x[kept], x[~kept].sum()] for x in (bins, expected))
    chi = float(sum((a - b) ** 2 / b for a, b in zip(found, wanted, strict=True) if b > 0))
    return Row("chi squared of the density", count, chi, len(found) - 1.0, float(chdtrc(len(found) - 1, chi)))


def _two_sided(z: float) -> float:
    return float(2 * ndtr(-abs(z)))


def holds(found: list[Row]) -> bool:
    return min(row.p_value for row in found) * len(found) > SIGNIFICANCE


def add_up(draw: Draw, cells: range, total: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for cell in cells:
        for name, value in sums(draw, cell).items():
            total[name] = total.get(name, 0) + value
    return total


def main(arguments: list[str] | None = None) -> int:
    """0: all rows hold; 1: some do not."""
    parser = argparse.ArgumentParser(prog="python -m suite.normals", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--numbers", type=float, default=1e9)
    asked = parser.parse_args(arguments)
    cells = max(1, round(asked.numbers / (2 * len(SEEDS) * SIZE)))
    draw, kept = portable(cells), asked.results.with_suffix(".npz")
    total = dict(np.load(kept)) if kept.exists() else {}
    done = int(total.get("moments", [0])[0]) // (2 * len(SEEDS) * SIZE)
    while done < cells:
        upto = min(done + ROUND, cells)
        total, done = add_up(draw, range(done, upto), total), upto
        np.savez(kept.with_suffix(".part.npz"), allow_pickle=False, **total)
        kept.with_suffix(".part.npz").replace(kept)
        print(f"{done}/{cells} cells", file=sys.stderr, flush=True)
    found, where = list(rows(total)), context(threads=1)
    with asked.results.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows((*row, " ".join(map(str, SEEDS)), where.machine, where.commit) for row in found)
    kept.unlink()
    least = min(found, key=lambda row: row.p_value)
    print(f"{len(found)} rows; the least p-value is {least.p_value:.2g}, of {least.test}")
    return 0 if holds(found) else 1


if __name__ == "__main__":
    sys.exit(main())
