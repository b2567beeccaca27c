"""The rows of benchmark files in any layout, with their images unread: arrow, parquet, JSON lines, shards of a build.

A row here is what the file says, nothing is judged yet (that is `datasets.py`'s). What surprises: to group questions by
image, rows are given images by content, as names tell nothing in other makers' files. Arrow files are mapped into
memory, so that costs a look at parts of them; JSON lines and parquet of other makers are read through once.
"""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from rsvqa.annotation.images import ImageError, ImageSize, read_header
from rsvqa.annotation.lettering import LETTERS
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.images import content_key
from rsvqa.rsvqa_builder.dataset.image_tables import TableError, TableReader
from rsvqa.rsvqa_builder.dataset.rows import Column


class ImagePlaces(NamedTuple):
    """Where a row's images are.

    Attributes:
        columns: that hold them or their names; the first that there is.
        folders: below the folder of the row's own file, or the one above: where named files are looked for as well.
    """

    columns: tuple[str, ...] = (Column.IMAGE, "image_path", Column.PATH)
    folders: tuple[str, ...] = ()


XLRS_PLACES = ImagePlaces()
"""XLRS-Bench's column, else VLMEvalKit's, else XLRS-Bench's for names."""
_LONGEST_NAME = 1_000
"""Characters; a longer text that is not base64 is damaged base64."""


@dataclass(frozen=True, slots=True)
class RowImage:
    """An image of a row, not read yet.

    Attributes:
        key: the same for the same bytes.
        size: as its header states; None when that was not looked at, or is broken.
        problem: why it cannot be used; empty when nothing is known against it.
        read: returns the encoded bytes.
    """

    key: str
    size: ImageSize | None
    problem: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRow:
    """One row of a file.

    Attributes:
        where: file and row, for messages.
        values: all columns but the images.
        images: in order.
        problem: why the row itself cannot be read; empty when it can.
    """

    where: str
    values: Mapping[str, Any] = field(default_factory=dict)
    images: tuple[RowImage, ...] = ()
    problem: str = ""


def _image(encoded: bytes | memoryview, read: Callable[[], bytes]) -> RowImage:
    try:
        return RowImage(content_key(encoded), read_header(encoded).size, "", read)
    except ImageError as error:
        return RowImage(content_key(encoded), None, str(error), read)


def _without_bytes(name: str) -> RowImage:
    def read() -> bytes:
        raise ImageError("has no bytes")

    return RowImage(f"missing:{name}", None, f"no bytes, only the name {name!r}" if name else "no bytes", read)


def _named_image(file: Path, name: str, places: ImagePlaces) -> RowImage:
    """Return an image that a row only names: a file below the folder of the row's own file, or below the one above.

    Names that lead elsewhere are not followed: data that was fetched does not choose what else is read and sent.
    """
    path = Path(name)
    if not name or "\0" in name or path.is_absolute() or ".." in path.parts:
        return _without_bytes(name)
    above = (file.absolute().parent, file.absolute().parent.parent)
    for folder in (*above, *(root / name for name in places.folders for root in above)):
        try:
            encoded = (folder / path).read_bytes()
        except OSError:
            continue
        return _image(encoded, (folder / path).read_bytes)
    return _without_bytes(name)


# --- columns of images, as arrow has them ---


def _cells(column: pa.Array | pa.ChunkedArray, row: int) -> list[pa.Scalar]:
    """Return the images of one row; a column holds one image per row or a list of them."""
    scalar = column[row]
    if not scalar.is_valid:
        return []
    return [item for item in scalar.values if item.is_valid] if _is_list(scalar.type) else [scalar]


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(is_of(kind) for is_of in kinds)


def _buffer(cell: pa.Scalar) -> memoryview | None:
    """Return the encoded bytes of an image; None where there is only a name."""
    if _is_text(cell.type):
        return None
    data = cell["bytes"] if pa.types.is_struct(cell.type) else cell
    if _is_text(data.type):
        return memoryview(decode_base64(data.as_py())) if data.is_valid else None
    if pa.types.is_dictionary(data.type):
        data = data.value if data.is_valid else data
    return memoryview(data.as_buffer()) if data.is_valid else None


def _name(cell: pa.Scalar) -> str:
    if pa.types.is_struct(cell.type):
        return str(cell["path"].as_py() or "") if cell.type.get_field_index("path") >= 0 else ""
    return str(cell.as_py() or "") if _is_text(cell.type) else ""


def _image_column(schema: pa.Schema, path: Path, places: ImagePlaces) -> str:
    """Return the column that holds the images: structs of bytes and path, plain bytes, or names of files."""
    name = next((name for name in places.columns if name in schema.names), None)
    if name is None:
        raise BenchmarkDataError(f"{path}: no column '{places.columns[0]}'; it has {', '.join(schema.names)}")
    kind = schema.field(name).type
    inner = kind.value_type if _is_list(kind) else kind
    is_struct = pa.types.is_struct(inner) and inner.get_field_index("bytes") >= 0
    inner = inner.value_type if pa.types.is_dictionary(inner) else inner
    if not (is_struct or _is_binary(inner) or _is_text(inner)):
        raise BenchmarkDataError(
            f"{path}: column '{name}' is {kind}; expected struct<bytes, path>, bytes, names of files, or a list of them"
        )
    return name


# --- arrow, as `save_to_disk` writes it ---


def read_arrow(path: Path, places: ImagePlaces = XLRS_PLACES) -> Iterator[FileRow]:
    """Yield the rows of one arrow file; it stays mapped as long as one of its images can be read.

    Raises:
        DataError: the file cannot be read or has no images.
    """
    table = _map_arrow(path)
    name = _image_column(table.schema, path, places)
    values = table.drop_columns([name]).to_pylist()
    column = table.column(name)
    for number, row in enumerate(values):
        cells = _cells(column, number)
        images = tuple(_arrow_image(path, column, number, position, places) for position in range(len(cells)))
        yield FileRow(where=f"{path.name} row {number}", values=row, images=images)


def _map_arrow(path: Path) -> pa.Table:
    try:
        source = pa.memory_map(str(path))
        try:
            return pa.ipc.open_stream(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise BenchmarkDataError(f"{path}: not a readable arrow file ({error}); fetch it again") from error


def _arrow_image(path: Path, column: pa.ChunkedArray, row: int, position: int, places: ImagePlaces) -> RowImage:
    cell = _cells(column, row)[position]
    return _cell_image(cell, path, places, lambda: _cell_bytes(_cells(column, row)[position]))


def _cell_image(cell: pa.Scalar, path: Path, places: ImagePlaces, read: Callable[[], bytes]) -> RowImage:
    """Return an image that stands in a cell as bytes or base64, or that the cell names."""
    try:
        encoded = _buffer(cell)
    except ValueError:
        return RowImage(f"{path.name}:{cell['bytes'].as_py()[:40]}", None, "not base64", bytes)
    if encoded is not None:
        return _image(encoded, read)
    name = _name(cell)
    return (
        _base64_image(name, f"{path.name}:{name[:40]}", read)
        if len(name) > _LONGEST_NAME
        else _named_image(path, name, places)
    )


def _cell_bytes(cell: pa.Scalar) -> bytes:
    """Return the encoded bytes of an image that stands in a cell."""
    encoded = _buffer(cell)
    return decode_base64(_name(cell)) if encoded is None else bytes(encoded)


# --- parquet ---


def read_parquet(path: Path, places: ImagePlaces = XLRS_PLACES) -> Iterator[FileRow]:
    """Yield the rows of one parquet file of any maker; its images are read once to tell them apart.

    Raises:
        DataError: the file cannot be read or has no images.
    """
    file = _ParquetFile(path, places)
    number = 0
    for group in range(file.num_row_groups):
        for start, batch in file.batches(group):
            column = batch.column(file.image_column)
            for i, values in enumerate(batch.drop_columns([file.image_column]).to_pylist()):
                cells = _cells(column, i)
                images = (_parquet_image(file, group, start + i, j, cell) for j, cell in enumerate(cells))
                yield FileRow(where=f"{path.name} row {number}", values=values, images=tuple(images))
                number += 1


def _parquet_image(file: _ParquetFile, group: int, row: int, position: int, cell: pa.Scalar) -> RowImage:
    return _cell_image(cell, file.path, file.places, partial(file.read_image, group, row, position))


class _ParquetFile:
    """A parquet file read a few rows at a time, forwards; a row behind the last one begins its row group anew."""

    def __init__(self, path: Path, places: ImagePlaces) -> None:
        self.path = path
        self.places = places
        try:
            self._reader = TableReader(path)
        except TableError as error:
            raise BenchmarkDataError(f"{error}; fetch it again") from error
        self.image_column = _image_column(self._reader.schema, path, places)
        self.num_row_groups = self._reader.info.num_row_groups
        self._group = -1
        self._batches: Iterator[tuple[int, pa.RecordBatch]] = iter(())
        self._held: tuple[int, pa.RecordBatch] | None = None

    def batches(self, group: int, columns: Sequence[str] | None = None) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield the rows of a row group in batches, each with the number of its first row in the group."""
        start = 0
        try:
            for batch in self._reader.iter_batches(columns or self._reader.columns, row_groups=[group]):
                yield start, batch
                start += batch.num_rows
        except (OSError, pa.ArrowInvalid) as error:
            raise BenchmarkDataError(
                f"{self.path}: row group {group} cannot be read ({error}); fetch it again"
            ) from error

    def read_image(self, group: int, row: int, position: int) -> bytes:
        """Return the encoded bytes of one image of a row."""
        start, batch = self._batch_with(group, row)
        return _cell_bytes(_cells(batch.column(self.image_column), row - start)[position])

    def _batch_with(self, group: int, row: int) -> tuple[int, pa.RecordBatch]:
        if group != self._group or self._held is None or row < self._held[0]:
            self._group, self._batches = group, self.batches(group, [self.image_column])
            self._held = next(self._batches)
        while row >= self._held[0] + self._held[1].num_rows:
            self._held = next(self._batches)
        return self._held


# --- JSON lines, as VLMEvalKit's copy has them, and JSON ---


def read_jsonl(path: Path, places: ImagePlaces = XLRS_PLACES) -> Iterator[FileRow]:
    """Yield the rows of one file of JSON lines; a broken line is a row too.

    Their images are base64, or the names of files beside it, or a list of either.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = 0
            for number, line in enumerate(file):
                if line.strip():
                    yield _json_line(path, number, start, line, places)
                start += len(line)
    except OSError as error:
        raise BenchmarkDataError(f"{path}: cannot be read: {error.strerror}") from error


def read_json(path: Path, places: ImagePlaces = XLRS_PLACES) -> Iterator[FileRow]:
    """Yield the objects of one file that holds a list of them; their images are as in JSON lines.

    Raises:
        DataError: the file cannot be read, or holds no list.
    """
    try:
        rows = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BenchmarkDataError(f"{path}: not readable JSON ({error}); fetch it again") from error
    if not isinstance(rows, list):
        raise BenchmarkDataError(f"{path}: expected a list of questions, found {type(rows).__name__}")
    for number, values in enumerate(rows):
        yield _json_row(path, f"{path.name} entry {number}", values, places, lambda text: partial(decode_base64, text))


def _json_line(path: Path, number: int, start: int, line: bytes, places: ImagePlaces) -> FileRow:
    where = f"{path.name} line {number + 1}"
    try:
        values = json.loads(line)
        if b"\\ud" in line.lower():  # perhaps half of a pair, which no file and no request can hold
            json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return FileRow(where=where, problem="a text holds half a character (a lone surrogate)")
    except (ValueError, RecursionError) as error:
        return FileRow(where=where, problem=f"not JSON: {error}")
    texts = _image_texts(values, places) if isinstance(values, dict) else []
    return _json_row(
        path,
        where,
        values,
        places,
        lambda text: partial(_read_json_image, path, start, len(line), texts.index(text), places),
    )


def _json_row(
    path: Path, where: str, values: object, places: ImagePlaces, reader: Callable[[str], Callable[[], bytes]]
) -> FileRow:
    """Return a row of JSON; `reader` makes what reads an image of base64."""
    if not isinstance(values, dict):
        return FileRow(where=where, problem=f"expected a JSON object, found {type(values).__name__}")
    texts = _image_texts(values, places)
    images = [_json_image(path, where, text, places, reader(text)) for text in texts]
    values.pop(places.columns[0], None)
    return FileRow(where=where, values=values, images=tuple(images))


def _image_texts(values: Mapping[str, Any], places: ImagePlaces) -> list[str]:
    """Return the row's images, each base64 or the name of a file, from the first column that has any."""
    for name in places.columns:
        value = values.get(name)
        texts = [_bytes_or_name(part) for part in (value if isinstance(value, list) else [value])]
        if found := [text for text in texts if isinstance(text, str) and text]:
            return found
    return []


def _bytes_or_name(value: object) -> object:
    """Return what stands for an image in {"bytes": …, "path": …}; any other value as it is."""
    return value.get("bytes") or value.get("path") if isinstance(value, dict) else value


def listed(value: object) -> object:
    """Return the list that a cell holds, also one that is written as text, as tables have it; any other cell as it is.

    Of options by their letters, {"A": "red", "B": "blue", "C": None}, it is the list of "(A) red" and so on; letters
    without a text behind the last that has one are how columns say that a question has fewer options.
    """
    found = value
    if isinstance(value, str) and (text := value.strip())[:1] + text[-1:] in ("[]", "{}"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            try:
                found = ast.literal_eval(text)  # quotes as Python has them
            except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
                return value
        if isinstance(found, set) and all(isinstance(part, str) for part in found):
            found = sorted(found)
    if isinstance(found, dict) and len(found) > 1 and sorted(map(str, found)) == list(LETTERS[: len(found)]):
        with_text = [letter for letter in sorted(found) if found[letter] not in (None, "")]
        if with_text != list(LETTERS[: len(with_text)]) or not all(_is_said(found[letter]) for letter in with_text):
            return value
        return [f"({letter}) {found[letter]}" for letter in with_text]
    return found if isinstance(found, list) else value


def _is_said(value: object) -> bool:
    return isinstance(value, str | int | float)


def decode_base64(text: str) -> bytes:
    """Return what base64 holds, in one line or several, also behind `data:image/png;base64,`."""
    return base64.b64decode("".join(text.rpartition(";base64,")[2].split()), validate=True)


def _json_image(path: Path, where: str, text: str, places: ImagePlaces, read: Callable[[], bytes]) -> RowImage:
    if len(text) <= _LONGEST_NAME and not _holds_image(text):
        return _named_image(path, text, places)
    return _base64_image(text, f"{path.name}:{where}", read)


def _holds_image(text: str) -> bool:
    """Return whether a text is an image's base64: names may look like base64, too."""
    try:
        read_header(decode_base64(text))
    except (ImageError, ValueError):
        return False
    return True


def _base64_image(text: str, key: str, read: Callable[[], bytes]) -> RowImage:
    try:
        return _image(decode_base64(text), read)
    except (binascii.Error, ValueError):
        return RowImage(key, None, "not base64", bytes)


def _read_json_image(path: Path, start: int, length: int, position: int, places: ImagePlaces) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        values = json.loads(file.read(length))
    return decode_base64(_image_texts(values, places)[position])


# --- tables, as VLMEvalKit's own data sets are ---


def read_tsv(path: Path, places: ImagePlaces = XLRS_PLACES) -> Iterator[FileRow]:
    """Yield the rows of one table with tabs between its columns; see `read_csv`.

    Raises:
        DataError: the file cannot be read.
    """
    yield from _read_table(path, places, "\t")


def read_csv(path: Path, places: ImagePlaces = XLRS_PLACES) -> Iterator[FileRow]:
    """Yield the rows of one table; images are as in JSON lines, or the `index` of the row that holds the same one.

    Options in columns A, B, … become one column `options`.

    Raises:
        DataError: the file cannot be read.
    """
    yield from _read_table(path, places, ",")


def _read_table(path: Path, places: ImagePlaces, delimiter: str) -> Iterator[FileRow]:
    shown: dict[str, list[str]] = {}
    for number, values in _table_rows(path, delimiter):
        where = f"{path.name} row {number}"
        if None in values or None in values.values():
            yield FileRow(where=where, problem="expected as many cells as the first line has")
            continue
        texts = _image_texts({**values, places.columns[0]: listed(values.get(places.columns[0], ""))}, places)
        if len(texts) == 1 and texts[0] in shown:
            texts = shown[texts[0]]
        if index := values.get("index"):
            shown[index] = texts
        images = tuple(_json_image(path, where, text, places, partial(decode_base64, text)) for text in texts)
        letters = [letter for letter in LETTERS if values.get(letter, "").strip()]
        options = [values[letter] for letter in letters]
        if "options" not in values and letters != list(LETTERS[: len(letters)]):
            yield FileRow(where=where, problem=f"options {', '.join(letters)} without one between them")
            continue
        row: dict[str, Any] = {name: value for name, value in values.items() if name != places.columns[0]}
        if options and "options" not in row:
            row["options"] = options
        yield FileRow(where=where, values=row, images=images)


def _table_rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(sys.maxsize)  # images are base64 in a cell
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from enumerate(csv.DictReader(file, delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkDataError(f"{path}: not a readable table ({error})") from error


# --- shards that `rsvqa build` wrote ---


def read_shard(path: Path) -> Iterator[FileRow]:
    """Yield the rows of a shard of ours, whose images have names that tell them apart: none of them is read.

    Raises:
        DataError: the shard cannot be read.
    """
    file = _ShardFile(path)
    number = 0
    for group in range(file.num_row_groups):
        values, names = file.read_values(group), file.read_names(group)
        for i, (row, shown) in enumerate(zip(values, names, strict=True)):
            size = ImageSize(row[Column.IMAGE_HEIGHT], row[Column.IMAGE_WIDTH])
            images = (
                RowImage(name, size, "", partial(file.read_image, group, i, position))
                for position, name in enumerate(shown)
            )
            yield FileRow(where=f"{path.name} row {number}", values=row, images=tuple(images))
            number += 1


class _ShardFile:
    """A shard; the encoded images of the row group used last are kept, each once."""

    def __init__(self, path: Path) -> None:
        try:
            self._reader = TableReader(path)
        except TableError as error:
            raise BenchmarkDataError(f"{error}; build the data set again") from error
        self._columns = [name for name in self._reader.columns if name != Column.IMAGE]
        self.num_row_groups = self._reader.info.num_row_groups
        self._group = -1
        self._images: list[list[bytes]] = []

    def read_values(self, group: int) -> list[dict[str, Any]]:
        """Return the rows of a row group without images."""
        return self._reader.read_row_group(group, self._columns)

    def read_names(self, group: int) -> list[list[str]]:
        """Return the names of the images of each row of a row group."""
        return self._reader.read_image_names(group, Column.IMAGE)

    def read_image(self, group: int, row: int, position: int) -> bytes:
        """Return the encoded bytes of one image of a row."""
        if group != self._group:
            rows = self._reader.read_row_group(group, [Column.IMAGE])
            self._images = [[image.data for image in row[Column.IMAGE]] for row in rows]
            self._group = group
        return self._images[row][position]
