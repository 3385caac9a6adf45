"""What the networks of neural SDEs have in common in both frameworks: constants, and what their data must look like."""

LIPSWISH = 0.909  # times x sigmoid(x), whose slope is at most 1.0998: 1-Lipschitz

_BOUNDED_BY = {"inf": -1, "one": -2}  # the axis of a matrix [outputs, inputs] whose length counts


def largest_entry(shape: tuple[int, ...], norm: str) -> float:
    """What the entries of a matrix [outputs, inputs] may be at most, so that its operator norm is at most 1.

    The infinity norm is the largest sum over a row of inputs, the 1-norm the largest sum over a column of outputs.
    ValueError for another norm.
    """
    if norm not in _BOUNDED_BY:
        raise ValueError(f'norm must be "inf" or "one", got {norm!r}; "inf" bounds the entries by 1/inputs.')
    return 1 / shape[_BOUNDED_BY[norm]]


def check_sizes(**sizes: object) -> None:
    """ValueError unless all are positive integers."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a positive integer, got {size!r}; pass e.g. {name}=16.")


def check_series_shapes(
    ts: tuple[int, ...], ys: tuple[int, ...], mask: tuple[int, ...] | None, channels: int, masked: bool
) -> None:
    """ValueError unless these shapes are those of series: ts [times] or [times, *paths], ys [times, *paths, channels],
    and a mask like ys where `masked`.
    """
    if len(ys) < 2 or ys[0] < 2 or ys[-1] != channels:
        raise ValueError(
            f"ys must be [times, *paths, channels] with two times or more and {channels} channels, got shape {ys}; "
            "series of unequal length are padded at the end, and the padding masked."
        )
    if ts not in (ys[:1], ys[:-1]):
        raise ValueError(f"ts must be [times] or [times, *paths], so {ys[:1]} or {ys[:-1]}, got shape {ts}.")
    if masked != (mask is not None):
        given, remedy = ("no mask", "pass one") if masked else ("a mask", "make the module with masked=True")
        raise ValueError(f"masked={masked}, but there is {given}; {remedy}, or leave it out of both.")
    if mask not in (None, ys):
        raise ValueError(f"mask must be like ys, {ys}, True where a value was observed, got shape {mask}.")
