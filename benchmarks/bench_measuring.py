"""What a measurement costs beyond its timed runs, and how many candidates a minute takes, here and by ssh.

    python benchmarks/bench_measuring.py                       # 8 networks, four ways; two minutes on a quiet machine
    python benchmarks/bench_measuring.py --networks 4 --runtime openvino --no-ssh

Networks of the imagenet preset's space, measured with its settings (`half_width` .05), each in the process that stays
for all of them. First with nothing converted yet, then by a new device that finds the conversions on disk, as the
search that is run again does. Over ssh it is a real sshd on loopback, so the timing is this machine's too, and what
the difference shows is the way there: no network's delay is in it.

Timed runs are counted at their block's fastest, so their share is rather too low; what they scatter is in `other`,
with the messages between the processes. `refused` counts the spells that the gate did not take; waiting is apart.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from mnas.devices import LocalDevice, SshDevice
from mnas.devices._child import Child
from mnas.devices._timing import TimingPlan
from mnas.space import Architecture, accel_nasbench_space

STEPS = ("timed runs", "reference", "warm-up", "loading", "conversion", "process", "refused", "waiting", "other")
HALF_WIDTH = 0.05  # the imagenet preset's
Timed = LocalDevice | SshDevice


class Ledger:
    """Seconds by what they went to, for all measurements of one device."""

    def __init__(self, device: Timed) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.plan: TimingPlan = device.measuring.plan
        measuring = device.measuring
        candidate = self._timed("conversion", measuring.conversions.candidate)
        measuring.conversions.candidate = candidate  # type: ignore[method-assign]
        self._start: Callable[[], Child] = self._timed("process", measuring.machine.start)
        measuring.machine = self
        self._sleep = mock.patch.object(time, "sleep", self._timed("waiting", time.sleep))
        self._sleep.start()

    def start(self) -> Child:
        """A timing process, whose answers are counted."""
        child = self._start()
        ask = child.ask

        def counted(header: Any, *parts: bytes, limit_s: float) -> Any:
            began = time.perf_counter()
            answer = ask(header, *parts, limit_s=limit_s)
            self._count(header, answer[0], time.perf_counter() - began)
            return answer

        child.ask = counted  # type: ignore[method-assign]
        return child

    def close(self) -> None:
        """Counts no more."""
        self._sleep.stop()

    def _count(self, header: Any, reply: Any, took: float) -> None:
        if "load" in header:
            self.seconds["loading"] += reply["load_seconds"]
            self.seconds["warm-up"] += took - reply["load_seconds"]
        elif "spell" in header:
            spell = reply["spell"]
            timed = spell["runs_per_block"] * sum(spell["samples_ms"]) / 1e3
            reference = sum(self.plan.gauge_ms + 2 * ms for ms in spell["gauge_ms"]) / 1e3
            self.seconds["timed runs"] += timed
            self.seconds["reference"] += min(reference, took - timed)
            self.seconds["spells"] += took
            self.seconds["spell count"] += 1

    def _timed(self, step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments)
            finally:
                self.seconds[step] += time.perf_counter() - began

        return timed


def shares(ledger: Ledger, refused: int, wall_s: float) -> dict[str, float]:
    """Each step's share of the wall time."""
    seconds = dict(ledger.seconds)
    lost = refused / max(seconds["spell count"], 1)  # of the spells
    seconds["refused"] = lost * seconds["spells"]
    for step in ("timed runs", "reference"):
        seconds[step] *= 1 - lost
    seconds["other"] = wall_s - sum(seconds.get(step, 0.0) for step in STEPS if step != "other")
    return {step: seconds.get(step, 0.0) / wall_s for step in STEPS}


def one_way(make: Callable[[], Timed], warm_up: Architecture, networks: list[Architecture]) -> dict[str, Any]:
    """One device over all networks, after a first measurement that finds what processes differ by."""
    with make() as device, contextlib.closing(Ledger(device)) as ledger:
        began = time.perf_counter()
        device.measure(warm_up)
        first_s = time.perf_counter() - began
        ledger.seconds.clear()
        began = time.perf_counter()
        latencies = [device.measure(network) for network in networks]
        wall_s = time.perf_counter() - began
    refused = sum(len(latency.environment["refused"]) for latency in latencies)
    return {
        "first_measurement_s": first_s,
        "seconds_each": wall_s / len(networks),
        "candidates_per_minute": 60 * len(networks) / wall_s,
        "spells_each": ledger.seconds["spell count"] / len(networks),
        "refused_spells": refused,
        "shares": shares(ledger, refused, wall_s),
        "latencies_ms": [latency.latency_ms for latency in latencies],
        "device": latencies[0].device,
    }


@contextlib.contextmanager
def sshd() -> Iterator[Any]:
    """The tests' sshd on loopback; None where there is no OpenSSH."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "devices"))
    import sshd_server  # type: ignore[import-not-found]

    if not sshd_server.IS_HERE:
        print(f"over ssh: skipped, it {sshd_server.MISSING}")
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        server = sshd_server.Sshd(Path(folder) / "sshd")
        try:
            yield server
        finally:
            server.close()


def show(found: dict[str, dict[str, Any]]) -> None:
    """The table, one column per way."""
    print(f"{'':28}" + "".join(f"{way:>16}" for way in found))
    rows = (("first measurement, s", "first_measurement_s"), ("one candidate, s", "seconds_each"),
            ("candidates per minute", "candidates_per_minute"), ("spells each", "spells_each"),
            ("refused spells", "refused_spells"))  # fmt: skip
    for name, key in rows:
        print(f"{name:28}" + "".join(f"{one[key]:16.2f}" for one in found.values()))
    for step in STEPS:
        print(
            f"{step + ', % of the time':28}" + "".join(f"{100 * one['shares'][step]:16.1f}" for one in found.values())
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=8)
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--ssh", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    space, generator = accel_nasbench_space(), random.Random(0)
    warm_up, *networks = [space.decode(space.sample(generator)) for _ in range(arguments.networks + 1)]
    settings: dict[str, Any] = {
        "runtime": arguments.runtime, "precision": arguments.precision, "half_width": HALF_WIDTH,
    }  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    with sshd() if arguments.ssh else contextlib.nullcontext() as server:
        ways: dict[str, Callable[[], Timed]] = {"local": lambda: LocalDevice(**settings)}
        if server:
            here = {"python": sys.executable, "ssh_config": server.ssh_config}
            ways["ssh"] = lambda: SshDevice("board", **settings, **here)
        for way, make in ways.items():
            with tempfile.TemporaryDirectory() as cache:
                os.environ["MNAS_CACHE"] = cache
                for state in ("cold", "cached"):
                    found[f"{way}, {state}"] = one_way(make, warm_up, networks)
    show(found)
    named = {key: getattr(arguments, key) for key in ("networks", "runtime", "precision")}
    print(json.dumps({"benchmark": "measuring", **named, "ways": found}))


if __name__ == "__main__":
    main()
