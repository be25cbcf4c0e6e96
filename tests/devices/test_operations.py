"""What a device's runtime cannot do is named before a search spends anything."""

from __future__ import annotations

import pytest

from mnas.devices import LocalDevice, SimulatedDevice, TriesOut, check_operations
from mnas.devices._operations import covering_members
from mnas.errors import MeasurementError, SettingsError
from mnas.run import search
from mnas.space import Architecture, mnasnet_space


class Lacking(SimulatedDevice):
    """A device whose runtime lacks what a predicate finds in a network."""

    def __init__(self, lacks=lambda architecture: False) -> None:
        super().__init__()
        self.lacks, self.tried = lacks, []

    def try_out(self, architecture: Architecture) -> None:
        self.tried.append(architecture.id)
        if self.lacks(architecture):
            raise MeasurementError("no kernel for that")


def test_every_option_of_every_choice_is_tried_in_few_networks():
    space = mnasnet_space()
    members = list(covering_members(space))
    for position, choice in enumerate(space.choices):
        assert {tokens[position] for tokens in members} == set(range(len(choice.options)))
    assert len(members) == max(len(choice.options) for choice in space.choices)
    assert check_operations(space, Lacking()) == len(members)


def test_what_is_lacking_is_named_and_nothing_else(tiny_space):
    """5x5 kernels, wherever they are: each block's choice with that option, and no other option."""
    device = Lacking(lambda a: any(block.kernel == 5 for block in a.blocks))
    with pytest.raises(SettingsError) as caught:
        check_operations(tiny_space, device)
    lines = [line for line in str(caught.value).splitlines() if line.startswith("  ")]
    kernels = [choice.name for choice in tiny_space.choices if choice.options == (3, 5)]
    assert lines == [f"  {name}=5: no kernel for that" for name in kernels]
    assert "Leave these out of the space, or measure with another runtime" in str(caught.value)


def test_options_that_only_fail_together_are_shown_as_networks(tiny_space):
    device = Lacking(
        lambda a: all(block.kernel == 5 for block in a.blocks) or a.blocks[0].kernel != a.blocks[1].kernel
    )
    with pytest.raises(SettingsError, match="no kernel for that"):
        check_operations(tiny_space, device)


def test_a_search_is_refused_before_anything_is_measured(tiny_space, tmp_path):
    device = Lacking(lambda a: any(block.kernel == 5 for block in a.blocks))
    device.measure = None
    with pytest.raises(SettingsError, match="kernel=5: no kernel for that"):
        run(tiny_space, device, tmp_path)


def run(space, device, folder, **changes):
    settings = {"accuracy": "simulated", "dataset": None, "controller": "random", "trials": 3, "workers": 0}
    return search(space, device=device, final={"top": 0}, out=folder / "run", **settings, **changes)


def test_a_resumed_search_does_not_try_again(tiny_space, tmp_path):
    first, second = Lacking(), Lacking()
    run(tiny_space, first, tmp_path)
    assert first.tried
    run(tiny_space, second, tmp_path)
    assert not second.tried


def test_devices_without_a_runtime_are_not_asked():
    assert not isinstance(SimulatedDevice(), TriesOut)
    with LocalDevice() as device:
        assert isinstance(device, TriesOut)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("int8", marks=pytest.mark.slow)])
def test_this_machine_runs_all_of_the_papers_space(precision):
    with LocalDevice(precision=precision, drift=0.01) as device:
        space = mnasnet_space(width=0.35, resolution=32)
        assert check_operations(space, device) > 0
