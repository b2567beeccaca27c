"""A small data set on disk whose answers stand in its pixels, and the settings of a small run on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from rsvqa.annotation.facts import Box
from rsvqa.model.training_settings import TrainingSettings
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window

SIDE = 32
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "grey": (128, 128, 128)}
LETTERS = "ABCD"
BROKEN = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + b"IHDR" + SIDE.to_bytes(4) + SIDE.to_bytes(4) + b"\x08\x02"
"""A PNG that says its size and ends."""
TINY = {
    "cell_size": 32,
    "patch_size": 8,
    "max_grid": 1,
    "width": 16,
    "heads": 2,
    "tower_layers": 2,
    "llm_layers": 1,
    "reading_steps": 2,
}


def encode(colour: tuple[int, int, int]) -> bytes:
    """Return a JPEG of one colour."""
    data: bytes = simplejpeg.encode_jpeg(np.full((SIDE, SIDE, 3), colour, np.uint8), quality=95)
    return data


def make_records(tile: TileRecord, number: int) -> tuple[Record, ...]:
    """Return three questions about a tile: its colour, a caption, a box."""
    names = list(COLOURS)
    colour = names[number % 4]
    options = names[number % 3 :] + names[: number % 3]  # the right letter moves
    common: dict[str, Any] = {"tile": tile, "language": "en", "images": ("tile",)}
    return (
        Record(
            question_id=f"{tile.image_id}/OCL1",
            task="object_colour",
            question="Which colour?",
            options=tuple(f"({letter}) {name}" for letter, name in zip(LETTERS, options, strict=True)),
            answer=LETTERS[options.index(colour)],
            **common,
        ),
        Record(
            question_id=f"{tile.image_id}/DIC1",
            task="detailed_captioning",
            question="Describe.",
            answer=f"All is {colour}, " + "indeed " * (number % 5),
            **common,
        ),
        Record(
            question_id=f"{tile.image_id}/FVG1",
            task="fine_grained_grounding",
            question="Where?",
            answer="[0.1, 0.2, 0.3, 0.4]",
            bbox=Box(0.1, 0.2, 0.3, 0.4),
            **common,
        ),
    )


def make_dataset(folder: Path, *, tiles: int = 8, val_tiles: int = 4, broken: tuple[int, ...] = ()) -> Path:
    """Write a data set of single-coloured tiles below `folder`; those of `broken` tiles cannot be decoded."""
    images: dict[str, bytes] = {}
    rows = []
    for number in range(tiles + val_tiles):
        image_id = f"s:{number}"
        images[image_id] = BROKEN if number in broken else encode(COLOURS[list(COLOURS)[number % 4]])
        window = Window(SIDE * number, 0, SIDE, SIDE)
        split = "train" if number < tiles else "val"
        tile = TileRecord(
            image_id=image_id, split=split, scene="s", window=window, images={"tile": len(images[image_id])}
        )
        rows.append(TileRows(tile, make_records(tile, number)))
    write_shards(folder, plan_shards(rows), load_images=lambda tile: {"tile": images[tile.image_id]})
    return folder


def make_settings(data: Path, **changes: Any) -> TrainingSettings:
    """Return settings of a run of seconds; `tiny` changes go into its table."""
    values: dict[str, Any] = {
        "data": [str(data)],
        "init": "tiny",
        "batch_size": 4,
        "device_batch_size": 2,
        "mixed_groups": 3,
        "log_every": 1,
        "save_every": 2,
        "eval_every": 0,
        "eval_questions": 0,
        "tokens_per_cell": 4,
        "precision": "fp32",
        "tiny": TINY,
    }
    return load_settings(TrainingSettings, values | changes)
