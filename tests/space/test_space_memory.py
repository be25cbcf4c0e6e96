"""The computed memory is what torch's tensors really occupy when a network runs operation after operation."""

from __future__ import annotations

import operator
import random
import weakref
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import fx, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mnas.models import build, reference_architecture
from mnas.space import Architecture, mnasnet_space, peak_activation_bytes

FRAME = "input_r{r}_c3 stem_k3_s2_c8 {blocks} head_c32_n10"


class AliveTensors(TorchDispatchMode):
    """The most bytes that tensors made inside, and the image, held at once; views share their storage."""

    def __init__(self, image: torch.Tensor, weights: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._made = [weakref.ref(image)]
        self._weights = {weight.untyped_storage().data_ptr() for weight in weights}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._made += [weakref.ref(tensor) for tensor in [out] if isinstance(tensor, torch.Tensor)]
        alive = [tensor for reference in self._made if (tensor := reference()) is not None]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in alive}
        self.peak = max(self.peak, sum(size for at, size in storages.items() if at not in self._weights))
        return out


def torch_peak(architecture: Architecture) -> int:
    """Bytes of the module's own operations run by torch, batch norm left out, sums and scalings in place."""
    network = build(architecture, seed=0).eval()
    for module in network.modules():
        if hasattr(module, "norm"):
            module.norm = nn.Identity()
    traced = fx.symbolic_trace(network)
    for node in traced.graph.nodes:
        node.target = {operator.mul: torch.Tensor.mul_, operator.add: torch.Tensor.add_,
                       torch.sigmoid: torch.sigmoid_}.get(node.target, node.target)  # fmt: skip
    traced.recompile()
    images = [torch.zeros(1, architecture.input_channels, architecture.resolution, architecture.resolution)]
    with torch.no_grad(), AliveTensors(images[0], network.parameters()) as alive:
        fx.Interpreter(traced).boxed_run(images)  # which lets go of each tensor after its last use
    return alive.peak


BLOCKS = [
    "cn_r2_k3_s1_c8", "cn_k3_s2_c16_se0.25", "ds_r2_k5_s1_c8_se0.5", "ds_r2_k3_s1_c8_pool", "ir_r2_k3_s2_e3_c16",
    "ir_r2_k5_s1_e6_c8_pool_se0.25", "ir_r3_k5_s1_e4_c24", "ir_r2_k3_s1_e2_c64_noskip", "cn_r2_k3_s1_c8_pool",
    "dsa_r2_k3_s2_c16_se0.25",
]  # fmt: skip


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("resolution", [17, 32])
def test_each_kind_of_layer_takes_what_torch_takes(blocks: str, resolution: int) -> None:
    architecture = Architecture.parse(FRAME.format(r=resolution, blocks=blocks))
    assert peak_activation_bytes(architecture) == torch_peak(architecture)


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_take_what_torch_takes(seed: int) -> None:
    generator = random.Random(seed)
    pool = " ".join(generator.choices(BLOCKS, k=4))
    architecture = Architecture.parse(FRAME.format(r=generator.choice([24, 31, 48]), blocks=pool))
    assert peak_activation_bytes(architecture) == torch_peak(architecture)


def test_members_of_the_paper_s_space_take_what_torch_takes() -> None:
    space = mnasnet_space(width=0.35, resolution=64)
    for seed in range(6):
        architecture = space.decode(space.sample(random.Random(seed)))
        assert peak_activation_bytes(architecture) == torch_peak(architecture)


@pytest.mark.parametrize("classes", [1, 90])
@pytest.mark.parametrize(
    "tapped", ["ir_r2_k3_s2_e6_c8", "ds_r2_k3_s2_c8", "cn_k3_s2_c16", "ir_k3_s2_e4_c8_pool", "dsa_r2_k3_s2_c8"]
)
def test_detectors_take_what_torch_takes(tapped: str, classes: int) -> None:
    """What is predicted on a map waits for the end, and a map until it is predicted on."""
    for resolution, filters in ((32, 32), (63, 32), (48, 0)):
        head = f"ssdlite_c{filters}_n{classes}_w0.25"
        frame = f"input_r{resolution}_c3 stem_k3_s2_c8 ds_k3_s2_c8 {tapped} ir_k3_e6_c16 {head}"
        architecture = Architecture.parse(frame)
        assert peak_activation_bytes(architecture) == torch_peak(architecture)


def test_a_late_peak_is_found_where_the_classifier_is_large() -> None:
    """Every part of the network counts, down to the head."""
    for head in ("head_c4096_n10", "head_c64_n60000", "head_c0_n10", "head_c0_n60000"):
        architecture = Architecture.parse(f"input_r16_c1 stem_k3_s2_c4 ds_k3_s2_c4 {head}")
        assert peak_activation_bytes(architecture) == torch_peak(architecture)


def test_the_peak_of_mnasnet_a1_by_hand() -> None:
    """The first expansion: 112 x 112 x 96, and before it 16 channels."""
    first_expansion, depthwise = 96 * 112**2, 96 * 56**2
    assert peak_activation_bytes(reference_architecture("mnasnet-a1")) == 4 * (first_expansion + depthwise)


def test_int8_takes_a_quarter() -> None:
    architecture = reference_architecture("mnasnet-a1")
    assert 4 * peak_activation_bytes(architecture, value_bytes=1) == peak_activation_bytes(architecture)
