"""Rules that draw conclusions about the environment of a tile from its measures.

A rule holds when all of a measure's range speaks for it, fails when all of it speaks against it, and is silent
otherwise. `docs/environmental-rules.md` gives the reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rsvqa.annotation.facts import ClassKind
from rsvqa.annotation.tasks.environmental_measures import (
    BUILT_OVER,
    COOLING,
    FARMED,
    PLANTED,
    UNFARMED_PLANTS,
    WATER,
    WOODED,
    Measures,
    Range,
)
from rsvqa.annotation.tasks.registry import TaskContext, once_a_tile


class RuleVerdict(NamedTuple):
    """What a rule says: True it holds, False it does not, None it is silent; and the measures that it rests on."""

    holds: bool | None
    values: dict[str, Range]


Topic = Literal[
    "use",
    "largest_use",
    "run_off",
    "streams",
    "heat",
    "flood",
    "forest_fire",
    "water_quality",
    "spraying",
    "green_space",
    "habitat",
    "roads",
]


@dataclass(frozen=True, slots=True)
class EnvironmentalRule:
    """A conclusion about the environment and when it holds.

    Attributes:
        name: stable identifier, key of `environmental_reasoning.conclusion` in the wording.
        topic: rules of one topic may contradict each other; then nothing is asked about it.
        judge: the rule itself.
    """

    name: str
    topic: Topic
    judge: Callable[[Measures], RuleVerdict]


def _above(low: float, high: float, **measured: Range | None) -> RuleVerdict:
    """Hold when a measure is at least `high`, fail when it is at most `low`."""
    ((name, value),) = measured.items()
    if value is None:
        return RuleVerdict(None, {})
    holds = True if value.low >= high else False if value.high <= low else None
    return RuleVerdict(holds, {name: value})


def _below(low: float, high: float, **measured: Range | None) -> RuleVerdict:
    """Hold when a measure is at most `low`, fail when it is at least `high`."""
    verdict = _above(low, high, **measured)
    return RuleVerdict(None if verdict.holds is None else not verdict.holds, verdict.values)


def _only_if(condition: RuleVerdict, then: RuleVerdict) -> RuleVerdict:
    """Hold when both do; fail only when the second does, so that nothing is said of what is not there."""
    holds = then.holds if condition.holds else None
    return RuleVerdict(holds, {**condition.values, **then.values})


def _leads(measures: Measures, kinds: tuple[ClassKind, ...]) -> RuleVerdict:
    """Hold when a use covers a third more than any other, yet not most of the tile; fail when another does."""
    return _only_if(
        _below(0.5, 0.55, share=measures.share(kinds)),
        _above(3 / 7, 4 / 7, share_of_this_and_the_largest_other=measures.lead(kinds)),
    )


def _has_water(measures: Measures) -> RuleVerdict:
    return _above(0.0, 0.005, water=measures.share(WATER))


RULES: tuple[EnvironmentalRule, ...] = (
    EnvironmentalRule("mostly_farmed", "use", lambda m: _above(0.25, 0.55, cropland=m.share(FARMED))),
    EnvironmentalRule("mostly_wooded", "use", lambda m: _above(0.25, 0.55, forest=m.share(WOODED))),
    EnvironmentalRule("mostly_built_over", "use", lambda m: _above(0.25, 0.55, built_over=m.share(BUILT_OVER))),
    EnvironmentalRule("mostly_water", "use", lambda m: _above(0.25, 0.55, water=m.share(WATER))),
    EnvironmentalRule("farming_leads", "largest_use", lambda m: _leads(m, FARMED)),
    EnvironmentalRule("woodland_leads", "largest_use", lambda m: _leads(m, WOODED)),
    EnvironmentalRule("building_leads", "largest_use", lambda m: _leads(m, BUILT_OVER)),
    EnvironmentalRule("water_leads", "largest_use", lambda m: _leads(m, WATER)),
    EnvironmentalRule("rain_runs_off", "run_off", lambda m: _above(0.3, 0.6, built_over=m.share(BUILT_OVER))),
    EnvironmentalRule("rain_soaks_in", "run_off", lambda m: _above(0.4, 0.7, plants=m.share(PLANTED))),
    EnvironmentalRule(
        "paving_harms_streams",
        "streams",
        lambda m: _only_if(_has_water(m), _above(0.1, 0.25, paved=m.paved)),
    ),
    EnvironmentalRule(
        "streams_stay_sound",
        "streams",
        lambda m: _only_if(_has_water(m), _below(0.1, 0.25, paved=m.paved)),
    ),
    EnvironmentalRule(
        "heats_up",
        "heat",
        lambda m: _only_if(
            _below(0.15, 0.4, cooling=m.share(COOLING)), _above(0.3, 0.6, built_over=m.share(BUILT_OVER))
        ),
    ),
    EnvironmentalRule("stays_cool", "heat", lambda m: _above(0.25, 0.5, cooling=m.share(COOLING))),
    EnvironmentalRule(
        "flood_reaches_buildings",
        "flood",
        lambda m: _above(0.2, 0.5, buildings_within_100_m_of_water=m.buildings_near(WATER, 100.0)),
    ),
    EnvironmentalRule(
        "flood_spares_buildings",
        "flood",
        lambda m: _only_if(
            _has_water(m),
            _below(0.02, 0.2, buildings_within_200_m_of_water=m.buildings_near(WATER, 200.0)),
        ),
    ),
    EnvironmentalRule(
        "fire_reaches_buildings",
        "forest_fire",
        lambda m: _above(0.2, 0.5, buildings_within_30_m_of_forest=m.buildings_near(WOODED, 30.0)),
    ),
    EnvironmentalRule(
        "fire_spares_buildings",
        "forest_fire",
        lambda m: _only_if(
            _above(0.0, 0.02, forest=m.share(WOODED)),
            _below(0.02, 0.2, buildings_within_100_m_of_forest=m.buildings_near(WOODED, 100.0)),
        ),
    ),
    EnvironmentalRule(
        "fields_drain_into_water",
        "water_quality",
        lambda m: _above(0.0, 0.4, shore_within_10_m_of_cropland=m.shore_along(FARMED, 10.0)),
    ),
    EnvironmentalRule(
        "plants_guard_water",
        "water_quality",
        lambda m: _above(0.3, 0.7, shore_within_10_m_of_unfarmed_plants=m.shore_along(UNFARMED_PLANTS, 10.0)),
    ),
    EnvironmentalRule(
        "spray_reaches_buildings",
        "spraying",
        lambda m: _above(0.1, 0.25, buildings_within_20_m_of_cropland=m.buildings_near(FARMED, 20.0)),
    ),
    EnvironmentalRule(
        "spray_spares_buildings",
        "spraying",
        lambda m: _only_if(
            _above(0.0, 0.05, cropland=m.share(FARMED)),
            _below(0.05, 0.15, buildings_within_20_m_of_cropland=m.buildings_near(FARMED, 20.0)),
        ),
    ),
    EnvironmentalRule(
        "green_space_is_near",
        "green_space",
        lambda m: _above(0.5, 0.8, buildings_within_300_m_of_green=m.buildings_near_green),
    ),
    EnvironmentalRule(
        "green_space_is_far",
        "green_space",
        lambda m: _below(0.3, 0.5, buildings_within_300_m_of_green=m.buildings_near_green),
    ),
    EnvironmentalRule(
        "forest_cut_by_roads",
        "habitat",
        lambda m: _only_if(
            _above(0.1, 0.2, forest=m.share(WOODED)),
            _above(0.6, 1.2, road_km_per_km2_of_forest=m.road_km_per_km2_of_forest),
        ),
    ),
    EnvironmentalRule(
        "forest_unbroken",
        "habitat",
        lambda m: _only_if(
            _above(0.1, 0.2, forest=m.share(WOODED)),
            _below(0.3, 0.6, road_km_per_km2_of_forest=m.road_km_per_km2_of_forest),
        ),
    ),
    EnvironmentalRule("roads_crowd_wildlife", "roads", lambda m: _above(0.6, 1.2, road_km_per_km2=m.road_km_per_km2)),
    EnvironmentalRule("roads_leave_room", "roads", lambda m: _below(0.6, 1.2, road_km_per_km2=m.road_km_per_km2)),
)
"""Every rule, by topic; names are stored in evidence and never change."""


@once_a_tile
def judge_all(context: TaskContext) -> dict[str, RuleVerdict]:
    """Return what each rule says about a tile, by its name."""
    measures = Measures(context)
    return {rule.name: rule.judge(measures) for rule in RULES}
