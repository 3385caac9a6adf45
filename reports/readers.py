"""Results files, and results of other tools in the schema of `suite.results`: read and checked, or refused.

asv keeps for each commit a JSON of numbers by benchmark, and one `benchmarks.json` with the parameter names,
which each run rewrites; a benchmark that it no longer describes cannot be read and is left out.
"""

import ast
import itertools
import json
import math
import statistics
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports import checks
from suite import results
from suite.asv_cases import WORKS
from suite.results import ResultsError
from suite.statistics import median

# How a benchmark's name begins -> what ends the name of its measure: time_solve -> solve_time.
PREFIXES = {"time_": "_time", "timeraw_": "_time", "mem_": "_memory", "track_": ""}
SIZE = ("batch", "dim", "hidden")  # of the parameter `size`, e.g. "128x16x32"
ROUNDS = 6  # the fewest from which a median has an interval of 95 %


def from_results(file: Path) -> list[results.Row]:
    """All rows, each cell plain. ResultsError for a file that cannot be read, or a cell that cannot be shown."""
    if file.exists():  # else `results.read` says what to do
        checks.text(file)
    return checks.checked(results.read(file), file)


def from_asv(results_dir: Path) -> list[results.Row]:
    """Rows of all machines and commits below `.asv/results`. Times have asv's 99 % intervals.

    Parameters that are columns of the schema fill them; others are told with the problem. ResultsError for a
    directory without results, JSON of another form, or a benchmark whose name is no measure.
    """
    described = _json(results_dir / "benchmarks.json", "run asv first")
    files = sorted(f for f in results_dir.glob("*/*.json") if f.name != "machine.json")
    return [row for file in files for row in _asv_commit(_json(file, "delete it and run asv again"), described, file)]


def _asv_commit(run: Mapping[str, Any], described: Mapping[str, Any], file: Path) -> list[results.Row]:
    machine, commit = _get(run, "params", dict, file), _get(run, "commit_hash", str, file)
    try:
        time = datetime.fromtimestamp(_get(run, "date", (int, float), file) / 1000, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise ResultsError(f"{file}: date is {run['date']!r}, expected milliseconds since 1970; delete it.") from None
    context = {
        "run": f"asv-{commit[:8]}",
        "time": time,
        "commit": commit,
        "dirty": False,
        "machine": machine.get("cpu") or machine.get("machine"),
        "device": "cpu",
        "threads": _get(run, "env_vars", dict, file, {}).get("OMP_NUM_THREADS", ""),
        "tool": "asv",
        "version": commit[:8],
    }
    columns = _get(run, "result_columns", list, file)
    rows: list[results.Row] = []
    names: list[str] = []
    for name, entry in _get(run, "results", dict, file).items():
        if name in described:
            where = f"{file}, {name}"
            stored = dict(zip(columns, _is(entry, list, where, "the result"), strict=False))
            rows += _asv_benchmark(name, stored, _get(described, name, dict, where), context, where)
            names += [name] * (len(rows) - len(names))
    return checks.checked(rows, file, names.__getitem__)


def _asv_benchmark(
    name: str, stored: Mapping[str, Any], described: Mapping[str, Any], context: Mapping[str, Any], where: str
) -> Iterator[results.Row]:
    measure = _measure(name)
    axes = [_is(axis, list, where, "a parameter") for axis in _get(stored, "params", list, where, [])]
    names = [_is(n, str, where, "the name of a parameter") for n in _get(described, "param_names", list, where)]
    number = math.prod(map(len, axes))
    keys = ("result", "stats_ci_99_a", "stats_ci_99_b")
    found = [_get(stored, k, list, where, None) or itertools.repeat(None, number) for k in keys]
    sizes = {len(f) for f in found if isinstance(f, list)}
    if sizes - {number} or len(names) != len(axes):
        raise ResultsError(
            f"{where}: {sizes or len(axes)} results for parameters {names} of {number} combinations, expected one for "
            "each; delete the file and run asv again."
        )
    for parameters, value, low, high in zip(itertools.product(*axes), *found, strict=True):
        given = dict(zip(names, map(_literal, parameters), strict=True))
        given |= dict(zip(SIZE, str(given.pop("size", "")).split("x"), strict=False))
        given |= _of_case(given.pop("work")) if given.get("work") in WORKS else {}
        work = {c: v for c, v in given.items() if c in results.COLUMNS}
        rest = [f"{c}={v}" for c, v in given.items() if c not in results.COLUMNS]
        if not work.get("access"):  # rows of Brownian motion alone have no problem
            work["problem"] = ", ".join([str(work.get("problem") or name.rpartition(".")[0]), *rest])
        row = {"measure": measure, "unit": results.MEASURES[measure]}
        if value is not None and not math.isnan(_is(value, (int, float), where, "a result")):
            row |= {"status": "ok", "value": value, "low": low, "high": high}
        else:
            row |= {
                "status": "failed" if value is None else "skipped",
                "reason": "asv keeps no reason; its log has it.",
            }
        yield results.row(**{**context, "problem_version": described.get("version", ""), **work, **row})


def _of_case(words: str) -> dict[str, Any]:
    """The columns that a case of the bench fixes, by its words; at the one step size of a time."""
    case = WORKS[words]
    found = {"method": case.method, "access": case.access, "dtype": case.dtype, "seed": case.seed}
    found |= {"problem": case.problem, "compiled": "compiled" if case.compiled else None}
    if not case.problem:
        found |= {"batch": case.sizes["paths"], "steps": round(case.t1 / case.dts[0])}
    else:
        problem = case.make()
        found |= {"noise_type": problem.noise_type, "batch": len(problem.y0), "dim": problem.y0.shape[1]}
        found |= {"noise_dim": problem.noise_dim, "hidden": problem.hidden, "outputs": case.outputs}
        found |= {"noise_source": case.noise_source}
    if case.kind == "time":
        found |= {"dt": case.dts[0], "steps": round(case.t1 / case.dts[0])}
    return found


def _measure(name: str) -> str:
    short = name.rpartition(".")[2]
    for prefix, suffix in PREFIXES.items():
        measure = short.removeprefix(prefix) + suffix
        if short.startswith(prefix) and measure in results.MEASURES:
            return measure
    raise ResultsError(
        f"the benchmark {checks.plain(name)} is no known measure; name it after one, as time_solve or "
        f"track_gradient_error ({', '.join(results.MEASURES)})."
    )


def _literal(text: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def from_pytest_benchmark(file: Path) -> list[results.Row]:
    """Rows of a `--benchmark-json` file: medians of the rounds, with 95 % intervals from six rounds on.

    `extra_info` of each benchmark may hold measures by their names, each of which becomes a row; it holds
    `implementation` and columns of the schema; `measure` too, unless it is gradient_time (with an adjoint) or
    solve_time (without). ResultsError for a file of another form.
    """
    run = _json(file, "run pytest with --benchmark-json first")
    if "benchmarks" not in run:
        raise ResultsError(f"{file} has no benchmarks; name a file written by --benchmark-json.")
    commit, machine = (_get(run, k, dict, file, {}) for k in ("commit_info", "machine_info"))
    context = {
        "run": f"pytest-{run.get('datetime', '')}",
        "time": run.get("datetime", ""),
        "commit": commit.get("id") or "",
        "dirty": commit.get("dirty", ""),
        "machine": _get(machine, "cpu", dict, file, {}).get("brand_raw") or machine.get("node", ""),
        "device": "cpu",
        "tool": "pytest-benchmark",
    }
    benchmarks = [_is(b, dict, str(file), "a benchmark") for b in _get(run, "benchmarks", list, file)]
    names = [_get(b, "name", str, file) for b in benchmarks]
    found = [_pytest_rows(b, context, f"{file}, {name}") for b, name in zip(benchmarks, names, strict=True)]
    places = [name for name, rows in zip(names, found, strict=True) for _ in rows]
    return checks.checked([row for rows in found for row in rows], file, places.__getitem__)


def _pytest_rows(benchmark: Mapping[str, Any], context: Mapping[str, Any], where: str) -> list[results.Row]:
    """The row of the time, and one of each measure that stands beside it in extra_info."""
    given = _get(benchmark, "extra_info", dict, where)
    beside = [
        results.row(**{**context, **{c: v for c, v in given.items() if c in results.COLUMNS}, "measure": m, "value": v})
        | {"unit": results.MEASURES[m], "status": "ok"}
        | ({"noise_source": "given"} if m == "gradient_error" else {})
        for m, v in given.items()
        if m in results.MEASURES
    ]
    return [_pytest_row(benchmark, context, where), *beside]


def _pytest_row(benchmark: Mapping[str, Any], context: Mapping[str, Any], where: str) -> results.Row:
    given = {c: v for c, v in _get(benchmark, "extra_info", dict, where).items() if c in results.COLUMNS}
    name, measure = given.get("implementation"), given.get("measure")
    measure = measure or ("gradient_time" if given.get("adjoint") else "solve_time")
    if not name or measure not in list(results.MEASURES):
        raise ResultsError(
            f"{where}: extra_info has implementation {name!r} and measure {measure!r}; "
            f"set both, the measure to one of {', '.join(results.MEASURES)}."
        )
    times = [
        _is(t, (int, float), where, "a time")
        for t in _get(_get(benchmark, "stats", dict, where), "data", list, where, [])
    ]
    if not times:
        raise ResultsError(f"{where}: stats.data has no times, expected one for each round; run the benchmark again.")
    enough = len(times) >= ROUNDS
    value, low, high = median(times) if enough else (statistics.median(times), None, None)
    found = {"measure": measure, "value": float(value), "low": low, "high": high, "status": "ok"}
    return results.row(**{**context, **given, **found, "unit": results.MEASURES[measure]})


_KINDS = {dict: "an object", list: "a list", str: "a text", (int, float): "a number"}
_REQUIRED = object()


def _get(of: Mapping[str, Any], name: str, kind: Any, where: object, default: Any = _REQUIRED) -> Any:
    """The member of a JSON object; the default where it is missing or null. ResultsError for one of another kind."""
    value = of.get(name)
    return default if value is None and default is not _REQUIRED else _is(value, kind, where, name)


def _is(value: Any, kind: Any, where: object, what: str) -> Any:
    if isinstance(value, kind):
        return value
    found = "missing" if value is None else f"{value!r:.60}"
    raise ResultsError(
        checks.plain(f"{where}: {what} is {found}, expected {_KINDS[kind]}; delete the file and run the tool again.")
    )


def _json(file: Path, remedy: str) -> dict[str, Any]:
    if not file.is_file():
        raise ResultsError(f"no {file}; {remedy}.")
    try:
        found = json.loads(checks.text(file))
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{file} is not JSON ({error}); {remedy}.") from None
    return _is(found, dict, file, "the whole")
