"""What a run asks, in which order: prompts in groups that show the same images, known before a model is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsvqa.benchmark.files.reply_store import ReplyKey
from rsvqa.benchmark.models import BenchModel, BoxConvention, Prompt
from rsvqa.benchmark.protocol.prompts import CaptionPrompt, prompt_names, prompt_text, read_caption_prompt
from rsvqa.benchmark.protocol.rotation import rotate
from rsvqa.benchmark.protocol.task_file import TaskFile
from rsvqa.benchmark.samples import ImageSource, Sample
from rsvqa.benchmark.settings import BenchSettings


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """Prompts about the same images in the same order; the images are not read yet."""

    images: tuple[ImageSource, ...]
    prompts: tuple[Prompt, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run asks.

    Attributes:
        groups: in the order in which their images come first in the data.
        order: of the replies in the finished file: that of the data, rotations one after the other.
        prompt_names: which wording asks what.
        fingerprint: of what all replies have in common: model, settings, wordings.
    """

    groups: tuple[PlannedGroup, ...]
    order: tuple[ReplyKey, ...]
    prompt_names: Mapping[str, str]
    fingerprint: str


def make_plan(
    samples: Sequence[Sample], settings: BenchSettings, model: BenchModel, *, rules: TaskFile | None = None
) -> Plan:
    """Return what to ask of `model`; `rules` are those of the samples' task file.

    Raises:
        DataError: the file of the caption prompt cannot be read.
    """
    caption = None if settings.caption_prompt is None else read_caption_prompt(Path(settings.caption_prompt))
    groups: dict[tuple[str, ...], list[Prompt]] = {}
    images: dict[tuple[str, ...], tuple[ImageSource, ...]] = {}
    order: list[ReplyKey] = []
    for sample in samples:
        shown = tuple(image.key for image in sample.images)
        images.setdefault(shown, sample.images)
        for prompt in _prompts(sample, settings, model.box_convention, caption):
            groups.setdefault(shown, []).append(prompt)
            order.append(ReplyKey(sample.sample_id, prompt.rotation))
    names = prompt_names(caption) if rules is None else {"task file": f"{rules.name}, sha256 {rules.fingerprint}"}
    return Plan(
        groups=tuple(PlannedGroup(images[shown], tuple(prompts)) for shown, prompts in groups.items()),
        order=tuple(order),
        prompt_names=names,
        fingerprint=_digest([dict(model.describe()), settings.bearing_on_replies(), names]),
    )


def _prompts(
    sample: Sample, settings: BenchSettings, convention: BoxConvention, caption: CaptionPrompt | None
) -> Iterator[Prompt]:
    """Yield the sample's prompt, or one per rotation of its options."""
    for rotation in range(len(sample.options) if settings.circular and sample.options else 1):
        options, answer = rotate(sample.options, sample.answer, rotation)
        yield Prompt(
            key=sample.sample_id if rotation == 0 else f"{sample.sample_id}#{rotation}",
            sample=replace(sample, options=options, answer=answer),
            text=prompt_text(sample, box_convention=convention, options=options, caption_prompt=caption),
            max_new_tokens=settings.max_new_tokens_of(sample.form, sample.max_new_tokens),
            rotation=rotation,
        )


def request_fingerprint(plan: str, prompt: Prompt, image_hashes: Sequence[str]) -> str:
    """Return a SHA-256 of all that a stored line rests on: the plan's fingerprint, the prompt, the images shown.

    The right answer is in it too: it stands in the line, so that a line of corrected data is not taken for one of the
    data before.
    """
    sample = prompt.sample
    right = [sample.options, sample.answer, sample.references, sample.box]
    return _digest([plan, prompt.text, prompt.max_new_tokens, right, list(image_hashes)])


def _digest(content: Any) -> str:  # noqa: ANN401  any JSON
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
