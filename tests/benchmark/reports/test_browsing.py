"""The page to browse a run: what its files hold, how two runs are matched, and what a browser makes of it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from rsvqa.benchmark.errors import NothingToScoreError, RunError
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredLook, StoredReply
from rsvqa.benchmark.reports import browsing
from rsvqa.benchmark.reports.browsing import WrittenPages, write_browser
from tests.benchmark.make_runs import stored, write_run
from tests.run_build import rsvqa

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

JPEG = simplejpeg.encode_jpeg(np.zeros((48, 64, 3), np.uint8))
EVIL = (
    "</script><script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">&amp;\u2028`${1}`"
)


def add_thumbnail(run: Path, name: str = "i") -> None:
    (run / "thumbnails").mkdir(exist_ok=True)
    (run / "thumbnails" / f"{name}.jpg").write_bytes(JPEG)


def read_script(path: Path) -> Any:
    """Return the data that a script hands over."""
    match = re.fullmatch(r"rsvqa\.(?:questions|part\[\d+\])=(.*);\n", path.read_text("utf-8"), re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def index_of(run: Path) -> Any:
    return read_script(run / "browse" / "questions.js")


def cards_of(run: Path) -> dict[str, Any]:
    parts = [read_script(path) for path in sorted((run / "browse").glob("part-*.js"))]
    return {card["sample_id"]: card for part in parts for card in part}


def counts(index: Any, key: str) -> dict[str, int]:
    """Return how many questions have each value of a filter."""
    (facet,) = [facet for facet in index["facets"] if facet["key"] == key]
    return {facet["names"][value]: count for value, count in Counter(facet["values"]).items()}


def some_replies() -> list[StoredReply]:
    """Return replies of which strict and official say: right, right; right, wrong; wrong, wrong; none; a box; yes."""
    return [
        stored("q1", "OC", "A"),
        stored("q2", "OC", "A. red"),  # the published extraction reads the letters of "red" too
        stored("q3", "OC", "B"),
        stored("q4", "RC", None),
        stored("g1", "FVG", "[0, 0, 4000, 3000]", box=(0.0, 0.0, 0.5, 0.5)),
    ]


# --- what is written ---


def test_filters_hold_each_question_once_by_task_and_outcome(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", some_replies())
    assert write_browser(run) == WrittenPages(run / "browse" / "index.html", 5, 0)
    index = index_of(run)
    assert index["ids"] == ["q1", "q2", "q3", "q4", "g1"]
    assert index["tasks"] == ["OC", "OC", "OC", "RC", "FVG"]
    assert index["outcomes"] == [["right"], ["right"], ["wrong"], ["not scored"], ["right"]]
    assert counts(index, "task") == {
        "Overall counting (OC)": 3,
        "Regional counting (RC)": 1,
        "Fine-grained visual grounding (FVG)": 1,
    }
    assert counts(index, "strict") == {"right": 3, "wrong": 1, "not scored": 1}
    assert counts(index, "official") == {"right": 1, "wrong": 2, "not scored": 1, "not judged": 1}
    assert counts(index, "parsers") == {"agree": 2, "disagree": 1, "not compared": 2}


def test_what_all_questions_share_is_no_filter(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("q1", "OC", "A"), stored("q2", "OC", "B")])
    write_browser(run)
    assert [facet["key"] for facet in index_of(run)["facets"]] == ["strict", "official"]


def test_a_caption_is_not_judged(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    run = write_run(tmp_path / "run", [stored("q1", "OC", "A"), stored("c", "DIC", "A pier.", references=("A quay.",))])
    write_browser(run)
    assert counts(index_of(run), "strict") == {"right": 1, "not judged": 1}
    assert cards_of(run)["c"]["references"] == ["A quay."]


def test_questions_lie_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "PART_SIZE", 2)
    run = write_run(tmp_path / "run", some_replies())
    write_browser(run)
    parts = sorted((run / "browse").glob("part-*.js"))
    assert [[card["sample_id"] for card in read_script(part)] for part in parts] == [["q1", "q2"], ["q3", "q4"], ["g1"]]
    assert index_of(run)["partSize"] == 2
    write_run(run, some_replies()[:2])
    write_browser(run)  # in place of the earlier one: no part of it is left
    assert list(cards_of(run)) == ["q1", "q2"]
    assert not list(tmp_path.glob("run/.*"))


def test_a_card_holds_boxes_looks_reply_and_prompt_whole(tmp_path: Path) -> None:
    question = "Its colour? Image resolution: 4000 x 3000. Box: [10, 20, 1000, 1500]"
    looks = (
        StoredLook(windows=(), sent="Where do you want to look?", text="[100, 200]"),
        StoredLook(windows=((100, 200, 50, 60), (0, 0, 4000, 3000)), sent="And now?", text="B"),
    )
    seen = StoredImage(sha256="i", width=8000, height=6000, view_width=1024, view_height=768)
    asked = stored("q", "OCL", "B" * 5000, answer="C", question=question, looks=looks, prompt="p" * 3000, seconds=1.5)
    run = write_run(tmp_path / "run", [asked.model_copy(update={"images": (seen,)})])
    add_thumbnail(run)
    write_browser(run)
    card = cards_of(run)["q"]
    (answer,) = card["answers"]
    assert card["pictures"] == [
        {"sha256": "i", "width": 8000, "height": 6000, "caption": "8,000 × 6,000 px", "src": "../thumbnails/i.jpg"}
    ]
    # the stated size is half the image's
    assert card["boxes"] == [{"kind": "asked", "x": 20, "y": 40, "width": 1980, "height": 2960, "ring": None}]
    assert answer["boxes"] == [
        # the radius is a fortieth of the longer side; a box below half of it has a ring
        {"kind": "looked", "x": 100, "y": 200, "width": 50, "height": 60, "ring": [125, 230, 200]},
        {"kind": "looked", "x": 0, "y": 0, "width": 4000, "height": 3000, "ring": None},
    ]
    assert [option["letter"] for option in card["options"] if option["is_right"]] == ["C"]
    assert (answer["reply"], answer["prompt"], answer["views"]) == ("B" * 5000, "p" * 3000, ["seen as 1,024 × 768"])
    assert answer["looks"] == [{"sent": "Where do you want to look?", "text": "[100, 200]"}]
    assert answer["facts"] == ["1.50 s"]


def test_a_failure_is_told_and_is_not_called_cut(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("q1", "OC", "A"), stored("q2", "OC", None, ended=False)])
    write_browser(run)
    (answer,) = cards_of(run)["q2"]["answers"]
    assert (answer["reply"], answer["failure"], answer["facts"]) == (None, "refused", [])


def test_thumbnails_are_those_of_the_runs_and_of_no_other_folder(tmp_path: Path) -> None:
    names = ("here", "../../secret", "gone", "other")
    replies = [stored(name, "OC", "A", images=(name,)) for name in names]
    first, second = (write_run(tmp_path / name, replies) for name in ("first", "a run #2"))
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    add_thumbnail(first, "here")
    add_thumbnail(second, "other")
    write_browser(first, second)
    sources = [card["pictures"][0]["src"] for card in cards_of(first).values()]
    assert sources == ["../thumbnails/here.jpg", None, None, "../../a%20run%20%232/thumbnails/other.jpg"]


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored(EVIL, "OC", EVIL)], model_name=EVIL)
    write_browser(run)
    page = (run / "browse" / "index.html").read_text("utf-8")
    assert re.findall(r"<script[^>]*>", page) == ['<script src="browse.js">', '<script src="questions.js">']
    assert "<img" not in page
    assert "default-src 'none'" in page
    assert "'unsafe-eval'" not in page
    assert not re.search(r"script-src[^;\"]*unsafe-inline|https?://", page)
    assert cards_of(run)[EVIL]["answers"][0]["reply"] == EVIL


def test_the_script_sets_no_markup() -> None:
    script = (Path(browsing.__file__).parent / "browse.js").read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script)


# --- two runs ---


def two_runs(folder: Path) -> tuple[Path, Path]:
    """Return runs whose replies to q1 … q6, all with the right answer A, are AABBA and a failure, and ABAB and two."""
    replies = [dict(zip(["q1", "q2", "q3", "q4", "q5", "q6"], said, strict=True)) for said in (
        ("A", "A", "B", "B", "A", None),
        ("A", "B", "A", "B", None, "A"),
    )]  # fmt: skip
    first, second = ([stored(name, "OC", reply) for name, reply in run.items()] for run in replies)
    return (
        write_run(folder / "first", [*first, stored("only-a", "OC", "A")], model_name="one"),
        write_run(folder / "second", [*reversed(second), stored("only-b", "OC", "A")], model_name="two"),
    )


def test_two_runs_are_matched_by_the_questions_ids(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    assert write_browser(first, second) == WrittenPages(first / "browse" / "index.html", 7, 1)
    index = index_of(first)
    assert index["ids"] == ["q1", "q2", "q3", "q4", "q5", "q6", "only-a"]
    assert index["labels"] == ["one (first)", "two (second)"]
    assert counts(index, "runs") == {
        "both right": 1,
        "only A right": 1,
        "only B right": 1,
        "neither right": 1,
        "not compared": 3,
    }
    assert counts(index, "stricta") == {"right": 4, "wrong": 2, "not scored": 1}
    assert counts(index, "strictb") == {"right": 3, "wrong": 2, "not scored": 2}
    assert index["outcomes"][1] == ["right", "wrong"]
    cards = cards_of(first)
    assert [answer["reply"] for answer in cards["q2"]["answers"]] == ["A", "B"]
    assert cards["only-a"]["answers"][1] is None
    assert "1 that only B was asked are not shown" in (first / "browse" / "index.html").read_text("utf-8")


def test_images_are_those_of_the_run_that_knows_them(tmp_path: Path) -> None:
    box = "What is in [10, 20, 1000, 1500]? Image resolution: 8000 x 6000."
    first = write_run(tmp_path / "a", [stored("q", "OCL", None, images=(), question=box), stored("r", "OCL", "A")])
    second = write_run(tmp_path / "b", [stored("q", "OCL", "A", question=box), stored("r", "OCL", "A")])
    write_browser(first, second)
    card = cards_of(first)["q"]
    assert [picture["sha256"] for picture in card["pictures"]] == ["i"]
    assert [(shape["kind"], shape["x"]) for shape in card["boxes"]] == [("asked", 10)]
    assert [answer["views"] for answer in card["answers"]] == [[], [""]]


def test_runs_over_other_data_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("q", "OC", "A")])
    with pytest.raises(NothingToScoreError, match="no question in common"):
        write_browser(run, write_run(tmp_path / "far", [stored("other", "OC", "A")]))
    with pytest.raises(RunError, match="q is another question in each run"):
        write_browser(run, write_run(tmp_path / "near", [stored("q", "OC", "A", question="Why?")]))
    with pytest.raises(RunError, match="q shows another image in each run"):
        write_browser(run, write_run(tmp_path / "seen", [stored("q", "OC", "A", images=("j",))]))
    assert not (run / "browse").exists()


def test_a_run_without_a_reply_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(NothingToScoreError, match=r"samples\.jsonl is empty"):
        write_browser(write_run(tmp_path / "run", []))


def test_a_folder_of_ones_own_is_not_replaced(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("q", "OC", "A")])
    notes = run / "browse" / "notes.txt"
    notes.parent.mkdir()
    write_browser(run)  # an empty folder is nobody's
    (run / "browse" / "questions.js").unlink()
    notes.write_text("mine")
    with pytest.raises(RunError, match="holds something else than pages of `rsvqa browse`"):
        write_browser(run)
    assert notes.read_text() == "mine"


def test_the_command_says_which_page_to_open(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    done = rsvqa("browse", first, second)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        f"7 questions: {first / 'browse' / 'index.html'}",
        "not shown: 1 questions that only the second run was asked",
    ]


# --- in a browser ---


def open_page(browser: Browser, run: Path, problems: list[str], *, width: int = 1280, anchor: str = "") -> Page:
    page = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(f"{(run / 'browse' / 'index.html').as_uri()}{anchor}")
    return page


def many_replies(replies: Sequence[str | None], *, count: int = 250) -> list[StoredReply]:
    """Return replies to questions q0, q1, … of two tasks in turn, the given ones over and over; A is right."""
    return [
        stored(
            f"q{number}", ("OC", "RC")[number % 2], replies[number % len(replies)], question=f"How many in {number}?"
        )
        for number in range(count)
    ]


@pytest.fixture
def problems() -> Iterator[list[str]]:
    """Errors of pages, also those against the content security policy: none is allowed."""
    found: list[str] = []
    yield found
    assert found == []


def shown(page: Page) -> str:
    return page.inner_text("main > nav code")


def wait_for(page: Page, name: str) -> None:
    page.wait_for_function("id => document.querySelector('main > nav code')?.textContent === id", arg=name)


def wait_found(page: Page, text: str) -> None:
    page.wait_for_function("text => document.getElementById('found').textContent === text", arg=text)


def press(page: Page, facet: str, name: str) -> None:
    page.click(f"#facet-{facet} button:has-text('{name}')")


def chip_counts(page: Page, facet: str) -> dict[str, str]:
    chips = page.locator(f"#facet-{facet} button").all()
    return {chip.evaluate("e => e.firstChild.data"): chip.locator("small").inner_text() for chip in chips}


@pytest.mark.browser
def test_filters_search_and_keys_in_a_browser(tmp_path: Path, browser: Browser, problems: list[str]) -> None:
    # of five in a row, two right: 100 of 250, 50 of them each of an even and an odd number
    run = write_run(tmp_path / "run", many_replies(["A", "B", "A. red", "I cannot tell.", None]))
    write_browser(run)
    page = open_page(browser, run, problems)
    wait_for(page, "q0")
    wait_found(page, "250 of 250")
    assert page.locator(".row").count() < 40  # of 250: the list draws what is seen
    assert page.evaluate("rsvqa.part.length") == 1  # the other parts are not loaded
    assert chip_counts(page, "strict") == {"right": "100", "wrong": "50", "no answer": "50", "not scored": "50"}
    press(page, "strict", "wrong")
    wait_found(page, "50 of 250")
    wait_for(page, "q1")
    assert chip_counts(page, "strict")["right"] == "100"  # what the button would list
    page.select_option("#facet-task", label="Regional counting (RC) · 25")
    wait_found(page, "25 of 250")
    assert chip_counts(page, "strict") == {"right": "50", "wrong": "25", "no answer": "25", "not scored": "25"}
    page.locator("#facet-task").blur()
    for key, name in (("j", "q11"), ("ArrowDown", "q21"), ("k", "q11"), ("ArrowUp", "q1"), ("k", "q1")):
        page.keyboard.press(key)
        wait_for(page, name)
    assert page.url.endswith("#q1")
    page.keyboard.press("/")
    page.keyboard.type("21 IN")  # words, in any order; the parts that were not opened yet are searched too
    wait_found(page, "4 of 250")
    assert page.locator(".row code").all_inner_texts() == ["q21", "q121", "q211", "q221"]
    page.click("#clear")
    wait_found(page, "250 of 250")
    page.fill("#search", "CANNOT")
    wait_found(page, "50 of 250")
    page.click("#clear")
    press(page, "parsers", "disagree")
    wait_found(page, "50 of 250")
    wait_for(page, "q2")


@pytest.mark.browser
def test_a_link_opens_its_question(tmp_path: Path, browser: Browser, problems: list[str]) -> None:
    replies = [*many_replies(["A", "B"], count=210), stored("set/part 1#x?%é", "OC", "B", seconds=2)]
    run = write_run(tmp_path / "run", replies)
    write_browser(run)
    page = open_page(browser, run, problems, anchor="#q205")
    wait_for(page, "q205")
    assert page.inner_text(".row[aria-current=true] code") == "q205"  # the list was moved there
    assert page.evaluate("rsvqa.part.map(Boolean)") == [None, None, True]
    page.locator(".row", has_text="set/part 1").click()
    wait_for(page, "set/part 1#x?%é")
    assert page.inner_text("main .place") == "2.00 s"
    page.go_back()
    wait_for(page, "q205")
    link = open_page(browser, run, problems, anchor="#set%2Fpart%201%23x%3F%25%C3%A9")
    wait_for(link, "set/part 1#x?%é")
    none = open_page(browser, run, problems, anchor="#q999")
    none.wait_for_selector("[role=alert]")
    assert none.inner_text("[role=alert]") == "This run has no question q999."


@pytest.mark.browser
def test_two_runs_stand_side_by_side(tmp_path: Path, browser: Browser, problems: list[str]) -> None:
    first, second = two_runs(tmp_path)
    write_browser(first, second)
    page = open_page(browser, first, problems)
    wait_for(page, "q1")
    press(page, "runs", "only A right")
    press(page, "runs", "only B right")
    wait_found(page, "2 of 7")
    wait_for(page, "q2")
    assert page.locator("main h2").all_inner_texts() == ["A: one (first)", "B: two (second)"]
    assert page.locator(".answers > section > pre").all_inner_texts() == ["A", "B"]
    assert page.locator(".options em").all_inner_texts() == ["right · replied by A", "replied by B"]
    page.click("#clear")
    page.locator(".row", has_text="only-a").click()
    page.wait_for_selector("text=This run was not asked the question.")


@pytest.mark.browser
def test_hostile_texts_stay_text_in_a_browser(tmp_path: Path, browser: Browser, problems: list[str]) -> None:
    looks = (StoredLook(windows=(), sent=EVIL, text=EVIL), StoredLook(windows=((0, 0, 9, 9),), sent="", text=""))
    options = (f"(A) {EVIL}", "(B) 2")
    texts: dict[str, Any] = {"question": EVIL, "prompt": EVIL, "options": options, "looks": looks, "language": EVIL}
    run = write_run(
        tmp_path / "run", [stored(EVIL, "OC", EVIL, **texts), stored("q", "OC", None, failure=EVIL)], model_name=EVIL
    )
    add_thumbnail(run)
    write_browser(run)
    page = open_page(browser, run, problems)
    page.wait_for_selector("article")
    assert page.inner_text("main pre") == EVIL
    page.fill("#search", "onerror")
    wait_found(page, "2 of 2")
    assert page.locator("img, main script, aside script").count() == 0
    assert not page.title().startswith("hacked")
    box = page.locator("svg image").evaluate("image => image.href.baseVal")
    assert box == "../thumbnails/i.jpg"


@pytest.mark.browser
def test_a_picture_is_zoomed_and_moved(tmp_path: Path, browser: Browser, problems: list[str]) -> None:
    run = write_run(tmp_path / "run", [stored("q", "OC", "A")])
    add_thumbnail(run)
    write_browser(run)
    page = open_page(browser, run, problems)
    svg = page.locator(".views svg")
    svg.wait_for()

    def view() -> list[float]:
        return [float(number) for number in (svg.get_attribute("viewBox") or "").split()]

    assert view() == [0, 0, 8000, 6000]
    place = svg.bounding_box()
    assert place is not None
    page.mouse.move(place["x"], place["y"])
    page.mouse.wheel(0, 100)  # nothing to zoom out of
    assert view() == [0, 0, 8000, 6000]
    page.mouse.move(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    page.mouse.wheel(0, -100)
    page.wait_for_selector(".views svg.near")
    x, y, width, height = view()
    assert width == pytest.approx(8000 * np.exp(-1 / 3))
    assert (x + width / 2, y + height / 2) == pytest.approx((4000, 3000), rel=0.01)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] / 2 + 30, place["y"] + place["height"] / 2)
    page.mouse.up()
    assert view()[0] == pytest.approx(x - 30 * width / place["width"], rel=0.01)  # the picture follows the pointer
    page.keyboard.press("0")
    assert view() == [0, 0, 8000, 6000]


@pytest.mark.browser
def test_a_narrow_screen_shows_the_list_or_the_card(tmp_path: Path, browser: Browser, problems: list[str]) -> None:
    run = write_run(tmp_path / "run", many_replies(["A"], count=5))
    write_browser(run)
    page = open_page(browser, run, problems, width=390)
    page.locator(".row", has_text="q3").click()
    page.wait_for_selector("article", state="visible")
    assert not page.is_visible("#list")
    page.click("#back")
    page.wait_for_selector("#list", state="visible")
    assert not page.is_visible("article")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_a_missing_part_is_named(tmp_path: Path, browser: Browser) -> None:
    run = write_run(tmp_path / "run", many_replies(["A"], count=120))
    write_browser(run)
    (run / "browse" / "part-0001.js").unlink()
    page = open_page(browser, run, [], anchor="#q110")
    page.wait_for_selector("[role=alert]")
    assert page.inner_text("[role=alert]").startswith("part-0001.js is missing beside this page")
    page.fill("#search", "many")
    wait_found(page, "100 of 120 · 20 not searched, a part is missing")


@pytest.mark.parametrize(
    ("question", "start"),
    [
        ("Image resolution: 640 x 480. Bounding box: [1, 2, 30.5, 40]. What is\nit?", "What is it?"),
        ("What is in the box? Image resolution: 9 x 9. Bounding box: [1, 2, 3, 4].", "What is in the box? "),
        ("Image resolution: 9 x 9. Bounding box: [1, 2, 3, 4]", "Image resolution: 9 x 9. Bounding box: [1, 2, 3, 4]"),
        ("Image resolution matters: why?", "Image resolution matters: why?"),
    ],
)
def test_the_list_shows_what_tells_questions_apart(tmp_path: Path, question: str, start: str) -> None:
    run = write_run(tmp_path / "run", [stored("q", "OCL", "A", question=question)])
    write_browser(run)
    assert json.dumps(start) in (run / "browse" / "questions.js").read_text(encoding="utf-8")
