"""Letters of options: put on, taken off, moved, and read from other people's answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.annotation.lettering import (
    LETTERS,
    LetteringError,
    cut_options,
    lettered,
    moved_letters,
    option_texts,
    read_letters,
    read_options,
    right_letters,
    spaced,
)


def test_letters_stand_before_the_texts_in_their_order() -> None:
    assert lettered(["red", "(B) blue"]) == ("(A) red", "(B) (B) blue")
    assert option_texts(("(A) red", "(B) (B) blue")) == ("red", "(B) blue")
    assert lettered([]) == option_texts([]) == ()


@given(st.lists(st.text().map(str.strip), max_size=26))
def test_texts_come_back_from_their_letters(texts: list[str]) -> None:
    assert option_texts(lettered(texts)) == tuple(texts)


def test_other_makers_set_no_space_behind_a_letter_or_several() -> None:
    assert option_texts(["(A)red", "(B)  blue ", "(C)\ngreen\nfields"]) == ("red", "blue", "green\nfields")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["(A) red", "blue"], r"the option 'blue' does not begin with \(B\)"),
        (["(B) red"], r"the option '\(B\) red' does not begin with \(A\)"),
        (["A. red"], r"the option 'A. red' does not begin with \(A\)"),
        (["(a) red"], r"does not begin with \(A\)"),
        ([""], r"the option '' does not begin with \(A\)"),
        (["x"] * 27, "27 options are more than there are letters"),
    ],
)
def test_options_without_their_letters_are_refused(options: list[str], message: str) -> None:
    with pytest.raises(LetteringError, match=message):
        option_texts(options)


@pytest.mark.parametrize(
    ("options", "lettered_options"),
    [
        (["(A)red", "(B)  blue "], ("(A)red", "(B)  blue ")),  # as they are
        (["A. red", "B. blue"], ("(A) red", "(B) blue")),
        (["A) red", "B) B) blue"], ("(A) red", "(B) B) blue")),
        (["（A）red", "（B）blue"], ("(A) red", "(B) blue")),
        (["[A] red", "[B]\nblue"], ("(A) red", "(B) blue")),
        (["A、红", "B、蓝"], ("(A) 红", "(B) 蓝")),
        ([], ()),
    ],
)
def test_options_of_others_are_lettered_anew(options: list[str], lettered_options: tuple[str, ...]) -> None:
    assert read_options(options) == lettered_options


@pytest.mark.parametrize(
    "options",
    [
        ["A. red", "(B) blue"],
        ["A. red", "C. blue"],
        ["A red", "B blue"],
        ["a. red", "b. blue"],
        ["red", "blue"],
        ["A. x"] * 27,
        [f"{letter}. x" for letter in LETTERS] + ["A. x"],
    ],
)
def test_options_of_others_that_are_not_lettered_in_one_way_are_refused(options: list[str]) -> None:
    with pytest.raises(LetteringError):
        read_options(options)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("A. red\nB. blue", ["A. red", "B. blue"]),
        ("The choices:\n\n A. red\nand white\nB. blue\n", ["A. red\nand white", "B. blue"]),
        ("A. red\nC. white\nB. blue", ["A. red\nC. white", "B. blue"]),
        ("red\nA. blue", ["red\nA. blue"]),
        ("", []),
        # several in a line
        ("A. red B. blue", ["A. red", "B. blue"]),
        ("A. red, B. blue, C. grey.", ["A. red", "B. blue", "C. grey."]),
        ("The choices:\nA) 5 m; B) 10 m", ["A) 5 m", "B) 10 m"]),
        ("A、红色 B、蓝色", ["A、红色", "B、蓝色"]),
        ("【A】红色，【B】蓝色", ["【A】红色", "【B】蓝色"]),
        ("A. red\tB. blue\nC. grey\tD. white", ["A. red", "B. blue", "C. grey", "D. white"]),
        # which is which is not sure
        ("A. red C. blue", ["A. red C. blue"]),
        ("B. red A. blue", ["B. red A. blue"]),
        ("A. grade B. B. grade C.", ["A. grade B. B. grade C."]),
        ("A. J. Smith B. K. Lee", ["A. J. Smith B. K. Lee"]),
        ("A. Washington D.C. B. Paris", ["A. Washington D.C. B. Paris"]),
        ("A. red B) blue", ["A. red B) blue"]),
        ("A. red (B) blue", ["A. red (B) blue"]),
        ("A. vitamin B. C. iron", ["A. vitamin B. C. iron"]),
        ("A.redB.blue", ["A.redB.blue"]),
        ("A. red\nB. blue C. grey", ["A. red\nB. blue C. grey"]),
        ("A red B blue", ["A red B blue"]),
        ("Pick one: A. red B. blue", ["Pick one: A. red B. blue"]),
    ],
)
def test_a_text_of_options_is_cut_at_its_lettered_lines(text: str, options: list[str]) -> None:
    assert cut_options(text) == options


def test_answers_name_what_is_right_and_go_with_it() -> None:
    assert right_letters([True, False, True, True]) == "ACD"
    assert right_letters([]) == ""
    # the third stands first now, then the first, then the second: A is at B, C at A
    assert moved_letters("AC", [2, 0, 1]) == "AB"
    assert moved_letters("B", [2, 0, 1]) == "C"
    assert spaced("ACD") == "A C D"
    assert spaced("") == ""


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("ACD", "ACD"),
        ("A C D", "ACD"),
        ("D, A,C", "ACD"),
        ("(A) (C)", "AC"),
        ("B.", "B"),
        ("A、C", "AC"),
        ("", None),
        (" , ", None),
        ("E", None),  # of four
        ("AA", None),
        ("a", "A"),
        ("(b)", "B"),
        ("a c", "AC"),
        ("d, a", "AD"),
        ("A;C", "AC"),
        ("A；C", "AC"),
        ("（A）", "A"),
        ("A/C", "AC"),
        ("[A] [C]", "AC"),
        ("bad", None),  # a word
        ("ac", None),
        ("A c", None),
        ("aa", None),
        ("e", None),
        ("-", None),
        ("A and C", None),
    ],
)
def test_letters_of_others_are_read_or_refused(text: str, letters: str | None) -> None:
    assert read_letters(text, 4) == letters
    if letters:
        assert read_letters(spaced(letters), 4) == letters
