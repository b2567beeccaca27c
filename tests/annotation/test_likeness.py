"""Likeness of texts, and that no place in its order tells which option is right."""

from __future__ import annotations

import random

import pytest

from rsvqa.annotation.likeness import nearest_overlaps, overlap, words_of
from rsvqa.annotation.option_drawing import Offer
from rsvqa.annotation.option_pairs import settle_pairs
from rsvqa.annotation.taxonomy import AnswerForm


def test_words_and_chinese_characters() -> None:
    assert words_of("A wide road, 水面") == ["a", "wide", "road", "水", "面"]
    assert words_of("") == []


def test_overlap_is_the_share_of_words_that_both_have() -> None:
    assert overlap({"a", "b", "c"}, {"b", "c", "d"}) == pytest.approx(2 / 4)
    assert overlap(set(), set()) == 0
    assert nearest_overlaps([{"a", "b"}, {"a", "c"}, {"d"}]) == pytest.approx([1 / 3, 1 / 3, 0])
    assert nearest_overlaps([{"a"}]) == [0]


TEXTS = [f"{('forest', 'river', 'crops', 'houses')[number // 3]} {number}" for number in range(12)]
"""Twelve texts of four subjects; those of one subject share a word."""


def offers_whose_right_text_stands_alone(num: int) -> list[Offer]:
    """Questions as tiles give them: what has the right text's subject is true too, so it is not a wrong one."""
    rng = random.Random(0)
    offers = []
    for index in range(num):
        right = rng.randrange(len(TEXTS))
        others = [text for text in range(len(TEXTS)) if text // 3 != right // 3]
        subject = rng.choice([text // 3 for text in others])
        offers.append(
            Offer(
                index=index,
                tile=index,
                form=AnswerForm.ONE_OF,
                right=(right,),
                wrong=tuple(others),
                kind=right,
                levels=(0, 1),
                pool=-1,
                value=0.0,
                min_ratio=1.0,
                shown=(right, *range(3 * subject, 3 * subject + 3)),
                num_right=1,
            )
        )
    return offers


def share_of_loners(offers: list[Offer]) -> float:
    """How often the right text is among the least alike; options that are all equally alike share it."""
    total = 0.0
    shown = [offer for offer in offers if offer.shown]
    for offer in shown:
        likeness = nearest_overlaps([set(words_of(TEXTS[text])) for text in offer.shown])
        total += (likeness[0] == min(likeness)) / likeness.count(min(likeness))
    return total / len(shown)


def test_the_right_option_is_no_more_often_the_one_that_is_least_like_the_others() -> None:
    offers = offers_whose_right_text_stands_alone(200)
    assert share_of_loners(offers) == 1
    settle_pairs(offers, TEXTS, random.Random(1))
    assert sum(bool(offer.shown) for offer in offers) > 150
    assert share_of_loners(offers) == pytest.approx(0.25, abs=0.03)
