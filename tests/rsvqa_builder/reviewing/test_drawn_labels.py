"""Drawn objects go out as label files, and the next build reads the same objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.rsvqa_builder.label_files.reading import LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.reviewing.drawn_labels import LabelFormat, label_lines, parse_label_format, write_labels
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError, ReviewError, open_review
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.scene import describe_scene
from tests.annotation.review.running_server import running
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster
from tests.rsvqa_builder.reviewing.test_drawing import Person
from tests.run_build import build, questions_by_task, read_report

TURNED = AffineCoefficients(0.24, 0.18, 500_000.25, 0.18, -0.24, 4_000_000.5)
"""Pixels of 0.3 m, turned by atan(3/4): no side of a pixel runs north."""
IN_DEGREES = {"crs": "EPSG:4326", "transform": AffineCoefficients(1e-6, 0, 7, 0, -1e-6, 45)}
OBJECTS: dict[str, dict[str, Any]] = {
    "box": {"class_name": "car", "form": "box", "points": [[10, 20], [40, 50]], "attributes": {"moving": False}},
    "polygon": {"class_name": "car", "form": "polygon", "points": [[100.125, 100], [130, 101], [120, 140.5]]},
    "turned": {
        "class_name": "ship",
        "form": "oriented_box",
        "points": [[200, 200], [230, 240], [214, 252], [184, 212]],
    },
    "point": {"class_name": "ship", "form": "point", "points": [[300.5, 60.25]]},
    "circle": {"class_name": "storage_tank", "form": "circle", "points": [[60, 300], [60, 320]], "is_certain": False},
    "line": {"class_name": "road", "form": "line", "points": [[0, 400], [200, 410], [500, 380]]},
}
OBJECTS["line"]["attributes"] = {"name": "Quai d'Orsay", "oneway": True}
OBJECTS["turned"]["attributes"] = {"colour": "red"}


def expected(name: str, x: float) -> shapely.Geometry:
    """Return the outline of an object in scene pixels, `x` px to the right of where it is on its tile."""
    points = [(px + x, py) for px, py in OBJECTS[name]["points"]]
    shapes: dict[str, shapely.Geometry] = {
        "box": shapely.box(*points[0], *points[-1]),
        "point": shapely.Point(points[0]),
        "circle": shapely.Point(60 + x, 300).buffer(20),
    }
    if name in shapes:
        return shapes[name]
    return shapely.LineString(points) if name == "line" else shapely.Polygon(points)


@contextmanager
def opened(data: Path) -> Iterator[list[Person]]:
    """Yield a person at each tile."""
    with (
        open_review(data, QueueSettings()) as review,
        running(review.store, pictures=review.pictures, drawings=review.drawings) as client,
    ):
        people = [Person(client) for _ in review.drawings.tiles]
        for person, tile in zip(people, client.post("draw/tiles", {}).json["tiles"], strict=True):
            person.tile = tile
        for number, person in enumerate(people):
            person.rename(f"person-{number}")
        yield people


def draw(data: Path, *, complete: list[list[str]]) -> None:
    """Draw all objects on the second of two tiles, and declare classes complete on either."""
    with opened(data) as people:
        objects = [{"object_id": name, "content": content} for name, content in OBJECTS.items()]
        people[1].post("draw/change", objects=objects)
        for person, names in zip(people, complete, strict=True):
            person.post("draw/change", complete=[{"class_name": name, "is_complete": True} for name in names])


def make_data(folder: Path, **scene: Any) -> Path:
    """Return a data set of two tiles of 512 px, side by side in one scene."""
    (folder / "scenes").mkdir(parents=True)
    write_raster(folder / "scenes" / "port.tif", make_pixels(3, 512, 1024), **scene)
    assert build(folder / "scenes", folder / "superrs").code == 0
    return folder / "superrs"


def read_back(data: Path, labels: Path) -> LabelSet:
    scene = describe_scene(str(data.parent / "scenes" / "port.tif"), "port")
    return read_labels(scene, sorted(labels.glob("port.*")), load_class_table(labels / "classes.toml"))


@pytest.mark.parametrize(
    ("scene", "label_format"),
    [
        ({}, "gpkg"),
        ({"transform": TURNED}, "gpkg"),
        (IN_DEGREES, "gpkg"),
        ({"crs": None, "transform": None}, "gpkg"),
        ({}, "geojson"),
        ({"transform": TURNED}, "geojson"),
        ({"transform": AffineCoefficients(100, 0, 400_000, 0, -100, 7_800_000)}, "geojson"),  # edges of 50 km at 70° N
        (IN_DEGREES, "geojson"),
    ],
)
def test_the_same_objects_come_back(tmp_path: Path, scene: dict[str, Any], label_format: LabelFormat) -> None:
    data = make_data(tmp_path, **scene)
    draw(data, complete=[["car"], ["car", "ship"]])
    written = write_labels(data, tmp_path / "labels", label_format=label_format)
    assert (written.objects, written.complete) == (6, ("car",))
    assert written.in_pixels == (() if scene.get("crs", "there") else ("port",))
    assert written.scenes == {"port": f"port.{label_format}"}
    found = read_back(data, tmp_path / "labels").features
    names = sorted(OBJECTS)
    assert list(found.class_names) == [OBJECTS[name]["class_name"] for name in names]
    for name, geometry in zip(names, found.geometries, strict=True):
        away = shapely.hausdorff_distance(geometry, expected(name, 512))
        assert away < 0.01, name
    outlines = dict(zip(names, found.outlines, strict=True))
    assert outlines["box"] is Outline.BOX  # although another car has an outline
    assert outlines["turned"] is Outline.ORIENTED_BOX
    assert outlines["point"] is Outline.POINT
    certain = dict(zip(names, np.asarray(found.is_certain).tolist(), strict=True))
    assert certain == {name: name != "circle" for name in names}
    attributes = dict(zip(names, found.attributes, strict=True))
    assert attributes["box"] == {"moving": False}
    assert attributes["line"] == {"name": "Quai d'Orsay", "oneway": True}
    assert attributes["turned"] == {"colour": "red"}


def test_geojson_is_in_longitude_and_latitude_with_outer_rings_turning_left(tmp_path: Path) -> None:
    data = make_data(tmp_path, **IN_DEGREES)
    draw(data, complete=[[], []])
    write_labels(data, tmp_path / "labels", label_format="geojson")
    content = json.loads((tmp_path / "labels" / "port.geojson").read_text())
    assert "crs" not in content  # RFC 7946, section 4
    (point,) = [found["geometry"] for found in content["features"] if found["geometry"]["type"] == "Point"]
    # 7° + (512 + 300.5) px of a millionth, 45° - 60.25 px
    assert point["coordinates"] == pytest.approx([7.0008125, 44.99993975], abs=1e-11)
    rings = [
        shapely.LinearRing(found["geometry"]["coordinates"][0])
        for found in content["features"]
        if found["geometry"]["type"] == "Polygon"
    ]
    assert len(rings) == 4
    assert all(ring.is_ccw for ring in rings)


def test_labels_in_one_format_replace_those_in_the_other(tmp_path: Path) -> None:
    data, out = make_data(tmp_path), tmp_path / "labels"
    draw(data, complete=[[], []])
    write_labels(data, out)
    write_labels(data, out, label_format="geojson", overwrite=True)
    assert sorted(file.name for file in out.iterdir()) == ["classes.toml", "port.geojson"]


@pytest.mark.parametrize(
    ("scene", "complaint"),
    [
        ({"crs": None, "transform": None}, "port has no map coordinates, and GeoJSON has no pixels"),
        ({"crs": "EPSG:3413", "transform": AffineCoefficients(100, 0, -81_200, 0, -100, 10_000)}, "or at a pole"),
    ],
)
def test_a_scene_that_geojson_cannot_hold_is_refused(tmp_path: Path, scene: dict[str, Any], complaint: str) -> None:
    data = make_data(tmp_path, **scene)
    draw(data, complete=[[], []])
    with pytest.raises(ReviewError, match=complaint):
        write_labels(data, tmp_path / "labels", label_format="geojson")
    assert not (tmp_path / "labels").exists()


def test_an_unknown_format_is_named() -> None:
    with pytest.raises(ReviewError, match="`format` shp: expected gpkg or geojson"):
        parse_label_format("shp")


def test_the_next_build_asks_about_what_was_drawn(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    with opened(data) as people:
        boxes = [[40 + 100 * i, 60, 80 + 100 * i, 90] for i in range(4)]
        objects = [
            {"object_id": f"s{i}", "content": {"class_name": "ship", "form": "box", "points": [box[:2], box[2:]]}}
            for i, box in enumerate(boxes)
        ]
        people[0].post("draw/change", objects=objects)
        for person in people:
            person.post("draw/change", complete=[{"class_name": "ship", "is_complete": True}])
    write_labels(data, tmp_path / "labels")
    table = tmp_path / "labels" / "classes.toml"
    done = build(
        tmp_path / "scenes", tmp_path / "next", "--labels", tmp_path / "labels", "--classes", table, "--balance", "off"
    )
    assert done.code == 0, done.err
    report = read_report(tmp_path / "next")
    assert report["scenes"]["port"]["labels"]["by_class"] == {"ship": 4}
    assert questions_by_task(report)["overall_counting"] > 0


def test_where_nothing_is_drawn_nothing_is_written(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    with pytest.raises(NothingToReviewError, match="nothing is drawn on tiles of"):
        write_labels(data, tmp_path / "labels")
    with opened(data):
        pass
    with pytest.raises(NothingToReviewError, match="nothing is drawn"):
        write_labels(data, tmp_path / "labels")
    assert not (tmp_path / "labels").exists()


def test_what_is_missing_is_told_first(tmp_path: Path) -> None:
    data = make_data(tmp_path, crs=None, transform=None)
    draw(data, complete=[[], ["car"]])
    lines = list(label_lines(write_labels(data, tmp_path / "labels"), tmp_path / "labels"))
    assert lines == [
        "1 scenes have no map coordinates: their labels are in picture pixels",
        "declared complete on every tile, so complete in classes.toml: none",
        f"6 objects of 1 scenes in {tmp_path / 'labels'}",
    ]
