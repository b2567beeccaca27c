"""Pruning asks the layers, not their weights: quantised and sharded ones give the tokens of what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, TorchAoConfig

import rsvqa.model.registration  # noqa: F401  the Auto classes learn of GeoLLaVA
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from tests.model.make_models import tiny_config, tiny_inputs, tiny_model
from tests.model.two_ranks import run_two_ranks


class StoredElsewhere(nn.Module):
    """A linear layer as a quantiser leaves it: `weight` holds codes, and only `forward` knows what they mean."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.codes = (layer.weight.detach() * 16).round().to(torch.int8)
        self.weight = self.codes.flatten()[:1]
        self.bias = layer.bias
        self.in_features, self.out_features = layer.in_features, layer.out_features

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, self.codes.to(inputs) / 16, self.bias)


def replace_linears(module: nn.Module, make: Any) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, make(child))
        else:
            replace_linears(child, make)


def kept_places(network: GeoLlavaForConditionalGeneration) -> list[tuple[int, int]]:
    inputs = {name: values.to(network.device) for name, values in tiny_inputs(cells=(2, 4)).items()}
    images = network.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
    return list(zip(images.cells[0].tolist(), images.positions[0].tolist(), strict=True))


@pytest.mark.parametrize("pruning", ["anchored", "anchors_only"])
@pytest.mark.parametrize("projection", ["value", "key"])
@torch.no_grad()
def test_weights_stored_elsewhere_give_the_tokens_of_what_they_mean(pruning: str, projection: str) -> None:
    quantised, plain = (tiny_model(pruning=pruning, anchor_projection=projection) for _ in range(2))
    replace_linears(quantised.model.vision_tower, StoredElsewhere)
    for layer in plain.model.vision_tower.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.copy_((layer.weight * 16).round() / 16)
    assert kept_places(quantised) == kept_places(plain)


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@torch.no_grad()
def test_dynamic_quantisation_keeps_what_the_quantised_layers_attend_to() -> None:
    network = tiny_model()
    body = network.model
    body.vision_tower = torch.ao.quantization.quantize_dynamic(body.vision_tower, {nn.Linear}, dtype=torch.qint8)
    attention = body.vision_tower.encoder.layers[-1].self_attn
    assert callable(attention.v_proj.weight)  # no tensor any more
    body.config.pruning = "anchors_only"
    features = body.vision_tower(tiny_inputs(cells=(2, 4))["pixel_values"]).last_hidden_state
    queries, keys = attention.q_proj(features[:, 0]), attention.v_proj(features[:, 1:])
    scores = (keys * queries[:, None]).sum(-1)
    expected = [(cell, place) for cell in range(8) for place in sorted(scores[cell].topk(5).indices.tolist())]
    assert kept_places(network) == expected


@pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning")
@pytest.mark.parametrize(
    "bits", [{"load_in_8bit": True}, {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.float32}], ids=["8", "4"]
)
@torch.no_grad()
def test_bitsandbytes_leaves_the_tower_and_keeps_the_tokens(bits: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    config = tiny_config()
    for part in (config.vision_config, config.text_config):
        part.hidden_size = part.intermediate_size = 128  # in blocks of 64, as it packs them
    torch.manual_seed(0)
    plain = GeoLlavaForConditionalGeneration(config).eval()
    plain.save_pretrained(tmp_path)
    wanted = BitsAndBytesConfig(**bits, llm_int8_skip_modules=["layers.0.mlp.down_proj"])
    network = AutoModelForImageTextToText.from_pretrained(
        tmp_path, quantization_config=wanted, device_map="auto"
    ).eval()
    whole = {name for name, module in network.named_modules() if type(module) is nn.Linear}
    of_llm = {name for name in whole if "language_model" in name}
    assert of_llm == {"model.language_model.layers.0.mlp.down_proj"}  # the caller's own wish
    assert whole - of_llm == {
        name for name, module in plain.named_modules() if type(module) is nn.Linear and "language_model" not in name
    }
    assert kept_places(network) == kept_places(plain)
    inputs = {name: values.to(network.device) for name, values in tiny_inputs(cells=(2, 4)).items()}
    assert bool(network(**inputs).logits.isfinite().all())


def test_settings_of_quantisation_as_a_table_leave_the_tower_too(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    tiny_model().save_pretrained(tmp_path)
    wanted = {"quant_method": "bitsandbytes", "load_in_8bit": True}
    network = AutoModelForImageTextToText.from_pretrained(tmp_path, quantization_config=wanted)
    assert {name for name, module in network.named_modules() if type(module) is nn.Linear} == {
        name for name, module in tiny_model().named_modules() if type(module) is nn.Linear and "language" not in name
    }
    assert wanted == {"quant_method": "bitsandbytes", "load_in_8bit": True}  # the caller's own


@pytest.mark.filterwarnings("ignore")  # of torchao, which torch is newer than
@pytest.mark.parametrize(
    "kind", ["Int8WeightOnlyConfig", "Int8DynamicActivationInt8WeightConfig", "Float8WeightOnlyConfig"]
)
@torch.no_grad()
def test_torchao_leaves_the_tower_and_what_it_quantises_is_asked(kind: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("torchao.quantization", reason="torchao is not installed")
    settings = getattr(quantization, kind)()
    plain = tiny_model()
    plain.save_pretrained(tmp_path)
    network = AutoModelForImageTextToText.from_pretrained(tmp_path, quantization_config=TorchAoConfig(settings)).eval()
    changed = {name for name, weight in network.named_parameters() if type(weight) is not nn.Parameter}
    assert changed == {
        f"{name}.weight"
        for name, module in plain.named_modules()
        if isinstance(module, nn.Linear) and "language_model" in name
    }
    assert kept_places(network) == kept_places(plain)

    quantization.quantize_(plain, settings)  # all of it, the tower too, as nobody stops it here
    attention = plain.model.vision_tower.encoder.layers[-1].self_attn
    assert type(attention.v_proj.weight) is not nn.Parameter
    plain.config.pruning = "anchors_only"
    features = plain.model.vision_tower(tiny_inputs(cells=(2, 4))["pixel_values"]).last_hidden_state
    queries, keys = attention.q_proj(features[:, 0]), attention.v_proj(features[:, 1:])
    scores = (keys * queries[:, None]).sum(-1)
    expected = [(cell, place) for cell in range(8) for place in sorted(scores[cell].topk(5).indices.tolist())]
    assert kept_places(plain) == expected


@pytest.mark.parametrize("width", [32, 96, 128])  # bitsandbytes gives 64 weights one scale
def test_weights_of_4_bits_compute_the_same_before_and_after_a_reply(width: int, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    config = tiny_config()
    config.text_config.hidden_size = config.text_config.intermediate_size = width
    torch.manual_seed(0)
    GeoLlavaForConditionalGeneration(config).save_pretrained(tmp_path)
    wanted = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)
    network = AutoModelForImageTextToText.from_pretrained(tmp_path, quantization_config=wanted)
    inputs = {name: values.to(network.device) for name, values in tiny_inputs(cells=(2, 4)).items()}
    logits, gradients = [], []
    for _ in range(2):
        logits.append(network.train()(**inputs).logits)
        (gradient,) = torch.autograd.grad(
            logits[-1].logsumexp(-1).sum(), network.model.multi_modal_projector.linear_1.bias
        )
        gradients.append(gradient)
        network.eval().generate(**inputs, max_new_tokens=2)
    with torch.inference_mode():
        logits.append(network(**inputs).logits)
    assert torch.equal(logits[0], logits[1])
    assert torch.equal(gradients[0], gradients[1])
    torch.testing.assert_close(logits[2], logits[0].detach(), atol=1e-4, rtol=0)


def test_sharded_layers_give_the_same_logits_and_gradients() -> None:
    for line in run_two_ranks("tests.model.sharded_pruning"):
        logits, gradients = map(float, line.split())
        assert logits < 1e-5
        assert gradients < 1e-5
