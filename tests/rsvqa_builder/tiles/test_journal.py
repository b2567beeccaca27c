"""What is done of a build."""

from __future__ import annotations

import json
from pathlib import Path

from rsvqa.annotation.facts import Box
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TaskOfCandidate, TileResult, TileSummary
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
    assert journal.read("j0") == RESULT
    assert journal.read_image("j0", "tile") == b"12345"


def test_a_summary_tells_all_but_the_questions(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    journal.write("j0", RESULT, {"tile": b"12345"})
    assert journal.read_summary("j0") == TileSummary(
        job="j0",
        digest="ab",
        images={"tile": 5},
        candidates=(TaskOfCandidate(task="overall_counting"),),
        not_asked={"x": {"no roads": 2}},
    )


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
    (tmp_path / "tiles" / "j0" / "j0.json").write_bytes(b'{"valid_share": 1')
    assert journal.done(["j0"]) == set()


def test_a_result_from_before_candidates_had_strata_is_done_again(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    journal.write("j0", RESULT, {"tile": b"12345"})
    stored = tmp_path / "tiles" / "j0" / "j0.json"
    content = json.loads(stored.read_bytes())
    for name in ("form", "strata", "pool", "value", "min_ratio"):
        del content["candidates"][0][name]
    stored.write_text(json.dumps(content))
    assert journal.done(["j0"]) == set()


def test_the_result_of_another_unit_of_work_is_not_done(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    journal.write("j0", RESULT, {"tile": b"12345"})
    (tmp_path / "tiles" / "j0" / "j0.json").rename(tmp_path / "tiles" / "j0" / "j09.json")
    assert journal.done(["j0", "j09"]) == set()
