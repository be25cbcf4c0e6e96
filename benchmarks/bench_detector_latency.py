"""What a whole detector takes: its outputs as they are, boxes decoded, suppression in the file or after it.

    python benchmarks/bench_detector_latency.py --files /tmp/detectors --rounds 0      # converts, some minutes
    python benchmarks/bench_detector_latency.py --files /tmp/detectors                 # 8 rounds, some five minutes

MnasNet-A1 and MobileNetV2 with SSDLite at half width, 320 px, 3 and 90 classes, seeded weights, on ONNX Runtime and
LiteRT with one thread. torchvision's ssdlite320_mobilenet_v3_large, eager, as its users run it (its own resizing and
suppression inside), stands beside for scale. Detections above .3 are what an application shows, above 1e-8 what is
evaluated.

Everything is timed round after round, each in a fresh process, by the clock and the gate of `mnas measure`, in turned
order every other round. A round counts where the gate lets all of its spells pass.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mnas.devices._gate import REFERENCE, Gate
from mnas.devices._interval import Interval
from mnas.devices._timing import Spell, TimingPlan, time_spell, warm_up
from mnas.devices._worker import _pin, _raise_priority
from mnas.models import reference_architecture
from mnas.space import Architecture

if TYPE_CHECKING:
    from mnas.models import Detector

NETWORKS = {"A1 x0.5": "ssdlite-mnasnet-a1", "MobileNetV2 x0.5": "ssdlite-mobilenet-v2"}
CLASSES = (3, 90)
SHOWN, EVALUATED = 0.3, 1e-8  # scores that detections are above
ABOVE_SHOWN = 60  # so many of an image before suppression, at most: several for each of a dozen objects
LEAST_ROUNDS = 3
TORCHVISION = "torchvision, eager"


@dataclass(frozen=True)
class Way:
    """One way to run a detector: which file, and what comes after it."""

    label: str
    runtime: str  # "onnxruntime" or "litert"
    file: str  # "raw", "decoded" or "nms", with what its detections are above
    after: float | None = None  # what numpy finds detections above, in the boxes and scores that the file gives


WAYS = (
    Way("ONNX Runtime, outputs as they are", "onnxruntime", "raw"),
    Way("boxes decoded", "onnxruntime", "decoded"),
    Way("suppression in the file, above .3", "onnxruntime", f"nms{SHOWN}"),
    Way("suppression in the file, above 1e-8", "onnxruntime", f"nms{EVALUATED}"),
    Way("postprocess.py, above .3", "onnxruntime", "decoded", SHOWN),
    Way("postprocess.py, above 1e-8", "onnxruntime", "decoded", EVALUATED),
    Way("LiteRT, outputs as they are", "litert", "raw"),
    Way("LiteRT, boxes decoded", "litert", "decoded"),
    Way("LiteRT, postprocess.py, above .3", "litert", "decoded", SHOWN),
)


@dataclass(frozen=True)
class Case:
    """What is timed in one spell."""

    network: str
    classes: int
    way: Way | None  # None: torchvision's

    @property
    def architecture(self) -> Architecture:
        found = reference_architecture(NETWORKS[self.network], width=0.5)
        return found.replace(head=replace(found.head, classes=self.classes))

    def path(self, folder: Path) -> Path:
        assert self.way is not None
        suffix = {"onnxruntime": "onnx", "litert": "tflite"}[self.way.runtime]
        return folder / f"{NETWORKS[self.network]}-{self.classes}-{self.way.file}.{suffix}"


def cases() -> list[Case]:
    """All of them."""
    found = [Case(network, classes, way) for classes in CLASSES for network in NETWORKS for way in WAYS]
    return [*found, Case(TORCHVISION, 90, None)]


def convert(case: Case, folder: Path) -> None:
    """The case's file, unless it is there; in a process that may print."""
    assert case.way is not None
    path, kind = case.path(folder), case.way.file
    if path.exists():
        return
    from mnas.export import litert_model, onnx_detector_model, onnx_model
    from mnas.export._decoded_detector import DecodedDetector

    os.dup2(2, 1)
    detector = made_detector(case.architecture)
    if case.way.runtime == "litert":
        path.write_bytes(litert_model(detector if kind == "raw" else DecodedDetector(detector, False)))
    elif kind == "raw":
        path.write_bytes(onnx_model(detector).SerializeToString())
    else:
        above = None if kind == "decoded" else float(kind.removeprefix("nms"))
        path.write_bytes(onnx_detector_model(detector, nms_above=above).SerializeToString())


def made_detector(architecture: Architecture) -> Detector:
    """With seeded weights, and so sure of the background that few scores are above .3, as a trained one's are."""
    import torch

    from mnas.models import build_detector

    detector = build_detector(architecture, seed=0).eval()
    with torch.inference_mode():
        logits = detector(torch.from_numpy(inputs(architecture)))[0, :, 4:]
        bias = 0.0
        while int((logits.softmax(1)[:, 1:] > SHOWN).sum()) > ABOVE_SHOWN:
            logits[:, 0] += 0.1
            bias += 0.1
    with torch.no_grad():
        for name, value in detector.named_parameters():
            if name.endswith("classes.project.bias"):
                value[:: 1 + architecture.head.classes] += bias
    return detector


def spell(case: Case, folder: Path, gauge: bytes) -> tuple[Spell, int]:
    """One, in this process, and how many detections there were."""
    cores = _pin(1)
    run, reference = runner(case, folder), onnx_run(gauge, inputs(REFERENCE))
    _raise_priority()
    plan = TimingPlan()
    warm_up(reference, plan)
    _, fastest_ms = warm_up(run, plan)
    taken = time_spell(run, reference, plan, fastest_ms, tuple(cores) if cores else None)
    return taken, run()


def runner(case: Case, folder: Path) -> Callable[[], int]:
    """What is timed; gives the number of detections, or of boxes."""
    if case.way is None:
        return torchvision_run()
    run = {"onnxruntime": onnx_run, "litert": litert_run}[case.way.runtime]
    outputs = run(case.path(folder).read_bytes(), inputs(case.architecture))
    if case.way.after is None:
        return lambda: len(outputs()[0])
    from mnas.export._postprocess import detections

    def with_suppression(above: float = case.way.after) -> int:
        boxes, scores = outputs()
        return len(detections(boxes[0], scores[0], score=above)[1])

    return with_suppression


def inputs(architecture: Architecture) -> np.ndarray[Any, Any]:
    """One seeded input."""
    from mnas.devices.runtimes._calibration import varied_images

    return varied_images(architecture, 1)


def onnx_run(model: bytes, images: np.ndarray[Any, Any]) -> Callable[[], list[Any]]:
    """A session's run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {"images": images})


def litert_run(model: bytes, images: np.ndarray[Any, Any]) -> Callable[[], list[Any]]:
    """An interpreter's."""
    from ai_edge_litert.interpreter import Interpreter

    from mnas._quantization import litert_outputs

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images)
    targets = [target["index"] for target in litert_outputs(interpreter)]

    def run() -> list[Any]:
        interpreter.invoke()
        return [interpreter.get_tensor(target) for target in targets]

    return run


def torchvision_run() -> Callable[[], int]:
    """torchvision's detector, as it comes."""
    import torch

    from mnas.models import import_torchvision

    import_torchvision()
    from torchvision.models.detection import ssdlite320_mobilenet_v3_large

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    images = [torch.rand(3, 320, 320)]

    def run() -> int:
        with torch.inference_mode():
            return len(model(images)[0]["scores"])

    return run


def timed(folder: Path, rounds: int, gate: Gate) -> tuple[list[dict[Case, Spell]], dict[Case, int]]:
    """Per round a spell of each case, in a fresh process; and how many detections each gives."""
    from mnas.export import onnx_model
    from mnas.models import build_model

    gauge = onnx_model(build_model(REFERENCE, seed=0)).SerializeToString()
    context, found, counts = multiprocessing.get_context("spawn"), [], {}
    for number in range(rounds):
        turn, spells = cases()[:: 1 if number % 2 else -1], {}
        with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
            for case in turn:  # one at a time: a pool would start the next process beside this one's spell
                taken, counts[case] = pool.submit(spell, case, folder, gauge).result()
                spells[case] = gate.learn(taken)
        found.append(spells)
    return found, counts


def concluded(rounds: list[dict[Case, Spell]], counts: dict[Case, int], gate: Gate) -> list[dict[str, Any]]:
    """A row per case: milliseconds, and times those of the same network's outputs as they are."""
    rows = []
    for case in cases():
        plain = replace(case, way=first_of(case.way)) if case.way else case
        kept = [
            (spells[case].latency_ms, spells[plain].latency_ms)
            for spells in rounds
            if not any(gate.problem(spells[one]) for one in (case, plain))
        ]
        row = {"network": case.network, "classes": case.classes, "way": case.way.label if case.way else "",
               "detections": counts[case], "rounds": len(kept), "refused": len(rounds) - len(kept)}  # fmt: skip
        rows.append(row | (figures(kept, plain == case) if len(kept) >= LEAST_ROUNDS else {}))
    return rows


def figures(kept: list[tuple[float, float]], is_plain: bool) -> dict[str, list[float]]:
    """With intervals: milliseconds, and the ratio to what is beside them."""
    latency = Interval.over_processes([mine for mine, _ in kept])
    found = {"ms": [latency.estimate_ms, latency.low_ms, latency.high_ms]}
    if not is_plain:
        ratio = Interval.over_processes([mine / its for mine, its in kept])
        half = ratio.origin["scatter"]  # what minutes differ by, both of a round share
        found["ratio"] = [ratio.estimate_ms * math.exp(sign * half) for sign in (0, -1, 1)]
    return found


def first_of(way: Way) -> Way:
    """The same runtime's outputs as they are."""
    return next(other for other in WAYS if other.runtime == way.runtime)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line per way, networks and classes beside each other."""
    columns = [(network, classes) for classes in CLASSES for network in NETWORKS]
    lines = ["| | " + " | ".join(f"{network}, {classes} classes" for network, classes in columns) + " |",
             "|---" * (len(columns) + 1) + "|"]  # fmt: skip
    for way in WAYS:
        own = {(row["network"], row["classes"]): row for row in rows if row["way"] == way.label}
        lines.append(f"| {way.label} | " + " | ".join(cell(own[column]) for column in columns) + " |")
    lines.append(f"| {TORCHVISION}, MobileNetV3 | | | {cell(rows[-1])} | |")
    return "\n".join(lines)


def cell(row: dict[str, Any]) -> str:
    if "ms" not in row:
        return f"{row['rounds']} rounds undisturbed"
    times = " x{:.2f} ({:.2f} - {:.2f})".format(*row["ratio"]) if "ratio" in row else ""
    return "{:.2f} ({:.2f} - {:.2f})".format(*row["ms"]) + times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=Path, required=True, help="a folder for the files, which are made once")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    arguments.files.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
        for case in cases():
            if case.way is not None and not case.path(arguments.files).exists():
                pool.submit(convert, case, arguments.files).result()
    if arguments.rounds:
        gate = Gate()
        rows = concluded(*timed(arguments.files, arguments.rounds, gate), gate)
        print(table(rows))
        print(json.dumps({"benchmark": "detector latency", "rows": rows}))


if __name__ == "__main__":
    main()
