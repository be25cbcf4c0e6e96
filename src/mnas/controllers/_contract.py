"""The two-method contract of everything that proposes architectures and learns from trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from mnas.space import Tokens
from mnas.trial import Trial


class Controller(Protocol):
    """Proposes tokens and learns from trials.

    A controller is made with a space, a seed and its settings: `PPO(space, seed=0, batch=20)`; one that has an
    argument `objective` is given the search's. The loop asks for at most `batch` proposals at a time, then tells
    all of them, in the order asked:

        tokens = controller.ask(20)       # twenty token tuples
        ...                               # each is measured and trained, or found in the cache
        controller.tell(trials)           # twenty trials, FAILED, INFEASIBLE and cached ones among them

    The same seed and the same trials give the same proposals, whatever else the process does: a stopped
    search resumes by replaying its asks and tells into a fresh controller. All randomness therefore comes
    from the controller's own generators.

    One that has the attribute `asynchronous = True` may be asked while earlier proposals are open, and told trials in
    any order and grouping, so that workers need not wait for each other:

        first, second, third = controller.ask(3)
        controller.tell([trial_of_third])
        (fourth,) = controller.ask(1)
    """

    batch: int

    def ask(self, n: int) -> list[Tokens]:
        """`n` proposals, each one token in range per choice."""
        ...

    def tell(self, trials: Sequence[Trial]) -> dict[str, Any] | None:
        """Learn from the trials of the last ask. May give a small summary (JSON values) that the run keeps,
        such as the probabilities per choice: {"probabilities": {"block1.op": [0.3, 0.2, 0.4, 0.1], ...}}."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A controller whose state can be stored, so that to go on with a search takes no replay of all that was told.

        stored = json.dumps(controller.snapshot())
        ...                                               # later, in another process
        fresh.restore(json.loads(stored), told)           # made alike; `told`: every trial that the other was told

    From then on the fresh one proposes what the other would have proposed. A snapshot holds JSON values without NaN,
    and stays small: what `told` says is not in it.
    """

    def snapshot(self) -> dict[str, Any]:
        """The state as it stands, proposals that are not told yet included."""
        ...

    def restore(self, snapshot: Mapping[str, Any], told: Sequence[Trial]) -> None:
        """Take the state of a controller that was told these trials in this order. Only for a fresh one.

        Raises:
            LookupError, TypeError, ValueError: the snapshot is of another kind; the controller is as it was.
        """
        ...


def is_asynchronous(controller: Controller) -> bool:
    """Whether it may be asked while earlier proposals are open, and told trials in any order and grouping."""
    return bool(getattr(controller, "asynchronous", False))
