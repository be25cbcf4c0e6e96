"""Recipe: how a module is trained."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from mnas.errors import SettingsError

Optimizer = Literal["rmsprop-tf", "sgd", "adamw"]
Schedule = Literal["stairs", "cosine"]
ClassWeights = Literal["none", "balanced"]
DetectionLoss = Literal["softmax", "sigmoid", "focal"]
Sampling = Literal["plain", "balanced"]

# These every recipe tells of itself; the others where they are not the default. Stored runs know tasks by this text.
_ALWAYS_TOLD = (
    "epochs", "batch", "learning_rate", "warmup_epochs", "weight_decay", "label_smoothing", "dropout", "ema", "shift",
    "mirror", "schedule_epochs",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """How a module is trained: the paper's optimizer and schedule (Tan et al. 2019, section 5), for short trainings.

    RMSProp with decay 0.9, momentum 0.9 and the official epsilon 0.001; linear warm-up, then x0.97 every 2.4
    epochs of a training of `schedule_epochs`, stretched or squeezed to `epochs` (see `learning_rate`). Random
    shifts and dropout are off: networks that see each image five times learn less with them. Three settings make
    up for a training's shortness: `schedule_epochs`, `short_rate` and `norm_warmup`. Recipes for long trainings
    have none of them: `load_recipe("imagenet-mnasnet")` is the paper's own.
    """

    epochs: int = 5
    batch: int = 64  # images of one optimizer step, of all processes together
    learning_rate: float | None = None  # the peak; None: by `rate_per_256`, see peak_learning_rate
    warmup_epochs: float = 0.5
    weight_decay: float = (
        1e-5  # added to the gradient (adamw: to the step), batch norm left out, as in the official code
    )
    label_smoothing: float = 0.1
    dropout: float = 0.0  # before the classifier
    ema: float = 0.9999  # of weights and batch-norm statistics, which are then the result; 0: none
    shift: float = 0.0  # largest random shift in each direction, as a share of the image's side
    mirror: bool = True  # random horizontal flips, where the data set allows them
    schedule_epochs: float = 350.0  # length of the training that the stairs are written for; 0: as long as they say
    optimizer: Optimizer = "rmsprop-tf"
    momentum: float = 0.9  # sgd: Nesterov's; adamw: beta1
    schedule: Schedule = "stairs"
    rate_per_256: float = 0.016  # the peak per 256 images of a batch, where `learning_rate` is None
    short_rate: bool = True  # the peak by rate_per_256 is higher in short trainings
    norm_warmup: bool = True  # batch norm's statistics forget their start quickly at first
    clip: float = 0.0  # largest length of the gradient of all weights; 0: none
    randaugment: float = 0.0  # magnitude of two random operations per image, up to 10; 0: none
    erasing: float = 0.0  # share of the images of which a rectangle is replaced by noise
    mixup: float = 0.0  # alpha of the Beta distribution by which batches are mixed with themselves; 0: none
    class_weights: ClassWeights = "none"  # balanced: a class counts as much as any other, however few its images
    sampling: Sampling = "plain"  # balanced: each class is drawn equally often, however few its images
    distillation: float = 0.0  # share of the loss that is the difference from the teacher's answers
    temperature: float = 1.0  # by which both answers are divided first
    resolution: int = 0  # pixels that it is written for; 0: any
    epsilon: float = 0.001  # rmsprop-tf: inside the root
    stair: float = 0.97  # stairs: what the learning rate is multiplied by
    stair_epochs: float = 2.4  # stairs: how often
    detection_loss: DetectionLoss = "softmax"  # of a detector's classes; softmax and sigmoid look at hard negatives

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
            "schedule_epochs": (self.schedule_epochs >= 0, "at least 0"),
            "optimizer": (self.optimizer in get_args(Optimizer), f"one of {', '.join(get_args(Optimizer))}"),
            "momentum": (0 <= self.momentum < 1, "from 0 to below 1"),
            "schedule": (self.schedule in get_args(Schedule), f"one of {', '.join(get_args(Schedule))}"),
            "rate_per_256": (self.rate_per_256 > 0, "above zero"),
            "clip": (self.clip >= 0, "at least 0"),
            "randaugment": (0 <= self.randaugment <= 10, "from 0 to 10"),
            "erasing": (0 <= self.erasing <= 1, "from 0 to 1"),
            "mixup": (self.mixup >= 0, "at least 0"),
            "class_weights": (self.class_weights in get_args(ClassWeights), "none or balanced"),
            "sampling": (self.sampling in get_args(Sampling), "plain or balanced"),
            "distillation": (0 <= self.distillation <= 1, "from 0 to 1"),
            "temperature": (self.temperature > 0, "above zero"),
            "resolution": (self.resolution >= 0, "at least 0"),
            "epsilon": (self.epsilon > 0, "above zero"),
            "stair": (0 < self.stair <= 1, "above 0 and at most 1"),
            "stair_epochs": (self.stair_epochs > 0, "above zero"),
            "detection_loss": (self.detection_loss in get_args(DetectionLoss), "softmax, sigmoid or focal"),
        }
        for name, (holds, words) in expected.items():
            if not holds:
                raise SettingsError(f"{name} should be {words}, got {getattr(self, name)!r}")
        if self.class_weights == self.sampling == "balanced":
            raise SettingsError(
                "class_weights and sampling should not both be balanced: rare classes would count twice over"
            )

    def __str__(self) -> str:
        told = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name in _ALWAYS_TOLD or getattr(self, field.name) != field.default
        }
        told["learning_rate"] = self.learning_rate or "by length"
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in told.items())

    def to_dict(self) -> dict[str, Any]:
        """Every setting that has a value, as a recipe file holds it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}
