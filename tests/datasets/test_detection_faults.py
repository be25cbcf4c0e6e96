"""COCO files with every kind of bad annotation, and files that cannot be used at all."""

from __future__ import annotations

import pytest
from boxed_files import write_coco

from mnas.datasets import CocoDataset
from mnas.errors import SettingsError

PARTS = ("train", "validation", "trainval", "test")
SPLITS = ("train",) * 5 + ("val",) * 3 + ("test",) * 2


def make(path, **options):
    return CocoDataset(annotations=path, **{"resolution": 64, **options})


def sizes(dataset):
    return tuple(len(dataset.split(part)) for part in PARTS)


def set_box(box):
    return lambda file: file["annotations"][2].update(bbox=box)


BAD_ANNOTATIONS = {
    "box outside": (
        set_box([40, 10, 30, 20]),
        r"40, 10, 30, 20 \(x, y, width, height\) reaches 6 pixels out of 2?\d.png",
    ),
    "no area": (set_box([4, 4, 0, 9]), "at least 0.01 pixels wide and high"),
    "wrong box": (
        set_box([4, 4, float("nan"), 9]),
        r"four finite numbers \(x, y, width, height\), got \[4, 4, nan, 9\]",
    ),
    "wrong area": (lambda file: file["annotations"][2].update(area=-1), "not negative, got -1"),
    "unknown category": (lambda file: file["annotations"][2].update(category_id=7), "one of 10, 20, 30, got 7"),
    "unknown image": (lambda file: file["annotations"][2].update(image_id=99), "one of the images, got 99"),
    "duplicate annotation id": (
        lambda file: file["annotations"].insert(3, dict(file["annotations"][2])),
        "a second annotation has its id",
    ),
}


@pytest.mark.parametrize("kind", BAD_ANNOTATIONS)
def test_a_bad_annotation_stops_with_its_file_and_id_or_is_dropped(tmp_path, kind):
    change, words = BAD_ANNOTATIONS[kind]
    path = write_coco(tmp_path, 10, change, splits=SPLITS)
    whole = write_coco(tmp_path / "whole", 10, splits=SPLITS)
    with pytest.raises(
        SettingsError, match=rf"1 fault \(1 x {kind}\):\n  .*annotations\.json: annotation 3: .*{words}"
    ):
        make(path).split("train")
    dropped = make(path, on_fault="drop")
    assert [(fault.kind, fault.file, fault.item, fault.id) for fault in dropped.faults] == [
        (kind, str(path), "annotation", 3)
    ]
    left = 0 if kind == "duplicate annotation id" else 1
    boxes = [len(some.split("train").truth()["annotations"]) for some in (dropped, make(whole))]
    assert boxes[0] == boxes[1] - left
    assert sizes(dropped) == sizes(make(whole))


@pytest.mark.parametrize(
    "box",
    [None, [1, 2, 3], "1234", [1, 2, "3", 4], [1, 2, True, 4], [1, 2, float("inf"), 4], [1, 2, 10**400, 4], {"x": 1}],
)
def test_what_is_not_four_finite_numbers_is_no_box(tmp_path, box):
    assert [fault.kind for fault in make(write_coco(tmp_path, 10, set_box(box))).faults] == ["wrong box"]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([4, 4, 9, -2], "no area"),
        ([4, 4, 1e-7, 9], "no area"),
        ([63.995, 4, 0.9, 9], "box outside"),
        ([-0.5, 4, 0.5, 9], "box outside"),
        ([4, 4, 9, 46], "box outside"),
    ],
)
def test_boxes_of_which_nothing_is_left_are_faults(tmp_path, box, kind):
    """Also where they are within a pixel of their image."""
    assert [fault.kind for fault in make(write_coco(tmp_path, 10, set_box(box))).faults] == [kind]


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("id", "a", "wrong id"),
        ("id", None, "wrong id"),
        ("id", 1.5, "wrong id"),
        ("id", 2**63, "wrong id"),
        ("id", 1e300, "wrong id"),
        ("category_id", [1], "unknown category"),
        ("image_id", "1", "unknown image"),
        ("area", "big", "wrong area"),
    ],
)
def test_values_of_another_kind_are_faults(tmp_path, key, value, kind):
    path = write_coco(tmp_path, 10, lambda file: file["annotations"][2].update({key: value}))
    [fault] = make(path).faults
    assert fault.kind == kind
    assert fault.id == ("number 3" if key == "id" else 3)
    assert sum(sizes(make(path, on_fault="drop"))[2:]) == 10


BAD_IMAGES = {
    "missing picture": ({"file_name": "gone.png"}, r"there is no picture .*gone\.png"),
    "wrong image size": ({"width": 0}, "whole numbers above zero, got 0 x 48"),
    "duplicate image id": ({"id": 1}, r"a second image, 2\.png, has its id"),
    "unknown split": ({"split": "dev"}, "one of train, training, val, .*got 'dev'"),
    "wrong id": ({"id": "two"}, "an image's id should be a whole number, got 'two'"),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_stops_with_its_file_and_id_or_is_dropped_with_its_boxes(tmp_path, kind):
    values, words = BAD_IMAGES[kind]
    path = write_coco(tmp_path, 10, lambda file: file["images"][1].update(values), splits=SPLITS)
    with pytest.raises(SettingsError, match=rf"1 x {kind}.*\n  .*annotations\.json: image (1|2|number 2): .*{words}"):
        make(path).split("train")
    images = make(path, on_fault="drop").split("train")
    assert images.image_ids == (1, 3, 4, 5)
    assert {item["image_id"] for item in images.truth()["annotations"]} == {1, 3, 4, 5}


def test_all_faults_are_counted_and_the_first_ones_named(tmp_path):
    def spoil(file):
        for item in file["annotations"][:12]:
            item["bbox"][0] = 500
        file["annotations"][12]["category_id"] = 5

    path = write_coco(tmp_path, 40, spoil)
    with pytest.raises(SettingsError) as caught:
        make(path).split("train")
    message = str(caught.value)
    assert "13 faults (12 x box outside, 1 x unknown category), here the first 10:" in message
    assert message.count("annotations.json: annotation") == 10
    assert 'on_fault = "drop"' in message
    assert len(make(path).faults) == 13  # readable although they stop


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [{"id": 1, "file', "is cut short or not JSON"),
        ("", "is cut short or not JSON"),
        ('[{"image_id": 1, "score": 0.5}]', "holds detections"),
        ("[1, 2]", "holds a list; a COCO file is one JSON object"),
        ('{"images": [], "annotations": []}', "has no categories; a COCO file is"),
        ('{"images": {}, "annotations": [], "categories": []}', "images that are no list of objects"),
        ('{"images": [], "annotations": [3], "categories": []}', "annotations that are no list of objects"),
        ('{"images": [], "annotations": [], "categories": []}', "should have categories.*it has none"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, words):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(SettingsError, match=words):
        make(tmp_path / "file.json", on_fault="drop").split("train")


def test_a_file_that_is_no_text_or_not_there_is_refused(tmp_path):
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(SettingsError, match="cut short or not JSON"):
        make(tmp_path / "binary.json").split("train")
    with pytest.raises(SettingsError, match=r"no annotation file .*absent\.json; a COCO file is"):
        make(tmp_path / "absent.json").split("train")
    with pytest.raises(SettingsError, match=r"folder of pictures .*absent is not there"):
        make(tmp_path / "binary.json", images=tmp_path / "absent").split("train")


@pytest.mark.parametrize(
    "categories",
    [
        [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}],
        [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}],
        [{"id": "1", "name": "a"}],
        [{"id": 1}],
    ],
)
def test_categories_without_an_id_and_name_of_their_own_are_refused(tmp_path, categories):
    path = write_coco(tmp_path, 10, lambda file: {**file, "categories": categories})
    with pytest.raises(SettingsError, match="whole number as id and a name, no two alike; it has"):
        make(path, on_fault="drop").split("train")


@pytest.mark.parametrize(("key", "words"), [("images", "has no images"), ("annotations", "has no boxes")])
def test_a_file_without_images_or_boxes_is_refused(tmp_path, key, words):
    path = write_coco(tmp_path, 10, lambda file: {**file, key: []})
    with pytest.raises(SettingsError, match=words):
        make(path, on_fault="drop").split("train")


def test_splits_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="it has validation, test"):
        make(write_coco(tmp_path / "none", 10, splits=("val",) * 5 + ("test",) * 5)).split("train")
    with pytest.raises(SettingsError, match=r"it has train, all \(all: in no split\)"):
        make(write_coco(tmp_path / "some", 10, splits=("train",) * 5)).split("train")
    with pytest.raises(SettingsError, match=r"0\.01 of 10 images cannot be held out"):
        make(write_coco(tmp_path / "few", 10), test=0.01).split("train")

    def emptied(file):
        file["annotations"] = [item for item in file["annotations"] if item["image_id"] < 9]

    with pytest.raises(SettingsError, match="the test split has 2 images and no boxes"):
        make(write_coco(tmp_path / "empty", 10, emptied, splits=SPLITS)).split("train")
