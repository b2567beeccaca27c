"""Every valid question passes; each way of spoiling one is caught, under its own reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.checks import REASONS, check_question, normalise
from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.questions import Evidence, Option, Question
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from tests.strategies import questions

WIDTH, HEIGHT = 800, 600


def options(*texts: str, right: str = "") -> tuple[Option, ...]:
    return tuple(Option(text, text == right) for text in texts)


def check(question: Question) -> tuple[str, ...]:
    return check_question(question, width=WIDTH, height=HEIGHT)


CLASSIFICATION = Question(
    task="object_classification",
    form=AnswerForm.ONE_OF,
    text="Image resolution: 800 x 600. Bounding box: [10, 20, 30, 50]. What is in the box?",
    evidence=Evidence(rule="class_of_object", feature_ids=("objects:1",)),
    options=options("ship", "car", "truck", "storage tank", right="ship"),
    box=Box(10.4, 19.6, 30, 50),
)
REGIONAL = Question(
    task="regional_counting",
    form=AnswerForm.ONE_OF,
    text="How many ships are in the red circle numbered {region}?",
    evidence=Evidence(rule="count_whole_objects", values={"count": 3}),
    options=options("2", "3", "4", "7", right="3"),
    region=Circle(400, 300, 60),
)
GROUNDING = Question(
    task="fine_grained_grounding",
    form=AnswerForm.BOX,
    text="Where is the longest ship? Answer with a box [x1, y1, x2, y2] in the range 0–1.",
    evidence=Evidence(rule="longest", feature_ids=("objects:1",)),
    box=Box(10, 20, 30, 50),
)
CAPTION = Question(
    task="detailed_captioning",
    form=AnswerForm.TEXT,
    text="Describe the image.",
    evidence=Evidence(rule="shares", values={"forest": 0.5}),
    answer="The image shows a harbour.\nTop left: water.",
)
LAND_USE = Question(
    task="overall_land_use",
    form=AnswerForm.SEVERAL_OF,
    text="Which of these land uses are present?",
    evidence=Evidence(rule="area_share", values={"forest": 0.5}),
    options=(Option("forest", True), Option("water", True), Option("farmland", False), Option("bare ground", False)),
)
PRESENCE = Question(
    task="object_presence",
    form=AnswerForm.YES_NO,
    text="Is there no ship in the image?",
    evidence=Evidence(rule="absent", values={"count": 0}),
    options=options("Yes", "No", right="No"),
)
CHANGE = replace(REGIONAL, task="change_counting", num_dates=2)

GOOD = {q.task: q for q in (CLASSIFICATION, REGIONAL, GROUNDING, CAPTION, LAND_USE, PRESENCE, CHANGE)}


@pytest.mark.parametrize("question", GOOD.values(), ids=GOOD)
def test_good_question_passes(question: Question) -> None:
    assert check(question) == ()


NAN, INF = float("nan"), float("inf")
BOX = "box outside the image or not ordered"
REGION = "region outside the image"
WRITTEN = "written coordinates not whole, not ordered or outside the image"
TOLD = "answer told in the question"
SPACES = "spaces doubled or at an end"
SLOT = "unfilled slot"
MARKDOWN = "markdown in the text"
NUMBER = "number missing, not positive or without a pool"
NUM_RIGHT = "wrong number of right options"
ANSWER = "answer missing or in the wrong field"


def with_text(question: Question, text: str) -> Question:
    return replace(question, text=text)


SPOILT: list[tuple[str, Question]] = [
    ("task not in the taxonomy", replace(CAPTION, task="guessing")),
    ("answer form not of the task", replace(PRESENCE, task="overall_counting")),
    ("region missing or not expected", replace(REGIONAL, region=None, text="How many ships are there?")),
    ("region missing or not expected", replace(REGIONAL, task="overall_counting")),
    ("number of dates not of the task", replace(CHANGE, num_dates=1)),
    ("number of dates not of the task", replace(REGIONAL, num_dates=2)),
    # The tile covers [0, 800] × [0, 600]; boxes are at least one pixel wide and high.
    (BOX, replace(GROUNDING, box=Box(-0.1, 20, 30, 50))),
    (BOX, replace(GROUNDING, box=Box(10, 20, 800.1, 50))),
    (BOX, replace(GROUNDING, box=Box(10, -1, 30, 50))),
    (BOX, replace(GROUNDING, box=Box(10, 20, 30, 600.5))),
    (BOX, replace(GROUNDING, box=Box(30, 20, 10, 50))),
    (BOX, replace(GROUNDING, box=Box(10, 50, 30, 20))),
    (BOX, replace(GROUNDING, box=Box(10, 20, 10.9, 50))),
    (BOX, replace(GROUNDING, box=Box(NAN, 20, 30, 50))),
    (BOX, replace(GROUNDING, box=Box(10, 20, INF, 50))),
    (REGION, replace(REGIONAL, region=Circle(59, 300, 60))),
    (REGION, replace(REGIONAL, region=Circle(741, 300, 60))),
    (REGION, replace(REGIONAL, region=Circle(400, 541, 60))),
    (REGION, replace(REGIONAL, region=Circle(400, 300, 0.9))),
    (REGION, replace(REGIONAL, region=Circle(400, NAN, 60))),
    (WRITTEN, with_text(CLASSIFICATION, CLASSIFICATION.text.replace("30, 50]", "30, 601]"))),
    (WRITTEN, with_text(CLASSIFICATION, CLASSIFICATION.text.replace("30, 50]", "30.0, 50]"))),
    (WRITTEN, with_text(CLASSIFICATION, CLASSIFICATION.text.replace("30, 50]", "30, 20]"))),
    (WRITTEN, with_text(CLASSIFICATION, CLASSIFICATION.text.replace("30, 50]", "30]"))),
    (WRITTEN, replace(CAPTION, answer="A ship lies at [900, 10].")),
    (WRITTEN, replace(LAND_USE, options=(*LAND_USE.options[:3], Option("the field at [0, 0, 10, -5]", False)))),
    ("box differs from the one in the text", replace(CLASSIFICATION, box=Box(11, 20, 30, 50))),
    ("box differs from the one in the text", with_text(CLASSIFICATION, "What is in the box?")),
    ("image size not stated beside coordinates", with_text(CLASSIFICATION, "What is at [10, 20, 30, 50]?")),
    (
        "image size not stated beside coordinates",
        with_text(CLASSIFICATION, CLASSIFICATION.text.replace("800 x 600", "800 x 6000")),
    ),
    ("wrong number of options", replace(REGIONAL, options=REGIONAL.options[:3])),
    ("wrong number of options", replace(CAPTION, options=REGIONAL.options)),
    ("wrong number of options", replace(PRESENCE, options=options("Yes", "No", "Unsure", right="No"))),
    (NUM_RIGHT, replace(REGIONAL, options=options("2", "3", "4", "7"))),
    (NUM_RIGHT, replace(REGIONAL, options=(Option("4", True), *REGIONAL.options[:3]))),
    (NUM_RIGHT, replace(LAND_USE, options=tuple(replace(option, is_right=True) for option in LAND_USE.options))),
    (NUM_RIGHT, replace(LAND_USE, options=tuple(replace(option, is_right=False) for option in LAND_USE.options))),
    (NUMBER, replace(REGIONAL, pool="counts")),
    (NUMBER, replace(REGIONAL, pool="counts", value=0.0)),
    (NUMBER, replace(REGIONAL, value=3.0)),
    (NUMBER, replace(PRESENCE, pool="counts", value=3.0)),
    ("empty option", replace(REGIONAL, options=options("2", "3", "4", "", right="3"))),
    ("empty option", replace(REGIONAL, options=options("2", "3", "4", ".", right="3"))),
    ("options not distinct", replace(REGIONAL, options=options("2", "3", "3.0", "7", right="3"))),
    ("options not distinct", replace(REGIONAL, options=options("1,200 m", "3 m", "1200.0  m", "7 m", right="3 m"))),
    ("options not distinct", replace(LAND_USE, options=options("Forest", "forest.", "water", "sea", right="sea"))),
    (ANSWER, replace(CAPTION, answer=" \n")),
    (ANSWER, replace(REGIONAL, answer="B")),
    (ANSWER, replace(GROUNDING, box=None)),
    (ANSWER, replace(GROUNDING, answer="[0.1, 0.2, 0.3, 0.4]")),
    (TOLD, with_text(CLASSIFICATION, CLASSIFICATION.text.replace("What", "Beside the Ship, what"))),
    (TOLD, with_text(LAND_USE, "Which of these are present beside water?")),
    (TOLD, with_text(REGIONAL, "How many of the 3 ships are in the red circle numbered {region}?")),
    (TOLD, with_text(GROUNDING, "Image resolution: 800 x 600. Which box is it, [10, 20, 30, 50]?")),
    (
        TOLD,
        replace(
            CLASSIFICATION,
            task="object_distance",
            text="Is it within 50 m or beyond?",
            box=None,
            options=options("50 m", "70 m", "90 m", "20 m", right="50 m"),
        ),
    ),
    ("region not named in the text", with_text(REGIONAL, "How many ships are in the red circle?")),
    ("region not named in the text", replace(CAPTION, answer="The circle {region} holds a harbour.")),
    (SLOT, with_text(REGIONAL, "How many {plural} are in the red circle numbered {region}?")),
    (SLOT, replace(CAPTION, answer="A harbour with {count} ships.")),
    (SLOT, replace(CAPTION, answer="A harbour }.")),
    (SLOT, replace(LAND_USE, options=(*LAND_USE.options[:3], Option("{name}", False)))),
    (SLOT, replace(REGIONAL, options=options("2", "3", "4", "{region}", right="3"))),
    ("characters not printable", with_text(CAPTION, "Describe\tthe image.")),
    ("characters not printable", with_text(CAPTION, "Describe the\nimage.")),
    ("characters not printable", replace(CAPTION, answer="A caf\ufffd.")),
    ("characters not printable", replace(CAPTION, answer="A zero\u200bwidth space.")),
    (SPACES, with_text(CAPTION, "Describe  the image.")),
    (SPACES, replace(CAPTION, answer="A harbour. ")),
    (SPACES, replace(LAND_USE, options=(*LAND_USE.options[:3], Option(" bare ground", False)))),
    ("question does not begin with a capital", with_text(CAPTION, "describe the image.")),
    ("question does not begin with a capital", with_text(CAPTION, "")),
    ("question does not end like a sentence", with_text(CAPTION, "Describe the image")),
    ("text too long", with_text(CAPTION, "D" * 2_000 + ".")),
    ("text too long", replace(CAPTION, answer="A" * 8_001)),
    ("text too long", replace(LAND_USE, options=(*LAND_USE.options[:3], Option("o" * 1_001, False)))),
    (MARKDOWN, replace(CAPTION, answer="# Overall\nA harbour.")),
    (MARKDOWN, replace(CAPTION, answer="A **large** harbour.")),
    (MARKDOWN, replace(CAPTION, answer="Parts:\n- top left: water.")),
    (MARKDOWN, replace(CAPTION, answer="See [the map](http://a).")),
    ("no evidence", replace(CAPTION, evidence=Evidence(rule="shares"))),
    ("no evidence", replace(CAPTION, evidence=Evidence(rule=" ", feature_ids=("areas:1",)))),
    ("evidence is not JSON", replace(CAPTION, evidence=Evidence(rule="shares", values={"forest": NAN}))),
    ("evidence is not JSON", replace(CAPTION, evidence=Evidence(rule="shares", values={"forest": {1, 2}}))),
]


@pytest.mark.parametrize(("reason", "question"), SPOILT, ids=[f"{i}-{reason}" for i, (reason, _) in enumerate(SPOILT)])
def test_spoilt_question_is_rejected_with_its_reason(reason: str, question: Question) -> None:
    assert reason in check(question)


def test_a_candidate_may_have_more_options_than_are_shown_or_a_pool_for_them() -> None:
    def check_candidate(question: Question) -> tuple[str, ...]:
        return check_question(question, width=WIDTH, height=HEIGHT, is_chosen=False)

    many = replace(REGIONAL, options=options("2", "3", "4", "7", "8", "9", right="3"))
    pooled = replace(REGIONAL, options=options("3", right="3"), pool="counts", value=3.0)
    assert (check(many), check(pooled)) == (("wrong number of options",),) * 2
    assert (check_candidate(many), check_candidate(pooled)) == ((), ())
    assert check_candidate(replace(many, options=many.options[:3])) == ("wrong number of options",)
    told = with_text(pooled, "How many of the 3 ships are in the red circle numbered {region}?")
    assert check_candidate(told) == (TOLD,)


def test_every_reason_is_documented_and_shown_by_an_example() -> None:
    assert {reason for reason, _ in SPOILT} == set(REASONS)
    assert len(REASONS) == len(set(REASONS))


@pytest.mark.parametrize(
    "question",
    [
        # A distance, a share and coordinates are not the count that is asked for.
        with_text(REGIONAL, "How many ships are within 3 m of the rim of the red circle numbered {region}?"),
        with_text(REGIONAL, "Count ships of which at least 3 % are inside the red circle numbered {region}."),
        with_text(
            REGIONAL, "Image resolution: 800 x 600. From [3, 3], how many are in the red circle numbered {region}?"
        ),
        replace(
            REGIONAL,
            text="Image resolution: 800 x 600. How many ships are in the red circle numbered {region}?",
            options=options("800", "600", "700", "900", right="800"),
        ),
        # "northeast" does not tell "north", nor "shipyard" "ship".
        with_text(CLASSIFICATION, CLASSIFICATION.text.replace("What", "In the shipyard, what")),
        # Every option is named.
        with_text(LAND_USE, "Which are present: bare ground, farmland, water or forest?"),
        # A wrong option in the question tells nothing about the right one.
        with_text(LAND_USE, "Beside farmland, which are present?"),
        # The written box of another object.
        with_text(GROUNDING, "Image resolution: 800 x 600. Which ship is nearest to the one at [10, 20, 30, 90]?"),
        # Dates are hyphenated numbers, a count of 3 is not in them.
        replace(CHANGE, text="How many of 2023-05-01 were there on 2020-05-01, red circle numbered {region}?"),
    ],
    ids=lambda question: question.text[:40],
)
def test_parameters_of_a_question_do_not_tell_its_answer(question: Question) -> None:
    assert check(question) == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", "3"),
        ("3.0", "3"),
        ("0.50 m", "0.5 m"),
        ("1,200", "1200"),
        ("-0.0", "0"),
        ("100", "100"),
        ("  To the  North. ", "to the north"),
        ("A1 road, 2.5 km", "a1 road, 2.5 km"),
        ("1.2.3", "1.2.3"),
        ("A1.50 road", "a1.50 road"),
    ],
)
def test_normalised_text_compares_by_value(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(questions(WIDTH, HEIGHT))
@settings(max_examples=60)
def test_any_valid_question_passes(question: Question) -> None:
    assert check(question) == ()


Spoiler = Callable[[Question], Question]


def tell(question: Question) -> Question:
    """Write a right option, or the box to be found, into the question."""
    if question.form is AnswerForm.BOX:
        assert question.box is not None
        return replace(question, text=f"Size {WIDTH} x {HEIGHT}. Is it {[int(side) for side in question.box]}?")
    right = next(option.text for option in question.options if option.is_right)
    return replace(question, text=f"Not counting {right}, {question.text}")


def always(_: Question) -> bool:
    return True


SPOILERS: dict[str, tuple[Callable[[Question], bool], Spoiler]] = {
    "number of dates not of the task": (always, lambda q: replace(q, num_dates=3 - q.num_dates)),
    BOX: (
        lambda q: q.box is not None,
        lambda q: replace(q, box=Box(q.box.x_max, q.box.y_min, q.box.x_min, q.box.y_max) if q.box else None),
    ),
    REGION: (
        lambda q: q.region is not None,
        lambda q: replace(q, region=q.region._replace(x=WIDTH - q.region.radius / 2) if q.region else None),
    ),
    "wrong number of options": (lambda q: bool(q.options), lambda q: replace(q, options=q.options[1:])),
    "options not distinct": (
        lambda q: len(q.options) == 4,
        lambda q: replace(q, options=(*q.options[:3], replace(q.options[3], text=f" {q.options[0].text.upper()}."))),
    ),
    NUM_RIGHT: (
        lambda q: bool(q.options),
        lambda q: replace(q, options=tuple(replace(option, is_right=True) for option in q.options)),
    ),
    TOLD: (lambda q: q.form in (AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF, AnswerForm.BOX), tell),
    "region not named in the text": (
        lambda q: q.region is not None,
        lambda q: replace(q, text=q.text.replace("{region}", "1")),
    ),
    SLOT: (always, lambda q: replace(q, text=q.text.replace("Say", "Say {name}"))),
    SPACES: (always, lambda q: replace(q, text=q.text.replace("Say ", "Say  "))),
    "no evidence": (always, lambda q: replace(q, evidence=Evidence(rule=q.evidence.rule))),
}


@given(question=questions(WIDTH, HEIGHT), reason=st.sampled_from(sorted(SPOILERS)))
@settings(max_examples=100)
def test_any_single_mutation_is_caught(question: Question, reason: str) -> None:
    applies, spoil = SPOILERS[reason]
    if applies(question):
        assert reason in check(spoil(question))


@pytest.mark.parametrize("task", TASKS)
def test_strategy_reaches_every_task(task: str) -> None:
    @given(questions(WIDTH, HEIGHT, tasks=(TASKS[task],)))
    @settings(max_examples=5, database=None)
    def holds(question: Question) -> None:
        assert question.task == task
        assert check(question) == ()

    holds()
