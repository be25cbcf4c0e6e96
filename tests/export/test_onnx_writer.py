"""The ONNX model that is written directly computes what the module computes, and what torch's exporter writes."""

import io
import os
import random
import stat

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mnas.errors import SettingsError, StorageError
from mnas.export import OPSET, onnx_model, save_onnx
from mnas.models import build, build_model, reference_architecture
from mnas.space import Architecture, count_madds, mnasnet_space, weight_bytes

OPS = [
    "cn_r2_k3_s2_c8",
    "cn_r2_k5_s1_c8_se0.25",
    "ds_r2_k5_s2_c8_pool",
    "ds_r2_k3_s2_c16_se0.25",
    "dsa_r2_k3_s2_c16_se0.25",
    "ir_r2_k3_s2_e3_c8_se0.25_pool",
    "ir_r2_k5_s2_e6_c16",
    "ir_r1_k7_s3_e3_c16_noskip",
]


@torch.no_grad()
def randomized(architecture: Architecture) -> nn.Module:
    """The built module in training mode, with random batch norm statistics, scales and shifts, and biases."""
    module = build(architecture, seed=0)
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.uniform_(0.5, 1.5, generator=generator)
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
        if isinstance(part, (nn.BatchNorm2d, nn.Linear)):
            part.bias.uniform_(-0.5, 0.5, generator=generator)
    return module


def run(model: onnx.ModelProto | bytes, images: torch.Tensor) -> torch.Tensor:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: images.numpy()})[0])


def images_for(architecture: Architecture, batch: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    size = architecture.resolution
    return torch.randn(batch, architecture.input_channels, size, size, generator=generator)


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest output."""
    return ((one - other).abs().max() / other.abs().max()).item()


def assert_same_outputs(architecture: Architecture) -> None:
    module = randomized(architecture)
    model = onnx_model(module)
    onnx.checker.check_model(model, full_check=True)
    images = images_for(architecture)
    assert module.training, "the module must stay as it was"
    with torch.no_grad():
        assert difference(run(model, images), module.eval()(images)) < 1e-5


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("resolution", [16, 17, 31])
@pytest.mark.parametrize("block", OPS)
def test_every_op_computes_what_the_module_computes(block, resolution, padding):
    activation = "relu6" if resolution == 17 else "relu"
    assert_same_outputs(
        Architecture.parse(f"input_r{resolution}_c2 stem_k3_s2_c8 {block} head_c16_n5 net_{activation}_{padding}")
    )


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("head", ["head_c0_n5", "ssdlite_c0_n3_w0.1"])
def test_a_head_without_a_convolution_computes_what_the_module_computes(head, padding):
    assert_same_outputs(
        Architecture.parse(f"input_r33_c2 stem_k3_s2_c8 dsa_k3_c8 dsa_r2_k3_s2_c16 {head} net_relu6_{padding}")
    )


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    padding=st.sampled_from(["symmetric", "same"]),
    resolution=st.integers(20, 49),
)
def test_members_of_the_space_compute_what_their_modules_compute(seed, padding, resolution):
    space = mnasnet_space(width=0.35, resolution=resolution, head_filters=64, classes=7, input_channels=1)
    assert_same_outputs(space.decode(space.sample(random.Random(seed))).replace(padding=padding))


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("block", [op for op in OPS if "_s1_" not in op])
def test_detectors_compute_what_their_modules_compute(block, padding):
    """Whatever the tapped layer is."""
    for resolution in (32, 47):
        frame = f"input_r{resolution}_c2 stem_k3_s2_c8 {block} ir_k3_e2_c8 ssdlite_c16_n3_w0.1 net_relu6_{padding}"
        assert_same_outputs(Architecture.parse(frame))


def test_a_detector_s_file_takes_any_batch_if_it_should():
    module = build(Architecture.parse("input_r32_c1 stem_k3_s2_c8 ds_k3_s2_c8 ssdlite_c16_n3_w0.1"), seed=0).eval()
    images = images_for(module.architecture, batch=3)
    with torch.no_grad():
        expected = module(images)
    assert difference(run(onnx_model(module, dynamic_batch=True), images), expected) < 1e-5


def exported_by_torch(module: nn.Module, images: torch.Tensor) -> onnx.ModelProto:
    # The dynamo exporter writes the graph of today; it is what this writer replaces.
    program = torch.onnx.export(module.eval(), (images,), dynamo=True, verbose=False)
    buffer = io.BytesIO()
    program.save(buffer)
    return onnx.load_from_string(buffer.getvalue())


def convolution_weights(model: onnx.ModelProto) -> list[np.ndarray]:
    """Weights of the convolutions and the classifier, in the order of the nodes."""
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return [arrays[node.input[1]] for node in model.graph.node if node.op_type in ("Conv", "Gemm")]


# One network with everything in it, for torch's exporter takes seconds per network.
EVERYTHING = "cn_r2_k5_s2_c8_se0.5 ds_r1_k3_s2_c8_pool ir_r2_k5_s1_e3_c16_se0.25 ir_r1_k3_s2_e6_c16_pool"


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_it_equals_what_torch_exports(padding):
    architecture = Architecture.parse(f"input_r35_c3 {EVERYTHING} head_c24_n6 net_relu_{padding}")
    assert_equals_torch_export(randomized(architecture))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1", "mnasnet-small", "mobilenet-v1", "mobilenet-v2"])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_reference_models_equal_what_torch_exports(name, padding):
    assert_equals_torch_export(randomized(reference_architecture(name, resolution=96, padding=padding)))


def assert_equals_torch_export(module: nn.Module) -> None:
    images = images_for(module.architecture)
    theirs, ours = exported_by_torch(module, images), onnx_model(module)
    assert difference(run(ours, images), run(theirs, images)) < 1e-5
    # Linear layers of SE are Gemm nodes in torch's file, 1x1 convolutions in ours: compare their numbers.
    pairs = zip(convolution_weights(ours), convolution_weights(theirs), strict=True)
    for our_weight, their_weight in pairs:
        np.testing.assert_allclose(our_weight.ravel(), their_weight.ravel(), rtol=1e-5, atol=1e-6)


def test_a_free_batch_runs_any_number_of_images():
    architecture = Architecture.parse(f"input_r20_c3 {EVERYTHING} head_c24_n6")
    module = randomized(architecture)
    model = onnx_model(module, dynamic_batch=True)
    onnx.checker.check_model(model, full_check=True)
    images = images_for(architecture, batch=3)
    with torch.no_grad():
        assert difference(run(model, images), module.eval()(images)) < 1e-5


def test_inputs_outputs_opset_and_metadata_are_as_documented():
    architecture = Architecture.parse(f"input_r20_c2 {EVERYTHING} head_c24_n6")
    model = onnx_model(build_model(architecture, seed=0))
    graph = model.graph

    def shape(value):
        return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]

    assert [(v.name, shape(v)) for v in graph.input] == [("images", [1, 2, 20, 20])]
    assert [(v.name, shape(v)) for v in graph.output] == [("logits", [1, 6])]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {p.key: p.value for p in model.metadata_props} == {"architecture": str(architecture)}
    free = onnx_model(build_model(architecture, seed=0), dynamic_batch=True).graph
    assert shape(free.input[0]) == ["batch", 2, 20, 20]


def test_the_weights_in_the_file_are_the_counted_bytes():
    architecture = reference_architecture("mnasnet-a1", width=0.35)
    model = onnx_model(build_model(architecture, seed=0))
    assert sum(len(tensor.raw_data) for tensor in model.graph.initializer) == weight_bytes(architecture)


def test_convolutions_of_the_file_do_the_counted_multiply_adds():
    architecture = reference_architecture("mnasnet-a1", width=0.5, resolution=45, padding="same")
    model = onnx.shape_inference.infer_shapes(onnx_model(build_model(architecture, seed=0)), strict_mode=True)
    graph = model.graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    outputs = {v.name: v.type.tensor_type.shape.dim for v in [*graph.value_info, *graph.output]}
    madds = sum(
        int(np.prod(weights[node.input[1]])) * int(np.prod([d.dim_value for d in outputs[node.output[0]][2:]]))
        for node in graph.node
        if node.op_type in ("Conv", "Gemm")
    )
    assert madds == count_madds(architecture)


def test_modules_in_channels_last_or_double_precision_give_the_same_file():
    architecture = Architecture.parse(f"input_r20_c3 {EVERYTHING} head_c24_n6")
    expected = onnx_model(randomized(architecture)).SerializeToString()
    module = randomized(architecture).to(memory_format=torch.channels_last)
    assert onnx_model(module).SerializeToString() == expected
    assert onnx_model(randomized(architecture).double()).SerializeToString() == expected


def test_a_file_is_written_whole_and_alone(tmp_path):
    architecture = Architecture.parse(f"input_r20_c3 {EVERYTHING} head_c24_n6")
    module, path = randomized(architecture), tmp_path / "winner.onnx"
    path.write_bytes(b"old")
    save_onnx(module, path)
    assert path.read_bytes() == onnx_model(module).SerializeToString()
    assert os.listdir(tmp_path) == ["winner.onnx"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o044, "readable by others, as any file one writes"
    images = images_for(architecture)
    with torch.no_grad():
        assert difference(run(path.read_bytes(), images), module.eval()(images)) < 1e-5


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "winner.onnx"
    path.write_bytes(b"old")

    def full(self, target):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StorageError, match=r"cannot write .*winner.onnx .*: no space left"):
        save_onnx(build_model(Architecture.parse(EVERYTHING), seed=0), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["winner.onnx"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match="there is no folder"):
        save_onnx(build_model(Architecture.parse(EVERYTHING), seed=0), tmp_path / "nowhere" / "winner.onnx")


def test_other_modules_are_refused():
    with pytest.raises(SettingsError, match="made or a Detector of build_detector, got Linear"):
        onnx_model(nn.Linear(2, 2))
