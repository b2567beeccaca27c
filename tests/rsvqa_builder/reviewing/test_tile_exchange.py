"""Tiles go to Label Studio, CVAT and QGIS, and what was drawn there comes back, to the pixel."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely

from rsvqa.annotation.facts import Outline
from rsvqa.annotation.review.drawn import DrawnObject
from rsvqa.annotation.review.drawn_store import DrawnStore
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.reviewing.drawn_labels import write_labels
from rsvqa.rsvqa_builder.reviewing.serve import ReviewError
from rsvqa.rsvqa_builder.reviewing.tile_export import TileTool, export_tiles, parse_tile_tool
from rsvqa.rsvqa_builder.reviewing.tile_import import TileImportCounts, import_tiles
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients
from tests.rsvqa_builder.reviewing.test_drawn_labels import TURNED, make_data, read_back
from tests.run_build import rsvqa

PYTHON = Path("/usr/bin/python3")
"""Debian's, which has PyQGIS where QGIS is installed."""


def take(data: Path, found: Path, tool: TileTool) -> TileImportCounts:
    return import_tiles(data, found, tool, reviewer="ann")


def drawn(data: Path) -> dict[str, DrawnObject]:
    """Return the objects of the data set by their classes; one of each."""
    with ReviewStore(data / "review.sqlite") as store:
        standing = DrawnStore(store).read_all().values()
    objects = [thing for drawing in standing for thing in drawing.objects.values()]
    assert len({thing.class_name for thing in objects}) == len(objects)
    return {thing.class_name: thing for thing in objects}


def near(thing: DrawnObject, *points: tuple[float, float]) -> bool:
    found = shapely.get_coordinates(thing.geometry)[:-1] if len(points) > 1 else np.array(thing.points)
    return bool(shapely.hausdorff_distance(shapely.MultiPoint(found), shapely.MultiPoint(points)) < 0.01)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a data set without objects, and its tiles for Label Studio."""
    folder = tmp_path_factory.mktemp("bare")
    data, out = make_data(folder), folder / "ls"
    export_tiles(data, out, "label-studio")
    return data, out


# --- Label Studio ---------------------------------------------------------------------------------------------------


def studio_file(data: Path, out: Path, results: list[dict[str, Any]], *, task: int = 1) -> Path:
    """Return an export of Label Studio: the second task of `tasks.json` with an annotation of these results."""
    tasks = json.loads((out / "tasks.json").read_text())
    tasks[task]["annotations"] = [{"id": 7, "completed_by": 1, "was_cancelled": False, "result": results}]
    path = data.parent / "export.json"
    path.write_text(json.dumps(tasks))
    return path


def result(kind: str, label: str, **value: Any) -> dict[str, Any]:
    sizes = {"original_width": 512, "original_height": 512, "image_rotation": 0}
    return {"type": kind, "from_name": "x", "to_name": "image", "value": {**value, kind: [label]}, **sizes}


def test_label_studio_and_back(tmp_path: Path) -> None:
    data, out = make_data(tmp_path), tmp_path / "ls"
    assert str(export_tiles(data, out, "label-studio")) == "2 tiles of 1 scenes"
    tasks = json.loads((out / "tasks.json").read_text())
    images = [task["data"]["image"].partition("ls/")[2] for task in tasks]
    assert all((out / image).read_bytes()[:2] == b"\xff\xd8" for image in images)
    config = ElementTree.parse(out / "labeling_config.xml").getroot()  # noqa: S314  our own file
    points = {label.get("value") for label in config.iterfind("KeyPointLabels/Label")}
    assert "car" in points
    assert not {"road", "water"} & points  # neither a line nor an area is a point
    path = studio_file(
        data,
        out,
        [
            # percent of 512 px: 10 % is 51.2 px
            result("rectanglelabels", "car", x=10, y=20, width=5, height=10, rotation=0),
            # 40 x 20 px at (256, 256), turned clockwise by 45° about that corner: 28.284 and 14.142 px along each axis
            result("rectanglelabels", "ship", x=50, y=50, width=7.8125, height=3.90625, rotation=45),
            result("polygonlabels", "building", points=[[0, 0], [25, 0], [12.5, 12.5]]),
            result("keypointlabels", "airplane", x=75, y=75, width=0.4),
            result("ellipselabels", "storage_tank", x=50, y=25, radiusX=10, radiusY=10, rotation=0),
        ],
    )
    assert take(data, path, "label-studio") == TileImportCounts(5, 0, ())
    found = drawn(data)
    assert near(found["car"], (51.2, 102.4), (76.8, 102.4), (76.8, 153.6), (51.2, 153.6))
    assert found["car"].outline is Outline.BOX
    assert near(found["ship"], (256, 256), (284.284, 284.284), (270.142, 298.426), (241.858, 270.142))
    assert found["ship"].outline is Outline.ORIENTED_BOX
    assert near(found["building"], (0, 0), (128, 0), (64, 64))
    assert near(found["airplane"], (384, 384))
    assert found["storage_tank"].geometry.bounds == pytest.approx((204.8, 76.8, 307.2, 179.2), abs=0.01)
    assert str(take(data, path, "label-studio")) == "0 objects imported, 5 known before"


def test_each_object_that_cannot_be_taken_has_a_line(tmp_path: Path) -> None:
    data, out = make_data(tmp_path), tmp_path / "ls"
    export_tiles(data, out, "label-studio")
    path = studio_file(
        data,
        out,
        [
            result("rectanglelabels", "car", x=10, y=20, width=5, height=10),
            result("rectanglelabels", "carr", x=10, y=20, width=5, height=10),
            result("rectanglelabels", "car", x=98, y=20, width=5, height=10),
            result("polygonlabels", "building", points=[[0, 0], [20, 20], [20, 0], [0, 20]]),
            result("polygonlabels", "building", points=[[0, 0], [20, "x"], [20, 0]]),
            result("brushlabels", "car", rle=[1]),
        ],
    )
    counts = take(data, path, "label-studio")
    assert counts.imported == 1
    tile, *_ = counts.refused[0].partition(": task")
    assert [line.removeprefix(f"{tile}: task 2, ") for line in counts.refused] == [
        "result 5: polygonlabels that cannot be read: y is 'x': expected a number",
        "result 6: brushlabels that cannot be read: draw a rectangle, polygon, ellipse or key point",
        "result 2: the class table has no class 'carr'; did you mean 'car'?",
        "result 3: the point (527.36, 153.6) lies outside the tile of 512 x 512 px",
        "result 4: the outline crosses itself: Self-intersection[51.2 51.2]",
    ]


CAR = result("rectanglelabels", "car", x=10, y=20, width=5, height=10)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (None, "a result that cannot be read: expected an object with a type and a value"),
        ({"type": "relation", "from_id": "a"}, "relation that cannot be read: expected an object with a type"),
        ({**CAR, "value": None}, "rectanglelabels that cannot be read: expected an object with a type and a value"),
        ({**CAR, "image_rotation": 90}, "rectanglelabels that cannot be read: the image was turned by 90 degrees"),
        (
            {**CAR, "value": {**CAR["value"], "rectanglelabels": [["car"]]}},
            "rectanglelabels that cannot be read: [['car",
        ),
        (
            {**CAR, "value": {**CAR["value"], "rectanglelabels": ["car", "ship"]}},
            "rectanglelabels that cannot be read: ",
        ),
        (
            {**CAR, "value": {"width": 5, "height": 5, "rectanglelabels": ["car"]}},
            "rectanglelabels that cannot be read: it",
        ),
        (
            {"type": "keypointlabels", "value": {"keypointlabels": ["car"]}},
            "keypointlabels that cannot be read: it has no",
        ),
        *(
            ({**CAR, "value": {**CAR["value"], name: number}}, f"rectanglelabels that cannot be read: {name} ")
            for name in ("x", "width", "rotation")
            for number in (10**400, 1e30, float("nan"), True, "10", [1])
        ),
        (
            {**CAR, "value": {**CAR["value"], "height": -10}},
            "rectanglelabels that cannot be read: width 5 and height -10",
        ),
        (
            result("polygonlabels", "car", points=[[0, 0], [5, 10**400], [5, 0]]),
            "polygonlabels that cannot be read: y is",
        ),
        (result("polygonlabels", "car", points=[[0, 0], [5, 5]]), "polygonlabels that cannot be read: A linearring"),
        (
            result("ellipselabels", "car", x=5, y=5, radiusX=-1, radiusY=1),
            "ellipselabels that cannot be read: radiusX -1",
        ),
    ],
)
def test_a_result_that_cannot_be_read_costs_itself_and_is_put_nowhere(
    bare: tuple[Path, Path], broken: Any, line: str
) -> None:
    data, out = bare
    path = studio_file(data, out, [broken, CAR])
    counts = take(data, path, "label-studio")
    assert counts.imported + counts.unchanged == 1
    (refused,) = counts.refused
    assert refused.partition(": task 2, result 1: ")[2].startswith(line), refused


def test_a_task_that_is_nested_too_deeply_costs_itself_or_the_file(bare: tuple[Path, Path]) -> None:
    data, out = bare
    path = studio_file(data, out, [CAR])
    whole = path.read_text()
    for depth in (100, 900, 960, 980, 990, 3_000, 100_000):  # what Python takes differs from version to version
        path.write_text(whole.replace('"completed_by": 1', f'"completed_by": {"[" * depth}{"]" * depth}'))
        told = taken_or_refused(data, path)
        assert (
            "nested too deeply" in told or "maximum recursion depth" in told or "1 known" in told or "1 objects" in told
        )


def taken_or_refused(data: Path, path: Path) -> str:
    try:
        return str(take(data, path, "label-studio"))
    except ReviewError as error:
        return str(error)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (None, "task 1: Input should be a valid dictionary"),
        ({"id": 9, "data": None}, "task 1, id 9: data: Input should be a valid dictionary"),
        ({"id": "\ud800", "data": {}}, "task 1, id '\\ud800': a text holds half a character (a lone surrogate)"),
        ({"data": {}, "annotations": [{"result": "x"}]}, "task 1: annotations.0.result: Input should be a valid list"),
    ],
)
def test_a_task_that_cannot_be_read_costs_itself_and_is_named(tmp_path: Path, broken: Any, line: str) -> None:
    data, out = make_data(tmp_path), tmp_path / "ls"
    export_tiles(data, out, "label-studio")
    path = studio_file(data, out, [result("rectanglelabels", "car", x=10, y=20, width=5, height=10)])
    tasks = json.loads(path.read_text())
    path.write_text(json.dumps([broken, *tasks]))
    counts = take(data, path, "label-studio")
    assert counts.imported == 1
    (said,) = counts.refused
    assert said.startswith(line)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e999, "NaN"])
@pytest.mark.parametrize("name", ["x", "width", "rotation"])
def test_numbers_that_are_none_cost_their_object(tmp_path: Path, name: str, number: Any) -> None:
    data, out = make_data(tmp_path), tmp_path / "ls"
    export_tiles(data, out, "label-studio")
    box = {"x": 10, "y": 20, "width": 5, "height": 10, "rotation": 0}
    results = [result("rectanglelabels", "car", **box), result("rectanglelabels", "ship", **{**box, name: number})]
    counts = take(data, studio_file(data, out, results), "label-studio")
    assert (counts.imported, len(counts.refused)) == (1, 1)
    assert "rectanglelabels that cannot be read" in counts.refused[0]


def test_what_was_taken_away_on_the_page_does_not_come_back(tmp_path: Path) -> None:
    data, out = make_data(tmp_path), tmp_path / "ls"
    export_tiles(data, out, "label-studio")
    path = studio_file(data, out, [result("keypointlabels", "car", x=50, y=50)])
    assert take(data, path, "label-studio").imported == 1
    with ReviewStore(data / "review.sqlite") as review:
        store = DrawnStore(review)
        ((tile, drawing),) = store.read_all().items()
        (thing,) = drawing.things
        store.write(tile, [thing_gone(thing.key)], "eva", request_id="gone" * 4)
    assert take(data, path, "label-studio") == TileImportCounts(0, 1, ())
    assert drawn(data) == {}


def thing_gone(key: str) -> Any:
    from rsvqa.annotation.review.drawn_store import Change

    return Change(kind="object", key=key, content=None)


# --- CVAT -----------------------------------------------------------------------------------------------------------


def cvat_file(data: Path, name: str, *shapes: str, size: int = 512) -> Path:
    path = data.parent / "annotations.xml"
    image = f'<image id="0" name="{name}" width="{size}" height="{size}">{"".join(shapes)}</image>'
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{image}</annotations>')
    return path


def test_cvat_and_back(tmp_path: Path) -> None:
    data, out = make_data(tmp_path), tmp_path / "cvat"
    export_tiles(data, out, "cvat")
    assert {"name": "car", "attributes": []} in json.loads((out / "labels.json").read_text())
    name = next(path.name for path in sorted((out / "images").iterdir()) if "512_0" in path.name)
    path = cvat_file(
        data,
        name,
        '<box label="car" occluded="0" xtl="10.50" ytl="20.25" xbr="40.00" ybr="50.00" z_order="0"/>',
        # 40 x 20 px about (120, 110), turned by 30° about its middle
        '<box label="ship" occluded="1" xtl="100" ytl="100" xbr="140" ybr="120" rotation="30.00" z_order="0"/>',
        '<polygon label="building" occluded="0" points="200.00,200.00;230.00,205.50;210.00,260.00" z_order="0"/>',
        '<polyline label="road" occluded="0" points="0.00,400.00;200.00,410.00;500.00,380.00" z_order="0"/>',
        '<points label="airplane" occluded="0" points="300.50,60.25" z_order="0"/>',
        '<polyline label="car" occluded="0" points="0.00,400.00;200.00,410.00" z_order="0"/>',
        '<points label="car" occluded="0" points="1,2;3,4" z_order="0"/>',
    )
    counts = take(data, path, "cvat")
    assert counts.imported == 5
    assert [line.partition(": ")[2] for line in counts.refused] == [
        "0:5: a line cannot be of the class car, a class of object things: draw one of box, oriented box, polygon, "
        "circle, point",
        "1 x: <points> without usable coordinates",
    ]
    found = drawn(data)
    assert near(found["car"], (10.5, 20.25), (40, 20.25), (40, 50), (10.5, 50))
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    corners = [(120 + x * cos - y * sin, 110 + x * sin + y * cos) for x in (-20, 20) for y in (-10, 10)]
    assert near(found["ship"], *corners)
    assert not found["ship"].is_certain  # occluded
    assert near(found["building"], (200, 200), (230, 205.5), (210, 260))
    assert [tuple(point) for point in found["road"].points] == [(0, 400), (200, 410), (500, 380)]
    assert near(found["airplane"], (300.5, 60.25))
    write_labels(data, tmp_path / "labels")
    labels = dict(zip(*(getattr(read_back(data, tmp_path / "labels").features, n) for n in NAMES), strict=True))
    assert labels["car"].bounds == pytest.approx((522.5, 20.25, 552, 50), abs=0.01)  # the tile lies at x = 512


NAMES = ("class_names", "geometries")


def test_an_attribute_that_no_task_knows_is_told_and_its_object_is_taken(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    export_tiles(data, tmp_path / "cvat", "cvat")
    boxes = [
        f'<box label="car" occluded="0" xtl="{x}" ytl="20" xbr="{x + 20}" ybr="50" z_order="0">'
        f'<attribute name="colour">{colour}</attribute></box>'
        for x, colour in ((10, "mauve"), (40, "red"), (70, "mauve"))
    ]
    name = sorted((tmp_path / "cvat" / "images").iterdir())[0].name
    counts = take(data, cvat_file(data, name, *boxes), "cvat")
    assert counts.imported == 3
    assert [line.partition(": ")[2] for line in counts.refused] == [
        "attributes: colour: mauve, which no task knows; 2 x, of objects that are taken without it"
    ]


def test_a_file_of_other_images_is_refused(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    with pytest.raises(ReviewError, match=r"names no tile of the data set: expected images such as port"):
        take(data, cvat_file(data, "other.jpg"), "cvat")
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(ReviewError, match=r"names no tile of the data set: expected tasks whose data has a tile"):
        take(data, tmp_path / "none.json", "label-studio")
    (tmp_path / "cut.json").write_text("")
    with pytest.raises(ReviewError, match=r"no export of Label Studio in its JSON or JSON_MIN format: no JSON"):
        take(data, tmp_path / "cut.json", "label-studio")
    (tmp_path / "bad.json").write_text('[{"data": 7}]')
    with pytest.raises(ReviewError, match=r"JSON_MIN format: task 1: data: Input should be"):
        take(data, tmp_path / "bad.json", "label-studio")
    with pytest.raises(ReviewError, match="cannot read"):
        take(data, tmp_path / "missing.xml", "cvat")
    with pytest.raises(ReviewError, match="holds no label file of a scene: expected"):
        take(data, tmp_path, "qgis")
    with pytest.raises(ReviewError, match="`format` paint: expected label-studio, cvat or qgis"):
        parse_tile_tool("paint")


# --- QGIS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", [{}, {"transform": TURNED}, {"crs": None, "transform": None}])
def test_qgis_and_back(tmp_path: Path, scene: dict[str, Any]) -> None:
    data, out = make_data(tmp_path, **scene), tmp_path / "qgis"
    export_tiles(data, out, "qgis")
    path = out / "labels" / "port.gpkg"
    info = pyogrio.read_info(path)
    assert (info["features"], list(info["fields"])) == (0, ["class", "rsvqa_outline", "rsvqa_certain"])
    names = sorted(path.name for path in (out / "images").iterdir())
    with rasterio.open(out / "images" / next(name for name in names if "512_0" in name)) as image:
        assert image.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        to_map, crs = image.transform, image.crs
    project = ElementTree.fromstring((out / "project.qgs").read_text().partition("\n")[2])  # noqa: S314
    sources = [layer.findtext("datasource") for layer in project.iterfind("projectlayers/maplayer")]
    table = "./labels/port.gpkg|layername=objects|geometrytype="
    kinds = [f"{table}{kind}" for kind in ("Polygon", "LineString", "Point")]
    assert sources == [*kinds, *(f"./images/{name}" for name in names)]
    # drawn over the right tile by its own georeference, as QGIS does
    outlines = {
        "car": shapely.Polygon([(10, 20), (40, 22), (30, 50.5)]),
        "road": shapely.LineString([(0, 400), (500, 380)]),
        "building": shapely.Polygon([(500, 100), (530, 100), (530, 130)]),
        "carr": shapely.Polygon([(100, 100), (130, 100), (130, 130)]),
    }
    grid = AffineCoefficients(*to_map[:6])
    places = [shapely.transform(one, lambda xy: np.column_stack(grid.to_map(*xy.T))) for one in outlines.values()]
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(places)),
        [np.array(list(outlines), dtype=object)],
        ["class"],
        layer="objects",
        geometry_type="Unknown",
        crs=info["crs"],
        driver="GPKG",
    )
    assert (crs is None) == (scene.get("crs", "there") is None)
    counts = take(data, out, "qgis")
    assert counts.imported == 2
    assert [line.partition(": ")[2].partition(" lies")[0] for line in counts.refused] == [
        "3: the point (530, 100)",
        "4: the class table has no class 'carr'; did you mean 'car'?",
    ]
    found = drawn(data)
    assert near(found["car"], (10, 20), (40, 22), (30, 50.5))
    assert np.array(found["road"].points) == pytest.approx(np.array([(0, 400), (500, 380)]), abs=0.01)


def test_the_commands(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    done = rsvqa("review", "export", "--data", data, "--out", tmp_path / "c", "--format", "cvat", "--tiles", "--json")
    assert (done.code, json.loads(done.out)) == (0, {"tiles": 2, "scenes": 1})
    name = min(path.name for path in (tmp_path / "c" / "images").iterdir())
    path = cvat_file(data, name, '<points label="car" points="5,6"/>')
    done = rsvqa("review", "import", "--data", data, "--from", path, "--format", "cvat", "--tiles")
    assert (done.code, done.out) == (0, "1 objects imported, 0 known before\n")
    done = rsvqa("review", "export", "--data", data, "--out", tmp_path / "d", "--format", "cvat")
    assert (done.code, "expected label-studio" in done.err) == (1, True), done.err


def at(grid: AffineCoefficients, x: float, y: float) -> tuple[float, float]:
    """Return where a pixel is on the map."""
    east, north = grid.to_map(np.array([x]), np.array([y]))
    return float(east[0]), float(north[0])


_IN_QGIS = """
import json, sys
from qgis.core import QgsApplication, QgsFeature, QgsGeometry, QgsProject, QgsVectorLayer, QgsWkbTypes
application = QgsApplication([], False)
application.initQgis()
project = QgsProject.instance()
assert project.read(sys.argv[1])
found = {"crs": project.crs().authid(), "layers": []}
for node in project.layerTreeRoot().findLayers():
    layer = node.layer()
    told = {"name": node.name(), "is_valid": layer.isValid(), "crs": layer.crs().authid()}
    if isinstance(layer, QgsVectorLayer):
        column = layer.fields().indexOf("class")
        told["classes"] = [value for one in layer.editorWidgetSetup(column).config()["map"] for value in one]
        drawn = QgsFeature(layer.fields())
        drawn.setGeometry(QgsGeometry.fromWkt(json.loads(sys.argv[2])[QgsWkbTypes.displayString(layer.wkbType())]))
        drawn["class"] = "road" if layer.name().endswith("lines") else "car"
        told["is_drawn"] = layer.startEditing() and layer.addFeature(drawn) and layer.commitChanges()
    else:
        told["extent"] = [layer.extent().xMinimum(), layer.extent().yMaximum()]
    found["layers"].append(told)
print("found " + json.dumps(found))
application.exitQgis()
"""


def has_qgis() -> bool:
    return PYTHON.is_file() and subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_qgis(), reason="PyQGIS (Debian's python3-qgis) is not there")
@pytest.mark.parametrize("scene", [{}, {"crs": None, "transform": None}])
def test_qgis_opens_the_project_and_people_draw_in_it(tmp_path: Path, scene: dict[str, Any]) -> None:
    data, out = make_data(tmp_path, **scene), tmp_path / "qgis"
    export_tiles(data, out, "qgis")
    with rasterio.open(sorted((out / "images").iterdir())[0]) as image:
        grid, crs = AffineCoefficients(*image.transform[:6]), image.crs
    if crs is None:
        grid = AffineCoefficients(1, 0, 0, 0, -1, 0)
    (x, y), (right, down) = at(grid, 10, 20), at(grid, 40, 60)
    shapes = {
        "Polygon": f"POLYGON(({x} {y}, {right} {y}, {right} {down}, {x} {y}))",
        "LineString": f"LINESTRING({x} {y}, {right} {down})",
        "Point": f"POINT({x} {down})",
    }
    answer = subprocess.run(
        [PYTHON, "-c", _IN_QGIS, out / "project.qgs", json.dumps(shapes)],
        env={"QT_QPA_PLATFORM": "offscreen", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(answer.stdout.partition("found ")[2])
    name = "" if crs is None else crs.to_string()
    areas, lines, points, *images = found["layers"]
    assert [layer["name"] for layer in (areas, lines, points)] == [
        "port: areas and boxes",
        "port: lines",
        "port: points",
    ]
    assert all(layer["is_valid"] for layer in found["layers"])
    assert all(layer["is_drawn"] for layer in (areas, lines, points))
    assert {layer["crs"] for layer in found["layers"]} | {found["crs"]} == {name}
    assert [image["extent"] for image in images] == [list(at(grid, 0, 0)), list(at(grid, 512, 0))]
    assert ("road" in areas["classes"], "road" in lines["classes"], "car" in points["classes"]) == (False, True, True)
    assert "water" not in points["classes"]
    counts = take(data, out, "qgis")
    assert (counts.imported, counts.refused) == (3, ())
    with ReviewStore(data / "review.sqlite") as store:
        (drawing,) = DrawnStore(store).read_all().values()
    assert {(thing.class_name, thing.form): thing.points[0] for thing in drawing.objects.values()} == {
        ("car", "polygon"): (10, 20),
        ("road", "line"): (10, 20),
        ("car", "point"): (10, 60),
    }


def test_one_object_of_no_place_costs_itself_and_moves_no_other(tmp_path: Path) -> None:
    data, out = make_data(tmp_path), tmp_path / "qgis"
    export_tiles(data, out, "qgis")
    with rasterio.open(sorted((out / "images").iterdir())[0]) as image:
        grid, crs = AffineCoefficients(*image.transform[:6]), image.crs.to_string()
    corners = [at(grid, *corner) for corner in ((10, 20), (40, 20), (40, 60))]
    with np.errstate(invalid="ignore"):
        broken = [
            shapely.Polygon([corners[0], (number, corners[1][1]), corners[2]])
            for number in (float("inf"), float("nan"), 1e30)
        ]
    objects = [shapely.Polygon(corners), *broken]
    pyogrio.raw.write(
        out / "labels" / "port.gpkg",
        np.array([shapely.to_wkb(one) for one in objects], dtype=object),
        [np.array(["car", "ship", "ship", "ship"], dtype=object)],
        ["class"],
        geometry_type="Unknown",
        crs=crs,
        driver="GPKG",
        layer="objects",
    )
    counts = take(data, out, "qgis")
    assert counts.imported == 1
    assert len(counts.refused) > 0
    assert near(drawn(data)["car"], (10, 20), (40, 20), (40, 60))
