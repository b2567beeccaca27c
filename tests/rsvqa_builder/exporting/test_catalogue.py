"""The STAC export: outlines, days and GSD of scenes, and the outlines of tiles as GeoParquet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely

from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.exporting.export import export_dataset
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile
from tests.run_build import tree_digest

IMAGE = make_jpeg(200, 100)


def tile_at(west: float, image_id: str, **values: Any) -> TileRecord:
    """Return a tile one degree wide and high, north of the equator."""
    footprint = shapely.to_wkb(shapely.box(west, 0, west + 1, 1))
    return make_tile(image_id, footprint=footprint, images={"tile": len(IMAGE)}, **values)


# two neighbours of scene a, one of them of two dates; scene b has no date; the last tile lies nowhere
FIRST = tile_at(10, "a:0_0", scene="a", date="2021-05-01", later_date="2023-06-02", gsd=0.5, licence="CC-BY-4.0")
SECOND = tile_at(11, "a:1_0", scene="a", date="2021-05-01", gsd=0.6, licence="CC-BY-4.0", split="test")
UNDATED = tile_at(20, "b:0_0", scene="b", gsd=2.0, licence="CC-BY-4.0")
NOWHERE = make_tile("c:0_0", scene="c", images={"tile": len(IMAGE)})
ROWS = (
    TileRows(FIRST, (make_record(FIRST), make_record(FIRST, number=2))),
    TileRows(SECOND, (make_record(SECOND),)),
    TileRows(UNDATED, (make_record(UNDATED),)),
    TileRows(NOWHERE, (make_record(NOWHERE),)),
)


def export(tmp_path: Path, rows: tuple[TileRows, ...] = ROWS) -> Path:
    write_shards(tmp_path / "my-set", plan_shards(rows), load_images=lambda _: {"tile": IMAGE})
    out = tmp_path / "stac"
    export_dataset(tmp_path / "my-set", out, format="stac")
    return out


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text("utf-8")))


def test_a_collection_is_called_as_its_data_set(tmp_path: Path) -> None:
    (tmp_path / "my-set").mkdir()
    (tmp_path / "my-set" / "build.toml").write_text('name = "Häfen"\n', "utf-8")
    out = export(tmp_path)
    assert read(out / "collection.json")["id"] == read(out / "items" / "000000.json")["collection"] == "Häfen"


def test_an_item_is_a_scene_with_its_outline_days_and_gsd(tmp_path: Path) -> None:
    out = export(tmp_path)
    assert sorted(path.name for path in out.rglob("*") if path.is_file()) == [
        "000000.json",
        "README.md",
        "collection.json",
        "footprints.parquet",
        "scenes.json",
    ]
    item = read(out / "items" / "000000.json")
    assert (item["id"], item["collection"], item["bbox"]) == ("a", "my-set", [10, 0, 12, 1])
    # the two tiles, from 10 to 12 degrees east, without the edge between them
    assert shapely.geometry.shape(item["geometry"]).equals(shapely.box(10, 0, 12, 1))
    assert item["properties"] == {
        "datetime": "2021-05-01T00:00:00Z",
        "start_datetime": "2021-05-01T00:00:00Z",
        "end_datetime": "2023-06-02T00:00:00Z",
        "gsd": 0.5,
        "license": "CC-BY-4.0",
        "rsvqa:tiles": 2,
        "rsvqa:questions": 3,
    }
    assert "Scenes without a date, and so without an item: 1." in (out / "README.md").read_text("utf-8")


def test_the_collection_spans_all_scenes(tmp_path: Path) -> None:
    collection = read(export(tmp_path) / "collection.json")
    assert collection["extent"] == {
        "spatial": {"bbox": [[10.0, 0.0, 21.0, 1.0]]},
        "temporal": {"interval": [["2021-05-01T00:00:00Z", "2023-06-02T00:00:00Z"]]},
    }
    assert collection["summaries"] == {"gsd": {"minimum": 0.5, "maximum": 2.0}}
    assert collection["license"] == "CC-BY-4.0"
    assert [link["href"] for link in collection["links"] if link["rel"] == "item"] == ["./items/000000.json"]


def test_scenes_of_several_terms_have_no_single_licence(tmp_path: Path) -> None:
    other = tile_at(30, "d:0_0", scene="d", licence="see the terms of the agency")
    out = export(tmp_path, (*ROWS, TileRows(other, (make_record(other),))))
    assert read(out / "collection.json")["license"] == "other"


def test_no_date_at_all_is_an_open_span_without_items(tmp_path: Path) -> None:
    collection = read(export(tmp_path, ROWS[2:3]) / "collection.json")
    assert collection["extent"]["temporal"] == {"interval": [[None, None]]}
    assert [link["rel"] for link in collection["links"]] == ["root"]


def test_every_tile_that_lies_somewhere_is_a_row_of_the_geoparquet(tmp_path: Path) -> None:
    table = pq.read_table(export(tmp_path) / "footprints.parquet")
    footer = pq.read_metadata(tmp_path / "stac" / "footprints.parquet").metadata
    geo = json.loads(footer[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    rows = {row["image_id"]: row for row in table.to_pylist()}
    assert {name: (row["questions"], row["split"], row["date"]) for name, row in rows.items()} == {
        "a:0_0": (2, "train", "2021-05-01"),
        "a:1_0": (1, "test", "2021-05-01"),
        "b:0_0": (1, "train", None),
    }
    assert shapely.from_wkb(rows["a:1_0"]["geometry"]).equals(shapely.box(11, 0, 12, 1))


def test_the_same_data_set_gives_the_same_bytes(tmp_path: Path) -> None:
    first = export(tmp_path)
    export_dataset(tmp_path / "my-set", tmp_path / "again", format="stac")
    assert tree_digest(first) == tree_digest(tmp_path / "again")


def test_pystac_finds_the_collection_and_its_items_valid(tmp_path: Path) -> None:
    pystac = pytest.importorskip("pystac", reason="comes with the extra 'dev'")
    pytest.importorskip("jsonschema", reason="comes with the extra 'dev'")
    collection = pystac.Collection.from_file(str(export(tmp_path) / "collection.json"))
    collection.validate()
    (item,) = collection.get_items()
    item.validate()
    assert (item.id, item.get_parent().id) == ("a", "my-set")
    assert item.common_metadata.gsd == 0.5
