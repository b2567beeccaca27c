"""Which files are labels of which scene."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsvqa.rsvqa_builder.label_files.discovery import find_labels, is_label_raster


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(scene: Path, count: int, extra: tuple[Path, ...] = ()) -> list[str]:
    return [path.name for path in find_labels(scene, count, extra)]


@pytest.mark.parametrize(
    "path", ["a/place_mask.tif", "a/place_GT.png", "masks/place.png", "x/labels/place.tif", "119_classes.tif"]
)
def test_masks_are_known_by_ending_or_folder(path: str) -> None:
    assert is_label_raster(path)


@pytest.mark.parametrize("path", ["a/place.tif", "unmasked/place.tif", "labels.tif", "mask/place.tif", "gtx/a.tif"])
def test_other_rasters_are_scenes(path: str) -> None:
    assert not is_label_raster(path)


def test_the_only_scene_of_a_folder_has_all_its_label_files(tmp_path: Path) -> None:
    make(tmp_path, "scene.tif", "roads.shp", "roads.dbf", "roads.prj", "roads.shx", "roads.shp.xml", "b.geojson")
    make(tmp_path, "landuse_mask.tif", "scene.tif.aux.xml", "README.txt", ".hidden.csv", "labels/x.csv", "notes.md")
    assert found(tmp_path / "scene.tif", 1) == ["b.geojson", "landuse_mask.tif", "roads.shp", "x.csv"]


def test_of_several_scenes_each_has_the_files_of_its_stem(tmp_path: Path) -> None:
    make(tmp_path, "place_t1.tif", "place_t1.gpkg", "place_t2.tif", "place_t2.gpkg", "place_t1_mask.png")
    make(tmp_path, "labels/place_t1.osm.pbf", "labels/place_t2.txt", "place_t1_notes.txt")
    assert found(tmp_path / "place_t1.tif", 2) == ["place_t1.gpkg", "place_t1_mask.png", "place_t1.osm.pbf"]


def test_label_folders_beside_the_folder_of_scenes(tmp_path: Path) -> None:
    make(tmp_path, "images/P1.png", "labelTxt/P1.txt", "labelTxt/P2.txt", "masks/P1.png")
    assert found(tmp_path / "images" / "P1.png", 1) == ["P1.txt", "P1.png"]


def test_satellite_and_mask_endings_stand_for_each_other(tmp_path: Path) -> None:
    make(tmp_path, "119_sat.jpg", "119_mask.png", "120_sat.jpg", "120_mask.png")
    assert found(tmp_path / "119_sat.jpg", 2) == ["119_mask.png"]


def test_files_that_name_the_scene_belong_to_it(tmp_path: Path) -> None:
    make(tmp_path, "a.tif", "b.tif", "c.tif")
    images = [{"id": 1, "file_name": "a.tif"}, {"id": 2, "file_name": "b.tif"}]
    (tmp_path / "set.json").write_text(json.dumps({"images": images, "annotations": []}))
    (tmp_path / "boxes.csv").write_text("image_path,xmin,ymin,xmax,ymax\nb.tif,0,0,1,1\n")
    assert found(tmp_path / "a.tif", 3) == ["set.json"]
    assert found(tmp_path / "b.tif", 3) == ["boxes.csv", "set.json"]
    assert found(tmp_path / "c.tif", 3) == []


def test_extra_files_always_count_and_extra_folders_by_stem(tmp_path: Path) -> None:
    make(
        tmp_path, "s/place.tif", "s/other.tif", "e/deep/place.geojson", "e/other.geojson", "e/place.png", "all.geojson"
    )
    extra = (tmp_path / "all.geojson", tmp_path / "e")
    assert found(tmp_path / "s" / "place.tif", 2, extra) == ["all.geojson", "place.png", "place.geojson"]


def test_a_file_is_given_once(tmp_path: Path) -> None:
    make(tmp_path, "place.tif", "place.geojson")
    assert found(tmp_path / "place.tif", 1, (tmp_path / "place.geojson", tmp_path)) == ["place.geojson"]


def test_virtual_paths_have_no_neighbours(tmp_path: Path) -> None:
    make(tmp_path, "place.geojson")
    scene = f"/vsizip/{tmp_path}/scenes.zip/place.tif"
    assert find_labels(scene, 1) == []
    assert find_labels(scene, 1, [tmp_path / "place.geojson"]) == [tmp_path / "place.geojson"]
