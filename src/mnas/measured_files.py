"""Exported files on a device: the very bytes of each, timed in its runtime by the protocol of the search.

A search measures a network with seeded weights. What is shipped is a file with trained ones, in several formats and
precisions, so each is timed as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mnas import registry
from mnas.config import Part
from mnas.detector_run import make_detection_dataset
from mnas.devices import MeasuresFiles, ModelFile
from mnas.errors import ExportError, MeasurementError, SettingsError
from mnas.model_card import write_model_card
from mnas.model_folder import ModelFolder
from mnas.model_run import Watch, make_dataset
from mnas.objective import Latency
from mnas.space import Architecture

if TYPE_CHECKING:
    from mnas.devices.runtimes import Array, Precision
    from mnas.export import Exported, ExportedDetector, Format

_Export = TypeVar("_Export", "Exported", "ExportedDetector")

_IMAGES = 8  # on which what a file gives is compared


def measure_files(folder: Path, device: Part, *, watch: Watch | None = None) -> None:
    """Measure each exported file of a model that has no latency yet, and write it to exports.json and the card.

        measure_files(Path("models/flowers"), Part(name="ssh", address="pi@board"))

    The device is made for each file's runtime and precision, whichever it has itself. A file that cannot be measured
    there says why (`Exported.unmeasured`); the others are.

    Raises:
        SettingsError: an unknown device, or a wrong setting of it.
        DeviceError: it cannot be reached, or is too busy; what was measured before stays.
    """
    model, watch = ModelFolder(folder), watch or Watch()
    registry.check("device", device.name, device.options, ())
    with model.locked():
        if model.settings().architecture.is_detector:
            _measure(model, model.detector_exports(), model.add_detector_exports, device, watch)
        else:
            _measure(model, model.exports(), model.add_exports, device, watch)
        write_model_card(model)


def _measure(
    model: ModelFolder,
    exports: Sequence[_Export],
    keep: Callable[[Sequence[_Export]], None],
    device: Part,
    watch: Watch,
) -> None:
    """Those that have no latency, one by one: what fails leaves the others."""
    missing = [row for row in exports if row.latency is None]
    if not missing:
        return
    architecture, images = model.settings().architecture, _some_images(model)
    for row in missing:
        watch.phase(f"measuring {row.path.name} on {device.name}")
        try:
            latency = _latency(_file_of(row), architecture, images, device)
        except (MeasurementError, ExportError, SettingsError) as error:
            keep([replace(row, unmeasured=str(error))])
        else:
            keep([replace(row, latency=latency, unmeasured="")])


def _some_images(model: ModelFolder) -> Array:
    """Normalized validation images (n, channels, side, side)."""
    settings, trained = model.settings(), model.trained()
    make = make_detection_dataset if settings.architecture.is_detector else make_dataset
    pixels, _ = next(make(settings.dataset, settings.architecture).split("validation").batches(_IMAGES))
    normalized: Array = trained.preprocessing.normalize(pixels).numpy()
    return normalized


def measure_file(file: Path, device: Part) -> tuple[Architecture, Latency]:
    """Measure one exported file on a device, by what its description beside it says; it may lie anywhere.

        measure_file(Path("models/flowers/model-int8.tflite"), Part(name="ssh", address="pi@board"))

    Raises:
        SettingsError: there is no such file or description, an unknown device, or one that takes no such files.
        MeasurementError: it does not run there as it does here.
        DeviceError: the device cannot be reached, or is too busy.
    """
    from mnas.devices.runtimes import varied_images
    from mnas.export import read_description

    said = read_description(file)
    architecture = Architecture.parse(said["architecture"])
    exported = _File(file, said["format"], said["precision"], said.get("nms_above"))
    return architecture, _latency(exported, architecture, varied_images(architecture, _IMAGES), device)


def _file_of(row: Exported | ExportedDetector) -> _File:
    return _File(row.path, row.format, row.precision, getattr(row, "nms_above", None))


class _File(NamedTuple):
    """What has to be known of an exported file."""

    path: Path
    format: Format
    precision: Precision
    nms_above: float | None


def _latency(file: _File, architecture: Architecture, images: Array, device: Part) -> Latency:
    """Of a file's bytes, on the device as it is made for the file's runtime and precision.

    Raises:
        MeasurementError: it does not run there as it does here.
        SettingsError: the device cannot be made for this runtime.
        DeviceError: it cannot be reached, or is too busy.
    """
    from mnas.export import FORMATS, file_outputs

    wanted = {"runtime": FORMATS[file.format].runtime, "precision": file.precision}
    if not wanted.keys() <= registry.options("device", device.name).keys():
        raise SettingsError(f"device {device.name!r} measures networks and takes no files")
    measuring = registry.measuring_device(device.name, device.options | wanted)
    if not isinstance(measuring, MeasuresFiles):
        raise SettingsError(f"device {device.name!r} measures networks and takes no files")
    if file.nms_above is not None:
        images = images[:1]  # how much is found differs between images
    data = file.path.read_bytes()
    with measuring:
        outputs = file_outputs(file.format, data, images)
        return measuring.measure_file(ModelFile(architecture, data, file.precision, images, outputs))
