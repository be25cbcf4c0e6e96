"""The verbs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mnas import registry
from mnas.cli import _console, _facts_display, _names, _result_display, _status_display
from mnas.cli._app import INTERRUPTED, app
from mnas.config import Part, Settings, load_settings, preset_text
from mnas.errors import SettingsError, did_you_mean
from mnas.estimate import DeclinedError
from mnas.result import SearchResult

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document to standard output, nothing else.")]
Run = Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart-20260101-120000.")]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Trainings at once. Default: one per core, on Ray as many as have room. 0: none, in this process."
    ),
]
Executor = Annotated[str | None, typer.Option(help="Where trainings run: processes of this machine, or ray.")]
Address = Annotated[
    str | None, typer.Option(help="Of the Ray cluster: auto for that which this machine is in, local, or HOST:PORT.")
]
Int8 = Annotated[bool, typer.Option("--int8", help="Latency of the network quantized to int8, on devices that can.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--budget", help="A key of [budget], such as hours=8 or money=40; again for more. KEY=none lifts."),
]
DeviceName = Annotated[
    str | None, typer.Option(help="A device's name (see mnas list), or a settings file with a [device] table.")
]


@app.command()
def search(
    file: Annotated[str, typer.Argument(help="A preset's name (see mnas list) or a settings file.")],
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    trials: Annotated[int | None, typer.Option(help="How many proposals to try.", min=1)] = None,
    target_ms: Annotated[float | None, typer.Option(help="Target latency in milliseconds.")] = None,
    device: DeviceName = None,
    int8: Int8 = False,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    data: Annotated[
        str | None,
        typer.Option(help="Images, as for mnas train; with accuracy 'detection' boxes, as for mnas detect train."),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="The pictures' folder, beside annotations in one file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. Default: runs/NAME-DATE.")] = None,
    budget: Limits = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="After the first trials say what all take and cost, and ask to go on.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Go on after the estimate without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Search networks. Flags override the settings file."""
    from mnas.run import default_folder, start

    settings = _override(load_settings(file).moved(executor, address), seed, trials, target_ms, device, int8, workers)
    settings = settings.with_budget(_names.budget_changes(budget or ()))
    if data is None and images is not None:
        raise SettingsError("--images goes with --data: name the annotations")
    if data is not None:
        has_boxes = settings.accuracy.name == "detection"
        if images is not None and not has_boxes:
            raise SettingsError(f"--images is for pictures with boxes, accuracy 'detection'; here {data} is labelled")
        part = _names.detection_part(data, images) if has_boxes else _names.dataset_part(data)
        settings = settings.changed(dataset=part.model_dump())
    folder = out or default_folder(settings.name)
    is_estimated = estimate or settings.budget.budget.has_price

    def work(display: _console.LiveDisplay) -> SearchResult:
        decide = _status_display.asker(display, folder, yes) if is_estimated else None
        return start(settings, folder, display.watch, decide)

    _finish(folder, json, work)


@app.command()
def resume(
    run: Run,
    trials: Annotated[int | None, typer.Option(help="Extend the run to this many trials.", min=1)] = None,
    workers: Workers = None,
    executor: Executor = None,
    address: Address = None,
    remeasure: Annotated[
        bool, typer.Option("--remeasure", help="The device is another one: measure the front again on this one.")
    ] = False,
    budget: Limits = None,
    json: AsJson = False,
) -> None:
    """Go on with a run as if it had never stopped, or extend a finished one."""
    from mnas.run import resume as go_on

    changes = _names.budget_changes(budget or ())

    def work(display: _console.LiveDisplay) -> SearchResult:
        return go_on(run, display.watch, trials, workers, remeasure, changes, executor, address)

    _finish(run, json, work)


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A reference model, block strings, RUN:17, RUN:best, or a search space's name.")
    ],
    width: Annotated[float, typer.Option(help="Width multiplier, for reference models.", min=0.01)] = 1.0,
    resolution: Annotated[int | None, typer.Option(help="Input pixels. Default: the architecture's own.")] = None,
    json: AsJson = False,
) -> None:
    """Show an architecture as a table with counts, or a search space with its sizes."""
    space = _names.space(name)
    if space is not None:
        _facts_display.print_space(space, json)
    else:
        _facts_display.print_architecture(name, _names.architecture(name, width, resolution), json)


@app.command()
def front(
    run: Run,
    all: Annotated[bool, typer.Option("--all", help="Every trial in place of the front.")] = False,
    json: AsJson = False,
) -> None:
    """List a run's Pareto front."""
    from mnas.folder import load_result

    result = load_result(run)
    _result_display.print_trials(result, list(result.trials) if all else result.front, json)


@app.command()
def measure(
    name: Annotated[
        str, typer.Argument(help="A reference model, block strings, RUN:17, RUN:best, or an exported file.")
    ],
    device: Annotated[str, typer.Option(help="A device's name, or a settings file with a [device] table.")] = "cpu",
    runtime: Annotated[str | None, typer.Option(help="The device's runtime, such as onnxruntime or torch.")] = None,
    int8: Int8 = False,
    threads: Annotated[int | None, typer.Option(help="Threads. Default: one, as in the paper.", min=1)] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Fresh processes to time in, at least. Default: twenty, on devices that have them.", min=1),
    ] = None,
    energy: Annotated[
        bool, typer.Option("--energy", help="Also the energy of one inference, on a device with a meter.")
    ] = False,
    width: Annotated[float, typer.Option(help="Width multiplier, for reference models.", min=0.01)] = 1.0,
    resolution: Annotated[int | None, typer.Option(help="Input pixels. Default: the architecture's own.")] = None,
    json: AsJson = False,
) -> None:
    """Measure an architecture's latency, or an exported file's as it is, in several fresh processes."""
    from mnas.export import FORMATS

    options: dict[str, Any] = {"threads": threads, "processes": processes, "energy": energy or None}
    if Path(name).suffix in {format.suffix for format in FORMATS.values()}:
        if runtime or int8 or width != 1 or resolution:
            raise SettingsError(f"{name} has its runtime, precision and size: leave out the options for them")
        from mnas.measured_files import measure_file

        architecture, latency = measure_file(Path(name), _names.device_with(device, options))
    else:
        architecture = _names.architecture(name, width, resolution)
        options |= {"runtime": runtime, "precision": "int8" if int8 else None}
        part = _names.device_with(device, options)
        latency = registry.measuring_device(part.name, part.options).measure(architecture)
    _facts_display.print_latency(name, architecture, latency, json)


@app.command()
def devices(
    addresses: Annotated[list[str] | None, typer.Argument(help="Boards to ask too, such as ssh://pi@board.")] = None,
    json: AsJson = False,
) -> None:
    """Say what can be measured on: this machine, its GPUs, phones on adb, boards; with runtimes and versions."""
    from mnas.devices import reachable

    _facts_display.print_devices(list(reachable(addresses or ())), json)


@app.command()
def profile(
    out: Annotated[Path, typer.Option(help="The profile to write, such as cpu.profile.")],
    device: Annotated[str, typer.Option(help="A device's name, or a settings file with a [device] table.")] = "cpu",
    space: Annotated[str, typer.Option(help="A space's name, or a preset or settings file with one.")] = "mnasnet",
    minutes: Annotated[float, typer.Option(help="Of measuring, at most. Phones want 15.", min=0.01)] = 5.0,
    measurements: Annotated[
        int | None,
        typer.Option(help="Measurements, at most. Default: 1,000; with --like 10, and 10 to check with.", min=1),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="Another device's profile, to be transferred from few measurements.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the networks and layers that are tried.")] = 0,
    json: AsJson = False,
) -> None:
    """Measure a device's latency profile, which predicts the latencies of a space's networks."""
    from mnas.profiles import read_profile, write_profile
    from mnas.profiling import MOST, TRANSFER_NETWORKS, make_profile, transfer_profile

    if out.suffix != ".profile":
        raise SettingsError(f"--out should end in .profile, by which --device knows profiles; got {out}")
    if not out.parent.is_dir():
        raise SettingsError(f"--out {out} should lie in a folder that is there")
    part = _names.device_part(device, Part(name="cpu"))
    searched, table = _names.searched_space(space), part.model_dump()
    other = read_profile(like) if like else None
    if other:
        other.check_space(searched)
    measured = registry.make("device", part.name, part.options)
    try:
        with _console.phases() as watch:
            if other:
                networks = measurements or TRANSFER_NETWORKS
                made = transfer_profile(
                    measured, searched, other, networks, minutes=minutes, seed=seed, settings=table, watch=watch
                )
            else:
                made = make_profile(measured, searched, minutes, measurements or MOST, seed, table, watch)
    except KeyboardInterrupt:
        _console.say("\nstopped; nothing is written")
        raise typer.Exit(INTERRUPTED) from None
    write_profile(out, made)
    _facts_display.print_profile(out, made, json)


@app.command("list")
def list_names(
    kind: Annotated[str | None, typer.Argument(help="Only one kind, such as devices.")] = None,
    json: AsJson = False,
) -> None:
    """List what is known by name: presets, spaces, controllers, devices, datasets, accuracies, models."""
    known = _names.every()
    if kind is not None and kind not in known:
        raise did_you_mean("kind", kind, known)
    _facts_display.print_names({kind: known[kind]} if kind else known, json)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="What to prepare: imagenet.")],
    train: Annotated[Path, typer.Option(help="ILSVRC2012_img_train.tar.")],
    val: Annotated[Path, typer.Option(help="ILSVRC2012_img_val.tar.")],
    devkit: Annotated[Path, typer.Option(help="ILSVRC2012_devkit_t12.tar.gz: the validation images' classes.")],
    out: Annotated[Path, typer.Option(help="The folder to make; a stopped preparation goes on.")],
) -> None:
    """Unpack a data set's official files into the folders that mnas reads."""
    from mnas.datasets import prepare_imagenet

    if dataset != "imagenet":
        raise did_you_mean("data set to prepare", dataset, ["imagenet"])
    try:
        with _console.phases() as watch:
            counts = prepare_imagenet(train, val, devkit, out, watch)
    except KeyboardInterrupt:
        _console.say("\nstopped; the same command goes on")
        raise typer.Exit(INTERRUPTED) from None
    _console.say(f"{out}: {counts['train']:,} training and {counts['val']:,} validation images")


@app.command()
def status(run: Run, json: AsJson = False) -> None:
    """Say how a run stands, from any host that sees its folder: progress, machines, failures, cost, time left."""
    from mnas.folder import load_status

    _status_display.print_status(run, load_status(run), json)


@app.command()
def init(
    file: Annotated[Path, typer.Argument(help="The settings file to write.")],
    preset: Annotated[str, typer.Option(help="The preset to start from.")] = "quickstart",
) -> None:
    """Write a commented settings file to start from."""
    from mnas.config import preset_names

    if preset not in preset_names():
        raise did_you_mean("preset", preset, preset_names())
    if file.exists():
        raise SettingsError(f"{file} is already there; name another file or remove it")
    file.write_text(preset_text(preset), encoding="utf-8")
    _console.say(f"wrote {file}; start with: mnas search {file}")


def _override(
    settings: Settings,
    seed: int | None,
    trials: int | None,
    target_ms: float | None,
    device: str | None,
    int8: bool,
    workers: int | None,
) -> Settings:
    objective = settings.objective.model_dump(exclude_none=True) | {"target_ms": target_ms} if target_ms else None
    chosen = _names.device_part(device, settings.device) if device else None
    if int8:
        chosen = Part.model_validate((chosen or settings.device).model_dump() | {"precision": "int8"})
    return settings.changed(
        seed=seed,
        trials=trials,
        workers=workers,
        objective=objective,
        device=chosen.model_dump() if chosen else None,
    )


def _finish(folder: Path, json: bool, work: Callable[[_console.LiveDisplay], SearchResult]) -> Any:
    """Do the work under a live display, and print its result; Ctrl-C says how to go on."""
    try:
        with _console.live() as display:
            result = work(display)
    except DeclinedError:
        _console.say(f"nothing more is spent; what is finished is stored. Go on with: mnas resume {folder}")
        return
    except KeyboardInterrupt:
        _console.say(f"\nstopped; everything finished is stored. Go on with: mnas resume {folder}")
        raise typer.Exit(INTERRUPTED) from None
    _result_display.print_result(result, json)
