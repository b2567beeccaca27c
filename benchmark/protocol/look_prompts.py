"""What a model is told when it may look before it answers: wordings of our own, no part of a published protocol.

A region is asked for as a box in the units that the model writes. The prompt that is answered in the end is the
benchmark's own; where parts of the image are shown, sentences before it say which picture shows what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rsvqa.benchmark.models import BoxConvention
from rsvqa.benchmark.protocol.prompts import box_request
from rsvqa.benchmark.samples import Sample
from rsvqa.rsvqa_builder.scenes.tiling import Window

LOOK_PROMPT_NAME = "rsvqa look prompts 1"

_ASK: Mapping[str, str] = {
    "en": "Do not answer this question yet:\n{question}\n\n{shown}{offer} {box}",
    "zh": "先不要回答下面的问题：\n{question}\n\n{shown}{offer}{box}",
}
_FIRST_OFFER: Mapping[str, str] = {
    "en": "The image is shown reduced; one part of it can be shown in more detail. Which part must be seen to answer?",
    "zh": "图像是缩小显示的；其中一个部分可以更详细地显示。回答问题需要看哪个部分？",
}
_NEXT_OFFER: Mapping[str, str] = {
    "en": (
        "Another part of the whole image can be shown in more detail. If what is shown is enough, reply with the word "
        "ENOUGH only; else name the part that must be seen to answer."
    ),
    "zh": "全图的另一个部分可以更详细地显示。如果已显示的内容足够，只回答“足够”；否则请指出回答问题需要看的部分。",
}
_WHOLE: Mapping[str, tuple[str, str]] = {
    "en": (
        "Picture 1 is the whole image, reduced.",
        "Pictures 1 and 2 are the whole image at the earlier and at the later date, reduced.",
    ),
    "zh": ("图片1是缩小的全图。", "图片1和图片2是较早和较晚日期的缩小全图。"),
}
_PART: Mapping[str, tuple[str, str]] = {
    "en": (
        "Picture {first} shows its part from {left} to {right} % of the width and from {top} to {bottom} % of the "
        "height in more detail.",
        "Pictures {first} and {last} show its part from {left} to {right} % of the width and from {top} to {bottom} % "
        "of the height in more detail, at the earlier and at the later date.",
    ),
    "zh": (
        "图片{first}更详细地显示其宽度{left}%至{right}%、高度{top}%至{bottom}%的部分。",
        "图片{first}和图片{last}更详细地显示其宽度{left}%至{right}%、高度{top}%至{bottom}%的部分，分别为较早和较晚日期。",
    ),
}


def region_prompt(sample: Sample, question: str, convention: BoxConvention, shown: str) -> str:
    """Return what asks for a part of the image to look at.

    Args:
        sample: what is asked.
        question: of it, with boxes as the model sees them.
        convention: units of the boxes that the model writes.
        shown: what `shown_pictures` says of the parts that are shown already; "" for none.
    """
    language = _known(sample.language)
    return _ASK[language].format(
        question="\n".join([question, *sample.options]),
        shown=f"{shown}\n" if shown else "",
        offer=(_NEXT_OFFER if shown else _FIRST_OFFER)[language],
        box=box_request(language, convention),
    )


def shown_pictures(language: str, windows: Sequence[Window], *, width: int, height: int, num_dates: int) -> str:
    """Return which picture shows what: the whole at each date, then each part at each date.

    Args:
        language: of the question.
        windows: of the parts, in pixels of the image.
        width: of the image, pixels.
        height: of the image, pixels.
        num_dates: images of the question, 1 or 2.
    """
    language = _known(language)
    space = " " if language == "en" else ""
    return space.join([_WHOLE[language][num_dates > 1], *_parts(language, windows, width, height, num_dates)])


def _parts(language: str, windows: Sequence[Window], width: int, height: int, num_dates: int) -> Iterator[str]:
    for number, window in enumerate(windows, start=1):
        first = number * num_dates + 1
        yield _PART[language][num_dates > 1].format(
            first=first,
            last=first + num_dates - 1,
            left=round(100 * window.x / width),
            right=round(100 * (window.x + window.width) / width),
            top=round(100 * window.y / height),
            bottom=round(100 * (window.y + window.height) / height),
        )


def _known(language: str) -> str:
    return language if language in _ASK else "en"
