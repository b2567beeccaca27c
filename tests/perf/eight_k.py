"""One 8K image through the image processor, the loader and the 7B model: `python -m tests.perf.eight_k`.

With random weights on a CUDA device, within five minutes, for both affinities: seconds to decode and cut a JPEG, of the
tower, of pruning, to the first token, to 16 tokens and of a question of a benchmark, and the peak of device memory.
`--lora RANK` adds a step of training with adapters, under a limit of 22, 24 and 40 GiB. `--cpu` prints what needs no
device: seconds and memory of the image processor on an 8,192 × 8,192 JPEG, with one thread and with all, and what the
loader costs per image and per question. `--toy` runs the same code on a CPU at toy sizes, to see that it works.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import simplejpeg
import torch
from PIL import Image

from rsvqa.model.checkpoints import with_adapters
from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.conversations import IGNORED_LABEL
from rsvqa.model.data import Collator, SampleDataset, list_samples
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor, cut_cells, read_pixels, resize_bicubic
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration
from rsvqa.model.ordering import Draw
from rsvqa.model.processing_geollava import GeoLlavaProcessor
from rsvqa.model.reply_loss import num_last_positions, reply_loss
from rsvqa.model.tiny import train_tokenizer
from rsvqa.model.vision_tower import run_tower
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.model.make_models import tiny_config
from tests.perf.pruning import resident_kib

NUM_QUESTIONS, TOKENS_PER_CELL = 7, 24
AFFINITIES = ("cosine", "learned")
LIMITS_GIB = (22, 24, 40)


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
    torch.set_num_threads(1)
    parts = [measure_parts(jpeg, processor) for _ in range(repeats)]
    found |= {f"cpu_seconds_{name}": round(min(part[name] for part in parts), 2) for name in parts[0]}
    for number in sorted({1, threads}):
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


def measure_parts(jpeg: bytes, processor: GeoLlavaImageProcessor) -> dict[str, float]:
    """Return the CPU-seconds of each part of the work, and of Pillow's own resize, which no strip can do without."""
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()
        found = work()
        seconds[name] = time.process_time() - begun
        return found

    pixels = timed("decoding", lambda: read_pixels(jpeg))  # on one thread, whatever there are
    _, placement = processor.place(*pixels.shape[:2])
    height, width = round(placement.height * placement.scale_y), round(placement.width * placement.scale_x)
    image = Image.fromarray(pixels)
    timed("resizing_by_pillow_at_once", lambda: image.resize((width, height), Image.Resampling.BICUBIC))
    rows = timed("rows", lambda: resize_bicubic(pixels, pixels.shape[0], width, may_overwrite=True))
    resized = timed("columns", lambda: resize_bicubic(rows, height, width, may_overwrite=True))
    timed("cells", lambda: cut_cells(resized, placement, processor.cell_size))
    return seconds


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
            seconds = []
            for place in range(len(samples)):
                start = time.process_time()
                collator([dataset[place]])
                seconds.append(time.process_time() - start)
            found[f"samples_per_cpu_second_cut_{name}"] = round(len(samples) / sum(seconds), 2)
            if name == "once":  # the first question of an image pays for it
                further = [value for place, value in enumerate(seconds) if place % NUM_QUESTIONS]
                found["cpu_seconds_per_further_question"] = round(sum(further) / len(further), 4)
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


def make_network(config: GeoLlavaConfig, device: str, dtype: torch.dtype) -> GeoLlavaForConditionalGeneration:
    """Return a model with random weights, made on its device."""
    torch.manual_seed(0)
    with torch.device(device):
        network = GeoLlavaForConditionalGeneration._from_config(config, dtype=dtype).eval()
    return cast(GeoLlavaForConditionalGeneration, network.to(device))


def image_processor_of(config: GeoLlavaConfig) -> GeoLlavaImageProcessor:
    """Return the image processor that belongs to a configuration."""
    return GeoLlavaImageProcessor(
        cell_size=config.vision_config.image_size, max_grid=config.max_grid, do_normalize=False
    )


@torch.inference_mode()
def measure(config: GeoLlavaConfig, side: int, device: str, dtype: torch.dtype) -> dict[str, float]:
    """Return seconds, visual tokens and the peak of device memory in GiB (CUDA only) for a JPEG of `side` pixels."""
    jpeg, processor = make_jpeg(side), image_processor_of(config)
    seconds = {"decode_and_process": seconds_of(lambda: processor(jpeg), "cpu")}
    inputs = processor(jpeg)
    network = make_network(config, device, dtype)
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

    def reply(num_tokens: int) -> None:
        network.generate(
            ids,
            pixel_values=cells,
            image_grid_thw=grids,
            min_new_tokens=num_tokens,
            max_new_tokens=num_tokens,
            do_sample=False,
            pad_token_id=0,
        )

    seconds["first_token"] = seconds_of(lambda: reply(1), device)
    seconds["tokens_16"] = seconds_of(lambda: reply(16), device)
    seconds["bench_question"] = seconds["decode_and_process"] + seconds["tokens_16"]
    found = {name: round(value, 4) for name, value in seconds.items()}
    images = cast(tuple[torch.Tensor, ...], network.get_image_features(cells, grids).pooler_output)
    found["visual_tokens"] = sum(len(kept) for kept in images)
    if device == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    return found


def measure_training(
    config: GeoLlavaConfig, side: int, device: str, dtype: torch.dtype, *, rank: int, limits_gib: Sequence[int]
) -> dict[str, Any]:
    """Return, by limit of device memory, the seconds of a training step with adapters, or that it did not fit.

    The step is that of a chat with one image of `side` pixels, with gradient checkpointing, and AdamW on the adapters.
    On a CPU there are no limits.
    """
    inputs = image_processor_of(config)(make_jpeg(side))
    cells, grids = inputs["pixel_values"].to(device), inputs["image_grid_thw"].to(device)
    prompt = [5, *[config.image_token_id] * (len(cells) * cast(int, config.num_cell_tokens)), 6, 7]
    ids = torch.tensor([prompt], device=device)
    labels = ids.masked_fill(torch.arange(ids.shape[1], device=device) < ids.shape[1] - 2, IGNORED_LABEL)
    in_bf16 = dtype == torch.bfloat16
    network = with_adapters(make_network(config, device, dtype), rank=rank, computes_in_bf16=in_bf16)
    network.gradient_checkpointing_enable({"use_reentrant": False})
    network.train()
    optimizer = torch.optim.AdamW([part for part in network.parameters() if part.requires_grad])

    def step() -> None:
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=in_bf16):
            outputs = network(
                input_ids=ids,
                pixel_values=cells,
                image_grid_thw=grids,
                logits_to_keep=num_last_positions(labels),
                use_cache=False,
            )
        reply_loss(outputs.logits, labels, num_labels=2).backward()
        optimizer.step()
        optimizer.zero_grad()

    if device != "cuda":
        return {"seconds": round(seconds_of(step, device), 4)}
    found: dict[str, Any] = {}
    for limit in sorted(limits_gib):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit * 2**30 / torch.cuda.mem_get_info()[1]))
        try:
            found[f"seconds_in_{limit}_gib"] = round(seconds_of(step, device), 4)
            found[f"peak_gib_in_{limit}_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        except torch.cuda.OutOfMemoryError:
            found[f"seconds_in_{limit}_gib"] = "out of memory"
            optimizer.zero_grad()
    torch.cuda.set_per_process_memory_fraction(1.0)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="toy sizes on a CPU")
    parser.add_argument("--cpu", action="store_true", help="what needs no device")
    parser.add_argument("--side", type=int, default=8192, help="of the JPEG of --cpu, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="of --cpu; the best counts")
    parser.add_argument("--lora", type=int, metavar="RANK", default=0, help="a step of training too, with adapters")
    arguments = parser.parse_args()
    if arguments.cpu:
        side = 512 if arguments.toy else arguments.side
        jpeg = make_jpeg(side)
        print(json.dumps({"image_processor": measure_processor(jpeg, arguments.repeats)}))
        print(json.dumps({"loader": measure_loader(jpeg, side, num_images=2)}))
        return
    if arguments.toy:
        configs, sizes = [tiny_config(affinity=affinity) for affinity in AFFINITIES], (112, "cpu", torch.float32)
    else:
        print(torch.cuda.get_device_name())
        configs, sizes = [GeoLlavaConfig(affinity=affinity) for affinity in AFFINITIES], (8064, "cuda", torch.bfloat16)
    for config in configs:
        print(json.dumps({"affinity": config.affinity, **measure(config, *sizes)}), flush=True)
    if arguments.lora:
        found = measure_training(configs[0], *sizes, rank=arguments.lora, limits_gib=LIMITS_GIB)
        print(json.dumps({"training": {"lora_rank": arguments.lora, **found}}), flush=True)


if __name__ == "__main__":
    main()
