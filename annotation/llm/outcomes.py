"""What becomes of a question: accepted, rejected with a reason, or to be reviewed by a person; and how it came so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class QuestionState(StrEnum):
    """Where a question ends."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REVIEW = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that a model or a check did to a question.

    Attributes:
        step: what was done, e.g. "word".
        result: "accepted", or the reason why nothing came of it; from a fixed set per step, without numbers or names.
        model: that was asked; empty when a rule alone decided.
        prompt: name and version, "word@1".
        reply: hash of request and reply.
        answer: what a model that was asked blind to the key took for right: options with their letters, a box in
            pixels of the tile, or the statements that it objects to.
    """

    step: str
    result: str
    model: str = ""
    prompt: str = ""
    reply: str = ""
    answer: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the filled fields."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name))}


ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionOutcome:
    """What the steps have found out about one question so far.

    Attributes:
        state: as things stand.
        reasons: why it is rejected or to be reviewed; empty when accepted.
        notes: what was done, in order.
        checks: mechanical checks passed, by name.
        agreement: share of the blind answers that were the key; None when nobody was asked.
        doubts: statements of the text that no fact bears out, for the one who reviews it.
    """

    state: QuestionState = QuestionState.ACCEPTED
    reasons: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    checks: tuple[str, ...] = ()
    agreement: float | None = None
    doubts: tuple[str, ...] = ()

    @property
    def is_rejected(self) -> bool:
        """True when the question is dropped."""
        return self.state is QuestionState.REJECTED

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> QuestionOutcome:
        """Return the outcome that `to_json` has written."""
        return cls(
            state=QuestionState(content["state"]),
            reasons=tuple(content["reasons"]),
            notes=tuple(Note(**note) for note in content["notes"]),
            checks=tuple(content["checks"]),
            agreement=content["agreement"],
            doubts=tuple(content.get("doubts", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what is kept with the question, JSON types only."""
        return {
            "state": self.state.value,
            "reasons": list(self.reasons),
            "notes": [note.to_json() for note in self.notes],
            "checks": list(self.checks),
            "agreement": self.agreement,
            **({"doubts": list(self.doubts)} if self.doubts else {}),
        }
