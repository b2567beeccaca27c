"""A record as the prompt and the reply that a model is trained on, and what keeps it from being one.

The one place where that is said: training, evaluation during training and the export of conversations agree on every
byte. What surprises: a reply is what its prompt asks for, so several right letters, "ACD" in a shard, are "A C D".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from rsvqa.annotation.lettering import letters_fault, spaced
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.annotation.wording.box_units import UNITS_SAID, stated_units
from rsvqa.annotation.wording.xlrs_prompt import xlrs_prompt
from rsvqa.rsvqa_builder.dataset.records import Record

_BOX_ANSWER = f"Answer with [x_min, y_min, x_max, y_max], {UNITS_SAID['0-1']}."


_MARKS = re.compile(
    # of trainers, of tokenizers (InternVL, LLaMA), of chat templates
    r"<(?:image|video|audio|bbox|ref-object|cot-process|start-image|IMG_CONTEXT|unk|pad)>"
    r"|</?(?:img|ref|box|quad|s|think|tool_call|tool_response)>"
    r"|<\|[^<>|\s]{1,40}\|>"
)
"""What stands for something else than itself: placeholders of trainers, and tokens of models and chat templates."""


class Exchange(NamedTuple):
    """What is asked and what is replied; images stand before the prompt."""

    prompt: str
    reply: str


def exchange_of(record: Record) -> Exchange:
    """Return a record as prompt and reply.

    Choices stand in the published prompt of XLRS-Bench; the reply to one with several right letters is "A C D"; a box
    is "[x_min, y_min, x_max, y_max]" as shares of the image's sides, and the prompt says so.
    """
    if record.options:
        several = record.form is AnswerForm.SEVERAL_OF
        return Exchange(xlrs_prompt(record.question, record.options, several=several), spaced(record.answer))
    if record.form is AnswerForm.BOX and stated_units(record.question) is None:
        return Exchange(f"{record.question}\n{_BOX_ANSWER}", record.answer)  # never coordinates of unsaid meaning
    return Exchange(record.question, record.answer)


def exchange_fault(record: Record) -> str | None:
    """Return why prompt and reply of a record would contradict each other; None when they do not."""
    if fault := letters_fault(record.options, record.answer):
        return fault
    if not record.options and record.form not in TASKS[record.task].forms:
        return "its choices are lost"
    if record.form is AnswerForm.BOX and stated_units(record.question) not in (None, "0-1"):
        return "question wants its box in other units than its answer's"
    return None


def placeholder_fault(record: Record) -> str | None:
    """Return why trainers would take words of a record for an image or a turn's end; None when they would not."""
    return next(filter(None, map(mark_fault, (record.question, record.answer, *record.options))), None)


def mark_fault(text: str) -> str | None:
    """Return what `placeholder_fault` says of one text."""
    found = _MARKS.search(text)
    return f"text holds {found[0]}" if found else None
