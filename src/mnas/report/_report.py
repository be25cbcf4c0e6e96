"""report.html and front.png, from a result."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader

from mnas.report._figures import front_figure, latency_figure, progress_figure, svg
from mnas.result import SearchResult, part_names
from mnas.trial import TrialState
from mnas.views import dominance, verdict

_MOST_ROWS = 2000  # of the table of trials; all of them are in trials.sqlite


def write_report(result: SearchResult) -> None:
    """Write report.html and front.png into the run folder."""
    front = front_figure(result)
    front.savefig(result.folder / "front.png", dpi=150)
    (result.folder / "report.html").write_text(render_html(result), encoding="utf-8")


def render_html(result: SearchResult) -> str:
    """The report as one page that needs nothing from elsewhere; text from the run is escaped."""
    environment = Environment(loader=PackageLoader("mnas.report"), autoescape=True, trim_blocks=True)
    environment.filters["percent"] = lambda value: f"{100 * value:.2f}" if value is not None else ""
    environment.filters["ms"] = lambda value: f"{value:.4g}" if value is not None else ""
    rows = [trial for trial in result.trials if trial.state is not TrialState.COMPLETE or not trial.cached]
    return environment.get_template("report.html.jinja").render(
        result=result,
        front_svg=svg(front_figure(result)),
        progress_svg=svg(progress_figure(result)),
        latency_svg=svg(latency_figure(result)),
        verdict=verdict(result.finals),
        dominance=dominance(result.comparisons),
        parts=part_names(result.front),
        has_energy=any(trial.measurement.energy for trial in result.front),
        rows=rows[:_MOST_ROWS],
        left_out=max(0, len(rows) - _MOST_ROWS),
    )
