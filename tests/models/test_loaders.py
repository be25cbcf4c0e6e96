"""State dicts of timm and torchvision give the same outputs in our modules."""

import warnings

import pytest
import torch

from mnas._torchvision import import_torchvision
from mnas.errors import SettingsError
from mnas.models import load_timm, load_torchvision
from mnas.models._timm import MODELS as TIMM_MODELS
from mnas.models._torchvision_weights import MODELS as TORCHVISION_MODELS

torchvision = import_torchvision()
timm = pytest.importorskip("timm")

# The full width is compared once per family here and everywhere in benchmarks/parity.py.
RESOLUTION = 64


def largest_difference(ours, theirs):
    images = torch.randn(2, 3, RESOLUTION, RESOLUTION, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(images)
        return ((ours(images) - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("name", TIMM_MODELS)
def test_timm_weights_give_timm_outputs(name, randomize):
    theirs = randomize(timm.create_model(name, pretrained=False))
    ours = load_timm(name, theirs.state_dict(), resolution=RESOLUTION)
    assert not ours.training
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("name", TORCHVISION_MODELS)
def test_torchvision_weights_give_torchvision_outputs(name, randomize):
    theirs = randomize(torchvision.models.get_model(name, weights=None))
    ours = load_torchvision(name, theirs.state_dict(), resolution=RESOLUTION)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    assert largest_difference(ours, theirs) < 1e-5


@pytest.mark.parametrize("name", ["mnasnet0_5", "mnasnet1_3"])
def test_checkpoints_of_torchvisions_first_version_give_their_network(name, randomize):
    theirs = torchvision.models.get_model(name, weights=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        # This is how torchvision turns itself into its first version when it reads an old checkpoint.
        theirs._load_from_state_dict({}, "", {"version": 1}, False, [], [], [])
    theirs = randomize(theirs)
    assert theirs.layers[0].out_channels == 32
    ours = load_torchvision(name, theirs.state_dict(), resolution=RESOLUTION)
    assert ours.architecture.stem.filters == 32
    assert largest_difference(ours, theirs) < 1e-5


def test_the_residual_of_timms_mnasnet_small_is_the_loaders_choice():
    ours = load_timm("mnasnet_small", timm.create_model("mnasnet_small").state_dict())
    assert ours.architecture.layers[0].skip == "identity"


def test_flavours_are_those_of_the_libraries():
    ours = load_timm("mnasnet_050.some_tag", timm.create_model("mnasnet_050").state_dict()).architecture
    assert (ours.padding, ours.bn_eps, ours.bn_momentum) == ("symmetric", 1e-5, 0.1)
    ours = load_torchvision("mnasnet0_5", torchvision.models.mnasnet0_5().state_dict()).architecture
    assert (ours.padding, ours.bn_eps) == ("symmetric", 1e-5)
    assert ours.bn_momentum == pytest.approx(3e-4)


def test_classes_and_channels_come_from_the_weights():
    theirs = timm.create_model("semnasnet_050", num_classes=7, in_chans=1).eval()
    architecture = load_timm("semnasnet_050", theirs.state_dict()).architecture
    assert (architecture.head.classes, architecture.input_channels) == (7, 1)


def test_weights_without_batch_counters_load():
    weights = timm.create_model("mnasnet_050").state_dict()
    load_timm("mnasnet_050", {key: w for key, w in weights.items() if not key.endswith("num_batches_tracked")})


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(SettingsError, match="did you mean 'semnasnet_100'"):
        load_timm("semnasnet100", {})
    with pytest.raises(SettingsError, match="did you mean 'mnasnet1_0'"):
        load_torchvision("mnasnet10", {})


def test_wrong_weights_are_refused_with_the_first_keys_named():
    weights = dict(timm.create_model("mnasnet_050").state_dict())
    with pytest.raises(SettingsError, match=r"of another shape: conv_head.weight .* instead of \(1280, 160, 1, 1\)"):
        load_timm("mnasnet_050", {**weights, "conv_head.weight": torch.zeros(3, 3, 1, 1)})
    with pytest.raises(SettingsError, match=r"2 not of this model: fc.a, fc.b$"):
        load_timm("mnasnet_050", {**weights, "fc.a": torch.zeros(1), "fc.b": torch.zeros(1)})
    del weights["bn2.running_var"], weights["blocks.3.1.bn2.weight"]
    with pytest.raises(SettingsError, match=r"timm's mnasnet_050: 2 missing: blocks.3.1.bn2.weight, bn2.running_var"):
        load_timm("mnasnet_050", weights)
    with pytest.raises(SettingsError, match=r"1 missing: classifier.weight"):
        load_timm("mnasnet_050", {})
    with pytest.raises(SettingsError, match=r"torchvision's mobilenet_v2: 1 missing: features.0.0.weight"):
        load_torchvision("mobilenet_v2", weights)
    with pytest.raises(SettingsError, match=r"\d+ of another shape: .*, \.\.\."):
        load_timm("mnasnet_140", timm.create_model("mnasnet_050").state_dict())
