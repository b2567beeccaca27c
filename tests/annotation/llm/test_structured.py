"""Replies as JSON of a schema."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from rsvqa.annotation.llm.structured import UnreadableReplyError, in_words, read_reply, response_format


class Ship(BaseModel):
    name: str = Field(min_length=1, max_length=20)
    length_m: float | None = None


class Harbour(BaseModel):
    ships: list[Ship]
    is_open: bool = True


class Count(BaseModel):
    count: int
    note: str = ""


def test_the_schema_that_is_sent_is_strict_at_all_levels() -> None:
    sent = response_format(Harbour)["json_schema"]
    assert (sent["name"], sent["strict"]) == ("Harbour", True)
    schema = sent["schema"]
    assert schema["required"] == ["ships", "is_open"]  # is_open has a default, but strict schemas know no optional ones
    assert schema["additionalProperties"] is False
    assert schema["properties"]["ships"] == {"items": {"$ref": "#/$defs/Ship"}, "title": "Ships", "type": "array"}
    ship = schema["$defs"]["Ship"]
    assert ship["required"] == ["name", "length_m"]
    assert ship["properties"]["name"] == {"title": "Name", "type": "string"}  # lengths are not in the subset
    assert ship["properties"]["length_m"] == {"anyOf": [{"type": "number"}, {"type": "null"}], "title": "Length M"}


def test_in_words_the_whole_schema_is_told() -> None:
    assert '"maxLength": 20' in in_words(Harbour)


@pytest.mark.parametrize(
    "text",
    [
        '{"count": 3, "note": "a, b]"}',
        '```json\n{"count": 3, "note": "a, b]"}\n```',
        '```\n{"count": 3, "note": "a, b]"}```',
        'Here it is:\n{"count": 3, "note": "a, b]"}\nI hope this helps!',
        '{"count": 3, "note": "a, b]",}',
        '{"count": 3, "note": "a, b]" , \n }',
        '{"note": "a, b]", "count": "3"}',
        '<think>Is it {"count": 4}?</think>\n{"count": 3, "note": "a, b]"}',
        '{"count": 3, "note": "a, b]"',
        '```json\n{"count": 3, "note": "a, b]",\n```',
    ],
)
def test_what_is_certain_is_repaired(text: str) -> None:
    assert read_reply(text, Count, ended=True) == Count(count=3, note="a, b]")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "there is no JSON object in it"),
        ("three", "there is no JSON object in it"),
        ("[3]", "there is no JSON object in it"),
        ('{"count": 3} or {"count": 4}', "more than one JSON object"),
        ('{"count": 3}\n{"count": 3}', "more than one JSON object"),
        ('{"count": 3, "count": 4}', "the same property twice"),
        ('{"count": 12', "ends in the middle"),  # it may have been 120
        ('{"note": "a", "count"', "not valid JSON"),
        ('{"count": 3, "note": "a', "ends inside a string"),
        ('{"count": 3]', "brackets do not match"),
        ('{"count": NaN}', "NaN is not a JSON number"),
        ("{'count': 3}", "not valid JSON"),
        ('{"count": 3 4}', "not valid JSON"),
        ('{"number": 3}', "count: Field required"),
        ('{"count": "many"}', "count: Input should be a valid integer"),
        ('<think>{"count": 3}', "still thinking"),
        ('{"count": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"count": ' + "1" * 5_000 + "}", "a number that is too long"),
    ],
)
def test_what_is_not_certain_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UnreadableReplyError, match=complaint):
        read_reply(text, Count, ended=True)


@pytest.mark.parametrize("text", ['{"ships": [{"name": "A"}', '{"ships": [{"name": "A"}]'])
def test_a_reply_that_was_cut_off_is_not_closed_for_what_came_then_is_missing(text: str) -> None:
    assert read_reply(text, Harbour, ended=True) == Harbour(ships=[Ship(name="A")])
    with pytest.raises(UnreadableReplyError, match="it was cut off"):
        read_reply(text, Harbour, ended=False)


def test_lengths_that_were_not_sent_are_still_checked() -> None:
    with pytest.raises(UnreadableReplyError, match=r"ships\.0\.name: String should have at most 20"):
        read_reply('{"ships": [{"name": "a very long name of a ship"}]}', Harbour, ended=True)


def test_a_line_break_inside_a_string_is_read() -> None:
    assert read_reply('{"count": 1, "note": "a\nb"}', Count, ended=True).note == "a\nb"


@pytest.mark.parametrize(
    "text", ["{" * 200_000, '{"a": "' + "\\" * 1_000_001, '{"a": [' + "1," * 300_000, "<think>" * 150_000]
)
@pytest.mark.timeout(60)  # a second; what is quadratic takes minutes
def test_hostile_replies_take_no_longer_than_long_ones(text: str) -> None:
    with pytest.raises(UnreadableReplyError):
        read_reply(text, Count, ended=True)


@pytest.mark.parametrize(
    ("escaped", "read"),
    [
        (r"A \ud83d B", "A � B"),
        (r"\udE00", "�"),
        (r"A \ud83d\ude00 B", "A \U0001f600 B"),  # both halves: one whole character
    ],
)
def test_half_a_character_in_an_escape_becomes_the_replacement_character(escaped: str, read: str) -> None:
    assert read_reply(f'{{"count": 1, "note": "{escaped}"}}', Count, ended=True).note == read
