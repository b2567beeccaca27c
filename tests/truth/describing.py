"""What the words of a question mean on a tile: class names, descriptions of one object, landmarks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tests.truth.measuring import Points, along, at, clipped_lines, edge_of, gap, ring_area
from tests.truth.reading import ClassWords, Row, Thing, Tile, WrongError, expect

COLOURS = ["black", "grey", "white", "red", "orange", "brown", "yellow", "green", "cyan", "blue", "purple", "pink"]
CALLED_EITHER = (
    {"orange", "brown"},
    {"red", "brown"},
    {"red", "orange"},
    {"black", "grey"},
    {"grey", "white"},
    {"cyan", "blue"},
    {"cyan", "green"},
    {"yellow", "orange"},
    {"purple", "blue"},
    {"pink", "red"},
)
"""Neighbouring words: a surface of one may be named by the other in another light."""

MAX_OTHER_COLOUR = 0.55
"""An object of which more pixels have another colour than the labelled one looks like that."""

SLIVER_SHARE = 0.2
"""Nobody tells the colour of less of an object than this at the tile's edge."""


def match(patterns: Sequence[str], text: str) -> re.Match[str]:
    """Return the match of the only pattern that fits all of a text.

    Raises:
        WrongError: none fits: the audit does not know this wording.
    """
    found = [hit for pattern in patterns if (hit := re.fullmatch(pattern, text))]
    expect(found, "a wording that the audit cannot read")
    return found[0]


_SLOTS = {
    "metres": r"(?P<metres>\d+)",
    "number": r"(?P<number>\d)",
    "half": r"(?P<half>\w+)",
    "other": r"(?P<other>\w+)",
    "colour": r"(?P<colour>\w+)",
    "is": "(?:is|are)",
    "does": "(?:does|do)",
}


def reads(*sentences: str, **slots: str) -> tuple[str, ...]:
    """Return a pattern for each sentence, in which "<things>" stands for any words and "<metres>" for a number.

    `slots` are patterns for slots that stand for something else.
    """
    patterns = []
    for sentence in sentences:
        parts = re.split(r"<(\w+)>", sentence)
        for place in range(1, len(parts), 2):
            name = parts[place]
            is_again = f"(?P<{name}>" in "".join(parts[:place])
            parts[place] = rf"(?P={name})" if is_again else {**_SLOTS, **slots}.get(name, rf"(?P<{name}>.+)")
        patterns.append("".join(part if place % 2 else re.escape(part) for place, part in enumerate(parts)))
    return tuple(patterns)


_SIZE = r" (?:Image resolution|Image size): (?P<size>\d+ x \d+)\.| The image is (?P<pixels>\d+ x \d+) pixels\."
_SCALE = (
    r" (?:One pixel is|Ground sampling distance:|The image has a scale of|Each pixel covers) (?P<metres>[\d.]+) m"
    r"(?: on the ground| per pixel| of the ground along each side)\."
)


def without_scale(row: Row, tile: Tile) -> Row:
    """Return a question without what is said after it of the image's size and scale, which must be true.

    Coordinates need the size, and whatever is about metres needs the scale.
    """
    text, size, metres = row.question, None, None
    while hit := re.fullmatch(rf"(?P<text>.+?)(?:{_SIZE}|{_SCALE})", text):
        text, size, metres = hit["text"], hit["size"] or hit["pixels"] or size, hit["metres"] or metres
    true_size = f"{row.size[0]} x {row.size[1]}"
    expect(size in (None, true_size), f"the image is not {size}")
    has_coordinates = re.search(r"\[\d", text)
    expect(size or not has_coordinates or true_size in text, "coordinates without the size of the image")
    expect(metres is None or abs(float(metres) / tile.metres - 1) < 0.005, f"a pixel is not {metres} m")
    about_metres = any(re.search(r"\d k?m(?:²|\b)", told) for told in (text, *row.options.values(), row.answer))
    expect(metres or not about_metres, "it is about metres, but how many a pixel has is not said")
    return replace(row, question=text)


def class_of(tile: Tile, word: str, *roles: str, plural: bool = False) -> ClassWords:
    """Return the class of some roles that a display name belongs to."""
    found = [
        info
        for info in tile.classes.values()
        if info.role in roles and (info.plural if plural else info.singular) == word
    ]
    expect(len(found) == 1, f"{word!r} is the name of {len(found)} classes")
    return found[0]


def things_of(tile: Tile, class_name: str) -> list[Thing]:
    """Return the objects of a class of which anything is on the tile."""
    return [thing for thing in tile.things if thing.class_name == class_name]


def members(tile: Tile, noun: str, *, plural: bool = False) -> list[Thing]:
    """Return the objects that "red car" or "cars" names; those that look as if it named them must be among them."""
    colour, _, rest = noun.partition(" ")
    if colour not in COLOURS:
        return things_of(tile, class_of(tile, noun, "object", plural=plural).name)
    info = class_of(tile, rest, "object", plural=plural)
    everyone = things_of(tile, info.name)
    for thing in everyone:
        if thing.colour != colour and thing.visible > SLIVER_SHARE:
            shares = tile.colours(thing)
            looks_like_it = shares.get(colour, 0.0) > MAX_OTHER_COLOUR
            expect(not looks_like_it, f"{thing.thing_id} is labelled {thing.colour} but looks {colour}: {shares}")
    return [thing for thing in everyone if thing.colour == colour]


def could_be_called(colour: str, word: str) -> bool:
    """Return whether two colour words may be given to one surface."""
    return colour == word or {colour, word} in CALLED_EITHER


EXTREMES = {
    "northernmost": (1, 1),
    "southernmost": (1, -1),
    "easternmost": (0, 1),
    "westernmost": (0, -1),
}
"""Which of longitude and latitude, and with which sign, the word looks for the greatest of."""


def described(tile: Tile, text: str) -> Thing:
    """Return the only object that "the northernmost red car" is true of.

    Raises:
        WrongError: it is true of several or none, or it is so by a hair's breadth.
    """
    expect(text.startswith("the "), f"a description that the audit cannot read: {text!r}")
    word, _, rest = text.removeprefix("the ").partition(" ")
    if word in EXTREMES:
        return _outermost(tile, members(tile, rest), *EXTREMES[word])
    if word == "largest":
        return largest(members(tile, rest))
    found = members(tile, text.removeprefix("the "))
    expect(len(found) == 1, f"{text!r} is true of {len(found)} objects")
    return found[0]


def largest(things: Sequence[Thing]) -> Thing:
    """Return the one with the greatest area, in whole and in what is visible, by a clear margin."""
    expect(things, "nothing to be the largest of")
    areas = [ring_area(thing.outline) for thing in things]
    visible = [area * thing.visible for area, thing in zip(areas, things, strict=True)]
    best = int(np.argmax(areas))
    rest = sorted(areas)[:-1]
    expect(int(np.argmax(visible)) == best, "the largest in whole is not the largest that is seen")
    expect(not rest or areas[best] >= 1.15 * rest[-1], "hardly larger than the next one")
    return things[best]


def _outermost(tile: Tile, things: Sequence[Thing], axis: int, sign: int) -> Thing:
    """Return the thing whose centre lies farthest; no visible part of another may lie farther than it."""
    expect(things, "nothing to be the outermost of")
    reach = [sign * float(tile.lon_lat(_visible(tile, thing).mean(axis=0)[None])[0, axis]) for thing in things]
    best = int(np.argmax(reach))
    for number, thing in enumerate(things):
        if number == best:
            continue
        if not thing.is_whole:
            farthest = (sign * tile.lon_lat(_visible(tile, thing))[:, axis]).max()
            expect(farthest < reach[best], f"{thing.thing_id} is cut and reaches farther than {things[best].thing_id}")
        start, end = things[best].centre, _visible(tile, thing).mean(axis=0)
        lead = reach[best] - reach[number]
        expect(lead > 0 and tile.distance_m(start, end) > 0, "two objects at one place")
    return things[best]


def _visible(tile: Tile, thing: Thing) -> Points:
    inside = thing.inside
    return inside[((inside >= 0) & (inside <= (tile.width, tile.height))).all(axis=1)]


class Landmark(NamedTuple):
    """Something that objects are near to or inside of; `mask` is None for what has no inside."""

    targets: Points
    mask: NDArray[np.bool_] | None

    def distance(self, tile: Tile, thing: Thing) -> float:
        """Return how far what is visible of a thing is from it, pixels; 0 inside."""
        if self.mask is not None and at(self.mask, thing.inside).any():
            return 0.0
        cut = [thing.outline] if thing.is_whole else clipped_lines([thing.outline], tile.width, tile.height)
        return min(gap(line, self.targets) for line in cut)

    def share_inside(self, tile: Tile, thing: Thing) -> float:
        """Return the share of what is visible of a thing inside it."""
        expect(self.mask is not None, "nothing can be inside this")
        assert self.mask is not None
        return float(at(self.mask, _visible(tile, thing)).mean())


def landmark(tile: Tile, text: str) -> Landmark:
    """Return what "the forest", "water in the image", "any road in the image" or "the bus" names."""
    if text in ("a road in the image", "any road in the image"):
        expect(tile.roads, "no road in the image")
        return Landmark(np.concatenate([along(line) for line in tile.roads]), None)
    hit = match((r"the (?P<noun>.+)", r"(?:any |an? |)(?P<noun>.+) in the image"), text)
    areas = [info for info in tile.classes.values() if info.role == "area" and info.singular == hit["noun"]]
    if areas:
        mask = tile.ground_of({areas[0].name})
        expect(mask.any(), f"no {hit['noun']} in the image")
        return Landmark(edge_of(mask), mask)
    (thing,) = only(members(tile, hit["noun"]), text)
    return Landmark(along(thing.outline), None)


def only(things: Iterable[Thing], text: str) -> list[Thing]:
    """Return the things when there is exactly one."""
    found = list(things)
    if len(found) != 1:
        raise WrongError(f"{text!r} is true of {len(found)} objects")
    return found


CONDITIONS = (
    r"the (?P<noun>.+) (?P<second>second) nearest to (?P<landmark>.+)",
    r"the (?P<noun>.+) (?P<farthest>farthest) from (?P<landmark>.+)",
    r"the (?P<largest>largest) (?P<noun>.+) within (?P<near>\d+) m of (?P<landmark>.+)",
    r"the (?P<noun>[^,]+) (?P<nearest>nearest) to (?P<landmark>.+)",
    r"the only (?P<noun>.+) within (?P<within>\d+) m of (?P<landmark>.+)",
    r"the only (?P<noun>.+) more than (?P<beyond>\d+) m from (?P<landmark>.+)",
    r"the only (?P<noun>.+) (?P<outside>not inside) (?P<landmark>.+)",
    r"the only (?P<noun>.+) (?P<inside>inside) (?P<landmark>.+)",
    r"the largest (?P<noun>.+) (?P<largest>inside) (?P<landmark>.+)",
)


def _at_rank(tile: Tile, things: Sequence[Thing], found: Landmark, rank: int) -> Thing:
    """Return the thing at a place in the order of distance, 0 for the nearest; the next ones must be clearly apart."""
    metres = np.array([found.distance(tile, other) * tile.metres for other in things])
    order = np.argsort(metres)
    for place in ((rank - 1, rank), (rank, rank + 1)):
        if max(place) < len(things) and not (rank == -1 and place[1] == 0):
            nearer, farther = (float(metres[order[at]]) for at in place)
            is_apart = farther > 1.2 * nearer and farther - nearer > 0.015 * tile.width * tile.metres
            expect(is_apart, f"hardly farther than the next: {nearer:.1f} and {farther:.1f} m")
    return things[int(order[rank])]


def conditioned(tile: Tile, text: str) -> Thing:
    """Return the only object that a condition is clearly true of."""
    hit = match(CONDITIONS, text)
    things = members(tile, hit["noun"])
    thing = landmark(tile, hit["landmark"])
    said = hit.groupdict()
    if said.get("near"):
        reach = np.array([thing.distance(tile, other) * tile.metres for other in things])
        expect(not (np.abs(reach - int(said["near"])) < 0.1 * int(said["near"])).any(), "one lies at about the limit")
        return largest([other for other, metres in zip(things, reach, strict=True) if metres < int(said["near"])])
    if said.get("second") or said.get("farthest"):
        return _at_rank(tile, things, thing, 1 if said.get("second") else -1)
    if said.get("inside") or said.get("outside") or said.get("largest"):
        shares = [thing.share_inside(tile, other) for other in things]
        expect(not any(0.08 < share < 0.92 for share in shares), "an object is partly inside")
        fitting = [
            other for other, share in zip(things, shares, strict=True) if (share > 0.5) is not bool(said.get("outside"))
        ]
        return largest(fitting) if said.get("largest") else only(fitting, text)[0]
    metres = np.array([thing.distance(tile, other) * tile.metres for other in things])
    if said.get("nearest"):
        first, second = np.sort(metres)[:2]
        expect(
            second > 1.2 * first and second - first > 0.015 * tile.width * tile.metres, "hardly nearer than the next"
        )
        return things[int(np.argmin(metres))]
    limit = int(said.get("within") or said.get("beyond") or 0)
    expect(not (np.abs(metres - limit) < 0.1 * limit).any(), "an object lies at about the limit")
    is_chosen = metres < limit if said.get("within") else metres > limit
    return only((other for other, chosen in zip(things, is_chosen, strict=True) if chosen), text)[0]
