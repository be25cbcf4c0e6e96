"""The run folder: run.toml beside the journal, and what both say of a run, finished or not.

run.toml        every resolved setting, seeds, versions, the commit, the device
trials.sqlite   the journal (mnas.storage)
status.json     how it stands, for who looks on (mnas.status)
report.html, front.png, winner.txt, winner.json, winner.onnx
"""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from mnas._toml import read_toml
from mnas.comparison import load_comparisons
from mnas.config import Settings, parse_settings
from mnas.devices import DeviceInfo
from mnas.errors import SettingsError, StorageError
from mnas.final import load_finals
from mnas.loop import progress
from mnas.measured_front import load_measured_front
from mnas.result import MeasuredFront, SearchResult
from mnas.status import State, Status, read_status
from mnas.storage import RunStorage
from mnas.trial import Trial

_VERSIONED = ("mnas", "torch", "onnxruntime", "onnx", "numpy")
OWN_TABLES = ("run", "versions")  # of run.toml; the rest are settings


def load_result(folder: str | Path, storage: RunStorage | None = None) -> SearchResult:
    """The result of a run as it stands in its folder, finished or not.

    Raises:
        StorageError: there is no run, or it is damaged.
    """
    folder = Path(folder)
    if storage is None:
        with RunStorage.read(folder) as opened:
            return load_result(folder, opened)
    settings = read_run_toml(folder)
    device = storage.meta("device") or ""
    reach = storage.meta("reach_ms") or (0.0, 0.0)
    measured, trials = load_measured_front(storage), storage.trials()
    return SearchResult(
        name=settings.get("name", folder.name),
        folder=folder,
        target_ms=storage.meta("target_ms") or 0.0,
        objective=storage.meta("objective") or {},
        device=device,
        task=storage.meta("identity").get("accuracy", ""),
        trials=tuple(_on_device(trial, device, storage) for trial in trials),
        finals=load_finals(storage),
        comparisons=load_comparisons(storage),
        reach_ms=(reach[0], reach[1]),
        seconds=storage.meta("seconds") or 0.0,
        settings=settings,
        notes=(
            *_note_disturbed(trials),
            *_notes_of_devices(trials),
            *measured_notes(measured, device, {t.architecture.id: t.number for t in reversed(trials)}),
            *filter(None, [storage.meta("ended_early")]),
        ),
        measured=measured,
    )


def load_status(folder: Path) -> Status:
    """How a run stands: by its status.json, which any host may read; a run without one by its trials.

    Raises:
        StorageError: there is no run, or what is there is damaged.
    """
    status = read_status(folder)
    if status is not None:
        return status
    with RunStorage.read(folder) as storage:
        settings = read_run_toml(folder)
        name, total = settings.get("name", folder.name), int(settings.get("trials", 0))
        trials = storage.trials()
        state: State = "running" if storage.is_being_written() else "finished" if len(trials) >= total else "stopped"
        so_far = progress(trials, total, state)
        return Status(
            name, total, so_far.counts, state, best_reward=so_far.best_reward, front_size=so_far.front_size,
            seconds=storage.meta("seconds") or 0.0,
        )  # fmt: skip


def stored_settings(folder: Path) -> Settings:
    """The settings a run was made with."""
    data = {key: value for key, value in read_run_toml(folder).items() if key not in OWN_TABLES}
    return parse_settings(data, f"{folder}/run.toml")


def versions() -> dict[str, str]:
    """Versions of what results depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONED}}


def write_run_toml(folder: Path, settings: Mapping[str, Any], device: DeviceInfo) -> None:
    """Write every resolved setting and where the run is made; what its beginning said stays."""
    path = folder / "run.toml"
    begun = read_run_toml(folder) if path.exists() else {}
    made = begun.get("run", {})
    document = toml_values(settings)
    document["run"] = {
        "created": made.get("created", datetime.datetime.now().astimezone().isoformat(timespec="seconds")),
        "commit": made.get("commit", commit()),
        "device": device.fingerprint,
        "device_details": toml_values(device.details),
    }
    document["versions"] = begun.get("versions", versions())
    temporary = path.with_suffix(".toml.new")
    temporary.write_text(tomli_w.dumps(document), encoding="utf-8")
    temporary.replace(path)


def _note_disturbed(trials: Sequence[Trial]) -> tuple[str, ...]:
    """What has to be said of latencies that were accepted although the device was busy."""
    latencies = [trial.measurement.latency for trial in trials if trial.measurement.latency and not trial.cached]
    return disturbed_notes([str(latency.environment.get("disturbed") or "") for latency in latencies])


def disturbed_notes(reasons: Sequence[str]) -> tuple[str, ...]:
    """The note on measured latencies of which some have a reason why they are disturbed, others an empty one."""
    disturbed = [reason for reason in reasons if reason]
    if not disturbed:
        return ()
    return (
        f"{len(disturbed)} of {len(reasons)} latencies were measured on a busy device, and their intervals are as "
        f"wide as the disturbance; the last: {disturbed[-1]}",
    )


def _notes_of_devices(trials: Sequence[Trial]) -> tuple[str, ...]:
    """What devices said beside their latencies, each once."""
    latencies = (trial.measurement.latency for trial in trials)
    return tuple(dict.fromkeys(note for found in latencies if found for note in found.environment.get("notes", ())))


def read_run_toml(folder: Path) -> dict[str, Any]:
    """What run.toml says, as plain values.

    Raises:
        StorageError: there is none, or it is damaged.
    """
    path = folder / "run.toml"
    if not path.is_file():
        raise StorageError(f"{folder} is not a run folder: it has no run.toml")
    try:
        return read_toml(path)
    except SettingsError as error:
        raise StorageError(str(error)) from error


def toml_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as TOML has them. It has no null: what is None is left out."""
    plain: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            plain[str(key)] = toml_values(value)
        elif value is not None:
            plain[str(key)] = value if isinstance(value, (str, int, float, bool, list, tuple)) else str(value)
    return plain


def commit() -> str:
    """The git commit of mnas' own sources, "+" behind it where they were changed; empty if installed."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "-C", here, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        changed = subprocess.run(
            ["git", "-C", here, "status", "--porcelain", "."], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def measured_notes(measured: MeasuredFront | None, device: str, numbers: Mapping[str, int]) -> tuple[str, ...]:
    """What the measured front has to say: another device than the profile's, and what was dropped.

    `numbers` are of the trials, by the network's id.
    """
    if measured is None:
        return ()
    notes = [
        f"trial {numbers[name]} was dropped from the front: {why}"
        for name, why in measured.dropped.items()
        if name in numbers
    ]
    if not device.endswith(f" of {measured.device}"):
        notes.insert(
            0,
            f"latencies were predicted by: {device}, and the front was measured on another device or version: "
            f"{measured.device}",
        )
    return tuple(notes)


def _on_device(trial: Trial, device: str, storage: RunStorage) -> Trial:
    """The trial with the latency of the run's present device, where that was measured again."""
    latency = trial.measurement.latency
    if latency is None or latency.device == device:
        return trial
    again = storage.latency(trial.architecture.id, device)
    return replace(trial, measurement=replace(trial.measurement, latency=again)) if again else trial
