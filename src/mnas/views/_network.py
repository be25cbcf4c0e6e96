"""NetworkView: a network, whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnas.errors import MnasError
from mnas.objective import Latency
from mnas.space import (
    Architecture,
    Block,
    Choice,
    Count,
    count_by_block,
    count_madds,
    count_params,
    peak_activation_bytes,
    weight_bytes,
)
from mnas.trial import Trial
from mnas.views._commands import network_commands
from mnas.views._conditions import conditions
from mnas.views._models import EnergyView, NetworkRow, NetworkView, PartLatency

if TYPE_CHECKING:
    from mnas.profiles import Profile  # needs numpy and scipy, which take a moment


def trial_network(
    trial: Trial, choices: tuple[Choice, ...], folder: Path, settings: Mapping[str, Any], device: str
) -> NetworkView:
    """A trial's network. `device` is the run's fingerprint, by which its profile is known."""
    answers = zip(choices, trial.tokens, strict=True)
    return NetworkView(
        number=trial.number,
        label=f"trial {trial.number}",
        accuracy=trial.accuracy,
        reward=trial.reward,
        state=trial.state.value,
        cached=trial.cached,
        error=trial.error,
        curve=list(trial.curve),
        seed=trial.seed,
        attempts=trial.attempts,
        worker=trial.worker,
        started=trial.started,
        finished=trial.finished,
        measure_seconds=trial.measure_seconds,
        train_seconds=trial.train_seconds,
        tokens={choice.name: str(choice.options[token]) for choice, token in answers},
        commands=network_commands(f"{folder}:{trial.number}", folder, settings),
        **_built(trial.architecture, folder, settings, device),
        **_timed(trial.measurement.latency),
    )


def reference_network(
    label: str,
    architecture: Architecture,
    latency: Latency,
    accuracy: float,
    folder: Path,
    settings: Mapping[str, Any],
    device: str,
) -> NetworkView:
    """A network that a run was compared with."""
    return NetworkView(
        number=None,
        label=label,
        accuracy=accuracy,
        reward=None,
        state="REFERENCE",
        cached=False,
        error=None,
        curve=[],
        seed=0,
        attempts=1,
        worker="",
        started=0.0,
        finished=0.0,
        measure_seconds=0.0,
        train_seconds=0.0,
        tokens={},
        commands=network_commands(str(architecture), folder, settings),
        **_built(architecture, folder, settings, device),
        **_timed(latency),
    )


def trained_file(folder: Path, architecture: Architecture) -> Path | None:
    """The network with its trained weights that the final comparison left, None if there is none."""
    path = folder / "final" / f"{architecture.id}.onnx"
    # A link out of the folder is none of ours: the run may come from elsewhere.
    is_inside = path.is_file() and path.resolve().is_relative_to(folder.resolve())
    return path if is_inside else None


def _built(architecture: Architecture, folder: Path, settings: Mapping[str, Any], device: str) -> dict[str, Any]:
    """What a network is and costs wherever it runs, and by block where a profile knows."""
    profile = _profile(settings, device)
    milliseconds = _row_ms(architecture, profile) if profile else None
    return {
        "architecture_id": architecture.id,
        "architecture": str(architecture),
        "block_strings": list(architecture.block_strings),
        "resolution": architecture.resolution,
        "input_channels": architecture.input_channels,
        "classes": architecture.head.classes,
        "params": count_params(architecture),
        "madds": count_madds(architecture),
        "weight_bytes": weight_bytes(architecture),
        "peak_activation_bytes": peak_activation_bytes(architecture),
        "rows": _rows(architecture, milliseconds),
        "network_ms": profile.network_ms if profile and milliseconds else None,
        "weights": "trained" if trained_file(folder, architecture) else "untrained",
    }


def _timed(latency: Latency | None) -> dict[str, Any]:
    energy = latency.energy if latency else None
    values = asdict(energy) if energy else {}
    parts = latency.parts if latency else {}
    return {
        "latency_ms": latency.latency_ms if latency else None,
        "low_ms": latency.low_ms if latency else None,
        "high_ms": latency.high_ms if latency else None,
        "statistic": latency.statistic if latency else None,
        "samples_ms": list(latency.samples_ms) if latency else [],
        "environment": conditions(latency.environment) if latency else {},
        "energy": EnergyView(**{key: values[key] for key in EnergyView.model_fields}) if energy else None,
        "parts": [
            PartLatency(name=name, latency_ms=part.latency_ms, low_ms=part.low_ms, high_ms=part.high_ms)
            for name, part in parts.items()
        ],
    }


def _rows(architecture: Architecture, milliseconds: list[float] | None) -> list[NetworkRow]:
    blocks = dict(enumerate(architecture.blocks, start=1))
    rows, resolution = [], architecture.resolution
    for place, (label, text, counts) in enumerate(count_by_block(architecture)):
        block = blocks.get(int(label)) if label.isdigit() else None
        rows.append(
            NetworkRow(
                label=label,
                block=text,
                **_shape(architecture, label, block),
                input_resolution=resolution,
                resolution=_resolution(counts),
                params=sum(count.params for count in counts),
                madds=sum(count.madds for count in counts),
                ms=milliseconds[place] if milliseconds else None,
            )
        )
        resolution = _resolution(counts)
    return rows


def _resolution(counts: list[Count]) -> int:
    return counts[-1].resolution


def _shape(architecture: Architecture, label: str, block: Block | None) -> dict[str, Any]:
    """What a row is made of; the stem is a convolution, the head one of 1x1 and what follows it."""
    if block is not None:
        return asdict(block)
    stem = architecture.stem
    plain = {"expand_ratio": 1.0, "se_ratio": 0.0, "layers": 1, "skip": "none"}
    if label == "stem":
        return {"op": "conv", "kernel": stem.kernel, "filters": stem.filters, "stride": stem.stride, **plain}
    return {"op": "head", "kernel": 1, "filters": architecture.features, "stride": 1, **plain}


def _row_ms(architecture: Architecture, profile: Profile) -> list[float] | None:
    """Milliseconds of each row's layers by the profile, None where it does not cover them all."""
    from mnas.profiles import layer_shapes

    with suppress(MnasError):
        if profile.missing(architecture):
            return None
        known = iter([profile.layers_ms[str(shape)] for shape in layer_shapes(architecture)])
        return [sum(next(known) for _ in counts) for _, _, counts in count_by_block(architecture)]
    return None


def _profile(settings: Mapping[str, Any], device: str) -> Profile | None:
    """The profile that the run's latencies come from, if that is its device and the file is still the same."""
    table = settings.get("device", {})
    if table.get("name") != "profile":
        return None
    path = Path(str(table.get("file", ""))).expanduser()
    with suppress(MnasError, OSError):
        stat = path.stat()
        profile = _read(path, stat.st_mtime_ns, stat.st_size)
        return profile if f"profile {profile.version} of " in device else None
    return None


@lru_cache(maxsize=8)
def _read(path: Path, mtime_ns: int, size: int) -> Profile:
    """A profile, read again where its file changed: it takes tens of milliseconds."""
    from mnas.profiles import read_profile

    return read_profile(path)
