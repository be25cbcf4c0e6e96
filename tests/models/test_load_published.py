"""Promises of published models by name. Nothing is downloaded: random weights stand in for the published ones."""

from __future__ import annotations

from urllib.error import URLError

import pytest
import torch

from mnas.errors import SettingsError
from mnas.models import import_torchvision, is_published, load_published

torchvision = import_torchvision()
timm = pytest.importorskip("timm")

MEAN, STD = (0.1, 0.2, 0.3), (0.3, 0.2, 0.1)  # of the data that the images are of


@pytest.fixture
def published(monkeypatch, randomize):
    """What is published, by name: one random model per name."""
    create, made = timm.create_model, {}

    def from_timm(name: str, pretrained: bool):
        assert pretrained
        made[name] = randomize(create(name, pretrained=False))
        return made[name]

    def download(url: str, *, progress: bool, check_hash: bool, weights_only: bool):
        assert (check_hash, weights_only) == (True, True)
        name = "squeezenet1_1"
        assert name in url
        made[name] = randomize(torchvision.models.squeezenet1_1(weights=None))
        return made[name].state_dict()

    monkeypatch.setattr(timm, "create_model", from_timm)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    return made


@pytest.mark.parametrize(
    ("name", "own"),
    [
        (
            "timm:mobilenetv3_small_050",
            (torchvision_mean := (0.485, 0.456, 0.406), torchvision_std := (0.229, 0.224, 0.225)),
        ),
        ("timm:tf_mobilenetv3_small_minimal_100", ((0.5,) * 3, (0.5,) * 3)),
        ("torchvision:squeezenet1_1", (torchvision_mean, torchvision_std)),
    ],
)
def test_a_published_model_gives_its_own_answers_on_images_that_are_normalized_for_others(published, name, own):
    module = load_published(name, classes=1000, resolution=64, mean=MEAN, std=STD)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    theirs, ours = (
        (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        for mean, std in (own, (MEAN, STD))
    )
    with torch.no_grad():
        expected = published[name.partition(":")[2]](theirs)
        assert torch.allclose(module(ours), expected, rtol=1e-3, atol=1e-4)
    assert not module.training


def test_a_published_model_of_other_classes_is_refused(published):
    with pytest.raises(SettingsError, match=r"knows 1000 classes, the data have 10: .*fine-tune"):
        load_published("timm:mobilenetv3_small_050", classes=10, resolution=64, mean=MEAN, std=STD)


def test_grey_images_are_refused(published):
    with pytest.raises(SettingsError, match="takes images of 3 channels, the data give 1"):
        load_published("timm:mobilenetv3_small_050", classes=1000, resolution=64, mean=(0.5,), std=(0.5,))


def test_a_model_of_another_resolution_is_refused_with_its_words(published):
    with pytest.raises(SettingsError, match="timm:vit_tiny_patch16_224 does not take images of 64 pixels"):
        load_published("timm:vit_tiny_patch16_224", classes=1000, resolution=64, mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "timm:efficientnet_b00",
            "timm publishes no classifier 'efficientnet_b00' .*did you mean one of .*, efficientnet_b0\\.ra_in1k",
        ),
        ("torchvision:resnet_50", "torchvision publishes no classifier 'resnet_50' .*did you mean one of resnet50"),
        ("torchvision:googlenet", "torchvision publishes no classifier 'googlenet'"),
    ],
)
def test_an_unknown_name_is_refused(name, words):
    with pytest.raises(SettingsError, match=words):
        load_published(name, classes=1000, resolution=64, mean=MEAN, std=STD)


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    def unreachable(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(SettingsError, match=r"cannot be downloaded .*copy the cache"):
        load_published("timm:efficientnet_b0", classes=1000, resolution=64, mean=MEAN, std=STD)


def test_names_are_told_from_folders():
    assert is_published("timm:efficientnet_b0")
    assert is_published("torchvision:resnet50")
    assert not any(map(is_published, ("models/teacher", "timm", "C:models")))
