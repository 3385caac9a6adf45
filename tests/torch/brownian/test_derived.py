"""Paths, trees, reversed motions, and the Virtual Brownian Tree."""

from collections import Counter

import numpy as np
import pytest
import torch
import torchsde
from torch.utils._python_dispatch import TorchDispatchMode

from sdegrad.torch.brownian.derived import BrownianPath, BrownianTree, ReverseBrownian
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.virtual_tree import VirtualBrownianTree
from tests.torch.laws import SIGNIFICANCE, covariance, p_value

PATHS = 40_000


class Operations(TorchDispatchMode):
    """Counts the calls of PyTorch's operations, by name."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


OUTSIDE = r"outside|Should have t[ab][<>]=t[01]"
ZERO = torch.zeros(PATHS, dtype=torch.float64)


def law(bm, queries, scale=1.0) -> float:
    samples = np.stack([bm(a, b).numpy() for a, b in queries], axis=1)
    return p_value(samples * scale, covariance([("W", a, b) for a, b in queries]))


def test_path_has_no_end():
    torch.manual_seed(0)
    bm = BrownianPath(-0.5, ZERO)
    queries = [(-0.5, 0.3), (0.0, 2.0), (100.0, 100.001), (1000.0, 2e4), (5e8, 5e8 + 1)]
    assert law(bm, queries) > SIGNIFICANCE
    assert law(bm, queries, 1.02) < SIGNIFICANCE


@pytest.mark.filterwarnings("ignore:BrownianInterval is optimised")
def test_paths_and_trees_clamp_what_is_outside():
    """As torchsde's, with a warning; to the value of the end, which is no less constant there for other queries."""
    w0, w1 = torch.ones(3, 1), torch.full((3, 1), 5.0)
    tree, path = BrownianTree(0.3, w0, 500.0, w1, entropy=2), BrownianPath(0.3, w0)
    theirs = torchsde.BrownianTree(0.3, w0, 500.0, w1, entropy=2)
    zero = torch.zeros_like(w0)
    for bm in (tree, path, theirs):
        for query in ((0.0, 0.3), (-5.0, 0.1), (0.0, torch.tensor(0.1))):
            with pytest.warns(UserWarning, match=OUTSIDE):
                assert torch.equal(bm(*query), zero)
        with pytest.warns(UserWarning, match=OUTSIDE):
            assert torch.equal(bm(0.0, 0.7), bm(0.3, 0.7))
        with pytest.warns(UserWarning, match=OUTSIDE):
            assert torch.equal(bm(0.0), w0)
    for bm in (tree, theirs):
        with pytest.warns(UserWarning, match=OUTSIDE):
            assert torch.equal(bm(501.0, 502.0), zero)
        with pytest.warns(UserWarning, match=OUTSIDE):
            torch.testing.assert_close(bm(float("inf")), w1)
    with pytest.warns(UserWarning, match=r"query at 501.0 is outside .t0, t1. = .0.3, 500.0., and taken to be the end"):
        torch.testing.assert_close(tree(0.3, 501.0), w1 - w0)
    with pytest.raises(ValueError, match="NaN"):
        tree(float("nan"), 1.0)
    with pytest.raises(ValueError, match="ta <= tb"), pytest.warns(UserWarning, match="outside"):
        tree(600.0, 1.0)


def test_points_start_at_w0():
    w0, w1 = torch.ones(3, 1), torch.full((3, 1), 5.0)
    for ours, theirs in [
        (BrownianPath(0.0, w0), torchsde.BrownianPath(0.0, w0)),
        (BrownianTree(0.0, w0, entropy=1), torchsde.BrownianTree(0.0, w0, entropy=1)),
    ]:
        assert torch.equal(ours(0.0), w0)
        torch.testing.assert_close(ours(0.3) + ours(0.3, 0.7), ours(0.7))
        assert (ours.shape, ours.dtype, ours.device) == (theirs.shape, theirs.dtype, theirs.device)
        assert ours.levy_area_approximation == theirs.levy_area_approximation
        assert type(ours).__name__ in repr(ours)
        assert ours(0.3, return_U=True)[1] is None
    torch.testing.assert_close(BrownianTree(0.0, w0, 2.0, w1)(2.0), w1)


def test_tree_does_not_depend_on_queries():
    first, second = (BrownianTree(0.0, ZERO, entropy=4) for _ in range(2))
    second(0.1234, 0.777)
    assert torch.equal(first(0.3, 0.35), second(0.3, 0.35))
    queries = [(0.0, 0.3), (0.1, 0.2), (0.3, 0.301)]
    assert law(first, queries) > SIGNIFICANCE
    assert law(first, queries, 1.02) < SIGNIFICANCE


def test_reversed_motion():
    """-W(-s) on a path known on a fine grid: U by Riemann sums, A by its definition."""
    base = BrownianInterval(size=(4, 2), dtype=torch.float64, dt=1e-3, entropy=0, levy_area_approximation="foster")
    W, U, A = ReverseBrownian(base)(-0.8, -0.5, return_U=True, return_A=True)
    steps = torch.stack([base.cell(k) for k in range(799, 499, -1)])
    path = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
    middle = (path[1:] + path[:-1]) / 2
    product = torch.einsum("kpi,kpj->pij", middle, steps)
    torch.testing.assert_close(W, path[-1], rtol=0.0, atol=1e-13)
    torch.testing.assert_close(U, middle.sum(0) * 1e-3, rtol=0.0, atol=1e-3)
    torch.testing.assert_close(A, (product - product.mT) / 2, rtol=0.0, atol=3e-2)
    forward = base(0.5, 0.8, return_U=True, return_A=True)
    assert not torch.allclose(U, forward[1], rtol=0.0, atol=1e-3)
    assert not torch.allclose(A, forward[2], rtol=0.0, atol=3e-2)
    with pytest.raises(ValueError, match="pass ta and tb"):
        ReverseBrownian(base)(-0.5)


def test_virtual_tree():
    bm = VirtualBrownianTree(size=(PATHS,), dtype=torch.float64, entropy=0, tol=1e-4)
    queries = [(0.0, 1.0), (0.1, 0.3), (0.25, 0.75)]
    assert law(bm, queries) > SIGNIFICANCE
    assert law(bm, queries, 1.02) < SIGNIFICANCE
    assert law(bm, [(0.3, 0.30002)]) < SIGNIFICANCE  # below tol it is not Brownian
    again = VirtualBrownianTree(size=(PATHS,), dtype=torch.float64, entropy=0, tol=1e-4)
    assert torch.equal(again(0.1, 0.3), bm(0.1, 0.3))
    torch.testing.assert_close(bm(0.1, 0.3) + bm(0.3, 1.0), bm(0.1, 1.0), rtol=0.0, atol=1e-14)
    torch.testing.assert_close(bm(0.4), bm(0.0, 0.4))
    assert bm(0.1, 0.3, return_U=True, return_A=True)[1:] == (None, None)
    assert torch.equal(bm(0.1, torch.tensor(1 + 2e-7)), bm(0.1, 1.0))
    for query, message in [((0.5, 1.5), "not within"), ((0.5, 0.1), "ta <= tb")]:
        with pytest.raises(ValueError, match=message):
            bm(*query)
    for tol in (0.0, 1e-17, float("nan")):
        with pytest.raises(ValueError, match="tol"):
            VirtualBrownianTree(size=(1,), tol=tol)
    assert torch.equal(VirtualBrownianTree(1.0, 1.0, size=(1,))(1.0, 1.0), torch.zeros(1))


@pytest.mark.parametrize("intervals", [10, 100, 1000])
def test_the_virtual_tree_does_no_more_than_its_draws(intervals):
    """A baseline must not be slow by neglect: one draw a level and end, then a sum for each end, and a difference.

    The Brownian Interval draws each cell once, so that is what it can win."""
    tree = VirtualBrownianTree(size=(8,), entropy=0, tol=0.5 / intervals)
    levels = {10: 5, 100: 8, 1000: 11}[intervals]
    with Operations() as of_tree:
        tree(0.3, 0.4)
    assert of_tree.count == {"normal_": 2 * (levels + 1), "sum": 2, "sub": 1}
    bm = BrownianInterval(size=(4096,), entropy=0, dt=1 / intervals)
    with Operations() as of_interval:
        for k in range(intervals):
            bm(k / intervals, (k + 1) / intervals)
    assert of_interval.count["normal"] == (1 if intervals == 10 else intervals)
    assert of_interval.count.total() <= 2 * intervals + 2  # a draw and a view, or one view each
