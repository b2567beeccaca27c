"""What a reader of the figures is told before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsvqa.benchmark.files.stored_replies import StoredImage
from rsvqa.benchmark.reports.report_tables import notices
from rsvqa.benchmark.reports.writing import score_run
from tests.benchmark.make_runs import stored, write_run
from tests.run_build import rsvqa

EMPTY = "1 of them are empty: reasoning took all the tokens. Raise `max_new_tokens`, or turn it off"
SMALLER = "1 replies are to smaller images: the endpoint refused them in full size as too large."


def told(run: Path, adapter: str) -> str:
    whole = stored("c", "OC", "A")
    image = StoredImage(sha256="i", width=800, height=600, view_width=400, view_height=300, scale_x=0.5, scale_y=0.5)
    replies = [
        stored("a", "OC", "", ended=False),
        stored("b", "OC", "The ship", ended=False),
        whole,
        stored("d", "OC", "A").model_copy(update={"images": (image,)}),
    ]
    return "\n".join(notices(score_run(write_run(run, replies, model={"adapter": adapter})).results))


def test_what_reasoning_ate_and_what_was_sent_smaller_is_said(tmp_path: Path) -> None:
    found = told(tmp_path / "endpoint", "openai")
    assert "2 replies were cut at the bound of new tokens." in found
    assert EMPTY in found
    assert SMALLER in found


@pytest.mark.parametrize(
    ("adapter", "advice"),
    [("openai", "Start it without its reasoning parser, or turn reasoning off"), ("transformers", "said nothing.")],
)
def test_replies_without_a_word_that_were_not_cut_are_said_before_all_else(
    adapter: str, advice: str, tmp_path: Path
) -> None:
    replies = [stored("a", "OC", ""), stored("b", "OC", " \n"), stored("c", "OC", "A"), stored("d", "OC", None)]
    results = score_run(write_run(tmp_path / "run", replies, model={"adapter": adapter})).results
    [place] = [n for n, line in enumerate(notices(results)) if "2 replies are empty, and were not cut" in line]
    found = list(notices(results))
    assert advice in found[place]
    assert found[:place] == [
        "1 of 4 questions have no reply and are in no figure: refused × 1.",
        "The same command asks for missing replies again.",
    ]
    assert results.tasks[0].num_cut_empty == 0


def test_that_a_checkpoint_sees_images_smaller_is_nothing_to_tell(tmp_path: Path) -> None:
    assert SMALLER not in told(tmp_path / "checkpoint", "transformers")


def test_a_run_with_neither_tells_nothing_of_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "plain", [stored("a", "OC", "A")], model={"adapter": "openai"})
    found = "\n".join(notices(score_run(run).results))
    assert "empty" not in found
    assert "smaller images" not in found


def test_each_row_counts_the_questions_that_its_figure_is_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [stored("a", "OC", "A"), stored("b", "OC", None), stored("c", "OC", "B")])
    done = rsvqa("score", run)
    rows = {line.split("  ")[0]: line.split()[-1] for line in done.out.splitlines() if line.startswith(("Over", "mic"))}
    assert rows == {"Overall counting": "2", "micro: mean over all questions with options": "2"}
