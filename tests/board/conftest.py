"""A client of the page's application, without a network between them; and a browser, with one (browsing.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import browser, look, serve
from fastapi.testclient import TestClient

from mnas.board import create_app

__all__ = ["browser", "look", "serve"]  # fixtures


@pytest.fixture
def client_of() -> Callable[..., TestClient]:
    """Makes a client of these run folders, as a browser on this machine would ask."""

    def make(*folders: Path, base_url: str = "http://127.0.0.1:8642", **settings: Any) -> TestClient:
        return TestClient(create_app(folders, **settings), base_url=base_url, follow_redirects=False)

    return make


@pytest.fixture
def client(client_of: Callable[..., TestClient], mixed_run: Path) -> TestClient:
    """Of one run."""
    return client_of(mixed_run)
