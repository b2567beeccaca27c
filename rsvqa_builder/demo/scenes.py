"""Example scenes whose labels are exact: procedural GeoTIFFs, each with a GeoPackage of everything painted.

A place looks like a town and its fields from above at 0.3 to 0.6 m. Even-numbered places have two dates on one pixel
grid. The labels are what was painted, so an answer can be recomputed from them by other means than a task's own code.
Places differ in what they have (`character.py`), so that presence is a question.

The same arguments give the same bytes; a place does not depend on how many others are made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.demo.buildings import add_buildings, add_courts, add_developments, add_tanks
from rsvqa.rsvqa_builder.demo.character import GROUP, deal_character
from rsvqa.rsvqa_builder.demo.files import DEFLATE, JPEG, Layer, MapCorner, label_layers, write_labels, write_raster
from rsvqa.rsvqa_builder.demo.ground import GSD_M, Layout
from rsvqa.rsvqa_builder.demo.layout import make_layout
from rsvqa.rsvqa_builder.demo.marks import add_marks
from rsvqa.rsvqa_builder.demo.objects import BOTH_DATES, Contents, Site
from rsvqa.rsvqa_builder.demo.painting import Painter
from rsvqa.rsvqa_builder.demo.textures import Plane, cut_shades, make_textures
from rsvqa.rsvqa_builder.demo.traffic import add_moving, add_parked, add_ships, mark_bays
from rsvqa.rsvqa_builder.scenes.tiling import Window

MIN_SIZE = 512
"""Smaller places have no room for a river and three roads each way."""

BENCHMARK_SQUARE = 2048
"""Pixels along one side of the square that a benchmark scene repeats, where the scene's size allows."""

SCALES = (1.0, 1.0, 1.5, 2.0)
"""Drawn pixels per pixel along each axis, by place in turn: metres are no constant times pixels in one data set."""

MAX_TRAFFIC = 16.0
"""Times the usual traffic; beyond it the roads are full."""

BENCHMARK_LIGHT = 0.08
"""Spread of the slow light over a benchmark scene, so that no two of its tiles are alike."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """Where and when a place is: EPSG code, map position of its upper left corner (metres), times of its dates."""

    epsg: int
    easting: float
    northing: float
    days: tuple[str, str]


_SETTINGS = (
    _Setting(32631, 640_200.0, 5_761_500.0, ("2019:06:14 10:42:07", "2023:07:02 10:38:51")),
    _Setting(32618, 421_500.0, 4_378_200.0, ("2021:05:23 15:51:30", "2024:06:09 15:47:12")),
    _Setting(32650, 688_800.0, 3_518_400.0, ("2018:08:30 02:57:44", "2022:09:11 03:02:25")),
)


def make_demo_scenes(out: Path, *, seed: int = 0, size: int = 4096, count: int = 3) -> list[Path]:
    """Write `count` places of `size` × `size` pixels into `out` and return the paths of their GeoTIFFs.

    Place 0, 2, 4 … are `place_00_t1.tif` and `place_00_t2.tif` with labels of the same stem; the others are
    `place_01.tif`. `classes.toml` beside them is the preset "demo". Existing files of these names are replaced.

    Raises:
        RsvqaError: `size` or `count` is too small.
    """
    if size < MIN_SIZE or count < 1:
        raise RsvqaError(f"demo scenes: size {size} and count {count}; expected size ≥ {MIN_SIZE} pixels and count ≥ 1")
    out.mkdir(parents=True, exist_ok=True)
    preset = resources.files("rsvqa.rsvqa_builder.labels.presets").joinpath("demo.toml")
    (out / "classes.toml").write_bytes(preset.read_bytes())
    return [path for number in range(count) for path in _make_place(out, number, seed=seed, size=size)]


def _make_place(out: Path, number: int, *, seed: int, size: int) -> list[Path]:
    setting = _SETTINGS[number % len(_SETTINGS)]
    has_pair = number % 2 == 0
    rng = np.random.Generator(np.random.PCG64([seed, number]))
    drawn = math.ceil(size * _scale(number))
    scale = drawn / size
    layout = make_layout(drawn, rng, deal_character(seed, number))
    # one date is the later one: a place with its anomaly
    contents = _place_objects(layout, rng, dates=(has_pair, True))
    textures = make_textures(drawn, rng)
    east = 2 * GSD_M * max(SCALES) * size * (number // len(_SETTINGS))  # places with one setting lie apart
    georeference = MapCorner(setting.epsg, setting.easting + east, setting.northing, round(GSD_M * scale, 6))
    paths = []
    for date in (0, 1) if has_pair else (1,):
        stem = f"place_{number:02d}" + (f"_t{date + 1}" if has_pair else "")
        path = out / f"{stem}.tif"
        paint = _reduced(Painter(layout, contents, textures, date).paint, scale)
        write_raster(
            path, size, georeference, DEFLATE if has_pair else JPEG, setting.days[date if has_pair else 0], paint
        )
        write_labels(out / f"{stem}.gpkg", label_layers(layout, contents, date, scale=scale), georeference)
        paths.append(path)
    return paths


def _scale(number: int) -> float:
    """Return the scale of a place; the turn moves on by one with each group, since its places differ in character."""
    return SCALES[(number + number // GROUP) % len(SCALES)]


def _reduced(paint: Callable[[Window], NDArray[np.uint8]], scale: float) -> Callable[[Window], NDArray[np.uint8]]:
    """Return what paints windows of pixels that are each the mean of `scale` × `scale` drawn ones."""
    if scale == 1:
        return paint

    def paint_reduced(window: Window) -> NDArray[np.uint8]:
        sides = np.array([window.x, window.y, window.x + window.width, window.y + window.height]) * scale
        x, y = np.floor(sides[:2] + 1e-6).astype(int).tolist()
        right, bottom = np.ceil(sides[2:] - 1e-6).astype(int).tolist()
        drawn = paint(Window(x, y, right - x, bottom - y)).astype(np.float32)
        rows = np.arange(window.y, window.y + window.height + 1) * scale - y
        columns = np.arange(window.x, window.x + window.width + 1) * scale - x
        across = _means(drawn, rows).swapaxes(0, 1)
        return np.asarray(_means(across, columns).swapaxes(0, 1) + 0.5, dtype=np.uint8)

    return paint_reduced


def _means(pixels: NDArray[np.float32], edges: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the mean of the rows between each two edges, which may lie within a row."""
    total = np.concatenate([np.zeros_like(pixels[:1], dtype=np.float64), np.cumsum(pixels, axis=0, dtype=np.float64)])
    last = np.clip(np.floor(edges), 0, len(pixels) - 1).astype(int)
    at_edges = total[last] + (edges - last)[:, None, None] * pixels[last]
    means: NDArray[np.float32] = (np.diff(at_edges, axis=0) / np.diff(edges)[:, None, None]).astype(np.float32)
    return means


def _place_objects(
    layout: Layout, rng: np.random.Generator, *, dates: tuple[bool, bool] = BOTH_DATES, traffic: float = 1.0
) -> Contents:
    """Return what stands on the ground plan at the dates wanted; `traffic` scales the number of vehicles."""
    site = Site(layout, rng)
    add_developments(site, dates)
    add_buildings(site, dates)
    add_tanks(site)
    add_courts(site)
    for date in (date for date in (0, 1) if dates[date]):
        add_parked(site, date, traffic)
        add_moving(site, date, traffic)
        add_ships(site, date)
    mark_bays(site)
    add_marks(site)
    return Contents(tuple(site.objects), tuple(site.marks))


def make_benchmark_scene(path: Path, *, size: int = 20480, objects_per_mpix: float = 50, seed: int = 0) -> Path:
    """Write one large GeoTIFF quickly, with a GeoPackage of the same stem, and return the GeoTIFF's path.

    One painted square is repeated, mirrored in every other column and row, so that roads and areas go on across its
    borders; slow light over the whole scene keeps the tiles apart. Memory does not depend on `size`.

    Raises:
        RsvqaError: so many objects do not fit.
    """
    num_squares = max(1, round(size / BENCHMARK_SQUARE))
    side = -(-size // num_squares)
    rng = np.random.Generator(np.random.PCG64([seed, size]))
    layout = make_layout(side, rng)
    contents = _exactly(layout, rng, round(objects_per_mpix * side**2 / 1e6))
    square = Painter(layout, contents, make_textures(side, rng), 0).paint(Window(0, 0, side, side))
    light = rng.standard_normal((2 * num_squares + 4,) * 2, dtype=np.float32)
    setting = _SETTINGS[1]
    georeference = MapCorner(setting.epsg, setting.easting, setting.northing, GSD_M)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_raster(path, size, georeference, DEFLATE, setting.days[0], _mirrored_painter(square, light))
    layers = [_mirrored(layer, side, size) for layer in label_layers(layout, contents, 0)]
    write_labels(path.with_suffix(".gpkg"), layers, georeference)
    return path


def _exactly(layout: Layout, rng: np.random.Generator, num: int) -> Contents:
    """Return contents with `num` objects, more traffic or fewer objects than usual."""
    contents = _place_objects(layout, rng, dates=(True, False))
    traffic = 1.0
    while len(contents.objects) < num:
        if traffic >= MAX_TRAFFIC:
            raise RsvqaError(
                f"benchmark scene: {num} objects wanted on {layout.size} × {layout.size} pixels, "
                f"only {len(contents.objects)} fit; ask for fewer objects per megapixel"
            )
        traffic *= 2
        contents = _place_objects(layout, rng, dates=(True, False), traffic=traffic)
    kept = np.sort(rng.permutation(len(contents.objects))[:num])
    return replace(contents, objects=tuple(contents.objects[k] for k in kept))


def _mirrored_painter(square: NDArray[np.uint8], light: Plane) -> Callable[[Window], NDArray[np.uint8]]:
    """Return what paints any window from the mirrored repeats of `square`; `light` has two nodes per square."""
    side = len(square)
    there_and_back = np.concatenate([np.arange(side), np.arange(side)[::-1]])

    def paint(window: Window) -> NDArray[np.uint8]:
        rows = there_and_back[np.arange(window.y, window.y + window.height) % (2 * side)]
        columns = there_and_back[np.arange(window.x, window.x + window.width) % (2 * side)]
        shade = 1 + BENCHMARK_LIGHT * np.clip(cut_shades(light, *window, spacing=side / 2), -2.5, 2.5)
        fixed_point = (shade * 128).astype(np.uint16)[..., None]  # far faster than floats; 255 × 1.2 × 128 fits
        lit = (square[rows][:, columns] * fixed_point) >> 7
        return np.asarray(np.minimum(lit, 255), dtype=np.uint8)

    return paint


def _mirrored(layer: Layer, side: int, size: int) -> Layer:
    """Return the features of all mirrored repeats of a square, areas and roads cut to the scene."""
    scene = shapely.box(0, 0, size, size)
    geometries, rows, suffixes = [], [], []
    num_squares = -(-size // side)
    for i, j in ((i, j) for j in range(num_squares) for i in range(num_squares)):
        scale = np.array([-1 if i % 2 else 1, -1 if j % 2 else 1])
        origin = np.array([(i + i % 2) * side, (j + j % 2) * side])
        moved = shapely.transform(layer.geometries, partial(_along_axes, scale=scale, origin=origin))
        is_inside = shapely.intersects(scene, moved)
        if layer.is_cut_to_scene and (i + 1 == num_squares or j + 1 == num_squares):
            moved = shapely.intersection(moved, scene)
        rows.append(np.flatnonzero(is_inside))
        geometries.append(moved[is_inside])
        suffixes += [f"@{i}.{j}"] * int(is_inside.sum())
    return layer.taken(np.concatenate(geometries), np.concatenate(rows), suffixes)


def _along_axes(
    points: NDArray[np.float64], *, scale: NDArray[np.int64], origin: NDArray[np.int64]
) -> NDArray[np.float64]:
    return points * scale + origin
