"""Every answer about example scenes is recomputed from their truth by other means than the tasks' own code.

Builds go through the command line; shards, labels and images are then read without this project's readers. What the
judges in `tests/truth/` accept: every right option, no wrong one, descriptions that are true of one object only, boxes
within a pixel, and each number, share and class that a caption states.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsvqa.cli import app
from tests.truth.audit import CHECKS, JUDGES, Report, audit, judged
from tests.truth.reading import Row, Truth, WrongError, read_rows

TASKS = {*JUDGES, *CHECKS}
MIN_ANSWERS = 500
MIN_A_TASK = 5


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def make_scenes(out: Path, *, seed: int, size: int, count: int) -> Path:
    run("demo-scenes", "--out", out, "--seed", seed, "--size", size, "--count", count)
    return out


def build(scenes: Path, out: Path, *, tile_size: int, per_task: int, tasks: str = "all") -> Path:
    # unbalanced, since every answer is to be true, the too frequent ones as well
    options = {"--tile-size": tile_size, "--per-task": per_task, "--tasks": tasks, "--balance": "off", "--workers": 2}
    run(
        "build",
        "--src",
        scenes,
        "--out",
        out,
        "--classes",
        "demo",
        *(part for pair in options.items() for part in pair),
    )
    return out


def expect_true(*reports: Report) -> Counter[str]:
    """Return how many answers of each task were found true."""
    wrong = [told for report in reports for told in report.wrong]
    verified = sum((report.verified for report in reports), Counter[str]())
    print(*(f"{count:5} {task}" for task, count in sorted(verified.items())), sep="\n")
    assert not wrong, f"{len(wrong)} of {verified.total() + len(wrong)} answers:\n" + "\n".join(wrong[:20])
    assert verified.total() >= MIN_ANSWERS
    return verified


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("truth") / "scenes", seed=7, size=1024, count=3)


@pytest.fixture(scope="session")
def whole_tiles(scenes: Path) -> Path:
    return build(scenes, scenes.parent / "whole", tile_size=1024, per_task=6)


def test_there_are_22_tasks() -> None:
    assert len(TASKS) == 22


@pytest.mark.timeout(300)
def test_every_answer_about_example_scenes_is_true(scenes: Path, whole_tiles: Path) -> None:
    # Smaller tiles cut objects at their edges; what the whole ones give few of is asked of them again.
    parts = build(scenes, scenes.parent / "parts", tile_size=760, per_task=2, tasks="OC,CCR,OLUC,ECR,RCCD=2,LUC,AD")
    verified = expect_true(audit(scenes, whole_tiles), audit(scenes, parts))
    assert verified.keys() == TASKS
    assert min(verified.values()) >= MIN_A_TASK, verified


def test_no_target_is_asked_about_twice_with_the_same_evidence(whole_tiles: Path) -> None:
    asked = Counter(
        (row.scene, row.frame, row.task, row.rule, frozenset(row.feature_ids))
        for row in read_rows(whole_tiles)
        if row.feature_ids and row.region is None  # a circle is a target of its own
    )
    assert len(asked) > MIN_ANSWERS / 2
    assert [key for key, count in asked.items() if count > 1] == []


def test_an_answer_that_is_changed_is_found_wrong(scenes: Path, whole_tiles: Path) -> None:
    truth = Truth(scenes, whole_tiles)
    first = {row.task: row for row in reversed(list(read_rows(whole_tiles)))}
    assert first.keys() == TASKS
    for row in first.values():
        judged(row, truth)
        with pytest.raises(WrongError):
            judged(with_another_answer(row), truth)


def with_another_answer(row: Row) -> Row:
    """Return a question with its answer made wrong: the next letter, a box moved by two pixels, another number."""
    if row.options:
        letters = list(row.options)
        return replace(row, answer=letters[(letters.index(row.answer[0]) + 1) % len(letters)])
    if row.bbox is not None:
        bbox = tuple(value + 2 / row.size[0] for value in row.bbox)
        return replace(row, bbox=bbox, answer=str([round(value, 6) for value in bbox]))
    first, percent, rest = row.answer.partition(" %)")
    return replace(row, answer=f"{first}9{percent}{rest}")


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    ("seed", "size", "tile_size"), [(1, 4096, 4096), (2, 4096, 1500), (3, 2048, 700), (4, 3000, 2048)]
)
def test_every_answer_about_large_scenes_is_true(tmp_path: Path, seed: int, size: int, tile_size: int) -> None:
    found = make_scenes(tmp_path / "scenes", seed=seed, size=size, count=3)
    expect_true(audit(found, build(found, tmp_path / "built", tile_size=tile_size, per_task=10)))
