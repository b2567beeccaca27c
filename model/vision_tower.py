"""What the model must know of a CLIP-like tower: its layers, and where it may end."""

from __future__ import annotations

from typing import Literal, cast, get_args

from torch import nn

ProjectionName = Literal["q_proj", "k_proj", "v_proj"]


def tower_layers(tower: nn.Module) -> nn.ModuleList:
    """Return the layers of a CLIP-like tower, first to last.

    Raises:
        ValueError: the tower has no `encoder.layers` with `self_attn.{q,k,v}_proj`.
    """
    encoder = getattr(getattr(tower, "vision_model", tower), "encoder", None)
    layers = getattr(encoder, "layers", None)
    names = get_args(ProjectionName)
    if not isinstance(layers, nn.ModuleList) or not all(
        hasattr(getattr(layer, "self_attn", None), name) for layer in layers for name in names
    ):
        raise ValueError(
            f"{type(tower).__name__} is no CLIP-like tower: expected encoder.layers with self_attn.q_proj, k_proj "
            "and v_proj"
        )
    return layers


def last_projection(tower: nn.Module, name: ProjectionName) -> nn.Linear:
    """Return a projection of the attention of the tower's last layer."""
    return cast(nn.Linear, getattr(tower_layers(tower)[-1].self_attn, name))


def cut_tower(tower: nn.Module, feature_layer: int) -> None:
    """Take away what lies behind the hidden state that is used: layers, and the norm of the pooled output.

    Raises:
        ValueError: the tower has no such hidden state, or it is the input of the first layer.
    """
    layers = tower_layers(tower)
    num_used = feature_layer if feature_layer >= 0 else len(layers) + 1 + feature_layer
    if not 1 <= num_used <= len(layers):
        raise ValueError(
            f"vision_feature_layer is {feature_layer} and the tower has {len(layers)} layers; "
            f"expected 1 to {len(layers)}, or -{len(layers)} to -1"
        )
    del layers[num_used:]
    body = getattr(tower, "vision_model", tower)
    if hasattr(body, "post_layernorm"):
        body.post_layernorm = nn.Identity()
