"""Circles keep clear of each other, their numbers follow from first use, and drawing hides no region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rsvqa.annotation.facts import Circle
from rsvqa.annotation.marks import MARKS_OVERLAP, TOO_MANY_MARKS, Mark, draw_marks, mark_style, place_marks
from rsvqa.annotation.questions import Evidence, Question
from rsvqa.annotation.taxonomy import AnswerForm
from tests.strategies import circles


def question(region: Circle | None) -> Question:
    return Question(
        task="regional_counting",
        form=AnswerForm.ONE_OF,
        text="How many?",
        evidence=Evidence(rule="drawn", feature_ids=("1",)),
        region=region,
    )


def place(*regions: Circle | None, max_marks: int = 9) -> tuple[tuple[Mark, ...], dict[int, int], dict[int, str]]:
    plan = place_marks([question(region) for region in regions], width=1000, height=800, max_marks=max_marks)
    return plan.marks, dict(plan.numbers), dict(plan.rejected)


LEFT, RIGHT = Circle(200, 400, 100), Circle(700, 400, 100)


def test_numbers_follow_first_use_and_identical_circles_share_one() -> None:
    marks, numbers, rejected = place(RIGHT, None, LEFT, RIGHT)
    assert marks == (Mark(1, RIGHT), Mark(2, LEFT))
    assert numbers == {0: 1, 2: 2, 3: 1}
    assert rejected == {}


def test_style_has_its_least_and_grows_with_the_image() -> None:
    assert mark_style(1000, 800) == (3, 1, 20)
    # 0.15 % and 2.5 % of 8,192 are 12.3 and 204.8.
    assert mark_style(10_000, 8192) == (12, 4, 205)


@pytest.mark.parametrize(
    ("gap", "is_clear"),
    # A ring is 3 + 2 × 1 = 5 pixels wide here, so two of them need 10.
    [(10, True), (9.9, False), (-50, False), (-199, False)],
)
def test_rings_must_not_touch(gap: float, is_clear: bool) -> None:
    other = Circle(LEFT.x + 200 + gap, LEFT.y, 100)
    assert place(LEFT, other)[2] == ({} if is_clear else {1: MARKS_OVERLAP})


def test_circle_within_a_circle_is_an_overlap() -> None:
    assert place(LEFT, Circle(200, 400, 20))[2] == {1: MARKS_OVERLAP}


def test_rejected_circle_blocks_nobody() -> None:
    # The second overlaps the first; the third overlaps the second only.
    marks, numbers, rejected = place(LEFT, Circle(380, 400, 100), Circle(560, 400, 100))
    assert [mark.circle.x for mark in marks] == [200, 560]
    assert (numbers, rejected) == ({0: 1, 2: 2}, {1: MARKS_OVERLAP})


def test_marks_are_bounded_but_shared_ones_still_pass() -> None:
    marks, numbers, rejected = place(LEFT, RIGHT, LEFT, max_marks=1)
    assert marks == (Mark(1, LEFT),)
    assert (numbers, rejected) == ({0: 1, 2: 1}, {1: TOO_MANY_MARKS})


@given(st.lists(circles(1000, 800), max_size=12))
@settings(max_examples=50)
def test_accepted_circles_are_disjoint_and_none_is_lost(regions: list[Circle]) -> None:
    marks, numbers, rejected = place(*regions)
    assert {**numbers, **rejected}.keys() == set(range(len(regions)))
    assert [mark.number for mark in marks] == list(range(1, len(marks) + 1))
    for index, number in numbers.items():
        assert marks[number - 1].circle == regions[index]
    for one in marks:
        for other in marks[: one.number - 1]:
            distance2 = (one.circle.x - other.circle.x) ** 2 + (one.circle.y - other.circle.y) ** 2
            assert distance2 > (one.circle.radius + other.circle.radius) ** 2


def blank(height: int = 400, width: int = 500, value: int = 90) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def distances(circle: Circle, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Distance of every pixel centre from the circle's centre."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return np.asarray(np.hypot(x - circle.x, y - circle.y))


def is_red(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((pixels == (255, 0, 0)).all(axis=-1))


def test_ring_is_red_between_white_and_leaves_the_inside_untouched() -> None:
    pixels = blank()
    circle = Circle(250, 200, 80)
    draw_marks(pixels, [Mark(1, circle)])
    away = distances(circle, pixels.shape)
    # Halo from 80 to 81, line from 81 to 84, halo to 85: the line's middle is pure red all around.
    assert is_red(pixels[abs(away - 82.5) <= 1]).all()
    assert (pixels[away < 80] == 90).all()
    # Along the row just above the centre, to the left (y = 199.5): x centres 250 - 80.5 and 250 - 84.5 are halo.
    assert pixels[199, 169].min() > 90
    assert pixels[199, 169, 1] > 150
    assert pixels[199, 165, 1] > 150
    assert (pixels[199, 163] == 90).all()


def test_number_stands_at_the_upper_right_of_its_ring() -> None:
    pixels = blank()
    circle = Circle(250, 200, 80)
    draw_marks(pixels, [Mark(7, circle)])
    rows, columns = np.nonzero(is_red(pixels) & (distances(circle, pixels.shape) > 86))
    # The number is 16 px high (the least) and red: a few dozen pixels, all to the upper right of the centre.
    assert 20 < len(rows) < 200
    assert columns.min() > 250 + 80 * 0.7
    assert rows.max() < 200 - 80 * 0.7
    assert columns.max() < 250 + 80 + 16
    assert rows.min() > 200 - 80 - 16


def test_different_numbers_look_different() -> None:
    seen = set()
    for number in range(1, 13):
        pixels = blank()
        draw_marks(pixels, [Mark(number, Circle(250, 200, 80))])
        seen.add(pixels.tobytes())
    assert len(seen) == 12


def test_drawing_twice_gives_the_same_bytes() -> None:
    one, other = blank(), blank()
    marks = [Mark(1, Circle(100.3, 100.7, 60.2)), Mark(2, Circle(300, 200, 90))]
    draw_marks(one, marks)
    draw_marks(other, marks)
    assert one.tobytes() == other.tobytes()
    assert (one != 90).any()


def test_nothing_is_painted_far_from_the_marks() -> None:
    pixels = blank(800, 1000)
    circle = Circle(200, 200, 60)
    draw_marks(pixels, [Mark(1, circle)])
    # The ring is 5 px wide; the number is 20 px high and 12 px wide, and clear of the ring by its half diagonal.
    assert (pixels[distances(circle, pixels.shape) > 60 + 5 + 40] == 90).all()


def test_ring_equals_the_one_computed_for_every_pixel() -> None:
    # The slow twin: no bands of rows, no ranges of columns. A circle over many bands, cut by three edges.
    pixels = blank(700, 600)
    circle = Circle(310.4, 330.6, 325.2)
    draw_marks(pixels, [Mark(1, circle)])
    line, halo, _ = mark_style(600, 700)
    from_line = abs(distances(circle, pixels.shape) - (circle.radius + halo + line / 2))[..., None]
    expected = np.full(pixels.shape, 90.0)
    for colour, reach in (((255, 255, 255), line / 2 + halo), ((255, 0, 0), line / 2 + 0.5)):
        cover = np.clip(reach - from_line, 0, 1)
        expected = np.round(expected * (1 - cover) + np.array(colour) * cover)
    expected[:120, 480:] = pixels[:120, 480:]  # the number
    assert abs(pixels - expected).max() <= 1


@given(st.lists(circles(300, 240), min_size=1, max_size=5))
@settings(max_examples=25)
def test_number_never_hides_a_region_that_has_room_beside_it(regions: list[Circle]) -> None:
    plan = place_marks([question(region) for region in regions], width=300, height=240)
    # A number is at most 18 px wide and 24 px high with its outline; it fits beside a circle away from the edges.
    marks = [
        mark
        for mark in plan.marks
        if min(mark.circle.x, mark.circle.y, 300 - mark.circle.x, 240 - mark.circle.y) > mark.circle.radius + 40
    ][:1]
    pixels = blank(240, 300)
    draw_marks(pixels, marks)
    for mark in marks:
        assert (pixels[distances(mark.circle, pixels.shape) < mark.circle.radius] == 90).all()


def test_number_moves_to_another_side_when_a_neighbour_is_in_the_way() -> None:
    # The second circle lies to the upper right of the first, so close that no number fits between them.
    first, second = Circle(200, 250, 60), Circle(292, 158, 60)
    pixels = blank()
    draw_marks(pixels, [Mark(1, first), Mark(2, second)])
    for circle in (first, second):
        assert (pixels[distances(circle, pixels.shape) < circle.radius] == 90).all()


def test_circle_that_fills_the_image_is_still_numbered() -> None:
    pixels = blank(64, 64)
    draw_marks(pixels, [Mark(1, Circle(32, 32, 32))])
    rows, columns = np.nonzero(is_red(pixels) & (distances(Circle(32, 32, 32), pixels.shape) > 38))
    assert len(rows) > 5
    assert columns.min() > 32
    assert rows.max() < 32
