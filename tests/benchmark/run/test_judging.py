"""Stored replies before a judge: what is asked, what is kept, what it costs, and what cannot be read."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from rsvqa.benchmark.files.run_record import read_run_record, write_run_record
from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.files.verdicts import VERDICTS_FILE, read_verdicts
from rsvqa.benchmark.protocol.task_file import TaskFile
from rsvqa.benchmark.scores.results import read_results
from tests.benchmark.make_runs import run_record, stored, write_run
from tests.run_build import Run, rsvqa
from tests.scripted_endpoint import Action, Body, ScriptedEndpoint, text_of

pytestmark = pytest.mark.skipif(importlib.util.find_spec("openai") is None, reason="the openai package is missing")

RED = "The big one is crimson, like option one"
"""A reply that neither parser reads, and that a judge may take for (A) red."""


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def said(body: Body) -> str:
    """Return the reply that a request asks about."""
    quoted = re.search(r"^Reply: (.*)$", text_of(body), re.MULTILINE)
    assert quoted is not None
    return str(json.loads(quoted[1]))


def verdict(body: Body) -> str:
    """Judge by the reply alone; every right answer here is (A) red."""
    return {"A": "CORRECT", RED: "Correct.", "B": "INCORRECT", "who knows": "NO_ANSWER"}.get(said(body), "Perhaps")


REPLIES = [
    stored("a", "OCL", "A", images=("i1",)),
    stored("b", "OCL", RED, images=("i2",)),
    stored("c", "OCL", "B", images=("i3",)),
    stored("d", "OCC", "who knows", images=("i4",)),
    stored("e", "OCC", "strange", images=("i5",)),
    stored("f", "OCC", None, images=("i6",)),
    stored("g", "OCC", "<think>It", images=("i7",)),
]


@pytest.fixture
def server() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(answer=verdict) as running:
        yield running


def judge(run: Path, server: ScriptedEndpoint, *words: object) -> Run:
    return rsvqa("score", run, "--judge", "openai:marker", "--base-url", server.base_url, *words)


def figure(run: Path, key: str = "micro") -> tuple[Any, ...]:
    average = read_results(run).average(key)
    assert average is not None
    assert average.judge is not None
    return average.judge.value, average.judge.num_questions


def test_verdicts_are_a_score_beside_the_others(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    done = judge(run, server)
    assert (done.code, done.err) == (0, "")
    # asked: a to e; f has no reply, g says nothing. Right are a and b; e's verdict cannot be read and is in no figure
    assert sorted(map(said, server.bodies)) == sorted(["A", RED, "B", "who knows", "strange"])
    assert figure(run) == (0.4, 5)  # a, b of a, b, c, d, g
    results = read_results(run)
    assert results.judged is not None
    assert (results.judged.num_judged, results.judged.num_unreadable, results.judged.num_missing) == (5, 1, 0)
    micro = results.average("micro")
    assert micro is not None
    assert micro.strict.value == pytest.approx(1 / 6, abs=1e-6)
    assert "1 verdicts of the judge cannot be read; its figures leave these questions out." in done.out
    assert "marker: 5 replies now, 0 stored" in done.out
    assert "judge" in (run / "results.md").read_text()
    assert "judge: right" in (run / "report.html").read_text()
    assert [body["temperature"] for body in server.bodies] == [0] * 5
    assert [verdict.verdict for verdict in getattr(read_verdicts(run), "verdicts", ())] == [
        *("right", "right", "wrong", "no_answer", None)
    ]


def test_the_judges_outcomes_can_be_filtered(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    rsvqa("browse", run)
    assert '"Judge"' not in written(run)
    judge(run, server)
    rsvqa("browse", run)
    assert '"Judge"' in written(run)


def written(run: Path) -> str:
    """Return all that the page of a run is made of."""
    return "".join(path.read_text() for path in sorted((run / "browse").iterdir()) if path.is_file())


def test_judging_again_asks_nothing_and_scoring_needs_no_judge(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    judge(run, server)
    before = {name: (run / name).read_bytes() for name in (VERDICTS_FILE, "results.json", "report.html")}
    again = judge(run, server)
    assert len(server.bodies) == 5
    assert "marker: 0 replies now, 5 stored" in again.out
    assert rsvqa("score", run).code == 0
    assert before == {name: (run / name).read_bytes() for name in before}


def test_a_judging_that_broke_off_goes_on(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    with ScriptedEndpoint(answer=verdict) as server:
        stopped = judge(run, server, "--max-requests", 2, "--concurrency", 1)
        assert stopped.code != 0
        assert "all replies are kept: start again with a larger budget" in stopped.err
        assert not (run / VERDICTS_FILE).exists()
        assert judge(run, server).code == 0
        assert len(server.bodies) == 5
    assert figure(run) == (0.4, 5)


def test_verdicts_are_of_one_reply_and_another_judge_is_asked_anew(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    judge(run, server)
    changed = [reply.model_copy(update={"reply": "C"}) if reply.sample_id == "a" else reply for reply in REPLIES]
    write_run(run, changed)
    told = rsvqa("score", run)
    assert "1 replies have no verdict; the same `rsvqa score` asks the judge for them." in told.out
    assert figure(run) == (0.25, 4)  # b of b, c, d, g
    rsvqa("score", run, "--judge", "openai:other", "--base-url", server.base_url)
    assert len(server.bodies) == 10
    assert judge(run, server).code == 0
    assert len(server.bodies) == 11  # the changed reply alone


def test_a_failure_is_counted_and_asked_again(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    failing = True

    def script(body: Body, _earlier: int) -> Action:
        return Action("400") if failing and said(body) == "B" else Action()

    with ScriptedEndpoint(script, answer=verdict) as server:
        told = judge(run, server)
        assert "1 replies have no verdict" in told.out
        assert figure(run) == (0.5, 4)
        failing = False
        judge(run, server)
    assert figure(run) == (0.4, 5)


def test_a_judge_that_gives_nothing_is_an_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    with ScriptedEndpoint(lambda _body, _earlier: Action("400"), answer=verdict) as server:
        done = judge(run, server)
    assert done.code == 1
    assert "marker gave no verdict, rejected:" in done.err
    assert not (run / VERDICTS_FILE).exists()


def test_a_dry_run_sends_nothing(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    done = judge(run, server, "--dry-run")
    assert done.out.startswith("5 requests to send, 0 answered before\n")
    assert not server.bodies
    assert not (run / "judge.sqlite").exists()


def test_protocols_stand_side_by_side(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    judge(run, server)
    done = rsvqa("score", run, "--protocol", "strict, judge")
    head = next(line for line in done.out.splitlines() if "strict" in line and "chance" in line)
    interval = ["95", "%", "interval"]
    assert head.split() == ["strict", *interval, "judge", *interval, "chance", "constant", "questions"]
    # strict 1 of 6, judge 2 of 5
    assert "The same replies differ by 23.3 points between these protocols (micro)." in done.out
    as_json = json.loads(rsvqa("score", run, "--protocol", "judge,permissive", "--json").out)
    assert as_json["averages"]["micro"]["judge"] == 0.4
    assert set(as_json["averages"]["micro"]) == {"judge", "permissive"}


def test_a_judge_that_nobody_named_is_asked_for(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    done = rsvqa("score", run, "--protocol", "judge")
    assert done.code == 1
    assert "nobody has judged the replies" in done.err
    assert "--judge" in done.err
    assert rsvqa("score", run, "--judge", "marker").code == 2


def test_a_run_of_captions_has_nothing_to_judge(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", [stored("a", "DIC", "A harbour.", references=("A port.",))])
    done = judge(run, server)
    assert done.code == 2
    assert "no reply to a question with options, or of words, says anything to judge" in done.err
    assert not server.bodies


def test_words_are_judged(tmp_path: Path, server: ScriptedEndpoint) -> None:
    words: dict[str, Any] = {"form": "words", "options": (), "answer": "", "references": ("red",), "task": "mine/all"}
    rules = read_run_record(write_run(tmp_path / "other", REPLIES))
    assert rules.data.rules is None
    reply: StoredReply = stored("a", "OCL", RED, **words)
    mine = TaskFile.model_validate(
        {
            "name": "mine",
            "title": "Mine",
            "source": "here",
            "licence": "none",
            "files": ["x.json"],
            "ask": [{"form": "words", "prompt": "{question}"}],
            "official": {"match": [{"scorer": "exact"}]},
        }
    )
    run = write_run(tmp_path / "run", [reply], data=rules.data.model_copy(update={"rules": mine}))
    assert judge(run, server).code == 0
    assert figure(run) == (1.0, 1)


def test_runs_that_were_judged_otherwise_are_not_compared_by_it(tmp_path: Path, server: ScriptedEndpoint) -> None:
    first, second = (write_run(tmp_path / name, REPLIES) for name in ("one", "two"))
    judge(first, server)
    told = rsvqa("compare", first, second)
    assert "A and B were judged by marker, wording" in told.out
    judge(second, server)
    measures = {one["measure"] for one in json.loads(rsvqa("compare", first, second, "--json").out)["averages"]}
    assert "judge" in measures


# --- a benchmark's own judge ---


def vrsbench_run(folder: Path, replies: dict[str, tuple[str, str]]) -> Path:
    """Write a run over VRSBench of replies and right words, by question."""
    text = resources.files("rsvqa.benchmark.protocol").joinpath("tasks", "vrsbench-vqa.toml").read_text("utf-8")
    rows = [
        stored(key, "OCL", reply, form="words", options=(), answer="", references=(right,), images=(key,))
        for key, (reply, right) in replies.items()
    ]
    record = run_record(len(rows))
    rules = TaskFile.model_validate(tomllib.loads(text))
    run = write_run(folder, rows)
    write_run_record(run, record.model_copy(update={"data": record.data.model_copy(update={"rules": rules})}))
    return run


def test_vrsbench_is_judged_by_its_rules_and_its_own_prompt(tmp_path: Path) -> None:
    replies = {
        "holds": ("A Basketball Court", "basketball court"),  # right
        "hidden": ("unknown", "no"),  # right: "no" stands in it
        "exact": ("maybe", "yes"),  # wrong, and nobody is asked
        "number": ("Three", "3"),  # likewise
        "synonym": ("Football", "Soccer field"),  # the judge says 1
        "other": ("harbor", "airport"),  # 0
        "words": ("river", "lake"),  # "1." is not 1
        "empty": ("", "lake"),  # asked too
    }
    run = vrsbench_run(tmp_path / "run", replies)

    def answer(body: Body) -> str:
        text = text_of(body)
        return "1" if "football" in text.split("Does the")[0] else "1." if "river" in text else "0"

    with ScriptedEndpoint(answer=answer) as server:
        done = judge(run, server, "--judge-wording", "vrsbench")
    assert (done.code, done.err) == (0, "")
    assert len(server.bodies) == 4
    # as the notebook has it
    assert (
        "Question: What is synonym?\nGround Truth Answer: soccer field\nPredicted Answer: football\n"
        "Does the predicted answer match the ground truth? Answer 1 for match and 0 for not match. Use semantic "
        "meaning not exact match. Synonyms are also treated as a match, e.g., football and soccer, playground and "
        "ground track field, building and rooftop, pond and swimming pool. Do not explain the reason.\n"
    ) in set(map(text_of, server.bodies))
    assert figure(run) == (0.375, 8)  # 3 of 8


def test_where_vrsbench_rules_decide_all_nobody_is_asked(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = vrsbench_run(tmp_path / "run", {"a": ("yes", "yes"), "b": ("no", "yes")})
    done = judge(run, server, "--judge-wording", "vrsbench")
    assert (done.code, done.err, server.bodies) == (0, "", [])
    assert figure(run) == (0.5, 2)


def test_a_benchmarks_own_wording_is_for_its_runs_alone(tmp_path: Path, server: ScriptedEndpoint) -> None:
    run = write_run(tmp_path / "run", REPLIES)
    done = judge(run, server, "--judge-wording", "vrsbench")
    assert done.code == 1
    assert "is no run over vrsbench-vqa, whose own wording --judge-wording names" in done.err
    assert server.bodies == []
