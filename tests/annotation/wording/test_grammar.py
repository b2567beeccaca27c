"""Every question template, filled in with countable nouns, with "water" and with "trees", is English."""

from __future__ import annotations

import pytest

from rsvqa.annotation.tasks.landmarks import some
from tests.annotation.wording.grammar import PHRASES, faults, rendered


def test_every_template_is_rendered_and_has_no_fault() -> None:
    found = list(rendered())
    assert len({key for key, _ in found}) > 40
    bad = {(key, text): said for key, text in found if (said := faults(text))}
    assert not bad, "\n".join(f"{key}: {text!r}: {said}" for (key, text), said in list(bad.items())[:20])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Does the image show show any car?", "show show"),
        ("How many cars  are there?", "two spaces, or a space before a stop"),
        ("How many cars are there ?", "two spaces, or a space before a stop"),
        ("How many cars lie inside {landmark}?", "a slot that is not filled"),
        ("How many car are there?", "one where many are meant"),
        ("Is there a cars in the image?", "an article before the plural"),
        ("Where is the burnt areas?", "a verb in the singular"),
        ("Where are the burnt area?", "a verb in the plural"),
        ("Does the image show patch of dead trees?", "a singular without an article"),
        ("Is there at least one or a office building?", "a or an"),
        ("How many cars lie within 30 m of any water in the image?", "any of several"),
        ("How many cars lie inside any car park in the image?", "any of several"),
        ("Is the lake 1144332 m long?", "a measure that wants a larger unit"),
        ("how many cars are there?", "no capital at the beginning"),
        ("The image has cars.", "it asks nothing"),
    ],
)
def test_a_fault_is_found(text: str, fault: str) -> None:
    assert faults(text) == [fault]


@pytest.mark.parametrize(
    ("singular", "plural", "words"),
    [
        ("car park", "car parks", "a car park in the image"),
        ("orchard", "orchards", "an orchard in the image"),
        ("water", "water", "water in the image"),
        ("trees", "trees", "trees in the image"),
    ],
)
def test_one_of_several_has_the_article_that_its_noun_takes(singular: str, plural: str, words: str) -> None:
    assert some(PHRASES, singular, plural) == words
