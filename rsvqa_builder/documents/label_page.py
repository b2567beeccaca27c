"""Set the page of `rsvqa labels`: every scene with its labels drawn on it, so that a person sees whether they fit.

Self-contained like `preview.html`, in its style and under its rules: texts from outside are escaped, nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rsvqa.rsvqa_builder.documents.drawing import rectangle
from rsvqa.rsvqa_builder.documents.label_views import LabelView
from rsvqa.rsvqa_builder.documents.losses import input_losses
from rsvqa.rsvqa_builder.documents.preview_page import MAX_FIGURE_HEIGHT, fill_page
from rsvqa.rsvqa_builder.files import write_atomically
from rsvqa.rsvqa_builder.losses import loss_lines
from rsvqa.rsvqa_builder.scenes.tiling import Window

COLOURS = (
    *("#ffd21f", "#ff4d42", "#38d9ff", "#5ce65c", "#ff7ad1", "#b59bff", "#ff9f1a", "#19e0b8", "#f5f5f5", "#7fb0ff"),
    *("#d2e603", "#ff9d94"),
)
"""Colours of classes, told apart on most ground; the next classes have them dashed, those after them again."""


def scene_line(facts: Mapping[str, Any]) -> str:
    """Return what a header says of a scene, such as "512 × 512 px, EPSG:32631, 0.3 m per pixel, 2020-05-01"."""
    parts = [f"{facts['width']:,} × {facts['height']:,} px"]
    crs = facts["crs"]
    parts.append("no CRS" if crs is None else crs if len(crs) < 30 else "a CRS without a code")
    gsd = facts["gsd_m"]
    parts.append("no size of a pixel in metres" if gsd is None else f"{sum(gsd) / 2:.3g} m per pixel")
    parts.append("no date" if facts["acquired"] is None else facts["acquired"][:10])
    if later := facts["later"]:
        date = "" if later["date"] is None else f" of {later['date']}"
        problem = "" if later["problem"] is None else f", but {later['problem']}"
        parts.append(f"later date: {later['scene']}{date}{problem}")
    return ", ".join(parts)


def file_line(file: Mapping[str, Any]) -> str:
    """Return what became of a label file, such as "108 of 206 labels used; 98 x outside the scene"."""
    if file["error"]:
        return f"not used: {file['error']}"
    if file["skipped"]:
        return f"not taken for labels: {file['skipped']}"
    parts = [f"{file['num_kept']:,} of {file['num_read']:,} labels used"]
    for key, word in (("rejected", ""), ("ignored", "ignored: "), ("repaired", "repaired: ")):
        parts += [f"{count:,} x {word}{why}" for why, count in file[key].items()]
    if unknown := sum(file["unknown_classes"].values()):
        parts.append(f"{unknown:,} x unknown class")
    return "; ".join([*parts, *file["notes"]])


def unknown_line(name: str, found: Mapping[str, Any]) -> str:
    """Return an unknown class with the class that it may be, such as "Hous (12 labels; house?)"."""
    guess = "" if found["nearest"] is None else f"; {found['nearest']}?"
    return f"{name} ({_counted(found['labels'])}{guess})"


def _counted(num_labels: int) -> str:
    return f"{num_labels:,} label{'' if num_labels == 1 else 's'}"


def write_label_page(
    path: Path,
    report: Mapping[str, Any],
    views: Mapping[str, Sequence[LabelView]],
    classes: Sequence[str],
    *,
    title: str,
) -> None:
    """Write the page; the same report and pictures give the same bytes.

    Args:
        path: the file to write; replaced when it is there.
        report: what `check_labels` found.
        views: pictures of scenes, by scene; the page shows these scenes.
        classes: in the order of the colours.
        title: of the page.
    """
    scenes = report["scenes"]
    used = {name for facts in scenes.values() for name in facts["labels"]["by_class"]}
    number_of = {name: number % (2 * len(COLOURS)) for number, name in enumerate(n for n in classes if n in used)}
    sections = [_section(scene_id, scenes[scene_id], pictures, number_of) for scene_id, pictures in views.items()]
    more = len(scenes) - len(views)
    page = fill_page(
        "label_page.html",
        title=escape(title),
        colours="".join(_colour_rules()),
        figures=_figures(report),
        losses=_losses(report),
        sections="".join(sections),
        more=f'<p class="splits">{more:,} more scenes are not drawn.</p>' if more else "",
    )
    write_atomically(path, page.encode())


def _colour_rules() -> Iterator[str]:
    for number, colour in enumerate(COLOURS):
        dashed = number + len(COLOURS)
        yield f".k{number}, .k{dashed} {{ --class: {colour}; }}\n"
        yield f"svg .k{dashed} {{ stroke-dasharray: 5 3; }} .chip.k{dashed} {{ border: 3px dashed #0009; }}\n"


def _figures(report: Mapping[str, Any]) -> str:
    scenes = report["scenes"].values()
    num_labels = sum(sum(facts["labels"]["by_class"].values()) for facts in scenes)
    used = {name for facts in scenes for name in facts["labels"]["by_class"]}
    complete = {name for facts in scenes for name, found in facts["complete_classes"].items() if found["is_complete"]}
    figures = [
        ("Scenes", f"{len(scenes):,}"),
        ("Labels used", f"{num_labels:,}"),
        ("Classes", f"{len(used):,}"),
        ("Complete classes", f"{len(complete):,}"),
        ("Class table", report["classes"]),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in figures)


def _losses(report: Mapping[str, Any]) -> str:
    """Return what went wrong, first on the page."""
    items = []
    for losses in input_losses(report):
        lines = "".join(f"<li>{escape(line)}</li>" for line in loss_lines(losses.groups))
        items.append(f"<li>{escape(losses.title)}{f'<ul>{lines}</ul>' if lines else ''}</li>")
    items += [f"<li>{escape(entry['path'])}: {escape(entry['reason'])}</li>" for entry in report["remarks"]]
    if not items:
        return '<p class="fine">Nothing was lost.</p>'
    return f'<section class="losses"><h2>What went wrong</h2><ul>{"".join(items)}</ul></section>'


def _section(scene_id: str, facts: Mapping[str, Any], views: Sequence[LabelView], number_of: Mapping[str, int]) -> str:
    whole, *details = views
    frame = details[0].window if details else None
    figures = "".join(
        [_figure(whole, number_of, "whole scene", frame)]
        + [_figure(view, number_of, f"detail, {view.window.width:,} px wide", None) for view in details]
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in facts["notes"])
    return (
        f"<section><header><h2>{escape(scene_id)}</h2>"
        f'<p class="facts">{escape(scene_line(facts))}</p></header><article><div class="views stacked">{figures}</div>'
        f'<div class="qa">{_classes(facts, number_of)}{_files(facts)}{f"<ul>{notes}</ul>" * bool(notes)}</div>'
        "</article></section>"
    )


def _figure(view: LabelView, number_of: Mapping[str, int], what: str, frame: Window | None) -> str:
    x, y, width, height = view.window
    drawn = "".join(_drawn(view.paths, "outline", number_of)) + "".join(_drawn(view.points, "dot", number_of))
    outlined = "" if frame is None else rectangle(frame, "frame")
    is_part = view.num_drawn < view.num_labels
    count = f"{view.num_drawn:,} of {_counted(view.num_labels)} drawn" if is_part else _counted(view.num_labels)
    caption = escape(f"{what[0].upper()}{what[1:]} · {count}")
    max_width = 1.5 * MAX_FIGURE_HEIGHT * width / height
    return (
        f'<figure><svg viewBox="{x} {y} {width} {height}" style="max-width:{max_width:.0f}px" role="img" '
        f'aria-label="{caption}"><image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" '
        f'href="{view.uri}"/><g class="labels">{drawn}</g>{outlined}</svg><figcaption>{caption}</figcaption></figure>'
    )


def _drawn(paths: Mapping[str, str], kind: str, number_of: Mapping[str, int]) -> Iterator[str]:
    for name, data in paths.items():
        css_class = f"{kind} k{number_of[name]}"
        yield f'<path class="{css_class}" d="{data}"><title>{escape(name)}</title></path>'


def _classes(facts: Mapping[str, Any], number_of: Mapping[str, int]) -> str:
    """Return the legend: each class with its colour, its labels, and whether it is complete and why."""
    rows = []
    for name, count in facts["labels"]["by_class"].items():
        found = facts["complete_classes"][name]
        word = "complete" if found["is_complete"] else "not complete"
        rows.append(
            f'<tr><td><i class="chip k{number_of[name]}"></i></td><td>{escape(name)}</td><td class="num">{count:,}</td>'
            f'<td class="{"yes" if found["is_complete"] else "no"}">{word}: {escape(found["why"])}</td></tr>'
        )
    known = f"<table><tbody>{''.join(rows)}</tbody></table>" if rows else "<p><b>No labels.</b></p>"
    parts = [known]
    if unknown := facts["unknown_classes"]:
        listed = ", ".join(unknown_line(name, found) for name, found in unknown.items())
        parts.append(f'<p class="no">Unknown classes, not used: {escape(listed)}</p>')
    if absent := facts["absent_classes"]:
        parts.append(f'<p class="facts">Complete without a label, so called absent: {escape(", ".join(absent))}</p>')
    return "".join(parts)


def _files(facts: Mapping[str, Any]) -> str:
    items = "".join(
        f"<dt>{escape(Path(file['path']).name)}</dt><dd>{escape(file_line(file))}</dd>"
        for file in facts["labels"]["files"]
    )
    return f'<dl class="files">{items}</dl>' if items else '<p class="no">No label file was found for this scene.</p>'
