"""Global state that a part leaves as it found it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unchanged_global_state() -> Iterator[None]:
    """Fails the test if what runs inside changes a global generator, torch's threads, the folder or environment.

    Torch and numpy are looked at only where something has imported them already.
    """
    _global_state()  # the first look may itself initialize a library
    before = _global_state()
    yield
    after = {name: value for name, value in _global_state().items() if name in before}
    changed = [name for name in before if after[name] != before[name]]
    assert not changed, f"changed, and should be as they were: {', '.join(changed)}"


@contextmanager
def another_process_state() -> Iterator[None]:
    """The process as another program might have left it: other seeds, other threads; restored on the way out."""
    state = random.getstate()
    torch = sys.modules.get("torch")
    torch_state = (torch.get_rng_state(), torch.get_num_threads()) if torch else None
    random.seed(99)
    if torch and torch_state:
        torch.manual_seed(99)
        torch.set_num_threads(1 if torch_state[1] > 1 else 2)
    try:
        yield
    finally:
        random.setstate(state)
        if torch and torch_state:
            torch.set_rng_state(torch_state[0])
            torch.set_num_threads(torch_state[1])


def _global_state() -> dict[str, Any]:
    state: dict[str, Any] = {
        "random's global generator": random.getstate(),
        "the working directory": os.getcwd(),
        "os.environ": dict(os.environ),
    }
    if numpy := sys.modules.get("numpy"):
        kind, keys, *rest = numpy.random.get_state()
        state["numpy's global generator"] = (kind, keys.tolist(), *rest)
    if torch := sys.modules.get("torch"):
        state["torch's global generator"] = torch.get_rng_state().tolist()
        state["torch's number of threads"] = torch.get_num_threads()
        state["torch's default dtype"] = torch.get_default_dtype()
        state["torch's grad mode"] = torch.is_grad_enabled()
    return state
