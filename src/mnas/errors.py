"""The exception tree, classed by the reaction an error wants.

    MnasError
    ├── CandidateError        record it and go on: one candidate costs one trial, never the search
    │   ├── TrainingError         its training diverged, or ran out of memory or time
    │   │   ├── OutOfMemoryError      of memory: of the machine, of its GPU, or more than it may take
    │   │   └── WorkerLostError       its worker died: try again elsewhere, then record it
    │   ├── ExportError           it could not be converted, or the file gives other outputs
    │   └── MeasurementError      its latency could not be had, or its outputs were wrong
    ├── DeviceError           retry, then stop: the device went away
    └── StopError             stop: going on would waste or destroy something
        ├── SettingsError         wrong settings, unknown names, bad block strings (exit code 2)
        └── StorageError          a run folder or file that is broken, foreign, in use or cannot be written

Every message says what was expected, what came and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MnasError(Exception):
    """Whatever mnas itself raises."""


class CandidateError(MnasError):
    """One candidate failed: record it and go on."""


class TrainingError(CandidateError):
    """A candidate's training gave no accuracy."""


class OutOfMemoryError(TrainingError):
    """A training took all the memory there is, or more than it may; its worker is better not used again."""


class WorkerLostError(TrainingError):
    """A candidate's training was lost with its worker; another one may well finish it."""


class ExportError(CandidateError):
    """A network could not be converted for a runtime, or what was converted gives other outputs."""


class MeasurementError(CandidateError):
    """A candidate's latency could not be had."""


class DeviceError(MnasError):
    """A device went away: retry, then stop."""


class StopError(MnasError):
    """Going on would waste or destroy something: stop."""


class SettingsError(StopError, ValueError):
    """What the user asked for is wrong, unknown or impossible."""


class StorageError(StopError):
    """A run folder or a file that is broken, foreign, in use or cannot be written."""


def did_you_mean(kind: str, name: str, known: Iterable[str]) -> SettingsError:
    """The error for an unknown name: the nearest known name, and all of them.

    >>> print(did_you_mean("controller", "pp0", ["ppo", "random"]))
    unknown controller 'pp0': did you mean 'ppo'? Known: ppo, random
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f": did you mean {near[0]!r}?" if near else "."
    return SettingsError(f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}")


def needs_extra(package: str, extra: str) -> SettingsError:
    """The error for a library that an extra brings and that is not installed."""
    return SettingsError(f"this needs {package}, which is not installed: pip install 'mnas[{extra}]'")
