"""Sentences of a caption as statements that facts can bear out; what is not of the grammar is not read at all.

A white list: a sentence is read only when every word of it belongs to a form known here. First words become tags of one
letter ("in the top left part" is `p`, "contains" is `V`; see `claim_words`), then amounts of a class become `n`, then
the tags of each clause must fit one of `_CLAUSES` as a whole. So a word that nobody thought of makes a sentence unread,
not true. English only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal, NamedTuple

from rsvqa.annotation.reading.claim_words import Token, token_of, tokens_of
from rsvqa.annotation.reading.said import (
    HERE,
    ROAD,
    WHOLE,
    AlongRoads,
    Amount,
    Bordering,
    Compared,
    InRows,
    Largest,
    Lying,
    NoneHalf,
    OnePiece,
    OnGround,
    RoadsSaid,
    Said,
    SideLength,
    Sizes,
    Statement,
    Together,
)

# --- amounts of a class -----------------------------------------------------------------------------------------------

_ABOUT = r"[~t>]*"
_OF = rf"\({_ABOUT}%p?\)"
"""A share in brackets: "(about 21 % of the ground)"."""

_AMOUNTS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("share", rf"[ta]?N{_OF}"),
        ("share", rf"8?[ta]?N(?:c|B|I)?K{_ABOUT}%"),
        ("share", rf"t?N{_ABOUT}%"),
        ("share", rf"{_ABOUT}%t?p?(?:I|J|IJ)?8?[ta]?N(?:{_OF})?"),
        ("share", rf"t?N(?:c){_ABOUT}%(?=p)"),
        ("share of it", rf"{_OF}|O{_ABOUT}%p?"),
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


def _collapsed(tokens: list[Token]) -> list[Token]:
    """Return the tokens with each amount of a class as one token `n`."""
    tags = "".join(token.tag for token in tokens)
    found: list[Token] = []
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


def _amount_token(name: str, part: list[Token]) -> Token:
    if name == "share of it":
        return token_of("s", _share(part))
    by_tag = {token.tag: token for token in part}
    noun = by_tag["N"]
    colour = str(by_tag["C"].value) if "C" in by_tag else ""
    token = token_of("n", (noun.value, Amount(1, 1)), is_plural=noun.is_plural, colour=colour)
    token = token._replace(has_article="a" in by_tag and "8" not in by_tag)
    if name == "share":
        return token._replace(value=(noun.value, _share(part)), unit="share")
    if name == "none":
        return token._replace(tag="z", value=(noun.value, Amount(0, 0)))
    if name == "number":
        return _numbered(token, noun, part)
    if name == "vague":
        return token._replace(value=(noun.value, by_tag["Q"].value), unit="count")
    if name == "one":
        return token._replace(value=(noun.value, Amount(1, inf) if noun.value == ROAD else Amount(1, 1)))
    if noun.value == ROAD:
        return token._replace(value=(noun.value, Amount(1, inf)), unit="count")
    if noun.is_plural:
        return token._replace(value=(noun.value, Amount(2, inf)))
    return token._replace(value=(noun.value, Amount(1, 1)))


def _share(part: Sequence[Token]) -> Amount:
    """Return the share that is told; of two ("most of it is forest (about 62 %)") what both allow."""
    low, high, is_least = 0.0, 100.0, False
    for token in part:
        if token.tag == ">":
            is_least = True
        elif token.tag == "%":
            assert isinstance(token.value, Amount)
            middle = (token.value.low + token.value.high) / 2
            low, high = (
                (max(low, middle), high) if is_least else (max(low, token.value.low), min(high, token.value.high))
            )
            is_least = False
    return Amount(low, high)


def _numbered(token: Token, noun: Token, part: list[Token]) -> Token:
    number = next(float(str(one.value)) for one in part if one.tag == "#")
    marks = {one.tag: str(one.value) for one in part}
    amount = Amount(number, number)
    if ">" in marks:
        amount = Amount(number + (marks[">"] != "at least"), inf)
    elif "~" in marks and number >= 10:
        amount = Amount(number * 0.95, number * 1.05)
    tag = "z" if number == 0 else "n"
    return token._replace(tag=tag, value=(noun.value, amount), unit="count")


# --- what the tokens of a clause say ----------------------------------------------------------------------------------

_MOSTLY = Amount(50, 100)
_ENTIRELY = Amount(98.5, 100)
DIVIDED_PERCENT = 89.0
MIXED_PERCENT = 50.0
ALL_PERCENT = 96.97
"""What some land uses cover together that a place is "divided between", is "mainly" of, or has as "the rest"."""

LYING_LEAST = 0.78
"""Ground that "lies in" a place or "mainly" does has this share of it there."""


@dataclass(frozen=True, slots=True)
class _Clause:
    """The tokens of one clause and the one place that it is about."""

    tokens: tuple[Token, ...]
    place: str
    words: str

    @property
    def items(self) -> list[Statement]:
        """What is said of the amount of each class, in order."""
        return [self._statement(token) for token in self.tokens if token.tag in "nz"]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in order."""
        return tuple(item.name for item in self.items)

    def value(self, tag: str) -> object:
        """Return what the first token of a tag means; None without one."""
        return next((token.value for token in self.tokens if token.tag == tag), None)

    def all_said(self) -> list[Said]:
        """Return what is said of amounts, and what stands beside a class: "in rows", "(21 % of the ground)", "an"."""
        said: list[Said] = []
        for token in self.tokens:
            if token.tag in "nz":
                item = self._statement(token)
                said.append(item)
                if token.has_article and item.name != ROAD:
                    said.append(OnePiece(item.name, self.place, self.words))
            elif token.tag in "rs":
                last = next(one for one in reversed(said) if isinstance(one, Statement))
                if token.tag == "r":
                    said.append(InRows(last.name, str(token.value), self.place, self.words))
                else:
                    assert isinstance(token.value, Amount)
                    said.append(replace(last, unit="share", amount=token.value, colour=""))
        return said

    def share(self, item: Statement, amount: Amount) -> Statement:
        """Return an item as a share."""
        return replace(item, unit="share", amount=amount, colour="")

    def _statement(self, token: Token) -> Statement:
        assert isinstance(token.value, tuple)
        name, amount = token.value
        return Statement(
            name=name, unit=token.unit, amount=amount, colour=token.colour, place=self.place, words=self.words
        )


_Sayings = Sequence[Said] | None
_Reader = Callable[[_Clause], _Sayings]


def _nothing(_: _Clause) -> _Sayings:
    return ()


def _listed(clause: _Clause) -> _Sayings:
    return clause.all_said()


def _sizes(clause: _Clause) -> _Sayings:
    """Return lengths and areas; each length may be followed by the word for its side."""
    lengths: list[SideLength] = []
    areas: list[float] = []
    for token in clause.tokens:
        if token.tag in "M#":
            if token.value is None:
                return None
            lengths.append(SideLength(float(str(token.value)), ""))
        elif token.tag == "A":
            areas.append(float(str(token.value)))
        elif token.tag in "lw" and lengths and token.value in ("width", "height"):
            lengths[-1] = SideLength(lengths[-1].metres, "width" if token.value == "width" else "height")
    return (Sizes(tuple(lengths), tuple(areas), clause.place, clause.words),)


def _largest(clause: _Clause) -> _Sayings:
    return (*clause.all_said(), Largest(clause.names, clause.place, clause.words))


def _shares(clause: _Clause) -> _Sayings:
    return clause.all_said() if all(item.unit == "share" for item in clause.items) else None


def _covered(clause: _Clause) -> _Sayings:
    """Return what "covered by forest" says: that nothing else is there, or the shares."""
    if all(item.unit == "share" for item in clause.items):
        return clause.all_said()
    return (clause.share(clause.items[0], _MOSTLY),) if len(clause.items) == 1 else None


def _respectively(clause: _Clause) -> _Sayings:
    # the last class has taken the first share for its own
    items = clause.items
    shares = [items[-1].amount, *(token.value for token in clause.tokens if token.tag == "%")]
    if len(shares) != len(items) or items[-1].unit != "share":
        return None
    return [
        clause.share(item, amount) for item, amount in zip(items, shares, strict=True) if isinstance(amount, Amount)
    ]


def _at_least(amount: Amount) -> _Reader:
    """Return the reader of a clause whose first class has an amount beside its own share."""

    def read(clause: _Clause) -> _Sayings:
        _, *others = said = clause.all_said()
        first = clause.items[0]
        own = (said[0],) if first.unit == "share" else ()
        return (*own, clause.share(first, amount), *others)

    return read


def _entirely(clause: _Clause) -> _Sayings:
    amount = clause.value("j")
    assert isinstance(amount, Amount)
    return _at_least(amount)(clause)


def _fills(clause: _Clause) -> _Sayings:
    amount = clause.value("%")
    assert isinstance(amount, Amount)
    return _at_least(amount)(clause)


def _covers(clause: _Clause) -> _Sayings:
    item = clause.items[0]
    return (item if item.unit == "share" else clause.share(item, _MOSTLY),)


def _together(percent: float) -> _Reader:
    def read(clause: _Clause) -> _Sayings:
        return (*clause.all_said(), Together(clause.names, percent, clause.place, clause.words))

    return read


def _make_up(clause: _Clause) -> _Sayings:
    amount = clause.value("%")
    assert isinstance(amount, Amount)
    return _together(amount.low)(clause) if len(clause.items) > 1 else None


def _none_half(clause: _Clause) -> _Sayings:
    place = str(clause.value("u"))
    return (NoneHalf(clause.place if place == HERE else place, clause.words),)


def _lying(least: float | None) -> _Reader:
    """Return the reader of where ground lies; without a number what stands before the class says how much of it."""

    def read(clause: _Clause) -> _Sayings:
        half, (item, *others) = clause.value("H"), clause.items
        if others or item.unit == "count" or (half is None and clause.place in (WHOLE, HERE)):
            return None
        share = clause.value("T") if least is None else least
        assert isinstance(share, float)
        where = clause.place if half is None else str(half)
        place = clause.place if half is not None else WHOLE
        lying = Lying(name=item.name, where=where, least=share, place=place, words=clause.words)
        own = [replace(item, place=place)] if item.unit == "share" else []
        return (*own, lying)

    return read


def _border(clause: _Clause) -> _Sayings:
    names, kind = clause.names, str(clause.value("R") or "edged")
    if any(item.unit == "count" for item in clause.items):
        return None
    is_turned = kind == "all_around" or clause.tokens[-2].tag == "S"
    if is_turned:
        name, others = names[-1], names[:-1]
    else:
        name, others = names[0], names[1:]
    return (
        *(item for item in clause.items if item.unit == "share"),
        Bordering(
            name=name,
            others=others,
            is_around=kind in ("by_all", "all_around"),
            is_mutual=kind == "mutual",
            place=clause.place,
            words=clause.words,
        ),
    )


def _standing(clause: _Clause) -> _Sayings:
    ground = str(clause.value("g"))
    on = [OnGround(name, ground, clause.place, clause.words) for name in clause.names]
    return (*clause.all_said(), *on)


def _along(clause: _Clause) -> _Sayings:
    (item,) = clause.items
    metres = clause.value("W")
    if item.amount.high == 1:
        return None
    reach = None if metres is None else float(str(metres))
    return (*clause.all_said(), AlongRoads(item.name, reach, clause.place, clause.words))


def _roads(what: Literal["crosses", "grid", "length"]) -> _Reader:
    def read(clause: _Clause) -> _Sayings:
        metres = clause.value("M")
        is_road = all(item.name == ROAD for item in clause.items)
        if not is_road or (metres is None and what == "length") or clause.value("w") not in (None, "long"):
            return None
        length = 0.0 if metres is None else float(str(metres))
        return (*clause.items, RoadsSaid(what, length, clause.place, clause.words))

    return read


def _road_there(clause: _Clause) -> _Sayings:
    return clause.items if clause.names == (ROAD,) else None


def _absent(clause: _Clause) -> _Sayings:
    return [replace(item, unit="any", amount=Amount(0, 0)) for item in clause.items]


def _compared(clause: _Clause) -> _Sayings:
    more, less = clause.names
    pair = (more, less) if clause.value("+") == "more" else (less, more)
    return (Compared(*pair, clause.place, clause.words),)


# --- clauses ----------------------------------------------------------------------------------------------------------

_LIST = r"np?(?:[rs]p?)*(?:c+np?(?:[rs]p?)*)*"
_LEAD = r"(?:p[c:]?)*"
_BEFORE_SIZE = r"[pcVKmIB~t]*"
_SIZE = r"(?:M[lw]?|A|\(A\))"
_CLAUSES: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (r"p(?:[VIm]?p)*", _nothing),
        (rf"{_LEAD}(?:[VKm]?p?m?)t?[~]*#b[~]*Mw?p?(?:c?[~]*{_SIZE})?", _sizes),
        (rf"{_BEFORE_SIZE}{_SIZE}(?:(?:b|{_BEFORE_SIZE}){_SIZE})*w?m?p?B?", _sizes),
        (rf"{_LEAD}L{_LIST}p?(?:c?f{_LIST}p?)?", _largest),
        (rf"{_LEAD}(?:V|E|J|B)?{_LIST}B?p?", _listed),
        (rf"{_LEAD}B{_LIST}", _listed),
        (rf"{_LEAD}[BI]?{_LIST}[BI]rp?", _listed),
        (rf"{_LEAD}gc?[EI]{_LIST}p?", _standing),
        (rf"{_LEAD}(?:V|E)?{_LIST}[BI]?gp?", _standing),
        (rf"{_LEAD}I{_LIST}p?", _shares),
        (rf"{_LEAD}J{_LIST}p?", _covered),
        (rf"{_LEAD}{_LIST}(?:c+{_ABOUT}%)+p?y", _respectively),
        (rf"{_LEAD}nUp?", _roads("crosses")),
        (rf"{_LEAD}Xn", _roads("crosses")),
        (rf"{_LEAD}n7p?|8n[BI]p", _road_there),
        (rf"{_LEAD}t*nVe{_ABOUT}Mp?", _roads("length")),
        (rf"{_LEAD}(?:E|V)?{_ABOUT}Mt*n(?:U|B|I)?p?", _roads("length")),
        (rf"nUp?c+eI{_ABOUT}M|{_LEAD}et*nI{_ABOUT}M|{_LEAD}nI{_ABOUT}Mw", _roads("length")),
        (rf"{_LEAD}1p?|{_LEAD}nxp?", _roads("grid")),
        (rf"{_LEAD}j{_LIST}p?", _entirely),
        (r"n5Kp|6nKp", _at_least(_ENTIRELY)),
        (rf"{_LEAD}Dn(?:c+{_LIST})?", _at_least(_MOSTLY)),
        (r"DnKp(?:c+n)*", _at_least(_MOSTLY)),
        (rf"ndp?(?:c+{_LIST})?", _at_least(_MOSTLY)),
        (rf"nK%p(?:c+{_LIST})?", _fills),
        (r"nKp", _covers),
        (rf"{_LEAD}i{_LIST}p?|{_LIST}Pp?2|{_LEAD}V?{_LIST}c?3", _together(DIVIDED_PERCENT)),
        (rf"{_LEAD}v{_LIST}p?", _together(MIXED_PERCENT)),
        (rf"{_LIST}K%p", _make_up),
        (rf"{_LEAD}up?", _none_half),
        (r"Tn[BI]{1,2}[Hp]", _lying(None)),
        (r"n[BI]{0,2}[Dq]B?[Hp]|nIH", _lying(LYING_LEAST)),
        (r"E?n[B]?H", _lying(0.0)),
        (rf"nR{_LIST}|{_LIST}Rn|Sn[BI]{_LIST}|{_LIST}[BI]Sn", _border),
        (r"Y?nk(?:[:;c]*W)?|Y?n[VBI]?W", _along),
        (rf"{_LEAD}[EIV]?z(?:c*z)*B?p?", _listed),
        (rf"{_LEAD}{_LIST}Zp?", _absent),
        (rf"{_LEAD}E\+n-n", _compared),
    )
)


class Reading(NamedTuple):
    """What a sentence says, and the place that it speaks of last."""

    said: tuple[Said, ...]
    place: str


def read_sentence(sentence: str, nouns: Mapping[str, tuple[str, str]]) -> Reading | None:
    """Return what a sentence says, clause by clause; None when any word of it is not of the grammar.

    A clause that names no place is about the one before it, the first about `HERE`. A sentence that says nothing of any
    class ("This is a view from above.") gives an empty tuple.
    """
    tokens = tokens_of(sentence.strip().rstrip("."), tuple(sorted((name, *pair) for name, pair in nouns.items())))
    if tokens is None:
        return None
    kept = _collapsed([token for token in tokens if token.tag != "h"])
    while kept and kept[0].tag in "c":
        kept = kept[1:]
    return _clauses(kept, HERE, sentence)


def _clauses(tokens: list[Token], place: str, words: str) -> Reading | None:
    """Return what clauses say that are joined by "and", ";", ":" and the like; the longest first clause that works."""
    tags = "".join(token.tag for token in tokens)
    for end in range(len(tokens), 0, -1):
        is_end = end == len(tokens)
        if not is_end and tags[end] not in "c;:":
            continue
        read = _clause(tokens[:end], place, words)
        if read is None:
            continue
        if is_end:
            return read
        start = end
        while start < len(tags) and tags[start] in "c;:":
            start += 1
        rest = _clauses(tokens[start:], read.place, words)
        if rest is not None:
            return Reading((*read.said, *rest.said), rest.place)
    return None


def _clause(tokens: list[Token], before: str, words: str) -> Reading | None:
    place = _one_place(tokens, before)
    if place is None:
        return None
    tags = "".join(token.tag for token in tokens)
    if "4" in tags:
        return _clause_with_rest(tokens, tags.index("4"), place, words)
    for pattern, read in _CLAUSES:
        if pattern.fullmatch(tags):
            said = read(_Clause(tuple(tokens), place, words))
            if said is not None:
                return Reading(tuple(said), place)
    return None


_LIST_ALONE = re.compile(_LIST)


def _clause_with_rest(tokens: list[Token], at: int, place: str, words: str) -> Reading | None:
    """Return what a clause says that ends with ", the rest being water (9 %)": nothing but these covers the place."""
    read = _clause([token for token in tokens[:at] if token.tag not in ";"], place, words)
    rest = _Clause(tuple(tokens[at + 1 :]), place, words)
    if read is None or not _LIST_ALONE.fullmatch("".join(token.tag for token in rest.tokens)):
        return None
    names = [said.name for said in read.said if isinstance(said, Statement)]
    every = tuple(dict.fromkeys((*names, *rest.names)))
    return Reading((*read.said, *rest.all_said(), Together(every, ALL_PERCENT, place, words)), place)


def _one_place(tokens: list[Token], before: str) -> str | None:
    """Return the one place that a clause names, or the one before; None when it names several.

    "In the top left part there are …, in the image" would be about two.
    """
    named = {str(token.value) for token in tokens if token.tag == "p"} - {HERE}
    exact = named - {WHOLE}
    if len(exact) > 1:
        return None
    return next(iter(exact), None) or next(iter(named), None) or before


def sentences_in(text: str) -> Iterator[str]:
    """Yield the sentences of a text, without what ends them."""
    for line in text.splitlines():
        for found in _SENTENCE.finditer(line):
            if found[0].strip():
                yield found[0].strip()


_SENTENCE = re.compile(r"[^.!?]+(?:\.(?=\d)[^.!?]*)*[.!?]*")
