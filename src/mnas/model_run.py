"""One classifier, from its architecture to files that a device runs: what `mnas train`, `evaluate` and `export` do.

settings -> folder -> training -> scores on validation -> card; then more scores, exported files, the card again
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from mnas import registry
from mnas.config import Part
from mnas.datasets import BoxedImages, Dataset, DatasetFacts, DetectionDataset, Images
from mnas.datasets import Part as Split
from mnas.errors import SettingsError
from mnas.model_card import write_model_card
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.scores import Scores, score
from mnas.space import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mnas.export import Exported, Format
    from mnas.models import BuiltModel, Network, Preprocessing, TrainedModel
    from mnas.training import Hardware, Progress, Task

_Prepared = TypeVar("_Prepared")  # what a training begins with
CALIBRATION_IMAGES = 128  # that int8 looks at tensors on
_CHECK_IMAGES = 512
_CHECK_BATCH = 16
_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Watch:
    """What is told how it goes: a phase in words, and each step of a training."""

    phase: Callable[[str], None] = lambda words: None
    step: Callable[[Progress], None] = lambda progress: None


def make_dataset(part: Part, architecture: Architecture) -> Dataset:
    """The data set at the architecture's resolution, unless the part names one.

    Raises:
        SettingsError: an unknown name or key, or images that are not there.
    """
    known = registry.options("dataset", part.name)
    defaults = {"resolution": architecture.resolution} if "resolution" in known else {}
    made: Dataset = registry.make("dataset", part.name, defaults | part.options)
    return made


def fitted(architecture: Architecture, dataset: DatasetFacts) -> Architecture:
    """The architecture for a data set's classes, channels and resolution; its blocks stay."""
    head = replace(architecture.head, classes=len(dataset.class_names))
    return architecture.replace(head=head, input_channels=dataset.channels, resolution=dataset.resolution)


def train_model(
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    hardware: Hardware | None = None,
    watch: Watch | None = None,
) -> ModelFolder:
    """Train a model into a folder, evaluate it on the validation split and write its card.

        settings = TrainingSettings("mnasnet-a1", reference_architecture("mnasnet-a1"), Part(name="digits"), recipe)
        train_model(settings, Path("models/digits")).scores()["validation"].accuracy

    The architecture is fitted to the data set. An interrupted training goes on from its last checkpoint with
    `resume`, to the same weights; one that is finished is left as it is.

    Raises:
        SettingsError: the folder is in use for something else, or a setting is wrong.
        StorageError: another process trains there, or what was begun there is another training.
        TrainingError: the training diverged or ran out of memory; the message names the last good checkpoint.
    """
    dataset = make_dataset(settings.dataset, settings.architecture)
    settings = replace(settings, architecture=fitted(settings.architecture, dataset))
    model, watch = ModelFolder(folder), watch or Watch()
    if not is_first_process(hardware):
        _train(settings, dataset, _networks(settings, dataset, watch), model, hardware, watch)
        return model
    with model.locked():
        train_once(
            model,
            settings,
            dataset,
            resume,
            lambda: _networks(settings, dataset, watch),
            lambda networks: _train(settings, dataset, networks, model, hardware, watch),
        )
        if "validation" not in model.scores():
            watch.phase("evaluating on the validation images")
            model.add_scores("validation", score(model.trained(), dataset.split("validation")))
        write_model_card(model)
    return model


def train_once(
    model: ModelFolder,
    settings: TrainingSettings,
    dataset: DatasetFacts,
    resume: bool,
    prepare: Callable[[], _Prepared],
    train: Callable[[_Prepared], None],
) -> None:
    """Begin or go on with a folder's training, which is held; one that is finished is left as it is.

    Raises:
        SettingsError, StorageError: as `ModelFolder.begin`.
    """
    if model.is_finished:
        model.begin(settings, dataset.class_names, resume)
    else:
        # Before the folder is begun: weights or a teacher that are refused should not bind it to these settings.
        prepared = prepare()
        model.begin(settings, dataset.class_names, resume)
        train(prepared)
    model.remove_checkpoint()


def evaluate_model(folder: Path, part: Split = "validation", data: Part | None = None) -> Scores:
    """Score a trained model on a split of its data set, or of another one with the same classes.

    Scores on its own data set are kept in the folder and stand on the card.

    Raises:
        SettingsError: no trained model is there, or the data set's classes are not the model's.
    """
    model = ModelFolder(folder)
    trained = _classifier(model)
    dataset = _dataset_of(model, trained, data)
    scores = score(trained, dataset.split(part))
    if data is None:
        with model.locked():
            model.add_scores(part, scores)
            write_model_card(model)
    return scores


def export_model(
    folder: Path, formats: Sequence[str], *, int8: bool = False, watch: Watch | None = None
) -> list[Exported]:
    """Write a trained model for runtimes, each file checked on real images in its runtime; the card follows.

    With `int8` each format is also written quantized, calibrated on training images.

    Raises:
        SettingsError: no trained model is there, an unknown format, or a library is missing.
        ExportError: a file's outputs are not the model's; that file is removed.
    """
    from mnas.export import check_formats
    from mnas.export import export_model as export_files

    model, watch = ModelFolder(folder), watch or Watch()
    check_formats(formats)
    trained = _classifier(model)
    dataset = _dataset_of(model, trained, None)
    with model.locked():
        watch.phase("reading images to calibrate and check with")
        calibration, _ = sample(dataset.split("train"), CALIBRATION_IMAGES)
        check = sample(dataset.split("validation"), _CHECK_IMAGES)
        made: list[Exported] = []
        for name in formats:
            watch.phase(f"exporting to {name} and checking the file")
            found = export_files(
                trained, folder, [cast("Format", name)], int8=int8, calibration=calibration, check=check
            )
            model.add_exports(found)  # one by one: a format that fails leaves the others
            made += found
        write_model_card(model)
    return made


def sample(images: Images, most: int) -> tuple[Tensor, Tensor]:
    """At most so many of the images with their labels, spread over the whole split, as evaluation sees them."""
    import torch

    pixels, labels = zip(*spread_batches(images, most), strict=True)
    return torch.cat(pixels)[:most], torch.cat(labels)[:most]


def spread_batches(images: Images | BoxedImages, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches with about so many of the images, and what goes with them, from the whole split; at least one batch."""
    batches = -(-len(images) // _CHECK_BATCH)
    step = max(1, -(-batches * _CHECK_BATCH // most))
    return images.batches(_CHECK_BATCH, start=0, step=step)


@dataclass(frozen=True, eq=False)
class _Networks:
    """What a training begins with."""

    module: Network
    teacher: nn.Module | None


def _train(
    settings: TrainingSettings,
    dataset: Dataset,
    networks: _Networks,
    model: ModelFolder,
    hardware: Hardware | None,
    watch: Watch,
) -> None:
    train_into(
        model,
        settings,
        dataset,
        networks.module,
        is_multilabel=dataset.split("train").labels.ndim == 2,
        preprocessing=_preprocessing(dataset),
        teacher=networks.teacher,
        hardware=hardware,
        watch=watch,
    )


def train_into(
    model: ModelFolder,
    settings: TrainingSettings,
    dataset: Dataset | DetectionDataset,
    module: BuiltModel,
    *,
    is_multilabel: bool,
    preprocessing: Preprocessing,
    task: Task | None = None,
    teacher: nn.Module | None = None,
    hardware: Hardware | None = None,
    watch: Watch,
) -> None:
    """Train a module, from its last checkpoint on where there is one, and leave the model file in the folder."""
    from mnas.models import TrainedModel, save_model
    from mnas.training import Checkpoints, train

    watch.phase("training")
    checkpoints = Checkpoints(model.path, _CHECKPOINT_SECONDS, resume=True)
    is_first = is_first_process(hardware)
    result = train(
        module,
        dataset,
        settings.recipe,
        seed=settings.seed,
        task=task,
        hardware=hardware,
        checkpoints=checkpoints,
        teacher=teacher,
        on_epoch=model.add_epoch if is_first else None,
        on_step=watch.step,
    )
    if not is_first:
        return
    name = "validation_accuracy" if task is None else "validation_ap"
    trained = TrainedModel(
        module=module,
        class_names=tuple(dataset.class_names),
        preprocessing=preprocessing,
        is_multilabel=is_multilabel,
        metrics={name: result.accuracy} if result.accuracy is not None else {},
        made=model.made(),
    )
    save_model(model.model_file, trained)


def is_first_process(hardware: Hardware | None) -> bool:
    """Whether this process writes the files: of several that train together, only one does."""
    from mnas.training import rank

    return hardware is None or not hardware.distributed or rank() == 0


def _networks(settings: TrainingSettings, dataset: Dataset, watch: Watch) -> _Networks:
    """The module before its training, with fresh weights or given ones, and the teacher."""
    from mnas.models import build_model, load_weights

    teacher = None
    if settings.teacher:
        watch.phase(f"loading the teacher {settings.teacher}")
        teacher = _teacher(settings.teacher, dataset)
    architecture, dropout, seed = settings.architecture, settings.recipe.dropout, settings.seed
    if settings.weights is None:
        return _Networks(build_model(architecture, dropout=dropout, seed=seed), teacher)
    watch.phase(f"loading the weights {settings.weights}")
    return _Networks(load_weights(settings.weights, architecture, dropout=dropout, seed=seed), teacher)


def _teacher(name: str, dataset: Dataset) -> nn.Module:
    """The model whose answers are learnt too, which must be about the same images and classes."""
    from mnas.models import is_published, load_published

    if is_published(name):
        classes, mean, std = len(dataset.class_names), dataset.mean, dataset.std
        return load_published(name, classes=classes, resolution=dataset.resolution, mean=mean, std=std)
    model = ModelFolder(Path(name).expanduser())
    trained = _classifier(model)
    check_fits(model, trained, dataset, "let it teach")
    return trained.module


def _classifier(model: ModelFolder) -> TrainedModel:
    trained = model.trained()
    if trained.architecture.is_detector:
        raise SettingsError(f"{model.path} is a detector: mnas detect evaluate and mnas detect predict are for it")
    return trained


def _preprocessing(dataset: Dataset) -> Any:
    from mnas.models import Preprocessing

    share = 0.875 if dataset.split("validation").is_cropped else 1.0
    mean, std = tuple(dataset.mean), tuple(dataset.std)
    return Preprocessing(dataset.resolution, dataset.channels, mean, std, share)


def _dataset_of(model: ModelFolder, trained: TrainedModel, data: Part | None) -> Dataset:
    """The data set to evaluate on, whose classes must be the model's."""
    dataset = make_dataset(data or model.settings().dataset, trained.architecture)
    check_fits(model, trained, dataset, "evaluate it")
    return dataset


def check_fits(model: ModelFolder, trained: TrainedModel, dataset: DatasetFacts, what: str) -> None:
    """That a data set has a model's classes, in its order, and its channels; `what` is what to do on one that has.

    Raises:
        SettingsError: it has not.
    """
    names, channels = tuple(dataset.class_names), dataset.channels
    if names != trained.class_names:
        lacking = sorted(set(trained.class_names) - set(names)) or sorted(set(names) - set(trained.class_names))
        raise SettingsError(
            f"{model.path} names {len(trained.class_names)} classes, data set {dataset.name!r} has {len(names)}"
            f"{', which differ in ' + ', '.join(lacking[:3]) if lacking else ' in another order'}: "
            f"{what} on images of the classes that it was trained for"
        )
    if channels != trained.architecture.input_channels:
        raise SettingsError(
            f"{model.path} takes images of {trained.architecture.input_channels} channels, data set {dataset.name!r} "
            f"gives {channels}: set channels under [dataset]"
        )
