"""Counts on hand-made tiles, and why some are not asked."""

from __future__ import annotations

import math

import pytest
from shapely import Point, box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import TileObject
from rsvqa.annotation.questions import REGION_SLOT
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import ask, make_facts, make_object, right_texts, square, wrong_texts


def row(class_name: str, count: int, y: float) -> list[TileObject]:
    """Return a row of squares of 20 px, 30 px apart."""
    return [make_object(f"{class_name}{i}", class_name, square(40 + 30 * i, y)) for i in range(count)]


def test_each_class_is_counted_once() -> None:
    questions, reasons = ask("overall_counting", make_facts(objects=[*row("ship", 7, 100), *row("car", 3, 300)]))
    counts = {question.evidence.values["class"]: right_texts(question) for question in questions}
    assert counts == {"ship": ["7"], "car": ["3"]}
    assert reasons == []


def test_the_text_names_the_class_and_the_evidence_the_objects() -> None:
    ((question,), _) = ask("overall_counting", make_facts(objects=row("ship", 2, 100)))
    assert "ships" in question.text
    assert "half" not in question.text
    assert question.evidence.rule == "count_whole"
    assert question.evidence.feature_ids == ("ship0", "ship1")
    assert len({*right_texts(question), *wrong_texts(question)}) == 4
    assert all(int(text) >= 0 for text in wrong_texts(question))


@pytest.mark.parametrize("seed", range(12))
def test_cut_objects_make_the_question_state_the_rule(seed: int) -> None:
    cut = make_object("cut", "ship", square(40, 300), visible=0.8)
    ((question,), _) = ask("overall_counting", make_facts(objects=[*row("ship", 2, 100), cut]), seed=seed)
    assert right_texts(question) == ["3"]
    assert "half" in question.text
    assert question.evidence.rule == "count_at_least_half"


@pytest.mark.parametrize("seed", range(12))
def test_beside_a_half_visible_one_the_question_is_about_whole_ones(seed: int) -> None:
    half = make_object("half", "ship", box(0, 290, 10, 310), visible=0.5)
    ((question,), _) = ask("overall_counting", make_facts(objects=[*row("ship", 2, 100), half]), seed=seed)
    assert right_texts(question) == ["2"]
    assert any(word in question.text for word in ("edge", "wholly inside", "show whole"))
    assert question.evidence.rule == "count_wholly_inside"


@pytest.mark.parametrize(
    ("count", "reason"), [(60, None), (61, "too many objects to be counted by eye"), (0, "no objects")]
)
def test_only_what_a_person_can_check_is_asked(count: int, reason: str | None) -> None:
    objects = [make_object(f"s{i}", "ship", square(40 + 30 * (i % 30), 100 + 40 * (i // 30))) for i in range(count)]
    questions, reasons = ask("overall_counting", make_facts(objects=objects))
    assert reasons == ([] if reason is None else [reason])
    assert [right_texts(question) for question in questions] == ([[str(count)]] if reason is None else [])


def test_zero_is_left_to_presence() -> None:
    hidden = make_object("h", "ship", square(40, 300), visible=0.1)
    assert ask("overall_counting", make_facts(objects=[hidden])) == ([], ["nothing to count"])


def test_a_doubtful_class_gives_its_reason_and_the_others_are_asked() -> None:
    facts = make_facts(objects=[*row("ship", 2, 100), *row("car", 2, 300)], complete=["car"])
    questions, reasons = ask("overall_counting", facts)
    assert [question.evidence.values["class"] for question in questions] == ["car"]
    assert reasons == ["not every instance of the class is labelled"]


def test_the_limit_holds() -> None:
    facts = make_facts(objects=[*row("ship", 2, 100), *row("car", 2, 300), *row("plane", 2, 500)])
    assert len(ask("overall_counting", facts, limit=2)[0]) == 2


@pytest.mark.parametrize("seed", range(8))
def test_a_circle_holds_the_number_of_centres_within_it(seed: int) -> None:
    # a grid of 10 px squares every 50 px; the expected number comes from distances between centres alone
    centres = [(25 + 50 * i, 25 + 50 * j) for i in range(20) for j in range(20)]
    objects = [make_object(f"s{i}", "ship", square(x, y, side=10)) for i, (x, y) in enumerate(centres)]
    questions, _ = ask("regional_counting", make_facts(objects=objects), seed=seed)
    assert questions
    for question in questions:
        circle = question.region
        assert circle is not None
        within = sum(math.dist((circle.x, circle.y), centre) <= circle.radius for centre in centres)
        assert right_texts(question) == [str(within)]
        assert REGION_SLOT in question.text


def test_other_classes_inside_the_circle_do_not_count() -> None:
    ships = [make_object(f"ship{i}", "ship", square(500 + 6 * i, 497, side=5)) for i in range(3)]
    cars = [make_object(f"car{i}", "car", square(500 + 6 * i, 503, side=5)) for i in range(3)]
    # all lie within 10 px of (509, 500); any circle near one of them, of 60 px at least, holds all
    facts = make_facts(objects=[*ships, *cars])
    questions = [question for seed in range(6) for question in ask("regional_counting", facts, seed=seed)[0]]
    counts = {(question.evidence.values["class"], *right_texts(question)) for question in questions}
    assert counts == {("ship", "3"), ("car", "3")}


def test_regions_of_one_tile_keep_apart() -> None:
    objects = [make_object(f"s{i}", "ship", square(60 + 97 * (i % 10), 60 + 97 * (i // 10))) for i in range(100)]
    questions, _ = ask("regional_counting", make_facts(objects=objects), limit=6)
    circles = [question.region for question in questions if question.region]
    assert len(circles) > 2
    for i, one in enumerate(circles):
        for other in circles[i + 1 :]:
            assert math.dist(one[:2], other[:2]) >= one.radius + other.radius + 20


@pytest.mark.parametrize(
    ("size", "objects", "reason"),
    [
        (1000, [], "no objects"),
        (100, [make_object("s", "ship", square(50, 50))], "the tile is too small for regions"),
    ],
)
def test_a_tile_without_regions_says_why(size: int, objects: list[TileObject], reason: str) -> None:
    assert ask("regional_counting", make_facts(objects=objects, size=size)) == ([], [reason])


def test_an_uncertain_object_spoils_its_circles() -> None:
    objects = [make_object("u", "ship", square(500, 500), certain=False)]
    questions, reasons = ask("regional_counting", make_facts(objects=objects))
    assert questions == []
    assert set(reasons) == {"an uncertain member of the class is in the region"}


def test_a_cloud_of_points_is_counted_by_their_centres() -> None:
    # a circle of 60 px or more whose centre is at most 30 px from one of them along both axes holds all five
    objects = [make_object(f"p{i}", "ship", Point(496 + 2 * i, 500)) for i in range(5)]
    questions, _ = ask("regional_counting", make_facts(objects=objects), limit=1)
    assert [right_texts(question) for question in questions] == [["5"]]


def test_answers_of_regional_counting_take_turns() -> None:
    # Nine single ships and one pair, all far apart: circles beside the pair are a sixth of those that can be drawn.
    places = [(110 + 390 * (i % 3), 110 + 390 * (i // 3)) for i in range(9)]
    objects = [make_object(f"s{i}", "ship", square(x, y)) for i, (x, y) in enumerate([*places, (530, 500)])]
    answers = [
        right_texts(ask("regional_counting", make_facts(objects=objects), seed=seed, limit=2)[0][0])
        for seed in range(40)
    ]
    # the rarer one comes first, where a circle beside the pair was found
    assert answers.count(["2"]) > 30


@pytest.mark.parametrize(
    "key",
    [
        "overall_counting.whole",
        "overall_counting.at_least_half",
        "overall_counting.wholly_inside",
        "regional_counting.question",
    ],
)
def test_there_are_five_wordings_and_every_one_passes_the_checks(key: str) -> None:
    wordings = load_phrases().alternatives(key)
    assert len(set(wordings)) >= 5
    visible = 0.8 if key.endswith("half") else 1.0
    objects = [make_object("s", "ship", square(500, 500), visible=visible)]
    if key.endswith("inside"):
        objects.append(make_object("half", "ship", box(0, 290, 10, 310), visible=0.5))
    facts = make_facts(objects=objects)
    seen = set()
    for seed in range(60):
        questions, _ = ask(key.split(".")[0], facts, seed=seed, limit=1)
        for question in questions:
            assert check_question(question, width=1000, height=1000) == ()
            seen.add(question.text)
    assert seen == {wording.format(plural="ships", region=REGION_SLOT) for wording in wordings}
