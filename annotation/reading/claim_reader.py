"""Sentences of a caption as statements that facts can bear out; what is not of the grammar is not read at all.

A white list: a sentence is read only when every word of it belongs to a form known here. First words become tags of one
letter ("in the top left part" is `p`, "contains" is `V`), then amounts of a class become `n`, then the tags of each
clause must fit one of `_CLAUSES` as a whole. So a word that nobody thought of makes a sentence unread, not true.
English only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf
from typing import Literal, NamedTuple

from rsvqa.annotation.reading.number_words import NUMBER_WORD, value_of
from rsvqa.annotation.tasks.colours import COLOURS

ROAD = "\0road"
"""Stands for roads of any class: facts tell that there are some, not which."""

WHOLE = "whole"
HERE = "here"
"""The place that is spoken of."""

SHARE_TOLERANCE = 1.5
"""Percentage points by which a share may be rounded."""

Unit = Literal["count", "share", "any"]


class Amount(NamedTuple):
    """A closed range of numbers, of percents for a share."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One thing that a clause says of a class at a place.

    Attributes:
        name: the class, or `ROAD`.
        unit: of the amount; "any" where a land use or an object may be meant.
        amount: what is said.
        colour: that all of them are said to be of; empty without one.
        place: `WHOLE`, `HERE`, the key of a part, or "circle 3".
        words: of the clause, for people.
    """

    name: str
    unit: Unit
    amount: Amount
    colour: str = ""
    place: str = HERE
    words: str = ""


@dataclass(frozen=True, slots=True)
class Largest:
    """That these are the largest land uses of a place."""

    names: tuple[str, ...]
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of a place in metres, in the order in which they are said."""

    metres: tuple[float, ...]
    place: str
    words: str


@dataclass(frozen=True, slots=True)
class Compared:
    """That there is more of the first than of the second."""

    more: str
    less: str
    place: str
    words: str


Said = Statement | Largest | Lengths | Compared


class _Token(NamedTuple):
    tag: str
    value: object
    is_plural: bool
    colour: str
    unit: Unit


def _token_of(tag: str, value: object = None, *, is_plural: bool = False, colour: str = "") -> _Token:
    return _Token(tag, value, is_plural, colour, "any")


# --- words ------------------------------------------------------------------------------------------------------------

_ROWS = {"top": 0, "upper": 0, "middle": 1, "central": 1, "centre": 1, "center": 1, "bottom": 2, "lower": 2}
_COLUMNS = {"left": 0, "centre": 1, "center": 1, "middle": 1, "right": 2}
_PART_KEYS = (
    ("top_left", "top_centre", "top_right"),
    ("middle_left", "centre", "middle_right"),
    ("bottom_left", "bottom_centre", "bottom_right"),
)
_TO = r"(?:(?:looking|turning|moving) (?:at|to) |(?:in|within|inside|across|throughout|over|of|for|through) )?"
_DET = r"(?:(?:the|this) )"
_PART = (
    rf"{_TO}{_DET}?(?P<row>top|upper|middle|central|bottom|lower)[ -](?P<column>left|centre|center|middle|right)"
    r"(?: (?:part|section|portion|area|region))?"
)
_CENTRE = rf"{_TO}{_DET}(?:centre|center|central) (?:part|section|portion)"
_CIRCLE = (
    rf"{_TO}(?:{_DET}?(?:area|region|part) (?:inside|within|in|of|marked by) )?{_DET}?(?:red )?circle (?P<circle>\d+)"
)
_VIEW = r"(?:image|scene|tile|view|picture)"
_GENERIC = (
    rf"{_TO}(?:(?:(?:the|this|an?|one) )?(?:(?:whole|entire|overall|same|aerial|overhead|remote sensing|satellite) )?"
    rf"(?P<generic>{_VIEW}|area|place|land|ground|surface|region|site|landscape|part)"
    r"(?: (?:from above|as a whole|of the ground from above|of the ground))?|"
    rf"(?P<pronoun>it|its area|here|there))"
)
_NUMBER = rf"\d+(?:,\d{{3}})*(?:\.\d+)?|{NUMBER_WORD}"

_VAGUE: Mapping[str, Amount] = {
    "some": Amount(2, inf),
    "several": Amount(2, inf),
    "multiple": Amount(2, inf),
    "a number of": Amount(2, inf),
    "a few": Amount(2, 9),
    "a couple of": Amount(2, 2),
    "a pair of": Amount(2, 2),
    "many": Amount(10, inf),
    "numerous": Amount(10, inf),
    "a dozen": Amount(12, 12),
    "dozens of": Amount(24, inf),
    "hundreds of": Amount(200, inf),
    "thousands of": Amount(2_000, inf),
    "countless": Amount(100, inf),
}
_NONE = (
    r"devoid of|entirely without|without any|without|free of|lacks any|lacks|has no|have no|fails to show any|"
    r"not a single|no|neither|nor"
)
_FRACTIONS: Mapping[str, Amount] = {
    "almost all of": Amount(90, 100),
    "nearly all of": Amount(90, 100),
    "most of": Amount(50.001, 100),
    "more than half of": Amount(50, 100),
    "over half of": Amount(50, 100),
    "nearly half of": Amount(42, 50),
    "almost half of": Amount(42, 50),
    "half of": Amount(46, 54),
    "a third of": Amount(30, 36.5),
    "a quarter of": Amount(22, 28),
}

_SEEN = r"visible|present|seen|found|observed|spotted|counted|located|shown"
_BE = r"(?:is|are)"

_LEXICON: tuple[tuple[str, str], ...] = (
    # tag, pattern; the first that fits wins, so longer phrases come first
    ("M", rf"(?P<measure>{_NUMBER}) ?(?P<length>km|kilomet(?:re|er)s?|met(?:re|er)s?|m|miles?|feet|ft)(?!\w)"),
    ("%", r"(?P<percent>\d+(?:\.\d+)?) ?(?:%|per ?cent(?!\w))"),
    ("p", _PART),
    ("p", _CENTRE),
    ("p", _CIRCLE),
    (
        "E",
        rf"there {_BE}|(?:we|one) (?:can )?(?:sees?|finds?|spots?)|(?:land uses?|objects):"
        rf"|(?:visible|seen) (?:{_BE}|there:|here:)",
    ),
    ("F", "|".join(_FRACTIONS)),
    ("Q", "|".join(_VAGUE)),
    ("L", rf"the (?:largest|main|most prominent|dominant) land (?:uses?|covers?|use types) {_BE}"),
    ("L", r"by area,? the (?:largest|main) land uses? (?:is|are)"),
    ("h", r"(?:seen|viewed|looking) from above|from above|among the land (?:uses|covers)|land use|by area"),
    (
        "Z",
        rf"{_BE} (?:absent|missing|not (?:visible|present|seen|found)|nowhere to be (?:seen|found))"
        r"|cannot be seen(?: anywhere)?|do(?:es)? not occur",
    ),
    (
        "B",
        rf"(?:{_BE} )?(?:all )?(?:also )?(?:{_SEEN})|can (?:also )?be (?:{_SEEN})|{_BE} there|appears?|stands?|occurs?",
    ),
    ("J", rf"{_BE} (?:covered|occupied|taken up|taken|made up|filled) (?:by|with|of)|consists? of"),
    ("X", rf"(?:{_BE} )?(?:crossed|served|traversed|cut) by"),
    (
        "D",
        rf"{_BE} (?:mostly|mainly|largely|predominantly|chiefly|dominated by|mainly covered by)|mostly|predominantly",
    ),
    ("d", r"prevails?(?: in)?|dominates?"),
    ("U", r"(?:runs?|pass(?:es)?|leads?|cross(?:es)?|goes|go) ?(?:through|across)?"),
    ("K", r"covers?|occup(?:y|ies)|takes? up|makes? up|accounts? for"),
    (
        "V",
        r"contains?|shows?|includes?|holds?|features?|displays?|depicts?|represents?|provides"
        r"|comprises a mix of|(?:has|have|is|shows) a mix of|has|have",
    ),
    ("m", r"spans?|measures?|measuring|stretches"),
    ("w", r"wide|high|across|in size|long|tall"),
    ("b", r"by|x|×"),
    ("f", r"followed by"),
    ("+", r"(?P<more>more|fewer|less)"),
    ("-", r"than"),
    (">", r"at least|more than|over"),
    ("o", r"the number of|the total number of"),
    ("=", r"numbers?"),
    # without its comma, "beside" tells where a thing is, and "with" what belongs to it
    ("c", r", (?:with|beside|alongside)(?!\w)"),
    ("c", r"(?:,? ?(?:and|plus|as well as|along with|together with|in addition to)(?: also)?(?: with)?|,)(?!\w)"),
    ("y", r"respectively"),
    ("h", r"also|as well|too|overall|additionally|furthermore|moreover|altogether|in total|a total of|in all"),
    ("I", rf"{_BE}|lies?|forms?|belongs? to|completes"),
    ("p", _GENERIC),
    ("h", r"part(?= of)|of(?= it)"),
    ("G", _NONE),
    ("~", r"about|approximately|around|roughly|nearly|almost|some|circa|an estimated"),
    ("a", r"an?(?: single)?|one single|a lone"),
    ("#", rf"(?P<number>{_NUMBER})"),
    ("C", rf"(?P<colour>{'|'.join((*COLOURS, 'gray'))})"),
    ("t", r"the|at|of"),
    ("(", r"\("),
    (")", r"\)"),
    (":", r":"),
    (";", r";|, (?:while|whereas)(?!\w)"),
)
_WORD_END = r"(?!\w)"

_Lexicon = tuple[tuple[str, re.Pattern[str]], ...]


def _compiled(tag: str, pattern: str) -> re.Pattern[str]:
    end = "" if tag in "%M(:);)c" else _WORD_END
    return re.compile(rf"(?:{pattern}){end}")


_FORMS: _Lexicon = tuple((tag, _compiled(tag, pattern)) for tag, pattern in _LEXICON)


@lru_cache(maxsize=64)
def _class_pattern(nouns: tuple[tuple[str, str, str], ...]) -> tuple[re.Pattern[str], Mapping[str, tuple[str, bool]]]:
    """Return a pattern of every class noun, and what each phrase means: the class, and whether it is a plural."""
    meanings: dict[str, tuple[str, bool]] = {"road": (ROAD, False), "roads": (ROAD, True)}
    for name, singular, plural in nouns:
        meanings[plural.casefold()] = (name, plural.casefold() != singular.casefold())
        meanings[singular.casefold()] = (name, False)
    phrases = sorted(meanings, key=lambda phrase: (-len(phrase), phrase))
    joined = "|".join(re.escape(phrase) for phrase in phrases)
    return re.compile(rf"(?P<noun>{joined})(?![\w-])"), meanings


_CHARACTERS = re.compile(r"[a-z0-9 ,.;:%()×'\-]*")


def _tokens(sentence: str, nouns: tuple[tuple[str, str, str], ...]) -> list[_Token] | None:
    """Return the tags of a sentence; None when a word or a sign is not known."""
    text = " ".join(unicodedata.normalize("NFKC", sentence).casefold().replace("\u00a0", " ").split())
    if not _CHARACTERS.fullmatch(text.replace("é", "e")):
        return None
    classes, meanings = _class_pattern(nouns)
    tokens: list[_Token] = []
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
            continue
        if found := classes.match(text, position):
            name, is_plural = meanings[found["noun"]]
            tokens.append(_token_of("N", name, is_plural=is_plural))
        else:
            token_and_match = _form_at(text, position)
            if token_and_match is None:
                return None
            token, found = token_and_match
            tokens.append(token)
        position = found.end()
    return tokens


def _form_at(text: str, position: int) -> tuple[_Token, re.Match[str]] | None:
    for tag, pattern in _FORMS:
        if found := pattern.match(text, position):
            return _token(tag, found), found
    return None


def _token(tag: str, found: re.Match[str]) -> _Token:
    groups = found.groupdict()
    word = found[0]
    if tag == "p":
        return _token_of(tag, _place_of(groups))
    if tag == "%":
        return _token_of(
            tag, Amount(float(groups["percent"]) - SHARE_TOLERANCE, float(groups["percent"]) + SHARE_TOLERANCE)
        )
    if tag == "F":
        return _token_of("%", _FRACTIONS[word])
    if tag == "Q":
        return _token_of(tag, _VAGUE[word])
    if tag == "#":
        return _token_of(tag, _number(groups["number"]))
    if tag == "M":
        return _token_of(tag, _number(groups["measure"]) if groups["length"] in _METRES else None)
    if tag == "C":
        return _token_of(tag, "grey" if groups["colour"] == "gray" else groups["colour"])
    if tag == "+":
        return _token_of(tag, groups["more"])
    return _token_of(tag, word)


_METRES = frozenset({"m", "metre", "metres", "meter", "meters"})


def _place_of(groups: Mapping[str, str | None]) -> str:
    if groups.get("row"):
        return _PART_KEYS[_ROWS[str(groups["row"])]][_COLUMNS[str(groups["column"])]]
    if groups.get("circle"):
        return f"circle {groups['circle']}"
    if "generic" in groups:
        generic = groups["generic"]
        return WHOLE if generic is not None and re.fullmatch(_VIEW, generic) else HERE
    return "centre"


def _number(word: str) -> float:
    return float(word.replace(",", "")) if word[0].isdigit() else float(value_of(word))


# --- amounts of a class -----------------------------------------------------------------------------------------------

_ABOUT = r"[~t]*"
_AMOUNTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("share", rf"t?N\({_ABOUT}%\)"),
        ("share", rf"t?N(?:c|B|I)?K{_ABOUT}%"),
        ("share", rf"t?N{_ABOUT}%"),
        ("share", rf"{_ABOUT}%t?p?(?:I|J|IJ)?t?N"),
        ("share", rf"t?N(?:c){_ABOUT}%(?=p)"),
        ("none", r"G#?N"),
        ("number", r"[~>]?#C?N"),
        ("number", r"oNI[~]?#"),
        ("number", r"t?N=[~]?#"),
        ("number", r"t?NB#"),
        ("number", r"N:#"),
        ("vague", r"QC?N"),
        ("one", r"aC?N"),
        ("bare", r"t?C?N"),
    )
)


def _collapsed(tokens: list[_Token]) -> list[_Token]:
    """Return the tokens with each amount of a class as one token `n`."""
    tags = "".join(token.tag for token in tokens)
    found: list[_Token] = []
    position = 0
    while position < len(tokens):
        for name, pattern in _AMOUNTS:
            if match := pattern.match(tags, position):
                part = tokens[position : match.end()]
                found.append(_amount_token(name, part))
                found += [token for token in part if token.tag == "p"]
                position = match.end()
                break
        else:
            found.append(tokens[position])
            position += 1
    return found


def _amount_token(name: str, part: list[_Token]) -> _Token:
    by_tag = {token.tag: token for token in part}
    noun = by_tag["N"]
    colour = str(by_tag["C"].value) if "C" in by_tag else ""
    token = _token_of("n", (noun.value, Amount(1, 1)), is_plural=noun.is_plural, colour=colour)
    if name == "share":
        return token._replace(value=(noun.value, by_tag["%"].value), unit="share")
    if name == "none":
        return token._replace(tag="z", value=(noun.value, Amount(0, 0)))
    if name == "number":
        return _numbered(token, noun, part)
    if name == "vague":
        return token._replace(value=(noun.value, by_tag["Q"].value), unit="count")
    if name == "one":
        return token._replace(value=(noun.value, Amount(1, inf) if noun.value == ROAD else Amount(1, 1)), unit="count")
    if noun.value == ROAD:
        return token._replace(value=(noun.value, Amount(1, inf)), unit="count")
    if noun.is_plural:
        return token._replace(value=(noun.value, Amount(2, inf)))
    return token._replace(value=(noun.value, Amount(1, 1)))


def _numbered(token: _Token, noun: _Token, part: list[_Token]) -> _Token:
    number = next(float(str(one.value)) for one in part if one.tag == "#")
    marks = {one.tag: str(one.value) for one in part}
    amount = Amount(number, number)
    if ">" in marks:
        amount = Amount(number + (marks[">"] != "at least"), inf)
    elif "~" in marks and number >= 10:
        amount = Amount(number * 0.95, number * 1.05)
    tag = "z" if number == 0 else "n"
    return token._replace(tag=tag, value=(noun.value, amount), unit="count")


# --- clauses ----------------------------------------------------------------------------------------------------------

_LIST = r"np?(?:c+np?)*"
_LEAD = r"(?:p[c:]?)*"
_CLAUSES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("view", r"p(?:[VIm]?p)*"),
        ("measures", rf"{_LEAD}(?:[VKm]?p?m?)(?:t?[~]*M(?:b|wc|c)[~]*M|t?[~]*M)w?(?:pm?)?"),
        ("measures", rf"{_LEAD}[VKm]?p?m?t?[~]*#b[~]*M"),
        ("measures", rf"{_LEAD}I[~]*Mw"),
        ("largest", rf"{_LEAD}L{_LIST}p?(?:c?f{_LIST}p?)?"),
        ("listed", rf"{_LEAD}(?:V|E|J|B)?{_LIST}B?p?"),
        ("listed", rf"{_LEAD}B{_LIST}"),
        ("shares", rf"{_LEAD}I{_LIST}p?"),
        ("covered", rf"{_LEAD}J{_LIST}p?"),
        ("respectively", rf"{_LEAD}{_LIST}(?:c+{_ABOUT}%)+p?y"),
        ("roads", rf"{_LEAD}nUp?"),
        ("roads", rf"{_LEAD}Xn"),
        ("mostly", rf"{_LEAD}Dn(?:c+{_LIST})?"),
        ("mostly", r"DnKp(?:c+n)*"),
        ("mostly", r"ndp?"),
        ("mostly", r"nKp"),
        ("none", rf"{_LEAD}[EIV]?z(?:c*z)*B?p?"),
        ("absent", rf"{_LEAD}{_LIST}Zp?"),
        ("more", rf"{_LEAD}E\+n-n"),
    )
)
_MOSTLY = Amount(50, 100)


class Reading(NamedTuple):
    """What a sentence says, and the place that it speaks of last."""

    said: tuple[Said, ...]
    place: str


def read_sentence(sentence: str, nouns: Mapping[str, tuple[str, str]]) -> Reading | None:
    """Return what a sentence says, clause by clause; None when any word of it is not of the grammar.

    A clause that names no place is about the one before it, the first about `HERE`. A sentence that says nothing of any
    class ("This is a view from above.") gives an empty tuple.
    """
    tokens = _tokens(sentence.strip().rstrip("."), tuple(sorted((name, *pair) for name, pair in nouns.items())))
    if tokens is None:
        return None
    kept = _collapsed([token for token in tokens if token.tag != "h"])
    while kept and kept[0].tag in "c":
        kept = kept[1:]
    return _clauses(kept, HERE, sentence)


def _clauses(tokens: list[_Token], place: str, words: str) -> Reading | None:
    """Return what clauses say that are joined by "and", ";" and the like; the longest first clause that works."""
    tags = "".join(token.tag for token in tokens)
    for end in range(len(tokens), 0, -1):
        is_end = end == len(tokens)
        if not is_end and tags[end] not in "c;":
            continue
        read = _clause(tokens[:end], place, words)
        if read is None:
            continue
        if is_end:
            return read
        start = end
        while start < len(tags) and tags[start] in "c;":
            start += 1
        rest = _clauses(tokens[start:], read.place, words)
        if rest is not None:
            return Reading((*read.said, *rest.said), rest.place)
    return None


def _clause(tokens: list[_Token], before: str, words: str) -> Reading | None:
    tags = "".join(token.tag for token in tokens)
    place = _one_place(tokens, before)
    if place is None:
        return None
    for name, pattern in _CLAUSES:
        if pattern.fullmatch(tags):
            said = _said(name, tokens, place, words)
            if said is not None:
                return Reading(said, place)
    return None


def _one_place(tokens: list[_Token], before: str) -> str | None:
    """Return the one place that a clause names, or the one before; None when it names several.

    "In the top left part there are …, in the image" would be about two.
    """
    named = {str(token.value) for token in tokens if token.tag == "p"} - {HERE}
    exact = named - {WHOLE}
    if len(exact) > 1:
        return None
    return next(iter(exact), None) or next(iter(named), None) or before


def _said(name: str, tokens: list[_Token], place: str, words: str) -> tuple[Said, ...] | None:
    amounts = [token for token in tokens if token.tag in "nz"]
    statements = [_statement(token, place, words) for token in amounts]
    if name == "view":
        return ()
    if name == "measures":
        lengths = [token.value for token in tokens if token.tag in "M#"]
        metres = tuple(float(str(value)) for value in lengths if value is not None)
        return (Lengths(metres, place, words),) if len(metres) == len(lengths) else None
    if name == "largest":
        return (*statements, Largest(tuple(one.name for one in statements), place, words))
    if name == "shares":
        return tuple(statements) if all(one.unit == "share" for one in statements) else None
    if name == "covered":  # "covered by forest" says that nothing else is there
        if all(one.unit == "share" for one in statements):
            return tuple(statements)
        return (replace(statements[0], unit="share", amount=_MOSTLY),) if len(statements) == 1 else None
    if name == "respectively":
        # the last class has taken the first share for its own
        shares = [statements[-1].amount, *(token.value for token in tokens if token.tag == "%")]
        if len(shares) != len(statements) or statements[-1].unit != "share":
            return None
        return tuple(
            replace(one, unit="share", amount=amount)  # type: ignore[arg-type]
            for one, amount in zip(statements, shares, strict=True)
        )
    if name == "roads":
        return tuple(statements) if statements[0].name == ROAD else None
    if name == "mostly":
        main, *rest = statements
        return (replace(main, unit="share", amount=main.amount if main.unit == "share" else _MOSTLY), *rest)
    if name == "absent":
        return tuple(replace(one, unit="any", amount=Amount(0, 0)) for one in statements)
    if name == "more":
        more, less = (one.name for one in statements)
        word = next(str(token.value) for token in tokens if token.tag == "+")
        pair = (more, less) if word == "more" else (less, more)
        return (Compared(*pair, place, words),)
    return tuple(statements)


def _statement(token: _Token, place: str, words: str) -> Statement:
    assert isinstance(token.value, tuple)
    name, amount = token.value
    return Statement(name=name, unit=token.unit, amount=amount, colour=token.colour, place=place, words=words)


def sentences_in(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without what ends them."""
    for line in text.splitlines():
        for found in _SENTENCE.finditer(line):
            if found[0].strip():
                yield found[0].strip()


_SENTENCE = re.compile(r"[^.!?]+(?:\.(?=\d)[^.!?]*)*[.!?]*")
