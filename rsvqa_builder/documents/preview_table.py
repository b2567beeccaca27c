"""Write `preview/preview.parquet`: a question of each task with what its answer rests on drawn on a small picture.

The viewer of the Hugging Face Hub shows it first: tiles of 8,192 px are more than it draws. The columns are those of
the shards, so `image_width` and `image_height` are the tile's and not the picture's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from PIL import Image, ImageDraw

from rsvqa.annotation.images import Pixels
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage, TableWriter, table_schema
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.dataset.rows import COLUMNS, encode
from rsvqa.rsvqa_builder.dataset.shards import ShardInfo
from rsvqa.rsvqa_builder.documents.drawing import lines_of
from rsvqa.rsvqa_builder.documents.preview import focus_of
from rsvqa.rsvqa_builder.documents.preview_images import SampleImages, jpeg_within

PREVIEW = "preview/preview.parquet"
SIDE = 512
"""Longest side of a picture, pixels."""

_MAX_BYTES = 200_000
_COLOUR, _EDGE = (255, 214, 0), (0, 0, 0)


def write_preview_table(folder: Path, samples: Sequence[Record], *, images: SampleImages) -> ShardInfo | None:
    """Write the first sample of each task into `folder` and return the file; None, and no file, without any."""
    first = {record.task: record for record in reversed(samples)}
    chosen = [record for record in samples if first[record.task] is record]
    if not chosen:
        return None
    rows = [
        encode(number, record.tile, record, [_picture(record, key, images) for key in record.images])
        for number, record in enumerate(chosen)
    ]
    with TableWriter(folder / PREVIEW, table_schema(COLUMNS)) as writer:
        writer.write_row_group(rows)
    return ShardInfo(PREVIEW, "preview", len(rows), 1, (folder / PREVIEW).stat().st_size)


def _picture(record: Record, key: str, images: SampleImages) -> EncodedImage:
    pixels = _drawn(images.reduced(record.tile, key, SIDE), record)
    return EncodedImage(f"{record.question_id}_{key}.jpg", jpeg_within(pixels, _MAX_BYTES))


def _drawn(pixels: Pixels, record: Record) -> Pixels:
    """Return a picture of the whole tile with the box, the circle and the geometry of a question on it."""
    focus = focus_of(record)
    picture = Image.fromarray(pixels)
    scale = picture.width / record.tile.window.width
    shapes = [] if focus.geometry is None else [focus.geometry]
    if focus.box is not None:
        shapes.append(shapely.box(*focus.box))
    if focus.region is not None:
        x, y, radius = focus.region
        shapes.append(shapely.Point(x, y).buffer(radius))
    draw = ImageDraw.Draw(picture)
    for colour, width in ((_EDGE, 4), (_COLOUR, 2)):
        for shape in shapes:
            for points in lines_of(shape):
                draw.line([(x * scale, y * scale) for x, y, *_ in points], fill=colour, width=width)
    return np.asarray(picture)
