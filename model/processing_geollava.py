"""Prompts and images → the inputs of the model.

One placeholder in the text stands for one whole image. Where the number of its visual tokens follows from its size, the
processor writes as many placeholders, as other processors do; else the model puts them there.
What surprises: boxes in a prompt are pixels of the original image, which the model never sees. `rescale_boxes=True`
rewrites them, and the stated image size, to the canvas that the image is put on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoProcessor
from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import MultiModalData, ProcessorMixin, TextKwargs
from transformers.utils import logging

from .image_processing_geollava import CALL_SETTINGS, Placement, flatten_images

logger = logging.get_logger(__name__)

IMAGE_TOKEN = "<image>"  # noqa: S105  a placeholder, no secret

_REFUSED_PART = (
    "{{- raise_exception('a message of the ' ~ message['role'] ~ ' has a part of type ' ~ part['type'] ~ ', which "
    "would not be seen; expected "
)

CHAT_TEMPLATE = (
    "{%- if tools -%}{{- raise_exception('tools would not be seen: this model has not been trained with any') -}}"
    "{%- endif -%}"
    "{%- if messages and messages[0]['role'] != 'system' -%}"
    "{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message['content'] is not defined or message['content'] is none -%}"
    "{{- raise_exception('a message of the ' ~ message['role'] ~ ' has no content; expected text, or a list of "
    "parts') -}}"
    "{%- endif -%}"
    "{{- '<|im_start|>' + message['role'] + '\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part.get('type', 'text') != 'text' -%}" + _REFUSED_PART + "text') -}}{%- endif -%}"
    "{{- part.get('text', '') -}}{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>' -}}"
    "{%- endgeneration -%}"
    "{{- '\n' -}}"
    "{%- else -%}"
    "{%- if message['content'] is string -%}{{- message['content'] -}}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{%- if part['type'] in ('image', 'image_url') -%}{{- '<image>\n' -}}"
    "{%- elif part['type'] == 'text' -%}{{- part['text'] -}}"
    "{%- else -%}" + _REFUSED_PART + "image, image_url or text') -}}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}"
    "{{- '<|im_end|>\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
"""Qwen's chat form with an image on a line of its own; the reply and the token that ends it are the generation."""

_NUMBER = r"\d+(?:\.\d+)?"
_BOX = re.compile(rf"\[\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\]")
_SIZE = re.compile(r"(Image resolution:\s*)(\d+)(\s*[x×]\s*)(\d+)", re.IGNORECASE)


def rescale_boxes(text: str, placement: Placement) -> str:
    """Return the prompt with its pixel boxes, and the image size it states, on the canvas that the model sees.

    Boxes are four numbers in square brackets, (x_min, y_min, x_max, y_max). They are pixels of the size that the text
    states as "Image resolution: W x H", or of the image where it states none; a stated size that differs from the
    image's is trusted for the boxes beside it. Numbers become whole pixels. Boxes whose values are all at most 1 are
    shares of the image's sides, not pixels, and stay as they are.
    """
    stated = _SIZE.search(text)
    width, height = (int(stated[2]), int(stated[4])) if stated else (placement.width, placement.height)
    stretch_x, stretch_y = placement.width / width, placement.height / height

    def rewritten(match: re.Match[str]) -> str:
        x_min, y_min, x_max, y_max = (float(value) for value in match.groups())
        if max(x_min, y_min, x_max, y_max) <= 1:
            return match[0]
        box = placement.box_to_canvas((x_min * stretch_x, y_min * stretch_y, x_max * stretch_x, y_max * stretch_y))
        return "[" + ", ".join(str(round(value)) for value in box) + "]"

    text = _BOX.sub(rewritten, text)
    return _SIZE.sub(rf"\g<1>{placement.canvas_width}\g<3>{placement.canvas_height}", text)


class GeoLlavaProcessor(ProcessorMixin):
    """An image processor and a tokenizer behind one call.

    Attributes:
        num_cell_tokens: visual tokens of a cell, `GeoLlavaConfig.num_cell_tokens`, as many as placeholders are written
            for; None writes one per image, and the model does the rest.
        image_token: the placeholder's text; the tokenizer must know it as one token.
        image_token_id: its id; `GeoLlavaConfig.image_token_id` must be the same.
    """

    def __init__(
        self,
        image_processor: Any = None,  # noqa: ANN401  transformers' own types
        tokenizer: Any = None,  # noqa: ANN401
        chat_template: str | None = None,
        num_cell_tokens: int | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        if num_cell_tokens is not None and (not isinstance(num_cell_tokens, int) or num_cell_tokens < 1):
            raise ValueError(f"num_cell_tokens is {num_cell_tokens!r}; expected a whole number, 1 or more, or None")
        self.num_cell_tokens = num_cell_tokens
        self.image_token = IMAGE_TOKEN
        ids = tokenizer.encode(IMAGE_TOKEN, add_special_tokens=False) if tokenizer is not None else []
        if len(ids) != 1:
            raise ValueError(
                f"the tokenizer makes {len(ids)} tokens of {IMAGE_TOKEN!r}; expected one: "
                f"tokenizer.add_special_tokens({{'additional_special_tokens': [{IMAGE_TOKEN!r}]}})"
            )
        self.image_token_id = ids[0]
        super().__init__(image_processor, tokenizer, chat_template=chat_template or CHAT_TEMPLATE, **kwargs)

    def __call__(
        self,
        images: Any = None,  # noqa: ANN401  one or a (nested) list
        text: str | Sequence[str] | None = None,
        *,
        rescale_boxes: bool = False,
        return_placements: bool = False,
        return_mm_token_type_ids: bool = False,
        return_text_replacement_offsets: bool = False,
        return_tensors: str | None = None,
        images_kwargs: dict[str, Any] | None = None,
        text_kwargs: dict[str, Any] | None = None,
        common_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  of both
    ) -> BatchFeature:
        """Return `input_ids` and `attention_mask`, and with images `pixel_values` and `image_grid_thw`.

        Args:
            images: PIL images, uint8 arrays or tensors, encoded bytes, paths or data URLs; a list, flat or nested per
                prompt, in the order of their placeholders.
            text: prompts with one `<image>` per image.
            rescale_boxes: rewrite pixel boxes in each prompt to the canvas of its first image.
            return_placements: add `image_placements`, a `Placement` an image (which the model does not take).
            return_mm_token_type_ids: add `mm_token_type_ids`, 1 for visual tokens and 0 for others.
            return_text_replacement_offsets: add `text_replacement_offsets`, where placeholders stood and stand now.
            return_tensors: "pt", or None for lists of token ids.
            images_kwargs: settings of the image processor for this call.
            text_kwargs: of the tokenizer, such as `padding` and `padding_side`.
            common_kwargs: of either, as `kwargs`.
            kwargs: of either; what neither knows is not used, with a warning.

        Raises:
            ValueError: neither text nor images, or another number of placeholders than images.
        """
        if text is None and images is None:
            raise ValueError("expected text, images or both")
        kwargs |= common_kwargs or {}
        of_images = self._image_settings(kwargs, images_kwargs)
        of_text = {"return_tensors": return_tensors} | self._text_settings(kwargs, text_kwargs)
        flat = [] if images is None else flatten_images(images)
        vision: dict[str, Any] = {}
        placements: list[Placement] = []
        if flat:
            vision = dict(self.image_processor(flat, return_placements=True, **of_images))
            placements = vision.pop("image_placements")
        tokens: dict[str, Any] = {}
        if text is not None:
            prompts = [text] if isinstance(text, str) else list(text)
            self._check_counts(prompts, images, len(flat))
            if rescale_boxes:
                prompts = self._with_rescaled_boxes(prompts, placements)
            written = [self.replace_image_token(vision, index) for index in range(len(flat))]
            prompts, offsets = self.get_text_with_replacements(prompts, images_replacements=written)
            tokens = dict(self.tokenizer(prompts, **of_text))
            self._check_tokens(tokens["input_ids"], [prompt.count(self.image_token) for prompt in prompts])
            if return_mm_token_type_ids:
                types = self.create_mm_token_type_ids(tokens["input_ids"])
                tokens["mm_token_type_ids"] = types if of_text["return_tensors"] is None else torch.tensor(types)
            if return_text_replacement_offsets:
                tokens["text_replacement_offsets"] = offsets
        if return_placements:
            vision["image_placements"] = placements
        return BatchFeature({**tokens, **vision})

    @property
    def model_input_names(self) -> list[str]:
        """Return what a call gives and the model takes."""
        return [*self.tokenizer.model_input_names, *self.image_processor.model_input_names]

    def replace_image_token(self, image_inputs: Any, image_idx: int, **kwargs: Any) -> str:  # noqa: ANN401, ARG002
        """Return the placeholders of one image: one per visual token, or one where their number is not known."""
        num_cells = int(image_inputs["image_grid_thw"][image_idx].prod())
        return str(self.image_token * (1 if self.num_cell_tokens is None else num_cells * self.num_cell_tokens))

    def _get_num_multimodal_tokens(
        self,
        image_sizes: Sequence[Sequence[int]] | None = None,
        images_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,  # noqa: ANN401  of a call
    ) -> MultiModalData:
        """Return the visual tokens and the cells of images of these sizes (height, width), as servers ask for them.

        The settings of the call, such as `max_cells`, are taken as a call takes them.
        """
        if image_sizes is None:
            return MultiModalData()
        if self.num_cell_tokens is None:
            raise ValueError(
                "the number of visual tokens depends on what an image shows (fill = 'drop'), and a server must know it "
                "before; load the model with fill = 'next' and give its config.num_cell_tokens to the processor"
            )
        settings = self._image_settings(kwargs, images_kwargs)
        grids = [self.image_processor.place(height, width, **settings)[0] for height, width in image_sizes]
        num_cells = [rows * columns for rows, columns in grids]
        return MultiModalData(
            num_image_tokens=[number * self.num_cell_tokens for number in num_cells], num_image_patches=num_cells
        )

    def _image_settings(self, flat: dict[str, Any], nested: dict[str, Any] | None) -> dict[str, Any]:
        """Return what of a call's settings is the image processor's: what is said to be, and what has its names."""
        named = {name: flat[name] for name in CALL_SETTINGS if name in flat}
        return named | {name: value for name, value in (nested or {}).items() if name != "return_tensors"}

    def _text_settings(self, flat: dict[str, Any], nested: dict[str, Any] | None) -> dict[str, Any]:
        """Return what of a call's settings is the tokenizer's."""
        elsewhere = {*CALL_SETTINGS, *_OF_OTHER_PROCESSORS}
        settings = {name: value for name, value in flat.items() if name not in elsewhere} | (nested or {})
        known = {*TextKwargs.__annotations__, *inspect.signature(self.tokenizer.__call__).parameters}
        if unknown := sorted(settings.keys() - known):
            logger.warning_once(f"not used by {type(self).__name__}: {', '.join(unknown)}")
        return settings

    def _check_counts(self, prompts: list[str], images: Any, num_images: int) -> None:  # noqa: ANN401
        if not prompts:
            raise ValueError("expected at least one prompt")
        if others := [prompt for prompt in prompts if not isinstance(prompt, str)]:
            raise ValueError(f"a prompt is of type {type(others[0]).__name__}; expected text, or a list of texts")
        counts = [prompt.count(self.image_token) for prompt in prompts]
        if sum(counts) != num_images:
            raise ValueError(
                f"the prompts hold {counts} {self.image_token} placeholders, {sum(counts)} together, and {num_images} "
                f"images were given; expected one placeholder per image, and no {self.image_token} in what is asked"
            )
        if not isinstance(images, list | tuple) or not all(isinstance(part, list | tuple) for part in images):
            return
        given = [len(flatten_images(part)) for part in images]
        # transformers' chat templates leave out the lists of prompts without images
        if [number for number in given if number] != [number for number in counts if number]:
            raise ValueError(
                f"the prompts hold {counts} {self.image_token} placeholders and their lists {given} images; expected a "
                "list per prompt, of as many images as it has placeholders"
            )

    def _check_tokens(self, input_ids: Any, written: list[int]) -> None:  # noqa: ANN401  lists or tensors
        rows = input_ids.tolist() if hasattr(input_ids, "tolist") else input_ids
        counts = [list(row).count(self.image_token_id) for row in rows]
        if counts != written:
            raise ValueError(
                f"the rows hold {counts} placeholder tokens after tokenising, and the prompts {written}; truncation "
                "cut images off"
            )

    def _with_rescaled_boxes(self, prompts: list[str], placements: list[Placement]) -> list[str]:
        rescaled, start = [], 0
        for prompt in prompts:
            count = prompt.count(self.image_token)
            rescaled.append(_rescale_boxes(prompt, placements[start]) if count else prompt)
            start += count
        return rescaled


_rescale_boxes = rescale_boxes  # the name of the argument hides the function
_OF_OTHER_PROCESSORS = frozenset({"videos", "audio", "do_sample_frames", "videos_kwargs", "audio_kwargs"})
"""Arguments that transformers' chat template code passes to every processor."""

GeoLlavaProcessor.register_for_auto_class(AutoProcessor)

__all__ = ["CHAT_TEMPLATE", "IMAGE_TOKEN", "GeoLlavaProcessor", "rescale_boxes"]
