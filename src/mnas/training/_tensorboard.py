"""TensorBoard: the progress of a training for TensorBoard to show."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from mnas.errors import needs_extra
from mnas.training._progress import Progress


class TensorBoard:
    """Writes loss, learning rate and speed by step, and accuracy by epoch, into a folder. Needs extra `tensorboard`.

        with TensorBoard(folder) as board:
            train(module, dataset, recipe, seed=0, on_step=board.on_step, on_epoch=board.on_epoch)

    Raises:
        SettingsError: the library is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise needs_extra("tensorboard", "tensorboard") from error
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> TensorBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def on_step(self, progress: Progress) -> None:
        """For `train`."""
        values = {
            "loss": progress.loss,
            "learning_rate": progress.learning_rate,
            "images_per_second": progress.images_per_second,
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, progress.step)

    def on_epoch(self, epoch: int, accuracy: float) -> None:
        """For `train`."""
        self._writer.add_scalar("accuracy", accuracy, epoch)
