"""Where a raster lies on the ground: ground sampling distance, direction of north, outline in longitude and latitude.

Distances are measured on the CRS's own ellipsoid, so a scene of Mars has a ground sampling distance as well. Only the
outline needs the Earth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely import MultiPolygon, Polygon
from shapely.affinity import translate

from rsvqa.annotation.facts import Gsd
from rsvqa.rsvqa_builder.scenes.tiling import Window

MAX_DISTORTION = 0.01
"""Relative difference between a projected CRS's own unit and the ground above which the ground is believed."""

_POINTS_PER_EDGE = 21
"""Straight edges of a raster are curves in longitude and latitude; a 100 km UTM edge bends by less than 1 m between
twenty-one points."""

_NORTH_STEP_M = 1.0
_WGS84 = CRS.from_epsg(4326)


class AffineCoefficients(NamedTuple):
    """Pixel (x, y) to map: `X = a·x + b·y + c`, `Y = d·x + e·y + f` (the order of affine.Affine).

    Affine maps alike, but its inverse is less exact (9e-10 px off where this one is 3e-10), and data sets would change.
    """

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def to_map(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return map coordinates of pixel coordinates."""
        return self.a * x + self.b * y + self.c, self.d * x + self.e * y + self.f

    def to_pixels(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return pixel coordinates of map coordinates."""
        determinant = self.a * self.e - self.b * self.d
        x, y = x - self.c, y - self.f
        return (self.e * x - self.b * y) / determinant, (self.a * y - self.d * x) / determinant

    @property
    def is_singular(self) -> bool:
        """True when pixels have no extent, or the numbers are none."""
        determinant = self.a * self.e - self.b * self.d
        return determinant == 0 or not all(map(math.isfinite, self))

    @property
    def is_mirrored(self) -> bool:
        """True when no rotation brings the picture onto the map; rows count down and map coordinates up."""
        return self.a * self.e - self.b * self.d > 0


class MapPlacement(Protocol):
    """Where pixels lie on a map: an affine transform, or something that bends (`ground_control.py`)."""

    def to_map(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return map coordinates of pixel coordinates."""
        ...

    def to_pixels(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return pixel coordinates of map coordinates."""
        ...

    @property
    def is_mirrored(self) -> bool:
        """True when no rotation brings the picture onto the map."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Georeference:
    """What a CRS and a transform say about the ground.

    Attributes:
        gsd_m: metres per pixel along both pixel axes, at the scene's centre; None when it cannot be measured.
        north_deg: true north at the centre as seen in the picture, degrees clockwise from "up"; None when it cannot be
            measured, and in mirrored pictures, where east is not clockwise of north.
        footprint: outline in EPSG:4326 (longitude, latitude), valid, cut in two at the antimeridian; None when the CRS
            is not of the Earth or does not reach there.
        notes: what a user should know.
    """

    gsd_m: Gsd | None = None
    north_deg: float | None = None
    footprint: Polygon | MultiPolygon | None = None
    notes: tuple[str, ...] = ()


def locate(crs: CRS, transform: MapPlacement, *, width: int, height: int) -> Georeference:
    """Return where a raster of `width` × `height` pixels lies.

    For geographic CRSs the ground sampling distance is geodesic. For projected ones it is the pixel size times the
    CRS's linear unit, unless the ground at the centre differs by more than `MAX_DISTORTION`: Web Mercator's "metres"
    are half a metre at 60° north, and lengths asked in metres must be true.
    """
    horizontal = _horizontal(crs)
    if horizontal is None:
        return Georeference(notes=(f"the CRS '{crs.name}' ({crs.type_name}) is not tied to the ground",))
    notes: list[str] = []
    gsd_m, north_deg = None, None
    measured = _measure_centre(horizontal, transform, width=width, height=height)
    if measured is None:
        notes.append(f"the scene's centre lies outside the reach of its CRS '{crs.name}': no ground distances")
    else:
        gsd_m, north_deg = measured
        if transform.is_mirrored:
            north_deg = None
            notes.append("the picture is mirrored against the ground (its rows run north): no compass directions")
        nominal = _nominal_gsd(horizontal, transform)
        if nominal is not None:
            if _differs(nominal, gsd_m):
                notes.append(
                    f"pixels are {nominal.x_m:.4g} m in the CRS '{crs.name}' but {gsd_m.x_m:.4g} m on the ground; "
                    "the ground is used"
                )
            else:
                gsd_m = nominal
    (footprint,) = _footprints(_to_wgs84(horizontal), transform, [Window(0, 0, width, height)])
    if footprint is None:
        notes.append(f"the CRS '{crs.name}' does not reach EPSG:4326 here: no footprint")
    return Georeference(gsd_m=gsd_m, north_deg=north_deg, footprint=footprint, notes=tuple(notes))


def _horizontal(crs: CRS) -> CRS | None:
    """Return the part of a CRS that gives the place, or None when it is none on the ground."""
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if crs.is_bound and crs.source_crs is not None:
        crs = crs.source_crs
    return crs if (crs.is_geographic or crs.is_projected) and crs.geodetic_crs is not None else None


def _nominal_gsd(crs: CRS, transform: MapPlacement) -> Gsd | None:
    if not crs.is_projected or not isinstance(transform, AffineCoefficients):
        return None
    metres = crs.axis_info[0].unit_conversion_factor
    return Gsd(metres * math.hypot(transform.a, transform.d), metres * math.hypot(transform.b, transform.e))


def _differs(nominal: Gsd, ground: Gsd) -> bool:
    return any(abs(n - g) > MAX_DISTORTION * g for n, g in zip(nominal, ground, strict=True))


def _measure_centre(crs: CRS, transform: MapPlacement, *, width: int, height: int) -> tuple[Gsd, float] | None:
    """Return the geodesic pixel size and the direction of north at the centre; None out of the CRS's reach."""
    geodetic, ellipsoid = crs.geodetic_crs, crs.get_geod()
    if geodetic is None or ellipsoid is None:
        return None
    geodetic = geodetic.to_2d()
    degrees = math.degrees(geodetic.axis_info[0].unit_conversion_factor)  # old French maps count in grads
    x, y = width / 2, height / 2
    columns = np.array([x, x - 0.5, x + 0.5, x, x])
    rows = np.array([y, y, y, y - 0.5, y + 0.5])
    try:
        transformer = Transformer.from_crs(crs, geodetic, always_xy=True)
        lon, lat = (degrees * np.asarray(v) for v in transformer.transform(*transform.to_map(columns, rows)))
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()) or np.abs(lat).max() > 90:
            return None
        gsd = Gsd(_distance(ellipsoid, lon[1:3], lat[1:3]), _distance(ellipsoid, lon[3:5], lat[3:5]))
        # due north keeps its longitude; the one that `fwd` returns is wrapped to ±180° and may be a turn away
        _, north_lat, _ = ellipsoid.fwd(lon[0], lat[0], 0.0, _NORTH_STEP_M)
        north = transformer.transform([lon[0] / degrees], [north_lat / degrees], direction="INVERSE")
    except (ProjError, CRSError):
        return None
    (column,), (row,) = transform.to_pixels(np.asarray(north[0]), np.asarray(north[1]))
    if min(gsd) <= 0 or not (math.isfinite(column) and math.isfinite(row)):
        return None
    # rounded first, as -1e-12 % 360 is 360
    return gsd, round(math.degrees(math.atan2(column - x, y - row)), 6) % 360


def window_footprints(
    crs: str, transform: MapPlacement, windows: Sequence[Window]
) -> list[Polygon | MultiPolygon | None]:
    """Return the outlines of windows of a scene in EPSG:4326, as `Georeference.footprint` is that of the scene.

    Args:
        crs: WKT of the scene's CRS.
        transform: of the scene.
        windows: scene pixels; many at once take a tenth of the time.
    """
    return _footprints(_way_of(crs), transform, windows)


@lru_cache(maxsize=64)
def crs_name(crs: str | None) -> str | None:
    """Return "EPSG:32618" for a WKT that says its code, else the WKT itself."""
    if crs is None:
        return None
    authority = _parse(crs).to_authority(min_confidence=100)
    return ":".join(authority) if authority else crs


@lru_cache(maxsize=64)
def _parse(crs: str) -> CRS:
    return CRS.from_wkt(crs)


def _distance(ellipsoid: Geod, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> float:
    return float(ellipsoid.inv(lon[0], lat[0], lon[1], lat[1])[2])


class _Way(NamedTuple):
    """From a CRS to EPSG:4326, and whether its coordinates are degrees already."""

    transformer: Transformer
    is_geographic: bool


def _footprints(
    way: _Way | None, transform: MapPlacement, windows: Sequence[Window]
) -> list[Polygon | MultiPolygon | None]:
    if way is None or not windows:
        return [None] * len(windows)
    columns, rows = _outlines(windows)
    if isinstance(transform, AffineCoefficients):
        # from the corner of each window, which keeps the decimals of large scenes
        x, y = transform.to_map(*np.array([window[:2] for window in windows], np.float64).T[..., None])
        x, y = transform._replace(c=0.0, f=0.0).to_map(columns, rows) + np.array([x, y])
    else:
        placed = [transform.to_map(columns[place] + x, rows[place] + y) for place, (x, y, *_) in enumerate(windows)]
        x, y = np.array(placed).swapaxes(0, 1)
    try:
        lon, lat = way.transformer.transform(x, y)
    except ProjError:
        if len(windows) == 1:
            return [None]
        return [found for window in windows for found in _footprints(way, transform, [window])]
    found = np.full(len(windows), None, object)
    is_there = np.isfinite(lon).all(axis=1) & np.isfinite(lat).all(axis=1)
    found[is_there] = polygons_on_sphere(lon[is_there], np.clip(lat[is_there], -90, 90), continuous=way.is_geographic)
    return found.tolist()


def _to_wgs84(crs: CRS) -> _Way | None:
    try:
        return _Way(Transformer.from_crs(crs, _WGS84, always_xy=True), crs.is_geographic)
    except (ProjError, CRSError):
        return None


@lru_cache(maxsize=64)
def _way_of(crs: str) -> _Way | None:
    """Return the way from a WKT; making it takes longer than a thousand points do.

    It is kept by the text: the hash of a CRS, which writes its WKT, takes as long as a footprint does.
    """
    horizontal = _horizontal(_parse(crs))
    return None if horizontal is None else _to_wgs84(horizontal)


def _outlines(windows: Sequence[Window]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pixel coordinates in each window along its four edges, clockwise from the origin, closed."""
    t = np.linspace(0, 1, _POINTS_PER_EDGE)[:-1]
    zero, one = np.zeros_like(t), np.ones_like(t)
    sizes = np.array([(window.width, window.height) for window in windows], np.float64)
    columns = np.concatenate([t, one, 1 - t, zero, [0.0]]) * sizes[:, :1]
    rows = np.concatenate([zero, t, one, 1 - t, [0.0]]) * sizes[:, 1:]
    return columns, rows


def polygons_on_sphere(lon: NDArray[np.float64], lat: NDArray[np.float64], *, continuous: bool) -> NDArray[np.object_]:
    """Return what `polygon_on_sphere` does for each of many rings of as many points; those within ±180° at once."""
    drawn = lon if continuous else np.degrees(np.unwrap(np.radians(lon)))
    is_within = (drawn.min(axis=1) >= -180) & (drawn.max(axis=1) <= 180) & (np.abs(drawn[:, -1] - drawn[:, 0]) <= 180)
    found = np.full(len(lon), None, object)
    rings = shapely.make_valid(shapely.polygons(np.stack([drawn[is_within], lat[is_within]], axis=-1)))
    parts = np.asarray(shapely.intersection(rings, shapely.box(-180, -90, 180, 90)), object)
    found[is_within] = shapely.union_all(parts[:, None], axis=1)
    is_plain = (shapely.get_type_id(found) == shapely.GeometryType.POLYGON) & (shapely.area(found) > 0)
    for place in np.flatnonzero(~is_plain):
        found[place] = polygon_on_sphere(lon[place], lat[place], continuous=continuous)
    return found


def polygon_on_sphere(
    lon: NDArray[np.float64], lat: NDArray[np.float64], *, continuous: bool
) -> Polygon | MultiPolygon | None:
    """Return a valid polygon within ±180° of a closed ring given in degrees.

    A ring across the antimeridian is cut there; one around a pole is closed along the pole.

    Args:
        lon: longitudes of the ring, the last point equal to the first.
        lat: its latitudes.
        continuous: longitudes are as drawn (0–360° scenes, whole-world scenes); otherwise a step of more than 180°
            means that the ring crosses the antimeridian.
    """
    if not continuous:
        lon = np.degrees(np.unwrap(np.radians(lon)))
        turn = lon[-1] - lon[0]
        if abs(turn) > 180:  # once around a pole
            pole = math.copysign(90.0, float(lat.mean()))
            lon = np.concatenate([lon, [lon[-1], lon[0]]])
            lat = np.concatenate([lat, [pole, pole]])
    ring = shapely.make_valid(Polygon(np.column_stack([lon, lat])))
    # numbers of whole turns by which parts of the ring lie off the ±180° strip
    first, last = math.floor((lon.min() + 180) / 360), math.ceil((lon.max() - 180) / 360)
    parts = [
        translate(shapely.intersection(ring, shapely.box(360 * k - 180, -90, 360 * k + 180, 90)), xoff=-360 * k)
        for k in range(first, max(first, last) + 1)
    ]
    merged = shapely.union_all([polygon for part in parts for polygon in _polygons(part)])
    return merged if isinstance(merged, Polygon | MultiPolygon) and not merged.is_empty else None


def _polygons(geometry: shapely.Geometry) -> list[Polygon]:
    return [part for part in shapely.get_parts(geometry) if isinstance(part, Polygon) and part.area > 0]
