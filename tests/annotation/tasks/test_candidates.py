"""Objects are tried evenly, and a box that holds two is refused."""

from __future__ import annotations

import random

import pytest
from shapely import Point, Polygon, box

from rsvqa.annotation.facts import Box, Outline, TileObject
from rsvqa.annotation.questions import Evidence, NotAsked, Question
from rsvqa.annotation.tasks.candidates import (
    CLOSE_OUTLINES,
    BoxedObject,
    ObjectFinder,
    PointedObject,
    ask_each,
    ask_in_turns,
    box_question,
    shuffled,
    spread,
    take_turns,
)
from rsvqa.annotation.taxonomy import AnswerForm
from tests.annotation.make_facts import make_context, make_facts, make_object, rectangle, square

ANY = frozenset(Outline)


def boxed(*objects: TileObject, outlines: frozenset[Outline] = ANY) -> BoxedObject | NotAsked:
    """Return what the finder says of the first of the objects."""
    return ObjectFinder(make_facts(objects=objects)).boxed(objects[0], outlines=outlines)


def test_a_lonely_object_gets_its_box_in_whole_pixels() -> None:
    found = make_object("a", "car", rectangle(100.5, 50, 20, 10.5))  # x 90.5 to 110.5, y 44.75 to 55.25
    assert boxed(found) == BoxedObject(found, Box(90, 44, 111, 56))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (make_object("a", "car", square(50, 50), certain=False), "the object is uncertain or mostly hidden"),
        (make_object("a", "car", square(50, 50), visible=0.49), "the object is uncertain or mostly hidden"),
        (make_object("a", "car", rectangle(50, 50, 100, 7.9)), "the object is too small"),
        (
            make_object("a", "car", square(50, 50), outline=Outline.BOX),
            "the label does not follow the object closely enough",
        ),
    ],
)
def test_an_object_is_refused_with_its_reason(found: TileObject, reason: str) -> None:
    assert boxed(found, outlines=CLOSE_OUTLINES) == NotAsked(reason)


@pytest.mark.parametrize(
    ("other", "is_alone"),
    [
        (make_object("b", "ship", square(119, 100)), True),  # 1 of 20 columns shared: 5 %
        (make_object("b", "ship", square(117, 100)), False),  # 3 of 20 columns: 15 %
        (make_object("b", "ship", square(100, 100, side=6)), False),  # small, but wholly inside
        (make_object("b", "ship", square(100, 100, side=400)), False),  # large, and under all of the box
        (make_object("b", "ship", Point(108, 108)), False),
        (make_object("b", "ship", Point(130, 108)), True),
    ],
)
def test_a_box_with_another_object_is_refused(other: TileObject, is_alone: bool) -> None:
    result = boxed(make_object("a", "car", square(100, 100)), other)
    assert (result == NotAsked("another object is in the box")) is not is_alone


def test_the_box_counts_not_the_outline_when_looking_for_others() -> None:
    # a diagonal bar leaves the corners of its box to others
    bar = make_object("a", "car", rectangle(100, 100, 10, 100, clockwise_deg=45))
    assert boxed(bar, make_object("b", "car", square(75, 75))) == NotAsked("another object is in the box")


def pointed(*objects: TileObject) -> PointedObject | NotAsked:
    """Return the point that the finder gives the first of the objects."""
    return ObjectFinder(make_facts(objects=objects)).pointed(objects[0], outlines=ANY)


def test_a_point_is_the_centre_in_whole_pixels() -> None:
    bar = make_object("a", "car", rectangle(100.4, 60.6, 10, 100, clockwise_deg=45))
    # in a corner of the bar's box, away from the bar: a box could not name it
    assert pointed(bar, make_object("b", "car", square(75, 35))) == PointedObject(bar, 100, 61)


def test_an_object_bent_around_its_centre_gets_another_point_on_it() -> None:
    bent = make_object("a", "car", box(0, 0, 10, 80).union(box(10, 0, 80, 10)))  # type: ignore[arg-type]
    found = pointed(bent)
    assert isinstance(found, PointedObject)
    assert bent.geometry.contains(Point(found.x, found.y))


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (square(100, 100, side=60), "another object is in the same place"),
        (rectangle(108, 100, 8, 30), "another object is near the point"),  # its side is 4 px from (100, 100)
        (Point(102, 108), "another object is in the same place"),
    ],
)
def test_a_point_of_two_objects_names_neither(other: Polygon | Point, reason: str) -> None:
    bar = make_object("a", "car", rectangle(100, 100, 8, 120))
    assert pointed(bar, make_object("b", "ship", other)) == NotAsked(reason)


def test_classes_take_turns_and_then_the_parts_of_the_tile() -> None:
    # 1000 px: part borders at 333 and 667. Eight cars in the first part, one in the last; two ships
    cars = [make_object(f"c{i}", "car", square(20 + 30 * i, 50)) for i in range(8)]
    far = make_object("far", "car", square(900, 900))
    ships = [make_object(f"s{i}", "ship", square(500, 500 + 40 * i)) for i in range(2)]
    facts = make_facts(objects=[*cars, far, *ships])
    for seed in range(10):
        order = spread(facts, facts.objects, random.Random(seed))
        assert sorted(found.object_id for found in order) == sorted(found.object_id for found in facts.objects)
        assert {found.class_name for found in order[:2]} == {"car", "ship"}
        first_two_cars = [found.object_id for found in order if found.class_name == "car"][:2]
        assert "far" in first_two_cars


def test_the_order_depends_on_the_seed_alone() -> None:
    facts = make_facts(objects=[make_object(f"c{i}", "car", square(50 + 90 * i, 500)) for i in range(10)])
    orders = [[found.object_id for found in spread(facts, facts.objects, random.Random(seed))] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_spreading_nothing_gives_nothing() -> None:
    assert spread(make_facts(), (), random.Random(0)) == []


def test_groups_take_turns() -> None:
    assert take_turns([[1, 2, 3], [], [4], [5, 6]]) == [1, 4, 5, 2, 6, 3]
    assert take_turns([]) == []


def test_shuffling_keeps_every_item() -> None:
    assert sorted(shuffled(range(20), random.Random(3))) == list(range(20))


def test_asking_stops_at_the_limit_of_questions_or_of_tries() -> None:
    question = Question(task="object_size", form=AnswerForm.ONE_OF, text="?", evidence=Evidence(rule="rule"))
    context = make_context(make_facts(), limit=2)
    assert list(ask_each(context, range(100), lambda _: question)) == [question] * 2
    # eight tries for each of two questions
    assert len(list(ask_each(context, range(100), lambda _: NotAsked("no")))) == 16


def test_a_box_question_states_box_and_image_size() -> None:
    found = make_object("a", "car", rectangle(100.5, 50, 20, 10.5))
    context = make_context(make_facts(objects=[found], size=640))
    text = box_question(context, "object_classification.question", BoxedObject(found, Box(90, 44, 111, 56)))
    assert text.endswith(" Image resolution: 640 x 640. Bounding box: [90, 44, 111, 56].")
    assert "car" not in text


def test_answers_take_turns() -> None:
    # One red candidate among ninety grey ones, within the first 2 · 8 that are tried.
    def ask(answer: str) -> Question:
        return Question(
            task="object_colour",
            form=AnswerForm.ONE_OF,
            text="?",
            evidence=Evidence(rule="rule", values={"colour": answer}),
        )

    candidates = ["grey"] * 5 + ["red"] + ["grey"] * 85
    context = make_context(make_facts(), limit=2)
    found = list(ask_in_turns(context, candidates, ask, lambda question: question.evidence.values["colour"]))
    assert sorted(q.evidence.values["colour"] for q in found if isinstance(q, Question)) == ["grey", "red"]


def test_candidates_beyond_the_limit_of_tries_are_not_asked() -> None:
    tried: list[int] = []

    def ask(number: int) -> NotAsked:
        tried.append(number)
        return NotAsked("no")

    refused = list(ask_in_turns(make_context(make_facts(), limit=2), range(100), ask, lambda _: 0))
    assert (len(refused), tried) == (16, list(range(16)))
