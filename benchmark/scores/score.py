"""What one stored reply is worth. Right, wrong, no answer found and not scored stay four different things."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rsvqa.benchmark.files.stored_replies import StoredReply


class AnswerOutcome(StrEnum):
    """What became of one question."""

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    """There is a reply, but no answer could be read from it; in an accuracy it counts as not right."""
    NOT_SCORED = "not_scored"
    """There is no reply; it is in no figure, and every figure says how many these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One reply, scored.

    Attributes:
        reply: what was scored.
        official, strict, permissive: outcome of a question with options or of words, by the published extraction, by
            the strict parser, and by the reading that makes the most of a reply. Boxes are right at IoU ≥ 0.5 and have
            no `permissive`; all are None for captions, and `official` where no scorer is published.
        judge: outcome by a judge's verdict; not scored where there is none that can be read, None for a run that
            nobody has judged.
        judge_text: what the judge wrote; None where it wrote nothing, or was not asked.
        official_letters, strict_letters, permissive_letters: what each read ("A", "BD"; empty for none).
        iou: of a box question whose reply holds a valid box; None for no or an invalid box.
        official_iou: by the published evaluation; None where there is none, or for what it takes for invalid.
    """

    reply: StoredReply
    official: AnswerOutcome | None = None
    strict: AnswerOutcome | None = None
    permissive: AnswerOutcome | None = None
    judge: AnswerOutcome | None = None
    official_letters: str = ""
    judge_text: str | None = None
    strict_letters: str = ""
    permissive_letters: str = ""
    iou: float | None = None
    official_iou: float | None = None
