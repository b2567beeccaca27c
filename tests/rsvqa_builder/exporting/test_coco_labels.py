"""COCO with every label of the tiles: what the sources say of them, in pixels of each picture, and honest refusals."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine
from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry

import rsvqa
from rsvqa.rsvqa_builder.exporting.coco import _without_holes
from rsvqa.rsvqa_builder.exporting.tile_labels import TileLabels
from tests.run_build import tree_digest

CLASSES = """
[classes.building]
role = "object"
singular = "building"
plural = "buildings"
kind = "building"
complete = true
[classes.tree]
role = "object"
singular = "tree"
plural = "trees"
kind = "tree"
complete = false
[classes.lake]
role = "area"
singular = "lake"
plural = "lakes"
kind = "water"
complete = true
[classes.street]
role = "road"
singular = "street"
plural = "streets"
"""
SHIFT = 8
"""Pixels by which the later scene begins further left."""

ANGLE = Polygon([(300, 30), (340, 30), (340, 45), (320, 45), (320, 60), (300, 60)])
HOUSES = [box(20, 20, 60, 40), box(100, 20, 130, 60), box(240, 100, 272, 120), ANGLE]
"""The third lies half in each tile of 256 px."""
NEW_HOUSES = [box(20, 180, 50, 200), box(300, 180, 340, 210)]
LAKE = Polygon(box(60, 100, 160, 160).exterior, [box(100, 120, 120, 140).exterior])
"""With an island of 20 x 20 px."""


def write_scene(path: Path, *, left: int, features: list[tuple[str, BaseGeometry]], seed: int) -> None:
    """Write 512 + `left` x 256 px of 0.5 m, and labels given in pixels of the tiles, in metres beside it."""
    transform = Affine(0.5, 0, 500_000 - left / 2, 0, -0.5, 5_000_000)
    pixels = np.random.default_rng(seed).integers(60, 200, (3, 256, 512 + left), dtype=np.uint8)
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=3,
        height=256,
        width=512 + left,
        dtype="uint8",
        crs="EPSG:32632",
        transform=transform,
    ) as raster:
        raster.write(pixels)
    placed = [
        {
            "type": "Feature",
            "properties": {"class": name},
            "geometry": shapely.geometry.mapping(
                shapely.transform(shape, lambda xy: xy * [0.5, -0.5] + [500_000, 5_000_000])
            ),
        }
        for name, shape in features
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    path.with_suffix(".geojson").write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": placed}))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `scenes` of two dates and `set`, which asks few of many labels."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "scenes").mkdir()
    (folder / "classes.toml").write_text(CLASSES)
    old = [("building", house) for house in HOUSES]
    rest = [("lake", LAKE), ("tree", shapely.Point(200, 30)), ("street", shapely.LineString([(0, 80), (512, 80)]))]
    write_scene(folder / "scenes" / "town_2014.tif", left=0, features=[*old, *rest], seed=1)
    new = [("building", house) for house in NEW_HOUSES]
    write_scene(folder / "scenes" / "town_2020.tif", left=SHIFT, features=[*old, *new, *rest], seed=2)
    with contextlib.chdir(folder):  # so that a copy of the folder is one of all that it names
        rsvqa.build(
            src="scenes",
            out="set",
            classes="classes.toml",
            tile_size=256,
            split_shares=(1, 0, 0),
            workers=0,
            audit=False,
        )
    return folder


def annotated(document: dict[str, Any], picture: str, name: str) -> list[dict[str, Any]]:
    """Return what is annotated of a class on a picture."""
    (image,) = (entry["id"] for entry in document["images"] if entry["file_name"] == picture)
    (category,) = (entry["id"] for entry in document["categories"] if entry["name"] == name)
    found = document["annotations"]
    return [entry for entry in found if entry["image_id"] == image and entry["category_id"] == category]


def test_every_label_is_there_in_pixels_of_its_picture(place: Path, tmp_path: Path) -> None:
    exported = rsvqa.export(place / "set", tmp_path / "coco", format="coco")
    assert exported.left_out.keys() == {"only pictures with a circle"}
    assert exported.num_records + sum(exported.left_out.values()) == len(rsvqa.read(place / "set"))
    document = json.loads((tmp_path / "coco" / "train.json").read_text("utf-8"))
    pictures = {entry["file_name"]: entry for entry in document["images"]}
    first, second = "town_2014/0_0.jpg", "town_2014/256_0.jpg"
    assert {first, second} <= pictures.keys()
    # a tree or more may be there without a label
    assert {tuple(entry["not_exhaustive_category_ids"]) for entry in pictures.values()} == {(3,)}
    assert all((tmp_path / "coco" / "images" / name).is_file() for name in pictures)
    assert [entry["id"] for entry in document["annotations"]] == list(range(1, len(document["annotations"]) + 1))

    def boxes(picture: str) -> list[list[float]]:
        return [entry["bbox"] for entry in annotated(document, picture, "building")]

    # by hand, from HOUSES: x, y, width, height; the third shows 16 px of its 32 on either tile
    assert boxes(first) == [[20, 20, 40, 20], [100, 20, 30, 40], [240, 100, 16, 20]]
    assert boxes(second) == [[0, 100, 16, 20], [44, 30, 40, 30]]
    half = annotated(document, second, "building")[0]
    assert (half["visible_share"], half["area"], half["iscrowd"]) == (0.5, 320, 0)
    assert Polygon(np.reshape(half["segmentation"][0], (-1, 2))).equals(box(0, 100, 16, 120))
    angle = annotated(document, second, "building")[1]
    # 40 x 15 and 20 x 15 px, 256 px to the left
    assert (angle["visible_share"], angle["area"]) == (1.0, 900)
    assert Polygon(np.reshape(angle["segmentation"][0], (-1, 2))).equals(shapely.affinity.translate(ANGLE, -256))

    (lake,) = annotated(document, first, "lake")
    parts = shapely.union_all([Polygon(np.reshape(ring, (-1, 2))) for ring in lake["segmentation"]])
    assert parts.equals(LAKE)
    assert (lake["bbox"], lake["area"]) == ([60, 100, 100, 60], 100 * 60 - 20 * 20)
    # points and lines have no extent
    assert {entry["name"]: entry["supercategory"] for entry in document["categories"]} == {
        "building": "object",
        "lake": "area",
        "tree": "object",
    }
    assert annotated(document, first, "tree") == []
    card = (tmp_path / "coco" / "README.md").read_text("utf-8")
    assert f"- left out: {len(pictures)} x label that is a line\n" in card
    assert "x label that is a point\n" in card


def test_labels_of_the_later_date_lie_where_its_picture_shows_them(place: Path) -> None:
    tile = next(question.record.tile for question in rsvqa.read(place / "set") if question.record.tile.window.x == 256)
    assert tile.scene == "town_2014"
    with TileLabels(place / "set") as labels:
        found = {is_later: labels.of(tile, is_later=is_later).objects for is_later in (False, True)}
    boxes = {key: [item.box for item in items if item.class_name == "building"] for key, items in found.items()}
    assert boxes[False] == [(0, 100, 16, 120), (44, 30, 84, 60)]
    # the later scene's pixels lie SHIFT to the right of the earlier one's, and its picture shows the same ground
    assert boxes[True] == [*boxes[False], (44, 180, 84, 210)]


def test_the_same_data_set_gives_the_same_bytes_from_wherever_it_is_called(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsvqa.export(place / "set", tmp_path / "one", format="coco")
    monkeypatch.chdir(place / "set")
    rsvqa.export(".", tmp_path / "two", format="coco")
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")


def shards_alone(folder: Path) -> None:
    """Leave of the data set what somebody copies who wants its shards."""
    shutil.rmtree(folder / "set" / ".rsvqa")
    (folder / "set" / "build.toml").unlink()


def moved_by_a_digit(folder: Path) -> None:
    """Change a label without changing how long its file is."""
    file = folder / "scenes" / "town_2014.geojson"
    text = file.read_text("utf-8")
    changed = re.sub(r"(?<=\d\.)\d", lambda digit: str((int(digit[0]) + 5) % 10), text, count=1)
    assert changed != text
    file.write_text(changed, "utf-8")


def test_labels_read_by_other_releases_are_known_by_the_sizes_of_their_files(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place, tmp_path / "copy")
    marker = tmp_path / "copy" / "set" / "build.toml"
    marker.write_text(re.sub(r"(?m)^shapely = .*", 'shapely = "2.0.0"', marker.read_text("utf-8")), "utf-8")
    moved_by_a_digit(tmp_path / "copy")
    assert rsvqa.export(tmp_path / "copy" / "set", tmp_path / "coco", format="coco").num_records


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "scenes"), "no such"),
        (
            lambda folder: (folder / "scenes" / "town_2014.geojson").write_text('{"type": "FeatureCollection"}'),
            "the sources are not those of the build: input town_2014.geojson has changed",
        ),
        (
            moved_by_a_digit,
            "build: the labels of scene town_2014 have changed, though none of its files has another size",
        ),
        (lambda folder: (folder / "scenes" / "town_2020.tif").unlink(), "input town_2020.tif is gone"),
        (
            lambda folder: (folder / "classes.toml").write_text(CLASSES.replace('kind = "tree"', 'kind = "other"')),
            "the class table classes has changed",
        ),
        (shards_alone, "read: there is no build.toml;"),
    ],
)
def test_sources_that_are_not_those_of_the_build_are_one_line(
    place: Path, tmp_path: Path, harm: Any, message: str
) -> None:
    shutil.copytree(place, tmp_path / "copy")
    harm(tmp_path / "copy")
    with pytest.raises(rsvqa.RsvqaError, match=message) as caught:
        rsvqa.export(tmp_path / "copy" / "set", tmp_path / "coco", format="coco")
    assert "\n" not in str(caught.value)
    assert "the format coco-asked needs none of them" in str(caught.value)
    assert not (tmp_path / "coco").exists()
    assert rsvqa.export(tmp_path / "copy" / "set", tmp_path / "asked", format="coco-asked").num_records


def test_an_outline_with_holes_is_cut_into_polygons_without() -> None:
    # two holes, one of them bent round the middle of its box
    bent = Polygon([(20, 20), (60, 20), (60, 30), (30, 30), (30, 60), (20, 60)])
    outline = Polygon(box(0, 0, 100, 100).exterior, [bent.exterior, box(70, 70, 80, 80).exterior])
    parts = list(_without_holes(outline))
    assert not any(part.interiors for part in parts)
    # 100 x 100 less 40 x 10 + 10 x 30 and 10 x 10
    assert sum(part.area for part in parts) == pytest.approx(10_000 - 700 - 100)
    assert shapely.union_all(parts).equals(outline)
