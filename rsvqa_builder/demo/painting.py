"""Paint an example place block by block: ground textures first, then lines and shadows, then the objects on top.

Objects come last, so nothing drawn ever covers one: the pixels inside an object's polygon are its own. Every block is a
function of the place and its window alone, so the block size changes nothing but the memory needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.demo.details import CONCRETE, PAINT, Colour, parts_of, shadow_of, shifted, wake_of
from rsvqa.rsvqa_builder.demo.ground import Layout
from rsvqa.rsvqa_builder.demo.objects import Contents, DemoObject, PaintedDetail
from rsvqa.rsvqa_builder.demo.roads import polygons_of
from rsvqa.rsvqa_builder.demo.textures import Plane, Textures, cut, cut_shades
from rsvqa.rsvqa_builder.scenes.tiling import Window

Canvas = NDArray[np.float32]

SENSOR_NOISE = 1.6  # grey levels
SUPERSAMPLING = 4
SHADOW_DEPTH = 0.5
PIECE = 1024.0
"""Pixels along the sides of the squares that large shapes are cut into."""

FOREST_HEIGHT = 12.0  # pixels of shadow
TREE_HEIGHT = 5.0
SHADOW: Colour = (6, 8, 14)
FOLIAGE: Colour = (50, 68, 40)
WAKE: Colour = (206, 222, 224)
WAKE_REACHES = (0.5, 0.9, 1.4, 2.0)  # ship lengths; laid over each other, so the foam fades
WOOD: Colour = (124, 112, 94)
LINE_PAINT: Colour = (227, 227, 222)
SOIL: Colour = (128, 112, 84)
ASPHALT: Colour = (98, 98, 101)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A second colour over the ground: trees in a square, rows of vines, or pools where the mottling is dark.

    `spacing` is in pixels from tree to tree or row to row.
    """

    kind: Literal["trees", "rows", "pools"]
    colour: Colour
    spacing: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundLook:
    """Base colours to choose from and how strongly each texture shows, as shares of the brightness.

    `pattern` is what a second colour is laid over the ground by.
    """

    colours: tuple[Colour, ...]
    grain: float = 0.03
    mottle: float = 0.04
    shade: float = 0.04
    rows: float = 0.0
    crowns: float = 0.0
    pattern: Pattern | None = None


LOOKS: dict[str, GroundLook] = {
    "road_surface": GroundLook(colours=(CONCRETE,), grain=0.035, mottle=0.02),
    "water": GroundLook(colours=((38, 66, 76),), grain=0.012, mottle=0.015, shade=0.03),
    "muddy_water": GroundLook(colours=((88, 92, 80),), grain=0.012, mottle=0.03, shade=0.03),
    "forest": GroundLook(colours=((50, 74, 42), (58, 80, 44), (44, 68, 46)), mottle=0.05, shade=0.06, crowns=1.25),
    "farmland": GroundLook(
        colours=(
            *((128, 138, 74), (98, 124, 62), (176, 160, 104), (150, 126, 92), (112, 134, 66)),
            *((190, 176, 120), (84, 112, 58), (134, 112, 84)),
        ),
        mottle=0.035,
        shade=0.05,
        rows=0.055,
    ),
    "grassland": GroundLook(colours=((112, 132, 76), (122, 136, 84), (104, 128, 72)), mottle=0.075, shade=0.05),
    "residential": GroundLook(colours=((110, 128, 82), (118, 130, 88), (104, 122, 78)), mottle=0.06, shade=0.05),
    "commercial": GroundLook(colours=((164, 160, 152), (156, 154, 150)), mottle=0.04),
    "industrial": GroundLook(colours=((152, 148, 140), (144, 140, 134), (160, 152, 140)), mottle=0.06, grain=0.04),
    "car_park": GroundLook(colours=((88, 88, 92), (96, 96, 98)), mottle=0.03),
    "bare_ground": GroundLook(colours=((178, 152, 116), (168, 144, 112)), mottle=0.09, shade=0.05, grain=0.045),
    "orchard": GroundLook(
        colours=((134, 142, 90), (142, 144, 96)), mottle=0.05, shade=0.04, pattern=Pattern("trees", (56, 82, 42), 19.0)
    ),
    "vineyard": GroundLook(
        colours=((164, 144, 112), (170, 152, 118)), mottle=0.05, shade=0.04, pattern=Pattern("rows", (84, 110, 56), 8.5)
    ),
    "wetland": GroundLook(
        colours=((116, 122, 78), (108, 116, 80)),
        mottle=0.13,
        shade=0.06,
        grain=0.05,
        pattern=Pattern("pools", (54, 74, 76)),
    ),
    "dead_forest": GroundLook(colours=((124, 94, 72), (132, 104, 84)), mottle=0.06, shade=0.05, crowns=1.2),
    "fallen_forest": GroundLook(colours=((128, 120, 88),), mottle=0.12, shade=0.05, grain=0.06, rows=0.2, crowns=0.5),
    "debris": GroundLook(colours=((146, 118, 92), (136, 112, 94)), mottle=0.2, shade=0.1, grain=0.12),
    "burnt_land": GroundLook(colours=((58, 50, 46),), mottle=0.22, shade=0.08, grain=0.06, crowns=0.35),
}

SHORE_LIGHT, DEEP_LIGHT = 1.42, 0.82
"""Brightness of water over dry land next to it and far from the shore; between the two along the shore."""


class Painter:
    """Paints windows of one place at one date."""

    def __init__(self, layout: Layout, contents: Contents, textures: Textures, date: int) -> None:
        self._textures = textures
        self._areas = layout.areas(date)
        self._area_tree = shapely.STRtree([polygon for _, polygon in self._areas])
        self._ground = _GroundTable(layout)
        self._objects = [item for item in contents.objects if item.dates[date]]
        self._object_tree = shapely.STRtree([item.polygon for item in self._objects])
        marks = [mark for mark in contents.marks if mark.dates[date]]
        self._overlays = _overlays(layout, self._areas, self._objects, marks)
        self._shore = _shore_light(layout, self._areas)

    def paint(self, window: Window) -> NDArray[np.uint8]:
        """Return the (height, width, 3) uint8 pixels of a window."""
        near = [self._areas[number] for number in _near(self._area_tree, window)]
        styles = rasterize(
            ((polygon, style) for style, polygon in near),
            out_shape=(window.height, window.width),
            transform=Affine.translation(window.x, window.y),
            dtype="uint16",
        )
        present = sorted({style for style, _ in near})
        pixels = self._ground.paint(styles, present, window, self._textures, self._shore)
        for overlay in self._overlays:
            self._lay_over(pixels, styles, overlay, window)
        for number in _near(self._object_tree, window):
            paint_object(pixels, self._objects[number], window, self._textures.grain)
        grain = cut(self._textures.grain, window.x + 311, window.y + 77, window.width, window.height)
        pixels += (0.5 + SENSOR_NOISE * grain)[..., None]
        return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)

    def _lay_over(self, pixels: Canvas, styles: NDArray[np.uint16], overlay: Overlay, window: Window) -> None:
        """Cover the ground with an overlay where it may lie; most of it is elsewhere."""
        cover = _coverage(window, [overlay.shapes[number] for number in _near(overlay.tree, window)])
        if cover is None:
            return
        places = np.flatnonzero(cover)
        places = places[self._ground.allows(overlay)[styles.ravel()[places]]]
        light = np.ones(len(places), dtype=np.float32)
        for texture, strength in ((self._textures.grain, overlay.grain), (self._textures.crowns, overlay.crowns)):
            if strength:
                light += strength * cut(texture, *window).ravel()[places]
        share = cover.ravel()[places].astype(np.float32) * (overlay.strength / 255)
        flat = pixels.reshape(-1, 3)
        under = flat[places]
        flat[places] = under + share[:, None] * (overlay.colour * light[:, None] - under)


class Overlay:
    """Shapes of one look over the ground.

    Attributes:
        strength: how much of the ground they hide, 0 to 1.
        grain, crowns: how strongly these textures show.
        only, never: the land use that they lie on alone, or that hides them.
    """

    def __init__(
        self,
        shapes: Sequence[BaseGeometry],
        colour: Colour,
        *,
        strength: float = 1.0,
        grain: float = 0.03,
        crowns: float = 0.0,
        only: str | None = None,
        never: str | None = None,
    ) -> None:
        self.shapes = [piece for shape in shapes for piece in _pieces(shape)]
        self.tree = shapely.STRtree(self.shapes)
        self.colour = np.array(colour, dtype=np.float32)
        self.strength = strength
        self.grain, self.crowns = grain, crowns
        self.only, self.never = only, never


def _pieces(shape: BaseGeometry) -> Iterator[Polygon]:
    """Yield the polygons of a shape, large ones cut along fixed lines, so that every window draws the same outlines."""
    if shape.is_empty:
        return  # it has no bounds
    x_min, y_min, x_max, y_max = (math.floor(value / PIECE) for value in shape.bounds)
    if max(x_max - x_min, y_max - y_min) < 2:
        yield from polygons_of(shape)
        return
    for i in range(x_min, x_max + 1):
        for j in range(y_min, y_max + 1):
            cell = (i * PIECE, j * PIECE, (i + 1) * PIECE, (j + 1) * PIECE)
            yield from polygons_of(shapely.clip_by_rect(shape, *cell))


def _overlays(
    layout: Layout, areas: Sequence[tuple[int, Polygon]], objects: Sequence[DemoObject], marks: Sequence[PaintedDetail]
) -> list[Overlay]:
    """Return what lies over the ground, from the bottom up; shadows are the last, so that they fall on all of it."""
    by_kind: dict[str, list[BaseGeometry]] = {}
    for mark in marks:
        by_kind.setdefault(mark.kind, []).append(mark.shape)
    ships = [item for item in objects if item.class_name == "ship" and item.look.moving]
    forests = [polygon for style, polygon in areas if layout.styles[style].class_name == "forest"]
    # forests first: the holes in their shadows would erase what was drawn before
    shadows: list[BaseGeometry] = [shifted(polygon, FOREST_HEIGHT) for polygon in forests]
    shadows += [shifted(shape, TREE_HEIGHT) for shape in by_kind.get("tree", []) if isinstance(shape, Polygon)]
    shadows += [shadow_of(item) for item in objects if item.look.height]

    paths, fences, bays = by_kind.get("path", []), by_kind.get("fence", []), by_kind.get("bay", [])
    dashes, tracks, hedges = by_kind.get("dash", []), by_kind.get("track", []), by_kind.get("hedge", [])
    wakes = [
        Overlay([arm for ship in ships for arm in wake_of(ship, reach)], WAKE, strength=0.2, only="water")
        for reach in WAKE_REACHES
    ]
    return [
        Overlay(polygons_of(layout.carriageway), ASPHALT, grain=0.035),
        Overlay(paths, CONCRETE, strength=0.9),
        Overlay(fences, WOOD, strength=0.7, only="residential"),
        Overlay([*bays, *dashes], LINE_PAINT, strength=0.8),
        Overlay(tracks, SOIL, strength=0.6, only="farmland"),
        Overlay(hedges, FOLIAGE, grain=0, crowns=1.6, only="farmland"),
        *wakes,
        Overlay(shadows, SHADOW, strength=SHADOW_DEPTH, grain=0, never="forest"),
        Overlay(by_kind.get("tree", []), FOLIAGE, grain=0, crowns=1.8),
    ]


class _GroundTable:
    """Look-up tables by style number: base colour, texture strengths, crop rows."""

    def __init__(self, layout: Layout) -> None:
        looks = [LOOKS[style.look or style.class_name] for style in layout.styles]
        self._patterns = {number: (look.pattern, layout.styles[number].angle) for number, look in enumerate(looks)}
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

    def allows(self, overlay: Overlay) -> NDArray[np.bool_]:
        """Return by style number whether an overlay may lie on it."""
        return np.array([overlay.only in (None, name) and overlay.never != name for name in self._names])

    def paint(
        self,
        styles: NDArray[np.uint16],
        present: list[int],
        window: Window,
        textures: Textures,
        shore: Callable[[Window], Plane],
    ) -> Canvas:
        """Return float pixels (height, width, 3) of the ground of a window in which the styles `present` occur."""
        x, y, width, height = window
        light = np.ones((height, width), dtype=np.float32)
        light += self._strength["grain"][styles] * cut(textures.grain, x, y, width, height)
        light += self._strength["mottle"][styles] * cut(textures.mottle, x, y, width, height)
        light += self._strength["shade"][styles] * cut_shades(textures.shades, x, y, width, height)
        if self._strength["rows"][present].any():
            columns, rows = np.arange(x, x + width, dtype=np.float32), np.arange(y, y + height, dtype=np.float32)
            phase = self._wave_x[styles] * columns[None, :] + self._wave_y[styles] * rows[:, None]
            light += self._strength["rows"][styles] * np.sin(phase)
        if self._strength["crowns"][present].any():
            light += self._strength["crowns"][styles] * (cut(textures.crowns, x, y, width, height) - 0.5)
        if self.is_class("water")[present].any():
            water = np.flatnonzero(self.is_class("water")[styles])
            light.ravel()[water] *= shore(window).ravel()[water]
        pixels: Canvas = np.take(self._base, styles, axis=0) * light[..., None]
        for style in present:
            pattern, angle = self._patterns[style]
            if pattern is not None:
                _lay_pattern(pixels, np.flatnonzero(styles == style), pattern, angle, window, textures)
        return pixels


def _lay_pattern(
    pixels: Canvas, places: NDArray[np.intp], pattern: Pattern, angle: float, window: Window, textures: Textures
) -> None:
    """Lay a pattern over the pixels at flat `places` of a window, its lines along `angle`."""
    if pattern.kind == "pools":
        share = 4 * (cut(textures.mottle, *window).ravel()[places] - 0.6)
    else:
        x, y = window.x + places % window.width, window.y + places // window.width
        turn = 2 * math.pi / pattern.spacing
        share = np.cos(turn * (y * math.cos(angle) - x * math.sin(angle)))
        if pattern.kind == "trees":
            share = share + np.cos(turn * (x * math.cos(angle) + y * math.sin(angle))) - 0.2
        share = 1.5 * share
    share = np.clip(share, 0, 1).astype(np.float32)[:, None]
    light = 1 + 0.12 * cut(textures.grain, *window).ravel()[places, None]
    flat = pixels.reshape(-1, 3)
    under = flat[places]
    flat[places] = under + share * (np.array(pattern.colour, dtype=np.float32) * light - under)


def _shore_light(layout: Layout, areas: Sequence[tuple[int, Polygon]]) -> Callable[[Window], Plane]:
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
        box = (
            window.x / step - left,
            window.y / step - top,
            (window.x + window.width) / step - left,
            (window.y + window.height) / step - top,
        )
        image = Image.fromarray(depth).resize((window.width, window.height), Image.Resampling.BILINEAR, box=box)
        return SHORE_LIGHT + (DEEP_LIGHT - SHORE_LIGHT) * np.asarray(image, dtype=np.float32)

    return brightness


def _box_blur(plane: Plane, radius: int) -> Plane:
    for axis in (0, 1):
        shifted_planes = [np.roll(plane, shift, axis=axis) for shift in range(-radius, radius + 1)]
        plane = np.mean(shifted_planes, axis=0, dtype=np.float32)
    return plane


def _near(tree: shapely.STRtree, window: Window, pad: float = 4.0) -> list[int]:
    x, y, width, height = window
    return sorted(tree.query(shapely.box(x - pad, y - pad, x + width + pad, y + height + pad)).tolist())


def _coverage(window: Window, polygons: Sequence[Polygon]) -> NDArray[np.uint8] | None:
    """Return how much of each pixel the polygons cover, 0 to 255, at twice the resolution; None for nothing at all."""
    if not polygons:
        return None
    scale = 2
    image = Image.new("L", (window.width * scale, window.height * scale))
    draw = ImageDraw.Draw(image)
    for polygon in polygons:
        draw.polygon(_to_image(polygon.exterior, window.x, window.y, scale), fill=255)
        for hole in polygon.interiors:
            draw.polygon(_to_image(hole, window.x, window.y, scale), fill=0)
    return np.asarray(image.reduce(scale))


def _to_image(ring: BaseGeometry, x: int, y: int, scale: int) -> list[float]:
    """Return the points of a ring as the small pixels that they lie in.

    Pillow cuts coordinates towards zero, so the rounding is done here, the same for every window. It fills the pixels
    of both ends: a shape grows by half a small pixel on each side on average, by a whole one at most.
    """
    points: list[float] = np.floor((shapely.get_coordinates(ring) - [x, y]) * scale).ravel().tolist()
    return points


def paint_object(pixels: Canvas, item: DemoObject, window: Window, grain: Plane) -> None:
    """Paint one object into the pixels of a window; only pixels that its polygon touches change."""
    x_min, y_min, x_max, y_max = item.polygon.bounds
    left, top = max(math.floor(x_min), window.x), max(math.floor(y_min), window.y)
    right, bottom = min(math.ceil(x_max), window.x + window.width), min(math.ceil(y_max), window.y + window.height)
    if left >= right or top >= bottom:
        return
    width, height = right - left, bottom - top
    size = (width * SUPERSAMPLING, height * SUPERSAMPLING)
    base = PAINT[item.look.colour]
    image, mask = Image.new("RGB", size, _rgb(base)), Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for outline, colour in parts_of(item, base):
        points = [item.frame.to_scene(u, v) for u, v in outline]
        draw.polygon(_to_image(LineString(points), left, top, SUPERSAMPLING), fill=_rgb(colour))
    ImageDraw.Draw(mask).polygon(_to_image(item.polygon.exterior, left, top, SUPERSAMPLING), fill=255)
    share = np.asarray(mask.reduce(SUPERSAMPLING), dtype=np.float32)[..., None] / 255
    light = 1 + 0.02 * cut(grain, left + 77, top + 311, width, height)[..., None]
    part = pixels[top - window.y : bottom - window.y, left - window.x : right - window.x]
    part += share * (np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float32) * light - part)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(value))) for value in colour)
    return red, green, blue
