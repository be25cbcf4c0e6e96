"""Pictures with boxes in COCO's and VOC's layouts, made for tests: each box is painted in its class's colour."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = ((250, 20, 20), (20, 250, 20), (20, 20, 250))
NAMES = ("red", "green", "blue")
Files = dict[str, Any]


def made_boxes(images: int, seed: int = 0, size: tuple[int, int] = (64, 48)) -> list[list[tuple[int, list[int]]]]:
    """Per image one to three boxes that lie apart: class index, and x, y, width, height in pixels."""
    generator = np.random.default_rng(seed)
    width, height = size
    found = []
    for _ in range(images):
        thirds = generator.permutation(3)[: generator.integers(1, 4)]
        boxes = []
        for third in sorted(thirds.tolist()):
            wide, high = generator.integers(8, width // 3 - 2), generator.integers(8, height - 4)
            left = third * width // 3 + generator.integers(0, width // 3 - wide)
            boxes.append((third, [int(left), int(generator.integers(0, height - high)), int(wide), int(high)]))
        found.append(boxes)
    return found


def paint(
    path: Path, boxes: Sequence[tuple[int, Sequence[float]]], size: tuple[int, int] = (64, 48), noise: int = 0
) -> None:
    """A dark picture, different by `noise`, with the boxes filled."""
    width, height = size
    pixels = np.random.default_rng(noise).integers(0, 60, (height, width, 3), dtype=np.uint8)
    for index, (x, y, wide, high) in boxes:
        pixels[int(y) : int(y + high), int(x) : int(x + wide)] = COLOURS[index]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def coco(
    boxes: Sequence[Sequence[tuple[int, Sequence[float]]]],
    splits: Sequence[str] = (),
    size: tuple[int, int] = (64, 48),
    ids: Sequence[int] = (10, 20, 30),
) -> Files:
    """A COCO file of these boxes, whose category ids have gaps; image 1 is 1.png."""
    images = [
        {"id": number, "file_name": f"{number}.png", "width": size[0], "height": size[1]}
        for number, _ in enumerate(boxes, start=1)
    ]
    for image, split in zip(images, splits, strict=False):
        image["split"] = split
    flat = [(number, index, box) for number, some in enumerate(boxes, start=1) for index, box in some]
    annotations = [
        {
            "id": row,
            "image_id": number,
            "category_id": ids[index],
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
        }
        for row, (number, index, box) in enumerate(flat, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in zip(ids, NAMES, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(
    folder: Path,
    images: int = 40,
    change: Callable[[Files], Any] = lambda file: None,
    splits: Sequence[str] = (),
    seed: int = 0,
    file: str = "annotations.json",
    pictures: str = "images",
) -> Path:
    """Pictures and their file, changed before it is written; its path."""
    boxes = made_boxes(images, seed)
    for number, some in enumerate(boxes, start=1):
        paint(folder / pictures / f"{number}.png", some, noise=1000 * seed + number)
    data = coco(boxes, splits)
    changed = change(data)
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data if changed is None else changed), encoding="utf-8")
    return path


def voc_xml(
    boxes: Sequence[tuple[int, Sequence[float]]], size: tuple[int, int] = (64, 48), difficult: Sequence[int] = ()
) -> str:
    """A VOC file: corners counted from 1, the last pixels inside."""
    objects = "".join(
        f"<object><name>{NAMES[index]}</name><difficult>{int(number in difficult)}</difficult><bndbox>"
        f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + wide}</xmax><ymax>{y + high}</ymax></bndbox></object>"
        for number, (index, (x, y, wide, high)) in enumerate(boxes)
    )
    return f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size>{objects}</annotation>"


def write_voc(folder: Path, counts: Mapping[str, int], seed: int = 0) -> Path:
    """A VOC folder with so many images in each set."""
    boxes = iter(made_boxes(sum(counts.values()), seed))
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    number = 0
    for word, count in counts.items():
        names = []
        for _ in range(count):
            some, name = next(boxes), f"2007_{number:06}"
            paint(folder / "JPEGImages" / f"{name}.png", some, noise=number)
            (folder / "Annotations" / f"{name}.xml").write_text(voc_xml(some), encoding="utf-8")
            names.append(name)
            number += 1
        (folder / "ImageSets" / "Main" / f"{word}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")
    return folder


def colour_error(pixels: Any, box: Sequence[float]) -> float:
    """How far the pixels well inside a box are from its class's colour, at most; 0 where it has none inside."""
    side = pixels.shape[-1]
    x1, y1, x2, y2 = (round(float(value) * side) for value in box[:4])
    inside = pixels[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].double()
    if not inside.numel():
        return 0.0
    colour = COLOURS[int(box[4])]
    return max(float((inside[channel] - colour[channel]).abs().max()) for channel in range(3))


def colour_extent(pixels: Any, index: int) -> list[int]:
    """Where a class's colour begins and ends in an image: x1, y1, x2, y2 in pixels."""
    others = [channel for channel in range(3) if channel != index]
    mask = (pixels[index] > 140) & (pixels[others] < 130).all(0)
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
