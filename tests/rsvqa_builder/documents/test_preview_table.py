"""The preview configuration: a question per task, its evidence drawn on a small picture, read back by `datasets`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from rsvqa.annotation.facts import Box
from rsvqa.rsvqa_builder.dataset.records import TileRecord
from rsvqa.rsvqa_builder.documents.preview_images import SampleImages
from rsvqa.rsvqa_builder.documents.preview_table import PREVIEW, write_preview_table
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_records import make_record, make_tile

WIDTH, HEIGHT = 2048, 1024
GREY: bytes = simplejpeg.encode_jpeg(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
TILE = make_tile(window=Window(0, 0, WIDTH, HEIGHT), images={"tile": len(GREY)})
# from (512, 256) to (1024, 512) pixels of the tile, a quarter of that in the picture
BOXED = make_record(TILE, "fine_grained_grounding", bbox=Box(0.25, 0.25, 0.5, 0.5), answer="[0.25, 0.25, 0.5, 0.5]")
COUNTED, AGAIN = make_record(TILE), make_record(TILE, number=2)


def load(tile: TileRecord, key: str) -> bytes:
    return GREY


def test_the_first_question_of_each_task_is_there_with_small_pictures(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="comes with the extra 'test'")
    info = write_preview_table(tmp_path, [COUNTED, AGAIN, BOXED], images=SampleImages(load))
    assert info is not None
    assert info == (PREVIEW, "preview", 2, 1, (tmp_path / PREVIEW).stat().st_size)
    rows = datasets.Dataset.from_parquet(str(tmp_path / PREVIEW), cache_dir=str(tmp_path / "cache"))
    assert rows["question_id"] == [COUNTED.question_id, BOXED.question_id]
    assert [[picture.size for picture in pictures] for pictures in rows["image"]] == [[(512, 256)]] * 2
    assert rows["image_width"] == [WIDTH, WIDTH]
    plain, boxed = (np.asarray(pictures[0]).astype(int) for pictures in rows["image"])
    assert abs(plain - 90).max() <= 3  # nothing is drawn without evidence
    # yellow on the left edge of the box, which lies at x = 512 / 4, and the picture itself within and without
    assert boxed[96, 128, 0] > 180 > 120 > boxed[96, 128, 2]
    assert abs(boxed[96, 160] - 90).max() <= 5
    assert abs(boxed[96, 60] - 90).max() <= 5


def test_the_same_samples_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_preview_table(tmp_path / name, [BOXED, COUNTED], images=SampleImages(load))
    assert (tmp_path / "one" / PREVIEW).read_bytes() == (tmp_path / "two" / PREVIEW).read_bytes()


def test_no_question_is_no_file(tmp_path: Path) -> None:
    assert write_preview_table(tmp_path, [], images=SampleImages(load)) is None
    assert list(tmp_path.iterdir()) == []
