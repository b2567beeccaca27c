"""The evidence of a question as the JSON object that a data set stores, and back.

The object is {"rule", "feature_ids", "values"}, with "geometry" (WKT, tile pixels) where one says more than the ids,
"needs_px" where the answer rests on something with an extent,
and "region" {"number", "x", "y", "radius"} where the question is about a numbered circle. Others may add keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Circle
from rsvqa.annotation.marks import Mark
from rsvqa.annotation.questions import Evidence


def encode_evidence(evidence: Evidence, mark: Mark | None) -> dict[str, Any]:
    """Return evidence as it is stored; `mark` is the circle that the question is about."""
    found: dict[str, Any] = {
        "rule": evidence.rule,
        "feature_ids": list(evidence.feature_ids),
        "values": dict(evidence.values),
    }
    if evidence.needs_px is not None:
        found["needs_px"] = evidence.needs_px
    if evidence.geometry is not None:
        found["geometry"] = evidence.geometry.wkt
    if mark is not None:
        found["region"] = {"number": mark.number, **mark.circle._asdict()}
    return found


def decode_evidence(stored: Mapping[str, Any]) -> Evidence:
    """Return stored evidence; what it does not say is empty."""
    return Evidence(
        rule=str(stored.get("rule", "")),
        feature_ids=tuple(stored.get("feature_ids", ())),
        geometry=decode_geometry(stored),
        values=stored.get("values", {}),
        needs_px=stored.get("needs_px"),
    )


def decode_geometry(stored: Mapping[str, Any]) -> BaseGeometry | None:
    """Return the geometry in tile pixels; None without one that can be read, or an empty one."""
    text = stored.get("geometry")
    geometry = shapely.from_wkt(text, on_invalid="ignore") if isinstance(text, str) else None
    return None if geometry is None or geometry.is_empty else geometry


def decode_mark(stored: Mapping[str, Any]) -> Mark | None:
    """Return the numbered circle that the question is about; None without one."""
    region = stored.get("region")
    return None if not region else Mark(region["number"], Circle(region["x"], region["y"], region["radius"]))
