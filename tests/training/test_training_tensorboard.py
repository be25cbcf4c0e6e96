"""A training's progress in TensorBoard's files, or the name of the extra that is missing."""

from __future__ import annotations

import importlib.util

import pytest
from small_training import trained

from mnas.errors import SettingsError
from mnas.training import TensorBoard


def test_without_the_library_the_extra_is_named(tmp_path):
    if importlib.util.find_spec("tensorboard"):
        pytest.skip("tensorboard is installed")
    with pytest.raises(SettingsError, match=r"mnas\[tensorboard\]"):
        TensorBoard(tmp_path)


def test_steps_and_epochs_are_written(tmp_path):
    pytest.importorskip("tensorboard", reason="needs mnas[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoard(tmp_path) as board:
        _, result = trained(on_step=board.on_step, on_epoch=board.on_epoch)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 9))
    assert [event.value for event in events.Scalars("accuracy")] == pytest.approx(result.curve)
