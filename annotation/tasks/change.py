"""What has changed between two dates inside a numbered circle: the number of things of a class, or the land use.

What surprises: a thing counts as the same on both dates by its place alone, so only classes of things that stay where
they are can be counted, and a pair that overlaps neither well nor not at all makes the circle doubtful.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import shapely
from shapely import Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Circle, ClassInfo, Outline, Role, TileFacts, TileObject
from rsvqa.annotation.questions import REGION_SLOT, Evidence, NotAsked, Option, Question
from rsvqa.annotation.tasks.candidates import TRIES_A_QUESTION, ask_each, shuffled, spread, take_turns
from rsvqa.annotation.tasks.class_names import may_mean_the_same
from rsvqa.annotation.tasks.countable import objects_in_region
from rsvqa.annotation.tasks.counting import MAX_COUNT
from rsvqa.annotation.tasks.distractors import COUNT_RATIO, number_distractors
from rsvqa.annotation.tasks.geometry import bounds_of, circle_polygon, shown
from rsvqa.annotation.tasks.land_use import is_of_one_class, shares_of_disc
from rsvqa.annotation.tasks.regions import (
    MIN_RADIUS_PX,
    Spot,
    apart,
    centre_of,
    circle_beside,
    circle_near,
    keeps_clear,
    radius_limits,
    spot_in,
)
from rsvqa.annotation.tasks.registry import TaskContext, task
from rsvqa.annotation.taxonomy import AnswerForm

STATIC_KINDS = frozenset({"building", "storage_tank", "bridge", "sport"})
"""Kinds of things that stay where they are; anything else may have moved without having been added or removed."""

NEW_BELOW_IOU = 0.1
SAME_FROM_IOU = 0.5
"""A thing that overlaps none of the other date by more than the first is new or gone; by the second it is the same."""

SEEDS_A_CHANGE = 3
"""How often a circle is looked for at each thing, or in each area, that has changed."""

CLASSES_TOLD = 8
"""Land uses that the options of one question may be about; each two of them make two options."""

Change = Literal["added", "removed", "more", "fewer"]


class _Changed(NamedTuple):
    """The things of a class that are inside a circle on one date only."""

    added: tuple[TileObject, ...]
    removed: tuple[TileObject, ...]

    def things(self, change: Change) -> tuple[TileObject, ...]:
        """Return the things that a change is about."""
        return {"added": self.added, "removed": self.removed}.get(change, (*self.added, *self.removed))

    def numbers(self) -> dict[Change, int]:
        """Return the number to ask for by change; only what has happened, or the answer would often be 0."""
        gain = len(self.added) - len(self.removed)
        numbers: dict[Change, int] = {
            "added": len(self.added),
            "removed": len(self.removed),
            "more": gain,
            "fewer": -gain,
        }
        return {change: number for change, number in numbers.items() if number > 0}


def _no_later_date(facts: TileFacts) -> NotAsked:
    """Return why a tile has no later date; the reason in the facts has numbers, so it is told in fixed words."""
    return NotAsked("dates not aligned" if "aligned" in facts.missing.get("later", "") else "no second date")


@task("change_counting")
def ask_change_counting(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask how many things of a class have been added, or removed, inside a circle."""
    facts, later = context.facts, context.facts.later
    if later is None:
        yield _no_later_date(facts)
        return
    if radius_limits(facts) is None:
        yield NotAsked("the tile is too small for regions")
        return
    static = [item for item in (*later.objects, *facts.objects) if facts.classes[item.class_name].kind in STATIC_KINDS]
    if not static:
        yield NotAsked("no things that stay where they are")
        return
    by_class: dict[str, list[TileObject]] = {}
    for item in static:
        by_class.setdefault(item.class_name, []).append(item)
    changed = _changed_things(context, by_class)
    if not changed:
        yield NotAsked("nothing has changed")
        return
    bounds = {name: bounds_of(objects) for name, objects in by_class.items()}
    by_change: dict[str, list[Question]] = {}
    for item in changed[: context.limit * TRIES_A_QUESTION]:
        circle = circle_beside(facts, bounds[item.class_name], centre_of(item.geometry), context.rng)
        result: Question | NotAsked = NotAsked("every circle tried crosses an object")
        if circle is not None:
            result = _ask_count(context, later, facts.classes[item.class_name], circle)
        if isinstance(result, NotAsked):
            yield result
        else:
            by_change.setdefault(result.evidence.rule, []).append(result)
    # most circles hold a single change, so the greater numbers go first
    groups = [sorted(group, key=lambda question: -(question.value or 0)) for group in by_change.values()]
    yield from apart(context, take_turns(shuffled(groups, context.rng)))


@task("land_use_change")
def ask_land_use_change(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask how the land use of a circle has changed, or that it has not."""
    facts, later = context.facts, context.facts.later
    if later is None:
        yield _no_later_date(facts)
        return
    limits = radius_limits(facts)
    if limits is None:
        yield NotAsked("the tile is too small for regions")
        return
    if not facts.areas or not later.areas:
        yield NotAsked("no land-use areas on both dates")
        return
    covers = _Cover(facts), _Cover(later)
    taken: list[Circle] = []
    num_changed = num_kept = 0

    def ask(spot: Spot) -> Question | NotAsked:
        nonlocal num_changed, num_kept
        # the smaller of two draws: a large circle is seldom of one class on both dates
        radius = min(context.rng.randint(*limits), context.rng.randint(*limits))
        circle = circle_near(facts, spot, radius)
        if not keeps_clear(facts, circle, taken):
            return NotAsked("too near to another region")
        result = _ask_land_use(context, covers, circle)
        if isinstance(result, NotAsked):
            return result
        if _is_kept(result):
            # most land stays what it is: "no change" would be right of most circles
            if num_kept >= num_changed:
                return NotAsked("no change of land use to set against")
            num_kept += 1
        else:
            num_changed += 1
        taken.append(circle)
        return result

    yield from ask_each(context, _spots_of_change(context, facts, later), ask)


def _changed_things(context: TaskContext, classes: Iterable[str]) -> list[TileObject]:
    """Return the things of some classes that are there on one date only, in the order to look for circles at."""
    facts, later = context.facts, context.facts.later
    assert later is not None
    changed: list[TileObject] = []
    for name in classes:
        before = [item for item in facts.objects if item.class_name == name]
        after = [item for item in later.objects if item.class_name == name]
        for group, others in ((after, before), (before, after)):
            overlaps = _best_ious(group, others)
            changed += [item for item, iou in zip(group, overlaps, strict=True) if iou <= NEW_BELOW_IOU]
    return [item for _ in range(SEEDS_A_CHANGE) for item in spread(facts, changed, context.rng)]


def _ask_count(context: TaskContext, later: TileFacts, info: ClassInfo, circle: Circle) -> Question | NotAsked:
    changed = _changed_in(context.facts, later, info, circle)
    if isinstance(changed, NotAsked):
        return changed
    numbers = changed.numbers()
    if not numbers:
        return NotAsked("nothing changed in the region")
    change = context.rng.choice(list(numbers))
    count, things = numbers[change], changed.things(change)
    if count > MAX_COUNT:
        return NotAsked("too many objects to be counted by eye")
    options = [Option(str(count), is_right=True)]
    options += [Option(str(wrong), is_right=False) for wrong in number_distractors(count, context.rng)]
    return Question(
        task="change_counting",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, f"change_counting.{change}", plural=info.plural, region=REGION_SLOT),
        options=tuple(options),
        evidence=Evidence(
            rule=f"count_{change}_inside_circle",
            feature_ids=tuple(item.object_id for item in things),
            geometry=shown([item.geometry for item in things]),
            values={
                "class": info.name,
                "count": count,
                "added": [item.object_id for item in changed.added],
                "removed": [item.object_id for item in changed.removed],
            },
        ),
        region=circle,
        num_dates=2,
        strata=(change, info.name),
        pool=change,
        value=count,
        min_ratio=COUNT_RATIO,
    )


def _changed_in(facts: TileFacts, later: TileFacts, info: ClassInfo, circle: Circle) -> _Changed | NotAsked:
    """Return the things of a class inside a circle that are there on one date only, or why that is doubtful."""
    disc = circle_polygon(circle)
    before = objects_in_region(facts, info.name, disc)
    if isinstance(before, NotAsked):
        return before
    after = objects_in_region(later, info.name, disc)
    if isinstance(after, NotAsked):
        return after
    if any(item.outline is Outline.POINT for item in (*before, *after)):
        return NotAsked("points do not tell whether a thing is the same")
    if any(item.attributes.get("damage") == "destroyed" for item in (*before, *after)):
        return NotAsked("a destroyed thing is labelled as if it stood")  # xBD copies the outlines of the earlier date
    overlaps = (_best_ious(list(after), list(before)), _best_ious(list(before), list(after)))
    if any(NEW_BELOW_IOU < iou < SAME_FROM_IOU for ious in overlaps for iou in ious):
        return NotAsked("doubtful whether a thing is the same on both dates")
    added = tuple(item for item, iou in zip(after, overlaps[0], strict=True) if iou <= NEW_BELOW_IOU)
    removed = tuple(item for item, iou in zip(before, overlaps[1], strict=True) if iou <= NEW_BELOW_IOU)
    if len(after) - len(added) != len(before) - len(removed):
        return NotAsked("doubtful whether a thing is the same on both dates")
    return _Changed(added, removed)


def _best_ious(items: list[TileObject], others: list[TileObject]) -> list[float]:
    """Return for each item the greatest intersection over union with one of the others; 0 without any."""
    best = [0.0] * len(items)
    if not items or not others:
        return best
    geometries = np.array([item.geometry for item in items], dtype=object)
    candidates = np.array([item.geometry for item in others], dtype=object)
    first, second = STRtree(candidates).query(geometries, predicate="intersects")
    shared = shapely.area(shapely.intersection(geometries[first], candidates[second]))
    union = shapely.area(geometries[first]) + shapely.area(candidates[second]) - shared
    for index, overlap in zip(first, np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), strict=True):
        best[index] = max(best[index], float(overlap))
    return best


class _Cover:
    """The land use of one date, for looking up what covers a circle."""

    def __init__(self, facts: TileFacts) -> None:
        self._facts = facts
        self._tree = STRtree([area.geometry for area in facts.areas])

    def class_of(self, disc: Polygon) -> tuple[ClassInfo, tuple[str, ...], float] | NotAsked:
        """Return the class that covers a disc, the ids of its areas, and its share."""
        inside = [self._facts.areas[index] for index in sorted(self._tree.query(disc, predicate="intersects"))]
        if not all(area.is_certain for area in inside):
            return NotAsked("an uncertain area is in the region")
        shares = shares_of_disc(disc, inside)
        main = max(shares, key=lambda name: shares[name], default=None)
        if main is None or not is_of_one_class(self._facts, shares, main):
            return NotAsked("the region is not of one class on both dates")
        ids = tuple(area.area_id for area in inside if area.class_name == main)
        return self._facts.classes[main], ids, shares[main]


def _spots_of_change(context: TaskContext, facts: TileFacts, later: TileFacts) -> list[Spot]:
    """Return places to put circles at: where the class changes, and where it stays, in turns.

    Of ground that has changed the widest place comes first: most circles elsewhere reach beyond it.
    """
    tree = STRtree([area.geometry for area in facts.areas])
    widest: list[Spot] = []
    changed: list[Spot] = []
    kept: list[Spot] = []
    for area in shuffled(later.areas, context.rng):
        for index in sorted(tree.query(area.geometry, predicate="intersects").tolist()):
            if facts.areas[index].class_name != area.class_name:
                shared = shapely.intersection(area.geometry, facts.areas[index].geometry)
                widest += [_widest_spot(part) for part in _polygons(shared)]
    for area in shuffled(later.areas, context.rng) * SEEDS_A_CHANGE:
        spot = spot_in(area.geometry, context.rng)
        before = tree.query(shapely.Point(spot), predicate="intersects")
        is_kept = any(facts.areas[index].class_name == area.class_name for index in before)
        (kept if is_kept else changed).append(spot)
    return take_turns([widest + changed, kept])


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    """Return the polygons of a geometry that a circle could lie in."""
    least = math.pi * MIN_RADIUS_PX**2
    return [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon) and part.area >= least]


def _widest_spot(polygon: Polygon) -> Spot:
    circle = shapely.maximum_inscribed_circle(polygon, tolerance=1.0)
    return Spot(*shapely.get_coordinates(circle)[0].tolist())


def _ask_land_use(context: TaskContext, covers: tuple[_Cover, _Cover], circle: Circle) -> Question | NotAsked:
    disc = circle_polygon(circle)
    before = covers[0].class_of(disc)
    if isinstance(before, NotAsked):
        return before
    after = covers[1].class_of(disc)
    if isinstance(after, NotAsked):
        return after
    (first, first_ids, first_share), (second, second_ids, second_share) = before, after
    if first.name != second.name and may_mean_the_same(first, second):
        return NotAsked("the two classes may mean the same")
    classes = _told_classes(context, first, second)
    if len(classes) < 2:
        return NotAsked("too few classes for wrong options")
    options = [
        Option(_told(context, *pair), is_right=pair == (first, second)) for pair in itertools.product(classes, repeat=2)
    ]
    return Question(
        task="land_use_change",
        form=AnswerForm.ONE_OF,
        text=context.phrases.pick(context.rng, "land_use_change.question", region=REGION_SLOT),
        options=tuple(options),
        evidence=Evidence(
            rule="area_share_of_circle_on_two_dates",
            feature_ids=first_ids + second_ids,
            values={
                "before": {"class": first.name, "share": round(first_share, 4)},
                "after": {"class": second.name, "share": round(second_share, 4)},
            },
        ),
        region=circle,
        num_dates=2,
        strata=("change",),
    )


def _is_kept(question: Question) -> bool:
    """Return whether a question about land use is about land that has not changed."""
    values = question.evidence.values
    return bool(values["before"]["class"] == values["after"]["class"])


def _told_classes(context: TaskContext, first: ClassInfo, second: ClassInfo) -> list[ClassInfo]:
    """Return the classes that options are about, the right ones among them, those on the tile first.

    No two may mean the same, so all that can happen between two of them is certainly wrong but for what did. Were the
    options drawn around the right one here, the class that most of them name would give it away; which of them are
    shown is chosen over the data set.
    """
    on_tile = {area.class_name for tile in (context.facts, context.facts.later) if tile for area in tile.areas}
    others = [info for info in context.facts.classes.values() if info.role is Role.AREA]
    told = [first, second] if first.name != second.name else [first]
    for info in sorted(shuffled(others, context.rng), key=lambda info: info.name not in on_tile):
        if len(told) < CLASSES_TOLD and not any(may_mean_the_same(info, other) for other in told):
            told.append(info)
    return told


def _told(context: TaskContext, first: ClassInfo, second: ClassInfo) -> str:
    if first.name == second.name:
        return context.phrases.text("land_use_change.same", noun=first.singular)
    return context.phrases.text("land_use_change.changed", first=first.singular, second=second.singular)
