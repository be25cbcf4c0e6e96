"""The choices of the space that a run searches, from what the run itself stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mnas import registry
from mnas.errors import MnasError
from mnas.space import BlockChoices, BlockSpace, Choice, DetectionHead, Head, SearchSpace, Stem

_PREFIX = "space."


def stored_space(identity: Mapping[str, Any], settings: Mapping[str, Any]) -> SearchSpace | None:
    """The space of a run, None where only the program that made the run can make it again.

    A space of blocks is made from its stored description, so that no data set has to be there.
    """
    with suppress(MnasError, KeyError, TypeError, ValueError):
        return _blocks(_nested(identity))
    table = settings.get("space", {})
    options = {key: value for key, value in table.items() if key != "name"}
    with suppress(Exception):  # whatever the code of another package raises: answers then go by number
        made: SearchSpace = registry.make("space", table["name"], options)
        return made
    return None


def choices_of(space: SearchSpace | None, tokens: Sequence[Sequence[int]]) -> tuple[Choice, ...]:
    """The choices of a space; where there is none, numbered ones with the answers that were given."""
    lengths = {len(row) for row in tokens}
    if space is not None and lengths <= {len(space.choices)}:
        return space.choices
    numbered = [max(answers) + 1 for answers in zip(*tokens, strict=False)]
    return tuple(Choice(f"choice {place}", tuple(range(most))) for place, most in enumerate(numbered, start=1))


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The dotted keys under `space.` as nested dicts."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        if key.startswith(_PREFIX):
            *path, last = key.removeprefix(_PREFIX).split(".")
            table = nested
            for name in path:
                table = table.setdefault(name, {})
            table[last] = value
    return nested


def _blocks(described: Mapping[str, Any]) -> BlockSpace:
    rows = described["blocks"]
    blocks = [BlockChoices(**_tuples(rows[number])) for number in sorted(rows, key=int)]
    head = (DetectionHead if "width" in described["head"] else Head)(**described["head"])
    frame = {key: described[key] for key in ("width", "resolution", "input_channels")}
    return BlockSpace(described["name"], tuple(blocks), stem=Stem(**described["stem"]), head=head, **frame)


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
