"""Labels cut to a tile."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from shapely import LineString, Point, box
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, ClassInfo, Outline, Role, TileFacts
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.tiles.tile_facts import SceneLabels, TileSetting, ValidCells, cut_facts

CLASSES = {
    "car": ClassInfo(name="car", singular="car", plural="cars", role=Role.OBJECT, kind="vehicle"),
    "forest": ClassInfo(name="forest", singular="forest", plural="forest", role=Role.AREA, kind="forest"),
    "road": ClassInfo(name="road", singular="road", plural="roads", role=Role.ROAD, kind="road"),
    "fire": ClassInfo(name="fire", singular="fire scar", plural="fire scars", role=Role.ANOMALY, kind="burnt"),
}
WINDOW = Window(100, 200, 50, 40)  # x 100–150, y 200–240


def labels(*rows: tuple[str, BaseGeometry], complete: Sequence[str] = (), mapped: Sequence[str] = ()) -> SceneLabels:
    geometries = np.empty(len(rows), object)
    geometries[:] = [geometry for _, geometry in rows]
    features = Features(
        ids=tuple(f"f:{number}" for number in range(len(rows))),
        class_names=tuple(name for name, _ in rows),
        geometries=geometries,
        outlines=tuple(Outline.POINT if isinstance(g, Point) else Outline.POLYGON for _, g in rows),
        is_certain=np.ones(len(rows), bool),
        attributes=tuple({} for _ in rows),
    )
    return SceneLabels(
        features=features,
        classes=CLASSES,
        complete_classes=frozenset(complete),
        mapped_classes=frozenset(mapped),
    )


def cut(scene: SceneLabels, valid: np.ndarray | None = None) -> TileFacts:
    return cut_facts(scene, WINDOW, valid, TileSetting(tile_id="t"))


def test_geometries_are_moved_to_tile_pixels() -> None:
    (car,) = cut(labels(("car", box(110, 210, 120, 215)))).objects
    assert car.box == (10, 10, 20, 15)
    assert car.visible_share == 1.0


def test_an_object_on_the_edge_is_cut_and_knows_its_visible_share() -> None:
    # 4 of its 10 px in x lie left of x = 100
    (car,) = cut(labels(("car", box(96, 210, 106, 215)))).objects
    assert car.box == (0, 10, 6, 15)
    assert car.visible_share == pytest.approx(0.6)


def test_an_object_outside_the_tile_is_not_there() -> None:
    assert cut(labels(("car", box(10, 210, 20, 215)))).objects == ()


def test_an_object_that_only_touches_the_edge_is_not_there() -> None:
    assert cut(labels(("car", box(90, 210, 100, 215)))).objects == ()


def test_what_lies_on_invalid_pixels_is_hidden() -> None:
    valid = np.ones((40, 50), bool)
    valid[:, :20] = False
    # the car covers x 10–30 of the tile, half of it invalid; the forest covers all 50 px, 30 of them valid
    facts = cut(labels(("car", box(110, 210, 130, 220)), ("forest", box(0, 0, 500, 500))), valid)
    assert facts.objects[0].visible_share == pytest.approx(0.5)
    assert facts.areas[0].geometry.equals(box(20, 0, 50, 40))


def test_an_object_wholly_on_invalid_pixels_is_not_there() -> None:
    valid = np.ones((40, 50), bool)
    valid[:, :20] = False
    assert cut(labels(("car", box(102, 210, 112, 220)), ("car", Point(105, 205))), valid).objects == ()


def test_single_invalid_pixels_hide_nothing() -> None:
    # cells are 2 px wide for sides between 512 and 1,024 px, so one dark pixel of four leaves the cell valid
    valid = np.ones((600, 600), bool)
    valid[::2, ::2] = False
    assert ValidCells.of(valid).share(box(10, 10, 20, 20)) == 1.0


def test_a_road_that_leaves_and_comes_back_becomes_two_pieces() -> None:
    road = LineString([(90, 205), (120, 205), (120, 190), (130, 190), (130, 230)])
    pieces = cut(labels(("road", road))).roads
    assert [piece.road_id for piece in pieces] == ["f:0#0", "f:0#1"]
    # 100–120 along y = 205 and up to y = 200; then down from y = 200 to 230 along x = 130
    assert sorted(piece.geometry.length for piece in pieces) == [25.0, 30.0]


def test_absence_of_anomalies_is_a_fact_only_with_a_complete_layer() -> None:
    assert not cut(labels(("car", box(110, 210, 120, 215)), complete=["car"])).has_anomaly_layer
    facts = cut(labels(("fire", box(110, 210, 120, 215)), complete=["fire"]))
    assert facts.has_anomaly_layer
    assert facts.anomalies == (Area(area_id="f:0", class_name="fire", geometry=box(10, 10, 20, 15)),)


def test_a_map_with_gaps_is_complete_on_the_tiles_without_one() -> None:
    # the tile is x 100-150: a gap that holds no centre of a pixel is none, one of two pixels is 4 %
    for left, expected in ((125.4, {"forest"}), (127, set())):
        gap = labels(("forest", box(0, 0, 125, 400)), ("forest", box(left, 0, 400, 400)), mapped=["forest"])
        assert cut(gap).complete_classes == expected
    beside = labels(("forest", box(0, 0, 125, 400)), ("car", box(125, 0, 400, 400)), mapped=["forest"])
    assert cut(beside).complete_classes == {"forest"}
    assert cut(labels(("car", box(0, 0, 400, 400)), mapped=["forest"])).complete_classes == set()
    assert cut(labels(mapped=["forest"])).complete_classes == set()
