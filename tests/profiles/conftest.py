"""A small space, and a profile of the simulated device for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mnas.devices import SimulatedDevice
from mnas.profiles import Profile, write_profile
from mnas.profiling import make_profile
from mnas.space import BlockSpace, described_space


def small_space(**changes: int) -> BlockSpace:
    """Three blocks, 6,912 combinations, at 64 px."""
    return described_space(
        blocks=[
            {"filters": 16, "layers": 1, "stride": 1},
            {"filters": 24, "layers": 2, "stride": 2},
            {"filters": 48, "layers": 2, "stride": 2},
        ],
        choices={
            "ops": ["conv", "sepconv", "mbconv3"],
            "se_ratios": [0],
            "skips": ["identity"],
            "filter_ratios": [1],
            "layer_deltas": [0, 1],
        }
        | {"se_ratios": [0, 0.25]},
        **{"resolution": 64, "classes": 10, **changes},
    )


@pytest.fixture(scope="session")
def space() -> BlockSpace:
    return small_space()


@pytest.fixture(scope="session")
def profile(space: BlockSpace) -> Profile:
    """From 100 measurements of a formula."""
    return make_profile(SimulatedDevice(), space, minutes=5, most=100, settings={"name": "simulated"})


@pytest.fixture
def profile_file(profile: Profile, tmp_path: Path) -> Callable[..., Path]:
    """Writes the profile, with what is to be changed in it, and says where."""

    def write(factor: float = 1.0, **changes: object) -> Path:
        layers_ms = {shape: ms * factor for shape, ms in profile.layers_ms.items()}
        path = tmp_path / "some.profile"
        write_profile(path, replace(profile, layers_ms=layers_ms, **changes))
        return path

    return write
