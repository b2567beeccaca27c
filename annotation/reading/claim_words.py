"""Words of captions as tags of one letter: the white list of what the reader of claims knows. English only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

from rsvqa.annotation.reading.number_words import NUMBER_WORD, value_of
from rsvqa.annotation.reading.said import HERE, ROAD, WHOLE, Amount, Unit
from rsvqa.annotation.tasks.colours import COLOURS

SHARE_TOLERANCE = 1.5
"""Percentage points by which a share may be rounded."""


class Token(NamedTuple):
    """A word or phrase: the letter of what it is, what it means, and more of a class noun and its amount."""

    tag: str
    value: object
    is_plural: bool
    colour: str
    unit: Unit
    has_article: bool


def token_of(tag: str, value: object = None, *, is_plural: bool = False, colour: str = "") -> Token:
    """Return a token of no unit."""
    return Token(tag, value, is_plural, colour, "any", has_article=False)


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
    rf"(?P<pronoun>it|this|(?:the |this )?circle|its area|its ground|here|there))"
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
    "all of": Amount(99, 100),
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

_SEEN = r"visible|present|seen|found|observed|spotted|counted|located|shown|made out"
_BE = r"(?:is|are)"

_ENTIRELY = r"entirely|wholly|almost entirely|almost wholly"

_LEXICON: tuple[tuple[str, str], ...] = (
    # tag, pattern; the first that fits wins, so longer phrases come first
    (
        "A",
        rf"(?P<extent>{_NUMBER}) ?(?P<area>km2|m2|ha|hectares?|(?P<squared>square) (?:kilo)?met(?:re|er)s?)(?!\w)",
    ),
    ("M", rf"(?P<measure>{_NUMBER}) ?(?P<length>km|kilomet(?:re|er)s?|met(?:re|er)s?|m|miles?|feet|ft)(?!\w)"),
    ("%", r"(?P<percent>\d+(?:\.\d+)?) ?(?:%|per ?cent(?!\w))"),
    ("H", rf"(?:in|within|inside|on) {_DET}(?P<half>left|right|upper|lower|top|bottom) half(?: of {_DET}{_VIEW})?"),
    (
        "H",
        rf"(?P<everywhere>all over {_DET}(?:{_VIEW}|area)|in (?:each|every one|all) of (?:the|its) nine parts"
        r"|in all nine parts)",
    ),
    ("p", _PART),
    ("p", _CENTRE),
    ("p", _CIRCLE),
    (
        "E",
        rf"there {_BE}|among what covers (?:the ground|it) {_BE}|(?:we|one) (?:can )?(?:sees?|finds?|spots?)"
        r"|(?:land uses?|objects):"
        rf"|(?:visible|seen) (?:{_BE}|there:|here:)",
    ),
    ("F", "|".join(_FRACTIONS)),
    ("Q", "|".join(_VAGUE)),
    ("L", rf"the (?:largest|main|most prominent|dominant) land (?:uses?|covers?|use types) {_BE}"),
    ("L", r"the largest(?: ones| land (?:covers|uses))? are"),
    ("L", r"by area,? the (?:largest|main) land uses? (?:is|are)"),
    (
        "h",
        r", too(?:,| )|(?:seen|viewed|looking) from above|from above|among the land (?:uses|covers)|land use|by area",
    ),
    (
        "Z",
        rf"{_BE} (?:absent|missing|not (?:visible|present|seen|found)|nowhere to be (?:seen|found))"
        r"|cannot be seen(?: anywhere)?|do(?:es)? not occur",
    ),
    ("D", rf"can (?:mainly|mostly|largely) be (?:{_SEEN})"),
    ("B", r"(?:covers?|occup(?:y|ies)|takes? up|makes? up) (?:a )?part of"),
    (
        "B",
        rf"(?:{_BE} )?(?:all )?(?:also )?(?:{_SEEN})|can (?:also )?be (?:{_SEEN})|{_BE} there|appears?|stands?|occurs?",
    ),
    (
        "j",
        rf"(?:consists?|{_BE} (?:made up|covered|taken up)) (?P<how>{_ENTIRELY}|mostly|mainly|largely|predominantly)"
        r" (?:of|by)",
    ),
    ("j", rf"{_BE} (?P<only>{_ENTIRELY})"),
    ("R", rf"(?P<by_all>{_BE} (?:surrounded|encircled|enclosed|ringed) by)"),
    ("R", r"(?P<all_around>surrounds?|encircles?|encloses?|(?:lies?|is|are) all around)"),
    ("R", rf"(?P<mutual>borders?(?: on)?|adjoins?|{_BE} (?:adjacent|next) to|touch(?:es)?)(?!\w)"),
    ("R", rf"(?P<edged>{_BE} bordered by)"),
    ("i", rf"{_BE} (?:divided|split|shared) (?:up )?(?:between|among|by|into)"),
    ("v", rf"{_BE} a (?:mixture|mix|mosaic)(?:,? (?:mainly|mostly|chiefly))?,? of"),
    ("J", rf"{_BE} (?:covered|occupied|taken up|taken|made up|filled) (?:by|with|of)|consists? of"),
    ("X", rf"(?:{_BE} )?(?:crossed|served|traversed|cut) by"),
    (
        "D",
        rf"{_BE} (?:mostly|mainly|largely|predominantly|chiefly|dominated by|mainly covered by)|mostly|predominantly",
    ),
    ("d", r"prevails?(?: in)?|dominates?"),
    ("7", r"reach(?:es)? into|reach(?:es)?|enters?|extends? into|leads? into"),
    ("U", r"(?:runs?|pass(?:es)?|leads?|cross(?:es)?|goes|go) ?(?:through|across)?"),
    ("K", r"covers?|occup(?:y|ies)|takes? up|makes? up|accounts? for|fills?"),
    (
        "O",
        r"(?:on|covering|occupying|taking up|making up)"
        r"(?= (?:(?:about|approximately|around|roughly|nearly|at least) )?\d)",
    ),
    ("P", r"shares?"),
    ("2", r"between them(?:selves)?|among them(?:selves)?"),
    ("3", r"(?:lies?|are|is|lying) side by side"),
    ("x", r"forms? a (?:regular |rectangular )?grid(?: of (?:straight )?(?:streets|roads))?(?: at right angles)?"),
    ("r", r"(?:arranged |lined up |standing |placed |set )?in (?:a )?(?:straight |regular |neat )?(?P<rows>rows?)"),
    ("5", r"alone"),
    ("e", r"their (?:total |combined )?length|an? (?:total |combined )?length of|the (?:total |combined )?length of"),
    ("q", r"mainly|largely|chiefly|for the most part"),
    ("l", r"(?P<axis>from (?:left to right|top to bottom|side to side))"),
    (
        "V",
        r"contains?|shows?|includes?|holds?|features?|displays?|depicts?|represents?|provides"
        r"|comprises a mix of|(?:has|have|is|shows) a mix of|has|have",
    ),
    ("m", r"spans?|measures?|measuring|stretches"),
    ("w", r"(?P<side>wide|high|across|in size|long|tall)"),
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
    end = "" if tag in "%MA(:);)ch4W" else _WORD_END
    return re.compile(rf"(?:{pattern}){end}")


_ONE_ROAD = r"(?:one|an?|the (?:nearest|next)) ?(?:road)?"
_PHRASES: tuple[tuple[str, str], ...] = (
    # what holds nouns of its own, so it is looked for before the nouns of the classes
    (
        "4",
        r"[,;]? ?(?:and )?(?:with )?the (?:rest|remainder) (?:of (?:it|the (?:area|ground)) )?"
        r"(?:being|is|are|consists of)(?!\w)",
    ),
    (
        "W",
        rf"(?:(?:each|all)(?: (?:of them|one))? )?(?:(?:stands?|lies?|is|are|standing) )?"
        rf"(?:within|no farther than|no more than)"
        rf" (?P<reach>\d+) (?:m|met(?:re|er)s?) (?:of|from|away from) {_ONE_ROAD}(?!\w)",
    ),
    ("W", r"a road within (?P<reach>\d+) (?:m|met(?:re|er)s?)(?!\w)"),
    ("k", r"(?:lines?|stands? along|are lined up along) the (?:roads|streets)"),
    (
        "1",
        r"straight (?:streets|roads) cross (?:each other |one another )?at right angles"
        r"(?:,? (?:as|in|forming) a grid)?",
    ),
    (
        "u",
        rf"(?:no (?:single |one )?land (?:cover|use)(?: type)?|none of (?:them|these)|none of which)"
        rf" (?:takes? up|covers?|occup(?:y|ies)|fills?|makes? up|reach(?:es)?) (?:as much as |more than )?half of"
        rf" (?:the (?P<half_of>{_VIEW}|area|ground|land)|it)",
    ),
    ("S", r"along the edges? of"),
    ("Y", r"each of|every one of"),
    ("6", r"nothing but"),
    ("8", r"(?:a )?part of(?= an? )"),
)
_EARLY: _Lexicon = tuple((tag, _compiled(tag, pattern)) for tag, pattern in _PHRASES)

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


def tokens_of(sentence: str, nouns: tuple[tuple[str, str, str], ...]) -> list[Token] | None:
    """Return the tags of a sentence; None when a word or a sign is not known."""
    text = " ".join(unicodedata.normalize("NFKC", sentence).casefold().replace("\u00a0", " ").split())
    if not _CHARACTERS.fullmatch(text.replace("é", "e")):
        return None
    classes, meanings = _class_pattern(nouns)
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
            continue
        if of_class := _before_class(text, position, classes, meanings):
            tokens += of_class[0]
            position = of_class[1]
            continue
        if early := _form_at(text, position, _EARLY):
            token, found = early
        elif noun := classes.match(text, position):
            name, is_plural = meanings[noun["noun"]]
            token, found = token_of("N", name, is_plural=is_plural), noun
        elif form := _form_at(text, position, _FORMS):
            token, found = form
        else:
            return None
        tokens.append(token)
        position = found.end()
    return tokens


_BEFORE_CLASS = re.compile(
    r"(?P<on>(?:in|on|within|inside) (?:the )?)|(?P<most>nearly all|almost all|all|most) of the "
)
_MOST = {"most": 0.5, "almost all": 0.9, "nearly all": 0.9, "all": 0.99}


def _before_class(
    text: str, position: int, classes: re.Pattern[str], meanings: Mapping[str, tuple[str, bool]]
) -> tuple[list[Token], int] | None:
    """Return "on the water" as the ground where something is, and "most of the" before a class as its share."""
    opening = _BEFORE_CLASS.match(text, position)
    noun = classes.match(text, opening.end()) if opening else None
    if opening is None or noun is None:
        return None
    name, is_plural = meanings[noun["noun"]]
    if opening["on"]:
        return [token_of("g", name)], noun.end()
    return [token_of("T", _MOST[opening["most"]]), token_of("N", name, is_plural=is_plural)], noun.end()


def _form_at(text: str, position: int, forms: _Lexicon) -> tuple[Token, re.Match[str]] | None:
    for tag, pattern in forms:
        if found := pattern.match(text, position):
            return _token(tag, found), found
    return None


def _token(tag: str, found: re.Match[str]) -> Token:
    groups: dict[str, Any] = found.groupdict()
    word = found[0]
    if tag == "p":
        return token_of(tag, _place_of(groups))
    if tag == "%":
        return token_of(
            tag, Amount(float(groups["percent"]) - SHARE_TOLERANCE, float(groups["percent"]) + SHARE_TOLERANCE)
        )
    if tag == "F":
        return token_of("%", _FRACTIONS[word])
    if tag == "Q":
        return token_of(tag, _VAGUE[word])
    if tag == "#":
        return token_of(tag, _number(groups["number"]))
    if tag == "M":
        metres = _METRES.get(groups["length"].rstrip("s").replace("ter", "tre"))
        return token_of(tag, None if metres is None else _number(groups["measure"]) * metres)
    if tag == "A":
        unit = groups["area"].removeprefix("square ").rstrip("s").replace("ter", "tre")
        return token_of(tag, _number(groups["extent"]) * (_METRES[unit] ** 2 if groups["squared"] else _AREAS[unit]))
    if tag in _VALUES:
        return token_of(tag, _VALUES[tag](groups))
    if tag == "C":
        return token_of(tag, "grey" if groups["colour"] == "gray" else groups["colour"])
    if tag == "+":
        return token_of(tag, groups["more"])
    return token_of(tag, word)


_METRES = {"m": 1.0, "metre": 1.0, "km": 1e3, "kilometre": 1e3}
_AREAS = {"m2": 1.0, "ha": 1e4, "hectare": 1e4, "km2": 1e6}
_AXES = {
    **{
        "from left to right": "width",
        "wide": "width",
        "high": "height",
        "tall": "height",
        "from top to bottom": "height",
    },
    **{"from side to side": "", "across": "", "in size": "", "long": "long"},
}
_HOW = {"entirely": 99.0, "wholly": 99.0, "almost entirely": 90.0, "almost wholly": 90.0}
_HALVES = {"top": "upper", "bottom": "lower"}

_VALUES: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "H": lambda groups: _HALVES.get(groups["half"], groups["half"]) if groups.get("half") else "everywhere",
    "R": lambda groups: next(kind for kind in ("by_all", "all_around", "mutual", "edged") if groups.get(kind)),
    "W": lambda groups: float(groups["reach"]),
    "j": lambda groups: Amount(_HOW.get(str(groups.get("how") or groups["only"]), 50.001), 100),
    "l": lambda groups: _AXES[groups["axis"]],
    "r": lambda groups: groups["rows"],
    "u": lambda groups: WHOLE if groups["half_of"] and re.fullmatch(_VIEW, groups["half_of"]) else HERE,
    "w": lambda groups: _AXES[groups["side"]],
}
"""What the words of a tag mean, by the named groups of its patterns."""


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
