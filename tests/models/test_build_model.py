"""The built module is what the architecture says."""

import copy
import math
import pickle
import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mnas.errors import SettingsError
from mnas.models import build_model, pads
from mnas.space import Architecture, Head, Stem, count_madds, count_params, mnasnet_space

SMALL = "input_r16_c2 stem_k3_s2_c8 {} head_c16_n5 net_relu_{}_m0.01_eps0.001"
EVERY_OP = (
    "ds_r2_k3_s1_c8_se0.25 cn_r2_k5_s2_c16_se0.25 ir_r2_k5_s2_e3_c16_se0.5 ir_r2_k3_s1_e6_c16_pool "
    "cn_r2_k3_s2_c16_pool dsa_r2_k3_s1_c16_se0.25"
)


def small(blocks: str, padding: str = "symmetric") -> Architecture:
    return Architecture.parse(SMALL.format(blocks, padding))


def measured_madds(module: nn.Module, images: torch.Tensor) -> int:
    """Multiply-adds that the convolutions and fully connected layers of one forward pass really do."""
    total = 0

    def count(part: nn.Module, _inputs: object, out: torch.Tensor) -> None:
        nonlocal total
        total += out[0].numel() * part.weight[0].numel()

    hooks = [p.register_forward_hook(count) for p in module.modules() if isinstance(p, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        module.eval()(images)
    for hook in hooks:
        hook.remove()
    return total


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    padding=st.sampled_from(["symmetric", "same"]),
    resolution=st.integers(9, 41),
    width=st.sampled_from([0.25, 0.35, 0.5]),
)
def test_counts_without_building_equal_those_of_the_built_module(seed, padding, resolution, width):
    space = mnasnet_space(width=width, resolution=resolution, head_filters=64, classes=7, input_channels=2)
    architecture = space.decode(space.sample(random.Random(seed))).replace(padding=padding)
    module = build_model(architecture, seed=0)
    assert sum(p.numel() for p in module.parameters()) == count_params(architecture)
    assert measured_madds(module, torch.zeros(1, 2, resolution, resolution)) == count_madds(architecture)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("size", [(16, 16), (15, 21), (3, 1), (40, 8)])
def test_any_image_size_gives_logits(padding, size):
    module = build_model(small(EVERY_OP, padding), seed=0)
    assert module(torch.zeros(2, 2, *size)).shape == (2, 5)


def test_every_parameter_learns():
    module = build_model(small(EVERY_OP), seed=0)
    # Several images: the last layers see single pixels, and batch norm needs more than one value.
    F.cross_entropy(module(torch.randn(8, 2, 16, 16)), torch.arange(8) % 5).backward()
    silent = [name for name, p in module.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not silent


def test_a_conv_layer_scales_its_activated_output_and_then_adds_the_skip():
    module = build_model(small("cn_r2_k3_s1_c8_se0.25"), seed=0).eval()
    layer, x = module.layers[1], torch.randn(2, 8, 6, 6)
    part = layer.body.conv
    out = F.relu(F.conv2d(x, part.conv.weight, padding=1) / math.sqrt(1 + 1e-3))
    squeezed = F.relu(layer.body.se.reduce(out.mean((2, 3))))
    scale = torch.sigmoid(layer.body.se.expand(squeezed))
    torch.testing.assert_close(layer(x), out * scale[:, :, None, None] + x)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_pooling_skip_adds_the_maximum_around_each_pixel_of_the_input(stride):
    module = build_model(small(f"ds_r1_k3_s{stride}_c8_pool"), seed=0).eval()
    layer, x = module.layers[0], torch.randn(2, 8, 7, 7) - 10  # negative: padding must not win
    torch.testing.assert_close(layer(x), layer.body(x) + F.max_pool2d(x, 3, stride, padding=1))


def test_a_sepconv_scales_the_depthwise_output():
    layer = build_model(small("ds_r1_k3_s1_c16_se0.25"), seed=0).layers[0]
    assert [name for name, _ in layer.body.named_children()] == ["depthwise", "se", "project"]
    assert layer.body.se.reduce.weight.shape == (2, 8)
    assert layer.body.project.activation is None


@given(size=st.integers(1, 300), kernel=st.sampled_from([1, 3, 5, 7]), stride=st.integers(1, 4))
def test_both_paddings_give_the_size_over_the_stride_rounded_up(size, kernel, stride):
    for padding in ("symmetric", "same"):
        before, after = pads(padding, size, kernel, stride)
        assert (size + before + after - kernel) // stride + 1 == -(-size // stride)


def test_same_padding_adds_the_odd_pixel_after():
    assert pads("same", 224, 3, 2) == (0, 1)
    assert pads("same", 224, 5, 2) == (1, 2)
    assert pads("same", 113, 3, 2) == (1, 1)
    assert pads("same", 224, 5, 1) == pads("symmetric", 224, 5, 1) == (2, 2)


def test_same_padding_pads_convolutions_with_zeros_and_pools_with_minus_infinity():
    module = build_model(small("ds_r1_k3_s2_c8_pool", "same"), seed=0).eval()
    layer, x = module.layers[0], torch.randn(1, 8, 6, 6) - 10
    padded = F.pad(x, (0, 1, 0, 1))
    conv = F.relu(F.conv2d(padded, layer.body.depthwise.conv.weight, stride=2, groups=8) / math.sqrt(1 + 1e-3))
    pooled = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-math.inf), 3, 2)
    torch.testing.assert_close(layer(x), layer.body.project(conv) + pooled)


def test_initialisation_is_the_official_one():
    architecture = Architecture.parse("ir_r1_k5_s1_e6_c64_se0.5 cn_r1_k3_s1_c128 head_c512_n400")
    module = build_model(architecture, seed=0)
    first, second = module.layers[0].body, module.layers[1].body
    wanted = {
        first.expand.conv: math.sqrt(2 / 192),
        first.depthwise.conv: math.sqrt(2 / 25),
        first.project.conv: math.sqrt(2 / 64),
        second.conv.conv: math.sqrt(2 / (9 * 128)),
        first.se.expand: math.sqrt(2 / 192),
    }
    for part, std in wanted.items():
        # Five standard errors of a sample's deviation: one false alarm in millions.
        assert part.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * part.weight.numel()))
    bound = 1 / math.sqrt(400)
    assert 0.99 * bound < module.classifier.weight.abs().max() <= bound
    biases = [p for name, p in module.named_parameters() if name.endswith("bias")]
    assert all((bias == 0).all() for bias in biases)
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert all((norm.weight == 1).all() for norm in norms)


def test_the_same_seed_gives_the_same_weights_and_none_gives_fresh_ones():
    def weights(seed):
        return torch.cat([p.detach().flatten() for p in build_model(small(EVERY_OP), seed=seed).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))
    assert not torch.equal(weights(None), weights(None))


@pytest.mark.parametrize("seed", [None, 5])
def test_the_global_generator_is_neither_read_nor_moved(seed):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_model(small(EVERY_OP), seed=5)
    build_model(small(EVERY_OP), seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_model(small(EVERY_OP), seed=5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_module_can_be_pickled_and_copied():
    module = build_model(small(EVERY_OP, "same"), seed=0).eval()
    images = torch.randn(2, 2, 16, 16)
    for twin in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        assert twin.architecture == module.architecture
        assert torch.equal(twin(images), module(images))


def test_channels_last_gives_the_same_outputs():
    module = build_model(small(EVERY_OP), seed=0).eval()
    images = torch.randn(2, 2, 16, 16)
    expected = module(images)
    module.to(memory_format=torch.channels_last)
    torch.testing.assert_close(module(images.to(memory_format=torch.channels_last)), expected)


def test_dropout_acts_in_training_only():
    module = build_model(small(EVERY_OP), dropout=0.5, seed=0)
    images = torch.randn(8, 2, 16, 16)
    assert not torch.equal(module(images), module(images))
    assert torch.equal(module.eval()(images), module(images))
    with pytest.raises(SettingsError, match=r"dropout should be from 0 to below 1, got 1\.5"):
        build_model(small(EVERY_OP), dropout=1.5)


def test_relu6_networks_stop_at_six():
    architecture = Architecture.parse("ds_r1_k3_s1_c8 net_relu6").replace(stem=Stem(filters=8), head=Head(8, 2))
    module = build_model(architecture, seed=0).eval()
    assert module.stem(torch.randn(1, 3, 9, 9) * 1e3).max() == 6
