"""SshDevice: the CPU of a board that SSH reaches."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from mnas.devices._agent import agent
from mnas.devices._child import Child, MissingRuntimeError
from mnas.devices._keeper import BOOTSTRAP
from mnas.devices._measuring import Busy, Measuring, Patience
from mnas.devices._pipe import GoneError, Pipe
from mnas.devices._process_device import ProcessDevice
from mnas.devices._turn import Turn
from mnas.devices._wheels import download_command, misfit
from mnas.devices._wire import Header
from mnas.devices.runtimes import check_installed, find_runtime
from mnas.errors import DeviceError, SettingsError

_CONNECT_LIMIT_S = 60.0
_PUSH_LIMIT_S = 600.0
_LEAVE_S = 5.0
_NO_PYTHON = (126, 127)  # a shell's: not executable, not found
_OPTIONS = (
    "-T",
    *("-o", "BatchMode=yes"),  # ask nobody: there may be nobody
    *("-o", "StrictHostKeyChecking=yes"),
    *("-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5"),  # a connection that was cut is noticed after 15 s
    *("-o", "ServerAliveCountMax=3"),
)
_ADDRESS = re.compile(r"(?P<host>(\w[\w.-]*@)?(\w[\w.-]*|\[[\da-fA-F:]+\]))(:(?P<port>\d+))?")


class SshDevice(ProcessDevice):
    """Latency of one input on a board's CPU, reached by the system's OpenSSH with the user's own configuration.

        with SshDevice("pi@board", runtime="onnxruntime") as device:
            device.measure(architecture)
        SshDevice("pi@board:2222", wheels="wheels")       # the runtime comes from here, for as long as it measures

    The same protocol as on this machine (`LocalDevice`, with the same settings): networks are converted here, and the
    board gets one file that times them. Everything that it gets lies in one folder of its own, which is removed
    when the connection ends; nothing is installed. It needs a Python, and the runtime: that Python's own, or
    from wheels for the board in the folder `wheels`. The host must be known to ssh, and let the user in without a
    question.

    Raises:
        SettingsError: no such address, unknown runtime, or a number out of range; from the methods, a host key that
            is not known or has changed, no permission, no Python or no runtime on the board.
    """

    def __init__(
        self,
        address: str,
        runtime: str = "onnxruntime",
        threads: int = 1,
        processes: int = 1,
        drift: float | None = None,
        half_width: float = 0.03,
        busy: Busy = "wait",
        patience_s: float = 60.0,
        limit_s: float = 60.0,
        precision: str = "fp32",
        python: str = "python3",
        wheels: str | Path | None = None,
        ssh_config: str | Path | None = None,
    ) -> None:
        if threads < 1:
            raise SettingsError(f"threads should be at least 1, got {threads}")
        found = find_runtime(runtime, precision)
        check_installed(found, runs_here=False)
        self.address = address
        self._board = _Board(
            address, python, Path(wheels) if wheels else None, Path(ssh_config) if ssh_config else None,
            runtime, precision, threads, found.package,
        )  # fmt: skip
        super().__init__(
            Measuring(
                name=f"ssh://{address}",
                machine=self._board,
                runtime=found,
                threads=threads,
                patience=Patience(half_width, busy, patience_s),
                limit_s=limit_s,
                processes=processes,
                drift=drift,
                is_exclusive=False,
                turn=self._board.turn,
            )
        )

    def close(self) -> None:
        """Removes everything from the board and ends the connection. The next measurement makes another."""
        super().close()
        self._board.close()


@dataclass(frozen=True)
class Seen:
    """What a board says of itself."""

    what: str  # CPU, cores, operating system, Python
    runtimes: dict[str, str]  # that its Python has, with their versions


def look_at(
    address: str, packages: Mapping[str, str], python: str = "python3", ssh_config: Path | None = None
) -> Seen:
    """Connects to a board and asks what it is; `packages` are runtimes' names with their packages'.

    Raises:
        SettingsError, DeviceError: as `SshDevice`'s methods.
    """
    board = _Board(address, python, None, ssh_config, "", "", 1, "")
    try:
        seen = board.look(packages)
    finally:
        board.close()
    what = f"{seen['cpu']}, {seen['cores']} cores, {seen['os']}, Python {seen['python']}"
    return Seen(what, seen["versions"])


@dataclass
class _Board:
    """A connection with a folder at its other end, and timing processes there."""

    address: str
    python: str
    wheels: Path | None
    ssh_config: Path | None
    runtime: str
    precision: str
    threads: int
    package: str
    _keeper: Pipe | None = field(default=None, init=False)
    _folder: str = field(default="", init=False)  # on the board
    _turn: Turn | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        parts = _ADDRESS.fullmatch(self.address)
        if parts is None:
            raise SettingsError(f"an address should be like pi@board or pi@board:2222, got {self.address!r}")
        if self.wheels is not None and not list(self.wheels.glob("*.whl")):
            raise SettingsError(f"wheels should be a folder of wheels for the board; {self.wheels} has none")
        self._host = parts["host"].strip("[]") if parts["host"].startswith("[") else parts["host"]
        self._port = parts["port"]

    def start(self) -> Child:
        """A timing process, on a connection that is made if there is none."""
        if self._keeper is None or not self._keeper.answers():
            self.close()
            self._connect()
        # TMPDIR: ONNX Runtime leaves a file there.
        environment = [
            f"PYTHONPATH={self._folder}/site", f"OMP_NUM_THREADS={self.threads}", f"TMPDIR={self._folder}",
        ]  # fmt: skip
        command = ["env", *environment, *shlex.split(self.python), f"{self._folder}/agent.pyz"]
        start = {"runtime": self.runtime, "precision": self.precision, "threads": self.threads, "parent": None}
        try:
            return Child(f"ssh://{self.address}", self._ssh(command), start, is_lost=self._is_lost)
        except MissingRuntimeError as error:
            raise SettingsError(f"{error}. {self._advice}") from error

    def turn(self) -> AbstractContextManager[None]:
        """Within it no other search runs networks on the board."""
        if self._turn is None:
            self._turn = Turn(f"ssh://{self.address}", f"ssh {self._reached()}")
        return self._turn.taken()

    def look(self, packages: Mapping[str, str]) -> Header:
        """What the board says of itself, on a new connection."""
        keeper = self._connect()
        try:
            return keeper.exchange({"look": dict(packages)}, limit_s=_CONNECT_LIMIT_S)[0]
        except GoneError as gone:
            raise DeviceError(f"ssh://{self.address} went away: it {gone}") from gone

    def close(self) -> None:
        """Ends the connection; the keeper then removes the folder."""
        if self._keeper is not None:
            self._keeper.leave(_LEAVE_S)
            shutil.rmtree(self._control, ignore_errors=True)
            self._keeper = None

    def _connect(self) -> Pipe:
        # Short, for a socket's path has 108 bytes.
        self._control = Path(tempfile.mkdtemp(prefix="mnas-"))
        command = self._ssh([*shlex.split(self.python), "-c", BOOTSTRAP], is_master=True)
        sent = agent()
        try:
            self._keeper = Pipe(command, {**os.environ, "LC_ALL": "C"}, first=f"{len(sent)}\n".encode() + sent)
            hello, _ = self._keeper.exchange(None, limit_s=_CONNECT_LIMIT_S)
        except OSError as error:
            raise SettingsError(f"device 'ssh' needs the system's ssh command: {error}") from error
        except GoneError as gone:
            raise _explained(self.address, self.python, gone) from gone
        self._folder, self._machine, self._python_version = hello["folder"], hello["machine"], hello["python"]
        self._push(self._keeper)
        return self._keeper

    def _push(self, keeper: Pipe) -> None:
        for wheel in sorted(self.wheels.glob("*.whl")) if self.wheels else ():
            problem = misfit(wheel.name, self._machine, self._python_version)
            if problem:
                raise SettingsError(f"{problem} on ssh://{self.address}. {self._advice}")
            try:
                reply, _ = keeper.exchange({"wheel": wheel.name}, wheel.read_bytes(), limit_s=_PUSH_LIMIT_S)
            except GoneError as gone:
                raise DeviceError(f"ssh://{self.address} went away while {wheel.name} was copied: {gone}") from gone
            if "error" in reply:
                self.close()
                raise DeviceError(
                    f"ssh://{self.address} cannot take {wheel.name}: {reply['error']}. Make room in the folder for "
                    "temporary files there, or set TMPDIR to another one"
                )

    def _ssh(self, command: Sequence[str], is_master: bool = False) -> list[str]:
        """The ssh command that runs another one there. Its words go through the shell there, each quoted."""
        return [
            "ssh",
            *(("-F", str(self.ssh_config)) if self.ssh_config else ()),
            *_OPTIONS,
            *(("-p", self._port) if self._port else ()),
            *("-o", f"ControlMaster={'yes' if is_master else 'no'}", "-o", "ControlPersist=no"),
            *("-S", str(self._control / "s")),
            "--",
            self._host,
            shlex.join(command),
        ]

    def _reached(self) -> str:
        """Host and port behind the address, for it may be an alias; the address where ssh does not tell."""
        config = ("-F", str(self.ssh_config)) if self.ssh_config else ()
        port = ("-p", self._port) if self._port else ()
        command = ["ssh", *config, *port, "-G", "--", self._host]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = dict(line.split(" ", 1) for line in told.splitlines() if line.startswith(("hostname ", "port ")))
        return f"{found['hostname']} {found['port']}" if len(found) == 2 else self.address

    def _is_lost(self) -> bool:
        """Whether it was the connection that broke, and the keeper is gone too.

        The exit code does not tell: ssh has 255 for that, and for a command that a signal ended.
        """
        return self._keeper is None or not self._keeper.answers()

    @property
    def _advice(self) -> str:
        command = download_command(self.package, self._machine, self._python_version)
        return f"Install it there, or fetch wheels for the board with '{command}' and set wheels = \"wheels\""


def _explained(address: str, python: str, gone: GoneError) -> SettingsError | DeviceError:
    """Why there is no connection, and what to do."""
    words = str(gone)
    if "Host key verification failed" in words:
        state = "has changed" if "HAS CHANGED" in words.upper() else "is not known"
        return SettingsError(
            f"the host key of ssh://{address} {state}, so nothing was sent. Check its fingerprint, then connect once "
            f"by hand: ssh {address}. What ssh said: {words}"
        )
    if "Permission denied" in words:
        return SettingsError(
            f"ssh://{address} does not let us in without a question: put a key there with ssh-copy-id, or load it "
            f"into ssh-agent. What ssh said: {words}"
        )
    if gone.code in _NO_PYTHON:
        return SettingsError(f"ssh://{address} has no command {python!r}: name its Python with python. {words}")
    return DeviceError(f"ssh://{address} cannot be reached: it {words}")
