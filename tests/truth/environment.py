"""The table of `docs/environmental-rules.md`, measured in pixels."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from rasterio.features import sieve

from tests.truth.describing import match
from tests.truth.measuring import Points, along, at, edge_of, gap
from tests.truth.reading import Row, Tile, Truth, expect

IsRight = Callable[[str], bool]

BUILT_OVER = {"residential", "commercial", "industrial", "parking", "building", "road", "railway"}
PLANTS = {"forest", "tree", "grass", "cropland", "wetland"}
COOLING = {"forest", "tree", "water", "wetland"}
UNFARMED = {"forest", "tree", "grass", "wetland"}
PAVED = {
    "residential": 0.38,
    "commercial": 0.85,
    "industrial": 0.72,
    "parking": 0.98,
    "building": 0.98,
    "road": 0.98,
}

QUESTIONS = (
    r"Which statement about the environment is best supported by the image\?",
    r"From what the image shows, which conclusion about the environmental conditions is right\?",
    r"What can be inferred about the environment of this area\?",
    r"Considering land use, water, roads and buildings, which statement holds for this area\?",
    r"Which of these environmental assessments fits the scene\?",
    r"Which of these statements about the environment is true of the area shown\?",
    r"An ecologist studies this image\. Which conclusion does it support\?",
    r"What do land use, water, roads and buildings in this scene tell about its environment\?",
    r"Only one of these conclusions follows from the image\. Which one is it\?",
    r"Which environmental conclusion can be drawn from this image\?",
)

SHORE_STEP = 3
"""Every n-th pixel of the shore is looked at."""


class Site:
    """Measures of one tile."""

    def __init__(self, tile: Tile) -> None:
        self.tile = tile

    def share(self, kinds: set[str]) -> float:
        """Return the share of the tile that land use of some kinds covers."""
        return sum(share for name, share in self.tile.shares.items() if self.tile.classes[name].kind in kinds)

    def names(self, kinds: set[str]) -> set[str]:
        """Return the land-use classes of some kinds."""
        return {name for name in self.tile.ground_classes if self.tile.classes[name].kind in kinds}

    def buildings_near(self, kinds: set[str], metres: float) -> float:
        """Return the share of buildings whose outline is so near to land use of some kinds."""
        return self._buildings_near_ground(self.tile.ground_of(self.names(kinds)), metres)

    def buildings_near_green(self, metres: float) -> float:
        """Return the share of buildings so near to connected unfarmed plants of half a hectare."""
        green = self.tile.ground_of(self.names(UNFARMED)).astype(np.uint8)
        pixels = round(5000 / self.tile.metres**2)
        spaces = sieve(green, pixels) & green if green.any() else green
        return self._buildings_near_ground(spaces.astype(bool), metres)

    def _buildings_near_ground(self, mask: NDArray[np.bool_], metres: float) -> float:
        buildings = [thing for thing in self.tile.things if self.tile.classes[thing.class_name].kind == "building"]
        expect(len(buildings) >= 10, f"a share of only {len(buildings)} buildings")
        targets = edge_of(mask)
        near = [
            bool(len(targets))
            and bool(at(mask, thing.inside).any() or gap(thing.outline, targets) * self.tile.metres <= metres)
            for thing in buildings
        ]
        return sum(near) / len(near)

    def lead(self, kinds: set[str]) -> float:
        """Return what one use covers, as a share of that and the largest other use."""
        own = self.share(kinds)
        rest = {self.tile.classes[name].kind for name in self.tile.ground_classes} - BUILT_OVER
        other = max(self.share(use) for use in (BUILT_OVER, *({kind} for kind in sorted(rest))) if use != kinds)
        return own / (own + other) if own else 0.0

    def paved(self) -> float:
        """Return the share of the tile that is paved or roofed."""
        return sum(part * self.share({kind}) for kind, part in PAVED.items())

    def road_km_per_km2(self) -> float:
        """Return the length of road in each square kilometre."""
        length = sum(float(np.hypot(*np.diff(line, axis=0).T).sum()) for line in self.tile.roads)
        return length / 1e3 / (self.tile.width * self.tile.height * self.tile.metres / 1e6)

    def shore_along(self, kinds: set[str], metres: float) -> float:
        """Return the share of the shore that is so near to land use of some kinds."""
        shore = self._shore()
        expect(SHORE_STEP * len(shore) * self.tile.metres > 150, "hardly any shore")
        targets = edge_of(self.tile.ground_of(self.names(kinds)))
        if not len(targets):
            return 0.0
        reach = metres / self.tile.metres
        near = 0
        for point in shore:
            close = targets[np.abs(targets - point).max(axis=1) <= reach]
            near += bool(len(close)) and bool((np.hypot(*(close - point).T) <= reach).any())
        return near / len(shore)

    def _shore(self) -> Points:
        """Return some pixels of the water's edge, evenly spread; where the tile's edge cuts the water there is none."""
        points = edge_of(self.tile.ground_of(self.names({"water"})))
        size = np.array([self.tile.width, self.tile.height])
        return points[((points > 2) & (points < size - 2)).all(axis=1)][::SHORE_STEP]

    def road_km_per_km2_of_forest(self) -> float:
        """Return the length of road with forest on both sides, within 15 m, in each square kilometre of forest."""
        forest = self.tile.ground_of(self.names({"forest"}))
        reach = 15 / self.tile.metres
        length = 0.0
        for line in self.tile.roads:
            points = along(line)
            for start, end in itertools.pairwise(points):
                ahead = (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
                across = np.array([-ahead[1], ahead[0]])
                sides = [start + side * across * np.arange(1, reach)[:, None] for side in (-1, 1)]
                if all(at(forest, side).any() for side in sides):
                    length += float(np.hypot(*(end - start)))
        km2 = float(forest.sum()) * self.tile.metres**2 / 1e6
        return length * self.tile.metres / 1e3 / km2 if km2 else 0.0


_Measure = Callable[[Site], float]
_WATER, _FOREST = {"water"}, {"forest"}

CONCLUSIONS: dict[str, tuple[_Measure, float, float, bool]] = {
    "Most of the land is used for growing crops": (lambda s: s.share({"cropland"}), 0.55, 0.25, True),
    "Most of the land is under forest": (lambda s: s.share(_FOREST), 0.55, 0.25, True),
    "Most of the land is built over": (lambda s: s.share(BUILT_OVER), 0.55, 0.25, True),
    "Open water covers most of the area": (lambda s: s.share(_WATER), 0.55, 0.25, True),
    "Farming marks this area": (lambda s: s.lead({"cropland"}), 4 / 7, 3 / 7, True),
    "Woodland marks this area": (lambda s: s.lead(_FOREST), 4 / 7, 3 / 7, True),
    "Building marks this area": (lambda s: s.lead(BUILT_OVER), 4 / 7, 3 / 7, True),
    "Water marks this area": (lambda s: s.lead(_WATER), 4 / 7, 3 / 7, True),
    "Streams and ponds here are likely to be polluted": (lambda s: s.paved(), 0.25, 0.1, True),
    "Streams and ponds here are likely to stay sound": (lambda s: s.paved(), 0.1, 0.25, False),
    "What is sprayed on the fields can drift to many": (lambda s: s.buildings_near({"cropland"}, 20), 0.25, 0.1, True),
    "What is sprayed on the fields hardly drifts": (lambda s: s.buildings_near({"cropland"}, 20), 0.05, 0.15, False),
    "Most people here have a green space": (lambda s: s.buildings_near_green(300), 0.8, 0.5, True),
    "Most people here have no green space": (lambda s: s.buildings_near_green(300), 0.3, 0.5, False),
    "Roads run so close together": (lambda s: s.road_km_per_km2(), 1.2, 0.6, True),
    "There are so few roads": (lambda s: s.road_km_per_km2(), 0.6, 1.2, False),
    "Heavy rain would run off quickly": (lambda s: s.share(BUILT_OVER), 0.6, 0.3, True),
    "Much of the rain can soak into the ground": (lambda s: s.share(PLANTS), 0.7, 0.4, True),
    "The area heats up strongly on summer days": (
        lambda s: s.share(BUILT_OVER) if s.share(COOLING) <= 0.151 else 0.0,
        0.6,
        0.3,
        True,
    ),
    "The area stays comparatively cool on summer days": (lambda s: s.share(COOLING), 0.5, 0.25, True),
    "High water would threaten many buildings": (lambda s: s.buildings_near(_WATER, 100), 0.5, 0.2, True),
    "High water would reach few buildings at first": (lambda s: s.buildings_near(_WATER, 200), 0.02, 0.2, False),
    "A forest fire would threaten many buildings": (lambda s: s.buildings_near(_FOREST, 30), 0.5, 0.2, True),
    "A forest fire would hardly reach the buildings": (lambda s: s.buildings_near(_FOREST, 100), 0.02, 0.2, False),
    "Fertiliser and soil can easily wash from the fields into the water": (
        lambda s: s.shore_along({"cropland"}, 10),
        0.4,
        0.15,
        True,
    ),
    "Plants that are not farmed line most of the shore": (lambda s: s.shore_along(UNFARMED, 10), 0.7, 0.3, True),
    "Roads cut the forest into pieces": (lambda s: s.road_km_per_km2_of_forest(), 1.2, 0.6, True),
    "The forest is hardly cut by roads": (lambda s: s.road_km_per_km2_of_forest(), 0.3, 0.6, False),
}
"""How each conclusion begins: its measure, where it holds, where it fails, and whether more speaks for it."""

NEEDS = {
    "High water would": (_WATER, 0.005),
    "Streams and ponds": (_WATER, 0.005),
    "What is sprayed on the fields hardly": ({"cropland"}, 0.05),
    "A forest fire would hardly": (_FOREST, 0.02),
    "Roads cut the forest": (_FOREST, 0.2),
    "The forest is": (_FOREST, 0.2),
}
"""What must be on the tile, with its least share, for a conclusion to be true."""

SLACK = 0.03
"""Pixels and outlines may differ by so much of a share."""


@lru_cache(maxsize=32)
def holds(tile: Tile, conclusion: str) -> bool:
    """Return whether a conclusion is true of a tile.

    Raises:
        WrongError: neither clearly true nor clearly false.
    """
    begin = next((text for text in CONCLUSIONS if conclusion.startswith(text)), None)
    expect(begin is not None, f"a conclusion that the audit cannot read: {conclusion!r}")
    measure, upper, lower, more_is_true = CONCLUSIONS[str(begin)]
    site = Site(tile)
    value = measure(site)
    is_true = value >= upper - SLACK * upper if more_is_true else value <= upper + SLACK
    is_false = value <= lower + SLACK if more_is_true else value >= lower - SLACK
    for prefix, (kinds, least) in NEEDS.items():
        if str(begin).startswith(prefix) and site.share(kinds) < least * 0.95:
            is_true, is_false = False, True
    expect(is_true != is_false, f"neither true nor false: {conclusion!r} at {value:.3f}")
    return is_true


QUARTERS = (
    "the upper left quarter",
    "the upper right quarter",
    "the lower left quarter",
    "the lower right quarter",
)
_THEMES = (
    ({"built-over ground", "built over"}, BUILT_OVER),
    ({"plants", "ground under plants"}, PLANTS),
    ({"forest and water"}, COOLING),
    ({"farming", "crops", "farmed"}, {"cropland"}),
    ({"forest fire"}, {"forest"}),
    ({"bare"}, {"bare"}),
    ({"cooling forest and water"}, COOLING),
)
"""Words that a question about quarters has, and the kinds of ground that it compares."""


def _quarter(row: Row, tile: Tile) -> IsRight:
    """Return what tells whether a quarter has clearly the greatest share of the ground that a question compares."""
    if any(word in row.question.lower() for word in ("building", "road")) and "built-over" not in row.question:
        return _led(_parts_of(tile, row.question))
    fitting = [kinds for words, kinds in _THEMES if any(word in row.question.lower() for word in words)]
    expect(fitting and all(kinds == fitting[0] for kinds in fitting), f"about {len(fitting)} kinds: {row.question!r}")
    mask = tile.ground_of(Site(tile).names(fitting[0]))
    rows, columns = tile.height // 2, tile.width // 2
    quarters = (mask[:rows, :columns], mask[:rows, columns:], mask[rows:, :columns], mask[rows:, columns:])
    return _led({name: float(quarter.mean()) for name, quarter in zip(QUARTERS, quarters, strict=True)})


def _parts_of(tile: Tile, question: str) -> dict[str, float]:
    """Return which share of all buildings, or of all roads, each quarter has."""
    if "road" in question.lower():
        points = np.concatenate([along(line) for line in tile.roads])
    else:
        buildings = [thing for thing in tile.things if tile.classes[thing.class_name].kind == "building"]
        size = (tile.width - 1, tile.height - 1)
        points = np.array([np.clip(thing.inside, 0, size).mean(axis=0) for thing in buildings])
    number = 2 * (points[:, 1] >= tile.height / 2) + (points[:, 0] >= tile.width / 2)
    return {name: float((number == place).mean()) for place, name in enumerate(QUARTERS)}


def _led(shares: dict[str, float]) -> IsRight:
    first, second = sorted(shares.values(), reverse=True)[:2]
    expect(first > second + 0.08, f"no quarter leads: {shares}")
    return lambda option: shares[option] == first


def environmental_reasoning(row: Row, truth: Truth) -> IsRight:
    if set(row.options.values()) == {*QUARTERS}:
        return _quarter(row, truth.tile(row))
    match(QUESTIONS, row.question)
    tile = truth.tile(row)
    return lambda option: holds(tile, option)
