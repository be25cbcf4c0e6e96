"""Parity with timm and torchvision: the same weights, how far apart the outputs are. Random weights, 224 px.

    python benchmarks/parity.py

Prints a table and one line of JSON. Differences are relative to the largest output.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import onnxruntime
import torch
from torch import nn

from mnas._torchvision import import_torchvision
from mnas.export import onnx_model
from mnas.models import Network, load_timm, load_torchvision
from mnas.models._timm import MODELS as TIMM_MODELS
from mnas.models._torchvision_weights import MODELS as TORCHVISION_MODELS
from mnas.space import count_madds, count_params

LIMIT = 1e-5
RESOLUTION = 224


@torch.no_grad()
def randomize(module: nn.Module, generator: torch.Generator) -> nn.Module:
    """Give batch norm random statistics, scales and shifts: those of a new module would hide mistakes."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.weight.uniform_(0.5, 1.5, generator=generator)
            part.bias.uniform_(-0.5, 0.5, generator=generator)
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 2.0, generator=generator)
    return module.eval()


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, as a share of the largest output."""
    return float((one - other).abs().max() / other.abs().max())


def run_onnx(module: Network, images: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Outputs in ONNX Runtime, and the milliseconds that writing the model took."""
    start = time.perf_counter()
    data = onnx_model(module, dynamic_batch=True).SerializeToString()
    milliseconds = 1e3 * (time.perf_counter() - start)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"images": images.numpy()})[0]), milliseconds


@torch.no_grad()
def compare(
    library: str, name: str, create: Callable[..., nn.Module], load: Callable[..., Network]
) -> dict[str, Any]:
    """One row of the table."""
    generator = torch.Generator().manual_seed(0)
    theirs = randomize(create(name), generator)
    ours = load(name, theirs.state_dict())
    images = torch.randn(2, 3, RESOLUTION, RESOLUTION, generator=generator)
    expected = theirs(images)
    from_onnx, milliseconds = run_onnx(ours, images)
    return {
        "library": library,
        "model": name,
        "params": count_params(ours.architecture),
        "params_equal": sum(p.numel() for p in theirs.parameters()) == count_params(ours.architecture),
        "madds": count_madds(ours.architecture),
        "module_difference": difference(ours(images), expected),
        "onnx_difference": difference(from_onnx, expected),
        "onnx_write_ms": round(milliseconds, 1),
    }


def parity() -> list[dict[str, Any]]:
    """Every model that can be loaded, beside its library's own."""
    torchvision = import_torchvision()
    import timm  # after torchvision, which it imports

    def create_torchvision(name: str) -> nn.Module:
        return torchvision.models.get_model(name, weights=None)  # type: ignore[no-any-return]

    rows = [compare("timm", name, timm.create_model, load_timm) for name in TIMM_MODELS]
    rows += [compare("torchvision", name, create_torchvision, load_torchvision) for name in TORCHVISION_MODELS]
    return rows


def main() -> None:
    """Print the table and the JSON line; fail if a difference is above the limit."""
    rows = parity()
    print("| library | model | parameters | MAdds | module | ONNX | writing, ms |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['library']} | {row['model']} | {row['params']:,} | {row['madds']:,} "
            f"| {row['module_difference']:.1e} | {row['onnx_difference']:.1e} | {row['onnx_write_ms']} |"
        )
    print(json.dumps({"benchmark": "parity", "limit": LIMIT, "rows": rows}))
    wrong = [
        row["model"]
        for row in rows
        if not row["params_equal"] or max(row["module_difference"], row["onnx_difference"]) > LIMIT
    ]
    if wrong:
        raise SystemExit(f"above {LIMIT:g}, or other parameters: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
