"""`verdicts.json`: what a judge says of a run's replies. Scoring again reads it and asks nobody.

A verdict counts for one reply, judge and wording alone: it is known by the fingerprint of the request that asked for
it. What the judge wrote is kept in `judge.sqlite` from the moment it arrives, for it has been paid for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from rsvqa.annotation.llm.requests import ChatRequest
from rsvqa.annotation.llm.turns import make_turn
from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.protocol.judge_prompt import Verdict, judge_prompt
from rsvqa.benchmark.protocol.official_judges import VRSBENCH_DIGEST, vrsbench_decision, vrsbench_prompt
from rsvqa.benchmark.samples import JUDGED_FORMS
from rsvqa.rsvqa_builder.files import write_atomically

VERDICTS_FILE = "verdicts.json"
JUDGE_REPLIES_FILE = "judge.sqlite"


class Judge(BaseModel):
    """Who judges, and how it is asked.

    Attributes:
        model: as its endpoint calls it.
        base_url: of the endpoint.
        prompt: digest of the wording.
        max_tokens: bound of its reply.
        extra_body: more of each request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    base_url: str
    prompt: str
    max_tokens: int
    extra_body: str | None = None


class StoredVerdict(BaseModel):
    """What came of one request.

    Attributes:
        sample_id: of the question.
        request: fingerprint of all that the verdict depends on.
        verdict: None where the judge wrote something else, or nothing.
        text: as it wrote it; None where there is no reply of it.
        failure: why there is no reply of the judge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_id: str
    request: str
    verdict: Verdict | None
    text: str | None = None
    failure: str | None = None


class Verdicts(BaseModel):
    """The content of `verdicts.json`; verdicts are in the order of the run's replies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    judge: Judge
    verdicts: tuple[StoredVerdict, ...]


def judge_requests(replies: Iterable[StoredReply], judge: Judge) -> Iterator[ChatRequest]:
    """Yield what a judge is asked: once per question of words or options whose reply says anything.

    With a benchmark's own wording, what its rules leave open.

    Options in another order than in the file are left alone: their figures are of letters.
    """
    for reply in replies:
        if judge.prompt == VRSBENCH_DIGEST:
            if reply.reply is not None and vrsbench_decision(reply.reply, reply.references) is None:
                own = vrsbench_prompt(reply.reply, question=reply.question, references=reply.references)
                yield _request(reply.sample_id, own, judge)
        elif reply.rotation == 0 and reply.reply is not None and reply.form in JUDGED_FORMS:
            text = judge_prompt(
                reply.reply,
                question=reply.question,
                options=reply.options,
                letters=reply.answer,
                references=reply.references,
            )
            if text is not None:
                yield _request(reply.sample_id, text, judge)


def _request(key: str, text: str, judge: Judge) -> ChatRequest:
    extra: Mapping[str, Any] | None = json.loads(judge.extra_body) if judge.extra_body else None
    return ChatRequest(key=key, model=judge.model, text=text, max_tokens=judge.max_tokens, extra_body=extra)


def verdicts_by_question(found: Verdicts, replies: Iterable[StoredReply]) -> dict[str, StoredVerdict]:
    """Return the verdicts on just these replies; one on a reply that has changed since is not among them."""
    stored = {verdict.sample_id: verdict for verdict in found.verdicts}
    asked = {request.key: make_turn(request).fingerprint for request in judge_requests(replies, found.judge)}
    return {key: stored[key] for key, request in asked.items() if key in stored and stored[key].request == request}


def write_verdicts(run: Path, verdicts: Verdicts) -> None:
    """Write `verdicts.json` into the run's folder."""
    write_atomically(run / VERDICTS_FILE, verdicts.model_dump_json(indent=1).encode() + b"\n")


def read_verdicts(run: Path) -> Verdicts | None:
    """Return what `write_verdicts` wrote; None for a run that nobody has judged.

    Raises:
        RunError: the file cannot be read.
    """
    path = run / VERDICTS_FILE
    try:
        return Verdicts.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RunError(f"{path}: {where}: {first['msg']}; remove it and judge again, which costs nothing") from error
