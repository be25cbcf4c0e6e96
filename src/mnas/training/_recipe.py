"""Recipe: how a module is trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from mnas.errors import SettingsError


@dataclass(frozen=True)
class Recipe:
    """How a module is trained: the paper's optimizer and schedule (Tan et al. 2019, section 5), for short trainings.

    RMSProp with decay 0.9, momentum 0.9 and the official epsilon 0.001; linear warm-up, then x0.97 every 2.4
    epochs of a training of `schedule_epochs`, stretched or squeezed to `epochs` (see `learning_rate`). Random
    shifts and dropout are off: networks that see each image five times learn less with them. For the paper's own
    ImageNet training: Recipe(350, batch=4096, learning_rate=0.256, warmup_epochs=5, dropout=0.2).
    """

    epochs: int = 5
    batch: int = 64
    learning_rate: float | None = None  # the peak; None: see peak_learning_rate
    warmup_epochs: float = 0.5
    weight_decay: float = 1e-5  # added to the gradient, batch norm left out, as in the official code
    label_smoothing: float = 0.1
    dropout: float = 0.0  # before the classifier
    ema: float = 0.9999  # of weights and batch-norm statistics, which are then the result; 0: none
    shift: float = 0.0  # largest random shift in each direction, as a share of the image's side
    mirror: bool = True  # random horizontal flips, where the data set allows them
    schedule_epochs: float = 350.0  # length of the training that the decay is written for

    def __post_init__(self) -> None:
        expected = {
            "epochs": (self.epochs >= 1, "at least 1"),
            "batch": (self.batch >= 2, "at least 2: batch norm needs two images"),
            "learning_rate": (self.learning_rate is None or self.learning_rate > 0, "above zero"),
            "warmup_epochs": (0 <= self.warmup_epochs <= self.epochs, "from 0 to the number of epochs"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "from 0 to below 1"),
            "dropout": (0 <= self.dropout < 1, "from 0 to below 1"),
            "ema": (0 <= self.ema < 1, "from 0 to below 1"),
            "shift": (0 <= self.shift <= 0.5, "from 0 to 0.5 of the image's side"),
            "schedule_epochs": (self.schedule_epochs > 0, "above zero"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise SettingsError(f"{name} should be {words}, got {getattr(self, name)!r}")

    def __str__(self) -> str:
        values = asdict(self) | {"learning_rate": self.learning_rate or "by length"}
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items())
