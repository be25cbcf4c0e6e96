"""The training of one module: small, and quick on small images."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from mnas.datasets import Dataset, DetectionDataset, Part
from mnas.errors import OutOfMemoryError, SettingsError
from mnas.training._checkpoints import Checkpoints
from mnas.training._hardware import Hardware
from mnas.training._interrupts import Interrupts
from mnas.training._processes import Processes
from mnas.training._progress import Progress
from mnas.training._recipe import Recipe
from mnas.training._run import Run
from mnas.training._task import Classification, Task

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True)
class TrainingResult:
    """How a training went. The trained weights are the module's own."""

    accuracy: float | None  # after the last epoch; None where nothing was evaluated
    curve: tuple[float, ...]  # accuracy after each epoch
    losses: tuple[float, ...]  # mean training loss of each epoch
    images: int  # that were trained on, counted each time
    seconds: float  # of all processes one after the other that it took, where it was resumed


def train(
    model: nn.Module,
    dataset: Dataset | DetectionDataset,
    recipe: Recipe,
    *,
    seed: int,
    task: Task | None = None,
    train_on: Part = "train",
    evaluate_on: Part | None = "validation",
    on_epoch: Callable[[int, float], None] | None = None,
    on_step: Callable[[Progress], None] | None = None,
    hardware: Hardware | None = None,
    checkpoints: Checkpoints | None = None,
    teacher: nn.Module | None = None,
) -> TrainingResult:
    """Train a module in place and evaluate it after each epoch; the task is classification if none is given.

    The same weights, data and seed give the same result, bit for bit on one machine with one thread, whether or
    not the training was killed and resumed. Torch's global generator is left as it was. `on_epoch` is told the
    epoch, from 1, and its accuracy, `on_step` the Progress (on a GPU after every 50 steps); what they raise ends
    the training. The teacher sees the images as the module does, and is left as it was.

    With checkpoints, Ctrl-C ends the training after the step that it is at and leaves a checkpoint of that; a second
    one ends it at once.

    Raises:
        TrainingError: the loss became not finite or enormous, or memory ran out.
        SettingsError: the recipe, the hardware and the data do not fit each other.
        StorageError: a checkpoint cannot be written, or is not this training's.
    """
    _check_teacher(recipe, teacher)
    hardware = hardware or Hardware()
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        processes = Processes(hardware.distributed, hardware.device != "cpu" and torch.cuda.is_available())
        device = hardware.torch_device(processes.local_rank)
        stack.enter_context(processes)
        stack.enter_context(_own_randomness(seed, device, hardware.deterministic))
        stack.enter_context(_memory_errors())
        run = Run(
            model,
            task or Classification(),
            dataset,
            recipe,
            hardware,
            processes,
            device,
            seed,
            (train_on, evaluate_on),
            teacher,
        )
        run.checkpoints, run.on_step = checkpoints, on_step
        if checkpoints is not None:
            run.interrupts = stack.enter_context(Interrupts())
        stack.enter_context(run)
        while run.epoch <= recipe.epochs:
            run.train_epoch()
            if evaluate_on is not None:
                accuracy = run.evaluate(evaluate_on)
                if on_epoch is not None:
                    on_epoch(run.epoch, accuracy)
            run.end_epoch()
    seconds = run.seconds_before + time.perf_counter() - began
    curve = tuple(run.curve)
    return TrainingResult(curve[-1] if curve else None, curve, tuple(run.losses), run.images_seen, seconds)


def _check_teacher(recipe: Recipe, teacher: nn.Module | None) -> None:
    if bool(recipe.distillation) != (teacher is not None):
        came = "a teacher" if teacher is not None else "no teacher"
        raise SettingsError(
            f"distillation should be above zero where there is a teacher, and only there; got {recipe.distillation} "
            f"and {came}"
        )


@contextlib.contextmanager
def _own_randomness(seed: int, device: torch.device, deterministic: bool) -> Iterator[None]:
    """Dropout knows no generator but torch's global one: it is seeded here and put back."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        if deterministic:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Running out of memory, in whatever words, as an OutOfMemoryError; other errors as they are."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_memory = isinstance(error, MemoryError) or any(words in str(error).lower() for words in _OUT_OF_MEMORY)
        if not is_memory:
            raise
        raise OutOfMemoryError(f"training ran out of memory: {error or type(error).__name__}") from error
