"""Which cores are chosen, on machines described by their files in /sys and /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from mnas.devices import _host


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Makes a machine of files: per core its siblings and its highest clock."""
    monkeypatch.setattr(_host, "_CORES", tmp_path / "cpu")
    monkeypatch.setattr(_host, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(_host, "_STAT", tmp_path / "stat")
    monkeypatch.setattr(_host, "_THERMAL", tmp_path / "thermal")

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
    with _host.watch((1,)) as conditions:
        pass
    found = conditions()
    assert (found.neighbours, found.stolen, found.governor, found.clock_mhz, found.celsius) == (None,) * 5


def test_the_name_tells_generations_apart_and_governor_and_clock_are_read(machine):
    machine("cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC\ncpu family\t: 25\nmodel\t\t: 17\nstepping\t: 1\n")
    machine("cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    machine("cpu/cpu0/cpufreq/scaling_cur_freq", "3400000\n")
    assert _host.cpu_model() == "AMD EPYC cpu family 25 model 17 stepping 1"
    with _host.watch((0,)) as conditions:
        machine("cpu/cpu0/cpufreq/scaling_cur_freq", "2100000\n")
    assert conditions().governor == "performance"
    assert conditions().clock_mhz == (3400.0, 2100.0)


def test_the_load_of_cores_that_share_a_physical_core_is_told_and_that_of_others_is_not(machine):
    """Cores 0 and 1 are one physical core; in the meantime 1 was busy for an hour, 2 for a day."""
    for core in range(4):
        machine(f"cpu/cpu{core}/topology/thread_siblings_list", "0-1" if core < 2 else "2-3")
    machine("stat", "".join(f"cpu{core} 0 0 0 100 0 0 0 0 0 0\n" for core in range(4)))
    with _host.watch((0,)) as conditions:
        machine("stat", "cpu0 0 0 0 9 0 0 0 0 0 0\ncpu1 0 999999 0 9 0 0 0 0 0 0\ncpu2 9999999 0 0 9 0 0 0 0 0 0\n"
                        "cpu3 0 0 0 9 0 0 0 0 0 0\n")  # fmt: skip
    assert conditions().neighbours == 1.0
    with _host.watch((3,)) as conditions:
        pass
    assert conditions().neighbours == 0.0


def test_in_a_virtual_machine_that_hides_them_every_core_may_share_the_physical_one(machine):
    machine("cpuinfo", "processor\t: 0\nflags\t: fpu hypervisor\n\nprocessor\t: 1\nflags\t: fpu hypervisor\n")
    for core in range(2):
        machine(f"cpu/cpu{core}/topology/thread_siblings_list", str(core))
    assert _host.neighbours((0,)) == (1,)


def test_the_hottest_sensor_counts(machine):
    machine("thermal/thermal_zone0/temp", "41000")
    machine("thermal/thermal_zone1/temp", "83500")
    with _host.watch((0,)) as conditions:
        pass
    assert conditions().celsius == 83.5


def test_what_is_read_of_this_machine_survives_json():
    with _host.watch(_host.available_cores()) as conditions:
        pass
    found = conditions()
    assert _host.Conditions.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processes that choose their cores")
def test_waiting_for_a_core_that_another_process_has_is_seen():
    """Two processes, one core: each has it half of the time."""
    cores = _host.available_cores()
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(rival.pid, cores[:1])
        os.sched_setaffinity(0, cores[:1])
        with _host.watch(cores[:1]) as conditions:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                pass
    finally:
        os.sched_setaffinity(0, cores)
        rival.kill()
        rival.wait()
    waited = conditions().waited
    assert waited is None or waited > 0.2
