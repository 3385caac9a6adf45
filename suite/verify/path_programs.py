"""Programs that show a failure of a Brownian motion with the library alone, by library and subject.

Each prints what it measured, and exits with 1 if the defect is there and with 0 if not.
"""

from collections.abc import Mapping

from suite.verify.claims import Claim

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


def script(claim: Claim) -> str | None:
    return SCRIPTS.get((claim.implementation, f"{claim.check}: {claim.subject}"))
