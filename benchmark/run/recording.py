"""What becomes of each prompt: stored at once, counted, and told to whoever watches."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict
from typing import Any

from rsvqa.annotation.plain_text import storable
from rsvqa.benchmark.files.reply_store import ReplyKey, RunReplies
from rsvqa.benchmark.files.stored_replies import StoredImage, StoredLook, StoredReply
from rsvqa.benchmark.models import ModelView, Reply, Unanswered
from rsvqa.benchmark.protocol.task_file import TaskFile
from rsvqa.benchmark.run.loading import Request
from rsvqa.benchmark.scores.score import AnswerOutcome
from rsvqa.benchmark.scores.scoring import score_reply
from rsvqa.rsvqa_builder.progress import Reporter

_MOST_NOTES = 10
"""The most failures that are told: an endpoint that refuses everything gets ten notes, not three thousand."""


def stored_reply(request: Request, result: Reply | Unanswered) -> StoredReply:
    """Return the line of `samples.jsonl` for a request and what came of it."""
    prompt, sample = request.prompt, request.prompt.sample
    asked: dict[str, Any] = {
        "fingerprint": request.fingerprint,
        "sample_id": sample.sample_id,
        "rotation": prompt.rotation,
        "task": sample.task,
        "category": sample.category,
        "l2_category": sample.l2_category,
        "language": sample.language,
        "form": sample.form,
        "question": sample.question,
        "options": sample.options,
        "answer": sample.answer,
        "references": sample.references,
        "box": None if sample.box is None else tuple(sample.box),
        "images": request.images,
        "prompt": prompt.text,
    }
    if isinstance(result, Unanswered):
        return StoredReply(**asked, failure=storable(result.reason), ended=False)
    return StoredReply(**asked | _replied(request, result))


def _replied(request: Request, reply: Reply) -> dict[str, Any]:
    """Return the fields that a reply sets; a view is known for all of a prompt's images or for none."""
    views = reply.views or (None,) * len(request.images)
    return {
        "images": tuple(_seen(image, view) for image, view in zip(request.images, views, strict=True)),
        "prompt": request.prompt.text if reply.sent is None else storable(reply.sent),
        "boxes_rewritten": reply.sent is not None,
        "box_convention": reply.box_convention,
        "reply": storable(reply.text),
        "ended": reply.ended,
        "num_prompt_tokens": reply.num_prompt_tokens,
        "num_visual_tokens": reply.num_visual_tokens,
        "num_new_tokens": reply.num_new_tokens,
        "seconds": reply.seconds,
        "looks": tuple(StoredLook(**asdict(look)) for look in reply.looks),
    }


def _seen(image: StoredImage, view: ModelView | None) -> StoredImage:
    if view is None:
        return image
    return image.model_copy(
        update={
            "view_width": view.width,
            "view_height": view.height,
            "scale_x": view.scale_x,
            "scale_y": view.scale_y,
            "offset_x": view.offset_x,
            "offset_y": view.offset_y,
        }
    )


class Recorder:
    """Stores results and counts them; safe to call from several threads.

    Attributes:
        num_replies: that came, without those stored before.
        num_failures: prompts without a reply, likewise.
        num_images: whose questions were asked, likewise.
        num_done: prompts with a result, stored ones and failures among them.
    """

    def __init__(self, store: RunReplies, reporter: Reporter, rules: TaskFile | None = None) -> None:
        self.num_replies = self.num_failures = self.num_images = self.num_done = 0
        self._store = store
        self._reporter = reporter
        self._rules = rules
        self._guard = threading.Lock()
        self._start = time.monotonic()
        self._groups: set[int] = set()
        self._num_right = self._num_judged = 0

    def find(self, key: ReplyKey, fingerprint: str) -> StoredReply | None:
        """Return the stored reply to a request."""
        return self._store.find(key, fingerprint)

    def keep(self, request: Request, reply: StoredReply) -> None:  # noqa: ARG002  the protocol's
        """Count a reply that was stored before."""
        with self._guard:
            self._count(reply)

    def fail(self, request: Request, reason: str) -> None:
        """Store that a prompt got no reply."""
        self.record(request, Unanswered(request.prompt.key, reason))

    def record(self, request: Request, result: Reply | Unanswered) -> None:
        """Store a result; when this returns it is on disk."""
        reply = stored_reply(request, result)
        with self._guard:
            self._store.append(reply)
            if reply.reply is None:
                self.num_failures += 1
                self._tell_failure(reply)
            else:
                self.num_replies += 1
                if request.group not in self._groups:
                    self._groups.add(request.group)
                    self.num_images += len(request.images)
            self._count(reply)

    def _tell_failure(self, reply: StoredReply) -> None:
        if self.num_failures <= _MOST_NOTES:
            self._reporter.note("unanswered", f"{reply.sample_id}: {reply.failure}", sample=reply.sample_id)
        if self.num_failures == _MOST_NOTES:
            self._reporter.note("unanswered", "further prompts without a reply are counted at the end")

    def _count(self, reply: StoredReply) -> None:
        self.num_done += 1
        outcome = score_reply(reply, self._rules).strict
        self._num_right += outcome is AnswerOutcome.RIGHT
        self._num_judged += outcome not in (None, AnswerOutcome.NOT_SCORED)
        figures = {}
        if self.num_images:
            figures["images/s"] = self.num_images / (time.monotonic() - self._start)
        if self._num_judged:
            figures["% right"] = 100 * self._num_right / self._num_judged
        self._reporter.advance(figures=figures)
