"""Published evaluations of replied boxes, quirks included; the strict reading and its exact IoU stand beside them.

What surprises: they differ in what a box is. One counts whole hundredths of the sides as if they were pixels, the other
tries four units and takes the best.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.models import BoxConvention

_FLOAT = r"(-?\d+(?:\.\d+)?)"
_FOUR_FLOATS = (
    re.compile(rf"\[\s*{_FLOAT},\s*{_FLOAT},\s*{_FLOAT},\s*{_FLOAT}\s*\]"),
    re.compile(rf"\(\s*{_FLOAT},\s*{_FLOAT},\s*{_FLOAT},\s*{_FLOAT}\s*\)"),
    re.compile(rf"\(\s*{_FLOAT},\s*{_FLOAT}\),\s*\(\s*{_FLOAT},\s*{_FLOAT}\)"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxReply:
    """A reply as the published evaluations take it.

    Attributes:
        text: as it was written.
        box: as the strict parser reads it under the declared units, shares of the sides; None for no valid one.
        convention: the declared units.
        size: of the image.
    """

    text: str
    box: Box | None
    convention: BoxConvention
    size: ImageSize


@dataclass(frozen=True, slots=True)
class BoxEvaluation:
    """A published evaluation.

    Attributes:
        compare: returns the IoU of a reply with the right box, in shares of the sides; None for an invalid reply.
        thresholds: of the accuracies that it gives beside the mean IoU.
    """

    compare: Callable[[BoxReply, Box], float | None]
    thresholds: tuple[float, ...]


def _hundredths(reply: BoxReply, right: Box) -> float | None:
    """VRSBench, eval_fianl/compute_metrics.ipynb and eval_utils.computeIoU (d38cee1): first four whole numbers, + 1.

    Models that it was written for reply in whole hundredths. A box in other declared units is made into these first, as
    the right ones were, by cutting decimals.
    """
    if reply.convention == "0-100":
        said = [int(number) for number in re.findall(r"\d+", reply.text)][:4]
    else:
        said = [int(100 * side) for side in reply.box or ()]
    if len(said) < 4:
        return None
    try:
        return _iou(said, [round(100 * side) for side in right], more=1)
    except ZeroDivisionError:
        return None


def _best_of_four(reply: BoxReply, right: Box) -> float | None:
    """OmniEarth-Bench, evaluation/task_config/vg_utils.py (2fe932c): as shares, pixels, thousandths, hundredths."""
    found = next((match for pattern in _FOUR_FLOATS if (match := pattern.search(reply.text))), None)
    said = [float(number) for number in found.groups()] if found else [0.0] * 4
    width, height = reply.size.width, reply.size.height
    readings = (
        said,
        [said[0] / width, said[1] / height, said[2] / width, said[3] / height],
        [number / 1000 for number in said],
        [number / 100 for number in said],
    )
    return max(_iou_or_0(list(right), reading) for reading in readings)


def _iou_or_0(first: list[float], second: list[float]) -> float:
    try:
        return _iou(first, second)
    except ZeroDivisionError:
        return 0.0


def _iou(first: list[float] | list[int], second: list[float] | list[int], *, more: int = 0) -> float:
    """Return an IoU with `more` added to sides, also of boxes whose corners are swapped, as published."""
    width = max(0, min(first[2], second[2]) - max(first[0], second[0]) + more)
    height = max(0, min(first[3], second[3]) - max(first[1], second[1]) + more)
    areas = [(box[2] - box[0] + more) * (box[3] - box[1] + more) for box in (first, second)]
    return width * height / (areas[0] + areas[1] - width * height)


BOX_EVALUATIONS: Mapping[str, BoxEvaluation] = MappingProxyType(
    {
        "vrsbench": BoxEvaluation(_hundredths, (0.5, 0.7)),
        "omniearth": BoxEvaluation(_best_of_four, (0.1, 0.3, 0.5, 0.7, 0.9)),
    }
)
"""By the name that a task file gives it."""
