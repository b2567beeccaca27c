"""Class tables: presets, matching of source names, messages for mistakes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from rsvqa.annotation.facts import Role
from rsvqa.rsvqa_builder.labels.classes import (
    ClassTable,
    ClassTableError,
    load_class_table,
    load_stored_tables,
    preset_names,
    tables_to_toml,
)

TINY = """
[classes.car]
singular = "car"
plural = "cars"
role = "object"
kind = "vehicle"
match = [18, "Small Car"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "classes.toml"
    path.write_text(text, "utf-8")
    return path


def test_tables_of_several_sources_are_one_file(tmp_path: Path) -> None:
    tables = {"one": load_class_table("dota"), "two": load_class_table("potsdam")}
    table_of = load_stored_tables(write(tmp_path, tables_to_toml(tables)))
    assert {name: table_of(name) for name in tables} == tables
    with pytest.raises(ClassTableError, match=r"classes.toml: has no part for the source 'three'"):
        table_of("three")


def test_the_table_of_one_source_is_the_file(tmp_path: Path) -> None:
    table = load_class_table("dota")
    text = tables_to_toml({"one": table})
    assert text == table.to_toml()
    table_of = load_stored_tables(write(tmp_path, text))
    # data sets from before there were sources name none
    assert table_of(None) == table_of("one") == table


@pytest.mark.parametrize("name", preset_names())
def test_presets_load_and_survive_their_own_toml(name: str) -> None:
    table = load_class_table(name)
    assert table.name == name
    assert ClassTable.model_validate(tomllib.loads(table.to_toml())) == table


# Numbers of classes as the data sets' own pages state them; ignored values (no data, background) come on top.
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("dota", 18),
        ("fair1m", 37),
        ("dior", 20),
        ("xview", 60),
        ("isaid", 15),
        ("loveda", 6),
        ("deepglobe_landcover", 6),
        ("deepglobe_roads", 1),
        ("inria", 1),
        ("minifrance", 14),
        ("hrscd", 5),
        ("flair", 17),
        ("openearthmap", 8),
        ("geonrw", 10),
        ("landcoverai", 4),
        ("star", 48),
        ("sodaa", 9),
        ("spacenet", 4),
        ("xbd", 1),
    ],
)
def test_presets_of_benchmarks_have_all_their_classes_and_are_complete(name: str, count: int) -> None:
    table = load_class_table(name)
    assert len(table.infos()) == count
    assert {table.classes[name].complete for name in table.infos()} == {True}


@pytest.mark.parametrize(
    "name", ["openstreetmap", "overture", "worldcover", "esri_lulc", "dynamic_world", "nlcd", "corine"]
)
def test_volunteers_and_global_products_are_never_complete(name: str) -> None:
    table = load_class_table(name)
    assert {entry.complete for entry in table.classes.values() if entry.role is not Role.IGNORED} == {False}


@pytest.mark.parametrize("source", ["car", "Cars", "SMALL_car", "small-car", "18"])
def test_names_match_whatever_their_case_and_separators(tmp_path: Path, source: str) -> None:
    assert load_class_table(write(tmp_path, TINY)).resolve(source) == "car"


@pytest.mark.parametrize("source", ["", "carpet", "8", "car=yes"])
def test_other_names_match_nothing(tmp_path: Path, source: str) -> None:
    assert load_class_table(write(tmp_path, TINY)).resolve(source) is None


@pytest.mark.parametrize(
    ("source", "shape", "expected"),
    [
        ("road", "line", "road"),
        ("road", "polygon", "road_surface"),
        ("Trees", "point", "tree"),
        ("building=yes", "polygon", "building"),
        ("building=garage", "polygon", "building"),
        ("building=no", "polygon", None),
        ("natural=water", "polygon", "water"),
        ("highway=motorway", "line", "main_road"),
        ("railway=rail", "line", "railway_line"),
        ("railway", "polygon", "railway"),
        ("countries", "polygon", None),
    ],
)
def test_the_table_without_a_choice_knows_names_and_tags(source: str, shape: str, expected: str | None) -> None:
    assert load_class_table("auto").resolve(source, shape) == expected  # type: ignore[arg-type]


def test_a_name_without_a_fitting_shape_still_tells_its_class() -> None:
    assert load_class_table("auto").resolve("forest", "line") == "forest"


def test_ignored_classes_are_no_infos() -> None:
    infos = load_class_table("loveda").infos()
    assert "background" not in infos
    assert infos["forest"].kind == "forest"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TINY + 'colur = "x"', "unknown key 'classes.car.colur'; did you mean 'plural'"),
        (TINY.replace("plural", "plurall"), "unknown key 'classes.car.plurall'; did you mean 'plural'"),
        ("class_column = []\n" + TINY, "unknown key 'class_column'; did you mean 'class_columns'"),
        ('[attributes]\ncolours = ["c"]\n' + TINY, "unknown key 'attributes.colours'; did you mean 'colour'"),
        (TINY.replace('role = "object"', 'role = "thing"'), "classes.car.role: Input should be 'object'"),
        (TINY.replace('plural = "cars"\n', ""), 'classes.car: needs "singular" and "plural"'),
        (TINY + 'broader = ["vehicle"]', "class 'car': broader class 'vehicle' is not another class"),
        (TINY + TINY.replace("classes.car", "classes.auto"), "source name 'car' means both 'car' and 'auto'"),
        ('name = "empty"\n[classes]', r"has no classes: add tables \[classes.<name>\]"),
        ("[classes", "not valid TOML"),
        (TINY + "mask_rgb = [[0, 0, 256]]", "classes.car.mask_rgb.0.2: Input should be less than or equal to 255"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ClassTableError, match=message):
        load_class_table(write(tmp_path, text))


def test_one_mask_value_cannot_mean_two_classes(tmp_path: Path) -> None:
    second = '[classes.truck]\nsingular = "truck"\nplural = "trucks"\nrole = "object"\nmask_values = [4]'
    with pytest.raises(ClassTableError, match="mask value 4 means both 'car' and 'truck'"):
        load_class_table(write(tmp_path, TINY + "mask_values = [4]\n" + second))


def test_an_unknown_table_names_the_presets() -> None:
    with pytest.raises(ClassTableError, match="'dota3': no such preset or file; presets are auto, coco"):
        load_class_table("dota3")


@pytest.mark.parametrize(("unknown", "expected"), [("Bulding", "building"), ("lorrys", "truck"), ("countries", None)])
def test_the_nearest_class_is_named_only_where_the_words_are_alike(unknown: str, expected: str | None) -> None:
    assert load_class_table("auto").nearest(unknown) == expected
