"""Curves and tables of a run."""

from __future__ import annotations

from xml.etree import ElementTree

from rsvqa.model.evaluation import TaskScore
from rsvqa.model.training_report import Panel, draw_curves, pick_curve, render_scores

SVG = "{http://www.w3.org/2000/svg}"


def test_a_curve_holds_the_steps_where_the_figure_was_logged() -> None:
    figures = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_accuracy": 0.5}, {"step": 3, "loss": 1.0}]
    assert pick_curve(figures, "loss") == [(1, 2.0), (3, 1.0)]


def test_curves_are_scaled_to_their_panel() -> None:
    root = ElementTree.fromstring(draw_curves([Panel("loss", [(0, 4.0), (5, 2.0), (10, 0.0)])]))  # noqa: S314
    (line,) = root.findall(f"{SVG}polyline")
    # the plot of a panel of 640 x 180 spans x 44 to 628 and y 24 to 156; the middle step has the middle value
    assert line.attrib["points"] == "44.0,24.0 336.0,90.0 628.0,156.0"


def test_one_point_and_none_can_be_drawn() -> None:
    assert "44.0,156.0" in draw_curves([Panel("loss", [(3, 1.0)])])
    assert "polyline" not in draw_curves([])


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
