"""All rows as one table with sorting and filters: DataTables, as the package itables ships it, inside the page.

A cell is text: itables escapes it, to which the browser test holds it. Numbers are text too, and sorted as numbers,
since DataTables finds that all of their column are.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from itables import options, to_html_datatable
from itables.javascript import generate_init_offline_itables_html

from reports import labels
from reports.data import NUMBERS, SIZE, Frame

FILTERS = ("library", "measure", "method", "problem", "noise", "device", "size", "status")
_NAMES = {"implementation": "library", "noise_type": "noise", "brownian": "Brownian motion"}
_FIRST = ("library", "measure", "value", "unit", "method", "adjoint", "problem", "noise", "size", "dt", "steps")
_MORE = ("device", "Brownian motion", "access", "noise_source", "compiled", "dtype", "rtol", "low", "high", "status")
_LAST = ("reason", "framework", "version", "machine", "threads", "tool", "commit", "time")
COLUMNS = (*_FIRST, *_MORE, *_LAST)


def markup(frame: Frame) -> str:
    """The table with all that it needs: its script and style, and the rows."""
    filters = _places(FILTERS)
    options.display_logo_when_loading = False
    return generate_init_offline_itables_html(options.dt_bundle) + to_html_datatable(
        shown(frame),
        table_id="results",
        connected=False,
        maxBytes=0,
        showIndex=False,
        classes="display compact nowrap",
        scrollX=True,
        pageLength=25,
        layout={"top1": "searchPanes"},
        searchPanes={"cascadePanes": True, "initCollapsed": True, "viewTotal": True, "columns": filters},
        columnDefs=[{"searchPanes": {"show": True}, "targets": filters}],
    )


def _places(columns: Sequence[str]) -> list[int]:
    return [COLUMNS.index(column) for column in columns]


def shown(frame: Frame) -> Frame:
    """The rows with the columns of the table, each cell in words; the size in one."""
    text: Any = pd.DataFrame({c: frame[c].map(_number) if c in NUMBERS else frame[c] for c in frame}, dtype=object)
    text["size"] = [labels.work(row, SIZE) for row in frame[[*SIZE, "noise_type"]].to_dict("records")]
    text["commit"] = frame["commit"].str[:8]
    return text.rename(columns=_NAMES)[list(COLUMNS)].reset_index(drop=True)


def _number(value: float) -> str:
    return "" if value != value else f"{value:.6g}"
