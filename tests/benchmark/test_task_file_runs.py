"""Runs over other benchmarks from the command line: figures by group and by protocol, from one set of replies."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from rsvqa.benchmark.protocol import open_answers, task_file
from rsvqa.benchmark.scores.measures import Measure
from rsvqa.benchmark.scores.results import read_results
from tests.benchmark.make_benchmarks import MAKERS, Row, lrs_vqa, write_list
from tests.run_build import rsvqa


@pytest.fixture(autouse=True)
def _senses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let WordNet know nothing but that crimson is red."""
    monkeypatch.setattr(task_file, "check_wordnet", lambda: None)
    monkeypatch.setattr(
        open_answers, "_similarity", lambda first, second, **_: float((first, second) == ("crimson", "red"))
    )


def run(out: Path, data: object, replies: dict[str, str]) -> Any:
    file = out.parent / f"{out.name}.jsonl"
    file.write_text("".join(json.dumps({"key": key, "reply": text}) + "\n" for key, text in replies.items()))
    return rsvqa("bench", "--model", f"fake:{file}", "--data", data, "--out", out)


def test_protocols_stand_side_by_side_from_one_set_of_replies(tmp_path: Path) -> None:
    data = f"lrs-vqa:{lrs_vqa(tmp_path)}"
    # right are 3, red, two; by source FAIR, FAIR, GLH-Bridge
    done = run(tmp_path / "run", data, {"FAIR_1": "3.", "FAIR_2": "Crimson", "GLH-Bridge_1": "I see two bridges"})
    assert (done.code, done.err) == (0, "")
    results = read_results(tmp_path / "run")
    micro = results.average("micro")
    assert micro is not None
    assert micro.permissive is not None
    # strict: "3." by its number, and "two bridges" holds one number, which is 2; official: crimson by WordNet alone
    assert (micro.strict.value, micro.official.value, micro.permissive.value) == (0.666667, 0.333333, 1.0)
    assert [task.task for task in results.tasks] == [
        "lrs-vqa/FAIR/count",
        "lrs-vqa/FAIR/object color",
        "lrs-vqa/GLH-Bridge/count",
    ]
    fair = results.average("level_1/FAIR/macro")
    assert fair is not None
    assert fair.official.value == 0.5
    # no options: no chance, no letter; the most frequent words of each group are right once of once
    assert (micro.chance, micro.majority_letter, micro.majority_answer) == (None, None, 1.0)
    [shown] = [line.split() for line in done.out.splitlines() if line.startswith("micro")]
    assert shown[-6:] == ["66.7", "–", "33.3", "100.0", "–", "100.0", "3"][-6:]
    assert "github.com/VisionXLab/LRS-VQA" in (tmp_path / "run/results.md").read_text().replace("\\", "")
    page = (tmp_path / "run/report.html").read_text()
    assert "object color <abbr>FAIR</abbr>" in page
    with (tmp_path / "run/tasks.csv").open() as file:
        rows = {(row["key"], row["measure"]): row["value"] for row in csv.DictReader(file)}
    assert rows["micro", "permissive"] == "1.0"


def test_open_answers_without_a_word_are_counted_first(tmp_path: Path) -> None:
    done = run(tmp_path / "run", f"lrs-vqa:{lrs_vqa(tmp_path)}", {"FAIR_1": "3", "FAIR_2": "", "GLH-Bridge_1": " "})
    assert done.out.splitlines()[1:3] == [
        "2 replies hold no answer: object color × 1, count × 1.",
        "2 replies are empty, and were not cut: the model said nothing.",
    ]


def test_scoring_again_needs_no_task_file(tmp_path: Path) -> None:
    run(tmp_path / "run", f"lrs-vqa:{lrs_vqa(tmp_path)}", {"*": "red"})
    before = (tmp_path / "run/results.json").read_bytes()
    (tmp_path / "LRS_VQA/LRS_VQA_merged.jsonl").unlink()
    assert rsvqa("score", tmp_path / "run").code == 0
    assert (tmp_path / "run/results.json").read_bytes() == before


@pytest.mark.parametrize("name", sorted(set(MAKERS) - {"vrsbench-caption"}))
def test_every_miniature_copy_is_asked_and_reported(name: str, tmp_path: Path) -> None:
    done = run(tmp_path / "run", f"{name}:{MAKERS[name](tmp_path / 'data')}", {"*": "B"})
    assert (done.code, done.err) == (0, "")
    results = read_results(tmp_path / "run")
    assert not results.not_scored
    assert all(task.task.startswith(f"{name}/") for task in results.tasks)
    assert rsvqa("compare", tmp_path / "run", tmp_path / "run").code == 0
    assert "is not compared with published scores: another benchmark" in rsvqa("leaderboard", tmp_path / "run").out


def test_a_benchmark_without_a_published_scorer_has_no_official_score(tmp_path: Path) -> None:
    done = run(tmp_path / "run", f"geobench-vlm:{MAKERS['geobench-vlm'](tmp_path / 'data')}", {"*": "B. airport"})
    micro = read_results(tmp_path / "run").average("micro")
    assert micro is not None
    assert (micro.strict.value, micro.official.value) == (1.0, None)
    assert micro.official.interval.reason == "the released scripts store replies, and no scorer is published"
    assert "There is no official score: the released scripts store replies" in done.out


def test_boxes_have_the_published_figures_beside_exact_ones(tmp_path: Path) -> None:
    # right is 10, 20, 30, 60 in hundredths, as the first reply says; the second is its left half: 10 × 40 of 20 × 40,
    # and with 1 more on sides 11 × 41 of 21 × 41
    data = f"vrsbench-referring:{MAKERS['vrsbench-referring'](tmp_path / 'data')}"
    replies = {"0": "[0.1, 0.2, 0.3, 0.6]", "1": "[0.1, 0.2, 0.2, 0.6]"}
    done = run(tmp_path / "run", data, replies)
    assert (done.code, done.err) == (0, "")
    results = read_results(tmp_path / "run")
    second, first = (task.box for task in results.tasks)  # "not unique" comes first
    assert first is not None
    assert second is not None
    assert (first.mean_iou.value, first.official[Measure.OFFICIAL_IOU].value) == (1.0, 1.0)
    assert (second.mean_iou.value, second.official[Measure.OFFICIAL_IOU].value) == (0.5, round(451 / 861, 6))
    assert set(second.official) == {Measure.OFFICIAL_ACC_50, Measure.OFFICIAL_ACC_70, Measure.OFFICIAL_IOU}
    assert results.boxes is not None
    assert results.boxes.official[Measure.OFFICIAL_ACC_70].value == 0.5
    assert results.boxes.official[Measure.OFFICIAL_ACC_50].value == 1.0
    assert "all: Acc@0.5 100.0, Acc@0.7 50.0, mean IoU 75.0, official Acc@0.5 100.0, official Acc@0.7 50.0" in done.out
    assert "There is no official score" not in done.out
    assert "official Acc@0.7" in (tmp_path / "run/results.md").read_text()
    assert "official mean IoU" in (tmp_path / "run/report.html").read_text()
    with (tmp_path / "run/tasks.csv").open() as file:
        rows = {(row["key"], row["measure"]): row["value"] for row in csv.DictReader(file)}
    assert rows["boxes", "official_acc_70"] == "0.5"


def test_a_box_in_undeclared_units_is_right_by_the_published_evaluation_alone(tmp_path: Path) -> None:
    data = f"omniearth-grounding:{MAKERS['omniearth-grounding'](tmp_path / 'data')}"
    run(tmp_path / "run", data, {"*": "[250, 500, 750, 1000]"})
    box = read_results(tmp_path / "run").tasks[0].box
    assert box is not None
    # read as thousandths the first box is exact, and touches the second one in a line at most
    assert (box.acc_50.value, box.num_invalid) == (0.0, 2)
    assert box.official[Measure.OFFICIAL_ACC_90].value == 0.5


def test_the_constant_answer_is_given_in_words(tmp_path: Path) -> None:
    data = lrs_vqa(tmp_path)
    assert rsvqa("bench", "--model", "majority", "--data", f"lrs-vqa:{data}", "--out", tmp_path / "run").code == 0
    micro = read_results(tmp_path / "run").average("micro")
    assert micro is not None
    assert micro.strict.value == 1.0  # one question per group


def test_hostile_groups_stay_text(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>|*a*'
    rows: list[Row] = [
        {"picture": "LRS_VQA/image/0.tif", "question": evil, "answer": evil, "kind": evil, "hint": evil},
        {"picture": "LRS_VQA/image/1.tif", "question": "x", "answer": "y", "kind": evil, "hint": evil},
    ]
    lrs_vqa(tmp_path)
    write_list(tmp_path / "mine.json", rows)
    (tmp_path / "own.toml").write_text(
        'name = "mine"\ntitle = "Mine"\nsource = "here"\nlicence = "none"\nfiles = ["mine.json"]\n'
        '[columns]\nimage = "picture"\ngroups = ["hint", "kind"]\n[[ask]]\nform = "words"\nprompt = "{question}"\n'
        '[official]\nmatch = [{ scorer = "exact" }]\n'
    )
    assert run(tmp_path / "run", tmp_path / "own.toml", {"*": "y"}).code == 0
    assert "<script>alert" not in (tmp_path / "run/report.html").read_text()
    assert "\n| micro" in (tmp_path / "run/results.md").read_text()
    assert "|*a*" not in (tmp_path / "run/results.md").read_text()
