"""Numbers and work in words, the same in tables, figures and captions."""

import math
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from reports.data import Frame

_NAMES = {"reversible_heun": "reversible Heun", "heun": "Heun", "euler": "Euler", "euler_heun": "Euler-Heun"}
_NAMES |= {"mccallum_foster": "McCallum-Foster", "ees25": "EES25", "ees27": "EES27", "milstein": "Milstein"}
_PREFIXES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
}


def say(text: str, stream: TextIO | None = None) -> None:
    """Print it, also where the terminal cannot: what its encoding lacks is written out, as \\xd7 for the times sign."""
    encoding = (stream or sys.stdout).encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)


# What Markdown, HTML or a forge would make more of than text: tags, code, emphasis, links, formulas, mentions.
_MARKED = re.compile(r"[&<>|*`~$\\@]|(?<![^\W_])_|_(?![^\W_])|(?<=\])[(\[:]|:(?=//)|(?<=www)\.|#(?=\d)")


def markdown(text: str) -> str:
    """The text as Markdown that shows it as it is, in a cell of a table too."""
    return _MARKED.sub(lambda found: f"&#{ord(found[0])};", text)


def file_name(name: str) -> str:
    """A name that every file system takes, of letters, digits and `_.=-`, at most 100 of them."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", name)[:100]


def method(name: str) -> str:
    return _NAMES.get(name, name.replace("_", " "))


def problem(name: str, network: bool) -> str:
    return name if not network else "neural SDE" if name == "neural" else f"neural SDE {name}"


def scale(value: float, unit: str) -> tuple[float, str]:
    """The divisor and the unit in which `value` reads best: (0.001, "ms") for 0.0123 s."""
    prefixes = _PREFIXES.get(unit, ((1.0, ""),))
    return next((p for p in prefixes if abs(value) >= p[0]), prefixes[-1])


def number(value: float) -> str:
    """Three significant digits; two and an exponent below 0.001 and from 100000 on."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if not 1e-3 <= abs(value) < 1e5:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e")
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def quantity(value: float, unit: str, low: float = math.nan, high: float = math.nan) -> str:
    """Value and interval in one unit: "12.3 ms [12.1, 12.6]"; without the interval where there is none."""
    divisor, name = scale(value, unit)
    text = f"{number(value / divisor)} {name}".rstrip()
    return text + interval(low / divisor, high / divisor)


def interval(low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f" [{number(low)}, {number(high)}]"


def step_size(dt: float) -> str:
    """A power of two as such, else the number."""
    power = math.log2(dt)
    return f"2^{power:.0f}" if power == round(power) and abs(power) > 2 else f"{dt:g}"


def brownian(kind: str) -> str:
    return {"interval": "Brownian Interval", "tree": "Virtual Brownian Tree"}.get(kind, kind)


def work(row: Mapping[str, Any], columns: Iterable[str]) -> str:
    """These columns of a row in words: "neural SDE mlp, Heun, batch 128, dim 16, 100 steps of 0.01"."""
    # Diagonal noise is the common case: it goes without saying, and so does its dimension.
    unsaid = ("noise_type", "noise_dim") if row.get("noise_type") == "diagonal" else ()
    given = {c: row[c] for c in columns if _given(row[c]) and c not in unsaid}
    if "rtol" in given:  # dt is but the first of the steps
        given.pop("dt", None)
        given["rtol"] = f"adaptive, rtol {plain(given['rtol'])}"
    if {"dt", "steps"} <= given.keys():
        steps = given.pop("steps")
        given["dt"] = f"{plain(steps)} step{'s' if steps != 1 else ''} of {step_size(given['dt'])}"
    say = {
        "problem": lambda v: problem(v, _given(row.get("hidden"))),
        "method": method,
        "access": lambda v: v.replace("_", " "),
        "adjoint": lambda v: f"{v} adjoint",
        "brownian": brownian,
        "noise_type": lambda v: f"{v} noise",
        "noise_source": lambda v: " ".join((v.partition(", ")[0], "noise", v.partition(", ")[2])).rstrip(),
        "dtype": str,
        "compiled": str,
        "dt": lambda v: v if isinstance(v, str) else f"dt {step_size(v)}",
        "steps": lambda v: f"{plain(v)} steps",
        "rtol": str,
    }
    return ", ".join(say[c](v) if c in say else f"{c.replace('_', ' ')} {plain(v)}" for c, v in given.items())


def place(frame: Frame) -> str:
    """Where and when the rows of one setting were measured: machine, device, threads, the last date, all commits."""
    last = frame.iloc[frame["time"].argmax()]
    threads = f", {last['threads']:.0f} thread{'s' if last['threads'] != 1 else ''}" if _given(last["threads"]) else ""
    built = frame.sort_values("time")[["commit", "dirty"]].drop_duplicates().itertuples(index=False)
    commits = [commit[:8] + " with changes" * (dirty in ("True", "true", "1")) for commit, dirty in built]
    commit = f"commit{'s' if len(commits) > 1 else ''} {' and '.join(commits)}"
    return f"{last['machine']}, {last['device']}{threads}, {last['time'][:10]}, {commit}"


def _given(value: Any) -> bool:
    return value is not None and value != "" and value != 0 and value == value


def plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
