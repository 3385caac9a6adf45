"""A library of nothing but Euler's method in NumPy, for these tests only; how it misbehaves is in its name.

Copied into a folder of its own by `install`, so that the bench meets it as it would meet anybody's.
"""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdegrad.contract import Counts, Outcome

ESCAPE = "\x1b[31m"


def end():
    sys.exit("bye")


def interrupt():
    raise KeyboardInterrupt


REFUSALS = {
    "bad_refuseexit": end,
    "bad_refuseinterrupt": interrupt,
    "bad_refusenumber": lambda: 42,
    "bad_nothing": lambda: "bad_nothing can do nothing.",
}


def install(folder: Path, *names: str, **elsewhere: str) -> None:
    """Make `names` known to every Python that has this folder on its path; `elsewhere`: in modules of these names."""
    info = folder / "toy-1.dist-info"
    info.mkdir(exist_ok=True, parents=True)
    (folder / "toy.py").write_text(Path(__file__).read_text())
    (info / "METADATA").write_text("Name: toy\nVersion: 1\n")
    modules = dict.fromkeys(names, "toy") | elsewhere
    points = "".join(f"{name} = {module}:{name}\n" for name, module in modules.items())
    (info / "entry_points.txt").write_text(f"[sdegrad.implementations]\n{points}")


def misbehave(how: str) -> None:
    if how == "crash":
        os._exit(11)
    if how == "crashlater" and threading.active_count() < 4:
        threading.Timer(0.3, os._exit, [11]).start()
    if how == "fork":
        os.fork()
    if how == "orphan":
        if os.fork() == 0:
            time.sleep(60)
        os._exit(11)
    if how == "hang":
        time.sleep(60)
    if how == "raise":
        raise ArithmeticError("a bad day")


@dataclass
class Run:
    task: Any
    how: str = ""
    calls: int = 0

    def __call__(self):
        if self.how != "raiselate" or self.calls > 3:
            misbehave(self.how.removesuffix("late"))
        self.calls += 1
        task, problem = self.task, self.task.problem
        y, steps = problem.y0.astype(task.dtype), round(task.ts[-1] / task.dt)
        for k in range(steps):
            t = k * task.dt
            g = problem.diffusion(np, t, y, problem.params)
            dW = self.increment(k, steps)
            noise = g * dW if problem.noise_type == "diagonal" else (g @ dW[..., None])[..., 0]
            y = y + problem.drift(np, t, y, problem.params) * task.dt + noise
        time.sleep(0.002)
        ys = np.stack([problem.y0, y * (np.nan if self.how == "diverge" else 1)])
        return ys[:, :1] if self.how == "onepath" else ys

    def increment(self, k, steps):
        noise, problem = self.task.noise, self.task.problem
        if noise is None:
            normal = np.random.default_rng((self.task.seed, k)).normal(size=(len(problem.y0), problem.noise_dim))
            return np.sqrt(self.task.dt) * normal
        stride = (len(noise.times) - 1) // steps
        return noise.W[(k + 1) * stride] - noise.W[k * stride]

    def outcome(self, result):
        return Outcome(ys=result)

    def count(self):
        misbehave(self.how)
        steps = round(self.task.ts[-1] / self.task.dt)
        return Counts(steps=steps, drift=steps, diffusion=steps)

    def memory(self):
        return 1000


class Toy:
    framework = "numpy"

    def __init__(self, name):
        self.name = name

    def versions(self):
        return "1", f"numpy {np.__version__}"

    def unavailable(self, device):
        return None if device == "cpu" else f"{self.name} sees no {device} here."

    def unsupported(self, task):
        print(f"{ESCAPE}chatter")
        if self.name.endswith("_refuseraise"):
            raise ArithmeticError(f"no {ESCAPE}idea")
        if self.name in REFUSALS:
            return REFUSALS[self.name]()
        if task.method != "euler" or task.adjoint is not None or task.problem.sde_type != "ito":
            return f"{self.name} solves by 'euler', in the sense of Ito, and has no gradients."
        return None

    def prepare(self, task):
        return Run(task, self.name.partition("_")[2])

    def brownian(self, task):
        raise NotImplementedError


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Toy(name)
