"""Which letters a model says, against those that are right: a habit of one letter shows here, whatever the accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from rsvqa.annotation.lettering import LETTERS
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.scores.measures import Measured
from rsvqa.benchmark.scores.results import ChoiceResult, TaskResult

_NONE = "none"

_FORMS = {AnswerForm.ONE_OF: "One right option", AnswerForm.YES_NO: "Yes or no"}


def letters_section(tasks: Sequence[TaskResult], questions: Sequence[Measured]) -> str:
    """Return confusion tables and the letters by sub-task; empty for a run without options."""
    choices = [(task, task.choice) for task in tasks if task.choice is not None and task.choice.right_letters]
    if not choices:
        return ""
    tables = "".join(_confusions(questions))
    rows = "".join(_letter_row(task, choice) for task, choice in choices)
    return (
        '<section id="letters"><header><h2>Letters</h2><p class="facts">answers as the strict parser reads them</p>'
        f'</header><div class="confusions">{tables}</div><table class="habits"><thead><tr><th scope="col"></th>'
        '<th scope="col">right</th><th scope="col">replied</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def confusion(questions: Sequence[Measured], form: AnswerForm) -> dict[str, Counter[str]]:
    """Return how often each letter was read for each right one, over scored questions of one form."""
    counts: dict[str, Counter[str]] = {}
    for one in questions:
        if one.reply.form is form and one.is_scored:
            counts.setdefault(one.reply.answer, Counter())[one.score.strict_letters or _NONE] += 1
    return {right: counts[right] for right in sorted(counts)}


def _confusions(questions: Sequence[Measured]) -> Iterator[str]:
    for form, name in _FORMS.items():
        if counts := confusion(questions, form):
            yield _confusion_table(name, counts)
    several = [one for one in questions if one.reply.form is AnswerForm.SEVERAL_OF and one.is_scored]
    if several:
        yield _several_table(several)


def _confusion_table(name: str, counts: Mapping[str, Counter[str]]) -> str:
    """Return a table of right letters (rows) against read ones; shades are shares of the row."""
    said = [*sorted({letters for row in counts.values() for letters in row} - {_NONE} | {*counts}), _NONE]
    head = "".join(f'<th scope="col">{escape(letters)}</th>' for letters in said)
    rows = "".join(
        f'<tr><th scope="row">{escape(right)}</th>'
        f"{''.join(_shaded(row[letters], row.total()) for letters in said)}</tr>"
        for right, row in counts.items()
    )
    return (
        f'<figure><table class="confusion"><caption>{escape(name)}</caption><thead><tr>'
        f'<th scope="col"><small>right ↓ replied →</small></th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></figure>"
    )


def _several_table(questions: Sequence[Measured]) -> str:
    """Return, for questions with several right options, how often each letter was named when right and when wrong."""
    rows = []
    for letter in LETTERS[: max((len(one.reply.options) for one in questions), default=0)]:
        right = [one for one in questions if letter in one.reply.answer]
        wrong = [one for one in questions if letter not in one.reply.answer]
        cells = "".join(
            _shaded(sum(letter in one.score.strict_letters for one in group), len(group)) + f"<td>{len(group)}</td>"
            for group in (right, wrong)
        )
        rows.append(f'<tr><th scope="row">{escape(letter)}</th>{cells}</tr>')
    return (
        '<figure><table class="confusion"><caption>Several right options</caption><thead><tr><th scope="col"></th>'
        '<th scope="col"><small>named</small></th><th scope="col"><small>of right</small></th>'
        '<th scope="col"><small>named</small></th><th scope="col"><small>of wrong</small></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></figure>"
    )


def _shaded(count: int, total: int) -> str:
    share = count / total if total else 0.0
    return f'<td class="cell" style="--s:{100 * share:.0f}%" title="{100 * share:.1f} %">{count:,}</td>'


def _letter_row(task: TaskResult, choice: ChoiceResult) -> str:
    said = {letters or _NONE: count for letters, count in choice.strict_letters.items()}
    return (
        f"<tr><td>{escape(task.title)} <abbr>{escape(task.short)}</abbr></td><td>{_stack(choice.right_letters)}</td>"
        f"<td>{_stack(said)}</td></tr>"
    )


def _stack(counts: Mapping[str, int]) -> str:
    """Return a stacked bar; parts too small for their letters have them in the tooltip."""
    total = sum(counts.values())
    ordered = sorted(counts, key=lambda letters: (letters == _NONE, letters))
    parts = "".join(
        f'<i class="{"no" if letters == _NONE else ""}" style="flex-grow:{counts[letters]}" '
        f'title="{escape(letters)} {100 * counts[letters] / total:.1f} %">'
        f"{escape(letters) if counts[letters] > 0.06 * total else ''}</i>"
        for letters in ordered
        if counts[letters]
    )
    return f'<span class="letters">{parts}</span>'
