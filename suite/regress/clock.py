"""The time that a process takes, whatever else runs on the machine: the seconds that its threads compute, and those in
which it waits for anything but a core (a lock, a disk, a sleep).

Wall-clock less the time for which the kernel let others run, which Linux tells for each thread. Where it does not, a
wait for a core counts too.
"""

import threading
import time
from pathlib import Path
from typing import NamedTuple

_TASKS = Path("/proc/self/task")


class Moment(NamedTuple):
    """Seconds since some beginning: of the clock on the wall; computed by all threads, and by this one; for which this
    one, and the others in sum, were ready and had no core."""

    wall: float
    computed: float
    computed_here: float
    queued_here: float
    queued_elsewhere: float


def begin() -> Moment:
    queued = _queued()
    return Moment(*_clocks(), *queued)


def seconds_since(start: Moment) -> float:
    """What the process took since; to be asked from the same thread. To read the queues takes no part of it."""
    clocks = _clocks()
    return between(start, Moment(*clocks, *_queued()))


def between(start: Moment, end: Moment) -> float:
    """What the process took. While it waits for others of its threads, what they compute, or wait for a core, is no
    wait of the process."""
    wall, computed, here, queued_here, queued_elsewhere = (b - a for a, b in zip(start, end, strict=True))
    waited = wall - here - queued_here
    # a thread that has ended takes its figure with it
    return computed + max(0.0, waited - (computed - here) - max(0.0, queued_elsewhere))


def _clocks() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), time.thread_time()


def _queued() -> tuple[float, float]:
    """Seconds that this thread, and all others, have waited for a core; zeros where the kernel does not tell."""
    mine, here, elsewhere = str(threading.get_native_id()), 0.0, 0.0
    for task in _TASKS.iterdir() if _TASKS.exists() else ():
        try:
            queued = int((task / "schedstat").read_text().split()[1]) / 1e9
        except (OSError, IndexError):  # the thread has ended, or the kernel keeps no such figures
            continue
        if task.name == mine:
            here = queued
        else:
            elsewhere += queued
    return here, elsewhere
