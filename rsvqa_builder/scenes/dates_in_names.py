"""Which scenes are one place at several dates, by their names: words that order two dates, and dates.

The names of one place are equal once words and dates are taken out. What surprises: digits that may be a year are
often something else, so a year in a file's name counts only where the georeference says that the ground is the same.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from enum import IntEnum
from pathlib import PurePosixPath
from typing import NamedTuple

_EVENT = r"(?:[-_ ]?(?:event|disaster|images?))?"
_WORD_FOLDERS = (
    re.compile(rf"(?P<one>pre|before){_EVENT}|(?P<two>post|after){_EVENT}", re.IGNORECASE),
    re.compile(r"(?:t|time|date)[-_ ]?(?P<number>[1-9])", re.IGNORECASE),
)
"""Folders that are one date of a set of changes: xBD, BRIGHT, and what people write themselves."""

TWO_DATES = (("A", "B"), ("im1", "im2"), ("Image1", "Image2"), ("img1", "img2"))
"""Folders that are two dates only where there is no third one: LEVIR-CD, SECOND, S2Looking."""

_WORD_ENDINGS = (
    re.compile(r"_(?:(?P<one>pre|before)|(?P<two>post|after))(?:_(?:disaster|event))?$", re.IGNORECASE),
    re.compile(r"(?<!_\d{8}_0[12])_t(?P<number>[1-9])$", re.IGNORECASE),  # Landsat's tiers are no dates
)
"""Endings of a scene's name."""

_DATES = re.compile(
    r"(?<!\d)(?P<year>19[3-9]\d|20[0-3]\d)"
    r"(?:(?P<sep>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=sep)(?P<day>0[1-9]|[12]\d|3[01])(?:T\d{6}Z?)?(?!\d)"
    r"|[-_.](?P<only_month>0[1-9]|1[0-2])(?!\d|[-_.]\d\d(?!\d))"
    r"|(?!\d))"
)
_GAP = "\0"


class DatePrecision(IntEnum):
    """How much of a date a name says."""

    YEAR = 1
    MONTH = 2
    DAY = 3


class NamedDate(NamedTuple):
    """What a scene's name says of its date.

    Attributes:
        place: the name without it, equal for all dates of one place.
        rank: 1 for the earlier date, 2 for the later one, where words say so; more in a series t1, t2, t3; 0 unsaid.
        date: (year, month, day) as far as it is said; () unsaid.
        is_told_by_folder: a folder says it, so that the file's own name is all of the place's.
        contradicts: the name says two different things.
    """

    place: str
    rank: int
    date: tuple[int, ...]
    is_told_by_folder: bool
    contradicts: bool


def named_date(scene_id: str) -> NamedDate | None:
    """Return what a scene's path says of its date; None when it says nothing."""
    *folders, stem = PurePosixPath(scene_id).parts
    ranks: set[int] = set()
    parts = [_without_word(folder, ranks) for folder in folders]
    folder_ranks = set(ranks)
    stem = _without_ending(stem, ranks)
    found = [list(_dates_of(part)) for part in (*parts, stem)]
    dates = [date for part in found for date in part]
    if not ranks and not dates:
        return None
    # the place's numbers may look like years: where there are better dates, only years that agree with them are dates
    best = max((len(date.values) for date in dates), default=0)
    chosen = next((date.values for part in reversed(found) for date in part if len(date.values) == best), ())
    taken = [[date for date in part if _agrees(date.values, chosen, best)] for part in found]
    without = [_cut_out(part, dates) for part, dates in zip((*parts, stem), taken, strict=True)]
    return NamedDate(
        place="/".join(without),
        rank=min(ranks, default=0),
        date=chosen,
        is_told_by_folder=bool(folder_ranks) or any(taken[:-1]),
        contradicts=len(ranks) > 1,
    )


def two_date_folders(scene_id: str) -> Iterator[tuple[str, int, str]]:
    """Yield the folders of a scene's path that may be one of two dates: (place, rank, how a third date begins).

    The place is the path with the folder taken out; "A" and "B" are two dates where no scene lies in "C" beside them.
    """
    parts = PurePosixPath(scene_id).parts
    for index, folder in enumerate(parts[:-1]):
        for names in TWO_DATES:
            if folder in names:
                third = "C" if names[0] == "A" else f"{names[0][:-1]}3"
                place = "/".join((*parts[:index], _GAP, *parts[index + 1 :]))
                yield place, names.index(folder) + 1, "/".join((*parts[:index], third, ""))


class _Found(NamedTuple):
    start: int
    end: int
    values: tuple[int, ...]


def _without_word(folder: str, ranks: set[int]) -> str:
    for pattern in _WORD_FOLDERS:
        if found := pattern.fullmatch(folder):
            ranks.add(_rank(found))
            return _GAP
    return folder


def _without_ending(stem: str, ranks: set[int]) -> str:
    for pattern in _WORD_ENDINGS:
        if (found := pattern.search(stem)) and found.start():
            ranks.add(_rank(found))
            return stem[: found.start()] + _GAP
    return stem


def _rank(found: re.Match[str]) -> int:
    groups = found.groupdict()
    if groups.get("number"):
        return int(groups["number"])
    return 1 if groups.get("one") else 2


def _dates_of(part: str) -> Iterator[_Found]:
    for match in _DATES.finditer(part):
        year, month, day = match["year"], match["month"] or match["only_month"], match["day"]
        values = tuple(int(value) for value in (year, month, day) if value)
        if len(values) < DatePrecision.DAY or _exists(*values):
            yield _Found(match.start(), match.end(), values)


def _exists(year: int, month: int, day: int) -> bool:
    try:
        dt.date(year, month, day)
    except ValueError:
        return False
    return True


def _agrees(values: tuple[int, ...], chosen: tuple[int, ...], best: int) -> bool:
    """Tell whether digits are a date: as exact as the chosen one (the day of processing, say), or part of it."""
    return len(values) == best or values == chosen[: len(values)]


def _cut_out(part: str, dates: list[_Found]) -> str:
    for start, end, _ in reversed(dates):
        part = part[:start] + _GAP + part[end:]
    return part
