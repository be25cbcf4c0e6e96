"""Sampling: which images an epoch takes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mnas.datasets import Images
from mnas.errors import SettingsError


@runtime_checkable
class _Choosable(Protocol):
    """A split of which others can be made."""

    def chosen(self, indices: Tensor) -> Images:
        """The split that holds these images; one may be there several times."""
        ...


def balanced(images: Images, seed: int) -> Images:
    """As many images, of which every class that has any is drawn equally often, to within one.

    Rare classes have their images drawn several times, all of them equally often, to within one; of frequent ones
    each epoch sees another part. It follows from the seed alone.

    Raises:
        SettingsError: images have several labels, or the data set cannot choose.
    """
    if images.labels.ndim == 2:
        raise SettingsError(
            'sampling = "balanced" is for one label per image, these have several: class_weights = "balanced" weighs '
            "every label"
        )
    if not isinstance(images, _Choosable):
        raise SettingsError(
            'sampling = "balanced" needs images with chosen(indices), as those of mnas have; '
            f'{type(images).__name__} has none: class_weights = "balanced" needs nothing'
        )
    # Not the pass's own seed: the draw and the shuffle after it would follow the same random numbers.
    generator = torch.Generator().manual_seed(seed + 1)
    return images.chosen(_equal_shares(images.labels, generator))


def _equal_shares(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Indices (n,) of n images, class by class."""
    members = [torch.nonzero(labels == name)[:, 0] for name in sorted(set(labels.tolist()))]
    share, rest = divmod(len(labels), len(members))
    gets_one_more = torch.randperm(len(members), generator=generator) < rest
    return torch.cat(
        [_drawn(own, share + int(more), generator) for own, more in zip(members, gets_one_more, strict=True)]
    )


def _drawn(members: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of the members, each equally often, to within one."""
    whole, rest = divmod(count, len(members))
    return torch.cat([members.repeat(whole), members[torch.randperm(len(members), generator=generator)[:rest]]])
