"""Any checkpoint that transformers' Auto classes load, asked about each image once.

What surprises: with `reuse` an image is processed and encoded once, and the key-value cache of everything up to its
last visual token serves all its questions, also where there is one question only, so that a run that was resumed
replies like one that was not. Families that this is not tested for (`families.DEFAULT`) get whole prompts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.adapters.checkpoints import LoadedCheckpoint, LoadingSettings, input_device, load_checkpoint
from rsvqa.benchmark.adapters.families import ModelFamily, family_of
from rsvqa.benchmark.adapters.generation import Generated, Generator, Prefix
from rsvqa.benchmark.adapters.processors import shrink
from rsvqa.benchmark.adapters.prompt_rows import EncodedPrompt, PromptEncoder, begin_alike
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BenchImage, BoxConvention, ModelView, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.protocol.boxes import rewrite_boxes
from rsvqa.benchmark.settings import BLIND, BenchSettings

_REFUSALS = (ValueError, IndexError)
"""What processors raise for a text or an image that they cannot take."""

_MOST_CHANNELS = 4


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt ready for the model.

    Attributes:
        prompt: as it was asked.
        encoded: as the model takes it.
        sent: its text where that was rewritten.
        has_prefix: whether it begins like the group's other prompts, and may share their cache.
    """

    prompt: Prompt
    encoded: EncodedPrompt
    sent: str | None
    has_prefix: bool


def open_transformers_model(settings: BenchSettings) -> TransformersModel:
    """Return the checkpoint that the settings name, loaded.

    Raises:
        ModelError: it cannot be loaded.
        MissingExtraError: torch or transformers is not installed.
    """
    loading = LoadingSettings(
        dtype=settings.dtype,
        device=settings.device,
        weight_bits=settings.weight_bits,
        attention=settings.attention,
        trust_remote_code=settings.trust_remote_code,
    )
    checkpoint = load_checkpoint(settings.model.removeprefix(BLIND), loading)
    return TransformersModel(checkpoint, settings)


class TransformersModel:
    """A `BenchModel` of a loaded checkpoint."""

    def __init__(self, checkpoint: LoadedCheckpoint, settings: BenchSettings) -> None:
        """Set the checkpoint's processor to the pixel budget of the settings."""
        self._settings = settings
        self._checkpoint = checkpoint
        self._family: ModelFamily = family_of(checkpoint.model_type)
        if settings.box_units == "view_pixels" and self._family.see is None:
            raise ModelError(
                f"`box_units` view_pixels: what models of type {checkpoint.model_type!r} see of an image is not known"
            )
        self._generator = Generator(checkpoint.model)
        self._batch_size = settings.batch_size if self._family.batches else 1
        self._image_token_id: int | None = getattr(checkpoint.model.config, "image_token_id", None)
        if settings.max_pixels is not None and self._family.set_budget is not None:
            self._family.set_budget(checkpoint.processor, checkpoint.model.config, settings.max_pixels)
        if self._family.processes_on_device:
            checkpoint.processor.image_processor.device = input_device(checkpoint.model)

    @property
    def name(self) -> str:
        """The last part of the checkpoint's folder or hub id."""
        prefix = BLIND if self._settings.model.startswith(BLIND) else ""
        return prefix + Path(self._settings.model.removeprefix(BLIND)).resolve().name

    @property
    def box_convention(self) -> BoxConvention:
        """Units of the boxes that it writes: those of the settings, else of its family."""
        return self._settings.box_units or self._family.box_convention

    @property
    def checkpoint(self) -> LoadedCheckpoint:
        """Model and processor, as they are asked."""
        return self._checkpoint

    def describe(self) -> Mapping[str, Any]:
        """Return what the replies follow from."""
        model, processor = self._checkpoint.model, self._checkpoint.processor
        return {
            "adapter": "transformers",
            "model": self._settings.model,
            "revision": self._checkpoint.revision,
            "model_type": self._checkpoint.model_type,
            "family": self._family.name,
            "image_processor": type(processor.image_processor).__name__,
            "max_pixels": self._settings.max_pixels,
            "dtype": str(model.dtype).removeprefix("torch."),
            **({} if self._settings.weight_bits is None else {"weight_bits": self._settings.weight_bits}),
            "attention": str(getattr(model.config, "_attn_implementation", "")),
            "box_convention": self.box_convention,
            "rewrites_boxes": self._rewrites_boxes,
        }

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield a result a prompt, image after image, batch after batch.

        Raises:
            ModelError: out of memory, or the model fails.
        """
        for group in _join_blind(groups, self._batch_size):
            with self._failures_named(group):
                yield from self._reply_to_group(group)

    @property
    def _rewrites_boxes(self) -> bool:
        return self._family.rewrites_boxes and self._settings.rewrite_boxes

    def _reply_to_group(self, group: PromptGroup) -> Iterator[Reply | Unanswered]:
        start = time.perf_counter()
        encoder = PromptEncoder(
            self._checkpoint.processor,
            self._as_pictures(group.images),
            self._image_token_id,
            system=self._settings.system,
            template_arguments=self._settings.template_arguments,
        )
        try:
            blank = encoder.encode("")  # what all questions about the images share, whichever are asked
        except _REFUSALS as error:
            yield from (_not_encoded(prompt, error) for prompt in group.prompts)
            return
        views = self._views(blank, group.images)
        questions: list[_Question] = []
        for prompt in group.prompts:
            text = self._text(prompt, group.images, views)
            try:
                encoded = encoder.encode(text)
            except _REFUSALS as error:
                yield _not_encoded(prompt, error)
            else:
                sent = None if text == prompt.text else text
                questions.append(_Question(prompt, encoded, sent, begin_alike(blank, encoded)))
        prefix = self._prefix(blank)
        shared_seconds = (time.perf_counter() - start) / len(group.prompts)
        for batch in self._batches(questions):
            yield from self._reply_to_batch(batch, prefix, views, shared_seconds)

    def _as_pictures(self, images: Sequence[BenchImage]) -> list[Any]:
        """Return what the processor takes, scaled down to the pixel budget where it has no knob for that.

        Arrays where that is tested, as processors copy a PIL image once more. One of few rows would be taken for an
        image whose channels come first.
        """
        from PIL import Image

        max_pixels = None if self._family.set_budget is not None else self._settings.max_pixels
        if max_pixels is not None:
            return [shrink(Image.fromarray(image.rgb), max_pixels) for image in images]
        takes_arrays = self._family.takes_arrays
        return [
            image.rgb if takes_arrays and len(image.rgb) > _MOST_CHANNELS else Image.fromarray(image.rgb)
            for image in images
        ]

    def _views(self, encoded: EncodedPrompt, images: Sequence[BenchImage]) -> tuple[ModelView, ...]:
        see, processor = self._family.see, self._checkpoint.processor
        if see is None:
            return ()
        return tuple(see(processor, encoded.vision, place, _size(image)) for place, image in enumerate(images))

    def _text(self, prompt: Prompt, images: Sequence[BenchImage], views: Sequence[ModelView]) -> str:
        """Return the prompt's text with its boxes, which are of the first image, as the model sees them."""
        if not (self._rewrites_boxes and views):
            return prompt.text
        return rewrite_boxes(prompt.text, size=_size(images[0]), view=views[0])

    def _prefix(self, blank: EncodedPrompt) -> Prefix | None:
        if not (self._settings.reuse and self._family.reuses_prefix and blank.prefix_length):
            return None
        return self._generator.fill_prefix(blank)

    def _batches(self, questions: Sequence[_Question]) -> Iterator[Sequence[_Question]]:
        """Yield questions that go through the model together: with one bound of their replies, and one beginning."""

        def kind(question: _Question) -> tuple[int, bool]:
            return question.prompt.max_new_tokens, question.has_prefix

        for wanted in sorted({kind(question) for question in questions}):
            chosen = [question for question in questions if kind(question) == wanted]
            for start in range(0, len(chosen), self._batch_size):
                yield chosen[start : start + self._batch_size]

    def _reply_to_batch(
        self, batch: Sequence[_Question], prefix: Prefix | None, views: tuple[ModelView, ...], shared_seconds: float
    ) -> Iterator[Reply]:
        start = time.perf_counter()
        prompts, bound = [question.encoded for question in batch], batch[0].prompt.max_new_tokens
        if prefix is None or not batch[0].has_prefix:
            prefix = None
            replies = self._generator.reply_to_whole(prompts, max_new_tokens=bound)
        else:
            replies = self._generator.reply_to_tails(prefix, prompts, max_new_tokens=bound)
        seconds = shared_seconds + (time.perf_counter() - start) / len(batch)
        for question, generated in zip(batch, replies, strict=True):
            reply = self._make_reply(question, generated, prefix)
            yield replace(reply, views=views, seconds=seconds)

    def _make_reply(self, question: _Question, generated: Generated, prefix: Prefix | None) -> Reply:
        text = self._checkpoint.processor.tokenizer.decode(generated.ids, skip_special_tokens=True)
        num_prompt, num_visual = self._count_tokens(question.encoded, prefix)
        return Reply(
            key=question.prompt.key,
            text=text,
            ended=generated.ended,
            sent=question.sent,
            num_prompt_tokens=num_prompt,
            num_visual_tokens=num_visual,
            num_new_tokens=len(generated.ids),
            box_convention=self.box_convention,
        )

    def _count_tokens(self, encoded: EncodedPrompt, prefix: Prefix | None) -> tuple[int | None, int | None]:
        """Return tokens of the prompt and visual tokens in it; None where the model expands placeholders itself."""
        if prefix is not None:
            num_visual = int((prefix.ids == self._image_token_id).sum())
            return prefix.num_tokens + encoded.num_tokens - encoded.prefix_length, num_visual
        expands_inside = getattr(self._checkpoint.processor, "num_cell_tokens", 0) is None  # of GeoLLaVA
        if expands_inside and encoded.prefix_length:
            return None, None
        return encoded.num_tokens, int((encoded.row["input_ids"] == self._image_token_id).sum())

    @contextmanager
    def _failures_named(self, group: PromptGroup) -> Iterator[None]:
        """Turn what a failing model raises into one line that names image and knob."""
        import torch

        where = f"image {group.images[0].sha256[:12]}" if group.images else f"question {group.prompts[0].key}"
        try:
            yield
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise ModelError(self._out_of_memory(where)) from error
        except (RuntimeError, ValueError, IndexError) as error:
            if "allocate memory" in str(error):  # torch's allocator of the CPU has no class of its own
                raise ModelError(self._out_of_memory(where)) from error
            first_line = str(error).strip().splitlines()[:1] or [type(error).__name__]
            raise ModelError(f"the model {self.name} failed on {where}: {first_line[0]}") from error

    def _out_of_memory(self, where: str) -> str:
        max_pixels = self._settings.max_pixels or "not set"
        return (
            f"the model {self.name} ran out of memory on {where}; lower `batch_size` (now {self._batch_size}) or "
            f"`max_pixels` (now {max_pixels}), or take a smaller `dtype`"
        )


def _join_blind(groups: Iterable[PromptGroup], size: int) -> Iterator[PromptGroup]:
    """Yield groups with images as they are, and prompts without images in groups of `size`."""
    waiting: list[Prompt] = []
    for group in groups:
        if group.images:
            yield group
            continue
        waiting.extend(group.prompts)
        while len(waiting) >= size:
            yield PromptGroup((), tuple(waiting[:size]))
            del waiting[:size]
    if waiting:
        yield PromptGroup((), tuple(waiting))


def _not_encoded(prompt: Prompt, error: Exception) -> Unanswered:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return Unanswered(prompt.key, f"the processor refused it: {lines[0]}")


def _size(image: BenchImage) -> ImageSize:
    height, width, _ = image.rgb.shape
    return ImageSize(height, width)
