"""Set `audit.html`: defects first, then how well each task is guessed without its images, and by what.

Self-contained like `preview.html`, in its style and under its rules: texts from outside are escaped, nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from rsvqa.rsvqa_builder.auditing.audit import audit_text
from rsvqa.rsvqa_builder.auditing.printing import by_ease, cells, closing_lines, task_name
from rsvqa.rsvqa_builder.documents.preview_page import fill_page
from rsvqa.rsvqa_builder.files import write_atomically

HOT_POINTS = 3
"""Sure points above chance from which a bar is red."""
_MOST_GUESSERS = 6
_RIGHT = ' class="right"'


def save_audit(report: Mapping[str, Any], out: Path) -> None:
    """Write `audit.json` and `audit.html` into a folder, replacing earlier ones."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "audit.json", audit_text(report).encode())
    write_atomically(out / "audit.html", render_audit(report).encode())


def render_audit(report: Mapping[str, Any]) -> str:
    """Return the page; the same report gives the same text."""
    shortcuts = by_ease(report["shortcuts"])
    return fill_page(
        "audit_page.html",
        title=escape(report["data"]["name"]),
        figures=_figures(report),
        losses=_losses(report),
        table=_table(shortcuts),
        fine=_fine(report),
        sections="".join(_section(number, found) for number, found in enumerate(shortcuts) if found["guessers"]),
    )


def _figures(report: Mapping[str, Any]) -> str:
    data, shortcuts = report["data"], report["shortcuts"]
    judged = [found for found in shortcuts if found["sure_points"] is not None]
    hot = sum(found["sure_points"] > HOT_POINTS for found in judged)
    wrong = sum(defect["count"] for defect in report["defects"] if defect["is_wrong"])
    figures = [
        ("Tasks that can be guessed", f"{hot} of {len(judged)}"),
        ("Defects", f"{wrong:,}"),
        ("Questions", f"{data['questions']:,}"),
    ]
    if data["images"]:
        figures.append(("Images looked at", f"{data['images']:,}"))
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in figures)


def _losses(report: Mapping[str, Any]) -> str:
    items = "".join(
        f"<li>{defect['count']:,} {escape(defect['of'])}: {escape(defect['kind'])}"
        f" <span>e.g. {escape('; '.join(defect['examples']))}</span></li>"
        for defect in report["defects"]
    )
    title = "Defects" if any(defect["is_wrong"] for defect in report["defects"]) else "Remarks"
    return f'<div class="losses"><h2>{title}</h2><ul>{items}</ul></div>' if items else ""


def _table(shortcuts: list[Mapping[str, Any]]) -> str:
    if not shortcuts:
        return ""
    heads = ("chance", "guess", "95 %", "points")
    head = "".join(f'<th class="num">{name}</th>' for name in heads)
    rows = "".join(_row(number, found) for number, found in enumerate(shortcuts))
    return (
        f'<table><thead><tr><th>task</th><th class="num">asked</th>{head}<th class="scale">without the image</th>'
        f'<th class="wide">given away by</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _row(number: int, found: Mapping[str, Any]) -> str:
    name, *numbers, by = cells(found)
    linked = f'<a href="#t{number}">{escape(name)}</a>' if found["guessers"] else escape(name)
    is_hot = (found["sure_points"] or 0) > HOT_POINTS
    columns = "".join(
        f'<td class="num{" over" if is_hot and place == len(numbers) - 1 else ""}">{escape(text)}</td>'
        for place, text in enumerate(numbers)
    )
    title = f' title="{escape(found["task"])}"'
    return (
        f'<tr{title}><td>{linked}</td>{columns}<td class="scale">{_scale(found, is_hot=is_hot)}</td>'
        f'<td class="wide away">{escape(by)}</td></tr>'
    )


def _scale(found: Mapping[str, Any], *, is_hot: bool) -> str:
    """Return the guess as a bar from chance, with its interval and a mark at chance."""
    best, chance = found["best"], found["chance"]
    if best is None:
        return ""
    start = min(chance or 0, best["value"])
    width = abs(best["value"] - (chance or 0))
    low, span = best["low"], best["high"] - best["low"]
    mark = "" if chance is None else f'<u style="left:{_css(chance)}"></u>'
    kind = ' class="hot"' if is_hot else ""
    return (
        f'<div><i{kind} style="left:{_css(start)};width:{_css(width)}"></i>'
        f'<b style="left:{_css(low)};width:{_css(span)}"></b>{mark}</div>'
    )


def _css(share: float) -> str:
    return f"{100 * share:.1f}%"


def _fine(report: Mapping[str, Any]) -> str:
    method = report["method"]
    lines = [
        "The bar runs from chance to the best guess of a program that never sees an image. The line is its 95 % "
        "interval. What is guessed was neither learnt from nor used to choose the guesser.",
        *closing_lines(report, None),
        f"Seed {method['seed']}; at most {method['questions_per_task']:,} questions per task are guessed.",
    ]
    return f'<div class="fine">{"".join(f"<p>{escape(line)}</p>" for line in lines)}</div>'


def _section(number: int, found: Mapping[str, Any]) -> str:
    facts = f"{found['guessed']:,} of {found['questions']:,} questions guessed"
    if found["held_out"]:
        facts += f", {found['groups']:,} {found['held_out']}s held out in turn"
    left = f"<h3>Share that each guesser alone gets right</h3>{_guessers(found)}"
    right = "".join(_parts(found))
    return (
        f'<section id="t{number}"><header><h2>{escape(found["task"])} <abbr>{escape(task_name(found))}</abbr></h2>'
        f'<p class="facts">{facts}</p></header><article><div>{left}</div><div class="worst">{right}</div></article>'
        "</section>"
    )


def _guessers(found: Mapping[str, Any]) -> str:
    listed = list(found["guessers"].items())[:_MOST_GUESSERS]
    rows = "".join(f'<tr><td>{escape(name)}</td><td class="num">{100 * share:.0f}</td></tr>' for name, share in listed)
    return f'<table class="tries"><tbody>{rows}</tbody></table>'


def _parts(found: Mapping[str, Any]) -> Iterator[str]:
    if found["give_aways"]:
        items = "".join(
            f"<li>{_asked(one)}“{escape(one['option'])}”: right {one['right']:,} of {one['offered']:,} times, "
            f"{one['expected']:.0f} would be even</li>"
            for one in found["give_aways"]
        )
        yield f'<h3>Options that give themselves away</h3><ul class="aways">{items}</ul>'
    if found["worst"]:
        yield "<h3>Guessed with the most confidence</h3>"
    for one in found["worst"]:
        options = "".join(
            f"<li{_RIGHT if option in one['right'] else ''}><span>{escape(option)}</span></li>"
            for option in one["options"]
        )
        yield f'<p class="question">{escape(one["text"])}</p><ul class="options">{options}</ul>'


def _asked(give_away: Mapping[str, Any]) -> str:
    """Return the wording that a give-away goes with."""
    return f"<i>{escape(give_away['wording'])}</i> " if give_away["wording"] else ""
