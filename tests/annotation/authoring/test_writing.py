"""A written question is checked like any other, and stands among them under an id that says what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rsvqa.annotation.authoring.writing import (
    _SAID_OF_FORMS,
    ASKED_BEFORE,
    EvidenceShape,
    WrittenQuestion,
    identity_of,
    question_of_written,
    tidied,
    written_faults,
)
from rsvqa.annotation.checks import REASONS
from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.review.drawn import DrawnForm, PixelPoint
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.annotation.wording.templates import question_templates, template_keys
from tests.annotation.review.make_drawings import TILE

COUNT = WrittenQuestion(
    task="overall_counting", question="How many cars stand in the yard?", options=("3", "4", "5", "6"), right=(1,)
)
MOVES = WrittenQuestion(
    task="object_motion_state", question="Is the ship under way?", options=("Yes", "No"), right=(0,)
)
FIND = WrittenQuestion(task="fine_grained_grounding", question="Where is the red car?", box=Box(10, 20, 40, 50))
TELL = WrittenQuestion(task="detailed_captioning", question="Describe this image.", answer="A yard with cars.")
USES = WrittenQuestion(
    task="overall_land_use", question="Which of these are there?", options=("a", "b", "c", "d"), right=(0, 2)
)
ODD = WrittenQuestion(
    task="anomaly_detection", question="Is there any damage?", options=("No", "Yes"), right=(1,), template=""
)


@pytest.mark.parametrize("written", [COUNT, MOVES, FIND, TELL, USES, ODD], ids=lambda one: one.task)
def test_a_whole_question_of_each_form_may_stand(written: WrittenQuestion) -> None:
    assert written_faults(written, TILE) == ()


FAULTS: dict[str, tuple[WrittenQuestion, str]] = {
    "no such task": (replace(COUNT, task="overal_counting"), "did you mean 'overall_counting'?: a free question keeps"),
    "no task": (replace(COUNT, task=""), "'' is not a task"),
    "no circle": (replace(COUNT, task="regional_counting"), "draw the circle that the question is about"),
    "a circle too many": (replace(COUNT, circle=Circle(50, 40, 20)), "Overall counting is about no circle"),
    "two dates": (replace(COUNT, task="land_use_change"), "no scene of a later date that covers the whole tile"),
    "another task's template": (replace(COUNT, template="object_size.area"), "no template 'object_size.area'"),
    "three options": (replace(COUNT, options=("3", "4", "5")), "Overall counting has 4 options: here are 3"),
    "options of a box": (replace(FIND, options=("a", "b", "c", "d")), "has no options: here are 4"),
    "three of two or four": (replace(ODD, options=("a", "b", "c")), "has 2 or 4 options: here are 3"),
    "no key": (replace(COUNT, right=()), "mark the right option"),
    "two keys": (replace(COUNT, right=(0, 1)), "2 options are marked: one is right"),
    "a key of nothing": (replace(COUNT, right=(7,)), "the key names no option"),
    "all right": (replace(USES, right=(0, 1, 2, 3)), "every option is right: one must be wrong"),
    "maybe": (replace(MOVES, options=("Yes", "Maybe")), "the options of a yes/no question are Yes and No"),
    "no box": (replace(FIND, box=None), "draw the box that answers the question"),
    "no answer": (replace(TELL, answer=" "), "write the answer"),
    "twice the same": (replace(COUNT, options=("3", "4", "4.0", "6")), "options not distinct"),
    "an empty option": (replace(COUNT, options=("3", "4", "", "6")), "empty option"),
    "the answer told": (replace(COUNT, question="How many of the 4 cars are there?"), "answer told in the question"),
    "a slot": (replace(COUNT, question="How many {plural} are there?"), "unfilled slot"),
    "a small letter": (replace(COUNT, question="how many cars?"), "question does not begin with a capital"),
    "no end": (replace(COUNT, question="How many cars"), "question does not end like a sentence"),
    "markdown": (replace(COUNT, question="How **many** cars?"), "markdown in the text"),
    "too long": (replace(COUNT, question=f"How {'very ' * 500}many?"), "text too long"),
    "a box outside": (replace(FIND, box=Box(10, 20, 400, 50)), "box outside the image or not ordered"),
    "an unordered box": (replace(FIND, box=Box(40, 20, 10, 50)), "box outside the image or not ordered"),
    "a box not in the text": (replace(COUNT, box=Box(10, 20, 40, 50)), "box differs from the one in the text"),
    "no text": (replace(COUNT, question=""), "question does not begin with a capital"),
    "evidence outside": (
        replace(COUNT, shapes=(EvidenceShape(form=DrawnForm.POINT, points=(PixelPoint(500, 1),)),)),
        "evidence 1: the point (500, 1) lies outside the tile of 100 x 80 px",
    ),
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_may_not_stand_is_told_in_one_line(what: str) -> None:
    written, expected = FAULTS[what]
    faults = written_faults(written, TILE)
    assert any(expected in fault for fault in faults), faults
    assert all("\n" not in fault for fault in faults)


def test_what_is_wrong_with_words_and_with_the_key_is_told_at_once_and_each_once() -> None:
    assert written_faults(replace(COUNT, question="how many cars?", right=()), TILE) == (
        "mark the right option",
        "question does not begin with a capital",
    )


def test_each_reason_that_is_said_in_other_words_is_one_of_the_checks() -> None:
    assert set(REASONS) >= _SAID_OF_FORMS


def test_the_same_question_is_not_asked_twice_of_a_tile() -> None:
    # other letters' case, another order of the options, numbers written otherwise
    before = identity_of("How many CARS stand in the yard?", ("6.0", "5", "4", "3"))
    assert written_faults(COUNT, TILE, asked={before}) == (ASKED_BEFORE,)


def test_it_stands_among_the_others_with_letters_shares_and_its_origin() -> None:
    shapes = (
        EvidenceShape(form=DrawnForm.BOX, points=(PixelPoint(1, 2), PixelPoint(11, 12))),
        EvidenceShape(form=DrawnForm.POINT, points=(PixelPoint(50, 60),)),
    )
    question = question_of_written(replace(COUNT, shapes=shapes, template="overall_counting.whole"), TILE)
    assert question.question_id.startswith("a:0_0/OC-w")
    assert (question.source, question.review, question.images) == ("human", "none", ("a/0_0.jpg",))
    assert question.content.options == ("(A) 3", "(B) 4", "(C) 5", "(D) 6")
    assert question.content.answer == "B"
    assert question.evidence == {
        "rule": "written_by_person",
        "feature_ids": [],
        "values": {"origin": "person", "template": "overall_counting.whole"},
        "geometry": "GEOMETRYCOLLECTION (POLYGON ((11 2, 11 12, 1 12, 1 2, 11 2)), POINT (50 60))",
    }
    boxed = question_of_written(FIND, TILE).content
    # 10 and 40 of 100 px, 20 and 50 of 80 px
    assert (boxed.bbox, boxed.answer) == ((0.1, 0.25, 0.4, 0.625), "[0.1, 0.25, 0.4, 0.625]")


def test_its_id_follows_from_what_it_asks_and_neither_from_its_key_nor_from_the_order_of_its_options() -> None:
    turned = replace(COUNT, options=("4", "3", "5", "6"), right=(0,))
    other_key, other = replace(COUNT, right=(0,)), replace(COUNT, options=("4", "3", "5", "7"))
    ids = [question_of_written(one, TILE).question_id for one in (COUNT, turned, other_key, other)]
    assert ids[0] == ids[1] == ids[2] != ids[3]
    moved = replace(FIND, box=Box(1, 2, 30, 40))
    assert question_of_written(moved, TILE).question_id == question_of_written(FIND, TILE).question_id


def test_texts_are_tidied_line_by_line() -> None:
    assert tidied("  How   many\t cars? \n") == "How many cars?"
    assert tidied("A yard.\n\n  Some  cars.") == "A yard.\n\nSome cars."


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_templates_whose_slots_are_known(task: str) -> None:
    templates = question_templates(task)
    assert len(templates) >= 10
    for template in templates:
        assert template.text.format(**dict.fromkeys(template.slots, "x")).count("{") == 0
    assert {template.key.split(".")[0] for template in templates} == {task}


def test_sentences_of_answers_are_no_templates() -> None:
    # [detailed_captioning] also has lists of sentences: "extent", "dominant", "shared", "listed"
    assert template_keys("detailed_captioning") == {"detailed_captioning.question"}
    assert template_keys("no_such_task") == frozenset()
