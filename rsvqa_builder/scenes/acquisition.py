"""When a scene was taken, from its tags or its name; never from the file system, whose times are those of a copy.

Not by dateutil, which fills in what it does not read: today's date for TIFF's "2020:01:31 10:00:00", this month for
"10".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping

_ACQUISITION_TAGS = (
    "ACQUISITIONDATETIME",
    "ACQUISITION_DATETIME",
    "ACQUISITION_DATE",
    "ACQUISITION_TIME",
    "DATE_ACQUIRED",
    "SENSING_TIME",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "PRODUCT_START_TIME",
    "EXIF_DATETIMEORIGINAL",
    "NITF_IDATIM",
    "DATE",
)
"""Where sensors, vendors and GDAL's drivers store the time of acquisition, upper case, most trusted first."""

_FILE_TIME_TAG = "TIFFTAG_DATETIME"
"""TIFF 6.0 calls it the time of "image creation", and many tools write the time of processing."""

_TIME_PARTS = ("year", "month", "day", "hour", "minute", "second")
_TIME = re.compile(
    r"(?P<year>(?:19|20)\d\d)(?P<sep>[-:/_.]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)"
    r"(?:[ T]?(?P<hour>\d\d):?(?P<minute>\d\d):?(?P<second>\d\d)(?:\.\d+)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_DAY_IN_NAME = re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)(?P<sep>[-_.]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)(?!\d)")


def find_acquisition_time(tags: Mapping[str, str], scene_id: str) -> tuple[dt.datetime | None, tuple[str, ...]]:
    """Return when a scene was taken, and notes on how sure that is.

    A tag of acquisition wins; then a day in the file's name (of two, the first: NAIP and Landsat name the day of
    processing second); then the TIFF's own time. The file system's times are never used.
    """
    upper = {key.upper(): value for key, value in tags.items()}
    for name in _ACQUISITION_TAGS:
        time = parse_time(upper.get(name, ""))
        if time is not None:
            return time, ()
    for match in _DAY_IN_NAME.finditer(scene_id.rpartition("/")[2]):
        time = _time_of(match)
        if time is not None:
            return time, (f"the date {time.date()} is taken from the file's name",)
    time = parse_time(upper.get(_FILE_TIME_TAG, ""))
    if time is not None:
        return time, (f"the date {time.date()} is that of {_FILE_TIME_TAG}, which may be the day of processing",)
    return None, ()


def parse_time(text: str) -> dt.datetime | None:
    """Return a time like "2020:01:31 10:00:00", "2020-01-31T10:00:00Z" or "20200131"; in UTC when it has a zone."""
    match = _TIME.match(text.strip())
    return _time_of(match) if match else None


def _time_of(match: re.Match[str]) -> dt.datetime | None:
    found = match.groupdict()
    year, month, day, hour, minute, second = (int(found.get(part) or 0) for part in _TIME_PARTS)
    try:
        time = dt.datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None
    zone = found.get("zone")
    if not zone or zone == "Z":
        return time
    sign = -1 if zone[0] == "-" else 1
    return time - sign * dt.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
