"""The calls that vLLM's transformers backend makes, in its order, on small stand-ins for what it supplies.

Written after reading `vllm/model_executor/models/transformers` of vLLM 0.33.0; vLLM itself is not run. Stand-ins are
the attention with a cache (here plain and causal), the tower's joined q, k and v, and linear layers of another class.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoProcessor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.clip.modeling_clip import CLIPAttention

import rsvqa.model.registration  # noqa: F401  the Auto classes learn of GeoLLaVA
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.vision_tower import run_tower
from tests.model.make_models import CELL_SIZE, tiny_model, tiny_processor

BUDGET = 12
SIZES = ((50, 90), (28, 28), (100, 60))  # height, width: grids of 2 × 4, 1 × 1 and 4 × 3 cells
NUM_CELLS = [8, 1, 12]
PROMPT = "w1 <image> w2 <image> <image> w3"


def make_images() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in SIZES]


@pytest.fixture
def network() -> GeoLlavaForConditionalGeneration:
    return tiny_model(tokens_per_cell=BUDGET)


@pytest.fixture
def folder(network: GeoLlavaForConditionalGeneration, tmp_path: Path) -> Path:
    network.save_pretrained(tmp_path)
    tiny_processor(num_cell_tokens=BUDGET, do_normalize=False).save_pretrained(tmp_path)
    return tmp_path


def process(processor: Any, images: list[Image.Image]) -> tuple[dict[str, Tensor], list[list[int]]]:
    """Return the image fields and the token ids that stand for each image."""
    found = processor(
        text=processor.image_token * len(images),
        images=images,
        return_text_replacement_offsets=True,
        truncation=False,
        return_tensors="pt",
    )
    (offsets,) = found.pop("text_replacement_offsets")
    assert {entry["type"] for entry in offsets} == {"image"}
    ids = [processor.tokenizer.encode(entry["replacement"], add_special_tokens=False) for entry in offsets]
    for name in ("input_ids", "attention_mask"):
        found.pop(name)
    return dict(found), ids


class OtherLinear(nn.Module):
    """A server's own linear layer: no `nn.Linear`, its weights come by name."""

    def __init__(self, rows: int, columns: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns))
        self.bias = nn.Parameter(torch.empty(rows)) if bias else None

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, self.weight, self.bias)


def joined_attention(self: Any, hidden_states: Tensor, *_: object, **__: object) -> tuple[Tensor, None]:
    """The forward pass of a tower's attention as the server rewrites it."""
    parts = self.qkv_proj(hidden_states).split(hidden_states.shape[-1], -1)
    heads = [part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in parts]
    query, key, value = heads
    mixed = nn.functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
    return self.out_proj(mixed.transpose(1, 2).flatten(2)), None


def replace_layers(module: nn.Module) -> None:
    """Put the server's layers in place of the model's, as it does before it loads weights."""
    for name, child in list(module.named_children()):
        if isinstance(child, CLIPAttention):
            width = child.q_proj.in_features
            child.qkv_proj = OtherLinear(3 * width, width, bias=True)
            del child.q_proj, child.k_proj, child.v_proj
            child.forward = types.MethodType(joined_attention, child)
        if isinstance(child, nn.Linear):
            setattr(module, name, OtherLinear(child.out_features, child.in_features, bias=child.bias is not None))
        else:
            replace_layers(child)


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> Tensor:
    """Fill the model in by the names of the checkpoint; return the weights of the head."""
    names = dict(model.named_parameters())
    filled = set()
    head = weights.pop("lm_head.weight")
    for name, value in weights.items():
        target, rows = name.removeprefix("model."), slice(None)
        place = next((place for place, part in enumerate((".q_proj.", ".k_proj.", ".v_proj.")) if part in target), None)
        if "vision_tower" in target and place is not None:
            target = target.replace(f".{'qkv'[place]}_proj.", ".qkv_proj.")
            rows = slice(place * len(value), (place + 1) * len(value))
        names[target].data[rows] = value
        filled.add(target)
    assert filled == set(names)
    return head


def cached_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: object, scaling: float, **_: object
) -> tuple[Tensor, None]:
    """Attention of one prompt from its first token; no mask comes in, order follows from the sequence."""
    mixed = nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=True
    )
    return mixed.transpose(1, 2), None


@pytest.fixture
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Tensor]:
    """Return the model as the server has it, with the weights of the head."""
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "vllm", cached_attention)
    config = AutoConfig.from_pretrained(folder)
    config.get_text_config()._attn_implementation = "vllm"
    with torch.device("meta"):
        model = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=True)
    replace_layers(model)
    model.to_empty(device="cpu")
    for name, buffer in tiny_model(tokens_per_cell=BUDGET).model.named_buffers():  # which the server never empties
        model.get_buffer(name).copy_(buffer)
    return model.eval(), load_weights(model, load_file(folder / "model.safetensors"))


def test_the_model_is_taken_by_the_backend(folder: Path) -> None:
    config = AutoConfig.from_pretrained(folder)
    assert config != config.get_text_config()  # several modalities
    assert next(iter(config.auto_map)).startswith("AutoConfig")  # before the models, as the server's loader needs it
    assert GeoLlavaForConditionalGeneration.is_backend_compatible()
    with torch.device("meta"):
        model = AutoModel.from_config(config)
    assert type(model.get_decoder()).__name__ == "Qwen2Model"
    assert type(model.get_encoder(modality="image")).__name__ == "CLIPVisionModel"
    assert model.base_model_prefix == "model"


def test_an_images_tokens_are_known_from_its_size_and_stand_alone(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)
    assert not hasattr(processor, "feature_extractor")
    assert not hasattr(processor, "video_processor")
    fields, replacements = process(processor, make_images())
    counted = processor._get_num_multimodal_tokens(image_sizes=[(image.height, image.width) for image in make_images()])
    assert counted["num_image_tokens"] == [number * BUDGET for number in NUM_CELLS]
    assert counted["num_image_patches"] == fields["image_grid_thw"].prod(-1).tolist() == NUM_CELLS
    assert [len(ids) for ids in replacements] == counted["num_image_tokens"]
    assert {token for ids in replacements for token in ids} == {processor.image_token_id}
    assert set(fields) <= set(processor.image_processor.model_input_names)  # by which fields are dealt to modalities
    # an image in a cache is what it is beside others
    for image, cells in zip(make_images(), fields["pixel_values"].split(NUM_CELLS), strict=True):
        assert torch.equal(process(processor, [image])[0]["pixel_values"], cells)


def test_the_largest_image_is_found_for_the_profile(folder: Path) -> None:
    processor = AutoProcessor.from_pretrained(folder)

    def count(side: int) -> int:
        return int(processor._get_num_multimodal_tokens(image_sizes=([side, side],))["num_image_tokens"][0])

    assert count(10_000) == 4 * 4 * BUDGET  # `max_grid` squared
    assert count(4 * CELL_SIZE) == count(10_000)


@torch.no_grad()
def test_the_served_model_says_what_the_model_says(
    network: GeoLlavaForConditionalGeneration, folder: Path, served: tuple[Any, Tensor]
) -> None:
    processor, (model, head) = AutoProcessor.from_pretrained(folder), served
    fields, replacements = process(processor, make_images())
    # each placeholder of the prompt is replaced by what stands for its image
    prompt: list[int] = []
    left = list(replacements)
    for token in processor.tokenizer.encode(PROMPT, add_special_tokens=False):
        prompt += left.pop(0) if token == processor.image_token_id else [token]
    images: Any = model.get_image_features(
        fields["pixel_values"], return_dict=True, image_grid_thw=fields["image_grid_thw"]
    ).pooler_output
    assert [len(tokens) for tokens in images] == [len(ids) for ids in replacements]

    ids = torch.tensor(prompt)
    embeddings = model.get_input_embeddings()(ids)
    embeddings[ids == processor.image_token_id] = torch.cat(images)
    wanted = network(**processor(text=PROMPT, images=make_images(), return_tensors="pt")).logits[0]
    outputs = model(
        input_ids=None,
        inputs_embeds=embeddings[None],
        use_cache=False,
        position_ids=torch.arange(len(ids))[None],
        return_dict=False,
    )
    torch.testing.assert_close(outputs[0][0] @ head.T, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("projection", ["k_proj", "v_proj"])
@torch.no_grad()
def test_joined_projections_give_what_cls_attends_to(
    network: GeoLlavaForConditionalGeneration, served: tuple[Any, Tensor], projection: Any
) -> None:
    cells = torch.randn((3, 3, CELL_SIZE, CELL_SIZE), generator=torch.Generator().manual_seed(0))
    joined = served[0].vision_tower
    features, scores = run_tower(joined, cells, projection=projection)
    wanted_features, wanted = run_tower(network.model.vision_tower, cells, projection=projection)
    torch.testing.assert_close(features, wanted_features, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, wanted, atol=1e-5, rtol=0)


def test_heads_spread_over_devices_are_named(served: tuple[Any, Tensor]) -> None:
    tower = served[0].vision_tower
    last = tower.encoder.layers[-1].self_attn
    last.forward = lambda hidden_states, *_, **__: (hidden_states, None)
    last.qkv_proj = OtherLinear(48, 32, bias=True)  # half of the heads
    with pytest.raises(ValueError, match=r"48 outputs here, expected 96: its heads are spread over devices"):
        run_tower(tower, torch.zeros((1, 3, CELL_SIZE, CELL_SIZE)), projection="v_proj")
