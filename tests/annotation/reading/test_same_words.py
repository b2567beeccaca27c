"""Words that come and go between two texts, by hand."""

from __future__ import annotations

import pytest

from rsvqa.annotation.reading.same_words import ADDED, MISSING, difference

OLD = "How many cars inside red circle 2 lie within 20 m of the forest?"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("What is the number of cars in circle 2 that lie within 20 m of the forest?", None),
        ("Please count the cars: how many does the image show inside circle 2, within 20 m of the woodland?", None),
        ("How many cars inside red circle 2 lie within 20 m of the forest beside the airport runway?", ADDED),
        ("After the earthquake, how many cars inside red circle 2 lie within 20 m of the forest?", ADDED),
        ("How many cars around red circle 2 lie within 20 m of the forest?", ADDED),
        ("How many parked cars inside red circle 2 lie within 20 m of the forest?", ADDED),
        ("How many cars inside red circle 2 lie within 20 m of the forest forest?", ADDED),
        ("How many cars lie in red circle 2?", MISSING),
    ],
)
def test_every_content_word_is_compared(new: str, reason: str | None) -> None:
    assert difference(OLD, new).reason == reason


def test_the_words_are_told() -> None:
    found = difference("Where is the house?", "Where is the tall car?")
    assert (found.added, found.missing) == (frozenset({"tall", "car"}), frozenset({"house"}))


def test_nothing_has_no_words() -> None:
    assert difference("", "").reason is None
    assert difference("", "Cars").reason == ADDED
