"""Drawing and writing by a quick person before a slow server: the right tile, the right person, and nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rsvqa.annotation.review.drawn_store import DrawnStore, TileDrawing
from rsvqa.annotation.review.store import ReviewStore
from tests.review_browser.data_set import write_bare_data_set
from tests.review_browser.serving import Server, new_page
from tests.review_browser.test_drawing import click, contents, drag, draw_road, drawing, enter, near, saved
from tests.review_browser.test_hurry import Held
from tests.review_browser.test_writing import wait_for_fault, write_count, written

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

FIRST: list[list[float]] = [[400, 400], [700, 600]]
SECOND: list[list[float]] = [[1000, 400], [1300, 600]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bare_data_set(tmp_path_factory.mktemp("bare") / "superrs")


@pytest.fixture
def page(server: Server, browser: Browser) -> Iterator[Page]:
    page = new_page(browser, server)
    enter(page, server, "ann")
    page.keyboard.press("b")
    yield page
    page.context.close()
    assert server.problems == []


def draw(page: Page, points: list[list[float]]) -> None:
    drag(page, (points[0][0], points[0][1]), (points[1][0], points[1][1]))


def by_tile(server: Server) -> list[TileDrawing]:
    with ReviewStore(server.data_set / "review.sqlite") as store:
        return list(DrawnStore(store).read_all().values())


def on_tile(page: Page, name: str) -> None:
    page.wait_for_function("name => rsvqaDraw.page.model.tile.tile_id === name", arg=name)


def refuse_deleted(page: Page, server: Server, browser: Browser) -> None:
    """Let somebody else delete the object that is selected on a page."""
    other = new_page(browser, server)
    enter(other, server, "ben")
    click(other, 550, 500)
    other.keyboard.press("Delete")
    saved(other)
    other.context.close()


def test_what_is_refused_costs_itself_and_nothing_that_was_drawn_with_it(
    page: Page, server: Server, browser: Browser
) -> None:
    draw(page, FIRST)
    saved(page)
    refuse_deleted(page, server, browser)
    changes = Held(page, "**/draw/change")
    page.keyboard.press("ArrowRight")  # of what ben has deleted
    changes.wait()
    draw(page, SECOND)
    changes.let_go()
    page.wait_for_selector("#problems li")
    saved(page)
    (found,) = contents(server)
    assert near(found["points"], SECOND)
    assert page.inner_text("#progress").startswith("1 object ")
    page.keyboard.press("ArrowRight")  # and it goes on
    saved(page)
    (moved,) = contents(server)
    assert moved["points"] == [[x + 1, y] for x, y in found["points"]]
    server.problems.clear()  # the refused request


def test_of_several_objects_in_one_request_the_one_at_fault_is_refused(
    page: Page, server: Server, browser: Browser
) -> None:
    draw(page, FIRST)
    saved(page)
    refuse_deleted(page, server, browser)
    first, *others = page.evaluate(
        """([first, second]) => {
                const { model } = rsvqaDraw.page;
                const [id] = model.selection;
                const object = model.objects.get(id);
                const others = ["one", "two"].map((name) => [name, { ...object, points: second }]);
                model.change(new Map([[id, { ...object, points: second }], ...others]));
                return [id, ...others.map(([name]) => name)];
            }""",
        [FIRST, SECOND],
    )
    page.wait_for_selector("#problems li")
    saved(page)
    assert sorted(thing.key for thing in drawing(server).of_kind("object")) == others
    assert first not in page.evaluate("() => [...rsvqaDraw.page.model.objects.keys()]")
    server.problems.clear()  # the refused requests


def test_what_is_drawn_outlives_answers_of_something_in_between(page: Page, server: Server) -> None:
    answers = [502, 500, 429]
    page.route("**/draw/change", lambda route: route.fulfill(status=answers.pop()) if answers else route.continue_())
    draw(page, FIRST)
    page.wait_for_selector("#banner:not([hidden])")
    saved(page)
    assert len(contents(server)) == 1
    assert page.inner_text("#progress").startswith("1 object ")
    server.problems.clear()  # the three answers


def test_a_tile_that_is_left_before_it_is_saved_is_whole_when_one_comes_back(page: Page, server: Server) -> None:
    changes = Held(page, "**/draw/change")
    draw(page, FIRST)
    changes.wait()
    page.keyboard.press("n")
    draw(page, SECOND)  # still on the tile that is seen
    changes.let_go()
    on_tile(page, "town:0_0")
    (tile,) = by_tile(server)
    assert len(tile.of_kind("object")) == 2
    page.keyboard.press("n")
    on_tile(page, "harbour:0_0")
    assert page.evaluate("() => rsvqaDraw.page.model.objects.size") == 2


def test_the_tile_that_was_asked_for_last_is_opened_whichever_answer_comes_last(page: Page) -> None:
    tiles = Held(page, "**/draw/tile")
    page.keyboard.press("n")
    tiles.wait()
    page.keyboard.press("n")
    tiles.wait(2)
    tiles.routes.pop().continue_()
    on_tile(page, "harbour:0_0")
    page.wait_for_timeout(300)
    tiles.routes.pop().continue_()
    page.wait_for_timeout(500)
    assert page.inner_text("#name") == "harbour:0_0"


def test_what_one_person_drew_is_not_stored_in_the_name_of_the_next(page: Page, server: Server) -> None:
    changes = Held(page, "**/draw/change")
    draw(page, FIRST)
    changes.wait()
    draw(page, SECOND)  # not sent yet
    page.click("#reviewer-button")
    page.fill("dialog input", "ben")
    page.keyboard.press("Enter")
    changes.let_go()
    page.wait_for_function("() => document.getElementById('reviewer-button').textContent === 'ben'")
    assert [thing.reviewer for thing in drawing(server).things] == ["ann", "ann"]
    page.wait_for_function("() => rsvqaDraw.page.model.reviewer === 'ben'")


def judged(server: Server) -> list[str]:
    return [found["verdict"] for found in drawing(server).judged.values()]


def show_questions(page: Page) -> None:
    for x in (400, 900, 1400, 1900):
        draw(page, [[x, 400], [x + 200, 550]])
    saved(page)
    page.keyboard.press("m")
    page.wait_for_function("() => document.querySelector('.chosen .complete input').checked")
    page.keyboard.press("q")
    page.locator(".computed > li", has_text="Counting").first.wait_for()
    page.wait_for_timeout(800)  # nothing is computed any more


def test_the_last_word_on_a_question_counts_whichever_request_is_slower(page: Page, server: Server) -> None:
    show_questions(page)
    question = page.locator(".computed > li", has_text="Counting").first
    words = Held(page, "**/draw/judge")
    question.get_by_role("button", name="Accept").click()
    question.get_by_role("button", name="Discard").click()
    words.wait()
    words.let_go()
    page.locator(".computed > li.discarded").wait_for()
    assert judged(server) == ["discarded"]


def test_questions_that_come_late_do_not_hide_what_was_judged_meanwhile(page: Page, server: Server) -> None:
    show_questions(page)
    late = Held(page, "**/draw/questions")
    page.keyboard.press("w")
    page.keyboard.press("q")
    late.wait()
    answer = late.routes[0].fetch()
    page.locator(".computed > li", has_text="Counting").first.get_by_role("button", name="Accept").click()
    page.locator(".computed > li.accepted").wait_for()
    late.is_open = True
    late.routes.pop().fulfill(response=answer)
    page.wait_for_timeout(300)
    assert page.locator(".computed > li.accepted").count() == 1
    page.wait_for_timeout(1200)  # computed anew
    assert page.locator(".computed > li.accepted").count() == 1
    assert judged(server) == ["accepted"]


def test_a_word_that_is_being_typed_is_not_cut_off_by_an_answer(page: Page, server: Server) -> None:
    draw_road(page)
    changes = Held(page, "**/draw/change")
    page.keyboard.press("m")
    changes.wait()
    page.locator(".fields label:has-text('name') input").click()
    page.keyboard.type("Ha")
    changes.let_go()
    page.wait_for_function("() => document.querySelector('.chosen .complete input').checked")
    page.keyboard.type("mm")  # as keys: every road is drawn, or not
    page.keyboard.press("Escape")
    saved(page)
    assert [content["attributes"] for content in contents(server)] == [{"name": "Hamm"}]
    assert len(drawing(server).complete) == 1


def test_the_question_of_one_tile_is_not_saved_to_another(page: Page, server: Server) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    draw(page, FIRST)
    forms = Held(page, "**/draw/templates")
    page.keyboard.press("n")
    on_tile(page, "town:0_0")
    forms.wait()
    assert page.query_selector("#write-save") is None
    page.keyboard.press("Control+Enter")
    draw(page, SECOND)  # evidence of a question about this tile
    forms.let_go()
    page.wait_for_selector("#write-task")
    assert page.input_value("#write-question") == ""
    assert page.locator(".evidence li").count() == 1
    assert written(server) == []
    page.keyboard.press("n")
    on_tile(page, "harbour:0_0")
    page.wait_for_function("() => document.querySelector('#write-question')?.value.startsWith('How many tugs')")
    wait_for_fault(page, "Nothing against it")
    page.locator("#write-save").click()
    page.locator(".writing .computed .text", has_text="How many tugs").wait_for()
    (content,) = written(server)
    assert near(content["shapes"][0]["points"], FIRST)


def test_a_tile_is_left_when_its_question_is_saved(page: Page, server: Server) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    writes = Held(page, "**/draw/write")
    page.keyboard.press("Control+Enter")
    writes.wait()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    writes.let_go()
    on_tile(page, "town:0_0")
    page.wait_for_selector("#write-task")
    assert page.input_value("#write-question") == ""
    (tile,) = by_tile(server)
    assert [thing.content["question"] for thing in tile.of_kind("written")] == ["How many tugs wait at the pier?"]


def test_what_is_typed_while_a_question_is_saved_is_kept(page: Page, server: Server) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    write_count(page)
    wait_for_fault(page, "Nothing against it")
    writes = Held(page, "**/draw/write")
    page.focus("#write-question")
    page.keyboard.press("Control+Enter")
    writes.wait()
    page.fill("#write-question", "How many tugs wait at the northern pier?")
    writes.let_go()
    page.get_by_text("what you changed since is not yet").wait_for()
    assert page.input_value("#write-question") == "How many tugs wait at the northern pier?"
    wait_for_fault(page, "Nothing against it")
    page.keyboard.press("Control+Enter")
    page.get_by_text("The question is saved", exact=True).wait_for()
    assert [content["question"] for content in written(server)] == ["How many tugs wait at the northern pier?"]


def test_a_draft_is_of_the_person_who_typed_it(page: Page) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    write_count(page)
    page.click("#reviewer-button")
    page.fill("dialog input", "ben")
    page.keyboard.press("Enter")
    page.wait_for_function("() => rsvqaDraw.page.model.reviewer === 'ben'")
    page.wait_for_function("() => document.querySelector('#write-question')?.value === ''")
    page.click("#reviewer-button")
    page.fill("dialog input", "ann")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#write-question')?.value.startsWith('How many tugs')")


def test_a_letter_in_a_list_of_the_form_is_no_key(page: Page, server: Server) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    page.focus("#write-task")
    page.keyboard.press("m")  # else: every ship is drawn
    page.keyboard.press("n")  # else: the next tile
    page.wait_for_timeout(500)
    assert page.inner_text("#name") == "harbour:0_0"
    assert drawing(server).complete == frozenset()


def test_two_pages_with_one_draft_store_two_questions(page: Page, server: Server) -> None:
    page.keyboard.press("e")
    page.wait_for_selector("#write-task")
    write_count(page)
    other = page.context.new_page()
    other.goto(f"{server.url}draw.html")
    other.wait_for_function("() => window.rsvqaDraw")
    other.keyboard.press("e")
    other.wait_for_function("() => document.querySelector('#write-question')?.value.startsWith('How many tugs')")
    wait_for_fault(page, "Nothing against it")
    page.click("#write-save")
    page.get_by_text("The question is saved").wait_for()
    other.fill("#write-question", "How many gulls sit on the pier?")
    wait_for_fault(other, "Nothing against it")
    other.click("#write-save")
    other.locator("#problems li").wait_for()
    wait_for_fault(other, "Nothing against it")
    other.click("#write-save")
    other.get_by_text("The question is saved").wait_for()
    asked = ["How many tugs wait at the pier?", "How many gulls sit on the pier?"]
    assert [content["question"] for content in written(server)] == asked
