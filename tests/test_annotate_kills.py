"""Over a thousand requests of an annotation, a third of them with faults, and a process that is killed twice."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.rsvqa_builder.dataset.shards import read_records
from tests.annotate_data import build_demo, data_digest, endpoint_answer, knowing_model
from tests.run_build import RSVQA
from tests.scripted_endpoint import ScriptedEndpoint, seeded_faults

CONCURRENCY = 8


def start(data: Path, out: Path, server: ScriptedEndpoint) -> subprocess.Popen[bytes]:
    command = [
        RSVQA,
        "annotate",
        "--data",
        data,
        "--out",
        out,
        "--model",
        "knowing",
        "--same-model",
        "--base-url",
        server.base_url,
    ]
    command += ["--steps", "word,draft,verify,translate", "--concurrency", str(CONCURRENCY)]
    return subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL)


def kill_after(process: subprocess.Popen[bytes], server: ScriptedEndpoint, num_paid: int) -> None:
    while server.paid.total() < num_paid:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_twice_every_question_ends_once_and_the_shards_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    data = build_demo(tmp_path, count=3)
    answer = endpoint_answer(knowing_model(data, error_rate=0.1, seed=3, gives_away=lambda text: "moving" in text))
    script = seeded_faults(11, share=0.3)
    out, calm_out = tmp_path / "out", tmp_path / "calm"
    with ScriptedEndpoint(script, answer, late_s=0.02, keeps_bodies=False) as server:
        kill_after(start(data, out, server), server, 300)
        kill_after(start(data, out, server), server, 800)
        assert not (out / "build.toml").exists()
        assert start(data, out, server).wait() == 0
        assert len(server.sent) > 1_000
    with ScriptedEndpoint(script, answer, late_s=0.02, keeps_bodies=False) as calm:
        assert start(data, calm_out, calm).wait() == 0
    assert data_digest(out) == data_digest(calm_out)

    before = {row["question_id"] for row in read_records(data, columns=["question_id"])}
    columns = ["question_id", "question", "answer", "review", "source"]
    rows = {row["question_id"]: row for row in read_records(out, columns=columns)}
    assert not any("Ignore all previous" in row["question"] + row["answer"] for row in rows.values())
    report = json.loads((out / "annotate_report.json").read_text("utf-8"))
    rejected = {entry["question_id"] for entry in report["rejected"]}
    assert before == {name for name in rows if not name.endswith("-zh")} | rejected
    assert not rejected & rows.keys()
    assert {row["review"] for row in rows.values()} == {"none", "needed"}
    counts = report["questions"]
    assert counts["accepted"] + counts["review"] == len(rows)
    assert counts["rejected"] == len(rejected) > 0

    assert max(calm.paid.values()) == 1
    with ReplyStore(tmp_path / "out.replies.sqlite") as kept:
        in_flight = [name for name, reason in kept.lost() if reason == "process died"]
    # what was on its way when the process died may have been answered unheard, and nothing else
    assert len(in_flight) <= 2 * CONCURRENCY
    assert server.paid.total() <= calm.paid.total() + len(in_flight)
