"""Builds of several sources: one data set, with every scene, label, class and licence where it belongs."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from rsvqa.rsvqa_builder import build as build_module
from rsvqa.rsvqa_builder.dataset.image_tables import TableReader, TableWriter, table_schema
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS
from rsvqa.rsvqa_builder.dataset.stored_tiles import ImageLoader, read_tiles
from rsvqa.rsvqa_builder.documents.rewritten import AnnotatedDataset, write_annotated_documents
from tests.make_sources import FARM, SHORE, TOWN, Place, make_labels, make_scene, make_things, paint, write_scene
from tests.run_build import build, read_report, rsvqa, times_of_change, tree_digest

OPTIONS = ("--complete", "yes", "--split-shares", "0.6,0.2,0.2")

SHEDS = """
[classes.shed]
singular = "shed"
plural = "sheds"
role = "object"
match = ["building"]
[classes.rest]
role = "ignored"
match = ["car", "truck", "ship", "road", "grassland", "residential", "water"]
"""
"""A class table that calls buildings otherwise than the preset."""

SOURCES = """
[[source]]
name = "houses"
root = "one"
licence = "CC-BY-4.0"
link = "https://example.org/houses"

[[source]]
name = "sheds"
root = "two"
classes = "sheds.toml"
licence = "ODbL-1.0"
"""

NORTH = FARM._replace(name="north", northing=FARM.northing + 30_000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets that call a scene the same, `a/0001`, and a file of them."""
    folder = tmp_path_factory.mktemp("sets")
    make_scene(folder / "one" / "a", FARM, stem="0001")
    make_scene(folder / "two" / "a", NORTH, stem="0001")
    (folder / "sheds.toml").write_text(SHEDS)
    (folder / "sources.toml").write_text(SOURCES)
    return folder


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "set"
    run = build(folder / "sources.toml", out, *OPTIONS)
    assert (run.code, run.err) == (0, "")
    return out


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return all rows of a data set, without their images."""
    tables = [pq.read_table(path) for path in sorted([*out.glob("data/*.parquet"), *out.glob("tiles/*.parquet")])]
    return [row for table in tables for row in table.drop(["image"]).to_pylist()]


def write_sources(folder: Path, *entries: str, top: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sources.toml"
    path.write_text("\n".join([top, *(f"[[source]]\n{entry}" for entry in entries)]))
    return path


# --- what belongs to whom ---


def test_scenes_of_one_name_stay_two_with_their_own_labels(finished: Path) -> None:
    report = read_report(finished)
    assert list(report["scenes"]) == ["houses/a/0001", "sheds/a/0001"]
    counts = {name: scene["labels"]["by_class"] for name, scene in report["scenes"].items()}
    things = {place: Counter(thing.class_name for thing in make_things(place)) for place in (FARM, NORTH)}
    assert counts["houses/a/0001"]["building"] == things[FARM]["building"]
    assert counts["sheds/a/0001"] == {"shed": things[NORTH]["building"]}
    assert {row["image_id"] for row in rows_of(finished)} == {"houses/a/0001/0_0", "sheds/a/0001/0_0"}


def test_every_row_names_its_source_and_licence(finished: Path) -> None:
    found = {(row["scene"], row["scene_source"], row["licence"]) for row in rows_of(finished)}
    assert found == {("houses/a/0001", "houses", "CC-BY-4.0"), ("sheds/a/0001", "sheds", "ODbL-1.0")}


def test_each_source_is_asked_about_in_the_words_of_its_classes(finished: Path) -> None:
    texts: dict[str, str] = {"houses": "", "sheds": ""}
    for row in rows_of(finished):
        texts[row["scene_source"]] += json.dumps([row["question"], row["multi-choice options"]])
    assert ("building" in texts["houses"], "shed" in texts["houses"]) == (True, False)
    assert ("building" in texts["sheds"], "shed" in texts["sheds"]) == (False, True)


def test_the_documents_tell_of_each_source(finished: Path) -> None:
    report = read_report(finished)
    assert {name: source["class_table"] for name, source in report["sources"].items()} == {
        "houses": "auto",
        "sheds": "sheds",
    }
    asked = Counter(row["scene_source"] for row in rows_of(finished) if row["question"])
    assert {name: source["questions"] for name, source in report["sources"].items()} == asked
    statistics = json.loads((finished / "stats.json").read_text())["scene_sources"]
    assert {name: (found["num_questions"], found["licence"]) for name, found in statistics.items()} == {
        "houses": (asked["houses"], "CC-BY-4.0"),
        "sheds": (asked["sheds"], "ODbL-1.0"),
    }
    card = (finished / "README.md").read_text()
    share = round(100 * asked["houses"] / asked.total())
    assert f"| `houses` | CC-BY-4.0 | <https://example.org/houses> | 1 | 1 | {asked['houses']} | {share} % |" in card
    assert f"| `sheds` | ODbL-1.0 | – | 1 | 1 | {asked['sheds']} | {100 - share} % |" in card
    assert "one that all of them allow" in card


def test_the_class_tables_of_all_sources_are_kept(finished: Path) -> None:
    tables = tomllib.loads((finished / "classes.toml").read_text())["sources"]
    assert list(tables["sheds"]["classes"]) == ["shed", "rest"]
    assert tables["houses"]["classes"]["building"]["singular"] == "building"


def test_what_is_said_of_sources_decides_the_data_set(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two", "sheds.toml", "sources.toml"):
        copy = shutil.copytree if (folder / name).is_dir() else shutil.copyfile
        copy(folder / name, tmp_path / name)
    src = tmp_path / "sources.toml"
    assert build(src, tmp_path / "set", *OPTIONS).code == 0
    kept = tomllib.loads((tmp_path / "set" / "build.toml").read_text())
    assert kept["sources"]["sheds"] == {"root": "two", "classes": "sheds.toml", "licence": "ODbL-1.0"}
    assert {name.partition("/")[0] for name in kept["inputs"]} == {"houses", "sheds"}
    assert "is finished already" in build(src, tmp_path / "set", *OPTIONS).out
    src.write_text(SOURCES.replace("ODbL-1.0", "CC0-1.0"))
    assert "source sheds was" in build(src, tmp_path / "set", *OPTIONS).err
    src.write_text(SOURCES)
    (tmp_path / "sheds.toml").write_text(SHEDS.replace('"sheds"', '"huts"'))
    assert "class_table of sheds was" in build(src, tmp_path / "set", *OPTIONS).err


def test_the_kept_settings_build_it_again(finished: Path, tmp_path: Path) -> None:
    assert rsvqa("build", "--config", finished / "build.toml", "--out", tmp_path / "set", "--workers", 0).code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(finished)


def test_the_number_of_workers_changes_no_byte(folder: Path, finished: Path, tmp_path: Path) -> None:
    assert build(folder / "sources.toml", tmp_path / "set", *OPTIONS, workers=2).code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(finished)


def test_an_interrupted_build_goes_on(
    folder: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src, out = folder / "sources.toml", tmp_path / "set"
    with monkeypatch.context() as patched:
        patched.setattr(build_module, "plan_shard_work", interrupt)
        assert build(src, out, *OPTIONS).code == 130
    done = times_of_change(out / ".rsvqa" / "tiles")
    assert len(list((out / ".rsvqa" / "tiles").rglob("*.json"))) == 2
    changed = folder / "changed.toml"
    changed.write_text(SOURCES.replace("CC-BY-4.0", "CC0-1.0"))
    refused = build(changed, out, *OPTIONS).err
    assert "holds an unfinished build made otherwise" in refused
    assert "source houses was" in refused
    with monkeypatch.context() as patched:
        patched.setattr(build_module, "plan_shard_work", interrupt)
        assert build(src, out, *OPTIONS).code == 130
    assert times_of_change(out / ".rsvqa" / "tiles") == done
    assert build(src, out, *OPTIONS).code == 0
    assert tree_digest(out) == tree_digest(finished)


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_the_order_in_the_file_changes_only_the_file(folder: Path, finished: Path, tmp_path: Path) -> None:
    first, second = SOURCES.strip().split("\n\n")
    turned = folder / "turned.toml"
    turned.write_text(f"{second}\n\n{first}\n")
    assert build(turned, tmp_path / "set", *OPTIONS).code == 0
    assert rows_of(tmp_path / "set") == rows_of(finished)


def test_a_rewritten_data_set_keeps_sources(finished: Path, tmp_path: Path) -> None:
    tiles = tuple(tile.rows for tile in read_tiles(finished))
    assert {tile.tile.scene_source for tile in tiles} == {"houses", "sheds"}
    dataset = AnnotatedDataset(data=finished, marker={}, rows=tiles, shards=(), report={})
    write_annotated_documents(tmp_path, dataset, load_image=lambda tile, key: next(iter(_images(finished, tile, key))))
    assert "| `sheds` | ODbL-1.0 |" in (tmp_path / "README.md").read_text()


def test_shards_from_before_there_were_sources_are_read(finished: Path, tmp_path: Path) -> None:
    older = {name: kind for name, kind in COLUMNS.items() if name not in ("scene_source", "licence")}
    (tmp_path / "data").mkdir()
    for shard in (finished / "data").iterdir():
        with (
            TableReader(shard) as reader,
            TableWriter(tmp_path / "data" / shard.name, table_schema(older), metadata=reader.metadata) as writer,
        ):
            for number in range(reader.info.num_row_groups):
                rows = reader.read_row_group(number)
                writer.write_row_group([{name: row[name] for name in older} for row in rows])
    new, old = ([tile.rows for tile in read_tiles(folder)] for folder in (finished, tmp_path))
    assert {tile.tile.scene_source for tile in old} == {None}
    assert [[r.question for r in tile.records] for tile in old] == [[r.question for r in tile.records] for tile in new]


def _images(data: Path, tile: Any, key: str) -> list[bytes]:
    return [ImageLoader(list(read_tiles(data))).one(tile, key)]


# --- one data set of all ---


def test_sources_given_one_by_one_are_called_as_their_folders(folder: Path, tmp_path: Path) -> None:
    words = ("--src", folder / "one", "--src", folder / "two", "--out", tmp_path / "set", "--workers", 0)
    assert rsvqa("build", *words, *OPTIONS).code == 0
    assert {(row["scene"], row["scene_source"]) for row in rows_of(tmp_path / "set")} == {
        ("one/a/0001", "one"),
        ("two/a/0001", "two"),
    }


def test_one_source_in_a_file_gives_the_rows_of_its_folder(folder: Path, tmp_path: Path) -> None:
    src = write_sources(tmp_path, f'name = "houses"\nroot = "{folder}/one"\nlicence = "CC-BY-4.0"')
    assert build(src, tmp_path / "file", *OPTIONS).code == 0
    assert build(folder / "one", tmp_path / "plain", *OPTIONS).code == 0
    named, plain = rows_of(tmp_path / "file"), rows_of(tmp_path / "plain")
    assert {(row["scene_source"], row["licence"]) for row in plain} == {("one", None)}
    for row in (*named, *plain):
        del row["scene_source"], row["licence"]
    assert named == plain


def test_copies_in_two_sources_are_one_tile(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "one", tmp_path / "again")
    src = write_sources(
        tmp_path, f'name = "first"\nroot = "{folder}/one"', 'name = "second"\nroot = "again"\nlicence = "CC0-1.0"'
    )
    assert build(src, tmp_path / "set", *OPTIONS).code == 0
    report = read_report(tmp_path / "set")
    assert report["tiles"]["dropped"] == {"second/a/0001/0_0": "same content as first/a/0001/0_0"}
    assert {name: source["tiles"] for name, source in report["sources"].items()} == {
        "first": {"planned": 1, "kept": 1},
        "second": {"planned": 1, "kept": 0},
    }


def test_one_ground_in_two_sources_is_one_place(tmp_path: Path) -> None:
    # the same ground at another time, 200 px further east, and a place far away
    beside = FARM._replace(name="beside", easting=FARM.easting + 100)
    make_scene(tmp_path / "one", FARM)
    make_scene(tmp_path / "two", beside)
    make_scene(tmp_path / "two", NORTH)
    for seed in range(3):
        out = tmp_path / f"set{seed}"
        words = ("--src", tmp_path / "one", "--src", tmp_path / "two", "--out", out, "--workers", 0, "--seed", seed)
        assert rsvqa("build", *words, "--tasks", "none", "--split-shares", "0.5,0.5,0").code == 0
        split_of = {tile.rows.tile.scene: tile.rows.tile.split for tile in read_tiles(out)}
        assert split_of["one/farm"] == split_of["two/beside"] != split_of["two/north"]


def test_labels_of_one_source_are_never_another_s(tmp_path: Path) -> None:
    write_scene_only(tmp_path / "one" / "x.tif", FARM)
    things = make_things(FARM)
    write_scene_only(tmp_path / "two" / "y.tif", NORTH)
    (tmp_path / "two" / "x.geojson").write_text(json.dumps(make_labels(FARM, things)))
    (tmp_path / "two" / "y.geojson").write_text(json.dumps(make_labels(NORTH, make_things(NORTH))))
    words = ("--src", tmp_path / "one", "--src", tmp_path / "two", "--json", "--workers", 0)
    report = json.loads(rsvqa("labels", *words).out)
    files = {
        name: [Path(file["path"]).name for file in scene["labels"]["files"]] for name, scene in report["scenes"].items()
    }
    assert (files["one/x"], "y.geojson" in files["two/y"]) == ([], True)


def write_scene_only(path: Path, place: Place) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_scene(path, paint(place, make_things(place)), place)


def test_mosaics_and_bands_are_of_the_source_that_asks(tmp_path: Path) -> None:
    west, east = FARM, FARM._replace(name="east", easting=FARM.easting + FARM.width * 0.5)
    for place in (west, east):
        make_scene(tmp_path / "joined", place, labelled=False)
        # bands that do not say their colours, far from the others
        apart = place._replace(northing=place.northing + 50_000)
        make_scene(tmp_path / "apart", apart, labelled=False, photometric="minisblack")
    src = write_sources(
        tmp_path, 'name = "joined"\nroot = "joined"\nmosaic = true', 'name = "apart"\nroot = "apart"\nbands = "3,2,1"'
    )
    report = json.loads(rsvqa("labels", "--src", src, "--json", "--workers", 0).out)
    assert {name: scene["bands"] for name, scene in report["scenes"].items()} == {
        "apart/east": [3, 2, 1],
        "apart/farm": [3, 2, 1],
        "joined/east-mosaic": [1, 2, 3],
    }


def test_the_gsd_of_a_source_is_for_files_without_one(tmp_path: Path) -> None:
    write_scene_only(tmp_path / "map" / "a.tif", FARM)
    (tmp_path / "picture").mkdir()
    write_picture(tmp_path / "picture" / "b.png")
    src = write_sources(
        tmp_path, 'name = "map"\nroot = "map"\ngsd_m = 9', 'name = "picture"\nroot = "picture"\ngsd_m = 0.3'
    )
    assert build(src, tmp_path / "set", "--tasks", "none").code == 0
    assert {row["scene"]: row["gsd"] for row in rows_of(tmp_path / "set")} == {"map/a": 0.5, "picture/b": 0.3}


def write_picture(path: Path) -> None:
    Image.fromarray(paint(SHORE, make_things(SHORE)).transpose(1, 2, 0)).save(path)


def test_shares_bound_a_source(tmp_path: Path) -> None:
    make_scene(tmp_path / "large", TOWN)
    make_scene(tmp_path / "small", NORTH)
    entries = ('name = "large"\nroot = "large"\n{}', 'name = "small"\nroot = "small"')
    assert build(write_sources(tmp_path, *(e.format("") for e in entries)), tmp_path / "all", *OPTIONS).code == 0
    src = write_sources(tmp_path, *(entry.format("share = 0.25") for entry in entries))
    run = build(src, tmp_path / "set", *OPTIONS)
    assert run.code == 0
    asked = Counter(row["scene_source"] for row in rows_of(tmp_path / "set") if row["question"])
    made = read_report(tmp_path / "all")["sources"]
    # the small source keeps all n; of the large one stay as many as are a quarter of all: n / 3, rounded
    assert asked == {"small": made["small"]["questions"], "large": round(made["small"]["questions"] / 3)}
    beyond = made["large"]["questions"] - asked["large"]
    assert read_report(tmp_path / "set")["sources"]["large"]["beyond_its_share"] == beyond
    assert f"{beyond} questions more are beyond its share of 0.25" in run.out
    assert build(src, tmp_path / "again", *OPTIONS, workers=2).code == 0
    assert tree_digest(tmp_path / "again") == tree_digest(tmp_path / "set")


def test_a_source_without_scenes_is_left_out_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    src = write_sources(tmp_path, f'name = "full"\nroot = "{folder}/one"', 'name = "none"\nroot = "empty"')
    run = build(src, tmp_path / "set", *OPTIONS)
    assert run.code == 0
    assert "the source 'none' has no scene: looked for rasters" in run.err
    assert "strict" in build(src, tmp_path / "strict", "--strict").err


# --- what cannot be ---

FOUND = 'root = "."'


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (('name = "a"\nroot = "."\nclases = "dota"',), "source 'a': unknown setting 'clases'; did you mean 'classes'?"),
        ((FOUND,), "source 1: name is needed"),
        (('name = "a/b"\nroot = "."',), "source 'a/b': name = 'a/b'"),
        (('name = "a"',), "source 'a': root is needed"),
        (
            ('name = "a"\nroot = "no"', f'name = "b"\n{FOUND}', 'name = "c"\nroot = "nor"'),
            "no such folder or file: a ({0}/no), c ({0}/nor); set root",
        ),
        ((f'name = "a"\n{FOUND}', f'name = "A"\n{FOUND}'), "are both called 'A': give each source a name of its own"),
        ((f'name = "a"\n{FOUND}\nshare = 1.5',), "source 'a': share = 1.5: Input should be less than or equal to 1"),
        ((f'name = "a"\n{FOUND}\nshare = nan',), "source 'a': share = nan"),
        ((f'name = "a"\n{FOUND}\nshare = 0.4', f'name = "b"\n{FOUND}\nshare = 0.5'), "the shares sum to 0.9"),
        ((f'name = "a"\n{FOUND}\ngsd_m = 0',), "source 'a': gsd_m = 0: Input should be greater than 0"),
        ((f'name = "a"\n{FOUND}\ncrs = "EPSG:1"',), "source 'a': crs = 'EPSG:1': expected a coordinate reference"),
        ((f'name = "a"\n{FOUND}\nclasses = "dotta"',), "source 'a': class table 'dotta': no such preset or file"),
        ((f'name = "a"\n{FOUND}\nlabels = ["l"]',), "{0}/l: no such file or folder"),
        ((), "source is needed"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, entries: tuple[str, ...], message: str) -> None:
    run = rsvqa("build", "--src", write_sources(tmp_path, *entries), "--out", tmp_path / "set")
    assert (run.code != 0, len(run.lines)) == (True, 1)
    assert message.format(tmp_path) in run.err
    assert not (tmp_path / "set").exists()


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_scene(tmp_path / name / "images", FARM)
    run = rsvqa("build", "--src", tmp_path / "a/images", "--src", tmp_path / "b/images", "--out", tmp_path / "set")
    assert "are both called 'images': give each source a name of its own in a sources file" in run.err


def test_labels_for_several_sources_at_once_are_refused(folder: Path, tmp_path: Path) -> None:
    words = ("--src", folder / "one", "--src", folder / "two", "--labels", folder / "one")
    run = rsvqa("build", *words, "--out", tmp_path / "set")
    assert run.err.startswith("rsvqa: --labels would be of every source")


def test_roots_lie_where_the_file_says(folder: Path, tmp_path: Path) -> None:
    src = write_sources(tmp_path / "deep", 'name = "houses"\nroot = "one"', top=f'root = "{folder}"')
    report = json.loads(rsvqa("labels", "--src", src, "--json", "--workers", 0).out)
    assert list(report["scenes"]) == ["a/0001"]
