"""Bands, stretch, gamma, surroundings and a second date, in a real browser, on both pages."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.review_browser.data_set import write_bare_data_set, write_data_set
from tests.review_browser.serving import Server, new_page, wait_until
from tests.review_browser.test_drawing import enter, ready
from tests.rsvqa_builder.reviewing.test_scene_views import make_data

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("looked"))


def middle_colour(page: Page) -> list[int]:
    """Return the colour of the picture in the middle of the drawing page's pane."""
    script = (
        "() => { const { canvas } = rsvqaDraw.canvas.osd.drawer; const { width, height } = canvas;"
        "return [...canvas.getContext('2d').getImageData(width / 2, height / 2, 1, 1).data.slice(0, 3)]; }"
    )
    return list(page.evaluate(script))


def test_bands_are_chosen_and_remembered(server: Server, browser: Browser) -> None:
    page = new_page(browser, server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    enter(page, server, "ann")
    page.wait_for_selector(".around:not([hidden])", state="attached")
    page.click("#look-button")
    page.select_option("select[name=Red]", "4")
    page.select_option("select[name=Green]", "4")
    page.select_option("select[name=Blue]", "4")
    page.select_option("select[name=Stretch]", label="0–100 %")
    page.click("dialog button.primary")
    ready(page)
    assert any("/0/b4-4-4_p0-1000_g100/" in url for url in asked)
    wait_until(lambda: max(middle_colour(page)) > 0)  # the new picture is drawn
    # the middle of the left tile is column 256 of 1,023, or row 256 of 511 where the second scene is open
    red, green, blue = middle_colour(page)
    assert max(red, green, blue) - min(red, green, blue) <= 3
    assert min(abs(red - 64), abs(red - 191), abs(red - 128)) <= 4
    page.reload()
    ready(page)
    wait_until(lambda: max(middle_colour(page)) > 0)
    assert middle_colour(page) == pytest.approx([red, green, blue], abs=2)
    page.context.close()
    assert server.problems == []


def test_another_date_stands_beside_and_moves_along(server: Server, browser: Browser) -> None:
    page = new_page(browser, server)
    enter(page, server, "ann")
    page.wait_for_selector(".around:not([hidden])", state="attached")
    page.keyboard.press("i")
    page.select_option("select[name='Beside it']", index=1)
    page.wait_for_selector("#other-pane:not([hidden]) canvas")
    page.click("dialog button.primary")
    assert page.text_content("#other-date") in ("2019-06-14", "2023-07-02")
    page.keyboard.press("+")
    page.wait_for_timeout(600)
    bounds = "(osd) => { const { x, y, width } = osd.viewport.getBounds(true); return [x, y, width]; }"
    main = page.evaluate(f"() => ({bounds})(rsvqaDraw.canvas.osd)")
    beside = page.evaluate(f"() => ({bounds})(rsvqaDraw.canvas.beside)")
    assert beside == pytest.approx(main, abs=1e-3)
    # the drawing covers its own picture alone
    widths = page.evaluate("() => ['objects', 'pane'].map((id) => document.getElementById(id).clientWidth)")
    assert abs(widths[0] - widths[1]) <= 1
    page.context.close()
    assert server.problems == []


@pytest.mark.parametrize("has_questions", [False, True])
def test_where_no_scene_is_at_hand_the_stored_image_is_stretched(
    tmp_path: Path, browser: Browser, has_questions: bool
) -> None:
    write = write_data_set if has_questions else write_bare_data_set
    server = Server(data_set=write(tmp_path / "superrs"))
    server.start()
    page = new_page(browser, server)
    page.goto(server.url)
    page.fill("input[name=reviewer]", "ann")
    page.keyboard.press("Enter")
    page.wait_for_selector("#look-button")
    # keys count from then on
    page.wait_for_function("() => window.rsvqaDraw ?? document.querySelector('textarea.question')")
    page.wait_for_timeout(300)
    page.keyboard.press("g" if has_questions else "t")  # a wide dialog, which leaves no trace
    page.wait_for_selector("dialog.wide[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    page.keyboard.press("i")
    page.wait_for_selector("dialog[open] .look")
    assert page.evaluate("() => document.getElementById('dialog').offsetWidth") == 330
    assert page.locator("select[name=Red]").count() == 0
    page.select_option("select[name=Stretch]", label="2–98 %")
    page.wait_for_selector("#look-filter feFuncR", state="attached")
    # 40 to 159 and the bright square are 0.16 to 0.98 of full
    slope = float(page.get_attribute("#look-filter feFuncR", "slope") or 0)
    assert 1 <= slope < 3
    assert page.evaluate("() => [...document.querySelectorAll('canvas')].some((c) => c.style.filter.includes('look'))")
    page.click("dialog button:has-text('As built')")
    assert not page.evaluate(
        "() => [...document.querySelectorAll('canvas')].some((c) => c.style.filter.includes('look'))"
    )
    page.context.close()
    server.kill(signal.SIGTERM)
    assert server.problems == []
