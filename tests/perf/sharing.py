"""Seconds of a training step per question, alone and with others of its image: `python -m tests.perf.sharing`.

A small model on an image of many visual tokens, on the CPU: forward and backward pass of eight questions, with each
number of questions per pass, in turn; the best round counts. Prints processor seconds per question, and how many times
faster that is than alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsvqa.model.data import Collator, SampleDataset, list_samples
from rsvqa.model.joining import PassCollator, PassDataset, branch_mask
from rsvqa.model.ordering import Draw
from rsvqa.model.reply_loss import num_last_positions, predicting_positions, reply_loss
from rsvqa.model.tiny import CHAT_FRAME, make_tiny
from rsvqa.model.training_settings import TinySettings
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.perf.eight_k import make_jpeg

NUM_QUESTIONS = 8
ANSWERING = "Answer with the letter of the right choice. Choices: (A) red (B) green"
QUESTION = "Which colour has the largest ship that lies in the northern harbour of the image?"


def write_questions(folder: Path, side: int) -> None:
    """Write a data set of one image with `NUM_QUESTIONS` questions."""
    jpeg = make_jpeg(side)
    tile = TileRecord(
        image_id="s:0", split="train", scene="s", window=Window(0, 0, side, side), images={"tile": len(jpeg)}
    )
    records = tuple(
        Record(
            question_id=f"s:0/OCL{number}",
            task="object_colour",
            question=QUESTION,
            options=("(A) red", "(B) green"),
            answer="AB"[number % 2],
            tile=tile,
            language="en",
            images=("tile",),
        )
        for number in range(NUM_QUESTIONS)
    )
    write_shards(folder, plan_shards([TileRows(tile, records)]), load_images=lambda _: {"tile": jpeg})


def loss_of(model: Any, batch: dict[str, Any]) -> Tensor:
    """Return the loss of a batch of either collator."""
    inputs = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    labels, branches = inputs.pop("labels"), inputs.pop("branches", None)
    if branches is None:
        logits = model(**inputs, logits_to_keep=num_last_positions(labels), use_cache=False).logits
        return reply_loss(logits, labels, num_labels=1)
    positions = predicting_positions(labels)
    logits = model(**inputs, attention_mask=branch_mask(branches), logits_to_keep=positions, use_cache=False).logits
    return reply_loss(logits, labels, num_labels=1, positions=positions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, default=8, help="cells along a side of the image")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes = TinySettings(cell_size=64, patch_size=8, max_grid=arguments.grid, width=arguments.width, vocabulary=340)
    model, processor = make_tiny(2 * [*CHAT_FRAME, QUESTION, ANSWERING], sizes, seed=0)
    model.config.tokens_per_cell = processor.num_cell_tokens = 24
    best: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_questions(Path(folder), sizes.cell_size * arguments.grid)
        samples = list_samples([Path(folder)], split="train")
        steps: dict[int, list[dict[str, Any]]] = {}
        for number in (1, 2, 4, 8):
            draws = [Draw(place, 0, joins=place % number > 0) for place in range(NUM_QUESTIONS)]
            loaded = SampleDataset(samples, draws, prepare=Collator(processor).prepare)
            passes = PassDataset(loaded, draws)
            if number == 1:
                steps[number] = [Collator(processor)([*passes[place]]) for place in range(len(passes))]
            else:
                steps[number] = [PassCollator(processor)([passes[place]]) for place in range(len(passes))]
        for _ in range(arguments.rounds):
            for number, batches in steps.items():
                start = time.process_time()
                for batch in batches:
                    loss_of(model, batch).backward()
                seconds = (time.process_time() - start) / NUM_QUESTIONS
                best[number] = min(best.get(number, seconds), seconds)
    lengths = {number: batches[0]["input_ids"].shape[1] for number, batches in steps.items()}
    for number, seconds in best.items():
        found = {"questions_per_pass": number, "tokens": lengths[number], "seconds_per_question": round(seconds, 4)}
        print(json.dumps(found | {"times_faster": round(best[1] / seconds, 2)}))


if __name__ == "__main__":
    main()
