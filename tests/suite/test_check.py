"""A library of someone else's, checked for their CI: what is told of rows made for the purpose."""

import csv
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

import suite.__main__ as check
from suite import results
from suite.provenance import ROOT
from suite.verify.table import COLUMNS
from tests.reports.synthetic import row
from tests.suite.toy import install


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Write what the two commands would; returns main with these verdicts, statuses and exit codes."""

    def run(verdicts, statuses, codes=(0, 0)):
        def verified(_):
            with (tmp_path / "verification.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS, restval="")
                writer.writeheader()
                for kind, verdict in (*verdicts, ("negative control", "fails")):
                    writer.writerow(
                        {"implementation": "mine", "claim": f"{verdict} <&", "kind": kind, "verdict": verdict}
                    )
                writer.writerow({"implementation": "other", "kind": "claim", "verdict": "fails"})
            return codes[0]

        def measured(_):
            rows = [
                row("mine", "solve_time", 1.0 if s == "ok" else None, status=s, seed=k) for k, s in enumerate(statuses)
            ]
            results.write(tmp_path / "results.csv", rows)
            return codes[1]

        monkeypatch.setattr(check, "verify", verified)
        monkeypatch.setattr(check.run, "main", measured)
        files = ["--junit", str(tmp_path / "a" / "j.xml"), "--json", str(tmp_path / "j.json")]
        return check.main(["mine", "--out", str(tmp_path), *files])

    return run


def test_all_is_well(found, tmp_path):
    assert found([("theory", "holds"), ("claim", "unsupported")], ["ok", "skipped"]) == 0
    suites = ET.parse(tmp_path / "a" / "j.xml").getroot()
    assert [(s.get("tests"), s.get("failures"), s.get("skipped")) for s in suites] == [("2", "0", "1")] * 2
    assert json.loads((tmp_path / "j.json").read_text())["passed"] == 2


@pytest.mark.parametrize(
    ("verdicts", "statuses", "codes", "expected"),
    [
        ([("claim", "fails")], ["ok"], (0, 0), 1),
        ([("claim", "inconclusive")], ["ok"], (0, 0), 1),
        ([("claim", "holds")], ["failed"], (0, 0), 1),
        ([("claim", "unsupported")], ["skipped"], (0, 0), 1),  # nothing was checked
        ([("claim", "holds")], ["ok"], (1, 0), 1),
        ([("claim", "holds")], ["ok"], (2, 0), 2),
        ([("claim", "holds")], ["ok"], (0, 2), 2),
    ],
)
def test_what_is_not_well_is_not_green(found, verdicts, statuses, codes, expected):
    assert found(verdicts, statuses, codes) == expected


@pytest.mark.parametrize(("codes", "failures"), [((1, 0), ["1", "0"]), ((0, 1), ["0", "1"])])
def test_an_exit_code_alone_is_a_failure_in_the_file(found, tmp_path, codes, failures):
    assert found([("claim", "holds")], ["ok"], codes) == 1
    assert [s.get("failures") for s in ET.parse(tmp_path / "a" / "j.xml").getroot()] == failures


def test_a_failure_is_one_in_the_file(found, tmp_path):
    assert found([("claim", "fails")], ["failed", "ok"]) == 1
    suites = ET.parse(tmp_path / "a" / "j.xml").getroot()
    assert [s.get("failures") for s in suites] == ["1", "1"]
    assert "fails <&" in suites[0][0].get("name")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_library_in_a_folder_is_verified_by_its_entry_point(tmp_path):
    """In a process of its own, as by `nox -s check`; here by one check, of one that is right and one that is not."""
    install(tmp_path / "libraries", "alpha", "bad_raise")
    path = os.pathsep.join((str(tmp_path / "libraries"), str(ROOT / "impls"), str(ROOT)))
    command = [sys.executable, "-m", "suite.verify", "--check", "count", "--method", "euler"]
    names = ["--implementation", "alpha", "--implementation", "bad_raise", "--out", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": path}
    subprocess.run([*command, *names], cwd=ROOT, env=environment, capture_output=True)
    with (tmp_path / "verification.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if "control" not in r["kind"] and r["verdict"] != "unsupported"]
    assert {(r["implementation"], r["verdict"]) for r in rows} == {("alpha", "holds"), ("bad_raise", "fails")}, rows
