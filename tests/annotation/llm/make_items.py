"""Items by hand: small tiles with one question each, for tests of the steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from pydantic import BaseModel

from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.images import Pixels
from rsvqa.annotation.llm.items import QuestionItem, ShownImage, TileKnowledge
from rsvqa.annotation.llm.requests import ChatReply
from rsvqa.annotation.questions import Evidence
from rsvqa.annotation.taxonomy import AnswerForm

NOUNS = {
    "car": ("car", "cars"),
    "house": ("house", "houses"),
    "ship": ("ship", "ships"),
    "forest": ("forest", "forest"),
    "water": ("water", "water"),
    "storage_tank": ("storage tank", "storage tanks"),
    "tank": ("tank", "tanks"),
}

WIDTH, HEIGHT = 300, 200


def make_pixels() -> Pixels:
    """Return pixels that tell where they are: red is the column, green the row."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[..., 0] = np.arange(WIDTH)[None, :] * 255 // WIDTH
    pixels[..., 1] = np.arange(HEIGHT)[:, None] * 255 // HEIGHT
    return pixels


def make_item(task: str = "overall_counting", **fields: Any) -> QuestionItem:
    """Return a question about the number of cars, with other fields where given."""
    item = QuestionItem(
        question_id="city/0_0/X1",
        task=task,
        form=AnswerForm.ONE_OF,
        language="en",
        text="How many cars are there in the image?",
        options=("1", "2", "3", "5"),
        answer="C",
        box=None,
        region=None,
        region_number=None,
        evidence=Evidence(rule="count_whole", feature_ids=("a", "b", "c"), values={"class": "car", "count": 3}),
        width=WIDTH,
        height=HEIGHT,
        views=(ShownImage("city/0_0:tile", make_pixels),),
        knowledge=TileKnowledge(nouns=NOUNS),
    )
    return replace(item, **fields)


def colour_item(**fields: Any) -> QuestionItem:
    """Return a question about the colour of a house in a box."""
    return make_item(
        **{
            "task": "object_colour",
            "text": "What colour is the house in the bounding box? Image resolution: 300 x 200. "
            "Bounding box: [100, 50, 140, 80].",
            "options": ("red", "blue", "white", "black"),
            "answer": "B",
            "box": Box(100, 50, 140, 80),
            "evidence": Evidence(
                rule="labelled_colour_seen",
                feature_ids=("h",),
                geometry=shapely.box(100, 50, 140, 80),
                values={"class": "house", "colour": "blue"},
            ),
            **fields,
        },
    )


def grounding_item(**fields: Any) -> QuestionItem:
    """Return a question for the box of the southernmost house."""
    return make_item(
        **{
            "task": "fine_grained_grounding",
            "form": AnswerForm.BOX,
            "text": "Where is the southernmost house? Give its bounding box as normalised [x1, y1, x2, y2] with values "
            "from 0 to 1.",
            "options": (),
            "answer": "[0.4, 0.5, 0.5, 0.6]",
            "box": Box(120, 100, 150, 120),
            "evidence": Evidence(rule="extreme_position", feature_ids=("h",), values={"class": "house", "side": "s"}),
            **fields,
        },
    )


def region_item(**fields: Any) -> QuestionItem:
    """Return the caption of a circle."""
    return make_item(
        **{
            "task": "regional_captioning",
            "form": AnswerForm.TEXT,
            "text": "Describe what is inside red circle 2.",
            "options": (),
            "answer": "In the area inside circle 2 there is forest (about 60 %). It also shows 3 cars.",
            "region": Circle(150, 100, 40),
            "region_number": 2,
            "evidence": Evidence(
                rule="caption_from_labels",
                feature_ids=("a",),
                values={"counts": {"car": 3, "house": None}, "shares": {"forest": 0.6}},
            ),
            **fields,
        },
    )


DETAILED_VALUES = {
    "overall": {"counts": {"car": 3, "ship": 1}, "shares": {"forest": 0.5}, "has_road": False},
    "parts": {
        "top_left": {"counts": {"car": 2}, "shares": {"forest": 0.9}, "has_road": False},
        "centre": {"counts": {"car": 1}, "shares": {"water": 0.4}, "has_road": False},
        "bottom_right": {"counts": {"ship": 1}, "shares": {"water": 0.7}, "has_road": False},
    },
    "inferences": [],
}


def caption_item(answer: str, **fields: Any) -> QuestionItem:
    """Return a detailed caption."""
    return make_item(
        **{
            "task": "detailed_captioning",
            "form": AnswerForm.TEXT,
            "text": "Describe this image in detail: first as a whole, then its nine parts.",
            "options": (),
            "answer": answer,
            "evidence": Evidence(rule="caption_from_labels", values=DETAILED_VALUES),
            **fields,
        },
    )


def reply(parsed: BaseModel, key: str = "k") -> ChatReply:
    """Return a good reply."""
    return ChatReply(key=key, text=parsed.model_dump_json(), parsed=parsed, reply_hash="feed")
