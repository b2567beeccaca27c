"""By what a sending is known, and what becomes of a request."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from pydantic import BaseModel

from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, RequestPicture
from rsvqa.annotation.llm.turns import RawReply, Turn, advance, make_turn


class Letter(BaseModel):
    letter: str


class Number(BaseModel):
    number: int


REQUEST = ChatRequest(key="q1", model="m", text="What?", schema=Letter)
GOOD, BAD = (
    RawReply(text='{"letter": "A"}', refusal=None, ended=True, input_tokens=10, output_tokens=4),
    RawReply(text="A", refusal=None, ended=True, input_tokens=10, output_tokens=1),
)


def outcome(request: ChatRequest, replies: dict[str, RawReply]) -> ChatReply | ChatFailure | Turn:
    return advance(make_turn(request), lambda turn: replies.get(turn.fingerprint))


def second_turn() -> Turn:
    turn = outcome(REQUEST, {make_turn(REQUEST).fingerprint: BAD})
    assert isinstance(turn, Turn)
    return turn


def test_the_fingerprint_is_that_of_the_written_out_request() -> None:
    """Changing this means that everybody pays for everything once more."""
    request = ChatRequest(
        key="any", model="m", text="Größe?", system="Be brief.", pictures=(RequestPicture(b"abc", "image/png", "low"),)
    )
    document = (
        '{"max_tokens":1024,"model":"m",'
        # SHA-256 of "abc", from FIPS 180-2
        '"pictures":[["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","image/png","low"]],'
        '"schema":null,"system":"Be brief.","temperature":0.0,"text":"Größe?"}'
    )
    turn = make_turn(request)
    assert turn.document == document
    assert turn.fingerprint == sha256(document.encode()).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, model="n"),
        replace(REQUEST, text="What"),
        replace(REQUEST, system="s"),
        replace(REQUEST, pictures=(RequestPicture(b"1"),)),
        replace(REQUEST, pictures=(RequestPicture(b"2"),)),
        replace(REQUEST, pictures=(RequestPicture(b"1", detail="low"),)),
        replace(REQUEST, pictures=(RequestPicture(b"1"), RequestPicture(b"2"))),
        replace(REQUEST, pictures=(RequestPicture(b"2"), RequestPicture(b"1"))),
        replace(REQUEST, max_tokens=5),
        replace(REQUEST, temperature=0.5),
        replace(REQUEST, schema=Number),
        replace(REQUEST, schema=None),
    ],
)
def test_whatever_the_reply_depends_on_changes_the_fingerprint(other: ChatRequest) -> None:
    assert make_turn(other).fingerprint != make_turn(REQUEST).fingerprint
    assert make_turn(replace(other, key="q2")).fingerprint == make_turn(other).fingerprint


def test_without_a_reply_the_first_turn_is_next() -> None:
    assert outcome(REQUEST, {}) == make_turn(REQUEST)


def test_a_good_reply_is_the_outcome() -> None:
    first = make_turn(REQUEST)
    reply = outcome(REQUEST, {first.fingerprint: GOOD})
    assert reply == ChatReply(
        key="q1",
        text='{"letter": "A"}',
        parsed=Letter(letter="A"),
        input_tokens=10,
        output_tokens=4,
        reply_hash=sha256(f'{first.fingerprint}\n{{"letter": "A"}}'.encode()).hexdigest(),
        is_stored=True,
    )


def test_plain_text_is_taken_as_it_is() -> None:
    request = replace(REQUEST, schema=None)
    reply = outcome(request, {make_turn(request).fingerprint: replace(BAD, ended=False)})
    assert isinstance(reply, ChatReply)
    assert (reply.text, reply.parsed, reply.ended) == ("A", None, False)


def test_a_bad_reply_is_shown_to_the_model_with_what_is_wrong_with_it() -> None:
    turn = second_turn()
    assert (turn.request, turn.bad_reply, turn.complaint) == (REQUEST, "A", "there is no JSON object in it")
    assert turn.fingerprint != make_turn(REQUEST).fingerprint


def test_the_tokens_of_both_turns_are_counted() -> None:
    replies = {make_turn(REQUEST).fingerprint: BAD, second_turn().fingerprint: replace(GOOD, input_tokens=30)}
    reply = outcome(REQUEST, replies)
    assert isinstance(reply, ChatReply)
    assert (reply.parsed, reply.input_tokens, reply.output_tokens) == (Letter(letter="A"), 40, 5)


def test_two_bad_replies_are_the_end() -> None:
    replies = {make_turn(REQUEST).fingerprint: BAD, second_turn().fingerprint: BAD}
    message = "not of the schema, also when asked again: there is no JSON object in it"
    assert outcome(REQUEST, replies) == ChatFailure("q1", "invalid", message)


def test_a_refusal_is_not_asked_again_and_is_one_line() -> None:
    refusal = RawReply(text="", refusal="I cannot\nhelp. " + "x" * 400)
    failure = outcome(REQUEST, {make_turn(REQUEST).fingerprint: refusal})
    assert isinstance(failure, ChatFailure)
    assert failure.kind == "refused"
    assert failure.message.startswith("the model refused: I cannot help. xxx")
    assert len(failure.message) == 300
