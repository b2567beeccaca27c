"""Parameter groups: each part has its rate, and nothing frozen is in them."""

from __future__ import annotations

import pytest
from torch import nn

from rsvqa.model.trainer import group_parameters, part_of
from rsvqa.model.training_settings import ModelPart

RATES = {ModelPart.TOWER: 1e-6, ModelPart.PROJECTOR: 5e-6, ModelPart.LLM: 4e-6}


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.vision_tower.vision_model.embeddings.class_embedding", ModelPart.TOWER),
        ("model.multi_modal_projector.linear_1.weight", ModelPart.PROJECTOR),
        ("model.language_model.layers.0.mlp.up_proj.weight", ModelPart.LLM),
        ("lm_head.weight", ModelPart.LLM),
        ("base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.default.weight", ModelPart.LLM),
        ("base_model.model.model.vision_tower.post_layernorm.bias", ModelPart.TOWER),
    ],
)
def test_parts_are_told_by_name(name: str, part: ModelPart) -> None:
    assert part_of(name) is part


def test_each_part_has_its_rate_and_vectors_have_no_decay() -> None:
    model = nn.ModuleDict(
        {
            "vision_tower": nn.ModuleDict({"layer": nn.Linear(2, 3)}),
            "multi_modal_projector": nn.ModuleDict({"layer": nn.Linear(3, 4)}),
            "language_model": nn.ModuleDict({"layer": nn.Linear(4, 5)}),
        }
    )
    model["multi_modal_projector"].requires_grad_(requires_grad=False)
    groups = group_parameters(model, RATES, weight_decay=0.1)
    found = [
        (group["lr"], group["weight_decay"], [tuple(parameter.shape) for parameter in group["params"]])
        for group in groups
    ]
    assert found == [
        (1e-6, 0.1, [(3, 2)]),
        (1e-6, 0.0, [(3,)]),
        (4e-6, 0.1, [(5, 4)]),
        (4e-6, 0.0, [(5,)]),
    ]
