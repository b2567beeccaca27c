"""Vector layers: GeoJSON, GeoPackage, Shapefile, FlatGeobuf, KML, GML, MapInfo and OSM PBF by GDAL, GeoParquet without.

What surprises: GDAL takes GeoJSON without a `crs` member for EPSG:4326, but many such files hold the scene's own map
coordinates or pixels. Coordinates that cannot be degrees are tried as those, and the report says so; coordinates that
can be degrees are never taken for anything else. xView states boxes in pixels beside its degrees; those are read.
"""

from __future__ import annotations

import itertools
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files import geoparquet
from rsvqa.rsvqa_builder.label_files.columns import (
    CERTAIN_COLUMN,
    IMAGE_COLUMNS,
    OUTLINE_COLUMN,
    PICTURE_COLUMNS,
    Columns,
    ImageColumn,
    are_predicted,
    as_texts,
    attribute_texts,
    drawn_certain,
    drawn_outlines,
    find_column,
    own_rows,
    per_value,
    picture_size,
    scored,
)
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames
from rsvqa.rsvqa_builder.label_files.placing import (
    Bounds,
    Placed,
    are_picture_pixels,
    bounds_of,
    place_by_crs,
    place_picture_pixels,
    place_unstated,
    scene_bounds_in,
)
from rsvqa.rsvqa_builder.label_files.shapes import closed_rings
from rsvqa.rsvqa_builder.label_files.texts import decoded, is_utf8, read_bytes
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import NEGATIVE_TAGS, ClassTable, normalised
from rsvqa.rsvqa_builder.labels.raw import (
    LabelError,
    RawLabels,
    joined,
    judged_outlines,
    object_array,
)
from rsvqa.rsvqa_builder.scenes.scene import Scene

_GEOJSON_SUFFIXES = (".geojson", ".json", ".geojsonl", ".geojsons", ".geojsonseq", ".ndjson", ".jsonl")
"""One object, or one per line."""
_KML_SUFFIXES = (".kml", ".kmz")
_PARQUET_SUFFIXES = (".parquet", ".geoparquet")
ARCHIVE_SUFFIXES = (".zip", ".shz")
"""Archives, which GDAL reads where they hold a Shapefile."""

SUFFIXES = (
    *(".geojson", ".gpkg", ".shp", ".fgb", ".pbf", ".gml", ".tab", ".mif"),
    *_GEOJSON_SUFFIXES[2:],
    *_KML_SUFFIXES,
    *_PARQUET_SUFFIXES,
    *ARCHIVE_SUFFIXES,
)

_ADVICE = "; It might help"
_OTHER_LAYERS = "its other layers are taken for the work of people"
_OSM_LAYERS = ("points", "lines", "multipolygons")
_OSM_TAGS_COLUMN = "other_tags"
_MAX_ZOOM = re.compile(r"max_zoom\D+(\d+)")
_PIXEL_BOXES_COLUMN = "bounds_imcoords"
_NO_GEOMETRY_COLUMNS = (OUTLINE_COLUMN, CERTAIN_COLUMN, *IMAGE_COLUMNS, *PICTURE_COLUMNS, _PIXEL_BOXES_COLUMN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """One layer as it was read: geometries in its own CRS, text columns by the file's names.

    Attributes:
        extent: of all coordinates of the layer, those that were not read too.
    """

    name: str
    fids: NDArray[np.int64]
    geometries: NDArray[np.object_]
    columns: Columns
    images: ImageColumn | None
    crs: str | None
    crs_is_assumed: bool
    extent: Bounds
    num_outside: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Source:
    """A file as pyogrio opens it: its path, or its bytes where those are not to be touched, or not in UTF-8."""

    path: Path
    content: bytes | None = None
    note: str = ""

    @property
    def opened(self) -> Path | str | bytes:
        if self.path.suffix.casefold() in ARCHIVE_SUFFIXES:
            return f"/vsizip/{{{self.path}}}"  # braces, for a suffix that is not .zip
        return self.path if self.content is None else self.content

    def layer(self, name: str) -> str | int:
        """Return what pyogrio opens a layer by: JSON in bytes has one, whose name changes with each opening."""
        return 0 if self._is_recoded else name

    @property
    def _is_recoded(self) -> bool:
        return self.content is not None and _is_geojson(self.path)


def holds_shapefile(path: Path) -> bool:
    """Tell whether an archive holds a Shapefile."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.casefold().endswith(".shp") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_vector(path: Path, scene: Scene, table: ClassTable, identity: Identity | None = None) -> RawLabels:
    """Return the labels of every layer of a file, in scene pixels.

    Raises:
        NotLabelsError: all labels of a layer name other images.
        LabelError: GDAL cannot read the file, or nothing ties its coordinates to the scene.
    """
    whose = identity or Identity(scene.path)
    layers = _layers(path, scene, table)
    is_only = len(layers) == 1
    # One layer at a time is in memory as the file has it.
    parts = [_layer_labels(read(), path, scene, table, whose, is_only=is_only) for read in layers.values()]
    whole = joined(parts)
    predicted = [name for (name, _), part in zip(layers, parts, strict=True) if part.is_predicted]
    if not 0 < len(predicted) < len(layers):
        return whole
    note = f"{', '.join(map(repr, predicted))}: labels of a model, for the layer has scores; {_OTHER_LAYERS}"
    return replace(whole, notes=(*whole.notes, note))


def _layers(path: Path, scene: Scene, table: ClassTable) -> dict[tuple[str, int], Callable[[], _Layer]]:
    """Return what reads each layer of a file, by its name and number."""
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        return {(path.stem, 0): partial(_parquet_layer, path, scene, table)}
    source = _source(path)
    names = _layer_names(source)
    return {(name, at): partial(_read_layer, source, name, scene, table) for at, name in enumerate(names)}


def _parquet_layer(path: Path, scene: Scene, table: ClassTable) -> _Layer:
    with geoparquet.opened(path) as file:
        is_believed = not file.crs_is_assumed or file.extent is None or file.extent.fit_turned_degrees
        bounds = _search_bounds(file.crs, None, scene) if is_believed else None
        rows = file.read(_wanted_columns(table), None if bounds is None else Bounds(*bounds))
    geometries = _from_wkb(rows.wkb)
    columns = {name: as_texts(values) for name, values in rows.columns.items()}
    return _Layer(
        name=path.stem,
        fids=rows.numbers,
        geometries=geometries,
        columns=columns,
        images=ImageColumn.of(columns),
        crs=file.crs,
        crs_is_assumed=file.crs_is_assumed,
        extent=bounds_of(geometries),
        num_outside=file.num_rows - len(rows.numbers),
        notes=(),
    )


def image_names(path: Path) -> ImageNames | None:
    """Return the images that a file names in its layers, None where it names none.

    Raises:
        LabelError: GDAL cannot read the file.
    """
    if path.suffix.lower() == ".pbf":
        return None
    if path.suffix.lower() in _PARQUET_SUFFIXES:
        with geoparquet.opened(path) as file:
            texts = file.read(frozenset(IMAGE_COLUMNS), None, has_geometry=False).columns
        found = ImageColumn.of({name: as_texts(values) for name, values in texts.items()})
        return found.names if found else None
    source = _source(path)
    named: list[str] = []
    for name in _layer_names(source):
        try:
            fields = pyogrio.read_info(source.opened, layer=source.layer(name))["fields"]
            wanted = [field for field in fields if field.casefold() in IMAGE_COLUMNS]
            if not wanted:
                continue
            meta, _, _, found = pyogrio.raw.read(
                source.opened, layer=source.layer(name), columns=wanted, read_geometry=False
            )
        except (RuntimeError, ValueError) as error:
            raise LabelError(f"GDAL cannot read layer {name!r}: {error}") from error
        column = ImageColumn.of({field: as_texts(values) for field, values in zip(meta["fields"], found, strict=True)})
        named += column.values if column else ()
    return ImageNames.of(named) if named else None


def _source(path: Path) -> _Source:
    """Return the file itself, its bytes where it is GML, or its text in UTF-8 where it is JSON in another encoding."""
    if path.suffix.lower() == ".gml":
        # GDAL writes what it learns of a GML file beside it: the user's folder is not ours
        return _Source(path, path.read_bytes())
    if not _is_geojson(path):
        return _Source(path)
    stat = path.stat()
    return _recoded(path, (stat.st_mtime_ns, stat.st_size))


def _is_geojson(path: Path) -> bool:
    return path.suffix.lower() in _GEOJSON_SUFFIXES or _is_footprints(path)


def _is_footprints(path: Path) -> bool:
    """Tell whether a file is Microsoft's: lines of GeoJSON that are called a table, with buildings of no class."""
    return path.name.casefold().endswith((".csv", ".csv.gz"))


@lru_cache(maxsize=1)
def _recoded(path: Path, version: tuple[int, int]) -> _Source:  # noqa: ARG001
    if _is_footprints(path):
        features = b",".join(line for line in read_bytes(path).splitlines() if line.strip())
        return _Source(path, b'{"type": "FeatureCollection", "features": [' + features + b"]}")
    if is_utf8(path):
        return _Source(path)
    text, note = decoded(read_bytes(path))
    return _Source(path, text.encode(), note)


def _layer_names(source: _Source) -> list[str]:
    path = source.path
    if isinstance(source.layer(""), int):
        return [path.stem]
    try:
        listed = pyogrio.list_layers(source.opened)
    except RuntimeError as error:
        raise LabelError(f"GDAL cannot open it as vector data: {str(error).split(_ADVICE)[0]}") from error
    names = [str(name) for name, geometry_type in listed if geometry_type is not None]
    if path.suffix.lower() == ".pbf":
        return [name for name in names if name in _OSM_LAYERS]
    if not names:
        raise LabelError("it has no layer with geometry")
    return names


def _read_layer(source: _Source, name: str, scene: Scene, table: ClassTable) -> _Layer:
    wanted = _wanted_columns(table)
    if not _is_geojson(source.path):
        return _layer(source, name, wanted, scene)
    stat = source.path.stat()
    return _whole_layer(source.path, name, wanted, (stat.st_mtime_ns, stat.st_size))


# Files without an index are read whole: once for all scenes that they serve. The key follows the content.
@lru_cache(maxsize=1)
def _whole_layer(path: Path, name: str, wanted: frozenset[str], version: tuple[int, int]) -> _Layer:  # noqa: ARG001
    return _layer(_source(path), name, wanted, None)


def _layer(source: _Source, name: str, wanted: frozenset[str], scene: Scene | None) -> _Layer:
    """Return a layer, of which only what reaches the scene is read where there is one."""
    is_osm = source.path.suffix.lower() == ".pbf"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            info = pyogrio.read_info(
                source.opened, layer=source.layer(name), force_feature_count=not is_osm, force_total_bounds=not is_osm
            )
            extent = _extent(info)
            meta, fids, wkb, fields = pyogrio.raw.read(
                source.opened,
                layer=source.layer(name),
                columns=[field for field in info["fields"] if field.casefold() in wanted],
                force_2d=True,
                bbox=None if scene is None else _search_bounds(info["crs"], extent, scene),
                return_fids=True,
            )
        except (RuntimeError, ValueError) as error:
            raise LabelError(f"GDAL cannot read layer {name!r}: {error}") from error
    geometries = _from_wkb(wkb)
    columns = {column: as_texts(values) for column, values in zip(meta["fields"], fields, strict=True)}
    return _Layer(
        name=name,
        fids=fids,
        geometries=geometries,
        columns=columns,
        images=ImageColumn.of(columns),
        crs=info["crs"],
        crs_is_assumed=_is_geojson(source.path) and info["crs"] == "EPSG:4326",
        extent=bounds_of(geometries) if extent is None else extent,
        num_outside=0 if is_osm else int(info["features"]) - len(fids),
        notes=tuple(dict.fromkeys([*([source.note] if source.note else []), *(str(w.message) for w in caught)])),
    )


def _extent(info: Mapping[str, Any]) -> Bounds | None:
    bounds = info["total_bounds"]
    return None if bounds is None or not np.isfinite(bounds).all() else Bounds(*bounds)


def _from_wkb(wkb: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return geometries, None where there is none, or one of no place; rings that the file leaves open are closed."""
    with np.errstate(invalid="ignore"):
        geometries: NDArray[np.object_] = shapely.from_wkb(wkb, on_invalid="ignore")
    broken = np.flatnonzero(shapely.is_missing(geometries) & np.array([item is not None for item in wkb], dtype=bool))
    for row in broken.tolist():
        geometries[row] = closed_rings(wkb[row])
    # one endless coordinate would make the extent of all endless, and nobody could tell any more where the others lie
    coordinates, rows = shapely.get_coordinates(geometries, return_index=True)
    geometries[rows[~np.isfinite(coordinates).all(axis=1)]] = None
    return geometries


def _search_bounds(crs: str | None, extent: Bounds | None, scene: Scene) -> tuple[float, float, float, float] | None:
    """Return the part of a layer to read, None for all of it."""
    if crs is None or are_picture_pixels(crs) or scene.crs is None or scene.transform is None:
        return None
    bounds = scene_bounds_in(crs, scene)
    if bounds is None:
        return None
    # longitudes of the one may lie a turn from those of the other; a layer that goes beyond 180° is read whole
    is_turned = any(area is not None and (area.east > 180 or area.west < -180) for area in (bounds, extent))
    if is_turned and pyproj.CRS.from_user_input(crs).is_geographic:
        return None
    return (bounds.west, bounds.south, bounds.east, bounds.north)


def _wanted_columns(table: ClassTable) -> frozenset[str]:
    """Return the columns that say something of a label, lower case."""
    groups = (
        table.class_columns,
        table.tag_columns,
        (_OSM_TAGS_COLUMN,) if table.tag_columns else (),
        table.score_columns,
        *table.attributes.columns().values(),
        _NO_GEOMETRY_COLUMNS,
        table.left_out,
        (table.finest,),
        itertools.chain.from_iterable(table.layers.values()),
    )
    return frozenset(name.casefold() for group in groups for name in group)


def _layer_labels(
    layer: _Layer, path: Path, scene: Scene, table: ClassTable, identity: Identity, *, is_only: bool
) -> RawLabels:
    on_map = scene.crs is not None and _has_own_crs(layer, layer.geometries)
    rows = own_rows(layer.images, len(layer.fids), identity, path, on_map=on_map)
    left_out = _left_out(layer.columns, len(layer.fids), table)
    is_read = rows.is_ours & (left_out == "")
    columns = {name: texts[is_read] for name, texts in layer.columns.items()}
    geometries = layer.geometries[is_read]
    kind = table.layer_of((path.stem, layer.name, path.parent.name), layer.columns)
    fallback = kind if table.resolve(kind) else _fallback(layer.name, path, identity.stem, table)
    sources = _sources(columns, len(geometries), fallback, table, kind)
    boxes = _pixel_boxes(columns) if rows.by_image else None
    placed = _place(geometries, layer, scene) if boxes is None else Placed(boxes, on_map=False)
    parsed = parse_attributes(attribute_texts(columns, table), len(geometries))
    numbers = _positions(layer.fids)[is_read]
    is_predicted = are_predicted(layer.columns, table)
    judged = judged_outlines(geometries if boxes is None else boxes, sources, Outline.POLYGON)
    return RawLabels(
        geometries=placed.geometries,
        sources=sources,
        positions=tuple(str(number) if is_only else f"{layer.name}:{number}" for number in numbers.tolist()),
        outlines=drawn_outlines(columns, judged),
        is_certain=scored(columns, len(geometries), table) & drawn_certain(columns, len(geometries)),
        attributes=parsed.attributes,
        is_predicted=is_predicted,
        people_layers=() if is_only or is_predicted else (fallback,),
        num_outside=layer.num_outside,
        num_other_image=rows.num_other,
        num_of_no_image=rows.num_of_no_image,
        ignored=dict(Counter(left_out[rows.is_ours & (left_out != "")].tolist())),
        dropped_attributes=parsed.dropped,
        notes=(*layer.notes, *([placed.note] if placed.note else [])),
        on_map=placed.on_map,
        by_image=rows.by_image,
        picture_size=None if placed.on_map else picture_size(columns),
    )


def _left_out(columns: Columns, count: int, table: ClassTable) -> NDArray[np.object_]:
    """Return for each label the word of the class table for which it is left out, "" for the others."""
    reasons = np.full(count, "", dtype=object)
    for name, words in table.left_out.items():
        column = find_column(columns, [name])
        for word in words if column is not None else ():
            has_word = per_value(columns[column or ""], lambda text, word=word: word in text.casefold())  # type: ignore[misc]
            reasons[has_word & (reasons == "")] = f"{name} {word}"
    column = find_column(columns, [table.finest])
    if column is not None and count:
        found = [_MAX_ZOOM.search(text) for text in columns[column]]
        zooms = np.array([int(match.group(1)) if match else -1 for match in found])
        reasons[(zooms < zooms.max()) & (reasons == "")] = f"{column}: coarser than {zooms.max()}"
    return reasons


def _pixel_boxes(columns: Columns) -> NDArray[np.object_] | None:
    """Return the boxes that xView states in pixels, "x_min,y_min,x_max,y_max"; None where a file has no such column."""
    column = find_column(columns, [_PIXEL_BOXES_COLUMN])
    if column is None:
        return None
    boxes: list[object] = []
    for text in columns[column]:
        try:
            x_min, y_min, x_max, y_max = (float(number) for number in text.split(","))
        except ValueError:
            boxes.append(None)
            continue
        boxes.append(shapely.box(x_min, y_min, x_max, y_max))
    return object_array(boxes)


def _positions(fids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the feature ids where they are unique (they do not depend on the scene's bounds), else the row numbers."""
    return fids if len(np.unique(fids)) == len(fids) else np.arange(len(fids))


def _fallback(layer_name: str, path: Path, scene_stem: str, table: ClassTable) -> str:
    """Return the class that the name of the layer, file or folder of layers speaks of, else the layer's name."""
    stem = path.name.split(".")[0]
    bare = normalised(stem).removeprefix(normalised(scene_stem)).strip()
    # SpaceNet: `geojson_buildings/`, or `geojson/buildings/`
    folders = normalised("_".join(path.parent.parts[-2:]))
    names = (layer_name, stem, bare, *([folders.rpartition("geojson ")[2]] if "geojson " in folders else []))
    known = next((name for name in names if table.resolve(name) is not None), layer_name)
    return "building" if known == layer_name and _is_footprints(path) else known


def _sources(columns: Columns, count: int, fallback: str, table: ClassTable, kind: str) -> NDArray[np.object_]:
    """Return for each label the name to resolve: the first column whose value the table knows, else what there is."""
    candidates = _class_texts(columns, table, kind) + _tag_texts(columns, count, table)
    sources = np.full(count, "", dtype=object)
    for texts in candidates:
        is_known = (sources == "") & per_value(texts, lambda text: table.resolve(text) is not None)
        sources[is_known] = texts[is_known]
    for texts in candidates:
        is_open = sources == ""
        sources[is_open] = texts[is_open]
    sources[sources == ""] = fallback
    return sources


def _class_texts(columns: Columns, table: ClassTable, kind: str) -> list[NDArray[np.object_]]:
    """Return the class columns, in a layer of a kind as "kind=class"."""
    found = [columns[name] for name in (find_column(columns, [column]) for column in table.class_columns) if name]
    return [object_array([text and f"{kind}={text}" for text in texts]) for texts in found] if kind else found


def _tag_texts(columns: Columns, count: int, table: ClassTable) -> list[NDArray[np.object_]]:
    """Return "tag=value" texts of every tag that the table knows, "" where the tag is missing or denied."""
    others = find_column(columns, [_OSM_TAGS_COLUMN])
    texts = []
    for tag in table.tag_columns:
        column = find_column(columns, [tag])
        values = np.full(count, "", dtype=object) if column is None else columns[column].copy()
        if others is not None:
            is_open = values == ""
            values[is_open] = _hstore_values(columns[others][is_open], tag)
        if any(values):
            denied = per_value(values, lambda value: value.casefold() in NEGATIVE_TAGS)
            texts.append(
                object_array(["" if no else f"{tag}={value}" for value, no in zip(values, denied, strict=True)])
            )
    return texts


def _hstore_values(texts: NDArray[np.object_], tag: str) -> NDArray[np.object_]:
    """Return a tag's values from GDAL's `"key"=>"value","key"=>"value"` texts, "" where it is missing."""
    pattern = re.compile(rf'(?:^|,)"{re.escape(tag)}"=>"((?:[^"\\]|\\.)*)"')
    matches = (pattern.search(text) for text in texts)
    return object_array([match.group(1) if match else "" for match in matches])


def _place(geometries: NDArray[np.object_], layer: _Layer, scene: Scene) -> Placed:
    """Return a layer's geometries in scene pixels, with a note when its CRS was not taken at its word."""
    if are_picture_pixels(layer.crs):
        return place_picture_pixels(geometries)
    if layer.crs is not None and _has_own_crs(layer, geometries):
        return place_by_crs(geometries, layer.crs, scene, layer.extent)
    complaint = "the file names no CRS" + (" and they do not fit EPSG:4326" if layer.crs_is_assumed else "")
    return place_unstated(geometries, scene, complaint)


def _has_own_crs(layer: _Layer, geometries: NDArray[np.object_]) -> bool:
    """Tell whether a layer's CRS holds: it is stated, or the assumed degrees can be degrees."""
    is_map = layer.crs is not None and not are_picture_pixels(layer.crs)
    return is_map and (not layer.crs_is_assumed or bounds_of(geometries).fit_degrees)
