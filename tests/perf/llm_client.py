"""Requests a second of the client of language models against the scripted endpoint: `python -m tests.perf.llm_client`.

The endpoint is a process of its own and answers at once, so what is measured is our side: fingerprints, claims, the
client library, a reply on the disk. Beside it the floor: the same requests through the bare client library, from as
many threads, without limits, store or bill. The two take turns; the best of the repeats counts.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import BaseModel

from rsvqa.annotation.llm.client import ChatClient, ClientSettings, Endpoint
from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.annotation.llm.requests import ChatReply, ChatRequest
from rsvqa.annotation.llm.turns import make_turn
from rsvqa.annotation.llm.wire import Dialect, make_body
from tests.scripted_endpoint import ScriptedEndpoint


class Verdict(BaseModel):
    answer: str
    is_sure: bool


def serve(connection: Connection) -> None:
    with ScriptedEndpoint(keeps_bodies=False) as server:
        connection.send(server.base_url)
        connection.recv()


@contextmanager
def endpoint_of_its_own() -> Iterator[Endpoint]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    process.start()
    yield Endpoint(here.recv())
    here.send(None)
    process.join()


def make_requests(number: int) -> list[ChatRequest]:
    return [
        ChatRequest(key=str(index), model="tiny", text=f"How many ships are at berth {index}?", schema=Verdict)
        for index in range(number)
    ]


def ask_bare(endpoint: Endpoint, requests: list[ChatRequest], concurrency: int) -> None:
    with endpoint.connect(60) as library, ThreadPoolExecutor(concurrency) as pool:
        bodies = [make_body(make_turn(request), Dialect()) for request in requests]
        list(pool.map(lambda body: library.chat.completions.create(**body), bodies))


def ask_client(endpoint: Endpoint, requests: list[ChatRequest], concurrency: int, store_path: Path) -> None:
    settings = ClientSettings(concurrency=concurrency)
    with ReplyStore(store_path) as store, ChatClient(endpoint, settings, store) as client:
        assert all(isinstance(outcome, ChatReply) for outcome in client.ask(requests))


def rate(number: int, function: Callable[[], None]) -> float:
    """Return requests per second."""
    started = time.perf_counter()
    function()
    return number / (time.perf_counter() - started)


def measure(endpoint: Endpoint, number: int, concurrency: int, repeats: int) -> tuple[float, float, float]:
    """Return the best rates of the bare library, of the client, and of the client when all replies are stored."""
    requests = make_requests(number)
    rates: list[tuple[float, float, float]] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "replies.sqlite3"
            ask_ours = partial(ask_client, endpoint, requests, concurrency, path)
            bare = rate(number, partial(ask_bare, endpoint, requests, concurrency))
            rates.append((bare, rate(number, ask_ours), rate(number, ask_ours)))
    return max(r[0] for r in rates), max(r[1] for r in rates), max(r[2] for r in rates)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print("| in flight | bare library, requests/s | client | of the library | replies that are stored |")
    print("|---|---|---|---|---|")
    with endpoint_of_its_own() as endpoint:
        ask_bare(endpoint, make_requests(20), 1)  # imports
        for concurrency in (1, 8, 32):
            bare, asked, stored = measure(endpoint, arguments.requests, concurrency, arguments.repeats)
            print(f"| {concurrency} | {bare:.0f} | {asked:.0f} | {asked / bare:.2f} | {stored:.0f} |")


if __name__ == "__main__":
    main()
