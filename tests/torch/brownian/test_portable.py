"""The portable generator: one path on all devices and in both frameworks, and any rows of it alone."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from sdegrad import normals
from sdegrad.torch import BrownianInterval
from sdegrad.torch.brownian import portable
from tests.torch.laws import SIGNIFICANCE

QUERIES = ((0.0, 0.03), (0.3, 0.33), (0.99, 1.0), (0.1, 0.7), (0.111, 0.112), (0.52, 0.973))


def path(size=(50, 6), entropy=5, **options):
    return BrownianInterval(0, 1, size, entropy=entropy, dt=0.03, generator="portable", **options)


def test_the_table_is_the_quantile():
    """Of all powers of two; an error of 5e-7 is what its straight pieces leave, and float32."""
    v = np.unique(np.concatenate([2**k + np.arange(4000) * 2**k // 4000 for k in range(31)]))
    odd = 2 * v + 1
    power = np.floor(np.log2(odd)).astype(int)
    digits = odd << (31 - power)
    piece, rest = power * normals.PIECES + (digits >> 21) % normals.PIECES, (digits >> 9) % normals.STEPS
    entries, slopes = normals.table()
    product = slopes[piece] * rest.astype(np.float32)
    np.testing.assert_array_equal(product, slopes[piece].astype(float) * rest)  # exact, so that a fused sum is the same
    made = entries[piece] + product
    expected = special.ndtri((v + 0.5) / 2**32)
    assert np.max(np.abs(made - expected)) < 6e-7
    assert np.max(np.abs(1.000001 * made - expected)) > 6e-7
    assert np.all(made < 0)


def test_threefry_is_that_of_its_authors():
    """Known answers of Random123, for 20 rounds of Threefry-2x32."""
    ones = 2**32 - 1
    assert normals.threefry((0, 0), 0, 0) == (0x6B200159, 0x99BA4EFE)
    assert normals.threefry((ones, ones), ones, ones) == (0x1CB996FC, 0xBB002BE7)
    assert normals.threefry((0x13198A2E, 0x03707344), 0x243F6A88, 0x85A308D3) == (0xC4923A9C, 0x483DF7A0)


@pytest.mark.parametrize("first", [0, 3])
def test_one_loop_and_many_operations_make_the_same_bits(first, monkeypatch):
    if portable._kernel() is None:
        pytest.skip("needs numba")
    made = []
    for kernel in (portable._kernel(), None):
        monkeypatch.setattr(portable, "_kernel", lambda kernel=kernel: kernel)
        sample = portable.Sample((1, 5000), torch.float32, torch.device("cpu"))
        drawn = portable.PortableNormals(sample, 7, first)
        made.append(torch.stack([drawn(2**63 + 11, (1, 5000), 0.1), drawn.more((1, 5000))]))
    assert torch.equal(*made)


def test_the_numbers_are_normal():
    """200 000 of them: Kolmogorov and Smirnov's test; 100 000 pairs of neighbours and of two cells, and their squares:
    correlations within 4 standard deviations, together at 2e-4. A correlation of 0.03 has 9.
    """
    bm = path((100_000,), dtype=torch.float64)
    x, y = bm(0.0, 0.03).numpy() / 0.03**0.5, bm(0.03, 0.06).numpy() / 0.03**0.5
    for scale, holds in ((1.0, True), (1.02, False)):
        assert (stats.kstest(scale * np.concatenate([x, y]), "norm").pvalue > SIGNIFICANCE) == holds
    for a, b, holds in ((x[1:], x[:-1], True), (x, y, True), (x**2, y**2, True), (x, y + 0.03 * x, False)):
        assert (abs(np.corrcoef(a, b)[0, 1]) * len(a) ** 0.5 < 4) == holds


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_those_of_the_whole(dtype):
    kind = {"levy_area_approximation": "foster", "dtype": dtype}
    whole = path(**kind)
    for rows in ((0, 50), (0, 7), (7, 31), (49, 50), (12, 12)):
        part = path(rows=rows, **kind)
        assert part.shape == (rows[1] - rows[0], 6)
        for times in QUERIES:
            for x, y in zip(part(*times, True, True), whole(*times, True, True), strict=True):
                assert torch.equal(x, y[slice(*rows)])
    assert not torch.equal(path(rows=(1, 8))(0, 1), path(rows=(0, 7))(0, 1))


def test_a_cell_does_not_depend_on_what_it_is_drawn_with():
    """Of a short grid all cells are one block; of a long one a block is a few."""
    short, long = (BrownianInterval(0, n, (300,), entropy=1, dt=1, generator="portable") for n in (10, 10_000))
    assert all(torch.equal(short.cell(k), long.cell(k)) for k in range(10))
    assert not torch.equal(path(entropy=1)(0, 1), path(entropy=2)(0, 1))


def test_single_and_double_precision_are_one_path():
    for times in QUERIES:
        single, double = (path(dtype=dtype)(*times) for dtype in (torch.float32, torch.float64))
        torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generator": "philox"}, 'generator must be "native" or "portable", got \'philox\''),
        ({"rows": (0, 3)}, r'rows=\(0, 3\) needs generator="portable"'),
        ({"rows": (3, 1), "generator": "portable"}, r"0 <= start <= stop <= 4, .* got \(3, 1\)"),
        ({"rows": (0, 5), "generator": "portable"}, r"0 <= start <= stop <= 4, .* got \(0, 5\)"),
        ({"rows": (0, 1, 2), "generator": "portable"}, r"got \(0, 1, 2\); pass e.g. rows=\(0, 4\)"),
        ({"rows": (0, 2), "generator": "portable", "W": torch.zeros(4, 2)}, "goes without W and H"),
    ],
)
def test_what_there_is_not_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BrownianInterval(0, 1, (4, 2), **options)
