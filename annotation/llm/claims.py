"""Claims of a text, held against what is known of the place: supported, contradicted by the facts, or not known.

Two looks. `check_claims` finds what stands close together and is wrong ("three white cars", "houses in the top left"),
in any sentence. `caption_claims` adds the sentences of which not every word is of the grammar of `claim_reader`, or not
every claim follows from the facts: those are not known, whatever they say. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rsvqa.annotation.llm.items import QuestionItem, TileKnowledge
from rsvqa.annotation.reading.claim_reader import Reading, read_sentence, sentences_in
from rsvqa.annotation.reading.claim_words import SHARE_TOLERANCE
from rsvqa.annotation.reading.number_words import NUMBER_WORD, value_of
from rsvqa.annotation.reading.said import HERE
from rsvqa.annotation.reading.same_words import content_order, difference
from rsvqa.annotation.reading.support import (
    ClaimScope,
    Verdict,
    area_of,
    facts_of,
    is_rounded,
    judge,
    place_of,
    told_by,
)
from rsvqa.annotation.reading.survival import has_same_sense, numbers_in
from rsvqa.annotation.tasks.colours import COLOURS
from rsvqa.annotation.taxonomy import AnswerForm

_COUNTED = re.compile(
    rf"(?<![\w.%])(?<!circle )(?P<number>\d+(?:,\d{{3}})*|{NUMBER_WORD})\s+(?P<between>(?:(?!of\b)[a-z-]+\s+){{0,2}})$",
    re.IGNORECASE,
)
_MANY = re.compile(r"(?<!\w)(?P<unit>dozen|hundred|thousand)s?\s+(?:of\s+)?(?:[a-z-]+\s+){0,2}$", re.IGNORECASE)
_LEAST_OF = {"dozen": 12, "hundred": 100, "thousand": 1_000}
_COLOUR = re.compile(rf"(?<!\w)(?P<colour>{'|'.join((*COLOURS, 'gray'))})\s+(?:[a-z-]+\s+)?$", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_SHARE = re.compile(r"\s*\(?(?:(?:about|around|roughly|some) )?(?P<percent>\d+(?:\.\d+)?)\s?%", re.IGNORECASE)
_METRES = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?) m(?!\w)")
_SENTENCE = re.compile(r"[^.;!?]+(?:\.(?=\d)[^.;!?]*)*")

_ROWS = {"top": 0, "upper": 0, "middle": 1, "central": 1, "bottom": 2, "lower": 2}
_COLUMNS = {"left": 0, "centre": 1, "center": 1, "right": 2}
_PART = re.compile(
    r"(?<!\w)(?P<row>top|upper|middle|central|bottom|lower)[\s-]+(?P<column>left|centre|center|right)(?!\w)",
    re.IGNORECASE,
)
_CENTRE = re.compile(r"(?<!\w)(?<!top )(?<!bottom )(?<!upper )(?<!lower )centre(?= part)")
_PART_KEYS = (
    ("top_left", "top_centre", "top_right"),
    ("middle_left", "centre", "middle_right"),
    ("bottom_left", "bottom_centre", "bottom_right"),
)


class Claim(NamedTuple):
    """One claim: what kind it is of, and the words that make it."""

    kind: str
    words: str


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a text that the facts do not bear out."""

    contradicted: tuple[Claim, ...] = ()
    unsupported: tuple[Claim, ...] = ()


_NOTHING_KNOWN = ClaimScope()
"""The scope of a part without a label."""


class _Mention(NamedTuple):
    """A class named in a text."""

    name: str
    start: int
    end: int


def check_claims(text: str, scope: ClaimScope) -> Claims:
    """Return what the facts of `scope` contradict and what they do not support."""
    contradicted: list[Claim] = []
    unsupported: list[Claim] = []
    for sentence, place in _placed_sentences(text, scope):
        for claim, is_wrong in _claims_of(sentence, place, scope):
            (contradicted if is_wrong else unsupported).append(claim)
    contradicted += [Claim("number", number) for number in _unknown_numbers(text, scope)]
    return Claims(tuple(dict.fromkeys(contradicted)), tuple(dict.fromkeys(unsupported)))


def _placed_sentences(text: str, scope: ClaimScope) -> Iterator[tuple[str, ClaimScope]]:
    """Yield each sentence with what is known of the place that it is about: the one part that it names, or all."""
    last = scope
    for line in text.splitlines():
        for found in _SENTENCE.finditer(line):
            keys = {part_key(part) for part in _PART.finditer(found[0])} or set(_CENTRE.findall(found[0]))
            if keys and scope.parts:
                last = scope.parts.get(min(keys), _NOTHING_KNOWN) if len(keys) == 1 else scope
            elif not scope.is_by_part:
                last = scope
            if found[0].strip():
                yield found[0].strip(), last


def _claims_of(sentence: str, place: ClaimScope, whole: ClaimScope) -> Iterator[tuple[Claim, bool]]:
    """Yield claims that are not borne out, and whether they are contradicted."""
    for mention in find_mentions(sentence, whole.nouns):
        before, after = sentence[: mention.start], sentence[mention.end :]
        counted = None if mention.name in whole.shares else _COUNTED.search(before)
        many = _MANY.search(before)
        words = sentence[counted.start() if counted else mention.start : mention.end]
        if place is not whole and mention.name in whole.counts and mention.name not in place.counts:
            yield Claim("direction", sentence), whole.counts[mention.name] is not None
        elif many is not None and mention.name in place.counts:
            known = place.counts[mention.name]
            said = sentence[many.start() : mention.end]
            yield Claim("count", said), known is not None and known < _LEAST_OF[many["unit"].lower()]
        elif counted is not None:
            yield from _count_claims(mention.name, counted, place, words)
        elif not _is_known(mention.name, place):
            yield Claim("class", words), mention.name in whole.absent
        if (share := _SHARE.match(after)) and mention.name in place.shares:
            is_off = abs(float(share["percent"]) - 100 * place.shares[mention.name]) > SHARE_TOLERANCE
            yield from [(Claim("share", words + share[0]), True)] if is_off else []
        if colour := _COLOUR.search(before):
            yield from _colour_claims(mention.name, colour["colour"].lower(), whole, colour[0] + words)


def _is_known(name: str, place: ClaimScope) -> bool:
    return any(name in known.counts or name in known.shares for known in (place, *place.parts.values()))


def _count_claims(name: str, counted: re.Match[str], place: ClaimScope, words: str) -> Iterator[tuple[Claim, bool]]:
    number = _number(counted["number"])
    is_some = bool(counted["between"].strip())  # "two red cars" may be two of many
    if name not in place.counts:
        if number > 0:
            yield Claim("class", words), name in place.absent
        return
    known = place.counts[name]
    if number == 0 and not is_some:
        yield Claim("count", words), True
    elif known is None:
        yield Claim("count", words), False
    elif number > known or (number != known and not is_some):
        yield Claim("count", words), True


def _colour_claims(name: str, colour: str, scope: ClaimScope, words: str) -> Iterator[tuple[Claim, bool]]:
    said = "grey" if colour == "gray" else colour
    known = scope.colours.get(name)
    if known is None:
        yield Claim("colour", words), False
    elif said not in known:
        yield Claim("colour", words), True


def _number(word: str) -> int:
    return int(word.replace(",", "")) if word[0].isdigit() else value_of(word)


def find_mentions(text: str, nouns: Mapping[str, tuple[str, str]]) -> Iterator[_Mention]:
    """Yield the classes that `text` names, longest names first and none twice over the same words."""
    phrases = sorted(
        ((phrase, name) for name, pair in nouns.items() for phrase in dict.fromkeys(pair)),
        key=lambda entry: (-len(entry[0]), entry),
    )
    taken: list[tuple[int, int]] = []
    found: list[_Mention] = []
    for phrase, name in phrases:
        for match in re.finditer(rf"(?<![\w-]){re.escape(phrase)}(?![\w-])", text, re.IGNORECASE):
            if all(match.end() <= start or end <= match.start() for start, end in taken):
                taken.append(match.span())
                found.append(_Mention(name, *match.span()))
    yield from sorted(found, key=lambda mention: mention.start)


def part_key(found: re.Match[str]) -> str:
    """Return the key of the part that "upper left" and the like name."""
    return _PART_KEYS[_ROWS[found["row"].lower()]][_COLUMNS[found["column"].lower()]]


def _unknown_numbers(text: str, scope: ClaimScope) -> Iterator[str]:
    """Yield numbers that no fact gives, as a count, a share or else."""
    places = (scope, *scope.parts.values())
    allowed = {float(count) for place in places for count in place.counts.values() if count is not None} | scope.numbers
    percents = [100 * share for place in places for share in place.shares.values()]
    for number in _DIGITS.findall(text):
        value = float(number.replace(",", ""))
        is_share = any(abs(value - percent) <= SHARE_TOLERANCE for percent in percents)
        if value not in allowed and not is_share and not _is_measure(value, scope):
            yield number


def _is_measure(value: float, scope: ClaimScope) -> bool:
    """Return whether a number is a length or an area of the place, or the length of its roads, in some unit."""
    known = (*scope.metres, scope.road_length_m or 0.0, area_of(scope), *scope.along_roads_m.values())
    return any(is_rounded(value * unit, measure) for measure in known for unit in (1, 1e3, 1e4, 1e6))


# --- what is known of a question's place ------------------------------------------------------------------------------


def scopes_of(item: QuestionItem) -> tuple[ClaimScope, ...]:
    """Return what is known of the places that a caption's paragraphs are about.

    A detailed caption has three: the whole, the parts one after the other, and what follows. A regional one has one.
    """
    values = item.evidence.values
    by_rule = item.former.get("answer", item.answer)
    numbers = _numbers_of(by_rule)
    if item.task != "detailed_captioning":
        metres = (values["diameter_m"],) if "diameter_m" in values else _metres_of(by_rule)[:1]
        scope = _scope(values, item.knowledge)
        return (replace(scope, numbers=numbers, metres=metres, circle=item.region_number),)
    parts = {key: _scope(part, item.knowledge) for key, part in values["parts"].items()}
    # the overall facts list the largest land uses only; what the parts have is there too
    overall = values["overall"]
    metres = tuple(overall.get("size_m", ())) or _metres_of(by_rule)[:2]
    whole = replace(_scope(overall, item.knowledge), parts=parts, numbers=numbers, metres=metres)
    return whole, replace(whole, is_by_part=True), whole


def _scope(values: Mapping[str, Any], knowledge: TileKnowledge) -> ClaimScope:
    counts, shares = values.get("counts", {}), values.get("shares", {})
    # colours of a class are those of all its objects only when there is one
    colours = {
        name: found for name, found in knowledge.colours.items() if name in counts and _is_single(name, knowledge)
    }
    return ClaimScope(
        counts=counts,
        shares=shares,
        has_road=bool(values.get("has_road")),
        at_least=frozenset(values.get("at_least", ())),
        labelled=values.get("labelled", 0.0),
        in_one_piece=frozenset(values.get("in_one_piece", ())),
        rows=values.get("in_rows", {}),
        within=values.get("within", {}),
        is_crossed=bool(values.get("is_crossed")),
        lying=values.get("lying", {}),
        border=(values["border"]["of"], tuple(values["border"]["with"])) if "border" in values else ("", ()),
        is_surrounded=bool(values.get("is_surrounded")),
        along_roads_m=values.get("along_roads_m", {}),
        road_length_m=values.get("road_length_m"),
        roads_form_a_grid=bool(values.get("roads_form_a_grid")),
        absent=knowledge.absent - counts.keys() - shares.keys(),
        colours=colours,
        nouns=knowledge.nouns,
    )


def _is_single(name: str, knowledge: TileKnowledge) -> bool:
    return knowledge.counts.get(name) == 1


def _numbers_of(text: str) -> frozenset[float]:
    return frozenset(float(number.replace(",", "")) for number in _DIGITS.findall(text))


def _metres_of(text: str) -> tuple[float, ...]:
    return tuple(float(number.replace(",", "")) for number in _METRES.findall(text))


def caption_claims(item: QuestionItem) -> Claims:
    """Return the claims of a caption that the item's facts do not bear out; nothing for other questions.

    The second paragraph of a detailed caption tells of nine parts in one go, so it is held against all of them.
    """
    if item.form is not AnswerForm.TEXT or item.language != "en":
        return Claims()
    contradicted: list[Claim] = []
    unsupported: list[Claim] = []
    for paragraph, scope in zip(_paragraphs(item), _all_scopes(item), strict=True):
        contradicted += check_claims(paragraph, scope).contradicted
    for judged in _judged(item):
        if judged.verdict is Verdict.CONTRADICTED:
            contradicted.append(Claim("statement", judged.sentence))
        elif judged.verdict is Verdict.NOT_KNOWN:
            unsupported.append(Claim("not known", judged.sentence))
    return Claims(tuple(dict.fromkeys(contradicted)), tuple(dict.fromkeys(unsupported)))


MIN_KEPT = 0.5
"""Share of the facts, by weight, that a draft must tell; a draft that tells less leaves the rule's text."""


def kept_share(item: QuestionItem) -> float:
    """Return the share of a caption's facts, by weight, that its text tells: classes, numbers, areas and roads."""
    whole = scopes_of(item)[0]
    places = {"": whole, **whole.parts}
    worth = {(key, *fact[:2]): fact[2] for key, place in places.items() for fact in facts_of(place)}
    told = {(judged.place, *fact) for judged in _judged(item) for fact in judged.told}
    return sum(worth[fact] for fact in told & worth.keys()) / sum(worth.values()) if worth else 1.0


class _Judged(NamedTuple):
    """A sentence, what the facts say of it, and which of them it tells."""

    sentence: str
    verdict: Verdict
    place: str
    told: frozenset[tuple[str, str]]


def _judged(item: QuestionItem) -> Iterator[_Judged]:
    """Yield each sentence of a caption; one with claims about several places comes once per place."""
    by_rule = tuple(sentences_in(str(item.former.get("answer", item.answer)).rpartition("\n")[2]))
    for index, (paragraph, scope) in enumerate(zip(_paragraphs(item), _all_scopes(item), strict=True)):
        last = scope if not scope.is_by_part else None
        for sentence in sentences_in(paragraph):
            if index > 1 and any(_says_the_same(conclusion, sentence) for conclusion in by_rule):
                continue  # a conclusion of the rules
            reading = read_sentence(sentence, scope.nouns)
            if reading is None:
                yield _Judged(sentence, Verdict.NOT_KNOWN, "", frozenset())
            else:
                yield from _judge_reading(sentence, reading, scope, last)
            if scope.is_by_part:
                last = _last_place(sentence, reading, scope, last)


def _says_the_same(old: str, new: str) -> bool:
    is_same = has_same_sense(old, new) and difference(old, new).reason is None and numbers_in(old) == numbers_in(new)
    # "Since it rains, …" and "…, since it rains": who reaches whom, and what follows from what, stays
    return old == new or (is_same and content_order(old) == content_order(new))


def _judge_reading(sentence: str, reading: Reading, scope: ClaimScope, last: ClaimScope | None) -> Iterator[_Judged]:
    keys = {id(place): key for key, place in scope.parts.items()}
    for said in reading.said:
        place = place_of(said, scope, last)
        verdict = judge(said, place, scope)
        told = frozenset(told_by(said)) if verdict is Verdict.SUPPORTED else frozenset()
        yield _Judged(sentence, verdict, keys.get(id(place), ""), told)


def _last_place(
    sentence: str, reading: Reading | None, scope: ClaimScope, last: ClaimScope | None
) -> ClaimScope | None:
    """Return the part that "it" is after a sentence; None when that is not certain."""
    if reading is not None:
        return scope.parts.get(reading.place, last if reading.place == HERE else None)
    named = {part_key(part) for part in _PART.finditer(sentence)}
    return scope.parts.get(named.pop()) if len(named) == 1 else None


def _paragraphs(item: QuestionItem) -> Sequence[str]:
    return item.answer.split("\n") if item.task == "detailed_captioning" else [item.answer]


def _all_scopes(item: QuestionItem) -> Sequence[ClaimScope]:
    scopes = scopes_of(item)
    count = len(_paragraphs(item))
    return [scopes[min(index, len(scopes) - 1)] for index in range(count)]
