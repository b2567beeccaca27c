"""Images of a benchmark that were trained on are found and told of."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.contamination import find_trained_on
from rsvqa.benchmark.files.datasets import open_dataset
from rsvqa.benchmark.files.run_record import read_run_record
from rsvqa.benchmark.samples import ImageSource
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.make_samples import make_sample
from tests.benchmark.make_xlrs import jpeg, make_pixels, vqa_row, vqa_rows, write_jsonl
from tests.run_build import rsvqa


def train_on(folder: Path, **images: bytes) -> Path:
    folder.mkdir()
    for name, encoded in images.items():
        (folder / f"{name}.jpg").write_bytes(encoded)
    return folder


def test_images_are_known_again_by_bytes_and_by_look(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(12))  # three images of four questions
    samples = open_dataset(BenchSettings(model="random", data=str(data))).samples
    copy = simplejpeg.encode_jpeg(make_pixels(1), quality=80)
    found = find_trained_on(samples, [str(train_on(tmp_path / "set", same=jpeg(0), copy=copy, other=jpeg(77)))])
    assert (found.num_images, found.num_trained_on, found.num_questions) == (3, 3, 8)
    assert found.by == {"bytes": 1, "look": 1}
    assert [(one.question, Path(one.image).stem, one.by) for one in found.seen] == [
        ("0", "same", "bytes"),
        ("4", "copy", "look"),
    ]


def encoded(pixels: np.ndarray[Any, np.dtype[np.uint8]], kind: str, scale: float = 1.0) -> bytes:
    image = Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.resize((int(image.width * scale), int(image.height * scale))).save(buffer, kind)
    return buffer.getvalue()


def painted(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return 300 × 400 px of rectangles, others for each number."""
    generator = np.random.default_rng(number)
    pixels = np.full((300, 400, 3), 90, np.uint8)
    for _ in range(60):
        (top, left), (height, width) = generator.integers(0, (280, 380)), generator.integers(5, 60, 2)
        pixels[top : top + height, left : left + width] = generator.integers(0, 255, 3)
    return pixels


def test_copies_in_other_formats_sizes_and_names_are_known_again(tmp_path: Path) -> None:
    plain = np.full((300, 400, 3), 90, np.uint8)
    shown = [*(encoded(painted(number), "JPEG") for number in range(5)), encoded(plain, "PNG")]
    rows = [vqa_row(n, image=[{"bytes": one, "path": f"{n}.png"}]) for n, one in enumerate(shown)]
    samples = open_dataset(BenchSettings(model="random", data=str(write_jsonl(tmp_path / "xlrs.jsonl", rows)))).samples
    copies = {
        "a.png": encoded(painted(0), "PNG"),
        "half.jpg": encoded(painted(1), "JPEG", 0.5),
        "twice.webp": encoded(painted(2), "WEBP", 2.0),
        "tile.tif": encoded(painted(3), "TIFF"),
        "plain.tif": encoded(plain, "TIFF"),  # without contrast: the same pixels
        "other.jpg": encoded(painted(9), "JPEG"),
        "torn.jpg": encoded(painted(4), "JPEG")[:300],  # would be a copy
    }
    (tmp_path / "set/deep").mkdir(parents=True)
    for name, data in copies.items():
        (tmp_path / "set/deep" / name).write_bytes(data)
    found = find_trained_on(samples, [str(tmp_path / "set")])
    assert {one.question: (Path(one.image).name, one.by) for one in found.seen} == {
        "0": ("a.png", "look"),
        "1": ("half.jpg", "look"),
        "2": ("twice.webp", "look"),
        "3": ("tile.tif", "look"),
        "5": ("plain.tif", "pixels"),
    }
    assert found.sentence.startswith("5 image(s) with 5 questions were trained on (4 by look, 1 by pixels)")
    assert found.sentence.endswith(
        f"6 image(s) were compared with 7 of {tmp_path / 'set'}, of which 1 cannot be decoded (the first is "
        f"{tmp_path / 'set/deep/torn.jpg'}); 1 have no contrast, and copies of them that were changed are not found."
    )


def test_a_folder_without_images_is_refused_before_an_image_is_read(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/readme.txt").write_text("elsewhere")

    def refuse() -> bytes:
        raise AssertionError("read")

    sample = make_sample(images=(ImageSource("0", refuse),))
    with pytest.raises(BenchmarkDataError, match=r"`trained_on` .*set: no image found; expected a folder of images"):
        find_trained_on([sample], [str(tmp_path / "set")])


def test_a_run_tells_what_was_trained_on_and_goes_on_without_it(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(8))
    seen = train_on(tmp_path / "set", same=jpeg(0))
    words = ("bench", "--model", "random", "--data", data, "--out", tmp_path / "run")
    done = rsvqa(*words, "--trained-on", seen)
    said = "1 image(s) with 4 questions were trained on (1 by bytes)"
    assert done.code == 0
    assert said in done.err
    assert said in done.out
    assert said in (tmp_path / "run/results.md").read_text().replace("\\", "")
    record = read_run_record(tmp_path / "run")
    assert record.contamination is not None
    assert said in rsvqa(*words).out  # what is compared changes no reply, and what was found is kept
    nothing = rsvqa(*words, "--trained-on", train_on(tmp_path / "other", other=jpeg(9)))
    assert "No image was trained on: 2 image(s) were compared with 1 of" in nothing.out


def test_a_training_set_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkDataError, match="`trained_on` nowhere: no such file or folder"):
        find_trained_on([], ["nowhere"])
