"""The Brownian Interval as an interface: what it refuses, and that it is used as torchsde's."""

import itertools

import numpy as np
import pytest
import torch
import torchsde

from sdegrad.torch.brownian import BrownianInterval, brownian_interval_like


def interval(**changes) -> BrownianInterval:
    return BrownianInterval(**{"size": (2,), "dtype": torch.float64, "entropy": 1, "dt": 0.1} | changes)


REFUSED = [
    ({"t0": 1.0, "t1": 0.0}, "t0 <= t1"),
    ({"t1": float("inf")}, "finite"),
    ({"size": None}, "pass size"),
    ({"size": (-1, 2)}, "non-negative integers"),
    ({"size": (2,), "W": torch.zeros(3, dtype=torch.float64)}, "shape must be the same"),
    ({"size": None, "W": torch.zeros(3)}, "dtype must be the same"),
    ({"dtype": torch.int32}, "floating"),
    ({"t1": torch.ones(2)}, "t1 must be a number"),
    ({"dt": 0.0}, "dt must be a positive"),
    ({"dt": 1e-300}, "above the resolution"),
    ({"t0": 1e6, "t1": 1e6 + 1, "dt": 1e-9}, "above the resolution"),
    ({"dt": float("nan")}, "dt must be a positive"),
    ({"tol": -1.0}, "tol must be"),
    ({"levy_area_approximation": "levy"}, "one of"),
    ({"entropy": -1}, "non-negative integer"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_refused_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        interval(**options)


def test_refused_queries():
    bm = interval()
    infinity = float("inf")
    for query in [(0.5, 1.3), (-1.0, 0.5), (2.0, 3.0), (0.5, 1 + 1e-9), (-infinity, 0.5), (infinity, 1.0), (0.0, -0.1)]:
        with pytest.raises(ValueError, match=r"outside \[t0, t1\] = \[0.0, 1.0\]"):
            bm(*query)
    with pytest.raises(ValueError, match="NaN"):
        bm(0.5, float("nan"))
    with pytest.raises(ValueError, match=r"ta=0\.6, tb=0\.3"):
        bm(0.6, 0.3)
    with pytest.raises(RuntimeError):  # as torchsde
        bm(0.6, 0.3)
    torch.testing.assert_close(bm(0.9, torch.tensor(1 + 4e-7)), bm(0.9, 1.0), rtol=0.0, atol=0.0)


def test_point_query_warns_and_empty_query_is_zero():
    bm = interval()
    with pytest.warns(UserWarning, match="intervals"):
        assert torch.equal(bm(0.5), bm(0.0, 0.5))
    assert torch.equal(bm(0.33, 0.33), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(bm(torch.tensor(1 + 1e-7), torch.tensor(1.0)), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(interval(t1=0.0, dt=None)(0.0, 0.0), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["none", "space-time", "davie", "foster"])
@pytest.mark.parametrize("size", [(), (3,), (4, 2), (2, 3, 2)])
def test_same_use_as_torchsde(kind, size):
    """The same calls give the same structure, shapes and dtypes."""

    def outline(answer):
        if isinstance(answer, tuple):
            return tuple(map(outline, answer))
        return answer is None or (answer.shape, answer.dtype)

    makers = BrownianInterval, torchsde.BrownianInterval
    flags = itertools.product((None, 0.1), (False, True), (False, True))
    for (dt, U, A), query in itertools.product(flags, [(0.1, 0.2), (0.15, 0.72), (0.5, 0.5)]):
        ours, theirs = (m(0.0, 1.0, size, entropy=3, dt=dt, levy_area_approximation=kind) for m in makers)
        if query != (0.5, 0.5) or len(size) > 1:  # there torchsde's A is of another shape than for other queries
            assert outline(ours(*query, U, A)) == outline(theirs(*query, U, A))
    for name in ("shape", "dtype", "device", "entropy", "levy_area_approximation", "dt", "tol", "cache_size"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.size() == theirs.size()


def test_like_and_repr():
    y = torch.zeros(3, 2, dtype=torch.float64)
    bm = brownian_interval_like(y, 0.0, 2.0, entropy=5, dt=0.5)
    assert (bm.shape, bm.dtype, bm.t1, bm.grid.steps) == ((3, 2), torch.float64, 2.0, 4)
    assert "entropy=5" in repr(bm)
    assert brownian_interval_like(y, size=(7,)).shape == (7,)
    assert interval(size=(np.int64(2), 3)).shape == (2, 3)
