"""GeoParquet through pyarrow: GDAL's wheels have no driver for it. Row groups that cannot reach a scene are not read.

The standard's `covering` names columns with the bounds of each row; their statistics tell which row groups to skip, and
their values which rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.label_files.placing import DEGREES, Bounds
from rsvqa.rsvqa_builder.labels.raw import LabelError

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class GeoRows(NamedTuple):
    """Rows of a file: their numbers in it, geometries as WKB, other columns by name."""

    numbers: NDArray[np.int64]
    wkb: NDArray[np.object_]
    columns: Mapping[str, NDArray[np.object_]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoFile:
    """An open GeoParquet file.

    Attributes:
        geometry: the primary column, in WKB.
        crs: as pyproj reads it; None where the file says that it is unknown.
        crs_is_assumed: the file says nothing, which stands for longitude and latitude.
        covering: the columns of each row's bounds, as paths "bbox.xmin" in the order of `Bounds`; empty without them.
    """

    file: pq.ParquetFile
    geometry: str
    crs: str | None
    crs_is_assumed: bool
    covering: tuple[str, ...]

    @property
    def extent(self) -> Bounds | None:
        """Bounds of all rows by the statistics of their columns; None where there are none."""
        sides = [self._statistics(group) for group in range(self.file.num_row_groups)]
        if not sides or any(len(four) < len(_SIDES) for four in sides):
            return None
        west, south = (min(four[number].min for four in sides) for number in (0, 1))
        east, north = (max(four[number].max for four in sides) for number in (2, 3))
        return Bounds(west, south, east, north)

    @property
    def num_rows(self) -> int:
        """Rows of the file."""
        return int(self.file.metadata.num_rows)

    def read(self, wanted: frozenset[str], bounds: Bounds | None, *, has_geometry: bool = True) -> GeoRows:
        """Return the rows that may meet `bounds`, all where there are none, with the wanted columns (lower case)."""
        schema = self.file.schema_arrow
        names = [field.name for field in schema if field.name.casefold() in wanted]
        is_cut = bounds is not None and bool(self.covering)
        columns = [*names, *([self.geometry] if has_geometry else []), *(self.covering if is_cut else ())]
        parts: list[tuple[NDArray[np.int64], pa.Table]] = []
        first = 0
        for group in range(self.file.num_row_groups):
            count = self.file.metadata.row_group(group).num_rows
            if not is_cut or bounds is None or self._may_meet(group, bounds):
                part = self.file.read_row_group(group, columns=columns)
                rows = np.arange(count) if bounds is None or not is_cut else np.flatnonzero(self._meets(part, bounds))
                parts.append((rows + first, part.take(pa.array(rows))))
            first += count
        return GeoRows(
            np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in parts)]),
            _values(parts, self.geometry) if has_geometry else np.empty(0, object),
            {name: _values(parts, name) for name in names},
        )

    def _may_meet(self, group: int, bounds: Bounds) -> bool:
        """Tell by its statistics whether a row group may have a row within the bounds; those without any may."""
        sides = self._statistics(group)
        if len(sides) < len(_SIDES):
            return True
        west, south, east, north = sides
        is_beside = west.min > bounds.east or east.max < bounds.west
        return not (is_beside or south.min > bounds.north or north.max < bounds.south)

    def _statistics(self, group: int) -> list[Any]:
        """Return the statistics of the columns of bounds in a row group, fewer than four where some have none."""
        meta = self.file.metadata.row_group(group)
        found = {meta.column(i).path_in_schema: meta.column(i).statistics for i in range(meta.num_columns)}
        return [side for path in self.covering if (side := found.get(path)) is not None and side.has_min_max]

    def _meets(self, part: pa.Table, bounds: Bounds) -> NDArray[np.bool_]:
        west, south, east, north = (_nested(part, path) for path in self.covering)
        return np.asarray(
            (west <= bounds.east) & (east >= bounds.west) & (south <= bounds.north) & (north >= bounds.south)
        )


@contextmanager
def opened(path: Path) -> Iterator[GeoFile]:
    """Open a GeoParquet file.

    Raises:
        LabelError: it is no Parquet file, has no geometry in WKB, or cannot be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            yield _described(file)
    except (pa.ArrowException, OSError) as error:
        raise LabelError(f"it cannot be read as GeoParquet: {error}") from error


def _described(file: pq.ParquetFile) -> GeoFile:
    metadata = (file.schema_arrow.metadata or {}).get(b"geo")
    if metadata is None:
        raise LabelError("Parquet without the metadata of GeoParquet: write it with geopandas or GDAL")
    try:
        geo = json.loads(metadata)
        name = str(geo["primary_column"])
        column = dict(geo["columns"][name])
        crs = _crs(column["crs"]) if "crs" in column else DEGREES
    except (ValueError, KeyError, TypeError, pyproj.exceptions.CRSError) as error:
        raise LabelError(f"its GeoParquet metadata cannot be understood: {error}") from error
    if column.get("encoding", "WKB") != "WKB":
        raise LabelError(f"its geometry is encoded as {column['encoding']!r}: write it as WKB")
    covering = column.get("covering", {}).get("bbox", {})
    paths = tuple(".".join(covering[side]) for side in _SIDES) if set(_SIDES) <= covering.keys() else ()
    return GeoFile(file=file, geometry=name, crs=crs, crs_is_assumed="crs" not in column, covering=paths)


def _crs(stated: Mapping[str, Any] | str | None) -> str | None:
    return None if stated is None else str(pyproj.CRS.from_user_input(stated).to_wkt())


def _values(parts: Sequence[tuple[NDArray[np.int64], pa.Table]], name: str) -> NDArray[np.object_]:
    empty = np.empty(0, object)
    return np.concatenate([empty, *(_objects(part.column(name)) for _, part in parts)])


def _objects(column: pa.ChunkedArray) -> NDArray[np.object_]:
    array = np.empty(len(column), dtype=object)
    values = column.to_pylist()
    # nested values as the JSON text that GDAL gives for them
    is_nested = pa.types.is_nested(column.type)
    array[:] = [None if value is None else json.dumps(value, default=str) for value in values] if is_nested else values
    return array


def _nested(part: pa.Table, path: str) -> NDArray[np.float64]:
    """Return the numbers of a column, or of a field of a struct."""
    name, *fields = path.split(".")
    column = part.column(name).combine_chunks()
    for field in fields:
        column = column.field(field)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
