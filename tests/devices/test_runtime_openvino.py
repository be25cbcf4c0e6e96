"""Promises of OpenVINO as a runtime: fp32 is fp32."""

from __future__ import annotations

import io

import pytest

from mnas.devices import LocalDevice
from mnas.devices.runtimes import OpenVinoRuntime
from mnas.devices.runtimes._openvino import _check_precision
from mnas.errors import MeasurementError
from mnas.models import build_model
from mnas.space import Architecture

openvino = pytest.importorskip("openvino", reason="the extra mnas[openvino] is not installed")

NETWORK = Architecture.parse("input_r32_c3 stem_k3_s2_c16 cn_r1_k3_s1_c16 ir_r2_k5_s2_e6_c24_se0.25 head_c64_n10")


def test_it_gives_torch_s_outputs_and_says_who_measured():
    """In a process of its own, in fp32: far closer to torch than half precision could be."""
    with LocalDevice("openvino", drift=0.01) as device:
        latency = device.measure(NETWORK)
        assert latency.low_ms < latency.latency_ms < latency.high_ms
        assert latency.environment["output_difference"][0] < 1e-5
        assert device.info().fingerprint.startswith(f"cpu openvino {openvino.__version__} fp32")


def test_half_precision_in_place_of_fp32_is_noticed():
    """What the plugin does by default on processors that have bf16."""
    core = openvino.Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bf16, so that nothing is silently computed in it")
    model = core.read_model(io.BytesIO(OpenVinoRuntime().convert(build_model(NETWORK, seed=0).eval())))
    with pytest.raises(MeasurementError, match=r"fp32 was asked for, but .* layers run in bf16"):
        _check_precision(core.compile_model(model, "CPU", {}), "fp32")
    _check_precision(core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}), "fp32")
