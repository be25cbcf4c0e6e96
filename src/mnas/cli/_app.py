"""The `mnas` command: its verbs, and how errors become messages and exit codes.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 stopped by Ctrl-C.
Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

import typer
from rich.console import Console

from mnas.errors import MnasError, SettingsError

app = typer.Typer(
    name="mnas",
    help="Search neural networks for your data, your device and your latency budget.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _as_interrupt)  # a scheduler's polite stop is as clean as Ctrl-C
    try:
        from mnas.cli import _board_commands, _commands, _detect_commands, _model_commands  # noqa: F401  # they add verbs

        app()  # ends by sys.exit: 0, 2 for wrong usage, or what a verb asked for
    except SettingsError as error:
        sys.exit(complain(error, USAGE))
    except (MnasError, OSError) as error:
        sys.exit(complain(error, FAILED))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def complain(error: Exception, code: int) -> int:
    """Print an error for people; the code that was given."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {_escaped(str(error))}")
    return code


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
