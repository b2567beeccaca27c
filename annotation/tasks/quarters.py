"""In which quarter of a tile something about the environment is strongest: comparisons of measured shares."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import shapely
from shapely import Polygon

from rsvqa.annotation.facts import ClassKind, Role, TileFacts
from rsvqa.annotation.questions import Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.environmental_measures import (
    BUILT_OVER,
    COOLING,
    FARMED,
    MIN_BUILDINGS,
    PLANTED,
    WOODED,
)
from rsvqa.annotation.tasks.land_cover import certain_areas, cover_of, dissolved, share_ground
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile
from rsvqa.annotation.taxonomy import AnswerForm

Theme = Literal["run_off", "soaking", "coolness", "farming", "fire", "dust", "people", "noise"]

GROUND: dict[Theme, tuple[ClassKind, ...]] = {
    "run_off": BUILT_OVER,
    "soaking": PLANTED,
    "coolness": COOLING,
    "farming": FARMED,
    "fire": WOODED,
    "dust": ("bare",),
}
"""What a quarter is judged by: its share of the ground of these kinds."""

THEMES: tuple[Theme, ...] = (*GROUND, "people", "noise")
"""The others are judged by the buildings and by the roads. Keys of `environmental_reasoning.quarter` in the wording."""

QUARTERS = ("upper_left", "upper_right", "lower_left", "lower_right")

LEAD_RATIO = 1.5
LEAD_SHARE = 0.1
"""The first quarter has so many times the share of the second, and leads by this share: of its own area, or of all
buildings or roads."""

MAX_BUILDINGS = 2_000
"""More are too many for an eye to compare, and for the evidence to list."""

MIN_ROAD_SHARE = 1.0
"""Roads are compared where they are longer than so many times the tile's shorter side."""

LABELLED_SHARE = 0.99
"""Ground without a label might be of the kind: a tile with less labelled is not compared."""


class _Shares(NamedTuple):
    """Shares of the four quarters, in the order of `QUARTERS`, and the areas that they rest on."""

    shares: list[float]
    feature_ids: tuple[str, ...]


def ask_quarter(context: TaskContext, theme: Theme) -> Question | NotAsked:
    """Ask in which quarter of the tile the ground, the buildings or the roads of a theme have the greatest share."""
    if theme == "people":
        measured = _of_buildings(context)
    elif theme == "noise":
        measured = _of_roads(context)
    else:
        measured = _shares(context, GROUND[theme])
    if isinstance(measured, NotAsked):
        return measured
    order = sorted(range(4), key=lambda index: -measured.shares[index])
    first, second = (measured.shares[index] for index in order[:2])
    if first - second < LEAD_SHARE or first < LEAD_RATIO * second:
        return NotAsked("no quarter leads clearly")
    phrases = context.phrases
    return Question(
        task="environmental_reasoning",
        form=AnswerForm.ONE_OF,
        text=phrases.pick(context.rng, f"environmental_reasoning.quarter.{theme}"),
        options=tuple(
            Option(phrases.text(f"environmental_reasoning.quarters.{name}"), is_right=index == order[0])
            for index, name in enumerate(QUARTERS)
        ),
        evidence=Evidence(
            rule=f"quarter_of_most_{theme}",
            feature_ids=measured.feature_ids,
            values={"shares": dict(zip(QUARTERS, (round(share, 4) for share in measured.shares), strict=True))},
        ),
        strata=("quarter", theme),
    )


def _of_buildings(context: TaskContext) -> _Shares | NotAsked:
    """Return which share of all buildings has its centre in each quarter."""
    facts = context.facts
    names = {info.name for info in facts.classes.values() if info.role is Role.OBJECT and info.kind == "building"}
    buildings = [item for item in facts.objects if item.class_name in names]
    if not names <= facts.complete_classes or not all(item.is_certain for item in buildings):
        return NotAsked("buildings not fully labelled, or uncertain")
    if not MIN_BUILDINGS <= len(buildings) <= MAX_BUILDINGS:
        return NotAsked("too few or too many buildings")
    centres = shapely.get_coordinates(shapely.centroid([item.geometry for item in buildings]))
    columns, rows = (centres >= (facts.width / 2, facts.height / 2)).astype(int).T
    counts = np.bincount(2 * rows + columns, minlength=4)
    return _Shares((counts / len(buildings)).tolist(), tuple(item.object_id for item in buildings))


def _of_roads(context: TaskContext) -> _Shares | NotAsked:
    """Return which share of the length of all roads lies in each quarter."""
    facts = context.facts
    if not {road.class_name for road in facts.roads} <= facts.complete_classes:
        return NotAsked("roads not fully labelled")
    lines = shapely.union_all([road.geometry for road in facts.roads])
    if lines.length < MIN_ROAD_SHARE * min(facts.width, facts.height):
        return NotAsked("too few roads")
    parts = [shapely.intersection(lines, quarter).length for quarter in _quarters(facts)]
    return _Shares([part / sum(parts) for part in parts], tuple(road.road_id for road in facts.roads))


def _shares(context: TaskContext, kinds: tuple[ClassKind, ...]) -> _Shares | NotAsked:
    """Return the share of each quarter that ground of some kinds covers."""
    facts = context.facts
    if not _is_labelled(context):
        return NotAsked("ground without a label")
    chosen = [name for name in certain_areas(context) if facts.classes[name].kind in kinds]
    if len(chosen) > 1 and share_ground(context):
        ground = dissolved([cover_of(context, name) for name in chosen])
        shares = [float(shapely.intersection(ground, quarter).area / quarter.area) for quarter in _quarters(facts)]
    else:
        shares = np.sum([_class_shares(context, name) for name in chosen] or [[0.0] * 4], axis=0).tolist()
    return _Shares(shares, tuple(area.area_id for name in chosen for area in certain_areas(context)[name]))


@once_a_tile
def _is_labelled(context: TaskContext) -> bool:
    """Return whether nearly all ground of the tile has a label that tells its kind."""
    facts = context.facts
    grounds = [cover_of(context, name) for name in certain_areas(context) if facts.classes[name].kind != "other"]
    least = LABELLED_SHARE * facts.width * facts.height
    # Together they cover no more than each by itself: the union of a whole map takes longer than all else here.
    if sum(ground.area for ground in grounds) < least:
        return False
    return not share_ground(context) or dissolved(grounds).area >= least


@once_a_tile
def _class_shares(context: TaskContext, class_name: str) -> list[float]:
    """Return the share of each quarter that the areas of a class cover."""
    ground = cover_of(context, class_name)
    return [float(shapely.intersection(ground, quarter).area / quarter.area) for quarter in _quarters(context.facts)]


def _quarters(facts: TileFacts) -> list[Polygon]:
    width, height = facts.width / 2, facts.height / 2
    return [shapely.box(x, y, x + width, y + height) for y in (0.0, height) for x in (0.0, width)]
