"""What people decided becomes a data set of the same schema; the reviewed one is not touched."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import settled
from rsvqa.rsvqa_builder.dataset.shards import TileRows, list_shards, plan_shards, read_records, write_shards
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.reviewing.apply import Undecided, apply_review, parse_undecided
from rsvqa.rsvqa_builder.reviewing.serve import NothingToReviewError, ReviewError
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile
from tests.rsvqa_builder.make_review import decide, reject, reviewed, write_data_set


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "superrs")


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["question_id"]: row for row in read_records(folder)}


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "review.sqlite" not in path.name)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def take_decisions(src: Path) -> None:
    with reviewed(src) as store:
        decide(store, "a:0_0/OC1")
        question = store.question("a:0_0/OCL1")
        moved = dataclasses.replace(question.content, answer="A", bbox=Box(0.3, 0.2, 0.55, 0.4))
        decide(store, "a:0_0/OCL1", after=settled(question, moved))
        reject(store, "b:0_0/OC1", "wrong answer")
        reject(store, "c:0_0/OC1", "poor wording")
        reject(store, "c:0_0/FVG1", "wrong answer")


def test_each_question_ends_as_it_was_decided(src: Path, tmp_path: Path) -> None:
    before = rows_of(src)
    take_decisions(src)
    report = apply_review(src, tmp_path / "reviewed")
    after = rows_of(tmp_path / "reviewed")
    assert before.keys() - after.keys() == {"b:0_0/OC1", "c:0_0/OC1", "c:0_0/FVG1"}
    assert (after["a:0_0/OC1"]["review"], after["a:0_0/OC1"]["source"]) == ("accepted", "rule")
    fixed = after["a:0_0/OCL1"]
    assert (fixed["review"], fixed["source"], fixed["answer"]) == ("fixed", "human", "A")
    assert fixed["bbox"] == [0.3, 0.2, 0.55, 0.4]
    # 0.3 and 0.55 of 200 px, 0.2 and 0.4 of 100 px
    assert fixed["question"].endswith("Bounding box: [60, 20, 110, 40].")
    changed = {"a:0_0/OC1", "a:0_0/OCL1"}
    for question_id in after.keys() - changed:
        assert {**after[question_id], "index": 0} == {**before[question_id], "index": 0}
    assert report["questions"] == {"accepted": 1, "fixed": 1, "rejected": 3, "undecided": 7, "dropped": 0}
    assert report["rejected_reasons"] == {"wrong answer": 2, "poor wording": 1}
    assert report["tasks"]["overall_counting"] == {
        "accepted": 1,
        "fixed": 0,
        "rejected": 2,
        "undecided": 0,
        "dropped": 0,
    }


def test_rows_are_numbered_anew_without_gaps(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    apply_review(src, tmp_path / "reviewed")
    assert [row["index"] for row in read_records(tmp_path / "reviewed")] == list(range(9))


def test_the_reviewed_data_set_is_not_touched(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    before = digests(src)
    apply_review(src, tmp_path / "reviewed")
    assert digests(src) == before


def test_the_same_decisions_give_the_same_bytes(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    apply_review(src, tmp_path / "one")
    apply_review(src, tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_who_decided_and_when_leaves_no_trace(tmp_path: Path) -> None:
    for name in ("ann", "ben"):
        src = write_data_set(tmp_path / name / "superrs")
        with reviewed(src) as store:
            decide(store, "a:0_0/OC1", name)
            reject(store, "b:0_0/OC1", "wrong answer", name)
        apply_review(src, tmp_path / name / "out")
    assert digests(tmp_path / "ann" / "out") == digests(tmp_path / "ben" / "out")


def test_applying_again_finds_it_done_and_new_decisions_need_a_word(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    out = tmp_path / "reviewed"
    report = apply_review(src, out)
    modified = {path: path.stat().st_mtime_ns for path in list_shards(out)}
    assert apply_review(src, out) == report
    assert {path: path.stat().st_mtime_ns for path in list_shards(out)} == modified
    with reviewed(src) as store:
        reject(store, "a:0_0/OC1", "not useful")
    with pytest.raises(OutputError, match="`overwrite`"):
        apply_review(src, out)
    apply_review(src, out, overwrite=True)
    assert "a:0_0/OC1" not in rows_of(out)


@pytest.mark.parametrize(
    ("undecided", "left"),
    [
        # of twelve questions three are rejected; of the other nine two are decided
        (Undecided.KEEP, 9),
        # two of the three colour questions need a review and have no decision
        (Undecided.DROP_NEEDED, 7),
        (Undecided.DROP, 2),
    ],
)
def test_undecided_questions_stay_or_go(src: Path, tmp_path: Path, undecided: Undecided, left: int) -> None:
    take_decisions(src)
    report = apply_review(src, tmp_path / "reviewed", undecided=undecided)
    assert len(rows_of(tmp_path / "reviewed")) == left
    assert report["questions"]["dropped"] == 9 - left


def test_a_tile_without_questions_goes_to_the_tiles(src: Path, tmp_path: Path) -> None:
    with reviewed(src) as store:
        for question in ("OC1", "FVG1", "OCL1", "RC1"):
            reject(store, f"a:0_0/{question}", "not useful")
    report = apply_review(src, tmp_path / "reviewed")
    tiles = list(read_records(tmp_path / "reviewed", kind="tiles"))
    assert [(row["image_id"], row["question"], row["path"]) for row in tiles] == [("a:0_0", None, "a/0_0.jpg")]
    assert report["tiles"] == {"with_questions": 2, "without_questions": 1, "left_out": 0}


def test_a_question_that_waits_for_a_second_opinion_is_undecided(src: Path, tmp_path: Path) -> None:
    with reviewed(src, double=1) as store:
        reject(store, "a:0_0/OC1", "wrong answer")
        reject(store, "b:0_0/OC1", "wrong answer")
        reject(store, "b:0_0/OC1", "not useful", "ben")
    apply_review(src, tmp_path / "reviewed")
    assert rows_of(src).keys() - rows_of(tmp_path / "reviewed").keys() == {"b:0_0/OC1"}


def test_decided_questions_of_an_earlier_review_stay(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    first = tmp_path / "first"
    apply_review(src, first)
    with reviewed(first) as store:
        decide(store, "c:0_0/RC1")
    report = apply_review(first, tmp_path / "second", undecided=Undecided.DROP)
    assert set(rows_of(tmp_path / "second")) == {"a:0_0/OC1", "a:0_0/OCL1", "c:0_0/RC1"}
    assert report["questions"]["undecided"] == 2


def test_the_documents_tell_of_the_review(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    report = apply_review(src, tmp_path / "reviewed")
    card = (tmp_path / "reviewed" / "README.md").read_text()
    assert "1 were corrected" in card
    assert json.loads((tmp_path / "reviewed" / "review_report.json").read_text()) == report
    assert json.loads((tmp_path / "reviewed" / "stats.json").read_text())["num_questions"] == 9


def test_without_a_review_there_is_nothing_to_apply(src: Path, tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match=r"no review in .*review\.sqlite: begin one with"):
        apply_review(src, tmp_path / "reviewed")


def test_the_review_of_another_data_set_is_refused(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    other = tmp_path / "other"
    data = make_jpeg(200, 100)
    tile = make_tile("x:0_0", scene="x", images={"tile": len(data)})
    write_shards(other, plan_shards([TileRows(tile, (make_record(tile),))]), load_images=lambda _: {"tile": data})
    with pytest.raises(ReviewError, match=r"another data set than .*: none of its 5 decided questions is there"):
        apply_review(other, tmp_path / "again", store=src / "review.sqlite")
    assert not (tmp_path / "again").exists()


def test_what_was_reviewed_once_may_be_applied_to_its_result(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    apply_review(src, tmp_path / "reviewed")
    # accepted once more; the fixed one is another question now, and settled; the rejected ones are gone
    report = apply_review(tmp_path / "reviewed", tmp_path / "again", store=src / "review.sqlite")
    assert report["questions"] == {"accepted": 1, "fixed": 0, "rejected": 0, "undecided": 8, "dropped": 0}
    assert "changed_since_decided" not in report


def test_the_output_is_another_folder(src: Path) -> None:
    take_decisions(src)
    with pytest.raises(ReviewError, match="is the data set that was reviewed"):
        apply_review(src, src)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(ReviewError, match="`undecided` lose: expected keep, drop-needed, drop"):
        parse_undecided("lose")


def test_a_folder_inside_the_data_set_is_refused(tmp_path: Path) -> None:
    src = tmp_path / "superrs"
    with pytest.raises(ReviewError, match="or lies in it"):
        apply_review(src, src / "reviewed")


def test_a_review_that_leaves_neither_question_nor_tile_writes_nothing(tmp_path: Path) -> None:
    # asked about circles only, so the plain view is in no shard, and no tile stays without its question
    data = make_jpeg(200, 100)
    tile = make_tile(images={"tile_marked": len(data)})
    record = make_record(tile, "regional_counting", images=("tile_marked",))
    write_shards(
        tmp_path / "set", plan_shards([TileRows(tile, (record,))]), load_images=lambda _: {"tile_marked": data}
    )
    with reviewed(tmp_path / "set") as store:
        reject(store, record.question_id, "blurred")
    with pytest.raises(NothingToReviewError, match=r"no question of .*set is left, and no tile: rejected: 1 x blurred"):
        apply_review(tmp_path / "set", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_reviewed_data_set_keeps_its_name(src: Path, tmp_path: Path) -> None:
    (src / "build.toml").write_text('name = "Farm 7"\n', "utf-8")
    take_decisions(src)
    apply_review(src, tmp_path / "reviewed")
    assert "<h1>Farm 7</h1>" in (tmp_path / "reviewed" / "preview.html").read_text("utf-8")
    assert '\nname = "Farm 7"\n' in "\n" + (tmp_path / "reviewed" / "build.toml").read_text("utf-8")
