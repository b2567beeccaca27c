"""What a box in the text holds, or a point lies on: class, colour, motion, direction and size of one object."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import shapely

from tests.truth.describing import class_of, could_be_called, match, only, reads
from tests.truth.measuring import SECTORS, ring_area, sector, smallest_rectangle
from tests.truth.reading import Row, Thing, Tile, Truth, expect

IsRight = Callable[[str], bool]

_WHERE = r"Image resolution: (?P<width>\d+) x (?P<height>\d+)\. Bounding box: \[(?P<box>[\d, ]+)\]\."


def boxed(row: Row, tile: Tile) -> tuple[str, Thing]:
    """Return the question without its box, and the only object whose outline the box is drawn around."""
    hit = match((rf"(?P<asked>.+) {_WHERE}",), row.question)
    expect((int(hit["width"]), int(hit["height"])) == row.size, "the stated size is not the image's")
    box = [int(side) for side in hit["box"].split(", ")]
    expect(row.bbox is not None, "no bbox beside the question")
    assert row.bbox is not None
    scale = np.array([*row.size, *row.size])
    expect(np.abs(np.array(row.bbox) * scale - box).max() < 1, f"box {box} in the text, {row.bbox} beside it")
    found = [thing for thing in tile.things if whole_pixels(tile, thing) == box]
    (thing,) = only(found, f"box {box}")
    for other in tile.things:
        if other.thing_id != thing.thing_id:
            x, y = other.inside.T
            share = ((x > box[0]) & (x < box[2]) & (y > box[1]) & (y < box[3])).mean()
            expect(share < 0.12, f"{share:.0%} of {other.thing_id} is in the box too")
    return hit["asked"], thing


_POINT = r"Image resolution: (?P<width>\d+) x (?P<height>\d+)\. Point: \[(?P<x>\d+), (?P<y>\d+)\]\."


def pointed(row: Row, tile: Tile) -> tuple[str, Thing]:
    """Return the question without its point, and the only object that the point lies on."""
    hit = match((rf"(?P<asked>.+) {_POINT}",), row.question)
    expect((int(hit["width"]), int(hit["height"])) == row.size, "the stated size is not the image's")
    expect(row.bbox is None, "a box beside a question that a box would answer")
    return hit["asked"], thing_at(tile, int(hit["x"]), int(hit["y"]))


def thing_at(tile: Tile, x: int, y: int) -> Thing:
    """Return the only object within 3 px of a point, which must lie on it."""
    place = shapely.Point(x, y)
    near = [thing for thing in tile.things if shapely.Polygon(thing.outline).distance(place) < 3]
    (thing,) = only(near, f"point [{x}, {y}]")
    expect(shapely.Polygon(thing.outline).contains(place), f"[{x}, {y}] is beside {thing.thing_id}")
    return thing


def whole_pixels(tile: Tile, thing: Thing) -> list[int]:
    """Return the box of what is visible, rounded outwards to whole pixels."""
    x_min, y_min, x_max, y_max = tile.bounds(thing)
    return [math.floor(x_min + 1e-6), math.floor(y_min + 1e-6), math.ceil(x_max - 1e-6), math.ceil(y_max - 1e-6)]


def _named(tile: Tile, thing: Thing, noun: str) -> None:
    expect(class_of(tile, noun, "object").name == thing.class_name, f"there is no {noun}")


def object_classification(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    asked, thing = boxed(row, tile)
    match(
        (
            r"What is the object inside the bounding box\?",
            r"Which kind of object is in the bounding box\?",
            r"To which class does the object in the given bounding box belong\?",
            r"What does the bounding box contain\?",
            r"Identify the object that the bounding box encloses\.",
            r"Which of the options names the object in the bounding box\?",
            r"What can be seen inside the given bounding box\?",
            r"What kind of thing does the bounding box mark\?",
            r"Which of these is the object in the bounding box\?",
            r"Name the object that lies in the given bounding box\.",
        ),
        asked,
    )
    return lambda option: class_of(tile, option, "object").name == thing.class_name


def object_colour(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    asked, thing = boxed(row, tile)
    hit = match(
        (
            r"What is the colour of the (?P<noun>.+) inside the bounding box\?",
            r"What colour is the (?P<noun>.+) in the bounding box\?",
            r"What is the dominant colour of the (?P<noun>.+) in the given bounding box\?",
            r"Seen from above, what colour does the (?P<noun>.+) that the bounding box encloses have\?",
            r"Which of these colours is that of the (?P<noun>.+) in the bounding box\?",
            r"Name the main colour of the (?P<noun>.+) inside the bounding box\.",
            r"In which colour does the (?P<noun>.+) inside the bounding box appear from above\?",
            r"Most of the (?P<noun>.+) in the given bounding box is of one colour\. Which is it\?",
            r"Which of the options gives the colour of the (?P<noun>.+) in the bounding box\?",
            r"What is the main colour of the (?P<noun>.+) that lies in the bounding box\?",
        ),
        asked,
    )
    _named(tile, thing, hit["noun"])
    seen = tile.colours(thing)
    main = max(seen, key=lambda name: seen[name])
    expect(could_be_called(str(thing.colour), main), f"labelled {thing.colour}, but the pixels are {seen}")

    def is_right(option: str) -> bool:
        expect(option == thing.colour or seen.get(option, 0) < 0.3, f"{option} is there as well: {seen}")
        return option == thing.colour

    return is_right


_MOVING = reads(
    "Is the <noun> inside the bounding box moving?",
    "Is the <noun> in the bounding box in motion?",
    "Was the <noun> in the given bounding box moving when the image was taken?",
    "Does the image show the <noun> in the bounding box while it is moving?",
    "Judging by its surroundings, is the <noun> in the bounding box in motion?",
    "Does the <noun> in the bounding box move?",
    "Would the <noun> in the bounding box be elsewhere a few seconds later?",
    "The <noun> in the given bounding box is either moving or standing still. Is it moving?",
    "When the image was taken, was the <noun> that the bounding box encloses on the move?",
    "Is it true that the <noun> in the bounding box is moving?",
)
_STILL = reads(
    "Is the <noun> inside the bounding box standing still?",
    "Is the <noun> in the bounding box stationary?",
    "Was the <noun> in the given bounding box stationary when the image was taken?",
    "Does the image show the <noun> in the bounding box while it is at rest?",
    "Judging by its surroundings, is the <noun> in the bounding box at rest?",
    "Does the <noun> in the bounding box stand still?",
    "Would the <noun> in the bounding box still be in its place a few seconds later?",
    "The <noun> in the given bounding box is either moving or standing still. Is it standing still?",
    "When the image was taken, was the <noun> that the bounding box encloses at a standstill?",
    "Is it true that the <noun> in the bounding box is not moving?",
)


def object_motion_state(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    asked, thing = boxed(row, tile)
    hit = match((*_MOVING, *_STILL), asked)
    _named(tile, thing, hit["noun"])
    expect(thing.moving is not None, f"nothing is known of the motion of {thing.thing_id}")
    asks_moving = any(re.fullmatch(pattern, asked) for pattern in _MOVING)
    return lambda option: (option == "Yes") is (asks_moving == thing.moving)


_AXES = {"north–south": (0, 4), "northeast–southwest": (1, 5), "east–west": (2, 6), "northwest–southeast": (3, 7)}


def object_orientation(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    asked, thing = pointed(row, tile)
    hit = match(
        tuple(
            rf"{first} North is at the top of the image\."
            for first in (
                r"In which direction does the longer side of the (?P<noun>.+) at the given point run\?",
                r"Along which axis does the (?P<noun>.+) at the point lie\?",
                r"How is the (?P<noun>.+) at the given point oriented, going by its long axis\?",
                r"Which direction does the long axis of the (?P<noun>.+) at the point follow\?",
                r"Along which line does the (?P<noun>.+) that the point lies on stretch\?",
                r"Which of these axes is the (?P<noun>.+) at the given point aligned with, judging by its longer"
                r" side\?",
                r"Take the (?P<noun>.+) at the point: which way does its long axis run\?",
                r"Which of the options gives the direction of the long axis of the (?P<noun>.+) at the given point\?",
                r"Lengthwise, along which of these axes does the (?P<noun>.+) at the point extend\?",
                r"Seen from above, in which direction is the (?P<noun>.+) that the given point lies on longest\?",
            )
        ),
        asked,
    )
    _named(tile, thing, hit["noun"])
    up = tile.bearing(thing.centre, thing.centre - [0, 50])
    expect(min(up, 360 - up) < 5.5, f"up is {up:.1f}° from north, and the question says it is north")
    rectangle = smallest_rectangle(thing.outline)
    expect(thing.is_whole and rectangle.length > 1.45 * rectangle.width, "no longer side to be seen")
    apart = abs((rectangle.angle_deg - _main_axis_deg(thing) + 90) % 180 - 90)
    expect(apart < 25, f"the rectangle and the spread of the area differ by {apart:.0f}°")
    word, room = sector(_azimuth(tile, thing, rectangle.angle_deg))
    expect(room > 7, f"{room:.1f}° from the next direction")
    return lambda option: _SECTOR_NUMBER[word] in _AXES[option]


_SECTOR_NUMBER = {word: number for number, word in enumerate(SECTORS)}


def _azimuth(tile: Tile, thing: Thing, angle_deg: float) -> float:
    angle = math.radians(angle_deg)
    return tile.bearing(thing.centre, thing.centre + 20 * np.array([math.sin(angle), -math.cos(angle)]))


def _main_axis_deg(thing: Thing) -> float:
    """Return the direction of the greatest spread of the area, degrees from "up"."""
    values, vectors = np.linalg.eigh(np.cov(thing.inside.T))
    x, y = vectors[:, int(np.argmax(values))]
    return math.degrees(math.atan2(x, -y))


_LENGTH = reads(
    "About how long is the <noun> at the given point, along its longer axis?",
    "What is the approximate length of the <noun> at the point?",
    "How much does the <noun> at the given point measure in its longer direction?",
    "Which of these comes nearest to the length of the <noun> at the point?",
    "Estimate the length of the <noun> that the point lies on.",
    "Measured along its longer side, how long is the <noun> at the given point?",
    "What does the longer side of the <noun> at the point measure on the ground?",
    "From end to end, about how long is the <noun> at the given point?",
    "How great is the longer dimension of the <noun> that the given point lies on?",
    "Which of the options gives the length of the <noun> at the point best?",
)
_AREA = reads(
    "About how large is the area that the <noun> at the given point covers?",
    "What is the approximate area within the outline of the <noun> at the point, seen from above?",
    "Over what area does the <noun> at the given point extend?",
    "Which of these comes nearest to the area covered by the <noun> at the point?",
    "Estimate the area that the <noun> that the point lies on takes up.",
    "Seen from above, how large is the <noun> at the given point?",
    "How much ground does the <noun> at the point take up?",
    "About how much ground lies within the outline of the <noun> at the given point?",
    "What area does the <noun> that the given point lies on occupy?",
    "Which of the options gives the ground area of the <noun> at the point best?",
)


def object_size(row: Row, truth: Truth) -> IsRight:
    tile = truth.tile(row)
    asked, thing = pointed(row, tile)
    hit = match((*_LENGTH, *_AREA), asked)
    expect(hit["noun"] == "object", "the class is told, and with it about how large the thing is")
    expect(thing.is_whole, "the object is cut")
    if any(re.fullmatch(pattern, asked) for pattern in _LENGTH):
        return close_to(smallest_rectangle(thing.outline).length * tile.metres)
    return close_to(ring_area(thing.outline) * tile.metres**2)


UNITS = {"m": 1.0, "km": 1e3, "m²": 1.0, "ha": 1e4, "km²": 1e6}


def close_to(value: float) -> IsRight:
    """Return a judge of measures: right within the rounding to two digits, wrong from a fifth off, doubtful between."""

    def is_right(option: str) -> bool:
        hit = match((rf"(?:about )?(?P<value>[\d.,]+) (?P<unit>{'|'.join(UNITS)})",), option)
        told = float(hit["value"].replace(",", "")) * UNITS[hit["unit"]]
        off = abs(told - value) / value
        expect(off < 0.055 or off > 0.2, f"{option} is {off:.0%} from {value:.4g}")
        return off < 0.055

    return is_right
