"""Label files as people report them in public trackers: each is read right, or refused by name.

A picture is 1,000 × 800 px and holds six buildings; `shared/data/label_cases/README.md` says what is right for each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import shapely

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_files.reading import LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.classes import ClassTable, load_class_table
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.tiles.executors import Failure
from rsvqa.rsvqa_builder.tiles.sources import DescribeJob, Sources, describe, find_sources
from tests.rsvqa_builder.labels.make_labels import DATA

Box = tuple[float, float, float, float]

BOXES: tuple[Box, ...] = (
    (100, 100, 160, 140),
    (300, 120, 360, 170),
    (700, 80, 780, 130),
    (120, 600, 200, 660),
    (500, 400, 560, 450),
    (820, 650, 900, 720),
)


def moved(boxes: Sequence[Box], shift: float) -> tuple[Box, ...]:
    return tuple((x_min + shift, y_min + shift, x_max + shift, y_max + shift) for x_min, y_min, x_max, y_max in boxes)


def around(box: Box, degrees: float) -> Box:
    """The bounds of a box turned about its centre: w·cos + h·sin wide, w·sin + h·cos high."""
    x_min, y_min, x_max, y_max = box
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    width, height = x_max - x_min, y_max - y_min
    x, y = (x_min + x_max) / 2, (y_min + y_max) / 2
    half_width, half_height = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    return (x - half_width, y - half_height, x + half_width, y + half_height)


def stored(box: Box) -> Box:
    """A box of the turned picture in the one that is stored, 800 × 1,000 px: x is y there, y is 1,000 − x."""
    x_min, y_min, x_max, y_max = box
    return (y_min, 1000 - x_max, y_max, 1000 - x_min)


@dataclass(frozen=True, kw_only=True)
class LabelCase:
    """What is right: boxes by scene, within `tolerance` pixels."""

    name: str
    boxes: dict[str, tuple[Box, ...]]
    table: str = "auto"
    tolerance: float = 0.01


# counting from 1 on twice the size costs half a pixel
CASES = (
    LabelCase(name="coco_same_basename", boxes={"a/0001": BOXES[:3], "b/0001": BOXES[3:]}),
    LabelCase(name="csv_same_basename", boxes={"a/0001": BOXES[:3], "b/0001": BOXES[3:]}),
    LabelCase(name="labels_folder_same_stem", boxes={"a/0001": BOXES[:3], "b/0001": BOXES[3:]}, table="dota"),
    LabelCase(name="coco_resized_image", boxes={"s": BOXES}),
    LabelCase(name="voc_other_size", boxes={"s": BOXES}, table="dota", tolerance=0.51),
    LabelCase(name="csv_xywh", boxes={"s": BOXES}),
    LabelCase(name="shp_noprj_degrees_points", boxes={"s": tuple((x, y, x, y) for x, y, _, _ in BOXES)}),
    LabelCase(name="voc_float", boxes={"s": moved(BOXES, 0.37)}, table="dota"),
    LabelCase(name="coco_rotation_cvat", boxes={"s": tuple(around(box, 45) for box in BOXES)}),
    LabelCase(name="voc_gbk", boxes={"s": BOXES}, table="dota"),
    LabelCase(name="coco_orphan_image_id", boxes={"s": BOXES[:5]}),
    LabelCase(name="coco_seg_list_of_empty", boxes={"s": BOXES}),
    LabelCase(name="coco_seg_is_4_numbers", boxes={"s": BOXES}),
    LabelCase(name="coco_std_layout", boxes={"images/s": BOXES, "images/t": ()}),
    LabelCase(name="xview", boxes={"train_images/10": BOXES[:5], "train_images/1047": BOXES[:2]}, table="xview"),
    LabelCase(name="voc_difficult_empty", boxes={"s": BOXES}, table="dota"),
    LabelCase(name="gj_open_ring", boxes={"s": BOXES}),
    LabelCase(name="gj_latin1", boxes={"s": BOXES}),
    LabelCase(
        name="voc_rotated_roLabelImg", boxes={"s": tuple(around(box, math.degrees(0.3)) for box in BOXES)}, table="dota"
    ),
    LabelCase(name="fair1m", boxes={"s": BOXES}, table="fair1m"),
    LabelCase(name="h_exif", boxes={"h_exif": tuple(stored(box) for box in BOXES)}),
    # six to seven decimals of a degree are up to a hundredth of a pixel
    LabelCase(name="vec_geojsonseq", boxes={"s": BOXES}, tolerance=0.02),
    LabelCase(name="vec_geoparquet", boxes={"s": BOXES}),
    LabelCase(name="vec_kml", boxes={"s": BOXES}),
    LabelCase(name="yolo_txt", boxes={"s": BOXES}, table="numbers"),
    LabelCase(name="yolo_obb", boxes={"s": BOXES}, table="numbers"),
    LabelCase(name="labelme_json", boxes={"s": BOXES}),
    LabelCase(name="cvat_xml", boxes={"s": tuple(around(box, 20) for box in BOXES)}),
    LabelCase(name="e_rgba16_alpha255", boxes={"e_rgba16_alpha255": BOXES}),
    LabelCase(name="l3_float_undeclared-9999", boxes={"l3_float_undeclared-9999": BOXES}),
)


NUMBERS = ClassTable.model_validate(
    {"classes": {"ship": {"singular": "ship", "plural": "ships", "role": "object", "match": [0]}}}
)
"""A class table for files that name classes by number only."""


def table_of(name: str) -> ClassTable:
    return NUMBERS if name == "numbers" else load_class_table(name)


def describe_all(jobs: Sequence[DescribeJob]) -> list[Scene | Failure]:
    return [describe(job) for job in jobs]


def find(name: str) -> Sources:
    folder = DATA / "label_cases" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there; RSVQA_DATA names the folder of real scenes and cases")
    given: dict[str, Any] = {"src": str(folder)}
    if (folder / "src").is_dir():
        given |= {"src": str(folder / "src"), "labels": (str(folder / "lab"),)}
    return find_sources(load_settings(BuildSettings, given), describe_all)


def read(sources: Sources, table: ClassTable) -> dict[str, LabelSet]:
    return {source.scene.scene_id: read_labels(source.scene, source.labels, table) for source in sources.scenes}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_labels_lie_where_they_were_drawn(case: LabelCase) -> None:
    found = read(find(case.name), table_of(case.table))
    assert found.keys() == case.boxes.keys()
    for scene_id, expected in case.boxes.items():
        features = found[scene_id].features
        assert features.is_certain.all()
        bounds = shapely.bounds(features.geometries).tolist()
        assert bounds == [pytest.approx(box, abs=case.tolerance) for box in expected]


def test_all_labels_across_the_antimeridian_are_there() -> None:
    (labels,) = read(find("dateline_count"), load_class_table("auto")).values()
    # ten boxes of 50 px, each 90 px to the right and 140 px below the last; the seventh is cut by 180°
    expected = [(50 + 90 * i, 60 + 140 * (i % 5), 100 + 90 * i, 110 + 140 * (i % 5)) for i in range(10)]
    bounds = shapely.bounds(labels.features.geometries).tolist()
    assert bounds == [pytest.approx(box, abs=0.01) for box in expected]


def test_what_was_made_of_a_file_is_said() -> None:
    (scaled,) = read(find("coco_resized_image"), load_class_table("auto")).values()
    assert scaled.report.files[0].notes == (
        "it states a picture of 2000 × 1600 px: coordinates are scaled to the scene's 1000 × 800 px",
    )
    (orphan,) = read(find("coco_orphan_image_id"), load_class_table("auto")).values()
    assert orphan.report.files[0].num_of_no_image == 1
    (points,) = read(find("shp_noprj_degrees_points"), load_class_table("auto")).values()
    assert points.report.files[0].notes == ("coordinates read as degrees: the file names no CRS",)


def test_a_layer_for_many_scenes_is_named_and_read_where_it_is_given() -> None:
    sources = find("one_geojson_many_tiles")
    (orphan,) = sources.orphans
    assert Path(orphan.path).name == "buildings.geojson"
    assert orphan.reason == "it belongs to no scene: name it as its scene, or give it with `labels`"
    given = load_settings(BuildSettings, {"src": str(Path(orphan.path).parent), "labels": (orphan.path,)})
    found = read(find_sources(given, describe_all), load_class_table("auto"))
    assert {name: shapely.bounds(labels.features.geometries).tolist() for name, labels in found.items()} == {
        name: [pytest.approx(box) for box in BOXES] for name in ("t0", "t1", "t2")
    }


def test_a_mask_in_a_folder_of_annotations_is_no_scene() -> None:
    sources = find("mask_in_annotations_dir")
    assert [source.scene.scene_id for source in sources.scenes] == ["images/s"]
    assert [path.parent.name for path in sources.scenes[0].labels.files] == ["annotations"]
