"""Parquet tables with shared images: types, names that appear late, and files of other makers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsvqa.rsvqa_builder.dataset.image_tables import (
    IMAGE,
    IMAGES,
    EncodedImage,
    TableError,
    TableReader,
    TableWriter,
    read_images,
    split_rows,
    table_schema,
)

FIRST, SECOND = EncodedImage("a.jpg", b"first" * 50), EncodedImage("b.jpg", b"second" * 50)


def write(path: Path, columns: dict[str, pa.DataType], *groups: list[dict[str, Any]]) -> Path:
    with TableWriter(path, table_schema(columns)) as writer:
        for rows in groups:
            writer.write_row_group(rows)
    return path


def read(path: Path) -> list[list[dict[str, Any]]]:
    with TableReader(path) as reader:
        return [reader.read_row_group(number) for number in range(reader.info.num_row_groups)]


def test_a_column_of_single_images_is_read_back(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": FIRST, "id": 1}, {"image": SECOND, "id": 2}, {"image": FIRST, "id": None}]
    path = write(tmp_path / "t.parquet", {"image": IMAGE, "id": pa.int64()}, rows)
    assert read(path) == [rows]
    assert pq.read_table(path)["image"].to_pylist()[1] == {"bytes": SECOND.data, "path": "b.jpg"}


def test_a_viewer_finds_rows_by_the_page_index_and_reads_no_group_that_is_too_large(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"text": pa.string(), "image": IMAGE}, [{"text": "a", "image": FIRST}])
    group = pq.read_metadata(path).row_group(0)
    assert all(group.column(number).has_offset_index for number in range(group.num_columns))
    # ten rows of 30 MB fill what the viewer scans at most; the eleventh begins another group
    assert [len(run) for run in split_rows((number, 30_000_000) for number in range(20))] == [10, 10]
    assert [len(run) for run in split_rows((number, 30_000_001) for number in range(20))] == [9, 9, 2]


def test_lists_of_images_keep_their_lengths(tmp_path: Path) -> None:
    lists: list[list[EncodedImage]] = [[FIRST], [], [SECOND, FIRST], [FIRST]]
    rows: list[dict[str, Any]] = [{"image": images} for images in lists]
    assert read(write(tmp_path / "t.parquet", {"image": IMAGES}, rows, rows[2:])) == [rows, rows[2:]]


def test_a_file_rewritten_by_another_program_is_read_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": [FIRST, SECOND], "id": 1}, {"image": [FIRST], "id": 2}]
    path = write(tmp_path / "t.parquet", {"image": IMAGES, "id": pa.int64()}, rows)
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(path), other, use_dictionary=False, use_compliant_nested_type=False)
    assert read(other) == [rows]


def test_only_our_own_files_are_read_as_dictionaries(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"image": IMAGE}, [{"image": FIRST}])
    pq.write_table(pq.read_table(path), tmp_path / "other.parquet")
    with TableReader(path) as ours, TableReader(tmp_path / "other.parquet") as other:
        assert ours.schema.field("image").type.field("bytes").type == pa.dictionary(pa.int32(), pa.binary())
        assert other.schema.field("image").type == IMAGE


def test_an_image_under_two_names_stands_once_and_every_byte_of_the_file_is_ours(tmp_path: Path) -> None:
    twin = EncodedImage("twin.jpg", FIRST.data)
    rows: list[dict[str, Any]] = [{"image": FIRST}, {"image": twin}, {"image": SECOND}]
    path = write(tmp_path / "t.parquet", {"image": IMAGE}, rows)
    assert read(path) == [rows]
    column = pq.read_metadata(path).row_group(0).column(0)
    assert column.path_in_schema == "image.bytes"
    assert "RLE_DICTIONARY" in column.encodings
    # both contents once, with what parquet writes round them, and not the first one twice
    assert column.total_compressed_size < len(FIRST.data) + len(SECOND.data) + 150 < 2 * len(FIRST.data) + 300


def test_two_images_of_one_name_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    twin = EncodedImage("a.jpg", b"another")
    with pytest.raises(TableError, match=r"t\.parquet: two different images are named a\.jpg"):
        write(tmp_path / "t.parquet", {"image": IMAGES}, [{"image": [FIRST]}, {"image": [twin]}])
    assert list(tmp_path.iterdir()) == []


def test_the_name_appears_when_the_table_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with TableWriter(path, table_schema({"image": IMAGES}), metadata={"note": "é"}) as writer:
        writer.write_row_group([{"image": [FIRST]}])
        (partial,) = tmp_path.iterdir()
        assert partial.name.startswith(".t.parquet.")
    assert [file.name for file in tmp_path.iterdir()] == ["t.parquet"]
    with TableReader(path) as reader:
        assert reader.metadata["note"] == "é"
        assert reader.info == (1, 1, path.stat().st_size)


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", {"image": IMAGES}, [{"image": [FIRST]}])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TableError, match=r"t\.parquet: not a readable parquet file"):
        TableReader(path)
    with pytest.raises(TableError, match=r"missing\.parquet: not a readable parquet file"):
        TableReader(tmp_path / "missing.parquet")


@settings(max_examples=100)
@given(st.lists(st.integers(0, 50)), st.integers(1, 60))
def test_runs_keep_the_order_and_fit_unless_a_row_is_larger_alone(sizes: list[int], limit: int) -> None:
    runs = split_rows([(number, size) for number, size in enumerate(sizes)], max_bytes=limit)
    assert [number for run in runs for number in run] == list(range(len(sizes)))
    for run, following in zip(runs, runs[1:] + [[]] * bool(runs), strict=True):
        used = sum(sizes[number] for number in run)
        assert used <= limit or len(run) == 1
        assert not following or used + sizes[following[0]] > limit  # as long as it can be


# --- images of any maker ---


def arrow_file(path: Path, table: pa.Table) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


IMAGE_LISTS = [
    [{"bytes": b"1", "path": "image.png"}],
    [{"bytes": b"2", "path": "image.png"}, {"bytes": b"3", "path": None}],
    [],
    [{"bytes": b"4", "path": "d.png"}],
]
LISTED = [("image.png", b"1"), ("image.png", b"2"), ("", b"3"), ("d.png", b"4")]


@pytest.mark.parametrize("kind", [IMAGES, pa.large_list(IMAGE)])
def test_images_of_arrow_and_parquet_files_are_read(tmp_path: Path, kind: pa.DataType) -> None:
    table = pa.table({"question": ["?"] * 4, "image": pa.array(IMAGE_LISTS, kind)})
    assert list(read_images(arrow_file(tmp_path / "a.arrow", table))) == LISTED
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    assert list(read_images(tmp_path / "a.parquet")) == LISTED


def test_single_images_of_other_column_names_are_read(tmp_path: Path) -> None:
    images = [{"bytes": b"1", "path": "a"}, None, {"bytes": b"2", "path": "b"}]
    table = pa.table({"before": pa.array(images, IMAGE), "after": pa.array(images[::-1], IMAGE)})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [image.data for image in read_images(tmp_path / "a.parquet")] == [b"1", b"2", b"2", b"1"]


def test_a_table_without_image_bytes_is_refused(tmp_path: Path) -> None:
    table = pa.table({"image": pa.array([{"bytes": None, "path": "a.png"}], IMAGE)})
    with pytest.raises(TableError, match=r"a\.arrow: holds only the name of image 'a\.png'; expected its bytes"):
        list(read_images(arrow_file(tmp_path / "a.arrow", table)))
    with pytest.raises(TableError, match=r"b\.arrow: no column of images"):
        list(read_images(arrow_file(tmp_path / "b.arrow", pa.table({"image": ["a.png"]}))))
    (tmp_path / "c.arrow").write_bytes(b"no arrow")
    with pytest.raises(TableError, match=r"c\.arrow: not a readable arrow stream"):
        list(read_images(tmp_path / "c.arrow"))
