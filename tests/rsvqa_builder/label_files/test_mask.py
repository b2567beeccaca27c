"""Class masks become polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from rsvqa.rsvqa_builder.label_files import mask
from rsvqa.rsvqa_builder.label_files.mask import read_mask
from rsvqa.rsvqa_builder.labels.raw import LabelError
from tests.rsvqa_builder.labels.make_labels import UTM, scene, table

pytestmark = pytest.mark.filterwarnings(f"ignore::{NotGeoreferencedWarning.__module__}.NotGeoreferencedWarning")


def write(folder: Path, values: NDArray[np.generic], **profile: Any) -> Path:
    """Write a mask; `values` is (height, width) or (bands, height, width)."""
    bands = values[np.newaxis] if values.ndim == 2 else values
    path = folder / "place_mask.tif"
    options = {"driver": "GTiff", "count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", dtype=bands.dtype, **options, **profile) as target:
        target.write(bands)
    return path


def values() -> NDArray[np.uint8]:
    """200 × 200: water left of column 50 with an island of forest, a car of 10 × 10, a speck of 7 × 9, a strange 7."""
    grid = np.zeros((200, 200), dtype=np.uint8)
    grid[:, :50] = 1
    grid[20:40, 10:30] = 2
    grid[100:110, 100:110] = 4
    grid[150:157, 100:109] = 2
    grid[0:3, 190:200] = 7
    grid[199, 100:200] = 9
    return grid


def test_regions_by_value_with_holes_specks_and_strange_values(tmp_path: Path) -> None:
    raw = read_mask(write(tmp_path, values()), scene(), table())
    assert list(raw.sources) == ["car", "water", "forest"]
    # 10 × 10; 200 × 50 less the island of 20 × 20.
    assert [geometry.area for geometry in raw.geometries] == [100, 9600, 400]
    assert raw.geometries[0].bounds == (100, 100, 110, 110)
    assert raw.num_invalid == {"region smaller than 64 px": 1}
    assert raw.unknown == {"mask value 7 (pixels)": 30}
    assert raw.is_certain.tolist() == [False, True, True]
    assert raw.notes == ("regions of object classes may hold several objects: not counted",)


def test_strips_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, values())
    whole = read_mask(path, scene(), table())
    monkeypatch.setattr(mask, "STRIP_PX", 200 * 7)
    strips = read_mask(path, scene(), table())
    assert list(strips.sources) == list(whole.sources)
    assert strips.unknown == whole.unknown
    assert all(one.equals(two) for one, two in zip(strips.geometries, whole.geometries, strict=True))


def test_colours(tmp_path: Path) -> None:
    colours = np.zeros((3, 200, 200), dtype=np.uint8)
    colours[2, :, :50] = 255
    colours[0, 100:110, 100:110] = 255
    colours[:, 0, 199] = (1, 2, 3)
    raw = read_mask(write(tmp_path, colours), scene(), table())
    assert list(raw.sources) == ["car", "water"]
    assert [geometry.area for geometry in raw.geometries] == [100, 10_000]
    assert raw.unknown == {"mask value 1, 2, 3 (pixels)": 1}


def test_a_palette_is_matched_by_its_colours(tmp_path: Path) -> None:
    path = write(tmp_path, values())
    with rasterio.open(path, "r+") as target:
        target.write_colormap(1, {0: (0, 0, 0, 255), 1: (0, 0, 255, 255), 2: (0, 255, 0, 255)})
    classes = {name: entry.model_dump(exclude={"mask_values"}, mode="json") for name, entry in table().classes.items()}
    by_colour = type(table()).model_validate({"classes": classes})
    assert list(read_mask(path, scene(), by_colour).sources) == ["water", "forest"]


def test_a_georeferenced_mask_of_another_size_is_placed(tmp_path: Path) -> None:
    # 1 m per pixel, its corner 20 m east and 10 m below the scene's: 40 and 20 scene pixels of half a metre.
    grid = np.zeros((20, 20), dtype=np.uint8)
    grid[0:10, 0:10] = 1
    transform = Affine(1, 0, UTM.c + 20, 0, -1, UTM.f - 10)
    raw = read_mask(write(tmp_path, grid, crs="EPSG:32618", transform=transform), scene(transform=UTM), table())
    assert raw.geometries[0].bounds == (40, 20, 60, 40)


def test_a_mask_of_another_size_without_a_georeference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="the mask is 200 × 200 px, the scene 100 × 200 px"):
        read_mask(write(tmp_path, values()), scene(width=100), table())


def test_a_mask_that_the_table_does_not_explain_is_refused(tmp_path: Path) -> None:
    classes = {"car": {"singular": "car", "plural": "cars", "role": "object"}}
    bare = type(table()).model_validate({"name": "bare", "classes": classes})
    with pytest.raises(LabelError, match="class table 'bare' says nothing of its values: give classes mask_values"):
        read_mask(write(tmp_path, values()), scene(), bare)


def test_a_raster_that_cannot_be_read_is_a_label_error(tmp_path: Path) -> None:
    path = tmp_path / "place_mask.png"
    path.write_bytes(b"no picture")
    with pytest.raises(LabelError, match="GDAL cannot read it as a mask"):
        read_mask(path, scene(), table())
