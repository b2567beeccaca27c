"""Sentences after a question that say how large the image and its pixels are.

Coordinates mean nothing without the size of the image, and metres cannot be told from an image without its scale.
"""

from __future__ import annotations

import math

from rsvqa.annotation.tasks.registry import TaskContext

SCALE_DIGITS = 3
"""Significant digits of the metres per pixel: 0.5 % at most is lost, and answers have two digits."""


def with_size(context: TaskContext, text: str) -> str:
    """Return a question with the size of the image said after it."""
    facts = context.facts
    return f"{text} {context.phrases.pick(context.rng, 'image.size', width=facts.width, height=facts.height)}"


def with_scale(context: TaskContext, text: str) -> str:
    """Return a question about metres with the metres per pixel said after it; as it is where nobody knows them."""
    gsd_m = context.facts.gsd_m
    if gsd_m is None:
        return text
    across, down = map(scale_text, gsd_m)
    if across == down:
        said = context.phrases.pick(context.rng, "image.scale", metres=across)
    else:
        said = context.phrases.pick(context.rng, "image.scale_oblong", across=across, down=down)
    return f"{text} {said}"


def scale_text(metres: float) -> str:
    """Return metres per pixel with `SCALE_DIGITS` digits, without an exponent: "0.5", "0.298", "1230"."""
    decimals = max(0, SCALE_DIGITS - 1 - math.floor(math.log10(metres)))
    text = f"{round(metres, SCALE_DIGITS - 1 - math.floor(math.log10(metres))):.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
