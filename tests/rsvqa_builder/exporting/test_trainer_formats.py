"""Exports for trainers: every box comes back to the row's by half a unit, and nothing else is said of it."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
from PIL import Image

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageSize
from rsvqa.annotation.wording.box_units import stated_units
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.shards import TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.exporting.export import ExportResult, export_dataset
from rsvqa.rsvqa_builder.exporting.families import UnknownModelError, family_of, smart_size
from rsvqa.rsvqa_builder.exporting.formats import FORMATS, ExportError, TableFormat
from rsvqa.rsvqa_builder.exporting.pictures import PictureMaker
from rsvqa.rsvqa_builder.scenes.tiling import Window

WIDTH, HEIGHT = 1600, 1200
# [400, 300, 600, 420] px
BOX = Box(0.25, 0.25, 0.375, 0.35)
BUDGET = 600_000
GIVEN = "What is the object inside the bounding box? Image resolution: 1600 x 1200. Bounding box: [400, 300, 600, 420]."
ASKED = "Where is the ship? Give its bounding box as normalised [x1, y1, x2, y2] with values from 0 to 1."
OPTIONS = ("(A) a ship", "(B) a car", "(C) a tank", "(D) a crane")


def picture() -> bytes:
    """Return a tile that is red inside `BOX` and grey elsewhere."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[300:420, 400:600] = (255, 0, 0)
    return bytes(simplejpeg.encode_jpeg(pixels, quality=95))


PICTURE = picture()


def record(tile: TileRecord, number: int, task: str, **values: Any) -> Record:
    fields = {"question": f"Question {number}?", "images": ("tile",), "language": "en", **values}
    return Record(question_id=f"{tile.image_id}/{number}", tile=tile, task=task, **fields)


def write(folder: Path, make: Callable[[TileRecord], Sequence[Record]]) -> Path:
    tiles = []
    for split, x in (("train", 0), ("val", 5000)):
        tile = TileRecord(
            image_id=f"city/{x}_0",
            split=split,
            scene=f"city{x}",
            window=Window(x, 0, WIDTH, HEIGHT),
            images={"tile": len(PICTURE), "later": len(PICTURE)},
            scene_source="harbours",
            licence="CC-BY-4.0",
        )
        tiles.append(TileRows(tile, tuple(make(tile))))
    images = {"tile": PICTURE, "later": PICTURE}
    write_shards(folder, plan_shards(tiles), load_images=lambda _: images)
    return folder


def usual(tile: TileRecord) -> list[Record]:
    ship = {"feature_ids": ["ships:7"], "rule": "r", "values": {"class": "ship"}}
    return [
        record(tile, 0, "overall_counting", options=OPTIONS, answer="B"),
        record(tile, 1, "overall_land_use", options=OPTIONS, answer="ACD"),
        record(tile, 2, "detailed_captioning", answer="A harbour."),
        record(tile, 3, "fine_grained_grounding", question=ASKED, bbox=BOX, answer=str(list(BOX)), evidence=ship),
        record(tile, 4, "object_classification", question=GIVEN, options=OPTIONS, answer="A", bbox=BOX, evidence=ship),
        record(tile, 5, "change_counting", options=OPTIONS, answer="D", images=("tile", "later")),
    ]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write(tmp_path / "superrs", usual)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def numbers(text: str, count: int = 4) -> list[float]:
    """Return the one box of a text, by a parser that knows none of the writers."""
    number = r"\d+(?:\.\d+)?"
    runs = re.findall(rf"{number}(?:[,()\s]+{number})+", text)
    boxes = [[float(one) for one in re.findall(number, run)] for run in runs]
    (box,) = [box for box in boxes if len(box) == count]
    return box


# the pictures of 1,600 x 1,200 px within 600,000 px: 1600 / sqrt(1920000 / 600000) = 894.4, 1200 / … = 670.8
RESIZED = {"qwen2.5-vl": (868, 644), "qwen3-vl": (894, 670), "qwen2-vl": (894, 670), "internvl": (894, 670)}
CASES = [
    (format_, model)
    for format_, models in {
        "swift": ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl"),
        "llamafactory": ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl"),
        "qwen": ("qwen2.5-vl", "qwen3-vl"),
        "internvl": ("internvl",),
        "trl": ("qwen2.5-vl", "qwen3-vl"),
        "verl": ("qwen2.5-vl", "internvl"),
    }.items()
    for model in models
]


class Told:
    """A question as a trainer gets it: what is asked, the reply, and the first picture."""

    def __init__(self, prompt: str, reply: str, image: bytes) -> None:
        self.prompt, self.reply = prompt, reply
        self.pixels = Image.open(io.BytesIO(image))


def swift_text(row: dict[str, Any], text: str, taken: list[Any], norm: str, size: tuple[int, int]) -> str:
    """Put the boxes back by the rule of ms-swift (template/base.py: normalize_bbox), as numbers in brackets."""
    scale = size if norm == "none" else (1000, 1000)
    while "<bbox>" in text:
        box = taken.pop(0)
        assert row["objects"]["bbox_type"] == "norm1"
        written = [round(share * side) for share, side in zip(box, scale * 2, strict=False)]
        text = text.replace("<bbox>", str(written), 1)
    return text


def read(out: Path, format_: str, model: str) -> dict[str, Told]:
    """Return the questions of split train by the last part of their ids."""
    found = {}
    if format_ in ("trl", "verl"):
        for row in pq.read_table(out / "train.parquet").to_pylist():
            about = row if format_ == "trl" else row["extra_info"]
            reply = row["completion"][0]["content"] if format_ == "trl" else row["reward_model"]["ground_truth"]
            assert reply == about["solution"]
            found[about["question_id"]] = Told(row["prompt"][0]["content"], reply, row["images"][0]["bytes"])
    elif format_ == "swift":
        for row in lines(out / "train.jsonl") + lines(out / "train_boxes.jsonl"):
            image = (out / row["images"][0]).read_bytes()
            prompt, reply = (message["content"] for message in row["messages"])
            assert prompt.count("<image>") == len(row["images"])
            boxes = list(row.get("objects", {}).get("bbox", []))
            norm, size = ("none", RESIZED[model]) if model == "qwen2.5-vl" else ("norm1000", (0, 0))
            prompt = swift_text(row, prompt, boxes, norm, size)
            reply = swift_text(row, reply, boxes, norm, size)
            assert boxes == []
            found[row["question_id"]] = Told(prompt, reply, image)
    else:
        for entry in lines(out / "train.jsonl"):
            paths = [entry["image"]] if isinstance(entry["image"], str) else entry["image"]
            root = out if format_ == "llamafactory" else out / "images"
            prompt, reply = (turn["value"] for turn in entry["conversations"])
            assert prompt.count("<image>") == len(paths)
            found[entry["id"]] = Told(prompt, reply, (root / paths[0]).read_bytes())
    return {name.rsplit("/", 1)[-1]: told for name, told in found.items()}


@pytest.mark.parametrize(("format_", "model"), CASES)
def test_boxes_come_back_by_half_a_unit(dataset: Path, tmp_path: Path, format_: str, model: str) -> None:
    out = tmp_path / "out"
    result = export_dataset(dataset, out, format=format_, model=model, max_pixels=BUDGET)
    assert result == ExportResult(folder=str(out), num_records=12, num_images=4, left_out={})
    told = read(out, format_, model)
    assert sorted(told) == ["0", "1", "2", "3", "4", "5"]
    width, height = RESIZED[model]
    assert told["3"].pixels.size == (width, height)
    units = "pixels" if model == "qwen2.5-vl" else "0-1000"
    sides = (width, height) if units == "pixels" else (1000, 1000)
    # an answer, and a box that a question gives
    for box in (numbers(told["3"].reply), numbers(told["4"].prompt)):
        for found, share, side in zip(box, BOX, sides * 2, strict=True):
            assert abs(found - share * side) <= 0.5
    # the prompt says the units of the answer, and no others
    assert stated_units(told["3"].prompt) == units
    assert "normalised" not in told["3"].prompt
    assert (units == "pixels") == (
        f"Image resolution: {width} x {height}. Bounding box: [" in told["4"].prompt
        and "thousandths" not in told["4"].prompt
    )
    # the picture shows there what the row says
    left, top, right, bottom = (round(share * side) for share, side in zip(BOX, (width, height) * 2, strict=True))
    pixels = np.asarray(told["3"].pixels).astype(int)
    assert pixels[top + 3 : bottom - 3, left + 3 : right - 3].mean(axis=(0, 1)) == pytest.approx([255, 0, 0], abs=6)
    assert abs(pixels[: top - 3].mean() - 90) < 3
    assert [told[name].reply for name in ("0", "1", "2", "5")] == ["B", "A C D", "A harbour.", "D"]


@pytest.mark.parametrize(
    ("model", "reply"),
    [
        # 0.25 x 868 = 217, 0.25 x 644 = 161, 0.375 x 868 = 325.5, 0.35 x 644 = 225.4
        ("qwen2.5-vl", '[{"bbox_2d": [217, 161, 326, 225], "label": "ship"}]'),
        ("qwen3-vl", '[{"bbox_2d": [250, 250, 375, 350], "label": "ship"}]'),
        ("qwen2-vl", "<|box_start|>(250,250),(375,350)<|box_end|>"),
        ("internvl", "<ref>ship</ref><box>[[250, 250, 375, 350]]</box>"),
        ("llava", "[0.25, 0.25, 0.375, 0.35]"),
    ],
)
def test_boxes_have_each_models_own_wrapper(dataset: Path, tmp_path: Path, model: str, reply: str) -> None:
    export_dataset(dataset, tmp_path / "out", format="llamafactory", model=model, max_pixels=BUDGET)
    assert read(tmp_path / "out", "llamafactory", model)["3"].reply == reply


def test_questions_are_asked_in_the_models_units_and_form(dataset: Path, tmp_path: Path) -> None:
    export_dataset(dataset, tmp_path / "out", format="qwen", model="Qwen/Qwen3-VL-8B-Instruct")
    told = read(tmp_path / "out", "qwen", "qwen3-vl")
    assert told["3"].prompt == (
        '<image>\nWhere is the ship? Give its bounding box as [{"bbox_2d": [x1, y1, x2, y2], "label": "name"}], in '
        "thousandths of the image's width and height from 0 to 1000."
    )
    assert told["4"].prompt.startswith(
        "<image>\nWhat is the object inside the bounding box? Image resolution: 1600 x 1200. Bounding box: "
        "[250, 250, 375, 350] (in thousandths of the image's width and height from 0 to 1000).The choices are"
    )
    # within no budget the picture is the data set's, byte for byte
    assert (tmp_path / "out/images/city0/0_0.jpg").read_bytes() == PICTURE


def test_a_llava_export_with_reduced_pictures_gives_boxes_in_their_pixels(dataset: Path, tmp_path: Path) -> None:
    export_dataset(dataset, tmp_path / "out", format="llava", max_pixels=BUDGET)
    entries = {entry["id"][-1]: entry for entry in json.loads((tmp_path / "out/train.json").read_text("utf-8"))}
    # 400 / 1600 x 894 = 223.5, 300 / 1200 x 670 = 167.5, 0.375 x 894 = 335.25, 0.35 x 670 = 234.5
    assert (
        "Image resolution: 894 x 670. Bounding box: [224, 168, 335, 234]." in entries["4"]["conversations"][0]["value"]
    )
    assert entries["3"]["conversations"][1]["value"] == "[0.25, 0.25, 0.375, 0.35]"


def test_what_stands_beside_the_conversations(dataset: Path, tmp_path: Path) -> None:
    for format_, model in (
        ("llamafactory", "qwen3-vl"),
        ("internvl", None),
        ("swift", "qwen3-vl"),
        ("qwen", "qwen3-vl"),
    ):
        export_dataset(dataset, tmp_path / format_, format=format_, model=model, max_pixels=BUDGET)
        card = (tmp_path / format_ / "README.md").read_text("utf-8")
        assert "| harbours | CC-BY-4.0 | 2 |" in card
        assert "at most 600,000 pixels" in card
        assert json.loads((tmp_path / format_ / "scenes.json").read_text("utf-8")) == {
            "city0": {"source": "harbours", "licence": "CC-BY-4.0"},
            "city5000": {"source": "harbours", "licence": "CC-BY-4.0"},
        }
    info = json.loads((tmp_path / "llamafactory/dataset_info.json").read_text("utf-8"))
    assert info["rsvqa_train"]["file_name"] == "train.jsonl"
    assert info["rsvqa_val"]["columns"] == {"messages": "conversations", "images": "image"}
    meta = json.loads((tmp_path / "internvl/train_meta.json").read_text("utf-8"))["rsvqa_train"]
    assert (meta["root"], meta["annotation"], meta["length"]) == ("images/", "train.jsonl", 6)
    single, pair = (lines(tmp_path / "internvl/train.jsonl")[number] for number in (0, 5))
    assert (single["image"], single["width"], single["height"]) == ("city0/0_0.jpg", 894, 670)
    assert (pair["width_list"], pair["height_list"]) == ([894, 894], [670, 670])
    assert pair["conversations"][0]["value"].startswith("Image-1: <image>\nImage-2: <image>\nQuestion 5?")
    commands = {name: (tmp_path / name / "README.md").read_text("utf-8") for name in ("swift", "llamafactory", "qwen")}
    assert "--model Qwen/Qwen3-VL-8B-Instruct --dataset train.jsonl train_boxes.jsonl" in commands["swift"]
    assert (
        "--template qwen3_vl_nothink --dataset_dir . --dataset rsvqa_train --image_max_pixels 600000"
        in (commands["llamafactory"])
    )
    assert '"annotation_path": "FOLDER/train.jsonl"' in commands["qwen"]


# --- parts and zoom ---


def test_a_part_is_shown_where_the_question_names_the_place_and_never_where_it_asks_for_it(
    dataset: Path, tmp_path: Path
) -> None:
    export_dataset(dataset, tmp_path / "out", format="qwen", model="qwen3-vl", max_pixels=BUDGET, pictures="parts")
    entries = {entry["id"][-1]: entry for entry in lines(tmp_path / "out/train.jsonl")}
    assert {name: entry["image"] for name, entry in entries.items() if name in "0123"} == dict.fromkeys(
        "0123", "city0/0_0.jpg"
    )
    whole, part = entries["4"]["image"]
    x, y, width, height = (int(number) for number in part.removesuffix(".jpg").split("_")[-4:])
    # three times the longer side of 200 px; the box lies inside
    assert (whole, width, height) == ("city0/0_0.jpg", 600, 600)
    assert 0 <= x <= 400
    assert 0 <= y <= 300
    prompt = entries["4"]["conversations"][0]["value"]
    said = f"[{round(x / 1.6)}, {round(y / 1.2)}, {round((x + 600) / 1.6)}, {round((y + 600) / 1.2)}]"
    assert prompt.startswith(
        f"<image>\n<image>\nThe last picture shows the part {said} of the first, in thousandths of"
    )
    pixels = np.asarray(Image.open(tmp_path / "out/images" / part)).astype(int)
    assert pixels[300 - y + 9 : 420 - y - 9, 400 - x + 9 : 600 - x - 9].mean(axis=(0, 1)) == pytest.approx(
        [255, 0, 0], abs=6
    )


def test_a_zoom_is_a_call_of_the_models_and_what_it_gets(dataset: Path, tmp_path: Path) -> None:
    export_dataset(dataset, tmp_path / "out", format="swift", model="qwen3-vl", max_pixels=BUDGET, pictures="zoom")
    rows = {row["question_id"][-1]: row for row in lines(tmp_path / "out/train_boxes.jsonl")}
    assert sorted(rows) == ["3", "4"]
    roles = [message["role"] for message in rows["3"]["messages"]]
    assert roles == ["user", "tool_call", "tool_response", "assistant"]
    call = json.loads(rows["3"]["messages"][1]["content"])
    assert call["name"] == "zoom"
    assert [json.loads(row["tools"])[0]["function"]["name"] for row in rows.values()] == ["zoom", "zoom"]
    part = rows["3"]["images"][1]
    x, y, side, _ = (int(number) for number in part.removesuffix(".jpg").split("_")[-4:])
    expected = [x / 1.6, y / 1.2, (x + side) / 1.6, (y + side) / 1.2]
    assert call["arguments"]["bbox_2d"] == pytest.approx(expected, abs=0.5)
    assert (
        sum(message["content"].count("<image>") for message in rows["3"]["messages"]) == len(rows["3"]["images"]) == 2
    )
    # a count over the whole tile has no place to look at
    assert [len(row["images"]) for row in lines(tmp_path / "out/train.jsonl")] == [1, 1, 1, 2]
    with pytest.raises(ExportError, match="`pictures` = 'zoom': of the format trl expected one of whole, parts"):
        export_dataset(dataset, tmp_path / "no", format="trl", model="qwen3-vl", pictures="zoom")


# --- what is left out, and what is refused ---


def test_what_the_units_of_a_model_cannot_hold_is_left_out_and_counted(tmp_path: Path) -> None:
    narrow = Box(0.25, 0.25, 0.2504, 0.35)

    def make(tile: TileRecord) -> list[Record]:
        return [
            record(tile, 0, "fine_grained_grounding", question=ASKED, bbox=narrow, answer=str(list(narrow))),
            record(tile, 1, "fine_grained_grounding", question="归一化坐标在哪里？", bbox=BOX, answer=str(list(BOX))),
            record(tile, 2, "route_planning", question="Go to the point [10, 20].", options=OPTIONS, answer="A"),
            record(tile, 3, "detailed_captioning", question="<image>?", answer="No."),
            record(tile, 4, "fine_grained_grounding", question=ASKED, bbox=BOX, answer=str(list(BOX))),
        ]

    data = write(tmp_path / "superrs", make)
    result = export_dataset(data, tmp_path / "out", format="llamafactory", model="qwen3-vl", split="train")
    assert result.num_records == 1
    assert result.left_out == {
        "box smaller than a unit of the model's": 1,
        "question states the units of its box in words that cannot be turned into 0-1000": 1,
        "point without the image's size": 1,
        "text holds <image>": 1,
    }
    # without a class in the evidence the box has a name that says nothing
    assert read(tmp_path / "out", "llamafactory", "qwen3-vl")["4"].reply.endswith('"label": "object"}]')


@pytest.mark.parametrize(
    "mark",
    [
        *("<image>", "<video>", "<audio>", "<bbox>", "<ref-object>", "<|im_end|>", "<|image_pad|>"),
        *("<box>", "</ref>", "<img>", "</s>", "</think>", "<tool_call>"),
    ],
)
def test_what_a_trainer_would_take_for_something_else_is_left_out(tmp_path: Path, mark: str) -> None:
    def make(tile: TileRecord) -> list[Record]:
        named = {"rule": "r", "values": {"class": f"ship {mark}"}}
        return [
            record(tile, 0, "overall_counting", options=(*OPTIONS[:3], f"(D) a {mark}"), answer="B"),
            record(tile, 1, "detailed_captioning", answer=f"A harbour {mark}"),
            record(tile, 2, "fine_grained_grounding", question=ASKED, bbox=BOX, answer=str(list(BOX)), evidence=named),
            record(tile, 3, "detailed_captioning", answer="<5 m> of <| water |>: a <b>harbour</b>."),
        ]

    data = write(tmp_path / "superrs", make)
    for number, format_ in enumerate(("swift", "llamafactory", "trl")):
        out = tmp_path / str(number)
        result = export_dataset(data, out, format=format_, model="qwen3-vl", split="train")
        assert (result.num_records, result.left_out) == (1, {f"text holds {mark}": 3})


def test_a_line_is_a_line_whatever_its_text_holds(tmp_path: Path) -> None:
    answer = 'One\u2028two\u2029three\x85four\nfive\x0bsix "seven" \\ {quoted}'

    def make(tile: TileRecord) -> list[Record]:
        return [record(tile, 0, "detailed_captioning", answer=answer)]

    data = write(tmp_path / "superrs", make)
    for format_, model in (("swift", "qwen3-vl"), ("llamafactory", "qwen3-vl"), ("internvl", "internvl")):
        export_dataset(data, tmp_path / format_, format=format_, model=model, split="train")
        # `lines` splits at every line end that Unicode knows
        (row,) = lines(tmp_path / format_ / "train.jsonl")
        reply = row["messages"][1]["content"] if format_ == "swift" else row["conversations"][1]["value"]
        assert reply == answer


def test_a_given_box_that_a_reduced_picture_no_longer_shows_is_left_out(tmp_path: Path) -> None:
    # 4 px of 1,600: in a picture of 80 x 60 px a fifth of a pixel
    thin = GIVEN.replace("[400, 300, 600, 420]", "[400, 300, 404, 420]")
    thin_box = Box(400 / 1600, 300 / 1200, 404 / 1600, 420 / 1200)

    def make(tile: TileRecord) -> list[Record]:
        return [
            record(tile, 0, "object_classification", question=thin, options=OPTIONS, answer="A", bbox=thin_box),
            record(tile, 1, "object_classification", question=GIVEN, options=OPTIONS, answer="A", bbox=BOX),
        ]

    data = write(tmp_path / "superrs", make)
    result = export_dataset(data, tmp_path / "out", format="llava", max_pixels=4800, split="train")
    assert (result.num_records, result.left_out) == (1, {"box smaller than a pixel of the reduced picture": 1})
    (entry,) = json.loads((tmp_path / "out/train.json").read_text("utf-8"))
    # a twentieth of [400, 300, 600, 420]
    assert "Image resolution: 80 x 60. Bounding box: [20, 15, 30, 21]." in entry["conversations"][0]["value"]
    assert export_dataset(data, tmp_path / "whole", format="llava", split="train").left_out == {}


@pytest.mark.parametrize(
    ("size", "budget", "why"),
    [
        ((100, 125), 1_003_520, "picture of less than 12544 px, which trainers enlarge differently"),
        ((20, 2000), 1_003_520, "picture narrower than 28 px, which trainers enlarge differently"),
        ((30, 6001), 1_003_520, "picture more than 200 times as long as wide, which trainers refuse"),
        # sides divided by 17.3 are 17 x 2309 px, so 28 x 2296 as multiples: more than the budget again
        ((300, 40_000), 40_000, "picture so narrow that it is not to be reduced to the budget"),
        ((28, 5600), 1_003_520, None),
        ((112, 112), 12_544, None),
    ],
)
def test_pictures_whose_size_trainers_do_not_agree_on_are_left_out(
    size: tuple[int, int], budget: int, why: str | None
) -> None:
    assert family_of("qwen2.5-vl").unfit_size(ImageSize(*size), budget) == why
    assert family_of("qwen3-vl").unfit_size(ImageSize(*size), budget) is None


def test_a_picture_that_rounding_takes_beyond_the_budget_is_reduced_here(tmp_path: Path) -> None:
    # 1,003 x 1,000 px are within 1,003,520, but 36 x 36 patches of 28 px are not: 35 x 35 are. LLaMA-Factory tells the
    # processor nothing of the budget, so that would see 36 x 36
    family = family_of("qwen2.5-vl")
    data = bytes(simplejpeg.encode_jpeg(np.zeros((1000, 1003, 3), np.uint8)))
    made = PictureMaker(family, 1_003_520).whole(EncodedImage("a.jpg", data))
    assert made.size == made.seen == ImageSize(980, 980)
    with Image.open(io.BytesIO(made.data)) as reduced:
        assert reduced.size == (980, 980)
    # one that stays within it goes out as it is
    small = bytes(simplejpeg.encode_jpeg(np.zeros((990, 1003, 3), np.uint8)))
    kept = PictureMaker(family, 1_003_520).whole(EncodedImage("b.jpg", small))
    assert (kept.data, kept.size, kept.seen) == (small, ImageSize(990, 1003), ImageSize(980, 1008))


def test_a_budget_below_what_trainers_enlarge_is_refused(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"`max_pixels` = 12000: qwen2\.5-vl wants 12544 or more, as its trainers"):
        export_dataset(dataset, tmp_path / "out", format="qwen", model="qwen2.5-vl", max_pixels=12_000)


@pytest.mark.parametrize("budget", [0, -1, "big", 1e6])
def test_a_budget_is_a_number_of_pixels(dataset: Path, tmp_path: Path, budget: Any) -> None:
    with pytest.raises(ExportError, match=f"^`max_pixels` = {budget!r}: expected a whole number above 0$"):
        export_dataset(dataset, tmp_path / "out", format="swift", model="qwen3-vl", max_pixels=budget)


def test_what_is_not_known_is_not_guessed(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="how 'google/paligemma-3b' reads boxes is not known: expected llava"):
        export_dataset(dataset, tmp_path / "out", format="swift", model="google/paligemma-3b")
    with pytest.raises(ExportError, match="the format swift holds boxes in the units of one model: give it by `for`"):
        export_dataset(dataset, tmp_path / "out", format="swift")
    with pytest.raises(ExportError, match=r"pixels of the picture as the training resizes it: give by `max_pixels`"):
        export_dataset(dataset, tmp_path / "out", format="swift", model="qwen2.5-vl")
    with pytest.raises(ExportError, match="the trainer of internvl trains internvl, not qwen3-vl"):
        export_dataset(dataset, tmp_path / "out", format="internvl", model="qwen3-vl")
    with pytest.raises(ExportError, match="the format coco-asked is the same for every model"):
        export_dataset(dataset, tmp_path / "out", format="coco-asked", model="qwen3-vl")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("qwen2.5-vl", "qwen2.5-vl"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("/models/Qwen2-VL-2B/", "qwen2-vl"),
        ("Qwen/Qwen3-VL-235B-A22B-Instruct", "qwen3-vl"),
        ("OpenGVLab/InternVL3_5-8B", "internvl"),
        ("llava-hf/llava-1.5-7b-hf", "llava"),
    ],
)
def test_a_checkpoint_names_its_family(model: str, family: str) -> None:
    assert family_of(model).name == family


def test_the_same_data_set_gives_the_same_bytes_in_every_format(dataset: Path, tmp_path: Path) -> None:
    # these tiles lie nowhere and are of no scene, see test_catalogue.py and test_coco_labels.py
    for format_ in [name for name in FORMATS if name not in ("stac", "coco")]:
        model: str | None = "internvl" if format_ == "internvl" else "qwen3-vl"
        if isinstance(FORMATS[format_], TableFormat) or format_ == "llava":
            model = None
        for name in ("first", "second"):
            export_dataset(dataset, tmp_path / name / format_, format=format_, model=model)
    first = {path.relative_to(tmp_path / "first"): path for path in (tmp_path / "first").rglob("*") if path.is_file()}
    second = [path.relative_to(tmp_path / "second") for path in (tmp_path / "second").rglob("*") if path.is_file()]
    assert sorted(first) == sorted(second)
    assert all(path.read_bytes() == (tmp_path / "second" / name).read_bytes() for name, path in first.items())


# --- against what trainers do ---


def smart_resize_of_transformers() -> Callable[..., tuple[int, int]]:
    """Return the function from its source: the module itself wants torchvision."""
    spec = importlib.util.find_spec("transformers.models.qwen2_vl")
    if spec is None or spec.origin is None:
        pytest.skip("needs transformers")
    module = ast.parse((Path(spec.origin).parent / "image_processing_qwen2_vl.py").read_text("utf-8"))
    (function,) = (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == "smart_resize")
    names: dict[str, Any] = {"math": math}
    exec(compile(ast.Module([function], []), "transformers", "exec"), names)  # noqa: S102
    return names["smart_resize"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("max_pixels", [451_584, 1_003_520, 12_845_056])
@pytest.mark.parametrize("size", [(8192, 8192), (1200, 1600), (500, 1000), (112, 113), (30, 40), (1023, 770)])
def test_the_size_after_resizing_is_that_of_transformers(size: tuple[int, int], max_pixels: int) -> None:
    theirs = smart_resize_of_transformers()(*size, factor=28, min_pixels=3136, max_pixels=max_pixels)
    assert tuple(smart_size(ImageSize(*size), factor=28, max_pixels=max_pixels)) == theirs
    # what has that size already is not resized again
    assert smart_size(ImageSize(*theirs), factor=28, max_pixels=max_pixels) == theirs


def test_trl_takes_the_rows_as_they_are(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs the extra 'test'")
    pytest.importorskip("trl", reason="needs the extra 'dev'")
    from trl.data_utils import is_conversational, prepare_multimodal_messages

    export_dataset(dataset, tmp_path / "out", format="trl", model="qwen3-vl", max_pixels=BUDGET)
    rows = datasets.load_dataset("parquet", data_files=str(tmp_path / "out/train.parquet"), split="train")
    assert len(rows) == 6
    for row in rows:
        assert is_conversational(row)
        messages = prepare_multimodal_messages(row["prompt"] + row["completion"], images=row["images"])
        shown = [part["image"].size for part in messages[0]["content"] if part["type"] == "image"]
        assert shown == [(894, 670)] * len(row["images"])
        assert messages[1]["content"] == [{"type": "text", "text": row["solution"]}]
