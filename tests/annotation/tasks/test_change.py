"""What was added, removed, or turned into something else between two dates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
from shapely import Polygon, box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Area, TileFacts, TileObject
from rsvqa.annotation.questions import REGION_SLOT
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import ask, make_area, make_facts, make_object, right_texts, square, wrong_texts

KEPT = (450.0, 500.0)


def houses(*xs: float) -> list[TileObject]:
    return [make_object(f"h{round(x)}", "house", square(x, 500)) for x in xs]


def pair_of(before: Iterable[TileObject], after: Iterable[TileObject]) -> TileFacts:
    return make_facts(objects=before, later=make_facts(objects=after))


def test_new_houses_are_counted() -> None:
    # Of four houses in the middle two are there on both dates; far away nothing changes.
    facts = pair_of(houses(*KEPT), houses(*KEPT, 475, 525))
    questions, _ = ask("change_counting", facts, limit=8)
    asked = {question.evidence.rule for question in questions}
    assert asked
    assert asked <= {"count_added_inside_circle", "count_more_inside_circle"}
    for question in questions:
        assert question.region is not None
        inside = [x for x in (475, 525) if abs(x - question.region.x) < question.region.radius]
        assert right_texts(question) == [str(len(inside))]
        assert question.num_dates == 2
        assert REGION_SLOT in question.text
        assert check_question(question, width=1000, height=1000) == ()


def test_gone_houses_are_counted() -> None:
    questions, _ = ask("change_counting", pair_of(houses(500), []))
    assert [right_texts(question) for question in questions] == [["1"]]
    assert questions[0].evidence.rule in {"count_removed_inside_circle", "count_fewer_inside_circle"}
    assert questions[0].evidence.geometry == square(500, 500)


def test_a_gain_is_what_was_added_less_what_was_removed() -> None:
    # Three houses come and one goes, all so near together that every circle holds all of them.
    gone, new = houses(500), [make_object(f"n{x}", "house", square(x, 530)) for x in (476, 500, 524)]
    answers = {}
    for seed in range(12):
        for question in ask("change_counting", pair_of(gone, new), seed=seed)[0]:
            (answers[question.evidence.rule],) = right_texts(question)
    assert answers == {
        "count_added_inside_circle": "3",
        "count_removed_inside_circle": "1",
        "count_more_inside_circle": "2",
    }


def test_a_house_a_little_off_is_the_same_house() -> None:
    # 5 px of 20: 15 / 25 = 0.6 of the union.
    moved = [make_object("later", "house", square(505, 500))]
    assert ask("change_counting", pair_of(houses(500), moved)) == ([], ["nothing has changed"])


def test_a_destroyed_house_is_labelled_as_if_it_stood() -> None:
    # one house is new, and another lies in ruins: nobody can say how many are gone
    ruin = dataclasses.replace(make_object("ruin", "house", square(525, 500)), attributes={"damage": "destroyed"})
    questions, reasons = ask("change_counting", pair_of(houses(525), [ruin, *houses(500)]))
    assert questions == []
    assert "a destroyed thing is labelled as if it stood" in reasons


def test_a_house_half_off_is_doubtful() -> None:
    # 10 px of 20: 10 / 30 = 0.33 of the union, neither the same nor another.
    moved = [make_object("later", "house", square(510, 500)), make_object("new", "house", square(540, 500))]
    questions, reasons = ask("change_counting", pair_of(houses(500), moved))
    assert questions == []
    assert "doubtful whether a thing is the same on both dates" in reasons


def test_cars_may_have_moved() -> None:
    cars = [make_object("c", "car", square(500, 500))]
    assert ask("change_counting", pair_of([], cars)) == ([], ["no things that stay where they are"])


@pytest.mark.parametrize("task", ["change_counting", "land_use_change"])
def test_one_date_is_not_enough(task: str) -> None:
    assert ask(task, make_facts(objects=houses(500))) == ([], ["no second date"])
    shifted = make_facts(objects=houses(500), missing={"later": "the two dates are not aligned: 3.2 px apart"})
    assert ask(task, shifted) == ([], ["dates not aligned"])


def areas_of(*names: str) -> list[Area]:
    """Return areas side by side that cover the tile."""
    width = 1000 / len(names)
    return [make_area(f"{name}{i}", name, box(i * width, 0, (i + 1) * width, 1000)) for i, name in enumerate(names)]


def test_land_use_of_both_dates_is_told() -> None:
    facts = make_facts(areas=areas_of("forest", "farmland"), later=make_facts(areas=areas_of("desert", "farmland")))
    questions, _ = ask("land_use_change", facts, limit=8)
    answers = {tuple(right_texts(question)) for question in questions}
    assert answers <= {("changed from forest to desert",), ("no change: farmland on both dates",)}
    assert ("changed from forest to desert",) in answers
    for question in questions:
        assert check_question(question, width=1000, height=1000, is_chosen=False) == ()
        if right_texts(question) == ["changed from forest to desert"]:
            assert {
                "changed from desert to forest",
                "changed from desert to farmland",
                "no change: forest on both dates",
                "no change: desert on both dates",
                "no change: farmland on both dates",
            } < set(wrong_texts(question))


def test_no_change_is_asked_as_often_as_change_at_most() -> None:
    # Four of five strips stay what they are.
    names = ["farmland", "forest", "water", "marsh", "quarry"]
    facts = make_facts(areas=areas_of(*names), later=make_facts(areas=areas_of("desert", *names[1:])))
    for seed in range(6):
        questions, _ = ask("land_use_change", facts, limit=12, seed=seed)
        kept = [question for question in questions if right_texts(question)[0].startswith("no change")]
        assert 2 * len(kept) <= len(questions)
    # where nothing has changed there is nothing to tell apart
    still = make_facts(areas=areas_of(*names), later=make_facts(areas=areas_of(*names)))
    questions, reasons = ask("land_use_change", still)
    assert questions == []
    assert "no change of land use to set against" in reasons


def test_options_are_all_that_can_happen_between_some_land_uses() -> None:
    # Each class is as often the first and as often the second as any other, whether the land changes or not.
    facts = make_facts(areas=areas_of("forest", "farmland"), later=make_facts(areas=areas_of("desert", "farmland")))
    for question in ask("land_use_change", facts, limit=8)[0]:
        texts = [*right_texts(question), *wrong_texts(question)]
        told = [text.removeprefix("changed from ").removeprefix("no change: ") for text in texts]
        pairs = [
            tuple(text.split(" to ")) if " to " in text else (text.removesuffix(" on both dates"),) * 2 for text in told
        ]
        names = {name for pair in pairs for name in pair}
        assert sorted(pairs) == sorted((first, second) for first in names for second in names)
        assert len(names) == 7  # all land uses of the table
        assert {"forest", "farmland", "desert"} < names  # what is on the tile comes first


def test_a_circle_lies_where_the_land_has_changed() -> None:
    # A square of 130 px has changed; a circle at least 120 px across fits at its middle alone, on 1.7 % of the tile
    changed = box(600, 200, 730, 330)
    before = [make_area("wood", "forest", box(0, 0, 1000, 1000))]
    after = [
        make_area("rest", "forest", Polygon(box(0, 0, 1000, 1000).exterior, [changed.exterior])),
        make_area("cut", "desert", changed),
    ]
    facts = make_facts(areas=before, later=make_facts(areas=after))
    for seed in range(20):
        answers = [text for question in ask("land_use_change", facts, seed=seed)[0] for text in right_texts(question)]
        if "changed from forest to desert" in answers:
            return
    raise AssertionError("no circle was found where the land has changed")


def test_the_circle_with_more_changes_goes_first() -> None:
    # one house comes alone, and five in a group of 100 px; only the group has a circle of several
    group = [make_object(f"g{i}", "house", square(300 + 25 * i, 300, 10)) for i in range(5)]
    alone = [make_object("a", "house", square(310, 420, 10))]
    for seed in range(6):
        question = ask("change_counting", pair_of([], [*group, *alone]), limit=1, seed=seed)[0][0]
        assert int(right_texts(question)[0]) > 1


def test_a_circle_is_found_between_the_houses_of_a_street() -> None:
    # Houses of 30 px every 65 px along both sides of a street, as in a town at 0.3 m; one of them is new.
    street = [(x, y) for x in range(100, 950, 65) for y in (455, 545)]
    before = [make_object(f"h{i}", "house", square(x, y, 30)) for i, (x, y) in enumerate(street)]
    facts = pair_of(before[:9] + before[10:], before)
    assert all(ask("change_counting", facts, seed=seed)[0] for seed in range(5))


def test_a_circle_of_two_classes_is_not_asked_about() -> None:
    strips = areas_of(*["forest", "farmland"] * 20)  # 25 px wide, in circles at least 120 px across
    facts = make_facts(areas=strips, later=make_facts(areas=strips))
    questions, reasons = ask("land_use_change", facts)
    assert questions == []
    assert set(reasons) == {"the region is not of one class on both dates"}


def test_uncertain_areas_are_not_asked_about() -> None:
    doubtful = [dataclasses.replace(area, is_certain=False) for area in areas_of("forest")]
    questions, reasons = ask("land_use_change", make_facts(areas=doubtful, later=make_facts(areas=areas_of("desert"))))
    assert questions == []
    assert set(reasons) == {"an uncertain area is in the region"}


@pytest.mark.parametrize(
    "key",
    [
        "change_counting.added",
        "change_counting.removed",
        "change_counting.more",
        "change_counting.fewer",
        "land_use_change.question",
    ],
)
def test_there_are_five_wordings(key: str) -> None:
    assert len(set(load_phrases().alternatives(key))) >= 5
