"""Compiled JAX programs are kept in .pytest_cache: a program is compiled by one process, once, and read by the others."""

import os


def pytest_configure(config):
    """Before JAX is imported, here or in a process that a test starts. `--cache-clear` deletes what is kept.

    With a bound on the size, JAX locks the folder, so that no process reads what another one is writing.
    """
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(config.cache.mkdir("xla")))
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(2**31))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
