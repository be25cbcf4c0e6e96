"""The suite for accuracy estimators runs on the proxy task, which really trains."""

from __future__ import annotations

from mnas.accuracy import AccuracyEstimator, ProxyTask
from mnas.datasets import DigitsDataset
from mnas.space import Architecture
from mnas.testing import EstimatorConformance


class TestProxyTask(EstimatorConformance):
    def make(self) -> AccuracyEstimator:
        return ProxyTask(DigitsDataset(resolution=8), epochs=2, warmup_epochs=0)

    def architecture(self) -> Architecture:
        return Architecture.parse("input_r8_c1 stem_k3_s1_c8 ir_k3_s2_e3_c16_se0.25 head_c32_n10")
