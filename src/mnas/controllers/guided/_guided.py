"""Guided: a predictor learns from every trial, and the next proposals are where it expects the most."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from threadpoolctl import ThreadpoolController

from mnas.controllers._checks import check_number, check_space, check_whole, rewards_of
from mnas.controllers._snapshot import packed_random, unpacked_random, unpacked_tokens
from mnas.controllers.guided._aims import FEASIBLE, Aim, Front, Levels, ObjectiveReward, PlainReward, Prediction
from mnas.controllers.guided._arrays import Floats, TokenArray
from mnas.controllers.guided._candidates import CandidatePool, ranked, spread_design
from mnas.controllers.guided._features import FeatureMap, Rows
from mnas.controllers.guided._known import KnownNetworks
from mnas.controllers.guided._lessons import Lesson, below, selected
from mnas.controllers.guided._target_model import KnownTarget, TargetModel, rows_of
from mnas.errors import SettingsError, did_you_mean
from mnas.objective import Measurement, Objective
from mnas.space import (
    Architecture,
    SearchSpace,
    Tokens,
    count_madds,
    count_params,
    peak_activation_bytes,
    weight_bytes,
)
from mnas.trial import Trial, TrialState

_ENOUGH = 5  # trained networks, at least, before the first fit
_MOST = 400  # lessons that a fit takes
_ROUNDS, _LATE_ROUNDS = 16, 8  # of the search for candidates, at most; late, where each costs more
_LATE = 160  # lessons
_SHORTLIST = 120  # of them, from which a batch is taken
_STARTS = 20  # told networks that it starts from, and as many random ones
_COUNTED_CAPS = ("max_params", "max_madds", "max_model_mb", "max_memory_mb")
_LEAST_CHANCE = 0.01  # of a network that can be had, where all like it failed


class Guided:
    """Models what trials measure and proposes the networks that are expected to add the most.

        controller = Guided(space, seed=0, objective=objective)
        tokens = controller.ask(5)
        summary = controller.tell(trials)       # noise, leave-one-out errors and what matters, per model
        controller.best()                       # the trial with the highest *predicted* reward
        controller.predict([architecture])      # {"accuracy": (means, sds), "log_latency": (means, sds)}

    With an objective, accuracy and latency have a model each and the reward follows from them: latency is nearly
    free of noise, and simpler than a reward. Without one, the reward is modelled. Models are Gaussian processes
    (`GaussianProcess`) on the choices and on counts that cost nothing (`FeatureMap`). A batch is taken one by one,
    each as if the ones before had come out as predicted (kriging believer, Ginsbourger et al. 2010), and so had those
    that were proposed and are not told yet.

    Trials of each state: COMPLETE ones teach all. INFEASIBLE ones teach the latency, where it was measured. FAILED
    and INFEASIBLE ones teach which networks cannot be had, and gains are multiplied by the chance that they can;
    their rewards are not looked at. A STOPPED one teaches its latency, and that its accuracy would have stayed below
    that of the best network told that is as quick (without latencies: its reward below the best). What was told
    already, cached trials among it, teaches nothing.

    No network is proposed twice or after it was told, until the whole space is known: then at random.

    From `_MOST` lessons on a fit takes the first 100, the latest 150 and the best; parameters are searched again
    whenever lessons have grown by a tenth. BLAS is held to one thread while it works, because on more the last bits
    of a sum differ.

    Args:
        space: where to search.
        seed: of the controller's own generator.
        objective: what the search maximizes, with its caps; None to learn the reward itself.
        goal: "reward", the expected improvement of the reward; "front", that of the hypervolume of latency and
            accuracy, with the reference at 1.1 times the largest latency and at the lowest accuracy among the first
            `initial` networks that were trained. With a front, the objective gives the caps alone. "both": batches
            for the front and for the reward by turns.
        batch: proposals per ask.
        initial: networks told before the first fit, in which each choice has all its options equally often.
        levels: accuracies at which the search is also to find the fastest network, as those of networks that it
            should surpass. With some, a batch for them takes its turn with those for the goal.
        known_accuracy: accuracies of rows of tokens (networks, choices), where they cost nothing, as those of a
            surrogate: then the latency alone is learnt. It has no effect where the reward itself is modelled.
        warm_start: trials of another run in this space on the same task. Their accuracies count as told; their
            latencies, of whatever device, are the shape of the prior mean, whose scale is learnt. Their networks may
            be proposed.

    Raises:
        SettingsError: a setting is unknown or out of its range, or the space has nothing to choose.
    """

    asynchronous = True

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        objective: Objective | None = None,
        goal: Literal["reward", "front", "both"] = "reward",
        batch: int = 5,
        initial: int = 10,
        levels: Sequence[float] = (),
        known_accuracy: Callable[[TokenArray], Floats] | None = None,
        warm_start: Sequence[Trial] = (),
    ) -> None:
        check_space(space)
        check_whole("batch", batch)
        check_whole("initial", initial, _ENOUGH)
        self.batch = batch
        self._space = space
        self._objective = objective
        self._initial = initial
        self._random = random.Random(seed)
        self._threads = ThreadpoolController()
        self._map = FeatureMap(space)
        self._known = KnownNetworks(space, self._map)
        for level in levels:
            check_number("levels", level, 0, 1)
        self._aims = _aims(goal, objective, initial, tuple(levels))
        self._aim = self._aims[0]  # of the present batch
        self._models: list[TargetModel | KnownTarget] = [
            KnownTarget(target, known_accuracy)
            if target == "accuracy" and known_accuracy
            else TargetModel(target, self._map, prior)
            for target, prior in zip(self._aim.targets, self._aim.priors, strict=True)
        ]
        self._feasible = TargetModel("feasible", self._map, FEASIBLE)
        self._had: list[tuple[Tokens, float]] = []  # 1 where a network could be had, -1 where not
        self._design: list[Tokens] = []
        self._lessons: list[Lesson] = []
        self._told: set[str] = set()
        self._open: dict[Tokens, None] = {}  # proposed and not told, in their order
        self._best: list[str] = []  # ids of told networks, the best first, when last looked at
        self._chosen: list[Lesson] = []  # for the last fit
        self._had_fitted = 0  # how many of `_had` the last fit of what can be had knew
        self._is_ready = False
        self._batches = 0  # that were proposed by the models
        with self._threads.limit(limits=1, user_api="blas"):
            self._start_from([trial for trial in warm_start if trial.state is TrialState.COMPLETE])

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals."""
        with self._threads.limit(limits=1, user_api="blas"):
            picks = self._most_promising(n) if self._is_ready else self._designed(n)
            picks += [self._known.take_random(self._random) for _ in range(n - len(picks))]
            self._open |= dict.fromkeys(picks)
            return picks

    def tell(self, trials: Sequence[Trial]) -> dict[str, Any] | None:
        """Learn; gives what the models are like, by target, once there are any."""
        rewards_of(trials)
        for trial in trials:
            self._open.pop(trial.tokens, None)
        with self._threads.limit(limits=1, user_api="blas"):
            lessons = [lesson for trial in trials if (lesson := self._lesson(trial))]
            self._lessons += lessons
            if lessons and self._is_enough():
                self._fit()
            return {model.name: model.summary() for model in self._models} if self._is_ready else None

    def best(self) -> Trial | None:
        """The trained network with the highest predicted reward, not the luckiest; None before the first fit.

        With `goal="front"` and an objective the reward is the objective's; without one, the highest accuracy.
        """
        whole = self._whole()
        if not self._is_ready or not whole:
            return None
        with self._threads.limit(limits=1, user_api="blas"):
            predicted = self._predicted(rows_of(self._map, [trial.tokens for trial in whole]))
        aim = ObjectiveReward(self._objective) if self._objective else PlainReward()
        return whole[aim.order(predicted)[0]]

    def front(self) -> list[Trial]:
        """The trained networks on the front of predicted latency and accuracy, by rising latency.

        Without an objective and with `goal="reward"`, where neither is modelled: empty, as before the first fit.
        """
        whole = self._whole()
        if not self._is_ready or not whole or len(self._models) < 2:
            return []
        with self._threads.limit(limits=1, user_api="blas"):
            predicted = self._predicted(rows_of(self._map, [trial.tokens for trial in whole]))
        return [whole[index] for index in Front(self._initial, None).order(predicted)]

    def predict(self, networks: Iterable[Architecture | Tokens]) -> dict[str, Prediction]:
        """Means and standard deviations without noise, each (networks,), by "accuracy" (a fraction) and
        "log_latency" (of milliseconds), or by "reward".

        Raises:
            ValueError: nothing was fitted yet.
            SettingsError: an architecture or tokens outside the space.
        """
        if not self._is_ready:
            raise ValueError(f"there is no prediction before {self._initial} trials were told: tell more first")
        tokens = [self._space.encode(n) if isinstance(n, Architecture) else tuple(n) for n in networks]
        for answers in tokens:
            self._space.check(answers)
        with self._threads.limit(limits=1, user_api="blas"):
            found = dict(zip(self._aim.targets, self._predicted(rows_of(self._map, tokens)), strict=True))
        if "latency_ms" in found:
            mean, sd = found.pop("latency_ms")
            found["log_latency"] = np.log(mean), sd / mean
        return found

    def snapshot(self) -> dict[str, Any]:
        """What the models found, what is proposed and not told, and the generator's state."""
        places = {id(lesson): place for place, lesson in enumerate(self._lessons)}
        stopped = [one for one in self._lessons if one.is_own and one.trial.state is TrialState.STOPPED]
        told = {tokens for tokens, _ in self._had} | {lesson.trial.tokens for lesson in stopped}
        return {
            "random": packed_random(self._random),
            "design": self._design,
            "open": list(self._open),
            "known": self._known.beside(told),
            "stopped": [[lesson.trial.number, lesson.values, lesson.extra] for lesson in stopped],
            "best": self._best,
            "batches": self._batches,
            "turns": [aim.turn for aim in self._aims],
            "chosen": [places[id(lesson)] for lesson in self._chosen],
            "models": [model.snapshot() for model in self._models] if self._is_ready else [],
            "had_fitted": self._had_fitted,
            "feasible": self._feasible.snapshot() if self._had_fitted else None,
        }

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Go on as the controller of the snapshot."""
        generator = unpacked_random(snapshot["random"])
        design, opened, known = (unpacked_tokens(snapshot[name]) for name in ("design", "open", "known"))
        stopped = {number: (tuple(values), tuple(extra)) for number, values, extra in snapshot["stopped"]}
        turns, models, batches = snapshot["turns"], snapshot["models"], int(snapshot["batches"])
        self._had_fitted, self._best = int(snapshot["had_fitted"]), list(snapshot["best"])
        self._random, self._design, self._batches, self._open = generator, design, batches, dict.fromkeys(opened)
        self._known.take_all({trial.tokens: trial.architecture.id for trial in told}, known)
        for trial in filter(self._is_new, told):
            lesson = _lesson(trial, *stopped.get(trial.number, self._values(trial)))
            self._lessons += [lesson] if lesson else []
        self._chosen = [self._lessons[place] for place in snapshot["chosen"]]
        self._aim = self._aims[max(0, batches - 1) % len(self._aims)]
        for aim, turn in zip(self._aims, turns, strict=True):
            aim.turn = int(turn)
        self._is_ready = bool(models)
        with self._threads.limit(limits=1, user_api="blas"):
            if self._is_ready:
                for model, found, taught in zip(self._models, models, self._taught(), strict=True):
                    model.restore(found, *taught)
            if self._had_fitted:
                self._feasible.restore(snapshot["feasible"], *self._had_by(self._had_fitted))

    def _start_from(self, trials: Sequence[Trial]) -> None:
        """What another run knew: accuracies as lessons, the last target (latency or reward) as prior mean."""
        known = [(trial, self._aim.values(trial)) for trial in trials]
        usable = [(trial, values) for trial, values in known if None not in values]
        if len(usable) < _ENOUGH:
            return
        rows = rows_of(self._map, [trial.tokens for trial, _ in usable])
        last = np.array([values[-1] for _, values in usable], dtype=np.float64)
        latest = self._models[-1]
        assert isinstance(latest, TargetModel)  # the latency or the reward, which no one knows
        latest.start_from(rows, last, self._aim.priors[-1])
        if len(self._models) > 1:
            nothing = (0.0,) * len(self._models)
            self._lessons += [Lesson(trial, (*values[:-1], None), nothing, is_own=False) for trial, values in usable]

    def _designed(self, n: int) -> list[Tokens]:
        """The next of the spread design; fewer where its networks are known."""
        if not self._design:
            sizes = [len(choice.options) for choice in self._space.choices]
            self._design = spread_design(sizes, self._initial, self._random)
        drawn, self._design = self._design[:n], self._design[n:]
        return [tokens for tokens in drawn if self._known.take(tokens)]

    def _lesson(self, trial: Trial) -> Lesson | None:
        """What a trial teaches; None where it teaches nothing new."""
        if not self._is_new(trial):
            return None
        self._known.take(trial.tokens, trial.architecture)
        values, extra = self._values(trial)
        if trial.state is TrialState.STOPPED and self._is_ready:
            values, extra = self._stopped(trial, values)
        return _lesson(trial, values, extra)

    def _is_new(self, trial: Trial) -> bool:
        """Note what became of a network; False where it was told before."""
        if trial.architecture.id in self._told:
            return False
        self._told.add(trial.architecture.id)
        if trial.state is not TrialState.STOPPED:
            self._had.append((trial.tokens, 1.0 if trial.state is TrialState.COMPLETE else -1.0))
        return True

    def _values(self, trial: Trial) -> tuple[tuple[float | None, ...], tuple[float, ...]]:
        return self._aim.values(trial), (0.0,) * len(self._models)

    def _stopped(
        self, trial: Trial, values: tuple[float | None, ...]
    ) -> tuple[tuple[float | None, ...], tuple[float, ...]]:
        """The first target (accuracy or reward) as expected below the ceiling that stopping puts on it."""
        extra = (0.0,) * len(values)
        ceiling = self._aim.ceiling(trial, self._whole())
        if ceiling is None:
            return values, extra
        mean, sd = self._models[0].predict(rows_of(self._map, [trial.tokens]))
        value, variance = below(float(mean[0]), float(sd[0]), ceiling)
        return (value, *values[1:]), (variance, *extra[1:])

    def _whole(self) -> list[Trial]:
        return [lesson.trial for lesson in self._lessons if lesson.is_whole]

    def _is_enough(self) -> bool:
        return self._is_ready or (len(self._whole()) >= _ENOUGH and len(self._lessons) >= self._initial)

    def _fit(self) -> None:
        self._chosen = selected(self._lessons, _MOST, self._best)
        for model, taught in zip(self._models, self._taught(), strict=True):
            model.fit(*taught, len(self._lessons))
        if self._is_doubtful():
            self._had_fitted = len(self._had)
            self._feasible.fit(*self._had_by(self._had_fitted), self._had_fitted)
        self._is_ready = True

    def _taught(self) -> Iterator[tuple[Rows, Floats, Floats]]:
        """Per target, of the chosen lessons those that teach it: rows, values, variances beyond the noise."""
        rows = rows_of(self._map, [lesson.trial.tokens for lesson in self._chosen])
        for target in range(len(self._models)):
            taught = [(i, v, lesson.extra[target]) for i, lesson in enumerate(self._chosen)
                      if (v := lesson.values[target]) is not None]  # fmt: skip
            places, values, extra = (np.array(column) for column in zip(*taught, strict=True))
            yield rows[places], values, extra

    def _had_by(self, count: int) -> tuple[Rows, Floats, Floats]:
        """The latest of the first `count` networks, and whether they could be had."""
        had = self._had[:count][-_MOST:]
        rows = rows_of(self._map, [tokens for tokens, _ in had])
        return rows, np.array([value for _, value in had]), np.zeros(len(had))

    def _is_doubtful(self) -> bool:
        """Whether some of the latest networks could not be had."""
        return any(value < 0 for _, value in self._had[-_MOST:])

    def _predicted(self, rows: Rows) -> list[Prediction]:
        return [model.predict(rows) for model in self._models]

    def _chance(self, rows: Rows) -> Floats:
        """That networks can be had: trained, measured, within the caps."""
        if not self._had_fitted or not self._is_doubtful():
            return np.ones(len(rows))
        return np.clip((1 + self._feasible.predict(rows)[0]) / 2, _LEAST_CHANCE, 1.0)

    def _gain(self, rows: Rows) -> Floats:
        return np.asarray(self._aim.gain(self._predicted(rows)) * self._chance(rows))

    def _most_promising(self, n: int) -> list[Tokens]:
        """The batch that is expected to add the most."""
        self._aim = self._aims[self._batches % len(self._aims)]
        self._batches += 1
        whole = [lesson.trial for lesson in self._chosen if lesson.is_whole]
        rows = rows_of(self._map, [trial.tokens for trial in whole])
        predicted = self._predicted(rows)
        self._aim.look(self._whole()[: self._initial], predicted)
        order = self._aim.order(predicted)
        self._best = [whole[index].architecture.id for index in order]
        self._believe()
        starts = np.array([whole[index].tokens for index in order[:_STARTS]], dtype=np.int64)
        pool = CandidatePool(self._map, self._gain, self._known.codes, self._random)
        pool.add(np.concatenate([starts, self._map.sample(_STARTS, self._random)]))
        pool.grow(_ROUNDS if len(self._lessons) < _LATE else _LATE_ROUNDS)
        return self._batch_of(*pool.best(_SHORTLIST), n)

    def _believe(self) -> None:
        """Go on as if what is open had come out as predicted."""
        if self._open:
            predicted = self._predicted(rows_of(self._map, list(self._open)))
            for means in zip(*(mean.tolist() for mean, _ in predicted), strict=True):
                self._aim.believe(means)

    def _batch_of(self, tokens: TokenArray, rows: Rows, n: int) -> list[Tokens]:
        """Up to `n` of these networks, each the best as if those before had come out as predicted."""
        picks: list[Tokens] = []
        if not len(tokens):
            return picks
        means, chance = [mean for mean, _ in self._predicted(rows)], self._chance(rows)
        covariances = self._covariances(rows)
        left = np.ones(len(tokens), dtype=bool)
        while len(picks) < n and left.any():
            sds = [np.sqrt(np.maximum(np.diagonal(c), 1e-14)) for c in covariances]
            gain = self._aim.gain(list(zip(means, sds, strict=True))) * chance
            index = int(ranked(np.where(left, gain, -np.inf))[0])
            left[index] = False
            pick = tuple(tokens[index].tolist())
            if not self._known.take(pick) or self._is_too_large(pick):
                continue
            picks.append(pick)
            self._aim.believe([float(mean[index]) for mean in means])
            covariances = [
                _given(covariance, index, model.noise)
                for covariance, model in zip(covariances, self._models, strict=True)
            ]
        return picks

    def _covariances(self, rows: Rows) -> list[Floats]:
        """Of each target, (networks, networks), once what is open is observed."""
        if not self._open:
            return [model.posterior(rows) for model in self._models]
        together = rows_of(self._map, [*self._open, *map(tuple, rows.tokens.tolist())])
        found = []
        for model in self._models:
            covariance = model.posterior(together)
            for index in range(len(self._open)):
                covariance = _given(covariance, index, model.noise)
            found.append(covariance[len(self._open) :, len(self._open) :])
        return found

    def _is_too_large(self, tokens: Tokens) -> bool:
        """Whether a count is above its cap, which needs no trial to know."""
        caps = self._objective.caps if self._objective else None
        if caps is None or all(getattr(caps, name) is None for name in _COUNTED_CAPS):
            return False
        network = self._space.decode(tokens)
        memory = peak_activation_bytes(network)
        counts = Measurement(
            count_params(network), count_madds(network), weight_bytes(network), peak_activation_bytes=memory
        )
        return bool(caps.violations(counts))


def _aims(goal: str, objective: Objective | None, initial: int, levels: Sequence[float]) -> list[Aim]:
    """What batches are for, by turns; all of them model the same values."""
    if goal not in ("reward", "front", "both"):
        raise did_you_mean("goal", str(goal), ["reward", "front", "both"])
    if objective is None and (goal == "both" or (levels and goal == "reward")):
        raise SettingsError(f"goal {goal!r} needs an objective here, whose reward follows from accuracy and latency")
    aims: list[Aim] = [] if goal == "reward" else [Front(initial, objective)]
    if goal != "front":
        aims.append(ObjectiveReward(objective) if objective else PlainReward())
    return aims + ([Levels(levels, objective)] if levels else [])


def _lesson(trial: Trial, values: tuple[float | None, ...], extra: tuple[float, ...]) -> Lesson | None:
    return None if all(value is None for value in values) else Lesson(trial, values, extra)


def _given(covariance: Floats, index: int, noise: float) -> Floats:
    """Covariances once the network at `index` is observed."""
    column = covariance[:, index]
    return np.asarray(covariance - np.outer(column, column) / (column[index] + noise**2 + 1e-14))
