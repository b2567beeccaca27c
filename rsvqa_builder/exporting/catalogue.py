"""Where and when: a STAC collection with an item per scene, and a GeoParquet of the outlines of tiles.

https://github.com/radiantearth/stac-spec (1.1) and https://geoparquet.org (1.1). What surprises: an item is a scene and
not a tile, as catalogues of a million small files are of no use; tiles are rows of the GeoParquet. STAC demands a time,
so a scene without a date is in the GeoParquet alone. Pictures are in neither.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import shapely
from shapely.geometry.base import BaseGeometry

from rsvqa.rsvqa_builder.dataset.image_tables import TableWriter, table_schema
from rsvqa.rsvqa_builder.dataset.output import stored_name
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.dataset.rows import Column, StoredQuestion
from rsvqa.rsvqa_builder.exporting.licences import SCENES_FILE

COLLECTION = "collection.json"
FOOTPRINTS = "footprints.parquet"

_STAC_VERSION = "1.1.0"
_COLUMNS: Mapping[str, pa.DataType] = {
    Column.IMAGE_ID: pa.string(),
    Column.SCENE: pa.string(),
    "split": pa.string(),
    Column.DATE: pa.string(),
    Column.LATER_DATE: pa.string(),
    Column.GSD: pa.float64(),
    "questions": pa.int64(),
    Column.SCENE_SOURCE: pa.string(),
    Column.LICENCE: pa.string(),
    "geometry": pa.binary(),
}
# without a CRS longitude and latitude are meant (OGC:CRS84); an empty list of types says that any may be there
_GEO = {"version": "1.1.0", "primary_column": "geometry"} | {
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": []}}
}
_TOLERANCE_DEG = 1e-7
"""By which outlines of scenes may be off, a centimetre: tiles have a point per few metres along their edges."""
_LICENCE = re.compile(r"[\w.+-]+")
"""What STAC takes for an SPDX identifier."""


@dataclass(slots=True, kw_only=True)
class _SceneItem:
    """What is known of a scene so far."""

    outline: BaseGeometry = field(default_factory=shapely.Polygon)
    dates: set[str] = field(default_factory=set)
    gsd: set[float] = field(default_factory=set)
    licence: str | None = None
    num_tiles: int = 0
    num_questions: int = 0

    def add(self, tile: TileRecord, num_questions: int) -> None:
        self.dates |= {date for date in (tile.date, tile.later_date) if date is not None}
        self.gsd |= set() if tile.gsd is None else {tile.gsd}
        self.num_tiles += 1
        self.num_questions += num_questions


class StacExporter:
    """`collection.json`, `items/` and `footprints.parquet`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = ""
        self._scenes: dict[str, _SceneItem] = {}
        self._tiles: dict[str, tuple[TileRecord, int]] = {}
        self._footprints = TableWriter(folder / FOOTPRINTS, table_schema(_COLUMNS), metadata={"geo": json.dumps(_GEO)})

    def begin_shard(self, shard: Path) -> None:
        """Write the tiles of the shard before: all rows of a tile are in one."""
        self._flush()
        self._name = stored_name(shard.resolve().parent.parent)

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse what lies nowhere."""
        return "no georeference" if question.record.tile.footprint is None else None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Count the questions of each tile."""
        for question in questions:
            tile = question.record.tile
            _, known = self._tiles.get(tile.image_id, (tile, 0))
            self._tiles[tile.image_id] = tile, known + 1

    def _flush(self) -> None:
        rows = [_row(tile, count) for tile, count in self._tiles.values()]
        if rows:
            self._footprints.write_row_group(rows)
        outlines: defaultdict[str, list[BaseGeometry]] = defaultdict(list)
        for tile, count in self._tiles.values():
            outlines[tile.scene].extend(shapely.from_wkb([tile.footprint]))
            self._scenes.setdefault(tile.scene, _SceneItem(licence=tile.licence)).add(tile, count)
        for scene_id, found in outlines.items():
            self._scenes[scene_id].outline = shapely.union_all([self._scenes[scene_id].outline, *found])
        self._tiles = {}

    def __enter__(self) -> Self:
        self._footprints.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:  # noqa: ANN401  as contexts have it
        if kind is None:
            self._flush()
        self._footprints.__exit__(kind, *rest)
        if kind is None and self._scenes:
            self._write_catalogue()

    def _write_catalogue(self) -> None:
        (self._folder / "items").mkdir()
        links = []
        dated = [(scene_id, scene) for scene_id, scene in sorted(self._scenes.items()) if scene.dates]
        for number, (scene_id, scene) in enumerate(dated):
            name = f"items/{number:06d}.json"
            _write_json(self._folder / name, _item(scene_id, scene, self._name))
            links.append({"rel": "item", "href": f"./{name}", "type": "application/geo+json"})
        _write_json(self._folder / COLLECTION, _collection(self._name, self._scenes, links))

    def card(self) -> str:
        """Return what the files hold."""
        undated = sum(not scene.dates for scene in self._scenes.values())
        missing = f" Scenes without a date, and so without an item: {undated}." if undated else ""
        return (
            f"# Where and when\n\n`{COLLECTION}` is a STAC collection with an item per scene.{missing} "
            f"`{FOOTPRINTS}` (GeoParquet) has the outline of every tile that is asked about, with the number of its "
            "questions.\n"
        )


def _row(tile: TileRecord, num_questions: int) -> dict[str, Any]:
    return {
        Column.IMAGE_ID: tile.image_id,
        Column.SCENE: tile.scene,
        "split": tile.split,
        Column.DATE: tile.date,
        Column.LATER_DATE: tile.later_date,
        Column.GSD: tile.gsd,
        "questions": num_questions,
        Column.SCENE_SOURCE: tile.scene_source,
        Column.LICENCE: tile.licence,
        "geometry": tile.footprint,
    }


def _item(scene_id: str, scene: _SceneItem, collection: str) -> dict[str, Any]:
    outline = scene.outline.simplify(_TOLERANCE_DEG)
    first, last = min(scene.dates), max(scene.dates)
    span = {"start_datetime": _moment(first), "end_datetime": _moment(last)} if first != last else {}
    gsd = {"gsd": min(scene.gsd)} if scene.gsd else {}
    return {
        "type": "Feature",
        "stac_version": _STAC_VERSION,
        "id": scene_id,
        "collection": collection,
        "geometry": shapely.geometry.mapping(outline),
        "bbox": list(outline.bounds),
        "properties": {
            "datetime": _moment(first),
            **span,
            **gsd,
            "license": _licence([scene.licence]),
            "rsvqa:tiles": scene.num_tiles,
            "rsvqa:questions": scene.num_questions,
        },
        "links": [
            {"rel": rel, "href": f"../{COLLECTION}", "type": "application/json"}
            for rel in ("root", "parent", "collection")
        ],
        "assets": {},
    }


def _collection(name: str, scenes: Mapping[str, _SceneItem], links: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    dates = sorted(date for scene in scenes.values() for date in scene.dates)
    gsd = sorted(value for scene in scenes.values() for value in scene.gsd)
    bounds = shapely.total_bounds([scene.outline for scene in scenes.values()])
    span = [_moment(dates[0]), _moment(dates[-1])] if dates else [None, None]
    return {
        "type": "Collection",
        "stac_version": _STAC_VERSION,
        "id": name,
        "description": f"Scenes of the data set {name}, built by rsvqa. {SCENES_FILE} has the terms of each.",
        "license": _licence([scene.licence for scene in scenes.values()]),
        "extent": {"spatial": {"bbox": [[float(value) for value in bounds]]}, "temporal": {"interval": [span]}},
        "summaries": {"gsd": {"minimum": gsd[0], "maximum": gsd[-1]}} if gsd else {},
        "links": [{"rel": "root", "href": f"./{COLLECTION}", "type": "application/json"}, *links],
        "assets": {
            "footprints": {
                "href": f"./{FOOTPRINTS}",
                "type": "application/vnd.apache.parquet",
                "title": "Outlines of tiles",
                "roles": ["metadata"],
            }
        },
    }


def _licence(licences: Sequence[str | None]) -> str:
    """Return the one licence of all where STAC can say it, else its word for "look elsewhere"."""
    stated = set(licences)
    only = next(iter(stated)) if len(stated) == 1 else None
    return only if only is not None and _LICENCE.fullmatch(only) else "other"


def _moment(date: str) -> str:
    return f"{date}T00:00:00Z"


def _write_json(path: Path, told: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
