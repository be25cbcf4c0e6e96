"""The quickstart on a Ray cluster of two nodes on this machine, one of which is killed midway. Says what happened.

    python benchmarks/two_nodes.py --out /tmp/two_nodes

The cluster is one of its own, on loopback. The node is killed (SIGKILL of all its processes) when half of the trials
are there; the search goes on with the other one. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from ray_nodes import RayNodes

from mnas.config import load_settings
from mnas.loop import Progress
from mnas.run import start


def main() -> None:
    """Search, kill, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="quickstart")
    parser.add_argument("--trials", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with RayNodes(1, 1) as nodes:
        story = Story(nodes)
        settings = load_settings(options.preset).changed(trials=options.trials)
        settings = settings.moved("ray", nodes.address)
        result = start(settings, options.out, story.watch)
    story.say("finished")
    numbers = Counter(trial.number for trial in result.trials)
    print(
        json.dumps(
            {
                "benchmark": "two_nodes",
                "seconds": round(time.monotonic() - story.began),
                "trials": len(numbers),
                "doubled": sum(count > 1 for count in numbers.values()),
                "states": Counter(str(trial.state) for trial in result.trials),
                "attempts": Counter(trial.attempts for trial in result.trials),
                "killed_at_trial": story.killed_at,
                "workers": Counter(trial.worker for trial in result.trials if trial.worker),
                "finals": len(result.finals),
                "best": result.best.number if result.best else None,
            }
        )
    )


class Story:
    """Watches a search, tells what changes, and kills the second node in the middle."""

    def __init__(self, nodes: RayNodes) -> None:
        self.nodes, self.began = nodes, time.monotonic()
        self.killed_at: int | None = None
        self._last = ""

    def watch(self, progress: Progress) -> None:
        """One line where something has changed; SIGKILL for a node at half of the trials."""
        activity = progress.activity
        busy = [] if activity is None else [f"{w.name} trial {w.trial}" for w in activity.workers if w.since]
        line = f"{progress.phase}: {progress.counts.trials} of {progress.total}; {', '.join(busy) or 'no training'}"
        if activity is not None and activity.retries:
            line += f"; {activity.retries} tried again"
        if line != self._last:
            self.say(line)
        self._last = line
        if self.killed_at is None and progress.counts.trials >= progress.total / 2 and busy:
            self.killed_at = progress.counts.trials
            self.nodes.kill(1)
            self.say("KILLED one of the two nodes")

    def say(self, line: str) -> None:
        """To standard error, with the time since the start."""
        print(f"{time.monotonic() - self.began:7.1f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
