"""A run as Markdown: the page's figures in tables, and the front as a picture of letters."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader

from mnas.report._plain import plain_markdown
from mnas.report._text_picture import text_picture
from mnas.views import RunView, TrialTable

_MOST_CHOICES = 12  # that matter most
_MOST_FAILURES = 20  # the last ones


def render_markdown(view: RunView) -> str:
    """The report of a run as Markdown.

    Raises:
        StorageError: there is no run, or it is broken.
    """
    description, table, search = view.description(), view.trials(), view.search()
    environment = Environment(loader=PackageLoader("mnas.report"), trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        percent=lambda value: "" if value is None else f"{100 * value:.2f}",
        ms=lambda value: "" if value is None else f"{value:.4g}",
        count=lambda value: f"{value:,}",
    )
    environment.finalize = plain_markdown
    return environment.get_template("report.md.jinja").render(
        run=description,
        front=[view.network(number) for number in table.front],
        measured={row.trial: row for row in description.measured.rows} if description.measured else {},
        best=table.best,
        hypervolume=table.hypervolume,
        reference_point=table.reference_point,
        picture=text_picture(description, table),
        failures=_failures(table)[-_MOST_FAILURES:],
        importance=sorted(search.importance, key=_weight, reverse=True)[:_MOST_CHOICES],
        explained=search.explained,
        method=search.importance_method,
    )


def _failures(table: TrialTable) -> list[tuple[int, str | None]]:
    rows = zip(table.number, table.error, table.state, strict=True)
    return [(number, error) for number, error, state in rows if state == "FAILED"]


def _weight(row: Any) -> float:
    shares = [found.share for found in (row.accuracy, row.latency) if found is not None]
    return max(shares, default=0.0)
