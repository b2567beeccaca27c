"""Greedy replies to encoded prompts: whole prompts in a batch, or tails behind a cached prefix.

The cache of what the prompts of an image share (images and all before them) is filled once and copied for each batch.
Between prefix and tail stands the padding of shorter tails, masked out; positions are counted over the mask, so they do
not depend on it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsvqa.benchmark.adapters.checkpoints import input_device
from rsvqa.benchmark.adapters.prompt_rows import EncodedPrompt, TokenRow


@dataclass(frozen=True, slots=True)
class Generated:
    """The new tokens of one prompt.

    Attributes:
        ids: up to and with the token that ends the reply.
        ended: whether there is such a token.
    """

    ids: tuple[int, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Prefix:
    """The cached beginning of prompts about the same images.

    Attributes:
        ids: [P] int64, as many as the cache holds; placeholders that the model itself expands are repeated.
        cache: of transformers, for one prompt.
        cache_name: what the installed transformers calls it, in arguments and outputs.
    """

    ids: Any
    cache: Any
    cache_name: str

    @property
    def num_tokens(self) -> int:
        """Tokens in the cache."""
        return len(self.ids)


class Generator:
    """A loaded model that writes greedily."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401  transformers' types
        """Take a model in evaluation mode; sampling is switched off in its generation settings."""
        self._model = model
        settings = copy.deepcopy(model.generation_config)
        settings.do_sample, settings.num_beams = False, 1
        settings.temperature = settings.top_p = settings.top_k = settings.max_length = None
        ends = settings.eos_token_id
        self._ends = frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])
        if settings.pad_token_id is None:
            settings.pad_token_id = min(self._ends, default=0)  # masked wherever it stands
        model.generation_config = settings

    def fill_prefix(self, prompt: EncodedPrompt) -> Prefix:
        """Return the cache of a prompt up to and with its last placeholder; the images go through the tower here."""
        import torch

        row = {name: value[: prompt.prefix_length] for name, value in prompt.row.items()}
        output = self._generate(_padded([row]), prompt.vision, max_new_tokens=1, return_dict_in_generate=True)
        name = "cache" if "cache" in output else "past_key_values"  # before transformers 5.24
        cache, ids = output[name], row["input_ids"]
        more = cache.get_seq_length() - len(ids)
        if more < 0:
            raise ValueError(
                f"the cache holds {cache.get_seq_length()} tokens of {len(ids)}: it forgets, as windows do"
            )
        return Prefix(torch.cat([ids, ids[-1:].expand(more)]), cache, name)

    def reply_to_tails(
        self, prefix: Prefix, prompts: Sequence[EncodedPrompt], *, max_new_tokens: int
    ) -> list[Generated]:
        """Return one reply per prompt; all begin with the prefix."""
        import torch

        tails = [{name: prompt.row[name][prompt.prefix_length :] for name in _PLAIN} for prompt in prompts]
        batch = _padded(tails)
        head = prefix.ids.expand(len(prompts), -1)
        batch["input_ids"] = torch.cat([head, batch["input_ids"]], dim=1)
        batch["attention_mask"] = torch.cat([torch.ones_like(head), batch["attention_mask"]], dim=1)
        cache = copy.deepcopy(prefix.cache)
        if len(prompts) > 1:
            cache.batch_repeat_interleave(len(prompts))
        sequences = self._generate(batch, {prefix.cache_name: cache}, max_new_tokens=max_new_tokens)
        return self._split(sequences[:, batch["input_ids"].shape[1] :])

    def reply_to_whole(self, prompts: Sequence[EncodedPrompt], *, max_new_tokens: int) -> list[Generated]:
        """Return one reply per prompt; the images, which all share, are encoded once for each."""
        batch = _padded([prompt.row for prompt in prompts])
        vision = {name: _repeated(value, len(prompts)) for name, value in prompts[0].vision.items()}
        sequences = self._generate(batch, vision, max_new_tokens=max_new_tokens)
        return self._split(sequences[:, batch["input_ids"].shape[1] :])

    def _generate(self, batch: Mapping[str, Any], more: Mapping[str, Any], **settings: Any) -> Any:  # noqa: ANN401
        import torch

        inputs = {name: self._moved(value) for name, value in {**batch, **more}.items()}
        with torch.inference_mode():
            return self._model.generate(**inputs, **settings)

    def _moved(self, value: Any) -> Any:  # noqa: ANN401
        """Return a tensor on the model's device, real numbers in its type; anything else as it is."""
        import torch

        if not isinstance(value, torch.Tensor):
            return value
        return value.to(input_device(self._model), self._model.dtype if value.is_floating_point() else None)

    def _split(self, sequences: Any) -> list[Generated]:  # noqa: ANN401
        return [self._cut(ids) for ids in sequences.tolist()]

    def _cut(self, ids: list[int]) -> Generated:
        """Return the ids up to the end; what follows in a batch is padding."""
        length = next((place + 1 for place, token in enumerate(ids) if token in self._ends), None)
        return Generated(tuple(ids[:length]), ended=length is not None)


_PLAIN = ("input_ids", "attention_mask")
"""All that tails need: types of tokens say which are images, and a tail has none."""


def _padded(rows: Sequence[TokenRow]) -> dict[str, Any]:
    """Return rows of tensors [L] as a batch [B, L], padded on the left with zeros, which the mask covers."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)

    def pad(value: Any) -> Any:  # noqa: ANN401
        return torch.cat([value.new_zeros(longest - len(value)), value])

    return {name: torch.stack([pad(row[name]) for row in rows]) for name in rows[0]}


def _repeated(value: Any, times: int) -> Any:  # noqa: ANN401
    """Return a tensor or list of all images of one prompt, that of `times` prompts about the same images."""
    import torch

    if isinstance(value, torch.Tensor):
        return torch.cat([value] * times)
    return value * times
