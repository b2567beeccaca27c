"""All label files of a scene together, and the real scenes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.discovery import LabelFiles, find_labels
from rsvqa.rsvqa_builder.label_files.layouts import is_label_raster
from rsvqa.rsvqa_builder.label_files.reading import LAND_COVER, LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.classes import ClassTable, load_class_table
from rsvqa.rsvqa_builder.labels.completeness import complete_classes
from rsvqa.rsvqa_builder.labels.report import MAX_UNKNOWN_LISTED, OTHER_NAMES, counted
from rsvqa.rsvqa_builder.scenes.scene import describe_scene
from tests.rsvqa_builder.labels.make_labels import UTM, geojson, polygon, real_scene, scene, square, table


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def boxes_csv(folder: Path, name: str, *rows: str, header: str = "xmin,ymin,xmax,ymax,class") -> Path:
    return write(folder, name, "\n".join((header, *rows)) + "\n")


def test_every_label_is_kept_or_counted_for_each_file(tmp_path: Path) -> None:
    features = [
        (square(100, 100, 9), {"class": "car"}),
        (square(500, 100, 9), {"class": "car"}),
        (square(100, 150, 9), {"class": "yeti"}),
        (square(100, 180, 9), {"class": "junk"}),
        (polygon((120, 120), (130, 130), (130, 120), (120, 130)), {"class": "tree"}),
        ({"type": "LineString", "coordinates": [[0, 0], [9, 9]]}, {"class": "water"}),
        (square(100, 100, 0.5), {"class": "car"}),
    ]
    files = [
        geojson(tmp_path / "a.geojson", features[:1] + features[2:]),
        boxes_csv(tmp_path, "b.csv", "100,100,109,109,car"),
    ]
    labels = read_labels(scene(), files, table())
    first, second = labels.report.files
    assert first.rejected == {"line of an area class": 1, "smaller than a pixel": 1}
    assert first.repaired == {"self-intersection, falls apart when repaired: uncertain": 1}
    assert first.unknown_classes == {"yeti": 1}
    assert first.ignored == {"junk": 1}
    assert (first.num_read, first.num_kept, first.num_uncertain) == (6, 2, 1)
    assert second.rejected == {"same object in another file": 1}
    assert labels.features.ids == ("a:0", "a:3")
    assert labels.features.is_certain.tolist() == [True, False]
    assert labels.doubts == {"water": "labels of a.geojson were rejected"}
    assert json.loads(json.dumps(labels.report.to_json()))["files"][0]["num_kept"] == 2


def test_files_that_are_no_labels_or_broken_are_one_line_each(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "flights.csv", "date,pilot\n2020,A\n"),
        write(tmp_path, "notes.txt", "a clear day"),
        write(tmp_path, "meta.json", '{"a": 1}'),
        write(tmp_path, "meta.xml", "<metadata/>"),
        boxes_csv(tmp_path, "place.csv", "0,0,9,9,car"),
    ]
    labels = read_labels(scene(), files, table())
    assert [bool(file.skipped) for file in labels.report.files] == [True, True, True, True, False]
    assert labels.doubts == {}
    broken = read_labels(scene(), [*files, write(tmp_path, "roads.geojson", "{")], table())
    assert broken.report.files[-1].error.startswith("GDAL cannot open it as vector data")
    assert broken.doubts == {"road": "roads.geojson could not be read"}
    assert broken.report.has_labels


@pytest.mark.parametrize(
    ("name", "content", "doubtful"),
    [
        ("roads.geojson", "{", {"road"}),
        ("place_cars.geojson", "{", {"car"}),  # the scene is place.tif
        ("roads.gpkg", "{", {"car", "forest", "road", "scar", "tree", "water"}),  # may hold other layers
        ("place.geojson", "{", {"car", "forest", "road", "scar", "tree", "water"}),
        ("place.xml", "<annotation>", {"car", "forest", "scar", "tree", "water"}),  # boxes are no lines
        ("roads_mask.tif", "II", {"car", "forest", "water"}),  # the others have no value in a mask
    ],
)
def test_a_file_that_cannot_be_read_taints_the_classes_it_could_hold(
    tmp_path: Path, name: str, content: str, doubtful: set[str]
) -> None:
    labels = read_labels(scene(), [write(tmp_path, name, content)], table())
    assert labels.report.files[0].error
    assert labels.doubts == dict.fromkeys(doubtful, f"{name} could not be read")


def test_a_broken_list_of_houses_may_hold_other_buildings(tmp_path: Path) -> None:
    labels = read_labels(scene(), [write(tmp_path, "houses.geojson", "{")], load_class_table("demo"))
    assert labels.doubts.keys() == {"house", "warehouse", "office_building"}


def test_formats_that_are_not_read_are_named_with_what_to_do(tmp_path: Path) -> None:
    files = [write(tmp_path, name, "x") for name in ("a.dxf", "b.npy", "c")]
    labels = read_labels(scene(), files, table())
    dxf, npy, bare = (file.error for file in labels.report.files)
    assert dxf == "the format .dxf is not read: convert it, ogr2ogr -f GPKG a.gpkg a.dxf"
    assert npy.startswith("the format .npy is not read: labels are .csv, ")
    assert npy.endswith(", or a raster")
    assert bare.startswith("the format (no suffix) is not read: labels are ")
    assert labels.doubts["car"] == "a.dxf could not be read"


def test_a_refused_file_is_not_read_and_makes_classes_doubtful(tmp_path: Path) -> None:
    path = boxes_csv(tmp_path, "place.csv", "0,0,9,9,car")
    labels = read_labels(scene(), LabelFiles(files=(path,), refused={path: "it may be of a or b"}), table())
    assert [file.error for file in labels.report.files] == ["it may be of a or b"]
    assert len(labels.features) == 0
    assert labels.doubts["car"] == "place.csv could not be read"


def test_a_file_for_several_scenes_is_not_in_the_pixels_of_one(tmp_path: Path) -> None:
    pixels = boxes_csv(tmp_path, "a.csv", "0,0,9,9,car")
    named = boxes_csv(tmp_path, "b.csv", "20,0,29,9,car,place.tif", header="xmin,ymin,xmax,ymax,class,image")
    on_map = geojson(tmp_path / "c.geojson", [(square(500_020, 4_000_050, 10), {"class": "car"})])
    files = (pixels, named, on_map)
    place = scene(transform=UTM)
    labels = read_labels(place, LabelFiles(files=files, shared=frozenset(files)), table())
    assert labels.features.ids == ("b:0", "c:0")
    assert labels.report.files[0].error.startswith("it is given for several scenes, but its labels are in the pixels")
    assert read_labels(place, files, table()).features.ids == ("a:0", "b:0", "c:0")


def test_a_mask_for_several_scenes_lies_by_its_georeference_only(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "width": 200, "height": 200, "count": 1, "dtype": "uint8"}
    values = np.full((1, 200, 200), 2, np.uint8)
    files = LabelFiles(files=(path,), shared=frozenset({path}))
    with rasterio.open(path, "w", crs="EPSG:32618", transform=Affine(*UTM), **profile) as dataset:
        dataset.write(values)
    assert read_labels(scene(transform=UTM), files, table()).features.class_names == ("forest",)
    with pytest.warns(NotGeoreferencedWarning), rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
    labels = read_labels(scene(transform=UTM), files, table())
    assert labels.report.files[0].error.startswith("it is given for several scenes")


BAD_XML = "<annotation><object><name>tree</name></object></annotation>"
BAD_CVAT = '<annotations><image name="place.tif"><ellipse label="tree"/></image></annotations>'
BAD_COCO = {
    "images": [{"id": 1, "file_name": "place.tif"}],
    "categories": [{"id": 1, "name": "tree"}],
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1]}],
}
BAD_LABELME = {"shapes": [{"label": "tree", "points": [[1, 1]]}], "imagePath": "place.tif"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "xmin,ymin,xmax,ymax,class\n5,5,2,2,tree\n"),
        ("a.xml", BAD_XML),
        ("b.xml", BAD_CVAT),
        ("a.json", json.dumps(BAD_COCO)),
        ("b.json", json.dumps(BAD_LABELME)),
    ],
)
def test_a_record_that_is_lost_makes_its_class_doubtful(tmp_path: Path, name: str, text: str) -> None:
    labels = read_labels(scene(), [write(tmp_path, name, text)], table())
    (file,) = labels.report.files
    assert (file.error, file.num_read, sum(file.rejected.values())) == ("", 1, 1)
    assert labels.doubts == {"tree": f"labels of {name} were rejected"}


def test_what_no_reader_has_thought_of_costs_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("shape")

    monkeypatch.setattr("rsvqa.rsvqa_builder.label_files.reading.read_dota", fail)
    files = [write(tmp_path, "a.txt", "0 0 9 0 9 9 0 9 car 0"), boxes_csv(tmp_path, "b.csv", "0,0,9,9,car")]
    labels = read_labels(scene(), files, table())
    assert [file.error for file in labels.report.files] == ["cannot be read: KeyError: 'shape'", ""]
    assert len(labels.features) == 1


def test_labels_of_no_image_are_counted(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "place.tif"}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": [9, 9, 9, 9]} for i in (1, 7, 8)],
    }
    labels = read_labels(scene(), [write(tmp_path, "a.json", json.dumps(content))], table())
    (file,) = labels.report.files
    assert (file.num_read, file.num_kept, file.num_of_no_image) == (1, 1, 2)
    assert file.notes == ("2 labels are of no image that the file names",)


def test_voc_files_count_as_their_set_does(tmp_path: Path) -> None:
    box = "<xmin>10</xmin><ymin>20</ymin><xmax>30</xmax><ymax>40</ymax>"
    text = f"<annotation><object><name>car</name><bndbox>{box}</bndbox></object></annotation>"
    path = write(tmp_path, "a.xml", text)
    for from_zero, expected in ((True, (10, 20, 30, 40)), (False, (9, 19, 30, 40))):
        labels = read_labels(scene(), LabelFiles(files=(path,), voc_from_zero=from_zero), table())
        assert labels.features.geometries[0].bounds == expected


def test_equal_stems_and_names_still_give_unique_ids(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    files = [
        boxes_csv(tmp_path, "a.csv", "0,0,9,9,car"),
        write(tmp_path, "a.txt", "20 0 29 0 29 9 20 9 car 0\n"),
        boxes_csv(tmp_path / "more", "a.csv", "40,0,49,9,car"),
    ]
    assert read_labels(scene(), files, table()).features.ids == ("a.csv:0", "a.txt:0", "a.csv#2:0")


def test_predictions_beside_the_truth_are_not_counted_twice(tmp_path: Path) -> None:
    header = "xmin,ymin,xmax,ymax,class,score"
    files = [
        boxes_csv(tmp_path, "a.csv", "0,0,9,9,car,0.9", "50,50,70,70,tree,0.3", header=header),
        boxes_csv(tmp_path, "b.csv", "3,3,13,13,car"),
    ]
    labels = read_labels(scene(), files, table(min_score=0.5))
    assert labels.features.ids == ("a:1", "b:0")
    assert labels.features.is_certain.tolist() == [False, True]
    assert labels.report.files[0].rejected == {"prediction of a class that another file or layer labels": 1}
    assert labels.doubts == {"tree": "labels come from a model"}


def test_regions_of_a_land_cover_map_are_not_single_objects(tmp_path: Path) -> None:
    path = geojson(
        tmp_path / "a.geojson",
        [
            (polygon((0, 0), (200, 0), (200, 150), (0, 150)), {"class": "water"}),
            (polygon((0, 150), (200, 150), (198, 200), (0, 200)), {"class": "car"}),
        ],
    )
    labels = read_labels(scene(), [path], table())
    assert labels.features.is_certain.tolist() == [True, False]
    assert labels.doubts == {"car": LAND_COVER}


def test_an_unknown_name_that_speaks_of_a_class_makes_it_doubtful(tmp_path: Path) -> None:
    path = boxes_csv(tmp_path, "a.csv", "0,0,9,9,car", "20,20,29,29,police car", "40,40,49,49,yeti")
    assert read_labels(scene(), [path], table()).doubts == {
        "car": "labels of the unknown class 'police car' may belong to it"
    }


def test_files_of_other_places_or_classes_do_not_make_a_scene_labelled(tmp_path: Path) -> None:
    far = boxes_csv(tmp_path, "far.csv", "900,900,909,909,car")
    strange = boxes_csv(tmp_path, "strange.csv", "0,0,9,9,yeti")
    empty = boxes_csv(tmp_path, "empty.csv")
    assert not read_labels(scene(), [far, strange], table()).report.has_labels
    assert read_labels(scene(), [far, empty], table()).report.has_labels
    assert not read_labels(scene(), [], table()).report.has_labels


def test_long_lists_of_unknown_names_are_cut() -> None:
    names = [f"name {i}" for i in range(MAX_UNKNOWN_LISTED + 3)] + ["often"] * 4
    found = counted(names)
    assert next(iter(found.items())) == ("often", 4)
    # 50 listed: "often" and 49 others; 53 − 49 are left.
    assert found[OTHER_NAMES] == 4


def is_scene(path: Path) -> bool:
    return path.suffix in (".tif", ".jpg") and not is_label_raster(str(path))


def read_real(folder: str, scene_name: str, table: ClassTable, *, num_scenes: int = 1) -> LabelSet:
    path = real_scene(folder) / scene_name
    scenes = [str(other) for other in sorted(path.parent.iterdir()) if is_scene(other)]
    assert len(scenes) == num_scenes
    found = find_labels(scenes, root=path.parent).of_scenes[scenes.index(str(path))]
    return read_labels(describe_scene(str(path), folder), found, table)


# Counts from the sources' own description of each file.
@pytest.mark.parametrize(
    ("folder", "name", "num_scenes", "counts"),
    [
        ("dronetrees_coco", "5b90f92da0d7280005fab355_4310.tif", 2, {"tree": 5}),
        ("dronetrees_coco", "5dded5bc0140b80006d2e565_23.tif", 2, {"tree": 1}),
        ("dsm_buildings_alexandria", "dsm.tif", 1, {"building": 84}),
        ("neon_blan_polygons", "2019_BLAN_3_751000_4330000_image_crop.jpg", 1, {"tree": 4}),
        ("neon_osbs_trees", "OSBS_029.tif", 1, {"tree": 61}),
        ("oam_buildings", "scene.tif", 1, {"building": 108}),
        ("spacenet_atlanta_buildings", "scene_pan_uint16.tif", 1, {"building": 43}),
        ("spacenet_vegas_roads_pan", "scene_pan_uint16.tif", 1, {"road": 9}),
        ("tree_crown_australia", "australia.tif", 1, {"tree": 1}),
        ("black_marble_europe", "scene.tif", 1, {}),
        ("naip_nd_bitemporal", "m_4709963_se_14_1_20140720.tif", 2, {}),
    ],
)
def test_real_scenes_have_each_label_once(folder: str, name: str, num_scenes: int, counts: dict[str, int]) -> None:
    labels = read_real(folder, name, load_class_table("auto"), num_scenes=num_scenes)
    assert Counter(labels.features.class_names) == counts
    assert not any(file.error for file in labels.report.files)
    assert shapely.is_valid(labels.features.geometries).all()


def test_buildings_outside_the_drone_image_are_counted() -> None:
    labels = read_real("oam_buildings", "scene.tif", load_class_table("auto"))
    (file,) = labels.report.files
    assert (file.num_read, file.rejected) == (206, {"outside the scene": 98})


def test_finer_outlines_of_atlanta_stay_and_the_header_tells_the_gsd() -> None:
    labels = read_real("spacenet_atlanta_buildings", "scene_pan_uint16.tif", load_class_table("auto"))
    assert set(labels.features.outlines) == {Outline.POLYGON}
    assert labels.report.gsd_m == 0.5


@pytest.mark.parametrize(
    ("folder", "name", "class_name", "expected", "why"),
    [
        # Looked at: trees and roofs are labelled all over these two.
        ("neon_osbs_trees", "OSBS_029.tif", "tree", True, "61 labels cover 53.8% of the scene, in 16 of its 16 parts"),
        ("oam_buildings", "scene.tif", "building", True, "108 labels cover 24.2% of the scene, in 16 of its 16 parts"),
        # Few and far between: nothing in the labels tells whether a building or a street was left out.
        (
            *("spacenet_atlanta_buildings", "scene_pan_uint16.tif", "building", False),
            "43 labels cover 4.2% of the scene, in 15 of its 16 parts",
        ),
        (
            *("spacenet_vegas_roads_pan", "scene_pan_uint16.tif", "road", False),
            "lines do not tell whether small roads were left out",
        ),
        ("black_marble_europe", "scene.tif", "world_cities", False, "points do not tell whether any were left out"),
        (
            *("black_marble_europe", "scene.tif", "countries", False),
            "one label is as large as 83% of the scene: regions, not things",
        ),
    ],
)
def test_real_labels_are_complete_only_where_they_fill_the_scene(
    folder: str, name: str, class_name: str, expected: bool, why: str
) -> None:
    table = load_class_table("auto")
    if class_name not in table.classes:
        entry = {"singular": class_name, "plural": class_name, "role": "object"}
        table = ClassTable.model_validate({"classes": {class_name: entry}})
    labels = read_real(folder, name, table)
    place = describe_scene(str(real_scene(folder) / name), folder)
    found = complete_classes(labels.features, (place.height, place.width), table, doubts=labels.doubts)[class_name]
    assert (found.is_complete, found.why) == (expected, why)


def test_fields_without_a_crs_lie_in_the_scene_and_their_class_is_reported() -> None:
    labels = read_real("crs_trap_custom_albers", "scene_int16_3band.tif", load_class_table("auto"))
    (file,) = labels.report.files
    assert file.unknown_classes == {"fields_no_crs_member": 19}
    own = ClassTable.model_validate(
        {
            "classes": {
                "field": {"singular": "field", "plural": "fields", "role": "area", "match": ["fields_no_crs_member"]}
            }
        }
    )
    kept = read_real("crs_trap_custom_albers", "scene_int16_3band.tif", own).features
    # The file's bounds in metres, in pixels of 30 m from (−673425, 2130165); the right edge of the scene is at 512.
    bounds = shapely.total_bounds(kept.geometries)
    assert bounds[0] == pytest.approx((-663347.2812308788 + 673425) / 30)
    assert bounds[1] == pytest.approx((2130165 - 2129938.4174673967) / 30)


def test_the_swapped_columns_of_sjer_give_the_boxes_of_the_file() -> None:
    classes = {"tree": {"singular": "tree", "plural": "trees", "role": "object", "match": [0]}}
    labels = read_real(
        "neon_sjer_trees", "2018_SJER_3_252000_4107000_image_477.tif", ClassTable.model_validate({"classes": classes})
    )
    # The truth's first row is xmin 1, xmax 82, ymin 103, ymax 235; the predictions of the other file give way.
    assert labels.features.geometries[0].bounds == (1, 103, 82, 235)
    assert len(labels.features) == 7
    assert [sum(file.rejected.values()) for file in labels.report.files] == [7, 0]


@pytest.mark.slow
def test_the_mask_of_dubai_gives_the_polygons_that_were_derived_from_it() -> None:
    names = {1: "water", 2: "land_unpaved", 3: "road", 4: "building", 5: "vegetation"}
    classes = {
        name: {"singular": name, "plural": name, "role": "area", "mask_values": [value]}
        for value, name in names.items()
    }
    own = ClassTable.model_validate({"classes": classes})
    folder = real_scene("dubai_tile8")
    place = describe_scene(str(folder / "scene.tif"), "dubai")
    regions = read_labels(place, [folder / "landuse_mask.tif"], own).features
    expected = {"building": 1318, "land_unpaved": 1282, "vegetation": 930, "water": 137, "road": 58}
    assert Counter(regions.class_names) == expected
    outlines = read_labels(place, [folder / "landuse_polygons_pixel.geojson"], own).features
    assert Counter(outlines.class_names) == expected
    # They were simplified by a pixel: the areas agree within a hundredth.
    assert np.isclose(shapely.area(regions.geometries).sum(), shapely.area(outlines.geometries).sum(), rtol=0.01)


@pytest.mark.slow
def test_outlines_of_dubais_mask_are_not_houses_to_count() -> None:
    folder = real_scene("dubai_tile8")
    place = describe_scene(str(folder / "scene.tif"), "dubai")
    labels = read_labels(place, [folder / "landuse_polygons_pixel.geojson"], load_class_table("auto"))
    buildings = np.array([name == "building" for name in labels.features.class_names])
    assert buildings.sum() == 1318
    assert not labels.features.is_certain[buildings].any()
