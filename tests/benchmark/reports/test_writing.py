"""Reports from stored replies alone: the same bytes each time, nothing lost, nothing invented."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsvqa.benchmark.errors import NothingToScoreError, RunError
from rsvqa.benchmark.reports.writing import score_run, write_reports
from rsvqa.benchmark.scores.results import RESULTS_FILE
from rsvqa.cli import app
from tests.benchmark.make_runs import FOUR, run_record, stored, write_run

FILES = ("report.html", "results.json", "results.md", "tasks.csv")
REPLIES = [
    stored("q1", "OC", "A", images=("i1",), seconds=2.0, num_visual_tokens=100, num_prompt_tokens=10, num_new_tokens=2),
    stored("q2", "OC", "B", images=("i2",), seconds=4.0, num_visual_tokens=300, num_prompt_tokens=20, num_new_tokens=4),
    stored("q3", "RCCD", "A", images=("i3", "i4"), num_visual_tokens=400),
    stored("q4", "OC", None, images=("i1",), failure="too large"),
    stored("q5", "FVG", "[0, 0, 8000, 6000]", images=("i1",), box=(0.0, 0.0, 1.0, 1.0)),
]


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "tasks.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_rescoring_gives_the_same_bytes(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    write_reports(run)
    before = {name: (run / name).read_bytes() for name in FILES}
    for name in FILES:
        (run / name).unlink()
    write_reports(run)
    assert {name: (run / name).read_bytes() for name in FILES} == before


def test_nothing_else_is_written(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    write_reports(run)
    assert sorted(path.name for path in run.iterdir()) == sorted([*FILES, "run.json", "samples.jsonl"])


def test_results_hold_what_the_run_was(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    results = write_reports(run)
    assert results.run == run_record(len(REPLIES))
    assert results.samples_sha256 == hashlib.sha256((run / "samples.jsonl").read_bytes()).hexdigest()
    assert (results.num_questions, results.num_images) == (5, 4)
    assert results.not_scored == {"too large": 1}
    assert json.loads((run / RESULTS_FILE).read_text())["schema_version"] == 1


def test_costs_are_means_over_what_the_model_says(tmp_path: Path) -> None:
    costs = score_run(write_run(tmp_path, REPLIES)).results.costs
    assert costs.seconds_per_question == 3.0  # 2 and 4; the others do not say
    assert costs.visual_tokens_per_image == 200.0  # 100, 300 and 400 on two images
    assert (costs.prompt_tokens_per_question, costs.new_tokens_per_question) == (15.0, 3.0)
    assert costs.images_per_second == 2.0  # 6 images in 3 s
    assert (costs.peak_memory_mb, costs.peak_device_memory_mb) == (900.0, None)


def test_the_table_has_a_row_a_figure(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    write_reports(run)
    (counting,) = (row for row in rows(run) if (row["key"], row["measure"]) == ("overall_counting", "strict"))
    assert (counting["value"], counting["num_questions"], counting["num_not_scored"]) == ("0.5", "2", "1")
    assert (counting["chance"], counting["low"], counting["interval"]) == ("0.25", "", "none")
    assert counting["note"] == "too few images: 2"
    measures = {row["measure"] for row in rows(run) if row["key"] == "fine_grained_grounding"}
    assert measures == {"acc_50", "acc_70", "mean_iou", "mean_iou_valid"}
    (macro,) = (row for row in rows(run) if (row["key"], row["measure"]) == ("macro_13", "official"))
    assert macro["value"] == ""
    assert macro["note"].startswith("no questions of RC, OLUC, RLUC, OSR")


def test_a_run_that_is_not_finished_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES, state="stopped")
    write_reports(run)
    for name in ("results.md", "report.html"):
        assert "This run is not finished (stopped): 5 of 5 questions have been asked." in (run / name).read_text()


def test_a_torn_last_line_is_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES[:2])
    with (run / "samples.jsonl").open("a") as file:
        file.write('{"fingerprint": "000')
    assert score_run(run).results.num_questions == 2


def test_markdown_shows_names_as_they_are(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES, model_name="a|b_*c* <b>")
    write_reports(run)
    text = (run / "results.md").read_text()
    assert text.startswith("# a\\|b\\_\\*c\\* \\<b\\>\n")
    tables = [line for line in text.splitlines() if line.startswith("| OC ")]
    # strict, official and permissive 1 of 2, chance, constant A: both right answers are A
    assert tables == [
        "| OC Overall counting | 50.0 | no interval: too few images: 2 | 50.0 | no interval: too few images: 2 "
        "| 50.0 | 25.0 | 100.0 | 0.0 / 0.0 | 2 on 2 | 1 |"
    ]


def test_circular_runs_show_the_share_right_in_all_rotations(tmp_path: Path) -> None:
    replies = [
        stored(f"q{n}", "OC", said, answer=right, rotation=rotation, images=(f"i{n}",))
        for n, text in enumerate(["ABCD", "AAAA"])
        for rotation, (said, right) in enumerate(zip(text, "ABCD", strict=True))
    ]
    run = write_run(tmp_path, replies)
    results = write_reports(run)
    assert len(FOUR) == 4
    assert results.num_questions == 2
    (row,) = (row for row in rows(run) if (row["key"], row["measure"]) == ("overall_counting", "strict_circular"))
    assert (row["value"], row["chance"]) == ("0.5", "")
    assert "| all rotations |" in (run / "results.md").read_text()


def test_an_empty_run_has_no_reports(tmp_path: Path) -> None:
    run = write_run(tmp_path, [])
    before = sorted(run.iterdir())
    with pytest.raises(NothingToScoreError, match=r"no question has a reply.*samples\.jsonl is empty"):
        write_reports(run)
    assert sorted(run.iterdir()) == before


# --- what is no run ---


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not the folder of a benchmark run: no run\.json"):
        write_reports(tmp_path)


def test_a_run_without_replies_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    (run / "samples.jsonl").unlink()
    with pytest.raises(RunError, match=r"has no replies: samples\.jsonl \(No such file or directory\)"):
        write_reports(run)


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    lines = (run / "samples.jsonl").read_text().splitlines()
    (run / "samples.jsonl").write_text("\n".join([lines[0], "{}", lines[1]]) + "\n")
    with pytest.raises(RunError, match="line 2"):
        write_reports(run)


# --- the commands ---


def test_score_prints_and_writes(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    found = CliRunner().invoke(app, ["score", str(run)])
    assert found.exit_code == 0
    assert "1 of 5 questions have no reply and are in no figure: too large × 1." in found.stdout
    assert all((run / name).exists() for name in FILES)


def test_compare_prints_differences(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / name, [stored(f"q{n}", "OC", letter, images=(f"i{n}",)) for n in range(6)])
        for name, letter in (("one", "B"), ("two", "A"))
    ]
    found = CliRunner().invoke(app, ["compare", *map(str, folders)])
    line = next(line for line in found.stdout.splitlines() if line.startswith("Overall counting"))
    # 6 images in favour: 2 of 64 sign changes; in all images the difference is 1: 1 - 0.025^(1/6) = 0.459 may be -1
    assert " ".join(line.split()) == "Overall counting 0.0 100.0 +100.0 +8.1 to +100.0 0.0312 0.0312 0 6 6 6"
    as_json = CliRunner().invoke(app, ["compare", *map(str, folders), "--json"])
    assert json.loads(as_json.stdout)["num_shared"] == 6


def test_leaderboard_prints_a_table(tmp_path: Path) -> None:
    run = write_run(tmp_path, REPLIES)
    found = CliRunner().invoke(app, ["leaderboard", str(run)])
    assert found.exit_code == 0
    assert "GeoLLaVA-8K " in found.stdout
    assert "tiny is not compared with published scores" in found.stdout
