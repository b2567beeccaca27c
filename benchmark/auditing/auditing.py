"""`rsvqa audit`: find out what files hold, and audit it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsvqa.annotation.lettering import LETTERS, option_texts
from rsvqa.benchmark.auditing.foreign_files import (
    find_images,
    is_coco,
    read_json,
    read_json_lines,
    read_table,
)
from rsvqa.benchmark.auditing.rows import coco_items, row_items
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.datasets import is_built, is_data, stated_split
from rsvqa.benchmark.files.xlrs_files import FileRow, RowImage, read_arrow, read_parquet
from rsvqa.benchmark.files.xlrs_rows import RowError, to_sample
from rsvqa.rsvqa_builder.auditing.audit import AuditSource, run_audit
from rsvqa.rsvqa_builder.auditing.items import AuditImage, AuditItem
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings
from rsvqa.rsvqa_builder.auditing.shard_items import read_shard_items
from rsvqa.rsvqa_builder.dataset.records import SPLITS
from rsvqa.rsvqa_builder.progress import Reporter

_SUFFIXES = (".arrow", ".parquet", ".jsonl", ".json", ".tsv", ".csv")
_NOT_DATA = {"dataset_info.json", "state.json", "dataset_dict.json", "dataset_infos.json"}
"""What `datasets` and trainers keep beside their data."""


def audit_data(data: Path, settings: AuditSettings, *, reporter: Reporter | None = None) -> dict[str, Any]:
    """Return what an audit of a data set finds: the content of `audit.json`.

    Args:
        data: a folder that `rsvqa build` wrote, or a folder or file of another maker: arrow, parquet, JSON, JSON lines,
            tables of tabs or commas.
        settings: of the audit.
        reporter: hears of progress.

    Raises:
        BenchmarkDataError: there is no file of a known kind, or the only one cannot be read.
    """
    name = data.resolve().name
    if is_built(data):
        return run_audit(
            AuditSource(name=name, layout="rsvqa build", items=read_shard_items(data, images=settings.images)),
            settings,
            reporter=reporter,
        )
    paths = find_files(data)
    left_out: Counter[str] = Counter()
    suffixes = sorted({path.suffix.removeprefix(".") for path in paths})
    items = _items(data, paths, left_out, look=settings.images)
    source = AuditSource(name=name, layout=", ".join(suffixes), items=items, left_out=lambda: left_out)
    return run_audit(source, settings, reporter=reporter)


def find_files(data: Path) -> list[Path]:
    """Return the files of known kinds in a folder, sorted.

    Raises:
        BenchmarkDataError: there is none.
    """
    if not data.exists():
        raise BenchmarkDataError(f"no data at {data}: expected a folder or a file")
    found = [data] if data.is_file() else sorted(path for path in data.rglob("*") if path.suffix.lower() in _SUFFIXES)
    kept = [path for path in found if path.suffix.lower() in _SUFFIXES and path.name not in _NOT_DATA and is_data(path)]
    if not kept:
        raise BenchmarkDataError(f"{data} holds no data: expected files that end in {', '.join(_SUFFIXES)}")
    return kept


def _items(data: Path, paths: list[Path], left_out: Counter[str], *, look: bool) -> Iterator[AuditItem]:
    root = data if data.is_dir() else data.parent
    for path in paths:
        split = stated_split(data, path) or (path.stem if path.stem in SPLITS else "")
        try:
            yield from _file_items(path, root, split, look=look)
        except BenchmarkDataError as error:
            if len(paths) == 1:
                raise
            left_out[str(error).replace(str(root), root.name)] += 1


def _file_items(path: Path, root: Path, split: str, *, look: bool) -> Iterator[AuditItem]:
    suffix = path.suffix.lower()
    if suffix in (".arrow", ".parquet"):
        for row in (read_arrow if suffix == ".arrow" else read_parquet)(path):
            yield from _table_items(row, split, look=look)
        return
    if suffix == ".json":
        for number, values in enumerate(read_json(path), start=1):
            if is_coco(values):
                yield from coco_items(values, _coco_images(path, values, root), where=path.name, split=split, look=look)
            else:
                row = FileRow(where=f"{path.name} row {number}", values=values)
                yield from _text_items(path, row, root, split, look=look)
        return
    for row in (read_json_lines if suffix == ".jsonl" else read_table)(path):
        yield from _text_items(path, row, root, split, look=look)


def _table_items(row: FileRow, split: str, *, look: bool) -> Iterator[AuditItem]:
    """Yield the question of a row of arrow or parquet: as the benchmark reads it where it can, else as any maker's."""
    images = tuple(_audit_image(image) for image in row.images)
    try:
        sample = to_sample(row, str(row.values.get("question_id") or row.values.get("index") or row.where))
    except RowError:
        yield from row_items(row.values, images, where=row.where, split=split, look=look)
        return
    size = row.images[0].size if row.images else None
    yield AuditItem(
        where=sample.sample_id,
        task=sample.task,
        form=sample.form,
        question=sample.question,
        options=option_texts(sample.options),
        right=tuple(LETTERS.index(letter) for letter in sample.answer),
        reference=" ".join(sample.references),
        box=sample.box,
        size=None if size is None else (size.width, size.height),
        split=split,
        image=" ".join(image.name for image in images),
        language=sample.language,
        images=images if look else (),
    )


def _audit_image(image: RowImage) -> AuditImage:
    return AuditImage(name=image.key, read=image.read)


def _text_items(path: Path, row: FileRow, root: Path, split: str, *, look: bool) -> Iterator[AuditItem]:
    images = tuple(find_images(path, row.values, (root,)))
    for item in row_items(row.values, images, where=row.where, split=split, look=look):
        yield replace(item, problem=row.problem) if row.problem else item


def _coco_images(path: Path, content: Mapping[str, Any], root: Path) -> dict[Any, AuditImage]:
    found = {}
    for entry in content["images"]:
        values = {"image": entry.get("file_name"), "width": entry.get("width"), "height": entry.get("height")}
        for image in find_images(path, values, (root,)):
            found[entry.get("id")] = image
    return found
