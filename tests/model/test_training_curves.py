"""The plots of a run: what is drawn where, and with which numbers at its axes."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from rsvqa.model.evaluation import TaskScore
from rsvqa.model.training_curves import Curve, Panel, draw_panels, pick_points, run_panels, ticks_within

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = [
    {"step": 1, "loss": 2.0, "learning_rate": 1e-6},
    {"step": 2, "eval_loss": 1.5, "eval_accuracy": 0.5, "eval_accuracy_OCL": 0.5, "eval_loss_DIC": 1.5},
    {"step": 3, "loss": 1.0, "learning_rate": 5e-7},
    {"step": 4, "eval_loss": 1.25, "eval_accuracy": 0.75, "eval_accuracy_OCL": 0.75, "eval_loss_DIC": 1.75},
]
SCORES = {
    "object_colour": TaskScore(40, 0.75, 0.275, 0.75),
    "detailed_captioning": TaskScore(8, None, None, 1.75),
}


def draw(*panels: Panel) -> ElementTree.Element:
    return ElementTree.fromstring(draw_panels(panels))  # noqa: S314  written by ourselves


def words(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_points_are_the_steps_where_the_figure_was_logged() -> None:
    assert pick_points(FIGURES, "loss") == [(1, 2.0), (3, 1.0)]
    assert pick_points(FIGURES, "eval_loss") == [(2, 1.5), (4, 1.25)]


def test_a_run_shows_its_losses_each_task_and_what_the_most_frequent_answer_reaches() -> None:
    panels = {panel.title: panel.curves for panel in run_panels(FIGURES, SCORES)}
    assert panels == {
        "Loss per token": (Curve("train", [(1, 2.0), (3, 1.0)]), Curve("val", [(2, 1.5), (4, 1.25)])),
        "Accuracy on val, mean of the tasks": (
            Curve("majority", [(1, 0.275), (4, 0.275)]),
            Curve("val", [(2, 0.5), (4, 0.75)]),
        ),
        "OCL, accuracy on val": (Curve("majority", [(1, 0.275), (4, 0.275)]), Curve("val", [(2, 0.5), (4, 0.75)])),
        "DIC, loss on val": (Curve("val", [(2, 1.5), (4, 1.75)]),),
        "Learning rate of the LLM": (Curve("train", [(1, 1e-6), (3, 5e-7)]),),
    }


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 5, 10]),  # 2 apart would be six values
        (0.31, 2.2, [0, 1, 2, 3]),  # 0.5 apart: 0 to 2.5, six values
        (1.0, 1.2, [1.0, 1.05, 1.1, 1.15, 1.2]),
        (0, 5e-6, [0, 2e-6, 4e-6, 6e-6]),
        (-3, 3, [-4, -2, 0, 2, 4]),
        (7, 7, [7, 8]),  # a level line
    ],
)
def test_ticks_are_round_and_enclose_the_values(low: float, high: float, expected: list[float]) -> None:
    assert ticks_within(low, high, 4) == expected


def test_a_curve_is_scaled_between_the_ticks() -> None:
    root = draw(Panel(title="loss", curves=(Curve("train", [(0, 4.0), (5, 2.0), (10, 0.0)]),), is_wide=True))
    (line,) = (line for line in root.iter(f"{SVG}polyline") if len(line.attrib["points"].split()) == 3)
    # a wide panel is 756 x 210, its plot spans x 46 to 742 and y 30 to 186; the ticks are 0 to 4
    assert line.attrib["points"] == "46.0,30.0 394.0,108.0 742.0,186.0"
    assert [word for word in words(root) if word not in ("loss", "train")] == (
        ["0", "1", "2", "3", "4", "0", "2", "4", "6", "8", "10"]
    )


def test_accuracies_have_one_scale_and_a_line_of_the_most_frequent_answer() -> None:
    (panel,) = (panel for panel in run_panels(FIGURES, SCORES) if panel.title.startswith("OCL"))
    root = draw(panel)
    lines = {line.attrib["class"]: line.attrib["points"] for line in root.iter(f"{SVG}polyline")}
    # a small panel is 252 x 156: x 46 to 238 for the steps 1 to 4, y 30 to 132, so 102 units are 100 %
    assert lines == {"majority": "46.0,104.0 238.0,104.0", "val": "110.0,81.0 238.0,55.5"}
    assert words(root) == ["OCL, accuracy on val", "0 %", "25 %", "50 %", "75 %", "100 %", "1", "2", "3", "4"]


def test_panels_share_their_steps() -> None:
    root = draw(*run_panels(FIGURES, SCORES))
    (rate,) = (line for line in root.iter(f"{SVG}polyline") if line.attrib["points"].startswith("550.0,"))
    # the third of a row: x 550 to 742 for the steps 1 to 4; it was last logged at step 3
    assert rate.attrib["points"].split()[-1].startswith("678.0,")


def test_three_small_panels_stand_in_a_row() -> None:
    small = Panel(title="a", curves=(Curve("val", [(1, 1.0), (2, 2.0)]),))
    assert draw(*[small] * 3).attrib["viewBox"] == "0 0 756 156"
    assert draw(*[small] * 4).attrib["viewBox"] == "0 0 756 312"


def test_one_point_is_a_dot_and_no_figure_is_no_panel() -> None:
    root = draw(Panel(title="loss", curves=(Curve("train", [(3, 1.0)]),)), Panel(title="empty", curves=()))
    assert [dot.attrib["class"] for dot in root.iter(f"{SVG}circle")] == ["train"]
    assert "3" in words(root)
    assert "empty" not in words(root)
    assert words(draw(*run_panels([], {}))) == []


def test_small_and_large_numbers_are_short() -> None:
    points = [(1000.0, 2e-6), (2000.0, 1e-6)]
    named = words(draw(Panel(title="rate", curves=(Curve("train", points),), from_zero=True)))
    assert named == ["rate", "0", "5e-7", "1e-6", "1.5e-6", "2e-6", "1,000", "1,500", "2,000"]
