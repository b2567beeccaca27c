"""Where requests go, and the key that lets them in."""

from __future__ import annotations

import pytest

from rsvqa.annotation.llm.endpoint import OPENAI_URL, Endpoint, EndpointError
from rsvqa.annotation.llm.turns import RawReply

KEY = "sk-sentinel-0123456789"


def test_the_key_is_not_in_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert KEY not in repr(Endpoint()) + repr(Endpoint.__slots__)
    assert Endpoint().hide_key(f"wrong key {KEY}!") == "wrong key ***!"
    assert Endpoint().clean(RawReply(text=f"a {KEY}", refusal=f"b {KEY}")) == RawReply(text="a ***", refusal="b ***")


def test_without_a_key_nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert Endpoint().hide_key("none of this") == "none of this"


def test_a_key_that_is_no_secret_does_not_spoil_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert Endpoint().clean(RawReply(text='{"box": [0, 0, 1, 1]}')).text == '{"box": [0, 0, 1, 1]}'


def test_openai_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    with pytest.raises(
        EndpointError, match=r"api\.openai\.com needs a key: set the environment variable OPENAI_API_KEY"
    ):
        Endpoint(OPENAI_URL).connect(1)


@pytest.mark.parametrize(
    "key", ["sk-secret-1234\nOTHER=5", "sk-secret-1234\r\n5", "sk-secret-1234é", "密钥sk-secret-1234"]
)
def test_a_key_that_no_request_can_carry_is_refused_without_showing_it(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(EndpointError, match="OPENAI_API_KEY holds a character that no key has") as caught:
        Endpoint("http://127.0.0.1:1/v1").connect(1)
    assert "secret" not in str(caught.value)


def test_a_server_of_ones_own_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with Endpoint("http://127.0.0.1:1/v1").connect(1) as client:
        assert str(client.base_url) == "http://127.0.0.1:1/v1/"


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(EndpointError, match="expected an address like"):
        Endpoint(url)


@pytest.mark.parametrize("url", ["https://user:secret@host/v1", "https://secret@host/v1", "https://host/v1?key=secret"])
def test_a_secret_in_the_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(EndpointError, match="the address of host must hold no user, password or query") as caught:
        Endpoint(url)
    assert "secret" not in str(caught.value)
