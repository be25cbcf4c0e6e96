"""What the page and the reports show, as typed plain values: each class is one answer of the API or a part of one.

Latencies are in milliseconds, accuracies fractions, times seconds since the epoch; None is what is not known.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

RunState = Literal["running", "finished", "stopped", "failed", "silent", "broken"]


class View(BaseModel):
    """A value that is shown."""

    model_config = ConfigDict(frozen=True)


class RunSummary(View):
    """One of the runs that a page shows."""

    id: str  # its position on the command line
    name: str
    state: RunState
    problem: str | None = None  # why it is broken, silent or failed, or ended before its last trial
    trials: int = 0
    total: int = 0


class RunList(View):
    """The runs that a page shows."""

    runs: list[RunSummary]


class Constraint(View):
    """A hard limit, by its key in the settings."""

    name: str
    value: float


class ChoiceOfSpace(View):
    """A question of the search space and its answers."""

    name: str
    options: list[str]


class SpaceView(View):
    """The search space."""

    name: str
    choices: list[ChoiceOfSpace]


class CountsView(View):
    """How many trials ended how, as `mnas.result.Counts`."""

    trials: int = 0
    distinct: int = 0
    stopped: int = 0
    cached: int = 0
    infeasible: int = 0
    failed: int = 0
    epochs: int = 0
    epochs_saved: int = 0


class FinalView(View):
    """A network of the final comparison: retrained, and measured once on the test split."""

    label: str
    trial: int | None
    latency_ms: float
    low_ms: float
    high_ms: float
    accuracy: float  # mean over the seeds
    low: float
    high: float
    seeds: list[float]  # the accuracy with each seed
    test_images: int
    is_winner: bool
    is_reference: bool
    block_string: str


class RatedView(View):
    """A network whose accuracy is predicted by two models and whose latency was measured to be compared."""

    label: str
    trial: int | None
    latency_ms: float
    low_ms: float
    high_ms: float
    accuracy: float
    accuracy_sd: float
    second_accuracy: float
    block_string: str


class ComparisonView(View):
    """A reference, and what the search found that dominates it."""

    reference: RatedView
    faster: RatedView | None
    better: RatedView | None
    speedup: float | None  # of `faster`
    points: float | None  # percent, of `better`
    is_faster: bool  # beyond the measured intervals
    is_better: bool
    sentence: str


class ReferenceView(View):
    """A known network to be drawn beside the front; its place in the list is its number in the API."""

    label: str
    latency_ms: float
    low_ms: float
    high_ms: float
    accuracy: float
    kind: Literal["retrained", "predicted"]  # retrained: tested after a longer training than the trials had


class MeasuredRow(View):
    """A network of a predicted front, as the device itself measured it."""

    trial: int
    predicted_ms: float
    measured_ms: float | None  # None: it could not be measured
    low_ms: float | None
    high_ms: float | None
    difference: float | None  # relative to the prediction
    dropped: str | None  # why it left the front


class MeasuredView(View):
    """A front that was predicted and measured in the end."""

    device: str
    rows: list[MeasuredRow]


class RunCommands(View):
    """What to type to go on."""

    resume: str
    front: str
    export: str
    train: str
    ship: str


class RunDescription(View):
    """All of a run but its trials."""

    id: str
    name: str
    folder: str  # its name, not its path
    state: RunState
    problem: str | None
    phase: str
    created: str
    mnas_version: str
    commit: str
    device: str
    device_details: dict[str, Any]
    task: str  # what the accuracies are of
    target_ms: float | None
    reach_ms: list[float] | None  # lowest and highest latency that the space was found to reach
    objective: dict[str, Any]
    constraints: list[Constraint]
    space: SpaceView
    controller: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    seconds: float  # of search
    notes: list[str]
    verdict: list[str]
    counts: CountsView
    best: int | None
    total: int
    finals: list[FinalView]
    comparisons: list[ComparisonView]
    references: list[ReferenceView]
    measured: MeasuredView | None
    curve_epochs: int  # of the longest learning curve
    has_status: bool
    commands: RunCommands


class TrialTable(View):
    """Trials as columns of equal length, in the order stored: those since a cursor."""

    cursor: int  # give it back as `after`
    restart: bool  # what was read before is of another run, or of this one before it changed: drop it
    front: list[int]  # numbers, by rising latency
    best: int | None
    hypervolume: float | None  # milliseconds x fraction
    reference_point: list[float] | None  # of the hypervolume: milliseconds, accuracy
    number: list[int]
    state: list[str]
    cached: list[bool]
    accuracy: list[float | None]
    latency_ms: list[float | None]
    low_ms: list[float | None]
    high_ms: list[float | None]
    reward: list[float]
    params: list[int]
    madds: list[int]
    epochs: list[int]  # of the learning curve
    error: list[str | None]
    worker: list[str]
    started: list[float]
    finished: list[float]
    architecture_id: list[str]
    energy_mj: list[float | None]
    parts_ms: dict[str, list[float | None]]  # where the latency is the worst of several devices: each one's


class NetworkRow(View):
    """A row of a network: the stem, a block or the head."""

    label: str
    block: str  # as text
    op: str
    kernel: int
    expand_ratio: float
    se_ratio: float
    filters: int
    layers: int
    stride: int
    skip: str
    input_resolution: int
    resolution: int
    params: int
    madds: int
    ms: float | None  # of all its layers, where the run's device is a profile, which knows


class NetworkCommands(View):
    """What to type to look at a network or to train it."""

    show: str
    measure: str
    train: str
    export: str


class EnergyView(View):
    """What one inference takes above the idle machine, millijoules."""

    millijoules: float
    low: float
    high: float
    meter: str


class PartLatency(View):
    """The latency on one of several devices."""

    name: str
    latency_ms: float
    low_ms: float
    high_ms: float


class NetworkView(View):
    """A network, whole: how it is built, what it costs, how its trial went."""

    number: int | None  # None: a reference
    label: str
    architecture_id: str
    architecture: str
    block_strings: list[str]
    resolution: int
    input_channels: int
    classes: int
    params: int
    madds: int
    weight_bytes: int
    peak_activation_bytes: int
    accuracy: float | None
    latency_ms: float | None
    low_ms: float | None
    high_ms: float | None
    statistic: str | None
    samples_ms: list[float]
    environment: dict[str, str]
    energy: EnergyView | None
    parts: list[PartLatency]
    reward: float | None
    state: str  # a trial's, or "REFERENCE"
    cached: bool
    error: str | None
    curve: list[float | None]
    seed: int
    attempts: int
    worker: str
    started: float
    finished: float
    measure_seconds: float
    train_seconds: float
    tokens: dict[str, str]  # name of the choice to the answer
    rows: list[NetworkRow]
    network_ms: float | None  # beside the rows' ms: what running a network costs at all
    weights: Literal["trained", "untrained"]  # those of model.onnx
    commands: NetworkCommands


class Preference(View):
    """How the answers to one choice were spread, over the search."""

    choice: str
    options: list[str]
    steps: list[int]  # the trial's number that each row of `probabilities` stands at
    probabilities: list[list[float]]
    source: Literal["policy", "trials"]  # what the controller said, or shares among the last trials


class Importance(View):
    """Share of the variance that a choice accounts for, with its interval at 95 %."""

    share: float
    low: float
    high: float


class ChoiceImportance(View):
    """How much a choice matters; None where there are too few trials."""

    choice: str
    accuracy: Importance | None
    latency: Importance | None


class SearchView(View):
    """How the search went: series over its trials in the order they finished, and what was learnt."""

    numbers: list[int]
    finished: list[float]
    reward: list[float | None]  # None unless COMPLETE
    best_reward: list[float | None]
    hypervolume: list[float]
    reference_point: list[float] | None
    distinct: list[int]  # networks trained so far
    target_ms: float | None
    preferences: list[Preference]
    window: int  # trials that a row of shares is of
    importance: list[ChoiceImportance]
    importance_method: str
    explained: dict[str, float]  # share of the variance that the model behind `importance` explains
    optimum: float | None  # the best reward there is, where the whole space was tried


class QueueView(View):
    """How many trials wait, and how many are worked on."""

    to_measure: int = 0
    measuring: int = 0
    to_train: int = 0
    training: int = 0


class WorkerView(View):
    """A process that trains."""

    name: str = ""
    trial: int | None = None
    since: float | None = None
    jobs: int = 0
    busy_seconds: float = 0.0


class DeviceView(View):
    """A device that measures."""

    name: str = ""
    trial: int | None = None
    since: float | None = None
    measurements: int = 0
    busy_seconds: float = 0.0


class FailureView(View):
    """A trial that failed, and why."""

    trial: int
    error: str


class SpentView(View):
    """What was spent, or may be."""

    trials: float | None = None
    hours: float | None = None
    device_hours: float | None = None
    accelerator_hours: float | None = None
    money: float | None = None


class MachinesView(View):
    """What works on the run right now, as its driver said; `state` "none" where it said nothing."""

    state: Literal["running", "finished", "stopped", "failed", "silent", "none"]
    now: float  # of the server
    name: str = ""
    host: str = ""
    pid: int = 0
    written: float = 0.0
    began: float = 0.0
    phase: str = ""
    message: str = ""
    total: int = 0
    counts: CountsView = CountsView()
    best_reward: float | None = None
    front_size: int = 0
    asynchronous: bool = False
    queue: QueueView = QueueView()
    workers: list[WorkerView] = []
    devices: list[DeviceView] = []
    retries: int = 0
    failures: list[FailureView] = []
    trials_per_hour: float | None = None
    seconds: float = 0.0
    seconds_left: float | None = None
    spent: SpentView = SpentView()
    budget: SpentView = SpentView()
    currency: str = "USD"


class Problem(View):
    """What went wrong."""

    detail: str
