"""Which land-use classes cover the tile, and which one covers a numbered circle.

Shares are of the whole tile, or of the circle, and come from the union of a class's areas. A class near the threshold
is neither a right option nor a wrong one: it is left out. One well below it is as wrong as one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, Circle, ClassInfo, Role, TileFacts
from rsvqa.annotation.questions import REGION_SLOT, Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import ask_each, shuffled, take_turns
from rsvqa.annotation.tasks.distractors import absent_classes, class_distractors, classes_on_tile, may_mean_the_same
from rsvqa.annotation.tasks.geometry import circle_polygon
from rsvqa.annotation.tasks.land_cover import certain_areas, cover_of, ground_areas
from rsvqa.annotation.tasks.regions import circle_near, keeps_clear, radius_limits, spot_in
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

ROLES = frozenset({Role.AREA})
NUM_OPTIONS = 4
MAX_RIGHT = 3

LISTED_SHARE_PERCENT = 2
"""A class is right when it covers at least this; the question says so."""

SURE_SHARE = 0.03
"""Share from which nobody doubts that the threshold is reached."""

SURELY_BELOW_SHARE = 0.01
"""Share up to which nobody thinks so; classes between this and `SURE_SHARE` are left out."""

MAIN_SHARE = 0.8
SECOND_SHARE = 0.15
COVERING_SHARE = 0.99
"""A circle is of one class when that covers `MAIN_SHARE` and no other `SECOND_SHARE` of it; a class that is not fully
labelled must cover it all, since what is unlabelled may be of another class."""

CENTRES_AN_AREA = 2

MIN_LOOK_SHARE = 0.6
"""A class that is seen at fewer of the places looked at is not taken for the main one; well below `MAIN_SHARE`."""

_LOOK_TURNS = np.arange(12) * np.pi / 6
_LOOK_RADII = np.tile([0.5, 0.85], 6)
_LOOK_X = np.append(0.0, _LOOK_RADII * np.cos(_LOOK_TURNS))
_LOOK_Y = np.append(0.0, _LOOK_RADII * np.sin(_LOOK_TURNS))
"""Places in a disc of radius 1: its centre, and two rings of six."""


@task("overall_land_use")
def ask_overall_land_use(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask which classes cover the tile; with a second question only when other right classes are left."""
    shares = class_shares(context)
    if not shares:
        yield NotAsked("no land-use areas")
        return
    right = _sure_classes(context, shares)
    if not right:
        yield NotAsked("no class is certainly above the threshold")
        return
    below = _classes_below(context, shares)
    possible = shuffled([*absent_classes(context.facts, ROLES), *below], context.rng)
    wrong = _different(possible, len(possible))
    for first in range(0, min(len(right), MAX_RIGHT * context.limit), MAX_RIGHT):
        chosen = right[first : first + MAX_RIGHT]
        if len(wrong) < NUM_OPTIONS - len(chosen):
            yield NotAsked("too few classes are known to be absent, or to cover less")
            return
        yield _overall_question(context, chosen, wrong, shares)


@task("regional_land_use")
def ask_regional_land_use(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for the class that covers a circle."""
    facts, areas = context.facts, ground_areas(context)
    if not areas:
        yield NotAsked("no land-use areas")
        return
    limits = radius_limits(facts)
    if limits is None:
        yield NotAsked("the tile is too small for regions")
        return
    tree = shapely.STRtree([area.geometry for area in areas])
    taken: list[Circle] = []

    def ask(area: Area) -> Question | NotAsked:
        # the smaller of two draws: a large circle is seldom of one class
        radius = min(context.rng.randint(*limits), context.rng.randint(*limits))
        circle = circle_near(facts, spot_in(area.geometry, context.rng), radius)
        if not keeps_clear(facts, circle, taken):
            return NotAsked("too near to another region")
        result = _ask_in_region(context, circle, tree)
        if isinstance(result, Question):
            taken.append(circle)
        return result

    yield from ask_each(context, _areas_to_try(context), ask)


def class_shares(context: TaskContext) -> dict[str, float]:
    """Return the share of the tile, by class name, that the certain areas of each class cover.

    Classes without a certain area are left out; with an uncertain one beside it, at least the share is sure.
    """
    total = context.facts.width * context.facts.height
    return {name: cover_of(context, name).area / total for name in certain_areas(context)}


def _sure_classes(context: TaskContext, shares: dict[str, float]) -> list[ClassInfo]:
    """Return the classes that are surely listed, shuffled, no two of which may mean the same."""
    classes = context.facts.classes
    sure = [classes[name] for name in sorted(shares) if shares[name] >= SURE_SHARE]
    return _different(shuffled(sure, context.rng), len(sure))


def _classes_below(context: TaskContext, shares: dict[str, float]) -> list[ClassInfo]:
    """Return the classes that are here but surely not listed: fully labelled, and of no class that is here as well."""
    facts = context.facts
    doubtful = {area.class_name for area in ground_areas(context) if not area.is_certain}
    present = [facts.classes[name] for name in classes_on_tile(facts)]
    return [
        facts.classes[name]
        for name in sorted(shares)
        if shares[name] <= SURELY_BELOW_SHARE
        and name in facts.complete_classes - doubtful
        and not any(other.name != name and may_mean_the_same(facts.classes[name], other) for other in present)
    ]


def _different(classes: list[ClassInfo], count: int) -> list[ClassInfo]:
    """Return the first `count` classes of which no two may mean the same; fewer when there are fewer."""
    chosen: list[ClassInfo] = []
    for info in classes:
        if len(chosen) < count and not any(may_mean_the_same(info, other) for other in chosen):
            chosen.append(info)
    return chosen


def _overall_question(
    context: TaskContext, right: list[ClassInfo], wrong: list[ClassInfo], shares: dict[str, float]
) -> Question:
    options = [Option(info.singular, is_right=True) for info in right]
    options += [Option(info.singular, is_right=False) for info in wrong]
    return Question(
        task="overall_land_use",
        form=AnswerForm.SEVERAL_OF,
        text=context.phrases.pick(context.rng, "overall_land_use.question", percent=LISTED_SHARE_PERCENT),
        options=tuple(options),
        evidence=Evidence(
            rule="area_share_of_tile",
            feature_ids=tuple(
                area.area_id for area in ground_areas(context) if area.class_name in {info.name for info in right}
            ),
            values={
                "shares": {info.name: round(shares[info.name], 4) for info in right},
                "absent": [info.name for info in wrong if info.name not in shares],
                "below": {info.name: round(shares[info.name], 4) for info in wrong if info.name in shares},
            },
        ),
        strata=("tile",),
    )


def _areas_to_try(context: TaskContext) -> list[Area]:
    """Return certain areas, classes taking turns; each several times, since the centre is drawn anew."""
    by_class = certain_areas(context).values()
    turns = [shuffled(areas, context.rng) * CENTRES_AN_AREA for areas in by_class]
    return take_turns(shuffled(turns, context.rng))


def _ask_in_region(context: TaskContext, circle: Circle, tree: shapely.STRtree) -> Question | NotAsked:
    facts = context.facts
    disc = circle_polygon(circle)
    areas = ground_areas(context)
    inside = [areas[index] for index in sorted(tree.query(disc, predicate="intersects"))]
    if not all(area.is_certain for area in inside):
        return NotAsked("an uncertain area is in the region")
    shares = shares_of_disc(disc, inside)
    main = max(shares, key=lambda name: shares[name], default=None)
    if main is None or not is_of_one_class(facts, shares, main):
        return NotAsked("the region is not of one class")
    right = facts.classes[main]
    wrong = class_distractors(facts, right, context.rng, roles=ROLES, count=len(facts.classes), exclude=tuple(shares))
    if len(wrong) < NUM_OPTIONS - 1:
        return NotAsked("too few classes for wrong options")
    options = (Option(right.singular, is_right=True), *(Option(info.singular, is_right=False) for info in wrong))
    return Question(
        task="regional_land_use",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "regional_land_use.question", region=REGION_SLOT),
        options=options,
        evidence=Evidence(
            rule="area_share_of_circle",
            feature_ids=tuple(area.area_id for area in inside if area.class_name == main),
            values={"shares": {name: round(share, 4) for name, share in shares.items()}},
        ),
        region=circle,
        strata=("region",),
    )


def shares_of_disc(disc: Polygon, areas: list[Area]) -> dict[str, float]:
    """Return the share of the disc that each class covers, sorted by name; empty when no class can be the main one."""
    shapes = np.array([area.geometry for area in areas], dtype=object)
    names = [area.class_name for area in areas]
    if not _may_be_of_one_class(disc, shapes, names):
        return {}
    cut = shapely.intersection(shapes, disc)
    parts: dict[str, list[BaseGeometry]] = {}
    for name, geometry in zip(names, cut, strict=True):
        parts.setdefault(name, []).append(geometry)
    # the sum is never less than the area of the union, which takes far longer
    if all(sum(part.area for part in found) < MAIN_SHARE * disc.area for found in parts.values()):
        return {}
    return {name: shapely.union_all(parts[name]).area / disc.area for name in sorted(parts)}


def _may_be_of_one_class(disc: Polygon, shapes: NDArray[np.object_], names: list[str]) -> bool:
    """Return whether some class covers most of a few places of the disc: a look that refuses most discs quickly."""
    x_min, y_min, x_max, y_max = disc.bounds
    x = (x_min + x_max) / 2 + _LOOK_X * (x_max - x_min) / 2
    y = (y_min + y_max) / 2 + _LOOK_Y * (y_max - y_min) / 2
    is_covered = shapely.contains_xy(shapes[:, None], x, y)
    rows = np.array(names)
    return any(is_covered[rows == name].any(axis=0).mean() >= MIN_LOOK_SHARE for name in set(names))


def is_of_one_class(facts: TileFacts, shares: dict[str, float], main: str) -> bool:
    """Return whether the class covers the region so far that no other can be meant."""
    needed = MAIN_SHARE if main in facts.complete_classes else COVERING_SHARE
    others = [share for name, share in shares.items() if name != main]
    return shares[main] >= needed and max(others, default=0.0) < SECOND_SHARE
