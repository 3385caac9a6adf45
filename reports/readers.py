"""Results of other tools in the schema of `suite.results`.

asv keeps for each commit a JSON of numbers by benchmark, and one `benchmarks.json` with the parameter names,
which each run rewrites; a benchmark that it no longer describes cannot be read and is left out.
"""

import ast
import csv
import itertools
import json
import math
import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suite import measures, results

# How a benchmark's name begins -> what ends the name of its measure: time_solve -> solve_time.
PREFIXES = {"time_": "_time", "timeraw_": "_time", "mem_": "_memory", "track_": ""}
SIZE = ("batch", "dim", "hidden")  # of the parameter `size`, e.g. "128x16x32"
ROUNDS = 6  # the fewest from which a median has an interval of 95 %


def from_verification(file: Path) -> list[dict[str, str]]:
    """The claims in verification.csv. ResultsError for a file without its columns."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not {"claim", "verdict", "reason"} <= rows[0].keys() or None in rows[-1].values():
        raise results.ResultsError(f"{file} has no claims or is cut off; delete it and run `nox -s verify` again.")
    return rows


def from_asv(results_dir: Path) -> list[dict[str, str]]:
    """Rows of all machines and commits below `.asv/results`. Times have asv's 99 % intervals.

    Parameters that are columns of the schema fill them; others are told with the problem. ResultsError for a
    directory without results, broken JSON, or a benchmark whose name is no measure.
    """
    described = _json(results_dir / "benchmarks.json", "run asv first")
    files = sorted(f for f in results_dir.glob("*/*.json") if f.name != "machine.json")
    return [r for file in files for r in _asv_commit(_json(file, "delete it and run asv again"), described)]


def _asv_commit(run: Mapping[str, Any], described: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    machine = run["params"]
    context = {
        "run": f"asv-{run['commit_hash'][:8]}",
        "time": datetime.fromtimestamp(run["date"] / 1000, UTC).isoformat(),
        "commit": run["commit_hash"],
        "dirty": False,
        "machine": machine.get("cpu") or machine["machine"],
        "device": "cpu",
        "threads": run.get("env_vars", {}).get("OMP_NUM_THREADS", ""),
        "tool": "asv",
        "version": run["commit_hash"][:8],
    }
    for name, entry in run["results"].items():
        if name in described:
            stored = dict(zip(run["result_columns"], entry, strict=False))
            yield from _asv_benchmark(name, stored, described[name], context)


def _asv_benchmark(
    name: str, stored: Mapping[str, Any], described: Mapping, context: Mapping
) -> Iterator[dict[str, str]]:
    measure = _measure(name)
    combinations = list(itertools.product(*(stored.get("params") or [])))
    nothing = [None] * len(combinations)
    values, lows, highs = (stored.get(k) or nothing for k in ("result", "stats_ci_99_a", "stats_ci_99_b"))
    for parameters, value, low, high in zip(combinations, values, lows, highs, strict=True):
        given = dict(zip(described["param_names"], map(_literal, parameters), strict=True))
        given |= dict(zip(SIZE, str(given.pop("size", "")).split("x"), strict=False))
        work = {c: v for c, v in given.items() if c in results.COLUMNS}
        rest = [f"{c}={v}" for c, v in given.items() if c not in results.COLUMNS]
        work["problem"] = ", ".join([str(work.get("problem") or name.rpartition(".")[0]), *rest])
        status = "failed" if value is None else "skipped" if math.isnan(value) else "ok"
        row = {"measure": measure, "unit": results.MEASURES[measure], "status": status}
        if status == "ok":
            row |= {"value": value, "low": low, "high": high}
        else:
            row["reason"] = "asv keeps no reason; its log has it."
        yield results.row(**{**context, "problem_version": described.get("version", ""), **work, **row})


def _measure(name: str) -> str:
    short = name.rpartition(".")[2]
    for prefix, suffix in PREFIXES.items():
        measure = short.removeprefix(prefix) + suffix
        if short.startswith(prefix) and measure in results.MEASURES:
            return measure
    raise results.ResultsError(
        f"the benchmark {name} is no known measure; name it after one, as time_solve or track_gradient_error "
        f"({', '.join(results.MEASURES)})."
    )


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def from_pytest_benchmark(file: Path) -> list[dict[str, str]]:
    """Rows of a `--benchmark-json` file: medians of the rounds, with 95 % intervals from six rounds on.

    `extra_info` of each benchmark holds `implementation` and columns of the schema; `measure` too, unless it
    is gradient_time (with an adjoint) or solve_time (without). ResultsError for a file of another form.
    """
    run = _json(file, "run pytest with --benchmark-json first")
    if "benchmarks" not in run:
        raise results.ResultsError(f"{file} has no benchmarks; name a file written by --benchmark-json.")
    commit, machine = run.get("commit_info", {}), run.get("machine_info", {})
    context = {
        "run": f"pytest-{run.get('datetime', '')}",
        "time": run.get("datetime", ""),
        "commit": commit.get("id") or "",
        "dirty": commit.get("dirty", ""),
        "machine": machine.get("cpu", {}).get("brand_raw") or machine.get("node", ""),
        "device": "cpu",
        "tool": "pytest-benchmark",
    }
    return [_pytest_row(benchmark, context, file) for benchmark in run["benchmarks"]]


def _pytest_row(benchmark: Mapping[str, Any], context: Mapping[str, Any], file: Path) -> dict[str, str]:
    told = {c: v for c, v in benchmark["extra_info"].items() if c in results.COLUMNS}
    name, measure = told.get("implementation"), told.get("measure")
    measure = measure or ("gradient_time" if told.get("adjoint") else "solve_time")
    if not name or measure not in results.MEASURES:
        raise results.ResultsError(
            f"{file}: extra_info of {benchmark['name']} has implementation {name!r} and measure {measure!r}; "
            f"set both, the measure to one of {', '.join(results.MEASURES)}."
        )
    times = benchmark["stats"]["data"]
    enough = len(times) >= ROUNDS
    value, low, high = measures.median(times) if enough else (statistics.median(times), None, None)
    found = {"measure": measure, "value": value, "low": low, "high": high, "status": "ok"}
    return results.row(**{**context, **told, **found, "unit": results.MEASURES[measure]})


def _json(file: Path, remedy: str) -> dict[str, Any]:
    if not file.is_file():
        raise results.ResultsError(f"no {file}; {remedy}.")
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise results.ResultsError(f"{file} is not JSON ({error}); {remedy}.") from None
