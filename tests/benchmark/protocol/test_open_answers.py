"""Open answers: each scorer by itself, and WordNet's parameters on senses that are made up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.protocol import open_answers
from rsvqa.benchmark.protocol.open_answers import (
    ContainmentScorer,
    ExactScorer,
    NumericScorer,
    WordNetScorer,
    clean,
    is_right,
    read_number,
)

EXACT = ExactScorer(scorer="exact")
CLEANED = ExactScorer(scorer="exact", cleaned=True)


@pytest.mark.parametrize(
    ("reply", "right", "exact", "cleaned"),
    [
        ("Yes", "yes", True, True),
        ("Yes.", "yes", False, True),
        ("a red roof", "Red roof", False, True),
        ("the car", "the cars", False, False),
        ("1,000", "1000", False, True),
        ("3.5", "35", False, False),
        ("-3", "3", False, False),
        ("well-kept", "well kept", False, False),
        ("A", "a", True, True),
        ("", "no", False, False),
    ],
)
def test_equality(reply: str, right: str, exact: bool, cleaned: bool) -> None:
    assert (EXACT.accepts(reply, right), CLEANED.accepts(reply, right)) == (exact, cleaned)


@pytest.mark.parametrize(
    ("reply", "right", "words", "anywhere"),
    [
        ("It is unknown.", "no", False, True),
        ("No, it is not.", "no", True, True),
        ("two ships", "2", False, False),
        ("", "no", False, False),
    ],
)
def test_containment(reply: str, right: str, words: bool, anywhere: bool) -> None:
    assert ContainmentScorer(scorer="contains").accepts(reply, right) is words
    assert ContainmentScorer(scorer="contains", whole_words=False).accepts(reply, right) is anywhere


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("3", 3), ("three", 3), ("about 1,200 m", 1200), ("-2.5", -2.5), ("3 (three)", 3), ("ten", 10), ("10 %", 10)),
        *(("2 or 3", None), ("many", None), ("", None)),
    ],
)
def test_numbers_are_read_when_there_is_one(text: str, number: float | None) -> None:
    assert read_number(text) == number


@pytest.mark.parametrize("text", ["not 5", "more than 5", "at least 5", "<5", "the 5th", "no 5", "up to 5", "isn't 5"])
def test_a_bound_or_a_denied_number_is_none(text: str) -> None:
    assert read_number(text) is None
    assert not NumericScorer(scorer="numeric").accepts(text, "5")


def test_tolerances() -> None:
    assert NumericScorer(scorer="numeric").accepts("two", "2")
    assert not NumericScorer(scorer="numeric").accepts("3", "2")
    assert NumericScorer(scorer="numeric", tolerance=1).accepts("3", "2")
    assert not NumericScorer(scorer="numeric", tolerance=1).accepts("4", "2")
    # a tenth of 50 is 5
    assert NumericScorer(scorer="numeric", relative=0.1).accepts("55", "50")
    assert not NumericScorer(scorer="numeric", relative=0.1).accepts("56", "50")
    assert not NumericScorer(scorer="numeric", tolerance=99).accepts("many", "2")


@pytest.mark.parametrize(
    "reply",
    ["14k", "14 thousand", "14 dozen", "14 or more", "14+", "plus de 14", "超过14", "14万", "14/15"],
)
def test_a_number_that_is_part_of_another_or_a_bound_is_not_the_right_one(reply: str) -> None:
    assert not NumericScorer(scorer="numeric").accepts(reply, "14")


def test_two_hundred_is_not_two() -> None:
    assert not NumericScorer(scorer="numeric").accepts("two hundred", "2")


@pytest.mark.parametrize(
    ("reply", "right", "is_right"),
    [
        ("14 km", "14 m", False),
        ("14 m²", "14 m", False),
        ("14 meters", "14 m", True),
        ("about 14 m", "14", True),
        ("14%", "14 percent", True),
        ("-3.0", "-3", True),
    ],
)
def test_units_that_differ_are_told_apart(reply: str, right: str, is_right: bool) -> None:
    assert NumericScorer(scorer="numeric").accepts(reply, right) == is_right


def test_one_scorer_and_one_reference_is_enough() -> None:
    assert is_right("two", ["3", "2"], [EXACT, NumericScorer(scorer="numeric")])
    assert not is_right("two", ["3", "2"], [EXACT])
    assert not is_right("two", [], [EXACT])


def test_cleaning_leaves_something_of_an_article() -> None:
    assert clean("A.") == "a"
    assert clean(" The  big_ship! ") == "big ship"
    assert clean("...") == ""


# --- WordNet ---


@dataclass(frozen=True)
class Sense:
    likeness: Mapping[str, float]
    name: str

    def path_similarity(self, other: Sense) -> float | None:
        return self.likeness.get(other.name)


SENSES = {
    "truck": [Sense({"lorry": 1.0, "car": 0.8}, "truck"), Sense({}, "barter")],
    "lorry": [Sense({}, "lorry")],
    "car": [Sense({}, "car")],
}


@pytest.fixture
def senses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(open_answers, "_synsets", lambda text: SENSES.get(text, []))
    monkeypatch.setattr(open_answers, "_lemma", lambda text: text.removesuffix("s"))
    open_answers._similarity.cache_clear()
    yield
    open_answers._similarity.cache_clear()


@pytest.mark.parametrize(
    ("reply", "lrs_vqa", "lrs_gro"),
    [
        ("Lorry", True, True),  # 1.0
        ("car", False, True),  # 0.8 is not above 0.8, but reaches it
        ("lorrys", False, True),  # known by its lemma only
        ("a lorry", False, False),  # the whole text is looked up
        ("bridge", False, False),
    ],
)
def test_wordnet_by_threshold_and_lemmas(reply: str, lrs_vqa: bool, lrs_gro: bool, senses: None) -> None:
    # similarity is asked of the first text for the second; the right one stands second
    plain = WordNetScorer(scorer="wordnet", threshold=0.8)
    lemmas = WordNetScorer(scorer="wordnet", threshold=0.8, inclusive=True, lemmas=True)
    assert plain.accepts("truck", reply) is lrs_vqa
    assert lemmas.accepts("truck", reply) is lrs_gro


def test_a_missing_corpus_says_how_to_fetch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def synsets(self, text: str) -> list[object]:
            raise LookupError(text)

    pytest.importorskip("nltk.corpus")
    monkeypatch.setattr("nltk.corpus.wordnet", Missing())
    open_answers._similarity.cache_clear()
    with pytest.raises(BenchmarkDataError, match=r"python -m nltk\.downloader wordnet"):
        WordNetScorer(scorer="wordnet", threshold=0.8).accepts("truck", "lorry")
