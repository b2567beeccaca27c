"""The last lines of a build: what a person should know beside the table."""

from __future__ import annotations

from typing import Any

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.summary import closing_lines


def report(**tasks: dict[str, Any]) -> dict[str, Any]:
    """Return what the lines are made of; tasks that are not named asked nothing."""
    nothing = {"questions": 0, "not_chosen": {}}
    return {
        "tiles": {"without_questions": 0},
        "splits": {"places": 3, "tiles": {"train": 3, "val": 2, "test": 1}},
        "tasks": {name: nothing | tasks.get(name, {}) for name in TASKS},
    }


def test_an_even_data_set_has_nothing_to_tell() -> None:
    assert list(closing_lines(report())) == ["3 place(s); tiles by split: train 3, val 2, test 1"]


def test_surplus_answers_are_said() -> None:
    found = report(
        overall_counting={"questions": 1000, "not_chosen": {"answer would be too frequent": 1200}},
        object_size={"questions": 30, "not_chosen": {"beyond the limit per tile": 7}},
    )
    assert list(closing_lines(found))[1:] == ["1,200 candidates are not asked, to keep answers even (`balance`)"]
