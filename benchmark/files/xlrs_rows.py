"""One row of a benchmark file → one `Sample`, or the reason why it cannot be asked."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rsvqa.annotation.facts import Box
from rsvqa.annotation.lettering import (
    LETTERS,
    OPTION_MARK,
    LetteringError,
    cut_options,
    option_texts,
    read_letters,
    read_options,
)
from rsvqa.annotation.taxonomy import TASKS, AnswerForm, TaskInfo
from rsvqa.benchmark.files.xlrs_files import FileRow, listed
from rsvqa.benchmark.samples import ImageSource, Sample
from rsvqa.rsvqa_builder.dataset.records import HELD_BACK
from rsvqa.rsvqa_builder.dataset.rows import CAPTION_ID, Column

_ID_COLUMNS = (Column.QUESTION_ID, Column.INDEX, CAPTION_ID)
_LINE_OF_OPTION = re.compile(r"\n\s*(?=\([A-Z]\))")
_INSTRUCTION = "Select the best answer"
"""Begins what VLMEvalKit's copy appends to its options; the prompt brings its own."""
_YES_NO = ({"yes", "no"}, {"是", "否"}, {"是", "不是"})
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


class RowError(ValueError):
    """A row cannot be asked; `reason` is the same for all rows with this defect, `detail` is of this row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The part of a sample that says what is right; see `Sample`."""

    form: AnswerForm
    options: tuple[str, ...] = ()
    letters: str = ""
    references: tuple[str, ...] = ()
    box: Box | None = None


def choose_ids(rows: Sequence[FileRow]) -> list[str]:
    """Return an id for each row, from the first column of ids that has none twice.

    The published files number their rows in `index`, `id` or `question_id`, and only one of them need be unique. With
    none unique it is the first, and the caller finds the repeated ones.
    """
    orders = [(_ID_COLUMNS[i], *_ID_COLUMNS[:i], *_ID_COLUMNS[i + 1 :]) for i in range(len(_ID_COLUMNS))]
    candidates = [[_id_of(row, order) for row in rows] for order in orders]
    unique = [ids for ids in candidates if len(set(ids)) == len(ids)]
    return (unique or candidates)[0]


def _id_of(row: FileRow, columns: Sequence[str]) -> str:
    known = [row.values[name] for name in columns if row.values.get(name) not in (None, "")]
    return str(known[0]) if known else row.where


def to_sample(row: FileRow, sample_id: str) -> Sample:
    """Return the row as a sample.

    Raises:
        RowError: the row is not what its task needs.
    """
    if row.problem:
        raise RowError("row cannot be read", row.problem)
    values = row.values
    if (review := values.get(Column.REVIEW)) in HELD_BACK:
        raise RowError(f"review: {review}")
    info = _task(values)
    question = values.get(Column.QUESTION)
    if not isinstance(question, str) or not question.strip():
        raise RowError("no question")
    answer = _answer(info, values)
    return Sample(
        sample_id=sample_id,
        task=info.name,
        category=str(values.get(Column.CATEGORY) or info.category),
        l2_category=str(values.get(Column.L2_CATEGORY) or info.l2_category),
        language=_language(values, question, answer),
        form=answer.form,
        question=question,
        options=answer.options,
        answer=answer.letters,
        references=answer.references,
        box=answer.box,
        images=_images(row, info),
    )


# --- task ---


def _fold(text: str) -> str:
    return "/".join(" ".join(part.split()) for part in text.lower().split("/"))


_TASK_OF = {_fold(info.category): info for info in TASKS.values()} | {
    # grounding and captions go by the second half alone
    _fold(info.category.split("/")[1]): info
    for info in TASKS.values()
}


def _task(values: Mapping[str, Any]) -> TaskInfo:
    task = values.get(Column.TASK)
    if isinstance(task, str) and task in TASKS:
        return TASKS[task]
    category = values.get(Column.CATEGORY)
    if isinstance(category, str) and _fold(category) in _TASK_OF:
        return _TASK_OF[_fold(category)]
    if category is None and isinstance(values.get(Column.ANSWER), list):
        return TASKS["detailed_captioning"]  # the caption files have no other task, and no column for it
    raise RowError("unknown category", repr(category))


def _language(values: Mapping[str, Any], question: str, answer: _Answer) -> str:
    stated = values.get(Column.LANGUAGE)
    if isinstance(stated, str) and stated:
        return stated
    return "zh" if _CHINESE.search(" ".join((question, *answer.options, *answer.references))) else "en"


# --- answers ---


def _answer(info: TaskInfo, values: Mapping[str, Any]) -> _Answer:
    if AnswerForm.BOX in info.forms:
        return _Answer(form=AnswerForm.BOX, box=_box(values.get(Column.BBOX)))
    if AnswerForm.TEXT in info.forms:
        return _Answer(form=AnswerForm.TEXT, references=_references(values.get(Column.ANSWER)))
    options = _options(values.get(Column.OPTIONS))
    letters = right_letters_of(values.get(Column.ANSWER), options)
    if AnswerForm.SEVERAL_OF in info.forms:
        return _Answer(form=AnswerForm.SEVERAL_OF, options=options, letters=letters)
    if len(letters) > 1:
        raise RowError("several right letters in a task with one", letters)
    return _Answer(
        form=AnswerForm.YES_NO if _is_yes_no(options) else AnswerForm.ONE_OF, options=options, letters=letters
    )


def _box(value: object) -> Box:
    if not isinstance(value, list | tuple) or len(value) != 4 or not all(_is_number(part) for part in value):
        raise RowError("box is not four numbers", repr(value))
    box = Box(*map(float, value))
    if not (0 <= box.x_min < box.x_max <= 1 and 0 <= box.y_min < box.y_max <= 1):
        raise RowError("box is not 0 ≤ min < max ≤ 1", repr(list(value)))
    return box


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


def _references(value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [value]
    if references := tuple(text for text in texts if isinstance(text, str) and text.strip()):
        return references
    raise RowError("no reference text")


def _options(value: object) -> tuple[str, ...]:
    """Return the options, each "(A) …"; a text with all of them is cut before its letters and its instruction."""
    found = listed(value)
    found = cut_listed_options(found) if isinstance(found, str) else found
    if not isinstance(found, list) or len(found) < 2:
        raise RowError("fewer than two options", repr(value)[:200])
    try:
        options = read_options([str(option) for option in found])
        texts = option_texts(options)
    except LetteringError as error:
        raise RowError("options are not lettered (A), (B), …", str(error)) from error
    if "" in texts:
        raise RowError("options are not lettered (A), (B), …", "one has no text")
    return options


def cut_listed_options(text: str) -> list[str]:
    """Return the options of one text, cut at each line that begins with a letter in brackets, or at each next letter.

    The published texts may begin with "The choices are listed below:". Nothing but such a line may stand before (A):
    in "red (A) blue (B)" it is the first option's text.
    """
    text = text if "\n" in text else text.replace("\\n", "\n")  # escaped twice on its way
    body = text.partition(_INSTRUCTION)[0].strip()
    before, mark, _ = body.partition("(A)")
    if not mark:
        return cut_options(body)
    if before.rstrip().endswith((":", "：")):
        body = body.removeprefix(before)
    if len(lines := _LINE_OF_OPTION.split(body)) > 1:
        return [line.strip() for line in lines]
    starts: list[int] = []
    for match in OPTION_MARK.finditer(body):
        # in order, so that "(C)" inside the text of (A) does not begin an option
        if match[1] == LETTERS[len(starts) : len(starts) + 1]:
            starts.append(match.start())
    if not body.startswith("(A)"):
        return [body]
    return [body[start:end].strip() for start, end in pairwise([*starts, len(body)])]


def right_letters_of(value: object, options: Sequence[str]) -> str:
    """Return the right letters: of a text, full-width or not, or of a list of them.

    Raises:
        RowError: they are no options' letters.
    """
    value = listed(value)
    parts = value if isinstance(value, list) else [value]
    texts = [part for part in parts if isinstance(part, str)]
    text = unicodedata.normalize("NFKC", " ".join(texts)) if len(texts) == len(parts) else ""
    letters = read_letters(text, len(options))
    if letters is None:
        raise RowError("answer is not among the options", repr(value))
    return letters


def _is_yes_no(options: Sequence[str]) -> bool:
    return {text.strip(" .。").lower() for text in option_texts(options)} in _YES_NO


# --- images ---


def _images(row: FileRow, info: TaskInfo) -> tuple[ImageSource, ...]:
    if len(row.images) != info.num_dates:
        raise RowError(f"number of images is {len(row.images)}, its task's is {info.num_dates}")
    return shown_images(row)


def shown_images(row: FileRow) -> tuple[ImageSource, ...]:
    """Return the row's images.

    Raises:
        RowError: it has none, one cannot be read, or one is not of the size that the row states.
    """
    if not row.images:
        raise RowError("no image")
    for image in row.images:
        if image.problem:
            raise RowError("image cannot be read", image.problem)
        stated = (row.values.get(Column.IMAGE_HEIGHT), row.values.get(Column.IMAGE_WIDTH))
        if None not in stated and image.size is not None and stated != image.size:
            found = f"{image.size.width} x {image.size.height}, stated {stated[1]} x {stated[0]}"
            raise RowError("image is not of the stated size", found)
    return tuple(ImageSource(image.key, image.read) for image in row.images)
