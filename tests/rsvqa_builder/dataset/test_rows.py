"""Rows: columns with their published names, and a record that comes back from its row."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage
from rsvqa.rsvqa_builder.dataset.prompts import exchange_fault, exchange_of
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import (
    COLUMNS,
    TEXT_COLUMNS,
    Column,
    StoredQuestion,
    StoredRowError,
    decode,
    decode_question,
    decode_tile,
    encode,
)
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_records import make_record

ROOT = Path(__file__).parents[3]
IMAGE = EncodedImage("a/0_0.jpg", b"bytes")
TILE = TileRecord(
    image_id="a:0_0",
    split="val",
    scene="a",
    window=Window(3, 4, 200, 100),
    crs="EPSG:32618",
    gsd=0.3,
    footprint=b"wkb",
    date="2020-01-02",
    later_date="2021-01-02",
    scene_source="town",
    licence="CC-BY-4.0",
)


@pytest.mark.parametrize("task", TASKS)
def test_a_record_comes_back_from_its_row(task: str) -> None:
    record = replace(make_record(TILE, task), images=(), source="human", review="fixed")
    row = encode(7, TILE, record, [IMAGE])
    assert set(row) == set(COLUMNS)
    assert decode_question(row, "val") == StoredQuestion(index=7, record=record, images=(IMAGE,))
    assert decode(row, TILE, images=["tile_marked"]) == replace(record, images=("tile_marked",))


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        (Column.QUESTION, None, "text"),
        (Column.ANSWER, None, "text"),
        (Column.OPTIONS, ["(A) red", None], "texts"),
        (Column.BBOX, [0.1, 0.2, 0.3], "four numbers, or null"),
        (Column.BBOX, [0.1, 0.2, None, 0.3], "four numbers, or null"),
        (Column.TILE, None, "x, y, width and height, with pixels in it"),
        (Column.TILE, {"x": 0, "y": 0, "width": 0, "height": 9}, "x, y, width and height, with pixels in it"),
    ],
)
def test_a_row_that_another_program_has_emptied_is_named(column: Column, value: object, expected: str) -> None:
    record = make_record(TILE, "object_colour")
    row = encode(7, TILE, record, [IMAGE]) | {column: value}
    item = "tile 'a:0_0'" if column is Column.TILE else f"question {record.question_id!r}"
    with pytest.raises(StoredRowError) as caught:
        decode_question(row, "val")
    assert str(caught.value) == (
        f"the row of {item} has {value!r} in column {str(column)!r}; expected {expected}: build the data set again"
    )


def test_no_options_may_be_stored_as_null() -> None:
    record = make_record(TILE, "overall_counting")
    row = encode(7, TILE, replace(record, options=()), [IMAGE]) | {Column.OPTIONS: None}
    assert decode_question(row, "val").record.options == ()


def test_a_record_of_the_small_columns_lacks_evidence_crs_footprint_and_source_only() -> None:
    record = make_record(TILE, "overall_counting")
    row = encode(0, TILE, record, [IMAGE])
    small = {str(name): row[name] for name in TEXT_COLUMNS}
    assert decode_tile(small, "val") == replace(TILE, crs=None, footprint=None, scene_source=None, licence=None)
    assert decode(small, TILE) == replace(record, images=(), evidence={})


def test_a_row_from_before_there_were_sources_is_read() -> None:
    record = replace(make_record(TILE, "overall_counting"), images=())
    row = encode(0, TILE, record, [IMAGE])
    del row["scene_source"], row["licence"]
    older = replace(TILE, scene_source=None, licence=None)
    assert decode_question(row, "val").record == replace(record, tile=older)


def test_a_tile_without_questions_is_a_row_of_its_own_columns() -> None:
    row = encode(0, TILE, None, [IMAGE, EncodedImage("a/0_0_later.jpg", b"")])
    assert (row["path"], row["image_width"], row["image_height"]) == ("a/0_0.jpg", 200, 100)
    assert "question" not in row
    assert decode_tile(row, "val") == TILE


def test_the_first_columns_are_those_of_the_benchmark() -> None:
    published = ["index", "path", "image", "question", "multi-choice options", "answer", "category", "l2-category"]
    assert list(COLUMNS)[:8] == published


def test_columns_are_spelt_in_one_file() -> None:
    # a name that is spelt twice can be spelt in two ways; the others are words that mean other things elsewhere too
    spelt = {
        path.relative_to(ROOT).as_posix()
        for floor in ("annotation", "rsvqa_builder", "benchmark", "model")
        for path in (ROOT / floor).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in ("multi-choice options", "l2-category", "later_date")
    }
    assert spelt - {"rsvqa_builder/scenes/pairs.py"} == {"rsvqa_builder/dataset/rows.py"}


# --- prompts ---


def test_a_prompt_is_asked_in_the_form_of_its_answer() -> None:
    caption = make_record(TILE, "detailed_captioning")
    assert exchange_of(caption) == (caption.question, caption.answer)
    several = make_record(TILE, "overall_land_use", answer="ACD")
    assert exchange_of(several).reply == "A C D"
    assert exchange_of(several).prompt.startswith(f"{several.question}The choices are listed below:\n(A) 3\n(B) 4\n")
    box = make_record(TILE, "fine_grained_grounding", question="Where is it?")
    assert exchange_of(box).prompt.startswith("Where is it?\nAnswer with [x_min, y_min, x_max, y_max], shares of ")
    stated = make_record(TILE, "fine_grained_grounding", question="Where is it, from 0 to 1?")
    assert exchange_of(stated).prompt == stated.question


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        *((make_record(TILE, task), None) for task in TASKS),
        (make_record(TILE, options=("(A) 1", "(C) 2")), "options without their letters"),
        (make_record(TILE, options=("(A)1", "(B)2")), "options without their letters"),
        (make_record(TILE, options=()), "its choices are lost"),
        (make_record(TILE, answer="E"), "answer names no option"),
        (make_record(TILE, answer=""), "answer names no option"),
        (make_record(TILE, "overall_land_use", answer="CA"), "answer names no option"),
        (
            make_record(TILE, "fine_grained_grounding", question="Where is it, in pixels?"),
            "question wants its box in other units than its answer's",
        ),
    ],
)
def test_what_contradicts_its_reply_is_told(record: Record, fault: str | None) -> None:
    assert exchange_fault(record) == fault
