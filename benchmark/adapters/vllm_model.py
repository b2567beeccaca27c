"""A checkpoint in vLLM's engine, in this process: the prompts of a checkpoint that transformers loads, faster.

Prompts are rendered by the checkpoint's own processor and go out as token ids, each image with one placeholder, which
the engine expands. It keeps what prompts about an image share. What surprises: transformers loads the processor here as
well, and for models that write boxes in pixels of what they see, an image is processed once more to know that view.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rsvqa.annotation.extras import require_extra
from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.adapters.checkpoints import CheckpointFront, load_front
from rsvqa.benchmark.adapters.families import family_of
from rsvqa.benchmark.adapters.processors import shrink
from rsvqa.benchmark.adapters.prompt_rows import PromptEncoder
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import BoxConvention, ModelView, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.protocol.boxes import rewrite_boxes
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BLIND, VLLM, BenchSettings


@dataclass(frozen=True, slots=True)
class _Question:
    """A prompt ready for the engine.

    Attributes:
        prompt: as it was asked.
        request: as the engine takes it.
        sent: its text where that was rewritten.
        views: one per image; empty where they are not worked out.
    """

    prompt: Prompt
    request: Mapping[str, Any]
    sent: str | None
    views: tuple[ModelView, ...]


def open_vllm_model(settings: BenchSettings, samples: Sequence[Sample]) -> VllmModel:
    """Return the checkpoint that the settings name, loaded into an engine.

    Args:
        settings: of the run.
        samples: all that are asked; the engine is told how many images a prompt holds.

    Raises:
        ModelError: the checkpoint cannot be loaded.
        MissingExtraError: vLLM, torch or transformers is not installed.
    """
    name = settings.model.removeprefix(BLIND).removeprefix(VLLM)
    if not name:
        raise ModelError("vllm: needs a folder or hub id: vllm:NAME")
    if find_spec("vllm") is None:  # its build for the CPU has another name, and the same module
        require_extra("vllm", "bench")
    front = load_front(name, trust_remote_code=settings.trust_remote_code)
    most = max((len(sample.images) for sample in samples), default=1) * settings.most_pictures
    return VllmModel(_start_engine(name, front, settings, num_images=max(1, most)), front, settings)


def _start_engine(name: str, front: CheckpointFront, settings: BenchSettings, *, num_images: int) -> Any:  # noqa: ANN401
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # results go to stdout
    from vllm import LLM

    arguments = {
        "model": name,
        "trust_remote_code": settings.trust_remote_code,
        "dtype": front.stored_dtype if settings.dtype == "auto" else settings.dtype,
        "enable_prefix_caching": True,
        "limit_mm_per_prompt": {"image": num_images},
        **settings.engine_arguments,
    }
    try:
        return LLM(**arguments)
    except (OSError, ValueError, RuntimeError, TypeError, ImportError) as error:
        # pydantic's first line is a count
        lines = [line.strip() for line in str(error).splitlines() if line.strip() and "validation error" not in line]
        cause = lines[0] if lines else type(error).__name__
        raise ModelError(f"vLLM cannot load {name!r}: {cause}; `engine_args` takes more of its arguments") from error


class VllmModel:
    """A `BenchModel` of an engine."""

    def __init__(self, engine: Any, front: CheckpointFront, settings: BenchSettings) -> None:  # noqa: ANN401
        """Take an engine, and the processor of the checkpoint that it runs."""
        self._engine = engine
        self._front = front
        self._settings = settings
        self._family = family_of(front.config.model_type)
        if settings.box_units == "view_pixels" and self._family.see is None:
            raise ModelError(
                f"`box_units` view_pixels: what models of type {front.config.model_type!r} see of an image is not known"
            )
        self._image_token_id: int | None = getattr(front.config, "image_token_id", None)

    @property
    def name(self) -> str:
        """The last part of the checkpoint's folder or hub id."""
        prefix = BLIND if self._settings.model.startswith(BLIND) else ""
        return prefix + Path(self._settings.model.removeprefix(BLIND).removeprefix(VLLM)).resolve().name

    @property
    def box_convention(self) -> BoxConvention:
        """Units of the boxes that it writes: those of the settings, else of its family."""
        return self._settings.box_units or self._family.box_convention

    def describe(self) -> Mapping[str, Any]:
        """Return what the replies follow from."""
        return {
            "adapter": "vllm",
            "model": self._settings.model,
            "revision": self._front.revision,
            "model_type": self._front.config.model_type,
            "family": self._family.name,
            "image_processor": type(self._front.processor.image_processor).__name__,
            "max_pixels": self._settings.max_pixels,
            "dtype": self._front.stored_dtype if self._settings.dtype == "auto" else self._settings.dtype,
            "engine_args": self._settings.engine_arguments,
            "box_convention": self.box_convention,
            "rewrites_boxes": self._rewrites_boxes,
        }

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        """Yield a result a prompt; as many groups go to the engine at once as hold `concurrency` prompts.

        Raises:
            ModelError: the engine fails.
        """
        waiting: list[_Question] = []
        for group in groups:
            yield from self._encode(group, waiting)
            while len(waiting) >= self._settings.concurrency:
                yield from self._ask(waiting[: self._settings.concurrency])
                del waiting[: self._settings.concurrency]
        if waiting:
            yield from self._ask(waiting)

    @property
    def _rewrites_boxes(self) -> bool:
        return self._family.rewrites_boxes and self._settings.rewrite_boxes

    def _encode(self, group: PromptGroup, waiting: list[_Question]) -> Iterator[Unanswered]:
        """Put a group's prompts behind those that wait, and yield those that the processor refuses."""
        from PIL import Image

        pictures = [shrink(Image.fromarray(image.rgb), self._settings.max_pixels) for image in group.images]
        encoder = PromptEncoder(
            self._front.processor,
            pictures,
            self._image_token_id,
            system=self._settings.system,
            template_arguments=self._settings.template_arguments,
        )
        sizes = [ImageSize(*image.rgb.shape[:2]) for image in group.images]
        try:
            views = self._views(encoder, sizes)
            ids = [encoder.unexpanded(self._text(prompt, sizes, views)) for prompt in group.prompts]
        except (ValueError, IndexError) as error:
            yield from (_refused(prompt, error) for prompt in group.prompts)
            return
        images = {"multi_modal_data": {"image": pictures}} if pictures else {}
        for prompt, tokens in zip(group.prompts, ids, strict=True):
            text = self._text(prompt, sizes, views)
            request = {"prompt_token_ids": tokens, **images}
            waiting.append(_Question(prompt, request, None if text == prompt.text else text, views))

    def _views(self, encoder: PromptEncoder, sizes: Sequence[ImageSize]) -> tuple[ModelView, ...]:
        see = self._family.see
        if see is None or not sizes or "view_pixels" not in (self.box_convention, self._family.box_convention):
            return ()
        vision = encoder.encode("").vision
        return tuple(see(self._front.processor, vision, place, size) for place, size in enumerate(sizes))

    def _text(self, prompt: Prompt, sizes: Sequence[ImageSize], views: Sequence[ModelView]) -> str:
        if not (self._rewrites_boxes and views):
            return prompt.text
        return rewrite_boxes(prompt.text, size=sizes[0], view=views[0])

    def _ask(self, questions: Sequence[_Question]) -> Iterator[Reply | Unanswered]:
        """Yield the replies; where the engine refuses the lot, each is asked alone, so that one does not cost all."""
        start = time.perf_counter()
        try:
            outputs = self._generate(questions)
        except (ValueError, IndexError) as error:
            if len(questions) > 1:
                for question in questions:
                    yield from self._ask([question])
            else:
                yield _refused(questions[0].prompt, error)
            return
        except (RuntimeError, MemoryError) as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelError(f"vLLM failed on question {questions[0].prompt.key}: {lines[0]}") from error
        seconds = (time.perf_counter() - start) / len(questions)
        for question, output in zip(questions, outputs, strict=True):
            yield self._make_reply(question, output, seconds)

    def _generate(self, questions: Sequence[_Question]) -> Sequence[Any]:
        """Return the engine's outputs in order: greedy, with all else that the checkpoint's generation settings say."""
        settings = []
        for question in questions:
            sampling = self._engine.get_default_sampling_params()
            sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p = 0.0, 1.0, 0, 0.0
            sampling.max_tokens = question.prompt.max_new_tokens
            settings.append(sampling)
        outputs: Sequence[Any] = self._engine.generate(
            [question.request for question in questions], settings, use_tqdm=False
        )
        return outputs

    def _make_reply(self, question: _Question, output: Any, seconds: float) -> Reply:  # noqa: ANN401
        (written,) = output.outputs
        prompt_ids = list(output.prompt_token_ids)
        return Reply(
            key=question.prompt.key,
            text=self._front.processor.tokenizer.decode(list(written.token_ids), skip_special_tokens=True),
            ended=written.finish_reason == "stop",
            sent=question.sent,
            num_prompt_tokens=len(prompt_ids),
            num_visual_tokens=prompt_ids.count(self._image_token_id),
            num_new_tokens=len(written.token_ids),
            seconds=seconds,
            views=question.views,
            box_convention=self.box_convention,
        )


def _refused(prompt: Prompt, error: Exception) -> Unanswered:
    lines = str(error).strip().splitlines() or ["no reason given"]
    return Unanswered(prompt.key, f"it was refused: {lines[0]}")
