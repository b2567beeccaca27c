"""Replies that another harness stored, scored by ours: lmms-eval's logged samples, VLMEvalKit's tables.

What surprises: lmms-eval 0.7.3 logs no document, so a question's id is taken from what its metrics carry
(`xlrs_micro_score.question_id`). A line whose question or right answer is not the data's is refused: its reply is to
something else.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rsvqa.annotation.lettering import LETTERS, read_letters
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BoxConvention, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.samples import Sample

_IDS = ("question_id", "index", "id")
_SHEET = "xl/worksheets/sheet1.xml"
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_MAX_XLSX_BYTES = 1_000_000_000
"""Of a table when unpacked; the largest of VLMEvalKit's, without images, are a hundredth of it."""


_WHOLE_NUMBER = re.compile(r"\A(\d+)\.0+\Z")
"""As pandas writes the numbers of a column in which one was missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignReply:
    """One stored reply.

    Attributes:
        where: file and line, for messages.
        key: id of the question.
        text: the reply; None where the harness has none.
        question: what was asked, at least; None when it was not stored.
        right: the right answer as stored; None when it was not.
    """

    where: str
    key: str
    text: str | None
    question: str | None
    right: str | None


class ForeignReplies:
    """A model that gives the replies of a file."""

    def __init__(self, path: Path, samples: Sequence[Sample], box_convention: BoxConvention | None) -> None:
        """Read the file and compare its questions with those that are asked.

        Raises:
            ModelError: it cannot be read, is to other questions, or answers one twice.
        """
        self.name = f"replies:{path.name}"
        self.box_convention: BoxConvention = box_convention or "0-1"
        data, replies = read_foreign_replies(path)
        self._sha256 = hashlib.sha256(data).hexdigest()
        self._replies: dict[str, ForeignReply] = {}
        for reply in replies:
            if reply.key in self._replies:
                raise ModelError(f"{reply.where}: the question {reply.key} is answered twice")
            self._replies[reply.key] = reply
        found = [(sample, self._replies[sample.sample_id]) for sample in samples if sample.sample_id in self._replies]
        if not found:
            held = next(iter(self._replies), "nothing")
            asked = samples[0].sample_id if samples else "nothing"
            raise ModelError(f"{path} answers none of the questions: it holds {held} …, asked is {asked} …")
        for sample, reply in found:
            _check_same(sample, reply)

    def describe(self) -> Mapping[str, Any]:
        """Return the hash of the file."""
        return {"adapter": "replies", "sha256": self._sha256}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield the stored reply of each prompt; options in another order were not asked there."""
        for prompt in (prompt for group in groups for prompt in group.prompts):
            known = self._replies.get(prompt.sample.sample_id)
            if prompt.rotation:
                yield Unanswered(prompt.key, "stored replies are to the options as in the file")
            elif known is None or known.text is None:
                yield Unanswered(prompt.key, "the file of replies has none to it")
            else:
                yield Reply(key=prompt.key, text=known.text, box_convention=self.box_convention)


def _check_same(sample: Sample, reply: ForeignReply) -> None:
    def plain(text: str) -> str:
        return " ".join(text.split())

    if reply.question is not None and plain(sample.question) not in plain(reply.question):
        raise ModelError(f"{reply.where}: {reply.key} is another question there: {reply.question[:80]!r}")
    if reply.right is not None and sample.answer and read_letters(reply.right, len(LETTERS)) != sample.answer:
        raise ModelError(
            f"{reply.where}: the right answer to {reply.key} is {reply.right!r} there, {sample.answer} here"
        )


# --- files ---


def read_foreign_replies(path: Path) -> tuple[bytes, list[ForeignReply]]:
    """Return a file's bytes and its replies; the ending says what it is: .jsonl, .xlsx, .tsv or .csv.

    Raises:
        ModelError: it cannot be read, or a line is not a stored reply.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".jsonl":
            return data, [_logged(f"{path.name} line {number}", line) for number, line in _lines(data)]
        if path.suffix == ".xlsx":
            return data, [*_tabled(path, _xlsx_rows(data))]
        if path.suffix in (".tsv", ".csv"):
            csv.field_size_limit(sys.maxsize)  # a column of images may have been left in
            text = io.StringIO(data.decode("utf-8-sig"), newline="")
            return data, [*_tabled(path, csv.reader(text, delimiter="\t" if path.suffix == ".tsv" else ","))]
    except (
        OSError,
        ValueError,
        LookupError,
        RecursionError,
        csv.Error,
        zipfile.BadZipFile,
        ElementTree.ParseError,
    ) as error:
        raise ModelError(f"the file of replies {path} cannot be read: {error}") from error
    raise ModelError(f"{path}: expected .jsonl of lmms-eval's logged samples, or .xlsx, .tsv or .csv of VLMEvalKit")


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    yield from ((number, line) for number, line in enumerate(data.split(b"\n"), start=1) if line.strip())


def _logged(where: str, line: bytes) -> ForeignReply:
    """Return a line of lmms-eval's `…_samples_TASK.jsonl`."""
    values = json.loads(line)
    if not isinstance(values, dict):
        raise ModelError(f"{where}: expected a JSON object")
    stored = values.get("doc")
    document: Mapping[str, Any] = stored if isinstance(stored, dict) else {}
    metrics = [value for value in values.values() if isinstance(value, dict)]
    key = _first_id([document, values, *metrics])
    texts = values.get("resps", values.get("filtered_resps"))
    if key is None or texts is None:
        raise ModelError(f"{where}: expected filtered_resps and an id of the question: {', '.join(_IDS)}")
    question = document.get("question", values.get("input"))
    right = document.get("answer", values.get("target"))
    return ForeignReply(
        where=where,
        key=key,
        text=_first_text(texts),
        question=question if isinstance(question, str) else None,
        right=right if isinstance(right, str) else None,
    )


def _first_id(places: Sequence[Mapping[str, Any]]) -> str | None:
    found = (place[name] for place in places for name in _IDS if isinstance(place.get(name), str | int))
    return next((str(value) for value in found), None)


def _first_text(value: object) -> str | None:
    """Return the reply in lists of lists of one."""
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else None


def _tabled(path: Path, rows: Iterable[Sequence[str]]) -> Iterator[ForeignReply]:
    """Yield the rows of VLMEvalKit's table of predictions."""
    head, *body = [list(row) for row in rows] or [[]]
    if not {"index", "prediction"} <= set(head):
        raise ModelError(f"{path}: expected the columns index and prediction, found {', '.join(head) or 'none'}")
    for number, row in enumerate(body, start=2):
        values = dict(zip(head, row, strict=False))
        if values.get("index"):
            yield ForeignReply(
                where=f"{path.name} row {number}",
                key=_WHOLE_NUMBER.sub(r"\1", values["index"]),
                text=values.get("prediction") or None,
                question=values.get("question"),
                right=values.get("answer"),
            )


def _xlsx_rows(data: bytes) -> Iterator[list[str]]:
    """Yield the rows of an Excel file's first sheet as texts; enough for tables that pandas wrote."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _MAX_XLSX_BYTES:
            raise ValueError("it is larger than a table of replies")
        shared: list[str] = []
        if "xl/sharedStrings.xml" in archive.namelist():
            shared = [_text_in(item) for item in _parsed(archive, "xl/sharedStrings.xml")]
        for row in _parsed(archive, _SHEET).findall(".//{*}row"):
            cells: dict[int, str] = {}
            for cell in row.findall("{*}c"):
                value = cell.find("{*}v")
                text = _text_in(cell) if value is None else value.text or ""
                cells[_column(cell.get("r", ""), len(cells))] = shared[int(text)] if cell.get("t") == "s" else text
            yield [cells.get(number, "") for number in range(max(cells, default=-1) + 1)]


def _parsed(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    text = archive.read(name)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError(f"{name} declares entities, which no table of replies does")
    return ElementTree.fromstring(text)  # noqa: S314  without entities there is nothing to expand


def _text_in(element: ElementTree.Element) -> str:
    """Return a cell's text, with the characters that XML cannot hold."""
    text = "".join(part.text or "" for part in element.findall(".//{*}t"))
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)


def _column(reference: str, default: int) -> int:
    """Return the number of a cell's column, from 0: "AB7" is 27."""
    letters = re.match(r"[A-Z]+", reference)
    if letters is None:
        return default
    number = 0
    for letter in letters[0]:
        number = 26 * number + LETTERS.index(letter) + 1
    return number - 1
