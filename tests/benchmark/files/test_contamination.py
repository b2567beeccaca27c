"""Images of a benchmark that were trained on are found and told of."""

from __future__ import annotations

from pathlib import Path

import pytest
import simplejpeg

from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.contamination import find_trained_on
from rsvqa.benchmark.files.datasets import open_dataset
from rsvqa.benchmark.files.run_record import read_run_record
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.make_xlrs import jpeg, make_pixels, vqa_rows, write_jsonl
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
