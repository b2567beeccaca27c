"""Prompts about the same images → rows of token ids, with each image processed once.

A processor puts as many placeholders into a prompt as an image needs, which it knows only after it has processed the
image. It is asked for the first prompt; for every other one the text behind the images is tokenised alone and takes the
first one's place. That is done only where it gives what the processor would give: a row that cannot be shown to be the
same is made by the processor itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TokenRow = Mapping[str, Any]
"""Tensors of one prompt that are as long as its tokens, [L] int64: `input_ids`, `attention_mask` and the like."""


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """One prompt as the model takes it.

    Attributes:
        row: its tokens, placeholders included.
        vision: all other tensors of the processor, with the batch's dimension; shared by prompts about the same images.
        prefix_length: tokens up to and with the last placeholder; 0 without images.
    """

    row: TokenRow
    vision: Mapping[str, Any]
    prefix_length: int

    @property
    def num_tokens(self) -> int:
        """Tokens of the prompt as the processor made it."""
        return len(self.row["input_ids"])


def begin_alike(prompt: EncodedPrompt, other: EncodedPrompt) -> bool:
    """Return whether both have the same tokens up to and with the last placeholder, so that a cache may serve both."""
    length = prompt.prefix_length
    ids, other_ids = (one.row["input_ids"][:length].tolist() for one in (prompt, other))
    return length == other.prefix_length and ids == other_ids


class PromptEncoder:
    """Turns prompts about some images into token rows; see the module."""

    def __init__(
        self,
        processor: Any,  # noqa: ANN401
        images: Sequence[Any],
        image_token_id: int | None,
        *,
        system: str | None = None,
        template_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep what all prompts share.

        Args:
            processor: of the checkpoint.
            images: PIL images or (height, width, 3) arrays, in order; empty for a blind run.
            image_token_id: of the placeholder; None where the configuration names none.
            system: the system's turn; None for none.
            template_arguments: of the chat template.
        """
        self._processor = processor
        self._images = list(images)
        self._image_token_id = image_token_id
        self._system = [] if system is None else [{"role": "system", "content": [{"type": "text", "text": system}]}]
        self._template_arguments = dict(template_arguments or {})
        self._first: tuple[EncodedPrompt, list[int]] | None = None  # and its ids without expansion

    def encode(self, text: str) -> EncodedPrompt:
        """Return a prompt whose user's turn is `text`, behind the images.

        Raises:
            ValueError: the processor cannot take the text or the images.
        """
        rendered = self._render(text)
        if self._first is not None and (encoded := self._with_other_tail(rendered)) is not None:
            return encoded
        encoded = self._process(rendered)
        if self._first is None:
            self._first = encoded, self._tokenize(rendered)
        return encoded

    def unexpanded(self, text: str) -> list[int]:
        """Return the token ids of a prompt in which each image still has the one placeholder of the template."""
        return self._tokenize(self._render(text))

    def _render(self, text: str) -> str:
        content = [*({"type": "image"} for _ in self._images), {"type": "text", "text": text}]
        messages = [*self._system, {"role": "user", "content": content}]
        arguments = {"tokenize": False, "add_generation_prompt": True, **self._template_arguments}
        return str(self._processor.apply_chat_template(messages, **arguments))

    def _process(self, rendered: str) -> EncodedPrompt:
        images = {"images": self._images} if self._images else {}
        inputs = self._processor(
            text=[rendered], **images, return_tensors="pt", add_special_tokens=self._adds_special_tokens(rendered)
        )
        shape = inputs["input_ids"].shape
        row = {name: value[0] for name, value in inputs.items() if getattr(value, "shape", None) == shape}
        vision = {name: value for name, value in inputs.items() if name not in row}
        return EncodedPrompt(row, vision, self._prefix_length(row["input_ids"].tolist()))

    def _adds_special_tokens(self, rendered: str) -> bool:
        """Return whether the tokenizer should add its first token: not where the template has written it."""
        first = self._processor.tokenizer.bos_token
        return not (first and rendered.startswith(first))

    def _tokenize(self, rendered: str) -> list[int]:
        adds = self._adds_special_tokens(rendered)
        return list(self._processor.tokenizer(rendered, add_special_tokens=adds)["input_ids"])

    def _prefix_length(self, ids: Sequence[int]) -> int:
        """Return the tokens up to and with the last placeholder; 0 where nothing follows that could be asked for."""
        if not self._images or self._image_token_id not in ids[:-1] or ids[-1] == self._image_token_id:
            return 0
        return len(ids) - ids[::-1].index(self._image_token_id)

    def _with_other_tail(self, rendered: str) -> EncodedPrompt | None:
        """Return the first prompt with this one's tail, or None where that may differ from the processor's result."""
        assert self._first is not None
        first, first_ids = self._first
        ids = self._tokenize(rendered)
        shared = _shared_length(first_ids, ids)
        old_tail, tail = first_ids[shared:], ids[shared:]
        whole = first.row["input_ids"].tolist()
        head = len(whole) - len(old_tail)
        is_text = self._image_token_id not in tail
        if whole[head:] != old_tail or head < first.prefix_length or not is_text or not _is_plain(first):
            return None
        return EncodedPrompt(_replace_tail(first.row, head, tail), first.vision, first.prefix_length)


def _shared_length(ids: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens both begin with."""
    pairs = enumerate(zip(ids, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(ids), len(other)))


def _is_plain(prompt: EncodedPrompt) -> bool:
    """Return whether each value beside the ids is one and the same for all tokens behind the images."""
    tails = (value[prompt.prefix_length :] for name, value in prompt.row.items() if name != "input_ids")
    return all(bool((tail == tail[-1]).all()) for tail in tails)


def _replace_tail(row: TokenRow, head: int, tail: Sequence[int]) -> TokenRow:
    """Return the row with other ids from `head` on, and the last value of everything else."""
    import torch

    replaced = {name: torch.cat([value[:head], value[-1:].expand(len(tail))]) for name, value in row.items()}
    ids = row["input_ids"]
    return {**replaced, "input_ids": torch.cat([ids[:head], ids.new_tensor(list(tail))])}
