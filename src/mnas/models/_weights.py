"""Weights to start a training from: of timm, of torchvision, or of a model that mnas trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mnas.errors import SettingsError, did_you_mean
from mnas.models._build import BuiltModel
from mnas.models._detector import Detector, build_detector
from mnas.models._model_file import load_model
from mnas.models._network import Network, build_model
from mnas.models._published import timm, timm_model, torchvision_weights
from mnas.models._timm import MODELS as TIMM_MODELS
from mnas.models._timm import load_timm
from mnas.models._torchvision_weights import MODELS as TORCHVISION_MODELS
from mnas.models._torchvision_weights import load_torchvision
from mnas.space import Architecture

_STEM = "stem.conv.weight"
_CLASSIFIER = ("classifier.weight", "classifier.bias")


def load_weights(name: str, architecture: Architecture, *, dropout: float = 0.0, seed: int | None = None) -> Network:
    """An architecture's network with the weights of a trained one, in training mode.

        load_weights("timm:semnasnet_100", reference_architecture("mnasnet-a1", classes=5), seed=0)

    `name` is "timm:" or "torchvision:" with the library's name of a model, whose published weights it downloads or
    finds in its cache, or a model's folder or file of mnas. Classes, channels and resolution are the
    architecture's, padding and batch norm's constants those of the weights. Where the number of classes differs,
    the classifier is fresh (from `seed`); where the images are grey and the weights know colours, the
    stem's are summed over them, which gives the answers to the same images in colour.

    Raises:
        SettingsError: an unknown name, weights that cannot be downloaded, or those of another architecture.
        StorageError: a damaged file.
    """
    known = _network(name)
    theirs = known.architecture
    _check_same(name, theirs, architecture)
    network = build_model(_in_flavour(architecture, theirs), dropout=dropout, seed=seed)
    weights = known.state_dict()
    if architecture.input_channels != theirs.input_channels:
        weights[_STEM] = weights[_STEM].sum(1, keepdim=True)
    if architecture.head.classes != theirs.head.classes:
        weights |= {key: network.state_dict()[key] for key in _CLASSIFIER}
    network.load_state_dict(weights)
    return network


def load_detector_weights(name: str, architecture: Architecture, *, seed: int | None = None) -> Detector:
    """A detector with the weights of a trained one, or with those of a classifier of the same backbone.

    `name` is as for `load_weights`. What the weights do not have (extra layers and predictors of a classifier,
    predictors of other classes) is fresh, from `seed`.

    Raises:
        SettingsError: an unknown name, weights that cannot be downloaded, or those of another backbone.
        StorageError: a damaged file.
    """
    known = _network(name)
    theirs = known.architecture
    _check_same(name, theirs.replace(head=architecture.head), architecture)
    detector = build_detector(_in_flavour(architecture, theirs), seed=seed)
    own, weights = detector.state_dict(), known.state_dict()
    own |= {key: value for key, value in weights.items() if key in own and value.shape == own[key].shape}
    detector.load_state_dict(own)
    return detector


def _network(name: str) -> BuiltModel:
    library, _, model = name.partition(":")
    if library == "timm":
        return _of_timm(model)
    if library == "torchvision":
        return _of_torchvision(model)
    path = Path(name).expanduser()
    if not path.exists():
        raise SettingsError(
            f"there are no weights {name}: name a model's folder or file, timm:MODEL or torchvision:MODEL, as in "
            "timm:semnasnet_100"
        )
    return load_model(path / "model.safetensors" if path.is_dir() else path).module


def _of_timm(name: str) -> Network:
    if name.split(".")[0] not in TIMM_MODELS:
        raise did_you_mean("timm model", name, TIMM_MODELS)
    library = timm()
    if not library.is_model_pretrained(name):
        there = [model for model in TIMM_MODELS if library.is_model_pretrained(model)]
        raise SettingsError(f"timm publishes no weights of {name}: take those of {', '.join(there)}")
    return load_timm(name, timm_model(name).state_dict())


def _of_torchvision(name: str) -> Network:
    if name not in TORCHVISION_MODELS:
        raise did_you_mean("torchvision model", name, TORCHVISION_MODELS)
    return load_torchvision(name, torchvision_weights(name)[0])


def _in_flavour(architecture: Architecture, other: Architecture) -> Architecture:
    return architecture.replace(padding=other.padding, bn_momentum=other.bn_momentum, bn_eps=other.bn_eps)


def _check_same(name: str, theirs: Architecture, ours: Architecture) -> None:
    """Refuse weights of other layers: strides and skips have no weights, and yet decide what these mean."""
    alike = theirs.replace(
        head=replace(theirs.head, classes=ours.head.classes),
        input_channels=ours.input_channels,
        resolution=ours.resolution,
    )
    if alike != _in_flavour(ours, theirs):
        raise SettingsError(
            "weights to start from should be of the same architecture, classes, channels and resolution apart; those "
            f"of {name} are of another one than {ours}: name other weights, or train their architecture: {theirs}"
        )
    if theirs.input_channels != ours.input_channels and ours.input_channels != 1:
        raise SettingsError(
            f"the weights of {name} take images of {theirs.input_channels} channels, the data give "
            f"{ours.input_channels}: only colours to grey can be turned; set channels under [dataset]"
        )
