"""A small data set for the page: one question of each kind that it shows differently, on a tile of 3000 x 2000 px."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shapely
import simplejpeg

from rsvqa.annotation.facts import Box
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_records import make_record, make_tile

WIDTH, HEIGHT = 3000, 2000
SQUARE = shapely.box(1200, 800, 1500, 1000)
BOX = Box(0.4, 0.4, 0.5, 0.5)
"""The box of `SQUARE`: 1200 and 1500 of 3000 px, 800 and 1000 of 2000 px."""
MARKUP = 'Is <img src=x onerror="document.title=1"> & <b>bold</b> a car?'


def make_image(seed: int) -> bytes:
    """Return a JPEG of coarse random squares, a bright one at `SQUARE`."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 160, (HEIGHT // 100, WIDTH // 100, 3), dtype=np.uint8)
    pixels = np.kron(coarse, np.ones((100, 100, 1), np.uint8))
    pixels[800:1000, 1200:1500] = (250, 250, 240)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=85))


def evidence(**more: Any) -> dict[str, Any]:
    return {"rule": "count_whole", "feature_ids": ["a:objects:1"], "values": {"count": 3}, **more}


def make_records(tile: TileRecord) -> tuple[Record, ...]:
    """Return the questions in the order in which the page shows them."""
    outlined = evidence(geometry=SQUARE.wkt)
    region = {"number": 1, "x": 1350, "y": 900, "radius": 200}
    asked = {
        "agreement": 0.5,
        "reasons": ["blind answers differ"],
        "notes": [{"step": "verify", "result": "disagreed"}],
    }
    yes_no: dict[str, Any] = {"options": ("(A) Yes", "(B) No"), "answer": "A"}
    pair = ("tile", "later")
    boxed = (
        f"What colour does the car have? Image resolution: {WIDTH} x {HEIGHT}. Bounding box: [1200, 800, 1500, 1000]."
    )
    colours = ("(A) red", "(B) blue", "(C) white", "(D) black")
    return (
        make_record(tile, question="How many cars are there?", evidence=outlined),
        make_record(tile, "object_presence", question=MARKUP, **yes_no),
        make_record(tile, "fine_grained_grounding", question="Please locate the car.", bbox=BOX, answer=str(list(BOX))),
        make_record(tile, "object_colour", question=boxed, options=colours, answer="C", bbox=BOX, evidence=outlined),
        make_record(
            tile,
            "change_counting",
            images=pair,
            question="By how many has it risen in circle 1?",
            evidence=evidence(region=region),
        ),
        make_record(tile, "detailed_captioning", question="What does this image show?", answer="A field.\nA road."),
        make_record(
            tile, "object_motion_state", question="Is the car parked?", **yes_no, evidence=evidence(annotation=asked)
        ),
    )


def write_data_set(folder: Path) -> Path:
    """Write the data set and return its folder."""
    images = {"tile": make_image(1), "later": make_image(2)}
    sizes = {key: len(data) for key, data in images.items()}
    tile = make_tile(
        "a:0_0", window=Window(0, 0, WIDTH, HEIGHT), images=sizes, gsd=0.3, date="2019-06-14", later_date="2023-07-02"
    )
    write_shards(folder, plan_shards([TileRows(tile, make_records(tile))]), load_images=lambda _: images)
    return folder


def write_bare_data_set(folder: Path) -> Path:
    """Write a data set of two tiles without questions and return its folder."""
    images = {"tile": make_image(1)}
    tiles = [
        make_tile(
            f"{scene}:0_0",
            scene=scene,
            window=Window(0, 0, WIDTH, HEIGHT),
            images={key: len(data) for key, data in images.items()},
            gsd=0.3,
        )
        for scene in ("harbour", "town")
    ]
    write_shards(folder, plan_shards([TileRows(tile) for tile in tiles]), load_images=lambda _: images)
    return folder


def write_proposed_data_set(folder: Path) -> Path:
    """Write a data set of one tile on which a model proposes two objects, a ship and a thing of no class."""
    images = {"tile": make_image(1)}
    sizes = {key: len(data) for key, data in images.items()}
    tile = make_tile("harbour:0_0", scene="harbour", window=Window(0, 0, WIDTH, HEIGHT), images=sizes, gsd=0.3)
    seen = {"ship": BOX, "gantry": Box(0.7, 0.2, 0.8, 0.3)}
    records = [
        make_record(
            tile,
            "fine_grained_grounding",
            number,
            question=f"Please locate the {name}.",
            bbox=box,
            answer=str(list(box)),
            source="llm",
            review="needed",
            evidence={
                "rule": "proposed_by_model",
                "feature_ids": [],
                "values": {"object": name, "description": f"the white {name}"},
                "annotation": {"notes": [{"step": "propose", "result": "proposed", "model": "a-model"}]},
            },
        )
        for number, (name, box) in enumerate(seen.items(), 1)
    ]
    write_shards(folder, plan_shards([TileRows(tile, tuple(records))]), load_images=lambda _: images)
    return folder
