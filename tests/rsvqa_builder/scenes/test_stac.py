"""Scenes of STAC documents on disk."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_check import check_labels
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.scenes.scene_files import FoundScenes, find_scenes
from rsvqa.rsvqa_builder.scenes.stac import is_stac
from rsvqa.rsvqa_builder.settings import BuildSettings
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster

TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"


def asset(href: str, *roles: str, kind: str = TIFF) -> dict[str, Any]:
    return {"href": href, "type": kind, "roles": list(roles)}


def item(name: str, assets: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    properties = {"datetime": "2020-05-01T10:20:30.000Z", **more.pop("properties", {})}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "properties": properties, "geometry": None,
        "assets": assets, "links": [], "collection": "towns", **more,
    }  # fmt: skip


def write(path: Path, content: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def find(path: Path) -> FoundScenes:
    return find_scenes(str(path), is_label=lambda *_: False)


def paths_of(found: FoundScenes) -> dict[str, str]:
    return {file.scene_id: file.path for file in found.candidates}


@pytest.mark.parametrize(
    ("assets", "chosen"),
    [
        ({"image": asset("./a.tif", "data"), "thumbnail": asset("t.png", "thumbnail", kind="image/png")}, "a.tif"),
        ({"B01": asset("b.tif", "data"), "visual": asset("a.tif", "visual")}, "a.tif"),
        ({"B01": asset("b.tif", "data"), "visual": asset("a.tif")}, "a.tif"),
        ({"x": {"href": "a.tif"}, "meta": {"href": "a.xml", "type": "application/xml"}}, "a.tif"),
    ],
)
def test_the_picture_is_told_by_its_role(tmp_path: Path, assets: dict[str, Any], chosen: str) -> None:
    (tmp_path / "a.tif").touch()
    (tmp_path / "b.tif").touch()
    found = find(write(tmp_path / "item.json", item("town", assets)))
    assert paths_of(found) == {"town": str(tmp_path / chosen)}
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("assets", "reason"),
    [
        ({}, "its item has no raster among its assets"),
        (
            {"a": asset("a.tif", "data"), "b": asset("b.tif", "data")},
            "2 rasters (a, b), and none is told to be the pic",
        ),
        ({"a": asset("no.tif", "data")}, "its raster is not there: "),
        ({"a": asset("ftp://host/a.tif", "data")}, "cannot be opened by this kind of address: ftp://host/a.tif"),
    ],
)
def test_items_without_a_picture_are_left_out_by_name(tmp_path: Path, assets: dict[str, Any], reason: str) -> None:
    found = find(write(tmp_path / "item.json", item("town", assets)))
    assert found.candidates == ()
    ((name, why),) = found.left_out
    assert name.endswith("item.json: town")
    assert reason in why


def test_rasters_elsewhere_are_left_to_gdal(tmp_path: Path) -> None:
    items = [item("a", {"visual": asset("s3://bucket/a.tif")}), item("b", {"visual": asset("https://host/b.tif")})]
    found = find(write(tmp_path / "search.json", {"type": "FeatureCollection", "features": items}))
    assert paths_of(found) == {"a": "/vsis3/bucket/a.tif", "b": "/vsicurl/https://host/b.tif"}


def test_ids_that_repeat_have_their_collection_before_them(tmp_path: Path) -> None:
    picture = {"visual": asset("https://host/b.tif")}
    items = [item("a", picture), item("a", picture, collection="fields"), item("a", picture)]
    found = find(write(tmp_path / "search.json", {"type": "FeatureCollection", "features": items}))
    assert list(paths_of(found)) == ["fields/a", "towns/a"]
    assert [entry.reason for entry in found.left_out] == ["another item has its id and collection"]


def test_a_catalog_leads_to_its_items_and_says_what_is_not_on_disk(tmp_path: Path) -> None:
    (tmp_path / "town").mkdir()
    (tmp_path / "town" / "a.tif").touch()
    hrefs = [("item", "./town/item.json"), ("item", "https://host/item.json"), ("item", "gone.json"), ("root", "../x")]
    links = [{"rel": rel, "href": href} for rel, href in [*hrefs, ("child", "../catalog.json")]]
    write(tmp_path / "c" / "town" / "item.json", item("town", {"visual": asset("../../town/a.tif")}))
    write(tmp_path / "c" / "collection.json", {"type": "Collection", "stac_version": "1.0.0", "links": links})
    child = {"rel": "child", "href": "c/collection.json"}
    catalog = write(tmp_path / "catalog.json", {"type": "Catalog", "stac_version": "1.1.0", "links": [child]})
    found = find(catalog)
    assert paths_of(found) == {"town": str(tmp_path / "town" / "a.tif")}
    assert [entry.path for entry in found.left_out] == ["https://host/item.json", str(tmp_path / "c" / "gone.json")]
    assert "catalogues are read from disk only" in found.left_out[0].reason
    assert [Path(path).name for path in found.catalogues] == ["catalog.json", "collection.json", "item.json"]


def test_stac_geoparquet_holds_the_same_items(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    (tmp_path / "b.tif").touch()
    time = dt.datetime(2020, 5, 1, 10, 20, 30, tzinfo=dt.UTC)
    rows = [
        {"id": "a", "assets": {"visual": asset("a.tif")}, "datetime": time, "gsd": 0.5, "geometry": b""},
        {"id": "b", "assets": {"data": asset("b.tif", "data")}, "datetime": time, "gsd": None, "geometry": b""},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")
    found = find(tmp_path / "items.parquet")
    assert paths_of(found) == {"a": str(tmp_path / "a.tif"), "b": str(tmp_path / "b.tif")}
    stated = [file.stated for file in found.candidates]
    assert [(s.acquired, s.gsd_m) for s in stated if s] == [
        (dt.datetime(2020, 5, 1, 10, 20, 30), 0.5),
        (dt.datetime(2020, 5, 1, 10, 20, 30), None),
    ]


@pytest.mark.parametrize("text", ["{}", "[]", "no JSON", '{"type": "FeatureCollection", "features": []}'])
def test_other_json_is_no_stac(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert not is_stac(tmp_path / "a.json")


def label_item(source: str) -> dict[str, Any]:
    labels = {"labels": asset("elsewhere/labels.geojson", kind="application/geo+json")}
    return item("labels", labels, properties={"label:type": "vector"}, links=[{"rel": "source", "href": source}])


def test_an_item_states_time_and_pixel_size_and_its_labels_are_found(tmp_path: Path) -> None:
    write_raster(tmp_path / "pixels.tif", make_pixels(3, 400, 400), crs=None, transform=None)
    write(tmp_path / "image.json", item("town", {"visual": asset("pixels.tif")}, properties={"gsd": 0.5}))
    write(tmp_path / "label.json", label_item("./image.json"))
    ring = [[210, 220], [300, 220], [300, 340], [210, 340], [210, 220]]
    feature = {
        "type": "Feature",
        "properties": {"class": "building"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    write(tmp_path / "elsewhere" / "labels.geojson", {"type": "FeatureCollection", "features": [feature]})
    links = [{"rel": "item", "href": "image.json"}, {"rel": "item", "href": "label.json"}]
    catalog = write(tmp_path / "catalog.json", {"type": "Catalog", "stac_version": "1.0.0", "links": links})
    report = check_labels(load_settings(BuildSettings, {"src": str(catalog)}), num_workers=0, reporter=QuietReporter())
    (facts,) = report["scenes"].values()
    assert (facts["acquired"], facts["gsd_m"]) == ("2020-05-01T10:20:30", [0.5, 0.5])
    assert facts["labels"]["by_class"] == {"building": 1}
    assert report["label_files_of_no_scene"] == []
    assert report["left_out"] == []


def test_labels_of_an_item_that_is_not_there_are_named(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "labels.geojson", {})
    links = [{"rel": "item", "href": "label.json"}]
    write(tmp_path / "label.json", label_item("./other.json"))
    catalog = write(tmp_path / "catalog.json", {"type": "Catalog", "stac_version": "1.0.0", "links": links})
    ((path, reason),) = find(catalog).left_out
    assert path == str(tmp_path / "elsewhere" / "labels.geojson")
    assert reason == f"labels of {tmp_path / 'other.json'}, which is not among the items"


def test_named_bands_and_rasters_of_one_colour_each_are_shown_in_their_colours(tmp_path: Path) -> None:
    names = ("blue", "green", "red", "nir")
    write_raster(tmp_path / "all.tif", make_pixels(4, 60, 60, dtype="uint16"))
    all_bands = {**asset("all.tif", "data"), "eo:bands": [{"common_name": name} for name in names]}
    assets = {}
    for seed, name in enumerate(names):
        write_raster(tmp_path / f"{name}.tif", make_pixels(1, 60, 60, dtype="uint16", seed=seed))
        assets[name] = asset(f"{name}.tif", "data", "reflectance")
    items = [item("whole", {"analytic": all_bands}), item("split", assets)]
    search = write(tmp_path / "search.json", {"type": "FeatureCollection", "features": items})
    settings = load_settings(BuildSettings, {"src": str(search)})
    report = check_labels(settings, num_workers=0, reporter=QuietReporter())
    assert np.array_equal([facts["bands"] for facts in report["scenes"].values()], [[1, 2, 3], [3, 2, 1]])
    assert "red, green and blue are rasters of their own, as its STAC item says" in report["scenes"]["split"]["notes"]


def test_an_item_beside_its_scene_is_no_label_file(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", make_pixels(3, 60, 60))
    write(tmp_path / "a.json", item("a", {"visual": asset("a.tif")}))
    report = check_labels(load_settings(BuildSettings, {"src": str(tmp_path)}), num_workers=0, reporter=QuietReporter())
    (facts,) = report["scenes"].values()
    skipped = [file["skipped"] for file in facts["labels"]["files"]]
    assert skipped in ([], ["not a label file: a STAC document, whose outline is that of a scene"])
    assert facts["unknown_classes"] == {}
