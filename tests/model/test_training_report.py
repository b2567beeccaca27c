"""Tables of a run."""

from __future__ import annotations

from rsvqa.model.evaluation import TaskScore
from rsvqa.model.training_report import render_scores


def test_the_table_shows_the_gain_over_the_majority_answer() -> None:
    table = render_scores(
        {
            "object_colour": TaskScore(40, 0.75, 0.275, 0.4),
            "detailed_captioning": TaskScore(8, None, None, 1.25),
        }
    )
    assert table.splitlines()[2:] == [
        "| OCL object_colour | 40 | 75.0 % | 27.5 % | +47.5 |",
        "| DIC detailed_captioning | 8 | loss 1.250 | | |",
    ]
