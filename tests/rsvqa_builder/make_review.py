"""A small data set on disk with a review of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rsvqa.annotation.facts import Box
from rsvqa.annotation.review.content import EditableContent
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.annotation.review.store import ReviewStore
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.reviewing.serve import open_review
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile

WIDTH, HEIGHT = 200, 100
EVIDENCE = {"rule": "by_hand", "feature_ids": ["a:1"], "values": {"count": 3}}
MARKED = {**EVIDENCE, "region": {"number": 1, "x": 50, "y": 50, "radius": 20}}


def tile_records(tile: TileRecord) -> tuple[Record, ...]:
    """Return questions of four kinds about a tile: options, a box to be found, a box in the text, a circle."""
    box = Box(0.25, 0.2, 0.5, 0.4)
    boxed = f"What colour does the car have? Image resolution: {WIDTH} x {HEIGHT}. Bounding box: [50, 20, 100, 40]."
    colours = ("(A) red", "(B) blue", "(C) white", "(D) black")
    return (
        make_record(tile, question="How many cars are there?"),
        make_record(tile, "fine_grained_grounding", question="Please locate the car.", bbox=box, answer=str(list(box))),
        make_record(tile, "object_colour", question=boxed, options=colours, answer="C", bbox=box, review="needed"),
        make_record(
            tile,
            "regional_counting",
            question="How many cars lie within red circle 1?",
            images=("tile_marked",),
            evidence=MARKED,
        ),
    )


def write_data_set(folder: Path) -> Path:
    """Write a data set of two tiles in train and one in val, four questions each, and return its folder."""
    images = {"tile": make_jpeg(WIDTH, HEIGHT), "tile_marked": make_jpeg(WIDTH, HEIGHT)}
    sizes = {key: len(data) for key, data in images.items()}
    tiles = [make_tile("a:0_0", images=sizes)]
    tiles.append(dataclasses.replace(tiles[0], image_id="b:0_0", scene="b"))
    tiles.append(dataclasses.replace(tiles[0], image_id="c:0_0", scene="c", split="val"))
    rows = [TileRows(tile, tile_records(tile)) for tile in tiles]
    write_shards(folder, plan_shards(rows), load_images=lambda _: images)
    return folder


@contextmanager
def reviewed(folder: Path, *, double: float = 0.0) -> Iterator[ReviewStore]:
    """Yield the store of a review of all questions."""
    with open_review(folder, QueueSettings(sample=1, double=double)) as (store, *_):
        yield store


def decide(
    store: ReviewStore, question_id: str, reviewer: str = "ann", *, after: EditableContent | None = None
) -> None:
    """Accept a question, or fix it when `after` is given."""
    content = store.question(question_id).content if after is None else after
    request_id = f"{reviewer} {question_id} yes"
    store.decide(question_id, reviewer, "fixed" if after else "accepted", request_id=request_id, after=content)


def reject(store: ReviewStore, question_id: str, reason: str, reviewer: str = "ann") -> None:
    """Reject a question."""
    store.decide(question_id, reviewer, "rejected", request_id=f"{reviewer} {question_id} no", reason=reason)
