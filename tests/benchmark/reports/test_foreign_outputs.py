"""A run's replies as other harnesses store them, read back by our reader and by tools of others."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from rsvqa.benchmark.adapters.foreign_replies import read_foreign_replies
from rsvqa.benchmark.files.reply_store import read_replies
from rsvqa.benchmark.scores.results import read_results
from tests.benchmark import lmms_eval
from tests.benchmark.make_runs import FOUR, stored, write_run
from tests.benchmark.make_xlrs import vqa_rows, write_jsonl
from tests.run_build import rsvqa

HOSTILE = 'A\t"quoted",\n=1+1 <b>&amp;</b> _x0041_ \x07 你好'
REPLIES = [
    stored("17", "OCL", "<think>C?</think>(B)", answer="B"),
    stored("18", "OCL", HOSTILE, answer="A"),
    stored("19", "OCL", None),
    stored("20", "FVG", "[1, 2, 3, 4]", box=(0.1, 0.2, 0.3, 0.4)),
]


def written(tmp_path: Path, ending: str) -> Path:
    run = write_run(tmp_path / "run", REPLIES)
    file = tmp_path / f"replies{ending}"
    done = rsvqa("score", run, "--replies-out", file)
    assert (done.code, done.err) == (0, "")
    return file


@pytest.mark.parametrize("ending", [".jsonl", ".tsv", ".csv", ".xlsx"])
def test_what_is_written_is_read_back(ending: str, tmp_path: Path) -> None:
    _, replies = read_foreign_replies(written(tmp_path, ending))
    assert [(reply.key, reply.text) for reply in replies] == [
        ("17", "<think>C?</think>(B)"),
        ("18", HOSTILE),
        ("20", "[1, 2, 3, 4]"),
    ]
    assert [reply.right for reply in replies] == ["B", "A", "[0.1, 0.2, 0.3, 0.4]"]


def test_lmms_evals_lines_hold_its_metrics(tmp_path: Path) -> None:
    first = json.loads(written(tmp_path, ".jsonl").read_text().splitlines()[0])
    score = {
        "question_id": 17,
        "category": "Object properties",
        "sub_category": "Object color",
        "task_category": read_replies(tmp_path / "run")[0].l2_category,
        "pred_answer": "B",
        "answer": "B",
    }
    assert first == {
        "doc_id": 0,
        "input": "What is 17?",
        "target": "B",
        "resps": ["<think>C?</think>(B)"],
        "filtered_resps": "(B)",
        "xlrs_micro_score": score,
        "xlrs_macro_score": score,
    }


def test_lmms_eval_aggregates_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = lmms_eval.load("tasks/xlrs/mcq_utils.py", monkeypatch)
    lines = [json.loads(line) for line in written(tmp_path, ".jsonl").read_text().splitlines()]
    scores = [line["xlrs_micro_score"] for line in lines if "xlrs_micro_score" in line]
    # (B) is right; the hostile reply holds a, d, e, b and c somewhere
    assert module.xlrs_aggregate_results(scores) == 0.5


def test_a_workbook_is_one_that_others_open(tmp_path: Path) -> None:
    file = written(tmp_path, ".xlsx")
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))  # noqa: S314  of our own writing


def test_the_same_score_comes_of_the_replies_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    write_jsonl(data, vqa_rows(4))
    replies = tmp_path / "fake.jsonl"
    replies.write_text(json.dumps({"key": "*", "reply": "The answer is (B)."}) + "\n")
    assert rsvqa("bench", "--model", f"fake:{replies}", "--data", data, "--out", tmp_path / "one").code == 0
    rsvqa("score", tmp_path / "one", "--replies-out", tmp_path / "out.tsv")
    done = rsvqa("bench", "--model", f"replies:{tmp_path / 'out.tsv'}", "--data", data, "--out", tmp_path / "two")
    assert (done.code, done.err) == (0, "")
    first, second = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert first["averages"] == second["averages"]
    head, row = (tmp_path / "out.tsv").read_text().split("\n")[:2]
    assert head.split("\t")[2] == "multi-choice options"
    # the kit's prompt is question + options
    assert row.split("\t")[2].startswith('"The choices are listed below:')


@pytest.mark.parametrize("ending", [".jsonl", ".tsv", ".csv", ".xlsx"])
def test_an_empty_reply_stays_one_without_an_answer(ending: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", vqa_rows(3))
    replies = [{"key": "0", "reply": "A"}, {"key": "1", "reply": ""}]  # and none to 2
    (tmp_path / "fake.jsonl").write_text("".join(json.dumps(line) + "\n" for line in replies))
    data = ("--data", tmp_path / "data.jsonl")
    rsvqa("bench", "--model", f"fake:{tmp_path / 'fake.jsonl'}", *data, "--out", tmp_path / "one")
    file = tmp_path / f"out{ending}"
    assert rsvqa("score", tmp_path / "one", "--replies-out", file).code == 0
    rsvqa("bench", "--model", f"replies:{file}", *data, "--out", tmp_path / "two")
    first, second = (read_results(tmp_path / name) for name in ("one", "two"))
    assert second.averages == first.averages
    micro = second.average("micro")
    assert micro is not None
    assert (micro.strict.value, micro.strict.num_questions, sum(second.not_scored.values())) == (0.5, 2, 1)


def test_another_ending_and_a_run_without_replies_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    done = rsvqa("score", run, "--replies-out", tmp_path / "replies.txt")
    assert done.code == 1
    assert "expected one of .jsonl, .tsv, .csv, .xlsx" in done.err
    empty = write_run(tmp_path / "empty", [stored("19", "OCL", None)])
    assert rsvqa("score", empty, "--replies-out", tmp_path / "replies.tsv").code == 2
    long = write_run(tmp_path / "long", [stored("21", "OCL", "A" * 40_000, options=FOUR)])
    done = rsvqa("score", long, "--replies-out", tmp_path / "replies.xlsx")
    assert "the reply to 21, or its question, is too long for a cell of Excel: write .tsv" in done.err
