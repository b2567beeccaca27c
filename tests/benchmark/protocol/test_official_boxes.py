"""Published evaluations of boxes, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.models import BoxConvention
from rsvqa.benchmark.protocol.official_boxes import BOX_EVALUATIONS, BoxReply

RIGHT = Box(0.1, 0.2, 0.3, 0.6)


def vrsbench(text: str, *, box: Box | None = None, convention: BoxConvention = "0-100") -> float | None:
    reply = BoxReply(text=text, box=box, convention=convention, size=ImageSize(512, 512))
    return BOX_EVALUATIONS["vrsbench"].compare(reply, RIGHT)


def omniearth(text: str, right: Box = RIGHT) -> float | None:
    reply = BoxReply(text=text, box=None, convention="0-1", size=ImageSize(height=50, width=200))
    return BOX_EVALUATIONS["omniearth"].compare(reply, right)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{<10><20><30><60>}", 1.0),
        # 21 × 41 = 861 right, 11 × 41 = 451 said, all of it inside
        ("{<10><20><20><60>}", 451 / 861),
        # neighbours share a row of one: 21 × 1 of 861 + 21 × 21 - 21
        ("{<10><60><30><80>}", 21 / (861 + 441 - 21)),
        ("{<40><20><60><60>}", 0.0),
        # the first four numbers, whatever they belong to: 2, 10, 20, 30, of which 11 × 11 are shared; 19 × 21 said
        ("Ship 2 at 10 20 30 60", 121 / (861 + 399 - 121)),
        ("{<10><20><30><60>|<45>}", 1.0),
        # 10, 5, 20, 30, of which 11 × 11 are shared; 11 × 26 said
        ("10.5 20 30 60", 121 / (861 + 286 - 121)),
        ("10, 20, 30", None),
        ("none", None),
        ("", None),
    ],
)
def test_vrsbench_counts_whole_hundredths_with_one_more(text: str, expected: float | None) -> None:
    assert vrsbench(text) == (None if expected is None else pytest.approx(expected))


def test_boxes_in_other_units_are_cut_to_whole_hundredths() -> None:
    # 0.109 → 10, 0.209 → 20, 0.309 → 30, 0.609 → 60
    assert vrsbench("[109, 209, 309, 609]", box=Box(0.109, 0.209, 0.309, 0.609), convention="0-1000") == 1.0
    assert vrsbench("[9, 9]", box=None, convention="0-1000") is None


def test_an_area_below_nothing_is_taken_as_it_is() -> None:
    # swapped corners: (30 - 52 + 1) × (60 - 20 + 1) = -861, and the right one is 861: nothing to divide by
    assert vrsbench("52 20 30 60") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[0.1, 0.2, 0.3, 0.6]", 1.0),
        ("[20, 10, 60, 30]", 1.0),  # pixels of 200 × 50
        ("(100, 200, 300, 600)", 1.0),  # thousandths
        ("(10, 20), (30, 60)", 1.0),  # hundredths
        ("It is at [0.1, 0.2, 0.2, 0.6], not [0.1, 0.2, 0.3, 0.6]", 0.5),
        ("0.1, 0.2, 0.3, 0.6", 0.0),  # without brackets there is no box
        ("", 0.0),
    ],
)
def test_omniearth_takes_the_best_of_four_units(text: str, expected: float) -> None:
    assert omniearth(text) == pytest.approx(expected)
