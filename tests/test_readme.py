"""Every command of the README works; the long ones (`make …`, `pip install …`) are run by continuous integration."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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
        "demo-scenes build export build export export bench bench compare leaderboard"
    )
    ours = [[SMALLER.get(word, word) for word in words] for words in ours]
    for words in ours:
        run([str(RSVQA), *words[1:]], tmp_path)
    (snippet,) = blocks("python")
    assert run([sys.executable, "-c", snippet], tmp_path).strip()
    for name in re.findall(r"^  (\S+\.\w+)", blocks("")[1], re.MULTILINE):
        assert (tmp_path / "superrs" / name).exists(), name


def test_continuous_integration_runs_the_commands_of_setting_up() -> None:
    recipe = (ROOT / ".ci" / "run").read_text().replace('"', "")
    for command in commands():
        if "rsvqa" not in command:
            assert command.replace(".venv", "$scratch/user") in recipe, command


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
