"""REINFORCE (Williams 1992) with a moving-average baseline: one plain policy-gradient step per batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from mnas.controllers._checks import check_number, check_space, check_whole, rewards_of
from mnas.controllers._policy import (
    IndependentPolicy,
    Policy,
    RecurrentPolicy,
    entropy,
    joint_log_probability,
    learning_state,
    moved_baseline,
    one_thread,
    summary,
    take_learning_state,
    to_tokens,
)
from mnas.errors import did_you_mean
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial


class Reinforce:
    """Samples proposals from a policy and steps along reward minus baseline times the gradient of log p.

    Args:
        space: where to search.
        seed: of the controller's own generator.
        policy: "independent", one softmax per choice as in TuNAS (Bender et al. 2020), or "recurrent", PPO's.
        batch: proposals per update.
        learning_rate: of Adam.
        entropy_weight: what a nat of the policy's entropy adds to the reward that is maximized.
        baseline_decay: weight of the past in the moving average of rewards.
        hidden_units: of the recurrent policy's LSTM.
        init_range: the recurrent policy's weights begin uniform between minus and plus this; the independent
            policy begins uniform over the options.

    Raises:
        SettingsError: a setting is unknown or out of its range, or the space has nothing to choose.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        policy: Literal["independent", "recurrent"] = "independent",
        batch: int = 20,
        learning_rate: float = 0.1,
        entropy_weight: float = 1e-5,
        baseline_decay: float = 0.95,
        hidden_units: int = 100,
        init_range: float = 0.1,
    ) -> None:
        check_space(space)
        if policy not in ("independent", "recurrent"):
            raise did_you_mean("policy", str(policy), ["independent", "recurrent"])
        check_whole("batch", batch)
        check_whole("hidden_units", hidden_units)
        check_number("learning_rate", learning_rate, 0, low_open=True)
        check_number("entropy_weight", entropy_weight, 0)
        check_number("baseline_decay", baseline_decay, 0, 1, high_open=True)
        check_number("init_range", init_range, 0, low_open=True)
        self.batch = batch
        self._space = space
        self._entropy_weight = entropy_weight
        self._baseline_decay = baseline_decay
        self._baseline: float | None = None  # begins at the mean of the first rewards
        self._generator = torch.Generator(device="cpu").manual_seed(seed)
        self._policy: Policy
        if policy == "recurrent":
            self._policy = RecurrentPolicy(space, hidden_units, init_range, self._generator)
        else:
            self._policy = IndependentPolicy(space)
        self._optimizer = torch.optim.Adam(self._policy.parameters(), lr=learning_rate)

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals sampled from the policy."""
        with one_thread():
            return to_tokens(self._policy.sample(n, self._generator))

    def tell(self, trials: Sequence[Trial]) -> dict[str, Any] | None:
        """Learn from the trials of the last ask; gives the policy's probabilities, baseline and entropy.

        The probabilities are of the policy that proposed these trials, before it learns from them.
        """
        if not trials:
            return None
        rewards = rewards_of(trials)
        if self._baseline is None:
            self._baseline = sum(rewards) / len(rewards)
        with one_thread():
            tokens = torch.tensor([trial.tokens for trial in trials], device="cpu")
            advantages = torch.tensor([r - self._baseline for r in rewards], dtype=torch.float32, device="cpu")
            proposed = self._step(tokens, advantages)
        self._baseline = moved_baseline(self._baseline, rewards, self._baseline_decay)
        return summary(self._space, proposed, self._baseline)

    def snapshot(self) -> dict[str, Any]:
        """The policy, its optimizer, the baseline and the generator's state."""
        state = learning_state(self._policy, self._optimizer, self._generator)
        return {"baseline": self._baseline, **state}

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Go on as the controller of the snapshot."""
        baseline = snapshot["baseline"]
        take_learning_state(self._policy, self._optimizer, self._generator, snapshot)
        self._baseline = baseline

    def _step(self, tokens: Tensor, advantages: Tensor) -> Tensor:
        """Take one gradient step; gives the log-probabilities before it, (choices, n, options)."""
        proposed: Tensor = self._policy(tokens)
        gain = advantages * joint_log_probability(proposed, tokens)
        loss = -gain.mean() - self._entropy_weight * entropy(proposed).mean()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return proposed
