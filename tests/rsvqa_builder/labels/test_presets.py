"""Presets of published sets and products: what their values mean, and one small file of each read end to end.

The values are written down once more from the sets' own pages; `docs/labels.md` names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely

from rsvqa.annotation.facts import Role
from rsvqa.rsvqa_builder.label_files.reading import LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from tests.rsvqa_builder.labels.make_labels import UTM, geojson, scene, square
from tests.rsvqa_builder.make_rasters import write_raster

WORLDCOVER = {
    **{10: "tree_cover", 20: "shrubland", 30: "grassland", 40: "cropland", 50: "built_up", 60: "bare"},
    **{70: "snow_and_ice", 80: "water", 90: "wetland", 95: "mangroves", 100: "moss_and_lichen"},
}
ESRI = {
    **{1: "water", 2: "trees", 3: "grass", 4: "flooded_vegetation", 5: "crops", 6: "scrub", 7: "built_area"},
    **{8: "bare_ground", 9: "snow_and_ice", 11: "rangeland"},
}
DYNAMIC_WORLD = {
    **{0: "water", 1: "trees", 2: "grass", 3: "flooded_vegetation", 4: "crops", 5: "shrub_and_scrub", 6: "built"},
    **{7: "bare", 8: "snow_and_ice"},
}
NLCD = {
    **{11: "open_water", 12: "ice_and_snow", 21: "developed_open", 22: "developed_low", 23: "developed_medium"},
    **{24: "developed_high", 31: "barren", 41: "deciduous_forest", 42: "evergreen_forest", 43: "mixed_forest"},
    **{52: "shrub", 71: "grassland", 81: "pasture", 82: "cultivated_crops", 90: "woody_wetlands"},
    95: "herbaceous_wetlands",
}
CORINE_CODES = {
    **{111: "residential", 112: "residential", 121: "industrial", 122: "transport", 123: "port", 124: "airport"},
    **{131: "mine", 132: "dump", 133: "construction", 141: "park", 142: "sports", 211: "farmland", 212: "farmland"},
    **{213: "farmland", 221: "farmland", 222: "farmland", 223: "farmland", 231: "pasture", 241: "farmland"},
    **{242: "farmland", 243: "farmland", 244: "farmland", 311: "forest", 312: "forest", 313: "forest"},
    **{321: "grassland", 322: "grassland", 323: "scrub", 324: "scrub", 331: "sand", 332: "rock"},
    **{333: "sparse_vegetation", 334: "burnt", 335: "snow", 411: "wetland", 412: "wetland", 421: "wetland"},
    **{422: "salines", 423: "wetland", 511: "water", 512: "water", 521: "water", 522: "water", 523: "water"},
}
CORINE = CORINE_CODES | dict(enumerate(CORINE_CODES.values(), start=1))
FLAIR = {
    **{1: "building", 2: "pervious_surface", 3: "impervious_surface", 4: "bare_soil", 5: "water", 6: "coniferous"},
    **{7: "deciduous", 8: "brushwood", 9: "vineyard", 10: "herbaceous_vegetation", 11: "agricultural_land"},
    **{12: "plowed_land", 13: "swimming_pool", 14: "snow", 15: "clear_cut", 17: "ligneous", 18: "greenhouse"},
}
FLAIR_HUB = {
    **{0: "building", 1: "greenhouse", 2: "swimming_pool", 3: "impervious_surface", 4: "pervious_surface"},
    **{5: "bare_soil", 6: "water", 7: "snow", 8: "herbaceous_vegetation", 9: "agricultural_land", 10: "plowed_land"},
    **{11: "vineyard", 12: "deciduous", 13: "coniferous", 14: "brushwood", 15: "clear_cut", 16: "ligneous"},
}
OPENEARTHMAP = {
    **{1: "bareland", 2: "rangeland", 3: "developed_space", 4: "road", 5: "tree", 6: "water", 7: "agriculture"},
    8: "building",
}
GEONRW = {
    **{1: "forest", 2: "water", 3: "agricultural", 4: "built_up", 5: "grassland", 6: "railway", 7: "highway"},
    **{8: "airport", 9: "road", 10: "building"},
}
LANDCOVERAI = {1: "building", 2: "woodland", 3: "water", 4: "road"}
POTSDAM = {
    (255, 255, 255): "impervious_surface",
    (0, 0, 255): "building",
    (0, 255, 255): "low_vegetation",
    (0, 255, 0): "tree",
    (255, 255, 0): "car",
}
MASKS: dict[str, Mapping[int, str]] = {
    "worldcover": WORLDCOVER,
    "esri_lulc": ESRI,
    "dynamic_world": DYNAMIC_WORLD,
    "nlcd": NLCD,
    "corine": CORINE,
    "flair": FLAIR,
    "flair_hub": FLAIR_HUB,
    "openearthmap": OPENEARTHMAP,
    "geonrw": GEONRW,
    "landcoverai": LANDCOVERAI,
}
IGNORED = {
    **{"esri_lulc": {0, 10}, "nlcd": {250}, "corine": {48}, "flair": {16, 19}, "flair_hub": {17, 18}},
    **{"openearthmap": {0}, "geonrw": {0}, "landcoverai": {0}},
}


def read(path: Path, preset: str, *, on_map: bool = False) -> LabelSet:
    return read_labels(scene(transform=UTM if on_map else None), [path], load_class_table(preset))


@pytest.mark.parametrize("preset", MASKS)
def test_values_of_masks(preset: str) -> None:
    table = load_class_table(preset)
    entries = table.classes.items()
    used = {value: name for name, entry in entries if entry.role is not Role.IGNORED for value in entry.mask_values}
    ignored = {value for _, entry in entries if entry.role is Role.IGNORED for value in entry.mask_values}
    assert used == MASKS[preset]
    assert ignored == IGNORED.get(preset, set())


@pytest.mark.parametrize("preset", MASKS)
def test_a_small_mask_is_read(tmp_path: Path, preset: str) -> None:
    # one square of 10 × 10 px for each value, on a ground that no table knows
    values = list(MASKS[preset])
    pixels = np.full((1, 200, 200), 999, dtype=np.int16)
    for number, value in enumerate(values):
        x, y = number % 10 * 20, number // 10 * 20
        pixels[0, y : y + 10, x : x + 10] = value
    labels = read(write_raster(tmp_path / "place_mask.tif", pixels, crs=None, transform=None), preset)
    assert sorted(labels.features.class_names) == sorted(MASKS[preset].values())
    assert {geometry.area for geometry in labels.features.geometries} == {100}
    assert [report.error for report in labels.report.files] == [""]
    assert labels.report.files[0].unknown_classes == {"mask value 999 (pixels)": 40_000 - 100 * len(values)}


def test_colours_of_potsdam(tmp_path: Path) -> None:
    pixels = np.zeros((3, 200, 200), dtype=np.uint8)
    pixels[0] = 255  # clutter
    for number, colour in enumerate(POTSDAM):
        pixels[:, 0:10, number * 20 : number * 20 + 10] = np.array(colour).reshape(3, 1, 1)
    labels = read(write_raster(tmp_path / "place_label.tif", pixels, crs=None, transform=None), "potsdam")
    assert sorted(labels.features.class_names) == sorted(POTSDAM.values())
    table = load_class_table("potsdam")
    complete = complete_classes(labels.features, (200, 200), table)
    assert {name for name, judged in complete.items() if not judged.is_complete} == {"car"}


def test_zero_that_a_file_declares_as_no_data_is_no_water(tmp_path: Path) -> None:
    pixels = np.zeros((1, 200, 200), dtype=np.uint8)
    pixels[0, :10, :10] = 1
    path = write_raster(tmp_path / "a_mask.tif", pixels, crs=None, transform=None)
    assert sorted(read(path, "dynamic_world").features.class_names) == ["trees", "water"]
    path = write_raster(tmp_path / "b_mask.tif", pixels, crs=None, transform=None, nodata=0)
    assert read(path, "dynamic_world").features.class_names == ("trees",)


def test_values_that_are_no_numbers_of_classes_are_no_water(tmp_path: Path) -> None:
    pixels = np.full((1, 200, 200), -1, dtype=np.int16)
    pixels[0, :10, :10] = 1
    path = write_raster(tmp_path / "a_mask.tif", pixels, crs=None, transform=None)
    assert read(path, "dynamic_world").features.class_names == ("trees",)


STAR = [
    *("ship", "boat", "crane", "goods_yard", "tank", "storehouse"),
    *("breakwater", "dock", "airplane", "boarding_bridge", "runway", "taxiway"),
    *("terminal", "apron", "gas_station", "truck", "car", "truck_parking"),
    *("car_parking", "bridge", "cooling_tower", "chimney", "vapor", "smoke"),
    *("genset", "coal_yard", "lattice_tower", "substation", "wind_mill", "cement_concrete_pavement"),
    *("toll_gate", "flood_dam", "gravity_dam", "ship_lock", "ground_track_field", "basketball_court"),
    *("engineering_vehicle", "foundation_pit", "intersection", "soccer_ball_field", "tennis_court", "tower_crane"),
    *("unfinished_building", "arch_dam", "roundabout", "baseball_diamond", "stadium", "containment_vessel"),
]


def test_star_names_its_classes_in_dota_lines(tmp_path: Path) -> None:
    path = tmp_path / "place.txt"
    lines = [f"{x} 10 {x + 3} 11 {x + 3} 21 {x} 20 {name} 0" for x, name in zip(range(0, 200, 4), STAR, strict=False)]
    path.write_text("\n".join(lines))
    assert list(read(path, "star").features.class_names) == STAR
    assert load_class_table("star").classes["tank"].singular == "storage tank"


def sodaa(path: Path, *names: str) -> Path:
    categories = ["airplane", "helicopter", "small-vehicle", "large-vehicle", "ship", "container", "storage-tank"]
    categories += ["swimming-pool", "windmill", "ignore"]
    annotations = [
        {"poly": [x, 10, x + 3, 11, x + 3, 21, x, 20], "area": 30, "category_id": categories.index(name)}
        for x, name in zip(range(0, 200, 5), names, strict=False)
    ]
    content = {
        "images": {"file_name": "place.jpg", "height": 200, "width": 200},
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories)],
        "annotations": annotations,
    }
    path.write_text(json.dumps(content))
    return path


def test_soda_with_a_region_to_ignore_is_complete_in_nothing(tmp_path: Path) -> None:
    table = load_class_table("sodaa")
    labels = read(sodaa(tmp_path / "place.json", "small-vehicle", "windmill", "ship"), "sodaa")
    assert labels.features.class_names == ("small_vehicle", "windmill", "ship")
    complete = complete_classes(labels.features, (200, 200), table, doubts=labels.doubts)
    assert {judged.is_complete for judged in complete.values()} == {True}
    labels = read(sodaa(tmp_path / "place.json", "small-vehicle", "ignore"), "sodaa")
    assert labels.features.class_names == ("small_vehicle",)
    complete = complete_classes(labels.features, (200, 200), table, doubts=labels.doubts)
    assert {(judged.is_complete, judged.why) for judged in complete.values()} == {
        (False, "regions of 'ignored' may hold some")
    }


def degrees(geometry: dict[str, Any]) -> dict[str, Any]:
    """GeoJSON in degrees of GeoJSON in pixels of the scene."""
    to_degrees = pyproj.Transformer.from_crs(32618, 4326, always_xy=True)

    def moved(xy: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.column_stack(to_degrees.transform(UTM.c + UTM.a * xy[:, 0], UTM.f + UTM.e * xy[:, 1]))

    mapped: dict[str, Any] = shapely.transform(shapely.geometry.shape(geometry), moved).__geo_interface__
    return mapped


def line(y: float) -> dict[str, Any]:
    return {"type": "LineString", "coordinates": [[0, y], [150, y]]}


def layer(path: Path, *features: tuple[dict[str, Any], dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return geojson(path, [(degrees(geometry), properties) for geometry, properties in features])


def test_spacenet_buildings_have_the_class_of_their_folder(tmp_path: Path) -> None:
    for folder in ("geojson_buildings", "geojson/buildings"):
        path = layer(tmp_path / folder / "AOI_2_Vegas_img1.geojson", (square(10, 10, 20), {"partialDec": 1}))
        assert read(path, "spacenet", on_map=True).features.class_names == ("building",)
    assert read(path, "auto", on_map=True).features.class_names == ("building",)


def test_spacenet_roads_by_their_type(tmp_path: Path) -> None:
    roads = [(line(10 + 20 * number), {"road_type": number}) for number in range(1, 8)]
    path = layer(tmp_path / "geojson_roads_speed" / "AOI_2_Vegas_img1.geojson", *roads)
    expected = ("main_road", "main_road", "main_road", "road", "road", "road", "track")
    assert read(path, "spacenet", on_map=True).features.class_names == expected


def test_overture_reads_each_theme_with_its_own_words(tmp_path: Path) -> None:
    # "residential" is a building, a road and a land use
    at = [square(x, 10, 20) for x in range(10, 190, 30)]
    of_types: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
        "building": [
            (at[0], {"class": "residential", "subtype": "residential"}),
            (at[1], {"class": None, "subtype": None}),
            (at[2], {"class": "allotment_house", "subtype": "outbuilding"}),
            (at[3], {"class": "bunker", "subtype": "military"}),
            (at[4], {"class": "garage", "subtype": None, "is_underground": True}),
        ],
        "segment": [
            (line(80), {"class": "residential", "subtype": "road", "road_flags": None}),
            (line(90), {"class": "primary", "subtype": "road", "road_flags": [{"values": ["is_bridge"]}]}),
            (line(100), {"class": "primary", "subtype": "road", "road_flags": [{"values": ["is_tunnel"]}]}),
            (line(110), {"class": "footway", "subtype": "road", "road_flags": None}),
        ],
        "land_use": [
            (at[0], {"class": "residential", "subtype": "residential"}),
            (at[1], {"class": "pitch", "subtype": "recreation"}),
        ],
        "land_cover": [
            (at[0], {"subtype": "barren", "cartography": {"min_zoom": 8, "max_zoom": 15}}),
            (at[0], {"subtype": "forest", "cartography": {"min_zoom": 0, "max_zoom": 7}}),
        ],
        "land": [(at[0], {"class": "glacier", "subtype": "glacier"})],
        "water": [
            (at[0], {"class": "lake", "subtype": "lake"}),
            (at[1], {"class": "swimming_pool", "subtype": "human_made"}),
            (line(20), {"class": "stream", "subtype": "stream"}),
        ],
        "infrastructure": [(at[0], {"class": "parking", "subtype": "transit"})],
    }
    found = {}
    left_out = {}
    for kind, features in of_types.items():
        labels = read(layer(tmp_path / f"amsterdam_{kind}.geojson", *features), "overture", on_map=True)
        found[kind] = labels.features.class_names
        (report,) = labels.report.files
        left_out[kind] = dict(report.ignored)
        assert (report.error, dict(report.unknown_classes), dict(report.rejected)) == ("", {}, {})
    assert found == {
        "building": ("residential_building", "building", "shed", "building"),
        "segment": ("road", "main_road"),
        "land_use": ("residential", "sports_ground"),
        "land_cover": ("bare_ground",),
        "land": ("snow",),
        "water": ("water", "swimming_pool"),
        "infrastructure": ("car_park",),
    }
    assert left_out["building"] == {"is_underground 1": 1}
    assert left_out["segment"] == {"road_flags is_tunnel": 1, "path": 1}
    assert left_out["land_cover"] == {"cartography: coarser than 15": 1}
    assert left_out["water"] == {"water_line": 1}


def test_overture_as_it_is_published_in_geoparquet(tmp_path: Path) -> None:
    # the flags are nested, and the name of the folder tells the type
    lines = [shapely.geometry.shape(degrees(line(y))) for y in (10, 20)]
    flags = pa.array([[{"values": ["is_link"]}], [{"values": ["is_tunnel"]}]])
    rows = pa.table({"geometry": [one.wkb for one in lines], "class": ["trunk", "trunk"], "road_flags": flags})
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    path = tmp_path / "type=segment" / "part-00000.parquet"
    path.parent.mkdir()
    pq.write_table(rows.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    labels = read(path, "overture", on_map=True)
    assert labels.features.class_names == ("main_road",)
    assert labels.report.files[0].ignored == {"road_flags is_tunnel": 1}


def test_overture_without_a_name_is_known_by_its_columns(tmp_path: Path) -> None:
    path = layer(tmp_path / "x.geojson", (square(10, 10, 20), {"class": "apartments", "num_floors": 4}))
    assert read(path, "overture", on_map=True).features.class_names == ("residential_building",)
    path = layer(tmp_path / "y.geojson", (square(10, 10, 20), {"class": "apartments"}))
    assert read(path, "overture", on_map=True).report.files[0].unknown_classes == {"apartments": 1}


def test_tags_with_an_underscore_are_columns(tmp_path: Path) -> None:
    path = layer(tmp_path / "x.geojson", (square(10, 10, 20), {"man_made": "storage_tank"}))
    assert read(path, "openstreetmap", on_map=True).features.class_names == ("storage_tank",)


def test_a_layer_without_a_label_is_read(tmp_path: Path) -> None:
    labels = read(layer(tmp_path / "land_cover.geojson"), "overture", on_map=True)
    assert (labels.features.class_names, [report.error for report in labels.report.files]) == ((), [""])


def test_masks_of_flair_hub_are_not_read_by_the_numbers_of_flair(tmp_path: Path) -> None:
    path = tmp_path / "AERIAL_LABEL-COSIA_D004-2021_AA_1-1.tif"
    write_raster(path, np.full((1, 200, 200), 6, np.uint8), crs=None, transform=None)
    assert "give classes = 'flair_hub'" in read(path, "flair").report.files[0].error
    assert read(path, "flair_hub").features.class_names == ("water",)


def test_spacenet_8_has_its_classes_in_tags(tmp_path: Path) -> None:
    line = {"type": "LineString", "coordinates": [[300, 300], [390, 390]]}
    features = [
        (square(300, 300, 9), {"building": "yes", "highway": None, "flooded": "yes"}),
        (line, {"building": None, "highway": "primary", "flooded": None}),
        ({**line, "coordinates": [[300, 310], [390, 350]]}, {"building": None, "highway": "residential"}),
    ]
    path = geojson(tmp_path / "0_15_63.geojson", features)
    labels = read_labels(scene(width=400, height=400), [path], load_class_table("spacenet"))
    assert labels.features.class_names == ("building", "main_road", "road")


def test_lines_of_opensatmap_are_counted_and_not_used(tmp_path: Path) -> None:
    # no task can ask about lane lines as if they were centrelines of roads
    def lines(*categories: str) -> dict[str, Any]:
        return {"lines": [{"points": [[10, 20], [60, 90]], "category": category} for category in categories]}

    path = tmp_path / "annotrainval20.json"
    broken = {"points": [[10, 20]], "category": "Curb"}
    other = lines("Curb")
    other["lines"].append(broken)
    stem = Path(scene().path).stem
    path.write_text(json.dumps({f"{stem}.png": lines("Lane line", "Lane line", "Virtual line"), "other.png": other}))
    labels = read(path, "opensatmap")
    (report,) = labels.report.files
    assert (labels.features.class_names, report.error, dict(report.unknown_classes)) == ((), "", {})
    assert report.ignored == {"lane_line": 2, "virtual_line": 1}
    path.write_text(json.dumps({f"{stem}.png": other}))
    (report,) = read(path, "opensatmap").report.files
    assert (report.ignored, report.rejected) == ({"curb": 1}, {"line without a category and two points": 1})


def test_lines_of_opensatmap_can_be_given_a_class(tmp_path: Path) -> None:
    path = tmp_path / "annotrainval20.json"
    content = {"lines": [{"points": [[10, 20], [60, 90], [70, 90]], "category": "Curb"}]}
    path.write_text(json.dumps({f"{Path(scene().path).stem}.png": content}))
    table = tmp_path / "curbs.toml"
    table.write_text('[classes.curb]\nsingular = "curb"\nplural = "curbs"\nrole = "road"\n')
    features = read(path, str(table)).features
    assert [geometry.wkt for geometry in features.geometries] == ["LINESTRING (10 20, 60 90, 70 90)"]
