"""Whole detectors on every runtime: as classifiers, right outputs or none, in fp32 and int8."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mnas.devices import LocalDevice
from mnas.devices._candidate import Candidate
from mnas.devices._worker import _outputs
from mnas.devices.runtimes import Runtime, check_installed, find_runtime
from mnas.errors import MeasurementError, SettingsError
from mnas.models import build_detector
from mnas.space import Architecture, box_count

SMALL = Architecture.parse(
    "input_r64_c3 stem_k3_s2_c8 cn_r1_k3_s1_c8 ir_r2_k3_s2_e3_c16_se0.25 ds_r1_k5_s2_c16_pool ir_r1_k5_s2_e3_c24 "
    "ssdlite_c32_n3_w0.25"
)
V1 = Architecture.parse(  # as MobileNetV1: activated layers, no convolution in the head
    "input_r64_c3 stem_k3_s2_c8 dsa_k3_c16 dsa_r2_k3_s2_c24 dsa_r2_k3_s2_c32 ssdlite_c0_n3_w0.25 net_relu6"
)
QUICK = [(name, precision) for name in ("onnxruntime", "openvino") for precision in ("fp32", "int8")]
SLOW = [(name, precision) for name in ("litert", "executorch") for precision in ("fp32", "int8")]
APART = [("torch-compiled", "fp32")]


def available(name: str, precision: str) -> Runtime:
    runtime = find_runtime(name, precision)
    try:
        check_installed(runtime)
    except SettingsError as error:
        pytest.skip(str(error))
    return runtime


def outcome(runtime: Runtime, candidate: Candidate, model: bytes) -> float:
    """How far a model's outputs are from the candidate's, as a measurement checks them."""
    session = runtime.load(model, candidate.timed_images.copy(), threads=1)
    output = _outputs(session, np.split(candidate.images, len(candidate.images)))
    return candidate.check(output.tobytes(), output.shape, runtime.tolerance)


@pytest.mark.parametrize("architecture", [SMALL, V1], ids=["small", "v1"])
@pytest.mark.parametrize(("name", "precision"), [*QUICK, ("torch", "fp32")])
def test_outputs_are_torchs_within_the_tolerance_and_another_detectors_are_not(name, precision, architecture):
    runtime = available(name, precision)
    candidate = Candidate.convert(architecture, runtime)
    assert candidate.expected.shape[1:] == (box_count(architecture), 8)
    assert outcome(runtime, candidate, candidate.model) <= runtime.tolerance
    with pytest.raises(MeasurementError, match="outputs are wrong"):
        outcome(runtime, candidate, runtime.convert(build_detector(architecture, seed=1).eval()))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_channels_out_of_order_are_noticed_in_int8(name):
    """Of the 1x1 convolution before the coarser maps, which half of the boxes never see."""
    runtime = available(name, "int8")
    candidate = Candidate.convert(SMALL, runtime)
    swapped = build_detector(SMALL, seed=0).eval()
    with torch.no_grad():
        swapped.head.conv.weight.copy_(swapped.head.conv.weight.flip(0))
    with pytest.raises(MeasurementError, match="outputs are wrong"):
        outcome(runtime, candidate, runtime.convert(swapped))


def test_a_device_measures_a_detector():
    with LocalDevice(drift=0.01) as device:
        latency = device.measure(SMALL)
    assert latency.low_ms < latency.latency_ms < latency.high_ms
    assert latency.environment["output_difference"][0] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("architecture", [SMALL, V1], ids=["small", "v1"])
@pytest.mark.parametrize(("name", "precision"), SLOW + APART)
def test_outputs_of_slow_converters_are_torchs_too(name, precision, architecture):
    available(name, precision)
    with LocalDevice(name, precision=precision, drift=0.01) as device:
        latency = device.measure(architecture)
    assert latency.environment["output_difference"][0] <= latency.environment["tolerance"]
    assert latency.environment["precision"] == precision
