"""The battery for normal numbers: right ones pass, each defect is seen by the row that is for it."""

import numpy as np
import pytest

from suite import normals


def right(seed, cell):
    return np.random.default_rng((seed, cell)).normal(size=(2, normals.SIZE))


def spoiled(change):
    return lambda seed, cell: change(*right(seed, cell))


def found(draw):
    """All rows, of 786 432 numbers."""
    return list(normals.rows(normals.add_up(draw, range(3), {})))


def test_right_numbers_pass():
    rows = found(right)
    assert len(rows) == 39
    assert normals.holds(rows)


DEFECTS = {
    "moment 1": spoiled(lambda w, h: (w + 0.02, h)),
    "moment 2": spoiled(lambda w, h: (1.02 * w, h)),
    "moment 3": spoiled(lambda w, h: (w + 0.02 * (w**2 - 1), h)),
    "above 4": spoiled(lambda w, h: (np.minimum(w, 4), np.minimum(h, 4))),
    "below -3": spoiled(lambda w, h: (np.where(w < -3, -2.9, w), h)),
    "chi squared of the density": spoiled(lambda w, h: (np.round(w, 1), h)),
    "correlation: lag 1": spoiled(lambda w, h: (w + 0.03 * np.roll(w, 1), h)),
    "correlation: lag 64, squares": spoiled(lambda w, h: (w * (1 + 0.03 * np.roll(w, 64) ** 2), h)),
    "correlation: W and H": spoiled(lambda w, h: (w, h + 0.03 * w)),
    "correlation: W and H, squares": spoiled(lambda w, h: (w, np.abs(w) * np.sign(h))),
    "correlation: two seeds": lambda seed, cell: right(0, cell),
    "correlation: two cells": lambda seed, cell: right(seed, 0),
}


@pytest.mark.parametrize("row", DEFECTS)
def test_a_defect_is_seen(row):
    """By the row that is for it, at 1e-6: which holds for right numbers, as all rows do together."""
    (seen,) = (of.p_value for of in found(DEFECTS[row]) if of.test == row)
    assert seen < 1e-6


@pytest.mark.slow
def test_the_command_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(normals, "ROUND", 1)
    arguments = [str(tmp_path / "all.csv"), "--numbers", "5e5"]
    assert normals.main(arguments) == 0
    drawn, draw = [], normals.portable(2)
    kept = normals.add_up(draw, range(1), {})
    np.savez(tmp_path / "half.npz", **kept)
    monkeypatch.setattr(normals, "portable", lambda cells: lambda *at: drawn.append(at) or draw(*at))
    assert normals.main([str(tmp_path / "half.csv"), *arguments[1:]]) == 0
    assert {cell for _, cell in drawn} == {0, 1}  # the first again, as the one before the second
    assert len(drawn) == 3
    assert (tmp_path / "all.csv").read_text() == (tmp_path / "half.csv").read_text()
    assert "39 rows; the least p-value is" in capsys.readouterr().out
