"""Interrupts: Ctrl-C and SIGTERM that come in the middle of a step wait until it is taken."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

_Handler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """Holds back interrupts within a `with` block, so that what is kept of a training is of a whole step.

    Those before have their handlers called by `deliver`, in the middle of `let_through` and at the end of the block.
    A second one is not held back: who presses Ctrl-C again wants no step any more. Signals whose handler is not
    Python's stay as they are; so do all where this is not the main thread, which alone may have handlers.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, _Handler] = {}
        self._came: tuple[int, FrameType | None] | None = None
        self._is_held = True

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.deliver()

    @property
    def is_waiting(self) -> bool:
        """Whether one came."""
        return self._came is not None

    def deliver(self) -> None:
        """Call the handler of one that came; for Ctrl-C it raises KeyboardInterrupt."""
        if self._came is not None:
            (number, frame), self._came = self._came, None
            self._handlers[number](number, frame)

    @contextlib.contextmanager
    def let_through(self) -> Iterator[None]:
        """Where nothing has to be kept whole."""
        self._is_held = False
        try:
            self.deliver()
            yield
        finally:
            self._is_held = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._is_held and self._came is None:
            self._came = number, frame
            return
        self._came = None
        self._handlers[number](number, frame)
