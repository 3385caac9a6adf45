"""One training, from its last checkpoint to its end: progress, measures as rows, checkpoints written at once."""

import json
import os
import time
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from suite.training.libraries import LIBRARIES
from suite.training.measures import marginal_distance, signature_distance
from suite.training.model import Model
from suite.training.ou import OrnsteinUhlenbeck
from suite.training.real import RealData
from suite.training.settings import EXPERIMENTS, Experiment, Settings

KEPT = 50  # steps whose gradients are remembered, to tell which grew first
GROWTH = 10.0
DATA = OrnsteinUhlenbeck()
_STEP, _REAL, _GENERATED, _COMPARED, _FLOOR = range(5)  # what random numbers are for


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says where, and what is kept."""


@dataclass(frozen=True)
class Training:
    """An experiment by its name, with a library and settings, from a seed; `folder` holds its checkpoint. data: what
    is trained on, in place of the Ornstein-Uhlenbeck process."""

    experiment: str
    settings: Settings
    seed: int
    folder: Path
    library: str = "sdegrad_torch"
    device: str = "cpu"
    data: RealData | None = None

    @property
    def problem(self) -> str:
        return f"{self.data.name if self.data else 'ou'} {self.experiment}"

    @property
    def chosen(self) -> Experiment:
        if self.data:
            return self.data.experiment(self.experiment)
        return LIBRARIES[self.library].experiment(EXPERIMENTS[self.experiment])

    def model(self) -> Model:
        if self.data:
            return self.data.model(self.experiment, self.settings, self.seed)
        return LIBRARIES[self.library].model(EXPERIMENTS[self.experiment], self.settings, self.seed, self.device)

    @property
    def checkpoint(self) -> Path:
        of_data = f"{self.data.name}-" if self.data else ""
        return self.folder / f"{of_data}{self.experiment}-{self.library}-{self.seed}.npz"

    @property
    def ts(self) -> np.ndarray:
        return np.arange(float(self.settings.times))

    def configuration(self) -> dict[str, Any]:
        names = {"experiment": self.experiment, "library": self.library, "seed": self.seed, "device": self.device}
        of_data = {"data": self.data.digest} if self.data else {}
        return names | of_data | asdict(self.settings)

    def draw(self, purpose: int, step: int = 0) -> int:
        """A seed for this purpose at this step."""
        return int(np.random.SeedSequence((self.seed, step, purpose)).generate_state(1)[0])

    def real(self, purpose: int, paths: int, step: int = 0) -> np.ndarray:
        """Paths of the data, [times, paths, 1], in single precision."""
        rng = np.random.default_rng(self.draw(purpose, step))
        return (self.data or DATA).sample(rng, self.ts, paths).astype(np.float32)

    def generated(self, model: Model) -> np.ndarray:
        """Paths of the model that are measured, the same ones at each call."""
        return model.generated(self.settings.samples, self.draw(_GENERATED))


@dataclass
class Progress:
    """steps: how many were taken. seconds: that they took, compilation included. durations: of the last ones."""

    steps: int
    seconds: float
    durations: deque[float]


def train(
    training: Training, say: Callable[[str], None], keep: Callable[[np.ndarray], None] = lambda _: None
) -> Iterator[dict[str, Any]]:
    """Yields measures, {"steps", "measure", "value"}: of the start, on the way, `evaluations` in all, and of the end.

    say: is told the progress. keep: is given the paths [times, paths, 1] that are generated at the end.
    TrainingError for a loss that is not finite, or a checkpoint of another configuration.
    """
    settings, gradients = training.settings, deque(maxlen=KEPT)
    model = training.model()
    progress = resume(training, model) or Progress(0, model.preparation, deque(maxlen=10 * KEPT))
    if progress.steps == 0:
        yield from floor(training)
        yield from measured(training, model, progress)
    started, first = time.perf_counter(), progress.steps
    while progress.steps < settings.steps:
        loss, norms = step(training, model, progress)
        gradients.append(norms)
        if not abs(loss) < float("inf"):
            raise TrainingError(_not_finite(training, progress.steps, loss, gradients))
        if settings.is_due(progress.steps):
            left = (time.perf_counter() - started) / (progress.steps - first) * (settings.steps - progress.steps)
            name = f"{training.experiment}, {training.library}, seed {training.seed}"
            say(f"{name}: {progress.steps} of {settings.steps}, loss {loss:.4f}, {left:.0f} s left")
            yield from measured(training, model, progress)
        if progress.steps % settings.interval == 0 or progress.steps == settings.steps:
            save(training, model, progress)
    keep(training.generated(model))
    yield from measured(training, model, progress)
    yield from costs(training, model, progress)


def step(training: Training, model: Model, progress: Progress) -> tuple[float, Mapping[str, float]]:
    """One step on fresh data: the time is that of the step alone."""
    real = training.real(_REAL, training.settings.batch, progress.steps)
    seed = training.draw(_STEP, progress.steps)
    begin = time.perf_counter()
    found = model.step(real, seed)
    progress.durations.append(time.perf_counter() - begin)
    progress.seconds += progress.durations[-1]
    progress.steps += 1
    return found


def nearness(training: Training, ys: np.ndarray, *, whole: bool) -> Iterator[tuple[str, float]]:
    """How far the marginals of paths are from those of the data; if whole, how far their signatures from real ones."""
    if training.data:
        yield from training.data.nearness(ys, whole=whole)
        return
    yield "marginal_distance", marginal_distance(training.ts, ys, DATA.cdf)
    if whole:  # takes a third of a second
        real = training.real(_COMPARED, training.settings.samples)
        yield "signature_distance", signature_distance(training.ts, ys, real)


def floor(training: Training) -> Iterator[dict[str, Any]]:
    """The distances of real paths: not zero, as their number is finite."""
    for name, value in nearness(training, training.real(_FLOOR, training.settings.samples), whole=True):
        yield {"steps": 0, "measure": name, "value": value, "real": True}


def measured(training: Training, model: Model, progress: Progress) -> Iterator[dict[str, Any]]:
    """The distances of generated paths, and how long it took to get there, once there were steps."""
    ys = training.generated(model)
    time_taken = [("training_time", progress.seconds)] if progress.steps else []
    whole = progress.steps in (0, training.settings.steps)
    for name, value in (*nearness(training, ys, whole=whole), *time_taken):
        yield {"steps": progress.steps, "measure": name, "value": value}


def costs(training: Training, model: Model, progress: Progress) -> Iterator[dict[str, Any]]:
    """What a step costs, apart from compilation; memory and evaluations are those of a further one."""
    real, seed = training.real(_REAL, training.settings.batch), training.draw(_STEP)
    found = {"step_time": median(progress.durations), "nfe_training": model.evaluations(real, seed)}
    found["gradient_memory"] = model.memory(real, seed)
    if model.preparation:
        found["compile_time"] = model.preparation
    for name, value in found.items():
        yield {"steps": progress.steps, "measure": name, "value": float(value)}


def save(training: Training, model: Model, progress: Progress) -> None:
    """Replace the checkpoint at once, when the new one has reached the disk."""
    training.folder.mkdir(parents=True, exist_ok=True)
    temporary = training.checkpoint.with_suffix(f".{os.getpid()}.tmp")
    known = {"configuration": training.configuration(), "steps": progress.steps, "seconds": progress.seconds}
    content = {"known": json.dumps(known), "durations": list(progress.durations)}
    try:
        with temporary.open("wb") as file:
            np.savez(file, **content, model=np.frombuffer(model.state(), np.uint8))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(training.checkpoint)
    finally:
        temporary.unlink(missing_ok=True)


def resume(training: Training, model: Model) -> Progress | None:
    """Load the checkpoint into the model; None if there is none."""
    path = training.checkpoint
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file) as content:
            known, durations, state = json.loads(str(content["known"])), content["durations"], content["model"]
        theirs = known["configuration"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is no checkpoint that can be read ({error}); delete it to begin anew.") from error
    ours = training.configuration()
    if theirs != ours:
        differing = ", ".join(f"{k}={theirs.get(k)!r} there, {v!r} here" for k, v in ours.items() if theirs.get(k) != v)
        raise TrainingError(f"{path} is of another configuration ({differing}); delete it, or name another --out.")
    model.load(state.tobytes())
    return Progress(known["steps"], known["seconds"], deque(durations.tolist(), maxlen=10 * KEPT))


def _not_finite(training: Training, step: int, loss: float, gradients: deque[dict[str, float]]) -> str:
    kept = training.checkpoint if training.checkpoint.exists() else "none yet"
    return (
        f"{training.experiment}, {training.library}, seed {training.seed}: the loss is {loss} at step {step}. "
        f"{grown(list(gradients))} The last good checkpoint is kept ({kept}); lower the learning rates "
        "(--set descent=... --set ascent=...)."
    )


def grown(gradients: list[Mapping[str, float]]) -> str:
    """Which norm first was not finite, or above GROWTH times its median so far."""
    for i, norms in enumerate(gradients):
        for name, norm in norms.items():
            usual = median(g[name] for g in gradients[: i + 1])
            if not norm <= GROWTH * usual or norm == float("inf"):
                return f"The gradient of {name} grew first, to {norm:.3g}, {len(gradients) - 1 - i} steps before."
    return "No gradient had grown."
