"""The Ray that jobs run on: one that is begun for this search on this machine, or a cluster that runs already."""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from mnas.errors import SettingsError, needs_extra
from mnas.executors._contract import host_name

_ASK_S = 5.0  # that the head is given to accept a connection, and that Ray is given to end
_GB = 1e9
_OWN_NAMES = frozenset(("CPU", "GPU", "memory", "object_store_memory"))  # Ray's, of what has settings of its own


@dataclass(frozen=True)
class Demands:
    """What one job takes of a node while it runs.

    Raises:
        SettingsError: a number is out of its range.
    """

    cpus: float = 1
    gpus: float = 0
    memory_gb: float | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _OWN_NAMES.intersection(self.resources):
            raise SettingsError(f"executor.resources should name others, got {name!r}: see cpus, gpus, memory_gb")
        numbers = {"cpus": self.cpus, "gpus": self.gpus} | {f"resources.{k}": v for k, v in self.resources.items()}
        for name, value in numbers.items():
            if not value >= 0:
                raise SettingsError(f"executor.{name} should be at least 0, got {value!r}")
            if value > 1 and value != int(value):
                raise SettingsError(f"executor.{name} should be a share up to 1, or whole; got {value!r}")
        if not any(numbers.values()):
            raise SettingsError("a job should take something: executor.cpus or executor.gpus should be above 0")

    @property
    def options(self) -> dict[str, Any]:
        """For `ray.remote`."""
        memory = {} if self.memory_gb is None else {"memory": int(self.memory_gb * _GB)}
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "resources": dict(self.resources), **memory}

    def fitting(self, offered: Mapping[str, float]) -> int:
        """How many jobs fit at once on a node that offers this."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, **self.resources, "memory": (self.memory_gb or 0) * _GB}
        return min(math.floor(offered.get(name, 0) / amount + 1e-6) for name, amount in wanted.items() if amount)

    def __str__(self) -> str:
        memory = {} if self.memory_gb is None else {"memory GB": self.memory_gb}
        return _listed({"CPU": self.cpus, "GPU": self.gpus, **self.resources, **memory})


class Cluster:
    """A connection to Ray. `close` ends it, and the Ray too if it was begun here.

    Raises:
        SettingsError: ray is not installed, there is no such cluster, or it is of another version.
    """

    def __init__(self, address: str, demands: Demands, workers: int | None) -> None:
        if address.startswith("ray://"):
            raise SettingsError(
                f"executor.address should be 'local', 'auto' or HOST:PORT, got {address!r}: over ray:// a search "
                "loses its trainings with the connection. Start it on a node of the cluster, with address 'auto'"
            )
        self._ray = _import_ray(on_this_machine=address == "local")
        self.demands = demands
        self._is_ours = not self._ray.is_initialized()  # else whoever began it ends it
        try:
            if self._is_ours:
                _connect(self._ray, address, demands, workers)
                _hush()
            self.head = str(self._ray.get_runtime_context().gcs_address)
        except BaseException:
            self.close()
            raise

    @property
    def places(self) -> int:
        """How many jobs fit at once on the nodes that live."""
        return sum(self.demands.fitting(node["Resources"]) for node in self._nodes())

    @property
    def is_here(self) -> bool:
        """Whether jobs may run on this machine."""
        here = host_name()
        return any(
            node["NodeManagerHostname"] == here and self.demands.fitting(node["Resources"]) for node in self._nodes()
        )

    def describe(self) -> str:
        """The nodes that live and what they offer."""
        lines = [f"{node['NodeManagerHostname']}: {_listed(_offer(node['Resources']))}" for node in self._nodes()]
        return "; ".join(lines) or "no node"

    def answers(self) -> bool:
        """Whether the head accepts a connection. Ray itself would wait a minute and then end the process."""
        return _accepts(self.head)

    def dead_nodes(self) -> frozenset[str]:
        """The ids of those that the head misses. Where it does not answer itself this takes a minute."""
        return frozenset(node["NodeID"] for node in self._ray.nodes() if not node["Alive"])

    def close(self) -> None:
        """Disconnect."""
        if self._is_ours:
            self._is_ours = False
            _shut_down(self._ray)

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self._ray.nodes() if node["Alive"]]


def _import_ray(on_this_machine: bool) -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if on_this_machine and "ray" not in sys.modules:
        # Ray would run jobs below everything else on the machine; local processes do not.
        os.environ.setdefault("RAY_worker_niceness", "0")
        # Named after the systems where it is the default: it keeps all of Ray's ports on the loopback interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise needs_extra("ray", "ray") from error
    return ray


def _connect(ray: Any, address: str, demands: Demands, workers: int | None) -> None:
    own: dict[str, Any] = {"include_dashboard": False}
    if workers is not None:  # as with local processes: more than there are cores, where that is asked for
        own["num_cpus"] = math.ceil(workers * demands.cpus) or None
        own["resources"] = {name: workers * amount for name, amount in demands.resources.items()}
    try:
        with _uninterrupted(ray):
            if address == "local":
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)
            else:
                ray.init(address=_head(address), log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many classes: no such cluster, another version, another secret
        hint = "Start one on this machine: ray start --head, or join one: ray start --address HEAD:6379"
        raise SettingsError(
            f"there is no Ray cluster to run on at executor.address {address!r}: {error}. {hint}"
        ) from (error)


def _head(address: str) -> str:
    """HOST:PORT of a head that accepts connections: Ray itself tries one that is not there for minutes.

    Raises:
        ConnectionError: there is none.
        ValueError: it is no such address.
    """
    if address == "auto":
        from ray._private.services import canonicalize_bootstrap_address  # Ray's own "auto", which has no public name

        address = str(canonicalize_bootstrap_address("auto"))
    if not _accepts(address):
        raise ConnectionError(f"nothing answers at {address}")
    return address


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ValueError(f"an address should be 'local', 'auto' or HOST:PORT, such as head:6379, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ASK_S).close()
    except OSError:
        return False
    return True


@contextmanager
def _uninterrupted(ray: Any) -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until this is over, a second one apart: Ray that is stopped as it begins crashes.

    It would also put a handler of its own, which exits, in place of that which makes SIGTERM as clean as Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[signal.Signals] = []

    def note(number: int, frame: object) -> None:
        came.append(signal.Signals(number))
        if len(came) > 1:
            raise KeyboardInterrupt

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    utils = ray._private.utils
    set_handler, utils.set_sigterm_handler = utils.set_sigterm_handler, lambda handler: None
    for number in ours:
        signal.signal(number, note)
    try:
        yield
    finally:
        utils.set_sigterm_handler = set_handler
        for number, handler in ours.items():
            signal.signal(number, handler)
    if came:
        ours[came[0]](came[0], None)


def _shut_down(ray: Any) -> None:
    """Where the head is gone Ray would wait for it, so that it is not waited for long."""
    ending = threading.Thread(target=ray.shutdown, daemon=True)
    ending.start()
    ending.join(2 * _ASK_S)


def _hush() -> None:
    """Ray prints what befalls workers to standard output, whatever `log_to_driver` is; the search tells it itself."""
    from ray._private import worker

    with suppress(AttributeError):  # it is not Ray's interface
        worker.print_to_stdstream = lambda *_, **__: None


def _offer(resources: Mapping[str, float]) -> dict[str, float]:
    offer = {name: amount for name, amount in resources.items() if not name.startswith(("node:", "object_store"))}
    memory = offer.pop("memory", None)
    return offer if memory is None else offer | {"memory GB": round(memory / _GB, 1)}


def _listed(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:g} {name}" for name, amount in resources.items() if amount) or "nothing"
