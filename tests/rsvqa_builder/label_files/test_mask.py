"""Class masks become polygons."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window

from rsvqa.rsvqa_builder.label_files import mask
from rsvqa.rsvqa_builder.label_files.mask import read_mask
from rsvqa.rsvqa_builder.label_files.reading import LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError
from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients
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


@pytest.fixture
def read_windows(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int, int]]:
    """Windows (column, row, width, height) of masks in the order in which they are read."""
    read: list[tuple[int, int, int, int]] = []
    original = mask._codes

    def recorded(source: Any, window: Any, *rest: Any) -> Any:
        read.append((window.col_off, window.row_off, window.width, window.height))
        return original(source, window, *rest)

    monkeypatch.setattr(mask, "_codes", recorded)
    return read


def around(folder: Path) -> Path:
    """A mask of 1,000 × 1,000 px of the scene's grid, in which the scene begins at (300, 400): forest around a lake."""
    grid = np.full((1000, 1000), 2, dtype=np.uint8)
    grid[350:650, 350:450] = 1
    # in scene pixels (190, 190) to (210, 210): a quarter of it shows; and a speck that the scene's corner cuts
    grid[590:610, 490:510] = 4
    grid[398:403, 298:303] = 4
    transform = Affine(0.5, 0, UTM.c - 150, 0, -0.5, UTM.f + 200)
    return write(folder, grid, crs="EPSG:32618", transform=transform)


def test_only_the_window_of_the_scene_is_read(
    tmp_path: Path, read_windows: list[tuple[int, int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = around(tmp_path)
    here = scene(transform=UTM)
    found = read_labels(here, [path], table())
    # 64 px and two more on each side
    assert read_windows == [(234, 334, 332, 332)]
    monkeypatch.setattr(mask, "_windows", lambda *_: ([Window(0, 0, 1000, 1000)], True))
    whole = read_labels(here, [path], table())
    assert read_windows[1:] == [(0, 0, 1000, 1000)]
    assert inside(found) == inside(whole)
    assert shapely.bounds(inside(found)["car"]).tolist() == [190, 190, 200, 200]


def inside(labels: LabelSet) -> dict[str, shapely.Geometry]:
    """What is labelled of each class in the scene."""
    names = np.array(labels.features.class_names)
    frame = shapely.box(0, 0, 200, 200)
    return {
        str(name): shapely.normalize(
            shapely.intersection(shapely.union_all(labels.features.geometries[names == name]), frame)
        )
        for name in sorted(set(names))
    }


def test_the_window_of_a_scene_in_a_raster_of_the_earth(
    tmp_path: Path, read_windows: list[tuple[int, int, int, int]]
) -> None:
    # a tenth of a degree per pixel; the scene lies at 75.0° W, 36.14° N, in the pixel (1050, 538)
    grid = np.full((1800, 3600), 2, dtype=np.uint8)
    path = write(tmp_path, grid, crs="EPSG:4326", transform=Affine(0.1, 0, -180.05, 0, -0.1, 90))
    raw = read_mask(path, scene(transform=UTM), table())
    (window,) = read_windows
    # with three more on each side
    assert window == (1047, 535, 7, 7)
    assert list(raw.sources) == ["forest"]
    assert raw.notes[0].endswith("px of the scene wide: it tells what is where, but no outlines")


def test_a_scene_across_the_antimeridian_has_two_windows(
    tmp_path: Path, read_windows: list[tuple[int, int, int, int]]
) -> None:
    # UTM zone 60 ends at 180° E: on the equator 834 km east of its western edge
    place = dataclasses.replace(
        scene(transform=AffineCoefficients(100, 0, 824_000, 0, -100, 10_000)),
        crs=pyproj.CRS.from_epsg(32660).to_wkt(),
    )
    grid = np.full((1800, 3600), 2, dtype=np.uint8)
    path = write(tmp_path, grid, crs="EPSG:4326", transform=Affine(0.1, 0, -180, 0, -0.1, 90))
    raw = read_mask(path, place, table())
    assert [(column, width) for column, _, width, _ in read_windows] == [(0, 4), (3596, 4)]
    assert raw.lost_sources == frozenset()
    covered = shapely.intersection(shapely.union_all(raw.geometries), shapely.box(0, 0, 200, 200))
    assert covered.area == pytest.approx(200 * 200, rel=1e-3)


def test_small_regions_are_measured_in_pixels_of_the_scene(tmp_path: Path) -> None:
    # 7 × 7 px of 1 m are 14 × 14 of half a metre; 15 × 15 px of 0.1 m are 3 × 3
    grid = np.zeros((100, 100), dtype=np.uint8)
    grid[:7, :7] = 1
    path = write(tmp_path, grid, crs="EPSG:32618", transform=Affine(1, 0, UTM.c, 0, -1, UTM.f))
    assert [one.area for one in read_mask(path, scene(transform=UTM), table()).geometries] == [196]
    fine = np.zeros((1000, 1000), dtype=np.uint8)
    fine[:15, :15] = 1
    path = write(tmp_path, fine, crs="EPSG:32618", transform=Affine(0.1, 0, UTM.c, 0, -0.1, UTM.f))
    raw = read_mask(path, scene(transform=UTM), table())
    assert (len(raw), raw.num_invalid) == (0, {"region smaller than 64 px": 1})


def test_a_mask_of_a_part_of_the_scene_makes_no_class_complete(tmp_path: Path) -> None:
    entries = {name: entry.model_copy(update={"complete": True}) for name, entry in table().classes.items()}
    complete = table().model_copy(update={"classes": entries})
    here = scene(transform=UTM)
    half = np.full((200, 100), 2, dtype=np.uint8)
    path = write(tmp_path, half, crs="EPSG:32618", transform=Affine(0.5, 0, UTM.c, 0, -0.5, UTM.f))
    labels = read_labels(here, [path], complete)
    judged = complete_classes(labels.features, (200, 200), complete, doubts=labels.doubts)
    assert {one.is_complete for one in judged.values()} == {False}
    assert labels.report.files[0].notes == ("it covers a part of the scene only",)
    path = write(tmp_path, np.full((200, 200), 2, dtype=np.uint8), crs="EPSG:32618", transform=Affine(*UTM))
    labels = read_labels(here, [path], complete)
    judged = complete_classes(labels.features, (200, 200), complete, doubts=labels.doubts)
    assert {one.is_complete for one in judged.values()} == {True}


def test_a_mask_of_another_place_is_no_label_of_the_scene(tmp_path: Path) -> None:
    grid = np.full((200, 200), 2, dtype=np.uint8)
    path = write(tmp_path, grid, crs="EPSG:32618", transform=Affine(0.5, 0, UTM.c + 100, 0, -0.5, UTM.f))
    with pytest.raises(NotLabelsError, match="the raster does not reach the scene"):
        read_mask(path, scene(transform=UTM), table())


def test_a_mask_without_a_class_is_read(tmp_path: Path) -> None:
    raw = read_mask(write(tmp_path, np.zeros((200, 200), dtype=np.uint8)), scene(), table())
    assert (len(raw), raw.unknown, raw.notes) == (0, {}, ())


def instances() -> NDArray[np.uint16]:
    """Two objects that touch, 10 × 10 each; one of two parts, 4 × 4 and 4 × 5."""
    grid = np.zeros((200, 200), dtype=np.uint16)
    grid[10:20, 10:20] = 1
    grid[10:20, 20:30] = 700
    grid[50:54, 50:54] = 3
    grid[60:64, 50:55] = 3
    return grid


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "float32"])
def test_each_number_of_a_raster_of_instances_is_an_object(
    tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mask, "STRIP_PX", 200 * 7)  # strips of 7 rows cut every object
    path = write(tmp_path, instances().astype(dtype)).rename(tmp_path / "place_car_mask.tif")
    labels = read_labels(scene(), [path], table(mask="instances"))
    assert labels.features.class_names == ("car",) * 3
    assert [(one.area, one.bounds) for one in labels.features.geometries] == [
        (100, (10, 10, 20, 20)),
        (36, (50, 50, 55, 64)),
        (100, (20, 10, 30, 20)),
    ]
    assert labels.features.is_certain.all()
    assert labels.features.ids == ("place_car_mask:1", "place_car_mask:3", "place_car_mask:700")


def test_the_class_of_instances_must_be_told(tmp_path: Path) -> None:
    path = write(tmp_path, instances())
    with pytest.raises(LabelError, match=r"of which class its instances are: name it place_<class>_mask\.tif"):
        read_mask(path, scene(), table(mask="instances"))
    only = table(mask="instances").model_copy(update={"classes": {"car": table().classes["car"]}})
    assert set(read_mask(path, scene(), only).sources) == {"car"}


def test_values_that_are_no_numbers_of_instances_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, np.full((200, 200), 0.5, dtype=np.float32)).rename(tmp_path / "car.tif")
    with pytest.raises(LabelError, match="its values are not numbers of objects"):
        read_mask(path, scene(), table(mask="instances"))
    path = write(tmp_path, np.zeros((200, 200), dtype=np.uint8)).rename(tmp_path / "car.tif")
    assert len(read_mask(path, scene(), table(mask="instances"))) == 0


def test_instances_of_a_large_raster_are_read_around_the_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 3,000 × 3,000 px on the grid of the scene, which is at (1000, 1000); object 2 reaches far out of it
    grid = np.zeros((3000, 3000), dtype=np.uint16)
    grid[1010:1020, 1030:1040] = 1
    grid[1100:1110, 1190:1700] = 2
    grid[2500:2600, 2500:2600] = 3
    transform = Affine(0.5, 0, UTM.c - 500, 0, -0.5, UTM.f + 500)
    path = write(tmp_path, grid, crs="EPSG:32618", transform=transform).rename(tmp_path / "car.tif")
    read_px: list[int] = []
    numbered = mask._numbered

    def counted(source: Any, window: Any) -> Any:
        read_px.append(window.width * window.height)
        return numbered(source, window)

    monkeypatch.setattr(mask, "_numbered", counted)
    raw = read_mask(path, scene(transform=UTM), table(mask="instances"))
    assert [one.bounds for one in raw.geometries] == [(30, 10, 40, 20), (190, 100, 700, 110)]
    # 2 + 64 px around 200; three times the sides; then from 0 to 602 + 2 × 996
    assert read_px == [332**2, 996**2, 2594**2]
    grid[1100:1110, 1190:1700] = 0
    path = write(tmp_path, grid, crs="EPSG:32618", transform=transform).rename(tmp_path / "car.tif")
    read_px.clear()
    assert len(read_mask(path, scene(transform=UTM), table(mask="instances"))) == 1
    assert read_px == [332**2]


def test_instances_of_a_part_of_the_scene_are_not_all(tmp_path: Path) -> None:
    half = np.ones((200, 100), dtype=np.uint16)
    path = write(tmp_path, half, crs="EPSG:32618", transform=Affine(0.5, 0, UTM.c, 0, -0.5, UTM.f))
    path = path.rename(tmp_path / "car.tif")
    labels = read_labels(scene(transform=UTM), [path], table(mask="instances"))
    assert labels.doubts == {"car": "labels of car.tif were rejected"}
    assert labels.report.files[0].notes == ("it covers a part of the scene only",)
