"""One table for runs and published scores, where they measure the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.reports.leaderboard import rank_runs
from rsvqa.benchmark.reports.printing import print_leaderboard
from rsvqa.benchmark.reports.published import read_published
from tests.benchmark.make_runs import lite_replies, stored, write_run


def half_right(run: Path) -> Path:
    """Write a run that is right in every sub-task's first half, up to one question."""
    seen: dict[str, int] = {}
    counts = read_published().data.num_questions
    replies = []
    for reply in lite_replies():
        short = reply.sample_id.split("-")[0]
        seen[short] = seen.get(short, 0) + 1
        replies.append(reply if seen[short] <= counts[short] // 2 else reply.model_copy(update={"reply": "B"}))
    return write_run(run, replies, model_name="half right")


def test_a_run_of_the_same_measurement_stands_where_its_macro_puts_it(tmp_path: Path) -> None:
    board = rank_runs([half_right(tmp_path / "run")])
    macros = [standing.macro for standing in board.standings]
    assert macros == sorted(macros, key=lambda macro: -(macro or 0.0))
    (place,) = (number for number, standing in enumerate(board.standings) if standing.kind == "run")
    run = board.standings[place]
    assert (run.macro, run.strict, run.micro) == (0.5, 0.5, 0.5)
    assert run.interval is not None
    assert run.interval.method == "bootstrap"
    # Qwen3-VL-8B has 50.0, too; published ones come first
    assert board.standings[place - 1].model == "Qwen3-VL-8B"
    assert board.standings[place + 1].macro == 0.475
    assert board.apart == ()
    assert len(board.standings) == len(read_published().scores) + 1


def test_another_measurement_stands_apart_and_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored(f"q{n}", "OC", "A", images=(f"i{n}",)) for n in range(9)])
    board = rank_runs([run])
    assert all(standing.kind == "published" for standing in board.standings)
    (apart,) = board.apart
    assert apart.why == "other tasks: no questions of RC, OSR, OLUC, RLUC and 8 more"
    assert apart.average == "macro: mean over the 1 sub-task(s) of this run"
    assert apart.standing.macro == 1.0


def test_a_run_without_options_stands_apart(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("q", "FVG", "[0, 0, 1, 1]", box=(0.0, 0.0, 1.0, 1.0))])
    (apart,) = rank_runs([run]).apart
    assert apart.average == "no questions with options"
    assert apart.standing.macro is None


def test_published_scores_keep_variant_and_source(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("q", "OC", "A")])
    geollava = next(one for one in rank_runs([run]).standings if one.model == "GeoLLaVA-8K")
    assert (geollava.macro, geollava.micro) == (0.515, 0.433)
    assert "24 : 1" in geollava.variant
    assert "2505.21375" in geollava.source


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = rank_runs([half_right(tmp_path / "one"), write_run(tmp_path / "two", [stored("q", "OC", "A")])])
    print_leaderboard(board)
    lines = capsys.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.startswith("→ half right"))
    assert line.split()[3] == "50.0"
    assert "| rsvqa " in line
    assert any(line.startswith("Text-Before-Vision       60.0–60.4") for line in lines)
    assert lines[-2].startswith("tiny is not compared with published scores: other tasks")
    print_leaderboard(board, as_json=True)
    assert json.loads(capsys.readouterr().out)["apart"][0]["standing"]["model"] == "tiny"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not the folder of a benchmark run"):
        rank_runs([tmp_path])
