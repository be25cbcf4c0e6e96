"""Detectors: their strings, their maps, and the paper's counts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from space_strategies import detectors

from mnas.errors import SettingsError
from mnas.models import reference_architecture
from mnas.space import (
    Architecture,
    DetectionHead,
    box_count,
    count_by_block,
    count_madds,
    count_params,
    feature_maps,
    mnasnet_space,
    tapped_layer,
)


@settings(max_examples=50, deadline=None)
@given(detectors())
def test_printing_and_reading_a_detector_are_inverse(architecture: Architecture) -> None:
    assert Architecture.parse(str(architecture)) == architecture
    assert Architecture.from_dict(architecture.to_dict()) == architecture


def test_the_paper_s_detectors_have_its_counts() -> None:
    """Tan et al. 2019, Table 3: 4.9M and .8B; V1 5.1M and 1.3B, V2 4.3M and .8B with another number of classes."""
    a1, v2 = reference_architecture("ssdlite-mnasnet-a1"), reference_architecture("ssdlite-mobilenet-v2")
    assert (count_params(a1), count_madds(a1)) == (4_912_181, 837_819_232)
    assert (count_params(v2), count_madds(v2)) == (4_500_543, 804_397_504)
    fewer = reference_architecture("ssdlite-mobilenet-v2", classes=80)
    assert (count_params(fewer), count_madds(fewer)) == (4_337_013, 788_830_144)
    v1, fewer = (reference_architecture("ssdlite-mobilenet-v1", classes=classes) for classes in (90, 80))
    assert (count_params(v1), count_madds(v1)) == (5_246_911, 1_322_426_304)
    assert (count_params(fewer), count_madds(fewer)) == (5_100_661, 1_309_162_944)


def test_the_first_map_is_tapped_at_stride_16_and_the_others_follow() -> None:
    detector = reference_architecture("ssdlite-mnasnet-a1")
    assert str(detector.layers[tapped_layer(detector)].stride) == "2"
    found = [(one.filters, one.resolution, one.boxes) for one in feature_maps(detector)]
    assert found == [(672, 20, 3), (1280, 10, 6), (512, 5, 6), (256, 3, 6), (256, 2, 6), (128, 1, 6)]
    assert box_count(detector) == 2034


def test_without_a_convolution_in_the_head_the_second_map_is_the_last_layer_s() -> None:
    """As the public configuration of MobileNetV1 has it: Conv2d_11_pointwise and Conv2d_13_pointwise."""
    found = [(one.filters, one.resolution) for one in feature_maps(reference_architecture("ssdlite-mobilenet-v1"))]
    assert found == [(512, 20), (1024, 10), (512, 5), (256, 3), (256, 2), (128, 1)]


def test_the_width_multiplier_thins_the_extra_layers_down_to_sixteen() -> None:
    assert DetectionHead(width=0.5).extra_filters == (256, 128, 128, 64)
    assert DetectionHead(width=0.01).extra_filters == (16, 16, 16, 16)
    half = reference_architecture("ssdlite-mnasnet-a1", width=0.5, classes=3)
    assert half.head == DetectionHead(1280, 3, 0.5)


def test_a_detector_s_rows_add_up_to_its_counts() -> None:
    detector = reference_architecture("ssdlite-mnasnet-a1")
    rows = [row for _, _, some in count_by_block(detector) for row in some]
    assert sum(row.params for row in rows) == count_params(detector)
    *_, (label, text, head) = count_by_block(detector)
    assert (label, text, len(head)) == ("head", "ssdlite_c1280_n90", 6)


def test_a_space_of_detectors_has_detectors() -> None:
    space = mnasnet_space(width=0.5, resolution=64, classes=3, detector=True)
    detector = space.decode((0,) * len(space.choices))
    assert detector.is_detector
    assert detector.head == DetectionHead(1280, 3, 0.5)
    assert space.decode(space.encode(detector)) == detector


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ds_k3_c8 ssdlite_c8_n3", "falling in resolution at least once"),
        ("ds_k3_s2_c8 ssdlite_c8_n3_w0", "above zero"),
        ("ds_k3_s2_c8 ssdlite_c8_n0", "classes should be at least 1"),
        ("ds_k3_s2_c8 ssdlite_c8_q3", "'q3'"),
    ],
)
def test_impossible_detectors_are_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Architecture.parse(text)
