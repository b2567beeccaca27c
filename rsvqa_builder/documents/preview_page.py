"""Set the preview page: HTML from the examples, their pictures and the summary of the data set.

Texts come from users' label files, so everything that is not written here goes through `html.escape`; the page forbids
scripts and loads by its content security policy besides. Pictures stand once, at the end of the page, however many
examples show them. Drawings over them are SVG in tile pixels, so they stay crisp at any size.

Without Jinja2: a tenth of these lines are markup, and a template would take only those, out of the type checker's
sight. What it would do by itself, escaping, a test demands of every text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from itertools import groupby
from string import Template
from typing import Any

from shapely.geometry.base import BaseGeometry

from rsvqa.annotation.facts import Box, Circle
from rsvqa.annotation.lettering import LETTERS
from rsvqa.annotation.questions import Option, marked_options
from rsvqa.annotation.taxonomy import TASKS, AnswerForm, TaskInfo
from rsvqa.rsvqa_builder.dataset.records import Record
from rsvqa.rsvqa_builder.documents.drawing import number, path_data, rectangle
from rsvqa.rsvqa_builder.documents.statistics import DatasetStatistics, TaskStatistics
from rsvqa.rsvqa_builder.scenes.tiling import Window

MAX_EVIDENCE_CHARACTERS = 3_000
"""Evidence shown of one example; the shards hold all of it."""

MAX_FIGURE_HEIGHT = 420
"""Height of a picture on the page, CSS pixels; the width follows from its proportions."""


@dataclass(frozen=True, slots=True)
class PreviewSummary:
    """What the page says about the whole data set.

    Attributes:
        name: the data set's name.
        statistics: its counts.
        not_asked: by task, why it did not ask and how often; shown for tasks without a question.
    """

    name: str
    statistics: DatasetStatistics
    not_asked: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """One embedded JPEG: its id on the page, the window of the tile that it shows, and its `data:` URI."""

    picture_id: str
    window: Window
    uri: str


@dataclass(frozen=True, slots=True)
class PictureView:
    """A picture as one example shows it: the image's key, and the window of its detail, framed, where there is one."""

    key: str
    picture: EmbeddedPicture
    frame: Window | None


@dataclass(frozen=True, slots=True)
class Focus:
    """What a question is about, in tile pixels."""

    box: Box | None = None
    region: Circle | None = None
    geometry: BaseGeometry | None = None

    @property
    def bounds(self) -> Box | None:
        """The box, else the circle's bounds, else those of the geometry; None without any."""
        if self.box is not None:
            return self.box
        if self.region is not None:
            x, y, radius = self.region
            return Box(x - radius, y - radius, x + radius, y + radius)
        return Box(*self.geometry.bounds) if self.geometry is not None else None


@dataclass(frozen=True, slots=True)
class Example:
    """One question with its views."""

    record: Record
    focus: Focus
    views: tuple[PictureView, ...]


def render_page(summary: PreviewSummary, examples: Sequence[Example], pictures: Sequence[EmbeddedPicture]) -> str:
    """Return the whole page."""
    return fill_page(
        "preview_page.html",
        title=escape(summary.name),
        figures=_figures(summary.statistics),
        splits=_splits(summary.statistics),
        tasks=_task_table(summary.statistics),
        sections="".join(_sections(summary.statistics, examples)),
        not_asked=_not_asked(summary),
        pictures="".join(picture_symbol(picture) for picture in pictures),
    )


def render_article(example: Example, pictures: Sequence[EmbeddedPicture]) -> str:
    """Return one example by itself, to stand in another page: its style holds inside it alone."""
    style = resources.files("rsvqa.rsvqa_builder.documents").joinpath("page.css").read_text("utf-8")
    style = re.sub(r"(?m)^(\s*)(?::root|body) \{", r"\1& {", style)
    symbols = "".join(picture_symbol(picture) for picture in pictures)
    return (
        f'<div class="rsvqa-question"><style>.rsvqa-question {{padding: 0 16px; {style}}}</style>'
        f'<svg class="pictures" aria-hidden="true" width="0" height="0"><defs>{symbols}</defs></svg>'
        f"{_article(example)}</div>"
    )


def fill_page(template: str, **parts: str) -> str:
    """Return a page of this room with its style sheet and its parts in their places."""
    room = resources.files("rsvqa.rsvqa_builder.documents")
    style = room.joinpath("page.css").read_text("utf-8")
    return Template(room.joinpath(template).read_text("utf-8")).substitute(style=style, **parts)


# --- the summary ------------------------------------------------------------------------------------------------------


def _figures(statistics: DatasetStatistics) -> str:
    """Return the row of numbers under the title."""
    figures = [
        ("Questions", f"{statistics.num_questions:,}"),
        ("Tasks", f"{statistics.num_tasks} of {len(TASKS)}"),
        ("Tiles", f"{statistics.num_tiles:,}"),
        ("Scenes", f"{len(statistics.scenes):,}"),
        ("Pixels", f"{statistics.num_pixels / 1e6:,.0f} M"),
        ("Images", _file_size(statistics.image_bytes)),
    ]
    if statistics.area_km2 is not None:
        figures.append(("Ground", f"{statistics.area_km2:,.4g} km²"))
    if statistics.gsd is not None:
        finest, coarsest = (f"{gsd:.3g}" for gsd in statistics.gsd)
        figures.append(("Metres per pixel", finest if finest == coarsest else f"{finest}–{coarsest}"))
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in figures)


def _splits(statistics: DatasetStatistics) -> str:
    """Return one sentence on the splits and the tiles without questions."""
    parts = [
        f"<b>{escape(name)}</b> {_count(split.num_questions, 'question')} on {_count(split.num_tiles, 'tile')}"
        for name, split in statistics.splits.items()
    ]
    if statistics.num_tiles_without_questions:
        parts.append(f"{_count(statistics.num_tiles_without_questions, 'tile')} without a question")
    return " · ".join(parts)


def _task_table(statistics: DatasetStatistics) -> str:
    """Return the rows of the table of tasks, grouped by level 1, with bars relative to the largest task."""
    largest = max((task.num_questions for task in statistics.tasks.values()), default=0)
    rows = []
    for level_1, infos in groupby(ordered_tasks(), key=lambda info: info.level_1):
        rows.append(f'<tr class="group"><th colspan="6" scope="rowgroup">{level_1}</th></tr>')
        rows += [_task_row(info, statistics.tasks[info.name], largest) for info in infos]
    return "".join(rows)


def _task_row(info: TaskInfo, task: TaskStatistics, largest: int) -> str:
    name = escape(info.title)
    if not task.num_questions:
        return (
            f'<tr class="none"><td class="wide"><abbr>{info.short}</abbr></td><td><a href="#not-asked">{name}</a></td>'
            '<td class="bar"></td><td class="num">0</td><td></td><td class="num wide"></td></tr>'
        )
    width = 100 * task.num_questions / largest
    return (
        f'<tr><td class="wide"><abbr>{info.short}</abbr></td><td><a href="#{info.name}">{name}</a></td>'
        f'<td class="bar"><i style="width:{width:.1f}%"></i></td><td class="num">{task.num_questions:,}</td>'
        f"<td>{_letter_balance(task)}</td><td class="
        f'"num wide">{_percent(task.majority_answer)}</td></tr>'
    )


def _letter_balance(task: TaskStatistics) -> str:
    """Return a small stacked bar of how often each letter is right; the form of the answer where there are none."""
    total = sum(task.letters.values())
    if not total:
        return f'<span class="form">{escape(", ".join(_FORM_NAMES[AnswerForm(form)] for form in task.forms))}</span>'
    said = ", ".join(f"{letter} {_percent(count / total)}" for letter, count in task.letters.items())
    bars = "".join(
        f'<i style="flex-grow:{count}">{escape(letter)}</i>' for letter, count in task.letters.items() if count
    )
    return f'<span class="letters" title="{escape(said)}">{bars}</span>'


def ordered_tasks() -> list[TaskInfo]:
    """Return the tasks by level 1, then level 2, each in the order in which the taxonomy first names it."""
    level_2 = list(dict.fromkeys((info.level_1, info.level_2) for info in TASKS.values()))
    level_1 = list(dict.fromkeys(info.level_1 for info in TASKS.values()))
    return sorted(
        TASKS.values(), key=lambda info: (level_1.index(info.level_1), level_2.index((info.level_1, info.level_2)))
    )


def _not_asked(summary: PreviewSummary) -> str:
    """Return the section on tasks without a question and why; empty when every task has one."""
    items = [
        f"<dt>{escape(info.title)} <abbr>{info.short}</abbr></dt>"
        f"<dd>{_reasons(summary.not_asked.get(info.name, {}))}</dd>"
        for info in ordered_tasks()
        if not summary.statistics.tasks[info.name].num_questions
    ]
    if not items:
        return ""
    return (
        f'<section id="not-asked"><h2>Tasks without a question</h2><dl class="reasons">{"".join(items)}</dl></section>'
    )


def _reasons(reasons: Mapping[str, int]) -> str:
    """Return reasons with their counts, most frequent first."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{escape(reason)} <span>× {count:,}</span>" for reason, count in ordered)
    return said or "no reason recorded"


# --- the examples -----------------------------------------------------------------------------------------------------

_FORM_NAMES = {
    AnswerForm.ONE_OF: "one of several options",
    AnswerForm.SEVERAL_OF: "all that apply",
    AnswerForm.YES_NO: "yes or no",
    AnswerForm.TEXT: "free text",
    AnswerForm.BOX: "box",
}


def _sections(statistics: DatasetStatistics, examples: Iterable[Example]) -> Iterator[str]:
    """Yield one section for each task with examples."""
    by_task: dict[str, list[Example]] = {}
    for example in examples:
        by_task.setdefault(example.record.task, []).append(example)
    for info in ordered_tasks():
        if shown := by_task.get(info.name):
            yield _section(info, statistics.tasks[info.name], shown)


def _section(info: TaskInfo, task: TaskStatistics, examples: Sequence[Example]) -> str:
    facts = [_count(task.num_questions, "question")]
    if task.chance is not None:
        facts.append(f"chance: {_percent(task.chance)}")
        facts.append(f"most common answer: {_percent(task.majority_answer)}")
    if info.is_own:
        facts.append("not in XLRS-Bench")
    return (
        f'<section id="{info.name}"><header><p class="path">{escape(info.level_1)} › {escape(info.level_2)}'
        '<a href="#tasks">All tasks</a></p>'
        f"<h2>{escape(info.title)} <abbr>{info.short}</abbr></h2>"
        f'<p class="facts">{" · ".join(facts)}</p></header>{"".join(map(_article, examples))}</section>'
    )


def _article(example: Example) -> str:
    record = example.record
    figures = "".join(_figure(view, example) for view in example.views)
    anchor = escape(record.question_id)
    return (
        f'<article id="{anchor}"><div class="views">{figures}</div><div class="qa">'
        f'<p class="question" lang="{escape(record.language)}">{escape(record.question)}</p>'
        f"{_answer(example)}{_evidence(record)}{_place(record)}"
        f'<a class="link" href="#{anchor}">Link</a></div></article>'
    )


def _answer(example: Example) -> str:
    """Return the options with the right ones marked, or the answer itself."""
    record = example.record
    lang = f'lang="{escape(record.language)}"'
    if record.options:
        several = '<p class="hint">All that apply</p>' if record.form is AnswerForm.SEVERAL_OF else ""
        options = "".join(map(_option, LETTERS, marked_options(record.option_texts, record.answer)))
        return f'{several}<ol class="options" {lang}>{options}</ol>'
    if record.form is AnswerForm.BOX:
        return f'<p class="boxed"><code>{escape(record.answer)}</code>{_pixel_box(example.focus.box)}</p>'
    return f"<blockquote {lang}>{escape(record.answer)}</blockquote>"


def _option(letter: str, option: Option) -> str:
    chip = f"<b>{escape(letter)}</b><span>{escape(option.text)}</span>"
    return f'<li class="right">{chip}<em>right</em></li>' if option.is_right else f"<li>{chip}</li>"


def _pixel_box(box: Box | None) -> str:
    if box is None:
        return ""
    return f"<span>{box.x_max - box.x_min:,.0f} × {box.y_max - box.y_min:,.0f} px</span>"


def _evidence(record: Record) -> str:
    """Return the collapsed evidence, cut to a length that a page can hold."""
    if not record.evidence:
        return ""
    rule = str(record.evidence.get("rule", ""))
    rest: dict[str, Any] = {key: value for key, value in record.evidence.items() if key != "rule"}
    text = json.dumps(rest, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    if len(text) > MAX_EVIDENCE_CHARACTERS:
        left_out = len(text) - MAX_EVIDENCE_CHARACTERS
        text = f"{text[:MAX_EVIDENCE_CHARACTERS]}\n… {left_out:,} more characters in the shard"
    return f"<details><summary>Evidence <code>{escape(rule)}</code></summary><pre>{escape(text)}</pre></details>"


def _place(record: Record) -> str:
    """Return where the tile lies and who wrote the question."""
    tile, window = record.tile, record.tile.window
    parts = [
        f"<b>{escape(tile.scene)}</b>",
        f"at {window.x:,}, {window.y:,}",
        f"{window.width:,} × {window.height:,} px",
    ]
    if tile.gsd is not None:
        parts.append(f"{tile.gsd:.3g} m per pixel")
    parts.append(escape(tile.split))
    if record.source != "rule" or record.review != "none":
        parts.append(f"written by {escape(record.source)}, review: {escape(record.review)}")
    return f'<p class="place">{" · ".join(parts)}<br><code>{escape(record.question_id)}</code></p>'


# --- pictures and drawings --------------------------------------------------------------------------------------------


def picture_symbol(picture: EmbeddedPicture) -> str:
    """Return the element that pictures on the page refer to."""
    x, y, width, height = picture.window
    return (
        f'<image id="{picture.picture_id}" x="{x}" y="{y}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{picture.uri}"/>'
    )


def _figure(view: PictureView, example: Example) -> str:
    window = view.picture.window
    caption = _caption(view, example.record)
    frame = rectangle(view.frame, "frame") if view.frame is not None else ""
    max_width = MAX_FIGURE_HEIGHT * window.width / window.height
    return (
        f'<figure><svg viewBox="{window.x} {window.y} {window.width} {window.height}" '
        f'style="max-width:{max_width:.0f}px" role="img" aria-label="{escape(caption)}">'
        f'<use href="#{view.picture.picture_id}"/>{_drawing(example.focus)}{frame}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _caption(view: PictureView, record: Record) -> str:
    """Return e.g. "Later, 2020-08-31 · detail, 480 px wide"."""
    tile, window = record.tile, view.picture.window
    parts = []
    if len(record.images) > 1:
        is_later = view.key.startswith("later")
        date = tile.later_date if is_later else tile.date
        parts.append(f"{'Later' if is_later else 'Earlier'}{f', {date}' if date else ''}")
    elif tile.date is not None:
        parts.append(tile.date)
    is_whole = window == Window(0, 0, tile.window.width, tile.window.height)
    parts.append("whole tile" if is_whole else f"detail, {window.width:,} px wide")
    text = " · ".join(parts)
    return text[0].upper() + text[1:]


def _drawing(focus: Focus) -> str:
    """Return the geometry of the evidence, the circle and the box, each with a dark halo that shows on any ground."""
    shapes = []
    if focus.geometry is not None:
        shapes.append(f'<path class="halo" d="{(d := path_data(focus.geometry))}"/><path class="trace" d="{d}"/>')
    if focus.region is not None:
        x, y, radius = (number(value) for value in focus.region)
        circle = f'cx="{x}" cy="{y}" r="{radius}"'
        shapes.append(f'<circle class="halo" {circle}/><circle class="region" {circle}/>')
    if focus.box is not None:
        box = focus.box
        window = (box.x_min, box.y_min, box.x_max - box.x_min, box.y_max - box.y_min)
        shapes.append(rectangle(window, "halo") + rectangle(window, "box"))
    return "".join(shapes)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _file_size(num_bytes: int) -> str:
    """Return a size in the decimal unit that a file browser would choose."""
    size = float(num_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
