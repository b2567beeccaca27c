"""One 8K image through the processor, the training loader and the 7B model: `python -m tests.perf.eight_k`.

Prints seconds of the image processor, of the tower, of pruning and of the whole first forward, and the peak of device
memory, for random weights. That needs a CUDA device; `--tiny` runs the same code on the CPU at toy sizes, to see that
it works. `--cpu` prints what needs no device: seconds and memory of the image processor on an 8,192 × 8,192 JPEG, with
one thread and with all, and samples per CPU-second of the training loader for 7 questions per image.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import simplejpeg
import torch
from PIL import Image

from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.data import Collator, SampleDataset, list_samples
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.ordering import Draw
from rsvqa.model.processing_geollava import GeoLlavaProcessor
from rsvqa.model.tiny import train_tokenizer
from rsvqa.model.vision_tower import run_tower
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.model.make_models import tiny_config
from tests.perf.pruning import resident_kib

NUM_QUESTIONS, TOKENS_PER_CELL = 7, 24


def make_jpeg(side: int) -> bytes:
    """Return a JPEG with structure and noise, as aerial pictures have them."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 244, (side // 8, side // 8, 3), dtype=np.uint8))
    pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 243)
    pixels = pixels + rng.integers(0, 12, pixels.shape, dtype=np.uint8)
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=90)
    return data


def measure_processor(jpeg: bytes, repeats: int) -> dict[str, float]:
    """Return the best seconds of the image processor, with one thread and with all, and what it adds to memory."""
    processor = GeoLlavaImageProcessor(do_normalize=False)
    found: dict[str, float] = {"jpeg_mb": round(len(jpeg) / 1e6, 1)}
    threads = torch.get_num_threads()
    for number in (1, threads):
        torch.set_num_threads(number)
        wall, cpu = [], []
        for _ in range(repeats):
            start = time.perf_counter(), time.process_time()
            processor(jpeg)
            wall.append(time.perf_counter() - start[0])
            cpu.append(time.process_time() - start[1])
        found[f"seconds_{number}_threads"] = round(min(wall), 2)
        found[f"cpu_seconds_{number}_threads"] = round(min(cpu), 2)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident_kib("VmRSS")
    cells = processor(jpeg)["pixel_values"]
    found["peak_mib"] = round((resident_kib("VmHWM") - before) / 1024)
    found["kept_mib"] = round(cells.nbytes / 2**20)
    return found


def measure_loader(jpeg: bytes, side: int, num_images: int) -> dict[str, float]:
    """Return samples per CPU-second of the loader, in this process and on one thread, images cut once or every time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a process that reads ahead
    with tempfile.TemporaryDirectory() as folder:
        rows = [_rows(f"s:{number}", side, len(jpeg)) for number in range(num_images)]
        write_shards(Path(folder), plan_shards(rows), load_images=lambda _: {"tile": jpeg})
        samples = list_samples([Path(folder)], split="train")
        processor = GeoLlavaProcessor(
            GeoLlavaImageProcessor(do_normalize=False),
            train_tokenizer((sample.record.question for sample in samples), 400),
            num_cell_tokens=TOKENS_PER_CELL,
        )
        collator = Collator(processor)
        draws = [Draw(number, 0) for number in range(len(samples))]
        kinds = {
            "once": SampleDataset(samples, draws, prepare=collator.prepare),
            "every_time": SampleDataset(samples, draws),
        }
        found = {}
        for name, dataset in kinds.items():
            start = time.process_time()
            for place in range(len(samples)):
                collator([dataset[place]])
            found[f"samples_per_cpu_second_cut_{name}"] = round(len(samples) / (time.process_time() - start), 2)
    torch.set_num_threads(threads)
    return found


def _rows(image_id: str, side: int, num_bytes: int) -> TileRows:
    tile = TileRecord(
        image_id=image_id, split="train", scene="s", window=Window(0, 0, side, side), images={"tile": num_bytes}
    )
    questions = (
        Record(
            question_id=f"{image_id}/OCL{number}",
            task="object_colour",
            question="Which colour has the largest ship?",
            options=("(A) red", "(B) green"),
            answer="A",
            tile=tile,
            language="en",
            images=("tile",),
        )
        for number in range(NUM_QUESTIONS)
    )
    return TileRows(tile, tuple(questions))


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
    processor = GeoLlavaImageProcessor(
        cell_size=config.vision_config.image_size, max_grid=config.max_grid, do_normalize=False
    )
    seconds = {"image_processor": seconds_of(lambda: processor(pixels), "cpu")}
    inputs = processor(pixels)
    torch.manual_seed(0)
    with torch.device(device):
        network = GeoLlavaForConditionalGeneration._from_config(config, dtype=dtype).eval()
    network.to(device)
    cells, grids = inputs["pixel_values"].to(device), inputs["image_grid_thw"].to(device)
    ids = torch.tensor([[5, config.image_token_id, 6, 7]], device=device)
    chunk = cells[: config.vision_chunk]
    tower = network.model.vision_tower
    pixels = network.model._normalised(chunk)
    features, attention = run_tower(tower, pixels, projection="v_proj")
    numbers = torch.arange(len(chunk), device=device)
    num_chunks = len(cells) / len(chunk)
    seconds["tower"] = num_chunks * seconds_of(lambda: run_tower(tower, pixels, projection="v_proj"), device)
    seconds["pruning"] = num_chunks * seconds_of(
        lambda: network.model._select(features[:, 1:], attention, numbers, None), device
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
    parser.add_argument("--cpu", action="store_true", help="what needs no device")
    parser.add_argument("--side", type=int, default=8192, help="of the JPEG of --cpu, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="of --cpu; the best counts")
    arguments = parser.parse_args()
    if arguments.cpu:
        jpeg = make_jpeg(arguments.side)
        print(json.dumps({"image_processor": measure_processor(jpeg, arguments.repeats)}))
        print(json.dumps({"loader": measure_loader(jpeg, arguments.side, num_images=2)}))
        return
    if arguments.tiny:
        print(json.dumps(measure(tiny_config(), 112, "cpu", torch.float32)))
        return
    print(torch.cuda.get_device_name())
    for affinity in ("cosine", "learned"):
        config = GeoLlavaConfig(affinity=affinity)
        print(json.dumps({"affinity": affinity, **measure(config, 8064, "cuda", torch.bfloat16)}))


if __name__ == "__main__":
    main()
