"""The example scenes: what the label files say is what the pixels show, and the same arguments give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from numpy.typing import NDArray
from shapely import LineString, Polygon

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.facts import Role
from rsvqa.annotation.tasks.colours import measure_colour
from rsvqa.rsvqa_builder.demo.buildings import add_buildings, add_developments
from rsvqa.rsvqa_builder.demo.character import OPTIONAL_OBJECTS, deal_character
from rsvqa.rsvqa_builder.demo.files import MapCorner, label_layers, write_labels
from rsvqa.rsvqa_builder.demo.ground import Layout, TurnedRectangle
from rsvqa.rsvqa_builder.demo.layout import make_layout
from rsvqa.rsvqa_builder.demo.objects import Contents, DemoObject, Look, Site
from rsvqa.rsvqa_builder.demo.painting import Overlay, Painter, paint_object
from rsvqa.rsvqa_builder.demo.roads import PAVEMENT_WIDTH
from rsvqa.rsvqa_builder.demo.scenes import _place_objects, _reduced, _scale, make_benchmark_scene, make_demo_scenes
from rsvqa.rsvqa_builder.demo.textures import make_textures
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.scenes.tiling import Window

SIZE = 768
VEHICLES = ("car", "truck", "bus")
BUILDINGS = ("house", "office_building", "warehouse")


@dataclass(frozen=True)
class Labels:
    """One layer of a label file, geometries in scene pixels."""

    geometries: NDArray[np.object_]
    columns: dict[str, NDArray[Any]]

    def of_class(self, *names: str) -> list[int]:
        return [k for k, name in enumerate(self.columns["class"]) if name in names]


def read_layer(raster_path: Path, layer: str) -> Labels:
    with rasterio.open(raster_path) as raster:
        a, _, c, _, e, f = tuple(raster.transform)[:6]
    meta, _, geometries, columns = pyogrio.raw.read(raster_path.with_suffix(".gpkg"), layer=layer)
    pixels = shapely.transform(shapely.from_wkb(geometries), lambda points: (points - [c, f]) / [a, e])
    return Labels(np.asarray(pixels, dtype=object), dict(zip(meta["fields"], columns, strict=True)))


def read_pixels(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as raster:
        return np.ascontiguousarray(np.moveaxis(raster.read(), 0, 2))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_demo_scenes(tmp_path_factory.mktemp("demo"), seed=8, size=SIZE, count=3)


@pytest.fixture(scope="module")
def folder(scenes: list[Path]) -> Path:
    return scenes[0].parent


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two places of the least size; seed 3."""
    path = tmp_path_factory.mktemp("small") / "new"
    make_demo_scenes(path, seed=3, size=512, count=2)
    return path


@cache
def make_place(size: int, *, seed: int = 0) -> tuple[Layout, Painter]:
    rng = np.random.Generator(np.random.PCG64(seed))
    layout = make_layout(size, rng, deal_character(seed, 0))
    contents = _place_objects(layout, rng)
    return layout, Painter(layout, contents, make_textures(size, rng), 1)


# Files


def test_even_places_have_two_dates(folder: Path) -> None:
    stems = ["place_00_t1", "place_00_t2", "place_01", "place_02_t1", "place_02_t2"]
    expected = {"classes.toml", *(f"{stem}{suffix}" for stem in stems for suffix in (".tif", ".gpkg"))}
    assert {path.name for path in folder.iterdir()} == expected


def test_returned_paths_are_the_rasters_in_order(scenes: list[Path]) -> None:
    stems = ["place_00_t1", "place_00_t2", "place_01", "place_02_t1", "place_02_t2"]
    assert [path.name for path in scenes] == [f"{stem}.tif" for stem in stems]


def test_same_arguments_give_the_same_bytes_whatever_the_count(tmp_path: Path, small: Path) -> None:
    make_demo_scenes(tmp_path, seed=3, size=512, count=1)
    assert len(list(tmp_path.iterdir())) == 5  # two dates, each with labels, and the class table
    for path in sorted(tmp_path.iterdir()):
        assert path.read_bytes() == (small / path.name).read_bytes(), path.name


def test_another_seed_gives_another_place(tmp_path: Path, small: Path) -> None:
    first, _ = make_demo_scenes(tmp_path, seed=4, size=512, count=1)
    assert (read_pixels(first) != read_pixels(small / first.name)).mean() > 0.5


@pytest.mark.parametrize(("size", "count"), [(511, 1), (1024, 0)])
def test_too_small_is_refused(tmp_path: Path, size: int, count: int) -> None:
    with pytest.raises(RsvqaError, match=rf"size {size} and count {count}; expected size ≥ 512 pixels and count ≥ 1"):
        make_demo_scenes(tmp_path, size=size, count=count)


def test_rasters_are_tiled_georeferenced_rgb(scenes: list[Path]) -> None:
    found = {}
    for path in scenes:
        with rasterio.open(path) as raster:
            assert (raster.count, raster.dtypes[0], raster.shape) == (3, "uint8", (SIZE, SIZE))
            assert raster.block_shapes[0] == (512, 512)
            # 0.3 m is drawn; the third place shows one and a half drawn pixels along each side of a pixel
            gsd_m = 0.45 if path.stem.startswith("place_02") else 0.3
            assert (raster.transform.a, raster.transform.e) == (gsd_m, -gsd_m)
            found[path.stem] = (raster.crs.to_epsg(), raster.compression.name, raster.tags()["TIFFTAG_DATETIME"])
    assert found["place_00_t1"] == (32631, "deflate", "2019:06:14 10:42:07")
    assert found["place_00_t2"] == (32631, "deflate", "2023:07:02 10:38:51")
    assert found["place_01"] == (32618, "jpeg", "2021:05:23 15:51:30")


def test_both_dates_lie_on_one_grid_at_the_place_named(folder: Path) -> None:
    with rasterio.open(folder / "place_00_t1.tif") as first, rasterio.open(folder / "place_00_t2.tif") as second:
        assert first.transform == second.transform
    # central meridian of zone 31 is 3° E; 140.2 km east of it at 52° N (a degree is about 68.6 km there) is 5.04° E
    with rasterio.open(folder / "place_00_t1.tif") as raster:
        (longitude,), (latitude,) = rasterio.warp.transform(raster.crs, "EPSG:4326", [640_200.0], [5_761_500.0])
    assert longitude == pytest.approx(5.04, abs=0.05)
    assert latitude == pytest.approx(52.0, abs=0.1)


def test_class_table_is_the_preset_and_knows_every_class(folder: Path, scenes: list[Path]) -> None:
    table = load_class_table(folder / "classes.toml")
    assert table.classes == load_class_table("demo").classes
    roles = {"objects": Role.OBJECT, "areas": Role.AREA, "roads": Role.ROAD, "anomalies": Role.ANOMALY}
    for path in scenes:
        for layer, role in roles.items():
            names = set(read_layer(path, layer).columns["class"])
            assert {table.classes[name].role for name in names} <= {role}
    assert all(entry.complete is True for entry in table.classes.values())


def test_gdal_settings_are_as_before(tmp_path: Path) -> None:
    layout, _ = make_place(1024)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2001-01-01T00:00:00.000Z"})
    try:
        write_labels(
            tmp_path / "labels.gpkg", label_layers(layout, Contents((), ()), 0), MapCorner(32631, 0.0, 0.0, 0.3)
        )
        assert pyogrio.get_gdal_config_option("OGR_CURRENT_DATE") == "2001-01-01T00:00:00.000Z"
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


# Truth


def test_areas_cover_the_scene_without_gap_or_overlap(scenes: list[Path]) -> None:
    for path in scenes:
        areas = read_layer(path, "areas").geometries
        assert shapely.area(areas).sum() == pytest.approx(SIZE**2, rel=1e-9)
        assert shapely.area(shapely.union_all(areas)) == pytest.approx(SIZE**2, rel=1e-9)
        assert shapely.is_valid(areas).all()


def test_objects_are_disjoint_and_inside(scenes: list[Path]) -> None:
    for path in scenes:
        objects = read_layer(path, "objects")
        first, second = shapely.STRtree(objects.geometries).query(objects.geometries, predicate="intersects")
        assert (first == second).all(), path.name
        assert shapely.contains(shapely.box(5, 5, SIZE - 5, SIZE - 5), objects.geometries).all()
        assert len(set(objects.columns["object_id"])) == len(objects.geometries) > 5


def test_colours_are_those_of_the_pixels(scenes: list[Path]) -> None:
    named = []
    for path in scenes:
        pixels, objects = read_pixels(path), read_layer(path, "objects")
        for k in objects.of_class(*BUILDINGS, "storage_tank", "swimming_pool", "tennis_court", "ship"):
            # the shade of a white roof is grey to some: such a one has no name, but never another
            measured = measure_colour(pixels, objects.geometries[k])
            assert measured.name in (None, objects.columns["colour"][k]), objects.columns["object_id"][k]
            named.append(measured.name is not None)
        for k in objects.of_class(*VEHICLES):
            # a car is 7 pixels wide: its border mixes with the ground, but never into another colour
            measured = measure_colour(pixels, objects.geometries[k])
            assert measured.name in (None, objects.columns["colour"][k]), objects.columns["object_id"][k]
    assert np.mean(named) > 0.8


def test_moving_vehicles_are_on_roads_and_parked_ones_in_car_parks(scenes: list[Path]) -> None:
    num = {True: 0, False: 0}
    for path in scenes:
        areas, objects = read_layer(path, "areas"), read_layer(path, "objects")
        places = {
            is_moving: shapely.union_all(areas.geometries[areas.of_class(use)])
            for is_moving, use in ((True, "road_surface"), (False, "car_park"))
        }
        for k in objects.of_class(*VEHICLES):
            is_moving = bool(objects.columns["moving"][k])
            assert places[is_moving].contains(objects.geometries[k])
            num[is_moving] += 1
    assert min(num.values()) > 10


def test_ships_are_on_water_and_buildings_on_their_land_use(scenes: list[Path]) -> None:
    wanted = {"ship": "water", "house": "residential", "office_building": "commercial", "warehouse": "industrial"}
    for path in scenes:
        areas, objects = read_layer(path, "areas"), read_layer(path, "objects")
        for class_name, use in wanted.items():
            ground = shapely.union_all(areas.geometries[areas.of_class(use)])
            assert shapely.contains(ground, objects.geometries[objects.of_class(class_name)]).all()


def test_attributes_are_there_where_they_apply(scenes: list[Path]) -> None:
    objects = read_layer(scenes[0], "objects")
    for k, class_name in enumerate(objects.columns["class"]):
        has_motion = not pyogrio_is_null(objects.columns["moving"][k])
        assert has_motion == (class_name in (*VEHICLES, "ship"))
        assert (objects.columns["damage"][k] in ("none", "damaged roof")) == (class_name in BUILDINGS)


def pyogrio_is_null(value: object) -> bool:
    return value is None or value != value


def test_road_pieces_share_end_points_and_are_connected(scenes: list[Path]) -> None:
    for path in scenes:
        meta = pyogrio.raw.read(path.with_suffix(".gpkg"), layer="roads")
        lines = shapely.from_wkb(meta[2])
        graph: nx.MultiGraph[tuple[float, ...]] = nx.MultiGraph()
        for line in lines:
            graph.add_edge(line.coords[0], line.coords[-1])
        assert nx.is_connected(graph)
        # three blocks each way: two roads down and two across meet four times, none is taken away in the town
        assert sum(degree >= 3 for _, degree in graph.degree()) >= 3
        # pieces meet at their ends alone
        for a, b in shapely.STRtree(lines).query(lines, predicate="crosses").T:
            raise AssertionError(f"roads {a} and {b} cross without a junction")
        assert all(read_layer(path, "roads").columns["name"])


def test_streets_of_one_line_have_one_name_and_others_differ() -> None:
    roads = make_layout(4096, np.random.Generator(np.random.PCG64(1))).roads
    classes: dict[str, set[str]] = {}
    for road in roads:
        classes.setdefault(road.name, set()).add(road.class_name)
    assert all(len(kinds) == 1 for kinds in classes.values())
    # five blocks each way: four lines down, four across, and a lane through some of the residential blocks
    assert 8 <= len(classes) <= 8 + 25


def test_what_stays_keeps_its_id_and_outline(folder: Path) -> None:
    layers = [read_layer(folder / f"place_00_t{date}.tif", "objects") for date in (1, 2)]
    first, second = (dict(zip(layer.columns["object_id"], layer.geometries, strict=True)) for layer in layers)
    shared = first.keys() & second.keys()
    assert len(shared) >= 5
    assert all(first[name].equals(second[name]) for name in shared)
    assert first.keys() - shared
    assert second.keys() - shared


def test_ground_is_built_up_or_cleared_between_the_dates(folder: Path) -> None:
    shares = []
    for date in (1, 2):
        areas = read_layer(folder / f"place_00_t{date}.tif", "areas")
        shares.append(shapely.area(areas.geometries[areas.of_class("residential")]).sum())
    # nine blocks of 256 pixels, houses built or taken down in one: a street of 36 and margins of 24 leave a circle of
    # radius 86, and the ground is 1.7 times as wide
    assert abs(shares[1] - shares[0]) == pytest.approx((1.7 * 86) ** 2, rel=0.4)


def test_later_date_has_the_anomaly_and_the_earlier_has_none(folder: Path) -> None:
    expected = {"place_00": ("burnt_area", "wildfire"), "place_02": ("flooded_area", "flood")}
    for stem, found in expected.items():
        anomalies = [read_layer(folder / f"{stem}_t{date}.tif", "anomalies") for date in (1, 2)]
        assert len(anomalies[0].geometries) == 0
        assert set(zip(anomalies[1].columns["class"], anomalies[1].columns["cause"], strict=True)) == {found}


def test_the_flood_is_the_only_new_water(folder: Path) -> None:
    water = []
    for date in (1, 2):
        areas = read_layer(folder / f"place_02_t{date}.tif", "areas")
        water.append(shapely.area(areas.geometries[areas.of_class("water")]).sum())
    flooded = shapely.area(read_layer(folder / "place_02_t2.tif", "anomalies").geometries).sum()
    assert water[1] - water[0] == pytest.approx(flooded, rel=1e-6)


def test_a_place_with_one_date_has_an_anomaly_whose_cause_may_be_unknown(folder: Path) -> None:
    anomalies = read_layer(folder / "place_01.tif", "anomalies")
    causes = dict(zip(anomalies.columns["class"], anomalies.columns["cause"], strict=True))
    assert causes.keys() == {"dead_trees", "debris_field"}
    assert pyogrio_is_null(causes["dead_trees"])
    assert causes["debris_field"] == "landslide"


def test_absence_of_anomalies_is_an_empty_layer(folder: Path) -> None:
    info = pyogrio.read_info(folder / "place_00_t1.gpkg", layer="anomalies")
    assert info["features"] == 0
    assert list(info["fields"]) == ["anomaly_id", "class", "cause"]


# Character


@pytest.fixture(scope="module")
def classes_by_place() -> list[set[str]]:
    """The classes that are on eight places at the later date, roads apart."""
    found = []
    for number in range(8):
        rng = np.random.Generator(np.random.PCG64([0, number]))
        layout = make_layout(1600, rng, deal_character(0, number))
        objects = _place_objects(layout, rng, dates=(False, True)).objects
        ground = {layout.styles[style].class_name for style, _ in layout.areas(1)}
        ground |= {anomaly.class_name for anomaly in layout.anomalies}
        found.append(ground | {item.class_name for item in objects})
    return found


def test_every_class_is_on_some_places_and_missing_on_others(classes_by_place: list[set[str]]) -> None:
    classes = {name for name, entry in load_class_table("demo").classes.items() if entry.role is not Role.ROAD}
    assert set.union(*classes_by_place) == classes
    assert set.intersection(*classes_by_place) == {"car", "road_surface"}


def test_presence_can_be_asked_about_every_place(classes_by_place: list[set[str]]) -> None:
    table = load_class_table("demo").classes
    # a land-use question has up to three wrong options, a question of presence needs one absent class
    for role, least in ((Role.OBJECT, 1), (Role.AREA, 3)):
        names = {name for name, entry in table.items() if entry.role is role}
        assert all(len(names - found) >= least for found in classes_by_place)
        assert all(len(names & found) >= 3 for found in classes_by_place)


@pytest.mark.parametrize("seed", range(20))
def test_first_three_places_differ_in_what_they_have(seed: int) -> None:
    objects = [deal_character(seed, number).objects for number in range(3)]
    # two of four places have a class, so of any three one or two have it
    for name in OPTIONAL_OBJECTS:
        assert 1 <= sum(name in found for found in objects) <= 2


@pytest.mark.parametrize("seed", range(20))
def test_objects_are_dealt_to_places_with_their_ground(seed: int) -> None:
    for character in (deal_character(seed, number) for number in range(8)):
        needed = {OPTIONAL_OBJECTS[name] for name in character.objects} - {None}
        assert needed <= {*character.zone_shares, *(["water"] if character.has_water else [])}
        assert sum(character.zone_shares.values()) == pytest.approx(1.0)
        assert character.anomalies
        assert all(set(kind.zones) & set(character.zone_shares) for kind in character.anomalies)


# Change


@pytest.mark.parametrize("number", [0, 2])
def test_new_and_vanished_groups_fit_into_circles_that_cut_no_building(number: int) -> None:
    rng = np.random.Generator(np.random.PCG64([0, number]))
    layout = make_layout(4096, rng, deal_character(0, number))
    site = Site(layout, rng)
    add_developments(site, (True, True))
    num_changed = len(site.objects)
    add_buildings(site, (True, True))
    assert len(layout.developments) >= 3
    assert {group.dates for group in layout.developments} == {(True, False), (False, True)}
    outlines = np.array([item.polygon for item in site.objects], dtype=object)
    sizes = []
    for group in layout.developments:
        centre = shapely.Point(group.middle.x, group.middle.y)
        # half the diagonal of the middle, and half of what the outermost objects reach beyond it
        circle = centre.buffer(max(group.middle.length * 0.8, 120.0))
        inside = np.flatnonzero(shapely.contains(circle, outlines))
        sizes.append(len(inside))
        assert len(inside) >= 1
        assert inside.max() < num_changed
        assert {site.objects[k].dates for k in inside} == {group.dates}
        assert not shapely.crosses(outlines, circle.exterior).any()
    assert max(sizes) >= 3


@pytest.mark.parametrize("number", range(8))
def test_anomalies_lie_in_one_of_the_nine_parts(number: int) -> None:
    layout = make_layout(4096, np.random.Generator(np.random.PCG64([0, number])), deal_character(0, number))
    third = 4096 / 3
    parts = [shapely.box(i * third, j * third, (i + 1) * third, (j + 1) * third) for i in range(3) for j in range(3)]
    for anomaly in layout.anomalies:
        assert max(anomaly.polygon.intersection(part).area for part in parts) >= 0.99 * anomaly.polygon.area
    assert sum(anomaly.polygon.area for anomaly in layout.anomalies) > 0.005 * 4096**2


# Painting


def test_an_object_is_painted_inside_its_outline_alone() -> None:
    frame = TurnedRectangle(30.0, 25.0, 40.0, 20.0, 0.4)
    house = DemoObject(
        object_id="house-1", class_name="house", polygon=frame.polygon(), frame=frame, look=Look(colour="red")
    )
    pixels = np.full((50, 60, 3), -1000.0, dtype=np.float32)
    paint_object(pixels, house, Window(0, 0, 60, 50), np.zeros((1024, 1024), dtype=np.float32))
    rows, columns = np.mgrid[:50, :60]
    centres = shapely.points(columns + 0.5, rows + 0.5)
    # a pixel reaches 0.71 pixels from its centre to its corners, plus a quarter for the supersampling
    inside = shapely.contains(frame.polygon().buffer(-1), centres)
    outside = shapely.disjoint(frame.polygon().buffer(1), centres)
    assert inside.sum() == pytest.approx(38 * 18, rel=0.03)
    assert (pixels[inside] >= 0).all()
    assert (pixels[outside] == -1000).all()


def test_objects_keep_their_distance() -> None:
    site = Site(make_layout(1024, np.random.Generator(np.random.PCG64(0))), np.random.Generator(np.random.PCG64(0)))
    frame = TurnedRectangle(500.0, 500.0, 40.0, 20.0, 0.0)
    assert site.add("house", frame.polygon(), frame, Look(colour="red"))
    near = frame._replace(x=542.0)  # 2 pixels from wall to wall
    assert not site.add("house", near.polygon(), near, Look(colour="red"), gap=2.5)
    assert site.add("house", near.polygon(), near, Look(colour="red"), gap=1.5)


def test_an_object_of_one_date_does_not_block_the_other() -> None:
    site = Site(make_layout(1024, np.random.Generator(np.random.PCG64(0))), np.random.Generator(np.random.PCG64(0)))
    frame = TurnedRectangle(500.0, 500.0, 15.0, 7.0, 0.0)
    assert site.add("car", frame.polygon(), frame, Look(colour="red"), dates=(True, False))
    assert site.add("car", frame.polygon(), frame, Look(colour="blue"), dates=(False, True))
    assert not site.add("house", frame.polygon(), frame, Look(colour="grey"))


def test_block_size_changes_nothing() -> None:
    _, painter = make_place(1024)
    whole = painter.paint(Window(0, 0, 1024, 1024)).astype(int)
    for window in (Window(0, 0, 300, 280), Window(417, 333, 211, 256), Window(1000, 900, 24, 124)):
        x, y, width, height = window
        difference = np.abs(painter.paint(window) - whole[y : y + height, x : x + width])
        # resampling the slow shades rounds differently, by two grey levels at most
        assert difference.max() <= 2
        assert (difference > 0).mean() < 0.01


def test_a_coarser_pixel_is_the_mean_of_the_drawn_ones() -> None:
    # columns of one drawn pixel are 0, 60, 120 … bright; 1.5 of them make (0 + 60 / 2) / 1.5 = 20, and the next
    # (60 / 2 + 120) / 1.5 = 100
    def stripes(window: Window) -> NDArray[np.uint8]:
        columns = (60 * np.arange(window.x, window.x + window.width)).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(columns[None, :, None], (window.height, window.width, 3)))

    paint = _reduced(stripes, 1.5)
    assert paint(Window(0, 0, 2, 3))[:, :, 0].tolist() == [[20, 100]] * 3
    # a window that begins in the middle of a drawn pixel sees the same
    assert paint(Window(1, 1, 1, 2))[:, :, 0].tolist() == [[100]] * 2
    # twice as coarse: (0 + 60) / 2 and (120 + 180) / 2
    assert _reduced(stripes, 2.0)(Window(0, 0, 2, 1))[:, :, 0].tolist() == [[30, 150]]
    assert _reduced(stripes, 1.0) is stripes


def test_places_of_four_have_three_sizes_of_pixels_whatever_their_character() -> None:
    scales = [[_scale(4 * group + place) for place in range(4)] for group in range(4)]
    assert scales[0] == [1.0, 1.0, 1.5, 2.0]
    assert all(sorted(group) == [1.0, 1.0, 1.5, 2.0] for group in scales)
    # the place with the flood is the third of each group
    assert {group[2] for group in scales} == {1.0, 1.5, 2.0}


def test_an_empty_shape_is_not_painted() -> None:
    square = Polygon([(0, 0), (4, 0), (4, 4), (0, 4)])
    assert Overlay([Polygon(), square, LineString()], (0, 0, 0)).shapes == [square]


def test_water_is_blue_and_forest_is_green_where_the_labels_say_so() -> None:
    layout, painter = make_place(1024)
    pixels = painter.paint(Window(0, 0, 1024, 1024)).astype(float)
    for class_name, strongest in (("water", 2), ("forest", 1)):
        areas = [polygon for style, polygon in layout.areas(1) if layout.styles[style].class_name == class_name]
        area = max(areas, key=lambda polygon: polygon.area).buffer(-20)
        x, y = (round(v) for v in shapely.maximum_inscribed_circle(area).coords[0])
        mean = pixels[y - 8 : y + 8, x - 8 : x + 8].mean(axis=(0, 1))
        assert mean.argmax() == strongest


def test_pavements_lie_inside_the_road_surface() -> None:
    layout, _ = make_place(1024)
    assert layout.corridor.buffer(0.2).contains(layout.carriageway)
    ring = layout.corridor.difference(layout.carriageway)
    # one strip on each side of every road
    length = sum(road.line.length for road in layout.roads)
    assert ring.area == pytest.approx(2 * PAVEMENT_WIDTH * length, rel=0.12)


# Layout


@pytest.mark.parametrize("size", [512, 700, 1024, 2048, 4096])
@pytest.mark.parametrize("seed", range(4))
def test_layouts_of_any_size_are_valid_coverages(size: int, seed: int) -> None:
    layout = make_layout(size, np.random.Generator(np.random.PCG64(seed)), deal_character(seed, size % 4))
    for date in (0, 1):
        polygons = [polygon for _, polygon in layout.areas(date)]
        assert shapely.coverage_is_valid(polygons)
        assert sum(polygon.area for polygon in polygons) == pytest.approx(size**2, rel=1e-12)


def test_frame_turns_with_y_down() -> None:
    # a quarter turn takes "along" from x to y, which runs down
    assert TurnedRectangle(10, 20, 8, 2, np.pi / 2).to_scene(3, 0) == pytest.approx((10, 23))
    assert TurnedRectangle(10, 20, 8, 2, np.pi / 2).to_scene(0, 1) == pytest.approx((9, 20))
    assert (
        TurnedRectangle(10, 20, 8, 2, np.pi / 2)
        .polygon()
        .equals_exact(Polygon([(11, 16), (11, 24), (9, 24), (9, 16)]), tolerance=1e-9)
    )


# Benchmark scene


def test_benchmark_scene_holds_the_number_of_objects_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsvqa.rsvqa_builder.demo.scenes.BENCHMARK_SQUARE", 1024)
    path = make_benchmark_scene(tmp_path / "large.tif", size=2048, objects_per_mpix=50)
    objects, areas = read_layer(path, "objects"), read_layer(path, "areas")
    # two by two squares of 1,024 pixels: 1.049 megapixels × 50 = 52.4 objects each, rounded to 52
    assert len(objects.geometries) == 4 * 52
    assert len(set(objects.columns["object_id"])) == 208
    assert shapely.area(areas.geometries).sum() == pytest.approx(2048**2, rel=1e-9)
    first, second = shapely.STRtree(objects.geometries).query(objects.geometries, predicate="intersects")
    assert (first == second).all()
    pixels = read_pixels(path)
    named = [
        measure_colour(pixels, objects.geometries[k]).name == objects.columns["colour"][k]
        for k in objects.of_class("warehouse", "house")
    ]
    assert np.mean(named) > 0.7  # slow light of up to ±20 % moves some between the names


def test_roads_of_a_benchmark_scene_go_on_across_its_squares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsvqa.rsvqa_builder.demo.scenes.BENCHMARK_SQUARE", 512)
    roads = read_layer(make_benchmark_scene(tmp_path / "large.tif", size=1024, objects_per_mpix=10), "roads")
    graph: nx.Graph[tuple[float, ...]] = nx.Graph()
    for line in roads.geometries:
        graph.add_edge(*(tuple(np.round(line.coords[end], 3)) for end in (0, -1)))
    assert nx.is_connected(graph)


def test_benchmark_scene_of_an_odd_size_is_cut_at_its_border(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsvqa.rsvqa_builder.demo.scenes.BENCHMARK_SQUARE", 512)
    path = make_benchmark_scene(tmp_path / "odd.tif", size=1555, objects_per_mpix=10)
    areas, roads = read_layer(path, "areas"), read_layer(path, "roads")
    assert shapely.area(areas.geometries).sum() == pytest.approx(1555**2, rel=1e-9)
    assert shapely.covers(shapely.box(-1e-6, -1e-6, 1555 + 1e-6, 1555 + 1e-6), roads.geometries).all()
    assert all(isinstance(line, LineString) and line.length > 0 for line in roads.geometries)


def test_too_many_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RsvqaError, match=r"5000 objects wanted on 500 × 500 pixels, only \d+ fit"):
        make_benchmark_scene(tmp_path / "full.tif", size=500, objects_per_mpix=20_000)
