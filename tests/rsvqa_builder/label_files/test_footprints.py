"""Footprints of Google and Microsoft as they are published: predictions of buildings in degrees, never complete."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyproj
import pytest
import shapely

from rsvqa.rsvqa_builder.label_files.discovery import find_labels
from rsvqa.rsvqa_builder.label_files.reading import LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from tests.rsvqa_builder.labels.make_labels import UTM, scene

TO_DEGREES = pyproj.Transformer.from_crs(32618, 4326, always_xy=True)
BOXES = [(x, y, x + 20, y + 10) for x in (10, 150) for y in (10, 90, 170)]


def degrees(box: tuple[int, int, int, int]) -> shapely.Polygon:
    """A box in pixels of the scene as it lies on the Earth."""
    x_min, y_min, x_max, y_max = box
    corners = [(x_min, y_min), (x_max, y_min), (x_max, y_max), (x_min, y_max)]
    return shapely.Polygon([TO_DEGREES.transform(UTM.c + x / 2, UTM.f - y / 2) for x, y in corners])


def microsoft(path: Path, confidence: float = -1.0) -> Path:
    features = [
        {
            "type": "Feature",
            "properties": {"height": -1.0, "confidence": confidence},
            "geometry": shapely.geometry.mapping(degrees(box)),
        }
        for box in BOXES
    ]
    content = "".join(json.dumps(feature) + "\n" for feature in features).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def google(path: Path) -> Path:
    rows = ["latitude,longitude,area_in_meters,confidence,geometry,full_plus_code"]
    for number, box in enumerate(BOXES):
        outline = degrees(box)
        rows.append(
            f'{outline.centroid.y},{outline.centroid.x},50,0.{7 + number % 2},"{outline.wkt}",87G8P27V+{number}'
        )
    content = "\n".join(rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def check(labels: LabelSet) -> None:
    """The six buildings are where they were put, certain, and not complete."""
    table = load_class_table("auto")
    assert labels.features.class_names == ("building",) * 6
    for geometry, box in zip(labels.features.geometries, BOXES, strict=True):
        assert geometry.bounds == pytest.approx(box, abs=0.01)
    assert labels.features.is_certain.all()
    complete = complete_classes(labels.features, (200, 200), table, doubts=labels.doubts)
    assert (complete["building"].is_complete, complete["building"].why) == (False, "labels come from a model")


@pytest.mark.parametrize("name", ["032010230.csv.gz", "032010230.csv"])
def test_footprints_of_microsoft(tmp_path: Path, name: str) -> None:
    # a confidence of -1 is not known; it is no low one
    check(read_labels(scene(transform=UTM), [microsoft(tmp_path / name)], load_class_table("auto")))


@pytest.mark.parametrize("name", ["open_buildings_89b_buildings.csv.gz", "89b.csv"])
def test_footprints_of_google(tmp_path: Path, name: str) -> None:
    check(read_labels(scene(transform=UTM), [google(tmp_path / name)], load_class_table("auto")))


def test_footprints_with_a_low_confidence_are_uncertain(tmp_path: Path) -> None:
    path = microsoft(tmp_path / "a.csv.gz", confidence=0.3)
    labels = read_labels(scene(transform=UTM), [path], load_class_table("auto"))
    assert not labels.features.is_certain.any()


def test_footprints_beside_a_scene_are_its_labels(tmp_path: Path) -> None:
    (tmp_path / "place.tif").touch()
    path = microsoft(tmp_path / "032010230.csv.gz")
    assert find_labels([str(tmp_path / "place.tif")]).of_scenes[0].files == (path,)
    assert find_labels([str(tmp_path / "place.tif")]).orphans == ()


def test_a_broken_or_empty_file_is_an_entry_of_the_report(tmp_path: Path) -> None:
    broken, empty = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    broken.write_bytes(gzip.compress(b"{}" * 9999)[:30])
    empty.write_bytes(gzip.compress(b""))
    labels = read_labels(scene(transform=UTM), [broken, empty], load_class_table("auto"))
    assert len(labels.features) == 0
    assert all(report.error or report.skipped for report in labels.report.files)
