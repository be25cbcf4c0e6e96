"""The proxy task of detectors: a short training, and AP on images held out of the training split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from mnas.accuracy._contract import AccuracyEstimate, StopBelow
from mnas.accuracy._proxy import check_fit, estimate_of
from mnas.datasets import DetectionDataset
from mnas.errors import SettingsError
from mnas.space import Architecture
from mnas.training import Recipe

Metric = Literal["ap", "ap50"]


class DetectionProxy:
    """Trains each detector for a few epochs; its AP, or AP at IoU .5, on the validation split is its accuracy.

        task = DetectionProxy(CocoDataset("annotations.json", "images", resolution=160), epochs=10)
        task.estimate(architecture, seed=17).accuracy      # a fraction

    Backbone and head are trained together, from fresh weights. AP at IoU .5 tells networks apart sooner: boxes become
    tight late. The recipe is that of `ssdlite-small`, shorter.

    Raises:
        SettingsError: a setting is out of its range.
    """

    def __init__(
        self,
        dataset: DetectionDataset,
        epochs: int = 10,
        batch: int = 16,
        learning_rate: float = 0.002,
        warmup_epochs: float = 1.0,
        weight_decay: float = 0.02,
        metric: Metric = "ap50",
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise SettingsError(f"threads should be at least 1, got {threads}")
        if metric not in get_args(Metric):
            raise SettingsError(f"metric should be one of {', '.join(get_args(Metric))}, got {metric!r}")
        self.dataset, self.metric, self.threads = dataset, metric, threads
        self.recipe = Recipe(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            warmup_epochs=warmup_epochs,
            weight_decay=weight_decay,
            label_smoothing=0.0,
            ema=0.99,
            schedule="cosine",
            schedule_epochs=0,
            short_rate=False,
            norm_warmup=True,
            optimizer="adamw",
            clip=10.0,
        )

    @property
    def task(self) -> str:
        """Metric, data set, split, resolution and the whole recipe."""
        return f"{self.metric} on {self.dataset.name} validation at {self.dataset.resolution} px: {self.recipe}"

    @property
    def epochs(self) -> int:
        """Of a whole training."""
        return self.recipe.epochs

    def estimate(
        self, architecture: Architecture, seed: int, stop_below: StopBelow | None = None
    ) -> AccuracyEstimate:
        """The metric after the last epoch, with the learning curve; the training ends early where it is told to.

        Raises:
            TrainingError: it diverged or ran out of memory.
            SettingsError: the architecture is no detector, or not for images and classes like the data set's.
        """
        from mnas.models import build_detector
        from mnas.training import Detection, train

        self.check(architecture)

        def training(on_epoch: Callable[[int, float], None]) -> None:
            task = Detection(architecture, self.recipe, self.metric)
            detector = build_detector(architecture, seed=seed)
            train(detector, self.dataset, self.recipe, seed=seed, task=task, on_epoch=on_epoch)

        return estimate_of(training, self.threads, stop_below)

    def check(self, architecture: Architecture) -> None:
        """That the architecture is a detector for images like the data set's.

        Raises:
            SettingsError: it is not.
        """
        if not architecture.is_detector:
            raise SettingsError(
                "accuracy 'detection' is that of detectors, and the space's networks are classifiers: set detector = "
                "true under [space]"
            )
        check_fit(architecture, self.dataset)
