"""Promises of `mnas export` for detectors, kept by exporting one that saw a few painted pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from boxed_files import write_coco

from mnas.config import Part
from mnas.detector_run import train_detector, with_detection_head
from mnas.model_folder import ModelFolder, TrainingSettings
from mnas.space import Architecture
from mnas.training import load_recipe

BACKBONE = Architecture.parse("input_r64_c3 stem_k3_s2_c8 ds_k3_s2_c16 ir_k3_s2_e3_c24 head_c32_n10")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    pictures = tmp_path_factory.mktemp("pictures")
    write_coco(pictures, images=24, splits=["train"] * 8 + ["val"] * 12 + ["test"] * 4)
    part = Part(name="coco", annotations=str(pictures / "annotations.json"), images=str(pictures / "images"))
    architecture = with_detection_head(BACKBONE, 0.1)
    recipe = replace(load_recipe("ssdlite-small"), epochs=1, warmup_epochs=0)
    folder = tmp_path_factory.mktemp("models") / "painted"
    train_detector(TrainingSettings("painted", architecture, part, recipe), folder)
    return folder


def test_the_model_s_folder_says_that_it_is_a_detector(within, model):
    code, stdout, stderr = within("export", str(model), "--no-measure")
    assert code == 0, stderr
    assert "model.onnx" in stdout
    assert "left to postprocess.py" in " ".join(stdout.split())
    assert {"model.onnx", "model.onnx.json", "postprocess.py", "exports.json"} <= {p.name for p in model.iterdir()}


def test_both_kinds_of_suppression_lie_beside_each_other(within, model):
    assert within("export", str(model), "--no-measure")[0] == 0
    code, stdout, stderr = within("export", str(model), "--no-measure", "--nms", "--least-score", "0.05", "--json")
    assert code == 0, stderr
    (row,) = json.loads(stdout)["exports"]
    assert (row["format"], row["nms_above"], row["images"]) == ("onnx", 0.05, 12)
    assert row["agreement"] > 0.99
    kept = ModelFolder(model).detector_exports()
    assert {(each.path.name, each.nms_above) for each in kept} == {("model.onnx", None), ("model-nms.onnx", 0.05)}
    assert within("export", str(model), "--no-measure", "--nms")[0] == 0
    assert [each.nms_above for each in ModelFolder(model).detector_exports()] == [None, 1e-8], "the latest of a file"


def test_int8_is_written_beside_fp32_and_says_the_ap_of_both(within, model):
    code, stdout, stderr = within("export", str(model), "--no-measure", "--int8", "--json")
    assert code == 0, stderr
    fp32, int8 = json.loads(stdout)["exports"]
    assert [Path(row["path"]).name for row in (fp32, int8)] == ["model.onnx", "model-int8.onnx"]
    assert int8["torch_ap"] == fp32["torch_ap"]
    assert int8["torch_ap"] - int8["ap"] <= int8["tolerance"]["int8_ap_loss"]
    card = (model / "card.md").read_text()
    assert "model-int8.onnx" in card
    assert f"mnas export {model} --to onnx --int8" in card


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--to", "litert", "--nms"], "is for onnx; litert's converter has no lowering for it"),
        (["--least-score", "0.3"], "--least-score is for --nms"),
        (["--to", "onxx"], "did you mean 'onnx'"),
    ],
)
def test_what_detectors_cannot_is_refused_with_what_to_do(within, model, more, said):
    code, _, stderr = within("export", str(model), *more)
    assert code == 2
    assert said in " ".join(stderr.split())


def test_a_classifier_has_no_suppression(within, tmp_path):
    arguments = ["train", "input_r12_c1 ds_k3_s2_c8 head_c8_n10", "--data", "digits", "--epochs", "1"]
    assert within(*arguments, "--out", str(tmp_path / "digits"))[0] == 0
    code, _, stderr = within("export", str(tmp_path / "digits"), "--nms")
    assert (code, "are for detectors" in stderr) == (2, True)
