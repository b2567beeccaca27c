"""Every number, share and class that a caption states, of the whole tile, of its nine parts, and of a circle."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tests.truth.describing import class_of, match, things_of
from tests.truth.environment import expect_inference
from tests.truth.land_use import PARTS, shares
from tests.truth.marks import circle_of, disc
from tests.truth.measuring import along, at
from tests.truth.reading import Row, Tile, Truth, expect

Weights = NDArray[np.float64]

SHARE_SLACK = 0.0075
"""Shares are told in whole percent; pixels and outlines differ a little."""


def sentences(text: str) -> list[str]:
    """Return the sentences of a paragraph."""
    return re.split(r"(?<=\.) (?=[A-Z])", text)


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
    extent = match(
        (r"Overall, this image from above shows an area of about (?P<width>\d+) m by (?P<height>\d+) m\.",), told[0]
    )
    for name, size in (("width", tile.width), ("height", tile.height)):
        expect(abs(int(extent[name]) / (size * tile.metres) - 1) < 0.05, f"the tile's {name} is not {extent[name]} m")
    for sentence in told[1:]:
        if sentence == "Roads run through the area.":
            expect(tile.roads, "no roads")
            continue
        hit = match(
            (
                r"(The largest land uses are|By area, the main land uses are|Most prominent among the land uses are)"
                r" (?P<items>.+)\.",
                r"(It contains|It shows) (?P<items>.+)\.",
            ),
            sentence,
        )
        is_ground = "land uses" in sentence
        _expect_items(tile, whole, hit["items"], are_main=is_ground)


def _expect_parts(tile: Tile, told: list[str]) -> None:
    place, described = "", []
    for sentence in told:
        named = re.search(r"\b[Tt]he ((?:top|middle|bottom) (?:left|centre|right)|centre) part\b", sentence)
        if named:
            place = named[1]
            described.append(place)
        _expect_sentence(tile, part_weights(tile, place), sentence, f"{place} part")
    expect(described == [part for part in PARTS if part in described], f"parts out of order: {described}")


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
    metres = int(match((r"It is about (?P<metres>\d+) m across\.",), size)["metres"])
    expect(abs(metres / (2 * circle.radius * tile.metres) - 1) < 0.05, f"the circle is not {metres} m across")
    for sentence in told:
        _expect_sentence(tile, disc(tile, circle).astype(float), sentence, f"area inside circle {hit['number']}")


def _expect_sentence(tile: Tile, region: Weights, sentence: str, place: str) -> None:
    """Raise unless a sentence about one region is true."""
    where = rf"[Tt]he {place}"
    hit = match(
        (
            rf"{where} is mostly (?P<main>[^,]+)(, with (?P<rest>.+))?\.",
            rf"Mostly (?P<main>[^,]+) covers {where}(, beside (?P<rest>.+))?\.",
            rf"{where} shows (?P<uses>.+)\.",
            rf"In {where} there is (?P<uses>.+)\.",
            rf"{where} contains (?P<objects>.+)\.",
            rf"Seen in {where}: (?P<objects>.+)\.",
            r"It contains (?P<objects>.+)\.",
            r"Seen there: (?P<objects>.+)\.",
            r"It also shows (?P<objects>.+)\.",
        ),
        sentence,
    )
    said = hit.groupdict()
    if said.get("main"):
        name = class_of(tile, said["main"], "area").name
        found = shares(tile, region)
        expect(
            found[name] > 0.59 and found[name] == max(found.values()), f"{found[name]:.0%} is not mostly: {sentence}"
        )
        if said["rest"]:
            _expect_items(tile, region, said["rest"], main=name)
    else:
        items = said.get("uses") or said["objects"]
        _expect_items(tile, region, items, are_main=bool(said.get("uses")))


def _expect_items(tile: Tile, region: Weights, items: str, *, are_main: bool = False, main: str | None = None) -> None:
    """Raise unless each item of a list is true of a region; `are_main`: no land use that is left out covers more."""
    ground = {}
    for item in re.split(r", | and ", items):
        if area := re.fullmatch(r"(?P<noun>.+) \(about (?P<percent>\d+) %\)", item):
            ground[class_of(tile, area["noun"], "area").name] = int(area["percent"]) / 100
        elif item == "a road":
            expect(any(at(region > 0.5, along(line)).any() for line in tile.roads), "no road there")
        elif counted := re.fullmatch(r"(?P<count>\d+) (?P<noun>.+)", item):
            _expect_count(tile, region, counted["noun"], int(counted["count"]))
        else:
            _expect_count(tile, region, item, None)
    if ground:
        _expect_ground(shares(tile, region), ground, are_main=are_main, main=main)


def _expect_ground(found: Mapping[str, float], told: Mapping[str, float], *, are_main: bool, main: str | None) -> None:
    for name, share in told.items():
        expect(abs(found[name] - share) < SHARE_SLACK, f"{name} covers {found[name]:.1%}, not {share:.0%}")
    expect(list(told.values()) == sorted(told.values(), reverse=True), f"not the largest first: {dict(told)}")
    left_out = [share for name, share in found.items() if name not in told and name != main]
    if are_main or main:
        expect(max(left_out) <= min(told.values()) + SHARE_SLACK, f"a larger land use is left out: {dict(found)}")


def _expect_count(tile: Tile, region: Weights, noun: str, count: int | None) -> None:
    info = class_of(tile, noun, "object", plural=count != 1)
    inside = [float(at(region > 0.5, thing.inside).mean()) for thing in things_of(tile, info.name)]
    if count is None:
        expect(sum(share > 0.4 for share in inside) > 1, f"there are not several {noun}")
        return
    expect(not any(0.05 < share < 0.95 for share in inside), f"one of the {noun} is on the border")
    found = sum(share >= 0.95 for share in inside)
    expect(found == count, f"{found} {noun}, not {count}")
