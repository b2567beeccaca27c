"""Files of annotation tools: YOLO, labelme and CVAT."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files import formats
from rsvqa.rsvqa_builder.label_files.cvat import read_cvat
from rsvqa.rsvqa_builder.label_files.identity import Identity
from rsvqa.rsvqa_builder.label_files.labelme import read_labelme
from rsvqa.rsvqa_builder.label_files.yolo import names_file, read_yolo
from rsvqa.rsvqa_builder.labels.raw import LabelError, NotLabelsError, RawLabels
from tests.rsvqa_builder.labels.make_labels import scene, table


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def bounds(raw: RawLabels) -> list[tuple[float, ...]]:
    return [tuple(box) for box in shapely.bounds(raw.geometries).tolist()]


PLACE = scene(width=200, height=100)


def test_yolo_boxes_are_shares_of_the_sides(tmp_path: Path) -> None:
    # centre (0.5, 0.5), a tenth wide, two fifths high: 100 ± 10, 50 ± 20
    raw = read_yolo(write(tmp_path, "a.txt", "0 0.5 0.5 0.1 0.4\n12 0.25 0.5 0.5 1\n"), PLACE, table())
    assert bounds(raw) == [pytest.approx((90, 30, 110, 70)), pytest.approx((0, 0, 100, 100))]
    assert list(raw.sources) == ["0", "12"]
    assert list(raw.outlines) == [Outline.BOX, Outline.BOX]
    assert raw.notes == ("no data.yaml or classes.txt names the classes: they are numbers",)
    assert not raw.is_predicted


def test_yolo_oriented_boxes_and_outlines(tmp_path: Path) -> None:
    text = "0 0.1 0.1 0.2 0.3 0.1 0.5 0 0.3\n1 0.1 0.1 0.2 0.1 0.1 0.4\n1 0.1 0.1 0.2 0.1 0.3 0.4 0.1 0.4\n"
    raw = read_yolo(write(tmp_path, "a.txt", text), PLACE, table())
    # (20, 10), (40, 30), (20, 50), (0, 30) is a square on its corner; the others are no rectangles
    assert [geometry.area for geometry in raw.geometries] == [
        pytest.approx(800),
        pytest.approx(300),
        pytest.approx(900),
    ]
    assert list(raw.outlines) == [Outline.ORIENTED_BOX, Outline.POLYGON, Outline.POLYGON]


def test_yolo_predictions_have_their_confidence_at_the_end(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.1 0.4 0.9\n0 0.1 0.1 0.2 0.1 0.1 0.4 0.3\n"
    raw = read_yolo(write(tmp_path, "a.txt", text), PLACE, table(min_score=0.5))
    assert raw.is_predicted
    assert raw.is_certain.tolist() == [True, False]


@pytest.mark.parametrize(
    "names",
    [
        "names: [ship, 'small car']\n",
        "names: {0: ship, 1: small car}\n",
        "train: images/train\nnames:\n  0: ship\n  1: small car  # of any colour\nnc: 2\n",
        'names:\n- ship\n- "small car"\nnc: 2\n',
        "names: [\n  ship,\n  small car]\n",
    ],
)
def test_yolo_names_stand_in_data_yaml(tmp_path: Path, names: str) -> None:
    yaml = write(tmp_path, "set/data.yaml", names)
    path = write(tmp_path, "set/labels/train/a.txt", "0 0.5 0.5 0.1 0.4\n1 0.5 0.5 0.1 0.1\n")
    assert list(read_yolo(path, PLACE, table()).sources) == ["ship", "small car"]
    assert names_file(path) == yaml
    assert formats.companions(path) == (yaml,)


def test_yolo_names_stand_in_classes_txt(tmp_path: Path) -> None:
    write(tmp_path, "labels/classes.txt", "ship\n\nsmall car\n")
    path = write(tmp_path, "labels/a.txt", "1 0.5 0.5 0.1 0.4\n7 0.5 0.5 0.1 0.1\n")
    assert list(read_yolo(path, PLACE, table()).sources) == ["small car", "7"]


def test_yolo_poses_are_read_as_boxes(tmp_path: Path) -> None:
    write(tmp_path, "data.yaml", "kpt_shape: [2, 3]\nnames: [person]\n")
    raw = read_yolo(write(tmp_path, "a.txt", "0 0.5 0.5 0.1 0.4 0.5 0.5 1 0.4 0.4 1\n"), PLACE, table())
    assert bounds(raw) == [pytest.approx((90, 30, 110, 70))]


def test_yolo_lines_that_are_wrong_are_counted(tmp_path: Path) -> None:
    text = "0 0.5 0.5 0.1 0.4\n0 0.5 0.5\n0 0.5 0.5 0.1 40\n"
    raw = read_yolo(write(tmp_path, "a.txt", text), PLACE, table())
    assert raw.num_invalid == {"line is not a class number and shares of the picture": 2}
    assert len(raw) == 1
    with pytest.raises(NotLabelsError, match="no YOLO lines"):
        read_yolo(write(tmp_path, "b.txt", "a clear day\n"), PLACE, table())


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("0 0.5 0.5 0.1 0.4\n", "yolo"),
        ("\n0 0.1 0.1 0.2 0.3 0.1 0.5 0 0.3\n", "yolo"),
        ("0 0 1 0 1 1 0 1 ship 0\n", "dota"),
        ("10 10 30 20 25 30 5 20 car 0\n", "dota"),
        ("0 0 4 0 4 4 0 4 1 0\n", "dota"),
        ("", "dota"),
    ],
)
def test_yolo_and_dota_are_told_apart(tmp_path: Path, text: str, family: str) -> None:
    assert formats.family(write(tmp_path, "a.txt", text)) == family


def labelme(folder: Path, *shapes: dict[str, object], name: str = "place.json", **more: object) -> Path:
    content = {"version": "5.0", "shapes": [{"label": "car", **shape} for shape in shapes], **more}
    return write(folder, name, json.dumps(content))


def test_labelme_shapes(tmp_path: Path) -> None:
    path = labelme(
        tmp_path,
        {"shape_type": "rectangle", "points": [[60, 10], [20, 40]]},
        {"shape_type": "polygon", "points": [[0, 0], [8, 0], [0, 6]], "flags": {"difficult": True}},
        {"shape_type": "circle", "points": [[50, 50], [53, 54]], "label": "tree"},
        {"shape_type": "point", "points": [[7, 8]], "attributes": {"Color": "red"}},
        {"shape_type": "linestrip", "points": [[0, 0], [3, 4], [6, 8]]},
        {"shape_type": "rotation", "points": [[4, 0], [8, 4], [4, 8], [0, 4]], "difficult": False},
        {"shape_type": "polygon", "points": [[0, 0], [8, 0]]},
        {"shape_type": "polygon", "points": "everywhere"},
        imagePath="place.tif",
        imageWidth=400,
        imageHeight=200,
    )
    raw = read_labelme(path, PLACE, table())
    assert bounds(raw)[:2] == [(20, 10, 60, 40), (0, 0, 8, 6)]
    # a circle of radius 5
    assert bounds(raw)[2] == pytest.approx((45, 45, 55, 55))
    assert [geometry.geom_type for geometry in raw.geometries[3:5]] == ["Point", "LineString"]
    assert raw.outlines[5] is Outline.ORIENTED_BOX
    assert raw.is_certain.tolist() == [True, False, True, True, True, True]
    assert raw.attributes[3] == {"colour": "red"}
    assert raw.num_invalid == {"shape without a label and usable points": 2}
    assert (raw.picture_size, raw.by_image) == ((400, 200), True)


def test_labelme_is_of_the_image_that_it_names_or_is_named_after(tmp_path: Path) -> None:
    shape: dict[str, object] = {"shape_type": "rectangle", "points": [[60, 10], [20, 40]]}
    moved_here = labelme(tmp_path, shape, imagePath="C:\\old\\other.png")
    assert len(read_labelme(moved_here, PLACE, table())) == 1
    named = labelme(tmp_path, shape, name="a.json", imagePath="..\\img\\place.png")
    assert len(read_labelme(named, PLACE, table())) == 1
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_labelme(labelme(tmp_path, shape, name="b.json", imagePath="other.png"), PLACE, table())


@pytest.mark.parametrize("text", ["{", '{"imagePath": "a.png"}', '{"shapes": 4}', "[]"])
def test_json_that_is_not_labelmes(tmp_path: Path, text: str) -> None:
    with pytest.raises(LabelError, match=r"not a JSON file|no list"):
        read_labelme(write(tmp_path, "a.json", text), PLACE, table())


def cvat(folder: Path, *images: str) -> Path:
    return write(folder, "annotations.xml", f'<?xml version="1.0"?><annotations>{"".join(images)}</annotations>')


BOX = '<box label="car" occluded="0" xtl="30" ytl="50" xbr="70" ybr="70"{}/>'


def test_cvat_shapes(tmp_path: Path) -> None:
    shapes = (
        BOX.format(""),
        BOX.format(' rotation="90"'),
        '<polygon label="tree" points="0,0;8,0;0,6" occluded="1"><attribute name="color">red</attribute></polygon>',
        '<polyline label="road" points="0,0;3,4"/>',
        '<points label="tree" points="7,8"/>',
        '<points label="tree" points="7,8;9,9"/>',
        '<cuboid label="tree" xtl1="1"/>',
        '<box label="car" xtl="9" ytl="50" xbr="7" ybr="70"/>',
        '<tag label="sunny"/>',
    )
    path = cvat(
        tmp_path,
        f'<image id="0" name="place.tif" width="400" height="200">{"".join(shapes)}</image>',
        f'<image id="1" name="other.tif">{BOX.format("")}</image>',
    )
    raw = read_cvat(path, PLACE, table())
    # 40 × 20 about (50, 60), then a quarter turn of it
    assert bounds(raw)[:3] == [(30, 50, 70, 70), pytest.approx((40, 40, 60, 80)), (0, 0, 8, 6)]
    assert list(raw.outlines)[:2] == [Outline.BOX, Outline.BOX]
    assert [geometry.geom_type for geometry in raw.geometries[3:]] == ["LineString", "Point"]
    assert raw.is_certain.tolist() == [True, True, False, True, True]
    assert raw.attributes[2] == {"colour": "red"}
    assert raw.positions == ("0:0", "0:1", "0:2", "0:3", "0:4")
    assert raw.num_invalid == {
        "<points> without usable coordinates": 1,
        "<cuboid> without usable coordinates": 1,
        "<box> without usable coordinates": 1,
    }
    assert (raw.picture_size, raw.by_image, raw.num_other_image) == ((400, 200), True, 1)


def test_cvat_boxes_turn_clockwise(tmp_path: Path) -> None:
    image = f'<image id="0" name="place.tif">{BOX.format(chr(32) + "rotation=" + chr(34) + "30" + chr(34))}</image>'
    raw = read_cvat(cvat(tmp_path, image), PLACE, table())
    assert list(raw.outlines) == [Outline.ORIENTED_BOX]
    # the right end of the long axis goes down, as y does
    angle = math.radians(30)
    assert raw.geometries[0].contains(shapely.Point(50 + 19 * math.cos(angle), 60 + 19 * math.sin(angle)))


def test_cvat_images_of_one_stem_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    images = (
        f'<image id="{i}" name="{name}/place.tif">{BOX.format("") * (i + 1)}</image>' for i, name in enumerate("ab")
    )
    path = cvat(tmp_path, *images)
    one, other = "/set/a/place.tif", "/set/b/place.tif"
    assert len(read_cvat(path, scene(one), table(), Identity(one, (other,)))) == 1
    assert len(read_cvat(path, scene(other), table(), Identity(other, (one,)))) == 2
    with pytest.raises(LabelError, match="may both be the scene /flat/place"):
        read_cvat(path, scene("/flat/place.tif"), table())
    with pytest.raises(NotLabelsError, match="names other images only"):
        read_cvat(path, scene("/flat/elsewhere.tif"), table())


def test_cvat_of_videos_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="tracks, not images"):
        read_cvat(write(tmp_path, "a.xml", "<annotations><track/></annotations>"), PLACE, table())
