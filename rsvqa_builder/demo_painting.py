"""Paint an example place block by block: ground textures first, then lines and shadows, then the objects on top.

Objects come last, so nothing drawn ever covers one: the pixels inside an object's polygon are its own. Every block is a
function of the place and its window alone, so the block size changes nothing but the memory needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa_builder.demo_layout import Frame, Layout, polygons_of
from rsvqa_builder.demo_objects import Contents, DemoObject
from rsvqa_builder.demo_textures import Plane, Textures, cut, cut_shades
from rsvqa_builder.tiling import Window

Colour = tuple[float, float, float]
Pixels = NDArray[np.float32]

PAINT: dict[str, Colour] = {
    "black": (34, 34, 36),
    "grey": (138, 138, 139),
    "white": (236, 236, 235),
    "red": (172, 42, 38),
    "orange": (222, 122, 44),
    "brown": (112, 74, 46),
    "yellow": (228, 194, 52),
    "green": (72, 122, 70),
    "cyan": (76, 196, 206),
    "blue": (52, 92, 168),
}
"""sRGB of the colour names of objects: far enough from each other that light and grain do not change the name."""

SENSOR_NOISE = 1.6  # grey levels
SUPERSAMPLING = 4
SHADOW_DIRECTION = (-0.8, -0.6)  # the sun stands in the southeast
SHADOW_DEPTH = 0.5
FOREST_HEIGHT = 12.0
GLASS: Colour = (44, 52, 60)
CONCRETE: Colour = (176, 172, 164)
ASPHALT: Colour = (98, 98, 101)
WAKE: Colour = (206, 222, 224)


@dataclass(frozen=True, slots=True)
class GroundLook:
    """Base colours to choose from and how strongly each texture shows, as shares of the brightness."""

    colours: tuple[Colour, ...]
    grain: float = 0.03
    mottle: float = 0.04
    shade: float = 0.04
    rows: float = 0.0
    crowns: float = 0.0


LOOKS: dict[str, GroundLook] = {
    "road_surface": GroundLook((CONCRETE,), grain=0.035, mottle=0.02),
    "water": GroundLook(((38, 66, 76), (92, 92, 72)), grain=0.012, mottle=0.015, shade=0.03),
    "forest": GroundLook(((50, 74, 42), (58, 80, 44), (44, 68, 46)), mottle=0.05, shade=0.06, crowns=1.25),
    "farmland": GroundLook(
        (
            *((128, 138, 74), (98, 124, 62), (176, 160, 104), (150, 126, 92), (112, 134, 66)),
            *((190, 176, 120), (84, 112, 58), (134, 112, 84)),
        ),
        mottle=0.035,
        shade=0.05,
        rows=0.055,
    ),
    "grassland": GroundLook(((112, 132, 76), (122, 136, 84), (104, 128, 72)), mottle=0.075, shade=0.05),
    "residential": GroundLook(((110, 128, 82), (118, 130, 88), (104, 122, 78)), mottle=0.085, shade=0.05),
    "commercial": GroundLook(((164, 160, 152), (156, 154, 150)), mottle=0.04),
    "industrial": GroundLook(((152, 148, 140), (144, 140, 134), (160, 152, 140)), mottle=0.06, grain=0.04),
    "car_park": GroundLook(((88, 88, 92), (96, 96, 98)), mottle=0.03),
    "bare_ground": GroundLook(((178, 152, 116), (168, 144, 112)), mottle=0.09, shade=0.05, grain=0.045),
    "burnt_land": GroundLook(((58, 50, 46),), mottle=0.22, shade=0.08, grain=0.06, crowns=0.35),
}

WATER_DEEP_LIGHT = 0.82
"""Brightness of water far from the shore; at the shore it is 1.25."""


class Painter:
    """Paints windows of one place at one date."""

    def __init__(self, layout: Layout, contents: Contents, textures: Textures, date: int) -> None:
        self._layout = layout
        self._textures = textures
        self._areas = layout.areas(date)
        self._area_tree = shapely.STRtree([polygon for _, polygon in self._areas])
        self._ground = _GroundTable(layout)
        self._objects = [item for item in contents.objects if item.dates[date]]
        self._object_tree = shapely.STRtree([item.polygon for item in self._objects])
        self._strokes = contents.strokes
        self._stroke_tree = shapely.STRtree([stroke.line for stroke in contents.strokes])
        self._shadows = [shadow_of(item) for item in self._objects]
        self._shadows += [
            _shifted(polygon, FOREST_HEIGHT) for style, polygon in self._areas if self._is(style, "forest")
        ]
        self._shadow_tree = shapely.STRtree(self._shadows)
        self._wakes = [wake_of(item) for item in self._objects if item.class_name == "ship" and item.moving]
        self._markings = [line for road in layout.roads for line in _centre_dashes(road.line)]
        self._marking_tree = shapely.STRtree(self._markings)
        self._hedge_tree = shapely.STRtree(layout.boundaries)
        self._shore = _shore_distance(layout, self._areas)

    def _is(self, style: int, class_name: str) -> bool:
        return self._layout.styles[style].class_name == class_name

    def paint(self, window: Window) -> NDArray[np.uint8]:
        """Return the (height, width, 3) uint8 pixels of a window."""
        pixels, styles = self._paint_ground(window)
        self._paint_lines(pixels, styles, window)
        for number in self._near(self._object_tree, window):
            paint_object(pixels, self._objects[number], window, self._textures.grain)
        grain = cut(self._textures.grain, window.x + 311, window.y + 77, window.width, window.height)
        pixels += (0.5 + SENSOR_NOISE * grain)[..., None]
        return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)

    def _near(self, tree: shapely.STRtree, window: Window, pad: float = 16.0) -> list[int]:
        x, y, width, height = window
        return sorted(tree.query(shapely.box(x - pad, y - pad, x + width + pad, y + height + pad)).tolist())

    def _paint_ground(self, window: Window) -> tuple[Pixels, NDArray[np.uint16]]:
        near = [self._areas[number] for number in self._near(self._area_tree, window)]
        styles = rasterize(
            ((polygon, style) for style, polygon in near),
            out_shape=(window.height, window.width),
            transform=Affine.translation(window.x, window.y),
            dtype="uint16",
        )
        return self._ground.paint(styles, window, self._textures, self._shore), styles

    def _paint_lines(self, pixels: Pixels, styles: NDArray[np.uint16], window: Window) -> None:
        """Paint carriageways, markings, paths, hedges, wakes and shadows over the ground."""
        grain = cut(self._textures.grain, window.x + 500, window.y + 200, window.width, window.height)
        crowns = cut(self._textures.crowns, window.x, window.y, window.width, window.height)
        _blend(pixels, _mask(window, [self._layout.carriageway]), ASPHALT, 1 + 0.035 * grain)
        strokes = [self._strokes[number] for number in self._near(self._stroke_tree, window)]
        for kind, colour, strength in (
            ("path", CONCRETE, 0.9),
            ("fence", (128, 116, 98), 0.7),
            ("bay", (226, 226, 222), 0.8),
        ):
            lines = [
                stroke.line.buffer(stroke.width / 2, cap_style="flat") for stroke in strokes if stroke.kind == kind
            ]
            _blend(pixels, _mask(window, lines) * strength, colour, 1 + 0.03 * grain)
        marks = [self._markings[k].buffer(0.7, cap_style="flat") for k in self._near(self._marking_tree, window)]
        _blend(pixels, _mask(window, marks) * 0.8, (228, 228, 222))
        hedges = [self._layout.boundaries[k] for k in self._near(self._hedge_tree, window)]
        hedge = _mask(window, [line.buffer(5 if line.length % 2 < 1 else 1.5) for line in hedges])
        _blend(pixels, hedge * self._ground.is_class("farmland")[styles], (62, 84, 46), 0.35 + 1.2 * crowns)
        _blend(
            pixels, _mask(window, self._wakes) * 0.55 * self._ground.is_class("water")[styles], WAKE, 1 + 0.1 * grain
        )
        shadows = [self._shadows[number] for number in self._near(self._shadow_tree, window)]
        shadow = _mask(window, shadows) * ~self._ground.is_class("forest")[styles]
        pixels *= 1 - SHADOW_DEPTH * shadow[..., None]


class _GroundTable:
    """Look-up tables by style number: base colour, texture strengths, crop rows."""

    def __init__(self, layout: Layout) -> None:
        looks = [LOOKS[style.class_name] for style in layout.styles]
        self._names = [style.class_name for style in layout.styles]
        colours = [look.colours[s.variant % len(look.colours)] for look, s in zip(looks, layout.styles, strict=True)]
        tone = [0.94 + 0.12 * ((s.variant // 16) % 64) / 63 if s.variant else 1.0 for s in layout.styles]
        self._base = np.array(colours, dtype=np.float32) * np.array(tone, dtype=np.float32)[:, None]
        self._strength = {
            name: np.array([getattr(look, name) for look in looks], dtype=np.float32)
            for name in ("grain", "mottle", "shade", "rows", "crowns")
        }
        waves = [2 * math.pi / (5.5 + (style.variant % 7) * 0.7) for style in layout.styles]
        self._wave_x = np.array([w * -math.sin(s.angle) for w, s in zip(waves, layout.styles, strict=True)], np.float32)
        self._wave_y = np.array([w * math.cos(s.angle) for w, s in zip(waves, layout.styles, strict=True)], np.float32)

    def is_class(self, name: str) -> NDArray[np.bool_]:
        """Return by style number whether it is of the class `name`."""
        return np.array([other == name for other in self._names])

    def paint(
        self, styles: NDArray[np.uint16], window: Window, textures: Textures, shore: Callable[[Window], Plane]
    ) -> Pixels:
        """Return float pixels (height, width, 3) of the ground of a window."""
        x, y, width, height = window
        light = np.ones((height, width), dtype=np.float32)
        light += self._strength["grain"][styles] * cut(textures.grain, x, y, width, height)
        light += self._strength["mottle"][styles] * cut(textures.mottle, x, y, width, height)
        light += self._strength["shade"][styles] * cut_shades(textures.shades, x, y, width, height)
        present = np.unique(styles)
        if self._strength["rows"][present].any():
            columns, rows = np.arange(x, x + width, dtype=np.float32), np.arange(y, y + height, dtype=np.float32)
            phase = self._wave_x[styles] * columns[None, :] + self._wave_y[styles] * rows[:, None]
            light += self._strength["rows"][styles] * np.sin(phase)
        if self._strength["crowns"][present].any():
            light += self._strength["crowns"][styles] * (cut(textures.crowns, x, y, width, height) - 0.5)
        is_water = self.is_class("water")[styles]
        if is_water.any():
            light = np.where(is_water, light * shore(window), light)
        return self._base[styles] * light[..., None]


def _shore_distance(layout: Layout, areas: Sequence[tuple[int, Polygon]]) -> Callable[[Window], Plane]:
    """Return what gives the brightness of water in a window: lighter near the shore."""
    step = 8
    size = layout.size // step
    water = [polygon for style, polygon in areas if layout.styles[style].class_name == "water"]
    # bridges do not make the water shallow
    filled = shapely.union_all(water).buffer(30, quad_segs=1).buffer(-30, quad_segs=1) if water else Polygon()
    coarse = rasterize([(filled, 255)], (size, size), transform=Affine.scale(step), dtype="uint8") if water else None

    def brightness(window: Window) -> Plane:
        if coarse is None:
            return np.ones((window.height, window.width), dtype=np.float32)
        pad = 12
        left, top = window.x // step - pad, window.y // step - pad
        right, bottom = -(-(window.x + window.width) // step) + pad, -(-(window.y + window.height) // step) + pad
        rows, columns = (np.clip(np.arange(a, b), 0, size - 1) for a, b in ((top, bottom), (left, right)))
        depth = _box_blur(coarse[rows][:, columns].astype(np.float32) / 255, 5)
        box = tuple(
            v / step - o
            for v, o in zip(
                (*window[:2], window.x + window.width, window.y + window.height), (left, top) * 2, strict=True
            )
        )
        image = Image.fromarray(depth).resize((window.width, window.height), Image.Resampling.BILINEAR, box=box)
        return 1.42 - (1.42 - WATER_DEEP_LIGHT) * np.asarray(image)

    return brightness


def _box_blur(plane: Plane, radius: int) -> Plane:
    for axis in (0, 1):
        summed = sum(np.roll(plane, shift, axis=axis) for shift in range(-radius, radius + 1))
        plane = (summed / (2 * radius + 1)).astype(np.float32)
    return plane


# Lines and shadows


def _mask(window: Window, shapes: Iterable[BaseGeometry]) -> Plane:
    """Return how much of each pixel the shapes cover, 0 to 1, at twice the resolution."""
    scale = 2
    image = Image.new("L", (window.width * scale, window.height * scale))
    draw = ImageDraw.Draw(image)
    x, y, width, height = window
    clip = (x - 4.0, y - 4.0, x + width + 4.0, y + height + 4.0)
    is_empty = True
    for shape in shapes:
        for polygon in polygons_of(shapely.clip_by_rect(shape, *clip)):
            is_empty = False
            draw.polygon(_to_image(polygon.exterior.coords, x, y, scale), fill=255)
            for hole in polygon.interiors:
                draw.polygon(_to_image(hole.coords, x, y, scale), fill=0)
    if is_empty:
        return np.zeros((height, width), dtype=np.float32)
    return np.asarray(image.reduce(scale), dtype=np.float32) / 255


def _to_image(points: Iterable[tuple[float, ...]], x: float, y: float, scale: int) -> list[tuple[float, float]]:
    """Return scene points as Pillow's, whose pixel centres lie at whole numbers."""
    return [((px - x) * scale - 0.5, (py - y) * scale - 0.5) for px, py in points]


def _blend(pixels: Pixels, mask: Plane, colour: Colour, light: Plane | float = 1.0) -> None:
    """Cover `pixels` with `colour` times `light` where the mask says; most masks are nearly empty."""
    places = np.flatnonzero(mask)
    if not len(places):
        return
    flat = pixels.reshape(-1, 3)
    lit = light.ravel()[places, None] if isinstance(light, np.ndarray) else light
    under = flat[places]
    flat[places] = under + mask.ravel()[places, None] * (np.array(colour, dtype=np.float32) * lit - under)


def _centre_dashes(line: LineString) -> Iterator[LineString]:
    """Yield the dashes of a road's centre line, none near its ends."""
    along = 40.0
    while along + 12 < line.length - 40:
        yield LineString([line.interpolate(along), line.interpolate(along + 10)])
        along += 26


def _shifted(polygon: Polygon, distance: float) -> Polygon:
    dx, dy = (distance * part for part in SHADOW_DIRECTION)
    moved: Polygon = shapely.transform(polygon, lambda points: points + (dx, dy))
    return moved


def shadow_of(item: DemoObject) -> BaseGeometry:
    """Return the ground that an object shades (its own outline included)."""
    if not item.height:
        return Polygon()
    steps = [_shifted(item.polygon, item.height * k / 4) for k in range(5)]
    return shapely.union_all([shapely.convex_hull(shapely.union(a, b)) for a, b in zip(steps, steps[1:], strict=False)])


def wake_of(ship: DemoObject) -> Polygon:
    """Return the two-armed track of foam behind a moving ship."""
    frame, stern = ship.frame, -ship.frame.length / 2
    behind = stern - 1.3 * ship.frame.length
    points = [(stern, frame.width * 0.4), (behind, frame.width * 0.95), (behind, frame.width * 0.6), (stern * 1.7, 0)]
    points += [(behind, -frame.width * 0.6), (behind, -frame.width * 0.95), (stern, -frame.width * 0.4)]
    return Polygon([frame.to_scene(u, v) for u, v in points])


# Objects


Part = tuple[Sequence[tuple[float, float]], Colour]  # outline in (along, across) pixels from the centre, colour


def paint_object(pixels: Pixels, item: DemoObject, window: Window, grain: Plane) -> None:
    """Paint one object into the pixels of a window; only pixels that its polygon touches change."""
    x_min, y_min, x_max, y_max = item.polygon.bounds
    left, top = max(math.floor(x_min), window.x), max(math.floor(y_min), window.y)
    right, bottom = min(math.ceil(x_max), window.x + window.width), min(math.ceil(y_max), window.y + window.height)
    if left >= right or top >= bottom:
        return
    width, height = right - left, bottom - top
    size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
    base = PAINT[item.colour] if item.colour else CONCRETE
    image, mask = Image.new("RGB", size, _rgb(base)), Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for outline, colour in parts_of(item, base):
        points = [item.frame.to_scene(u, v) for u, v in outline]
        draw.polygon(_to_image(points, left, top, SUPERSAMPLING), fill=_rgb(colour))
    ImageDraw.Draw(mask).polygon(_to_image(item.polygon.exterior.coords, left, top, SUPERSAMPLING), fill=255)
    share = np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32)[..., None] / 255
    light = 1 + 0.02 * cut(grain, left + 77, top + 311, width, height)[..., None]
    part = pixels[top - window.y : bottom - window.y, left - window.x : right - window.x]
    part += share * (np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float32) * light - part)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(value))) for value in colour)
    return red, green, blue


def _lit(colour: Colour, light: float) -> Colour:
    red, green, blue = colour
    return red * light, green * light, blue * light


def _rectangle(u: float, v: float, length: float, width: float) -> list[tuple[float, float]]:
    return [
        (u - length / 2, v - width / 2),
        (u + length / 2, v - width / 2),
        (u + length / 2, v + width / 2),
        (u - length / 2, v + width / 2),
    ]


def parts_of(item: DemoObject, base: Colour) -> Iterator[Part]:
    """Yield the details painted over an object's base colour, from the bottom up."""
    yield from _DETAILS[item.class_name](item, base)
    if item.damage == "damaged roof":
        frame = item.frame
        yield _rectangle(0.2 * frame.length, 0.15 * frame.width, 0.3 * frame.length, 0.45 * frame.width), (46, 40, 36)
        yield _rectangle(0.16 * frame.length, 0.12 * frame.width, 0.1 * frame.length, 0.2 * frame.width), (120, 100, 78)


def _sunny_side(frame: Frame) -> int:
    """Return 1 when the side with positive `across` faces the sun, else -1."""
    across = (-math.sin(frame.angle), math.cos(frame.angle))
    return -1 if across[0] * SHADOW_DIRECTION[0] + across[1] * SHADOW_DIRECTION[1] > 0 else 1


def _house(item: DemoObject, base: Colour) -> Iterator[Part]:
    """A gable roof: one side in the light, one not, and a chimney."""
    frame, sunny = item.frame, _sunny_side(item.frame)
    light = (1.1, 0.84) if item.colour != "white" else (1.0, 0.93)
    for side in (sunny, -sunny):
        shade = light[0] if side == sunny else light[1]
        yield _rectangle(0, side * frame.width / 4, frame.length + 2, frame.width / 2), _lit(base, shade)
    yield _rectangle(0, 0, frame.length, 1.0), _lit(base, 0.7)
    yield _rectangle(frame.length * 0.22, frame.width * 0.12, 3.0, 3.0), (92, 76, 68)


def _flat_roof(item: DemoObject, base: Colour) -> Iterator[Part]:
    """A parapet, and plant rooms and skylights on the roof."""
    frame = item.frame
    yield _rectangle(0, 0, frame.length + 2, frame.width + 2), _lit(base, 0.86)
    yield _rectangle(0, 0, frame.length - 5, frame.width - 5), base
    number = int(item.object_id.rsplit("-", 1)[1])
    for k in range(3):
        u = frame.length * (-0.3 + 0.3 * k + 0.04 * ((number * 7 + k * 3) % 5 - 2))
        v = frame.width * (0.16 if (number + k) % 2 else -0.16)
        yield _rectangle(u - 3, v - 2.4, 12, 9), _lit(base, 0.5)
        yield _rectangle(u, v, 12, 9), (150, 152, 154)


def _warehouse(item: DemoObject, base: Colour) -> Iterator[Part]:
    """A ribbed metal roof with strips of skylight."""
    frame = item.frame
    for side, light in ((1, 1.03), (-1, 0.95)):
        shade = light if _sunny_side(frame) == 1 else 1.98 - light
        yield _rectangle(0, side * frame.width / 4, frame.length + 2, frame.width / 2), _lit(base, shade)
    for k in range(int(frame.length // 14)):
        u = -frame.length / 2 + 14 * (k + 1)
        yield _rectangle(u, 0, 1.0, frame.width), _lit(base, 0.9)
        if k % 4 == 1:
            for side in (-1, 1):
                yield _rectangle(u + 7, side * frame.width * 0.24, 4, frame.width * 0.28), (190, 206, 214)
    yield _rectangle(0, 0, frame.length, 1.2), _lit(base, 0.8)


def _tank(item: DemoObject, base: Colour) -> Iterator[Part]:
    """A round lid with a darker rim and a stair."""
    frame = item.frame
    for share, light in ((1.1, 0.9), (0.9, 1.0)):
        radius = frame.length / 2 * share
        yield (
            [(radius * math.cos(k * math.pi / 24), radius * math.sin(k * math.pi / 24)) for k in range(48)],
            _lit(base, light),
        )
    yield _rectangle(0, 0, frame.length * 0.1, frame.length * 0.1), _lit(base, 0.72)
    yield _rectangle(frame.length * 0.25, 0, frame.length * 0.42, 1.2), _lit(base, 0.78)


def _car(item: DemoObject, base: Colour) -> Iterator[Part]:
    frame = item.frame
    yield _rectangle(frame.length * 0.16, 0, frame.length * 0.13, frame.width * 0.78), GLASS
    yield _rectangle(-frame.length * 0.3, 0, frame.length * 0.09, frame.width * 0.74), GLASS


def _truck(item: DemoObject, base: Colour) -> Iterator[Part]:
    """A cab in front of the load."""
    frame = item.frame
    yield _rectangle(frame.length * 0.26, 0, 1.6, frame.width), _lit(base, 0.45)
    yield _rectangle(frame.length * 0.4, 0, 2.4, frame.width * 0.8), GLASS


def _bus(item: DemoObject, base: Colour) -> Iterator[Part]:
    frame = item.frame
    yield _rectangle(frame.length * 0.47, 0, 2.4, frame.width * 0.9), GLASS
    for share in (-0.22, 0.12):
        yield _rectangle(frame.length * share, 0, 4.0, frame.width * 0.5), _lit(base, 0.78)


def _ship(item: DemoObject, base: Colour) -> Iterator[Part]:
    """Hatches on deck and the bridge at the stern."""
    frame = item.frame
    for share in (-0.1, 0.1, 0.28):
        yield _rectangle(frame.length * share, 0, frame.length * 0.14, frame.width * 0.5), _lit(base, 0.86)
    yield _rectangle(-frame.length * 0.36, 0, frame.length * 0.12, frame.width * 0.72), (232, 232, 230)
    yield _rectangle(-frame.length * 0.33, 0, 1.5, frame.width * 0.6), GLASS


def _pool(item: DemoObject, base: Colour) -> Iterator[Part]:
    frame = item.frame
    yield _rectangle(0, 0, frame.length - 3, frame.width - 3), _lit(base, 1.05)


def _court(item: DemoObject, base: Colour) -> Iterator[Part]:
    """The lines of a tennis court; 80 by 36 pixels are the 23.8 by 11 metres of the rules."""
    lines = [(0, v, 79.0, 1.2) for v in (-18.0, -13.7, 13.7, 18.0)] + [(u, 0, 1.2, 37.0) for u in (-39.6, 39.6)]
    lines += [(u, 0, 1.2, 27.4) for u in (-21.3, 21.3)] + [(0.0, 0, 42.6, 1.2), (0.0, 0, 1.6, 40.0)]
    for u, v, length, width in lines:
        yield _rectangle(u, v, length, width), (226, 228, 224)


_DETAILS: dict[str, Callable[[DemoObject, Colour], Iterator[Part]]] = {
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
