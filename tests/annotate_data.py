"""Small data sets for tests of `rsvqa annotate`, and the model that knows their answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.rsvqa_builder.annotating.items import TileImages, item_of, knowledge_of
from rsvqa.rsvqa_builder.dataset.stored_tiles import read_tiles
from rsvqa.rsvqa_builder.demo.scenes import make_demo_scenes
from rsvqa.rsvqa_builder.labels.classes import load_class_table
from tests.knowing_model import KnowingModel, Truth
from tests.run_build import rsvqa
from tests.scripted_endpoint import Body, text_of


def build_demo(folder: Path, *, count: int = 1, size: int = 512, words: tuple[object, ...] = ()) -> Path:
    """Build a data set of the example scenes in `folder` and return its path."""
    make_demo_scenes(folder / "scenes", seed=0, size=size, count=count)
    out = folder / "data"
    done = rsvqa("build", "--src", folder / "scenes", "--classes", "demo", "--out", out, "--workers", 0, *words)
    assert done.code == 0, done.err
    return out


def items_of(data: Path) -> list[QuestionItem]:
    """Return every question of a data set as an item."""
    classes = load_class_table(data / "classes.toml").infos()
    images = TileImages()
    return [
        item_of(record, tile, images, knowledge_of(tile.rows.records, classes))
        for tile in read_tiles(data)
        for record in tile.rows.records
    ]


def truths_of(items: list[QuestionItem]) -> dict[tuple[str, frozenset[str]], Truth]:
    """Return the right answers, by question and options."""
    return {
        (item.text, frozenset(item.options)): Truth(
            frozenset(item.right_options), item.box if item.form is AnswerForm.BOX else None
        )
        for item in items
    }


def knowing_model(data: Path, **settings: Any) -> KnowingModel:
    """Return the model that knows the answers of a data set as it is now."""
    items = items_of(data)
    return KnowingModel(
        truths=truths_of(items), truths_by_id={item.question_id: truths_of([item]) for item in items}, **settings
    )


def endpoint_answer(model: KnowingModel) -> Any:
    """Return the model as the `answer` of a `ScriptedEndpoint`."""

    def answer(body: Body) -> str:
        return model.reply(text_of(body))

    return answer


def data_digest(folder: Path) -> Mapping[str, str]:
    """Return the SHA-256 of every file of a data set; of the report all but the bill, which tells of the runs."""
    digests = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == "annotate_report.json":
            report = json.loads(content)
            del report["bill"]
            content = json.dumps(report).encode()
        digests[path.relative_to(folder).as_posix()] = hashlib.sha256(content).hexdigest()
    return digests
