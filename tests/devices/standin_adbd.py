"""A stand-in for a phone's adb daemon: the real protocol, and commands that really run, in a folder of this machine.

Speaks adb's transport protocol over TCP (CNXN, AUTH, OPEN, WRTE, OKAY, CLSE) and the services shell (with and without
shell_v2), exec and sync (STAT, SEND, RECV, QUIT). What a command calls /data and /sys lies in the sandbox.

    python standin_adbd.py SANDBOX [unauthorized]       # prints its port
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

CNXN, AUTH, OPEN, WRTE, OKAY, CLSE = (int.from_bytes(name, "little") for name in
                                      (b"CNXN", b"AUTH", b"OPEN", b"WRTE", b"OKAY", b"CLSE"))  # fmt: skip
MAX_DATA = 64 * 1024
BANNER = b"device::ro.product.name=standin;ro.product.model=Stand-in;ro.product.device=standin;features=shell_v2,cmd"


class Connection:
    """One adb server."""

    def __init__(self, sock: socket.socket, sandbox: Path, authorized: bool) -> None:
        self.sock, self.sandbox, self.authorized = sock, sandbox, authorized
        self.sending = threading.Lock()
        self.streams: dict[int, Stream] = {}

    def serve(self) -> None:
        while head := self.sock.recv(24, socket.MSG_WAITALL):
            command, first, _, length, _, _ = struct.unpack("<6I", head)
            data = self.sock.recv(length, socket.MSG_WAITALL) if length else b""
            if command in (CNXN, AUTH) and not self.authorized:
                self.send(AUTH, 1, 0, os.urandom(20))
                if command == AUTH and first == 3:  # its public key: a person would have to look at the phone now
                    threading.Event().wait()
            elif command == CNXN:
                self.send(CNXN, 0x01000001, MAX_DATA, BANNER)
            elif command == OPEN:
                stream = self.streams[first] = Stream(self, first)
                threading.Thread(target=stream.run, args=(data.rstrip(b"\0").decode(),), daemon=True).start()
            elif command == WRTE and first in self.streams:
                self.streams[first].incoming.put(data)
                self.send(OKAY, first, first)
            elif command == OKAY and first in self.streams:
                self.streams[first].ready.release()
            elif command == CLSE and first in self.streams:
                self.streams.pop(first).hang_up()

    def send(self, command: int, first: int, second: int, data: bytes = b"") -> None:
        head = struct.pack("<6I", command, first, second, len(data), sum(data) & 0xFFFFFFFF, command ^ 0xFFFFFFFF)
        with self.sending:
            self.sock.sendall(head + data)


class Stream:
    """One service in use. Its number here is the one that the server gave it."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection, self.number = connection, number
        self.incoming: queue.Queue[bytes | None] = queue.Queue()
        self.ready = threading.Semaphore(1)  # of each stream, one message may be under way
        self.unread = b""
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, service: str) -> None:
        self.connection.send(OKAY, self.number, self.number)
        kind, _, argument = service.partition(":")
        if kind == "sync":
            with contextlib.suppress(EOFError):  # hung up without QUIT
                self.sync()
        else:
            self.execute(argument, is_v2="v2" in kind.split(","))
        self.connection.send(CLSE, self.number, self.number)

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), MAX_DATA):
            self.ready.acquire()
            self.connection.send(WRTE, self.number, self.number, data[start : start + MAX_DATA])

    def read(self, count: int) -> bytes:
        while len(self.unread) < count:
            if (more := self.incoming.get()) is None:
                raise EOFError
            self.unread += more
        data, self.unread = self.unread[:count], self.unread[count:]
        return data

    def hang_up(self) -> None:
        self.incoming.put(None)
        with contextlib.suppress(ProcessLookupError):  # it may have ended
            if self.process is not None:
                os.kill(self.process.pid, signal.SIGHUP)  # alone, as the real one does

    def path(self, text: str) -> str:
        for folder in ("/data/", "/sys/"):
            text = text.replace(folder, f"{self.connection.sandbox}{folder}")
        return text

    def execute(self, command: str, is_v2: bool) -> None:
        sandbox = str(self.connection.sandbox)
        environment = os.environ | {"PATH": f"{sandbox}/bin:{os.environ['PATH']}", "STANDIN_SANDBOX": sandbox}
        with (self.connection.sandbox / "commands").open("a") as log:
            log.write(command + "\n")
        self.process = subprocess.Popen(
            ["sh", "-c", self.path(command)], env=environment, cwd=sandbox, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        outputs = [text.replace(sandbox.encode(), b"") for text in self.process.communicate()]
        if not is_v2:
            self.write(b"".join(outputs))
            return
        parts = zip((1, 2, 3), (*outputs, bytes([self.process.returncode & 0xFF])), strict=True)
        self.write(b"".join(struct.pack("<BI", kind, len(data)) + data for kind, data in parts if data))

    def sync(self) -> None:
        while True:
            request, length = struct.unpack("<4sI", self.read(8))
            if request == b"QUIT":
                return
            name, _, mode = self.read(length).decode().partition(",")
            path = Path(self.path(name))
            if request == b"STAT":
                found = path.stat() if path.exists() else None
                numbers = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
                self.write(b"STAT" + struct.pack("<3I", *numbers))
            elif request == b"RECV":
                data = path.read_bytes()
                pieces = [data[start : start + MAX_DATA] for start in range(0, len(data), MAX_DATA)]
                self.write(b"".join(b"DATA" + struct.pack("<I", len(p)) + p for p in pieces) + b"DONE" + bytes(4))
            elif request == b"SEND":
                self.receive(path, int(mode))

    def write_file(self, path: Path) -> OSError | None:
        failure = None
        try:
            path.unlink(missing_ok=True)
            path.touch()
        except OSError as error:
            failure, path = error, Path(os.devnull)
        with path.open("wb", buffering=0) as file:
            while (message := struct.unpack("<4sI", self.read(8)))[0] == b"DATA":
                data = self.read(message[1])
                try:
                    while failure is None and data:  # what does not fit any more gives the error
                        data = data[file.write(data) :]
                except OSError as error:
                    failure = error
        return failure

    def receive(self, path: Path, mode: int) -> None:
        """Takes a file; as the real daemon, it reads to the end also when it cannot write."""
        failure = self.write_file(path)
        if failure is None:
            path.chmod(mode & 0o777)
            self.write(b"OKAY" + bytes(4))
        else:
            path.unlink(missing_ok=True)
            reason = f"couldn't write: {failure.strerror}".encode()
            self.write(b"FAIL" + struct.pack("<I", len(reason)) + reason)


def main() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests under nohup ignore it, and commands would inherit that
    sandbox, authorized = Path(sys.argv[1]), "unauthorized" not in sys.argv
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(sock, sandbox, authorized).serve, daemon=True).start()


if __name__ == "__main__":
    main()
