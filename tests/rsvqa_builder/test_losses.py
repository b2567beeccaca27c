"""Reasons grouped for a person."""

from __future__ import annotations

from rsvqa.rsvqa_builder.losses import MOST_LISTED, Loss, group_losses, loss_lines, without_paths


def test_texts_that_differ_in_numbers_and_names_are_one_reason() -> None:
    found = [
        ("/in/a.tif", "too small: 8 × 9 px; at least 32 px a side are needed", 1),
        ("b/0_0", "same content as a/0_0", 1),
        ("/in/c.tif", "too small: 12 × 7 px; at least 32 px a side are needed", 1),
        ("b/512_0", "same content as a/512_0", 1),
        ("b/0_512", "same content as a/0_0", 1),
    ]
    assert group_losses(found) == [
        Loss(3, "same content as a/0_0", "b/0_0"),
        Loss(2, "too small: 8 × 9 px; at least 32 px a side are needed", "/in/a.tif"),
    ]


def test_other_words_are_another_reason() -> None:
    found = [("a", "nearly the same content as c/0", 1), ("b", "same content as c/0", 1), ("a", "unknown 'x'", 2)]
    assert [loss.count for loss in group_losses([*found, ("b", "unknown 'y'", 3)])] == [5, 1, 1]


def test_nothing_lost_is_no_line() -> None:
    assert group_losses([]) == []
    assert list(loss_lines([])) == []


def test_a_line_names_an_example_unless_its_reason_does() -> None:
    losses = [
        Loss(1_200, "cut short", "a.tif"),
        Loss(1, "empty", "b.tif"),
        Loss(1, "no 'c.tif'", "c.tif"),
        Loss(2, "x", ""),
    ]
    assert list(loss_lines(losses)) == ["1,200 x cut short, e.g. a.tif", "1 x empty: b.tif", "1 x no 'c.tif'", "2 x x"]


def test_rare_reasons_are_counted_together() -> None:
    losses = [Loss(9 - number, f"reason {number}", "") for number in range(MOST_LISTED + 2)]
    # counts 9, 8, 7, 6, 5 are listed; 4 and 3 are not
    assert list(loss_lines(losses))[MOST_LISTED:] == ["7 x 2 other reasons"]
    assert list(loss_lines(losses[:-1]))[MOST_LISTED:] == ["4 x reason 5"]


def test_a_reason_that_ends_with_a_stop_goes_on_to_its_example() -> None:
    assert list(loss_lines([Loss(2, "It broke.", "a.tif")])) == ["2 x It broke, e.g. a.tif"]


def test_a_reason_for_people_elsewhere_has_no_path() -> None:
    assert without_paths("looks like the excluded image /home/my user/x.png") == "looks like the excluded image …"
    assert without_paths("zero variance: all are 77") == "zero variance: all are 77"
