"""Annotating a whole data set: what changes, what stays, and what is refused."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.outcomes import Note
from rsvqa.annotation.llm.passes import Ask
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.rsvqa_builder.annotating import annotate as annotate_module
from rsvqa.rsvqa_builder.annotating.annotate import (
    Annotated,
    AnnotateError,
    NothingToAnnotateError,
    annotate,
    planned_requests,
)
from rsvqa.rsvqa_builder.annotating.items import EVIDENCE_KEY, record_of
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings
from rsvqa.rsvqa_builder.config import SettingsError, load_settings
from rsvqa.rsvqa_builder.dataset.shards import plan_shards, read_records, write_shards
from rsvqa.rsvqa_builder.dataset.stored_tiles import read_tiles
from rsvqa.rsvqa_builder.exporting.export import export_dataset
from rsvqa.rsvqa_builder.files import OutputError
from rsvqa.rsvqa_builder.progress import QuietReporter
from tests.annotate_data import build_demo, data_digest, items_of, knowing_model
from tests.knowing_model import OPENING

ALL = ("word", "draft", "verify", "translate")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo(tmp_path_factory.mktemp("demo"))


def run(data: Path, out: Path, ask: Ask, *steps: Any, **words: Any) -> Annotated:
    settings = AnnotateSettings(model="m", verifier="v", steps=steps or ALL)
    return annotate(settings, data, out, ask=ask, reporter=QuietReporter(), **words)


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["question_id"]: row for row in read_records(folder)}


def test_read_back_a_data_set_is_what_was_written(data: Path, tmp_path: Path) -> None:
    tiles = {tile.rows.tile.image_id: tile for tile in read_tiles(data)}
    shards = plan_shards([tile.rows for tile in tiles.values()])
    write_shards(tmp_path, shards, load_images=lambda tile: tiles[tile.image_id].load_images())
    assert rows_of(tmp_path) == rows_of(data)


def test_every_question_keeps_its_answer_and_gets_its_provenance(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(data, out, knowing_model(data).ask).report
    before, after = rows_of(data), rows_of(out)
    originals = {name: row for name, row in after.items() if row["language"] == "en"}
    assert originals.keys() == before.keys()
    assert len(after) - len(originals) == report["passes"]["translate"]["accepted"] > 0
    for name, row in originals.items():
        old = before[name]
        assert (row["bbox"], row["image"], row["task"]) == (old["bbox"], old["image"], old["task"])
        assert row["answer"] == old["answer"] or row["task"] in ("detailed_captioning", "regional_captioning")
        evidence = json.loads(row["evidence"])
        note = evidence.pop(EVIDENCE_KEY)
        assert evidence == json.loads(old["evidence"])
        assert {entry["step"] for entry in note["notes"]} >= {"rule_check", "answer"}
        assert note["agreement"] == 1.0
        assert row["source"] == ("llm" if note.get("former") else "rule")
        # a draft of a caption may have a sentence that the reader of claims does not know
        assert row["review"] == "none" or (row["task"].endswith("_captioning") and note["doubts"])
    assert report["questions"]["accepted"] == sum(row["review"] == "none" for row in after.values())


def test_a_translation_follows_its_original_and_shares_its_letters(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(data, out, knowing_model(data).ask, "translate")
    rows = list(read_records(out, columns=["question_id", "answer", "language", "evidence", "index"]))
    assert [row["index"] for row in rows] == list(range(len(rows)))
    pairs = [(one, two) for one, two in pairwise(rows) if two["language"] == "zh"]
    assert len(pairs) > 20
    for original, version in pairs:
        assert version["question_id"] == f"{original['question_id']}-zh"
        assert json.loads(version["evidence"])[EVIDENCE_KEY]["translation_of"] == original["question_id"]
        if len(original["answer"]) <= 4:
            assert version["answer"] == original["answer"]


def test_disagreement_goes_to_review_and_stays_out_of_exports(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    report = run(data, out, knowing_model(data, error_rate=1.0).ask, "verify").report
    assert report["questions"]["review"] == len(rows_of(data))
    assert {row["review"] for row in rows_of(out).values()} == {"needed"}
    with pytest.raises(RsvqaError, match="review still needed"):
        export_dataset(out, tmp_path / "llava", format="llava")


def test_what_gives_itself_away_is_dropped_and_listed(data: Path, tmp_path: Path) -> None:
    model = knowing_model(data, gives_away=lambda text: "colour" in text)
    out = tmp_path / "out"
    report = run(data, out, model.ask, "verify").report
    dropped = {entry["question_id"] for entry in report["rejected"]}
    assert dropped
    assert {row["task"] for name, row in rows_of(data).items() if name in dropped} <= {
        "object_colour",
        "conditional_counting",
    }
    assert rows_of(out).keys() == rows_of(data).keys() - dropped
    assert report["rejected_reasons"] == {"gives itself away without the image": len(dropped)}
    assert list(read_records(out, columns=["index"]))[-1]["index"] == len(rows_of(out)) - 1


def test_nothing_that_a_person_wrote_or_decided_is_touched(data: Path, tmp_path: Path) -> None:
    source = tmp_path / "reviewed"
    shutil.copytree(data, source)
    tiles = {tile.rows.tile.image_id: tile for tile in read_tiles(data)}
    decided = [
        replace(tile.rows, records=tuple(replace(record, review="accepted") for record in tile.rows.records))
        for tile in tiles.values()
    ]
    shutil.rmtree(source / "data")
    marker = tomllib.loads((source / "build.toml").read_text("utf-8"))
    del marker["files"]  # sizes of the shards before
    (source / "build.toml").write_text(tomli_w.dumps(marker), "utf-8")
    write_shards(source, plan_shards(decided), load_images=lambda tile: tiles[tile.image_id].load_images())

    def refuse(requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        assert not list(requests)
        return iter(())

    out = tmp_path / "out"
    report = run(source, out, refuse).report
    assert rows_of(out) == rows_of(source)
    assert report["questions"]["not_open_to_models"] == report["questions"]["before"]


def test_in_place_gives_the_bytes_of_another_folder(data: Path, tmp_path: Path) -> None:
    place, out = tmp_path / "place", tmp_path / "out"
    shutil.copytree(data, place)
    (place / "notes.txt").write_text("mine")
    model = knowing_model(data)
    run(data, out, model.ask)
    run(place, place, model.ask)
    assert (place / "notes.txt").read_text() == "mine"
    (place / "notes.txt").unlink()
    assert data_digest(place) == data_digest(out)


def test_in_place_the_old_stays_until_the_new_is_complete(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    shutil.copytree(data, place)
    before = data_digest(place)
    model = knowing_model(data)

    def dies(requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        for number, answer in enumerate(model.ask(requests)):
            if number == 20:
                raise KeyboardInterrupt
            yield answer

    with pytest.raises(KeyboardInterrupt):
        run(place, place, dies)
    assert {name: digest for name, digest in data_digest(place).items() if not name.startswith(".rsvqa/")} == before
    run(place, place, model.ask)
    assert not (place / ".rsvqa").exists()
    assert all(EVIDENCE_KEY in json.loads(row["evidence"]) for row in rows_of(place).values())


def test_the_same_job_again_has_nothing_to_do(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    shutil.copytree(data, place)
    first = run(place, place, knowing_model(data).ask, "word", "verify")

    def refuse(_requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        raise AssertionError("asked again")

    again = run(place, place, refuse, "word", "verify")
    assert (again.was_complete, again.report) == (True, first.report)
    # another step is another job, on top of what is there
    more = run(place, place, knowing_model(data).ask, "translate")
    assert not more.was_complete
    assert run(place, place, refuse, "translate").was_complete


def test_a_rule_s_wording_that_was_put_back_is_a_rule_s_again(data: Path) -> None:
    item, record = items_of(data)[0], read_tiles(data)[0].rows.records[0]
    worded = record_of(item.worded(text="Other words?").noted(Note(step="word", result="accepted")), record)
    assert (worded.source, worded.question) == ("llm", "Other words?")
    back = (
        item.worded(text="Other words?").as_written_by_rule().noted(Note(step="mend", result="rule's wording put back"))
    )
    again = record_of(back, worded)
    assert (again.source, again.question) == ("rule", record.question)


def test_a_failed_request_loses_no_question(data: Path, tmp_path: Path) -> None:
    def fails(requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        for request in requests:
            if "/guess/" in request.key:
                yield from knowing_model(data).ask([request])
            else:
                yield ChatFailure(request.key, "refused", "no")

    out = tmp_path / "out"
    report = run(data, out, fails).report
    assert rows_of(out).keys() == rows_of(data).keys()
    assert {row["question"] for row in rows_of(out).values()} == {row["question"] for row in rows_of(data).values()}
    assert report["questions"]["review"] == len(rows_of(data))
    assert report["review_reasons"] == {"model refused": len(rows_of(data))}


def test_documents_tell_of_the_new_data_set(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(data, out, knowing_model(data).ask)
    card = (out / "README.md").read_text("utf-8")
    assert f"{len(rows_of(out)):,} questions about" in card
    assert "## What language models did" in card
    assert "no language model took part" not in card
    assert json.loads((out / "stats.json").read_text("utf-8"))["num_questions"] == len(rows_of(out))
    assert (out / "classes.toml").read_bytes() == (data / "classes.toml").read_bytes()
    assert OPENING in (out / "preview.html").read_text("utf-8")


def test_an_estimate_counts_what_a_job_asks(data: Path) -> None:
    settings = AnnotateSettings(model="m", verifier="v", steps=("word", "verify"))
    planned = list(planned_requests(settings, data))
    # one wording, two guesses where there are choices, and one answer each
    items = items_of(data)
    num_with_choices = sum(bool(item.options) for item in items)
    assert len([request for request in planned if "/guess/" in request.key]) == 2 * num_with_choices
    assert len([request for request in planned if "/answer/" in request.key]) == len(items)
    assert len([request for request in planned if "/word/" in request.key]) == len(items)


def test_refusals_say_what_to_do(data: Path, tmp_path: Path) -> None:
    ask = knowing_model(data).ask
    with pytest.raises(AnnotateError, match="holds no finished data set"):
        run(tmp_path, tmp_path / "out", ask)
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="is not empty"):
        run(data, tmp_path / "full", ask)
    shutil.copytree(data, tmp_path / "other")
    with pytest.raises(AnnotateError, match="holds another data set: choose another `out`"):
        run(data, tmp_path / "other", ask)
    busy = tmp_path / "busy"
    shutil.copytree(data, busy)
    (busy / ".rsvqa" / "tiles").mkdir(parents=True)
    (busy / ".rsvqa" / "tiles" / "0000000.json").write_text("{}")
    with pytest.raises(AnnotateError, match="unfinished build"):
        run(busy, busy, ask)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "m", "steps": ["guess"]}, "`steps` = 'guess'"),
        ({"model": ""}, "`model` = ''"),
        ({"model": "m", "crop_px": 5}, "`crop_px` = 5"),
    ],
)
def test_settings_out_of_range_are_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_settings(AnnotateSettings, values)
    assert load_settings(AnnotateSettings, {"model": "m", "verifier": "v", "steps": ["verify", "word"]}).steps == (
        "word",
        "verify",
    )


def test_verdicts_that_leave_neither_question_nor_tile_write_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # what a data set of questions about circles alone becomes when all are rejected
    monkeypatch.setattr(annotate_module, "_rows", lambda *_: [])
    with pytest.raises(NothingToAnnotateError, match="no question is left, and no tile"):
        run(data, tmp_path / "out", knowing_model(data).ask, "verify")
    assert not (tmp_path / "out").exists()
