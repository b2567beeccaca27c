"""Vector layers through pyogrio: GeoJSON, GeoPackage (all layers), Shapefile, FlatGeobuf and OSM PBF.

What surprises: GDAL takes GeoJSON without a `crs` member for EPSG:4326, but many such files hold the scene's own map
coordinates or pixels. Coordinates that cannot be degrees are tried as those, and the report says so; coordinates that
can be degrees are never taken for anything else.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.columns import (
    IMAGE_COLUMNS,
    Columns,
    as_texts,
    attribute_texts,
    belongs_to_scene,
    find_column,
    per_value,
    scene_stem,
    scored,
)
from rsvqa.rsvqa_builder.label_files.placing import (
    Bounds,
    bounds_of,
    map_to_pixels,
    reproject_to_scene,
    scene_bounds,
    scene_bounds_in,
)
from rsvqa.rsvqa_builder.labels.attributes import parse_attributes
from rsvqa.rsvqa_builder.labels.classes import NEGATIVE_TAGS, ClassTable, normalised
from rsvqa.rsvqa_builder.labels.raw import (
    OTHER_IMAGES,
    LabelError,
    NotLabelsError,
    RawLabels,
    judged_outlines,
    object_array,
)
from rsvqa.rsvqa_builder.scenes.scene import Scene

SUFFIXES = (".geojson", ".gpkg", ".shp", ".fgb", ".pbf")

_GEOJSON_SUFFIXES = (".geojson", ".json")
_OSM_LAYERS = ("points", "lines", "multipolygons")
_OSM_TAGS_COLUMN = "other_tags"
_WHOLE_EARTH = Bounds(-180, -90, 180, 90)
_SLACK_DEG = 1e-6


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer as it was read: geometries in its own CRS, text columns by the file's names."""

    name: str
    fids: NDArray[np.int64]
    geometries: NDArray[np.object_]
    columns: Columns
    crs: str | None
    crs_is_assumed: bool
    num_outside: int
    notes: tuple[str, ...]


class _Placed(NamedTuple):
    geometries: NDArray[np.object_]
    note: str = ""


def read_vector(path: Path, scene: Scene, table: ClassTable) -> RawLabels:
    """Return the labels of every layer of a file, in scene pixels.

    Raises:
        NotLabelsError: all labels of a layer name other images.
        LabelError: GDAL cannot read the file, or nothing ties its coordinates to the scene.
    """
    names = _layer_names(path)
    layers = [_read_layer(path, name, scene, table) for name in names]
    parts = [_layer_labels(layer, path, scene, table, is_only=len(names) == 1) for layer in layers]
    return _joined(parts)


def _layer_names(path: Path) -> list[str]:
    try:
        listed = pyogrio.list_layers(path)
    except RuntimeError as error:
        raise LabelError(f"GDAL cannot open it as vector data: {error}") from error
    names = [str(name) for name, geometry_type in listed if geometry_type is not None]
    if path.suffix.lower() == ".pbf":
        return [name for name in names if name in _OSM_LAYERS]
    if not names:
        raise LabelError("it has no layer with geometry")
    return names


def _read_layer(path: Path, name: str, scene: Scene, table: ClassTable) -> _Layer:
    is_geojson = path.suffix.lower() in _GEOJSON_SUFFIXES
    is_osm = path.suffix.lower() == ".pbf"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            info = pyogrio.read_info(path, layer=name, force_feature_count=not is_osm)
            bbox = None if is_geojson else _search_bounds(info["crs"], scene)
            meta, fids, wkb, fields = pyogrio.raw.read(
                path,
                layer=name,
                columns=_wanted_columns(info["fields"], table),
                force_2d=True,
                bbox=bbox,
                return_fids=True,
            )
        except (RuntimeError, ValueError) as error:
            raise LabelError(f"GDAL cannot read layer {name!r}: {error}") from error
    return _Layer(
        name=name,
        fids=fids,
        geometries=shapely.from_wkb(wkb, on_invalid="ignore"),
        columns={column: as_texts(values) for column, values in zip(meta["fields"], fields, strict=True)},
        crs=info["crs"],
        crs_is_assumed=is_geojson and info["crs"] == "EPSG:4326",
        num_outside=0 if is_osm else int(info["features"]) - len(fids),
        notes=tuple(dict.fromkeys(str(warning.message) for warning in caught)),
    )


def _search_bounds(crs: str | None, scene: Scene) -> tuple[float, float, float, float] | None:
    """Return the part of a layer to read, None for all of it."""
    if crs is None or scene.crs is None or scene.transform is None:
        return None
    bounds = scene_bounds_in(crs, scene)
    return bounds and (bounds.west, bounds.south, bounds.east, bounds.north)


def _wanted_columns(fields: Iterable[str], table: ClassTable) -> list[str]:
    wanted = {
        name.casefold()
        for group in (
            table.class_columns,
            table.tag_columns,
            (_OSM_TAGS_COLUMN,) if table.tag_columns else (),
            table.score_columns,
            *table.attributes.columns().values(),
            IMAGE_COLUMNS,
        )
        for name in group
    }
    return [field for field in fields if field.casefold() in wanted]


def _layer_labels(layer: _Layer, path: Path, scene: Scene, table: ClassTable, *, is_only: bool) -> RawLabels:
    count = len(layer.fids)
    image_column = find_column(layer.columns, IMAGE_COLUMNS)
    is_ours = np.ones(count, dtype=bool)
    if image_column is not None:
        is_ours = belongs_to_scene(layer.columns[image_column], scene)
    if count and not is_ours.any():
        raise NotLabelsError(OTHER_IMAGES)
    columns = {name: texts[is_ours] for name, texts in layer.columns.items()}
    geometries = layer.geometries[is_ours]
    sources = _sources(columns, len(geometries), _fallback(layer.name, path, scene, table), table)
    placed = _place(geometries, layer, scene)
    parsed = parse_attributes(attribute_texts(columns, table), len(geometries))
    is_certain, is_predicted = scored(columns, len(geometries), table)
    numbers = _positions(layer.fids)[is_ours]
    return RawLabels(
        geometries=placed.geometries,
        sources=sources,
        positions=tuple(str(number) if is_only else f"{layer.name}:{number}" for number in numbers.tolist()),
        outlines=judged_outlines(geometries, sources, Outline.POLYGON),
        is_certain=is_certain,
        attributes=parsed.attributes,
        is_predicted=is_predicted,
        num_outside=layer.num_outside,
        num_other_image=int(count - is_ours.sum()),
        dropped_attributes=parsed.dropped,
        notes=(*layer.notes, *([placed.note] if placed.note else [])),
    )


def _positions(fids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the feature ids where they are unique (they do not depend on the scene's bounds), else the row numbers."""
    return fids if len(np.unique(fids)) == len(fids) else np.arange(len(fids))


def _fallback(layer_name: str, path: Path, scene: Scene, table: ClassTable) -> str:
    """Return the class that the layer's or the file's name speaks of; the layer's name when neither is known."""
    stem = path.name.split(".")[0]
    bare = normalised(stem).removeprefix(normalised(scene_stem(scene))).strip()
    names = (layer_name, stem, bare)
    return next((name for name in names if table.resolve(name) is not None), layer_name)


def _sources(columns: Columns, count: int, fallback: str, table: ClassTable) -> NDArray[np.object_]:
    """Return for each label the name to resolve: the first column whose value the table knows, else what there is."""
    candidates = _class_texts(columns, table) + _tag_texts(columns, count, table)
    sources = np.full(count, "", dtype=object)
    for texts in candidates:
        is_known = (sources == "") & per_value(texts, lambda text: table.resolve(text) is not None)
        sources[is_known] = texts[is_known]
    for texts in candidates:
        is_open = sources == ""
        sources[is_open] = texts[is_open]
    sources[sources == ""] = fallback
    return sources


def _class_texts(columns: Columns, table: ClassTable) -> list[NDArray[np.object_]]:
    found = (find_column(columns, [name]) for name in table.class_columns)
    return [columns[name] for name in found if name is not None]


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


def _place(geometries: NDArray[np.object_], layer: _Layer, scene: Scene) -> _Placed:
    """Return a layer's geometries in scene pixels, with a note when its CRS was not taken at its word."""
    bounds = bounds_of(geometries)
    if not np.isfinite(bounds).all():
        return _Placed(geometries)
    fits_degrees = _within(bounds, _WHOLE_EARTH, _SLACK_DEG)
    if layer.crs is not None and not (layer.crs_is_assumed and not fits_degrees):
        return _place_by_crs(geometries, layer.crs, scene)
    complaint = "the file names no CRS" + (" and they do not fit EPSG:4326" if layer.crs_is_assumed else "")
    for place in (_as_scene_map, _as_pixels):
        placed = place(geometries, bounds, scene)
        if placed is not None:
            return placed._replace(note=f"{placed.note}: {complaint}")
    raise LabelError(
        f"coordinates {_shown(bounds)} are neither the scene's map coordinates nor its pixels, and {complaint}: "
        "add the CRS to the file"
    )


def _place_by_crs(geometries: NDArray[np.object_], crs: str, scene: Scene) -> _Placed:
    if scene.transform is None or scene.crs is None:
        raise LabelError(f"its coordinates are in {_crs_name(crs)}, but the scene has no CRS: give the scene one")
    return _Placed(map_to_pixels(reproject_to_scene(geometries, crs, scene), scene.transform))


def _as_scene_map(geometries: NDArray[np.object_], bounds: Bounds, scene: Scene) -> _Placed | None:
    if scene.transform is None or not bounds.overlaps(scene_bounds(scene)):
        return None
    return _Placed(map_to_pixels(geometries, scene.transform), "coordinates read in the scene's CRS")


def _as_pixels(geometries: NDArray[np.object_], bounds: Bounds, scene: Scene) -> _Placed | None:
    """Take coordinates for pixels, y down, or up from the top edge (negative) as desktop GIS draws them."""
    frame = Bounds(0, 0, scene.width, scene.height)
    if _within(bounds, frame, slack=max(scene.width, scene.height) / 10):
        return _Placed(geometries, "coordinates read as scene pixels, y down")
    flipped = bounds._replace(south=-bounds.north, north=-bounds.south)
    if bounds.north <= 0 and _within(flipped, frame, slack=max(scene.width, scene.height) / 10):
        mirrored: NDArray[np.object_] = shapely.transform(geometries, lambda xy: xy * [1, -1])
        return _Placed(mirrored, "coordinates read as scene pixels, y up from the top edge")
    return None


def _within(inner: Bounds, outer: Bounds, slack: float) -> bool:
    return (
        inner.west >= outer.west - slack
        and inner.south >= outer.south - slack
        and inner.east <= outer.east + slack
        and inner.north <= outer.north + slack
    )


def _shown(bounds: Bounds) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in bounds) + ")"


def _crs_name(crs: str) -> str:
    return str(pyproj.CRS.from_user_input(crs).name)


def _joined(parts: Sequence[RawLabels]) -> RawLabels:
    if len(parts) == 1:
        return parts[0]
    dropped: dict[str, int] = {}
    for part in parts:
        for text, count in part.dropped_attributes.items():
            dropped[text] = dropped.get(text, 0) + count

    def joined(name: str) -> Any:  # noqa: ANN401 - arrays of objects and of booleans alike
        return np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0, dtype=object)

    return replace(
        RawLabels(
            geometries=joined("geometries"),
            sources=joined("sources"),
            positions=tuple(position for part in parts for position in part.positions),
            outlines=joined("outlines"),
            is_certain=joined("is_certain").astype(bool),
            attributes=tuple(attributes for part in parts for attributes in part.attributes),
        ),
        is_predicted=any(part.is_predicted for part in parts),
        num_outside=sum(part.num_outside for part in parts),
        num_other_image=sum(part.num_other_image for part in parts),
        dropped_attributes=dropped,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
