"""What every candidate must pass before it may be written, whoever made it: a rule, a language model or a person.

The checks know nothing of how an answer was found; they hold what can be told from the question alone. Each is a
small predicate beside the reason that is counted in the report when it fails. They are deliberately strict where the
price of a false alarm is one question fewer (an answer word in the question) and exact everywhere else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from rsvqa.annotation.facts import Box
from rsvqa.annotation.plugins import load_plugins
from rsvqa.annotation.questions import REGION_SLOT, Option, Question
from rsvqa.annotation.taxonomy import NUM_OPTIONS, TASKS, AnswerForm, TaskInfo

MAX_QUESTION_CHARS = 2_000
MAX_OPTION_CHARS = 1_000
MAX_ANSWER_CHARS = 8_000
"""A caption of an overall part, nine parts and an inference stays well below this."""

MIN_SIDE_PX = 1.0
"""Boxes must be at least this wide and high, and circles have at least this radius."""

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
_COORDINATES = re.compile(r"\[\s*(-?\d[\d.]*(?:\s*,\s*-?\d[\d.]*)+)\s*\]")
_SIZE = re.compile(r"\d+\s*[x×]\s*\d+")
# A number with one of these after it is a length, an area, a share or an angle of the question, not its answer.
_UNIT = re.compile(
    r"\s*(?:m|km|cm|mm|m²|km²|ha|px|pixels?|met(?:re|er)s?|kilomet(?:re|er)s?|%|percent|per cent|°|degrees?)(?!\w)"
)
_MARKDOWN = re.compile(r"^#{1,6}\s|^\s*[-*+]\s|^\s*>\s|^\s*\|.*\|\s*$|\*\*|__|`|\]\(", re.MULTILINE)
_SENTENCE_ENDS = (".", "?", "!", ":", "。", "？", "！", "：")


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A question with what the checks compare it to."""

    question: Question
    info: TaskInfo
    width: int
    height: int
    is_chosen: bool


_Check = Callable[[_Candidate], bool]


def check_question(question: Question, *, width: int, height: int, is_chosen: bool = True) -> tuple[str, ...]:
    """Return the reasons why `question` may not be written, from `REASONS` and its task's package; empty when it may.

    Args:
        question: a candidate; its text may still hold `REGION_SLOT`.
        width: of the tile, pixels.
        height: of the tile, pixels.
        is_chosen: the options are those that are shown; else there may be more of them, or a pool that fills them up.
    """
    if question.task not in TASKS:
        return (UNKNOWN_TASK,)
    candidate = _Candidate(question, TASKS[question.task], width, height, is_chosen)
    reasons = tuple(reason for reason, passes in _CHECKS if not passes(candidate))
    plugin = load_plugins("task").get(question.task)
    return reasons if plugin is None else (*reasons, *(why for why, passes in plugin.checks if not passes(question)))


# --- what the taxonomy says -----------------------------------------------------------------------------------------


def _has_form_of_its_task(candidate: _Candidate) -> bool:
    return candidate.question.form in candidate.info.forms


def _has_region_as_its_task(candidate: _Candidate) -> bool:
    return (candidate.question.region is not None) == candidate.info.is_regional


def _has_dates_of_its_task(candidate: _Candidate) -> bool:
    return candidate.question.num_dates == candidate.info.num_dates


# --- geometry -------------------------------------------------------------------------------------------------------


def _is_inside(box: Box, width: int, height: int) -> bool:
    """Return whether `box` is finite, ordered, at least `MIN_SIDE_PX` wide and high, and inside the image."""
    return (
        all(map(math.isfinite, box))
        and box.x_min >= 0
        and box.x_min + MIN_SIDE_PX <= box.x_max <= width
        and box.y_min >= 0
        and box.y_min + MIN_SIDE_PX <= box.y_max <= height
    )


def _box_is_inside(candidate: _Candidate) -> bool:
    box = candidate.question.box
    return box is None or _is_inside(box, candidate.width, candidate.height)


def _region_is_inside(candidate: _Candidate) -> bool:
    circle = candidate.question.region
    if circle is None:
        return True
    return (
        all(map(math.isfinite, circle))
        and circle.radius >= MIN_SIDE_PX
        and circle.radius <= circle.x <= candidate.width - circle.radius
        and circle.radius <= circle.y <= candidate.height - circle.radius
    )


def _texts(question: Question) -> Iterator[str]:
    """Yield every text that a reader of the question sees."""
    yield question.text
    yield from (option.text for option in question.options)
    yield question.answer


def _written_coordinates(text: str) -> list[list[str]]:
    """Return the numbers, as written, of each bracketed list of numbers in `text`: points, boxes and wrong ones."""
    return [re.split(r"\s*,\s*", found) for found in _COORDINATES.findall(text)]


def _written_boxes(text: str) -> list[Box]:
    """Return the boxes of whole pixels written in `text`."""
    lists = _written_coordinates(text)
    return [Box(*map(int, numbers)) for numbers in lists if len(numbers) == 4 and _are_whole(numbers)]


def _are_whole(numbers: list[str]) -> bool:
    return all(re.fullmatch(r"-?\d+", number) for number in numbers)


def _coordinates_are_valid(numbers: list[str], width: int, height: int) -> bool:
    """Return whether a bracketed list is a point `[x, y]` or a box, in whole pixels, inside the image."""
    if not _are_whole(numbers) or len(numbers) not in (2, 4):
        return False
    values = [int(number) for number in numbers]
    if len(values) == 4:
        return _is_inside(Box(*values), width, height)
    return 0 <= values[0] <= width and 0 <= values[1] <= height


def _written_coordinates_are_inside(candidate: _Candidate) -> bool:
    return all(
        _coordinates_are_valid(numbers, candidate.width, candidate.height)
        for text in _texts(candidate.question)
        for numbers in _written_coordinates(text)
    )


def _box_is_the_written_one(candidate: _Candidate) -> bool:
    """Return whether `box`, when it is not the answer, is written in the text, rounded to pixels."""
    question = candidate.question
    if question.box is None or question.form is AnswerForm.BOX:
        return True
    return any(_is_rounded(written, question.box) for written in _written_boxes(question.text))


def _is_rounded(written: Box, box: Box) -> bool:
    return all(abs(whole - exact) < 1 for whole, exact in zip(written, box, strict=True))


def _size_is_stated(candidate: _Candidate) -> bool:
    """Return whether a text with pixel coordinates also states the width and the height that they refer to."""
    text = candidate.question.text
    if not _written_coordinates(text):
        return True
    rest = _COORDINATES.sub(" ", text)
    return all(re.search(rf"(?<!\d){side}(?!\d)", rest) for side in (candidate.width, candidate.height))


# --- options and answers --------------------------------------------------------------------------------------------


def _num_options_fits(candidate: _Candidate) -> bool:
    question = candidate.question
    wanted, num = NUM_OPTIONS[question.form], len(question.options)
    if candidate.is_chosen or question.form not in (AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF):
        return num == wanted
    return num >= wanted or question.pool is not None


def _number_fits_pool(candidate: _Candidate) -> bool:
    """Return whether a question has a positive number exactly when it has a pool, and one right option then."""
    question = candidate.question
    if question.pool is None:
        return question.value is None
    is_number = question.value is not None and 0 < question.value < math.inf and question.min_ratio >= 1
    return is_number and question.form is AnswerForm.ONE_OF


def _num_right_fits(candidate: _Candidate) -> bool:
    question = candidate.question
    num_right = sum(option.is_right for option in question.options)
    if question.form is AnswerForm.SEVERAL_OF:
        return 1 <= num_right < len(question.options)
    return num_right == (1 if NUM_OPTIONS[question.form] else 0)


def _options_are_filled(candidate: _Candidate) -> bool:
    return all(normalise(option.text) for option in candidate.question.options)


def _options_are_distinct(candidate: _Candidate) -> bool:
    texts = [normalise(option.text) for option in candidate.question.options]
    return len(set(texts)) == len(texts)


def _answer_fits_form(candidate: _Candidate) -> bool:
    """Return whether exactly the field that holds this form's answer is filled."""
    question = candidate.question
    if question.form is AnswerForm.TEXT:
        return bool(question.answer.strip())
    return not question.answer and (question.form is not AnswerForm.BOX or question.box is not None)


def normalise(text: str) -> str:
    """Return `text` as it is compared: case folded, single spaces, no final stop, numbers by value ("3.0" is "3")."""
    plain = " ".join(text.casefold().split()).rstrip(".")
    return _NUMBER.sub(lambda found: _canonical(found.group()), plain)


def _canonical(number: str) -> str:
    value = Decimal(number.replace(",", ""))
    return format(value.normalize(), "f") if value else "0"


def _answer_is_not_told(candidate: _Candidate) -> bool:
    """Return whether the question gives no right answer away.

    A right option may not stand in the question as a whole word or phrase, unless every option does ("Is it moving or
    parked?"). Coordinates and the image's size are left out of the comparison. A number alone is compared with the
    numbers of the question that have no unit: "within 50 m" does not tell the count 50. Yes/no questions name what
    they ask about by nature and are left out. A box to be found may not be written in the question.
    """
    question = candidate.question
    if question.form is AnswerForm.BOX:
        answer = question.box
        return answer is None or not any(_is_rounded(box, answer) for box in _written_boxes(question.text))
    if question.form not in (AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF):
        return True
    asked = _SIZE.sub(" ", _COORDINATES.sub(" ", question.text))
    plain = normalise(asked)
    told = [_is_told(option, asked, plain) for option in question.options]
    is_whole = question.pool is None  # else the other options are not here
    return (is_whole and all(told)) or not any(
        is_told and option.is_right for is_told, option in zip(told, question.options, strict=True)
    )


def _is_told(option: Option, asked: str, plain: str) -> bool:
    """Return whether an option stands in a question; `plain` is the question as `normalise` returns it."""
    phrase = normalise(option.text)
    if not phrase:
        return False
    if _NUMBER.fullmatch(phrase):
        bare = (found.group() for found in _NUMBER.finditer(asked) if not _UNIT.match(asked, found.end()))
        return phrase in map(_canonical, bare)
    # A pattern per phrase takes longer to compile than to find, and most phrases are nowhere.
    return phrase in plain and re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", plain) is not None


# --- text -----------------------------------------------------------------------------------------------------------


def _region_is_named(candidate: _Candidate) -> bool:
    """Return whether the question holds the slot of its circle's number exactly when it has a circle."""
    question = candidate.question
    if question.region is None:
        return not any(REGION_SLOT in text for text in _texts(question))
    return REGION_SLOT in question.text


def _slots_are_filled(candidate: _Candidate) -> bool:
    """Return whether no slot is left but that of the circle's number, which is filled in texts and answers only."""
    question = candidate.question
    filled_later = (text.replace(REGION_SLOT, "") for text in (question.text, question.answer))
    return not any(
        "{" in text or "}" in text for text in (*filled_later, *(option.text for option in question.options))
    )


def _characters_are_clean(candidate: _Candidate) -> bool:
    """Return whether all is printable, the replacement character excluded; an answer in words may have lines."""
    question = candidate.question
    lines = [question.text, *(option.text for option in question.options), *question.answer.split("\n")]
    return all(line.isprintable() and "\ufffd" not in line for line in lines)


def _spaces_are_single(candidate: _Candidate) -> bool:
    return all("  " not in text and text == text.strip() for text in _texts(candidate.question))


def _begins_with_capital(candidate: _Candidate) -> bool:
    """Return whether the question begins with a letter that is not small; scripts without case pass."""
    first = candidate.question.text[:1]
    return first.isalpha() and not first.islower()


def _ends_like_a_sentence(candidate: _Candidate) -> bool:
    return candidate.question.text.endswith(_SENTENCE_ENDS)


def _lengths_are_bounded(candidate: _Candidate) -> bool:
    question = candidate.question
    return (
        len(question.text) <= MAX_QUESTION_CHARS
        and len(question.answer) <= MAX_ANSWER_CHARS
        and all(len(option.text) <= MAX_OPTION_CHARS for option in question.options)
    )


def _has_no_markdown(candidate: _Candidate) -> bool:
    return not any(map(_MARKDOWN.search, _texts(candidate.question)))


# --- evidence -------------------------------------------------------------------------------------------------------


def _has_evidence(candidate: _Candidate) -> bool:
    evidence = candidate.question.evidence
    return bool(evidence.rule.strip()) and bool(evidence.feature_ids or evidence.values)


def _evidence_is_json(candidate: _Candidate) -> bool:
    try:
        json.dumps(dict(candidate.question.evidence.values), allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


UNKNOWN_TASK = "task not in the taxonomy"
ANSWER_TOLD = "answer told in the question"

_CHECKS: tuple[tuple[str, _Check], ...] = (
    ("answer form not of the task", _has_form_of_its_task),
    ("region missing or not expected", _has_region_as_its_task),
    ("number of dates not of the task", _has_dates_of_its_task),
    ("box outside the image or not ordered", _box_is_inside),
    ("region outside the image", _region_is_inside),
    ("written coordinates not whole, not ordered or outside the image", _written_coordinates_are_inside),
    ("box differs from the one in the text", _box_is_the_written_one),
    ("image size not stated beside coordinates", _size_is_stated),
    ("wrong number of options", _num_options_fits),
    ("wrong number of right options", _num_right_fits),
    ("number missing, not positive or without a pool", _number_fits_pool),
    ("empty option", _options_are_filled),
    ("options not distinct", _options_are_distinct),
    ("answer missing or in the wrong field", _answer_fits_form),
    (ANSWER_TOLD, _answer_is_not_told),
    ("region not named in the text", _region_is_named),
    ("unfilled slot", _slots_are_filled),
    ("characters not printable", _characters_are_clean),
    ("spaces doubled or at an end", _spaces_are_single),
    ("question does not begin with a capital", _begins_with_capital),
    ("question does not end like a sentence", _ends_like_a_sentence),
    ("text too long", _lengths_are_bounded),
    ("markdown in the text", _has_no_markdown),
    ("no evidence", _has_evidence),
    ("evidence is not JSON", _evidence_is_json),
)

REASONS: tuple[str, ...] = (UNKNOWN_TASK, *(reason for reason, _ in _CHECKS))
"""Every reason that `check_question` may give, in the order in which it gives them."""
