"""Profile: a device's latencies, predicted from what its layers cost; one JSON file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr, t

from mnas.errors import MeasurementError, SettingsError, StopError
from mnas.profiles._parts import Part
from mnas.profiles._shapes import LayerShape, layer_shapes
from mnas.profiles._space import space_shapes
from mnas.space import Architecture, SearchSpace

KIND = "mnas latency profile"
FORMAT_VERSION = 1  # counts up when the meaning of a key changes; a file of a later format is refused
_LATER = ("parts_ms", "transferred_from")  # files from before these are what they were
_AGAIN = "make it again with mnas profile"


@dataclass(frozen=True)
class Check:
    """A network that the profile had not seen, predicted and measured."""

    architecture: str
    predicted_ms: float
    measured_ms: float
    low_ms: float  # of the measurement
    high_ms: float


@dataclass(frozen=True)
class ProfileError:
    """How far predictions were from measurements of networks that the profile had not seen; fractions."""

    networks: int
    mean: float  # relative, without sign
    mean_low: float  # its interval at 95 %
    mean_high: float
    bias: float  # relative, with sign
    spearman: float
    within_10_percent: int  # networks
    half_width: float  # logarithm of the factor within which 95 % of measurements lie of their prediction

    @classmethod
    def of(cls, checks: Sequence[Check]) -> ProfileError:
        """From at least three checks. The errors of the measurements themselves are in it."""
        predicted = np.array([check.predicted_ms for check in checks])
        measured = np.array([check.measured_ms for check in checks])
        errors, count = predicted / measured - 1, len(checks)
        sizes = np.abs(errors)
        half = float(t.ppf(0.975, count - 1) * sizes.std(ddof=1) / np.sqrt(count))
        logs = np.log(predicted / measured)
        spread = float(np.sqrt((logs**2).mean() * (1 + 1 / count)))
        return cls(
            networks=count,
            mean=float(sizes.mean()),
            mean_low=max(0.0, float(sizes.mean()) - half),
            mean_high=float(sizes.mean()) + half,
            bias=float(errors.mean()),
            spearman=float(spearmanr(predicted, measured).statistic),
            within_10_percent=int((sizes <= 0.1).sum()),
            half_width=float(t.ppf(0.975, count)) * spread,
        )

    def __str__(self) -> str:
        return (
            f"{100 * self.mean:.1f} % mean error (95 % interval {100 * self.mean_low:.1f} to "
            f"{100 * self.mean_high:.1f}), bias {100 * self.bias:+.1f} %, Spearman {self.spearman:.4f}, "
            f"{self.within_10_percent} of {self.networks} unseen networks within 10 %"
        )


@dataclass(frozen=True)
class Profile:
    """What layers cost on a device, how well that predicts networks, and how it was measured.

    profile = read_profile(Path("cpu.profile"))
    profile.predict(architectures)               # milliseconds, (networks,)
    print(profile.error)
    """

    layers_ms: Mapping[str, float] = field(repr=False)  # by LayerShape, as text: what is covered
    network_ms: float  # what running a network costs at all
    frame: Mapping[str, str]  # activation and padding
    space: Mapping[str, Any] = field(repr=False)  # `SearchSpace.describe()`
    device: str  # fingerprint
    device_details: Mapping[str, Any] = field(repr=False)
    device_settings: Mapping[str, Any]  # its [device] table; empty if it was made from Python
    error: ProfileError
    checks: tuple[Check, ...] = field(repr=False)
    measured: Mapping[str, Any] = field(repr=False)  # when, how many, seconds
    parts_ms: Mapping[str, float] = field(default_factory=dict, repr=False)  # by Part, as text: for a transfer
    transferred_from: Mapping[str, Any] = field(default_factory=dict)  # another device's profile, if it was

    def predict(self, architectures: Iterable[Architecture]) -> NDArray[np.float64]:
        """Milliseconds of each network, (networks,).

        Raises:
            MeasurementError: a network has layers that are not covered; the message names them.
        """
        return np.array([self._predict(architecture) for architecture in architectures])

    def costs(self, parts: Sequence[Part]) -> NDArray[np.float64]:
        """Milliseconds of each part, (parts,): what another device's CostModel can be made like.

        Raises:
            SettingsError: parts that it does not know.
        """
        known = [self.parts_ms.get(str(part)) for part in parts]
        missing = [str(part) for part, ms in zip(parts, known, strict=True) if ms is None]
        if missing:
            raise SettingsError(
                f"the profile of {self.device} does not tell what {len(missing)} parts of networks cost, such as "
                f"{missing[0]!r}: {_AGAIN}"
            )
        return np.array(known, dtype=float)

    def missing(self, architecture: Architecture) -> list[str]:
        """What of a network is not covered: layer shapes, or its activation or padding."""
        frame = [
            f"{key} {came}, where it has {wanted}"
            for key, wanted in self.frame.items()
            if (came := getattr(architecture, key)) != wanted
        ]
        return frame + [str(s) for s in dict.fromkeys(layer_shapes(architecture)) if str(s) not in self.layers_ms]

    def check_space(self, space: SearchSpace) -> None:
        """Refuse a space with networks that are not covered.

        Raises:
            SettingsError: naming some of the shapes.
        """
        if _plain(space.describe()) == self.space:
            return
        missing = self.missing(space.decode((0,) * len(space.choices)))
        missing += [text for text in map(str, space_shapes(space)) if text not in self.layers_ms]
        if missing:
            missing = list(dict.fromkeys(missing))
            raise SettingsError(
                f"the profile was made for space {self.space.get('name')!r}{self._other_input(space)} and does not "
                f"cover {len(missing)} layer shapes of space {space.name!r}, such as: {'; '.join(missing[:3])}. Make "
                "one for this space with mnas profile --space"
            )

    def check_parts(self) -> None:
        """Refuse a file from before profiles kept what their networks' parts cost, which a transfer needs.

        Raises:
            SettingsError: it is such a file.
        """
        if not self.parts_ms:
            raise SettingsError(
                f"the profile of {self.device} was made by an earlier mnas and lacks what a transfer needs: {_AGAIN}"
            )

    @cached_property
    def version(self) -> str:
        """Twelve hex digits of what it predicts with and how well."""
        return _digest(self.to_dict())[:12]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values = asdict(self)
        return {key: value for key, value in values.items() if value or key not in _LATER}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Profile:
        """The inverse of `to_dict`."""
        checks = tuple(Check(**check) for check in data["checks"])
        return cls(**{**data, "error": ProfileError(**data["error"]), "checks": checks})

    @cached_property
    def _known(self) -> dict[LayerShape, float]:
        return {}

    def _predict(self, architecture: Architecture) -> float:
        known, total = self._known, self.network_ms
        if any(getattr(architecture, key) != wanted for key, wanted in self.frame.items()):
            raise self._uncovered(architecture)
        for shape in layer_shapes(architecture):
            ms = known.get(shape)
            if ms is None:
                ms = self.layers_ms.get(str(shape))
                if ms is None:
                    raise self._uncovered(architecture)
                known[shape] = ms
            total += ms
        return total

    def _other_input(self, space: SearchSpace) -> str:
        """What it was made for and the space has not, where that is the input's size; else nothing."""
        network = space.decode((0,) * len(space.choices))
        wanted = f"r{network.resolution}_i{network.input_channels} "
        stems = [shape.split()[0] + " " for shape in self.layers_ms if " stem" in shape]
        if not stems or wanted in stems:
            return ""
        pixels, channels = re.findall(r"\d+", stems[0])
        return (
            f" at {pixels} px with {channels} channels, where this one has {network.resolution} px with "
            f"{network.input_channels},"
        )

    def _uncovered(self, architecture: Architecture) -> MeasurementError:
        missing = self.missing(architecture)
        return MeasurementError(
            f"the profile was made for space {self.space.get('name')!r} and does not cover {len(missing)} layer "
            f"shapes of this network: {'; '.join(missing[:3])}. Measure it on the device itself"
        )


def write_profile(path: Path, profile: Profile) -> None:
    """Write a profile; an older file of that name is replaced when the new one is whole."""
    content = _plain(profile.to_dict())
    document = {"kind": KIND, "format": FORMAT_VERSION, "sha256": _digest(content), "profile": content}
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_profile(path: Path) -> Profile:
    """Read a profile and check that it is whole.

    Raises:
        SettingsError: there is no such file, or it is no profile.
        StopError: it is damaged, or of a later format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read the profile {path}: {error.strerror or error}; {_AGAIN}") from error
    except ValueError as error:
        raise StopError(f"the profile {path} is damaged or no profile, it is not JSON ({error}): {_AGAIN}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise SettingsError(f"{path} is JSON, but no latency profile; mnas profile --out FILE writes one")
    if document.get("format") != FORMAT_VERSION:
        raise StopError(
            f"the profile {path} has format {document.get('format')}; this mnas reads format {FORMAT_VERSION}. "
            f"Use the version of mnas that wrote it, or {_AGAIN}"
        )
    content: Any = document.get("profile")
    if _digest(content) != document.get("sha256"):
        raise StopError(f"the profile {path} is damaged (its checksum differs): {_AGAIN}")
    try:
        return Profile.from_dict(content)
    except (TypeError, KeyError) as error:
        raise StopError(f"the profile {path} lacks what a profile has ({error}): {_AGAIN}") from error


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
