"""How a sample is put to a model: the published prompt for choices, wordings of our own for boxes and captions.

The prompt for choices is part of the protocol, and `rsvqa_builder.dataset.prompts` writes the same one into
training data: a score with another wording is another score. For boxes nothing is published beyond the question; models
differ in the units they write, so the prompt names those that the model's adapter declares. The published caption
prompt is its authors' to distribute; ours asks for the same structure, and `caption_prompt` takes a file with theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.annotation.wording.box_units import stated_units
from rsvqa.annotation.wording.xlrs_prompt import xlrs_prompt
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.models import BoxConvention
from rsvqa.benchmark.samples import Sample

CHOICE_PROMPT_NAME = "xlrs-bench, as in lmms-eval 0.7.3"
BOX_PROMPT_NAME = "rsvqa box prompt 1"
OWN_CAPTION_PROMPT_NAME = "rsvqa caption prompt 1"

QUESTION_SLOT = "{question}"
"""Where a caption prompt puts the sample's question; a prompt without it is sent as it is."""

_BOX_PROMPTS: Mapping[str, str] = {
    "en": "Reply with one box only: [x_min, y_min, x_max, y_max], {units}.",
    "zh": "只回答一个边界框：[x_min, y_min, x_max, y_max]，{units}。",
}
_UNITS: Mapping[str, Mapping[BoxConvention, str]] = {
    "en": {
        "pixels": "in pixels of the image",
        "view_pixels": "in pixels of the image",
        "0-1": "as shares of the image's width and height, from 0 to 1",
        "0-100": "as percentages of the image's width and height, from 0 to 100",
        "0-1000": "in thousandths of the image's width and height, from 0 to 1000",
    },
    "zh": {
        "pixels": "单位为图像像素",
        "view_pixels": "单位为图像像素",
        "0-1": "取值为占图像宽度和高度的比例，范围 0 到 1",
        "0-100": "取值为占图像宽度和高度的百分比，范围 0 到 100",
        "0-1000": "取值为占图像宽度和高度的千分比，范围 0 到 1000",
    },
}
_CAPTION_PROMPTS: Mapping[str, str] = {
    "en": (
        "{question}\n"
        "Write three parts of plain text, without markdown.\n"
        "Overall: what the image shows as a whole.\n"
        "Parts: divide the image into nine equal parts and describe each of them, from left to right and from top to "
        "bottom, naming the part (top left, top centre, top right, middle left, centre, middle right, bottom left, "
        "bottom centre, bottom right).\n"
        "Inference: what can be concluded from all of it about the place and how it is used."
    ),
    "zh": (
        "{question}\n"
        "请用纯文本分三部分回答，不要使用 markdown。\n"
        "整体描述：图像整体上展示了什么。\n"
        "分区描述：把图像平均分成九个区域，按从左到右、从上到下的顺序逐一描述，并写出区域名称"
        "（左上、中上、右上、左中、中心、右中、左下、中下、右下）。\n"
        "综合推断：由以上内容可以对该地点及其用途得出什么结论。"
    ),
}
_STRUCTURED_CAPTION_TASK = "detailed_captioning"


@dataclass(frozen=True, slots=True)
class CaptionPrompt:
    """What a model is asked for a detailed caption; `name` goes into the result."""

    name: str
    text: str


def read_caption_prompt(path: Path) -> CaptionPrompt:
    """Return the prompt in a UTF-8 text file, named after the file and its digest; the line break at its end is cut.

    Raises:
        DataError: the file cannot be read, or holds nothing.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkDataError(f"the caption prompt {path} cannot be read as UTF-8 text: {error}") from error
    if not text.strip():
        raise BenchmarkDataError(f"the caption prompt {path} is empty; expected the text that asks for a caption")
    return CaptionPrompt(f"{path.name}, sha256 {hashlib.sha256(data).hexdigest()[:16]}", text)


def prompt_names(caption_prompt: CaptionPrompt | None = None) -> dict[str, str]:
    """Return which wording each kind of answer is asked for with, for the result."""
    caption = OWN_CAPTION_PROMPT_NAME if caption_prompt is None else caption_prompt.name
    return {"choices": CHOICE_PROMPT_NAME, "boxes": BOX_PROMPT_NAME, "captions": caption}


def prompt_text(
    sample: Sample,
    *,
    box_convention: BoxConvention,
    options: Sequence[str] | None = None,
    caption_prompt: CaptionPrompt | None = None,
) -> str:
    """Return the user's turn for a sample, without image placeholders.

    Args:
        sample: what is asked.
        box_convention: units of the boxes that the model writes; named where the question does not name its own.
        options: after rotation; the sample's own when None.
        caption_prompt: for detailed captions, instead of the wording of our own.
    """
    if sample.prompt is not None:
        return sample.prompt
    if sample.form is AnswerForm.BOX:
        return box_prompt(sample.question, sample.language, box_convention)
    if sample.form is AnswerForm.TEXT:
        return _text_prompt(sample, caption_prompt)
    several = AnswerForm.SEVERAL_OF in TASKS[sample.task].forms
    return xlrs_prompt(sample.question, sample.options if options is None else options, several=several)


def box_prompt(question: str, language: str, convention: BoxConvention) -> str:
    """Return a question that asks for a box, with the form of the reply; units that the question states stand."""
    if stated_units(question) is not None:
        return question
    return f"{question}\n{box_request(language, convention)}"


def box_request(language: str, convention: BoxConvention) -> str:
    """Return the sentence that asks for one box in the units that a model writes."""
    key = _known(language)
    return _BOX_PROMPTS[key].format(units=_UNITS[key][convention])


def replied_convention(question: str, convention: BoxConvention) -> BoxConvention:
    """Return the units in which a reply's box is read: those that the question states, else the adapter's own.

    What a question states goes before what an adapter declares: the model was told so. An adapter whose pixels are
    those of its view writes these also when it is asked for pixels.
    """
    stated = stated_units(question)
    if stated is None or (stated == "pixels" and convention == "view_pixels"):
        return convention
    return stated


def _text_prompt(sample: Sample, caption_prompt: CaptionPrompt | None) -> str:
    if sample.task != _STRUCTURED_CAPTION_TASK:
        return sample.question
    template = _CAPTION_PROMPTS[_known(sample.language)] if caption_prompt is None else caption_prompt.text
    return template.replace(QUESTION_SLOT, sample.question)


def _known(language: str) -> str:
    return language if language in _BOX_PROMPTS else "en"
