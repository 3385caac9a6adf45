"""What is trained, and how long: one table of experiments, one of presets, and the settings of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace


class SettingsError(ValueError):
    """Settings that cannot be used; the message says which, and what to do."""


@dataclass(frozen=True)
class Experiment:
    """method, adjoint: of the solver. penalty: the discriminator is held by a gradient penalty, else by clipping.
    matching: there is none, the generator is trained by `matching.energy_score`."""

    method: str
    adjoint: str
    penalty: bool = False
    matching: bool = False

    @property
    def contrast(self) -> float:
        """Paths are multiplied by this before they are scored. With clipped weights a discriminator is almost linear
        in paths of the size of the data, and blind to how widely they spread."""
        return 1.0 if self.penalty else 4.0


MOST, WIDEST = 10**7, 10**4  # of any number, and of those whose square is the size of a matrix
FIRST = "reversible-clipping", "reversible-matching"  # the most telling: they have more steps where time is short
# The rows of the paper's table of the SDE-GAN, and what came after it. A gradient penalty is differentiated twice: by
# backpropagation.
EXPERIMENTS: Mapping[str, Experiment] = {
    "reversible-clipping": Experiment("reversible_heun", "reversible"),
    "reversible-matching": Experiment("reversible_heun", "reversible", matching=True),
    "midpoint-clipping": Experiment("midpoint", "backsolve"),
    "midpoint-penalty": Experiment("midpoint", "backprop", penalty=True),
    "reversible-penalty": Experiment("reversible_heun", "backprop", penalty=True),
}


@dataclass(frozen=True)
class Settings:
    """others: the steps of experiments that are not FIRST; times: of the data, 0, 1, 2, ...; samples: paths of each
    measure; evaluations: how often it is measured; interval: steps from one checkpoint to the next.
    """

    steps: int = 200
    others: int = 40
    times: int = 16
    batch: int = 256
    hidden: int = 16
    width: int = 16
    noise: int = 3
    samples: int = 2048
    evaluations: int = 20
    interval: int = 50
    descent: float = 2e-3  # learning rate of the generator
    ascent: float = 1e-2  # and of the discriminator
    matching: float = 5e-3  # and of the generator where it is alone: it has no one to follow

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), {"times": 2, "samples": 100}.get(field.name, 1)
            most = WIDEST if field.name in ("hidden", "width", "noise") else MOST
            if field.type is int and (type(value) is not int or not least <= value <= most):
                raise SettingsError(f"{field.name} must be an integer from {least} to {most}, got {value!r}.")
            if field.type is float and not 0 < value < 1:
                raise SettingsError(f"{field.name} must be between 0 and 1, got {value!r}.")
        for name in ("steps", "others"):
            if self.evaluations > getattr(self, name):
                raise SettingsError(
                    f"evaluations={self.evaluations} is more than {name}={getattr(self, name)}; make it less."
                )

    def of(self, experiment: str) -> "Settings":
        """The settings of an experiment by its name: its number of steps is `steps`."""
        return self if experiment in FIRST else replace(self, steps=self.others)

    def descent_of(self, experiment: Experiment) -> float:
        return self.matching if experiment.matching else self.descent

    def is_due(self, step: int) -> bool:
        """Whether to measure after this step; after the last one it is done anyway."""
        now, before = (k * self.evaluations // self.steps for k in (step, step - 1))
        return now > before and step < self.steps


# paper: its data, with the batch and the steps that its authors publish for it. gpu: the same, for an hour.
_GPU = Settings(steps=2000, others=2000, times=32, batch=1024, samples=8192, interval=200)
PRESETS: Mapping[str, Settings] = {
    "cpu": Settings(),
    "gpu": _GPU,
    "paper": replace(_GPU, steps=10_000, others=10_000),
    "tiny": Settings(steps=6, others=6, times=4, batch=8, hidden=4, width=4, samples=100, evaluations=2, interval=2),
}


def changed(settings: Settings, changes: Sequence[str]) -> Settings:
    """`settings` with "name=value" applied. SettingsError for an unknown name, or a value that does not fit."""
    types = {field.name: field.type for field in fields(settings)}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in types:
            raise SettingsError(f"unknown setting {name!r}; the settings are {', '.join(types)}, as in steps=100.")
        kind = types[name]
        assert isinstance(kind, type)
        try:
            settings = replace(settings, **{name: kind(text)})
        except SettingsError:
            raise
        except ValueError:
            usual = getattr(settings, name)
            raise SettingsError(f"{name} must be a number like {usual}, got {text!r}; as in {name}={usual}.") from None
    return settings
