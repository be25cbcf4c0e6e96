"""The official recipe, step by step on real photographs: learning rates beside the published formula, and the loss.

    python benchmarks/bench_recipe.py --data FOLDER            # a folder per class; MnasNet-A1 at 224 px, 300 steps
    python benchmarks/bench_recipe.py --data FOLDER --plot recipe.png

The recipe is `imagenet-mnasnet` whole, but for the batch, by which its peak follows, and for when it stops. The
formula is written here once more, from the paper (section 5) and the official code, without a line of mnas: .016
per 256 images, a linear warm-up of 5 epochs, x0.97 every 2.4 epochs counted from step 0.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from mnas.datasets import FolderDataset
from mnas.model_run import fitted
from mnas.models import build_model, reference_architecture
from mnas.training import Progress, load_recipe, train


class _EnoughError(Exception):
    """So many steps were taken."""


def published(step: int, steps_per_epoch: int, batch: int) -> float:
    """The learning rate of a step, from 0, as it was published."""
    peak, epoch = 0.016 * batch / 256, step / steps_per_epoch
    return peak * epoch / 5 if epoch < 5 else peak * 0.97 ** (epoch // 2.4)


def plot(rows: list[Progress], formula: list[float], path: Path) -> None:
    """Learning rate, formula and loss over steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    upper.plot(formula, color="#e69f00", linewidth=4, alpha=0.5, label="published")
    upper.plot([row.learning_rate for row in rows], color="#0072b2", linewidth=1, label="mnas")
    upper.set_ylabel("learning rate")
    upper.legend(frameon=False)
    lower.plot([row.loss for row in rows], color="#009e73")
    lower.set_ylabel("training loss")
    lower.set_xlabel("step")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of images, one folder per class")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    if options.data is None:
        print("left out: --data names a folder of images, with a folder per class")
        return
    torch.set_num_threads(1)
    # Streamed, as ImageNet is: then images are cropped at random, as the recipe has it.
    dataset = FolderDataset(path=options.data, resolution=options.resolution, max_memory_gb=0)
    recipe = replace(load_recipe("imagenet-mnasnet"), batch=options.batch)
    architecture = fitted(reference_architecture("mnasnet-a1"), dataset)
    rows: list[Progress] = []

    def on_step(progress: Progress) -> None:
        rows.append(progress)
        if len(rows) == options.steps:
            raise _EnoughError

    began = time.perf_counter()
    with contextlib.suppress(_EnoughError):
        train(build_model(architecture, seed=0), dataset, recipe, seed=0, evaluate_on=None, on_step=on_step)
    seconds = time.perf_counter() - began
    steps_per_epoch = rows[0].steps // recipe.epochs
    formula = [published(step, steps_per_epoch, options.batch) for step in range(len(rows))]
    warmup = 5 * steps_per_epoch
    apart = [abs(row.learning_rate / rate - 1) for row, rate in zip(rows[warmup:], formula[warmup:], strict=True)]
    # Ours begins above zero and ends below the peak: half a step apart from theirs, whose first step changes nothing.
    in_warmup = max(abs(row.learning_rate - rate) for row, rate in zip(rows[:warmup], formula[:warmup], strict=True))
    tenth = max(1, len(rows) // 10)
    losses = [fmean(row.loss for row in part) for part in (rows[:tenth], rows[-tenth:])]
    print("| steps | an epoch's | seconds | peak | last | furthest from the formula | in the warm-up | loss |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {len(rows)} | {steps_per_epoch} | {seconds:.0f} | {max(row.learning_rate for row in rows):.6f} "
        f"| {rows[-1].learning_rate:.6f} | {max(apart, default=0.0):.1e} (relative) | {in_warmup:.1e} (absolute) "
        f"| {losses[0]:.3f}, then {losses[1]:.3f} |"
    )
    if options.plot:
        plot(rows, formula, options.plot)
    figures = {"steps": len(rows), "seconds": seconds, "relative": max(apart, default=0.0), "warmup": in_warmup}
    print(json.dumps({"benchmark": "recipe", **figures, "loss": losses}))


if __name__ == "__main__":
    main()
