"""Writing questions and accepting proposals in a real browser: typed, answered, stored, changed, undone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.store import ReviewStore
from tests.review_browser.data_set import write_bare_data_set, write_proposed_data_set
from tests.review_browser.serving import Server, new_page, wait_until
from tests.review_browser.test_drawing import contents, drag, drawing, enter, near, ready, saved
from tests.rsvqa_builder.reviewing.test_scene_views import make_data

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
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    yield page
    page.context.close()
    assert server.problems == []


def written(server: Server) -> list[dict[str, Any]]:
    with ReviewStore(server.data_set / "review.sqlite") as store:
        drawn = DrawnStore(store).read_all("written")
    return [thing.content for drawing in drawn.values() for thing in drawing.things]


def faults(page: Page) -> list[str]:
    return page.locator(".faults li").all_inner_texts()


def wait_for_fault(page: Page, text: str) -> None:
    page.locator(".faults li", has_text=text).wait_for()


def deleted_all(page: Page) -> None:
    page.get_by_text("Nobody has written about this tile yet").wait_for()


def write_count(page: Page, question: str = "How many tugs wait at the pier?") -> None:
    """Fill in the form with a question of overall counting, of which "3" is right."""
    page.select_option("#write-task", "overall_counting")
    page.fill("#write-question", question)
    for letter, text in zip("ABCD", ("1", "2", "3", "4"), strict=True):
        page.get_by_label(f"Option {letter}").fill(text)
    page.locator(".written-options .letter", has_text="C").click()


def test_a_free_question_is_answered_while_it_is_typed_and_stored(page: Page, server: Server) -> None:
    assert page.inner_text("#saved") == "Nothing waits for a review: draw, or write questions"
    assert page.locator("#review-link").is_hidden()  # it would lead back here
    assert page.locator("#lead-link").inner_text() == "List"
    lead = page.context.new_page()
    lead.goto(f"{server.url}lead.html")
    lead.get_by_role("link", name="Draw").wait_for()
    lead.close()
    page.evaluate("() => { document.getElementById('saved').textContent = 'a long message '.repeat(20); }")
    assert page.evaluate(
        "() => document.getElementById('card').scrollWidth <= document.getElementById('card').clientWidth"
    )
    assert faults(page) == []
    page.select_option("#write-task", "overall_counting")
    page.fill("#write-question", "How many tugs?")
    wait_for_fault(page, "mark the right option")
    assert page.locator("#write-save").is_disabled()
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    page.locator(".evidence li", has_text="box").wait_for()
    wait_for_fault(page, "Nothing against it")
    page.keyboard.press("Control+Enter")
    page.locator(".writing .computed .text", has_text="How many tugs wait").wait_for()
    (content,) = written(server)
    assert (content["task"], content["options"], content["right"]) == ("overall_counting", ["1", "2", "3", "4"], [2])
    (shape,) = content["shapes"]
    assert shape["form"] == "box"
    assert near(shape["points"], [[400, 400], [700, 600]])
    assert drawing(server).objects == {}  # what is drawn for a question is no object
    assert page.input_value("#write-question") == ""
    write_count(page)
    wait_for_fault(page, "this is asked about the tile already")


def test_a_template_is_filled_in_and_names_the_box_that_is_drawn(page: Page, server: Server) -> None:
    page.select_option("#write-task", "object_colour")
    page.select_option("#write-template", index=1)
    wait_for_fault(page, "mark the right option")
    page.fill(".fields input[name=name]", "ship")
    for letter, text in zip("ABCD", ("red", "blue", "white", "black"), strict=True):
        page.get_by_label(f"Option {letter}").fill(text)
    page.locator(".written-options .letter", has_text="A").click()
    wait_for_fault(page, "unfilled slot")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    drag(page, (400, 400), (700, 600))
    page.locator(".evidence li", has_text="The box").wait_for()
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed .text").wait_for()
    (content,) = written(server)
    assert content["template"] == "object_colour.question"
    box = [round(side) for side in content["box"]]
    assert near([box], [[400, 400, 700, 600]])
    assert content["question"] == (
        f"What is the colour of the ship inside the bounding box? Image resolution: 3000 x 2000. Bounding box: {box}."
    )


def test_a_question_is_changed_deleted_and_brought_back(page: Page, server: Server) -> None:
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed").get_by_role("button", name="Change").click()
    assert page.input_value("#write-question") == "How many tugs wait at the pier?"
    page.locator(".written-options .letter", has_text="D").click()
    page.locator("#write-save:enabled").click()
    wait_until(lambda: [content["right"] for content in written(server)] == [[3]])
    page.locator(".writing .computed").get_by_role("button", name="Delete").click()
    wait_until(lambda: written(server) == [])
    page.get_by_role("button", name="Undo the deletion").click()
    wait_until(lambda: [content["right"] for content in written(server)] == [[3]])
    page.reload()
    ready(page)
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.locator(".writing .computed .text", has_text="How many tugs wait").wait_for()


def test_what_is_typed_and_not_saved_is_there_again(page: Page, server: Server) -> None:
    write_count(page)
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.wait_for_function("() => document.querySelector('#write-question')?.value === ''")
    page.reload()
    ready(page)
    page.keyboard.press("Escape")
    page.keyboard.press("n")  # back to the first of two tiles
    page.wait_for_function("() => document.getElementById('name').textContent.startsWith('harbour')")
    page.keyboard.press("e")
    page.wait_for_function("() => document.querySelector('#write-question')?.value.startsWith('How many tugs')")
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed .text", has_text="How many tugs wait").wait_for()
    page.wait_for_function("() => document.querySelector('#write-question').value === ''")
    assert page.evaluate("Object.keys(localStorage).filter((name) => name.includes('writing/')).length") == 0


def test_nobody_overwrites_what_somebody_else_changed(page: Page, server: Server, browser: Browser) -> None:
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed").get_by_role("button", name="Change").click()
    other = new_page(browser, server)
    other.goto(f"{server.url}draw.html")
    other.fill("input[name=reviewer]", "ben")
    other.keyboard.press("Enter")
    ready(other)
    other.keyboard.press("Escape")
    other.keyboard.press("e")
    other.locator(".writing .computed").get_by_role("button", name="Delete").click()
    deleted_all(other)
    page.locator(".written-options .letter", has_text="D").click()
    page.locator("#write-save:enabled").click()
    page.locator("#problems li", has_text="ben has changed the question meanwhile").wait_for()
    assert written(server) == []
    other.context.close()
    server.problems.clear()  # the refused request


def test_a_second_person_answers_before_he_sees_the_key(page: Page, server: Server, browser: Browser) -> None:
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed .text").wait_for()
    other = new_page(browser, server)
    other.goto(server.url)
    other.fill("input[name=reviewer]", "ben")
    other.keyboard.press("Enter")
    other.wait_for_selector("textarea.question")
    assert other.input_value("textarea.question") == "How many tugs wait at the pier?"
    assert other.locator(".letter[aria-pressed=true]").count() == 0
    other.locator(".letter", has_text="C").click()
    other.keyboard.press("a")
    other.locator(".own").wait_for()
    other.keyboard.press("a")
    wait_until(lambda: sorted(d.reviewer for d in server.decisions()) == ["ann", "ben"])
    other.context.close()


def test_a_question_about_a_circle_and_two_dates_is_written_and_judged(tmp_path: Path, browser: Browser) -> None:
    server = Server(data_set=make_data(tmp_path))
    server.start()
    page = new_page(browser, server)
    enter(page, server, "ann")
    page.keyboard.press("t")
    # the right tile of the earlier scene: the later one covers it whole
    page.locator("#dialog button", has_text="a_2019-06-14").nth(1).click()
    page.wait_for_function("() => window.rsvqaDraw.page.model.tile.tile_id.includes('512')")
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    page.select_option("#write-task", "change_counting")
    page.wait_for_function("() => document.getElementById('other-date').textContent === '2023-07-02'")
    assert page.locator("#other-pane").is_visible()
    page.select_option("#write-template", index=1)
    page.fill(".fields input[name=plural]", "ships")
    for letter, text in zip("ABCD", ("1", "2", "3", "4"), strict=True):
        page.get_by_label(f"Option {letter}").fill(text)
    page.locator(".written-options .letter", has_text="B").click()
    wait_for_fault(page, "draw the circle that the question is about")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    drag(page, (256, 256), (316, 256))
    page.locator(".evidence li", has_text="Circle 1").wait_for()
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed .text").wait_for()
    (content,) = written(server)
    x, y, radius = content["circle"]
    assert near([[x, y], [radius, 0]], [[256, 256], [60, 0]])
    assert (content["later_scene"], content["later_date"]) == ("b_2023-07-02", "2023-07-02")
    assert content["question"].endswith("have appeared inside circle 1?")
    page.select_option("#write-task", "overall_counting")
    page.locator("#other-pane").wait_for(state="hidden")
    page.locator(".writing .computed").get_by_role("button", name="Change").click()
    page.locator("#other-pane").wait_for(state="visible")
    page.locator(".written-options .letter", has_text="C").click()
    page.locator("#write-save:enabled").click()
    wait_until(lambda: [one["right"] for one in written(server)] == [[2]])
    other = new_page(browser, server)
    other.goto(server.url)
    other.fill("#dialog input", "ben")
    other.keyboard.press("Enter")
    other.locator(".blind").wait_for()
    assert other.locator(".date").all_inner_texts() == ["Earlier · 2019-06-14", "Later · 2023-07-02"]
    assert [text.text_content() for text in other.locator("svg .number").all()] == ["circle 1", "circle 1"]
    for one in (page, other):
        one.context.close()
    server.kill(signal.SIGTERM)
    assert server.problems == []


def test_proposals_are_dashed_until_somebody_accepts_or_deletes_them(tmp_path: Path, browser: Browser) -> None:
    server = Server(data_set=write_proposed_data_set(tmp_path / "superrs"))
    server.start()
    page = new_page(browser, server)
    page.goto(f"{server.url}draw.html")
    page.fill("input[name=reviewer]", "ann")
    page.keyboard.press("Enter")
    ready(page)
    page.keyboard.press("Escape")
    proposals = page.locator("[data-proposal]")
    assert proposals.locator(".text").all_inner_texts() == ["the white ship", "the white gantry"]
    assert page.evaluate("rsvqaDraw.canvas.overlays.map((shape) => shape.isDashed)") == [True, True]
    proposals.first.get_by_role("button", name="Accept as ship").click()
    saved(page)
    (taken,) = contents(server)
    assert (taken["class_name"], taken["proposal"]) == ("ship", "harbour:0_0/FVG1")
    assert taken["points"] == [[1200.0, 800.0], [1500.0, 1000.0]]
    assert page.evaluate("rsvqaDraw.page.model.selection.size") == 1  # to be mended at once
    assert proposals.count() == 1
    page.keyboard.press("Control+z")
    saved(page)
    assert proposals.count() == 2
    page.keyboard.press("Control+y")
    proposals.get_by_role("button", name="Delete").click()
    page.get_by_text("No proposal is left").wait_for()
    assert page.evaluate("rsvqaDraw.canvas.overlays.length") == 0
    page.get_by_role("button", name="Undo the deletion").click()
    proposals.get_by_role("button", name="Delete").wait_for()
    page.reload()
    ready(page)
    assert proposals.count() == 1
    assert server.problems == []
    page.context.close()
    server.kill(signal.SIGTERM)
