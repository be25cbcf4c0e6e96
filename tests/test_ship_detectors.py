"""Promises of shipping detectors: as classifiers are, by AP, whatever interrupts it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from boxed_files import write_coco

from mnas.config import Part
from mnas.errors import SettingsError
from mnas.model_folder import ModelFolder
from mnas.model_run import Watch
from mnas.run import search
from mnas.ship import ShipSettings, ship
from mnas.training import load_recipe

SPACE = {
    "name": "mnasnet", "detector": True, "width": 0.1, "resolution": 64, "classes": 3, "head_filters": 16,
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> ShipSettings:
    folder = tmp_path_factory.mktemp("ship")
    write_coco(folder, images=32, splits=["train"] * 16 + ["val"] * 8 + ["test"] * 8)
    run = folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mnas.run.write_report", lambda result: None)  # what is drawn of a search is not of interest
        search(
            space=SPACE, device="simulated", accuracy="simulated", dataset=None, controller={"name": "random"},
            trials=12, workers=0, final={"top": 0}, out=run,
        )  # fmt: skip
    data = {"annotations": str(folder / "annotations.json"), "images": str(folder / "images")}
    recipe = replace(load_recipe("ssdlite-small"), epochs=1, warmup_epochs=0)
    return ShipSettings(run, Part.model_validate({"name": "coco", **data}), recipe, top=2)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def interrupting(at: int) -> Watch:
    """A watch that is Ctrl-C in the phase of that number."""
    seen = [0]

    def phase(words: str) -> None:
        seen[0] += 1
        if seen[0] == at:
            raise KeyboardInterrupt

    return Watch(phase)


def outcome(folder: Path) -> dict[str, object]:
    """All that a ship says, without times and the folder's name."""
    model = ModelFolder(folder / "model")
    card = (model.path / "card.md").read_text().replace(str(folder), "SHIP").splitlines()
    return {
        "files": sorted(path.name for path in model.path.iterdir() if not path.name.startswith(".")),
        "weights": {name: value.tolist() for name, value in model.trained().module.state_dict().items()},
        "scores": model.detection_scores(),
        "exports": [(row.path.name, row.sha256) for row in model.detector_exports()],
        "ship.json": json.loads((folder / "ship.json").read_text()),
        "card": [line for line in card if not re.match(r"\| begun", line)],
    }


@pytest.mark.slow
def test_the_best_by_validation_ap_is_tested_exported_and_described(settings, tmp_path):
    shipped = ship(settings, tmp_path / "ship")
    model = shipped.model
    assert {path.name for path in model.path.iterdir()} >= {
        "model.safetensors", "model.onnx", "postprocess.py", "examples.jpg", "card.html", "detection_scores.json",
    }  # fmt: skip
    assert shipped.scores == model.detection_scores()["test"]
    assert [one.accuracy is not None for one in shipped.candidates] == [True, True]
    (chosen,) = [one for one in shipped.candidates if one.is_chosen]
    assert chosen.accuracy == model.detection_scores()["validation"].ap
    card = (model.path / "card.md").read_text()
    for said in ("this model", "validation AP %", "AP50 %", "left to postprocess.py", "mnas ship", "stretched to 64"):
        assert said in card, said
    assert "data:image/jpeg;base64," in (model.path / "card.html").read_text()


@pytest.mark.slow
def test_interrupted_in_each_of_its_phases_it_ends_as_if_nothing_had_been(settings, tmp_path):
    undisturbed = []
    ship(settings, tmp_path / "whole", watch=Watch(undisturbed.append))
    assert len(undisturbed) >= 6
    for at in range(1, len(undisturbed) + 1):
        with pytest.raises(KeyboardInterrupt):
            ship(settings, tmp_path / f"cut{at}", watch=interrupting(at))
    for at in (2, len(undisturbed) // 2, len(undisturbed)):
        ship(settings, tmp_path / f"cut{at}")
        assert outcome(tmp_path / f"cut{at}") == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_what_is_done_is_not_done_again(settings, tmp_path, monkeypatch):
    from mnas import ship as ship_module

    tested: list[str] = []
    evaluate: Callable[..., object] = ship_module.evaluate_detector

    def counted(folder: Path, part: str) -> object:
        tested.append(part)
        return evaluate(folder, part)

    monkeypatch.setattr(ship_module, "evaluate_detector", counted)
    ship(settings, tmp_path / "ship")
    files = [*tmp_path.rglob("model.safetensors"), *tmp_path.rglob("model.onnx")]
    times = [path.stat().st_mtime_ns for path in files]
    ship(settings, tmp_path / "ship")
    assert tested == ["test"]
    assert [path.stat().st_mtime_ns for path in files] == times


@pytest.mark.slow
def test_a_teacher_is_refused_before_anything_is_done(settings, tmp_path):
    with pytest.raises(SettingsError, match="trained without a teacher"):
        ship(replace(settings, teacher="timm:resnet18"), tmp_path / "ship")
    assert not (tmp_path / "ship").exists()
