"""What the tests of trainings share: a small network, and digits in 64 images so that a training takes a moment."""

from __future__ import annotations

import dataclasses
import hashlib

import torch

from mnas.datasets import DigitsDataset, MemoryImages
from mnas.models import build_model
from mnas.space import Architecture
from mnas.training import Recipe, train

TINY = Architecture.parse("input_r8_c1 stem_k3_s1_c8 ds_r1_k3_s1_c8_noskip ir_r1_k3_s2_e2_c8_se0.25 head_c16_n10")


@dataclasses.dataclass(frozen=True)
class FewDigits:
    """The first 64 training digits and 64 others; several labels per image on demand: its class and its parity."""

    is_multilabel: bool = False
    whole = DigitsDataset(resolution=8)

    name = "few-digits"
    channels = 1
    resolution = 8
    mirrors = True
    mean = (0.3,)
    std = (0.4,)

    @property
    def class_names(self):
        return (*self.whole.class_names, "odd") if self.is_multilabel else self.whole.class_names

    def split(self, part):
        images = self.whole.split(part).chosen(torch.arange(64))
        if not self.is_multilabel:
            return images
        labels = torch.cat([torch.nn.functional.one_hot(images.labels, 10), images.labels[:, None] % 2], 1)
        return MemoryImages(images.pixels, labels.to(torch.uint8))


def digest(model):
    """Of all weights, statistics and counters, bit for bit."""
    return hashlib.sha256(b"".join(v.contiguous().numpy().tobytes() for v in model.state_dict().values())).hexdigest()


def trained(seed=0, architecture=TINY, dataset=None, dropout=0.2, **settings):
    """A module and how its training went; settings of the recipe and of `train` in any order."""
    own = {name: settings.pop(name) for name in list(settings) if name not in Recipe.__dataclass_fields__}
    model = build_model(architecture, dropout=dropout, seed=seed)
    recipe = Recipe(**{"epochs": 2, "batch": 16, "shift": 0.1, **settings})
    return model, train(model, dataset or FewDigits(), recipe, seed=seed, **own)


@dataclasses.dataclass(frozen=True)
class Noise:
    """Two classes of noise: no two pixels are alike, so no float error decides at a kink. The second is rare."""

    images: int = 48
    rare: int = 24

    name = "noise"
    class_names = ("0", "1")
    channels = 1
    resolution = 8
    mirrors = False
    mean = (0.5,)
    std = (0.25,)

    def split(self, part):
        pixels = torch.randint(256, (self.images, 1, 8, 8), generator=torch.Generator().manual_seed(0))
        labels = (torch.arange(self.images) < self.rare).to(torch.int64)
        return MemoryImages(pixels.to(torch.uint8), labels)
