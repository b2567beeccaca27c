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


class Held:
    """Requests of a page to a path, which wait until they are let go."""

    def __init__(self, page: Page, path: str) -> None:
        self.page = page
        self.routes: list[Route] = []
        self.is_open = False
        page.route(path, self.take)

    def take(self, route: Route) -> None:
        if self.is_open:
            route.continue_()
        else:
            self.routes.append(route)

    def wait(self, count: int = 1) -> None:
        """Wait until so many have come."""
        # events come while it talks to the page
        wait_until(lambda: self.page.evaluate("1") == 1 and len(self.routes) == count)

    def let_go(self) -> None:
        """Let those that wait go on, and those that come."""
        self.is_open = True
        while self.routes:
            self.routes.pop(0).continue_()


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
    decisions = Held(page, "**/decide")
    page.fill("textarea.question", "How many lorries are there?")
    page.focus("textarea.question")
    page.keyboard.press("Control+Enter")
    decisions.wait()
    page.keyboard.type("and vans")
    assert question_of(page) == "How many lorries are there?"
    page.keyboard.press("Escape")
    page.keyboard.press("2")  # the right option of the question that comes, perhaps
    decisions.let_go()
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
    comments = Held(page, "**/comment")
    page.keyboard.press("c")
    page.fill("dialog input", "is a van a car?")
    page.keyboard.press("Enter")
    comments.wait()
    page.keyboard.press("a")
    comments.let_go()
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


def rows(page: Page) -> list[str]:
    return page.locator("#rows .text").all_inner_texts()


@pytest.fixture
def lead(page: Page, server: Server) -> Page:
    page.goto(f"{server.url}lead.html")
    page.wait_for_function("() => document.querySelectorAll('#rows tr').length === 7")
    return page


def test_the_list_is_of_what_was_searched_for_last(lead: Page) -> None:
    searches = Held(lead, "**/lead/find")
    lead.fill("input[name=text]", "how many")
    searches.wait()
    lead.fill("input[name=text]", "how many cars")
    searches.wait(2)
    searches.routes.pop().continue_()
    lead.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")
    searches.let_go()
    lead.wait_for_timeout(500)
    assert rows(lead) == ["How many cars are there?\na:objects:1"]


def test_people_do_not_come_over_the_list_nor_the_list_over_people(lead: Page) -> None:
    people, searches = Held(lead, "**/lead/people"), Held(lead, "**/lead/find")
    lead.click("#people-tab")
    people.wait()
    lead.click("#questions-tab")
    searches.wait()
    people.let_go()
    lead.wait_for_timeout(500)
    assert lead.locator("input[name=label]").count() == 1
    lead.fill("input[name=text]", "cars")
    lead.click("#people-tab")
    lead.get_by_text("Nobody has decided anything yet").wait_for()
    searches.let_go()
    lead.wait_for_timeout(500)
    assert lead.locator("#rows").count() == 0


def test_a_label_is_rejected_with_as_many_questions_as_are_listed(lead: Page, server: Server) -> None:
    lead.fill("input[name=label]", "a:objects:1")
    lead.locator("#reject-label", has_text="Reject all 4 questions").wait_for()
    searches = Held(lead, "**/lead/find")
    lead.fill("input[name=label]", "a:objects:12")
    assert lead.locator("#reject-label").is_hidden()  # four are not its
    searches.let_go()
    lead.fill("input[name=label]", "a:objects:1")
    lead.select_option("select[name=task]", "overall_counting")
    lead.wait_for_function("() => document.querySelectorAll('#rows tr').length === 1")
    assert lead.locator("#reject-label").is_hidden()  # others would be rejected too
    lead.select_option("select[name=task]", "")
    lead.route("**/reject-label", lambda route: route.abort())
    lead.click("#reject-label")
    lead.fill("dialog input", "no such object")
    lead.keyboard.press("Enter")
    lead.locator("#problems li").wait_for()
    lead.unroute("**/reject-label")
    lead.click("#reject-label")
    assert lead.input_value("dialog input") == "no such object"
    lead.keyboard.press("Enter")
    lead.get_by_text("Rejected: 4").wait_for()
    assert len(server.decisions()) == 4
    server.problems.clear()  # the aborted request
