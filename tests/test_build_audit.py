"""A build ends with how well its tasks are guessed without their images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsvqa.rsvqa_builder.auditing.short import guess_text, guessed_tasks, short_audit
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.demo.scenes import make_demo_scenes
from rsvqa.rsvqa_builder.tiles import shard_work
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedTile, rows_of
from tests.rsvqa_builder.make_records import make_record, make_tile
from tests.run_build import build, read_report


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    make_demo_scenes(folder, seed=0, size=1024, count=2)
    return folder


def test_a_build_tells_what_can_be_guessed(scenes: Path, tmp_path: Path) -> None:
    words = ("--classes", "demo", "--tasks", "OOR,OCC,RIC", "--per-task", 8)
    run = build(scenes, tmp_path / "set", *words)
    assert run.code == 0
    report = read_report(tmp_path / "set")
    found = report["without_image"]
    # one place tells how well a task is guessed; the task's own entry tells what was not asked
    told = {"questions", "most_per_tile", "not_asked", "rejected", "resolution", "not_chosen", "options_never_right"}
    assert report["tasks"]["object_classification"].keys() == told
    assert set(found) <= {"object_classification", "object_orientation"}  # a text has no chance
    assert found == json.loads((tmp_path / "set" / "stats.json").read_text())["without_image"]
    (occ,) = found["object_classification"]
    assert (occ["form"], occ["chance"], occ["held_out"]) == ("one_of", 0.25, "image")
    assert 0 <= occ["best"]["low"] <= occ["best"]["value"] <= occ["best"]["high"] <= 1
    assert f" {100 * occ['best']['value']:.0f} (25) " in run.out
    assert "`rsvqa audit` says by what" in run.out
    card = (tmp_path / "set" / "README.md").read_text()
    assert "| without image (chance) |" in card
    assert f"| {100 * occ['best']['value']:.0f} (25) |" in card


def test_no_audit_leaves_it_away(scenes: Path, tmp_path: Path) -> None:
    run = build(scenes, tmp_path / "set", "--classes", "demo", "--tasks", "OCC", "--no-audit")
    assert run.code == 0
    assert read_report(tmp_path / "set")["without_image"] == {}
    assert "without_image" not in json.loads((tmp_path / "set" / "stats.json").read_text())
    assert "without the image" not in run.out
    assert "without image" not in (tmp_path / "set" / "README.md").read_text()


def test_of_what_is_told_of_all_questions_only_what_is_drawn_is_made_anew(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def make(asked: AskedTile, *args: Any, **kwargs: Any) -> TileRows:
        made.extend(question.question_id for question in asked.asked)
        return rows_of(asked, *args, **kwargs)

    monkeypatch.setattr(shard_work, "rows_of", make)
    command = ("--classes", "demo", "--tasks", "OCC", "--workers", "0", "--no-audit")
    assert build(scenes, tmp_path / "set", *command).code == 0
    num_questions = read_report(tmp_path / "set")["questions"]
    assert num_questions > 3
    assert len(set(made)) == num_questions
    assert len(made) == num_questions + 3  # the samples of the task


def records_of(num_tiles: int) -> list[Record]:
    """Return two questions on each tile, of scenes of their own; the lowest number is always right."""
    tiles = [make_tile(f"s{number}/0_0", scene=f"s{number}") for number in range(num_tiles)]
    return [make_record(tile, number=number) for tile in tiles for number in range(2)]


def test_the_short_form_needs_no_classifier_and_repeats_itself() -> None:
    records = records_of(8)
    found = short_audit(records, (record.tile for record in records), seed=0)
    (entry,) = found["overall_counting"]
    assert (entry["best"]["value"], entry["chance"], entry["held_out"], entry["guessed"]) == (1.0, 0.25, "place", 16)
    assert entry["by"] == "the option alone"
    assert found == short_audit(records, (record.tile for record in records), seed=0)
    assert guess_text(found["overall_counting"]) == "100 (25)"
    assert guessed_tasks(found) == ["OC"]


def test_the_short_form_of_nothing_is_empty() -> None:
    assert short_audit([], [], seed=0) == {}
    few = records_of(2)
    assert short_audit(few, (record.tile for record in few), seed=0) == {}


def test_a_negative_seed_is_a_seed() -> None:
    records = records_of(6)
    assert short_audit(records, (record.tile for record in records), seed=-5)
