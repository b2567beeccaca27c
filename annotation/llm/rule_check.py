"""The first pass of `verify`: what can be checked without a model. It costs nothing and never changes a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rsvqa.annotation.llm.claims import caption_claims
from rsvqa.annotation.llm.drafting_step import CONTRADICTS
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.keys import key_fault
from rsvqa.annotation.llm.outcomes import ACCEPTED, Note
from rsvqa.annotation.llm.passes import ChatResult
from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.verifying_step import UNSUPPORTED
from rsvqa.annotation.llm.wording_step import fault_of


@dataclass(frozen=True, slots=True)
class RuleCheckPass:
    """Holds keys, boxes and captions against the stored evidence; what contradicts it goes to a person."""

    name: str = "rule_check"

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:  # noqa: ARG002  nothing is asked
        """Return no request."""
        return ()

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:  # noqa: ARG002  there are none
        """Return the item, for review where something contradicts its evidence."""
        claims = caption_claims(item)
        reasons = [reason for reason in (fault_of(item), key_fault(item)) if reason is not None]
        if claims.contradicted:
            reasons.append(CONTRADICTS)
        # What the rules wrote is computed: a sentence that the reader of drafts does not know says nothing against it.
        if claims.unsupported and item.source != "rule":
            reasons.append(UNSUPPORTED)
            item = item.with_doubts(*(claim.words for claim in claims.unsupported))
        for reason in reasons:
            item = item.for_review(reason)
        noted = item.noted(Note(step=self.name, result=reasons[0] if reasons else ACCEPTED))
        return (noted if reasons else noted.checked("rule check"),)
