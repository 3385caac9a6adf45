"""The site: what its pages say, where their links lead, and what a browser makes of them.

The browser is the machine's own Chromium; where there is none these tests are skipped.
"""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from matplotlib.collections import PathCollection

from reports import paper, power
from reports.data import settings, tidy
from reports.plotting import NoData
from reports.site import build, guide, source, start
from reports.site.__main__ import main
from reports.site.table import FILTERS
from suite import results
from tests.reports.synthetic import GBM, MLP, NEURAL, row
from tests.reports.test_held_out import rows as held_out_rows
from tests.reports.test_hostile import NASTY, curve, one_sentence, table
from tests.reports.test_power import recorded
from tests.reports.test_report import VERIFICATION

ROOT = Path(__file__).parents[2]
WIDTHS = (390, 1400)
CHECKS = ("check", *["gradient"] * 8)  # a column of claims
HEADS = ".dt-scroll:has(#results) > .dt-scroll-head th"
SMALL = MLP | {
    "method": "reversible_heun",
    "adjoint": "reversible",
    "dim": 16,
    "noise_dim": 16,
    "hidden": 32,
    "dt": 0.01,
}
ACCESS = {"access": "random", "batch": 1, "steps": 100, "dtype": "float32"}


def times():
    """Two libraries in PyTorch at two sizes: the one is twice as slow at the first, and faster at the second."""
    for batch, ratio in ((1, 2.0), (128, 0.8)):
        work = SMALL | {"batch": batch, "dt": 0.01, "steps": 100}
        yield row("sdegrad_torch", "gradient_time", 0.01, 0.02, **work)
        yield row("torchsde", "gradient_time", 0.01 * ratio, 0.02, **work)
        yield row("torchsde", "gradient_time_ratio", ratio, 0.05, **work)
    yield row("sdegrad_torch", "brownian_time", 1e-4, 0.01, **ACCESS, brownian="interval")
    yield row("torch_tree", "brownian_time", 7e-4, 0.01, **ACCESS, brownian="tree", framework="torch 2")
    yield row("torch_tree", "brownian_time_ratio", 7.0, 0.01, **ACCESS, brownian="tree", framework="torch 2")


def accuracy():
    """Gradients of two methods at two step sizes, with their times and errors; evaluations and memory."""
    for dt in (0.5, 0.25):
        for method, adjoint, error, seconds in (
            ("reversible_heun", "reversible", 2e-16, 0.2),
            ("midpoint", "backsolve", 0.1 * dt, 0.3),
        ):
            work = NEURAL | {"method": method, "adjoint": adjoint, "dt": dt, "steps": 1 / dt}
            yield row("sdegrad_torch", "gradient_error", error, **work)
            yield row("sdegrad_torch", "gradient_time", seconds / dt, 0.01, **work)
            yield row("sdegrad_torch", "strong_error", dt / 10, 0.1, **GBM, method=method, dt=dt, steps=1 / dt)
        yield row("sdegrad_torch", "gradient_memory", 2.0**20, **SMALL, batch=128, steps=100 / dt)
    for method, count in (("reversible_heun", 1.0), ("midpoint", 2.0)):
        yield row("sdegrad_torch", "nfe_drift", count, **GBM, method=method)
    yield row("torchsde", "solve_memory", **SMALL, status="failed", reason="<b>no</b> & never")


def made(folder: Path, rows: bytes, verification: str = VERIFICATION) -> Path:
    """A site in `folder`, of these rows and claims."""
    (folder / "results.csv").write_bytes(rows)
    (folder / "verification.csv").write_text(verification)
    assert main([str(folder / "results.csv"), "--out", str(folder / "site")]) == 0
    return folder / "site"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """With all that may lie beside the results: claims, a history, long solves, a recording of the gate's alarms."""
    folder = tmp_path_factory.mktemp("site")
    counts = [row("sdegrad_torch", "nfe_drift", n, commit=str(k) * 40, tool="asv") for k, n in enumerate((1, 1, 2, 2))]
    results.write(folder / "history.csv", counts)
    shutil.copy(ROOT / source.REFERENCE.with_name("long_times.csv"), folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(power, "RUNS", 20)
        assert power.main([str(recorded(folder)), "--pairs", "28"]) == 0
    of_gradients = [f"{line},{check}" for line, check in zip(VERIFICATION.splitlines(), CHECKS, strict=True)]
    return made(folder, table([*times(), *accuracy()]), "\n".join(of_gradients))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Every cell that holds a text holds a hostile one, a formula or a path; values are as large as they may be."""
    columns = ("machine", "version", "problem", "method", "adjoint", "noise_type", "dtype", "compiled", "reason")
    rows = [r | dict.fromkeys(columns, text) for text in (NASTY, "=1+1", "../../etc/passwd") for r in curve()]
    rows += [r | {"value": "1e100", "low": "", "high": ""} for r in curve(method="</script>")]
    rows = [r | {"implementation": NASTY, "commit": "--output=x"} if k % 2 else r for k, r in enumerate(rows)]
    text = VERIFICATION.replace("a method", NASTY.replace('"', '""').join('""'))
    with pytest.MonkeyPatch.context() as patch:  # the reference has nothing of a stranger
        patch.setattr(
            guide, "reference", lambda folder: (folder / "index.html").write_text("") if folder.mkdir() else 0
        )
        return made(tmp_path_factory.mktemp("stranger"), table(rows), text)


class Page(HTMLParser):
    """The links, ids, resources and images of a page."""

    def __init__(self, file: Path):
        super().__init__()
        self.links, self.ids, self.resources, self.alts, self.handlers = [], set(), [], [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id") or given.get("name"))
        self.handlers += [name for name in given if name.startswith("on")]
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "img":
            self.alts.append(given.get("alt"))
        self.resources += [
            v for k, v in given.items() if k in ("src", "srcset", "data") or (k == "href" and tag == "link")
        ]


def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html"))}


def test_every_page_of_the_table_is_there(site):
    assert {f"{page.slug}.html" for page in build.PAGES} <= {file.name for file in site.iterdir()}
    assert (site / build.API[0]).exists()
    assert len(list((site / "verification").iterdir())) == 3


def test_every_link_leads_somewhere(site):
    found = pages(site)
    for file, page in found.items():
        for link in [*page.links, *page.resources]:
            address, fragment = urldefrag(link)
            if re.match(r"https?:|data:|mailto:", address):
                continue
            target = (file.parent / unquote(address)).resolve() if address else file
            assert target.is_file(), (file, link)
            if fragment and target.suffix == ".html":
                assert unquote(fragment) in found[target].ids, (file, link)


def test_nothing_comes_from_elsewhere(site):
    for file, page in pages(site).items():
        assert not [r for r in page.resources if re.match(r"(https?:)?//", r)], file
        styles = "".join(re.findall(r"<style.*?</style>", file.read_text(encoding="utf-8"), re.DOTALL))
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", styles), file


def test_pictures_say_in_words_what_they_show_and_link_to_their_rows(site):
    for file, page in pages(site).items():
        assert all(page.alts), file
    trust = Page(site / "trust.html")
    assert {"rows/gradient_error.html", "verification/2-somebody.html"} <= set(trust.links)
    text = (site / "rows" / "gradient_error.html").read_text(encoding="utf-8")
    assert text.count("<tr>") == 1 + 4
    assert "0.05" in text


def test_changes_over_the_commits_and_what_the_gate_can_tell(site):
    text = (site / "changes.html").read_text(encoding="utf-8")
    assert "<td>22222222</td>" in text
    assert "Steps: 1, in 1 series over 4 commits." in text
    assert "40 pairs of processes of one commit" in text
    assert "<td>quiet</td>" in text
    assert "ees25, reversible adjoint" in (site / "trust.html").read_text(encoding="utf-8")


def test_the_first_page_says_who_wins_and_where_not(site):
    said = dict(start.sentences(settings(tidy([*times(), *accuracy()]))[0], []))
    assert "torchsde takes 0.800× [0.760, 0.840]" in said["Gradient, PyTorch"]
    assert "to 2.00× [1.90, 2.10] (2 works)" in said["Gradient, PyTorch"]
    assert "as fast or faster at 1 of them: 0.800× [0.760, 0.840] at batch 128" in said["Gradient, PyTorch"]
    assert "within 2.0e-16" in said["Exactness"]
    assert "0.0250 (dt 0.25) to 0.0500 (dt 0.5)" in said["Exactness"]
    assert "Gradient, JAX" not in said
    text = (site / "index.html").read_text(encoding="utf-8")
    assert said["Gradient, PyTorch"] in text
    assert "1 of 3 of its own claims" in text
    assert "results.csv (" in text


def test_figures_without_a_verdict_are_no_claims_that_fail():
    row = {"implementation": "somebody", "source": "theory: a paper", "version": "1"}
    claims = [row | {"verdict": verdict} for verdict in ("holds", "measured", "unsupported")]
    said = dict(start.sentences(tidy(list(times())), claims))
    assert "1 of 1 of theory" in said["Verification"]


def test_the_paper_stands_beside_rows_or_beside_nothing(site):
    frame = settings(tidy([*times(), *accuracy()]))[0]
    (solver,) = paper.solver(frame)
    assert (solver.who, solver.value) == ("sdegrad_torch", "1.50× [1.47, 1.53] to 1.50× [1.47, 1.53], 2 works")
    assert len(solver.rows) == 4
    (tree,) = paper.brownian(frame)
    assert (tree.who, tree.value) == ("torch_tree over sdegrad_torch", "7.00× [6.93, 7.07]")
    assert not paper.clipping(frame)
    text = (site / "paper.html").read_text(encoding="utf-8")
    assert text.count("not measured") == 2
    assert "rows/paper-solver-1.html" in text
    assert "figures/paper-1.svg" in text


def test_the_ratios_of_the_paper_are_drawn_beside_those_that_were_measured():
    frame = settings(tidy([*times(), *accuracy()]))[0]
    midpoint, tree = paper.figure(frame).figure.axes
    for axes, title, reported, ratio in ((midpoint, "midpoint", 1.98, 1.5), (tree, "Virtual Brownian Tree", 10.6, 7.0)):
        assert axes.get_title(loc="left").startswith(f"{title}\n")
        assert reported in [line.get_xdata()[0] for line in axes.lines]
        assert axes.texts[0].get_text() == f" {reported:g}"
        dots = [c.get_offsets() for c in axes.collections if isinstance(c, PathCollection)]
        assert {round(float(x), 9) for points in dots for x in points[:, 0]} == {ratio}
    with pytest.raises(NoData, match="nothing was measured that the paper gives a ratio for"):
        paper.figure(frame[frame["measure"] == "gradient_error"])


def test_trainings_are_compared_seed_by_seed():
    """Of the longest trainings; one of the two experiments has more steps."""
    work = {"tool": "train", "adjoint": "x", "method": "x"}
    slow, fast = "ou midpoint-penalty", "ou reversible-clipping"
    times = {(slow, 6): (0.3, 0.4), (fast, 6): (9.0, 9.0), (fast, 60): (0.1, 0.2)}
    rows = [
        row("a", "step_time", t, problem=p, steps=n, seed=k, **work)
        for (p, n), ts in times.items()
        for k, t in enumerate(ts)
    ]
    (found,) = paper.clipping(tidy(rows))
    assert found.value == "2.00× to 3.00×, 2 works"


def test_trainings_on_real_data_have_their_table(tmp_path, monkeypatch):
    monkeypatch.setattr(guide, "reference", lambda folder: folder.mkdir())  # which takes seconds
    results.write(tmp_path / "results.csv", list(times()))
    results.write(tmp_path / "train.csv", list(held_out_rows()))
    assert main([str(tmp_path / "results.csv"), "--out", str(tmp_path / "site")]) == 0
    page = (tmp_path / "site" / "training.html").read_text()
    assert "On real data: weather" in page
    assert "reported by the paper (recalled) of other data" in page
    assert "There are no trainings" not in page


def test_your_own_results_come_before_the_committed_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source.default() == source.REFERENCE
    results.write(tmp_path / source.OWN, curve())
    assert source.default() == source.OWN


@pytest.mark.parametrize("beside", [".", "results.csv"])
def test_what_is_no_site_is_not_overwritten(tmp_path, capsys, beside):
    (tmp_path / "results.csv").write_bytes(table(curve()))
    assert main([str(tmp_path / "results.csv"), "--out", str(tmp_path / beside)]) == 2
    assert "is no site" in one_sentence(capsys)
    assert [file.name for file in tmp_path.iterdir()] == ["results.csv"]


def test_without_results_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path / "none.csv"), "--out", str(tmp_path / "site")]) == 2
    assert "none.csv" in one_sentence(capsys)
    assert not (tmp_path / "site").exists()


@pytest.mark.exhaustive
def test_a_stranger_stays_text(stranger):
    for file, page in pages(stranger).items():
        assert not page.handlers, file
        assert not [link for link in page.links if "javascript" in link or ".." in link.removeprefix("../")], file
        assert "\x1b" not in file.read_text(encoding="utf-8")
    names = [file.relative_to(stranger).as_posix() for file in stranger.rglob("*") if file.is_file()]
    assert all(re.fullmatch(r"[\w./=-]+", name, re.ASCII) for name in names)
    assert sorted(file.name for file in stranger.parent.iterdir()) == ["results.csv", "site", "verification.csv"]


# In a browser


@pytest.fixture(scope="module")
def chromium():
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if binary is None:
        pytest.skip("this machine has no Chromium; install it, as by apt-get install chromium")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Opens a page and fails for whatever goes wrong in it: messages of the console, dialogs, requests to elsewhere."""
    wrong = []

    def open_page(file: Path, width: int = 1400, scheme: str = "light"):
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: wrong.append((file.name, message.type, message.text)))
        page.on("pageerror", lambda error: wrong.append((file.name, str(error))))
        page.on("dialog", lambda dialog: wrong.append((file.name, dialog.message)) or dialog.dismiss())
        page.on("requestfailed", lambda request: wrong.append((file.name, request.url)))
        page.on("request", lambda r: re.match(r"file:|data:|blob:", r.url) or wrong.append((file.name, r.url)))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in chromium.contexts:
        context.close()
    assert not wrong


def settled(page):
    """The page once its table, if it has one, is made."""
    if page.locator("#results").count():
        page.wait_for_selector(HEADS)
    return page


def visited(page, site):
    """Every page of the site, one after the other."""
    for file in sorted(site.rglob("*.html")):
        page.goto(file.as_uri())
        settled(page)
        yield file


def table_of(opened, site):
    page = settled(opened(site / "table.html"))
    page.locator(".dt-length select").select_option("100")  # all there are
    return page


def column(page, name):
    """The cells of a column, as they are shown."""
    heads = page.locator(HEADS).all_inner_texts()
    place = [head.strip() for head in heads].index(name)
    return [cell.strip() for cell in page.locator(f"#results tbody td:nth-child({place + 1})").all_inner_texts()]


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_opens_and_nothing_is_cut_off(opened, site, width):
    page = opened(site / "index.html", width)
    for file in visited(page, site):
        for scheme, lit in (("light", True), ("dark", False)):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, file
            back = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (back == "rgb(255, 255, 255)") == lit, (file, back)


@pytest.mark.slow
def test_a_head_sorts_numbers_as_numbers(opened, site):
    page = table_of(opened, site)
    everything = column(page, "value")
    head = page.locator(HEADS, has_text=re.compile("^value$")).locator(".dt-column-order")
    numbers = sorted(float(cell) for cell in everything if cell)
    head.click()
    assert [float(cell) for cell in column(page, "value") if cell] == numbers
    head.click()
    assert [float(cell) for cell in column(page, "value") if cell] == numbers[::-1]


# pane -> a value in it
PANES = {
    "library": "torchsde",
    "measure": "gradient_time",
    "method": "midpoint",
    "problem": "neural",
    "noise": "general",
    "device": "cpu",
    "size": "batch 1, dim 16, hidden 32",
    "status": "failed",
}


@pytest.mark.slow
def test_panes_filter_by_their_columns(opened, site):
    page = table_of(opened, site)
    page.get_by_text("Show All").click()
    assert tuple(PANES) == FILTERS
    for name, value in PANES.items():
        before = column(page, name)
        choose(page, name, value)
        assert column(page, name) == [value] * before.count(value)
        assert value in before
        clear(page)
        assert column(page, name) == before


def clear(page):
    page.get_by_text("Clear All").click()
    page.get_by_text("Filters Active - 0").wait_for()


def choose(page, name, value, active=1):
    pane = page.locator(".dtsp-searchPane", has=page.locator(f"input[placeholder='{name}']"))
    pane.locator(".dtsp-nameCont", has_text=re.compile(f"^{re.escape(value)}[0-9 ()]*$")).click()
    page.get_by_text(f"Filters Active - {active}").wait_for()


@pytest.mark.slow
def test_panes_filter_one_within_the_other_and_words_too(opened, site):
    page = table_of(opened, site)
    page.get_by_text("Show All").click()
    choose(page, "library", "torchsde")
    choose(page, "measure", "gradient_time_ratio", active=2)
    assert set(zip(column(page, "library"), column(page, "measure"), strict=True)) == {
        ("torchsde", "gradient_time_ratio")
    }
    clear(page)
    page.get_by_label("Search:").fill("torchsde ratio")
    assert column(page, "measure") == ["gradient_time_ratio"] * 2


@pytest.mark.exhaustive(but=["390"])
@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_stranger_is_harmless_in_a_browser(opened, stranger, width):
    page = opened(stranger / "index.html", width)
    for file in visited(page, stranger):
        assert page.evaluate("document.documentElement.scrollWidth") <= width, file
    page = table_of(opened, stranger)
    page.get_by_text("Show All").click()
    assert {"=1+1", "../../etc/passwd", "</script>"} <= set(column(page, "method"))
    assert page.evaluate("document.querySelectorAll('#results_wrapper script, #results td *').length") == 0
    assert "=1+1" in page.locator(".dtsp-name").all_inner_texts()
