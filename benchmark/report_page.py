"""`report.html`: one page that holds a whole run, without scripts and without anything loaded from elsewhere.

Replies are what a model wrote and may hold markup: all that is not written here goes through `html.escape`, and the
page's content security policy forbids scripts and loads besides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template

from benchmark.letter_tables import letters_section
from benchmark.measures import Measured
from benchmark.published import PublishedScore, compared_tasks, read_published, why_not_comparable
from benchmark.report_samples import choose_sections, section_html, thumbnails_of
from benchmark.report_tables import BOX_FIGURES, notices, percent, raw_spread, spread
from benchmark.results import Accuracies, Average, Figure, Results, TaskResult
from rsvqa_builder.journal import write_atomically

PAGE_FILE = "report.html"
_HEADLINES = ("macro_13", "macro", "micro")
_MAIN_AVERAGES = ("micro", "macro", "macro_13", "macro_vlmevalkit")


def write_page(run: Path, results: Results, questions: Sequence[Measured]) -> None:
    """Write `report.html` into the run's folder; `questions` are those that the results were taken from."""
    write_atomically(run / PAGE_FILE, render_page(run, results, questions).encode())


def render_page(run: Path, results: Results, questions: Sequence[Measured]) -> str:
    """Return the whole page; thumbnails are read from the run's folder."""
    template = Template(resources.files("benchmark").joinpath("report_page.html").read_text("utf-8"))
    thumbnails = thumbnails_of(run)
    samples = "".join(section_html(section, thumbnails) for section in choose_sections(questions))
    return template.substitute(
        title=escape(results.run.model_name),
        data=_data_line(results),
        figures=_headline(results),
        notices="".join(f"<li>{escape(notice)}</li>" for notice in notices(results)),
        accuracies=_accuracy_section(results),
        standing=_standing_section(results),
        boxes=_box_section(results.tasks),
        texts=_text_section(results.tasks),
        letters=letters_section(results.tasks, questions),
        samples=samples,
        settings=_settings_section(results),
        pictures="".join(thumbnails.definitions.values()),
    )


# --- the head ---------------------------------------------------------------------------------------------------------


def _data_line(results: Results) -> str:
    data = results.run.data
    split = f", split {data.split}" if data.split else ""
    return escape(f"{data.name}{split} · {results.num_questions:,} questions on {results.num_images:,} images")


def _headline(results: Results) -> str:
    """Return the row of numbers under the title."""
    costs = results.costs
    main = next((one for key in _HEADLINES if (one := results.average(key)) and one.strict.value is not None), None)
    figures = []
    if main is not None:
        name = main.name.split(":")[0]
        figures.append((f"{name}, strict", percent(main.strict.value), _short_spread(main.strict)))
        figures.append((f"{name}, official", percent(main.official.value), _short_spread(main.official)))
        figures.append(("chance", percent(main.chance), ""))
        figures.append(("one constant answer", percent(main.constant), ""))
    if costs.visual_tokens_per_image is not None:
        figures.append(("visual tokens an image", f"{costs.visual_tokens_per_image:,.0f}", ""))
    if costs.seconds_per_question is not None:
        figures.append(("seconds a question", f"{costs.seconds_per_question:.3g}", ""))
    if costs.images_per_second is not None:
        figures.append(("images a second", f"{costs.images_per_second:.3g}", ""))
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in figures
    )


def _short_spread(figure: Figure) -> str:
    return "no interval" if figure.interval.method == "none" else spread(figure)


# --- accuracies -------------------------------------------------------------------------------------------------------


def _accuracy_section(results: Results) -> str:
    """Return the table of averages and sub-tasks with their bars; empty for a run without options."""
    choices = [task for task in results.tasks if task.choice is not None]
    if not choices:
        return ""
    beside = [score for score in read_published().scores if score.tasks] if compared_tasks(results) else []
    main = [
        average for average in results.averages if average.key in _MAIN_AVERAGES and not _is_repeated(average, results)
    ]
    levels = [average for average in results.averages if average.key not in _MAIN_AVERAGES]
    return (
        '<section id="accuracy"><header><h2>Accuracy</h2><p class="facts">per cent right, strict parser; '
        "95 % intervals by drawing images</p></header>"
        f"{_legend(beside)}<table>{_ACCURACY_HEAD}<tbody>{_group('Averages')}"
        f"{''.join(_average_row(average) for average in main)}{''.join(_task_rows(results, choices, beside))}</tbody>"
        f"</table><details><summary>Averages of levels</summary><table>{_ACCURACY_HEAD}<tbody>"
        f"{''.join(_average_row(average) for average in levels)}</tbody></table></details></section>"
    )


_COLUMNS = (
    ("num", "strict"),
    ("range", "95 %"),
    ("num", "official"),
    ("num wide", "chance"),
    ("num wide", "constant"),
    ("num wide", "no answer"),
    ("num wide", "questions"),
)
_ACCURACY_HEAD = (
    '<thead><tr><th scope="col"></th><th class="chart" scope="col"><span class="axis"><i>0</i><i>50</i><i>100</i>'
    "</span></th>" + "".join(f'<th class="{kind}" scope="col">{name}</th>' for kind, name in _COLUMNS) + "</tr></thead>"
)


def _legend(beside: Sequence[PublishedScore]) -> str:
    keys = [("bar", "strict"), ("whisker", "95 % interval"), ("official", "official"), ("chance", "chance")]
    keys += [("constant", "one constant answer")]
    keys += [(f"peer p{number}", f"{score.model}, published") for number, score in enumerate(beside)]
    return (
        f'<p class="legend">{"".join(f"<span><i class={kind!r}></i>{escape(name)}</span>" for kind, name in keys)}</p>'
    )


def _group(name: str) -> str:
    return f'<tr class="group"><th colspan="9" scope="rowgroup">{escape(name)}</th></tr>'


def _average_row(average: Average) -> str:
    name, _, words = average.name.partition(": ")
    title = f"<td>{escape(name)}<small>{escape(words)}</small></td>"
    if average.missing:
        return f'<tr class="none">{title}<td class="chart" colspan="8">{escape(average.missing)}</td></tr>'
    questions = f"{average.strict.num_questions:,}"
    return f"<tr>{title}{_accuracy_cells(average, {}, no_answer='', questions=questions)}</tr>"


def _is_repeated(average: Average, results: Results) -> bool:
    """Tell whether the plain macro is macro-13: the run has these sub-tasks and no others."""
    thirteen = results.average("macro_13")
    return average.key == "macro" and thirteen is not None and not thirteen.missing and len(average.parts) == 13


def _task_rows(results: Results, tasks: Sequence[TaskResult], beside: Sequence[PublishedScore]) -> Iterator[str]:
    compared = compared_tasks(results)
    ordered = sorted(tasks, key=lambda task: task.level_1)
    for level_1, group in groupby(ordered, key=lambda task: task.level_1):
        yield _group(level_1)
        for task in group:
            peers = {
                number: score.tasks[task.short] / 100 for number, score in enumerate(beside) if task.short in compared
            }
            yield _task_row(task, peers)


def _task_row(task: TaskResult, peers: Mapping[int, float]) -> str:
    choice = task.choice
    if choice is None:
        return ""
    title = f"<td>{escape(task.level_3)} <abbr>{task.short}</abbr></td>"
    questions = f"{choice.strict.num_questions:,}<small>{choice.strict.num_images:,} images</small>"
    no_answer = f"{choice.strict_no_answer:,}" if choice.strict.num_questions else ""
    cells = _accuracy_cells(choice, peers, no_answer=no_answer, questions=questions)
    return f"<tr>{title}{cells}</tr>"


def _accuracy_cells(accuracies: Accuracies, peers: Mapping[int, float], *, no_answer: str, questions: str) -> str:
    strict, official = accuracies.strict, accuracies.official
    return (
        f'<td class="chart">{_track(accuracies, peers)}</td><td class="num main">{percent(strict.value)}</td>'
        f'<td class="range">{escape(_range(strict))}</td><td class="num">{percent(official.value)}</td>'
        f'<td class="num wide">{percent(accuracies.chance)}</td>'
        f'<td class="num wide">{percent(accuracies.constant)}</td>'
        f'<td class="num wide">{no_answer}</td><td class="num wide">{questions}</td>'
    )


def _range(figure: Figure) -> str:
    return spread(figure) if figure.interval.method != "none" else figure.interval.reason


def _track(accuracies: Accuracies, peers: Mapping[int, float]) -> str:
    """Return the bar of one row: strict with its interval, and marks for what it is compared with."""
    marks = []
    if (value := accuracies.strict.value) is not None:
        marks.append(f'<i class="bar" style="width:{100 * value:.2f}%"></i>')
    low, high = accuracies.strict.interval.low, accuracies.strict.interval.high
    if low is not None and high is not None:
        marks.append(f'<i class="whisker" style="left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"></i>')
    points = [
        ("chance", accuracies.chance, "chance"),
        ("constant", accuracies.constant, "one constant answer"),
        ("official", accuracies.official.value, "official"),
        *((f"peer p{number}", share, "published") for number, share in peers.items()),
    ]
    marks += [
        f'<i class="{kind}" style="left:{100 * share:.2f}%" title="{name} {percent(share)}"></i>'
        for kind, share, name in points
        if share is not None
    ]
    return f'<span class="track">{"".join(marks)}</span>'


def _standing_section(results: Results) -> str:
    """Return this run among the published macro averages, or why it is not among them."""
    average = results.average("macro_13")
    if average is None:
        return ""
    why = why_not_comparable(results)
    head = '<section id="published"><header><h2>Beside published scores</h2><p class="facts">'
    if why or average.official.value is None:
        return f"{head}This run's macro is not among them: {escape(why or average.missing)}.</p></header></section>"
    rows = [(score.macro, f"{escape(score.model)}<small>{escape(_about(score))}</small>", "") for score in _peers()]
    name = escape(results.run.model_name)
    rows += [
        (100 * average.official.value, f"{name}<small>this run, official, {_range(average.official)}</small>", "own"),
        (100 * (average.strict.value or 0), f"{name}<small>this run, strict, {_range(average.strict)}</small>", "own"),
    ]
    listed = "".join(
        f'<tr class="{kind}"><td>{title}</td><td class="chart"><span class="track"><i class="bar" '
        f'style="width:{value:.2f}%"></i></span></td><td class="num main">{value:.1f}</td></tr>'
        for value, title, kind in sorted(rows, key=lambda row: (-row[0], row[1]))
    )
    return (
        f"{head}macro-13 on {escape(read_published().data.name)}, per cent; most neighbours are within each other's "
        f"interval</p></header><table>{listed}</table></section>"
    )


def _peers() -> tuple[PublishedScore, ...]:
    return read_published().scores


def _about(score: PublishedScore) -> str:
    disputed = f" (up to {score.macro_high:.1f})" if score.macro_high is not None else ""
    return f"{score.variant}; {score.source}{disputed}"


# --- boxes and texts --------------------------------------------------------------------------------------------------


def _box_section(tasks: Iterable[TaskResult]) -> str:
    rows = []
    for task in tasks:
        if task.box is not None:
            figures: list[Figure] = [getattr(task.box, field) for field in BOX_FIGURES]
            cells = "".join(
                f'<td class="num">{percent(figure.value)}<small>{escape(_range(figure))}</small></td>'
                for figure in figures
            )
            rows.append(
                f"<tr><td>{escape(task.level_3)} <abbr>{task.short}</abbr></td>{cells}"
                f'<td class="num">{task.box.num_invalid:,}</td>'
                f'<td class="num">{task.box.acc_50.num_questions:,}</td></tr>'
            )
    if not rows:
        return ""
    head = "".join(
        f'<th class="num" scope="col">{escape(name)}</th>' for name in (*BOX_FIGURES.values(), "invalid", "questions")
    )
    return (
        '<section id="grounding"><header><h2>Grounding</h2><p class="facts">per cent; invalid boxes are not right, and '
        f'counted apart</p></header><div class="scroll"><table><thead><tr><th scope="col"></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _text_section(tasks: Iterable[TaskResult]) -> str:
    parts = [
        f"<h3>{escape(task.level_3)} <abbr>{task.short} · {escape(language)}</abbr></h3><dl class='metrics'>"
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
