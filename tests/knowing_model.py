"""A language model made of a data set's own key, wrong as often as it is told to: for tests that need sensible replies.

It reads a request as an endpoint does, by its words alone, and knows the prompts of `annotation/llm/prompts`. Whether
it errs follows from seed and request, so that a request gets the same reply however often, and in whatever order, it is
sent.
"""

from __future__ import annotations

import json
import random
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from rsvqa.annotation.llm.crops import PART_NAMES
from rsvqa.annotation.llm.requests import ChatFailure, ChatReply, ChatRequest
from rsvqa.annotation.llm.translating_step import glossary
from rsvqa.annotation.reading.chinese import denies

_TAGGED = {
    name: re.compile(rf"<{name}>\n?(.*?)\n?</{name}>", re.DOTALL)
    for name in ("question", "choices", "routes", "answer")
}

OPENING = "Please look closely. "
"""What a rewording begins with."""


def tagged(text: str, name: str) -> str:
    """Return what stands between the tags `name`."""
    found = _TAGGED[name].search(text)
    return found[1] if found else ""


def _as_rule(text: str) -> str:
    """Return a text as the rule had it, before this model has worded it."""
    plain = text.removeprefix(OPENING).removeprefix("It seems: ")
    return re.sub(r"^Go (?=north|south|east|west)", "Head ", plain)  # of routes, not "Go through the image …"


_DENYING = frozenset({"not", "no", "none", "never", "without", "cannot", "except", "neither", "nor"})
_NUM_CHARACTERS = 3_000
"""Of GB2312's first level, in its order of sound."""


def in_chinese(text: str, meanings: dict[str, str]) -> str:
    """Return a text with made-up Chinese for every word outside brackets, and the glossary's terms where it has any.

    What each made-up word means is kept in `meanings`.
    """

    def word(found: re.Match[str]) -> str:
        made = _chinese_word(found[0])
        meanings[made] = found[0]
        return made

    parts = re.split(r"(\[[^\]]*\])", text)
    return "".join(part if part.startswith("[") else re.sub(r"[A-Za-z][A-Za-z'-]*", word, part) for part in parts)


def in_english(text: str, meanings: Mapping[str, str]) -> str:
    """Return made-up Chinese in English again."""
    return re.sub(r"词[\u4e00-\u9fff]+", lambda found: meanings.get(found[0], "nonsense"), text)


def _chinese_word(word: str) -> str:
    terms = glossary().get(word.lower(), ("",))
    codes = (_characters(zlib.crc32(f"{word}{salt}".encode())) for salt in range(100))
    denial = "不" if word.lower() in _DENYING and not denies(terms[0]) else ""
    return f"词{denial}{terms[0]}{next(code for code in codes if not denies(code))}"


def _characters(number: int) -> str:
    numbers = (number % _NUM_CHARACTERS, number // _NUM_CHARACTERS % _NUM_CHARACTERS)
    return "".join(bytes([0xB0 + one // 94, 0xA1 + one % 94]).decode("gb2312") for one in numbers)


@dataclass(frozen=True)
class Truth:
    """What the model knows of a question: the texts of the right options, or the box in tile pixels."""

    right: frozenset[str] = frozenset()
    box: tuple[float, float, float, float] | None = None


Truths = Mapping[tuple[str, frozenset[str]], Truth]


@dataclass(kw_only=True)
class KnowingModel:
    """Answers requests of the annotation steps.

    Attributes:
        truths: by question text and options, as they stand in the request.
        truths_by_id: the same for each question apart, where its id is known: two tiles may be asked the same.
        error_rate: share of blind answers that are wrong.
        seed: of the errors.
        gives_away: tells of a question's text whether it needs no image.
        meanings: of the Chinese words that it has made up.
    """

    truths: Truths
    truths_by_id: Mapping[str, Truths] = field(default_factory=dict)
    error_rate: float = 0.0
    seed: int = 0
    gives_away: Callable[[str], bool] = lambda _: False
    meanings: dict[str, str] = field(default_factory=dict)

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply | ChatFailure]:
        """Yield a reply to each request, like `ChatClient.ask`."""
        for request in requests:
            known = self.truths_by_id.get(request.key.rsplit("/", 2)[0].removesuffix("-zh"))
            text = self.reply(request.text) if known is None else replace(self, truths=known).reply(request.text)
            assert request.schema is not None
            parsed = request.schema.model_validate_json(text)
            yield ChatReply(
                key=request.key,
                text=text,
                parsed=parsed,
                reply_hash=f"{random.Random(text + request.text).getrandbits(64):x}",
            )

    def reply(self, text: str) -> str:
        """Return the JSON that is written for a user's turn."""
        question = tagged(text, "question")
        if "Simplified Chinese" not in text and "into English" not in text:
            text, question = in_english(text, self.meanings), in_english(question, self.meanings)
        if "Reword the question" in text:
            return json.dumps({"question": f"{OPENING}{question}"})
        if "into English" in text:
            return self._back(text, question)
        if "Simplified Chinese" in text:
            return self._translation(text, question)
        if "<facts>" in text or "<routes>" in text:
            return self._draft(text, question)
        if "answered from its words" in text:
            return self._guess(text, question)
        if "thousandths" in text:
            return self._box(text, question)
        if "contradict" in text and "<description>" in text:
            return json.dumps({"contradicted": self._objections(text)})
        return self._choose(text, question)

    def _draft(self, text: str, question: str) -> str:
        if "nine parts" in text:
            parts = [f"The {name} part is shown." for name in PART_NAMES]
            return json.dumps({"overall": "Seen from above.", "parts": parts, "inference": "People use this place."})
        if number := re.search(r"inside red circle (\d+)", text):
            return json.dumps({"text": f"Different things are inside circle {number[1]}."})
        if "<routes>" in text:
            routes = [line[4:].replace("Head ", "Go ") for line in tagged(text, "routes").splitlines()]
            return json.dumps({"question": question, "options": routes})
        if "its choices anew" in text:
            options = [f"It seems: {line[4:]}" for line in tagged(text, "choices").splitlines()]
            return json.dumps({"question": f"{OPENING}{question}", "options": options})
        return json.dumps({"question": f"{OPENING}{question}"})

    def _translation(self, text: str, question: str) -> str:
        options = [in_chinese(line[4:], self.meanings) for line in tagged(text, "choices").splitlines()]
        answer = in_chinese(tagged(text, "answer"), self.meanings)
        return json.dumps({"question": in_chinese(question, self.meanings), "options": options, "answer": answer})

    def _back(self, text: str, question: str) -> str:
        options = [in_english(line[4:], self.meanings) for line in tagged(text, "choices").splitlines()]
        answer = in_english(tagged(text, "answer"), self.meanings)
        return json.dumps({"question": in_english(question, self.meanings), "options": options, "answer": answer})

    def _errs(self, text: str) -> bool:
        return random.Random(f"{self.seed}/{text}").random() < self.error_rate

    def _truth(self, text: str, question: str) -> tuple[Truth, dict[str, str]]:
        options = {line[1]: line[4:] for line in tagged(text, "choices").splitlines()}
        truth = self.truths.get((_as_rule(question), frozenset(map(_as_rule, options.values()))), Truth())
        return truth, options

    def _choose(self, text: str, question: str) -> str:
        truth, options = self._truth(text, question)
        right = [letter for letter, option in options.items() if _as_rule(option) in truth.right]
        if self._errs(text) or not right:
            wrong = [letter for letter in options if letter not in right] or list(options)
            right = [random.Random(f"{self.seed}/{text}/which").choice(wrong)]
        return json.dumps({"letters": "".join(right)})

    def _guess(self, text: str, question: str) -> str:
        letters = json.loads(self._choose(text, question))["letters"]
        return json.dumps({"letters": letters, "certain": self.gives_away(question)})

    def _box(self, text: str, question: str) -> str:
        truth = self.truths.get((_as_rule(question), frozenset()), Truth())
        frame = [int(side) for side in re.findall(r"window \[(\d+), (\d+), (\d+), (\d+)\]", text)[-1]]
        width, height = frame[2] - frame[0], frame[3] - frame[1]
        if truth.box is None or self._errs(text):
            return json.dumps({"box": [0.0, 0.0, 40.0, 40.0]})
        x_min, y_min, x_max, y_max = truth.box
        box = [
            (x_min - frame[0]) / width,
            (y_min - frame[1]) / height,
            (x_max - frame[0]) / width,
            (y_max - frame[1]) / height,
        ]
        return json.dumps({"box": [round(min(max(1000 * side, 0), 1000), 1) for side in box]})

    def _objections(self, text: str) -> list[str]:
        return ["something"] if self._errs(text) else []
