"""What a trained model gets right, image by image and class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mnas.accuracy import binomial_interval
from mnas.errors import SettingsError, TrainingError

if TYPE_CHECKING:
    from mnas.datasets import Images
    from mnas.models import TrainedModel

_BATCH = 256
_TOP = 5

_Labels = NDArray[np.int64]  # class indices (n,), or 0 and 1 (n, classes) with several labels per image
_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ClassScore:
    """One class. Precision, recall and F1 are fractions; where a class was never named they are 0."""

    name: str
    images: int  # that are of this class
    precision: float
    recall: float
    f1: float
    average_precision: float | None = None  # with several labels per image; None where no image is of this class


@dataclass(frozen=True)
class Scores:
    """What a model gets right on the images of one split. Everything is a fraction.

    With several labels per image, `accuracy` is the share of images of which every label is right, a class is
    named where its probability is at least one half, and there is no confusion matrix.
    """

    images: int
    accuracy: float
    low: float  # the accuracy's 95 % interval for so many images
    high: float
    macro_f1: float  # the classes' mean
    micro_f1: float  # of all labels together; with one label per image it is the accuracy
    classes: tuple[ClassScore, ...]
    top5: float | None = None  # None for up to five classes
    mean_average_precision: float | None = None  # with several labels per image
    confusion: tuple[tuple[int, ...], ...] = ()  # images of the row's class that were given the column's

    @property
    def is_multilabel(self) -> bool:
        """Whether an image may have several labels."""
        return self.mean_average_precision is not None

    def confused(self, most: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent mistakes: the true class, the class it was given, and how often."""
        mistakes = [
            (self.classes[row].name, self.classes[column].name, count)
            for row, counts in enumerate(self.confusion)
            for column, count in enumerate(counts)
            if row != column and count
        ]
        return sorted(mistakes, key=lambda mistake: -mistake[2])[:most]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON. Of the confusion matrix each row has its columns that are not zero."""
        # A thousand classes make a million numbers, nearly all of them zero.
        rows = [{str(column): count for column, count in enumerate(row) if count} for row in self.confusion]
        return asdict(replace(self, confusion=())) | {"confusion": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Scores:
        """The inverse of `to_dict`, from JSON too, and of rows with all their columns."""
        classes = tuple(ClassScore(**row) for row in data["classes"])
        confusion = tuple(_dense(row, len(classes)) for row in data["confusion"])
        return cls(**{**data, "classes": classes, "confusion": confusion})


def _dense(row: Mapping[str, int] | Sequence[int], columns: int) -> tuple[int, ...]:
    if not isinstance(row, Mapping):
        return tuple(row)
    return tuple(row.get(str(column), 0) for column in range(columns))


def score(trained: TrainedModel, images: Images, *, batch: int = _BATCH) -> Scores:
    """The scores of a model on some images, which have the model's resolution and channels.

        score(load_model("models/flowers/model.safetensors"), dataset.split("validation")).macro_f1

    The module leaves as it came.

    Raises:
        SettingsError: the images or their labels are not the model's.
        TrainingError: an output is not finite.
    """
    logits, labels = _outputs(trained, images, batch)
    if not np.isfinite(logits).all():
        raise TrainingError("the model's outputs are not finite: its training diverged")
    is_multilabel = labels.ndim == 2
    if is_multilabel != trained.is_multilabel:
        kinds = ("one label", "several labels")
        raise SettingsError(
            f"the model was trained for {kinds[trained.is_multilabel]} per image, these images have "
            f"{kinds[is_multilabel]}: evaluate it on images like those it was trained on"
        )
    return (_of_several if is_multilabel else _of_one)(logits, labels, trained.class_names)


def _outputs(trained: TrainedModel, images: Images, batch: int) -> tuple[_Floats, _Labels]:
    import torch

    module, was_training = trained.module, trained.module.training
    place = next(module.parameters()).device
    module.eval()
    outputs, labels = [], []
    try:
        with torch.inference_mode():
            for pixels, truth in images.batches(batch):
                floats = trained.preprocessing.normalize(pixels).to(place, memory_format=torch.channels_last)
                outputs.append(module(floats).float().cpu().numpy())
                labels.append(truth.numpy())
    finally:
        module.train(was_training)
    return np.concatenate(outputs), np.concatenate(labels)


def _of_one(logits: _Floats, labels: _Labels, names: Sequence[str]) -> Scores:
    from sklearn.metrics import confusion_matrix

    count, predicted = len(labels), logits.argmax(1)
    accuracy = float((predicted == labels).mean())
    low, high = binomial_interval(accuracy, count)
    classes = _class_scores(labels, predicted, names)
    matrix = confusion_matrix(labels, predicted, labels=range(len(names)))
    return Scores(
        images=count,
        accuracy=accuracy,
        low=low,
        high=high,
        macro_f1=float(np.mean([row.f1 for row in classes])),
        micro_f1=accuracy,
        classes=classes,
        top5=_top(logits, labels) if len(names) > _TOP else None,
        confusion=tuple(tuple(row) for row in matrix.tolist()),
    )


def _of_several(logits: _Floats, labels: _Labels, names: Sequence[str]) -> Scores:
    from sklearn.metrics import average_precision_score, f1_score

    predicted = (logits >= 0).astype(np.int64)  # a logit of zero is a probability of one half
    accuracy = float((predicted == labels).all(1).mean())
    low, high = binomial_interval(accuracy, len(labels))
    precisions = [
        float(average_precision_score(labels[:, index], logits[:, index])) if labels[:, index].any() else None
        for index in range(len(names))
    ]
    classes = _class_scores(labels, predicted, names, precisions)
    return Scores(
        images=len(labels),
        accuracy=accuracy,
        low=low,
        high=high,
        macro_f1=float(np.mean([row.f1 for row in classes])),
        micro_f1=float(f1_score(labels, predicted, average="micro", zero_division=0)),
        classes=classes,
        mean_average_precision=float(np.mean([value for value in precisions if value is not None] or [0.0])),
    )


def _class_scores(
    labels: _Labels, predicted: _Labels, names: Sequence[str], precisions: Sequence[float | None] | None = None
) -> tuple[ClassScore, ...]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, predicted, labels=range(len(names)), zero_division=0)
    precision, recall, f1, support = (column.tolist() for column in columns)
    found = precisions or [None] * len(names)
    return tuple(
        ClassScore(name, int(support[i]), precision[i], recall[i], f1[i], found[i]) for i, name in enumerate(names)
    )


def _top(logits: _Floats, labels: _Labels) -> float:
    best = np.argpartition(-logits, _TOP - 1, axis=1)[:, :_TOP]
    return float((best == labels[:, None]).any(1).mean())
