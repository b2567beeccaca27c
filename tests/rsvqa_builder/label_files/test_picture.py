"""What a label file states about its picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsvqa.rsvqa_builder.label_files.csv_boxes import read_csv_boxes
from rsvqa.rsvqa_builder.label_files.picture import fit_to_scene
from rsvqa.rsvqa_builder.labels.raw import LabelError, RawLabels
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from tests.rsvqa_builder.labels.make_labels import scene, table

Box = tuple[float, float, float, float]


def raw(folder: Path, box: Box, size: tuple[float, float] | None) -> RawLabels:
    path = folder / "a.csv"
    path.write_text("xmin,ymin,xmax,ymax,class\n" + ",".join(map(str, box)) + ",car\n")
    return replace(read_csv_boxes(path, scene(), table()), picture_size=size)


def fitted(folder: Path, box: Box, size: tuple[float, float] | None, place: Scene) -> Box:
    (geometry,) = fit_to_scene(raw(folder, box, size), place).geometries
    found: Box = geometry.bounds
    return found


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((200, 160), (20, 40, 60, 80)),
        ((400, 320), (10, 20, 30, 40)),
        ((100, 80), (40, 80, 120, 160)),
        # 200 × 160 reduced to a third is 66.7 × 53.3, rounded 67 × 53
        ((67, 53), (20 * 200 / 67, 40 * 160 / 53, 60 * 200 / 67, 80 * 160 / 53)),
        (None, (20, 40, 60, 80)),
    ],
)
def test_labels_of_a_copy_of_another_size_are_scaled(
    tmp_path: Path, size: tuple[float, float] | None, expected: Box
) -> None:
    assert fitted(tmp_path, (20, 40, 60, 80), size, scene(width=200, height=160)) == pytest.approx(expected)


@pytest.mark.parametrize("size", [(160, 200), (200, 150), (1, 1), (1000, 1000)])
def test_labels_of_another_picture_are_refused(tmp_path: Path, size: tuple[float, float]) -> None:
    with pytest.raises(LabelError, match=r"it states a picture of .* px, the scene has 200 × 160 px"):
        fitted(tmp_path, (20, 40, 60, 80), size, scene(width=200, height=160))


# The turned picture holds one bright pixel block at the box; PIL turns the stored picture as viewers do.
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labels_of_the_turned_picture_lie_on_the_stored_one(tmp_path: Path, orientation: int) -> None:
    stored = np.zeros((100, 60, 3), np.uint8)
    stored[20:30, 8:40] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(stored).save(tmp_path / "a.jpg", quality=100, exif=exif)
    with Image.open(tmp_path / "a.jpg") as picture:
        picture.load()
        turned = {5: 5, 6: 4, 7: 6, 8: 2}[orientation]  # TRANSPOSE, ROTATE_270, TRANSVERSE, ROTATE_90
        seen = np.asarray(picture.transpose(Image.Transpose(turned)))
    rows, columns = np.nonzero(seen[..., 0] > 128)
    box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
    place = describe_scene(str(path.with_suffix(".jpg")), "a")
    assert place.orientation == orientation
    assert fitted(tmp_path, box, (100, 60), place) == (8, 20, 40, 30)
    # a tool that does not turn pictures states the stored size
    assert fitted(tmp_path, (8, 20, 40, 30), (60, 100), place) == (8, 20, 40, 30)


@pytest.mark.parametrize(("orientation", "size"), [(6, None), (3, (200, 160)), (2, (200, 160)), (6, (180, 180))])
def test_an_open_orientation_is_refused(tmp_path: Path, orientation: int, size: tuple[float, float] | None) -> None:
    place = replace(scene(width=200, height=160), orientation=orientation)
    if size == (180, 180):
        place = replace(place, height=200)
    with pytest.raises(LabelError, match=f"EXIF orientation {orientation}, and nothing tells"):
        fitted(tmp_path, (20, 40, 60, 80), size, place)
