"""Folders of benchmark runs with replies of one's choice: what `rsvqa bench` would have left."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.benchmark.files.run_record import SAMPLES_FILE, DataRecord, RunRecord, Session, write_run_record
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredReply
from rsvqa.benchmark.reports.published import read_published
from rsvqa.benchmark.scores.measures import Measured, measure
from rsvqa.benchmark.scores.scoring import score_reply
from rsvqa.benchmark.settings import BenchSettings

FOUR = ("(A) red", "(B) green", "(C) blue", "(D) white")
YES_NO = ("(A) yes", "(B) no")
SHORT = {info.short: info for info in TASKS.values()}


def image(name: str, *, width: int = 8000, height: int = 6000) -> StoredImage:
    """Return an image; the same name is the same image."""
    return StoredImage(sha256=name, width=width, height=height)


def stored(
    sample_id: str, short: str, reply: str | None, *, answer: str = "A", images: Sequence[str] = ("i",), **fields: Any
) -> StoredReply:
    """Return a reply to a question of the task `short`, with what it leaves open filled in."""
    info = SHORT[short]
    form = info.forms[0]
    options = {AnswerForm.YES_NO: YES_NO, AnswerForm.BOX: (), AnswerForm.TEXT: ()}.get(form, FOUR)
    content: dict[str, Any] = {
        "fingerprint": "0" * 64,
        "task": info.name,
        "category": info.category,
        "l2_category": info.l2_category,
        "language": "en",
        "form": form,
        "question": f"What is {sample_id}?",
        "options": options,
        "answer": answer if options else "",
        "images": tuple(image(name) for name in images),
        "prompt": f"What is {sample_id}?",
        "failure": "refused" if reply is None else None,
    }
    return StoredReply(sample_id=sample_id, reply=reply, **{**content, **fields})


def measured(replies: Iterable[StoredReply]) -> list[Measured]:
    """Return the replies, scored."""
    return measure([score_reply(reply) for reply in replies])


def lite_replies(reply: str = "A", *, right: str = "A", num_images: int = 40) -> list[StoredReply]:
    """Return a reply to as many questions of each of the 13 sub-tasks as XLRS-Bench-lite has."""
    counts = read_published().data.num_questions
    return [
        stored(f"{short}-{number}", short, reply, answer=right, images=(f"i{number % num_images}",))
        for short, count in counts.items()
        for number in range(count)
    ]


def write_run(
    run: Path, replies: Sequence[StoredReply], *, model_name: str = "tiny", layout: str = "arrow", **fields: Any
) -> Path:
    """Write a finished run's folder and return it."""
    run.mkdir(parents=True, exist_ok=True)
    (run / SAMPLES_FILE).write_text("".join(f"{reply.model_dump_json()}\n" for reply in replies))
    write_run_record(run, run_record(len(replies), model_name=model_name, layout=layout, **fields))
    return run


def run_record(num_samples: int, *, model_name: str = "tiny", layout: str = "arrow", **fields: Any) -> RunRecord:
    """Return the record of a finished run."""
    data = DataRecord(
        name="some-data",
        layout=layout,
        split=None,
        fingerprint="1" * 64,
        num_rows=num_samples,
        num_other_tasks=0,
        num_not_drawn=0,
        num_samples=num_samples,
        num_images=1,
        left_out={},
        left_out_rows=(),
    )
    session = Session(rank=0, num_replies=4, num_images=6, start_up_seconds=1, seconds=3, peak_memory_mb=900)
    content: dict[str, Any] = {
        "state": "complete",
        "settings": BenchSettings(model="some/checkpoint"),
        "model_name": model_name,
        "model": {"family": "llava"},
        "prompts": {"choice": "published"},
        "fingerprint": "2" * 64,
        "versions": {"python": "3.11"},
        "data": data,
        "num_prompts": num_samples,
        "sessions": (session,),
    }
    return RunRecord(**{**content, **fields})
