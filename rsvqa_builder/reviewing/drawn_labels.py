"""What people drew, as label files that the next build reads: one per scene, and the class table beside them.

Coordinates in a GeoPackage are the scene's own map coordinates, by the transform that the build's report states. A
scene without one gets picture pixels, in a CRS whose name says so; y runs up from the top edge there (it is negative),
as a GIS shows such a picture. GeoJSON is in longitude and latitude, as RFC 7946 has it, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.review.drawn_store import DrawnStore, TileDrawing
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.output import check_export_folder
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.label_files.columns import CERTAIN_COLUMN, ORIGIN_COLUMN, OUTLINE_COLUMN
from rsvqa.rsvqa_builder.label_files.placing import DEGREES, PICTURE_PIXELS, Y_UP
from rsvqa.rsvqa_builder.labels.classes import ClassTable, tables_to_toml
from rsvqa.rsvqa_builder.reviewing.drawn_tiles import DrawnTiles, features_of
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError, ReviewError
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, store_path
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients

CLASS_TABLE = "classes.toml"
LabelFormat = Literal["gpkg", "geojson"]
"""What the files of labels are; each is the ending of their names."""
LABEL_FORMATS: tuple[LabelFormat, ...] = ("gpkg", "geojson")

_AWAY_PX = 0.004
"""A straight edge on the map bends in degrees: it is divided until no middle of a piece lies further from it."""
_MOST_HALVINGS = 10
_DECIMALS_OF_DEGREES = 12
"""A tenth of a micrometre; the seven that GDAL writes by itself are a centimetre, a pixel of some pictures."""
_HALF_TURN_DEG = 180.0


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


def parse_label_format(text: str) -> LabelFormat:
    """Return a format of label files by its name.

    Raises:
        ReviewError: there is none of this name.
    """
    found = next((name for name in LABEL_FORMATS if name == text), None)
    if found is None:
        raise ReviewError(f"`format` {text}: expected {' or '.join(LABEL_FORMATS)}")
    return found


def write_labels(
    data: Path, out: Path, *, label_format: LabelFormat = "gpkg", store: Path | None = None, overwrite: bool = False
) -> WrittenLabels:
    """Write what people drew on a data set's tiles as label files into `out`.

    Args:
        data: the data set.
        out: folder of the files, `SCENE.gpkg` or `SCENE.geojson`, and of `classes.toml`.
        label_format: of the files.
        store: file of the review; None for the one in the data set's folder.
        overwrite: replace what is in `out`.

    Raises:
        NothingToReviewError: nothing is drawn.
        OutputError: when `out` cannot be used.
        ReviewError: a scene cannot be written as GeoJSON; nothing is written then.
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
    scenes = [
        _scene_labels([one for one in with_objects if one.tile.scene == scene], tiles.transform(scene), label_format)
        for scene in dict.fromkeys(one.tile.scene for one in with_objects)
    ]
    check_export_folder(data, out, overwrite=overwrite)
    for name in {record.scene for record in tiles.records.values()}:
        for ending in LABEL_FORMATS:
            (out / f"{name}.{ending}").unlink(missing_ok=True)  # of an earlier call: the next build would read both
    for labels in scenes:
        _write_scene(out / f"{labels.scene}.{label_format}", labels)
    complete = frozenset[str]().union(*(one.drawing.complete for one in drawn))
    complete = complete.intersection(*(one.drawing.complete for one in drawn))
    tables = {one.tile.scene_source or "": tiles.class_table(one.tile) for one in drawn}
    text = tables_to_toml({name: _declared(table, complete) for name, table in tables.items()})
    (out / CLASS_TABLE).write_text(text, encoding="utf-8", newline="\n")
    return WrittenLabels(
        objects=sum(len(one.drawing.objects) for one in with_objects),
        scenes={labels.scene: f"{labels.scene}.{label_format}" for labels in scenes},
        complete=tuple(sorted(complete)),
        in_pixels=tuple(labels.scene for labels in scenes if labels.crs == PICTURE_PIXELS),
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


class _SceneLabels(NamedTuple):
    """What is drawn on a scene: outlines in a CRS, and the columns beside them."""

    scene: str
    geometries: NDArray[np.object_]
    crs: str
    fields: Mapping[str, list[str | None]]


def _scene_labels(drawn: list[_Drawn], transform: AffineCoefficients | None, label_format: LabelFormat) -> _SceneLabels:
    parts = [features_of(one.drawing.objects, x=one.tile.window.x, y=one.tile.window.y) for one in drawn]
    geometries = np.concatenate([part.geometries for part in parts])
    names = sorted({name for part in parts for attributes in part.attributes for name in attributes})
    fields: dict[str, list[str | None]] = {
        "class": [name for part in parts for name in part.class_names],
        OUTLINE_COLUMN: [str(outline) for part in parts for outline in part.outlines],
        CERTAIN_COLUMN: ["yes" if certain else "no" for part in parts for certain in part.is_certain],
        **_origins(drawn),
        **{name: [_text(found.get(name)) for part in parts for found in part.attributes] for name in names},
    }
    scene, crs = drawn[0].tile.scene, drawn[0].tile.crs
    if transform is None or crs is None:
        if label_format == "geojson":
            raise ReviewError(f"{scene} has no map coordinates, and GeoJSON has no pixels: write its labels as gpkg")
        crs, transform = PICTURE_PIXELS, Y_UP
    on_map = shapely.transform(geometries, lambda xy: np.column_stack(transform.to_map(*xy.T)))
    if label_format == "geojson":
        return _SceneLabels(scene, _to_degrees(on_map, crs, transform, scene), DEGREES, fields)
    return _SceneLabels(scene, on_map, crs, fields)


def _to_degrees(
    geometries: NDArray[np.object_], crs: str, transform: AffineCoefficients, scene: str
) -> NDArray[np.object_]:
    """Return outlines in longitude and latitude, their edges divided where they bend.

    Raises:
        ReviewError: the scene lies across the antimeridian or around a pole, where outlines would have to be cut.
    """
    transformer = pyproj.Transformer.from_crs(crs, DEGREES, always_xy=True)

    def turned(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(*xy.T))

    tolerance = _AWAY_PX * abs(transform.a * transform.e - transform.b * transform.d) ** 0.5
    extents = shapely.bounds(geometries)
    edge = max(float((extents[:, 2:] - extents[:, :2]).max()) * 2, tolerance)
    for _ in range(_MOST_HALVINGS):
        pieces = shapely.segmentize(geometries, edge)
        moved: NDArray[np.object_] = shapely.transform(pieces, turned)
        is_whole = np.ptp(shapely.bounds(moved)[:, [0, 2]]) < _HALF_TURN_DEG  # false for infinite ones
        if not is_whole:
            break
        here, there = (_middles(found) for found in (pieces, moved))
        back = np.column_stack(transformer.transform(there[:, 0], there[:, 1], direction="INVERSE"))
        if not len(here) or np.abs(back - here).max() <= tolerance:
            return moved
        edge /= 2
    raise ReviewError(
        f"{scene} lies where longitudes and latitudes do not follow its pixels, across the antimeridian or at a pole: "
        "write its labels as gpkg"
    )


def _middles(geometries: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the middles of all edges, shape (edges, 2)."""
    coordinates, rows = shapely.get_coordinates(geometries, return_index=True)
    is_edge = rows[1:] == rows[:-1]
    return np.asarray(((coordinates[1:] + coordinates[:-1]) / 2)[is_edge])


def _write_scene(path: Path, labels: _SceneLabels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_geojson = labels.crs == DEGREES and path.suffix == ".geojson"
    options = {"RFC7946": "YES", "COORDINATE_PRECISION": str(_DECIMALS_OF_DEGREES)} if is_geojson else {}
    pyogrio.raw.write(
        path,
        shapely.to_wkb(labels.geometries),
        [np.array(values, dtype=object) for values in labels.fields.values()],
        list(labels.fields),
        geometry_type="Unknown",
        crs=labels.crs,
        driver="GeoJSON" if is_geojson else "GPKG",
        layer="objects",
        **options,
    )


def _origins(drawn: Sequence[_Drawn]) -> dict[str, list[str | None]]:
    """Return the column that says which labels a model proposed; none where people drew all of them."""
    if not any(one.origins for one in drawn):
        return {}
    return {ORIGIN_COLUMN: [one.origins.get(key, "person") for one in drawn for key in one.drawing.objects]}


def _text(value: str | bool | float | None) -> str | None:
    return None if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
