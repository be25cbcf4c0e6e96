"""The controller that docs/controllers.md shows passes the suite that it shows."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "controllers.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

exec("\n".join(BLOCKS))  # among them `class TestHillClimb(ControllerConformance)`, which pytest then collects


class TestResumableHillClimb(globals()["ControllerConformance"]):
    def make(self, space, seed):
        return globals()["ResumableHillClimb"](space, seed)
