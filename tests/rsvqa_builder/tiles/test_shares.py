"""How many questions of each source stay, and which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.tiles.shares import allowed_questions, beyond_shares


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


def test_what_is_given_away_is_drawn_from_all_of_a_source() -> None:
    asked = {"a": np.arange(100), "b": np.arange(100, 120)}
    surplus = beyond_shares(asked, {"a": 0.5, "b": None}, seed=0)
    assert set(surplus) == {"a"}
    assert len(surplus["a"]) == 80
    assert surplus["a"] < set(range(100))
    assert all(len(surplus["a"] & set(range(start, start + 50))) < 50 for start in (0, 50))
    assert surplus == beyond_shares(asked, {"a": 0.5, "b": None}, seed=0)
    assert surplus != beyond_shares(asked, {"a": 0.5, "b": None}, seed=1)
    assert beyond_shares(asked, {"a": None, "b": None}, seed=0) == {}
