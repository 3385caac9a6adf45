"""Every scheme in plain NumPy from its formula: what a library of the same scheme must return, to rounding.

Written for one diffusion matrix [paths, dim, noise] whatever the noise type, and apart from the libraries: what is
wrong in them is not wrong here too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from suite.paths import Path
from suite.problems import Problem

XP = SimpleNamespace(**vars(np) | {"sigmoid": expit, "silu": lambda x: x * expit(x)})
State = tuple[np.ndarray, ...]
TINY = 1e-30  # of a complex step, which has no round-off to fear


class Move(NamedTuple):
    """From time t over h: the increment W and the space-time Levy area H [paths, noise]."""

    t: float
    h: float
    W: np.ndarray
    H: np.ndarray

    def back(self) -> "Move":
        """The same way back: H is the same seen from either end."""
        return Move(self.t + self.h, -self.h, -self.W, self.H)


@dataclass(frozen=True)
class Fields:
    """drift a [paths, dim] and diffusion b [paths, dim, noise] of a problem."""

    problem: Problem

    def a(self, t: float, y: np.ndarray) -> np.ndarray:
        return self.problem.drift(XP, t, y, self.problem.params)

    def b(self, t: float, y: np.ndarray) -> np.ndarray:
        g = self.problem.diffusion(XP, t, y, self.problem.params)
        return g[..., None] * np.eye(g.shape[-1]) if self.problem.noise_type == "diagonal" else g

    def noise(self, t: float, y: np.ndarray, W: np.ndarray) -> np.ndarray:
        """b W."""
        return (self.b(t, y) * W[:, None, :]).sum(-1)

    def whole(self, t: float, y: np.ndarray, move: Move) -> np.ndarray:
        """a h + b W."""
        return self.a(t, y) * move.h + self.noise(t, y, move.W)

    def along(self, t: float, y: np.ndarray, j: int) -> np.ndarray:
        """The derivative of column j of b along itself [paths, dim]."""
        return np.imag(self.b(t, y + 1j * TINY * self.b(t, y)[..., j])[..., j]) / TINY


Step = Callable[[Fields, State, Move], State]


@dataclass(frozen=True)
class Scheme:
    """start(fields, t0, y0) -> the state; its first entry is the solution."""

    step: Step
    start: Callable[[Fields, float, np.ndarray], State] = field(default=lambda _, __, y0: (y0,))


def euler(at: Fields, state: State, move: Move) -> State:
    (y,) = state
    return (y + at.whole(move.t, y, move),)


def milstein(at: Fields, state: State, move: Move) -> State:
    """y + a h + b W + 1/2 sum_j (W_j^2 - h) (b_j . grad) b_j; without the h in the Stratonovich calculus."""
    (y,) = state
    h = move.h if at.problem.sde_type == "ito" else 0.0
    terms = (at.along(move.t, y, j) * (move.W[:, j, None] ** 2 - h) for j in range(move.W.shape[1]))
    return (y + at.whole(move.t, y, move) + sum(terms) / 2,)


def milstein_without_derivative(at: Fields, state: State, move: Move) -> State:
    """A difference along b_j sqrt(h), from y + a h in the Ito calculus and from y in the other."""
    (y,) = state
    ito, h = at.problem.sde_type == "ito", move.h
    foot, root = y + (at.a(move.t, y) * h if ito else 0.0), h**0.5
    b, out = at.b(move.t, y), y + at.whole(move.t, y, move)
    for j in range(move.W.shape[1]):
        moved = at.b(move.t, foot + b[..., j] * root)[..., j] - b[..., j]
        out = out + moved * (move.W[:, j, None] ** 2 - (h if ito else 0.0)) / (2 * root)
    return (out,)


def heun(at: Fields, state: State, move: Move) -> State:
    (y,) = state
    first = at.whole(move.t, y, move)
    return (y + (first + at.whole(move.t + move.h, y + first, move)) / 2,)


def midpoint(at: Fields, state: State, move: Move) -> State:
    (y,) = state
    return (y + at.whole(move.t + move.h / 2, y + at.whole(move.t, y, move) / 2, move),)


def euler_heun(at: Fields, state: State, move: Move) -> State:
    (y,) = state
    first = at.noise(move.t, y, move.W)
    second = at.noise(move.t + move.h, y + first, move.W)
    return (y + at.a(move.t, y) * move.h + (first + second) / 2,)


def reversible_heun(at: Fields, state: State, move: Move) -> State:
    """Its state is (z, z-hat); what is evaluated at z-hat is evaluated again, not carried along."""
    z, hat = state
    before = at.whole(move.t, hat, move)
    hat = 2 * z - hat + before
    return z + (before + at.whole(move.t + move.h, hat, move)) / 2, hat


def ees(A: tuple[float, ...], B: tuple[float, ...], C: tuple[float, ...]) -> Step:
    def step(at: Fields, state: State, move: Move) -> State:
        (y,), k = state, 0.0
        for a, b, c in zip(A, B, C, strict=True):
            k = a * k + at.whole(move.t + c * move.h, y, move)
            y = y + b * k
        return (y,)

    return step


R = 2**0.5
EES25 = ees((0, -7 / 15, -35 / 32), (1 / 3, 15 / 16, 2 / 5), (0, 1 / 3, 5 / 6))
EES27 = ees(
    (0, (4 * R - 7) / 3, -(5 * R + 4) / 12, (24 * R - 93) / 49),
    ((2 - R) / 3, (4 + R) / 8, (9 - 3 * R) / 7, (9 - 4 * R) / 14),
    (0, (2 - R) / 3, (2 + R) / 6, (4 + R) / 6),
)


def mccallum_foster(base: Step, coupling: float) -> Step:
    """(y, z) -> y1 = l y + (1 - l) z + Psi(z), z1 = z - Psi'(y1), with Psi' the increment of the reversed step."""

    def step(at: Fields, state: State, move: Move) -> State:
        y, z = state
        y1 = coupling * y + (1 - coupling) * z + (base(at, (z,), move)[0] - z)
        return y1, z - (base(at, (y1,), move.back())[0] - y1)

    return step


def sra1(at: Fields, state: State, move: Move) -> State:
    """SRA1 of Roessler (2010), table 6.2 with c1 = (1, 0): I_10 / h = W / 2 + H."""
    (y,), (t, h, W, H) = state, move
    mean = W / 2 + H
    first = at.a(t, y) * h
    second = at.a(t + 3 / 4 * h, y + 3 / 4 * first + 3 / 2 * at.noise(t + h, y, mean)) * h
    return (y + first / 3 + 2 / 3 * second + at.noise(t + h, y, W - mean) + at.noise(t, y, mean),)


def shark(at: Fields, state: State, move: Move) -> State:
    """ShARK of Foster, dos Reis and Strange (2023), with the term of a diffusion that depends on time."""
    (y,), (t, h, W, H) = state, move
    first = at.a(t, y + at.noise(t, y, H)) * h
    second = at.a(t + 5 / 6 * h, y + 5 / 6 * first + at.noise(t, y, 5 / 6 * W + H)) * h
    late = at.noise(t + h, y, W / 2 - H) - at.noise(t, y, W / 2 - H)
    return (y + 0.4 * first + 0.6 * second + at.noise(t, y, W) + late,)


def sri(at: Fields, state: State, move: Move) -> State:
    """SRI2W1 of Roessler (2010), stage by stage, for each Brownian motion its own column."""
    (y,), (t, h, W, H) = state, move
    root = h**0.5
    I11, I10, I111 = (W**2 - h) / (2 * root), W / 2 + H, (W**3 - 3 * h * W) / (6 * h)

    def b(c: float, x: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
        return at.noise(t + c * h, x, np.broadcast_to(weight, W.shape))

    a1, b1 = at.a(t, y) * h, y
    x2 = y + a1 / 4 - b(0, b1, root) / 2
    a2 = at.a(t + h, y + a1) * h
    x3 = y + a1 + b(0, b1, root)
    a3 = at.a(t + h / 2, y + (a1 + a2) / 4 + b(0, b1, I10) + b(1 / 4, x2, I10) / 2) * h
    x4 = y + a3 / 4 + 2 * b(0, b1, root) - b(1 / 4, x2, root) + b(1, x3, root) / 2
    noise = (
        b(0, b1, -W + I11 + 2 * I10 - 2 * I111)
        + b(1 / 4, x2, 4 / 3 * W - 4 / 3 * I11 - 4 / 3 * I10 + 5 / 3 * I111)
        + b(1, x3, 2 / 3 * W + I11 / 3 - 2 / 3 * I10 - 2 / 3 * I111)
        + b(1 / 4, x4, I111)
    )
    return (y + (a1 + a2) / 6 + 2 / 3 * a3 + noise,)


def _twice(_: Fields, __: float, y0: np.ndarray) -> State:
    return y0, y0


BASES: Mapping[str, Step] = {
    "midpoint": midpoint,
    "heun": heun,
    "euler_heun": euler_heun,
    "ees25": EES25,
    "ees27": EES27,
    "shark": shark,
    "sra1": sra1,
}


def scheme(method: str, noise_type: str, options: Mapping[str, Any]) -> Scheme:
    """The scheme that goes by this name for noise of this type. KeyError for a name without one."""
    if method == "milstein" and noise_type != "additive" and options.get("grad_free"):
        return Scheme(milstein_without_derivative)
    if method == "mccallum_foster":
        base, coupling = options.get("base", "midpoint"), options.get("coupling", 0.999)
        return Scheme(mccallum_foster(BASES[base], coupling), _twice)
    if method == "reversible_heun":
        return Scheme(reversible_heun, _twice)
    one_step: Mapping[str, Step] = {
        **BASES,
        "euler": euler,
        "milstein": milstein,
        "srk": sra1 if noise_type == "additive" else sri,
        "log_ode": midpoint,  # where no Levy area is asked for
    }
    return Scheme(one_step[method])


def solve(problem: Problem, method: str, path: Path, points: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    """The solution at the grid times of `path` with the indices `points`, in this order, one step to each from the one
    before [points, paths, dim]."""
    at, known = Fields(problem), scheme(method, problem.noise_type, options)
    state = known.start(at, float(path.times[points[0]]), problem.y0)
    ys = [state[0]]
    for k, end in pairwise(points):
        t, h, W = path.times[k], float(path.times[end] - path.times[k]), path.W[end] - path.W[k]
        U = path.integral[end] - path.integral[k] - h * path.W[k]
        state = known.step(at, state, Move(float(t), h, W, U / h - W / 2))
        ys.append(state[0])
    return np.array(ys)
