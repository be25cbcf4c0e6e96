"""The command line in processes of its own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

MNAS = [sys.executable, "-c", "from mnas.cli import main; main()"]


def mnas(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MNAS, *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def shown_on_a_terminal(*arguments: object, columns: int) -> str:
    """What standard error shows on a terminal that is so wide, without its colours and movements."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    command = [*MNAS, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower, env=environment) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                shown += os.read(leader, 65536)
            except OSError:
                break
        process.wait()
    os.close(leader)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
