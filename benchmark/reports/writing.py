"""Score a run's stored replies and write its reports; neither the model nor the data set is needed.

`write_reports` is a function of the run's folder: done again it writes the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from rsvqa.benchmark.errors import NothingToScoreError
from rsvqa.benchmark.files.reply_store import read_replies
from rsvqa.benchmark.files.run_record import SAMPLES_FILE, RunRecord, read_run_record
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.files.verdicts import Verdicts, read_verdicts, verdicts_by_question
from rsvqa.benchmark.reports.report_page import write_page
from rsvqa.benchmark.reports.report_tables import TABLE_COLUMNS, markdown_report, table_rows
from rsvqa.benchmark.scores.aggregates import aggregate
from rsvqa.benchmark.scores.figures import INTERVAL_SEED, rounded
from rsvqa.benchmark.scores.measures import Measured, measure
from rsvqa.benchmark.scores.results import Costs, JudgeResult, Results, write_results
from rsvqa.benchmark.scores.score import AnswerOutcome, Score
from rsvqa.benchmark.scores.scoring import judged_score, score_reply
from rsvqa.rsvqa_builder.files import hash_file, write_atomically
from rsvqa.rsvqa_builder.losses import group_losses, loss_lines

TABLE_FILE = "tasks.csv"
MARKDOWN_FILE = "results.md"


class ScoredRun(NamedTuple):
    """A run with the worth of each of its questions."""

    results: Results
    questions: list[Measured]


def write_reports(run: Path) -> Results:
    """Score the replies in the folder `run` and write results.json, tasks.csv, results.md and report.html beside them.

    Raises:
        NothingToScoreError: when no question has a reply.
        RunError: when the folder is not that of a run, or its replies cannot be read.
    """
    results, questions = score_run(run)
    write_atomically(run / TABLE_FILE, table_csv(results).encode())
    write_atomically(run / MARKDOWN_FILE, markdown_report(results).encode())
    write_page(run, results, questions)
    write_results(run, results)
    return results


def score_run(run: Path) -> ScoredRun:
    """Return the figures of a run's folder, computed anew from its replies; nothing is written.

    Raises:
        NothingToScoreError: when no question has a reply.
        RunError: when the folder is not that of a run, or its replies cannot be read.
    """
    record = read_run_record(run)
    sha256 = _sha256_of_samples(run)
    replies = read_replies(run)
    rules = record.data.rules
    verdicts = read_verdicts(run)
    scores = [score_reply(reply, rules) for reply in replies]
    questions = measure(scores if verdicts is None else _judged(scores, verdicts))
    if not any(one.is_scored for one in questions):
        raise NothingToScoreError(_no_reply(run, questions))
    tasks, averages, boxes = aggregate(questions, rules)
    results = Results(
        rsvqa_version=version("rsvqa"),
        run=record,
        samples_sha256=sha256,
        interval_seed=INTERVAL_SEED,
        num_questions=len(questions),
        num_images=len({image.sha256 for reply in replies for image in reply.images}),
        not_scored=_count_failures(questions),
        costs=_costs(record, replies),
        tasks=tasks,
        averages=averages,
        boxes=boxes,
        judged=None if verdicts is None else _judge_result(verdicts, questions),
    )
    return ScoredRun(results, questions)


def _judged(scores: Sequence[Score], verdicts: Verdicts) -> list[Score]:
    known = verdicts_by_question(verdicts, [score.reply for score in scores])
    return [judged_score(score, known.get(score.reply.sample_id), prompt=verdicts.judge.prompt) for score in scores]


def _judge_result(verdicts: Verdicts, questions: Sequence[Measured]) -> JudgeResult:
    asked = [one.score for one in questions if one.is_scored and one.is_judged]
    unjudged = [score for score in asked if score.judge is AnswerOutcome.NOT_SCORED]
    num_unreadable = sum(score.judge_text is not None for score in unjudged)
    return JudgeResult(
        judge=verdicts.judge,
        num_judged=len(asked) - len(unjudged),
        num_unreadable=num_unreadable,
        num_missing=len(unjudged) - num_unreadable,
    )


def table_csv(results: Results) -> str:
    """Return `tasks.csv`: one row per measure of a sub-task or an average."""
    text = io.StringIO()
    writer = csv.DictWriter(text, TABLE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table_rows(results))
    return text.getvalue()


def _sha256_of_samples(run: Path) -> str:
    try:
        return hash_file(run / SAMPLES_FILE)
    except OSError as error:
        raise NothingToScoreError(
            f"{run} has no replies: {SAMPLES_FILE} ({error.strerror}); run `rsvqa bench` first"
        ) from error


def _no_reply(run: Path, questions: Sequence[Measured]) -> str:
    failures = group_losses((one.reply.sample_id, one.reply.failure or "no reason", 1) for one in questions)
    reasons = "; ".join(loss_lines(failures)) or "its samples.jsonl is empty"
    return f"{run}: no question has a reply, so there is nothing to score: {reasons}; the same `rsvqa bench` asks again"


def _count_failures(questions: Iterable[Measured]) -> dict[str, int]:
    """Return how many questions have no reply, by reason, most frequent first."""
    counts = Counter(one.reply.failure or "no reason recorded" for one in questions if not one.is_scored)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _costs(record: RunRecord, replies: Sequence[StoredReply]) -> Costs:
    answered = [reply for reply in replies if reply.reply is not None]
    return Costs(
        seconds_per_question=_mean(answered, lambda reply: reply.seconds or None),
        prompt_tokens_per_question=_mean(answered, lambda reply: reply.num_prompt_tokens),
        new_tokens_per_question=_mean(answered, lambda reply: reply.num_new_tokens),
        visual_tokens_per_image=_mean(answered, _visual_tokens_per_image),
        images_per_second=record.images_per_second,
        peak_memory_mb=record.peak_memory_mb,
        peak_device_memory_mb=record.peak_device_memory_mb,
        calls_per_question=_mean(answered, lambda reply: len(reply.looks) or None),
    )


def _visual_tokens_per_image(reply: StoredReply) -> float | None:
    if reply.num_visual_tokens is None or not reply.images:
        return None
    return reply.num_visual_tokens / len(reply.images)


def _mean(replies: Iterable[StoredReply], value_of: Callable[[StoredReply], float | None]) -> float | None:
    """Return the mean over the replies that say; None when none does."""
    known = [value for reply in replies if (value := value_of(reply)) is not None]
    return rounded(fmean(known)) if known else None
