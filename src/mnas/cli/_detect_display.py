"""How detectors, their scores and what they find look on a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from mnas.cli import _console
from mnas.cli._model_display import export_document, print_files, print_trained
from mnas.detection_scores import DetectionScores
from mnas.views import with_interval

if TYPE_CHECKING:
    from mnas.export import ExportedDetector
    from mnas.model_folder import ModelFolder
    from mnas.models import Detections

_METRICS = (
    ("AP", "ap"), ("AP50", "ap50"), ("AP75", "ap75"), ("AP small", "ap_small"), ("AP medium", "ap_medium"),
    ("AP large", "ap_large"), ("AR 1", "ar_1"), ("AR 10", "ar_10"), ("AR 100", "ar_100"), ("AR small", "ar_small"),
    ("AR medium", "ar_medium"), ("AR large", "ar_large"),
)  # fmt: skip


def print_detector(model: ModelFolder, was_finished: bool, as_json: bool) -> None:
    """A trained detector: where it lies and how good it is."""
    path, scores = model.path, model.detection_scores()
    lines = [
        *(summary(part, row) for part, row in scores.items()),
        f"model: {model.model_file}, card: {path / 'card.html'}",
        f"go on with: mnas detect evaluate {path} --split test; mnas export {path}",
    ]
    print_trained(model, scores, lines, was_finished, as_json)


def print_detection_scores(folder: Path, part: str, scores: DetectionScores, as_json: bool) -> None:
    """COCO's twelve numbers, and a row per class."""
    if as_json:
        _console.print_json({"model": str(folder), "split": part, **scores.to_dict()})
        return
    out = _console.out()
    out.print(summary(part, scores))
    table = Table("metric", "%")
    for label, name in _METRICS:
        table.add_row(label, _percent(getattr(scores, name)))
    out.print(table, markup=False)
    table = Table("class", "images", "boxes", "AP %", "AP50 %")
    for row in scores.classes:
        table.add_row(row.name, f"{row.images:,}", f"{row.boxes:,}", _percent(row.ap), _percent(row.ap50))
    out.print(table, markup=False)


def print_detector_exports(folder: Path, exports: Sequence[ExportedDetector], as_json: bool) -> None:
    """Files that were written, and how they compare with the detector."""
    if as_json:
        _console.print_json({"model": str(folder), "exports": [export_document(row) for row in exports]})
        return
    print_files(exports_table(exports), exports)


def exports_table(exports: Sequence[ExportedDetector]) -> Table:
    """A row per file."""
    columns = ("file", "MB", "suppression", "boxes off by", "scores off by", "equal detections %", "AP %", "torch %")
    table = Table(*columns, "images", "latency ms")
    for row in exports:
        inside = "left to postprocess.py" if row.nms_above is None else f"inside, above {row.nms_above:g}"
        differences = (f"{value:.2g}" for value in (row.boxes_difference, row.scores_difference))
        percents = (_percent(value) for value in (row.agreement, row.ap, row.torch_ap))
        figures = (inside, *differences, *percents, f"{row.images:,}", with_interval(row.latency))
        table.add_row(row.path.name, f"{row.bytes / 1e6:.2f}", *figures)
    return table


def print_detections(
    picture: Path,
    size: tuple[int, int],
    found: Detections,
    class_names: tuple[str, ...],
    out: Path | None,
    json: bool,
) -> None:
    """A row per box, in pixels of the picture."""
    width, height = size
    rows = [
        {"class": class_names[number], "score": score, "box": [x1 * width, y1 * height, x2 * width, y2 * height]}
        for (x1, y1, x2, y2), score, number in zip(
            found.boxes.tolist(), found.scores.tolist(), found.classes.tolist(), strict=True
        )
    ]
    if json:
        _console.print_json({"picture": str(picture), "drawn": str(out) if out else None, "boxes": rows})
        return
    table = Table("class", "score", "left", "top", "right", "bottom")
    for row in rows:
        table.add_row(row["class"], f"{row['score']:.3f}", *(f"{side:.0f}" for side in row["box"]))
    console = _console.out()
    console.print(table, markup=False)
    if out is not None:
        console.print(f"drawn: {out}", markup=False)


def summary(part: str, scores: DetectionScores) -> str:
    """A detector's scores of a split in a line."""
    return f"{part}: AP {_percent(scores.ap)} %, AP50 {_percent(scores.ap50)} % on {scores.images:,} images"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
