"""Ground distances, north and outlines against numbers worked out by hand on the ellipsoid."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from shapely import MultiPolygon, Point, Polygon

from rsvqa.rsvqa_builder.scenes.georeference import (
    AffineCoefficients,
    Georeference,
    locate,
    polygon_on_sphere,
    window_footprints,
)
from rsvqa.rsvqa_builder.scenes.tiling import Window

UTM18, UTM60 = CRS.from_epsg(32618), CRS.from_epsg(32660)


def north_up(x: float, y: float, pixel: float) -> AffineCoefficients:
    return AffineCoefficients(pixel, 0, x, 0, -pixel, y)


def turned(x: float, y: float, degrees: float, width: float, height: float) -> AffineCoefficients:
    """Return pixels of `width` × `height` whose picture is turned against the clock, with pixel (0, 0) at (x, y)."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return AffineCoefficients(width * cos, height * sin, x, width * sin, -height * cos, y)


def locate_around(crs: CRS, x: float, y: float, *, pixel: float, side: int = 64) -> Georeference:
    """Locate a square scene whose centre is (x, y)."""
    half = side * pixel / 2
    return locate(crs, north_up(x - half, y + half, pixel), width=side, height=side)


def test_geographic_pixels_are_measured_on_the_ellipsoid() -> None:
    # At the equator one degree east is a·π/180 = 6,378,137 · 0.01745329 = 111,319.49 m, and one degree north is
    # a(1 − e²)·π/180 = 6,335,439.33 · 0.01745329 = 110,574.28 m.
    found = locate_around(CRS.from_epsg(4326), 0, 0, pixel=0.001)
    assert found.gsd_m == pytest.approx((111.31949, 110.57428), rel=1e-6)
    assert found.north_deg == 0


def test_web_mercator_gives_metres_on_the_ground() -> None:
    # At 60° north, y = 8,399,737.89. With w = 1 − e² sin² 60° = 0.99497921, a metre of the map is
    # cos 60° / √w = 0.501260 m east and cos 60° (1 − e²) / w^1.5 = 0.500417 m north.
    found = locate_around(CRS.from_epsg(3857), 0, 8_399_737.89, pixel=1)
    assert found.gsd_m == pytest.approx((0.501260, 0.500417), abs=2e-6)
    assert "1 m in the CRS 'WGS 84 / Pseudo-Mercator' but 0.5013 m on the ground" in found.notes[0]


def test_utm_keeps_its_own_metres() -> None:
    # The ground differs by the scale factor 0.9996 only.
    assert locate_around(UTM18, 500_000, 4_000_000, pixel=0.5).gsd_m == (0.5, 0.5)


def test_feet_become_metres() -> None:
    # New York Long Island counts in US survey feet: 1200 / 3937 m
    found = locate_around(CRS.from_epsg(2263), 984_000, 208_000, pixel=2)
    assert found.gsd_m == pytest.approx((2 * 1200 / 3937, 2 * 1200 / 3937), rel=1e-12)


def test_grads_are_not_taken_for_degrees() -> None:
    # NTF (Paris) in grads: 0.001 grad = 0.0009° of latitude, 0.0009 · 111.2 km = 100.07 m at 50 grads = 45° north
    found = locate_around(CRS.from_epsg(4807), 0, 50, pixel=0.001)
    assert found.gsd_m is not None
    assert found.gsd_m.y_m == pytest.approx(100.02, abs=0.05)


def test_north_is_turned_by_the_meridian_convergence() -> None:
    # 24.5° north, 2.75° west of the central meridian: sin 24.5° · 2.75° = 1.14°; true north is clockwise of the grid's.
    found = locate_around(UTM18, 221_500, 2_712_500, pixel=10)
    assert found.north_deg == pytest.approx(1.14, abs=0.02)


def test_north_is_clockwise_of_a_picture_turned_against_the_clock() -> None:
    # The scene lies on the central meridian, where grid north is true north.
    found = locate(UTM18, turned(500_000, 4_000_000, 30, 2, 2), width=10, height=10)
    assert found.gsd_m == pytest.approx((2.0, 2.0))
    assert found.north_deg == pytest.approx(30, abs=0.001)


def test_north_is_an_angle_in_the_picture_not_on_the_ground() -> None:
    # One metre north is sin 30° / 0.5 = 1 px to the right and cos 30° / 2 = 0.4330 px up: atan(1 / 0.4330) = 66.587°.
    found = locate(UTM18, turned(500_000, 4_000_000, 30, 0.5, 2), width=10, height=10)
    assert found.gsd_m == pytest.approx((0.5, 2.0))
    assert found.north_deg == pytest.approx(66.587, abs=0.001)


def test_a_mirrored_picture_has_no_compass() -> None:
    # Rows run north: east is clockwise of north on the ground, but not in the picture.
    found = locate(UTM18, AffineCoefficients(1, 0, 500_000, 0, 1, 4_000_000), width=10, height=10)
    assert found.north_deg is None
    assert found.gsd_m == (1, 1)
    assert any("mirrored" in note for note in found.notes)


def test_outline_is_a_closed_curve_around_the_scene() -> None:
    found = locate_around(UTM18, 500_000, 4_000_000, pixel=100)
    assert isinstance(found.footprint, Polygon)
    assert found.footprint.is_valid
    # On the central meridian of zone 18; 64 · 100 m = 6.4 km is 0.0711° of longitude at 36.1° north.
    assert found.footprint.contains(Point(-75, 36.145))
    west, _, east, _ = found.footprint.bounds
    assert east - west == pytest.approx(6400 / (111_320 * math.cos(math.radians(36.145))), rel=2e-3)


def test_outline_across_the_antimeridian_is_cut_in_two() -> None:
    # On the equator the 180th meridian is at x = 833,978.6 of zone 60: 20 km of the scene lie on either side.
    found = locate_around(UTM60, 833_978.6, 0, pixel=1000, side=40)
    assert isinstance(found.footprint, MultiPolygon)
    assert found.footprint.is_valid
    west, east = sorted(found.footprint.geoms, key=lambda part: part.bounds[0])
    # 20 km are 20 / 111.32 = 0.18° of longitude, 40 km are 40 / 110.57 = 0.36° of latitude
    assert west.bounds == pytest.approx((-180, -0.181, -179.820, 0.181), abs=0.002)
    assert east.bounds == pytest.approx((179.820, -0.181, 180, 0.181), abs=0.002)


def test_outline_in_longitudes_up_to_360_is_brought_back() -> None:
    found = locate(CRS.from_epsg(4326), north_up(170, 10, 0.5), width=40, height=20)  # 170° to 190° east
    assert isinstance(found.footprint, MultiPolygon)
    assert sorted(part.bounds for part in found.footprint.geoms) == [(-180, 0, -170, 10), (170, 0, 180, 10)]


def test_outline_around_the_pole_holds_the_pole() -> None:
    # 640 km around the north pole in polar stereographic
    found = locate_around(CRS.from_epsg(3413), 0, 0, pixel=10_000)
    assert found.footprint is not None
    assert found.footprint.is_valid
    for longitude in (-179, -90, 0, 44, 135, 179):
        assert found.footprint.contains(Point(longitude, 89.5))
        assert not found.footprint.contains(Point(longitude, 80))


def test_whole_world_stays_one_outline() -> None:
    found = locate(CRS.from_epsg(4326), north_up(-180, 90, 0.5), width=720, height=360)
    assert found.footprint is not None
    assert found.footprint.bounds == (-180, -90, 180, 90)
    assert found.footprint.area == pytest.approx(360 * 180)


def test_another_planet_has_distances_but_no_footprint() -> None:
    # Mars: a sphere of 3,396,190 m; one degree is 3,396,190 · π / 180 = 59,274.70 m
    mars = CRS.from_wkt(
        'GEOGCS["Mars",DATUM["D_Mars",SPHEROID["Mars",3396190,0]],PRIMEM["Reference",0],UNIT["degree",0.0174532925199433]]'
    )
    found = locate_around(mars, 0, 0, pixel=0.001)
    assert found.gsd_m == pytest.approx((59.27470, 59.27470), rel=1e-6)


def test_engineering_crs_says_nothing_about_the_ground() -> None:
    site = CRS.from_wkt('LOCAL_CS["building site",UNIT["metre",1]]')
    found = locate_around(site, 0, 0, pixel=1)
    assert (found.gsd_m, found.north_deg, found.footprint) == (None, None, None)
    assert "'building site' (Engineering CRS) is not tied to the ground" in found.notes[0]


def test_place_out_of_reach_of_the_crs_has_no_distances() -> None:
    found = locate_around(CRS.from_epsg(4326), 0, 500, pixel=1)
    assert found.gsd_m is None
    assert "outside the reach of its CRS 'WGS 84'" in found.notes[0]


coordinates = st.floats(-1e6, 1e6, allow_nan=False)


@settings(max_examples=50)
@given(
    st.builds(turned, coordinates, coordinates, st.floats(0, 360), st.floats(0.01, 1000), st.floats(0.01, 1000)),
    st.floats(0, 50_000),
    st.floats(0, 50_000),
)
def test_pixel_to_map_and_back_is_the_same_pixel(transform: AffineCoefficients, x: float, y: float) -> None:
    back = transform.to_pixels(*transform.to_map(np.array([x]), np.array([y])))
    # coordinates of 1e6 carry 1e-10, seen by pixels of 0.01 as 1e-8
    assert (back[0][0], back[1][0]) == pytest.approx((x, y), abs=1e-5)


@settings(max_examples=25)
@given(st.floats(200_000, 800_000), st.floats(100_000, 8_000_000), st.floats(0, 360), st.floats(0.1, 30))
def test_footprint_is_valid_and_holds_the_centre(x: float, y: float, turn: float, pixel: float) -> None:
    origin = turned(x, y, turn, pixel, pixel).to_map(np.array([-50.0]), np.array([-50.0]))
    found = locate(UTM18, turned(origin[0][0], origin[1][0], turn, pixel, pixel), width=100, height=100)
    centre = locate_around(UTM18, x, y, pixel=pixel, side=2).footprint
    assert found.footprint is not None
    assert centre is not None
    assert found.footprint.is_valid
    assert found.footprint.contains(centre.centroid)


@pytest.mark.parametrize("epsg", [32632, 4326, 3857, 3413])
@pytest.mark.parametrize("turn", [0.0, 0.3])
def test_outlines_of_many_windows_are_those_of_each_alone(epsg: int, turn: float) -> None:
    # 32632 and 3857 lie within ±180°, 4326 reaches over it, 3413 goes around the pole
    pixel, x, y = {32632: (0.5, 4e5, 5e6), 4326: (1e-4, 179.9, 10.0), 3857: (3.0, 1e6, 6e6), 3413: (3.0, -1e4, 1e4)}[
        epsg
    ]
    cos, sin = pixel * math.cos(turn), pixel * math.sin(turn)
    transform = AffineCoefficients(cos, sin, x, sin, -cos, y)
    windows = [Window(column, row, 700 + column, 900 - row) for column in (0, 800, 3000) for row in (0, 500)]
    crs = CRS.from_epsg(epsg)
    found = window_footprints(crs.to_wkt(), transform, windows)
    edge = np.linspace(0, 1, 21)[:-1]
    columns = np.concatenate([edge, np.ones(20), 1 - edge, np.zeros(20), [0.0]])
    rows = np.concatenate([np.zeros(20), edge, np.ones(20), 1 - edge, [0.0]])
    for outline, window in zip(found, windows, strict=True):
        left, top = transform.to_map(np.array(window.x), np.array(window.y))
        to_map = transform._replace(c=float(left), f=float(top)).to_map
        to_wgs84 = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        lon, lat = to_wgs84.transform(*to_map(columns * window.width, rows * window.height))
        alone = polygon_on_sphere(lon, lat, continuous=crs.is_geographic)
        assert outline is not None
        assert alone is not None
        assert outline.wkb == alone.wkb
    assert window_footprints(crs.to_wkt(), transform, []) == []
