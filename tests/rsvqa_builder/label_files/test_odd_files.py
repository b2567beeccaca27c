"""Odd label files that tools write and people mend by hand: read right, or refused by name, never drawn elsewhere."""

from __future__ import annotations

import json
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
from numpy.typing import NDArray

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.discovery import find_labels
from rsvqa.rsvqa_builder.label_files.layouts import is_elevation_raster, is_instance_raster
from rsvqa.rsvqa_builder.label_files.reading import LabelSet, read_labels
from rsvqa.rsvqa_builder.labels.cleaning import SCATTERED
from tests.rsvqa_builder.labels.make_labels import UTM, geojson, scene, square, table
from tests.rsvqa_builder.make_rasters import write_raster

Box = tuple[float, float, float, float]

CAR: Box = (20, 40, 60, 50)


def put(folder: Path, name: str, content: str | Mapping[str, Any]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def read(path: Path, name: str = "place.png") -> LabelSet:
    return read_labels(scene(name), [path], table())


def boxes(labels: LabelSet) -> list[Box]:
    return [tuple(round(side, 6) for side in one.bounds) for one in labels.features.geometries]


def error(labels: LabelSet) -> str:
    (report,) = labels.report.files
    return report.error


# --- COCO


def coco(folder: Path, *annotations: Mapping[str, Any], images: list[dict[str, Any]] | None = None) -> Path:
    listed = images or [{"id": 1, "file_name": "place.png", "width": 200, "height": 200}]
    records = [{"image_id": 1, "category_id": 1, **one} for one in annotations]
    content = {"images": listed, "categories": [{"id": 1, "name": "car"}], "annotations": records}
    return put(folder, "coco.json", content)


def test_coco_boxes_that_are_corners_are_refused(tmp_path: Path) -> None:
    corners = {"bbox": [150, 150, 190, 195]}
    assert "leave the picture as COCO's x, y, width, height" in error(read(coco(tmp_path, corners)))
    # a box that leaves its picture a little, and one that cannot be corners
    assert error(read(coco(tmp_path, {"bbox": [150, 150, 52, 50]}))) == ""
    assert error(read(coco(tmp_path, corners, {"bbox": [150, 150, 20, 20]}))) == ""


def test_coco_of_one_id_for_two_images_is_refused_for_both(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": name} for name in ("place.png", "other.png")]
    path = coco(tmp_path, {"bbox": [20, 40, 40, 10]}, images=images)
    for name in ("place.png", "other.png"):
        assert error(read(path, name)) == "it gives the id 1 to the images place.png and other.png: number them apart"


@pytest.mark.parametrize("images", [None, [{"id": 1, "file_name": "place.png"}]])
def test_a_run_length_mask_of_another_size_gives_way_to_the_box(
    tmp_path: Path, images: list[dict[str, Any]] | None
) -> None:
    right = {"size": [200, 200], "counts": [20 * 200 + 40, 10, 200 * 200 - 20 * 200 - 50]}
    # sides in the wrong order: the runs fill it all the same
    wrong = {"size": [400, 100], "counts": right["counts"]}
    labels = read(
        coco(tmp_path, {"segmentation": right}, {"segmentation": wrong, "bbox": [20, 40, 40, 10]}, images=images)
    )
    assert boxes(labels) == [(20, 40, 21, 50), CAR]


def test_coco_polygons_of_pairs_and_labels_to_be_ignored(tmp_path: Path) -> None:
    pairs = {"segmentation": [[[20, 40], [60, 40], [60, 50], [20, 50]]]}
    labels = read(coco(tmp_path, pairs, {"bbox": [1, 1, 9, 9], "ignore": 1}, {"bbox": [99, 1, 9, 9], "ignore": 0}))
    assert boxes(labels)[0] == CAR
    assert labels.features.is_certain.tolist() == [True, False, True]
    hidden = {"bbox": [20, 40, 40, 10], "attributes": {"occluded": True}}
    assert read(coco(tmp_path, hidden)).features.is_certain.tolist() == [False]


def test_names_that_macos_spells_apart_are_one(tmp_path: Path) -> None:
    name = "\u00e9t\u00e9.png"
    apart = unicodedata.normalize("NFD", name)
    images = [{"id": 1, "file_name": apart, "width": 200, "height": 200}, {"id": 2, "file_name": "other.png"}]
    path = coco(tmp_path, {"bbox": [20, 40, 40, 10]}, images=images)
    found = find_labels([str(tmp_path / name), str(tmp_path / "other.png")], [path])
    assert [files.files for files in found.of_scenes] == [(path,), (path,)]
    assert boxes(read(path, str(tmp_path / name))) == [CAR]
    text = put(tmp_path, f"labels/{Path(apart).stem}.txt", "20 40 60 40 60 50 20 50 car 0\n")
    (files, _) = find_labels([str(tmp_path / name), str(tmp_path / "other.png")]).of_scenes
    assert text in files.files


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("coco.json", ""),
        ("place.txt", "0.1 0.2 0.3 0.2 0.3 0.25 0.1 0.25 car 0\n"),
        ("place.csv", "xmin,ymin,xmax,ymax,class\n0.1,0.2,0.3,0.25,car\n"),
        ("place.xml", "<annotation><object><name>car</name><bndbox><xmin>0.1</xmin><ymin>0.2</ymin><xmax>0.3</xmax>"
         "<ymax>0.25</ymax></bndbox></object></annotation>"),
    ],
)  # fmt: skip
def test_shares_where_pixels_are_meant_are_refused(tmp_path: Path, name: str, content: str) -> None:
    path = put(tmp_path, name, content) if content else coco(tmp_path, {"bbox": [0.1, 0.2, 0.2, 0.05]})
    assert "shares of the picture's sides, where pixels are meant" in error(read(path))


# --- VOC


def voc(folder: Path, inside: str) -> Path:
    return put(folder, "place.xml", f"<annotation><object><name>car</name>{inside}</object></annotation>")


SIDES = "<bndbox><xmin>21</xmin><ymin>41</ymin><xmax>60</xmax><ymax>50</ymax></bndbox>"


def test_the_turn_of_a_voc_box_is_applied_or_makes_it_uncertain(tmp_path: Path) -> None:
    turn = "<attributes><attribute><name>rotation</name><value>90.0</value></attribute></attributes>"
    # 40 × 10 about (40, 45): a quarter turn makes it 10 × 40
    assert boxes(read(voc(tmp_path, SIDES + turn))) == [(35, 25, 45, 65)]
    assert boxes(read(voc(tmp_path, SIDES + turn.replace("90.0", "0.0")))) == [CAR]
    assert read(voc(tmp_path, f"{SIDES}<rotation>90</rotation>")).features.is_certain.tolist() == [False]
    assert read(voc(tmp_path, f"{SIDES}<rotation>0</rotation>")).features.is_certain.tolist() == [True]


def test_degrees_for_the_radians_of_rolabelimg_are_rejected(tmp_path: Path) -> None:
    box = "<robndbox><cx>40</cx><cy>45</cy><w>40</w><h>10</h><angle>{}</angle></robndbox>"
    labels = read(voc(tmp_path, box.format(90)))
    assert labels.report.files[0].rejected == {"the angle of its box is no radians": 1}
    assert boxes(read(voc(tmp_path, box.format(0)))) == [CAR]


@pytest.mark.parametrize("form", ["polygon", "points"])
def test_polygons_of_five_corners_keep_them_all(tmp_path: Path, form: str) -> None:
    corners = [(20, 40), (60, 40), (70, 45), (60, 50), (20, 50)]
    if form == "polygon":
        inside = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate(corners, start=1))
    else:
        inside = "".join(f"<point>{x},{y}</point>" for x, y in [*corners, corners[0]])
    labels = read(voc(tmp_path, f"<{form}>{inside}</{form}>"))
    assert boxes(labels) == [(20, 40, 70, 50)]
    assert labels.features.outlines == (Outline.POLYGON,)


# --- tables and texts


def test_decimal_commas_are_read_where_they_cannot_part_thousands(tmp_path: Path) -> None:
    header = "xmin;ymin;xmax;ymax;class\n"
    assert boxes(read(put(tmp_path, "place.csv", f"{header}20,0;40,0;60,0;50,0;car\n"))) == [CAR]
    labels = read(put(tmp_path, "place.csv", f"{header}1,000;1,000;2,000;2,000;car\n"))
    assert labels.report.files[0].rejected == {"coordinates are not numbers": 1}


@pytest.mark.parametrize(
    "line",
    ["0 0.2 0.225 0.2 0.05 0.9 2", "0.0 0.2 0.225 0.2 0.05", "0 0.1 0.2 0.3 0.2 0.3 0.25 0.1 0.25"],
)
def test_lines_of_yolo_with_a_track_or_a_fraction_for_the_class(tmp_path: Path, line: str) -> None:
    put(tmp_path, "data.yaml", "names:\n  '0': car\n  \"1\": tree\n")
    assert boxes(read(put(tmp_path, "place.txt", f"{line}\n{line}\n"))) == [CAR]


def test_the_first_track_is_no_corner_of_a_triangle(tmp_path: Path) -> None:
    put(tmp_path, "data.yaml", "names: [car]\n")
    path = put(tmp_path, "place.txt", "0 0.2 0.225 0.2 0.05 0.9 1\n0 0.5 0.5 0.1 0.1 0.9 2\n")
    assert boxes(read(path)) == [CAR, (90, 90, 110, 110)]
    triangles = put(tmp_path, "place.txt", "0 0.1 0.2 0.3 0.2 0.2 1\n")
    assert boxes(read(triangles)) == [(20, 40, 60, 200)]


def test_yolo_outlines_that_leave_the_picture_are_not_taken_for_dota(tmp_path: Path) -> None:
    put(tmp_path, "data.yaml", "names: [car]\n")
    outside = "0 -0.01 0.2 0.3 0.2 0.3 0.25 -0.01 0.25\n"
    labels = read(put(tmp_path, "place.txt", outside))
    assert "YOLO's lines would be" in labels.report.files[0].skipped
    labels = read(put(tmp_path, "place.txt", f"{outside}0 0.1 0.2 0.3 0.2 0.3 0.25 0.1 0.25\n"))
    assert boxes(labels) == [CAR]
    assert labels.doubts == {"car": "labels of place.txt were rejected"}


# --- annotation tools


def test_labelme_parts_of_a_group_are_one_object(tmp_path: Path) -> None:
    def shape(x: float, group: int | None, label: str = "car") -> dict[str, Any]:
        points = [[x, 40], [x + 10, 40], [x + 10, 50]]
        return {"label": label, "points": points, "shape_type": "polygon", "group_id": group}

    shapes = [shape(20, 1), shape(40, 1), shape(40, 1, "tree"), shape(60, None), shape(80, None)]
    labels = read(put(tmp_path, "place.json", {"shapes": shapes, "imagePath": "place.png"}))
    assert boxes(labels) == [(20, 40, 50, 50), (40, 40, 50, 50), (60, 40, 70, 50), (80, 40, 90, 50)]
    assert labels.features.is_certain.all()


def test_ellipses_and_masks_of_cvat(tmp_path: Path) -> None:
    ellipse = '<ellipse label="car" cx="40" cy="45" rx="20" ry="5"/>'
    # in a box of 5 × 2: two pixels, then the whole second row
    mask = '<mask label="tree" rle="1, 2, 2, 5" left="100" top="120" width="5" height="2"/>'
    bad = '<mask label="tree" rle="1, 2" left="100" top="120" width="5" height="2"/>'
    path = put(tmp_path, "a.xml", f'<annotations><image name="place.png">{ellipse}{mask}{bad}</image></annotations>')
    labels = read(path)
    assert boxes(labels) == [CAR, (100, 120, 105, 122)]
    assert labels.features.geometries[0].area == pytest.approx(np.pi * 20 * 5, rel=0.01)
    assert labels.features.geometries[1].area == 7
    turned = put(
        tmp_path, "a.xml", path.read_text().replace('ry="5"', 'ry="5" rotation="90"').replace(mask, "").replace(bad, "")
    )
    assert boxes(read(turned)) == [(35, 25, 45, 65)]


# --- vector layers


def test_one_label_of_polygons_far_apart_is_not_one_thing_to_count(tmp_path: Path) -> None:
    def multi(*squares: dict[str, Any]) -> dict[str, Any]:
        return {"type": "MultiPolygon", "coordinates": [one["coordinates"] for one in squares]}

    near, far = multi(square(300, 20, 9), square(310, 20, 9)), multi(square(300, 40, 9), square(380, 40, 9))
    features = [(near, {"class": "car"}), (far, {"class": "car"}), (far, {"class": "water"})]
    labels = read_labels(scene(width=400), [geojson(tmp_path / "a.geojson", features)], table())
    assert labels.features.is_certain.tolist() == [True, False, True]
    assert f"1 {SCATTERED}" in labels.report.files[0].notes


def test_a_class_that_is_a_list_is_a_text(tmp_path: Path) -> None:
    path = geojson(tmp_path / "a.geojson", [(square(300, 20, 9), {"class": ["car"]})])
    assert read_labels(scene(width=400), [path], table()).features.class_names == ("car",)


def on_map(x: float, y: float) -> tuple[float, float]:
    return UTM.c + x * UTM.a, UTM.f + y * UTM.e


def car_on_map() -> NDArray[np.object_]:
    x_min, y_min, x_max, y_max = CAR
    return np.array([shapely.box(*on_map(x_min, y_max), *on_map(x_max, y_min))], dtype=object)


@pytest.mark.parametrize("suffix", [".zip", ".shz"])
def test_zipped_shapefiles_are_read(tmp_path: Path, suffix: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    pyogrio.raw.write(
        inside / "a.shp",
        shapely.to_wkb(car_on_map()),
        [np.array(["car"], dtype=object)],
        ["class"],
        geometry_type="Polygon",
        crs="EPSG:32618",
    )
    path = tmp_path / f"place{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        for file in inside.iterdir():
            archive.write(file, file.name)
    (files,) = find_labels([str(tmp_path / "place.tif")]).of_scenes
    assert files.files == (path,)
    assert boxes(read_labels(scene(transform=UTM), files, table())) == [CAR]


def test_archives_without_a_shapefile_and_databases_are_named_or_passed_over(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.jpg", "")
    (tmp_path / "city.gdb").mkdir()
    put(tmp_path, "map.osm", "<osm/>")
    (files,) = find_labels([str(tmp_path / "place.tif")]).of_scenes
    assert [path.name for path in files.files] == ["city.gdb", "map.osm"]
    errors = [report.error for report in read_labels(scene(), files, table()).report.files]
    assert errors == [
        f"the format {suffix} is not read: convert it, ogr2ogr -f GPKG {stem}.gpkg {stem}{suffix}"
        for stem, suffix in (("city", ".gdb"), ("map", ".osm"))
    ]
    with_photos = read_labels(scene(), [tmp_path / "photos.zip"], table())
    assert error(with_photos) == "packed files are not read: unpack photos.zip"


@pytest.mark.parametrize("crs", ["none", "text"])
def test_geoparquet_that_says_nothing_of_its_map_coordinates(tmp_path: Path, crs: str) -> None:
    (car,) = car_on_map()
    names = ("xmin", "ymin", "xmax", "ymax")
    column: dict[str, Any] = {"encoding": "WKB", "covering": {"bbox": {name: ["bbox", name] for name in names}}}
    if crs == "text":
        column["crs"] = "EPSG:32618"
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    rows = pa.table({"geometry": [car.wkb], "class": ["car"], "bbox": [dict(zip(names, car.bounds, strict=True))]})
    pq.write_table(rows.replace_schema_metadata({"geo": json.dumps(geo)}), tmp_path / "a.parquet")
    labels = read_labels(scene(transform=UTM), [tmp_path / "a.parquet"], table())
    assert boxes(labels) == [CAR]


def test_json_of_esri_is_read(tmp_path: Path) -> None:
    ring = [list(point) for point in car_on_map()[0].exterior.coords]
    feature = {"attributes": {"class": "car"}, "geometry": {"rings": [ring]}}
    content = {"geometryType": "esriGeometryPolygon", "spatialReference": {"wkid": 32618}, "features": [feature]}
    assert boxes(read_labels(scene(transform=UTM), [put(tmp_path, "a.json", content)], table())) == [CAR]


# --- rasters


@pytest.mark.parametrize("name", ["place_instances.tif", "instance_masks/place.tif", "place_inst_mask.tif"])
def test_numbers_of_objects_are_not_read_as_classes(tmp_path: Path, name: str) -> None:
    grid = np.ones((1, 200, 200), np.uint8)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    path = write_raster(tmp_path / name, grid, crs=None, transform=None)
    assert 'give mask = "instances" in the class table' in error(read(path))


def test_what_names_say_of_rasters() -> None:
    assert not is_instance_raster(Path("masks/place_mask.tif"))
    assert not is_instance_raster(Path("masks/instant.tif"))
    assert is_elevation_raster("set/dsm/place.tif")
    assert is_elevation_raster("set/1_DSM_normalisation/place.jpg")
    assert not is_elevation_raster("dsm/place.tif")  # the folder that the user names
    assert not is_elevation_raster("set/demo/place.tif")


def test_arrays_in_a_folder_of_labels_are_named(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"images/{name}.tif") for name in ("place", "other")]
    (tmp_path / "images").mkdir()
    put(tmp_path, "labels/place.mat", "x")
    put(tmp_path, "labels/all.npy", "x")
    put(tmp_path, "images/statistics.npy", "x")
    found = find_labels(paths, root=tmp_path)
    assert [[path.name for path in files.files] for files in found.of_scenes] == [["place.mat"], []]
    (orphan,) = found.orphans
    assert orphan.path.endswith("all.npy")
    assert orphan.reason.startswith("it belongs to no scene: the format .npy is not read: labels are ")
