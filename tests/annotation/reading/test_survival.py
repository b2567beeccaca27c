"""What survives and what does not, by hand."""

from __future__ import annotations

import pytest

from rsvqa.annotation.reading.survival import has_same_roles, has_same_sense, keeps_sense, lost, named_things


@pytest.mark.parametrize(
    ("text", "task", "things"),
    [
        ("How many cars are there in the image?", "overall_counting", ("cars",)),
        (
            "What colour is the house in the bounding box? Image resolution: 10 x 10. Bounding box: [1, 2, 3, 4].",
            "object_colour",
            ("house",),
        ),
        (
            "Where is the swimming pool located with respect to the blue office building?",
            "object_spatial_relationship",
            ("the swimming pool", "the blue office building"),
        ),
        (
            "How many cars lie within 20 m of any water in the image?",
            "conditional_counting",
            ("cars", "any water in the image"),
        ),
        ("What is this?", "overall_counting", None),
    ],
)
def test_things_that_a_rule_has_named_are_read_back(text: str, task: str, things: tuple[str, ...] | None) -> None:
    assert named_things(text, task) == things


OLD = "How many cars lie within 20 m of the forest?"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("Within 20 m of the forest, what number of cars can be counted?", None),
        ("How many cars lie within 25 m of the forest?", "numbers changed"),
        ("How many cars lie within 20 m of the forest in [1, 2]?", "boxes or answer form changed"),
        ("How many trucks lie within 20 m of the forest?", "what is asked about is not named"),
        ("How many cars do not lie within 20 m of the forest?", "sense changed"),
        ("How many cars lie beyond 20 m of the forest?", "sense changed"),
        ("How many cars lie within 20 m to the left of the forest?", "sense changed"),
    ],
)
def test_what_is_lost_in_a_rewording_is_told(new: str, reason: str | None) -> None:
    assert lost(OLD, new, ("cars", "the forest")) == reason


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("Is the car moving?", "Is the car in motion?", True),
        ("Is the car moving?", "Is the car parked?", False),
        ("By how many has it risen?", "What is the increase?", True),
        ("By how many has it risen?", "What is the decrease?", False),
        ("Find the largest ship.", "Find the smallest ship.", False),
        ("Find the largest ship.", "Locate the biggest ship.", True),
        ("Most people live here.", "Few people live here.", False),
        ("Is there no water?", "Isn't there water?", True),
    ],
)
def test_words_that_turn_the_sense_are_compared_by_what_they_say(old: str, new: str, is_same: bool) -> None:
    assert has_same_sense(old, new) is is_same


def test_a_richer_description_may_add_but_not_deny() -> None:
    assert keeps_sense("Where is the southernmost house?", "Where is the southernmost house, left of the road?")
    assert not keeps_sense("Where is the southernmost house?", "Where is the house?")
    assert not keeps_sense("Where is the house?", "Where is the house that is not red?")


@pytest.mark.parametrize(
    ("new", "is_same"),
    [
        ("How many red cars are at most 30 m from the house?", True),
        ("At most 30 m from the house, how many red cars are there?", True),
        ("How many of the house are at most 30 m from red cars?", False),
    ],
)
def test_what_is_counted_and_what_it_is_near_do_not_change_places(new: str, is_same: bool) -> None:
    old = "How many red cars are no farther than 30 m from the house?"
    assert has_same_roles(old, new, ("red cars", "the house")) is is_same


def test_without_a_word_for_who_is_where_the_order_stays() -> None:
    things = ("the forest", "the field")
    assert has_same_roles("Is the forest larger than the field?", "Is the forest bigger than the field?", things)
    assert not has_same_roles("Is the forest larger than the field?", "Is the field larger than the forest?", things)
