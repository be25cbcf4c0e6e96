"""What the check of int8 outputs notices: right and damaged random networks, by the share of each that is refused.

    python benchmarks/bench_output_check.py --networks 30

All damages sit in the middle half of the network. "one input" is a check on a single input of noise.
Prints a table for a choice of tolerances, and JSON of all values.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch

from mnas.devices._candidate import between_inputs, relative, seeded_network
from mnas.devices.runtimes import Array, Runtime, find_runtime
from mnas.models import Network, build_model
from mnas.models._conv_norm import ConvNorm
from mnas.space import mnasnet_space

Damage = Callable[[Network, random.Random], bool]
TOLERANCE, BETWEEN = (0.15, 0.2, 0.25), (0.3, 0.4, 0.5, 0.6, 0.7)


def middle(network: Network) -> list[ConvNorm]:
    found = [module for module in network.layers.modules() if isinstance(module, ConvNorm)]
    return found[len(found) // 4 : 3 * len(found) // 4]


def reversed_channels(network: Network, rng: random.Random) -> bool:
    weight = rng.choice(middle(network)).conv.weight
    weight.copy_(weight.flip(0))
    return True


def swapped_layers(network: Network, rng: random.Random) -> bool:
    weights = [part.conv.weight for part in middle(network)]
    pairs = [(a, b) for i, a in enumerate(weights) for b in weights[:i] if a.shape == b.shape]
    if pairs:
        a, b = rng.choice(pairs)
        kept = a.clone()
        a.copy_(b)
        b.copy_(kept)
    return bool(pairs)


def wrong_scale(network: Network, rng: random.Random) -> bool:
    rng.choice(middle(network)).norm.weight.mul_(1.5)
    return True


def missing_relu(network: Network, rng: random.Random) -> bool:
    rng.choice([part for part in middle(network) if part.activation]).activation = None
    return True


def shuffled_weights(network: Network, rng: random.Random) -> bool:
    weight = rng.choice(middle(network)).conv.weight
    order = torch.randperm(weight.numel(), generator=torch.Generator().manual_seed(rng.randrange(999)))
    weight.copy_(weight.flatten()[order].view(weight.shape))
    return True


DAMAGES: dict[str, Damage] = {
    "channels reversed": reversed_channels,
    "layers swapped": swapped_layers,
    "weights shuffled": shuffled_weights,
    "ReLU missing": missing_relu,
    "scale x1.5": wrong_scale,
}


def outputs(runtime: Runtime, network: Network, images: Array) -> Array:
    session = runtime.load(runtime.convert(network), images[:1].copy(), 1)
    found = []
    for image in np.split(images, len(images)):
        session.feed(image)
        session.run()
        found.append(np.array(session.output()))
    return np.concatenate(found)


@torch.no_grad()
def damaged(network: Network, damage: Damage | None, seed: int) -> Network | None:
    changed = copy.deepcopy(network)
    return changed if damage is None or damage(changed, random.Random(seed)) else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--networks", type=int, default=30)
    parser.add_argument("--runtime", default="onnxruntime")
    parser.add_argument("--images", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runtime, rng = find_runtime(args.runtime, "int8"), random.Random(5)
    values: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for _ in range(args.networks):
        space = mnasnet_space(
            width=rng.choice([0.35, 0.5]), resolution=rng.choice([32, 64, 96]), classes=rng.choice([10, 100])
        )
        architecture = space.decode(space.sample(rng))
        _, images, expected = seeded_network(architecture, args.images)
        network = build_model(architecture, seed=0).eval()  # the same
        noise = np.random.default_rng(0).standard_normal((1, *images.shape[1:]), dtype=np.float32)
        with torch.no_grad():
            right = network(torch.from_numpy(noise)).numpy()
        for name, damage in {"none": None, **DAMAGES}.items():
            changed = damaged(network, damage, rng.randrange(10**6))
            if changed is not None:
                found = outputs(runtime, changed, np.concatenate([images, noise]))
                one = relative(found[-1:], right, 2)
                found = found[:-1]
                values[name].append((one, relative(found, expected, 2), between_inputs(found, expected)))
        print(len(values["none"]), *(f"{value:.3f}" for value in values["none"][-1]), flush=True)
    print_table(values)
    print(json.dumps(values))


def print_table(values: dict[str, list[tuple[float, float, float]]]) -> None:
    print("| tolerance | " + " | ".join(f"{name} ({len(rows)})" for name, rows in values.items()) + " |")
    print("|---" * (1 + len(values)) + "|")
    refused = [sum(one > TOLERANCE[-1] for one, _, _ in rows) for rows in values.values()]
    print(f"| one input, {TOLERANCE[-1]} | " + " | ".join(map(str, refused)) + " |")
    for level in TOLERANCE:
        for between in (*BETWEEN, float("inf")):
            refused = [sum(a > level or b > between for _, a, b in rows) for rows in values.values()]
            print(f"| {level}, between {between} | " + " | ".join(map(str, refused)) + " |")


if __name__ == "__main__":
    main()
