"""Which classes a scene's label files leave in doubt: a model's work, empty files, labels that nobody can name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from numpy.typing import NDArray

from rsvqa.rsvqa_builder.label_files.placing import PICTURE_PIXELS
from rsvqa.rsvqa_builder.label_files.reading import COARSE, MODEL, LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from tests.rsvqa_builder.labels.make_labels import UTM, geojson, scene, table
from tests.rsvqa_builder.make_rasters import write_raster


def sure() -> ClassTable:
    """The table of tests, whose classes are all said to be complete."""
    entries = {name: entry.model_copy(update={"complete": True}) for name, entry in table().classes.items()}
    return table().model_copy(update={"classes": entries})


def complete(labels: LabelSet, *, override: bool | None = None) -> set[str]:
    found = complete_classes(
        labels.features,
        (200, 200),
        sure(),
        override=override,
        doubts=labels.doubts,
        by_models=labels.by_models,
        is_labelled=labels.report.has_labels,
    )
    return {name for name, one in found.items() if one.is_complete}


ALL = {"car", "tree", "water", "forest", "road", "scar"}


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def mask(path: Path, grid: NDArray[np.uint8], transform: AffineCoefficients | None = None) -> Path:
    return write_raster(path, grid[None], crs="EPSG:32618" if transform else None, transform=transform)


def coco(folder: Path, *annotations: Mapping[str, Any]) -> Path:
    images = [{"id": 1, "file_name": "place.tif"}, {"id": 2, "file_name": "other.tif"}]
    records = [{"id": number, "bbox": [10, 10, 20, 20], **one} for number, one in enumerate(annotations)]
    content = {"images": images, "categories": [{"id": 1, "name": "car"}], "annotations": records}
    return put(folder, "coco.json", json.dumps(content))


@pytest.mark.parametrize("rows", ["5,5,20,20,car,0.9\n", ""])
def test_what_a_model_did_not_find_may_be_there(tmp_path: Path, rows: str) -> None:
    path = put(tmp_path, "found.csv", f"xmin,ymin,xmax,ymax,class,score\n{rows}")
    labels = read_labels(scene(), [path], sure())
    assert labels.doubts == dict.fromkeys(ALL, MODEL)
    assert complete(labels) == set()
    assert complete(labels, override=True) == ALL


def test_a_scene_without_a_hit_in_a_file_of_predictions(tmp_path: Path) -> None:
    path = coco(tmp_path, {"image_id": 2, "category_id": 1, "score": 0.9})
    assert complete(read_labels(scene(), [path], sure())) == set()
    features = [({"type": "Point", "coordinates": [500, 500]}, {"class": "car", "confidence": 0.9})]
    assert complete(read_labels(scene(), [geojson(tmp_path / "a.geojson", features)], sure())) == set()


def test_labels_of_people_beside_predictions_stay_complete(tmp_path: Path) -> None:
    model = put(tmp_path, "found.csv", "xmin,ymin,xmax,ymax,class,score\n50,50,60,60,tree,0.9\n")
    people = put(tmp_path, "place.csv", "xmin,ymin,xmax,ymax,class\n5,5,20,20,car\n")
    labels = read_labels(scene(), [model, people], sure())
    assert labels.doubts == {"tree": MODEL}
    cars_only = people.rename(tmp_path / "cars.csv")
    assert complete(read_labels(scene(), [model, cars_only], sure())) == {"car"}


def layers(path: Path, **content: Sequence[tuple[float, str, str | None]]) -> Path:
    """Write a GeoPackage with a layer per name: boxes of 10 px at (x, 20), each with a class and a score or none."""
    for number, (name, rows) in enumerate(content.items()):
        scores = [score for _, _, score in rows]
        columns = {"class": [kind for _, kind, _ in rows], **({"score": scores} if any(scores) else {})}
        pyogrio.raw.write(
            path,
            shapely.to_wkb(np.array([shapely.box(x, -30, x + 10, -20) for x, _, _ in rows], dtype=object)),
            [np.array(values, dtype=object) for values in columns.values()],
            list(columns),
            layer=name,
            geometry_type="Polygon",
            crs=PICTURE_PIXELS,
            append=number > 0,
        )
    return path


def test_scores_in_one_layer_make_that_layer_alone_a_models(tmp_path: Path) -> None:
    path = layers(
        tmp_path / "place.gpkg",
        objects=[(5, "car", None)],
        found=[(105, "tree", "0.9"), (45, "car", "0.8")],
    )
    labels = read_labels(scene(), [path], sure())
    report = labels.report.files[0]
    assert labels.doubts == {"tree": MODEL}  # people may have drawn all else in `objects`
    assert complete(labels) == ALL - {"tree"}
    assert sorted(labels.features.class_names) == ["car", "tree"]
    assert report.rejected == {"prediction of a class that another file or layer labels": 1}
    assert report.notes == (
        "'found': labels of a model, for the layer has scores; its other layers are taken for the work of people",
    )


def test_a_layer_of_people_that_is_named_for_a_class_tells_of_no_other(tmp_path: Path) -> None:
    path = layers(tmp_path / "place.gpkg", cars=[(5, "", None)], found=[(105, "tree", "0.9")])
    assert complete(read_labels(scene(), [path], sure())) == {"car"}


def test_a_file_whose_layers_all_have_scores_is_a_models(tmp_path: Path) -> None:
    path = layers(tmp_path / "place.gpkg", cars=[(5, "car", "0.7")], found=[(105, "tree", "0.9")])
    labels = read_labels(scene(), [path], sure())
    assert labels.doubts == dict.fromkeys(ALL, MODEL)
    assert labels.report.files[0].notes == ()


def test_coarse_pixels_do_not_show_small_things(tmp_path: Path) -> None:
    # 5 × 5 px of 20 m over a scene of 100 m
    grid = np.full((5, 5), 2, dtype=np.uint8)
    path = mask(tmp_path / "a.tif", grid, AffineCoefficients(20, 0, UTM.c, 0, -20, UTM.f))
    labels = read_labels(scene(transform=UTM), [path], sure())
    assert labels.features.class_names == ("forest",)
    assert labels.doubts == dict.fromkeys(ALL, COARSE)
    assert (complete(labels), complete(labels, override=True)) == (set(), ALL)
    auto = read_labels(scene(transform=UTM), [path], table())
    found = complete_classes(auto.features, (200, 200), table(), doubts=auto.doubts)
    assert not found["forest"].is_complete


def test_a_class_that_only_specks_show_is_not_absent(tmp_path: Path) -> None:
    grid = np.full((200, 200), 2, dtype=np.uint8)
    grid[10:15, 10:15] = 1
    path = mask(tmp_path / "a.tif", grid)
    labels = read_labels(scene(), [path], sure())
    assert labels.report.files[0].rejected == {"region smaller than 64 px": 1}
    assert labels.doubts == {"water": f"labels of {path.name} were rejected"}
    grid[100:140, 100:140] = 1
    assert read_labels(scene(), [mask(path, grid)], sure()).doubts == {}


def test_a_mask_that_the_table_has_no_values_for_taints_nothing(tmp_path: Path) -> None:
    path = mask(tmp_path / "place_mask.tif", np.ones((200, 200), np.uint8))
    boxes = put(tmp_path, "place.csv", "xmin,ymin,xmax,ymax,class\n5,5,20,20,car\n")
    entries = {name: one.model_copy(update={"mask_values": (), "mask_rgb": ()}) for name, one in sure().classes.items()}
    plain = sure().model_copy(update={"classes": entries})
    labels = read_labels(scene(), [path, boxes], plain)
    assert "says nothing of its values" in labels.report.files[1].error
    assert labels.doubts == {}
    # car, water and forest have values: a mask of another size might hold some of them
    small = mask(tmp_path / "place_mask.tif", np.ones((50, 50), np.uint8))
    assert read_labels(scene(), [small, boxes], sure()).doubts.keys() == {"car", "water", "forest"}


BOX, OUTLINE, SCORED = "0 0.5 0.5 0.1 0.1\n", "10 10 30 10 30 20 10 20 car 0\n", "0 0.5 0.5 0.1 0.1 0.9\n"


@pytest.mark.parametrize(
    ("beside", "family", "expected"),
    [
        (BOX, "yolo", ALL),
        (OUTLINE, "dota", ALL),
        (SCORED, "yolo", set()),
        ("a clear day\n", "dota", None),
        ("", "", None),
    ],
)
def test_an_empty_text_says_nothing_is_there_among_label_texts_only(
    tmp_path: Path, beside: str, family: str, expected: set[str] | None
) -> None:
    put(tmp_path, "data.yaml", "names: [car]\n")
    put(tmp_path, "labels/other.txt", beside)
    labels = read_labels(scene(), [put(tmp_path, "labels/place.txt", "\n")], sure())
    (report,) = labels.report.files
    if expected is None:
        assert "an empty text, and no label text beside it" in report.skipped
        assert not labels.report.has_labels
        return
    assert (report.family, report.notes) == (
        family,
        ("empty among the label texts of its folder: the picture was looked at, and nothing was found",),
    )
    assert complete(labels) == expected


@pytest.mark.parametrize(
    ("text", "doubtful"),
    [
        (OUTLINE + "10 10 30 ten 30 20 10 20 car 0\n", {"car"}),
        (OUTLINE + "10 10 30 10 30 20\n", ALL),
        (OUTLINE + "flown on a clear day\n", set()),
        (BOX + "1 0.5 0.5 0.1 40\n", {"tree"}),
        (BOX + "0.5 0.5 0.1 0.1\n", ALL),
        (BOX + "7 0.5 0.5 0.1 0.1\n", ALL),  # no class has this number
        (BOX, set()),
    ],
)
def test_a_line_that_is_wrong_taints_its_class_or_all(tmp_path: Path, text: str, doubtful: set[str]) -> None:
    put(tmp_path, "data.yaml", "names: [car, tree]\n")
    assert read_labels(scene(), [put(tmp_path, "place.txt", text)], sure()).doubts.keys() == doubtful


def test_labels_of_no_class_may_be_of_any(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "xmin,ymin,xmax,ymax,class\n5,5,20,20,car\n50,50,60,60,\n")
    assert read_labels(scene(), [path], sure()).doubts.keys() == ALL
    path = coco(tmp_path, {"image_id": 1, "category_id": 1}, {"image_id": 1, "category_id": 8})
    assert read_labels(scene(), [path], sure()).doubts.keys() == ALL


def test_numbers_that_the_table_speaks_of_need_no_names(tmp_path: Path) -> None:
    numbered = {**sure().classes, "car": sure().classes["car"].model_copy(update={"match": ("0",)})}
    by_number = ClassTable.model_validate({"classes": {name: one.model_dump() for name, one in numbered.items()}})
    path = put(tmp_path, "place.txt", BOX + "7 0.2 0.2 0.1 0.1\n")
    labels = read_labels(scene(), [path], by_number)
    assert (labels.features.class_names, labels.doubts) == (("car",), {})


def test_pixels_in_lines_of_yolo_are_told_what_is_wrong(tmp_path: Path) -> None:
    (report,) = read_labels(scene(), [put(tmp_path, "place.txt", "0 100 100 20 20\n")], sure()).report.files
    assert "YOLO's lines would be a class number and shares" in report.skipped


def test_a_scene_without_a_label_file_has_nothing_complete() -> None:
    assert complete(read_labels(scene(), [], sure()), override=True) == set()
