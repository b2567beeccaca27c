"""Classes resolved, geometry repaired or rejected with a count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.labels.cleaning import CleanLabels, clean
from rsvqa.rsvqa_builder.labels.raw import RawLabels, object_array
from tests.rsvqa_builder.labels.make_labels import table


def raw(*labels: tuple[str, str | None], **more: Any) -> RawLabels:
    """Labels of (source class, WKT)."""
    count = len(labels)
    return RawLabels(
        geometries=object_array([None if wkt is None else shapely.from_wkt(wkt) for _, wkt in labels]),
        sources=object_array([source for source, _ in labels]),
        positions=tuple(str(number) for number in range(count)),
        outlines=object_array([Outline.POLYGON] * count),
        is_certain=np.ones(count, dtype=bool),
        attributes=({},) * count,
        **more,
    )


def cleaned(*labels: tuple[str, str | None], **more: Any) -> CleanLabels:
    return clean(raw(*labels, **more), table(), width=100, height=80)


SQUARE = "POLYGON ((10 10, 20 10, 20 20, 10 20, 10 10))"


@pytest.mark.parametrize(
    ("source", "wkt", "reason"),
    [
        ("car", None, "no geometry"),
        ("car", "POLYGON EMPTY", "no geometry"),
        ("car", "POLYGON ((100 10, 120 10, 120 20, 100 20, 100 10))", "outside the scene"),
        ("car", "POLYGON ((-9 -9, -1 -9, -1 90, -9 90, -9 -9))", "outside the scene"),
        ("water", "POLYGON ((-20 60, 30 110, -40 110, -20 60))", "outside the scene"),
        ("car", "POINT (100 40)", "outside the scene"),
        ("car", "POLYGON ((5 5, 5.5 5, 5.5 6, 5 6, 5 5))", "smaller than a pixel"),
        ("car", "POLYGON ((5 5, 9 5, 7 5, 5 5))", "invalid and not repairable"),
        ("car", "LINESTRING (1 1, 9 9)", "line of an object class"),
        ("water", "LINESTRING (1 1, 9 9)", "line of an area class"),
        ("scar", "POINT (1 1)", "point of an anomaly class"),
        ("road", SQUARE, "polygon of a road class"),
        ("road", "LINESTRING (5 5, 5 5)", "line without length"),
        ("car", f"GEOMETRYCOLLECTION ({SQUARE}, POINT (1 1))", "geometry collection"),
    ],
)
def test_labels_that_cannot_be_used_are_counted(source: str, wkt: str | None, reason: str) -> None:
    labels = cleaned((source, wkt))
    assert labels.rejected == {reason: 1}
    assert len(labels.raw) == 0
    assert labels.num_read == 1


def test_numbers_that_are_none_are_rejected() -> None:
    nan = shapely.polygons([[5, 5], [9, float("inf")], [7, 9]])
    labels = clean(
        RawLabels(
            geometries=object_array([nan]),
            sources=object_array(["car"]),
            positions=("0",),
            outlines=object_array([Outline.POLYGON]),
            is_certain=np.array([True]),
            attributes=({},),
        ),
        table(),
        width=100,
        height=80,
    )
    assert labels.rejected == {"coordinates are not numbers": 1}
    assert labels.lost_classes == {"car"}


@pytest.mark.parametrize(
    "wkt",
    [
        SQUARE,
        "POLYGON ((-50 -50, 150 -50, 150 150, -50 150, -50 -50))",  # around the whole scene
        "POLYGON ((90 70, 110 70, 110 90, 90 90, 90 70))",  # over a corner
        "POLYGON ((-1000 40, 1000 40, 1000 41, -1000 41, -1000 40))",  # through it
        "POINT (0 0)",
        "POINT (99.9 79.9)",
    ],
)
def test_labels_that_reach_into_the_scene_are_kept_whole(wkt: str) -> None:
    labels = cleaned(("car", wkt))
    assert labels.rejected == {}
    assert labels.raw.geometries[0].equals(shapely.from_wkt(wkt))


def test_unknown_and_ignored_classes_are_counted_by_name() -> None:
    labels = cleaned(("car", SQUARE), ("yeti", SQUARE), ("yeti", SQUARE), ("junk", "POINT (1 1)"), ("", SQUARE))
    assert labels.unknown == {"yeti": 2, "": 1}
    assert labels.ignored == {"junk": 1}
    assert list(labels.class_names) == ["car"]


def test_a_spike_is_repaired_and_stays_certain() -> None:
    # A square of 10 with a line out and back: without the line nothing is lost.
    labels = cleaned(("car", "POLYGON ((10 10, 20 10, 30 10, 20 10, 20 20, 10 20, 10 10))"))
    assert labels.repaired == {"self-intersection": 1}
    assert labels.raw.geometries[0].area == 100
    assert labels.raw.is_certain.tolist() == [True]


def test_a_bow_tie_is_two_triangles_and_uncertain() -> None:
    labels = cleaned(("car", "POLYGON ((10 10, 20 20, 20 10, 10 20, 10 10))"))
    assert labels.repaired == {"self-intersection, falls apart when repaired: uncertain": 1}
    # Two triangles of base 10 and height 5.
    assert labels.raw.geometries[0].area == 50
    assert labels.raw.is_certain.tolist() == [False]
    assert labels.rejected == {}


def test_an_object_in_parts_stays_one_and_is_noted() -> None:
    labels = cleaned(
        ("car", "MULTIPOLYGON (((0 0, 9 0, 9 9, 0 0)), ((20 20, 29 20, 29 29, 20 20)))"),
        ("car", "MULTIPOLYGON (((40 40, 49 40, 49 49, 40 40)))"),
    )
    assert [geometry.geom_type for geometry in labels.raw.geometries] == ["MultiPolygon", "Polygon"]
    assert labels.notes == ("1 labels have several polygons and stay one label each",)


def test_lines_and_points_in_parts_become_labels_of_their_own() -> None:
    labels = cleaned(
        ("road", "MULTILINESTRING ((0 0, 9 9), (20 20, 29 29))"), ("tree", "MULTIPOINT (1 1, 2 2)"), ("car", SQUARE)
    )
    assert labels.raw.positions == ("0#0", "0#1", "1#0", "1#1", "2")
    assert labels.raw.geometries[1].equals(shapely.LineString([(20, 20), (29, 29)]))
    assert labels.num_read == 5


def test_the_same_label_twice_in_a_file_is_one() -> None:
    labels = cleaned(("car", SQUARE), ("tree", SQUARE), ("car", SQUARE))
    assert labels.rejected == {"repeated in the same file": 1}
    assert labels.raw.positions == ("0", "1")


def test_what_the_reader_left_out_is_part_of_the_count() -> None:
    labels = cleaned(("car", SQUARE), num_outside=4, num_invalid={"line is broken": 2})
    assert labels.num_read == 7
    assert labels.rejected == {"line is broken": 2, "outside the scene": 4}


def test_no_labels_at_all() -> None:
    assert cleaned().num_read == 0


_NUMBERS = st.floats(-50, 150)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["car", "water", "road", "junk", "yeti"]),
            st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=3, max_size=6),
        ),
        max_size=8,
    )
)
def test_every_label_is_kept_or_counted_and_what_is_kept_is_valid(
    drawn: list[tuple[str, list[tuple[float, float]]]],
) -> None:
    labels = cleaned(*((name, shapely.Polygon(points).wkt) for name, points in drawn))
    left_out = sum(sum(counts.values()) for counts in (labels.rejected, labels.unknown, labels.ignored))
    assert len(labels.raw) + left_out == labels.num_read == len(drawn)
    frame = shapely.box(0, 0, 100, 80)
    for geometry in labels.raw.geometries:
        assert geometry.is_valid
        assert geometry.geom_type in ("Polygon", "MultiPolygon")
        assert geometry.area >= 1
        assert geometry.intersects(frame)
