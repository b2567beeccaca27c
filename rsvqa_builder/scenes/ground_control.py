"""Scenes without a transform: ground control points (GCPs) and rational polynomials (RPCs) say where pixels lie.

Pixels stay as they are; only labels are moved. Control points that agree with one affine transform become that
transform. Others bend, and so does everything that RPCs place: such a scene has no pixel grid on the map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.control import GroundControlPoint
from rasterio.enums import TransformDirection
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.rpc import RPC
from rasterio.transform import GCPTransformer, GDALTransformerBase, RPCTransformer

from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients, MapPlacement

MAX_GRID_ERROR = 0.05
"""Pixels by which control points may miss an affine transform that stands for them."""

MAX_CONTROL_ERROR = 2.0
"""Pixels by which any control point may miss the polynomial through all of them; more is a wrong point, or relief."""

MIN_POINTS = 3
"""An affine transform has as many unknowns along each axis."""

_HEIGHT_STEP_M = 100.0
_GRID_POINTS = 9
"""Points along each side of a scene at which a placement is tried."""
_MAX_INVERSION_ERROR = 0.5
"""Pixels between a pixel and where its own place on the map leads back to."""


class ControlPoint(NamedTuple):
    """A pixel (column, row), counted from the corner of the first one, and its map coordinates."""

    column: float
    row: float
    x: float
    y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroundControl:
    """Pixel to map by a polynomial through control points, or by RPCs at one height; hashable, and can be pickled.

    Attributes:
        width, height: of the scene, pixels.
        points: control points; () where RPCs place the scene.
        rpc: the RPCs as GDAL's metadata names them.
        height_m: height above the ellipsoid at which RPCs are used.
    """

    width: int
    height: int
    points: tuple[ControlPoint, ...] = ()
    rpc: tuple[tuple[str, str], ...] = ()
    height_m: float = 0.0

    def to_map(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return map coordinates of pixel coordinates; infinite where there are none."""
        return self._move(x, y, TransformDirection.forward)

    def to_pixels(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return pixel coordinates of map coordinates; only near the scene do they mean anything."""
        return self._move(x, y, TransformDirection.reverse)

    @property
    def linear(self) -> AffineCoefficients:
        """The affine transform that comes nearest, for what lies far outside the scene."""
        return _nearest_affine(self)

    @property
    def is_mirrored(self) -> bool:
        """True when no rotation brings the picture onto the map."""
        return self.linear.is_mirrored

    def _move(
        self, x: NDArray[np.float64], y: NDArray[np.float64], direction: TransformDirection
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        flat_x, flat_y = x.ravel(), y.ravel()
        moved = np.full((2, flat_x.size), np.inf)
        usable = np.isfinite(flat_x) & np.isfinite(flat_y)
        if usable.any():
            with self._transformer() as transformer:
                heights = np.zeros(int(usable.sum()))
                moved[:, usable] = transformer._transform(flat_x[usable], flat_y[usable], heights, direction)
        return moved[0].reshape(x.shape), moved[1].reshape(x.shape)

    @contextmanager
    def _transformer(self) -> Iterator[GDALTransformerBase]:
        if self.points:
            points = [GroundControlPoint(row, column, x, y) for column, row, x, y in self.points]
            with GCPTransformer(points) as by_points:
                yield by_points
        else:
            with RPCTransformer(RPC.from_gdal(dict(self.rpc)), RPC_HEIGHT=self.height_m) as by_rpc:
                yield by_rpc


class Controlled(NamedTuple):
    """What control points or RPCs say of a scene.

    Attributes:
        place: pixel to map; None when they cannot be used.
        crs: of the map; None when they cannot be used.
        note: how the scene was placed and how exactly, or why it was not.
    """

    place: AffineCoefficients | GroundControl | None
    crs: CRS | None
    note: str


def read_ground_control(dataset: DatasetReader, given: CRS | None) -> Controlled | None:
    """Return how control points or RPCs place a raster without a transform; None when it has neither.

    Args:
        dataset: an open raster.
        given: CRS of control points that state none.
    """
    points, stated = dataset.gcps
    if points:
        controls = tuple(ControlPoint(point.col, point.row, point.x, point.y) for point in points)
        try:
            crs = CRS.from_wkt(stated.to_wkt()) if stated else given
        except CRSError:
            crs = given
        if crs is None:
            return Controlled(None, None, "its ground control points state no CRS: no georeference (give crs)")
        found = _by_points(controls, dataset.width, dataset.height)
        return found._replace(crs=crs if found.place else None)
    if dataset.rpcs is not None:
        return _by_rpc(dataset.rpcs, dataset.width, dataset.height)
    return None


def _by_points(points: tuple[ControlPoint, ...], width: int, height: int) -> Controlled:
    refused = "no georeference (gdalwarp makes one)"
    total = f"its {len(points)} ground control points"
    if len(points) < MIN_POINTS or np.linalg.matrix_rank(_design(points)) < MIN_POINTS:
        return Controlled(None, None, f"{total} do not fix its place: {refused}")
    affine = _fit_affine(points)
    if affine.is_singular:
        return Controlled(None, None, f"{total} leave its pixels without extent: {refused}")
    error = _largest_error(affine, points)
    if error <= MAX_GRID_ERROR:
        checked = f"agree to {error:.2g} px" if len(points) > MIN_POINTS else "are too few to be checked"
        return Controlled(affine, None, f"placed by {total}, which {checked}")
    control = GroundControl(width=width, height=height, points=points)
    try:
        error = _largest_error(control, points)
    except RasterioError as problem:
        return Controlled(None, None, f"{total} do not fix its place ({problem}): {refused}")
    if not error <= MAX_CONTROL_ERROR:  # written so that NaN is refused
        return Controlled(None, None, f"{total} disagree by {error:.1f} px: {refused}")
    if not _leads_back(control):
        return Controlled(None, None, f"{total} bend too much to be turned round: {refused}")
    return Controlled(control, None, f"placed by a polynomial through {total}, which agree to {error:.1f} px")


def _by_rpc(rpc: RPC, width: int, height: int) -> Controlled:
    level = float(rpc.height_off)
    control = GroundControl(width=width, height=height, rpc=tuple(sorted(rpc.to_gdal().items())), height_m=level)
    try:
        is_usable = _leads_back(control) and not control.linear.is_singular
        shift = _shift_with_height(control) if is_usable else math.nan
    except RasterioError:
        is_usable = False
    if not is_usable:
        return Controlled(None, None, "its RPCs cannot be used: no georeference (gdalwarp -rpc makes one)")
    note = (
        f"placed by its RPCs at a height of {level:.0f} m above the ellipsoid, without an elevation model: where the "
        f"ground is {_HEIGHT_STEP_M:.0f} m higher or lower, labels lie {shift:.1f} px off"
    )
    return Controlled(control, CRS.from_epsg(4326), note)


def _shift_with_height(control: GroundControl) -> float:
    """Return how far the place at the scene's centre moves in the picture when the ground rises by a step, pixels."""
    raised = replace(control, height_m=control.height_m + _HEIGHT_STEP_M)
    centre = np.array([control.width / 2]), np.array([control.height / 2])
    x, y = raised.to_pixels(*control.to_map(*centre))
    return float(np.hypot(x - centre[0], y - centre[1])[0])


def _leads_back(control: GroundControl) -> bool:
    """Tell whether pixels all over the scene come back from the map."""
    columns, rows = _grid(control)
    x, y = control.to_pixels(*control.to_map(columns, rows))
    return bool(np.hypot(x - columns, y - rows).max() <= _MAX_INVERSION_ERROR)


def _grid(control: GroundControl) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns, rows = np.meshgrid(
        np.linspace(0, control.width, _GRID_POINTS), np.linspace(0, control.height, _GRID_POINTS)
    )
    return columns.ravel(), rows.ravel()


@lru_cache(maxsize=64)
def _nearest_affine(control: GroundControl) -> AffineCoefficients:
    columns, rows = _grid(control)
    x, y = control.to_map(columns, rows)
    return _fit_affine([ControlPoint(*values) for values in zip(columns, rows, x, y, strict=True)])


def _design(points: Sequence[ControlPoint]) -> NDArray[np.float64]:
    table = np.array(points, np.float64)
    return np.column_stack((table[:, :2], np.ones(len(points))))


def _fit_affine(points: Sequence[ControlPoint]) -> AffineCoefficients:
    """Return the affine transform that fits points best."""
    there = np.array(points, np.float64)[:, 2:]
    centre = there.mean(axis=0)  # map coordinates are large, and the digits behind the point are needed
    (a, d), (b, e), (c, f) = np.linalg.lstsq(_design(points), there - centre, rcond=None)[0].tolist()
    return AffineCoefficients(a, b, c + float(centre[0]), d, e, f + float(centre[1]))


def _largest_error(place: MapPlacement, points: Sequence[ControlPoint]) -> float:
    """Return how far the points lie from where the map puts them, pixels."""
    table = np.array(points, np.float64)
    x, y = place.to_pixels(table[:, 2], table[:, 3])
    return float(np.hypot(x - table[:, 0], y - table[:, 1]).max())
