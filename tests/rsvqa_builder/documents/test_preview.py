"""The preview page: samples, pictures, and what a browser would be given."""

from __future__ import annotations

import base64
import io
import re
import string
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import shapely
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.documents.preview import choose_samples, focus_of, write_preview
from rsvqa.rsvqa_builder.documents.preview_images import (
    SampleImages,
    detail_window,
    jpeg_within,
    read_details,
    read_reduced,
)
from rsvqa.rsvqa_builder.documents.preview_page import PreviewSummary, ordered_tasks
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile

TILE = make_tile(
    window=Window(0, 0, 1200, 800),
    images={"tile": 1, "tile_marked": 1, "later": 1, "later_marked": 1},
    date="2014-07-20",
    later_date="2020-08-31",
)
IMAGE = make_jpeg(1200, 800)
VOID = {"meta", "br", "image", "use", "path", "rect", "circle"}


class Page(HTMLParser):
    """What a page holds; refuses tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def load_image(tile: TileRecord, key: str) -> bytes:
    return IMAGE


def write_page(folder: Path, records: list[Record], **summary: dict[str, dict[str, int]]) -> str:
    tiles = list({record.tile.image_id: record.tile for record in records}.values())
    facts = PreviewSummary("Test set", dataset_statistics(records, tiles), **summary)
    write_preview(folder / "preview.html", records, facts, images=SampleImages(load_image))
    return (folder / "preview.html").read_text("utf-8")


# --- samples ---


def test_samples_spread_over_scenes() -> None:
    tiles = [make_tile(f"{scene}:{x}_0", scene=scene) for scene in "abcd" for x in range(3)]
    records = [make_record(tile, number=number) for tile in tiles for number in range(4)]
    chosen = choose_samples(records, per_task=3)
    assert len(chosen) == 3
    assert len({record.tile.scene for record in chosen}) == 3


def test_one_scene_fills_the_samples_from_one_tile() -> None:
    tiles = [make_tile(f"a:{x}_0") for x in range(5)]
    records = [
        make_record(tile, task, n) for tile in tiles for task in ("object_size", "object_colour") for n in range(4)
    ]
    chosen = choose_samples(records, per_task=3)
    assert [record.task for record in chosen] == ["object_colour"] * 3 + ["object_size"] * 3
    assert len({record.tile.image_id for record in chosen}) == 1  # fewer tiles to decode


@given(st.permutations(range(12)))
@settings(max_examples=25)
def test_samples_do_not_depend_on_the_order(order: list[int]) -> None:
    records = [make_record(make_tile(f"{n % 5}:{n}", scene=str(n % 5)), number=n) for n in range(12)]
    assert choose_samples([records[n] for n in order], seed=7) == choose_samples(records, seed=7)


def test_another_seed_chooses_other_samples() -> None:
    records = [make_record(TILE, number=number) for number in range(200)]
    assert choose_samples(records, seed=1) != choose_samples(records, seed=2)


# --- what a question is about ---


def test_focus_is_in_tile_pixels() -> None:
    record = make_record(
        TILE,
        bbox=Box(0.25, 0.5, 0.5, 1.0),
        evidence={"region": {"number": 2, "x": 30.0, "y": 40.0, "radius": 5.0}, "geometry": "POINT (7 8)"},
    )
    focus = focus_of(record)
    assert focus.box == Box(300, 400, 600, 800)  # of 1200 x 800
    assert focus.region == Circle(30, 40, 5)
    assert focus.geometry == shapely.Point(7, 8)
    assert focus.bounds == focus.box


@pytest.mark.parametrize("wkt", ["POLYGON EMPTY", "no geometry at all"])
def test_evidence_without_geometry_has_no_focus(wkt: str) -> None:
    assert focus_of(make_record(TILE, evidence={"geometry": wkt})).bounds is None


def test_detail_is_a_square_around_the_focus() -> None:
    # centre (500, 300), twice the long side of 150: 300 px
    assert detail_window(Box(425, 260, 575, 340), 1200, 800, min_side=240) == Window(350, 150, 300, 300)
    # at the corner it is moved inside
    assert detail_window(Box(0, 790, 10, 800), 1200, 800, min_side=240) == Window(0, 560, 240, 240)


def test_no_detail_when_it_would_show_half_of_the_tile() -> None:
    assert detail_window(Box(100, 100, 400, 200), 1200, 800, min_side=240) is None


@given(st.integers(1, 3000), st.integers(1, 3000), st.data())
@settings(max_examples=60)
def test_details_stay_inside_and_hold_the_focus(width: int, height: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, width - 1))
    y = data.draw(st.integers(0, height - 1))
    focus = Box(x, y, data.draw(st.integers(x + 1, width)), data.draw(st.integers(y + 1, height)))
    window = detail_window(focus, width, height, min_side=50)
    if window is not None:
        assert 0 <= window.x <= focus.x_min
        assert focus.x_max <= window.x + window.width <= width
        assert 0 <= window.y <= focus.y_min
        assert focus.y_max <= window.y + window.height <= height


# --- pictures ---


def as_png(jpeg: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(simplejpeg.decode_jpeg(jpeg)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("image", [IMAGE, as_png(IMAGE)], ids=["jpeg", "png"])
def test_reduced_picture_keeps_proportions_and_sides(image: bytes) -> None:
    pixels = read_reduced(image, 300)
    assert pixels.shape == (200, 300, 3)
    assert np.abs(pixels[100, 50].astype(int) - (255, 0, 0)).max() <= 6
    assert np.abs(pixels[100, 250].astype(int) - (0, 0, 255)).max() <= 6
    assert read_reduced(image, 5000).shape == (800, 1200, 3)


@pytest.mark.parametrize(
    ("width", "height", "num_loaded"),
    [
        (5200, 2601, 1),  # an eighth of the sides, 650 × 326, holds both views
        (4000, 900, 3),  # an eighth is 500 × 113: neither is enough for 640, nor is what 640 needs the least there is
        (400, 300, 3),  # shown as it is
    ],
)
def test_views_of_several_sizes_are_those_that_each_decoding_gives(width: int, height: int, num_loaded: int) -> None:
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3).astype(np.uint8)
    image: bytes = simplejpeg.encode_jpeg(ramp)
    loaded: list[str] = []

    def load(tile: TileRecord, key: str) -> bytes:
        loaded.append(key)
        return image

    for sides in ((512, 640, 512), (640, 512, 640)):
        loaded.clear()
        images = SampleImages(load)
        for side in sides:
            assert np.array_equal(images.reduced(TILE, "tile", side), read_reduced(image, side))
        assert len(loaded) == num_loaded
    images.reduced(TILE, "later", 512)
    assert loaded[num_loaded:] == ["later"]  # of another date


@pytest.mark.parametrize("image", [IMAGE, as_png(IMAGE)], ids=["jpeg", "png"])
def test_details_are_cut_at_full_resolution(image: bytes) -> None:
    windows = [Window(590, 10, 20, 8), Window(0, 0, 400, 200)]
    edge, large = read_details(image, windows, 100)
    assert edge.shape == (8, 20, 3)
    assert np.abs(edge[4, 5].astype(int) - (255, 0, 0)).max() <= 6  # red up to x = 600
    assert np.abs(edge[4, 15].astype(int) - (0, 0, 255)).max() <= 6
    assert large.shape == (50, 100, 3)


@pytest.mark.parametrize("limit", [200_000, 20_000, 3_000])
def test_pictures_stay_within_their_bytes(limit: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    encoded = jpeg_within(noise, limit)
    assert len(encoded) <= limit
    height, width = simplejpeg.decode_jpeg_header(encoded)[:2]
    assert abs(width / height - 640 / 480) < 0.1


# --- the page ---


def test_page_shows_question_and_answer_of_every_task(tmp_path: Path) -> None:
    records = [make_record(TILE, name) for name in TASKS]
    page = Page(write_page(tmp_path, records))
    for record in records:
        assert record.question in page.text
    right = [attributes for attributes in page.attributes("li") if attributes.get("class") == "right"]
    assert len(right) == sum(bool(record.options) for record in records)
    assert page.text.count("[0.25, 0.25, 0.5, 0.5]") == 2  # both grounding tasks
    assert page.text.count("A caption of") == 2
    assert [a["id"] for a in page.attributes("section")] == [info.name for info in ordered_tasks()]
    assert page.text.count("Earlier, 2014-07-20") == page.text.count("Later, 2020-08-31") == 2


def test_the_right_option_is_marked(tmp_path: Path) -> None:
    html = write_page(tmp_path, [make_record(TILE, answer="C")])
    assert re.findall(r'<li class="right"><b>(.)</b><span>(.*?)</span>', html) == [("C", "5")]


def test_drawings_are_in_tile_pixels(tmp_path: Path) -> None:
    region = {"number": 1, "x": 100.0, "y": 120.5, "radius": 40.0}
    record = make_record(TILE, "regional_counting", images=("tile_marked",), evidence={"region": region})
    page = Page(write_page(tmp_path, [record]))
    whole, detail = (a for a in page.attributes("svg") if a.get("role") == "img")
    assert whole["viewbox"] == "0 0 1200 800"
    assert detail["viewbox"] == "0 0 240 240"  # around (100, 120.5), moved inside
    circles = [a for a in page.attributes("circle") if a["class"] == "region"]
    assert [(a["cx"], a["cy"], a["r"]) for a in circles] == [("100", "120.5", "40")] * 2
    (frame,) = (a for a in page.attributes("rect") if a["class"] == "frame")
    assert (frame["x"], frame["y"], frame["width"], frame["height"]) == ("0", "0", "240", "240")


def test_evidence_geometry_is_drawn(tmp_path: Path) -> None:
    wkt = "GEOMETRYCOLLECTION (LINESTRING (0 0, 900 700.25), POINT (5 6), MULTIPOLYGON (((0 0, 9 0, 9 9, 0 0))))"
    page = Page(write_page(tmp_path, [make_record(TILE, evidence={"geometry": wkt})]))
    (trace,) = (a for a in page.attributes("path") if a["class"] == "trace")
    assert trace["d"] == "M0 0L900 700.2M5 6L5 6M0 0L9 0L9 9L0 0"


def test_evidence_of_very_many_vertices_is_drawn_as_its_bounds(tmp_path: Path) -> None:
    line = shapely.LineString([(x / 2, 300 * (x % 2)) for x in range(2001)])
    page = Page(write_page(tmp_path, [make_record(TILE, evidence={"geometry": line.wkt})]))
    (trace,) = (a for a in page.attributes("path") if a["class"] == "trace")
    assert str(trace["d"]).count("L") == 4


def test_hostile_texts_are_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>\' onload=x &amp; </svg>'
    tile = make_tile(evil, scene=evil, window=TILE.window, date=evil)
    record = make_record(
        tile,
        question=evil,
        options=(f"(A) {evil}", "(B) 2"),
        language=evil,
        evidence={"rule": evil, "values": {evil: evil}},
    )
    caption = make_record(tile, "detailed_captioning", answer=evil)
    html = write_page(tmp_path, [record, caption], not_asked={"object_size": {evil: 1}})
    page = Page(html)
    assert "<script" not in html
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count('<script>alert("1")</script>') >= 7


def test_page_loads_nothing_from_outside(tmp_path: Path) -> None:
    page = Page(write_page(tmp_path, [make_record(TILE, name) for name in TASKS]))
    links = [value for _, a in page.tags for name, value in a.items() if name in {"href", "src", "srcset", "action"}]
    assert links
    assert all(re.match(r"#|data:image/jpeg;base64,", str(link)) for link in links)
    assert not {"script", "link", "iframe", "object", "img"} & {tag for tag, _ in page.tags}
    policy = next(a["content"] for a in page.attributes("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert str(policy).startswith("default-src 'none'")
    style = re.search(r"<style>(.*?)</style>", (tmp_path / "preview.html").read_text(), re.DOTALL)
    assert style is not None
    assert not re.search(r"url\(|@import", style[1])


def test_links_inside_the_page_lead_somewhere(tmp_path: Path) -> None:
    page = Page(write_page(tmp_path, [make_record(TILE, "object_size")]))
    ids = {a["id"] for _, a in page.tags if "id" in a}
    assert {str(a["href"])[1:] for tag in ("a", "use") for a in page.attributes(tag)} <= ids


def test_tasks_without_a_question_say_why(tmp_path: Path) -> None:
    reasons = {"route_planning": {"no roads": 2, "too short": 5}}
    page = Page(write_page(tmp_path, [make_record(TILE)], not_asked=reasons))
    assert "Route planning RPtoo short × 5, no roads × 2" in page.text
    assert page.text.count("no reason recorded") == len(TASKS) - 2


def test_a_data_set_without_a_question_has_a_page(tmp_path: Path) -> None:
    page = Page(write_page(tmp_path, []))
    assert page.text.count("no reason recorded") == len(TASKS)
    assert not page.attributes("article")


def test_each_image_is_loaded_once_and_embedded_once(tmp_path: Path) -> None:
    records = [make_record(TILE, number=number) for number in range(3)]
    loaded: list[tuple[str, str]] = []

    def load_image(tile: TileRecord, key: str) -> bytes:
        loaded.append((tile.image_id, key))
        return IMAGE

    summary = PreviewSummary("Test set", dataset_statistics(records, [TILE]))
    write_preview(tmp_path / "preview.html", records, summary, images=SampleImages(load_image))
    assert loaded == [(TILE.image_id, "tile")]
    assert (tmp_path / "preview.html").read_text().count("data:image/jpeg") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["preview.html"]


def test_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    records = [make_record(TILE, name) for name in TASKS]
    assert write_page(tmp_path, records) == write_page(tmp_path, records)


def test_page_stays_small_whatever_its_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = bytes(simplejpeg.encode_jpeg(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)))
    tiles = [make_tile(str(number), window=Window(0, 0, 300, 300)) for number in range(5)]
    records = [make_record(tile) for tile in tiles]
    monkeypatch.setattr("rsvqa.rsvqa_builder.documents.preview.MAX_IMAGE_BYTES", 60_000)

    def load_noise(tile: TileRecord, key: str) -> bytes:
        return noise

    summary = PreviewSummary("Noise", dataset_statistics(records, tiles))
    write_preview(tmp_path / "preview.html", records, summary, images=SampleImages(load_noise))
    html = (tmp_path / "preview.html").read_text()
    uris = re.findall(r'href="data:image/jpeg;base64,([^"]*)"', html)
    assert len(uris) == 5
    assert sum(len(base64.b64decode(uri)) for uri in uris) <= 60_000
    assert len(html) < 60_000 * 4 / 3 + 40_000


def test_template_slots_are_all_filled(tmp_path: Path) -> None:
    html = write_page(tmp_path, [make_record(TILE, question="What costs $5 and ${title}?")])
    assert "What costs $5 and ${title}?" in Page(html).text
    identifiers = string.Template(html.replace("$5 and ${title}", "")).get_identifiers()
    assert identifiers == []


def test_pictures_are_jpegs(tmp_path: Path) -> None:
    html = write_page(tmp_path, [make_record(TILE, "fine_grained_grounding")])
    uris = re.findall(r'href="data:image/jpeg;base64,([^"]*)"', html)
    sizes = [simplejpeg.decode_jpeg_header(base64.b64decode(uri))[:2] for uri in uris]
    assert sizes == [(427, 640)]  # the box is a quarter of the tile: no detail
