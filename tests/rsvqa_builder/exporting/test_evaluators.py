"""Exports for evaluators, read back as the evaluators read them."""

from __future__ import annotations

import base64
import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from rsvqa.annotation.wording.xlrs_prompt import xlrs_prompt
from rsvqa.rsvqa_builder.dataset.shards import TileRows
from rsvqa.rsvqa_builder.exporting.export import export_dataset
from tests.benchmark import lmms_eval
from tests.rsvqa_builder.exporting.test_export import (
    BYTES,
    COUNT_OPTIONS,
    make_record,
    make_tile,
    make_tile_rows,
    write,
)

csv.field_size_limit(sys.maxsize)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write(tmp_path / "superrs", [make_tile_rows(), make_tile_rows(500, "val")])


def exported(dataset: Path, tmp_path: Path, format: str) -> tuple[Path, dict[str, int]]:  # noqa: A002
    result = export_dataset(dataset, tmp_path / format, format=format)
    return tmp_path / format, dict(result.left_out)


# --- lmms-eval ---


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads `!function module.name` as its text."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


def functions(folder: Path, monkeypatch: pytest.MonkeyPatch, *, letters: Any = None) -> ModuleType:
    """Return the task's module, with lmms-eval's reader of letters in place."""
    reader = ModuleType("lmms_eval.tasks.xlrs.mcq_utils")
    reader.extract_characters_regex = letters or (lambda text: text.strip())  # type: ignore[attr-defined]
    for name in ("lmms_eval", "lmms_eval.tasks", "lmms_eval.tasks.xlrs"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, reader.__name__, reader)
    spec = importlib.util.spec_from_file_location("rsvqa_task", folder / "rsvqa_task.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_task_of_lmms_eval_names_its_files_and_functions(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, left_out = exported(dataset, tmp_path, "lmms-eval")
    assert left_out == {"neither options nor a box": 2}  # the captions
    assert sorted(path.name for path in folder.glob("*.yaml")) == [
        *("rsvqa_boxes_train.yaml", "rsvqa_boxes_val.yaml", "rsvqa_options_train.yaml", "rsvqa_options_val.yaml")
    ]
    task = yaml.load((folder / "rsvqa_options_val.yaml").read_text(), _Loader)  # noqa: S506  a safe one
    assert task["task"] == "rsvqa_options_val"
    assert task["test_split"] == "val"
    assert task["dataset_path"] == "parquet"
    assert task["dataset_kwargs"] == {"data_files": {"val": ["options/val-00000.parquet"]}}
    assert task["generation_kwargs"]["max_new_tokens"] == 64
    module = functions(folder, monkeypatch)
    named = [task[key] for key in ("doc_to_visual", "doc_to_text", "process_results")]
    named += [metric["aggregation"] for metric in task["metric_list"]]
    for name in named:
        assert callable(getattr(module, name.removeprefix("rsvqa_task.")))
    rows = pq.read_table(folder / "options/val-00000.parquet").to_pylist()
    assert [row["question_id"] for row in rows] == [f"city/500_0/{number}" for number in (0, 1, 4, 5, 6)]
    assert module.doc_to_text(rows[1]) == xlrs_prompt("Question 1?", COUNT_OPTIONS, several=True)
    assert [image["bytes"] for image in rows[3]["image"]] == [BYTES["tile"], BYTES["later"]]


def test_the_task_scores_letters_and_boxes(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = exported(dataset, tmp_path, "lmms-eval")
    module = functions(folder, monkeypatch)
    rows = pq.read_table(folder / "options/train-00000.parquet").to_pylist()
    # right are B, ACD, A, D, C, each of a task of its own
    scores = [module.score_options(row, [reply]) for row, reply in zip(rows, ["B", "DCA", "A", "A", ""], strict=True)]
    assert module.micro([score["rsvqa_micro"] for score in scores]) == 0.6
    both = [{"task": "x", "right": 1.0}, {"task": "x", "right": 0.0}, {"task": "y", "right": 1.0}]
    assert module.macro(both) == 0.75
    (box,) = pq.read_table(folder / "boxes/train-00000.parquet").to_pylist()
    # right is 0.1, 0.1, 0.3, 0.5; its left half, and no box
    replies = ["It is [0.1, 0.1, 0.2, 0.5].", "none", "[0.1, 0.1, 0.3, 0.5]"]
    found = [module.score_box(box, [reply])["rsvqa_acc_50"] for reply in replies]
    assert [one["iou"] for one in found] == [0.5, 0.0, 1.0]
    assert module.acc_50(found) == pytest.approx(2 / 3)
    assert module.mean_iou(found) == 0.5


def test_lmms_eval_reads_the_task_itself(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = exported(dataset, tmp_path, "lmms-eval")
    source = (lmms_eval.folder() / "lmms_eval/utils.py").read_text()
    start, end = source.index("def import_function"), source.index("def regex_replace")
    names: dict[str, Any] = {"yaml": yaml, "os": __import__("os"), "importlib": importlib}
    exec(source[start:end], names)  # noqa: S102  the rest of the module needs all of lmms-eval
    task = names["load_yaml_config"](yaml_path=str(folder / "rsvqa_options_train.yaml"), mode="full")
    assert task["dataset_kwargs"]["data_files"] == {"train": [str(folder / "options/train-00000.parquet")]}
    datasets = pytest.importorskip("datasets")
    table = datasets.load_dataset("parquet", **task["dataset_kwargs"], cache_dir=str(tmp_path / "cache"))["train"]
    assert [image.size for image in task["doc_to_visual"](table[3])] == [(200, 100), (200, 100)]
    letters = lmms_eval.load("tasks/xlrs/mcq_utils.py", monkeypatch).extract_characters_regex
    module = functions(folder, monkeypatch, letters=letters)
    assert module.score_options(table[1], ["(A) (C) (D)"])["rsvqa_micro"]["right"] == 1.0
    assert module.score_options(table[1], ["A, C"])["rsvqa_micro"]["right"] == 0.0


# --- VLMEvalKit ---


def tsv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_table_of_vlmevalkit_holds_each_image_once(dataset: Path, tmp_path: Path) -> None:
    folder, left_out = exported(dataset, tmp_path, "vlmevalkit")
    assert left_out == {"no options": 4, "several options may be right": 2}
    assert sorted(path.name for path in folder.glob("*.tsv")) == ["train_4.tsv", "val_4.tsv"]
    rows = tsv_rows(folder / "val_4.tsv")
    assert list(rows[0]) == [
        *("index", "question", "answer", "category", "l2-category", "question_id", "A", "B", "C", "D", "image")
    ]
    assert [row["answer"] for row in rows] == ["B", "A", "D", "C"]
    assert [row["C"] for row in rows] == ["3"] * 4
    first, second, pair, marked = (row["image"] for row in rows)
    assert base64.b64decode(first) == BYTES["tile"]
    assert second == rows[0]["index"]
    assert [base64.b64decode(one) for one in json.loads(pair)] == [BYTES["tile"], BYTES["later"]]
    assert base64.b64decode(marked) == BYTES["tile_marked"]


def test_what_pandas_reads_as_something_else_is_left_out(tmp_path: Path) -> None:
    tile = make_tile(0, "test")
    options = [("None", "4"), ("0.50", "1"), ("true", "false"), ("yes", "no"), ("12", "7"), ("N/A", "x"), ("1e3", "2")]
    records = tuple(
        make_record(tile, number, "object_motion_state", options=(f"(A) {a}", f"(B) {b}"), answer="A")
        for number, (a, b) in enumerate(options)
    )
    dataset = write(tmp_path / "set", [TileRows(tile, records)])
    folder, left_out = exported(dataset, tmp_path, "vlmevalkit")
    assert left_out == {"an option that pandas reads as something else": 5}
    assert [(row["A"], row["B"]) for row in tsv_rows(folder / "test_2.tsv")] == [("yes", "no"), ("12", "7")]


def test_a_format_for_evaluators_is_the_same_for_every_model(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="the format lmms-eval is the same for every model"):
        export_dataset(dataset, tmp_path / "x", format="lmms-eval", model="internvl")
