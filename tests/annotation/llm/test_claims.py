"""Claims by hand: what is contradicted, what is unsupported, and what is borne out."""

from __future__ import annotations

import pytest

from rsvqa.annotation.llm.claims import Claim, caption_claims, check_claims
from rsvqa.annotation.llm.items import TileKnowledge
from rsvqa.annotation.reading.support import ClaimScope
from tests.annotation.llm.make_items import NOUNS, caption_item, region_item

SCOPE = ClaimScope(
    counts={"car": 3, "house": None, "storage_tank": 1},
    shares={"forest": 0.62},
    absent=frozenset({"ship"}),
    colours={"storage_tank": frozenset({"white"})},
    numbers=frozenset({300.0}),
    nouns=NOUNS,
)


@pytest.mark.parametrize(
    "text",
    [
        "There are 3 cars beside the forest.",
        "Three cars stand here.",
        "Two red cars and houses.",  # two of the three; their colour is not known
        "The forest covers about 62 %.",
        "Forest (about 61 %) surrounds the white storage tank.",
        "The image is 300 m wide.",
    ],
)
def test_what_the_facts_say_is_not_contradicted(text: str) -> None:
    assert check_claims(text, SCOPE).contradicted == ()


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("There are four cars.", Claim("count", "four cars")),
        ("There are two cars.", Claim("count", "two cars")),
        ("Four red cars are parked.", Claim("count", "Four red cars")),
        ("No houses are here.", Claim("count", "No houses")),
        ("A ship lies at the pier.", Claim("class", "ship")),
        ("One ship lies at the pier.", Claim("class", "One ship")),
        ("A black storage tank stands here.", Claim("colour", "black storage tank")),
        ("The forest (about 40 %) is dense.", Claim("share", "forest (about 40 %")),
        ("There are thirteen cars.", Claim("count", "thirteen cars")),
        ("Twenty-three cars are parked.", Claim("count", "Twenty-three cars")),
        ("1,003 cars.", Claim("count", "1,003 cars")),
        ("Dozens of parked cars.", Claim("count", "Dozens of parked cars")),
        ("Two hundred cars.", Claim("count", "hundred cars")),
        ("The place is 450 m wide.", Claim("number", "450")),
    ],
)
def test_what_the_facts_deny_is_contradicted(text: str, claim: Claim) -> None:
    assert claim in check_claims(text, SCOPE).contradicted


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("Two houses stand here.", Claim("count", "Two houses")),  # there are some, nobody knows how many
        ("Water glitters.", Claim("class", "Water")),
        ("A red car waits.", Claim("colour", "red car")),
    ],
)
def test_what_the_facts_are_silent_on_is_unsupported(text: str, claim: Claim) -> None:
    claims = check_claims(text, SCOPE)
    assert claim in claims.unsupported
    assert claims.contradicted == ()


def test_a_longer_class_name_wins_over_the_one_inside_it() -> None:
    scope = ClaimScope(counts={"storage_tank": 1}, absent=frozenset({"tank"}), nouns=NOUNS)
    assert check_claims("1 storage tank.", scope).contradicted == ()
    assert check_claims("1 tank.", scope).contradicted == (Claim("class", "1 tank"),)


# the whole has 3 cars and a ship; cars are top left (2) and in the centre (1), the ship is bottom right
GOOD = (
    "Seen from above, 3 cars and 1 ship.\n"
    "The top left part is mostly forest. It shows 2 cars. The centre part shows water (about 40 %) and 1 car. "
    "The bottom right part holds 1 ship.\n"
    "People move by road."
)


def test_a_caption_is_held_against_the_part_that_each_sentence_is_about() -> None:
    assert caption_claims(caption_item(GOOD)).contradicted == ()
    moved = GOOD.replace("It shows 2 cars.", "It shows 3 cars.")
    assert caption_claims(caption_item(moved)).contradicted == (
        Claim("count", "3 cars"),
        Claim("statement", "It shows 3 cars."),
    )


def test_an_object_in_the_wrong_part_is_contradicted() -> None:
    wrong = GOOD.replace(
        "The bottom right part holds 1 ship", "The bottom left part holds nothing. The centre part holds 1 ship"
    )
    found = caption_claims(caption_item(wrong)).contradicted
    assert [claim.kind for claim in found] == ["direction", "statement"]


def test_a_share_of_another_part_is_contradicted() -> None:
    wrong = GOOD.replace("water (about 40 %)", "water (about 70 %)")
    assert [claim.kind for claim in caption_claims(caption_item(wrong)).contradicted] == ["share", "statement"]


def test_the_number_of_a_circle_is_no_count() -> None:
    item = region_item(answer="Circle 2 has forest.", knowledge=TileKnowledge(nouns=NOUNS))
    assert caption_claims(item).contradicted == ()


def test_a_caption_in_another_language_is_not_read() -> None:
    assert caption_claims(caption_item("9 ships", language="zh")).contradicted == ()
