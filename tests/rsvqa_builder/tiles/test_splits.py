"""Splits by place."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Polygon, box

from rsvqa.rsvqa_builder.tiles import splits as splits_module
from rsvqa.rsvqa_builder.tiles.splits import assign_splits, group_places, overlapping_footprints


def places_of(scenes: list[str], footprints: Sequence[Polygon | None], alike: list[tuple[int, int]]) -> list[list[int]]:
    return group_places(scenes, lambda indices: [footprints[index] for index in indices], alike)


def test_no_tile_is_no_place() -> None:
    assert places_of([], [], []) == []


def test_neighbours_are_found_however_many_are_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits_module, "_LOOKED_AT_ONCE", 2)
    footprints = [box(0, 0, 1, 1), None, box(5, 0, 6, 1), box(6, 0, 7, 1), box(1, 1, 2, 2)]
    assert places_of(list("abcde"), footprints, []) == [[0, 4], [1], [2, 3]]


def test_tiles_that_touch_on_the_ground_are_one_place() -> None:
    footprints = [box(0, 0, 1, 1), box(1, 0, 2, 1), box(5, 5, 6, 6)]
    assert places_of(["a", "b", "c"], footprints, []) == [[0, 1], [2]]


def test_tiles_a_centimetre_apart_touch_and_a_kilometre_apart_do_not() -> None:
    # one degree is about 111 km: 1e-7° is 1 cm, 1e-2° is 1.1 km
    assert places_of(["a", "b"], [box(0, 0, 1, 1), box(1 + 1e-7, 0, 2, 1)], []) == [[0, 1]]
    assert places_of(["a", "b"], [box(0, 0, 1, 1), box(1.01, 0, 2, 1)], []) == [[0], [1]]


def test_tiles_of_one_scene_without_georeference_are_one_place() -> None:
    assert places_of(["a", "b", "a"], [None, None, None], []) == [[0, 2], [1]]


def test_tiles_that_look_alike_are_one_place() -> None:
    assert places_of(["a", "b", "c"], [None, None, None], [(0, 2)]) == [[0, 2], [1]]


def test_a_place_of_three_scenes_in_a_row_is_joined_through_the_middle_one() -> None:
    footprints = [box(0, 0, 1, 1), box(2, 0, 3, 1), box(1, 0, 2, 1)]
    assert places_of(["a", "b", "c"], footprints, []) == [[0, 1, 2]]


def test_shares_are_met_over_many_places() -> None:
    splits = assign_splits([[index] for index in range(100)], (0.8, 0.1, 0.1), seed=0)
    found = [list(splits.values()).count(name) for name in ("train", "val", "test")]
    assert found == [80, 10, 10]


def test_a_share_of_zero_gets_nothing() -> None:
    splits = assign_splits([[index] for index in range(10)], (0.5, 0.0, 0.5), seed=0)
    assert "val" not in splits.values()


def test_another_seed_deals_the_places_otherwise() -> None:
    places = [[index] for index in range(30)]
    assert assign_splits(places, (0.5, 0.25, 0.25), seed=0) != assign_splits(places, (0.5, 0.25, 0.25), seed=1)


@given(
    corners=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=25),
    seed=st.integers(0, 5),
)
def test_tiles_that_touch_never_fall_into_different_splits(corners: list[tuple[int, int]], seed: int) -> None:
    footprints = [box(x, y, x + 1, y + 1) for x, y in corners]
    places = places_of([str(index) for index in range(len(corners))], footprints, [])
    splits = assign_splits(places, (0.5, 0.25, 0.25), seed=seed)
    assert sorted(splits) == list(range(len(corners)))
    for a, first in enumerate(corners):
        for b, second in enumerate(corners):
            # unit squares touch when their corners are at most 1 apart along both axes
            if abs(first[0] - second[0]) <= 1 and abs(first[1] - second[1]) <= 1:
                assert splits[a] == splits[b]


def test_overlapping_scenes_are_found_with_the_share_of_the_smaller_one() -> None:
    # the second square has half of its area in the first; the third only touches
    footprints = [box(0, 0, 4, 4), box(3, 0, 5, 2), box(4, 2, 6, 4), None]
    assert overlapping_footprints(["a", "b", "c", "d"], footprints) == [("a", "b", 0.5)]
