"""A timing process as the searching process sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mnas.devices._pipe import GoneError, Pipe
from mnas.devices._wire import Header
from mnas.errors import DeviceError, MeasurementError, SettingsError

_START_LIMIT_S = 120.0  # a cold disk may have to read the whole of torch


class MissingRuntimeError(SettingsError):
    """The runtime's library is not there."""


class Child:
    """A fresh timing process with one runtime in it, ready to be asked.

    It is begun by a command, on this machine or far away; `start` is the first message to it. `is_lost` tells
    whether the way to the machine broke, rather than the process on it.

    Raises:
        SettingsError: the runtime's library does not import there (MissingRuntimeError), or there are too few cores.
        DeviceError: the process does not start.
    """

    def __init__(
        self,
        device: str,
        command: Sequence[str],
        start: Header,
        environment: Mapping[str, str] | None = None,
        is_lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._device, self._is_lost = device, is_lost
        try:
            self._pipe = Pipe(command, environment)
            hello, _ = self._pipe.exchange(start, limit_s=_START_LIMIT_S)
        except OSError as error:
            raise DeviceError(f"the timing process of device {device!r} does not start: {error}") from error
        except GoneError as gone:
            raise DeviceError(f"the timing process of device {device!r} does not start: it {gone}") from gone
        if "missing" in hello:
            self.close()
            runtime = start["runtime"]
            raise MissingRuntimeError(
                f"device {device!r} with runtime {runtime!r} needs {runtime}: {hello['missing']}"
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
        return self._pipe.pid

    def answers(self) -> bool:
        """Whether it is there to be asked."""
        return self._pipe.answers()

    def ask(self, header: Header, *parts: bytes, limit_s: float) -> tuple[Header, list[bytes]]:
        """Its answer to one message.

        Raises:
            MeasurementError: it says that it cannot, or it died or took longer than `limit_s` and is gone.
            DeviceError: the way to its machine broke.
        """
        try:
            reply, data = self._pipe.exchange(header, *parts, limit_s=limit_s)
        except GoneError as gone:
            if self._is_lost():
                raise DeviceError(
                    f"device {self._device!r} went away in the middle of a measurement: {gone}"
                ) from gone
            raise MeasurementError(f"the timing process {gone}") from gone
        if "error" in reply:
            raise MeasurementError(f"the network does not run: {reply['error']}")
        return reply, data

    def close(self) -> None:
        """Ends the process. May be called twice."""
        self._pipe.close()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
