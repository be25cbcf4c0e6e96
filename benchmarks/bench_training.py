"""Training: images per second of our training beside timm's training step, same network, batch and augmentation.

    python benchmarks/bench_training.py                                  # MnasNet-A1 at 128 px, some minutes
    python benchmarks/bench_training.py --resolution 224 --batch 64 --steps 10 --device cuda

timm's step is what its train.py does: forward, label-smoothed cross entropy, backward, `timm.optim.RMSpropTF` with
its own grouping of what is decayed, `ModelEmaV3` after each step. It runs on timm's semnasnet_100, which is
MnasNet-A1, and on our module. Both sides get the same uint8 batches from memory and the same mirrors; decoding is on
neither side. The ways take turns, so that a change of the machine's load meets all of them. On a GPU both run under
bf16 autocast.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mnas.datasets import MemoryImages, Part
from mnas.models import build_model, import_torchvision, reference_architecture
from mnas.training import Hardware, Recipe, train
from mnas.training._augment import RandomMoves
from mnas.training._evaluate import Normalize

CLASSES, DROPOUT, RATE = 1000, 0.2, 0.001  # a small rate: what is timed is the work, not the result


@dataclass(frozen=True)
class NoiseImages:
    """Noise of any resolution, in memory."""

    resolution: int
    images: MemoryImages
    name = "noise"
    class_names = tuple(str(number) for number in range(CLASSES))
    channels = 3
    mirrors = True
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def split(self, part: Part) -> MemoryImages:
        return self.images


def noise(resolution: int, count: int) -> NoiseImages:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 3, resolution, resolution), generator=generator).to(torch.uint8)
    return NoiseImages(resolution, MemoryImages(pixels, torch.randint(CLASSES, (count,), generator=generator)))


def ours(data: NoiseImages, batch: int, hardware: Hardware) -> Callable[[], None]:
    """One epoch of `mnas.training.train`, setting up and taking down included."""
    model = build_model(reference_architecture("mnasnet-a1"), dropout=DROPOUT, seed=0)
    recipe = Recipe(1, batch, RATE, warmup_epochs=0, dropout=DROPOUT, norm_warmup=False)
    return lambda: finish(train(model, data, recipe, seed=0, evaluate_on=None, hardware=hardware))


def timms(model: nn.Module, data: NoiseImages, batch: int, device: torch.device) -> Callable[[], None]:
    """One epoch of timm's step."""
    from timm.loss.cross_entropy import LabelSmoothingCrossEntropy
    from timm.optim._optim_factory import create_optimizer_v2
    from timm.utils.model_ema import ModelEmaV3

    model = model.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = create_optimizer_v2(model, opt="rmsproptf", lr=RATE, weight_decay=1e-5, momentum=0.9, eps=1e-3)
    average = ModelEmaV3(model, decay=0.9999, use_warmup=True)
    loss_of, moves, normalize = LabelSmoothingCrossEntropy(0.1), RandomMoves(0, True), Normalize(data, device)  # type: ignore[no-untyped-call]
    step = 0

    def epoch() -> None:
        nonlocal step
        generator = torch.Generator().manual_seed(0)
        for pixels, labels in data.images.batches(batch, 0):
            images = moves.apply(normalize(pixels.to(device)), moves.draw(len(pixels), generator))
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = loss_of(model(images), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            average.update(model, step=step)
        finish(None)

    return epoch


def finish(_: object) -> None:
    """Wait for a GPU."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def timed(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """The table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=3, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    import_torchvision()
    import timm

    hardware = Hardware(device=options.device, precision="bf16" if options.device == "cuda" else "fp32")
    device = hardware.torch_device()
    data = noise(options.resolution, options.batch * options.steps)
    a1 = reference_architecture("mnasnet-a1")
    ways = {
        "timm's step, timm's semnasnet_100": timms(
            timm.create_model("semnasnet_100", drop_rate=DROPOUT), data, options.batch, device
        ),
        "timm's step, our module": timms(build_model(a1, dropout=DROPOUT, seed=0), data, options.batch, device),
        "ours": ours(data, options.batch, hardware),
    }
    for work in ways.values():
        work()
    rounds = [{name: timed(work) for name, work in ways.items()} for _ in range(options.rounds)]
    images = options.batch * options.steps
    medians = {name: images / statistics.median(row[name] for row in rounds) for name in ways}
    first, *_, last = medians
    ratios = [row[first] / row[last] for row in rounds]
    print(
        f"images per second: MnasNet-A1, {options.resolution} px, batch {options.batch}, {options.device}, "
        f"{options.threads} thread(s); medians of {options.rounds} rounds"
    )
    for name, value in medians.items():
        print(f"  {name:36}{value:9.1f}{value / medians[first]:7.2f} x")
    print(f"  ours / timm round by round: {min(ratios):.2f} to {max(ratios):.2f}")
    document = {
        "benchmark": "training",
        "unit": "images/s",
        "results": {name: round(value, 2) for name, value in medians.items()},
        "ours_over_timm": round(statistics.median(ratios), 3),
        **vars(options),
        "timm": timm.__version__,
        "torch": torch.__version__,
        "machine": torch.cuda.get_device_name() if options.device == "cuda" else platform.machine(),
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
