"""The verbs for looking: the live page, and reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mnas.cli import _console
from mnas.cli._app import app


@app.command()
def board(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, such as runs/quickstart-20260101-120000.")],
    port: Annotated[int, typer.Option(help="The port to serve on.", min=1, max=65535)] = 8642,
    host: Annotated[
        str, typer.Option(help="The address to serve on. Beyond this machine's own (loopback) a token is asked for.")
    ] = "127.0.0.1",
) -> None:
    """Serve a page of runs that follows them while they go on; Ctrl-C ends it."""
    from mnas.board import Address, serve

    address = Address.at(host, port)
    for run in runs:
        if not (run / "trials.sqlite").is_file():
            _console.say(f"{run} is no run folder yet; it is shown once it is one")
    if address.token:
        _console.say("Who has this address can read these runs. It is not encrypted: prefer ssh -L where you can")
    serve(runs, address, _console.say)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder, such as runs/quickstart-20260101-120000.")],
    to: Annotated[str, typer.Option(help="html: the page in one file. pdf: that, printed. md: Markdown.")] = "html",
    out: Annotated[Path | None, typer.Option(help="The file to write. Default: RUN/report.TO.")] = None,
) -> None:
    """Write a run's report into one file that needs nothing else."""
    from mnas.report import export_report

    target = out or run / f"report.{to}"
    export_report(run, to, target)
    _console.say(f"wrote {target}")
