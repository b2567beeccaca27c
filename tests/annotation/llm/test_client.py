"""The client against an endpoint over HTTP, in all the manners that endpoints have."""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pydantic import BaseModel

from rsvqa.annotation.llm.budget import Budget, BudgetSpentError
from rsvqa.annotation.llm.client import BatchOpenError, ChatClient, ClientSettings, Endpoint, EndpointDownError
from rsvqa.annotation.llm.reply_store import ReplyStore
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.annotation.llm.sender import Sender, _BadRequestError, retry_after_s
from rsvqa.annotation.llm.turns import RawReply, Turn, make_turn
from rsvqa.annotation.llm.wire import Dialect
from tests.scripted_endpoint import Action, Body, Manner, Script, ScriptedEndpoint, always, text_of

KEY = "sk-sentinel-0123456789"
SETTINGS = ClientSettings(concurrency=4, backoff_s=0.01, timeout_s=5, retries=2)


class Letter(BaseModel):
    letter: str


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def request(number: int = 1, **changes: object) -> ChatRequest:
    return replace(ChatRequest(key=f"q{number}", model="m", text=f"What is {number}?"), **changes)  # type: ignore[arg-type]


def ask(
    server: ScriptedEndpoint, *requests: ChatRequest, settings: ClientSettings = SETTINGS
) -> list[ChatReply | ChatFailure]:
    with ChatClient(Endpoint(server.base_url), settings) as client:
        return list(client.ask(requests))


def ask_one(server: ScriptedEndpoint, asked: ChatRequest) -> ChatReply | ChatFailure:
    (outcome,) = ask(server, asked)
    return outcome


def first(manner: Manner, times: int = 1) -> Script:
    """Return a script that does one thing so many times, and then answers well."""
    return lambda _body, earlier: Action(manner) if earlier < times else Action()


def test_a_reply_comes_back_with_its_tokens_and_time() -> None:
    with ScriptedEndpoint(answer=lambda body: f"about {text_of(body)}") as server:
        reply = ask_one(server, request())
    assert isinstance(reply, ChatReply)
    assert (reply.key, reply.text, reply.is_stored) == ("q1", "about What is 1?", False)
    # the endpoint counts a token for four characters, and one: 10 / 4, 16 / 4
    assert (reply.input_tokens, reply.output_tokens) == (3, 5)
    assert 0 < reply.seconds < 5
    assert server.headers["authorization"] == f"Bearer {KEY}"


def test_a_reply_of_a_schema_comes_back_parsed() -> None:
    with ScriptedEndpoint(always(text='{"letter": "B"}')) as server:
        reply = ask_one(server, request(schema=Letter))
    assert isinstance(reply, ChatReply)
    assert reply.parsed == Letter(letter="B")
    assert server.bodies[0]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize("manner", ["late", "408", "409", "429", "500", "broken", "half_sent", "not_json"])
def test_passing_faults_are_retried_and_paid_once(manner: Manner) -> None:
    with ScriptedEndpoint(first(manner), late_s=0.05) as server:
        outcome = ask_one(server, request())
    assert isinstance(outcome, ChatReply)
    assert server.sent.total() == (1 if manner == "late" else 2)
    assert server.paid.total() == 1


def test_an_endpoint_that_never_answers_is_retried_after_the_time_out() -> None:
    settings = SETTINGS.model_copy(update={"timeout_s": 0.2})
    with ScriptedEndpoint(first("never")) as server:
        (outcome,) = ask(server, request(), settings=settings)
    assert isinstance(outcome, ChatReply)
    assert outcome.seconds > 0.2
    assert server.sent.total() == 2


def test_a_sending_without_an_answer_is_noted_for_it_may_be_on_the_bill() -> None:
    with ScriptedEndpoint(first("half_sent")) as server, ReplyStore() as store:
        with ChatClient(Endpoint(server.base_url), SETTINGS, store) as client:
            list(client.ask([request()]))
        assert store.lost() == [(make_turn(request()).fingerprint, "no answer")]


def test_retry_after_is_kept_to_for_other_requests_too() -> None:
    arrivals: list[float] = []
    second_is_there = threading.Event()

    def script(body: Body, earlier: int) -> Action:
        arrivals.append(time.monotonic())
        if "1?" in text_of(body) and not earlier:
            second_is_there.wait(10)
            return Action("429", retry_after_s=0.6)
        second_is_there.set()
        return Action("late")

    with ScriptedEndpoint(script, late_s=0.1) as server:
        requests = (request(number) for number in range(1, 4))
        outcomes = ask(server, *requests, settings=SETTINGS.model_copy(update={"concurrency": 2}))
    assert all(isinstance(outcome, ChatReply) for outcome in outcomes)
    # two come at once, one of them is told to wait; its retry and the third request both do
    assert len(arrivals) == 4
    assert min(arrivals[2:]) - max(arrivals[:2]) >= 0.6


def test_after_the_last_retry_a_request_is_unreachable() -> None:
    with ScriptedEndpoint(always("500")) as server:
        outcome = ask_one(server, request())
        host = server.base_url.split("/")[2]
    assert isinstance(outcome, ChatFailure)
    assert outcome.kind == "unreachable"
    assert outcome.message.startswith(f"no answer after 3 tries: {host}: 500: ")
    assert server.sent.total() == 3


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
    with ReplyStore() as store, ChatClient(endpoint, SETTINGS, store) as client:
        (outcome,) = client.ask([request()])
        assert isinstance(outcome, ChatFailure)
        assert outcome.kind == "unreachable"
        assert store.lost() == []  # it was never sent


@pytest.mark.parametrize("manner", ["400", "403"])
def test_a_rejected_request_is_not_retried(manner: Manner) -> None:
    with ScriptedEndpoint(always(manner, text="image too large")) as server:
        outcome = ask_one(server, request())
    assert isinstance(outcome, ChatFailure)
    assert outcome.kind == "rejected"
    assert f" {manner}: " in outcome.message
    assert "image too large" in outcome.message
    assert server.sent.total() == 1


@pytest.mark.parametrize("manner", ["refusal", "filtered"])
def test_a_refusal_is_paid_once_and_not_asked_again(manner: Manner) -> None:
    with ScriptedEndpoint(always(manner)) as server:
        outcome = ask_one(server, request(schema=Letter))
    assert isinstance(outcome, ChatFailure)
    assert outcome.kind == "refused"
    assert server.paid.total() == 1


@pytest.mark.parametrize("manner", ["truncated_json", "other_schema", "injected", "cut_off"])
def test_a_reply_of_no_use_is_asked_again_once_with_what_is_wrong(manner: Manner) -> None:
    mended: Script = lambda body, _earlier: Action(manner) if len(body["messages"]) == 1 else Action()  # noqa: E731
    with ScriptedEndpoint(mended) as server:
        outcome = ask_one(server, request(schema=Letter))
    assert isinstance(outcome, ChatReply)
    assert outcome.parsed == Letter(letter="text")
    assert [len(body["messages"]) for body in server.bodies] == [1, 3]
    with ScriptedEndpoint(always(manner)) as server:
        outcome = ask_one(server, request(schema=Letter))
    assert isinstance(outcome, ChatFailure)
    assert outcome.kind == "invalid"
    assert server.paid.total() == 2


def test_an_endpoint_without_schemas_is_asked_in_words_and_that_is_remembered() -> None:
    with ScriptedEndpoint(has_schemas=False) as server, ChatClient(Endpoint(server.base_url), SETTINGS) as client:
        outcomes = [*client.ask([request(1, schema=Letter)]), *client.ask([request(2, schema=Letter)])]
    assert [getattr(outcome, "parsed", None) for outcome in outcomes] == [Letter(letter="text")] * 2
    assert ["response_format" in body for body in server.bodies] == [True, False, False]
    assert server.paid.total() == 2


def test_a_400_in_a_dialect_that_another_thread_has_given_up_loses_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("m", Letter)

    def refuse_schemas(sender: Sender, _turn: Turn, dialect: Dialect) -> RawReply:
        if dialect.has_schemas:
            sender._dialects[key] = Dialect(has_schemas=False)  # another one was faster
            raise _BadRequestError("no schemas here", None)
        return RawReply(text='{"letter": "B"}')

    monkeypatch.setattr(Sender, "_post", refuse_schemas)
    with ChatClient(Endpoint("http://127.0.0.1:9/v1"), SETTINGS) as client:
        (outcome,) = client.ask([replace(request(schema=Letter), model="m")])
    assert isinstance(outcome, ChatReply)


def test_what_was_refused_is_asked_again_when_told_so_and_ends_no_run_from_the_store() -> None:
    refusing = ScriptedEndpoint(always("refusal"))
    once = SETTINGS.model_copy(update={"stop_after": 1, "concurrency": 1})
    with refusing as server, ReplyStore() as store:
        endpoint = Endpoint(server.base_url)
        for number in (1, 2):  # the first run ends at its first refusal, the second goes on behind it
            with ChatClient(endpoint, once, store) as client, pytest.raises(EndpointDownError, match="1 requests in"):
                list(client.ask([request(1), request(2)]))
            assert server.paid.total() == number
        refusing.script = always("well")
        again = once.model_copy(update={"retry_failed": True})
        with ChatClient(endpoint, again, store) as client:
            assert [type(outcome) for outcome in client.ask([request(1), request(2)])] == [ChatReply] * 2
        with ChatClient(endpoint, again, store) as client:
            list(client.ask([request(1), request(2)]))
        assert server.paid.total() == 4


def test_a_400_that_is_not_about_the_schema_is_not_taken_for_one() -> None:
    too_large: Script = lambda body, _earlier: Action("400" if "1?" in text_of(body) else "well", text=None)  # noqa: E731
    with ScriptedEndpoint(too_large) as server:
        settings = SETTINGS.model_copy(update={"concurrency": 1})
        outcomes = ask(server, *(request(number, schema=Letter) for number in (1, 2)), settings=settings)
    assert [type(outcome) for outcome in outcomes] == [ChatFailure, ChatReply]
    assert ["response_format" in body for body in server.bodies] == [True, False, True]


def test_reasoning_models_get_the_parameters_that_they_take() -> None:
    wants = {
        "max_tokens": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "temperature": "Unsupported value: 'temperature' does not support 0.0 with this model.",
    }
    with ScriptedEndpoint(wants=wants) as server:
        outcome = ask_one(server, request())
    assert isinstance(outcome, ChatReply)
    assert sorted(server.bodies[-1]) == ["max_completion_tokens", "messages", "model"]


@pytest.mark.parametrize(("manner", "message"), [("401", "401: "), ("429", "it asks to wait 900 s: start again later")])
def test_what_no_request_can_get_past_ends_the_asking_at_once(manner: Manner, message: str) -> None:
    with (
        ScriptedEndpoint(lambda _body, _earlier: Action(manner, retry_after_s=900)) as server,
        pytest.raises(EndpointDownError, match=message),
    ):
        ask(server, *(request(number) for number in range(100)))
    assert server.sent.total() <= SETTINGS.concurrency


def test_what_was_stopped_can_be_asked_again_with_the_same_store() -> None:
    asked = [request(number) for number in range(6)]
    with ReplyStore() as store:
        with ScriptedEndpoint(always("401")) as server:
            barred = ChatClient(Endpoint(server.base_url), SETTINGS, store)
            with barred, pytest.raises(EndpointDownError, match="401"):
                list(barred.ask(asked))
        with ScriptedEndpoint() as server:
            poor = ChatClient(Endpoint(server.base_url), SETTINGS, store, Budget(max_requests=2))
            with poor, pytest.raises(BudgetSpentError):
                list(poor.ask(asked))
            with ChatClient(Endpoint(server.base_url), SETTINGS, store) as client:
                assert all(isinstance(outcome, ChatReply) for outcome in client.ask(asked))
    assert server.paid.total() == 6


def test_once_the_asking_ends_nothing_new_is_sent() -> None:
    """The reply to the first request would have to be asked again, when the second one has ended the asking."""

    def script(body: Body, _earlier: int) -> Action:
        if "1?" not in text_of(body):
            return Action("401")
        time.sleep(0.3)
        return Action("other_schema")

    asked = [request(number, schema=Letter) for number in (1, 2)]
    with ScriptedEndpoint(script) as server, pytest.raises(EndpointDownError, match="401"):
        ask(server, *asked)
    assert server.paid.total() == 1


def test_no_credit_left_is_no_reason_to_retry() -> None:
    with ScriptedEndpoint(always("no_credit")) as server, pytest.raises(EndpointDownError, match="exceeded your quota"):
        ask(server, request())
    assert server.sent.total() == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5),
        ("0", 0.0),
        ("-3", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_what_retry_after_asks_for(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}) == seconds


def test_retry_after_may_be_a_date() -> None:
    in_a_minute = datetime.now(UTC) + timedelta(seconds=60)
    assert retry_after_s({"retry-after": format_datetime(in_a_minute, usegmt=True)}) == pytest.approx(60, abs=2)


def test_after_failures_in_a_row_the_endpoint_is_down_and_everything_is_kept(tmp_path: Path) -> None:
    broken: Script = lambda body, _earlier: Action("well" if int(body["temperature"]) < 10 else "500")  # noqa: E731
    requests = [request(number, temperature=float(number)) for number in range(200)]
    settings = SETTINGS.model_copy(update={"stop_after": 5, "retries": 0})
    outcomes: list[ChatReply | ChatFailure] = []
    with ReplyStore(tmp_path / "s") as store, ScriptedEndpoint(broken) as server:
        with ChatClient(Endpoint(server.base_url), settings, store) as client:
            with pytest.raises(
                EndpointDownError, match="5 requests in a row failed, the last with: no answer after 1 tries"
            ):
                outcomes.extend(client.ask(iter(requests)))
            for outcome in client.ask(requests[:10]):
                assert isinstance(outcome, ChatReply)
                assert outcome.is_stored
        assert store.num_replies() == 10
        assert len(store.failures()) == server.sent.total() - 10


def test_a_success_between_failures_counts_anew() -> None:
    every_third: Script = lambda body, _earlier: Action("well" if int(body["temperature"]) % 3 == 2 else "500")  # noqa: E731
    settings = SETTINGS.model_copy(update={"stop_after": 3, "retries": 0, "concurrency": 1})
    with ScriptedEndpoint(every_third) as server:
        outcomes = ask(server, *(request(number, temperature=float(number)) for number in range(30)), settings=settings)
    assert sum(isinstance(outcome, ChatFailure) for outcome in outcomes) == 20


def test_stored_replies_are_not_asked_again_and_failures_are(tmp_path: Path) -> None:
    requests = [request(1), request(2)]
    with ScriptedEndpoint(first("400")) as server:
        for kinds in ([ChatFailure, ChatFailure], [ChatReply, ChatReply], [ChatReply, ChatReply]):
            with ReplyStore(tmp_path / "s") as store, ChatClient(Endpoint(server.base_url), SETTINGS, store) as client:
                outcomes = list(client.ask(requests))
                assert [type(outcome) for outcome in outcomes] == kinds
    assert all(isinstance(outcome, ChatReply) and outcome.is_stored and outcome.seconds == 0 for outcome in outcomes)
    assert server.sent.total() == 4


def test_the_same_request_under_many_names_is_paid_once() -> None:
    with ScriptedEndpoint(always("late"), late_s=0.2) as server:
        outcomes = ask(server, *(replace(request(), key=f"name{number}") for number in range(12)))
    assert sorted(outcome.key for outcome in outcomes) == sorted(f"name{number}" for number in range(12))
    assert server.sent.total() == 1
    assert sum(isinstance(outcome, ChatReply) and not outcome.is_stored for outcome in outcomes) == 1


def test_two_clients_at_once_share_what_they_pay_for(tmp_path: Path) -> None:
    requests = [request(number) for number in range(60)]
    with ScriptedEndpoint(always("late"), late_s=0.01) as server:

        def run() -> None:
            with ReplyStore(tmp_path / "s") as store, ChatClient(Endpoint(server.base_url), SETTINGS, store) as client:
                counts.append(len(list(client.ask(requests))))

        counts: list[int] = []
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [60, 60]
    assert server.sent.total() == 60


def test_requests_are_pulled_only_when_there_is_a_place() -> None:
    pulled = 0

    def source() -> Iterator[ChatRequest]:
        nonlocal pulled
        for number in range(50):
            pulled += 1
            yield request(number)

    with (
        ScriptedEndpoint(always("late"), late_s=0.02) as server,
        ChatClient(Endpoint(server.base_url), SETTINGS) as client,
    ):
        for num_seen, _ in enumerate(client.ask(source())):
            assert pulled <= num_seen + 1 + SETTINGS.concurrency
    assert pulled == 50
    assert server.most_at_once <= SETTINGS.concurrency


def test_an_asking_that_is_left_early_keeps_what_was_on_its_way(tmp_path: Path) -> None:
    with ScriptedEndpoint(always("late"), late_s=0.1) as server, ReplyStore(tmp_path / "s") as store:
        with ChatClient(Endpoint(server.base_url), SETTINGS, store) as client:
            outcomes = client.ask(request(number) for number in range(50))
            next(outcomes)
            outcomes.close()  # type: ignore[attr-defined]
        assert store.num_replies() == server.paid.total() <= 2 * SETTINGS.concurrency


def test_an_error_of_the_source_is_not_swallowed() -> None:
    def source() -> Iterator[ChatRequest]:
        yield request()
        raise LookupError("the source broke")

    with (
        ScriptedEndpoint() as server,
        ChatClient(Endpoint(server.base_url), SETTINGS) as client,
        pytest.raises(LookupError, match="the source broke"),
    ):
        list(client.ask(source()))


@pytest.mark.timeout(45)  # of retries, the first waits a minute
def test_leaving_early_does_not_wait_for_retries() -> None:
    slow = SETTINGS.model_copy(update={"backoff_s": 60.0, "retries": 5})
    script: Script = lambda body, _earlier: Action("well" if "1?" in text_of(body) else "500")  # noqa: E731
    with ScriptedEndpoint(script) as server, ChatClient(Endpoint(server.base_url), slow) as client:
        outcomes = client.ask([request(1), request(2), request(3)])
        next(outcomes)
        outcomes.close()  # type: ignore[attr-defined]


def test_the_budget_ends_the_asking_and_what_was_paid_is_given_back() -> None:
    budget = Budget(max_requests=7)
    outcomes: list[ChatReply | ChatFailure] = []
    with (
        ScriptedEndpoint() as server,
        ChatClient(Endpoint(server.base_url), SETTINGS, budget=budget) as client,
        pytest.raises(BudgetSpentError, match="7 requests is used up"),
    ):
        outcomes.extend(client.ask(request(number) for number in range(50)))
    assert len(outcomes) == 7 == server.paid.total()
    assert [(line.model, line.paid) for line in budget.bill()] == [("m", 7)]


def test_a_failure_takes_nothing_from_the_budget() -> None:
    refusing_one: Script = lambda body, _earlier: Action("400" if "1?" in text_of(body) else "well")  # noqa: E731
    with ScriptedEndpoint(refusing_one) as server:
        client = ChatClient(Endpoint(server.base_url), SETTINGS, budget=Budget(max_requests=1))
        with client:
            outcomes = [*client.ask([request(1)]), *client.ask([request(2)])]
    assert [type(outcome) for outcome in outcomes] == [ChatFailure, ChatReply]


def test_a_request_that_waits_in_a_batch_is_not_asked_a_second_time() -> None:
    with ScriptedEndpoint() as server, ReplyStore() as store:
        store.begin_batch("t", [make_turn(request())])
        client = ChatClient(Endpoint(server.base_url), SETTINGS, store)
        with client, pytest.raises(BatchOpenError, match="run it with `batch_api` until it is collected"):
            list(client.ask([request()]))
    assert server.sent.total() == 0


def test_limits_a_minute_are_kept_to() -> None:
    settings = SETTINGS.model_copy(update={"requests_per_minute": 600.0})
    started = time.monotonic()
    with ScriptedEndpoint() as server:
        ask(server, *(request(number) for number in range(20)), settings=settings)
    # one in 0.1 s; ten of them are the burst, and one more goes at once
    assert time.monotonic() - started >= 0.9


def test_tokens_are_limited_by_what_was_really_used() -> None:
    settings = SETTINGS.model_copy(update={"tokens_per_minute": 120_000.0, "concurrency": 1})
    started = time.monotonic()
    with ScriptedEndpoint(always(text="x" * 4_000)) as server:
        ask(server, *(request(number) for number in range(5)), settings=settings)
    # each reply is 1,001 tokens, half a second's worth, which no estimate knew of; a second's worth may go at once:
    # requests go at 0, 0, 0, 0.5 and 1.0 s
    assert time.monotonic() - started >= 0.95


def test_the_key_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also where the endpoint repeats it: in its errors, in a refusal and in its replies."""
    caplog.set_level(logging.DEBUG)

    def telling(body: Body, _earlier: int) -> Action:
        number = int(body["temperature"])
        manner: Manner = ("well", "400", "500", "429", "broken", "half_sent")[number % 6]
        return Action(manner, text=f"your key is {KEY}")

    settings = SETTINGS.model_copy(update={"stop_after": 1_000, "retries": 1})
    outcomes: list[object] = []
    with ScriptedEndpoint(telling) as server, ReplyStore(tmp_path / "s") as store:
        with ChatClient(Endpoint(server.base_url), settings, store) as client:
            outcomes += client.ask(request(number, temperature=float(number), schema=Letter) for number in range(12))
            outcomes += client.ask(request(number, temperature=float(number)) for number in range(12))
            outcomes += [repr(client), repr(store), client.budget.bill(), client.settings]
        with (
            ScriptedEndpoint(always("401", text=f"wrong key {KEY}")) as server,
            pytest.raises(EndpointDownError, match=r"wrong key \*\*\*") as caught,
        ):
            ask(server, request(99))
    assert any("your key is ***" in repr(outcome) for outcome in outcomes)
    told = repr(outcomes) + caplog.text + "".join(traceback.format_exception(caught.value))
    assert "HTTP" in caplog.text  # the libraries do log
    assert KEY not in told
    for path in sorted(tmp_path.rglob("*")):
        assert path.is_dir() or KEY.encode() not in path.read_bytes()
    with sqlite3.connect(tmp_path / "s") as connection:
        assert KEY not in "\n".join(connection.iterdump())
