"""What the experiments have in common when they write their pages and figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from mnas.errors import StopError

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
# Okabe and Ito's colours, which most people can tell apart.
BLUE, ORANGE, GREEN, PINK, SKY, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#555555"


def image_path(name: str) -> Path:
    """Where an experiment's figure lies."""
    return ROOT / "docs" / "images" / "experiments" / f"{name}.png"


def page_path(name: str) -> Path:
    """Where an experiment's page lies."""
    return ROOT / "docs" / "experiments" / f"{name}.md"


def plain_style() -> None:
    """Figures as in the rest of the documentation."""
    mpl.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})


def save_figure(figure: Figure, path: Path) -> None:
    """As a PNG."""
    path.parent.mkdir(exist_ok=True, parents=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def write_tables(page: Path, tables: str) -> None:
    """Put tables into a page of the documentation, between its two marks."""
    text = page.read_text(encoding="utf-8")
    if not 0 <= text.find(BEGIN) < text.find(END):
        raise StopError(f"{page} should have a line {BEGIN!r} and later a line {END!r}, between which tables go")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables.rstrip()}\n\n{end}{after}", encoding="utf-8")


def publish(name: str, tables: str, figure: Figure, results: Path, is_committed: bool) -> None:
    """The figure and the page of committed results; of others the figure alone, beside their CSV."""
    save_figure(figure, image_path(name) if is_committed else results.with_suffix(".png"))
    if is_committed:
        write_tables(page_path(name), tables)
