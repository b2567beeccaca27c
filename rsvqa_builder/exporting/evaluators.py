"""The formats of two evaluators of models: a task of lmms-eval, and tables of VLMEvalKit.

lmms-eval asks our prompts byte for byte. What surprises in VLMEvalKit: it asks options in its own words, takes one
right letter, and reads its tables with pandas, to which the option "None" is no option and "0.50" is 0.5; such
questions are left out.
"""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any, Self, TextIO

import pyarrow as pa

from rsvqa.annotation.lettering import LETTERS
from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.dataset.image_tables import IMAGES
from rsvqa.rsvqa_builder.dataset.prompts import exchange_of
from rsvqa.rsvqa_builder.dataset.rows import Column, StoredQuestion
from rsvqa.rsvqa_builder.dataset.shards import split_of
from rsvqa.rsvqa_builder.exporting.split_tables import SplitTables

# --- lmms-eval ---

_MODULE = "rsvqa_task.py"
_TEXT = pa.string()
_COLUMNS: Mapping[str, pa.DataType] = {
    "question_id": _TEXT,
    "image": IMAGES,
    "prompt": _TEXT,
    "answer": _TEXT,
    "task": _TEXT,
    "category": _TEXT,
    Column.L2_CATEGORY: _TEXT,
    "language": _TEXT,
    "bbox": pa.list_(pa.float64()),
}
_MAX_NEW_TOKENS = {"options": 64, "boxes": 128}
"""As `rsvqa bench` bounds them."""
_SCORERS = {
    "options": ("score_options", {"rsvqa_micro": "micro", "rsvqa_macro": "macro"}),
    "boxes": ("score_box", {"rsvqa_acc_50": "acc_50", "rsvqa_mean_iou": "mean_iou"}),
}


class LmmsEvalExporter:
    """Tables in `options/` and `boxes/`, a task file for each of them and split, and the functions of the tasks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables = SplitTables(folder, dict.fromkeys(_SCORERS, _COLUMNS))

    def begin_shard(self, shard: Path) -> None:
        """Begin new files: each has at most the rows of one shard."""
        self._tables.begin_shard(shard)

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse captions, for which the task has no measure."""
        return "neither options nor a box" if _kind(question) is None else None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Write one row group in each table that has rows here."""
        for kind in _SCORERS:
            self._tables.write(kind, [_lmms_row(one) for one in questions if _kind(one) == kind])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tables.close()
        for (table, split), files in self._tables.files.items():
            names = [path.relative_to(self._folder).as_posix() for path in files]
            text = _task_file(table, split, names)
            (self._folder / f"{_task_name(table, split)}.yaml").write_text(text, encoding="utf-8", newline="\n")
        functions = resources.files("rsvqa.rsvqa_builder.exporting").joinpath("lmms_eval_task.py").read_bytes()
        (self._folder / _MODULE).write_bytes(functions)

    def card(self) -> str:
        """Return how the tasks are run."""
        names = [_task_name(*key) for key in sorted(self._tables.files)]
        return "\n".join(
            [
                "# Tasks for lmms-eval",
                "",
                "```sh",
                f"lmms-eval --include_path . --tasks {','.join(names)} --log_samples --output_path logs …",
                "```",
                "",
                "Prompts are those of `rsvqa bench`. Letters are read as lmms-eval reads them for XLRS-Bench, boxes as "
                "shares of the image's sides.",
                "",
            ]
        )


def _kind(question: StoredQuestion) -> str | None:
    if question.record.form is AnswerForm.BOX:
        return "boxes"
    return "options" if question.record.options else None


def _lmms_row(question: StoredQuestion) -> dict[str, Any]:
    record = question.record
    info = TASKS[record.task]
    return {
        "question_id": record.question_id,
        "image": list(question.images),
        "prompt": exchange_of(record).prompt,
        "answer": record.answer,
        "task": record.task,
        "category": info.category,
        Column.L2_CATEGORY: info.l2_category,
        "language": record.language,
        "bbox": None if record.bbox is None else list(record.bbox),
    }


def _task_name(kind: str, split: str) -> str:
    return f"rsvqa_{kind}_{split}"


def _task_file(kind: str, split: str, files: Sequence[str]) -> str:
    """Return a task's YAML; relative names of files are found beside it."""
    scorer, metrics = _SCORERS[kind]
    module = _MODULE.removesuffix(".py")
    lines = [
        "dataset_path: parquet",
        "dataset_kwargs:",
        "  data_files:",
        f"    {split}:",
        *(f"      - {name}" for name in files),
        f"task: {_task_name(kind, split)}",
        f"test_split: {split}",
        "output_type: generate_until",
        f"doc_to_visual: !function {module}.doc_to_visual",
        f"doc_to_text: !function {module}.doc_to_text",
        "doc_to_target: answer",
        f"process_results: !function {module}.{scorer}",
        "generation_kwargs:",
        f"  max_new_tokens: {_MAX_NEW_TOKENS[kind]}",
        "  temperature: 0",
        "  do_sample: false",
        "  num_beams: 1",
        "metric_list:",
    ]
    for metric, function in metrics.items():
        lines += [f"  - metric: {metric}", f"    aggregation: !function {module}.{function}"]
        lines += ["    higher_is_better: true"]
    return "\n".join([*lines, "metadata:", "  - version: 1.0", ""])


# --- VLMEvalKit ---

_READ_AS_MISSING = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
        *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    }
)
"""Texts that pandas takes for missing values."""
_BOOLEANS = frozenset({"TRUE", "FALSE", "true", "false"})
_LONGEST_REFERENCE = 64
"""Characters below which the kit takes an image's cell for the index of another row."""


class VlmEvalKitExporter:
    """`{split}_{number of options}.tsv`, each image once, in the row of its first question.

    Rows with fewer options than others would have empty cells, and pandas then makes "4" in that column 4.0.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tables: dict[tuple[str, int], TextIO] = {}
        self._first_rows: dict[tuple[str, int], dict[str, int]] = {}
        self._open = ExitStack()

    def begin_shard(self, shard: Path) -> None:
        """Go on with the tables of the shard's split."""
        self._split = split_of(shard)

    def unfit(self, question: StoredQuestion) -> str | None:
        """Refuse what the kit cannot ask, or what pandas would read as something else."""
        record = question.record
        if not record.options:
            return "no options"
        if record.form is AnswerForm.SEVERAL_OF:
            return "several options may be right"
        if any(map(_is_changed_by_pandas, map(_option_text, record.options))):
            return "an option that pandas reads as something else"
        return None

    def write(self, questions: Sequence[StoredQuestion]) -> None:
        """Add a row for each question."""
        for question in questions:
            key = self._split, len(question.record.options)
            table = csv.writer(self._table(key), delimiter="\t", lineterminator="\n")
            table.writerow(self._row(question, self._first_rows[key]))

    def _table(self, key: tuple[str, int]) -> TextIO:
        if key not in self._tables:
            split, number = key
            path = self._folder / f"{split}_{number}.tsv"
            file = self._open.enter_context(path.open("w", encoding="utf-8", newline=""))
            csv.writer(file, delimiter="\t", lineterminator="\n").writerow([*_TSV_COLUMNS, *LETTERS[:number], "image"])
            self._tables[key], self._first_rows[key] = file, {}
        return self._tables[key]

    def _row(self, question: StoredQuestion, first_rows: dict[str, int]) -> list[object]:
        record = question.record
        info = TASKS[record.task]
        options = [_option_text(option) for option in record.options]
        known = [record.question, record.answer, info.category, info.l2_category]
        return [question.index, *known, record.question_id, *options, _image_cell(question, first_rows)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._open.close()

    def card(self) -> str:
        """Return how the tables are used."""
        names = ", ".join(f"`{split}_{number}`" for split, number in sorted(self._tables))
        return (
            "# Tables for VLMEvalKit\n\n"
            f"Copy the .tsv files to the folder that LMUData names. The data sets are then called {names}. The kit "
            "asks options in its own words, so a score is not that of `rsvqa bench`.\n"
        )


_TSV_COLUMNS = ("index", "question", "answer", "category", Column.L2_CATEGORY, "question_id")


def _option_text(option: str) -> str:
    return option[3:].strip()


def _is_changed_by_pandas(text: str) -> bool:
    if text in _READ_AS_MISSING or text in _BOOLEANS:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return not (text.isdecimal() and text == str(int(text)))


def _image_cell(question: StoredQuestion, first_rows: dict[str, int]) -> str:
    """Return the image in base64, or the index of the row that holds it; several images stand as a list."""
    encoded = [base64.b64encode(image.data).decode() for image in question.images]
    if len(encoded) > 1:
        return json.dumps(encoded)
    first = first_rows.setdefault(question.images[0].path, question.index)
    return encoded[0] if first == question.index or len(encoded[0]) <= _LONGEST_REFERENCE else str(first)
