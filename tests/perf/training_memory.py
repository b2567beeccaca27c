"""Memory of a training step of the 7B model on an 8K image: `python -m tests.perf.training_memory`.

The step runs on tensors that have sizes and no contents, so it needs no GPU and little memory, and the bytes of what
lives at once are counted. What it leaves out: workspaces of kernels, CUDA's own, gaps between tensors, and the choice
of tokens, which depends on contents. Prints the peak for several settings beside `estimate_memory`'s.

The step before a frozen tower ran without a gradient gave 54.8 GiB, where an H200 had shown 55.
"""

from __future__ import annotations

import argparse
import json
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import CLIPVisionConfig, Qwen2Config

from rsvqa.model.checkpoints import with_adapters
from rsvqa.model.chunked_mlp import chunk_mlps
from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.trainer import part_of
from rsvqa.model.training_memory import estimate_memory
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.config import load_settings

GIB = 2**30
NUM_TEXT_TOKENS, NUM_REPLY_TOKENS = 60, 8
ADAPTERS: dict[str, Any] = {"lora_rank": 16, "freeze": ["tower", "projector"]}
CASES: dict[str, dict[str, Any]] = {
    "adapters": ADAPTERS,
    "adapters, mlp_chunk 2048": ADAPTERS | {"mlp_chunk": 2048},
    "tower frozen, adamw_8bit": {"freeze": ["tower"], "optimizer": "adamw_8bit"},
    "all parts, adamw_8bit": {"optimizer": "adamw_8bit"},
    "all parts": {},
}


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that live, and the most of them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._seen:
            size = self._seen[storage] = storage.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_iter(result):
            if isinstance(leaf, Tensor):
                self.add(leaf)
        return result


@contextmanager
def norms_as_on_cuda() -> Iterator[None]:
    """Let autocast make layer norms float32, as it does on CUDA and not on a CPU."""
    norm = functional.layer_norm

    def in_float32(inputs: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return norm(inputs.float(), shape, weight.float(), bias.float(), eps)

    functional.layer_norm = in_float32  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.layer_norm = norm


def seven_billion(num_layers: int, num_tower_layers: int) -> GeoLlavaConfig:
    """Return the configuration of the released model, or one of fewer layers."""
    vision = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=num_tower_layers + 1,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    text = Qwen2Config(
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=num_layers,
        num_attention_heads=28,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    return GeoLlavaConfig(vision_config=vision.to_dict(), text_config=text.to_dict(), pruning="random")


def measure(config: GeoLlavaConfig, settings: TrainingSettings, *, side: int, num_passes: int) -> dict[str, float]:
    """Return GiB of the peak of a step on images of `side` cells along each side, counted and estimated."""
    with torch.device("meta"):
        network = GeoLlavaForConditionalGeneration._from_config(
            config, dtype=torch.bfloat16 if settings.lora_rank else torch.float32
        )
        for name, parameter in network.named_parameters():
            if part_of(name) in settings.freeze:
                parameter.requires_grad_(requires_grad=False)
        model: Any = network.train()
        if settings.mlp_chunk:
            chunk_mlps(network.model.language_model, settings.mlp_chunk)
        if settings.lora_rank:
            model = with_adapters(network, rank=settings.lora_rank, computes_in_bf16=True)
    network.activation_checkpointing_enable({"use_reentrant": False})
    cells, num_tokens = side**2, side**2 * int(config.tokens_per_cell) + NUM_TEXT_TOKENS
    need = estimate_memory(model, config, settings, num_cells=cells, num_tokens=num_tokens, computes_in_bf16=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
        with LiveBytes() as live, norms_as_on_cuda():
            for tensor in (*model.parameters(), *model.buffers()):
                live.add(tensor)
            for _ in range(num_passes):  # the second pass of a step finds the gradients of the first
                _forward(network, cells, num_tokens).backward()
    state = need.optimizer  # there from the second step on
    return {"counted": round((live.peak + state) / GIB, 1), "estimated": round(need.total / GIB, 1)}


def _forward(network: GeoLlavaForConditionalGeneration, num_cells: int, num_tokens: int) -> Tensor:
    body, budget = network.model, int(network.config.tokens_per_cell)
    pixels = torch.zeros((num_cells, 3, 336, 336), dtype=torch.uint8)
    ids = torch.zeros((1, num_tokens), dtype=torch.int64)
    is_visual = torch.zeros((1, num_tokens, 1), dtype=torch.bool)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kept = [features[:, 1 : 1 + budget].flatten(0, 1).clone() for features, _ in body._tower_chunks(pixels)]
        tokens = body.multi_modal_projector(torch.cat(kept))
        embeddings = body.get_input_embeddings()(ids)
        embeddings = embeddings.masked_scatter(is_visual, tokens.to(embeddings))
        logits: Tensor = network(inputs_embeds=embeddings, logits_to_keep=NUM_REPLY_TOKENS, use_cache=False).logits
    return logits.float().sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=24, help="cells along a side of the image")
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--tower-layers", type=int, default=23)
    parser.add_argument("--passes", type=int, default=1, help="forward and backward passes of a step")
    arguments = parser.parse_args()
    config = seven_billion(arguments.layers, arguments.tower_layers)
    for name, changes in CASES.items():
        settings = load_settings(TrainingSettings, {"data": ["d"], "init": "i"} | changes)
        print(
            json.dumps({"case": name} | measure(config, settings, side=arguments.side, num_passes=arguments.passes)),
            flush=True,
        )


if __name__ == "__main__":
    main()
