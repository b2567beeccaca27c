"""The page: what it shows, that hostile replies stay text, and that it loads nothing."""

from __future__ import annotations

import base64
import re
import string
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import simplejpeg

from rsvqa.benchmark.errors import NothingToScoreError
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredLook, StoredReply
from rsvqa.benchmark.reports import report_samples
from rsvqa.benchmark.reports.report_page import render_page
from rsvqa.benchmark.reports.sample_cards import BOX_NAMES
from rsvqa.benchmark.reports.writing import score_run
from rsvqa.benchmark.scores.measures import measure
from rsvqa.benchmark.scores.score import AnswerOutcome, Score
from tests.benchmark.make_runs import lite_replies, stored, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

JPEG = simplejpeg.encode_jpeg(np.zeros((48, 64, 3), np.uint8))


class Page(HTMLParser):
    """The tags with their attributes, and the text, of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def attributes(self, tag: str, kind: str | None = None) -> list[dict[str, str]]:
        """Return the attributes of each such tag, of one class if that is given."""
        return [found for name, found in self.tags if name == tag and kind in (None, found.get("class"))]


def make_page(folder: Path, replies: list[StoredReply], *, thumbnails: tuple[str, ...] = ("i",), **fields: str) -> Page:
    run = write_run(folder, replies, **fields)
    (run / "thumbnails").mkdir(exist_ok=True)
    for name in thumbnails:
        (run / "thumbnails" / f"{name}.jpg").write_bytes(JPEG)
    results, questions = score_run(run)
    return Page(render_page(run, results, questions))


EVIL = "<script>alert('1')</script><img src=x onerror=alert(1)> ${title} & </pre>\" onload=x"


def test_hostile_texts_stay_text(tmp_path: Path) -> None:
    image = StoredImage(sha256='../"><script>', width=10, height=10)
    replies = [
        stored(EVIL, "OC", EVIL, question=EVIL, options=(f"(A) {EVIL}", "(B) 2"), prompt=EVIL, language=EVIL),
        stored("box", "FVG", EVIL, box=(0.0, 0.0, 1.0, 1.0), images=()).model_copy(update={"images": (image,)}),
        stored("gone", "OC", None, failure=EVIL),
    ]
    page = make_page(tmp_path, replies, model_name=EVIL)
    assert "<script" not in page.html
    assert not page.attributes("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count("<script>alert('1')</script>") >= 5


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored("q", "OC", "B")])
    links = [value for _, found in page.tags for name, value in found.items() if name in {"href", "src", "srcset"}]
    assert links
    assert all(re.match(r"#|data:image/jpeg;base64,", link) for link in links)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    policy = next(found["content"] for found in page.attributes("meta") if "http-equiv" in found)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not re.search(r"url\(|@import|https?://", page.html)


def test_every_slot_is_filled(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored("q", "OC", "$5 and ${title}")])
    assert "$5 and ${title}" in page.text
    assert string.Template(page.html.replace("$5 and ${title}", "")).get_identifiers() == []


def test_bars_show_value_interval_and_what_it_is_compared_with(tmp_path: Path) -> None:
    # 2 of 8 right; the right letter is always A
    replies = [stored(f"q{n}", "OC", "AABBBBBB"[n], images=(f"i{n}",)) for n in range(8)]
    page = make_page(tmp_path, replies)
    row = page.html[page.html.index("Overall counting <abbr>OC</abbr></td>") :]
    track = row[: row.index("</span>")]
    assert 'class="bar" style="width:25.00%"' in track
    whisker = re.search(r'class="whisker" style="left:([\d.]+)%;width:([\d.]+)%"', track)
    assert whisker is not None
    assert 0 <= float(whisker[1]) < 25 < float(whisker[1]) + float(whisker[2])
    assert 'class="chance" style="left:25.00%"' in track
    assert 'class="constant" style="left:100.00%"' in track
    assert 'class="official" style="left:25.00%"' in track


def test_without_an_interval_it_says_why(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored(f"q{n}", "OC", "AB"[n % 2]) for n in range(20)])
    assert not page.attributes("i", "whisker")[1:]  # the legend's only
    assert "too few images: 1" in page.text
    assert "±" not in page.text


def test_published_scores_stand_beside_whole_sub_tasks_only(tmp_path: Path) -> None:
    whole = make_page(tmp_path / "whole", [one for one in lite_replies() if one.task == "overall_counting"])
    # GeoLLaVA-8K has 26.7 and Qwen2.5-VL-72B 33.3 in OC
    places = [
        found["style"]
        for found in whole.attributes("i")
        if found.get("class", "").startswith("peer") and "style" in found
    ]
    assert places == ["left:26.70%", "left:33.30%"]
    part = make_page(tmp_path / "part", [stored(f"q{n}", "OC", "A") for n in range(59)])
    assert not any(found.get("class", "").startswith("peer") for found in part.attributes("i"))
    assert "This run is not among them: other tasks: no questions of RC" in part.text


def test_a_whole_run_stands_among_the_published(tmp_path: Path) -> None:
    page = make_page(tmp_path, lite_replies(), model_name="my model")
    own = [number for number, found in enumerate(page.attributes("tr")) if found.get("class") == "own"]
    assert len(own) == 2  # official and strict, both 100
    standing = page.html[page.html.index('id="published"') :]
    assert standing.index("my model") < standing.index("Text-Before-Vision") < standing.index("GeoChat")


def test_confusion_of_letters(tmp_path: Path) -> None:
    said = {"A": ["A", "A", "B", ""], "B": ["A"]}
    replies = [
        stored(f"{right}{n}", "OC", reply, answer=right)
        for right, texts in said.items()
        for n, reply in enumerate(texts)
    ]
    page = make_page(tmp_path, replies)
    table = page.html[page.html.index("One right option") :]
    rows = re.findall(r'<tr><th scope="row">(.)</th>(.*?)</tr>', table[: table.index("</table>")])
    cells = {right: re.findall(r"--s:(\d+)%.*?>(\d+)</td>", row) for right, row in rows}
    # columns A, B, none; shades are shares of the row
    assert cells == {"A": [("50", "2"), ("25", "1"), ("25", "1")], "B": [("100", "1"), ("0", "0"), ("0", "0")]}


def test_boxes_are_drawn_in_pixels_of_the_image(tmp_path: Path) -> None:
    replies = [
        stored("g", "FVG", "[800, 600, 1600, 1200]", box=(0.5, 0.5, 0.75, 1.0)),
        stored("c", "OCL", "B", question="Its colour? Image resolution: 4000 x 3000. Box: [10, 20, 1000, 1500]"),
    ]
    page = make_page(tmp_path, replies)
    boxes = {
        (found["class"], found["x"], found["y"], found["width"], found["height"])
        for found in page.attributes("rect")
        if found.get("class") in {"right", "said", "asked"}
    }
    assert boxes == {
        ("right", "4000.0", "3000.0", "2000.0", "3000.0"),
        ("said", "800.0", "600.0", "800.0", "600.0"),
        ("asked", "20.0", "40.0", "1980.0", "2960.0"),  # stated size is half the image's
    }


def test_right_and_replied_options_are_marked(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored("q", "OCL", "B. green", answer="C")])
    items = re.findall(r'<li class="(\w*)"><b>(.)</b><span>(.*?)</span>(.*?)</li>', page.html)
    assert items == [
        ("", "A", "red", ""),
        ("said", "B", "green", "<em>replied</em>"),
        ("right", "C", "blue", "<em>right</em>"),
        ("", "D", "white", ""),
    ]
    assert "strict: wrong (B)" in page.text


def test_an_image_stands_once_on_the_page(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored(f"q{n}", "OC", "B") for n in range(3)])
    assert page.html.count("data:image/jpeg") == 1
    assert len(page.attributes("use")) == 3
    assert base64.b64encode(JPEG).decode() in page.html


def test_missing_thumbnails_say_so(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored("q", "OC", "B", images=("none",)), stored("b", "OC", "B", images=())])
    assert "8,000 × 6,000 px · no thumbnail" in page.text
    assert "asked without an image" in page.text


def test_a_hash_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    page = make_page(tmp_path / "run", [stored("q", "OC", "B", images=("../../secret",))])
    assert base64.b64encode(b"secret").decode() not in page.html


def test_the_page_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_samples, "MAX_THUMBNAIL_BYTES", 2 * len(JPEG))
    names = tuple(f"i{n}" for n in range(4))
    replies = [
        stored(f"q{n}", short, "B" * 10_000, images=(names[n],)) for n, short in enumerate(["OC", "RC", "OSR", "RP"])
    ]
    page = make_page(tmp_path, replies, thumbnails=names)
    assert page.html.count("data:image/jpeg") == 2
    assert page.text.count("no thumbnail") == 2 * 2  # two of them, each without an answer and disputed
    assert "9,100 more characters" in page.text


def test_slowest_wrong_and_unanswered_are_chosen(tmp_path: Path) -> None:
    replies = [
        *(stored(f"w{n}", "OC", "B", seconds=n / 10) for n in range(9)),
        stored("none", "OC", "I cannot tell.", seconds=9.0),
        stored("long", "OC", "A. red"),
    ]
    page = make_page(tmp_path, replies)

    def shown(anchor: str) -> list[str]:
        part = page.html[page.html.index(f'<section id="{anchor}">') :]
        return re.findall(r"<code>(.*?)</code></p>", part[: part.index("</section>")])

    assert shown("wrong") == ["w0", "w3", "w6"]  # spread over the file
    assert shown("no-answer") == ["none"]
    assert shown("disputed") == ["long"]  # official reads the letters of "red", too
    assert shown("slowest") == ["none", "w8", "w7", "w6", "w5", "w4"]


def test_without_a_published_scorer_the_parsers_cannot_disagree() -> None:
    reply = stored("q", "OC", "A. red")
    alone = measure([Score(reply=reply, strict=AnswerOutcome.RIGHT, permissive=AnswerOutcome.RIGHT)])
    assert [section.anchor for section in report_samples.choose_sections(alone)] == []
    both = measure([Score(reply=reply, strict=AnswerOutcome.RIGHT, official=AnswerOutcome.WRONG)])
    assert [section.anchor for section in report_samples.choose_sections(both)] == ["disputed"]


def test_every_kind_of_box_has_a_colour(tmp_path: Path) -> None:
    looks = (
        StoredLook(windows=(), sent="Where?", text="there"),
        StoredLook(windows=((8, 9, 70, 60),), sent="", text=""),
    )
    page = make_page(tmp_path, [stored("q", "OC", "B", looks=looks)])
    assert {(found["x"], found["y"], found["width"]) for found in page.attributes("rect", "looked")} == {
        ("8.0", "9.0", "70.0")
    }
    for kind in BOX_NAMES:
        assert f"svg .{kind} {{ stroke: var(--{kind});" in page.html
        assert f".key.{kind}::before {{ border-color: var(--{kind});" in page.html


def test_a_run_without_a_question_has_no_page(tmp_path: Path) -> None:
    with pytest.raises(NothingToScoreError, match=r"no question has a reply.*samples\.jsonl is empty"):
        make_page(tmp_path, [])


def test_links_inside_the_page_lead_somewhere(tmp_path: Path) -> None:
    page = make_page(tmp_path, [stored("q", "OC", "B"), stored("g", "FVG", "none", box=(0.0, 0.0, 1.0, 1.0))])
    ids = {found["id"] for _, found in page.tags if "id" in found}
    links = {found["href"][1:] for tag in ("a", "use") for found in page.attributes(tag)}
    assert {"accuracy", "published", "grounding", "letters", "wrong", "no-answer", "settings"} <= links <= ids


def test_circular_runs_have_a_column_for_all_rotations(tmp_path: Path) -> None:
    replies = [
        stored(f"q{n}", "OC", said, answer=right, rotation=rotation)
        for n, text in enumerate(["ABCD", "AAAA", "BBBB", "CCCC", "ABCD"])
        for rotation, (said, right) in enumerate(zip(text, "ABCD", strict=True))
    ]
    page = make_page(tmp_path, replies)
    row = page.html[page.html.index("Overall counting <abbr>OC</abbr></td>") :]
    cells = re.findall(r'<td class="num(?: main)?">([\d.]+)</td>', row[: row.index("</tr>")])
    assert cells == ["60.0", "60.0", "60.0", "40.0"]  # strict, official, permissive, right in all rotations


def test_captions_stand_beside_the_right_ones(tmp_path: Path) -> None:
    pytest.importorskip("sacrebleu")
    replies = [stored(f"c{n}", "DIC", f"reply {n}", references=(f"right {n}",), images=(f"i{n}",)) for n in range(6)]
    page = make_page(tmp_path, replies)
    shown = re.findall(r"<blockquote lang=\"en\">(.*?)</blockquote>.*?<pre>(.*?)</pre>", page.html)
    assert shown == [("right 0", "reply 0"), ("right 2", "reply 2"), ("right 4", "reply 4")]
    assert "CIDEr-D" in page.text
    assert "sacrebleu" in page.text


@pytest.mark.browser
def test_on_a_narrow_screen_names_stand_above_their_bars(browser: Browser, tmp_path: Path) -> None:
    grounded = stored("g", "FVG", "[0, 0, 1, 1]", box=(0.0, 0.0, 1.0, 1.0))
    run = write_run(tmp_path / "run", [*lite_replies(), grounded])
    results, questions = score_run(run)
    (tmp_path / "report.html").write_text(render_page(run, results, questions), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    section, name, bar = (
        page.locator(f"#accuracy {part}").first.bounding_box()
        for part in ("table", "tbody tr:nth-child(2) td", "tbody td.chart")
    )
    assert section is not None
    assert name is not None
    assert bar is not None
    assert name["width"] == pytest.approx(section["width"], abs=1)
    assert bar["y"] >= name["y"] + name["height"] - 1
    grounding = page.locator("#grounding tbody td").first.bounding_box()
    assert grounding is not None
    assert grounding["width"] > 60  # its words stay whole, and the table scrolls
    page.close()
