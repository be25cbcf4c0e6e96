"""What a person reads after a search: one page, one picture."""

from __future__ import annotations

from mnas.report._verdict import dominance, verdict
from mnas.result import SearchResult

__all__ = ["dominance", "render_html", "verdict", "write_report"]


def write_report(result: SearchResult) -> None:
    """Write report.html and front.png into the run folder."""
    from mnas.report._report import write_report as write  # matplotlib takes a second to import

    write(result)


def render_html(result: SearchResult) -> str:
    """The report as one self-contained HTML page."""
    from mnas.report._report import render_html as render

    return render(result)
