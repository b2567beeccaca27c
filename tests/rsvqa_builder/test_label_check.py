"""The dry run: it says what a build would say, and draws labels where they lie."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from PIL import Image
from shapely import Point, box
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.documents.label_views import MAX_DRAWN, LabelView, draw_labels
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array
from rsvqa.rsvqa_builder.scenes.scene import describe_scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.make_sources import make_broken_files, make_sources
from tests.rsvqa_builder.make_rasters import write_raster
from tests.run_build import build, read_report, rsvqa

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def check(src: Path, *words: object) -> dict[str, Any]:
    """Run `rsvqa labels` in this process and return its report."""
    run = rsvqa("labels", "--src", src, "--workers", 0, "--json", *words)
    assert (run.code, run.err) == (0, "")
    return dict(json.loads(run.out))


def picture(path: Path, *, width: int = 400, height: int = 300) -> Path:
    """A scene without a georeference that is dark but for a white square at [100, 140) x [50, 90)."""
    pixels = np.full((3, height, width), 30, np.uint8)
    pixels[:, 50:90, 100:140] = 255
    return write_raster(path, pixels)


def boxes(path: Path, *rows: str) -> None:
    path.write_text("\n".join(["xmin,ymin,xmax,ymax,class", *rows]) + "\n")


def test_the_dry_run_says_what_the_build_says(tmp_path: Path) -> None:
    src = make_sources(tmp_path / "scenes")
    make_broken_files(src)
    (src / "lost").mkdir()
    (src / "lost" / "roads.dxf").write_text("0\nSECTION\n")
    found = check(src)
    assert build(src, tmp_path / "set").code == 0
    report = read_report(tmp_path / "set")
    assert found["left_out"] == report["left_out"]
    assert found["label_files_of_no_scene"] == report["label_files_of_no_scene"]
    assert found["scenes"].keys() == report["scenes"].keys()
    for scene_id, scene in report["scenes"].items():
        same = {key: value for key, value in scene.items() if key != "tiles"}
        assert {key: found["scenes"][scene_id][key] for key in same} == same
    assert not list(tmp_path.glob("*.html"))


def test_what_went_wrong_comes_first(tmp_path: Path) -> None:
    src = tmp_path / "scenes"
    for name in ("a", "b"):
        (src / name).mkdir(parents=True)
        picture(src / name / f"{name}.tif")
    boxes(src / "a" / "a.csv", "100,50,140,90,car", "10,10,30,30,lory", "900,900,950,950,car")
    (src / "a" / "a.dxf").write_text("0")
    lines = rsvqa("labels", "--src", src, "--workers", 0).out.splitlines()
    assert lines[:7] == [
        "1 input left out",
        f"  1 x the format .dxf is not read: convert it, ogr2ogr -f GPKG a.gpkg a.dxf: {src}/a/a.dxf",
        "1 of 3 labels rejected",
        f"  1 x outside the scene: {src}/a/a.csv",
        "labels of unknown classes, not used: lory (1); give a class table that names them",
        "1 of 2 scenes without labels, e.g. b/b",
        "",
    ]
    assert "  unknown class, not used: lory (1 label; lorry?)" in lines or any(
        "lory (1 label" in line for line in lines
    )
    assert "  car       1  not complete: a.dxf could not be read" in lines
    assert "  no label file was found" in lines
    assert lines[-1] == "2 scene(s), 1 label(s) used, class table 'auto'; nothing was built"


def test_label_files_of_no_scene_are_named_first(tmp_path: Path) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.tif")
    boxes(tmp_path / "c.csv", "1,1,9,9,car")
    lines = rsvqa("labels", "--src", tmp_path, "--workers", 0).out.splitlines()
    assert lines[0] == "1 label file of no scene"
    assert lines[1].startswith("  1 x it belongs to no scene: name it as its scene")
    assert lines[1].endswith(f"{tmp_path}/c.csv")


def test_what_is_neither_read_as_scene_nor_as_labels_is_named_first(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif")
    (tmp_path / "a.npy").write_bytes(b"")
    run = rsvqa("labels", "--src", tmp_path, "--workers", 0, "--json")
    (entry,) = json.loads(run.out)["passed_over"]
    assert entry["path"] == str(tmp_path)
    assert entry["reason"].startswith("a.npy is not read: an array says neither where it lies")
    lines = rsvqa("labels", "--src", tmp_path, "--workers", 0).out.splitlines()
    assert lines[0] == "1 group of files read neither as scenes nor as labels"
    assert lines[1] == f"  1 x {entry['reason']}: {tmp_path}"


def test_a_folder_without_scenes_is_one_line(tmp_path: Path) -> None:
    run = rsvqa("labels", "--src", tmp_path, "--workers", 0)
    assert (run.code, len(run.lines)) == (2, 1)
    assert "no scene: looked for" in run.err


def test_a_folder_of_broken_scenes_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    found = check(tmp_path, "--out", tmp_path / "page")
    assert found["scenes"] == {}
    assert "cannot be opened" in found["left_out"][0]["reason"]
    assert "cannot be opened" in (tmp_path / "page" / "labels.html").read_text("utf-8")


def test_the_users_word_is_a_reason(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif")
    boxes(tmp_path / "a.csv", "100,50,140,90,car")
    scene = check(tmp_path, "--complete", "yes")["scenes"]["a"]
    assert scene["complete_classes"] == {"car": {"is_complete": True, "why": "the build's settings say so"}}
    assert "ship" in scene["absent_classes"]
    assert "car" not in scene["absent_classes"]
    assert check(tmp_path)["scenes"]["a"]["absent_classes"] == []


def test_a_pair_is_named_with_its_later_date(tmp_path: Path) -> None:
    make_sources(tmp_path)
    later = {scene_id: scene["later"] for scene_id, scene in check(tmp_path)["scenes"].items()}
    (partner,) = [found for found in later.values() if found is not None]
    assert later[partner["scene"]] is None
    assert partner["problem"] is None


def test_nothing_is_staged_or_left_behind(tmp_path: Path) -> None:
    # a striped file of one strip is staged for a build of small tiles
    picture(tmp_path / "a.tif", width=700, height=700)
    check(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


# --- the page ---------------------------------------------------------------------------------------------------------


def test_a_label_is_drawn_on_what_it_labels(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif")
    boxes(tmp_path / "a.csv", "100,50,140,90,car")
    found = check(tmp_path, "--out", tmp_path / "page")
    assert found["page"] == str(tmp_path / "page" / "labels.html")
    page = (tmp_path / "page" / "labels.html").read_text("utf-8")
    assert '<svg viewBox="0 0 400 300"' in page
    (image,) = re.findall(r'<image x="0" y="0" width="400" height="300" [^>]*base64,([^"]+)"', page)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(image))))
    assert pixels.shape == (300, 400, 3)
    assert pixels[70, 120].min() > 200
    assert pixels[200, 300].max() < 60
    (data,) = re.findall(r'<path class="outline k0" d="([^"]+)"', page)
    corners = {tuple(map(float, pair.split())) for pair in data.removeprefix("M").split("L")}
    assert corners == {(100, 50), (140, 50), (140, 90), (100, 90)}


@pytest.mark.browser
def test_on_a_narrow_screen_the_colours_of_classes_are_seen(browser: Browser, tmp_path: Path) -> None:
    picture(tmp_path / "a.tif")
    boxes(tmp_path / "a.csv", "100,50,140,90,car")
    check(tmp_path, "--out", tmp_path / "page")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto((tmp_path / "page" / "labels.html").as_uri())
    assert page.locator(".chip").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


def test_a_scene_whose_picture_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    make_broken_files(tmp_path)
    found = check(tmp_path, "--out", tmp_path / "page")
    reasons = {Path(entry["path"]).name: entry["reason"] for entry in found["left_out"]}
    assert reasons["damaged.tif"].startswith("cannot read rows 298 to 361")
    assert "damaged" not in found["scenes"]


def test_the_page_escapes_what_comes_from_files_and_loads_nothing(tmp_path: Path) -> None:
    picture(tmp_path / "a.tif")
    boxes(tmp_path / "a.csv", "100,50,140,90,<script>alert(1)</script>")
    check(tmp_path, "--out", tmp_path / "page")
    page = (tmp_path / "page" / "labels.html").read_text("utf-8")
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in re.sub(r"base64,[^\"]+", "", page).replace("http-equiv", "")


def features(*labels: tuple[str, BaseGeometry]) -> Features:
    count = len(labels)
    return Features(
        ids=tuple(map(str, range(count))),
        class_names=tuple(name for name, _ in labels),
        geometries=object_array([shape for _, shape in labels]),
        outlines=tuple(Outline.POINT if isinstance(shape, Point) else Outline.BOX for _, shape in labels),
        is_certain=np.ones(count, dtype=bool),
        attributes=({},) * count,
    )


def views(tmp_path: Path, labels: Features, **size: int) -> tuple[LabelView, ...]:
    path = picture(tmp_path / "scene.tif", **size)
    return draw_labels(describe_scene(str(path), "scene"), None, labels, 50_000)


def test_a_large_scene_has_a_detail_where_most_labels_are(tmp_path: Path) -> None:
    cars = [("car", box(x, 1300, x + 10, 1310)) for x in range(700, 900, 20)]
    whole, detail = views(tmp_path, features(("car", box(0, 0, 9, 9)), *cars), width=2000, height=1500)
    assert whole.window == Window(0, 0, 2000, 1500)
    assert (whole.num_drawn, whole.num_labels) == (11, 11)
    # cells of 600 px: the second column, and the third row, which is pulled back to end with the scene
    assert detail.window == Window(600, 900, 600, 600)
    assert (detail.num_drawn, detail.num_labels) == (10, 10)


def test_rare_classes_are_drawn_among_many_labels(tmp_path: Path) -> None:
    many = [("car", box(x % 390, x // 390, x % 390 + 2, x // 390 + 2)) for x in range(0, 9000, 3)]
    (view,) = views(tmp_path, features(*many, ("ship", Point(5.0, 6.0))))
    assert (view.num_drawn, view.num_labels) == (MAX_DRAWN, 3001)
    assert view.points == {"ship": "M5 6L5 6"}
    assert view.paths["car"].count("M") == MAX_DRAWN - 1


def test_labels_are_cut_to_the_picture(tmp_path: Path) -> None:
    (view,) = views(tmp_path, features(("car", box(380, 280, 900, 900))))
    xy = shapely.get_coordinates(box(380, 280, 400, 300)).tolist()
    assert {tuple(map(float, pair.split())) for pair in view.paths["car"][1:].split("L")} == set(map(tuple, xy))


def test_a_scene_without_labels_is_shown(tmp_path: Path) -> None:
    (view,) = views(tmp_path, Features.empty(), width=2000, height=1500)
    assert (view.num_labels, view.paths) == (0, {})
