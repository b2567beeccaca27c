"""How the labels of a scene cover it: how much of it, and whether objects lie on areas or beside them.

Measured on a grid, because exact unions of thousands of detailed polygons are slow and a share needs no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Outline, Role
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array

MIN_LAND_COVER_SHARE = 0.9
"""Labels that cover less of the scene are not taken for a land cover map."""
MAX_OVERLAP_SHARE = 0.02
"""Every place of a land cover map has one class: where more of the objects lie on areas, they are things on it."""

_ALL = 0.999
_MAX_CELLS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Shares of a scene, in [0, 1].

    Attributes:
        labelled: under areas or outlined objects (buildings may be left out of the areas); where both together cannot
            reach `MIN_LAND_COVER_SHARE`, or areas alone cover all, objects are not looked at.
        areas: under areas.
        overlap: the share of the outlined objects that lie on areas; 0 without objects.
        stacked: the area of all areas beyond what they cover together: that of a park on a residential area.
    """

    labelled: float = 0.0
    areas: float = 0.0
    overlap: float = 0.0
    stacked: float = 0.0

    @property
    def is_land_cover_map(self) -> bool:
        """True when the labels divide the scene among classes: then an object class is coverage too, not things."""
        is_divided = self.labelled > self.areas > 0 and self.overlap <= MAX_OVERLAP_SHARE
        return is_divided and self.labelled >= MIN_LAND_COVER_SHARE


def coverage(features: Features, scene_size: tuple[int, int], table: ClassTable) -> Coverage:
    """Return how labels cover a scene of `scene_size` (height, width) pixels, up to a 1024th of its side."""
    areas: list[BaseGeometry] = []
    objects: list[BaseGeometry] = []
    for geometry, name, outline in zip(features.geometries, features.class_names, features.outlines, strict=True):
        role = table.classes[name].role
        if role is Role.AREA:
            areas.append(geometry)
        elif role is Role.OBJECT and outline is Outline.POLYGON:
            objects.append(geometry)
    if not areas:
        return Coverage()
    under_areas = covered_cells(areas, scene_size)
    area_share = float(under_areas.mean())
    stacked = max(0.0, _share_of_each(areas, scene_size) - area_share)
    if not objects:
        return Coverage(labelled=area_share, areas=area_share, stacked=stacked)
    overlap = float(_are_inside(under_areas, object_array(objects), scene_size).mean())
    most = area_share + float(shapely.area(objects).sum()) / (scene_size[0] * scene_size[1])
    labelled = area_share
    if area_share < _ALL and most >= MIN_LAND_COVER_SHARE:
        labelled = float((under_areas | covered_cells(objects, scene_size)).mean())
    return Coverage(labelled=labelled, areas=area_share, overlap=overlap, stacked=stacked)


def _share_of_each(areas: Sequence[BaseGeometry], scene_size: tuple[int, int]) -> float:
    """Return the shares of the scene under each of the areas together, overlaps counted as often as they are."""
    height, width = scene_size
    inside = shapely.clip_by_rect(object_array(areas), 0, 0, width, height)
    return float(shapely.area(inside).sum()) / (width * height)


def _are_inside(
    cells: NDArray[np.bool_], geometries: NDArray[np.object_], scene_size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Tell which polygons have an inner point in one of the cells."""
    height, width = scene_size
    points = shapely.get_coordinates(shapely.point_on_surface(geometries))
    rows = np.clip(points[:, 1] * cells.shape[0] // height, 0, cells.shape[0] - 1).astype(int)
    columns = np.clip(points[:, 0] * cells.shape[1] // width, 0, cells.shape[1] - 1).astype(int)
    inside: NDArray[np.bool_] = cells[rows, columns]
    return inside


_CORNERS_AT_ONCE = 100_000
"""Of the geometries that are laid on the grid together: as mappings they take ten times the memory."""


def covered_cells(geometries: Sequence[BaseGeometry], scene_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the cells of a grid over the scene whose centre is in one of the polygons."""
    height, width = scene_size
    cell = max(1.0, max(height, width) / _MAX_CELLS)
    shape = (max(1, round(height / cell)), max(1, round(width / cell)))
    grid = Affine.scale(width / shape[1], height / shape[0])
    burnt = np.zeros(shape, dtype=np.uint8)
    shapes = object_array(geometries)
    corners = np.cumsum(shapely.get_num_coordinates(shapes))
    for part in np.split(shapes, np.flatnonzero(np.diff(corners // _CORNERS_AT_ONCE)) + 1):
        if mappings := _as_mappings(part):
            rasterio.features.rasterize(mappings, out=burnt, transform=grid)
    return burnt.astype(bool)


def _as_mappings(geometries: NDArray[np.object_]) -> list[dict[str, object]]:
    """Return the polygons among geometries as GeoJSON; shapely makes it corner by corner, which takes far longer."""
    parts, owners = shapely.get_parts(geometries, return_index=True)
    rings, ring_owners = shapely.get_rings(parts, return_index=True)
    corners = shapely.get_coordinates(rings).tolist()
    ends = np.cumsum(shapely.get_num_coordinates(rings)).tolist()
    polygons: list[list[list[list[float]]]] = [[] for _ in parts]
    for part, start, end in zip(ring_owners.tolist(), [0, *ends], ends, strict=False):
        polygons[part].append(corners[start:end])
    coordinates: dict[int, list[list[list[list[float]]]]] = {}
    for owner, polygon in zip(owners.tolist(), polygons, strict=True):
        if polygon:
            coordinates.setdefault(owner, []).append(polygon)
    return [{"type": "MultiPolygon", "coordinates": found} for found in coordinates.values()]
