"""The server that every page of a test is served by."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.review_browser.serving import Server


@pytest.fixture
def server(template: Path, tmp_path: Path) -> Iterator[Server]:
    """Serve a copy of the module's `template`."""
    server = Server(data_set=Path(shutil.copytree(template, tmp_path / "superrs")))
    server.start()
    yield server
    server.kill(signal.SIGTERM)
