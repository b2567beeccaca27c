"""The pass runner: order, laziness, failures, and items that ask nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.passes import ChatResult, parsed_as, run_pass
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, FailureKind
from rsvqa.annotation.llm.verifying_step import Choice
from tests.annotation.llm.make_items import make_item, reply


@dataclass(frozen=True)
class Echo:
    """Asks as many things as the item's answer is long and writes down what came back."""

    name: str = "echo"

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        return [ChatRequest(key=f"{item.question_id}/{n}", model="m", text=item.text) for n in range(len(item.answer))]

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        texts = [reply.text if isinstance(reply, ChatReply) else reply.kind for reply in replies]
        return [replace(item, text=",".join(texts))] * (2 if item.answer == "twice" else 1)


def items(*answers: str) -> list[QuestionItem]:
    return [make_item(question_id=f"q{n}", answer=answer) for n, answer in enumerate(answers)]


def backwards(requests: Iterable[ChatRequest]) -> Iterator[ChatResult]:
    for request in reversed(list(requests)):
        yield ChatReply(key=request.key, text=request.key)


def test_the_order_of_replies_leaves_no_trace() -> None:
    settled = run_pass(Echo(), items("A", "AB", "", "C"), backwards)
    assert [item.text for item in settled] == ["q0/0", "q1/0,q1/1", "", "q3/0"]


def test_requests_are_made_when_they_are_taken() -> None:
    seen: list[str] = []

    @dataclass(frozen=True)
    class Watching(Echo):
        def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
            seen.append(item.question_id)
            return super().requests(item)

    def one_by_one(requests: Iterable[ChatRequest]) -> Iterator[ChatResult]:
        for number, request in enumerate(requests):
            assert len(seen) == number + 1
            yield ChatReply(key=request.key, text="x")

    assert len(run_pass(Watching(), items("A", "B", "C"), one_by_one)) == 3


def test_rejected_items_pass_by_untouched() -> None:
    rejected = make_item().rejected("x")
    assert run_pass(Echo(), [rejected], backwards) == [rejected]


def test_one_item_may_become_two() -> None:
    assert len(run_pass(Echo(), items("twice", "A"), backwards)) == 3


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("refused", "model refused"),
        ("invalid", "reply not of the schema"),
        ("rejected", "request rejected by the endpoint"),
        ("unreachable", "no answer from the endpoint"),
    ],
)
def test_every_failure_has_its_reason(kind: FailureKind, reason: str) -> None:
    assert parsed_as(ChatFailure("k", kind, "m"), Choice) == reason


def test_a_reply_is_trusted_only_as_its_schema() -> None:
    assert parsed_as(reply(Choice(letters="A")), Choice) == Choice(letters="A")
    assert parsed_as(ChatReply(key="k", text="A"), Choice) == "reply not of the schema"
