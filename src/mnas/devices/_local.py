"""LocalDevice: this machine's CPU."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from mnas.devices import _host
from mnas.devices._child import Child
from mnas.devices._energy import MeterName, open_meter
from mnas.devices._measuring import Busy, Measuring, Patience
from mnas.devices._process_device import ProcessDevice
from mnas.devices.runtimes import check_installed, find_runtime
from mnas.errors import SettingsError


class LocalDevice(ProcessDevice):
    """Latency of one input on this machine's CPU, timed in processes of its own.

        LocalDevice().measure(architecture)               # in a search: one process stays for all networks
        LocalDevice(processes=5).measure(architecture)    # by itself: at least five fresh processes for this network

    It goes on until the half-width of the 95 % interval is at most `half_width`. With one process, part of the width
    is `drift`, the relative standard deviation between processes. Unless it is given, the first measurement finds
    it, by timing its network in four fresh ones. With several, the interval is what those differ by.

    On a busy machine it waits and tries again, for `patience_s` seconds in all per measurement. Then `busy` says:
    "wait" that it is a DeviceError with the reason, "accept" that the latency gets an interval as wide as the
    disturbance, and the reason beside it.

    With `energy`, the energy of one inference is measured too, by the processor's meter or the GPU's.

    Every network gets the same seeded weights and input, and its outputs must equal torch's within the
    runtime's tolerance. `limit_s` bounds the time one process may take for one answer. Timing processes end
    with `close()`, with the device, and with the process that made it, however that ends.

    Raises:
        SettingsError: unknown or missing runtime, more threads than cores, no meter for `energy`, or a number out of
            range.
    """

    def __init__(
        self,
        runtime: str = "onnxruntime",
        threads: int = 1,
        processes: int = 1,
        drift: float | None = None,
        half_width: float = 0.03,
        busy: Busy = "wait",
        patience_s: float = 60.0,
        limit_s: float = 60.0,
        precision: str = "fp32",
        energy: bool = False,
    ) -> None:
        found = find_runtime(runtime, precision)
        check_installed(found)
        _check_threads(threads)
        super().__init__(
            Measuring(
                name="cpu",
                machine=_ThisMachine(runtime, precision, threads),
                runtime=found,
                threads=threads,
                patience=Patience(half_width, busy, patience_s),
                limit_s=limit_s,
                processes=processes,
                drift=drift,
                is_exclusive=True,
                meter=_meter(found.name) if energy else None,
            )
        )


def _meter(runtime: str) -> MeterName:
    """Which meter counts what a runtime takes; refused where there is none."""
    name: MeterName = "cuda" if runtime.endswith("-cuda") else "cpu"
    open_meter(name)
    return name


@dataclass(frozen=True)
class _ThisMachine:
    """Starts timing processes here."""

    runtime: str
    precision: str
    threads: int

    def start(self) -> Child:
        # -P: what lies in the working directory must not shadow the libraries.
        command = [sys.executable, "-P", "-m", "mnas.devices._worker"]
        start = {
            "runtime": self.runtime, "precision": self.precision, "threads": self.threads, "parent": os.getpid(),
        }  # fmt: skip
        return Child("cpu", command, start, {**os.environ, "OMP_NUM_THREADS": str(self.threads)})


def _check_threads(threads: int) -> None:
    cores = _host.available_cores()
    count = len(cores) if cores else os.cpu_count() or 1
    if threads < 1:
        raise SettingsError(f"threads should be at least 1, got {threads}")
    if threads > count:
        raise SettingsError(f"threads should be at most the {count} cores that this process may use, got {threads}")
