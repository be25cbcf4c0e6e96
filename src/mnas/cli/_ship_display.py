"""How what was shipped looks on a terminal, and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.table import Table

from mnas.cli import _console, _detect_display, _model_display
from mnas.detection_scores import DetectionScores

if TYPE_CHECKING:
    from mnas.ship import Shipped


def print_shipped(shipped: Shipped, as_json: bool) -> None:
    """What was shipped, and among which it was chosen."""
    if as_json:
        _console.print_json(
            {
                "model": str(shipped.model.path),
                "architecture": str(shipped.model.settings().architecture),
                "test": shipped.scores.to_dict(),
                "latency_ms": shipped.latency.latency_ms,
                "latency_ci_ms": [shipped.latency.low_ms, shipped.latency.high_ms],
                "device": shipped.latency.device,
                "candidates": [asdict(candidate) for candidate in shipped.candidates],
                "exports": [_model_display.export_document(row) for row in shipped.exports],
            }
        )
        return
    out = _console.out()
    out.print(_candidates(shipped), markup=False)
    out.print(_test(shipped))
    _model_display.print_files(_files(shipped), shipped.exports)
    out.print(f"model: {shipped.model.path}, card: {shipped.model.path / 'card.html'}", markup=False)


def _candidates(shipped: Shipped) -> Table:
    measure = "AP" if isinstance(shipped.scores, DetectionScores) else "accuracy"
    table = Table("network", f"validation {measure} %", "latency ms", "95 % interval", "")
    for one in shipped.candidates:
        accuracy = "" if one.accuracy is None else f"{100 * one.accuracy:.2f}"
        interval = f"{one.latency.low_ms:.4g} - {one.latency.high_ms:.4g}"
        note = "chosen" if one.is_chosen else one.note
        table.add_row(one.label, accuracy, f"{one.latency.latency_ms:.4g}", interval, note)
    return table


def _test(shipped: Shipped) -> str:
    scores = shipped.scores
    if isinstance(scores, DetectionScores):
        return _detect_display.summary("test", scores)
    return _model_display.summary("test", scores)


def _files(shipped: Shipped) -> Table:
    from mnas.export import Exported, ExportedDetector

    if isinstance(shipped.scores, DetectionScores):
        return _detect_display.exports_table([row for row in shipped.exports if isinstance(row, ExportedDetector)])
    return _model_display.exports_table([row for row in shipped.exports if isinstance(row, Exported)])
