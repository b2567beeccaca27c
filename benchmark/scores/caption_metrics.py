"""BLEU-1 to 4, ROUGE-L, CIDEr-D and METEOR of a set of captions, without Java and without downloads.

BLEU is sacrebleu's, METEOR nltk's; ROUGE-L and CIDEr-D are our own and follow the COCO caption evaluation. The paper
does not say which implementation it used, so the one used here is named in the result. What surprises: BLEU of a set is
no mean over captions, and METEOR knows neither synonyms nor paraphrases, so it is lower than that of Java's METEOR 1.5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.extras import require_extra
from rsvqa.benchmark.scores.caption_tokens import TOKENS_EN, TOKENS_ZH, caption_tokens, reply_tokens
from rsvqa.benchmark.scores.cider import cider_d
from rsvqa.benchmark.scores.rouge import rouge_l

BLEU_ORDERS = (1, 2, 3, 4)
MIN_CIDER_SAMPLES = 2
"""With one sample no n-gram is rarer than another."""

Tokens = list[str]


class CaptionMetric(NamedTuple):
    """One metric of a set.

    Attributes:
        value: of the set; None where it is not defined. BLEU, ROUGE-L and METEOR are in 0–1, CIDEr-D in 0–10.
        per_sample: of each caption. For ROUGE-L, CIDEr-D and METEOR `value` is their mean; BLEU of a caption is
            smoothed (n-grams that are never right count as a half, a quarter, …), and `value` is no mean of them.
    """

    value: float | None
    per_sample: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CaptionScores:
    """All metrics of a set of captions in one language.

    Attributes:
        implementation: what computed them, with versions.
        metrics: by name, "BLEU-1" … "METEOR".
        bleu_counts: int64 (samples, 10): length of caption and of the closest reference, right n-grams of orders 1–4,
            n-grams of orders 1–4. The sum over any draw of samples gives its BLEU, see `corpus_bleu`.
        num_empty: captions without a token; they are scored like any other.
    """

    implementation: str
    metrics: dict[str, CaptionMetric]
    bleu_counts: NDArray[np.int64]
    num_empty: int


def score_captions(replies: Sequence[str], references: Sequence[Sequence[str]], language: str) -> CaptionScores:
    """Return the metrics of replies against the right captions of each.

    Args:
        replies: as the models wrote them; reasoning is left out, and an unfinished one leaves nothing.
        references: at least one per reply.
        language: "en", or "zh" for one token per character.

    Raises:
        ValueError: a reply without references, or none at all.
        MissingExtraError: sacrebleu or nltk is not installed.
    """
    if not replies or not all(references):
        raise ValueError("captions cannot be scored without replies, or without a right caption for each")
    require_extra("bench", "bench")
    given = [reply_tokens(reply, language) for reply in replies]
    right = [[caption_tokens(text, language) for text in texts] for texts in references]
    counts = bleu_counts(given, right)
    return CaptionScores(
        implementation=implementation(language),
        metrics={**_bleu(counts), **_means(given, right)},
        bleu_counts=counts,
        num_empty=sum(not tokens for tokens in given),
    )


def implementation(language: str) -> str:
    """Return what computes the metrics, for the result."""
    return (
        f"BLEU: sacrebleu {version('sacrebleu')}, no smoothing; METEOR: nltk {version('nltk')}, exact and stemmed "
        "matches, no synonyms; ROUGE-L and CIDEr-D: rsvqa, formulas of pycocoevalcap 1.2; tokens: "
        f"{TOKENS_ZH if language == 'zh' else TOKENS_EN}"
    )


# --- BLEU ---


def bleu_counts(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> NDArray[np.int64]:
    """Return the counts from which BLEU follows, one row per sample; see `CaptionScores.bleu_counts`."""
    from sacrebleu.metrics.bleu import BLEU

    bleu = BLEU(tokenize="none", force=True, effective_order=True)  # of its score, unused here; without, it warns
    rows = []
    for candidate, rights in zip(candidates, references, strict=True):
        score = bleu.sentence_score(" ".join(candidate), [" ".join(right) for right in rights])
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return np.array(rows, dtype=np.int64)


def corpus_bleu(counts: Sequence[int] | NDArray[np.int64]) -> list[float]:
    """Return BLEU-1 to 4 in 0–1 of counts summed over samples, without smoothing (Papineni et al. 2002)."""
    return [_bleu_of(counts, order, smoothing="none") for order in BLEU_ORDERS]


def _bleu_of(counts: Sequence[int] | NDArray[np.int64], order: int, *, smoothing: str) -> float:
    from sacrebleu.metrics.bleu import BLEU

    length, closest, *ngrams = (int(count) for count in counts)
    right, total = ngrams[:order], ngrams[4 : 4 + order]
    return BLEU.compute_bleu(right, total, length, closest, smoothing, max_ngram_order=order).score / 100


def _bleu(counts: NDArray[np.int64]) -> dict[str, CaptionMetric]:
    values = corpus_bleu(counts.sum(axis=0))
    return {
        f"BLEU-{order}": CaptionMetric(value, tuple(_bleu_of(row, order, smoothing="exp") for row in counts))
        for order, value in zip(BLEU_ORDERS, values, strict=True)
    }


# --- metrics that are means over captions ---


def _means(given: Sequence[Tokens], right: Sequence[Sequence[Tokens]]) -> dict[str, CaptionMetric]:
    pairs = list(zip(given, right, strict=True))
    per_sample = {
        "ROUGE-L": [rouge_l(candidate, rights) for candidate, rights in pairs],
        "CIDEr-D": cider_d(given, right),
        "METEOR": [_meteor(candidate, rights) for candidate, rights in pairs],
    }
    metrics = {name: CaptionMetric(sum(values) / len(values), tuple(values)) for name, values in per_sample.items()}
    if len(given) < MIN_CIDER_SAMPLES:
        metrics["CIDEr-D"] = CaptionMetric(None, metrics["CIDEr-D"].per_sample)
    return metrics


class _NoSynonyms:
    """Stands in for WordNet, which would have to be downloaded."""

    def synsets(self, _word: str) -> list[object]:
        return []


def _meteor(candidate: Tokens, references: Sequence[Tokens]) -> float:
    """Return METEOR in 0–1 with the parameters of Lavie and Agarwal 2007, the best over the references."""
    from nltk.translate.meteor_score import meteor_score

    return float(meteor_score(references, candidate, wordnet=_NoSynonyms()))
