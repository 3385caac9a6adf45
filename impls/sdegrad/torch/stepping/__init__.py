"""The steps of a solve: their times, lengths and increments."""
