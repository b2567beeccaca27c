"""What several reviewers' opinions on one question come to, and how well reviewers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rsvqa.annotation.review.content import EditableContent, relettered

ReviewVerdict = Literal["accepted", "fixed", "rejected", "skipped"]
VERDICTS: tuple[ReviewVerdict, ...] = ("accepted", "fixed", "rejected", "skipped")


@dataclass(frozen=True, slots=True)
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
    """

    number: int
    question_id: str
    reviewer: str
    verdict: ReviewVerdict
    before: EditableContent
    after: EditableContent | None
    reason: str
    decided_at: float

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
        wanted: opinions asked for, 1 or 2. More than that are there when two reviewers had the same question open.
    """
    return None if num_missing(opinions, wanted=wanted) or not opinions else opinions[_decisive(opinions)]


def num_missing(opinions: Sequence[Decision], *, wanted: int) -> int:
    """Return how many more reviewers must be asked; after two different opinions a third decides."""
    if len(opinions) < wanted:
        return wanted - len(opinions)
    return 1 if len(opinions) == 2 and not opinions[0].agrees_with(opinions[1]) else 0


def _decisive(opinions: Sequence[Decision]) -> int:
    """Return the index of the opinion that counts: the first of those that most share; the last where none is shared.

    Not simply the last: one of the first two may decide anew after the third, and must not overrule both others.
    """
    shared = [sum(opinion.agrees_with(other) for other in opinions) for opinion in opinions]
    return shared.index(max(shared)) if max(shared) > 1 else len(opinions) - 1


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
