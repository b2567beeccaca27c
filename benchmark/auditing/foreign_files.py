"""Rows of other makers' training files: JSON lists, JSON lines, tables of tabs or commas, COCO.

A row is a `FileRow` as benchmark files give it, with its images unread. What surprises: names of images are looked for
beside the file, in the folder above and in folders `images` of both; an absolute one is followed when it is a plain
file, since trainers ask for such names and an audit sends nothing anywhere.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rsvqa.annotation.images import ImageError
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.xlrs_files import FileRow, decode_base64
from rsvqa.rsvqa_builder.auditing.items import AuditImage

IMAGE_KEYS = ("image", "images", "image_path", "image_paths", "Image", "path", "image_name", "bytes")
"""What rows call their images, the first that is there counts."""
_LONGEST_NAME = 1_000


def read_json(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON list, or of the only list that an object holds; COCO is one object.

    Raises:
        BenchmarkDataError: it is not JSON, or holds no objects.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BenchmarkDataError(f"{path}: not readable JSON: {error}") from error
    if is_coco(content):
        yield content
        return
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list) and value]
        content = lists[0] if len(lists) == 1 else None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise BenchmarkDataError(f"{path}: expected a JSON list of objects, or COCO")
    yield from content


def is_coco(content: object) -> bool:
    """Return whether JSON is a COCO file."""
    return isinstance(content, dict) and isinstance(content.get("images"), list) and "annotations" in content


def read_json_lines(path: Path) -> Iterator[FileRow]:
    """Yield the objects of JSON lines; a broken line is a row with a problem."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path.name} line {number}"
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                values = None
            if isinstance(values, dict):
                yield FileRow(where=where, values=values)
            else:
                yield FileRow(where=where, problem="a line is no JSON object")


def read_table(path: Path) -> Iterator[FileRow]:
    """Yield the rows of a table of tabs or commas with a header, as VLMEvalKit's are.

    Raises:
        BenchmarkDataError: it is not text, or has no header.
    """
    csv.field_size_limit(sys.maxsize)  # images are base64 in a cell
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            for number, values in enumerate(rows, start=1):
                yield FileRow(where=f"{path.name} row {number}", values={k: v for k, v in values.items() if k and v})
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkDataError(f"{path}: not a readable table: {error}") from error


def find_images(path: Path, values: Mapping[str, Any], roots: tuple[Path, ...] = ()) -> Iterator[AuditImage]:
    """Yield the images that a row names or holds.

    Args:
        path: the row's file.
        values: the row.
        roots: further folders in which names are looked for.
    """
    key = next((key for key in IMAGE_KEYS if values.get(key)), None)
    if key is None:
        return
    found = values[key]
    stated = _stated_sizes(values)
    for number, entry in enumerate(found if isinstance(found, list) else [found]):
        size = stated[number] if number < len(stated) else None
        name = entry.get("path") or entry.get("bytes") if isinstance(entry, dict) else entry
        if not isinstance(name, str) or not name:
            continue
        if len(name) > _LONGEST_NAME or name.startswith("data:"):
            yield AuditImage(name=f"{path.name}:{hash_of(name)}", read=partial(_embedded, name), stated=size)
        else:
            yield AuditImage(name=name, read=partial(_read_named, path, name, roots), stated=size)


def hash_of(text: str) -> str:
    """Return a short digest of a text, the same in every process."""
    import hashlib

    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _stated_sizes(values: Mapping[str, Any]) -> list[tuple[int, int]]:
    for across, down in (("width", "height"), ("image_width", "image_height"), ("width_list", "height_list")):
        widths, heights = values.get(across), values.get(down)
        if widths and heights:
            pairs = zip(_listed(widths), _listed(heights), strict=False)
            try:
                return [(int(width), int(height)) for width, height in pairs]
            except (TypeError, ValueError):
                return []
    return []


def _listed(value: Any) -> list[Any]:  # noqa: ANN401  whatever a file holds
    return value if isinstance(value, list) else [value]


def _embedded(text: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as error:
        raise ImageError("not base64") from error


def _read_named(path: Path, name: str, roots: tuple[Path, ...]) -> bytes:
    folders = [*roots, path.parent, path.parent.parent]
    for folder in (*folders, *(folder / "images" for folder in folders)):
        found = folder / name
        if found.is_file():
            return found.read_bytes()
    raise ImageError("no such file")
