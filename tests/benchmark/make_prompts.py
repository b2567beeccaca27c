"""Samples, images and prompts as a runner would give them to a model."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.benchmark.models import BenchImage, Prompt, PromptGroup
from rsvqa.benchmark.samples import Sample

QUESTIONS = (
    "What is it?",
    "Image resolution: 90 x 60\nBounding box: [10, 20, 30, 40]\nWhich colour has the object in the box?",
    "A",
    "How many of the ships in the harbour are longer than the pier beside them?",
)


def make_sample(sample_id: str = "s0", **changes: Any) -> Sample:
    """Return a question with four options whose answer is B."""
    task = changes.pop("task", "object_colour")
    values: dict[str, Any] = {
        "task": task,
        "category": TASKS[task].category,
        "l2_category": TASKS[task].l2_category,
        "language": "en",
        "form": AnswerForm.ONE_OF,
        "question": "Which colour?",
        "images": (),
        "options": ("(A) red", "(B) blue", "(C) white", "(D) grey"),
        "answer": "B",
    }
    return Sample(sample_id=sample_id, **(values | changes))


def make_image(seed: int, *, width: int = 90, height: int = 60) -> BenchImage:
    """Return an image of noise, as PNG."""
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "PNG")
    return BenchImage(rgb, file.getvalue(), hashlib.sha256(file.getvalue()).hexdigest())


def make_group(
    images: Sequence[BenchImage], texts: Sequence[str] = QUESTIONS, *, name: str = "g", max_new_tokens: int = 8
) -> PromptGroup:
    """Return one prompt a text; keys are `name`-0, `name`-1 and so on."""
    prompts = [
        Prompt(key=f"{name}-{place}", sample=make_sample(f"{name}-{place}"), text=text, max_new_tokens=max_new_tokens)
        for place, text in enumerate(texts)
    ]
    return PromptGroup(tuple(images), tuple(prompts))
