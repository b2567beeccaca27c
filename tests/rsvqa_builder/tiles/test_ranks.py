"""Which tiles each rank of a job array does."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.label_files.discovery import LabelFiles
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from rsvqa.rsvqa_builder.scenes.pairs import DatePair
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings
from rsvqa.rsvqa_builder.source_settings import load_sources
from rsvqa.rsvqa_builder.tiles.preparing import PrepareJob
from rsvqa.rsvqa_builder.tiles.ranks import Rank, deal

TILE = 64


def scene(name: str, width: int, height: int) -> Scene:
    """Return a scene of so many tiles of 64 px."""
    return Scene(
        scene_id=name, path=f"{name}.tif", width=width * TILE, height=height * TILE, bands=(1, 2, 3), dtype="uint8"
    )


def jobs_of(*scenes: Scene) -> list[PrepareJob]:
    source = load_sources(BuildSettings.model_validate({"src": ".", "tile_size": TILE}))[0]
    table = load_class_table("auto")
    return [
        PrepareJob(
            number=number,
            scene=one,
            label_files=LabelFiles(),
            frames={},
            source=source,
            table=table,
            work=Path("work"),
        )
        for number, one in enumerate(scenes)
    ]


def test_the_longest_runs_go_first_to_the_rank_with_the_least() -> None:
    # 32 tiles over 2 ranks: runs of at most 32 / (4 * 2) = 4 tiles; "a" gives 4 4 4 4 4, "b" 4 3 (7 in a row), "c" 4 1
    jobs = jobs_of(scene("a", 20, 1), scene("b", 7, 1), scene("c", 5, 1))
    dealt = [deal(jobs, [], Rank(number, 2)) for number in (0, 1)]
    assert [{name: len(windows) for name, windows in one.windows.items()} for one in dealt] == [
        {"a": 12, "c": 4},  # the runs of 4 by turns: rank 0 has a0 a2 a4 c0, rank 1 a1 a3 b0
        {"a": 8, "b": 7, "c": 1},  # and then what is left: 3 of b, 1 of c
    ]


def test_a_pair_of_dates_counts_twice_and_brings_its_later_scene_along() -> None:
    earlier, later, alone = scene("earlier", 1, 1), scene("later", 1, 1), scene("single", 2, 1)
    pairs = [DatePair(earlier, later, None, None)]
    # runs of one tile: earlier counts 2, each tile of single 1, later 1. Of two ranks the first has earlier, the second
    # those of single; then both have 2, and later goes to the first. Of three, the second is the first that has 1
    dealt = [deal(jobs_of(alone, earlier, later), pairs, Rank(number, 2)) for number in (0, 1)]
    assert [sorted(one.windows) for one in dealt] == [["earlier", "later"], ["single"]]
    assert [sorted(one.scenes) for one in dealt] == [["earlier", "later"], ["single"]]
    three = [deal(jobs_of(alone, earlier, later), pairs, Rank(number, 3)) for number in range(3)]
    assert [sorted(one.windows) for one in three] == [["earlier"], ["later", "single"], ["single"]]
    assert sorted(three[0].scenes) == ["earlier", "later"]


def test_ranks_beyond_the_tiles_have_nothing_however_many_there_are() -> None:
    jobs = jobs_of(scene("a", 2, 1))
    dealt = [deal(jobs, [], Rank(number, 10**15)) for number in (0, 1, 2, 10**15 - 1)]
    assert [sum(map(len, one.windows.values())) for one in dealt] == [1, 1, 0, 0]


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=6),
    total=st.integers(1, 9),
)
def test_every_tile_is_dealt_to_one_rank(sizes: list[tuple[int, int]], total: int) -> None:
    jobs = jobs_of(*(scene(f"s{number}", *size) for number, size in enumerate(sizes)))
    dealt: list[tuple[str, Window]] = []
    counts = []
    for number in range(total):
        own = [
            (name, window)
            for name, windows in deal(jobs, [], Rank(number, total)).windows.items()
            for window in windows
        ]
        counts.append(len(own))
        dealt += own
    assert sorted(dealt) == sorted((job.scene.scene_id, window) for job in jobs for window in job.windows)
    # no rank has more than its even share and one run
    assert max(counts) <= len(dealt) / total + max(1, len(dealt) / (4 * total))
