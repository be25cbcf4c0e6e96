"""Choice and SearchSpace: what may be chosen, and what a set of choices means."""

from __future__ import annotations

import abc
import math
import random
from dataclasses import dataclass
from typing import Any

from mnas.errors import SettingsError
from mnas.space._architecture import Architecture

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Choice:
    """One question with finitely many answers; a token is the index of the answer.

    >>> Choice("block2.kernel", (3, 5))
    Choice(name='block2.kernel', options=(3, 5))
    """

    name: str
    options: tuple[Any, ...]


class SearchSpace(abc.ABC):
    """A finite set of architectures, addressed by tokens: one token per choice.

    A space gives `name`, `choices`, `decode`, `encode` and `describe`; the rest follows.
    """

    name: str
    choices: tuple[Choice, ...]

    @abc.abstractmethod
    def decode(self, tokens: Tokens) -> Architecture:
        """The architecture that these answers mean. Every token tuple in range decodes.

        Raises:
            SettingsError: too few, too many or out of range.
        """

    @abc.abstractmethod
    def encode(self, architecture: Architecture) -> Tokens:
        """The canonical tokens of a member: `decode(encode(a)) == a`.

        Raises:
            SettingsError: the architecture is not a member; the message says what differs.
        """

    @abc.abstractmethod
    def describe(self) -> dict[str, Any]:
        """Everything that gives tokens their meaning, as plain JSON values: two spaces with equal
        descriptions are interchangeable, and a run goes on only in the space it was begun in."""

    @abc.abstractmethod
    def distinct_size(self) -> int:
        """How many different networks the space holds."""

    def size(self) -> int:
        """How many token tuples there are: the product of the numbers of options."""
        return math.prod(len(choice.options) for choice in self.choices)

    def sample(self, generator: random.Random) -> Tokens:
        """Tokens drawn uniformly."""
        return tuple(generator.randrange(len(choice.options)) for choice in self.choices)

    def mutate(self, tokens: Tokens, generator: random.Random) -> Tokens:
        """Tokens with exactly one choice answered differently.

        Raises:
            SettingsError: the tokens are out of range, or no choice has a second option.
        """
        self.check(tokens)
        open_choices = [i for i, choice in enumerate(self.choices) if len(choice.options) > 1]
        if not open_choices:
            raise SettingsError(f"space {self.name!r} has a single member, so there is nothing to mutate")
        position = generator.choice(open_choices)
        step = generator.randrange(1, len(self.choices[position].options))
        token = (tokens[position] + step) % len(self.choices[position].options)
        return (*tokens[:position], token, *tokens[position + 1 :])

    def check(self, tokens: Tokens) -> None:
        """Raise SettingsError unless there is one token in range for each choice."""
        if len(tokens) != len(self.choices):
            raise SettingsError(f"space {self.name!r} has {len(self.choices)} choices, got {len(tokens)} tokens")
        for token, choice in zip(tokens, self.choices, strict=True):
            if not 0 <= token < len(choice.options):
                raise SettingsError(
                    f"token {token} is out of range for {choice.name!r}, which has "
                    f"{len(choice.options)} options: {choice.options}"
                )

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture):
            return False
        try:
            self.encode(architecture)
        except SettingsError:
            return False
        return True
