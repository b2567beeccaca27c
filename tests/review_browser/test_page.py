"""The page in a real browser: open, zoom, decide by keyboard, fix a box, reload, undo, work in twos, survive a kill."""

from __future__ import annotations

import dataclasses
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rsvqa.annotation.review.people import PersonSettings
from rsvqa.annotation.review.queue import QueueEntry
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.reviewing.people import invite
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource
from tests.review_browser.data_set import MARKUP, write_data_set
from tests.review_browser.serving import Server, new_page, wait_until

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
    yield page
    page.context.close()
    assert server.problems == []


def enter(page: Page, server: Server, name: str) -> None:
    page.goto(server.url)
    page.fill("input[name=reviewer]", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("textarea.question")


def question_of(page: Page) -> str:
    return page.input_value("textarea.question")


def wait_for_question(page: Page, start: str) -> None:
    page.wait_for_function("start => document.querySelector('textarea.question')?.value.startsWith(start)", arg=start)


def zoom_percent(page: Page) -> float:
    """Return how large the tile is shown, as the page says it."""
    found = re.search(r"([\d.]+) %", page.inner_text("#scale"))
    assert found is not None
    return float(found[1])


def choose_task(page: Page, task: str) -> None:
    page.keyboard.press("f")
    page.select_option("select[name=task]", task)
    page.click("button[value=apply]")


def test_a_count_opens_at_the_whole_tile_and_a_key_shows_what_was_counted(page: Page) -> None:
    wait_for_question(page, "How many cars")
    page.wait_for_selector("#loading", state="hidden")
    assert zoom_percent(page) < 35
    page.keyboard.press("z")
    wait_until(lambda: zoom_percent(page) > 60)


def test_it_opens_at_the_evidence_and_a_key_shows_the_whole_tile(page: Page) -> None:
    choose_task(page, "object_colour")
    wait_for_question(page, "What colour")
    page.wait_for_selector("#loading", state="hidden")
    # the square of 300 px fills a large part of the view; the whole tile of 3000 px fits into 900 px
    wait_until(lambda: zoom_percent(page) > 60)
    page.keyboard.press("z")
    wait_until(lambda: zoom_percent(page) < 35)
    page.keyboard.press("z")
    wait_until(lambda: zoom_percent(page) > 60)
    before = zoom_percent(page)
    page.keyboard.press("+")
    wait_until(lambda: zoom_percent(page) > 1.5 * before)


def test_the_image_is_really_painted(page: Page) -> None:
    page.keyboard.press("z")
    wait_until(lambda: zoom_percent(page) > 60)
    page.wait_for_selector("#loading", state="hidden")
    page.wait_for_timeout(500)
    # the bright square is in the middle of the view
    middle = page.evaluate(
        """() => {
            const canvas = document.querySelector("#pane-0 canvas");
            const { data } = canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1);
            return [...data];
        }"""
    )
    assert min(middle[:3]) > 225


def test_markup_in_a_question_is_only_text(page: Page, server: Server) -> None:
    choose_task(page, "object_presence")
    wait_for_question(page, "Is <img")
    assert question_of(page) == MARKUP
    assert page.query_selector_all("#card img, #card b b, #body script") == []
    page.keyboard.press("a")
    wait_until(lambda: len(server.verdicts()) == 1)
    assert page.title() == "superrs · review"


def test_accept_reject_skip_and_undo_by_keyboard(page: Page, server: Server) -> None:
    wait_for_question(page, "How many cars")
    page.keyboard.press("a")
    wait_for_question(page, "Is <img")
    assert server.verdicts() == [("OC1", "accepted", "")]
    page.keyboard.press("r")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("4")
    wait_for_question(page, "Please locate")
    assert server.verdicts()[1:] == [("OP1", "rejected", "not visible in the image")]
    page.keyboard.press("s")
    wait_for_question(page, "What colour")
    assert server.verdicts()[2:] == [("FVG1", "skipped", "")]
    page.keyboard.press("u")
    wait_for_question(page, "Please locate")
    page.keyboard.press("u")
    wait_for_question(page, "Is <img")
    assert server.verdicts() == [("OC1", "accepted", "")]
    assert "Undone" in page.inner_text("#saved")


def test_a_rejection_in_own_words(page: Page, server: Server) -> None:
    page.keyboard.press("r")
    page.fill("dialog input", "cut by the edge")
    page.keyboard.press("Enter")
    wait_for_question(page, "Is <img")
    assert server.verdicts() == [("OC1", "rejected", "cut by the edge")]


def test_a_fix_of_text_and_key_is_checked_while_it_is_written(page: Page, server: Server) -> None:
    page.fill("textarea.option >> nth=1", "3")
    page.wait_for_selector("#problems li")
    assert page.inner_text("#problems") == "options not distinct"
    assert page.is_disabled("#save")
    page.fill("textarea.option >> nth=1", "7")
    page.wait_for_selector("#problems li", state="detached")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    assert page.inner_text("#save") == "Save fix A"
    page.keyboard.press("e")
    page.keyboard.press("End")
    page.keyboard.press("Control+Enter")
    wait_for_question(page, "Is <img")
    (decision,) = server.decisions()
    assert decision.after is not None
    assert (decision.verdict, decision.after.answer, decision.after.options[1]) == ("fixed", "B", "(B) 7")


def test_a_box_is_dragged_and_moved_by_keys(page: Page, server: Server) -> None:
    choose_task(page, "object_colour")
    wait_for_question(page, "What colour")
    page.wait_for_selector("#loading", state="hidden")
    page.wait_for_timeout(600)
    corner = page.locator("#pane-0 .handle >> nth=4").bounding_box()
    assert corner is not None
    scale = zoom_percent(page) / 100
    x, y = corner["x"] + corner["width"] / 2, corner["y"] + corner["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30 * scale, y + 60 * scale, steps=4)
    page.mouse.up()
    page.keyboard.press("b")
    page.keyboard.press("Control+ArrowRight")
    wait_until(lambda: "[1210, 800, " in question_of(page))
    page.keyboard.press("a")
    wait_until(lambda: len(server.decisions()) == 1)
    after = server.decisions()[0].after
    assert after is not None
    assert after.bbox is not None
    # 1500 + 30 + 10 of 3000 px, 1000 + 60 of 2000 px; a drag of whole screen pixels is not exact
    assert after.bbox == pytest.approx((1210 / 3000, 0.4, 1540 / 3000, 1060 / 2000), abs=0.002)
    written = [int(number) for number in re.findall(r"\d+", after.question.split("box:")[1])]
    assert written == [round(share * side) for share, side in zip(after.bbox, (3000, 2000, 3000, 2000), strict=True)]


def test_a_change_is_taken_back(page: Page) -> None:
    page.keyboard.press("3")
    assert page.inner_text("#save") == "Save fix A"
    page.keyboard.press("Control+z")
    assert page.inner_text("#save") == "Accept A"


def test_a_reload_keeps_question_and_edit(page: Page) -> None:
    page.keyboard.press("a")
    wait_for_question(page, "Is <img")
    page.keyboard.press("2")
    page.reload()
    wait_for_question(page, "Is <img")
    assert page.get_attribute(".letter >> nth=1", "aria-pressed") == "true"
    assert page.inner_text("#save") == "Save fix A"


def test_an_edit_outlives_a_skip_and_is_its_authors_alone(page: Page) -> None:
    page.keyboard.press("2")
    page.keyboard.press("s")
    wait_for_question(page, "Is <img")
    for name, pressed in (("ben", "false"), ("ann", "true")):
        page.click("#reviewer-button")
        page.fill("input[name=reviewer]", name)
        page.keyboard.press("Enter")
        page.wait_for_function("name => document.querySelector('#reviewer-button').textContent === name", arg=name)
        page.wait_for_function("() => !document.body.classList.contains('busy')")
        if name == "ann":
            page.keyboard.press("u")
        wait_for_question(page, "How many cars")
        page.wait_for_function("() => !document.body.classList.contains('busy')")
        assert page.get_attribute(".letter >> nth=1", "aria-pressed") == pressed


def test_a_key_that_is_held_or_typed_into_a_field_decides_nothing(page: Page, server: Server) -> None:
    wait_for_question(page, "How many cars")
    page.evaluate(
        "for (const key of 'arsu') document.dispatchEvent(new KeyboardEvent('keydown', { key, repeat: true }))"
    )
    page.keyboard.press("e")
    page.keyboard.press("End")
    page.keyboard.type("arsu")
    assert question_of(page).endswith("arsu")
    page.wait_for_selector("#problems li")  # an answer of the server that came after all of that
    assert server.decisions() == []


def test_a_long_question_is_seen_whole_where_fields_do_not_grow_by_themselves(server: Server, browser: Browser) -> None:
    page = new_page(browser, server)
    page.add_init_script("CSS.supports = () => false")
    enter(page, server, "ann")
    page.evaluate("document.querySelector('textarea.question').style.fieldSizing = 'fixed'")
    page.fill("textarea.question", "How many cars are there? " * 200)
    heights = ("clientHeight", "scrollHeight")
    seen = [page.evaluate(f"document.querySelector('textarea.question').{name}") for name in heights]
    page.context.close()
    # 5,000 characters are more than 50 lines of 24 px
    assert seen[0] == seen[1] > 1_000


def test_two_dates_side_by_side_and_behind_a_swipe(page: Page) -> None:
    choose_task(page, "change_counting")
    wait_for_question(page, "By how many")
    page.wait_for_selector("#loading", state="hidden")
    assert page.locator(".pane:visible").count() == 2
    assert page.inner_text("#pane-0 .date") == "Earlier · 2019-06-14"
    assert page.inner_text("#pane-1 .date") == "Later · 2023-07-02"
    page.keyboard.press("z")
    page.wait_for_timeout(600)
    # synchronised: the circle, drawn over both, is at the same place and of the same size
    one, other = (page.locator(f"#pane-{i} circle.region").bounding_box() for i in (0, 1))
    assert one is not None
    assert other is not None
    left = page.locator("#pane-1").bounding_box()
    assert left is not None
    assert other["x"] - left["x"] == pytest.approx(one["x"], abs=2)
    assert other["y"] == pytest.approx(one["y"], abs=2)
    assert other["width"] == pytest.approx(one["width"], abs=2)
    page.keyboard.press("d")
    page.wait_for_selector("#swipe", state="visible")
    assert page.locator(".pane:visible").count() == 1


def test_what_models_answered_is_shown_and_can_be_filtered_by(page: Page) -> None:
    page.keyboard.press("f")
    page.check("input[name=disputed_only]")
    page.click("button[value=apply]")
    wait_for_question(page, "Is the car parked?")
    card = page.inner_text("#card")
    assert "models disagree" in card
    assert "50 % of the blind answers were the key" in card
    assert "blind answers differ" in card
    assert page.inner_text("#progress").startswith("0 of 1")


def test_two_reviewers_work_at_once(page: Page, server: Server, browser: Browser) -> None:
    other = new_page(browser, server)
    enter(other, server, "ben")
    wait_for_question(page, "How many cars")
    wait_for_question(other, "Is <img")
    page.keyboard.press("a")
    wait_for_question(page, "Please locate")
    other.keyboard.press("a")
    wait_for_question(other, "What colour")
    assert [(d.reviewer, d.question_id) for d in server.decisions()] == [("ann", "a:0_0/OC1"), ("ben", "a:0_0/OP1")]
    other.context.close()


def test_a_killed_server_loses_nothing(page: Page, server: Server) -> None:
    page.keyboard.press("a")
    wait_for_question(page, "Is <img")
    page.keyboard.press("2")
    server.kill()
    page.keyboard.press("a")
    page.wait_for_selector("#banner", state="visible")
    assert question_of(page) == MARKUP
    server.start()
    # the new server has a new token: the page says so, and what was changed is found again at the new address
    page.wait_for_selector("#problems li")
    assert "Open the address that it printed" in page.inner_text("#problems")
    page.goto(server.url)
    wait_for_question(page, "Is <img")
    assert page.inner_text("#save") == "Save fix A"
    page.keyboard.press("a")
    wait_for_question(page, "Please locate")
    assert server.verdicts() == [("OC1", "accepted", ""), ("OP1", "fixed", "")]
    server.problems.clear()  # the browser reports each request that was not answered


def test_all_questions_can_be_decided(page: Page, server: Server) -> None:
    for number in range(1, 8):
        # while a decision is on its way a key counts for nothing: it would be for a question that nobody has seen
        page.wait_for_function("() => !document.body.classList.contains('busy')")
        page.keyboard.press("a")
        page.wait_for_function(
            "text => document.querySelector('#progress').textContent.startsWith(text)", arg=f"{number} of 7"
        )
    assert len(server.decisions()) == 7
    page.wait_for_selector(".end")
    page.click("text=Look for more")
    page.wait_for_function("() => !document.body.classList.contains('busy')")
    page.wait_for_selector(".end")
    page.keyboard.press("g")
    page.wait_for_selector("dialog table")
    assert page.inner_text("tfoot").split()[:6] == ["All", "tasks", "7", "/", "7", "7"]


def test_what_was_decided_before_a_question_changed_stands_beside_it(
    template: Path, tmp_path: Path, browser: Browser
) -> None:
    server = Server(data_set=Path(shutil.copytree(template, tmp_path / "superrs")))
    with ReviewStore(server.data_set / "review.sqlite") as store:
        source = ReviewSource(server.data_set)
        asked = next(q for q in source.questions(source.image_digests(store)) if q.task == "object_colour")
        *options, last = asked.content.options
        before = dataclasses.replace(asked.content, options=(*options, f"{last[:4]}pink"))
        store.fill([QueueEntry(dataclasses.replace(asked, content=before), 0, 0, 1)])
        store.decide(asked.question_id, "ann", "accepted", request_id="of the former version", after=before)
    server.start()
    page = new_page(browser, server)
    enter(page, server, "ben")
    assert question_of(page) == asked.content.question
    told = page.inner_text("section.decide")
    assert "Other than then: options" in told
    assert "ann accepted" in told
    assert "pink" in told
    page.context.close()
    server.kill(signal.SIGTERM)
    assert server.problems == []


@pytest.fixture
def blind_server(template: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(data_set=Path(shutil.copytree(template, tmp_path / "superrs")), options=("--double", "1"))
    server.start()
    yield server
    server.kill(signal.SIGTERM)
    assert server.problems == []


def test_what_two_people_review_is_answered_before_the_key_is_seen(blind_server: Server, browser: Browser) -> None:
    page = new_page(browser, blind_server)
    enter(page, blind_server, "ann")
    card = page.inner_text("#card")
    assert "Your answer first." in card
    assert "Evidence" not in card
    assert page.locator(".letter[aria-pressed=true]").count() == 0
    assert page.inner_text("#save") == "Answer A"
    page.keyboard.press("a")
    page.wait_for_selector("#problems li")
    assert page.inner_text("#problems") == "choose an option first"
    page.keyboard.press("2")
    page.reload()
    wait_for_question(page, "How many cars")
    assert page.get_attribute(".letter >> nth=1", "aria-pressed") == "true"  # the draft of an answer
    page.keyboard.press("a")
    page.wait_for_selector(".own")
    assert page.inner_text(".own") == "You answered B. The key is A."
    assert "Evidence" in page.inner_text("#card")
    assert page.inner_text(".options li >> nth=1").split()[-1] == "you"
    page.wait_for_function("() => !document.body.classList.contains('busy')")
    page.keyboard.press("a")
    wait_for_question(page, "Is <img")
    assert blind_server.verdicts() == [("OC1", "accepted", "")]
    page.context.close()


def test_a_box_is_drawn_before_the_key_is_seen(blind_server: Server, browser: Browser) -> None:
    page = new_page(browser, blind_server)
    enter(page, blind_server, "ann")
    choose_task(page, "fine_grained_grounding")
    wait_for_question(page, "Please locate")
    page.wait_for_selector("#loading", state="hidden")
    assert zoom_percent(page) < 35  # nothing tells where it is
    page.keyboard.press("a")
    page.wait_for_selector("#problems li")
    assert page.inner_text("#problems") == "draw a box first"
    page.keyboard.press("b")
    page.wait_for_selector(".numbers")
    # a third of what is seen, in the middle; the key is 1200, 800, 1500, 1000
    page.keyboard.press("a")
    page.wait_for_selector(".own")
    assert page.inner_text(".own") == "Your box is drawn dashed. The key is [0.4, 0.4, 0.5, 0.5]."
    assert page.locator("#pane-0 path.mine").count() == 1
    assert "1200, 800 – 1500, 1000" in page.inner_text(".numbers")
    page.context.close()


def test_a_key_pressed_before_the_image_is_laid_out_is_not_lost(server: Server, browser: Browser) -> None:
    page = new_page(browser, server)
    page.add_init_script(
        "const late = requestAnimationFrame; requestAnimationFrame = (f) => setTimeout(() => late(f), 700)"
    )
    enter(page, server, "ann")
    for key in ("a", "r"):
        wait_until(lambda: page.is_hidden("dialog"))
        before = question_of(page)
        page.keyboard.press(key)
        if key == "r":
            page.wait_for_selector("dialog[open]")
            page.keyboard.press("4")
        page.wait_for_function("before => document.querySelector('textarea.question').value !== before", arg=before)
    assert server.verdicts() == [("OC1", "accepted", ""), ("OP1", "rejected", "not visible in the image")]
    page.context.close()
    assert server.problems == []


def test_nothing_is_asked_about_a_question_whose_decision_is_on_its_way(server: Server, browser: Browser) -> None:
    page = new_page(browser, server)
    held: list[Route] = []
    page.route("**/decide", lambda route: held.append(route))
    enter(page, server, "ann")
    page.keyboard.press("a")
    wait_until(lambda: page.evaluate("1") == 1 and len(held) == 1)  # events come while it talks to the page
    for key in ("r", "c", "f", "a"):
        page.keyboard.press(key)  # its dialog would stay open over the question that comes
        assert page.query_selector("dialog[open]") is None, key
    held.pop().continue_()
    wait_for_question(page, "Is <img")
    assert server.verdicts() == [("OC1", "accepted", "")]
    page.context.close()
    assert server.problems == []


@pytest.fixture
def team(template: Path, tmp_path: Path) -> Iterator[tuple[Server, dict[str, str]]]:
    """Yield a server whose people have links, and the links by name."""
    folder = Path(shutil.copytree(template, tmp_path / "superrs"))
    (folder / "guidelines.md").write_text("Look **twice**.\n\n# Overall counting\n- <b>Cars</b> only\n\n# Other\nNo")
    people = {"ann": PersonSettings(), "lea": PersonSettings(role="lead")}
    tokens = invite(folder, people)
    server = Server(data_set=folder)
    server.start()
    yield server, {name: f"{server.url}{token}/" for name, token in tokens.items()}
    server.kill(signal.SIGTERM)
    assert server.problems == []


def test_a_link_is_a_name_and_guidelines_and_comments_stand_beside_the_question(
    team: tuple[Server, dict[str, str]], browser: Browser
) -> None:
    server, links = team
    page = new_page(browser, server)
    page.goto(links["ann"])
    wait_for_question(page, "How many cars")
    assert page.inner_text("#reviewer-button") == "ann"
    assert page.is_disabled("#reviewer-button")
    assert page.is_hidden("#lead-link")
    told = [line for line in page.inner_text(".guidelines").splitlines() if line]
    assert told == ["Guidelines", "Look twice.", "Overall counting", "<b>Cars</b> only"]
    page.keyboard.press("c")
    page.fill("dialog input", "is a van a car?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".comments")
    assert page.inner_text(".comments li") == "ann is a van a car?"
    page.keyboard.press("a")
    wait_for_question(page, "Is <img")
    assert [decision.reviewer for decision in server.decisions()] == ["ann"]
    page.context.close()


def test_a_lead_finds_returns_and_rejects_and_sees_how_people_work(
    team: tuple[Server, dict[str, str]], browser: Browser
) -> None:
    server, links = team
    ann, lead = new_page(browser, server), new_page(browser, server)
    ann.goto(links["ann"])
    wait_for_question(ann, "How many cars")
    ann.keyboard.press("a")
    wait_for_question(ann, "Is <img")
    lead.goto(links["lea"])
    lead.click("#lead-link")
    lead.wait_for_selector(".list tbody tr")
    assert lead.locator(".list tbody tr").count() == 7
    assert lead.query_selector_all(".list img, .list .text b") == []
    lead.fill("input[name=text]", "how many cars")
    lead.wait_for_function("() => document.querySelectorAll('.list tbody tr').length === 1")
    assert re.fullmatch(r"ann accepted · \d+ s Return", lead.inner_text(".list .notes"))
    lead.click("text=Return >> nth=0")
    lead.fill("dialog input", "count the vans too")
    lead.click("dialog button")
    lead.wait_for_function("() => document.querySelector('#saved').textContent === 'Returned: 1'")
    assert server.decisions() == []
    ann.keyboard.press("s")
    wait_for_question(ann, "How many cars")  # again, with the note
    assert ann.inner_text(".comments li") == "lea to ann count the vans too"
    lead.fill("input[name=text]", "")
    lead.fill("input[name=label]", "a:objects:1")
    lead.click("#reject-label:has-text('Reject all 4 questions')")
    lead.fill("dialog input", "no such object")
    lead.click("dialog button")
    lead.wait_for_function("() => document.querySelector('#saved').textContent === 'Rejected: 4'")
    assert {(d.reviewer, d.verdict) for d in server.decisions() if d.verdict != "skipped"} == {("lea", "rejected")}
    lead.click("#people-tab")
    lead.wait_for_selector(".person-row")
    assert lead.inner_text("tr.person-row >> nth=1").split()[:2] == ["lealead", "4"]
    with lead.expect_download() as download:
        lead.click("text=As CSV")
    assert Path(download.value.path()).read_text().startswith("person,task,decided")
    lead.click("#questions-tab")
    lead.click(".list a >> nth=2")
    wait_for_question(lead, "Is the car parked?")
    ann.context.close()
    lead.context.close()
