"""Which objects a data set's questions are about, and how many of them the kept tokens show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg

from rsvqa.annotation.facts import Box
from rsvqa.model.data import TrainingDataError
from rsvqa.model.object_recall import object_recall, objects_of, render_recall
from rsvqa.model.trainer import TrainingError
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.model.make_models import tiny_model, tiny_processor
from tests.run_build import rsvqa

SIDE = 56  # two cells of 28 px a side, patches of 7 px
HOUSE, CARS = Box(0.0, 0.0, 0.5, 0.5), "MULTIPOLYGON (((30 30, 34 30, 34 34, 30 30)), ((40 2, 46 2, 46 8, 40 2)))"

BROKEN = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + b"IHDR" + SIDE.to_bytes(4) + SIDE.to_bytes(4) + b"\x08\x02"
"""A PNG that says its size and ends."""


def make_record(tile: TileRecord, name: str, **changes: Any) -> Record:
    given: dict[str, Any] = {"question": "What?", "answer": "A", "language": "en", "images": ("tile",)} | changes
    return Record(question_id=f"{tile.image_id}/{name}", tile=tile, **given)


def make_records(tile: TileRecord) -> tuple[Record, ...]:
    """Return questions about a house of 28 × 28 px, and about two cars of 4 × 4 and 6 × 6 px, one of them twice."""
    house = {"rule": "labelled_class", "feature_ids": ["h"], "values": {}}
    cars = {"rule": "count_whole", "feature_ids": ["c1", "c2", "park"], "geometry": CARS, "values": {"count": 2}}
    car = {"rule": "labelled_colour_seen", "feature_ids": ["c1"], "values": {}}
    return (
        make_record(tile, "1", task="object_classification", bbox=HOUSE, evidence=house),
        make_record(tile, "2", task="conditional_counting", evidence=cars),
        make_record(tile, "3", task="object_colour", bbox=Box(0.5, 0.5, 0.6, 0.6), evidence=car),
        make_record(tile, "4", task="object_presence", evidence={"rule": "x", "feature_ids": ["h"]}),
    )


def make_tile(image_size: int = 0) -> TileRecord:
    return TileRecord(
        image_id="s:0", split="val", scene="s", window=Window(0, 0, SIDE, SIDE), images={"tile": image_size}
    )


def write_set(folder: Path, records: Any = make_records, image: bytes | None = None) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    image = simplejpeg.encode_jpeg(noise, quality=95) if image is None else image
    tile = make_tile(len(image))
    write_shards(folder, plan_shards([TileRows(tile, records(tile))]), load_images=lambda _: {"tile": image})
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_processor(num_cell_tokens=5).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data") / "set")


def test_objects_come_from_boxes_and_from_what_was_counted_each_once() -> None:
    assert objects_of(make_records(make_tile())) == {
        "h": Box(0, 0, 28, 28),
        "c1": Box(30, 30, 34, 34),
        "c2": Box(40, 2, 46, 8),
    }


def test_what_was_rejected_or_does_not_tell_objects_apart_is_left_out() -> None:
    tile = make_tile()
    house, cars, *_ = make_records(tile)
    other_number = {**cars.evidence, "values": {"count": 3}}
    unfit = [
        make_record(tile, "1", task=house.task, bbox=HOUSE, evidence=house.evidence, review="rejected"),
        make_record(tile, "2", task=cars.task, evidence=other_number),
        make_record(tile, "3", task="object_colour", bbox=HOUSE),
    ]
    assert objects_of(unfit) == {}


def test_recall_by_size_for_every_method_at_one_budget(data: Path, checkpoint: Path) -> None:
    report = object_recall(str(checkpoint), data)
    # a grid of 2 x 2 cells of 28 px shows the tile as it is: sides of 4, 6 and 28 px
    assert [(entry["size_px"], entry["objects"]) for entry in report["by_size"]] == [("< 8", 2), ("16–32", 1)]
    # 5 of 16 patches: blocks of the rows 0-1 and 2-3, cut into 2 and 3; their middles are the patches (1, 1), (1, 3)
    # and (3, 0), (3, 1), (3, 3) of every cell. The cars lie in the patches (4, 4) and (0, 6), which are (0, 0) and
    # (0, 2) of their cells; the house is a cell
    small, large = report["by_size"]
    assert (small["uniform"], large["uniform"]) == (0, 1)
    assert small["pool"] == 0  # a mean of two patches or more, half of which is no car: of two it would be a half
    assert report["all"]["objects"] == 3
    assert (report["tiles"], report["unreadable"], report["tokens_per_cell"]) == (1, 0, 5)


def test_a_budget_of_all_patches_shows_everything(data: Path, checkpoint: Path) -> None:
    report = object_recall(str(checkpoint), data, tokens_per_cell=16)
    assert {report["all"][method] for method in ("anchors_only", "random", "uniform", "pool")} == {1.0}


def test_random_weights_are_drawn_by_the_seed(data: Path, checkpoint: Path) -> None:
    drawn = [object_recall(str(checkpoint), data, random_weights=True, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert [report["weights"] for report in drawn] == ["random"] * 3
    # what does not look at the weights is the same with others
    assert {report["all"]["random"] for report in drawn} == {object_recall(str(checkpoint), data)["all"]["random"]}


def test_the_command_prints_a_table_and_json(data: Path, checkpoint: Path) -> None:
    asked = ("object-recall", "--model", checkpoint, "--data", data)
    done = rsvqa(*asked)
    assert done.code == 0, done.err
    report = json.loads(rsvqa(*asked, "--json").out)
    assert done.out.startswith(render_recall(report))
    assert done.out.splitlines()[2].startswith("| < 8 | 2 | ")
    assert done.out.splitlines()[-1].endswith("5 tokens per cell of 16 patches of 7 px; trained weights")


def test_what_cannot_be_measured_is_one_line(tmp_path: Path, data: Path, checkpoint: Path) -> None:
    nothing = write_set(tmp_path / "none", lambda tile: make_records(tile)[3:])
    with pytest.raises(TrainingDataError, match=r"none: no question of split val outlines an object; build tasks"):
        object_recall(str(checkpoint), nothing)
    with pytest.raises(TrainingDataError, match=r"broken: none of the 1 images of split val can be read"):
        object_recall(str(checkpoint), write_set(tmp_path / "broken", image=BROKEN))
    whole = tmp_path / "whole"
    tiny_model(tokens_per_cell="all").save_pretrained(whole)
    tiny_processor().save_pretrained(whole)
    with pytest.raises(TrainingDataError, match=r"whole keeps all tokens, which show every object; give `tokens_per"):
        object_recall(str(whole), data)
    released = tmp_path / "released"
    released.mkdir()
    (released / "config.json").write_text('{"model_type": "llava_qwen"}')
    with pytest.raises(TrainingError, match=r"is in the released layout; `rsvqa convert` makes it loadable"):
        object_recall(str(released), data)
