"""Every command given nothing to work on: one line that says what is missing, code 2, and no folder half-made.

What a single command does in such a case, file by file, is tested beside that command; here all answer alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.annotate_data import build_demo
from tests.benchmark.make_runs import lite_replies, write_run
from tests.benchmark.make_xlrs import vqa_row, vqa_rows, write_jsonl
from tests.make_sources import FARM, make_scene
from tests.run_build import build, rsvqa, tree_digest
from tests.scripted_endpoint import Action, Manner, ScriptedEndpoint, always


class Inputs(NamedTuple):
    """Folders with nothing in them that a command could use, and good ones beside them.

    Attributes:
        empty: a folder without a file.
        missing: no folder at all.
        silent: a data set without a question.
        captions: a data set of one caption, in split train.
        questions: four questions of one task of XLRS-Bench.
        asked, unanswered, idle: runs over 40 questions, all answered, none answered, none asked.
        other: a run over other questions than `asked`.
        files: small files by name.
    """

    empty: Path
    missing: Path
    silent: Path
    captions: Path
    questions: Path
    asked: Path
    unanswered: Path
    idle: Path
    other: Path
    files: Path


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("empty", "farm", "files"):
        (folder / name).mkdir()
    make_scene(folder / "farm", FARM)
    assert build(folder / "farm", folder / "silent", "--tasks", "none").code == 0
    assert build(folder / "farm", folder / "captions", "--tasks", "DIC", "--complete", "yes").code == 0
    replies = lite_replies("A", num_images=6)
    unanswered = [reply.model_copy(update={"reply": None, "failure": "no room"}) for reply in replies[:40]]
    files = folder / "files"
    for name, text in {"list.json": "[]", "nothing.json": "", "nothing.jsonl": "", "note.txt": "x"}.items():
        (files / name).write_text(text)
    write_jsonl(files / "broken.jsonl", [vqa_row(0, answer="Z"), vqa_row(1, answer="Z")])
    return Inputs(
        empty=folder / "empty",
        missing=folder / "missing",
        silent=folder / "silent",
        captions=folder / "captions",
        questions=write_jsonl(files / "four.jsonl", vqa_rows(4)),
        asked=write_run(folder / "asked", replies[:40]),
        unanswered=write_run(folder / "unanswered", unanswered),
        idle=write_run(folder / "idle", []),
        other=write_run(folder / "other", replies[100:140]),
        files=files,
    )


Words = Callable[[Inputs, Path], tuple[object, ...]]

NO_QUESTION = "holds no question: nothing was asked of any of its tiles, README.md says why"
NO_FOLDER = "no such folder; expected a data set that `rsvqa build` wrote"
NO_REPLY = "no question has a reply, so there is nothing to score"

CASES: dict[str, tuple[Words, str]] = {
    "build, empty folder": (lambda i, out: ("build", "--src", i.empty, "--out", out), "no usable scene: looked for"),
    "build, no raster": (lambda i, out: ("build", "--src", i.files, "--out", out), "no usable scene: looked for"),
    "build, no folder": (lambda i, out: ("build", "--src", i.missing, "--out", out), "no such file or folder"),
    "build, no --src": (lambda _, out: ("build", "--out", out), "--src is needed"),
    "annotate, no folder": (lambda i, out: annotate(i.missing, out), "holds no finished data set"),
    "annotate, empty folder": (lambda i, out: annotate(i.empty, out), "holds no finished data set"),
    "annotate, no question": (lambda i, out: annotate(i.silent, out), NO_QUESTION),
    "annotate, no question, translate": (lambda i, out: annotate(i.silent, out, "--steps", "translate"), NO_QUESTION),
    "annotate, no question, estimate": (lambda i, out: annotate(i.silent, out, "--dry-run"), NO_QUESTION),
    "review serve, no folder": (lambda i, _: ("review", "serve", "--data", i.missing), NO_FOLDER),
    "review serve, empty folder": (lambda i, _: ("review", "serve", "--data", i.empty), "no shards in"),
    "review apply, no question": (lambda i, out: ("review", "apply", "--data", i.silent, "--out", out), "no review in"),
    "review apply, no review": (lambda i, out: ("review", "apply", "--data", i.captions, "--out", out), "no review in"),
    "review export, no question": (
        lambda i, out: ("review", "export", "--data", i.silent, "--out", out),
        "nothing to export from",
    ),
    "review export, nothing needs it": (
        lambda i, out: ("review", "export", "--data", i.captions, "--out", out, "--sample", 0),
        "nothing to export",
    ),
    "review import, no task": (
        lambda i, _: ("review", "import", "--data", i.captions, "--from", i.files / "list.json"),
        "holds no task",
    ),
    "export, no folder": (lambda i, out: export(i.missing, out), NO_FOLDER),
    "export, empty folder": (lambda i, out: export(i.empty, out), "no shards in"),
    "export, no question": (lambda i, out: export(i.silent, out), NO_QUESTION),
    "export, no question of the format": (lambda i, out: export(i.captions, out, "coco-asked"), " x no box"),
    "export, no such split": (lambda i, out: export(i.captions, out, "llava", "--split", "test"), "it has train"),
    "export, unknown split": (
        lambda i, out: export(i.captions, out, "llava", "--split", "zork"),
        "expected one of train, val, test",
    ),
    "bench, no folder": (lambda i, out: bench(i.missing, out), "no data at"),
    "bench, empty folder": (lambda i, out: bench(i.empty, out), "holds no data"),
    "bench, empty file": (lambda i, out: bench(i.files / "nothing.jsonl", out), "nothing.jsonl is empty"),
    "bench, broken rows only": (lambda i, out: bench(i.files / "broken.jsonl", out), "none of 2 rows can be used"),
    "bench, no question": (lambda i, out: bench(i.silent, out), NO_QUESTION),
    "bench, no such split": (lambda i, out: bench(i.captions, out, "--split", "test"), "it has train"),
    "bench, no such task": (lambda i, out: bench(i.questions, out, "--tasks", "RP"), "holds no question of RP"),
    "bench, --limit 0": (lambda i, out: bench(i.questions, out, "--limit", 0), "--limit = '0'"),
    "score, no folder": (lambda i, _: ("score", i.missing), "is not the folder of a benchmark run"),
    "score, empty folder": (lambda i, _: ("score", i.empty), "is not the folder of a benchmark run"),
    "score, nothing asked": (lambda i, _: ("score", i.idle), f"{NO_REPLY}: its samples.jsonl is empty"),
    "score, nothing answered": (lambda i, _: ("score", i.unanswered), f"{NO_REPLY}: 40 x no room, e.g. OC-0"),
    "compare, nothing answered": (lambda i, _: ("compare", i.asked, i.unanswered), NO_REPLY),
    "compare, nothing shared": (lambda i, _: ("compare", i.asked, i.other, "--shared"), "no question in common"),
    "compare, no run": (lambda i, _: ("compare", i.asked, i.empty), "is not the folder of a benchmark run"),
    "leaderboard, nothing asked": (lambda i, _: ("leaderboard", i.asked, i.idle), NO_REPLY),
}


def annotate(data: Path, out: Path, *words: object) -> tuple[object, ...]:
    return (
        "annotate",
        "--data",
        data,
        "--out",
        out,
        "--model",
        "m",
        "--same-model",
        "--base-url",
        "http://127.0.0.1:9/v1",
        *words,
    )


def export(src: Path, out: Path, name: str = "llava", *words: object) -> tuple[object, ...]:
    return ("export", "--data", src, "--out", out, "--format", name, *words)


def bench(data: Path, out: Path, *words: object) -> tuple[object, ...]:
    return ("bench", "--model", "random", "--data", data, "--out", out, *words)


@pytest.mark.parametrize("name", CASES)
def test_nothing_to_work_on_is_one_line_and_code_2_and_leaves_nothing(
    inputs: Inputs, tmp_path: Path, name: str
) -> None:
    words, message = CASES[name]
    before = tree_digest(inputs.empty.parent)
    run = rsvqa(*words(inputs, tmp_path / "deep" / "out"))
    assert (run.code, run.out, len(run.lines)) == (2, "", 1), run
    assert run.err.startswith("rsvqa: ")
    assert message in run.err
    assert list(tmp_path.iterdir()) == []
    assert tree_digest(inputs.empty.parent) == before


# --- a right result of little, and replies that are worth nothing ---


def test_a_run_of_one_caption_has_no_average_in_its_json(inputs: Inputs, tmp_path: Path) -> None:
    result = rsvqa("bench", "--model", "majority", "--data", inputs.captions, "--out", tmp_path / "run", "--json")
    assert (result.code, json.loads(result.out)["averages"]) == (0, {})


def test_empty_replies_are_scored_and_said_first(inputs: Inputs, tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    replies.write_text("\n".join(json.dumps({"key": str(number), "reply": ""}) for number in range(4)))
    run = rsvqa("bench", "--model", f"fake:{replies}", "--data", inputs.questions, "--out", tmp_path / "run")
    assert run.code == 0
    assert run.out.splitlines()[1] == "4 replies hold no answer: Object colour × 4."


@pytest.mark.parametrize("manner", ["400", "refusal"])
def test_a_model_that_answers_nothing_is_no_success(inputs: Inputs, tmp_path: Path, manner: Manner) -> None:
    out = tmp_path / "run"
    with ScriptedEndpoint(script=lambda _, earlier: Action() if earlier else Action(manner)) as server:
        endpoint = ("--model", "openai:m", "--base-url", server.base_url)
        run = rsvqa("bench", *endpoint, "--data", inputs.questions, "--out", out)
        assert (run.code, run.out) == (2, "")
        assert run.lines[-1].startswith(f"rsvqa: {out}: {NO_REPLY}: 4 x ")
        assert not (out / "results.json").exists()
        again = rsvqa("bench", *endpoint, "--data", inputs.questions, "--out", out)
    assert again.code == 0, "what failed is asked again"


def test_a_run_compared_with_itself_says_so_first(inputs: Inputs) -> None:
    run = rsvqa("compare", inputs.asked, inputs.asked)
    assert run.code == 0
    assert run.out.splitlines()[2] == "A and B hold the same replies, to the byte"


def test_a_request_budget_of_nothing_leaves_no_folder(tmp_path: Path) -> None:
    data = build_demo(tmp_path, words=("--tasks", "OC", "--per-task", 1))
    with ScriptedEndpoint() as server:
        words = ("--model", "m", "--same-model", "--base-url", server.base_url, "--max-requests", 0)
        run = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words)
    assert (run.code, len(run.lines)) == (1, 1)
    assert "the budget of 0 requests is used up" in run.err
    assert not (tmp_path / "out").exists()


def test_a_job_of_refusals_alone_writes_nothing_and_is_no_success(tmp_path: Path) -> None:
    data = build_demo(tmp_path, words=("--tasks", "OC", "--per-task", 1))
    words = ("annotate", "--data", data, "--out", tmp_path / "out", "--model", "m", "--same-model")
    with ScriptedEndpoint(script=always("refusal")) as server:
        run = rsvqa(*words, "--base-url", server.base_url)
    assert (run.code, run.out) == (1, "")
    assert "no request got a usable reply, the last failed with: the model refused" in run.err
    assert not (tmp_path / "out" / "build.toml").exists()


def test_a_job_that_asks_nothing_is_no_success(tmp_path: Path) -> None:
    data = build_demo(tmp_path, words=("--tasks", "OC", "--per-task", 1))
    with ScriptedEndpoint() as server:
        words = ("--model", "m", "--steps", "draft", "--base-url", server.base_url)
        run = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words)
    assert run.code == 2
    assert run.out.startswith("nothing to do: no model was asked")


def test_a_build_without_questions_is_not_annotated_and_ends_well(tmp_path: Path) -> None:
    make_scene(tmp_path / "farm", FARM)
    with ScriptedEndpoint() as server:
        models = ("--annotator", "openai:m,v", "--base-url", server.base_url)
        run = build(tmp_path / "farm", tmp_path / "set", "--tasks", "none", *models)
        assert not server.paid
    assert run.code == 0
    [line] = run.lines
    assert line.startswith(f"not annotated: {tmp_path / 'set'} {NO_QUESTION}; a model proposes some with")
    assert (tmp_path / "set" / "build.toml").exists()


def test_a_review_in_which_nothing_was_decided_says_so_first(inputs: Inputs, tmp_path: Path) -> None:
    tasks = [{"data": {"question_id": "farm/0_0/DIC1"}, "annotations": []}]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    store = ("--store", tmp_path / "review.sqlite")
    imported = rsvqa("review", "import", "--data", inputs.captions, "--from", tmp_path / "tasks.json", *store)
    assert (imported.code, imported.out.splitlines()[0]) == (0, "no task has an annotation")
    applied = rsvqa("review", "apply", "--data", inputs.captions, "--out", tmp_path / "out", *store)
    assert (applied.code, applied.out.splitlines()[0]) == (0, "nothing has been decided yet")
