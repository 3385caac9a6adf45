"""What is left out of a sweep, by rule, with the reason as a sentence: it would take too long, or too much memory.

Judged by what the work before it took, since memory and time grow at most as the work does.
"""

from pathlib import Path

CALL = 60.0  # seconds that one call may take; watched by every allocator it takes three times as long
SHARE = 0.5  # of the memory that is free


def too_long(seconds: float, times: float) -> str | None:
    """Why work is left out that is `times` that of a call of so many seconds; None if it is not."""
    if seconds * times <= CALL:
        return None
    return (
        f"a call would take about {seconds * times:.0f} s, by the {seconds:.2g} s of one with 1/{times:g} of the work; "
        f"at most {CALL:.0f} s are spent on one."
    )


def too_much(bytes_: float, device: str) -> str | None:
    """Why work is left out that needs so much memory; None if it is not. A GPU says so itself."""
    free = free_memory()
    if device != "cpu" or bytes_ <= SHARE * free:
        return None
    need, most = bytes_ / 2**30, SHARE * free / 2**30
    return f"a call would need about {need:.1f} GiB; at most {most:.1f} GiB are used here, half of what is free."


def free_memory() -> float:
    """Bytes of main memory that are free, infinite where nobody tells."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return float("inf")
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), float("inf"))
