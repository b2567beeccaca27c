"""A round trip through Label Studio's format changes nothing, and what annotators did there is taken in once."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import settled
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.reviewing.label_studio import (
    check_format,
    export_tasks,
    from_percent,
    import_tasks,
    to_percent,
)
from rsvqa.rsvqa_builder.reviewing.serve import ReviewError
from tests.rsvqa_builder.make_review import decide, reject, reviewed, write_data_set

ALL = QueueSettings(sample=1)


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "superrs")


def tasks_of(out: Path) -> dict[str, dict[str, Any]]:
    return {task["data"]["question_id"]: task for task in json.loads((out / "tasks.json").read_text())}


def results(annotation: dict[str, Any]) -> dict[str, Any]:
    return {result["from_name"]: result["value"] for result in annotation["result"]}


def annotated(src: Path, tmp_path: Path, question_id: str, **values: Any) -> Path:
    """Return an export in which somebody has annotated one question."""
    export_tasks(src, tmp_path / "ls", ALL)
    tasks = tasks_of(tmp_path / "ls")
    given = {**results(tasks[question_id]["predictions"][0]), **values}
    result = [{"from_name": name, "to_name": "image", "value": value} for name, value in given.items()]
    tasks[question_id]["annotations"] = [{"result": result, "completed_by": {"id": 7, "email": "eve@example.org"}}]
    file = tmp_path / "exported.json"
    file.write_text(json.dumps(list(tasks.values())))
    return file


def verdict(name: str) -> dict[str, list[str]]:
    return {"choices": [name]}


def taken(src: Path) -> list[tuple[str, str, str, str]]:
    with ReviewStore(src / "review.sqlite") as store:
        return [(d.question_id, d.reviewer, d.verdict, d.reason) for d in store.decisions()]


def test_a_box_is_written_in_percent(src: Path, tmp_path: Path) -> None:
    export_tasks(src, tmp_path / "ls", ALL)
    (box,) = [r for r in tasks_of(tmp_path / "ls")["a:0_0/FVG1"]["predictions"][0]["result"] if r["from_name"] == "box"]
    # shares 0.25, 0.2, 0.5, 0.4 of 200 x 100 px
    assert box["value"] == {"x": 25, "y": 20, "width": 25, "height": 20, "rotation": 0, "rectanglelabels": ["box"]}
    assert (box["original_width"], box["original_height"], box["type"]) == (200, 100, "rectanglelabels")


@pytest.mark.parametrize("box", [Box(0.1234, 0.2871, 0.3333, 0.9999), Box(0, 0, 1, 1), Box(1 / 3, 1e-4, 0.7, 0.29)])
def test_percents_and_back_are_the_box(box: Box) -> None:
    assert from_percent(to_percent(box)) == pytest.approx(box, abs=1e-12)


def test_images_lie_where_the_tasks_say(src: Path, tmp_path: Path) -> None:
    counts = export_tasks(src, tmp_path / "ls", ALL)
    for task in tasks_of(tmp_path / "ls").values():
        prefix, _, name = task["data"]["image"].partition("?d=ls/")
        assert prefix == "/data/local-files/"
        assert (tmp_path / "ls" / name).read_bytes().startswith(b"\xff\xd8\xff")
    # a plain and a marked image of three tiles
    assert (counts.questions, counts.images) == (12, 6)


def take_decisions(src: Path) -> None:
    with reviewed(src, double=1) as store:
        decide(store, "a:0_0/OC1")
        decide(store, "a:0_0/OC1", "ben")
        question = store.question("a:0_0/OCL1")
        moved = dataclasses.replace(question.content, answer="A", bbox=Box(0.3333, 0.2, 0.55, 0.4))
        decide(store, "a:0_0/OCL1", after=settled(question, moved))
        reject(store, "b:0_0/OC1", "wrong answer")
        store.decide("b:0_0/FVG1", "ann", "skipped", request_id="a skip of ann's")


def test_a_round_trip_changes_nothing(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    export_tasks(src, tmp_path / "ls", ALL)
    with ReviewStore(src / "review.sqlite") as store:
        before = store.decisions()
    counts = import_tasks(src, tmp_path / "ls" / "tasks.json")
    with ReviewStore(src / "review.sqlite") as store:
        assert store.decisions() == before
    assert (counts.imported, counts.unchanged, counts.left_out) == (0, 5, {})


def test_an_empty_store_gets_every_decision(src: Path, tmp_path: Path) -> None:
    take_decisions(src)
    export_tasks(src, tmp_path / "ls", ALL)
    counts = import_tasks(src, tmp_path / "ls" / "tasks.json", store=tmp_path / "other.sqlite")
    with ReviewStore(src / "review.sqlite") as one, ReviewStore(tmp_path / "other.sqlite") as other:
        found = {(d.question_id, d.reviewer): dataclasses.replace(d, number=0) for d in other.decisions()}
        expected = {(d.question_id, d.reviewer): dataclasses.replace(d, number=0) for d in one.decisions()}
    assert counts.imported == 5
    assert found.keys() == expected.keys()
    for key, decision in expected.items():
        # ISO times have microseconds
        assert found[key].decided_at == pytest.approx(decision.decided_at, abs=1e-6)
        assert dataclasses.replace(found[key], decided_at=0) == dataclasses.replace(decision, decided_at=0)


def test_an_annotation_is_taken_in_once_under_its_authors_name(src: Path, tmp_path: Path) -> None:
    file = annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("accepted"))
    assert import_tasks(src, file).imported == 1
    assert import_tasks(src, file).unchanged == 1
    assert taken(src) == [("a:0_0/OC1", "eve@example.org", "accepted", "")]


def test_a_moved_box_is_a_fix_whatever_was_chosen(src: Path, tmp_path: Path) -> None:
    box = {"x": 30, "y": 20, "width": 25, "height": 20, "rotation": 0, "rectanglelabels": ["box"]}
    import_tasks(src, annotated(src, tmp_path, "a:0_0/OCL1", verdict=verdict("accepted"), box=box))
    with ReviewStore(src / "review.sqlite") as store:
        (decision,) = store.decisions()
    assert decision.verdict == "fixed"
    assert decision.after is not None
    assert decision.after.bbox == Box(0.3, 0.2, 0.55, 0.4)
    assert decision.after.question.endswith("Bounding box: [60, 20, 110, 40].")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "cancelled or without a verdict"),
        ({"verdict": verdict("perhaps")}, "unknown verdict 'perhaps'"),
        ({"verdict": verdict("fixed"), "answer": {"text": ["AB"]}}, "wrong number of right options"),
        ({"verdict": verdict("fixed"), "question": {"text": ["how many?"]}}, "question does not begin with a capital"),
        ({"verdict": verdict("fixed"), "box": {"x": "wide"}}, "box is no rectangle"),
        (
            {"verdict": verdict("fixed"), "box": {"x": float("nan"), "y": 0, "width": 1, "height": 1}},
            "box is no rectangle",
        ),
        (
            {"verdict": verdict("fixed"), "box": {"x": 10, "y": 10, "width": 5, "height": 5}},
            "box added or taken away",
        ),
        (
            {"verdict": verdict("fixed"), "box": {"x": 30, "y": 20, "width": 20, "height": 20, "rotation": 45}},
            "a box that was turned: the box of a question is upright",
        ),
        ({"verdict": verdict("fixed"), "box": {"rotation": float("inf")}}, "box is no rectangle"),
        ({"verdict": {"choices": "perhaps"}}, "unknown verdict 'perhaps'"),
        ({"verdict": {"choices": {"accepted": 1}}}, "cancelled or without a verdict"),
        ({"verdict": verdict("accepted"), "options": {"text": "(A) 3"}}, "wrong number of options"),
    ],
)
def test_what_is_no_decision_is_left_out_and_counted(
    src: Path, tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    counts = import_tasks(src, annotated(src, tmp_path, "a:0_0/OC1", **values))
    assert (counts.imported, counts.left_out) == (0, {reason: 1})
    assert taken(src) == []


def test_a_box_on_a_turned_image_is_not_taken_for_one_on_the_upright_image(src: Path, tmp_path: Path) -> None:
    box = {"x": 30, "y": 20, "width": 25, "height": 20, "rotation": 0, "rectanglelabels": ["box"]}
    file = annotated(src, tmp_path, "a:0_0/OCL1", verdict=verdict("accepted"), box=box)
    tasks = json.loads(file.read_text())
    for task in tasks:
        for result in (result for annotation in task["annotations"] for result in annotation["result"]):
            result["image_rotation"] = 90
    file.write_text(json.dumps(tasks))
    assert import_tasks(src, file).left_out == {"a box on an image that was turned: turn it back there": 1}
    assert taken(src) == []


@pytest.mark.parametrize("values", [{}, {"reason": {"text": 5}}, {"reason": {"text": []}}])
def test_a_rejection_without_a_reason_gets_one(src: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    import_tasks(src, annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("rejected"), **values))
    assert taken(src) == [("a:0_0/OC1", "eve@example.org", "rejected", "no reason given")]


def test_the_time_for_an_annotation_is_kept_and_told(src: Path, tmp_path: Path) -> None:
    file = annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("accepted"))
    tasks = json.loads(file.read_text())
    (annotation,) = next(task["annotations"] for task in tasks if task["annotations"])
    annotation.update(created_at="2024-05-01T10:00:00Z", lead_time=31.5)
    file.write_text(json.dumps(tasks))
    import_tasks(src, file)
    with ReviewStore(src / "review.sqlite") as store:
        (decision,) = store.decisions()
    assert decision.seconds == 31.5
    export_tasks(src, tmp_path / "again", ALL)
    (again,) = tasks_of(tmp_path / "again")["a:0_0/OC1"]["annotations"]
    assert (again["lead_time"], again["created_at"]) == (31.5, "2024-05-01T10:00:00+00:00")


MIN_BOX = {"x": 30, "y": 20, "width": 25, "height": 20, "rotation": 0, "original_width": 200, "original_height": 100}


def test_a_minimal_export_says_the_same(src: Path, tmp_path: Path) -> None:
    # as label-studio-converter writes JSON_MIN: one choice or text stands alone, several keep their braces
    told = {"annotator": "eve@example.org", "annotation_id": 1, "created_at": "2024-05-01T10:00:00Z", "lead_time": 8.0}
    options = {"text": ["(A) red", "(B) blue", "(C) white", "(D) black"]}
    tasks = [
        {
            "id": 1,
            "image": "x.jpg",
            "question_id": "a:0_0/OC1",
            "task": "overall_counting",
            "verdict": "accepted",
            **told,
        },
        {"id": 2, "question_id": "b:0_0/OC1", "verdict": "rejected", "reason": "not useful", **told, "annotator": 7},
        {
            "id": 3,
            "question_id": "a:0_0/OCL1",
            "verdict": "fixed",
            "answer": "A",
            "options": options,
            "box": [{**MIN_BOX, "rectanglelabels": ["box"]}],
            **told,
        },
    ]
    file = tmp_path / "min.json"
    file.write_text(json.dumps(tasks))
    counts = import_tasks(src, file)
    assert (counts.imported, counts.left_out) == (3, {})
    assert taken(src) == [
        ("a:0_0/OC1", "eve@example.org", "accepted", ""),
        ("b:0_0/OC1", "7", "rejected", "not useful"),
        ("a:0_0/OCL1", "eve@example.org", "fixed", ""),
    ]
    with ReviewStore(src / "review.sqlite") as store:
        fixed = store.decisions()[2]
    assert fixed.after is not None
    assert (fixed.after.bbox, fixed.after.answer, fixed.seconds) == (Box(0.3, 0.2, 0.55, 0.4), "A", 8.0)


def test_a_task_that_cannot_be_read_costs_itself_and_is_named(src: Path, tmp_path: Path) -> None:
    file = annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("accepted"))
    bad = [
        5,
        {"id": 71, "data": {}},
        {"id": 72, "data": {"question_id": "b:0_0/OC1"}, "annotations": [{"lead_time": -1}]},
        {"data": {"question_id": "z:0_0/OC1"}, "annotations": []},
    ]
    file.write_text(json.dumps([*bad, *json.loads(file.read_text())]))
    counts = import_tasks(src, file)
    assert counts.imported == 1
    assert taken(src) == [("a:0_0/OC1", "eve@example.org", "accepted", "")]
    assert list(counts.left_out) == [
        "task 1: Input should be a valid dictionary or instance of _Task",
        "task 2, id 71: data.question_id: Field required",
        "task 3, id 72: annotations.0.lead_time: Input should be greater than or equal to 0",
        f"question 'z:0_0/OC1' is not in {src}",
    ]
    assert str(counts).startswith("left out: 1 x task 1: ")


def test_two_boxes_are_no_decision(src: Path, tmp_path: Path) -> None:
    file = annotated(src, tmp_path, "a:0_0/OCL1", verdict=verdict("accepted"))
    tasks = json.loads(file.read_text())
    (annotation,) = next(task["annotations"] for task in tasks if task["annotations"])
    annotation["result"].append(next(result for result in annotation["result"] if result["from_name"] == "box"))
    file.write_text(json.dumps(tasks))
    assert import_tasks(src, file).left_out == {"more than one box": 1}


def test_what_was_undone_since_is_not_taken_in_again(src: Path, tmp_path: Path) -> None:
    file = annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("accepted"))
    import_tasks(src, file)
    with ReviewStore(src / "review.sqlite") as store:
        store.undo("eve@example.org", 1)
    counts = import_tasks(src, file)
    assert (counts.imported, counts.unchanged) == (0, 1)
    assert taken(src) == []


def test_a_time_without_a_zone_is_utc(src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    file = annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("accepted"))
    tasks = json.loads(file.read_text())
    (annotation,) = next(task["annotations"] for task in tasks if task["annotations"])
    annotation["created_at"] = "1970-01-02T00:00:01"
    file.write_text(json.dumps(tasks))
    import_tasks(src, file)
    monkeypatch.undo()
    time.tzset()
    with ReviewStore(src / "review.sqlite") as store:
        assert store.decisions()[0].decided_at == 86_401  # a day and a second


def test_tasks_of_another_data_set_are_refused(src: Path, tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(json.dumps([{"data": {"question_id": "z:0_0/OC1"}, "annotations": []}]))
    with pytest.raises(ReviewError, match="question 'z:0_0/OC1' is not in"):
        import_tasks(src, file)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"data": {}}]', '[{"data": {"question_id": 3}}]'])
def test_a_file_of_another_kind_is_refused(src: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "tasks.json"
    file.write_text(text)
    with pytest.raises(ReviewError, match="no export of Label Studio"):
        import_tasks(src, file)


def test_another_format_is_refused() -> None:
    with pytest.raises(ReviewError, match="`format` cvat: expected label-studio"):
        check_format("cvat")


def test_half_a_character_costs_its_task_alone(src: Path, tmp_path: Path) -> None:
    file = annotated(src, tmp_path, "a:0_0/OC1", verdict=verdict("accepted"))
    tasks = json.loads(file.read_text())
    broken = {"id": 1, "data": {"question_id": "a:0_0/OC1"}, "annotations": [{"completed_by": "\ud800"}]}
    file.write_text(json.dumps([broken, *tasks]))
    counts = import_tasks(src, file)
    assert counts.imported == 1
    assert "task 1, id 1: a text holds half a character (a lone surrogate)" in counts.left_out
