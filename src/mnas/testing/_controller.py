"""What every controller promises."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

from mnas.controllers import Controller, Resumable, is_asynchronous
from mnas.space import BlockChoices, BlockSpace, Head, SearchSpace, Stem, Tokens, mnasnet_layerwise_space
from mnas.testing._state import another_process_state, unchanged_global_state
from mnas.testing._trials import simulated_trial
from mnas.trial import Trial, TrialState

_FIXED = BlockChoices(16, 1, 1, ("sepconv",), (3,), (0,), ("none",), (1,), (0,))


def one_choice_space() -> SearchSpace:
    """A space of two architectures."""
    row = BlockChoices(16, 1, 1, ("sepconv",), (3, 5), (0,), ("none",), (1,), (0,))
    return BlockSpace("one choice", (row,), stem=Stem(filters=8), head=Head(16, 4), resolution=32)


def small_space() -> SearchSpace:
    """Two blocks whose choices have two, three and four options."""
    row = BlockChoices(16, 2, 2, se_ratios=(0,))
    return BlockSpace("small", (row, _FIXED, row), stem=Stem(filters=8), head=Head(16, 4), resolution=32)


class ControllerConformance:
    """Tests for a controller: subclass it and give `make`.

    class TestMyController(ControllerConformance):
        def make(self, space, seed):
            return MyController(space, seed)
    """

    rounds = 4  # of ask and tell, before a controller is compared

    def make(self, space: SearchSpace, seed: int) -> Controller:
        """A new controller in that space."""
        raise NotImplementedError("give make(self, space, seed), which returns the controller to test")

    def test_batch_says_how_many_to_ask(self) -> None:
        """`batch` is a whole number from 1, and does not change."""
        controller = self.make(small_space(), 0)
        batch = controller.batch
        assert isinstance(batch, int)
        assert batch >= 1
        self._search(controller, small_space(), self.rounds)
        assert controller.batch == batch

    @pytest.mark.parametrize(
        "space", [one_choice_space(), small_space(), mnasnet_layerwise_space()], ids=lambda s: s.name
    )
    def test_proposals_are_in_range_in_every_space(self, space: SearchSpace) -> None:
        """ask(n) gives n tuples of one int per choice, each in range, at first and after learning."""
        controller = self.make(space, 0)
        number = 0
        for n in (controller.batch, 1, controller.batch + 3, 2):
            proposals = controller.ask(n)
            assert len(proposals) == n
            for tokens in proposals:
                assert isinstance(tokens, tuple)
                assert all(type(token) is int for token in tokens)
                space.check(tokens)
            controller.tell(self._finished(space, number, proposals))
            number += n

    def test_the_same_seed_gives_the_same_search(self) -> None:
        """Two controllers made alike and told the same propose the same and summarize the same."""
        assert self._course(seed=3) == self._course(seed=3)

    def test_another_seed_gives_another_search(self) -> None:
        """The seed matters: fifty proposals in a space of 46,656 are not the same by chance."""
        space = small_space()
        assert self.make(space, 0).ask(50) != self.make(space, 1).ask(50)

    def test_replay_ends_where_the_search_stood(self) -> None:
        """A fresh controller that replays the asks and tells of a stopped search goes on as if it never stopped."""
        space = small_space()
        stopped = self.make(space, 5)
        trials = self._search(stopped, space, self.rounds)
        replayed = self.make(space, 5)
        for start in range(0, len(trials), replayed.batch):
            told = trials[start : start + replayed.batch]
            assert replayed.ask(len(told)) == [trial.tokens for trial in told]
            # Trials come back from storage: equal, not identical.
            replayed.tell([Trial.from_dict(json.loads(json.dumps(trial.to_dict()))) for trial in told])
        assert replayed.ask(replayed.batch) == stopped.ask(stopped.batch)

    def test_an_ask_without_a_tell_is_replayed_alike(self) -> None:
        """A crash between ask and tell: asked again for as many, the fresh controller proposes the same."""
        space = small_space()
        crashed, fresh = self.make(space, 1), self.make(space, 1)
        for controller in (crashed, fresh):
            self._search(controller, space, self.rounds)
        assert crashed.ask(7) == fresh.ask(7)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_snapshot_is_what_a_replay_gives(self, seed: int) -> None:
        """A fresh controller with a snapshot proposes and learns as the one that it is of, what is open included."""
        space = small_space()
        first, second = self.make(space, seed), self.make(space, seed)
        if not isinstance(first, Resumable) or not isinstance(second, Resumable):
            pytest.skip("it stores no state; its searches are replayed")
        told: list[Trial] = []
        for rounds in (0, 1, self.rounds):
            told += self._search(first, space, rounds, start=len(told))
            opened = first.ask(2)
            stored = json.dumps(first.snapshot(), allow_nan=False)
            second = self.make(space, seed)
            assert isinstance(second, Resumable)
            second.restore(json.loads(stored), [Trial.from_dict(json.loads(json.dumps(t.to_dict()))) for t in told])
            assert json.dumps(second.snapshot(), allow_nan=False) == stored
            trials = self._finished(space, len(told), opened)
            assert first.tell(trials) == second.tell(trials)
            told += trials
        for _ in range(self.rounds):
            proposals = first.ask(first.batch)
            assert second.ask(first.batch) == proposals
            trials = self._finished(space, len(told), proposals)
            assert first.tell(trials) == second.tell(trials)
            told += trials

    def test_an_asynchronous_controller_is_told_in_any_order_and_grouping(self) -> None:
        """Told while others are open, and replayed alike: one that says `asynchronous = True` promises both."""
        space, chance = small_space(), random.Random(11)
        controller, replayed = self.make(space, 2), self.make(space, 2)
        if not is_asynchronous(controller):
            pytest.skip("it is told whole batches, in their order")
        still_open: list[Trial] = []
        number = 0
        for _ in range(8 * self.rounds):
            n = chance.randint(1, 3)
            proposals = controller.ask(n)
            assert replayed.ask(n) == proposals
            still_open += self._finished(space, number, proposals)
            number += n
            told = chance.sample(still_open, chance.randint(0, min(4, len(still_open))))
            if told:
                assert controller.tell(told) == replayed.tell(told)
            still_open = [trial for trial in still_open if trial not in told]
        assert still_open, "some were always open"
        for tokens in controller.ask(controller.batch):
            space.check(tokens)

    def test_a_search_does_not_hang_on_the_process(self) -> None:
        """Global seeds, torch's threads and what else the process draws change no proposal and no summary."""
        plain = self._course(seed=0)
        with another_process_state():
            assert self._course(seed=0) == plain

    def test_global_state_is_left_alone(self) -> None:
        """Making, asking and telling change no global generator and no number of threads."""
        space = small_space()
        with unchanged_global_state():
            self._search(self.make(space, 0), space, self.rounds)

    @pytest.mark.parametrize("state", list(TrialState))
    @pytest.mark.parametrize("cached", [False, True], ids=["fresh", "cached"])
    def test_trials_of_every_state_are_learnt_from(self, state: TrialState, cached: bool) -> None:
        """Batches wholly of one state, mixed ones and cached ones: the controller goes on proposing in range."""
        space = small_space()
        controller = self.make(space, 0)
        for states in ([state], [state, TrialState.COMPLETE], [state]):
            proposals = controller.ask(controller.batch)
            trials = [
                simulated_trial(space, i, tokens, states[i % len(states)], cached)
                for i, tokens in enumerate(proposals)
            ]
            controller.tell(trials)
        for tokens in controller.ask(controller.batch):
            space.check(tokens)

    def test_a_short_batch_is_learnt_from(self) -> None:
        """A search may end within a batch, and be extended: one trial is a batch too."""
        space = small_space()
        controller = self.make(space, 0)
        for number in range(3):
            controller.tell(self._finished(space, number, controller.ask(1)))
        assert len(controller.ask(controller.batch)) == controller.batch

    def test_summaries_are_small_plain_json(self) -> None:
        """tell gives None or a dict without NaN; "probabilities" holds one distribution per choice by name."""
        space = small_space()
        controller = self.make(space, 0)
        for number in range(self.rounds):
            summary = controller.tell(self._finished(space, number, controller.ask(controller.batch)))
            if summary is None:
                continue
            assert len(json.dumps(summary, allow_nan=False)) < 100_000
            if "probabilities" in summary:
                self._assert_distributions(space, summary["probabilities"])

    @staticmethod
    def _assert_distributions(space: SearchSpace, probabilities: dict[str, list[float]]) -> None:
        assert list(probabilities) == [choice.name for choice in space.choices]
        for choice in space.choices:
            assert len(probabilities[choice.name]) == len(choice.options)
            assert all(0 <= p <= 1 for p in probabilities[choice.name])
            assert sum(probabilities[choice.name]) == pytest.approx(1, abs=0.01)

    @staticmethod
    def _finished(space: SearchSpace, number: int, proposals: Sequence[Tokens]) -> list[Trial]:
        """What a search makes of proposals: of seven trials one fails, one is too slow, one's training ends early."""
        states = {0: TrialState.FAILED, 3: TrialState.STOPPED, 5: TrialState.INFEASIBLE}
        return [
            simulated_trial(space, number + i, tokens, states.get((number + i) % 7, TrialState.COMPLETE))
            for i, tokens in enumerate(proposals)
        ]

    def _course(self, seed: int) -> list[object]:
        """The proposals and summaries of a new controller's search."""
        space = small_space()
        controller = self.make(space, seed)
        course: list[object] = []
        for number in range(self.rounds):
            proposals = controller.ask(controller.batch)
            course += [proposals, controller.tell(self._finished(space, number * controller.batch, proposals))]
        return course

    def _search(self, controller: Controller, space: SearchSpace, rounds: int, start: int = 0) -> list[Trial]:
        trials: list[Trial] = []
        for _ in range(rounds):
            batch = self._finished(space, start + len(trials), controller.ask(controller.batch))
            controller.tell(batch)
            trials += batch
        return trials
