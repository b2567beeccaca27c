"""Counts: of the whole image, in a circle, under a condition, between two dates; and whether anything is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from rasterio import features

from tests.truth.describing import class_of, landmark, match, members, reads, things_of
from tests.truth.marks import Circle, circle_of, share_in
from tests.truth.measuring import at, grown
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
WHOLE_IMAGE = reads(
    "How many <things> are there in the image?",
    "How many <things> can be seen in the whole image?",
    "What is the total number of <things> in this image?",
    "Count the <things> in the image. How many are there?",
    "What is the number of <things> visible in the image?",
    "Looking at the entire image, how many <things> does it contain?",
    "If every one of the <things> in the image were numbered, what would the last number be?",
    "Go through the image row by row and count the <things>. What number do you reach?",
    "An inventory of this scene lists its <things>. How many should it list?",
    "Leave out everything in the image except the <things>. How many objects remain?",
)
WHOLE_IMAGE_CUT = reads(
    "How many <things> can be seen in the whole image, counting only those that are at least half inside it?",
    "Count the <things> in the image, including those cut by its edge when at least half of them can be"
    " seen. How many are there?",
    "Taking only <things> that are at least half visible, how many does the image contain?",
    "An object counts when at least half of it is visible. How many <things> are there in the image?",
    "How many <things> does the image show at least half of?",
    "Leaving aside any of which more than half is cut off, how many <things> are there in the image?",
    "Number the <things> of which at least half can be seen in the image. What is the last number?",
)
WHOLE_IMAGE_UNCUT = reads(
    "How many <things> can be seen in the image, counting only those that lie wholly inside it?",
    "Count the <things> in the image, leaving out those that its edge cuts. How many are there?",
    "Taking only <things> that are wholly inside it, how many does the image contain?",
    "Only objects that lie wholly inside the image count. How many <things> are there?",
    "How many <things> does the image show whole?",
    "Leaving aside any that the edge of the image cuts, how many <things> are there?",
    "Number the <things> that lie wholly inside the image. What is the last number?",
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
    "colour": reads(
        "How many <colour> <things> are there in the image?",
        "Count only the <things> that are <colour>. How many are there?",
        "Of all the <things> in the image, how many are <colour>?",
        "How many of the <things> have the colour <colour>?",
        "Looking at colour, how many <things> in this image are <colour>?",
        "Among the <things> in the image, how many can be called <colour>?",
        "What is the number of <colour> <things> in the image?",
        "Sort the <things> in the image by colour. How many are put with the <colour> ones?",
        "Leave out the <things> that are not <colour>. How many are left?",
        "Someone is looking for <things> that are <colour>. How many does the image offer?",
    ),
    "half": reads(
        "How many <things> are there in the <half> half of the image?",
        "Count only the <things> in the <half> half of the image. How many are there?",
        "If the image is cut into two equal halves, how many <things> lie in the <half> one?",
        "How many of the <things> can be found in the <half> half of the image?",
        "Of all the <things> in the image, how many are in its <half> half?",
        "Looking only at the <half> half of the image, how many <things> do you see?",
        "Cover all but the <half> half of the image. How many <things> remain in view?",
        "What is the number of <things> in the <half> half of the image?",
        "The <half> half of the image holds some of the <things>. How many?",
        "Leave out the <things> that are not in the <half> half of the image. How many are left?",
    ),
    "within": reads(
        "How many <things> lie within <metres> m of <landmark>?",
        "Count the <things> that are no farther than <metres> m from <landmark>. How many are there?",
        "Of all the <things> in the image, how many are at most <metres> m away from <landmark>?",
        "How many <things> are there within <metres> m of <landmark>?",
        "How many <things> are closer than <metres> m to <landmark>?",
        "What is the number of <things> at a distance of at most <metres> m from <landmark>?",
        "Leave out the <things> that are more than <metres> m from <landmark>. How many are left?",
        "Among the <things> in the image, how many lie no more than <metres> m from <landmark>?",
        "An inspector visits only <things> that are at most <metres> m from <landmark>. How many are there to visit?",
        "Take a distance of <metres> m. How many <things> are that near to <landmark>, or nearer?",
    ),
    "inside": reads(
        "How many <things> lie inside <landmark>?",
        "Count only the <things> that are inside <landmark>. How many are there?",
        "Of all the <things> in the image, how many lie inside <landmark>?",
        "How many of the <things> are located within <landmark>?",
        "What is the number of <things> that stand inside <landmark>?",
        "Leave out the <things> that are not inside <landmark>. How many are left?",
        "For how many of the <things> in the image is it true that they lie inside <landmark>?",
        "Some of the <things> lie inside <landmark>. How many?",
        "Among the <things> in the image, how many are to be found inside <landmark>?",
        "An inspector visits only <things> that lie inside <landmark>. How many are there to visit?",
    ),
    "side": reads(
        "How many <things> lie on the <side> side of <divider>?",
        "Count only the <things> on the <side> side of <divider>. How many are there?",
        "Of all the <things> in the image, how many are on the <side> side of <divider>?",
        "Looking only at the <side> side of <divider>, how many <things> do you see?",
        "What is the number of <things> on the <side> side of <divider>?",
        "How many of the <things> can be found on the <side> side of <divider>?",
        "Stay on the <side> side of <divider>. How many <things> could you visit?",
        "Leave out the <things> that are not on the <side> side of <divider>. How many are left?",
        "The <side> side of <divider> holds some of the <things>. How many?",
        "Without crossing <divider>, how many <things> can be reached by someone on its <side> side?",
    ),
}


_CLAUSE = r"(?:are|lie|do not lie) .+?"
_JOINED = reads(
    "How many <things> <first> and <second>?",
    "Count only the <things> that <first> and <second>. How many are there?",
    "Of all the <things> in the image, how many <first> and also <second>?",
    "First find the <things> that <first>. Then count those of them that also <second>. How many are there?",
    "What is the number of <things> that both <first> and <second>?",
    "Looking for <things> that <first> and at the same time <second>, how many do you find?",
    "Some <things> in the image <first>, and some <second>. For how many of them are both true?",
    "Among the <things> that <first>, how many <second>?",
    "Two conditions: the <things> <first>, and they <second>. How many meet both?",
    "Leave out all <things> but those that <first> and <second>. How many remain?",
    "How many <things> <first> but <second>?",
    "Count only the <things> that <first> but <second>. How many are there?",
    "Of all the <things> in the image, how many <first> but <second>?",
    "Take the <things> that <first>. How many of them <second>?",
    "What is the number of <things> that <first> but <second>?",
    "Looking for <things> that <first> but <second>, how many do you find?",
    "How many of the <things> in the image <first> but <second>?",
    "Two conditions: the <things> <first>, but they <second>. How many meet both?",
    things="(?P<things>.+?)",
    first=rf"(?P<first>{_CLAUSE})",
    second=rf"(?P<second>{_CLAUSE})",
)
_SURPLUS = reads(
    "How many more <things> are there in the <half> half of the image than in the <other> half?",
    "By how many do the <things> in the <half> half of the image outnumber those in the <other> half?",
    "Count the <things> in the <half> half and in the <other> half of the image. What is the difference?",
    "The <half> half of the image has more <things> than the <other> half. How many more?",
    "How many <things> would have to be added in the <other> half of the image for it to have as many as"
    " the <half> half?",
    "Compare the <half> half of the image with the <other> half: how many more <things> does the <half> one hold?",
    "Pair each of the <things> in the <other> half of the image with one in the <half> half. How many in"
    " the <half> half are left over?",
    "Subtract the number of <things> in the <other> half of the image from that in the <half> half. What"
    " is the result?",
    "What is the surplus of <things> in the <half> half of the image over the <other> half?",
    "Remove as many <things> from the <half> half of the image as the <other> half has. How many stay in"
    " the <half> half?",
)
_SIDE_SURPLUS = reads(
    "How many more <things> are there on the <side> side of <divider> than on its <other> side?",
    "By how many do the <things> on the <side> side of <divider> outnumber those on its <other> side?",
    "Count the <things> on the <side> side and on the <other> side of <divider>. What is the difference?",
    "The <side> side of <divider> has more <things> than the <other> side. How many more?",
    "Compare the <side> side of <divider> with the <other> side: how many more <things> does the <side> one hold?",
    "Subtract the number of <things> on the <other> side of <divider> from that on its <side> side."
    " What is the result?",
    "What is the surplus of <things> on the <side> side of <divider> over its <other> side?",
    "How many <things> would have to be added on the <other> side of <divider> for it to have as"
    " many as the <side> side?",
    "Pair each of the <things> on the <other> side of <divider> with one on its <side> side. How"
    " many on the <side> side are left over?",
    "Remove as many <things> from the <side> side of <divider> as its <other> side has. How many"
    " stay on the <side> side?",
)
_TOGETHER = reads(
    "How many <things> and <others> are there together in the image?",
    "Count the <things>, then the <others>. How many are there in all?",
    "What is the total number of <things> and <others> in the image?",
    "Adding the <things> and the <others> in the image, how many do you get?",
    "If the <things> and the <others> in the image are counted as one group, how large is it?",
    "Put a mark on each of the <things> and on each of the <others> in the image. How many marks are there?",
    "How many objects in the image are either <things> or <others>?",
    "An inspection has to visit all <things> and all <others> in the image. How many objects does it visit?",
    "Number of <things> plus number of <others> in the image: what is the sum?",
    "Leave out everything in the image except the <things> and the <others>. How many objects remain?",
)
_CLAUSES = {
    "colour": r"are (?P<no>not )?(?P<colour>\w+)",
    "half": r"(?P<no>do not )?lie in the (?P<half>\w+) half of the image",
    "within": r"(?P<no>do not )?lie within (?P<metres>\d+) m of (?P<landmark>.+)",
    "inside": r"(?P<no>do not )?lie inside (?P<landmark>.+)",
    "side": r"(?P<no>do not )?lie on the (?P<side>\w+) side of (?P<divider>.+)",
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
    for pattern in _SIDE_SURPLUS:
        if (hit := re.fullmatch(pattern, text)) and hit["things"] in plurals:
            expect(OPPOSITE[hit["side"]] == hit["other"], "these are not two sides")
            on_side = _by_side(tile, counted(hit["things"]), hit)
            return 2 * sum(on_side) - len(on_side)
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
    return kind not in ("within", "inside") or re.fullmatch(r"the .+|.+ in the image", hit["landmark"]) is not None


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


OPPOSITE = {"western": "eastern", "eastern": "western", "northern": "southern", "southern": "northern"}
BRIDGED_M = 15.0


def _by_side(tile: Tile, things: Sequence[Thing], hit: re.Match[str]) -> list[bool]:
    """Return which things lie on a side of a river; none may lie on it, or where nobody knows on which side."""
    noun = match((r"the (?P<noun>.+) that runs across the image",), hit["divider"])["noun"]
    water = tile.ground_of({class_of(tile, noun, "area").name})
    steps = round(BRIDGED_M / tile.metres)
    reach = slice(2 * steps, -2 * steps)
    closed = grown(~grown(np.pad(water, 2 * steps, mode="edge"), steps), steps)[reach, reach]
    sides = [
        mask
        for outline, _ in features.shapes(closed.astype(np.uint8), mask=closed, connectivity=4)
        if (mask := features.rasterize([outline], closed.shape).astype(bool)).mean() > 0.1
    ]
    expect(len(sides) == 2, f"it divides the image into {len(sides)} parts")
    centres = [np.argwhere(mask).mean(axis=0)[::-1] for mask in sides]
    bearing = tile.bearing(centres[0], centres[1])
    wanted = {"northern": 0, "eastern": 90, "southern": 180, "western": 270}[hit["side"]]
    off = abs((bearing - wanted + 180) % 360 - 180)
    expect(off < 35 or off > 145, f"the sides lie {bearing:.0f}° from each other")
    side = sides[1] if off < 90 else sides[0]
    shares = [float(at(side, thing.inside).mean()) for thing in things]
    others = [float(at(sides[0] | sides[1], thing.inside).mean()) for thing in things]
    expect(min(others, default=1.0) > 0.6, "an object is on the river")
    on_side = [share / other for share, other in zip(shares, others, strict=True)]  # of what is not over the water
    expect(all(share < 0.02 or share > 0.98 for share in on_side), "an object is on both sides")
    return [share > 0.5 for share in on_side]


_MEETS: dict[str, Callable[[Tile, Sequence[Thing], re.Match[str]], list[bool]]] = {
    "colour": _by_colour,
    "half": _by_half,
    "within": _by_distance,
    "inside": _by_inside,
    "side": _by_side,
}


_ADDED = reads(
    "Comparing the two dates, how many new <things> have appeared inside circle <number>?",
    "How many <things> inside circle <number> are in the later image but not in the earlier one?",
    "Inside circle <number>, how many <things> were added between the two images?",
    "Look at circle <number> in both images. How many <things> are there only on the later date?",
    "Between the first and the second image, how many <things> have been newly built within circle <number>?",
    "On the later date circle <number> holds <things> that were not there on the earlier date. How many?",
    "Count the <things> inside circle <number> that came into being between the two dates. How many are there?",
    "Ignoring what both images show, how many <things> does only the later one have inside circle <number>?",
    "How many of the <things> inside circle <number> in the second image did not exist in the first?",
    "Within circle <number>, what is the number of <things> built after the first image was taken?",
)
_REMOVED = reads(
    "Comparing the two dates, how many <things> have disappeared from inside circle <number>?",
    "How many <things> inside circle <number> are in the earlier image but not in the later one?",
    "Inside circle <number>, how many <things> were removed between the two images?",
    "Look at circle <number> in both images. How many <things> are there only on the earlier date?",
    "Between the first and the second image, how many <things> have been taken away within circle <number>?",
    "On the earlier date circle <number> holds <things> that are no longer there on the later date. How many?",
    "Count the <things> inside circle <number> that ceased to exist between the two dates. How many are there?",
    "Ignoring what both images show, how many <things> does only the earlier one have inside circle <number>?",
    "How many of the <things> inside circle <number> in the first image no longer exist in the second?",
    "Within circle <number>, what is the number of <things> gone by the time the second image was taken?",
)


_MORE = reads(
    "By how many has the number of <things> inside circle <number> grown between the two images?",
    "How many more <things> does circle <number> hold in the later image than in the earlier one?",
    "Compare the number of <things> inside circle <number> on both dates. By how many has it risen?",
    "What is the increase in the number of <things> within circle <number> from the first to the second image?",
    "Circle <number> holds more <things> on the later date. How many more are there?",
    "Subtract the number of <things> inside circle <number> in the first image from that in the second."
    " What is the result?",
    "Taking away those removed from those added, how many <things> did circle <number> gain between the two dates?",
    "How much larger is the number of <things> within circle <number> on the second date than on the first?",
    "What is the net gain of <things> inside circle <number> from the earlier to the later image?",
    "Inside circle <number>, how many <things> would have to go for the later image to have as many as"
    " the earlier one?",
)
_FEWER = reads(
    "By how many has the number of <things> inside circle <number> fallen between the two images?",
    "How many fewer <things> does circle <number> hold in the later image than in the earlier one?",
    "Compare the number of <things> inside circle <number> on both dates. By how many has it dropped?",
    "What is the decrease in the number of <things> within circle <number> from the first to the second image?",
    "Circle <number> holds fewer <things> on the later date. How many fewer are there?",
    "Subtract the number of <things> inside circle <number> in the second image from that in the first."
    " What is the result?",
    "Taking away those added from those removed, how many <things> did circle <number> lose between the two dates?",
    "How much smaller is the number of <things> within circle <number> on the second date than on the first?",
    "What is the net loss of <things> inside circle <number> from the earlier to the later image?",
    "Inside circle <number>, how many <things> would have to be added for the later image to have as"
    " many as the earlier one?",
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
