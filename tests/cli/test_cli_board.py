"""Promises of the verbs for looking, as far as they need no port; that is in tests/board/test_served.py."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from mnas.cli import _board_commands
from mnas.errors import SettingsError


def invoke(*arguments: object) -> object:
    return CliRunner().invoke(_board_commands.app, list(map(str, arguments)))


def test_a_report_lies_in_the_run_folder_or_where_it_is_wanted(mixed_run, tmp_path):
    assert invoke("report", mixed_run).exit_code == 0
    assert (mixed_run / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    done = invoke("report", mixed_run, "--to", "md", "--out", tmp_path / "run.md")
    assert f"wrote {tmp_path / 'run.md'}" in done.stderr
    assert (tmp_path / "run.md").read_text(encoding="utf-8").startswith("# search")


def test_an_unknown_format_is_named_with_the_known_ones(mixed_run):
    error = invoke("report", mixed_run, "--to", "doc").exception
    assert isinstance(error, SettingsError)
    assert "html, md, pdf" in str(error)


@pytest.mark.parametrize("port", ["0", "70000", "many"])
def test_a_port_out_of_range_is_wrong_usage(mixed_run, port):
    assert invoke("board", mixed_run, "--port", port).exit_code == 2
