"""What a benchmark asks: one `Sample` a question, with the images that it shows and what a right reply is.

Whatever file a sample comes from, from here on it has this one shape; the benchmark's own column names end in
`datasets.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import AnswerForm

JUDGED_FORMS = frozenset({AnswerForm.ONE_OF, AnswerForm.SEVERAL_OF, AnswerForm.YES_NO, AnswerForm.WORDS})
"""Forms whose replies are right or wrong by what they say."""


@dataclass(frozen=True, slots=True)
class ImageSource:
    """One image of a data set, not read yet.

    Attributes:
        key: names the image within its data set; the same key means the same bytes.
        read: returns the file's bytes, still encoded (JPEG or PNG, whatever its name says).
    """

    key: str
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question of a benchmark.

    Attributes:
        sample_id: unique in the data set, and the same in every run over it.
        task: name in `taxonomy.TASKS`; of another benchmark "its name/group/…".
        category, l2_category: the strings of the data file, byte for byte; macro averages are taken over them.
        language: "en" or "zh".
        form: which kind of reply is asked for.
        question: as in the data file; boxes in it are pixels of the first image.
        options: "(A) …" texts in the file's order; empty for texts and boxes.
        answer: right letters in the order of the alphabet ("A", "ACD"); empty for texts and boxes.
        references: right texts, for `AnswerForm.TEXT` and `WORDS`.
        box: the right box, normalised (x_min, y_min, x_max, y_max) in 0–1, for `AnswerForm.BOX`.
        images: in the order in which they are shown; two for two dates.
        prompt: the user's turn where a task file fixes it; None where the form does.
        max_new_tokens: bound of the reply where a task file fixes it.
    """

    sample_id: str
    task: str
    category: str
    l2_category: str
    language: str
    form: AnswerForm
    question: str
    images: tuple[ImageSource, ...]
    options: tuple[str, ...] = ()
    answer: str = ""
    references: tuple[str, ...] = ()
    box: Box | None = None
    prompt: str | None = None
    max_new_tokens: int | None = None
