"""Promises of exported detectors: files that find what torch finds, or none; suppression inside or beside."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F

from mnas.errors import ExportError, SettingsError
from mnas.export import FORMATS, DetectorTolerance, export_detector, export_model
from mnas.export import _converted_file as module_under_test
from mnas.export._average_precision import average_precision
from mnas.export._check_detector import DetectorComparison, same_detections
from mnas.models import (
    Detections,
    Preprocessing,
    TrainedModel,
    build_detector,
    build_model,
    default_boxes,
    detections_of,
)
from mnas.space import Architecture, box_count

# Its tapped layer has no expansion; the others' kinds are in the tests of single runtimes.
SMALL = Architecture.parse(
    "input_r64_c3 stem_k3_s2_c8 ir_r2_k3_s2_e3_c16_se0.25 ir_r1_k3_s2_e3_c24 ds_r1_k5_s2_c24_pool "
    "ssdlite_c32_n3_w0.25"
)
NAMES = ("red", "green", "blue")
PREPROCESSING = Preprocessing(64, 3, (0.5, 0.4, 0.5), (0.25, 0.25, 0.2), 1.0, is_stretched=True)


def detector(is_multilabel: bool = False) -> TrainedModel:
    """Untrained, but with scores and boxes that differ."""
    module = build_detector(SMALL, seed=0)
    with torch.no_grad():
        for predictor in module.predictors:
            predictor.classes.project.weight.mul_(8)
            predictor.boxes.project.weight.mul_(4)
    return TrainedModel(module.eval(), NAMES, PREPROCESSING, is_multilabel)


@pytest.fixture(scope="module", params=[False, True], ids=["softmax", "sigmoid"])
def trained(request) -> TrainedModel:
    return detector(request.param)


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    coarse = torch.randint(0, 256, (12, 3, 8, 8), generator=torch.Generator().manual_seed(0)).float()
    return F.interpolate(coarse, (64, 64), mode="bilinear").to(torch.uint8)


def torchs(trained: TrainedModel, pixels: torch.Tensor, **settings) -> list[Detections]:
    with torch.inference_mode():
        outputs = trained.module(trained.preprocessing.normalize(pixels))
    activation = "sigmoid" if trained.is_multilabel else "softmax"
    return detections_of(outputs, default_boxes(SMALL), activation=activation, **settings)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(path, image: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": PREPROCESSING.normalize(image[None]).numpy()})


def assert_same(found: Detections, expected: Detections) -> None:
    assert len(found) == len(expected) > 0
    assert len(same_detections(found, expected)) >= 0.98 * len(found)  # what scores the same may change places


def test_a_file_gives_boxes_and_scores_and_says_what_was_checked(trained, pixels, tmp_path):
    (exported,) = export_detector(trained, tmp_path, ["onnx"], pixels)
    assert names(tmp_path) == ["model.onnx", "model.onnx.json", "postprocess.py"]
    assert (exported.format, exported.precision, exported.images, exported.nms_above) == ("onnx", "fp32", 12, None)
    assert 0 < exported.boxes_difference < 1e-5
    assert 0 < exported.scores_difference < 1e-5
    assert exported.agreement > 0.999
    assert exported.detections == sum(map(len, torchs(trained, pixels)))
    boxes, scores = run(exported.path, pixels[0])
    assert boxes.shape == (1, box_count(SMALL), 4)
    assert scores.shape == (1, box_count(SMALL), 3)
    assert 0 <= boxes.min() < boxes.max() <= 1
    total = scores.sum(2)
    assert (total.max() > 1.1) == trained.is_multilabel, "a softmax gives at most one in all"
    described = json.loads(exported.description.read_text())
    assert [row["name"] for row in described["outputs"]] == ["boxes", "scores"]
    assert (described["is_multilabel"], described["nms_above"]) == (trained.is_multilabel, None)
    assert described["class_names"] == list(NAMES)
    assert described["preprocessing"]["is_stretched"]


def test_the_post_processing_beside_the_file_finds_what_torch_finds(trained, pixels, tmp_path):
    """With numpy alone, in a process that has nothing of mnas."""
    (exported,) = export_detector(trained, tmp_path, ["onnx"], pixels)
    boxes, scores = run(exported.path, pixels[0])
    np.savez(tmp_path / "outputs.npz", boxes=boxes[0], scores=scores[0])
    code = (
        "import sys, numpy as np; from postprocess import detections; from numpy import load, savez\n"
        "given = load('outputs.npz'); savez('found.npz', *detections(given['boxes'], given['scores']))\n"
        "assert not {'torch', 'mnas'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with np.load(tmp_path / "found.npz") as found:
        assert_same(Detections(*(found[name] for name in found)), torchs(trained, pixels[:1])[0])


@pytest.mark.parametrize("least_score", [1e-8, 0.4])
def test_suppression_inside_of_the_file_finds_what_torch_finds(trained, pixels, tmp_path, least_score):
    (exported,) = export_detector(trained, tmp_path, ["onnx"], pixels, nms=True, least_score=least_score)
    assert names(tmp_path) == ["model-nms.onnx", "model-nms.onnx.json"], "there is nothing left to do"
    assert exported.nms_above == least_score
    assert exported.agreement > 0.99
    for image, expected in zip(pixels[:3], torchs(trained, pixels[:3], score=least_score), strict=True):
        boxes, scores, classes = run(exported.path, image)
        assert (boxes.dtype, scores.dtype, classes.dtype) == (np.float32, np.float32, np.int64)
        assert (np.diff(scores) <= 0).all()
        assert scores.min() > least_score
        assert_same(Detections(boxes, scores, classes), expected)


def test_where_nothing_scores_enough_nothing_is_found(pixels, tmp_path):
    trained = detector()
    (exported,) = export_detector(trained, tmp_path, ["onnx"], pixels, nms=True, least_score=0.9999)
    assert (exported.detections, exported.agreement) == (0, 1.0)
    boxes, scores, classes = run(exported.path, pixels[0])
    assert (boxes.shape, scores.shape, classes.shape) == ((0, 4), (0,), (0,))


def test_boxes_of_which_nothing_is_on_the_image_are_no_detections(pixels, tmp_path):
    trained = detector()
    with torch.no_grad():
        trained.module.predictors[0].boxes.project.bias[::4] += 200  # its boxes go far to the right
    (exported,) = export_detector(trained, tmp_path, ["onnx"], pixels, nms=True)
    boxes, scores, classes = run(exported.path, pixels[0])
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    assert_same(Detections(boxes, scores, classes), torchs(trained, pixels[:1])[0])


def test_a_dynamic_batch_takes_several_images(pixels, tmp_path):
    trained = detector()
    (exported,) = export_detector(trained, tmp_path, ["onnx"], pixels, dynamic_batch=True)
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    boxes, scores = session.run(None, {"images": np.zeros((5, 3, 64, 64), np.float32)})
    assert (boxes.shape[0], scores.shape[0]) == (5, 5)


@pytest.mark.parametrize("nms", [False, True])
def test_onnx_s_own_checker_accepts_the_files(pixels, tmp_path, nms):
    (exported,) = export_detector(detector(), tmp_path, ["onnx"], pixels, nms=nms)
    onnx.checker.check_model(onnx.load(exported.path), full_check=True)
    properties = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}
    assert json.loads(properties["class_names"]) == list(NAMES)


def test_the_module_stays_as_it_is(pixels, tmp_path):
    trained = detector()
    trained.module.train()
    before = {key: value.clone() for key, value in trained.module.state_dict().items()}
    export_detector(trained, tmp_path, ["onnx"], pixels, nms=True)
    assert trained.module.training
    assert all(torch.equal(before[key], value) for key, value in trained.module.state_dict().items())


@pytest.mark.parametrize(("nms", "name"), [(False, "model.onnx"), (True, "model-nms.onnx")])
def test_a_file_that_finds_something_else_is_not_there_afterwards(pixels, tmp_path, monkeypatch, nms, name):
    """Nor is one of the same name from before, which would be taken for it."""
    right = module_under_test.converted

    def damaged(trained, *rest, **options):
        other = build_detector(SMALL, seed=0)
        other.load_state_dict(trained.module.state_dict())
        with torch.no_grad():
            other.predictors[0].boxes.project.weight.mul_(1.2)
        return right(TrainedModel(other.eval(), NAMES, PREPROCESSING), *rest, **options)

    monkeypatch.setattr(module_under_test, "converted", damaged)
    for old in (name, f"{name}.json"):
        (tmp_path / old).write_bytes(b"from before")
    with pytest.raises(ExportError, match=rf"{name} was not written: .*(boxes differ|detections are the same)"):
        export_detector(detector(), tmp_path, ["onnx"], pixels, nms=nms)
    assert names(tmp_path) == []


@pytest.fixture(scope="module")
def boxes(pixels) -> torch.Tensor:
    """What is on the images: the best five that torch finds there, and two rows that are not in use."""
    rows = torch.full((len(pixels), 7, 5), -1.0)
    for row, found in zip(rows, torchs(detector(), pixels), strict=True):
        row[:5, :4] = torch.from_numpy(found.boxes[:5])
        row[:5, 4] = torch.from_numpy(found.classes[:5])
    return rows


@pytest.mark.parametrize("nms", [False, True])
def test_in_int8_a_file_is_held_to_torchs_ap(pixels, boxes, tmp_path, nms):
    fp32, int8 = export_detector(
        detector(), tmp_path, ["onnx"], pixels, boxes=boxes, int8=True, calibration=pixels, nms=nms,
        tolerance=DetectorTolerance(int8_ap_loss=0.2),
    )  # fmt: skip
    stem = "model-nms" if nms else "model"
    assert [fp32.path.name, int8.path.name] == [f"{stem}.onnx", f"{stem}-int8.onnx"]
    assert [fp32.precision, int8.precision] == ["fp32", "int8"]
    assert fp32.torch_ap == int8.torch_ap > 0.5, "what torch finds is there"
    assert fp32.ap == pytest.approx(fp32.torch_ap, abs=0.01)
    assert fp32.scores_difference < 1e-4 < int8.scores_difference < 0.5
    assert int8.bytes < fp32.bytes
    types = {node.op_type for node in onnx.load(int8.path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "Exp"} <= types
    with pytest.raises(ExportError, match=rf"{stem}-int8.onnx was not written: its AP is .*, where at most 0.0%"):
        export_detector(
            detector(), tmp_path, ["onnx"], pixels, boxes=boxes, int8=True, calibration=torch.zeros_like(pixels),
            nms=nms, tolerance=DetectorTolerance(int8_ap_loss=0.0),
        )  # fmt: skip


def test_ap_of_an_export_is_coco_s(pixels, boxes):
    found = torchs(detector(), pixels)
    exact = [Detections(*(part[:5] for part in (one.boxes, one.scores, one.classes))) for one in found]
    assert average_precision(exact, boxes, NAMES) == pytest.approx(1.0)
    assert average_precision([made(np.zeros((0, 4)), (), ())] * len(boxes), boxes, NAMES) == 0
    assert average_precision(exact, torch.full_like(boxes, -1), NAMES) is None


def made(boxes, scores=(0.9, 0.8), classes=(0, 1)) -> Detections:
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(classes, np.int64))


def test_detections_are_the_same_in_class_score_and_place():
    boxes = [[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.9, 0.9]]
    ours = made(boxes)
    moved = [[0.1, 0.1, 0.3, 0.305], [0.5, 0.5, 0.9, 0.8]]  # IoU .98, and .75
    for found, agreement in (
        (made(boxes), 1.0),
        (made(moved), 0.5),
        (made(boxes, scores=(0.9, 0.79)), 0.5),
        (made(boxes, classes=(0, 0)), 0.5),
        (made(boxes[:1], (0.9,), (0,)), 2 / 3),
        (made(np.zeros((0, 4)), (), ()), 0.0),
        (made([boxes[0], boxes[0]], (0.9, 0.9), (0, 0)), 0.5),  # one of torch's is found once
    ):
        assert DetectorComparison.of_detections([found], [ours]).agreement == pytest.approx(agreement)


def test_the_tolerance_can_be_chosen_and_is_recorded(pixels, tmp_path):
    with pytest.raises(ExportError, match=r"boxes differ from torch's by .*, where at most 0e"):
        export_detector(detector(), tmp_path, ["onnx"], pixels, tolerance=DetectorTolerance(boxes_difference=0))
    (exported,) = export_detector(detector(), tmp_path, ["onnx"], pixels, tolerance=DetectorTolerance(agreement=0.5))
    assert exported.tolerance.agreement == 0.5
    with pytest.raises(SettingsError, match="agreement should be from 0 to 1, got 99"):
        DetectorTolerance(agreement=99)


def test_what_is_asked_wrongly_is_refused_before_anything_is_converted(pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(module_under_test, "converted", None)
    asked = {"folder": tmp_path, "formats": ["onnx"], "check": pixels}
    for changes, words in (
        ({"formats": ["onnx", "litter"]}, "unknown export format 'litter': did you mean 'litert'"),
        ({"folder": tmp_path / "no"}, "there is no such folder"),
        ({"check": None}, "checked on at least 8 images"),
        ({"check": pixels[:3]}, "checked on at least 8 images"),
        ({"check": pixels.float()}, "images should be uint8"),
        ({"formats": ["onnx", "litert"], "nms": True}, "is for onnx; litert's converter has no lowering for it"),
        ({"int8": True, "calibration": pixels}, "needs what is on the images to check with"),
        ({"int8": True, "boxes": torch.zeros(12, 2, 5)}, "int8 needs images to calibrate on"),
        ({"boxes": torch.zeros(11, 2, 5)}, r"boxes should have the shape \(12, most, 5\), got \(11, 2, 5\)"),
        ({"boxes": torch.full((12, 2, 5), -1.0)}, "AP needs something to find"),
        ({"nms": True, "least_score": 1.5}, "least_score should be from 0 to below 1, got 1.5"),
    ):
        with pytest.raises(SettingsError, match=words):
            export_detector(detector(), **asked | changes)
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="of one image: leave out it or dynamic_batch"):
        export_detector(detector(), tmp_path, ["onnx"], pixels, nms=True, dynamic_batch=True)


def test_classifiers_and_detectors_have_each_their_own(pixels, tmp_path):
    architecture = Architecture.parse("input_r64_c3 ds_r1_k3_s2_c8 head_c8_n3")
    classifier = TrainedModel(build_model(architecture, seed=0), NAMES, PREPROCESSING)
    with pytest.raises(SettingsError, match="a classifier is exported with export_model"):
        export_detector(classifier, tmp_path, ["onnx"], pixels)
    with pytest.raises(SettingsError, match="a detector is exported with export_detector"):
        export_model(detector(), tmp_path, ["onnx"], check=(pixels, torch.zeros(12, dtype=torch.int64)))


def test_a_diverged_detector_is_not_exported(pixels, tmp_path):
    broken = detector()
    with torch.no_grad():
        broken.module.predictors[0].boxes.project.bias.fill_(float("nan"))
    with pytest.raises(ExportError, match="its training diverged"):
        export_detector(broken, tmp_path, ["onnx"], pixels)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_files_of_slow_converters_in_int8_are_held_to_torchs_ap(pixels, boxes, tmp_path, name):
    for package in FORMATS[name].packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    _, int8 = export_detector(
        detector(), tmp_path, [name], pixels, boxes=boxes, int8=True, calibration=pixels,
        tolerance=DetectorTolerance(int8_ap_loss=0.3),
    )  # fmt: skip
    assert int8.path.name == f"model-int8{FORMATS[name].suffix}"
    assert int8.scores_difference < 0.5
    outputs = json.loads(int8.description.read_text())["outputs"]
    assert [(row["type"], row["quantization"]) for row in outputs] == [("float32", None)] * 2, "decoded in float"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["litert", "executorch"])
def test_files_of_slow_converters_find_it_too(trained, pixels, tmp_path, name):
    for package in FORMATS[name].packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    (exported,) = export_detector(trained, tmp_path, [name], pixels)
    file = f"model{FORMATS[name].suffix}"
    assert names(tmp_path) == [file, f"{file}.json", "postprocess.py"]
    assert exported.agreement > 0.999
    shapes = [row["shape"] for row in json.loads(exported.description.read_text())["outputs"]]
    assert shapes == [[1, box_count(SMALL), 4], [1, box_count(SMALL), 3]]
    if name == "litert":
        from ai_edge_litert.interpreter import Interpreter

        outputs = Interpreter(str(exported.path)).get_signature_list()["serving_default"]["outputs"]
        assert sorted(outputs) == ["boxes", "scores"], "apps find them by name"
