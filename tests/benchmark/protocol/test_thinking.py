"""What of a reply is meant as the answer."""

from __future__ import annotations

import pytest

from rsvqa.benchmark.protocol.thinking import final_text


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("B", "B"),
        (" B\n", "B"),
        ("<think>A</think> B", "B"),
        ("<think>A</think>B<think>C</think>D", "D"),
        ("A</think>B", "B"),  # opened by the prompt
        ("<Thinking>A</Thinking>B", "B"),
        ("◁think▷A◁/think▷B", "B"),
        ("A <b>B</b>", "A <b>B</b>"),  # other tags stay
        ("so <answer>B</answer>, you see", "B"),
        ("<answer>A</answer> and <answer>B</answer>", "A\nB"),
        ("<answer>B", "B"),  # cut off
        ("B</answer>", "B"),  # never opened
        ("<|begin_of_box|>B<|end_of_box|>", "B"),
        ("<think><answer>A</answer></think>B", "B"),  # tags within the reasoning do not count
        ("<think>A</think>", ""),
        ("", ""),
    ],
)
def test_the_answer_follows_the_reasoning(reply: str, text: str) -> None:
    assert final_text(reply) == text


@pytest.mark.parametrize("reply", ["<think>", "<think>A", "B<think>A", "<think>A</think><think>B"])
def test_unfinished_reasoning_has_no_answer(reply: str) -> None:
    assert final_text(reply) is None
