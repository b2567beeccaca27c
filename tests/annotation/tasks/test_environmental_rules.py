"""Measures on hand-made tiles, and the rules that hold, fail or are silent over them."""

from __future__ import annotations

from pathlib import Path

import pytest
from shapely import Polygon, box

from rsvqa.annotation.facts import Area, Gsd, Role, TileFacts, TileObject
from rsvqa.annotation.tasks.environmental_measures import Measures
from rsvqa.annotation.tasks.environmental_rules import RULES, RuleVerdict, judge_all
from rsvqa.annotation.wording.phrases import load_phrases
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


def verdicts_of(facts: TileFacts) -> dict[str, RuleVerdict]:
    return judge_all(make_context(facts))


def houses(x: float, count: int) -> list[TileObject]:
    return [make_object(f"h{x:.0f},{i}", "house", square(x, 40 + 45 * i)) for i in range(count)]


@pytest.mark.parametrize(
    ("shares", "holding"),
    [
        ({"farmland": 0.6, "forest": 0.4}, {"mostly_farmed", "rain_soaks_in"}),
        ({"forest": 0.8, "farmland": 0.2}, {"mostly_wooded", "rain_soaks_in", "stays_cool"}),
        ({"town": 0.7, "farmland": 0.3}, {"mostly_built_over", "rain_runs_off", "heats_up"}),
        ({"water": 0.6, "desert": 0.4}, {"mostly_water", "stays_cool", "streams_stay_sound"}),
        ({"farmland": 0.53, "desert": 0.47}, set()),  # between 25 and 55 % of the tile, and more than 50 %: silent
        ({"farmland": 0.4, "forest": 0.3, "desert": 0.3}, {"farming_leads", "rain_soaks_in"}),  # 4/7 against 3/7
        ({"farmland": 0.39, "forest": 0.3, "desert": 0.31}, set()),  # 69 % plants, 0.565 of both
        # 38 % of the town is paved: 0.228 of the tile, and 0.266
        ({"town": 0.6, "water": 0.4}, {"mostly_built_over", "rain_runs_off"}),
        ({"town": 0.7, "water": 0.3}, {"mostly_built_over", "rain_runs_off", "paving_harms_streams"}),
    ],
)
def test_rules_on_shares(shares: dict[str, float], holding: set[str]) -> None:
    verdicts = verdicts_of(facts_of(**shares))
    assert {name for name, verdict in verdicts.items() if verdict.holds} == holding


@pytest.mark.parametrize("distances", [(100, 200, 300), (300, 200, 100), (200, 100, 200)])
def test_buildings_near_water_do_not_depend_on_what_was_asked_before(distances: tuple[int, ...]) -> None:
    # water ends at x = 100; the walls of the houses stand 40, 140 and 240 px from it, of 1 m each
    objects = [*houses(150, 4), *houses(250, 4), *houses(350, 8)]
    facts = make_facts(
        objects=objects, areas=[make_area("w", "water", box(0, 0, 100, 1000))], classes=CLASSES, gsd_m=Gsd(1, 1)
    )
    measures = Measures(make_context(facts))
    expected = {100: 4 / 16, 200: 8 / 16, 300: 1.0}
    for distance in distances:
        found = measures.buildings_near(("water",), distance)
        assert found == (expected[distance], expected[distance])


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
    # 1 m per pixel; the water ends at x = 100. Houses at 150 are 40 m away, those at 600 are 490 m away.
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


def test_the_share_of_a_shore_is_exact_to_a_percent() -> None:
    # 0.3 m per pixel: a shore of 998 px is 299 m long. Crops end at y = 702 and reach 10 m, 33.33 px, farther along it,
    # so 702 + 33.33 − 1 of the 998 px lie along crops: 73.6 %.
    areas = [make_area("w", "water", box(0, 0, 200, 1000)), make_area("f", "farmland", box(200, 0, 1000, 702))]
    areas.append(make_area("d", "desert", box(200, 702, 1000, 1000)))
    facts = make_facts(areas=areas, classes=CLASSES, gsd_m=Gsd(0.3, 0.3))
    assert Measures(make_context(facts)).shore_along(("cropland",), 10.0) == pytest.approx((0.736, 0.736), abs=0.002)


def test_roads_through_the_forest() -> None:
    # 1 m per pixel: 1 km × 0.5 km of forest, and 0.5 km of road in it: 1 km in each km².
    wood = covered(forest=0.5)
    one = make_facts(areas=wood, roads=[make_road("r", (0, 500), (1000, 500))], classes=CLASSES, gsd_m=Gsd(1, 1))
    assert Measures(make_context(one)).road_km_per_km2_of_forest == pytest.approx((1.0, 1.0), abs=0.01)
    verdicts = verdicts_of(one)
    assert (verdicts["forest_cut_by_roads"].holds, verdicts["forest_unbroken"].holds) == (None, False)
    none = verdicts_of(make_facts(areas=wood, classes=CLASSES, gsd_m=Gsd(1, 1)))
    assert (none["forest_cut_by_roads"].holds, none["forest_unbroken"].holds) == (False, True)


@pytest.mark.parametrize(("gap", "km_per_km2"), [(20, 1.0), (40, 0.0)])
def test_a_road_on_its_own_ground_is_in_the_forest(gap: int, km_per_km2: float) -> None:
    # The forest ends 10 or 20 m beside the road: 1 km of road, and 0.98 or 0.96 km² of forest.
    wood = [make_area("n", "forest", box(0, 0, 1000, 500 - gap / 2))]
    wood.append(make_area("s", "forest", box(0, 500 + gap / 2, 1000, 1000)))
    road = make_road("r", (0, 500), (1000, 500))
    facts = make_facts(areas=wood, roads=[road], classes=CLASSES, gsd_m=Gsd(1, 1))
    found = Measures(make_context(facts)).road_km_per_km2_of_forest
    assert found is not None
    assert found.low == pytest.approx(km_per_km2, abs=0.03)


def test_no_two_rules_of_a_topic_hold_on_any_mix() -> None:
    for first in range(0, 11):
        for second in range(0, 11 - first):
            rest = 10 - first - second
            shares = {"farmland": first / 10, "town": second / 10, "forest": rest / 10}
            verdicts = verdicts_of(facts_of(**{name: share for name, share in shares.items() if share}))
            holding = [rule.topic for rule in RULES if verdicts[rule.name].holds]
            assert len(holding) == len(set(holding)), shares


def test_every_rule_is_explained_and_worded() -> None:
    explained = (Path(__file__).parents[3] / "docs" / "environmental-rules.md").read_text("utf-8")
    phrases = load_phrases()
    for rule in RULES:
        assert f"| `{rule.name}` | {rule.topic} |" in explained
        assert phrases.text(f"environmental_reasoning.conclusion.{rule.name}").endswith(".")
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_what_covers_a_third_more_leads() -> None:
    verdicts = verdicts_of(facts_of(town=0.42, forest=0.29, water=0.29))
    assert verdicts["building_leads"].values["share_of_this_and_the_largest_other"] == pytest.approx(
        (0.42 / 0.71, 0.42 / 0.71)
    )
    # The others: 0.29 / 0.71 = 0.41, less than 3/7; there are no crops.
    leads = {name: verdict.holds for name, verdict in verdicts.items() if name.endswith("_leads")}
    assert leads == {"farming_leads": False, "woodland_leads": False, "building_leads": True, "water_leads": False}


def test_nothing_leads_on_bare_ground() -> None:
    # 12 % of a desert is built over; that is more than crops, forest, grass and water, but less than the desert.
    verdicts = verdicts_of(facts_of(town=0.12, water=0.03, desert=0.85))
    # the town: 0.12 / 0.97 = 0.12
    assert verdicts["building_leads"].holds is False


def test_what_two_kinds_cover_is_paved_once_or_twice() -> None:
    classes = classes_with(make_class("town", Role.AREA, "residential"), make_class("shops", Role.AREA, "commercial"))
    areas = [make_area("t", "town", box(0, 0, 500, 1000)), make_area("s", "shops", box(400, 0, 600, 1000))]
    areas.append(make_area("d", "desert", box(600, 0, 1000, 1000)))
    # 0.38 · 0.5 + 0.85 · 0.2 = 0.36, of which the overlap, 0.1 of the tile, may count twice.
    paved = Measures(make_context(make_facts(areas=areas, classes=classes))).paved
    assert paved == pytest.approx((0.26, 0.36))


@pytest.mark.parametrize(
    ("num_near", "num_far", "verdicts"), [(3, 9, (True, False)), (1, 14, (False, None)), (0, 12, (False, True))]
)
def test_spray_drifts_twenty_metres(num_near: int, num_far: int, verdicts: tuple[bool | None, bool | None]) -> None:
    # 1 m per pixel, fields up to x = 100: houses at 125 are 15 m away, those at 145 are 35 m away.
    # 3 of 12 are 25 %; 1 of 15 is 7 %.
    objects = houses(125, num_near) + houses(145, num_far)
    facts = make_facts(objects=objects, areas=covered(farmland=0.1), classes=CLASSES, gsd_m=Gsd(1, 1))
    found = verdicts_of(facts)
    assert (found["spray_reaches_buildings"].holds, found["spray_spares_buildings"].holds) == verdicts


@pytest.mark.parametrize(("side", "is_near"), [(72, True), (70, False)])
def test_green_space_has_half_a_hectare(side: int, is_near: bool) -> None:
    # 72² = 5184 m², 70² = 4900 m²; the houses are 20 to 200 m away.
    green = make_area("g", "forest", box(0, 200, side, 200 + side))
    desert = box(0, 0, 1000, 1000).difference(green.geometry)
    assert isinstance(desert, Polygon)
    facts = make_facts(
        objects=houses(side + 30, 10), areas=[green, make_area("d", "desert", desert)], classes=CLASSES, gsd_m=Gsd(1, 1)
    )
    found = verdicts_of(facts)
    assert (found["green_space_is_near"].holds, found["green_space_is_far"].holds) == (is_near, not is_near)


def test_roads_in_each_square_kilometre() -> None:
    # 1 km of road in 1 km², and 2 km.
    one, other = make_road("a", (0, 300), (1000, 300)), make_road("b", (0, 600), (1000, 600))
    found = verdicts_of(make_facts(roads=[one], areas=covered(forest=1.0), classes=CLASSES, gsd_m=Gsd(1, 1)))
    assert (found["roads_crowd_wildlife"].holds, found["roads_leave_room"].holds) == (None, None)
    found = verdicts_of(make_facts(roads=[one, other], areas=covered(forest=1.0), classes=CLASSES, gsd_m=Gsd(1, 1)))
    assert (found["roads_crowd_wildlife"].holds, found["roads_leave_room"].holds) == (True, False)
    found = verdicts_of(make_facts(areas=covered(forest=1.0), classes=CLASSES, gsd_m=Gsd(1, 1)))
    assert (found["roads_crowd_wildlife"].holds, found["roads_leave_room"].holds) == (False, True)
