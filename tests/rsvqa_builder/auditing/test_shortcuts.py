"""Planted shortcuts are found with the figure that they are worth, and fair questions stay at chance."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.likeness import words_of
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.auditing.classifiers import classifier_guessers, has_classifiers
from rsvqa.rsvqa_builder.auditing.guessers import TableGuesser, rule_guessers
from rsvqa.rsvqa_builder.auditing.holdout import chance_of, clustered_share, deal_folds
from rsvqa.rsvqa_builder.auditing.items import AuditItem
from rsvqa.rsvqa_builder.auditing.option_tables import (
    OptionTable,
    direction_of,
    number_of,
)
from rsvqa.rsvqa_builder.auditing.shortcuts import BoundedDraw, DrawnQuestions, find_shortcuts
from tests.rsvqa_builder.auditing.make_items import WORDS, Asked, Maker, ask, audited, fair, fair_numbers, make_items

needs_sklearn = pytest.mark.skipif(not has_classifiers(), reason="needs scikit-learn, the extra audit")


def usual(rng: random.Random, _: int) -> Asked:
    """`oak` is right in seven cases of ten, all four in the rest."""
    return ask(WORDS[:4], 0 if rng.random() < 0.6 else rng.randrange(4))


def second_number(rng: random.Random, _: int) -> Asked:
    numbers = sorted(rng.sample(range(1, 500), 4))
    return ask(tuple(map(str, numbers)), 1)


def nearest_the_middle(rng: random.Random, _: int) -> Asked:
    """The right value stands amid wrong ones of half and double its size, some shuffled rank."""
    right = rng.uniform(10, 1_000)
    values = (right, right * 0.4, right * 0.45, right * 4)
    return ask(tuple(f"{value:.1f} m" for value in values), 0)


def longest(rng: random.Random, _: int) -> Asked:
    texts = [" ".join(rng.choice(WORDS) for _ in range(3)) for _ in range(4)]
    return ask((texts[0] + " and more", *texts[1:]), 0)


def alone_in_its_half(rng: random.Random, _: int) -> Asked:
    names = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest")
    start = rng.randrange(8)
    return ask(tuple(names[(start + turn) % 8] for turn in (0, 3, 4, 5)), 0)


def by_class(rng: random.Random, _: int) -> Asked:
    number = rng.randrange(8)
    wrong = rng.sample([word for word in WORDS if word != WORDS[number]], 3)
    return ask((WORDS[number], *wrong), 0, f"What is thing {'abcdefgh'[number]}{'abcdefgh'[number]} like?")


def by_other_options(rng: random.Random, _: int) -> Asked:
    """Each word is right beside the one that follows it and wrong beside others."""
    start = rng.randrange(8)
    return ask(tuple(WORDS[(start + step) % 8] for step in (0, 1, 2, 3)), 0)


def by_box_shape(rng: random.Random, _: int) -> Asked:
    is_wide = rng.random() < 0.5
    width, height = (0.3, 0.1) if is_wide else (0.1, 0.3)
    left, top = rng.uniform(0, 0.6), rng.uniform(0, 0.6)
    return ask(("east-west", "north-south"), 0 if is_wide else 1, box=Box(left, top, left + width, top + height))


def by_box_area(rng: random.Random, _: int) -> Asked:
    """The right area is that of the box; wrong ones are 0.4, 2.5 and 6 times as large, or the other way round."""
    side = rng.uniform(0.02, 0.3)
    area = side * side * 1e6
    factors = (1, 0.4, 2.5, 6) if rng.random() < 0.5 else (1, 2.5, 0.4, 0.15)
    return ask(tuple(f"{area * factor:.0f} m²" for factor in factors), 0, box=Box(0.1, 0.1, 0.1 + side, 0.1 + side))


def in_steps(rng: random.Random, _: int) -> Asked:
    """Wrong counts lie whole steps of 15 % away from the right one, at any rank."""
    right = rng.randrange(20, 2_000)
    step = round(right * 0.15)
    return ask(tuple(str(right + step * k) for k in (0, *rng.sample([-4, -3, -2, -1, 1, 2, 3, 4], 3))), 0)


def odd_one_out(rng: random.Random, _: int) -> Asked:
    base = " ".join(rng.sample(WORDS, 5))
    return ask((" ".join(rng.sample(WORDS, 2)) + " x y z", *(f"{base} {word}" for word in rng.sample("abc", 3))), 0)


def echo(rng: random.Random, _: int) -> Asked:
    options = tuple(rng.sample(WORDS, 4))
    return ask(options, 0, f"Where does the {options[0]} stand?")


PLANTED: list[tuple[Maker, float, Sequence[str]]] = [
    (usual, 0.7, ["the option alone"]),
    (second_number, 1.0, ["rank by number"]),
    (nearest_the_middle, 1.0, ["rank by distance from the geometric mean"]),
    (longest, 1.0, ["rank by words", "rank by length"]),
    (alone_in_its_half, 1.0, ["rank by only direction 90° or more from all others", "rank by angle to the others"]),
    (by_class, 1.0, ["option and wording"]),
    (by_other_options, 1.0, ["option and what else is offered"]),
    (by_box_shape, 1.0, ["option and shape of the box"]),
    (by_box_area, 1.0, ["number per area of the box", "number per side of the box"]),
    (in_steps, 0.85, ["rank by others in steps of 15% of it"]),
    (odd_one_out, 1.0, ["rank by words shared with the others"]),
    (echo, 1.0, ["rank by words shared with the question"]),
]


@pytest.mark.parametrize(("maker", "worth", "names"), PLANTED, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_shortcut_is_found_with_its_figure(maker: Maker, worth: float, names: Sequence[str]) -> None:
    found = audited(make_items(maker))
    assert found.best is not None
    assert found.best.low <= worth <= found.best.high + 1e-9 or found.best.value > worth
    assert found.best.value == pytest.approx(worth, abs=0.08) or found.best.value > worth
    assert any(found.guessers[name] > found.best.value - 0.05 for name in names)
    assert found.by in found.guessers


@needs_sklearn
def test_a_classifier_joins_what_no_rule_joins() -> None:
    def two_words(rng: random.Random, _: int) -> Asked:
        """A word amid of ever other words tells the answer."""
        number = rng.randrange(4)
        noise = " ".join(rng.sample("abcdefghijklmnopqrstuvwxyz", 6))
        return ask(WORDS[:4], number, f"{noise} {('river', 'quay', 'dune', 'peak')[number]} {noise}?")

    items = make_items(two_words)
    with_rules, with_words = audited(items).best, audited(items, with_classifiers=True)
    assert with_rules is not None
    assert with_words.best is not None
    assert with_rules.low <= 0.25 + 0.03
    assert with_words.best.value > 0.97
    assert with_words.by == "all words"


@needs_sklearn
def test_trees_join_numbers() -> None:
    def product(rng: random.Random, _: int) -> Asked:
        """Wide small boxes and tall large ones are a `yes`, others a `no`: neither side nor shape alone tells."""
        is_wide, is_large = rng.random() < 0.5, rng.random() < 0.5
        side = rng.uniform(0.4, 0.5) if is_large else rng.uniform(0.04, 0.05)
        width, height = (side, side / 3) if is_wide else (side / 3, side)
        return ask(("yes", "no"), int(is_wide == is_large), box=Box(0.1, 0.1, 0.1 + width, 0.1 + height))

    table = OptionTable(make_items(product))
    trees = classifier_guessers(table, seed=0)[1]
    train = np.arange(len(table.items)) < 200
    likely = trees.probabilities(train, ~train)
    best = np.maximum.reduceat(likely, table.starts)
    right = np.maximum.reduceat(np.where(table.is_right, likely, -1), table.starts)
    assert (right == best)[~train].mean() > 0.95


def test_the_wording_that_gives_an_option_away_is_named() -> None:
    found = audited(make_items(by_class))
    named = [one for one in found.give_aways if one.wording]
    assert len(named) == 3
    # eight things, each asked about 300 / 8 times; its word is offered and right each time
    assert all(one.right == one.offered and 20 < one.offered < 60 for one in named)
    assert all(one.says == WORDS["abcdefgh".index(one.wording.split()[3][0])] for one in named)


# --- no shortcut, no alarm ---


@pytest.mark.parametrize(
    ("maker", "form", "num_seeds"),
    [
        (fair, "one_of", 6),
        (fair_numbers, "one_of", 6),
        (fair, "several_of", 3),
        pytest.param(fair, "one_of", 100, marks=pytest.mark.slow),
    ],
)
def test_fair_questions_stay_at_chance(maker: Maker, form: str, num_seeds: int) -> None:
    """No data set without a shortcut is surely 3 points above chance, and the best guess is not optimistic."""
    found = [audited(make_items(maker, seed=seed, form=form), seed=seed) for seed in range(num_seeds)]
    points = [one.points for one in found if one.points is not None]
    assert len(points) == num_seeds
    assert [one.sure_points for one in found if (one.sure_points or 0) > 3] == []
    assert abs(float(np.mean(points))) < 2


@needs_sklearn
def test_classifiers_raise_no_false_alarm() -> None:
    found = [audited(make_items(fair, seed=seed), seed=seed, with_classifiers=True) for seed in range(2)]
    assert max(one.sure_points or 0 for one in found) < 3


def test_choosing_a_guesser_sees_no_question_that_is_scored() -> None:
    # the best of all guessers, chosen afterwards, does better than chance on fair questions; the chosen one must not
    found = [audited(make_items(fair, seed=seed), seed=seed) for seed in range(8)]
    afterwards = float(np.mean([max(one.guessers.values()) for one in found]))
    chosen = float(np.mean([one.best.value for one in found if one.best is not None]))
    assert chosen < 0.26
    assert afterwards > chosen + 0.01


# --- what is held out ---


def of_its_place(_: random.Random, place: int) -> Asked:
    """The street tells the answer, and each place has streets of its own."""
    return ask(WORDS[:4], place % 4, f"What stands in street {'abcdefghij'[place] * 3}?")


def test_places_are_held_out_whole() -> None:
    items = make_items(of_its_place)
    by_place = audited(items)
    by_image = audited([replace(item, place="") for item in items])
    assert (by_place.held_out, by_place.num_groups) == ("place", 10)
    assert (by_image.held_out, by_image.num_groups) == ("image", 100)
    assert by_place.best is not None
    assert by_image.best is not None
    assert by_image.best.value == 1.0
    assert by_place.best.value < 0.4


def test_fewer_than_five_places_are_held_out_by_image() -> None:
    assert audited(make_items(fair, places=4)).held_out == "image"
    assert audited(make_items(fair, places=5)).held_out == "place"


def test_a_group_is_never_cut() -> None:
    groups = [f"g{number % 7}" for number in range(100)]
    folds = deal_folds(groups, seed=3)
    assert all(
        len({int(fold) for fold, group in zip(folds, groups, strict=True) if group == one}) == 1 for one in groups
    )
    assert sorted(np.bincount(folds).tolist()) == [14, 15, 15, 28, 28]
    # two groups of 15 and five of 14: the last two join the folds that hold one of 14


# --- answers of other forms ---


def test_sets_are_guessed_as_sets() -> None:
    rng = random.Random(5)
    items = []
    for number in range(200):
        # `oak` is always right, one of the three others too: who knows that guesses one pair of three
        other = rng.choice(WORDS[1:4])
        options = tuple(rng.sample(WORDS[:4], 4))
        right = tuple(place for place, option in enumerate(options) if option in ("oak", other))
        items.append(
            AuditItem(
                where=str(number), task="t", form=AnswerForm.SEVERAL_OF, question="Which?",
                options=options, right=right, place=f"p{number % 10}", image=str(number),
            )
        )  # fmt: skip
    found = audited(items)
    assert found.best is not None
    assert found.chance == pytest.approx(1 / 6)  # two of four, which one may know
    assert found.best.value == pytest.approx(1 / 3, abs=0.08)
    assert found.give_aways[0].says == "oak"
    assert (found.give_aways[0].offered, found.give_aways[0].right) == (200, 200)


def test_yes_and_no_count_by_what_they_say() -> None:
    def mostly_no(rng: random.Random, _: int) -> Asked:
        return ask(("No", "Yes"), int(rng.random() < 0.2))

    found = audited(make_items(mostly_no, form="yes_no"))
    assert found.best is not None
    assert found.chance == 0.5
    assert found.majority == pytest.approx(0.8, abs=0.05)
    assert found.best.value == pytest.approx(0.8, abs=0.05)


def box_item(number: int, box: tuple[float, float, float, float]) -> AuditItem:
    return AuditItem(
        where=str(number), task="t", form=AnswerForm.BOX, question="Where?", box=Box(*box), size=(100, 100),
        place=f"p{number % 10}", image=str(number),
    )  # fmt: skip


def test_a_constant_box_that_fits_is_a_shortcut() -> None:
    # half of the boxes are one box: it is a hit there, and the other corners are not
    boxes = [
        (0.4, 0.4, 0.6, 0.6) if number % 20 < 10 else (0.0, 0.0, 0.1, 0.1 + number / 1_000) for number in range(200)
    ]
    found = audited([box_item(number, box) for number, box in enumerate(boxes)])
    assert found.best is not None
    assert (found.chance, found.measure) == (0.0, "IoU of 0.5 or more")
    assert found.best.value >= 0.5
    scattered = [(x, y, x + 0.05, y + 0.05) for x, y in np.random.default_rng(0).uniform(0, 0.95, (200, 2)).tolist()]
    assert (audited([box_item(number, box) for number, box in enumerate(scattered)]).points or 0) < 3


def test_a_constant_caption_shares_words() -> None:
    def text_item(number: int, text: str) -> AuditItem:
        return AuditItem(
            where=str(number),
            task="t",
            form=AnswerForm.TEXT,
            question="Describe.",
            reference=text,
            place=f"p{number % 10}",
        )

    # each text is "the land is" and a word of its own: 3 of 4 words are shared, F1 = 3/4
    found = audited([text_item(number, f"The land is w{number}") for number in range(40)])
    assert found.best is not None
    assert found.best.value == pytest.approx(0.75)
    assert (found.chance, found.points) == (None, None)


# --- arithmetic ---


def test_the_interval_is_wilsons_for_independent_questions() -> None:
    values = np.array([1.0] * 40 + [0.0] * 60)
    share = clustered_share(values, [str(number) for number in range(100)])
    # Wilson with n = 100 · 99/100 (the variance of groups divides by 99) and Student's t of 99 degrees, 1.984
    n, z = 99.0, 1.984
    centre = (0.4 + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (0.24 / n + z * z / (4 * n * n)) ** 0.5
    assert share.value == 0.4
    assert share.low == pytest.approx(centre - half, abs=1e-3)
    assert share.high == pytest.approx(centre + half, abs=1e-3)


def test_places_that_differ_widen_the_interval() -> None:
    values = np.array([1.0] * 50 + [0.0] * 50)
    alike = clustered_share(values, [str(number % 10) for number in range(100)])
    apart = clustered_share(values, [str(number // 10) for number in range(100)])
    assert alike.high - alike.low < 0.25
    assert apart.high - apart.low > 0.55


def test_an_interval_of_equal_values_is_not_a_point() -> None:
    share = clustered_share(np.ones(20), [str(number // 2) for number in range(20)])
    assert share.high == pytest.approx(1.0)
    assert share.low == pytest.approx(20 / (20 + 2.262**2), abs=1e-3)  # n / (n + z²), t of 9 degrees


def test_chance_of_sets_knows_their_usual_size() -> None:
    def of(right: tuple[int, ...]) -> AuditItem:
        return AuditItem(where="", task="t", form=AnswerForm.SEVERAL_OF, question="", options=WORDS[:4], right=right)

    assert chance_of(OptionTable([of((0,)), of((0, 1)), of((2, 3)), of((1, 2))])) == pytest.approx(0.75 / 6)
    assert chance_of(OptionTable([of((0,)), of((3,))])) == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("about 1.2 km", 1200), ("310 m²", 310), ("1,144 m", 1144), ("3 ha", 30_000), ("0.5 km²", 5e5), ("no", None),
        ("2 of them", 2), ("5 cm", 0.05), ("12 345", 12_345),
    ],
)  # fmt: skip
def test_numbers_are_read_in_base_units(text: str, number: float | None) -> None:
    assert number_of(text) == (None if number is None else pytest.approx(number))


@pytest.mark.parametrize(
    ("text", "bearing"),
    [("North-east", 45), ("upper left", 315), ("S", 180), ("东北", 45), ("the north", None), ("north–south", None)],
)
def test_directions_are_read(text: str, bearing: float | None) -> None:
    assert direction_of(text) == bearing


def test_chinese_is_read_by_the_character() -> None:
    assert words_of("有3辆Car吗") == ["有", "3", "辆", "car", "吗"]


def test_equal_scores_share_the_credit() -> None:
    # nothing tells four words apart that are each right as often: a quarter each
    table = OptionTable(make_items(fair, places=5, per_place=4))
    blind = TableGuesser(name="blind", table=table, keys=np.zeros(len(table.contents), dtype=np.int64))
    likely = blind.probabilities(np.ones(20, dtype=np.bool_), np.ones(20, dtype=np.bool_))
    assert np.ptp(likely) == 0


# --- sampling and edges ---


def test_the_sample_is_bounded_and_does_not_depend_on_the_order() -> None:
    items = make_items(fair)
    one, other = DrawnQuestions(50, seed=0), DrawnQuestions(50, seed=0)
    for item in items:
        one.add(item)
    for item in reversed(items):
        other.add(item)
    ((_, drawn),) = one.drawn()
    ((_, backwards),) = other.drawn()
    assert {item.where for item in drawn} == {item.where for item in backwards}
    assert len(drawn) == 50
    assert one.counts.total() == 300


def test_nothing_is_guessed_of_nothing() -> None:
    assert find_shortcuts(DrawnQuestions(100, seed=0), seed=0, with_classifiers=False) == []


def test_few_questions_and_one_image_are_not_guessed() -> None:
    assert audited(make_items(fair, places=3, per_place=3)).why_not == "fewer than 10 questions"
    one_image = [replace(item, image="the one", place="") for item in make_items(fair)]
    assert audited(one_image).why_not == "all questions are about one image"


def test_questions_without_a_key_are_not_guessed() -> None:
    items = [replace(item, right=()) for item in make_items(fair)]
    assert audited(items).why_not == "fewer than 10 questions"


def test_worst_questions_are_those_that_were_guessed() -> None:
    items = make_items(by_class)
    found = audited(items)
    assert len(found.worst) == 3
    assert {item.where for item in found.worst} <= {item.where for item in items}


def test_the_simplest_guesser_comes_first() -> None:
    assert rule_guessers(OptionTable(make_items(fair)))[0].name == "the option alone"


def test_draws_of_parts_joined_in_order_are_one_draw() -> None:
    # ranks 5, 1, 4 and then 3, 6: of two that stay, 5 came first and 6 last; 4 would have been kept of its part alone
    key = ("overall_counting", "one_of", "en")
    parts: list[BoundedDraw[str]] = []
    for ranks in ([5, 1, 4], [3, 6], []):
        part: BoundedDraw[str] = BoundedDraw(2)
        for rank in ranks:
            part.offer(key, rank, str(rank))
        parts.append(part)
    joined: BoundedDraw[str] = BoundedDraw(2)
    for part in parts:
        joined.join(json.loads(json.dumps(part.told(str))), str)
    assert joined.counts == {key: 5}
    assert list(joined.drawn()) == [(key, ["5", "6"])]
    assert sorted(joined.held()) == ["5", "6"]
    later: BoundedDraw[str] = BoundedDraw(3)
    for part in parts:
        later.join(part.told(str), str)
    assert list(later.drawn()) == [(key, ["5", "4", "6"])]
