"""Bodies and replies as endpoints speak them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from rsvqa.annotation.llm.requests import ChatRequest, RequestPicture
from rsvqa.annotation.llm.turns import RawReply, make_turn
from rsvqa.annotation.llm.wire import Dialect, NotACompletionError, adapt, make_body, read_completion


class Letter(BaseModel):
    letter: str


PLAIN = make_turn(ChatRequest(key="k", model="m", text="What?", max_tokens=5))
WITH_SCHEMA = make_turn(ChatRequest(key="k", model="m", text="What?", schema=Letter))


def test_a_plain_request() -> None:
    assert make_body(PLAIN, Dialect()) == {
        "model": "m",
        "messages": [{"role": "user", "content": "What?"}],
        "max_tokens": 5,
        "temperature": 0.0,
    }


def test_pictures_stand_before_the_text_and_the_system_before_all() -> None:
    pictures = (RequestPicture(b"abc", "image/png", "low"), RequestPicture(b"\xff"))
    turn = make_turn(ChatRequest(key="k", model="m", text="What?", system="Be brief.", pictures=pictures))
    assert make_body(turn, Dialect())["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,YWJj", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/w==", "detail": "auto"}},
                {"type": "text", "text": "What?"},
            ],
        },
    ]


def test_a_schema_goes_as_response_format_or_in_words() -> None:
    told = make_body(WITH_SCHEMA, Dialect())
    assert told["response_format"]["json_schema"]["schema"]["required"] == ["letter"]
    assert told["messages"][0]["content"] == "What?"
    in_words = make_body(WITH_SCHEMA, Dialect(has_schemas=False))
    assert "response_format" not in in_words
    assert in_words["messages"][0]["content"].startswith("What?\n\nReply with one JSON object and nothing else.")


def test_the_second_turn_shows_the_bad_reply() -> None:
    turn = make_turn(WITH_SCHEMA.request, bad_reply="A!", complaint="there is no JSON object in it")
    assert make_body(turn, Dialect())["messages"][1:] == [
        {"role": "assistant", "content": "A!"},
        {
            "role": "user",
            "content": "This reply cannot be used: there is no JSON object in it. Reply again, with the corrected JSON "
            "object alone.",
        },
    ]


def test_other_names_and_no_temperature() -> None:
    body = make_body(PLAIN, Dialect(tokens_name="max_completion_tokens", has_temperature=False))
    assert body == {"model": "m", "messages": [{"role": "user", "content": "What?"}], "max_completion_tokens": 5}


def completion(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": "stop", **more}], "usage": None}


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (completion({"content": "A"}), RawReply(text="A")),
        (
            completion({"content": "A"}) | {"usage": {"prompt_tokens": 3, "completion_tokens": 1}},
            RawReply(text="A", refusal=None, ended=True, input_tokens=3, output_tokens=1),
        ),
        (completion({"content": "A"}) | {"usage": {"prompt_tokens": -3, "completion_tokens": "1"}}, RawReply(text="A")),
        (
            completion({"content": "A"}) | {"usage": {"prompt_tokens": True, "completion_tokens": 2.0}},
            RawReply(text="A"),
        ),
        (completion({"content": "A"}) | {"usage": "none"}, RawReply(text="A")),
        (completion({"content": [{"text": "A"}]}), RawReply(text="A")),
        (completion({"content": "A"}, finish_reason="length"), RawReply(text="A", ended=False)),
        (completion({"content": None, "refusal": "No."}), RawReply(text="", refusal="No.")),
        (
            completion({"content": ""}, finish_reason="content_filter"),
            RawReply(text="", refusal="the endpoint's content filter stopped it"),
        ),
        (
            completion({"content": "A"}, finish_reason="SAFETY"),
            RawReply(text="A", refusal="the endpoint's content filter stopped it"),
        ),
        (completion({"content": None}), RawReply(text="")),
    ],
)
def test_replies(content: dict[str, Any], reply: RawReply) -> None:
    assert read_completion(content) == reply


@pytest.mark.parametrize(
    "content",
    [
        "<html>",
        None,
        [],
        {},
        {"error": {"message": "busy"}},
        {"choices": []},
        {"choices": None},
        {"choices": [{}]},
        completion({"content": ["A"]}),
        {"choices": [{"message": "A"}]},
    ],
)
def test_what_is_not_a_completion_is_refused(content: object) -> None:
    with pytest.raises(NotACompletionError):
        read_completion(content)


def test_what_came_instead_of_a_completion_is_shown() -> None:
    with pytest.raises(NotACompletionError, match=r"it begins with \"\{'detail': 'Not authenticated'\}\"$"):
        read_completion({"detail": "Not authenticated"})


@pytest.mark.parametrize(
    ("message", "parameter", "changed"),
    [
        (
            "Unsupported parameter: use 'max_completion_tokens' instead.",
            "max_tokens",
            Dialect(tokens_name="max_completion_tokens"),
        ),
        ("Unsupported value: only the default is supported.", "temperature", Dialect(has_temperature=False)),
        ("unknown field", None, Dialect(has_schemas=False)),
    ],
)
def test_a_400_tells_what_the_endpoint_takes(message: str, parameter: str | None, changed: Dialect) -> None:
    assert adapt(Dialect(), WITH_SCHEMA, message, parameter, is_proven=False) == changed
    assert adapt(Dialect(), WITH_SCHEMA, message, parameter, is_proven=True) is None


def test_a_400_that_nothing_can_mend_stays_one() -> None:
    assert adapt(Dialect(), PLAIN, "image too large", None, is_proven=False) is None
    assert adapt(Dialect(has_schemas=False), WITH_SCHEMA, "image too large", None, is_proven=False) is None
