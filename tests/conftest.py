"""Compiled JAX programs are kept in .pytest_cache: one process compiles a program, all others, and the next run, read
it. JAX does not keep those that call back into Python, as `eqx.error_if` does: hence `kept`.

To check the annotations of each call takes longer than the calls of PyTorch. They are checked in the first case of each
test, and with --all in every one.
"""

import os
from fnmatch import fnmatchcase
from pathlib import Path

import jaxtyping
import pytest

# Before JAX is imported. With a bound on the size, JAX locks the folder, so that no process reads what another writes.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache/d/xla"))
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**31))  # bytes
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: a second thread of one would stop another
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def kept():
    """JAX keeps the programs of the test. For tests that NaN fails, since it is what errors at run time become."""
    from tests.costs import programs_kept

    with programs_kept():
        yield


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="the tests marked exhaustive as well")
    parser.addoption("--plants", action="store_true", help="all planted regressions, and the three tools side by side")
    parser.addoption("--kills", type=int, default=3, help="how often the bench is killed in test_store (long: 100)")


ANNOTATED = pytest.StashKey[bool]()  # of a test: whether annotations are checked while it runs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", not item.stash.get(ANNOTATED, True))
    try:
        return (yield)
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def pytest_collection_modifyitems(config, items):
    """What compiles most comes first, so that processes end together. Without --all, what is marked exhaustive is left
    out, unless a test is named by itself or by its mark, and annotations are checked in first cases alone."""
    items.sort(key=lambda item: not item.nodeid.startswith(("tests/jax", "tests/suite")))
    if config.option.all or "exhaustive" in config.option.markexpr or any("::" in name for name in config.args):
        return
    kept, waits, unmet, seen = [], [], {}, set()
    for item in items:
        mark = item.get_closest_marker("exhaustive")
        if mark is None:
            kept.append(item)
            continue
        names = mark.kwargs.get("but", ())
        stands = [name for name in names if fnmatchcase(item.callspec.id, name)]
        (kept if stands else waits).append(item)
        left = unmet.setdefault(item.nodeid.split("[")[0], set(names))
        left -= set(stands)
    if wrong := [(test, left) for test, left in unmet.items() if left]:
        raise pytest.UsageError(f"marked exhaustive but for combinations that are not there: {wrong}")
    for item in kept:
        test = item.nodeid.split("[")[0]
        item.stash[ANNOTATED] = test not in seen
        seen.add(test)
    config.hook.pytest_deselected(items=waits)
    items[:] = kept
