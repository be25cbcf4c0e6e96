"""Conversions are remembered, and never wrongly: in memory, on disk, up to a size, and not when damaged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mnas._cache import cache_folder
from mnas.devices import LocalDevice
from mnas.devices import _conversions as conversions_module
from mnas.devices._conversions import Conversions
from mnas.devices.runtimes import OnnxRuntime, find_runtime
from mnas.errors import SettingsError
from mnas.space import Architecture

SMALL = Architecture.parse("input_r16_c1 stem_k3_s2_c8 ds_r1_k3_s1_c8 head_c32_n10")
OTHER = Architecture.parse("input_r16_c1 stem_k3_s2_c8 ds_r1_k5_s1_c8 head_c32_n10")


def converted(architecture: Architecture = SMALL, runtime: str = "onnxruntime", precision: str = "fp32"):
    """By conversions of their own, as another search would have them; kept."""
    conversions = Conversions(find_runtime(runtime, precision))
    candidate = conversions.candidate(architecture)
    conversions.keep(candidate)
    return candidate


def entries() -> list[Path]:
    return sorted((cache_folder() / "conversions").iterdir())


@pytest.mark.slow
def test_a_device_converts_a_network_once_and_the_next_device_not_at_all(monkeypatch):
    with LocalDevice(drift=0.01) as device:
        first, second = device.measure(SMALL), device.measure(SMALL)
    monkeypatch.setattr(OnnxRuntime, "convert", None)  # another call would fail
    with LocalDevice(drift=0.01) as device:
        third = device.measure(SMALL)
    kinds = [latency.environment["conversion"]["from"] for latency in (first, second, third)]
    assert kinds == ["conversion", "memory", "disk"]
    assert len({latency.environment["model_sha256"] for latency in (first, second, third)}) == 1
    took = first.environment["conversion_seconds"]
    assert third.environment["conversion"]["converting_took_seconds"] == took


def test_what_comes_from_disk_is_what_was_converted():
    first, second = converted(), converted()
    assert second.conversion["from"] == "disk"
    assert second.model == first.model
    assert (second.expected == first.expected).all()
    assert (second.images == first.images).all()


def test_another_runtime_precision_version_or_code_is_another_conversion(monkeypatch):
    assert converted().conversion["from"] == "conversion"
    assert converted(OTHER).conversion["from"] == "conversion"
    assert converted(precision="int8").conversion["from"] == "conversion"
    assert converted(runtime="torch").conversion["from"] == "conversion"
    monkeypatch.setattr(conversions_module, "_versions", lambda converters: {"onnx": "0"})
    assert converted().conversion["from"] == "conversion"
    monkeypatch.setattr(conversions_module, "_code", lambda: "changed")
    assert converted().conversion["from"] == "conversion"
    assert converted().conversion["from"] == "disk"


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json\nnothing"])
def test_a_damaged_entry_is_converted_again_and_said(damage):
    first = converted()
    (path,) = entries()
    path.write_bytes(damage)
    again = converted()
    assert again.conversion["from"] == "conversion"
    assert again.conversion["damaged_entry"].startswith(path.name)
    assert again.model == first.model
    assert converted().conversion == {"from": "disk", "converting_took_seconds": again.conversion_seconds}


def test_one_flipped_bit_is_damage():
    converted()
    (path,) = entries()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "checksum is wrong" in converted().conversion["damaged_entry"]


def test_only_what_was_kept_is_remembered():
    """A conversion that crashed its process, or gave wrong outputs, is made anew."""
    conversions = Conversions(find_runtime("onnxruntime", "fp32"))
    conversions.candidate(SMALL)
    assert conversions.candidate(SMALL).conversion["from"] == "conversion"
    assert not cache_folder().joinpath("conversions").exists()


def test_the_folder_stays_within_its_size_and_the_least_used_go(monkeypatch):
    converted()
    (oldest,) = entries()
    os.utime(oldest, (1, 1))
    monkeypatch.setattr(conversions_module, "_limit_bytes", lambda: oldest.stat().st_size * 3 // 2)
    converted(OTHER)
    assert len(entries()) == 1
    assert entries() != [oldest]
    assert not [path for path in entries() if path.name.startswith(".")]


def test_nothing_is_kept_on_disk_where_none_is_allowed(monkeypatch):
    monkeypatch.setenv("MNAS_CACHE_MB", "0")
    converted()
    assert converted().conversion["from"] == "conversion"
    assert not cache_folder().joinpath("conversions").exists()
    monkeypatch.setenv("MNAS_CACHE_MB", "much")
    with pytest.raises(SettingsError, match="whole number of megabytes, got 'much'"):
        converted()


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MNAS_CACHE", str(tmp_path / "file"))
    assert converted().conversion["from"] == "conversion"
    assert converted().conversion["from"] == "conversion"


def test_the_folder_is_the_users_cache_unless_another_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("MNAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mnas"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mnas"
