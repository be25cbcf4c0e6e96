"""The detector's module is what the architecture says, and its boxes lie where they should."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mnas.errors import SettingsError
from mnas.models import (
    Detector,
    Network,
    Preprocessing,
    TrainedModel,
    build,
    build_detector,
    build_model,
    default_boxes,
    load_detector_weights,
    load_model,
    reference_architecture,
    save_model,
)
from mnas.space import Architecture, Head, box_count, count_madds, count_params, feature_maps, mnasnet_space

SMALL = Architecture.parse(
    "input_r64_c3 stem_k3_s2_c8 ds_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 ir_k3_e2_c16 ssdlite_c32_n3_w0.1"
)
TAPPED = [
    "ir_k5_s2_e3_c16_se0.5",
    "ds_r2_k3_s2_c16",
    "cn_k3_s2_c16",
    "ir_k3_s2_e2_c8_pool",
    "ds_k3_s2_c8_pool",
    "dsa_k3_s2_c16",
]


def measured_madds(module: nn.Module, images: torch.Tensor) -> int:
    total = 0

    def count(part: nn.Module, _inputs: object, out: torch.Tensor) -> None:
        nonlocal total
        total += out[0].numel() * part.weight[0].numel()

    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.Linear)):
            part.register_forward_hook(count)
    with torch.no_grad():
        module.eval()(images)
    return total


@pytest.mark.parametrize("padding", ["symmetric", "same"])
@pytest.mark.parametrize("tapped", TAPPED)
def test_counts_without_building_equal_those_of_the_built_detector(tapped, padding):
    for resolution, filters in ((48, 32), (65, 0)):
        head = f"ssdlite_c{filters}_n3_w0.1"
        architecture = Architecture.parse(
            f"input_r{resolution}_c2 stem_k3_s2_c8 ds_k3_s2_c8 {tapped} {head} net_relu6_{padding}"
        )
        detector = build_detector(architecture, seed=0)
        images = torch.zeros(1, 2, resolution, resolution)
        assert sum(p.numel() for p in detector.parameters()) == count_params(architecture)
        assert detector.eval()(images).shape == (1, box_count(architecture), 4 + 1 + 3)
        assert measured_madds(detector, images) == count_madds(architecture)


def test_the_maps_are_those_that_the_architecture_tells():
    for architecture in (SMALL, reference_architecture("ssdlite-mobilenet-v2", width=0.35, resolution=96)):
        detector = build_detector(architecture, seed=0).eval()
        with torch.no_grad():
            maps = list(detector.maps(torch.zeros(1, 3, architecture.resolution, architecture.resolution)))
        found = [(one.shape[1], one.shape[2]) for one in maps]
        assert found == [(one.filters, one.resolution) for one in feature_maps(architecture)]


def test_outputs_are_in_the_order_of_the_default_boxes():
    """A pixel that changes moves the outputs of boxes near it more than those far away."""
    architecture = reference_architecture("ssdlite-mnasnet-a1", width=0.35, resolution=160, classes=2)
    detector, boxes = build_detector(architecture, seed=0).eval(), default_boxes(architecture)
    images = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    images[1] = images[0]
    images[1, :, 8:24, 120:136] = 0  # right, above
    with torch.no_grad():
        moved = (detector(images)[1] - detector(images)[0]).abs().sum(1)
    finest = feature_maps(architecture)[0]
    count = finest.boxes * finest.resolution**2
    nearest = boxes[moved[:count].argmax()]
    middle = ((nearest[0] + nearest[2]) / 2, (nearest[1] + nearest[3]) / 2)
    assert middle[0] == pytest.approx(0.8, abs=0.2)
    assert middle[1] == pytest.approx(0.1, abs=0.2)


def test_default_boxes_are_those_of_the_public_configuration():
    boxes = default_boxes(reference_architecture("ssdlite-mnasnet-a1"))
    assert boxes.shape == (2034, 4)
    sizes = boxes[:, 2:] - boxes[:, :2]
    first, second = sizes[:3], sizes[3 * 400 : 3 * 400 + 6]
    assert torch.allclose(
        first, torch.tensor([[0.1, 0.1], [0.2 * 2**0.5, 0.2 / 2**0.5], [0.2 / 2**0.5, 0.2 * 2**0.5]])
    )
    wide = 0.35 * 3**0.5, 0.35 / 3**0.5
    assert torch.allclose(second[3], torch.tensor(wide))
    assert torch.allclose(second[5], torch.full((2,), (0.35 * 0.5) ** 0.5))
    middles = (boxes[:, 2:] + boxes[:, :2]) / 2
    assert torch.allclose(middles[0], torch.tensor([0.025, 0.025]))
    assert torch.allclose(middles[3], torch.tensor([0.075, 0.025])), "places go along a row first"
    assert torch.allclose(boxes[-6:, 2:] + boxes[-6:, :2], torch.ones(6, 2)), "the last map is one place"


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, other, third = (build_detector(SMALL, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[key], other[key]) for key in one)
    weight = "predictors.0.classes.project.weight"
    assert not torch.equal(one[weight], third[weight])
    assert one[weight].std().item() == pytest.approx(0.03, rel=0.1)
    assert not one["predictors.0.classes.project.bias"].any()


def test_each_builder_refuses_the_other_s_architecture():
    with pytest.raises(SettingsError, match="build_detector"):
        build_model(SMALL)
    with pytest.raises(SettingsError, match="build_model"):
        build_detector(SMALL.replace(head=Head()))
    assert isinstance(build(SMALL), Detector)
    assert isinstance(build(SMALL.replace(head=Head())), Network)


def trained(architecture, names=("a", "b", "c")):
    preprocessing = Preprocessing(architecture.resolution, 3, (0.5,) * 3, (0.25,) * 3, 1.0, is_stretched=True)
    return TrainedModel(build_detector(architecture, seed=3), names, preprocessing, is_multilabel=True)


def test_a_detector_s_file_gives_the_same_detector_back(tmp_path):
    save_model(tmp_path / "model.safetensors", trained(SMALL))
    found = load_model(tmp_path / "model.safetensors")
    assert isinstance(found.module, Detector)
    assert (found.class_names, found.is_multilabel, found.preprocessing.is_stretched) == (("a", "b", "c"), True, True)
    expected = build_detector(SMALL, seed=3).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in found.module.state_dict().items())


def test_a_detector_starts_from_a_classifier_of_its_backbone(tmp_path):
    classifier = SMALL.replace(head=Head(32, 7))
    preprocessing = Preprocessing(64, 3, (0.5,) * 3, (0.25,) * 3, 0.875)
    known = TrainedModel(build_model(classifier, seed=3), tuple("abcdefg"), preprocessing)
    save_model(tmp_path / "model.safetensors", known)
    found = load_detector_weights(str(tmp_path), SMALL, seed=9)
    ours, theirs, fresh = found.state_dict(), known.module.state_dict(), build_detector(SMALL, seed=9).state_dict()
    for key in ours:
        source = fresh if key.startswith(("extras", "predictors")) else theirs
        assert torch.equal(ours[key], source[key]), key


def test_a_detector_starts_from_one_of_other_classes_but_not_from_another_backbone(tmp_path):
    save_model(tmp_path / "model.safetensors", trained(SMALL))
    other = SMALL.replace(head=type(SMALL.head)(32, 5, 0.1))
    found, theirs = (
        load_detector_weights(str(tmp_path), other, seed=9).state_dict(),
        trained(SMALL).module.state_dict(),
    )
    assert torch.equal(found["predictors.2.boxes.project.weight"], theirs["predictors.2.boxes.project.weight"])
    assert found["predictors.2.classes.project.weight"].shape[0] == 6 * 6
    space = mnasnet_space(width=0.35, resolution=64, classes=3, detector=True)
    with pytest.raises(SettingsError, match="same architecture"):
        load_detector_weights(str(tmp_path), space.decode((0,) * len(space.choices)))
