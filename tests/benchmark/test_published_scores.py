"""Odd replies to a miniature copy of each benchmark, with scores worked out by hand from what its scorer is said to do.

Each case is (right answer, reply, official, strict); "+" is right, "-" wrong, "0" no answer, "?" left to a judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rsvqa.benchmark.files.datasets import open_dataset
from rsvqa.benchmark.protocol import open_answers
from rsvqa.benchmark.protocol.official_judges import vrsbench_decision
from rsvqa.benchmark.reports.writing import score_run
from rsvqa.benchmark.scores.score import AnswerOutcome, Score
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.make_benchmarks import (
    FIVE,
    lrs_gro,
    lrs_vqa,
    mme_original,
    omniearth,
    vrsbench,
    write_lines,
    write_list,
)
from tests.benchmark.make_benchmarks import MAKERS as COPIES
from tests.benchmark.make_wordnet import write_wordnet
from tests.benchmark.make_xlrs import vqa_row, write_jsonl
from tests.run_build import rsvqa

Case = tuple[str, str, str, str]
_SIGNS: Mapping[AnswerOutcome | None, str] = {
    AnswerOutcome.RIGHT: "+",
    AnswerOutcome.WRONG: "-",
    AnswerOutcome.NO_ANSWER: "0",
    None: "",
}
_REFUSAL = "Sorry, I can't help with this image."


def scores_of(folder: Path, data: str, replies: Sequence[str], *words: str) -> list[Score]:
    """Return the scores of a run in which the questions, in their order, get these replies."""
    samples = open_dataset(BenchSettings(model="random", data=data)).samples
    assert len(samples) == len(replies)
    file = folder / "replies.jsonl"
    lines = [{"key": sample.sample_id, "reply": text} for sample, text in zip(samples, replies, strict=True)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = rsvqa("bench", "--model", f"fake:{file}", "--data", data, "--out", folder / "run", *words)
    assert done.code == 0, done.err
    known = {one.score.reply.sample_id: one.score for one in score_run(folder / "run").questions}
    return [known[sample.sample_id] for sample in samples]


def check(folder: Path, data: str, cases: Sequence[Case]) -> None:
    scores = scores_of(folder, data, [reply for _, reply, *_ in cases])
    found = [(_SIGNS[score.official], _SIGNS[score.strict]) for score in scores]
    wrong = [(case, signs) for case, signs in zip(cases, found, strict=True) if case[2:] != signs]
    assert not wrong


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let nltk find a WordNet of five nouns, as it finds the real one."""
    pytest.importorskip("nltk")
    from nltk.corpus.reader import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    monkeypatch.setattr("nltk.data.path", [str(write_wordnet(tmp_path / "nltk_data"))])
    reader = LazyCorpusLoader("wordnet", WordNetCorpusReader, None)
    monkeypatch.setattr("nltk.corpus.wordnet", reader)
    open_answers._similarity.cache_clear()
    yield
    open_answers._similarity.cache_clear()
    for file in vars(reader).get("_data_file_map", {}).values():  # nltk leaves them open
        file.close()


def relisted(path: Path, changes: Sequence[Mapping[str, Any]]) -> None:
    """Replace the rows of a file by copies of its first one with these changes."""
    is_list = path.suffix == ".json"
    first = json.loads(path.read_text("utf-8") if is_list else path.read_text("utf-8").splitlines()[0])
    rows = [(first[0] if is_list else first) | change for change in changes]
    (write_list if is_list else write_lines)(path, rows)


@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_lrs_vqa_takes_off_no_punctuation_and_knows_synonyms(tmp_path: Path, wordnet: None) -> None:
    cases = [
        ("red", "red", "+", "+"),
        ("red", "RED", "+", "+"),
        ("red", "Red.", "-", "+"),
        ("red", "crimson", "+", "-"),
        ("red", "The roof is red.", "-", "-"),
        ("red", "red or blue", "-", "-"),
        ("red", "<think>It is blue.</think>red", "-", "+"),
        ("red", _REFUSAL, "-", "-"),
        ("red", "", "0", "0"),
        ("3", "three", "+", "+"),
        ("3", "3 ships", "-", "+"),
        ("3", "2 or 3", "-", "-"),
        ("3", "more than 3", "-", "-"),
        ("car", "Automobile", "+", "-"),
        ("car", "lorry", "-", "-"),  # one step below: 1 / 2
        ("car", "a car", "-", "+"),
    ]
    lrs_vqa(tmp_path)
    changes = [{"question_id": f"FAIR_{n}", "ground_truth": case[0]} for n, case in enumerate(cases)]
    relisted(tmp_path / "LRS_VQA/LRS_VQA_merged.jsonl", changes)
    check(tmp_path, f"lrs-vqa:{tmp_path}", cases)


@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_lrs_gro_reads_the_first_answer_tag_alone(tmp_path: Path, wordnet: None) -> None:
    cases = [
        ("Red", "<think>A roof.</think><answer>red</answer>", "+", "+"),
        ("red", "<answer>\n Crimson \n</answer>", "+", "-"),
        ("red", "<answer>Red.</answer>", "-", "+"),
        ("red", "red", "0", "+"),
        ("red", "<answer>blue</answer><answer>red</answer>", "-", "-"),
        ("red", "<answer>red</answer><answer>blue</answer>", "+", "-"),
        ("red", "<answer></answer>", "0", "0"),
        ("red", "<answer>dark\nred</answer>", "0", "-"),  # the dot of the published pattern ends at a line's end
        ("red", "<think>It may be red", "0", "0"),
        ("red", '<think>I look.</think>[{"bbox_2d": [1, 2, 3, 4], "label": "roof"}]', "0", "-"),
        ("cars", "<answer>automobiles</answer>", "+", "-"),
        ("red", "", "0", "0"),
    ]
    lrs_gro(tmp_path)
    relisted(
        tmp_path / "LRS-GRO.jsonl", [{"question_id": f"g{n}", "ground_truth": one[0]} for n, one in enumerate(cases)]
    )
    check(tmp_path, f"lrs-gro:{tmp_path}", cases)


MME_CASES: Sequence[Case] = [
    ("B", "B", "+", "+"),
    ("B", "b", "+", "+"),
    ("B", "(B) green", "+", "+"),
    ("B", "The best answer is: (B)", "+", "+"),
    ("B", "green", "0", "+"),
    ("B", "B or C", "+", "0"),
    ("B", "A green roof, so B", "-", "+"),
    ("B", "I Cannot tell.", "-", "0"),  # the capital of "Cannot"
    ("B", _REFUSAL, "0", "0"),
    ("B", "E", "-", "-"),
    ("B", "F", "0", "0"),
    ("A", "", "+", "0"),  # the empty text stands in "(A)"
    ("B", "", "-", "0"),
    ("E", "(E) The image does not feature the color.", "+", "+"),
    ("B", "<think>A or C</think>B", "+", "+"),
]
ZH_OPTIONS = ["(A) 红色", "(B) 绿色", "(C) 蓝色", "(D) 灰色", "(E) 图像中没有该颜色"]
ZH_CASES: Sequence[Case] = [
    ("B", "B", "+", "+"),
    ("B", "答案是B。", "+", "+"),
    ("B", "选B", "+", "+"),
    ("B", "（B）绿色", "+", "+"),
    ("B", "Ｂ", "0", "+"),  # a full-width letter is none of A to E
    ("B", "绿色", "0", "+"),
    ("B", "不是A，是B", "-", "+"),
    ("B", "A和B", "-", "0"),
    ("B", "B或C", "+", "0"),
    ("B", "无法确定", "0", "0"),
    ("B", "图像中没有该颜色", "0", "-"),
    ("A", "", "+", "0"),
    ("B", "b", "+", "+"),
]


@pytest.mark.parametrize(
    ("name", "options", "cases"),
    [("mme-realworld-rs", FIVE, MME_CASES), ("mme-realworld-cn-rs", ZH_OPTIONS, ZH_CASES)],
)
def test_mme_realworld_takes_the_first_capital(
    name: str, options: Sequence[str], cases: Sequence[Case], tmp_path: Path
) -> None:
    rows = [{"Question_id": str(n), "Ground truth": one[0], "Answer choices": options} for n, one in enumerate(cases)]
    mme_original(tmp_path / "data")
    relisted(tmp_path / "data/MME_RealWorld.json", rows)
    check(tmp_path, f"{name}:{tmp_path / 'data'}", cases)


def test_geobench_has_no_published_scorer(tmp_path: Path) -> None:
    cases = [
        ("B", "B.", "", "+"),
        ("B", "B. airport", "", "+"),
        ("B", "b", "", "+"),
        ("B", "Airport", "", "+"),
        ("B", "A. airport", "", "0"),  # letter and text are of two options
        ("B", "A., B.", "", "0"),
        ("B", "farm", "", "-"),
        ("B", "H", "", "0"),
        ("B", _REFUSAL, "", "0"),
        ("B", "", "", "0"),
    ]
    COPIES["geobench-vlm"](tmp_path / "data")
    relisted(tmp_path / "data/Single/qa.json", [{"prompts": ["What is shown?"]} for _ in cases])
    check(tmp_path, f"geobench-vlm:{tmp_path / 'data'}", cases)


def test_vrsbench_decides_by_containment_and_leaves_the_rest_to_its_judge(tmp_path: Path) -> None:
    cases = [
        ("2", "2", "+", "+"),
        ("2", "There are two ships.", "-", "+"),
        ("2", "12", "+", "-"),  # a 2 stands in it
        ("No", "Unknown", "+", "-"),  # and a "no" in this
        ("No", "no.", "+", "+"),
        ("Yes", "Correct", "-", "-"),
        ("small-vehicle", "Small-Vehicle", "+", "+"),
        ("small vehicle", "a van", "?", "-"),
        ("2", "1 or 2", "+", "-"),
        ("2", "", "-", "0"),
        ("van", _REFUSAL, "?", "-"),
    ]
    vrsbench(tmp_path / "data")
    rows = [{"question_id": n, "ground_truth": one[0]} for n, one in enumerate(cases)]
    relisted(tmp_path / "data/VRSBench_EVAL_vqa.json", rows)
    scores = scores_of(tmp_path, f"vrsbench-vqa:{tmp_path / 'data'}", [one[1] for one in cases])
    assert {score.official for score in scores} == {None}
    assert [_SIGNS[score.strict] for score in scores] == [one[3] for one in cases]
    decided = [vrsbench_decision(score.reply.reply or "", score.reply.references) for score in scores]
    assert [{"right": "+", "wrong": "-", None: "?"}[one] for one in decided] == [one[2] for one in cases]


def test_vrsbench_boxes_as_its_models_write_them(tmp_path: Path) -> None:
    # right is 10, 20, 30, 60: 20 × 40, and 21 × 41 as published
    cases = [
        ("{<10><20><30><60>}", 1.0, 1.0),
        ("{<10><20><20><60>}", 451 / 861, 0.5),
        ("[10, 20, 30, 60]", 1.0, 1.0),
        ("<box>10 20 30 60</box>", 1.0, 1.0),
        ("{<10><20><30><60>|<45>}", 1.0, None),  # a turned box is another one
        ("{<10><20><30><60>}{<0><0><9><9>}", 1.0, None),
        ("{<10><20><30>}", None, None),
        ("{<30><60><10><20>}", 0.0, None),
        (_REFUSAL, None, None),
        ("", None, None),
    ]
    vrsbench(tmp_path / "data")
    relisted(tmp_path / "data/VRSBench_EVAL_referring.json", [{"question_id": n} for n in range(len(cases))])
    data = f"vrsbench-referring:{tmp_path / 'data'}"
    scores = scores_of(tmp_path, data, [text for text, *_ in cases], "--box-units", "0-100")
    for score, (text, official, strict) in zip(scores, cases, strict=True):
        assert score.official_iou == pytest.approx(official), text
        assert score.iou == pytest.approx(strict), text


OMNIEARTH: Mapping[int, Sequence[Case]] = {
    0: [
        ("B", "B", "+", "+"),
        ("B", "(B) kind B", "+", "+"),
        ("B", "B. kind B", "-", "+"),  # a d
        ("B", "b", "0", "+"),
        ("B", "B C", "-", "0"),
        ("B", "F", "0", "-"),
        ("B", "Best answer: B", "+", "+"),
        ("B", _REFUSAL, "0", "0"),
        ("B", "", "0", "0"),
    ],
    1: [
        ("AC", "A C", "+", "+"),
        ("AC", "C, A", "+", "+"),
        ("AC", "AC", "+", "+"),
        ("AC", "a c", "0", "+"),
        ("AC", "A", "-", "-"),
        ("AC", "(A)(C)(F)", "+", "-"),  # F is not read
        ("AC", "", "0", "0"),
    ],
    2: [("F", "F", "0", "+"), ("F", "(F) Unable to decide", "0", "+"), ("F", "B", "-", "-"), ("F", "", "0", "0")],
}


def test_omniearth_reads_the_letters_a_to_e_anywhere(tmp_path: Path) -> None:
    omniearth(tmp_path / "source")
    base = pq.read_table(tmp_path / "source/Rain.parquet").to_pylist()
    rows = [base[kind] for kind, cases in OMNIEARTH.items() for _ in cases]
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data/Rain.parquet")
    check(tmp_path, f"omniearth:{tmp_path / 'data'}", [one for cases in OMNIEARTH.values() for one in cases])


def test_omniearth_in_vlmevalkit_reads_to_g(tmp_path: Path) -> None:
    cases = [
        ("B", "B", "+", "+"),
        ("B", "(B) rain", "+", "+"),
        ("B", "B. rain", "-", "+"),
        ("B", "G", "-", "0"),
        ("B", "B, G", "-", "0"),
        ("B", "Best answer: B", "-", "+"),  # the glued prefix stays, and its letters count
        ("B", "rain", "0", "+"),
        ("B", "", "0", "0"),
    ]
    COPIES["omniearth-vlmevalkit"](tmp_path / "data")
    relisted(tmp_path / "data/OmniEarth-Bench_MCQ_part0.jsonl", [{} for _ in cases])
    check(tmp_path, f"omniearth-vlmevalkit:{tmp_path / 'data'}", cases)


def test_xlrs_bench_reads_the_letters_a_to_e_anywhere(tmp_path: Path) -> None:
    cases = [
        ("B", "B", "+", "+"),
        ("B", "(B) green", "+", "+"),
        ("B", "B. green", "-", "+"),  # an e
        ("B", "b", "0", "+"),
        ("B", "A B", "-", "0"),
        ("B", "答案是B。", "+", "+"),
        ("B", "<think>A</think>B", "+", "+"),
        ("B", "E", "-", "0"),
        ("B", _REFUSAL, "0", "0"),
        ("B", "", "0", "0"),
    ]
    data = write_jsonl(tmp_path / "xlrs.jsonl", [vqa_row(n, answer=one[0]) for n, one in enumerate(cases)])
    check(tmp_path, str(data), cases)
