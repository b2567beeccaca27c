"""Vector layers: coordinates, class columns, tags, layers."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files import vector
from rsvqa.rsvqa_builder.label_files.identity import Identity, ImageNames
from rsvqa.rsvqa_builder.label_files.placing import map_to_pixels, pixels_to_map
from rsvqa.rsvqa_builder.label_files.vector import image_names, read_vector
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError
from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients, Scene
from tests.rsvqa_builder.labels.make_labels import UTM, geojson, polygon, scene, square, table

UTM_URN = "urn:ogc:def:crs:EPSG::32618"


def test_map_coordinates_become_pixels(tmp_path: Path) -> None:
    # Half a metre a pixel, top left corner at (500000, 4000100): 10 m to the east are 20 px, 30 m down are 60 px.
    path = geojson(tmp_path / "cars.geojson", [(square(500_010, 4_000_060, 10), {})], crs=UTM_URN)
    raw = read_vector(path, scene(transform=UTM), table())
    assert raw.geometries[0].bounds == (20, 60, 40, 80)
    assert list(raw.sources) == ["cars"]
    assert raw.notes == ()


def test_longitude_and_latitude_are_reprojected(tmp_path: Path) -> None:
    to_degrees = pyproj.Transformer.from_crs(32618, 4326, always_xy=True)
    corners = [to_degrees.transform(500_000 + x, 4_000_100 - y) for x, y in ((10, 30), (20, 30), (20, 40), (10, 40))]
    raw = read_vector(geojson(tmp_path / "cars.geojson", [(polygon(*corners), {})]), scene(transform=UTM), table())
    assert raw.geometries[0].bounds == pytest.approx((20, 60, 40, 80), abs=1e-4)


def test_long_edges_follow_the_curve_of_a_parallel(tmp_path: Path) -> None:
    # 1° of longitude at 60° N is 55.8 km; its parallel leaves the straight line in UTM by
    # (55.8 km)² · tan 60° / (8 · 6,378 km) = 106 m in the middle, in 10 m pixels 10.6.
    to_map = pyproj.Transformer.from_crs(4326, 32618, always_xy=True)
    west, north = to_map.transform(-75.5, 60)
    grid = AffineCoefficients(10, 0, west - 1000, 0, -10, north + 1000)
    place = scene(width=5800, height=5800, transform=grid)
    path = geojson(tmp_path / "water.geojson", [(polygon((-75.5, 59.8), (-74.5, 59.8), (-74.5, 60), (-75.5, 60)), {})])
    outline = read_vector(path, place, table()).geometries[0]
    x, y = to_map.transform(-75, 60)
    middle = shapely.Point((x - grid.c) / 10, (grid.f - y) / 10)
    assert outline.exterior.distance(middle) < 0.1
    ends = [
        ((to_map.transform(lon, 60)[0] - grid.c) / 10, (grid.f - to_map.transform(lon, 60)[1]) / 10)
        for lon in (-75.5, -74.5)
    ]
    assert shapely.LineString(ends).distance(middle) == pytest.approx(10.6, abs=0.3)


def test_coordinates_that_are_no_degrees_are_tried_as_the_scenes(tmp_path: Path) -> None:
    path = geojson(tmp_path / "cars.geojson", [(square(500_010, 4_000_060, 10), {})])
    raw = read_vector(path, scene(transform=UTM), table())
    assert raw.geometries[0].bounds == (20, 60, 40, 80)
    assert raw.notes == ("coordinates read in the scene's CRS: the file names no CRS and they do not fit EPSG:4326",)


@pytest.mark.parametrize(
    ("y", "note"), [(150, "coordinates read as scene pixels, y down"), (-190, "coordinates read as scene pixels, y up")]
)
def test_coordinates_that_are_no_degrees_are_tried_as_pixels(tmp_path: Path, y: float, note: str) -> None:
    path = geojson(tmp_path / "cars.geojson", [(square(150, y, 40), {})])
    raw = read_vector(path, scene(), table())
    # 40 px from −190 up are −190 to −150: rows 150 to 190 below the top edge.
    assert raw.geometries[0].bounds == (150, 150, 190, 190)
    assert raw.notes[0].startswith(note)


def test_degrees_are_never_taken_for_pixels(tmp_path: Path) -> None:
    path = geojson(tmp_path / "cars.geojson", [(square(12, 41, 1), {})])
    with pytest.raises(LabelError, match="in WGS 84, but the scene has no CRS"):
        read_vector(path, scene(), table())


def test_coordinates_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    path = geojson(tmp_path / "cars.geojson", [(square(9_000, 9_000, 10), {})])
    with pytest.raises(LabelError, match=r"coordinates \(9000, 9000, 9010, 9010\) are neither"):
        read_vector(path, scene(), table())


def test_a_broken_file_is_a_label_error(tmp_path: Path) -> None:
    path = tmp_path / "cars.geojson"
    path.write_text('{"type": "FeatureCollection", "features": [', "utf-8")
    with pytest.raises(LabelError, match="GDAL cannot"):
        read_vector(path, scene(), table())


def test_class_columns_tags_and_the_file_name_in_turn(tmp_path: Path) -> None:
    features: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (square(100, 100, 9), {"class": "Car", "natural": "tree", "label": None}),
        (square(120, 100, 9), {"class": "", "natural": "tree", "label": ""}),
        (square(140, 100, 9), {"class": None, "natural": "", "label": "tree"}),
        (square(160, 100, 9), {"class": "shed", "natural": "tree", "label": ""}),
        (square(180, 100, 9), {"class": "shed", "natural": "", "label": ""}),
        (square(180, 180, 9), {"class": "", "natural": "", "label": ""}),
    ]
    raw = read_vector(geojson(tmp_path / "place_water.geojson", features), scene(), table())
    assert list(raw.sources) == ["Car", "natural=tree", "tree", "natural=tree", "shed", "water"]


def test_rows_of_other_images_are_left_out(tmp_path: Path) -> None:
    features = [
        (square(100, 100, 9), {"image_id": f"{name}.tif", "class": 4.0}) for name in ("place", "other", "third")
    ]
    raw = read_vector(geojson(tmp_path / "all.geojson", features), scene(), table())
    assert len(raw) == 1
    assert raw.num_other_image == 2
    assert list(raw.sources) == ["4"]
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_vector(tmp_path / "all.geojson", scene("elsewhere.tif"), table())


def test_boxes_are_recognised_when_a_whole_class_has_nothing_else(tmp_path: Path) -> None:
    features = [
        (square(100, 100, 9), {"class": "car"}),
        (square(120, 150, 9), {"class": "car"}),
        (square(140, 100, 9), {"class": "tree"}),
        (polygon((160, 100), (170, 104), (165, 111)), {"class": "tree"}),
    ]
    raw = read_vector(geojson(tmp_path / "a.geojson", features), scene(), table())
    assert list(raw.outlines) == [Outline.BOX, Outline.BOX, Outline.POLYGON, Outline.POLYGON]


def test_all_layers_of_a_geopackage_are_read_and_far_labels_counted(tmp_path: Path) -> None:
    path = tmp_path / "place.gpkg"
    near, far = shapely.box(500_010, 4_000_060, 500_020, 4_000_070), shapely.box(600_000, 4_000_000, 600_010, 4_000_010)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array([far, near])),
        [np.array(["car", "car"], dtype=object)],
        ["class"],
        layer="objects",
        geometry_type="Polygon",
        crs="EPSG:32618",
    )
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array([shapely.LineString([(500_000, 4_000_050), (500_100, 4_000_050)])])),
        [np.array([3], dtype=np.int64)],
        ["lanes"],
        layer="roads",
        geometry_type="LineString",
        crs="EPSG:32618",
        append=True,
    )
    raw = read_vector(path, scene(transform=UTM), table())
    # Feature ids of a GeoPackage start at 1; the far car is the first.
    assert raw.positions == ("objects:2", "roads:1")
    assert raw.num_outside == 1
    assert list(raw.sources) == ["car", "roads"]
    assert raw.geometries[1].equals(shapely.LineString([(0, 100), (200, 100)]))


def test_open_street_map_files_are_cut_to_the_scene(tmp_path: Path) -> None:
    to_degrees = pyproj.Transformer.from_crs(32618, 4326, always_xy=True)
    nodes = {1: (20, 20), 2: (60, 20), 3: (60, 60), 4: (20, 60), 5: (0, 80), 6: (90, 80), 7: (5000, 10), 8: (5000, 90)}
    places = {key: to_degrees.transform(500_000 + x, 4_000_100 - y) for key, (x, y) in nodes.items()}
    lines = [f'<node id="{key}" lon="{lon}" lat="{lat}" version="1"/>' for key, (lon, lat) in places.items()]
    ways = {
        10: ((1, 2, 3, 4, 1), "natural", "water"),
        11: ((5, 6), "highway", "residential"),
        12: ((7, 8), "highway", "residential"),
    }
    for key, (refs, tag, value) in ways.items():
        points = "".join(f'<nd ref="{ref}"/>' for ref in refs)
        lines.append(f'<way id="{key}" version="1">{points}<tag k="{tag}" v="{value}"/></way>')
    path = tmp_path / "place.osm"
    path.write_text(f'<osm version="0.6">{"".join(lines)}</osm>', "utf-8")
    # The driver is the one of .osm.pbf files, which nothing here can write.
    renamed = path.rename(tmp_path / "place.osm.pbf")
    raw = read_vector(renamed, scene(transform=UTM), table())
    # The format keeps 1e-7 degrees: 1 cm, a fiftieth of a pixel.
    assert sorted(raw.sources) == ["highway=residential", "natural=water"]
    by_source = dict(zip(raw.sources, raw.geometries, strict=True))
    assert by_source["highway=residential"].bounds == pytest.approx((0, 160, 180, 160), abs=0.03)
    assert by_source["natural=water"].bounds == pytest.approx((40, 40, 120, 120), abs=0.03)


def in_degrees(east: float, south: float, side: float = 10) -> dict[str, Any]:
    """A square in degrees, its upper left corner metres to the east and south of the corner of the scene."""
    to_degrees = pyproj.Transformer.from_crs(32618, 4326, always_xy=True)
    corners = ((east, south), (east + side, south), (east + side, south + side), (east, south + side))
    return polygon(*(to_degrees.transform(500_000 + x, 4_000_100 - y) for x, y in corners))


def shapefile(path: Path, *boxes: tuple[float, float, float, float], crs: str | None = None) -> Path:
    """Write boxes without a .prj, or with one."""
    wkb = shapely.to_wkb(np.array([shapely.box(*box) for box in boxes], dtype=object))
    names = np.array(["car"] * len(boxes), dtype=object)
    pyogrio.raw.write(path, wkb, [names], ["class"], geometry_type="Polygon", crs=crs, driver="ESRI Shapefile")
    return path


NO_PRJ = pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")


@NO_PRJ
def test_a_shapefile_without_prj_in_degrees_lies_where_they_are(tmp_path: Path) -> None:
    degrees = shapely.geometry.shape(in_degrees(10, 30)).bounds
    path = shapefile(tmp_path / "a.shp", degrees)
    raw = read_vector(path, scene(transform=UTM), table())
    assert raw.geometries[0].bounds == pytest.approx((20, 60, 40, 80), abs=0.01)
    assert raw.notes == ("coordinates read as degrees: the file names no CRS",)
    assert raw.on_map


@NO_PRJ
@pytest.mark.parametrize("transform", [None, UTM])
@pytest.mark.parametrize("box", [(33.0, 0.36, 33.1, 0.37), (-122.4, 37.7, -122.3, 37.8), (12, 41, 13, 42)])
def test_a_shapefile_without_prj_that_may_be_in_degrees_is_never_pixels(
    tmp_path: Path, box: tuple[float, float, float, float], transform: AffineCoefficients | None
) -> None:
    path = shapefile(tmp_path / "a.shp", box)
    with pytest.raises(LabelError, match="may be degrees, but not of this scene, and the file names no CRS"):
        read_vector(path, scene(transform=transform), table())


@NO_PRJ
def test_pixels_are_not_map_coordinates_of_a_scene_in_degrees(tmp_path: Path) -> None:
    degrees = AffineCoefficients(1e-5, 0, 33, 0, -1e-5, 45)
    place = replace(scene(width=900, height=900, transform=degrees), crs=pyproj.CRS.from_epsg(4326).to_wkt())
    raw = read_vector(shapefile(tmp_path / "a.shp", (12, 41, 800, 700)), place, table())
    assert raw.geometries[0].bounds == (12, 41, 800, 700)
    assert raw.notes == ("coordinates read as scene pixels, y down: the file names no CRS",)


def test_a_stated_crs_that_the_coordinates_deny_is_refused(tmp_path: Path) -> None:
    degrees = shapely.geometry.shape(in_degrees(10, 30)).bounds
    with pytest.raises(LabelError, match=r"states WGS 84 / UTM zone 18N, but its coordinates .* are degrees that"):
        read_vector(shapefile(tmp_path / "a.shp", degrees, crs="EPSG:32618"), scene(transform=UTM), table())
    metres = (500_010, 4_000_060, 500_020, 4_000_070)
    with pytest.raises(LabelError, match=r"states WGS 84, but its coordinates .* are not degrees: state the CRS"):
        read_vector(shapefile(tmp_path / "b.shp", metres, crs="EPSG:4326"), scene(transform=UTM), table())


def test_a_crs_of_the_neighbouring_zone_is_remarked_on(tmp_path: Path) -> None:
    path = geojson(tmp_path / "a.geojson", [(square(500_010, 4_000_060, 10), {})], crs="urn:ogc:def:crs:EPSG::32617")
    raw = read_vector(path, scene(transform=UTM), table())
    assert raw.notes == (
        "nothing lies in the scene, but would if its coordinates were the scene's: is WGS 84 / UTM zone 17N right?",
    )


DATELINE = AffineCoefficients(0.001, 0, 179.9, 0, -0.001, 10)
"""A scene of 200 × 200 px that ends at 180.1°, 9.8° in EPSG:4326."""


def dateline_scene(west: float = 179.9) -> Scene:
    grid = DATELINE._replace(c=west)
    return replace(scene(transform=grid), crs=pyproj.CRS.from_epsg(4326).to_wkt())


@pytest.mark.parametrize("west", [179.9, -180.1])
@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_labels_on_both_sides_of_the_antimeridian_are_all_there(tmp_path: Path, west: float, suffix: str) -> None:
    boxes = [
        shapely.box(179.95, 9.9, 179.96, 9.91),
        shapely.box(-179.95, 9.9, -179.94, 9.91),  # 180.05°
        shapely.box(180.05, 9.95, 180.06, 9.96),
        # cut at 180°, as the standard asks
        shapely.MultiPolygon([shapely.box(179.99, 9.85, 180, 9.86), shapely.box(-180, 9.85, -179.99, 9.86)]),
        shapely.box(0, 9, 1, 10),
    ]
    path = tmp_path / f"a{suffix}"
    wkb = shapely.to_wkb(np.array(boxes, dtype=object))
    names = np.array(["car"] * len(boxes), dtype=object)
    pyogrio.raw.write(path, wkb, [names], ["class"], geometry_type="Unknown", crs="EPSG:4326")
    raw = read_vector(path, dateline_scene(west), table())
    found = [geometry.bounds for geometry in raw.geometries[:4]]
    expected = [(50, 90, 60, 100), (150, 90, 160, 100), (150, 40, 160, 50), (90, 140, 110, 150)]
    assert found == [pytest.approx(box, abs=1e-6) for box in expected]
    assert isinstance(raw.geometries[3], shapely.Polygon)


def test_a_label_that_jumps_over_the_antimeridian_is_one_small_one(tmp_path: Path) -> None:
    ring = polygon((179.99, 9.9), (-179.99, 9.9), (-179.99, 9.91), (179.99, 9.91))
    path = geojson(tmp_path / "cars.geojson", [(ring, {})])
    raw = read_vector(path, dateline_scene(), table())
    assert raw.geometries[0].bounds == pytest.approx((90, 90, 110, 100), abs=1e-6)
    # in a projected scene too, where edges would be divided around the world
    projected = replace(
        scene(transform=AffineCoefficients(100, 0, 823_000, 0, -100, 1_110_000)),
        crs=pyproj.CRS.from_epsg(32660).to_wkt(),
    )
    (geometry,) = read_vector(path, projected, table()).geometries
    x_min, _, x_max, _ = geometry.bounds
    # 0.02° of longitude at 9.9° north: 2.19 km
    assert x_max - x_min == pytest.approx(21.9, abs=0.3)
    assert geometry.area == pytest.approx(21.9 * 11.06, rel=0.02)


def test_web_mercator_runs_on_beyond_the_antimeridian(tmp_path: Path) -> None:
    edge = 20037508.342789244  # half the circumference: 180°
    web = pyproj.CRS.from_epsg(3857)
    _, north = pyproj.Transformer.from_crs(4326, web, always_xy=True).transform(0, 10)
    place = replace(scene(transform=AffineCoefficients(100, 0, edge - 10_000, 0, -100, north)), crs=web.to_wkt())
    # 0.01° are 1,113.19 m, 11.13 px; 180° is at pixel 100
    ring = polygon((-179.99, 9.98), (-179.98, 9.98), (-179.98, 9.99), (-179.99, 9.99))
    (geometry,) = read_vector(geojson(tmp_path / "cars.geojson", [(ring, {})]), place, table()).geometries
    assert (geometry.bounds[0], geometry.bounds[2]) == pytest.approx((111.132, 122.264), abs=0.01)


def test_a_belt_around_the_world_stays_one(tmp_path: Path) -> None:
    belt = polygon((-180, 9.85), (180, 9.85), (180, 9.9), (-180, 9.9))
    (geometry,) = read_vector(geojson(tmp_path / "water.geojson", [(belt, {})]), dateline_scene(), table()).geometries
    assert shapely.box(0, 100, 100, 150).within(geometry.buffer(1e-6))


def test_open_rings_are_closed(tmp_path: Path) -> None:
    open_ring = {"type": "Polygon", "coordinates": [[[100, 100], [109, 100], [109, 109], [100, 109]]]}
    holed = [[[20, 120], [60, 120], [60, 160], [20, 160]], [[30, 130], [40, 130], [40, 140], [30, 140]]]
    several = {"type": "MultiPolygon", "coordinates": [holed, open_ring["coordinates"]]}
    path = geojson(tmp_path / "cars.geojson", [(open_ring, {}), (several, {}), (square(150, 150, 9), {})])
    raw = read_vector(path, scene(), table())
    # 40 × 40 without 10 × 10, and 9 × 9
    assert [geometry.area for geometry in raw.geometries] == [81, 1500 + 81, 81]


def test_geojson_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = geojson(tmp_path / "cars.geojson", [(square(100, 100, 9), {"name": "Straße"}), (square(0, 190, 9), {})])
    path.write_bytes(path.read_text("utf-8").replace("\\u00df", "ß").encode("cp1252"))
    raw = read_vector(path, scene(), table())
    assert [attributes.get("name") for attributes in raw.attributes] == ["Straße", None]
    assert raw.notes[0] == "it is not UTF-8: read as cp1252"
    assert list(raw.sources) == ["cars", "cars"]


def test_one_layer_at_a_time_is_in_memory_as_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.gpkg"
    wkb = np.array([shapely.box(500_010, 4_000_060, 500_020, 4_000_070).wkb], dtype=object)
    for name in ("cars", "trees", "ponds"):
        pyogrio.raw.write(
            path,
            wkb,
            [],
            [],
            layer=name,
            driver="GPKG",
            geometry_type="Polygon",
            crs="EPSG:32618",
            append=path.exists(),
        )
    alive = []
    read = vector._layer

    def counted(*arguments: Any) -> Any:
        alive.append(sum(type(one) is vector._Layer for one in gc.get_objects()))
        return read(*arguments)

    monkeypatch.setattr(vector, "_layer", counted)
    gc.collect()
    before = sum(type(one) is vector._Layer for one in gc.get_objects())
    raw = read_vector(path, scene(transform=UTM), table())
    assert list(raw.positions) == ["cars:1", "trees:1", "ponds:1"]
    assert alive == [before] * 3


def test_images_of_one_stem_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    features = [(square(100 + 10 * i, 100, 9), {"image_id": f"{name}/place.tif"}) for i, name in enumerate("aab")]
    path = geojson(tmp_path / "all.geojson", features)
    assert image_names(path) == ImageNames.of(["a/place.tif", "b/place.tif"])
    one, other = "/set/a/place.tif", "/set/b/place.tif"
    raw = read_vector(path, scene(one), table(), Identity(one, (other,)))
    assert (len(raw), raw.num_other_image, raw.by_image) == (2, 1, True)
    with pytest.raises(LabelError, match="may both be the scene /flat/place"):
        read_vector(path, scene("/flat/place.tif"), table())


@pytest.mark.parametrize("ids", [["AOI_1", "AOI_1"], ["AOI_1", "AOI_2"], ["3", "4"]])
def test_ids_that_name_no_scene_do_not_matter_on_the_map(tmp_path: Path, ids: list[str]) -> None:
    features = [(in_degrees(10 + 20 * i, 30), {"ImageId": name}) for i, name in enumerate(ids)]
    path = geojson(tmp_path / "cars.geojson", features)
    raw = read_vector(path, scene(transform=UTM), table())
    assert (len(raw), raw.by_image, raw.on_map) == (2, False, True)
    # in pixels they do
    pixels = [(square(100 + 20 * i, 100, 9), {"ImageId": name}) for i, name in enumerate(ids)]
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_vector(geojson(tmp_path / "b.geojson", pixels), scene(), table())
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_vector(tmp_path / "b.geojson", scene(transform=UTM), table())


def test_pixel_boxes_of_xview_stand_above_its_degrees(tmp_path: Path) -> None:
    features = [
        (square(33, 0.3, 0.001), {"image_id": "place.tif", "bounds_imcoords": "10,20,30,50"}),
        (square(33, 0.3, 0.001), {"image_id": "place.tif", "bounds_imcoords": ""}),
    ]
    raw = read_vector(geojson(tmp_path / "a.geojson", features), scene(), table())
    assert raw.geometries[0].bounds == (10, 20, 30, 50)
    assert raw.geometries[1] is None


@pytest.mark.parametrize("suffix", [".geojsonl", ".geojsons", ".ndjson", ".jsonl", ".json"])
@pytest.mark.parametrize("mark", ["", "\x1e"])
def test_geojson_line_by_line(tmp_path: Path, suffix: str, mark: str) -> None:
    features = [
        {"type": "Feature", "properties": {"class": name}, "geometry": in_degrees(east, 30)}
        for name, east in (("car", 10), ("tree", 30))
    ]
    path = tmp_path / f"a{suffix}"
    path.write_text("".join(f"{mark}{json.dumps(feature)}\n" for feature in features), "utf-8")
    raw = read_vector(path, scene(transform=UTM), table())
    assert list(raw.sources) == ["car", "tree"]
    assert [geometry.bounds for geometry in raw.geometries] == [
        pytest.approx((20, 60, 40, 80), abs=0.01),
        pytest.approx((60, 60, 80, 80), abs=0.01),
    ]


@pytest.mark.parametrize(("suffix", "driver"), [(".kml", "LIBKML"), (".gml", "GML"), (".tab", "MapInfo File")])
def test_formats_that_gdal_reads_leave_the_folder_as_it_is(tmp_path: Path, suffix: str, driver: str) -> None:
    path = tmp_path / f"a{suffix}"
    crs = "EPSG:4326" if suffix == ".kml" else "EPSG:32618"
    box = (
        shapely.geometry.shape(in_degrees(10, 30))
        if suffix == ".kml"
        else shapely.box(500_010, 4_000_060, 500_020, 4_000_070)
    )
    names = np.array(["car"], dtype=object)
    wkb = shapely.to_wkb(np.array([box], dtype=object))
    pyogrio.raw.write(path, wkb, [names], ["class"], geometry_type="Polygon", crs=crs, driver=driver)
    path.with_suffix(".xsd").unlink(missing_ok=True)
    before = sorted(tmp_path.iterdir())
    raw = read_vector(path, scene(transform=UTM), table())
    assert raw.geometries[0].bounds == pytest.approx((20, 60, 40, 80), abs=0.05)
    assert list(raw.sources) == ["car"]
    assert sorted(tmp_path.iterdir()) == before


def geoparquet(path: Path, boxes: list[Any], *, covering: bool = True, groups: int = 2, **column: Any) -> Path:
    """Write boxes in row groups of `groups` rows, with their bounds as a struct where `covering`."""
    sides = shapely.bounds(np.array(boxes, dtype=object)).tolist()
    columns = {
        "id": [f"b{i}" for i in range(len(boxes))],
        "class": ["car"] * (len(boxes) - 1) + [None],
        "names": [{"primary": "x"}] * len(boxes),
        "geometry": shapely.to_wkb(np.array(boxes, dtype=object)).tolist(),
    }
    if covering:
        columns["bbox"] = [dict(zip(("xmin", "ymin", "xmax", "ymax"), side, strict=True)) for side in sides]
        column["covering"] = {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB", **column}}}
    filled = pa.table(columns).replace_schema_metadata({b"geo": json.dumps(geo).encode()})
    pq.write_table(filled, path, row_group_size=groups)
    return path


DEGREE_BOXES = [shapely.geometry.shape(in_degrees(east, 30)) for east in (90_000, 91_000, 10, 92_000, 93_000, 94_000)]


@pytest.mark.parametrize("covering", [True, False])
def test_geoparquet_rows_of_the_scene(tmp_path: Path, covering: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = geoparquet(tmp_path / "cars.parquet", DEGREE_BOXES, covering=covering)
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group

    def noted(file: pq.ParquetFile, group: int, **more: Any) -> pa.Table:
        groups.append(group)
        return read(file, group, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", noted)
    raw = read_vector(path, scene(transform=UTM), table())
    # the third row is the first of the second group
    assert groups == ([1] if covering else [0, 1, 2])
    own = raw.positions.index("2")
    assert raw.geometries[own].bounds == pytest.approx((20, 60, 40, 80), abs=0.01)
    assert raw.sources[own] == "car"
    assert (len(raw), raw.num_outside) == ((1, 5) if covering else (6, 0))
    assert raw.on_map


def test_geoparquet_in_its_own_crs_or_none(tmp_path: Path) -> None:
    box = shapely.box(500_010, 4_000_060, 500_020, 4_000_070)
    stated = geoparquet(tmp_path / "a.parquet", [box], crs=pyproj.CRS.from_epsg(32618).to_json_dict())
    unknown = geoparquet(tmp_path / "b.parquet", [box], crs=None, covering=False)
    for path, notes in ((stated, ()), (unknown, ("coordinates read in the scene's CRS: the file names no CRS",))):
        raw = read_vector(path, scene(transform=UTM), table())
        assert raw.geometries[0].bounds == (20, 60, 40, 80)
        assert raw.notes == notes


def test_geoparquet_without_a_row_is_a_file_without_labels(tmp_path: Path) -> None:
    path = geoparquet(tmp_path / "a.parquet", DEGREE_BOXES[:2])
    raw = read_vector(path, scene(transform=UTM), table())
    assert (len(raw), raw.num_outside) == (0, 2)


def test_parquet_that_is_not_geoparquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(LabelError, match="Parquet without the metadata of GeoParquet"):
        read_vector(path, scene(transform=UTM), table())
    path.write_bytes(b"PAR1")
    with pytest.raises(LabelError, match="cannot be read as GeoParquet"):
        read_vector(path, scene(transform=UTM), table())
    odd = geoparquet(tmp_path / "b.parquet", DEGREE_BOXES[:1], encoding="polygon")
    with pytest.raises(LabelError, match="geometry is encoded as 'polygon'"):
        read_vector(odd, scene(transform=UTM), table())


@settings(max_examples=50)
@given(
    angle=st.floats(0, 6.2),
    scale=st.floats(0.01, 100),
    x=st.floats(-1e6, 1e6),
    y=st.floats(-1e6, 1e6),
    point=st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)),
)
def test_pixels_to_map_and_back(angle: float, scale: float, x: float, y: float, point: tuple[float, float]) -> None:
    c, s = float(np.cos(angle)) * scale, float(np.sin(angle)) * scale
    grid = AffineCoefficients(c, s, x, s, -c, y)
    there = pixels_to_map(np.array([shapely.Point(point)]), grid)
    (back,) = map_to_pixels(there, grid)
    assert back.distance(shapely.Point(point)) < 1e-5 / min(scale, 1)
