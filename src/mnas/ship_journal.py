"""What a ship has done so far, so that it goes on where it was interrupted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mnas._whole_file import write_whole
from mnas.errors import StorageError
from mnas.objective import Latency
from mnas.space import Architecture

FORMAT_VERSION = 1


@dataclass
class ShipJournal:
    """ship.json: written whole after each thing that is done."""

    path: Path
    content: dict[str, Any] = field(default_factory=dict)

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Read what was done already, and check that it was for the same.

        Raises:
            StorageError: it was for something else, is damaged or of a later version.
        """
        if not self.path.is_file():
            self.content = {"version": FORMAT_VERSION, "identity": dict(identity)}
            return self._write()
        try:
            self.content = json.loads(self.path.read_text(encoding="utf-8"))
            version, begun = self.content["version"], self.content["identity"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{self.path} is damaged: {error}. Ship into another folder with --out") from error
        if version != FORMAT_VERSION:
            raise StorageError(
                f"{self.path} has format {version}, this mnas reads format {FORMAT_VERSION}: "
                "use the mnas that made it"
            )
        differing = [f"{k}: it has {begun.get(k)}, now it is {v}" for k, v in identity.items() if begun.get(k) != v]
        if differing:
            raise StorageError(
                f"{self.path.parent} was begun with other settings:\n  " + "\n  ".join(differing) + "\nName another "
                "folder with --out, or give the settings that it has"
            )
        return None

    @property
    def failed(self) -> dict[int, str]:
        """Trials whose training failed, and why."""
        return {int(number): why for number, why in self.content.get("failed", {}).items()}

    @property
    def chosen(self) -> int | None:
        """The trial that was chosen."""
        return self.content.get("chosen")

    def latency(self, device: str, architecture: Architecture) -> Latency | None:
        """What was measured before."""
        row = self.content.get("latencies", {}).get(device, {}).get(architecture.id)
        return Latency.from_dict(row) if row else None

    def add_latency(self, device: str, architecture: Architecture, latency: Latency) -> None:
        """Keep a measurement."""
        self.content.setdefault("latencies", {}).setdefault(device, {})[architecture.id] = asdict(latency)
        self._write()

    def add_failure(self, number: int, why: str) -> None:
        """Keep why a training failed."""
        self.content.setdefault("failed", {})[str(number)] = why
        self._write()

    def choose(self, number: int) -> None:
        """Keep which was chosen."""
        self.content["chosen"] = number
        self._write()

    def _write(self) -> None:
        write_whole(self.path, (json.dumps(self.content, allow_nan=False) + "\n").encode())
