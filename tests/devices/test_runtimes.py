"""Every runtime in every precision that it has: right outputs, and nothing that is not what was asked for."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from mnas.devices import LocalDevice
from mnas.devices._candidate import Candidate
from mnas.devices._conversions import Conversions
from mnas.devices._timing import TimingPlan, warm_up
from mnas.devices._worker import _outputs
from mnas.devices.runtimes import OnnxRuntime, Runtime, check_installed, find_runtime
from mnas.devices.runtimes._calibration import calibration_images
from mnas.errors import ExportError, MeasurementError, SettingsError
from mnas.export import onnx_int8_model, onnx_model
from mnas.export._onnx_int8 import check_int8
from mnas.models import build_model
from mnas.space import Architecture, mnasnet_space

# Every kind of layer, of skip and of activation's neighbour that the spaces have.
SMALL = Architecture.parse(
    "input_r32_c3 stem_k3_s2_c8 cn_r2_k3_s1_c8 ir_r2_k3_s2_e3_c16_se0.25 ds_r1_k5_s2_c16_pool ir_r1_k5_s1_e3_c24 "
    "head_c32_n10"
)
V1 = Architecture.parse(  # as MobileNetV1: activated layers, no convolution in the head
    "input_r32_c3 stem_k3_s2_c8 dsa_k3_c16 dsa_r2_k3_s2_c24 dsa_r2_k3_s2_c32 head_c0_n10 net_relu6"
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


def outcome(runtime: Runtime, candidate: Candidate) -> float:
    """How far the runtime's outputs are from torch's, as a measurement checks them."""
    session = runtime.load(candidate.model, candidate.timed_images.copy(), threads=1)
    output = _outputs(session, np.split(candidate.images, len(candidate.images)))
    return candidate.check(output.tobytes(), output.shape, runtime.tolerance)


@pytest.mark.parametrize("architecture", [SMALL, V1], ids=["small", "v1"])
@pytest.mark.parametrize(("name", "precision"), QUICK)
def test_outputs_are_torchs_within_the_tolerance(name, precision, architecture):
    runtime = available(name, precision)
    assert outcome(runtime, Candidate.convert(architecture, runtime)) <= runtime.tolerance


@pytest.mark.slow
@pytest.mark.parametrize(("name", "precision"), SLOW + APART)
def test_outputs_of_slow_converters_are_torchs_too(name, precision, capfd, tmp_path, monkeypatch):
    """And what they print and write stays away: they convert in a process of their own."""
    monkeypatch.chdir(tmp_path)
    available(name, precision)
    with LocalDevice(name, precision=precision, drift=0.01) as device:
        latency = device.measure(SMALL)
    assert latency.environment["output_difference"][0] <= latency.environment["tolerance"]
    assert latency.environment["precision"] == precision
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("onnxruntime", 1),
        pytest.param("onnxruntime", 20, marks=pytest.mark.slow),
        pytest.param("openvino", 20, marks=pytest.mark.slow),
    ],
)
def test_random_members_pass_in_int8_and_wrong_networks_do_not(name, members):
    """Of `mnasnet`: neither another seed's weights pass nor the head's channels in reverse order."""
    runtime = available(name, "int8")
    space, generator = mnasnet_space(width=0.35, resolution=64, classes=100), random.Random(3)
    for number in range(members):
        architecture = space.decode(space.sample(generator))
        candidate = Candidate.convert(architecture, runtime)
        assert outcome(runtime, candidate) <= runtime.tolerance
        other = build_model(architecture, seed=number + 1).eval()
        with pytest.raises(MeasurementError, match="outputs are wrong"):
            outcome(runtime, replaced(candidate, runtime, other))
        swapped = build_model(architecture, seed=0).eval()
        with torch.no_grad():
            swapped.head.conv.weight.copy_(swapped.head.conv.weight.flip(0))
        with pytest.raises(MeasurementError, match="outputs are wrong"):
            outcome(runtime, replaced(candidate, runtime, swapped))


def replaced(candidate: Candidate, runtime: Runtime, network: torch.nn.Module) -> Candidate:
    """The candidate with another network's model, and still its own expected outputs."""
    model = runtime.convert(network)
    return Candidate(candidate.architecture, model, candidate.images, candidate.expected, 0.0, candidate.precision)


def test_a_convolution_left_in_fp32_is_noticed():
    model = onnx_int8_model(build_model(SMALL, seed=0).eval(), calibration_images(SMALL))
    check_int8(model)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    quantize = helper.make_node("Identity", [conv.input[0]], ["past"], "past")
    model.graph.node.insert(0, quantize)
    conv.input[0] = "past"
    with pytest.raises(ExportError, match=f"int8 was asked for, but Conv '{conv.name}' is not quantized"):
        check_int8(model)


def test_an_fp32_file_is_no_int8_measurement(monkeypatch):
    """OpenVINO says what it runs: an unquantized file under the name of int8 is refused."""
    runtime = available("openvino", "int8")
    model = onnx_model(build_model(SMALL, seed=0).eval()).SerializeToString()
    images = np.zeros((1, 3, 32, 32), np.float32)
    with pytest.raises(MeasurementError, match="int8 was asked for"):
        runtime.load(model, images, threads=1)


@pytest.mark.parametrize("resolution", [32, 96])
def test_onnx_runtime_really_runs_int8(resolution, tmp_path):
    """After its own optimisations no convolution or fully connected layer is left in floating point."""
    import onnxruntime

    space, generator = mnasnet_space(width=0.35, resolution=resolution), random.Random(0)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    for _ in range(3):
        model = OnnxRuntime("int8").convert(build_model(space.decode(space.sample(generator)), seed=0).eval())
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        ops = {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}
        assert "QLinearConv" in ops
        assert not ops & {"Conv", "Gemm", "MatMul", "FusedConv"}


def test_int8_is_another_device_than_fp32():
    with LocalDevice(drift=0.01) as plain, LocalDevice(precision="int8", drift=0.01) as device:
        assert device.info().fingerprint != plain.info().fingerprint
        assert device.measure(SMALL).environment["precision"] == "int8"


@pytest.mark.parametrize(
    ("name", "precision", "message"),
    [
        ("openvin", "fp32", "did you mean 'openvino'"),
        ("onnxruntime", "int9", "unknown precision 'int9': did you mean 'int8'"),
        ("torch", "int8", r"runtime 'torch' has no int8; these have: onnxruntime, openvino, litert, executorch"),
    ],
)
def test_what_no_runtime_has_is_named(name, precision, message):
    with pytest.raises(SettingsError, match=message):
        find_runtime(name, precision)


@pytest.mark.parametrize("name", ["openvino", "litert", "executorch"])
def test_a_missing_library_names_its_extra(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(SettingsError, match=rf"which is not installed: pip install 'mnas\[{name}\]'"):
        LocalDevice(name)


class Failing(OnnxRuntime):
    """Cannot convert; converts in a process of its own."""

    converts_apart = True


@pytest.mark.skipif(not hasattr(os, "kill"), reason="needs signals")
def test_a_crash_in_a_converters_own_process_is_a_failed_measurement(monkeypatch):
    """And the next network gets a fresh process."""
    conversions = Conversions(Failing())
    first = conversions.candidate(SMALL)
    assert outcome(OnnxRuntime(), first) <= 1e-4  # made over there, and right
    child = conversions._converter._child
    assert child is not None
    answers = child.answers
    monkeypatch.setattr(child, "answers", lambda: answers() and not os.kill(child.pid, 11))  # dies when asked
    with pytest.raises(MeasurementError, match="SIGSEGV"):
        conversions.candidate(SMALL)
    assert conversions.candidate(SMALL).model == first.model
    conversions.close()


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
@pytest.mark.parametrize(("name", "what"), [("onnxruntime-cuda", "onnxruntime-gpu"), ("torch-cuda", "finds none")])
def test_a_gpu_that_is_not_there_is_an_error_and_not_the_cpu(name, what):
    with LocalDevice(name) as device, pytest.raises(SettingsError, match=f"needs an NVIDIA GPU .*{what}"):
        device.info()


def test_a_run_that_tells_its_own_milliseconds_is_believed():
    """As CUDA events do; the wall clock would count Python's part."""
    _, fastest_ms = warm_up(lambda: 0.25, TimingPlan(max_warm_up_ms=1))
    assert fastest_ms == 0.25


def test_the_timing_process_needs_no_torch_to_find_a_runtime():
    code = "import sys; from mnas.devices.runtimes import find_runtime; find_runtime('litert', 'int8'); "
    code += "assert not {'torch', 'onnxruntime', 'onnx'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
