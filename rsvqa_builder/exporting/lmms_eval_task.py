"""The functions of an exported lmms-eval task; this file is copied as it is and imports nothing of rsvqa.

Letters are read by lmms-eval's own module for XLRS-Bench, so a score here is the `official` one of `rsvqa bench`.
"""

from __future__ import annotations

import re
from typing import Any

Doc = dict[str, Any]

_NUMBER = r"\s*(-?\d+(?:\.\d+)?)\s*"
_BOX = re.compile(rf"[\[(]{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}[\])]")


def doc_to_visual(doc: Doc) -> list[Any]:
    """Return the images of a row, in the order in which they are shown."""
    return [image.convert("RGB") for image in doc["image"]]


def doc_to_text(doc: Doc, lmms_eval_specific_kwargs: object = None) -> str:  # noqa: ARG001  as it is called
    """Return the prompt of a row, byte for byte that of `rsvqa bench`."""
    return str(doc["prompt"])


def score_options(doc: Doc, results: list[str]) -> Doc:
    """Return whether the letters of a reply are those of the answer."""
    from lmms_eval.tasks.xlrs.mcq_utils import extract_characters_regex  # type: ignore[import-not-found]

    right = set(extract_characters_regex(results[0])) == set(doc["answer"])
    found = {"question_id": doc["question_id"], "task": doc["task"], "right": float(right)}
    return {"rsvqa_micro": found, "rsvqa_macro": found}


def score_box(doc: Doc, results: list[str]) -> Doc:
    """Return the IoU of the first box of a reply, in shares of the sides, with the right one; 0 without a box."""
    match = _BOX.search(results[0])
    iou = _iou([float(number) for number in match.groups()], doc["bbox"]) if match else 0.0
    found = {"question_id": doc["question_id"], "task": doc["task"], "iou": iou}
    return {"rsvqa_acc_50": found, "rsvqa_mean_iou": found}


def micro(results: list[Doc]) -> float:
    """Return the share of right questions."""
    return float(sum(one["right"] for one in results) / len(results))


def macro(results: list[Doc]) -> float:
    """Return the mean over the tasks of their shares of right questions."""
    groups: dict[str, list[float]] = {}
    for one in results:
        groups.setdefault(one["task"], []).append(one["right"])
    return sum(sum(group) / len(group) for group in groups.values()) / len(groups)


def acc_50(results: list[Doc]) -> float:
    """Return the share of boxes with an IoU of 0.5 at least."""
    return float(sum(one["iou"] >= 0.5 for one in results) / len(results))


def mean_iou(results: list[Doc]) -> float:
    """Return the mean IoU."""
    return float(sum(one["iou"] for one in results) / len(results))


def _iou(first: list[float], second: list[float]) -> float:
    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [abs((box[2] - box[0]) * (box[3] - box[1])) for box in (first, second)]
    union = sum(areas) - width * height
    return round(width * height / union, 9) if union > 0 else 0.0
