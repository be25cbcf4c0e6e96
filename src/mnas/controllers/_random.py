"""Random search: every proposal drawn uniformly from the space. What each other controller has to beat."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from mnas.controllers._checks import check_space, check_whole
from mnas.controllers._snapshot import packed_random, unpacked_random
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial


class RandomSearch:
    """Proposes tokens drawn uniformly, and learns nothing.

    Raises:
        SettingsError: a setting is out of its range, or the space has nothing to choose.
    """

    asynchronous = True

    def __init__(self, space: SearchSpace, seed: int = 0, *, batch: int = 20) -> None:
        check_space(space)
        check_whole("batch", batch)
        self.batch = batch
        self._space = space
        self._random = random.Random(seed)

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals."""
        return [self._space.sample(self._random) for _ in range(n)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Nothing is learnt."""

    def snapshot(self) -> dict[str, Any]:
        """The generator's state."""
        return {"random": packed_random(self._random)}

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Go on as the controller of the snapshot."""
        self._random = unpacked_random(snapshot["random"])
