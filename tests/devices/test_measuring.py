"""The protocol on a machine whose load the tests decide: what counts, what is refused, how long it goes on."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator

import numpy as np
import pytest

from mnas.devices import _measuring
from mnas.devices._gate import Gate
from mnas.devices._host import Conditions
from mnas.devices._measuring import Measuring, Patience
from mnas.devices._timing import Spell
from mnas.devices.runtimes import TorchRuntime
from mnas.errors import DeviceError
from mnas.objective import Latency
from mnas.space import Architecture

SMALL = Architecture.parse("input_r32_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 head_c32_n10")
QUIET = Conditions(waited=0.0, neighbours=0.02, stolen=0.0)


def spell(slower: float = 1.0, gauge: float = 1.0, conditions: Conditions = QUIET) -> Spell:
    """A spell of a network of 2 ms, with a reference network of half a millisecond."""
    return Spell((2.0 * slower, 2.2 * slower), 1, (0.5 * gauge, 0.5 * gauge), conditions)


class FakeProcess:
    """Runs networks for real, and takes its times from a script."""

    version, cores, priority, cpu, os = "1.0", [1], "normal", "a CPU", "an OS"

    def __init__(self, script: Iterator[Spell]) -> None:
        self.script = script

    def ask(self, header, *parts, limit_s):
        if "spell" in header:
            return {"spell": next(self.script).to_dict()}, []
        model, images = parts
        session = TorchRuntime().load(model, np.frombuffer(images, np.float32).reshape(header["shape"]).copy(), 1)
        session.run()
        output = np.ascontiguousarray(session.output())
        return {"load_seconds": 0.1, "warm_up_runs": 3, "shape": output.shape}, [output.tobytes()]

    def answers(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class FakeMachine:
    def __init__(self, script: Iterator[Spell]) -> None:
        self.script, self.started = script, 0

    def start(self) -> FakeProcess:
        self.started += 1
        return FakeProcess(self.script)


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """The seconds of every waiting, which takes no time here."""
    slept: list[float] = []
    monkeypatch.setattr(_measuring.time, "sleep", slept.append)
    return slept


def device(script: Iterator[Spell], processes: int = 1, **patience) -> Measuring:
    return Measuring(
        name="fake", machine=FakeMachine(script), runtime=TorchRuntime(), threads=1, patience=Patience(**patience),
        limit_s=9, processes=processes, drift=0.001, is_exclusive=True,
    )  # fmt: skip


def measure(script: Iterator[Spell], **settings) -> Latency:
    return device(script, **settings).measure(SMALL)


def test_a_quiet_machine_needs_the_fewest_spells(waits):
    latency = measure(itertools.repeat(spell()))
    assert latency.latency_ms == pytest.approx(2.0)
    assert latency.environment["spell_latency_ms"] == [2.0] * 4
    assert latency.environment["refused"] == []
    assert latency.environment["disturbed"] is None
    assert not waits


def test_it_goes_on_until_the_interval_is_narrow_enough(waits):
    """Spells that differ by 3 %: the fewest are too few."""
    generator = random.Random(0)
    script = (spell(math.exp(generator.gauss(0, 0.03))) for _ in itertools.count())
    latency = measure(script, half_width=0.03)
    assert len(latency.environment["spell_latency_ms"]) > 4
    assert math.log(latency.high_ms / latency.low_ms) / 2 <= 0.03


def test_spells_with_a_slow_reference_network_do_not_count_and_the_reason_is_recorded(waits):
    """Half as fast again while others have the core."""
    load = Conditions(waited=0.4, neighbours=0.9, stolen=0.2, clock_mhz=(3000.0, 2000.0), celsius=91.0)
    script = iter([spell(), *[spell(1.5, 1.5, load)] * 3, *[spell()] * 9])
    latency = measure(script)
    assert latency.latency_ms == pytest.approx(2.0)
    assert latency.environment["disturbed"] is None
    (reason,) = set(latency.environment["refused"])
    assert reason.startswith(
        "the reference network ran 50 % slower than at its best; other load: other processes had"
    )
    for part in (
        "for 40 % of the time",
        "for 90 %",
        "hypervisor",
        "from 3000 to 2000 MHz",
        "throttling",
        "91 degrees",
    ):
        assert part in reason
    assert waits == sorted(waits)
    assert len(waits) == 3


def test_spells_before_the_reference_network_was_at_its_best_are_taken_back(waits):
    """Load that nothing on the machine tells of, and that ends: what was timed under it no longer counts."""
    script = iter([*[spell(1.5, 1.5)] * 3, *[spell()] * 9])
    latency = measure(script)
    assert latency.environment["spell_latency_ms"] == [2.0] * 4


def test_on_a_machine_that_was_never_quiet_the_load_itself_is_refused(waits):
    """The reference network is as slow as it has always been, so it cannot tell."""
    busy = Conditions(waited=0.0, neighbours=1.0, stolen=0.0)
    latency = measure(iter([*[spell(1.6, 1.6, busy)] * 5, *[spell()] * 9]))
    assert latency.latency_ms == pytest.approx(2.0)
    assert "cores beside it were busy for 100 %" in latency.environment["refused"][0]


def test_load_that_the_reference_network_does_not_feel_is_no_reason(waits):
    """Known to be at its best, on a machine that was once quiet."""
    busy = Conditions(waited=0.0, neighbours=1.0, stolen=0.0)
    latency = measure(iter([spell(), *[spell(conditions=busy)] * 9]))
    assert latency.environment["refused"] == []


def test_a_machine_that_stays_busy_is_a_device_error_with_the_reason(waits):
    script = itertools.chain([spell()], itertools.repeat(spell(1.5, 1.5)))
    with pytest.raises(DeviceError, match=r"within 3\.0% for \d+ s: the reference network ran 50 % slower.*busy"):
        measure(script, patience_s=20)
    assert 15 <= sum(waits) <= 25


def test_a_busy_machine_can_be_accepted_with_an_interval_as_wide_as_the_disturbance(waits):
    script = itertools.chain([spell()], itertools.repeat(spell(1.4, 1.5)))
    latency = measure(script, busy="accept", patience_s=1)
    assert "50 % slower" in latency.environment["disturbed"]
    assert latency.low_ms < 2.0 < latency.high_ms
    assert latency.environment["interval"]["disturbance"] == pytest.approx(math.log(1.5))


def test_what_never_becomes_narrow_is_begun_anew_and_then_refused(waits):
    generator = random.Random(0)
    script = (spell(math.exp(generator.gauss(0, 0.3))) for _ in itertools.count())
    with pytest.raises(DeviceError, match=r"after 40 spells the interval is \d+\.\d% wide on either side"):
        measure(script, patience_s=10)
    assert waits


def test_what_never_becomes_narrow_can_be_accepted(waits):
    generator = random.Random(0)
    script = (spell(math.exp(generator.gauss(0, 0.3))) for _ in itertools.count())
    latency = measure(script, busy="accept", patience_s=0)
    assert "wide on either side" in latency.environment["disturbed"]
    assert len(latency.environment["spell_latency_ms"]) == 40


def test_fresh_processes_are_so_many_and_more_where_they_differ(waits):
    calm = device(itertools.repeat(spell()), processes=5)
    assert len(calm.measure(SMALL).environment["load_seconds"]) == 5
    assert calm.machine.started == 6  # one tells who it is
    generator = random.Random(0)
    wild = device((spell(math.exp(generator.gauss(0, 0.03))) for _ in itertools.count()), processes=5)
    assert len(wild.measure(SMALL).environment["load_seconds"]) > 5


def test_networks_that_are_compared_are_timed_in_turn(waits):
    order: list[int] = []

    def script() -> Iterator[Spell]:
        for number in itertools.count():
            order.append(number)
            yield spell(1 + number % 2)

    first, second = device(script()).measure_together([SMALL, SMALL], processes=3)
    assert first.latency_ms == pytest.approx(2.0)
    assert second.latency_ms == pytest.approx(4.0)


@pytest.mark.slow
def test_a_few_refused_spells_of_many_networks_are_no_lost_round(waits):
    """One spell in seven is disturbed: in every round one is, and yet the others go on without a pause."""
    others = [SMALL.replace(resolution=32 + number) for number in range(6)]
    script = (spell(gauge=1.4 if number % 7 == 6 else 1.0) for number in itertools.count())
    latencies = device(script, processes=10, patience_s=10).measure_together(others, 10)
    assert len(latencies) == 6
    assert sum(len(latency.environment["refused"]) for latency in latencies) >= 9
    assert sum(waits) < 1, "but at the end, where the last one left is the one that was disturbed"


def test_a_reference_network_that_does_not_run_is_the_devices_fault(waits, monkeypatch):
    monkeypatch.setattr(TorchRuntime, "tolerance", -1.0)
    with pytest.raises(DeviceError, match="the reference network does not run on device 'fake'"):
        measure(itertools.repeat(spell()))


def test_a_runtime_that_is_less_steady_than_others_is_measured_all_the_same(waits):
    """Its reference network differs by 4 % from one spell to the next on a quiet machine; load is still refused."""
    generator = random.Random(1)
    script = (spell(gauge=math.exp(generator.gauss(0, 0.04))) for _ in itertools.count())
    steadier = device(script)
    for _ in range(5):
        latency = steadier.measure(SMALL)
    assert latency.environment["refused"] == []
    assert steadier.gate.problem(spell(gauge=1.5))


@pytest.mark.parametrize("seen", [None, 0.0])
def test_machines_that_tell_nothing_are_trusted(seen):
    gate = Gate()
    assert gate.problem(gate.learn(spell(conditions=Conditions(waited=seen, neighbours=seen)))) is None
    assert gate.is_trusted
