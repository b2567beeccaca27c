"""`annotate --steps propose`: scenes without labels become questions that wait for people."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.llm.passes import ChatResult
from rsvqa.annotation.llm.proposing_step import ProposedObjects, ProposedTile
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.rsvqa_builder.annotating.annotate import AnnotateError, NothingToAnnotateError, annotate, planned_requests
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings
from rsvqa.rsvqa_builder.config import SettingsError, load_settings
from rsvqa.rsvqa_builder.dataset.shards import read_records
from rsvqa.rsvqa_builder.exporting.export import export_dataset
from rsvqa.rsvqa_builder.progress import QuietReporter
from tests.annotate_data import data_digest
from tests.make_sources import SHORE, paint, write_scene
from tests.run_build import build, rsvqa

PROPOSE = AnnotateSettings(model="m", steps=("propose",), crop_px=256)
TILE = {
    "overall": "A shore.",
    "parts": ["The shore goes on."] * 9,
    "inference": "People come here to bathe.",
    "things": [{"singular": "boat", "plural": "boats", "picture": 1}],
    "land_use": [{"type": "water", "picture": 1}],
}
BOAT = {"name": "boat", "description": "the white boat at the pier", "box": [200, 200, 500, 500]}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a data set of one scene without labels."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "scenes").mkdir()
    write_scene(folder / "scenes" / "shore.tif", paint(SHORE, []), SHORE)
    done = build(folder / "scenes", folder / "set")
    assert done.code == 0, done.err
    return folder / "set"


def ask(requests: Iterable[ChatRequest]) -> Iterator[ChatResult]:
    """See a shore on each tile, and a boat in its first crop."""
    for request in requests:
        number = int(request.key.rpartition("/")[2])
        content: dict[str, Any] = TILE if number == 0 else {"objects": [BOAT] if number == 1 else []}
        schema = ProposedTile if number == 0 else ProposedObjects
        parsed = schema.model_validate(content)
        yield ChatReply(key=request.key, text="", parsed=parsed, reply_hash=f"hash {number}")


def propose(data: Path, out: Path) -> dict[str, Any]:
    return dict(annotate(PROPOSE, data, out, ask=ask, reporter=QuietReporter()).report)


def test_tiles_without_questions_get_proposals_that_wait_for_people(bare: Path, tmp_path: Path) -> None:
    num_tiles = len(list(read_records(bare, kind="tiles")))
    report = propose(bare, tmp_path / "out")
    rows = list(read_records(tmp_path / "out"))
    assert {row["task"] for row in rows} == {
        "overall_land_use",
        "detailed_captioning",
        "fine_grained_grounding",
        "object_presence",
    }
    assert len(rows) == 4 * num_tiles == report["questions"]["review"] == report["questions"]["written_by_models"]
    assert (report["questions"]["before"], report["questions"]["accepted"]) == (0, 0)
    assert {(row["source"], row["review"]) for row in rows} == {("llm", "needed")}
    for row in rows:
        evidence = json.loads(row["evidence"])
        assert (evidence["rule"], len(evidence["values"]["crop"])) == ("proposed_by_model", 4)
        assert evidence["annotation"]["reasons"] == ["proposed by a model, of which nothing is known"]
    with pytest.raises(RsvqaError, match="review still needed"):
        export_dataset(tmp_path / "out", tmp_path / "llava", format="llava")


def test_proposals_twice_are_the_same_bytes_and_in_place_too(bare: Path, tmp_path: Path) -> None:
    propose(bare, tmp_path / "one")
    shutil.copytree(bare, tmp_path / "two")
    propose(tmp_path / "two", tmp_path / "two")
    assert data_digest(tmp_path / "one") == data_digest(tmp_path / "two")


def test_no_later_step_works_on_a_proposal(bare: Path, tmp_path: Path) -> None:
    propose(bare, tmp_path / "out")

    def never(requests: Iterable[ChatRequest]) -> Iterator[ChatResult]:
        assert not list(requests)
        yield from ()

    settings = AnnotateSettings(model="m", verifier="v", steps=("word", "draft", "verify", "translate"))
    done = annotate(settings, tmp_path / "out", tmp_path / "verified", ask=never, reporter=QuietReporter())
    assert list(read_records(tmp_path / "verified")) == list(read_records(tmp_path / "out"))
    assert done.report["questions"]["not_open_to_models"] == done.report["questions"]["before"]


def test_an_estimate_counts_the_calls(bare: Path) -> None:
    num_tiles = len(list(read_records(bare, kind="tiles")))
    # 512 px by crops of 256 px with a stride of 192: 0, 192 and 256, so nine crops
    assert len(list(planned_requests(PROPOSE, bare))) == 10 * num_tiles


def test_a_build_without_labels_is_not_annotated_with_success(bare: Path, tmp_path: Path) -> None:
    done = rsvqa("annotate", "--data", bare, "--model", "m", "--same-model", "--out", tmp_path / "out")
    assert done.code == 2
    assert "holds no question" in done.err
    assert "--steps = propose" in done.err
    assert not (tmp_path / "out").exists()


def test_where_every_tile_has_questions_nothing_is_proposed(bare: Path, tmp_path: Path) -> None:
    propose(bare, tmp_path / "out")
    again = PROPOSE.model_copy(update={"model": "other"})
    with pytest.raises(NothingToAnnotateError, match="every tile has questions"):
        annotate(again, tmp_path / "out", tmp_path / "more", ask=ask, reporter=QuietReporter())


def test_refusals_alone_write_nothing(bare: Path, tmp_path: Path) -> None:
    def refuse(requests: Iterable[ChatRequest]) -> Iterator[ChatResult]:
        yield from (ChatFailure(request.key, "refused", "I cannot") for request in requests)

    with pytest.raises(AnnotateError, match="no request got a usable reply"):
        annotate(PROPOSE, bare, tmp_path / "out", ask=refuse, reporter=QuietReporter())
    assert not (tmp_path / "out").exists()


def test_proposing_is_done_alone() -> None:
    with pytest.raises(SettingsError, match="propose is done alone"):
        load_settings(AnnotateSettings, {"model": "m", "steps": "propose,verify"})
