"""The unit of work."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from shapely import box

from rsvqa.annotation.asking import AskSettings
from rsvqa.annotation.facts import Outline, TileFacts
from rsvqa.annotation.questions import NotAsked, Question
from rsvqa.annotation.tasks import registry
from rsvqa.annotation.tasks.registry import TaskContext
from rsvqa.rsvqa_builder.labels.features import Features
from rsvqa.rsvqa_builder.labels.raw import object_array
from rsvqa.rsvqa_builder.settings import ImageFormat
from rsvqa.rsvqa_builder.tiles import preparing
from rsvqa.rsvqa_builder.tiles.tile_work import ask_what_works, encode

FACTS = TileFacts(tile_id="t", width=64, height=64, classes={})
PIXELS = np.zeros((64, 64, 3), np.uint8)


def broken(_: TaskContext) -> Iterator[Question | NotAsked]:
    raise IndexError("of course")


def test_a_task_that_raises_is_left_out_and_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._REGISTERED, "overall_counting", broken)
    asked, failures = ask_what_works(FACTS, PIXELS, AskSettings({"overall_counting": 1, "route_planning": 1}))
    assert failures == {
        "overall_counting": "task overall_counting failed on tile t: IndexError: of course; please report it"
    }
    assert asked.not_asked == {"route_planning": {"no roads": 1}}


def test_png_keeps_every_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 30, 3), np.uint8)
    again = np.asarray(Image.open(io.BytesIO(encode(pixels, ImageFormat.PNG, 90))))
    assert np.array_equal(again, pixels)


def test_jpeg_keeps_the_colour_of_a_small_object() -> None:
    # 4 × 4 red pixels on grey: with chroma at half size (4:2:0) the colour would bleed over its edge
    pixels = np.full((32, 32, 3), 128, np.uint8)
    pixels[9:13, 9:13] = (200, 30, 30)
    again = simplejpeg.decode_jpeg(encode(pixels, ImageFormat.JPEG, 90))
    assert np.abs(again[10:12, 10:12].astype(int) - (200, 30, 30)).max() < 25


def test_a_worker_that_makes_tiles_does_not_import_what_reads_labels(tmp_path: Path) -> None:
    # each worker is a fresh process: pandas alone takes it 0.3 s and 40 MB, and arrow imports it for a word
    features = Features(("a:0",), ("car",), object_array([box(0, 0, 9, 9)]), (Outline.BOX,), np.ones(1, bool), ({},))
    path = preparing._store_features(features, tmp_path, 0)
    code = (
        "import sys\nfrom types import SimpleNamespace\nfrom pathlib import Path\n"
        "from rsvqa.rsvqa_builder.scenes.tiling import Window\nfrom rsvqa.rsvqa_builder.tiles import tile_work\n"
        f"work = SimpleNamespace(labels=Path({str(path)!r}))\n"
        "assert len(tile_work.load_features(work, Window(0, 0, 5, 5))) == 1\n"
        "assert len(tile_work.load_features(work, Window(50, 0, 5, 5))) == 0\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    imported = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "shapely" in imported
    assert not set(imported) & {"pandas", "pyogrio", "geopandas", "matplotlib", "torch", "transformers", "typer"}
