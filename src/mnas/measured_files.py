"""Exported files on a device: the very bytes of each, timed in its runtime by the protocol of the search.

A search measures a network with seeded weights. What is shipped is a file with trained ones, in several formats and
precisions, so each is timed as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

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
    from mnas.devices.runtimes import Array
    from mnas.export import Exported, ExportedDetector

_Export = TypeVar("_Export", "Exported", "ExportedDetector")

_IMAGES = 8  # on which what a file gives is compared


def measure_files(folder: Path, device: Part, *, watch: Watch | None = None) -> None:
    """Measure each exported file of a model that has no latency yet, and write it to exports.json and the card.

        measure_files(Path("models/flowers"), Part(name="ssh", address="pi@board"))

    Each by `measure_file`. One that cannot be measured there says why (`Exported.unmeasured`); the others are.

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


def measure_file(file: Path, device: Part, images: Array | None = None) -> tuple[Architecture, Latency]:
    """Measure one exported file on a device, by what its description beside it says; it may lie anywhere.

        measure_file(Path("models/flowers/model-int8.tflite"), Part(name="ssh", address="pi@board"))

    The device is made for the file's runtime and precision, whichever it has itself. `images`, normalized inputs
    (n, channels, resolution, resolution), are what it must give the same for there as here; by default made-up ones.

    Raises:
        SettingsError: there is no such file or description, an unknown device, or one that takes no such files.
        MeasurementError: it does not run there as it does here.
        ExportError: it does not run here.
        DeviceError: the device cannot be reached, or is too busy.
    """
    from mnas.devices.runtimes import varied_images
    from mnas.export import FORMATS, file_outputs, read_description

    said = read_description(file)
    architecture, precision = Architecture.parse(said["architecture"]), said["precision"]
    if images is None:
        images = varied_images(architecture, _IMAGES)
    if said.get("nms_above") is not None:
        images = images[:1]  # how much is found differs between images
    wanted = {"runtime": FORMATS[said["format"]].runtime, "precision": precision}
    is_made_for_any = wanted.keys() <= registry.options("device", device.name).keys()
    if not (is_made_for_any and hasattr(registry.lookup("device", device.name), "measure_file")):
        raise SettingsError(f"device {device.name!r} measures networks and takes no files")
    measuring: MeasuresFiles = registry.measuring_device(device.name, device.options | wanted)
    with measuring:
        data = file.read_bytes()
        outputs = file_outputs(said["format"], data, images)
        return architecture, measuring.measure_file(ModelFile(architecture, data, precision, images, outputs))


def _measure(
    model: ModelFolder,
    exports: Sequence[_Export],
    keep: Callable[[Sequence[_Export]], None],
    device: Part,
    watch: Watch,
) -> None:
    """Those that have no latency, one by one: what fails leaves the others."""
    missing = [row for row in exports if row.latency is None]
    images = _some_images(model) if missing else None
    for row in missing:
        watch.phase(f"measuring {row.path.name} on {device.name}")
        try:
            _, latency = measure_file(row.path, device, images)
        except (MeasurementError, ExportError, SettingsError) as error:
            keep([replace(row, unmeasured=str(error))])
        else:
            keep([replace(row, latency=latency, unmeasured="")])


def _some_images(model: ModelFolder) -> Array:
    """Normalized validation images (n, channels, resolution, resolution)."""
    settings, trained = model.settings(), model.trained()
    make = make_detection_dataset if settings.architecture.is_detector else make_dataset
    pixels, _ = next(make(settings.dataset, settings.architecture).split("validation").batches(_IMAGES))
    normalized: Array = trained.preprocessing.normalize(pixels).numpy()
    return normalized
