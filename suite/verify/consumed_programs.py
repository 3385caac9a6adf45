"""Programs whose solution is the noise that was consumed, as in `consumed`, with one library alone."""

from suite.verify import programs
from suite.verify.claims import Claim
from suite.verify.consumed import ADDITIONS, CLIPPED, DT, END, FIRST, SAME, STEPS, STIFF, TOLERANCE

_NOISE = programs.Fields("0 * y", "1 + 0 * y")
_DRIFT = "xp.stack([0 * y[..., 0], y[..., 0], p[0] * (xp.sin(10 * (y[..., 0] + y[..., 1])) - y[..., 2])], -1)"
_WITH_INTEGRAL = programs.Fields(_DRIFT, "(xp.ones_like(y) * xp.eye(3)[0])[..., None]", "additive", 1)
_JUDGED = """
covariance = white @ white.T / white.shape[1]
worst = np.abs(covariance - np.eye(len(white))).max() * (white.shape[1] / 2) ** 0.5
print("the covariance of what was consumed, made standard normal, is off by", worst, "deviations")
sys.exit(bool(worst > 6))
"""
_ITERATED = programs.Fields(
    "0 * y",
    "xp.stack([xp.stack([1 + 0 * y[..., 0], 0 * y[..., 0]], -1), xp.stack([0 * y[..., 0], 1 + 0 * y[..., 0]], -1),"
    " xp.stack([0 * y[..., 0], y[..., 0]], -1)], -2)",
    "general",
)
_SCRIPTS = {
    "Levy areas": """
y, _ = solve(np.zeros((2**16, 3)), [0.0], 0.25)
squares = (y[-1, :, 2] - y[-1, :, 0] * y[-1, :, 1] / 2) ** 2
print("the variance of the Levy area over [0, 1] is", squares.mean(), "where 0.25 is exact")
sys.exit(bool(abs(squares.mean() - 0.25) > 6 * squares.std() / 2**8))
""",
    "increments": """
ts = {ts}
ys, _ = solve(np.zeros((2**14, 2)), [0.0], {dt}, ts)
white = np.diff(ys, axis=0)[..., 0] / np.diff(ts)[:, None] ** 0.5
""",
    "areas": """
ts, h = {ts}, np.diff({ts})[:, None]
ys, _ = solve(np.zeros((2**14, 3)), [0.0], {dt}, ts)
X, I = ys[..., 0], ys[..., 1]
W = np.diff(X, axis=0)
H = (np.diff(I, axis=0) - h * X[:-1]) / h - W / 2
white = np.concatenate([W / h**0.5, H / (h / 12) ** 0.5])
""",
    END: """
ys, _ = solve(np.zeros((4096, 3)), [{stiff}], {first}, tolerance={tolerance})
X, I = ys[-1, :, 0], ys[-1, :, 1]
white = np.stack([X, (I - X / 2) * 12**0.5])
""",
    SAME: """
easy, hard = (solve(np.zeros((4096, 3)), [stiff], {first}, tolerance={tolerance})[0][-1] for stiff in (0.0, {stiff}))
apart = np.abs(easy - hard)[:, :2].max()
print("the noise at the end of other steps is another by", apart)
sys.exit(bool(apart > {additions} * 2.0**-52 * np.abs(easy)[:, :2].max()))  # of rounding, of two solves
""",
}


def script(claim: Claim) -> str | None:
    """A program whose solution is the noise that was consumed."""
    what, torch = claim.case["what"], claim.implementation == "torchsde"
    blanks = {"ts": CLIPPED[:-1], "dt": DT, "first": FIRST, "stiff": STIFF}
    blanks |= {"tolerance": TOLERANCE, "additions": STEPS * ADDITIONS, "method": "srk" if torch else "shark"}
    if what == "Levy areas":
        return programs.program(claim, claim.claim, _ITERATED, _SCRIPTS[what], tree="dt=dt")
    if what == "increments":
        return programs.program(claim, claim.claim, _NOISE, _SCRIPTS[what] + _JUDGED, **blanks | {"method": "heun"})
    body = _SCRIPTS[claim.claim if what == "adaptive" else what] + _JUDGED * (claim.claim != SAME)
    return programs.program(claim, claim.claim, _WITH_INTEGRAL, body, **blanks)
