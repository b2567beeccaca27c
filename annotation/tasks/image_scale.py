"""Sentences after a question that say how large the image and its pixels are, and measures as a reader writes them.

Coordinates mean nothing without the size of the image, and metres cannot be told from an image without its scale.
"""

from __future__ import annotations

import math

from rsvqa.annotation.tasks.registry import TaskContext

SCALE_DIGITS = 3
"""Significant digits of the metres per pixel: 0.5 % at most is lost, and answers have two digits."""

M2_A_HA = 1e4
M2_A_KM2 = 1e6


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


def two_digits(value: float) -> str:
    """Return a positive number with two significant digits, without an exponent: "0.96", "9.6", "310", "1,200"."""
    decimals = 1 - math.floor(math.log10(value))
    rounded = round(value, decimals)
    return f"{rounded:.{decimals}f}".rstrip("0").rstrip(".") if decimals > 0 else f"{rounded:,.0f}"


def length_text(metres: float) -> str:
    """Return a length in metres, from a kilometre on in kilometres."""
    return f"{two_digits(metres / 1e3)} km" if metres >= 995 else f"{two_digits(metres)} m"


def area_text(m2: float) -> str:
    """Return an area in square metres, hectares or square kilometres, whichever gives a short number."""
    if m2 >= 0.995 * M2_A_KM2:
        return f"{two_digits(m2 / M2_A_KM2)} km²"
    return f"{two_digits(m2 / M2_A_HA)} ha" if m2 >= 0.995 * M2_A_HA else f"{two_digits(m2)} m²"
