"""KnownNetworks: which networks were proposed or told already."""

from __future__ import annotations

import itertools
import random

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

    def take(self, tokens: Tokens, architecture: Architecture | None = None) -> bool:
        """Whether the network was not known; now it is."""
        codes = self._codes(tokens)
        if codes in self.codes:
            return False
        self.codes.add(codes)
        identity = (architecture or self._space.decode(tokens)).id
        is_new = identity not in self._ids
        self._ids.add(identity)
        return is_new

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
