"""Scenes with their labels, and the labels of a mosaic's sheets."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio import Affine
from shapely import box

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_files.discovery import find_labels
from rsvqa.rsvqa_builder.label_files.reading import read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.sources import DescribeJob, Sources, describe, find_sources, join_sheets

SHIP = "ship"


def write_sheet(path: Path, *, west: float) -> None:
    """Write a sheet of 200 × 100 pixels of 1 m, with one DOTA box at x 20–60, y 10–30."""
    pixels = np.random.default_rng(int(west)).integers(1, 255, (3, 100, 200), np.uint8)
    profile = {"driver": "GTiff", "width": 200, "height": 100, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(
        path, "w", transform=Affine(1, 0, west, 0, -1, 5_000_000), photometric="RGB", **profile
    ) as dataset:
        dataset.write(pixels)
    path.with_suffix(".txt").write_text(f"20 10 60 10 60 30 20 30 {SHIP} 0\n")


def describe_all(jobs: Sequence[DescribeJob]) -> list[Scene | Failure]:
    return [describe(job) for job in jobs]


def find(folder: Path, *, mosaic: bool = True) -> Sources:
    return find_sources(load_settings(BuildSettings, {"src": str(folder), "mosaic": mosaic}), describe_all)


def test_every_scene_comes_with_its_labels_and_every_file_is_an_input(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.tif", west=400_000)
    write_sheet(tmp_path / "b.tif", west=500_000)
    (tmp_path / "broken.tif").write_bytes(b"II")
    found = find(tmp_path)
    assert [(source.scene.scene_id, [file.name for file in source.labels.files]) for source in found.scenes] == [
        ("a", ["a.txt"]),
        ("b", ["b.txt"]),
    ]
    assert [Path(path).name for path, _ in found.left_out] == ["broken.tif"]
    assert list(found.inputs) == ["a.tif", "a.txt", "b.tif", "b.txt", "broken.tif"]
    assert found.inputs["broken.tif"][0] == 2


def test_pixel_labels_of_a_sheet_are_moved_to_its_place_in_the_mosaic(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.tif", west=400_000)
    write_sheet(tmp_path / "b.tif", west=400_200)
    (source,), left_alone = join_sheets(find(tmp_path), tmp_path / "work")
    assert left_alone == ()
    assert (source.scene.width, source.scene.height) == (400, 100)
    labels = read_labels(source.scene, source.labels, load_class_table("dota"), frames=source.frames)
    # the second sheet begins at x = 200
    assert [geometry.bounds for geometry in labels.features.geometries] == [(20, 10, 60, 30), (220, 10, 260, 30)]


def test_labels_that_name_the_sheets_of_a_mosaic_are_moved_to_their_places(tmp_path: Path) -> None:
    for name, west in (("a.tif", 400_000), ("b.tif", 400_200)):
        write_sheet(tmp_path / name, west=west)
        (tmp_path / name).with_suffix(".txt").unlink()
    annotations = [{"image_id": i, "category_id": 1, "bbox": [20, 10, 40, 20]} for i in (1, 2, 2, 3)]
    annotations[2]["bbox"] = [100, 10, 40, 20]
    content = {
        "images": [{"id": i, "file_name": f"{name}.tif"} for i, name in enumerate("abc", 1)],
        "categories": [{"id": 1, "name": SHIP}],
        "annotations": annotations,
    }
    (tmp_path / "set.json").write_text(json.dumps(content))
    (source,), _ = join_sheets(find(tmp_path), tmp_path / "work")
    labels = read_labels(source.scene, source.labels, load_class_table("dota"), frames=source.frames)
    assert [geometry.bounds for geometry in labels.features.geometries] == [
        (20, 10, 60, 30),
        (220, 10, 260, 30),
        (300, 10, 340, 30),
    ]
    assert (labels.report.files[0].num_read, labels.report.files[0].num_other_image) == (3, 1)


def test_label_files_of_no_scene_are_named(tmp_path: Path) -> None:
    write_sheet(tmp_path / "a.tif", west=400_000)
    write_sheet(tmp_path / "b.tif", west=500_000)
    (tmp_path / "buildings.geojson").touch()
    assert [Path(path).name for path, _ in find(tmp_path).orphans] == ["buildings.geojson"]


def write_xbd(folder: Path, date: str, captured: str, damages: Sequence[str]) -> None:
    """Write a picture and its xBD file: buildings at x 20, 60, 100 … of 20 × 20 px, with these damages."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    stem = f"flood_00000007_{date}_disaster"
    pixels = np.random.default_rng(len(captured)).integers(1, 255, (200, 200, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "images" / f"{stem}.png")
    features = []
    for number, damage in enumerate(damages):
        subtype = {"subtype": damage} if date == "post" else {}
        outline = box(20 + 40 * number, 20, 40 + 40 * number, 40).wkt
        features.append({"properties": {"feature_type": "building", "uid": str(number), **subtype}, "wkt": outline})
    content = {
        "features": {"lng_lat": [], "xy": features},
        "metadata": {"width": 200, "height": 200, "gsd": 0.5, "capture_date": captured},
    }
    (folder / "labels" / f"{stem}.json").write_text(json.dumps(content))


def test_xbd_is_paired_by_name_and_dated_by_its_labels(tmp_path: Path) -> None:
    write_xbd(tmp_path, "post", "2017-09-01T17:04:12.000Z", ["no-damage", "destroyed"])
    write_xbd(tmp_path, "pre", "2016-11-20T17:13:17.000Z", ["", ""])
    found = find(tmp_path)
    (pair,) = found.pairs
    assert [Path(scene.scene_id).name for scene in pair[:2]] == [
        "flood_00000007_pre_disaster",
        "flood_00000007_post_disaster",
    ]
    assert pair[2:] == (dt.date(2016, 11, 20), dt.date(2017, 9, 1))
    assert "the date 2016-11-20 is that of flood_00000007_pre_disaster.json" in pair.earlier.notes
    assert found.broken_pairs == ()


def test_with_mosaics_dates_in_names_make_no_pairs(tmp_path: Path) -> None:
    for name in ("town_2014-07-20.tif", "town_2020-08-31.tif"):
        write_sheet(tmp_path / name, west=400_000)
    settings = load_settings(BuildSettings, {"src": str(tmp_path), "mosaic": True})
    assert find_sources(settings, describe_all).pairs == ()
    assert len(find(tmp_path, mosaic=False).pairs) == 1


def test_many_chips_with_one_file_of_labels(tmp_path: Path) -> None:
    names = [f"{part}/{number:04d}.png" for part in ("train", "val") for number in range(200)]
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    annotations = [{"image_id": number, "category_id": 1, "bbox": [number % 100, 1, 40, 20]} for number in range(400)]
    content = {"images": images, "categories": [{"id": 1, "name": SHIP}], "annotations": annotations}
    (tmp_path / "set.json").write_text(json.dumps(content))
    table = load_class_table("dota")
    paths = [str(tmp_path / name) for name in names]
    for folder in ("train", "val"):
        (tmp_path / folder).mkdir()
    for number, (path, labels) in enumerate(zip(paths, find_labels(paths, root=tmp_path).of_scenes, strict=True)):
        chip = Scene(scene_id=path, path=path, width=200, height=200, bands=(1, 2, 3), dtype="uint8")
        found = read_labels(chip, labels, table)
        assert [geometry.bounds[0] for geometry in found.features.geometries] == [number % 100]
