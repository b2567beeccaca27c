"""Every command of the README works; the long ones (`make …`, `pip install …`) are run by continuous integration."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.make_overture import as_geojson, make_scene_and_extract

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
RSVQA = Path(sys.executable).with_name("rsvqa")
SMALLER = {"4096": "640", "3": "1"}
"""Pixels and places, instead of the README's: the commands are tested, not the pictures."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if line]


def run(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, f"{shlex.join(command)}: {result.stderr[-2000:]}"
    return result.stdout


@pytest.mark.timeout(600)
def test_the_commands_and_the_snippet_run_in_their_order(tmp_path: Path) -> None:
    ours = [shlex.split(command.removeprefix(".venv/bin/")) for command in commands() if "rsvqa" in command]
    assert " ".join(words[1] for words in ours) == (
        "demo-scenes build export labels build build export export bench bench compare browse leaderboard"
    )
    (tmp_path / "amsterdam").mkdir()
    make_scene_and_extract(tmp_path / "amsterdam", "amsterdam")
    ours = [[SMALLER.get(word, word) for word in words] for words in ours]
    for words in ours:
        run([str(RSVQA), *words[1:]], tmp_path)
    (snippet,) = blocks("python")
    assert run([sys.executable, "-c", snippet], tmp_path).strip()
    for name in re.findall(r"^  (\S+\.\w+)", blocks("")[1], re.MULTILINE):
        assert (tmp_path / "superrs" / name).exists(), name
    assert (tmp_path / "check" / "labels.html").exists()
    assert len(questions_of(tmp_path / "amsterdam-vqa")) >= 10


def test_a_geotiff_and_an_overture_extract_make_a_data_set(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        assert make_scene_and_extract(tmp_path / name, "amsterdam") == 9
    as_geojson(tmp_path / "second" / "building.parquet")
    (tmp_path / "second" / "building.parquet").unlink()
    found = {}
    for name in ("first", "second"):
        command = [str(RSVQA), "labels", "--src", name, "--classes", "overture", "--json"]
        (scene,) = json.loads(run(command, tmp_path))["scenes"].values()
        # every fifth label has no class, so it is a building of no known kind
        assert scene["labels"]["by_class"] == {"building": 2, "house": 6, "warehouse": 1}
        run([str(RSVQA), "build", "--src", name, "--classes", "overture", "--out", f"{name}-vqa"], tmp_path)
        found[name] = questions_of(tmp_path / f"{name}-vqa")
    assert found["first"] == found["second"]
    tasks = {task.rpartition("/")[2] for task, _, _ in found["first"]}
    assert {"Object classification", "Object color"} <= tasks
    assert not {task for task in tasks if "ounting" in task}


def questions_of(data: Path) -> list[tuple[str, str, str]]:
    """Return (category, question, answer) of each row of a data set."""
    rows = pq.read_table(data / "data", columns=["category", "question", "answer"]).to_pylist()
    return [(row["category"], row["question"], row["answer"]) for row in rows]


def test_continuous_integration_runs_the_commands_of_setting_up() -> None:
    recipe = (ROOT / ".ci" / "run").read_text().replace('"', "")
    for command in commands():
        if "rsvqa" not in command:
            assert command.replace(".venv", "$scratch/user") in recipe, command


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
