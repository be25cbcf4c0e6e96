"""The application: the page's files and the API of its runs.

    GET /                                     the page
    GET /api/runs                             which runs, and how they stand
    GET /api/runs/0/trials?after=CURSOR       trials as columns, since then
    GET /docs, /openapi.json                  all of the API

A run is asked for by its place on the command line. Names from outside never become paths.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from mnas.board._address import LOOPBACK, is_wildcard
from mnas.errors import MnasError, needs_extra
from mnas.views import (
    MachinesView,
    NetworkView,
    NotThereError,
    Problem,
    RunDescription,
    RunList,
    RunView,
    SearchView,
    TrialTable,
)

try:
    from fastapi import FastAPI, Query, Request, Response
    from fastapi import Path as InPath
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel
except ImportError as error:
    raise needs_extra("fastapi", "board") from error

from mnas.board._docs import docs_page
from mnas.board._downloads import architecture_json, onnx_file, trials_csv
from mnas.board._files import PageFile, served_files
from mnas.board._guard import HEADERS, Guard

_MOST = 2**53 - 1  # the largest whole number that JavaScript tells from its neighbours
_RUN = Annotated[str, InPath(pattern="^[0-9]{1,4}$", description="The run's place on the command line, from 0.")]
_NUMBER = Annotated[int, InPath(ge=0, le=_MOST, description="The trial's number.")]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "A token is asked for, and it is missing or wrong."},
    403: {"model": Problem, "description": "Asked under a foreign host name, or by a page of another site."},
    404: {"model": Problem, "description": "No such run, trial or reference."},
    409: {"model": Problem, "description": "The run folder is broken or gone; the detail says how."},
    414: {"model": Problem, "description": "The address is too long."},
}


def create_app(folders: Sequence[Path], token: str | None = None, hosts: Collection[str] | None = None) -> FastAPI:
    """The application that answers for these run folders; see `mnas.board.create_app`."""
    views = [RunView(folder, str(place)) for place, folder in enumerate(folders)]
    app = FastAPI(
        title="mnas board",
        description="Runs of mnas, read only.",
        version=metadata.version("mnas"),
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEMS,
    )
    _add_errors(app)
    _add_page(app)
    _add_api(app, views)
    _add_downloads(app, views)
    names = {name.lower() for name in (LOOPBACK if hosts is None else hosts)}
    app.add_middleware(Guard, hosts=names, token=token, any_ip=any(map(is_wildcard, names)))
    return app


def _add_api(app: FastAPI, views: Sequence[RunView]) -> None:
    @app.get("/api/runs", response_model=RunList)
    def runs() -> Response:
        """The runs, and how they stand."""
        return _json(RunList(runs=[view.summary() for view in views]))

    @app.get("/api/runs/{run}", response_model=RunDescription)
    def description(run: _RUN) -> Response:
        """All of a run but its trials."""
        return _json(_view(views, run).description())

    @app.get("/api/runs/{run}/trials", response_model=TrialTable)
    def trials(run: _RUN, after: Annotated[int, Query(ge=0, le=_MOST)] = 0) -> Response:
        """The trials stored since a cursor, as columns; after 0 all of them."""
        return _json(_view(views, run).trials(after))

    @app.get("/api/runs/{run}/trials/{number}", response_model=NetworkView)
    def network(run: _RUN, number: _NUMBER) -> Response:
        """A trial's network."""
        return _json(_view(views, run).network(number))

    @app.get("/api/runs/{run}/references/{index}", response_model=NetworkView)
    def reference(run: _RUN, index: _NUMBER) -> Response:
        """A known network that the run was compared with."""
        return _json(_view(views, run).reference(index))

    @app.get("/api/runs/{run}/search", response_model=SearchView)
    def search(run: _RUN) -> Response:
        """How the search went, and what was learnt."""
        return _json(_view(views, run).search())

    @app.get("/api/runs/{run}/machines", response_model=MachinesView)
    def machines(run: _RUN) -> Response:
        """What works on the run right now."""
        return _json(_view(views, run).machines())


def _add_downloads(app: FastAPI, views: Sequence[RunView]) -> None:
    def file(content: str, kind: str) -> dict[int | str, dict[str, Any]]:
        return {200: {"content": {kind: {}}, "description": content}}

    @app.get(
        "/api/runs/{run}/trials/{number}/architecture.json",
        responses=file("The architecture, as mnas reads it.", "application/json"),
        response_class=Response,
    )
    def architecture(run: _RUN, number: _NUMBER) -> Response:
        """A trial's architecture to download."""
        view = _view(views, run)
        return _download(architecture_json(view.trial(number)), "application/json", _name(view, number, "json"))

    @app.get(
        "/api/runs/{run}/trials/{number}/model.onnx",
        responses=file("The network; mnas-weights says with which weights.", "application/octet-stream"),
        response_class=Response,
    )
    def model(run: _RUN, number: _NUMBER) -> Response:
        """A trial's network as ONNX: with trained weights where the run kept them, else with fresh ones."""
        view = _view(views, run)
        body, weights = onnx_file(view.folder, view.trial(number).architecture)
        answer = _download(body, "application/octet-stream", _name(view, number, f"{weights}.onnx"))
        answer.headers["mnas-weights"] = weights
        return answer

    @app.get("/api/runs/{run}/trials.csv", responses=file("One trial a line.", "text/csv"), response_class=Response)
    def csv(run: _RUN) -> Response:
        """All trials as a table."""
        view = _view(views, run)
        return _download(trials_csv(view.trials()), "text/csv; charset=utf-8", f"{_stem(view)}.csv")


def _add_page(app: FastAPI) -> None:
    def add(path: str, file: PageFile) -> None:
        @app.get(path, include_in_schema=False)
        def sent(request: Request) -> Response:
            headers = {"etag": file.etag, "cache-control": "no-cache"}
            if request.headers.get("if-none-match") == file.etag:
                return Response(status_code=304, headers=headers)
            return Response(file.body, media_type=file.type, headers=headers)

    for path, file in served_files().items():
        add(path, file)

    @app.get("/docs", include_in_schema=False)
    def docs() -> Response:
        return Response(docs_page(app.openapi()), media_type="text/html; charset=utf-8")


def _add_errors(app: FastAPI) -> None:
    def problem(status: int) -> Any:
        return lambda request, error: JSONResponse({"detail": str(error)}, status)

    app.add_exception_handler(NotThereError, problem(404))
    app.add_exception_handler(MnasError, problem(409))
    app.add_exception_handler(OSError, problem(409))
    app.add_exception_handler(Exception, _bug)


def _bug(request: Request, error: Exception) -> Response:
    """An error of ours: the log has it, the answer does not. Made outside of the guard, it brings the headers."""
    return JSONResponse({"detail": "mnas board failed here; its terminal says how"}, 500, HEADERS)


def _view(views: Sequence[RunView], run: str) -> RunView:
    if int(run) >= len(views):
        raise NotThereError(f"there are {len(views)} runs here, and none at place {int(run)}")
    return views[int(run)]


def _json(value: BaseModel) -> Response:
    # Not through FastAPI's own encoder, which checks each of some hundred thousand values once more.
    return Response(value.model_dump_json(), media_type="application/json")


def _download(body: bytes, kind: str, name: str) -> Response:
    return Response(body, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def _name(view: RunView, number: int, ending: str) -> str:
    return f"{_stem(view)}-trial-{number}{'.' if ending == 'json' else '-'}{ending}"


def _stem(view: RunView) -> str:
    """The run's name as a file's, whatever it was called."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", view.summary().name).strip("-")[:60] or "run"
