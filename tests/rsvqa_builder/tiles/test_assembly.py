"""From the candidates in the journal to the records of a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.dealing import LetterDealer
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings, ImageFormat
from rsvqa.rsvqa_builder.tiles import assembly
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedTiles
from rsvqa.rsvqa_builder.tiles.asked_tiles import rows_of as make_rows
from rsvqa.rsvqa_builder.tiles.assembly import AskedQuestions, Selection, choose_questions, read_tiles
from rsvqa.rsvqa_builder.tiles.dedup import ExcludedImages
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
from rsvqa.rsvqa_builder.tiles.store import FolderStore
from rsvqa.rsvqa_builder.tiles.tile_work import SceneWork, TileJob

IMAGES = {"tile": 3, "tile_marked": 4}


def counted(count: int, *, images: tuple[str, ...] = ("tile",), wrong: tuple[str, ...] = ()) -> Candidate:
    """Return a question after a count; one that shows the marked copy is of the regional task."""
    return Candidate(
        task="overall_counting" if images == ("tile",) else "regional_counting",
        text="How many?",
        answer="",
        options=(Option(str(count), True), *(Option(text, False) for text in wrong)),
        box=None,
        images=images,
        evidence={"rule": "count", "values": {"count": count}},
        form=AnswerForm.ONE_OF,
        strata=("whole", "car"),
        pool="whole",
        value=count,
        min_ratio=1.1,
    )


def job(position: int, folder: Path, source: str = "s") -> TileJob:
    scene = Scene(scene_id="a", path="a.tif", width=100, height=100, bands=(1, 2, 3), dtype="uint8")
    return TileJob(
        position=position,
        image_id=f"a/{position}_0",
        work=SceneWork(
            scene=scene, stretch=None, labels=None, complete_classes=frozenset(), mapped_classes=frozenset()
        ),
        source=source,
        licence=None,
        other_date="",
        window=Window(0, 0, 100, 100),
        later=None,
        missing={},
        classes={},
        ask=AskSettings({}),
        min_valid=0.0,
        image_format=ImageFormat.JPEG,
        quality=90,
        may_be_excluded=False,
        excluded=None,
        store=FolderStore(folder),
    )


def rows_of(tiles: list[tuple[Candidate, ...]], folder: Path, **settings: object) -> list[TileRows]:
    """Write a journal of tiles with these candidates and return their rows."""
    journal = Journal(FolderStore(folder))
    for position, candidates in enumerate(tiles):
        result = TileResult(valid_share=1.0, images=dict(IMAGES), candidates=candidates)
        journal.write(job(position, folder).digest, result, {key: b"x" * size for key, size in IMAGES.items()})
    selection = Selection(
        splits=dict.fromkeys(range(len(tiles)), "train"), dropped={}, excluded={}, alike=(), num_places=1
    )
    wanted = BuildSettings.model_validate({"src": "scenes", **settings})
    jobs = [job(position, folder) for position in range(len(tiles))]
    asked = choose_questions(jobs, read_tiles(jobs, journal, {}, ExcludedImages()), selection, wanted, {"s": None})
    return all_rows(jobs, journal, asked, wanted)


def all_rows(jobs: list[TileJob], journal: Journal, asked: AskedQuestions, settings: BuildSettings) -> list[TileRows]:
    """Return the kept tiles in plan order."""
    made = AskedTiles(jobs, journal, asked.offered, asked.choices, settings)
    dealer = LetterDealer(settings.seed)
    return [
        make_rows(made.asked_tile(place), journal, dealer, language=settings.language) for place in range(len(made))
    ]


def test_counts_of_a_data_set_are_each_others_wrong_options(tmp_path: Path) -> None:
    rows = rows_of([(counted(count),) for count in (2, 5, 9, 14)], tmp_path)
    records = [record for tile in rows for record in tile.records]
    assert [record.question_id for record in records] == [f"a/{position}_0/OC1" for position in range(4)]
    assert [record.right_options for record in records] == [("2",), ("5",), ("9",), ("14",)]
    assert all({*record.option_texts} == {"2", "5", "9", "14"} for record in records)
    assert sorted(record.answer for record in records) == ["A", "B", "C", "D"]


def test_a_source_beyond_its_share_gives_away_what_was_chosen(tmp_path: Path) -> None:
    # 4 + 4 tiles with two counts each, of which one per tile is asked: the share holds for what is asked, not offered
    journal = Journal(FolderStore(tmp_path))
    counts = iter(range(2, 18))
    for position in range(8):
        candidates = (counted(next(counts)), counted(next(counts)))
        result = TileResult(valid_share=1.0, images=dict(IMAGES), candidates=candidates)
        journal.write(job(position, tmp_path).digest, result, {key: b"x" * size for key, size in IMAGES.items()})
    selection = Selection(splits=dict.fromkeys(range(8), "train"), dropped={}, excluded={}, alike=(), num_places=1)
    settings = BuildSettings.model_validate({"src": "scenes", "per_task": 1})
    jobs = [job(position, tmp_path, "a" if position < 4 else "b") for position in range(8)]
    asked = choose_questions(
        jobs, read_tiles(jobs, journal, {}, ExcludedImages()), selection, settings, {"a": 0.2, "b": None}
    )
    rows = all_rows(jobs, journal, asked, settings)
    assert [sum(len(tile.records) for tile in half) for half in (rows[:4], rows[4:])] == [1, 4]
    assert asked.num_beyond_share == {"a": 3}
    again = choose_questions(
        jobs, read_tiles(jobs, journal, {}, ExcludedImages()), selection, settings, {"a": 0.2, "b": None}
    )
    assert all_rows(jobs, journal, again, settings) == rows


def test_questions_are_numbered_as_they_are_asked_and_images_nobody_asks_about_are_left_out(tmp_path: Path) -> None:
    tiles = [(counted(7), counted(count)) for count in (2, 3, 4, 5)]
    circle = (counted(7, images=("tile_marked",), wrong=("8", "9", "10")),)
    rows = rows_of([*tiles, circle, circle], tmp_path, per_task=1)
    assert [[record.question_id for record in tile.records] for tile in rows[:4]] == [
        [f"a/{position}_0/OC1"] for position in range(4)
    ]
    # one answer alone: the second circle is not asked about, so its tile is a plain one
    regional = rows[4:]
    assert sorted(len(tile.records) for tile in regional) == [0, 1]
    assert {len(tile.records): dict(tile.tile.images) for tile in regional} == {0: {"tile": 3}, 1: IMAGES}


@pytest.mark.parametrize("candidates", [(), (counted(7),)])
def test_a_tile_on_which_nothing_is_chosen_stays_without_questions(
    candidates: tuple[Candidate, ...], tmp_path: Path
) -> None:
    (rows,) = rows_of([candidates], tmp_path, balance="strict")
    assert rows.records == ()
    assert rows.tile.images == {"tile": 3}


@pytest.mark.parametrize("tiles_at_once", [1, 3])
def test_it_makes_no_difference_how_many_tiles_are_read_at_once(
    tiles_at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter(range(2, 100))
    tiles = [tuple(counted(next(counts)) for _ in range(num)) for num in (2, 0, 1, 3, 1, 2, 4)]
    whole = rows_of(tiles, tmp_path / "whole", per_task=2)
    monkeypatch.setattr(assembly, "TILES_AT_ONCE", tiles_at_once)
    assert rows_of(tiles, tmp_path / "parts", per_task=2) == whole
    # 13 counts, of which a tile may have two: 2, 0, 1, 2, 1, 2 and 2
    assert [len(tile.records) for tile in whole] == [2, 0, 1, 2, 1, 2, 2]


def test_what_left_out_tiles_offer_and_say_is_not_counted(tmp_path: Path) -> None:
    journal = Journal(FolderStore(tmp_path))
    jobs = [job(position, tmp_path) for position in range(4)]
    for place, one in enumerate(jobs):
        result = TileResult(
            valid_share=1.0,
            images=dict(IMAGES),
            candidates=(counted(2 + 3 * place),),
            not_asked={"overall_counting": {"no cars": 10**place}},
            failures={"object_presence": f"broken on {place}"},
        )
        journal.write(one.digest, result, {key: b"x" * size for key, size in IMAGES.items()})
    selection = Selection(splits={0: "train", 2: "val"}, dropped={}, excluded={}, alike=(), num_places=1)
    settings = BuildSettings.model_validate({"src": "scenes", "balance": "off"})
    tiles = read_tiles(jobs, journal, {}, ExcludedImages())
    asked = choose_questions(jobs, tiles, selection, settings, {"s": None})
    assert (asked.offered.positions, asked.offered.splits) == ([0, 2], ["train", "val"])
    assert asked.reasons.not_asked == {"overall_counting": {"no cars": 101}}
    assert asked.reasons.failures == ("broken on 0", "broken on 2")
    assert [asked.offered.sizes(place) for place in range(2)] == [IMAGES, IMAGES]


def test_a_scene_that_failed_is_not_read(tmp_path: Path) -> None:
    tiles = read_tiles([job(0, tmp_path)], Journal(FolderStore(tmp_path)), {"a": "broken"}, ExcludedImages())
    assert (tiles.batches, tiles.excluded) == ([], {})
