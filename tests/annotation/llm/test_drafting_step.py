"""Drafts that keep the facts are taken, others are not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from rsvqa.annotation.llm.crops import PART_NAMES, CropSettings
from rsvqa.annotation.llm.drafting_step import (
    CONTRADICTS,
    LOSES_FACTS,
    DraftedCaption,
    DraftedChoices,
    DraftedQuestion,
    DraftedText,
    DraftPass,
    turns_in,
)
from rsvqa.annotation.llm.items import QuestionItem, TileKnowledge
from rsvqa.annotation.llm.outcomes import QuestionState
from rsvqa.annotation.llm.verifying_step import DRAFTED, SAME_MODEL, UNSUPPORTED, AnswerPass, Objections
from rsvqa.annotation.questions import Evidence
from tests.annotation.llm.make_items import NOUNS, caption_item, grounding_item, make_item, region_item, reply

DRAFT = DraftPass(model="m", crops=CropSettings())
RULE = "Seen from above, 3 cars.\nThe top left part shows forest.\nPeople use it."


def draft(item: QuestionItem, parsed: BaseModel) -> QuestionItem:
    (drafted,) = DRAFT.settle(item, [reply(parsed)])
    return drafted


def result(item: QuestionItem, parsed: BaseModel) -> str:
    return draft(item, parsed).outcome.notes[-1].result


# --- captions ---

OVERALL = "There are 3 cars and 1 ship."


def caption(**fields: Any) -> DraftedCaption:
    parts = [f"The {name} part is in the image." for name in PART_NAMES]
    parts[0] = "The top left part holds 2 cars and forest (about 90 %)."
    parts[8] = "The bottom right part shows water (about 70 %) and 1 ship."
    return DraftedCaption(**{"overall": OVERALL, "parts": parts, "inference": "People use it.", **fields})


def test_a_sound_caption_has_three_paragraphs_and_waits_for_its_verifier() -> None:
    item = draft(caption_item(RULE), caption())
    overall, parts, inference = item.answer.split("\n")
    assert (overall, inference) == (OVERALL, "People use it.")
    assert parts.startswith("The top left part holds 2 cars")
    assert parts.endswith("The bottom right part shows water (about 70 %) and 1 ship.")
    assert (item.source, item.outcome.state, item.outcome.reasons) == ("llm", QuestionState.REVIEW, (DRAFTED,))
    assert item.former == {"answer": RULE}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"overall": "There are 4 cars."}, CONTRADICTS),
        ({"overall": "Cars stand in the bottom left part."}, CONTRADICTS),
        ({"inference": "About 1,200 people live here."}, CONTRADICTS),
        ({"overall": "From above.", "parts": [f"The {name} part shows ground." for name in PART_NAMES]}, LOSES_FACTS),
        ({"parts": ["A part."] * 9}, "a part is not named"),
        ({"inference": "**People** use it."}, "markdown in the text"),
    ],
)
def test_a_caption_that_contradicts_leaves_the_rule_s(wrong: dict[str, Any], reason: str) -> None:
    item = draft(caption_item(RULE), caption(**wrong))
    assert (item.answer, item.source, item.outcome.notes[-1].result) == (RULE, "rule", reason)
    assert item.outcome.state is QuestionState.ACCEPTED


def test_what_no_fact_bears_out_is_marked_and_no_verifier_settles_it() -> None:
    overall = f"{OVERALL} The cars are parked beside the ship."
    item = draft(caption_item(RULE), caption(overall=overall))
    assert item.outcome.reasons == (UNSUPPORTED, DRAFTED)
    assert item.outcome.doubts == ("The cars are parked beside the ship.",)
    verifier = AnswerPass(model="v", crops=CropSettings())
    (verified,) = verifier.settle(item, [reply(Objections(contradicted=[]))])
    assert (verified.outcome.state, verified.outcome.reasons) == (QuestionState.REVIEW, (UNSUPPORTED,))


def test_a_draft_that_changes_nothing_stays_the_rule_s() -> None:
    rule = region_item()
    item = draft(rule, DraftedText(text=rule.answer))
    assert (item.source, item.former, item.outcome.notes[-1].result) == ("rule", {}, "unchanged")


def test_one_model_for_both_is_said_in_the_provenance() -> None:
    item = draft(caption_item(RULE), caption())
    (verified,) = AnswerPass(model="m", crops=CropSettings()).settle(item, [reply(Objections(contradicted=[]))])
    assert verified.outcome.state is QuestionState.ACCEPTED
    assert SAME_MODEL in verified.outcome.checks


def test_a_region_is_named_by_its_circle() -> None:
    good = "Circle 2 is mostly forest (about 60 %), and 3 cars stand in it."
    assert draft(region_item(), DraftedText(text=good)).answer == good
    assert result(region_item(), DraftedText(text=good.replace("Circle 2", "Circle 3"))) == "the circle is not named"
    assert result(region_item(), DraftedText(text=good.replace("3 cars", "5 cars"))) == CONTRADICTS


# --- choices ---

CHOICES = (
    "Most of the land is under forest, so woodland shapes this landscape.",
    "Most people here have no green space within 300 m of their building.",
    "Open water covers most of the area, so it shapes this landscape.",
    "There are so few roads that large shy animals can find quiet land here.",
)
CONDITION = make_item(
    "environmental_reasoning",
    text="Which statement about the environment is best supported by the image?",
    options=CHOICES,
    answer="B",
    evidence=Evidence(rule="green_space_is_far", values={"x": 1}),
)
TOLD = [
    "Forest covers most of the ground and gives the place its character.",
    "For most residents there is no green space within 300 m of where they live.",
    "The place is mostly open water, and that marks it.",
    "With so few roads, large shy animals may find quiet land.",
]


def test_choices_are_told_anew_in_their_order() -> None:
    item = draft(CONDITION, DraftedChoices(question="What does the scene say about its environment?", options=TOLD))
    assert (item.options, item.answer) == (tuple(TOLD), "B")


@pytest.mark.parametrize("question", ["Which statement is not supported?", "Which statement is least supported?"])
def test_a_question_that_asks_for_the_opposite_is_not_taken(question: str) -> None:
    assert result(CONDITION, DraftedChoices(question=question, options=TOLD)) == "sense changed"


@pytest.mark.parametrize(
    ("number", "text", "reason"),
    [
        (1, "For most residents there is a green space within 300 m of where they live.", "sense changed"),
        (1, "For most residents there is no green space within 500 m of where they live.", "numbers changed"),
        (0, "Forest covers little of the ground here.", "sense changed"),
    ],
)
def test_a_choice_that_says_something_else_is_not_taken(number: int, text: str, reason: str) -> None:
    options = [*TOLD[:number], text, *TOLD[number + 1 :]]
    assert result(CONDITION, DraftedChoices(question="What holds here?", options=options)) == reason


def test_a_right_choice_that_stands_out_by_its_length_is_not_taken() -> None:
    long = TOLD[1][:-1] + ", a pity for everyone who would enjoy a walk among trees on a warm evening."
    options = [TOLD[0], long, *TOLD[2:]]
    drafted = DraftedChoices(question="What holds here?", options=options)
    assert result(CONDITION, drafted) == "the right choice stands out by its length"


def test_choices_must_be_as_many() -> None:
    assert result(CONDITION, DraftedChoices(question="What holds?", options=TOLD[:3])) == "wrong number of choices"


# --- routes ---

ROUTE = "Head west on Windmill Road, turn left at the first junction, and the destination is on this road."


def test_a_route_is_its_turns() -> None:
    assert turns_in(ROUTE) == ["west", "windmill road", "left", "first"]
    assert turns_in("Head west on Broadway, then on Älvgatan.") == ["west", "broadway", "älvgatan"]
    assert turns_in("Go straight on past one junction, before the next one.") == ["straight", "one"]


@pytest.mark.parametrize(
    ("old", "new"),
    [("left", "right"), ("first", "second"), ("Windmill Road", "Mill Road"), ("west", "east"), ("turn left", "go on")],
)
def test_a_route_with_another_turn_is_not_taken(old: str, new: str) -> None:
    options = (ROUTE, ROUTE.replace("left", "right"), ROUTE.replace("west", "east"), ROUTE.replace("first", "second"))
    asked = make_item(
        "route_planning", text="Which route leads by road from the car to the house?", options=options, answer="A"
    )
    told = [option.replace("Head", "Set off") for option in options]
    assert draft(asked, DraftedChoices(question=asked.text, options=told)).options == tuple(told)
    wrong = [told[0].replace(old, new), *told[1:]]
    assert result(asked, DraftedChoices(question=asked.text, options=wrong)) == "turns changed"


# --- referring expressions ---


def test_a_richer_description_keeps_what_tells_its_object() -> None:
    asked = grounding_item(knowledge=TileKnowledge(absent=frozenset({"ship"}), nouns=NOUNS))
    form = " Give its bounding box as normalised [x1, y1, x2, y2] with values from 0 to 1."
    good = "Where is the southernmost house, a long one beside the road?" + form
    assert draft(asked, DraftedQuestion(question=good)).text == good
    lost = "Where is the long house beside the road?" + form
    assert result(asked, DraftedQuestion(question=lost)) == "what is asked about is not named"
    absent = good.replace("beside the road", "beside a ship")
    assert result(asked, DraftedQuestion(question=absent)) == CONTRADICTS
    other_object = "Where is the car beside the southernmost house?" + form
    assert result(asked, DraftedQuestion(question=other_object)) == "another object is named first"
    other_form = good.replace("[x1, y1, x2, y2]", "[x, y, w, h]")
    assert result(asked, DraftedQuestion(question=other_form)) == "boxes, numbers or answer form changed"


def test_another_colour_than_the_known_one_is_not_taken() -> None:
    asked = grounding_item(
        text="Find the blue car and return its bounding box, normalised to 0–1, as [x1, y1, x2, y2].",
        evidence=Evidence(rule="unique_colour", values={"class": "car", "colour": "blue"}),
    )
    good = asked.text.replace("and return", "beside a wall and return")
    assert draft(asked, DraftedQuestion(question=good)).text == good
    wrong = asked.text.replace("and return", "not far from a red car and return").replace("not ", "")
    assert result(asked, DraftedQuestion(question=wrong)) == CONTRADICTS


def test_other_tasks_and_drafted_questions_are_not_sent() -> None:
    assert not DRAFT.requests(make_item())
    assert len(DRAFT.requests(region_item())) == 1
    assert not DRAFT.requests(draft(region_item(), DraftedText(text="Circle 2 is forest.")))
