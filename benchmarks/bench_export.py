"""Exported latency: MnasNet-A1 as `mnas export` writes it beside timm's own export, on ONNX Runtime and LiteRT.

    python benchmarks/bench_export.py                                      # 24 rounds, some five minutes
    python benchmarks/bench_export.py --rounds 50 --runtimes onnxruntime

Both sides have the same weights: those of timm's semnasnet_100, and our network of them (`load_timm`). Ours is
converted as `mnas export` does it. timm's model is converted as its users do: `torch.onnx.export` and
`litert_torch.convert` of the model in evaluation mode, with no option set. Nothing is downloaded: the weights are
random, batch norm's statistics those of a few inputs. Outputs of every file must be torch's.

All files are timed round after round, each in a fresh process, by the clock and the gate of `mnas measure`, in
turned order every other round. A round counts for a runtime where the gate lets both of its spells pass. The ratio
is the trimmed geometric mean of the rounds' ratios, with its 95 % t-interval. Eager torch, our module with channels
last, stands beside for scale.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from mnas.devices import LocalDevice
from mnas.devices._candidate import Candidate
from mnas.devices._interval import Interval
from mnas.devices._timing import Spell
from mnas.devices.runtimes import Array, find_runtime
from mnas.devices.runtimes._calibration import varied_images
from mnas.models import Network, import_torchvision, load_timm, reference_architecture

NAME = "semnasnet_100"
OURS, THEIRS = "mnas", "timm"


@dataclass(frozen=True)
class File:
    """One exported file, on the runtime that it is for."""

    side: str
    runtime: str
    candidate: Candidate

    @property
    def key(self) -> tuple[str, str]:
        return self.runtime, self.side


def timm_model() -> nn.Module:
    """timm's, the same in every process; with statistics of its own, so that folding batch norm changes numbers."""
    import_torchvision()
    import timm

    torch.manual_seed(0)
    model: nn.Module = timm.create_model(NAME, pretrained=False)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None  # the plain mean of what it sees
    with torch.no_grad():
        model.train()(torch.from_numpy(inputs(4)))
    return model.eval()


def inputs(count: int) -> Array:
    """Seeded inputs, as files are checked on."""
    return varied_images(reference_architecture("mnasnet-a1"), count)


def our_network() -> Network:
    """The same network, ours."""
    return load_timm(NAME, timm_model().state_dict())


def converted(side: str, runtime: str) -> bytes:
    """The file's bytes, in a process that may print."""
    os.dup2(2, 1)
    if side == OURS:
        return find_runtime(runtime).convert(our_network())
    return {"onnxruntime": timm_onnx, "litert": timm_litert}[runtime](timm_model())


def timm_onnx(model: nn.Module) -> bytes:
    """As a user of timm gets it."""
    program = torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), dynamo=True, verbose=False)
    assert program is not None
    return bytes(program.model_proto.SerializeToString())


def timm_litert(model: nn.Module) -> bytes:
    """Likewise."""
    import litert_torch

    return bytes(litert_torch.convert(model, (torch.zeros(1, 3, 224, 224),)).model_content())


def made_files(runtimes: list[str]) -> list[File]:
    """Both sides on each runtime, and eager torch."""
    network, images = our_network(), inputs(1)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    pairs = [(side, runtime) for runtime in runtimes for side in (OURS, THEIRS)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        models = list(pool.map(converted, *zip(*pairs, strict=True)))
    models.append(find_runtime("torch").convert(network))
    return [
        File(side, runtime, Candidate(network.architecture, model, images, expected, 0.0))
        for (side, runtime), model in zip([*pairs, (OURS, "torch")], models, strict=True)
    ]


def timed(files: list[File], devices: dict[str, LocalDevice], rounds: int) -> list[dict[tuple[str, str], Spell]]:
    """Per round a spell of each file, in a fresh process."""
    found = []
    for number in range(rounds):
        turn = files if number % 2 else files[::-1]
        found.append(
            {file.key: devices[file.runtime].measuring._in_fresh_process(file.candidate)[0] for file in turn}
        )
    return found


def concluded(rounds: list[dict[tuple[str, str], Spell]], devices: dict[str, LocalDevice]) -> list[dict[str, Any]]:
    """A row per runtime."""
    latencies: dict[str, list[dict[str, float]]] = defaultdict(list)
    for spells in rounds:
        for runtime, device in devices.items():
            own = {side: spell for (name, side), spell in spells.items() if name == runtime}
            if all(device.measuring.gate.problem(spell) is None for spell in own.values()):
                latencies[runtime].append({side: spell.latency_ms for side, spell in own.items()})
    return [row(runtime, latencies[runtime], len(rounds)) for runtime in devices]


def row(runtime: str, kept: list[dict[str, float]], rounds: int) -> dict[str, Any]:
    """What the rounds that count say of a runtime."""
    if len(kept) < 2:
        raise SystemExit(f"{runtime}: {len(kept)} of {rounds} rounds were undisturbed; the machine is too busy")
    found: dict[str, Any] = {"runtime": runtime, "rounds": len(kept), "refused": rounds - len(kept)}
    for side in kept[0]:
        interval = Interval.over_processes([values[side] for values in kept])
        found[side] = [interval.estimate_ms, interval.low_ms, interval.high_ms]
    if THEIRS in kept[0]:
        ratio = Interval.over_processes([values[OURS] / values[THEIRS] for values in kept])
        # The scatter alone: what minutes differ by, both sides of a round share.
        half, middle = ratio.origin["scatter"], ratio.estimate_ms
        found["ratio"] = [middle, middle * math.exp(-half), middle * math.exp(half)]
    return found


def printed(found: dict[str, Any]) -> str:
    """A row of the table."""

    def cell(values: list[float] | None, digits: int) -> str:
        return "{0:.{3}f} | {1:.{3}f} - {2:.{3}f}".format(*values, digits) if values else " | "

    megabytes = found.get("megabytes", {})
    sizes = " | ".join(f"{megabytes[side]:.1f}" if side in megabytes else "" for side in (OURS, THEIRS))
    cells = [cell(found.get(side), 2) for side in (OURS, THEIRS)] + [cell(found.get("ratio"), 3), sizes]
    return f"| {found['runtime']} | {' | '.join(cells)} | {found['rounds']} | {found['refused']} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime", "litert"], choices=["onnxruntime", "litert"])
    parser.add_argument("--rounds", type=int, default=24)
    arguments = parser.parse_args()
    os.environ["MNAS_CACHE_MB"] = "0"  # two files of one architecture must not take each other's place
    files = made_files(arguments.runtimes)
    devices = {file.runtime: LocalDevice(file.runtime) for file in files}
    rows = concluded(timed(files, devices, arguments.rounds), devices)
    for found in rows:
        own = [file for file in files if file.runtime == found["runtime"] and file.runtime != "torch"]
        found["megabytes"] = {file.side: len(file.candidate.model) / 1e6 for file in own}
    columns = "runtime | mnas, ms | 95 % interval | timm, ms | 95 % interval | ratio | 95 % interval"
    print(f"| {columns} | mnas, MB | timm, MB | rounds | refused |\n{'|---' * 11}|")
    print("\n".join(map(printed, rows)))
    print(json.dumps({"benchmark": "export", "device": devices["torch"].info().fingerprint, "rows": cast(Any, rows)}))


if __name__ == "__main__":
    main()
