"""One row of any maker as questions of an audit: conversations, rows with options, COCO annotations.

Nothing is refused: what a row lacks becomes a defect that is counted. What surprises: a reply "Yes" without options is
a question with the options Yes and No, and a box in a question is that of the object that it marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageError, read_header
from rsvqa.annotation.lettering import LETTERS, LetteringError, cut_options, option_texts, read_letters, read_options
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.auditing.items import AuditImage, AuditItem, folded
from rsvqa.rsvqa_builder.dataset.rows import Column

QUESTION_KEYS = ("question", "Question", "Text", "prompt", "prompts", "query", "problem")
OPTION_KEYS = (Column.OPTIONS, "Answer choices", "options_list", "options", "choices")
ANSWER_KEYS = ("answer", "Ground truth", "ground_truth_option", "ground_truth", "gt_answer", "solution", "Answer")
TASK_KEYS = ("task", "category", "Category", "type", "question_type", Column.L2_CATEGORY, "subtask", "Subtask")
ID_KEYS = ("question_id", "Question_id", "id", "index")
_NUMBER = r"-?\d+(?:\.\d+)?"
_BOX = re.compile(
    rf"[\[(<]+\s*({_NUMBER})\s*,\s*({_NUMBER})\s*(?:[,\s]|\)\s*,?\s*\()+({_NUMBER})\s*,\s*({_NUMBER})\s*[\])>]+"
)
_PLACEHOLDER = re.compile(r"<image>\s*")
_ASKS_FOR_LETTERS = re.compile(r"\n[^\n]*(?:letter|Select the best|Answer with the option|选项)[^\n]*", re.IGNORECASE)
_YES_NO = ({"yes": 0, "no": 1}, ("Yes", "No")), ({"是": 0, "否": 1}, ("是", "否"))
_USERS, _MODELS = {"human", "user"}, {"gpt", "assistant"}


def row_items(
    values: Mapping[str, Any], images: Sequence[AuditImage], *, where: str, split: str, look: bool
) -> Iterator[AuditItem]:
    """Yield the questions of a row.

    Args:
        values: of the row.
        images: that it shows.
        where: for messages, when it has no id.
        split: that the file states.
        look: whether sizes that are not stated are read from the images.
    """
    stated = next((str(values[key]) for key in ID_KEYS if values.get(key) not in (None, "")), "")
    turns = list(_turns(values))
    size = images[0].stated if images else None
    if size is None and look and images and _mentions_boxes(values, turns):
        size = _size_of(images[0])
    blank = AuditItem(
        where=stated or where,
        task=next((str(values[key]) for key in TASK_KEYS if isinstance(values.get(key), str) and values[key]), "all"),
        form=AnswerForm.TEXT,
        question="",
        size=size,
        split=str(values.get("split") or split),
        image=" ".join(image.name for image in images),
        images=tuple(images) if look else (),
    )
    if not turns:
        yield replace(blank, problem="no question")
    for number, (question, reply) in enumerate(turns):
        item = _item(blank, question, reply, values if number == 0 else {})
        count = question.count("<image>")
        if number == 0 and count and count != len(images):
            item = replace(item, problem="as many images as places for them are expected, and are not there")
        yield item if number == 0 else replace(item, where=f"{item.where} turn {number + 1}", images=())


def _turns(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the questions of a row with their answers."""
    said = values.get("conversations") or values.get("messages")
    if isinstance(said, list):
        asked: str | None = None
        for turn in said:
            if not isinstance(turn, dict):
                continue
            who, what = turn.get("from") or turn.get("role"), turn.get("value") or turn.get("content")
            text = _flat_text(what)
            if who in _USERS:
                asked = text
            elif who in _MODELS and asked is not None:
                yield asked, text
                asked = None
        return
    question = next((values[key] for key in QUESTION_KEYS if values.get(key)), None)
    question = question[0] if isinstance(question, list) and question else question
    answer = next((values[key] for key in ANSWER_KEYS if values.get(key) not in (None, "")), "")
    if isinstance(question, str):
        yield question, answer


def _flat_text(content: object) -> str:
    """Return the text of a message; parts that are images are `<image>`."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part if isinstance(part, dict) else {} for part in content)
    return "\n".join("<image>" if part.get("type") == "image" else str(part.get("text", "")) for part in parts)


def _item(blank: AuditItem, question: str, reply: Any, values: Mapping[str, Any]) -> AuditItem:  # noqa: ANN401
    question = _PLACEHOLDER.sub("", question).strip()
    options = _own_options(values)
    if not options:
        question, options = _cut_from(question)
    box = _box_of(values, question, blank.size)
    item = replace(blank, question=_ASKS_FOR_LETTERS.sub("", question).strip(), box=box)
    text = " ".join(map(str, reply)) if isinstance(reply, list) else str(reply)
    if options:
        right = _right(options, text)
        form = AnswerForm.SEVERAL_OF if len(right) > 1 else AnswerForm.ONE_OF
        if {folded(option) for option in options} in ({"yes", "no"}, {"是", "否"}):
            form = AnswerForm.YES_NO
        return replace(item, form=form, options=options, right=right)
    for places, both in _YES_NO:
        if folded(text) in places:
            return replace(item, form=AnswerForm.YES_NO, options=both, right=(places[folded(text)],))
    found = _BOX.search(text)
    if found is not None and len(_BOX.sub("", text).split()) <= 3:
        return replace(item, form=AnswerForm.BOX, box=normalised([float(n) for n in found.groups()], blank.size))
    objects = values.get("objects")
    if "<bbox>" in text and isinstance(objects, dict) and objects.get("bbox"):
        return replace(item, form=AnswerForm.BOX, box=_object_box(objects, blank.size))
    if box is not None and values.get("bbox") is not None:
        return replace(item, form=AnswerForm.BOX)
    return replace(item, reference=text)


def _own_options(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the options of a row that has them apart, without letters."""
    for key in OPTION_KEYS:
        value = values.get(key)
        if isinstance(value, str) and value.strip():
            value = [line for line in cut_options(value) if line]
        if isinstance(value, list) and value and all(isinstance(entry, str) for entry in value):
            return _without_letters(value)
    lettered = [str(values[letter]) for letter in LETTERS if values.get(letter) not in (None, "")]
    return tuple(lettered) if len(lettered) > 1 else ()


def _without_letters(options: Sequence[str]) -> tuple[str, ...]:
    try:
        return option_texts(read_options(options))
    except LetteringError:
        return tuple(options)


def _cut_from(question: str) -> tuple[str, tuple[str, ...]]:
    """Return a prompt without the options that stand in it a line each, and them."""
    lines = question.splitlines()
    starts = [number for number, line in enumerate(lines) if re.match(r"\s*[(（]?A[.)．）:：]\s*\S", line)]
    for start in starts[:1]:
        body = _ASKS_FOR_LETTERS.sub("", "\n" + "\n".join(lines[start:]))
        options = cut_options(body.strip())
        if len(options) > 1:
            return "\n".join(lines[:start]).strip(), _without_letters([option.strip() for option in options])
    return question, ()


def _right(options: Sequence[str], text: str) -> tuple[int, ...]:
    """Return the places that an answer names, by letters or by what the option says; none where it names none."""
    letters = read_letters(text.strip(), len(options))
    if letters is not None:
        return tuple(LETTERS.index(letter) for letter in letters)
    same = [place for place, option in enumerate(options) if folded(option) == folded(text)]
    if same:
        return (same[0],)
    begun = re.match(r"\s*[(（]?([A-Z])[.)．）:：]\s", text)
    if begun and begun[1] in LETTERS[: len(options)]:
        return (LETTERS.index(begun[1]),)
    return ()


# --- boxes ---


def _mentions_boxes(values: Mapping[str, Any], turns: Sequence[tuple[str, Any]]) -> bool:
    return bool(values.get("bbox") or values.get("objects")) or any(_BOX.search(f"{q} {a}") for q, a in turns)


def _size_of(image: AuditImage) -> tuple[int, int] | None:
    try:
        header = read_header(image.read())
    except (ImageError, OSError):
        return None
    return header.width, header.height


def _box_of(values: Mapping[str, Any], question: str, size: tuple[int, int] | None) -> Box | None:
    stated = values.get("bbox")
    if isinstance(stated, list) and len(stated) == 4 and all(isinstance(n, (int, float)) for n in stated):
        return normalised([float(n) for n in stated], size)
    found = _BOX.search(question)
    return None if found is None else normalised([float(number) for number in found.groups()], size)


def _object_box(objects: Mapping[str, Any], size: tuple[int, int] | None) -> Box | None:
    box = [float(number) for number in objects["bbox"][0]]
    if len(box) != 4:
        return None
    return Box(*box) if objects.get("bbox_type") == "norm1" else normalised(box, size)


def normalised(numbers: Sequence[float], size: tuple[int, int] | None) -> Box | None:
    """Return a box as shares of the image: as it is when no number is above 1, else of pixels; None without a size."""
    if all(-1 <= number <= 1 for number in numbers):
        return Box(*numbers)
    if size is None:
        return None
    width, height = size
    return Box(numbers[0] / width, numbers[1] / height, numbers[2] / width, numbers[3] / height)


def coco_items(
    content: Mapping[str, Any], images: Mapping[Any, AuditImage], *, where: str, split: str, look: bool
) -> Iterator[AuditItem]:
    """Yield the annotations of a COCO file, each as the question where its object is; images without any come too.

    Args:
        content: the file.
        images: by COCO's id.
        where: the file, for messages.
        split: that the file states.
        look: whether images are looked at.
    """
    names = {entry.get("id"): str(entry.get("name")) for entry in content.get("categories", [])}
    shown: set[Any] = set()
    for number, entry in enumerate(content["annotations"]):
        image = images.get(entry.get("image_id"))
        item = AuditItem(
            where=f"{where} annotation {entry.get('id', number)}",
            task="boxes",
            form=AnswerForm.BOX,
            question=f"{names.get(entry.get('category_id'), 'object of no category')} {entry.get('bbox')}",
            split=split,
            size=None if image is None else image.stated,
            image="" if image is None else image.name,
            images=(image,) if image is not None and look and entry["image_id"] not in shown else (),
        )
        shown.add(entry.get("image_id"))
        box = entry.get("bbox")
        if image is None:
            yield replace(item, problem="an annotation of no image")
        elif not (isinstance(box, list) and len(box) == 4 and image.stated):
            yield replace(item, problem="an annotation without a box of four numbers, or an image without a size")
        else:
            x, y, width, height = (float(number) for number in box)
            across, down = image.stated
            corners = Box(x / across, y / down, (x + width) / across, (y + height) / down)
            yield replace(item, box=corners)
