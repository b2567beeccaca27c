"""GeoLLaVA: a tower that sees an image cell by cell, pruning of its tokens, a projector and a language model.

A prompt holds a placeholder token per visual token, as the processor writes it, and the model is like any other. Where
the number depends on what an image shows (`fill = "drop"`), ONE placeholder stands for an image, and the model itself
puts the visual tokens in its place and rebuilds mask, positions and labels (`prompt_expansion`). `forward` then returns
logits of the expanded length, with the expanded labels beside them; `generate` expands once, runs on the expanded
prompt and gives back the caller's own prompt followed by the new tokens.

What surprises: the tower ends at the layer whose features are used. The layers behind it would cost memory and time and
never get a gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, NoReturn, cast

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.activations import ACT2FN
from transformers.cache_utils import Cache
from transformers.generation import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast, ModelOutput
from transformers.modeling_utils import PreTrainedModel
from transformers.quantizers import AutoQuantizationConfig
from transformers.utils import can_return_tuple

from .configuration_geollava import GeoLlavaConfig
from .prompt_expansion import IGNORED_LABEL, ExpandedPrompt, find_placeholders, pad_left, padding_side, place_tokens
from .token_pruning import (
    KeptTokens,
    block_centres,
    block_roots,
    cluster_means,
    cluster_sizes,
    cosine_pointers,
    fill_cells,
    follow_pointers,
    join_kept,
    keep_best,
    keep_best_per_cell,
    keep_shared,
    learned_pointers,
    random_scores,
    select_tokens,
    singletons,
)
from .vision_tower import ProjectionName, count_missing_passes, cut_tower, run_tower, tower_layers

CACHE_NAMES = ("cache", "past_key_values")
CACHE_NAME = next(field.name for field in fields(BaseModelOutputWithPast) if field.name in CACHE_NAMES)
"""What the installed transformers calls the cache, in arguments and in outputs: `past_key_values` before 5.24.

The outputs inherit the field, so that it has this name; arguments are taken under both names.
"""

_MOST_NORMALISED = 16.0
"""Beyond what any usual mean and spread make of a pixel; white becomes 2.1 by CLIP's."""

_LEFT_WHOLE = ("vision_tower", "multi_modal_projector", "affinity_head", "lm_head")
"""What quantisation leaves as it is: pruning and letters are chosen by small differences, and these are 6 % of the
weights."""
_SKIPS = ("llm_int8_skip_modules", "modules_to_not_convert", "skip_modules")
"""What the configurations of bitsandbytes, of torchao and most others, and of HQQ call what they leave as it is."""

_BLIND_WAYS = {
    "assistant_model": "the assistant would not see them; prompt_lookup_num_tokens needs none",
    "assistant_early_exit": "the layers that guess would not see them; prompt_lookup_num_tokens needs none",
    "prefill_chunk_size": "transformers cuts token ids, and images stand in embeddings; leave it out",
}
"""Ways of generating that transformers offers, and why they are refused where there are images."""

_AUTO_MAP = {
    "AutoModel": "modeling_geollava.GeoLlavaModel",
    "AutoModelForCausalLM": "modeling_geollava.GeoLlavaForConditionalGeneration",  # what older programs ask by
    "AutoModelForImageTextToText": "modeling_geollava.GeoLlavaForConditionalGeneration",
    "AutoModelForMultimodalLM": "modeling_geollava.GeoLlavaForConditionalGeneration",
}


def cache_argument(cache: Cache | None, past_key_values: Cache | None) -> dict[str, Cache]:
    """Return the cache that was given, if any, under the name that the installed transformers takes it by.

    Raises:
        ValueError: both are given.
    """
    if cache is not None and past_key_values is not None:
        raise ValueError("cache and past_key_values are two names of the same argument; give one of them")
    given = past_key_values if cache is None else cache
    return {} if given is None else {CACHE_NAME: given}


class SharedBudgets(NamedTuple):
    """Visual tokens that the cells of an image have together."""

    groups: Tensor
    """[C] int64, the image of each cell."""
    budgets: Tensor
    """[I] int64, of the images."""


@dataclass(kw_only=True)
class GeoLlavaImageFeatures(ModelOutput):
    """Visual tokens of some images; each field has one entry per image.

    Attributes:
        pooler_output: [K, D_text], after the projector, cell after cell in token order; the name that transformers and
            servers look for.
        cells: [K] int64, the cell of each token, row by row through the image's grid; None with
            `tokens_per_cell="all"`, where it follows from the place.
        positions: [K] int64, index of the token in its cell; None in the same case.
        scores: [K] float32, what the token was ranked by, among clusters or, where it is no cluster's root, among
            single tokens; None in the same case.
        roots: [C, N] int64, the root of the cluster of every token of the image's cells; None in the same case.
    """

    pooler_output: tuple[Tensor, ...] | None = None
    cells: tuple[Tensor, ...] | None = None
    positions: tuple[Tensor, ...] | None = None
    scores: tuple[Tensor, ...] | None = None
    roots: tuple[Tensor, ...] | None = None


@dataclass(kw_only=True)
class GeoLlavaModelOutputWithPast(BaseModelOutputWithPast):
    """Hidden states of the language model over the expanded prompt.

    Attributes:
        last_hidden_state: [B, L', D_text].
        cache: filled with L' tokens; `past_key_values` before transformers 5.24.
        hidden_states: of every layer, when asked for.
        attentions: of every layer, when asked for.
        image_hidden_states: [K, D_text] an image.
        attention_mask: [B, L'], of the expanded prompt.
        labels: [B, L'], the labels given, expanded.
    """

    image_hidden_states: tuple[Tensor, ...] | None = None
    attention_mask: Tensor | None = None
    labels: Tensor | None = None


@dataclass(kw_only=True)
class GeoLlavaCausalLMOutputWithPast(CausalLMOutputWithPast):
    """Loss and logits over the expanded prompt.

    Attributes:
        loss: mean over the labelled tokens.
        logits: [B, L', V], or the last of them as `logits_to_keep` says.
        cache: filled with L' tokens; `past_key_values` before transformers 5.24.
        hidden_states: of every layer, when asked for.
        attentions: of every layer, when asked for.
        image_hidden_states: [K, D_text] an image.
        attention_mask: [B, L'], of the expanded prompt.
        labels: as many as `logits`, the labels given, expanded or cut.
    """

    image_hidden_states: tuple[Tensor, ...] | None = None
    attention_mask: Tensor | None = None
    labels: Tensor | None = None


class GeoLlavaMultiModalProjector(nn.Module):
    """Two linear layers from the tower's width to the language model's; the released `mlp2x_gelu`."""

    def __init__(self, config: GeoLlavaConfig) -> None:
        super().__init__()
        width = config.text_config.hidden_size
        self.linear_1 = nn.Linear(config.vision_config.hidden_size, width)
        self.act = ACT2FN[config.projector_hidden_act]
        self.linear_2 = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """Return [K, D_text] for [K, D_vision]."""
        projected: Tensor = self.linear_2(self.act(self.linear_1(features)))
        return projected


class GeoLlavaAffinityHead(nn.Module):
    """The released affinity head: for each token, which of its nine neighbours it follows.

    What it gives is an index, so no gradient reaches it: it stays as it was drawn or loaded.
    """

    def __init__(self, config: GeoLlavaConfig) -> None:
        super().__init__()
        width = config.vision_config.hidden_size
        self.depthwise = nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, 9, kernel_size=1)
        self.requires_grad_(requires_grad=False)

    @torch.no_grad()
    def forward(self, tokens: Tensor) -> Tensor:
        """Return the pointers [C, N] of tokens [C, H, W, D]."""
        return learned_pointers(tokens, lambda planes: self.pointwise(self.depthwise(planes)))


class GeoLlavaPreTrainedModel(PreTrainedModel):
    """What the two models share with transformers."""

    config: GeoLlavaConfig
    config_class = GeoLlavaConfig
    base_model_prefix = "model"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _skip_keys_device_placement = CACHE_NAMES
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @classmethod
    def from_pretrained(cls, *args: Any, quantization_config: Any = None, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return the model with its weights; see `PreTrainedModel.from_pretrained`.

        Quantised weights are those of the language model's layers, whoever asks for them: the tokens that are kept stay
        the same.
        """
        if isinstance(quantization_config, dict):
            quantization_config = AutoQuantizationConfig.from_dict(quantization_config)
        if skips := next((name for name in _SKIPS if hasattr(quantization_config, name)), None):
            quantization_config = copy.copy(quantization_config)
            chosen = getattr(quantization_config, skips) or ()
            names = (*_LEFT_WHOLE, *(f"{cls.base_model_prefix}.{name}" for name in _LEFT_WHOLE))
            setattr(quantization_config, skips, [*dict.fromkeys((*chosen, *names))])
        if quantization_config is not None:
            kwargs["quantization_config"] = quantization_config
        loaded = super().from_pretrained(*args, **kwargs)
        _keep_packing(loaded[0] if isinstance(loaded, tuple) else loaded)
        return loaded

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Save the model with its code, to be found by every Auto class that programs ask for models by."""
        self.config.auto_map = {**(getattr(self.config, "auto_map", None) or {}), **_AUTO_MAP}
        super().save_pretrained(save_directory, *args, **kwargs)


class GeoLlavaModel(GeoLlavaPreTrainedModel):
    """Tower, pruning, projector and language model, without a head."""

    def __init__(self, config: GeoLlavaConfig) -> None:
        super().__init__(config)
        self.vision_tower = AutoModel.from_config(config.vision_config)
        cut_tower(self.vision_tower, config.vision_feature_layer)
        if config.affinity == "learned":
            self.affinity_head = GeoLlavaAffinityHead(config)
        self.multi_modal_projector = GeoLlavaMultiModalProjector(config)
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of token embeddings."""
        embeddings: nn.Module = self.language_model.get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of token embeddings."""
        self.language_model.set_input_embeddings(value)

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        **kwargs: Any,  # noqa: ANN401, ARG002
    ) -> GeoLlavaImageFeatures:
        """Return the visual tokens of each image.

        Args:
            pixel_values: [C, 3, S, S] cells of all images, image after image, each row by row: uint8, which are
                normalised here, or floats that are normalised already.
            image_grid_thw: [I, 3] int64, cells of each image as (1, rows, columns).
            kwargs: not used; servers pass what they pass to every model.

        Raises:
            ValueError: there is no cell, the grids ask for another number of cells than there are, or pixels are
                neither.
        """
        _check_pixels(pixel_values)
        if image_grid_thw.ndim != 2 or image_grid_thw.shape[1] != 3:
            raise ValueError(
                f"image_grid_thw has the shape {list(image_grid_thw.shape)}; expected [images, 3], (1, rows, columns)"
            )
        cells_of_image = image_grid_thw.prod(1).tolist()  # the one value that is waited for: shapes follow from it
        if min(cells_of_image, default=0) < 1:
            raise ValueError(
                f"image_grid_thw {image_grid_thw.tolist()} holds an image without cells, or no image; expected "
                "(1, rows, columns) per image, or neither pixel_values nor image_grid_thw where there is none"
            )
        if sum(cells_of_image) != len(pixel_values):
            raise ValueError(
                f"image_grid_thw {image_grid_thw.tolist()} ask for {sum(cells_of_image)} cells, pixel_values "
                f"hold {len(pixel_values)}; give both as the processor returned them"
            )
        if self.config.tokens_per_cell == "all":
            tokens = torch.cat([features[:, 1:] for features, _ in self._tower_chunks(pixel_values)])  # [C, N, D]
            projected = self.multi_modal_projector(tokens.flatten(0, 1))
            return GeoLlavaImageFeatures(pooler_output=projected.split(self._token_counts(cells_of_image)))
        return self._pruned_features(pixel_values, cells_of_image)

    def get_cell_features(self, pixel_values: Tensor) -> Tensor:
        """Return the visual tokens of each cell, [C, R, D_text], for compilers and for `torch.export`.

        The tokens are those of `get_image_features`. No shape and no branch depends on a value here, so this becomes
        one graph for any number of cells.

        Args:
            pixel_values: [C, 3, S, S], see `get_image_features`; all of them go through the tower at once.

        Raises:
            ValueError: the pruning gives cells different numbers of tokens, or goes by a cell's place in its image.
        """
        config = self.config
        is_pruned = config.tokens_per_cell != "all"
        if is_pruned and (config.num_cell_tokens is None or config.scope == "image" or config.pruning == "random"):
            raise ValueError(
                f"scope = {config.scope!r}, fill = {config.fill!r} and pruning = {config.pruning!r} do not give each "
                "cell its own tokens, always as many; expected scope 'cell', fill 'next' or 'zeros', and not 'random'"
            )
        features, attention = run_tower(
            self.vision_tower, self._normalised(pixel_values), projection=self._scoring_projection()
        )
        tokens = features[:, 1:]
        if is_pruned:
            numbers = torch.arange(tokens.shape[0], device=tokens.device)
            kept, _ = self._select(tokens, attention, numbers, None)
            tokens = kept.features.unflatten(0, (tokens.shape[0], config.num_cell_tokens))
        projected: Tensor = self.multi_modal_projector(tokens)
        return projected

    def compile_tower(self, **options: Any) -> None:  # noqa: ANN401  of torch.compile
        """Compile the tower's layers in place, which fuses what stands between their matrix products.

        The first image waits for the compiler, others take less time. bf16 rounds otherwise then, so some tokens change
        places. The last layer is left as it is: what [CLS] attends to is measured at its output.

        Args:
            options: of `torch.compile`.
        """
        for layer in tower_layers(self.vision_tower)[:-1]:
            layer.compile(**options)

    def merge_inputs(
        self,
        input_ids: Tensor,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        padding_side: str = "right",
    ) -> tuple[ExpandedPrompt, Tensor, GeoLlavaImageFeatures]:
        """Return the expanded prompt, its embeddings [B, L', D_text] and the visual tokens that stand in them."""
        images = self.get_image_features(pixel_values, image_grid_thw, return_dict=True)
        features = cast(tuple[Tensor, ...], images.pooler_output)
        prompt = place_tokens(
            input_ids,
            torch.tensor([len(tokens) for tokens in features], device=input_ids.device),
            image_token_id=self.config.image_token_id,
            attention_mask=attention_mask,
            position_ids=position_ids,
            labels=labels,
            padding_side=padding_side,
        )
        is_visual = find_placeholders(
            prompt.input_ids, prompt.attention_mask, image_token_id=self.config.image_token_id
        )
        # The placeholder's id may lie outside the table, so it is never looked up.
        embeddings = self.get_input_embeddings()(prompt.input_ids.masked_fill(is_visual, 0))
        embeddings = embeddings.masked_scatter(is_visual[..., None], torch.cat(features).to(embeddings))
        return prompt, embeddings, images

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        cache: Cache | None = None,
        **kwargs: Any,  # noqa: ANN401  transformers' own arguments
    ) -> GeoLlavaModelOutputWithPast:
        """Return hidden states of the prompt, expanded when there are images.

        Args:
            input_ids: [B, L] int64 with a placeholder per visual token, or one per image.
            pixel_values: [C, 3, S, S] uint8 or normalised; see `get_image_features`.
            image_grid_thw: [I, 3] int64.
            attention_mask: [B, L], and for a cache that holds expanded prompts of their length; 1 for tokens. Or what
                each token sees, [B, 1, L, L], in the form that the language model's attention takes.
            position_ids: [B, L]; not where one placeholder stands for an image, whose positions follow from it.
            past_key_values: a cache to go on from, by its name before transformers 5.24.
            inputs_embeds: [B, L, D_text] instead of `input_ids`.
            labels: [B, L] int64, returned expanded.
            use_cache: return a cache.
            cache: a cache to go on from.
            kwargs: passed to the language model; with `return_dict=False` the fields come as a tuple.

        Raises:
            ValueError: inputs that contradict each other.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("expected either input_ids or inputs_embeds; the other is None")
        filled = cache_argument(cache, past_key_values)
        images = GeoLlavaImageFeatures()
        if pixel_values is not None:
            if input_ids is None or image_grid_thw is None:
                raise ValueError("pixel_values need input_ids and image_grid_thw")
            prompt, inputs_embeds, images = self.merge_inputs(
                input_ids,
                pixel_values,
                image_grid_thw,
                attention_mask=attention_mask,
                position_ids=position_ids,
                labels=labels,
                padding_side=padding_side(attention_mask),
            )
            attention_mask, position_ids, labels = prompt.attention_mask, prompt.position_ids, prompt.labels
        elif input_ids is not None:
            if not filled:
                self.refuse_placeholders(input_ids)
            inputs_embeds = self.get_input_embeddings()(input_ids)
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            return_dict=True,
            **filled,
            **kwargs,
        )
        return GeoLlavaModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=images.pooler_output,
            attention_mask=attention_mask,
            labels=labels,
            **{CACHE_NAME: getattr(outputs, CACHE_NAME)},
        )

    def _tower_chunks(self, pixel_values: Tensor) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield features with [CLS], [c, 1 + N, D], of a few cells at a time, and what [CLS] attends to, [c, N]."""
        tower, projection = self.vision_tower, self._scoring_projection()
        chunks = pixel_values.split(self.config.vision_chunk)
        # passes for the sake of the other ranks: they add nothing, but take part in the backward pass
        num_missing = count_missing_passes(tower, len(chunks), pixel_values.device)
        lone = self._normalised(chunks[0][:1])
        spare = [run_tower(tower, lone, projection=None)[0][0, 0, 0] * 0 for _ in range(num_missing)]
        for chunk in chunks:
            features, attention = run_tower(tower, self._normalised(chunk), projection=projection)
            while spare:
                features = features + spare.pop()
            yield features, attention

    def _normalised(self, cells: Tensor) -> Tensor:
        """Return cells [c, 3, S, S] in the tower's dtype, normalised in float32 where they are uint8."""
        if cells.dtype == torch.uint8:
            mean, std = (
                torch.tensor(values, device=cells.device)[:, None, None]
                for values in (self.config.image_mean, self.config.image_std)
            )
            cells = cells.float().div_(255).sub_(mean).div_(std)
        return cells.to(self.vision_tower.dtype)

    def _scoring_projection(self) -> ProjectionName | None:
        """Return what tokens are compared by with [CLS]; None where the pruning does not ask."""
        if self.config.tokens_per_cell == "all" or self.config.pruning not in ("anchored", "anchors_only"):
            return None
        return "v_proj" if self.config.anchor_projection == "value" else "k_proj"

    def _token_counts(self, cells_of_image: list[int]) -> list[int]:
        """Return how many visual tokens images of so many cells have where that is known."""
        return [number * cast(int, self.config.num_cell_tokens) for number in cells_of_image]

    def _pruned_features(self, pixel_values: Tensor, cells_of_image: list[int]) -> GeoLlavaImageFeatures:
        """Return what is kept of each image."""
        config, budget = self.config, int(self.config.tokens_per_cell)
        device = pixel_values.device
        numbers = torch.cat([torch.arange(number, device=device) for number in cells_of_image])  # of cells in images
        image_of_cell = torch.cat(
            [torch.full((number,), image, device=device) for image, number in enumerate(cells_of_image)]
        )
        shared = None
        if config.scope == "image":
            shared = SharedBudgets(image_of_cell, budget * torch.tensor(cells_of_image, device=device))

        parts, roots, start = [], [], 0
        for features, attention in self._tower_chunks(pixel_values):
            stop = start + len(features)
            part = shared and SharedBudgets(shared.groups[start:stop], shared.budgets)
            kept, chunk = self._select(features[:, 1:], attention, numbers[start:stop], part)
            parts.append(kept._replace(cells=kept.cells + start))
            roots.append(chunk)
            start = stop
        kept = join_kept(parts)
        if shared:
            kept = keep_shared(kept, *shared, fills=config.fill != "drop")
        if config.num_cell_tokens is None:
            counts = torch.bincount(image_of_cell[kept.cells], minlength=len(cells_of_image)).tolist()
        else:
            counts = self._token_counts(cells_of_image)
        return GeoLlavaImageFeatures(
            pooler_output=self.multi_modal_projector(kept.features).split(counts),
            cells=numbers[kept.cells].split(counts),
            positions=kept.positions.split(counts),
            scores=kept.spare.where(kept.scores == -torch.inf, kept.scores).split(counts),
            roots=torch.cat(roots).split(cells_of_image),
        )

    def _select(
        self, tokens: Tensor, attention: Tensor | None, numbers: Tensor, shared: SharedBudgets | None
    ) -> tuple[KeptTokens, Tensor]:
        """Return what is kept of a chunk of cells, and the roots of its clusters [c, N].

        Args:
            tokens: [c, N, D] features.
            attention: [c, N], how much [CLS] attends to each; None where the pruning does not ask.
            numbers: [c] int64, of the cells in their images.
            shared: budgets that cells have together; None where each cell has its own.
        """
        with torch.no_grad():
            roots, scores, spare = self._rank(tokens.detach(), attention, numbers)
            kept = self._choose(scores, spare, shared)
        spare_used = spare if self.config.fill == "next" else None
        return select_tokens(tokens, roots, scores, kept, spare=spare_used), roots

    def _choose(self, scores: Tensor, spare: Tensor, shared: SharedBudgets | None) -> Tensor:
        """Return the indices of the kept tokens of a chunk in all its cells, [K]; `scores` and `spare` [c, N]."""
        budget, fill = int(self.config.tokens_per_cell), self.config.fill
        if shared is None:
            if fill == "zeros":
                return fill_cells(scores, budget)
            if fill == "next":
                return keep_best_per_cell(scores, budget, spare=spare)
            groups = torch.arange(len(scores), device=scores.device)
            shared = SharedBudgets(groups, torch.full_like(groups, budget))
        spares = {"next": spare.flatten(), "zeros": torch.zeros_like(scores).flatten(), "drop": None}
        groups = shared.groups.repeat_interleave(scores.shape[1])
        return keep_best(scores.flatten(), groups, shared.budgets, spare=spares[fill])

    def _rank(self, tokens: Tensor, attention: Tensor | None, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the roots of the clusters, their scores at the roots, and the scores of single tokens; all [c, N]."""
        config = self.config
        num_cells, num_tokens, _ = tokens.shape
        side = config.vision_config.image_size // config.vision_config.patch_size
        alone = singletons(num_cells, num_tokens, tokens.device)
        if config.pruning == "random":
            cell_numbers = numbers.tolist()
            scores = random_scores(cell_numbers, num_tokens, seed=config.pruning_seed, device=tokens.device)
            return alone, scores, scores
        if config.pruning == "uniform":
            centres = block_centres(side, side, int(config.tokens_per_cell), tokens.device).expand(num_cells, -1)
            return alone, centres, torch.zeros_like(centres)
        if config.pruning == "pool":
            blocks = block_roots(side, side, int(config.tokens_per_cell), tokens.device).expand(num_cells, -1)
            scores = torch.where(blocks == alone, 0.0, -torch.inf)
            return blocks, scores, torch.zeros_like(scores)
        if config.pruning == "anchors_only":
            return alone, cast(Tensor, attention), cast(Tensor, attention)
        pointers = self._pointers(tokens.unflatten(1, (side, side)))
        roots = follow_pointers(pointers)
        if config.pruning == "clusters_only":
            sizes = cluster_sizes(roots)
            return roots, torch.where(sizes > 0, sizes, -torch.inf), sizes.gather(1, roots)
        return roots, cluster_means(cast(Tensor, attention), roots), cast(Tensor, attention)

    def _pointers(self, tokens: Tensor) -> Tensor:
        if self.config.affinity == "cosine":
            return cosine_pointers(tokens)
        if not hasattr(self, "affinity_head"):
            raise ValueError(
                "affinity is 'learned' but this model was built without the head; set it in the config before "
                "the model is built or loaded"
            )
        pointers: Tensor = self.affinity_head(tokens)
        return pointers

    def refuse_placeholders(self, input_ids: Tensor) -> None:
        """Refuse prompts that speak of images where none are given.

        Raises:
            ValueError: there is a placeholder.
        """
        if torch.compiler.is_compiling():  # a value, which no graph may depend on
            return
        num_placeholders = int((input_ids == self.config.image_token_id).sum())
        if num_placeholders:
            raise ValueError(
                f"the prompts hold {num_placeholders} placeholder tokens and there are 0 images; "
                "give pixel_values and image_grid_thw"
            )


class GeoLlavaForConditionalGeneration(GeoLlavaPreTrainedModel, GenerationMixin):
    """`GeoLlavaModel` with a language modelling head."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.language_model.embed_tokens.weight"}

    def __init__(self, config: GeoLlavaConfig) -> None:
        super().__init__(config)
        self.model = GeoLlavaModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the table of token embeddings."""
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the table of token embeddings."""
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """Return the head."""
        return self.lm_head

    def get_image_features(
        self,
        pixel_values: Tensor,
        image_grid_thw: Tensor,
        **kwargs: Any,  # noqa: ANN401
    ) -> GeoLlavaImageFeatures:
        """Return the visual tokens of each image; see `GeoLlavaModel.get_image_features`."""
        images: GeoLlavaImageFeatures = self.model.get_image_features(pixel_values, image_grid_thw, **kwargs)
        return images

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        cache: Cache | None = None,
        **kwargs: Any,  # noqa: ANN401  transformers' own arguments
    ) -> GeoLlavaCausalLMOutputWithPast:
        """Return logits over the expanded prompt, and the loss when there are labels.

        Args:
            input_ids: see `GeoLlavaModel.forward`, also for the others.
            pixel_values: the cells.
            image_grid_thw: the grids.
            attention_mask: 1 for tokens, or what each sees.
            position_ids: see there.
            past_key_values: a cache to go on from, by its name before transformers 5.24.
            inputs_embeds: instead of `input_ids`.
            labels: int64, one per logit, [B, L] where all are kept; −100 carries no loss. A logit's loss is that of the
                label behind it.
            use_cache: return a cache.
            logits_to_keep: compute this many of the last logits, or those at these indices; 0 means all.
            cache: a cache to go on from.
            kwargs: passed to the language model, and `num_items_in_batch` to the loss, without its visual tokens.

        Raises:
            ValueError: inputs that contradict each other, such as more labels than logits.
        """
        given = input_ids if input_ids is not None else inputs_embeds
        # trainers of others cut labels to the logits that they ask for
        are_cut = labels is not None and given is not None and labels.shape[1] != given.shape[1]
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            image_grid_thw=image_grid_thw,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=None if are_cut else labels,
            use_cache=use_cache,
            cache=cache,
            return_dict=True,
            **{name: value for name, value in kwargs.items() if name != "num_items_in_batch"},
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss, kept_labels = None, outputs.labels
        if are_cut:
            kept_labels = cast(Tensor, labels)
            kept_labels = kept_labels.masked_fill(kept_labels == self.config.image_token_id, IGNORED_LABEL)
        if kept_labels is not None:
            has_grown = are_cut and outputs.last_hidden_state.shape[1] != cast(Tensor, given).shape[1]
            if has_grown or kept_labels.shape[1] != logits.shape[1]:
                raise ValueError(
                    f"there are {kept_labels.shape[1]} labels per prompt and {logits.shape[1]} logits; expected as "
                    "many as input_ids, or as the logits that are kept of a prompt with a placeholder per visual token"
                )
            loss = self.loss_function(
                logits=logits,
                labels=kept_labels,
                vocab_size=self.config.text_config.vocab_size,
                num_items_in_batch=_num_with_loss(kwargs.get("num_items_in_batch"), cast(Tensor, labels), kept_labels),
            )
        return GeoLlavaCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            attention_mask=outputs.attention_mask,
            labels=kept_labels,
            **{CACHE_NAME: getattr(outputs, CACHE_NAME)},
        )

    @torch.no_grad()
    def generate(
        self,
        inputs: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
        *args: Any,  # noqa: ANN401
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401  transformers' own type
        """Return the given prompts followed by new tokens; see `GenerationMixin.generate` for all else.

        The images go through the tower once; the cache and the masks count visual tokens, the returned prompt does not.
        `max_length` counts them too: prefer `max_new_tokens`. Prompts may be padded on either side.

        Raises:
            ValueError: placeholders without images, or ways of generating that would not see the images.
        """
        kwargs |= cache_argument(kwargs.pop("cache", None), kwargs.pop("past_key_values", None))
        kwargs.pop("mm_token_type_ids", None)  # it says what the ids say
        input_ids = inputs if inputs is not None else kwargs.get("input_ids")
        if pixel_values is None:
            if input_ids is not None and "inputs_embeds" not in kwargs and CACHE_NAME not in kwargs:
                self.model.refuse_placeholders(input_ids)
            return super().generate(inputs, generation_config, *args, **kwargs)
        if input_ids is None or image_grid_thw is None:
            raise ValueError("pixel_values need input_ids and image_grid_thw")
        for name in _BLIND_WAYS:
            if kwargs.get(name) or getattr(generation_config or self.generation_config, name, None):
                raise ValueError(f"{name} does not go with images: {_BLIND_WAYS[name]}")
        kwargs.pop("input_ids", None)
        padded_ids, attention_mask = pad_left(input_ids, kwargs.pop("attention_mask", None))
        prompt, embeddings, _ = self.model.merge_inputs(
            padded_ids, pixel_values, image_grid_thw, attention_mask=attention_mask, padding_side="left"
        )
        kwargs |= {"inputs_embeds": embeddings, "attention_mask": prompt.attention_mask}
        expanded_ids = prompt.input_ids
        pad_token_id = kwargs.get("pad_token_id", (generation_config or self.generation_config).pad_token_id)
        if prompt.attention_mask is not None and pad_token_id is not None:
            # a penalty on repetition would take 0 for a word of the prompt
            expanded_ids = expanded_ids.masked_fill(prompt.attention_mask == 0, pad_token_id)
        generated = super().generate(expanded_ids, generation_config, *args, **kwargs)
        if isinstance(generated, Tensor):
            return _with_prompt(generated, input_ids, prompt.input_ids.shape[1])
        generated.sequences = _with_prompt(generated.sequences, input_ids, prompt.input_ids.shape[1])
        return generated

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        inputs_embeds: Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Return the inputs of a step; see `GenerationMixin.prepare_inputs_for_generation`.

        In the first step `inputs_embeds` hold the prompt alone, and transformers takes no others. What is guessed to
        follow it (`prompt_lookup_num_tokens`) is put behind them: else the logits of the prompt's last tokens would be
        taken for those of the guesses.
        """
        if is_first_iteration and inputs_embeds is not None and input_ids.shape[1] > inputs_embeds.shape[1]:
            guesses = input_ids[:, inputs_embeds.shape[1] :]
            guesses = guesses.masked_fill(guesses == self.config.image_token_id, 0)  # which may lie outside the table
            inputs_embeds = torch.cat([inputs_embeds, self.get_input_embeddings()(guesses)], dim=1)
        prepared: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, inputs_embeds=inputs_embeds, is_first_iteration=is_first_iteration, **kwargs
        )
        return prepared

    def init_continuous_batching(self, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ANN401, ARG002
        """Refuse what would show the model token ids alone.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "transformers' continuous batching takes token ids and no images; use generate, with a batch of prompts, "
            "or serve the checkpoint by vLLM"
        )


def _keep_packing(model: nn.Module) -> None:
    """Keep 4-bit weights as they were packed, on CPU too.

    Where a CPU can do AVX512-BF16, bitsandbytes 0.50 packs them anew in the first pass without gradients. Training does
    not go on from that, and it fails at widths that are no multiple of the block that shares a scale.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            cast(Any, module).support_avx512bf16_for_cpu = False


def _check_pixels(pixel_values: Tensor) -> None:
    """Refuse what is no cells, and pixels that are neither uint8 nor normalised, such as bytes that became floats."""
    if pixel_values.ndim != 4 or pixel_values.shape[1] != 3 or not pixel_values.shape[0]:
        raise ValueError(
            f"pixel_values have the shape {list(pixel_values.shape)}; expected [cells, 3, side, side] of at least one "
            "cell, or neither pixel_values nor image_grid_thw where there is no image"
        )
    if pixel_values.dtype == torch.uint8 or torch.compiler.is_compiling():
        return
    if not pixel_values.is_floating_point():
        raise ValueError(f"pixel_values are {pixel_values.dtype}; expected uint8 cells, or normalised floats")
    if (largest := float(pixel_values.detach().amax())) > _MOST_NORMALISED:
        raise ValueError(
            f"pixel_values are {pixel_values.dtype} up to {largest:g}; expected uint8 cells as the processor gives "
            "them, which are normalised here, or normalised floats: leave out the change of their type"
        )


def _num_with_loss(num_items: Tensor | int | None, given: Tensor, kept: Tensor) -> Tensor | int | None:
    """Return how many labels of a step carry loss, of the number that a trainer has counted in the labels it gave.

    A trainer that labels every token counts visual tokens too, which would make the loss of 8K images a hundredth of
    itself. What share of labels they are is known of this batch, and taken for that of the step.
    """
    if num_items is None:
        return None
    num_given, num_kept = ((labels[:, 1:] != IGNORED_LABEL).sum() for labels in (given, kept))
    return (num_items * (num_kept / num_given.clamp(min=1))).clamp(min=1)


def _with_prompt(sequences: Tensor, input_ids: Tensor, expanded_length: int) -> Tensor:
    """Return the sequences with the caller's prompt in place of the expanded one."""
    prompts = input_ids.repeat_interleave(len(sequences) // len(input_ids), dim=0)
    return torch.cat([prompts, sequences[:, expanded_length:].to(prompts)], dim=1)


GeoLlavaModel.register_for_auto_class("AutoModel")
GeoLlavaForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")

__all__ = [
    "GeoLlavaForConditionalGeneration",
    "GeoLlavaImageFeatures",
    "GeoLlavaModel",
    "GeoLlavaPreTrainedModel",
]
