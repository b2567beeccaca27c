"""What `rsvqa browse`, `compare`, `leaderboard`, `power` and `ask` print; a run's figures are in `summary.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.benchmark.models import Reply, Unanswered
from rsvqa.benchmark.reports.browsing import WrittenPages
from rsvqa.benchmark.reports.comparison import Comparison, Difference
from rsvqa.benchmark.reports.leaderboard import Leaderboard, Standing
from rsvqa.benchmark.reports.report_tables import percent
from rsvqa.benchmark.scores.intervals import Interval
from rsvqa.benchmark.scores.measures import Measure
from rsvqa.benchmark.scores.power import PowerPlan
from rsvqa.rsvqa_builder.shown import Part, ShownResult, TextTable, aligned

_COMPARED = ("", "A", "B", "B − A", "95 % interval", "p", "p, Holm", "A ahead", "B ahead", "questions", "images")
_RANKED = ("macro-13", "95 % interval", "strict", "micro", "")


def print_pages(written: WrittenPages) -> None:
    """Print which page to open, and what it leaves out."""
    print(f"{written.num_questions:,} questions: {written.page}")
    if written.num_other_only:
        print(f"not shown: {written.num_other_only:,} questions that only the second run was asked")


@dataclass(frozen=True, slots=True)
class CompareResult(ShownResult):
    """What `rsvqa.compare` finds."""

    comparison: Comparison

    def parts(self) -> Iterator[Part]:
        """Yield what was compared, then a table per measure."""
        comparison = self.comparison
        yield f"A: {comparison.first}"
        yield f"B: {comparison.second}"
        yield from comparison.notes
        yield f"{comparison.num_shared:,} questions compared, per cent"
        order = list(Measure)
        ordered = sorted([*comparison.tasks, *comparison.averages], key=lambda one: order.index(one.measure))
        for measure, differences in groupby(ordered, key=lambda one: one.measure):
            yield ""
            yield TextTable([(measure.value, *_COMPARED[1:]), *map(_difference_row, differences)])

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return self.comparison.model_dump(mode="json")


def _difference_row(difference: Difference) -> tuple[str, ...]:
    test, figure = difference.test, difference.difference
    info = TASKS.get(difference.name)
    return (
        info.title if info else difference.name,
        percent(difference.first),
        percent(difference.second),
        f"{100 * (figure.value or 0.0):+.1f}",
        _signed(figure.interval),
        f"{test.p:.4f}",
        "" if test.p_holm is None else f"{test.p_holm:.4f}",
        f"{difference.num_first_only:,}",
        f"{difference.num_second_only:,}",
        f"{figure.num_questions:,}",
        f"{figure.num_images:,}",
    )


def _signed(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return interval.reason
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"


def print_power(plan: PowerPlan, *, as_json: bool = False) -> None:
    """Print how many images and questions are needed on stdout."""
    print(plan.model_dump_json() if as_json else "\n".join(_power_lines(plan)))


def _power_lines(plan: PowerPlan) -> Iterator[str]:
    known = plan.assumptions
    yield (
        f"To see a difference of {100 * plan.difference:g} points with a chance of {100 * plan.power:g} % "
        "(95 % interval without 0)"
    )
    yield (
        f"between models that differ on {100 * known.disagreement:.1f} % of the questions, whose differences "
        f"correlate by {known.correlation:.2f} within an image ({known.source}):"
    )
    rows = [(f"{need.questions_per_image:g}", f"{need.num_images:,}", f"{need.num_questions:,}") for need in plan.needs]
    yield from aligned([("questions per image", "images", "questions"), *rows])
    if plan.seen is not None:
        yield f"These runs can show a difference of {100 * plan.seen:.1f} points."


def print_leaderboard(board: Leaderboard, *, as_json: bool = False) -> None:
    """Print runs and published scores on stdout."""
    print(board.model_dump_json() if as_json else "\n".join(_leaderboard_lines(board)))


def _leaderboard_lines(board: Leaderboard) -> Iterator[str]:
    yield f"{board.data}, per cent; → are runs, by the official extraction and by the strict parser"
    yield ""
    table = aligned([("model", *_RANKED), *map(_standing_row, board.standings)])
    about = ["variant | source", *(f"{one.variant} | {one.source}" for one in board.standings)]
    yield from (f"{line} {text}" for line, text in zip(table, about, strict=True))
    for apart in board.apart:
        one = apart.standing
        yield ""
        yield f"{one.model} is not compared with published scores: {apart.why}."
        yield f"  {apart.average}: official {percent(one.macro)}, strict {percent(one.strict)}"


def _standing_row(standing: Standing) -> Sequence[str]:
    macro = percent(standing.macro) + (f"–{percent(standing.macro_high)}" if standing.macro_high is not None else "")
    low, high = (standing.interval.low, standing.interval.high) if standing.interval else (None, None)
    interval = "" if low is None or high is None else f"{percent(low)}–{percent(high)}"
    strict, micro = ("" if share is None else percent(share) for share in (standing.strict, standing.micro))
    mark = "→ " if standing.kind == "run" else ""
    return (f"{mark}{standing.model}", macro, interval, strict, micro, "")


def _looks(reply: Reply) -> dict[str, Any]:
    """Return the parts that were looked at as x, y, width and height; nothing of a model that does not look."""
    return {"looked_at": [list(window) for window in reply.looks[-1].windows]} if reply.looks else {}


@dataclass(frozen=True, slots=True)
class AskResult(ShownResult):
    """What a model replied to each of the questions, in their order."""

    questions: tuple[str, ...]
    replies: tuple[Reply | Unanswered, ...]

    @property
    def texts(self) -> tuple[str | None, ...]:
        """The replies; None where a question was not answered."""
        return tuple(None if isinstance(reply, Unanswered) else reply.text for reply in self.replies)

    @property
    def faults(self) -> tuple[str, ...]:
        """Which questions were not answered, or not to the end, and why."""
        return tuple(found for pair in zip(self.questions, self.replies, strict=True) if (found := _fault(*pair)))

    def parts(self) -> Iterator[str]:
        """Yield the replies; of several, each below its question."""
        for question, text in zip(self.questions, self.texts, strict=True):
            if text is not None:
                yield f"{question}\n{text}\n" if len(self.questions) > 1 else text

    def as_json(self) -> list[dict[str, Any]]:
        """Return each question with its reply and what it took."""
        return [_entry(*pair) for pair in zip(self.questions, self.replies, strict=True)]


def _fault(question: str, reply: Reply | Unanswered) -> str | None:
    if isinstance(reply, Unanswered):
        return f"{question}: {reply.reason}"
    if not reply.ended:
        bound = "the bound of new" if reply.num_new_tokens is None else reply.num_new_tokens
        return f"{question}: the reply was cut at {bound} tokens"
    return None if reply.text.strip() else f"{question}: the reply is empty"


def _entry(question: str, reply: Reply | Unanswered) -> dict[str, Any]:
    if isinstance(reply, Unanswered):
        return {"question": question, "reply": None, "reason": reply.reason}
    return {
        "question": question,
        "reply": reply.text,
        "ended": reply.ended,
        "num_prompt_tokens": reply.num_prompt_tokens,
        "num_visual_tokens": reply.num_visual_tokens,
        "num_new_tokens": reply.num_new_tokens,
        "seconds": round(reply.seconds, 3),
        **_looks(reply),
    }
