"""Captions of a whole tile (overall, nine parts, inference, as XLRS-Bench asks for) and of a numbered circle.

Every statement is computed from the labels. What surprises: nothing is said of what is not labelled, not even that it
is not, so a part without a label has no sentence, and a number is only given where the labels of a class are complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Circle, Outline, TileObject
from rsvqa.annotation.questions import REGION_SLOT, Evidence, NotAsked, Question
from rsvqa.annotation.tasks.candidates import ask_each, shuffled, take_turns
from rsvqa.annotation.tasks.class_names import may_mean_the_same
from rsvqa.annotation.tasks.countable import MIN_COUNTED_SIDE_PX
from rsvqa.annotation.tasks.environmental_rules import RULES, RuleVerdict, judge_all
from rsvqa.annotation.tasks.geometry import circle_polygon
from rsvqa.annotation.tasks.image_scale import with_scale
from rsvqa.annotation.tasks.land_cover import certain_areas, cover_of
from rsvqa.annotation.tasks.parts import PARTS, part_polygons
from rsvqa.annotation.tasks.regions import Spot, circle_near, keeps_clear, radius_limits, spot_in
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile, task
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.wording.phrases import Phrases

MIN_PARTS = 3
"""A tile with labels in fewer of its nine parts is not described."""

NAMED_SHARE = 0.05
"""Land use that covers less of a part is not worth a word."""

MAIN_SHARE = 0.6
"""Land use that covers this share is what a part mostly is."""

MAX_LAND_USES = 4
MAX_CLASSES = 6
MAX_INFERENCES = 3
"""What is named in one sentence, and the conclusions drawn: a caption is to be read."""

INSIDE_SHARE = 0.98
"""An object with this share of its area in a part counts there; between this and its complement it is on the border."""

OVERLAP_SHARE = 1e-6
"""Areas of a class that overlap by a smaller share do so by rounding."""

MIN_ROAD_SHARE = 0.2
"""A road inside a part is at least this long, as a share of the square root of the part's area."""


@dataclass(frozen=True, slots=True)
class RegionContent:
    """What the labels say of one region of a tile.

    Attributes:
        shares: of the region's area by land-use class, the greatest first.
        counts: of objects by class: the number, or None where it is not sure but there are several.
        road_length: in pixels.
        feature_ids: of all that.
    """

    shares: dict[str, float]
    counts: dict[str, int | None]
    road_length: float
    feature_ids: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to say."""
        return not (self.shares or self.counts or self.road_length)


class ContentFinder:
    """Looks up what lies in a region of one tile."""

    def __init__(self, context: TaskContext) -> None:
        facts = context.facts
        self._facts = facts
        doubtful = {area.class_name for area in facts.areas if not area.is_certain}
        self._areas = [area for area in facts.areas if area.class_name not in doubtful]
        self._area_shapes = np.array([area.geometry for area in self._areas], dtype=object)
        self._overlapping = {name for name in certain_areas(context) if _overlaps(context, name)}
        self._object_shapes = np.array([item.geometry for item in facts.objects], dtype=object)
        self._road_shapes = np.array([road.geometry for road in facts.roads], dtype=object)
        self._area_tree = STRtree(self._area_shapes)
        self._object_tree = STRtree(self._object_shapes)
        self._road_tree = STRtree(self._road_shapes)
        by_class: dict[str, list[TileObject]] = {}
        for item in facts.objects:
            by_class.setdefault(item.class_name, []).append(item)
        self._counted = {name for name in by_class if self._is_countable(name, by_class)}

    def find(self, region: Polygon) -> RegionContent:
        """Return what lies in `region`, tile pixels."""
        shares, area_ids = self._land_use(region)
        counts, object_ids = self._objects(region)
        length, road_ids = self._roads(region)
        return RegionContent(shares, counts, length, (*area_ids, *object_ids, *road_ids))

    def _land_use(self, region: Polygon) -> tuple[dict[str, float], list[str]]:
        near = np.sort(self._area_tree.query(region, predicate="intersects"))
        clipped = self._area_shapes[near]
        is_cut = ~shapely.covers(region, clipped)
        clipped[is_cut] = shapely.intersection(clipped[is_cut], region)
        by_class: dict[str, list[BaseGeometry]] = {}
        for index, geometry in zip(near, clipped, strict=True):
            by_class.setdefault(self._areas[index].class_name, []).append(geometry)
        shares = {name: self._area(name, parts) / region.area for name, parts in by_class.items()}
        named = sorted((name for name in shares if shares[name] >= NAMED_SHARE), key=lambda name: (-shares[name], name))
        ids = [self._areas[index].area_id for index in near if self._areas[index].class_name in named[:MAX_LAND_USES]]
        return {name: shares[name] for name in named[:MAX_LAND_USES]}, ids

    def _area(self, name: str, parts: Sequence[BaseGeometry]) -> float:
        """Return the area of parts of one class together."""
        if name in self._overlapping:
            return float(shapely.union_all(parts).area)
        return float(shapely.area(parts).sum())

    def _objects(self, region: Polygon) -> tuple[dict[str, int | None], list[str]]:
        objects = self._facts.objects
        near = np.sort(self._object_tree.query(region, predicate="intersects"))
        is_inside = shapely.covers(region, self._object_shapes[near])
        inside: dict[str, list[TileObject]] = {}
        on_border: set[str] = set()
        for index, is_whole_inside in zip(near, is_inside, strict=True):
            item = objects[index]
            share = 1.0 if is_whole_inside else self._share_inside(index, region)
            if share >= INSIDE_SHARE:
                inside.setdefault(item.class_name, []).append(item)
            elif share > 1 - INSIDE_SHARE:
                on_border.add(item.class_name)
        counts: dict[str, int | None] = {}
        for name, items in inside.items():
            if name in self._counted and name not in on_border and all(item.is_whole for item in items):
                counts[name] = len(items)
            elif sum(item.is_askable for item in items) > 1:
                counts[name] = None
        named = sorted(counts, key=lambda name: (-len(inside[name]), name))[:MAX_CLASSES]
        ids = [item.object_id for name in named for item in inside[name] if item.is_askable]
        return {name: counts[name] for name in named}, ids

    def _share_inside(self, index: int, region: Polygon) -> float:
        geometry = self._object_shapes[index]
        if not geometry.area:
            return 0.5  # a point on the border has an extent that its label does not tell
        return float(shapely.intersection(geometry, region).area / geometry.area)

    def _roads(self, region: Polygon) -> tuple[float, list[str]]:
        near = np.sort(self._road_tree.query(region, predicate="intersects"))
        lengths = shapely.length(shapely.intersection(self._road_shapes[near], region))
        total = float(lengths.sum())
        if total < MIN_ROAD_SHARE * np.sqrt(region.area):
            return 0.0, []
        return total, [self._facts.roads[index].road_id for index, length in zip(near, lengths, strict=True) if length]

    def _is_countable(self, name: str, by_class: dict[str, list[TileObject]]) -> bool:
        """Return whether all of a class can be made out and told from the members of any other class on the tile."""
        info = self._facts.classes[name]
        others = (self._facts.classes[other] for other in by_class if other != name)
        if name not in self._facts.complete_classes or any(may_mean_the_same(info, other) for other in others):
            return False
        members = by_class[name]
        outlined = [item.geometry for item in members if item.outline is not Outline.POINT]
        bounds = shapely.bounds(np.array(outlined, dtype=object)).reshape(-1, 4)
        sides = np.maximum(bounds[:, 2] - bounds[:, 0], bounds[:, 3] - bounds[:, 1])
        return all(item.is_certain for item in members) and bool((sides >= MIN_COUNTED_SIDE_PX).all())


@once_a_tile
def _content_finder(context: TaskContext) -> ContentFinder:
    return ContentFinder(context)


def _overlaps(context: TaskContext, class_name: str) -> bool:
    """Return whether areas of one class lie over each other; where none do, their areas may be added."""
    each = sum(area.geometry.area for area in certain_areas(context)[class_name])
    return each > cover_of(context, class_name).area * (1 + OVERLAP_SHARE)


@task("detailed_captioning")
def ask_detailed_captioning(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for a caption of the whole tile."""
    facts, phrases = context.facts, context.phrases
    if not (facts.objects or facts.areas or facts.roads):
        yield NotAsked("nothing labelled")
        return
    finder = _content_finder(context)
    whole = finder.find(shapely.box(0, 0, facts.width, facts.height))
    parts = [finder.find(part) for part in part_polygons(facts.width, facts.height)]
    if sum(not part.is_empty for part in parts) < MIN_PARTS:
        yield NotAsked("too few parts with labels")
        return
    verdicts = judge_all(context)
    inferences = _inferences(context, whole, verdicts)
    if not inferences:
        yield NotAsked("nothing to infer")
        return
    sentences = [
        _about(context, content, phrases.text("detailed_captioning.part", part=phrases.text(f"part.{name}")))
        for name, content in zip(PARTS, parts, strict=True)
        if not content.is_empty
    ]
    yield Question(
        task="detailed_captioning",
        form=AnswerForm.TEXT,
        text=with_scale(context, phrases.pick(context.rng, "detailed_captioning.question")),
        answer="\n".join((_overall(context, whole), " ".join(sentences), " ".join(inferences.values()))),
        evidence=Evidence(
            rule="caption_from_labels",
            values={
                "overall": _values(whole),
                "parts": {name: _values(content) for name, content in zip(PARTS, parts, strict=True)},
                "inferences": list(inferences),
            },
        ),
    )


@task("regional_captioning")
def ask_regional_captioning(context: TaskContext) -> Iterator[Question | NotAsked]:
    """Ask for a caption of a circle around something labelled."""
    facts = context.facts
    if not (facts.objects or facts.areas):
        yield NotAsked("nothing labelled")
        return
    limits = radius_limits(facts)
    if limits is None:
        yield NotAsked("the tile is too small for regions")
        return
    finder = _content_finder(context)
    taken: list[Circle] = []

    def ask(spot: Spot) -> Question | NotAsked:
        circle = circle_near(facts, spot, context.rng.randint(*limits))
        if not keeps_clear(facts, circle, taken):
            return NotAsked("too near to another region")
        content = finder.find(circle_polygon(circle))
        if len(content.shares) + len(content.counts) + bool(content.road_length) < 2:
            return NotAsked("too little labelled in the region")
        taken.append(circle)
        return _regional_question(context, circle, content)

    yield from ask_each(context, _spots(context), ask)


def _spots(context: TaskContext) -> list[Spot]:
    """Return places inside areas and at objects, in turns."""
    facts, rng = context.facts, context.rng
    num = 8 * context.limit  # more are never tried
    areas = [spot_in(area.geometry, rng) for area in shuffled(facts.areas, rng)[:num]]
    centres = [item.geometry.centroid for item in shuffled(facts.objects, rng)[:num]]
    return take_turns([areas, [Spot(centre.x, centre.y) for centre in centres]])


def _regional_question(context: TaskContext, circle: Circle, content: RegionContent) -> Question:
    phrases, gsd_m = context.phrases, context.facts.gsd_m
    answer = _about(context, content, phrases.text("regional_captioning.place", region=REGION_SLOT))
    if gsd_m is not None:
        metres = _rounded(circle.radius * (gsd_m.x_m + gsd_m.y_m))
        answer += " " + phrases.text("regional_captioning.size", metres=metres)
    return Question(
        task="regional_captioning",
        form=AnswerForm.TEXT,
        text=with_scale(context, phrases.pick(context.rng, "regional_captioning.question", region=REGION_SLOT)),
        answer=answer,
        evidence=Evidence(rule="caption_from_labels", feature_ids=content.feature_ids, values=_values(content)),
        region=circle,
    )


def _overall(context: TaskContext, whole: RegionContent) -> str:
    """Return the sentences about the whole tile."""
    facts, phrases = context.facts, context.phrases
    sentences = []
    if facts.gsd_m is not None:
        width_m, height_m = _rounded(facts.width * facts.gsd_m.x_m), _rounded(facts.height * facts.gsd_m.y_m)
        sentences.append(phrases.text("detailed_captioning.extent", width=width_m, height=height_m))
    else:
        sentences.append(phrases.text("detailed_captioning.view"))
    if whole.shares:
        uses = _joined(phrases, _land_uses(context, whole))
        sentences.append(phrases.pick(context.rng, "detailed_captioning.land_use", uses=uses))
    if whole.counts:
        objects = _joined(phrases, _object_counts(context, whole))
        sentences.append(phrases.pick(context.rng, "detailed_captioning.objects", objects=objects))
    if whole.road_length:
        sentences.append(phrases.text("detailed_captioning.roads"))
    return " ".join(sentences)


def _about(context: TaskContext, content: RegionContent, place: str) -> str:
    """Return one or two sentences about a part or a circle."""
    phrases, rng = context.phrases, context.rng
    main = next(iter(content.shares), None)
    items = _object_counts(context, content) + ([phrases.text("caption.road")] if content.road_length else [])
    sentences = []
    if main is not None and content.shares[main] >= MAIN_SHARE:
        noun, rest = context.facts.classes[main].singular, _land_uses(context, content)[1:]
        key = "caption.mostly_with" if rest else "caption.mostly"
        sentences.append(phrases.pick(rng, key, place=place, noun=noun, rest=_joined(phrases, rest)))
    elif main is not None:
        uses = _joined(phrases, _land_uses(context, content))
        sentences.append(phrases.pick(rng, "caption.land_use", place=place, uses=uses))
    if items:
        key = "caption.there" if sentences else "caption.objects"
        sentences.append(phrases.pick(rng, key, place=place, objects=_joined(phrases, items)))
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _land_uses(context: TaskContext, content: RegionContent) -> list[str]:
    return [
        context.phrases.text("caption.share", noun=context.facts.classes[name].singular, percent=round(100 * share))
        for name, share in content.shares.items()
    ]


def _object_counts(context: TaskContext, content: RegionContent) -> list[str]:
    """Return "3 ships", "1 ship", or "ships" where the number is not sure."""
    said = []
    for name, count in content.counts.items():
        info = context.facts.classes[name]
        noun = info.singular if count == 1 else info.plural
        key = "caption.some" if count is None else "caption.count"
        said.append(context.phrases.text(key, noun=noun, count=count))
    return said


def _inferences(context: TaskContext, whole: RegionContent, verdicts: dict[str, RuleVerdict]) -> dict[str, str]:
    """Return conclusions by the name of their rule: of the environmental rules, else of what is there."""
    phrases = context.phrases
    holding = [rule for rule in RULES if verdicts[rule.name].holds]
    by_topic = {rule.topic: [other for other in holding if other.topic == rule.topic] for rule in holding}
    clear = [rules[0].name for rules in by_topic.values() if len(rules) == 1]
    found = {name: phrases.text(f"environmental_reasoning.conclusion.{name}") for name in clear[:MAX_INFERENCES]}
    several = [name for name, count in whole.counts.items() if count != 1]  # "the ships" are more than one
    kinds = dict.fromkeys(context.facts.classes[name].kind for name in (*several, *whole.shares))
    for kind in kinds:
        if len(found) < MAX_INFERENCES and kind in phrases.alternatives("caption.kinds_with_use"):
            found[f"use_of_{kind}"] = phrases.text(f"caption.use.{kind}")
    return found


def _joined(phrases: Phrases, items: Sequence[str]) -> str:
    """Return "a", "a and b", or "a, b and c"; "" for nothing."""
    if len(items) < 2:
        return "".join(items)
    first = phrases.text("caption.comma").join(items[:-1])
    return phrases.text("caption.last", first=first, last=items[-1])


def _rounded(metres: float) -> str:
    """Return metres to two significant digits."""
    return f"{float(f'{metres:.2g}'):g}" if metres < 1e5 else f"{metres:.0f}"


def _values(content: RegionContent) -> dict[str, object]:
    return {
        "shares": {name: round(share, 4) for name, share in content.shares.items()},
        "counts": dict(content.counts),
        "has_road": content.road_length > 0,
    }
