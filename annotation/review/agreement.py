"""What several reviewers' opinions on one question come to, and how well reviewers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rsvqa.annotation.review.content import EditableContent, relettered

ReviewVerdict = Literal["accepted", "fixed", "rejected", "skipped"]
VERDICTS: tuple[ReviewVerdict, ...] = ("accepted", "fixed", "rejected", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one reviewer decided on one question.

    Attributes:
        number: in the order in which decisions were stored, from 1.
        question_id: of the question.
        reviewer: a name.
        verdict: "skipped" is no opinion, only a wish not to see the question now.
        before: the question as the reviewer found it.
        after: as he left it; None when it is rejected or skipped.
        reason: of a rejection; else a note, mostly empty.
        decided_at: seconds since 1970, UTC.
        opened_at: when the question was put before him; None where nobody knows.
        is_adjudication: he was asked because others differed; his opinion stands.
    """

    number: int
    question_id: str
    reviewer: str
    verdict: ReviewVerdict
    before: EditableContent
    after: EditableContent | None
    reason: str
    decided_at: float
    opened_at: float | None = None
    is_adjudication: bool = False

    @property
    def seconds(self) -> float | None:
        """How long the question was open before he decided; None where nobody knows."""
        return None if self.opened_at is None else max(0.0, self.decided_at - self.opened_at)

    def agrees_with(self, other: Decision) -> bool:
        """Return whether both want the same to become of the question; reasons may differ."""
        return self.verdict == other.verdict and self.after == other.after

    def on(self, question_id: str, present: EditableContent) -> Decision:
        """Return the decision on the same question under its present id, and with its options in their present order.

        What was accepted is the content as it stands now; letters of a fix are moved along with their options.
        """
        if self.before == present:
            return replace(self, question_id=question_id)
        after = self.after
        if after is not None:
            after = present if self.verdict == "accepted" else relettered(after, self.before, present)
        return replace(self, question_id=question_id, before=present, after=after)


def final_decision(opinions: Sequence[Decision], *, wanted: int) -> Decision | None:
    """Return the decision that stands, or None while opinions are missing or two differ.

    Args:
        opinions: of different reviewers, none skipped, in the order in which they were stored.
        wanted: opinions asked for. More than that are there when several reviewers had the same question open.
    """
    return None if num_missing(opinions, wanted=wanted) or not opinions else opinions[_decisive(opinions)]


def num_missing(opinions: Sequence[Decision], *, wanted: int) -> int:
    """Return how many more reviewers must be asked; where no more than half agree, one more decides."""
    if is_contested(opinions, wanted=wanted):
        return 1
    is_settled = any(opinion.is_adjudication for opinion in opinions)
    return 0 if is_settled else max(0, wanted - len(opinions))


def is_contested(opinions: Sequence[Decision], *, wanted: int) -> bool:
    """Return whether all opinions asked for are there, no more than half agree, and nobody has decided between them."""
    if not opinions or len(opinions) < wanted or any(opinion.is_adjudication for opinion in opinions):
        return False
    return 2 * max(_shared(opinions)) <= len(opinions)


def _decisive(opinions: Sequence[Decision]) -> int:
    """Return the index of the opinion that counts: that of who was asked to decide, else the first that most share.

    Not simply the last: one of the first may decide anew after the others differed, and must not overrule them all.
    """
    shared = _shared(opinions)
    deciding = [index for index, opinion in enumerate(opinions) if opinion.is_adjudication]
    return deciding[-1] if deciding else shared.index(max(shared))


def _shared(opinions: Sequence[Decision]) -> list[int]:
    """Return how many share each opinion, its author included."""
    return [sum(opinion.agrees_with(other) for other in opinions) for opinion in opinions]


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Return Cohen's kappa of two raters' labels (Cohen 1960, equation 1).

    None without pairs, and when chance alone explains all agreement because both gave one and the same label
    throughout: kappa is then 0/0.
    """
    if not pairs:
        return None
    total = len(pairs)
    first, second = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    observed = sum(one == other for one, other in pairs) / total
    expected = sum(first[label] * second[label] for label in first) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def fleiss_kappa(items: Sequence[Sequence[str]]) -> float | None:
    """Return Fleiss' kappa of several raters' labels (Fleiss 1971, equations 1 to 7).

    Items may have different numbers of labels: each item's agreement is over its own pairs. None where no item has two
    labels, and when all labels are the same: kappa is then 0/0.
    """
    rated = [Counter(labels) for labels in items if len(labels) >= 2]
    if not rated:
        return None
    shares = []
    for counts in rated:
        size = counts.total()
        shares.append(sum(count * (count - 1) for count in counts.values()) / (size * (size - 1)))
    total = sum(rated, Counter[str]())
    expected = sum((count / total.total()) ** 2 for count in total.values())
    return None if expected == 1 else (sum(shares) / len(shares) - expected) / (1 - expected)
