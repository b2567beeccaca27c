"""`rsvqa annotate` and `rsvqa build --annotator` as a user runs them, against an endpoint on loopback."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.rsvqa_builder.dataset.output import OutputFolder
from rsvqa.rsvqa_builder.dataset.shards import read_records
from rsvqa.rsvqa_builder.files import OutputError
from tests.annotate_data import build_demo, data_digest, endpoint_answer, knowing_model
from tests.run_build import rsvqa, tree_digest
from tests.scripted_endpoint import (
    Action,
    Body,
    Manner,
    Script,
    ScriptedEndpoint,
    always,
    seeded_faults,
    text_of,
)

KEY = "sk-sentinel-0815"
FEW = ("--tasks", "OC,OCL,FVG,RIC", "--per-task", 2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_demo(tmp_path_factory.mktemp("demo"), words=FEW)


@pytest.fixture
def endpoint(data: Path) -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(answer=endpoint_answer(knowing_model(data))) as server:
        yield server


def test_a_job_prints_outcomes_and_the_bill_and_is_not_paid_twice(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    out = tmp_path / "out"
    words = (
        "annotate",
        "--data",
        data,
        "--out",
        out,
        "--model",
        "knowing",
        "--same-model",
        "--base-url",
        endpoint.base_url,
    )
    done = rsvqa(*words)
    assert done.code == 0, done.err
    assert "object_colour" in done.out
    assert f"knowing: {endpoint.paid.total():,} replies now, 0 stored" in done.out
    assert "brought no reply" not in done.out
    with ReplyStore(tmp_path / "out.replies.sqlite") as kept:
        kept.note_lost("some request")
    again = rsvqa(*words, "--overwrite")
    assert "annotated like this already" in again.out
    assert "1 sendings brought no reply and may be on the endpoint's bill" in again.out
    # the replies outlive the data set
    other = rsvqa(*words[:4], tmp_path / "other", *words[5:], "--replies", tmp_path / "out.replies.sqlite")
    assert f"knowing: 0 replies now, {endpoint.paid.total():,} stored" in other.out
    assert max(endpoint.paid.values()) == 1
    assert data_digest(out) == data_digest(tmp_path / "other")
    assert {name.lower(): value for name, value in endpoint.headers.items()}["authorization"] == f"Bearer {KEY}"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written
    assert KEY not in done.out + done.err


def test_a_dry_run_sends_and_writes_nothing(data: Path, endpoint: ScriptedEndpoint, tmp_path: Path) -> None:
    words = (
        "annotate",
        "--data",
        data,
        "--out",
        tmp_path / "out",
        "--model",
        "gpt-4o",
        "--same-model",
        "--base-url",
        endpoint.base_url,
    )
    dry = rsvqa(*words, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    found = json.loads(dry.out)
    assert endpoint.sent.total() == 0
    assert not any(tmp_path.iterdir())
    assert found["cost"] > 0
    done = rsvqa(*words)
    assert done.code == 0, done.err
    # drafts need no wording before, and nothing gave itself away: exactly what was planned
    assert endpoint.paid.total() == found["requests"]


def test_a_pilot_asks_about_few_questions_of_the_tasks_named(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path
) -> None:
    words = ("--model", "knowing", "--steps", "verify", "--base-url", endpoint.base_url, "--json")
    done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words, "--tasks", "OCL", "--limit", 2)
    assert done.code == 0, done.err
    counts = json.loads(done.out)["questions"]
    assert counts["before"] - counts["not_open_to_models"] == 2
    unknown = rsvqa("annotate", "--data", data, "--out", tmp_path / "two", *words, "--tasks", "XYZ")
    assert unknown.code != 0
    assert "--tasks" in unknown.err


def test_what_failed_for_nothing_is_asked_again_by_the_same_command(data: Path, tmp_path: Path) -> None:
    model = endpoint_answer(knowing_model(data))
    failing: Script = lambda body, _: Action("400" if "colour" in text_of(body) else "well")  # noqa: E731
    words = ("annotate", "--data", data, "--out", tmp_path / "out", "--model", "knowing", "--steps", "verify", "--json")
    with ScriptedEndpoint(failing, model) as server:
        first = json.loads(rsvqa(*words, "--base-url", server.base_url).out)
        assert first["failed_requests"].keys() == {"rejected"}
        server.script = always("well")
        again = rsvqa(*words, "--base-url", server.base_url)
        assert again.code == 0, again.err
        second = json.loads(again.out)
        assert not second["was_complete"]
        assert "failed_requests" not in second
        assert json.loads(rsvqa(*words, "--base-url", server.base_url).out)["was_complete"]
    assert max(server.paid.values()) == 1


def test_a_spent_budget_keeps_what_was_paid(data: Path, endpoint: ScriptedEndpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = (
        "annotate",
        "--data",
        data,
        "--out",
        out,
        "--model",
        "knowing",
        "--same-model",
        "--base-url",
        endpoint.base_url,
    )
    stopped = rsvqa(*words, "--max-requests", 5)
    assert stopped.code == 1
    assert "the budget of 5 requests is used up" in stopped.lines[-1]
    assert not (out / "build.toml").exists()
    assert endpoint.paid.total() == 5
    assert rsvqa(*words).code == 0
    assert max(endpoint.paid.values()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-cost", "-1"), "--max-cost = '-1': Input should be greater"),
        (("--max-cost", "nan"), "--max-cost = 'nan': Input should be greater"),
        (("--max-requests", "-1"), "--max-requests = '-1': Input should be greater"),
        (("--steps", "word,guess"), "--steps = 'guess'"),
        # gpt-4o has a price; its verifier would be asked last, when the rest is paid for
        (("--max-cost", "5", "--verifier", "mine"), "--max-cost: no price for mine; give a table as --prices"),
        (("--max-requests", "0"), "the budget of 0 requests is used up"),
        (("--max-cost", "0"), "the budget of $0 is used up"),
    ],
)
def test_what_cannot_be_done_costs_nothing(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path, words: tuple[str, str], message: str
) -> None:
    out = tmp_path / "out"
    done = rsvqa(
        "annotate",
        "--data",
        data,
        "--out",
        out,
        "--model",
        "gpt-4o",
        "--same-model",
        "--base-url",
        endpoint.base_url,
        *words,
    )
    assert done.code != 0
    assert message in done.lines[-1]
    assert endpoint.sent.total() == 0
    assert not (out / "build.toml").exists()


def test_a_bounded_cost_does_without_the_prices_of_models_that_are_not_asked(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path
) -> None:
    words = ("--model", "mine", "--verifier", "gpt-4o", "--steps", " verify", "--max-cost", 100)
    done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", "--base-url", endpoint.base_url, *words)
    assert done.code == 0, done.err
    assert endpoint.paid.total() > 0


@pytest.mark.parametrize("where", ["--in-place", "--out=new"])
def test_no_data_set_leaves_nothing_behind(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = rsvqa(
        "annotate",
        "--data",
        tmp_path / "typo",
        "--model",
        "m",
        "--same-model",
        "--base-url",
        "http://127.0.0.1:1/v1",
        where,
    )
    assert done.code == 2
    assert "holds no finished data set" in done.lines[-1]
    assert not any(tmp_path.iterdir())


def test_a_data_set_is_not_replaced_while_another_job_reads_it(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path
) -> None:
    words = ("--model", "m", "--same-model", "--base-url", endpoint.base_url)
    with OutputFolder(data):
        done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words)
    assert done.code == 1
    assert f"is being written by another job (process {os.getpid()} on " in done.lines[-1]
    assert endpoint.sent.total() == 0
    # and the other way round
    model = endpoint_answer(knowing_model(data))
    tries: list[str] = []

    def answer(body: Body) -> str:
        if not tries:
            with pytest.raises(OutputError) as refused, OutputFolder(data):
                pass
            tries.append(str(refused.value))
        return str(model(body))

    with ScriptedEndpoint(answer=answer) as server:
        words = ("--model", "m", "--same-model", "--base-url", server.base_url)
        done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words, "--steps", "word")
    assert done.code == 0, done.err
    assert "another build is writing into" in tries[0]


def test_orders_in_a_reply_reach_no_question(data: Path, tmp_path: Path) -> None:
    steps = ("--steps", "word,draft,translate")
    with ScriptedEndpoint(always("injected"), endpoint_answer(knowing_model(data))) as server:
        words = ("--model", "m", "--same-model", "--base-url", server.base_url, *steps)
        done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words)
    assert done.code == 0, done.err
    assert len(server.sent) > 10
    names = ["question_id", "question", "answer", "multi-choice options"]
    before, after = (
        {row.pop("question_id"): row for row in read_records(folder, columns=names)}
        for folder in (data, tmp_path / "out")
    )
    assert not any("Ignore" in str(row) for row in after.values())
    assert {name: row for name, row in after.items() if row != before.get(name)} == {}


@pytest.mark.parametrize("manner", ["no_option", "wrong_box"])
def test_a_verifier_that_talks_nonsense_accepts_nothing(data: Path, tmp_path: Path, manner: Manner) -> None:
    with ScriptedEndpoint(always(manner), endpoint_answer(knowing_model(data))) as server:
        words = ("--model", "m", "--same-model", "--base-url", server.base_url, "--steps", "verify", "--json")
        done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words)
    assert done.code == 0, done.err
    reason = {"no_option": "blind answer is not an option", "wrong_box": "blind answer is no box in the picture"}[
        manner
    ]
    assert json.loads(done.out)["review_reasons"][reason] > 0


def test_an_endpoint_that_is_down_ends_the_job_in_one_line(data: Path, tmp_path: Path) -> None:
    with ScriptedEndpoint(always("400", text="no such model")) as server:
        words = ("--model", "m", "--same-model", "--base-url", server.base_url)
        done = rsvqa("annotate", "--data", data, "--out", tmp_path / "out", *words)
    assert done.code == 1
    assert "every request of 'word' failed, the last with: " in done.lines[-1]
    assert "no such model" in done.lines[-1]
    assert not (tmp_path / "out" / "build.toml").exists()


def test_batches_give_the_same_data_set(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the endpoint is asked every half minute whether a batch has ended; this one has at once
    sleep = time.sleep
    monkeypatch.setattr("rsvqa.annotation.llm.batch_api.time.sleep", lambda _: sleep(0.01))
    words = ("annotate", "--data", data, "--model", "knowing", "--base-url", endpoint.base_url, "--steps", "word")
    assert rsvqa(*words, "--out", tmp_path / "one").code == 0
    done = rsvqa(*words, "--out", tmp_path / "two", "--batch-api")
    assert done.code == 0, done.err
    assert data_digest(tmp_path / "one") == data_digest(tmp_path / "two")


def test_where_to_write_must_be_said_once(data: Path, tmp_path: Path) -> None:
    for words in ((), ("--out", tmp_path / "out", "--in-place")):
        done = rsvqa("annotate", "--data", data, "--model", "m", "--same-model", *words)
        assert done.code == 2
        assert "give either --out or --in-place" in done.err
    done = rsvqa("annotate", "--data", data, "--model", "m", "--same-model", "--out", data)
    assert done.code == 2
    assert "to replace it say --in-place" in " ".join(done.err.split())


def test_openai_without_a_key_is_refused_before_anything_is_built(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    src = data.parent / "scenes"
    done = rsvqa("build", "--src", src, "--out", tmp_path / "out", "--annotator", "openai:gpt-4o,gpt-4.1")
    assert done.code == 1
    assert "set the environment variable OPENAI_API_KEY" in done.lines[-1]
    assert not (tmp_path / "out").exists()


def test_another_annotator_is_named(data: Path, tmp_path: Path) -> None:
    done = rsvqa("build", "--src", data.parent / "scenes", "--out", tmp_path / "out", "--annotator", "gpt-4o")
    assert done.code == 2
    assert "--annotator = 'gpt-4o': expected rules, or openai:MODEL,VERIFIER" in done.lines[-1]


def test_build_and_annotate_are_one_job(data: Path, tmp_path: Path) -> None:
    out, src = tmp_path / "set", data.parent / "scenes"
    words = ("build", "--src", src, "--classes", "demo", "--out", out, "--workers", 0, *FEW)
    model = endpoint_answer(knowing_model(data))
    with ScriptedEndpoint(always("400"), model) as down:
        annotator = ("--annotator", "openai:knowing,knowing", "--base-url", down.base_url)
        refused = rsvqa(*words, *annotator, "--max-cost", 5)
        assert "--max-cost: no price for knowing" in refused.lines[-1]
        assert not out.exists()
        stopped = rsvqa(*words, *annotator)
    assert stopped.code == 1
    assert {row["source"] for row in read_records(out, columns=["source"])} == {"rule"}
    with ScriptedEndpoint(seeded_faults(1, share=0.2), model, late_s=0.02) as server:
        annotator = ("--annotator", "openai:knowing,knowing", "--base-url", server.base_url)
        done = rsvqa(*words, *annotator)
        assert done.code == 0, done.err
        paid = server.paid.total()
        before = tree_digest(out)
        again = rsvqa(*words, *annotator, "--json")
        assert again.code == 0
        report = json.loads(again.out)  # one line
        assert (report["state"], report["annotation"]["was_complete"]) == ("complete", True)
        assert server.paid.total() == paid > 0
    assert tree_digest(out) == before
    assert "llm" in {row["source"] for row in read_records(out, columns=["source"])}


def test_rules_alone_are_as_before(data: Path, tmp_path: Path) -> None:
    src = data.parent / "scenes"
    words = ("build", "--src", src, "--classes", "demo", "--out", tmp_path / "set", "--workers", 0, *FEW)
    assert rsvqa(*words, "--annotator", "rules").code == 0
    assert tree_digest(tmp_path / "set") == tree_digest(data)


def test_a_stopped_job_writes_the_data_set_of_what_is_done_and_goes_on(
    data: Path, endpoint: ScriptedEndpoint, tmp_path: Path
) -> None:
    words = ("annotate", "--data", data, "--model", "knowing", "--same-model", "--base-url", endpoint.base_url)
    out = ("--out", tmp_path / "out")
    none = rsvqa(*words, *out, "--finish")
    assert (none.code, "nothing has been answered yet" in none.err) == (2, True)
    whole = rsvqa(*words, "--out", tmp_path / "whole", "--replies", tmp_path / "other.sqlite", "--concurrency", 1)
    assert whole.code == 0, whole.err
    num_all = endpoint.paid.total()
    # most of the verifier's answers, which come last, are missing
    stopped = rsvqa(*words, *out, "--concurrency", 1, "--max-requests", num_all - 5)
    assert "is used up" in stopped.err
    assert not (tmp_path / "out").exists()
    paid = endpoint.paid.total()
    done = rsvqa(*words, *out, "--finish")
    assert done.code == 0, done.err
    assert endpoint.paid.total() == paid
    assert "5 questions are as they were, for they are not finished" in done.out
    before, after, full = (
        {row["question_id"]: row for row in read_records(folder)}
        for folder in (data, tmp_path / "out", tmp_path / "whole")
    )
    assert after.keys() == before.keys()
    assert sum(row == before[name] for name, row in after.items()) == 5
    assert sum(row == full[name] for name, row in after.items()) == len(after) - 5
    report = json.loads((tmp_path / "out" / "annotate_report.json").read_text())
    assert (report["unfinished"], report["failed_requests"]) == (5, {"not_asked": 5})
    assert rsvqa(*words, *out).code == 0
    assert endpoint.paid.total() == paid + 5
    assert data_digest(tmp_path / "out") == data_digest(tmp_path / "whole")


def test_finish_writes_into_another_folder(data: Path) -> None:
    done = rsvqa("annotate", "--data", data, "--in-place", "--finish", "--model", "m", "--same-model")
    assert (done.code, "give --out" in done.err) == (2, True)
