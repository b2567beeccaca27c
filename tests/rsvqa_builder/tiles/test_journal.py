"""What is done of a build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsvqa.annotation.facts import Box
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
from rsvqa.rsvqa_builder.tiles.store import FolderStore

CANDIDATE = Candidate(
    task="overall_counting",
    text="How many cars are there?",
    answer="",
    options=(Option("3", True), Option("4", False)),
    box=Box(1.0, 2.0, 3.5, 4.0),
    images=("tile",),
    evidence={"rule": "count", "values": {"count": 3}},
    form=AnswerForm.ONE_OF,
    strata=("whole", "car"),
    pool="whole",
    value=3.0,
    min_ratio=1.1,
)
RESULT = TileResult(
    valid_share=1.0,
    job="j0",
    digest="ab",
    images={"tile": 5},
    candidates=(CANDIDATE,),
    not_asked={"x": {"no roads": 2}},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    journal.write("j0", RESULT, {"tile": b"12345"})
    assert journal.read("j0") == Journal(FolderStore(tmp_path)).read("j0") == replace(RESULT, rejected={}, failures={})
    assert journal.read_image("j0", "tile") == b"12345"


def test_a_tile_is_told_apart_and_chosen_from_without_its_texts(tmp_path: Path) -> None:
    Journal(FolderStore(tmp_path)).write("j0", RESULT, {"tile": b"12345"})
    ((head, offer),) = Journal(FolderStore(tmp_path)).told(["j0"])
    assert {name: head[name] for name in ("rejection", "digest", "prints", "images", "num_tasks")} == {
        "rejection": None,
        "digest": "ab",
        "prints": None,
        "images": {"tile": 5},
        "num_tasks": 1,
    }
    assert offer == {
        "not_asked": {"x": {"no roads": 2}},
        "rejected": {},
        "failures": {},
        "candidates": [
            {
                "task": "overall_counting",
                "options": [{"text": "3", "is_right": True}, {"text": "4", "is_right": False}],
                "images": ["tile"],
                "form": "one_of",
                "strata": ["whole", "car"],
                "pool": "whole",
                "value": 3.0,
                "min_ratio": 1.1,
                "needs_px": None,
            }
        ],
    }


def test_no_tile_is_read_to_tell_which_are_done(tmp_path: Path) -> None:
    Journal(FolderStore(tmp_path)).write("j0", RESULT, {"tile": b"12345"})

    class Listed(FolderStore):
        def get(self, key: str) -> bytes:
            raise AssertionError(f"{key} was read")

    assert Journal(Listed(tmp_path)).done(["j0", "j1"]) == {"j0"}


def record_of(folder: Path) -> Path:
    """Return the one result of the tile "j0"."""
    (path,) = (folder / "tiles" / "j0").glob("j0.*.json")
    return path


def test_a_tile_is_done_only_when_all_of_it_is_there(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    assert journal.done(["j0"]) == set()
    journal.write("j0", RESULT, {"tile": b"12345"})
    assert journal.done(["j0", "k1"]) == {"j0"}
    (tmp_path / "tiles" / "j0" / "j0.tile").write_bytes(b"123")
    assert journal.done(["j0"]) == set()


def test_a_damaged_result_is_not_done(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    journal.write("j0", RESULT, {"tile": b"12345"})
    record_of(tmp_path).write_bytes(b'{"valid_share": 1')
    assert journal.done(["j0"]) == set()


def test_the_result_of_another_unit_of_work_is_not_done(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    journal.write("j0", RESULT, {"tile": b"12345"})
    record = record_of(tmp_path)
    record.rename(record.with_name(record.name.replace("j0.", "j09.")))
    assert journal.done(["j0", "j09"]) == set()
