"""Yes and no take turns, and no is only said of what is surely absent."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from shapely import Point

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import TileObject
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import ask, classes_with, make_class, make_facts, make_object, right_texts, square


def test_present_and_absent_classes_are_told_apart_in_turns() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100)), make_object("c", "car", square(300, 300))])
    questions, reasons = ask("object_presence", facts, limit=20)
    answers = {question.evidence.values["class"]: right_texts(question) for question in questions}
    assert {name for name, right in answers.items() if right == ["Yes"]} == {"ship", "car"}
    absent = {name for name, right in answers.items() if right == ["No"]}
    assert absent == {"bicycle", "plane", "house", "silo"}
    assert reasons == []
    first_four = [right_texts(question)[0] for question in questions[:4]]
    assert first_four in (["Yes", "No"] * 2, ["No", "Yes"] * 2)


def test_an_absent_class_that_goes_with_the_present_one_comes_first() -> None:
    facts = make_facts(objects=[make_object("c", "car", square(100, 100))])
    for seed in range(20):
        questions, _ = ask("object_presence", facts, seed=seed, limit=20)
        absent = [question.evidence.values["class"] for question in questions if right_texts(question) == ["No"]]
        assert absent[0] == "bicycle"  # a vehicle too
        assert len(absent) == 5


def test_a_single_question_is_yes_or_no_by_a_coin() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100))])
    answers = Counter(right_texts(ask("object_presence", facts, seed=seed, limit=1)[0][0])[0] for seed in range(200))
    # 100 expected, standard deviation sqrt(200 * 0.25) = 7
    assert 70 < answers["Yes"] < 130
    assert answers["Yes"] + answers["No"] == 200


def test_absence_is_only_a_fact_for_complete_classes() -> None:
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100))], complete=["ship", "silo"])
    for seed in range(10):
        questions, _ = ask("object_presence", facts, seed=seed)
        assert {question.evidence.values["class"]: right_texts(question) for question in questions} == {
            "ship": ["Yes"],
            "silo": ["No"],
        }


def test_a_member_of_a_narrower_class_keeps_its_broader_one_from_being_absent() -> None:
    facts = make_facts(
        objects=[make_object("t", "tug", square(100, 100))],
        classes=classes_with(make_class("tug", broader=("ship",))),
        complete=["ship", "tug"],
    )
    assert ask("object_presence", facts) == ([], ["no class is known to be absent"])


@pytest.mark.parametrize(
    "overlooked",
    [
        make_object("s", "ship", square(100, 100, side=7)),
        make_object("s", "ship", square(100, 100), visible=0.3),
        make_object("s", "ship", square(100, 100), certain=False),
        make_object("s", "ship", Point(100, 100)),
    ],
)
def test_what_may_be_overlooked_is_neither_present_nor_absent(overlooked: TileObject) -> None:
    assert ask("object_presence", make_facts(objects=[overlooked])) == (
        [],
        ["nothing that is certainly visible"],
    )


def test_an_empty_tile_asks_nothing_since_every_answer_would_be_no() -> None:
    assert ask("object_presence", make_facts()) == ([], ["nothing that is certainly visible"])


def test_the_evidence_names_a_visible_member() -> None:
    small, large = make_object("a", "ship", square(100, 100)), make_object("b", "ship", square(300, 300, side=60))
    questions, _ = ask("object_presence", make_facts(objects=[small, large]), limit=2)
    by_rule = {question.evidence.rule: question.evidence.feature_ids for question in questions}
    assert by_rule == {"labelled_and_visible": ("b",), "fully_labelled_without_member": ()}


def test_there_are_five_wordings_and_every_one_passes_the_checks() -> None:
    wordings = load_phrases().alternatives("object_presence.question")
    assert len(set(wordings)) >= 5
    facts = make_facts(objects=[make_object("s", "ship", square(100, 100))])
    seen = set()
    for seed in random.Random(0).sample(range(10_000), 80):
        for question in ask("object_presence", facts, seed=seed)[0]:
            assert check_question(question, width=1000, height=1000) == ()
            if right_texts(question) == ["Yes"]:
                seen.add(question.text)
    assert seen == {wording.format(singular="ship", plural="ships") for wording in wordings}
