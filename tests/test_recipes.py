"""The recipes: each is built, as it is printed, of miniature copies of the sets that it names."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rsvqa.rsvqa_builder.labels.classes import preset_names
from rsvqa.rsvqa_builder.source_settings import SourceEntry, read_recipe, recipe_names
from tests.miniature_sets import LABELS, make_miniatures
from tests.run_build import read_report, rsvqa

NO_QUESTIONS = {"opensatmap-19", "opensatmap-20", "deepglobe-roads"}
"""Lane lines are neither roads nor outlines; one surface of roads leaves no wrong options."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_miniatures(tmp_path_factory.mktemp("recipes") / "sets")


@pytest.mark.parametrize("name", ["superrs", "highrs"])
def test_a_recipe_is_built_of_the_sets_as_they_are_published(sets: Path, tmp_path: Path, name: str) -> None:
    printed = rsvqa("recipe", name)
    assert printed.code == 0
    (sets / f"{name}.toml").write_text(printed.out)
    out = tmp_path / "set"
    run = rsvqa(
        "build", "--src", sets / f"{name}.toml", "--profile", name, "--out", out, "--workers", 0, "--balance", "off"
    )
    assert run.code == 0
    report = read_report(out)
    labels: dict[str, dict[str, dict[str, int]]] = {}
    for scene_id, scene in report["scenes"].items():
        source, _, path = scene_id.partition("/")
        labels.setdefault(source, {})[path] = scene["labels"]["by_class"]
    assert labels == LABELS
    assert (report["left_out"], report["tiles"]["dropped"]) == ([], {})
    # DOTA repeats its boxes as upright ones
    spare = {Path(entry["path"]).parent.name for entry in report["label_files_of_no_scene"]}
    assert spare == {"DOTA-v2.0_train_hbb"}
    columns = ["scene_source", "licence", "gsd"]
    rows = [row for path in (out / "data").iterdir() for row in pq.read_table(path, columns=columns).to_pylist()]
    # one class, of no clear colour in the miniature: nothing that its name does not tell already
    assert {row["scene_source"] for row in rows} == set(LABELS) - NO_QUESTIONS - {"inria"}
    # LoveDA's is the recipe's, DOTA's files state theirs, STAR's is not known
    gsds = {row["scene_source"]: row["gsd"] for row in rows}
    assert (gsds["loveda"], gsds["dota"], gsds["star"]) == (0.3, 0.146, None)
    assert report["sources"]["dota"]["licence"] == "academic purposes only, any commercial use is prohibited"


def test_both_recipes_name_the_sources_of_the_paper() -> None:
    assert recipe_names() == ("highrs", "superrs")
    first, second = (tomllib.loads(read_recipe(name))["source"] for name in recipe_names())
    assert first == second
    names = {entry["name"].partition("-")[0] for entry in first}
    assert names == {"deepglobe", "star", "fair1m", "loveda", "inria", "opensatmap", "hrscd", "minifrance", "dota"}
    entries = [SourceEntry.model_validate(entry) for entry in first]
    assert {entry.classes for entry in entries} <= set(preset_names())
    assert all(entry.link for entry in entries)


def test_a_licence_that_is_not_known_is_said_to_be() -> None:
    parts = read_recipe("superrs").split("\n[[source]]\n")[1:]
    assert len(parts) == len(LABELS)
    assert all(("\nlicence = " in part) != ("# licence: not known here" in part) for part in parts)


def test_sets_that_are_not_there_are_all_named(tmp_path: Path) -> None:
    (tmp_path / "superrs.toml").write_text(read_recipe("superrs"))
    run = rsvqa("build", "--src", tmp_path / "superrs.toml", "--out", tmp_path / "set")
    assert len(run.lines) == 1
    assert all(name in run.err for name in LABELS)


def test_a_recipe_that_does_not_exist() -> None:
    assert rsvqa("recipe", "x").err == "rsvqa: no recipe is called 'x': there are highrs, superrs\n"
