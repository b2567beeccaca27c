"""Parquet tables whose rows share images: typed columns, Hugging Face features, each image's bytes once per row group.

The one file that knows parquet. What surprises: a column of images is handed to parquet as a dictionary, so ten rows
that show one image of 30 MB write 30 MB and need no more memory than the image. Readers that know nothing of it see
plain `list<struct<bytes, path>>` rows, but hold every row's copy while they decode a row group: arrow then fails above
2 GiB ("Nested data conversions not implemented for chunked array outputs"). `split_rows` keeps row groups below that.

Over pyarrow and not over `datasets`, which writes each row its own copy: 20 rows of one image of 5 MB take 100 MB there
(5.2), and 5 MB here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from rsvqa.annotation.errors import RsvqaError
from rsvqa.rsvqa_builder.files import whole_file

IMAGE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""One encoded image, as `datasets.Image` stores it."""
IMAGES = pa.list_(IMAGE)

MAX_DECODED_BYTES = 300_000_000
"""Most image bytes that the rows of a row group hold when each row has its own copy.

What the viewer of the Hugging Face Hub scans at most in one read, a seventh of what arrow can decode at once (2 GiB),
and what `datasets` holds about twice while it reads a row group; its
`batch_size` does not help: the row group is decoded whole before it is cut into batches.
"""

_FORMAT_KEY = "rsvqa.image_table"
_BATCH_ROWS = 8
_DICTIONARY_LIMIT = 2**31 - 1  # a parquet page's size is an int32

T = TypeVar("T")


class TableError(RsvqaError):
    """A parquet table cannot be written or read; the message names the file."""


class EncodedImage(NamedTuple):
    """An image file's name in the data set and its bytes, still encoded; both are empty where a table has none."""

    path: str
    data: bytes


class TableInfo(NamedTuple):
    """A parquet file's footer in short; `num_bytes` is the size of the file."""

    num_rows: int
    num_row_groups: int
    num_bytes: int


def split_rows(rows: Iterable[tuple[T, int]], *, max_bytes: int = MAX_DECODED_BYTES) -> list[list[T]]:
    """Cut rows, given with their decoded image bytes, into runs that each fit into one row group, order kept.

    A row that is larger than `max_bytes` alone gets a run of its own.
    """
    runs: list[list[T]] = []
    used = 0
    for row, size in rows:
        if not runs or used + size > max_bytes:
            runs.append([])
            used = 0
        runs[-1].append(row)
        used += size
    return runs


def table_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return the schema of `columns`, with the features that `datasets` reads from a schema's metadata."""
    features = {name: _feature(kind) for name, kind in columns.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema(list(columns.items()), metadata=metadata)


def _feature(kind: pa.DataType) -> object:
    if kind == IMAGE:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        # the spelling that both `Sequence` (datasets 3) and `List` (datasets 4 and later) are read from
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    return {"dtype": "float64" if pa.types.is_float64(kind) else str(kind), "_type": "Value"}


class TableWriter:
    """Writes one parquet file, row group by row group; its name appears when all of it is on disk.

    Until then the rows are in a hidden file beside it, see `files.whole_file`.

    Attributes:
        metadata: key-value metadata of the file; may be added to until the last row is written.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, metadata: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.metadata = dict(metadata or {})
        self._schema = schema
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            partial = stack.enter_context(whole_file(path))
            file = stack.enter_context(partial.open("wb"))
            self._writer = pq.ParquetWriter(
                file,
                pa.schema([pa.field(field.name, _stored_type(field.type)) for field in schema]),
                store_schema=False,  # see _footer_metadata
                use_dictionary=True,
                dictionary_pagesize_limit=_DICTIONARY_LIMIT,
                compression={leaf: _compression(leaf) for leaf in _leaves(schema)},
                write_page_index=True,  # by which viewers find a row without reading a column
                write_statistics=[field.name for field in schema if not pa.types.is_nested(field.type)],
            )
            stack.callback(self._close)
            self._open = stack.pop_all()

    def write_row_group(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write `rows` as one row group; a column that a row does not name is null in it.

        Image columns take an `EncodedImage` or a sequence of them.

        Raises:
            TableError: when two images of one path differ, or one is too large for a parquet page.
        """
        columns = [_column(field, [row.get(field.name) for row in rows], self.path) for field in self._schema]
        self._writer.write_table(pa.Table.from_arrays(columns, schema=self._writer.schema))

    def _close(self) -> None:
        for key, value in _footer_metadata(self._schema, self.metadata).items():
            self._writer.add_key_value_metadata({key: value})  # one by one: the order in the file is then ours
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)


def _footer_metadata(schema: pa.Schema, metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the file's key-value metadata, with the plain schema for arrow's readers.

    The copy of the schema that arrow stores by itself would hand dictionaries to every reader; without a copy, none
    finds the features.
    """
    features = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    return {
        _FORMAT_KEY: "1",
        **metadata,
        **features,
        "ARROW:schema": base64.b64encode(schema.serialize().to_pybytes()).decode(),
    }


def _stored_type(kind: pa.DataType) -> pa.DataType:
    if kind == IMAGES:
        return pa.list_(_stored_type(IMAGE))
    if kind == IMAGE:
        return pa.struct([("bytes", pa.dictionary(pa.int32(), pa.binary())), ("path", pa.string())])
    return kind


def _leaves(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        yield from _leaves_below(field.name, field.type)


def _leaves_below(path: str, kind: pa.DataType) -> Iterator[str]:
    if pa.types.is_list(kind):
        yield from _leaves_below(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves_below(f"{path}.{field.name}", field.type)
    else:
        yield path


def _compression(leaf: str) -> str:
    return "NONE" if _holds_images(leaf) else "ZSTD"  # JPEG and PNG do not get smaller


def _holds_images(leaf: str) -> bool:
    return leaf.endswith(".bytes")


def _column(field: pa.Field, values: Sequence[Any], path: Path) -> pa.Array:
    if field.type == IMAGE:
        return _image_array(values, path)
    if field.type == IMAGES:
        offsets = [0]
        for images in values:
            offsets.append(offsets[-1] + len(images))
        flat = [image for images in values for image in images]
        return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _image_array(flat, path))
    return pa.array(values, field.type)


def _image_array(images: Sequence[EncodedImage], path: Path) -> pa.StructArray:
    """Return the images as a struct array in which the same bytes stand once."""
    positions: dict[str, int] = {}
    numbers: dict[bytes, int] = {}
    for image in images:
        if image.path not in positions:
            # under two names too: pyarrow's writer leaves memory as it was behind a dictionary with a value twice
            positions[image.path] = numbers.setdefault(image.data, len(numbers))
        elif numbers.get(image.data) != positions[image.path]:
            raise TableError(f"{path}: two different images are named {image.path}")
    distinct = list(numbers)
    if sum(map(len, distinct)) > _DICTIONARY_LIMIT - 4 * len(distinct):
        raise TableError(f"{path}: the images of one row group exceed 2 GiB: {', '.join(positions)}")
    indices = pa.array([positions[image.path] for image in images], pa.int32())
    data = pa.DictionaryArray.from_arrays(indices, _binary_array(distinct))
    return pa.StructArray.from_arrays(
        [data, pa.array([image.path for image in images], pa.string())], ["bytes", "path"]
    )


def _binary_array(values: Sequence[bytes]) -> pa.BinaryArray:
    """Return the values as an array; a single one, as a large tile is in its row group, is not copied."""
    if len(values) != 1:
        return pa.array(values, pa.binary())
    ends = pa.array([0, len(values[0])], pa.int32())
    return pa.Array.from_buffers(pa.binary(), 1, [None, ends.buffers()[1], pa.py_buffer(values[0])])


class TableReader:
    """Reads a parquet file of `TableWriter`, only the columns asked for, holding each image of a row group once.

    Raises:
        TableError: when the file is missing or not parquet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            footer = pq.read_metadata(path)
            self._file = pq.ParquetFile(path, metadata=footer, read_dictionary=_dictionaries(footer))
        except (OSError, pa.ArrowInvalid) as error:
            raise TableError(f"{path}: not a readable parquet file: {error}") from error

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        """The columns with the bytes of images as dictionaries."""
        return self._file.schema_arrow

    @property
    def info(self) -> TableInfo:
        """Rows, row groups and bytes of the file."""
        footer = self._file.metadata
        return TableInfo(footer.num_rows, footer.num_row_groups, self.path.stat().st_size)

    @property
    def metadata(self) -> dict[str, str]:
        """The file's key-value metadata."""
        return {key.decode(): value.decode() for key, value in (self._file.metadata.metadata or {}).items()}

    def read_row_group(self, number: int, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the rows of row group `number` as mappings; images are `EncodedImage`s that share their bytes.

        Raises:
            TableError: when a column is not in the file, or the bytes cannot be read.
        """
        names = list(self.columns if columns is None else columns)
        if unknown := [name for name in names if name not in self.columns]:
            raise TableError(f"{self.path}: no column {str(unknown[0])!r}; it has {', '.join(self.columns)}")
        try:
            table = self._file.read_row_group(number, columns=names, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise TableError(f"{self.path}: row group {number} cannot be read: {error}") from error
        values = [_values(table.column(name)) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    def require_images(self, column: str) -> None:
        """See that a column holds lists of images, with their bytes.

        Raises:
            TableError: when it does not, or is not in the file.
        """
        kind = self.schema.field(column).type if column in self.columns else None
        if kind is None or not _is_image_list(kind):
            found = f"no column {str(column)!r}" if kind is None else f"column {str(column)!r} holds {kind}"
            raise TableError(f"{self.path}: {found}; expected {IMAGES}, as datasets.Image stores it: build it again")

    def num_rows_of(self, number: int) -> int:
        """Return how many rows row group `number` has; only the footer is read."""
        return int(self._file.metadata.row_group(number).num_rows)

    def may_hold(self, number: int, column: str, value: str) -> bool:
        """Tell from the footer whether a plain column of row group `number` may hold a text."""
        group = self._file.metadata.row_group(number)
        chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column)
        known = chunk.statistics
        return known is None or not known.has_min_max or bool(known.min <= value <= known.max)

    def read_image_names(self, number: int, column: str) -> list[list[str]]:
        """Return the names in `column`, a list of images, for each row of row group `number`; no bytes are read."""
        table = self._file.read_row_group(number, columns=[f"{column}.list.element.path"], use_threads=False)
        return [[image["path"] for image in images] for images in table.column(column).to_pylist()]

    def iter_batches(
        self, columns: Sequence[str], *, row_groups: Sequence[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yield `columns` of the row groups, all by default, in batches of a few rows of one row group."""
        for number in range(self._file.num_row_groups) if row_groups is None else row_groups:
            # one at a time: a batch cannot hold the dictionaries of two
            yield from self._file.iter_batches(_BATCH_ROWS, row_groups=[number], columns=columns, use_threads=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _dictionaries(footer: pq.FileMetaData) -> list[str]:
    """Return the leaves that `TableWriter` has stored as dictionaries.

    Read like that, the files of other makers would be in memory a row group at a time, whatever the batch.
    """
    if _FORMAT_KEY.encode() not in (footer.metadata or {}):
        return []
    leaves = (footer.schema.column(number).path for number in range(footer.num_columns))
    return [leaf for leaf in leaves if _holds_images(leaf)]


def _values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if _is_image_list(kind):
        return [images for chunk in column.chunks for images in _image_lists(chunk)]
    if _is_image(kind):
        return [image for chunk in column.chunks for image in _images(chunk)]
    values: list[Any] = column.to_pylist()
    return values


def _is_image(kind: pa.DataType) -> bool:
    if not pa.types.is_struct(kind) or {field.name for field in kind} != {"bytes", "path"}:
        return False
    data = kind.field("bytes").type
    data = data.value_type if pa.types.is_dictionary(data) else data
    return bool(pa.types.is_binary(data) or pa.types.is_large_binary(data))


def _is_image_list(kind: pa.DataType) -> bool:
    return (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_image(kind.value_type)


def _image_lists(array: pa.ListArray) -> Iterator[list[EncodedImage]]:
    images = _images(array.values)
    for start, stop in zip(array.offsets.to_pylist()[:-1], array.offsets.to_pylist()[1:], strict=True):
        yield images[start:stop]


def _images(array: pa.StructArray) -> list[EncodedImage]:
    data = array.field("bytes")
    if not pa.types.is_dictionary(data.type):  # rewritten by another program
        data = data.dictionary_encode()
    distinct = data.dictionary.to_pylist()
    paths = array.field("path").to_pylist()
    return [
        EncodedImage(path or "", b"" if i is None else distinct[i] or b"")
        for i, path in zip(data.indices.to_pylist(), paths, strict=True)
    ]


def read_images(path: Path) -> Iterator[EncodedImage]:
    """Yield the images of a parquet or arrow file of any maker, e.g. one of `datasets.save_to_disk`, one at a time.

    An image that neighbouring rows share comes once or a few times. One without a name has an empty path.

    Raises:
        TableError: when the file cannot be read, or holds no column of images, or only their names.
    """
    for batch in _arrow_batches(path) if path.suffix == ".arrow" else _parquet_batches(path):
        for column in batch.columns:
            yield from _each_once(column if pa.types.is_struct(column.type) else column.flatten(), path)


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    with TableReader(path) as reader:
        names = _image_columns(reader.schema, path)
        try:
            yield from reader.iter_batches(names)
        except (OSError, pa.ArrowInvalid) as error:
            raise TableError(f"{path}: cannot be read: {error}") from error


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    try:
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as reader:
            names = _image_columns(reader.schema, path)
            for batch in reader:
                yield batch.select(names)
    except (OSError, pa.ArrowInvalid) as error:
        raise TableError(f"{path}: not a readable arrow stream: {error}") from error


def _image_columns(schema: pa.Schema, path: Path) -> list[str]:
    if names := [field.name for field in schema if _is_image(field.type) or _is_image_list(field.type)]:
        return names
    raise TableError(f"{path}: no column of images; expected struct<bytes, path>, or a list of them")


def _each_once(array: pa.StructArray, path: Path) -> Iterator[EncodedImage]:
    data, names = array.field("bytes"), array.field("path")
    seen: set[int] = set()
    for row in range(len(array)):
        if data[row].is_valid and pa.types.is_dictionary(data.type):
            index = data.indices[row].as_py()
            if index in seen:
                continue
            seen.add(index)
        if data[row].is_valid:
            yield EncodedImage(names[row].as_py() or "", data[row].as_py())
        elif names[row].is_valid:
            raise TableError(f"{path}: holds only the name of image {names[row].as_py()!r}; expected its bytes")
