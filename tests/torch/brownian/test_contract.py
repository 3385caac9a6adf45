"""The Brownian Interval as an interface: what it refuses, and that it is used as torchsde's."""

import itertools

import numpy as np
import pytest
import torch
import torchsde

import sdegrad.torch
from sdegrad.torch.brownian.derived import brownian_interval_like
from sdegrad.torch.brownian.interval import BrownianInterval
from tests.torch.sdes import neural, state


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
    ({"dtype": torch.float8_e5m2}, "floating, of 16 bits or more"),
    ({"device": "meta"}, "got meta"),
    ({"t1": torch.ones(2)}, "t1 must be a number"),
    ({"dt": 0.0}, "dt must be a positive"),
    ({"dt": 1e-300}, "above the resolution"),
    ({"t0": 1e6, "t1": 1e6 + 1, "dt": 1e-9}, "above the resolution"),
    ({"dt": float("nan")}, "dt must be a positive"),
    ({"tol": -1.0}, "tol must be"),
    ({"levy_area_approximation": "levy"}, "one of"),
    ({"entropy": -1}, "non-negative integer"),
    ({"outside": "ignore"}, 'outside must be "error" or "clamp", got \'ignore\''),
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
    for query in ((0.1, torch.ones(2)), (torch.ones(1, device="meta"), 1.0)):
        with pytest.raises(ValueError, match=r"t[ab] must be a number or a tensor without axes, got"):
            bm(*query)
    with pytest.raises(ValueError, match=r"5e\+11 cells of dt=1e-12, so of 1e\+12 numbers, .* make dt larger"):
        interval(dt=1e-12)(0.25, 0.75)  # it would never end
    with pytest.raises(RuntimeError):  # as torchsde
        bm(0.6, 0.3)
    torch.testing.assert_close(bm(0.9, torch.tensor(1 + 4e-7)), bm(0.9, 1.0), rtol=0.0, atol=0.0)


def test_clamped_queries():
    bm, other = interval(outside="clamp"), interval()
    assert (bm.outside, other.outside) == ("clamp", "error")
    assert "outside='clamp'" in repr(bm)
    W = brownian_interval_like(torch.zeros(2, dtype=torch.float64), entropy=1, dt=0.1, outside="clamp")(0.35, 0.72)
    assert torch.equal(W, other(0.35, 0.72))
    with pytest.warns(
        UserWarning, match=r"query at 1\.3 is outside \[t0, t1\] = \[0\.0, 1\.0\], and taken to be the end"
    ):
        assert torch.equal(bm(0.35, 1.3), other(0.35, 1.0))
    for query in ((-1.0, -0.5), (1.1, float("inf")), (1.3, 1.2)):
        with pytest.warns(UserWarning, match="outside"):
            assert not bm(*query).any()
    bm(0.0, 1 + 1e-16)  # no warning: it is the end


@pytest.mark.parametrize("k", [-1, 10, 0.5, float("nan"), float("inf"), torch.tensor(-1)])
def test_cells_that_are_not_there(k):
    bm = interval()
    for known in (False, True):
        if known:
            bm.cell(3)
        for areas in ({}, {"return_U": True}, {"return_A": True}):
            with pytest.raises(ValueError, match=r"no cell .* on the grid of 10 cells"):
                bm.cell(k, **areas)
        with pytest.raises(ValueError, match="no cell"):
            bm.cells(k, 10)
    with pytest.raises(ValueError, match="no cell"):
        bm.cells(0, 11)


@pytest.mark.parametrize("k", [np.int64(3), torch.tensor(3), 3.0])
def test_whole_numbers_are_cells(k):
    bm = interval(levy_area_approximation="space-time")
    U = interval(levy_area_approximation="space-time").cell(3, return_U=True)[1]
    for _ in range(2):
        assert torch.equal(bm.cell(k, return_U=True)[1], U)
        assert torch.equal(bm.cells(k, k + 2)[0], bm.cell(k))


def test_the_class_is_no_brownian_motion():
    sde = neural("diagonal")
    for sde_needs_bm in (False, True):
        if sde_needs_bm:
            sde.f_and_g_prod, sde.g, sde.f = (lambda t, y, v: (y, v)), None, None
        with pytest.raises(ValueError, match="got the class BrownianInterval; make an object of it"):
            sdegrad.torch.sdeint(sde, state(), [0.0, 1.0], bm=BrownianInterval, method="midpoint")


class Workers(torch.utils.data.Dataset):
    """(worker, entropy of one made before the fork, of one made by the worker, of one with the seed of the worker)."""

    def __init__(self):
        self.before = interval(entropy=None)

    def __len__(self):
        return 4

    def __getitem__(self, _):
        mine = BrownianInterval(size=(1,))
        seeded = BrownianInterval(size=(1,), entropy=torch.initial_seed())
        return torch.utils.data.get_worker_info().id, self.before.entropy, mine.entropy, seeded.entropy


@pytest.mark.filterwarnings("ignore:.*fork")  # that it may deadlock where other tests have started JAX
def test_workers_of_a_loader_have_noise_of_their_own_if_they_make_it():
    def epoch():
        loader = torch.utils.data.DataLoader(Workers(), batch_size=None, num_workers=2, multiprocessing_context="fork")
        return list(zip(*loader, strict=True))

    torch.manual_seed(3)
    workers, before, mine, seeded = epoch()
    assert set(workers) == {0, 1}
    assert len(set(before)) == 1
    assert len(set(mine)) == 4
    assert len(set(zip(workers, seeded, strict=True))) == len(set(seeded)) == 2
    torch.manual_seed(3)
    assert epoch() == [workers, before, mine, seeded]


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
    assert brownian_interval_like(y.to("meta"), device="cpu").device == y.device
    assert interval(size=(np.int64(2), 3)).shape == (2, 3)
