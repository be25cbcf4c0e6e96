"""A stand-in for `benchmark_model` and `executor_runner`: runs the network it is given, in a runtime
for its kind of file, and prints
in the form of the program whose name is the first argument.

The file `behaviour` in the stand-in phone says what it prints: "timed", how long the runs took; "steady", and
everything else, times made from the model's size, which are the same on a busy machine. The rest of it makes the
tool err: see below.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np


def main() -> None:
    face, flags = sys.argv[1], dict(word.removeprefix("--").split("=", 1) for word in sys.argv[2:])
    sandbox = Path(os.environ["STANDIN_SANDBOX"])
    behaviour = (sandbox / "behaviour").read_text().strip()
    with (sandbox / "tool_runs").open("a") as log:
        log.write(f"{face} on cores {sorted(os.sched_getaffinity(0))}\n")
    if behaviour == "hang":
        time.sleep(60)
    if behaviour == "crash":
        sys.stderr.write("ERROR: Didn't find op for builtin opcode 'CONV_2D'\n")
        sys.exit(1)
    if behaviour == "hot":
        (sandbox / "dumpsys-thermalservice").write_text((sandbox / "dumpsys-hot").read_text())
    if behaviour == "capped":
        for limit in sandbox.glob("sys/devices/system/cpu/cpu*/cpufreq/scaling_max_freq"):
            limit.write_text("1500000")
    factor = float(behaviour.split()[1]) ** _nth(sandbox) if behaviour.startswith("noisy") else 1.0
    model = Path(flags["graph"] if face == "benchmark_model" else flags["model_path"])
    steady_us = None if behaviour == "timed" else factor * (50 + model.stat().st_size / 100)
    (benchmark_model if face == "benchmark_model" else executor_runner)(flags, behaviour, steady_us)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _nth(sandbox: Path) -> int:
    return len((sandbox / "tool_runs").read_text().splitlines()) % 3


def _session(model: str, threads: str, images: str):  # type: ignore[no-untyped-def]
    """A function that runs the network and gives its outputs: what kind of file it is, it says itself."""
    head, data = Path(model).read_bytes()[4:8], np.fromfile(images, np.uint8)
    if head == b"TFL3":
        return _litert(model, threads, data)
    if head[:2] == b"ET":
        return _executorch(model, threads, data)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (wanted,) = session.get_inputs()
    values = data.view(np.float32).reshape(wanted.shape)
    return lambda: session.run(None, {wanted.name: values})[0]


def _litert(model: str, threads: str, data: np.ndarray):  # type: ignore[no-untyped-def]
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=model, num_threads=int(threads))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(source["index"], data.view(source["dtype"]).reshape(source["shape"]))

    def run() -> np.ndarray:
        interpreter.invoke()
        return interpreter.get_tensor(target["index"])

    return run


def _executorch(model: str, threads: str, data: np.ndarray):  # type: ignore[no-untyped-def]
    import torch
    from executorch.extension.pybindings._C import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    _unsafe_reset_threadpool(int(threads))
    method = Runtime.get().load_program(model).load_method("forward")
    shape = tuple(method.metadata.input_tensor_meta(0).sizes())
    values = torch.from_numpy(data.view(np.float32).reshape(shape))
    return lambda: method.execute([values])[0].numpy()


def _timed_us(run, count: int, seconds: float, steady_us: float | None) -> tuple[list[float], np.ndarray]:  # type: ignore[no-untyped-def]
    times, begin = [], time.perf_counter()
    while len(times) < count or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        output = run()
        took = (time.perf_counter() - start) * 1e6
        times.append(took if steady_us is None else steady_us * (1 + len(times) % 7 / 100))
    return times, output


def benchmark_model(flags: dict[str, str], behaviour: str, steady_us: float | None) -> None:
    known = set(flags)
    if behaviour == "old":
        known -= {"output_filepath"}
        say(f"WARN: Unconsumed cmdline flags: --output_filepath={flags['output_filepath']}")
    if behaviour == "compiled":  # the program of litert/tools
        say(f"WARN: Unconsumed cmdline flags: --use_xnnpack=true --output_filepath={flags['output_filepath']}")
    start = time.perf_counter()
    run = _session(flags["graph"], flags["num_threads"], flags["input_layer_value_files"].partition(":")[2])
    init_us = int((time.perf_counter() - start) * 1e6)
    say("INFO: STARTING!")
    say(f"INFO: Loaded model {flags['graph']}")
    say("INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.")
    warm_up, _ = _timed_us(run, 1, 0.0, steady_us)
    say(f"INFO: {_statistics(warm_up, behaviour)}\n")
    timed, output = _timed_us(run, int(flags["num_runs"]), float(flags["min_secs"]), steady_us)
    line = f"INFO: {_statistics(timed, behaviour)}\n"
    say(line.replace("min=", "fastest=") if behaviour == "unknown" else line)
    average = sum(map(int, timed)) / len(timed)
    say(
        f"INFO: Inference timings in us: Init: {init_us}, First inference: {int(warm_up[0])}, "
        f"Warmup (avg): {sum(map(int, warm_up)) / len(warm_up):g}, "
        f"Inference (avg): {average * (2 if behaviour == 'mismatch' else 1):g}"
    )
    if "output_filepath" in known:
        (output + output.dtype.type(behaviour == "wrong")).tofile(flags["output_filepath"])


def _statistics(times: list[float], behaviour: str) -> str:
    us = list(map(int, times))
    if min(us) == max(us):
        text = f"count={len(us)} curr={us[-1]}" + ("(all same)" if len(us) > 1 else "")
    else:
        text = (
            f"count={len(us)} first={us[0]} curr={us[-1]} min={min(us)} max={max(us)} "
            f"avg={sum(us) / len(us):g} std={int(np.std(us))}"
        )
    ordered = sorted(us)
    p5, median, p95 = (ordered[len(us) * share // 100] for share in (5, 50, 95))
    return text if behaviour == "old" else f"{text} p5={p5} median={median} p95={p95}"


def executor_runner(flags: dict[str, str], behaviour: str, steady_us: float | None) -> None:
    def log(message: str) -> None:
        sys.stderr.write(f"I 00:00:00.{int(time.perf_counter() * 1e6) % 1_000_000:06d} {message}\n")

    if behaviour == "silent":
        return
    start = time.perf_counter()
    run = _session(flags["model_path"], flags["cpu_threads"], flags["inputs"])
    log(f"executorch:executor_runner.cpp:430] Model file {flags['model_path']} is loaded.")
    log(f"executorch:executor_runner.cpp:612] Model loaded in {(time.perf_counter() - start) * 1e3:f} ms.")
    count = int(flags["num_executions"])
    times_us, output = _timed_us(run, count, 0.0, steady_us)
    shown = times_us[1:] if behaviour == "unknown" else times_us
    for index, us in enumerate(shown, start=1):
        log(f"executorch:executor_runner.cpp:779] Iteration {index} of {count}: {us / 1e3:f} ms")
    total = f"{count} time(s) in {sum(times_us) / 1e3 * (2 if behaviour == 'mismatch' else 1):f} ms."
    log(f"executorch:executor_runner.cpp:788] Model executed successfully {total}")
    log("executorch:executor_runner.cpp:798] 1 outputs: ")
    output.tofile(flags["output_file"] + "-0.bin")


if __name__ == "__main__":
    main()
