"""Evidence as it is stored: written once, read in one way."""

from __future__ import annotations

import json

import shapely

from rsvqa.annotation.facts import Circle
from rsvqa.annotation.marks import Mark
from rsvqa.annotation.questions import Evidence
from rsvqa.annotation.stored_evidence import decode_evidence, decode_geometry, decode_mark, encode_evidence

EVIDENCE = Evidence(
    rule="count_whole", feature_ids=("a:1", "a:2"), geometry=shapely.box(10, 20, 30, 40), values={"count": 2}
)
MARK = Mark(3, Circle(100.0, 50.0, 20.5))


def test_evidence_comes_back_from_its_json() -> None:
    stored = json.loads(json.dumps(encode_evidence(EVIDENCE, MARK)))
    assert decode_evidence(stored) == EVIDENCE
    assert decode_mark(stored) == MARK
    assert stored["region"] == {"number": 3, "x": 100.0, "y": 50.0, "radius": 20.5}


def test_what_there_is_not_is_not_stored() -> None:
    stored = encode_evidence(Evidence(rule="r"), None)
    assert stored == {"rule": "r", "feature_ids": [], "values": {}}
    assert decode_evidence({}) == Evidence(rule="")
    assert decode_mark({}) is None
    assert decode_mark({"region": None}) is None


def test_a_broken_geometry_is_none() -> None:
    assert decode_geometry({"geometry": "POLYGON ((oops"}) is None
    assert decode_geometry({"geometry": "POLYGON EMPTY"}) is None
    assert decode_geometry({"geometry": 3}) is None
