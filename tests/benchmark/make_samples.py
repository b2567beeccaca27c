"""Samples for tests of prompts and scores, without images."""

from __future__ import annotations

from typing import Any

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.samples import Sample


def make_sample(task: str = "object_colour", **changes: Any) -> Sample:
    """Return a sample of a task."""
    info = TASKS[task]
    values: dict[str, Any] = {
        "sample_id": "s1",
        "task": task,
        "category": info.category,
        "l2_category": info.l2_category,
        "language": "en",
        "form": info.forms[0],
        "question": "What is the colour of the car?",
        "images": (),
    }
    return Sample(**{**values, **changes})


def make_reply(task: str = "object_colour", reply: str | None = "B", **changes: Any) -> StoredReply:
    """Return a stored reply of a task; a reply of None is a failure."""
    info = TASKS[task]
    values: dict[str, Any] = {
        "fingerprint": "f",
        "sample_id": "s1",
        "task": task,
        "category": info.category,
        "l2_category": info.l2_category,
        "language": "en",
        "form": info.forms[0],
        "question": "What is the colour of the car?",
        "prompt": "",
        "reply": reply,
        "failure": None if reply is not None else "refused",
        "images": (StoredImage(sha256="0", width=1000, height=500),),
    }
    return StoredReply(**{**values, **changes})
