"""Questions with a planted shortcut, or with none."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.auditing.items import AuditItem
from rsvqa.rsvqa_builder.auditing.shortcuts import DrawnQuestions, Shortcut, find_shortcuts

WORDS = ("oak", "elm", "ash", "fir", "yew", "may", "box", "bay")
SIZE = (1_000, 1_000)


class Asked(NamedTuple):
    """What a maker of questions returns; `options[right]` is right."""

    options: tuple[str, ...]
    right: int
    question: str
    box: Box | None


def ask(options: tuple[str, ...], right: int = 0, question: str = "Which?", box: Box | None = None) -> Asked:
    """Return a question."""
    return Asked(options, right, question, box)


Maker = Callable[[random.Random, int], Asked]


def make_items(
    maker: Maker, *, places: int = 10, per_place: int = 30, seed: int = 1, form: str = "one_of"
) -> list[AuditItem]:
    """Return the questions of a maker, which gets the number of the place; options are shuffled."""
    items = []
    for place in range(places):
        for number in range(per_place):
            rng = random.Random(f"{seed}/{place}/{number}")
            asked = maker(rng, place)
            order = list(range(len(asked.options)))
            rng.shuffle(order)
            items.append(
                AuditItem(
                    where=f"q{place}-{number}",
                    task="planted",
                    form=AnswerForm(form),
                    question=asked.question,
                    options=tuple(asked.options[n] for n in order),
                    right=(order.index(asked.right),),
                    box=asked.box,
                    size=SIZE,
                    place=f"place {place}",
                    image=f"image {place}/{number % 10}",
                )
            )
    return items


def audited(items: list[AuditItem], *, with_classifiers: bool = False, seed: int = 0) -> Shortcut:
    """Return what guessing reaches in questions of one task and form."""
    sample = DrawnQuestions(5_000, seed=seed)
    for item in items:
        sample.add(item)
    (found,) = find_shortcuts(sample, seed=seed, with_classifiers=with_classifiers)
    return found


def fair(rng: random.Random, _: int) -> Asked:
    """A question of which nothing but the image tells the answer."""
    options = tuple(rng.sample(WORDS, 4))
    return ask(options, rng.randrange(4), f"Which of {rng.choice(WORDS)} and {rng.choice(WORDS)}?")


def fair_numbers(rng: random.Random, _: int) -> Asked:
    """Likewise with counts."""
    return ask(tuple(map(str, rng.sample(range(1, 40), 4))), rng.randrange(4), f"How many {rng.choice(WORDS)}s?")
