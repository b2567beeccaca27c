"""Join neighbouring sheets of one CRS and resolution into virtual scenes, so that tiles can cross sheet borders.

A mosaic is a GDAL VRT: a small XML file that names the sheets and their places. Where GDAL's own bindings are installed
they build it, elsewhere `vrt.py` does; both give the same pixels. Sheets are drawn in the order of their ids, the later
over the earlier; what no sheet covers is invalid.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, STRtree

from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.rasters import open_raster
from rsvqa.rsvqa_builder.scenes.scene import LeftOut, Scene, describe_scene
from rsvqa.rsvqa_builder.scenes.vrt import PlacedRaster, VrtPlan, has_gdal_bindings, write_vrt, write_vrt_with_gdal

MAX_GRID_OFFSET = 0.05
"""Pixels by which a sheet's corners may miss the grid of the others; more would need resampling."""

MAX_SHARED = 0.5
"""Share of the smaller sheet that two sheets of one mosaic may have in common; more is the same place twice."""


class Sheet(NamedTuple):
    """One scene of a mosaic: its pixel (0, 0) is the mosaic's pixel (x, y)."""

    scene: Scene
    x: int
    y: int


class Mosaic(NamedTuple):
    """A virtual scene and the sheets that it is made of, in the order in which they are drawn."""

    scene: Scene
    sheets: tuple[Sheet, ...]


class Joined(NamedTuple):
    """What became of a build's scenes.

    Attributes:
        scenes: mosaics, and the scenes that join nothing, sorted by id.
        mosaics: the mosaics among them, with their sheets.
        left_alone: sheets that touch others but cannot be joined, with the reason; they are among `scenes`.
    """

    scenes: tuple[Scene, ...]
    mosaics: tuple[Mosaic, ...]
    left_alone: tuple[LeftOut, ...]


def build_mosaics(scenes: Sequence[Scene], folder: Path, *, apart: Collection[str] = ()) -> Joined:
    """Join sheets that touch or overlap, and return all scenes that are to be used.

    Sheets are joined when they have the same CRS, pixel size and rotation, lie on one pixel grid, and agree in bands,
    data type, nodata, mask, colour table and year of acquisition. Sheets that mostly show the same ground are two
    dates of it, and are left alone.

    Args:
        scenes: described scenes.
        folder: for the VRT files; made when needed.
        apart: ids of scenes that must not be joined (those of a pair of dates).

    Raises:
        SceneError: a VRT cannot be written.
    """
    ordered = sorted(scenes, key=lambda scene: scene.scene_id)
    mosaics: list[Mosaic] = []
    left_alone: list[LeftOut] = []
    for group in _touching_groups([scene for scene in ordered if scene.scene_id not in apart]):
        sheets = _place(group)
        reason = _why_not(sheets)
        if reason:
            left_alone += [LeftOut(sheet.scene.path, reason) for sheet in sheets]
        else:
            mosaics.append(_join(sheets, folder, taken={scene.scene_id for scene in ordered}))
    joined = {sheet.scene.scene_id for mosaic in mosaics for sheet in mosaic.sheets}
    kept = [scene for scene in ordered if scene.scene_id not in joined] + [mosaic.scene for mosaic in mosaics]
    return Joined(tuple(sorted(kept, key=lambda scene: scene.scene_id)), tuple(mosaics), tuple(left_alone))


def _touching_groups(scenes: Sequence[Scene]) -> Iterator[list[Scene]]:
    """Yield groups of two or more alike sheets of which each touches another, in the order of their first ids."""
    by_kind: dict[Hashable, list[Scene]] = {}
    for scene in scenes:
        kind = _kind(scene)
        if kind is not None:
            by_kind.setdefault(kind, []).append(scene)
    groups = [group for alike in by_kind.values() for group in _connected(alike)]
    yield from sorted(groups, key=lambda group: group[0].scene_id)


def _kind(scene: Scene) -> Hashable | None:
    """Return what sheets of one mosaic have in common; None for a scene that cannot be part of any."""
    if scene.crs is None or scene.has_missing_blocks or scene.stack:
        return None
    if not isinstance(scene.transform, AffineCoefficients):
        return None
    with open_raster(scene.path) as dataset:
        colours = json.dumps(dataset.colormap(scene.bands[0])) if scene.is_palette else ""
        layout = (
            dataset.dtypes,
            tuple(colour.name for colour in dataset.colorinterp),
            str(dataset.nodatavals),
            colours,
        )
    year = scene.acquired.year if scene.acquired else None
    return (scene.crs, layout, scene.bands, scene.has_mask, scene.num_bits, scene.is_inverted, year)


def _connected(scenes: Sequence[Scene]) -> list[list[Scene]]:
    outlines = [_outline(scene) for scene in scenes]
    tree = STRtree(outlines)
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from(range(len(scenes)))
    for index, outline in enumerate(outlines):
        # half a pixel of reach, as neighbours' edges may differ by rounding
        near = tree.query(outline.buffer(_pixel_side(scenes[index]) / 2), predicate="intersects")
        graph.add_edges_from(
            (index, other) for other in map(int, near) if other > index and _same_grid(scenes[index], scenes[other])
        )
    return [[scenes[i] for i in sorted(part)] for part in nx.connected_components(graph) if len(part) > 1]


def _transform(scene: Scene) -> AffineCoefficients:
    assert isinstance(scene.transform, AffineCoefficients)  # scenes without one are no sheets
    return scene.transform


def _pixel_side(scene: Scene) -> float:
    transform = _transform(scene)
    return math.hypot(transform.a, transform.d)


def _outline(scene: Scene) -> Polygon:
    """Return the outline in map coordinates."""
    columns, rows = _corners(scene)
    return Polygon(np.column_stack(_transform(scene).to_map(columns, rows)))


def _corners(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([0.0, scene.width, scene.width, 0.0]), np.array([0.0, 0.0, scene.height, scene.height])


def _grid_offsets(reference: Scene, scene: Scene) -> NDArray[np.float64]:
    """Return where the corners of a scene lie in the reference's pixels, relative to its own: (4, 2)."""
    columns, rows = _corners(scene)
    x, y = _transform(reference).to_pixels(*_transform(scene).to_map(columns, rows))
    return np.column_stack([x - columns, y - rows])


def _same_grid(reference: Scene, scene: Scene) -> bool:
    offsets = _grid_offsets(reference, scene)
    return bool(np.abs(offsets - np.rint(offsets[0])).max() <= MAX_GRID_OFFSET)


def _place(scenes: Sequence[Scene]) -> list[Sheet]:
    """Return the sheets with their places; the mosaic's origin is the corner of all of them."""
    places = [np.rint(_grid_offsets(scenes[0], scene)[0]).astype(int) for scene in scenes]
    x_min, y_min = np.min(places, axis=0)
    return [Sheet(scene, int(x - x_min), int(y - y_min)) for scene, (x, y) in zip(scenes, places, strict=True)]


def _why_not(sheets: Sequence[Sheet]) -> str:
    """Return why touching sheets cannot be joined, or nothing."""
    first = sheets[0].scene
    for sheet in sheets:
        # neighbours agree, but small differences add up over a long row of sheets
        if not _same_grid(first, sheet.scene):
            return f"not joined: '{sheet.scene.scene_id}' is off the pixel grid of '{first.scene_id}'"
    for one, other in combinations(sheets, 2):
        if _shared(one, other) > MAX_SHARED:
            return f"not joined: '{one.scene.scene_id}' and '{other.scene.scene_id}' show the same ground"
    return ""


def _shared(one: Sheet, other: Sheet) -> float:
    width = min(one.x + one.scene.width, other.x + other.scene.width) - max(one.x, other.x)
    height = min(one.y + one.scene.height, other.y + other.scene.height) - max(one.y, other.y)
    smaller = min(one.scene.width * one.scene.height, other.scene.width * other.scene.height)
    return max(0, width) * max(0, height) / smaller


def _join(sheets: Sequence[Sheet], folder: Path, *, taken: Collection[str]) -> Mosaic:
    first = sheets[0]
    transform = _transform(first.scene)
    x, y = transform.to_map(np.array([-first.x], float), np.array([-first.y], float))
    plan = VrtPlan(
        width=max(sheet.x + sheet.scene.width for sheet in sheets),
        height=max(sheet.y + sheet.scene.height for sheet in sheets),
        transform=transform._replace(c=float(x[0]), f=float(y[0])),
        placements=tuple(PlacedRaster(sheet.scene.path, sheet.x, sheet.y) for sheet in sheets),
        needs_cover_mask=not _declares_nodata(first.scene) and not first.scene.has_mask,
    )
    name = hashlib.sha256(json.dumps([plan.width, plan.height, plan.placements]).encode()).hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.vrt"
    write = write_vrt_with_gdal if has_gdal_bindings() and plan.is_north_up else write_vrt
    write(plan, path)
    return Mosaic(_describe(sheets, path, taken), tuple(sheets))


def _declares_nodata(scene: Scene) -> bool:
    with open_raster(scene.path) as dataset:
        return any(value is not None for value in dataset.nodatavals)


def _describe(sheets: Sequence[Sheet], path: Path, taken: Collection[str]) -> Scene:
    first = sheets[0].scene
    scene_id = f"{first.scene_id}-mosaic"
    while scene_id in taken:
        scene_id += "-mosaic"
    days = sorted({sheet.scene.acquired.date() for sheet in sheets if sheet.scene.acquired})
    notes = [f"made of {len(sheets)} sheets"]
    if len(days) > 1:
        notes.append(f"its sheets were taken from {days[0]} to {days[-1]}")
    described = describe_scene(str(path), scene_id, crs=first.crs)
    return replace(
        described,
        # what the sheets are known to be; their mosaic's header knows less
        bands=first.bands,
        is_true_colour=first.is_true_colour,
        num_bits=first.num_bits,
        nodata=first.nodata,
        is_inverted=first.is_inverted,
        acquired=first.acquired if len(days) == 1 else None,
        notes=(*notes, *first.notes),
    )
