"""What a run says at its end of the rows that have no value."""

from collections.abc import Collection, Iterator

from suite.store import Store


def unmeasured(store: Store, names: Collection[str]) -> Iterator[str]:
    """What is to be known of the rows of these implementations that have no value."""
    rows = [row for row in store.table() if row["implementation"] in names]
    failed = sum(row["status"] == "failed" for row in rows)
    if failed:
        yield (
            f"Failed: {failed} of {len(rows)} rows. The reasons stand in results.csv, tracebacks in printed.txt; with "
            "--retry these are measured again."
        )
    for name in sorted(names):
        skipped = [row["reason"] for row in rows if row["implementation"] == name and row["status"] == "skipped"]
        if skipped and len(skipped) == sum(row["implementation"] == name for row in rows):
            yield f"{name} was measured at nothing: {skipped[0]}"


def without_value(store: Store, names: Collection[str]) -> list[str]:
    """Those of these implementations that have no row with a value."""
    found: dict[str, set[str]] = {name: set() for name in names}
    for row in store.table():
        found.get(row["implementation"], set()).add(row["status"])
    return sorted(name for name, statuses in found.items() if "ok" not in statuses)
