"""Kinds of falsehood that are planted into true captions.

A kind gets a true draft and returns it with one false statement in it, or None where it does not fit. The kinds in
`HELD_OUT_KINDS` were chosen before the reader of claims was written, and not looked at until it was done.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.planted.true_captions import WORDS, Place, listed, upper


@dataclass(frozen=True)
class Planted:
    """What a falsehood is planted into: the text about one place, and what is known of it and of its tile.

    Attributes:
        text: true.
        place: what is known.
        name: of the place, e.g. "the top left part", or "the area" for the whole.
        absent: nouns (singular, plural) of classes that are certainly not there.
        others: texts about other places of the same tile that say something else.
    """

    text: str
    place: Place
    name: str
    absent: tuple[tuple[str, str], ...]
    others: tuple[str, ...]

    def plus(self, sentence: str) -> str:
        """Return the text with one more sentence."""
        return f"{self.text} {sentence}"

    @property
    def sure(self) -> list[tuple[int, str, str]]:
        """Objects of known number."""
        return [(n, one, many) for n, one, many in self.place.counts if n is not None]


Kind = Callable[[Planted, random.Random], str | None]
KINDS: dict[str, Kind] = {}


def _kind(name: str) -> Callable[[Kind], Kind]:
    def add(kind: Kind) -> Kind:
        KINDS[name] = kind
        return kind

    return add


def _says(name: str, *sentences: str) -> None:
    """Add a kind that says something of objects, areas or nothing; slots: many, one, n, N, area, percent, place."""

    def kind(planted: Planted, rng: random.Random) -> str | None:
        sentence = rng.choice(sentences)
        values: dict[str, object] = {"place": planted.name, "Place": upper(planted.name)}
        if re.search(r"\{(?:many|one|n|N|M|Many|x|X)\}", sentence):
            if not planted.sure:
                return None
            n, one, many = rng.choice(planted.sure)
            x = n + rng.randint(1, 4)
            values |= {"n": n, "one": one, "many": many, "Many": upper(many), "N": WORDS[n] if n < 13 else n, "x": x}
            values |= {"X": WORDS[x] if x < 13 else x}
        if re.search(r"\{(?:area|Area|percent|wrong)\}", sentence):
            if not planted.place.shares:
                return None
            area, percent = rng.choice(planted.place.shares)
            wrong = percent + rng.choice([d for d in (-9, -6, 5, 8, 11) if 2 < percent + d < 100])
            values |= {"area": area, "Area": upper(area), "percent": percent, "wrong": wrong}
        if re.search(r"\{(?:gone|Gone|gones|Gones)\}", sentence):
            if not planted.absent:
                return None
            gone = rng.choice(planted.absent)
            values |= {"gone": gone[0], "gones": gone[1], "Gones": upper(gone[1])}
        return planted.plus(sentence.format(**values))

    KINDS[name] = kind


# --- numbers ---


@_kind("another number in the text")
def _other_number(planted: Planted, rng: random.Random) -> str | None:
    found = [
        m
        for m in re.finditer(r"(?<![\w.])(\d+) (?!%|m\b|m²|met|ha\b|by|×)[a-z]", planted.text)
        if "circle " not in planted.text[max(0, m.start() - 7) : m.start()]
    ]
    if not found:
        return None
    m = rng.choice(found)
    return planted.text[: m.start(1)] + str(int(m[1]) + rng.randint(1, 3)) + planted.text[m.end(1) :]


@_kind("another percentage in the text")
def _other_percent(planted: Planted, rng: random.Random) -> str | None:
    found = list(re.finditer(r"(\d+) ?%", planted.text))
    if not found:
        return None
    m = rng.choice(found)
    wrong = int(m[1]) + rng.choice([d for d in (-12, -7, 6, 13) if 2 < int(m[1]) + d < 100])
    return planted.text[: m.start(1)] + str(wrong) + planted.text[m.end(1) :]


_says("number in words", "There are {X} {many}.", "{X} {many} are visible.")
_says(
    "number after its noun",
    "The {many} number {X}.",
    "The number of {many} is {x}.",
    "{Many}: {x}.",
    "{Many} can be counted to {X}.",
)
_says("percentage before its noun", "About {wrong} % is {area}.", "Roughly {wrong} % of {place} is taken by {area}.")
_says("number of properties", "{X} small, newly built {many} are there.", "{X} brightly painted {many} can be seen.")
_says("extent", "It measures about 900 m by 900 m.", "{Place} is about 1,250 m across.")
_says(
    "sum of all objects", "In total, 40 objects are visible.", "All in all there are some fifty things to be counted."
)
_says("number of roads", "Four roads cross here.", "Two roads meet in {place}.")
_says("zero", "Zero {many} are visible.", "There are 0 {many}.")
_says(
    "vague number", "Dozens of {many} are visible.", "Hundreds of {many} fill {place}.", "Countless {many} are there."
)
_says(
    "share in words",
    "More than nine tenths of {place} is {gone}.",
    "Half of {place} is {gone}.",
    "A third of the ground is {gone}.",
)
_says("extent of another unit", "It is about 310 km wide.", "It spans roughly 310 miles.")
_says("all but some", "All but two of the {many} are visible.", "Every one of the {x} {many} is visible.")

# --- what is not there ---

_says("no roads", "No roads run through the area.", "There are no roads in {place}.", "{Place} has no road at all.")
_says("devoid", "{Place} is devoid of {many}.", "{Place} is free of {many}.", "{Place} is entirely without {many}.")
_says(
    "lacks",
    "{Place} lacks any {many}.",
    "There is not a single {one}.",
    "{Many} are absent.",
    "{Many} cannot be seen anywhere.",
)
_says("fails to show", "{Place} fails to show any {many}.", "{Many} are nowhere to be found.", "{Many} are missing.")
_says("no land use", "There is no {area}.", "{Area} is not present.", "{Area} does not occur.")
_says("neither nor", "Neither {many} nor roads are visible.", "Nor is there any {area}.")
_says(
    "apart from",
    "Apart from the {area}, {place} is empty.",
    "Besides {area} nothing is there.",
    "{Place} is bare except for {area}.",
)
_says("only", "Only {many} are to be seen.", "{Place} contains nothing but {area}.", "The only objects are {many}.")

# --- what is there ---

_says("absent class", "A {gone} is visible.", "There are {gones} in {place}.", "{Gones} can be seen.")
_says(
    "class of no table",
    "A church stands in the middle.",
    "There is a lighthouse.",
    "A playground is visible.",
    "Power lines are present.",
)
_says(
    "relation",
    "The {many} are parked beside the {area}.",
    "The {many} stand next to each other.",
    "The {many} touch each other.",
)
_says(
    "direction",
    "The {many} lie to the north of the {area}.",
    "The {area} is on the left.",
    "{Area} surrounds the {many}.",
)
_says("size", "The {many} are large.", "There are {n} large {many}.", "{N} tiny {many} are visible.")
_says("colour", "There are {n} red {many}.", "The {many} are bright pink.", "{N} purple {many} are visible.")
_says("condition", "The {many} are damaged.", "The {area} is dry.", "{N} abandoned {many} are visible.")
_says("motion", "The {many} are moving.", "{N} parked {many} are visible.", "{Many} drive along the road.")
_says(
    "road surface",
    "Unpaved roads run through the area.",
    "A wide motorway crosses {place}.",
    "A dead-end road is visible.",
)
_says("whole to a part", "The top right corner contains {n} {many}.", "{N} {many} are visible along the northern edge.")
_says(
    "comparison of numbers",
    "There are more swimming pools than {many}.",
    "Fewer {many} than churches are visible.",
    "{Many} are outnumbered by boats.",
)
_says("as many as", "There are as many {many} as ships.", "There are twice as many {gones} as {many}.")


@_kind("comparison of shares")
def _compared(planted: Planted, rng: random.Random) -> str | None:
    if len(planted.place.shares) < 2 or planted.place.shares[0][1] - planted.place.shares[-1][1] < 4:
        return None
    (most, _), (least, _) = planted.place.shares[0], planted.place.shares[-1]
    return planted.plus(
        rng.choice(
            (
                f"There is more {least} than {most}.",
                f"{upper(least)} covers more than {most}.",
                f"{upper(most)} is less common than {least}.",
            )
        )
    )


@_kind("another land use as the largest")
def _largest(planted: Planted, rng: random.Random) -> str | None:
    shares = planted.place.shares
    if len(shares) < 2 or shares[0][1] - shares[-1][1] < 4 or shares[-1][1] > 45:
        return None
    least = shares[-1][0]
    return planted.plus(
        rng.choice(
            (
                f"{upper(planted.name)} is mostly {least}.",
                f"{upper(planted.name)} is dominated by {least}.",
                f"The largest land use is {least}.",
                f"{upper(least)} prevails.",
                f"{upper(least)} covers most of {planted.name}.",
            )
        )
    )


@_kind("two land uses change places")
def _swapped(planted: Planted, rng: random.Random) -> str | None:
    del rng
    shares = planted.place.shares
    if len(shares) < 2 or abs(shares[0][1] - shares[1][1]) < 4 or "%" not in planted.text:
        return None
    (one, _), (two, _) = shares[:2]
    slot = planted.text.replace(upper(one), "\0").replace(one, "\1").replace(upper(two), upper(one)).replace(two, one)
    swapped = slot.replace("\0", upper(two)).replace("\1", two)
    return swapped if swapped != planted.text else None


@_kind("text of another place")
def _other_place(planted: Planted, rng: random.Random) -> str | None:
    return rng.choice(planted.others) if planted.others else None


@_kind("objects of another place")
def _borrowed(planted: Planted, rng: random.Random) -> str | None:
    fitting = [n for n in planted.absent if n[0] not in [one for _, one, _ in planted.place.counts]]
    if not fitting:
        return None
    one, many = rng.choice(fitting)
    return planted.plus(
        rng.choice(
            (f"It also contains {rng.randint(2, 5)} {many}.", f"Seen there: {many}.", f"A {one} is found here as well.")
        )
    )


# --- what is made up ---

_says("season", "The image was taken in winter.", "It is a sunny morning.", "Shadows show that it is evening.")
_says("event", "After the earthquake, {many} remain.", "The place has been hit by a storm.")
_says("name of a place", "This is a suburb of Paris.", "The image shows Lagos.", "It lies on the Amazon.")
_says(
    "purpose",
    "The {many} suggest that the place serves as a military base.",
    "The {area} is used for festivals.",
    "People come here to vote.",
)
_says("change", "{N} {many} have been added since.", "The {area} has grown.", "The {many} are new.")
_says("people", "Many people are walking about.", "About 1,200 people live here.", "A crowd is gathered in {place}.")
_says("height", "The {many} are tall.", "The ground rises towards the edge.", "{N} multi-storey {many} are visible.")
_says("other language", "这里没有道路。", "Il n'y a pas de routes ici.", "Hier gibt es keine {many}.")
_says(
    "only one with",
    "{Place} is the only one with {many}.",
    "No other part has {area}.",
    "{Place} has the most {many} of all parts.",
)


@_kind("letters that look alike")
def _lookalike(planted: Planted, rng: random.Random) -> str | None:
    if not planted.sure:
        return None
    n, _, many = rng.choice(planted.sure)
    return planted.plus(
        f"There are {n + 2} {many.replace('a', chr(0x430)).replace('o', chr(0x43E)).replace('e', chr(0x435))}."
    )


@_kind("half of the objects")
def _half(planted: Planted, rng: random.Random) -> str | None:
    if not planted.sure:
        return None
    n, _, many = rng.choice(planted.sure)
    return planted.plus(
        rng.choice(
            (
                f"Half of the {many} are red.",
                f"Most of the {many} are new.",
                f"At least {n + 1} {many} are visible.",
                f"More than {n} {many} are visible.",
            )
        )
    )


@_kind("list with one thing too many")
def _list(planted: Planted, rng: random.Random) -> str | None:
    if not planted.absent or not planted.place.digits():
        return None
    _, many = rng.choice(planted.absent)
    return planted.plus(f"There are {listed([*planted.place.digits(), many])}.")


# --- how things lie, and what follows ---


def _turns(name: str, *pairs: tuple[str, str]) -> None:
    """Add a kind that changes the first of the patterns that is in the text."""

    def kind(planted: Planted, rng: random.Random) -> str | None:
        del rng
        for old, new in pairs:
            changed, count = re.subn(old, new, planted.text, count=1)
            if count:
                return changed
        return None

    KINDS[name] = kind


_turns("other half", (r"left half", "right half"), (r"right half", "left half"), (r"upper half", "lower half"))
_turns("lower half", (r"lower half", "upper half"), (r"mainly in the top", "mainly in the bottom"))
_turns(
    "what borders is around",
    (r"([Tt]he [a-z ]+?) borders? on (the [a-z ]+)\.", r"\1 is surrounded by \2."),
    (r"Along the edge of the ([a-z ]+?) (?:lies?) the ([a-z ]+)\.", r"The \2 surrounds the \1."),
)
_turns(
    "the edge of the other",
    (r"Along the edge of the ([a-z ]+?) (lies?) the ([a-z ]+)\.", r"Along the edge of the \3 \2 the \1."),
    (r"The ([a-z ]+?) (is|are) surrounded by the ([a-z ]+)\.", r"The \3 \2 surrounded by the \1."),
    (r"The ([a-z ]+?) lies? all around the ([a-z ]+)\.", r"The \2 lies all around the \1."),
)
_turns("crossed for reached", (r"[Aa] road reaches into ([a-z ]+)\.", r"A road crosses \1."))
_turns(
    "another ground",
    (r"[Oo]n the road surface there are", "On the water there are"),
    (r" are on the road surface", " are on the water"),
    (r" on the water", " on the road surface"),
)
_turns("nearer to the road", (r"within (?:2|3|5)0 m (?=of)", "within 5 m "), (r"within (?:2|3|5)0 m", "within 5 m"))
_turns(
    "other length of roads", (r"(\d)\.(\d) km of road", r"2\1.\2 km of road"), (r"(length of about) (\d)", r"\1 3\2")
)
_turns(
    "conclusion turned",
    (r"[Ss]ince ([^,.]+), ([^.]+)\.", r"Since \2, \1."),
    (r"([^.]+ %[^.]*), so ([^.]+)\.", r"\2, so \1."),
    (r"(?i)a forest fire could reach many of them", "many of them could reach a forest fire"),
    (r"(?i)high water could reach many buildings", "many buildings could reach high water"),
    (r"The (\w+) show that", "They show that no"),
)
_turns("within to beyond", (r"within (\d+) m of", r"beyond \1 m from"), (r"stand within", "stand more than"))
_turns(
    "the rest is more",
    (r"the rest being [a-z ]+\(", "the rest being a cemetery ("),
    (r", beside ", ", the rest being "),
)
_turns("all for almost all", (r"lmost all of", "ll of"), (r"almost entirely", "entirely"), (r"Most of", "All of"))
_turns("unit of the size", (r"(\d) ha\b", r"\1 km²"), (r"(\d) m²", r"\1 ha"))
_turns(
    "wider than it is",
    (r"(\d+) m (?=across|from side|wide)", r"1\1 m "),
    (r"about (\d)(\d)0 m by", r"about \2\g<1>0 m by"),
)


@_kind("invented rows")
def _rows(planted: Planted, rng: random.Random) -> str | None:
    rows = planted.place.values.get("in_rows", {})
    many = [plural for (n, one, plural), name in zip(planted.place.counts, planted.place.values["counts"], strict=True)
            if n != 1 and name not in rows]  # fmt: skip
    if not many:
        return None
    said = rng.choice(many)
    return planted.plus(rng.choice((f"The {said} stand in rows.", f"{upper(said)} are lined up in a row.")))


@_kind("invented grid")
def _grid(planted: Planted, rng: random.Random) -> str | None:
    if planted.place.values.get("roads_form_a_grid"):
        return None
    return planted.plus(
        rng.choice(
            (
                "The roads form a grid of straight streets at right angles.",
                "Roads form a grid.",
                "The streets are straight.",
            )
        )
    )


_says("surrounded by what is not there", "The {area} is surrounded by the {gone}.", "{Gones} surround the {area}.")
_says("all over", "The {area} lies all over the scene.", "There is {gone} in each of the nine parts.")
_says(
    "half-true conjunction",
    "There are {n} {many}, and {gones} cover the rest.",
    "{N} {many} and {X} {gones} are visible.",
)
_says("hedged", "There may be {x} {many}.", "Perhaps a {gone} is there.", "It seems that {gones} are visible.")
_says(
    "denied truth",
    "It is not true that there are {n} {many}.",
    "There are not {n} {many}.",
    "Hardly any {area} is there.",
)
_says("cause", "The {many} are there because of the {area}.", "Since there is {area}, {many} were built here.")
_says(
    "date", "In 2019 there were {x} {many}.", "The image shows the place in May.", "By 2030 there will be {x} {many}."
)
_says(
    "everything",
    "{Place} consists entirely of {gone}.",
    "Nothing but {gone} covers {place}.",
    "{Place} is entirely {gone}.",
)
_says("at least", "At least {wrong} % of {place} is {gone}.", "There are at least {x} {many}.")
_says("part of one", "Part of a {gone} covers about {percent} % of {place}.", "A part of a {gone} is visible.")

HELD_OUT_KINDS = frozenset(
    {
        *(
            "text of another place",
            "direction",
            "vague number",
            "condition",
            "extent of another unit",
            "share in words",
        ),
        *("road surface", "comparison of shares", "as many as", "apart from", "neither nor", "all but some"),
        *("two land uses change places", "letters that look alike", "only one with", "other language", "height"),
        "fails to show",
        *("hedged", "denied truth", "cause", "date", "everything", "all over", "other length of roads"),
        *("unit of the size", "invented grid", "part of one"),
    }
)


def all_kinds() -> Mapping[str, Kind]:
    """Return the kinds by name."""
    return KINDS
