"""The policies of `reinforce` and `ppo`: probability distributions over tokens that a gradient can change.

A policy is a torch module with `sample` and `forward`; what both controllers compute from it are functions.
Everything runs on one CPU thread and from a generator of its own, so that a seed gives the same bits on
every number of threads (measured: the embeddings' gradients differ between one thread and two).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mnas.controllers._snapshot import packed, unpacked
from mnas.space import SearchSpace, Tokens

_IMPOSSIBLE = -1e9  # the logit of an option that a choice does not have; -inf would make 0 * log 0 a NaN


class RecurrentPolicy(nn.Module):
    """An LSTM that answers one choice after the other, each softmax fed with the answer before it.

    Zoph & Le 2017, section 3.1, and Zoph et al. 2018 (NASNet), Appendix A.2: one layer, one softmax per
    decision, weights from U(-init_range, init_range).
    """

    def __init__(self, space: SearchSpace, hidden: int, init_range: float, generator: torch.Generator) -> None:
        super().__init__()
        mask = options_mask(space)
        choices, options = mask.shape
        # Made on the meta device, so that its own initialization draws nothing from torch's global generator.
        self.lstm = nn.LSTM(hidden, hidden, device="meta", dtype=torch.float32).to_empty(device="cpu")
        self.start = _parameter(hidden)
        self.embeddings = _parameter(choices, options, hidden)  # of each answer to each choice
        self.weights = _parameter(choices, hidden, options)
        self.biases = _parameter(choices, 1, options)
        self.mask: Tensor
        self.register_buffer("mask", mask)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -init_range, init_range, generator=generator)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Tokens of `n` proposals, (n, choices)."""
        inputs, state, answers = self.start.expand(1, n, -1), None, []
        for choice in range(len(self.mask)):
            outputs, state = self.lstm(inputs, state)
            logits = outputs[0] @ self.weights[choice] + self.biases[choice] + self.mask[choice]
            answer = torch.multinomial(logits.softmax(-1), 1, generator=generator)[:, 0]  # (n,)
            inputs = self.embeddings[choice, answer][None]
            answers.append(answer)
        return torch.stack(answers, dim=1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities of every option given the answers before it: (n, choices) -> (choices, n, options)."""
        earlier = self.embeddings[torch.arange(len(self.mask) - 1), tokens[:, :-1]]  # (n, choices - 1, hidden)
        inputs = torch.cat([self.start.expand(1, len(tokens), -1), earlier.transpose(0, 1)])
        outputs, _ = self.lstm(inputs)  # (choices, n, hidden)
        logits = torch.bmm(outputs, self.weights) + self.biases + self.mask[:, None]
        return logits.log_softmax(-1)


class IndependentPolicy(nn.Module):
    """One softmax per choice that knows nothing of the others, uniform at first (as in Bender et al. 2020)."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        mask = options_mask(space)
        self.logits = nn.Parameter(torch.zeros_like(mask))
        self.mask: Tensor
        self.register_buffer("mask", mask)

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Tokens of `n` proposals, (n, choices)."""
        probabilities = (self.logits + self.mask).softmax(-1).repeat(n, 1)  # (n * choices, options)
        return torch.multinomial(probabilities, 1, generator=generator).view(n, -1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probabilities of every option: (n, choices) -> (choices, n, options)."""
        logits = (self.logits + self.mask).log_softmax(-1)
        return logits[:, None].expand(-1, len(tokens), -1)


Policy = RecurrentPolicy | IndependentPolicy


def options_mask(space: SearchSpace) -> Tensor:
    """What to add to logits so that no choice gives an option it does not have: (choices, most options)."""
    sizes = torch.tensor([len(choice.options) for choice in space.choices], device="cpu")
    beyond = torch.arange(int(sizes.max()), device="cpu") >= sizes[:, None]
    return torch.zeros(beyond.shape, dtype=torch.float32, device="cpu").masked_fill(beyond, _IMPOSSIBLE)


def joint_log_probability(log_probabilities: Tensor, tokens: Tensor) -> Tensor:
    """Log of the product of the softmaxes at the tokens: (n,)."""
    return log_probabilities.gather(2, tokens.t()[..., None]).sum(dim=(0, 2))


def entropy(log_probabilities: Tensor) -> Tensor:
    """Entropy of the softmaxes that led to each proposal, summed over the choices, in nats: (n,).

    Its mean over proposals estimates the entropy of the policy over whole architectures.
    """
    return -(log_probabilities.exp() * log_probabilities).sum(dim=(0, 2))


def summary(space: SearchSpace, log_probabilities: Tensor, baseline: float) -> dict[str, Any]:
    """What a run keeps of an update: each choice's marginal probabilities, the baseline and the entropy.

    A marginal is the mean of the softmaxes at the prefixes that were sampled, an unbiased estimate.
    """
    means = log_probabilities.detach().exp().mean(dim=1).tolist()
    return {
        "probabilities": {
            choice.name: [round(p, 4) for p in row[: len(choice.options)]]
            for choice, row in zip(space.choices, means, strict=True)
        },
        "baseline": baseline,
        "entropy": float(entropy(log_probabilities.detach()).mean()),
    }


def moved_baseline(baseline: float, rewards: Sequence[float], decay: float) -> float:
    """The exponential moving average after these rewards, one by one."""
    for reward in rewards:
        baseline = decay * baseline + (1 - decay) * reward
    return baseline


def to_tokens(answers: Tensor) -> list[Tokens]:
    """(n, choices) -> one token tuple per proposal."""
    return [tuple(row) for row in answers.tolist()]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one thread and recording gradients, whatever the caller has set; the caller's threads afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)


def learning_state(policy: Policy, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> dict[str, Any]:
    """What a policy has learnt, with the state of its optimizer and of the generator, as JSON values."""
    return {
        "policy": {name: packed(value.numpy()) for name, value in policy.state_dict().items()},
        "optimizer": [
            {name: packed(value.numpy()) for name, value in optimizer.state[parameter].items()}
            for parameter in policy.parameters()
            if parameter in optimizer.state
        ],
        "generator": packed(generator.get_state().numpy()),
    }


def take_learning_state(
    policy: Policy, optimizer: torch.optim.Optimizer, generator: torch.Generator, state: Mapping[str, Any]
) -> None:
    """The inverse of `learning_state`, for parts made alike.

    Raises:
        KeyError, ValueError: it is of another policy; nothing is changed then.
    """
    weights = {name: _tensor(value) for name, value in state["policy"].items()}
    shapes = {name: tuple(value.shape) for name, value in policy.state_dict().items()}
    if {name: tuple(value.shape) for name, value in weights.items()} != shapes:
        raise ValueError(f"a policy of these weights should be restored: {shapes}")
    moments = [{name: _tensor(value) for name, value in row.items()} for row in state["optimizer"]]
    drawn = _tensor(state["generator"])
    policy.load_state_dict(weights)
    optimizer.state.update(zip(policy.parameters(), moments, strict=False))  # before the first update there are none
    generator.set_state(drawn)


def _tensor(value: Mapping[str, Any]) -> Tensor:
    return torch.from_numpy(unpacked(value))


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(*shape, dtype=torch.float32, device="cpu"))
