"""Caption metrics against published worked examples, hand calculation, and a recording of the COCO evaluation."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsvqa.benchmark.scores.caption_metrics import corpus_bleu, score_captions
from rsvqa.benchmark.scores.caption_tokens import caption_tokens, reply_tokens
from rsvqa.benchmark.scores.cider import cider_d
from rsvqa.benchmark.scores.rouge import lcs_length, rouge_l

RECORDING = json.loads((Path(__file__).parents[1] / "data" / "caption_reference.json").read_text(encoding="utf-8"))


def metric(candidate: str, references: list[str], name: str) -> float:
    value = score_captions([candidate], [references], "en").metrics[name].value
    assert value is not None
    return value


# --- the COCO evaluation ---


def test_a_set_of_captions_has_the_values_of_the_coco_evaluation() -> None:
    candidates, references = zip(*RECORDING["captions"], strict=True)
    scores = score_captions(candidates, references, "en")
    values = {name: scored.value for name, scored in scores.metrics.items()}
    assert [values[f"BLEU-{order}"] for order in (1, 2, 3, 4)] == pytest.approx(RECORDING["bleu"], abs=1e-9)
    assert values["ROUGE-L"] == pytest.approx(RECORDING["rouge"], abs=1e-12)
    assert values["CIDEr-D"] == pytest.approx(RECORDING["cider"], abs=1e-12)
    assert scores.metrics["ROUGE-L"].per_sample == pytest.approx(RECORDING["rouge_per_sample"], abs=1e-12)
    assert scores.metrics["CIDEr-D"].per_sample == pytest.approx(RECORDING["cider_per_sample"], abs=1e-12)


# --- BLEU ---


def test_clipped_precision_of_the_example_in_the_bleu_paper() -> None:
    # Papineni et al. 2002, example 2: modified unigram precision 2/7; a reference has 7 words, so no brevity penalty
    references = ["The cat is on the mat.", "There is a cat on the mat."]
    assert metric("the the the the the the the.", references, "BLEU-1") == pytest.approx(2 / 7)


def test_a_short_caption_is_penalised() -> None:
    # both words right, 2 against 4 words: exp(1 - 4/2)
    assert metric("red car", ["red car near house"], "BLEU-1") == pytest.approx(math.exp(-1))


def test_bleu_of_any_draw_follows_from_the_counts() -> None:
    candidates, references = (list(column) for column in zip(*RECORDING["captions"], strict=True))
    counts = score_captions(candidates, references, "en").bleu_counts
    drawn = [0, 3, 3, 6]
    again = score_captions([candidates[place] for place in drawn], [references[place] for place in drawn], "en")
    expected = [again.metrics[f"BLEU-{order}"].value for order in (1, 2, 3, 4)]
    assert corpus_bleu(counts[drawn].sum(axis=0)) == pytest.approx(expected)


def test_bleu_of_one_caption_is_smoothed_and_that_of_the_set_is_not() -> None:
    scored = score_captions(["red car near"], [["red car beside"]], "en").metrics["BLEU-3"]
    assert scored.value == 0  # no trigram is right
    assert scored.per_sample[0] == pytest.approx((2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3))  # half a trigram of one counts


# --- ROUGE-L ---


@pytest.mark.parametrize(("candidate", "value"), [("police kill the gunman", 3 / 4), ("the gunman kill police", 2 / 4)])
def test_rouge_l_of_the_example_in_its_paper(candidate: str, value: float) -> None:
    # Lin 2004, section 3.1; precision and recall are equal, so β does not matter
    assert rouge_l(candidate.split(), [["police", "killed", "the", "gunman"]]) == pytest.approx(value)


def test_rouge_l_takes_the_best_precision_and_the_best_recall() -> None:
    # precision 2/2 with either, recall 2/4 and 2/2 → 1
    assert rouge_l(["a", "b"], [["a", "x", "b", "y"], ["a", "b"]]) == 1
    # precision 1/2, recall 1/1; β² = 1.44: 2.44 · 0.5 · 1 / (1 + 1.44 · 0.5) = 0.7093
    assert rouge_l(["a", "b"], [["a"]]) == pytest.approx(2.44 * 0.5 / 1.72)


@given(st.lists(st.sampled_from("abc"), max_size=20), st.lists(st.sampled_from("abcd"), max_size=20))
def test_the_common_subsequence_is_as_long_as_the_plain_table_says(first: list[str], second: list[str]) -> None:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first, start=1):
        for j, other in enumerate(second, start=1):
            table[i][j] = table[i - 1][j - 1] + 1 if one == other else max(table[i - 1][j], table[i][j - 1])
    assert lcs_length(first, second) == table[-1][-1]


# --- CIDEr-D ---


def test_cider_by_hand() -> None:
    references = [[["a", "b"]], [["c", "d"]]]
    # the same bigram and unigrams, each in one document of two; no longer n-grams: (1 + 1 + 0 + 0) / 4 · 10
    assert cider_d([["a", "b"], []], references) == pytest.approx([5, 0])
    # one of two equally rare words: cosine 1/√2; no bigram against one: exp(-1 / (2 · 36))
    assert cider_d([["a"], ["x"]], references) == pytest.approx([10 * math.sqrt(0.5) / 4 * math.exp(-1 / 72), 0])


def test_cider_of_one_sample_is_not_defined() -> None:
    scored = score_captions(["a red car"], [["a red car"]], "en").metrics["CIDEr-D"]
    assert scored == (None, (0.0,))


# --- METEOR ---


@pytest.mark.parametrize(
    ("candidate", "value"),
    [
        # precision and recall 1, six chunks of six matches: 1 - 0.5 · 1³
        ("on the mat sat the cat", 0.5),
        # one chunk: 1 - 0.5 · (1/6)³
        ("the cat sat on the mat", 0.9977),
        # precision 6/7: mean 10 · P · R / (R + 9 · P) = 0.9836; two chunks: · (1 - 0.5 · (2/6)³)
        ("the cat was sat on the mat", 0.9654),
    ],
)
def test_meteor_of_known_examples(candidate: str, value: float) -> None:
    assert metric(candidate, ["the cat sat on the mat"], "METEOR") == pytest.approx(value, abs=5e-5)


def test_meteor_matches_stems_but_no_synonyms() -> None:
    assert metric("cars", ["car"], "METEOR") == pytest.approx(0.5)  # one chunk of one match: 1 - 0.5
    assert metric("automobile", ["car"], "METEOR") == 0


# --- tokens ---


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The image shows 3 cars, parked.", ["the", "image", "shows", "3", "cars", "parked"]),
        ("**Overall:**\n- A river", ["overall", "a", "river"]),
        ("about 2.5 km", ["about", "2.5", "km"]),
        ("", []),
    ],
)
def test_english_tokens_are_words(text: str, tokens: list[str]) -> None:
    assert caption_tokens(text, "en") == tokens


def test_chinese_tokens_are_characters() -> None:
    assert caption_tokens("图中有3辆汽车，GPS。", "zh") == ["图", "中", "有", "3", "辆", "汽", "车", "gps"]


def test_reasoning_is_no_part_of_a_caption() -> None:
    assert reply_tokens("<think>A harbour?</think>A forest.", "en") == ["a", "forest"]
    assert reply_tokens("<think>A harbour?", "en") == []


def test_chinese_captions_are_scored_by_character() -> None:
    # 3 of 4 and 2 of 2 characters right
    scores = score_captions(["红色汽车", "蓝色"], [["红色卡车"], ["蓝色"]], "zh")
    assert scores.metrics["BLEU-1"].value == pytest.approx(5 / 6)
    assert scores.metrics["ROUGE-L"].per_sample == pytest.approx((3 / 4, 1))
    assert "zh tokens" in scores.implementation


# --- sets ---


def test_empty_captions_are_counted_and_worth_nothing() -> None:
    scores = score_captions(["", "<think>", "a red car"], [["a car"], ["a car"], ["a red car"]], "en")
    assert scores.num_empty == 2
    for scored in scores.metrics.values():
        assert scored.per_sample[:2] == (0, 0)


def test_the_implementation_is_named_with_its_versions() -> None:
    words = score_captions(["a car"], [["a car"]], "en").implementation
    assert "sacrebleu 2." in words
    assert "nltk 3." in words
    assert "13a" in words


@pytest.mark.parametrize(("replies", "references"), [([], []), (["a"], [[]])])
def test_captions_without_a_reference_are_refused(replies: list[str], references: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="without a right caption for each"):
        score_captions(replies, references, "en")
