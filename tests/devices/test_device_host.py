"""Which cores are chosen, on machines described by their files in /sys and /proc."""

from __future__ import annotations

import json
import os

import pytest

from mnas.devices import _host


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes a machine of files: per core its siblings and its highest clock."""
    monkeypatch.setattr(_host, "_CORES", tmp_path / "cpu")
    monkeypatch.setattr(_host, "_CPUINFO", tmp_path / "cpuinfo")

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_threads_do_not_share_a_physical_core_while_others_are_free(machine):
    for core in range(4):
        machine(f"cpu/cpu{core}/topology/thread_siblings_list", "0-1" if core < 2 else "2-3")
    assert _host.pick_cores((0, 1, 2, 3), 2) == (1, 3)
    assert _host.pick_cores((0, 1, 2, 3), 3) == (1, 2, 3)


def test_the_fastest_cores_are_taken_first(machine):
    for core, khz in enumerate((5_000_000, 5_000_000, 3_000_000, 3_000_000)):
        machine(f"cpu/cpu{core}/cpufreq/cpuinfo_max_freq", str(khz))
    assert _host.pick_cores((0, 1, 2, 3), 1) == (1,)
    assert _host.pick_cores((0, 2, 3), 2) == (0, 3)


def test_a_machine_that_tells_nothing_still_has_a_name_and_a_core(machine):
    assert _host.cpu_model()
    assert _host.pick_cores((0, 1), 1) == (1,)
    assert _host.core_state((1,)) == {"governor": None, "clock_mhz": [None], "load_average": os.getloadavg()[0]}


def test_the_name_tells_generations_apart_and_governor_and_clock_are_read(machine):
    machine("cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\ncpu family\t: 25\nmodel\t\t: 17\nstepping\t: 1\n")
    machine("cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    machine("cpu/cpu0/cpufreq/scaling_cur_freq", "3400000\n")
    assert _host.cpu_model() == "AMD EPYC cpu family 25 model 17 stepping 1"
    state = _host.core_state((0,))
    assert state["governor"] == "performance"
    assert state["clock_mhz"] == [3400.0]


def test_what_is_read_of_this_machine_is_json():
    json.dumps([_host.cpu_model(), _host.core_state(_host.available_cores() or ())])
