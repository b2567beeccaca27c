"""Claims of a text about counts, classes, directions and colours, held against what is known of the place.

A claim is contradicted when the facts say otherwise, unsupported when they say nothing; the first ends a draft, the
second is for the verifier. English only. What is read is what stands close together ("three white cars", "houses in the
top left"): a claim that is put in a roundabout way is not seen, so silence here is no proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rsvqa.annotation.llm.items import QuestionItem, TileKnowledge
from rsvqa.annotation.llm.number_words import NUMBER_WORD, value_of
from rsvqa.annotation.tasks.colours import COLOURS
from rsvqa.annotation.taxonomy import AnswerForm

SHARE_TOLERANCE = 1.5
"""Percentage points by which a share may be rounded."""

_COUNTED = re.compile(
    rf"(?<![\w.%])(?<!circle )(?P<number>\d+(?:,\d{{3}})*|{NUMBER_WORD})\s+(?P<between>(?:(?!of\b)[a-z-]+\s+){{0,2}})$",
    re.IGNORECASE,
)
_MANY = re.compile(r"(?<!\w)(?P<unit>dozen|hundred|thousand)s?\s+(?:of\s+)?(?:[a-z-]+\s+){0,2}$", re.IGNORECASE)
_LEAST_OF = {"dozen": 12, "hundred": 100, "thousand": 1_000}
_COLOUR = re.compile(rf"(?<!\w)(?P<colour>{'|'.join((*COLOURS, 'gray'))})\s+(?:[a-z-]+\s+)?$", re.IGNORECASE)
_DIGITS = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
_SHARE = re.compile(r"\s*\(?(?:(?:about|around|roughly|some) )?(?P<percent>\d+(?:\.\d+)?)\s?%", re.IGNORECASE)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimScope:
    """What is known of the place that a text is about.

    Attributes:
        counts: objects by class; None where there are some, but nobody knows how many.
        shares: of the area, 0 to 1, by class.
        absent: classes that are certainly not there.
        colours: of a class, where all of its objects are known to be of these.
        parts: what is known of the nine parts; empty when the place has no parts.
        is_by_part: the text goes from part to part, so a sentence is about the part named last.
        numbers: other numbers that may be said, e.g. a width in metres.
        nouns: singular and plural of each class.
    """

    counts: Mapping[str, int | None] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    colours: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parts: Mapping[str, ClaimScope] = field(default_factory=dict)
    is_by_part: bool = False
    numbers: frozenset[float] = frozenset()
    nouns: Mapping[str, tuple[str, str]] = field(default_factory=dict)


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
        if value not in allowed and not any(abs(value - percent) <= SHARE_TOLERANCE for percent in percents):
            yield number


# --- what is known of a question's place ------------------------------------------------------------------------------


def scopes_of(item: QuestionItem) -> tuple[ClaimScope, ...]:
    """Return what is known of the places that a caption's paragraphs are about.

    A detailed caption has three: the whole, the parts one after the other, and what follows. A regional one has one.
    """
    values = item.evidence.values
    numbers = _numbers_of(item.former.get("answer", item.answer))
    if item.task != "detailed_captioning":
        return (replace(_scope(values, item.knowledge), numbers=numbers),)
    parts = {key: _scope(part, item.knowledge) for key, part in values["parts"].items()}
    # the overall facts list the largest land uses only; what the parts have is there too
    whole = replace(_scope(values["overall"], item.knowledge), parts=parts, numbers=numbers)
    return whole, replace(whole, is_by_part=True), whole


def _scope(values: Mapping[str, Any], knowledge: TileKnowledge) -> ClaimScope:
    counts, shares = values.get("counts", {}), values.get("shares", {})
    # colours of a class are those of all its objects only when there is one
    colours = {
        name: found for name, found in knowledge.colours.items() if name in counts and _is_single(name, knowledge)
    }
    absent = knowledge.absent - counts.keys() - shares.keys()
    return ClaimScope(counts=counts, shares=shares, absent=absent, colours=colours, nouns=knowledge.nouns)


def _is_single(name: str, knowledge: TileKnowledge) -> bool:
    return knowledge.counts.get(name) == 1


def _numbers_of(text: str) -> frozenset[float]:
    return frozenset(float(number.replace(",", "")) for number in _DIGITS.findall(text))


def caption_claims(item: QuestionItem) -> Claims:
    """Return the claims of a caption that the item's facts do not bear out; nothing for other questions.

    The second paragraph of a detailed caption tells of nine parts in one go, so it is held against all of them.
    """
    if item.form is not AnswerForm.TEXT or item.language != "en":
        return Claims()
    found = [
        check_claims(paragraph, scope) for paragraph, scope in zip(_paragraphs(item), _all_scopes(item), strict=True)
    ]
    return Claims(
        tuple(claim for claims in found for claim in claims.contradicted),
        tuple(claim for claims in found for claim in claims.unsupported),
    )


def _paragraphs(item: QuestionItem) -> Sequence[str]:
    return item.answer.split("\n") if item.task == "detailed_captioning" else [item.answer]


def _all_scopes(item: QuestionItem) -> Sequence[ClaimScope]:
    scopes = scopes_of(item)
    count = len(_paragraphs(item))
    return [scopes[min(index, len(scopes) - 1)] for index in range(count)]
