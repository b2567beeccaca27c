"""Counts: of the whole image, in a circle, under a condition, between two dates; and whether anything is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from tests.truth.describing import class_of, landmark, match, members, things_of
from tests.truth.marks import Circle, circle_of, share_in
from tests.truth.reading import Row, Thing, Tile, Truth, WrongError, expect

IsRight = Callable[[str], bool]

_HALF = (
    r"Count only those of which at least half is visible\.",
    r"Leave out any of which less than half is visible\.",
    r"Those cut by the edge count when at least half is visible\.",
    r"Objects cut by the edge of the image count when at least half of them is visible\.",
)
_UNCUT = (
    r"Leave out any that are cut by its edge\.",
    r"Those cut by the edge do not count\.",
    r"Do not count any that the edge cuts off\.",
    r"Objects that are cut by the edge of the image do not count\.",
)
WHOLE_IMAGE = (
    r"How many (?P<things>.+) are there in the image\?",
    r"How many (?P<things>.+) can be seen in the whole image\?",
    r"What is the total number of (?P<things>.+) in this image\?",
    r"Count the (?P<things>.+) in the image\. How many are there\?",
    r"What is the number of (?P<things>.+) visible in the image\?",
    r"Looking at the entire image, how many (?P<things>.+) does it contain\?",
)
WHOLE_IMAGE_CUT = (
    r"How many (?P<things>.+) can be seen in the whole image, counting only those that are at least half inside it\?",
    r"Count the (?P<things>.+) in the image, including those cut by its edge when at least half of them can be seen\."
    r" How many are there\?",
    r"Taking only (?P<things>.+) that are at least half visible, how many does the image contain\?",
)
WHOLE_IMAGE_UNCUT = (
    r"How many (?P<things>.+) can be seen in the image, counting only those that lie wholly inside it\?",
    r"Count the (?P<things>.+) in the image, leaving out those that its edge cuts\. How many are there\?",
    r"Taking only (?P<things>.+) that are wholly inside it, how many does the image contain\?",
)


def _counted(
    text: str, patterns: Sequence[str], cut: Sequence[str] = (), uncut: Sequence[str] = ()
) -> tuple[re.Match[str], float | None]:
    """Return the match, and the visible share from which the question says that objects cut by the edge count."""
    for least, whole_texts, rules in ((0.5, cut, _HALF), (1.0, uncut, _UNCUT)):
        for pattern in whole_texts:
            if hit := re.fullmatch(pattern, text):
                return hit, least
        for rule in rules:
            if hit := re.fullmatch(rf"(?P<first>.+) {rule}", text):
                return match(patterns, hit["first"]), least
    return match(patterns, text), None


def countable(things: Sequence[Thing], *, least: float | None) -> list[Thing]:
    """Return those that count; a question that states no rule must leave no doubt."""
    if least == 1.0:
        expect(not any(0.91 < thing.visible < 1 for thing in things), "an object is hardly cut")
        return [thing for thing in things if thing.is_whole]
    if least is None:
        expect(
            all(thing.is_whole for thing in things), "an object is cut, and the question does not say whether it counts"
        )
        return list(things)
    expect(not any(0.42 < thing.visible < 0.58 for thing in things), "an object is about half visible")
    return [thing for thing in things if thing.visible >= 0.5]


def _is(count: int) -> IsRight:
    expect(count > 0, "nothing to be counted")
    return lambda option: int(option) == count


def overall_counting(row: Row, truth: Truth) -> IsRight:
    hit, least = _counted(row.question, WHOLE_IMAGE, WHOLE_IMAGE_CUT, WHOLE_IMAGE_UNCUT)
    return _is(len(countable(members(truth.tile(row), hit["things"], plural=True), least=least)))


def inside_circle(tile: Tile, class_name: str, circle: Circle) -> list[Thing]:
    """Return the objects of a class inside a circle; none may cross its edge or the image's."""
    found = []
    for thing in things_of(tile, class_name):
        share = share_in(circle, thing.inside)
        expect(share < 0.05 or share > 0.95, f"{thing.thing_id} is {share:.0%} inside the circle")
        if share > 0.95:
            expect(thing.is_whole, f"{thing.thing_id} is cut")
            found.append(thing)
    return found


def regional_counting(row: Row, truth: Truth) -> IsRight:
    hit = match(
        (
            r"How many (?P<things>.+) are there inside the red circle numbered (?P<number>\d)\?",
            r"How many (?P<things>.+) lie within red circle (?P<number>\d)\?",
            r"What is the number of (?P<things>.+) inside the red circle with the number (?P<number>\d)\?",
            r"Count the (?P<things>.+) inside red circle (?P<number>\d)\. How many are there\?",
            r"Looking only at the area inside red circle (?P<number>\d), how many (?P<things>.+) does it contain\?",
            r"In the region marked by the red circle numbered (?P<number>\d), how many (?P<things>.+) can be seen\?",
            r"How many (?P<things>.+) does red circle (?P<number>\d) enclose\?",
            r"What is the count of (?P<things>.+) within the red circle numbered (?P<number>\d)\?",
            r"Red circle (?P<number>\d) marks a part of the image\. How many (?P<things>.+) are inside it\?",
            r"Taking red circle (?P<number>\d) alone, how many (?P<things>.+) are there\?",
        ),
        row.question,
    )
    tile = truth.tile(row)
    info = class_of(tile, hit["things"], "object", plural=True)
    return _is(len(inside_circle(tile, info.name, circle_of(row, hit["number"]))))


_CONDITIONS = {
    "colour": (
        r"How many (?P<colour>\w+) (?P<things>.+) are there in the image\?",
        r"Count only the (?P<things>.+) that are (?P<colour>\w+)\. How many are there\?",
        r"Of all the (?P<things>.+) in the image, how many are (?P<colour>\w+)\?",
        r"How many of the (?P<things>.+) have the colour (?P<colour>\w+)\?",
        r"Looking at colour, how many (?P<things>.+) in this image are (?P<colour>\w+)\?",
    ),
    "half": (
        r"How many (?P<things>.+) are there in the (?P<half>\w+) half of the image\?",
        r"Count only the (?P<things>.+) in the (?P<half>\w+) half of the image\. How many are there\?",
        r"If the image is cut into two equal halves, how many (?P<things>.+) lie in the (?P<half>\w+) one\?",
        r"How many of the (?P<things>.+) can be found in the (?P<half>\w+) half of the image\?",
        r"Of all the (?P<things>.+) in the image, how many are in its (?P<half>\w+) half\?",
    ),
    "within": (
        r"How many (?P<things>.+) lie within (?P<metres>\d+) m of (?P<landmark>.+)\?",
        r"Count the (?P<things>.+) that are no farther than (?P<metres>\d+) m from (?P<landmark>.+)\."
        r" How many are there\?",
        r"Of all the (?P<things>.+) in the image, how many are at most (?P<metres>\d+) m away from (?P<landmark>.+)\?",
        r"How many (?P<things>.+) are there within (?P<metres>\d+) m of (?P<landmark>.+)\?",
        r"How many (?P<things>.+) are closer than (?P<metres>\d+) m to (?P<landmark>.+)\?",
    ),
    "inside": (
        r"How many (?P<things>.+) lie inside (?P<landmark>.+)\?",
        r"Count only the (?P<things>.+) that are inside (?P<landmark>.+)\. How many are there\?",
        r"Of all the (?P<things>.+) in the image, how many lie inside (?P<landmark>.+)\?",
        r"How many of the (?P<things>.+) are located within (?P<landmark>.+)\?",
        r"What is the number of (?P<things>.+) that stand inside (?P<landmark>.+)\?",
    ),
}


_CLAUSE = r"(?:are|lie|do not lie) .+?"
_JOINED = (
    rf"How many (?P<things>.+?) (?P<first>{_CLAUSE}) (?P<link>and|but) (?P<second>{_CLAUSE})\?",
    rf"Count only the (?P<things>.+?) that (?P<first>{_CLAUSE}) (?P<link>and|but) (?P<second>{_CLAUSE})\."
    r" How many are there\?",
    rf"Of all the (?P<things>.+?) in the image, how many (?P<first>{_CLAUSE}) (?P<link>and also|but)"
    rf" (?P<second>{_CLAUSE})\?",
    rf"First find the (?P<things>.+?) that (?P<first>{_CLAUSE})\. Then count those of them that also"
    rf" (?P<second>{_CLAUSE})\. How many are there\?",
    rf"What is the number of (?P<things>.+?) that both (?P<first>{_CLAUSE}) (?P<link>and) (?P<second>{_CLAUSE})\?",
    rf"What is the number of (?P<things>.+?) that (?P<first>{_CLAUSE}) (?P<link>but) (?P<second>{_CLAUSE})\?",
    rf"Take the (?P<things>.+?) that (?P<first>{_CLAUSE})\. How many of them (?P<second>{_CLAUSE})\?",
)
_SURPLUS = (
    r"How many more (?P<things>.+) are there in the (?P<half>\w+) half of the image than in the (?P<other>\w+) half\?",
    r"By how many do the (?P<things>.+) in the (?P<half>\w+) half of the image outnumber those in the (?P<other>\w+)"
    r" half\?",
    r"Count the (?P<things>.+) in the (?P<half>\w+) half and in the (?P<other>\w+) half of the image\."
    r" What is the difference\?",
    r"The (?P<half>\w+) half of the image has more (?P<things>.+) than the (?P<other>\w+) half\. How many more\?",
    r"How many (?P<things>.+) would have to be added in the (?P<other>\w+) half of the image to have as many as in"
    r" the (?P<half>\w+) half\?",
)
_TOGETHER = (
    r"How many (?P<things>.+) and (?P<others>.+) are there together in the image\?",
    r"Count the (?P<things>.+), then the (?P<others>.+)\. How many are there in all\?",
    r"What is the total number of (?P<things>.+) and (?P<others>.+) in the image\?",
    r"Adding the (?P<things>.+) and the (?P<others>.+) in the image, how many do you get\?",
    r"If the (?P<things>.+) and the (?P<others>.+) in the image are counted as one group, how large is it\?",
)
_CLAUSES = {
    "colour": r"are (?P<no>not )?(?P<colour>\w+)",
    "half": r"(?P<no>do not )?lie in the (?P<half>\w+) half of the image",
    "within": r"(?P<no>do not )?lie within (?P<metres>\d+) m of (?P<landmark>.+)",
    "inside": r"(?P<no>do not )?lie inside (?P<landmark>.+)",
}


def _compound(tile: Tile, question: str) -> int | None:
    """Return the number that a question of two conditions, or of two counts, asks for; None when it is neither."""
    text, least = question, None
    for share, rules in ((0.5, _HALF), (1.0, _UNCUT)):
        for rule in rules:
            if cut := re.fullmatch(rf"(?P<first>.+) {rule}", text):
                text, least = cut["first"], share
    plurals = {info.plural: info.name for info in tile.classes.values() if info.role == "object"}

    def counted(plural: str) -> list[Thing]:
        return list(countable(things_of(tile, plurals[plural]), least=least))

    for pattern in _JOINED:
        if (hit := re.fullmatch(pattern, text)) and hit["things"] in plurals:
            things = counted(hit["things"])
            first, second = (_clause(tile, things, hit["things"], hit[name]) for name in ("first", "second"))
            return sum(one and other for one, other in zip(first, second, strict=True))
    for pattern in _SURPLUS:
        if (hit := re.fullmatch(pattern, text)) and hit["things"] in plurals:
            expect({hit["half"], hit["other"]} in ({"left", "right"}, {"upper", "lower"}), "these are not two halves")
            inside = _by_half(tile, counted(hit["things"]), hit)
            return sum(inside) - (len(inside) - sum(inside))
    for pattern in _TOGETHER:
        if (hit := re.fullmatch(pattern, text)) and {hit["things"], hit["others"]} <= plurals.keys():
            return len(counted(hit["things"])) + len(counted(hit["others"]))
    return None


def _clause(tile: Tile, things: Sequence[Thing], plural: str, clause: str) -> list[bool]:
    """Return which things "lie within 50 m of the lake", or do not."""
    for kind, pattern in _CLAUSES.items():
        if hit := re.fullmatch(rf"(?:{pattern})(?P<things>)", clause):
            if kind == "colour":
                coloured = {thing.thing_id for thing in members(tile, f"{hit['colour']} {plural}", plural=True)}
                met = [thing.thing_id in coloured for thing in things]
            else:
                met = _MEETS[kind](tile, things, hit)
            return [is_met != bool(hit["no"]) for is_met in met]
    raise WrongError(f"a clause that the audit cannot read: {clause!r}")


def conditional_counting(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    number = _compound(tile, row.question)
    if number is not None:
        return _is(number)
    readings = []
    for kind, patterns in _CONDITIONS.items():
        text: str = row.question
        least: float | None = None
        for share, rules in ((0.5, _HALF), (1.0, _UNCUT)):
            for rule in rules:
                if cut := re.fullmatch(rf"(?P<first>.+) {rule}", text):
                    text, least = cut["first"], share
        hits = [hit for pattern in patterns if (hit := re.fullmatch(pattern, text))]
        readings += [(kind, hit, least) for hit in hits if _makes_sense(tile, kind, hit)]
    expect(len(readings) == 1, f"{len(readings)} readings of the question")
    kind, hit, least = readings[0]
    info = class_of(tile, hit["things"], "object", plural=True)
    things = countable(things_of(tile, info.name), least=least)
    return _is(sum(_MEETS[kind](tile, things, hit)))


def _makes_sense(tile: Tile, kind: str, hit: re.Match[str]) -> bool:
    """Return whether the words that a pattern took are names of classes, so that "at most 20 m away" is no colour."""
    plurals = {info.plural for info in tile.classes.values() if info.role == "object"}
    if hit["things"] not in plurals:
        return False
    return kind not in ("within", "inside") or hit["landmark"].startswith(("the ", "any "))


def _by_colour(tile: Tile, things: Sequence[Thing], hit: re.Match[str]) -> list[bool]:
    coloured = {thing.thing_id for thing in members(tile, f"{hit['colour']} {hit['things']}", plural=True)}
    return [thing.thing_id in coloured for thing in things]


def _by_half(tile: Tile, things: Sequence[Thing], hit: re.Match[str]) -> list[bool]:
    axis, size, sign = {
        "left": (0, tile.width, -1),
        "right": (0, tile.width, 1),
        "upper": (1, tile.height, -1),
        "lower": (1, tile.height, 1),
    }[hit["half"]]
    shares = [float((sign * (thing.inside[:, axis] - size / 2) > 0).mean()) for thing in things]
    expect(not any(0.02 < share < 0.98 for share in shares), "an object lies on the middle line")
    return [share >= 0.5 for share in shares]


def _by_distance(tile: Tile, things: Sequence[Thing], hit: re.Match[str]) -> list[bool]:
    found, limit = landmark(tile, hit["landmark"]), int(hit["metres"])
    metres = np.array([found.distance(tile, thing) * tile.metres for thing in things])
    expect(not (np.abs(metres - limit) < 0.1 * limit).any(), "an object lies at about the limit")
    return list(metres <= limit)


def _by_inside(tile: Tile, things: Sequence[Thing], hit: re.Match[str]) -> list[bool]:
    found = landmark(tile, hit["landmark"])
    shares = [found.share_inside(tile, thing) for thing in things]
    expect(not any(0.08 < share < 0.92 for share in shares), "an object is partly inside")
    return [share > 0.5 for share in shares]


_MEETS: dict[str, Callable[[Tile, Sequence[Thing], re.Match[str]], list[bool]]] = {
    "colour": _by_colour,
    "half": _by_half,
    "within": _by_distance,
    "inside": _by_inside,
}


_ADDED = (
    r"Comparing the two dates, how many new (?P<things>.+) have appeared inside circle (?P<number>\d)\?",
    r"How many (?P<things>.+) inside circle (?P<number>\d) are in the later image but not in the earlier one\?",
    r"Inside circle (?P<number>\d), how many (?P<things>.+) were added between the two images\?",
    r"Look at circle (?P<number>\d) in both images\. How many (?P<things>.+) are there only on the later date\?",
    r"Between the first and the second image, how many (?P<things>.+) have been newly built within"
    r" circle (?P<number>\d)\?",
)
_REMOVED = (
    r"Comparing the two dates, how many (?P<things>.+) have disappeared from inside circle (?P<number>\d)\?",
    r"How many (?P<things>.+) inside circle (?P<number>\d) are in the earlier image but not in the later one\?",
    r"Inside circle (?P<number>\d), how many (?P<things>.+) were removed between the two images\?",
    r"Look at circle (?P<number>\d) in both images\. How many (?P<things>.+) are there only on the earlier date\?",
    r"Between the first and the second image, how many (?P<things>.+) have been taken away within"
    r" circle (?P<number>\d)\?",
)


_MORE = (
    r"By how many has the number of (?P<things>.+) inside circle (?P<number>\d) grown between the two images\?",
    r"How many more (?P<things>.+) does circle (?P<number>\d) hold in the later image than in the earlier one\?",
    r"Compare the number of (?P<things>.+) inside circle (?P<number>\d) on both dates\. By how many has it risen\?",
    r"What is the increase in the number of (?P<things>.+) within circle (?P<number>\d)"
    r" from the first to the second image\?",
    r"Circle (?P<number>\d) holds more (?P<things>.+) on the later date\. How many more are there\?",
)
_FEWER = (
    r"By how many has the number of (?P<things>.+) inside circle (?P<number>\d) fallen between the two images\?",
    r"How many fewer (?P<things>.+) does circle (?P<number>\d) hold in the later image than in the earlier one\?",
    r"Compare the number of (?P<things>.+) inside circle (?P<number>\d) on both dates\. By how many has it dropped\?",
    r"What is the decrease in the number of (?P<things>.+) within circle (?P<number>\d)"
    r" from the first to the second image\?",
    r"Circle (?P<number>\d) holds fewer (?P<things>.+) on the later date\. How many fewer are there\?",
)


def change_counting(row: Row, truth: Truth) -> IsRight:
    groups = (_ADDED, _REMOVED, _MORE, _FEWER)
    hit = match([pattern for group in groups for pattern in group], row.question)
    asked = next(group for group in groups if any(re.fullmatch(pattern, row.question) for pattern in group))
    tiles = truth.tile(row), truth.later(row)
    info = class_of(tiles[0], hit["things"], "object", plural=True)
    circle = circle_of(row, hit["number"])
    before, after = ({thing.thing_id for thing in inside_circle(tile, info.name, circle)} for tile in tiles)
    return _is(
        {
            _ADDED: len(after - before),
            _REMOVED: len(before - after),
            _MORE: len(after) - len(before),
            _FEWER: len(before) - len(after),
        }[asked]
    )


_PRESENCE = {
    True: (
        r"Are there any (?P<things>.+) in the image\?",
        r"Does the image show any (?P<things>.+)\?",
        r"Can any (?P<things>.+) be seen in this image\?",
        r"Search the whole image\. Are there any (?P<things>.+) in it\?",
        r"Do any (?P<things>.+) appear in this image\?",
    ),
    False: (
        r"Is at least one (?P<things>.+) visible in the image\?",
        r"Does this image contain at least one (?P<things>.+)\?",
        r"Looking at the whole image, is there any (?P<things>.+) in it\?",
        r"Is there at least one (?P<things>.+) in the area shown\?",
        r"Would you find at least one (?P<things>.+) in this image\?",
    ),
}
"""Wordings with the plural, and with the singular."""


def object_presence(row: Row, truth: Truth) -> IsRight:
    hit = match((*_PRESENCE[True], *_PRESENCE[False]), row.question)
    is_plural = any(re.fullmatch(pattern, row.question) for pattern in _PRESENCE[True])
    found = members(truth.tile(row), hit["things"], plural=is_plural)
    expect(not found or max(thing.visible for thing in found) >= 0.5, "only a bit of one is visible")
    return lambda option: (option == "Yes") is bool(found)
