"""Pages that commands write fit a phone, in a real browser: nothing is cut off at the right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.run_build import build, rsvqa

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser
_WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    data, run = folder / "set", folder / "run"
    commands = [
        rsvqa("demo-scenes", "--out", folder / "scenes", "--seed", 0, "--size", 512, "--count", 1),
        rsvqa("labels", "--src", folder / "scenes", "--classes", "demo", "--out", folder / "check"),
        build(folder / "scenes", data, "--classes", "demo"),
        rsvqa("audit", data, "--no-images", "--out", folder / "audit"),
        rsvqa("bench", "--model", "random", "--data", data, "--split", "train", "--out", run),
        rsvqa("browse", run),
    ]
    assert [done.code for done in commands] == [0] * len(commands), commands
    return folder


@pytest.mark.parametrize(
    "page", ["set/preview.html", "check/labels.html", "audit/audit.html", "run/report.html", "run/browse/index.html"]
)
def test_nothing_of_a_page_is_wider_than_a_phone(pages: Path, browser: Browser, page: str) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto((pages / page).as_uri())
    assert tab.locator("body").inner_text()
    assert tab.evaluate(_WIDER) == 0
    tab.close()
