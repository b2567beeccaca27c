"""Drawing in a real browser: every form, select, reshape, copy, nudge, undo, reload, questions, a kill, two people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rsvqa.annotation.review.drawn_store import DrawnStore, TileDrawing
from rsvqa.annotation.review.store import ReviewStore
from tests.review_browser.data_set import write_bare_data_set
from tests.review_browser.serving import Server, new_page, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bare_data_set(tmp_path_factory.mktemp("bare") / "superrs")


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    page = new_page(browser, server)
    enter(page, server, "ann")
    yield page
    page.context.close()
    assert server.problems == []


def enter(page: Page, server: Server, name: str) -> None:
    """Open the review, which has no question, and so shows the page for drawing."""
    page.goto(server.url)
    page.wait_for_url("**/draw.html")
    page.fill("input[name=reviewer]", name)
    page.keyboard.press("Enter")
    ready(page)


def ready(page: Page) -> None:
    page.wait_for_function("() => window.rsvqaDraw?.canvas.placing() && document.getElementById('loading').hidden")
    page.wait_for_timeout(400)  # the way to the whole tile is animated
    page.keyboard.press("/")
    page.keyboard.type("ship")
    page.keyboard.press("Enter")


def draw_road(page: Page) -> None:
    """Choose the class, draw a line of three points and see it saved."""
    page.keyboard.press("/")
    page.keyboard.type("road")
    page.locator(".classes li", has_text="road").filter(has=page.locator("small", has_text="road")).first.locator(
        "button"
    ).click()
    page.keyboard.press("l")
    for x in (600, 900, 1300):
        click(page, x, 1000)
    page.keyboard.press("Enter")
    saved(page)


def drawing(server: Server) -> TileDrawing:
    """Return what stands on disk, as another process sees it, on the only tile that was drawn on."""
    with ReviewStore(server.data_set / "review.sqlite") as store:
        return next(iter(DrawnStore(store).read_all().values()), TileDrawing())


def contents(server: Server) -> list[Any]:
    return [thing.content for thing in drawing(server).of_kind("object")]


def saved(page: Page) -> None:
    page.wait_for_function("() => document.getElementById('saved').textContent.startsWith('All that')")


def pane(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return where a place on the tile is on the page, CSS pixels."""
    x, y = page.evaluate(
        "([x, y]) => { const { canvas } = rsvqaDraw; const p = canvas.placing();"
        "const b = canvas.element.getBoundingClientRect();"
        "return [b.left + p.x + p.scale * x, b.top + p.y + p.scale * y]; }",
        [x, y],
    )
    return x, y


def click(page: Page, x: float, y: float) -> None:
    page.mouse.click(*pane(page, x, y))


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*pane(page, *start))
    page.mouse.down()
    page.mouse.move(*pane(page, *end), steps=4)
    page.mouse.up()


def near(points: list[list[float]], expected: list[list[float]]) -> bool:
    """Return whether points are those that were pointed at, to what a CSS pixel shows of the whole tile."""
    return len(points) == len(expected) and all(
        abs(a - b) <= 4 for one, other in zip(points, expected, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_every_form_is_drawn_and_stored(page: Page, server: Server) -> None:
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    page.keyboard.press("r")
    for at in ((1000, 400), (1300, 700), (1200, 800)):
        click(page, *at)
    page.keyboard.press("p")
    for at in ((1600, 500), (1900, 500), (1800, 800)):
        click(page, *at)
    page.keyboard.press("Enter")
    page.keyboard.press("c")
    drag(page, (2300, 600), (2300, 800))
    page.keyboard.press("d")
    click(page, 500, 1200)
    saved(page)
    found = {content["form"]: content for content in contents(server)}
    assert {content["class_name"] for content in found.values()} == {"ship"}
    assert near(found["box"]["points"], [[400, 400], [700, 600]])
    assert near(found["polygon"]["points"], [[1600, 500], [1900, 500], [1800, 800]])
    assert near(found["circle"]["points"], [[2300, 600], [2300, 800]])
    assert near(found["point"]["points"], [[500, 1200]])
    # the side from (1000, 400) to (1300, 700) runs at 45°; (1200, 800) lies 141 px beside it, at (1200, 800)
    assert near(found["oriented_box"]["points"], [[1000, 400], [1300, 700], [1200, 800], [900, 500]])
    assert all(value == round(value) for point in found["box"]["points"] for value in point)  # snapped


def test_a_line_is_for_roads_and_the_page_says_so(page: Page, server: Server) -> None:
    page.keyboard.press("l")
    click(page, 600, 600)
    assert "a class of object things: draw one of box" in page.inner_text("#problems")
    draw_road(page)
    (line,) = contents(server)
    assert (line["form"], len(line["points"])) == ("line", 3)


def test_objects_are_moved_nudged_copied_deleted_and_brought_back(page: Page, server: Server) -> None:
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    saved(page)
    (before,) = contents(server)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    saved(page)
    (nudged,) = contents(server)
    assert nudged["points"] == [[x + 1, y + 10] for x, y in before["points"]]
    page.keyboard.press("v")
    drag(page, (550, 500), (1050, 900))
    saved(page)
    (moved,) = contents(server)
    assert near(moved["points"], [[901, 810], [1201, 1010]])
    page.keyboard.press("Control+c")
    page.mouse.move(*pane(page, 2000, 1500))
    page.keyboard.press("Control+v")
    saved(page)
    assert len(contents(server)) == 2
    page.keyboard.press("Delete")
    saved(page)
    assert contents(server) == [moved]
    page.keyboard.press("Control+z")
    saved(page)
    assert len(contents(server)) == 2
    for _ in range(5):
        page.keyboard.press("Control+z")
    saved(page)
    assert contents(server) == []
    page.keyboard.press("Control+y")
    saved(page)
    assert contents(server) == [before]


def test_a_corner_is_dragged_and_attributes_are_set(page: Page, server: Server) -> None:
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    page.keyboard.press("v")
    drag(page, (700, 600), (1000, 900))
    page.select_option(".fields label:has-text('colour') select", "red")
    page.select_option(".fields label:has-text('moving') select", "no")
    saved(page)
    (found,) = contents(server)
    assert near(found["points"], [[400, 400], [1000, 900]])
    assert found["attributes"] == {"colour": "red", "moving": False}


def test_questions_follow_from_what_is_drawn(page: Page, server: Server) -> None:
    page.keyboard.press("b")
    for x in (400, 900, 1400, 1900):
        drag(page, (x, 400), (x + 200, 550))
    saved(page)
    page.keyboard.press("m")
    page.wait_for_function("() => document.querySelector('.chosen .complete input').checked")
    page.keyboard.press("q")
    question = page.locator(".computed > li", has_text="Counting").first
    question.wait_for()
    assert question.locator(".right").inner_text() == f"{question.locator('.right b').inner_text()} 4"
    question.get_by_role("button", name="Accept").click()
    page.locator(".computed > li.accepted").wait_for()
    wait_until(lambda: [found["verdict"] for found in drawing(server).judged.values()] == ["accepted"])
    page.keyboard.press("Escape")
    page.keyboard.press("Control+z")
    page.locator(".warn", has_text="1 accepted question do").wait_for()


def test_drawing_survives_a_kill_and_a_reload(page: Page, server: Server) -> None:
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    saved(page)
    server.kill()
    drag(page, (900, 400), (1200, 600))
    page.wait_for_selector("#banner:not([hidden])")
    assert len(contents(server)) == 1
    server.problems.clear()  # requests that failed while it was away
    server.start()
    page.evaluate("url => { history.replaceState(null, '', url + 'draw.html'); }", server.url)
    saved(page)
    assert len(contents(server)) == 2
    page.reload()
    ready(page)
    assert page.inner_text("#progress").startswith("2 objects")
    server.problems.clear()


def test_nobody_overwrites_what_somebody_else_changed(page: Page, server: Server, browser: Browser) -> None:
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    saved(page)
    other = new_page(browser, server)
    enter(other, server, "ben")
    click(other, 550, 500)
    other.keyboard.press("Delete")
    saved(other)
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#problems li")
    assert "ben has changed the object meanwhile" in page.inner_text("#problems")
    assert page.inner_text("#progress").startswith("0 objects")
    assert contents(server) == []
    other.context.close()
    server.problems.clear()  # the refused request
