"""Does a found network need its blocks to differ? (Tan et al. 2019, Table 6; docs/experiments/layer_diversity.md)

    python experiments/layer_diversity.py            # runs what results/layer_diversity.csv lacks
    python experiments/layer_diversity.py --plot     # runs nothing: figure and table

Beside the found network stand those of one op and kernel in all blocks, with its layers and with equally many
everywhere.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from _experiment import Experiment, Row, markdown
from _oracle import SPACE, Oracle, from_word, objective, word
from _page import BLUE, GREEN, GREY, ORANGE
from _search import search
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mnas.space import Architecture, Block, count_madds, count_params

DEVICES = ("zcu102", "a100")
REWARDS = ("hard", "soft")
TRIALS, SEEDS = 200, 2  # of `guided`; the best of the seeds is the found network
KINDS = tuple(itertools.product(("sepconv", "mbconv4", "mbconv6"), (3, 5)))  # the expansions of the data
SE_RATIOS = {"as found": None, "none": 0.0, "everywhere": 0.25}
COLORS = {"sepconv": GREEN, "mbconv4": BLUE, "mbconv6": ORANGE}


@dataclass(frozen=True)
class Job:
    """A search for the network that is varied."""

    device: str
    reward: str
    seed: int
    trials: int


Found = Sequence[tuple[Job, Row]]


@dataclass(frozen=True)
class Network:
    """One row of the table. Accuracies are in per cent."""

    name: str
    se: str
    accuracy: float
    trees: float
    latency_ms: float
    params: int
    madds: int


def jobs(seeds: int | None) -> list[Job]:
    """Every search, seed after seed."""
    wanted = range(SEEDS if seeds is None else seeds)
    return [Job(device, reward, seed, TRIALS) for seed, device, reward in itertools.product(wanted, DEVICES, REWARDS)]


def run(job: Job) -> dict[str, Any]:
    """The network that a search found."""
    oracle = Oracle(job.device)
    done = search("guided", SPACE, objective(job.reward, oracle.target_ms), oracle, job.seed, job.trials)
    best = done.best
    return {
        "reward_of_found": float(done.rewards[best]),
        "latency_ms": float(done.latencies[best]),
        "accuracy": float(done.accuracies[best]),
        "found": word(done.tokens[best]),
    }


def best_found(found: Found, device: str, reward: str) -> Architecture:
    """The best network of all seeds."""
    rows = [row for job, row in found if (job.device, job.reward) == (device, reward)]
    best = max(rows, key=lambda row: float(row["reward_of_found"]))
    return SPACE.decode(from_word(best["found"]))


def uniform(
    architecture: Architecture, op: str, kernel: int, se_ratio: float | None, layers: int | None = None
) -> Architecture:
    """The network with one op and kernel in all blocks; None keeps each block's SE or layers."""
    ratio = float(op.removeprefix("mbconv")) if op.startswith("mbconv") else 1.0

    def changed(block: Block) -> Block:
        return replace(
            block,
            op="mbconv" if op.startswith("mbconv") else "sepconv",
            expand_ratio=ratio,
            kernel=kernel,
            se_ratio=block.se_ratio if se_ratio is None else se_ratio,
            layers=block.layers if layers is None else layers,
            skip="identity",  # a block of one layer reads as "none", which more layers should not keep
        )

    return replace(architecture, blocks=tuple(map(changed, architecture.blocks)))


def with_found_layers(architecture: Architecture, oracle: Oracle) -> Iterator[Network]:
    """The network itself, then those of one op and kernel, for each way to have SE."""
    yield measured("found", "as found", architecture, oracle)
    for (se, se_ratio), (op, kernel) in itertools.product(SE_RATIOS.items(), KINDS):
        yield measured(f"{op}, kernel {kernel}", se, uniform(architecture, op, kernel, se_ratio), oracle)


def with_equal_layers(architecture: Architecture, oracle: Oracle) -> dict[tuple[str, int, str, int], Network]:
    """(op, kernel, SE, layers) -> the network that has them in every block."""
    return {
        (op, kernel, se, layers): measured(
            f"{op}, kernel {kernel}", se, uniform(architecture, op, kernel, SE_RATIOS[se], layers), oracle
        )
        for (op, kernel), se, layers in itertools.product(KINDS, ("none", "everywhere"), (1, 2, 3))
    }


def measured(name: str, se: str, architecture: Architecture, oracle: Oracle) -> Network:
    """By both surrogates, with exact counts."""
    accuracies, latencies = oracle([architecture])
    trees = oracle.second_opinion([architecture])
    counts = count_params(architecture), count_madds(architecture)
    return Network(name, se, 100 * float(accuracies[0]), 100 * float(trees[0]), float(latencies[0]), *counts)


def tables(found: Found) -> str:
    """Per device and reward the found network beside the others; then those of equal layers."""
    parts = []
    for device, reward in itertools.product(DEVICES, REWARDS):
        architecture, oracle = best_found(found, device, reward), Oracle(device)
        parts.append(f"### {device}, {reward} reward: with the found network's layers")
        parts.append(_description(architecture))
        parts.append(_found_layers(list(with_found_layers(architecture, oracle))))
    for device in DEVICES:
        parts.append(f"### {device}: equally many layers everywhere")
        parts.append(_equal_layers(best_found(found, device, "hard"), Oracle(device)))
    return "\n\n".join(parts)


def _description(architecture: Architecture) -> str:
    return "Found: " + ", ".join(f"`{block}`" for block in architecture.blocks) + "."


def _found_layers(networks: Sequence[Network]) -> str:
    heads = ["network", "SE", "accuracy in %", "by trees", "latency in ms", "/ found", "params, M", "MAdds, M"]
    heads += ["as accurate and as quick"]
    first = networks[0]
    lines = []
    for network in networks:
        cells = [network.name, network.se, f"{network.accuracy:.2f}", f"{network.trees:.2f}"]
        cells += [f"{network.latency_ms:.3g}", f"{network.latency_ms / first.latency_ms:.2f}"]
        cells += [f"{network.params / 1e6:.2f}", f"{network.madds / 1e6:.0f}", _verdict(network, first)]
        lines.append(cells)
    return markdown(heads, lines)


def _verdict(network: Network, first: Network) -> str:
    """Whether a network is no worse than the found one in both, by either surrogate."""
    if network is first:
        return ""
    quick = network.latency_ms <= first.latency_ms
    by = [
        name
        for name, better in (("mlp", network.accuracy >= first.accuracy), ("trees", network.trees >= first.trees))
        if quick and better
    ]
    return " and ".join(by) or "no"


def _equal_layers(architecture: Architecture, oracle: Oracle) -> str:
    networks = with_equal_layers(architecture, oracle)
    columns = list(itertools.product((1, 2, 3), ("none", "everywhere")))
    heads = ["accuracy in % at ms", *(f"{n} layers, {'SE' if se == 'everywhere' else 'no SE'}" for n, se in columns)]
    heads[1:3] = ["1 layer, no SE", "1 layer, SE"]
    lines = []
    for op, kernel in KINDS:
        row = [networks[op, kernel, se, layers] for layers, se in columns]
        lines.append([f"{op}, kernel {kernel}", *(f"{one.accuracy:.1f} at {one.latency_ms:.3g}" for one in row)])
    return markdown(heads, lines)


def behind(network: Network, oracle: Oracle) -> float:
    """Points of accuracy below the best known front at its latency."""
    return 100 * float(oracle.front_accuracy(network.latency_ms)) - network.accuracy


def summary(found: Found) -> dict[str, Any]:
    """Points below the best known front at a network's latency, and how many are as good as the found network."""
    result = {}
    for device, reward in itertools.product(DEVICES, REWARDS):
        oracle, architecture = Oracle(device), best_found(found, device, reward)
        first, *others = with_found_layers(architecture, oracle)
        others += with_equal_layers(architecture, oracle).values()
        result[f"{device} {reward}"] = {
            "found_below_front": round(behind(first, oracle), 2),
            "others_below_front": round(float(np.median([behind(network, oracle) for network in others])), 2),
            "others": len(others),
            "as_accurate_and_quick": sum(_verdict(network, first) != "no" for network in others),
        }
    return result


def plot(found: Found) -> Figure:
    """Accuracy over latency: the found network, networks of one kind with its layers and with equal layers."""
    figure, axes = plt.subplots(1, 2, figsize=(11.5, 5.4), layout="constrained")
    for axis, device in zip(axes, DEVICES, strict=True):
        _draw(axis, found, device)
    handles = [Line2D([], [], color=COLORS[op], marker="s", linestyle="", label=f"{op} everywhere") for op in COLORS]
    handles += [
        Line2D([], [], color=GREY, marker=marker, mfc=fill, linestyle="", label=label)
        for marker, fill, label in (
            ("o", GREY, "kernel 3"),
            ("D", GREY, "kernel 5"),
            ("o", "none", "equal layers, smaller"),
        )
    ]
    handles += [
        Line2D([], [], color="black", marker="*", ms=11, linestyle="", label="found"),
        Line2D([], [], color="black", linewidth=0.8, label="best known front"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle("Networks of one op and kernel; filled: with the layers of the network found by the hard reward")
    return figure


def _draw(axis: Axes, found: Found, device: str) -> None:
    oracle, architecture = Oracle(device), best_found(found, device, "hard")
    _, *others = with_found_layers(architecture, oracle)
    for network in others:
        _dot(axis, network, is_filled=True)
    for network in with_equal_layers(architecture, oracle).values():
        _dot(axis, network, is_filled=False)
    for reward in REWARDS:
        network = measured(reward, "", best_found(found, device, reward), oracle)
        axis.plot(network.latency_ms, network.accuracy, "*", color="black", ms=14)
        axis.annotate(
            f"{reward} ", (network.latency_ms, network.accuracy), (-6, 5), textcoords="offset points", ha="right"
        )
    latencies = np.geomspace(oracle.percentile_ms(0), 1.3 * oracle.percentile_ms(100), 200)
    axis.plot(latencies, 100 * oracle.front_accuracy(latencies), color="black", linewidth=0.8)
    axis.set(xscale="log", title=device, xlabel="latency (ms)", ylabel="accuracy (%)", ylim=(50, 70))
    ticks = [ms for ms in (0.02, 0.05, 0.1, 0.2, 0.5, 2, 5, 10, 20) if latencies[0] <= ms <= latencies[-1]]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.grid(alpha=0.25)


def _dot(axis: Axes, network: Network, is_filled: bool) -> None:
    op, kernel = network.name.split(", kernel ")
    axis.plot(
        network.latency_ms,
        network.accuracy,
        marker={"3": "o", "5": "D"}[kernel],
        ms=6.5 if is_filled else 4.5,
        color=COLORS[op],
        markerfacecolor=COLORS[op] if is_filled else "none",
        alpha=0.9,
    )


EXPERIMENT = Experiment("layer_diversity", jobs, run, tables, summary, plot)

if __name__ == "__main__":
    EXPERIMENT.main()
