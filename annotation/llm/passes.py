"""A pass over all items: each asks for zero or more replies and is settled by them.

A step of the command line is one or several passes. A pass waits for the last reply of the one before, which keeps
every pass a pure function of items and replies: the order in which replies arrive leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from pydantic import BaseModel

from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import Note
from rsvqa.annotation.llm.prompt_files import PromptTemplate, load_prompt
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest, RequestPicture

ChatResult = ChatReply | ChatFailure
Ask = Callable[[Iterable[ChatRequest]], Iterator[ChatResult]]
"""Takes requests lazily and yields what becomes of each, in any order."""

Parsed = TypeVar("Parsed", bound=BaseModel)


class Pass(Protocol):
    """One pass."""

    @property
    def name(self) -> str:
        """Part of the keys of its requests."""
        ...

    def requests(self, item: QuestionItem) -> Sequence[ChatRequest]:
        """Return what must be asked for `item`; empty when the pass has nothing to ask."""
        ...

    def settle(self, item: QuestionItem, replies: Sequence[ChatResult]) -> Sequence[QuestionItem]:
        """Return what `item` becomes, given a reply for each of its requests, in their order."""
        ...


@dataclass(slots=True, kw_only=True)
class _Open:
    """An item that waits for replies."""

    index: int
    item: QuestionItem
    keys: tuple[str, ...]
    replies: dict[str, ChatResult] = field(default_factory=dict)


def run_pass(
    work: Pass, items: Sequence[QuestionItem], ask: Ask, *, advance: Callable[[], None] = lambda: None
) -> list[QuestionItem]:
    """Return what the items become, in their order; rejected ones pass by untouched.

    Requests are made when the client takes them, so only those under way are in memory.

    Args:
        work: the pass.
        items: in order.
        ask: of the client.
        advance: called when an item is settled.
    """
    settled: dict[int, Sequence[QuestionItem]] = {}
    waiting: dict[str, _Open] = {}

    def feed() -> Iterator[ChatRequest]:
        for index, item in enumerate(items):
            requests = () if item.outcome.is_rejected else work.requests(item)
            if not requests:
                settled[index] = (item,) if item.outcome.is_rejected else work.settle(item, ())
                advance()
                continue
            entry = _Open(index=index, item=item, keys=tuple(request.key for request in requests))
            waiting.update(dict.fromkeys(entry.keys, entry))
            yield from requests

    for reply in ask(feed()):
        entry = waiting.pop(reply.key)
        entry.replies[reply.key] = reply
        if len(entry.replies) == len(entry.keys):
            settled[entry.index] = work.settle(entry.item, [entry.replies[key] for key in entry.keys])
            advance()
    return [item for index in range(len(items)) for item in settled[index]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Makes one prompt's requests and reads what comes back.

    Attributes:
        step: the pass's name.
        model: to ask.
        prompt_name: file of the prompt.
        schema: of the reply.
        max_tokens: bound of the reply.
        temperature: 0 is greedy.
    """

    step: str
    model: str
    prompt_name: str
    schema: type[BaseModel]
    max_tokens: int = 512
    temperature: float = 0.0

    @property
    def prompt(self) -> PromptTemplate:
        """The prompt."""
        return load_prompt(self.prompt_name)

    def request(
        self,
        item: QuestionItem,
        values: Mapping[str, object],
        *,
        number: int = 0,
        pictures: tuple[RequestPicture, ...] = (),
    ) -> ChatRequest:
        """Return the request for `item`; `values` fill the prompt, `number` tells several requests of a pass apart."""
        return ChatRequest(
            key=f"{item.question_id}/{self.step}/{number}",
            model=self.model,
            text=self.prompt.render(values),
            system=self.prompt.system,
            pictures=pictures,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            schema=self.schema,
        )

    def note(self, reply: ChatResult, result: str, *, answer: str = "") -> Note:
        """Return the note of what came of a reply."""
        hashed = reply.reply_hash if isinstance(reply, ChatReply) else ""
        return Note(
            step=self.step, result=result, model=self.model, prompt=self.prompt.label, reply=hashed, answer=answer
        )


def parsed_as(reply: ChatResult, schema: type[Parsed]) -> Parsed | str:
    """Return the validated reply, or why there is none, as a reason for the report."""
    if isinstance(reply, ChatFailure):
        return _FAILURES[reply.kind]
    if not isinstance(reply.parsed, schema):
        return "reply not of the schema"
    return reply.parsed


_FAILURES: Mapping[str, str] = {
    "refused": "model refused",
    "invalid": "reply not of the schema",
    "rejected": "request rejected by the endpoint",
    "too_large": "request rejected by the endpoint",
    "unreachable": "no answer from the endpoint",
}
NO_REPLY = tuple(dict.fromkeys(_FAILURES.values()))
"""Reasons that tell of the endpoint and not of the question: a later answer settles them."""
