"""Batches: submitted, looked after, collected, and never twice, whenever the process ends."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from rsvqa.annotation.llm.batch_api import BatchClient, BatchSettings
from rsvqa.annotation.llm.batch_files import BatchFileError, make_line, read_lines
from rsvqa.annotation.llm.budget import Budget, BudgetSpentError
from rsvqa.annotation.llm.client import ClientSettings, Endpoint, EndpointDownError
from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.annotation.llm.turns import RawReply, make_turn
from rsvqa.annotation.llm.wire import Dialect
from tests.scripted_endpoint import Action, Body, ScriptedEndpoint, text_of

SETTINGS = ClientSettings(backoff_s=0.01, retries=0, timeout_s=5)
BATCHES = BatchSettings(poll_s=0.01, max_requests=10)


class Letter(BaseModel):
    letter: str


def requests(number: int, schema: type[BaseModel] | None = None) -> list[ChatRequest]:
    return [
        ChatRequest(key=f"q{index}", model="gpt-4o", text=f"What is {index}?", schema=schema) for index in range(number)
    ]


def open_client(server: ScriptedEndpoint, store: ReplyStore, batches: BatchSettings = BATCHES) -> BatchClient:
    return BatchClient(Endpoint(server.base_url), SETTINGS, batches, store=store)


def kinds(outcomes: list[ChatReply | ChatFailure]) -> Counter[str]:
    return Counter(getattr(outcome, "kind", "reply") for outcome in outcomes)


def test_lines_are_known_by_their_fingerprint() -> None:
    turn = make_turn(requests(1)[0])
    line = json.loads(make_line(turn, Dialect()))
    assert (line["custom_id"], line["method"], line["url"]) == (turn.fingerprint, "POST", "/v1/chat/completions")
    assert line["body"]["messages"] == [{"role": "user", "content": "What is 0?"}]


def test_lines_of_a_result() -> None:
    good = {"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}]}
    entries = [
        {"custom_id": "1", "response": {"status_code": 200, "body": good}, "error": None},
        {"custom_id": "2", "response": {"status_code": 400, "body": {"error": {"message": "too\nlarge"}}}},
        {"custom_id": "3", "response": {"status_code": 500, "body": None}, "error": {"message": "busy"}},
        {"custom_id": "4", "response": None, "error": {"code": "batch_expired", "message": "expired"}},
        {"custom_id": "5", "response": {"status_code": 200, "body": {}}},
    ]
    content = b"\n".join(json.dumps(entry).encode() for entry in entries)
    assert list(read_lines(content)) == [
        ("1", RawReply(text="A")),
        ("2", ("rejected", "batch: 400: too large")),
        ("3", ("unreachable", "batch: 500: busy")),
        ("4", ("unreachable", "batch: no status: expired")),
        ("5", ("unreachable", "the reply is not a chat completion, it begins with '{}'")),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"custom_id": "1", "response": [1]}',
        b'{"custom_id": "1", "response": {"status_code": "x"}}',
    ],
)
def test_a_line_of_another_form_is_refused(line: bytes) -> None:
    with pytest.raises(BatchFileError, match="line 1 of the batch's result is not of the form"):
        list(read_lines(line))


def test_requests_are_answered_in_batches_and_billed_as_such(tmp_path: Path) -> None:
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
        outcomes = list(client.ask(requests(25)))
    assert [outcome.key for outcome in sorted(outcomes, key=lambda outcome: int(outcome.key[1:]))] == [
        f"q{index}" for index in range(25)
    ]
    assert all(isinstance(outcome, ChatReply) and not outcome.is_stored for outcome in outcomes)
    assert max(server.paid.values()) == 1
    # the first one goes directly; 24 others make batches of 10, 10 and 4
    assert len(server.batches.created) == 3
    (line,) = client.budget.bill()
    assert line.paid == 25
    # "What is 7?" are 3 tokens and "What is 17?" are 3, "A" is 1; half of 2.50 and 10.00 a million
    assert line.cost == pytest.approx(25 * (3 * 1.25 + 1 * 5.0) / 1e6)


def test_no_more_batches_than_allowed_are_open_at_once(tmp_path: Path) -> None:
    batches = BATCHES.model_copy(update={"batches_at_once": 2, "max_requests": 3})
    most = 0
    with (
        ScriptedEndpoint() as server,
        ReplyStore(tmp_path / "s") as store,
        open_client(server, store, batches) as client,
    ):
        server.batches.looks = 4
        for _ in client.ask(requests(20)):
            most = max(most, len(store.open_batches()))
    assert most <= 2
    assert max(server.paid.values()) == 1


def test_bytes_bound_a_batch_and_what_is_beyond_is_rejected(tmp_path: Path) -> None:
    size = len(make_line(make_turn(requests(1)[0]), Dialect()))
    batches = BATCHES.model_copy(update={"max_bytes": 2 * size + 50})
    asked = [*requests(5), ChatRequest(key="big", model="gpt-4o", text="x" * 3 * size)]
    with (
        ScriptedEndpoint() as server,
        ReplyStore(tmp_path / "s") as store,
        open_client(server, store, batches) as client,
    ):
        outcomes = list(client.ask(asked))
    assert len(server.batches.created) == 2  # four others in twos
    assert [outcome.message for outcome in outcomes if isinstance(outcome, ChatFailure)] == [
        f"{len(make_line(make_turn(asked[-1]), Dialect())):,} bytes are more than a batch may have ({2 * size + 50:,})"
    ]


def test_a_batch_is_collected_by_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise InterruptedError("while waiting for the batch")

    with ScriptedEndpoint() as server:
        with (
            monkeypatch.context() as patched,
            ReplyStore(tmp_path / "s") as store,
            open_client(server, store) as client,
        ):
            patched.setattr("rsvqa.annotation.llm.batch_api.time.sleep", interrupt)
            with pytest.raises(InterruptedError, match="while waiting"):
                list(client.ask(requests(8)))
        with ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
            outcomes = list(client.ask(requests(8)))
    assert len(server.batches.created) == 1
    assert kinds(outcomes) == {"reply": 8}
    assert all(isinstance(outcome, ChatReply) and outcome.is_stored for outcome in outcomes)
    assert max(server.paid.values()) == 1


class DiedError(BaseException):
    """Stands for the end of the process."""


def die_at(moment: int, when: str, calls: Iterator[int], function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that ends the process before or after its work, if it is the `moment`-th of all `calls`."""

    def dying(*arguments: Any, **named: Any) -> Any:
        is_the_moment = next(calls) == moment
        if is_the_moment and when == "before":
            raise DiedError
        result = function(*arguments, **named)
        if is_the_moment:
            raise DiedError
        return result

    return dying


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("moment", range(8))
def test_whenever_the_process_dies_nothing_is_paid_twice(tmp_path: Path, moment: int, when: str) -> None:
    """The moments: begin, upload, create, name, look, look, fetch, collect; a batch is done at the second look."""
    asked = requests(5)
    with ScriptedEndpoint() as server:
        with ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
            calls = itertools.count()
            for owner, names in ((store, ("begin_batch", "name_batch", "collect_batch")), (client, ("_call",))):
                for name in names:
                    setattr(owner, name, die_at(moment, when, calls, getattr(owner, name)))
            with pytest.raises(DiedError):
                list(client.ask(asked))
        with ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
            assert kinds(list(client.ask(asked))) == {"reply": 5}
            assert store.open_batches() == []
    assert set(server.paid.values()) == {1}
    assert len(server.paid) == 5


def test_a_batch_whose_making_was_not_answered_is_found_again(tmp_path: Path) -> None:
    with ScriptedEndpoint() as server:
        server.batches.breaks_after_create = True
        with ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
            with pytest.raises(EndpointDownError, match="batches on their way are collected by the next run"):
                list(client.ask(requests(8)))
            assert [batch.batch_id for batch in store.open_batches()] == [None]
            assert kinds(list(client.ask(requests(8)))) == {"reply": 8}
    assert len(server.batches.created) == 1
    assert max(server.paid.values()) == 1


def test_a_batch_that_another_process_is_submitting_is_left_alone(tmp_path: Path) -> None:
    asked = requests(4)
    sent_before: list[int] = []
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as theirs:
        theirs.begin_batch("t", [make_turn(request) for request in asked])

        def give_up() -> None:
            sent_before.append(server.sent.total())
            theirs.drop_batch("t")

        with ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
            timer = threading.Timer(0.3, give_up)
            timer.start()
            assert kinds(list(client.ask(asked))) == {"reply": 4}
            timer.join()
    assert sent_before == [0]


def test_a_batch_that_the_endpoint_rejects_frees_its_turns(tmp_path: Path) -> None:
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
        for path in ("files", "batches"):
            server.batches.refuses = path
            with pytest.raises(EndpointDownError, match="403"):
                list(client.ask(requests(4)))
            assert store.open_batches() == []


def test_a_batch_that_never_came_to_be_is_submitted_again(tmp_path: Path) -> None:
    asked = requests(4)
    with ReplyStore(tmp_path / "s") as store:
        store.begin_batch("died before it was sent", [make_turn(request) for request in asked])
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
        assert kinds(list(client.ask(asked))) == {"reply": 4}
    assert max(server.paid.values()) == 1


def test_what_is_not_of_the_schema_is_asked_again_in_a_later_batch(tmp_path: Path) -> None:
    def script(body: Body, _earlier: int) -> Action:
        is_bad = "What is 3?" in text_of(body) and len(body["messages"]) == 1
        return Action("other_schema" if is_bad else "well")

    with ScriptedEndpoint(script) as server, ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
        outcomes = list(client.ask(requests(6, schema=Letter)))
    assert kinds(outcomes) == {"reply": 6}
    assert len(server.batches.created) == 2
    assert server.paid.total() == 7


def test_lines_that_fail_are_failures_and_the_next_run_asks_them_again(tmp_path: Path) -> None:
    def script(body: Body, earlier: int) -> Action:
        manner = {"What is 2?": "400", "What is 3?": "500", "What is 4?": "refusal"}.get(text_of(body), "well")
        return Action("well" if earlier and manner != "refusal" else manner)  # type: ignore[arg-type]

    with ScriptedEndpoint(script) as server, ReplyStore(tmp_path / "s") as store:
        with open_client(server, store) as client:
            first = list(client.ask(requests(6)))
            assert kinds(list(client.ask(requests(6)))) == kinds(first)  # in the same run they stay failed
        with open_client(server, store) as client:
            second = list(client.ask(requests(6)))
    assert kinds(first) == {"reply": 3, "rejected": 1, "unreachable": 1, "refused": 1}
    assert kinds(second) == {"reply": 5, "refused": 1}
    assert max(server.paid.values()) == 1


def test_an_expired_batch_brings_what_was_done(tmp_path: Path) -> None:
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
        server.batches.final = "expired"
        outcomes = list(client.ask(requests(7)))
    # one went directly, half of six were done
    assert kinds(outcomes) == {"reply": 4, "unreachable": 3}
    messages = {outcome.message for outcome in outcomes if isinstance(outcome, ChatFailure)}
    assert messages == {"the batch is expired, without an answer"}


def test_a_batch_that_is_not_accepted_ends_the_run_and_frees_its_turns(tmp_path: Path) -> None:
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store:
        server.batches.final = "failed"
        with (
            open_client(server, store) as client,
            pytest.raises(EndpointDownError, match="Enqueued token limit reached"),
        ):
            list(client.ask(requests(7)))
        assert store.open_batches() == []
        server.batches.final = "completed"
        with open_client(server, store) as client:
            assert kinds(list(client.ask(requests(7)))) == {"reply": 7}
    assert max(server.paid.values()) == 1


def test_the_budget_bounds_batches(tmp_path: Path) -> None:
    outcomes: list[ChatReply | ChatFailure] = []
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store:
        client = BatchClient(
            Endpoint(server.base_url), SETTINGS, BATCHES, store=store, budget=Budget(max_requests=5, batch=True)
        )
        with client, pytest.raises(BudgetSpentError, match="5 requests is used up"):
            outcomes.extend(client.ask(requests(20)))
    assert kinds(outcomes) == {"reply": 5}
    assert server.paid.total() == 5


def test_what_failed_in_a_batch_takes_nothing_from_the_budget(tmp_path: Path) -> None:
    def script(body: Body, _earlier: int) -> Action:
        return Action("400" if text_of(body) in ("What is 2?", "What is 3?") else "well")

    with ScriptedEndpoint(script) as server, ReplyStore(tmp_path / "s") as store:
        budget = Budget(max_requests=5, batch=True)
        with BatchClient(Endpoint(server.base_url), SETTINGS, BATCHES, store=store, budget=budget) as client:
            outcomes = list(client.ask(requests(7)))
    assert kinds(outcomes) == {"reply": 5, "rejected": 2}


def test_what_another_process_is_asking_is_waited_for(tmp_path: Path) -> None:
    asked = requests(2)
    name = make_turn(asked[1]).fingerprint
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as theirs, ReplyStore(tmp_path / "s") as store:
        theirs.claim(name)
        budget = Budget(max_requests=2, batch=True)
        with BatchClient(Endpoint(server.base_url), SETTINGS, BATCHES, store=store, budget=budget) as client:
            timer = threading.Timer(0.3, lambda: theirs.release(name))
            timer.start()
            outcomes = list(client.ask(asked))
            timer.join()
    assert kinds(outcomes) == {"reply": 2}
    assert server.paid.total() == 2


def test_the_same_request_under_many_names_is_in_one_batch_once(tmp_path: Path) -> None:
    asked = [
        ChatRequest(key=f"{name}{index}", model="gpt-4o", text=f"What is {index}?")
        for name in "ab"
        for index in range(4)
    ]
    with ScriptedEndpoint() as server, ReplyStore(tmp_path / "s") as store, open_client(server, store) as client:
        outcomes = list(client.ask(asked))
    assert sorted(outcome.key for outcome in outcomes) == sorted(request.key for request in asked)
    assert server.paid.total() == 4
