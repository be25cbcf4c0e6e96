"""OptunaController: any sampler of Optuna as a controller. Needs `pip install 'mnas[optuna]'`."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from mnas.controllers._checks import check_space, check_whole, rewards_of
from mnas.errors import SettingsError, did_you_mean, needs_extra
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial, TrialState

if TYPE_CHECKING:
    import optuna

_GOALS = ("reward", "front")


class OptunaController:
    """A study of Optuna in memory, asked and told; each choice of the space is one of its parameters.

        OptunaController(space, seed=0, sampler="TPESampler", sampler_options={"multivariate": True})
        OptunaController(space, seed=0, sampler="NSGAIISampler", goal="front")

    `study` is the study itself, for Optuna's own plots.

    Trials told: COMPLETE ones by their reward, or by accuracy and latency with goal "front". INFEASIBLE ones
    by their reward, which is that of an accuracy of zero, or by an accuracy of zero at their latency; where it
    was not measured, as failed. STOPPED ones as pruned at their reward; as failed with goal "front", for which
    Optuna prunes nothing. FAILED ones as failed. Cached ones like the trial they repeat. What was not asked
    of this study is added to it, which is how a search starts from another's trials.

    Args:
        space: where to search.
        seed: of the sampler.
        sampler: a class of `optuna.samplers`.
        sampler_options: its keyword arguments, without the seed.
        goal: "reward" maximizes the reward, "front" accuracy and, with as much weight, minus latency.
        encoding: "categories" asks for tokens by `suggest_categorical`; "numbers" by `suggest_int`, for
            samplers that know no categories, such as CmaEsSampler.
        batch: proposals per ask. Optuna's samplers learn between asks alone, so one is the most frugal.

    Raises:
        SettingsError: Optuna is not installed, the sampler is unknown or refuses its options, another
            setting is out of its range, or the space has nothing to choose.
    """

    asynchronous = True  # as Optuna's own workers are

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        sampler: str = "TPESampler",
        sampler_options: Mapping[str, Any] | None = None,
        goal: Literal["reward", "front"] = "reward",
        encoding: Literal["categories", "numbers"] = "categories",
        batch: int = 1,
    ) -> None:
        check_space(space)
        check_whole("batch", batch)
        if goal not in _GOALS:
            raise did_you_mean("goal", str(goal), _GOALS)
        if encoding not in ("categories", "numbers"):
            raise did_you_mean("encoding", str(encoding), ["categories", "numbers"])
        self.batch = batch
        self._goal = goal
        self._sizes = {choice.name: len(choice.options) for choice in space.choices}
        self._distributions = _distributions(self._sizes, encoding)
        self._pending: deque[tuple[Tokens, optuna.trial.Trial]] = deque()
        made = _sampler(sampler, dict(sampler_options or {}), seed)
        with _quiet():
            self.study = _optuna().create_study(
                sampler=made, directions=["maximize"] if goal == "reward" else ["maximize", "minimize"]
            )

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals."""
        return [self._ask() for _ in range(n)]

    def tell(self, trials: Sequence[Trial]) -> None:
        """The trials are told to the study."""
        rewards_of(trials)  # refuses what is not finite
        for trial in trials:
            asked = self._asked(trial.tokens)
            if asked is None:
                self._add(trial)
            else:
                self._finish(asked, trial)

    def _ask(self) -> Tokens:
        try:
            trial = self.study.ask(self._distributions)
        except ImportError as error:  # some samplers look for their own packages only now
            raise SettingsError(f"this sampler of Optuna needs {error.name}: pip install {error.name}") from error
        tokens = tuple(int(trial.params[name]) for name in self._sizes)
        self._pending.append((tokens, trial))
        return tokens

    def _asked(self, tokens: Tokens) -> optuna.trial.Trial | None:
        """The study's trial that proposed the tokens and is not told yet, the earliest of several."""
        for place, (proposed, trial) in enumerate(self._pending):
            if proposed == tokens:
                del self._pending[place]
                return trial
        return None

    def _finish(self, asked: optuna.trial.Trial, trial: Trial) -> None:
        state, values = self._outcome(trial)
        if state is _states().PRUNED:
            asked.report(trial.reward, step=len(trial.curve))
        self.study.tell(asked, values=values, state=state)

    def _add(self, trial: Trial) -> None:
        """A trial that the study did not ask for."""
        state, values = self._outcome(trial)
        self.study.add_trial(
            _optuna().trial.create_trial(
                state=state,
                values=values,
                params=dict(zip(self._sizes, trial.tokens, strict=True)),
                distributions=self._distributions,
                intermediate_values={len(trial.curve): trial.reward} if state is _states().PRUNED else None,
            )
        )

    def _outcome(self, trial: Trial) -> tuple[optuna.trial.TrialState, list[float] | None]:
        """The state and the values that the study is told."""
        states = _states()
        if trial.state is TrialState.FAILED:
            return states.FAIL, None
        if trial.state is TrialState.STOPPED:
            return (states.PRUNED if self._goal == "reward" else states.FAIL), None
        if self._goal == "reward":
            return states.COMPLETE, [trial.reward]
        if trial.latency_ms is None:
            return states.FAIL, None
        accuracy = trial.accuracy if trial.state is TrialState.COMPLETE else None
        return states.COMPLETE, [accuracy or 0.0, trial.latency_ms]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise needs_extra("optuna", "optuna") from error
    return optuna


def _states() -> Any:
    return _optuna().trial.TrialState


def _sampler(name: str, options: dict[str, Any], seed: int) -> Any:
    samplers = _optuna().samplers
    known = [known for known in dir(samplers) if known.endswith("Sampler") and not known.startswith("Base")]
    if name not in known:
        raise did_you_mean("sampler of Optuna:", str(name), known)
    factory = getattr(samplers, name)
    if "seed" in options:
        raise SettingsError(
            f"sampler_options should leave the seed to the controller, got seed = {options['seed']!r}"
        )
    if "seed" in inspect.signature(factory).parameters:
        options["seed"] = seed
    try:
        return factory(**options)
    except (TypeError, ValueError, ImportError) as error:
        raise SettingsError(f"optuna.samplers.{name} refuses its options {options}: {error}") from error


def _distributions(sizes: Mapping[str, int], encoding: str) -> dict[str, Any]:
    made = _optuna().distributions
    if encoding == "numbers":
        return {name: made.IntDistribution(0, size - 1) for name, size in sizes.items()}
    return {name: made.CategoricalDistribution(tuple(range(size))) for name, size in sizes.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line about a new study, whatever level the caller has set; that level afterwards."""
    logging = _optuna().logging
    level = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        yield
    finally:
        logging.set_verbosity(level)
