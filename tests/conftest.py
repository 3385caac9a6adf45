"""Compiled JAX programs are kept in .pytest_cache: one process compiles a program, all others read it."""

import os
from pathlib import Path

# Before JAX is imported. With a bound on the size, JAX locks the folder, so that no process reads what another writes.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache/d/xla"))
os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**31))  # bytes
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=3, help="how often the bench is killed in test_store (long: 100)")
