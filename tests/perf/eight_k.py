"""One 8,064 × 8,064 image through the 7B model with random weights: `python -m tests.perf.eight_k`.

Prints seconds of the image processor, of the tower, of pruning and of the whole first forward, and the peak of device
memory. Needs a CUDA device; `--tiny` runs the same code on the CPU at toy sizes, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from tests.model.make_models import tiny_config


def seconds_of(work: Callable[[], object], device: str) -> float:
    """Return the seconds of the second run of some work, when kernels are chosen and memory is there."""
    for _ in range(2):
        if device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
    return time.perf_counter() - start


@torch.inference_mode()
def measure(config: GeoLlavaConfig, side: int, device: str, dtype: torch.dtype) -> dict[str, float]:
    """Return seconds, visual tokens and the peak of device memory in GiB (CUDA only) for an image of `side` pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    processor = GeoLlavaImageProcessor(cell_size=config.vision_config.image_size, max_grid=config.max_grid)
    seconds = {"image_processor": seconds_of(lambda: processor(pixels), "cpu")}
    inputs = processor(pixels)
    torch.manual_seed(0)
    with torch.device(device):
        network = GeoLlavaForConditionalGeneration._from_config(config, dtype=dtype).eval()
    network.to(device)
    cells, grids = inputs["pixel_values"].to(device, dtype), inputs["image_grid_thw"].to(device)
    ids = torch.tensor([[5, config.image_token_id, 6, 7]], device=device)
    chunk = cells[: config.vision_chunk]
    tower = network.model.vision_tower
    features = tower(chunk).last_hidden_state
    numbers = torch.arange(len(chunk), device=device)
    budgets = torch.full((len(chunk),), int(config.tokens_per_cell), device=device)
    num_chunks = len(cells) / len(chunk)
    seconds["tower"] = num_chunks * seconds_of(lambda: tower(chunk), device)
    seconds["pruning"] = num_chunks * seconds_of(
        lambda: network.model._select(features, numbers, numbers, budgets), device
    )
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds["forward"] = seconds_of(
        lambda: network(ids, pixel_values=cells, image_grid_thw=grids, logits_to_keep=1, use_cache=True), device
    )
    found = {name: round(value, 4) for name, value in seconds.items()}
    found["visual_tokens"] = sum(len(kept) for kept in network.get_image_features(cells, grids).pooler_output)
    if device == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="toy sizes on the CPU")
    if parser.parse_args().tiny:
        print(json.dumps(measure(tiny_config(), 112, "cpu", torch.float32)))
        return
    print(torch.cuda.get_device_name())
    for affinity in ("cosine", "learned"):
        config = GeoLlavaConfig(affinity=affinity)
        print(json.dumps({"affinity": affinity, **measure(config, 8064, "cuda", torch.bfloat16)}))


if __name__ == "__main__":
    main()
