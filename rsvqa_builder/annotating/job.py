"""One annotation as the command line runs it: the client, what it may cost, where replies are kept, and the summary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from rsvqa.annotation.llm.batch_api import BatchClient
from rsvqa.annotation.llm.budget import Budget, Estimate, estimate
from rsvqa.annotation.llm.client import ChatClient
from rsvqa.annotation.llm.passes import Ask, ChatResult
from rsvqa.annotation.llm.prices import PricesError, read_prices
from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.annotation.llm.requests import ChatRequest, UnaskedFailure
from rsvqa.annotation.llm.turns import RawReply, Turn, advance, make_turn
from rsvqa.rsvqa_builder.annotating.annotate import (
    Annotated,
    NothingToAnnotateError,
    annotate,
    planned_requests,
    require_dataset,
)
from rsvqa.rsvqa_builder.annotating.settings import AnnotateSettings, JobSettings, require_two_models
from rsvqa.rsvqa_builder.config import SettingsError, load_settings
from rsvqa.rsvqa_builder.progress import Reporter
from rsvqa.rsvqa_builder.reviewing.serve import decided_questions
from rsvqa.rsvqa_builder.shown import ShownResult


def run_job(
    settings: AnnotateSettings, job: JobSettings, data: Path, out: Path, *, overwrite: bool = False, reporter: Reporter
) -> AnnotateResult:
    """Annotate `data` into `out`; see `annotate`.

    Raises:
        PricesError: the cost is bounded, and a model that will be asked has no price.
        SettingsError: one model writes and verifies.
    """
    require_two_models(settings)
    require_dataset(settings, data)
    budget = budget_of(settings.models, job)
    path = job.replies_beside(out)
    if job.finish and not path.exists():
        raise NothingToAnnotateError(f"nothing has been answered yet, there is no {path}: start without `finish`")
    path.parent.mkdir(parents=True, exist_ok=True)
    with ReplyStore(path) as store, _open_asker(job, store, budget) as ask:
        done = annotate(
            settings,
            data,
            out,
            ask=ask,
            bill=lambda: [asdict(line) for line in budget.bill()],
            overwrite=overwrite,
            retry_failed=job.retry_failed,
            reporter=reporter,
        )
        return AnnotateResult(replace(done, lost=len(store.lost())), out)


def budget_of(models: Iterable[str], job: JobSettings) -> Budget:
    """Return what a job that asks these models may cost.

    Raises:
        PricesError: the cost is bounded, and one of them has no price: better told before the first request.
    """
    prices = read_prices(job.prices)
    unpriced = sorted(model for model in models if prices.find(model) is None)
    if job.max_cost is not None and unpriced:
        raise PricesError(f"`max_cost`: no price for {', '.join(unpriced)}; give a table as `prices`")
    return Budget(max_cost=job.max_cost, max_requests=job.max_requests, prices=prices, batch=job.batch_api)


@contextmanager
def _open_asker(job: JobSettings, store: ReplyStore, budget: Budget) -> Iterator[Ask]:
    """Yield what answers requests: an endpoint, or the store of replies alone."""
    if job.finish:
        yield partial(answered_before, store=store, budget=budget)
        return
    with open_client(job, store, budget) as client:
        yield client.ask


def answered_before(requests: Iterable[ChatRequest], *, store: ReplyStore, budget: Budget) -> Iterator[ChatResult]:
    """Yield what earlier runs got for requests; those without a reply fail as `UnaskedFailure`."""

    def find(turn: Turn) -> RawReply | None:
        reply = store.find(turn.fingerprint)
        if reply is not None:
            budget.count(turn, reply)
        return reply

    for request in requests:
        step = advance(make_turn(request), find)
        yield UnaskedFailure(request.key, "unreachable", "not asked yet") if isinstance(step, Turn) else step


def open_client(job: JobSettings, store: ReplyStore, budget: Budget) -> ChatClient | BatchClient:
    """Return what asks as the settings say: directly, or through batch files."""
    if job.batch_api:
        return BatchClient(job.endpoint, job, store=store, budget=budget)
    return ChatClient(job.endpoint, job, store, budget)


@dataclass(frozen=True, slots=True)
class Annotator:
    """What follows a build whose annotator is openai:MODEL,VERIFIER: one restartable job together."""

    settings: AnnotateSettings
    job: JobSettings

    def annotate_in_place(self, folder: Path, reporter: Reporter) -> AnnotateResult | None:
        """Annotate the data set that was built in `folder`; None when it has no question, which is said."""
        # a folder that is built anew may hold a review: what stands in it is not to be reworded
        settings = self.settings.model_copy(update={"keep_decided": bool(decided_questions(folder))})
        try:
            return run_job(settings, self.job, folder, folder, reporter=reporter)
        except NothingToAnnotateError as error:
            reporter.note("annotate", f"not annotated: {error}")
            return None


def open_annotator(name: str, job: JobSettings) -> Annotator:
    """Return the annotator of that name, as `rsvqa build` takes it: "openai:MODEL,VERIFIER".

    Who wants one model for both says its name twice.

    Refuses before anything is built what could not be done afterwards.

    Raises:
        SettingsError: for another name.
        EndpointError: no key where one is needed.
        PricesError: the cost is bounded, and the model has no price.
    """
    provider, _, models = name.partition(":")
    model, _, verifier = models.partition(",")
    if provider != "openai" or not model or not verifier:
        raise SettingsError(
            f"`annotator` = {name!r}: expected rules, or openai:MODEL,VERIFIER as in openai:gpt-4o,gpt-4.1"
        )
    job.endpoint.connect(job.timeout_s).close()
    settings = load_settings(AnnotateSettings, {"model": model, "verifier": verifier, "same_model": verifier == model})
    budget_of(settings.models, job)
    return Annotator(settings, job)


def estimate_job(settings: AnnotateSettings, job: JobSettings, data: Path, out: Path) -> Estimate:
    """Return what a job will ask and cost at most; nothing is sent, nothing written."""
    require_two_models(settings)
    path = job.replies_beside(out)
    with ReplyStore(path if path.exists() else None) as store:
        return estimate(
            planned_requests(settings, data),
            lambda turn: store.find(turn.fingerprint),
            read_prices(job.prices),
            batch=job.batch_api,
        )


# --- what is printed --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EstimateResult(ShownResult):
    """What a job will ask and cost at most."""

    estimate: Estimate

    def parts(self) -> Iterator[str]:
        """Yield requests, tokens and cost."""
        found = self.estimate
        yield f"{found.requests:,} requests to send, {found.stored:,} answered before"
        yield f"about {found.input_tokens:,} input tokens, at most {found.output_tokens:,} output tokens"
        if found.cost is None:
            yield f"cost unknown: no price for {', '.join(found.unpriced)} in the table of prices"
        else:
            yield f"at most about ${found.cost:,.2f}"

    def as_json(self) -> dict[str, Any]:
        """Return all figures."""
        return asdict(self.estimate)


@dataclass(frozen=True, slots=True)
class AnnotateResult(ShownResult):
    """What a job ended with: outcomes by task, reasons, and the bill; `out` is the folder of the data set."""

    done: Annotated
    out: Path

    @property
    def report(self) -> Mapping[str, Any]:
        """The job's report, as it is written."""
        return self.done.report

    @property
    def content(self) -> dict[str, Any]:
        """Report and state as JSON types."""
        return self.done.content

    @property
    def has_done_nothing(self) -> bool:
        """Whether no model was asked, in a job that had not been finished before."""
        return not self.done.was_complete and not any(line["paid"] or line["stored"] for line in self.report["bill"])

    def parts(self) -> Iterator[str | Table]:
        """Yield what went wrong first, then the tasks and the bill."""
        if self.done.was_complete:
            yield f"{self.out} is annotated like this already"
        yield from first_lines(self.done)
        yield outcome_table(self.report)
        yield from map(bill_line, self.report["bill"])

    def as_json(self) -> dict[str, Any]:
        """Return folder, state and report."""
        return {"out": str(self.out), **self.content}


def first_lines(done: Annotated) -> Iterator[str]:
    """Yield what went wrong: what was rejected or is to be reviewed, by reason, and what was paid for in vain."""
    report, counts = done.report, done.report["questions"]
    if unfinished := report.get("unfinished"):
        yield f"{unfinished:,} questions are as they were, for they are not finished; the job goes on without `finish`"
    if not any(line["paid"] or line["stored"] for line in report["bill"]):
        yield f"nothing to do: no model was asked, for no question is one for {', '.join(report['settings']['steps'])}"
    elif not counts["accepted"]:
        yield "no question was accepted"
    for state, what in (("rejected", "rejected"), ("review", "to be reviewed")):
        if counts[state]:
            yield f"{counts[state]:,} {what}"
        yield from (f"  {count:,} x {reason}" for reason, count in report[f"{state}_reasons"].items())
    if failed := report.get("failed_requests"):
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in failed.items())
        yield f"requests that came to nothing: {kinds}; the same command asks again, refusals with `retry_failed`"
    if done.lost:
        yield f"{done.lost:,} sendings brought no reply and may be on the endpoint's bill"


def outcome_table(report: Mapping[str, Any]) -> Table:
    """Return where the questions of each task ended."""
    counts = report["questions"]
    table = Table(
        title=f"{counts['accepted'] + counts['review']:,} of {counts['before']:,} questions and their versions"
    )
    for title in ("task", "accepted", "to review", "rejected", "by a model"):
        table.add_column(title, justify="left" if title == "task" else "right")
    for name, task in report["tasks"].items():
        cells = [task[key] for key in ("accepted", "review", "rejected", "written_by_models")]
        if any(cells):
            table.add_row(name, *(f"{count:,}" for count in cells))
    return table


def bill_line(line: Mapping[str, Any]) -> str:
    """Return what one model has cost, as one line."""
    if line["cost"] is None:
        cost = "no price known"
    else:
        cost = f"${line['cost']:,.2f} now, ${line['stored_cost'] or 0:,.2f} in earlier starts"
    return (
        f"{line['model']}: {line['paid']:,} replies now, {line['stored']:,} stored; "
        f"{line['input_tokens']:,} tokens in, {line['output_tokens']:,} out; {cost}"
    )
