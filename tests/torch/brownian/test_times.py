"""Times off the grid, at any number of cells and in any dtype: laws, sums, solves and gradients over parts of cells."""

import itertools
import math

import numpy as np
import pytest
import torch

import sdegrad.torch as sd
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.virtual_tree import VirtualBrownianTree
from tests.torch.adjoints.test_discrete import distance, gradients
from tests.torch.laws import SIGNIFICANCE, covariance, p_value
from tests.torch.sdes import neural, state

PATHS = 4000
EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}
PARTS = (0.0, 0.25, 0.5, 1.0, 1.5, 2.25, 2.75, 4.0)  # of a cell
# The start, the length of a cell, and how many: of single precision, with room for PARTS between two cells.
GRIDS = [
    (0.0, 2.0**-7, 100),
    (0.0, 1e-3, 10_000),
    (0.0, 2.0**-20, 10**6),
    (-10.0, 1e-3, 10_000),
    (1000.0, 1e-2, 100),
    (2.0**20, 1.0, 10**6),
]
FINE = [(0.0, 1e-6, 10**6), (1e5, 1e-4, 10_000), (-1e8, 1e-4, 10**6)]  # of double precision


def times(dtype, t0, dt, cells) -> list[list[torch.Tensor]]:
    """Parts of cells, at the start, within, and at the end of the grid."""
    return [
        [torch.tensor(t0 + (k + part) * dt, dtype=torch.float64).to(dtype) for part in PARTS]
        for k in (0, cells // 3, cells - 4)
    ]


@pytest.mark.parametrize(
    ("dtype", "grid"), [*((d, g) for g in GRIDS for d in EPS), *((torch.float64, g) for g in FINE)]
)
def test_law_over_parts_of_cells(dtype, grid):
    """Variances, covariances and sums; the exact law is that of the times as they were given."""
    t0, dt, cells = grid
    bm = BrownianInterval(t0, t0 + cells * dt, (PATHS,), torch.float64, entropy=1, dt=dt)
    assert bm.grid.steps == cells
    for ts in times(dtype, *grid):
        increments = [bm(a, b) for a, b in itertools.pairwise(ts)]
        exact = covariance([("W", float(a), float(b)) for a, b in itertools.pairwise(ts)])
        samples = torch.stack(increments, 1).numpy()
        assert p_value(samples, exact) > SIGNIFICANCE
        assert p_value(samples * 1.03, exact) < SIGNIFICANCE
        torch.testing.assert_close(sum(increments), bm(ts[0], ts[-1]), rtol=0.0, atol=1e-12 * math.sqrt(dt))
        torch.testing.assert_close(increments[0] + increments[1], bm(ts[0], ts[2]), rtol=0.0, atol=1e-12 * dt**0.5)


@pytest.mark.parametrize("query", [(9.0, 9.0004), (9.0005, 9.001), (0.0, 1e-6), (9.9999, 10.0)])
def test_variance_of_one_query_in_single_precision(query):
    bm = BrownianInterval(0.0, 10.0, (PATHS,), torch.float64, entropy=1, dt=1e-3)
    a, b = map(torch.tensor, query)
    ratio = float(bm(a, b).var() / (b.double() - a.double()))
    assert ratio == pytest.approx(1, abs=5 * (2 / PATHS) ** 0.5)  # 5 standard deviations, a significance of 6e-7


def test_what_snapping_moves_is_small_where_single_precision_is_as_coarse_as_a_cell():
    """10^6 decimal cells: a cell is 8 to 16 ulp at the end. An end is moved by no more than 1/64 of it."""
    bm = BrownianInterval(0.0, 1.0, (PATHS,), torch.float64, entropy=1, dt=1e-6)
    ts = [torch.tensor(0.9 + i * 1e-6 / 3) for i in range(31)]
    for a, b in itertools.pairwise(ts):
        length = float(b) - float(a)
        assert abs(float(bm(a, b).var()) - length) < 2e-6 / 64 + 5 * length * (2 / PATHS) ** 0.5


@pytest.mark.parametrize("cells", [100, 10_000, 1_000_000])
@pytest.mark.parametrize("t1", [1.0, 10.0])
@pytest.mark.slow
def test_beyond_the_ends_is_an_error_at_any_number_of_cells(cells, t1):
    tree = VirtualBrownianTree(-t1, t1, (2,), entropy=1, tol=1e-3)
    for bm in (BrownianInterval(-t1, t1, (2,), entropy=1, dt=2 * t1 / cells), tree):
        for dtype, eps in EPS.items():
            for factor in (1 + 10 * eps, 1 + 1e-5, 1.0004):
                t = torch.tensor(t1 * factor, dtype=dtype)
                for query in ((torch.zeros_like(t), t), (t, 2 * t), (-t, torch.zeros_like(t)), (-2 * t, -t)):
                    with pytest.raises(ValueError, match=r"outside|not within"):
                        bm(*query)
            t = torch.tensor(t1 * (1 + 2 * eps), dtype=dtype)
            assert t > t1
            assert torch.equal(bm(torch.zeros_like(t), t), bm(0.0, t1))
            assert torch.equal(bm(-t, torch.zeros_like(t)), bm(-t1, 0.0))


class Noise(sd.BaseSDE):
    """y = t + W(t)."""

    def __init__(self) -> None:
        super().__init__("diagonal", "ito")

    def f(self, _t, y):
        return torch.ones_like(y)

    def g(self, _t, y):
        return torch.ones_like(y)


@pytest.mark.parametrize("part", [1 / 2, 1 / 3, 3 / 2])
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("t0", [0.0, 9.0, 9.0002])
def test_solve_with_steps_that_are_not_cells(part, dtype, t0):
    """On a path of 10 000 cells: the solution is the path, and its steps have their law."""
    bm = BrownianInterval(0.0, 10.0, (PATHS, 1), torch.float64, entropy=2, dt=1e-3)
    dt = 1e-3 * part
    ts = torch.tensor([t0 + k * dt for k in range(7)], dtype=torch.float64).to(dtype)
    ys = sd.sdeint(Noise(), torch.zeros(PATHS, 1, dtype=torch.float64), ts, bm=bm, dt=dt, method="euler")
    assert len(ys) == 7
    given = ts.tolist()
    W = torch.stack([bm(given[0], t) for t in given])
    drift = (ts.double() - given[0]).reshape(-1, 1, 1)
    # Outputs next to a step are interpolated in a part of it, which a float32 time makes of some ulp.
    slack = 8 * EPS[dtype] * given[-1] / dt
    torch.testing.assert_close(ys, W + drift, rtol=0.0, atol=1e-13 + 6 * math.sqrt(slack * dt))
    steps = ys.diff(dim=0)[..., 0].numpy() - dt
    exact = np.eye(6) * dt
    assert p_value(steps.T, exact) > SIGNIFICANCE
    assert p_value(steps.T * 1.03, exact) < SIGNIFICANCE


@pytest.mark.exhaustive(but=["*-dtype1-*"])
@pytest.mark.slow
@pytest.mark.parametrize("part", [1 / 2, 1 / 3, 3 / 2])
@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("method", ["reversible_heun", "mccallum_foster"])
def test_gradient_is_exact_with_steps_that_are_not_cells(part, dtype, method):
    torch.set_default_dtype(torch.float64)
    try:
        sde, y0 = neural("general"), state()
        bm = BrownianInterval(-0.3, 10.0, (*y0.shape[:-1], 3), dt=0.01, entropy=2)
        ts = torch.tensor([0.1, 0.123, 0.21, 0.3], dtype=dtype)
        exact, adjoint = (gradients(sde, y0, ts, 0.01 * part, a, method, bm) for a in ("backprop", "reversible"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert 0 < distance(exact, adjoint) < 1e-13


@pytest.mark.slow
def test_outputs_inside_one_cell():
    """Of y = t, in single precision: ten parts of a step of 1e-4, at its 9000th."""
    sde = Noise()
    sde.g = lambda t, y: torch.zeros_like(y)
    inside = torch.tensor([0.9 + k * 1e-5 for k in range(11)])
    ts = torch.cat([torch.zeros(1), inside, torch.ones(1)])
    ys = sd.sdeint(sde, torch.zeros(1, 1, dtype=torch.float64), ts, dt=1e-4, method="euler")[1:-1, 0, 0]
    assert (ys.diff() > 0.5e-5).all()
    torch.testing.assert_close(ys, inside.double(), rtol=0.0, atol=1e-7)


def test_a_float32_end_is_that_of_the_motion():
    """Which is 1.2e-8 away from it, in time reversed too."""
    bm = BrownianInterval(0.0, 0.3, (4, 1), entropy=2, dt=0.01)
    ends = torch.tensor([0.0, 0.3])
    assert float(ends[1]) > bm.t1
    backwards = sd.ReverseBrownian(bm)
    assert (backwards.t0, backwards.t1) == (-0.3, -0.0)
    for motion, ts in ((bm, ends), (backwards, -ends.flip(0))):
        for dt in (0.01, 0.005, 0.02, 0.07):
            ys = sd.sdeint(Noise(), torch.zeros(4, 1), ts, bm=motion, dt=dt, method="euler")
            torch.testing.assert_close(ys[-1] - 0.3, motion(motion.t0, motion.t1), rtol=0.0, atol=1e-6)
