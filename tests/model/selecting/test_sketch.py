"""The projection of gradients: it keeps cosines, its error shrinks as it should, and it is the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rsvqa.model.selecting.sketch import CountSketch


def errors(dimensions: int, *, seed: int = 0, length: int = 2000, pairs: int = 500) -> NDArray[np.float64]:
    """Return the errors of cosines of related vectors after the projection."""
    rng = np.random.default_rng(7)
    sketch = CountSketch(length, dimensions=dimensions, seed=seed)
    found = []
    for _ in range(pairs):
        shared = rng.standard_normal(length)
        one, other = (shared + rng.uniform(0.3, 2) * rng.standard_normal(length) for _ in range(2))
        exact = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
        rows = [sketch.project(vector.astype(np.float32)) for vector in (one, other)]
        found.append(rows[0] @ rows[1] / np.linalg.norm(rows[0]) / np.linalg.norm(rows[1]) - exact)
    return np.array(found)


def test_cosines_are_kept() -> None:
    assert np.abs(errors(8192)).max() <= 4 / 8192**0.5
    assert abs(errors(8192).mean()) < 0.002


def test_the_error_grows_as_the_root_of_the_dimensions_shrinks() -> None:
    growth = errors(64).std() / errors(8192).std()
    # √(8192 / 64) = 11.3; of 2,000 numbers few meet in one of 8,192 buckets, so theirs is a little smaller still
    assert 8 < growth < 20


def test_a_seed_and_a_length_give_one_projection() -> None:
    vector = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    first = CountSketch(5000, dimensions=128, seed=3).project(vector)
    assert np.array_equal(first, CountSketch(5000, dimensions=128, seed=3).project(vector))
    assert not np.allclose(first, CountSketch(5000, dimensions=128, seed=4).project(vector))


def test_every_number_goes_to_one_bucket_with_its_sign() -> None:
    sketch = CountSketch(300, dimensions=16, seed=0)
    rows = np.stack([sketch.project(one) for one in np.eye(300, dtype=np.float32)])
    assert (np.abs(rows).sum(1) == 1).all()
    assert (rows != 0).sum() == 300
    # buckets and signs are used alike: 300 / 16 = 18.75 each, half of the signs negative
    assert np.abs(rows).sum(0).min() > 6
    assert 110 < (rows < 0).sum() < 190


def test_a_long_vector_is_taken_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = np.arange(1, 1001, dtype=np.float32)
    whole = CountSketch(1000, dimensions=32, seed=1).project(vector)
    monkeypatch.setattr("rsvqa.model.selecting.sketch._CHUNK", 128)
    assert np.array_equal(CountSketch(1000, dimensions=32, seed=1).project(vector), whole)


def test_a_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a vector of 10 numbers, got shape"):
        CountSketch(10, dimensions=4, seed=0).project(np.zeros(11, np.float32))
