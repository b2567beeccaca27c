"""Captions of a run → figures with intervals, and one value per caption for comparisons; by task and language.

The metrics themselves are those of `caption_metrics.py`, imported only when there are captions: a run without any needs
none of their packages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.scores.figures import INTERVAL_SEED, make_figure, no_figure, rounded, rounded_interval
from rsvqa.benchmark.scores.intervals import ImageSums, make_part, mean_intervals, statistic_intervals
from rsvqa.benchmark.scores.measures import Measure, Measured
from rsvqa.benchmark.scores.results import Figure, TextResult

if TYPE_CHECKING:
    from rsvqa.benchmark.scores.caption_metrics import CaptionScores

CAPTION_MEASURES: Mapping[Measure, float] = {Measure.ROUGE_L: 1.0, Measure.CIDER_D: 10.0, Measure.METEOR: 1.0}
"""Metrics of a set that are means over its captions, with the largest value that a caption can have."""
_BLEU = tuple(f"BLEU-{order}" for order in (1, 2, 3, 4))


def text_results(questions: Sequence[Measured]) -> dict[str, TextResult]:
    """Return the metrics of one task's captions by language; languages without any reply are left out."""
    return {language: _text_result(group) for (_, language), group in _groups(questions).items()}


def with_caption_values(questions: Sequence[Measured]) -> list[Measured]:
    """Return the questions in their order, captions with a value by each of `CAPTION_MEASURES`.

    How rare a word is, which CIDEr-D weighs, is taken from the right captions of these questions.
    """
    found: dict[str, dict[str, float]] = {}
    for group in _groups(questions).values():
        scores = _score(group)
        for place, one in enumerate(group):
            found[one.reply.sample_id] = {name: scores.metrics[name].per_sample[place] for name in CAPTION_MEASURES}
    return [replace(one, values={**one.values, **found.get(one.reply.sample_id, {})}) for one in questions]


def _groups(questions: Sequence[Measured]) -> dict[tuple[str, str], list[Measured]]:
    """Return the captions that have a reply, by task and language."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in questions:
        if one.reply.form is AnswerForm.TEXT and one.is_scored:
            groups.setdefault((one.reply.task, one.reply.language), []).append(one)
    return dict(sorted(groups.items()))


def _score(group: Sequence[Measured]) -> CaptionScores:
    from rsvqa.benchmark.scores.caption_metrics import score_captions

    replies = [one.reply.reply or "" for one in group]
    return score_captions(replies, [one.reply.references for one in group], group[0].reply.language)


def _text_result(group: Sequence[Measured]) -> TextResult:
    scores = _score(group)
    return TextResult(
        implementation=scores.implementation,
        metrics={**_bleu_figures(group, scores), **_mean_figures(group, scores)},
        num_empty=scores.num_empty,
    )


def _bleu_figures(group: Sequence[Measured], scores: CaptionScores) -> dict[str, Figure]:
    """Return BLEU with intervals: each replicate's is that of its summed counts."""
    from rsvqa.benchmark.scores.caption_metrics import corpus_bleu

    clusters = [one.cluster for one in group]
    intervals = statistic_intervals(scores.bleu_counts, clusters, corpus_bleu, seed=INTERVAL_SEED)
    return {
        name: Figure(
            value=rounded(scores.metrics[name].value),
            num_questions=len(clusters),
            num_images=len(set(clusters)),
            interval=rounded_interval(interval),
        )
        for name, interval in zip(_BLEU, intervals, strict=True)
    }


def _mean_figures(group: Sequence[Measured], scores: CaptionScores) -> dict[str, Figure]:
    clusters = [one.cluster for one in group]
    parts: dict[str, ImageSums] = {
        name: make_part(scores.metrics[name].per_sample, clusters, high=high)
        for name, high in CAPTION_MEASURES.items()
        if scores.metrics[name].value is not None
    }
    intervals = mean_intervals([[part] for part in parts.values()], seed=INTERVAL_SEED)
    figures = {
        name: make_figure([part], interval) for (name, part), interval in zip(parts.items(), intervals, strict=True)
    }
    return {str(name): figures.get(name) or no_figure("too few captions") for name in CAPTION_MEASURES}
