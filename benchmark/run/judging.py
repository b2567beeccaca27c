"""A run's stored replies → a judge → `verdicts.json`; what was answered once is never asked again.

The judge is asked through the client of `rsvqa annotate`, with its bounds of cost, its retries and its store of
replies, so that a judging that was killed or ran out of money goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rsvqa.annotation.extras import require_extra
from rsvqa.annotation.llm.budget import BillLine, Estimate, estimate
from rsvqa.annotation.llm.prices import read_prices
from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.annotation.llm.turns import make_turn
from rsvqa.benchmark.errors import NothingToScoreError, RunError
from rsvqa.benchmark.files.reply_store import read_replies
from rsvqa.benchmark.files.run_record import read_run_record
from rsvqa.benchmark.files.verdicts import (
    JUDGE_REPLIES_FILE,
    Judge,
    StoredVerdict,
    Verdicts,
    judge_requests,
    write_verdicts,
)
from rsvqa.benchmark.protocol.judge_prompt import PROMPT_DIGEST, Verdict, read_verdict
from rsvqa.benchmark.protocol.official_judges import VRSBENCH_DIGEST, read_vrsbench_verdict
from rsvqa.benchmark.settings import OPENAI, ScoreSettings
from rsvqa.rsvqa_builder.annotating.job import budget_of, open_client
from rsvqa.rsvqa_builder.annotating.settings import JobSettings
from rsvqa.rsvqa_builder.progress import Reporter


class _Wording(NamedTuple):
    """A wording's digest, how its verdicts are read, and the benchmark that it is for; None for all."""

    digest: str
    read: Callable[[str], Verdict | None]
    benchmark: str | None = None


_WORDINGS = {
    "ours": _Wording(PROMPT_DIGEST, read_verdict),
    "vrsbench": _Wording(VRSBENCH_DIGEST, read_vrsbench_verdict, "vrsbench-vqa"),
}


class Judged(NamedTuple):
    """What a judging ended with."""

    verdicts: Verdicts
    bill: Sequence[BillLine]


def judge_run(run: Path, settings: ScoreSettings, job: JobSettings, *, reporter: Reporter) -> Judged:
    """Ask the judge that `settings` name about the replies in the folder `run`, and write `verdicts.json` there.

    Verdicts of another judge are replaced in that file; what each judge wrote stays in `judge.sqlite`, so that going
    back to the other costs nothing.

    Raises:
        NothingToScoreError: no reply can be judged.
        RunError: the judge gave no reply at all.
        BudgetSpentError, EndpointDownError, PricesError: as the client raises them; replies so far are kept.
        MissingExtraError: the `llm` extra is not installed.
    """
    require_extra("llm", "score")
    judge = _judge(settings, job)
    requests = _requests(run, judge)
    budget = budget_of([judge.model], job)
    outcomes: dict[str, ChatReply | ChatFailure] = {}
    reporter.start("verdicts", len(requests))
    with ReplyStore(run / JUDGE_REPLIES_FILE) as store, open_client(job, store, budget) as client:
        for outcome in client.ask(requests):
            outcomes[outcome.key] = outcome
            reporter.advance()
    if requests and not any(isinstance(outcome, ChatReply) for outcome in outcomes.values()):
        failure = next((one for one in outcomes.values() if isinstance(one, ChatFailure)), None)
        why = f"{failure.kind}: {failure.message}" if failure else "it answered nothing"
        raise RunError(f"{judge.model} gave no verdict, {why}; the same command asks again")
    read = _WORDINGS[settings.judge_wording].read
    verdicts = Verdicts(judge=judge, verdicts=tuple(_verdicts(requests, outcomes, read)))
    write_verdicts(run, verdicts)
    return Judged(verdicts, budget.bill())


def estimate_judging(run: Path, settings: ScoreSettings, job: JobSettings) -> Estimate:
    """Return what judging will ask and cost at most; nothing is sent, nothing written.

    Raises:
        NothingToScoreError: no reply can be judged.
    """
    requests = _requests(run, _judge(settings, job))
    path = run / JUDGE_REPLIES_FILE
    with ReplyStore(path if path.exists() else None) as store:
        return estimate(
            requests, lambda turn: store.find(turn.fingerprint), read_prices(job.prices), batch=job.batch_api
        )


def _judge(settings: ScoreSettings, job: JobSettings) -> Judge:
    if settings.judge is None:
        raise RunError("no `judge` is named")
    return Judge(
        model=settings.judge.removeprefix(OPENAI),
        base_url=job.base_url,
        prompt=_WORDINGS[settings.judge_wording].digest,
        max_tokens=settings.judge_tokens,
        extra_body=settings.judge_extra_body,
    )


def _requests(run: Path, judge: Judge) -> list[ChatRequest]:
    rules = read_run_record(run).data.rules  # says what is wrong with a folder of something else
    wanted = next(one.benchmark for one in _WORDINGS.values() if one.digest == judge.prompt)
    if wanted is not None and (rules is None or rules.name != wanted):
        raise RunError(f"{run} is no run over {wanted}, whose own wording `judge_wording` names")
    requests = list(judge_requests(read_replies(run), judge))
    if not requests and wanted is None:  # a benchmark's own rules may decide all
        raise NothingToScoreError(f"{run}: no reply to a question with options, or of words, says anything to judge")
    return requests


def _verdicts(
    requests: Iterable[ChatRequest],
    outcomes: Mapping[str, ChatReply | ChatFailure],
    read: Callable[[str], Verdict | None],
) -> Iterator[StoredVerdict]:
    """Yield what came of each request, in their order."""
    for request in requests:
        outcome, fingerprint = outcomes[request.key], make_turn(request).fingerprint
        if isinstance(outcome, ChatFailure):
            why = f"{outcome.kind}: {outcome.message}"
            yield StoredVerdict(sample_id=request.key, request=fingerprint, verdict=None, failure=why)
        else:
            yield StoredVerdict(
                sample_id=request.key, request=fingerprint, verdict=read(outcome.text), text=outcome.text
            )
