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
import rasterio
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from rsvqa.annotation.facts import ClassInfo, Role
from rsvqa.annotation.images import decode_image, read_header
from rsvqa.annotation.review.drawing import DrawingTile
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
            _write_qgis(working, tiles, found, files)
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


def _write_qgis(folder: Path, tiles: DrawnTiles, found: Sequence[DrawingTile], files: Sequence[str]) -> None:
    layers: list[tuple[str, str, str]] = []
    for scene in dict.fromkeys(tile.scene for tile in found):
        record = next(tiles.records[tile.key] for tile in found if tile.scene == scene)
        path = folder / LABELS_FOLDER / f"{scene}.gpkg"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = ["class", OUTLINE_COLUMN, CERTAIN_COLUMN]
        pyogrio.raw.write(
            path,
            np.empty(0, dtype=object),
            [np.empty(0, dtype=object) for _ in names],
            names,
            geometry_type="Unknown",
            crs=tile_transform(tiles, record)[1],
            driver="GPKG",
            layer="objects",
        )
        layers.append(("vector", f"./{LABELS_FOLDER}/{scene}.gpkg|layername=objects", scene))
    layers += [("raster", f"./images/{file}", Path(file).stem) for file in files]
    root = ElementTree.Element("qgis", version="3.28.0", projectname="tiles")
    tree = ElementTree.SubElement(root, "layer-tree-group")
    own = ElementTree.SubElement(root, "projectlayers")
    for number, (kind, source, name) in enumerate(layers):
        provider = "ogr" if kind == "vector" else "gdal"
        key = f"layer_{number}"
        ElementTree.SubElement(
            tree, "layer-tree-layer", id=key, name=name, source=source, providerKey=provider, checked="Qt::Checked"
        )
        layer = ElementTree.SubElement(own, "maplayer", type=kind)
        for tag, text in (("id", key), ("datasource", source), ("layername", name), ("provider", provider)):
            ElementTree.SubElement(layer, tag).text = text
    ElementTree.indent(root)
    text = f"<!DOCTYPE qgis>\n{ElementTree.tostring(root, encoding='unicode')}\n"
    (folder / QGIS_PROJECT).write_text(text, encoding="utf-8")
