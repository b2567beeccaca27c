"""Does the key of a question follow from its evidence? Compared again, for a key may have been damaged since the rule.

Only rules whose answer can be worked out from the stored numbers alone are compared; of the others nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from rsvqa.annotation.checks import normalise
from rsvqa.annotation.facts import iou
from rsvqa.annotation.llm.items import QuestionItem, bounds_of
from rsvqa.annotation.reading.survival import senses_in
from rsvqa.annotation.tasks.directions import sector_of
from rsvqa.annotation.wording.phrases import Phrases, load_phrases

KEY_DIFFERS = "key differs from its evidence"
BOX_DIFFERS = "box differs from its evidence"

MEASURE_TOLERANCE = 0.06
"""Measures are rounded to two digits, so off by 5 % at most."""

MIN_BOX_IOU = 0.6
"""Boxes are rounded outwards to whole pixels: of the smallest that is asked about, 8 px, to two thirds at worst."""

_BOX_OF_GEOMETRY = frozenset(
    {
        "labelled_class",
        "labelled_colour_seen",
        "dominant_lab_colour",
        "labelled_motion",
        "inside_parking_area",
        "axis_of_smallest_rectangle",
        "longer_side_of_smallest_rectangle",
        "area_of_outline",
    }
)
"""Rules whose geometry is the object in the box."""

_Expected = Callable[[QuestionItem, Mapping[str, Any], Phrases], "frozenset[str] | None"]


def key_fault(item: QuestionItem) -> str | None:
    """Return why the key cannot be right by the question's own evidence; None when it can, or nothing can be said."""
    if _box_differs(item):
        return BOX_DIFFERS
    if item.language != "en" or not item.options:
        return None
    rule = _rule_of(item)
    expected = None if rule is None else rule(item, item.evidence.values, load_phrases("en"))
    if expected is None:
        return None
    given = {normalise(option) for option in item.right_options}
    return None if given == {normalise(text) for text in expected} else KEY_DIFFERS


def _box_differs(item: QuestionItem) -> bool:
    bounds = bounds_of(item)
    if item.box is None or bounds is None or item.evidence.rule not in _BOX_OF_GEOMETRY:
        return False
    return iou(item.box, bounds) < MIN_BOX_IOU


# --- what the evidence gives, by rule ---------------------------------------------------------------------------------


def _rule_of(item: QuestionItem) -> _Expected | None:
    if item.task == "environmental_reasoning":
        return _conclusion  # every conclusion is a rule of its own
    return _count if item.evidence.rule.startswith("count_") else _EXPECTED.get(item.evidence.rule)


def _count(_item: QuestionItem, values: Mapping[str, Any], _phrases: Phrases) -> frozenset[str] | None:
    return frozenset({str(values["count"])}) if "count" in values else None


def _class(item: QuestionItem, values: Mapping[str, Any], _phrases: Phrases) -> frozenset[str] | None:
    nouns = item.knowledge.nouns.get(values["class"])
    return None if nouns is None else frozenset({nouns[0]})


def _land_uses(item: QuestionItem, values: Mapping[str, Any], _phrases: Phrases) -> frozenset[str] | None:
    nouns = item.knowledge.nouns
    return frozenset(nouns[name][0] for name in values["shares"]) if values["shares"].keys() <= nouns.keys() else None


def _main_land_use(item: QuestionItem, values: Mapping[str, Any], _phrases: Phrases) -> frozenset[str] | None:
    nouns = item.knowledge.nouns.get(max(values["shares"], key=values["shares"].__getitem__))
    return None if nouns is None else frozenset({nouns[0]})


def _colour(_item: QuestionItem, values: Mapping[str, Any], phrases: Phrases) -> frozenset[str]:
    return frozenset({phrases.text(f"colour.{values['colour']}")})


def _yes(_item: QuestionItem, _values: Mapping[str, Any], phrases: Phrases) -> frozenset[str]:
    return frozenset({phrases.text("answer.yes")})


def _no(_item: QuestionItem, _values: Mapping[str, Any], phrases: Phrases) -> frozenset[str]:
    return frozenset({phrases.text("answer.no")})


def _motion(item: QuestionItem, values: Mapping[str, Any], phrases: Phrases) -> frozenset[str] | None:
    senses = senses_in(item.text)
    if ("still" in senses) == ("moving" in senses) or "negation" in senses:
        return None
    is_yes = bool(values["moving"]) == ("moving" in senses)
    return frozenset({phrases.text("answer.yes" if is_yes else "answer.no")})


def _direction(_item: QuestionItem, values: Mapping[str, Any], phrases: Phrases) -> frozenset[str] | None:
    sector = sector_of(values["bearing_deg"], border_deg=0)
    words = "direction.image" if values["north_deg"] is None else "direction.compass"
    return None if sector is None else frozenset({phrases.text(f"{words}.{sector}")})


def _axis(_item: QuestionItem, values: Mapping[str, Any], phrases: Phrases) -> frozenset[str]:
    table = "axis_image" if values["north_deg"] is None else "axis_compass"
    return frozenset({phrases.text(f"object_orientation.{table}.{values['axis']}")})


def _measure(name: str) -> _Expected:
    def expected(item: QuestionItem, values: Mapping[str, Any], _phrases: Phrases) -> frozenset[str] | None:
        """Return the options that are as large as the measure: all that are given when the key is one of them."""
        near = frozenset(option for option in item.options if _is_near(option, float(values[name])))
        return near or frozenset({str(values[name])})

    return expected


def _is_near(option: str, value: float) -> bool:
    found = re.search(r"\d+(?:,\d{3})*(?:\.\d+)?", option)
    return found is not None and abs(float(found[0].replace(",", "")) - value) <= MEASURE_TOLERANCE * value


def _conclusion(item: QuestionItem, _values: Mapping[str, Any], phrases: Phrases) -> frozenset[str] | None:
    conclusions = {text: rule for rule, text in phrases.table("environmental_reasoning")["conclusion"].items()}
    if item.source != "rule" or not set(item.options) <= conclusions.keys():
        return None  # told in other words
    return frozenset(text for text, rule in conclusions.items() if rule == item.evidence.rule)


def _part(_item: QuestionItem, values: Mapping[str, Any], phrases: Phrases) -> frozenset[str]:
    return frozenset({phrases.text(f"part.{values['part']}")})


def _cause(_item: QuestionItem, values: Mapping[str, Any], _phrases: Phrases) -> frozenset[str]:
    return frozenset({values["cause"]})


_EXPECTED: Mapping[str, _Expected] = {
    "labelled_class": _class,
    "kind_of_anomaly": _class,
    "area_share_of_tile": _land_uses,
    "area_share_of_circle": _main_land_use,
    "labelled_colour_seen": _colour,
    "dominant_lab_colour": _colour,
    "labelled_motion": _motion,
    "inside_parking_area": _motion,
    "bearing_between_centres": _direction,
    "axis_of_smallest_rectangle": _axis,
    "longer_side_of_smallest_rectangle": _measure("length_m"),
    "area_of_outline": _measure("area_m2"),
    "distance_between_centres": _measure("distance_m"),
    "fully_labelled_without_member": _no,
    "labelled_and_visible": _yes,
    "anomaly_present": _yes,
    "anomaly_absent": _no,
    "part_of_anomaly": _part,
    "cause_of_anomaly": _cause,
}
