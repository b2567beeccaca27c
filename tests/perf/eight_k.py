"""One 8K image through the image processor, the loader and the 7B model: `python -m tests.perf.eight_k`.

With random weights on a CUDA device, within five minutes, a line of JSON for each part:

- `inference`, for both affinities: seconds to decode and cut a JPEG of 8,192 × 8,192 px here and there, of tower and
  pruning, from the JPEG's bytes to the first token, to 16 tokens, with the tower compiled and without, and the peak of
  device memory;
- `attention`: the first token with each implementation of transformers that is installed;
- `bench`: seconds per question of an image with 30 questions, as `rsvqa bench` asks them, with its beginning reused and
  without;
- `bits`: whether the weights of 8 and 4 bits keep the visual tokens of bf16;
- `training`: steps of `rsvqa train` with adapters, each run in a process of its own whose allocator is capped.

`--parts` chooses. `--cpu` prints what needs no device: seconds and memory of the image processor with one thread and
with all, and what the loader costs per image and per question. `--toy` runs the same code on a CPU at toy sizes, to see
that it works.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast
from unittest.mock import patch

import numpy as np
import simplejpeg
import torch
from PIL import Image

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.adapters.checkpoints import LoadedCheckpoint
from rsvqa.benchmark.adapters.transformers_model import TransformersModel
from rsvqa.benchmark.models import BenchImage, Prompt, PromptGroup, Reply
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.model import training
from rsvqa.model.checkpoints import load_checkpoint
from rsvqa.model.configuration_geollava import GeoLlavaConfig
from rsvqa.model.data import Collator, SampleDataset, list_samples
from rsvqa.model.image_processing_geollava import GeoLlavaImageProcessor, cut_cells, read_pixels, resize_bicubic
from rsvqa.model.modeling_geollava import GeoLlavaForConditionalGeneration, GeoLlavaImageFeatures
from rsvqa.model.ordering import Draw
from rsvqa.model.processing_geollava import GeoLlavaProcessor
from rsvqa.model.tiny import CHAT_FRAME, train_tokenizer
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.model.vision_tower import run_tower
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.model.make_models import tiny_config, tiny_processor
from tests.perf.pruning import resident_kib

NUM_QUESTIONS, TOKENS_PER_CELL = 7, 24
QUESTION, ANSWERING = "Which colour has the largest ship?", "Choices: (A) red (B) green"
AFFINITIES = ("cosine", "learned")
PARTS = ("inference", "attention", "bench", "bits", "training")
ATTENTIONS = ("sdpa", "flex_attention", "flash_attention_2")
NUM_ASKED, REPLY_TOKENS = 30, 16
"""Questions of an image in a benchmark, and tokens of a reply; random weights never end one themselves."""

ADAPTERS: Mapping[str, Any] = {"lora_rank": 16, "freeze": ["tower", "projector"], "batch_size": 1}
SHARED = {"questions_per_pass": NUM_QUESTIONS, "device_batch_size": NUM_QUESTIONS, "batch_size": NUM_QUESTIONS}


class TrainingCase(NamedTuple):
    """A run of a few steps.

    Attributes:
        changes: settings beside those of `ADAPTERS`.
        limit_gib: that the allocator is capped to; None for all there is.
    """

    changes: Mapping[str, Any]
    limit_gib: int | None


CASES: Mapping[str, TrainingCase] = {
    "base_bits 4": TrainingCase({"base_bits": 4}, 22),
    "mlp_chunk 2048": TrainingCase({"mlp_chunk": 2048}, 24),
    "plain": TrainingCase({}, 40),
    "questions_per_pass 7": TrainingCase(SHARED, None),
    "base_bits 4, mlp_chunk 2048": TrainingCase({"base_bits": 4, "mlp_chunk": 2048}, 16),
    "paged_adamw_8bit": TrainingCase({"optimizer": "paged_adamw_8bit"}, 40),
}
NUM_STEPS = 4
BITS: tuple[Literal[4, 8], ...] = (8, 4)


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
        write_questions(Path(folder), jpeg, side, num_images)
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


def write_questions(folder: Path, jpeg: bytes, side: int, num_images: int) -> None:
    """Write a data set of images that are all the same, with `NUM_QUESTIONS` questions each."""
    rows = [_rows(f"s:{number}", side, len(jpeg)) for number in range(num_images)]
    write_shards(folder, plan_shards(rows), load_images=lambda _: {"tile": jpeg})


def _rows(image_id: str, side: int, num_bytes: int) -> TileRows:
    tile = TileRecord(
        image_id=image_id, split="train", scene="s", window=Window(0, 0, side, side), images={"tile": num_bytes}
    )
    questions = (
        Record(
            question_id=f"{image_id}/OCL{number}",
            task="object_colour",
            question=QUESTION,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """What is measured, and where.

    Attributes:
        jpeg: of the image.
        side: of the image, pixels.
        processor: of the model.
        device: of torch.
        dtype: of the weights.
        is_toy: whether sizes are toys, whose figures say nothing.
    """

    jpeg: bytes
    side: int
    processor: GeoLlavaProcessor
    device: str
    dtype: torch.dtype
    is_toy: bool

    def config(self, affinity: str) -> GeoLlavaConfig:
        """Return the configuration of a model."""
        if self.is_toy:
            return tiny_config(affinity=affinity, tokens_per_cell=TOKENS_PER_CELL // 4)
        return GeoLlavaConfig(affinity=affinity, image_token_id=self.processor.image_token_id)

    def make_network(self, affinity: str = "cosine") -> GeoLlavaForConditionalGeneration:
        """Return a model with random weights, made on its device."""
        torch.manual_seed(0)
        with torch.device(self.device):
            made = GeoLlavaForConditionalGeneration._from_config(self.config(affinity), dtype=self.dtype).eval()
        network = cast(GeoLlavaForConditionalGeneration, made.to(self.device))
        network.generation_config.pad_token_id = 0
        return network

    def cut(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cells and the grid of the image, on the device."""
        inputs = self.processor.image_processor(self.jpeg, device=self.device)
        return inputs["pixel_values"], inputs["image_grid_thw"].to(self.device)

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Return the seconds of the second run of some work, when kernels are chosen and memory is there."""
        for _ in range(2):
            self._wait()
            start = time.perf_counter()
            work()
            self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def make_rig(*, is_toy: bool) -> Rig:
    """Return what the 7B model is measured with on a CUDA device, or a toy on the CPU."""
    if is_toy:
        return Rig(
            jpeg=make_jpeg(112),
            side=112,
            processor=tiny_processor(num_cell_tokens=TOKENS_PER_CELL // 4, do_normalize=False),
            device="cpu",
            dtype=torch.float32,
            is_toy=True,
        )
    processor = GeoLlavaProcessor(
        GeoLlavaImageProcessor(do_normalize=False),
        train_tokenizer(2 * [*CHAT_FRAME, QUESTION, ANSWERING], 400),
        num_cell_tokens=TOKENS_PER_CELL,
    )
    return Rig(jpeg=make_jpeg(8192), side=8192, processor=processor, device="cuda", dtype=torch.bfloat16, is_toy=False)


def prompt_ids(rig: Rig, num_cells: int) -> torch.Tensor:
    """Return a prompt of one image and a few words, [1, L]."""
    place = [rig.processor.image_token_id] * (num_cells * cast(int, rig.processor.num_cell_tokens))
    return torch.tensor([[5, *place, 6, 7]], device=rig.device)


@torch.inference_mode()
def measure_inference(rig: Rig, affinity: str) -> dict[str, float]:
    """Return seconds, visual tokens and the peak of device memory in GiB (CUDA only) of one image."""
    seconds = {
        "decode": rig.seconds_of(lambda: read_pixels(rig.jpeg)),
        "decode_and_process": rig.seconds_of(lambda: rig.processor.image_processor(rig.jpeg)),
        "decode_and_process_there": rig.seconds_of(rig.cut),
    }
    network = rig.make_network(affinity)
    cells, grids = rig.cut()
    ids = prompt_ids(rig, len(cells))
    chunk = cells[: network.config.vision_chunk]
    tower = network.model.vision_tower
    pixels = network.model._normalised(chunk)
    features, attention = run_tower(tower, pixels, projection="v_proj")
    numbers = torch.arange(len(chunk), device=rig.device)
    num_chunks = len(cells) / len(chunk)
    seconds["tower"] = num_chunks * rig.seconds_of(lambda: run_tower(tower, pixels, projection="v_proj"))
    seconds["pruning"] = num_chunks * rig.seconds_of(
        lambda: network.model._select(features[:, 1:], attention, numbers, None)
    )
    seconds["tower_and_pruning"] = rig.seconds_of(lambda: network.get_image_features(cells, grids))
    if rig.device == "cuda":
        torch.cuda.reset_peak_memory_stats()

    def reply(cells: torch.Tensor, num_tokens: int) -> None:
        network.generate(
            ids,
            pixel_values=cells,
            image_grid_thw=grids,
            min_new_tokens=num_tokens,
            max_new_tokens=num_tokens,
            do_sample=False,
        )

    seconds["first_token"] = rig.seconds_of(lambda: reply(cells, 1))
    seconds["tokens_16"] = rig.seconds_of(lambda: reply(cells, REPLY_TOKENS))
    seconds["first_token_from_bytes"] = rig.seconds_of(lambda: reply(rig.cut()[0], 1))
    found: dict[str, float] = {}
    if rig.device == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
    network.model.compile_tower()
    start = time.perf_counter()
    images = cast(tuple[torch.Tensor, ...], network.get_image_features(cells, grids).pooler_output)
    found["visual_tokens"] = sum(len(kept) for kept in images)
    seconds["first_image_compiled"] = time.perf_counter() - start
    seconds["tower_and_pruning_compiled"] = rig.seconds_of(lambda: network.get_image_features(cells, grids))
    seconds["first_token_from_bytes_compiled"] = rig.seconds_of(lambda: reply(rig.cut()[0], 1))
    return {name: round(value, 4) for name, value in seconds.items()} | found


@torch.inference_mode()
def measure_attention(rig: Rig) -> dict[str, Any]:
    """Return the seconds to the first token by implementation of the LLM's attention, or why there are none."""
    network = rig.make_network()
    cells, grids = rig.cut()
    ids = prompt_ids(rig, len(cells))
    found: dict[str, Any] = {}
    for name in ATTENTIONS:
        try:
            network.model.language_model.set_attn_implementation(name)
            found[name] = round(
                rig.seconds_of(
                    lambda: network.generate(ids, pixel_values=cells, image_grid_thw=grids, max_new_tokens=1)
                ),
                4,
            )
        except (ImportError, ValueError, RuntimeError) as error:
            found[name] = str(error).strip().splitlines()[0]
    return found


def measure_bench(rig: Rig) -> dict[str, float]:
    """Return seconds per question of an image in a benchmark, decoding it too."""
    checkpoint = LoadedCheckpoint(rig.make_network(), rig.processor, GeoLlavaConfig.model_type, "random")
    found: dict[str, float] = {}
    texts: dict[bool, list[str]] = {}
    for reuses, number in ((True, NUM_ASKED), (False, 2)):
        model = TransformersModel(checkpoint, BenchSettings(model="7b", reuse=reuses))
        prompts = tuple(make_prompt(place) for place in range(number))

        def ask(model: TransformersModel = model, prompts: tuple[Prompt, ...] = prompts) -> list[Reply]:
            image = BenchImage(read_pixels(rig.jpeg), rig.jpeg, "0" * 64)
            return [reply for reply in model.reply([PromptGroup((image,), prompts)]) if isinstance(reply, Reply)]

        seconds = rig.seconds_of(ask) / number
        found["seconds_per_question" if reuses else "seconds_per_question_alone"] = round(seconds, 4)
        texts[reuses] = [reply.text for reply in sorted(ask(), key=lambda reply: reply.key)]
    found["equal_replies"] = sum(a == b for a, b in zip(texts[True], texts[False], strict=False)) / len(texts[False])
    return found


def make_prompt(number: int) -> Prompt:
    """Return a question with a text of its own."""
    sample = Sample(
        sample_id=f"{number:02d}",
        task="object_colour",
        category="colour",
        l2_category="colour",
        language="en",
        form=AnswerForm.ONE_OF,
        question=QUESTION,
        images=(),
    )
    text = f"{QUESTION} {number} {ANSWERING}"
    return Prompt(key=sample.sample_id, sample=sample, text=text, max_new_tokens=REPLY_TOKENS)


@torch.inference_mode()
def measure_bits(rig: Rig, checkpoint: Path) -> dict[str, Any]:
    """Return the share of the visual tokens of plain weights that packed ones keep too, and what weights take."""

    def kept_of(bits: Literal[4, 8] | None) -> tuple[set[tuple[int, int]], float]:
        model = load_checkpoint(str(checkpoint), dtype=rig.dtype, converted=None, bits=bits).model.to(rig.device).eval()
        images: GeoLlavaImageFeatures = model.get_image_features(*rig.cut())
        cells, positions = (
            cast(tuple[torch.Tensor, ...], part)[0].tolist() for part in (images.cells, images.positions)
        )
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
        return set(zip(cells, positions, strict=True)), round(size / 2**30, 1)

    plain, size = kept_of(None)
    found: dict[str, Any] = {"visual_tokens": len(plain), "weights_gib": size}
    for bits in BITS:
        kept, size = kept_of(bits)
        found |= {f"same_tokens_{bits}_bits": len(plain & kept) / len(plain), f"weights_gib_{bits}_bits": size}
    return found


def measure_training(name: str, rig: Rig, checkpoint: Path, data: Path) -> dict[str, Any]:
    """Return seconds of a step per question and GiB of device memory of a run of `rsvqa train`, or that it did not fit.

    Adding the adapters to the weights, at the end, is left out: it reads the checkpoint once more on the CPU.
    """
    case = CASES[name]
    settings = load_settings(
        TrainingSettings,
        {
            "data": [str(data)],
            "init": str(checkpoint),
            "max_steps": NUM_STEPS,
            "log_every": 1,
            "save_every": 10**6,
            "eval_questions": 0,
            **ADAPTERS,
            **case.changes,
        },
    )
    if case.limit_gib and rig.device == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, case.limit_gib * 2**30 / torch.cuda.mem_get_info()[1]))
    found: dict[str, Any] = {"case": name, "limit_gib": case.limit_gib}
    with tempfile.TemporaryDirectory() as out, patch.object(training, "_save"):
        try:
            report = training.train(settings, Path(out) / "run")
        except torch.OutOfMemoryError:
            return found | {"seconds_per_question": "out of memory"}
    steps = [entry["images_per_s"] for entry in report["curve"] if "images_per_s" in entry]
    seconds = 1 / max(steps[1:])  # a step has one image; the first one waits for it, and for kernels
    found["seconds_per_question"] = round(seconds / settings.questions_per_pass, 3)
    if rig.device == "cuda":
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        found["expected_gib"] = round(report["timings"]["expected_memory_mib"] / 2**10, 1)
    return found


def save_checkpoint(rig: Rig, folder: Path) -> None:
    """Write a model with random weights and its processor."""
    rig.make_network().save_pretrained(folder)
    rig.processor.save_pretrained(folder)


def roomy_folder() -> Path:
    """Return a new folder for 16 GB: in memory, where there is room for it."""
    shared = Path("/dev/shm")
    is_roomy = shared.is_dir() and shutil.disk_usage(shared).free > 20 * 2**30
    return Path(tempfile.mkdtemp(dir=shared if is_roomy else None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toy", action="store_true", help="toy sizes on a CPU")
    parser.add_argument("--cpu", action="store_true", help="what needs no device")
    parser.add_argument("--side", type=int, default=8192, help="of the JPEG of --cpu, pixels")
    parser.add_argument("--repeats", type=int, default=3, help="of --cpu; the best counts")
    parser.add_argument("--parts", default=",".join(PARTS), help="of what needs a device")
    parser.add_argument("--cases", default=";".join(CASES), help="of training, separated by ;")
    arguments = parser.parse_args()
    if arguments.cpu:
        side = 512 if arguments.toy else arguments.side
        jpeg = make_jpeg(side)
        print(json.dumps({"image_processor": measure_processor(jpeg, arguments.repeats)}))
        print(json.dumps({"loader": measure_loader(jpeg, side, num_images=2)}))
        return
    rig = make_rig(is_toy=arguments.toy)
    if not arguments.toy:
        print(torch.cuda.get_device_name(), torch.__version__, flush=True)
    parts = arguments.parts.split(",")
    if "inference" in parts:
        for affinity in AFFINITIES:
            tell("inference", {"affinity": affinity, **measure_inference(rig, affinity)})
    if "attention" in parts:
        tell("attention", measure_attention(rig))
    if "bench" in parts:
        tell("bench", measure_bench(rig))
    if not {"bits", "training"}.isdisjoint(parts):
        measure_runs(rig, parts, arguments.cases.split(";"))


def measure_runs(rig: Rig, parts: list[str], cases: list[str]) -> None:
    """Measure what begins from a checkpoint on disk, each in a process of its own."""
    folder = roomy_folder()
    try:
        save_checkpoint(rig, folder / "checkpoint")
        write_questions(folder / "data", rig.jpeg, rig.side, num_images=2)
        if rig.device == "cuda":
            torch.cuda.empty_cache()
        context = multiprocessing.get_context("spawn")
        if "bits" in parts:
            with ProcessPoolExecutor(1, mp_context=context) as process:
                tell("bits", process.submit(measure_bits, rig, folder / "checkpoint").result())
        for name in cases if "training" in parts else ():
            with ProcessPoolExecutor(1, mp_context=context) as process:
                run = process.submit(measure_training, name, rig, folder / "checkpoint", folder / "data")
                tell("training", run.result())
    finally:
        shutil.rmtree(folder)


def tell(part: str, found: Mapping[str, Any]) -> None:
    """Print the figures of a part as one line."""
    print(json.dumps({part: found}), flush=True)


if __name__ == "__main__":
    main()
