"""The reports of a run: report.html and front.png at its end, and what `mnas report` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mnas._whole_file import write_whole
from mnas.errors import did_you_mean
from mnas.report._answers import answers_of
from mnas.report._figures import front_figure
from mnas.report._markdown import render_markdown
from mnas.report._page import whole_page
from mnas.report._pdf import print_pdf
from mnas.result import SearchResult
from mnas.views import RunView

FORMATS = ("html", "pdf", "md")


def write_report(result: SearchResult) -> None:
    """Write report.html and front.png into the run folder, at the end of a search."""
    front_figure(result).savefig(result.folder / "front.png", dpi=150)
    page = whole_page(answers_of(RunView(result.folder), result.notes, is_over=True))
    write_whole(result.folder / "report.html", page.encode())


def render_html(folder: Path) -> str:
    """A run as one page that needs nothing from elsewhere; text from the run is never code.

    Raises:
        StorageError: there is no run, or it is broken.
    """
    return whole_page(answers_of(RunView(folder)))


def export_report(folder: Path, to: str, out: Path) -> None:
    """Write a run's report as "html", "pdf" or "md".

    Raises:
        SettingsError: an unknown format, no such folder to write to, or, for pdf, no browser to print with.
        StorageError: there is no run, it is broken, or the file could not be written.
    """
    renderings: dict[str, Callable[[], bytes]] = {
        "html": lambda: render_html(folder).encode(),
        "pdf": lambda: print_pdf(render_html(folder)),
        "md": lambda: render_markdown(RunView(folder)).encode(),
    }
    if to not in renderings:
        raise did_you_mean("format of a report", to, FORMATS)
    write_whole(out, renderings[to]())
