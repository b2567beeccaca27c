"""Data sets whose colours stand in their pixels, with planted damage, and a run with adapters to select by."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg

from rsvqa.model.training import train
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.model.make_dataset import BROKEN, COLOURS, LETTERS, SIDE, make_settings

Damage = Callable[[Record, random.Random], Record]


def tinted(colour: str, rng: random.Random) -> bytes:
    """Return a JPEG of about a colour, no two alike."""
    tint = np.array(COLOURS[colour]) + [rng.randint(-25, 25) for _ in range(3)]
    pixels = np.full((SIDE, SIDE, 3), tint.clip(0, 255), np.uint8)
    data: bytes = simplejpeg.encode_jpeg(pixels, quality=95)
    return data


def colour_record(tile: TileRecord, colour: str, rng: random.Random) -> Record:
    """Return the question for a tile's colour, its letters dealt by chance."""
    options = list(COLOURS)
    rng.shuffle(options)
    return Record(
        question_id=f"{tile.image_id}/OCL1",
        task="object_colour",
        question="Which colour?",
        options=tuple(f"({letter}) {name}" for letter, name in zip(LETTERS, options, strict=True)),
        answer=LETTERS[options.index(colour)],
        tile=tile,
        language="en",
        images=("tile",),
    )


def make_colours(
    folder: Path,
    *,
    train_tiles: int,
    val_tiles: int = 0,
    seed: int = 0,
    change: Callable[[int, Record, random.Random], Record] | None = None,
    broken: Sequence[int] = (),
) -> Path:
    """Write a data set of one question for a colour per tile; `change` alters the record of a tile by its number."""
    rng = random.Random(seed)
    images: dict[str, bytes] = {}
    rows = []
    for number in range(train_tiles + val_tiles):
        image_id = f"{folder.name}:{number:04d}"
        colour = list(COLOURS)[number % 4]
        images[image_id] = BROKEN if number in broken else tinted(colour, rng)
        tile = TileRecord(
            image_id=image_id,
            split="train" if number < train_tiles else "val",
            scene="s",
            window=Window(SIDE * number, 0, SIDE, SIDE),
            images={"tile": len(images[image_id])},
        )
        record = colour_record(tile, colour, rng)
        rows.append(TileRows(tile, (record if change is None else change(number, record, rng),)))
    write_shards(folder, plan_shards(rows), load_images=lambda tile: {"tile": images[tile.image_id]})
    return folder


def make_run(folder: Path, data: Path, *, steps: int = 300, adapter_steps: int = 20, reading_steps: int = 300) -> Path:
    """Train a small model that knows the colours, then adapters on it; return the folder of the run with adapters."""
    recipe: dict[str, Any] = {
        "tiny": {
            "cell_size": SIDE,
            "patch_size": 8,
            "max_grid": 1,
            "width": 32,
            "heads": 2,
            "tower_layers": 2,
            "llm_layers": 2,
            "reading_steps": reading_steps,
        },
        "batch_size": 32,
        "device_batch_size": 32,
        "mixed_groups": 64,
        "save_every": 10_000,
        "log_every": 50,
    }
    train(make_settings(data, max_steps=steps, **recipe), folder / "whole")
    adapters = {
        "init": str(folder / "whole"),
        "lora_rank": 4,
        "freeze": ["tower", "projector"],
        "lr_llm": 1e-3,
        "deal_again": True,
        "max_steps": adapter_steps,
        "batch_size": 16,
        "device_batch_size": 16,
        "mixed_groups": 64,
        "max_grid": "checkpoint",
    }
    train(make_settings(data, **adapters), folder / "adapted")
    return folder / "adapted"
