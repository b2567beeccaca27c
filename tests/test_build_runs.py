"""Whole builds as a user meets them: what they write, what they leave out and say, and that they repeat themselves."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image
from rasterio.io import DatasetReader

from rsvqa.rsvqa_builder import build as build_module
from rsvqa.rsvqa_builder.tiles.executors import Failure, InProcessExecutor
from rsvqa.rsvqa_builder.tiles.tile_work import TileJob, do_tile
from tests.make_sources import (
    FARM,
    SHORE,
    TOWN,
    Place,
    make_broken_files,
    make_pair,
    make_scene,
    make_sources,
    make_things,
    paint,
    write_scene,
)
from tests.rsvqa_builder.make_rasters import find_data
from tests.run_build import build, questions_by_task, read_report, rsvqa, times_of_change, tree_digest

OPTIONS = ("--complete", "yes", "--split-shares", "0.6,0.2,0.2")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sources(tmp_path_factory.mktemp("sources") / "scenes")


@pytest.fixture(scope="module")
def finished(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "set"
    run = build(sources, out, *OPTIONS)
    assert (run.code, run.err) == (0, "")
    return out


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one scene that is one tile."""
    folder = tmp_path_factory.mktemp("farm")
    make_scene(folder, FARM)
    return folder


# --- the same bytes ---


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_the_number_of_workers_changes_no_byte(sources: Path, finished: Path, tmp_path: Path, workers: int) -> None:
    assert build(sources, tmp_path / "other name", *OPTIONS, workers=workers).code == 0
    assert tree_digest(tmp_path / "other name") == tree_digest(finished)


def test_the_order_in_which_work_is_done_changes_no_byte(
    sources: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_shuffled(_: Any, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        order = list(range(len(items)))
        random.Random(len(items)).shuffle(order)
        for index in order:
            yield index, function(items[index])

    monkeypatch.setattr(InProcessExecutor, "run", run_shuffled)
    assert build(sources, tmp_path / "set", *OPTIONS).code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(finished)


def test_the_settings_that_a_data_set_keeps_build_it_again(finished: Path, tmp_path: Path) -> None:
    assert rsvqa("build", "--config", finished / "build.toml", "--out", tmp_path / "set", "--workers", 0).code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(finished)


def test_copies_of_the_sources_with_other_times_give_the_same_bytes(
    farm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a path relative to the working directory, which the settings keep as one from the data set
    for place in ("here", "elsewhere"):
        shutil.copytree(farm, tmp_path / place / farm.name, copy_function=shutil.copyfile)
        monkeypatch.chdir(tmp_path / place)
        assert build(farm.name, Path("set"), *OPTIONS).code == 0
    assert tree_digest(tmp_path / "here" / "set") == tree_digest(tmp_path / "elsewhere" / "set")


def test_a_report_names_files_alike_wherever_the_command_ran(
    farm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = tmp_path / "scenes"
    shutil.copytree(farm, src)
    for name, content in {
        "broken.tif": b"II*",
        "map.ecw": b"ecw",
        "lost.geojson": b'{"type": "FeatureCollection"}',
    }.items():
        (src / name).write_bytes(content)
    profile: dict[str, Any] = {"driver": "GTiff", "width": 32, "height": 32, "count": 1, "dtype": "float32"}
    profile["transform"] = rasterio.Affine(1, 0, 0, 0, -1, 32)
    with rasterio.open(src / "hill_dsm.tif", "w", **profile) as file:
        file.write(np.arange(1024, dtype=np.float32).reshape(1, 32, 32))
    reports = []
    for place in (tmp_path, tmp_path / "a" / "b"):
        place.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(place)
        assert build(os.path.relpath(src), Path(os.path.relpath(tmp_path / "set")), *OPTIONS, "--overwrite").code == 0
        reports.append((tmp_path / "set" / "report.json").read_text("utf-8"))
    assert reports[0] == reports[1]
    report = json.loads(reports[0])
    told = [
        entry["path"] for entry in (*report["left_out"], *report["passed_over"], *report["label_files_of_no_scene"])
    ]
    assert told
    assert all((tmp_path / "set" / path).exists() for path in told)


# --- what is written ---


def test_a_data_set_is_its_shards_and_its_documents(finished: Path) -> None:
    # farm, shore and town are three places of 2, 4 and 6 tiles: 7.2, 2.4 and 2.4 tiles are wanted, so town (6) or
    # shore is train; whatever the order, the three splits get one place each, and the shore has no questions
    names = set(tree_digest(finished))
    shards = {name for name in names if name.endswith(".parquet")}
    assert names - shards == {
        "README.md",
        "build.toml",
        "classes.toml",
        "croissant.json",
        "preview.html",
        "report.json",
        "stats.json",
    }
    assert len([name for name in shards if name.startswith("data/")]) == 2
    assert len([name for name in shards if name.startswith("tiles/")]) == 1
    # what tells one build from the next of the same is no part of it
    assert [path.name for path in (finished / ".rsvqa").iterdir()] == ["timings.json"]
    seconds = json.loads((finished / ".rsvqa" / "timings.json").read_bytes())["seconds"]
    assert {"finding scenes", "making tiles", "writing shards"} <= set(seconds)
    assert "report.json" in tomllib.loads((finished / "build.toml").read_text("utf-8"))["files"]


def test_the_report_counts_what_the_shards_hold(finished: Path) -> None:
    report = read_report(finished)
    rows = [row for path in sorted(finished.glob("data/*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert report["questions"] == len(rows)
    assert report["tiles"]["planned"] == report["tiles"]["kept"] == 12
    assert report["tiles"]["without_questions"] == 4
    assert report["splits"]["places"] == 3
    assert sorted(report["splits"]["tiles"].values()) == [2, 4, 6]
    by_task = {name: sum(row["task"] == name for row in rows) for name in {row["task"] for row in rows}}
    assert questions_by_task(report) == by_task
    assert [row["index"] for row in rows if row["index"] == 0] == [0]
    assert sorted(row["index"] for row in rows) == list(range(len(rows)))
    assert len({row["question_id"] for row in rows}) == len(rows)


def test_scenes_without_labels_become_tiles_without_questions(finished: Path) -> None:
    (shard,) = finished.glob("tiles/*.parquet")
    rows = pq.read_table(shard).to_pylist()
    # 700 × 520 px in tiles of 512 px, the last ones pulled back: 700 - 512 = 188 and 520 - 512 = 8
    assert [(row["scene"], row["tile"]["x"], row["tile"]["y"]) for row in rows] == [
        ("shore", 0, 0),
        ("shore", 188, 0),
        ("shore", 0, 8),
        ("shore", 188, 8),
    ]
    assert {row["question"] for row in rows} == {None}
    assert {row["crs"] for row in rows} == {"EPSG:32632"}
    assert {row["gsd"] for row in rows} == {0.5}
    assert all(row["footprint"] for row in rows)


def test_rows_are_xlrs_bench_lite_rows(finished: Path) -> None:
    table = pq.read_table(sorted(finished.glob("data/*.parquet"))[0])
    wanted = {"index", "image", "question", "multi-choice options", "answer", "category", "l2-category"}
    assert wanted <= set(table.column_names)
    for row in table.to_pylist():
        options = row["multi-choice options"]
        assert [option[:4] for option in options] == [f"({letter}) " for letter in "ABCDEFGHIJ"[: len(options)]]
        if options:
            assert set(row["answer"]) <= set("ABCDEFGHIJ"[: len(options)])
            assert row["answer"]


def test_datasets_loads_both_configurations_with_images(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    report = read_report(finished)
    data = datasets.load_dataset(str(finished), "default", cache_dir=str(tmp_path))
    wanted = {name: count for name, count in report["splits"]["questions"].items() if count}
    assert {name: len(split) for name, split in data.items()} == wanted
    first = data["train"][0]
    assert isinstance(first["image"][0], Image.Image)
    assert first["image"][0].size == (first["image_width"], first["image_height"])
    tiles = datasets.load_dataset(str(finished), "tiles", cache_dir=str(tmp_path))
    assert [len(split) for split in tiles.values()] == [4]


def test_the_picture_in_a_row_is_the_window_of_the_scene(sources: Path, tmp_path: Path) -> None:
    assert build(sources, tmp_path / "set", "--tasks", "none", "--image-format", "png").code == 0
    pictures = {"town": paint_of(TOWN), "shore": paint_of(SHORE)}
    seen = set()
    for path in sorted((tmp_path / "set" / "tiles").glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            if row["scene"] in pictures:
                x, y, width, height = (row["tile"][key] for key in ("x", "y", "width", "height"))
                (image,) = row["image"]
                expected = pictures[row["scene"]][:, y : y + height, x : x + width]
                assert (read_png(image["bytes"]) == np.moveaxis(expected, 0, 2)).all()
                seen.add((row["scene"], x, y))
    assert len(seen) == 6 + 4


def test_a_tile_of_a_collar_without_data_is_dropped_with_its_reason_and_the_build_ends_well(tmp_path: Path) -> None:
    # 700 × 520 px at 512 px: windows at x 0 and 188, y 0 and 8; with 400 empty columns on the left, the windows at
    # x = 0 hold 112 / 512 = 22 % valid pixels, those at 188 300 / 512 = 59 %, which --min-valid 0.5 keeps
    pixels = paint_of(SHORE)
    pixels[:, :, :400] = 0
    (tmp_path / "scenes").mkdir()
    write_scene(tmp_path / "scenes" / "collar.tif", pixels, SHORE, nodata=0)
    assert build(tmp_path / "scenes", tmp_path / "set", "--min-valid", 0.5).code == 0
    tiles = read_report(tmp_path / "set")["tiles"]
    assert (tiles["planned"], tiles["kept"]) == (4, 2)
    reason = "less than 50% of its pixels are valid"
    assert tiles["dropped"] == {f"collar/0_{y}": reason for y in (0, 8)}


def test_a_label_file_of_no_scene_is_named_first_with_the_option_that_takes_it(tmp_path: Path) -> None:
    for place in (FARM, SHORE):
        make_scene(tmp_path / "scenes", place)
    (tmp_path / "scenes" / "cars.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    run = build(tmp_path / "scenes", tmp_path / "set", "--tasks", "none")
    assert run.code == 0
    why = "it belongs to no scene: name it as its scene, or give it with --labels"
    assert run.lines == [f"{tmp_path}/scenes/cars.geojson: {why}"]
    assert run.out.splitlines()[:2] == ["1 label file of no scene", f"  1 x {why}: {tmp_path}/scenes/cars.geojson"]


# --- tasks ---


def test_no_tasks_at_all_leave_every_tile_for_drafting(farm: Path, tmp_path: Path) -> None:
    run = build(farm, tmp_path / "set", "--tasks", "none")
    report = read_report(tmp_path / "set")
    assert (run.code, report["questions"], report["tiles"]["without_questions"]) == (0, 0, 1)
    assert not (tmp_path / "set" / "data").exists()
    assert "not asked for" in run.out


def test_chosen_tasks_and_their_bound(farm: Path, tmp_path: Path) -> None:
    wanted = ("--tasks", "OC,RC,OCC=0.5", "--per-task", "2", "--balance", "off")
    assert build(farm, tmp_path / "set", "--complete", "yes", *wanted).code == 0
    # one tile: at most two of a task, and half of two of OCC
    assert questions_by_task(read_report(tmp_path / "set")) == {
        "overall_counting": 2,
        "regional_counting": 2,
        "object_classification": 1,
    }


# --- copies, overlaps, excluded images ---


def test_identical_copies_of_a_scene_are_in_the_data_set_once(farm: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(farm / "farm.tif", folder_of(tmp_path / "scenes") / f"{name}.tif")
    assert build(tmp_path / "scenes", tmp_path / "set").code == 0
    report = read_report(tmp_path / "set")
    assert report["tiles"]["dropped"] == {"b/0_0": "same content as a/0_0"}
    assert report["alike_tiles"] == [{"first": "a/0_0", "second": "b/0_0", "correlation": 1.0}]
    assert build(tmp_path / "scenes", tmp_path / "all", "--dedup", "off").code == 0
    assert read_report(tmp_path / "all")["tiles"]["dropped"] == {}


def test_of_identical_copies_the_one_with_labels_is_kept(farm: Path, tmp_path: Path) -> None:
    scenes = folder_of(tmp_path / "scenes")
    for name in ("a", "b"):
        shutil.copy(farm / "farm.tif", scenes / f"{name}.tif")
    labels = next(path for path in farm.iterdir() if path.stem == "farm" and path.suffix != ".tif")
    shutil.copy(labels, scenes / f"b{labels.suffix}")
    assert build(scenes, tmp_path / "set", "--complete", "yes").code == 0
    report = read_report(tmp_path / "set")
    assert report["tiles"]["dropped"] == {"a/0_0": "same content as b/0_0"}
    assert report["questions"] > 0


def test_near_copies_are_reported_and_dropped_only_when_asked(tmp_path: Path) -> None:
    pixels = paint_of(FARM)
    brighter = np.clip(pixels.astype(int) + 3, 0, 255).astype(np.uint8)
    # far apart, so that footprints say nothing
    for name, picture, place in (("a", pixels, FARM), ("b", brighter, SHORE), ("c", brighter, TOWN)):
        write_scene(folder_of(tmp_path / "scenes") / f"{name}.tif", picture, place)
    assert build(tmp_path / "scenes", tmp_path / "set", "--split-shares", "0.5,0.5,0").code == 0
    report = read_report(tmp_path / "set")
    assert [(pair["first"], pair["second"]) for pair in report["alike_tiles"]] == [
        ("a/0_0", "b/0_0"),
        ("b/0_0", "c/0_0"),
    ]
    # three levels brighter everywhere: no cell differs more from its neighbours by that
    assert report["alike_tiles"][0]["correlation"] >= 0.99
    assert report["tiles"]["dropped"] == {"c/0_0": "same content as b/0_0"}
    assert len(report["splits"]["tiles"]) == 1, "near copies are of one place"
    assert build(tmp_path / "scenes", tmp_path / "near", "--dedup", "near").code == 0
    assert read_report(tmp_path / "near")["tiles"]["dropped"] == {
        "b/0_0": "nearly the same content as a/0_0",
        "c/0_0": "same content as b/0_0",
    }


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_tiles_that_are_in_another_image_set_are_left_out(sources: Path, tmp_path: Path, kind: str) -> None:
    first = tmp_path / "first"
    assert build(sources, first, "--tasks", "none", "--split-shares", "1,0,0").code == 0
    (shard,) = first.glob("tiles/*.parquet")
    rows = pq.read_table(shard)
    wanted = next(index for index, row in enumerate(rows.to_pylist()) if row["image_id"] == "town/512_0")
    benchmark = folder_of(tmp_path / "benchmark")
    if kind == "folder":
        (benchmark / "picture.jpg").write_bytes(rows.to_pylist()[wanted]["image"][0]["bytes"])
    else:
        pq.write_table(rows.slice(wanted, 1), benchmark / "test.parquet")
    assert build(sources, tmp_path / "set", "--tasks", "none", "--exclude", benchmark).code == 0
    (dropped,) = read_report(tmp_path / "set")["tiles"]["dropped"].items()
    assert dropped[0] == "town/512_0"
    assert dropped[1].startswith("has the bytes of the excluded image ")
    assert str(benchmark) in dropped[1]


@pytest.mark.parametrize("words", [(), ("--tile-size", 512)], ids=["whole", "cut"])
def test_a_sea_that_is_in_another_image_set_is_left_out(tmp_path: Path, words: tuple[object, ...]) -> None:
    case = find_data("label_cases/sea_exclude")
    run = rsvqa("build", "--src", case / "src", "--out", tmp_path / "set", "--exclude", case / "bench", *words)
    assert run.code == 2
    report = json.loads((tmp_path / "set" / ".rsvqa" / "report.json").read_text("utf-8"))
    assert report["tiles"]["kept"] == 0
    assert {(entry["image"], entry["by"]) for entry in report["excluded_tiles"]} == {
        (str(case / "bench" / "sea.tif"), "bytes")
    }


def test_of_tiles_of_noise_only_the_excluded_one_goes(tmp_path: Path) -> None:
    # a calm sea under light that grows over the scene: by slow light alone, all 24 tiles are the same
    place = Place("sea", 6 * 128, 4 * 128, 500_000.0, 5_400_000.0)
    light = np.linspace(40, 120, place.width)[None, None, :]
    noise = np.random.default_rng(0).normal(0, 5, (3, place.height, place.width))
    pixels = (light + noise).astype(np.uint8)
    write_scene(folder_of(tmp_path / "scenes") / "sea.tif", pixels, place)
    benchmark = folder_of(tmp_path / "benchmark")
    Image.fromarray(np.moveaxis(pixels[:, 128:256, 256:384], 0, 2)).save(benchmark / "picture.png")
    words = ("--tile-size", 128, "--tasks", "none", "--dedup", "near", "--exclude", benchmark)
    assert rsvqa("build", "--src", tmp_path / "scenes", "--out", tmp_path / "set", *words).code == 0
    report = read_report(tmp_path / "set")
    assert report["tiles"]["planned"] == 24
    assert report["alike_tiles"] == []
    picture = str(benchmark / "picture.png")
    assert report["tiles"]["dropped"] == {"sea/256_128": f"has the pixels of the excluded image {picture}"}
    assert report["excluded_tiles"] == [{"tile": "sea/256_128", "image": picture, "by": "pixels"}]


def test_tiles_that_a_picture_was_cut_from_are_left_out(tmp_path: Path) -> None:
    # 200 x 200 px across the border of two tiles, from a sea of noise
    place = Place("sea", 3 * 256, 256, 500_000.0, 5_400_000.0)
    pixels = np.random.default_rng(0).integers(50, 60, (3, place.height, place.width)).astype(np.uint8)
    write_scene(folder_of(tmp_path / "scenes") / "sea.tif", pixels, place)
    picture = folder_of(tmp_path / "benchmark") / "picture.png"
    Image.fromarray(np.moveaxis(pixels[:, 20:220, 156:356], 0, 2)).save(picture)
    words = ("--tile-size", 256, "--tasks", "none", "--exclude", picture.parent)
    assert rsvqa("build", "--src", tmp_path / "scenes", "--out", tmp_path / "set", *words).code == 0
    report = read_report(tmp_path / "set")
    assert report["tiles"]["dropped"] == {
        "sea/0_0": f"shares pixels with the excluded image {picture}",
        "sea/256_0": f"shares pixels with the excluded image {picture}",
    }
    assert [entry["by"] for entry in report["excluded_tiles"]] == ["part", "part"]


def test_two_dates_without_a_georeference_are_one_place(tmp_path: Path) -> None:
    for number in range(6):
        for date in "AB":
            folder = folder_of(tmp_path / "scenes" / date)
            noise = np.random.default_rng(2 * number + ord(date)).integers(1, 255, (64, 64, 3), np.uint8)
            Image.fromarray(noise).resize((512, 512)).save(folder / f"{number}.png")
            (folder / f"{number}.txt").write_text("100 100 200 100 200 200 100 200 plane 0\n")
    words = ("--classes", "dota", "--split-shares", "0.5,0,0.5")
    assert build(tmp_path / "scenes", tmp_path / "set", *words).code == 0
    report = read_report(tmp_path / "set")
    assert (report["splits"]["places"], report["splits"]["tiles"]) == (6, {"train": 6, "test": 6})


def test_a_tile_whose_later_date_is_excluded_goes(tmp_path: Path) -> None:
    make_pair(folder_of(tmp_path / "scenes"), FARM)
    words = ("--complete", "yes", "--split-shares", "1,0,0")
    assert build(tmp_path / "scenes", tmp_path / "all", *words).code == 0
    with rasterio.open(tmp_path / "scenes" / "farm_t2.tif") as raster:
        later = np.moveaxis(raster.read(), 0, 2)
    benchmark = folder_of(tmp_path / "benchmark")
    Image.fromarray(later).save(benchmark / "later.png")
    assert build(tmp_path / "scenes", tmp_path / "set", "--exclude", benchmark, *words).code == 2
    report = json.loads((tmp_path / "set" / ".rsvqa" / "report.json").read_text("utf-8"))
    assert {entry["tile"]: entry["by"] for entry in report["excluded_tiles"]} == {
        "farm_t1/0_0": "pixels",
        "farm_t2/0_0": "pixels",
    }


def test_another_picture_to_exclude_is_another_input(farm: Path, tmp_path: Path) -> None:
    benchmark = folder_of(tmp_path / "benchmark")
    Image.fromarray(np.moveaxis(paint_of(TOWN), 0, 2)).save(benchmark / "one.png")
    assert build(farm, tmp_path / "set", "--exclude", benchmark).code == 0
    Image.fromarray(np.moveaxis(paint_of(FARM), 0, 2)).save(benchmark / "two.png")
    run = build(farm, tmp_path / "set", "--exclude", benchmark)
    assert (run.code, len(run.lines)) == (1, 1)
    assert "two.png is new" in run.err


def test_pictures_that_cannot_be_compared_are_named_and_counted(farm: Path, tmp_path: Path) -> None:
    benchmark = folder_of(tmp_path / "benchmark")
    Image.fromarray(np.moveaxis(paint_of(TOWN), 0, 2)).save(benchmark / "good.png")
    Image.new("RGB", (40, 40), (9, 9, 9)).save(benchmark / "night.png")
    (benchmark / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    run = build(farm, tmp_path / "set", "--exclude", benchmark)
    assert run.code == 0
    assert f"left out {benchmark / 'torn.jpg'}: broken JPEG header; tiles are not compared with it" in run.err
    report = read_report(tmp_path / "set")
    assert [entry["path"] for entry in report["left_out"]] == [str(benchmark / "torn.jpg")]
    assert report["notes"] == [
        "1 of 3 images to exclude cannot be decoded; tiles are not compared with them",
        "1 of 3 images to exclude have no contrast, e.g. night.png; only identical tiles are left out",
    ]
    strict = build(farm, tmp_path / "strict", "--exclude", benchmark, "--strict")
    assert strict.code == 1
    assert "torn.jpg: broken JPEG header" in strict.err


def test_a_tile_that_shows_a_picture_of_sixteen_bits_is_excluded(sources: Path, tmp_path: Path) -> None:
    benchmark = folder_of(tmp_path / "benchmark")
    grey = np.moveaxis(paint_of(FARM), 0, 2) @ np.array([0.299, 0.587, 0.114])
    Image.fromarray((grey * 257).astype(np.uint16)).save(benchmark / "farm.png")
    assert build(sources, tmp_path / "set", "--tasks", "none", "--exclude", benchmark).code == 0
    dropped = read_report(tmp_path / "set")["tiles"]["dropped"]
    assert {tile: Path(reason.rpartition(" ")[2]).name for tile, reason in dropped.items()} == {
        "farm_t1/0_0": "farm.png",
        "farm_t2/0_0": "farm.png",
    }


def test_scenes_that_share_ground_are_reported_and_go_to_one_split(tmp_path: Path) -> None:
    # the second scene begins 64 m, which is 128 px, east of the first: they share (512 - 128) / 512 = 75 %
    east = FARM._replace(name="east", easting=FARM.easting + 64)
    far = FARM._replace(name="far", easting=FARM.easting + 5000)
    for place in (FARM, east, far):
        make_scene(tmp_path / "scenes", place, labelled=False)
    assert build(tmp_path / "scenes", tmp_path / "set", "--split-shares", "0.34,0.33,0.33").code == 0
    report = read_report(tmp_path / "set")
    assert report["overlapping_scenes"] == [{"first": "east", "second": "farm", "shared_share": 0.75}]
    assert report["splits"]["places"] == 2
    split_of = {
        row["scene"]: path.name.partition("-")[0]
        for path in (tmp_path / "set" / "tiles").glob("*.parquet")
        for row in pq.read_table(path).to_pylist()
    }
    assert split_of["east"] == split_of["farm"] != split_of["far"]


# --- bad input ---


def test_broken_files_are_one_line_each_and_the_build_goes_on(farm: Path, tmp_path: Path) -> None:
    shutil.copytree(farm, tmp_path / "scenes")
    reasons = make_broken_files(tmp_path / "scenes" / "broken")
    run = build(tmp_path / "scenes", tmp_path / "set")
    assert run.code == 0
    report = read_report(tmp_path / "set")
    assert {Path(item["path"]).name for item in report["left_out"]} == set(reasons)
    assert sorted(run.lines) == sorted(f"left out {item['path']}: {item['reason']}" for item in report["left_out"])
    for item in report["left_out"]:
        assert reasons[Path(item["path"]).name] in item["reason"]
    assert {job.partition("/")[0] for job in report["scenes"]} >= {"farm"}
    assert report["questions"] > 0
    assert run.out.startswith("7 inputs left out\n  2 x cannot be opened: ")


@pytest.mark.parametrize("name", ["empty.tif", "nodata.tif", "damaged.tif"])
def test_strict_builds_stop_at_a_broken_file(farm: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(farm, tmp_path / "scenes")
    reasons = make_broken_files(tmp_path / "broken")
    shutil.move(tmp_path / "broken" / name, tmp_path / "scenes" / name)
    run = build(tmp_path / "scenes", tmp_path / "set", "--strict")
    assert (run.code, len(run.lines)) == (1, 1)
    assert run.err.startswith(f"rsvqa: {tmp_path / 'scenes' / name}: ")
    assert reasons[name] in run.err
    assert "--strict" in run.err
    assert not (tmp_path / "set" / "build.toml").exists()


def test_a_broken_label_file_of_several_scenes_is_reported_once(tmp_path: Path) -> None:
    for place in (FARM, SHORE):
        make_scene(tmp_path / "scenes", place, labelled=False)
    broken = tmp_path / "all.geojson"
    broken.write_text('{"type": "FeatureCollection", "features": [{"type": "Feature", ')
    run = build(tmp_path / "scenes", tmp_path / "set", "--labels", broken)
    assert (run.code, len(run.lines)) == (0, 1)
    assert run.err.startswith(f"left out {broken}: ")
    assert [item["path"] for item in read_report(tmp_path / "set")["left_out"]] == [str(broken)]
    strict = build(tmp_path / "scenes", tmp_path / "strict", "--labels", broken, "--strict")
    assert (strict.code, len(strict.lines)) == (1, 1)


def test_nothing_usable_is_exit_2_with_what_was_looked_for_and_where(tmp_path: Path) -> None:
    reasons = make_broken_files(tmp_path / "scenes")
    run = build(tmp_path / "scenes", tmp_path / "set")
    assert (run.code, len(run.lines)) == (2, len(reasons) + 1)
    assert run.lines[-1].startswith("rsvqa: no usable scene: looked for rasters (")
    assert f"in {tmp_path / 'scenes'} and the folders below it; 7 found, none usable" in run.lines[-1]


def test_an_empty_folder_is_exit_2(tmp_path: Path) -> None:
    run = build(folder_of(tmp_path / "scenes"), tmp_path / "set")
    assert (run.code, len(run.lines)) == (2, 1)
    assert ".tif" in run.err
    assert str(tmp_path / "scenes") in run.err


def test_a_scene_whose_worker_dies_is_left_out_and_the_others_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        make_scene(tmp_path / "scenes", FARM._replace(name=f"farm{number}", easting=FARM.easting + 5000 * number))
    monkeypatch.setattr(build_module, "do_tile", die_on_the_second_farm)
    run = build(tmp_path / "scenes", tmp_path / "set", workers=1)
    assert (run.code, len(run.lines)) == (0, 1)
    report = read_report(tmp_path / "set")
    (left_out,) = report["left_out"]
    assert left_out["path"] == str(tmp_path / "scenes" / "farm1.tif")
    assert "died, twice" in left_out["reason"]
    assert report["tiles"]["dropped"] == {"farm1/0_0": f"its scene cannot be read: {left_out['reason']}"}
    assert report["tiles"]["kept"] == 2


def die_on_the_second_farm(job: TileJob) -> int | Failure:
    """Do a tile, but end the process at one of them."""
    if job.image_id == "farm1/0_0":
        os.kill(os.getpid(), signal.SIGKILL)
    return do_tile(job)


# --- layout on disk ---


@pytest.mark.parametrize(
    ("profile", "dtype"),
    [
        ({"compress": "deflate", "blockysize": 16}, "uint8"),
        ({"compress": "deflate", "blockysize": 16}, "uint16"),
        ({"compress": "deflate", "blockysize": 1000}, "uint8"),
    ],
    ids=["strips", "strips of 16 bits", "one strip"],
)
def test_a_striped_file_is_decoded_at_most_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: dict[str, Any], dtype: str
) -> None:
    place = Place("strips", 1500, 1000, 500_000.0, 5_400_000.0)
    pixels = paint(place, []).astype(dtype)
    path = folder_of(tmp_path / "scenes") / "strips.tif"
    write_scene(path, pixels, place, **profile)
    strips = count_strips(monkeypatch, path, rows=profile["blockysize"])
    assert rsvqa("build", "--src", path, "--out", tmp_path / "set", "--tile-size", 256, "--workers", 0).code == 0
    # 1500 / 256 and 1000 / 256: 6 × 4 tiles; without care every strip would be decoded once for each of six columns
    assert read_report(tmp_path / "set")["tiles"]["kept"] == 24
    num_strips = -(-1000 // profile["blockysize"])
    assert num_strips <= sum(strips) <= 2 * num_strips


def count_strips(monkeypatch: pytest.MonkeyPatch, path: Path, *, rows: int) -> list[int]:
    """Count the strips of `rows` rows that each reading of a file decodes, once a reading: GDAL caches them."""
    decoded: dict[int, set[int]] = {}
    counts: list[int] = []
    read, close = DatasetReader.read, DatasetReader.close

    def counting_read(self: DatasetReader, *args: Any, **options: Any) -> Any:
        if self.name == str(path):
            window = options.get("window")
            top, height = (window.row_off, window.height) if window else (0, self.height)
            seen = decoded.setdefault(id(self), set())
            new = {int(row) // rows for row in range(int(top), int(top + height))} - seen
            seen |= new
            counts.append(len(new))
        return read(self, *args, **options)

    def forgetting_close(self: DatasetReader) -> None:
        decoded.pop(id(self), None)
        close(self)

    monkeypatch.setattr(DatasetReader, "read", counting_read)
    monkeypatch.setattr(DatasetReader, "close", forgetting_close)
    return counts


# --- the output folder ---


def test_a_finished_data_set_is_recognised_and_nothing_is_written(finished: Path, sources: Path) -> None:
    before = times_of_change(finished)
    run = build(sources, finished, *OPTIONS)
    assert (run.code, run.err) == (0, "")
    assert "is finished already" in run.out.replace("\n", " ")
    assert times_of_change(finished) == before


def test_other_settings_are_refused_with_what_differs(finished: Path, sources: Path) -> None:
    before = tree_digest(finished)
    run = build(sources, finished, *OPTIONS, "--quality", "80", "--seed", "7")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "quality was 90, is 80; seed was 0, is 7" in run.err
    assert "--overwrite" in run.err
    assert tree_digest(finished) == before


def test_a_changed_input_is_refused(farm: Path, tmp_path: Path) -> None:
    shutil.copytree(farm, tmp_path / "scenes")
    assert build(tmp_path / "scenes", tmp_path / "set").code == 0
    make_scene(tmp_path / "scenes", FARM, stem="another", labelled=False)
    (tmp_path / "scenes" / "farm.geojson").unlink()
    run = build(tmp_path / "scenes", tmp_path / "set")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "input another.tif is new; input farm.geojson is gone" in run.err


def test_overwrite_leaves_what_a_new_folder_would_hold(farm: Path, tmp_path: Path) -> None:
    for place in (FARM, SHORE):
        make_scene(tmp_path / "scenes", place, labelled=False)
    assert build(tmp_path / "scenes", tmp_path / "set").code == 0
    assert (tmp_path / "set" / "tiles").is_dir()
    assert build(farm, tmp_path / "set", "--overwrite").code == 0
    assert build(farm, tmp_path / "new").code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(tmp_path / "new")


def test_a_folder_with_other_things_is_refused(farm: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    run = build(farm, tmp_path, "--overwrite")
    assert (run.code, len(run.lines)) == (1, 1)
    assert "not empty" in run.err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_build_toml_tells_the_settings_versions_and_inputs(finished: Path, sources: Path) -> None:
    content = tomllib.loads((finished / "build.toml").read_text())
    assert content["settings"]["tile_size"] == 512
    # the name that it has always had: data sets of before are known by it
    assert content["settings"]["split"] == [0.6, 0.2, 0.2]
    assert "split_shares" not in content["settings"]
    assert content["inputs"] == {path.name: path.stat().st_size for path in sorted(sources.iterdir())}
    assert {"rsvqa", "gdal", "numpy"} <= set(content["versions"])
    assert content["digest"] == read_report(finished)["digest"]


def paint_of(place: Place) -> Any:
    return paint(place, make_things(place))


def read_png(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)))


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def test_a_build_toml_repeats_its_build_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "elsewhere").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    make_sources(tmp_path / "work" / "scenes")
    words = ("--tile-size", 512, "--workers", 0)
    assert rsvqa("build", "--src", "scenes", "--out", "one/set", *words).code == 0
    marker = tomllib.loads((tmp_path / "work/one/set/build.toml").read_text("utf-8"))
    assert (marker["paths"], marker["settings"]["src"]) == ("relative to this file", "../../scenes")
    # the same, spelt from another place: nothing is built again
    monkeypatch.chdir(tmp_path / "work" / "elsewhere")
    before = times_of_change(tmp_path / "work/one/set")
    again = rsvqa("build", "--config", "../one/set/build.toml", "--out", "../one/set", "--workers", 0)
    assert again.code == 0, again.err
    assert times_of_change(tmp_path / "work/one/set") == before
    # and once more as another data set at the same depth: every file is the same
    repeated = rsvqa("build", "--config", "../one/set/build.toml", "--out", "../two/set", "--workers", 0)
    assert repeated.code == 0, repeated.err
    assert tree_digest(tmp_path / "work/two/set") == tree_digest(tmp_path / "work/one/set")
