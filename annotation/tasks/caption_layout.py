"""How the ground, the buildings and the roads of a whole tile lie: what a caption tells beside shares and numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from rsvqa.annotation.facts import Role
from rsvqa.annotation.layout.arrangement import form_a_grid, neighbours, place_of
from rsvqa.annotation.tasks.caption_content import RegionContent
from rsvqa.annotation.tasks.land_cover import cover_of
from rsvqa.annotation.tasks.landmarks import road_landmarks
from rsvqa.annotation.tasks.registry import TaskContext

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
