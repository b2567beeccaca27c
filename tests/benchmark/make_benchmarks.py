"""Miniature copies of other benchmarks, in the columns and files in which they are published."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from tests.benchmark.make_xlrs import HEIGHT, WIDTH, jpeg, make_pixels

Row = dict[str, Any]


def tiff(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(make_pixels(number)).save(buffer, "TIFF")
    return buffer.getvalue()


def write_lines(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_list(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")


def write_image(path: Path, encoded: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded)


def lrs_vqa(folder: Path) -> Path:
    """LRS_VQA/LRS_VQA_merged.jsonl with TIFF images named from the folder above."""
    sources = [("FAIR_1", "count", "3"), ("FAIR_2", "object color", "red"), ("GLH-Bridge_1", "count", "two")]
    rows = [
        {
            "question_id": name,
            "image": f"LRS_VQA/image/{number}.tif",
            "category": category,
            "text": f"What is thing {number}?\n Answer the question using a single word or phrase.",
            "ground_truth": right,
            "hbox": [282, 3418, 763, 4050],
            "image_size": [4000, 4000],
        }
        for number, (name, category, right) in enumerate(sources)
    ]
    for number in range(len(rows)):
        write_image(folder / f"LRS_VQA/image/{number}.tif", tiff(number))
    write_lines(folder / "LRS_VQA/LRS_VQA_merged.jsonl", rows)
    return folder


FIVE = ["(A) red", "(B) green", "(C) blue", "(D) grey", "(E) The image does not feature the color."]


def mme_lmms_eval(folder: Path) -> Path:
    """lmms-eval's parquet: one base64 image, options in a list; one row is of another domain."""
    domains = ["Perception/Remote Sensing", "Perception/Remote Sensing", "Perception/Autonomous_Driving"]
    rows = [
        {
            "index": f"q{number}",
            "bytes": base64.b64encode(jpeg(600 + number)).decode(),
            "question": f"What color is thing {number}?",
            "multi-choice options": FIVE,
            "answer": "ABC"[number],
            "category": domain,
            "l2-category": "color" if number else "position",
        }
        for number, domain in enumerate(domains)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    return folder


def mme_original(folder: Path) -> Path:
    """The repository's JSON: names of files, other names of columns."""
    rows = [
        {
            "Question_id": "perception/remote_sensing/color/0558",
            "Image": "pic.jpg",
            "Text": "What color is it?",
            "Question Type": "Multiple Choice",
            "Answer choices": FIVE,
            "Ground truth": "E",
            "Task": "Perception",
            "Subtask": "Remote Sensing",
            "Category": "color",
        }
    ]
    write_list(folder / "MME_RealWorld.json", rows)
    write_image(folder / "remote_sensing/pic.jpg", jpeg(620))
    return folder


def lrs_gro(folder: Path) -> Path:
    """LRS-GRO.jsonl: three splits in one file, names of images without their folder."""
    kinds = [("test", "global", "Yes"), ("test", "object", "domed"), ("sft", "object", "flat")]
    rows = [
        {
            "question_id": f"LRS-GRO-{number}",
            "image_name": "0668.png",
            "category": "Scene Type",
            "question": f"Is thing {number} domed?",
            "ground_truth": right,
            "bbox": [],
            "type": kind,
            "split": split,
        }
        for number, (split, kind, right) in enumerate(kinds)
    ]
    write_lines(folder / "LRS-GRO.jsonl", rows)
    write_image(folder / "image/0668.png", jpeg(630))
    return folder


def geobench(folder: Path) -> Path:
    """Single/qa.json: several wordings per question, options with and without letters beside each other."""
    row = {
        "image_path": "Single/images/1.jpg",
        "ground_truth": "airport",
        "ground_truth_option": "B",
        "options_list": ["harbour", "airport", "farm", "forest", "town"],
        "options": "A. harbour B. airport C. farm D. forest E. town",
        "prompts": ["What is shown?", "Which scene is this?"],
        "task": "Scene Classification",
        "question_id": 7,
        "cls_description": "",
    }
    write_list(folder / "Single/qa.json", [row | {"cls_description": "Scenes."}])
    write_image(folder / "Single/images/1.jpg", jpeg(640))
    return folder


def vrsbench(folder: Path) -> Path:
    """The three files of questions, and Images_val."""
    base: Row = {"image_id": "P0003_0002.png", "dataset": "RSBench"}
    rows: list[Row] = [
        {"question": "How many ships?", "ground_truth": "2", "question_id": 0, "type": "object quantity"},
        {"question": "Is it urban?", "ground_truth": "No", "question_id": "Q6", "type": "rural or urban"},
    ]
    write_list(folder / "VRSBench_EVAL_vqa.json", [base | row for row in rows])
    right = "{<10><20><30><60>}"
    boxes: list[Row] = [{"question": f"The ship {n}", "ground_truth": right, "question_id": n} for n in (0, 1)]
    write_list(
        folder / "VRSBench_EVAL_referring.json",
        [base | box | {"type": "ref", "unique": not n, "obj_cls": "ship"} for n, box in enumerate(boxes)],
    )
    caption = {"question": "Describe the image in detail", "ground_truth": "A harbour.", "question_id": 0}
    write_list(folder / "VRSBench_EVAL_Cap.json", [base | caption | {"type": "caption"}])
    write_image(folder / "Images_val/P0003_0002.png", jpeg(650))
    return folder


def omniearth(folder: Path) -> Path:
    """Parquet in the columns of the benchmark's own evaluation."""
    levels = {"L1-task": "Atmosphere", "L2-task": "Weather", "L3-task": "Perception", "L4-task": "Clouds"}
    kinds = [("Single Choice", "B"), ("Multiple Choice", "AC"), ("Chain-of-Thought", "F")]
    rows = [
        {
            "index": number,
            "image": [jpeg(660 + number)],
            "question": f"Which cloud is it {number}?",
            "multi-choice options": [
                *(f"({letter}) kind {letter}" for letter in "ABCDE"),
                "(F) Unable to decide",
            ],
            "answer": right,
            "question_type": kind,
            **levels,
        }
        for number, (kind, right) in enumerate(kinds)
    ]
    boxes = [
        {
            "index": number,
            "image": {"bytes": jpeg(680 + number), "path": None},
            "question": "the largest cloud",
            "answer": box,
            "image_width": WIDTH,
            "image_height": HEIGHT,
            "question_type": "Visual Grounding",
            **levels,
        }
        for number, box in enumerate([[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 0.5]])
    ]
    folder.mkdir(parents=True, exist_ok=True)
    # indexes begin anew in each table
    pq.write_table(pa.Table.from_pylist(rows), folder / "Rain.parquet")
    pq.write_table(pa.Table.from_pylist(rows[:1]), folder / "Snow.parquet")
    pq.write_table(pa.Table.from_pylist(boxes), folder / "Clouds_vg.parquet")
    return folder


def omniearth_vlmevalkit(folder: Path) -> Path:
    """JSON lines with base64 and options that end with their instruction."""
    options = "The choices are listed below:\n(A) fog\n(B) rain\n(C) Unable to decide\n"
    row = {
        "image": base64.b64encode(jpeg(670)).decode(),
        "question": "What is it?",
        "multi-choice options": f"{options}\nSelect the best answer for the multiple-choice question.\nThe answer is:",
        "answer": "B",
        "category": "Atmosphere",
        "l2-category": "Weather",
        "l3-category": "Perception",
        "l4-category": "Rain",
    }
    write_lines(folder / "OmniEarth-Bench_MCQ_part0.jsonl", [row])
    return folder


MAKERS: dict[str, Callable[[Path], Path]] = {
    "lrs-vqa": lrs_vqa,
    "mme-realworld-rs": mme_lmms_eval,
    "mme-realworld-cn-rs": mme_lmms_eval,
    "lrs-gro": lrs_gro,
    "geobench-vlm": geobench,
    "vrsbench-vqa": vrsbench,
    "vrsbench-referring": vrsbench,
    "vrsbench-caption": vrsbench,
    "omniearth": omniearth,
    "omniearth-grounding": omniearth,
    "omniearth-vlmevalkit": omniearth_vlmevalkit,
}
"""A maker of a miniature copy for each task file that comes with rsvqa."""
