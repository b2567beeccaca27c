"""A stored reply → what it is worth: by the published extraction, the strict parser, and the most that can be read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rsvqa.annotation.facts import Box, iou
from rsvqa.annotation.images import ImageSize
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.files.verdicts import StoredVerdict
from rsvqa.benchmark.models import ModelView
from rsvqa.benchmark.protocol.boxes import read_box
from rsvqa.benchmark.protocol.official_answers import EXTRACTORS
from rsvqa.benchmark.protocol.official_boxes import BOX_EVALUATIONS, BoxReply
from rsvqa.benchmark.protocol.official_judges import VRSBENCH_DIGEST, vrsbench_decision
from rsvqa.benchmark.protocol.open_answers import PERMISSIVE_SCORERS, STRICT_SCORERS, OpenScorer, is_right
from rsvqa.benchmark.protocol.permissive_answers import permissive_letters
from rsvqa.benchmark.protocol.prompts import replied_convention
from rsvqa.benchmark.protocol.strict_answers import read_answer
from rsvqa.benchmark.protocol.task_file import Rules, TaskFile
from rsvqa.benchmark.protocol.thinking import final_text
from rsvqa.benchmark.samples import JUDGED_FORMS
from rsvqa.benchmark.scores.score import AnswerOutcome, Score

RIGHT_IOU = 0.5
"""A box is right from this intersection over union on, as in the benchmark's Acc@0.5."""


def score_reply(reply: StoredReply, rules: TaskFile | None = None) -> Score:
    """Return what one reply is worth; captions have no outcome of their own (see `caption_metrics.py`).

    Args:
        reply: to be scored.
        rules: of the reply's task file; None for XLRS-Bench's.

    Raises:
        RunError: a box question without its right box, or boxes in view pixels without the view; or words without
            rules.
    """
    if reply.form is AnswerForm.TEXT:
        return Score(reply=reply)
    if reply.form is AnswerForm.BOX:
        return _score_box(reply, rules)
    has_official = rules is None or not rules.official.missing
    if reply.reply is None:
        none = AnswerOutcome.NOT_SCORED
        return Score(reply=reply, official=none if has_official else None, strict=none, permissive=none)
    if reply.form is AnswerForm.WORDS:
        if rules is None:
            raise RunError(f"{reply.sample_id}: an open answer is stored without the rules that score it")
        return _score_words(reply, reply.reply, rules)
    return _score_choice(reply, reply.reply, rules)


def judged_score(score: Score, verdict: StoredVerdict | None, *, prompt: str = "") -> Score:
    """Return a score with what a judge says of the reply, of a run that was judged.

    A reply that says nothing has no answer, and no judge is asked. A verdict that is missing or cannot be read is not
    guessed: the question is not scored.

    Args:
        score: without a judge's.
        verdict: on the reply.
        prompt: digest of the judge's wording; a benchmark's own decides part of the replies by rule.
    """
    reply = score.reply
    is_vrsbench = prompt == VRSBENCH_DIGEST and reply.reply is not None
    if is_vrsbench and (decided := vrsbench_decision(reply.reply or "", reply.references)):
        return replace(score, judge=AnswerOutcome(decided))
    if reply.form not in JUDGED_FORMS or reply.rotation:
        return score
    if not is_vrsbench and reply.reply is not None and not (final_text(reply.reply) or "").strip():
        return replace(score, judge=AnswerOutcome.NO_ANSWER)
    if verdict is None or verdict.verdict is None:
        return replace(score, judge=AnswerOutcome.NOT_SCORED, judge_text=verdict.text if verdict else None)
    return replace(score, judge=AnswerOutcome(verdict.verdict), judge_text=verdict.text)


def _score_choice(reply: StoredReply, text: str, rules: TaskFile | None) -> Score:
    extract = EXTRACTORS["xlrs" if rules is None or rules.official.extract is None else rules.official.extract]
    has_official = rules is None or not rules.official.missing
    official = extract(_counting(text, rules.official if rules else None)) if has_official else ""
    several = reply.form is AnswerForm.SEVERAL_OF
    strict = read_answer(text, reply.options, several=several).letters
    permissive = strict or permissive_letters(text, reply.options, several=several)
    return Score(
        reply=reply,
        official=_judge(official, reply.answer) if has_official else None,
        strict=_judge(strict, reply.answer),
        permissive=_judge(permissive, reply.answer),
        official_letters=official,
        strict_letters=strict,
        permissive_letters=permissive,
    )


def _score_words(reply: StoredReply, text: str, rules: TaskFile) -> Score:
    final = final_text(text) or ""
    strict = _judge_words(final, reply, rules.strict.match or STRICT_SCORERS)
    official = None
    if not rules.official.missing:
        official = _judge_words(_counting(text, rules.official), reply, rules.official.match)
    is_permitted = strict is AnswerOutcome.RIGHT or official is AnswerOutcome.RIGHT
    permissive = AnswerOutcome.RIGHT if is_permitted else _judge_words(final or text, reply, PERMISSIVE_SCORERS)
    return Score(reply=reply, official=official, strict=strict, permissive=permissive)


def _counting(text: str, rules: Rules | None) -> str:
    """Return the part of a reply that a published scorer looks at; empty where it finds none."""
    if rules is None or rules.answer is None:
        return text
    match = re.search(rules.answer, text)
    return match[1] if match else ""


def _judge_words(text: str, reply: StoredReply, scorers: Sequence[OpenScorer]) -> AnswerOutcome:
    if not text.strip():
        return AnswerOutcome.NO_ANSWER
    right = is_right(text.strip(), reply.references, scorers)
    return AnswerOutcome.RIGHT if right else AnswerOutcome.WRONG


def circular_outcome(scores: Sequence[Score], *, official: bool = False) -> AnswerOutcome:
    """Return what a question is worth whose options were rotated: right only when right in all rotations.

    Args:
        scores: of one sample, one per rotation, in any order.
        official: judge by the published extraction instead of the strict parser.

    Returns:
        Not scored when a rotation is missing or has no reply, no answer when none could be read in any rotation.
    """
    if not scores:
        return AnswerOutcome.NOT_SCORED
    outcomes = [score.official if official else score.strict for score in scores]
    wanted = len(scores[0].reply.options)
    if {score.reply.rotation for score in scores} != set(range(wanted)) or AnswerOutcome.NOT_SCORED in outcomes:
        return AnswerOutcome.NOT_SCORED
    for outcome in (AnswerOutcome.RIGHT, AnswerOutcome.NO_ANSWER):
        if set(outcomes) == {outcome}:
            return outcome
    return AnswerOutcome.WRONG


def view_of(image: StoredImage) -> ModelView | None:
    """Return what the model saw of an image; None where that is not known."""
    if image.view_width is None or image.view_height is None or image.scale_x is None or image.scale_y is None:
        return None
    return ModelView(
        width=image.view_width,
        height=image.view_height,
        scale_x=image.scale_x,
        scale_y=image.scale_y,
        offset_x=image.offset_x or 0.0,
        offset_y=image.offset_y or 0.0,
    )


def replied_box(reply: StoredReply) -> Box | None:
    """Return the box that the reply to a box question gives, normalised to 0–1; None for no or an invalid one.

    Pixels of an image that was not shown (a blind run) mean nothing, so such a box is invalid.

    Raises:
        RunError: the boxes are in view pixels and the view is not stored.
    """
    convention = replied_convention(reply.question, reply.box_convention)
    in_pixels = convention in ("pixels", "view_pixels")
    if not reply.images:
        size = ImageSize(1, 1)  # shares of the sides need no size
        return None if in_pixels else read_box(reply.reply or "", convention=convention, size=size)
    image = reply.images[0]
    view = view_of(image)
    if convention == "view_pixels" and view is None:
        raise RunError(f"{reply.sample_id}: boxes are in pixels of the view, and what the model saw is not stored")
    return read_box(reply.reply or "", convention=convention, size=ImageSize(image.height, image.width), view=view)


def _score_box(reply: StoredReply, rules: TaskFile | None) -> Score:
    evaluation = BOX_EVALUATIONS.get((rules and rules.official.boxes) or "")
    if reply.reply is None:
        none = AnswerOutcome.NOT_SCORED
        return Score(reply=reply, strict=none, official=none if evaluation else None)
    if reply.box is None:
        raise RunError(f"{reply.sample_id}: a box question is stored without its right box")
    box, right = replied_box(reply), Box(*reply.box)
    share = None if box is None else iou(box, right)
    if evaluation is None:
        return Score(reply=reply, strict=_judge_box(share), iou=share)
    official = evaluation.compare(_box_reply(reply, reply.reply, box), right)
    return Score(reply=reply, strict=_judge_box(share), iou=share, official=_judge_box(official), official_iou=official)


def _judge_box(share: float | None) -> AnswerOutcome:
    if share is None:
        return AnswerOutcome.NO_ANSWER
    return AnswerOutcome.RIGHT if share >= RIGHT_IOU else AnswerOutcome.WRONG


def _box_reply(reply: StoredReply, text: str, box: Box | None) -> BoxReply:
    size = ImageSize(reply.images[0].height, reply.images[0].width) if reply.images else ImageSize(1, 1)
    return BoxReply(text=text, box=box, convention=replied_convention(reply.question, reply.box_convention), size=size)


def _judge(letters: str, answer: str) -> AnswerOutcome:
    if not letters:
        return AnswerOutcome.NO_ANSWER
    return AnswerOutcome.RIGHT if set(letters) == set(answer) else AnswerOutcome.WRONG
