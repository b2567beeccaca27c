"""Builds that come to nothing: what they say and keep, and what the next build makes of the folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from rsvqa.rsvqa_builder import build as build_module
from rsvqa.rsvqa_builder.tiles import tile_work
from rsvqa.rsvqa_builder.tiles.executors import Failure
from tests.make_sources import FARM, SHORE, damage, make_scene, paint, write_scene
from tests.run_build import Run, build, read_report, rsvqa, times_of_change, tree_digest
from tests.test_kill_and_resume import Killed, stop_before

REPORT = ".rsvqa/report.json"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one labelled scene that is one tile."""
    folder = tmp_path_factory.mktemp("farm")
    make_scene(folder, FARM)
    return folder


@pytest.fixture(scope="module")
def finished(farm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "set"
    assert build(farm, out).code == 0
    return out


def exclude_all(farm: Path, out: Path, *words: object) -> Run:
    """Build a data set of which the only tile is excluded."""
    return build(farm, out, "--exclude", farm, *words)


def read_kept_report(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / REPORT).read_text("utf-8")))


def add_collar(folder: Path) -> Path:
    """Write a scene whose first and last 60 columns hold no data; no tile of 512 px is without any of them."""
    folder.mkdir()
    pixels = paint(SHORE, [])
    pixels[:, :, :60] = pixels[:, :, -60:] = 0
    write_scene(folder / "collar.tif", pixels, SHORE, nodata=0)
    return folder


# --- what is said and kept ---


def test_a_build_without_a_tile_left_says_why_and_keeps_its_report(farm: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    run = exclude_all(farm, out)
    picture = farm / "farm.tif"
    assert (run.code, run.out) == (2, "")
    assert run.lines == [
        f"dropped 1 x is of a scene that has the bytes of the excluded image {picture}: farm/0_0",
        f"rsvqa: no tile is left of 1, for the reasons above; report: {out / REPORT}",
    ]
    report = read_kept_report(out)
    assert report["tiles"] == {
        "planned": 1,
        "kept": 0,
        "without_questions": 0,
        "dropped": {"farm/0_0": f"is of a scene that has the bytes of the excluded image {picture}"},
    }
    assert report["excluded_tiles"] == [{"tile": "farm/0_0", "image": str(picture), "by": "bytes"}]
    assert report["splits"] == {"places": 0, "tiles": {}, "questions": {}}
    assert (report["questions"], report["shards"]) == (0, [])
    assert report["scenes"]["farm"]["tiles"] == {"planned": 1, "kept": 0}
    assert report.keys() == read_report_of_any(farm, tmp_path).keys()


def read_report_of_any(farm: Path, folder: Path) -> dict[str, Any]:
    assert build(farm, folder / "any", "--tasks", "none").code == 0
    return read_report(folder / "any")


def test_reasons_are_counted_with_an_example(tmp_path: Path) -> None:
    # 700 × 520 px at 512 px: four windows, each with one of the two collars
    run = build(add_collar(tmp_path / "scenes"), tmp_path / "set", "--min-valid", 1.0)
    assert run.code == 2
    assert run.lines[0] == "dropped 4 x less than 100% of its pixels are valid, e.g. collar/0_0"
    assert read_kept_report(tmp_path / "set")["tiles"]["planned"] == 4


@pytest.mark.parametrize("kind", ["no raster", "no data", "damaged"])
def test_one_bad_file_is_named_in_the_report(tmp_path: Path, kind: str) -> None:
    scenes = tmp_path / "scenes"
    path = make_scene(scenes, FARM, labelled=False)
    if kind == "no raster":
        path.write_text("This is no GeoTIFF.\n" * 20)
    elif kind == "no data":
        write_scene(path, np.zeros((3, 128, 128), np.uint8), FARM, nodata=0)
    else:
        damage(path)
    run = build(scenes, tmp_path / "set")
    assert (run.code, len(run.lines)) == (2, 2)
    assert run.lines[0].startswith(f"left out {path}: ")
    assert run.lines[1].endswith(f"1 found, none usable, for the reasons above; report: {tmp_path / 'set' / REPORT}")
    assert [entry["path"] for entry in read_kept_report(tmp_path / "set")["left_out"]] == [str(path)]


def test_a_folder_of_nothing_is_no_data_set(farm: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    exclude_all(farm, out)
    assert [entry.name for entry in out.iterdir()] == [".rsvqa"]
    for words in (
        ("bench", "--model", "random", "--data", out, "--out", tmp_path / "run"),
        (
            "annotate",
            "--data",
            out,
            "--model",
            "m",
            "--same-model",
            "--in-place",
            "--base-url",
            "http://127.0.0.1:9/v1",
        ),
        ("export", "--data", out, "--format", "llava", "--out", tmp_path / "export"),
        ("review", "serve", "--data", out),
    ):
        assert rsvqa(*words).code == 2, words


# --- what comes after ---


def test_the_same_command_again_says_the_same_without_doing_tiles_again(farm: Path, tmp_path: Path) -> None:
    first = exclude_all(farm, tmp_path / "set")
    done = times_of_change(tmp_path / "set" / ".rsvqa" / "tiles")
    again = exclude_all(farm, tmp_path / "set")
    assert (again.code, again.lines) == (2, ["1 of 1 tiles are done already", *first.lines])
    assert times_of_change(tmp_path / "set" / ".rsvqa" / "tiles") == done


def test_tiles_done_by_a_release_that_compared_them_otherwise_are_done_again(farm: Path, tmp_path: Path) -> None:
    with mock.patch.object(tile_work, "LOOK_FORM", 1):
        first = exclude_all(farm, tmp_path / "set")
    tiles = tmp_path / "set" / ".rsvqa" / "tiles"
    (path,) = tiles.rglob("*.json")
    head, *rest = path.read_text("utf-8").split("\n")
    stored = json.loads(head)
    del stored["prints"]
    path.write_text("\n".join([json.dumps({**stored, "look": "ff" * 32}), *rest]), encoding="utf-8")
    assert exclude_all(farm, tmp_path / "set").lines == first.lines
    (redone,) = set(tiles.rglob("*.json")) - {path}
    assert json.loads(redone.read_bytes().split(b"\n")[0])["prints"].keys() == {"tile"}


def test_other_settings_need_no_word_and_leave_no_trace_of_it(farm: Path, finished: Path, tmp_path: Path) -> None:
    exclude_all(farm, tmp_path / "set")
    assert build(farm, tmp_path / "set").code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(finished)


def test_a_mended_file_needs_no_word(tmp_path: Path) -> None:
    path = damage(make_scene(tmp_path / "scenes", FARM, labelled=False))
    assert build(tmp_path / "scenes", tmp_path / "set").code == 2
    path.unlink()
    make_scene(tmp_path / "scenes", FARM, labelled=False)
    assert build(tmp_path / "scenes", tmp_path / "set").code == 0
    assert [path.name for path in (tmp_path / "set" / ".rsvqa").iterdir()] == ["timings.json"]


def test_a_finished_data_set_stays_when_its_successor_comes_to_nothing(
    farm: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    shutil.copytree(finished, out)
    assert exclude_all(farm, out).code == 1, "another data set needs a word"
    assert exclude_all(farm, out, "--overwrite").code == 2
    assert (out / REPORT).exists()
    assert "is finished already" in build(farm, out).out
    shutil.rmtree(out / ".rsvqa")
    assert tree_digest(out) == tree_digest(finished)


def test_a_source_without_a_scene_touches_nothing_even_with_overwrite(farm: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "bad.tif").write_text("This is no GeoTIFF.")
    with stop_before(build_module, "select_tiles"), pytest.raises(Killed):
        build(farm, tmp_path / "set")
    before = tree_digest(tmp_path / "set")
    run = build(tmp_path / "bad", tmp_path / "set", "--overwrite")
    assert (run.code, "report" in run.lines[-1]) == (2, False)
    assert tree_digest(tmp_path / "set") == before


def test_tiles_of_an_earlier_start_are_kept_when_no_scene_can_be_read_any_more(
    farm: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "set"
    with stop_before(build_module, "select_tiles"), pytest.raises(Killed):
        build(farm, out)
    with mock.patch.object(build_module, "prepare_scene", return_value=Failure("no network")):
        run = build(farm, out)
    assert run.code == 2
    assert run.lines[-1].endswith("; the tiles that were done before are kept")
    assert build(farm, out, "--per-task", 2).code == 1, "the tiles are still worth a word"
    again = build(farm, out)
    assert (again.code, again.lines) == (0, ["1 of 1 tiles are done already"])
    assert tree_digest(out) == tree_digest(finished)


def test_killed_before_the_report_ends_like_not_killed(farm: Path, tmp_path: Path) -> None:
    with stop_before(build_module, "report_text"), pytest.raises(Killed):
        exclude_all(farm, tmp_path / "set")
    assert not (tmp_path / "set" / REPORT).exists()
    assert exclude_all(farm, tmp_path / "set").code == 2
    assert (tmp_path / "set" / REPORT).exists()


def test_a_kill_of_the_next_start_is_an_unfinished_build_again(farm: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    exclude_all(farm, out)
    with stop_before(build_module, "select_tiles"), pytest.raises(Killed):
        exclude_all(farm, out)
    run = build(farm, out)
    assert (run.code, "holds an unfinished build made otherwise" in run.err) == (1, True)


# --- losses first ---


def test_a_summary_begins_with_what_went_wrong_and_the_card_has_it_too(tmp_path: Path) -> None:
    scenes = add_collar(tmp_path / "scenes")
    (scenes / "bad.tif").write_text("This is no GeoTIFF.\n" * 20)
    path = make_scene(scenes, FARM)
    labels = path.with_suffix(".geojson")
    content = json.loads(labels.read_text())
    for feature in content["features"]:
        if feature["properties"]["class"] == "car":
            feature["properties"]["class"] = "wagon"
    num_wagons = sum(feature["properties"]["class"] == "wagon" for feature in content["features"])
    labels.write_text(json.dumps(content))
    # the windows at x = 0 have 452 of 512 columns with data, 88 %, those at 188 as many
    run = build(scenes, tmp_path / "set", "--min-valid", 0.9)
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0] == "1 input left out"
    assert lines[1].startswith("  1 x cannot be opened: ")
    assert lines[1].endswith(f": {scenes / 'bad.tif'}")
    assert lines[2:6] == [
        f"labels of unknown classes, not used: wagon ({num_wagons}); give a class table that names them",
        "1 of 2 scenes without labels, e.g. collar",
        "4 of 5 tiles dropped",
        "  4 x less than 90% of its pixels are valid, e.g. collar/0_0",
    ]
    assert "questions; 1 tile(s)" in lines[6]
    assert max(len(line) for line in lines[7:] if line[0] in "┏┃┡│└") == 80, "the table fills a terminal"
    card = (tmp_path / "set" / "README.md").read_text()
    assert "## What was left out" in card
    assert "- 4 of 5 tiles dropped: 4 × less than 90% of its pixels are valid\n" in card
    assert str(tmp_path) not in card


def test_a_build_without_losses_begins_with_its_table(finished: Path, farm: Path) -> None:
    run = build(farm, finished)
    assert run.out.splitlines()[1].strip().endswith("questions; 1 tile(s)")
    assert "## What was left out" not in (finished / "README.md").read_text()
