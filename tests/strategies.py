"""Hypothesis strategies: boxes, circles, valid questions of every task, and facts of tiles."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from hypothesis import strategies as st
from shapely import LineString, Point, Polygon, affinity, box

from rsvqa.annotation.facts import Area, Box, Circle, ClassInfo, Gsd, Outline, Road, Role, TileFacts, TileObject
from rsvqa.annotation.questions import REGION_SLOT, Evidence, Option, Question
from rsvqa.annotation.taxonomy import TASKS, AnswerForm, TaskInfo

# Words of questions and of options have none in common, so that no drawn question tells its answer.
_QUESTION_WORDS = ("which", "of", "these", "is", "seen", "near", "a", "long", "pier", "within", "50 m", "today")
_OPTION_WORDS = ("barley", "quarry", "orchard", "marsh", "vineyard", "heath", "dune", "reservoir")


@functools.cache
def boxes(width: int, height: int) -> st.SearchStrategy[Box]:
    """Draw boxes of whole pixels, at least one pixel wide and high, inside the image."""

    def sides(size: int) -> st.SearchStrategy[tuple[int, int]]:
        return st.integers(0, size - 1).flatmap(lambda low: st.tuples(st.just(low), st.integers(low + 1, size)))

    return st.builds(lambda x, y: Box(x[0], y[0], x[1], y[1]), sides(width), sides(height))


@st.composite
def circles(draw: st.DrawFn, width: int, height: int) -> Circle:
    """Draw circles of at least one pixel radius inside the image."""
    radius = draw(st.floats(1, min(width, height) / 2))
    return Circle(draw(st.floats(radius, width - radius)), draw(st.floats(radius, height - radius)), radius)


@functools.cache
def _options(form: AnswerForm) -> st.SearchStrategy[tuple[Option, ...]]:
    if form is AnswerForm.YES_NO:
        return st.booleans().map(lambda yes: (Option("Yes", yes), Option("No", not yes)))
    if form not in (AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF):
        return st.just(())
    words = st.lists(st.sampled_from(_OPTION_WORDS), min_size=4, max_size=4, unique=True)
    numbers = st.lists(st.integers(0, 500).map(str), min_size=4, max_size=4, unique=True)
    num_right = st.integers(1, 3) if form is AnswerForm.SEVERAL_OF else st.just(1)
    return st.tuples(words | numbers, num_right, st.permutations(range(4))).map(
        lambda drawn: tuple(Option(text, place < drawn[1]) for text, place in zip(drawn[0], drawn[2], strict=True))
    )


@st.composite
def questions(
    draw: st.DrawFn, width: int, height: int, tasks: tuple[TaskInfo, ...] = tuple(TASKS.values())
) -> Question:
    """Draw questions that pass every check on an image of the given size."""
    info = draw(st.sampled_from(tasks))
    form = draw(st.sampled_from(info.forms))
    text = "Say " + " ".join(draw(st.lists(st.sampled_from(_QUESTION_WORDS), min_size=3, max_size=9)))
    named_box = draw(st.none() | boxes(width, height)) if form is not AnswerForm.BOX else None
    if named_box is not None:
        text += f". Image resolution: {width} x {height}. Bounding box: {[int(side) for side in named_box]}"
    region = draw(circles(width, height)) if info.is_regional else None
    if region is not None:
        text += f" in the red circle numbered {REGION_SLOT}"
    return Question(
        task=info.name,
        form=form,
        text=text + draw(st.sampled_from("?.:")),
        evidence=Evidence(rule="drawn", feature_ids=("objects:1",), values={"share": draw(st.floats(0, 1))}),
        options=draw(_options(form)),
        answer="Fields lie around a village.\nA river crosses it." if form is AnswerForm.TEXT else "",
        box=draw(boxes(width, height)) if form is AnswerForm.BOX else named_box,
        region=region,
        num_dates=info.num_dates,
    )


CLASSES = {
    info.name: info
    for info in (
        ClassInfo(name="vehicle", singular="vehicle", plural="vehicles", role=Role.OBJECT, kind="vehicle"),
        ClassInfo(name="car", singular="car", plural="cars", role=Role.OBJECT, kind="vehicle", broader=("vehicle",)),
        ClassInfo(
            name="truck", singular="truck", plural="trucks", role=Role.OBJECT, kind="vehicle", broader=("vehicle",)
        ),
        ClassInfo(name="building", singular="building", plural="buildings", role=Role.OBJECT, kind="building"),
        ClassInfo(name="ship", singular="ship", plural="ships", role=Role.OBJECT, kind="ship"),
        ClassInfo(name="tank", singular="storage tank", plural="storage tanks", role=Role.OBJECT, kind="storage_tank"),
        ClassInfo(name="forest", singular="forest", plural="forest", role=Role.AREA, kind="forest"),
        ClassInfo(name="water", singular="water", plural="water", role=Role.AREA, kind="water"),
        ClassInfo(name="farmland", singular="farmland", plural="farmland", role=Role.AREA, kind="cropland"),
        ClassInfo(
            name="residential",
            singular="residential land",
            plural="residential land",
            role=Role.AREA,
            kind="residential",
        ),
        ClassInfo(name="car_park", singular="car park", plural="car parks", role=Role.AREA, kind="parking"),
        ClassInfo(name="bare", singular="bare ground", plural="bare ground", role=Role.AREA, kind="bare"),
        ClassInfo(name="road", singular="road", plural="roads", role=Role.ROAD, kind="road"),
        ClassInfo(name="burnt", singular="burnt area", plural="burnt areas", role=Role.ANOMALY, kind="burnt"),
        ClassInfo(name="flooded", singular="flooded area", plural="flooded areas", role=Role.ANOMALY, kind="flooded"),
    )
}
_OBJECT_NAMES = [name for name, info in CLASSES.items() if info.role is Role.OBJECT]
_AREA_NAMES = [name for name, info in CLASSES.items() if info.role is Role.AREA]
_COLOURS = ("red", "white", "blue", "grey")


@st.composite
def _objects(draw: st.DrawFn, size: int) -> tuple[TileObject, ...]:
    """Draw objects of one cell each of a 12 × 12 grid, so that they never overlap; some are points, some cut."""
    cell = size / 12
    cells = draw(st.lists(st.integers(0, 143), max_size=40, unique=True))
    return tuple(
        draw(_object(index, (place % 12 + 0.5) * cell, (place // 12 + 0.5) * cell, cell))
        for index, place in enumerate(cells)
    )


@st.composite
def _object(draw: st.DrawFn, index: int, x: float, y: float, cell: float) -> TileObject:
    name = draw(st.sampled_from(_OBJECT_NAMES))
    outline = draw(st.sampled_from(list(Outline)))
    long, short = cell * draw(st.floats(0.3, 0.65)), cell * draw(st.floats(0.2, 0.3))
    upright = box(x - long / 2, y - short / 2, x + long / 2, y + short / 2)
    geometry: Polygon | Point = upright
    if outline is Outline.POINT:
        geometry = Point(x, y)
    elif outline is not Outline.BOX:
        geometry = affinity.rotate(upright, draw(st.floats(0, 180)))
    attributes: dict[str, Any] = {}
    if draw(st.booleans()):
        attributes["colour"] = draw(st.sampled_from(_COLOURS))
    if CLASSES[name].kind == "vehicle" and draw(st.booleans()):
        attributes["moving"] = draw(st.booleans())
    return TileObject(
        object_id=f"objects:{index}",
        class_name=name,
        geometry=geometry,
        outline=outline,
        visible_share=draw(st.sampled_from((1.0, 1.0, 1.0, 1.0, 0.7, 0.5, 0.2))),
        is_certain=draw(st.sampled_from((True, True, True, True, False))),
        attributes=attributes,
    )


@st.composite
def _areas(draw: st.DrawFn, size: int, names: list[str], prefix: str) -> tuple[Area, ...]:
    """Draw vertical strips that cover the tile, or leave a strip out."""
    edges = [0, *sorted(draw(st.sets(st.integers(1, size - 1), max_size=4))), size]
    drawn = [draw(st.sampled_from([*names, None])) for _ in edges[1:]]
    return tuple(
        Area(area_id=f"{prefix}:{index}", class_name=name, geometry=box(left, 0, right, size))
        for index, (left, right, name) in enumerate(zip(edges, edges[1:], drawn, strict=False))
        if name is not None
    )


def _roads(size: int, streets: int) -> tuple[Road, ...]:
    """Return a grid of named streets, cut at their junctions."""
    stops = [round(size * (step + 0.5) / streets, 1) for step in range(streets)] if streets else []
    pieces = [
        (
            LineString([(a, fixed), (b, fixed)] if is_level else [(fixed, a), (fixed, b)]),
            f"Street {line}{'EN'[is_level]}",
        )
        for is_level in (True, False)
        for line, fixed in enumerate(stops)
        for a, b in zip([0, *stops], [*stops, size], strict=True)
    ]
    return tuple(
        Road(road_id=f"roads:{index}", class_name="road", geometry=line, attributes={"name": name})
        for index, (line, name) in enumerate(pieces)
    )


@st.composite
def facts(draw: st.DrawFn, *, size: int = 600, dates: bool = True) -> TileFacts:
    """Draw plausible and implausible tiles: cut, doubtful and incomplete labels, with and without metres."""
    gsd = draw(st.sampled_from((None, Gsd(0.3, 0.3), Gsd(0.5, 0.6))))
    later = draw(st.none() | facts(size=size, dates=False)) if dates else None
    return TileFacts(
        tile_id="scene/0_0" if dates else "later/0_0",
        width=size,
        height=size,
        classes=CLASSES,
        objects=draw(_objects(size)),
        areas=draw(_areas(size, _AREA_NAMES, "areas")),
        roads=_roads(size, draw(st.integers(0, 4))),
        anomalies=draw(_areas(size, ["burnt", "flooded"], "anomalies")),
        complete_classes=draw(st.just(frozenset(CLASSES)) | st.frozensets(st.sampled_from(sorted(CLASSES)))),
        has_anomaly_layer=draw(st.booleans()),
        gsd_m=gsd,
        has_true_colours=draw(st.sampled_from((True, True, False))),
        north_deg=None if gsd is None else draw(st.sampled_from((0.0, 3.0, 90.0, 200.0))),
        date=dt.date(2020, 5, 1) if dates else dt.date(2023, 5, 1),
        later=later,
        missing={} if later else {"later": "no second date"},
    )
