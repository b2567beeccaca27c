"""What the steps `draft` and `verify` accept of true captions and of planted falsehoods; the verifier objects to nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel

from rsvqa.annotation.llm.crops import PART_NAMES, CropSettings
from rsvqa.annotation.llm.drafting_step import DraftedCaption, DraftedText, DraftPass
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import QuestionState
from rsvqa.annotation.llm.requests import ChatReply
from rsvqa.annotation.llm.rule_check import RuleCheckPass
from rsvqa.annotation.llm.verifying_step import AnswerPass, Objections
from tests.planted.false_captions import KINDS, Planted
from tests.planted.reworded_captions import REWRITINGS, reworded_caption, reworded_region
from tests.planted.true_captions import STYLES, Place, caption_draft, region_draft

MOST_PER_KIND = 60

Fate = str
"""accepted, to people, or rule's text."""


@dataclass
class Tally:
    """Fates by kind."""

    counts: dict[str, Counter[Fate]] = field(default_factory=dict)

    def add(self, kind: str, fate: Fate) -> None:
        """Count one."""
        self.counts.setdefault(kind, Counter())[fate] += 1

    def share(self, fate: Fate, kinds: Sequence[str]) -> float:
        """Return the share of one fate over several kinds."""
        total = sum((self.counts.get(kind, Counter()) for kind in kinds), Counter())
        return total[fate] / total.total() if total else float("nan")


def reply_of(parsed: BaseModel) -> ChatReply:
    """Return a good reply."""
    return ChatReply(key="k", text=parsed.model_dump_json(), parsed=parsed, reply_hash="feed")


def fate_of(item: QuestionItem, draft: BaseModel) -> Fate:
    """Return what becomes of a draft: the verifier looks and objects to nothing."""
    (drafted,) = DraftPass(model="writer", crops=CropSettings()).settle(item, [reply_of(draft)])
    if drafted.source == "rule":
        return "rule's text"
    (drafted,) = RuleCheckPass().settle(drafted, [])
    (settled,) = AnswerPass(model="verifier", crops=CropSettings()).settle(
        drafted, [reply_of(Objections(contradicted=[]))]
    )
    return "accepted" if settled.outcome.state is QuestionState.ACCEPTED else "to people"


def true_drafts(items: Sequence[QuestionItem], seed: int = 0) -> Iterator[tuple[str, QuestionItem, BaseModel]]:
    """Yield a true draft of each caption in every style."""
    for item in items:
        for name, style in STYLES.items():
            rng = random.Random(f"{seed}/{item.question_id}/{name}")
            if item.task == "detailed_captioning":
                yield name, item, DraftedCaption(**caption_draft(item, style, rng))
            elif item.task == "regional_captioning":
                yield name, item, DraftedText(text=region_draft(item, style, rng))
        for name, table in REWRITINGS.items():
            rng = random.Random(f"{seed}/{item.question_id}/{name}")
            if item.task == "detailed_captioning":
                yield name, item, DraftedCaption(**reworded_caption(item, table, rng))
            elif item.task == "regional_captioning" and reworded_region(item, table) != item.answer:
                yield name, item, DraftedText(text=reworded_region(item, table))


def false_drafts(items: Sequence[QuestionItem], kind: str, seed: int = 0) -> Iterator[tuple[QuestionItem, BaseModel]]:
    """Yield drafts with one falsehood of a kind each."""
    found = 0
    for name, item, draft in true_drafts(items, seed):
        rng = random.Random(f"{seed}/{item.question_id}/{name}/{kind}")
        damaged = _damaged(item, draft, kind, rng)
        if damaged is not None:
            yield item, damaged
            found += 1
        if found == MOST_PER_KIND:
            return


def _absent(item: QuestionItem, place: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    known = item.knowledge
    there = {*place.get("counts", {}), *place.get("shares", {})}  # type: ignore[misc]
    return tuple(known.nouns[name] for name in sorted(known.absent - there))


def _damaged(item: QuestionItem, draft: BaseModel, kind: str, rng: random.Random) -> BaseModel | None:
    damage, values, nouns = KINDS[kind], item.evidence.values, item.knowledge.nouns
    if isinstance(draft, DraftedText):
        name = f"circle {item.region_number}"
        text = damage(Planted(draft.text, Place(values, nouns), name, _absent(item, values), ()), rng)
        return None if text is None else DraftedText(text=text)
    assert isinstance(draft, DraftedCaption)
    for number in rng.sample(range(-2, 9), 11):
        text = damage(_planted(item, draft, number), rng)
        if text is None:
            continue
        if number < 0:
            return draft.model_copy(update={"overall" if number == -1 else "inference": text})
        return draft.model_copy(update={"parts": [*draft.parts[:number], text, *draft.parts[number + 1 :]]})
    return None


def _planted(item: QuestionItem, draft: DraftedCaption, number: int) -> Planted:
    """Return what may be damaged of a caption: the inference (-2), the whole (-1), or one of its parts."""
    values, nouns = item.evidence.values, item.knowledge.nouns
    if number < 0:
        place, text = values["overall"], draft.overall if number == -1 else draft.inference
        return Planted(text, Place(place, nouns), "the area", _absent(item, place), ())
    name = PART_NAMES[number]
    place = values["parts"][name.replace(" ", "_")]
    others = tuple(
        part.replace(other, "\0").replace(other.capitalize(), "\0").replace("\0", name)
        for part, other in zip(draft.parts, PART_NAMES, strict=True)
        if _differ(place, values["parts"][other.replace(" ", "_")])
    )
    return Planted(draft.parts[number], Place(place, nouns), f"the {name} part", _absent(item, place), others)


def _differ(one: Mapping[str, dict[str, float]], other: Mapping[str, dict[str, float]]) -> bool:
    shares = {*one["shares"], *other["shares"]}
    return any(abs(one["shares"].get(name, 0) - other["shares"].get(name, 0)) > 0.04 for name in shares)


def measure_drafts(items: Sequence[QuestionItem], kinds: Sequence[str] = tuple(KINDS)) -> tuple[Tally, Tally]:
    """Return the fates of true drafts by style and of false ones by kind."""
    true, false = Tally(), Tally()
    for name, item, draft in true_drafts(items):
        true.add(name, fate_of(item, draft))
    for kind in kinds:
        for item, draft in false_drafts(items, kind):
            false.add(kind, fate_of(item, draft))
    return true, false
