"""What the model must know of a CLIP-like tower: its layers, where it may end, and what its last layer attends to."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, distributed, nn

from .token_pruning import anchor_scores

ProjectionName = Literal["q_proj", "k_proj", "v_proj"]


def tower_layers(tower: nn.Module) -> nn.ModuleList:
    """Return the layers of a CLIP-like tower, first to last.

    Raises:
        ValueError: the tower has no `encoder.layers` with `self_attn.{q,k,v}_proj`, or `qkv_proj` as servers join them.
    """
    encoder = getattr(getattr(tower, "vision_model", tower), "encoder", None)
    layers = getattr(encoder, "layers", None)
    attentions = [getattr(layer, "self_attn", None) for layer in layers] if isinstance(layers, nn.ModuleList) else []
    if not attentions or not all(
        hasattr(attention, "qkv_proj") or all(hasattr(attention, name) for name in get_args(ProjectionName))
        for attention in attentions
    ):
        raise ValueError(
            f"{type(tower).__name__} is no CLIP-like tower: expected encoder.layers with self_attn.q_proj, k_proj "
            "and v_proj"
        )
    return cast(nn.ModuleList, layers)


def run_tower(tower: nn.Module, cells: Tensor, *, projection: ProjectionName | None) -> tuple[Tensor, Tensor | None]:
    """Return the features with [CLS], [C, 1 + N, D], and what [CLS] attends to, [C, N] float32.

    Nothing is kept for a backward pass where nothing in the tower trains. Trainers that checkpoint activations let the
    patches require gradients, and each layer would then keep its input for every cell: 31 GiB at 8K.

    The projections of the last layer are applied to its own output, while it runs: only then are the weights at hand
    where they are spread over devices (FSDP), and only the layers themselves know what a quantised weight means.

    Args:
        tower: cut behind the layer whose features are used.
        cells: [C, 3, S, S] in the tower's dtype.
        projection: what the tokens are compared by with the query of [CLS]; None leaves the scores out.
    """
    learns = cells.requires_grad or any(parameter.requires_grad for parameter in tower.parameters())
    with torch.set_grad_enabled(torch.is_grad_enabled() and learns):
        return _run(tower, cells, projection)


def _run(tower: nn.Module, cells: Tensor, projection: ProjectionName | None) -> tuple[Tensor, Tensor | None]:
    if projection is None:
        return tower(cells).last_hidden_state, None
    last_layer = tower_layers(tower)[-1]
    if torch.compiler.is_compiling():  # hooks are no part of a graph, and what one sees is the output of the tower
        features: Tensor = tower(cells).last_hidden_state
        return features, _cls_attention(last_layer, features, projection)
    scores: list[Tensor] = []

    def measure(layer: nn.Module, _: object, output: Any) -> None:  # noqa: ANN401  a tensor, or a tuple that has it first
        scores.append(_cls_attention(layer, output if isinstance(output, Tensor) else output[0], projection))

    # first of the hooks: one of FSDP's takes the weights away
    hook = last_layer.register_forward_hook(measure, prepend=True)
    try:
        features = tower(cells).last_hidden_state
    finally:
        hook.remove()  # not there when a checkpointed layer runs again for its gradient
    return features, scores[0]


@torch.no_grad()
def _cls_attention(layer: Any, hidden: Tensor, projection: ProjectionName) -> Tensor:  # noqa: ANN401
    """Return what [CLS] attends to of the layer's output [C, 1 + N, D], by the layer's own projections, [C, N]."""
    queries = _projected(layer.self_attn, "q_proj", hidden[:, 0].detach())
    return anchor_scores(queries, _projected(layer.self_attn, projection, hidden[:, 1:].detach()))


def _projected(attention: Any, name: ProjectionName, hidden: Tensor) -> Tensor:  # noqa: ANN401
    """Return the projection of this name, which may be a third of one layer: vLLM joins the three."""
    if hasattr(attention, name):
        return cast(Tensor, getattr(attention, name)(hidden))
    joined: Tensor = attention.qkv_proj(hidden)
    if joined.shape[-1] != 3 * hidden.shape[-1]:
        raise ValueError(
            f"the tower's attention has {joined.shape[-1]} outputs here, expected {3 * hidden.shape[-1]}: its heads "
            "are spread over devices, and pruning needs them all; let one device hold the model "
            "(tensor_parallel_size = 1)"
        )
    return joined.chunk(3, dim=-1)[get_args(ProjectionName).index(name)]


def count_missing_passes(tower: nn.Module, num_passes: int, device: torch.device) -> int:
    """Return how many passes another rank makes more than this one, where a pass gathers weights from all ranks.

    A rank that made fewer would leave the others waiting for its share of the weights.
    """
    if not distributed.is_available() or not distributed.is_initialized() or not _is_sharded(tower):
        return 0
    most = torch.tensor(num_passes, device=device)
    distributed.all_reduce(most, op=distributed.ReduceOp.MAX)
    return int(most) - num_passes


def _is_sharded(tower: nn.Module) -> bool:
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.distributed.tensor import DTensor

    return any(isinstance(parameter, DTensor) for parameter in tower.parameters()) or any(
        isinstance(module, FullyShardedDataParallel) for module in tower.modules()
    )


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
