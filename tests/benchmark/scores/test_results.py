"""`results.json` reads back as it was written, and only in its own version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.reports.writing import write_reports
from rsvqa.benchmark.scores.results import RESULTS_FILE, read_results
from tests.benchmark.make_runs import stored, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run with a question of each form and one without a reply."""
    replies = [
        *(stored(f"q{n}", "OC", "AABA"[n % 4], answer="AB"[n % 2], images=(f"i{n}",)) for n in range(8)),
        stored("g", "FVG", "[0, 0, 8000, 6000]", box=(0.0, 0.0, 1.0, 1.0)),
        stored("none", "RP", None),
    ]
    return write_run(tmp_path, replies)


def test_what_is_written_reads_back(run: Path) -> None:
    assert write_reports(run) == read_results(run)


def test_missing_results_say_what_writes_them(run: Path) -> None:
    with pytest.raises(RunError, match=r"results\.json cannot be read .*; `rsvqa score .*` writes it"):
        read_results(run)


@pytest.mark.parametrize("change", [{"schema_version": 2}, {"surprise": 1}, {"num_questions": "many"}])
def test_results_of_another_version_are_refused(run: Path, change: dict[str, object]) -> None:
    write_reports(run)
    content = json.loads((run / RESULTS_FILE).read_text())
    (run / RESULTS_FILE).write_text(json.dumps({**content, **change}))
    with pytest.raises(RunError, match="of another version of rsvqa; `rsvqa score"):
        read_results(run)


def test_averages_by_their_key(run: Path) -> None:
    results = write_reports(run)
    micro = results.average("micro")
    assert micro is not None
    assert micro.strict.value == 2 / 8  # A A B A against A B A B, twice: the first of each four is right
    assert results.average("level_1/Perception/micro") is not None
    assert results.average("no such average") is None


def test_constant_is_the_better_of_letter_and_words(run: Path) -> None:
    results = write_reports(run)
    micro = results.average("micro")
    assert micro is not None
    # A and B are right in turn, always red and green
    assert (micro.majority_letter, micro.majority_answer, micro.constant) == (0.5, 0.5, 0.5)
    assert micro.model_copy(update={"majority_answer": 0.75}).constant == 0.75
    assert micro.model_copy(update={"majority_answer": None, "majority_letter": None}).constant is None
