"""What a swap of options changes, against the cost written out; and numbers that are drawn many at a time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from rsvqa.annotation.likeness import nearest_overlaps
from rsvqa.annotation.option_drawing import _DRAWN_AT_ONCE, Offer, _Exponentials, draw_some
from rsvqa.annotation.option_pairs import PairTally
from rsvqa.annotation.taxonomy import AnswerForm

WORDS = {text: frozenset(random.Random(text).sample("abcdefg", 3)) for text in range(12)}
"""Three of seven words each: many are equally alike."""


def made_up_offers(seed: int, num: int = 60) -> list[Offer]:
    """Questions of three templates and two classes each, that show some of their options."""
    rng = random.Random(seed)
    offers = []
    for index in range(num):
        right, *wrong = rng.sample(sorted(WORDS), 9)
        offers.append(
            Offer(
                index=index,
                tile=index,
                form=AnswerForm.ONE_OF,
                right=(right,),
                wrong=tuple(wrong),
                kind=right,
                levels=(0, template := 1 + rng.randrange(3), 10 * template + rng.randrange(2)),
                pool=-1,
                value=0.0,
                min_ratio=1.0,
                shown=(right, *wrong[:3]),
                num_right=1,
            )
        )
    return offers


def pairs_cost(offers: Sequence[Offer]) -> float:
    """The squared distance of how often each of two texts is right from a quarter of how often both are offered."""
    offered, right = Counter[tuple[int, int, int]](), Counter[tuple[int, int, int]]()
    for offer in offers:
        for one, other in combinations(offer.shown, 2):
            for text, beside in ((one, other), (other, one)):
                offered[offer.levels[1], text, beside] += 1
                right[offer.levels[1], text, beside] += text == offer.right[0]
    return sum((right[key] - num / 4) ** 2 for key, num in offered.items())


def whole_cost(offers: Sequence[Offer]) -> float:
    """The cost of pairs, of each text in each stratum but the task, and of the places in the order of likeness."""
    alone, places = Counter[tuple[int, int]](), [0.0] * 4
    for offer in offers:
        for level in offer.levels[1:]:
            for text in offer.shown:
                alone[level, text] += 4 * (text == offer.right[0]) - 1
        nearest = nearest_overlaps([WORDS[text] for text in offer.shown])
        first, num = sum(value < nearest[0] for value in nearest), nearest.count(nearest[0])
        for place in range(4 if offer.shown else 0):
            places[place] += (1 / num if first <= place < first + num else 0) - 1 / 4
    return pairs_cost(offers) + sum((excess / 4) ** 2 for excess in alone.values()) + sum(off**2 for off in places)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_change_is_the_least_difference_of_costs(seed: int) -> None:
    offers = made_up_offers(seed)
    tally = PairTally(offers, WORDS)
    rng = random.Random(seed)
    for offer in rng.sample(offers, 20):
        place = rng.randrange(1, 4)
        before, shown = whole_cost(offers), offer.shown
        changes = {}
        for text in offer.wrong[3:]:
            offer.shown = (*shown[:place], text, *shown[place + 1 :])
            changes[text] = whole_cost(offers) - before
        offer.shown = shown
        change, text = tally.best_change(offer, place, offer.wrong[3:], tally.moves(offer))
        assert change == pytest.approx(min(changes.values()))
        assert changes[text] == pytest.approx(change)
        tally.swap(offer, place, text, tally.moves(offer))  # what was swapped counts in all that follows


def test_without_another_text_there_is_no_change() -> None:
    (offer,) = made_up_offers(0, 1)
    tally = PairTally([offer], WORDS)
    assert tally.best_change(offer, 1, [], tally.moves(offer)) == (float("inf"), -1)


def test_the_relief_is_what_pairs_cost_less_without_a_question() -> None:
    offers = made_up_offers(5)
    tally = PairTally(offers, WORDS)
    for number in range(10):
        without = [offer for offer in offers if offer is not offers[number]]
        assert tally.relief(offers[number]) == pytest.approx(pairs_cost(offers) - pairs_cost(without))
        tally.drop(offers[number])
        offers[number].shown = ()


def test_numbers_drawn_at_once_are_those_drawn_one_question_at_a_time() -> None:
    numbers, exponentials = np.random.Generator(np.random.PCG64(7)), _Exponentials(7)
    for num in (0, 3, _DRAWN_AT_ONCE - 5, 9, 2 * _DRAWN_AT_ONCE, 1):
        assert exponentials.take(num).tolist() == numbers.standard_exponential(num).tolist()


@pytest.mark.parametrize("num", [0, 1, 5, 6, 21, 22, 100])
@pytest.mark.parametrize("most", [1, 6, 30])
def test_a_few_are_drawn_as_the_standard_library_draws_them(num: int, most: int) -> None:
    ours, theirs = random.Random(num), random.Random(num)
    texts = list(range(10, 10 + num))
    for _ in range(20):
        assert draw_some(ours, texts, most) == theirs.sample(texts, min(most, num))
    assert ours.random() == theirs.random()
