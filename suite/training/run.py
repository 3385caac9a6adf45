"""One training, from its last checkpoint to its end: progress, measures as rows, checkpoints written at once."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from suite.training.measures import marginal_distance, signature_distance
from suite.training.sde_gan import SDEGAN
from suite.training.settings import EXPERIMENTS, Settings

KEPT = 50  # steps whose gradients are remembered, to tell which grew first
GROWTH = 10.0
_REAL_SEED = 2**31  # of the real paths that generated ones are compared with: those of no training


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says where, and what is kept."""


@dataclass(frozen=True)
class Training:
    """An experiment by its name, with settings, from a seed; `folder` holds its checkpoint."""

    experiment: str
    settings: Settings
    seed: int
    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.experiment}-{self.seed}.pt"

    def configuration(self) -> dict[str, Any]:
        return {"experiment": self.experiment, "seed": self.seed} | asdict(self.settings)


def train(training: Training, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yields measures, {"steps", "measure", "value"}: of the start, on the way, `evaluations` in all, and of the end.

    TrainingError for a loss that is not finite, or a checkpoint of another configuration.
    """
    model = SDEGAN(EXPERIMENTS[training.experiment], training.settings, training.seed)
    settings, gradients = training.settings, deque(maxlen=KEPT)
    durations = deque(resume(training, model), maxlen=10 * KEPT)
    if model.steps == 0:
        yield from measured(model)
    started, first = time.perf_counter(), model.steps
    while model.steps < settings.steps:
        before = time.perf_counter()
        loss, norms = model.step()
        durations.append(time.perf_counter() - before)
        gradients.append(norms)
        if not abs(loss) < float("inf"):
            raise TrainingError(_not_finite(training, model.steps, loss, gradients))
        due = model.steps * settings.evaluations // settings.steps
        if due > (model.steps - 1) * settings.evaluations // settings.steps and model.steps < settings.steps:
            left = (time.perf_counter() - started) / (model.steps - first) * (settings.steps - model.steps)
            name = f"{training.experiment}, seed {training.seed}"
            say(f"{name}: {model.steps} of {settings.steps}, loss {loss:.4f}, {left:.0f} s left")
            yield from measured(model)
        if model.steps % settings.interval == 0 or model.steps == settings.steps:
            save(training, model, durations)
    yield from measured(model)
    yield {"steps": settings.steps, "measure": "step_time", "value": median(durations)}
    yield {"steps": settings.steps, "measure": "nfe_training", "value": model.calls / settings.steps}


def measured(model: SDEGAN) -> Iterator[dict[str, Any]]:
    """The distances of generated paths from the law, and, before the first step, those of real paths: the floor."""
    ts, samples = model.ts.numpy().astype(float), model.settings.samples
    real, other = (model.real(samples, _REAL_SEED + i).numpy() for i in range(2))
    sets = [(False, model.generated(samples)), *([(True, other)] if model.steps == 0 else [])]
    for is_real, ys in sets:
        for name, value in (
            ("marginal_distance", marginal_distance(ts, ys, model.data.cdf)),
            ("signature_distance", signature_distance(ts, ys, real)),
        ):
            yield {"steps": model.steps, "measure": name, "value": value, "real": is_real}


def save(training: Training, model: SDEGAN, durations: deque[float]) -> None:
    """Replace the checkpoint at once, when the new one has reached the disk."""
    training.folder.mkdir(parents=True, exist_ok=True)
    temporary = training.checkpoint.with_suffix(f".{os.getpid()}.tmp")
    content = {"configuration": training.configuration(), "durations": list(durations), "model": model.state()}
    try:
        with temporary.open("wb") as file:
            model.torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(training.checkpoint)
    finally:
        temporary.unlink(missing_ok=True)


def resume(training: Training, model: SDEGAN) -> list[float]:
    """Load the checkpoint, if there is one. Returns the durations of the steps before it."""
    path = training.checkpoint
    if not path.exists():
        return []
    try:
        content = model.torch.load(path, weights_only=True)
        theirs = content["configuration"]
    except Exception as error:
        raise TrainingError(f"{path} is no checkpoint that can be read ({error}); delete it to begin anew.") from error
    ours = training.configuration()
    if theirs != ours:
        differing = ", ".join(f"{k}={theirs.get(k)!r} there, {v!r} here" for k, v in ours.items() if theirs.get(k) != v)
        raise TrainingError(f"{path} is of another configuration ({differing}); delete it, or name another --out.")
    model.load(content["model"])
    return content["durations"]


def _not_finite(training: Training, step: int, loss: float, gradients: deque[dict[str, float]]) -> str:
    kept = training.checkpoint if training.checkpoint.exists() else "none yet"
    return (
        f"{training.experiment}, seed {training.seed}: the loss is {loss} at step {step}. {grown(list(gradients))} The "
        f"last good checkpoint is kept ({kept}); lower the learning rates (--set descent=... --set ascent=...)."
    )


def grown(gradients: list[Mapping[str, float]]) -> str:
    """Which norm first was not finite, or above GROWTH times its median so far."""
    for i, norms in enumerate(gradients):
        for name, norm in norms.items():
            usual = median(g[name] for g in gradients[: i + 1])
            if not norm <= GROWTH * usual or norm == float("inf"):
                return f"The gradient of {name} grew first, to {norm:.3g}, {len(gradients) - 1 - i} steps before."
    return "No gradient had grown."
