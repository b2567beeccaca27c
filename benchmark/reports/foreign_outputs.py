"""A run's replies in the files of other harnesses: lmms-eval's logged samples, VLMEvalKit's tables of predictions.

`replies:FILE` reads both back. What surprises: VLMEvalKit cannot tell an empty prediction from a missing one, so an
empty reply is written as a space.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.benchmark.errors import NothingToScoreError, RunError
from rsvqa.benchmark.files.reply_store import read_replies
from rsvqa.benchmark.files.run_record import read_run_record
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.protocol.official_answers import official_letters, strip_reasoning
from rsvqa.rsvqa_builder.dataset.rows import Column
from rsvqa.rsvqa_builder.files import write_atomically

TABLE_COLUMNS = ("index", "question", Column.OPTIONS, "answer", "category", Column.L2_CATEGORY, "prediction")
"""What VLMEvalKit's `XLRSBench.evaluate` reads, and the question."""
_MAX_CELL = 32_767
"""Characters of a cell, by Excel's limits."""
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\r\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")


def write_foreign(run: Path, path: Path) -> None:
    """Write the replies in the folder `run` to a file of another harness, which its ending says.

    Args:
        run: of `rsvqa bench`; questions without a reply have no line, and rotated options none of their own.
        path: .jsonl for lmms-eval's logged samples, .tsv, .csv or .xlsx for VLMEvalKit's predictions.

    Raises:
        NothingToScoreError: `run` is no run, or holds no reply.
        RunError: another ending, or a reply that is too long for a cell.
    """
    writer = _WRITERS.get(path.suffix)
    if writer is None:
        raise RunError(f"{path}: expected one of {', '.join(_WRITERS)}, which says whose file it is")
    read_run_record(run)  # says what is wrong with a folder of something else
    replies = [reply for reply in read_replies(run) if reply.rotation == 0 and reply.reply is not None]
    if not replies:
        raise NothingToScoreError(f"{run} holds no reply to write")
    write_atomically(path, writer(replies))


# --- lmms-eval ---


def _logged_samples(replies: Sequence[StoredReply]) -> bytes:
    lines = (json.dumps(_logged(number, reply), ensure_ascii=False) for number, reply in enumerate(replies))
    return "".join(f"{line}\n" for line in lines).encode()


def _logged(number: int, reply: StoredReply) -> dict[str, Any]:
    """Return a line as lmms-eval 0.7.3 logs samples (`loggers/evaluation_tracker.py`)."""
    text = reply.reply or ""
    filtered = strip_reasoning(text)
    line: dict[str, Any] = {"doc_id": number, "input": reply.prompt, "target": _right(reply)}
    if filtered != text:
        line["resps"] = [text]
    line["filtered_resps"] = filtered
    task = TASKS.get(reply.task)
    if task is None or task.is_own or not reply.options:
        return {**line, "question_id": reply.sample_id}
    category, _, sub_category = reply.category.partition("/")
    score = {
        "question_id": int(reply.sample_id) if reply.sample_id.isdecimal() else reply.sample_id,
        "category": category,
        "sub_category": sub_category,
        "task_category": reply.l2_category,
        "pred_answer": official_letters(text),
        "answer": reply.answer,
    }
    return {**line, "xlrs_micro_score": score, "xlrs_macro_score": score}


def _right(reply: StoredReply) -> str:
    if reply.options:
        return reply.answer
    return str(list(reply.box)) if reply.box else "; ".join(reply.references)


# --- VLMEvalKit ---


def _table(replies: Sequence[StoredReply]) -> list[Sequence[str]]:
    return [TABLE_COLUMNS, *map(_row, replies)]


def _row(reply: StoredReply) -> Sequence[str]:
    # the kit's prompt is the question and this column
    options = reply.prompt.removeprefix(reply.question) if reply.options else ""
    return (
        reply.sample_id,
        reply.question,
        options,
        _right(reply),
        reply.category,
        reply.l2_category,
        reply.reply or " ",
    )


def _separated(replies: Sequence[StoredReply], separator: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(_table(replies))
    return text.getvalue().encode()


def _workbook(replies: Sequence[StoredReply]) -> bytes:
    """Return an Excel file with one sheet of texts, the same bytes for the same replies."""
    rows = _table(replies)
    for row in rows:
        if max(map(len, row)) > _MAX_CELL:
            raise RunError(f"the reply to {row[0]}, or its question, is too long for a cell of Excel: write .tsv")
    lines = (f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**_WORKBOOK_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            archive.writestr(zipfile.ZipInfo(name), _XML + content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _cell(text: str) -> str:
    kept = _NOT_IN_XML.sub(lambda found: f"_x{ord(found[0]):04X}_", text)
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(kept)}</t></is></c>'


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_WORKBOOK_PARTS: Mapping[str, str] = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
}

_WRITERS: Mapping[str, Callable[[Sequence[StoredReply]], bytes]] = {
    ".jsonl": _logged_samples,
    ".tsv": lambda replies: _separated(replies, "\t"),
    ".csv": lambda replies: _separated(replies, ","),
    ".xlsx": _workbook,
}
