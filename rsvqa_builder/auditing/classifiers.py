"""Guessers that learn from all words and numbers at once; they need scikit-learn, the extra `audit`.

Both judge one option at a time, "is this one right?", so that the choice rests on what the options say and never on
their letters. The first is a logistic regression on TF-IDF weights of words, of pairs of a question's word and an
option, and of ranks and bins; the second are extremely randomised trees on measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsvqa.annotation.likeness import words_of
from rsvqa.rsvqa_builder.auditing.guessers import Guesser, TableGuesser, rule_guessers
from rsvqa.rsvqa_builder.auditing.option_tables import Floats, OptionTable

NUM_TREES = 40
_MOST_CONTENTS = 16
"""Of options that the trees know by name."""


def has_classifiers() -> bool:
    """Return whether scikit-learn is there."""
    return find_spec("sklearn") is not None


def classifier_guessers(table: OptionTable, *, seed: int) -> list[Guesser]:
    """Return the guessers of scikit-learn."""
    return [WordClassifier(table, seed), MeasureClassifier(table, seed)]


@dataclass(frozen=True, eq=False)
class WordClassifier:
    """Logistic regression on words."""

    table: OptionTable
    seed: int
    name: str = "all words"

    @cached_property
    def features(self) -> Any:  # noqa: ANN401  a matrix of scipy, which has no types
        """Features of each option, (option, feature)."""
        from sklearn.feature_extraction.text import TfidfTransformer

        return TfidfTransformer(sublinear_tf=True).fit_transform(_sparse(list(_words(self.table))))

    def probabilities(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        """See `Guesser`."""
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(solver="liblinear", C=10, random_state=self.seed)
        return _probabilities(model, self.features, self.table, train, test)


@dataclass(frozen=True, eq=False)
class MeasureClassifier:
    """Trees on measures."""

    table: OptionTable
    seed: int
    name: str = "all numbers"

    @cached_property
    def features(self) -> Floats:
        """Features of each option, (option, feature)."""
        table = self.table
        columns = [*table.measures.values(), table.log_numbers, *table.box_sides[table.question_of].T]
        areas, shapes = columns[-2], columns[-1]
        columns += [table.log_numbers - areas, table.log_numbers - areas / 2]
        columns += [np.where(np.isfinite(shapes), np.abs(shapes), np.nan)]
        ranked = Counter(table.contents)
        for content in sorted(ranked, key=lambda content: (-ranked[content], content))[:_MOST_CONTENTS]:
            columns.append(np.array([one == content for one in table.contents], dtype=np.float64))
        columns += list(_gaps(table).T)
        known: Floats = np.nan_to_num(np.column_stack(columns), nan=-99.0, posinf=99.0, neginf=-99.0)
        return known

    def probabilities(self, train: NDArray[np.bool_], test: NDArray[np.bool_]) -> Floats:
        """See `Guesser`."""
        from sklearn.ensemble import ExtraTreesClassifier

        model = ExtraTreesClassifier(NUM_TREES, min_samples_leaf=4, max_features=0.5, random_state=self.seed)
        return _probabilities(model, self.features, self.table, train, test)


def _probabilities(
    model: Any,  # noqa: ANN401  scikit-learn has no types
    features: Any,  # noqa: ANN401
    table: OptionTable,
    train: NDArray[np.bool_],
    test: NDArray[np.bool_],
) -> Floats:
    seen, asked = np.flatnonzero(train[table.question_of]), np.flatnonzero(test[table.question_of])
    likely = np.full(len(table.question_of), 0.0)
    answers = table.is_right[seen]
    if len(set(answers.tolist())) < 2 or not len(asked):
        return likely
    model.fit(features[seen], answers)
    likely[asked] = model.predict_proba(features[asked])[:, 1]
    return likely


def _gaps(table: OptionTable) -> Floats:
    """Return the logarithms of the other numbers of a question over each, sorted; NaN without numbers."""
    width = int(table.counts.max()) - 1
    gaps = np.full((len(table.contents), width), np.nan)
    for span in table.spans():
        logs = table.log_numbers[span]
        if not np.all(np.isfinite(logs)):
            continue
        for place in range(len(logs)):
            others = np.sort(np.delete(logs, place) - logs[place])
            gaps[span.start + place, : len(others)] = others
    return gaps


def _words(table: OptionTable) -> Iterator[list[str]]:
    """Yield the features of each option by name."""
    ranks = [guesser for guesser in rule_guessers(table) if isinstance(guesser, TableGuesser)]
    keys = [guesser.keys for guesser in ranks if not guesser.name.startswith("option")]
    boxes = [guesser.keys for guesser in ranks if "box" in guesser.name]
    for number, span in enumerate(table.spans()):
        asked = sorted(set(words_of(table.wordings[number])))
        contents = table.contents[span]
        for place, content in enumerate(contents, start=span.start):
            words = words_of(content)
            yield [
                f"o:{content}",
                *(f"w:{word}" for word in words),
                *(f"b:{one} {two}" for one, two in pairwise(words)),
                *(f"q:{word}>{content}" for word in asked),
                f"t:{table.wordings[number]}>{content}",
                *(f"v:{other}>{content}" for other in contents if other != content),
                *(f"k{i}:{values[place]}" for i, values in enumerate(keys)),
                *(f"x{i}:{values[place]}" for i, values in enumerate(boxes)),
            ]


def _sparse(rows: list[list[str]]) -> Any:  # noqa: ANN401  a matrix of scipy, which has no types
    """Return the counts of features that occur twice or more, (option, feature)."""
    from scipy.sparse import csr_matrix

    counts = Counter(feature for row in rows for feature in set(row))
    vocabulary = {feature: n for n, feature in enumerate(sorted(f for f, count in counts.items() if count > 1))}
    columns = [[vocabulary[feature] for feature in row if feature in vocabulary] for row in rows]
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in columns])])
    flat = np.array([column for row in columns for column in row], dtype=np.int64)
    shape = (len(rows), max(1, len(vocabulary)))
    return csr_matrix((np.ones(len(flat)), flat, pointers), shape=shape)
