"""Pascal VOC's folders: sets, corners, difficult objects, and what is wrong with some."""

from __future__ import annotations

import pytest
from boxed_files import colour_error, colour_extent, made_boxes, voc_xml, write_voc

from mnas import registry
from mnas.datasets import VocDataset
from mnas.errors import SettingsError

PARTS = ("train", "validation", "trainval", "test")
COUNTS = {"train": 6, "val": 3, "test": 3}


def make(path, **options):
    return VocDataset(path=path, **{"resolution": 64, **options})


def sizes(dataset):
    return tuple(len(dataset.split(part)) for part in PARTS)


def xml(folder, number):
    return folder / "Annotations" / f"2007_{number:06}.xml"


def test_the_sets_are_the_splits(tmp_path):
    dataset = make(write_voc(tmp_path, COUNTS))
    assert sizes(dataset) == (6, 3, 9, 3)
    assert dataset.class_names == ("blue", "green", "red")
    assert dataset.name == tmp_path.name
    assert dataset.split("test").image_ids == (10, 11, 12)
    assert dataset.split("test").truth()["images"][0]["file_name"] == "2007_000009.png"


def test_of_train_and_val_alone_val_is_the_test_split(tmp_path):
    assert sizes(make(write_voc(tmp_path, {"train": 8, "val": 3}), validation=0.25)) == (6, 2, 8, 3)


def test_corners_count_from_one_and_their_last_pixel_is_inside(tmp_path):
    """So that boxes are, to the pixel, what is painted."""
    dataset = make(write_voc(tmp_path, COUNTS), classes=["red", "green", "blue"])
    expected = [box for some in made_boxes(12)[:6] for _, box in some]
    assert [item["bbox"] for item in dataset.split("train").truth()["annotations"]] == expected
    for pixels, boxes in dataset.split("train").batches(8):
        for image, some in zip(pixels, boxes, strict=True):
            for box in some[some[:, 4] >= 0]:
                assert colour_error(image, box) < 1
                assert colour_extent(image, int(box[4])) == pytest.approx((box[:4] * 64).tolist(), abs=1)


def test_classes_in_the_order_given(tmp_path):
    dataset = make(write_voc(tmp_path, COUNTS), classes=["red", "green", "blue"])
    assert dataset.class_names == ("red", "green", "blue")
    assert dataset == make(tmp_path, classes=("red", "green", "blue"))
    with pytest.raises(SettingsError, match="different names, at least one"):
        make(tmp_path, classes=["red", "red"])


def test_difficult_objects_are_not_trained_on_and_are_ignored_in_the_truth(tmp_path):
    write_voc(tmp_path, COUNTS)
    boxes = [(0, [2, 2, 10, 10]), (2, [45, 20, 12, 12])]
    xml(tmp_path, 0).write_text(voc_xml(boxes, difficult=(0,)))
    images = make(tmp_path).split("train")
    [(_, found)] = images.batches(8)
    assert found[0, 0].tolist() == pytest.approx([45 / 64, 20 / 48, 57 / 64, 32 / 48, 0])
    assert (found[0, 1:, 4] == -1).all()
    first = [item for item in images.truth()["annotations"] if item["image_id"] == 1]
    assert [(item["iscrowd"], item["ignore"], item["area"]) for item in first] == [(1, 1, 100), (0, 0, 144)]


def test_annotations_are_numbered_through(tmp_path):
    truth = make(write_voc(tmp_path, COUNTS)).split("trainval").truth()
    assert [item["id"] for item in truth["annotations"]] == list(range(1, len(truth["annotations"]) + 1))


def spoil(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def cut(folder):
    xml(folder, 1).write_text(xml(folder, 1).read_text()[:-30])


def rename_class(folder):
    for colour in ("red", "green", "blue"):
        spoil(xml(folder, 1), f"<name>{colour}</name>", "<name>grey</name>")


BAD = {
    "unreadable annotations": (cut, "image 2007_000001: it is cut short or not XML"),
    "missing picture": (
        lambda folder: (folder / "JPEGImages" / "2007_000001.png").unlink(),
        r"no picture .*_000001\.jpg",
    ),
    "wrong image size": (lambda folder: spoil(xml(folder, 1), "<width>64", "<width>wide"), "got 'wide' x 48"),
    "wrong box": (lambda folder: spoil(xml(folder, 1), "<xmin>", "<xmin>x"), r"annotation 1: .*four finite numbers"),
    "no area": (lambda folder: spoil(xml(folder, 1), "<xmax>", "<xmax>-"), r"annotation 1: .*at least 0.01 pixels"),
    "box outside": (lambda folder: spoil(xml(folder, 1), "<ymax>", "<ymax>9"), r"annotation 1: .*pixels out of 2007"),
    "unknown category": (rename_class, r"annotation 1: .*one of red, green, blue, got 'grey'"),
    "duplicate image id": (
        lambda folder: (folder / "ImageSets/Main/val.txt").write_text("2007_000001\n2007_000007\n"),
        r"val\.txt: image 2007_000001: an image should be in one set, once",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_stops_with_its_file_and_number_or_is_dropped(tmp_path, kind):
    spoiled, words = BAD[kind]
    write_voc(tmp_path, COUNTS)
    spoiled(tmp_path)
    dataset = make(tmp_path, classes=["red", "green", "blue"])
    with pytest.raises(SettingsError, match=rf"\d x {kind}(.|\n)*{words}"):
        dataset.split("train")
    [fault] = dataset.faults[:1]
    assert fault.kind == kind
    images = make(tmp_path, classes=["red", "green", "blue"], on_fault="drop").split("trainval")
    gone = {"unreadable annotations", "missing picture", "wrong image size"}
    assert (2 in images.image_ids) == (kind not in gone)


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot be read"), ("<html/>", "should be annotation, it is html"), ("", "cut short or not XML")],
)
def test_an_annotation_file_of_another_kind_is_a_fault(tmp_path, text, words):
    write_voc(tmp_path, COUNTS)
    xml(tmp_path, 1).unlink() if text is None else xml(tmp_path, 1).write_text(text)
    [fault] = make(tmp_path).faults
    assert words in str(fault)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("JPEGImages", "JPEGImages is not there; expected are JPEGImages/"),
        ("Annotations", "Annotations is not there"),
        ("ImageSets/Main/train.txt", "has val.txt, test.txt; expected are"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path, missing, words):
    write_voc(tmp_path, COUNTS)
    (tmp_path / missing).rename(tmp_path / "away")
    with pytest.raises(SettingsError, match=words):
        make(tmp_path).split("train")
    with pytest.raises(SettingsError, match="absent is not there"):
        make(tmp_path / "absent").split("train")


def test_a_settings_table_makes_one(tmp_path):
    write_voc(tmp_path, COUNTS)
    made = registry.make("detection", "voc", {"path": str(tmp_path), "classes": ["red", "green", "blue"]})
    assert len(made.split("train")) == 6
