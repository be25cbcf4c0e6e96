"""The front as a picture of letters."""

from __future__ import annotations

from collections.abc import Iterable

from mnas.views import RunDescription, TrialTable

_COLUMNS, _ROWS = 72, 20


def text_picture(description: RunDescription, table: TrialTable) -> str:
    """Accuracy over latency: `.` a network, `o` one on the front, `*` the best, `R` a reference, `:` the target.

    Empty where nothing was evaluated.
    """
    trials = list(_points(table))
    if not trials:
        return ""
    references = [(one.latency_ms, one.accuracy, "R") for one in description.references]
    target = description.target_ms
    xs = [x for x, _, _ in trials + references] + ([target] if target else [])
    ys = [y for _, y, _ in trials + references]
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    if target:
        for row in grid:
            row[_place(target, low_x, high_x, _COLUMNS)] = ":"
    for x, y, mark in sorted(trials + references, key=lambda point: ".oR*".index(point[2])):
        grid[_ROWS - 1 - _place(y, low_y, high_y, _ROWS)][_place(x, low_x, high_x, _COLUMNS)] = mark
    lines = [f"{_label(index, low_y, high_y):>8} |{''.join(row).rstrip()}" for index, row in enumerate(grid)]
    ends = f"{low_x:.4g} ms".ljust(_COLUMNS - 10) + f"{high_x:.4g} ms".rjust(10)
    return "\n".join([*lines, " " * 9 + "+" + "-" * _COLUMNS, " " * 10 + ends])


def _points(table: TrialTable) -> Iterable[tuple[float, float, str]]:
    front = set(table.front)
    for place, number in enumerate(table.number):
        latency, accuracy = table.latency_ms[place], table.accuracy[place]
        if (
            table.state[place] == "COMPLETE"
            and not table.cached[place]
            and latency is not None
            and accuracy is not None
        ):
            yield latency, accuracy, "*" if number == table.best else "o" if number in front else "."


def _place(value: float, low: float, high: float, cells: int) -> int:
    return round((value - low) / (high - low) * (cells - 1)) if high > low else 0


def _label(index: int, low: float, high: float) -> str:
    """The accuracy in percent at the upper and the lower end."""
    return f"{100 * (high if index == 0 else low):.1f} %" if index in (0, _ROWS - 1) else ""
