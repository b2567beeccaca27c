"""Tiny data sets in every layout in which XLRS-Bench is found, and in ours."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import TASKS
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window

HEIGHT, WIDTH = 40, 60
OPTIONS = ["(A) red", "(B) green", "(C) blue", "(D) grey"]
INSTRUCTION = (
    "\nSelect the best answer for the multiple-choice question based on the image. Only respond with the letter "
    "corresponding to the correct answer (A, B, C, D).\nThe answer is:"
)
Row = dict[str, Any]


def make_pixels(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return an image that differs from that of every other number."""
    pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), np.uint8)
    return np.ascontiguousarray(pixels.repeat(4, axis=0).repeat(4, axis=1))


def jpeg(number: int) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(make_pixels(number), quality=95)
    return data


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_pixels(number)).save(buffer, "PNG")
    return buffer.getvalue()


def vqa_row(index: int, category: str = "Object properties/Object color", **changes: Any) -> Row:
    """Return a row of XLRS-Bench-lite; four neighbours share an image, every other of which is a PNG."""
    image = index // 4
    row = {
        "index": index,
        "path": f"images/{image}.png",  # also where the bytes are JPEG, as in the published files
        "image": [{"bytes": (png if image % 2 else jpeg)(image), "path": f"{image}.png"}],
        "question": f"Which colour has thing {index}?",
        "multi-choice options": list(OPTIONS),
        "answer": "ABCD"[index % 4],
        "category": category,
        "l2-category": category.split("/")[0],
    }
    return row | changes


def vqa_rows(count: int = 8) -> list[Row]:
    return [vqa_row(index) for index in range(count)]


def two_date_row(index: int) -> Row:
    images = [{"bytes": jpeg(100 + index + date), "path": f"{index}_{date}.png"} for date in (0, 1)]
    return vqa_row(index, "Counting/Counting with changing detection", image=images)


def caption_row(number: int, **changes: Any) -> Row:
    row = {
        "id": number,
        "question_id": f"c{number}",
        "question": "Describe the image.",
        "answer": [f"A town with {number} parks."],
        "image": {"bytes": jpeg(200 + number), "path": f"{number}.png"},
    }
    return row | changes


def grounding_row(number: int, **changes: Any) -> Row:
    row = {
        "image_width": WIDTH,
        "image_height": HEIGHT,
        "question_id": f"g{number}",
        "image": {"bytes": jpeg(300 + number), "path": f"{number}.png"},
        "question": f"Where is building {number}?",
        "answer": "[0.1, 0.2, 0.3, 0.4]",
        "bbox": [0.1, 0.2, 0.3, 0.4],
        "category": "Fine-grained Visual Grounding",
        "path": f"{number}.png",
    }
    return row | changes


def to_dataset(rows: Sequence[Row]) -> Any:
    """Return the rows as a `datasets.Dataset` whose images are typed as such."""
    import datasets

    many = isinstance(rows[0]["image"], list)
    plain = datasets.Dataset.from_list([{**row, "image": None} for row in rows]).features
    features = {**plain, "image": datasets.List(datasets.Image()) if many else datasets.Image()}
    return datasets.Dataset.from_list(list(rows), features=datasets.Features(features))


def write_arrow(folder: Path, rows: Sequence[Row], *, num_shards: int = 1) -> Path:
    """Write what `save_to_disk` writes."""
    to_dataset(rows).save_to_disk(folder, num_shards=num_shards)
    return folder


def write_parquet(path: Path, rows: Sequence[Row], *, row_group: int = 1000) -> Path:
    """Write a parquet file as `datasets` does, every row with its own copy of its images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    to_dataset(rows).to_parquet(path, batch_size=row_group)
    return path


def write_jsonl(path: Path, rows: Sequence[Row]) -> Path:
    """Write JSON lines as VLMEvalKit's copy has them: base64 images, options as one text with its instruction."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            options = "\n".join(row["multi-choice options"]) + INSTRUCTION
            texts = [base64.b64encode(image["bytes"]).decode() for image in row["image"]]
            image = texts[0] if len(texts) == 1 else texts
            file.write(json.dumps({**row, "multi-choice options": options, "image": image}, ensure_ascii=False) + "\n")
    return path


def make_built(folder: Path, *, tiles: int = 3, test_tiles: int = 2, later: bool = False) -> Path:
    """Write a data set as `rsvqa build` does: two questions with options, a caption and a box a tile."""
    images: dict[str, dict[str, bytes]] = {}
    rows = []
    for number in range(tiles + test_tiles):
        image_id = f"s:{number}"
        images[image_id] = {"tile": jpeg(400 + number)} | ({"later": jpeg(500 + number)} if later else {})
        split = "train" if number < tiles else "test"
        sizes = {key: len(data) for key, data in images[image_id].items()}
        tile = TileRecord(
            image_id=image_id, split=split, scene="s", window=Window(WIDTH * number, 0, WIDTH, HEIGHT), images=sizes
        )
        rows.append(TileRows(tile, _records(tile, number)))
    write_shards(folder, plan_shards(rows), load_images=lambda tile: images[tile.image_id])
    return folder


def _records(tile: TileRecord, number: int) -> tuple[Record, ...]:
    both = tuple(key for key in ("tile", "later") if key in tile.images)

    def record(task: str, *, images: tuple[str, ...] = ("tile",), **fields: Any) -> Record:
        question = f"{TASKS[task].short} of {number}?"
        question_id = f"{tile.image_id}/{TASKS[task].short}1"
        return Record(
            question_id=question_id, tile=tile, task=task, language="en", question=question, images=images, **fields
        )

    return (
        record("object_colour", options=tuple(OPTIONS), answer="ABCD"[number % 4]),
        record("object_presence", options=("(A) yes", "(B) no"), answer="AB"[number % 2]),
        record("detailed_captioning", answer=f"Town {number}."),
        record("fine_grained_grounding", answer="[0.1, 0.2, 0.3, 0.4]", bbox=Box(0.1, 0.2, 0.3, 0.4)),
        *([record("change_counting", images=both, options=tuple(OPTIONS), answer="C")] if len(both) == 2 else []),
    )
