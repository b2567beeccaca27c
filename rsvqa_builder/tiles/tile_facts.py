"""From a scene's labels and a window to what the tasks know about a tile (`annotation.facts.TileFacts`).

Geometries are cut to the window and moved to tile pixels. What lies on invalid pixels (nodata, outside the mask) is
hidden: it counts against an object's visible share, and areas are cut to the valid part.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import features as raster_features
from shapely import LineString, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Area, ClassInfo, Gsd, Outline, Road, Role, TileFacts, TileObject
from rsvqa.rsvqa_builder.labels.completeness import MIN_AREA_SHARE
from rsvqa.rsvqa_builder.labels.coverage import covered_cells
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.scenes.tiling import Window

MAX_VALID_CELLS = 512
"""Validity is looked at in at most this many cells along a side: single dark pixels that equal nodata hide nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLabels:
    """The labels of one scene, ready to be cut into tiles.

    Attributes:
        features: in scene pixels; those that reach the tile are enough.
        classes: the class table, by name.
        complete_classes: classes of which every instance in the scene is labelled.
        mapped_classes: classes of a land cover map with gaps: complete on the tiles without one.
    """

    features: Features
    classes: Mapping[str, ClassInfo]
    complete_classes: frozenset[str]
    mapped_classes: frozenset[str] = frozenset()

    @property
    def has_anomaly_layer(self) -> bool:
        """True when a class of anomalies is labelled completely, so that absence is a fact."""
        return any(self.classes[name].role is Role.ANOMALY for name in self.complete_classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileSetting:
    """What a tile has from its scene beside labels; fields as in `TileFacts`."""

    tile_id: str
    gsd_m: Gsd | None = None
    has_true_colours: bool = True
    north_deg: float | None = None
    date: dt.date | None = None


def cut_facts(
    labels: SceneLabels,
    window: Window,
    valid: NDArray[np.bool_] | None,
    setting: TileSetting,
    *,
    later: TileFacts | None = None,
    missing: Mapping[str, str] | None = None,
) -> TileFacts:
    """Return what is known about the tile in `window`.

    Args:
        labels: of the scene.
        window: the tile, scene pixels.
        valid: (height, width) mask of the tile's valid pixels; None when all are.
        setting: georeference and date of the tile.
        later: the same ground at the later date, cut before.
        missing: why something that tasks may need is not there.
    """
    features = labels.features
    tile = shapely.box(*_bounds(window))
    shapely.prepare(tile)
    chosen = np.flatnonzero(shapely.intersects(tile, features.geometries))
    cut = _cut_to_window(features.geometries[chosen], window)
    cells = None if valid is None else ValidCells.of(valid)
    objects: list[TileObject] = []
    areas: list[Area] = []
    anomalies: list[Area] = []
    roads: list[Road] = []
    whole_areas = shapely.area(features.geometries[chosen])
    for row, geometry, whole_area in zip(chosen.tolist(), cut, whole_areas.tolist(), strict=True):
        info = labels.classes[features.class_names[row]]
        if info.role is Role.OBJECT:
            objects.extend(_object(features, row, geometry, whole_area, cells))
        elif info.role is Role.ROAD:
            roads.extend(_roads(features, row, geometry))
        elif info.role in (Role.AREA, Role.ANOMALY):
            target = areas if info.role is Role.AREA else anomalies
            target.extend(_areas(features, row, geometry, cells))
    return TileFacts(
        tile_id=setting.tile_id,
        width=window.width,
        height=window.height,
        classes=labels.classes,
        objects=tuple(objects),
        areas=tuple(areas),
        roads=tuple(roads),
        anomalies=tuple(anomalies),
        complete_classes=_complete_on_tile(labels, window, objects, areas),
        has_anomaly_layer=labels.has_anomaly_layer,
        gsd_m=setting.gsd_m,
        has_true_colours=setting.has_true_colours,
        north_deg=setting.north_deg,
        date=setting.date,
        later=later,
        missing=dict(missing or {}),
    )


def _complete_on_tile(
    labels: SceneLabels, window: Window, objects: Sequence[TileObject], areas: Sequence[Area]
) -> frozenset[str]:
    """Return the complete classes, those of a land cover map among them where it has no gap on the tile."""
    if not labels.mapped_classes or not areas:
        return labels.complete_classes
    outlines = [item.geometry for item in objects if item.outline is Outline.POLYGON]
    shapes = [*(area.geometry for area in areas), *outlines]
    is_covered = covered_cells(shapes, (window.height, window.width)).mean() >= MIN_AREA_SHARE
    return labels.complete_classes | labels.mapped_classes if is_covered else labels.complete_classes


@dataclass(frozen=True)
class ValidCells:
    """Which parts of a tile show the ground: cells of `side`² pixels, valid when at least half of their pixels are."""

    cells: NDArray[np.bool_]
    side: int
    width: int
    height: int

    @classmethod
    def of(cls, valid: NDArray[np.bool_]) -> ValidCells:
        """Return the cells of a (height, width) mask."""
        height, width = valid.shape
        side = max(1, -(-max(height, width) // MAX_VALID_CELLS))
        rows, columns = np.arange(0, height, side), np.arange(0, width, side)
        counts = np.add.reduceat(np.add.reduceat(valid, rows, axis=0, dtype=np.uint32), columns, axis=1)
        row_sizes = np.diff(np.append(rows, height))
        column_sizes = np.diff(np.append(columns, width))
        return cls(counts * 2 >= np.outer(row_sizes, column_sizes), side, width, height)

    @cached_property
    def region(self) -> BaseGeometry:
        """The valid part of the tile, tile pixels."""
        shapes = raster_features.shapes(self.cells.astype(np.uint8), mask=self.cells)
        parts = [shapely.geometry.shape(shape) for shape, _ in shapes]
        scaled = shapely.transform(shapely.union_all(parts), lambda xy: xy * self.side)
        return scaled.intersection(shapely.box(0, 0, self.width, self.height))

    def share(self, geometry: Polygon | MultiPolygon) -> float:
        """Return the valid share of a geometry inside the tile, in [0, 1]."""
        x_min, y_min, x_max, y_max = (int(value) for value in np.array(geometry.bounds) // self.side)
        if self.cells[y_min : y_max + 1, x_min : x_max + 1].all():
            return 1.0
        return float(geometry.intersection(self.region).area / geometry.area)

    def at(self, point: Point) -> bool:
        """Tell whether a point of the tile is valid; the far edges belong to the last cells."""
        row = min(int(point.y) // self.side, self.cells.shape[0] - 1)
        column = min(int(point.x) // self.side, self.cells.shape[1] - 1)
        return bool(self.cells[row, column])


def _bounds(window: Window) -> tuple[int, int, int, int]:
    return window.x, window.y, window.x + window.width, window.y + window.height


def _cut_to_window(geometries: NDArray[np.object_], window: Window) -> NDArray[np.object_]:
    """Return the geometries cut to the window, in tile pixels; only those that cross its edge are computed."""
    x_min, y_min, x_max, y_max = _bounds(window)
    bounds = shapely.bounds(geometries)
    crosses = (bounds[:, :2] < [x_min, y_min]).any(axis=1) | (bounds[:, 2:] > [x_max, y_max]).any(axis=1)
    cut = geometries.copy()
    cut[crosses] = shapely.intersection(geometries[crosses], shapely.box(x_min, y_min, x_max, y_max))
    moved: NDArray[np.object_] = shapely.transform(cut, lambda xy: xy - [x_min, y_min])
    return moved


def _object(
    features: Features, row: int, geometry: BaseGeometry, whole_area: float, cells: ValidCells | None
) -> list[TileObject]:
    """Return the object, or nothing when none of it is visible."""
    visible = geometry if isinstance(geometry, Point) else _polygonal(geometry)
    if visible is None:
        return []
    if isinstance(visible, Point):
        share = float(cells is None or cells.at(visible))
    else:
        share = min(visible.area / whole_area, 1.0) * (1.0 if cells is None else cells.share(visible))
    if not share:
        return []
    return [
        TileObject(
            object_id=features.ids[row],
            class_name=features.class_names[row],
            geometry=visible,
            outline=features.outlines[row],
            visible_share=share,
            is_certain=bool(features.is_certain[row]),
            attributes=features.attributes[row],
        )
    ]


def _areas(features: Features, row: int, geometry: BaseGeometry, cells: ValidCells | None) -> list[Area]:
    """Return the visible part of the area, or nothing."""
    visible = _polygonal(geometry)
    if visible is not None and cells is not None and cells.share(visible) < 1:
        visible = _polygonal(visible.intersection(cells.region))
    if visible is None:
        return []
    name, certain = features.class_names[row], bool(features.is_certain[row])
    return [
        Area(
            area_id=features.ids[row],
            class_name=name,
            geometry=visible,
            is_certain=certain,
            attributes=features.attributes[row],
        )
    ]


def _roads(features: Features, row: int, geometry: BaseGeometry) -> list[Road]:
    """Return the pieces of the road inside the tile, numbered when the edge cuts it in several."""
    parts = [part for part in shapely.get_parts(geometry) if isinstance(part, LineString) and part.length > 0]
    suffixes = [""] if len(parts) == 1 else [f"#{number}" for number in range(len(parts))]
    name, attributes = features.class_names[row], features.attributes[row]
    return [
        Road(road_id=features.ids[row] + suffix, class_name=name, geometry=part, attributes=attributes)
        for part, suffix in zip(parts, suffixes, strict=True)
    ]


def _polygonal(geometry: BaseGeometry) -> Polygon | MultiPolygon | None:
    """Return the polygons of a geometry (a cut may leave points and lines along the edge), None when there are none."""
    if isinstance(geometry, Polygon | MultiPolygon):
        return None if geometry.is_empty else geometry
    parts = [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon) and not part.is_empty]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)
