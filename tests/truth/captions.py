"""Every number, share, class, place and relation that a caption states, of the tile, its nine parts, and a circle."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio import features

from tests.truth.describing import class_of, match, things_of
from tests.truth.inferences import expect_inference
from tests.truth.land_use import PARTS, shares
from tests.truth.marks import circle_of, disc
from tests.truth.measuring import along, at, edge_of, gap, parallel_share
from tests.truth.reading import ClassWords, Row, Thing, Tile, Truth, WrongError, expect

Weights = NDArray[np.float64]

SHARE_SLACK = 0.0075
"""Shares are told in whole percent; pixels and outlines differ a little."""

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
UNITS = {"m": 1.0, "km": 1e3, "m²": 1.0, "ha": 1e4, "km²": 1e6}
TOUCHING = 4
"""Pixels from the edge of one ground to another that borders on it."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph."""
    return re.split(r"(?<=\.) (?=[A-Z\d])", text)


def measure(text: str) -> float:
    """Return "1.2 km" in metres, "9.4 ha" in square metres."""
    number, unit = text.split(" ")
    expect(float(number.replace(",", "")) < 1000 or unit == "m²", f"a number that is too long to read: {text}")
    return float(number.replace(",", "")) * UNITS[unit]


def _expect_size(text: str, true: float, what: str) -> None:
    expect(abs(measure(text) / true - 1) < 0.06, f"{what} is {true:.1f}, not {text}")


def detailed_captioning(row: Row, truth: Truth) -> None:
    match(
        (
            r"Describe this image in detail: .+ nine parts from left to right and top to bottom, and last .+",
            r"Write a detailed description of the image\. .+ the nine parts \(left to right, top to bottom\), .+",
            r"Please give a full caption of this remote sensing image: .+ nine parts in reading order, .+",
            r"What does this image show\? .+ the nine parts from top left to bottom right, .+",
            r"Divide the image into nine equal parts\. Describe the whole, then each part in reading order, .+",
            r"Describe the scene for someone who cannot see it: all of it, then its nine parts in reading order, "
            r"then what can be inferred\.",
            r"Give a detailed account of this image: the whole, the nine parts from top left to bottom right, and"
            r" a conclusion\.",
            r"Write a caption of three paragraphs: the image as a whole, its nine parts in reading order, and an "
            r"inference\.",
            r"What is where in this image\? Describe the whole, go through the nine parts in reading order, and "
            r"end with an inference\.",
            r"Report what this remote sensing image shows: an overview, the nine parts from left to right and top"
            r" to bottom, and what follows from it\.",
        ),
        row.question,
    )
    tile = truth.tile(row)
    paragraphs = row.answer.split("\n")
    expect(len(paragraphs) == 3, f"{len(paragraphs)} paragraphs")
    _expect_overall(tile, sentences(paragraphs[0]))
    _expect_parts(tile, sentences(paragraphs[1]))
    for sentence in sentences(paragraphs[2]):
        expect_inference(tile, sentence)


def _expect_overall(tile: Tile, told: list[str]) -> None:
    whole = np.ones((tile.height, tile.width))
    size = r"[\d.,]+ k?m"
    extent = match(
        (
            rf"Seen from above, the image covers about (?P<width>{size}) by (?P<height>{size}),"
            r" (?P<area>\S+ \S+) in all\.",
            rf"The scene measures about (?P<width>{size}) by (?P<height>{size}) \((?P<area>\S+ \S+)\)\.",
            rf"About (?P<area>\S+ \S+) of ground is shown, (?P<width>{size}) from left to right and (?P<height>{size})"
            r" from top to bottom\.",
        ),
        told[0],
    )
    _expect_size(extent["width"], tile.width * tile.metres, "the width")
    _expect_size(extent["height"], tile.height * tile.metres, "the height")
    _expect_size(extent["area"], tile.width * tile.height * tile.metres**2, "the area")
    for sentence in told[1:]:
        for pattern, judge in _OF_THE_WHOLE:
            if hit := re.fullmatch(pattern, sentence):
                judge(tile, hit)
                break
        else:
            _expect_sentence(tile, whole, sentence, "the scene")
    expect_no_silence(tile, whole, " ".join(told))


def _dominant(tile: Tile, hit: re.Match[str]) -> None:
    whole = np.ones((tile.height, tile.width))
    first = _expect_ground(tile, whole, hit["items"], hit["rest"] or "")
    expect(first > 0.5, f"only {first:.0%} is no half")


def _shared(tile: Tile, hit: re.Match[str]) -> None:
    first = _expect_ground(tile, np.ones((tile.height, tile.width)), hit["items"])
    expect(first < 0.5, f"{first:.0%} is half")
    expect(sum(shares(tile).values()) > 0.89, "much of the ground has no label")


def _listed(tile: Tile, hit: re.Match[str]) -> None:
    _expect_ground(tile, np.ones((tile.height, tile.width)), hit["items"])


def _lying(tile: Tile, hit: re.Match[str]) -> None:
    mask = tile.ground_of({_ground(tile, hit["noun"])[0].name})
    said = hit.groupdict()
    if place := said.get("part"):
        inside = mask * part_weights(tile, place)
        expect(inside.sum() > 0.78 * mask.sum(), f"not in the {place}: {hit[0]}")
    elif half := said.get("half"):
        middle = {"left": tile.width, "right": tile.width, "upper": tile.height, "lower": tile.height}[half] // 2
        first = mask[:, :middle] if half in ("left", "right") else mask[:middle]
        share = first.sum() / mask.sum()
        expect((share if half in ("left", "upper") else 1 - share) > 0.88, f"not in that half: {hit[0]}")
    else:
        least = min(float((mask * part_weights(tile, part)).sum()) for part in PARTS)
        expect(least > 0.045 * mask.sum(), f"not everywhere: {hit[0]}")


def _relation(tile: Tile, hit: re.Match[str]) -> None:
    mask = tile.ground_of({_ground(tile, hit["noun"])[0].name})
    others = [_ground(tile, noun)[0].name for noun in re.split(r", | and ", hit["others"])]
    edge = edge_of(mask)
    inner = edge[((edge > TOUCHING) & (edge < np.array([tile.width, tile.height]) - TOUCHING)).all(axis=1)]
    near = {name: at(_widened(tile.ground_of({name})), inner) for name in others}
    for name, touching in near.items():
        expect(touching.mean() > 0.27, f"{name} is along {touching.mean():.0%} of the edge: {hit[0]}")
    expect(np.any(list(near.values()), axis=0).mean() > 0.82, f"much else borders on it: {hit[0]}")
    if "around" in hit[0] or "surrounded" in hit[0]:
        expect(len(others) == 1 and near[others[0]].mean() > 0.87, f"not all around: {hit[0]}")
        is_cut = any(side.any() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))
        expect(not is_cut, f"cut by the edge of the image: {hit[0]}")
        outer = at(_widened(tile.ground_of({others[0]})), edge_of(_without_holes(mask)))
        expect(outer.mean() > 0.87, f"inside it, not around: {hit[0]}")


def _without_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with all that it encloses."""
    found = features.shapes(mask.astype(np.uint8), mask=mask)
    outer = [({"type": "Polygon", "coordinates": outline["coordinates"][:1]}, 1) for outline, _ in found]
    filled: NDArray[np.bool_] = features.rasterize(outer, mask.shape, dtype="uint8").astype(bool)
    return filled


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the mask with all within `TOUCHING` pixels of it."""
    wide = np.pad(mask, TOUCHING)
    for axis in (0, 1):
        wide = np.any([np.roll(wide, step, axis) for step in range(-TOUCHING, TOUCHING + 1)], axis=0)
    return wide[TOUCHING:-TOUCHING, TOUCHING:-TOUCHING]


def _beside_roads(tile: Tile, hit: re.Match[str]) -> None:
    roads = np.concatenate([along(line) for line in tile.roads])
    things = things_of(tile, class_of(tile, hit["noun"], "object", plural=True).name)
    expect(len(things) > 4, f"only {len(things)}: {hit[0]}")
    for thing in things:
        reach = gap(thing.outline, roads) * tile.metres
        expect(reach <= float(hit["metres"]), f"{thing.thing_id} is {reach:.1f} m from a road: {hit[0]}")


def _road_length(tile: Tile, hit: re.Match[str]) -> None:
    length = sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in tile.roads)
    _expect_size(hit["length"], length * tile.metres, "the length of the roads")


def _road_grid(tile: Tile, _hit: re.Match[str]) -> None:
    steps = np.concatenate([np.diff(along(line), axis=0) for line in tile.roads])
    lengths, angles = np.hypot(*steps.T), np.degrees(np.arctan2(steps[:, 1], steps[:, 0]))
    off = [np.abs((angles - main + 45) % 90 - 45) < 10 for main in range(90)]
    best = max(range(90), key=lambda main: lengths[off[main]].sum())
    expect(lengths[off[best]].sum() > 0.85 * lengths.sum(), "the roads run in many directions")
    lines = [shapely.LineString(line) for line in tile.roads]
    met = [one.intersection(other) for one, other in itertools.combinations(lines, 2) if one.intersects(other)]
    expect(len(met) > 3, f"the roads meet {len(met)} times")


_GROUNDS = r"(?P<items>[^:]+?)(?P<rest>, (?:the rest being|beside) .+)?"
_OF_THE_WHOLE: tuple[tuple[str, Callable[[Tile, re.Match[str]], None]], ...] = (
    (rf"{_GROUNDS} dominates? the scene(?P<more>)\.", _dominant),
    (r"(?P<items>.+ %\)) dominates? the scene(?P<rest>, .+)?\.", _dominant),
    (r"More than half of the scene is taken up by (?P<items>.+? %\))(?P<rest>, .+)?\.", _dominant),
    (r"The main land cover is (?P<items>.+? %\))(?P<rest>, .+)?\.", _dominant),
    (r"No single land cover takes up half of the scene; the largest are (?P<items>.+)\.", _shared),
    (r"The ground is a mixture, mainly of (?P<items>.+)\.", _shared),
    (r"(?P<items>.+) make up most of the ground, and none of them takes up half of it\.", _shared),
    (r"Among what covers the ground (?:is|are) (?P<items>.+)\.", _listed),
    (r"The scene shows (?P<items>.+ %\))\.", _listed),
    (r"(?P<items>.+ %\)) can be seen from above\.", _listed),
    (r"The (?P<noun>.+) (?:lies|lie) mainly in the (?P<half>left|right|upper|lower) half\.", _lying),
    (r"The (?P<noun>.+) (?:lies|lie) mainly in the (?P<part>.+) part\.", _lying),
    (r"Nearly all of the (?P<noun>.+) can be found in the (?P<half>left|right|upper|lower) half\.", _lying),
    (r"Most of the (?P<noun>.+) can be found in the (?P<part>.+) part\.", _lying),
    (r"The (?P<noun>.+) (?:lies|lie) all over the scene\.", _lying),
    (r"There (?:is|are) (?P<noun>.+) in each of the nine parts\.", _lying),
    (r"The (?P<noun>.+) (?:is|are) surrounded by (?P<others>.+)\.", _relation),
    (r"(?P<others>The .+) (?:lies|lie) all around the (?P<noun>.+)\.", _relation),
    (r"The (?P<noun>.+) borders? on (?P<others>.+)\.", _relation),
    (r"Along the edge of the (?P<noun>.+?) (?:lies|lie) (?P<others>.+)\.", _relation),
    (r"The (?P<noun>.+) line the roads: each stands within (?P<metres>\d+) m of one\.", _beside_roads),
    (r"Each of the (?P<noun>.+) has a road within (?P<metres>\d+) m\.", _beside_roads),
    (r"The roads have a length of about (?P<length>\S+ k?m) in all\.", _road_length),
    (r"About (?P<length>\S+ k?m) of road runs through the scene\.", _road_length),
    (r"The roads form a grid of straight streets at right angles\.", _road_grid),
    (r"Straight streets cross each other at right angles, as a grid\.", _road_grid),
)


def _expect_parts(tile: Tile, told: list[str]) -> None:
    place, described = "", []
    texts: dict[str, str] = {}
    for sentence in told:
        named = re.search(r"\b[Tt]he ((?:top|middle|bottom) (?:left|centre|right)|centre) part\b", sentence)
        if named:
            place = named[1]
            described.append(place)
        texts[place] = f"{texts.get(place, '')} {sentence}"
        _expect_sentence(tile, part_weights(tile, place), sentence, f"the {place} part")
    expect(described == [part for part in PARTS if part in described], f"parts out of order: {described}")
    expect(len(set(described)) == len(described), f"a part is named twice: {described}")
    for part, text in texts.items():
        expect_no_silence(tile, part_weights(tile, part), text)


def part_weights(tile: Tile, place: str) -> Weights:
    """Return the share of each pixel that lies in one of the nine parts, (height, width)."""
    row, column = divmod(PARTS.index(place), 3)
    return np.outer(_third(tile.height, row), _third(tile.width, column))


def _third(size: int, number: int) -> Weights:
    """Return how much of each pixel along one axis lies in one of three equal parts."""
    first = np.arange(size)
    low, high = size * number / 3, size * (number + 1) / 3
    covered: Weights = np.clip(np.minimum(first + 1, high) - np.maximum(first, low), 0.0, 1.0)
    return covered


def regional_captioning(row: Row, truth: Truth) -> None:
    hit = match(
        (
            r"Describe what is inside red circle (?P<number>\d)\.",
            r"What can be seen in the area marked by circle (?P<number>\d)\? Describe it\.",
            r"Write a short description of the region inside circle (?P<number>\d)\.",
            r"Please give a caption for the area within red circle (?P<number>\d)\.",
            r"Look at circle (?P<number>\d)\. What does this region contain\?",
            r"What lies inside red circle (?P<number>\d)\? Describe it in a few words\.",
            r"Give a short account of the ground inside circle (?P<number>\d)\.",
            r"Describe the area that red circle (?P<number>\d) encloses\.",
            r"Looking only inside circle (?P<number>\d), what is there\?",
            r"Write a caption for the region in red circle (?P<number>\d)\.",
        ),
        row.question,
    )
    tile, circle = truth.tile(row), circle_of(row, hit["number"])
    *told, size = sentences(row.answer)
    said = match(
        (
            r"This area is about (?P<width>\S+ k?m) across \((?P<area>\S+ \S+)\)\.",
            r"This area measures about (?P<width>\S+ k?m) from side to side, (?P<area>\S+ \S+) in all\.",
            r"This area is about (?P<width>\S+ k?m) wide and measures about (?P<area>\S+ \S+)\.",
        ),
        size,
    )
    radius = circle.radius * tile.metres
    _expect_size(said["width"], 2 * radius, "the width of the circle")
    _expect_size(said["area"], math.pi * radius**2, "the area of the circle")
    region = disc(tile, circle).astype(float)
    place = f"the area inside circle {hit['number']}"
    for sentence in told:
        _expect_sentence(tile, region, sentence, place)
    expect_no_silence(tile, region, " ".join(told))


def expect_no_silence(tile: Tile, region: Weights, text: str) -> None:
    """Raise unless a text names every land use, and every class of objects, that covers over a quarter of a region."""
    objects = {name: covered_by(tile, things_of(tile, name), region) for name in tile.classes if things_of(tile, name)}
    for name, share in {**shares(tile, region), **objects}.items():
        info = tile.classes[name]
        is_named = info.singular in text.lower() or info.plural in text.lower()
        expect(share < 0.26 or is_named, f"silent about {share:.0%} of {name}")


def _expect_sentence(tile: Tile, region: Weights, sentence: str, place: str) -> None:
    """Raise unless a sentence about one region is true."""
    at_place = rf"(?:{place}|{place[0].upper()}{place[1:]}|[Tt]his (?:part|area))"
    rest = r"(?P<rest>, (?:the rest being|beside) .+)?"
    one = r"(?P<items>.+? %\))"
    hit = match(
        (
            rf"(?P<entire>){at_place} consists entirely of (?P<items>.+)\.",
            rf"(?P<entire>)All of {at_place} is taken up by (?P<items>.+)\.",
            rf"(?P<all>){at_place} consists almost entirely of {one}{rest}\.",
            rf"(?P<all>){one} fills? almost all of {at_place}{rest}\.",
            rf"(?P<all>)Almost all of {at_place} is taken up by {one}{rest}\.",
            rf"(?P<all>){at_place}, too, consists almost entirely of {one}{rest}\.",
            rf"(?P<mostly>){at_place} consists mostly of {one}{rest}\.",
            rf"(?P<mostly>){one} dominates? {at_place}{rest}\.",
            rf"(?P<mostly>)Most of {at_place} is taken up by {one}{rest}\.",
            rf"(?P<divided>){at_place} is divided between (?P<items>.+)\.",
            rf"(?P<divided>)In {at_place}, (?P<items>.+) lie side by side\.",
            rf"(?P<divided>)(?P<items>.+) share {at_place} between them\.",
            rf"(?P<some>){at_place} shows (?P<items>.+)\.",
            rf"(?P<some>)In {at_place} one can see (?P<items>.+)\.",
            rf"(?P<some>)(?P<items>.+) covers? part of {at_place}\.",
            rf"(?P<across>)A road crosses {at_place}\.",
            rf"(?P<across>){at_place} is crossed by a road\.",
            rf"(?P<reaching>)A road reaches into {at_place}\.",
            rf"(?P<reaching>)Part of a road lies in {at_place}\.",
            rf"{at_place} contains (?P<objects>.+)\.",
            rf"There (?:is|are) (?P<objects>.+) in {at_place}\.",
            rf"(?P<objects>.+) can be made out in {at_place}\.",
            rf"(?P<objects>.+) covers? (?P<amount>(?:about|at least) \d+ %|(?:nearly )?all) of {at_place}\.",
            rf"(?P<amount>(?:About|At least) \d+ %|(?:Nearly all|All)) of {at_place} is covered by (?P<objects>.+)\.",
            r"(?P<objects>.+) are (?P<ground>(?:in|on) the .+)\.",
            r"(?P<ground>(?:In|On) the .+) there are (?P<objects>.+)\.",
        ),
        sentence,
    )
    said = hit.groupdict()
    if said.get("amount"):
        _expect_cover(tile, region, said["objects"], said["amount"].lower())
    elif said.get("objects"):
        _expect_objects(tile, region, said["objects"], said.get("ground"))
    elif said.get("items"):
        first = _expect_ground(tile, region, said["items"], said.get("rest") or "")
        for word, least in (("entire", 0.985), ("all", 0.89), ("mostly", 0.59)):
            expect(word not in said or first > least, f"{first:.0%} is not {word}: {sentence}")
        if "divided" in said:
            named = sum(shares(tile, region)[_ground(tile, item)[0].name] for item in _items(said["items"]))
            expect(named > 0.88, f"much else covers it: {sentence}")
    else:
        _expect_road(tile, region, is_across="across" in said)


def _items(text: str) -> list[str]:
    """Return the nouns of a list of ground."""
    return [re.sub(r" \((?:about |at least )?\d+ %\)", "", item) for item in re.split(r", | and ", text)]


def _ground(tile: Tile, noun: str) -> tuple[ClassWords, bool]:
    """Return the class that "an orchard", "the car parks" or "Forest" names, and whether it is said to be one piece."""
    word = re.sub(r"^(?:[Tt]he|[Aa]n?) ", "", noun)
    for each in (word, word[0].lower() + word[1:]):
        for info in (info for info in tile.classes.values() if info.role == "area"):
            if each in (info.singular, info.plural):
                expect(not noun.lower().startswith("a ") or each[0] not in "aeiou", f"a wrong article: {noun!r}")
                return info, bool(re.match(r"[Aa]n? ", noun))
    raise WrongError(f"{noun!r} is no land use")


def _expect_ground(tile: Tile, region: Weights, items: str, rest: str = "") -> float:
    """Return the share of the first item; raise unless all are true, the largest first, and no larger is left out."""
    found, told = shares(tile, region), []
    is_all = rest.startswith(", the rest being ")
    rest = re.sub(r"^, (?:the rest being|beside) ", "", rest)
    for item in [*re.split(r", | and ", items), *(re.split(r", | and ", rest) if rest else [])]:
        hit = match((r"(?P<noun>.+?)(?: \((?P<least>at least )?(?:about )?(?P<percent>\d+) %\))?",), item)
        info, is_one = _ground(tile, hit["noun"])
        share = found[info.name]
        told.append(share)
        if hit["percent"]:
            off = share - int(hit["percent"]) / 100
            is_true = off > -SHARE_SLACK if hit["least"] else abs(off) < SHARE_SLACK
            expect(is_true, f"{info.name} covers {share:.1%}, not {item}")
        if is_one:
            num = _num_pieces(tile, region, info.name)
            expect(num == 1, f"{num} pieces of {info.name}")
        del found[info.name]
    expect(
        all(one >= other - 2 * SHARE_SLACK for one, other in itertools.pairwise(told)), f"not sorted: {items} {rest}"
    )
    expect(max(found.values()) < max(min(told), 0.05) + SHARE_SLACK, f"a larger land use is left out: {found}")
    expect(not is_all or sum(told) > 0.96, f"{1 - sum(told):.0%} is left beside what is called the rest")
    return told[0]


def _num_pieces(tile: Tile, region: Weights, name: str) -> int:
    """Return how many pieces of one ground with more than a hundredth of a region lie in it."""
    mask = tile.ground_of({name}) & (region > 0.5)
    pieces = features.shapes(mask.astype(np.uint8), mask=mask, connectivity=8)
    areas = [shapely.geometry.shape(shape).area for shape, _ in pieces]
    return sum(area > 0.01 * region.sum() for area in areas)


def _expect_objects(tile: Tile, region: Weights, items: str, ground: str | None) -> None:
    """Raise unless each item of a list of objects is true of a region; `ground` is what all of them are on."""
    items = items[0].lower() + items[1:]
    for item in re.split(r", | and ", items):
        hit = match(
            (
                rf"(?:(?P<count>\d+|{'|'.join(NUMBERS)}) )?(?P<noun>.+?)(?P<rows> in rows| in a row)?"
                r"(?: \((?P<least>at least |about )(?P<percent>\d+) % of the ground\))?",
            ),
            item,
        )
        count = hit["count"] and (NUMBERS.index(hit["count"]) + 1 if hit["count"] in NUMBERS else int(hit["count"]))
        info = class_of(tile, hit["noun"], "object", plural=count != 1)
        inside = _expect_count(tile, region, info, count or None, is_some=not hit["percent"])
        if hit["rows"]:
            least = 0.8
            expect(parallel_share(inside, one_line=hit["rows"] == " in a row") >= least, f"not in rows: {item}")
        if hit["percent"]:
            share = covered_by(tile, things_of(tile, info.name), region)
            expect(abs(share - int(hit["percent"]) / 100) < 0.02, f"{info.name} covers {share:.1%}: {item}")
        if ground:
            name = _ground(tile, ground[3:])[0].name
            centres = np.array([thing.centre for thing in inside])
            expect(at(tile.ground_of({name}), centres).all(), f"not all {ground}: {item}")


def _expect_cover(tile: Tile, region: Weights, objects: str, amount: str) -> None:
    """Raise unless objects, or one that is cut by the edge of the region, cover what is said of it."""
    one = re.fullmatch(r"[Pp]art of an? (?P<noun>.+)", objects)
    noun = one["noun"] if one else objects[0].lower() + objects[1:]
    things = things_of(tile, class_of(tile, noun, "object", plural=one is None).name)
    share = covered_by(tile, things, region)
    if number := re.search(r"\d+", amount):
        off = share - int(number[0]) / 100
        expect(off > -0.02 and (off < 0.02 or "least" in amount), f"{noun} cover {share:.1%}, not {amount}")
    else:
        expect(share > (0.995 if amount == "all" else 0.98), f"{noun} cover {share:.1%}, not {amount}")
    if one:
        inside = [float(at(region > 0.5, thing.inside).mean()) for thing in things]
        expect(sum(part > 0 for part in inside) == 1 and max(inside) < 0.99, f"not part of one {noun}: {inside}")


def covered_by(tile: Tile, things: Iterable[Thing], region: Weights) -> float:
    """Return the share of a region that objects cover."""
    shapes = [({"type": "Polygon", "coordinates": [thing.outline.tolist()]}, 1) for thing in things]
    mask = features.rasterize(shapes, out_shape=(tile.height, tile.width), dtype="uint8")
    return float((mask * region).sum() / region.sum())


def _expect_count(tile: Tile, region: Weights, info: ClassWords, count: int | None, *, is_some: bool) -> list[Thing]:
    """Return the objects of a class in a region; raise unless there are so many, or several where no number is told."""
    things = things_of(tile, info.name)
    inside = [float(at(region > 0.5, thing.inside).mean()) for thing in things]
    if count is None:
        expect(sum(share > 0.4 for share in inside) > 1 or not is_some, f"there are not several {info.plural}")
        return [thing for thing, share in zip(things, inside, strict=True) if share > 0.4]
    expect(not any(0.05 < share < 0.95 for share in inside), f"one of the {info.plural} is on the border")
    found = [thing for thing, share in zip(things, inside, strict=True) if share >= 0.95]
    expect(len(found) == count, f"{len(found)} {info.plural}, not {count}")
    return found


def _expect_road(tile: Tile, region: Weights, *, is_across: bool) -> None:
    """Raise unless a road is in a region; `is_across`: one that comes in at one place and goes out at another."""
    inner = np.pad(region > 0.5, 3)
    outside = [np.roll(~inner, step, (0, 1)) for step in itertools.product((-3, 0, 3), repeat=2)]
    rim = np.any(outside, axis=0)[3:-3, 3:-3]
    for line in tile.roads:
        points = along(line)
        points = np.clip(points, 0.01, np.array([tile.width, tile.height]) - 0.01)
        is_in = at(region > 0.5, points)
        runs = np.flatnonzero(np.diff(np.concatenate([[0], is_in.astype(int), [0]]))).reshape(-1, 2)
        for start, end in runs:
            if end - start > 5 and (not is_across or at(rim, points[[start, end - 1]]).all()):
                return
    expect(False, "no road there, or none that crosses it")
