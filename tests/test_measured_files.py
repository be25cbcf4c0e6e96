"""Promises of measuring exported files: the very bytes that are shipped are timed, or it is said why not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from boxed_files import write_coco

from mnas.config import Part
from mnas.detector_run import export_detector_model, train_detector, with_detection_head
from mnas.devices import LocalDevice, ModelFile
from mnas.errors import MeasurementError, SettingsError
from mnas.measured_files import measure_file, measure_files
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.model_run import export_model, train_model
from mnas.objective import Latency
from mnas.space import Architecture
from mnas.training import Recipe, load_recipe

pytestmark = pytest.mark.slow

SMALL = Architecture.parse("input_r12_c1 stem_k3_s1_c8 ds_r1_k3_s2_c16 ir_r1_k3_s2_e2_c24 head_c32_n10")
BACKBONE = Architecture.parse("input_r64_c3 stem_k3_s2_c8 ds_k3_s2_c16 ir_k3_s2_e3_c24 head_c32_n10")
HERE = Part.model_validate({"name": "cpu", "processes": 2, "busy": "accept", "patience_s": 0, "half_width": 0.5})


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "digits"
    train_model(TrainingSettings("small", SMALL, Part(name="digits"), Recipe(epochs=1)), folder)
    return folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    pictures = tmp_path_factory.mktemp("pictures")
    write_coco(pictures, images=24, splits=["train"] * 8 + ["val"] * 12 + ["test"] * 4)
    part = Part(name="coco", annotations=str(pictures / "annotations.json"), images=str(pictures / "images"))
    recipe = replace(load_recipe("ssdlite-small"), epochs=1, warmup_epochs=0)
    folder = tmp_path_factory.mktemp("models") / "painted"
    train_detector(TrainingSettings("painted", with_detection_head(BACKBONE, 0.1), part, recipe), folder)
    return folder


def test_each_file_of_a_classifier_is_timed_as_it_is(classifier):
    export_model(classifier, ["onnx"], int8=True)
    measure_files(classifier, HERE)
    fp32, int8 = ModelFolder(classifier).exports()
    for row in (fp32, int8):
        assert row.latency is not None, row.unmeasured
        assert row.latency.environment["model_sha256"] == row.sha256
        assert row.latency.environment["precision"] == row.precision
    card = (classifier / "card.md").read_text()
    assert f"{fp32.latency.latency_ms:.4g} ({fp32.latency.low_ms:.4g} - {fp32.latency.high_ms:.4g})" in card
    assert f"model-int8.onnx: timed as it is, on {int8.latency.device}" in card


@pytest.mark.parametrize("format", ["litert", "executorch"])
def test_so_are_those_for_other_runtimes(classifier, format):
    pytest.importorskip({"litert": "litert_torch", "executorch": "executorch"}[format])
    export_model(classifier, [format], int8=True)
    measure_files(classifier, HERE)
    found = [row for row in ModelFolder(classifier).exports() if row.format == format]
    assert [(row.precision, row.unmeasured) for row in found] == [("fp32", ""), ("int8", "")]
    assert all(row.latency and format in row.latency.device for row in found)


@pytest.mark.parametrize("format", ["onnx", "litert", "executorch"])
def test_so_are_a_detector_s_with_boxes_and_scores(detector, format):
    if format != "onnx":
        pytest.importorskip({"litert": "litert_torch", "executorch": "executorch"}[format])
    export_detector_model(detector, [format], int8=True)
    if format == "onnx":
        export_detector_model(detector, [format], nms=True)
    measure_files(detector, HERE)
    found = [row for row in ModelFolder(detector).detector_exports() if row.format == format]
    assert len(found) == (3 if format == "onnx" else 2)
    assert [row.unmeasured for row in found if row.latency is None] == []


def test_what_was_measured_is_not_measured_again_until_it_is_written_anew(classifier):
    export_model(classifier, ["onnx"])
    measure_files(classifier, HERE)
    before = _latency(classifier)
    measure_files(classifier, HERE)
    assert _latency(classifier) == before
    export_model(classifier, ["onnx"])
    assert _latency(classifier) is None, "another file, though it may have the same bytes"


def test_a_file_that_does_something_else_there_is_not_given_a_latency(classifier):
    export_model(classifier, ["onnx"])
    path = classifier / "model.onnx"
    images = np.random.default_rng(0).normal(size=(2, 1, 12, 12)).astype(np.float32)
    wrong = [(np.ones((1, 10), np.float32),)] * 2
    with LocalDevice(processes=2) as device, pytest.raises(MeasurementError, match="outputs are wrong"):
        device.measure_file(ModelFile(SMALL, path.read_bytes(), "fp32", images, wrong))
    with (
        LocalDevice(precision="int8") as device,
        pytest.raises(MeasurementError, match="file is in fp32"),
    ):
        device.measure_file(ModelFile(SMALL, path.read_bytes(), "fp32", images, wrong))


def test_why_a_file_has_no_latency_is_kept_and_told(classifier):
    export_model(classifier, ["onnx"])
    units = [{"name": "simulated"}]
    for device, why in (
        (Part(name="simulated"), "device 'simulated' measures networks and takes no files"),
        (Part.model_validate({"name": "pool", "units": units}), "device 'pool' measures networks and takes no"),
        (Part.model_validate({"name": "cpu", "threads": 4096}), "threads should be at most"),
    ):
        measure_files(classifier, device)
        (row,) = (row for row in ModelFolder(classifier).exports() if row.path.name == "model.onnx")
        assert row.latency is None
        assert why in row.unmeasured
        assert f"model.onnx: not timed: {why}" in (classifier / "card.md").read_text()
    measure_files(classifier, HERE)
    assert _latency(classifier) is not None, "it is tried again"


def test_a_file_can_be_measured_wherever_it_lies(classifier, tmp_path):
    export_model(classifier, ["onnx"], int8=True)
    for name in ("model-int8.onnx", "model-int8.onnx.json"):
        shutil.copy(classifier / name, tmp_path)
    architecture, latency = measure_file(tmp_path / "model-int8.onnx", HERE)
    assert architecture.id == ModelFolder(classifier).settings().architecture.id
    assert "onnxruntime" in latency.device
    assert "int8" in latency.device
    (tmp_path / "model-int8.onnx").write_bytes((classifier / "model.onnx").read_bytes())
    with pytest.raises(SettingsError, match="describes another file"):
        measure_file(tmp_path / "model-int8.onnx", HERE)
    (tmp_path / "model-int8.onnx.json").write_text("{")
    with pytest.raises(SettingsError, match="is damaged"):
        measure_file(tmp_path / "model-int8.onnx", HERE)
    (tmp_path / "model-int8.onnx.json").unlink()
    with pytest.raises(SettingsError, match=r"there is no .*model-int8.onnx.json: mnas export writes"):
        measure_file(tmp_path / "model-int8.onnx", HERE)


def test_a_wrong_setting_of_the_device_is_refused_before_anything_is_measured(classifier):
    with pytest.raises(SettingsError, match="did you mean 'threads'"):
        measure_files(classifier, Part.model_validate({"name": "cpu", "thread": 1}))


def test_records_of_before_have_no_latency(classifier):
    export_model(classifier, ["onnx"])
    path = classifier / "exports.json"
    rows = [
        {key: value for key, value in row.items() if key not in ("latency", "unmeasured")}
        for row in json.loads(path.read_text())
    ]
    path.write_text(json.dumps(rows))
    assert _latency(classifier) is None


def _latency(folder: Path) -> Latency | None:
    (row,) = (row for row in ModelFolder(folder).exports() if row.path.name == "model.onnx")
    return row.latency
