"""Directions and distances between objects on hand-made tiles."""

from __future__ import annotations

import pytest

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Gsd, Outline, TileObject
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import ask, make_facts, make_object, right_texts, square


def pair(x: float, y: float) -> list[TileObject]:
    """Return a ship in the middle and a plane at (x, y)."""
    return [make_object("ship", "ship", square(500, 500)), make_object("plane", "plane", square(x, y))]


@pytest.mark.parametrize(
    ("x", "y", "of_plane", "of_ship"),
    [(500, 200, "north", "south"), (800, 200, "northeast", "southwest"), (200, 520, "west", "east")],
)
def test_direction_is_of_the_one_as_seen_from_the_other(x: float, y: float, of_plane: str, of_ship: str) -> None:
    questions, _ = ask("object_spatial_relationship", make_facts(objects=pair(x, y), north_deg=0.0))
    answers = {question.evidence.feature_ids: right_texts(question) for question in questions}
    # feature_ids are (start, end): the direction of the end as seen from the start
    assert answers == {("ship", "plane"): [of_plane], ("plane", "ship"): [of_ship]}


@pytest.mark.parametrize(
    ("x", "y", "offered"),
    [
        (500, 200, {"north", "east", "south", "west"}),
        (200, 520, {"north", "east", "south", "west"}),
        (800, 200, {"northeast", "southeast", "southwest", "northwest"}),
    ],
)
def test_directions_are_offered_that_lie_at_right_angles(x: float, y: float, offered: set[str]) -> None:
    # Only the right one of them is told by nothing else: each is 90° from its neighbours.
    questions, _ = ask("object_spatial_relationship", make_facts(objects=pair(x, y), north_deg=0.0))
    assert [{option.text for option in question.options} for question in questions] == [offered, offered]


def test_without_north_the_offered_directions_are_those_of_the_image() -> None:
    (question, *_), _ = ask("object_spatial_relationship", make_facts(objects=pair(500, 200)))
    assert {option.text for option in question.options} == {"above", "to the right", "below", "to the left"}


def test_directions_take_turns() -> None:
    # House and silo are north of the ship, the plane is west of it: no answer comes twice before each has come once.
    north = [make_object(name, name, square(500 + 5 * k, 100 + 2 * k)) for k, name in enumerate(("house", "silo"))]
    objects = [*north, make_object("ship", "ship", square(500, 900)), make_object("plane", "plane", square(150, 900))]
    for seed in range(5):
        questions, _ = ask(
            "object_spatial_relationship", make_facts(objects=objects, north_deg=0.0), seed=seed, limit=4
        )
        answers = [text for question in questions for text in right_texts(question)]
        assert sorted(answers) == ["east", "north", "south", "west"]


def test_without_north_directions_are_of_the_image() -> None:
    questions, _ = ask("object_spatial_relationship", make_facts(objects=pair(800, 200)))
    assert {*map(tuple, map(right_texts, questions))} == {("to the upper right",), ("to the lower left",)}
    assert all("compass" not in question.text for question in questions)


def test_directions_follow_true_north() -> None:
    # North is to the right, so what is above lies in the west.
    questions, _ = ask("object_spatial_relationship", make_facts(objects=pair(500, 200), north_deg=90.0))
    answers = {question.evidence.feature_ids: right_texts(question) for question in questions}
    assert answers[("ship", "plane")] == ["west"]


def test_no_direction_near_a_border_of_sectors() -> None:
    # 300 px up and 124 px right: 22.5°, right between north and northeast.
    questions, reasons = ask("object_spatial_relationship", make_facts(objects=pair(624, 200), north_deg=0.0))
    assert questions == []
    assert set(reasons) == {"direction near the border of two sectors"}


def test_no_direction_between_neighbours() -> None:
    questions, reasons = ask("object_spatial_relationship", make_facts(objects=pair(500, 475), north_deg=0.0))
    assert questions == []
    assert set(reasons) == {"objects too close together for a direction"}


def test_no_direction_when_an_object_is_one_of_many() -> None:
    objects = [*pair(500, 200), make_object("other", "plane", square(515, 215))]
    questions, reasons = ask(
        "object_spatial_relationship", make_facts(objects=objects, north_deg=0.0, complete=["plane"])
    )
    assert (questions, reasons) == ([], ["no two objects that can be described uniquely"])


def test_distance_is_between_centres_on_the_ground() -> None:
    # 300 px right · 0.5 m and 400 px up · 0.25 m: hypot(150, 100) = 180.28 m, about 180 m.
    facts = make_facts(objects=pair(800, 100), gsd_m=Gsd(0.5, 0.25))
    (question, *_), _ = ask("object_distance", facts)
    assert question.evidence.values["distance_m"] == pytest.approx(180.28)
    line = question.evidence.geometry
    assert line is not None
    assert sorted(line.coords) == [(500, 500), (800, 100)]
    assert right_texts(question) == ["about 180 m"]
    assert "centre" in question.text
    assert check_question(question, width=1000, height=1000) == ()


def test_distance_needs_a_scale() -> None:
    assert ask("object_distance", make_facts(objects=pair(800, 100))) == ([], ["no GSD"])


def many_ships() -> list[TileObject]:
    """Return four ships that no description tells apart."""
    return [make_object(f"s{x}", "ship", square(x, 500)) for x in (490, 515, 540, 465)]


def test_a_distance_is_asked_from_a_described_object_to_one_at_a_point() -> None:
    objects = [*many_ships(), make_object("plane", "plane", square(500, 100))]
    questions, _ = ask("object_distance", make_facts(objects=objects, gsd_m=Gsd(1, 1), complete=["plane"]))
    assert questions
    for question in questions:
        assert "1000" in question.text
        assert question.text.count("[") == 1
        assert "the plane" in question.text
        assert check_question(question, width=1000, height=1000) == ()


def test_a_distance_between_two_points_is_not_asked_since_no_image_is_needed_to_compute_it() -> None:
    facts = make_facts(objects=many_ships(), gsd_m=Gsd(1, 1), complete=[])
    assert ask("object_distance", facts) == ([], ["no two objects that can be described uniquely"])


def test_a_distance_says_what_a_pixel_measures() -> None:
    (question, *_), _ = ask("object_distance", make_facts(objects=pair(800, 100), gsd_m=Gsd(0.25, 0.25)))
    assert "0.25 m" in question.text


def test_points_have_no_known_centre() -> None:
    objects = [make_object("s", "ship", square(500, 500).centroid, outline=Outline.POINT), *pair(100, 100)[1:]]
    assert ask("object_distance", make_facts(objects=objects, gsd_m=Gsd(1, 1)))[0] == []


@pytest.mark.parametrize(
    "key",
    [
        "object_spatial_relationship.compass",
        "object_spatial_relationship.image",
        "object_distance.question",
    ],
)
def test_there_are_ten_wordings(key: str) -> None:
    assert len(set(load_phrases().alternatives(key))) >= 10
