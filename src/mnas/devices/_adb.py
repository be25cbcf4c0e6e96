"""A phone at the other end of adb: commands as lists of words, files, and what becomes of adb's errors.

Nothing is ever pasted into a command line: each word is quoted for the phone's shell by itself.
"""

from __future__ import annotations

import contextlib
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mnas.errors import DeviceError, MnasError, needs_extra

if TYPE_CHECKING:
    from adbutils import AdbClient

_LIMIT_S = 30.0  # for anything but the tool: a phone that says nothing for so long is gone
_CHUNK = 64 * 1024  # the largest piece of a file that adb's sync service takes
_NO_SPACE = "No space left on device"  # errno's words, which the phone repeats


@dataclass(frozen=True)
class PhoneInfo:
    """A phone that the adb server knows; what only a usable one tells is None in other states."""

    serial: str
    state: str  # "device" where it can be used; else "unauthorized", "offline", ...
    model: str | None = None
    abi: str | None = None
    android: str | None = None  # version


def phones() -> tuple[PhoneInfo, ...]:
    """Every phone that is connected, those included that cannot be used yet.

    Raises:
        SettingsError: adbutils is not installed.
        DeviceError: the adb server cannot be asked.
    """
    return tuple(_described(serial, state) for serial, state in _connected().items())


@dataclass(frozen=True)
class Reply:
    """What a command on the phone left behind."""

    code: int
    out: str
    err: str

    @property
    def tail(self) -> str:
        """Its last words, for error messages."""
        return " | ".join((self.err.strip() or self.out.strip()).splitlines()[-4:]) or "nothing"


class PhoneTimeoutError(DeviceError):
    """The phone did not answer in time; whether it is gone is not known yet."""


class AdbPhone:
    """One connected phone.

        phone = AdbPhone("192.168.1.7:5555")
        phone.run("getprop", "ro.product.model").out        # "Pixel 8\\n"
        phone.push(model, "/data/local/tmp/mnas-1/model")

    Raises:
        SettingsError: adbutils is not installed.
        DeviceError: here and from every method: there is no such phone, it is offline or unauthorized, or it
            went away.
    """

    def __init__(self, serial: str) -> None:
        self.serial = serial
        state = _connected().get(serial)
        if state != "device":
            raise DeviceError(_why_not(serial, state))
        with self._reaching():
            self._device = _client().device(serial=serial)
            features = self._device.get_features().split(",")
        if "shell_v2" not in features:  # without it there are neither exit codes nor a stderr of its own
            raise DeviceError(f"phone {serial!r} is too old: this needs Android 7 or newer (adb's shell_v2)")

    def run(self, *words: str, limit_s: float | None = None) -> Reply:
        """Runs a command and waits for its end; `limit_s` is the longest silence, half a minute unless given.

        Raises:
            PhoneTimeoutError: it took too long. The phone ends the command as the connection closes.
        """
        with self._reaching():
            done = self._device.shell2(list(words), timeout=limit_s or _LIMIT_S, v2=True)
        return Reply(done.returncode, done.stdout, done.stderr)

    def output(self, *words: str) -> str | None:
        """What a command printed; None where the phone has no such command, or it failed."""
        reply = self.run(*words)
        return reply.out if reply.code == 0 else None

    def properties(self) -> dict[str, str]:
        """Android's system properties."""
        found = re.findall(r"^\[([^]\n]+)\]: \[(.*)\]\r?$", self.output("getprop") or "", re.MULTILINE)
        return dict(found)

    def values(self, *paths: str) -> dict[str, str]:
        """The first lines of small files, by path; without those that cannot be read or are empty."""
        lines = self.run("grep", "-H", "-m", "1", ".", *paths).out.splitlines() if paths else []
        pairs = (line.partition(":") for line in lines)
        return {path: value.strip() for path, colon, value in pairs if colon and path in paths}

    def names(self, folder: str) -> list[str]:
        """What a folder contains; nothing where it cannot be read."""
        return (self.output("ls", folder) or "").split()

    def make_folder(self, path: str) -> None:
        """Makes a folder, unless it is there."""
        reply = self.run("mkdir", "-p", path)
        if reply.code:
            raise DeviceError(f"phone {self.serial!r} cannot make {path}: {reply.tail}")

    def remove(self, *paths: str) -> None:
        """Removes files and folders that may be there."""
        self.run("rm", "-rf", *paths)

    def read(self, path: str) -> bytes | None:
        """A file's bytes; None where it cannot be read."""
        with self._reaching():
            done = self._device.shell2(["cat", path], timeout=_LIMIT_S, encoding=None, v2=True)
        return bytes(done.stdout) if done.returncode == 0 else None

    def push(self, data: bytes, path: str, executable: bool = False) -> None:
        """Writes a file.

        Raises:
            DeviceError: no room for it, among others.
        """
        # By hand, as adbutils' own push has no time limit and drops the phone's reason for a refusal.
        target = f"{path},{stat.S_IFREG | (0o755 if executable else 0o644)}".encode()
        with self._reaching(), self._device.open_transport(timeout=_LIMIT_S) as connection:
            connection.send_command("sync:")
            connection.check_okay()
            # A phone that refuses may close before it has everything: its answer then says why.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for part in _sync_messages(target, data):
                    connection.conn.sendall(part)
            answer, length = connection.read_exact(4), connection.read_uint32()
            if answer != b"OKAY":
                raise DeviceError(self._refusal(path, len(data), connection.read_string(length)))

    def _refusal(self, path: str, size: int, reason: str) -> str:
        """A push that failed, in words; what was written of the file is removed."""
        self.remove(path)
        if _NO_SPACE not in reason:
            return f"phone {self.serial!r} does not take {path}: {reason}"
        folder = path.rpartition("/")[0].rpartition("/")[0]
        return (
            f"phone {self.serial!r} has no room for {size / 1e6:.1f} MB in {folder} ({reason}): remove something. "
            f"Searches that were killed leave folders behind: adb -s {self.serial} shell 'ls -d {folder}/mnas-*'"
        )

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Turns whatever adb and its sockets raise into a DeviceError that says what to do."""
        from adbutils import AdbError, AdbTimeout

        try:
            yield
        except MnasError:
            raise
        except (AdbTimeout, TimeoutError) as error:
            raise PhoneTimeoutError(f"phone {self.serial!r} did not answer in time") from error
        except (AdbError, OSError, EOFError, ValueError, IndexError) as error:
            state = _connected().get(self.serial)
            broken = f"the connection to phone {self.serial!r} broke ({error or type(error).__name__})"
            raise DeviceError(broken if state == "device" else f"{broken}: {_why_not(self.serial, state)}") from error


def _sync_messages(target: bytes, data: bytes) -> Iterator[bytes]:
    """One file in the messages of adb's sync service (SYNC.TXT beside adb's source)."""
    yield b"SEND" + len(target).to_bytes(4, "little") + target
    for start in range(0, len(data), _CHUNK):
        part = data[start : start + _CHUNK]
        yield b"DATA" + len(part).to_bytes(4, "little") + part
    yield b"DONE" + int(time.time()).to_bytes(4, "little")


def _client() -> AdbClient:
    try:
        import adbutils
    except ImportError as error:
        raise needs_extra("adbutils", "adb") from error
    return adbutils.AdbClient(socket_timeout=_LIMIT_S)


def _connected() -> dict[str, str]:
    """Serial -> state of all that the adb server knows; it is started if need be."""
    client: Any = _client()
    from adbutils import AdbError

    try:
        return {info.serial: info.state for info in client.list()}
    except (AdbError, OSError, EOFError, ValueError) as error:
        raise DeviceError(
            f"the adb server does not answer ({error}): install adb, and see whether `adb devices` works"
        ) from error


def _described(serial: str, state: str) -> PhoneInfo:
    if state != "device":
        return PhoneInfo(serial, state)
    try:
        properties = AdbPhone(serial).properties()
    except DeviceError:  # it left, or is too old to be asked
        return PhoneInfo(serial, state)
    keys = ("ro.product.model", "ro.product.cpu.abi", "ro.build.version.release")
    return PhoneInfo(serial, state, *(properties.get(key) for key in keys))


def _why_not(serial: str, state: str | None) -> str:
    """Why a phone in this state cannot be used, and what to do; None: it is not there."""
    if state is None:
        others = ", ".join(f"{other} ({its})" for other, its in _connected().items())
        return (
            f"phone {serial!r} is not connected. Connected: {others or 'none'}. Plug it in with USB debugging on, "
            "or `adb connect HOST:PORT` if it is in the network"
        )
    if state in ("unauthorized", "authorizing"):
        return f"phone {serial!r} does not trust this computer yet: unlock it and allow USB debugging"
    if state == "offline":
        return f"phone {serial!r} is offline: `adb reconnect offline`, or unplug it and plug it in again"
    return f"phone {serial!r} is in state {state!r}, and only state 'device' can be used: boot it into Android"
