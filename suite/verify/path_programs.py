"""Programs that show a failure of a Brownian motion with the library alone, by library and subject.

Each prints what it measured, and exits with 1 if the defect is there and with 0 if not.
"""

from collections.abc import Mapping

from suite.verify.claims import Claim
from suite.verify.intervals import SITUATIONS

_TORCHSDE_AREA = """\
import numpy as np
import torch
import torchsde

# 10^5 Levy areas over one interval: their variance is h^2/4.
bm = torchsde.BrownianInterval(
    0.0, 1.0, size=(100_000, 2), dtype=torch.float64, entropy=1, levy_area_approximation="{mode}"
)
W, A = bm(0.0, 1.0, return_A=True)
variance = float(A[:, 0, 1].var())
print("variance of A over [0, 1]:", variance, "where 0.25 is exact")
raise SystemExit(abs(variance / 0.25 - 1) > 0.05)  # eleven standard deviations of a sample variance
"""

_TORCHSDE_CHEN = """\
import torch
import torchsde

# A over [0, 1] is the sum of those over both halves and (W1 x W2 - W2 x W1)/2: Chen's relation.
bm = torchsde.BrownianInterval(0.0, 1.0, size=(5, 2), dtype=torch.float64, entropy=1, levy_area_approximation="{mode}")
W1, A1 = bm(0.0, 0.5, return_A=True)
W2, A2 = bm(0.5, 1.0, return_A=True)
_, A = bm(0.0, 1.0, return_A=True)
joined = A1 + A2 + (W1[:, :, None] * W2[:, None, :] - W2[:, :, None] * W1[:, None, :]) / 2
error = float((joined - A).abs().max())
print("the areas of the halves, joined, are off that of the whole by", error)
raise SystemExit(error > 1e-9)
"""

_TORCHSDE_REVERSED = """\
import torch
import torchsde

# U is the integral of W - W(start): U over [a, c] = U over [a, b] + U over [b, c] + (c - b) W over [a, b].
bm = torchsde.BrownianInterval(-1.0, 0.0, size=(5, 1), dtype=torch.float64, entropy=1,
                               levy_area_approximation="space-time")
reverse = torchsde.ReverseBrownian(bm)
(W1, U1), (_, U2) = reverse(0.0, 0.5, return_U=True), reverse(0.5, 1.0, return_U=True)
_, U = reverse(0.0, 1.0, return_U=True)
error = float((U1 + U2 + 0.5 * W1 - U).abs().max())
print("U over the halves, joined, is off that over the whole by", error)
raise SystemExit(error > 1e-9)
"""

_TORCHSDE_HORIZON = """\
import warnings

import torch
import torchsde

warnings.simplefilter("ignore")  # it warns, and answers
bm = torchsde.BrownianInterval(0.0, 1.0, size=(100_000,), dtype=torch.float64, entropy=1)
variance = float(bm(0.5, 1.5).var())
print("variance over [0.5, 1.5]:", variance, "where 1 is exact")
raise SystemExit(abs(variance - 1) > 0.05)
"""

_TORCHSDE_PATH = """\
import warnings

import numpy as np
import torch
import torchsde

warnings.simplefilter("ignore")
np.random.seed(1)
path = torchsde.BrownianPath(t0=0.0, w0=torch.zeros(100_000, dtype=torch.float64))  # takes no end
variance = float(path(2.0, 3.0).var())
print("variance over [2, 3]:", variance, "where 1 is exact")
raise SystemExit(abs(variance - 1) > 0.05)
"""

_TORCHSDE_CACHE = """\
import torch
import torchsde


def last(cache_size):
    bm = torchsde.BrownianInterval(0.0, 1.0, size=(3,), dtype=torch.float64, entropy=1, dt=1 / 400,
                                   cache_size=cache_size)
    return [bm(k / 400, (k + 1) / 400) for k in range(400)][-1]


error = float((last(1) - last(45)).abs().max())
print("with another size of the cache the last increment of the same seed is off by", error)
raise SystemExit(error > 1e-9)
"""

_DIFFRAX_K = """\
import diffrax
import jax

jax.config.update("jax_enable_x64", True)

# K over an interval of length h has the variance h/720.
h = 3e-7
tree = diffrax.VirtualBrownianTree(0.0, 1.0, 2.0**-24, (100_000,), jax.random.key(1), diffrax.SpaceTimeTimeLevyArea)
K = tree.evaluate(0.4, 0.4 + h, use_levy=True).K
ratio = float(K.var() / (h / 720))
print("variance of K over an interval of 3e-7, by the exact one:", ratio)
raise SystemExit(abs(ratio - 1) > 0.05)
"""

# Of any motion: increments over the intervals of a row.
_TORCHSDE = """\
import numpy as np
import torch
import torchsde

t0, t1, queries = {t0}, {t1}, {queries}


def asked(queries, entropy=1, rows=100_000):
    bm = torchsde.BrownianInterval(t0, t1, size=(rows,), dtype=torch.float64, entropy=entropy, dt={dt},
                                   levy_area_approximation="space-time")
    W, U = (torch.stack(parts).numpy() for parts in zip(*(bm(s, t, return_U=True) for s, t in queries)))
    return W, U / np.diff(queries) - W / 2
"""
_DIFFRAX = """\
import diffrax
import jax
import numpy as np

jax.config.update("jax_enable_x64", True)
t0, t1, queries = {t0}, {t1}, {queries}


def asked(queries, entropy=1, rows=100_000):
    key = jax.random.key(entropy)
    tree = diffrax.VirtualBrownianTree(t0, t1, {tol}, (rows,), key, diffrax.SpaceTimeLevyArea)
    found = [tree.evaluate(s, t, use_levy=True) for s, t in queries]
    return np.stack([x.W for x in found]), np.stack([x.H for x in found])
"""
_VARIANCES = """
W, H = asked(queries)
h = np.diff(queries)[:, 0]
ratios = np.concatenate([W.var(1) / h, H.var(1) / (h / 12)])
print("variances of W and H over each interval, by the exact ones:", ratios.round(3))
raise SystemExit(bool(np.abs(ratios - 1).max() > 0.03))  # 6.7 standard deviations of a sample variance
"""
_PARTS = """
# W over the parts of [t0, t1] adds up, and so does the integral of W - W(t0), which is h (H + W / 2).
ends = np.linspace(t0, t1, 8)
W, H = asked([*zip(ends, ends[1:]), (t0, t1)], rows=4)
h = np.diff([*ends])[:, None]
starts = np.cumsum(W[:-1], 0) - W[:-1]
integral = (h * (H[:-1] + W[:-1] / 2 + starts)).sum(0)
errors = W[:-1].sum(0) - W[-1], integral / (t1 - t0) - H[-1] - W[-1] / 2
print("the parts are off the whole by", np.abs(errors).max())
raise SystemExit(bool(np.abs(errors).max() > 1e-9 * (t1 - t0) ** 0.5))
"""
_HORIZON = """
try:
    variance = float(asked([(0.5, 1.5)])[0].var())
except Exception as error:
    print("an increment beyond the end is an error:", type(error).__name__)
    raise SystemExit(0)
print("variance over [0.5, 1.5]:", variance, "where 1 is exact")
raise SystemExit(abs(variance - 1) > 0.05)
"""
_AGAIN = """
cells = [(k / 40, (k + 1) / 40) for k in range(40)]
first = asked(cells, rows=4)
again = [x[40:][::-1] for x in asked(cells + cells[::-1], rows=4)]
other = asked(cells, entropy=2, rows=4)
same = all(np.array_equal(a, b) for a, b in zip(first, again))
print("asked there and back the increments are the same:", same, "; with another seed:", np.array_equal(first, other))
raise SystemExit(not same or np.array_equal(first, other))
"""

SCRIPTS: Mapping[tuple[str, str], str] = {
    **{("torchsde", f"levy area: Levy area, {m}"): _TORCHSDE_AREA.format(mode=m) for m in ("davie", "foster")},
    **{("torchsde", f"increments: Levy area, {m}"): _TORCHSDE_CHEN.format(mode=m) for m in ("davie", "foster")},
    ("torchsde", "increments: Brownian motion run backwards"): _TORCHSDE_REVERSED,
    ("torchsde", "law: Brownian motion run backwards"): _TORCHSDE_REVERSED,
    ("torchsde", "increments: Brownian motion beyond its end"): _TORCHSDE_HORIZON,
    ("torchsde", "law: Brownian motion without an end"): _TORCHSDE_PATH,
    ("torchsde", "determinism: increments with a cache of one"): _TORCHSDE_CACHE,
    ("diffrax", "law: Brownian motion with K"): _DIFFRAX_K,
}


_HEADS = {"torchsde": _TORCHSDE, "diffrax": _DIFFRAX}
_BODIES = {"law": _VARIANCES, "determinism": _AGAIN}


def script(claim: Claim) -> str | None:
    """The program for a failure that is known, or for its kind; None where there is none."""
    known = SCRIPTS.get((claim.implementation, f"{claim.check}: {claim.subject}"))
    head, situation = _HEADS.get(claim.implementation), SITUATIONS.get(claim.case.get("situation", ""))
    if claim.control or known or head is None or claim.check == "levy area":
        return None if claim.control else known
    if situation is not None and situation.given.get("kind", "exact") != "exact":
        return None  # of the exact motions alone
    task = (situation or SITUATIONS["without a grid"]).task(claim.implementation, 1, 0, ())
    body = _BODIES.get(claim.check) or (_HORIZON if claim.case["what"] == "horizon" else _PARTS)
    return head.format(**vars(task)) + body
