"""The report: one HTML file that needs nothing else, and every figure beside it as PNG and SVG."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports import agreement, figures, labels, pages, plotting, tables, verification
from reports.claims import Claims, summary
from reports.data import Frame, groups, settings
from suite import results

MOST = 5000  # rows in a table of the page, as many as a browser sorts at once
_MISSING = ("status", "implementation", "measure", "problem", "method", "access", "adjoint", "reason")


def write(frame: Frame, out: Path, claims: Claims) -> Path:
    """Write everything into `out`, in place of an earlier report; nothing is written until all is drawn.

    claims: the rows of a verification, told on pages of their own. Returns the path of index.html.
    """
    files: dict[str, bytes] = {}
    parts = [_part(part, "" if k == 1 else f"-{k}", files) for k, part in enumerate(settings(frame), start=1)]
    if frame["tool"].nunique() > 1:
        parts[0]["plots"].extend(_agreement(frame, files))
    page = _page(frame, parts, claims)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for old in (out / "figures").glob("*"):
        if old.name not in files and old.suffix in (".png", ".svg"):
            old.unlink()
    for name, content in files.items():
        (out / "figures" / name).write_bytes(content)
    if claims:
        verification.write(claims, out)
    index = out / "index.html"
    index.write_text(page, encoding="utf-8")
    return index


def _agreement(frame: Frame, files: dict[str, bytes]) -> list[Mapping[str, str]]:
    """The figure of the tools beside each other, if two have measured the same; it is added to `files`."""
    try:
        return [_placed("tools", agreement.figure(frame), files)]
    except plotting.NoData:
        return []


def _placed(name: str, plot: plotting.Plot, files: dict[str, bytes]) -> Mapping[str, str]:
    svg = plot.svg()
    files |= {f"{name}.svg": svg, f"{name}.png": plot.png()}
    return {"name": name, "caption": plot.caption, "svg": plotting.embedded(plot)}


def _part(frame: Frame, suffix: str, files: dict[str, bytes]) -> Mapping[str, Any]:
    """What the page says of one setting; its figures are added to `files`."""
    drawn, left_out = figures.draw(frame)
    plots = [_placed(name + suffix, plot, files) for name, plot in drawn.items()]
    return {
        "place": labels.place(frame),
        "versions": _versions(frame),
        "headline": Markup(tables.headline(frame, everything=True).html()),  # cells are escaped there
        "plots": plots,
        "left_out": left_out,
    }


def _versions(frame: Frame) -> str:
    texts = [
        " ".join(filter(None, who.values()))
        for who, _ in groups(frame[frame["status"] == "ok"], results.IMPLEMENTATION)
    ]
    return "; ".join(texts) + "."


def _page(frame: Frame, parts: list[Mapping[str, Any]], claims: Claims) -> str:
    missing = frame.loc[frame["status"] != "ok", list(_MISSING)].drop_duplicates()
    return pages.render(
        "template.html",
        parts=parts,
        claims=summary(claims) if claims else "",
        claims_page=verification.PAGE,
        missing_columns=_MISSING,
        missing=missing[:MOST].to_numpy().tolist(),
        left_out=max(0, len(missing) - MOST),
        number=len(frame),
        **listed(frame),
    )


def listed(frame: Frame) -> Mapping[str, Any]:
    """The rows as a table shows them: what is the same in all, in words; the other columns, and their cells as text."""
    constant = {c: _text(frame[c].iloc[0]) for c in frame if frame[c].nunique(dropna=False) == 1}
    columns = [c for c in frame if c not in constant]
    return {
        "constant": ", ".join(f"{c} {v}" for c, v in constant.items() if v),
        "columns": columns,
        "rows": frame[columns][:MOST].map(_text).to_numpy().tolist(),
    }


def _text(value: Any) -> str:
    return "" if value != value else f"{value:.6g}" if isinstance(value, float) else str(value)
