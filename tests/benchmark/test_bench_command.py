"""`rsvqa bench` from the command line: the whole path, killed and resumed, stopped, and what is printed."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tomli_w

from rsvqa import api
from rsvqa.benchmark.adapters.open_model import open_model
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.files import datasets
from rsvqa.benchmark.files.datasets import Dataset
from rsvqa.benchmark.models import BenchModel
from rsvqa.benchmark.run import runner
from rsvqa.benchmark.samples import Sample
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.make_xlrs import make_built, vqa_row, vqa_rows, write_jsonl
from tests.make_sources import FARM, make_scene
from tests.run_build import RSVQA, build, rsvqa
from tests.scripted_endpoint import Action, Body, ScriptedEndpoint, text_of


def write_replies(path: Path, texts: dict[str, str], *, delay_s: float = 0.0) -> Path:
    lines = [json.dumps({"key": key, "reply": text, "delay_s": delay_s}) for key, text in texts.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def lines(run: Path) -> list[bytes]:
    """Return the finished file with the one field that holds a time set to 0: the bytes that all runs share."""
    parsed = [json.loads(line) for line in (run / "samples.jsonl").read_bytes().splitlines()]
    return [json.dumps({**line, "seconds": 0}, ensure_ascii=False).encode() for line in parsed]


def num_lines(run: Path) -> int:
    path = run / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


# --- what is printed and written ---


def test_a_run_prints_its_figures_and_leaves_its_reports(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "xlrs.jsonl", [*vqa_rows(4), vqa_row(4, answer="E")])
    replies = write_replies(tmp_path / "replies.jsonl", {"0": "A", "1": "The answer is (B).", "2": "A", "3": "Hm."})
    done = rsvqa("bench", "--model", f"fake:{replies}", "--data", data, "--out", tmp_path / "run")
    assert (done.code, done.err) == (0, "")
    # strict reads A, B, A and nothing where A, B, C, D are right: 2 of 4
    [colour] = [line for line in done.out.splitlines() if line.startswith("Object colour")]
    assert colour.split()[2] == "50.0"
    assert "1 rows of the data were left out: answer is not among the options × 1." in done.out
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "run.json",
        "samples.jsonl",
        "thumbnails",
        "results.json",
        "results.md",
        "tasks.csv",
        "report.html",
    }


def test_several_data_sets_are_asked_with_one_model(tmp_path: Path) -> None:
    first = write_jsonl(tmp_path / "one.jsonl", vqa_rows(4))
    second = make_built(tmp_path / "two")
    opened: list[str] = []

    def counted(settings: BenchSettings, samples: Sequence[Sample]) -> BenchModel:
        opened.append(settings.data)
        return open_model(settings, samples)

    words = ("bench", "--model", "random", "--data", f"{first},{second}", "--out", tmp_path / "runs")
    with mock.patch("rsvqa.benchmark.bench.open_model", counted):
        done = rsvqa(*words)
    assert (done.code, done.err) == (0, "")
    assert opened == [str(first)]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"one.jsonl", "two"}
    *_, head, one, two = done.out.splitlines()
    assert head.split()[:2] == ["strict", "95"]
    assert (one.split()[0], one.split()[-2:]) == ("one.jsonl", ["4", "1"])
    assert (two.split()[0], two.split()[-2]) == ("two", "8")
    alone = rsvqa("bench", "--model", "random", "--data", second, "--out", tmp_path / "alone", "--json")
    both = json.loads(rsvqa(*words, "--json").out)
    assert both[1]["averages"] == json.loads(alone.out)["averages"]
    assert lines(tmp_path / "alone") == lines(tmp_path / "runs/two")


@pytest.mark.parametrize(
    ("data", "message"),
    [("{0},{0}", "expected names that differ"), ("{0},", "expected names that differ"), ("{0},nothing", "nothing")],
)
def test_of_several_data_sets_nothing_is_asked_when_one_is_wrong(tmp_path: Path, data: str, message: str) -> None:
    first = make_built(tmp_path / "one")
    done = rsvqa("bench", "--model", "random", "--data", data.format(first), "--out", tmp_path / "runs")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (tmp_path / "runs").exists()


def test_json_is_for_machines(tmp_path: Path) -> None:
    data = make_built(tmp_path / "set")
    done = rsvqa("bench", "--model", "majority", "--data", data, "--out", tmp_path / "run", "--json")
    result = json.loads(done.out)
    assert (result["state"], result["num_questions"]) == ("complete", 8)
    # colours: D, A, so one of two; presence: B, A, likewise
    assert result["averages"]["micro"]["strict"] == 0.5


def test_the_same_command_again_asks_nothing_and_writes_the_same(tmp_path: Path) -> None:
    words = ("bench", "--model", "random", "--data", make_built(tmp_path / "set"), "--out", tmp_path / "run")
    first = rsvqa(*words)
    content = (tmp_path / "run/samples.jsonl").read_bytes()
    assert rsvqa(*words).out == first.out
    assert (tmp_path / "run/samples.jsonl").read_bytes() == content


def test_an_unknown_setting_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text('model = "random"\nbatchsize = 3\n')
    done = rsvqa("bench", "--config", tmp_path / "bench.toml", "--out", tmp_path / "run")
    assert done.code == 2
    assert "unknown setting 'batchsize'" in done.err
    assert "did you mean 'batch_size'?" in done.err
    assert not (tmp_path / "run").exists()


def test_ctrl_c_ends_with_a_line_on_how_to_go_on(tmp_path: Path) -> None:
    with mock.patch("rsvqa.benchmark.bench.bench", side_effect=KeyboardInterrupt):
        done = rsvqa("bench", "--model", "random", "--out", tmp_path / "run")
    assert done.code == 130
    assert done.err == (
        f"rsvqa: stopped; the replies so far are in {tmp_path / 'run'}, the same command goes on from here\n"
    )


# --- from scenes to a score ---


def test_from_scenes_to_a_score(tmp_path: Path) -> None:
    make_scene(tmp_path / "scenes", FARM._replace(width=400, height=300))
    made = build(
        tmp_path / "scenes", tmp_path / "set", "--complete", "yes", "--split-shares", "0,0,1", "--tasks", "OC,OCC,FVG"
    )
    assert made.code == 0, made.err
    done = rsvqa("bench", "--model", "majority", "--data", tmp_path / "set", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["run"]["data"]["split"] == "test"
    assert {task["task"] for task in results["tasks"]} <= {"overall_counting", "object_classification"} | {
        "fine_grained_grounding"
    }
    assert results["num_questions"] == num_lines(tmp_path / "run") > 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_from_scenes_to_a_trained_model_to_a_score(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.model.make_dataset import make_settings

    make_scene(tmp_path / "scenes", FARM)
    make_scene(tmp_path / "scenes", FARM._replace(name="farm2", easting=FARM.easting + 50_000))
    options = ("--complete", "yes", "--split-shares", "0.5,0,0.5", "--tasks", "OC,OCC,DIC,FVG")
    assert build(tmp_path / "scenes", tmp_path / "set", *options).code == 0
    config = tmp_path / "train.toml"
    settings = make_settings(tmp_path / "set", max_steps=2)
    config.write_text(tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True)))
    trained = rsvqa("train", "--config", config, "--out", tmp_path / "model")
    assert trained.code == 0, trained.err
    words = ("bench", "--model", tmp_path / "model", "--data", tmp_path / "set", "--max-new-tokens-caption", 16)
    done = rsvqa(*words, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["not_scored"] == {}
    assert results["run"]["model"]["model_type"] == "geollava"
    assert results["costs"]["visual_tokens_per_image"] > 0
    assert rsvqa(*words, "--out", tmp_path / "plain", "--no-reuse").code == 0
    replies = [json.loads(line)["reply"] for line in lines(tmp_path / "run")]
    assert replies == [json.loads(line)["reply"] for line in lines(tmp_path / "plain")]


# --- killed ---


def run_bench(*words: str) -> None:
    rsvqa(*words)


def test_a_run_killed_several_times_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(24))
    replies = {str(number): "ABCD"[number % 3] for number in range(24)}
    words = ("bench", "--data", str(data), "--model", f"fake:{tmp_path / 'replies.jsonl'}", "--out")
    write_replies(tmp_path / "replies.jsonl", replies, delay_s=0.02)
    assert rsvqa(*words, tmp_path / "whole").code == 0

    killed = tmp_path / "killed"
    # a fork of a process that has done the imports, which take longer than such a run
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.run_build", "rsvqa.benchmark.bench", "rsvqa.benchmark.reports.summary"])
    for at_least in (1, 7, 15):
        process = context.Process(target=run_bench, args=(*words, str(killed)))
        process.start()
        deadline = time.monotonic() + 60
        while num_lines(killed) < at_least:
            assert process.is_alive(), "ended by itself"
            assert time.monotonic() < deadline, "nothing happened in time"
            time.sleep(0.002)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert json.loads((killed / "run.json").read_bytes())["state"] == "running"
        assert at_least <= num_lines(killed) < 24
    assert rsvqa(*words, killed).code == 0
    assert lines(killed) == lines(tmp_path / "whole")
    record = json.loads((killed / "run.json").read_bytes())
    assert record["state"] == "complete"
    assert record["sessions"][0]["num_replies"] <= 24 - 15  # the last session asked only what was missing
    assert (
        json.loads((killed / "results.json").read_bytes())["averages"]
        == (json.loads((tmp_path / "whole/results.json").read_bytes())["averages"])
    )


# --- several processes ---


@pytest.mark.slow
def test_two_processes_of_torchrun_write_what_one_writes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(24))
    replies = write_replies(tmp_path / "replies.jsonl", {str(number): "ABCD"[number % 3] for number in range(24)})
    words = ["bench", "--data", str(data), "--model", f"fake:{replies}", "--out"]
    assert rsvqa(*words, tmp_path / "one").code == 0
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "rsvqa"]
    environment: dict[str, Any] = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launch, *words, str(tmp_path / "two")], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert lines(tmp_path / "two") == lines(tmp_path / "one")
    sessions = json.loads((tmp_path / "two/run.json").read_bytes())["sessions"]
    assert [(session["rank"], session["num_replies"]) for session in sessions] == [(0, 12), (1, 12)]
    assert done.stdout.decode().count("Report:") == 1  # one of them speaks


def test_the_console_script_knows_the_command() -> None:
    done = subprocess.run([RSVQA, "bench", "--help"], capture_output=True, check=True, text=True)
    assert "Score a model on XLRS-Bench" in done.stdout


# --- endpoints ---


def test_an_endpoint_is_asked_once_a_question_and_its_key_is_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sentinel-5521")
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(8))
    refused = "thing 3?"

    def script(body: Body, _earlier: int) -> Action:
        return Action("400") if refused and refused in text_of(body) else Action()

    with ScriptedEndpoint(script, lambda _: "B") as server:
        words = ("bench", "--model", "openai:tiny", "--base-url", server.base_url, "--data", data)
        first = rsvqa(*words, "--out", tmp_path / "run")
        assert (first.code, len(server.paid)) == (0, 7)
        assert "1 of 8 questions have no reply and are in no figure" in first.out
        refused = ""
        again = rsvqa(*words, "--out", tmp_path / "run")
    assert (again.code, sum(server.paid.values())) == (0, 8)
    assert [json.loads(line)["reply"] for line in lines(tmp_path / "run")] == ["B"] * 8
    assert "sentinel" not in first.out + first.err + again.out + again.err
    assert not any(b"sentinel" in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_rotated_options_have_a_column(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(4))
    replies = write_replies(tmp_path / "replies.jsonl", {"*": "A"})
    words = ("bench", "--model", f"fake:{replies}", "--data", data, "--out")
    assert "all rotations" not in rsvqa(*words, tmp_path / "plain").out
    done = rsvqa(*words, tmp_path / "run", "--circular")
    assert num_lines(tmp_path / "run") == 16
    [colour] = [line.split() for line in done.out.splitlines() if line.startswith("Object colour")]
    # "A" is right for one of four as in the file, and for none in all rotations
    assert (colour[2], colour[6]) == ("25.0", "0.0")


# --- how it starts ---


def test_data_are_opened_while_the_packages_of_models_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    data = write_jsonl(tmp_path / "xlrs.jsonl", vqa_rows(2))
    opened = threading.Event()
    order: list[str] = []

    def import_module(name: str) -> None:
        assert opened.wait(60)
        order.append(name)

    def open_dataset(settings: BenchSettings) -> Dataset:
        order.append("data")
        opened.set()
        return datasets.open_dataset(settings)

    monkeypatch.setattr(api, "import_module", import_module)
    monkeypatch.setattr(runner, "open_dataset", open_dataset)
    with pytest.raises(ModelError, match="there is no folder"):
        api.bench(model=str(tmp_path / "none"), data=str(data), out=tmp_path / "run")
    assert order == ["data", "rsvqa.model.registration"]


@pytest.mark.parametrize("is_enabled", [True, False])
def test_that_import_looks_for_no_garbage_and_leaves_the_collector_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_enabled: bool
) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")
    meanwhile: list[bool] = []

    def import_module(name: str) -> None:
        meanwhile.append(gc.isenabled())
        raise ImportError(f"{name} is broken")

    monkeypatch.setattr(api, "import_module", import_module)
    if not is_enabled:
        gc.disable()
    try:
        with pytest.raises(ImportError):
            api.bench(model=str(tmp_path), data=str(write_jsonl(tmp_path / "x.jsonl", vqa_rows(2))), out=tmp_path / "r")
        assert (meanwhile, gc.isenabled()) == ([False], is_enabled)
    finally:
        gc.enable()


def test_what_fails_in_that_import_ends_the_run_before_a_model_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="needs the extra rsvqa[model]")

    def import_module(name: str) -> None:
        raise ImportError(f"{name} is broken")

    monkeypatch.setattr(api, "import_module", import_module)
    with pytest.raises(ImportError, match=r"rsvqa\.model\.registration is broken"):
        api.bench(model=str(tmp_path), data=str(write_jsonl(tmp_path / "x.jsonl", vqa_rows(2))), out=tmp_path / "run")
