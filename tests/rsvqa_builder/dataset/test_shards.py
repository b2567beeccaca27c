"""Shards: the plan, what is written, and what every kind of reader gets back."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.annotation.facts import Box
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage, TableError, split_rows
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS
from rsvqa.rsvqa_builder.dataset.shards import (
    RowGroup,
    Shard,
    ShardError,
    TileRows,
    fingerprint,
    group_by_shared_images,
    iter_images,
    list_row_groups,
    list_shards,
    plan_shards,
    read_records,
    read_row_group,
    shard_info,
    split_of,
    write_shards,
)
from rsvqa.rsvqa_builder.scenes.tiling import Window

WIDTH, HEIGHT = 32, 24
FOOTPRINT = bytes(range(21))


def jpeg(grey: int) -> bytes:
    pixels = np.full((HEIGHT, WIDTH, 3), grey, np.uint8)
    data: bytes = simplejpeg.encode_jpeg(pixels, quality=90)
    return data


IMAGES = {"tile": jpeg(10), "tile_marked": jpeg(40), "later": jpeg(80), "later_marked": jpeg(120)}


def make_tile(
    x: int = 0, *, split: str = "train", keys: Sequence[str] = ("tile",), size: int | None = None
) -> TileRecord:
    return TileRecord(
        image_id=f"city/{x}_0",
        split=split,
        scene="city",
        window=Window(x, 0, WIDTH, HEIGHT),
        crs="EPSG:32618",
        gsd=0.3,
        footprint=FOOTPRINT,
        date="2020-05-01",
        images={key: len(IMAGES[key]) if size is None else size for key in keys},
    )


def make_record(tile: TileRecord, number: int, images: tuple[str, ...] = ("tile",), **values: Any) -> Record:
    return Record(
        question_id=f"{tile.image_id}/{number}",
        tile=tile,
        task=values.pop("task", "overall_counting"),
        language="en",
        question=f"How many ships, try {number}?",
        images=images,
        **values,
    )


def make_rows(tile: TileRecord, *views: tuple[str, ...]) -> TileRows:
    return TileRows(tile, tuple(make_record(tile, number, view) for number, view in enumerate(views)))


def load(tile: TileRecord) -> Mapping[str, bytes]:
    return {key: IMAGES[key] for key in tile.images}


def example() -> list[TileRows]:
    """Three tiles: one with every kind of view, one of another split, one without questions."""
    pair = make_tile(0, keys=("tile", "tile_marked", "later", "later_marked"))
    plain = make_tile(32, split="val")
    bare = make_tile(64)
    records = (
        make_record(pair, 0, options=("(A) 1", "(B) 2", "(C) 3", "(D) 4"), answer="B", evidence={"rule": "é", "a": 1}),
        make_record(pair, 1, ("tile_marked",), task="regional_counting", answer="A", options=("(A) 1", "(B) 2")),
        make_record(pair, 2, ("tile", "later"), task="change_counting", source="llm", review="needed"),
        make_record(
            pair, 3, task="fine_grained_grounding", bbox=Box(0.1, 0.25, 0.5, 1.0), answer="[0.1, 0.25, 0.5, 1]"
        ),
        make_record(pair, 4, ("tile_marked", "later_marked"), task="change_counting"),
    )
    return [TileRows(pair, records), TileRows(bare), make_rows(plain, ("tile",))]


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# --- plan ---


def test_a_shard_is_closed_before_the_tile_that_would_take_it_beyond_its_size() -> None:
    # one row each: 400_000 bytes of image + 1_000 of text; two fit into 1 MB (802_000), a third does not
    tiles = [make_rows(make_tile(x, size=400_000), ("tile",)) for x in range(5)]
    plan = plan_shards(tiles, shard_mb=1)
    assert [(shard.name, shard.first_index, len(shard.tiles)) for shard in plan] == [
        ("data/train-00000-of-00003.parquet", 0, 2),
        ("data/train-00001-of-00003.parquet", 2, 2),
        ("data/train-00002-of-00003.parquet", 4, 1),
    ]
    assert [rows.tile.window.x for shard in plan for rows in shard.tiles] == [0, 1, 2, 3, 4]


def test_a_tile_larger_than_a_shard_stands_alone() -> None:
    tiles = [make_rows(make_tile(x, size=size), ("tile",)) for x, size in enumerate([100, 5_000_000, 100])]
    assert [len(shard.tiles) for shard in plan_shards(tiles, shard_mb=1)] == [1, 1, 1]


def test_splits_and_tiles_without_questions_go_to_files_of_their_own() -> None:
    tiles = [
        make_rows(make_tile(0, split="test"), ("tile",)),
        TileRows(make_tile(1)),
        make_rows(make_tile(2, split="train"), ("tile",), ("tile",)),
        TileRows(make_tile(3)),
        make_rows(make_tile(4, split="val"), ("tile",)),
    ]
    assert [(shard.name, shard.first_index) for shard in plan_shards(tiles)] == [
        ("data/train-00000-of-00001.parquet", 0),
        ("data/val-00000-of-00001.parquet", 2),
        ("data/test-00000-of-00001.parquet", 3),
        ("tiles/train-00000-of-00001.parquet", 0),
    ]


def test_images_count_once_a_row_group_and_unseen_ones_not_at_all() -> None:
    # plain group: tile + later = 800_000 + 3 rows; marked copies are shown by nobody. Twice that is above 1.5 MB
    tile = make_tile(0, keys=("tile", "later", "tile_marked", "later_marked"), size=400_000)
    tiles = [make_rows(tile, ("tile",), ("tile", "later"), ("tile",)) for _ in range(2)]
    assert len(plan_shards(tiles, shard_mb=1.5)) == 2
    assert len(plan_shards(tiles, shard_mb=1.7)) == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (make_rows(make_tile(split="dev"), ("tile",)), "tile city/0_0: split 'dev' is not one of train, val, test"),
        (TileRows(make_tile(keys=("later",))), "tile city/0_0: no image 'tile' among later"),
        (make_rows(make_tile(), ("tile_marked",)), "record city/0_0/0 shows tile_marked, but its tile has tile"),
        (make_rows(make_tile(), ()), "record city/0_0/0 shows no image"),
        (
            TileRows(make_tile(32), (make_record(make_tile(0), 7),)),
            "record city/0_0/7 is about city/0_0, not city/32_0",
        ),
        (TileRows(make_tile(), (make_record(make_tile(), 7, task="guess"),)), "'guess' is not a task"),
    ],
)
def test_a_plan_refuses_what_cannot_be_written(rows: TileRows, message: str) -> None:
    with pytest.raises(ShardError, match=message):
        plan_shards([rows])


def test_a_shard_size_of_nothing_is_refused() -> None:
    with pytest.raises(ShardError, match="above 0 MB, found 0"):
        plan_shards([], shard_mb=0)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test"]), st.integers(0, 3), st.integers(1, 900_000))))
def test_every_tile_is_planned_once_in_order_and_rows_are_numbered_through(cases: list[tuple[str, int, int]]) -> None:
    tiles = [
        make_rows(make_tile(x, split=split, size=size), *[("tile",)] * count)
        for x, (split, count, size) in enumerate(cases)
    ]
    plan = plan_shards(tiles, shard_mb=1)
    for kind in ("data", "tiles"):
        index = 0
        for shard in plan:
            if shard.name.startswith(kind):
                assert shard.first_index == index
                index += sum(max(1, len(rows.records)) for rows in shard.tiles)
                # no shard above its size unless it is one tile
                size = sum(rows.tile.images["tile"] + 1_000 * max(1, len(rows.records)) for rows in shard.tiles)
                assert size <= 1_000_000 or len(shard.tiles) == 1
    for split in ("train", "val", "test"):
        planned = [r.tile.window.x for s in plan for r in s.tiles if s.name.startswith(f"data/{split}")]
        assert planned == [r.tile.window.x for r in tiles if r.records and r.tile.split == split]


def test_views_that_share_an_image_share_a_group() -> None:
    tile = make_tile(keys=("tile", "tile_marked", "later", "later_marked"))
    views = [("tile_marked",), ("tile",), ("later",), ("tile", "later"), ("tile",), ("tile_marked", "later_marked")]
    groups = group_by_shared_images(make_rows(tile, *views).records)
    # marked first, as its first question comes first; equal views together: tile twice, then later, then the pair
    assert [[record.question_id[-1] for record in group] for group in groups] == [["0", "5"], ["1", "4", "2", "3"]]


# --- write and read ---


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards(example()), load_images=load)
    rows = list(read_records(tmp_path))
    # plain group first (0, 3: the tile; 2: the pair), then the marked one, then split val
    assert [row["question_id"] for row in rows] == [f"city/0_0/{i}" for i in (0, 3, 2, 1, 4)] + ["city/32_0/0"]
    assert [row["index"] for row in rows] == [0, 1, 2, 3, 4, 5]
    tile, marked = (
        EncodedImage("city/0_0.jpg", IMAGES["tile"]),
        EncodedImage("city/0_0_marked.jpg", IMAGES["tile_marked"]),
    )
    later = EncodedImage("city/0_0_later.jpg", IMAGES["later"])
    later_marked = EncodedImage("city/0_0_later_marked.jpg", IMAGES["later_marked"])
    assert [row["image"] for row in rows[:5]] == [[tile], [tile], [tile, later], [marked], [marked, later_marked]]
    assert rows[0] == {
        "index": 0,
        "path": "city/0_0.jpg",
        "image": [tile],
        "question": "How many ships, try 0?",
        "multi-choice options": ["(A) 1", "(B) 2", "(C) 3", "(D) 4"],
        "answer": "B",
        "category": "Counting/Overall counting",
        "l2-category": "Counting",
        "task": "overall_counting",
        "question_id": "city/0_0/0",
        "image_id": "city/0_0",
        "language": "en",
        "scene": "city",
        "tile": {"x": 0, "y": 0, "width": 32, "height": 24},
        "crs": "EPSG:32618",
        "gsd": 0.3,
        "footprint": FOOTPRINT,
        "date": "2020-05-01",
        "later_date": None,
        "scene_source": None,
        "licence": None,
        "bbox": None,
        "image_width": 32,
        "image_height": 24,
        "evidence": '{"a": 1, "rule": "é"}',
        "source": "rule",
        "review": "none",
    }
    assert rows[1]["bbox"] == [0.1, 0.25, 0.5, 1.0]
    assert (rows[2]["source"], rows[2]["review"], rows[2]["multi-choice options"]) == ("llm", "needed", [])


def test_a_tile_without_questions_keeps_its_image_and_place(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards(example()), load_images=load)
    (row,) = read_records(tmp_path, kind="tiles")
    assert list(row) == list(COLUMNS)
    filled = {name: value for name, value in row.items() if value is not None}
    assert filled == {
        "index": 0,
        "path": "city/64_0.jpg",
        "image": [EncodedImage("city/64_0.jpg", IMAGES["tile"])],
        "image_id": "city/64_0",
        "scene": "city",
        "tile": {"x": 64, "y": 0, "width": 32, "height": 24},
        "crs": "EPSG:32618",
        "gsd": 0.3,
        "footprint": FOOTPRINT,
        "date": "2020-05-01",
        "image_width": 32,
        "image_height": 24,
    }


def test_only_the_asked_columns_and_split_are_read(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards(example()), load_images=load)
    assert list(read_records(tmp_path, columns=["answer", "index"], split="val")) == [{"answer": "", "index": 5}]
    with pytest.raises(TableError, match="no column 'colour'; it has index, path"):
        list(read_records(tmp_path, columns=["colour"]))
    with pytest.raises(ShardError, match=r"no shards of split 'test' in .*data: it has train, val"):
        list(read_records(tmp_path, split="test"))


def test_rows_of_a_row_group_share_their_images_bytes(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards([make_rows(make_tile(), ("tile",), ("tile",))]), load_images=load)
    first, second = read_records(tmp_path, columns=["image"])
    assert first["image"][0].data is second["image"][0].data


def test_one_row_group_a_view_with_each_image_once_on_disk(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    data = simplejpeg.encode_jpeg(noise, quality=95)
    tile = TileRecord(
        image_id="a",
        split="train",
        scene="a",
        window=Window(0, 0, 512, 512),
        images={"tile": len(data), "later": len(data) + 1},
    )
    views = [("tile",)] * 20 + [("tile", "later")] * 5
    images = {"tile": data, "later": data + b"\0"}
    (info,) = write_shards(tmp_path, plan_shards([make_rows(tile, *views)]), load_images=lambda _: images)
    footer = pq.ParquetFile(tmp_path / info.name).metadata
    assert (footer.num_row_groups, footer.num_rows) == (1, 25)
    leaf = next(c for c in columns_of(footer, 0) if c.path_in_schema == "image.list.element.bytes")
    # 2 images + their lengths and 30 indices; 30 copies would be 15 times as much
    assert 2 * len(data) < leaf.total_compressed_size < 2 * len(data) + 200
    assert info.num_bytes < 2 * len(data) + 30_000
    assert leaf.compression == "UNCOMPRESSED"
    assert not leaf.is_stats_set


def columns_of(footer: Any, group: int) -> list[Any]:
    return [footer.row_group(group).column(i) for i in range(footer.num_columns)]


def test_a_row_group_stays_below_what_plain_readers_can_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(IMAGES["tile"])
    monkeypatch.setattr(
        "rsvqa.rsvqa_builder.dataset.shards.split_rows", functools.partial(split_rows, max_bytes=3 * size)
    )
    write_shards(tmp_path, plan_shards([make_rows(make_tile(), *[("tile",)] * 7)]), load_images=load)
    groups = list(list_row_groups(tmp_path))
    assert [len(read_row_group(group, ["index"])) for group in groups] == [3, 3, 1]
    assert [row["index"] for group in groups for row in read_row_group(group, ["index"])] == list(range(7))
    assert groups[2] == RowGroup(tmp_path / "data/train-00000-of-00001.parquet", 2)


def test_each_image_is_iterated_once(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards(example()), load_images=load)
    assert [(image.path, image.data) for image in iter_images(tmp_path, split="train")] == [
        ("city/0_0.jpg", IMAGES["tile"]),
        ("city/0_0_later.jpg", IMAGES["later"]),
        ("city/0_0_marked.jpg", IMAGES["tile_marked"]),
        ("city/0_0_later_marked.jpg", IMAGES["later_marked"]),
    ]


def test_images_of_another_maker_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    images = [{"bytes": data, "path": "image.png"} for data in (b"1", b"2", b"1")]
    table = pa.table({"image": pa.array(images, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))})
    pq.write_table(table, tmp_path / "other.parquet")
    assert [image.data for image in iter_images(tmp_path / "other.parquet")] == [b"1", b"2"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_shards(tmp_path / name, plan_shards(example()), load_images=load)
    assert digests(tmp_path / "first") == digests(tmp_path / "second")
    assert len(digests(tmp_path / "first")) == 3


def test_footers_tell_rows_and_bytes(tmp_path: Path) -> None:
    infos = write_shards(tmp_path, plan_shards(example()), load_images=load)
    assert [info[:4] for info in infos] == [
        ("data/train-00000-of-00001.parquet", "train", 5, 2),
        ("data/val-00000-of-00001.parquet", "val", 1, 1),
        ("tiles/train-00000-of-00001.parquet", "train", 1, 1),
    ]
    assert [info.num_bytes for info in infos] == [(tmp_path / info.name).stat().st_size for info in infos]
    assert shard_info(tmp_path / infos[0].name) == infos[0]


# --- restart ---


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


def dying_loader(after: int) -> Callable[[TileRecord], Mapping[str, bytes]]:
    left = after

    def load_or_die(tile: TileRecord) -> Mapping[str, bytes]:
        nonlocal left
        if not left:
            raise Killed
        left -= 1
        return load(tile)

    return load_or_die


def test_no_shard_has_its_name_before_it_is_whole_and_a_restart_keeps_whole_ones(tmp_path: Path) -> None:
    tiles = [make_rows(make_tile(x), ("tile",)) for x in range(4)]
    # an image of these is about 650 bytes, a row counts 1_000 beside it: two tiles per shard
    plan = plan_shards(tiles, shard_mb=0.004)
    assert [len(shard.tiles) for shard in plan] == [2, 2]
    with pytest.raises(Killed):
        write_shards(tmp_path / "killed", plan, load_images=dying_loader(3))
    assert list(digests(tmp_path / "killed")) == [plan[0].name]

    loaded: list[str] = []

    def load_and_note(tile: TileRecord) -> Mapping[str, bytes]:
        loaded.append(tile.image_id)
        return load(tile)

    write_shards(tmp_path / "killed", plan, load_images=load_and_note)
    assert loaded == ["city/2_0", "city/3_0"]
    write_shards(tmp_path / "whole", plan, load_images=load)
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_a_shard_with_other_rows_is_written_again(tmp_path: Path) -> None:
    tile = make_tile()
    for answer in ("A", "B"):
        plan = plan_shards([TileRows(tile, (make_record(tile, 0, answer=answer),))])
        write_shards(tmp_path, plan, load_images=load)
    assert [row["answer"] for row in read_records(tmp_path)] == ["B"]


def test_the_fingerprint_sees_rows_position_and_image_sizes() -> None:
    rows = make_rows(make_tile(), ("tile",))
    prints = {
        fingerprint(Shard("data/a", 0, (rows,))),
        fingerprint(Shard("data/a", 1, (rows,))),
        fingerprint(Shard("data/a", 0, (make_rows(make_tile(size=5), ("tile",)),))),
        fingerprint(Shard("data/a", 0, (make_rows(make_tile(), ("tile",), ("tile",)),))),
        fingerprint(Shard("data/a", 0, (TileRows(make_tile()),))),
    }
    assert len(prints) == 5


def test_a_shard_of_another_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train-00000-of-00009.parquet").write_bytes(b"")
    with pytest.raises(ShardError, match=r"train-00000-of-00009\.parquet is not a shard of this data set; remove it"):
        write_shards(tmp_path, plan_shards(example()), load_images=load)


def test_an_image_of_another_size_than_planned_is_refused(tmp_path: Path) -> None:
    plan = plan_shards([make_rows(make_tile(size=7), ("tile",))])
    with pytest.raises(ShardError, match=rf"tile city/0_0: image 'tile' has {len(IMAGES['tile'])} bytes, expected 7"):
        write_shards(tmp_path, plan, load_images=lambda _: IMAGES)
    with pytest.raises(ShardError, match="image 'tile' has none, expected 7 bytes"):
        write_shards(tmp_path, plan, load_images=lambda _: {})
    assert digests(tmp_path) == {}


def test_an_image_that_is_not_the_tiles_window_is_refused(tmp_path: Path) -> None:
    tile = TileRecord(
        image_id="a", split="train", scene="a", window=Window(0, 0, 64, 64), images={"tile": len(IMAGES["tile"])}
    )
    with pytest.raises(ShardError, match="tile a: image 'tile' has 32 x 24 px, expected 64 x 64"):
        write_shards(tmp_path, plan_shards([make_rows(tile, ("tile",))]), load_images=load)


# --- finding shards ---


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"")


def test_shards_are_listed_in_reading_order(tmp_path: Path) -> None:
    names = [f"{split}-0000{i}-of-00002.parquet" for split in ("train", "val", "test") for i in (0, 1)]
    touch(tmp_path / "data", *reversed(names), "notes.parquet", ".train-00000-of-00002.parquet.partial")
    assert [path.name for path in list_shards(tmp_path)] == names
    assert [path.name for path in list_shards(tmp_path, split="val")] == names[2:4]
    assert list_shards(tmp_path / "data" / names[0]) == (tmp_path / "data" / names[0],)
    assert split_of(tmp_path / names[4]) == "test"


@pytest.mark.parametrize(
    "names",
    [
        ["train-00001-of-00002.parquet"],
        ["train-00000-of-00001.parquet", "train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
    ],
)
def test_missing_and_surplus_shards_are_refused(tmp_path: Path, names: list[str]) -> None:
    touch(tmp_path / "data", *names)
    with pytest.raises(ShardError, match=f"the shards of 'train' are not one whole set of .*{names[0]}"):
        list_shards(tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "data", "train-00000-of-00001.parquet")
    with pytest.raises(TableError, match=r"train-00000-of-00001.parquet: not a readable parquet file"):
        list(read_records(tmp_path))
    with pytest.raises(ShardError, match=r"other.parquet is not named like a shard"):
        split_of(tmp_path / "other.parquet")


# --- other readers ---


def test_plain_pyarrow_reads_the_shape_of_xlrs_bench_lite(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards(example()), load_images=load)
    columns = ["index", "path", "image", "question", "multi-choice options", "answer", "category", "l2-category"]
    table = pq.read_table(tmp_path / "data/train-00000-of-00001.parquet", columns=columns)
    assert table.column_names == columns
    assert table.to_pylist()[2]["image"] == [
        {"bytes": IMAGES["tile"], "path": "city/0_0.jpg"},
        {"bytes": IMAGES["later"], "path": "city/0_0_later.jpg"},
    ]
    assert list(COLUMNS)[:8] == columns


def test_the_schema_carries_hugging_face_features(tmp_path: Path) -> None:
    write_shards(tmp_path, plan_shards(example()), load_images=load)
    metadata = pq.read_schema(tmp_path / "data/train-00000-of-00001.parquet").metadata
    features = json.loads(metadata[b"huggingface"])["info"]["features"]
    assert list(features) == list(COLUMNS)
    assert features["image"] == [{"_type": "Image"}]
    assert features["tile"]["x"] == {"dtype": "int32", "_type": "Value"}
    assert features["bbox"] == [{"dtype": "float64", "_type": "Value"}]
    # plain types to whoever reads, however the bytes are stored
    image = pq.read_schema(tmp_path / "data/train-00000-of-00001.parquet").field("image").type
    assert image == pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_loads_the_folder_with_images_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, streaming: bool
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs the extra 'dev' or 'model'")
    write_shards(tmp_path / "superrs", plan_shards(example()), load_images=load)
    loaded = datasets.load_dataset(str(tmp_path / "superrs"), cache_dir=str(tmp_path / "cache"), streaming=streaming)
    assert sorted(loaded) == ["train", "val"]
    rows = list(loaded["train"])
    assert [row["question_id"][-1] for row in rows] == ["0", "3", "2", "1", "4"]
    assert list(loaded["train"].features) == list(COLUMNS)
    assert [image.size for image in rows[2]["image"]] == [(WIDTH, HEIGHT)] * 2
    # the JPEGs hold one grey each: 10 for the tile, 80 for the later date
    assert [int(np.asarray(image).mean().round()) for image in rows[2]["image"]] == [10, 80]
    assert rows[0]["multi-choice options"] == ["(A) 1", "(B) 2", "(C) 3", "(D) 4"]
    assert rows[0]["tile"] == {"x": 0, "y": 0, "width": 32, "height": 24}
    assert (rows[0]["footprint"], rows[0]["bbox"]) == (FOOTPRINT, None)
