"""The training of one module: small, and quick on small images."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mnas.datasets import Dataset, Part
from mnas.errors import TrainingError
from mnas.training._augment import augment
from mnas.training._average import NormMomentum, WeightAverage, swap
from mnas.training._evaluate import Normalize, evaluate
from mnas.training._flat_parameters import FlatParameters
from mnas.training._recipe import Recipe
from mnas.training._rmsprop_tf import RMSpropTF
from mnas.training._schedule import learning_rate, peak_learning_rate

# Times the loss of a guess. A training that got there does not come back within its epochs.
_DIVERGED = 1000.0
_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True)
class TrainingResult:
    """How a training went. The trained weights are the module's own."""

    accuracy: float | None  # after the last epoch; None where nothing was evaluated
    curve: tuple[float, ...]  # accuracy after each epoch
    losses: tuple[float, ...]  # mean training loss of each epoch
    images: int  # that were trained on, counted each time
    seconds: float


def train(
    model: nn.Module,
    dataset: Dataset,
    recipe: Recipe,
    *,
    seed: int,
    train_on: Part = "train",
    evaluate_on: Part | None = "validation",
    on_epoch: Callable[[int, float], None] | None = None,
) -> TrainingResult:
    """Train a module in place and evaluate it after each epoch.

    The same weights, data and seed give the same result, bit for bit on one machine with one thread. Torch's
    global generator is left as it was. `on_epoch` is told the epoch, from 1, and its accuracy; what it raises
    ends the training.

    Raises:
        TrainingError: the loss became not finite or enormous, or memory ran out.
    """
    began = time.perf_counter()
    curve: list[float] = []
    with _own_randomness(seed), _memory_errors(), _Run(model, dataset, recipe, seed, train_on) as run:
        for epoch in range(1, recipe.epochs + 1):
            run.train_epoch(epoch)
            if evaluate_on is not None:
                curve.append(run.evaluate(evaluate_on))
                if on_epoch is not None:
                    on_epoch(epoch, curve[-1])
    seconds = time.perf_counter() - began
    return TrainingResult(curve[-1] if curve else None, tuple(curve), tuple(run.losses), run.images_seen, seconds)


class _Run:
    """One training in progress. On the way out the module gets its averaged weights and its own tensors."""

    def __init__(self, model: nn.Module, dataset: Dataset, recipe: Recipe, seed: int, train_on: Part) -> None:
        self.model, self.dataset, self.recipe = model, dataset, recipe
        self.images = dataset.split(train_on)
        self.steps_per_epoch = max(1, len(self.images) // recipe.batch)
        self.normalize = Normalize(dataset)
        self.shift = 0 if self.images.is_cropped else round(recipe.shift * dataset.resolution)
        self.generator = torch.Generator().manual_seed(seed)
        self._peak = peak_learning_rate(recipe, recipe.epochs * self.steps_per_epoch)
        self.step = 0
        self.images_seen = 0
        self.losses: list[float] = []

    def __enter__(self) -> _Run:
        self.was_training = self.model.training
        self.norms = NormMomentum(self.model)
        self.flat = FlatParameters(self.model)
        self.average = WeightAverage(self.flat.vector, self.recipe.ema)
        groups = [
            {"params": [self.flat.decayed], "weight_decay": self.recipe.weight_decay},
            {"params": [self.flat.plain]},
        ]
        self.optimizer = RMSpropTF(groups, lr=0.0)  # set before each step
        return self

    def __exit__(self, *_: object) -> None:
        swap(self.flat.vector, self.average.value)
        self.flat.release()
        self.norms.restore()
        self.model.train(self.was_training)

    def train_epoch(self, epoch: int) -> None:
        """One pass over the training images."""
        self.model.train()
        seed = int(torch.randint(2**62, (), generator=self.generator))
        losses = [
            self._take_step(epoch, pixels, labels) for pixels, labels in self.images.batches(self.recipe.batch, seed)
        ]
        self.losses.append(math.fsum(losses) / len(losses))

    def evaluate(self, part: Part) -> float:
        """The accuracy of the averaged weights."""
        swap(self.flat.vector, self.average.value)
        accuracy = evaluate(self.model, self.dataset, part)
        swap(self.flat.vector, self.average.value)
        return accuracy

    def _take_step(self, epoch: int, pixels: Tensor, labels: Tensor) -> float:
        self.norms.set(self.step)
        mirror = self.recipe.mirror and self.dataset.mirrors
        images = augment(self.normalize(pixels), self.shift, mirror, self.generator)
        logits = self.model(images)
        loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        value = self._checked(loss.item(), epoch, logits.shape[1])
        self.flat.set_gradients(torch.autograd.grad(loss, self.flat.parameters, materialize_grads=True))
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        self.optimizer.step()
        self.average.update(self.step)
        self.step += 1
        self.images_seen += len(labels)
        return value

    def _checked(self, loss: float, epoch: int, classes: int) -> float:
        if math.isfinite(loss) and loss < _DIVERGED * math.log(max(classes, 2)):
            return loss
        where = f"epoch {epoch}, step {self.step - (epoch - 1) * self.steps_per_epoch + 1} of {self.steps_per_epoch}"
        raise TrainingError(
            f"training diverged in {where}: the loss is {loss:.3g} (a guess has {math.log(classes):.3g}); "
            f"a peak learning rate of {self._peak:.3g} may be too high for this network"
        )


@contextlib.contextmanager
def _own_randomness(seed: int) -> Iterator[None]:
    """Dropout knows no generator but torch's global one: it is seeded here and put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Running out of memory, in whatever words, as a TrainingError; other errors as they are."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_memory = isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)
        if not is_memory:
            raise
        raise TrainingError(f"training ran out of memory: {error or type(error).__name__}") from error
