"""The page of the visual tokens that are kept, for samples of a training run."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from rsvqa.annotation.images import Pixels
from rsvqa.model.checkpoints import StartingPoint, load_checkpoint
from rsvqa.model.conversations import chat_messages, render_chat
from rsvqa.model.data import ImageCache, TrainingDataError, TrainingSample, leave_pixels, list_samples, select_samples
from rsvqa.model.trainer import TrainingError
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.prompts import exchange_of
from rsvqa.rsvqa_builder.documents.token_page import TokenPicture, pictures_of, pruning_of, write_token_page

_LONGEST_REPLY = 128
"""Tokens."""


def show_samples(run: Path, page: Path, *, split: str = "val", limit: int = 4, seed: int = 0) -> list[str]:
    """Write a page of what a trained model keeps of some samples and replies to them; return the samples' names.

    Args:
        run: folder of a training run that has ended.
        page: the file to write.
        split: of the run's data.
        limit: most samples, drawn by chance: of as many tasks as there are, each of images of its own.
        seed: of the draw.

    Raises:
        TrainingError: the folder holds no trained model.
        NoShardsError: the data has no such split.
        TrainingDataError: the split has no sample whose images can be read.
    """
    config = run / "train.toml"
    if not config.exists() or not (run / "config.json").exists():
        raise TrainingError(
            f"{run} holds no trained model and its settings; expected a folder that `rsvqa train` wrote"
        )
    settings = load_settings(TrainingSettings, {}, config=config)
    listed = list_samples([Path(folder) for folder in settings.data], split=split)
    chosen = select_samples(
        listed, tasks=settings.task_names, max_length=1, count_tokens=lambda records: [0] * len(records)
    ).samples
    shown = _draw(chosen, limit, random.Random(seed))
    if not shown:
        raise TrainingDataError(f"none of the images of split {split} can be read")
    start = load_checkpoint(str(run), dtype=torch.float32, converted=None)
    start.model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    pictures: list[TokenPicture] = []
    exchanges: list[tuple[str, str]] = []
    for sample, pixels in shown:
        seen_as, reply = _look(start, sample, pixels)
        pictures += seen_as
        prompt, answer = exchange_of(sample.record)
        exchanges.append((f"{sample.record.tile.image_id}: {prompt}", f"{reply}\n(right: {answer})"))
    write_token_page(
        page,
        pictures,
        title=f"Samples of split {split}, seen by {run.name}",
        pruning=pruning_of(start.model.config),
        exchanges=exchanges,
    )
    return [sample.name for sample, _ in shown]


def _draw(
    samples: Sequence[TrainingSample], limit: int, rng: random.Random
) -> list[tuple[TrainingSample, tuple[Pixels, ...]]]:
    """Return samples by chance with their images, of the tasks by turns, and each of a tile of its own."""
    images = ImageCache(leave_pixels)
    left = rng.sample(samples, len(samples))
    drawn: list[tuple[TrainingSample, tuple[Pixels, ...]]] = []
    of_task: Counter[str] = Counter()
    while left and len(drawn) < limit:
        sample = min(left, key=lambda one: of_task[one.task])
        pixels = images.images_of(sample)
        if pixels is not None:
            drawn.append((sample, pixels))
            of_task[sample.task] += 1
        left = [one for one in left if one.record.tile.image_id != sample.record.tile.image_id]
    return drawn


@torch.inference_mode()
def _look(start: StartingPoint, sample: TrainingSample, pixels: Sequence[Pixels]) -> tuple[list[TokenPicture], str]:
    """Return the images of a sample with the tokens that are kept of them, and what the model replies."""
    model, processor = start.model, start.processor
    prompt = render_chat(chat_messages(sample.record), processor).prompt
    inputs = dict(processor(list(pixels), prompt, return_tensors="pt", return_placements=True))
    given = {name: values.to(model.device) for name, values in inputs.items() if name != "image_placements"}
    found = model.get_image_features(given["pixel_values"], given["image_grid_thw"])
    names = [sample.record.tile.image_id] * len(pixels)
    pictures = pictures_of(found, inputs, model.config, images=pixels, names=names)
    new = model.generate(**given, max_new_tokens=_LONGEST_REPLY, do_sample=False)
    reply = processor.batch_decode(new[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)[0]
    return pictures, str(reply)
