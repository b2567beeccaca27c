"""Label rasters are never scenes: layouts of published sets in miniature, and rasters that only their pixels tell."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_files.class_rasters import few_values, find_class_rasters
from rsvqa.rsvqa_builder.label_files.reading import read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.sources import DescribeJob, Sources, describe, find_sources
from tests.rsvqa_builder.make_rasters import NORTH_UP_1M, make_pixels, write_raster

SIDE = 96


def make_classes(num: int = 4, *, bands: int = 1) -> NDArray[Any]:
    """(bands, SIDE, SIDE) upright stripes of the values 0 to num − 1."""
    stripes = np.arange(SIDE) * num // SIDE
    return np.broadcast_to(stripes.astype(np.uint8), (bands, SIDE, SIDE)).copy()


def put(path: Path, pixels: NDArray[Any], **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        how = {"crs": None, "transform": None, "driver": "PNG", **how}
    return write_raster(path, pixels, **how)


def find(folder: Path, **settings: Any) -> Sources:
    def describe_all(jobs: Sequence[DescribeJob]) -> list[Scene | Failure]:
        return [describe(job) for job in jobs]

    return find_sources(load_settings(BuildSettings, {"src": str(folder), **settings}), describe_all)


def ids(sources: Sources) -> list[str]:
    return [source.scene.scene_id for source in sources.scenes]


def labels_of(sources: Sources) -> dict[str, list[str]]:
    return {source.scene.scene_id: [path.name for path in source.labels.files] for source in sources.scenes}


def rgb(seed: int = 0) -> NDArray[Any]:
    return make_pixels(3, SIDE, SIDE, seed=seed)


PICTURE, FIVE_BANDS, SAR = rgb(), make_pixels(5, SIDE, SIDE), make_pixels(1, SIDE, SIDE)
CLASSES, HEIGHTS = make_classes(), make_pixels(1, SIDE, SIDE, dtype="float32")

LAYOUTS: dict[str, tuple[dict[str, NDArray[Any]], list[str]]] = {
    "geonrw": (
        {"aachen/1_2_rgb.tif": PICTURE, "aachen/1_2_seg.tif": CLASSES, "aachen/1_2_dem.tif": HEIGHTS},
        ["aachen/1_2_rgb"],
    ),
    "flair": (
        {"aerial/D1/Z1/img/IMG_000001.tif": FIVE_BANDS, "labels/D1/Z1/msk/MSK_000001.tif": CLASSES},
        ["aerial/D1/Z1/img/IMG_000001"],
    ),
    "folder_of_outlines": ({"geojson_2020/a.tif": PICTURE, "geojson_2020/a_mask.tif": CLASSES}, ["geojson_2020/a"]),
    "levir_cd": (
        {"train/A/train_1.png": PICTURE, "train/B/train_1.png": rgb(1), "train/label/train_1.png": make_classes(2)},
        ["train/A/train_1", "train/B/train_1"],
    ),
    "dynamicearthnet": (
        {
            "planet/10N/PF-SR/2018-01-01.tif": make_pixels(4, SIDE, SIDE, dtype="uint16"),
            "labels/1311_10N/Labels/Raster/10N-L3H-SR/10N-L3H-SR-2018_01_01.tif": make_classes(2, bands=7) * 255,
        },
        ["planet/10N/PF-SR/2018-01-01"],
    ),
    "bright": (
        {
            "pre-event/bata_0_pre_disaster.tif": PICTURE,
            "post-event/bata_0_post_disaster.tif": SAR,
            "target/bata_0_building_damage.tif": CLASSES,
        },
        ["post-event/bata_0_post_disaster", "pre-event/bata_0_pre_disaster"],
    ),
    "xbd": (
        {
            "train/images/storm_0_pre_disaster.png": PICTURE,
            "train/images/storm_0_post_disaster.png": rgb(1),
            "train/targets/storm_0_pre_disaster_target.png": make_classes(2),
            "train/targets/storm_0_post_disaster_target.png": make_classes(5),
        },
        ["train/images/storm_0_post_disaster", "train/images/storm_0_pre_disaster"],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_label_rasters_of_published_sets_are_no_scenes(tmp_path: Path, name: str) -> None:
    files, scenes = LAYOUTS[name]
    for path, pixels in files.items():
        put(tmp_path / "set" / path, pixels)
    found = find(tmp_path / "set")
    assert ids(found) == scenes
    assert found.left_out == ()


def test_rasters_of_heights_are_named_once_per_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(tmp_path / f"set/{name}_rgb.tif", rgb())
        put(tmp_path / f"set/{name}_dsm.tif", HEIGHTS)
    found = find(tmp_path / "set")
    assert [tuple(entry) for entry in found.passed_over] == [
        (str(tmp_path / "set"), "2 rasters of heights (a_dsm.tif the first) are neither scenes nor labels")
    ]


def test_a_source_above_is_not_asked_for_its_name(tmp_path: Path) -> None:
    put(tmp_path / "labels/set/tiles/a.tif", rgb())
    assert ids(find(tmp_path / "labels/set")) == ["tiles/a"]


@pytest.mark.parametrize("name", ["y/a.png", "x/a_lulc.png", "x/whatever.png"])
def test_a_raster_of_few_values_is_the_label_of_its_twin(tmp_path: Path, name: str) -> None:
    put(tmp_path / "x/a.png", rgb())
    put(tmp_path / name, make_classes(4))
    found = find(tmp_path, classes="loveda")
    assert labels_of(found) == {"x/a": [Path(name).name]}
    assert found.orphans == ()
    (source,) = found.scenes
    labels = read_labels(source.scene, source.labels, load_class_table("loveda"))
    # stripes of 24 px; 0 and 1 are the background of LoveDA, which is ignored, 2 is building, 3 road
    assert dict(zip(labels.features.class_names, [g.bounds for g in labels.features.geometries], strict=True)) == {
        "building": (48, 0, 72, 96),
        "road": (72, 0, 96, 96),
    }


def test_one_whose_values_nobody_knows_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png", rgb())
    put(tmp_path / "b.png", make_classes(4))
    found = find(tmp_path)
    assert labels_of(found) == {"a": []}
    assert [tuple(entry) for entry in found.orphans] == [
        (
            str(tmp_path / "b.png"),
            f"not a scene but a class raster: 4 different values, on the grid of {tmp_path / 'a.png'}; to use it, give "
            "classes= with a table that has its values as mask_values or mask_rgb",
        )
    ]


def test_of_two_twins_none_gets_the_labels(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        put(tmp_path / f"{name}.tif", rgb(number))
    put(tmp_path / "c.tif", make_classes(4))
    found = find(tmp_path, classes="loveda")
    assert labels_of(found) == {"a": [], "b": []}
    assert [entry.reason.rpartition("; ")[2] for entry in found.orphans] == ["to use it, give it the stem of its scene"]


def test_a_palette_and_a_coloured_twin_are_class_rasters(tmp_path: Path) -> None:
    colours = np.array([[255, 255, 255], [0, 0, 255], [0, 255, 0], [255, 0, 0]], np.uint8)
    put(tmp_path / "top.tif", rgb())
    put(tmp_path / "classes_in_colour.tif", colours[make_classes(4)[0]].transpose(2, 0, 1))
    put(tmp_path / "palette.tif", make_classes(4), colormap={i: (*map(int, c), 255) for i, c in enumerate(colours)})
    assert ids(find(tmp_path)) == ["top"]


def test_grey_pictures_stay_scenes(tmp_path: Path) -> None:
    put(tmp_path / "a.png", rgb())
    put(tmp_path / "pan.png", SAR)
    calm = np.random.default_rng(0).normal(40, 4, (1, SIDE, SIDE)).astype(np.uint8)
    assert 16 < len(np.unique(calm)) <= 50
    put(tmp_path / "sea.png", calm)
    moved = AffineCoefficients(*NORTH_UP_1M[:2], 600_000.0, *NORTH_UP_1M[3:])
    put(tmp_path / "alone/classes.tif", make_classes(4), transform=moved._replace(f=9_000_000.0))
    put(tmp_path / "other_ground/a.tif", rgb())
    put(tmp_path / "other_ground/b.tif", make_classes(4), transform=moved)
    assert ids(find(tmp_path)) == ["a", "alone/classes", "other_ground/a", "other_ground/b", "pan", "sea"]


def test_a_picture_that_cannot_be_read_has_no_few_values(tmp_path: Path) -> None:
    path = put(tmp_path / "a.tif", make_classes(4), compress="deflate")
    scene = describe_scene(str(path), "a")
    assert few_values(scene) == (0, 1, 2, 3)
    data = bytearray(path.read_bytes())
    data[8:40] = bytes(32)
    path.write_bytes(data)
    assert few_values(scene) is None


def test_vector_labels_beside_a_class_raster_are_the_pictures(tmp_path: Path) -> None:
    put(tmp_path / "a.tif", rgb())
    put(tmp_path / "b.tif", make_classes(4))
    (tmp_path / "cars.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    # of one scene in a folder all label files there are
    assert labels_of(find(tmp_path)) == {"a": ["cars.geojson"]}


def test_samples_are_read_where_the_caller_says(tmp_path: Path) -> None:
    put(tmp_path / "place.tif", PICTURE)
    put(tmp_path / "far.tif", PICTURE, transform=AffineCoefficients(1.0, 0.0, 700_000.0, 0.0, -1.0, 4_000_000.0))
    put(tmp_path / "place_classes.tif", make_classes())
    scenes = [describe_scene(str(path), path.stem) for path in sorted(tmp_path.iterdir())]
    asked: list[list[str]] = []

    def sample_all(those: Sequence[Scene]) -> list[object]:
        asked.append([scene.scene_id for scene in those])
        return [few_values(scene) for scene in those]

    found = find_class_rasters(scenes, sample_all)
    assert [(raster.values, [twin.scene_id for twin in raster.twins]) for raster in found] == [
        ((0, 1, 2, 3), ["place"])
    ]
    assert asked == [["place", "place_classes"]]  # the far one has no twin
    assert find_class_rasters(scenes) == found
    assert find_class_rasters(scenes[:1], sample_all) == ()
    assert len(asked) == 1


def test_a_picture_of_classes_is_known_by_its_stem_without_a_georeference(tmp_path: Path) -> None:
    put(tmp_path / "place.tif", PICTURE)
    put(tmp_path / "place_color.png", make_classes(bands=3) * 80)
    assert ids(find(tmp_path)) == ["place"]
    put(tmp_path / "place_color.png", rgb(seed=1))
    assert ids(find(tmp_path)) == ["place", "place_color"]
