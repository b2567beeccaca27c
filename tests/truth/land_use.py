"""Land use of the whole image, of a circle, and of a circle on two dates; anomalies."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from rasterio import features

from tests.truth.describing import class_of, match, reads, things_of
from tests.truth.marks import circle_of, disc
from tests.truth.measuring import at, edge_of, gap, grown
from tests.truth.properties import close_to
from tests.truth.reading import ClassWords, Row, Tile, Truth, expect

IsRight = Callable[[str], bool]


def shares(tile: Tile, region: NDArray[np.float64] | NDArray[np.bool_] | None = None) -> dict[str, float]:
    """Return the share of the tile, or of a region, that each land-use class has; zeros included.

    Args:
        tile: the truth.
        region: (height, width) how much of each pixel counts.
    """
    if region is None:
        return dict(tile.shares)
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ground, weights = tile.ground[part].ravel(), region[part].astype(float).ravel()
    sums = np.bincount(ground + 1, weights, minlength=len(tile.ground_classes) + 1)[1:]
    return dict(zip(tile.ground_classes, (sums / weights.sum()).tolist(), strict=True))


def overall_land_use(row: Row, truth: Truth) -> IsRight:
    hit = match(
        (
            r"Which of the following types of land use or land cover are in the image\? Select every one that covers"
            r" at least (?P<percent>\d+) % of it\.",
            r"Which of these land-use or land-cover types does the image contain, counting those that cover at least"
            r" (?P<percent>\d+) % of its area\?",
            r"What types of land use or land cover can be seen in the whole image\? Choose all that cover at least"
            r" (?P<percent>\d+) % of it\.",
            r"Select all land-use or land-cover types that cover at least (?P<percent>\d+) % of the image\.",
            r"Looking at the entire image, which of these types of land use or land cover occupy (?P<percent>\d+) % of"
            r" its area or more\?",
            r"How is the land in the image used or covered\? Select all types with a share of at least"
            r" (?P<percent>\d+) %\.",
            r"Which of these land-use or land-cover types take up (?P<percent>\d+) % of the image or more\? "
            r"Select all of them\.",
            r"Name all types of land use or land cover among these with a share of (?P<percent>\d+) % of the "
            r"image or more\.",
            r"Considering the image as a whole, which types of land use or land cover make up no less than "
            r"(?P<percent>\d+) % of it\? Choose all that apply\.",
            r"Several of these types of land use or land cover may be present\. Select each that covers "
            r"(?P<percent>\d+) % of the image or more\.",
        ),
        row.question,
    )
    tile = truth.tile(row)
    limit, found = int(hit["percent"]) / 100, shares(tile)

    def is_right(option: str) -> bool:
        share = found[class_of(tile, option, "area").name]
        expect(share < 0.6 * limit or share > 1.3 * limit, f"{option} covers {share:.2%}, near the limit")
        return share >= limit

    return is_right


def regional_land_use(row: Row, truth: Truth) -> IsRight:
    hit = match(
        (
            r"What is the main type of land use or land cover inside the red circle numbered (?P<number>\d)\?",
            r"Which type of land use or land cover fills most of red circle (?P<number>\d)\?",
            r"What is the land inside red circle (?P<number>\d) mainly used for or covered by\?",
            r"Which land-use or land-cover type covers most of the area inside the red circle with the number"
            r" (?P<number>\d)\?",
            r"Looking only at the area inside red circle (?P<number>\d), which type of land use or land cover"
            r" prevails\?",
            r"To which type of land use or land cover does the region in red circle (?P<number>\d) mainly belong\?",
            r"What covers most of the ground inside red circle (?P<number>\d)\?",
            r"Which of these types of land use or land cover dominates red circle (?P<number>\d)\?",
            r"Red circle (?P<number>\d) marks a piece of ground\. How is most of it used or covered\?",
            r"Name the main land use or land cover within the red circle numbered (?P<number>\d)\.",
        ),
        row.question,
    )
    tile = truth.tile(row)
    main = main_class(tile, disc(tile, circle_of(row, hit["number"])))
    return lambda option: class_of(tile, option, "area").name == main


def main_class(tile: Tile, mask: NDArray[np.bool_]) -> str:
    """Return the class that covers at least 79 % of a mask, the next one being far behind."""
    found = sorted(shares(tile, mask).items(), key=lambda item: -item[1])
    expect(found[0][1] > 0.79 and found[1][1] < 0.16, f"no class prevails: {found[:2]}")
    return found[0][0]


def land_use_change(row: Row, truth: Truth) -> IsRight:
    hit = match(
        (
            r"How has the land use inside circle (?P<number>\d) changed between the two images\?",
            r"Compare circle (?P<number>\d) on both dates\. What has happened to the land use there\?",
            r"Which statement describes the land use inside circle (?P<number>\d) in the first and in the second"
            r" image\?",
            r"What is the change of land use within circle (?P<number>\d) from the earlier to the later date\?",
            r"Looking at circle (?P<number>\d) in both images, how did the land use develop\?",
            r"What has become of the land inside circle (?P<number>\d) between the two dates\?",
            r"Which of these describes circle (?P<number>\d) on the earlier and on the later date\?",
            r"Between the two images, has the land use in circle (?P<number>\d) changed, and if so how\?",
            r"How was the land in circle (?P<number>\d) used first, and how later\?",
            r"Taking both images together, which statement about the land use within circle (?P<number>\d) is true\?",
        ),
        row.question,
    )
    tiles = truth.tile(row), truth.later(row)
    circle = circle_of(row, hit["number"])
    mains = tuple(main_class(tile, disc(tile, circle)) for tile in tiles)

    def is_right(option: str) -> bool:
        told = match(
            (r"changed from (?P<first>.+) to (?P<second>.+)", r"no change: (?P<both>.+) on both dates"), option
        )
        words = told.groupdict()
        pair = (words.get("first", words.get("both")), words.get("second", words.get("both")))
        return tuple(class_of(tiles[0], str(word), "area").name for word in pair) == mains

    return is_right


PARTS = [
    f"{row} {column}".replace("middle centre", "centre")
    for row in ("top", "middle", "bottom")
    for column in ("left", "centre", "right")
]

_PRESENCE = reads(
    "Does the image show any <noun>?",
    "Can any <noun> be seen in the image?",
    "Looking for anomalies, can you find any <noun> here?",
    "Did the camera capture any <noun> in this scene?",
    "Does this scene contain any <noun>?",
    "Search the whole image. Does any part of it show any <noun>?",
    "Should a report on this image mention any <noun>?",
    "Would an inspector of this image report any <noun>?",
    "Does the area shown include any <noun>?",
    "Could someone who knows the area point to any <noun> in this image?",
)
_KIND = (
    r"Which anomaly can be seen in this image\?",
    r"Something in this scene is out of the ordinary\. What is it\?",
    r"What kind of anomaly does the image show\?",
    r"Which of these unusual conditions is present in the image\?",
    r"One part of the scene differs from its normal state\. Which anomaly is it\?",
    r"Which of the options names the anomaly in this scene\?",
    r"An inspector marks one thing in this image as abnormal\. What is it\?",
    r"Of which kind is the anomaly that this image contains\?",
    r"What has gone wrong in one part of this scene\?",
    r"Which of these anomalies is there in the area shown\?",
)
_PLACE = reads(
    "In which part of the image <is> the <noun>?",
    "The image is divided into nine equal parts. Which one holds the <noun>?",
    "Where in the image <does> the <noun> lie?",
    "Which part of the image is affected by the <noun>?",
    "Nine equal parts make up the image. Which of them would you enlarge to study the <noun>?",
    "Cut the image into three rows and three columns. In which part do you find the <noun>?",
    "Which of these parts of the image shows the <noun>?",
    "Somewhere in the image <is> the <noun>. In which part?",
    "To which part of the image should one look to see the <noun>?",
    "Which ninth of the image contains most of the <noun>?",
)
_CAUSE = (
    r"What has most likely caused the anomaly in this image\?",
    r"Which cause explains what is abnormal in this image\?",
    r"One part of the scene is damaged or out of its normal state\. What does that come from\?",
    r"How did the anomaly seen here come about\?",
    r"Which event is behind the unusual condition in this scene\?",
    r"What is the most likely origin of the anomaly in the area shown\?",
    r"Find what is out of the ordinary in the image\. What has brought it about\?",
    r"Which of these has left its mark on this scene\?",
    r"Judging by the whole scene, what is the anomaly in it due to\?",
    r"An inspector asks what has happened here\. Which answer fits the image\?",
)


_SURROUNDINGS = reads(
    "What kind of land lies around the <noun> in this image?",
    "What kind of land mainly surrounds the <noun>?",
    "Follow the edge of the <noun>. Which type of land use or land cover is beside it almost everywhere?",
    "In the midst of what kind of land <is> the <noun>?",
    "Which land use or land cover borders on the <noun> on nearly all sides?",
    "An inspector walks once around the <noun>. Over what kind of land does the way lead?",
    "Which type of land use or land cover encloses the <noun>?",
    "Whoever leaves the <noun> sets foot on other ground. What kind of land is that nearly everywhere?",
    "Name the land use or land cover all around the <noun>.",
    "Beyond the edge of the <noun>, which type of land use or land cover comes next on nearly all sides?",
)
_AFFECTED = reads(
    "How many <things> lie within <metres> m of the <noun>?",
    "How many <things> are no farther than <metres> m from the <noun>?",
    "Everything within <metres> m of the <noun> is to be checked. How many <things> does that include?",
    "Count the <things> at most <metres> m away from the <noun>. How many are there?",
    "What is the number of <things> within <metres> m of the <noun>?",
    "An inspector keeps to <metres> m or less from the <noun>. How many <things> are there to visit?",
    "Among the <things> in the image, how many lie <metres> m or less from the <noun>?",
    "Leave out the <things> that are more than <metres> m from the <noun>. How many are left?",
    "A warning goes to all <things> up to <metres> m away from the <noun>. How many are warned?",
    "If everything within <metres> m of the <noun> were closed off, how many <things> would that affect?",
)
_AREA = reads(
    "About how large is the <noun> in this image?",
    "What area does the <noun> cover?",
    "How much ground does the <noun> take up?",
    "Estimate the area of the <noun>.",
    "Over what area does the <noun> extend?",
    "What is the approximate area of the <noun>, seen from above?",
    "Which of these comes nearest to the area of the <noun>?",
    "Draw a line around the <noun>. About how much ground does it enclose?",
    "A report states how much ground the <noun> covers. Which figure is right?",
    "Measured on the ground, how extensive is the <noun>?",
)
_NUMBER = reads(
    "How many separate places in the image show <nouns>?",
    "Count the <nouns> that lie apart from each other. How many are there?",
    "In how many places are there <nouns>?",
    "How many <nouns> can be told apart in this image?",
    "In how many separate places do the <nouns> lie?",
    "What is the number of <nouns> that are separate from each other?",
    "Number the <nouns> in the image one by one. What is the last number?",
    "An inspector visits each of the <nouns> in the image once. How many stops are there?",
    "How many separate <nouns> does the image contain?",
    "If each of the <nouns> were given a name of its own, how many names would be needed?",
)

_ORIGIN = reads(
    "What kind of fire has most likely left the <noun> in this image?",
    "Going by what lies around the <noun>, what has burnt here?",
    "Look at the land around the <noun>. Which kind of fire fits?",
    "Which of these fires explains the <noun>, judging by the surroundings?",
    "A fire brigade files a report on the <noun>. Under which kind of fire does it belong?",
    "The <noun> must have looked like the land around before. What was it that burnt?",
    "Which fire <does> the <noun> point to, given the land on all sides?",
    "Judging by the land on all sides of the <noun>, which fire was it?",
    "Which kind of fire would an inspector name as the origin of the <noun>?",
    "What burnt before the <noun> came about, if the land all around is a guide?",
)
_OVERFLOW = reads(
    "Going by what lies around the <noun>, can open water next to the place have overflowed?",
    "Is there open water beside the <noun> that may have left its bed?",
    "Judging by the surroundings, may the <noun> come from water that rose over its bank there?",
    "Could open water right beside the <noun> have caused the flood?",
    "Is there open water at the edge of the <noun> from which the flood may have come?",
    "Follow the edge of the <noun>. Is there open water that can have run over?",
    "Does open water border on the <noun>, which would explain the flood?",
    "An inspector looks for open water next to the <noun>. Is there any from which the flood may have come?",
    "Can the <noun> be explained by open water that lies right beside?",
    "Can a river or lake next to the <noun> have caused the flood by rising over its bank?",
)
_NEAREST = reads(
    "Which of these lies nearest to the <noun>?",
    "If the <noun> spread evenly on all sides, which of these would be reached first?",
    "From which of these is the <noun> the least far away?",
    "Which of these kinds of object comes closest to the <noun>?",
    "Which of these has the least room between it and the <noun>?",
    "Starting at the edge of the <noun>, to which of these is it the least far?",
    "Of these, what would have to be protected first from the <noun>, going by distance?",
    "Look for each of these in the image. Which one is found nearest to the <noun>?",
    "A circle grows around the <noun>. Which of these does it meet first?",
    "Which of these is the nearest neighbour of the <noun>?",
)


def _of_anomaly(tile: Tile, question: str) -> IsRight | None:
    """Return what judges a question about the size, the number or the neighbourhood of an anomaly; None for others."""
    judges = (
        (_SURROUNDINGS, _around),
        (_AFFECTED, _affected),
        (_AREA, _extent),
        (_NUMBER, _number),
        (_ORIGIN, _fire),
        (_OVERFLOW, _overflow),
        (_NEAREST, _nearest),
    )
    for patterns, judge in judges:
        for pattern in patterns:
            if hit := re.fullmatch(pattern, question):
                word = hit.groupdict().get("noun") or hit["nouns"]
                names = [info for info in tile.classes.values() if info.role == "anomaly"]
                found = [info.name for info in names if word == _in_number(tile, info)]
                if found:
                    return judge(tile, tile.anomalies[found[0]], hit)
    return None


def _in_number(tile: Tile, info: ClassWords) -> str:
    """Return the name of an anomaly in the number that it has on a tile."""
    mask = tile.anomalies.get(info.name)
    return info.singular if mask is None or len(_pieces(mask)) == 1 else info.plural


def _pieces(mask: NDArray[np.bool_]) -> list[object]:
    return list(features.shapes(mask.astype(np.uint8), mask=mask, connectivity=8))


def _around(tile: Tile, mask: NDArray[np.bool_], _hit: re.Match[str]) -> IsRight:
    wide = grown(mask, round(max(12.0, 0.15 * float(mask.sum()) ** 0.5)))
    found = shares(tile, wide & ~mask)

    def is_right(option: str) -> bool:
        share = found[class_of(tile, option, "area").name]
        expect(share > 0.75 or share < 0.02, f"{share:.0%} of what lies around is {option}")
        return share > 0.5

    return is_right


FIRES = {
    "a forest fire": {"forest", "tree"},
    "a grass fire": {"grass"},
    "a fire on farmland": {"cropland"},
    "a fire in a wetland": {"wetland"},
    "a fire in a built-up area": {"residential", "commercial", "industrial", "parking", "building"},
}


def _fire(tile: Tile, mask: NDArray[np.bool_], _hit: re.Match[str]) -> IsRight:
    found = shares(tile, grown(mask, round(max(12.0, 0.15 * float(mask.sum()) ** 0.5))) & ~mask)

    def is_right(option: str) -> bool:
        share = sum(share for name, share in found.items() if tile.classes[name].kind in FIRES[option])
        expect(share > 0.75 or share < 0.02, f"{share:.0%} of what lies around could have burnt in {option}")
        return share > 0.5

    return is_right


def _overflow(tile: Tile, mask: NDArray[np.bool_], _hit: re.Match[str]) -> IsRight:
    names = {info.name for info in tile.classes.values() if info.role == "area" and info.kind == "water"}
    water = tile.ground_of(names) & ~grown(mask, 3)
    away = gap(edge_of(mask), edge_of(water)) * tile.metres if water.any() else np.inf
    expect(away < 8 or away > 90, f"water at {away:.0f} m")
    return lambda option: (option == "Yes") is bool(away < 8)


def _nearest(tile: Tile, mask: NDArray[np.bool_], _hit: re.Match[str]) -> IsRight:
    edge = edge_of(mask)

    def metres(option: str) -> float:
        things = things_of(tile, class_of(tile, option, "object").name)
        return min(gap(thing.outline, edge) for thing in things) * tile.metres

    return lambda option: all(
        metres(option) < 0.85 * metres(other.singular)
        for other in tile.classes.values()
        if other.role == "object" and other.singular != option and things_of(tile, other.name)
    )


def _affected(tile: Tile, mask: NDArray[np.bool_], hit: re.Match[str]) -> IsRight:
    limit, edge = int(hit["metres"]), edge_of(mask)
    things = things_of(tile, class_of(tile, hit["things"], "object", plural=True).name)
    expect(all(thing.is_whole for thing in things), "an object is cut")
    metres = [0.0 if at(mask, thing.inside).any() else gap(thing.outline, edge) * tile.metres for thing in things]
    expect(not any(0.9 * limit < each < 1.1 * limit for each in metres), "an object lies at about the limit")
    return lambda option: int(option) == sum(each < limit for each in metres)


def _extent(tile: Tile, mask: NDArray[np.bool_], _hit: re.Match[str]) -> IsRight:
    m2 = float(mask.sum()) * tile.metres**2
    return close_to(m2)


def _number(_tile: Tile, mask: NDArray[np.bool_], _hit: re.Match[str]) -> IsRight:
    return lambda option: int(option) == len(_pieces(mask))


def anomaly_detection(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    judge = _of_anomaly(tile, row.question)
    if judge is not None:
        return judge
    hit = match((*_PRESENCE, *_KIND, *_PLACE, *_CAUSE), row.question)
    if any(re.fullmatch(pattern, row.question) for pattern in _CAUSE):
        causes = {tile.causes[name] for name in tile.anomalies}
        expect(len(causes) == 1, f"the anomalies come from {causes}")
        return lambda option: option in causes
    if not hit.groupdict():
        return lambda option: class_of(tile, option, "anomaly").name in tile.anomalies
    if any(re.fullmatch(pattern, row.question) for pattern in _PRESENCE):
        mask = tile.anomalies.get(class_of(tile, hit["noun"], "anomaly").name)
        expect(mask is None or mask.mean() > 0.0004, "the anomaly is too small to be seen")
        return lambda option: (option == "Yes") is (mask is not None)
    (mask,) = (
        tile.anomalies[info.name]
        for info in tile.classes.values()
        if info.role == "anomaly" and info.name in tile.anomalies and _in_number(tile, info) == hit["noun"]
    )
    rows, columns = np.nonzero(mask)
    part = 3 * (3 * rows // tile.height) + 3 * columns // tile.width
    found = np.bincount(part, minlength=9) / len(part)

    def is_right(option: str) -> bool:
        share = found[PARTS.index(option)]
        expect(share > 0.75 or share < 0.02, f"{share:.0%} of the anomaly is in the {option}")
        return bool(share > 0.5)

    return is_right
