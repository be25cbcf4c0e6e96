"""PPO with a recurrent policy: the controller of the paper.

Tan et al. 2019, section 5, take NASNet's controller; Zoph et al. 2018, Appendix A.2-A.3, say what that is:
an LSTM of one layer with 100 hidden units, one softmax per decision, the joint probability their product,
trained by PPO with learning rate 0.00035, entropy penalty 0.00001, an exponential moving average of previous
rewards as baseline with weight 0.95, weights from U(-0.1, 0.1), and 20 architectures per update.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mnas.controllers._checks import check_number, check_space, check_whole, rewards_of
from mnas.controllers._policy import (
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
from mnas.space import SearchSpace, Tokens
from mnas.trial import Trial


class PPO:
    """Samples proposals from an LSTM and makes those above the baseline more probable.

        controller = PPO(mnasnet_space(), seed=0)
        tokens = controller.ask(20)          # sampled from the policy
        summary = controller.tell(trials)    # a few clipped gradient steps; probabilities, baseline, entropy

    Args:
        space: where to search.
        seed: of the controller's own generator.
        batch: proposals per update.
        hidden_units: of the LSTM.
        learning_rate: of Adam.
        entropy_weight: what a nat of the policy's entropy adds to the reward that is maximized.
        baseline_decay: weight of the past in the moving average of rewards.
        init_range: weights begin uniform between minus and plus this.
        clip: how far a proposal's probability may move from its old one before its gradient stops.
        epochs: gradient steps per update, each on the whole batch.

    Raises:
        SettingsError: a setting is out of its range, or the space has nothing to choose.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        *,
        batch: int = 20,
        hidden_units: int = 100,
        learning_rate: float = 3.5e-4,
        entropy_weight: float = 1e-5,
        baseline_decay: float = 0.95,
        init_range: float = 0.1,
        clip: float = 0.2,  # neither paper gives it: Schulman et al. 2017's
        epochs: int = 4,  # neither paper gives it: within the 3 to 10 of Schulman et al. 2017
    ) -> None:
        check_space(space)
        check_whole("batch", batch)
        check_whole("hidden_units", hidden_units)
        check_whole("epochs", epochs)
        check_number("learning_rate", learning_rate, 0, low_open=True)
        check_number("entropy_weight", entropy_weight, 0)
        check_number("baseline_decay", baseline_decay, 0, 1, high_open=True)
        check_number("init_range", init_range, 0, low_open=True)
        check_number("clip", clip, 0, 1, low_open=True, high_open=True)
        self.batch = batch
        self._space = space
        self._entropy_weight = entropy_weight
        self._baseline_decay = baseline_decay
        self._clip = clip
        self._epochs = epochs
        self._baseline: float | None = None  # begins at the mean of the first rewards
        self._generator = torch.Generator(device="cpu").manual_seed(seed)
        self._policy = RecurrentPolicy(space, hidden_units, init_range, self._generator)
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
            proposed = self._update(tokens, advantages)
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

    def _update(self, tokens: Tensor, advantages: Tensor) -> Tensor:
        """Take the gradient steps; gives the log-probabilities before them, (choices, n, options)."""
        with torch.no_grad():
            proposed: Tensor = self._policy(tokens)
        old = joint_log_probability(proposed, tokens)
        for _ in range(self._epochs):
            current = self._policy(tokens)
            ratios = (joint_log_probability(current, tokens) - old).exp()
            gain = torch.minimum(ratios * advantages, ratios.clamp(1 - self._clip, 1 + self._clip) * advantages)
            loss = -gain.mean() - self._entropy_weight * entropy(current).mean()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        return proposed
