"""A missing extra is named with a command that brings it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from rsvqa.annotation import extras
from rsvqa.annotation.extras import MissingExtraError, install_command, require_extra

ROOT = Path(__file__).parent.parent.parent
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
METADATA = [
    "numpy>=2",
    'torch<3,>=2.6; extra == "model"',
    'peft<1,>=0.14; extra == "model"',
    'transformers<6,>=5.23; extra == "model"',
    'pywin32>=300; sys_platform == "win32" and extra == "model"',
    'uvicorn[standard]<1,>=0.32; extra == "review"',
]


def installed(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str], pip: str | None = "24.0") -> None:
    if pip:
        versions = {**versions, "pip": pip}

    def version(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(extras, "version", version)
    monkeypatch.setattr(extras, "requires", lambda _name: METADATA)
    monkeypatch.setattr(sys, "platform", "linux")


def refused(extra: str) -> tuple[str, list[str]]:
    """Return what a refusal says is needed, and its command line as a shell takes it apart."""
    with pytest.raises(MissingExtraError) as caught:
        require_extra(extra, "convert")
    said, command = str(caught.value).split(": ", 1)
    assert "\n" not in command
    return said, shlex.split(command)


def test_a_missing_package_is_named_with_its_bounds_in_a_command_for_this_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, {"torch": "2.13.0+cpu", "numpy": "2.4"})
    said, command = refused("model")
    assert said == "`rsvqa convert` needs peft, transformers"  # pywin32 is for another platform
    assert command == [sys.executable, "-m", "pip", "install", "peft>=0.14,<1", "transformers>=5.23,<6"]


def test_a_release_outside_the_bounds_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {"torch": "2.13.0", "peft": "0.14.0", "transformers": "4.57.1"})
    said, command = refused("model")
    assert said == "`rsvqa convert` needs transformers (4.57.1 is installed)"
    assert command[3:] == ["install", "transformers>=5.23,<6"]


def test_extras_of_a_package_are_asked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {})
    assert refused("review")[1][4:] == ["uvicorn[standard]>=0.32,<1"]


def test_what_is_installed_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    # a vendor's build between two releases counts
    installed(monkeypatch, {"torch": "2.9.0a0+nv25.9", "peft": "0.21", "transformers": "5.23.0"})
    require_extra("model", "train")


def test_an_environment_without_pip_is_filled_by_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, {}, pip=None)
    monkeypatch.setattr(sys, "executable", "/my envs/one/bin/python")
    words = shlex.split(install_command("openai<4,>=2"))
    assert words == ["uv", "pip", "install", "--python", "/my envs/one/bin/python", "openai<4,>=2"]


def test_writing_the_command_leaves_setuptools_usable() -> None:
    # torch's compiler imports it; looking for the module `pip` breaks that import in Pythons that bring distutils
    code = "from rsvqa.annotation.extras import install_command; install_command('openai'); import setuptools"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_rsvqa_itself_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", requires)
    with pytest.raises(MissingExtraError, match=r"rsvqa is on the path of Python but not installed: run .* install"):
        require_extra("llm", "annotate")


def test_every_extra_that_is_asked_for_exists() -> None:
    floors = ("annotation", "benchmark", "model", "rsvqa_builder")
    files = [ROOT / "cli.py", *(file for floor in floors for file in (ROOT / floor).rglob("*.py"))]
    code = [file.read_text() for file in files]
    asked = {name for text in code for name in re.findall(r'require_extra\("(\w+)"', text)}
    assert asked == {"model", "llm", "bench", "bits", "hub", "ray", "review", "vllm"}
    assert asked <= set(EXTRAS)
