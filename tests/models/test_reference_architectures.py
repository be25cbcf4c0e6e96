"""The reference models are the published ones."""

import subprocess
import sys

import pytest

from mnas.errors import SettingsError
from mnas.models import reference_architecture, reference_names
from mnas.space import (
    BlockChoices,
    BlockSpace,
    Stem,
    count_madds,
    count_params,
    mnasnet_layerwise_space,
    mnasnet_space,
)

COUNTS = {
    ("mnasnet-a1", 1.0): (3_887_038, 311_579_072),
    ("mnasnet-a1", 1.4): (6_105_992, 586_317_952),
    ("mnasnet-a1", 0.75): (2_912_278, 223_448_480),
    ("mnasnet-a1", 0.5): (2_082_006, 103_162_992),
    ("mnasnet-a1", 0.35): (1_747_018, 61_681_920),
    ("mnasnet-b1", 1.0): (4_383_312, 314_415_872),
    ("mnasnet-b1", 1.4): (7_115_728, 588_799_408),
    ("mnasnet-b1", 1.3): (6_282_256, 526_362_432),
    ("mnasnet-b1", 0.75): (3_170_208, 215_493_104),
    ("mnasnet-b1", 0.5): (2_218_512, 104_455_968),
    ("mnasnet-small", 1.0): (2_030_264, 68_339_184),
    ("mnasnet-d1", 1.0): (3_638_404, 967_705_824),
    ("mnasnet-d1-320", 1.0): (6_932_240, 1_807_732_032),
    # Howard et al. 2017, Tables 4 and 6: 4.2M, 2.6M, 1.3M and .5M; 569M, 325M, 149M and 41M
    ("mobilenet-v1", 1.0): (4_231_976, 568_740_352),
    ("mobilenet-v1", 0.75): (2_585_560, 325_400_448),
    ("mobilenet-v1", 0.5): (1_331_592, 149_497_088),
    ("mobilenet-v1", 0.25): (470_072, 41_030_272),
    ("mobilenet-v2", 1.0): (3_504_872, 300_774_272),
    ("efficientnet-b0-relu", 1.0): (5_288_548, 385_814_752),
}


@pytest.mark.parametrize(("name", "width"), COUNTS)
def test_counts_are_the_published_ones(name, width):
    architecture = reference_architecture(name, width=width)
    assert (count_params(architecture), count_madds(architecture)) == COUNTS[name, width]


@pytest.mark.parametrize(
    ("name", "width", "stem", "filters"),
    [
        ("mnasnet-a1", 0.35, 16, (8, 8, 16, 32, 40, 56, 112)),
        ("mnasnet-a1", 0.5, 16, (8, 16, 24, 40, 56, 80, 160)),
        ("mnasnet-a1", 0.75, 24, (16, 24, 32, 64, 88, 120, 240)),
        ("mnasnet-a1", 1.4, 48, (24, 32, 56, 112, 160, 224, 448)),
        ("mnasnet-b1", 0.5, 16, (8, 16, 24, 40, 48, 96, 160)),
        ("mnasnet-b1", 0.75, 24, (16, 24, 32, 64, 72, 144, 240)),
        ("mnasnet-b1", 1.3, 40, (24, 32, 56, 104, 128, 248, 416)),
        ("mnasnet-b1", 1.4, 48, (24, 32, 56, 112, 136, 272, 448)),
    ],
)
def test_a_width_multiplies_stem_and_blocks_as_the_official_code_does(name, width, stem, filters):
    architecture = reference_architecture(name, width=width)
    assert architecture.stem.filters == stem
    assert tuple(block.filters for block in architecture.blocks) == filters
    assert architecture.head.filters == 1280


def test_only_mobilenet_v2_widens_its_head_and_only_upwards():
    heads = [reference_architecture("mobilenet-v2", width=width).head.filters for width in (0.5, 1.0, 1.4)]
    assert heads == [1280, 1280, 1792]


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'mnasnet-a1'"):
        reference_architecture("mnasnet-a2")
    with pytest.raises(SettingsError, match="width should be above zero, got 0"):
        reference_architecture("mnasnet-a1", width=0)
    with pytest.raises(SettingsError, match="strides should be 7 numbers"):
        reference_architecture("mnasnet-a1", strides=(1, 2))


STRIDES = (1, 1, 2, 1, 1, 2, 1)
FRAME = {"resolution": 32, "strides": STRIDES, "stem_stride": 1, "head_filters": 256, "classes": 10}


@pytest.mark.parametrize("make_space", [mnasnet_space, mnasnet_layerwise_space])
def test_a_reference_takes_over_the_frame_and_the_strides_of_a_space(make_space):
    space = make_space(width=0.35, input_channels=1, **FRAME)
    for name in reference_names():
        taken = reference_architecture(name, width=0.5, like=space)
        said = reference_architecture(name, width=0.5, input_channels=1, **FRAME)
        assert taken == said
        assert (taken.resolution, taken.input_channels, taken.stem.stride, taken.head.classes) == (32, 1, 1, 10)
        assert [layer.stride for layer in taken.layers if layer.stride > 1] == [2, 2]


def test_a_space_with_other_blocks_gives_its_strides_by_filters():
    rows = (BlockChoices(24, 2, 2), BlockChoices(96, 3, 2), BlockChoices(640, 1, 3))
    space = BlockSpace("own", rows, stem=Stem(stride=1), resolution=48)
    taken = reference_architecture("mobilenet-v2", like=space)
    assert taken == reference_architecture(
        "mobilenet-v2", strides=(1, 2, 1, 1, 2, 1, 3), stem_stride=1, resolution=48
    )


def test_what_is_said_beats_what_is_taken_over():
    space = mnasnet_space(input_channels=1, **FRAME)
    taken = reference_architecture("mnasnet-a1", like=space, resolution=64, classes=3, stem_stride=2)
    assert (taken.resolution, taken.head.classes, taken.stem.stride, taken.head.filters) == (64, 3, 2, 256)


def test_references_need_no_torch():
    code = (
        "import sys; from mnas.models import reference_architecture; "
        "reference_architecture('mnasnet-a1'); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
