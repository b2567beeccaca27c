"""What captions conclude: each conclusion names a share, which is measured in pixels."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from rasterio import features

from tests.truth.describing import class_of, things_of
from tests.truth.environment import BUILT_OVER, COOLING, PLANTS, UNFARMED, Site
from tests.truth.measuring import at, parallel_share
from tests.truth.reading import Thing, Tile, expect

_CROPS, _FOREST, _WATER = {"cropland"}, {"forest"}, {"water"}
_AMOUNT = r"(?P<amount>(?:about|at least) \d+ %|all|nearly all|less than 1 %)"
_Measure = Callable[[Site], float]


def _share(kinds: set[str]) -> _Measure:
    return lambda site: site.share(kinds)


_MEASURED: dict[str, tuple[_Measure, float]] = {
    "with crops on AMOUNT of the ground, this is farming country": (_share(_CROPS), 0.53),
    "crops grow on AMOUNT of the ground: farming shapes this landscape": (_share(_CROPS), 0.53),
    "with forest on AMOUNT of the ground, this is woodland above all": (_share(_FOREST), 0.53),
    "forest grows on AMOUNT of the ground: this is woodland above all": (_share(_FOREST), 0.53),
    "with AMOUNT of the ground built over, this is a built-up area": (_share(BUILT_OVER), 0.53),
    "this is a built-up area: buildings, their yards and traffic take up AMOUNT of the ground": (
        _share(BUILT_OVER),
        0.53,
    ),
    "water on AMOUNT of the scene makes this a place on open water": (_share(_WATER), 0.53),
    "this is a place on open water, which takes up AMOUNT of the scene": (_share(_WATER), 0.53),
    "heavy rain would mostly run off, since AMOUNT of the ground is built over": (_share(BUILT_OVER), 0.58),
    "since AMOUNT of the ground is built over, little of a heavy rain could soak in": (_share(BUILT_OVER), 0.58),
    "much of the rain can soak in, since plants cover AMOUNT of the ground": (_share(PLANTS), 0.68),
    "plants cover AMOUNT of the ground, so much of the rain can soak in": (_share(PLANTS), 0.68),
    "with AMOUNT of the ground built over and little forest or water, it is likely to grow hot on summer days": (
        lambda site: site.share(BUILT_OVER) if site.share(COOLING) < 0.16 else 0.0,
        0.58,
    ),
    "summer days are likely to be hot here, since AMOUNT of the ground is built over and there is little forest or"
    " water": (lambda site: site.share(BUILT_OVER) if site.share(COOLING) < 0.16 else 0.0, 0.58),
    "forest or water on AMOUNT of the ground is likely to keep it comparatively cool in summer": (
        _share(COOLING),
        0.48,
    ),
    "in summer it is likely to stay comparatively cool, since AMOUNT of the ground is forest or water": (
        _share(COOLING),
        0.48,
    ),
    "high water could reach many buildings: AMOUNT of them stand within 100 m of open water": (
        lambda site: site.buildings_near(_WATER, 100),
        0.47,
    ),
    "since AMOUNT of the buildings stand within 100 m of open water, many could be reached by high water": (
        lambda site: site.buildings_near(_WATER, 100),
        0.47,
    ),
    "a forest fire could reach many buildings: AMOUNT of them stand within 30 m of forest": (
        lambda site: site.buildings_near(_FOREST, 30),
        0.47,
    ),
    "since AMOUNT of the buildings stand within 30 m of forest, a forest fire could reach many of them": (
        lambda site: site.buildings_near(_FOREST, 30),
        0.47,
    ),
    "fertiliser can easily wash into the water, since crops grow along AMOUNT of its edge": (
        lambda site: site.shore_along(_CROPS, 10),
        0.37,
    ),
    "crops grow along AMOUNT of the water's edge, so fertiliser can easily wash into it": (
        lambda site: site.shore_along(_CROPS, 10),
        0.37,
    ),
    "plants that are not farmed line AMOUNT of the water's edge and can filter what washes towards it": (
        lambda site: site.shore_along(UNFARMED, 10),
        0.67,
    ),
    "what washes towards the water can be filtered by the plants along AMOUNT of its edge, which are not farmed": (
        lambda site: site.shore_along(UNFARMED, 10),
        0.67,
    ),
    "what is sprayed on the fields can drift to buildings: AMOUNT of them stand within 20 m of crops": (
        lambda site: site.buildings_near(_CROPS, 20),
        0.22,
    ),
    "since AMOUNT of the buildings stand within 20 m of crops, spray can drift to them": (
        lambda site: site.buildings_near(_CROPS, 20),
        0.22,
    ),
    "land is farmed here, on AMOUNT of the ground": (_share(_CROPS), 0.09),
    "crops on AMOUNT of the ground show that land is farmed here": (_share(_CROPS), 0.09),
    "people live here: AMOUNT of the ground is residential": (_share({"residential"}), 0.09),
    "residential ground on AMOUNT of the scene shows that people live here": (_share({"residential"}), 0.09),
    "goods are made or stored here, on AMOUNT of the ground": (_share({"industrial"}), 0.09),
    "industrial ground on AMOUNT of the scene shows that goods are made or stored here": (
        _share({"industrial"}),
        0.09,
    ),
    "there has been a fire here, which burnt AMOUNT of the ground": (_share({"burnt"}), 0.04),
    "burnt ground on AMOUNT of the scene shows that there has been a fire": (_share({"burnt"}), 0.04),
    "wind can raise dust here, since AMOUNT of the ground lies bare": (_share({"bare"}), 0.09),
    "since AMOUNT of the ground lies bare, wind can raise dust here": (_share({"bare"}), 0.09),
}
"""Conclusions with a share: what measures it, and from which share on they are drawn."""

SLACK = {"share": 0.0125, "stand within": 0.035, "edge": 0.02}
"""How far a told share may be from what pixels give: of ground, of buildings near to something, and of a shore."""


def expect_inference(tile: Tile, sentence: str) -> None:
    """Raise unless a conclusion is true of the tile, and the share that it names as well."""
    text = sentence[0].lower() + sentence[1:].removesuffix(".")
    site = Site(tile)
    for told, (measured, least) in _MEASURED.items():
        if hit := re.fullmatch(re.escape(told).replace("AMOUNT", _AMOUNT), text):
            kind = next((kind for kind in SLACK if kind in told), "share")
            _expect_amount(hit["amount"], measured(site), least, SLACK[kind], sentence)
            return
    for pattern, judge in _OTHERS.items():
        if hit := re.fullmatch(pattern, text):
            judge(tile, hit)
            return
    expect(False, f"a conclusion that the audit cannot read: {sentence!r}")


def _expect_amount(amount: str, value: float, least: float, slack: float, sentence: str) -> None:
    expect(value >= least, f"{value:.1%} is too little: {sentence}")
    if amount in ("all", "nearly all", "less than 1 %"):
        is_true = value < 0.01 + slack if amount == "less than 1 %" else value > 0.99 - slack
    else:
        told = int(re.sub(r"\D", "", amount)) / 100
        is_true = value > told - slack if amount.startswith("at least") else abs(value - told) < slack
    expect(is_true, f"it is {value:.1%}: {sentence}")


def _of(tile: Tile, noun: str) -> list[Thing]:
    found = things_of(tile, class_of(tile, noun, "object", plural=True).name)
    expect(len(found) > 1, f"only {len(found)} {noun}")
    return found


def _all_on(tile: Tile, hit: re.Match[str]) -> None:
    words = (hit["ground"],)
    name = next(info.name for info in tile.classes.values() if {info.singular, info.plural} & {*words})
    centres = np.array([thing.centre for thing in _of(tile, hit["noun"])])
    expect(at(tile.ground_of({name}), centres).all(), f"not all on it: {hit[0]}")


def _dense(tile: Tile, hit: re.Match[str]) -> None:
    shapes = [({"type": "Polygon", "coordinates": [thing.outline.tolist()]}, 1) for thing in _of(tile, hit["noun"])]
    share = float(features.rasterize(shapes, out_shape=(tile.height, tile.width), dtype="uint8").mean())
    _expect_amount(hit["amount"], share, 0.19, 0.02, hit[0])


def _planned(tile: Tile, hit: re.Match[str]) -> None:
    expect(parallel_share(_of(tile, hit["noun"]), one_line=False) > 0.8, f"not in rows: {hit[0]}")


def _there(tile: Tile, hit: re.Match[str]) -> None:
    kinds = {"liquids": "storage_tank", "traffic": "aircraft"}
    (kind,) = {kind for word, kind in kinds.items() if word in hit[0]}
    expect(class_of(tile, hit["noun"], "object", plural=True).kind == kind, hit[0])
    _of(tile, hit["noun"])


def _partly_built(tile: Tile, hit: re.Match[str]) -> None:
    site = Site(tile)
    _expect_amount(hit["amount"], site.share(BUILT_OVER), 0.19, SLACK["share"], hit[0])
    _expect_amount(hit["other"], site.share(PLANTS), 0.19, SLACK["share"], hit[0])


_A = r"(?P<amount>(?:about|at least) \d+ %|all|nearly all|less than 1 %)"
_O = r"(?P<other>(?:about|at least) \d+ %|all|nearly all|less than 1 %)"
_OTHERS: dict[str, Callable[[Tile, re.Match[str]], None]] = {
    rf"some of the rain can still soak in: {_A} of the ground is built over, but plants cover {_O} of it": (
        _partly_built
    ),
    rf"plants cover {_O} of the ground and {_A} is built over, so only some of the rain can soak in": _partly_built,
    rf"this is a densely built place, with (?P<noun>.+) on {_A} of the ground": _dense,
    rf"(?P<noun>.+) on {_A} of the ground make this a densely built place": _dense,
    r"the (?P<noun>.+) stand in even rows, so they were probably planned together": _planned,
    r"even rows of (?P<noun>.+) show that they were probably planned together": _planned,
    r"the (?P<noun>.+) on the (?P<ground>.+) show that it is navigable": _all_on,
    r"the (?P<ground>.+) is navigable, as the (?P<noun>.+) on it show": _all_on,
    r"the (?P<noun>.+) show that liquids or gases are stored here": _there,
    r"liquids or gases are stored here, as the (?P<noun>.+) show": _there,
    r"the (?P<noun>.+) show that the place serves air traffic": _there,
    r"the place serves air traffic, as the (?P<noun>.+) show": _there,
    r"the (?P<noun>.+) in the (?P<ground>.+) show that people come here by car": _all_on,
    r"people come here by car, as the (?P<noun>.+) in the (?P<ground>.+) show": _all_on,
}
