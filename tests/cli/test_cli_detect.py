"""Promises of `mnas detect` on the command line, kept by running it on a few painted pictures."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from boxed_files import write_coco, write_voc
from command_line import mnas
from PIL import Image

from mnas.detection_scores import read_results
from mnas.models import load_model
from mnas.run import search

BLOCKS = "stem_k3_s2_c8 ds_k3_s2_c16 ir_k3_s2_e3_c24 head_c32_n10"
SPLITS = ["train"] * 24 + ["val"] * 8 + ["test"] * 8


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write_coco(folder, images=40, splits=SPLITS)
    return folder


def data_of(folder: Path) -> list[str]:
    return ["--data", str(folder / "annotations.json"), "--images", str(folder / "images")]


def training(out: Path, *more: str) -> list[str]:
    frame = ["--backbone", BLOCKS, "--resolution", "64", "--width", "0.1", "--epochs", "2", "--out", str(out)]
    return ["detect", "train", *frame, *more]


@pytest.fixture(scope="module")
def model(tmp_path_factory, pictures) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "model"
    done = mnas(*training(folder, *data_of(pictures)))
    assert done.returncode == 0, done.stderr
    assert re.search(r"step \d+ of \d+, epoch \d, loss \d+\.\d+", done.stderr)
    assert not (folder / "checkpoint.safetensors").exists()
    assert re.search(r"validation: AP \d+\.\d+ %, AP50 \d+\.\d+ % on 8 images", done.stdout)
    return folder


def test_evaluate_prints_coco_s_numbers_and_writes_results_for_upload(within, model, pictures, tmp_path):
    results = tmp_path / "results.json"
    code, stdout, stderr = within("detect", "evaluate", str(model), "--split", "test", "--results", str(results))
    assert code == 0, stderr
    for words in ("AP small", "AR 100", "red", "green", "blue"):
        assert words in stdout
    truth = json.loads((pictures / "annotations.json").read_text())
    rows = read_results(results, truth)
    assert {row["image_id"] for row in rows} <= set(range(33, 41)), "the test pictures"
    scored = json.loads(within("detect", "evaluate", str(model), "--split", "test", "--json")[1])
    assert {"ap", "ap50", "ar_100", "classes", "images"} <= scored.keys()
    assert scored["images"] == 8


def test_the_card_says_what_was_found_and_how_to_do_it_again(within, model):
    assert within("detect", "evaluate", str(model), "--split", "test")[0] == 0
    card = (model / "card.md").read_text()
    for said in (
        "Average precision",
        "| test | 8 |",
        "red",
        "![Validation images",
        "the whole image, stretched to 64",
    ):
        assert said in card, said
    assert f"mnas train {model}/training.toml --out {model}-again" in card
    assert f"mnas detect evaluate {model} --split test" in card
    with Image.open(model / "examples.jpg") as drawn:
        assert drawn.size == (2 * 360, 2 * 270), "four pictures in their own shape"
    page = (model / "card.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert not re.search(r'(src|href)="(?!#|data:)', page.replace("xlink:href", "href")), "it needs nothing else"


@pytest.mark.slow
def test_a_training_s_settings_repeat_it(within, model, tmp_path):
    code, stdout, stderr = within("train", str(model / "training.toml"), "--out", str(tmp_path / "again"))
    assert code == 0, stderr
    assert "validation: AP" in stdout
    again, first = (load_model(folder / "model.safetensors") for folder in (tmp_path / "again", model))
    assert again.metrics == first.metrics


@pytest.mark.slow
def test_the_best_of_a_run_that_searched_detectors_is_shipped(within, pictures, tmp_path):
    run = tmp_path / "run"
    space = {"name": "mnasnet", "detector": True, "width": 0.1, "resolution": 64, "classes": 3, "head_filters": 16}
    search(
        space=space, device="simulated", accuracy="simulated", dataset=None, controller={"name": "random"},
        trials=6, workers=0, final={"top": 0}, out=run,
    )  # fmt: skip
    ship = ["ship", str(run), "--top", "1", "--epochs", "1"]
    code, _, stderr = within(*ship)
    assert (code, "searched without images: name those to train on with --data" in stderr) == (2, True)
    code, stdout, stderr = within(*ship, *data_of(pictures))
    assert code == 0, stderr
    for words in ("validation AP %", "test: AP", "left to postprocess.py", "card.html"):
        assert words in " ".join(stdout.split())
    shipped = json.loads(within(*ship, *data_of(pictures), "--json")[1])
    assert {"ap", "ap50", "classes"} <= shipped["test"].keys()
    assert [row["format"] for row in shipped["exports"]] == ["onnx"]


def test_predict_draws_what_it_finds(within, model, pictures, tmp_path):
    drawn, picture = tmp_path / "boxes.png", pictures / "images" / "33.png"
    arguments = ["detect", "predict", str(model), str(picture), "--least-score", "0.01"]
    found = json.loads(within(*arguments, "--out", str(drawn), "--json")[1])
    assert found["boxes"], "at so low a score there is always something"
    for row in found["boxes"]:
        assert row["class"] in ("red", "green", "blue")
        assert 0 <= row["box"][0] < row["box"][2] <= 64
        assert 0 <= row["box"][1] < row["box"][3] <= 48
    with Image.open(drawn) as image, Image.open(picture) as before:
        assert image.size == (5 * before.width, 5 * before.height), (
            "small pictures are enlarged, to hold their labels"
        )
        enlarged = before.convert("RGB").resize(image.size, Image.Resampling.NEAREST)
        assert image.convert("RGB").tobytes() != enlarged.tobytes()


def test_a_second_training_says_that_it_is_done_and_another_one_is_refused(within, model, pictures):
    code, stdout, stderr = within(*training(model, *data_of(pictures), "--resume"))
    assert code == 0, stderr
    assert "was trained to the end before" in stdout
    code, _, stderr = within(*training(model, *data_of(pictures), "--resume", "--seed", "3"))
    assert code == 1
    assert "model.seed: it has 0, now it is 3" in stderr


def test_a_detector_s_weights_and_voc_folders_are_taken(within, tmp_path):
    voc = write_voc(tmp_path / "voc", {"train": 16, "val": 4, "test": 4})
    code, _, stderr = within(*training(tmp_path / "first", "--data", str(voc), "--epochs", "1"))
    assert code == 0, stderr
    again = training(tmp_path / "second", "--data", str(voc), "--epochs", "1", "--weights", str(tmp_path / "first"))
    code, stdout, stderr = within(*again)
    assert code == 0, stderr
    assert "on 4 images" in stdout


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--data is needed"),
        (["--data", "{pictures}/annotations.json"], "--images is needed"),
        (["--data", "{pictures}/images"], "should be COCO annotations"),
        (["--data", "{pictures}/images", "--images", "{pictures}/images"], "goes with annotations in one file"),
        (["--data", "{pictures}/nothing.json", "--images", "{pictures}/images"], "nothing.json"),
        (["--data", "{pictures}/annotations.json", "--images", "{pictures}/images", "--recipe", "sdlite-coco"],
         "did you mean 'ssdlite-coco'?"),
        (["--data", "{pictures}/annotations.json", "--images", "{pictures}/images", "--recipe", "small-images"],
         "detectors are trained without"),
    ],
)  # fmt: skip
def test_wrong_input_is_refused_with_what_to_do(within, pictures, tmp_path, more, said):
    given = [word.format(pictures=pictures) for word in more]
    code, _, stderr = within(*training(tmp_path / "model", *given))
    assert code == 2
    assert said in " ".join(stderr.split())
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_classifiers_and_detectors_are_told_apart(within, model, tmp_path):
    code, _, stderr = within("evaluate", str(model))
    assert (code, "is a detector" in stderr) == (2, True)
    arguments = ["train", "input_r12_c1 ds_k3_s2_c8 head_c8_n10", "--data", "digits", "--epochs", "1"]
    assert within(*arguments, "--out", str(tmp_path / "digits"))[0] == 0
    code, _, stderr = within("detect", "evaluate", str(tmp_path / "digits"))
    assert (code, "is a classifier" in stderr) == (2, True)


def test_a_picture_that_is_none_is_refused(within, model, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    code, _, stderr = within("detect", "predict", str(model), str(tmp_path / "text.png"))
    assert (code, "should be a picture that can be read" in stderr) == (2, True)


def test_a_search_for_detectors_ends_with_a_front_that_trains(within, pictures, tmp_path):
    settings = tmp_path / "small.toml"
    settings.write_text(
        """
        trials = 4
        workers = 0
        [space]
        name = "mnasnet"
        detector = true
        width = 0.2
        resolution = 64
        head_filters = 32
        strides = [1, 2, 2, 1, 1, 2, 1]
        [controller]
        name = "random"
        [device]
        name = "simulated"
        [accuracy]
        name = "detection"
        epochs = 1
        """
    )
    run = tmp_path / "run"
    code, stdout, stderr = within("search", str(settings), *data_of(pictures), "--out", str(run))
    assert code == 0, stderr
    assert "ssdlite_c32_n3_w0.2" in stdout
    out = tmp_path / "best"
    frame = ["--backbone", f"{run}:best", "--epochs", "1"]
    code, stdout, stderr = within("detect", "train", *data_of(pictures), *frame, "--out", str(out))
    assert code == 0, stderr
    assert "input_r64_c3" in (out / "training.toml").read_text(), "the resolution that was searched"
    code, _, stderr = within("search", "detection", "--images", str(pictures), "--out", str(tmp_path / "none"))
    assert (code, "--images goes with --data" in stderr) == (2, True)
    code, _, stderr = within("search", "detection", "--trials", "2", "--out", str(tmp_path / "none"))
    assert (code, "trains on images" in stderr) == (2, True)
