"""A large run for benchmarks and tests of the page: written to its folder, not searched.

Ten thousand trials of the mnasnet space by a controller that keeps to what is good, with the simulated device and
accuracy, latency samples, learning curves, trials that failed, were stopped, infeasible or cached.
"""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from pathlib import Path

from mnas.accuracy import SimulatedAccuracy
from mnas.devices import SimulatedDevice
from mnas.evaluator import counted
from mnas.objective import WeightedProduct
from mnas.run import search
from mnas.space import SearchSpace, Tokens, mnasnet_space
from mnas.storage import RunStorage
from mnas.trial import Proposal, Trial, TrialState

TARGET_MS, CAP_MS = 25.0, 45.0
_SEARCHED = 20  # trials that a search makes, so that run.toml is whole
_BATCH = 20
_KEPT = 40  # trials whose neighbours are proposed
_SAMPLES = 20
_EPOCHS = 5
_SECONDS = 6.0  # between two trials


def large_run(folder: Path, trials: int = 10_000, seed: int = 0, name: str = "large") -> Path:
    """A run folder of so many trials, as it stands while trials are still asked for."""
    _search(folder, name, seed)
    with RunStorage.read(folder) as known:
        identity, first = known.meta("identity"), known.trials()
    maker = _Maker(random.Random(seed), mnasnet_space(), first[0].started)
    with RunStorage.create(folder, identity) as storage:
        for start in range(_SEARCHED, trials, _BATCH):
            batch = [maker.trial(number) for number in range(start, min(trials, start + _BATCH))]
            storage.add_ask([Proposal(trial.number, trial.tokens) for trial in batch])
            for trial in batch:
                storage.add_trial(trial)
            storage.add_tell(batch, None)
    settings = folder / "run.toml"
    text = re.sub(r"(?m)^trials = \d+$", f"trials = {trials + 100}", settings.read_text(encoding="utf-8"))
    settings.write_text(text, encoding="utf-8")
    return folder


def _search(folder: Path, name: str, seed: int) -> None:
    search(
        objective={"reward": "soft", "target_ms": TARGET_MS, "max_latency_ms": CAP_MS},
        device="simulated",
        controller={"name": "random", "batch": 5},
        dataset=None,
        accuracy="simulated",
        trials=_SEARCHED,
        seed=seed,
        workers=0,
        final={"top": 0},
        name=name,
        out=folder,
    )


class _Maker:
    """Makes trials one after the other, each a neighbour of one of the best so far or a new one."""

    def __init__(self, generator: random.Random, space: SearchSpace, began: float) -> None:
        self._random, self._space, self._began = generator, space, began
        self._best: list[tuple[float, Tokens]] = []
        self._seen: dict[Tokens, Trial] = {}
        self._reward = WeightedProduct.soft(TARGET_MS)

    def trial(self, number: int) -> Trial:
        """The next trial."""
        tokens = self._propose()
        started = self._began + _SECONDS * number
        if tokens in self._seen:
            return replace(self._seen[tokens], number=number, cached=True, started=started, finished=started + 0.1)
        trial = self._evaluate(number, tokens, started)
        self._seen[tokens] = trial
        if trial.state is TrialState.COMPLETE:
            self._best = sorted([*self._best, (trial.reward, tokens)], reverse=True)[:_KEPT]
        return trial

    def _propose(self) -> Tokens:
        if not self._best or self._random.random() < 0.5:
            return self._space.sample(self._random)
        tokens = self._random.choice(self._best)[1]
        for _ in range(self._random.randint(1, 6)):
            tokens = self._space.mutate(tokens, self._random)
        return tokens

    def _evaluate(self, number: int, tokens: Tokens, started: float) -> Trial:
        architecture = self._space.decode(tokens)
        noise, chance = self._random, self._random.random()
        exact = SimulatedDevice().measure(architecture)
        samples = tuple(exact.latency_ms * (1 + abs(noise.gauss(0, 0.01))) for _ in range(_SAMPLES))
        accuracy = min(0.95, SimulatedAccuracy().estimate(architecture, 0).accuracy + noise.gauss(0, 0.01))
        curve = tuple(accuracy * (1 - math.exp(-1.1 * epoch)) for epoch in range(1, _EPOCHS + 1))
        state = TrialState.COMPLETE
        if exact.latency_ms > CAP_MS:
            state = TrialState.INFEASIBLE
        elif chance < 0.02:
            state = TrialState.FAILED
        elif chance < 0.1:
            state, curve = TrialState.STOPPED, curve[:2]
        is_trained = state in (TrialState.COMPLETE, TrialState.STOPPED)
        measurement = replace(
            counted(architecture),
            latency=replace(exact, samples_ms=samples),
            accuracy=curve[-1] if is_trained else None,
            task="simulated formula 1",
        )
        is_complete = state is TrialState.COMPLETE
        return Trial(
            number=number,
            tokens=tokens,
            architecture=architecture,
            state=state,
            reward=(self._reward.reward if is_complete else self._reward.failure_reward)(measurement),
            measurement=measurement,
            curve=curve if is_trained else (),
            error=_ERRORS.get(state),
            started=started,
            finished=started + 5.0,
            worker=f"box:{4000 + number % 4}",
        )


_ERRORS = {
    TrialState.FAILED: "the loss is not finite after epoch 2; lower the learning rate",
    TrialState.INFEASIBLE: f"latency is above the cap of {CAP_MS} ms",
}
