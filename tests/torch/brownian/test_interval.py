"""The Brownian Interval: its law, that it is one path, what it depends on, and what it refuses."""

import gc
import itertools
import tracemalloc

import numpy as np
import pytest
import torch

from sdegrad.torch.brownian.cells import GridCells
from sdegrad.torch.brownian.interval import BrownianInterval
from sdegrad.torch.brownian.rng import derive, numbered
from tests.torch.laws import SIGNIFICANCE, covariance, p_value

PATHS = 40_000
ON_GRID = [(0.0, 0.3), (0.2, 0.5), (0.1, 0.2), (0.9, 1.0), (0.3, 1.0)]
IN_CELLS = [
    (0.31, 0.32),
    (0.31, 0.317),
    (0.315, 0.3151),
    (0.05, 0.95),
    (0.5, 0.55),
    (0.549, 0.7),
    (0.0, 1e-9),
]


def interval(**changes) -> BrownianInterval:
    return BrownianInterval(**{"size": (PATHS,), "dtype": torch.float64, "entropy": 1, "dt": 0.1} | changes)


def increments(bm, queries) -> np.ndarray:
    return np.stack([bm(a, b).numpy().ravel() for a, b in queries], axis=1)


@pytest.mark.parametrize(
    ("options", "queries"),
    [
        ({}, ON_GRID),
        ({"dt": 0.07}, [(0.0, 0.07), (0.07, 0.14), (0.91, 0.98), (0.98, 1.0), (0.63, 1.0)]),
        ({}, IN_CELLS),
        ({"dt": None}, ON_GRID + IN_CELLS),
        ({"dt": None, "halfway_tree": True}, [(0.1, 0.3), (0.3, 1.0), (0.30001, 0.30002)]),
        ({"dt": 0.07, "levy_area_approximation": "space-time"}, ON_GRID + IN_CELLS),
        ({"dt": 0.25, "t0": -1.0}, [(-1.0, 1.0), (-0.6, -0.5), (-0.51, 0.3), (0.999, 1.0)]),
    ],
)
@pytest.mark.slow
def test_joint_law(options, queries):
    samples = increments(interval(**options), queries)
    exact = covariance([("W", a, b) for a, b in queries])
    assert p_value(samples, exact) > SIGNIFICANCE
    assert p_value(samples * 1.02, exact) < SIGNIFICANCE  # variance 4 % too large
    assert p_value(np.abs(samples), exact) < SIGNIFICANCE


@pytest.mark.parametrize("dt", [None, 0.3])
def test_law_given_the_increment(dt):
    queries = [(0.0, 0.3), (0.1, 0.2), (0.55, 0.9)]
    W = torch.full((PATHS,), 1.5, dtype=torch.float64)
    samples = increments(interval(dt=dt, W=W), queries)
    full = covariance([("W", a, b) for a, b in [*queries, (0.0, 1.0)]])
    exact = full[:-1, :-1] - np.outer(full[:-1, -1], full[-1, :-1])
    assert p_value(samples, exact, 1.5 * full[:-1, -1]) > SIGNIFICANCE
    assert p_value(samples, exact) < SIGNIFICANCE
    torch.testing.assert_close(interval(dt=dt, W=W)(0.0, 1.0), W, rtol=1e-14, atol=1e-14)


def test_every_partition_adds_up():
    bm, rng = interval(size=(50,)), np.random.default_rng(0)
    for points in (3, 10, 100):
        times = [0.0, *np.sort(rng.uniform(size=points)).tolist(), 1.0]
        total = sum(bm(a, b) for a, b in itertools.pairwise(times))
        torch.testing.assert_close(total, bm(0.0, 1.0), rtol=0.0, atol=1e-14)


def test_a_point_one_ulp_from_the_middle_of_a_node_adds_up():
    """39/64 of the last cell is 0.9921875 but for the rounding of its ends; the piece of one ulp is not lost."""
    bm = BrownianInterval(0.0, 1.0, (1000,), torch.float64, entropy=1, dt=0.07)
    first, second = bm(0.09375, 0.9921875), bm(0.9921875, 0.995)
    torch.testing.assert_close(first + second, bm(0.09375, 0.995), atol=1e-14, rtol=0)


@pytest.mark.parametrize("options", [{}, {"halfway_tree": True, "dt": None}, {"levy_area_approximation": "foster"}])
@pytest.mark.slow
def test_answers_do_not_depend_on_order_or_cache(options):
    """On the grid; inside cells at dyadic points of the first levels; with halfway_tree everywhere."""
    steps = 2000
    queries = [(k / steps, (k + 1) / steps) for k in range(0, steps, 17)]
    if "halfway_tree" not in options:
        queries += [((k + 1 / 4) / steps, (k + 21 / 64) / steps) for k in range(0, steps, 301)]
    options = {"size": (40, 3), "dt": 1 / steps} | options
    first, second = interval(**options), interval(**options, cache_size=1, pool_size=99)
    answers = {q: first(*q).clone() for q in queries}
    np.random.default_rng(0).shuffle(queries)
    second(0.123, 0.9)
    assert all(torch.equal(second(*q), answers[q]) for q in queries)
    assert all(torch.equal(first(*q), answers[q]) for q in queries)
    assert not torch.equal(interval(**options | {"entropy": 2})(*queries[0]), answers[queries[0]])


@pytest.mark.slow
def test_a_query_off_the_grid_always_has_the_same_answer():
    bm, rng = interval(size=(3000,), dt=None), np.random.default_rng(3)
    queries = [tuple(np.sort(rng.uniform(size=2))) for _ in range(300)]
    answers = [bm(*q).clone() for q in queries]
    assert all(torch.equal(bm(*q), answer) for q, answer in reversed(list(zip(queries, answers, strict=True))))


def test_cells_are_the_queries_between_grid_times():
    bm = interval(size=(3, 2), dt=0.07)
    assert bm.grid.steps == 15
    for k in range(bm.grid.steps):
        assert torch.equal(bm.cell(k), bm(bm.grid.time(k), bm.grid.time(k + 1)))
    with pytest.raises(ValueError, match="no cell 15"):
        bm.cell(15)
    with pytest.raises(ValueError, match="no cell -1"):
        bm.cell(-1)


def test_entropy():
    torch.manual_seed(7)
    one = BrownianInterval(size=(4,))
    torch.manual_seed(7)
    assert torch.equal(one(0.0, 1.0), BrownianInterval(size=(4,))(0.0, 1.0))
    values = {float(BrownianInterval(size=(), entropy=e)(0.0, 1.0)) for e in (0, 1, 2**32, 2**64, 2**64 + 1, 10**40)}
    assert len(values) == 6


def test_derived_seeds_are_the_numbers_of_splitmix64():
    assert [derive(0, k) for k in range(3)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_no_two_blocks_of_a_path_have_the_same_noise():
    """The CPU's generator takes 32 bits of a seed: 20 000 at random have a pair for one root in 20, as 13."""
    for family, distinct in ((numbered, True), (derive, False)):
        assert (len({family(13, k) % 2**32 for k in range(20_000)}) == 20_000) == distinct
    starts = [BrownianInterval(size=(4096,), dt=1e-2, entropy=e).cell(k)[:50] for e in range(4) for k in range(100)]
    together = np.corrcoef(torch.stack(starts).numpy())
    assert np.abs(together - np.eye(400)).max() < 0.8  # 79 800 pairs: 50 numbers are as much alike with p < 1e-9


@pytest.mark.parametrize("shape", [(1,), (40, 3), (5000,), (40_000,)])
def test_a_walk_draws_each_block_once_each_way(shape, monkeypatch):
    """Out of order a block is drawn at most once for each query: order costs time, and never the answer."""
    draws, draw = [], GridCells._draw
    monkeypatch.setattr(GridCells, "_draw", lambda self, index: draws.append(index) or draw(self, index))
    bm = interval(size=shape, dt=1 / 200)
    forwards = [bm.cell(k).clone() for k in range(200)]
    blocks = len(draws)
    assert draws == list(range(blocks))
    assert all(torch.equal(bm.cell(k), forwards[k]) for k in range(199, -1, -1))
    assert blocks <= len(draws) < 2 * blocks + (blocks == 1)
    del draws[:]
    order = np.random.default_rng(0).permutation(200).tolist()
    assert all(torch.equal(bm(bm.grid.time(k), bm.grid.time(k + 1)), forwards[k]) for k in order)
    assert len(draws) <= 200


def test_w_is_the_same_with_and_without_areas_on_the_grid():
    assert torch.equal(interval()(0.1, 0.2), interval(levy_area_approximation="davie")(0.1, 0.2))


def test_a_million_cells():
    bm = BrownianInterval(size=(2,), dt=1e-6, entropy=0)
    assert bm.grid.steps == 10**6
    total = bm(0.0, 1.0)
    torch.testing.assert_close(bm(0.0, 0.3) + bm(0.3, 0.7000005) + bm(0.7000005, 1.0), total, rtol=0.0, atol=1e-4)
    assert torch.equal(bm(0.5, 0.500001), bm.cell(500_000))


@pytest.mark.slow
def test_long_time_without_hint_in_random_order():
    bm = BrownianInterval(0.0, 20.0, size=(1,), entropy=0, dtype=torch.float64)
    times = (np.arange(20_001) * 1e-3).tolist()
    answers = {k: bm(times[k], times[k + 1]) for k in np.random.default_rng(0).permutation(20_000)[:2000].tolist()}
    assert all(torch.equal(bm(times[k], times[k + 1]), answer) for k, answer in list(answers.items())[:500])
    total = sum(bm(times[k], times[k + 1]) for k in range(1000))
    torch.testing.assert_close(total, bm(0.0, 1.0), rtol=0.0, atol=1e-12)


def test_times_in_float32_mean_the_grid():
    bm = interval(dt=0.01, size=(5,), levy_area_approximation="space-time")
    times = torch.arange(101) * torch.tensor(0.01)
    for k in range(100):
        assert torch.equal(bm(times[k], times[k + 1]), bm.cell(k))
        assert torch.equal(bm(times[k].numpy()[()], times[k + 1].numpy()[()]), bm.cell(k))
    assert interval(dt=torch.tensor(0.01)).grid.steps == 100


def test_nothing_is_lost_where_times_are_added_up():
    """0.01 added a hundred times in float32 is 5.5 ulp from 1, and there is the rest of the last cell."""
    bm = interval(dt=0.01, size=(5,), levy_area_approximation="space-time")
    t, dt, total = torch.tensor(0.0), torch.tensor(0.01), torch.zeros(5, dtype=torch.float64)
    for _ in range(100):
        total, t = total + bm(t, t + dt), t + dt
    assert 0 < torch.tensor(1.0) - t < 1e-6
    torch.testing.assert_close(total + bm(t, torch.tensor(1.0)), bm(0.0, 1.0), rtol=0.0, atol=1e-14)


def test_snapping_is_no_wider_than_it_says():
    bm = interval()
    eps = 2.0**-52 * 0.3
    assert torch.equal(bm(0.2, 0.3 + 3 * eps), bm.cell(2))
    assert not torch.equal(bm(0.2, 0.3 + 6 * eps), bm.cell(2))


@pytest.mark.parametrize("steps", [2_000, 8_000])
@pytest.mark.slow
def test_memory_does_not_grow_with_the_steps(steps):
    def tensors() -> dict[int, torch.Tensor]:
        return {id(x): x for x in gc.get_objects() if type(x) is torch.Tensor}

    before = tensors()
    tracemalloc.start()
    bm = BrownianInterval(size=(500,), dt=1 / steps, entropy=0)
    for k in [*range(steps), *range(steps - 1, -1, -1)]:
        bm.cell(k)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    storages = [x.untyped_storage() for key, x in tensors().items() if key not in before]
    assert 0 < sum({s.data_ptr(): s.nbytes() for s in storages}.values()) <= 2**20
    assert held < 2**18


def test_differentiable_in_what_it_is_conditioned_on():
    W = torch.ones(2, dtype=torch.float64, requires_grad=True)
    bm = interval(size=(2,), W=W)
    (gradient,) = torch.autograd.grad((bm(0.0, 0.3) + bm(0.92, 0.97)).sum(), W)
    torch.testing.assert_close(gradient, torch.full_like(W, 0.35))


@pytest.mark.parametrize("query", [(0.0, 0.1), (0.12, 0.14), (0.0, 0.3)])
def test_each_query_has_a_graph_of_its_own(query):
    for without in (torch.no_grad, torch.inference_mode):
        W = torch.ones(2, dtype=torch.float64, requires_grad=True)
        bm = interval(size=(2,), W=W)
        with without():
            bm(*query)
        for _ in range(2):
            (gradient,) = torch.autograd.grad(bm(*query).sum(), W)
            torch.testing.assert_close(gradient, torch.full_like(W, query[1] - query[0]))


@pytest.mark.parametrize("query", [(0.0, 0.1), (0.12, 0.14)])
def test_a_path_first_seen_in_inference_mode_serves_autograd(query):
    bm, weight = interval(size=(2,)), torch.ones(2, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        bm(*query)
    (gradient,) = torch.autograd.grad((bm(*query) * weight).sum(), weight)
    assert torch.equal(gradient, bm(*query))
