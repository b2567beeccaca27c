"""The time of acquisition from tags and names."""

from __future__ import annotations

import datetime as dt

import pytest

from rsvqa.rsvqa_builder.scenes.acquisition import find_acquisition_time, parse_time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2022:01:17 10:43:43", dt.datetime(2022, 1, 17, 10, 43, 43)),
        ("2020-01-06", dt.datetime(2020, 1, 6)),
        ("2020-01-31T23:30:00Z", dt.datetime(2020, 1, 31, 23, 30)),
        ("2020-01-31T23:30:00.123+02:00", dt.datetime(2020, 1, 31, 21, 30)),
        ("20200131T010000-0500", dt.datetime(2020, 1, 31, 6)),
        ("20200131101112", dt.datetime(2020, 1, 31, 10, 11, 12)),
        ("2020-13-01", None),
        ("20-01-2020", None),
        ("", None),
    ],
)
def test_times_are_read_in_the_ways_they_are_written(text: str, time: dt.datetime | None) -> None:
    assert parse_time(text) == time


def test_a_tag_of_acquisition_wins_over_the_name() -> None:
    tags = {"acquisition_date": "2019-05-04", "TIFFTAG_DATETIME": "2022:01:17 10:43:43"}
    assert find_acquisition_time(tags, "a/town_20200101") == (dt.datetime(2019, 5, 4), ())


def test_the_name_wins_over_the_time_of_the_file() -> None:
    time, notes = find_acquisition_time({"TIFFTAG_DATETIME": "2022:01:17 10:43:43"}, "a/m_4709963_se_14_1_20140720")
    assert time == dt.datetime(2014, 7, 20)
    assert notes == ("the date 2014-07-20 is taken from the file's name",)


def test_of_two_days_in_a_name_the_first_counts() -> None:
    # NAIP names the day of the flight, then the day of the product.
    assert find_acquisition_time({}, "m_3008503_ne_16_1_20130928_20131108")[0] == dt.datetime(2013, 9, 28)


def test_the_time_of_the_file_is_said_to_be_doubtful() -> None:
    time, notes = find_acquisition_time({"TIFFTAG_DATETIME": "2022:01:17 10:43:43"}, "scene")
    assert time == dt.datetime(2022, 1, 17, 10, 43, 43)
    assert "may be the day of processing" in notes[0]


@pytest.mark.parametrize("name", ["1985", "tile_120140720", "201404_13SED190110_201404_0x1500m", "a_20141301"])
def test_numbers_that_are_no_day_are_not_taken_for_one(name: str) -> None:
    assert find_acquisition_time({}, name) == (None, ())


def test_a_folder_is_no_date() -> None:
    assert find_acquisition_time({}, "flight_20200101/scene") == (None, ())
