"""What tests of the command line share."""

from __future__ import annotations

import signal
import sys

import pytest

from mnas.cli import main


@pytest.fixture
def within(monkeypatch, capfd):
    """The command line in this process, which is quicker than in one of its own: (exit code, stdout, stderr)."""
    at_sigterm = signal.getsignal(signal.SIGTERM)

    def mnas(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mnas", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capfd.readouterr())

    yield mnas
    signal.signal(signal.SIGTERM, at_sigterm)
