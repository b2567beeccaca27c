"""What people drew, as label files that the next build reads: a GeoPackage per scene, and the class table beside them.

Coordinates are the scene's own map coordinates, by the transform that the build's report states. A scene without one
gets picture pixels, in a CRS whose name says so; y runs up from the top edge there (it is negative), as a GIS shows
such a picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyogrio
import shapely

from rsvqa.annotation.review.drawn_store import DrawnStore, TileDrawing
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.output import check_export_folder
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.label_files.columns import CERTAIN_COLUMN, ORIGIN_COLUMN, OUTLINE_COLUMN
from rsvqa.rsvqa_builder.label_files.placing import PICTURE_PIXELS, Y_UP
from rsvqa.rsvqa_builder.labels.classes import ClassTable, tables_to_toml
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles, features_of
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients

CLASS_TABLE = "classes.toml"


class WrittenLabels(NamedTuple):
    """What was written.

    Attributes:
        objects: how many, over all scenes.
        scenes: file of each scene, by its id.
        complete: classes that people declared complete on every tile of the data set.
        in_pixels: scenes whose labels are in picture pixels.
        lost: tiles with drawn objects that the data set does not hold as they were.
    """

    objects: int
    scenes: Mapping[str, str]
    complete: tuple[str, ...]
    in_pixels: tuple[str, ...]
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """A tile with what is drawn on it, and where those objects come from that a model has proposed."""

    tile: TileRecord
    drawing: TileDrawing
    origins: Mapping[str, str]


def write_labels(data: Path, out: Path, *, store: Path | None = None, overwrite: bool = False) -> WrittenLabels:
    """Write what people drew on a data set's tiles as label files into `out`.

    Args:
        data: the data set.
        out: folder of the files, `SCENE.gpkg`, and of `classes.toml`.
        store: file of the review; None for the one in the data set's folder.
        overwrite: replace what is in `out`.

    Raises:
        NothingToReviewError: nothing is drawn.
        OutputError: when `out` cannot be used.
    """
    source, path = ReviewSource(data), store_path(data, store)
    nothing = f"nothing is drawn on tiles of {data}: open them with `rsvqa review`"
    if not path.exists():
        raise NothingToReviewError(nothing)
    with ReviewStore(path) as opened:
        store_of_drawn = DrawnStore(opened)
        standing, authors = store_of_drawn.read_all(), store_of_drawn.authors("object")
        tiles = DrawnTiles(source, source.image_digests(opened))
    drawn = []
    for key, record in tiles.records.items():
        drawing = standing.get(key, TileDrawing())
        accepted = [name for name, found in drawing.objects.items() if found.proposal]
        origins = {name: f"model, accepted by {authors[key, name]}" for name in accepted}
        drawn.append(_Drawn(tile=record, drawing=drawing, origins=origins))
    with_objects = [one for one in drawn if one.drawing.objects]
    if not with_objects:
        raise NothingToReviewError(nothing)
    check_export_folder(data, out, overwrite=overwrite)
    files: dict[str, str] = {}
    in_pixels = []
    for scene in dict.fromkeys(one.tile.scene for one in with_objects):
        own = [one for one in with_objects if one.tile.scene == scene]
        is_placed = _write_scene(out / f"{scene}.gpkg", own, tiles.transform(scene))
        files[scene] = f"{scene}.gpkg"
        in_pixels += [] if is_placed else [scene]
    complete = frozenset[str]().union(*(one.drawing.complete for one in drawn))
    complete = complete.intersection(*(one.drawing.complete for one in drawn))
    tables = {one.tile.scene_source or "": tiles.class_table(one.tile) for one in drawn}
    text = tables_to_toml({name: _declared(table, complete) for name, table in tables.items()})
    (out / CLASS_TABLE).write_text(text, encoding="utf-8", newline="\n")
    return WrittenLabels(
        objects=sum(len(one.drawing.objects) for one in with_objects),
        scenes=files,
        complete=tuple(sorted(complete)),
        in_pixels=tuple(in_pixels),
        lost=len(standing.keys() - tiles.records.keys()),
    )


def label_lines(written: WrittenLabels, out: Path) -> Iterator[str]:
    """Yield what was written in a few lines, what is missing first."""
    if written.lost:
        yield f"{written.lost:,} tiles that somebody has drawn on are not in the data set as they were: left out"
    if written.in_pixels:
        yield f"{len(written.in_pixels):,} scenes have no map coordinates: their labels are in picture pixels"
    names = ", ".join(written.complete) or "none"
    yield f"declared complete on every tile, so complete in {CLASS_TABLE}: {names}"
    yield f"{written.objects:,} objects of {len(written.scenes):,} scenes in {out}"


def _declared(table: ClassTable, complete: frozenset[str]) -> ClassTable:
    """Return the table with `complete` as people declared it: a class that is not on every tile is not counted."""
    classes = {name: entry.model_copy(update={"complete": name in complete}) for name, entry in table.classes.items()}
    return table.model_copy(update={"classes": classes})


def _write_scene(path: Path, drawn: list[_Drawn], transform: AffineCoefficients | None) -> bool:
    """Write the objects of one scene; return whether they are in map coordinates."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [features_of(one.drawing.objects, x=one.tile.window.x, y=one.tile.window.y) for one in drawn]
    geometries = np.concatenate([part.geometries for part in parts])
    names = sorted({name for part in parts for attributes in part.attributes for name in attributes})
    fields = {
        "class": [name for part in parts for name in part.class_names],
        OUTLINE_COLUMN: [str(outline) for part in parts for outline in part.outlines],
        CERTAIN_COLUMN: ["yes" if certain else "no" for part in parts for certain in part.is_certain],
        **_origins(drawn),
        **{name: [_text(found.get(name)) for part in parts for found in part.attributes] for name in names},
    }
    crs = drawn[0].tile.crs
    if transform is None or crs is None:
        crs, transform = PICTURE_PIXELS, Y_UP
    geometries = shapely.transform(geometries, lambda xy: np.column_stack(transform.to_map(*xy.T)))
    path.unlink(missing_ok=True)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(geometries),
        [np.array(values, dtype=object) for values in fields.values()],
        list(fields),
        geometry_type="Unknown",
        crs=crs,
        driver="GPKG",
        layer="objects",
    )
    return crs != PICTURE_PIXELS


def _origins(drawn: Sequence[_Drawn]) -> dict[str, list[str]]:
    """Return the column that says which labels a model proposed; none where people drew all of them."""
    if not any(one.origins for one in drawn):
        return {}
    return {ORIGIN_COLUMN: [one.origins.get(key, "person") for one in drawn for key in one.drawing.objects]}


def _text(value: str | bool | float | None) -> str | None:
    return None if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
