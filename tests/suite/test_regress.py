"""The verdicts of the gate, on numbers made for the purpose; what it refuses; what it does with what is missing."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from suite import provenance
from suite.regress import __main__ as gate
from suite.regress import builds, calibrate, deterministic, paired, power, process, report, verdicts
from suite.regress.journal import Journal
from suite.regress.process import Lost, NoAnswer
from suite.regress.verdicts import CANNOT_TELL, Finding, exit_code, interval, judge

NAME = "gradient_time sdegrad_torch 1x8x8"


def lines(logs, name=NAME):
    return [{"pair": k, "benchmark": name, "logs": [x], "seconds": [1.0, np.exp(x)]} for k, x in enumerate(logs)]


def heavy(rng, n):
    """Symmetric, with tails as of a busy machine: Student's t with 2 degrees of freedom, 3 % wide."""
    return 0.03 * rng.standard_t(2, n)


def test_the_interval_covers_as_it_says():
    """2000 intervals of 80 % of 15 values: between 77 % and 83.5 % cover (four standard errors, and the next rank)."""
    rng = np.random.default_rng(0)
    hits = sum(low <= 0 <= high for _, low, high in (interval(heavy(rng, 15), 0.2) for _ in range(2000)))
    assert 0.77 < hits / 2000 < 0.835


def test_too_few_values_tell_nothing():
    assert interval(np.zeros(5), 0.01)[1:] == (-np.inf, np.inf)


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [(0.10, "slower"), (-0.10, "faster"), (0.0, "same within"), (0.015, "same within")],
)
def test_verdicts_on_times(effect, verdict):
    logs = np.log1p(effect) + heavy(np.random.default_rng(1), 56)
    (found,) = judge([NAME], lines(logs))
    assert found.verdict.startswith(verdict)
    assert found.red == (verdict == "slower")


def test_a_verdict_comes_only_at_a_look():
    """What comes after a look changes nothing before the next."""
    logs = heavy(np.random.default_rng(2), verdicts.LOOKS[0])
    at_look = judge([NAME], lines(logs))
    assert judge([NAME], lines([*logs, 5.0, 5.0])) == at_look
    (before,) = judge([NAME], lines(logs[:-1]))
    assert before.verdict == CANNOT_TELL


def test_noise_of_a_half_cannot_tell():
    (found,) = judge([NAME], lines(np.random.default_rng(3).normal(0, 0.5, 20)))
    assert found.verdict == CANNOT_TELL
    assert exit_code([found]) == 2


@pytest.mark.parametrize(
    ("more", "verdict", "code"),
    [
        ({"HEAD": "ValueError: no"}, "lost", 1),
        ({"base": "ImportError: no"}, "new", 2),
        ({"base": "no", "HEAD": "no"}, "failed", 2),
        ({"nothing": "times of 1e-09 s"}, "measures nothing", 2),
    ],
)
def test_what_is_missing_is_never_green(more, verdict, code):
    (found,) = judge([NAME], [{"pair": 0, "benchmark": NAME, **more}])
    assert found.verdict == verdict
    assert exit_code([found]) == code
    assert verdict in report.text("main", [found])
    good = Finding(benchmark="other", verdict="same", base=1.0, head=1.0)
    assert exit_code([found, good]) == (0 if verdict == "new" else code)


def test_failing_sometimes_is_a_failure():
    (found,) = judge([NAME], [*lines([0.0] * 14), {"pair": 14, "benchmark": NAME, "HEAD": "it died"}])
    assert found.verdict == "failed"


@pytest.mark.slow
def test_alarms_are_as_rare_as_promised():
    """2000 comparisons of nothing with nothing, 8 benchmarks, heavy tails: at most 1 % of alarms, and with a tenth
    planted nearly all."""
    rng = np.random.default_rng(4)
    nothing = heavy(rng, (120, 8))
    logs = np.stack([nothing, nothing + np.log(1.1), nothing + np.log(1.02)], axis=2)
    found = power.alarms(logs, [str(k) for k in range(8)], (0.0, 0.1, 0.02), most=56, runs=200)
    whole = {a.delay: a.alarms for a in found if a.benchmark == power.WHOLE}
    assert whole[0.0] <= 2
    assert whole[0.1] >= 190
    assert power.bound(0, 299) == pytest.approx(0.01, abs=3e-4)


@pytest.mark.parametrize(
    ("measure", "base", "head", "verdict"),
    [
        ("nfe_drift", 1.0, 2.0, "worse"),
        ("nfe_drift", 2.0, 1.0, "better"),
        ("gradient_error", 1e-15, 8e-14, "same"),
        ("gradient_error", 1e-15, 1e-10, "worse"),
        ("strong_error", 0.1, 0.1 * (1 + 1e-9), "same"),
        ("strong_error", 0.1, 0.1 * (1 + 1e-5), "worse"),
        ("strong_order", 1.0, 0.5, "worse"),
        ("strong_order", 0.5, 1.0, "better"),
        ("gradient_memory", 100000.0, 101000.0, "same"),
        ("gradient_memory", 100000.0, 108192.0, "worse"),
        ("operations", 3000.0, 3020.0, "same"),
        ("operations", 3000.0, 3100.0, "worse"),
        ("strong_error", float("nan"), 0.1, "measures nothing"),
    ],
)
def test_deterministic_verdicts(measure, base, head, verdict):
    rows = [{f"{measure} x": {"status": "ok", "value": repr(v), "reason": ""}} for v in (base, head)]
    (found,) = deterministic.compare(*rows)
    assert found.verdict == verdict


def test_figures_of_one_commit_alone():
    row = {"status": "ok", "value": "1.0", "reason": ""}
    failed = {"status": "failed", "value": "", "reason": "it died"}
    assert [f.verdict for f in deterministic.compare({"nfe_drift x": row}, {})] == ["lost"]
    assert [f.verdict for f in deterministic.compare({}, {"nfe_drift x": row})] == ["new"]
    assert [f.verdict for f in deterministic.compare({"nfe_drift x": row}, {"nfe_drift x": failed})] == ["lost"]
    assert [f.verdict for f in deterministic.compare({"nfe_drift x": failed}, {"nfe_drift x": row})] == ["new"]
    assert [f.verdict for f in deterministic.compare({"nfe_drift x": failed}, {"nfe_drift x": failed})] == ["failed"]
    silent = failed | {"status": deterministic.NO_ANSWER}  # the base may have it, and HEAD be worse
    (found,) = deterministic.compare({"nfe_drift x": silent}, {"nfe_drift x": row})
    assert (found.verdict, exit_code([found])) == ("failed", 2)


def test_a_process_that_died_once_is_asked_again_by_the_next_comparison(tmp_path, monkeypatch):
    work = deterministic.works("smoke", re.compile("nfe_drift sdegrad_torch"))[:1]

    class Dies:
        def __init__(self, *arguments, **more):
            pass

        def ask(self, what, *arguments):
            if what == "rows":
                raise NoAnswer("the process died")

        def close(self):
            pass

    class Answers(Dies):
        def ask(self, what, *arguments):
            row = {"measure": "nfe_drift", "dt": "0.1", "status": "ok", "value": "1.0", "reason": ""}
            return [row, row | {"measure": "operations", "status": "failed", "value": "", "dt": ""}]

    for child, found in ((Dies, {"no answer"}), (Answers, {"ok", "failed"})):
        monkeypatch.setattr(deterministic, "Process", child)
        rows = deterministic.measure("c" * 40, tmp_path, work, lambda words: None, tmp_path)
        assert {row["status"] for row in rows.values()} == found
    assert any(name.startswith("nfe_drift") and row["status"] == "ok" for name, row in rows.items())


def test_only_what_can_match_is_measured():
    """Every figure that has a rule is gated, and every kind of case that has one."""
    assert set(sum(deterministic.GATED.values(), ())) == set(deterministic.RULES)
    assert {case.kind for _, case in deterministic.works("bench", re.compile("."))} == set(deterministic.GATED)
    assert {case.kind for _, case in deterministic.works("bench", re.compile("^solve_memory"))} == {"memory"}
    assert {case.kind for _, case in deterministic.works("bench", re.compile("nfe_drift "))} == {"nfe", "strong_error"}


def test_an_accepted_change_is_shown_and_not_red():
    found = Finding(benchmark="nfe_drift x", verdict="worse", base=1.0, head=2.0, accepted=True)
    assert exit_code([found]) == 0
    assert "worse (accepted)" in report.markdown("main", [found])


def test_a_page_is_safe():
    page = report.markdown("main", [Finding(benchmark="a|b<script>", verdict="slower")])
    assert "<script>" not in page
    assert "a\\|b" in page


def test_a_journal_outlives_half_a_line(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.add({"pair": 0})
    with journal.path.open("a") as file:
        file.write('{"pair": 1')
    assert Journal(journal.path).lines == [{"pair": 0}]
    Journal(journal.path).add({"pair": 1})
    assert [json.loads(line) for line in journal.path.read_text().splitlines()] == [{"pair": 0}, {"pair": 1}]


class Fake:
    """A process that takes so many seconds for each reading, more with a delay, and fails on request."""

    def __init__(self, seconds, fails=""):
        self.seconds, self.fails = iter(seconds), fails

    def ask(self, what, *arguments):
        if what == self.fails:
            raise Lost(f"no {what}")
        second = next(self.seconds)
        if what == "read":
            _, times, delay = arguments
            return times * (second + delay)
        return second


def seconds(start=0.1):
    while True:
        start += 1e-6
        yield start


TIMED = [t for t in paired.TIMED if t.implementation == "sdegrad_jax"]


def test_a_recording_has_whole_pairs_alone():
    """A pair in which something failed or was interrupted is left out, and so is a benchmark that was not asked for."""
    good = [line for k in range(2) for line in ({**lines([0.1], n)[0], "pair": k} for n in ("a", "b", "other"))]
    failed = [{**lines([0.1], "a")[0], "pair": 2}, {"pair": 2, "benchmark": "b", "HEAD": "it died"}]
    half = [{**lines([0.1], "a")[0], "pair": 3}]
    said = []
    found = list(calibrate.whole([*good, *failed, *half], {"a", "b"}, said.append))
    assert [(line["pair"], line["benchmark"]) for line in found] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    assert "2 of 4 pairs are left out" in said[0]
    assert "it died" in said[0]
    with pytest.raises(ValueError, match="no pair has all benchmarks"):
        calibrate.whole(half, {"a", "b"}, said.append)


def test_a_delay_is_planted_in_head_alone():
    two = paired.Two((Fake(seconds()), Fake(seconds())), (0, 1))
    for line in two.lines("sdegrad_jax", TIMED, (0.0, 0.1)):
        none, tenth = line["logs"]
        assert abs(none) < 1e-3
        assert tenth == pytest.approx(np.log(1.1), abs=1e-3)


def test_a_process_that_fails_costs_its_benchmarks_only():
    two = paired.Two((Fake(seconds()), Fake(seconds(), "prepare")), (1, 0))
    found = {line["benchmark"]: line for line in two.lines("sdegrad_jax", TIMED, (0.0,))}
    assert len(found) == len(TIMED)
    once = [str(t) for t in TIMED if t.what in paired.ONCE]
    assert [name for name, line in found.items() if "logs" in line] == once
    assert all(line["HEAD"] == "no prepare" for name, line in found.items() if "logs" not in line)


@pytest.mark.slow
def test_a_pair_of_processes(tmp_path):
    """Of the working tree and itself, with work as long again planted in HEAD: 2 processes of PyTorch."""
    timed = [t for t in paired.TIMED if t.implementation == "sdegrad_torch" and t.what in ("import", "solve")]
    found = list(paired.pair(0, [provenance.ROOT / "impls"] * 2, timed, tmp_path / "printed.txt", (0.0, 1.0)))
    assert [line["benchmark"] for line in found] == [str(t) for t in timed]
    for line in found:
        assert line["logs"][1] - line["logs"][0] == pytest.approx(np.log(2), abs=0.3)


@pytest.mark.filterwarnings("ignore:os.fork")  # of JAX, if another test has imported it
def test_a_copy_of_a_process_tells_what_failed(monkeypatch):
    server = process.Server()
    monkeypatch.setattr(server, "leave", sys.exit, raising=False)
    assert server.once("load", "numpy_by_hand") > 0
    with pytest.raises(Lost, match="ValueError: unknown implementation 'nowhere'"):
        server.once("load", "nowhere")
    with pytest.raises(Lost, match="a copy of the process died"):
        server.once("leave")


def test_a_clock_that_stands_still_measures_nothing():
    still = iter(lambda: 0.1, None)
    two = paired.Two((Fake(still), Fake(iter(lambda: 0.1, None))), (0, 1))
    found = {line["benchmark"]: line for line in two.lines("sdegrad_jax", TIMED, (0.0,))}
    assert "nothing" in found["solve_time sdegrad_jax 128x16x32"]


# What is refused, in a repository of its own.


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Three commits, in which nothing builds."""
    folder = tmp_path / "repository"
    (folder / "impls").mkdir(parents=True)
    git(folder, "init", "--quiet")
    for k in range(3):
        (folder / "impls" / "a.py").write_text(f"k = {k}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", str(k))
    for module in (provenance, builds):
        monkeypatch.setattr(module, "ROOT", folder)
    for module, name, value in (
        (gate, "CACHE", tmp_path / "cache"),
        (builds.build, "__defaults__", (tmp_path / "cache",)),
    ):
        monkeypatch.setattr(module, name, value)
    (folder / "constraints.txt").write_text("")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "constraints")
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' is no commit of this repository; name one that `git log` shows."),
        (["nowhere", "--allow-missing-base"], "'nowhere' is no commit of this repository"),  # a slip, in a whole clone
        (["--help-me"], "unrecognized arguments"),
        (["HEAD"], "'HEAD' is HEAD itself; name an earlier commit"),
        (
            ["HEAD~1", "--bench", "nothing like it"],
            "no benchmark matches --bench 'nothing like it'; try --bench nfe_drift or ",
        ),
        (["HEAD~1", "--bench", "("], "is no regular expression"),
        (["HEAD~1"], "does not build ("),
        (["HEAD~1", "--minutes", "nan"], "--minutes must be a positive number"),
    ],
)
@pytest.mark.slow
def test_bad_input_is_a_sentence(repository, arguments, message, capsys):
    try:
        code = gate.main(arguments)
    except SystemExit as usage:
        code = usage.code
    assert code == 2
    assert message in capsys.readouterr().err


def test_a_dirty_tree_is_refused(repository, capsys):
    (repository / "impls" / "a.py").write_text("changed\n")
    assert gate.main(["HEAD~1"]) == 2
    assert "there are changes that are in no commit (impls/a.py)" in capsys.readouterr().err


def test_a_shallow_clone_says_how_to_get_the_base(repository, tmp_path, monkeypatch, capsys):
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    for module in (provenance, builds):
        monkeypatch.setattr(module, "ROOT", tmp_path / "shallow")
    assert gate.main(["HEAD~1"]) == 2
    assert "git fetch --deepen" in capsys.readouterr().err
    assert gate.main(["HEAD~1", "--allow-missing-base"]) == 0
    assert capsys.readouterr().out.startswith("not compared: ")


def test_outside_of_a_repository(tmp_path, monkeypatch, capsys):
    for module in (provenance, builds):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    assert gate.main(["HEAD~1"]) == 2
    assert "is no git repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [(OSError(28, "No space left on device", "/x"), "/x cannot be written"), (KeyboardInterrupt(), "interrupted")],
)
def test_full_disks_and_interrupts(repository, error, message, monkeypatch, capsys):
    def fails(*_):
        raise error

    monkeypatch.setattr(gate, "build", fails)
    assert gate.main(["HEAD~1"]) == 2
    assert message in capsys.readouterr().err


def test_a_disk_that_is_full_is_no_fault_of_the_commit(monkeypatch):
    said = b"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\nnote: an error\n"
    monkeypatch.setattr(builds.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 1, b"", said))
    with pytest.raises(OSError, match="No space left on device"):
        builds._pip("a" * 40, "wheel")


def test_a_comparison_goes_on(tmp_path, monkeypatch):
    """Pairs that are there are not measured again, and a comparison ends at the first look at which all is told."""
    monkeypatch.setattr(gate, "CACHE", tmp_path)
    asked = []

    def pair(number, *_):
        asked.append(number)
        if number == 5 and asked.count(5) == 1:
            raise KeyboardInterrupt
        return [lines([1e-4 * k])[0] | {"pair": k} for k in [number]]

    monkeypatch.setattr(gate.paired, "pair", pair)
    commits, timed = ("a" * 40, "b" * 40), [t for t in paired.TIMED if str(t) == NAME]
    with pytest.raises(KeyboardInterrupt):
        gate.times(commits, [], timed, end=np.inf)
    (found,) = gate.times(commits, [], timed, end=np.inf)
    assert asked == [*range(6), *range(5, verdicts.LOOKS[0])]
    assert found.verdict.startswith("same within")
    assert gate.times(commits, [], timed, end=np.inf) == [found]
