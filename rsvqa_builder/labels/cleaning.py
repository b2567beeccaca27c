"""From what a reader found to labels that can be trusted: classes resolved, geometry repaired or rejected with a count.

Works on one file at a time, on arrays: a file may hold hundreds of thousands of labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely import GeometryType
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Role
from rsvqa.rsvqa_builder.labels.classes import ClassTable, Shape
from rsvqa.rsvqa_builder.labels.raw import RawLabels, object_array
from rsvqa.rsvqa_builder.labels.report import counted

MIN_AREA_PX = 1.0
"""A polygon that covers less than one pixel cannot be seen."""

OUTSIDE = "outside the scene"
NO_GEOMETRY = "no geometry"
NOT_FINITE = "coordinates are not numbers"
NOT_REPAIRABLE = "invalid and not repairable"
TOO_SMALL = "smaller than a pixel"
ZERO_LENGTH = "line without length"
MIXED = "geometry collection"
REPEATED = "repeated in the same file"
REPAIRED_IN_PARTS = "falls apart when repaired: uncertain"

SCATTERED = "labels of objects have polygons far apart, which may be several objects: uncertain"

HARMLESS = frozenset({OUTSIDE, REPEATED, TOO_SMALL, NO_GEOMETRY, ZERO_LENGTH})
"""Reasons after which every visible instance of the class may still be labelled."""

_SHAPES: Mapping[int, Shape] = {
    GeometryType.POINT: "point",
    GeometryType.MULTIPOINT: "point",
    GeometryType.LINESTRING: "line",
    GeometryType.LINEARRING: "line",
    GeometryType.MULTILINESTRING: "line",
    GeometryType.POLYGON: "polygon",
    GeometryType.MULTIPOLYGON: "polygon",
}
_ROLE_WORDS: Mapping[Role, str] = {
    Role.OBJECT: "an object class",
    Role.AREA: "an area class",
    Role.ROAD: "a road class",
    Role.ANOMALY: "an anomaly class",
}


@dataclass(frozen=True, slots=True)
class CleanLabels:
    """The labels of one file that can be used, and what became of the others.

    Attributes:
        raw: the kept labels.
        class_names: the class of each.
        num_read: labels before cleaning, multi-part lines and points counted by part.
        rejected, repaired, unknown, ignored: counts by reason or name.
        lost_classes: classes of which a label was rejected that may show in the scene.
        notes: what a person should know.
    """

    raw: RawLabels
    class_names: NDArray[np.object_]
    num_read: int
    rejected: Mapping[str, int]
    repaired: Mapping[str, int]
    unknown: Mapping[str, int]
    ignored: Mapping[str, int]
    lost_classes: frozenset[str]
    notes: tuple[str, ...]


class _Cleaner:
    """The labels of one file while they are sifted; each step drops some and counts why."""

    def __init__(self, raw: RawLabels) -> None:
        self.raw = raw
        self.num_read = len(raw) + raw.num_outside + sum(raw.num_invalid.values())
        self.class_names = np.full(len(raw), None, dtype=object)
        self.rejected: Counter[str] = Counter(raw.num_invalid)
        self.repaired: Counter[str] = Counter()
        self.lost: set[str] = set()
        if raw.num_outside:
            self.rejected[OUTSIDE] += raw.num_outside

    def keep(self, is_kept: NDArray[np.bool_]) -> None:
        """Drop the other labels without counting them."""
        self.raw = take(self.raw, np.flatnonzero(is_kept))
        self.class_names = self.class_names[is_kept]

    def reject(self, is_rejected: NDArray[np.bool_], reason: str) -> None:
        """Drop labels, count them, and remember classes that may have lost a visible instance."""
        if not is_rejected.any():
            return
        self.rejected[reason] += int(is_rejected.sum())
        if reason not in HARMLESS:
            self.lost |= {name for name in self.class_names[is_rejected] if name is not None}
        self.keep(~is_rejected)


def clean(raw: RawLabels, table: ClassTable, *, width: int, height: int) -> CleanLabels:
    """Return the labels of a file that can be used in a scene of `width` × `height` pixels.

    An object with several polygons stays one object; lines and points in several parts become several labels. Polygons
    of less than a pixel, labels that do not reach into the scene, lines of area classes and the like are rejected.
    """
    raw = _split_multi_parts(raw)
    cleaner = _Cleaner(raw)
    used = table.infos()
    cleaner.lost |= {name for source in raw.lost_sources if (name := table.resolve(source)) in used}
    if "" in raw.lost_sources:
        cleaner.lost |= used.keys()
    cleaner.reject(np.asarray(shapely.is_missing(raw.geometries) | shapely.is_empty(raw.geometries)), NO_GEOMETRY)
    unknown, ignored = _resolve_classes(cleaner, table)
    _reject_wrong_shapes(cleaner, table)
    cleaner.reject(~_is_finite(cleaner.raw.geometries), NOT_FINITE)
    cleaner.reject(~reaches_scene(cleaner.raw.geometries, width, height), OUTSIDE)
    _repair(cleaner)
    is_line = _dimensions(cleaner) == 1
    cleaner.reject(is_line & (shapely.length(cleaner.raw.geometries) == 0), ZERO_LENGTH)
    is_polygon = _dimensions(cleaner) == 2
    cleaner.reject(is_polygon & (shapely.area(cleaner.raw.geometries) < MIN_AREA_PX), TOO_SMALL)
    cleaner.reject(~_is_in_scene(cleaner.raw.geometries, width, height), OUTSIDE)
    cleaner.reject(_is_repeated(cleaner), REPEATED)
    is_scattered = _is_scattered(cleaner, table)
    cleaner.raw = replace(cleaner.raw, is_certain=cleaner.raw.is_certain & ~is_scattered)
    num_in_parts = int((shapely.get_num_geometries(cleaner.raw.geometries) > 1).sum())
    return CleanLabels(
        raw=cleaner.raw,
        class_names=cleaner.class_names,
        num_read=cleaner.num_read,
        rejected=dict(sorted(cleaner.rejected.items())),
        repaired=dict(sorted(cleaner.repaired.items())),
        unknown={**unknown, **raw.unknown},
        ignored={**ignored, **raw.ignored},
        lost_classes=frozenset(cleaner.lost),
        notes=(
            *((f"{num_in_parts} labels have several polygons and stay one label each",) if num_in_parts else ()),
            *((f"{int(is_scattered.sum())} {SCATTERED}",) if is_scattered.any() else ()),
        ),
    )


def take(raw: RawLabels, rows: NDArray[np.integer]) -> RawLabels:
    """Return the labels at these positions; what is counted of the file stays."""
    chosen = rows.tolist()
    return replace(
        raw,
        geometries=raw.geometries[rows],
        sources=raw.sources[rows],
        positions=tuple(raw.positions[row] for row in chosen),
        outlines=raw.outlines[rows],
        is_certain=raw.is_certain[rows],
        attributes=tuple(raw.attributes[row] for row in chosen),
        predicted=None if raw.predicted is None else raw.predicted[rows],
    )


def _split_multi_parts(raw: RawLabels) -> RawLabels:
    """Return labels with lines and points of several parts split, and single polygons out of their collections."""
    geometries = raw.geometries
    types = shapely.get_type_id(geometries)
    num_parts = shapely.get_num_geometries(geometries)
    is_split = np.isin(types, [GeometryType.MULTIPOINT, GeometryType.MULTILINESTRING]) & (num_parts > 0)
    is_single = np.isin(types, [GeometryType.MULTIPOLYGON, GeometryType.GEOMETRYCOLLECTION]) & (num_parts == 1)
    if is_single.any():
        geometries = geometries.copy()
        geometries[is_single] = shapely.get_geometry(geometries[is_single], 0)
        raw = replace(raw, geometries=geometries)
    if not is_split.any():
        return raw
    rows = np.repeat(np.arange(len(raw)), np.where(is_split, num_parts, 1))
    numbers = np.arange(len(rows)) - np.searchsorted(rows, rows)
    spread = take(raw, rows)
    parts = np.where(is_split[rows], shapely.get_geometry(spread.geometries, numbers), spread.geometries)
    positions = tuple(
        f"{position}#{number}" if count > 1 else position
        for position, number, count in zip(
            spread.positions, numbers.tolist(), np.where(is_split, num_parts, 1)[rows].tolist(), strict=True
        )
    )
    return replace(spread, geometries=parts, positions=positions)


def _resolve_classes(cleaner: _Cleaner, table: ClassTable) -> tuple[dict[str, int], dict[str, int]]:
    """Set the class of every label; drop those of unknown and of ignored classes and return their counts."""
    raw = cleaner.raw
    shapes = _shapes(raw.geometries)
    codes, names = pd.factorize(raw.sources)
    shape_codes, shape_names = pd.factorize(shapes)
    pairs, rows = np.unique(codes * len(_SHAPES) + shape_codes, return_inverse=True)
    resolved = [
        table.resolve(names[pair // len(_SHAPES)], shape_names[pair % len(_SHAPES)] or None) for pair in pairs.tolist()
    ]
    cleaner.class_names = object_array(resolved)[rows]
    is_unknown = cleaner.class_names == None  # noqa: E711 - element by element
    is_ignored = np.array(
        [name is not None and table.classes[name].role is Role.IGNORED for name in cleaner.class_names], dtype=bool
    )
    unknown = counted(raw.sources[is_unknown])
    ignored = counted(cleaner.class_names[is_ignored])
    cleaner.keep(~is_unknown & ~is_ignored)
    return unknown, ignored


def _shapes(geometries: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return each geometry's shape, "" for collections of several."""
    types = shapely.get_type_id(geometries)
    return object_array([_SHAPES.get(kind, "") for kind in types.tolist()])


def _reject_wrong_shapes(cleaner: _Cleaner, table: ClassTable) -> None:
    while True:
        shapes = _shapes(cleaner.raw.geometries)
        wrong = next(
            (
                (shape, name)
                for shape, name in dict.fromkeys(zip(shapes.tolist(), cleaner.class_names.tolist(), strict=True))
                if shape not in table.shapes(name)
            ),
            None,
        )
        if wrong is None:
            return
        shape, name = wrong
        reason = f"{shape} of {_ROLE_WORDS[table.classes[name].role]}" if shape else MIXED
        cleaner.reject((shapes == shape) & (cleaner.class_names == name), reason)


def _is_finite(geometries: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Tell which geometries have finite coordinates only."""
    coordinates, rows = shapely.get_coordinates(geometries, return_index=True)
    is_finite = np.ones(len(geometries), dtype=bool)
    is_finite[rows[~np.isfinite(coordinates).all(axis=1)]] = False
    return is_finite


def reaches_scene(geometries: NDArray[np.object_], width: int, height: int) -> NDArray[np.bool_]:
    """Tell which geometries have bounds that meet those of a scene of `width` × `height` pixels."""
    x_min, y_min, x_max, y_max = shapely.bounds(geometries).T
    return np.asarray((x_max >= 0) & (y_max >= 0) & (x_min <= width) & (y_min <= height))


def _is_in_scene(geometries: NDArray[np.object_], width: int, height: int) -> NDArray[np.bool_]:
    """Tell which geometries have more than their edge inside the scene."""
    x_min, y_min, x_max, y_max = shapely.bounds(geometries).T
    is_inside = (x_min >= 0) & (y_min >= 0) & (x_max <= width) & (y_max <= height)
    is_inside &= (
        (x_min < width) & (y_min < height) & ((x_max > 0) | (x_min == x_max)) & ((y_max > 0) | (y_min == y_max))
    )
    crossing = np.flatnonzero(~is_inside)
    frame = shapely.box(0, 0, width, height)
    shapely.prepare(frame)
    is_inside[crossing] = shapely.intersects(frame, geometries[crossing]) & ~shapely.touches(
        frame, geometries[crossing]
    )
    return np.asarray(is_inside)


def _repair(cleaner: _Cleaner) -> None:
    """Make invalid polygons valid; those of which nothing is left are rejected."""
    geometries = cleaner.raw.geometries.copy()
    rows = np.flatnonzero(~shapely.is_valid(geometries) & (_dimensions(cleaner) == 2))
    if not len(rows):
        return
    reasons = [_short_reason(text) for text in shapely.is_valid_reason(geometries[rows])]
    repaired = object_array([_polygons_of(geometry) for geometry in shapely.make_valid(geometries[rows])])
    is_certain = cleaner.raw.is_certain.copy()
    is_hopeless = np.zeros(len(geometries), dtype=bool)
    for row, reason, before, after in zip(rows.tolist(), reasons, geometries[rows], repaired, strict=True):
        if after is None:
            is_hopeless[row] = True
            continue
        geometries[row] = after
        falls_apart = shapely.get_num_geometries(after) > shapely.get_num_geometries(before)
        cleaner.repaired[f"{reason}, {REPAIRED_IN_PARTS}" if falls_apart else reason] += 1
        is_certain[row] &= not falls_apart
    cleaner.raw = replace(cleaner.raw, geometries=geometries, is_certain=is_certain)
    cleaner.reject(is_hopeless, NOT_REPAIRABLE)


def _short_reason(text: str) -> str:
    """Return GEOS's reason without the place: "Self-intersection[3 4]" is "self-intersection"."""
    return text.split("[")[0].strip().casefold()


def _polygons_of(geometry: BaseGeometry) -> BaseGeometry | None:
    """Return the polygons that a repair has left, None when there are none."""
    parts = [part for part in _flat_parts(geometry) if part.geom_type == "Polygon" and part.area > 0]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _flat_parts(geometry: BaseGeometry) -> list[BaseGeometry]:
    outer = shapely.get_parts(geometry)
    return [part for item in outer for part in shapely.get_parts(item)]


def _dimensions(cleaner: _Cleaner) -> NDArray[np.integer]:
    dimensions: NDArray[np.integer] = shapely.get_dimensions(cleaner.raw.geometries)
    return dimensions


def _is_scattered(cleaner: _Cleaner, table: ClassTable) -> NDArray[np.bool_]:
    """Tell which objects have a part that is further from the others than the largest part is long."""
    geometries = cleaner.raw.geometries
    is_scattered = np.zeros(len(geometries), dtype=bool)
    for row in np.flatnonzero((shapely.get_num_geometries(geometries) > 1) & (_dimensions(cleaner) == 2)).tolist():
        if table.classes[cleaner.class_names[row]].role is Role.OBJECT:
            boxes = shapely.bounds(shapely.get_parts(geometries[row]))
            longest = np.hypot(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]).max()
            # grown by half the length, the parts of one object meet
            grown = shapely.box(*(boxes + np.array([-1, -1, 1, 1]) * longest / 2).T)
            is_scattered[row] = shapely.get_num_geometries(shapely.union_all(grown)) > 1
    return is_scattered


def _is_repeated(cleaner: _Cleaner) -> NDArray[np.bool_]:
    """Tell which labels have the class and the very coordinates of an earlier one."""
    frame = pd.DataFrame({"class": cleaner.class_names, "wkb": shapely.to_wkb(cleaner.raw.geometries)})
    return frame.duplicated().to_numpy(dtype=bool)
