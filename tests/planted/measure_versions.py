"""What becomes of rewordings and of Chinese versions, true and false; the blind answer is always the key."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rsvqa.annotation.llm.crops import CropSettings
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import QuestionState
from rsvqa.annotation.llm.translating_step import BackTranslatePass, TranslatePass
from rsvqa.annotation.llm.verifying_step import AnswerPass, Choice
from rsvqa.annotation.llm.wording_step import Reworded, WordingPass
from rsvqa.annotation.reading.survival import named_things
from tests.planted.measure_drafts import MOST_PER_KIND, Fate, Tally, reply_of
from tests.planted.rewordings import FALSE_REWORDINGS, TRUE_REWORDINGS, Rewording
from tests.planted.translations import FALSE_VERSIONS, Version, true_version


def measure_rewordings(items: Sequence[QuestionItem]) -> tuple[Tally, Tally]:
    """Return the fates of true and of false rewordings, by kind."""
    asked = [item for item in items if item.options and named_things(item.text, item.task) is not None]
    found = []
    for table in (TRUE_REWORDINGS, FALSE_REWORDINGS):
        tally = Tally()
        for kind, reword in table.items():
            _reworded(asked, kind, reword, tally)
        found.append(tally)
    return found[0], found[1]


def _reworded(items: Sequence[QuestionItem], kind: str, reword: Rewording, tally: Tally) -> None:
    num = 0
    for item in _shuffled(items, kind):
        text = reword(item.text, random.Random(f"{kind}/{item.question_id}"))
        if text is None or text == item.text:
            continue
        (worded,) = WordingPass(model="writer").settle(item, [reply_of(Reworded(question=text))])
        tally.add(kind, "accepted" if worded.source == "llm" else "rule's text")
        num += 1
        if num == MOST_PER_KIND:
            return


def _shuffled(items: Sequence[QuestionItem], seed: str) -> list[QuestionItem]:
    return random.Random(seed).sample(items, len(items))


def measure_versions(items: Sequence[QuestionItem]) -> tuple[Tally, Tally]:
    """Return the fates of true Chinese versions by task, and of false ones by kind."""
    true, false = Tally(), Tally()
    asked = [item for item in items if item.options]
    for item in asked:
        true.add(item.task, _fate(item, true_version(item, random.Random(item.question_id))))
    for kind, damage in FALSE_VERSIONS.items():
        num = 0
        for item in _shuffled(asked, kind):
            rng = random.Random(f"{kind}/{item.question_id}")
            version = damage(item, true_version(item, rng), rng)
            if version is not None and num < MOST_PER_KIND:
                false.add(kind, _fate(item, version))
                num += 1
    return true, false


def _fate(item: QuestionItem, version: Version) -> Fate:
    """Return what becomes of a version whose blind answer is the key, and that is honestly translated back."""
    _, *made = TranslatePass("writer").settle(item, [reply_of(version.chinese)])
    if not made:
        return "rule's text"
    (read,) = BackTranslatePass("verifier").settle(made[0], [reply_of(version.english)])
    right = reply_of(Choice(letters=item.answer))
    (answered,) = AnswerPass(model="verifier", crops=CropSettings(), language="zh").settle(read, [right])
    return "accepted" if answered.outcome.state is QuestionState.ACCEPTED else "to people"
