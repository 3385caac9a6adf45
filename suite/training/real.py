"""Trainings on data whose law nobody knows: what is trained on them, and how useful what is generated is.

Labels are one more channel for each class, 1 in that of a path and 0 in the others; so they are generated too.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from suite.training.data import DATA, DataError, Series, beijing
from suite.training.held_out import label_accuracy, prediction_loss, real_fake_accuracy
from suite.training.measures import LEAST_PATHS, signature_distance
from suite.training.model import Model
from suite.training.settings import EXPERIMENTS, Experiment, Settings
from suite.training.torch_gan import TorchGAN
from suite.training.torch_latent import TorchLatent

LATENT: Mapping[str, Experiment] = {
    "midpoint-latent": Experiment("midpoint", "backsolve"),
    "reversible-latent": Experiment("reversible_heun", "reversible"),
}
LIBRARY = "sdegrad_torch"
YOURS = "beijing"  # whose files nobody ships: they are in a folder of yours


@dataclass(frozen=True)
class RealData:
    """experiments: what is trained on it, where nothing is named."""

    name: str
    experiments: Sequence[str]
    series: Series

    @property
    def digest(self) -> str:
        """A name of its numbers: two folders may hold other ones under one name."""
        arrays = (x for x in vars(self.series).values() if isinstance(x, np.ndarray))
        return sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest()[:12]

    @property
    def channels(self) -> int:
        return len(self.series.channels) + len(self.series.labels)

    def settings(self, given: Settings) -> Settings:
        """Those that fit the data. Half of the samples train a classifier, which needs enough of them."""
        samples = max(given.samples, 2 * LEAST_PATHS)
        return replace(given, times=len(self.series.ts), samples=samples)

    def experiment(self, name: str) -> Experiment:
        return {**LATENT, **EXPERIMENTS}[name]

    def model(self, name: str, settings: Settings, seed: int) -> Model:
        if name in LATENT:
            return TorchLatent(LATENT[name], settings, seed, self.channels)
        return TorchGAN(EXPERIMENTS[name], settings, seed)

    def sample(self, rng: np.random.Generator, _: np.ndarray, paths: int) -> np.ndarray:
        """Paths to train on, each as often as chance has it, [times, paths, channels and classes]."""
        ys, labels = self.series.train, self.series.train_labels
        if labels is not None:
            shown = np.eye(len(self.series.labels))[labels]
            ys = np.concatenate((ys, np.broadcast_to(shown, (len(ys), *shown.shape))), -1)
        return ys[:, rng.integers(ys.shape[1], size=paths)]

    def nearness(self, generated: np.ndarray, *, whole: bool) -> Iterator[tuple[str, float]]:
        """How far generated paths are from those to test on; if whole, how useful they are in their place."""
        ts, test = self.series.ts, self.series.test
        ys, shown = np.split(generated, [len(self.series.channels)], -1)
        yield "signature_distance", signature_distance(ts, ys, test)
        if not whole:
            return
        yield "real_fake_accuracy", real_fake_accuracy(test, ys)
        yield "prediction_loss", prediction_loss(ys, test)
        if self.series.test_labels is not None:
            labels = shown.mean(0).argmax(1)
            yield "label_accuracy", label_accuracy((ys, labels), (test, self.series.test_labels))


def load(name: str, folder: Path | None = None) -> RealData:
    """folder: of the files of `YOURS`. MissingData, with what gets it, where a package or a file is not there;
    DataError where the paths are too few."""
    found = beijing(folder) if folder else DATA[name].load()
    if name == "weights-digits":  # every fifth epoch
        found = replace(found, ts=np.arange(11.0), train=found.train[::5], test=found.test[::5])
    paths = found.test.shape[1]
    if paths < 2 * LEAST_PATHS:  # half of them train a classifier
        raise DataError(
            f"{folder or name} has {paths} paths to test on; to tell how good what was trained is takes "
            f"{2 * LEAST_PATHS}: give more data."
        )
    return RealData(name, TRAINED[name], found)


# What is trained on which data, where nothing is named.
TRAINED: Mapping[str, Sequence[str]] = {
    "weather": tuple(LATENT),
    YOURS: tuple(LATENT),
    **dict.fromkeys(("weights-digits", "oil"), ("midpoint-clipping", "reversible-clipping")),
}
