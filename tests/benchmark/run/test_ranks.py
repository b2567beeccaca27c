"""Which process this is, and what its part is."""

from __future__ import annotations

import pytest

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.run.ranks import World, read_world


def test_a_process_without_a_launcher_is_alone() -> None:
    world = read_world({})
    assert world == World(0, 1)
    assert world.is_first
    world.wait_for_all()  # nobody to wait for; torch is not asked


def test_a_launcher_names_rank_and_size() -> None:
    assert read_world({"RANK": "2", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}) == World(2, 4)


@pytest.mark.parametrize(("rank", "size"), [("4", "4"), ("x", "2"), ("-1", "2"), ("0", "0")])
def test_a_place_that_is_none_is_refused(rank: str, size: str) -> None:
    with pytest.raises(RunError, match=f"RANK={rank} and WORLD_SIZE={size} in the environment are no place"):
        read_world({"RANK": rank, "WORLD_SIZE": size})


def test_shares_are_disjoint_and_whole() -> None:
    groups = list("abcdefg")
    shares = [World(rank, 3).share(groups) for rank in range(3)]
    assert shares == [["a", "d", "g"], ["b", "e"], ["c", "f"]]
