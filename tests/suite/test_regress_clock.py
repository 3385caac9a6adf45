"""A process's own time: what it computes and sleeps, and nothing of what others have of its core."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suite.regress import clock

SLEEP = 0.1


def took(work):
    """(seconds of the clock, seconds computed, seconds on the wall)"""
    computed, wall, begin = time.process_time(), time.perf_counter(), clock.begin()
    work()
    return clock.seconds_since(begin), time.process_time() - computed, time.perf_counter() - wall


def compute():
    end = time.process_time() + SLEEP
    while time.process_time() < end:
        pass


@pytest.fixture
def crowd():
    """Two other programs on the one core of this process."""
    if not hasattr(os, "sched_setaffinity") or not Path("/proc/self/schedstat").exists():
        pytest.skip("needs Linux, which tells for how long a thread has waited for a core")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, [min(before)])
    others = [subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=-1) for _ in "ab"]
    for other in others:
        other.stdout.readline()
    yield
    for other in others:
        other.kill()
        other.communicate()
    os.sched_setaffinity(0, before)


def test_what_others_compute_does_not_count(crowd):
    seconds, computed, wall = took(compute)
    assert seconds == pytest.approx(computed, rel=0.1)
    assert wall > 1.5 * seconds


def test_a_sleep_counts(crowd):
    seconds, computed, _ = took(lambda: (time.sleep(SLEEP), compute()))
    assert seconds == pytest.approx(computed + SLEEP, rel=0.1)


def test_alone_it_is_the_clock_on_the_wall():
    moment = clock.Moment(1.0, 1.0, 1.0, 1.0, 1.0)
    later = clock.Moment(3.0, 1.5, 1.5, 1.0, 1.0)  # half a second computed, one and a half slept
    assert clock.between(moment, later) == 2.0
    assert clock.between(moment, later._replace(computed=3.0)) == 2.0  # another thread computed meanwhile
    assert clock.between(moment, later._replace(queued_elsewhere=2.5)) == 0.5  # or had no core
