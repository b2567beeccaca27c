"""xBD (xView2) JSON: the buildings of one picture as WKT in its pixels, with the damage at the later date.

The outlines in degrees that the file holds as well are not used: they are those in pixels, projected.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapely
from shapely.errors import ShapelyError

from rsvqa.annotation.facts import Outline
from rsvqa.rsvqa_builder.label_files.items import LabelItem, gathered
from rsvqa.rsvqa_builder.label_files.texts import read_text
from rsvqa.rsvqa_builder.labels.classes import ClassTable
from rsvqa.rsvqa_builder.labels.raw import LabelError, RawLabels
from rsvqa.rsvqa_builder.scenes.acquisition import parse_time

_HEAD_BYTES = 4096
_CAPTURE_DATE = re.compile(rb'"capture_date"\s*:\s*"([^"]*)"')
_UNKNOWN_DAMAGE = "un-classified"


def looks_like_xbd(head: bytes) -> bool:
    """Tell from its first bytes whether a JSON file is xBD's."""
    return b'"features"' in head and (b'"lng_lat"' in head or b'"xy"' in head)


def read_xbd(path: Path, table: ClassTable) -> RawLabels:
    """Return the buildings of a file; those whose damage was not classified are uncertain.

    Raises:
        LabelError: the file is not JSON with outlines in pixels.
    """
    text, note = read_text(path)
    try:
        content = json.loads(text.removeprefix("\ufeff"))
        features, metadata = content["features"]["xy"], content.get("metadata") or {}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise LabelError('not xBD JSON: it has no list "xy" of features') from error
    items: list[LabelItem] = []
    problems: Counter[str] = Counter()
    lost: list[str] = []
    for number, feature in enumerate(features):
        try:
            items.append(_item(feature, number))
        except (KeyError, TypeError, AttributeError, ShapelyError):
            problems["feature without a type and an outline in WKT"] += 1
            properties = feature.get("properties") if isinstance(feature, dict) else None
            lost.append(str((properties or {}).get("feature_type", "building")))
    size = (_number(metadata, "width"), _number(metadata, "height"))
    raw = gathered(
        items,
        table,
        problems=problems,
        lost=lost,
        notes=(note,),
        picture_size=None if None in size else size,  # type: ignore[arg-type]
    )
    return replace(raw, gsd_m=_number(metadata, "gsd"))


def capture_time(path: Path) -> dt.datetime | None:
    """Return when the picture of a file was taken; None for any other JSON, and where the file does not say it."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    found = _CAPTURE_DATE.search(content) if looks_like_xbd(content[:_HEAD_BYTES]) else None
    return parse_time(found[1].decode("ascii", "replace")) if found else None


def _item(feature: Mapping[str, Any], number: int) -> LabelItem:
    properties = feature["properties"]
    damage = str(properties.get("subtype") or "")
    is_known = damage != _UNKNOWN_DAMAGE
    return LabelItem(
        geometry=shapely.from_wkt(feature["wkt"]),
        outline=Outline.POLYGON,
        source=str(properties["feature_type"]),
        position=str(number),
        is_certain=is_known,
        attributes={"damage": damage} if damage and is_known else {},
    )


def _number(metadata: Mapping[str, Any], key: str) -> float | None:
    value = metadata.get(key)
    return float(value) if isinstance(value, int | float) and value > 0 else None
