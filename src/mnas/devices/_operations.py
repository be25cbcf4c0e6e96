"""Before a search: can the device's runtime do every operation that the space offers?

An operation that a runtime lacks would otherwise show as failed trials, one after the other, for as long as the
search proposes it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

from mnas.errors import MeasurementError, SettingsError
from mnas.space import Architecture, SearchSpace, Tokens, count_madds

_TRIES = 16  # random networks, if all that cover the space fail, to find one that runs
_SHOWN = 8


@runtime_checkable
class TriesOut(Protocol):
    """A device that can say, without timing, whether it runs a network."""

    def try_out(self, architecture: Architecture) -> None:
        """Converts it, runs it once and compares the outputs.

        Raises:
            MeasurementError: one of these fails.
            DeviceError: the device is gone.
        """
        ...


def check_operations(space: SearchSpace, device: TriesOut, watch: Callable[[str], None] = lambda phase: None) -> int:
    """Tries every option of every choice of the space, in as few networks as there are options of one choice.

    The number of networks tried is the result.

    Raises:
        SettingsError: with each choice=option that, put into a network that runs, makes it fail, and the runtime's
            words. Where none does so alone, with the networks that fail.
        DeviceError: the device is gone.
    """
    members = list(covering_members(space))
    failures: dict[Tokens, str] = {}
    for number, tokens in enumerate(members, start=1):
        watch(f"trying every operation, network {number} of {len(members)}")
        if words := _failure(space, device, tokens):
            failures[tokens] = words
    if failures:
        raise _named(space, device, failures, set(members) - failures.keys())
    return len(members)


def covering_members(space: SearchSpace) -> Iterator[Tokens]:
    """Tokens in which together every option of every choice occurs: as many as the largest choice has options.

    Of the choices that are alike in their options, neighbours get different ones, so that they also meet.
    """
    for row in range(max(len(choice.options) for choice in space.choices)):
        yield tuple((row + position) % len(choice.options) for position, choice in enumerate(space.choices))


def _named(space: SearchSpace, device: TriesOut, failures: dict[Tokens, str], passed: set[Tokens]) -> SettingsError:
    """The error that names what is to blame: options that no passed network has, each put into one that runs."""
    fine = {(position, token) for tokens in passed for position, token in enumerate(tokens)}
    suspects = {pair for tokens in failures for pair in enumerate(tokens)} - fine
    base = _base(space, device, passed)
    blamed: dict[tuple[int, int], str] = {}
    for position, token in sorted(suspects):
        if base is not None and base[position] != token:
            words = _failure(space, device, (*base[:position], token, *base[position + 1 :]))
            if words:
                blamed[position, token] = words
    lines = [f"{space.choices[p].name}={space.choices[p].options[t]}: {w}" for (p, t), w in blamed.items()]
    if not lines:
        lines = [f"{space.decode(tokens)}: {words}" for tokens, words in failures.items()]
    more = f"\n  and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return SettingsError(
        f"the device cannot run everything that space {space.name!r} offers:\n  "
        + "\n  ".join(lines[:_SHOWN])
        + more
        + "\nLeave these out of the space, or measure with another runtime or precision"
    )


def _base(space: SearchSpace, device: TriesOut, passed: set[Tokens]) -> Tokens | None:
    """A network that runs, in which one option at a time can be exchanged; None if none is found."""
    if passed:
        return min(passed, key=lambda tokens: count_madds(space.decode(tokens)))
    generator = random.Random(0)
    tries = [tuple(0 for _ in space.choices), *(space.sample(generator) for _ in range(_TRIES))]
    return next((tokens for tokens in tries if _failure(space, device, tokens) is None), None)


def _failure(space: SearchSpace, device: TriesOut, tokens: Tokens) -> str | None:
    try:
        device.try_out(space.decode(tokens))
    except MeasurementError as error:
        return str(error)
    return None
