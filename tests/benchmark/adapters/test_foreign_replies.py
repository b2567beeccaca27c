"""Replies that lmms-eval and VLMEvalKit stored, in the shapes in which they store them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from rsvqa.benchmark.adapters.foreign_replies import read_foreign_replies
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.scores.results import read_results
from tests.benchmark.make_xlrs import vqa_rows, write_jsonl
from tests.run_build import rsvqa

REPLIES = ["A", "The answer is (B).", "A", "Hm."]


def logged(number: int, **changes: Any) -> dict[str, Any]:
    """Return a line as lmms-eval 0.7.3 logs it: without the document, its id in the metrics."""
    score = {"question_id": number, "category": "Object properties", "answer": "ABCD"[number], "pred_answer": "A"}
    return {
        "doc_id": number,
        "input": f"Which colour has thing {number}?The choices are listed below:\n(A) red",
        "target": "ABCD"[number],
        "filtered_resps": REPLIES[number],
        "xlrs_micro_score": score,
        "xlrs_macro_score": score,
    } | changes


def write_logged(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


HEAD = ["index", "question", "answer", "prediction"]
TABLE = [[str(n), f"Which colour has thing {n}?", "ABCD"[n], reply] for n, reply in enumerate(REPLIES)]


def write_tsv(path: Path) -> Path:
    path.write_text("\n".join("\t".join(row) for row in [HEAD, *TABLE]))
    return path


def write_xlsx(path: Path) -> Path:
    """Write what pandas writes: texts in a list of their own, numbers in the cells; an empty cell is left out."""
    texts: list[str] = []
    rows = []
    for number, row in enumerate([HEAD, *TABLE], start=1):
        cells = ""
        for letter, text in zip("ABCD", row, strict=True):
            if text.isdigit():
                cells += f'<c r="{letter}{number}"><v>{text}</v></c>'
            elif text:
                texts.append(text)
                cells += f'<c r="{letter}{number}" t="s"><v>{len(texts) - 1}</v></c>'
        rows.append(f'<row r="{number}">{cells}</row>')
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    with zipfile.ZipFile(path, "w") as archive:
        strings = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
        archive.writestr("xl/sharedStrings.xml", f"<sst {space}>{strings}</sst>")
        archive.writestr(
            "xl/worksheets/sheet1.xml", f"<worksheet {space}><sheetData>{''.join(rows)}</sheetData></worksheet>"
        )
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(4))


@pytest.mark.parametrize("kind", ["jsonl", "tsv", "xlsx"])
def test_stored_replies_are_scored_by_ours(kind: str, tmp_path: Path, data: Path) -> None:
    path = tmp_path / f"stored.{kind}"
    if kind == "jsonl":
        write_logged(path, [logged(n) for n in range(4)])
    else:
        (write_tsv if kind == "tsv" else write_xlsx)(path)
    done = rsvqa("bench", "--model", f"replies:{path}", "--data", data, "--out", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    results = read_results(tmp_path / "run")
    micro = results.average("micro")
    assert micro is not None
    # right are A, B, C, D; strict reads A, B, A and nothing; official reads A, B, A and nothing
    assert (micro.strict.value, micro.official.value) == (0.5, 0.5)
    assert results.run.model_name == f"replies:stored.{kind}"


def test_replies_are_found_in_every_shape_that_lmms_eval_gives_them(tmp_path: Path) -> None:
    old = {"doc": {"index": 7, "question": "Q?", "answer": "B"}, "resps": [["raw B"]], "filtered_resps": ["B"]}
    path = write_logged(tmp_path / "a.jsonl", [logged(0), logged(1, filtered_resps=["B"], resps=[["C", "D"]]), old])
    found = read_foreign_replies(path)[1]
    assert [(one.key, one.text, one.right) for one in found] == [("0", "A", "A"), ("1", "C", "B"), ("7", "raw B", "B")]
    assert found[2].question == "Q?"


def test_what_is_missing_is_not_scored(tmp_path: Path, data: Path) -> None:
    path = write_logged(tmp_path / "stored.jsonl", [logged(0), logged(1, filtered_resps=[])])
    assert rsvqa("bench", "--model", f"replies:{path}", "--data", data, "--out", tmp_path / "run").code == 0
    results = read_results(tmp_path / "run")
    assert results.not_scored == {"the file of replies has none to it": 3}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([logged(0, input="Who is it?")], "0 is another question there: 'Who is it"),
        ([logged(0, target="D")], "the right answer to 0 is 'D' there, A here"),
        ([logged(0), logged(0)], "the question 0 is answered twice"),
        ([logged(0, xlrs_micro_score=1, xlrs_macro_score=1)], "expected filtered_resps and an id"),
        ([logged(0, xlrs_micro_score={"question_id": 99})], "answers none of the questions: it holds 99"),
        ([], "answers none of the questions: it holds nothing"),
    ],
)
def test_replies_to_something_else_are_refused(
    lines: list[dict[str, Any]], message: str, tmp_path: Path, data: Path
) -> None:
    path = write_logged(tmp_path / "stored.jsonl", lines)
    done = rsvqa("bench", "--model", f"replies:{path}", "--data", data, "--out", tmp_path / "run")
    assert done.code == 1
    assert message in done.err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"no zip", "cannot be read"),
        ("a.jsonl", b"{", "cannot be read"),
        ("a.tsv", b"index\tquestion\n", "expected the columns index and prediction, found index, question"),
        ("a.tsv", b"", "expected the columns index and prediction, found none"),
        ("a.pkl", b"", "expected .jsonl of lmms-eval"),
    ],
)
def test_files_that_are_no_replies_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        read_foreign_replies(tmp_path / name)


def test_a_table_may_hold_images_and_numbers_as_pandas_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text(f"index\timage\tprediction\n0.0\t{'A' * 200_000}\tB\n17.00\t\tC\n1.5\t\tD\n", "utf-8")
    assert [(one.key, one.text) for one in read_foreign_replies(path)[1]] == [("0", "B"), ("17", "C"), ("1.5", "D")]


def test_damaged_tables_and_lines_are_told(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "a.xlsx")
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    with zipfile.ZipFile(path, "w") as archive:  # its texts are lost
        archive.writestr("xl/worksheets/sheet1.xml", sheet)
    (tmp_path / "a.jsonl").write_text("[" * 100_000, "utf-8")
    for name in ("a.xlsx", "a.jsonl"):
        with pytest.raises(ModelError, match="cannot be read: "):
            read_foreign_replies(tmp_path / name)
