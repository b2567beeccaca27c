"""Measures have two digits and a unit that gives a short number."""

from __future__ import annotations

import pytest

from rsvqa.annotation.tasks.measure_words import area_text, length_text


@pytest.mark.parametrize(
    ("metres", "text"),
    [
        (0.45, "0.45 m"),
        (4.0, "4 m"),
        (5.24, "5.2 m"),
        (307, "310 m"),
        (994, "990 m"),
        (1000, "1 km"),
        (1540, "1.5 km"),
        (1_144_332, "1,100 km"),
    ],
)
def test_lengths_are_told_in_sensible_units(metres: float, text: str) -> None:
    assert length_text(metres) == text


@pytest.mark.parametrize(
    ("m2", "text"), [(5840, "5,800 m²"), (9_960, "1 ha"), (94_372, "9.4 ha"), (1e6, "1 km²"), (1.3e12, "1,300,000 km²")]
)
def test_areas_are_told_in_sensible_units(m2: float, text: str) -> None:
    assert area_text(m2) == text
