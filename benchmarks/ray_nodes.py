"""A Ray cluster of several nodes on this machine, on loopback alone, for tests and benchmarks.

Nothing here stops any Ray but its own: `ray stop` would end every one on the machine.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

# Before ray is imported, here and in what is started from here. The second is named after the systems where it is the
# default: all ports on loopback.
RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",  # the same on every node and in the search
}
os.environ.update(RAY_ENVIRONMENT)

# A node that is killed is missed after seconds in place of half a minute.
_QUICK = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 3000,
    "health_check_failure_threshold": 3,
}


class RayNodes:
    """A head that runs no jobs, and nodes that do.

    with RayNodes(2, 2) as nodes:          # two nodes of two CPUs
        RayExecutor(address=nodes.address)
        nodes.kill(0)
    """

    def __init__(self, *cpus: int) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": _QUICK}
        self._cluster: Any = Cluster(initialize_head=True, head_node_args=head)
        self.nodes: list[Any] = [self.add(number) for number in cpus]
        self._frozen: set[int] = set()

    @property
    def address(self) -> str:
        """HOST:PORT of the head."""
        return str(self._cluster.address)

    def add(self, cpus: int, **offered: Any) -> Any:
        """One more node, from any thread."""
        # What ends a node with this process is a signal's handler, which other threads cannot set; without it a node
        # ends a minute after its head.
        self._cluster._shutdown_at_exit = threading.current_thread() is threading.main_thread()
        return self._cluster.add_node(num_cpus=cpus, include_dashboard=False, **offered)

    def kill(self, place: int) -> None:
        """A node vanishes: SIGKILL for all that runs there."""
        for processes in self.nodes[place].all_processes.values():
            for started in processes:
                with suppress(ProcessLookupError):
                    os.kill(started.process.pid, signal.SIGKILL)

    def freeze(self, place: int) -> set[int]:
        """The network to a node parts: nothing there answers until it is thawed. What was stopped, by process id."""
        frozen: set[int] = set()
        while found := self.process_ids(place) - frozen:  # until nothing has begun meanwhile
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            frozen |= found
        self._frozen |= frozen
        return frozen

    def thaw(self) -> None:
        """The network is back: what was frozen goes on."""
        for pid in self._frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._frozen.clear()

    def alive(self) -> int:
        """Nodes that the head thinks alive, itself among them."""
        import ray

        listed: Any = ray
        return sum(node["Alive"] for node in listed.nodes())

    def process_ids(self, place: int) -> set[int]:
        """Of all that runs on a node: what Ray started there, and what came of it."""
        started = self.nodes[place].all_processes.values()
        ids = {one.process.pid for processes in started for one in processes}
        while more := {child for child, parent in _parents().items() if parent in ids} - ids:
            ids |= more
        return ids

    def replace(self, place: int, cpus: int) -> None:
        """Kill a node, and start another in its place."""
        self.kill(place)
        self._cluster.remove_node(self.nodes[place], allow_graceful=False)
        self.nodes[place] = self.add(cpus)

    def kill_head(self) -> None:
        """The cluster's control process vanishes."""
        (started,) = self._cluster.head_node.all_processes["gcs_server"]
        os.kill(started.process.pid, signal.SIGKILL)

    def __enter__(self) -> RayNodes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        import ray

        self.thaw()
        ray.shutdown()
        self._cluster.shutdown()


def _parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    parents: dict[int, int] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):  # it has just ended
                parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
    return parents
