"""card.html and card.md, from what is known of a trained model."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader

from mnas._whole_file import write_whole
from mnas.detection_scores import DetectionScores
from mnas.report._card import Card
from mnas.report._figures import MOST_DRAWN_CLASSES, confusion_figure, curve_figure, front_figure, svg
from mnas.report._plain import plain_markdown
from mnas.scores import Scores
from mnas.space import Architecture, count_by_block, count_madds, count_params, peak_activation_bytes, weight_bytes
from mnas.views import conditions, with_interval

if TYPE_CHECKING:
    from mnas.export import Exported, ExportedDetector

_FEW_MISTAKES, _MANY_MISTAKES = 10, 30  # beside a matrix, and in its place
_MOST_CLASSES = 100  # with a row of their own


def write_card(card: Card, folder: Path) -> None:
    """Write card.html and card.md into a folder.

    Raises:
        StorageError: they could not be written.
    """
    write_whole(folder / "card.html", render_card_html(card).encode())
    write_whole(folder / "card.md", render_card_markdown(card).encode())


def render_card_html(card: Card) -> str:
    """The card as one page that needs nothing from elsewhere; text from outside is escaped."""
    scores, measure = _classifier_scores(card), _measure(card)
    figures = {
        "front_svg": svg(front_figure(card.origin.result, card.origin.trial)) if card.origin else "",
        "curve_svg": svg(curve_figure(card.curve, measure)) if card.curve else "",
        "confusion_svg": svg(confusion_figure(scores)) if scores and _has_matrix(scores) else "",
        "examples": base64.b64encode(card.examples).decode() if card.examples else "",
    }
    return _environment(autoescape=True).get_template("card.html.jinja").render(**_facts(card), **figures)


def render_card_markdown(card: Card) -> str:
    """The card as Markdown: the same facts, in tables."""
    environment = _environment(autoescape=False)
    environment.finalize = plain_markdown
    return environment.get_template("card.md.jinja").render(**_facts(card))


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("mnas.report"), autoescape=autoescape, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[[Any], str]] = {
        "percent": lambda value: f"{100 * value:.2f}" if value is not None else "",
        "ms": lambda value: f"{value:.4g}" if value is not None else "",
        "count": lambda value: f"{value:,}",
        "mb": lambda value: f"{value / 1e6:.2f}",
        "allowed": _allowed,
        "with_interval": with_interval,
    }
    environment.filters.update(filters)
    return environment


def _allowed(export: Exported | ExportedDetector) -> str:
    """What the file was held to."""
    from mnas.export import ExportedDetector

    if isinstance(export, ExportedDetector):
        held = export.tolerance
        if export.precision == "int8":
            return f"{100 * held.int8_ap_loss:g} AP lost"
        differences = f"boxes {held.boxes_difference:.0e}, scores {held.scores_difference:.0e} off"
        return f"{differences}, {100 * held.agreement:g} % equal"
    tolerance = export.tolerance
    if export.precision == "fp32":
        return f"at most {tolerance.fp32_difference:.0e} off"
    return f"{100 * tolerance.int8_agreement:g} % equal, {100 * tolerance.int8_accuracy_loss:g} % lost"


def _facts(card: Card) -> dict[str, Any]:
    architecture, latency = card.architecture, card.latency
    return {
        "card": card,
        "main": card.main,
        "is_detector": card.architecture.is_detector,
        "measure": _measure(card),
        "rows": _rows(architecture),
        "params": count_params(architecture),
        "madds": count_madds(architecture),
        "weight_bytes": weight_bytes(architecture),
        "activation_bytes": peak_activation_bytes(architecture),
        "conditions": conditions(latency.environment) if latency else {},
        "classes": _classes(card)[:_MOST_CLASSES],
        "mistakes": _mistakes(card),
    }


def _rows(architecture: Architecture) -> list[tuple[str, int, int, int]]:
    """Each row of the network: its block string, output pixels, parameters and MAdds."""
    return [
        (text, rows[-1].resolution, sum(row.params for row in rows), sum(row.madds for row in rows))
        for _, text, rows in count_by_block(architecture)
    ]


def _measure(card: Card) -> str:
    """What is said of how good the model is."""
    return "AP" if card.architecture.is_detector else "accuracy"


def _classifier_scores(card: Card) -> Scores | None:
    """The main ones, where the model is a classifier that was scored."""
    scores = card.main[1] if card.main else None
    return scores if isinstance(scores, Scores) else None


def _has_matrix(scores: Scores) -> bool:
    return 0 < len(scores.confusion) <= MOST_DRAWN_CLASSES


def _mistakes(card: Card) -> list[tuple[str, str, int, float]]:
    """True class, given class, how often, and the share of the true class; more of them where no matrix is drawn."""
    scores = _classifier_scores(card)
    if scores is None:
        return []
    images = {row.name: row.images for row in scores.classes}
    most = _FEW_MISTAKES if _has_matrix(scores) else _MANY_MISTAKES
    return [(truth, given, count, count / max(images[truth], 1)) for truth, given, count in scores.confused(most)]


def _classes(card: Card) -> list[Any]:
    """The classes' scores, the least well recognized first; last those of which there was none to recognize."""
    if card.main is None:
        return []
    scores = card.main[1]
    if isinstance(scores, DetectionScores):
        return sorted(scores.classes, key=lambda row: (row.ap is None, row.ap or 0.0))
    return sorted(scores.classes, key=lambda row: row.f1)
