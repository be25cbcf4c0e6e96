"""Local search: hill climbing over networks that differ in one choice, with restarts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from mnas.controllers._checks import check_space, check_whole, rewards_of
from mnas.controllers._snapshot import packed_random, unpacked_random, unpacked_tokens
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial

_TRIES = 20  # at a network that was not proposed before, ere one is proposed again


class LocalSearch:
    """Climbs the reward: from the best of a few random networks to a better neighbour, until there is none.

    White et al. 2021 ("Exploring the Loss Landscape in Neural Architecture Search") found it a strong
    baseline. A neighbour answers one choice differently. As in their variant that moves at the first
    improvement, neighbours are tried in random order, and the climb goes on from the best of a batch that is
    better than where it stands. Where no neighbour is better, it starts again, near the best network so far.
    No tokens are proposed twice while others can be found; a neighbour that an earlier climb tried is known,
    and stepped on without a trial.

    Trials of every state count by their reward alone: what failed has a low one and is never stepped on.

    Args:
        space: where to search.
        seed: of the controller's own generator.
        batch: neighbours per ask. With more, several workers are kept busy, and a climb is a little slower.
        starts: random networks of which the best begins a climb.
        kick: how many changes in the best network so far give a start of the next climb; with 0 starts are
            random again, as White et al. have it, which found less in 1,000 trials (docs/sample_efficiency.md).

    Raises:
        SettingsError: a setting is out of its range, or the space has nothing to choose.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, *, batch: int = 5, starts: int = 10, kick: int = 3) -> None:
        check_space(space)
        check_whole("batch", batch)
        check_whole("starts", starts)
        check_whole("kick", kick, 0)
        self.batch = batch
        self._space = space
        self._random = random.Random(seed)
        self._starts = starts
        self._kick = kick
        self._rewards: dict[Tokens, float] = {}  # of every network told
        self._best: Tokens | None = None  # of them
        self._seen: set[Tokens] = set()  # proposed before
        self._candidates: list[Tokens] = []  # starts that were told, until a climb begins
        self._current: Tokens | None = None  # where the climb stands
        self._queue: list[Tokens] = []  # neighbours of it not tried yet, the last first
        self._climbed = False  # a climb has ended

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals: neighbours; where they run out, starts of the next climb."""
        proposals = [self._queue.pop() for _ in range(min(n, len(self._queue)))]
        self._seen.update(proposals)
        return proposals + [self._start() for _ in range(n - len(proposals))]

    def tell(self, trials: Sequence[Trial]) -> None:
        """Step to the best of the trials if it is better; begin anew where nothing is left to try."""
        for trial, reward in zip(trials, rewards_of(trials), strict=True):
            self._rewards[trial.tokens] = reward
            self._seen.add(trial.tokens)
            if self._best is None or reward > self._rewards[self._best]:
                self._best = trial.tokens
        self._candidates += [trial.tokens for trial in trials]
        if self._current is None and len(self._candidates) < self._starts:
            return
        if self._candidates:
            self._step(max(self._candidates, key=self._rewards.__getitem__))
        if not self._queue:
            self._current, self._climbed = None, True
        self._candidates = []

    def snapshot(self) -> dict[str, Any]:
        """Where the climb stands; what was told is not in it."""
        return {
            "random": packed_random(self._random),
            "best": self._best,
            "open": sorted(self._seen - self._rewards.keys()),
            "candidates": self._candidates,
            "current": self._current,
            "queue": self._queue,
            "climbed": self._climbed,
        }

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Go on as the controller of the snapshot."""
        opened, candidates, queue = (unpacked_tokens(snapshot[name]) for name in ("open", "candidates", "queue"))
        best, current = (snapshot[name] and tuple(snapshot[name]) for name in ("best", "current"))
        climbed = bool(snapshot["climbed"])
        self._random = unpacked_random(snapshot["random"])
        self._rewards = {trial.tokens: trial.reward for trial in told}
        self._seen = {*self._rewards, *opened}
        self._best, self._current, self._climbed = best, current, climbed
        self._candidates, self._queue = candidates, queue

    def _step(self, tokens: Tokens) -> None:
        """Go to the tokens if they are better than where the climb stands, and on over what is known."""
        while self._current is None or self._rewards[tokens] > self._rewards[self._current]:
            self._current = tokens
            neighbours = self._neighbours(tokens)
            self._queue = [neighbour for neighbour in neighbours if neighbour not in self._seen]
            self._random.shuffle(self._queue)
            known = [neighbour for neighbour in neighbours if neighbour in self._rewards]
            tokens = max([tokens, *known], key=self._rewards.__getitem__)

    def _neighbours(self, tokens: Tokens) -> list[Tokens]:
        return [
            (*tokens[:position], token, *tokens[position + 1 :])
            for position, choice in enumerate(self._space.choices)
            for token in range(len(choice.options))
            if token != tokens[position]
        ]

    def _start(self) -> Tokens:
        """A network to begin at that was not proposed before, as far as `_TRIES` reach."""
        near = self._best if self._kick and self._climbed else None
        for attempt in range(2 * _TRIES):
            # Random in the end, for all networks so near the best may be known.
            tokens = self._kicked(near) if near and attempt < _TRIES else self._space.sample(self._random)
            if tokens not in self._seen:
                break
        self._seen.add(tokens)
        return tokens

    def _kicked(self, tokens: Tokens) -> Tokens:
        for _ in range(self._kick):
            tokens = self._space.mutate(tokens, self._random)
        return tokens
