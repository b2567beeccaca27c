"""Evidence as lines, as a place to look at, and in words."""

from __future__ import annotations

import shapely

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.evidence import MAX_POINTS, Line, focus_of, in_words, lines_of
from tests.annotation.review.make_questions import GROUNDING, make_question

REGION = {"number": 3, "x": 100, "y": 50, "radius": 20}


def test_outlines_of_every_kind_of_geometry() -> None:
    holed = shapely.from_wkt("POLYGON ((0 0, 9 0, 9 9, 0 0), (5 2, 6 2, 6 3, 5 2))")
    parts = shapely.from_wkt("GEOMETRYCOLLECTION (POINT (1 2), MULTILINESTRING ((0 0, 1.26 1), (2 2, 3 3)))")
    assert lines_of(holed) == [Line(((0, 0), (9, 0), (9, 9)), True), Line(((5, 2), (6, 2), (6, 3)), True)]
    assert lines_of(parts) == [Line(((1, 2),), False), Line(((0, 0), (1.3, 1)), False), Line(((2, 2), (3, 3)), False)]


def test_thousands_of_vertices_become_bounds() -> None:
    round_ones = shapely.MultiPolygon([shapely.Point(x, 0).buffer(1, quad_segs=600) for x in (0, 10)])
    assert shapely.get_num_coordinates(round_ones) > MAX_POINTS
    assert [len(line.points) for line in lines_of(round_ones)] == [4, 4]


def test_the_box_comes_before_the_circle_and_the_circle_before_the_outline() -> None:
    wkt = "POLYGON ((10 20, 30 20, 30 40, 10 20))"
    assert focus_of(make_question(content=GROUNDING, evidence={"region": REGION})) == Box(100, 100, 300, 200)
    assert focus_of(make_question(evidence={"region": REGION, "geometry": wkt})) == Box(80, 30, 120, 70)
    assert focus_of(make_question(evidence={"geometry": wkt})) == Box(10, 20, 30, 40)
    assert focus_of(make_question(evidence={})) is None


def test_values_in_words() -> None:
    values = {
        "class": "storage_tank",
        "count": 1200,
        "length_m": 12.87,
        "bearing_deg": 236.58,
        "shares": {"road_surface": 0.1563},
        "gsd_m": [0.3, 0.3],
        "end": {"rule": "unique_class", "text": "the swimming pool"},
        "removed": [],
        "has_road": True,
        "second": None,
        "title": "North_Street 5",
    }
    assert in_words(values) == [
        ("class", "storage tank"),
        ("count", "1,200"),
        ("length", "12.87 m"),
        ("bearing", "236.58°"),
        ("shares › road surface", "15.63 %"),
        ("gsd", "0.3 m, 0.3 m"),
        ("end › rule", "unique class"),
        ("end › text", "the swimming pool"),
        ("removed", "none"),
        ("has road", "yes"),
        ("second", "unknown"),
        ("title", "North_Street 5"),
    ]
