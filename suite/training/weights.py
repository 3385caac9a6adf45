"""The paths that the weights of small networks take while these learn to read digits: computed once, then kept.

They stand for the paper's data set of weights, and are not it: its networks were others, trained on other digits.
"""

import hashlib
import os
import warnings
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from suite.training.tables import DataError

FORMAT = 1  # of what is kept


@dataclass(frozen=True)
class Training:
    """Networks of one hidden layer with tanh, by plain stochastic gradient descent."""

    networks: int = 10
    hidden: int = 20
    epochs: int = 50
    batch: int = 64
    rate: float = 0.1
    seed: int = 0


def trajectories(digits: Path, training: Training = Training(), folder: Path | None = None) -> np.ndarray:
    """The weights before training and after each epoch, [epochs + 1, networks, weights], in single precision.

    Kept in `folder`, by default that of the user's caches; what is damaged there is computed anew.
    """
    images, labels = read_digits(digits)
    told = f"{FORMAT} {asdict(training)} {hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()}"
    file = (folder or cache()) / f"weights-digits-{hashlib.sha256(told.encode()).hexdigest()[:12]}.npz"
    found = _kept(file)
    if found is None:
        found = trained(images, labels, training)
        _keep(file, found)
    return found


def read_digits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images [number, 64] with entries between 0 and 1, and their digits [number]."""
    try:
        with warnings.catch_warnings(action="ignore"):  # an empty one is refused below
            table = np.loadtxt(path, delimiter=",", ndmin=2)
    except (ValueError, EOFError, OSError) as error:
        raise DataError(f"{path} is no table of digits ({error}); install scikit-learn again.") from error
    if table.shape[1:] != (65,) or not np.isin(table[:, 64], np.arange(10)).all():
        raise DataError(f"{path} must have 64 pixels and a digit in each line, has {table.shape[1]} columns.")
    return table[:, :64] / 16, table[:, 64].astype(int)


def trained(images: np.ndarray, labels: np.ndarray, training: Training) -> np.ndarray:
    """All networks at once."""
    rng = np.random.default_rng(training.seed)
    sizes = images.shape[1], training.hidden, 10
    layers = {}
    for k, (a, b) in enumerate(pairwise(sizes)):
        end = a**-0.5
        layers[f"W{k}"] = rng.uniform(-end, end, (training.networks, a, b))
        layers[f"b{k}"] = rng.uniform(-end, end, (training.networks, 1, b))
    found, targets = [_flat(layers)], np.eye(10)[labels]
    for _ in range(training.epochs):
        order = rng.permuted(np.tile(np.arange(len(images)), (training.networks, 1)), axis=1)
        for start in range(0, len(images) - training.batch + 1, training.batch):
            chosen = order[:, start : start + training.batch]
            _step(layers, images[chosen], targets[chosen], training.rate)
        found.append(_flat(layers))
    return np.stack(found)


def _step(layers: dict[str, np.ndarray], x: np.ndarray, target: np.ndarray, rate: float) -> None:
    """Descend the mean cross-entropy of each network on its own batch [networks, batch, pixels], in place."""
    h = np.tanh(x @ layers["W0"] + layers["b0"])
    scores = h @ layers["W1"] + layers["b1"]
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    slope = (shares / shares.sum(-1, keepdims=True) - target) / x.shape[1]
    below = (slope @ layers["W1"].transpose(0, 2, 1)) * (1 - h**2)
    for k, (inputs, outputs) in enumerate(((x, below), (h, slope))):
        layers[f"W{k}"] -= rate * (inputs.transpose(0, 2, 1) @ outputs)
        layers[f"b{k}"] -= rate * outputs.sum(1, keepdims=True)


def _flat(layers: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([x.reshape(len(x), -1) for x in layers.values()], 1).astype(np.float32)


def cache() -> Path:
    """Where what is computed for this user is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sdegrad"


def _kept(file: Path) -> np.ndarray | None:
    """What the file holds, if its checksum is right."""
    try:
        with np.load(file) as content:
            ys, checksum = content["ys"], str(content["sha256"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return ys if hashlib.sha256(ys.tobytes()).hexdigest() == checksum else None


def _keep(file: Path, ys: np.ndarray) -> None:
    """Where nothing can be written, it is computed again the next time."""
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            np.savez_compressed(out, ys=ys, sha256=hashlib.sha256(ys.tobytes()).hexdigest())
        temporary.replace(file)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
