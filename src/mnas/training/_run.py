"""Run: one training in progress, from which a checkpoint can be made between any two steps."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mnas.datasets import Part
from mnas.errors import TrainingError
from mnas.training._average import NormMomentum, WeightAverage, swap
from mnas.training._checkpoints import Checkpoints, Snapshot, load_snapshot, save_snapshot
from mnas.training._flat_parameters import FlatParameters
from mnas.training._gradient import Gradient
from mnas.training._hardware import Hardware
from mnas.training._identity import identity_of
from mnas.training._interrupts import Interrupts
from mnas.training._optimizers import make_optimizer
from mnas.training._processes import Processes
from mnas.training._progress import Pace, Progress
from mnas.training._recipe import Recipe
from mnas.training._sampling import balanced
from mnas.training._schedule import learning_rate, peak_learning_rate
from mnas.training._task import Task

# Times the loss of a guess. A training that got there does not come back within its epochs.
_DIVERGED = 1000.0
_STEPS_PER_LOOK = 50  # on a GPU: asking for a loss waits for it


class Run:
    """One training in progress. On the way out the module gets its averaged weights and its own tensors."""

    checkpoints: Checkpoints | None = None
    interrupts: Interrupts | None = None  # held back while a step is taken
    on_step: Callable[[Progress], None] | None = None

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        dataset: Any,
        recipe: Recipe,
        hardware: Hardware,
        processes: Processes,
        device: torch.device,
        seed: int,
        parts: tuple[Part, Part | None],
        teacher: nn.Module | None,
    ) -> None:
        self.model, self.task, self.dataset, self.recipe, self.hardware = model, task, dataset, recipe, hardware
        self.processes, self.device, self.seed, self.teacher = processes, device, seed, teacher
        self.images = dataset.split(parts[0])
        self._parts = parts
        self.steps_per_epoch = max(1, len(self.images) // recipe.batch)
        self.generator = torch.Generator().manual_seed(seed)
        self.epoch, self.position = 1, 0  # position: steps of this epoch that are done
        self.step = self.images_seen = self.epoch_seed = 0
        self.seconds_before = 0.0  # of the processes before this one
        self.losses: list[float] = []
        self.epoch_losses: list[float] = []
        self.curve: list[float] = []
        self._new_losses: list[Tensor] = []
        self._began = self._saved_at = time.perf_counter()
        self._saved_step: int | None = None

    def __enter__(self) -> Run:
        self._was_training = self.model.training
        self._was_on = next(iter(self.model.parameters())).device
        self.model.to(self.device)
        if self.teacher is not None:
            self._teacher_was = self.teacher.training, next(iter(self.teacher.parameters())).device
            self.teacher.to(self.device).eval()
        self.norms = NormMomentum(self.model, self.recipe.norm_warmup)
        self.flat = FlatParameters(self.model)
        self.average = WeightAverage(self.flat.vector, self.recipe.ema)
        self.optimizer = make_optimizer(self.recipe, self.flat)
        self.gradient = Gradient(
            self.model,
            self.flat,
            self.teacher,
            self.task.changes(self.recipe, self.dataset, self.images, self.device),
            self.task.loss(self.recipe, self.dataset, self.images, self.device),
            self.recipe,
            self.hardware,
            self.processes,
            self.device,
            len(self.images),
        )
        try:
            self._resume()
        except BaseException:
            self._release()
            raise
        self._pace = Pace(self.step, self.recipe.epochs * self.steps_per_epoch, self.recipe.batch)
        return self

    def __exit__(self, *_: object) -> None:
        swap(self.flat.vector, self.average.value)
        self._release()

    def _release(self) -> None:
        self.flat.release()
        self.norms.restore()
        self.model.to(self._was_on)
        self.model.train(self._was_training)
        if self.teacher is not None:
            was_training, was_on = self._teacher_was
            self.teacher.to(was_on).train(was_training)

    def train_epoch(self) -> None:
        """One pass over the training images, or what is left of it."""
        self._stop_if_interrupted()  # before the epoch's seed is drawn, which a resumed training draws again
        self.model.train()
        if self.position == 0:
            self.epoch_seed = int(torch.randint(2**62, (), generator=self.generator))
        batches = self._batches()
        while self.position < self.steps_per_epoch and self._take_step(batches):
            self._stop_if_interrupted()
            if self.checkpoints and time.perf_counter() - self._saved_at >= self.checkpoints.every_seconds:
                self._save()
        self._look()

    def end_epoch(self) -> None:
        """On to the next one."""
        self.losses.append(math.fsum(self.epoch_losses) / len(self.epoch_losses))
        self.epoch, self.position = self.epoch + 1, 0
        self.epoch_losses.clear()
        if self.checkpoints and self.epoch > self.recipe.epochs:
            self._save()

    def evaluate(self, part: Part) -> float:
        """How good the averaged weights are."""
        began = time.perf_counter()
        try:
            with self._averaged(), self.interrupts.let_through() if self.interrupts else contextlib.nullcontext():
                accuracy = self.task.evaluate(self.model, self.dataset, part, self.processes)
        except KeyboardInterrupt as interrupt:
            self._save_at(interrupt)
            raise
        self._pace.evaluating += time.perf_counter() - began
        self.curve.append(accuracy)
        return accuracy

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within it the module has its averaged weights."""
        swap(self.flat.vector, self.average.value)
        try:
            yield
        finally:
            swap(self.flat.vector, self.average.value)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        size, pieces = self.gradient.images, self.gradient.pieces_of_all
        start = self.position * pieces + self.processes.rank
        is_balanced = self.recipe.sampling == "balanced"
        images = balanced(self.images, self.epoch_seed) if is_balanced else self.images
        batches: Iterator[tuple[Tensor, Tensor]]
        batches = images.batches(size, self.epoch_seed, start, self.processes.count)
        return batches

    def _take_step(self, batches: Iterator[tuple[Tensor, Tensor]]) -> bool:
        """Whether there was a batch left to take it on."""
        self.norms.set(self.step)
        if self.processes.count > 1:
            # Each process has its own dropout, which follows from the step: no checkpoint need know it.
            torch.manual_seed(hash((self.seed, self.step, self.processes.rank)))
        taken = self.gradient.take(batches, self.generator)
        if taken is None:
            if self.processes.count > 1:
                raise TrainingError(f"the images ran out in {self._where()}: too many are broken to train in step")
            return False
        self._new_losses.append(taken.loss)
        if self.device.type == "cpu" or len(self._new_losses) == _STEPS_PER_LOOK:
            self._look()
        rate = learning_rate(self.recipe, self.step, self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.gradient.apply(taken.line, self.optimizer)
        self.average.update(self.step)
        self.step += 1
        self.position += 1
        self.images_seen += taken.images
        if self.on_step is not None and not self._new_losses:
            self.on_step(self._pace.progress(self.epoch, self.step, self.epoch_losses[-1], rate))
        return True

    def _look(self) -> None:
        """Note the losses that nobody has looked at yet, and stop at one that tells of a training gone wrong."""
        if self._new_losses:
            for loss in torch.stack(self._new_losses).tolist():
                self.epoch_losses.append(self._checked(loss))
            self._new_losses.clear()

    def _checked(self, loss: float) -> float:
        guess = self.task.loss_of_a_guess(self.dataset)
        if math.isfinite(loss) and loss < _DIVERGED * guess:
            return loss
        raise TrainingError(
            f"training diverged in {self._where()}: the loss is {loss:.3g} (a guess has {guess:.3g}); "
            f"a peak learning rate of {self._peak:.3g} may be too high for this network{self._last_good()}"
        )

    def _where(self) -> str:
        return f"epoch {self.epoch}, step {len(self.epoch_losses) + 1} of {self.steps_per_epoch}"

    def _last_good(self) -> str:
        if self.checkpoints is None:
            return ""
        if self._saved_step is None:
            return "; there is no checkpoint from before"
        return f"; the last good checkpoint is of step {self._saved_step}, {self.checkpoints.path}"

    @property
    def _peak(self) -> float:
        return peak_learning_rate(self.recipe, self.recipe.epochs * self.steps_per_epoch)

    def _save(self) -> None:
        """Leave a checkpoint; all processes hold the same, the first one writes it."""
        self._look()
        self._saved_at = time.perf_counter()
        self._saved_step = self.step
        if self.checkpoints and self.processes.rank == 0:
            save_snapshot(self.checkpoints.path, Snapshot(self._identity, self._tensors(), self._facts()))

    def _stop_if_interrupted(self) -> None:
        """Between two steps: where Ctrl-C came, leave a checkpoint and let it end the training."""
        if self.interrupts is None or not self.interrupts.is_waiting:
            return
        try:
            self.interrupts.deliver()
        except KeyboardInterrupt as interrupt:
            self._save_at(interrupt)
            raise

    def _save_at(self, interrupt: KeyboardInterrupt) -> None:
        if self.checkpoints:
            self._save()
            interrupt.add_note(f"a checkpoint of step {self.step} is kept")

    def _resume(self) -> None:
        if self.checkpoints and self.checkpoints.resume and self.checkpoints.path.exists():
            self._restore(load_snapshot(self.checkpoints.path, self._identity))
            self._saved_step = self.step
        self.processes.wait()  # nobody writes before everybody has read

    @functools.cached_property
    def _identity(self) -> dict[str, Any]:
        data = self.task.describe(self.dataset, self._parts[0])
        count, seed = self.processes.count, self.seed
        return identity_of(self.model, self.teacher, data, self.recipe, self.hardware, count, seed, self._parts)

    def _facts(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "position": self.position,
            "step": self.step,
            "epoch_seed": self.epoch_seed,
            "images_seen": self.images_seen,
            "seconds": self.seconds_before + time.perf_counter() - self._began,
            "losses": self.losses,
            "epoch_losses": self.epoch_losses,
            "curve": self.curve,
            "scaler": self.gradient.scaler.state_dict(),
            "torch": torch.__version__,
        }

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {"vector": self.flat.vector, "generator": self.generator.get_state()}
        tensors |= {f"random.{name}": state for name, state in _random_states(self.device).items()}
        if self.recipe.ema:
            tensors["average"] = self.average.value
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items() if value is not None}
        tensors |= {f"buffer.{name}": value for name, value in self._counters().items()}
        return {name: value.detach().contiguous() for name, value in tensors.items()}

    def _counters(self) -> dict[str, Tensor]:
        """What the module holds beside the flat vector."""
        return {name: value for name, value in self.model.named_buffers() if not value.is_floating_point()}

    def _restore(self, snapshot: Snapshot) -> None:
        tensors, facts = snapshot.tensors, dict(snapshot.facts)
        self.seconds_before = facts["seconds"]
        for name in ("epoch", "position", "step", "epoch_seed", "images_seen"):
            setattr(self, name, facts[name])
        self.losses, self.epoch_losses, self.curve = facts["losses"], facts["epoch_losses"], facts["curve"]
        with torch.no_grad():
            self.flat.vector.copy_(tensors["vector"])
            if self.recipe.ema:
                self.average.value.copy_(tensors["average"])
            for name, value in self._counters().items():
                value.copy_(tensors[f"buffer.{name}"])
        self.generator.set_state(tensors["generator"])
        _set_random_states({name: tensors[f"random.{name}"] for name in _random_states(self.device)}, self.device)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, number, key = name.split(".")
                state.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.gradient.scaler.load_state_dict(facts["scaler"])


def _random_states(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _set_random_states(states: dict[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
