"""A review opens on a data set, and the command line serves it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rsvqa import cli
from rsvqa.annotation.review.access import AccessError
from rsvqa.annotation.review.content import check_content
from rsvqa.annotation.review.pictures import picture_key
from rsvqa.annotation.review.queue import QueueSettings
from rsvqa.rsvqa_builder.dataset.shards import ShardError, TileRows, plan_shards, write_shards
from rsvqa.rsvqa_builder.reviewing.serve import (
    ReviewError,
    open_review,
    serve_review,
)
from rsvqa.rsvqa_builder.reviewing.settings import ServerSettings
from rsvqa.rsvqa_builder.reviewing.source import ReviewSource, data_set_fingerprint
from tests.rsvqa_builder.make_records import make_jpeg, make_record, make_tile
from tests.rsvqa_builder.make_review import MARKED, write_data_set

ROOT = Path(__file__).parents[3]


@pytest.fixture
def src(tmp_path: Path) -> Path:
    return write_data_set(tmp_path / "superrs")


def test_questions_come_as_they_stand(src: Path) -> None:
    source = ReviewSource(src)
    questions = {question.question_id: question for question in source.questions()}
    assert len(questions) == 12
    question = questions["a:0_0/RC1"]
    assert (question.images, question.width, question.height) == (("a/0_0_marked.jpg",), 200, 100)
    assert questions["c:0_0/OC1"].split == "val"
    assert source.load_image("a/0_0_marked.jpg").startswith(b"\xff\xd8\xff")


def test_every_question_of_a_data_set_passes_the_checks_unchanged(src: Path) -> None:
    found = {q.question_id: check_content(q, q.content) for q in ReviewSource(src).questions()}
    assert found == dict.fromkeys(found, ())


def test_the_queue_begins_with_what_needs_a_review(src: Path) -> None:
    with open_review(src, QueueSettings(sample=0)) as (store, pictures, *_):
        assert store.num_queued() == 3
        first = store.next_question("ann")
        assert first is not None
        assert first.question.question_id == "a:0_0/OCL1"
        assert pictures.tile(picture_key("a/0_0.jpg"), 8, 0, 0).startswith(b"\xff\xd8\xff")


def test_decisions_outlive_the_store(src: Path) -> None:
    with open_review(src, QueueSettings(sample=1)) as (store, *_):
        store.decide("a:0_0/OC1", "ann", "rejected", request_id="1", reason="not useful")
    with open_review(src, QueueSettings(sample=0)) as (store, *_):
        assert store.final_decisions()["a:0_0/OC1"].reason == "not useful"


def test_a_queue_of_nothing_opens_to_draw_and_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    src = write_data_set(tmp_path / "superrs")
    with open_review(src, QueueSettings(sample=1)) as (store, *_):
        for question in ("a:0_0/OCL1", "b:0_0/OCL1", "c:0_0/OCL1"):
            store.decide(question, "ann", "rejected", request_id=question, reason="not useful")
    from rsvqa.rsvqa_builder.reviewing.apply import apply_review

    apply_review(src, tmp_path / "reviewed")
    with open_review(tmp_path / "reviewed", QueueSettings(sample=0)) as review:
        assert review.store.num_queued() == 0
        assert {tile.tile_id for tile in review.drawings.tiles.values()} == {"a:0_0", "b:0_0", "c:0_0"}
    assert "no question needs it; raise `sample` for some of the rest. The page opens to" in capsys.readouterr().err


def test_a_queue_of_nothing_without_a_tile_to_draw_on_is_refused(tmp_path: Path) -> None:
    # the only image has circles in it, which cannot be taken out again
    images = {"tile_marked": make_jpeg(200, 100)}
    tile = make_tile(images={"tile_marked": len(images["tile_marked"])})
    record = make_record(tile, "regional_counting", images=("tile_marked",), evidence=MARKED)
    src = tmp_path / "superrs"
    write_shards(src, plan_shards([TileRows(tile, (record,))]), load_images=lambda _: images)
    with (
        pytest.raises(ReviewError, match="no question needs it; raise `sample`"),
        open_review(src, QueueSettings(sample=0)),
    ):
        pass
    assert not (src / "review.sqlite").exists()


def test_a_fingerprint_follows_the_questions(src: Path, tmp_path: Path) -> None:
    assert data_set_fingerprint(src) == data_set_fingerprint(write_data_set(tmp_path / "again"))
    (src / "data" / "val-00000-of-00001.parquet").unlink()
    assert data_set_fingerprint(src) != data_set_fingerprint(tmp_path / "again")


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no shards in"), open_review(tmp_path, QueueSettings()):
        pass


def test_beyond_loopback_nothing_is_read_without_a_password(tmp_path: Path) -> None:
    server = ServerSettings(host="192.0.2.1")
    with pytest.raises(AccessError, match="needs `password`"):
        serve_review(tmp_path / "nothing", QueueSettings(), server, announce=print)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["review", "superrs/"], ["review", "serve", "superrs/"]),
        (["review", "--data", "superrs/"], ["review", "serve", "--data", "superrs/"]),
        (["review", "--sample", "1", "superrs/"], ["review", "serve", "--sample", "1", "superrs/"]),
        (["--debug", "review", "superrs/"], ["--debug", "review", "serve", "superrs/"]),
        (["review", "serve", "superrs/"], ["review", "serve", "superrs/"]),
        (["review", "apply", "superrs/"], ["review", "apply", "superrs/"]),
        (["review", "--help"], ["review", "--help"]),
        (["review"], ["review"]),
        (["build", "--out", "review", "superrs/"], ["build", "--out", "review", "superrs/"]),
        ([], []),
    ],
)
def test_review_of_a_folder_is_short_for_serve(words: list[str], meant: list[str]) -> None:
    assert cli.with_serve(words) == meant


def test_the_command_prints_its_address_and_ends_on_ctrl_c(src: Path) -> None:
    command = [sys.executable, "-m", "rsvqa", "review", "--data", str(src), "--sample", "1", "--port", "0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    with urllib.request.urlopen(url, timeout=20) as page:  # noqa: S310  our own address
        assert b"<title>Review</title>" in page.read()
    os.kill(process.pid, signal.SIGINT)
    _, messages = process.communicate(timeout=20)
    assert "Traceback" not in messages
    assert url.split("/")[3] not in messages
    assert process.returncode in (0, 130, -signal.SIGINT)


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "superrs").mkdir()
    command = [
        sys.executable,
        "-m",
        "rsvqa",
        "review",
        "apply",
        "--data",
        f"{tmp_path}/superrs",
        "--out",
        f"{tmp_path}/out",
    ]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1
    assert "no shards in" in run.stderr
