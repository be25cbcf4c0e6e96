"""A timing process as the searching process sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO

from mnas.devices._wire import Header, receive, send
from mnas.errors import DeviceError, MeasurementError, SettingsError

_START_LIMIT_S = 120.0  # a cold disk may have to read the whole of torch
_PING_LIMIT_S = 10.0
_TAIL = 500  # characters of its last words that an error repeats


class Child:
    """A fresh timing process with one runtime in it, ready to be asked.

    It is begun by a command, on this machine or far away; `start` is the first message to it. `is_lost` tells from
    the command's exit code whether the way to the machine broke, rather than the process on it.

    Raises:
        SettingsError: the runtime's library does not import there, or there are too few cores.
        DeviceError: the process does not start.
    """

    def __init__(
        self,
        device: str,
        command: Sequence[str],
        start: Header,
        environment: Mapping[str, str] | None = None,
        is_lost: Callable[[int | None], bool] = lambda code: False,
    ) -> None:
        self._device, self._is_lost = device, is_lost
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - a file, not a pipe: nobody has to read along
        self._process = _start(device, command, environment, self._stderr)
        self._end = weakref.finalize(self, _end, self._process, self._stderr, os.getpid())
        try:
            hello, _ = self._exchange(start, limit_s=_START_LIMIT_S)
        except _GoneError as gone:
            raise DeviceError(f"the timing process of device {device!r} does not start: it {gone}") from gone
        if "missing" in hello:
            self.close()
            raise MissingRuntimeError(
                f"device {device!r} with runtime {start['runtime']!r} needs {start['runtime']}: {hello['missing']}"
            )
        if "error" in hello:
            self.close()
            raise SettingsError(f"device {device!r}: {hello['error']}")
        self.version: str = hello["version"]
        self.cores: list[int] | None = hello["cores"]  # that it is kept on; None where it is not
        self.priority: str = hello["priority"]
        self.cpu: str = hello["cpu"]
        self.os: str = hello["os"]

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def answers(self) -> bool:
        """Whether it is there to be asked.

        It is asked: one that was killed a moment ago may not look dead yet, and the next network would be blamed.
        """
        if not self._end.alive:
            return False  # closed
        try:
            self._exchange({"ping": True}, limit_s=_PING_LIMIT_S)
        except _GoneError:
            return False
        return True

    def ask(self, header: Header, *parts: bytes, limit_s: float) -> tuple[Header, list[bytes]]:
        """Its answer to one message.

        Raises:
            MeasurementError: it says that it cannot, or it died or took longer than `limit_s` and is gone.
            DeviceError: the way to its machine broke.
        """
        try:
            reply, data = self._exchange(header, *parts, limit_s=limit_s)
        except _GoneError as gone:
            if self._is_lost(self._process.poll()):
                raise DeviceError(
                    f"device {self._device!r} went away in the middle of a measurement: it {gone}"
                ) from gone
            raise MeasurementError(f"the timing process {gone}") from gone
        if "error" in reply:
            raise MeasurementError(f"the network does not run: {reply['error']}")
        return reply, data

    def close(self) -> None:
        """Ends the process. May be called twice."""
        self._end()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange(self, header: Header, *parts: bytes, limit_s: float) -> tuple[Header, list[bytes]]:
        """Sends a message and receives the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._killed_after(limit_s):
                send(self._process.stdin, header, *parts)
                return receive(self._process.stdout)
        except (EOFError, OSError) as error:
            gone = _GoneError(self._last_words())
            self.close()
            raise gone from error
        except BaseException:  # Ctrl-C, or out of time: the next answer would be to this question
            self.close()
            raise

    @contextlib.contextmanager
    def _killed_after(self, limit_s: float) -> Iterator[None]:
        # A thread that kills, rather than a wait that ends: pipes can be waited for on few systems.
        out_of_time = threading.Event()

        def kill() -> None:
            out_of_time.set()
            self._process.kill()

        timer = threading.Timer(limit_s, kill)
        timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            if out_of_time.is_set():
                raise _GoneError(f"took longer than {limit_s:g} s and was stopped") from error
            raise
        finally:
            timer.cancel()
            timer.join()
        if out_of_time.is_set():  # it answered at the last moment, and is being killed all the same
            raise _GoneError(f"took longer than {limit_s:g} s and was stopped")

    def _last_words(self) -> str:
        """How it ended and what it wrote last."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "closed its pipe"
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if how.endswith("SIGKILL"):
            how += ", as the system does when memory runs out"
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip()[-_TAIL:]
        return f"{how}; its last words: {words}" if words else f"{how} without a word"


class MissingRuntimeError(SettingsError):
    """The runtime's library is not there."""


class _GoneError(Exception):
    """The process is gone; the message says how."""


def _start(
    device: str, command: Sequence[str], environment: Mapping[str, str] | None, stderr: IO[bytes]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal does not reach it
        )
    except OSError as error:
        raise DeviceError(f"the timing process of device {device!r} does not start: {error}") from error


def _end(process: subprocess.Popen[bytes], stderr: IO[bytes], owner: int) -> None:
    """Ends the process and leaves no zombie; does nothing in a fork of the process that started it."""
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, stderr):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
