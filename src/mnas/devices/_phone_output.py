"""ToolOutput: what a program on a phone printed, read strictly.

A line that looks like a figure and is not as expected is an error, never a guess.
"""

from __future__ import annotations

import re

from mnas.devices._adb import Reply
from mnas.errors import MeasurementError, SettingsError

COULD_NOT_START = (126, 127)  # the shell's exit codes: not executable, not found
_ROUNDING = 1e-3  # relative; the tools print six digits


class ToolOutput:
    """The lines that a tool printed, on the stream that has its figures.

    Raises:
        MeasurementError: it ended with an error: it does not run this network.
        SettingsError: it did not start. From the methods, it printed something else than is known of it.
    """

    def __init__(self, tool: str, reply: Reply, text: str) -> None:
        self._tool = tool
        self.lines = text.splitlines()
        if reply.code in COULD_NOT_START or "CANNOT LINK EXECUTABLE" in reply.err:
            raise SettingsError(f"{tool} does not start on the phone (exit code {reply.code}): {reply.tail}")
        if "unknown command line flag" in reply.err:  # gflags'
            raise SettingsError(f"this {tool} is too old or too new: {reply.tail}")
        if reply.code:
            raise MeasurementError(f"{tool} does not run this network (exit code {reply.code}): {reply.tail}")

    def marked(self, marker: str, pattern: re.Pattern[str], count: int) -> list[re.Match[str]]:
        """The matches of all lines with that marker: so many, and every one as expected."""
        matches = []
        for line in (line.rstrip() for line in self.lines if marker in line):
            match = pattern.fullmatch(line)
            if match is None:
                raise self.unknown(line, f"a line like {pattern.pattern!r}")
            matches.append(match)
        if len(matches) != count:
            last = next((line for line in reversed(self.lines) if line.strip()), "nothing")
            raise self.unknown(last, f"{count} lines with {marker!r} ({len(matches)} came)")
        return matches

    def check(self, line: re.Match[str], told: float, found: float, what: str) -> None:
        """Refuses a line that tells another figure than other lines give."""
        if abs(found - told) > _ROUNDING * told:
            raise self.unknown(line[0], what)

    def unknown(self, line: str, expected: str) -> SettingsError:
        """The error for a line that is not as expected."""
        return SettingsError(
            f"{self._tool} printed {line[:300]!r} where {expected} was expected: it is of a version that mnas does "
            "not know. Use another build of it, and report this line"
        )
