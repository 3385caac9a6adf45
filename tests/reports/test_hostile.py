"""Files of strangers: what cannot be shown is refused in one sentence, what can be shown is plain text."""

import csv
import gzip
import io
import json
import re
import time
from html.parser import HTMLParser

import pytest
from matplotlib.text import Text

from reports import figures, labels, readme
from reports.__main__ import main
from reports.data import settings, tidy
from reports.programs import main as programs
from reports.readers import from_results
from suite import results
from tests.reports.synthetic import GBM, row
from tests.reports.test_report import VERIFICATION

NASTY = '<script>x</script>$\\frac$\x1b[31m`|*_[a](javascript:b)\u202e"&/../..'


def curve(**columns):
    """The fewest rows of which figures are drawn."""
    work = GBM | {"method": "heun"} | columns
    rows = [row("mine", "strong_error", 0.1 * dt, 0.1, **work | {"dt": dt, "steps": 1 / dt}) for dt in (0.5, 0.25)]
    return [*rows, row("torchsde", "gradient_time_ratio", 2.0, 0.1, **work | {"noise_source": "own"})]


def with_cell(column, value, measure="strong_error"):
    rows = [r | {column: value} if r["measure"] == measure else r for r in curve()]
    return table(rows)


def table(rows):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, results.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# name -> (content, what the sentence names)
REFUSED = {
    "UTF-16": (table(curve()).decode().encode("utf-16"), "UTF-16, expected text in UTF-8"),
    "Latin-1": (with_cell("machine", "Köln").decode().encode("latin-1"), "not UTF-8 in line 2"),
    "gzip": (gzip.compress(table(curve())), "packed with gzip"),
    "zip": (b"PK\x03\x04rest", "packed with zip"),
    "empty": (b"", "columns"),
    "no rows": (table([]), "no rows"),
    "zeros": (b"\0" * 1000, "columns"),
    "field of 131073": (with_cell("problem", "p" * 131_073), "line 2: field larger than field limit"),
    "open quote": (table(curve()).replace(b"mine", b'"mine', 1) + b"\n", "line 3: "),
    "older schema": (with_cell("schema", "2"), "schema '2', expected '3': made by an older version; measure again"),
    "newer schema": (with_cell("schema", "4"), "schema '4', expected '3': made by another version"),
    "long name": (with_cell("method", "m" * 201), "row 2, column method: 'mmm"),
    "long reason": (with_cell("reason", "m" * 20_001), "row 2, column reason"),
    "dt -1": (with_cell("dt", "-1"), "row 2, column dt: '-1', expected a number above 0"),
    "dt 0": (with_cell("dt", "0.0"), "row 2, column dt"),
    "dt inf": (with_cell("dt", "inf"), "row 2, column dt: 'inf'"),
    "dt text": (with_cell("dt", "small"), "row 2, column dt: 'small'"),
    "dt other digits": (with_cell("dt", "٠.٥"), "row 2, column dt"),
    "dt tiny": (with_cell("dt", "5e-324"), "row 2, column dt"),
    "low -1": (with_cell("low", "-1"), "row 2, column low: '-1'"),
    "value huge": (with_cell("value", "1e308"), "row 2, column value"),
    "value -inf": (with_cell("value", "-inf"), "row 2, column value"),
    "ratio 0": (
        with_cell("value", "0.0", "gradient_time_ratio"),
        "row 4, column value: '0.0', expected a number above 0",
    ),
    "threads -1": (with_cell("threads", "-1"), "row 2, column threads"),
    "batch 1.5": (with_cell("batch", "1.5"), "row 2, column batch: '1.5', expected a whole number"),
    "steps NaN": (with_cell("steps", "nan"), "row 2, column steps"),
    "measure": (with_cell("measure", "\x1b[31mhappiness"), r"row 2, column measure: '\x1b[31mhappiness'"),
    "unit": (with_cell("unit", "ms", "gradient_time_ratio"), "row 4, column unit: 'ms', expected the unit of"),
    "status": (with_cell("status", "well"), "status 'well'"),
    "names": (table([row(f"i{k}", "solve_time", 1.0) for k in range(51)]), "51 different values of implementation"),
    "machines": (table([row("i", "solve_time", 1.0, machine=f"m{k}") for k in range(21)]), "21 different values"),
}


def one_sentence(capsys):
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1, errors
    assert errors[0].startswith("error: ")
    assert len(errors[0]) < 1100
    assert errors[0].isprintable()
    return errors[0]


@pytest.mark.parametrize("name", REFUSED)
def test_results_that_cannot_be_shown(tmp_path, capsys, name):
    content, told = REFUSED[name]
    (tmp_path / "stranger.csv").write_bytes(content)
    assert main([str(tmp_path / "stranger.csv"), "--out", str(tmp_path / "out")]) == 2
    error = one_sentence(capsys)
    assert told in error
    assert "stranger.csv" in error or name == "no rows"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["folder", "nothing"])
def test_results_that_are_no_file(tmp_path, capsys, what):
    assert main([str(tmp_path if what == "folder" else tmp_path / "none.csv"), "--out", str(tmp_path / "out")]) == 2
    one_sentence(capsys)


def test_a_report_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "stranger.csv").write_bytes(table([row("mine", "solve_time", 1.0)]))
    (tmp_path / "out").write_text("a file where the folder should be")
    assert main([str(tmp_path / "stranger.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "cannot write" in one_sentence(capsys)


BENCHMARK = {"name": "b", "extra_info": {"implementation": "i"}, "stats": {"data": [1.0]}}
JSONS = {
    "list": "[]",
    "number": "1",
    "deep": "[" * 100_000,
    "long number": '{"benchmarks": ' + "1" * 5000 + "}",
    "benchmarks an object": '{"benchmarks": {}}',
    "benchmark a number": '{"benchmarks": [1]}',
    "no name": json.dumps({"benchmarks": [BENCHMARK | {"name": None}]}),
    "no extra_info": json.dumps({"benchmarks": [BENCHMARK | {"extra_info": None}]}),
    "no stats": json.dumps({"benchmarks": [BENCHMARK | {"stats": 3}]}),
    "no times": json.dumps({"benchmarks": [BENCHMARK | {"stats": {"data": []}}]}),
    "times are texts": json.dumps({"benchmarks": [BENCHMARK | {"stats": {"data": ["a"]}}]}),
    "time is negative": json.dumps({"benchmarks": [BENCHMARK | {"stats": {"data": [-1]}}]}),
    "time is infinite": json.dumps({"benchmarks": [BENCHMARK | {"stats": {"data": [float("inf")]}}]}),
    "measure a list": json.dumps({"benchmarks": [BENCHMARK | {"extra_info": {"implementation": "i", "measure": [1]}}]}),
    "machine a list": json.dumps({"machine_info": [1], "benchmarks": [BENCHMARK]}),
}


@pytest.mark.parametrize("name", JSONS)
def test_pytest_benchmark_file_that_is_broken(tmp_path, capsys, name):
    (tmp_path / "r.csv").write_bytes(table(curve()))
    (tmp_path / "b.json").write_text(JSONS[name])
    arguments = [str(tmp_path / "r.csv"), "--pytest-benchmark", str(tmp_path / "b.json"), "--out", str(tmp_path / "o")]
    assert main(arguments) == 2
    assert "b.json" in one_sentence(capsys)


RUN = {"params": {"machine": "m"}, "commit_hash": "c", "date": 1, "result_columns": ["result", "params"]}
RUN |= {"results": {"a.time_solve": [[1.0], [["'x'"]]]}}
DESCRIBED = {"a.time_solve": {"param_names": ["implementation"]}}
ASVS = {
    "no params": (RUN | {"params": None}, DESCRIBED),
    "no commit": (RUN | {"commit_hash": None}, DESCRIBED),
    "date text": (RUN | {"date": "today"}, DESCRIBED),
    "date huge": (RUN | {"date": 1e300}, DESCRIBED),
    "results a list": (RUN | {"results": []}, DESCRIBED),
    "result a number": (RUN | {"results": {"a.time_solve": 1.0}}, DESCRIBED),
    "results a text": (RUN | {"results": {"a.time_solve": ["x", [["'x'"]]]}}, DESCRIBED),
    "a result a text": (RUN | {"results": {"a.time_solve": [["x"], [["'x'"]]]}}, DESCRIBED),
    "too few": (RUN | {"results": {"a.time_solve": [[1.0], [["1"] * 1000] * 5]}}, DESCRIBED),
    "infinite": (RUN | {"results": {"a.time_solve": [[float("inf")], [["'x'"]]]}}, DESCRIBED),
    "no names": (RUN, {"a.time_solve": {}}),
    "names of others": (RUN, {"a.time_solve": {"param_names": ["x", "y"]}}),
    "described a list": (RUN, []),
    "described texts": (RUN, {"a.time_solve": "x"}),
}


@pytest.mark.parametrize("name", ASVS)
def test_asv_results_that_are_broken(tmp_path, capsys, name):
    (tmp_path / "r.csv").write_bytes(table(curve()))
    (tmp_path / "asv" / "m").mkdir(parents=True)
    for path, content in zip(("m/c.json", "benchmarks.json"), ASVS[name], strict=True):
        (tmp_path / "asv" / path).write_text(json.dumps(content))
    arguments = [str(tmp_path / "r.csv"), "--asv", str(tmp_path / "asv"), "--out", str(tmp_path / "o")]
    assert main(arguments) == 2
    assert ".json" in one_sentence(capsys)


CURVE = {"x_label": "dt", "y_label": "error", "x": [1.0], "y": [2.0], "low": [1.5], "high": [2.5], "slope": 1.0}


def failure(**cells):
    """A verification.csv of one claim that fails, with these cells."""
    head, row = (line.split(",") for line in VERIFICATION.splitlines()[:2])
    text = io.StringIO(newline="")
    csv.writer(text).writerows([[*head, *cells], [*row, *cells.values()]])
    return text.getvalue().encode()


CLAIMS = {
    "empty": (b"", "no column 'implementation'"),
    "UTF-16": (VERIFICATION.encode("utf-16"), "UTF-16"),
    "other columns": (b"a,b\n1,2\n", "no column"),
    "no rows": (VERIFICATION.splitlines()[0].encode(), "no rows"),
    "a number is text": (VERIFICATION.replace("0.503", "half").encode(), "row 2, column measured: 'half'"),
    "cut off": (VERIFICATION.encode()[:-30], "row 9"),
    "p is a word": (failure(p="likely"), "expected a number"),
    "curve is no JSON": (failure(curve="[1"), "expected a curve"),
    "curve of other lists": (failure(curve=json.dumps(CURVE | {"x": []})), "expected a curve"),
    "curve beyond all axes": (failure(curve=json.dumps(CURVE | {"y": [1e300]})), "expected a curve"),
    "script is a list": (failure(script="[1]"), "expected a text"),
    "huge field": (VERIFICATION.replace("a page", "b" * 131_073, 1).encode(), "line 2: field larger"),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_verification_that_is_broken(tmp_path, capsys, name):
    (tmp_path / "results.csv").write_bytes(table(curve()))
    (tmp_path / "verification.csv").write_bytes(CLAIMS[name][0])
    assert main([str(tmp_path / "results.csv"), "--out", str(tmp_path / "o")]) == 2
    error = one_sentence(capsys)
    assert "verification.csv" in error
    assert CLAIMS[name][1] in error


def test_programs_of_strangers(tmp_path, capsys):
    (tmp_path / "stranger.csv").write_bytes(table(curve()))
    assert programs([str(tmp_path / "stranger.csv")]) == 2
    assert "row 2, column problem: 'gbm', expected one of sde_gan" in one_sentence(capsys)


class _Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags += [tag, *(name for name, _ in attrs if name.startswith("on"))]


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # names longer than a figure is wide
@pytest.mark.slow
def test_every_cell_of_a_stranger_is_plain_text(tmp_path, capsys):
    texts = (
        "machine",
        "commit",
        "version",
        "framework",
        "problem",
        "method",
        "access",
        "adjoint",
        "brownian",
        "noise_type",
        "dtype",
        "reason",
    )
    rows = curve(**dict.fromkeys(texts, NASTY)) + curve()
    rows = [r | {"implementation": NASTY, "run": NASTY} if k % 2 else r for k, r in enumerate(rows)]
    (tmp_path / "stranger.csv").write_bytes(table(rows))
    (tmp_path / "verification.csv").write_text(VERIFICATION.replace("a method", NASTY.replace('"', '""').join('""')))
    assert main([str(tmp_path / "stranger.csv"), "--out", str(tmp_path / "out")]) == 0
    assert "\x1b" not in (printed := capsys.readouterr().out)
    assert "\u202e" not in printed
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert set(_Tags(page).tags).isdisjoint({"iframe", "link", "base", "onerror"})
    assert _Tags(page).tags.count("script") == 1
    assert "\x1b" not in page
    for file in [tmp_path / "out" / "verification.html", *(tmp_path / "out" / "verification").iterdir()]:
        written = file.read_text(encoding="utf-8")
        assert set(_Tags(written).tags).isdisjoint({"iframe", "link", "base", "onerror"})
        assert "javascript:b" not in re.findall(r'(?:href|src)="([^"]*)"', written)
        assert _Tags(written).tags.count("script") == (file.parent.name == "out")
    files = [f.name for f in (tmp_path / "out" / "figures").iterdir()]
    assert len(files) > 2
    assert all(re.fullmatch(r"[\w.=-]{1,110}\.(png|svg)", name, re.ASCII) for name in files)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["out", "stranger.csv", "verification.csv"]


def test_a_figure_shows_dollars_as_dollars():
    plot = figures.draw(settings(tidy(curve(method="$\\frac$")))[0])[0]["strong_error"]
    assert b"<svg" in plot.svg()
    shown = [t for t in plot.figure.findobj(Text) if "$" in t.get_text()]
    assert shown
    assert not any(t.get_parse_math() for t in shown)


def test_readme_shows_names_as_text(tmp_path):
    rows = [r | {"implementation": NASTY} if r["implementation"] == "mine" else r for r in curve(problem=NASTY)]
    (tmp_path / "stranger.csv").write_bytes(table(rows))
    text = readme.headline(settings(tidy(from_results(tmp_path / "stranger.csv")))[0], tmp_path / "stranger.csv")
    assert "<script" not in text
    assert "](" not in text
    assert "$" not in text
    assert {line.count("|") for line in text.splitlines() if line.startswith("|")} == {4}


@pytest.mark.parametrize("text", ["a_b", "sdegrad_torch 38.0× [36.0, 40.0]", "2^-3, dim 4"])
def test_what_is_text_in_markdown_stays_as_it_is(text):
    assert labels.markdown(text) == text


@pytest.mark.slow
def test_names_that_differ_in_what_files_cannot_hold_have_a_figure_each():
    rows = [r for problem in ("a/b", "a b", "A_B") for r in curve(problem=problem)]
    names = [name for name in figures.draw(tidy(rows))[0] if name.startswith("strong_error")]
    assert names == ["strong_error-a_b", "strong_error-a_b-2", "strong_error-A_B-3"]


@pytest.mark.slow
def test_claims_are_those_beside_the_results(tmp_path, monkeypatch):
    """Under a stranger's numbers there are no claims that were checked here."""
    (tmp_path / "reports" / "out").mkdir(parents=True)
    (tmp_path / "reports" / "out" / "verification.csv").write_text(VERIFICATION)
    (tmp_path / "stranger.csv").write_bytes(table(curve()))
    monkeypatch.chdir(tmp_path)
    assert main(["stranger.csv"]) == 0
    assert "Claims checked" not in (tmp_path / "reports" / "out" / "index.html").read_text(encoding="utf-8")
    (tmp_path / "verification.csv").write_text(VERIFICATION)
    assert main(["stranger.csv"]) == 0
    assert "Claims checked" in (tmp_path / "reports" / "out" / "index.html").read_text(encoding="utf-8")


def test_a_terminal_of_ascii_shows_what_it_can():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    labels.say("2×", stream)
    stream.flush()
    assert stream.buffer.getvalue().strip() == b"2\\xd7"


@pytest.mark.exhaustive(but=["run"])
@pytest.mark.slow
@pytest.mark.parametrize("column", ["run", "batch"])
def test_many_rows_take_seconds(tmp_path, column):
    """20 000 rows of different work (the limit is ten times what it takes on an idle machine), drawn or left out."""
    rows = [r | {column: str(k + 1)} for k in range(6700) for r in curve()]
    (tmp_path / "many.csv").write_bytes(table(rows))
    begin = time.process_time()
    assert main([str(tmp_path / "many.csv"), "--out", str(tmp_path / "out")]) == 0
    assert time.process_time() - begin < 30
    assert (tmp_path / "out" / "index.html").stat().st_size < 20e6
