"""Scenes with their labels, and the labels of a mosaic's sheets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio import Affine

from rsvqa.rsvqa_builder.label_files.reading import read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.settings import make_settings
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


def find(folder: Path) -> Sources:
    return find_sources(make_settings({"src": str(folder)}), describe_all)


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
