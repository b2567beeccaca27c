"""Features as arrow tables and parts of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.labels import features as features_module
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array

_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["colour", "moving", "damage"]), st.one_of(st.text(max_size=5), st.booleans(), st.floats(0, 1))
)


@st.composite
def features(draw: st.DrawFn) -> Features:
    """Draw a few labels of every kind."""
    count = draw(st.integers(0, 5))

    def drawn(strategy: st.SearchStrategy) -> list:  # type: ignore[type-arg]
        return [draw(strategy) for _ in range(count)]

    points = drawn(st.tuples(st.floats(-1e5, 1e5), st.floats(-1e5, 1e5)))
    shapes = [
        shapely.Point(point) if i % 2 else shapely.box(point[0], point[1], point[0] + 3, point[1] + 2)
        for i, point in enumerate(points)
    ]
    return Features(
        ids=tuple(f"file:{i}" for i in range(count)),
        class_names=tuple(drawn(st.sampled_from(["car", "tree"]))),
        geometries=object_array(shapes),
        outlines=tuple(drawn(st.sampled_from(list(Outline)))),
        is_certain=np.array(drawn(st.booleans()), dtype=bool),
        attributes=tuple(drawn(_ATTRIBUTES)),
    )


@settings(max_examples=40)
@given(features())
def test_arrow_and_back_is_the_same_bit_for_bit(written: Features) -> None:
    table = written.to_arrow()
    read = Features.from_arrow(table)
    assert read.ids == written.ids
    assert read.class_names == written.class_names
    assert read.outlines == written.outlines
    assert all(isinstance(outline, Outline) for outline in read.outlines)
    assert read.is_certain.tolist() == written.is_certain.tolist()
    assert read.attributes == written.attributes
    assert shapely.to_wkb(read.geometries).tolist() == shapely.to_wkb(written.geometries).tolist()
    assert read.to_arrow().equals(table)


def test_rows_are_taken_in_the_order_asked() -> None:
    labels = Features(
        ids=("a", "b", "c"),
        class_names=("car", "tree", "ship"),
        geometries=object_array([shapely.Point(i, 0) for i in range(3)]),
        outlines=(Outline.POINT, Outline.BOX, Outline.POLYGON),
        is_certain=np.array([True, False, True]),
        attributes=({}, {"moving": True}, {"colour": "red"}),
    )
    taken = labels.take(np.array([2, 1]))
    assert taken.ids == ("c", "b")
    assert taken.class_names == ("ship", "tree")
    assert [point.x for point in taken.geometries] == [2, 1]
    assert taken.outlines == (Outline.POLYGON, Outline.BOX)
    assert taken.is_certain.tolist() == [True, False]
    assert taken.attributes == ({"colour": "red"}, {"moving": True})


def test_no_labels() -> None:
    assert len(Features.empty()) == 0
    assert len(Features.from_arrow(Features.empty().to_arrow())) == 0


@settings(max_examples=40)
@given(features(), st.tuples(*[st.integers(-100_000, 100_000)] * 2), st.integers(1, 100_000))
def test_what_reaches_a_window_is_read_and_nothing_else(written: Features, corner: tuple[int, int], side: int) -> None:
    window = (*corner, corner[0] + side, corner[1] + side)
    near = [shape.intersects(shapely.box(*window)) for shape in written.geometries]  # upright boxes and points
    read = Features.from_arrow(written.to_arrow(), within=window)
    assert read.ids == tuple(ident for ident, is_near in zip(written.ids, near, strict=True) if is_near)
    assert read.to_arrow().equals(written.take(np.flatnonzero(near)).to_arrow())


def test_labels_that_touch_the_edge_are_read_and_empty_ones_are_not() -> None:
    shapes = [shapely.box(0, 0, 10, 10), shapely.Point(20, 5), shapely.Polygon(), shapely.box(21, 0, 30, 10)]
    labels = Features(
        ids=("left", "edge", "empty", "right"),
        class_names=("car",) * 4,
        geometries=object_array(shapes),
        outlines=(Outline.POLYGON,) * 4,
        is_certain=np.ones(4, dtype=bool),
        attributes=({},) * 4,
    )
    assert Features.from_arrow(labels.to_arrow(), within=(10, 0, 20, 10)).ids == ("left", "edge")
    assert Features.from_arrow(Features.empty().to_arrow(), within=(0, 0, 1, 1)).ids == ()


@pytest.mark.parametrize("number", [0, 1, 4, 5])
def test_geometries_are_stored_a_few_at_a_time(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = object_array([shapely.Point(i, 0) if i % 2 else shapely.box(0, 0, i + 1, 1) for i in range(number)])
    monkeypatch.setattr(features_module, "_AT_ONCE", 2)
    stored = features_module._as_wkb(shapes)
    stored.validate(full=True)
    assert stored.equals(pa.array(shapely.to_wkb(shapes).tolist(), pa.large_binary()))
