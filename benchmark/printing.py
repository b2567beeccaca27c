"""What `rsvqa compare` and `rsvqa leaderboard` print; a run's own figures are printed by `summary.py`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from annotation.taxonomy import TASKS
from benchmark.comparison import Comparison, Difference
from benchmark.intervals import Interval
from benchmark.leaderboard import Leaderboard, Standing
from benchmark.report_tables import percent


def print_comparison(comparison: Comparison, *, as_json: bool = False) -> None:
    """Print what `rsvqa compare` found to stdout."""
    if as_json:
        print(comparison.model_dump_json())
        return
    console = Console(highlight=False)
    title = f"{comparison.num_shared:,} questions; A: {escape(comparison.first)}, B: {escape(comparison.second)}"
    table = _table(title, "task", "measure", "A", "B", "B − A", "95 %", "p", "p, Holm", "A ahead", "B ahead")
    for difference in comparison.averages:
        table.add_row(*_difference_cells(difference.name.split(":")[0], difference))
    table.add_section()
    for difference in comparison.tasks:
        table.add_row(*_difference_cells(TASKS[difference.name].short, difference))
    console.print(table)
    _print_lines(console, comparison.notes)


def _difference_cells(name: str, difference: Difference) -> list[str]:
    test = difference.test
    return [
        name,
        difference.measure.value,
        percent(difference.first),
        percent(difference.second),
        f"{100 * (difference.difference.value or 0.0):+.1f}",
        _signed(difference.difference.interval),
        f"{test.p:.4f}",
        "" if test.p_holm is None else f"{test.p_holm:.4f}",
        f"{difference.num_first_only:,}",
        f"{difference.num_second_only:,}",
    ]


def _signed(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return interval.reason
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f}"


def print_leaderboard(board: Leaderboard, *, as_json: bool = False) -> None:
    """Print runs and published scores to stdout."""
    if as_json:
        print(board.model_dump_json())
        return
    console = Console(highlight=False)
    head = ("model", "macro-13", "95 %", "strict", "micro", "variant", "source")
    table = _table(f"{board.data}, per cent; macro-13 as published, of runs by the official extraction", *head)
    for standing in board.standings:
        table.add_row(*_standing_cells(standing), style="bold" if standing.kind == "run" else None)
    console.print(table)
    for apart in board.apart:
        one = apart.standing
        line = f"{one.model}: not beside published scores ({apart.why}). {apart.average}: "
        _print_lines(console, [f"{line}official {percent(one.macro)}, strict {percent(one.strict)}"])


def _standing_cells(standing: Standing) -> list[str]:
    macro = percent(standing.macro) + (f"–{percent(standing.macro_high)}" if standing.macro_high is not None else "")
    low, high = (standing.interval.low, standing.interval.high) if standing.interval else (None, None)
    interval = "" if low is None or high is None else f"{percent(low)}–{percent(high)}"
    strict, micro = ("" if share is None else percent(share) for share in (standing.strict, standing.micro))
    return [escape(standing.model), macro, interval, strict, micro, escape(standing.variant), escape(standing.source)]


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="left" if name in ("variant", "source", "measure") else "right", overflow="fold")
    return table


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: what comes from outside may hold brackets."""
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
