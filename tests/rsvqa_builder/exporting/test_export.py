"""Exports: what other trainers get, and what they never get."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg

from rsvqa.annotation.facts import Box
from rsvqa.annotation.wording.xlrs_prompt import xlrs_prompt
from rsvqa.rsvqa_builder.dataset.image_tables import EncodedImage
from rsvqa.rsvqa_builder.dataset.records import Record, TileRecord
from rsvqa.rsvqa_builder.dataset.rows import StoredQuestion
from rsvqa.rsvqa_builder.dataset.shards import ShardError, TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.exporting.chat_files import conversation
from rsvqa.rsvqa_builder.exporting.export import ExportResult, defect, export_dataset
from rsvqa.rsvqa_builder.exporting.formats import ExportError
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.scenes.tiling import Window

WIDTH, HEIGHT = 200, 100
COUNT_OPTIONS = ("(A) 1", "(B) 2", "(C) 3", "(D) 4")
BOX_TEXT = "What is the object inside the bounding box? Image resolution: 200 x 100. Bounding box: [20, 10, 60, 50]."
# [20, 10, 60, 50] in 200 x 100 pixels
BOX = Box(0.1, 0.1, 0.3, 0.5)


def jpeg(grey: int) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(np.full((HEIGHT, WIDTH, 3), grey, np.uint8))
    return data


BYTES = {"tile": jpeg(10), "tile_marked": jpeg(40), "later": jpeg(80)}


def make_tile(x: int, split: str) -> TileRecord:
    sizes = {key: len(data) for key, data in BYTES.items()}
    return TileRecord(
        image_id=f"city/{x}_0", split=split, scene="city", window=Window(x, 0, WIDTH, HEIGHT), images=sizes
    )


def make_record(tile: TileRecord, number: int, task: str, **values: Any) -> Record:
    return Record(
        question_id=f"{tile.image_id}/{number}",
        tile=tile,
        task=task,
        language="en",
        question=values.pop("question", f"Question {number}?"),
        images=values.pop("images", ("tile",)),
        **values,
    )


def make_tile_rows(x: int = 0, split: str = "train") -> TileRows:
    """One question of each kind that formats tell apart."""
    tile = make_tile(x, split)
    objects = {"feature_ids": ["ships:7"], "rule": "r", "values": {}}
    named = {**objects, "values": {"class": "ship"}}
    records = (
        make_record(tile, 0, "overall_counting", options=COUNT_OPTIONS, answer="B"),
        make_record(tile, 1, "overall_land_use", options=COUNT_OPTIONS, answer="ACD"),
        make_record(tile, 2, "detailed_captioning", answer="A harbour."),
        make_record(tile, 3, "fine_grained_grounding", bbox=BOX, answer=str(list(BOX)), evidence=objects),
        make_record(
            tile,
            4,
            "object_classification",
            question=BOX_TEXT,
            options=COUNT_OPTIONS,
            answer="A",
            bbox=BOX,
            evidence=named,
        ),
        make_record(tile, 5, "change_counting", options=COUNT_OPTIONS, answer="D", images=("tile", "later")),
        make_record(tile, 6, "regional_counting", options=COUNT_OPTIONS, answer="C", images=("tile_marked",)),
    )
    return TileRows(tile, records)


def write(folder: Path, tiles: Sequence[TileRows]) -> Path:
    write_shards(folder, plan_shards(tiles), load_images=lambda _: BYTES)
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write(
        tmp_path / "superrs", [make_tile_rows(), make_tile_rows(500, "val"), TileRows(make_tile(900, "train"))]
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# --- LLaVA ---


def test_llava_holds_conversations_and_each_image_once(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "llava"
    result = export_dataset(dataset, out, format="llava")
    assert result == ExportResult(folder=str(out), num_records=14, num_images=6, left_out={})
    names = ["0_0.jpg", "0_0_later.jpg", "0_0_marked.jpg", "500_0.jpg", "500_0_later.jpg", "500_0_marked.jpg"]
    assert files(out) == [
        "README.md",
        *(f"images/city/{name}" for name in names),
        "scenes.json",
        "train.json",
        "val.json",
    ]
    assert (out / "images/city/0_0_later.jpg").read_bytes() == BYTES["later"]
    entries = {entry["id"]: entry for entry in json.loads((out / "train.json").read_text("utf-8"))}
    # rows of the unmarked tile first, then of the pair, then of the marked copy
    assert list(entries) == [f"city/0_0/{number}" for number in range(7)]
    assert all(list(entry) == ["id", "image", "conversations"] for entry in entries.values())
    assert entries["city/0_0/2"]["conversations"] == [
        {"from": "human", "value": "<image>\nQuestion 2?"},
        {"from": "gpt", "value": "A harbour."},
    ]
    pair = entries["city/0_0/5"]
    assert pair["image"] == ["city/0_0.jpg", "city/0_0_later.jpg"]
    assert pair["conversations"][0]["value"].startswith("<image>\n<image>\nQuestion 5?The choices are listed below:\n")
    assert entries["city/0_0/6"]["image"] == ["city/0_0_marked.jpg"]


def test_llava_replies_as_its_prompt_asks(dataset: Path, tmp_path: Path) -> None:
    export_dataset(dataset, tmp_path / "llava", format="llava", split="val")
    entries = json.loads((tmp_path / "llava/val.json").read_text("utf-8"))
    replies = [entry["conversations"][1]["value"] for entry in entries]
    assert replies == ["B", "A C D", "A harbour.", "[0.1, 0.1, 0.3, 0.5]", "A", "D", "C"]
    assert files(tmp_path / "llava")[-1] == "val.json"


def test_the_prompt_is_the_published_one_letter_by_letter() -> None:
    assert xlrs_prompt("How many?", ["(A) 1", "(B) 2"], several=False) == (
        "How many?The choices are listed below:\n(A) 1\n(B) 2\n\n"
        "Select the best answer for the multiple-choice question based on the image. "
        "Only respond with the letter corresponding to the correct answer (A, B, C, D).\nThe answer is:"
    )
    assert xlrs_prompt("Which?", ["(A) a", "(B) b"], several=True) == (
        "Which?The choices are listed below:\n(A) a\n(B) b\n\n"
        "Select the best answer(s) for the multiple-choice question based on the image. "
        "There may be more than one correct option. "
        "Only respond with the letter(s) corresponding to the correct answer(s) (A, B, C, D), "
        "with multiple choices separated by spaces.The answer(s) is(are):"
    )


@pytest.mark.parametrize(
    ("question", "is_said"),
    [
        ("Where is the ship? Normalised coordinates (0–1).", True),
        ("Find the ship, with values from 0 to 1.", True),
        ("Where is the ship? Answer with [x1, y1, x2, y2].", False),
        ("Where is the ship that is 0.1 km from pier 1?", False),
        ("Find the ship, with values of 0 up to 1.", True),
    ],
)
def test_a_box_is_never_asked_for_in_coordinates_of_unsaid_meaning(question: str, is_said: bool) -> None:
    prompt = conversation(make_question(question=question))["conversations"][0]["value"]
    said = "\nAnswer with [x_min, y_min, x_max, y_max], shares of the image's width and height from 0 to 1."
    assert prompt == f"<image>\n{question}" + ("" if is_said else said)


# --- XLRS-Bench ---


def test_xlrs_has_the_columns_of_the_benchmarks_files(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "xlrs"
    assert export_dataset(dataset, out, format="xlrs").num_records == 14
    tables = ["caption", "grounding", "vqa"]
    names = [f"{table}/{split}-00000-of-00001.parquet" for table in tables for split in ("train", "val")]
    assert files(out) == ["README.md", *names[:4], "scenes.json", *names[4:]]
    vqa = pq.read_table(out / "vqa/train-00000-of-00001.parquet")
    assert vqa.column_names == [
        "index",
        "path",
        "image",
        "question",
        "multi-choice options",
        "answer",
        "category",
        "l2-category",
    ]
    assert vqa["answer"].to_pylist() == ["B", "ACD", "A", "D", "C"]
    assert [image["bytes"] for image in vqa["image"].to_pylist()[3]] == [BYTES["tile"], BYTES["later"]]
    assert vqa["category"].to_pylist()[1] == "Land use classification/Overall Land use classification"
    assert pq.read_table(out / "caption/train-00000-of-00001.parquet").to_pylist() == [
        {
            "id": 2,
            "question_id": "city/0_0/2",
            "question": "Question 2?",
            "answer": ["A harbour."],
            "image": {"bytes": BYTES["tile"], "path": "city/0_0.jpg"},
        }
    ]
    assert pq.read_table(out / "grounding/val-00000-of-00001.parquet").to_pylist() == [
        {
            "image_width": 200,
            "image_height": 100,
            "question_id": "city/500_0/3",
            "image": {"bytes": BYTES["tile"], "path": "city/500_0.jpg"},
            "question": "Question 3?",
            "answer": "[0.1, 0.1, 0.3, 0.5]",
            "bbox": [0.1, 0.1, 0.3, 0.5],
            "category": "Visual grounding/Fine-grained Visual Grounding",
            "path": "city/500_0.jpg",
        }
    ]


def test_xlrs_shares_images_within_a_row_group_too(dataset: Path, tmp_path: Path) -> None:
    export_dataset(dataset, tmp_path / "xlrs", format="xlrs")
    footer = pq.ParquetFile(tmp_path / "xlrs/vqa/train-00000-of-00001.parquet").metadata
    # tile and pair together, the marked copy apart
    assert [footer.row_group(number).num_rows for number in range(footer.num_row_groups)] == [4, 1]


def test_datasets_finds_the_tables_of_an_xlrs_export(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="needs the extra 'dev' or 'model'")
    export_dataset(dataset, tmp_path / "xlrs", format="xlrs")
    loaded = datasets.load_dataset(str(tmp_path / "xlrs"), "caption", streaming=True)
    assert sorted(loaded) == ["train", "val"]
    (row,) = loaded["train"]
    assert (row["answer"], row["image"].size) == (["A harbour."], (WIDTH, HEIGHT))


def test_a_caption_of_two_images_has_no_place_in_xlrs(tmp_path: Path) -> None:
    tile = make_tile(0, "train")
    records = (
        make_record(tile, 0, "detailed_captioning", answer="Two dates.", images=("tile", "later")),
        make_record(tile, 1, "overall_counting", options=COUNT_OPTIONS, answer="B"),
    )
    write(tmp_path / "superrs", [TileRows(tile, records)])
    result = export_dataset(tmp_path / "superrs", tmp_path / "xlrs", format="xlrs")
    assert (result.num_records, result.left_out) == (1, {"caption or box of two images": 1})
    assert not (tmp_path / "xlrs/caption").exists()


# --- COCO ---


def test_coco_holds_one_annotation_an_object_with_the_class_any_question_names(dataset: Path, tmp_path: Path) -> None:
    result = export_dataset(dataset, tmp_path / "coco", format="coco-asked", split="train")
    assert result == ExportResult(folder=str(tmp_path / "coco"), num_records=2, num_images=1, left_out={"no box": 5})
    assert "<p>left out: 5 x no box</p>" in result._repr_html_()
    assert files(tmp_path / "coco") == ["README.md", "images/city/0_0.jpg", "scenes.json", "train.json"]
    document = json.loads((tmp_path / "coco/train.json").read_text("utf-8"))
    assert document["images"] == [{"id": 1, "file_name": "city/0_0.jpg", "width": 200, "height": 100}]
    assert document["categories"] == [{"id": 1, "name": "ship"}]
    # x 0.1 x 200 = 20, y 0.1 x 100 = 10, width 0.2 x 200 = 40, height 0.4 x 100 = 40
    assert document["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20.0, 10.0, 40.0, 40.0], "area": 1600.0, "iscrowd": 0}
    ]


def test_coco_keeps_objects_without_ids_and_classes_apart(tmp_path: Path) -> None:
    tile = make_tile(0, "train")
    boxes = [Box(0.1, 0.1, 0.3, 0.5), Box(0.5, 0.5, 1.0, 1.0)]
    records = tuple(
        make_record(tile, number, "fine_grained_grounding", bbox=box, answer=str(list(box)))
        for number, box in enumerate(boxes)
    )
    write(tmp_path / "superrs", [TileRows(tile, records)])
    export_dataset(tmp_path / "superrs", tmp_path / "coco", format="coco-asked")
    document = json.loads((tmp_path / "coco/train.json").read_text("utf-8"))
    assert [entry["bbox"] for entry in document["annotations"]] == [[20, 10, 40, 40], [100, 50, 100, 50]]
    assert document["categories"] == [{"id": 1, "name": "object"}]


@pytest.mark.parametrize(
    ("geometry", "expected"),
    [
        # the triangle fills half of its 40 x 40 px
        ("POLYGON ((20 10, 60 10, 20 50, 20 10))", {"segmentation": [[20, 10, 60, 10, 20, 50]], "area": 800}),
        # of something else, of no area, and none at all: the box alone
        ("POLYGON ((0 0, 90 0, 90 90, 0 0))", {"area": 1600}),
        ("LINESTRING (20 10, 60 50)", {"area": 1600}),
        (None, {"area": 1600}),
    ],
)
def test_coco_has_the_outline_that_the_evidence_holds(
    tmp_path: Path, geometry: str | None, expected: dict[str, Any]
) -> None:
    tile = make_tile(0, "train")
    evidence: dict[str, Any] = {"feature_ids": ["ships:7"], "rule": "r", "values": {}, "geometry": geometry}
    one = make_record(tile, 0, "fine_grained_grounding", bbox=BOX, answer=str(list(BOX)), evidence=evidence)
    write(tmp_path / "superrs", [TileRows(tile, (one,))])
    export_dataset(tmp_path / "superrs", tmp_path / "coco", format="coco-asked")
    (found,) = json.loads((tmp_path / "coco/train.json").read_text("utf-8"))["annotations"]
    assert {key: found[key] for key in ("segmentation", "area") if key in found} == expected
    assert found["bbox"] == [20, 10, 40, 40]


# --- what no export may hold ---


def make_question(*images: EncodedImage, width: int = WIDTH, **values: Any) -> StoredQuestion:
    """Return a sound grounding question with `values` in it."""
    tile = TileRecord(image_id="city/0_0", split="train", scene="city", window=Window(0, 0, width, HEIGHT))
    fields = {"task": "fine_grained_grounding", "question": "Where?", "bbox": BOX, "answer": str(list(BOX)), **values}
    shown = images or (EncodedImage("city/0_0.jpg", BYTES["tile"]),)
    return StoredQuestion(index=0, record=make_record(tile, 0, **fields), images=shown)


def boxed(question: str = BOX_TEXT, **values: Any) -> StoredQuestion:
    return make_question(
        **{"task": "object_classification", "question": question, "options": COUNT_OPTIONS, "answer": "A", **values}
    )


def with_box(text: str) -> StoredQuestion:
    return boxed(BOX_TEXT.replace("[20, 10, 60, 50]", text), bbox=None)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (make_question(), None),
        (boxed(), None),
        (boxed(BOX_TEXT.replace("20, 10", "21, 9")), None),  # rounded to pixels
        (make_question(bbox=None, answer="text", task="detailed_captioning"), None),
        (make_question(task="guessing"), "unknown task"),
        (make_question(review="rejected"), "rejected in review"),
        (make_question(review="needed"), "review still needed"),
        (make_question(review="fixed"), None),
        (make_question(bbox=Box(0.1, 0.1, 1.3, 0.5)), "box outside the image or not ordered"),
        (make_question(bbox=Box(0.3, 0.1, 0.1, 0.5)), "box outside the image or not ordered"),
        (make_question(bbox=Box(0.1, 0.1, 0.1, 0.5)), "box outside the image or not ordered"),
        (make_question(bbox=Box(float("nan"), 0.1, 0.3, 0.5)), "box outside the image or not ordered"),
        (make_question(question="Where, from 0 to 1?"), None),
        (make_question(question="Where, from 0 to 1,000?"), "question wants its box in other units than its answer's"),
        (boxed(options=("1", "2")), "options without their letters"),
        (boxed(answer="E"), "answer names no option"),
        (make_question(bbox=None), "answer is not the row's box"),
        (make_question(answer="[0.1, 0.1, 0.3, 0.6]"), "answer is not the row's box"),
        (make_question(answer="[20, 10, 60, 50]"), "answer is not the row's box"),
        # the defects of the released training file: coordinates times ten, corners swapped
        (with_box("[2500, 3000, 2600, 3100]"), "written box outside the image or not ordered"),
        (with_box("[60, 10, 20, 50]"), "written box outside the image or not ordered"),
        (boxed(BOX_TEXT.replace("200 x 100", "unknown")), "written box without the image's size"),
        (boxed(BOX_TEXT.replace("200 x 100", "100 x 200")), "written box without the image's size"),
        (boxed(BOX_TEXT.replace("20, 10", "30, 10")), "written box is not the row's box"),
        (boxed("What is it?"), "written box is not the row's box"),
        (make_question(width=HEIGHT), "image broken or not of the row's size"),
        (make_question(EncodedImage("a.jpg", b"no image")), "image broken or not of the row's size"),
        *(
            (make_question(EncodedImage(name, BYTES["tile"])), "image name leads out of the folder")
            for name in ("../a.jpg", "/a.jpg", "a/../../b.jpg", "..\\a.jpg", "")
        ),
    ],
)
def test_what_is_wrong_with_a_question(question: StoredQuestion, reason: str | None) -> None:
    assert defect(question) == reason


def test_defective_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    tile = make_tile(0, "train")
    records = (
        make_record(tile, 0, "overall_counting", options=COUNT_OPTIONS, answer="B"),
        make_record(tile, 1, "fine_grained_grounding", bbox=Box(0.1, 0.1, 1.3, 0.5), answer="[0.1, 0.1, 1.3, 0.5]"),
        make_record(tile, 2, "detailed_captioning", question="<image> or not?", answer="No."),
        make_record(tile, 3, "overall_counting", review="rejected"),
        make_record(tile, 4, "overall_counting", review="rejected"),
    )
    write(tmp_path / "superrs", [TileRows(tile, records)])
    result = export_dataset(tmp_path / "superrs", tmp_path / "llava", format="llava")
    assert result.num_records == 1
    assert list(result.left_out.items()) == [
        ("rejected in review", 2),
        ("box outside the image or not ordered", 1),
        ("text holds <image>", 1),
    ]
    assert str(result) == (
        "left out: 2 x rejected in review\n"
        "left out: 1 x box outside the image or not ordered\n"
        "left out: 1 x text holds <image>\n"
        f"1 questions with 1 images in {tmp_path / 'llava'}"
    )


# --- the folder ---


def test_a_folder_in_use_is_replaced_only_when_told(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"out is not empty; choose another folder, or `overwrite`"):
        export_dataset(dataset, out, format="coco-asked")
    assert files(out) == ["mine.txt"]
    export_dataset(dataset, out, format="coco-asked", overwrite=True)
    assert "mine.txt" not in files(out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "superrs"]


def test_a_failed_export_leaves_nothing_and_keeps_the_former(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_dataset(dataset, tmp_path / "out", format="coco-asked")
    before = files(tmp_path / "out")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("rsvqa.rsvqa_builder.exporting.pictures.PictureFolder.add", fail)
    with pytest.raises(OSError, match="disk full"):
        export_dataset(dataset, tmp_path / "out", format="llava", overwrite=True)
    assert files(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "superrs"]


def test_the_data_set_itself_is_never_overwritten(dataset: Path, tmp_path: Path) -> None:
    for out in (dataset, tmp_path):
        with pytest.raises(OutputError, match="holds the data set itself"):
            export_dataset(dataset, out, format="llava", overwrite=True)
    with pytest.raises(OutputError, match="lies among the data set's shards"):
        export_dataset(dataset, dataset / "data" / "llava", format="llava")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is a file; expected a folder"):
        export_dataset(dataset, tmp_path / "file", format="llava")


def test_an_export_of_nothing_is_an_error(tmp_path: Path) -> None:
    tile = make_tile(0, "train")
    write(tmp_path / "superrs", [TileRows(tile, (make_record(tile, 0, "detailed_captioning"),))])
    with pytest.raises(ExportError, match=r"no question of .*superrs can be exported as 'coco-asked': 1 x no box"):
        export_dataset(tmp_path / "superrs", tmp_path / "out", format="coco-asked")
    with pytest.raises(
        ExportError, match="unknown format 'yolo': expected one of llava, xlrs, coco, coco-asked, swift"
    ):
        export_dataset(tmp_path / "superrs", tmp_path / "out", format="yolo")
    with pytest.raises(ShardError, match="no shards of split 'test'"):
        export_dataset(tmp_path / "superrs", tmp_path / "out", format="llava", split="test")
    assert not (tmp_path / "out").exists()


def test_the_same_data_set_gives_the_same_bytes(dataset: Path, tmp_path: Path) -> None:
    for format_ in ("llava", "xlrs", "coco-asked"):
        for name in ("first", "second"):
            export_dataset(dataset, tmp_path / f"{format_}-{name}", format=format_)
        first, second = tmp_path / f"{format_}-first", tmp_path / f"{format_}-second"
        assert files(first) == files(second)
        assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files(first))


def test_a_box_at_the_edge_begins_at_zero_without_a_sign(tmp_path: Path) -> None:
    tile = make_tile(0, "train")
    edge = Box(-0.0, 0.0, 0.5, 1.0)  # as the difference of two large coordinates may be
    records = (make_record(tile, 0, "fine_grained_grounding", bbox=edge, answer=str(list(edge))),)
    data = write(tmp_path / "superrs", [TileRows(tile, records)])
    export_dataset(data, tmp_path / "coco", format="coco-asked")
    text = (tmp_path / "coco/train.json").read_text("utf-8")
    assert json.loads(text)["annotations"][0]["bbox"] == [0, 0, WIDTH / 2, HEIGHT]
    assert "-0" not in text
