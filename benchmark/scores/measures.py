"""What each question of a run is worth by each measure: the one table that figures and comparisons are taken from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.samples import JUDGED_FORMS
from rsvqa.benchmark.scores.score import AnswerOutcome, Score
from rsvqa.benchmark.scores.scoring import circular_outcome


class Measure(StrEnum):
    """What is averaged; names are stored in results."""

    STRICT = "strict"
    OFFICIAL = "official"
    PERMISSIVE = "permissive"
    """By whatever reading makes the most of a reply."""
    JUDGE = "judge"
    """By a language model that compares the reply with the right answer."""
    STRICT_CIRCULAR = "strict_circular"
    """Right in all rotations of the options."""
    OFFICIAL_CIRCULAR = "official_circular"
    ACC_50 = "acc_50"
    """1 where IoU ≥ 0.5; an invalid box is not right."""
    ACC_70 = "acc_70"
    IOU = "iou"
    """An invalid box counts as 0."""
    IOU_VALID = "iou_valid"
    """Valid boxes only."""
    OFFICIAL_IOU = "official_iou"
    """By a benchmark's published evaluation, as the next ones; an invalid box counts as 0."""
    OFFICIAL_ACC_10 = "official_acc_10"
    OFFICIAL_ACC_30 = "official_acc_30"
    OFFICIAL_ACC_50 = "official_acc_50"
    OFFICIAL_ACC_70 = "official_acc_70"
    OFFICIAL_ACC_90 = "official_acc_90"
    ROUGE_L = "ROUGE-L"
    """This and the next are of a caption among others, see `caption_figures.py`."""
    CIDER_D = "CIDEr-D"
    METEOR = "METEOR"


OFFICIAL_THRESHOLDS: Mapping[Measure, float] = MappingProxyType(
    {
        Measure.OFFICIAL_ACC_10: 0.1,
        Measure.OFFICIAL_ACC_30: 0.3,
        Measure.OFFICIAL_ACC_50: 0.5,
        Measure.OFFICIAL_ACC_70: 0.7,
        Measure.OFFICIAL_ACC_90: 0.9,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One question of a run, unrotated.

    Attributes:
        score: of the reply to it as it stands in the file.
        cluster: number of its group of images; questions that share an image share the number.
        values: by measure; a measure that does not apply, or cannot be had for want of a reply, is absent.
        words: the right options' texts, or the first right words; empty for captions and boxes.
    """

    score: Score
    cluster: int
    values: Mapping[str, float] = field(default_factory=dict)
    words: str = ""

    @property
    def reply(self) -> StoredReply:
        """What was scored."""
        return self.score.reply

    @property
    def is_scored(self) -> bool:
        """Whether there is a reply."""
        return self.score.reply.reply is not None

    @property
    def is_judged(self) -> bool:
        """Whether the question has options, or asks for words."""
        return self.score.reply.form in JUDGED_FORMS


def measure(scores: Sequence[Score]) -> list[Measured]:
    """Return the questions in their order, each with its values; rotations of one question become one."""
    rotations: dict[str, list[Score]] = {}
    for score in scores:
        rotations.setdefault(score.reply.sample_id, []).append(score)
    plain = [score for score in scores if score.reply.rotation == 0]
    clusters = image_clusters([score.reply for score in plain])
    return [
        Measured(
            score=score,
            cluster=cluster,
            values=_values(score, rotations[score.reply.sample_id]),
            words=_right_words(score.reply),
        )
        for score, cluster in zip(plain, clusters, strict=True)
    ]


def image_clusters(replies: Iterable[StoredReply]) -> list[int]:
    """Return one number per question, from 0; questions that share an image, also through others, share the number.

    Numbers follow the images' hashes, so they do not depend on the order of the replies. A question whose images are
    not known (a reply that failed before they were read) stands for itself.
    """
    leaders: dict[str, str] = {}

    def leader(name: str) -> str:
        while (above := leaders.setdefault(name, name)) != name:
            leaders[name] = name = leaders[above]  # halves the path, so chains stay short
        return name

    firsts = []
    for reply in replies:
        names = [image.sha256 for image in reply.images] or [f"question {reply.sample_id}"]
        for name in names[1:]:
            least, other = sorted((leader(names[0]), leader(name)))
            leaders[other] = least
        firsts.append(names[0])
    found = [leader(name) for name in firsts]
    numbers = {name: number for number, name in enumerate(sorted(set(found)))}
    return [numbers[name] for name in found]


def _right_words(reply: StoredReply) -> str:
    if reply.form is AnswerForm.WORDS:
        return reply.references[0].strip().casefold()
    texts = {option[1:2]: option[3:].strip().casefold() for option in reply.options}
    return "; ".join(sorted(texts.get(letter, letter) for letter in reply.answer))


def _values(score: Score, rotations: Sequence[Score]) -> dict[str, float]:
    if score.reply.reply is None:
        return {}
    if score.reply.form is AnswerForm.BOX:
        return _box_values(score.iou) | (_official_box_values(score.official_iou) if score.official else {})
    if score.reply.form in JUDGED_FORMS:
        return _choice_values(score, rotations)
    return {}


def _official_box_values(iou: float | None) -> dict[str, float]:
    reached = 0.0 if iou is None else iou
    values: dict[str, float] = {
        measure: float(iou is not None and iou >= threshold) for measure, threshold in OFFICIAL_THRESHOLDS.items()
    }
    return {**values, Measure.OFFICIAL_IOU: reached}


def _box_values(iou: float | None) -> dict[str, float]:
    reached = 0.0 if iou is None else iou
    values: dict[str, float] = {
        Measure.ACC_50: float(reached >= 0.5),
        Measure.ACC_70: float(reached >= 0.7),
        Measure.IOU: reached,
    }
    return values if iou is None else {**values, Measure.IOU_VALID: iou}


def _choice_values(score: Score, rotations: Sequence[Score]) -> dict[str, float]:
    by_protocol = (
        (Measure.STRICT, score.strict),
        (Measure.OFFICIAL, score.official),
        (Measure.PERMISSIVE, score.permissive),
        (Measure.JUDGE, score.judge),
    )
    values: dict[str, float] = {
        measure: float(outcome is AnswerOutcome.RIGHT)
        for measure, outcome in by_protocol
        if outcome not in (None, AnswerOutcome.NOT_SCORED)
    }
    if len(rotations) > 1:
        strict, official = circular_outcome(rotations), circular_outcome(rotations, official=True)
        if strict is not AnswerOutcome.NOT_SCORED:
            values[Measure.STRICT_CIRCULAR] = float(strict is AnswerOutcome.RIGHT)
            values[Measure.OFFICIAL_CIRCULAR] = float(official is AnswerOutcome.RIGHT)
    return values
