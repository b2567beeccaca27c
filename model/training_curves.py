"""`curves.svg`: how a run went, step by step: loss, accuracy on val as a whole and by task, learning rate.

One image that any browser shows, in light and in dark. Accuracies are drawn from 0 to 100 % in every panel, so that
panels can be compared; the dashed line is what the most frequent answer would reach.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, NamedTuple

from rsvqa.annotation.taxonomy import TASKS
from rsvqa.model.evaluation import TaskScore

Points = Sequence[tuple[float, float]]
"""(step, value), by step."""

CurveKind = Literal["train", "val", "majority"]


class Curve(NamedTuple):
    """A line of a panel."""

    kind: CurveKind
    points: Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One plot.

    Attributes:
        title: above it.
        curves: those without points are not drawn.
        is_share: values are shares, drawn from 0 to 100 %.
        is_wide: takes a row of its own; others stand three in a row.
        from_zero: the axis begins at 0 and not at the least value.
    """

    title: str
    curves: tuple[Curve, ...]
    is_share: bool = False
    is_wide: bool = False
    from_zero: bool = False


_WIDTH = 756
_WIDE_HEIGHT, _SMALL_HEIGHT = 210, 156
_COLUMNS = 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 30, 24
"""Margins of a panel around its plot, SVG units."""
_MOST_MARKED = 40
"""A curve of more points has no dots on them."""

_NAMES: Mapping[CurveKind, str] = {"train": "train", "val": "val", "majority": "most frequent answer"}
_COLOURS = (
    ".ground{color:#fff}text,.axis{color:#59626d}.title{color:#1b1f24}.grid{color:#e1e3e6}"
    ".train{color:#8a929b}.val{color:#0f6a70}.majority{color:#b3541e}"
)
_DARK_COLOURS = (
    ".ground{color:#121518}text,.axis{color:#9aa4ae}.title{color:#e7e9eb}.grid{color:#2c3238}"
    ".train{color:#7d868f}.val{color:#66c6c8}.majority{color:#f0a070}"
)
_STYLE = (
    f"{_COLOURS}@media (prefers-color-scheme:dark){{{_DARK_COLOURS}}}"
    ".ground,text,circle{fill:currentColor}.title{font-weight:600;font-size:12px}"
    ".end{text-anchor:end}.middle{text-anchor:middle}.grid,.axis,polyline{stroke:currentColor}"
    "polyline{fill:none;stroke-width:1.6;stroke-linejoin:round}.majority{stroke-dasharray:5 4;stroke-width:1.3}"
)


def pick_points(figures: Iterable[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """Return (step, value) where the figure was logged."""
    return [(entry["step"], entry[name]) for entry in figures if name in entry]


def run_panels(figures: Sequence[Mapping[str, float]], scores: Mapping[str, TaskScore]) -> list[Panel]:
    """Return the panels of a run: its losses, its mean accuracy, each task, the learning rate.

    Args:
        figures: as logged.
        scores: of the last evaluation, by task; its questions are those of every evaluation of the run.
    """
    panels = [
        Panel(title="Loss per token", curves=_curves(figures, train="loss", val="eval_loss"), is_wide=True),
        Panel(
            title="Accuracy on val, mean of the tasks",
            curves=_curves(figures, val="eval_accuracy", majority=_mean_majority(scores)),
            is_share=True,
            is_wide=True,
        ),
    ]
    for task, score in scores.items():
        short = TASKS[task].short
        if score.accuracy is None:
            panels.append(Panel(title=f"{short}, loss on val", curves=_curves(figures, val=f"eval_loss_{short}")))
            continue
        curves = _curves(figures, val=f"eval_accuracy_{short}", majority=score.majority)
        panels.append(Panel(title=f"{short}, accuracy on val", curves=curves, is_share=True))
    rate = _curves(figures, train="learning_rate")
    return [*panels, Panel(title="Learning rate of the LLM", curves=rate, from_zero=True)]


def _curves(
    figures: Sequence[Mapping[str, float]], *, train: str = "", val: str = "", majority: float | None = None
) -> tuple[Curve, ...]:
    """Return the curves of the figures so named, with a level line over the whole run; none without a figure."""
    named: tuple[tuple[CurveKind, str], ...] = (("train", train), ("val", val))
    found = [Curve(kind, points) for kind, name in named if (points := pick_points(figures, name))]
    if found and majority is not None:
        steps = [entry["step"] for entry in figures]
        found.insert(0, Curve("majority", [(min(steps), majority), (max(steps), majority)]))
    return tuple(found)


def _mean_majority(scores: Mapping[str, TaskScore]) -> float | None:
    known = [score.majority for score in scores.values() if score.majority is not None]
    return sum(known) / len(known) if known else None


# --- drawing ---


def draw_panels(panels: Sequence[Panel]) -> str:
    """Return the panels as an SVG image over the same steps; those without a curve are left out."""
    body, top, column = [], 0, 0
    drawn = [panel for panel in panels if panel.curves]
    steps = [step for panel in drawn for curve in panel.curves for step, _ in curve.points]
    for panel in drawn:
        if column and (panel.is_wide or column == _COLUMNS):
            top, column = top + _SMALL_HEIGHT, 0
        if panel.is_wide:
            body.append(_draw_panel(panel, steps, left=0, top=top, width=_WIDTH, height=_WIDE_HEIGHT))
            top += _WIDE_HEIGHT
        else:
            width = _WIDTH // _COLUMNS
            left = width * column
            body.append(_draw_panel(panel, steps, left=left, top=top, width=width, height=_SMALL_HEIGHT))
            column += 1
    height = max(top + _SMALL_HEIGHT * bool(column), _TOP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="system-ui,-apple-system,Segoe UI,Roboto,sans-serif" font-size="11"><title>Curves of a training '
        f'run</title><style>{_STYLE}</style><rect class="ground" width="{_WIDTH}" height="{height}"/>'
        f"{''.join(body)}</svg>\n"
    )


def ticks_within(low: float, high: float, most: int) -> list[float]:
    """Return at most `most` + 1 round values, 1, 2 or 5 times a power of ten apart, that enclose both bounds."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / most))
    for step in (factor * power for factor in (1, 2, 5, 10, 20)):
        # a bound that is a tick up to rounding is one
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= most:
            break
    last = max(last, first + 1)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _draw_panel(panel: Panel, steps: Sequence[float], *, left: int, top: int, width: int, height: int) -> str:
    values = [value for curve in panel.curves for _, value in curve.points]
    least = 0.0 if panel.from_zero else min(values)
    levels = [0, 0.25, 0.5, 0.75, 1] if panel.is_share else ticks_within(least, max(values), 4)
    first_step, last_step = min(steps), max(steps)
    plot_left, plot_right = left + _LEFT, left + width - _RIGHT
    plot_top, plot_bottom = top + _TOP, top + height - _BOTTOM

    def x_of(step: float) -> float:
        share = (step - first_step) / (last_step - first_step) if last_step > first_step else 0.5
        return plot_left + (plot_right - plot_left) * share

    def y_of(value: float) -> float:
        return plot_bottom - (plot_bottom - plot_top) * (value - levels[0]) / (levels[-1] - levels[0])

    parts = [f'<text class="title" x="{plot_left}" y="{top + 16}">{escape(panel.title)}</text>']
    if panel.is_wide:
        parts.append(_legend([curve.kind for curve in panel.curves], right=plot_right, y=top + 16))
    for level in levels:
        y, name = y_of(level), f"{100 * level:.0f} %" if panel.is_share else _number(level)
        parts.append(f'<path class="grid" d="M{plot_left},{y:.1f}H{plot_right}"/>')
        parts.append(f'<text class="end" x="{plot_left - 6}" y="{y + 3.5:.1f}">{name}</text>')
    for step in _step_ticks(first_step, last_step, most=8 if panel.is_wide else 4):
        parts.append(f'<path class="axis" d="M{x_of(step):.1f},{plot_bottom}v4"/>')
        parts.append(f'<text class="middle" x="{x_of(step):.1f}" y="{plot_bottom + 15}">{step:,.0f}</text>')
    parts.append(f'<path class="axis" d="M{plot_left},{plot_bottom}H{plot_right}"/>')
    for curve in panel.curves:
        parts += _draw_curve(curve, [(x_of(step), y_of(value)) for step, value in curve.points])
    return f"<g>{''.join(parts)}</g>"


def _step_ticks(first: float, last: float, *, most: int) -> list[float]:
    """Return round steps between the first and the last, or the only one."""
    inside = [step for step in ticks_within(first, last, most) if first <= step <= last and step == int(step)]
    return inside or [first]


def _draw_curve(curve: Curve, points: Sequence[tuple[float, float]]) -> Iterator[str]:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline class="{curve.kind}" points="{drawn}"/>'
    is_marked = len(points) == 1 or (curve.kind == "val" and len(points) <= _MOST_MARKED)
    if is_marked and curve.kind != "majority":
        yield from (f'<circle class="{curve.kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in points)


def _legend(kinds: Sequence[CurveKind], *, right: int, y: int) -> str:
    """Return names of the curves from the right margin leftwards."""
    parts = []
    for kind in kinds:
        parts.append(f'<text class="end" x="{right}" y="{y}">{_NAMES[kind]}</text>')
        right -= 6 * len(_NAMES[kind]) + 6
        parts.append(f'<polyline class="{kind}" points="{right - 18},{y - 4} {right},{y - 4}"/>')
        right -= 32
    return "".join(parts)


def _number(value: float) -> str:
    """Return a tick's value, such as 0.5, 1,000 or 2e-6."""
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:g}".partition("e")
        return f"{mantissa}e{int(exponent)}" if exponent else mantissa
    return f"{value:,.10g}"
