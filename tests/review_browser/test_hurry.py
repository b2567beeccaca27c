"""A quick person before a slow server: nothing is stored for another question, and what is typed is not lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.review_browser.data_set import write_data_set
from tests.review_browser.serving import Server, new_page, wait_until
from tests.review_browser.test_page import choose_task, enter, question_of, wait_for_question

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("data") / "superrs")


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    page = new_page(browser, server)
    enter(page, server, "ann")
    settled(page)
    yield page
    page.context.close()
    assert server.problems == []


def settled(page: Page) -> None:
    page.wait_for_function("() => !document.body.classList.contains('busy')")


def held(page: Page, path: str) -> list[Route]:
    """Return the list into which requests to a path come from now on, until somebody lets them go on."""
    found: list[Route] = []
    page.route(path, lambda route: found.append(route))
    return found


def came(page: Page, requests: list[Route], count: int = 1) -> None:
    wait_until(lambda: page.evaluate("1") == 1 and len(requests) == count)  # events come while it talks to the page


def test_a_double_click_decides_on_one_question(page: Page, server: Server) -> None:
    page.click("#save")
    wait_for_question(page, "Is <img")
    settled(page)  # the server was quicker than the hand
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    page.wait_for_timeout(300)
    assert server.verdicts() == [("OC1", "accepted", "")]
    page.click("#save")  # the next click counts
    wait_for_question(page, "Please locate")


def test_the_reason_of_a_question_whose_acceptance_waits_is_not_asked(server: Server, browser: Browser) -> None:
    page = new_page(browser, server)
    page.add_init_script(
        "const late = requestAnimationFrame; requestAnimationFrame = (f) => setTimeout(() => late(f), 700)"
    )
    enter(page, server, "ann")
    page.keyboard.press("a")  # waits until the image is laid out
    page.keyboard.press("r")
    assert page.query_selector("dialog[open]") is None
    wait_for_question(page, "Is <img")
    settled(page)
    assert server.verdicts() == [("OC1", "accepted", "")]
    page.context.close()
    assert server.problems == []


def test_a_question_whose_decision_is_on_its_way_is_not_changed(page: Page, server: Server) -> None:
    decisions = held(page, "**/decide")
    page.fill("textarea.question", "How many lorries are there?")
    page.focus("textarea.question")
    page.keyboard.press("Control+Enter")
    came(page, decisions)
    page.keyboard.type("and vans")
    assert question_of(page) == "How many lorries are there?"
    page.keyboard.press("Escape")
    page.keyboard.press("2")  # the right option of the question that comes, perhaps
    decisions.pop().continue_()
    wait_for_question(page, "Is <img")
    assert page.locator(".letter").first.get_attribute("aria-pressed") == "true"
    (decision,) = server.decisions()
    assert decision.after is not None
    assert (decision.after.question, decision.after.answer) == ("How many lorries are there?", "A")


def test_a_box_that_is_dragged_over_a_decision_moves_no_box_of_the_next_question(page: Page, server: Server) -> None:
    choose_task(page, "fine_grained_grounding")
    wait_for_question(page, "Please locate")
    settled(page)
    page.wait_for_selector("#loading", state="hidden")
    page.wait_for_timeout(500)
    box = page.locator(".handle.move").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y, steps=3)
    page.keyboard.press("f")  # another question with a box comes while the button is held
    page.select_option("select[name=task]", "object_colour")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.evaluate("() => document.querySelector('button[value=apply]')?.click()")
    wait_for_question(page, "What colour")
    settled(page)
    page.mouse.move(x + 60, y + 30, steps=3)
    page.mouse.up()
    page.keyboard.press("Control+z")
    assert "1200, 800 – 1500, 1000" in page.inner_text(".numbers")
    assert page.inner_text("#save") == "Accept A"
    page.keyboard.press("a")
    wait_until(lambda: len(server.decisions()) == 1)
    (decision,) = server.decisions()
    assert (decision.verdict, decision.after) == ("accepted", decision.before)


def test_a_comment_that_is_not_taken_is_kept(page: Page, server: Server) -> None:
    page.route("**/comment", lambda route: route.fulfill(status=403, json={"problems": ["not now"]}))
    page.keyboard.press("c")
    page.fill("dialog input", "is a van a car?")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problems li")
    page.unroute("**/comment")
    page.keyboard.press("c")
    assert page.input_value("dialog input") == "is a van a car?"
    page.keyboard.press("Enter")
    page.wait_for_selector(".comments")
    page.keyboard.press("c")
    assert page.input_value("dialog input") == ""
    page.keyboard.press("Escape")
    server.problems.clear()  # the refused request


def test_a_key_pressed_while_a_comment_goes_is_not_lost(page: Page, server: Server) -> None:
    comments = held(page, "**/comment")
    page.keyboard.press("c")
    page.fill("dialog input", "is a van a car?")
    page.keyboard.press("Enter")
    came(page, comments)
    page.keyboard.press("a")
    comments.pop().continue_()
    wait_for_question(page, "Is <img")
    assert server.verdicts() == [("OC1", "accepted", "")]


def test_a_decision_is_sent_again_where_something_in_between_answers(page: Page, server: Server) -> None:
    answers = [502, 429]
    page.route("**/decide", lambda route: route.fulfill(status=answers.pop()) if answers else route.continue_())
    page.keyboard.press("a")
    page.wait_for_selector("#banner:not([hidden])")
    wait_for_question(page, "Is <img")
    assert page.is_hidden("#banner")
    assert server.verdicts() == [("OC1", "accepted", "")]
    server.problems.clear()  # the two answers


def test_after_the_last_question_nothing_is_changed_or_asked(page: Page) -> None:
    for _ in range(7):
        settled(page)
        page.keyboard.press("a")
    page.wait_for_selector(".end")
    settled(page)
    for key in ("i", "1", "b", "e", "r", "c", "Control+z", "ArrowLeft"):
        page.keyboard.press(key)
        assert page.query_selector("dialog[open]") is None, key
    page.wait_for_timeout(300)
    assert page.inner_text("#problems") == ""
