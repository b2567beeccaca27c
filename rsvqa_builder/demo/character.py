"""What sets one example place apart: which land uses, objects and anomaly it has, and how much of it is town.

A class that is everywhere, or nowhere, teaches nothing about presence. So the places of a group of `GROUP` are dealt
their characters like cards: in every group each optional thing is there, and missing, at least once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

import numpy as np

T = TypeVar("T")

GROUP = 4
"""Places among which characters are dealt."""

BUILT_ZONES: Mapping[str, float] = MappingProxyType({"commercial": 0.10, "residential": 0.26, "industrial": 0.13})
WILD_ZONES: Mapping[str, float] = MappingProxyType({"grassland": 0.10, "farmland": 0.25, "forest": 0.16})
"""Share of the blocks by zone, in the order in which they surround the middle of a usual town."""

SPECIAL_ZONES = ("orchard", "vineyard", "wetland", "bare_ground")
NUM_SPECIAL = 2
SPECIAL_SHARE = 0.05

BUILT_FACTORS = (1.35, 1.35, 0.5, 0.5)
"""How much more or less of a place is built over than usual: two towns and two villages per group."""

OPTIONAL_OBJECTS: Mapping[str, str | None] = MappingProxyType(
    {
        "ship": "water",
        "truck": None,
        "bus": None,
        "storage_tank": "industrial",
        "swimming_pool": "residential",
        "tennis_court": "grassland",
    }
)
"""Classes of objects that two of a group's places have, and the ground without which there can be none."""

NUM_WITH_OBJECT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyKind:
    """Something out of the ordinary at the later date.

    Attributes:
        class_name: of the anomaly.
        cause: what it comes from; None where that cannot be told from above.
        zones: where it may lie, the best first.
        use: the land use there at the later date.
        look: how that ground is painted; "" as usual for the use.
    """

    class_name: str
    cause: str | None
    zones: tuple[str, ...]
    use: str
    look: str = ""


ANOMALIES = (
    (AnomalyKind(class_name="burnt_area", cause="wildfire", zones=("forest",), use="burnt_land"),),
    (
        AnomalyKind(class_name="dead_trees", cause=None, zones=("forest",), use="forest", look="dead_forest"),
        AnomalyKind(
            class_name="debris_field",
            cause="landslide",
            zones=("grassland", "farmland", "forest"),
            use="bare_ground",
            look="debris",
        ),
    ),
    (
        AnomalyKind(
            class_name="flooded_area", cause="flood", zones=("farmland", "grassland"), use="water", look="muddy_water"
        ),
    ),
    (AnomalyKind(class_name="fallen_trees", cause="storm", zones=("forest",), use="forest", look="fallen_forest"),),
)
"""The anomalies of each place of a group; four causes, so that each of four options is right somewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """What a place has.

    Attributes:
        zone_shares: share of the blocks by zone, the sum at most 1; fields and woods take what is left.
        has_water: whether there is a river, and ponds in the parks.
        has_car_parks: whether vehicles are parked anywhere.
        objects: the classes of `OPTIONAL_OBJECTS` that may be there; the others are on every ground that they need.
        anomalies: of the later date.
    """

    zone_shares: Mapping[str, float] = field(default_factory=lambda: {**BUILT_ZONES, **WILD_ZONES})
    has_water: bool = True
    has_car_parks: bool = True
    objects: frozenset[str] = frozenset(OPTIONAL_OBJECTS)
    anomalies: tuple[AnomalyKind, ...] = ()

    def allows(self, class_name: str) -> bool:
        """Return whether there may be objects of a class."""
        return class_name in self.objects or class_name not in OPTIONAL_OBJECTS


def deal_character(seed: int, number: int) -> Character:
    """Return the character of a place by its number; it depends on the seed and the place's group alone."""
    group, place = divmod(number, GROUP)
    return _deal_group(np.random.Generator(np.random.PCG64([seed, group, GROUP])))[place]


def _deal_group(rng: np.random.Generator) -> list[Character]:
    factors = _dealt(rng, BUILT_FACTORS)
    no_built = _dealt(rng, (*BUILT_ZONES, None))
    # three anomalies need a forest, so that only the remaining place can do without
    others = iter(_dealt(rng, ("grassland", "farmland", None)))
    no_wild = ["forest" if "forest" not in first.zones else next(others) for first, *_ in ANOMALIES]
    special = _dealt(rng, SPECIAL_ZONES)
    has_water = _dealt(rng, (True, True, True, False))
    grounds = []
    for place in range(GROUP):
        total = factors[place] * sum(BUILT_ZONES.values())
        shares = _scaled({name: share for name, share in BUILT_ZONES.items() if name != no_built[place]}, total)
        shares |= {special[(place + k) % GROUP]: SPECIAL_SHARE for k in range(NUM_SPECIAL)}
        wild = {name: share for name, share in WILD_ZONES.items() if name != no_wild[place]}
        grounds.append(shares | _scaled(wild, 1 - sum(shares.values())))
    objects: list[set[str]] = [set() for _ in range(GROUP)]
    for name, needed in OPTIONAL_OBJECTS.items():
        is_fit = has_water if needed == "water" else [needed is None or needed in shares for shares in grounds]
        for place in [place for place in _dealt(rng, range(GROUP)) if is_fit[place]][:NUM_WITH_OBJECT]:
            objects[place].add(name)
    has_car_parks = _dealt(rng, (True, True, True, False))
    return [
        Character(
            zone_shares=grounds[place],
            has_water=has_water[place],
            has_car_parks=has_car_parks[place],
            objects=frozenset(objects[place]),
            anomalies=ANOMALIES[place],
        )
        for place in range(GROUP)
    ]


def _dealt(rng: np.random.Generator, cards: Sequence[T]) -> list[T]:
    return [cards[k] for k in rng.permutation(len(cards))]


def _scaled(shares: Mapping[str, float], total: float) -> dict[str, float]:
    """Return the shares in the same proportions with another sum."""
    return {name: share * total / sum(shares.values()) for name, share in shares.items()}
