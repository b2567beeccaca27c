"""Tiles for other annotation tools, before there are questions: images, and a project that knows the classes.

Label Studio and CVAT get the stored images, QGIS gets them as cloud-optimised GeoTIFFs in the coordinates that
`rsvqa review labels` writes. What people draw there comes back by `tile_import`.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pyproj
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from rsvqa.annotation.facts import ClassInfo, Outline, Role
from rsvqa.annotation.images import decode_image, read_header
from rsvqa.annotation.review.drawing import DrawingTile
from rsvqa.annotation.review.drawn import FORMS, DrawnForm
from rsvqa.annotation.review.pictures import picture_key
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.output import check_export_folder
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.files import whole_folder
from rsvqa.rsvqa_builder.label_files.columns import CERTAIN_COLUMN, OUTLINE_COLUMN
from rsvqa.rsvqa_builder.label_files.placing import PICTURE_PIXELS, Y_UP
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles
from rsvqa.rsvqa_builder.reviewing.label_studio import CONFIG_FILE, TASKS_FILE
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError, ReviewError
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients

TileTool = Literal["label-studio", "cvat", "qgis"]
TILE_TOOLS: tuple[TileTool, ...] = ("label-studio", "cvat", "qgis")
LABELS_FOLDER = "labels"
"""Holds a GeoPackage per scene, where QGIS edits objects."""
CVAT_LABELS = "labels.json"
QGIS_PROJECT = "project.qgs"
MAP_QUALITY = 95
"""Of JPEG in the GeoTIFFs, which are for looking at."""

_REGIONS = (Role.OBJECT, Role.AREA, Role.ANOMALY)
_STUDIO_TAGS: Mapping[str, tuple[Role, ...]] = {
    "RectangleLabels": _REGIONS,
    "PolygonLabels": _REGIONS,
    "EllipseLabels": _REGIONS,
    "KeyPointLabels": (Role.OBJECT,),
}
"""Label Studio's tools, and the classes that they are for; it has none for lines."""


class TileExportCounts(NamedTuple):
    """What an export of tiles wrote."""

    tiles: int
    scenes: int

    def __str__(self) -> str:
        return f"{self.tiles:,} tiles of {self.scenes:,} scenes"


def parse_tile_tool(text: str) -> TileTool:
    """Return an annotation tool by its name.

    Raises:
        ReviewError: there is none of this name.
    """
    found = next((name for name in TILE_TOOLS if name == text), None)
    if found is None:
        raise ReviewError(f"`format` {text}: expected {', '.join(TILE_TOOLS[:-1])} or {TILE_TOOLS[-1]}")
    return found


def open_tiles(src: Path, store: Path | None) -> DrawnTiles:
    """Return the tiles of a data set that can be drawn on.

    Raises:
        NothingToReviewError: it has none.
        ShardError: the folder has no whole set of shards.
    """
    source = ReviewSource(src)
    with ReviewStore(store_path(src, store)) as opened:
        tiles = DrawnTiles(source, source.image_digests(opened))
    if not tiles.tiles:
        raise NothingToReviewError(f"{src} has no tile with an image without marks")
    return tiles


def export_tiles(
    src: Path, out: Path, tool: TileTool, *, store: Path | None = None, overwrite: bool = False
) -> TileExportCounts:
    """Write the tiles of a data set with a project for an annotation tool into the folder `out`.

    Args:
        src: the data set.
        out: new or empty, or anything with `overwrite`.
        tool: which one.
        store: file of the review; None for the one in `src`.
        overwrite: replace what `out` holds.

    Raises:
        NothingToReviewError: no tile has a plain image.
        OutputError: when `out` is in use.
    """
    source, tiles = ReviewSource(src), open_tiles(src, store)
    _ = source.tiles  # tells where the images are
    check_export_folder(src, out, overwrite=overwrite)
    found = list(tiles.tiles.values())
    infos = {name: info for tile in found for name, info in tiles.classes(tile).items()}
    with whole_folder(out, overwrite=overwrite) as working:
        (working / "images").mkdir()
        for tile in found:
            data = source.load_image(tile.image)
            if tool == "qgis":
                _write_map(working / "images" / image_name(tile, ".tif"), data, tiles, tile)
            else:
                (working / "images" / image_name(tile, read_header(data).suffix)).write_bytes(data)
        files = sorted(file.name for file in (working / "images").iterdir())
        if tool == "label-studio":
            _write_studio(working, out.resolve().name, found, files, infos)
        elif tool == "cvat":
            labels = [{"name": name, "attributes": []} for name in infos]
            (working / CVAT_LABELS).write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
        else:
            _write_qgis(working, tiles, found, files, infos)
    return TileExportCounts(len(found), len({tile.scene for tile in found}))


def image_name(tile: DrawingTile, suffix: str) -> str:
    """Return the name of a tile's file: its id as far as a file name may hold it, and what tells it from all others."""
    return f"{re.sub('[^A-Za-z0-9.-]+', '_', tile.tile_id)}-{picture_key(tile.image)[:8]}{suffix}"


def tile_by_name(tiles: DrawnTiles) -> dict[str, DrawingTile]:
    """Return the tiles by the names of their files without the suffix."""
    return {image_name(tile, ""): tile for tile in tiles.tiles.values()}


def tile_transform(tiles: DrawnTiles, record: TileRecord) -> tuple[AffineCoefficients, str]:
    """Return what takes pixels of a tile's scene to the map and its CRS; picture pixels where there is no map."""
    transform = tiles.transform(record.scene)
    return (Y_UP, PICTURE_PIXELS) if transform is None or record.crs is None else (transform, record.crs)


# --- Label Studio ---------------------------------------------------------------------------------------------------


def _write_studio(
    folder: Path, name: str, tiles: Sequence[DrawingTile], files: Sequence[str], infos: Mapping[str, ClassInfo]
) -> None:
    by_stem = {Path(file).stem: file for file in files}
    tasks = [
        {
            "id": number,
            "data": {
                "image": f"/data/local-files/?d={name}/images/{by_stem[image_name(tile, '')]}",
                "tile": image_name(tile, ""),
            },
        }
        for number, tile in enumerate(tiles, start=1)
    ]
    (folder / TASKS_FILE).write_text(json.dumps(tasks, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image", zoom="true", zoomControl="true")
    for tag, roles in _STUDIO_TAGS.items():
        fitting = [key for key, info in infos.items() if info.role in roles]
        part = ElementTree.SubElement(view, tag, name=tag.removesuffix("Labels").lower(), toName="image")
        for key in fitting:
            ElementTree.SubElement(part, "Label", value=key)
    ElementTree.indent(view)
    (folder / CONFIG_FILE).write_text(ElementTree.tostring(view, encoding="unicode") + "\n", encoding="utf-8")


# --- QGIS -----------------------------------------------------------------------------------------------------------


def _write_map(path: Path, data: bytes, tiles: DrawnTiles, tile: DrawingTile) -> None:
    """Write an image as a cloud-optimised GeoTIFF."""
    pixels = np.moveaxis(decode_image(data), -1, 0)
    (a, b, c, d, e, f), crs = tile_transform(tiles, tiles.records[tile.key])
    x, y = tile.region
    profile = {
        "count": 3,
        "dtype": "uint8",
        "width": tile.width,
        "height": tile.height,
        "transform": rasterio.Affine(a, b, a * x + b * y + c, d, e, d * x + e * y + f),
        **({} if crs == PICTURE_PIXELS else {"crs": crs}),
    }
    with warnings.catch_warnings(), MemoryFile() as memory:
        # without a map the first tile lies at (0, 0), where every program puts a picture without a word on its place
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(driver="GTiff", photometric="rgb", **profile) as dataset:
            dataset.write(pixels)
        with memory.open() as dataset:
            rasterio.shutil.copy(dataset, path, driver="COG", compress="JPEG", quality=MAP_QUALITY)


class _ProjectLayer(NamedTuple):
    """A layer of a QGIS project; `crs` is empty where there is no map, and `geometry` of an image."""

    kind: Literal["vector", "raster"]
    source: str
    name: str
    crs: str
    geometry: str


class _Geometry(NamedTuple):
    """What a layer of one kind of geometry is called, and what is drawn in it."""

    title: str
    form: DrawnForm


_GEOMETRIES: Mapping[str, _Geometry] = {
    "Polygon": _Geometry("areas and boxes", DrawnForm.POLYGON),
    "LineString": _Geometry("lines", DrawnForm.LINE),
    "Point": _Geometry("points", DrawnForm.POINT),
}
"""QGIS draws one kind of geometry per layer; in the file all kinds are in one table."""
_LINE = "Line"
"""QGIS's own word for the geometry of lines."""


def _write_qgis(
    folder: Path,
    tiles: DrawnTiles,
    found: Sequence[DrawingTile],
    files: Sequence[str],
    infos: Mapping[str, ClassInfo],
) -> None:
    layers: list[_ProjectLayer] = []
    systems: dict[str, str] = {}
    for scene in dict.fromkeys(tile.scene for tile in found):
        record = next(tiles.records[tile.key] for tile in found if tile.scene == scene)
        _, crs = tile_transform(tiles, record)
        systems[scene] = "" if crs == PICTURE_PIXELS else crs
        path = folder / LABELS_FOLDER / f"{scene}.gpkg"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = ["class", OUTLINE_COLUMN, CERTAIN_COLUMN]
        pyogrio.raw.write(
            path,
            np.empty(0, dtype=object),
            [np.empty(0, dtype=object) for _ in names],
            names,
            geometry_type="Unknown",
            crs=crs,
            driver="GPKG",
            layer="objects",
        )
        source = f"./{LABELS_FOLDER}/{scene}.gpkg|layername=objects|geometrytype="
        layers += [
            _ProjectLayer("vector", f"{source}{kind}", f"{scene}: {info.title}", systems[scene], kind)
            for kind, info in _GEOMETRIES.items()
        ]
    scenes = {image_name(tile, ".tif"): tile.scene for tile in found}
    layers += [
        _ProjectLayer("raster", f"./images/{file}", Path(file).stem, systems[scenes[file]], "") for file in files
    ]
    root = ElementTree.Element("qgis", version="3.22.0", projectname="tiles")
    first = found[0].scene
    if systems[first]:
        root.append(_reference_system("projectCrs", systems[first]))
        properties = ElementTree.SubElement(ElementTree.SubElement(root, "properties"), "SpatialRefSys")
        ElementTree.SubElement(properties, "ProjectionsEnabled", type="int").text = "1"  # else it is not read
    tree = ElementTree.SubElement(root, "layer-tree-group")
    root.append(_canvas(_extent(tiles, found[0])))
    own = ElementTree.SubElement(root, "projectlayers")
    for number, layer in enumerate(layers):
        key = f"rsvqa_layer_{number:06d}"  # QGIS gives a layer with a shorter id another one, which nothing names
        provider = "ogr" if layer.kind == "vector" else "gdal"
        ElementTree.SubElement(
            tree,
            "layer-tree-layer",
            id=key,
            name=layer.name,
            source=layer.source,
            providerKey=provider,
            checked="Qt::Checked",
        )
        own.append(_map_layer(key, layer, provider, infos))
    ElementTree.indent(root)
    text = f"<!DOCTYPE qgis>\n{ElementTree.tostring(root, encoding='unicode')}\n"
    (folder / QGIS_PROJECT).write_text(text, encoding="utf-8")


def _map_layer(key: str, layer: _ProjectLayer, provider: str, infos: Mapping[str, ClassInfo]) -> ElementTree.Element:
    part = ElementTree.Element("maplayer", type=layer.kind)
    for tag, text in (("id", key), ("datasource", layer.source), ("layername", layer.name)):
        ElementTree.SubElement(part, tag).text = text
    if layer.crs:
        ElementTree.SubElement(part, "srs").extend(_reference_system("", layer.crs))
    ElementTree.SubElement(part, "provider", encoding="UTF-8").text = provider
    if layer.kind == "raster":
        return part
    part.set("geometry", _LINE if layer.geometry == "LineString" else layer.geometry)
    part.set("wkbType", layer.geometry)
    if layer.geometry == "Polygon":
        part.append(_outlines())
    fields = ElementTree.SubElement(part, "fieldConfiguration")
    roles = FORMS[_GEOMETRIES[layer.geometry].form].roles
    _choices(fields, "class", sorted(name for name, info in infos.items() if info.role in roles))
    _choices(fields, CERTAIN_COLUMN, ["yes", "no"])
    if layer.geometry == "Polygon":
        _choices(fields, OUTLINE_COLUMN, [Outline.BOX, Outline.ORIENTED_BOX, Outline.POLYGON])
    return part


def _outlines() -> ElementTree.Element:
    """Return how areas are drawn: as lines, for what lies in them is to be seen."""
    renderer = ElementTree.Element("renderer-v2", type="singleSymbol")
    symbol = ElementTree.SubElement(ElementTree.SubElement(renderer, "symbols"), "symbol", type="fill", name="0")
    line = ElementTree.SubElement(symbol, "layer", {"class": "SimpleLine", "enabled": "1"})
    told = ElementTree.SubElement(line, "Option", type="Map")
    for name, value in (("line_color", "255,80,60,255"), ("line_width", "0.6")):
        ElementTree.SubElement(told, "Option", type="QString", name=name, value=value)
    return renderer


def _choices(fields: ElementTree.Element, name: str, values: Sequence[str]) -> None:
    """Have a field filled in from a list, as QGIS writes its widget "value map"."""
    config = ElementTree.SubElement(fields, "field", name=name, configurationFlags="None")
    widget = ElementTree.SubElement(ElementTree.SubElement(config, "editWidget", type="ValueMap"), "config")
    listed = ElementTree.SubElement(
        ElementTree.SubElement(widget, "Option", type="Map"), "Option", type="List", name="map"
    )
    for value in values:
        one = ElementTree.SubElement(listed, "Option", type="Map")
        ElementTree.SubElement(one, "Option", type="QString", name=value, value=value)


def _reference_system(tag: str, crs: str) -> ElementTree.Element:
    stated = pyproj.CRS.from_user_input(crs)
    part = ElementTree.Element(tag)
    system = ElementTree.SubElement(part, "spatialrefsys", nativeFormat="Wkt")
    ElementTree.SubElement(system, "wkt").text = stated.to_wkt()
    authority = stated.to_authority()
    ElementTree.SubElement(system, "authid").text = ":".join(authority) if authority else ""
    return part


def _extent(tiles: DrawnTiles, tile: DrawingTile) -> tuple[float, float, float, float]:
    """Return (x_min, y_min, x_max, y_max) of a tile on the map."""
    transform, _ = tile_transform(tiles, tiles.records[tile.key])
    (left, top), width, height = tile.region, tile.width, tile.height
    xs, ys = transform.to_map(np.array([left, left, left + width, left + width]), np.array([top, top + height] * 2))
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def _canvas(bounds: Sequence[float]) -> ElementTree.Element:
    canvas = ElementTree.Element("mapcanvas", name="theMapCanvas", annotationsVisible="1")
    extent = ElementTree.SubElement(canvas, "extent")
    for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), bounds, strict=True):
        ElementTree.SubElement(extent, tag).text = repr(value)
    return canvas
