"""Small tiles and records for tests of what is written about a data set."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import shapely
import simplejpeg

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.scenes.tiling import Window

BOX = Box(0.25, 0.25, 0.5, 0.5)


def make_tile(image_id: str = "a:0_0", **changes: Any) -> TileRecord:
    """Return a tile of 200 x 100 px with a plain image of 10 bytes."""
    tile = TileRecord(image_id=image_id, split="train", scene="a", window=Window(0, 0, 200, 100), images={"tile": 10})
    return dataclasses.replace(tile, **changes)


def make_record(tile: TileRecord, task: str = "overall_counting", number: int = 1, **changes: Any) -> Record:
    """Return a record in the first answer form of its task."""
    info = TASKS[task]
    form = info.forms[0]
    fields: dict[str, Any] = {
        "question_id": f"{tile.image_id}/{info.short}{number}",
        "tile": tile,
        "task": task,
        "language": "en",
        "question": f"Question {number} of {info.level_3}?",
        "images": ("tile",) if info.num_dates == 1 else ("tile", "later"),
        "evidence": {"rule": "by_hand", "feature_ids": ["a:1"], "values": {"count": 3}},
    }
    if form is AnswerForm.BOX:
        fields |= {"bbox": BOX, "answer": str(list(BOX))}
    elif form is AnswerForm.TEXT:
        fields |= {"answer": f"A caption of {info.level_3}."}
    elif form is AnswerForm.YES_NO:
        fields |= {"options": ("(A) Yes", "(B) No"), "answer": "A"}
    else:
        fields |= {"options": ("(A) 3", "(B) 4", "(C) 5", "(D) 6"), "answer": "A"}
    return Record(**(fields | changes))


def make_jpeg(width: int, height: int) -> bytes:
    """Return a JPEG whose left half is red and whose right half is blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    encoded: bytes = simplejpeg.encode_jpeg(pixels, quality=95, colorsubsampling="444")
    return encoded


def square_footprint(size_deg: float = 0.01) -> bytes:
    """Return the WKB of a square at the equator and the prime meridian."""
    return bytes(shapely.to_wkb(shapely.box(0, 0, size_deg, size_deg)))
