"""Land-use shares by the areas of rectangles, and every reason for not asking."""

from __future__ import annotations

import pytest
from shapely import Point, Polygon, box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Area, Role
from rsvqa.annotation.questions import REGION_SLOT
from rsvqa.annotation.tasks.land_use import class_shares
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    CLASSES,
    ask,
    classes_with,
    make_area,
    make_class,
    make_context,
    make_facts,
    make_object,
    right_texts,
    square,
    wrong_texts,
)

AREAS = {"forest", "farmland", "water", "car park", "desert", "quarry", "marsh"}


def strip(area_id: str, class_name: str, left: float, right: float, *, certain: bool = True) -> Area:
    """Return a strip of the whole height of a 1000 px tile: its share is its width in thousandths."""
    return make_area(area_id, class_name, box(left, 0, right, 1000), certain=certain)


def test_shares_are_of_the_union_of_a_class() -> None:
    # forest 0-400 and 300-500 overlap: 500 px of 1000; an uncertain area adds nothing
    areas = [strip("a", "forest", 0, 400), strip("b", "forest", 300, 500), strip("c", "water", 900, 1000)]
    shares = class_shares(make_context(make_facts(areas=[*areas, strip("u", "water", 500, 900, certain=False)])))
    assert shares == pytest.approx({"forest": 0.5, "water": 0.1})


@pytest.mark.parametrize("seed", range(12))
def test_right_options_cover_the_tile_and_wrong_ones_are_not_on_it(seed: int) -> None:
    areas = [strip("f", "forest", 0, 500), strip("w", "water", 500, 540), strip("m", "marsh", 540, 560)]
    questions, _ = ask("overall_land_use", make_facts(areas=areas), seed=seed)
    assert questions
    for question in questions:
        right, wrong = set(right_texts(question)), set(wrong_texts(question))
        assert right
        assert right <= {"forest", "water"}
        # marsh has exactly 2 %: neither right nor wrong
        assert wrong == {"farmland", "car park", "desert", "quarry"}
        assert set(question.evidence.feature_ids) == {name[0] for name in right}


def small_and_large(*, marsh: float = 10, certain: bool = True) -> list[Area]:
    """Return areas of three classes of a land cover map of four: all are on the tile, one of them hardly."""
    areas = [strip("f", "forest", 0, 500), strip("w", "water", 500, 800), strip("d", "desert", 800, 900)]
    return [*areas, strip("m", "marsh", 900, 900 + marsh, certain=certain)]


FOUR = ["forest", "water", "desert", "marsh"]


@pytest.mark.parametrize("seed", range(8))
def test_a_class_well_below_the_threshold_is_a_wrong_option(seed: int) -> None:
    # nothing is absent: the marsh covers 1 % of the tile, and the question asks for 2 %
    # one wrong option is all there is, so three must be right, whatever the seed
    facts = make_facts(areas=small_and_large(), complete=FOUR)
    ((question,), _) = ask("overall_land_use", facts, limit=1, seed=seed)
    assert set(right_texts(question)) == {"forest", "water", "desert"}
    assert wrong_texts(question) == ["marsh"]
    assert question.evidence.values["absent"] == []
    assert question.evidence.values["below"] == {"marsh": 0.01}


@pytest.mark.parametrize(
    ("areas", "complete"),
    [
        (small_and_large(marsh=11), FOUR),  # 1.1 %: near the threshold
        (small_and_large(), FOUR[:3]),  # there may be more of it
        ([*small_and_large(), strip("u", "marsh", 950, 990, certain=False)], FOUR),
    ],
)
def test_a_class_that_may_reach_the_threshold_is_none(areas: list[Area], complete: list[str]) -> None:
    for seed in range(12):
        questions, reasons = ask("overall_land_use", make_facts(areas=areas, complete=complete), limit=1, seed=seed)
        assert questions == []
        assert set(reasons) == {"too few classes are known to be absent, or to cover less"}


def test_a_small_class_that_means_the_same_as_a_large_one_is_none() -> None:
    classes = classes_with(make_class("swamp", role=Role.AREA, broader=("forest",)))
    areas = [*small_and_large()[:3], strip("s", "swamp", 900, 910)]
    facts = make_facts(areas=areas, complete=[*FOUR, "swamp"], classes=classes)
    for seed in range(12):
        for question in ask("overall_land_use", facts, seed=seed)[0]:
            assert "swamp" not in wrong_texts(question)


def test_right_classes_are_offered_three_at_a_time() -> None:
    # How many of three are shown is chosen over the whole data set; a fourth makes a second question.
    names = ["forest", "farmland", "water", "car_park"]
    areas = [strip(name, name, 200 * i, 200 * i + 200) for i, name in enumerate(names)]
    questions, _ = ask("overall_land_use", make_facts(areas=areas))
    assert [len(right_texts(question)) for question in questions] == [3, 1]
    assert {text for question in questions for text in right_texts(question)} == {
        *("forest", "farmland", "water", "car park")
    }
    assert all(set(wrong_texts(question)) == {"desert", "quarry", "marsh"} for question in questions)


@pytest.mark.parametrize(
    ("areas", "complete", "reason"),
    [
        ([], None, "no land-use areas"),
        ([strip("f", "forest", 0, 29)], None, "no class is certainly above the threshold"),
        ([strip("f", "forest", 0, 500)], ["forest"], "too few classes are known to be absent, or to cover less"),
    ],
)
def test_a_tile_that_cannot_be_asked_about_says_why(areas: list[Area], complete: list[str] | None, reason: str) -> None:
    assert ask("overall_land_use", make_facts(areas=areas, complete=complete)) == ([], [reason])


def test_trees_on_the_tile_keep_forest_from_being_a_wrong_option() -> None:
    classes = classes_with(make_class("tree", kind="tree"))
    facts = make_facts(
        areas=[strip("w", "water", 0, 500)], objects=[make_object("t", "tree", square(700, 700))], classes=classes
    )
    wrong = {text for s in range(20) for q in ask("overall_land_use", facts, seed=s)[0] for text in wrong_texts(q)}
    assert wrong == AREAS - {"water", "forest"}


def test_classes_that_may_mean_the_same_never_stand_side_by_side() -> None:
    classes = classes_with(make_class("wood", Role.AREA))
    facts = make_facts(areas=[strip("f", "forest", 0, 400), strip("w", "wood", 400, 800)], classes=classes)
    for seed in range(20):
        for question in ask("overall_land_use", facts, seed=seed)[0]:
            assert len(right_texts(question)) == 1


def test_a_circle_takes_the_class_it_lies_in() -> None:
    facts = make_facts(areas=[strip("f", "forest", 0, 500), strip("w", "water", 500, 1000)])
    sides = set()
    for seed in range(15):
        for question in ask("regional_land_use", facts, seed=seed)[0]:
            circle = question.region
            assert circle is not None
            assert right_texts(question) == ["forest" if circle.x < 500 else "water"]
            # at least 80 % of the disc on one side: its chord lies 0.49 radii from the centre or more
            assert abs(circle.x - 500) > 0.48 * circle.radius
            # the other one is a wrong option only when none of it is inside
            inside = {"forest", "water"} if abs(circle.x - 500) < circle.radius - 1 else {*right_texts(question)}
            assert inside.isdisjoint(wrong_texts(question))
            assert REGION_SLOT in question.text
            sides.add(circle.x < 500)
    assert sides == {True, False}


def circle_in(areas: list[Area], **more: object) -> list[str]:
    """Return the right answers that three seeds give, sorted, each once."""
    facts = make_facts(areas=areas, **more)  # type: ignore[arg-type]
    results = [ask("regional_land_use", facts, seed=seed) for seed in range(3)]
    return sorted({text for questions, _ in results for q in questions for text in right_texts(q)})


def test_a_second_class_of_a_seventh_makes_the_circle_doubtful() -> None:
    forest = strip("f", "forest", 0, 1000)
    stripes = [strip(f"w{i}", "water", 20 * i, 20 * i + 4) for i in range(50)]  # 20 % of everything
    assert circle_in([forest, *stripes]) == []
    thin = [strip(f"w{i}", "water", 20 * i, 20 * i + 2) for i in range(50)]  # 10 %
    assert circle_in([forest, *thin]) == ["forest"]


def test_an_incomplete_class_must_cover_the_circle() -> None:
    # forest with gaps of 5 %
    striped = [strip(f"f{i}", "forest", 20 * i, 20 * i + 19) for i in range(50)]
    assert circle_in(striped) == ["forest"]
    assert circle_in(striped, complete=[]) == []
    assert circle_in([strip("f", "forest", 0, 1000)], complete=[]) == ["forest"]


@pytest.mark.parametrize(
    ("size", "areas", "reason"),
    [
        (1000, [], "no land-use areas"),
        (90, [make_area("f", "forest", square(45, 45, 80))], "the tile is too small for regions"),
    ],
)
def test_a_tile_without_regions_says_why(size: int, areas: list[Area], reason: str) -> None:
    assert ask("regional_land_use", make_facts(areas=areas, size=size)) == ([], [reason])


def test_an_uncertain_area_makes_its_circles_doubtful() -> None:
    areas = [strip("f", "forest", 0, 1000), strip("u", "water", 0, 1000, certain=False)]
    questions, reasons = ask("regional_land_use", make_facts(areas=areas))
    assert questions == []
    assert set(reasons) == {"an uncertain area is in the region"}


def test_a_table_of_three_classes_has_too_few_wrong_options() -> None:
    classes = {name: CLASSES[name] for name in ("forest", "water", "marsh")}
    questions, reasons = ask("regional_land_use", make_facts(areas=[strip("f", "forest", 0, 1000)], classes=classes))
    assert questions == []
    assert set(reasons) == {"too few classes for wrong options"}


@pytest.mark.parametrize("task", ["overall_land_use", "regional_land_use"])
def test_there_are_five_wordings_and_every_one_passes_the_checks(task: str) -> None:
    wordings = load_phrases().alternatives(f"{task}.question")
    assert len(set(wordings)) >= 5
    lake = Point(500, 500).buffer(480)
    assert isinstance(lake, Polygon)
    facts = make_facts(areas=[make_area("w", "water", lake)])
    seen = set()
    for seed in range(60):
        for question in ask(task, facts, seed=seed)[0]:
            assert check_question(question, width=1000, height=1000, is_chosen=False) == ()
            seen.add(question.text)
    assert seen == {wording.format(percent=2, region=REGION_SLOT) for wording in wordings}
