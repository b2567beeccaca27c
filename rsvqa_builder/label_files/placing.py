"""From a label file's coordinates to scene pixels: reprojection, then the inverse of the scene's affine transform."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients, Scene

_EDGES_PER_SCENE = 64
"""An edge as long as the scene gets this many pieces before reprojection: straight lines of one CRS bend in another.
The bend that is left is the square of a piece over eight Earth radii: 8 mm for a scene of 40 km."""
_EDGES_PER_GEOMETRY = 4096
"""At most so many pieces for the extent of a geometry that is much larger than the scene."""
_SAME_PLACE = 1e-9
"""Two systems whose coordinates differ by less than this share of their size are the same."""


class Bounds(NamedTuple):
    """Map coordinates, x to the east."""

    west: float
    south: float
    east: float
    north: float

    def overlaps(self, other: Bounds) -> bool:
        """Tell whether the two have a point in common."""
        return (
            self.west <= other.east
            and self.east >= other.west
            and self.south <= other.north
            and self.north >= other.south
        )


def bounds_of(geometries: NDArray[np.object_]) -> Bounds:
    """Return the common bounds of geometries; NaN when there are none."""
    if not len(geometries):  # total_bounds of nothing raises in some releases of shapely
        return Bounds(*[math.nan] * 4)
    return Bounds(*shapely.total_bounds(geometries).tolist())


def map_to_pixels(geometries: NDArray[np.object_], transform: AffineCoefficients) -> NDArray[np.object_]:
    """Return geometries moved from map coordinates to pixels (x right, y down)."""
    a, b, c, d, e, f = transform
    scale = 1 / (a * e - b * d)

    def invert(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        # The offset first: map coordinates are large, and pixels need the digits that lie behind the point.
        x, y = xy[:, 0] - c, xy[:, 1] - f
        return np.column_stack(((e * x - b * y) * scale, (a * y - d * x) * scale))

    moved: NDArray[np.object_] = shapely.transform(geometries, invert)
    return moved


def pixels_to_map(geometries: NDArray[np.object_], transform: AffineCoefficients) -> NDArray[np.object_]:
    """Return geometries moved from pixels to map coordinates."""
    a, b, c, d, e, f = transform

    def apply(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack((a * x + b * y + c, d * x + e * y + f))

    moved: NDArray[np.object_] = shapely.transform(geometries, apply)
    return moved


def scene_bounds(scene: Scene) -> Bounds:
    """Return the scene's bounds in its own CRS; the scene must have a transform."""
    if scene.transform is None:
        raise ValueError(f"scene {scene.scene_id} has no transform: it has no bounds on the map")
    frame = np.array([shapely.box(0, 0, scene.width, scene.height)])
    return bounds_of(pixels_to_map(frame, scene.transform))


def scene_bounds_in(crs: str, scene: Scene) -> Bounds | None:
    """Return the scene's bounds in another CRS, a hundredth wider; None where it cannot be projected."""
    transformer = pyproj.Transformer.from_crs(scene.crs, crs, always_xy=True)
    bounds = Bounds(*transformer.transform_bounds(*scene_bounds(scene)))
    # West of east fails for scenes across the antimeridian: there the whole layer is read.
    if not np.isfinite(bounds).all() or bounds.west > bounds.east:
        return None
    x_margin, y_margin = (bounds.east - bounds.west) / 100, (bounds.north - bounds.south) / 100
    return Bounds(bounds.west - x_margin, bounds.south - y_margin, bounds.east + x_margin, bounds.north + y_margin)


def reproject_to_scene(geometries: NDArray[np.object_], crs: str, scene: Scene) -> NDArray[np.object_]:
    """Return geometries in the scene's CRS; coordinates that cannot be projected become infinite.

    Axes are x to the east, y to the north on both sides, whatever the CRS says. Long edges are divided first.
    """
    transformer = pyproj.Transformer.from_crs(crs, scene.crs, always_xy=True)
    if _changes_nothing(transformer, scene):
        return geometries
    pieces = _divide_edges(geometries, scene_bounds_in(crs, scene))
    moved: NDArray[np.object_] = shapely.transform(
        pieces, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
    )
    return moved


def _changes_nothing(transformer: pyproj.Transformer, scene: Scene) -> bool:
    """Tell whether source and scene share their coordinates (EPSG:4326 and OGC:CRS84), tried over the scene."""
    west, south, east, north = scene_bounds(scene)
    there = np.array([[west, south], [west, north], [east, south], [east, north], [(west + east) / 2, north]])
    back = np.column_stack(transformer.transform(there[:, 0], there[:, 1], direction="INVERSE"))
    return bool(np.allclose(back, there, rtol=_SAME_PLACE, atol=0))


def _divide_edges(geometries: NDArray[np.object_], bounds: Bounds | None) -> NDArray[np.object_]:
    extents = shapely.bounds(geometries)
    longest = np.maximum(extents[:, 2] - extents[:, 0], extents[:, 3] - extents[:, 1]) / _EDGES_PER_GEOMETRY
    if bounds is not None:
        scene_size = max(bounds.east - bounds.west, bounds.north - bounds.south)
        longest = np.maximum(longest, scene_size / _EDGES_PER_SCENE)
    is_usable = np.isfinite(longest) & (longest > 0)
    divided = geometries.copy()
    divided[is_usable] = shapely.segmentize(geometries[is_usable], longest[is_usable])
    return divided
