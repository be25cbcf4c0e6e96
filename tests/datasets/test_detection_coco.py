"""COCO files: splits, boxes that stay on their pixels, ground truth, pictures that are broken."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
import torch
from boxed_files import coco, colour_error, colour_extent, paint, write_coco
from PIL import Image

from mnas import registry
from mnas.datasets import CocoDataset
from mnas.errors import SettingsError

BCCD = Path(os.environ.get("MNAS_BCCD", Path(__file__).parents[3] / "shared" / "data" / "bccd"))
PARTS = ("train", "validation", "trainval", "test")
SPLITS = ("train",) * 5 + ("val",) * 3 + ("test",) * 2


def make(path, **options):
    return CocoDataset(annotations=path, **{"resolution": 64, **options})


def sizes(dataset):
    return tuple(len(dataset.split(part)) for part in PARTS)


def ids(dataset):
    return {part: dataset.split(part).image_ids for part in PARTS}


def test_the_splits_of_a_file_are_honoured(tmp_path):
    dataset = make(write_coco(tmp_path, 10, splits=SPLITS))
    assert ids(dataset) == {
        "train": (1, 2, 3, 4, 5),
        "validation": (6, 7, 8),
        "trainval": (1, 2, 3, 4, 5, 6, 7, 8),
        "test": (9, 10),
    }


def test_of_train_and_val_alone_val_is_the_test_split(tmp_path):
    dataset = make(write_coco(tmp_path, 10, splits=("train",) * 8 + ("val",) * 2), validation=0.25)
    assert sizes(dataset) == (6, 2, 8, 2)
    assert dataset.split("test").image_ids == (9, 10)


def test_without_splits_shares_are_held_out_by_the_images_ids(tmp_path):
    """The same for a file in another order; others for another seed."""
    path = write_coco(tmp_path / "one", 40)
    other = write_coco(tmp_path / "two", 40, change=lambda file: file["images"].reverse())
    dataset = make(path, validation=0.25, test=0.2)
    assert sizes(dataset) == (24, 8, 32, 8)
    assert set(ids(dataset)["test"]) == set(ids(make(other, validation=0.25))["test"])
    assert set(ids(dataset)["test"]) != set(ids(make(path, validation=0.25, split_seed=1))["test"])
    assert sizes(make(path, validation=4, test=6)) == (30, 4, 34, 6)


def test_in_coco_s_folder_validation_is_held_out_of_train_and_val_is_the_test_split(tmp_path):
    write_coco(tmp_path, 12, file="annotations/instances_train2017.json", pictures="train2017")
    write_coco(tmp_path, 5, seed=1, file="annotations/instances_val2017.json", pictures="val2017")
    dataset = make(tmp_path, validation=0.25)
    assert sizes(dataset) == (9, 3, 12, 5)
    assert dataset.name == tmp_path.name
    for pixels, boxes in dataset.split("test").batches(8):
        assert all(
            colour_error(image, box) < 1 for image, some in zip(pixels, boxes, strict=True) for box in some[:1]
        )


def test_coco_s_folder_needs_both_files_with_the_same_categories(tmp_path):
    write_coco(tmp_path, 12, file="annotations/instances_train2017.json", pictures="train2017")
    with pytest.raises(SettingsError, match=r"one annotations/instances_val\*\.json, it has none; expected is"):
        make(tmp_path).split("train")

    def renamed(file):
        file["categories"][1]["name"] = "yellow"

    write_coco(tmp_path, 5, renamed, file="annotations/instances_val2017.json", pictures="val2017")
    with pytest.raises(SettingsError, match="different are 20 green, 20 yellow"):
        make(tmp_path).split("train")


def test_classes_follow_the_categories_ids_which_may_have_gaps(tmp_path):
    def shuffled(file):
        file["categories"].reverse()

    dataset = make(write_coco(tmp_path, 10, shuffled, splits=SPLITS))
    assert dataset.class_names == ("red", "green", "blue")
    truth = dataset.split("train").truth()
    assert truth["categories"] == [{"id": 10, "name": "red"}, {"id": 20, "name": "green"}, {"id": 30, "name": "blue"}]
    assert {item["category_id"] for item in truth["annotations"]} == {10, 20, 30}


def test_the_truth_is_the_file_s(tmp_path):
    path = write_coco(tmp_path, 10, splits=SPLITS)
    file, truth = json.loads(path.read_text()), make(path).split("test").truth()
    assert [image["id"] for image in truth["images"]] == [9, 10]
    assert truth["images"] == [
        {key: value for key, value in image.items() if key != "split"} for image in file["images"][8:]
    ]
    expected = [item for item in file["annotations"] if item["image_id"] in (9, 10)]
    assert [{key: item[key] for key in expected[0]} for item in truth["annotations"]] == expected


@pytest.mark.parametrize("seed", [None, 1, 2, 3])
def test_boxes_frame_the_same_pixels_also_after_crops(tmp_path, seed):
    """Each class occurs once in an image, so that its colour begins and ends where the box does, within 2 pixels."""
    images = make(write_coco(tmp_path, 40), resolution=48).split("trainval")
    seen = 0
    for pixels, boxes in images.batches(8, seed):
        for image, some in zip(pixels, boxes, strict=True):
            for box in some[some[:, 4] >= 0]:
                assert colour_error(image, box) < 5
                assert colour_extent(image, int(box[4])) == pytest.approx((box[:4] * 48).tolist(), abs=2)
                seen += 1
    assert seen > 30


def test_crops_follow_seed_and_image_alone(tmp_path):
    """The same for any number of loader processes; others for another seed."""
    path = write_coco(tmp_path, 24)
    one, two = (make(path, loader_workers=workers).split("train") for workers in (0, 2))

    def read(images, seed):
        return [torch.cat([pixels.flatten(), boxes.flatten()]) for pixels, boxes in images.batches(4, seed)]

    assert all(map(torch.equal, read(one, 5), read(two, 5)))
    assert not all(map(torch.equal, read(one, 5), read(one, 6)))


def test_pictures_are_not_turned_by_their_exif_orientation(tmp_path):
    """Annotations are of the pixels as they are stored."""
    path = write_coco(tmp_path, 10, splits=SPLITS)
    for file in (tmp_path / "images").iterdir():
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(file).save(file, exif=exif)
    for pixels, boxes in make(path).split("train").batches(8):
        assert all(colour_error(image, some[0]) < 1 for image, some in zip(pixels, boxes, strict=True))


def test_crowds_are_not_trained_on_and_are_in_the_truth(tmp_path):
    def crowded(file):
        file["annotations"][0]["iscrowd"] = 1

    path = write_coco(tmp_path, 10, crowded, splits=SPLITS)
    images, plain = make(path).split("train"), make(write_coco(tmp_path / "plain", 10, splits=SPLITS)).split("train")
    counts = [sum(int((boxes[..., 4] >= 0).sum()) for _, boxes in some.batches(8)) for some in (images, plain)]
    assert counts[0] == counts[1] - 1
    assert [item["iscrowd"] for item in images.truth()["annotations"]][:2] == [1, 0]


def test_an_image_without_boxes_is_used(tmp_path):
    def emptied(file):
        file["annotations"] = [item for item in file["annotations"] if item["image_id"] != 9]

    [(_, boxes)] = make(write_coco(tmp_path, 10, emptied, splits=SPLITS)).split("test").batches(2)
    assert (boxes[0, :, 4] == -1).all()
    assert boxes[1, 0, 4] >= 0


def test_a_pixel_outside_is_rounding_and_is_clipped(tmp_path):
    def moved(file):
        file["annotations"][0]["bbox"] = [-0.9, 0, 30, 48.8]

    images = make(write_coco(tmp_path, 10, moved, splits=SPLITS)).split("train")
    [(_, boxes)] = images.batches(8)
    assert boxes[0, 0, :4].tolist() == pytest.approx([0, 0, 29.1 / 64, 1])
    assert images.truth()["annotations"][0]["bbox"] == [-0.9, 0, 30, 48.8]  # as it is compared elsewhere


def test_an_annotation_of_id_0_gets_one_of_its_own(tmp_path):
    """COCO's evaluation takes id 0 for no annotation and counts its detection as a mistake."""

    def from_zero(file):
        for item in file["annotations"]:
            item["id"] -= 1

    images = make(write_coco(tmp_path, 10, from_zero, splits=SPLITS)).split("train")
    found = [item["id"] for item in images.truth()["annotations"]]
    assert found[0] > max(found[1:])
    assert found[1:4] == [1, 2, 3]


def spoil_picture(folder):
    (folder / "images" / "9.png").write_bytes((folder / "images" / "9.png").read_bytes()[:200])


def test_a_broken_picture_keeps_its_place_in_order(tmp_path, caplog):
    """So that detections stay those of their image; its boxes stay in the truth, as ones that are missed."""
    path = write_coco(tmp_path, 10, splits=SPLITS)
    spoil_picture(tmp_path)
    images = make(path, max_broken=0.1).split("test")
    with caplog.at_level(logging.WARNING):
        [(pixels, boxes)] = images.batches(8)
    assert images.image_ids == (9, 10)
    assert not pixels[0].any()
    assert (boxes[0, :, 4] == -1).all()
    assert colour_error(pixels[1], boxes[1, 0]) < 1
    assert [record.args[0] for record in caplog.records] == [str(tmp_path / "images" / "9.png")]
    assert {item["image_id"] for item in images.truth()["annotations"]} == {9, 10}
    with pytest.raises(SettingsError, match=r"1 of the 10 images.*max_broken = 0.01(.|\n)*9\.png"):
        list(make(path).split("test").batches(8))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_takes_full_batches_whatever_is_broken(tmp_path, workers):
    path = write_coco(tmp_path, 10, splits=("test",) * 2 + ("val",) * 2 + ("train",) * 6)
    spoil_picture(tmp_path)
    [(pixels, boxes)] = make(path, max_broken=0.1, loader_workers=workers).split("train").batches(6, seed=1)
    assert len(pixels) == len(boxes) == 6
    assert all(image.any() for image in pixels)
    assert (boxes[:, 0, 4] >= 0).all()


def test_a_picture_of_another_size_than_annotated_stops_or_is_left_out(tmp_path, caplog):
    """Its boxes would lie elsewhere. The size is seen when it is decoded."""
    path = write_coco(tmp_path, 10, splits=SPLITS)
    paint(tmp_path / "images" / "9.png", [], size=(48, 64))
    words = r"9\.png: its annotations are of 64 x 48 pixels, the picture as it is stored .* has 48 x 64; mend that"
    with pytest.raises(SettingsError, match=words):
        list(make(path, max_broken=1).split("test").batches(8))
    with caplog.at_level(logging.WARNING):
        [(pixels, _)] = make(path, on_fault="drop", max_broken=0.1).split("test").batches(8)
    assert not pixels[0].any()
    assert "48 x 64" in caplog.text


def test_jpegs_much_larger_than_the_resolution_are_checked_by_their_own_size(tmp_path):
    """They are decoded at a fraction of it."""
    boxes = [[(0, [100, 40, 300, 200])], [(1, [400, 200, 200, 100])], [(2, [10, 10, 100, 100])]]
    for number, some in enumerate(boxes, start=1):
        paint(tmp_path / f"{number}.png", some, size=(640, 480))
        Image.open(tmp_path / f"{number}.png").save(tmp_path / f"{number}.jpg", quality=95, subsampling=0)
    file = coco(boxes, ("train", "val", "test"), size=(640, 480))
    for image in file["images"]:
        image["file_name"] = image["file_name"].replace("png", "jpg")
    (tmp_path / "file.json").write_text(json.dumps(file))
    [(pixels, found)] = make(tmp_path / "file.json", resolution=64).split("train").batches(1)
    assert colour_extent(pixels[0], 0) == pytest.approx((found[0, 0, :4] * 64).tolist(), abs=1.5)


@pytest.mark.parametrize("option", [{"on_fault": "ignore"}, {"resolution": 0}, {"channels": 2}, {"validation": 0}])
def test_options_out_of_range_are_refused_by_name(tmp_path, option):
    with pytest.raises(SettingsError, match=next(iter(option))):
        make(tmp_path, **option)


def test_a_settings_table_makes_one(tmp_path):
    path = write_coco(tmp_path, 10, splits=SPLITS)
    made = registry.make("detection", "coco", {"annotations": str(path), "resolution": 32})
    assert made == CocoDataset(annotations=str(path), resolution=32)
    with pytest.raises(SettingsError, match="did you mean 'annotations'"):
        registry.make("detection", "coco", {"annotation": str(path)})


def test_pictures_are_found_beside_the_file_or_where_images_says(tmp_path):
    path = write_coco(tmp_path / "here", 10, splits=SPLITS, pictures=".")
    assert sizes(make(path)) == (5, 3, 8, 2)
    path.rename(tmp_path / "elsewhere.json")
    assert sizes(make(tmp_path / "elsewhere.json", images=tmp_path / "here")) == (5, 3, 8, 2)


def test_bccd_is_read_whole():
    """364 photographs, 4,886 boxes, in its own splits."""
    if not (BCCD / "annotations.json").is_file():
        pytest.skip(f"the photographs of BCCD are not at {BCCD}; MNAS_BCCD names another place")
    dataset = CocoDataset(annotations=BCCD / "annotations.json")
    assert sizes(dataset) == (205, 87, 292, 72)
    assert dataset.class_names == ("WBC", "RBC", "Platelets")
    assert not dataset.faults
    assert sum(len(dataset.split(part).truth()["annotations"]) for part in ("trainval", "test")) == 4886
    pixels, boxes = next(iter(dataset.split("train").batches(16, seed=1)))
    assert tuple(pixels.shape) == (16, 3, 320, 320)
    assert ((boxes[..., 4] >= 0).sum(1) > 0).all()
