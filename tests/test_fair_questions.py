"""No task of the example scenes is guessed without the image: places are held out, for two seeds.

The figures of `docs/audit.md` are made with the same scenes and settings.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsvqa.benchmark.auditing.auditing import audit_data
from rsvqa.cli import app
from rsvqa.rsvqa_builder.auditing.printing import task_name
from rsvqa.rsvqa_builder.auditing.settings import AuditSettings

POINTS = 3
"""Above chance that the lower end of a task's interval may lie."""


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_task_is_guessed_without_its_image(tmp_path: Path, seed: int) -> None:
    scenes, built = tmp_path / "scenes", tmp_path / "built"
    run("demo-scenes", "--out", scenes, "--seed", seed, "--size", 1536, "--count", 16)
    run(
        *("build", "--src", scenes, "--out", built, "--classes", "demo", "--tile-size", 512),
        *("--split-shares", "1,0,0", "--no-audit", "--workers", 2),
    )
    report = audit_data(built, AuditSettings(images=False))
    assert report["method"]["scikit_learn"] is not None, "the classifiers guess, too: install the extra audit"
    assert not [defect for defect in report["defects"] if defect["is_wrong"]]
    assert len({found["task"] for found in report["shortcuts"]}) >= 20
    sure = {task_name(found): found["sure_points"] for found in report["shortcuts"] if found["sure_points"] is not None}
    too_easy = {name: points for name, points in sure.items() if points > POINTS}
    assert not too_easy, too_easy
