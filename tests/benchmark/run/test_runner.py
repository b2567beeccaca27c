"""A run: each image once, each reply kept, nothing asked twice, and nothing of another run touched."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rsvqa.benchmark.errors import ModelError, RunError
from rsvqa.benchmark.files.reply_store import read_replies
from rsvqa.benchmark.files.run_record import RunRecord, read_run_record
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.models import ModelView, Prompt, Reply, Unanswered
from rsvqa.benchmark.run.ranks import World
from rsvqa.benchmark.run.runner import run_benchmark
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.files import whole_file
from rsvqa.rsvqa_builder.progress import JsonReporter
from tests.benchmark.fake_model import ScriptedModel, say_a
from tests.benchmark.make_xlrs import HEIGHT, WIDTH, jpeg, make_built, make_pixels, two_date_row, vqa_row, write_jsonl


def run(data: Path, out: Path, asked: ScriptedModel, *, world: World | None = None, **changes: Any) -> RunRecord:
    settings = load_settings(BenchSettings, {"model": "scripted", "data": str(data), **changes})
    return run_benchmark(settings, out, open_model=asked.open, world=world or World())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def lines(out: Path) -> list[dict[str, Any]]:
    """Return the lines of the finished file without the one field that holds a time."""
    parsed = [json.loads(line) for line in (out / "samples.jsonl").read_text("utf-8").splitlines()]
    assert all("seconds" in line for line in parsed)
    return [{name: value for name, value in line.items() if name != "seconds"} for line in parsed]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eight questions on two images that take turns, and one on two dates."""
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    return write_jsonl(tmp_path / "xlrs.jsonl", [*(vqa_row(i) for i in order), two_date_row(8)])


ORDER = ["0", "4", "1", "5", "2", "6", "3", "7", "8"]


# --- what a model is shown, and what is stored ---


def test_questions_come_by_image_and_are_stored_in_the_order_of_the_data(data: Path, tmp_path: Path) -> None:
    model = ScriptedModel(in_reverse=True)
    record = run(data, tmp_path / "run", model)
    assert model.asked == ["0", "1", "2", "3", "4", "5", "6", "7", "8"]
    assert [len(group.images) for group in model.groups] == [1, 1, 2]
    assert (model.groups[1].images[0].rgb == make_pixels(1)).all()
    assert [image.sha256 for image in model.groups[2].images] == [sha256(jpeg(108)), sha256(jpeg(109))]
    assert [line["sample_id"] for line in lines(tmp_path / "run")] == ORDER
    assert (record.state, record.num_prompts, record.data.num_images) == ("complete", 9, 4)
    assert [(session.num_replies, session.num_images) for session in record.sessions] == [(9, 4)]
    assert read_run_record(tmp_path / "run") == record


def test_a_stored_reply_holds_all_that_scoring_needs(data: Path, tmp_path: Path) -> None:
    def answer(prompt: Prompt) -> Reply:
        views = (ModelView(width=30, height=20, scale_x=0.5, scale_y=0.5),) * (2 if prompt.key == "8" else 1)
        return Reply(
            key=prompt.key, text="(B)", sent="as sent", num_new_tokens=3, seconds=1.5, ended=False, views=views
        )

    run(data, tmp_path / "run", ScriptedModel(answer=answer))
    [reply] = [reply for reply in read_replies(tmp_path / "run") if reply.sample_id == "0"]
    seen = StoredImage(
        sha256=sha256(jpeg(0)),
        width=WIDTH,
        height=HEIGHT,
        view_width=30,
        view_height=20,
        scale_x=0.5,
        scale_y=0.5,
        offset_x=0,
        offset_y=0,
    )
    assert reply == StoredReply(
        fingerprint=reply.fingerprint,
        sample_id="0",
        task="object_colour",
        category="Object properties/Object color",
        l2_category="Object properties",
        language="en",
        form=reply.form,
        question="Which colour has thing 0?",
        options=("(A) red", "(B) green", "(C) blue", "(D) grey"),
        answer="A",
        images=(seen,),
        prompt="as sent",
        boxes_rewritten=True,
        reply="(B)",
        ended=False,
        num_new_tokens=3,
        seconds=1.5,
    )


def test_thumbnails_lie_beside_the_replies(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", ScriptedModel(), limit=1)
    assert [path.name for path in (tmp_path / "run/thumbnails").iterdir()] == [f"{sha256(jpeg(0))}.jpg"]


def test_a_blind_model_is_shown_nothing_but_the_images_are_named(data: Path, tmp_path: Path) -> None:
    model = ScriptedModel()
    run(data, tmp_path / "run", model, model="blind:scripted")
    assert {len(group.images) for group in model.groups} == {0}
    last = read_replies(tmp_path / "run")[-1]
    assert [(i.sha256, i.width, i.height) for i in last.images] == [
        (sha256(jpeg(108)), WIDTH, HEIGHT),
        (sha256(jpeg(109)), WIDTH, HEIGHT),
    ]


def test_options_are_asked_in_every_rotation(data: Path, tmp_path: Path) -> None:
    model = ScriptedModel()
    run(data, tmp_path / "run", model, limit=1, circular=True)
    assert model.asked == ["0", "0#1", "0#2", "0#3"]
    # the right one, red, moves a place down in each: (A), (B), (C), (D)
    assert [(line["rotation"], line["answer"], line["options"][0]) for line in lines(tmp_path / "run")] == [
        (0, "A", "(A) red"),
        (1, "B", "(A) grey"),
        (2, "C", "(A) blue"),
        (3, "D", "(A) green"),
    ]
    assert "(A) grey\n(B) red\n" in lines(tmp_path / "run")[1]["prompt"]


def test_prompts_of_texts_and_boxes_have_bounds_of_their_own(tmp_path: Path) -> None:
    model = ScriptedModel(box_convention="0-1000")
    run(make_built(tmp_path / "set", test_tiles=1), tmp_path / "run", model, max_new_tokens_caption=77)
    prompts = {prompt.sample.task: prompt for group in model.groups for prompt in group.prompts}
    assert {task: prompt.max_new_tokens for task, prompt in prompts.items()} == {
        "object_colour": 64,
        "object_presence": 64,
        "detailed_captioning": 77,
        "fine_grained_grounding": 128,
    }
    assert "from 0 to 1000" in prompts["fine_grained_grounding"].text  # units that the model declares


# --- again ---


def test_what_is_stored_is_not_asked_again_and_failures_are(data: Path, tmp_path: Path) -> None:
    refuse = {"1", "8"}

    def answer(prompt: Prompt) -> Reply | Unanswered:
        return Unanswered(prompt.key, "refused") if prompt.key in refuse else say_a(prompt)

    run(data, tmp_path / "run", ScriptedModel(answer=answer))
    assert [line["failure"] for line in lines(tmp_path / "run") if line["failure"]] == ["refused", "refused"]
    refuse.clear()
    again = ScriptedModel(answer=answer)
    record = run(data, tmp_path / "run", again)
    assert again.asked == ["1", "8"]
    assert [session.num_replies for session in record.sessions] == [7, 2]
    run(data, tmp_path / "other", ScriptedModel())
    assert lines(tmp_path / "run") == lines(tmp_path / "other")


def test_a_run_may_ask_more_later(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", ScriptedModel(), limit=3)
    model = ScriptedModel()
    run(data, tmp_path / "run", model, limit=5)
    assert model.asked == ["2", "5"]
    assert [line["sample_id"] for line in lines(tmp_path / "run")] == ORDER[:5]


def test_a_model_that_gives_up_leaves_its_replies(data: Path, tmp_path: Path) -> None:
    def answer(prompt: Prompt) -> Reply:
        if prompt.key == "3":
            raise ModelError("out of memory: lower --max-pixels")
        return say_a(prompt)

    message = r"out of memory: lower --max-pixels; 3 of 9 questions have a result in .*run, the same command goes on"
    with pytest.raises(ModelError, match=message):
        run(data, tmp_path / "run", ScriptedModel(answer=answer))
    record = read_run_record(tmp_path / "run")
    assert (record.state, [session.num_replies for session in record.sessions]) == ("stopped", [3])
    again = ScriptedModel()
    run(data, tmp_path / "run", again)
    assert again.asked == ["3", "4", "5", "6", "7", "8"]


def test_an_interrupt_leaves_replies_and_record(data: Path, tmp_path: Path) -> None:
    def answer(prompt: Prompt) -> Reply:
        if prompt.key == "2":
            raise KeyboardInterrupt
        return say_a(prompt)

    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "run", ScriptedModel(answer=answer))
    assert read_run_record(tmp_path / "run").state == "stopped"
    assert [reply.sample_id for reply in read_replies(tmp_path / "run")] == ["0", "1"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda _: Reply(key="x", text="A"), "scripted replied to 'x', which was not asked"),
        (lambda _: Reply(key="0", text="A"), "scripted replied to '0', which was not asked"),  # a second time
    ],
)
def test_a_model_that_mixes_up_prompts_is_stopped(data: Path, tmp_path: Path, answer: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        run(data, tmp_path / "run", ScriptedModel(answer=answer))


def test_a_model_that_swallows_prompts_is_not_complete(data: Path, tmp_path: Path) -> None:
    model = ScriptedModel()
    model.reply = lambda groups: (say_a(group.prompts[0]) for group in groups)  # type: ignore[method-assign]
    with pytest.raises(ModelError, match="scripted gave no result for 6 prompts; 3 of 9 questions have a result"):
        run(data, tmp_path / "run", model)


# --- images that fail ---


def test_an_image_that_cannot_be_decoded_is_a_failure_of_its_questions_only(tmp_path: Path) -> None:
    broken = jpeg(5)[:-300]
    rows = [vqa_row(0), vqa_row(1, image=[{"bytes": broken, "path": "b.png"}]), vqa_row(2)]
    model = ScriptedModel()
    run(write_jsonl(tmp_path / "x.jsonl", rows), tmp_path / "run", model)
    assert model.asked == ["0", "2"]
    reply = read_replies(tmp_path / "run")[1]
    assert (reply.reply, reply.images[0].sha256) == (None, sha256(broken))
    assert str(reply.failure).startswith("image: cannot be decoded")


# --- folders of others ---


def test_another_models_folder_is_refused_with_what_differs(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", ScriptedModel())
    before = (tmp_path / "run/samples.jsonl").read_bytes()
    other = ScriptedModel(says={"adapter": "scripted", "revision": "b"})
    with pytest.raises(RunError, match=r"run made otherwise: revision was None, is b\. Repeat with the old settings"):
        run(data, tmp_path / "run", other)
    with pytest.raises(RunError, match="max_new_tokens was 64, is 3"):
        run(data, tmp_path / "run", ScriptedModel(), max_new_tokens=3)
    assert (tmp_path / "run/samples.jsonl").read_bytes() == before


def test_a_smaller_choice_does_not_drop_replies(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "run", ScriptedModel())
    with pytest.raises(RunError, match=r"holds 7 replies to questions that are not asked now, e\.g\. 1: `tasks`"):
        run(data, tmp_path / "run", ScriptedModel(), limit=2)


@pytest.mark.parametrize(
    "change", [{"question": "Else?"}, {"image": [{"bytes": jpeg(77), "path": "1.png"}]}, {"answer": "A"}]
)
def test_changed_data_are_refused(data: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    run(data, tmp_path / "run", ScriptedModel())
    write_jsonl(data, [*(vqa_row(i) for i in (0, 4, 1, 5, 2, 6, 3)), vqa_row(7, **change), two_date_row(8)])
    with pytest.raises(RunError, match="7 was answered about another prompt, answer or image, so the data have cha"):
        run(data, tmp_path / "run", ScriptedModel())


def test_a_folder_of_something_else_is_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("x")
    with pytest.raises(RunError, match="is not empty and holds no run of rsvqa bench"):
        run(data, tmp_path / "thesis", ScriptedModel())
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_record_that_another_process_is_writing_is_not_something_else(data: Path, tmp_path: Path) -> None:
    # the first of several processes writes run.json while the others look into the folder
    (tmp_path / "run").mkdir()
    with whole_file(tmp_path / "run/run.json") as partial:
        partial.write_text("{")
        run(data, tmp_path / "run", ScriptedModel())
        partial.write_bytes((tmp_path / "run/run.json").read_bytes())
    assert read_run_record(tmp_path / "run").state == "complete"


# --- progress ---


def test_progress_tells_rate_and_accuracy(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(BenchSettings, {"model": "scripted", "data": str(data), "limit": 4})
    run_benchmark(settings, tmp_path / "run", open_model=ScriptedModel().open, reporter=JsonReporter())
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert events[0] == {"event": "start", "step": "questions", "total": 4}
    # answers are A, A, B, B for the ids 0, 4, 1, 5, asked by image as 0, 1, 4, 5; the model says A
    assert [event["% right"] for event in events[1:]] == [100, 50, 66.667, 50]
    assert [event["done"] for event in events[1:]] == [1, 2, 3, 4]
    assert all(event["images/s"] > 0 and event["eta_s"] >= 0 for event in events[1:])


# --- several processes ---


@pytest.mark.parametrize("size", [2, 3, 5])
def test_several_processes_write_what_one_writes(
    data: Path, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(data, tmp_path / "one", ScriptedModel())
    barrier = threading.Barrier(size, timeout=60)
    monkeypatch.setattr(World, "wait_for_all", lambda _: barrier.wait())
    models = [ScriptedModel() for _ in range(size)]
    with ThreadPoolExecutor(size) as pool:  # a thread stands for a process
        running = [
            pool.submit(run, data, tmp_path / "many", model, world=World(rank, size))
            for rank, model in enumerate(models)
        ]
        record = running[0].result()
    assert sorted(key for model in models for key in model.asked) == sorted(ORDER)
    assert lines(tmp_path / "many") == lines(tmp_path / "one")
    assert [session.rank for session in record.sessions] == list(range(size))
    assert record.state == "complete"
    assert not (tmp_path / "many/ranks").exists()


def test_a_killed_run_of_several_processes_goes_on_with_one(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "one", ScriptedModel())
    second = tmp_path / "many/ranks/1"
    second.mkdir(parents=True)
    stored = (tmp_path / "one/samples.jsonl").read_bytes().splitlines(keepends=True)
    (second / "samples.jsonl").write_bytes(b"".join(stored[1:8:2]) + stored[8][:50])  # of 4, 5, 6, 7, and a torn one
    shutil.copy(tmp_path / "one/run.json", tmp_path / "many/run.json")
    model = ScriptedModel()
    run(data, tmp_path / "many", model)
    assert model.asked == ["0", "1", "2", "3", "8"]
    assert lines(tmp_path / "many") == lines(tmp_path / "one")


def test_odd_characters_of_a_reply_are_stored_and_read_again(data: Path, tmp_path: Path) -> None:
    # half a character, NUL, and a sequence that clears a terminal; a failure's reason is text of others too
    def answer(prompt: Prompt) -> Reply | Unanswered:
        if prompt.sample.sample_id == "8":
            return Unanswered(prompt.key, "no \ud83d\x00")
        return Reply(key=prompt.key, text="A \ud83d\x00\x1b[2J")

    run(data, tmp_path / "run", ScriptedModel(answer=answer))
    stored = {line["sample_id"]: line for line in lines(tmp_path / "run")}
    assert stored["0"]["reply"] == "A \ufffd\ufffd\ufffd[2J"
    assert stored["8"]["failure"] == "no \ufffd\ufffd"
