"""Questions that share images are one, and each reply has a value by the measures that apply to it."""

from __future__ import annotations

import pytest

from rsvqa.benchmark.scores.measures import Measure, image_clusters
from tests.benchmark.make_runs import FOUR, measured, stored


def test_questions_that_share_an_image_share_a_number() -> None:
    images = [("a",), ("b",), ("a", "c"), ("d",), ("c",), ("b", "e")]
    # a-c are one (through the pair), b-e another, d stands alone
    assert image_clusters([stored(str(n), "RCCD", "A", images=names) for n, names in enumerate(images)]) == [
        0,
        1,
        0,
        2,
        0,
        1,
    ]


def test_a_pair_may_join_groups_that_were_apart() -> None:
    replies = [stored(str(n), "OC", "A", images=names) for n, names in enumerate([("a",), ("b",), ("b", "a")])]
    assert image_clusters(replies) == [0, 0, 0]


def test_questions_without_known_images_stand_alone() -> None:
    assert image_clusters([stored("1", "OC", None, images=()), stored("2", "OC", None, images=())]) == [0, 1]


@pytest.mark.parametrize(
    ("reply", "strict", "official", "permissive"),
    [
        ("A", 1.0, 1.0, 1.0),
        ("B", 0.0, 0.0, 0.0),
        ("A. red", 1.0, 0.0, 1.0),
        ("", 0.0, 0.0, 0.0),
        ("B or A", 0.0, 0.0, 1.0),  # the last letter, for whoever wants to read one
    ],
)
def test_choices_have_a_value_by_each_parser(reply: str, strict: float, official: float, permissive: float) -> None:
    (one,) = measured([stored("1", "OCL", reply)])
    assert one.values == {Measure.STRICT: strict, Measure.OFFICIAL: official, Measure.PERMISSIVE: permissive}


def test_a_missing_reply_has_no_value() -> None:
    (one,) = measured([stored("1", "OCL", None)])
    assert one.values == {}
    assert not one.is_scored


def test_boxes() -> None:
    right = (0.0, 0.0, 0.5, 0.5)
    boxes = ["[0, 0, 4000, 1800]", "[0, 0, 4000, 3000]", "nothing here"]  # of 8000 × 6000: IoU 0.6, 1, invalid
    values = [one.values for one in measured(stored(str(n), "FVG", text, box=right) for n, text in enumerate(boxes))]
    assert [value[Measure.ACC_50] for value in values] == [1.0, 1.0, 0.0]
    assert [value[Measure.ACC_70] for value in values] == [0.0, 1.0, 0.0]
    assert [value[Measure.IOU] for value in values] == pytest.approx([0.6, 1.0, 0.0])
    assert [value.get(Measure.IOU_VALID) for value in values] == pytest.approx([0.6, 1.0, None])


def rotated(sample_id: str, replies: str) -> list[float | None]:
    """Return the circular value of a question whose right answer moves from A to D."""
    stored_replies = [
        stored(sample_id, "OC", reply if reply != "-" else None, answer=right, rotation=rotation)
        for rotation, (reply, right) in enumerate(zip(replies, "ABCD", strict=False))
    ]
    (one,) = measured(stored_replies)
    return [one.values.get(Measure.STRICT), one.values.get(Measure.STRICT_CIRCULAR)]


def test_right_in_all_rotations_or_not_right() -> None:
    assert len(FOUR) == 4
    assert rotated("all", "ABCD") == [1.0, 1.0]
    assert rotated("habit", "AAAA") == [1.0, 0.0]
    assert rotated("late", "ABCC") == [1.0, 0.0]
    assert rotated("one missing", "ABC-") == [1.0, None]
    assert rotated("not finished", "AB") == [1.0, None]
