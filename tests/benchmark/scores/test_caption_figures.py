"""Captions of a run: the metrics of `caption_metrics.py`, by language, with intervals over images."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rsvqa.benchmark.files.stored_replies import StoredReply
from rsvqa.benchmark.reports.comparison import compare
from rsvqa.benchmark.scores.aggregates import aggregate
from rsvqa.benchmark.scores.caption_figures import text_results, with_caption_values
from rsvqa.benchmark.scores.intervals import statistic_intervals
from rsvqa.benchmark.scores.measures import Measure
from tests.benchmark.make_runs import measured, stored

pytest.importorskip("sacrebleu")
pytest.importorskip("nltk")

WORDS = ("a", "harbour", "with", "many", "ships", "and", "two", "round", "tanks", "beside", "the", "long", "pier")


def caption(number: int, reply: str | None, *, language: str = "en", images: tuple[str, ...] = ()) -> StoredReply:
    """Return a reply to a caption question whose right captions are a few of the words, in their order."""
    generator = random.Random(number)
    right = " ".join(word for word in WORDS if generator.random() < 0.7)
    names = images or (f"i{number}",)
    return stored(f"c{number}", "DIC", reply, language=language, references=(right,), images=names)


def captions(count: int, *, per_image: int = 1) -> list[StoredReply]:
    generator = random.Random(7)
    replies = [" ".join(word for word in WORDS if generator.random() < 0.6) for _ in range(count)]
    return [caption(n, reply, images=(f"i{n // per_image}",)) for n, reply in enumerate(replies)]


def test_metrics_by_language() -> None:
    found = text_results(measured([*captions(6), caption(10, "港口有许多船", language="zh"), caption(11, None)]))
    assert list(found) == ["en", "zh"]
    assert found["en"].metrics["BLEU-1"].num_questions == 6
    assert found["zh"].metrics["ROUGE-L"].num_questions == 1
    assert "sacrebleu" in found["en"].implementation
    assert list(found["en"].metrics) == ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D", "METEOR"]


def test_equal_captions_have_the_highest_values() -> None:
    replies = [caption(n, None) for n in range(8)]
    right = [one.model_copy(update={"reply": one.references[0], "failure": None}) for one in replies]
    found = text_results(measured(right))["en"].metrics
    assert found["BLEU-4"].value == pytest.approx(1.0)
    assert found["BLEU-4"].interval.reason == "every set of images gives the same value"
    assert found["ROUGE-L"].value == 1.0
    assert found["ROUGE-L"].interval.low == pytest.approx(0.025 ** (1 / 8), abs=1e-6)  # exact: 8 of 8


def test_one_caption_has_no_cider_and_no_interval() -> None:
    found = text_results(measured(captions(1)))["en"].metrics
    assert found["CIDEr-D"].value is None
    assert found["CIDEr-D"].interval.reason == "too few captions"
    assert found["METEOR"].interval.reason == "too few images: 1"
    assert found["BLEU-1"].interval.reason == "too few images: 1"


def test_empty_replies_are_counted_and_scored() -> None:
    replies = [caption(n, "" if n < 2 else "many ships") for n in range(6)]
    found = text_results(measured(replies))["en"]
    assert found.num_empty == 2
    assert found.metrics["ROUGE-L"].num_questions == 6


def test_a_task_without_a_reply_counts_as_not_scored() -> None:
    (task,) = aggregate(measured([caption(1, None)])).tasks
    assert (task.num_not_scored, task.texts) == (1, {})


def test_values_of_captions_are_those_whose_mean_is_the_figure() -> None:
    questions = measured([*captions(9), stored("q", "OC", "A")])
    with_values = with_caption_values(questions)
    assert [one.reply.sample_id for one in with_values] == [one.reply.sample_id for one in questions]
    figures = text_results(questions)["en"].metrics
    for measure in (Measure.ROUGE_L, Measure.CIDER_D, Measure.METEOR):
        mean = np.mean([one.values[measure] for one in with_values[:9]])
        assert figures[measure].value == pytest.approx(mean, abs=1e-6)
    assert with_values[9].values == {Measure.STRICT: 1.0, Measure.OFFICIAL: 1.0, Measure.PERMISSIVE: 1.0}


def test_captions_are_compared_pair_by_pair() -> None:
    first = captions(12)
    second = [one.model_copy(update={"reply": one.references[0]}) for one in first]
    found = compare(measured(first), measured(second), names=("first", "second"))
    by_measure = {one.measure: one for one in found.tasks}
    assert set(by_measure) == {Measure.ROUGE_L, Measure.CIDER_D, Measure.METEOR}
    rouge = by_measure[Measure.ROUGE_L]
    assert rouge.second == 1.0
    assert rouge.num_second_only + sum(a.reply == a.references[0] for a in first) == 12
    assert rouge.test.p == pytest.approx(2 / 2**rouge.test.num_images)  # the second is never behind


# --- intervals of a statistic that is no mean ---


def ratio(sums: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> list[float]:
    return [float(sums[0] / sums[1])]


def test_agrees_with_drawing_images_one_by_one() -> None:
    generator = np.random.default_rng(2)
    counts = np.stack([generator.integers(0, 5, 150), generator.integers(5, 9, 150)], axis=1)
    clusters = [number // 2 for number in range(150)]  # two captions an image
    (found,) = statistic_intervals(counts, clusters, ratio, seed=0)
    images = counts.reshape(75, 2, 2).sum(axis=1)
    values = np.sort([ratio(images[generator.integers(0, 75, 75)].sum(axis=0))[0] for _ in range(4000)])
    assert found.low == pytest.approx(values[100], abs=0.012)
    assert found.high == pytest.approx(values[3900], abs=0.012)


def test_captions_of_one_image_are_drawn_together() -> None:
    alone = text_results(measured(captions(40)))["en"].metrics["BLEU-1"]
    assert alone.num_images == 40
    shared = text_results(measured(captions(40, per_image=10)))["en"].metrics["BLEU-1"]
    assert shared.value == alone.value
    assert shared.interval.reason == "too few images: 4"
