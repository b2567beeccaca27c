"""A process that asks an endpoint many things and writes down how each ended; tests kill it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from rsvqa.annotation.llm.client import ChatClient, ClientSettings, Endpoint
from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.annotation.llm.requests import ChatRequest

CONCURRENCY = 8


class Verdict(BaseModel):
    """What is asked for."""

    answer: str
    is_sure: bool


def make_requests(number: int) -> Iterator[ChatRequest]:
    for index in range(number):
        yield ChatRequest(key=f"q{index}", model="tiny", text=f"How many ships are at berth {index}?", schema=Verdict)


def ask_all(base_url: str, store_path: Path, number: int) -> list[list[str]]:
    """Return key, kind and text or message of each outcome, in the order in which they came."""
    settings = ClientSettings(concurrency=CONCURRENCY, backoff_s=0.02, timeout_s=10)
    with ReplyStore(store_path) as store, ChatClient(Endpoint(base_url), settings, store) as client:
        return [
            [outcome.key, getattr(outcome, "kind", "reply"), getattr(outcome, "text", "")]
            for outcome in client.ask(make_requests(number))
        ]


if __name__ == "__main__":
    url, store_file, number_text, out = sys.argv[1:]
    outcomes = ask_all(url, Path(store_file), int(number_text))
    Path(out).write_text(json.dumps(outcomes))
