"""Synthetic results, for these tests only: rows as the bench writes them, of four implementations."""

import math
from itertools import product
from typing import Any

import numpy as np

from suite import results

FRAMEWORKS = {
    "sdegrad_torch": ("0.1.0", "torch 2.13.0"),
    "torchsde": ("0.2.6", "torch 2.13.0"),
    "sdegrad_jax": ("0.1.0", "jax 0.10.2"),
    "diffrax": ("0.7.2", "jax 0.10.2"),
}
METHODS = ("midpoint", "heun", "reversible_heun")
SIZES = ((1, 8, 8), (128, 16, 32), (2560, 32, 64), (32768, 16, 16))
DTS = tuple(2.0**-k for k in range(11))
SPEED = {"sdegrad_torch": 1.0, "torchsde": 3.6, "sdegrad_jax": 0.12, "diffrax": 0.31}
MLP = {"problem": "mlp", "noise_type": "diagonal", "noise_source": "own", "dtype": "float32", "outputs": 2}
NEURAL = {
    **{
        "problem": "neural",
        "noise_type": "general",
        "noise_source": "given",
        "dtype": "float64",
        "outputs": 2,
    },
    **{"batch": 32, "dim": 32, "noise_dim": 16, "hidden": 8},
}
GBM = NEURAL | {
    "problem": "gbm",
    "noise_type": "diagonal",
    "batch": 4096,
    "dim": 1,
    "noise_dim": 1,
    "hidden": 0,
}


def row(implementation, measure, value=None, spread: float = 0.0, **columns):
    """One row of the synthetic bench; the interval is value (1 -+ spread)."""
    version, framework = FRAMEWORKS.get(implementation, ("1.0", "numpy 2"))
    given = {
        "schema": results.SCHEMA,
        "run": "r1",
        "time": "2026-01-02T03:04:05+00:00",
        "commit": "0123456789abcdef",
    }
    given |= {
        "dirty": False,
        "machine": "Processor X, 2 cores, 8 GiB, Linux x86_64",
        "device": "cpu",
        "threads": 2,
    }
    given |= {"tool": "harness", "implementation": implementation, "version": version, "framework": framework}
    given |= {
        "seed": 0,
        "measure": measure,
        "unit": results.MEASURES[measure],
        "status": "ok",
        "value": value,
    }
    if spread and value is not None:
        given |= {"low": value * (1 - spread), "high": value * (1 + spread)}
    given |= columns
    given.pop("schema")
    return results.row(**given)


def exact(name):
    return "checkpoint" if name == "diffrax" else "reversible"


def best(name, method):
    return "reversible" if method == "reversible_heun" and name != "diffrax" else "backsolve"


def _evaluations(method):
    return 1.0 if method == "reversible_heun" else 2.0


def _times(name, noise):
    for (batch, dim, hidden), dt in product(SIZES, (0.01, 1.0)):
        if dt == 1.0 and batch != 128:
            continue
        work = MLP | {
            "method": "reversible_heun",
            "batch": batch,
            "dim": dim,
            "noise_dim": dim,
            "hidden": hidden,
        }
        work |= {"dt": dt, "steps": 100}
        base = (0.01 + 2e-7 * batch * dim * hidden) * SPEED[name] * noise()
        for measure, factor, how in (("solve_time", 1, ""), ("gradient_time", 3, exact(name))):
            yield row(name, "compile_time", 2.0, **work, adjoint=how)
            yield row(name, measure, base * factor, 0.02, **work, adjoint=how, samples=60)
            if not name.startswith("sdegrad"):
                yield row(name, f"{measure}_ratio", 3.0 * noise(), 0.04, **work, adjoint=how, samples=60)
        if batch == 128 and dt < 1:
            for steps in (10, 32, 100, 320, 1000):
                grows = 1 if exact(name) == "reversible" else steps**0.5
                sized = work | {"dt": 1 / steps, "steps": steps, "adjoint": exact(name)}
                yield row(name, "gradient_memory", 2e5 * grows * noise(), **sized)


def _counts(name, method, how, **work):
    for field in ("drift", "diffusion"):
        yield row(name, f"nfe_{field}", (2 if how else 1) * _evaluations(method), **work, method=method, adjoint=how)
        if how:
            yield row(name, f"nfe_{field}_vjp", _evaluations(method), **work, method=method, adjoint=how)


def _accuracy(name, method, noise):
    how = best(name, method)
    for dt in DTS:
        steps = {"method": method, "dt": dt, "steps": round(1 / dt)}
        seconds = 2e-4 / dt * SPEED[name] * _evaluations(method)
        error = 3e-2 * dt**0.75 * (0.5 if method == "heun" else 1) * noise() if how == "backsolve" else 3e-16 * noise()
        yield row(
            name,
            "gradient_error",
            0.0 if how != "backsolve" and dt == 1 else error,
            **NEURAL,
            **steps,
            adjoint=how,
        )
        yield row(name, "gradient_time", 3 * seconds * noise(), 0.03, **NEURAL, **steps, adjoint=how)
        if dt < 0.5:
            error = 0.4 * dt * {"midpoint": 1.0, "heun": 0.8, "reversible_heun": 1.5}[method]
            yield row(name, "strong_error", error, 0.06, **GBM, **steps)
            yield row(name, "solve_time", seconds * noise(), 0.03, **GBM, **steps)
    yield row(name, "strong_order", 1.0 * noise(), 0.02, **GBM, method=method)
    yield from _counts(name, method, how, **NEURAL)
    yield from _counts(name, method, "", **GBM)
    yield from _counts(name, method, how, **MLP, batch=4, dim=4, hidden=8)
    yield from _counts(name, method, "", **MLP, batch=4, dim=4, hidden=8)


def bench():
    """All rows: four implementations, three methods, four sizes, eleven step sizes, a skip and a failure."""
    generator = np.random.Generator(np.random.PCG64(0))

    def noise():
        return math.exp(0.1 * generator.standard_normal())

    rows = []
    for name in FRAMEWORKS:
        rows += _times(name, noise)
        for method in METHODS:
            rows += _accuracy(name, method, noise)
        for size in (1, 2560, 32768):
            work = {"access": "doubly_sequential", "batch": size, "steps": 100, "dtype": "float32"}
            work |= {"brownian": "tree" if name == "diffrax" else "interval"}
            rows.append(row(name, "brownian_time", (1e-3 + size * 1e-6) * SPEED[name], 0.05, **work))
            if not name.startswith("sdegrad"):
                rows.append(row(name, "brownian_time_ratio", 4.0, 0.05, **work))
    rows = [r for r in rows if not (r["implementation"] == "diffrax" and r["method"] == "midpoint")]
    reason = "diffrax does not do this."
    skipped: dict[str, Any] = NEURAL | {"method": "midpoint", "status": "skipped", "reason": reason}
    rows.append(row("diffrax", "gradient_error", **skipped))
    failed: dict[str, Any] = MLP | {"method": "reversible_heun", "status": "failed", "reason": "<b>no</b> & never"}
    rows.append(row("torchsde", "solve_memory", **failed))
    return rows
