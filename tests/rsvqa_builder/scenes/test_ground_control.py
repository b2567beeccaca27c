"""Scenes that ground control points or RPCs place, and labels on them."""

from __future__ import annotations

import json
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.rpc import RPC

from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.label_check import check_labels
from rsvqa.rsvqa_builder.label_files.placing import place_by_crs
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.scenes.ground_control import GroundControl
from rsvqa.rsvqa_builder.scenes.pairs import alignment
from rsvqa.rsvqa_builder.scenes.scene import Scene, describe_scene
from rsvqa.rsvqa_builder.settings import BuildSettings
from tests.rsvqa_builder.make_rasters import make_pixels, write_raster

UTM36 = "EPSG:32636"
SIDE = 200
ToMap = Callable[[float, float], tuple[float, float]]


def straight(column: float, row: float) -> tuple[float, float]:
    return 500_000 + 0.5 * column, 4_000_000 - 0.5 * row


def bent(column: float, row: float) -> tuple[float, float]:
    """Bend by 20 px over the picture: a trapezium, as an oblique view is."""
    return 500_000 + 0.5 * column + 0.00025 * column * row, 4_000_000 - 0.5 * row


def write_with_points(path: Path, to_map: ToMap, *, crs: str | None = UTM36, off_px: float = 0.0) -> Path:
    spots = [(c, r) for r in (0, 50, 100, 150, 200) for c in (0, 50, 100, 150, 200)]
    points = [GroundControlPoint(r, c, *to_map(c, r)) for c, r in spots]
    points[12].x += 0.5 * off_px
    with write_plain(path) as dataset:
        dataset.gcps = (points, rasterio.CRS() if crs is None else rasterio.CRS.from_user_input(crs))
    return path


@contextmanager
def write_plain(path: Path) -> Iterator[DatasetWriter]:
    write_raster(path, make_pixels(3, SIDE, SIDE), transform=None, crs=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "r+") as dataset:
            yield dataset


def place(scene: Scene, *geometries: shapely.Geometry, crs: str = UTM36) -> list[tuple[float, float, float, float]]:
    placed = place_by_crs(np.array(geometries, dtype=object), crs, scene)
    assert placed.on_map
    return [geometry.bounds for geometry in placed.geometries]


def on_map(to_map: ToMap, *corners: tuple[float, float]) -> shapely.Polygon:
    return shapely.Polygon([to_map(*corner) for corner in corners])


def square(x: float, y: float) -> tuple[tuple[float, float], ...]:
    return (x, y), (x + 20, y), (x + 20, y + 10), (x, y + 10)


def test_points_on_a_grid_are_a_transform(tmp_path: Path) -> None:
    scene = describe_scene(str(write_with_points(tmp_path / "a.tif", straight)), "a")
    assert scene.transform == pytest.approx((0.5, 0, 500_000, 0, -0.5, 4_000_000), abs=1e-6)
    assert scene.gsd_m == pytest.approx((0.5, 0.5))
    assert scene.notes[0].startswith("placed by its 25 ground control points, which agree to ")
    assert place(scene, on_map(straight, *square(100, 40))) == [pytest.approx((100, 40, 120, 50), abs=1e-3)]


def test_points_that_bend_place_labels_to_a_tenth_of_a_pixel(tmp_path: Path) -> None:
    scene = describe_scene(str(write_with_points(tmp_path / "a.tif", bent)), "a")
    assert isinstance(scene.transform, GroundControl)
    assert scene.notes[0].startswith("placed by a polynomial through its 25 ground control points, which agree to ")
    # at the centre a step to the right is 0.5 + 0.00025 · 100 m, and one down is (0.00025 · 100, -0.5) m
    assert scene.gsd_m == pytest.approx((0.525, math.hypot(0.025, 0.5)), rel=1e-3)
    assert scene.footprint is not None
    boxes = place(scene, on_map(bent, *square(10, 10)), on_map(bent, *square(170, 180)))
    assert boxes == [pytest.approx((10, 10, 30, 20), abs=0.1), pytest.approx((170, 180, 190, 190), abs=0.1)]
    assert pickle.loads(pickle.dumps(scene)).transform == scene.transform  # noqa: S301 (workers get scenes so)


def test_what_reaches_beyond_the_scene_is_cut_and_what_is_elsewhere_stays_outside(tmp_path: Path) -> None:
    scene = describe_scene(str(write_with_points(tmp_path / "a.tif", bent)), "a")
    region = shapely.box(490_000, 3_900_000, 510_000, 4_100_000)
    elsewhere = shapely.box(530_000, 4_030_000, 530_100, 4_030_100)
    (x_min, y_min, x_max, y_max), far = place(scene, region, elsewhere)
    assert x_min < -20
    assert y_min < -20
    assert x_max > SIDE + 20
    assert y_max > SIDE + 20
    assert far[0] > 10 * SIDE
    point, line = place(scene, shapely.Point(bent(50, 60)), shapely.LineString([bent(0, 100), bent(SIDE, 100)]))
    assert point == pytest.approx((50, 60, 50, 60), abs=0.1)
    assert line == pytest.approx((0, 100, SIDE, 100), abs=0.15)


def test_points_without_a_crs_need_one(tmp_path: Path) -> None:
    path = str(write_with_points(tmp_path / "a.tif", straight, crs=None))
    scene = describe_scene(path, "a")
    assert (scene.crs, scene.transform) == (None, None)
    assert scene.notes == ("its ground control points state no CRS: no georeference (give crs)",)
    assert describe_scene(path, "a", crs=UTM36).gsd_m == pytest.approx((0.5, 0.5))


def test_points_that_disagree_are_refused(tmp_path: Path) -> None:
    scene = describe_scene(str(write_with_points(tmp_path / "a.tif", bent, off_px=20)), "a")
    assert (scene.crs, scene.transform, scene.gsd_m) == (None, None, None)
    assert "its 25 ground control points disagree by " in scene.notes[0]
    assert "px: no georeference (gdalwarp makes one)" in scene.notes[0]


def test_points_on_one_line_do_not_fix_a_place(tmp_path: Path) -> None:
    points = [GroundControlPoint(x, x, *straight(x, x)) for x in (0, 100, 200)]
    path = write_raster(tmp_path / "a.tif", make_pixels(3, SIDE, SIDE), transform=None, gcps=points, crs=UTM36)
    note = "its 3 ground control points do not fix its place: no georeference (gdalwarp makes one)"
    assert describe_scene(str(path), "a").notes == (note,)


def write_with_rpc(path: Path) -> Path:
    """Write a view in which a step of 1e-5° is a pixel, and 500 m of height move the ground by 20 px to the right."""
    one = [1.0, *[0.0] * 19]  # the terms are 1, longitude, latitude, height …
    samples = [0.0, 1.0, 0.0, 0.2, *[0.0] * 16]
    lines = [0.0, 0.0, -1.0, *[0.0] * 17]
    rpc = RPC(
        height_off=120, height_scale=500, lat_off=45, lat_scale=0.001, line_den_coeff=one, line_num_coeff=lines,
        line_off=99.5, line_scale=100, long_off=7, long_scale=0.001, samp_den_coeff=one, samp_num_coeff=samples,
        samp_off=99.5, samp_scale=100, err_bias=None, err_rand=None,
    )  # fmt: skip
    with write_plain(path) as dataset:
        dataset.rpcs = rpc
    return path


def test_rpcs_place_labels_at_a_stated_height(tmp_path: Path) -> None:
    scene = describe_scene(str(write_with_rpc(tmp_path / "a.tif")), "a")
    # pixel centres are whole numbers in RPCs, so (7°, 45°) at 120 m is the corner of four pixels, (100, 100)
    box = shapely.box(7.0002, 45.0001, 7.0004, 45.0003)
    assert place(scene, box, crs="EPSG:4326") == [pytest.approx((120, 70, 140, 90), abs=0.02)]
    assert scene.notes == (
        "placed by its RPCs at a height of 120 m above the ellipsoid, without an elevation model: where the ground is "
        "100 m higher or lower, labels lie 4.0 px off",
    )
    # 1e-5° at 45° north: 0.788 m of longitude and 1.111 m of latitude
    assert scene.gsd_m == pytest.approx((0.7885, 1.1113), rel=1e-3)
    reason = alignment(scene, scene)
    assert isinstance(reason, str)
    assert "control points or RPCs place one of them" in reason


def test_the_dry_run_shows_how_such_a_scene_is_placed(tmp_path: Path) -> None:
    write_with_points(tmp_path / "a.tif", bent)
    geometry = shapely.geometry.mapping(on_map(bent, *square(100, 40)))
    feature = {"type": "Feature", "properties": {"class": "building"}, "geometry": geometry}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32636"}}
    content = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    report = check_labels(load_settings(BuildSettings, {"src": str(tmp_path)}), num_workers=0, reporter=QuietReporter())
    (facts,) = report["scenes"].values()
    assert facts["labels"]["by_class"] == {"building": 1}
    assert any("placed by a polynomial through its 25 ground control points" in note for note in facts["notes"])
