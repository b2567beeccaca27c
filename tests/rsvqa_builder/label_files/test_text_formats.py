"""DOTA, CSV, Pascal VOC and COCO files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.coco import image_names, looks_like_coco, read_coco
from rsvqa.rsvqa_builder.label_files.csv_boxes import read_csv_boxes
from rsvqa.rsvqa_builder.label_files.dota import read_dota
from rsvqa.rsvqa_builder.label_files.identity import Identity
from rsvqa.rsvqa_builder.label_files.voc import FROM_ZERO, counts_from_zero, read_voc
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError
from rsvqa.rsvqa_builder.scenes.scene import AffineCoefficients
from tests.rsvqa_builder.labels.make_labels import UTM, scene, table


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def bounds(geometry: object) -> tuple[float, ...]:
    return tuple(geometry.bounds)  # type: ignore[attr-defined]


DOTA = """imagesource:GoogleEarth
gsd:0.25
10 10 30 20 25 30 5 20 car 0
50 50 60 50 60 60 50 60 tree 1
not a label
"""


def test_dota_gives_oriented_boxes_difficulty_and_gsd(tmp_path: Path) -> None:
    raw = read_dota(write(tmp_path, "a.txt", DOTA))
    assert raw.gsd_m == 0.25
    assert list(raw.sources) == ["car", "tree"]
    assert raw.is_certain.tolist() == [True, False]
    assert raw.positions == ("2", "3")
    # Shoelace: (10·20 − 30·10) + (30·30 − 25·20) + (25·20 − 5·30) + (5·10 − 10·20) = 500, and half of it.
    assert raw.geometries[0].area == 250
    # All trees are upright rectangles, so nobody drew their outlines.
    assert list(raw.outlines) == [Outline.ORIENTED_BOX, Outline.BOX]
    assert raw.num_invalid == {"line is not eight numbers, class, difficult": 1}


@pytest.mark.parametrize("header", ["gsd:null", "gsd:-1", "gsd:nan", ""])
def test_dota_without_a_usable_gsd(tmp_path: Path, header: str) -> None:
    assert read_dota(write(tmp_path, "a.txt", f"{header}\n0 0 4 0 4 4 0 4 car 0\n")).gsd_m is None


def test_dota_with_headers_only_is_a_scene_without_objects(tmp_path: Path) -> None:
    assert len(read_dota(write(tmp_path, "a.txt", "imagesource:x\ngsd:1\n"))) == 0


def test_dota_class_names_may_have_spaces_and_no_flag(tmp_path: Path) -> None:
    raw = read_dota(write(tmp_path, "a.txt", "0 0 4 0 4 4 0 4 large car\n"))
    assert list(raw.sources) == ["large car"]


def test_other_text_is_no_dota_file(tmp_path: Path) -> None:
    with pytest.raises(NotLabelsError, match="no DOTA lines"):
        read_dota(write(tmp_path, "notes.txt", "flown on a clear day\n"))


def test_csv_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    text = "image_path,xmin,xmax,ymin,ymax,label\nplace.tif,1,82,103,135,car\nother.tif,1,2,3,4,car\n"
    raw = read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table())
    assert [bounds(geometry) for geometry in raw.geometries] == [(1, 103, 82, 135)]
    assert raw.num_other_image == 1
    assert list(raw.outlines) == [Outline.BOX]


def test_csv_rows_that_make_no_box_are_counted(tmp_path: Path) -> None:
    text = "x1;y1;x2;y2;class\n5;5;2;9;car\nten;1;2;3;car\n1;1;4;4;car\n"
    raw = read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table())
    assert raw.num_invalid == {"coordinates are not numbers": 1, "x2 < x1 or y2 < y1": 1}
    assert raw.positions == ("2",)


def test_csv_with_wkt_points_and_scores(tmp_path: Path) -> None:
    text = (
        "label,score,geometry\n"
        'tree,0.9,"POLYGON ((0 0, 8 0, 4 9, 0 0))"\n'
        "tree,0.2,POINT (7 6)\n"
        "tree,,POINT (9 9)\n"
        "tree,0.9,broken\n"
    )
    raw = read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table(min_score=0.5))
    assert raw.is_predicted
    assert raw.is_certain.tolist() == [True, False, False]
    assert list(raw.outlines) == [Outline.POLYGON, Outline.POINT, Outline.POINT]
    assert raw.num_invalid == {"geometry is not WKT": 1}


def test_csv_with_four_corners_is_oriented(tmp_path: Path) -> None:
    raw = read_csv_boxes(
        write(tmp_path, "a.csv", "x1,y1,x2,y2,x3,y3,x4,y4,class\n5,0,10,5,5,10,0,5,car\n"), scene(), table()
    )
    assert list(raw.outlines) == [Outline.ORIENTED_BOX]
    assert raw.geometries[0].area == 50  # a square of diagonal 10


def test_csv_of_other_images_is_skipped(tmp_path: Path) -> None:
    text = "filename,xmin,ymin,xmax,ymax,class\nother.png,0,0,4,4,car\n"
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table())


def test_csv_without_coordinates_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(NotLabelsError, match="no columns of boxes, points or WKT among date, pilot"):
        read_csv_boxes(write(tmp_path, "flights.csv", "date,pilot\n2020-01-01,A\n"), scene(), table())


@pytest.mark.parametrize(
    "header",
    [
        "image,x,y,w,h,label",
        "label,height,width,y,x,image",
        "image,left,top,width,height,label",
        "xmin,ymin,width,height,label",
        "label,x_center,y_center,width,height",
    ],
)
def test_csv_with_a_corner_and_a_size_holds_boxes(tmp_path: Path, header: str) -> None:
    values = {"image": "place.tif", "x": 10, "y": 20, "w": 60, "h": 40, "width": 60, "height": 40, "label": "car"}
    values |= {"left": 10, "top": 20, "xmin": 10, "ymin": 20, "x_center": 40, "y_center": 40}
    rows = [",".join(str(values[name]) for name in header.split(",")), ""]
    raw = read_csv_boxes(write(tmp_path, "a.csv", "\n".join([header, *rows])), scene(), table())
    assert [bounds(geometry) for geometry in raw.geometries] == [(10, 20, 70, 60)]
    assert list(raw.outlines) == [Outline.BOX]
    assert raw.picture_size is None


def test_csv_with_a_negative_size_is_counted(tmp_path: Path) -> None:
    raw = read_csv_boxes(write(tmp_path, "a.csv", "x,y,w,h\n1,1,-2,3\n1,1,2,3\n"), scene(), table())
    assert raw.num_invalid == {"box with negative width or height": 1}
    assert len(raw) == 1


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (
            "filename,width,height,xmin,ymin,xmax,ymax\nplace.tif,400,300,0,0,4,4\nplace.tif,400,300,5,5,9,9\n",
            (400, 300),
        ),
        ("image_width,image_height,x,y,w,h\n400,300,0,0,4,4\n400,300,5,5,9,9\n", (400, 300)),
        # columns of two sizes, or of one that a label does not fit in, are those of the boxes
        ("width,height,xmin,ymin,xmax,ymax\n4,4,0,0,4,4\n9,9,0,0,9,9\n", None),
        ("width,height,xmin,ymin,xmax,ymax\n4,4,5,5,9,9\n", None),
        # points of a picture whose size stands in the columns of a box
        ("x,y,width,height\n5,5,200,200\n6,6,200,200\n", (200, 200)),
    ],
)
def test_csv_may_state_the_size_of_its_picture(tmp_path: Path, text: str, size: tuple[int, int] | None) -> None:
    assert read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table()).picture_size == size


def test_csv_with_two_sizes_of_one_picture_is_refused(tmp_path: Path) -> None:
    text = "image_width,image_height,x,y,w,h\n400,300,0,0,4,4\n200,300,5,5,9,9\n"
    with pytest.raises(LabelError, match=r"different sizes of one picture: 200 × 300 and 400 × 300 px"):
        read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table())


# 10 m east and 30 m south of the corner of the scene: pixel (20, 60).
LON, LAT = pyproj.Transformer.from_crs(32618, 4326, always_xy=True).transform(500_010, 4_000_070)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (f"latitude,longitude,label\n{LAT},{LON},car\n", ""),
        (f"Lon,Lat,label\n{LON},{LAT},car\n", ""),
        (f"longitude,latitude,geometry\n0,0,POINT ({LON} {LAT})\n", ""),
        (f"x,y,label\n{LON},{LAT},car\n", "coordinates read as degrees: the table names no CRS"),
        ("geometry\nPOINT (500010 4000070)\n", "coordinates read in the scene's CRS: the table names no CRS"),
    ],
)
def test_csv_in_degrees_or_metres_lies_on_the_map(tmp_path: Path, text: str, note: str) -> None:
    raw = read_csv_boxes(write(tmp_path, "a.csv", text), scene(transform=UTM), table())
    assert bounds(raw.geometries[0]) == pytest.approx((20, 60, 20, 60), abs=1e-3)
    assert raw.on_map
    assert raw.notes == ((note,) if note else ())


@pytest.mark.parametrize(
    "text",
    [
        "x,y,label\n33.00045,0.36144,car\n",
        "x,y,label\n-122,37,car\n",
        "xmin,ymin,xmax,ymax,label\n33.00045,0.36126,33.00072,0.36144,car\n",
        '"geometry"\n"POLYGON ((33 0.3, 33.1 0.3, 33.1 0.4, 33 0.3))"\n',
    ],
)
@pytest.mark.parametrize("transform", [None, UTM])
def test_csv_in_degrees_of_another_place_is_refused(
    tmp_path: Path, text: str, transform: AffineCoefficients | None
) -> None:
    with pytest.raises(LabelError, match="may be degrees, but not of this scene, and the table names no CRS"):
        read_csv_boxes(write(tmp_path, "a.csv", text), scene(transform=transform), table())


def test_csv_pixels_near_the_corner_are_pixels(tmp_path: Path) -> None:
    raw = read_csv_boxes(write(tmp_path, "a.csv", "x,y\n33.25,0.5\n40,12\n"), scene(transform=UTM), table())
    assert [bounds(geometry)[:2] for geometry in raw.geometries] == [(33.25, 0.5), (40, 12)]
    assert not raw.on_map


@pytest.mark.parametrize(
    ("names", "num_ours"),
    [
        (["place", "other"], 1),  # names without a suffix are names where there are several
        (["7", "7"], 2),  # a lone number is an id of the only image
        (["7", "8"], None),
        (["other", "other"], None),
        (["place.tif", ""], 1),
        (["", ""], 2),
    ],
)
def test_csv_image_columns_hold_names_or_ids(tmp_path: Path, names: list[str], num_ours: int | None) -> None:
    rows = "".join(f"{name},{i},0,{i + 4},4\n" for i, name in enumerate(names))
    path = write(tmp_path, "a.csv", f"image_id,xmin,ymin,xmax,ymax\n{rows}")
    if num_ours is None:
        with pytest.raises(NotLabelsError, match="names other images only"):
            read_csv_boxes(path, scene(), table())
        return
    raw = read_csv_boxes(path, scene(), table())
    assert len(raw) == num_ours
    assert raw.num_of_no_image == (1 if names == ["place.tif", ""] else 0)


def test_csv_names_of_files_stand_above_ids(tmp_path: Path) -> None:
    text = "image_id,file_name,xmin,ymin,xmax,ymax\n1,b/place.tif,0,0,4,4\n2,a/place.tif,5,5,9,9\n"
    path = write(tmp_path, "a.csv", text)
    raw = read_csv_boxes(path, scene("/set/a/place.tif"), table(), Identity("/set/a/place.tif", ("/set/b/place.tif",)))
    assert [bounds(geometry) for geometry in raw.geometries] == [(5, 5, 9, 9)]


def test_csv_in_another_encoding_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("xmin,ymin,xmax,ymax,class,name\n0,0,4,4,car,Straße\n".encode("cp1252"))
    raw = read_csv_boxes(path, scene(), table())
    assert raw.attributes == ({"name": "Straße"},)
    assert raw.notes == ("it is not UTF-8: read as cp1252",)


def test_csv_attributes_become_the_words_of_the_tasks(tmp_path: Path) -> None:
    text = "xmin,ymin,xmax,ymax,class,color,moving\n0,0,4,4,car,Gray,yes\n5,0,9,4,car,mauve,maybe\n"
    raw = read_csv_boxes(write(tmp_path, "a.csv", text), scene(), table())
    assert raw.attributes == ({"colour": "grey", "moving": True}, {})
    assert raw.dropped_attributes == {"colour: mauve": 1, "moving: maybe": 1}


def voc(*objects: str) -> str:
    return f"<annotation><filename>place.tif</filename>{''.join(objects)}</annotation>"


def voc_object(name: str, box: tuple[int, int, int, int], extra: str = "") -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name>{extra}<bndbox>{sides}</bndbox></object>"


def test_voc_counts_pixels_from_one_and_includes_the_last(tmp_path: Path) -> None:
    text = voc(voc_object("car", (1, 2, 10, 2)), voc_object("tree", (5, 5, 4, 9)))
    raw = read_voc(write(tmp_path, "a.xml", text), table())
    # Pixels 1 to 10 of row 2, counted from 1, are [0, 10) × [1, 2).
    assert [bounds(geometry) for geometry in raw.geometries] == [(0, 1, 10, 2)]
    assert raw.num_invalid == {"x2 < x1 or y2 < y1": 1}
    assert raw.notes == ()


def test_voc_with_a_zero_counts_from_zero(tmp_path: Path) -> None:
    text = voc(voc_object("car", (0, 2, 10, 8)), voc_object("car", (3, 3, 9, 9)))
    raw = read_voc(write(tmp_path, "a.xml", text), table())
    assert [bounds(geometry) for geometry in raw.geometries] == [(0, 2, 10, 8), (3, 3, 9, 9)]
    assert raw.notes == (FROM_ZERO,)


def test_voc_fractions_are_continuous_coordinates(tmp_path: Path) -> None:
    box = "<xmin>10.5</xmin><ymin>20</ymin><xmax>30</xmax><ymax>40</ymax>"
    text = voc(f"<object><name>car</name><bndbox>{box}</bndbox></object>", voc_object("car", (3, 3, 9, 9)))
    raw = read_voc(write(tmp_path, "a.xml", text), table())
    assert [bounds(geometry) for geometry in raw.geometries] == [(10.5, 20, 30, 40), (3, 3, 9, 9)]


def test_voc_counts_alike_in_all_files_of_a_set(tmp_path: Path) -> None:
    files = [
        write(tmp_path, "a.xml", voc(voc_object("car", (0, 2, 10, 8)))),
        write(tmp_path, "b.xml", voc(voc_object("car", (3, 3, 9, 9)))),
        write(tmp_path, "broken.xml", "<annotation>"),
    ]
    assert counts_from_zero(files)
    assert not counts_from_zero(files[1:])
    assert not counts_from_zero([])
    raw = read_voc(files[1], table(), from_zero=True)
    assert bounds(raw.geometries[0]) == (3, 3, 9, 9)


def test_voc_states_the_size_of_its_picture(tmp_path: Path) -> None:
    size = "<size><width>400</width><height>300</height></size>"
    assert read_voc(write(tmp_path, "a.xml", voc(size)), table()).picture_size == (400, 300)
    nothing = "<size><width>0</width><height>0</height></size>"
    assert read_voc(write(tmp_path, "a.xml", voc(nothing)), table()).picture_size is None


def test_a_turned_box_of_rolabelimg(tmp_path: Path) -> None:
    # 40 × 20 about (50, 60), a quarter turn: 20 wide, 40 high
    box = f"<cx>50</cx><cy>60</cy><w>40</w><h>20</h><angle>{np.pi / 2}</angle>"
    text = voc(f"<object><name>car</name><robndbox>{box}</robndbox></object>")
    raw = read_voc(write(tmp_path, "a.xml", text), table())
    assert bounds(raw.geometries[0]) == pytest.approx((40, 40, 60, 80))
    tilted = read_voc(write(tmp_path, "a.xml", text.replace(str(np.pi / 2), "0.3")), table())
    assert list(tilted.outlines) == [Outline.ORIENTED_BOX]
    # clockwise for the eye: the right end of the long axis goes down
    assert tilted.geometries[0].contains(shapely.Point(50 + 19 * np.cos(0.3), 60 + 19 * np.sin(0.3)))


def test_voc_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="GBK"?>' + voc(voc_object("船", (1, 1, 10, 10)))
    path = tmp_path / "a.xml"
    path.write_bytes(text.encode("gbk"))
    assert list(read_voc(path, table()).sources) == ["船"]


@pytest.mark.parametrize("value", ["", " ", "0", "false", "Unspecified", "No"])
def test_voc_flags_that_say_nothing_are_no_flags(tmp_path: Path, value: str) -> None:
    text = voc(voc_object("car", (1, 1, 9, 9), f"<difficult>{value}</difficult><truncated/>"))
    assert read_voc(write(tmp_path, "a.xml", text), table()).is_certain.tolist() == [True]


@pytest.mark.parametrize("flag", ["difficult", "truncated", "occluded"])
def test_voc_flags_make_a_label_uncertain(tmp_path: Path, flag: str) -> None:
    text = voc(
        voc_object("car", (1, 1, 9, 9), f"<{flag}>1</{flag}>"), voc_object("car", (1, 1, 9, 8), f"<{flag}>0</{flag}>")
    )
    assert read_voc(write(tmp_path, "a.xml", text), table()).is_certain.tolist() == [False, True]


def test_oriented_corners_of_dior_and_fair1m(tmp_path: Path) -> None:
    corners = ("left_top", 4, 0), ("right_top", 8, 4), ("right_bottom", 4, 8), ("left_bottom", 0, 4)
    dior = "".join(f"<x_{name}>{x}</x_{name}><y_{name}>{y}</y_{name}>" for name, x, y in corners)
    points = "".join(f"<point>{x},{y}</point>" for x, y in ((4, 0), (8, 4), (4, 8), (0, 4), (4, 0)))
    one = read_voc(
        write(tmp_path, "a.xml", voc(f"<object><name>car</name><robndbox>{dior}</robndbox></object>")), table()
    )
    two = read_voc(
        write(
            tmp_path,
            "b.xml",
            "<annotation><objects><object><possibleresult><name>car</name></possibleresult>"
            f"<points>{points}</points></object></objects></annotation>",
        ),
        table(),
    )
    for raw in (one, two):
        assert list(raw.sources) == ["car"]
        assert list(raw.outlines) == [Outline.ORIENTED_BOX]
        assert raw.geometries[0].area == 32  # a square of diagonal 8


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation/>', LabelError, "document type declaration"),
        ("<annotation>", LabelError, "not well-formed XML"),
        ("<metadata/>", NotLabelsError, "XML with root <metadata>"),
    ],
)
def test_xml_that_is_not_read(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_voc(write(tmp_path, "a.xml", text), table())


def coco(folder: Path, *annotations: dict[str, object], categories: dict[int, str] | None = None) -> Path:
    named = categories or {1: "car"}
    content = {
        "images": [{"id": 7, "file_name": "images/place.tif"}, {"id": 8, "file_name": "other.tif"}],
        "categories": [{"id": number, "name": name} for number, name in named.items()],
        "annotations": [{"category_id": 1, "image_id": 7, **annotation} for annotation in annotations],
    }
    return write(folder, "set.json", json.dumps(content))


def test_coco_boxes_polygons_and_crowds(tmp_path: Path) -> None:
    path = coco(
        tmp_path,
        {"bbox": [2, 3, 10, 20]},
        {"image_id": 8, "bbox": [0, 0, 1, 1]},
        {"segmentation": [[0, 0, 8, 0, 0, 6]], "iscrowd": 1},
        {"segmentation": [[0, 0, 8, 0, 0, 6], [20, 20, 30, 20, 20, 30]]},
        {"bbox": [2, 3, -1, 4]},
        {"category_id": 9, "bbox": [1, 1, 1, 1]},
    )
    raw = read_coco(path, scene(), table())
    assert bounds(raw.geometries[0]) == (2, 3, 12, 23)
    assert raw.geometries[1].area == 24
    assert raw.geometries[2].area == 24 + 50
    assert raw.is_certain.tolist() == [True, False, True, True]
    assert list(raw.outlines) == [Outline.BOX, Outline.POLYGON, Outline.POLYGON, Outline.BOX]
    assert list(raw.sources) == ["car", "car", "car", "category 9"]
    assert raw.num_other_image == 1
    assert raw.num_invalid == {"bbox with negative width or height": 1}


# A mask of 4 rows and 3 columns, down the columns: 5 zeros, 2 ones, 5 zeros are rows 1 and 2 of column 1. Compressed,
# 5, 2, 5 are the characters 5, 2 and 5 after "0".
@pytest.mark.parametrize("counts", [[5, 2, 5], "525"])
def test_coco_run_length_masks(tmp_path: Path, counts: object) -> None:
    raw = read_coco(coco(tmp_path, {"segmentation": {"size": [4, 3], "counts": counts}}), scene(), table())
    assert bounds(raw.geometries[0]) == (1, 1, 2, 3)
    assert raw.geometries[0].area == 2


def test_coco_compressed_counts_are_differences_from_the_fourth_on(tmp_path: Path) -> None:
    # Counts 1 4 3 1 3: the fourth is 1 − 4 = −3, in five bits 29, the character 48 + 29 = "M"; the fifth 3 − 3 = 0.
    raw = read_coco(coco(tmp_path, {"segmentation": {"size": [4, 3], "counts": "143M0"}}), scene(), table())
    # Ones at 1–4 (rows 1–3 of column 0, row 0 of column 1) and at 8 (row 0 of column 2).
    assert raw.geometries[0].area == 5
    assert bounds(raw.geometries[0]) == (0, 0, 3, 4)


def test_coco_compressed_counts_above_31_take_more_characters(tmp_path: Path) -> None:
    # 100 = 3·32 + 4: "T" is 4 with the bit for "more follows" (48 + 36), then "3". 10 × 20 px: 100 zeros, 100 ones.
    raw = read_coco(coco(tmp_path, {"segmentation": {"size": [10, 20], "counts": "T3T3"}}), scene(), table())
    assert bounds(raw.geometries[0]) == (10, 0, 20, 10)


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ({"size": [4, 3], "counts": [5, 2, 4]}, "run-length counts do not add up to the mask's size"),
        ({"size": [4, 3], "counts": [12]}, "run-length mask is empty"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "run-length counts do not add up to the mask's size"),
        ({"size": [4, 3]}, "run-length mask without size and counts"),
        ([[0, 0, 1, 1]], "polygon without three points"),
        ([["a", 0, 1, 1, 2, 2]], "coordinates are not numbers"),
        (None, "no usable segmentation or bbox"),
    ],
)
def test_coco_shapes_that_cannot_be_used(tmp_path: Path, segmentation: object, reason: str) -> None:
    assert read_coco(coco(tmp_path, {"segmentation": segmentation}), scene(), table()).num_invalid == {reason: 1}


@pytest.mark.parametrize("segmentation", [[], [[]], [[2, 3, 12, 23]], [["a", 1]], {"size": [4, 3]}, None])
def test_coco_boxes_stand_in_for_bad_segmentations(tmp_path: Path, segmentation: object) -> None:
    raw = read_coco(coco(tmp_path, {"bbox": [2, 3, 10, 20], "segmentation": segmentation}), scene(), table())
    assert [bounds(geometry) for geometry in raw.geometries] == [(2, 3, 12, 23)]
    assert list(raw.outlines) == [Outline.BOX]
    assert raw.num_invalid == {}


def test_coco_boxes_are_turned_as_cvat_says(tmp_path: Path) -> None:
    quarter: dict[str, object] = {"bbox": [30, 50, 40, 20], "attributes": {"rotation": 90.0}}
    raw = read_coco(coco(tmp_path, quarter, {**quarter, "attributes": {"rotation": 30}}), scene(), table())
    assert bounds(raw.geometries[0]) == pytest.approx((40, 40, 60, 80))
    assert list(raw.outlines) == [Outline.ORIENTED_BOX] * 2
    upright = read_coco(coco(tmp_path, {**quarter, "attributes": {"rotation": 0.0}}), scene(), table())
    assert list(upright.outlines) == [Outline.BOX]


def test_coco_records_that_are_wrong_cost_themselves_only(tmp_path: Path) -> None:
    content = {
        "images": [{"id": "1", "file_name": "place.tif"}, {"id": 2}, "nonsense"],
        "categories": [{"id": "5", "name": "car"}, 7],
        "annotations": [
            {"image_id": 1, "category_id": 5, "bbox": [0, 0, 4, 4]},
            {"image_id": 1.0, "category_id": 5.0, "bbox": [5, 5, 4, 4]},
            {"image_id": 77, "category_id": 5, "bbox": [0, 0, 4, 4]},
            {"category_id": 5, "bbox": [0, 0, 4, 4]},
            "nonsense",
            {"image_id": 1, "category_id": 5, "bbox": "wide"},
        ],
    }
    raw = read_coco(write(tmp_path, "a.json", json.dumps(content)), scene(), table())
    assert [bounds(geometry) for geometry in raw.geometries] == [(0, 0, 4, 4), (5, 5, 9, 9)]
    assert list(raw.sources) == ["car", "car"]
    assert raw.num_of_no_image == 3
    assert raw.num_invalid == {"no usable segmentation or bbox": 1}


def test_coco_as_soda_writes_it(tmp_path: Path) -> None:
    content = {
        "images": {"file_name": "place.tif", "width": 200, "height": 200},
        "categories": [{"id": 0, "name": "car"}],
        "annotations": [{"category_id": 0, "poly": [10, 10, 30, 20, 25, 30, 5, 20], "image_id": 4}],
    }
    raw = read_coco(write(tmp_path, "a.json", json.dumps(content)), scene(), table())
    assert bounds(raw.geometries[0]) == (5, 10, 30, 30)
    assert raw.picture_size == (200, 200)


def test_coco_images_of_one_stem_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a/place.tif"}, {"id": 2, "file_name": "b/place.tif"}],
        "annotations": [{"image_id": i, "category_id": 1, "bbox": [i, i, 4, 4]} for i in (1, 1, 2)],
    }
    path = write(tmp_path, "a.json", json.dumps(content))
    one, other = "/set/a/place.tif", "/set/b/place.tif"
    raw = read_coco(path, scene(one), table(), Identity(one, (other,)))
    assert (len(raw), raw.num_other_image) == (2, 1)
    with pytest.raises(LabelError, match="may both be the scene /flat/place"):
        read_coco(path, scene("/flat/place.tif"), table())


def test_coco_knows_its_images(tmp_path: Path) -> None:
    path = coco(tmp_path)
    assert looks_like_coco(path)
    assert image_names(path).all() == ("images/place.tif", "other.tif")
    assert len(read_coco(path, scene(), table())) == 0
    assert len(read_coco(path, scene("PLACE.png"), table())) == 0
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_coco(path, scene("elsewhere.tif"), table())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", 'JSON without "images" and "annotations"'),
        ('{"images": [{}], "annotations": []}', "its images have no file_name"),
        ('{"images": 3, "annotations": []}', "'images' is no list"),
        ('{"images": [], "annotations": [{"image_id": 3}]}', "names other images only"),
    ],
)
def test_json_that_is_no_coco_set(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        read_coco(write(tmp_path, "a.json", text), scene(), table())


def test_coco_attributes_may_be_nested(tmp_path: Path) -> None:
    path = coco(tmp_path, {"bbox": [0, 0, 4, 4], "attributes": {"color": "red", "moving": 0}})
    assert read_coco(path, scene(), table()).attributes == ({"colour": "red", "moving": False},)
    assert np.array_equal(read_coco(path, scene(), table()).is_certain, [True])
