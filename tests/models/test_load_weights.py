"""Promises of weights to start from. Nothing is downloaded: random weights of the libraries' own models stand in."""

from __future__ import annotations

import dataclasses
from urllib.error import URLError

import pytest
import torch

from mnas.errors import SettingsError
from mnas.models import (
    Preprocessing,
    TrainedModel,
    build_model,
    import_torchvision,
    load_weights,
    reference_architecture,
    save_model,
)
from mnas.space import Architecture

torchvision = import_torchvision()
timm = pytest.importorskip("timm")

PIXELS = 32
SMALL = Architecture.parse("input_r12_c3 stem_k3_s1_c8 ds_r1_k3_s2_c16 ir_r1_k3_s2_e2_c24 head_c32_n7")


def images(channels: int, pixels: int = PIXELS) -> torch.Tensor:
    return torch.randn(2, channels, pixels, pixels, generator=torch.Generator().manual_seed(1))


def answers(network: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(pixels)


@pytest.fixture
def published_by_timm(monkeypatch, randomize):
    """What timm publishes, by name: asked for with pretrained=True, one random model per name."""
    create, made = timm.create_model, {}

    def published(name: str, pretrained: bool):
        assert pretrained
        made[name] = randomize(create(name, pretrained=False))
        return made[name]

    monkeypatch.setattr(timm, "create_model", published)
    return made


@pytest.fixture
def published_by_torchvision(monkeypatch, randomize):
    """What torchvision publishes: read as numbers alone and with its hash checked, or refused here."""
    theirs = randomize(torchvision.models.mnasnet0_5(weights=None))

    def download(url: str, *, progress: bool, check_hash: bool, weights_only: bool):
        assert (check_hash, weights_only) == (True, True)
        assert "mnasnet0.5" in url
        return theirs.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    return theirs


@pytest.fixture
def saved(tmp_path, randomize):
    """A model's folder, as far as weights are concerned, and the model."""
    names = tuple("abcdefg")
    preprocessing = Preprocessing(resolution=12, channels=3, mean=(0.5,) * 3, std=(0.2,) * 3, crop_share=1.0)
    trained = TrainedModel(randomize(build_model(SMALL, seed=3)), names, preprocessing)
    save_model(tmp_path / "model.safetensors", trained)
    return tmp_path, trained.module


def test_timms_weights_give_timms_answers_in_a_network_that_is_ready_to_train(published_by_timm):
    asked = reference_architecture("mnasnet-a1", width=0.75, resolution=PIXELS)
    network = load_weights("timm:semnasnet_075", asked, dropout=0.2)
    assert network.training
    assert network.dropout == 0.2
    assert (network.architecture.bn_eps, asked.bn_eps) == (1e-5, 1e-3)
    expected = answers(published_by_timm["semnasnet_075"], images(3))
    assert torch.allclose(answers(network, images(3)), expected, rtol=1e-4, atol=1e-5)


def test_torchvisions_weights_give_torchvisions_answers(published_by_torchvision):
    asked = reference_architecture("mnasnet-b1", width=0.5, resolution=PIXELS)
    network = load_weights("torchvision:mnasnet0_5", asked)
    expected = answers(published_by_torchvision, images(3))
    assert torch.allclose(answers(network, images(3)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", ["", "model.safetensors"])
def test_a_models_folder_and_its_file_are_weights_to_start_from(saved, part):
    folder, module = saved
    network = load_weights(str(folder / part), SMALL)
    assert torch.equal(answers(network, images(3)), answers(module, images(3)))


def test_other_classes_get_a_fresh_classifier_by_the_seed_and_keep_the_rest(saved):
    folder, module = saved
    asked = SMALL.replace(head=dataclasses.replace(SMALL.head, classes=4), resolution=24)
    one, same, other = (load_weights(str(folder), asked, seed=seed).state_dict() for seed in (0, 0, 1))
    assert one["classifier.weight"].shape == (4, 32)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])
    kept = {key: value for key, value in module.state_dict().items() if not key.startswith("classifier.")}
    assert all(torch.equal(one[key], value) for key, value in kept.items())


def test_as_many_classes_keep_the_classifier(saved):
    folder, module = saved
    assert torch.equal(load_weights(str(folder), SMALL, seed=0).classifier.weight, module.classifier.weight)


def test_grey_images_get_the_answers_of_the_same_images_in_colour(saved):
    folder, module = saved
    grey = images(1)
    network = load_weights(str(folder), SMALL.replace(input_channels=1))
    expected = answers(module, grey.expand(-1, 3, -1, -1))
    assert torch.allclose(answers(network, grey), expected, rtol=1e-4, atol=1e-5)


def test_channels_that_the_weights_know_nothing_of_are_refused(saved):
    with pytest.raises(SettingsError, match="images of 3 channels, the data give 4: only colours to grey"):
        load_weights(str(saved[0]), SMALL.replace(input_channels=4))


@pytest.mark.parametrize("blocks", ["ds_r1_k3_s2_c16 ir_r1_k3_s1_e2_c24", "ds_r1_k5_s2_c16 ir_r1_k3_s2_e2_c24"])
def test_weights_of_another_architecture_are_refused_and_theirs_is_named(saved, blocks):
    """Another stride has the same tensors, and is refused as well."""
    asked = Architecture.parse(f"input_r12_c3 stem_k3_s1_c8 {blocks} head_c32_n7")
    with pytest.raises(SettingsError) as refused:
        load_weights(str(saved[0]), asked)
    theirs = str(refused.value).rpartition("train their architecture: ")[2]
    assert Architecture.parse(theirs) == SMALL


def test_the_architecture_that_a_refusal_names_takes_the_weights(published_by_timm):
    with pytest.raises(SettingsError) as refused:
        load_weights("timm:mnasnet_small", reference_architecture("mnasnet-small"))
    theirs = Architecture.parse(str(refused.value).rpartition("train their architecture: ")[2])
    assert load_weights("timm:mnasnet_small", theirs).architecture == theirs


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:semnasnet100", "unknown timm model .* did you mean 'semnasnet_100'"),
        ("timm:mnasnet_050", r"publishes no weights of mnasnet_050: take those of mnasnet_100, .*semnasnet_100"),
        ("timm:mnasnet_100.other", r"publishes no weights of mnasnet_100.other"),
        ("torchvision:mnasnet10", "unknown torchvision model .* did you mean 'mnasnet1_0'"),
        (
            "models/nowhere",
            "no weights models/nowhere: name a model's folder or file, timm:MODEL or torchvision:MODEL",
        ),
    ],
)
def test_names_without_weights_are_refused_with_what_there_is(name, message):
    with pytest.raises(SettingsError, match=message):
        load_weights(name, SMALL)


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    def unreachable(*_, **__):
        raise URLError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", unreachable)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", unreachable)
    for name, folder in (("timm:semnasnet_100", "HF_HOME"), ("torchvision:mnasnet1_0", "TORCH_HOME")):
        with pytest.raises(
            SettingsError, match=rf"{name} are not in the cache .*not known.*copy the cache.*{folder}"
        ):
            load_weights(name, reference_architecture("mnasnet-a1"))


def test_the_cache_alone_is_asked_where_the_hub_is_switched_off(monkeypatch, tmp_path):
    """timm and the hub themselves, with nothing in the cache: what they raise is understood."""
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(SettingsError, match="timm:semnasnet_100 are not in the cache"):
        load_weights("timm:semnasnet_100", reference_architecture("mnasnet-a1"))
