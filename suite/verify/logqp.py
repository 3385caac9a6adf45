"""The log-ratio of two Ornstein-Uhlenbeck processes, whose mean is their Kullback-Leibler divergence.

By Euler's method, whose mean log-ratio is known exactly for any dt: that of a Gaussian recursion. So a t-test over
paths sees nothing but what is wrong. As dt goes to 0 it is the divergence of the processes themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from suite.harness import Task
from suite.problems import Params, Problem, make
from suite.verify import solving
from suite.verify.claims import CONSTRUCTED, LI, NEGATIVE, POSITIVE, Claim, Kind
from suite.verify.findings import Effort, Finding, likely

PATHS, DT, START = 65536, 1 / 16, 0.7
PRIOR = {"theta": 0.4, "mean": -2.0}
NOISES = ("diagonal", "additive")


def claims(name: str) -> Iterator[Claim]:
    claim: dict[str, Any] = {
        "check": "logqp",
        "implementation": name,
        "claim": "the mean log-ratio is the Kullback-Leibler divergence of the two processes",
        "statistical": True,
        "may_lack": True,
    }
    cases = {
        f"two Ornstein-Uhlenbeck processes, {noise} noise": {"problem": "ou", "method": "euler", "noise": noise}
        for noise in NOISES
    }
    for subject, case in cases.items():
        yield Claim(**claim, kind="theory", source=LI, subject=subject, case=case)
    subject, case = next(iter(cases.items()))
    controls: dict[Kind, float | None] = {NEGATIVE: 1.02, POSITIVE: None}
    for kind, factor in controls.items():
        what = "times 1.02" if factor else "replaced by normals of the exact mean"
        source = CONSTRUCTED[kind]
        yield Claim(
            **claim, kind=kind, source=source, subject=f"{subject}, {what}", case=case, spoil={"factor": factor}
        )


def prior(xp: Any, t: Any, y: Any, params: Mapping[str, Any]) -> Any:
    del xp, t, params
    return PRIOR["theta"] * (PRIOR["mean"] - y)


def divergence(params: Params, dt: float, t1: float) -> float:
    """The mean over Euler's paths from START of the sum of u^2 dt / 2, u = (drift - prior) / sigma, one component."""
    theta, mean, sigma = (float(params[name].ravel()[0]) for name in ("theta", "mean", "sigma"))
    a, b = theta * mean - PRIOR["theta"] * PRIOR["mean"], PRIOR["theta"] - theta  # drift - prior = a + b y
    m, variance, total = START, 0.0, 0.0
    for _ in range(round(t1 / dt)):
        total += ((a + b * m) ** 2 + b**2 * variance) * dt / (2 * sigma**2)
        m, variance = m + theta * (mean - m) * dt, (1 - theta * dt) ** 2 * variance + sigma**2 * dt
    return total


def _problem(noise: str, paths: int, seed: int) -> Problem:
    problem = make("ou", paths=paths, dim=1, noise_dim=1, seed=seed, sde_type="ito")
    params = {**problem.params, "sigma": np.full((1, 1), 0.8)}
    problem = replace(problem, y0=np.full((paths, 1), START), params=params)
    if noise == "additive":
        return problem

    def diffusion(xp: Any, t: Any, y: Any, params: Mapping[str, Any]) -> Any:
        del t
        return xp.broadcast_to(params["sigma"][0], y.shape)

    return replace(problem, noise_type="diagonal", diffusion=diffusion)


@solving.remembered
def _log_ratios(name: str, method: str, noise: str, paths: int, seed: int) -> tuple[np.ndarray, float]:
    """That of each path, [paths], and their exact mean."""
    problem = _problem(noise, paths, seed)
    task = Task(
        problem=problem,
        method=method,
        dt=DT,
        ts=(0.0, 0.5, 1.0),
        seed=seed,
        dtype="float64",
        prior=prior,
    )
    return solving.outcome(name, task).log_ratio.sum(0), divergence(problem.params, DT, 1.0)


def power(spread: float, shift: float, samples: int, level: float) -> float:
    """The probability that a mean which is off by `shift` is rejected, for samples of this standard deviation."""
    freedom, moved = samples - 1, shift / spread * samples**0.5
    edge = stats.t.isf(level / 2, freedom)
    return float(stats.nct.sf(edge, freedom, moved) + stats.nct.cdf(-edge, freedom, moved))


def measure(claim: Claim, effort: Effort) -> Finding:
    case, paths = claim.case, round(PATHS * effort.more)
    ratios, exact = _log_ratios(claim.implementation, case["method"], case["noise"], paths, effort.seed)
    factor = claim.spoil.get("factor", 1.0)
    if factor is None:
        ratios = exact + ratios.std() * np.random.default_rng(effort.seed).standard_normal(paths)
    else:
        ratios = factor * ratios
    found = stats.ttest_1samp(ratios, exact)
    reason = f"mean {ratios.mean():.4g}, exactly {exact:.4g}"
    return likely(effort.level, float(found.pvalue), paths, reason)  # pyright: ignore[reportAttributeAccessIssue]


_SCRIPT = """\
# torchsde: {subject}
import sys
import torch, torchsde
torch.set_default_dtype(torch.float64)
class SDE(torch.nn.Module):
    noise_type, sde_type = {noise!r}, "ito"
    def f(self, t, y):
        return {theta} * ({mean} - y)
    def g(self, t, y):
        return 0.8 * torch.ones_like({shaped})
    def h(self, t, y):
        return {prior[theta]} * ({prior[mean]} - y)
paths, channels = {paths}, {channels}
bm = torchsde.BrownianInterval(0.0, 1.0, (paths, channels), entropy=0)
y0, ts = torch.full((paths, 1), {start}), torch.tensor([0.0, 1.0])
_, ratio = torchsde.sdeint(SDE(), y0, ts, bm=bm, method={method!r}, dt={dt}, logqp=True)
mean, error = float(ratio.mean()), float(ratio.std()) / paths**0.5
print(f"the mean log-ratio is {{mean:.5f}} +- {{error:.5f}}, the divergence of the two recursions {exact:.5f}")
sys.exit(abs(mean - {exact!r}) > 5 * error)
"""


def script(claim: Claim) -> str | None:
    """A program that shows it with torchsde alone, which has a log-ratio."""
    if claim.implementation != "torchsde" or claim.control:
        return None
    problem = _problem(claim.case["noise"], 1, 0)
    theta, mean = (float(problem.params[name].ravel()[0]) for name in ("theta", "mean"))
    diagonal = claim.case["noise"] == "diagonal"  # it has a channel more, of the log-ratio
    return _SCRIPT.format(
        subject=claim.subject,
        noise=claim.case["noise"],
        shaped="y" if diagonal else "y[..., None]",
        channels=1 + diagonal,
        **{"theta": theta, "mean": mean, "prior": PRIOR, "paths": PATHS, "start": START, "dt": DT},
        method=claim.case["method"],
        exact=divergence(problem.params, DT, 1.0),
    )
