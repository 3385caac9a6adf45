"""Coefficients of the Runge-Kutta methods, once for both frameworks. Each table checks itself when it is made.

References stand with the methods, in `torch/methods` and `jax/methods`.
"""

import math
from dataclasses import dataclass

_TOLERANCE = 1e-15


@dataclass(frozen=True)
class LowStorage:
    """Williamson's 2N form: k <- A_i k + F(t + C_i h, y); y <- y + B_i k."""

    A: tuple[float, ...]
    B: tuple[float, ...]
    C: tuple[float, ...]

    def __post_init__(self) -> None:
        weights, nodes = [0.0] * len(self.A), []  # of the stages so far, as y has them
        for i, b in enumerate(self.B):
            nodes.append(sum(weights))
            for j in range(i + 1):
                weights[j] += b * math.prod(self.A[j + 1 : i + 1])
        assert self.A[0] == 0
        assert all(math.isclose(x, c, abs_tol=_TOLERANCE) for x, c in zip(nodes, self.C, strict=True))
        assert math.isclose(sum(weights), 1)


@dataclass(frozen=True)
class TwoStage:
    """Two evaluations of the drift, at t0 and t0 + C h, with the weights B."""

    C: float
    B: tuple[float, float]

    def __post_init__(self) -> None:
        assert sum(self.B) == 1
        assert self.B[1] * self.C == 1 / 2


@dataclass(frozen=True)
class SRI:
    """Roessler's SRI methods: stages of the drift (0) and of the diffusion (1) with nodes C, and weights of the drifts
    (A) and of the diffusions (B) in them; in the step, `alpha` those of the drifts, `beta` those of the diffusions with
    the iterated integrals I_1, I_11 / sqrt(h), I_10 / h and I_111 / h."""

    C0: tuple[float, ...]
    C1: tuple[float, ...]
    A0: tuple[tuple[float, ...], ...]
    A1: tuple[tuple[float, ...], ...]
    B0: tuple[tuple[float, ...], ...]
    B1: tuple[tuple[float, ...], ...]
    alpha: tuple[float, ...]
    beta: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for C, A in ((self.C0, self.A0), (self.C1, self.A1)):
            assert all(math.isclose(sum(row), c) for row, c in zip(A, C, strict=True))
        assert math.isclose(sum(self.alpha), 1)
        assert math.isclose(sum(a * sum(row) for a, row in zip(self.alpha, self.B0, strict=False)), 1)
        rows = [sum(row) for row in self.B1]
        totals = [sum(beta) for beta in self.beta]
        slopes = [sum(b * row for b, row in zip(beta, rows, strict=True)) for beta in self.beta]
        expected = (1, 0, 0, 0, 0, 1, 0, 0)
        assert all(abs(x - y) < _TOLERANCE for x, y in zip(totals + slopes, expected, strict=True))


EES25 = LowStorage(A=(0.0, -7 / 15, -35 / 32), B=(1 / 3, 15 / 16, 2 / 5), C=(0.0, 1 / 3, 5 / 6))

_R = math.sqrt(2)
EES27 = LowStorage(
    A=(0.0, (-7 + 4 * _R) / 3, -(4 + 5 * _R) / 12, 3 * (8 * _R - 31) / 49),
    B=((2 - _R) / 3, (4 + _R) / 8, 3 * (3 - _R) / 7, (9 - 4 * _R) / 14),
    C=(0.0, (2 - _R) / 3, (2 + _R) / 6, (4 + _R) / 6),
)

SHARK = TwoStage(C=5 / 6, B=(2 / 5, 3 / 5))
SRA1 = TwoStage(C=3 / 4, B=(1 / 3, 2 / 3))

SRI2W1 = SRI(
    C0=(0, 1, 1 / 2, 0),
    C1=(0, 1 / 4, 1, 1 / 4),
    A0=((), (1,), (1 / 4, 1 / 4), ()),
    A1=((), (1 / 4,), (1, 0), (0, 0, 1 / 4)),
    B0=((), (0,), (1, 1 / 2), ()),
    B1=((), (-1 / 2,), (1, 0), (2, -1, 1 / 2)),
    alpha=(1 / 6, 1 / 6, 2 / 3),
    beta=((-1, 4 / 3, 2 / 3, 0), (1, -4 / 3, 1 / 3, 0), (2, -4 / 3, -2 / 3, 0), (-2, 5 / 3, -2 / 3, 1)),
)
