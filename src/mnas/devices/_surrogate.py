"""SurrogateDevice: latencies predicted from measurements of FPGAs, GPUs and TPUs, without that hardware."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mnas.devices._contract import DeviceInfo
from mnas.errors import SettingsError, did_you_mean
from mnas.objective import Latency
from mnas.space import Architecture
from mnas.surrogates import Prediction, Surrogate, load_surrogate

_DEVICES = {
    "zcu102": "Xilinx ZCU102, int8, latency at batch 1",
    "vck190": "Xilinx VCK190, int8, latency at batch 6",
    "a100": "NVIDIA A100 40 GB, 1 / throughput",
    "3090": "NVIDIA RTX 3090, 1 / throughput",
    "tpuv2": "TPUv2, one core, 1 / throughput at batch 64",
    "tpuv3": "TPUv3, one core, 1 / throughput at batch 128",
}


class SurrogateDevice:
    """A device of Accel-NASBench, for members of the space `accel-nasbench`.

        device = SurrogateDevice("zcu102")
        device.measure(architecture).latency_ms             # 8.39
        ms, sds = device.predict(architectures)             # each (networks,)
        SurrogateDevice("a100").images_per_second(architectures)

    The FPGAs' figures are latencies. The GPUs' and TPUs' were measured as throughput, so their milliseconds
    are per image in a full batch: no latency of a single image, but in the same order as the throughput.

    Raises:
        SettingsError: an unknown device; from the methods, an architecture outside the space.
        StopError: the surrogate's file is missing or damaged.
    """

    def __init__(self, device: str = "zcu102") -> None:
        if device not in _DEVICES:
            raise did_you_mean("device of accel-nasbench:", str(device), _DEVICES)
        self.device = device

    def info(self) -> DeviceInfo:
        """Named by the device, fingerprinted by the fit."""
        surrogate = self._surrogate
        details = {
            "kind": "a surrogate, no hardware",
            "measured_on": _DEVICES[self.device],
            "model": surrogate.provenance["model"],
            "origin": surrogate.provenance["origin"],
        }
        fingerprint = f"surrogate accel-nasbench {self.device} {surrogate.version}"
        return DeviceInfo(f"accel-nasbench {self.device}", fingerprint, details)

    def measure(self, architecture: Architecture) -> Latency:
        """The predicted latency; the interval is where 95 % of the measurements lie that no fit saw."""
        prediction = self.examine((architecture,))
        return Latency(
            latency_ms=float(prediction.mean[0]),
            low_ms=float(prediction.low[0]),
            high_ms=float(prediction.high[0]),
            statistic="surrogate",
            device=self.info().fingerprint,
            environment={"distance": float(prediction.distance[0]), "far": prediction.remark(0)},
        )

    def predict(self, architectures: Iterable[Architecture]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Milliseconds and their standard deviations; a measurement lies within one deviation in 68 %."""
        prediction = self.examine(architectures)
        return prediction.mean, prediction.sd

    def predict_tokens(self, tokens: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same from rows of the space's tokens, shape (networks, 28): quicker for large batches."""
        prediction = self._surrogate.predict_tokens(tokens)
        return prediction.mean, prediction.sd

    def images_per_second(self, architectures: Iterable[Architecture]) -> NDArray[np.float64]:
        """The predicted throughput, (networks,).

        Raises:
            SettingsError: an FPGA, whose latency leaves its throughput open.
        """
        if not self._surrogate.provenance["is_throughput"]:
            known = [name for name in _DEVICES if load_surrogate(name).provenance["is_throughput"]]
            raise SettingsError(
                f"{self.device!r} has latencies only, and throughput does not follow from them; throughput is "
                f"there for {', '.join(known)}"
            )
        milliseconds = self.examine(architectures).mean
        return np.asarray(1000.0 / milliseconds)

    def examine(self, architectures: Iterable[Architecture]) -> Prediction:
        """All there is to say, in milliseconds: 95 % intervals too, and which networks lie far from the data."""
        return self._surrogate.predict(architectures)

    @property
    def _surrogate(self) -> Surrogate:
        return load_surrogate(self.device)
