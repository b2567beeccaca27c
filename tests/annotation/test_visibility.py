"""The smallest extent that a question needs, and what is left of it in a reduced image."""

from __future__ import annotations

import pytest
from shapely import Point, box

from rsvqa.annotation.questions import Evidence, Question
from rsvqa.annotation.stored_evidence import decode_evidence, encode_evidence
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.visibility import ExtentFinder, shown_px
from tests.annotation.make_facts import make_area, make_facts, make_object

FACTS = make_facts(
    objects=[
        make_object("car", "car", box(100, 100, 106, 112)),
        make_object("bus", "car", box(200, 100, 210, 140)),
        make_object("point", "car", Point(5, 5)),
    ],
    areas=[make_area("wood", "forest", box(0, 0, 300, 90)), make_area("copse", "forest", box(500, 0, 520, 30))],
)


def needs(*feature_ids: str) -> float | None:
    evidence = Evidence(rule="some", feature_ids=feature_ids)
    question = Question(task="overall_counting", form=AnswerForm.TEXT, text="Which?", evidence=evidence)
    return ExtentFinder(FACTS).needs_px(question)


def test_the_shorter_side_of_the_smallest_object_must_be_seen() -> None:
    assert needs("bus", "car", "wood") == 6.0
    assert needs("bus") == 10.0


def test_of_areas_the_largest_is_enough() -> None:
    assert needs("wood", "copse") == 90.0


def test_what_has_no_extent_needs_none() -> None:
    assert needs() is None
    assert needs("point", "a road") is None


@pytest.mark.parametrize(("size", "shown"), [((4096, 2048), 5.0), ((1024, 1024), 20.0), ((500, 400), 20.0)])
def test_a_large_image_is_reduced_and_no_image_enlarged(size: tuple[int, int], shown: float) -> None:
    # 20 px; 4,096 px are shown at a quarter of their size
    assert shown_px(20, width=size[0], height=size[1]) == shown


def test_the_extent_is_stored_and_read() -> None:
    stored = encode_evidence(Evidence(rule="some", needs_px=6.0), None)
    assert stored["needs_px"] == 6.0
    assert decode_evidence(stored).needs_px == 6.0
    assert "needs_px" not in encode_evidence(Evidence(rule="some"), None)
