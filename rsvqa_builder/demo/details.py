"""What the objects of an example place look like from above: paints, roof details, shadows and wakes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.demo.ground import TurnedRectangle
from rsvqa.rsvqa_builder.demo.objects import DemoObject

Colour = tuple[float, float, float]
"""sRGB, 0 to 255."""

PAINT: dict[str, Colour] = {
    "black": (34, 34, 36),
    "grey": (138, 138, 139),
    "white": (236, 236, 235),
    "red": (172, 42, 38),
    "orange": (242, 148, 52),
    "brown": (112, 74, 46),
    "yellow": (228, 194, 52),
    "green": (72, 122, 70),
    "cyan": (76, 196, 206),
    "blue": (52, 92, 168),
}
"""sRGB of the colour names of objects: far enough from each other that light and grain do not change the name."""

SHADOW_DIRECTION = (-0.8, -0.6)  # the sun stands in the southeast
GLASS: Colour = (44, 52, 60)
CONCRETE: Colour = (176, 172, 164)

PaintedPart = tuple[Sequence[tuple[float, float]], Colour]  # outline in (along, across) pixels from the centre, colour


def lit(colour: Colour, light: float) -> Colour:
    """Return the colour in more (above 1) or less light."""
    red, green, blue = colour
    return red * light, green * light, blue * light


def _rectangle(u: float, v: float, length: float, width: float) -> list[tuple[float, float]]:
    return [
        (u - length / 2, v - width / 2),
        (u + length / 2, v - width / 2),
        (u + length / 2, v + width / 2),
        (u - length / 2, v + width / 2),
    ]


def parts_of(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """Yield the details painted over an object's base colour, from the bottom up."""
    yield from _DETAILS[item.class_name](item, base)
    if item.look.damage == "damaged roof":
        frame = item.frame
        yield _rectangle(0.2 * frame.length, 0.15 * frame.width, 0.3 * frame.length, 0.45 * frame.width), (46, 40, 36)
        yield _rectangle(0.16 * frame.length, 0.12 * frame.width, 0.1 * frame.length, 0.2 * frame.width), (120, 100, 78)


def _sunny_side(frame: TurnedRectangle) -> int:
    """Return 1 when the side with positive `across` faces the sun, else -1."""
    across = (-math.sin(frame.angle), math.cos(frame.angle))
    return -1 if across[0] * SHADOW_DIRECTION[0] + across[1] * SHADOW_DIRECTION[1] > 0 else 1


def _house(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """A gable roof: one side in the light, one not, and a chimney."""
    frame, sunny = item.frame, _sunny_side(item.frame)
    light = (1.08, 0.88) if item.look.colour != "white" else (1.0, 0.93)
    for side in (sunny, -sunny):
        shade = light[0] if side == sunny else light[1]
        yield _rectangle(0, side * frame.width / 4, frame.length + 2, frame.width / 2), lit(base, shade)
    yield _rectangle(0, 0, frame.length, 1.0), lit(base, 0.7)
    yield _rectangle(frame.length * 0.22, frame.width * 0.12, 3.0, 3.0), (92, 76, 68)


def _flat_roof(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """A parapet, and plant rooms and skylights on the roof."""
    frame = item.frame
    yield _rectangle(0, 0, frame.length + 2, frame.width + 2), lit(base, 0.86)
    yield _rectangle(0, 0, frame.length - 5, frame.width - 5), base
    number = int(item.object_id.rsplit("-", 1)[1])
    for k in range(3):
        u = frame.length * (-0.3 + 0.3 * k + 0.04 * ((number * 7 + k * 3) % 5 - 2))
        v = frame.width * (0.16 if (number + k) % 2 else -0.16)
        yield _rectangle(u - 3, v - 2.4, 12, 9), lit(base, 0.5)
        yield _rectangle(u, v, 12, 9), (150, 152, 154)


def _warehouse(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """A ribbed metal roof with strips of skylight."""
    frame = item.frame
    for side, light in ((1, 1.03), (-1, 0.95)):
        shade = light if _sunny_side(frame) == 1 else 1.98 - light
        yield _rectangle(0, side * frame.width / 4, frame.length + 2, frame.width / 2), lit(base, shade)
    for k in range(int(frame.length // 14)):
        u = -frame.length / 2 + 14 * (k + 1)
        yield _rectangle(u, 0, 1.0, frame.width), lit(base, 0.9)
        if k % 4 == 1:
            for side in (-1, 1):
                yield _rectangle(u + 7, side * frame.width * 0.24, 4, frame.width * 0.28), (190, 206, 214)
    yield _rectangle(0, 0, frame.length, 1.2), lit(base, 0.8)


def _tank(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """A round lid with a darker rim and a stair."""
    frame = item.frame
    for share, light in ((1.1, 0.9), (0.9, 1.0)):
        radius = frame.length / 2 * share
        yield (
            [(radius * math.cos(k * math.pi / 24), radius * math.sin(k * math.pi / 24)) for k in range(48)],
            lit(base, light),
        )
    yield _rectangle(0, 0, frame.length * 0.1, frame.length * 0.1), lit(base, 0.72)
    yield _rectangle(frame.length * 0.25, 0, frame.length * 0.42, 1.2), lit(base, 0.78)


def _car(item: DemoObject, _base: Colour) -> Iterator[PaintedPart]:
    frame = item.frame
    yield _rectangle(frame.length * 0.16, 0, frame.length * 0.13, frame.width * 0.78), GLASS
    yield _rectangle(-frame.length * 0.3, 0, frame.length * 0.09, frame.width * 0.74), GLASS


def _truck(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """A cab in front of the load."""
    frame = item.frame
    yield _rectangle(frame.length * 0.26, 0, 1.6, frame.width), lit(base, 0.45)
    yield _rectangle(frame.length * 0.4, 0, 2.4, frame.width * 0.8), GLASS


def _bus(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    frame = item.frame
    yield _rectangle(frame.length * 0.47, 0, 2.4, frame.width * 0.9), GLASS
    for share in (-0.22, 0.12):
        yield _rectangle(frame.length * share, 0, 4.0, frame.width * 0.5), lit(base, 0.78)


def _ship(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    """Hatches on deck and the bridge at the stern."""
    frame = item.frame
    light = 0.95 if item.look.colour == "white" else 0.86  # a darker white would be grey
    for share in (-0.1, 0.1, 0.28):
        yield _rectangle(frame.length * share, 0, frame.length * 0.14, frame.width * 0.5), lit(base, light)
    yield _rectangle(-frame.length * 0.36, 0, frame.length * 0.12, frame.width * 0.72), (232, 232, 230)
    yield _rectangle(-frame.length * 0.33, 0, 1.5, frame.width * 0.6), GLASS


def _pool(item: DemoObject, base: Colour) -> Iterator[PaintedPart]:
    frame = item.frame
    yield _rectangle(0, 0, frame.length - 3, frame.width - 3), lit(base, 1.05)


def _court(_item: DemoObject, _base: Colour) -> Iterator[PaintedPart]:
    """The lines of a tennis court; 80 by 36 pixels are the 23.8 by 11 metres of the rules."""
    lines = [(0, v, 79.0, 1.2) for v in (-18.0, -13.7, 13.7, 18.0)] + [(u, 0, 1.2, 37.0) for u in (-39.6, 39.6)]
    lines += [(u, 0, 1.2, 27.4) for u in (-21.3, 21.3)] + [(0.0, 0, 42.6, 1.2), (0.0, 0, 1.6, 40.0)]
    for u, v, length, width in lines:
        yield _rectangle(u, v, length, width), (226, 228, 224)


_DETAILS: dict[str, Callable[[DemoObject, Colour], Iterator[PaintedPart]]] = {
    "house": _house,
    "office_building": _flat_roof,
    "warehouse": _warehouse,
    "storage_tank": _tank,
    "car": _car,
    "truck": _truck,
    "bus": _bus,
    "ship": _ship,
    "swimming_pool": _pool,
    "tennis_court": _court,
}


def shifted(polygon: Polygon, distance: float) -> Polygon:
    """Return where the top of something `distance` pixels of shadow high darkens the ground."""
    dx, dy = (distance * part for part in SHADOW_DIRECTION)
    moved: Polygon = shapely.transform(polygon, lambda points: np.add(points, (dx, dy)))
    return moved


def shadow_of(item: DemoObject) -> BaseGeometry:
    """Return the ground that an object shades (its own outline included)."""
    if not item.look.height:
        return Polygon()
    steps = [shifted(item.polygon, item.look.height * k / 4) for k in range(5)]
    return shapely.union_all([shapely.convex_hull(shapely.union(a, b)) for a, b in pairwise(steps)])


def wake_of(ship: DemoObject, reach: float) -> list[Polygon]:
    """Return the two arms of foam behind a moving ship, `reach` ship lengths long."""
    frame, stern = ship.frame, -0.45 * ship.frame.length
    behind = stern - reach * frame.length
    arms = []
    for side in (-1, 1):
        far = 0.5 + 0.55 * reach
        points = [(stern, 0.0), (stern, side * 0.45 * frame.width)]
        points += [(behind, side * far * frame.width), (behind, side * 0.62 * far * frame.width)]
        arms.append(Polygon([frame.to_scene(u, v) for u, v in points]))
    return arms
