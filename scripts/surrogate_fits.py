"""The fits behind the shipped surrogates: networks (torch), trees (scikit-learn), per-block tables, error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import kendalltau
from sklearn.ensemble import HistGradientBoostingRegressor

from mnas.surrogates import NO_CHOICE, encoder, network_inputs

BLOCKS, CHOICES_PER_BLOCK = 7, 4

Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MlpRecipe:
    """How an ensemble is trained. Decoupled weight decay is what keeps the small networks from overfitting."""

    members: int = 8
    hidden: int = 24
    epochs: int = 200
    batch: int = 128
    learning_rate: float = 0.01
    weight_decay: float = 0.2
    huber_delta: float = 0.1  # in standard deviations of the target: some trainings went badly
    seed: int = 0


def fit_mlp(inputs: NDArray[np.float32], target: Floats, masks: Sequence[Mask], recipe: MlpRecipe) -> list[Arrays]:
    """One ensemble per mask of training rows, all of them trained at once."""
    scaled = [(float(target[mask].mean()), float(target[mask].std())) for mask in masks]
    y = np.stack([(np.nan_to_num(target) - middle) / scale for middle, scale in scaled]).astype(np.float32)
    first, bias, second, straight, offset = _train(torch.from_numpy(inputs), torch.from_numpy(y), masks, recipe)
    ensembles: list[Arrays] = []
    for index, (middle, scale) in enumerate(scaled):
        own = slice(index * recipe.members, (index + 1) * recipe.members)
        ensembles.append(
            {
                # Hidden units of all members side by side, then one straight output per member.
                "mlp_first": np.concatenate([*first[own], *straight[own]], axis=1).astype(np.float16),
                "mlp_bias": np.concatenate([bias[own].ravel(), offset[own].ravel()]).astype(np.float32),
                "mlp_second": second[own, :, 0].astype(np.float32),
                "mlp_middle": np.array([middle]),
                "mlp_scale": np.array([scale]),
            }
        )
    return ensembles


def _train(
    x: torch.Tensor, y: torch.Tensor, masks: Sequence[Mask], recipe: MlpRecipe
) -> tuple[NDArray[np.float32], ...]:
    generator = torch.Generator().manual_seed(recipe.seed)
    count, size, hidden = len(masks) * recipe.members, x.shape[1], recipe.hidden

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    first, second = normal(count, size, hidden) * 1.5 / size**0.5, normal(count, hidden, 1) * 0.5 / hidden**0.5
    bias, straight, offset = normal(count, 1, hidden) * 0.3, torch.zeros(count, size, 1), torch.zeros(count, 1, 1)
    parts = [part.requires_grad_() for part in (first, bias, second, straight, offset)]
    groups = [
        {"params": [first, second], "weight_decay": recipe.weight_decay},
        {"params": [bias, straight, offset], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    rows = [torch.from_numpy(np.flatnonzero(mask)) for mask in masks]
    owner = [index for index in range(len(masks)) for _ in range(recipe.members)]
    steps = min(map(len, rows)) // recipe.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=0.1
    )
    for _ in range(recipe.epochs):
        shuffled = [rows[own][torch.randperm(len(rows[own]), generator=generator)] for own in owner]
        order = torch.stack([row[: steps * recipe.batch] for row in shuffled])
        for batch in torch.split(order, recipe.batch, dim=1):  # (networks, batch)
            taken = x[batch]
            output = torch.nn.functional.silu(taken @ first + bias) @ second + taken @ straight + offset
            truth = y[owner].gather(1, batch)
            loss = torch.nn.functional.huber_loss(output[..., 0], truth, delta=recipe.huber_delta, reduction="none")
            optimizer.zero_grad()
            loss.mean(1).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return tuple(part.detach().numpy() for part in parts)


@dataclass(frozen=True)
class TreeRecipe:
    """Boosted trees of three splits, so that each asks about three choices at most."""

    trees: int = 2500
    learning_rate: float = 0.06
    leaves: int = 4


def fit_trees(tokens: NDArray[np.uint8], target: Floats, recipe: TreeRecipe) -> Arrays:
    """Gradient boosting, written as the sum of tables that it is."""
    model = HistGradientBoostingRegressor(
        max_iter=recipe.trees,
        learning_rate=recipe.learning_rate,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=10,
        l2_regularization=1.0,
        early_stopping=False,
    ).fit(tokens, target)
    trees = [stage[0].nodes for stage in model._predictors]
    return _tables_of(trees, float(model._baseline_prediction.item()))


def _tables_of(trees: Sequence[Any], offset: float) -> Arrays:
    sizes = encoder().sizes.astype(int)
    asked = [tuple(sorted({int(node["feature_idx"]) for node in nodes if not node["is_leaf"]})) for nodes in trees]
    # A tree over some of a larger table's choices goes into that table.
    largest: list[tuple[int, ...]] = []
    for choices in sorted(set(asked), key=len, reverse=True):
        if not any(set(choices) <= set(other) for other in largest):
            largest.append(choices)
    tables = {choices: np.zeros(sizes[list(choices)]) for choices in largest}
    for nodes, choices in zip(trees, asked, strict=True):
        home = next(other for other in largest if set(choices) <= set(other))
        answers = dict(zip(home, np.indices(tables[home].shape), strict=True))
        tables[home] += _tree_values(nodes, 0, answers, tables[home].shape)
    return _table_arrays(largest, [tables[choices].ravel() for choices in largest], offset)


def _tree_values(nodes: Any, index: int, answers: dict[int, Any], shape: tuple[int, ...]) -> Floats:
    """A tree's value for each combination of answers."""
    node = nodes[index]
    if node["is_leaf"]:
        return np.full(shape, float(node["value"]))
    left, right = (_tree_values(nodes, int(node[side]), answers, shape) for side in ("left", "right"))
    return np.where(answers[int(node["feature_idx"])] <= node["num_threshold"], left, right)


def _table_arrays(choices: Sequence[Sequence[int]], values: Sequence[Floats], offset: float) -> Arrays:
    rows = np.full((len(choices), max(map(len, choices))), NO_CHOICE, dtype=np.uint8)
    for row, asked in zip(rows, choices, strict=True):
        row[: len(asked)] = asked
    return {
        "table_choices": rows,
        "table_values": np.concatenate(values).astype(np.float32),
        "table_offset": np.array([offset]),
    }


def fit_block_tables(tokens: NDArray[np.uint8], target: Floats, ridge: float = 1e-3) -> Arrays:
    """One number per block and combination of its answers; least squares of the relative error."""
    numbers = encoder().combinations(tokens)
    counts = [int(np.prod(sizes)) for sizes in encoder().sizes.reshape(BLOCKS, CHOICES_PER_BLOCK)]
    columns = [np.ones((len(tokens), 1))]
    columns += [(numbers[:, [index]] == np.arange(count)).astype(float) for index, count in enumerate(counts)]
    design = np.concatenate(columns, axis=1) / target[:, None]
    penalty = ridge * np.eye(design.shape[1])
    penalty[0, 0] = 0
    solved = np.linalg.solve(design.T @ design + penalty, design.sum(axis=0))
    values = np.split(solved[1:], np.cumsum(counts)[:-1])
    choices = np.arange(BLOCKS * CHOICES_PER_BLOCK).reshape(BLOCKS, CHOICES_PER_BLOCK).tolist()
    return _table_arrays(choices, values, float(solved[0]))


def domain_of(tokens: NDArray[np.uint8]) -> Arrays:
    """Where some rows lie, for `mnas.surrogates._domain`."""
    inputs = network_inputs()(tokens).astype(np.float64)
    variances, directions = np.linalg.eigh(np.cov(inputs.T))
    # The floor keeps directions in which the inputs hardly differ from counting more than they can bear.
    whitening = directions / np.sqrt(variances + 1e-3)
    white = (inputs - inputs.mean(axis=0)) @ whitening
    numbers = encoder().combinations(tokens)
    most = int(numbers.max()) + 1
    return {
        "domain_whitening": whitening.astype(np.float32),
        "domain_mean": inputs.mean(axis=0).astype(np.float32),
        "domain_farthest": np.array([np.sqrt((white**2).mean(axis=1)).max()]),
        "domain_counts": np.stack([np.bincount(numbers[:, block], minlength=most) for block in range(BLOCKS)]).astype(
            np.uint16
        ),
    }


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of rows by models that did not see them, with what the error bars are made from."""

    truth: Floats  # all in the model's unit: percent, milliseconds or log milliseconds
    mean: Floats
    spread: Floats | None  # of an ensemble
    distance: Floats
    alike: NDArray[np.int64]  # rows with the same rarest block
    folds: NDArray[np.int64]
    is_log: bool
    is_relative: bool

    @property
    def residual(self) -> Floats:
        """Prediction minus truth, of logarithms where errors are relative."""
        if self.is_relative and not self.is_log:
            return np.log(self.mean / self.truth)
        return self.mean - self.truth


def fit_error(rows: OutOfFold, where: Mask) -> Arrays:
    """An error bar's size from spread, level and distance, so that 68 and 95 % of these rows lie inside.

    The size's logarithm is linear in its three reasons; Laplace's likelihood, because the errors have long tails.
    """
    middle = float(rows.mean[where].mean())
    reasons = _reasons(rows, middle)[where]
    errors = np.abs(rows.residual[where])

    def loss(coefficients: Floats) -> float:
        log_size = reasons @ coefficients
        return float((log_size + errors / np.exp(log_size)).mean())

    start = np.zeros(reasons.shape[1])
    start[0] = np.log(errors.mean())
    found = minimize(loss, start, method="L-BFGS-B").x
    shares = errors / np.exp(reasons @ found)
    at_68, at_95 = np.quantile(shares, [0.6827, 0.95])
    spread, level, distance = found[1:] if rows.spread is not None else (0.0, *found[1:])
    return {
        "error_coefficients": np.array([found[0] + np.log(at_68), spread, level, middle, distance]),
        "error_factor_95": np.array([at_95 / at_68]),
        "error_is_relative": np.array([rows.is_relative]),
        "is_log": np.array([rows.is_log]),
    }


def _reasons(rows: OutOfFold, middle: float) -> Floats:
    columns = [np.ones_like(rows.mean), rows.mean - middle, rows.distance]
    if rows.spread is not None:
        columns.insert(1, np.log(rows.spread))
    return np.stack(columns, axis=1)


def error_sizes(rows: OutOfFold, error: Arrays) -> Floats:
    """What the fitted error bar (68 %) is for each row."""
    c0, c1, c2, c3, c4 = error["error_coefficients"]
    log_size = c0 + c2 * (rows.mean - c3) + c4 * rows.distance
    size: Floats = np.exp(log_size if rows.spread is None else log_size + c1 * np.log(rows.spread))
    return size


def inside_intervals(rows: OutOfFold) -> Mask:
    """Whether each truth lies within the 68 and the 95 % interval that were fitted on the other folds: (rows, 2)."""
    inside = np.zeros((len(rows.mean), 2), dtype=bool)
    for fold in np.unique(rows.folds):
        here = rows.folds == fold
        error = fit_error(rows, ~here)
        size = error_sizes(rows, error)[here]
        errors = np.abs(rows.residual[here])
        inside[here] = np.stack([errors <= size, errors <= size * error["error_factor_95"][0]], axis=1)
    return inside


def mean_tau(mean: Floats, truth: Floats, folds: NDArray[np.int64]) -> float:
    """Kendall's tau, the mean over the folds."""
    taus = [kendalltau(mean[folds == fold], truth[folds == fold]).statistic for fold in np.unique(folds)]
    return float(np.mean(taus))
