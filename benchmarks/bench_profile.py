"""How well a profile predicts latencies: on this machine, and on measurements that others recorded.

    python benchmarks/bench_profile.py --minutes 5             # this CPU: profile it, then check it; 8 minutes
    python benchmarks/bench_profile.py --profile cpu.profile   # only check that profile; 2 minutes
    python benchmarks/bench_profile.py --like other.profile    # transfer that profile to this CPU, then check it
    python benchmarks/bench_profile.py --data FILE             # fbnet_latency.csv.gz: error against measured networks

The check on this machine measures unseen networks twice, round after round with a gauge in between, so that the
profile's error stands beside the error of measuring the same networks again.

The recorded data are 5,000 networks of the FBNet space with their latencies on several devices, from HELP (Lee et al.
2021, github.com/HayeonLee/HELP, MIT). Of these, pixel3 and raspi4 are sums of tables of layers, so that models that
add layers up are exact there by construction; samsung_a50 was measured in whole milliseconds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from mnas.devices import LocalDevice
from mnas.profiles import CostModel, Observation, Part, Profile, read_profile
from mnas.profiling import make_profile, transfer_profile
from mnas.space import Architecture, count_madds, mnasnet_space

Array = NDArray[np.float64]

SEED = 20261125  # of the unseen networks; profiles are made with others
NETWORKS = 30

# -- this machine ---------------------------------------------------------------------------------------------


def measure_unseen(profiles: Sequence[Profile], networks: int, rounds: int) -> dict[str, Any]:
    """Latencies of random members of `mnasnet` in rounds, and the error of measuring them again."""
    space, generator = mnasnet_space(), random.Random(SEED)
    members = [space.decode(space.sample(generator)) for _ in range(networks)]
    for profile in profiles:
        assert not {one.architecture for one in profile.checks} & {str(member) for member in members}
    gauge = sorted(members, key=count_madds)[networks // 2]
    measured, gauges = np.zeros((rounds, networks)), []
    with LocalDevice() as device:
        for row in measured:
            for index, member in enumerate(members):
                if index % 10 == 0:
                    gauges.append(device.measure(gauge).latency_ms)
                row[index] = device.measure(member).latency_ms
        fingerprint = device.info().fingerprint
    truth = np.exp(np.log(measured).mean(axis=0))
    return {
        "device": fingerprint,
        "members": [str(member) for member in members],
        "measured_ms": measured.tolist(),
        "gauge_ms": gauges,
        "again": [errors(measured[second], measured[first]) for second in range(rounds) for first in range(second)],
        "one_round_from_mean": [errors(row, truth) for row in measured],
        "madds_from_mean": errors(madds_fit(members, truth), truth),
    }


def check(profile: Profile, found: dict[str, Any]) -> dict[str, Any]:
    """A profile's errors on what was measured."""
    measured = np.array(found["measured_ms"])
    predicted = profile.predict([Architecture.parse(member) for member in found["members"]])
    return {
        "device": profile.device,
        "measured": profile.measured,
        "own_check": str(profile.error),
        "from_each_round": [errors(predicted, row) for row in measured],
        "from_mean": errors(predicted, np.exp(np.log(measured).mean(axis=0))),
        "predicted_ms": predicted.tolist(),
    }


def errors(predicted: Array, measured: Array) -> dict[str, float]:
    """Relative errors in percent, and how well the order agrees."""
    relative = predicted / measured - 1
    return {
        "mean_error": 100 * float(np.abs(relative).mean()),
        "bias": 100 * float(relative.mean()),
        "spearman": float(spearmanr(predicted, measured).statistic),
        "within_10_percent": int((np.abs(relative) <= 0.1).sum()),
    }


def madds_fit(members: Sequence[Any], measured: Array) -> Array:
    """The best line through MAdds, fitted to the very networks it is judged on."""
    table = np.array([[1.0, count_madds(member)] for member in members])
    return np.asarray(table @ np.linalg.lstsq(table / measured[:, None], np.ones(len(measured)), rcond=None)[0])


def show(found: dict[str, Any], checks: Sequence[dict[str, Any]]) -> None:
    """The table of the check."""
    gauges = found["gauge_ms"]
    spread = 100 * statistics.stdev(gauges) / statistics.fmean(gauges)
    print(f"{found['device']}\ngauge: {spread:.1f} % between its {len(gauges)} measurements")
    print(f"{'':44}{'mean error %':>13}{'bias %':>8}{'Spearman':>10}{'within 10 %':>13}")
    for row in found["again"]:
        show_row("measured again, from another round", row)
    for row in found["one_round_from_mean"]:
        show_row("one round, from the rounds' mean", row)
    show_row("line through MAdds, from the rounds' mean", found["madds_from_mean"])
    for one in checks:
        print(f"profile of {one['measured']['seconds']:.0f} s: {one['measured']['measurements']}")
        print(f"  its own check: {one['own_check']}")
        if one["device"] != found["device"]:
            print(f"  NOT this device: {one['device']}")
        for row in one["from_each_round"]:
            show_row("predicted, from one round", row)
        show_row("predicted, from the rounds' mean", one["from_mean"])


def plot(found: dict[str, Any], checks: Sequence[dict[str, Any]], path: Path) -> None:
    """Predicted against measured, one panel per profile."""
    from matplotlib.figure import Figure

    measured = np.array(found["measured_ms"])
    truth = np.exp(np.log(measured).mean(axis=0))
    ends = [float(measured.min()) * 0.9, float(measured.max()) * 1.1]
    figure = Figure(figsize=(4.4 * len(checks), 4.4), layout="constrained")
    for axes, one in zip(np.atleast_1d(figure.subplots(1, len(checks), sharey=True)), checks, strict=True):
        row = one["from_mean"]
        axes.fill_between(ends, [0.9 * end for end in ends], [1.1 * end for end in ends], color="#8a8f98", alpha=0.2,
                          linewidth=0, label="within 10 %")  # fmt: skip
        axes.plot(ends, ends, color="#8a8f98", linewidth=1)
        bars = [truth - measured.min(axis=0), measured.max(axis=0) - truth]
        axes.errorbar(truth, one["predicted_ms"], xerr=bars, fmt="o", markersize=4, color="#0072b2", elinewidth=0.8)
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured (ms), bars: the rounds")
        axes.set_title(
            f"profile from {one['measured']['seconds'] / 60:.0f} minutes: mean error {row['mean_error']:.1f} %,\n"
            f"Spearman {row['spearman']:.3f}, measuring again {found['again'][0]['mean_error']:.1f} %",
            fontsize=9,
        )
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("predicted (ms)")
    figure.axes[0].legend(loc="upper left", frameon=False)
    figure.savefig(path, dpi=130)


def show_row(name: str, row: dict[str, float]) -> None:
    print(f"{name:44}{row['mean_error']:13.2f}{row['bias']:8.2f}{row['spearman']:10.4f}{row['within_10_percent']:13}")


# -- recorded data --------------------------------------------------------------------------------------------

# FBNet's skeleton (Wu et al. 2019, Table 1): channels, layers, stride of the first; input 224 px, stem 16 filters.
STAGES = ((16, 1, 1), (24, 4, 2), (32, 4, 2), (64, 4, 2), (112, 4, 1), (184, 4, 2), (352, 1, 1))
# Of each op of the data: kernel, expansion ratio, groups of the 1x1 convolutions; None: skipped.
OPS = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1), None)
DEVICES = ("samsung_a50", "gold_6226", "1080ti_1", "pixel3", "raspi4")
ADDITIVE = ("pixel3", "raspi4")
COUNTS = (10, 30, 100, 300)
TRANSFERS = (("gold_6226", "samsung_a50"), ("1080ti_1", "samsung_a50"), ("samsung_a50", "gold_6226"),
             ("1080ti_1", "gold_6226"), ("gold_6226", "1080ti_1"), ("samsung_a50", "1080ti_1"))  # fmt: skip
HELD_OUT = 1000
SEEDS = 3


def layer_parts(
    kernel: int, expansion: int, groups: int, inputs: int, outputs: int, side: int, stride: int
) -> list[Part]:
    """An FBNet layer as parts, with what they cost when cold."""
    hidden, out = inputs * expansion, -(-side // stride)
    pointwise = "pointwise" if groups == 1 else f"pointwise g{groups}"
    found = [
        Part(pointwise, inputs // groups, hidden, side**2, side**2),
        Part(f"depthwise k{kernel} s{stride}", hidden, hidden, side**2, out**2, kernel),
        Part(pointwise, hidden // groups, outputs, out**2, out**2),
    ]
    if stride == 1 and inputs == outputs:
        found.append(Part("add", 2 * outputs, outputs, out**2, out**2))
    return [one for part in found for one in (part, part._replace(is_cold=True))]


def fbnet_layers() -> list[list[list[Part]]]:
    """The parts of each op at each of the 22 places."""
    places, side, inputs = [], 112, 16
    for outputs, layers, stride in STAGES:
        for index in range(layers):
            step = stride if index == 0 else 1
            places.append([layer_parts(*op, inputs, outputs, side, step) if op else [] for op in OPS])
            side, inputs = -(-side // step), outputs
    return places


def read_data(path: Path) -> tuple[NDArray[np.int64], dict[str, Array]]:
    """Ops, (networks, 22), and each device's latencies in ms, (networks,)."""
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    ops = np.array([[int(op) for op in row["op_idx"].split()] for row in rows])
    return ops, {device: np.array([float(row[device]) for row in rows]) for device in DEVICES}


def networks(ops: NDArray[np.int64]) -> list[Counter[Part]]:
    """The parts of each network; stem and head, which all have, are the network's own cost."""
    places = fbnet_layers()
    base = Part("network", 1, 1, 1, 1)
    return [
        Counter([base, *(part for place, op in zip(places, row, strict=True) for part in place[op])])
        for row in ops.tolist()
    ]


def observations(made_of: Sequence[Counter[Part]], ms: Array, rows: NDArray[np.int64]) -> list[Observation]:
    # An hour apart each: nothing is known of their order, so no drift is looked for.
    return [Observation(made_of[row], float(ms[row]), seconds=3600.0 * row) for row in rows]


def by_table(ops: NDArray[np.int64], ms: Array, known: NDArray[np.int64], asked: NDArray[np.int64]) -> Array:
    """A table of each op at each place, by ridge regression of relative errors."""
    from sklearn.linear_model import RidgeCV

    table = np.eye(len(OPS))[ops].reshape(len(ops), -1)
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(table[known], ms[known], sample_weight=1 / ms[known] ** 2)
    return np.asarray(ridge.predict(table[asked]))


def by_madds(
    made_of: Sequence[Counter[Part]], ms: Array, known: NDArray[np.int64], asked: NDArray[np.int64]
) -> Array:
    madds = np.array([sum(n * p.madds for p, n in network.items() if not p.is_cold) for network in made_of])
    table = np.stack([np.ones(len(madds)), madds], axis=1)
    line = np.linalg.lstsq(table[known] / ms[known, None], np.ones(len(known)), rcond=None)[0]
    return np.asarray(table[asked] @ line)


def recorded(path: Path) -> dict[str, Any]:
    """Error against the number of measured networks, and transfer from other devices' models."""
    ops, latencies = read_data(path)
    made_of = networks(ops)
    result: dict[str, Any] = {"networks": {}, "transfer_from_10": {}}
    draws = [np.random.default_rng(seed).permutation(len(ops)) for seed in range(SEEDS)]
    models: dict[tuple[str, int], CostModel] = {}
    print(f"\nrecorded data: mean error in % (Spearman) on {HELD_OUT} networks, medians of {SEEDS} seeds")
    print(f"{'device':14}{'measured':>9}{'profile model':>18}{'table of layers':>18}{'MAdds alone':>18}")
    for device in DEVICES:
        ms = latencies[device]
        for count in COUNTS:
            rows: dict[str, list[dict[str, float]]] = {"model": [], "table": [], "madds": []}
            for seed, order in enumerate(draws):
                known, asked = order[:count], order[-HELD_OUT:]
                model = models[device, seed] = CostModel(observations(made_of, ms, known))
                rows["model"].append(errors(model.predict([made_of[i] for i in asked]), ms[asked]))
                rows["table"].append(errors(by_table(ops, ms, known, asked), ms[asked]))
                rows["madds"].append(errors(by_madds(made_of, ms, known, asked), ms[asked]))
            found = result["networks"][f"{device} {count}"] = {name: medians(row) for name, row in rows.items()}
            print(f"{device:14}{count:9}" + "".join(cell(one) for one in found.values()), flush=True)
        if device in ADDITIVE:
            print(f"{'':14}(a sum of a table of layers: exact for sums by construction, so this proves little)")
    print("\ntransfer: 10 networks measured, mean error in % (Spearman)")
    print(f"{'from':14}{'to':14}{'transferred':>18}{'from the 10 alone':>18}")
    for source, target in TRANSFERS:
        ms = latencies[target]
        moved, alone = [], []
        for seed, order in enumerate(draws):
            known, asked = order[300:310], order[-HELD_OUT:]
            made = observations(made_of, ms, known)
            wanted = [made_of[i] for i in asked]
            moved.append(errors(CostModel(made, like=models[source, seed]).predict(wanted), ms[asked]))
            alone.append(errors(CostModel(made).predict(wanted), ms[asked]))
        pair = result["transfer_from_10"][f"{source} to {target}"] = {
            "transferred": medians(moved), "alone": medians(alone),
        }  # fmt: skip
        print(f"{source:14}{target:14}" + "".join(cell(one) for one in pair.values()), flush=True)
    return result


def medians(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def cell(row: dict[str, float]) -> str:
    return f"{row['mean_error']:10.2f} ({row['spearman']:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="make a profile of this CPU in so many minutes, and check it")
    parser.add_argument("--profile", type=Path, nargs="+", default=[], help="check these profiles of this CPU")
    parser.add_argument("--like", type=Path, nargs="+", default=[], help="transfer these profiles to this CPU")
    parser.add_argument("--seed", type=int, default=0, help="of what is measured for the profile")
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="draw predicted against measured into this file")
    parser.add_argument("--data", type=Path, help="HELP's measurements, fbnet_latency.csv.gz")
    arguments = parser.parse_args()
    document: dict[str, Any] = {"benchmark": "profile"}
    profiles = [read_profile(file) for file in arguments.profile]
    if arguments.minutes:
        with LocalDevice() as device:
            profiles.append(make_profile(device, mnasnet_space(), arguments.minutes, seed=arguments.seed))
    if arguments.like:
        with LocalDevice() as device:
            others = [read_profile(file) for file in arguments.like]
            profiles += [transfer_profile(device, mnasnet_space(), other, seed=arguments.seed) for other in others]
    if profiles:
        found = document["unseen"] = measure_unseen(profiles, arguments.networks, arguments.rounds)
        checks = document["profiles"] = [check(profile, found) for profile in profiles]
        show(found, checks)
        if arguments.plot:
            plot(found, checks, arguments.plot)
    else:
        print("this machine: skipped, it takes minutes; name --minutes, --profile or --like")
    if arguments.data is None:
        print("recorded data: skipped, --data does not name fbnet_latency.csv.gz")
    elif not arguments.data.is_file():
        print(f"recorded data: skipped, there is no {arguments.data}")
    else:
        document["recorded"] = recorded(arguments.data)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
