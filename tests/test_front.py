"""Files that a stranger reads first: they are well formed, and name one version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import rsvqa

ROOT = Path(__file__).parent.parent


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rsvqa.__version__
    assert rsvqa.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda form: form.stem
)
def test_forms_for_reports(form: Path) -> None:
    fields = yaml.safe_load(form.read_text())
    assert {"name", "description", "body"} <= set(fields)
    assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in fields["body"])


def test_hooks_run_tools_that_make_sets_up() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["id"] for hook in local["hooks"]] == ["ruff", "ruff-format", "mypy"]
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = [hook["entry"].split()[1] for hook in local["hooks"] if hook["entry"].startswith("make ")]
    assert set(made) <= targets
