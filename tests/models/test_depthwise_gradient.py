"""The depthwise convolution put together from narrow gradients is torch's own, and quicker."""

import time

import pytest
import torch
import torch.nn.functional as F

from mnas.models import build_model
from mnas.models._depthwise import depthwise_conv
from mnas.space import Architecture


@pytest.mark.parametrize("fmt", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("padding", ["own", 0])
@pytest.mark.parametrize("kernel", [5, 7])
@pytest.mark.parametrize(("stride", "size"), [(1, (8, 8)), (2, (8, 8)), (2, (9, 13)), (3, (10, 9)), (1, (7, 7))])
def test_output_and_gradients_are_those_of_torch(stride, size, kernel, padding, fmt):
    padding = kernel // 2 if padding == "own" else padding
    x = torch.randn(3, 20, *size, dtype=torch.double).contiguous(memory_format=fmt).requires_grad_()
    weight = torch.randn(20, 1, kernel, kernel, dtype=torch.double, requires_grad=True)
    results = []
    for conv in (
        lambda: F.conv2d(x, weight, None, stride, padding, groups=20),
        lambda: depthwise_conv(x, weight, stride, padding),
    ):
        out = conv()
        gradients = torch.autograd.grad(out, (x, weight), torch.linspace(-1, 1, out.numel()).view_as(out).to(out))
        results.append((out, *gradients))
    torch.testing.assert_close(results[1], results[0])


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_training_uses_it_and_evaluation_does_not(padding):
    architecture = Architecture.parse(f"input_r40_c8 stem_s1_c16 ds_r1_k5_s2_c16 head_c8_n2 net_relu_{padding}")
    module = build_model(architecture, seed=0)
    conv, images = module.layers[0].body.depthwise.conv, torch.randn(8, 16, 40, 40)
    assert "DepthwiseConv" in conv(images).grad_fn.name()
    assert "DepthwiseConv" not in conv(images[:1]).grad_fn.name(), "too small to gain"
    in_training = conv(images)
    conv.eval()
    assert "DepthwiseConv" not in conv(images).grad_fn.name()
    assert torch.equal(conv(images), in_training)


def test_autocast_and_double_precision_train_as_ever():
    architecture = Architecture.parse("input_r40_c8 stem_s1_c16 ds_r1_k5_s1_c16 head_c8_n2")
    images = torch.randn(8, 8, 40, 40)
    with torch.autocast("cpu", torch.bfloat16):
        loss = build_model(architecture, seed=0)(images).float().sum()
    loss.backward()
    build_model(architecture, seed=0).double()(images.double()).sum().backward()


@pytest.mark.slow
def test_it_is_quicker_than_torch():
    x = torch.randn(64, 48, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight, out_gradient = torch.randn(48, 1, 5, 5, requires_grad=True), torch.randn(64, 48, 16, 16)
    ways = (lambda: F.conv2d(x, weight, None, 1, 2, groups=48), lambda: depthwise_conv(x, weight, 1, 2))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    best = [float("inf")] * 2
    for _ in range(60):
        for index, way in enumerate(ways):
            start = time.perf_counter()
            way().backward(out_gradient)
            best[index] = min(best[index], time.perf_counter() - start)
    torch.set_num_threads(threads)
    assert best[1] < best[0]
