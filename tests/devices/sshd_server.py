"""A real sshd on loopback for tests, with keys of its own."""

from __future__ import annotations

import getpass
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

SSHD = shutil.which("sshd") or next((p for p in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if Path(p).exists()), None)
MISSING = "needs OpenSSH's ssh, sshd and ssh-keygen (Debian: openssh-server)"
IS_HERE = bool(SSHD and shutil.which("ssh") and shutil.which("ssh-keygen"))


class Sshd:
    """Serves logins of this user until closed; `ssh_config` is what a client needs.

    What they keep in temporary files goes to `temporary`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        for name in ("host", "user"):
            self._keygen(name)
        shutil.copy(folder / "user.pub", folder / "authorized")
        self.port = _free_port()
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host\nPidFile {folder}/pid\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            f"SetEnv TMPDIR={self.temporary}\n"
        )
        self.ssh_config = folder / "ssh_config"
        self.ssh_config.write_text(
            f"Host board\n  HostName 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )
        self.trust("host")
        self.start()

    def start(self) -> None:
        Path("/run/sshd").mkdir(exist_ok=True)
        command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, start_new_session=True)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.05)

    def trust(self, key: str) -> None:
        """Makes a host key the known one."""
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {public}")

    def change_host_key(self) -> None:
        """The client knows another one from now on."""
        self._keygen("other")
        self.trust("other")

    def cut_off(self) -> None:
        """Ends the server and every connection, as when the board loses its power."""
        for pid in [*self._sessions(), self._process.pid]:
            subprocess.run(["kill", "-9", str(pid)], check=False)
        self._process.wait()

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()

    def _sessions(self) -> list[int]:
        """The server's children, and theirs: one for the connection, one for the user."""
        found: list[int] = []
        waiting = [self._process.pid]
        while waiting:
            pid = waiting.pop()
            for task in Path(f"/proc/{pid}/task").iterdir():
                children = [int(child) for child in (task / "children").read_text().split()]
                sshds = [child for child in children if "sshd" in Path(f"/proc/{child}/comm").read_text()]
                found += sshds
                waiting += sshds
        return found

    def _keygen(self, name: str) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
