"""Measures on hand-made tiles, and the rules that hold, fail or are silent over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely import box

from annotation.facts import Area, Gsd, Role, TileFacts, TileObject
from annotation.tasks.environmental_rules import RULES, Measures, Verdict, judge_all
from annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    classes_with,
    make_area,
    make_class,
    make_context,
    make_facts,
    make_object,
    make_road,
    square,
)

CLASSES = classes_with(make_class("town", Role.AREA, "residential"))


def covered(**shares: float) -> list[Area]:
    """Return areas in strips from left to right, each with its share of the tile's width."""
    areas, left = [], 0.0
    for name, share in shares.items():
        areas.append(make_area(name, name, box(left, 0, left + 1000 * share, 1000)))
        left += 1000 * share
    return areas


def facts_of(**shares: float) -> TileFacts:
    return make_facts(areas=covered(**shares), classes=CLASSES)


def verdicts_of(facts: TileFacts) -> dict[str, Verdict]:
    return judge_all(make_context(facts))


def houses(x: float, count: int) -> list[TileObject]:
    return [make_object(f"h{x:.0f},{i}", "house", square(x, 40 + 45 * i)) for i in range(count)]


@pytest.mark.parametrize(
    ("shares", "holding"),
    [
        ({"farmland": 0.6, "forest": 0.4}, {"mostly_farmed", "rain_soaks_in"}),
        ({"forest": 0.8, "farmland": 0.2}, {"mostly_wooded", "rain_soaks_in", "stays_cool"}),
        ({"town": 0.7, "farmland": 0.3}, {"mostly_built_over", "rain_runs_off", "heats_up"}),
        ({"water": 0.6, "desert": 0.4}, {"mostly_water", "stays_cool"}),
        ({"farmland": 0.5, "desert": 0.5}, set()),  # between 25 and 55 %: silent
    ],
)
def test_rules_on_shares(shares: dict[str, float], holding: set[str]) -> None:
    verdicts = verdicts_of(facts_of(**shares))
    assert {name for name, verdict in verdicts.items() if verdict.holds} == holding


def test_what_is_not_labelled_widens_the_range() -> None:
    facts = make_facts(areas=covered(farmland=0.6), classes=CLASSES, complete=["forest"])
    measures = Measures(make_context(facts))
    # 40 % have no label: some of it may be farmland too, but no forest, of which all is labelled.
    assert measures.share(("cropland",)) == pytest.approx((0.6, 1.0))
    assert measures.share(("forest",)) == (0.0, 0.0)


def test_overlapping_areas_count_once() -> None:
    areas = [make_area("a", "forest", box(0, 0, 600, 1000)), make_area("b", "forest", box(400, 0, 800, 1000))]
    assert Measures(make_context(make_facts(areas=areas))).share(("forest",)).low == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("near", "far", "reaches", "spares"),
    [
        (6, 4, True, False),  # 60 % within 100 m
        (4, 6, None, False),  # 40 %
        (1, 9, False, None),  # 10 %: below 20, but above 2
        (0, 10, False, True),
        (3, 3, None, None),  # too few buildings
    ],
)
def test_buildings_near_water(near: int, far: int, reaches: bool | None, spares: bool | None) -> None:
    # 1 m a pixel; the water ends at x = 100. Houses at 150 are 40 m away, those at 600 are 490 m away.
    facts = make_facts(
        objects=houses(150, near) + houses(600, far), areas=covered(water=0.1), classes=CLASSES, gsd_m=Gsd(1, 1)
    )
    verdicts = verdicts_of(facts)
    assert verdicts["flood_reaches_buildings"].holds is reaches
    assert verdicts["flood_spares_buildings"].holds is spares


def test_nothing_about_buildings_without_metres() -> None:
    verdicts = verdicts_of(make_facts(objects=houses(150, 12), areas=covered(water=0.1), classes=CLASSES))
    assert verdicts["flood_reaches_buildings"].holds is None


def test_shores_are_inside_the_tile() -> None:
    # The water's only shore is at x = 200, and all of it borders on farmland.
    facts = make_facts(areas=covered(water=0.2, farmland=0.8), classes=CLASSES, gsd_m=Gsd(1, 1))
    assert Measures(make_context(facts)).shore_along(("cropland",), 10.0) == pytest.approx((1.0, 1.0))
    assert verdicts_of(facts)["fields_drain_into_water"].holds is True


def test_roads_through_the_forest() -> None:
    # 1 m a pixel: 1 km × 0.5 km of forest, and 0.5 km of road in it: 1 km in each km².
    wood = covered(forest=0.5)
    one = make_facts(areas=wood, roads=[make_road("r", (0, 500), (1000, 500))], classes=CLASSES, gsd_m=Gsd(1, 1))
    assert Measures(make_context(one)).road_km_per_km2_of_forest == pytest.approx((1.0, 1.0), abs=0.01)
    verdicts = verdicts_of(one)
    assert (verdicts["forest_cut_by_roads"].holds, verdicts["forest_unbroken"].holds) == (None, False)
    none = verdicts_of(make_facts(areas=wood, classes=CLASSES, gsd_m=Gsd(1, 1)))
    assert (none["forest_cut_by_roads"].holds, none["forest_unbroken"].holds) == (False, True)


def test_no_two_rules_of_a_topic_hold_on_any_mix() -> None:
    for first in range(0, 11):
        for second in range(0, 11 - first):
            rest = 10 - first - second
            shares = {"farmland": first / 10, "town": second / 10, "forest": rest / 10}
            verdicts = verdicts_of(facts_of(**{name: share for name, share in shares.items() if share}))
            holding = [rule.topic for rule in RULES if verdicts[rule.name].holds]
            assert len(holding) == len(set(holding)), shares


def test_every_rule_is_explained_and_worded() -> None:
    explained = (Path(__file__).parents[2] / "docs" / "environmental-rules.md").read_text("utf-8")
    phrases = load_phrases()
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.topic} |" in explained
        assert phrases.text(f"environmental_reasoning.conclusion.{rule.name}").endswith(".")
    assert len({rule.name for rule in RULES}) == len(RULES)
