"""The proxy task: a short training, and accuracy on images held out of the training split."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mnas.accuracy._contract import AccuracyEstimate, StopBelow
from mnas.datasets import Dataset, DatasetFacts
from mnas.errors import SettingsError
from mnas.space import Architecture
from mnas.training import Recipe

if TYPE_CHECKING:
    from mnas.models import Network


class ProxyTask:
    """Trains each architecture for a few epochs; its accuracy on the validation split is the estimate.

        task = ProxyTask(DigitsDataset(resolution=16), epochs=5)
        task.estimate(architecture, seed=17).accuracy      # a fraction

    The paper trains 5 epochs of ImageNet (Tan et al. 2019, section 5). The other settings are those of
    `Recipe`. `threads` are torch's while it trains: one, so that worker processes do not contend for cores.

    Raises:
        SettingsError: a setting is out of its range.
    """

    def __init__(
        self,
        dataset: Dataset,
        epochs: int = Recipe.epochs,
        batch: int = Recipe.batch,
        learning_rate: float | None = Recipe.learning_rate,
        warmup_epochs: float = Recipe.warmup_epochs,
        weight_decay: float = Recipe.weight_decay,
        label_smoothing: float = Recipe.label_smoothing,
        dropout: float = Recipe.dropout,
        ema: float = Recipe.ema,
        shift: float = Recipe.shift,
        mirror: bool = Recipe.mirror,
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise SettingsError(f"threads should be at least 1, got {threads}")
        self.dataset = dataset
        self.threads = threads
        self.recipe = Recipe(
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            warmup_epochs=warmup_epochs,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
            dropout=dropout,
            ema=ema,
            shift=shift,
            mirror=mirror,
        )

    @property
    def task(self) -> str:
        """Data set, split, resolution and the whole recipe: what must be equal for accuracies to be compared."""
        return f"{self.dataset.name} validation at {self.dataset.resolution} px: {self.recipe}"

    @property
    def epochs(self) -> int:
        """Of a whole training."""
        return self.recipe.epochs

    def estimate(
        self, architecture: Architecture, seed: int, stop_below: StopBelow | None = None
    ) -> AccuracyEstimate:
        """The accuracy after the last epoch, with the learning curve; the training ends early where it is told to.

        Raises:
            TrainingError: it diverged or ran out of memory.
            SettingsError: the architecture is not for images like the data set's.
        """
        from mnas.models import build_model
        from mnas.training import train

        self.check(architecture)

        def training(on_epoch: Callable[[int, float], None]) -> None:
            module = build_model(architecture, dropout=self.recipe.dropout, seed=seed)
            train(module, self.dataset, self.recipe, seed=seed, on_epoch=on_epoch)

        return estimate_of(training, self.threads, stop_below)

    def check(self, architecture: Architecture) -> None:
        """That the architecture is for images like the data set's.

        Raises:
            SettingsError: it is not.
        """
        check_fit(architecture, self.dataset)


def estimate_of(
    training: Callable[[Callable[[int, float], None]], None], threads: int, stop_below: StopBelow | None
) -> AccuracyEstimate:
    """What a training gives that tells each epoch's accuracy; it ends early where it is told to."""
    began, watch = time.perf_counter(), _Watch(stop_below or StopBelow())
    with _threads(threads):
        try:
            training(watch)
        except _StoppedError:
            watch.stopped = True
    seconds = time.perf_counter() - began
    return AccuracyEstimate(watch.curve[-1], tuple(watch.curve), seconds, watch.stopped)


class _StoppedError(Exception):
    """Ends a training early."""


class _Watch:
    """Notes the accuracy after each epoch, and ends the training where it is below what it should be."""

    def __init__(self, stop_below: StopBelow) -> None:
        self.curve: list[float] = []
        self.stopped = False
        self._stop_below = stop_below

    def __call__(self, epoch: int, accuracy: float) -> None:
        self.curve.append(accuracy)
        if self._stop_below.stops(epoch, accuracy):
            raise _StoppedError


@dataclass(frozen=True)
class Retrained:
    """A network trained once the search is over, and its accuracy on the test split."""

    accuracy: float
    module: Network


def retrain(architecture: Architecture, dataset: Dataset, recipe: Recipe, seed: int, threads: int = 1) -> Retrained:
    """Train on the training and validation images together, and measure once on the test split.

    As in the paper, whose final trainings take all of ImageNet's training images: what the search held out
    has done its work by then.

    Raises:
        TrainingError: it diverged or ran out of memory.
        SettingsError: the architecture is not for images like the data set's.
    """
    from mnas.models import build_model
    from mnas.training import evaluate, train

    check_fit(architecture, dataset)
    with _threads(threads):
        module = build_model(architecture, dropout=recipe.dropout, seed=seed)
        train(module, dataset, recipe, seed=seed, train_on="trainval", evaluate_on=None)
        return Retrained(evaluate(module, dataset, "test"), module)


def check_fit(architecture: Architecture, dataset: DatasetFacts) -> None:
    """Counts and latencies are those of an input; accuracies should be of the same one.

    Raises:
        SettingsError: the architecture is for other images or classes.
    """
    wanted = {
        "resolution": (architecture.resolution, dataset.resolution),
        "input channels": (architecture.input_channels, dataset.channels),
        "classes": (architecture.head.classes, len(dataset.class_names)),
    }
    differing = [f"{name} {ours}, not {theirs}" for name, (ours, theirs) in wanted.items() if ours != theirs]
    if differing:
        raise SettingsError(
            f"the architecture does not fit data set {dataset.name!r}: it has {'; '.join(differing)}. "
            "Set the space's resolution, input_channels and classes to the data set's"
        )


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch's threads, put back afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
