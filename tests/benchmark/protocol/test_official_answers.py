"""The published extraction: its faults pinned, and every reply compared with lmms-eval's own module where that is."""

from __future__ import annotations

import random
import tomllib
from pathlib import Path

import pytest

from rsvqa.benchmark.protocol.official_answers import (
    mme_letter,
    official_letters,
    omniearth_letters,
    omniearth_vlmevalkit_letters,
    strip_reasoning,
)
from tests.benchmark import lmms_eval

TABLE = Path(__file__).parents[1] / "data" / "strict_answers.toml"
REASONING_TAGS = [["<think>", "</think>"], ["<analysis>", "</analysis>"]]
"""Default of `--reasoning_tags` of lmms-eval's command line."""

PIECES = [
    *("A", "B", "C", "D", "E", "F", "a", "b", "e", "I", "(A)", "(b)", "(E)", "(F)", "( A )", "A.", "B)", "C,", "D:"),
    *("The best answer is", "The correct answer is", "The answer is", "The answer", "the answer is", "Best answer:"),
    *("The best option is", "The correct option is", "Best option:", "The best option isThe correct option is"),
    *("Best answer:Best option:", "Answer:", "answer", "Red", "red", "Moving", "stationary", "no", "Yes", "I", "42"),
    *("<think>", "</think>", "<analysis>", "</analysis>", "<thi", "nk>", "</thi", "<THINK>", "\\boxed{", "}", "**"),
    *(
        " ",
        "  ",
        "\n",
        "\t",
        "\u00a0",
        "\u3000",
        ",",
        ".",
        "é",
        "É",
        "ａ",
        "Ａ",
        "ſ",
        "答案是",
        "。",
        "（A）",
        "\0",
        "😀",
    ),
]


def random_replies(num: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [rng.choice(["", " "]).join(rng.choices(PIECES, k=rng.choice([1, 2, 3, 5, 8, 13, 40]))) for _ in range(num)]


def golden_replies() -> list[str]:
    groups = tomllib.loads(TABLE.read_text(encoding="utf-8")).values()
    return [row[0] for group in groups for row in group["replies"]]


@pytest.mark.parametrize(
    ("reply", "letters"),
    [
        ("B", "B"),
        ("(B) Red", "B"),  # in parentheses it is read alone
        ("B. Red", "BDE"),  # e and d of "Red" too
        ("Answer: B", "ABE"),
        ("\\boxed{B}", "BDE"),
        ("B) Stationary", "AB"),
        ("b", ""),  # no capital A to E
        ("(b)", ""),
        ("(b) Edge", "B"),  # with one, small letters in parentheses count
        ("The answer is B", "B"),  # a prefix that is taken off
        ("the answer is B", "ABE"),  # one that is not: a, e of "answer"; "the" has an e
        ("Best answer: B", "ABE"),  # the glued prefix: never found alone
        ("A C", "AC"),
        ("F", ""),
        ("E", "E"),  # beyond four options, and read all the same
        ("", ""),
        ("<think>A</think>B", "B"),
        ("<think>A B", "AB"),  # never closed: the letters count; t, h, i, n, k hold none of a to e
        ("A</think>B", "B"),
        ("<THINK>A</THINK>B", "AB"),
    ],
)
def test_faults_of_the_published_extraction_are_kept(reply: str, letters: str) -> None:
    assert official_letters(reply) == letters


def test_what_a_cut_brings_together_is_cut_again() -> None:
    assert strip_reasoning("<thi<think>A</think>nk>B</think>C") == "C"


@pytest.mark.parametrize("replies", [random_replies(4000, seed=1), golden_replies()], ids=["random", "golden"])
def test_letters_are_those_of_lmms_eval(replies: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = lmms_eval.load("tasks/xlrs/mcq_utils.py", monkeypatch)
    reasoning = lmms_eval.load("api/reasoning.py", monkeypatch)
    assert len(replies) >= 300
    for reply in replies:
        text = reasoning.strip_reasoning_tags(reply, REASONING_TAGS)
        assert strip_reasoning(reply) == text, repr(reply)
        assert set(official_letters(reply)) == set(theirs.extract_characters_regex(text)), repr(reply)


def test_reasoning_is_stripped_by_the_default_of_their_command_line() -> None:
    wheel = lmms_eval.folder()
    source = (wheel / "lmms_eval" / "__main__.py").read_text(encoding="utf-8")
    assert """default='[["<think>", "</think>"], ["<analysis>", "</analysis>"]]'""" in source


# --- other benchmarks ---


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B", "B"),
        ("A yellow car, so B", "A"),
        ("The best answer is: (C)", "C"),
        ("b", "B"),
        ("", "A"),  # the empty text stands in "(A)"
        ("red", ""),
        ("<think>A or B</think> D", "D"),
        ("it is one of these options but i cannot tell which one", ""),
    ],
)
def test_mme_realworld_takes_the_first_capital(reply: str, letter: str) -> None:
    assert mme_letter(reply) == letter


def test_mme_realworld_reads_as_lmms_eval(monkeypatch: pytest.MonkeyPatch) -> None:
    module = lmms_eval.load("tasks/mme_realworld/utils.py", monkeypatch)
    for reply in [*golden_replies(), *random_replies(20_000, seed=5)]:
        assert mme_letter(reply) == module.extract_characters_regex(strip_reasoning(reply)), reply


@pytest.mark.parametrize(
    ("reply", "own", "vlmevalkit"),
    [
        ("F", "", "F"),
        ("(G)", "", "G"),
        ("(A) (F)", "A", "AF"),
        ("Best answer: C", "C", "ABCE"),  # the prefix is taken off by the own rules only
        ("B. fog", "B", "BFG"),
        ("a", "", ""),
    ],
)
def test_omniearth_bench_by_both_of_its_harnesses(reply: str, own: str, vlmevalkit: str) -> None:
    assert (omniearth_letters(reply), omniearth_vlmevalkit_letters(reply)) == (own, vlmevalkit)
