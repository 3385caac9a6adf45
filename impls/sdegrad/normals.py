"""Normal numbers that are the same on every device and in both frameworks, bit for bit: how they are made.

Random bits are those of Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw, SC 2011), exclusive or of the two
words. The first of the 32 bits is the sign, and the rest, v, tells the probability of the tail, p = (v + 1/2) / 2^32.
The quantile of p is read from a table of straight pieces, 1024 for each power of two: an entry, and a slope times a
whole number. Slopes have 12 bits, and so have the numbers, hence their product is exact, and the sum is rounded once,
whether or not a compiler fuses the two: so all floating-point numbers here are what IEEE 754 says, on any device.
"""

from functools import cache

import numpy as np

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
PIECES = 1024  # of one power of two
STEPS = 4096  # on a piece
_POWERS = 32

# Wichura (1988), Applied Statistics 37, algorithm AS 241: numerators and denominators, the highest power first.
# fmt: off
_CENTRE = (
    (
        2509.0809287301226727,
        33430.575583588128105,
        67265.770927008700853,
        45921.953931549871457,
        13731.693765509461125,
        1971.5909503065514427,
        133.14166789178437745,
        3.3871328727963666080,
    ),
    (
        5226.4952788528545610,
        28729.085735721942674,
        39307.895800092710610,
        21213.794301586595867,
        5394.1960214247511077,
        687.18700749205790830,
        42.313330701600911252,
        1.0,
    ),
)
_TAIL = (
    (
        7.74545014278341407640e-4,
        0.0227238449892691845833,
        0.241780725177450611770,
        1.27045825245236838258,
        3.64784832476320460504,
        5.76949722146069140550,
        4.63033784615654529590,
        1.42343711074968357734,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        0.0151986665636164571966,
        0.148103976427480074590,
        0.689767334985100004550,
        1.67638483018380384940,
        2.05319162663775882187,
        1.0,
    ),
)
_FURTHER = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        0.00124266094738807843860,
        0.0265321895265761230930,
        0.296560571828504891230,
        1.78482653991729133580,
        5.46378491116411436990,
        6.65790464350110377720,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        0.0148753612908506148525,
        0.136929880922735805310,
        0.599832206555887937690,
        1.0,
    ),
)
# fmt: on
_FAR = 5.0  # the tail ends here, in square roots of -log p


@cache
def table() -> tuple[np.ndarray, np.ndarray]:
    """Entries and slopes, float32 [32 * 1024] each: piece i of power l is number l * 1024 + i, where
    2 v + 1 = 2^l (1 + (i + rest / 4096) / 1024)."""
    power, piece = np.arange(_POWERS, dtype=np.float64), np.arange(PIECES + 1, dtype=np.float64)
    p = np.exp2(power - 33)[:, None] * (1 + piece / PIECES)
    quantiles = quantile(p)
    entries = quantiles[:, :-1].astype(np.float32)
    mantissa, exponent = np.frexp(np.diff(quantiles) / STEPS)
    slopes = np.ldexp(np.round(mantissa * STEPS) / STEPS, exponent).astype(np.float32)
    return entries.ravel(), slopes.ravel()


def quantile(p: np.ndarray) -> np.ndarray:
    """The number below which a standard normal one is with probability p, for p from 2^-34 to 1/2; to 1e-15."""
    q = p - 0.5
    centre = 0.180625 - q * q
    root = np.sqrt(-_log(p))
    tail = root - 1.6
    far = root > _FAR
    ratio = np.where(far, _ratio(_FURTHER, root - _FAR), _ratio(_TAIL, tail))
    return np.where(np.abs(q) <= 0.425, q * _ratio(_CENTRE, centre), -ratio)


def _ratio(of: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    above, below = (_horner(coefficients, x) for coefficients in of)
    return above / below


def _horner(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    total = np.zeros_like(x)
    for coefficient in coefficients:
        total = total * x + coefficient
    return total


def _log(x: np.ndarray) -> np.ndarray:
    """The logarithm, from products and sums alone: those of libraries differ in their last bits."""
    mantissa, exponent = np.frexp(x)
    s = (mantissa - 1) / (mantissa + 1)
    series = _horner(tuple(1 / k for k in range(41, 0, -2)), s * s)
    return exponent * 0.6931471805599453 + 2 * s * series


def threefry(key: tuple[int, int], high: int, low: int) -> tuple[int, int]:
    """The two random words of counter (high, low), as Python numbers."""
    keys, mask = (*key, key[0] ^ key[1] ^ PARITY), 2**32 - 1
    a, b = high + keys[0] & mask, low + keys[1] & mask
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            a = a + b & mask
            b = (b << rotation & mask | b >> (32 - rotation)) ^ a
        a = a + keys[(group + 1) % 3] & mask
        b = b + keys[(group + 2) % 3] + group + 1 & mask
    return a, b
