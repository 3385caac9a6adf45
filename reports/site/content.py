"""What pages consist of: sections of sentences, tables and pictures. A picture has a page of the rows behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports import agreement, figures, html, labels, pages
from reports.data import Frame
from reports.plotting import NoData, Plot
from reports.site import start
from reports.site.source import Source
from suite import results

Files = dict[str, bytes]  # by their paths in the site
LAYOUT = "site.html"
_VALUE = ("measure", "value", "low", "high", "unit", "cost", "cost_low", "cost_high")  # a cost: of an error beside it
_SHOWN = dict.fromkeys(("implementation", *_VALUE, *results.WORK, *results.COLUMNS))  # the columns of rows, in order


@dataclass(frozen=True)
class Picture:
    name: str
    caption: str
    rows: str  # the page of its rows, or nothing


@dataclass(frozen=True)
class Section:
    """place: where it was measured. looks: of the table. notes: (what, why, address of its page or nothing), of what
    `noted` says. link: (address, words)."""

    heading: str
    text: Sequence[str] = ()
    place: str = ""
    table: str = ""
    looks: str = "headline"
    pictures: Sequence[Picture] = ()
    notes: Sequence[tuple[str, str, str]] = ()
    noted: str = "figures left out"
    link: tuple[str, str] | None = None

    @property
    def markup(self) -> Markup:
        """The table, whose cells are escaped where it is made."""
        return Markup(self.table)


@dataclass(frozen=True)
class Part:
    """One setting: its rows, where it was measured, the sentences about it, its pictures by kind of figure, and why
    others are missing."""

    frame: Frame
    place: str
    said: Mapping[str, str]
    pictures: Mapping[str, Sequence[Picture]]
    left_out: Mapping[str, str]


@dataclass(frozen=True)
class Site:
    """around: what the layout of every page shows. files: of the site; whoever draws adds to them."""

    source: Source
    parts: Sequence[Part]
    around: Mapping[str, object]
    files: Files

    def page(self, name: str, template: str, root: str = "", **values: object) -> None:
        """Add a page. root: from it to the top of the site."""
        text = pages.render(template, LAYOUT, slug=name, root=root, **self.around, **values)
        self.files[f"{name}.html"] = text.encode("utf-8")

    def picture(self, name: str, plot: Plot, alt: str = "") -> Picture:
        """Add the picture and the page of its rows."""
        self.files[f"figures/{name}.svg"] = plot.svg()
        picture = Picture(name, plot.caption or alt, "" if plot.rows is None else f"rows/{name}.html")
        if picture.rows:
            self.rows(name, plot.rows, f"Rows of {name.replace('_', ' ')}", picture)
        return picture

    def rows(self, name: str, frame: Frame, title: str, picture: Picture | None = None) -> str:
        """Add a page of rows. Returns its address."""
        shown = frame[[c for c in _SHOWN if c in frame]]
        self.page(f"rows/{name}", "rows.html", "../", title=title, picture=picture, **html.listed(shown))
        return f"rows/{name}.html"


def drawn(site: Site) -> list[Part]:
    """The settings of the source, each with all its figures."""
    return [_part(site, frame, f"setting-{k}-" * (k > 1)) for k, frame in enumerate(site.source.settings, start=1)]


def _part(site: Site, frame: Frame, before: str) -> Part:
    plots, left_out = figures.draw(frame)
    found: dict[str, list[Picture]] = {}
    for name, plot in plots.items():
        found.setdefault(_kind(name), []).append(site.picture(before + name, plot))
    if not before and site.source.frame["tool"].nunique() > 1:
        try:
            found["tools"] = [site.picture("tools", agreement.figure(site.source.frame))]
        except NoData as reason:
            left_out["tools"] = str(reason)
    said = dict(start.sentences(frame, site.source.claims))
    return Part(frame, labels.place(frame), said, found, left_out)


def _kind(name: str) -> str:
    """The row of the table of figures that one is of, by its name, which begins with that."""
    return max((kind for kind in figures.FIGURES if name == kind or name.startswith(f"{kind}-")), key=len)
