"""Data to train on: split without leaks, normalised, and what is damaged or absent is told by its place."""

import gzip
import sys

import numpy as np
import pytest

from suite.training import data, tables, weights
from suite.training.data import DATA, MissingData, Series, normalised, split, stacked
from suite.training.tables import DataError
from suite.training.weights import Training

HEADER = "No,year,month,day,hour,PM2.5,PM10,SO2,NO2,CO,O3,TEMP,PRES,DEWP,RAIN,wd,WSPM,station"


def beijing(folder, days=5, stations=("Aotizhongxin", "Wanliu")):
    """Files like those of the UCI repository: ozone is the hour of the day, and one of the first day is missing."""
    for k, station in enumerate(stations):
        lines = [HEADER]
        for day in range(1, days + 1):
            for hour in range(24):
                ozone = "NA" if (day, hour) == (1, 5) else hour + 100 * k
                lines.append(
                    f"{len(lines)},2013,3,{day},{hour},{day}.5,4,4,7,300,{ozone},-0.7,1023,-18.8,0,NNW,4.4,{station}"
                )
        (folder / f"PRSA_Data_{station}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_beijing_days_are_whole_and_both_sides_have_days_of_their_own(tmp_path):
    found = data.beijing(beijing(tmp_path))
    assert found.train.shape == (24, 6, 2)  # of the days 2 to 5, three to train on, at two stations
    assert found.test.shape == (24, 2, 2)
    assert (list(found.channels), list(found.labels)) == (["PM2.5", "O3"], ["Aotizhongxin", "Wanliu"])
    np.testing.assert_allclose(found.train.mean((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(found.train.std((0, 1)), 1)
    raw = found.train * found.deviation + found.mean
    np.testing.assert_allclose(raw[..., 1], np.arange(24)[:, None] + 100 * found.train_labels)
    test_days = set(np.round(found.test * found.deviation + found.mean, 6)[0, :, 0])
    assert len(test_days) == 1
    assert not test_days & set(np.round(raw[0, :, 0], 6))


@pytest.mark.parametrize(
    ("line", "change", "sentence"),
    [
        (8, lambda s: s.replace(".5,4,4", ".5x,4,4"), "line 9, column 'PM2.5': '1.5x' is no number"),
        (8, lambda s: s.replace(".5,4,4", "e999,4,4"), "line 9, column 'PM2.5': '1e999' is no number"),
        (8, lambda s: s[:20], "line 9: 8 columns, where the header has 18"),
        (0, lambda s: s.replace("O3", "Oz"), "line 1: there is no column 'O3', only No, year"),
        (
            8,
            lambda s: s.replace("2013,3,1", "2013,13,1"),
            "line 9, columns year, month, day, hour: year 2013, month 13, day 1, hour 7 is no time",
        ),
        (8, lambda s: s.replace("2013,3,1,7", "2013,3,1,24"), "line 9, .* hour 24 is no time"),
        (8, lambda s: s.replace("2013,3,1,7", "NA,3,1,7"), "line 9, .* no year, month 3"),
        (8, lambda s: s.replace("NNW", 'N"NW\0'), None),  # quotes inside a cell are as they are, as in all such files
        (8, lambda s: s.replace("NNW", '"NNW'), "after line"),
    ],
)
def test_a_damaged_csv_is_told_by_file_line_and_column(line, change, sentence, tmp_path):
    file = sorted(beijing(tmp_path).glob("*.csv"))[1]
    lines = file.read_text().splitlines()
    lines[line] = change(lines[line])
    file.write_text("\n".join(lines))
    if sentence is None:
        data.beijing(tmp_path)
        return
    with pytest.raises(DataError, match=sentence) as found:
        data.beijing(tmp_path)
    assert str(tmp_path) in str(found.value)


def test_a_file_that_is_cut_off_or_of_bytes_is_refused(tmp_path):
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 10000)
    for content in (whole[:-20], whole[:30] + b"\x00" * 20 + whole[50:], b"no gzip"):
        (tmp_path / "a.csv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"a.csv.gz, after line \d+: it cannot be read"):
            list(tables.read(tmp_path / "a.csv.gz", ("a",)))
    (tmp_path / "b.csv").write_bytes(b"a,b\n\xff,2\n")
    with pytest.raises(DataError, match="it cannot be read"):
        list(tables.read(tmp_path / "b.csv", ("a",)))
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        list(tables.read(tmp_path / "none.csv", ("a",)))
    with pytest.raises(MissingData, match="has no CSV file; unpack the Beijing"):
        data.beijing(tmp_path / "none")


def test_series_of_unequal_length_need_a_mask():
    series = [np.ones((3, 2)), np.full((2, 2), 5.0)]
    with pytest.raises(DataError, match=r"series 1 has 2 times, others 3: they need a mask; take stacked"):
        stacked(series)
    ys, mask = stacked(series, ragged=True)
    np.testing.assert_array_equal(ys[:, 1, 0], [5, 5, 5])
    np.testing.assert_array_equal(mask[:, :, 1], [[True, True], [True, True], [True, False]])
    with pytest.raises(DataError, match="there is no series"):
        stacked([])


def test_what_does_not_vary_cannot_be_normalised_by():
    same = Series(np.arange(3.0), np.ones((3, 4, 1)), np.ones((3, 4, 1)), ("y",))
    with pytest.raises(DataError, match="channel 'y' has the same first value in every series"):
        normalised(same, by="first")


def test_groups_go_together_and_the_split_is_always_the_same():
    groups = [k // 3 for k in range(30)]
    chosen = split(groups)
    assert chosen.sum() == 24
    assert (chosen.reshape(10, 3) == chosen.reshape(10, 3)[:, :1]).all()
    np.testing.assert_array_equal(chosen, split(iter(groups)))


def test_generated_data_have_their_law():
    """16384 paths: the mean at the end is within 5 standard errors of that of the law, and of the other process not."""
    for name, slope in (("ou", 0.02), ("ou-constant", 0.0)):
        found = DATA[name].load()
        _, mean, deviation = data.OrnsteinUhlenbeck(slope=slope).law(31.0)
        error = 5 * np.hypot(deviation, np.exp(-3.1)) / np.sqrt(8192)
        for ys in (found.train, found.test):
            assert abs(ys[-1].mean() - mean) < error
        assert abs(found.test[-1].mean() - data.OrnsteinUhlenbeck(slope=0.02 - slope).law(31.0)[1]) > error


@pytest.mark.parametrize("name", DATA)
def test_data_are_normalised_or_say_how_to_get_them(name):
    try:
        found = DATA[name].load()
    except MissingData as missing:
        pytest.skip(str(missing))
    assert np.isfinite(found.train).all()
    assert np.isfinite(found.test).all()
    assert found.train.shape[::2] == (len(found.ts), len(found.channels)) == found.test.shape[::2]
    if found.labels:
        assert set(found.train_labels) == set(found.test_labels) == set(range(len(found.labels)))
    if DATA[name].licence:
        given = found.train[:1] if name == "weights-digits" else found.train
        np.testing.assert_allclose(given.std((0, 1)), 1, rtol=1e-5)


def test_a_package_that_is_not_there_is_told_with_the_command_that_gets_it():
    with pytest.raises(MissingData, match=f"{sys.executable} -m pip install --no-deps -c constraints.txt a-package"):
        data.packaged("a-package", "no_such_module", "a.csv")
    with pytest.raises(MissingData, match="is not there; the package numpy has it"):
        data.packaged("numpy", "numpy", "no such file")


@pytest.fixture
def digits(tmp_path):
    """Two classes that are easy to tell: the digit is where the light is."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    images = rng.integers(0, 4, (200, 64)) + 12 * (np.arange(64)[None] < 32) * labels[:, None]
    file = tmp_path / "digits.csv"
    np.savetxt(file, np.column_stack((images, labels)), fmt="%d", delimiter=",")
    return file


SMALL = Training(networks=3, hidden=4, epochs=5, batch=20)


def test_weights_learn_and_are_kept_with_their_checksum(digits, tmp_path, monkeypatch):
    first = weights.trajectories(digits, SMALL, tmp_path)
    assert first.shape == (6, 3, 64 * 4 + 4 + 4 * 10 + 10)
    images, labels = weights.read_digits(digits)
    for network in range(3):
        right = [np.mean(read(images, w) == labels) for w in first[[0, -1], network]]
        assert right[1] > 0.9 > right[0]
    (kept,) = tmp_path.glob("*.npz")
    with monkeypatch.context() as patch:
        patch.setattr(weights, "trained", lambda *_: pytest.fail("it was kept"))
        np.testing.assert_array_equal(weights.trajectories(digits, SMALL, tmp_path), first)
    with np.load(kept) as content:
        np.savez(kept, ys=content["ys"] + 1, sha256=content["sha256"])
    np.testing.assert_array_equal(weights.trajectories(digits, SMALL, tmp_path), first)
    kept.write_bytes(b"nothing")
    np.testing.assert_array_equal(weights.trajectories(digits, SMALL, tmp_path), first)
    (tmp_path / "a file").write_text("")
    np.testing.assert_array_equal(weights.trajectories(digits, SMALL, tmp_path / "a file"), first)


def read(images, flat):
    """The digits that a network of SMALL with these weights reads."""
    W0, b0, W1, b1 = np.split(flat, np.cumsum([64 * 4, 4, 40]))
    return (np.tanh(images @ W0.reshape(64, 4) + b0) @ W1.reshape(4, 10) + b1).argmax(1)


def test_what_is_no_table_of_digits_is_refused(tmp_path):
    for text in ("1,2\n3,4\n", "1,x\n", ""):
        (tmp_path / "digits.csv").write_text(text)
        with pytest.raises(DataError, match=r"digits.csv (is no table of digits|must have 64 pixels)"):
            weights.read_digits(tmp_path / "digits.csv")
