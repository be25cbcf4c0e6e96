"""Surrogates as parts of a search: an accuracy estimator and a device."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mnas.accuracy import AccuracyEstimator, SurrogateAccuracy
from mnas.devices import Device, SurrogateDevice
from mnas.errors import SettingsError
from mnas.space import Architecture, accel_nasbench_space, mnasnet_space
from mnas.testing import DeviceConformance, EstimatorConformance

SPACE = accel_nasbench_space()
SMALL, LARGE = SPACE.decode((1, 0, 0, 0) * 7), SPACE.decode((2, 1, 0, 2) * 7)
DEVICES = ("zcu102", "vck190", "a100", "3090", "tpuv2", "tpuv3")


class TestSurrogateAccuracy(EstimatorConformance):
    def make(self) -> AccuracyEstimator:
        return SurrogateAccuracy()

    def architecture(self) -> Architecture:
        return SMALL


class TestTreesAccuracy(TestSurrogateAccuracy):
    def make(self) -> AccuracyEstimator:
        return SurrogateAccuracy(model="trees")


class TestSurrogateDevice(DeviceConformance):
    # Of the kinds of layers, the space has these alone: see the test of its blocks below.
    test_every_kind_of_layer_can_be_measured = None  # type: ignore[assignment]

    def make(self) -> Device:
        return SurrogateDevice("3090")

    def architecture(self) -> Architecture:
        return SMALL

    def large_architecture(self) -> Architecture:
        return LARGE


@pytest.mark.parametrize("device", DEVICES)
def test_every_option_of_the_space_can_be_measured(device: str) -> None:
    measured = SurrogateDevice(device)
    for index, choice in enumerate(SPACE.choices):
        for token in range(len(choice.options)):
            architecture = SPACE.decode(tuple(token if place == index else 0 for place in range(28)))
            assert measured.measure(architecture).latency_ms > 0


@pytest.mark.parametrize("device", DEVICES)
def test_a_larger_network_is_slower_and_more_accurate(device: str) -> None:
    ms, sds = SurrogateDevice(device).predict((SMALL, LARGE))
    assert ms[0] < ms[1]
    assert (sds > 0).all()
    for model in ("mlp", "trees"):
        accuracies, _ = SurrogateAccuracy(model=model).predict((SMALL, LARGE))
        assert accuracies[0] < accuracies[1]


def test_an_interval_is_the_predictions() -> None:
    device = SurrogateDevice("a100")
    latency, prediction = device.measure(LARGE), device.examine((LARGE,))
    assert (latency.low_ms, latency.high_ms) == (prediction.low[0], prediction.high[0])
    assert latency.statistic == "surrogate"
    assert latency.device == device.info().fingerprint


def test_devices_and_fits_have_fingerprints_of_their_own() -> None:
    assert len({SurrogateDevice(device).info().fingerprint for device in DEVICES}) == len(DEVICES)
    assert SurrogateAccuracy().task != SurrogateAccuracy(model="trees").task
    assert "shortened ImageNet recipe" in SurrogateAccuracy().task


def test_throughput_is_images_per_second() -> None:
    device = SurrogateDevice("tpuv2")
    assert device.images_per_second((SMALL,))[0] == pytest.approx(1000 / device.measure(SMALL).latency_ms)
    with pytest.raises(SettingsError, match="throughput is there for a100, 3090, tpuv2, tpuv3"):
        SurrogateDevice("zcu102").images_per_second((SMALL,))


def test_predictions_are_fractions_and_tokens_give_the_same() -> None:
    estimator, tokens = SurrogateAccuracy(), np.array([SPACE.encode(SMALL), SPACE.encode(LARGE)])
    means, sds = estimator.predict((SMALL, LARGE))
    assert ((means > 0.3) & (means < 0.8)).all()
    assert ((sds > 0.001) & (sds < 0.05)).all()
    assert (estimator.predict_tokens(tokens)[0] == means).all()
    assert estimator.estimate(LARGE, seed=3).accuracy == means[1]
    assert (estimator.examine((SMALL, LARGE)).mean == 100 * means).all()
    device = SurrogateDevice()
    assert (device.predict_tokens(tokens)[0] == device.predict((SMALL, LARGE))[0]).all()


@pytest.mark.parametrize("part", [SurrogateAccuracy(), SurrogateAccuracy(model="trees"), SurrogateDevice("vck190")])
def test_an_architecture_outside_the_space_is_refused(part: SurrogateAccuracy | SurrogateDevice) -> None:
    outsider = mnasnet_space().decode((0,) * 42)
    with pytest.raises(SettingsError, match="accel-nasbench"):
        part.measure(outsider) if isinstance(part, SurrogateDevice) else part.estimate(outsider, seed=0)


def test_unknown_names_get_suggestions() -> None:
    with pytest.raises(SettingsError, match="did you mean 'zcu102'"):
        SurrogateDevice("zcu1O2")
    with pytest.raises(SettingsError, match="'3090'"):
        SurrogateDevice(3090)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="did you mean 'trees'"):
        SurrogateAccuracy(model="tree")


def test_a_device_can_be_sent_to_another_process() -> None:
    device = SurrogateDevice("tpuv3")
    device.measure(SMALL)
    assert pickle.loads(pickle.dumps(device)).measure(SMALL) == device.measure(SMALL)
