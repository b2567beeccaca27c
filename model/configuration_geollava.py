"""Settings of the model: a tower, a language model and how visual tokens are pruned between them.

What surprises: `tokens_per_cell`, `scope`, `fill` and the others may be changed on a loaded model, without new weights;
only `affinity = "learned"` needs the weights of its head.
"""

# No `from __future__ import annotations`: the types of the fields are checked while the program runs.
from typing import Any, ClassVar, Literal

from huggingface_hub.dataclasses import strict, validated_field
from transformers import AutoConfig
from transformers.configuration_utils import PreTrainedConfig, SubConfigSpec
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

RELEASED_PRUNING = {
    "pruning": "anchored",
    "affinity": "learned",
    "anchor_projection": "value",
    "scope": "cell",
    "fill": "zeros",
}
"""The pruning of the released code."""

PRUNING_METHODS = ("anchored", "anchors_only", "clusters_only", "random", "uniform", "pool")


def _at_least_one(value: object) -> None:
    if isinstance(value, int) and value < 1:
        raise ValueError(f"it is {value}; expected 1 or more")


def _of_three_colours(value: tuple[float, ...] | list[float]) -> None:
    if len(value) != 3:
        raise ValueError(f"it is {list(value)}; expected three numbers, of red, green and blue")


def _divides(value: tuple[float, ...] | list[float]) -> None:
    if not all(spread > 0 for spread in value):
        raise ValueError(f"it is {list(value)}; expected numbers above 0, which pixels are divided by")


@strict
class GeoLlavaConfig(PreTrainedConfig):
    """Configuration of `GeoLlavaModel` and `GeoLlavaForConditionalGeneration`.

    The defaults are the released sizes: CLIP ViT-L/14-336, Qwen2-7B, 24 tokens per cell. Two defaults differ from
    the released code, whose settings are `RELEASED_PRUNING`: `affinity` and `fill`.

    Attributes:
        vision_config: of a CLIP-like tower: a [CLS] token, layers with `self_attn.{q,k,v}_proj`.
        text_config: of any causal language model of transformers.
        image_token_id: the placeholder token; one stands for one whole image.
        projector_hidden_act: activation between the two layers of the projector.
        vision_feature_layer: the hidden state of the tower that is used, counted as transformers counts them; layers
            behind it are not built.
        tokens_per_cell: visual tokens of a cell that are kept at most, or "all" for every one, untouched.
        pruning: `anchored` is the paper's method; the others are for comparison at the same budget: `anchors_only`
            (best tokens, no clusters), `clusters_only` (largest clusters), `random`, `uniform` (a regular grid), `pool`
            (average pooling).
        affinity: how a token finds the neighbour that it follows: `cosine` similarity, or the released `learned` head.
        anchor_projection: what [CLS] is compared with: the `value` projection (released) or the `key` projection.
        scope: every `cell` has its own budget (released), or the cells of an `image` share one.
        fill: where a cell has fewer clusters than its budget: `next` takes its next-best tokens, each by itself, so
            that the number of visual tokens follows from the image's size alone; `drop` leaves the rest of the budget
            unused; `zeros` (released) puts zero vectors among the clusters, in the places where the released code has
            them.
        pruning_seed: of `random`.
        max_grid: most cells along a side of an image.
        image_mean: of red, green, blue, of values from 0 to 1, by which cells of uint8 are normalised.
        image_std: of the same.
        vision_chunk: cells that go through the tower at once.
    """

    model_type = "geollava"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "text_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type="qwen2",
            init_kwargs={
                "hidden_size": 3584,
                "intermediate_size": 18944,
                "num_hidden_layers": 28,
                "num_attention_heads": 28,
                "num_key_value_heads": 4,
                "vocab_size": 152064,
            },
        ),
        "vision_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type="clip_vision_model",
            init_kwargs={
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_hidden_layers": 24,
                "num_attention_heads": 16,
                "image_size": 336,
                "patch_size": 14,
                "projection_dim": 768,
            },
        ),
    }
    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "cache",
        "past_key_values",  # before transformers 5.24
        "image_hidden_states",
        "attention_mask",
        "labels",
    ]

    # Any: what comes is a dict, a configuration or None; what stays is a configuration.
    vision_config: Any = None
    text_config: Any = None
    image_token_id: int = 151646
    projector_hidden_act: str = "gelu"
    vision_feature_layer: int = -2
    tokens_per_cell: int | Literal["all"] = validated_field(_at_least_one, default=24)
    pruning: Literal["anchored", "anchors_only", "clusters_only", "random", "uniform", "pool"] = "anchored"
    affinity: Literal["cosine", "learned"] = "cosine"
    anchor_projection: Literal["value", "key"] = "value"
    scope: Literal["cell", "image"] = "cell"
    fill: Literal["next", "drop", "zeros"] = "next"
    pruning_seed: int = 0
    max_grid: int = validated_field(_at_least_one, default=24)
    image_mean: tuple[float, ...] | list[float] = validated_field(_of_three_colours, default=tuple(OPENAI_CLIP_MEAN))
    image_std: tuple[float, ...] | list[float] = validated_field(
        [_of_three_colours, _divides], default=tuple(OPENAI_CLIP_STD)
    )
    vision_chunk: int = validated_field(_at_least_one, default=64)
    tie_word_embeddings: bool = False

    @property
    def num_cell_tokens(self) -> int | None:
        """Visual tokens of a cell (with scope `image` on the mean); None where that depends on what an image shows."""
        num_patches = int(self.vision_config.image_size // self.vision_config.patch_size) ** 2
        if self.tokens_per_cell == "all":
            return num_patches
        if self.fill == "drop" and self.pruning in ("anchored", "clusters_only"):
            return None
        return min(int(self.tokens_per_cell), num_patches)


GeoLlavaConfig.register_for_auto_class()

__all__ = ["PRUNING_METHODS", "RELEASED_PRUNING", "GeoLlavaConfig"]
