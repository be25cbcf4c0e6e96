"""Peak activation memory: as computed, and as ONNX Runtime plans it.

    python benchmarks/bench_memory.py

ONNX Runtime traces a network's first run and from the second on takes one block for all activations; how large, its
verbose log says, unless the block fits where the first run's first tensor was. The image is the caller's there; the
computed figure has it, as long as the stem runs.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys

from mnas.models import reference_architecture
from mnas.space import Architecture, mnasnet_space, peak_activation_bytes

LEVELS = ("ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")  # without and with its own memory layout of convolutions
_BLOCK = re.compile(r"\(requested\) num_bytes: (\d+)")


def main() -> None:
    """One row per network."""
    names = ("mnasnet-a1", "mnasnet-b1", "mnasnet-small", "mobilenet-v2")
    networks = {name: reference_architecture(name) for name in names}
    space = mnasnet_space()
    networks |= {f"random {seed}": space.decode(space.sample(random.Random(seed))) for seed in range(16)}
    print("| network | computed, MB | ONNX Runtime, MB | with its own layout, MB |\n|---|---|---|---|")
    for name, network in networks.items():
        computed = peak_activation_bytes(network) / 1e6
        cells = [f"{mb:.2f} ({mb / computed:.2f})" if mb else "not told" for mb in _planned_mb(network)]
        print(f"| {name} | {computed:.2f} | {' | '.join(cells)} |", flush=True)


def _planned_mb(network: Architecture) -> list[float | None]:
    found = [planned_bytes(network, level) for level in LEVELS]
    return [None if planned is None else planned / 1e6 for planned in found]


def planned_bytes(network: Architecture, level: str) -> int | None:
    """The block that ONNX Runtime takes for the activations of one run; None where its log does not tell."""
    command = [sys.executable, __file__, str(network), level]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    blocks = [int(size) for size in _BLOCK.findall(done.stderr.partition("SECOND RUN")[2])]
    return max(blocks, default=None)


def run_twice(text: str, level: str) -> None:
    """In a process of its own, for its log: the arena is emptied between the runs, so that it grows anew."""
    import numpy as np
    import onnxruntime

    from mnas.export import onnx_model
    from mnas.models import build_model

    onnxruntime.set_default_logger_severity(0)
    architecture = Architecture.parse(text)
    options, settings = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    settings.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    model = onnx_model(build_model(architecture, seed=0)).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    image = np.zeros((1, architecture.input_channels, architecture.resolution, architecture.resolution), np.float32)
    for announcement in ("", "SECOND RUN\n"):
        sys.stderr.write(announcement)
        sys.stderr.flush()
        session.run(None, {"images": image}, settings)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_twice(*sys.argv[1:])
    else:
        main()
