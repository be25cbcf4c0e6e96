"""KnownNetworks: which networks were proposed or told already."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence, Set

import numpy as np

from mnas.controllers.guided._features import FeatureMap
from mnas.space import Architecture, SearchSpace, Tokens

_LUCK = 200  # draws of a network that is not known, before all networks are gone through
_SMALL = 100_000  # token tuples up to which that is done


class KnownNetworks:
    """Two token tuples may mean one network: this knows by the network's id."""

    def __init__(self, space: SearchSpace, feature_map: FeatureMap) -> None:
        self.codes: set[bytes] = set()  # of parts, which tell most equal networks without decoding them
        self._space = space
        self._map = feature_map
        self._ids: set[str] = set()
        self._taken: list[Tokens] = []  # what led to the codes

    def take(self, tokens: Tokens, architecture: Architecture | None = None) -> bool:
        """Whether the network was not known; now it is."""
        codes = self._codes(tokens)
        if codes in self.codes:
            return False
        self.codes.add(codes)
        self._taken.append(tokens)
        identity = (architecture or self._space.decode(tokens)).id
        is_new = identity not in self._ids
        self._ids.add(identity)
        return is_new

    def beside(self, told: Set[Tokens]) -> list[Tokens]:
        """What is known beside the tokens told: open proposals, and what was looked at and not proposed."""
        return [tokens for tokens in self._taken if tokens not in told]

    def take_all(self, ids: Mapping[Tokens, str], others: Sequence[Tokens]) -> None:
        """Take many tokens at once: some whose networks' ids are known, and others."""
        every = [*ids, *others]
        if not every:
            return
        codes = self._map(np.array(every, dtype=np.int64)).codes
        for tokens, row in zip(every, codes, strict=True):
            if (code := row.tobytes()) not in self.codes:
                self.codes.add(code)
                self._taken.append(tokens)
        self._ids.update(ids.values())
        self._ids.update(self._space.decode(tokens).id for tokens in others)

    def take_random(self, generator: random.Random) -> Tokens:
        """A network that was not known, drawn at random; any at all once every network is known.

        A space too large to go through, of which 200 draws give nothing new, counts as known too.
        """
        for _ in range(_LUCK):
            tokens = self._space.sample(generator)
            if self.take(tokens):
                return tokens
        if self._space.size() <= _SMALL:
            for tokens in itertools.product(*(range(len(choice.options)) for choice in self._space.choices)):
                if self.take(tokens):
                    return tokens
        return self._space.sample(generator)

    def _codes(self, tokens: Tokens) -> bytes:
        return bytes(self._map(np.array([tokens], dtype=np.int64)).codes[0].tobytes())
