"""A shard as a unit of work: what is written, what is written again, and what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import simplejpeg

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.dealing import LetterDealer
from rsvqa.annotation.questions import Option
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.dataset import shards as shards_module
from rsvqa.rsvqa_builder.dataset.shards import ShardError, TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.georeference import AffineCoefficients, window_footprints
from rsvqa.rsvqa_builder.scenes.scene import Scene
from rsvqa.rsvqa_builder.scenes.tiling import Window
from rsvqa.rsvqa_builder.settings import BuildSettings, ImageFormat
from rsvqa.rsvqa_builder.tiles.asked_tiles import AskedTiles, rows_of
from rsvqa.rsvqa_builder.tiles.assembly import Selection, choose_questions, read_tiles
from rsvqa.rsvqa_builder.tiles.dedup import ExcludedImages
from rsvqa.rsvqa_builder.tiles.journal import Candidate, Journal, TileResult
from rsvqa.rsvqa_builder.tiles.shard_work import (
    MadeShard,
    PickJob,
    PlannedShards,
    do_shard,
    pick_records,
    plan_shard_work,
    read_told,
)
from rsvqa.rsvqa_builder.tiles.store import FolderStore
from rsvqa.rsvqa_builder.tiles.tile_work import SceneWork, TileJob

SIDE = 100
SETTINGS = BuildSettings.model_validate({"src": "scenes", "shard_mb": 1})
NUM_TILES = 5
CRS = pyproj.CRS.from_epsg(32632).to_wkt()
PLACE = AffineCoefficients(0.5, 0, 500_000, 0, -0.5, 5_400_000)


def picture(number: int) -> bytes:
    """Return an image of about 470,000 bytes once it is padded: two fit into a shard of 1 MB."""
    encoded: bytes = simplejpeg.encode_jpeg(np.full((SIDE, SIDE, 3), 10 * number, np.uint8), quality=90)
    return encoded + bytes(470_000)


def counted(count: int) -> Candidate:
    return Candidate(
        task="overall_counting",
        text=f"How many, {count}?",
        answer="",
        options=(Option(str(count), True),),
        box=None,
        images=("tile",),
        evidence={"rule": "count", "values": {"count": count}},
        form=AnswerForm.ONE_OF,
        strata=("whole", "car"),
        pool="whole",
        value=count,
        min_ratio=1.1,
    )


def job(position: int, folder: Path) -> TileJob:
    scene = Scene(
        scene_id="a",
        path="a.tif",
        width=SIDE * NUM_TILES,
        height=SIDE,
        bands=(1, 2, 3),
        dtype="uint8",
        crs=CRS,
        transform=PLACE,
        footprint=window_footprints(CRS, PLACE, [Window(0, 0, SIDE * NUM_TILES, SIDE)])[0],
    )
    return TileJob(
        position=position,
        image_id=f"a/{position * SIDE}_0",
        work=SceneWork(scene=scene, stretch=None, labels=None, complete_classes=frozenset()),
        source="s",
        licence="CC0",
        other_date="",
        window=Window(position * SIDE, 0, SIDE, SIDE),
        later=None,
        missing={},
        classes={},
        ask=AskSettings({}),
        min_valid=0.5,
        image_format=ImageFormat.JPEG,
        quality=90,
        may_be_excluded=False,
        excluded=None,
        store=FolderStore(folder),
    )


class QuestionIds:
    """Tells the ids of all questions of a shard."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def look(self, rows: TileRows) -> None:
        self._found += [record.question_id for record in rows.records]

    def told(self) -> dict[str, Any]:
        return {"ids": self._found}


class Case:
    """Five tiles in a journal, of which the last has no question."""

    def __init__(self, folder: Path, num_tiles: int = NUM_TILES) -> None:
        self.store = FolderStore(folder)
        self.journal = Journal(self.store)
        self.jobs = [job(position, folder) for position in range(num_tiles)]
        for number, one in enumerate(self.jobs):
            candidates = (counted(3 * number + 2), counted(3 * number + 3)) if number < NUM_TILES - 1 else ()
            image = picture(number)
            result = TileResult(valid_share=1.0, images={"tile": len(image)}, candidates=candidates)
            self.journal.write(one.digest, result, {"tile": image})
        selection = Selection(
            splits=dict.fromkeys(range(num_tiles), "train"), dropped={}, excluded={}, alike=(), num_places=1
        )
        asked = choose_questions(
            self.jobs, read_tiles(self.jobs, self.journal, {}, ExcludedImages()), selection, SETTINGS, {"s": None}
        )
        self.asked = AskedTiles(self.jobs, self.journal, asked.offered, asked.choices, SETTINGS)

    def plan(self) -> PlannedShards:
        return plan_shard_work(self.asked, self.journal, QuestionIds, seed=SETTINGS.seed, language="en")

    def rows(self) -> list[TileRows]:
        dealer = LetterDealer(SETTINGS.seed)
        tiles = (self.asked.asked_tile(place) for place in range(len(self.asked)))
        return [rows_of(tile, self.journal, dealer, language="en") for tile in tiles]

    def content(self, made: MadeShard) -> bytes:
        return self.store.get(made.stored.key)


def test_shards_are_those_that_one_process_writes(tmp_path: Path) -> None:
    case = Case(tmp_path / "work")
    planned = case.plan()
    assert planned.names == (
        "data/train-00000-of-00002.parquet",
        "data/train-00001-of-00002.parquet",
        "tiles/train-00000-of-00001.parquet",
    )
    made = {one.info.name: one for one in map(do_shard, planned.todo)}
    rows = case.rows()
    infos = write_shards(
        tmp_path,
        plan_shards(rows, shard_mb=1),
        load_images=lambda tile: {"tile": picture(tile.window.x // SIDE)},
    )
    assert sum(len(tile.records) for tile in rows) == 8
    assert max(len(pickle.dumps(one)) for one in (*planned.todo, *made.values())) < 1000  # what travels
    assert [made[info.name].info for info in infos] == list(infos)
    for info in infos:
        assert case.content(made[info.name]) == (tmp_path / info.name).read_bytes()


def test_a_restart_writes_what_is_not_whole_and_removes_what_is_not_planned(tmp_path: Path) -> None:
    case = Case(tmp_path)
    first, second, third = map(do_shard, case.plan().todo)
    case.store.delete(first.stored.key.replace(".parquet", ".json"))  # killed before its receipt
    with (tmp_path / second.stored.key).open("ab") as file:
        file.write(b"x")
    case.store.put("shards/0123.parquet", b"of another plan")
    case.store.put("shards/0123.json", json.dumps({"info": first.info._asdict(), "sha256": ""}).encode())
    planned = case.plan()
    assert planned.done == {third.info.name: third}
    assert [one.name for one in planned.todo] == [first.info.name, second.info.name]
    assert list(map(do_shard, planned.todo)) == [first, second]
    assert not [key for key in case.store.list("shards") if "0123" in key]
    assert case.plan().todo == []


def test_a_shard_that_tells_nothing_is_written_again(tmp_path: Path) -> None:
    case = Case(tmp_path)
    first, *_ = map(do_shard, case.plan().todo)
    case.store.put(
        first.stored.key.replace(".parquet", ".json"),
        json.dumps({"info": first.info._asdict(), "sha256": first.sha256}).encode(),
    )
    assert [one.name for one in case.plan().todo] == [first.info.name]


def test_what_was_seen_while_shards_were_written_is_told_in_their_order(tmp_path: Path) -> None:
    case = Case(tmp_path)
    made = {one.info.name: one for one in map(do_shard, reversed(case.plan().todo))}
    planned = case.plan()  # as a restart finds them
    assert planned.done == made
    assert list(read_told([planned.done[name] for name in planned.names], case.store)) == [
        {"ids": ["a/0_0/OC1", "a/0_0/OC2", "a/100_0/OC1", "a/100_0/OC2"]},
        {"ids": ["a/200_0/OC1", "a/200_0/OC2", "a/300_0/OC1", "a/300_0/OC2"]},
        {"ids": []},
    ]
    assert list(read_told([], case.store)) == []


def test_some_records_of_a_shard_are_made_again_as_they_were(tmp_path: Path) -> None:
    case = Case(tmp_path)
    shard = do_shard(case.plan().todo[0])
    job = PickJob(digest=shard.digest, store=case.store, question_ids={"a/0_0/OC2", "a/100_0/OC1"})
    first, second, *_ = case.rows()
    assert pick_records(job) == [first.records[1], second.records[0]]
    assert pick_records(replace(job, question_ids=set())) == []


def test_tiles_are_held_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path)
    steps: list[str] = []
    read, read_image = Journal.read, Journal.read_image

    def noting(self: Journal, one: str) -> TileResult:
        steps.append("result")
        return read(self, one)

    def noting_image(self: Journal, one: str, key: str) -> bytes:
        steps.append("image")
        return read_image(self, one, key)

    todo = case.plan().todo
    monkeypatch.setattr(Journal, "read", noting)
    monkeypatch.setattr(Journal, "read_image", noting_image)
    do_shard(todo[0])
    assert steps == ["result", "image"] * 2


def test_a_worker_lists_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    todo = Case(tmp_path).plan().todo

    def refuse(*_: Any) -> Mapping[str, int]:
        raise AssertionError("a million tiles would be listed for each shard")

    monkeypatch.setattr(FolderStore, "list", refuse)
    assert [do_shard(one).info.num_rows for one in todo] == [4, 4, 1]


def test_an_image_that_is_not_the_planned_one_ends_it_without_a_trace(tmp_path: Path) -> None:
    case = Case(tmp_path)
    todo = case.plan().todo
    (tmp_path / "tiles" / case.jobs[1].digest[:2] / f"{case.jobs[1].digest}.tile").write_bytes(b"torn")
    with pytest.raises(ShardError, match=r"tile a/100_0: image 'tile' has 4 bytes, expected 470\d\d\d bytes"):
        do_shard(todo[0])
    assert {path.name for path in (tmp_path / "shards").iterdir()} == {f"{one.digest}.plan" for one in todo}


def test_a_file_that_came_out_otherwise_does_not_get_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path)
    todo = case.plan().todo
    monkeypatch.setattr(shards_module, "_row_groups", lambda _, records: [list(records[:1])])
    with pytest.raises(ShardError, match=r"data/train-00000-of-00002.parquet came out with 2 rows of 4"):
        do_shard(todo[0])
    assert {key.rpartition(".")[2] for key in case.store.list("shards")} == {"plan"}


def test_a_plan_tells_of_all_that_decides_the_bytes(tmp_path: Path) -> None:
    case = Case(tmp_path)
    digests = [one.digest for one in case.plan().todo]
    assert [one.digest for one in case.plan().todo] == digests
    others = plan_shard_work(case.asked, case.journal, QuestionIds, seed=1, language="en").todo
    assert not {one.digest for one in others} & set(digests)
    # the result of a tile came out with another size
    image = picture(0)
    result = TileResult(valid_share=0.75, images={"tile": len(image)}, candidates=(counted(2), counted(3)))
    case.journal.write(case.jobs[0].digest, result, {"tile": image})
    assert [one.digest == old for one, old in zip(case.plan().todo, digests, strict=True)] == [False, True, True]


def test_a_plan_that_cannot_be_stored_ends_the_planning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path)

    def refuse(*_: Any) -> bool:
        raise OSError("disk full")

    monkeypatch.setattr(FolderStore, "put", refuse)
    with pytest.raises(OSError, match="disk full"):
        case.plan()


def test_without_tiles_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert Case(tmp_path, num_tiles=0).plan() == PlannedShards((), {}, [])
