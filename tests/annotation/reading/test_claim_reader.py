"""What sentences of captions are read as, and what the facts of a place say of them, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rsvqa.annotation.reading.claim_reader import read_sentence
from rsvqa.annotation.reading.support import ClaimScope, Verdict, judge, place_of
from rsvqa.annotation.wording.phrases import load_phrases

NOUNS = {
    "forest": ("forest", "forest"),
    "water": ("water", "water"),
    "field": ("field", "fields"),
    "orchard": ("orchard", "orchards"),
    "surface": ("road surface", "road surface"),
    "house": ("house", "houses"),
    "ship": ("ship", "ships"),
    "car": ("car", "cars"),
}

PART = ClaimScope(
    counts={"house": 4, "ship": 2},
    shares={"forest": 0.62, "water": 0.36, "house": 0.21},
    labelled=0.98,
    in_one_piece=frozenset({"forest"}),
    rows={"house": "row"},
    within={"ship": "water"},
    has_road=True,
    is_crossed=True,
    nouns=NOUNS,
)
REACHED = ClaimScope(shares={"field": 0.3}, at_least=frozenset({"field"}), labelled=0.3, has_road=True, nouns=NOUNS)
SCOPE = ClaimScope(
    counts={"house": 8, "ship": 2},
    shares={"forest": 0.4, "water": 0.3, "field": 0.25},
    labelled=0.95,
    absent=frozenset({"orchard"}),
    has_road=True,
    lying={"forest": "left", "water": "top_right"},
    border=("water", ("forest", "field")),
    along_roads_m={"house": 30},
    road_length_m=1_234.0,
    metres=(307.2, 460.8),
    parts={"top_left": PART, "centre": REACHED},
    nouns=NOUNS,
)


def verdict_of(sentence: str, scope: ClaimScope = SCOPE) -> Verdict | None:
    """Return the worst verdict on what a sentence says; None when it cannot be read."""
    reading = read_sentence(sentence, NOUNS)
    if reading is None:
        return None
    verdicts = [judge(said, place_of(said, scope, scope), scope) for said in reading.said]
    order = (Verdict.CONTRADICTED, Verdict.NOT_KNOWN, Verdict.SUPPORTED)
    return next((verdict for verdict in order if verdict in verdicts), Verdict.SUPPORTED)


@pytest.mark.parametrize(
    "sentence",
    [
        "Forest (about 62 %) dominates the top left part, the rest being water (36 %).",
        "The top left part is divided between forest (about 62 %) and water (36 %).",
        "In the top left part, forest (about 62 %) and water (36 %) lie side by side.",
        "Most of the top left part is taken up by a forest (about 62 %), beside water (36 %).",
        "The top left part contains four houses in a row (about 21 % of the ground) and a road.",
        "Houses cover about 21 % of the top left part.",
        "About 21 % of the top left part is covered by houses.",
        "In the top left part there are two ships on the water.",
        "A road crosses the top left part.",
        "A road reaches into the centre part.",
        "The centre part shows fields (at least 30 %).",
        "No single land cover takes up half of the scene; the largest are forest (about 40 %) and water (30 %).",
        "Forest (about 40 %), water (30 %) and fields (25 %) make up most of the ground, and none of them takes up half"
        " of it.",
        "The ground is a mixture, mainly of forest (about 40 %) and water (30 %).",
        "The forest lies mainly in the left half.",
        "Nearly all of the forest can be found in the left half.",
        "Most of the water can be found in the top right part.",
        "Most of the water is in the upper half.",
        "The water borders on the forest and the fields.",
        "The forest borders on the water.",
        "Along the edge of the water lies the forest.",
        "The houses line the roads: each stands within 30 m of one.",
        "Each of the houses has a road within 50 m.",
        "The roads have a length of about 1.2 km in all.",
        "The total length of the roads is about 1,230 m.",
        "The scene measures about 310 m by 460 m (14 ha).",
        "About 14 ha of ground is shown, 310 m from left to right and 460 m from top to bottom.",
    ],
)
def test_what_the_facts_bear_out_is_supported(sentence: str) -> None:
    assert verdict_of(sentence) is Verdict.SUPPORTED


@pytest.mark.parametrize(
    "sentence",
    [
        "Forest (about 62 %) dominates the top left part, the rest being water (30 %).",
        "Water (about 36 %) fills almost all of the top left part.",
        "Houses cover about 40 % of the top left part.",
        "The forest lies mainly in the right half.",
        "The forest lies all over the scene.",
        "Most of the water can be found in the lower half.",
        "Most of the water can be found in the centre part.",
        "The roads have a length of about 2.1 km in all.",
        "About 1.2 m of road runs through the scene.",
        "The scene measures about 460 m by 310 m.",
        "The scene measures about 310 m by 460 m (14 km²).",
        "In the top left part there are two ships on the road surface.",
    ],
)
def test_what_the_facts_deny_is_contradicted(sentence: str) -> None:
    assert verdict_of(sentence) is Verdict.CONTRADICTED


def test_forest_on_62_percent_is_more_than_half() -> None:
    assert verdict_of("No single land cover takes up half of it.", PART) is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    "sentence",
    [
        "The centre part shows fields (about 30 %).",  # there may be more of them
        "The centre part is divided between fields (at least 30 %) and water.",
        "The top left part shows a field.",
        "Most of the top left part is water and forest, and an orchard borders on it.",
        "A road crosses the centre part.",  # it reaches into it; nobody knows more
        "Nearly all of the water can be found in the top right part.",  # four fifths of it are sure
        "The fields lie mainly in the lower half.",
        "The water is surrounded by the forest and the fields.",
        "Along the edge of the forest lies the water.",
        "The ships line the roads.",
        "Each of the houses has a road within 20 m.",
        "The roads form a grid of straight streets at right angles.",
        "The top left part contains two ships in rows.",
        "The house lines the road.",
        "The scene is about 310 m high.",
        "Houses are visible, and their total length is about 1.2 km.",
    ],
)
def test_what_the_facts_are_silent_on_is_not_supported(sentence: str) -> None:
    assert verdict_of(sentence) is not Verdict.SUPPORTED


def test_who_surrounds_whom_matters() -> None:
    island = replace(SCOPE, border=("water", ("forest",)), is_surrounded=True)
    assert verdict_of("The water is surrounded by the forest.", island) is Verdict.SUPPORTED
    assert verdict_of("The forest lies all around the water.", island) is Verdict.SUPPORTED
    assert verdict_of("The forest is surrounded by the water.", island) is Verdict.CONTRADICTED
    assert verdict_of("The water lies all around the forest.", island) is Verdict.CONTRADICTED


def test_a_circle_is_as_large_as_its_diameter_says() -> None:
    # 60 m across: 2,827 m²
    circle = ClaimScope(metres=(60.0,), circle=3, nouns=NOUNS)
    assert verdict_of("The area inside circle 3 is about 60 m across (2,800 m²).", circle) is Verdict.SUPPORTED
    assert verdict_of("This area is about 60 m wide and measures about 3,600 m².", circle) is not Verdict.SUPPORTED
    assert verdict_of("It measures about 70 m from side to side.", circle) is Verdict.CONTRADICTED


FILLED = {
    **{"place": "the top left part", "item": "forest (about 62 %)", "rest": ", the rest being water (36 %)"},
    **{"uses": "forest (about 62 %) and water (36 %)", "objects": "two ships and four houses in a row"},
    **{"amount": "about 21 %", "ground": "on the water", "the_class": "the forest", "a_class": "forest"},
    **{"part": "top left", "noun": "houses", "others": "the water and the fields", "metres": 20},
    **{"length": "1.2 km", "width": "310 m", "height": "460 m", "area": "14 ha"},
}
VERBS = {"be": "are", "cover": "cover", "dominate": "dominates", "fill": "fills", "lie": "lies", "border": "borders"}


def templates() -> list[str]:
    """Return every sentence about a place that rules write; conclusions and the way of counting are none."""
    phrases = load_phrases("en")
    caption, whole = phrases.table("caption"), phrases.table("detailed_captioning")
    found = [value for key, value in whole.items() if key not in ("question", "whole", "part", "this")]
    found += [phrases.table("regional_captioning")["size"]]
    found += [value for key, value in caption.items() if key not in ("numbers",)]
    found += [value for key in ("lying", "relation", "roads") for value in caption[key].values()]
    texts = [text for value in found for text in ([value] if isinstance(value, str) else value) if text.endswith(".")]
    return [text for text in texts if isinstance(text, str)]


@pytest.mark.parametrize("template", templates())
def test_every_sentence_that_rules_write_is_read(template: str) -> None:
    noun = "the forest" if "{others}" in template else "houses"
    objects = "houses" if "{amount}" in template else FILLED["objects"]
    sentence = template.format(**{**FILLED, **VERBS, "noun": noun, "objects": objects})
    assert read_sentence(sentence, NOUNS) is not None
