"""The pages of the site, one table, and how they are written: all of them, or nothing."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from reports import figures, paper, verification
from reports.plotting import Plot
from reports.site import content, guide, questions, table
from reports.site.content import LAYOUT, Part, Section, Site
from reports.site.source import REFERENCE, Source
from suite.results import ResultsError

MARK = ".sdegrad-site"  # lies in a folder that a site was written into


@dataclass(frozen=True)
class Page:
    """slug: the name of the file. short: in the navigation. add: puts the page into the site."""

    slug: str
    short: str
    title: str
    add: Callable[[Site, "Page"], None]


def _start(site: Site, page: Page) -> None:
    parts = [
        (part.place, part.said, _headline(site, part, f"setting-{number}-" * (number > 1)))
        for number, part in enumerate(site.parts, start=1)
    ]
    asked = [(f"{other.slug}.html", other.title) for other in PAGES if other is not page]
    committed = site.source.files[0][0] == REFERENCE.as_posix()
    asked += [(API[0], "The reference")]
    site.page(page.slug, "start.html", title=page.title, parts=parts, reference=committed, questions=asked)


def _headline(site: Site, part: Part, before: str) -> content.Picture | None:
    return _picture(site, f"{before}headline", lambda: figures.headline(part.frame), "Time and error of gradients.")


def _picture(site: Site, name: str, draw: Callable[[], Plot], alt: str) -> content.Picture | None:
    """None where there is nothing to draw."""
    try:
        return site.picture(name, draw(), alt)
    except figures.NoData:
        return None


def _sections(ask: Callable[[Site], Iterator[Section]]) -> Callable[[Site, Page], None]:
    def add(site: Site, page: Page) -> None:
        site.page(page.slug, "sections.html", title=page.title, sections=list(ask(site)))

    return add


def _paper(site: Site, page: Page) -> None:
    parts = [
        (number, part.place, paper.with_training(part.frame, site.source.frame))
        for number, part in enumerate(site.parts, start=1)
    ]
    alt = "Ratios here and in the paper"
    drawn = [_picture(site, f"paper-{k}", lambda rows=rows: paper.figure(rows), alt) for k, _, rows in parts]
    lines = []
    for name, claim in paper.CLAIMS.items():
        measured = [(number, place, found) for number, place, rows in parts if (found := claim.measure(rows))]
        for number, place, found in measured:
            behind = pd.concat([here.rows for here in found]).drop_duplicates()
            lines.append((place, claim, found, site.rows(f"paper-{name}-{number}", behind, claim.compared)))
        lines += [("", claim, [], "")] * (not measured)
    about = {"paper": paper.PAPER, "several": len(parts) > 1, "pictures": [p for p in drawn if p]}
    site.page(page.slug, "paper.html", title=page.title, lines=lines, **about)


def _verification(site: Site, page: Page) -> None:
    """Where nothing was verified; else `write` puts the matrix and its failures here."""
    if not site.source.claims:
        text = "Nothing was verified beside these results; nox -s verify does it."
        site.page(page.slug, "sections.html", title=page.title, sections=[Section("Claims", [text])])


def _table(site: Site, page: Page) -> None:
    rows = Markup(table.markup(site.source.frame))
    site.page(page.slug, "table.html", title=page.title, rows=rows, number=len(site.source.frame))


PAGES = (
    Page("index", "Start", "SDE solvers, measured and verified", _start),
    Page("library", "Libraries", "Which library for my framework?", _sections(questions.library)),
    Page("solver", "Solvers", "Which solver and adjoint?", _sections(questions.solver)),
    Page("trust", "Gradients", "How far can I trust the gradient?", _sections(questions.trust)),
    Page("memory", "Memory", "What does memory cost?", _sections(questions.memory)),
    Page("training", "Training", "How good are trained neural SDEs, and how soon?", _sections(questions.trained)),
    Page("changes", "Changes", "What changed over the commits?", _sections(questions.changes)),
    Page("paper", "Paper", "The paper's claims, and what was measured here", _paper),
    Page("verification", "Verification", "Claims of SDE solvers, checked", _verification),
    Page("table", "All rows", "All rows", _table),
    Page("guide", "Guide", "Guide", lambda site, _: guide.write(site)),
)
API = ("api/index.html", "API")


def build(source: Source, out: Path) -> Path:
    """Write the site into `out`, in place of an earlier one. Returns its first page. ResultsError for a folder that
    holds something else, and what `reports` refuses."""
    if out.exists() and not (out / MARK).exists() and (not out.is_dir() or any(out.iterdir())):
        raise ResultsError(f"{out} holds something that is no site; name an empty folder, or one that is not there.")
    navigation = [*((f"{page.slug}.html", page.short) for page in PAGES), API]
    around = {"navigation": navigation, "sources": source.files, "machines": sorted(set(source.frame["machine"]))}
    site = Site(source, (), around, {MARK: b""})
    site = replace(site, parts=content.drawn(site))
    for page in PAGES:
        page.add(site, page)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        _write(site, Path(folder) / "site")
        shutil.rmtree(out, ignore_errors=True)
        (Path(folder) / "site").replace(out)
    return out / "index.html"


def _write(site: Site, folder: Path) -> None:
    for name, text in site.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)
    if site.source.claims:
        verification.write(site.source.claims, folder, layout=LAYOUT, slug="verification", **site.around)
    guide.reference(folder / "api")
