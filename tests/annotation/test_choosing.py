"""Over a whole data set: which candidates are asked, and with which options, so that text alone tells nothing."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from rsvqa.annotation.balance import Balance
from rsvqa.annotation.choosing import (
    BEYOND_LIMIT,
    NO_OPTIONS,
    PAIR_TELLS,
    TOO_COARSE,
    TOO_FREQUENT,
    Chooser,
    ChosenQuestions,
    largest_cap,
)
from rsvqa.annotation.offer_columns import OfferBatch
from rsvqa.annotation.questions import Evidence, Option, Question
from rsvqa.annotation.taxonomy import AnswerForm

Asked = tuple[Option, ...] | None


def number(count: int, *strata: str, wrong: Sequence[int] = (), ratio: float = 1.0) -> Question:
    """Return a question after a number; without strata, of the template "whole"."""
    return Question(
        task="overall_counting",
        form=AnswerForm.ONE_OF,
        text="How many?",
        evidence=Evidence(rule="count"),
        options=(Option(str(count), True), *(Option(str(other), False) for other in wrong)),
        strata=strata or ("whole",),
        pool="counts",
        value=float(count),
        min_ratio=ratio,
    )


def one_of(right: str, wrong: str, *strata: str) -> Question:
    """Return a question with options of a letter each."""
    return replace(
        number(1, *strata or ("which",)),
        task="environmental_reasoning",
        options=(Option(right, True), *(Option(letter, False) for letter in wrong)),
        pool=None,
        value=None,
    )


def yes_no(is_yes: bool, *strata: str) -> Question:
    options = (Option("Yes", is_yes), Option("No", not is_yes))
    question = replace(one_of("", "", *strata), task="object_presence", options=options)
    return replace(question, form=AnswerForm.YES_NO)


def several_of(right: str, wrong: str) -> Question:
    options = (*(Option(letter, True) for letter in right), *(Option(letter, False) for letter in wrong))
    question = replace(one_of("", "", "which"), task="overall_land_use", options=options)
    return replace(question, form=AnswerForm.SEVERAL_OF)


def choose(
    questions: Iterable[Question],
    *,
    balance: Balance = Balance.SOFT,
    limit: int = 100,
    per_tile: int = 1,
    splits: Sequence[str] = ("train",),
    seed: int = 0,
    fine_share: float = 0.0,
    fine: Container[int] = (),
) -> tuple[ChosenQuestions, list[Asked]]:
    """Return the choices, and the options of each question in turn; `per_tile` of them are on one tile."""
    tasks = ("overall_counting", "environmental_reasoning", "object_presence", "overall_land_use")
    chooser = Chooser(limits=dict.fromkeys(tasks, limit), balance=balance, seed=seed, fine_share=fine_share)
    indices = [
        chooser.add(question, split=splits[place % len(splits)], tile=place // per_tile, is_fine=place in fine)
        for place, question in enumerate(questions)
    ]
    choices = chooser.choose()
    return choices, [choices.options_of(index) for index in indices]


def right_texts(asked: Iterable[Asked]) -> Counter[str]:
    return Counter(option.text for options in asked if options for option in options if option.is_right)


def offered_texts(asked: Iterable[Asked]) -> Counter[str]:
    return Counter(option.text for options in asked if options for option in options)


@pytest.mark.parametrize(
    ("counts", "num_options", "is_strict", "cap"),
    [
        ([5, 5, 5, 5], 4, True, 5),
        ([9, 3, 3, 3], 4, True, 3),  # 3 of 12; with 4, 4 of 13
        ([9, 1, 1], 4, True, 0),  # three answers are never 1/4 each
        ([20, 10], 2, True, 10),
        ([9], 4, False, 1),  # 1 <= 1/4 + 1
        ([9, 1, 1], 4, False, 2),  # 2 <= 4/4 + 1; 3 > 5/4 + 1
        # N = 100 + c: 114 <= 214/2 + sqrt(214/4) = 114.3 is true, 115 <= 215/2 + 7.3 = 114.8 is not
        ([1000, 100], 2, False, 114),
        ([], 4, False, 0),
    ],
)
def test_cap_is_the_share_of_blind_choice(counts: list[int], num_options: int, is_strict: bool, cap: int) -> None:
    assert largest_cap(counts, num_options, is_strict=is_strict) == cap


def test_candidates_of_fixed_options_and_without_strata_stay_as_they_are() -> None:
    questions = [replace(one_of("a", "bcd"), strata=()) for _ in range(10)]
    choices, asked = choose(questions)
    assert asked == [tuple(Option(letter, letter == "a") for letter in "abcd")] * 10
    assert choices.not_chosen == {"environmental_reasoning": {}}


def test_no_candidates_give_no_choices() -> None:
    choices, asked = choose([])
    assert (asked, choices.not_chosen) == ([], {})


def test_a_tile_keeps_its_first_candidates_where_nothing_is_to_be_even() -> None:
    questions = [replace(one_of(letter, "wxyz"[:3]), strata=()) for letter in "abc"]
    choices, asked = choose(questions, limit=2, per_tile=3)
    assert [options is not None for options in asked] == [True, True, False]
    assert choices.not_chosen == {"environmental_reasoning": {BEYOND_LIMIT: 1}}


def test_a_tile_keeps_the_rarer_answers() -> None:
    # every tile has three "yes" and one "no": one of either is asked
    questions = [yes_no(place % 4 == 3, "template", "car") for place in range(400)]
    _, asked = choose(questions, limit=2, per_tile=4)
    assert right_texts(asked) == {"Yes": 100, "No": 100}


def test_surplus_answers_go() -> None:
    questions = [yes_no(place < 144, "template", "car") for place in range(146)]
    # N = c + 2: 4 <= 6/2 + 1.2 holds, 5 <= 7/2 + 1.3 does not. One more than even is as often one less: 4, 3 or 2,
    # and as these counts are of one class, of its template and of the task, each makes it fewer by 2 at most
    found = Counter[int]()
    for seed in range(60):
        choices, asked = choose(questions, seed=seed)
        texts = right_texts(asked)
        assert choices.not_chosen == {"object_presence": {TOO_FREQUENT: 146 - texts.total()}}
        assert texts["No"] in (1, 2)
        found[texts["Yes"] - texts["No"]] += 1
    assert set(found) <= {-1, 0, 1, 2}
    assert min(found[0], found[1]) > 5
    assert right_texts(choose(questions, balance=Balance.STRICT)[1]) == {"Yes": 2, "No": 2}
    assert right_texts(choose(questions, balance=Balance.OFF)[1]) == {"Yes": 144, "No": 2}


def test_two_options_do_not_tell_of_each_other() -> None:
    # "a" is never wrong where "b" is right: as if "a" followed from "b". And "x" is offered beside "a" alone
    rng = random.Random(3)
    wrong = {"a": "bcdefx", "b": "cdef", "c": "abdef", "d": "abcef", "e": "abcdf", "f": "abcde"}
    questions = [one_of(right, wrong[right]) for right in rng.choices("abcdef", k=600)]
    choices, asked = choose(questions)
    offered, right = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for options in filter(None, asked):
        (answer,) = (option.text for option in options if option.is_right)
        for pair in itertools.permutations((option.text for option in options), 2):
            offered[pair] += 1
            right[pair] += pair[0] == answer
    # of two that stand together each is right in a quarter: "a" beside "b", which alone could be right, hardly is
    assert offered["a", "b"] <= 60
    for pair, count in offered.items():
        if count >= 60:
            assert right[pair] / count == pytest.approx(0.25, abs=0.06), pair
    assert sum(options is not None for options in asked) >= 450
    assert choices.not_chosen["environmental_reasoning"].get(PAIR_TELLS, 0) <= 150


def test_pairs_are_left_as_drawn_without_a_balance() -> None:
    questions = [one_of("a", "bcde") for _ in range(20)]
    choices, asked = choose(questions, balance=Balance.OFF)
    assert len(asked) == 20
    assert None not in asked
    assert choices.not_chosen == {"environmental_reasoning": {}}


def test_answers_are_even_in_each_split_and_class() -> None:
    rng = random.Random(1)
    questions = [yes_no(rng.random() < 0.8, "template", rng.choice(["car", "ship"])) for _ in range(2000)]
    _, asked = choose(questions, balance=Balance.STRICT, splits=("train", "test"))
    kept = [
        (place % 2, question.strata[1], options)
        for place, (question, options) in enumerate(zip(questions, asked, strict=True))
    ]
    for split in range(2):
        for name in ("car", "ship"):
            right = right_texts(options for where, what, options in kept if (where, what) == (split, name))
            assert right["Yes"] == right["No"] > 50


def test_wrong_numbers_are_right_ones_of_other_questions() -> None:
    rng = random.Random(2)
    counts = [rng.choice([1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8, 13]) for _ in range(3000)]
    choices, asked = choose(number(count) for count in counts)
    right, offered = right_texts(asked), offered_texts(asked)
    # 1 is right 4 times in 13: cut to a quarter and what chance allows (0.25 + 1/sqrt(N) * 0.43 = 0.26)
    assert sum(right.values()) > 2500
    for text, times in offered.items():
        assert right[text] / times == pytest.approx(0.25, abs=0.02)
    assert choices.never_right == {"overall_counting": 0}


def test_either_of_two_numbers_is_the_right_one_as_often() -> None:
    rng = random.Random(3)
    _, asked = choose(number(rng.randint(1, 12) * rng.randint(1, 2)) for _ in range(6000))
    pairs: Counter[tuple[str, str]] = Counter()
    for options in asked:
        assert options is not None
        pairs.update((options[0].text, option.text) for option in options[1:])
    for (first, second), times in pairs.items():
        both = times + pairs[second, first]
        # within four standard deviations of one half
        assert abs(times - both / 2) <= 4 * (both / 4) ** 0.5 + 1, (first, second)


def test_numbers_offered_together_are_apart() -> None:
    rng = random.Random(4)
    _, asked = choose(number(rng.randint(1, 60), ratio=1.25) for _ in range(500))
    for options in asked:
        assert options is not None
        values = sorted(int(option.text) for option in options)
        assert all(1.25 * low <= high for low, high in itertools.pairwise(values))


def test_options_come_from_the_finest_stratum_that_has_them() -> None:
    questions = [number(count, "whole", "car") for count in (10, 20, 30, 40)] * 20
    questions += [number(count, "whole", "harbour") for count in (1, 2, 3, 4)] * 20
    _, asked = choose(questions)
    assert {frozenset(option.text for option in options) for options in asked if options} == {
        frozenset(("10", "20", "30", "40")),
        frozenset(("1", "2", "3", "4")),
    }


def test_a_small_pool_falls_back_on_the_tasks_own_wrong_options_unless_strict() -> None:
    questions = [number(5, wrong=(4, 6, 7)), number(9, wrong=(8, 10, 11))]
    choices, asked = choose(questions)
    assert [[option.text for option in options] for options in asked if options] == [
        list("5467"),
        ["9", "8", "10", "11"],
    ]
    assert choices.never_right == {"overall_counting": 6}
    assert choose([number(5)])[0].not_chosen == {"overall_counting": {NO_OPTIONS: 1}}


def test_a_pool_reaches_over_the_splits_when_a_split_has_too_few() -> None:
    questions = [number(count) for count in (1, 2, 3, 4, 5, 6)]
    _, asked = choose(questions, splits=("train", "test"))
    assert all(options is not None and len({option.text for option in options}) == 4 for options in asked)


def test_options_that_are_never_right_are_the_last_to_be_offered() -> None:
    questions = [one_of(letter, "abcdxyz".replace(letter, "")) for letter in "abcd"] * 50
    choices, asked = choose(questions, balance=Balance.STRICT)
    assert offered_texts(asked) == dict.fromkeys("abcd", 200)
    assert choices.never_right == {"environmental_reasoning": 0}


def test_what_can_seldom_be_wrong_is_seldom_asked_about() -> None:
    # "a" to "d" are right 12 times each, and "a" is wrong of six questions alone: it can be right of two.
    questions = [one_of(right, wrong) for right, wrong in (("a", "bcde"),) * 12]
    questions += [one_of("b", "acde") for _ in range(6)] + [one_of("b", "cdef") for _ in range(6)]
    questions += [one_of(right, f"be{other}f") for right, other in ("cd", "dc") for _ in range(12)]
    chosen, asked = choose(questions)
    assert 1 <= right_texts(asked)["a"] <= 2
    assert offered_texts(asked)["a"] <= 8
    assert chosen.not_chosen["environmental_reasoning"][TOO_FREQUENT] >= 10


def test_options_are_wrong_three_times_as_often_as_right() -> None:
    rng = random.Random(5)
    questions = []
    for _ in range(2000):
        right = rng.choice("aabbccddeefghij")
        wrong = [letter for letter in "abcdefghij" if letter != right]
        questions.append(one_of(right, "".join(rng.sample(wrong, 7))))  # not each is certainly wrong everywhere
    _, asked = choose(questions)
    right_of, offered = right_texts(asked), offered_texts(asked)
    assert {letter: right_of[letter] / offered[letter] for letter in "abcdefghij"} == pytest.approx(
        dict.fromkeys("abcdefghij", 0.25), abs=0.01
    )


def test_of_several_each_is_shown_right_as_often_as_wrong() -> None:
    rng = random.Random(6)
    questions = []
    for _ in range(2000):
        # "a" is nearly always right, "h" nearly always wrong, "z" always
        right = [
            letter
            for letter, share in zip("abcdefgh", (0.9, 0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.1), strict=True)
            if rng.random() < share
        ]
        wrong = [letter for letter in "abcdefghz" if letter not in right]
        if right:
            questions.append(several_of("".join(right), "".join(wrong)))
    _, asked = choose(questions)
    right_of, offered = right_texts(asked), offered_texts(asked)
    assert "z" not in offered
    for letter in "abcdefgh":
        assert right_of[letter] / offered[letter] == pytest.approx(0.5, abs=0.06)
    sizes = Counter(sum(option.is_right for option in options) for options in asked if options)
    # 4, 6 and 4 of the 14 sets that are neither empty nor whole
    assert {size: times / len(questions) for size, times in sizes.items()} == pytest.approx(
        {1: 4 / 14, 2: 6 / 14, 3: 4 / 14}, abs=0.05
    )


def test_the_same_seed_gives_the_same_choices_and_another_does_not() -> None:
    questions = [number(count) for count in range(1, 61)] * 3
    first, again, other = (choose(questions, seed=seed)[1] for seed in (0, 0, 1))
    assert first == again != other


def test_coarse_questions_go_until_enough_are_fine() -> None:
    questions = [one_of(right, "".join({*"abcd"} - {right})) for right in "abcd" * 10]
    _, asked = choose(questions, balance=Balance.OFF, fine_share=0.5, fine=range(8))
    # 8 of 40 are fine: 8 coarse ones may stay beside them, none of the fine ones goes
    assert all(asked[:8])
    assert sum(options is not None for options in asked) == 16
    choices, _ = choose(questions, balance=Balance.OFF, fine_share=0.5, fine=range(8))
    assert choices.not_chosen["environmental_reasoning"][TOO_COARSE] == 24
    _, only_fine = choose(questions, balance=Balance.OFF, fine_share=1.0, fine=range(8))
    assert sum(options is not None for options in only_fine) == 8


def test_a_task_with_nothing_fine_is_left_as_it_is() -> None:
    questions = [one_of(right, "".join({*"abcd"} - {right})) for right in "abcd" * 3]
    _, asked = choose(questions, balance=Balance.OFF, fine_share=0.5)
    assert all(asked)


def test_fine_questions_come_first_within_the_limit() -> None:
    questions = [one_of(right, "".join({*"abcd"} - {right})) for right in "abcd" * 3]
    _, asked = choose(questions, balance=Balance.OFF, limit=1, per_tile=4, fine_share=0.5, fine={3, 6, 9})
    assert [place for place, options in enumerate(asked) if options] == [3, 6, 9]


def test_candidates_that_are_taken_in_batches_are_chosen_from_as_those_that_are_added_one_by_one() -> None:
    rng = random.Random(0)
    questions = [
        *(one_of(rng.choice("abcd"), "efghij", "which", rng.choice("xy")) for _ in range(40)),
        *(number(rng.randrange(1, 30), ratio=1.3) for _ in range(40)),
        *(several_of("abc", "defg") for _ in range(20)),
    ]
    rng.shuffle(questions)
    splits = [rng.choice([-1, 0, 1]) for _ in questions]
    limits = dict.fromkeys(("overall_counting", "environmental_reasoning", "overall_land_use"), 5)
    one_by_one = Chooser(limits=limits, balance=Balance.SOFT, seed=3)
    wanted_at = [
        -1 if split < 0 else one_by_one.add(question, split=("train", "val")[split], tile=place // 3)
        for place, (question, split) in enumerate(zip(questions, splits, strict=True))
    ]
    in_batches = Chooser(limits=limits, balance=Balance.SOFT, seed=3)
    found_at = []
    for start in range(0, len(questions), 33):
        batch = OfferBatch()
        for place, question in enumerate(questions[start : start + 33], start=start):
            batch.append(question, tile=place // 3, is_fine=False)
        index = in_batches.take(batch, ("train", "val"), np.array(splits[start : start + 33], np.int32))
        found_at += index.tolist()
    assert found_at == wanted_at
    wanted, found = one_by_one.choose(), in_batches.choose()
    asked = [index for index in found_at if index >= 0]
    assert [found.options_of(index) for index in asked] == [wanted.options_of(index) for index in asked]
    assert (found.not_chosen, found.never_right) == (wanted.not_chosen, wanted.never_right)
    assert sum(map(found.is_asked, asked)) > 10


def test_a_batch_of_which_no_candidate_has_texts_is_chosen_from() -> None:
    caption = replace(number(1), task="image_caption", form=AnswerForm.TEXT, options=(), strata=(), pool=None)
    batch = OfferBatch()
    batch.append(replace(caption, value=None), tile=0, is_fine=False)
    chooser = Chooser(limits={"image_caption": 5}, balance=Balance.SOFT, seed=3)
    assert chooser.take(batch, ("train", "val"), np.zeros(1, np.int32)).tolist() == [0]
    assert chooser.choose().is_asked(0)


def test_of_nothing_nothing_is_chosen() -> None:
    choices, _ = choose([])
    assert (choices.not_chosen, choices.never_right) == ({}, {})
    assert choices.asked_of(np.arange(0)).tolist() == []
