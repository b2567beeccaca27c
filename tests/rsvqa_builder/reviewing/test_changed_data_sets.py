"""People's work is safe: a review goes on over a rebuild, and models do not change what people have decided on."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.rsvqa_builder.annotating.annotate import AnnotateError, annotate
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings
from rsvqa.rsvqa_builder.dataset.shards import read_records
from rsvqa.rsvqa_builder.progress import QuietReporter
from rsvqa.rsvqa_builder.reviewing.apply import apply_review, summary_lines
from rsvqa.rsvqa_builder.reviewing.serve import ReviewError, decided_questions, open_review
from tests.annotate_data import build_demo, knowing_model
from tests.rsvqa_builder.make_review import decide, reject, reviewed, write_data_set
from tests.run_build import rsvqa

CONTENT = ("task", "question", "answer", "bbox")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def data(built: Path, tmp_path: Path) -> Path:
    """Return a data set of its own beside its scenes."""
    shutil.copytree(built.parent, tmp_path / "demo")
    return tmp_path / "demo" / "data"


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["question_id"]: row for row in read_records(folder)}


def right_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return all that is asked and answered, whatever the letters are."""
    texts = sorted(option[4:] for option in row["multi-choice options"])
    letters = row["answer"] if texts else ""
    right = sorted(option[4:] for option in row["multi-choice options"] if option[1] in letters)
    images = tuple((image.path, image.data) for image in row["image"])
    evidence = {name: value for name, value in json.loads(row["evidence"]).items() if name != "feature_ids"}
    answer = right or row["answer"]
    return row["task"], row["question"], texts, answer, row["bbox"], images, json.dumps(evidence, sort_keys=True)


def correct_one_label(labels: Path) -> None:
    """Make the first car a truck."""
    with contextlib.closing(sqlite3.connect(labels)) as connection:
        for name in ("IsEmpty", "MinX", "MaxX", "MinY", "MaxY"):  # the triggers of a GeoPackage name them
            connection.create_function(f"ST_{name}", 1, lambda _: 0)
        first = "(SELECT min(object_id) FROM objects WHERE class = 'car')"
        done = connection.execute(f"UPDATE objects SET class = 'truck' WHERE object_id = {first}")  # noqa: S608
        assert done.rowcount == 1
        connection.commit()


def test_a_corrected_label_and_a_rebuild_keep_the_decisions_of_unchanged_questions(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows_of(data)
    with reviewed(data) as store:
        for question_id in before:
            decide(store, question_id)
    correct_one_label(data.parent / "scenes" / "place_00_t1.gpkg")
    words = ("--src", data.parent / "scenes", "--classes", "demo", "--out", data, "--workers", 0, "--overwrite")
    assert rsvqa("build", *words).code == 0
    after = rows_of(data)
    old = [right_of(row) for row in before.values()]
    same = {name for name, row in after.items() if right_of(row) in old}
    assert 0 < len(same) < len(after)
    capsys.readouterr()
    with open_review(data, QueueSettings(sample=0)) as (store, *_):
        assert set(store.final_decisions()) == same
        assert {decision.verdict for decision in store.final_decisions().values()} == {"accepted"}
        first = store.next_question("ann")
        assert first is not None
        assert first.former is not None
    told = capsys.readouterr().err
    assert f"{len(same):,} decided questions are as they were: their decisions stand" in told
    report = apply_review(data, tmp_path / "reviewed")
    assert report["questions"]["accepted"] == len(same)
    assert first.question.question_id in report["changed_since_decided"]
    assert not set(report["changed_since_decided"]) & same
    assert any("changed since the decision, so undecided" in line for line in summary_lines(report, tmp_path))


def test_models_do_not_change_in_place_what_people_have_decided_on(data: Path) -> None:
    settings = AnnotateSettings(model="m", verifier="v", steps=("word",))
    decided = sorted(rows_of(data))[:3]
    with reviewed(data) as store:
        for question_id in decided[:2]:
            decide(store, question_id)
        reject(store, decided[2], "wrong answer")
    before = rows_of(data)
    asked: list[str] = []
    model = knowing_model(data)

    def ask(requests: Any) -> Any:
        for request in requests:
            asked.append(request.key)
            yield from model.ask([request])

    with pytest.raises(AnnotateError, match=r"people have decided on 3 of the questions .* `keep_decided`"):
        annotate(settings, data, data, ask=ask, reporter=QuietReporter())
    assert (asked, rows_of(data)) == ([], before)
    keeping = settings.model_copy(update={"keep_decided": True})
    annotate(keeping, data, data, ask=ask, reporter=QuietReporter())
    after = rows_of(data)
    assert [after[name] | {"index": 0} for name in decided] == [before[name] | {"index": 0} for name in decided]
    assert any(after[name]["question"] != before[name]["question"] for name in before)
    assert not {key.partition("/word")[0] for key in asked} & set(decided)
    assert decided_questions(data) == set(decided)


def test_other_tasks_may_be_worked_on_beside_a_review(data: Path) -> None:
    with reviewed(data) as store:
        (colour, *_) = (name for name, row in rows_of(data).items() if row["task"] == "object_colour")
        decide(store, colour)
    settings = AnnotateSettings(model="m", steps=("word",), tasks=("fine_grained_grounding",))
    annotate(settings, data, data, ask=knowing_model(data).ask, reporter=QuietReporter())
    assert decided_questions(data) == {colour}


def test_without_a_review_nothing_is_decided(tmp_path: Path) -> None:
    assert decided_questions(write_data_set(tmp_path / "superrs")) == frozenset()
    assert not (tmp_path / "superrs" / "review.sqlite").exists()


def test_what_is_decided_in_a_store_elsewhere_is_known_in_the_data_set(data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "decisions" / "anna.sqlite"
    elsewhere.parent.mkdir()
    first, *_ = sorted(rows_of(data))
    for _ in range(2):  # noted once
        with open_review(data, QueueSettings(sample=1.0), store=elsewhere) as (store, *_):
            decide(store, first)
    assert (data / "review_stores.txt").read_text("utf-8") == f"{elsewhere.resolve()}\n"
    assert not (data / "review.sqlite").exists()
    assert decided_questions(data) == {first}
    settings = AnnotateSettings(model="m", verifier="v", steps=("word",))
    with pytest.raises(AnnotateError, match="people have decided on 1 of the questions"):
        annotate(settings, data, data, ask=knowing_model(data).ask, reporter=QuietReporter())
    elsewhere.rename(tmp_path / "moved.sqlite")
    with pytest.raises(ReviewError, match=r"anna\.sqlite, which is not there, .* remove its line from"):
        annotate(settings, data, data, ask=knowing_model(data).ask, reporter=QuietReporter())
    (data / "review_stores.txt").unlink()
    with open_review(data, QueueSettings(sample=1.0), store=tmp_path / "moved.sqlite"):
        assert decided_questions(data) == {first}
