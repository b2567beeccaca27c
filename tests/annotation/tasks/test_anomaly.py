"""Anomalies that are there, that are not, and scenes that nobody has searched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from shapely import MultiPolygon, Polygon, box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Area, Gsd, Role, TileFacts, TileObject
from rsvqa.annotation.questions import Question
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    ask,
    classes_with,
    make_area,
    make_class,
    make_facts,
    make_object,
    right_texts,
    square,
    wrong_texts,
)

KINDS = ("burnt_ground", "flooded_land", "oil_slick", "sinkhole")
CLASSES = classes_with(*(make_class(name, Role.ANOMALY, plural=name.replace("_", " ") + "s") for name in KINDS))


def make_anomaly(geometry: Polygon, *, name: str = "burnt_ground", certain: bool = True, **attributes: str) -> Area:
    return Area(
        area_id=f"{name}@{geometry.bounds[0]:.0f}",
        class_name=name,
        geometry=geometry,
        is_certain=certain,
        attributes=attributes,
    )


def facts_with(*anomalies: Area, **more: Any) -> TileFacts:
    return make_facts(classes=CLASSES, anomalies=anomalies, **{"has_anomaly_layer": True, **more})


def by_rule(facts: TileFacts) -> dict[str, list[Question]]:
    questions, _ = ask("anomaly_detection", facts, limit=20)
    found: dict[str, list[Question]] = {}
    for question in questions:
        assert check_question(question, width=1000, height=1000, is_chosen=False) == ()
        found.setdefault(question.evidence.rule, []).append(question)
    return found


def test_nothing_is_asked_where_nobody_has_looked() -> None:
    assert ask("anomaly_detection", facts_with(has_anomaly_layer=False)) == ([], ["no anomaly layer"])


def test_absence_is_a_no() -> None:
    questions = by_rule(facts_with())["anomaly_absent"]
    assert len({question.evidence.values["class"] for question in questions}) == len(questions) > 1
    for question in questions:
        assert question.form is AnswerForm.YES_NO
        assert right_texts(question) == ["No"]


def test_presence_kind_and_place() -> None:
    # 240 of 300 px of the width lie left of 333.3: with all of the height that is 80 % and more.
    found = by_rule(facts_with(make_anomaly(box(90, 100, 390, 300))))
    (present,) = found["anomaly_present"]
    assert right_texts(present) == ["Yes"]
    (kind,) = found["kind_of_anomaly"]
    assert right_texts(kind) == ["burnt ground"]
    assert set(wrong_texts(kind)) == {"flooded land", "oil slick", "sinkhole", "landslide"}
    (place,) = found["part_of_anomaly"]
    assert right_texts(place) == ["top left"]
    assert set(wrong_texts(place)) == {
        "top right",
        *("middle left", "centre", "middle right"),
        *("bottom left", "bottom centre", "bottom right"),
    }


def test_a_part_that_holds_the_rest_is_no_wrong_place() -> None:
    # Seven parts are empty; the one with the rest is none of them.
    facts = facts_with(make_anomaly(box(90, 100, 390, 300)))
    for seed in range(25):
        questions, _ = ask("anomaly_detection", facts, limit=20, seed=seed)
        (place,) = (question for question in questions if question.evidence.rule == "part_of_anomaly")
        assert place.evidence.geometry is not None
        assert "top centre" not in wrong_texts(place)


def test_no_place_for_what_lies_in_two_parts() -> None:
    # 193 of 300 px: 64 %.
    assert "part_of_anomaly" not in by_rule(facts_with(make_anomaly(box(140, 100, 440, 300))))


def test_kinds_that_are_there_too_are_no_wrong_option() -> None:
    two = (make_anomaly(box(0, 0, 200, 200)), make_anomaly(box(700, 700, 900, 900), name="oil_slick"))
    for question in by_rule(facts_with(*two))["kind_of_anomaly"]:
        assert not {"oil slick", "burnt ground"} & set(wrong_texts(question))


def test_an_anomaly_too_small_to_be_seen_is_not_asked_about() -> None:
    # 20 × 20 px are 0.04 % of the tile.
    facts = facts_with(make_anomaly(box(100, 100, 120, 120), cause="wildfire"))
    assert set(by_rule(facts)) == {"anomaly_absent"}  # of other kinds
    assert "anomaly too small to be seen" in ask("anomaly_detection", facts)[1]


def test_an_uncertain_anomaly_silences_the_tile() -> None:
    doubtful = make_anomaly(box(0, 0, 300, 300), certain=False)
    assert ask("anomaly_detection", facts_with(doubtful)) == ([], ["an uncertain anomaly is on the tile"])


def test_causes_come_from_labels_alone() -> None:
    (question,) = by_rule(facts_with(make_anomaly(box(0, 0, 300, 300), cause="wildfire")))["cause_of_anomaly"]
    assert right_texts(question) == ["wildfire"]
    assert "cause_of_anomaly" not in by_rule(facts_with(make_anomaly(box(0, 0, 300, 300))))
    two = (make_anomaly(box(0, 0, 200, 200), cause="wildfire"), make_anomaly(box(300, 0, 500, 200), cause="storm"))
    assert "cause_of_anomaly" not in by_rule(facts_with(*two))


def test_a_question_for_the_cause_does_not_name_what_it_is_the_cause_of() -> None:
    facts = facts_with(make_anomaly(box(0, 0, 300, 300), cause="wildfire"))
    for seed in range(20):
        questions, _ = ask("anomaly_detection", facts, limit=20, seed=seed)
        (cause,) = (question for question in questions if question.evidence.rule == "cause_of_anomaly")
        assert "burnt" not in cause.text
        assert set(wrong_texts(cause)) == set(load_phrases().alternatives("anomaly_detection.causes")) - {"wildfire"}


def test_the_cause_is_asked_for_where_all_anomalies_have_one() -> None:
    burnt = make_anomaly(box(0, 0, 200, 200), cause="storm")
    place = box(700, 0, 900, 200)
    flooded = {cause: make_anomaly(place, name="flooded_land", cause=cause) for cause in ("storm", "flood", "")}
    (question,) = by_rule(facts_with(burnt, flooded["storm"]))["cause_of_anomaly"]
    assert right_texts(question) == ["storm"]
    assert question.evidence.feature_ids == ("burnt_ground@0", "flooded_land@700")
    for cause in ("flood", ""):
        assert "cause_of_anomaly" not in by_rule(facts_with(burnt, flooded[cause]))


@pytest.mark.parametrize("kind", ["presence", "kind", "place", "cause", "origin", "overflow", "nearest"])
def test_there_are_ten_wordings(kind: str) -> None:
    assert len(set(load_phrases().alternatives(f"anomaly_detection.{kind}"))) >= 10


def strips(**more: Any) -> TileFacts:
    """Return a tile of forest and, on the right, farmland, with two burnt squares; 1 m per pixel."""
    areas = (make_area("w", "forest", box(0, 0, 600, 1000)), make_area("f", "farmland", box(600, 0, 1000, 1000)))
    burnt = (make_anomaly(box(100, 100, 200, 200)), make_anomaly(box(300, 600, 400, 650)))
    return facts_with(*burnt, areas=areas, gsd_m=Gsd(1, 1), **more)


def test_what_fills_the_holes_of_an_anomaly_does_not_lie_around_it() -> None:
    # 49 holes with walls of 4 px: the burnt area measures 44,032 px², so bands are 0.15 × 210 = 31 px wide. They take
    # 49 × (96² − 33²) px² of the holes and 92,000 px² outside: 81 % of all is forest, but not around the burnt area.
    starts = range(104, 800, 100)
    inside = MultiPolygon([box(x, y, x + 96, y + 96) for x in starts for y in starts])
    outer = box(100, 100, 804, 804)
    burnt, around = outer.difference(inside), box(0, 0, 1000, 1000).difference(outer)
    assert isinstance(burnt, Polygon)
    assert isinstance(around, Polygon)
    areas = [make_area("f", "forest", inside), make_area("g", "farmland", around)]
    assert "ground_around_anomaly" not in by_rule(facts_with(make_anomaly(burnt), areas=areas))


def test_what_lies_around_an_anomaly() -> None:
    (around,) = by_rule(strips())["ground_around_anomaly"]
    assert right_texts(around) == ["forest"]
    assert "the burnt grounds" in around.text
    assert "farmland" in wrong_texts(around)
    # Half in the forest, half in the fields: neither is around it.
    areas = strips().areas
    assert "ground_around_anomaly" not in by_rule(facts_with(make_anomaly(box(550, 100, 650, 200)), areas=areas))
    # Nobody knows what is beside it.
    assert "ground_around_anomaly" not in by_rule(facts_with(make_anomaly(box(100, 100, 200, 200))))


@pytest.mark.parametrize("plural", ["burnt ground", "burnt grounds"])
def test_a_kind_without_a_plural_is_not_counted(plural: str) -> None:
    kind = make_class("burnt_ground", Role.ANOMALY, plural=plural)
    found = by_rule(replace(strips(), classes={**CLASSES, kind.name: kind}))
    assert ("number_of_anomalies" in found) is (kind.plural != kind.singular)
    assert f"the {plural}" in found["ground_around_anomaly"][0].text


def test_how_large_an_anomaly_is_and_how_many_there_are() -> None:
    (number,) = by_rule(strips())["number_of_anomalies"]
    assert right_texts(number) == ["2"]
    assert "area_of_anomaly" not in by_rule(strips())  # "the burnt areas": of each, or of both?
    # 150 × 100 m
    (area,) = by_rule(facts_with(make_anomaly(box(100, 100, 250, 200)), gsd_m=Gsd(1, 1)))["area_of_anomaly"]
    assert right_texts(area) == ["1.5 ha"]
    assert area.value == 15_000
    cut = by_rule(facts_with(make_anomaly(box(0, 100, 200, 200)), gsd_m=Gsd(1, 1)))
    assert not {"area_of_anomaly", "number_of_anomalies"} & cut.keys()
    assert "area_of_anomaly" not in by_rule(facts_with(make_anomaly(box(100, 100, 200, 200))))  # no scale


def test_what_an_anomaly_could_reach() -> None:
    # 10 and 30 m from the first square, and 300 m away: within 20 m (17 to 23) one, within 50 m and more two
    objects = [make_object(name, "house", square(x, 150, 10)) for name, x in (("a", 215), ("b", 235), ("c", 505))]
    (reached,) = by_rule(strips(objects=objects))["objects_near_anomaly"]
    metres = reached.evidence.values["metres"]
    assert right_texts(reached) == [{20: "1", 50: "2", 100: "2", 200: "2"}[metres]]
    assert f"{metres} m" in reached.text


BURNT, FLOODED = (make_class(name, Role.ANOMALY, name) for name in ("burnt", "flooded"))
GRASS = make_class("meadow", Role.AREA, "grass")
TOWN = make_class("town", Role.AREA, "residential")


def seen(name: str, *geometries: Polygon, **more: Any) -> dict[str, list[Question]]:
    """Return what is asked about anomalies of a kind that means something, 1 m per pixel."""
    anomalies = [make_anomaly(geometry, name=name) for geometry in geometries]
    classes = CLASSES | {info.name: info for info in (BURNT, FLOODED, GRASS, TOWN)}
    facts = make_facts(classes=classes, anomalies=anomalies, has_anomaly_layer=True, gsd_m=Gsd(1, 1), **more)
    return by_rule(facts)


@pytest.mark.parametrize(
    ("ground", "fire"),
    [
        ("forest", "a forest fire"),
        ("farmland", "a fire on farmland"),
        ("meadow", "a grass fire"),
        ("marsh", "a fire in a wetland"),
        ("town", "a fire in a built-up area"),
        ("quarry", None),
    ],
)
def test_what_lies_around_tells_what_has_burnt(ground: str, fire: str | None) -> None:
    place = box(100, 100, 300, 300)
    found = seen("burnt", place, areas=[make_area("all", ground, box(0, 0, 1000, 1000))])
    if fire is None:
        assert "fire_by_the_ground_around" not in found
        return
    (question,) = found["fire_by_the_ground_around"]
    assert right_texts(question) == [fire]
    assert len(wrong_texts(question)) >= 3
    # half in the forest and half in the fields: two fires are possible
    halves = [make_area("w", ground, box(0, 0, 200, 1000)), make_area("q", "quarry", box(200, 0, 1000, 1000))]
    assert "fire_by_the_ground_around" not in seen("burnt", place, areas=halves)


@pytest.mark.parametrize(
    ("bank", "answer"),
    [(300, "Yes"), (304, "Yes"), (310, None), (390, None), (420, "No")],  # 0, 4, 10, 90 and 120 m from the flood
)
def test_a_flood_may_come_from_water_beside_it(bank: int, answer: str | None) -> None:
    place = box(150, 400, 300, 600)
    river = make_area("river", "water", box(bank, 0, bank + 80, 1000))
    asked = [seen("flooded", place, areas=[river]).get(rule) for rule in OVERFLOW]
    found = [question for questions in asked for question in questions or ()]
    assert [right_texts(question) for question in found] == ([] if answer is None else [[answer]])
    assert all(("river" in question.evidence.feature_ids) is (answer == "Yes") for question in found)


OVERFLOW = ("water_beside_flooded_area", "no_water_near_flooded_area")


def test_flooded_ground_that_is_labelled_as_water_is_not_beside_itself() -> None:
    place = box(150, 400, 300, 600)
    (question,) = seen("flooded", place, areas=[make_area("flood", "water", place)])["no_water_near_flooded_area"]
    assert right_texts(question) == ["No"]
    at_the_edge = box(50, 400, 300, 600)  # 50 m from the tile's edge: who knows what is beyond it
    assert "no_water_near_flooded_area" not in seen("flooded", at_the_edge, areas=[])


def test_what_is_nearest_to_an_anomaly() -> None:
    place = box(100, 100, 300, 300)

    def objects(*lefts: int) -> list[TileObject]:
        names = ("car", "house", "ship", "silo")
        return [make_object(name, name, box(x, 150, x + 20, 170)) for name, x in zip(names, lefts, strict=True)]

    # 100 m, then 125 m and more: a quarter farther
    (question,) = seen("burnt", place, objects=objects(400, 425, 600, 700))["nearest_to_anomaly"]
    assert right_texts(question) == ["car"]
    assert sorted(wrong_texts(question)) == ["house", "ship", "silo"]
    assert "nearest_to_anomaly" not in seen("burnt", place, objects=objects(400, 424, 600, 700))
    assert "nearest_to_anomaly" not in seen("burnt", place, objects=objects(200, 425, 600, 700))  # in it
    assert "nearest_to_anomaly" not in seen("burnt", place)
