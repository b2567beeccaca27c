"""xBD's files and files of predictions, as their tools write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsvqa.rsvqa_builder.label_files.discovery import find_labels
from rsvqa.rsvqa_builder.label_files.reading import read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from tests.rsvqa_builder.labels.make_labels import scene
from tests.rsvqa_builder.make_rasters import write_raster


def xbd(path: Path, *subtypes: str, **metadata: Any) -> Path:
    """Squares of 10 px, 20 px from one to the next."""
    features = [
        {
            "properties": {"feature_type": "building", "subtype": subtype, "uid": f"u{number}"},
            "wkt": f"POLYGON (({x} 10, {x + 10} 10, {x + 10} 20, {x} 20, {x} 10))",
        }
        for number, subtype in enumerate(subtypes)
        for x in [20 * number]
    ]
    metadata = {"width": 200, "height": 200, "gsd": 2.1, "img_name": f"{path.stem}.png"} | metadata
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"features": {"lng_lat": [], "xy": features}, "metadata": metadata}))
    return path


def test_buildings_and_damage_of_xbd(tmp_path: Path) -> None:
    path = xbd(tmp_path / "place_post_disaster.json", "no-damage", "major-damage", "un-classified", "destroyed")
    labels = read_labels(scene(), [path], load_class_table("xbd"))
    assert labels.features.class_names == ("building",) * 4
    assert [geometry.bounds[0] for geometry in labels.features.geometries] == [0, 20, 40, 60]
    assert [dict(one) for one in labels.features.attributes] == [
        {"damage": "no damage"},
        {"damage": "major damage"},
        {},
        {"damage": "destroyed"},
    ]
    assert labels.features.is_certain.tolist() == [True, True, False, True]
    assert labels.report.gsd_m == 2.1


def test_xbd_as_published_is_complete_beside_its_target(tmp_path: Path) -> None:
    table = load_class_table("xbd")
    here = tmp_path / "train/images/place_post_disaster.png"
    here.parent.mkdir(parents=True)
    write_raster(here, np.ones((3, 200, 200), np.uint8), crs=None, transform=None, driver="PNG")
    xbd(tmp_path / "train/labels/place_post_disaster.json", "destroyed")
    target = tmp_path / "train/targets/place_post_disaster_target.png"
    target.parent.mkdir()
    write_raster(target, np.full((1, 200, 200), 4, np.uint8), crs=None, transform=None, driver="PNG")
    (files,) = find_labels([str(here)], root=tmp_path).of_scenes
    labels = read_labels(scene(str(here)), files, table)
    assert labels.features.class_names == ("building",)
    complete = complete_classes(labels.features, (200, 200), table, doubts=labels.doubts)
    assert complete["building"].is_complete


def test_xbd_of_another_size_is_scaled_and_bad_features_cost_themselves(tmp_path: Path) -> None:
    path = xbd(tmp_path / "place.json", "destroyed", width=400, height=400)
    content = json.loads(path.read_text())
    content["features"]["xy"] += [{"properties": {"feature_type": "building"}, "wkt": "POLYGON ((0 0"}, 7]
    path.write_text(json.dumps(content))
    labels = read_labels(scene(), [path], load_class_table("xbd"))
    assert labels.features.geometries[0].bounds == (0, 5, 5, 10)
    assert labels.report.files[0].rejected == {"feature without a type and an outline in WKT": 2}
    assert "building" in labels.doubts


def test_xbd_without_a_building(tmp_path: Path) -> None:
    labels = read_labels(scene(), [xbd(tmp_path / "place.json")], load_class_table("xbd"))
    assert (len(labels.features), labels.report.files[0].error, labels.doubts) == (0, "", {})


RESULTS = """P0001 0.93 10 10 30 10 30 20 10 20
P0001 0.20 50 10 70 12 70 22 50 20
P0002 0.99 90 10 99 10 99 20 90 20
"""


def test_results_in_dotas_form_have_the_class_of_their_name(tmp_path: Path) -> None:
    path = tmp_path / "Task1_small-vehicle.txt"
    path.write_text(RESULTS)
    labels = read_labels(scene("P0001.png"), [path], load_class_table("dota"))
    assert labels.features.class_names == ("small_vehicle", "small_vehicle")
    assert labels.features.geometries[0].bounds == (10, 10, 30, 20)
    assert labels.features.is_certain.tolist() == [True, False]
    assert labels.report.files[0].num_other_image == 1
    assert labels.doubts["small_vehicle"] == "labels come from a model"


def test_results_belong_to_the_scenes_that_they_name(tmp_path: Path) -> None:
    path = tmp_path / "results" / "Task1_ship.txt"
    path.parent.mkdir()
    path.write_text(RESULTS)
    found = find_labels([str(tmp_path / f"{name}.png") for name in ("P0001", "P0002", "P0003")], [path])
    assert [files.files for files in found.of_scenes] == [(path,), (path,), ()]


@pytest.mark.parametrize(("text", "skipped"), [("", ""), ("hello\n", "no lines of results")])
def test_results_without_a_line(tmp_path: Path, text: str, skipped: str) -> None:
    path = tmp_path / "Task1_ship.txt"
    path.write_text(text)
    labels = read_labels(scene("P0001.png"), [path], load_class_table("dota"))
    assert len(labels.features) == 0
    assert skipped in labels.report.files[0].skipped


def coco_results(folder: Path, *, image_id: int = 1) -> Path:
    path = folder / "results.json"
    path.write_text(
        json.dumps(
            [
                {"image_id": image_id, "category_id": 3, "bbox": [10, 20, 30, 10], "score": 0.9},
                {"image_id": image_id, "category_id": 3, "bbox": [60, 20, 30, 10], "score": 0.1},
                {"image_id": 2, "category_id": 3, "bbox": [90, 20, 30, 10], "score": 0.9},
            ]
        )
    )
    return path


def coco_images(path: Path, *names: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    images = [{"id": number, "file_name": name} for number, name in enumerate(names, start=1)]
    categories = [{"id": 3, "name": "ship"}]
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": []}))
    return path


@pytest.mark.parametrize("name", ["instances.json", "annotations/instances.json"])
def test_coco_results_are_of_the_images_of_the_file_beside_them(tmp_path: Path, name: str) -> None:
    path = coco_results(tmp_path)
    coco_images(tmp_path / name, "a.png", "b.png")
    labels = read_labels(scene("a.png"), [path], load_class_table("dota"))
    assert labels.features.class_names == ("ship", "ship")
    assert [one.bounds for one in labels.features.geometries] == [(10, 20, 40, 30), (60, 20, 90, 30)]
    assert labels.features.is_certain.tolist() == [True, False]
    assert labels.report.files[0].num_other_image == 1
    assert labels.doubts["ship"] == "labels come from a model"
    found = find_labels([str(tmp_path / "a.png"), str(tmp_path / "c.png")], [path])
    assert [path in files.files for files in found.of_scenes] == [True, False]


def test_coco_results_without_their_images_or_with_two_files_of_them_are_refused(tmp_path: Path) -> None:
    path = coco_results(tmp_path)
    table = load_class_table("dota")
    coco_images(tmp_path / "other.json", "a.png")  # has no image 2
    (report,) = read_labels(scene("a.png"), [path], table).report.files
    assert report.error == "a list of COCO results names images by number, and no COCO file beside it lists them"
    coco_images(tmp_path / "train.json", "a.png", "b.png")
    coco_images(tmp_path / "val.json", "c.png", "d.png")
    path.touch()
    (report,) = read_labels(scene("a.png"), [path], table).report.files
    assert report.error.endswith("it may be about the images of train.json and val.json: keep one of them")
