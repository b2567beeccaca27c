"""Rows of a benchmark that a task file describes → samples, or the reason why one cannot be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rsvqa.annotation.facts import Box
from rsvqa.annotation.lettering import (
    LETTERS,
    LetteringError,
    has_letter,
    lettered,
    option_texts,
    read_options,
)
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.xlrs_files import (
    FileRow,
    ImagePlaces,
    listed,
    read_arrow,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
    read_tsv,
)
from rsvqa.benchmark.files.xlrs_rows import RowError, cut_listed_options, right_letters_of, shown_images
from rsvqa.benchmark.protocol.task_file import PLACEHOLDER, AskedAs, Cell, Cells, NamedTaskFile, TaskFile
from rsvqa.benchmark.samples import Sample

READERS: Mapping[str, Callable[[Path, ImagePlaces], Iterator[FileRow]]] = {
    ".arrow": read_arrow,
    ".parquet": read_parquet,
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".tsv": read_tsv,
    ".csv": read_csv,
}
_PER_SIDE = {"0-1": 1.0, "0-100": 100.0, "0-1000": 1000.0}
_OUR_PLACEHOLDERS = ("question", "listed_options", "letters")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?")


def read_rows(found: NamedTaskFile) -> list[FileRow]:
    """Return all rows of the benchmark's files, in the order of their names.

    Raises:
        BenchmarkDataError: there is no such file, one has an ending that is not read, or one cannot be read.
    """
    rules, folder = found
    paths = sorted({path for pattern in rules.files for path in folder.glob(pattern) if path.is_file()})
    if not paths:
        raise BenchmarkDataError(f"{folder} holds none of {', '.join(rules.files)}, the files of {rules.title}")
    places = ImagePlaces(rules.columns.image, rules.image_folders)
    rows: list[FileRow] = []
    for path in paths:
        if path.suffix not in READERS:
            raise BenchmarkDataError(f"{path}: expected one of {', '.join(READERS)}")
        rows += READERS[path.suffix](path, places)
    _check_columns(rules, rows)
    return rows


def _check_columns(rules: TaskFile, rows: Sequence[FileRow]) -> None:
    """Refuse a task file that names a column which no row has: a mistake in it, and no defect of all rows."""
    known = sorted({name for row in rows for name in row.values})
    if not known:
        return
    columns = rules.columns
    named = [("columns.id", columns.id), ("columns.question", columns.question), ("columns.answer", columns.answer)]
    named += [("columns.options", columns.options), *(("columns.groups", cells) for cells in columns.groups)]
    named += [("only", one.cell) for one in rules.only]
    for number, case in enumerate(rules.ask):
        named += [(f"ask.{number}.when", (name,)) for name in case.when]
        prompted = [] if case.prompt is None else PLACEHOLDER.findall(case.prompt)
        named += [(f"ask.{number}.prompt", (name,)) for name in prompted if name not in _OUR_PLACEHOLDERS]
    for place, cells in named:
        names = [cell if isinstance(cell, str) else cell.column for cell in cells]
        if names and not set(names) & set(known):
            raise BenchmarkDataError(
                f"{rules.name}: {place}: no row has a column {' or '.join(names)}; there are {', '.join(known)}"
            )


def is_of_part(rules: TaskFile, row: FileRow) -> bool:
    """Tell whether a row belongs to the part of the benchmark that the file asks; broken rows do, to be told of."""
    return bool(row.problem) or all(_text(row.values, one.cell) == one.value for one in rules.only)


def to_samples(rules: TaskFile, row: FileRow) -> list[Sample]:
    """Return the row's samples: one, or one per wording of its question.

    Raises:
        RowError: it cannot be asked.
    """
    if row.problem:
        raise RowError("row cannot be read", row.problem)
    values = row.values
    wordings = _value(values, rules.columns.question)
    if not isinstance(wordings, list | tuple):
        wordings = [wordings]
    if not wordings or not all(isinstance(wording, str) and wording.strip() for wording in wordings):
        raise RowError("no question")
    case = _case(rules, values)
    groups = [_group(values, cells) for cells in rules.columns.groups] or [rules.title]
    stated = _text(values, rules.columns.id) if rules.columns.id else None
    right = _right(rules, case, row)
    row_id = stated or row.where
    return [
        Sample(
            sample_id=row_id if len(wordings) == 1 else f"{row_id}/{number}",
            task="/".join((rules.name, *groups)),
            category="/".join(groups[1:] or groups),
            l2_category=groups[0] if len(groups) > 1 else "",
            language=rules.language,
            question=wording,
            images=shown_images(row),
            prompt=_prompt(rules, case, values, wording, len(right["options"])),
            max_new_tokens=case.max_new_tokens,
            form=case.answer_form,
            **right,
        )
        for number, wording in enumerate(wordings)
    ]


# --- cells ---


def _value(values: Mapping[str, Any], cells: Cells) -> Any:  # noqa: ANN401  any column
    """Return the first of the alternatives that the row has; None without any."""
    return next((value for cell in cells if (value := _one_value(values, cell)) not in (None, "")), None)


def _one_value(values: Mapping[str, Any], cell: Cell) -> Any:  # noqa: ANN401  any column
    if isinstance(cell, str):
        return values.get(cell)
    value = values.get(cell.column)
    if value is None:
        return None
    text = _said(value)
    match = re.search(cell.pattern, text)
    if match is None:
        raise RowError(f"column {cell.column} does not fit its pattern", repr(text)[:200])
    return cell.names.get(match[1].lower(), match[1])


def _text(values: Mapping[str, Any], cells: Cells) -> str | None:
    value = _value(values, cells)
    return None if value is None else _said(value)


def _said(value: object) -> str:
    """Return a cell's text: of a list one entry per line, of a truth value as JSON has it."""
    if isinstance(value, list | tuple):
        return "\n".join(map(_said, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _group(values: Mapping[str, Any], cells: Cells) -> str:
    text = _text(values, cells)
    if not text:
        names = " or ".join(cell if isinstance(cell, str) else cell.column for cell in cells)
        raise RowError(f"no {names}")
    return text


# --- what is asked ---


def _case(rules: TaskFile, values: Mapping[str, Any]) -> AskedAs:
    for case in rules.ask:
        if all(_said(values.get(name)) == value for name, value in case.when.items()):
            return case
    named = {name: values.get(name) for case in rules.ask for name in case.when}
    raise RowError("no prompt for such a row", repr(named)[:200])


def _prompt(rules: TaskFile, case: AskedAs, values: Mapping[str, Any], wording: str, num_options: int) -> str | None:
    def filled(match: re.Match[str]) -> str:
        name = match[1]
        if name == "question":
            return wording
        if name == "letters":
            return ", ".join(LETTERS[:num_options])
        value = _value(values, rules.columns.options if name == "listed_options" else (name,))
        if value is None:
            raise RowError(f"no {name} for the prompt")
        return _said(value)

    return None if case.prompt is None else PLACEHOLDER.sub(filled, case.prompt)


def _right(rules: TaskFile, case: AskedAs, row: FileRow) -> dict[str, Any]:
    """Return the fields of a sample that say what is right; see `Sample`."""
    answer = _value(row.values, rules.columns.answer)
    found: dict[str, Any] = {"options": (), "answer": "", "references": (), "box": None}
    if case.answer_form is AnswerForm.BOX:
        return found | {"box": _box(answer, _per_side(case, row))}
    if case.answer_form in (AnswerForm.WORDS, AnswerForm.TEXT):
        texts = answer if isinstance(answer, list | tuple) else [answer]
        references = tuple(_said(text) for text in texts if text is not None and _said(text).strip())
        if not references:
            raise RowError("no right answer")
        return found | {"references": references}
    options = _options(_value(row.values, rules.columns.options))
    letters = right_letters_of(answer, options)
    if len(letters) > 1 and case.answer_form is AnswerForm.ONE_OF:
        raise RowError("several right letters in a task with one", letters)
    return found | {"options": options, "answer": letters}


def _options(value: object) -> tuple[str, ...]:
    """Return the options, each "(A) …"; a list in which none begins with a letter gets letters in its order."""
    found = listed(value)
    found = cut_listed_options(found) if isinstance(found, str) else found
    if not isinstance(found, list | tuple) or len(found) < 2:
        raise RowError("fewer than two options", repr(value)[:200])
    texts = [_said(option).strip() for option in found if isinstance(option, str | int | float)]
    if "" in texts or len(texts) < len(found):
        raise RowError("an option has no text", repr(value)[:200])
    try:
        options = read_options(texts)
        if "" in option_texts(options):
            raise RowError("an option has no text", repr(value)[:200])
        return options
    except LetteringError as error:
        if len(texts) > len(LETTERS) or any(map(has_letter, texts)):
            raise RowError("options are not lettered (A), (B), …", str(error)) from error
        return lettered(texts)


def _per_side(case: AskedAs, row: FileRow) -> tuple[float, float]:
    """Return how much of the units of right boxes the image is wide and high."""
    if case.box_units != "pixels":
        return (_PER_SIDE[case.box_units or "0-1"],) * 2
    if not row.images or row.images[0].size is None:
        raise RowError("box in pixels of an image of unknown size")
    return float(row.images[0].size.width), float(row.images[0].size.height)


def _box(value: object, per_side: tuple[float, float]) -> Box:
    """Return the right box as shares of the sides; it stands in a list, or as four numbers in a text."""
    numbers = _NUMBER.findall(_said(value)) if value is not None else []
    if len(numbers) != 4:
        raise RowError("box is not four numbers", repr(value)[:200])
    box = Box(*(float(number) / side for number, side in zip(numbers, per_side * 2, strict=True)))
    if not (0 <= box.x_min < box.x_max <= 1 and 0 <= box.y_min < box.y_max <= 1):
        raise RowError("box does not lie in its image, or has no area", repr(value)[:200])
    return box
