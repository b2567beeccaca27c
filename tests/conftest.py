"""What all tests share: no test is held against the clock, and the browser that is installed drives pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

hypothesis.settings.register_profile("rsvqa", deadline=None)  # machines are shared
hypothesis.settings.load_profile("rsvqa")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Skip without Chromium, or without what drives it."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed (apt install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
