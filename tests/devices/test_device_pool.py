"""Promises of a pool: a unit has one job, who disagrees or goes is set aside and said, nothing measured is lost."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from made_devices import MadeUnit

from mnas.devices import REFERENCE, Device, DeviceInfo, Pool, SimulatedDevice, measure_together
from mnas.errors import DeviceError, MeasurementError, SettingsError
from mnas.folder import load_result
from mnas.objective import Latency
from mnas.plan import plan_from
from mnas.run import resume, run_plan, stored_settings
from mnas.space import Architecture
from mnas.testing import DeviceConformance

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ds_k3_c8 head_c16_n10")


class TestPool(DeviceConformance):
    def make(self) -> Device:
        return Pool([MadeUnit("a"), MadeUnit("b", noise=0.01), MadeUnit("c")])


def networks(count: int) -> list[Architecture]:
    return [Architecture.parse(f"input_r32_c3 stem_k3_s2_c8 ds_k3_c{8 + i} head_c16_n10") for i in range(count)]


def test_a_result_says_which_unit_and_is_of_their_common_kind():
    latency = Pool([MadeUnit("pi@a"), MadeUnit("pi@b")]).measure(SMALL)
    assert latency.environment["unit"] in ("pi@a", "pi@b")
    assert latency.device == MadeUnit("pi@c").info().fingerprint


def test_units_measure_side_by_side_and_each_has_one_job():
    """Three jobs meet inside three units, which they could not one after the other."""
    barrier = threading.Barrier(3)
    units = [MadeUnit(name) for name in "abc"]
    pool = Pool(units)
    pool.measure(SMALL)  # the check before use
    for unit in units:
        unit.together = barrier
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(pool.measure, networks(3)))
    assert {latency.environment["unit"] for latency in found} == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("factors", "aside"),
    [
        ((1, 1, 1), ""),
        ((1, 1.04, 1), ""),
        ((1, 1, 1.1), "c"),
        ((1, 0.9, 1), "b"),
        ((1, 1.1), "b"),  # of two the slower one
        ((1.2, 1, 1.3, 1), "ac"),
    ],
)
def test_a_unit_that_disagrees_with_its_siblings_is_set_aside(factors, aside):
    units = [MadeUnit(name, factor=factor) for name, factor in zip("abcd", factors, strict=False)]
    pool = Pool(units)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(pool.measure, networks(12)))
    assert not {latency.environment["unit"] for latency in found} & set(aside)
    assert set(pool.info().details["set_aside"]) == set(aside)
    assert len(pool.info().notes) == len(aside)
    assert all("for the reference network where its siblings take" in note for note in pool.info().notes)
    assert pool.info().slots == len(units) - len(aside)
    assert all(unit.measured[0] == REFERENCE.id for unit in units)


def test_units_are_asked_and_surveyed_side_by_side():
    """All three meet in `info` and in the reference network, which they would not one after the other."""
    asked, timed = threading.Barrier(3), threading.Barrier(3)

    class Meeting(MadeUnit):
        is_known = False

        def info(self):
            if not self.is_known:
                asked.wait(timeout=20)
                self.is_known = True
            return super().info()

        def measure(self, architecture):
            if architecture.id == REFERENCE.id:
                timed.wait(timeout=20)
            return super().measure(architecture)

    pool = Pool([Meeting(name) for name in "abc"])
    assert pool.measure(SMALL).latency_ms > 0
    assert pool.info().notes == ()


def test_units_are_checked_again_every_so_often():
    units = [MadeUnit(name) for name in "abc"]
    pool = Pool(units, check_every=5)
    for network in networks(5):
        pool.measure(network)
    assert pool.info().notes == ()
    units[2].factor = 1.2  # it has got hot
    pool.measure(SMALL)
    assert pool.info().notes[0].startswith("unit c is set aside: it takes")
    assert [unit.measured.count(REFERENCE.id) for unit in units] == [2, 2, 2]


def test_the_job_of_a_unit_that_goes_is_done_by_another():
    pool = Pool([MadeUnit("a", lives=2), MadeUnit("b")])
    found = [pool.measure(network) for network in networks(4)]
    assert [latency.environment["unit"] for latency in found] == ["a", "b", "b", "b"]
    assert pool.info().notes == ("unit a is set aside: it is gone: a is unplugged",)


def test_a_unit_that_is_gone_from_the_start_is_set_aside():
    pool = Pool([MadeUnit("a", lives=-1), MadeUnit("b")])
    assert pool.measure(SMALL).environment["unit"] == "b"
    assert pool.info().notes == ("unit a is set aside: it is gone: a does not answer",)


def test_when_no_unit_is_left_the_device_is_gone_and_may_come_back():
    """Each unit's reason is in the message; the next try asks them again."""
    units = [MadeUnit("a", lives=1, comes_back=True), MadeUnit("b", lives=1, comes_back=True)]
    pool = Pool(units)
    with pytest.raises(DeviceError, match=r"no unit of the pool is left. a: it is gone.*; b: it is gone"):
        pool.measure(SMALL)
    assert pool.measure(SMALL).environment["unit"] == "a"
    assert pool.info().notes == ()
    with pytest.raises(DeviceError, match="c: it is gone: c does not answer"):
        Pool([MadeUnit("c", lives=-1)]).info()


def test_one_that_disagreed_does_not_come_back():
    units = [MadeUnit("a"), MadeUnit("b"), MadeUnit("c", factor=1.5)]
    pool = Pool(units)
    pool.measure(SMALL)
    for unit in units[:2]:
        unit.lives = 0
    for _ in range(2):
        with pytest.raises(DeviceError):
            pool.measure(SMALL)
    assert units[2].measured == [REFERENCE.id]


def test_a_unit_that_cannot_time_the_reference_is_set_aside():
    pool = Pool([MadeUnit("a", refuses=REFERENCE.id), MadeUnit("b")])
    pool.measure(SMALL)
    assert "cannot time the reference network: the outputs are wrong" in pool.info().notes[0]


def test_what_one_network_cannot_is_no_fault_of_the_unit():
    pool = Pool([MadeUnit("a", refuses=SMALL.id), MadeUnit("b")])
    with pytest.raises(MeasurementError):
        pool.measure(SMALL)
    assert pool.measure(networks(2)[1]).environment["unit"] == "a"


def test_units_of_different_kinds_are_refused_with_both_named():
    pool = Pool([MadeUnit("a"), MadeUnit("b", kind="other")])
    with pytest.raises(SettingsError, match=r"of one kind(.|\n)*a: made board\n  b: other board"):
        pool.info()


@pytest.mark.parametrize(("arguments", "said"), [(([],), "list of tables"), ((["pi@a"],), "list of tables"),
                                                 (([SimulatedDevice()], 0), "check_every")])  # fmt: skip
def test_a_pool_of_nothing_is_refused(arguments, said):
    with pytest.raises(SettingsError, match=said):
        Pool(*arguments)


def test_what_is_to_be_compared_is_measured_on_one_unit():
    pool = Pool([MadeUnit("a"), MadeUnit("b")])
    found = measure_together(pool, networks(5), processes=3)
    assert {latency.environment["unit"] for latency in found} == {"a"}


def test_units_that_are_this_machine_are_measured_one_by_one():
    assert Pool([MadeUnit("a", exclusive=True), MadeUnit("b", exclusive=True)]).info().slots == 1


# -- in a search ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_report")
def test_a_search_on_a_pool_is_the_search_on_one_unit(simulate, essence, tmp_path):
    """Whichever unit was quicker: the same trials, told in the same order; only the unit's name differs."""

    def without_unit(trial):
        row = essence(trial)
        row["measurement"]["latency"]["environment"] = {}
        return row

    one = simulate(out=tmp_path / "one", device=MadeUnit("a"), trials=40)
    pool = simulate(out=tmp_path / "pool", device=Pool([MadeUnit(name) for name in "abc"], 7), trials=40)
    assert [without_unit(t) for t in pool.trials] == [without_unit(t) for t in one.trials]


@pytest.mark.usefixtures("no_report")
def test_a_batch_is_measured_side_by_side(simulate):
    active, most = [0], [0]

    class Busy(MadeUnit):
        def measure(self, architecture: Architecture) -> Latency:
            active[0] += 1
            most[0] = max(most[0], active[0])
            time.sleep(0.02)
            active[0] -= 1
            return super().measure(architecture)

    pool = Pool([Busy("a"), Busy("b")])
    for network in networks(3):
        pool.measure(network)
    most[0] = 0  # the check before use was side by side too
    simulate(device=pool, trials=20)
    assert most[0] == 2


def test_what_was_set_aside_is_in_the_notes_and_the_report(simulate):
    result = simulate(device=Pool([MadeUnit("pi@a"), MadeUnit("pi@b"), MadeUnit("pi@c", factor=1.3)]))
    assert any(note.startswith("unit pi@c is set aside: it takes") for note in result.notes)
    assert "unit pi@c is set aside" in (result.folder / "report.html").read_text()
    assert load_result(result.folder).notes == result.notes


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    "lives", [(30, 30), *(pytest.param(lives, marks=pytest.mark.slow) for lives in [(25, 29), (18, 21)])]
)
def test_a_pool_that_dies_midway_loses_no_finished_measurement(simulate, essence, tmp_path, monkeypatch, lives):
    monkeypatch.setattr("mnas.evaluator._DEVICE_WAITS", (0.0,))
    units = [MadeUnit("a", lives=lives[0]), MadeUnit("b", lives=lives[1])]
    with pytest.raises(DeviceError, match="no unit of the pool is left"):
        simulate(device=Pool(units), out=tmp_path / "run", trials=60)
    paid = {identity for unit in units for identity in unit.measured} - {REFERENCE.id}
    healthy = [MadeUnit("a"), MadeUnit("b")]
    resumed = simulate(device=Pool(healthy), out=tmp_path / "run", trials=60)
    again = {identity for unit in healthy for identity in unit.measured} - {REFERENCE.id}
    assert paid
    assert not paid & again
    whole = simulate(device=Pool([MadeUnit("c")]), out=tmp_path / "whole", trials=60)
    assert [t.reward for t in resumed.trials] == [t.reward for t in whole.trials]
    assert [t.tokens for t in resumed.trials] == [t.tokens for t in whole.trials]


class Uneven(SimulatedDevice):
    """A device for two jobs at once, of which some take longer; the nth raises DeviceError at once."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.fails_at, self.calls, self.measured = fails_at, 0, list[str]()

    def info(self) -> DeviceInfo:
        return replace(super().info(), slots=2)

    def measure(self, architecture: Architecture) -> Latency:
        self.calls += 1
        if self.calls == self.fails_at:
            raise DeviceError("unplugged")
        time.sleep(0.05 if self.calls % 2 else 0.0)
        self.measured.append(architecture.id)
        return super().measure(architecture)


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("fails_at", [18, 20, 24])
def test_what_is_being_measured_when_a_device_goes_is_kept(simulate, tmp_path, monkeypatch, fails_at):
    monkeypatch.setattr("mnas.evaluator._DEVICE_WAITS", ())
    device, again = Uneven(fails_at), Uneven()
    with pytest.raises(DeviceError, match="unplugged"):
        simulate(device=device, out=tmp_path / "run")
    simulate(device=again, out=tmp_path / "run")
    assert device.calls >= fails_at
    assert not set(device.measured) & set(again.measured)


@pytest.mark.usefixtures("no_report")
def test_trainings_begin_in_the_order_of_the_trials(simulate, counting_accuracy):
    """Whichever was measured first: a search that is stopped has trained the same networks."""
    result = simulate(device=Uneven(), accuracy=counting_accuracy)
    assert counting_accuracy.asked == [trial.architecture.id for trial in result.trials if not trial.cached]


@pytest.mark.usefixtures("no_report")
def test_a_failure_of_one_network_costs_one_trial_on_a_pool_too(simulate):
    first = simulate(device=Pool([MadeUnit("a")]), trials=10)
    victim = first.trials[4].architecture.id
    units = [MadeUnit("a", refuses=victim), MadeUnit("b", refuses=victim)]
    result = simulate(device=Pool(units), trials=10, out=first.folder.parent / "second")
    assert [t.number for t in result.trials if t.error] == [4]


def test_a_pool_is_settings_and_resumes_from_them(simulate, tmp_path):
    device = {"name": "pool", "units": [{"name": "simulated"}, {"name": "simulated"}], "check_every": 9}
    simulate(device=device, out=tmp_path / "run")
    assert stored_settings(tmp_path / "run").device.options == {"units": device["units"], "check_every": 9}
    resumed = resume(tmp_path / "run", lambda progress: None, trials=25)
    assert len(resumed.trials) == 25
    assert {t.measurement.latency.environment["unit"] for t in resumed.trials} <= {"simulated 1", "simulated 2"}


def test_a_run_goes_on_with_one_unit_of_the_kind(simulate, tmp_path):
    """The fingerprint is the units' own."""
    simulate(device={"name": "pool", "units": [{"name": "simulated"}] * 2}, out=tmp_path / "run")
    settings = stored_settings(tmp_path / "run").changed(trials=25, device={"name": "simulated"})
    assert len(run_plan(plan_from(settings), tmp_path / "run", lambda progress: None).trials) == 25
    assert len(load_result(tmp_path / "run").trials) == 25
