"""What a person reads of a run or of a trained model: pages, pictures, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mnas.report._card import Candidate, Card, Origin
from mnas.report._files import page_files
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
    "export_report",
    "page_files",
    "render_card_html",
    "render_card_markdown",
    "render_html",
    "render_markdown",
    "write_card",
    "write_report",
]


def write_report(result: SearchResult) -> None:
    """Write report.html and front.png into the run folder, at the end of a search."""
    from mnas.report._report import write_report as write

    write(result)


def export_report(folder: Path, to: str, out: Path) -> None:
    """Write a run's report as "html", "pdf" or "md".

    Raises:
        SettingsError: an unknown format, no such folder to write to, or, for pdf, no browser to print with.
        StorageError: there is no run, it is broken, or the file could not be written.
    """
    from mnas.report._report import export_report as export

    export(folder, to, out)


def render_html(folder: Path) -> str:
    """A run as one page that needs nothing from elsewhere: the page of `mnas board`, as it stands now.

    Raises:
        StorageError: there is no run, or it is broken.
    """
    from mnas.report._report import render_html as render

    return render(folder)


def render_markdown(folder: Path) -> str:
    """A run as Markdown: the same figures, in tables.

    Raises:
        StorageError: there is no run, or it is broken.
    """
    from mnas.report._markdown import render_markdown as render
    from mnas.views import RunView

    return render(RunView(folder))


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
