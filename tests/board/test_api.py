"""Promises of the API: it gives what the views say, files to download, and errors that say what is wrong."""

from __future__ import annotations

import csv
import io
import json

import onnx
import pytest

from mnas.folder import load_result
from mnas.space import Architecture
from mnas.views import RunView


def test_it_answers_what_the_views_say(client, mixed_run):
    view = RunView(mixed_run)
    best = view.trials().best
    for path, said in (
        ("", view.description()),
        (f"/trials/{best}", view.network(best)),
        ("/search", view.search()),
    ):
        assert client.get(f"/api/runs/0{path}").json() == json.loads(said.model_dump_json()), path
    table = client.get("/api/runs/0/trials").json()
    assert {**table, "cursor": 0} == {**json.loads(view.trials().model_dump_json()), "cursor": 0}
    assert client.get("/api/runs/0/machines").json()["state"] == "finished"


def test_trials_come_once(client):
    cursor = client.get("/api/runs/0/trials?after=0").json()["cursor"]
    later = client.get(f"/api/runs/0/trials?after={cursor}").json()
    assert (later["number"], later["restart"], later["cursor"]) == ([], False, cursor)


def test_several_runs_are_told_apart(client_of, mixed_run, tmp_path):
    client = client_of(mixed_run, tmp_path / "nothing")
    first, second = client.get("/api/runs").json()["runs"]
    assert (first["id"], first["state"], first["trials"], first["total"]) == ("0", "finished", 40, 40)
    assert (second["id"], second["state"], second["name"]) == ("1", "broken", "nothing")
    assert "nothing is not a run folder" in second["problem"]
    assert client.get("/api/runs/1/trials").status_code == 409
    assert client.get("/api/runs/0/trials").status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/api/runs/1", 404, "none at place 1"),
        ("/api/runs/0/trials/40", 404, "no trial 40"),
        ("/api/runs/0/references/0", 404, "0 references"),
        ("/api/runs/x", 422, "pattern"),
        ("/api/runs/0/trials/-1", 422, "greater"),
        ("/api/runs/0/trials?after=none", 422, "integer"),
        ("/nothing", 404, "Not Found"),
    ],
)
def test_errors_say_what_is_wrong(client, path, status, said):
    answer = client.get(path)
    assert answer.status_code == status
    assert said in json.dumps(answer.json()["detail"])


def test_architectures_are_downloaded_as_json(client, mixed_run):
    trial = load_result(mixed_run).best
    answer = client.get(f"/api/runs/0/trials/{trial.number}/architecture.json")
    assert answer.headers["content-disposition"] == f'attachment; filename="search-trial-{trial.number}.json"'
    assert Architecture.from_dict(answer.json()["architecture"]) == trial.architecture


def test_networks_are_downloaded_as_onnx_that_says_whose_weights_it_has(client, mixed_run):
    trial = load_result(mixed_run).best
    path = f"/api/runs/0/trials/{trial.number}/model.onnx"
    fresh = client.get(path)
    assert fresh.headers["mnas-weights"] == "untrained"
    assert fresh.headers["content-disposition"].endswith('-untrained.onnx"')
    onnx.checker.check_model(onnx.load_from_string(fresh.content))
    (mixed_run / "final").mkdir()
    (mixed_run / "final" / f"{trial.architecture.id}.onnx").write_bytes(fresh.content)
    trained = client.get(path)
    assert trained.headers["mnas-weights"] == "trained"
    assert trained.content == fresh.content


def test_trials_are_downloaded_as_a_table_without_formulas(client, mixed_run):
    answer = client.get("/api/runs/0/trials.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    result = load_result(mixed_run)
    assert [int(row["number"]) for row in rows] == list(range(40))
    assert [row["state"] for row in rows] == [trial.state.value for trial in result.trials]
    assert float(rows[0]["reward"]) == result.trials[0].reward


def test_the_page_is_served_and_found_unchanged(client):
    page = client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<script" in page.content
    again = client.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/page.css").headers["content-type"] == "text/css; charset=utf-8"


def test_the_api_is_described(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert "/api/runs/{run}/trials" in paths
    page = client.get("/docs").text
    assert "TrialTable" in page
    assert "<script" not in page


def test_a_folder_that_is_removed_while_open_is_told_and_works_again(client, mixed_run, tmp_path):
    assert client.get("/api/runs/0/trials").status_code == 200
    mixed_run.rename(tmp_path / "away")
    for path in ("", "/trials", "/trials/3", "/search", "/machines", "/trials.csv"):
        answer = client.get(f"/api/runs/0{path}")
        assert answer.status_code == 409, path
        assert "run" in answer.json()["detail"]
    assert client.get("/api/runs").json()["runs"][0]["state"] == "broken"
    (tmp_path / "away").rename(mixed_run)
    assert client.get("/api/runs/0/trials").status_code == 200


@pytest.mark.parametrize("content", [b"", b"half a file", b"SQLite format 3\x00" + bytes(5000)])
@pytest.mark.parametrize("name", ["trials.sqlite", "run.toml", "status.json"])
def test_broken_files_are_told_and_nothing_falls_over(client, mixed_run, name, content):
    for beside in mixed_run.glob(f"{name}-*"):
        beside.unlink()
    (mixed_run / name).write_bytes(content)
    assert client.get("/api/runs").status_code == 200
    paths = ("", "/trials", "/trials/3", "/search", "/machines", "/trials.csv")
    statuses = {path: client.get(f"/api/runs/0{path}").status_code for path in paths}
    assert set(statuses.values()) <= {200, 409}
    if name != "run.toml" or content:
        assert 409 in statuses.values()
