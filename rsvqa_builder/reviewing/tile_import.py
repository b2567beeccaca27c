"""What people drew on tiles in another annotation tool, taken into the review: as if they had drawn it on the page.

Each object passes the page's own checks; one that does not costs itself and is named. `rsvqa review labels` then writes
label files, which the next build reads. Formats: Label Studio's JSON export (https://labelstud.io/guide/export),
CVAT's XML for images 1.1 (https://docs.cvat.ai/docs/manual/advanced/formats/format-cvat/), GeoPackages of QGIS.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel
from shapely import Point, Polygon, affinity
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.facts import Outline
from rsvqa.annotation.review.drawing import DrawingTile
from rsvqa.annotation.review.drawn import ATTRIBUTES, DRAWN, DrawnForm, DrawnObject, PixelPoint, drawing_fault, rounded
from rsvqa.annotation.review.drawn_store import Change, DrawnStore
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.label_files.cvat import read_cvat
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.picture import fit_to_scene
from rsvqa.rsvqa_builder.label_files.shapes import turned_box
from rsvqa.rsvqa_builder.label_files.vector import read_vector
from rsvqa.rsvqa_builder.labels.classes import ClassTable, Shape
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles
from rsvqa.rsvqa_builder.reviewing.serve import MAX_LISTED, ReviewError, note_store
from rsvqa.rsvqa_builder.reviewing.source import store_path
from rsvqa.rsvqa_builder.reviewing.studio_file import read_studio
from rsvqa.rsvqa_builder.reviewing.tile_export import (
    LABELS_FOLDER,
    TileTool,
    open_tiles,
    tile_by_name,
    tile_transform,
)
from rsvqa.rsvqa_builder.scenes.scene import Scene

_KEY_CHARS = 24
_MAX_NUMBER = 1e9
"""Of percents and degrees; what is larger places nothing."""
_FORMS: Mapping[Outline, DrawnForm] = {
    Outline.BOX: DrawnForm.BOX,
    Outline.ORIENTED_BOX: DrawnForm.ORIENTED_BOX,
    Outline.POLYGON: DrawnForm.POLYGON,
}


_SHAPES: tuple[Shape, ...] = ("point", "line", "polygon")
"""By the number of dimensions."""


class TileImportCounts(NamedTuple):
    """What became of the objects of an import; `refused` says of each that was left out where it is and why."""

    imported: int
    unchanged: int
    refused: tuple[str, ...]

    def __str__(self) -> str:
        lost = [f"left out: {line}" for line in self.refused[:MAX_LISTED]]
        if len(self.refused) > MAX_LISTED:
            lost.append(f"and {len(self.refused) - MAX_LISTED:,} more objects left out")
        return "\n".join([*lost, f"{self.imported:,} objects imported, {self.unchanged:,} known before"])


class _Found(NamedTuple):
    """An object on a tile, or why there is none; of no tile where not even that could be read."""

    tile: DrawingTile | None
    where: str
    object: DrawnObject | str


def import_tiles(
    src: Path, found: Path, tool: TileTool, *, reviewer: str, store: Path | None = None
) -> TileImportCounts:
    """Take what was drawn on the tiles of a data set in another tool into its review.

    An object has its id from what it is: importing twice is importing once, and what somebody has changed or taken away
    on the page since comes back only where the tool's file has changed too.

    Args:
        src: the data set that the tiles are from.
        found: what the tool exported; for QGIS the folder with the GeoPackages.
        tool: which one.
        reviewer: in whose name the objects are drawn.
        store: file of the review; None for the one in `src`.

    Raises:
        ReviewError: it cannot be read, or holds none of the data set's tiles.
    """
    tiles = open_tiles(src, store)
    note_store(src, store)
    readers = {"label-studio": _from_studio, "cvat": _from_cvat, "qgis": _from_qgis}
    try:
        objects = list(readers[tool](found, tiles))
    except OSError as error:
        raise ReviewError(f"cannot read {found}: {error.strerror or error}") from error
    except (LabelError, UnicodeDecodeError) as error:
        raise ReviewError(f"{found}: {error}") from error
    refused: list[str] = []
    changes: dict[str, dict[str, Change]] = {}
    for tile, where, thing in objects:
        fault = thing if isinstance(thing, str) or tile is None else _fault(thing, tiles, tile)
        if fault is not None:
            refused.append(f"{where}: {fault}" if tile is None else f"{tile.tile_id}: {where}: {fault}")
            continue
        assert tile is not None  # what is of no tile has a fault
        assert isinstance(thing, DrawnObject)
        content = DRAWN.dump_python(rounded(thing), mode="json")
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_KEY_CHARS]
        changes.setdefault(tile.key, {})[key] = Change(kind="object", key=key, content=content, before=0)
    with ReviewStore(store_path(src, store)) as opened:
        imported, unchanged = _write(DrawnStore(opened), changes, reviewer)
    return TileImportCounts(imported, unchanged, tuple(refused))


def _write(store: DrawnStore, changes: Mapping[str, Mapping[str, Change]], reviewer: str) -> tuple[int, int]:
    """Store what was never stored; return how many objects are new, and how many are not."""
    imported = unchanged = 0
    for tile, own in changes.items():
        new = [change for key, change in own.items() if not store.knows(tile, "object", key)]
        imported, unchanged = imported + len(new), unchanged + len(own) - len(new)
        if new:
            digest = hashlib.sha256(json.dumps([tile, sorted(change.key for change in new)]).encode()).hexdigest()
            store.write(tile, new, reviewer, request_id=f"tiles-{digest}")
    return imported, unchanged


def _fault(thing: DrawnObject, tiles: DrawnTiles, tile: DrawingTile) -> str | None:
    return drawing_fault(rounded(thing), tiles.classes(tile), width=tile.width, height=tile.height)


# --- files ----------------------------------------------------------------------------------------------------------


def _from_cvat(path: Path, tiles: DrawnTiles) -> Iterator[_Found]:
    none = True
    for name, tile in tile_by_name(tiles).items():
        scene, table = _picture(name, tile), tiles.class_table(tiles.records[tile.key])
        try:
            raw = fit_to_scene(read_cvat(path, scene, table), scene)
        except NotLabelsError:
            continue
        none = False
        yield from _objects(raw, table, tile)
    if none:
        example = next(iter(tile_by_name(tiles)))
        raise ReviewError(f"{path} names no tile of the data set: expected images such as {example}")


def _from_qgis(folder: Path, tiles: DrawnTiles) -> Iterator[_Found]:
    folder = folder / LABELS_FOLDER if (folder / LABELS_FOLDER).is_dir() else folder
    by_scene: dict[str, list[DrawingTile]] = {}
    for tile in tiles.tiles.values():
        by_scene.setdefault(tile.scene, []).append(tile)
    files = {scene: folder / f"{scene}.gpkg" for scene in by_scene if (folder / f"{scene}.gpkg").is_file()}
    if not files:
        raise ReviewError(f"{folder} holds no label file of a scene: expected e.g. {next(iter(by_scene))}.gpkg")
    for scene_id, path in files.items():
        own = by_scene[scene_id]
        record = tiles.records[own[0].key]
        transform, crs = tile_transform(tiles, record)
        scene = Scene(
            scene_id=scene_id,
            path=f"{scene_id}.tif",
            width=max(tile.region[0] + tile.width for tile in own),
            height=max(tile.region[1] + tile.height for tile in own),
            bands=(1, 2, 3),
            dtype="uint8",
            transform=None if record.crs is None else transform,
            crs=None if record.crs is None else crs,
        )
        table = tiles.class_table(record)
        raw = read_vector(path, scene, table)
        frames = np.array([shapely.box(x, y, x + t.width, y + t.height) for t in own for x, y in (t.region,)])
        for row in range(len(raw)):
            tile = own[_tile_of(raw.geometries[row], frames)]
            yield from _objects(raw, table, tile, rows=(row,), at=tile.region)
        if raw.num_outside:
            yield _Found(own[0], path.name, f"{raw.num_outside} objects lie outside the scene")
        yield from (_Found(own[0], path.name, line) for line in _lost_attributes(raw))


def _tile_of(geometry: BaseGeometry | None, frames: NDArray[np.object_]) -> int:
    """Return the number of the first tile that holds an outline, else of the one that holds most of it, else 0."""
    if geometry is None or not np.isfinite(geometry.bounds).all():
        return 0
    whole = shapely.covers(frames, geometry)
    if whole.any() or not shapely.is_valid(geometry):
        return int(np.argmax(whole))
    shares = shapely.intersection(frames, geometry)
    return int(np.argmax(shapely.area(shares) + shapely.length(shares)))


class _StudioAnnotation(BaseModel):
    result: list[Any] = []
    was_cancelled: bool = False


class _StudioTask(BaseModel):
    data: dict[str, Any]
    annotations: list[_StudioAnnotation] = []


def _from_studio(path: Path, tiles: DrawnTiles) -> Iterator[_Found]:
    tasks, broken = read_studio(path, _StudioTask)
    by_name = tile_by_name(tiles)
    if not any(str(task.data.get("tile")) in by_name for _, task in tasks):
        example = next(iter(by_name))
        raise ReviewError(f"{path} names no tile of the data set: expected tasks whose data has a tile, e.g. {example}")
    for line in broken:
        where, _, reason = line.partition(": ")
        yield _Found(None, where, reason)
    for number, task in tasks:
        tile = by_name.get(str(task.data.get("tile")))
        if tile is None:
            continue
        table = tiles.class_table(tiles.records[tile.key])
        items: list[LabelItem] = []
        for at, result in enumerate(_results(task), start=1):
            where = f"task {number}, result {at}"
            try:
                items.append(_studio_item(result, tile, where))
            except (KeyError, IndexError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
                reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
                yield _Found(tile, where, f"{_kind(result) or 'a result'} that cannot be read: {reason}")
        yield from _objects(gathered(items, table), table, tile)


def _results(task: _StudioTask) -> Iterator[Any]:
    for annotation in task.annotations:
        if not annotation.was_cancelled:
            yield from annotation.result


def _kind(result: object) -> str:
    kind = result.get("type") if isinstance(result, dict) else None
    return kind[:40] if isinstance(kind, str) else ""


def _studio_item(result: object, tile: DrawingTile, where: str) -> LabelItem:
    """Return a result as a label in pixels of its tile; percents are of the image's sides, whatever was shown."""
    value = result.get("value") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(value, dict):
        raise ValueError("expected an object with a type and a value")
    kind = _kind(result)
    if degrees := _number_of(result, "image_rotation", 0.0) % 360:
        raise ValueError(f"the image was turned by {degrees:g} degrees when it was drawn: turn it back there")
    sources = value.get(kind) or value["labels"]
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], str):
        raise ValueError(f"{ascii(sources)[:40]}: expected one class")
    (source,) = sources
    width, height = tile.width / 100, tile.height / 100
    if kind == "polygonlabels":
        points = [(_number(px, "x") * width, _number(py, "y") * height) for px, py in value["points"]]
        return _item(Polygon(points), Outline.POLYGON, source, where)
    if kind not in ("rectanglelabels", "keypointlabels", "ellipselabels"):
        raise ValueError("draw a rectangle, polygon, ellipse or key point")
    x, y = _number_of(value, "x"), _number_of(value, "y")
    if kind == "keypointlabels":
        return _item(Point(x * width, y * height), Outline.POINT, source, where)
    angle = math.radians(_number_of(value, "rotation", 0.0))
    names = ("radiusX", "radiusY") if kind == "ellipselabels" else ("width", "height")
    sides = [_number_of(value, name) for name in names]
    if min(sides) < 0:
        raise ValueError(f"{names[0]} {sides[0]:g} and {names[1]} {sides[1]:g}: expected no negative number")
    size = sides[0] * width, sides[1] * height
    if kind == "ellipselabels":
        ellipse = affinity.scale(Point(0, 0).buffer(1), *size, origin=(0, 0))
        ellipse = affinity.rotate(ellipse, angle, origin=(0, 0), use_radians=True)
        return _item(affinity.translate(ellipse, x * width, y * height), Outline.POLYGON, source, where)
    corner = x * width, y * height
    if not angle:
        return _item(shapely.box(*corner, corner[0] + size[0], corner[1] + size[1]), Outline.BOX, source, where)
    # turned about its upper left corner, clockwise
    turned = turned_box((size[0] / 2, size[1] / 2), size, 0.0)
    turned = affinity.rotate(turned, angle, origin=(0, 0), use_radians=True)
    return _item(affinity.translate(turned, *corner), Outline.ORIENTED_BOX, source, where)


def _number_of(value: Mapping[str, object], name: str, default: float | None = None) -> float:
    """Return a number of a result; without `default` it must be there."""
    found = value[name] if default is None else value.get(name)
    return default if found is None and default is not None else _number(found, name)


def _number(found: object, name: str) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float) or not abs(found) <= _MAX_NUMBER:  # NaN neither
        raise ValueError(f"{name} is {ascii(found)[:40]}: expected a number")
    return float(found)


def _item(geometry: BaseGeometry, outline: Outline, source: str, position: str) -> LabelItem:
    corners = shapely.get_coordinates(geometry)  # none of a box whose numbers are none
    if not len(corners) or not np.isfinite(corners).all():
        raise ValueError("a number that is not finite")
    return LabelItem(geometry=geometry, outline=outline, source=source, position=position)


# --- objects --------------------------------------------------------------------------------------------------------


def _picture(name: str, tile: DrawingTile) -> Scene:
    """Return a tile as the scene that a label file of pictures speaks of."""
    return Scene(
        scene_id=name, path=f"{name}.jpg", width=tile.width, height=tile.height, bands=(1, 2, 3), dtype="uint8"
    )


def _objects(
    raw: RawLabels,
    table: ClassTable,
    tile: DrawingTile,
    *,
    rows: Sequence[int] | None = None,
    at: tuple[int, int] = (0, 0),
) -> Iterator[_Found]:
    """Yield labels, all or those of some rows, as objects of a tile; with all, what could not be read of the file.

    The tile lies at (x, y) in the picture whose pixels the labels are in.
    """
    for row in range(len(raw)) if rows is None else rows:
        where = raw.positions[row]
        try:
            yield _Found(tile, where, _drawn(raw, row, table, at))
        except RsvqaError as error:
            yield _Found(tile, where, str(error))
    if rows is None:
        for reason, count in raw.num_invalid.items():
            yield _Found(tile, f"{count} x", reason)
        yield from (_Found(tile, "attributes", line) for line in _lost_attributes(raw))


def _lost_attributes(raw: RawLabels) -> Iterator[str]:
    """Say which values no task knows; the objects that have them are taken without."""
    for value, count in raw.dropped_attributes.items():
        yield f"{ascii(value)[1:-1]}, which no task knows; {count} x, of objects that are taken without it"


def _drawn(raw: RawLabels, row: int, table: ClassTable, at: tuple[int, int]) -> DrawnObject:
    geometry, outline, source = raw.geometries[row], raw.outlines[row], str(raw.sources[row])
    if geometry is None or geometry.is_empty:
        raise ReviewError("it has no geometry")
    parts = shapely.get_parts(geometry)
    if len(parts) > 1:
        raise ReviewError(f"it has {len(parts)} parts: draw each as an object of its own")
    part = parts[0]
    if isinstance(part, Polygon) and part.interiors:
        raise ReviewError("it has holes, which no drawn object has: draw it as several objects")
    form = _form(part, outline)
    if form is DrawnForm.BOX:
        x_min, y_min, x_max, y_max = part.bounds
        points = [(x_min, y_min), (x_max, y_max)]
    else:
        coordinates = shapely.get_coordinates(part)
        points = [tuple(point) for point in (coordinates[:-1] if isinstance(part, Polygon) else coordinates).tolist()]
    known = {name: value for name, value in raw.attributes[row].items() if name in ATTRIBUTES}
    return DrawnObject(
        class_name=table.resolve(source, _SHAPES[shapely.get_dimensions(part).item()]) or source,
        form=form,
        points=tuple(PixelPoint(px - at[0], py - at[1]) for px, py in points),
        attributes={name: value for name, value in known.items() if isinstance(value, (bool, str))},
        is_certain=bool(raw.is_certain[row]),
    )


def _form(part: BaseGeometry, outline: Outline) -> DrawnForm:
    if isinstance(part, Polygon):
        return _FORMS.get(outline, DrawnForm.POLYGON)
    return DrawnForm.POINT if isinstance(part, Point) else DrawnForm.LINE
