"""The page of the claims and the page of each failure, from verification.csv."""

import json

import pytest
from matplotlib.colors import to_hex

from reports import claims, verification
from tests.reports.test_hostile import CURVE, failure
from tests.reports.test_report import VERIFICATION


def pages(tmp_path, content):
    (tmp_path / "verification.csv").write_bytes(content)
    assert verification.main([str(tmp_path / "verification.csv")]) == 0
    failures = {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "verification").iterdir()}
    return (tmp_path / "verification.html").read_text(encoding="utf-8"), failures


def test_every_claim_has_its_cell_and_every_failure_its_page(tmp_path):
    page, failures = pages(tmp_path, VERIFICATION.encode())
    assert sorted(failures) == ["2-somebody.html", "6-somebody.html", "7-somebody.html"]
    for name in failures:
        assert f'href="verification/{name}"' in page
    assert page.count("<tr><td>") == 6
    assert "2 controls" in page
    assert "1 wrongly" in page
    assert "1 of 5 claims hold" in page


def test_a_failure_shows_what_is_said_what_was_measured_and_how_to_reproduce_it(tmp_path):
    script = "print('<wrong>')\nraise SystemExit(1)\n"
    content = failure(curve=json.dumps(CURVE), script=json.dumps(script), reproduced="yes: <wrong>", p="1e-05")
    _, failures = pages(tmp_path, content)
    (text,) = failures.values()
    for shown in ("strong order 1", "claim: a page", "0.503 [0.490, 0.510]", "yes: &lt;wrong&gt;", "1e-05"):
        assert shown in text
    assert "raise SystemExit(1)" in text
    assert text.count("<svg") == 0
    assert "data:image/svg+xml;base64," in text


def test_a_number_without_an_interval_is_shown_alone(tmp_path):
    page, _ = pages(tmp_path, VERIFICATION.replace(",0.9,1.1,inconclusive,", ",,,inconclusive,").encode())
    assert '<span class="dim">1.00</span>' in page


def test_pages_of_an_earlier_run_go(tmp_path):
    pages(tmp_path, VERIFICATION.encode())
    page, failures = pages(tmp_path, VERIFICATION.replace(",fails,", ",holds,").encode())
    assert not failures
    assert "What fails" not in page


def test_a_probability_reads_as_one(tmp_path):
    (tmp_path / "v.csv").write_bytes(failure(p="0.503"))
    (row,) = claims.read(tmp_path / "v.csv")
    assert claims.measured(row) == "p = 0.503"


@pytest.mark.parametrize(
    ("kind", "verdict", "expected"),
    [
        ("negative control", "fails", False),
        ("negative control", "holds", True),
        ("positive control", "holds", False),
        ("positive control", "fails", True),
        ("control", "inconclusive", True),
        ("negative control", "unsupported", False),
    ],
)
def test_a_control_has_its_own_right_verdict(kind, verdict, expected):
    assert claims.misjudged({"source": f"{kind}: by construction", "verdict": verdict}) is expected


def test_a_curve_is_drawn_with_its_slope(tmp_path):
    (tmp_path / "v.csv").write_bytes(
        failure(curve=json.dumps(CURVE | {n: [1.0, 2.0] for n in ("x", "y", "low", "high")}))
    )
    plot = verification.evidence(claims.read(tmp_path / "v.csv")[0])
    (axes,) = plot.figure.axes
    assert [line.get_label() for line in axes.get_lines()][-1] == "claimed: order 1"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("dt", "error")


def test_without_a_file_one_sentence(tmp_path, capsys):
    assert verification.main([str(tmp_path / "nothing.csv")]) == 2
    assert "nothing.csv" in capsys.readouterr().err


def test_what_is_not_decided_has_a_shade_of_its_own(tmp_path):
    (tmp_path / "v.csv").write_text(VERIFICATION, encoding="utf-8")
    rows = claims.read(tmp_path / "v.csv")
    verdicts = {row["verdict"] for row in rows if not claims.is_control(row)}
    axes = verification.overview(rows).figure.axes[0]
    shades = {to_hex(bar.get_facecolor()) for bar in axes.patches if bar.get_width() > 0}
    assert {verification.SHADES[verdict] for verdict in verdicts & set(verification.SHADES)} <= shades
    assert any("?" in text.get_text() for text in axes.texts) == ("inconclusive" in verdicts)
    assert "inconclusive" in verdicts


def test_a_figure_without_a_verdict_is_drawn_and_counts_as_no_claim(tmp_path):
    content = failure(curve=json.dumps(CURVE | {n: [1.0, 2.0] for n in ("x", "y", "low", "high")}))
    page, failures = pages(tmp_path, content.replace(b",fails,", b",measured,"))
    assert not failures
    assert "Measured, without a verdict" in page
    assert "data:image/svg+xml;base64," in page
    assert "0 of 0 claims hold" in claims.summary(claims.read(tmp_path / "verification.csv"))
