"""Models that timm and torchvision publish, by name: from their caches, or downloaded.

Weights are read as numbers alone; a pickle that wants more is refused by torch (`weights_only`).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from mnas._torchvision import import_torchvision
from mnas.errors import SettingsError, needs_extra

LIBRARIES = ("timm", "torchvision")
# Built with weights, these two normalize their inputs once more.
_NOT_TAKEN = ("googlenet", "inception_v3")


def is_published(name: str) -> bool:
    """Whether it names a library's model, as "timm:efficientnet_b0" does."""
    return name.partition(":")[0] in LIBRARIES and ":" in name


def load_published(
    name: str, *, classes: int, resolution: int, mean: Sequence[float], std: Sequence[float]
) -> nn.Module:
    """A published classifier for images that are normalized by these `mean` and `std`, in evaluation mode.

        load_published("timm:efficientnet_b0", classes=1000, resolution=224, mean=dataset.mean, std=dataset.std)

    Any classifier of timm and nearly any of torchvision; what its own normalization is, it brings along.

    Raises:
        SettingsError: an unknown name, weights that cannot be downloaded, other images or classes than it knows.
    """
    library, _, model = name.partition(":")
    if len(mean) != 3:
        raise SettingsError(
            f"{name} takes images of 3 channels, the data give {len(mean)}: set channels under [dataset]"
        )
    module, own_mean, own_std = (_of_timm if library == "timm" else _of_torchvision)(model)
    renormalized = Renormalized(module, mean, std, own_mean, own_std).eval()
    try:
        with torch.inference_mode():
            found = renormalized(torch.zeros(1, 3, resolution, resolution)).shape[-1]
    except (RuntimeError, AssertionError) as error:
        raise SettingsError(f"{name} does not take images of {resolution} pixels ({error}): name another") from error
    if found != classes:
        raise SettingsError(
            f"{name} knows {found} classes, the data have {classes}: published models are for ImageNet's; fine-tune "
            "one on the data first (mnas train --weights), or name a model's folder"
        )
    return renormalized


class Renormalized(nn.Module):
    """A module behind a change of normalization: images come as others want them, and go in as it wants them."""

    def __init__(
        self,
        module: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        own_mean: Sequence[float],
        own_std: Sequence[float],
    ) -> None:
        super().__init__()
        self.module = module
        theirs, own = (torch.tensor([list(mean), list(std)]), torch.tensor([list(own_mean), list(own_std)]))
        self.scale: Tensor
        self.offset: Tensor
        self.register_buffer("scale", (theirs[1] / own[1])[:, None, None])
        self.register_buffer("offset", ((theirs[0] - own[0]) / own[1])[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        """Images (batch, channels, height, width) -> logits (batch, classes)."""
        return self.module(images * self.scale + self.offset)  # type: ignore[no-any-return]


def timm() -> ModuleType:
    """The library.

    Raises:
        SettingsError: it is not installed.
    """
    import_torchvision()  # timm needs it
    try:
        import timm
    except ModuleNotFoundError as error:
        raise needs_extra("timm", "timm") from error
    return timm


def timm_model(name: str) -> nn.Module:
    """timm's model with its published weights, of a name that has some.

    Raises:
        SettingsError: they can neither be found nor downloaded.
    """
    try:
        model: nn.Module = timm().create_model(name, pretrained=True)
    except OSError as error:
        raise _unreachable(f"timm:{name}", "HF_HOME", error) from error
    return model


def torchvision_weights(name: str) -> tuple[dict[str, Tensor], Any]:
    """The best weights that torchvision publishes of a model, and what it says of them.

    Raises:
        SettingsError: they can neither be found nor downloaded.
    """
    published = import_torchvision().models.get_model_weights(name).DEFAULT
    try:
        return published.get_state_dict(progress=False, check_hash=True, weights_only=True), published
    except OSError as error:
        raise _unreachable(f"torchvision:{name}", "TORCH_HOME", error) from error


def _of_timm(name: str) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    library = timm()
    if not library.is_model_pretrained(name):
        raise _unknown("timm", name, library.list_pretrained())
    model: Any = timm_model(name)
    return model, model.pretrained_cfg["mean"], model.pretrained_cfg["std"]


def _of_torchvision(name: str) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    models = import_torchvision().models
    known = [model for model in models.list_models(module=models) if model not in _NOT_TAKEN]
    if name not in known:
        raise _unknown("torchvision", name, known)
    state, published = torchvision_weights(name)
    model: nn.Module = models.get_model(name, weights=None)
    model.load_state_dict(state)
    transforms = published.transforms()
    return model, transforms.mean, transforms.std


def _unknown(library: str, name: str, known: Sequence[str]) -> SettingsError:
    """Not all that are known: timm's are more than a thousand."""
    near = difflib.get_close_matches(name, known, n=5, cutoff=0.3)
    hint = f"did you mean one of {', '.join(near)}?" if near else f"it has {len(known)} others"
    return SettingsError(f"{library} publishes no classifier {name!r} that can be taken: {hint}")


def _unreachable(name: str, folder: str, error: OSError) -> SettingsError:
    return SettingsError(
        f"the weights {name} are not in the cache and cannot be downloaded ({error}): run this once where there is a "
        f"network and copy the cache ({folder} says where it is), or name a model's folder or file of mnas"
    )
