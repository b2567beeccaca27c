"""Measures as a reader writes them: two digits, in the unit that gives a short number."""

from __future__ import annotations

import math

M2_A_HA = 1e4
M2_A_KM2 = 1e6


def two_digits(value: float) -> str:
    """Return a positive number with two significant digits, without an exponent: "0.96", "9.6", "310", "1,200"."""
    decimals = 1 - math.floor(math.log10(value))
    rounded = round(value, decimals)
    return f"{rounded:.{decimals}f}".rstrip("0").rstrip(".") if decimals > 0 else f"{rounded:,.0f}"


def length_text(metres: float) -> str:
    """Return a length in metres, from a kilometre on in kilometres."""
    return f"{two_digits(metres / 1e3)} km" if metres >= 995 else f"{two_digits(metres)} m"


def area_text(m2: float) -> str:
    """Return an area in square metres, hectares or square kilometres, whichever gives a short number."""
    if m2 >= 0.995 * M2_A_KM2:
        return f"{two_digits(m2 / M2_A_KM2)} km²"
    return f"{two_digits(m2 / M2_A_HA)} ha" if m2 >= 0.995 * M2_A_HA else f"{two_digits(m2)} m²"
