"""`browse/`: a page to look through every question of a run, alone or beside another run.

It opens from the disk without a server. What its list and filters need of all questions is one file; the rest lies in
parts of `PART_SIZE` questions, which are loaded when one of them is opened or searched. These files are scripts that
hand over data, since a page from the disk may load scripts and pictures alone. What models wrote enters the page as
text only, and its content security policy lets no other script run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib import resources
from os.path import relpath
from pathlib import Path
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.run_record import THUMBNAILS_FOLDER
from rsvqa.benchmark.reports.comparison import check_same_questions, run_label
from rsvqa.benchmark.reports.sample_cards import BOX_NAMES, OUTCOME_NAMES, is_disputed, make_card
from rsvqa.benchmark.reports.writing import score_run
from rsvqa.benchmark.scores.labels import in_order, label_of
from rsvqa.benchmark.scores.measures import Measured
from rsvqa.benchmark.scores.score import AnswerOutcome
from rsvqa.rsvqa_builder.files import whole_folder

BROWSE_FOLDER = "browse"
PAGE_FILE = "index.html"
INDEX_FILE = "questions.js"
PART_SIZE = 100
_PLACE = re.compile(r"Image resolution:[^\[\]]{1,80}\[[\d., ]{1,60}\]\.?\s?", re.IGNORECASE)
NUM_START_CHARACTERS = 100
"""Of a question, shown in the list."""

NOT_JUDGED = "not judged"
"""The outcome of a caption, or by a parser that is not for this form of question."""
_OUTCOMES = (*OUTCOME_NAMES.values(), NOT_JUDGED)
_AGREEMENT = ("disagree", "agree", "not compared")
_RUNS = ("only A right", "only B right", "both right", "neither right", "not compared")

_Row = tuple[Measured, Measured | None]
"""A question in the run, and in the other run if that was asked it."""


class WrittenPages(NamedTuple):
    """The page to open, how many questions it shows, and how many of the other run it leaves out."""

    page: Path
    num_questions: int
    num_other_only: int


@dataclass(frozen=True, slots=True)
class Facet:
    """Something to filter by: a value per question, as its place among the names of values."""

    key: str
    title: str
    names: Sequence[str]
    values: Sequence[int]


def write_browser(run: Path, other: Path | None = None) -> WrittenPages:
    """Write the page of a run's folder into its `browse/`, in place of an earlier one.

    Args:
        run: whose questions are shown, scored anew.
        other: a run over the same data, whose replies stand beside.

    Raises:
        NothingToScoreError: a run has no reply, or they share no question.
        RunError: a folder is not that of a run, or one id is another question or image in each.
    """
    folders = [run] if other is None else [run, other]
    runs = [score_run(folder) for folder in folders]
    found = [{one.reply.sample_id: one for one in scored.questions} for scored in runs]
    common = [key for key in found[0] if key in found[-1]]
    check_same_questions(found[0], found[-1], common, shared=True)
    rows: list[_Row] = [(one, None if other is None else found[-1].get(key)) for key, one in found[0].items()]
    num_other_only = len(found[-1]) - len(common)
    labels = [run_label(scored.results, folder) for scored, folder in zip(runs, folders, strict=True)]
    out = run / BROWSE_FOLDER
    _check_replaceable(out)
    with whole_folder(out, overwrite=True) as working:
        _write_script(working / INDEX_FILE, "rsvqa.questions", _index(rows, labels))
        for number, start in enumerate(range(0, len(rows), PART_SIZE)):
            cards = [_card(row, folders) for row in rows[start : start + PART_SIZE]]
            _write_script(working / f"part-{number:04d}.js", f"rsvqa.part[{number}]", cards)
        room = resources.files("rsvqa.benchmark.reports")
        (working / "browse.js").write_bytes(room.joinpath("browse.js").read_bytes())
        page = Template(room.joinpath("browse_page.html").read_text("utf-8"))
        head = _head(labels, len(rows), num_other_only)
        style = room.joinpath("report.css").read_text("utf-8")
        (working / PAGE_FILE).write_text(page.substitute(head, style=style), "utf-8")
    return WrittenPages(out / PAGE_FILE, len(rows), num_other_only)


def _check_replaceable(out: Path) -> None:
    """Refuse to replace what this command has not written."""
    if out.exists() and not (out.is_dir() and ((out / INDEX_FILE).exists() or not any(out.iterdir()))):
        raise RunError(f"{out} holds something else than pages of `rsvqa browse`, which would replace it; move it away")


def _write_script(path: Path, name: str, data: object) -> None:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    path.write_text(f"{name}={text};\n", "utf-8")


def _head(labels: Sequence[str], num_questions: int, num_other_only: int) -> dict[str, str]:
    runs = labels if len(labels) == 1 else [f"{letter}: {label}" for letter, label in zip("AB", labels, strict=True)]
    facts = f"{num_questions:,} questions"
    if num_other_only:
        facts += f"; {num_other_only:,} that only B was asked are not shown"
    return {
        "title": escape(" and ".join(labels)),
        "runs": "".join(f"<span>{escape(run)}</span>" for run in runs),
        "facts": escape(facts),
    }


def _index(rows: Sequence[_Row], labels: Sequence[str]) -> dict[str, Any]:
    """Return what the page holds of all questions from the start."""
    firsts = [first.reply for first, _ in rows]
    facets = [facet for facet in _facets(rows, is_pair=len(labels) > 1) if len(set(facet.values)) > 1]
    return {
        "labels": labels,
        "partSize": PART_SIZE,
        "boxNames": BOX_NAMES,
        "ids": [reply.sample_id for reply in firsts],
        "tasks": [label_of(reply).short for reply in firsts],
        "starts": [_start(reply.question) for reply in firsts],
        "outcomes": [[_outcome_name(one) for one in row[: len(labels)]] for row in rows],
        "facets": [asdict(facet) for facet in facets],
    }


def _start(question: str) -> str:
    """Return what a list shows of a question: its beginning, behind the size and the box with which many begin."""
    line = " ".join(question.split())
    return (_PLACE.sub("", line) or line)[:NUM_START_CHARACTERS]


# --- filters ----------------------------------------------------------------------------------------------------------


def _facets(rows: Sequence[_Row], *, is_pair: bool) -> list[Facet]:
    order = in_order(first.reply.task for first, _ in rows)
    labels = {first.reply.task: label_of(first.reply) for first, _ in rows}
    tasks = [f"{labels[name].title} ({labels[name].short})" for name in order]
    facets = [Facet("task", "Task", tasks, [order.index(first.reply.task) for first, _ in rows])]
    if is_pair:
        facets.append(Facet("runs", "Runs", _RUNS, [_RUNS.index(_standing(*row)) for row in rows]))
    for place, letter in enumerate("AB" if is_pair else " "):
        ones = [row[place] for row in rows]
        run = f", {letter}" if is_pair else ""
        key = letter.strip().lower()
        strict, official = ([_outcome_name(one, official=flag) for one in ones] for flag in (False, True))
        facets += [
            Facet(f"strict{key}", f"Strict{run}", _OUTCOMES, [_OUTCOMES.index(name) for name in strict]),
            Facet(f"official{key}", f"Official{run}", _OUTCOMES, [_OUTCOMES.index(name) for name in official]),
            *_judge_facet(ones, f"judge{key}", f"Judge{run}"),
            Facet(f"parsers{key}", f"Parsers{run}", _AGREEMENT, [_AGREEMENT.index(_agreement(one)) for one in ones]),
        ]
    return facets


def _judge_facet(ones: Sequence[Measured | None], key: str, name: str) -> Iterator[Facet]:
    """Yield the outcomes by the judge, of a run that was judged."""
    outcomes = [None if one is None else one.score.judge for one in ones]
    if any(outcomes):
        names = [OUTCOME_NAMES[outcome or AnswerOutcome.NOT_SCORED] for outcome in outcomes]
        yield Facet(key, name, _OUTCOMES, [_OUTCOMES.index(one) for one in names])


def _outcome_name(one: Measured | None, *, official: bool = False) -> str:
    """Return an outcome in words; a question that was not asked, or has no reply, is not scored."""
    if one is None or not one.is_scored:
        return OUTCOME_NAMES[AnswerOutcome.NOT_SCORED]
    outcome = one.score.official if official else one.score.strict
    return NOT_JUDGED if outcome is None else OUTCOME_NAMES[outcome]


def _agreement(one: Measured | None) -> str:
    if one is None or not one.is_scored or one.score.strict is None or one.score.official is None:
        return "not compared"
    return "disagree" if is_disputed(one) else "agree"


def _standing(first: Measured, second: Measured | None) -> str:
    """Return which of two runs is right by the strict parser."""
    if second is None or not (first.is_scored and second.is_scored) or first.score.strict is None:
        return "not compared"
    names = {(True, False): "only A right", (False, True): "only B right", (True, True): "both right"}
    right = AnswerOutcome.RIGHT
    return names.get((first.score.strict is right, second.score.strict is right), "neither right")


# --- cards ------------------------------------------------------------------------------------------------------------


def _card(row: _Row, folders: Sequence[Path]) -> dict[str, Any]:
    card = asdict(make_card(row[: len(folders)]))
    for picture in card["pictures"]:
        picture["src"] = _thumbnail(picture, folders)
    return card


def _thumbnail(picture: Mapping[str, Any], folders: Sequence[Path]) -> str | None:
    """Return the address of an image's thumbnail, seen from the page; None when no run holds one."""
    sha256 = picture["sha256"]
    if not sha256.isalnum():  # it comes from a file, and must not lead out of the folder
        return None
    for folder in folders:
        file = folder / THUMBNAILS_FOLDER / f"{sha256}.jpg"
        if file.is_file():
            return quote(Path(relpath(file.resolve(), (folders[0] / BROWSE_FOLDER).resolve())).as_posix())
    return None
