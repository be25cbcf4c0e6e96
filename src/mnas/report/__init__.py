"""What a person reads of a run or of a trained model: pages, pictures, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnas.report._card import Candidate, Card, Origin
from mnas.result import SearchResult

if TYPE_CHECKING:
    from PIL.Image import Image

    from mnas.models import Detections

# What draws is imported when it is called: matplotlib takes a second.
__all__ = [
    "Candidate",
    "Card",
    "Origin",
    "draw_boxes",
    "page_files",
    "render_card_html",
    "render_card_markdown",
    "render_html",
    "write_card",
    "write_report",
]


def write_report(result: SearchResult) -> None:
    """Write report.html and front.png into the run folder."""
    from mnas.report._report import write_report as write

    write(result)


def render_html(result: SearchResult) -> str:
    """The report as one self-contained HTML page."""
    from mnas.report._report import render_html as render

    return render(result)


def write_card(card: Card, folder: Path) -> None:
    """Write card.html and card.md into a folder.

    Raises:
        StorageError: they could not be written.
    """
    from mnas.report._card_page import write_card as write

    write(card, folder)


def render_card_html(card: Card) -> str:
    """The card of a trained model as one self-contained HTML page."""
    from mnas.report._card_page import render_card_html as render

    return render(card)


def render_card_markdown(card: Card) -> str:
    """The card of a trained model as Markdown."""
    from mnas.report._card_page import render_card_markdown as render

    return render(card)


def draw_boxes(image: Image, detections: Detections, class_names: Sequence[str], least_score: float = 0.3) -> Image:
    """A copy of a picture with the boxes that score enough, each labelled with class and score.

    Raises:
        SettingsError: a detected class has no name.
    """
    from mnas.report._boxes import draw_boxes as draw

    return draw(image, detections, class_names, least_score)


def page_files() -> dict[str, bytes]:
    """The files of the page, by name; `mnas board` serves them, and a report has them all in one."""
    from importlib.resources import files

    return {entry.name: entry.read_bytes() for entry in (files("mnas.report") / "page").iterdir() if entry.is_file()}
