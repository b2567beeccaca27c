"""`report.html`: one page that holds a whole run, without scripts and without anything loaded from elsewhere.

Replies are what a model wrote and may hold markup: all that is not written here goes through `html.escape`, and the
page's content security policy forbids scripts and loads besides.

Without Jinja2, for the reason in `rsvqa_builder/documents/preview_page.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from rsvqa.benchmark.reports.accuracy_charts import accuracy_section, standing_section
from rsvqa.benchmark.reports.letter_tables import letters_section
from rsvqa.benchmark.reports.report_samples import choose_sections, section_html, thumbnails_of
from rsvqa.benchmark.reports.report_tables import (
    BoxRow,
    box_figures,
    box_rows,
    notices,
    percent,
    range_or_reason,
    raw_spread,
)
from rsvqa.benchmark.scores.measures import Measured
from rsvqa.benchmark.scores.results import Costs, Figure, Results, TaskResult
from rsvqa.rsvqa_builder.files import write_atomically

PAGE_FILE = "report.html"
_HEADING = re.compile(r'<section id="([a-z-]+)"><header><h2>([^<]*)</h2>')
_HEADLINES = ("macro_13", "macro", "micro")


def write_page(run: Path, results: Results, questions: Sequence[Measured]) -> None:
    """Write `report.html` into the run's folder; `questions` are those that the results were taken from."""
    write_atomically(run / PAGE_FILE, render_page(run, results, questions).encode())


def render_page(run: Path, results: Results, questions: Sequence[Measured]) -> str:
    """Return the whole page; thumbnails are read from the run's folder."""
    room = resources.files("rsvqa.benchmark.reports")
    template = Template(room.joinpath("report_page.html").read_text("utf-8"))
    thumbnails = thumbnails_of(run)
    sections = "".join(
        [
            accuracy_section(results),
            standing_section(results),
            _box_section(box_rows(results)),
            _text_section(results.tasks),
            letters_section(results.tasks, questions),
            *(section_html(section, thumbnails) for section in choose_sections(questions)),
            _settings_section(results),
        ]
    )
    return template.substitute(
        style=room.joinpath("report.css").read_text("utf-8"),
        title=escape(results.run.model_name),
        data=_data_line(results),
        figures=_headline(results),
        notices="".join(f"<li>{escape(notice)}</li>" for notice in notices(results)),
        links="".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _HEADING.findall(sections)),
        sections=sections,
        pictures="".join(thumbnails.definitions.values()),
    )


# --- the head ---------------------------------------------------------------------------------------------------------


def _data_line(results: Results) -> str:
    data = results.run.data
    split = f", split {data.split}" if data.split else ""
    return escape(f"{data.name}{split} · {results.num_questions:,} questions on {results.num_images:,} images")


def _headline(results: Results) -> str:
    """Return the row of numbers under the title."""
    figures = [*_main_figures(results), *_costs(results.costs)]
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in figures
    )


def _main_figures(results: Results) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and interval of the first average with a value, then of each task of boxes."""
    main = next((one for key in _HEADLINES if (one := results.average(key)) and one.strict.value is not None), None)
    if main is not None:
        name = main.name.split(":")[0]
        yield f"{name}, strict", percent(main.strict.value), _short_range(main.strict)
        yield f"{name}, official", percent(main.official.value), _short_range(main.official)
        yield "chance", percent(main.chance), ""
        yield "one constant answer", percent(main.constant), ""
        yield "no answer found", percent(main.strict_no_answer), ""
    for task in results.tasks:
        if task.box is not None:
            yield f"{task.short}, Acc@0.5", percent(task.box.acc_50.value), _short_range(task.box.acc_50)


def _costs(costs: Costs) -> Iterator[tuple[str, str, str]]:
    if costs.visual_tokens_per_image is not None:
        yield "visual tokens per image", f"{costs.visual_tokens_per_image:,.0f}", ""
    if costs.calls_per_question is not None:
        yield "calls per question", f"{costs.calls_per_question:.3g}", ""
        if costs.prompt_tokens_per_question is not None:
            yield "prompt tokens per question", f"{costs.prompt_tokens_per_question:,.0f}", "of all calls"
    if costs.seconds_per_question is not None:
        yield "seconds per question", f"{costs.seconds_per_question:.3g}", ""
    if costs.images_per_second is not None:
        yield "images per second", f"{costs.images_per_second:.3g}", ""


def _short_range(figure: Figure) -> str:
    return "no interval" if figure.interval.method == "none" else range_or_reason(figure)


# --- boxes and texts --------------------------------------------------------------------------------------------------


def _box_section(rows: Sequence[BoxRow]) -> str:
    lines = []
    for name, short, box in rows:
        cells = "".join(
            f'<td class="num">{percent(one.figure.value)}<small>{escape(range_or_reason(one.figure))}</small></td>'
            for one in box_figures(box)
        )
        lines.append(
            f"<tr><td>{escape(name)} <abbr>{escape(short)}</abbr></td>{cells}"
            f'<td class="num">{box.num_invalid:,}</td><td class="num">{box.acc_50.num_questions:,}</td></tr>'
        )
    if not lines:
        return ""
    names = [*(one.name for one in box_figures(rows[0].box)), "invalid", "questions"]
    head = "".join(f'<th class="num" scope="col">{escape(name)}</th>' for name in names)
    return (
        '<section id="grounding"><header><h2>Grounding</h2><p class="facts">per cent; invalid boxes are not right, and '
        f'counted apart</p></header><div class="scroll"><table><thead><tr><th scope="col"></th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></section>"
    )


def _text_section(tasks: Iterable[TaskResult]) -> str:
    parts = [
        f"<h3>{escape(task.title)} <abbr>{escape(task.short)} · {escape(language)}</abbr></h3><dl class='metrics'>"
        + "".join(
            f"<div><dt>{escape(name)}</dt><dd>{'–' if figure.value is None else f'{figure.value:.4f}'}"
            f"<small>{escape(raw_spread(figure))}</small></dd></div>"
            for name, figure in text.metrics.items()
        )
        + f'</dl><p class="facts">{escape(text.implementation)}; {text.num_empty:,} empty replies</p>'
        for task in tasks
        for language, text in task.texts.items()
    ]
    if not parts:
        return ""
    return f'<section id="captions"><header><h2>Captions</h2></header>{"".join(parts)}</section>'


# --- how the run was made ---------------------------------------------------------------------------------------------


def _settings_section(results: Results) -> str:
    """Return settings, model, versions and hashes, as `results.json` holds them."""
    run, costs = results.run, results.costs
    groups: list[tuple[str, Mapping[str, object]]] = [
        ("Settings", run.settings.model_dump(mode="json", exclude_none=True)),
        ("Model", run.model),
        ("Prompts", run.prompts),
        ("Cost", {name: value for name, value in costs.model_dump().items() if value is not None}),
        ("Versions", run.versions),
        (
            "Hashes",
            {"run": run.fingerprint, "data": run.data.fingerprint, "samples.jsonl": results.samples_sha256},
        ),
    ]
    blocks = "".join(
        f"<h3>{name}</h3><dl class='settings'>"
        + "".join(f"<dt>{escape(str(key))}</dt><dd>{escape(_said(value))}</dd>" for key, value in entries.items())
        + "</dl>"
        for name, entries in groups
        if entries
    )
    return f'<section id="settings"><header><h2>How it was made</h2></header>{blocks}</section>'


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_said, value))
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
