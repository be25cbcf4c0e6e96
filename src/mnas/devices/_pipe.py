"""A process that is talked to in messages over its standard input and output."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from mnas.devices._wire import Header, receive, send

_TAIL = 500  # characters of its last words that an error repeats
_PING_LIMIT_S = 10.0


class GoneError(Exception):
    """The process is gone; the message says how."""

    def __init__(self, how: str, code: int | None) -> None:
        super().__init__(how)
        self.code = code  # its exit code; None where it was not its end


class Pipe:
    """Starts a process and exchanges messages with it. It ends with `close()` and with this object.

    Raises:
        OSError: the command does not start.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None, first: bytes = b""
    ) -> None:
        self._first = first  # that goes before the first message
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - a file, not a pipe: nobody has to read along
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            start_new_session=True,  # Ctrl-C in the terminal does not reach it
        )
        self._end = weakref.finalize(self, _end, self._process, self._stderr, os.getpid())

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
            self.exchange({"ping": True}, limit_s=_PING_LIMIT_S)
        except GoneError:
            return False
        return True

    def exchange(self, header: Header | None, *parts: bytes, limit_s: float) -> tuple[Header, list[bytes]]:
        """Sends a message, if there is one, and receives the answer.

        Raises:
            GoneError: it died, or took longer than `limit_s` seconds and was killed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            with self._killed_after(limit_s):
                self._process.stdin.write(self._first)
                self._process.stdin.flush()
                self._first = b""
                if header is not None:
                    send(self._process.stdin, header, *parts)
                return receive(self._process.stdout)
        except (EOFError, OSError) as error:
            gone = self._last_words()
            self.close()
            raise gone from error
        except BaseException:  # Ctrl-C, or out of time: the next answer would be to this question
            self.close()
            raise

    def close(self) -> None:
        """Ends the process. May be called twice."""
        self._end()

    def leave(self, seconds: float) -> None:
        """Ends what is sent to it, and gives it some seconds to end by itself."""
        if self._end.alive and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=seconds)
        self.close()

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
                raise GoneError(f"took longer than {limit_s:g} s and was stopped", None) from error
            raise
        finally:
            timer.cancel()
            timer.join()
        if out_of_time.is_set():  # it answered at the last moment, and is being killed all the same
            raise GoneError(f"took longer than {limit_s:g} s and was stopped", None)

    def _last_words(self) -> GoneError:
        """How it ended and what it wrote last."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return GoneError("closed its pipe", None)
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        if how.endswith("SIGKILL"):
            how += ", as the system does when memory runs out"
        self._stderr.seek(0)
        words = self._stderr.read().decode(errors="replace").strip()[-_TAIL:]
        return GoneError(f"{how}; its last words: {words}" if words else f"{how} without a word", code)


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
