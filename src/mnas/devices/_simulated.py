"""A device that is a formula: for tests, dry runs and studies of controllers."""

from __future__ import annotations

from mnas.devices._contract import DeviceInfo
from mnas.objective import Latency
from mnas.space import Architecture, count_rows

# MAdds per millisecond: dense convolutions use a CPU best, depthwise ones are bound by memory.
_MADDS_PER_MS = {"conv": 2.0e7, "sepconv": 0.8e7, "sepconv_act": 0.8e7, "mbconv": 1.2e7}
_LAYER_MS = 0.004  # calling a layer at all
_SE_MS = 0.006
_HALF_WIDTH = 0.01


class SimulatedDevice:
    """Latency by a deterministic formula of each layer's op and MAdds. Equal on every machine."""

    def info(self) -> DeviceInfo:
        """Named and fingerprinted by the formula's version."""
        return DeviceInfo("simulated", "simulated formula 1", {"kind": "a formula, no hardware"})

    def measure(self, architecture: Architecture) -> Latency:
        """The formula's latency, with an interval of one percent on each side."""
        rows = list(count_rows(architecture))
        layers = [row for row in rows if row.name.startswith("block")]
        ends = [row for row in rows if row.name in ("stem", "head")]
        ms = len(ends) * _LAYER_MS + sum(row.madds for row in ends) / _MADDS_PER_MS["conv"]
        for row, layer in zip(layers, architecture.layers, strict=True):
            ms += _LAYER_MS + row.madds / _MADDS_PER_MS[layer.op] + (_SE_MS if layer.se_ratio else 0)
        return Latency(
            latency_ms=ms,
            low_ms=ms * (1 - _HALF_WIDTH),
            high_ms=ms * (1 + _HALF_WIDTH),
            statistic="formula",
            device=self.info().fingerprint,
        )
