"""How many questions of each source stay, and which."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.tiles.shares import allowed_questions, choose_questions


@pytest.mark.parametrize(
    ("made", "shares", "expected"),
    [
        ({}, {}, {}),
        ({"a": 7}, {"a": None}, {"a": 7}),
        ({"a": 100, "b": 300}, {"a": None, "b": None}, {"a": 100, "b": 300}),
        # b may be half of all: as many as a has
        ({"a": 100, "b": 300}, {"a": None, "b": 0.5}, {"a": 100, "b": 100}),
        ({"a": 100, "b": 300}, {"a": 0.5, "b": 0.5}, {"a": 100, "b": 100}),
        # a fifth and four fifths
        ({"a": 100, "b": 300}, {"a": 0.2, "b": 0.8}, {"a": 75, "b": 300}),
        # both bounds of 0.4 hold: c keeps its 10, which are 0.2 of 50
        ({"a": 100, "b": 300, "c": 10}, {"a": 0.4, "b": 0.4, "c": None}, {"a": 20, "b": 20, "c": 10}),
        # a share that is not reached costs nobody anything
        ({"a": 10, "b": 90}, {"a": 0.5, "b": None}, {"a": 10, "b": 90}),
        # nothing of a: its half goes to b and c, one to one
        ({"a": 0, "b": 40, "c": 90}, {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 0, "b": 40, "c": 40}),
        ({"a": 0, "b": 40}, {"a": None, "b": 0.1}, {"a": 0, "b": 40}),
        # 0.1 of 30 are 3, however 0.1 is rounded
        ({"a": 27, "b": 30}, {"a": None, "b": 0.1}, {"a": 27, "b": 3}),
    ],
)
def test_how_many_stay(made: dict[str, int], shares: dict[str, float | None], expected: dict[str, int]) -> None:
    assert allowed_questions(made, shares) == expected


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 500), min_size=1),
    st.fixed_dictionaries({name: st.none() | st.floats(0.3, 1) for name in "abcd"}),
)
def test_no_source_has_more_than_its_share(made: dict[str, int], shares: dict[str, float | None]) -> None:
    allowed = allowed_questions(made, shares)
    total = sum(allowed.values())
    bounds = {name: shares[name] or 1 for name, count in made.items() if count}
    scale = max(1, 1 / sum(bounds.values())) if bounds else 1
    assert (total > 0) == any(made.values())
    for name, bound in bounds.items():
        # rounding moves each source by half a question, and the total by half a question per source
        assert allowed[name] <= min(made[name], bound * scale * (total + len(bounds) / 2) + 0.5 + 1e-6)


def test_what_stays_is_from_all_tiles() -> None:
    counts = [("a", 0, 50), ("a", 1, 50), ("b", 2, 20), ("a", 3, 0)]
    kept = choose_questions(counts, {"a": 0.5, "b": None}, seed=0)
    assert set(kept) == {0, 1}
    assert sum(len(numbers) for numbers in kept.values()) == 20
    assert min(len(numbers) for numbers in kept.values()) >= 5
    assert all(max(numbers) < 50 for numbers in kept.values())
    assert kept == choose_questions(counts, {"a": 0.5, "b": None}, seed=0)
    assert kept != choose_questions(counts, {"a": 0.5, "b": None}, seed=1)


def test_a_tile_that_loses_all_its_questions_is_there() -> None:
    counts = [*(("a", position, 1) for position in range(10)), ("b", 10, 1)]
    kept = choose_questions(counts, {"a": 0.5, "b": 0.5}, seed=0)
    assert Counter(len(numbers) for numbers in kept.values()) == {0: 9, 1: 1}
