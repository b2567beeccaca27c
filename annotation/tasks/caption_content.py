"""What the labels say of a region of a tile: ground and objects, shares and numbers; and how all lies on a tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import shapely
from shapely import Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline, Role, TileObject
from rsvqa.annotation.layout.arrangement import Rows, form_a_grid, neighbours, place_of, rows_of
from rsvqa.annotation.tasks.class_names import may_mean_the_same
from rsvqa.annotation.tasks.countable import MIN_COUNTED_SIDE_PX
from rsvqa.annotation.tasks.land_cover import certain_areas, cover_of, dissolved, ground_areas
from rsvqa.annotation.tasks.landmarks import road_landmarks
from rsvqa.annotation.tasks.referring import OUTLINES_THAT_FIT
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile

NAMED_SHARE = 0.05
"""Land use that covers less of a part is not worth a word."""

MAX_LAND_USES = 4
MAX_CLASSES = 6
"""What is named in one sentence: a caption is to be read."""

NEVER_SILENT_SHARE = 0.25
"""What covers so much is named, however many others cover more."""

COVERING_SHARE = 0.15
"""Objects that cover so much of a region together are told by their share too."""

INSIDE_SHARE = 0.98
"""An object with this share of its area in a part counts there; between this and its complement it is on the border."""

OVERLAP_SHARE = 1e-6
"""Areas of a class that overlap by a smaller share do so by rounding."""

LABELLED_SHARE = 0.99
"""Where labels leave out less, no class can cover more than its label says."""

MIN_PIECE_SHARE = 0.005
MAX_PIECES = 40
"""A piece of ground with a smaller share of a region is not seen as one; of more areas the pieces are not counted."""

MIN_ROAD_SHARE = 0.2
"""A road inside a part is at least this long, as a share of the square root of the part's area."""

CROSSING_PX = 1.5
"""A road crosses a region when both its ends there are so near to the region's edge."""

DIVIDED_SHARE = 0.9
"""Where the labels leave out more, what borders on what is not told."""

PLACED_SHARE = 0.08
MAX_PLACED = 2
"""Of ground with this share of the tile the caption says where it lies, for so many classes."""

BORDER_SHARES = (0.03, 0.4)
"""Of ground between these shares the caption says what borders on it."""

ALONG_M = (20, 30, 50)
MIN_ALONG = 5
"""So many objects that all stand within one of these distances of a road stand along the roads."""

Road = Literal["", "reaching", "across"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionContent:
    """What the labels say of one region of a tile.

    Attributes:
        shares: of the region's area by class of ground, the greatest first.
        single: the classes of `shares` whose ground there is one piece.
        is_exact: by class of `shares` and `covering`: no more of it can be there than is labelled.
        counts: of objects by class: the number, or None where it is not sure but there are several.
        covering: the share of the region that the objects of a class cover, where that is worth a word.
        cut: the classes of `covering` of which there is a part of one object only.
        within: the class of ground that all counted objects of a class lie in.
        rows: how the counted objects of a class stand.
        road: whether a road crosses the region.
        road_length: in pixels.
        labelled_share: of the region, by ground.
        feature_ids: of all that.
    """

    shares: dict[str, float]
    single: frozenset[str] = frozenset()
    is_exact: dict[str, bool]
    counts: dict[str, int | None]
    covering: dict[str, float]
    cut: frozenset[str] = frozenset()
    within: dict[str, str]
    rows: dict[str, Rows]
    road: Road
    road_length: float
    labelled_share: float
    feature_ids: tuple[str, ...]

    @property
    def num_named(self) -> int:
        """How many things can be named."""
        return len({*self.shares, *self.counts, *self.covering}) + bool(self.road)

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to say."""
        return not self.num_named


class ContentFinder:
    """Looks up what lies in a region of one tile."""

    def __init__(self, context: TaskContext) -> None:
        facts = context.facts
        self._facts = facts
        self._ground = [area for area in ground_areas(context) if area.is_certain]
        self._doubtful = {area.class_name for area in facts.areas if not area.is_certain}
        self._ground_shapes = np.array([area.geometry for area in self._ground], dtype=object)
        self._overlapping = {name for name in certain_areas(context) if _overlaps(context, name)}
        by_class: dict[str, list[TileObject]] = {}
        for item in facts.objects:
            by_class.setdefault(item.class_name, []).append(item)
        regions = {area.class_name for area in ground_areas(context)} & by_class.keys()
        self._objects = [item for item in facts.objects if item.class_name not in regions]
        self._object_shapes = np.array([item.geometry for item in self._objects], dtype=object)
        self._road_shapes = np.array([road.geometry for road in facts.roads], dtype=object)
        self._ground_tree = STRtree(self._ground_shapes)
        self._object_tree = STRtree(self._object_shapes)
        self._road_tree = STRtree(self._road_shapes)
        self._counted = {name for name in by_class if name not in regions and self._is_countable(name, by_class)}

    def find(self, region: Polygon) -> RegionContent:
        """Return what lies in `region`, tile pixels."""
        shapely.prepare(region)
        pieces, area_ids = self._pieces(region)
        every = {name: self._area(name, parts) / region.area for name, parts in pieces.items()}
        shares = _most(every)
        labelled = min(1.0, sum(every.values()))
        inside, counts = self._objects_in(region)
        covering, cut = self._covering(region, inside)
        named = sorted(counts, key=lambda name: (-len(inside[name]), name))[:MAX_CLASSES]
        road, length, road_ids = self._roads(region)
        ids = [ident for name in shares for ident in area_ids[name]]
        ids += [item.object_id for name in named for item in inside[name] if item.is_askable]
        return RegionContent(
            shares=shares,
            single=frozenset(name for name in shares if _is_one_piece(pieces[name], region)),
            is_exact={name: self._is_exact(name, labelled) for name in (*shares, *covering)},
            counts={name: counts[name] for name in named},
            covering=covering,
            cut=cut,
            within=self._within({name: inside[name] for name in named if (counts[name] or 0) > 1}, shares, pieces),
            rows={name: rows_of(inside[name]) for name in named if (counts[name] or 0) > 1},
            road=road,
            road_length=length,
            labelled_share=labelled,
            feature_ids=(*ids, *road_ids),
        )

    def _pieces(self, region: Polygon) -> tuple[dict[str, list[BaseGeometry]], dict[str, list[str]]]:
        """Return the ground of each class cut to a region, and the ids of its areas."""
        near = np.sort(self._ground_tree.query(region, predicate="intersects"))
        clipped = self._ground_shapes[near]
        is_cut = ~shapely.covers(region, clipped)
        clipped[is_cut] = shapely.intersection(clipped[is_cut], region)
        pieces: dict[str, list[BaseGeometry]] = {}
        ids: dict[str, list[str]] = {}
        for index, geometry in zip(near, clipped, strict=True):
            pieces.setdefault(self._ground[index].class_name, []).append(geometry)
            ids.setdefault(self._ground[index].class_name, []).append(self._ground[index].area_id)
        return pieces, ids

    def _area(self, name: str, parts: Sequence[BaseGeometry]) -> float:
        """Return the area of parts of one class together."""
        if name in self._overlapping:
            return float(shapely.union_all(parts).area)
        return float(shapely.area(parts).sum())

    def _is_exact(self, name: str, labelled_share: float) -> bool:
        is_known = name in self._facts.complete_classes and name not in self._doubtful
        return is_known or labelled_share >= LABELLED_SHARE

    def _objects_in(self, region: Polygon) -> tuple[dict[str, list[TileObject]], dict[str, int | None]]:
        near = np.sort(self._object_tree.query(region, predicate="intersects"))
        is_inside = shapely.covers(region, self._object_shapes[near])
        inside: dict[str, list[TileObject]] = {}
        on_border: set[str] = set()
        for index, is_whole_inside in zip(near, is_inside, strict=True):
            item = self._objects[index]
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
        return inside, counts

    def _share_inside(self, index: int, region: Polygon) -> float:
        geometry = self._object_shapes[index]
        if not geometry.area:
            return 0.5  # a point on the border has an extent that its label does not tell
        return float(shapely.intersection(geometry, region).area / geometry.area)

    def _covering(
        self, region: Polygon, inside: dict[str, list[TileObject]]
    ) -> tuple[dict[str, float], frozenset[str]]:
        """Return the share of the region that the outlined, certain objects of a class cover, where it is large.

        Also which of these classes have nothing there but a part of one object.
        """
        near = self._object_tree.query(region, predicate="intersects")
        shapes: dict[str, list[BaseGeometry]] = {}
        for index in np.sort(near):
            item = self._objects[index]
            if item.is_certain and item.outline in OUTLINES_THAT_FIT:
                shapes.setdefault(item.class_name, []).append(item.geometry)
        covering = {}
        for name, outlines in shapes.items():
            if shapely.area(outlines).sum() < COVERING_SHARE * region.area:
                continue  # together they cover no more than each by itself, and a union takes far longer
            share = float(shapely.intersection(shapely.union_all(outlines), region).area / region.area)
            if share >= COVERING_SHARE:
                covering[name] = share
        cut = frozenset(name for name in covering if len(shapes[name]) == 1 and name not in inside)
        return dict(sorted(covering.items(), key=lambda entry: (-entry[1], entry[0]))), cut

    def _within(
        self, inside: dict[str, list[TileObject]], shares: dict[str, float], pieces: dict[str, list[BaseGeometry]]
    ) -> dict[str, str]:
        """Return the ground of `shares` in which every object of a class lies; none where it could be another's too."""
        found = {}
        grounds = list(pieces)
        shapes = np.array([piece for ground in grounds for piece in pieces[ground]], dtype=object)
        ground_of = np.repeat(np.arange(len(grounds)), [len(pieces[ground]) for ground in grounds])
        for name, items in inside.items():
            centres = shapely.centroid(np.array([item.geometry for item in items], dtype=object))
            # What asks is prepared, what is found is not: a ground may have thousands of corners.
            which, centre = STRtree(centres).query(shapes, predicate="contains")
            held = np.unique(ground_of[which] * len(items) + centre) // len(items)
            num_held = np.bincount(held, minlength=len(grounds))
            holding = [grounds[number] for number in np.flatnonzero(num_held == len(items))]
            if len(holding) == 1 and holding[0] in shares:
                found[name] = holding[0]
        return found

    def _roads(self, region: Polygon) -> tuple[Road, float, list[str]]:
        near = np.sort(self._road_tree.query(region, predicate="intersects"))
        clipped = shapely.intersection(self._road_shapes[near], region)
        lengths = shapely.length(clipped)
        least = MIN_ROAD_SHARE * np.sqrt(region.area)
        if lengths.sum() < least:
            return "", 0.0, []
        lines = [part for part in shapely.get_parts(clipped) if part.length >= least]
        edge = region.exterior
        ends = [shapely.distance(shapely.get_point(lines, end), edge) for end in (0, -1)]
        kind: Road = "across" if (np.maximum(*ends) <= CROSSING_PX).any() else "reaching"
        ids = [self._facts.roads[index].road_id for index, length in zip(near, lengths, strict=True) if length]
        return kind, float(lengths.sum()), ids

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
def content_finder(context: TaskContext) -> ContentFinder:
    """Return what looks up the content of a tile's regions."""
    return ContentFinder(context)


def _most(shares: dict[str, float]) -> dict[str, float]:
    """Return the greatest shares, the greatest first: those of which a caption must not be silent, and a few more."""
    named = sorted((name for name in shares if shares[name] >= NAMED_SHARE), key=lambda name: (-shares[name], name))
    num = max(MAX_LAND_USES, sum(share >= NEVER_SILENT_SHARE for share in shares.values()))
    return {name: shares[name] for name in named[:num]}


def _is_one_piece(parts: Sequence[BaseGeometry], region: Polygon) -> bool:
    if len(parts) > MAX_PIECES:
        return False
    joined = shapely.get_parts(dissolved(parts))
    return bool((shapely.area(joined) >= MIN_PIECE_SHARE * region.area).sum() == 1)


def _overlaps(context: TaskContext, class_name: str) -> bool:
    """Return whether areas of one class lie over each other; where none do, their areas may be added."""
    each = sum(area.geometry.area for area in certain_areas(context)[class_name])
    return bool(each > cover_of(context, class_name).area * (1 + OVERLAP_SHARE))


# --- how things lie on the whole tile ---------------------------------------------------------------------------------


class Border(NamedTuple):
    """The classes along most of the edge of one ground, and whether the first of them is all around it."""

    name: str
    others: tuple[str, ...]
    is_around: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionLayout:
    """How things lie on a tile; empty where nothing is sure.

    Attributes:
        lying: the part, the half or "everywhere" by class of ground.
        border: of the first ground of which that is sure.
        along: metres within which all of a class of buildings have a road.
        has_road: whether there is any.
        is_grid: whether the roads are known to form a grid.
        road_length_m: of all roads, where all of them are labelled.
    """

    lying: dict[str, str] = field(default_factory=dict)
    border: Border | None = None
    along: dict[str, int] = field(default_factory=dict)
    has_road: bool
    is_grid: bool = False
    road_length_m: float | None = None


def layout_of(context: TaskContext, whole: RegionContent) -> CaptionLayout:
    """Return how things lie on the tile whose content is `whole`."""
    facts = context.facts
    roads = {info.name for info in facts.classes.values() if info.role is Role.ROAD}
    is_known = bool(facts.roads) and roads <= facts.complete_classes
    length_m = None
    if is_known and facts.gsd_m is not None:
        length_m = sum(road.geometry.length for road in facts.roads) * (facts.gsd_m.x_m + facts.gsd_m.y_m) / 2
    return CaptionLayout(
        lying=dict(_lying(context, whole)),
        border=next(_borders(context, whole), None),
        along=dict(_along(context, whole)),
        has_road=bool(facts.roads),
        is_grid=is_known and form_a_grid(facts.roads),
        road_length_m=length_m,
    )


def _lying(context: TaskContext, whole: RegionContent) -> Iterator[tuple[str, str]]:
    """Yield the main ground that lies in one half or part, or everywhere, with the place."""
    placed = 0
    for name, share in whole.shares.items():
        is_road = context.facts.classes[name].kind == "road"
        if share < PLACED_SHARE or placed == MAX_PLACED or is_road or not whole.is_exact[name]:
            continue
        place = place_of(cover_of(context, name), context.facts)
        if place is not None:
            placed += 1
            yield name, place


def _borders(context: TaskContext, whole: RegionContent) -> Iterator[Border]:
    """Yield what surrounds or borders on the ground of which that is sure."""
    if len(whole.shares) < 2 or not all(whole.is_exact.values()) or whole.labelled_share < DIVIDED_SHARE:
        return
    low, high = BORDER_SHARES
    roads = [name for name in whole.shares if context.facts.classes[name].kind == "road"]
    for name, share in whole.shares.items():
        if not low <= share <= high or name in roads:
            continue
        others = {other: cover_of(context, other) for other in whole.shares if other not in (name, *roads)}
        found = neighbours(cover_of(context, name), others, context.facts)
        if found.names:
            yield Border(name, found.names, found.is_around)


def _along(context: TaskContext, whole: RegionContent) -> Iterator[tuple[str, int]]:
    """Yield the first buildings that all stand beside a road, with the distance that none exceeds."""
    facts, roads = context.facts, road_landmarks(context)
    if not roads or facts.gsd_m is None:
        return
    for name, count in whole.counts.items():
        if count is None or count < MIN_ALONG or facts.classes[name].kind != "building":
            continue
        members = [item for item in facts.objects if item.class_name == name]
        farthest = float(roads[0].distances(members).max())
        metres = next((limit for limit in ALONG_M if farthest <= 0.9 * limit), None)
        if metres is not None:
            yield name, metres
            return
