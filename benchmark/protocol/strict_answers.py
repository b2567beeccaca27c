r"""The strict parser: the letters that a reply gives as its answer, or why none can be read.

It reads what models write ("B. Red", "the answer is (B)", `\boxed{B}`, the option's text, reasoning before the answer)
and refuses whatever a fair reader would not be sure of. Three kinds of evidence are looked at, the plainest first:

1. an announcement ("Answer: B", `\boxed{B}`, "B is correct"), or a first or last line that is nothing but an answer;
2. a reply that begins with an answer and goes on: "B because …", "Yes, the car …";
3. a short reply that names one option: "It is the red one", "I think it is B".

All evidence of the first kind that is there must agree. What surprises: a reply that corrects itself is read from its
last correction on ("A … no, B").
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from rsvqa.annotation.lettering import LETTERS
from rsvqa.benchmark.protocol.counts import as_counts, holds_open_sum, uncounted
from rsvqa.benchmark.protocol.letter_lists import (
    DENIED_AFTER,
    GOES_ON,
    HEAD,
    LABEL,
    RETRACTED_AFTER,
    RETRACTED_LATER,
    SHARES,
    Reading,
    announcements,
    begins_with_list,
    compares,
    confirmed,
    denies,
    doubts,
    list_at,
    loose_letters,
    mentioned,
    rivals,
    whole_list,
    without_denied,
)
from rsvqa.benchmark.protocol.option_phrases import OptionPhrases, normalised, words_of
from rsvqa.benchmark.protocol.thinking import final_text
from rsvqa.benchmark.protocol.verdict_lists import called_right, called_wrong, holds_crosses, without_struck

MAX_SENTENCE_WORDS = 40
"""A longer reply that only mentions an option may mention it for any reason."""

MAX_HEAD, MAX_TAIL = 2_000, 6_000
"""Characters at the beginning and the end of what follows the reasoning in which an answer is looked for.

A reply of 10,000 tokens, or one that never stops, so takes no longer than one of 8,000 characters.
"""

_DOUBT: Reading = frozenset()
"""Stands beside a reading that the text itself puts in doubt; two readings are no answer."""


class Refusal(StrEnum):
    """Why no answer is read."""

    EMPTY = "empty"
    UNFINISHED_THINKING = "unfinished_thinking"
    NO_ANSWER = "no_answer"
    AMBIGUOUS = "ambiguous"
    BEYOND_OPTIONS = "beyond_options"


class StrictAnswer(NamedTuple):
    """Letters in the order of the alphabet; empty with the reason why."""

    letters: str
    refusal: Refusal | None = None


def read_answer(reply: str, options: Sequence[str], *, several: bool) -> StrictAnswer:
    """Return the answer that a reply gives.

    Args:
        reply: what the model wrote, with any reasoning.
        options: "(A) …", as the model got them.
        several: whether more than one option may be right; else more than one letter is ambiguous.

    Raises:
        LetteringError: options that are not lettered in order.
    """
    text = final_text(reply)
    if text is None:
        return StrictAnswer("", Refusal.UNFINISHED_THINKING)
    text = _plain(_without_json(_ends_of(text)))
    if not _WORD_CHARACTER.search(text):
        return StrictAnswer("", Refusal.EMPTY)
    letters = LETTERS[: len(options)]
    return _Reader(letters, OptionPhrases(letters, options), several).read(text)


# --- answers in JSON ---

_JSON_OBJECT = re.compile(r"\{[^{}]{1,4000}\}")
_HELD_BY = re.compile(r"[\"']([^\"'\n]{0,40})[\"']\s{0,9}:\s{0,9}\Z")
_HOLDER = re.compile(r"results?|responses?|outputs?|final|predictions?|data|function|arguments|args|parameters|input")
_CALLED = re.compile(r"[\"']name[\"']\s{0,9}:\s{0,9}[\"']([^\"'\n]{0,40})[\"']", re.IGNORECASE)
_ANSWERS = re.compile(r"answer|submit|final|select|choos|respon|reply|pick|finish|complete", re.IGNORECASE)
_REJECTS = re.compile(r"\b(?:un|de)|reject|eliminat|exclud|discard|remov|dismiss|rule|wrong", re.IGNORECASE)
_JSON_LIST = re.compile(r"\[[^\[\]]*\]")
_ANSWER_KEY = re.compile(
    r"(?:final|correct|best|selected|chosen|my)?[ _-]?(?:answers?|choices?|options?|letters?|selection|selected)"
    r"(?:[ _-]?(?:texts?|names?|labels?|values?|letters?|options?))?[ _-]?\d{0,2}",
    re.IGNORECASE,
)


_VERDICT_KEY = re.compile(
    r"(?:is[ _-]?)?(?:correct|right|true|valid|selected|present|chosen)|status|verdict|judge?ment|evaluation"
)
_CONTRARY_KEY = re.compile(
    r"(?:is[ _-]?)?(?:wrong|incorrect|false|invalid|uncertain|unsure|rejected|excluded|eliminated|absent|refus(?:ed|al)"
    r"|abstain(?:ed)?)"
)
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0", "none", "wrong", "incorrect", "rejected", "eliminated")
_OFFERED = ("options", "choices")


def _without_json(text: str) -> str:
    """Return a text in which each JSON object with an answer has become a line "Answer: …", the rest of it left out."""
    return _JSON_OBJECT.sub(lambda match: _json_line(match[0]) if _may_answer(match) else "\n", text)


def _may_answer(match: re.Match[str]) -> bool:
    """Return whether an object is no part of a larger one under another key, nor of a call that does not answer."""
    before = match.string[max(0, match.start() - 200) : match.start()]
    key = _HELD_BY.search(before)
    if key is None:
        return True
    name = key[1].strip().lower()
    if name in _OFFERED or not (_HOLDER.fullmatch(name) or _ANSWER_KEY.fullmatch(name)):
        return False
    return all(_ANSWERS.search(called) and not _REJECTS.search(called) for called in _CALLED.findall(before)[-1:])


def _json_line(written: str) -> str:
    try:
        found = json.loads(written, object_pairs_hook=_with_all_values)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings(action="ignore"):  # of backslashes
                found = ast.literal_eval(written)  # quotes as Python has them
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return written
    if not isinstance(found, dict):
        return written
    known = {key.lower(): value for key, value in found.items() if isinstance(key, str)}
    if any(str(value).lower() in _NO for key, value in known.items() if _VERDICT_KEY.fullmatch(key)):
        return "\n"
    if any(str(value).lower() in _YES for key, value in known.items() if _CONTRARY_KEY.fullmatch(key)):
        return "\n"
    if found and all(_is_letter(key) and isinstance(value, bool) for key, value in found.items()):
        right = [key for key, value in found.items() if value]
        return f"\nAnswer: {', '.join(right)}\n" if right else "\n"
    answers = [value for key, value in known.items() if _ANSWER_KEY.fullmatch(key)]
    if any("answer" in key for key in known if _ANSWER_KEY.fullmatch(key)):
        answers = [value for key, value in known.items() if _ANSWER_KEY.fullmatch(key) and key not in _OFFERED]
    if answers:
        return "".join(f"\nAnswer: {_said(value)}\n" for value in answers)
    return _JSON_LIST.sub("", written)  # of something else, be it wrong answers


def _with_all_values(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object; a key that it holds twice gets one value more under a key that counts it."""
    found: dict[str, object] = {}
    for number, (key, value) in enumerate(pairs):
        found[f"{key}{number % 100}" if key in found and found[key] != value else key] = value
    return found


def _is_letter(key: object) -> bool:
    return isinstance(key, str) and len(key) == 1 and key in LETTERS


def _said(value: object) -> str:
    """Return a value as a reply says it; a list as one in which each part counts."""
    if isinstance(value, list):
        parts = [str(part).strip() for part in value]
        letters = [part.strip("()[]. ") for part in parts]
        return ", ".join(letters if all(len(letter) == 1 for letter in letters) else parts)
    return "" if value is None else str(value)


# --- a reply as plain text ---

_MARKUP = re.compile(
    r"[*`#$]|~~|__|(?<!\w)_(?=[^_\n]{1,80}_(?!\w))|(?<=[^\W_])_(?!\w)|<\|[^|<>\n]{1,40}\|>|\\[()\[\]{}]"
    r"|</?(?:b|strong|em|i|p|s|u|span|div|br|mark|font|center|code|pre)(?:\s[^<>]{0,200})?\s?/?>"
    r"|<(?:end_of_turn|eos|bos|pad)>|<!--[^<>]{0,2000}-->"
)
_NEW_LINE = re.compile(r"<(?:br|/?div|/?p|/?li|/?tr|/?h\d)(?:\s[^<>]{0,200})?\s?/?>", re.IGNORECASE)
_COLOUR = re.compile(r"\\(?:textcolor|color|colorbox)\s?\{[^{}]{0,40}\}")
_TABLE_RULE = re.compile(r"^[\s|:-]*-{2,}[\s|:-]*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[^\S\n]*\|(.{0,500}?)\|?[^\S\n]*$", re.MULTILINE)
_TEXT_COMMAND = re.compile(r"\\(?:text(?:bf|it|rm)?|math(?:bf|rm|it|sf)|rm|bf|underline|emph)\s?\{([^{}\\]{0,200})\}")
_OPTION_TAG = re.compile(r"</?(?:option|choice)>", re.IGNORECASE)
_CHINESE_HEADING = re.compile(r"【\s?(?:正确)?答案\s?】\s?:?")
_WORD_OF_ONE_LETTER = re.compile(r"(?<![A-Za-z])([A-H])\s([yeo])\s(?=[A-H](?![A-Za-z]))")
_IN_ENGLISH = {"y": " and ", "e": " and ", "o": " or "}
_BRACKETS = str.maketrans("【】", "()")
_WORD_CHARACTER = re.compile(r"[^\W_]")
_NEXT_TURN = re.compile(r"(?:\A|\n)\s{0,9}(?:human|user)\s?:(?!.*\bassistant\s?:).*", re.IGNORECASE | re.DOTALL)
"""What a model goes on with that also writes the other's part; it answers for nobody."""


def _ends_of(text: str) -> str:
    return text if len(text) <= MAX_HEAD + MAX_TAIL else f"{text[:MAX_HEAD]}\n{text[-MAX_TAIL:]}"


def _plain(text: str) -> str:
    r"""Return a text without markup: full-width letters made plain, "**B**" and "\\text{B}" freed."""
    text = _NEW_LINE.sub("\n", _COLOUR.sub("", without_struck(_CALL.sub("\n", normalised(text)))))
    text = _TABLE_ROW.sub(r"\1", _TABLE_RULE.sub("", text))
    text = _OPTION_TAG.sub(" ", _TEXT_COMMAND.sub(r"\1", text))
    text = _WORD_OF_ONE_LETTER.sub(lambda match: f"{match[1]}{_IN_ENGLISH[match[2]]}", text)
    text = _MARKUP.sub("", _CHINESE_HEADING.sub("\n答案: ", text).translate(_BRACKETS))
    return _NEXT_TURN.sub("", text).strip()


# --- reading ---

_BOXED = re.compile(r"\\(?:f?boxed|fbox)\s?\{+([^{}]{0,200})\}")
_BOXED_AGAIN = re.compile(r"\}\s{0,3}(?:,|,?\s?and|&)?\s{0,3}\\f?boxed\s?\{")
_CORRECTION = re.compile(
    r"\bno\b(?=\s?[,.!–—-])|(?<=wait, )no:|\bno,? wait\b|(?<=\?)\s{0,3}no:|\boops\b|\bor rather\b|\bon second thought\b"
    r"|\bjust kidding\b|\bon reflection\b|\bstrike that\b|\bnever ?mind\b|\bmy bad\b|\bscratch that\b|\blet me (?:re"
    r"|correct)|不对|更正"
    r"|等等|[.!?,;:(\n–—-]\s{0,3}(?:(?:wait|actually|correction|sorry|I meant?)\b|rather\b(?! than)|instead\b(?! of))",
    re.IGNORECASE,
)
_LEADING_NO = re.compile(r"\s*(?:yes|no)\b\s*[,.!]", re.IGNORECASE)
_BULLET = re.compile(r"\s*(?:[-•+>]|\d{1,2}[.)])\s+(?=\S)")
_SENTENCE_END = re.compile(r"(?<!\bi\.e)(?<!\be\.g)[.!?;](?=\s|$)|[\n。！？；]")
_NUMBER_SIGN = re.compile(r"\bno\.\s?(?=\d)", re.IGNORECASE)
_PAUSE = re.compile(r"[,.!?;:–—](?=\s|$)|\s(?=[(\[])|\s-\s|[\n。！？；，、]")
_WAVERS = re.compile(
    r"\A\s?(?:possibly|maybe|perhaps|alternatively)\s[(\[]?[A-H]\b|(?i:\b(?:or|but)\s(?:maybe|perhaps|possibly)\snot\b)"
)
_LETTER_BESIDE = re.compile(r"\s{0,3}[(\[]([A-H])[)\]]")
_ABSTAINS = re.compile(
    r"\b(?:I can help|help you|I(?:'ll| will| am going to) (?:look|check|analy[sz]e|examine|help)|let me"
    r"|cannot|unable|unclear|unsure|not sure|don't know|impossible|undetermined|but (?:yes|no))\b|can't\b"
    r"|could not|couldn't",
    re.IGNORECASE,
)
_NO_AFTER_QUESTION = re.compile(r"\?\s{1,3}no\b", re.IGNORECASE)
_BULLETS = re.compile(r"(?:\s*[-•+]\s[^\n]+){2,}")
_AND = re.compile(r"\band\b|&|和", re.IGNORECASE)
_MAX_PART_WORDS = 2
_EXCEPT = re.compile(r"[\s,(]{0,3}(?:except|excluding|apart from|other than|but not|save for)\b", re.IGNORECASE)
_HEDGES = re.compile(r"\b(?:or|little|hardly|barely|scarcely|no|without|maybe|perhaps|possibly)\b", re.IGNORECASE)
_AND_AT_END = re.compile(r"\s(?:and|&)\s*$")
_SEPARATOR = re.compile(r"[,;、\n]|\band\b|&|和", re.IGNORECASE)


_CONCLUSION = re.compile(
    r"(?:^|[.!?;,。\n]\s{0,3})(?:and\s)?(?:so|therefore|thus|hence|consequently|in conclusion)\b[,:]?\s{1,3}"
    r"((?:option\s|choice\s)?[^.!?;\n。]{1,60})(?=[.!。]\s|[.!。]?\s*$|[.!。]?\n)",
    re.IGNORECASE,
)
_SETTLED = re.compile(
    r"(?:(?:it is|it's|it could be|could be)\s)?(?:either\s)?\(?([A-H])\)? or \(?([A-H])\)?[,;.]?\s(?:but\s)?"
    r"(?:most likely|more likely|likely|probably|(?:but\s)?I would say|I(?:'d| would)? go with)\s\(?([A-H])\)?[.!]?",
    re.IGNORECASE,
)
"""Two options, and which of them: nothing else may stand in the reply."""
_OR_MAYBE = re.compile(
    r"(?<![A-Za-z])([A-H])[)\]]?[,.;]?\s(?:or|but)\s(?:(?:it\s)?(?:maybe|perhaps|possibly|might be|could be)|even)\s"
    r"(?=[(\[]?[A-H]\b)"
)
_EITHER_IN_CHINESE = re.compile(r"不是\s?([A-H])\s?[,、]?\s?(?:就|便)是\s?(?=[A-H])")
_CALL = re.compile(r"<((?:tool|function)\w{0,10})\b[^<>]{0,80}>[^{}]{0,2000}?</\1>", re.IGNORECASE)
"""A call of a tool whose arguments are not JSON."""
_OPEN_END = re.compile(
    r"\betc\b|\b(?:and|or)\s(?:so on|so forth|others?|more|many others?|the like)\b|等\s?[.。]?\s*$"
    r"|[,、]\s?\.{2,}\s*$",
    re.IGNORECASE,
)
"""A list that says that it is not whole."""
_BARS = re.compile(r"(?<![A-Za-z/|])[A-H](?:\s?[/|]\s?[A-H])+(?![A-Za-z/|])")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads plain text against the options of one question."""

    letters: str
    phrases: OptionPhrases
    several: bool

    def read(self, text: str) -> StrictAnswer:
        text = self._without_options(self._as_options_count(_NUMBER_SIGN.sub("number ", text)))
        if self.phrases.are_whole_numbers and holds_open_sum(text):
            return StrictAnswer("", Refusal.AMBIGUOUS)
        if SHARES.fullmatch(text.strip(" .")):
            return StrictAnswer("", Refusal.AMBIGUOUS)
        if self.several:
            text = _BARS.sub(lambda match: re.sub(r"\s?[/|]\s?", ", ", match[0]), text)
        text = _EITHER_IN_CHINESE.sub(r"\1 or ", _OR_MAYBE.sub(r"\1 or ", text))
        if settled := _SETTLED.fullmatch(text):
            first, second, last = settled.groups()
            return self._judge({frozenset(last)} if last in (first, second) else {frozenset(first), frozenset(second)})
        if readings := self._labelled_options(text) or self._whole_option(text):
            return self._judge(readings)  # before words such as "no" in an option are taken for more than that
        if (right := called_right(text, self.phrases.equal_to)) is not None:
            return self._judge({right} if right else set())
        if self.several:
            if compares(text) or _OPEN_END.search(text):
                return StrictAnswer("", Refusal.AMBIGUOUS)
            text = _BOXED_AGAIN.sub(", ", text)
        text = without_denied(text)
        corrected = _after_correction(text)
        if corrected is None:
            return self._judge(self._readings(text))
        answer = self._judge(self._readings(corrected))
        if answer.refusal is not Refusal.NO_ANSWER:
            return answer
        answer = self._judge(self._readings(text))
        return StrictAnswer("", Refusal.AMBIGUOUS) if answer.letters and denies(corrected) else answer

    def _without_options(self, text: str) -> str:
        """Return what follows the options where a text begins with all of them, written down again; else the text."""
        lines = [line for line in text.splitlines() if line.strip()]
        repeated, rest = lines[: len(self.letters)], lines[len(self.letters) :]
        if not rest or len(repeated) < len(self.letters):
            return text
        given = [self._labelled_options(_BULLET.sub("", line, count=1)) for line in repeated]
        return "\n".join(rest) if given == [{frozenset(letter)} for letter in self.letters] else text

    def _as_options_count(self, text: str) -> str:
        return as_counts(text) if self.phrases.are_whole_numbers else text

    def _judge(self, readings: set[Reading]) -> StrictAnswer:
        if not readings:
            return StrictAnswer("", Refusal.NO_ANSWER)
        if len(readings) > 1:
            return StrictAnswer("", Refusal.AMBIGUOUS)
        (reading,) = readings
        if not reading <= set(self.letters):
            return StrictAnswer("", Refusal.BEYOND_OPTIONS)
        if len(reading) > 1 and not self.several:
            return StrictAnswer("", Refusal.AMBIGUOUS)
        return StrictAnswer("".join(sorted(reading)))

    def _readings(self, text: str) -> set[Reading]:
        announced = self._boxed(text) | self._announced(text) | confirmed(text) | self._concluded(text)
        opening = _LEADING_NO.match(text)
        if announced and opening and (letter := self.phrases.equal_to(opening[0])):
            announced |= {frozenset(letter)}  # "No. The answer is A", where no is an option
        alone = self._lines_alone(text)
        if announced:
            alone -= {frozenset(self.letters)}  # the options, written down again before the answer
        found = announced | alone or self._headed(text) or self._named(text)
        is_doubtful = found and (rivals(text) - frozenset().union(*found) or self._lists_more(text))
        if not announced and not alone and self.phrases.are_whole_numbers and self._counts_two_ways(text):
            return found | {_DOUBT}
        return found | ({_DOUBT} if is_doubtful else set())

    def _lists_more(self, text: str) -> bool:
        """Return whether a text is a list of short parts of which some are options and others are not."""
        parts = [part.strip(" .!") for part in _SEPARATOR.split(text) if words_of(part)]
        if not (_AND.search(text) or (self.several and _BULLETS.fullmatch(text))) or any(
            len(words_of(part)) > _MAX_PART_WORDS for part in parts
        ):
            return False
        are_options = [bool(self._whole_option(part)) for part in parts]
        return any(are_options) and not all(
            self.phrases.within(part) or whole_list(part) or denies(part) for part in parts
        )

    # 1. announcements, and lines that are nothing but an answer

    def _boxed(self, text: str) -> set[Reading]:
        found = set()
        for box in _BOXED.finditer(text):
            readings, rest = self._answer_alone(box[1]), text[box.end() :]
            is_wrong = called_wrong(rest) or RETRACTED_AFTER.match(rest)
            found |= readings | ({_DOUBT} if readings and is_wrong else set())
        return found

    def _concluded(self, text: str) -> set[Reading]:
        """Return what sentences give that are nothing but a conclusion, as "So B." is.

        A conclusion in words must name the only option that is named ("5 rows of 3, so 15" does not). In a long reply
        no other letter may stand alone: it may speak of a building B.
        """
        found = [self._concluded_alone(match[1], text) for match in _CONCLUSION.finditer(text)]
        readings = _merged([one for one in found if one]) if self.several else _union(found)
        is_long = len(words_of(text)) > MAX_SENTENCE_WORDS
        others = loose_letters(text) & set(self.letters) if is_long else frozenset()
        if others - frozenset().union(*readings):
            return set()
        return readings | self._doubt(readings, text) if readings else set()

    def _concluded_alone(self, conclusion: str, text: str) -> set[Reading]:
        if letters := whole_list(conclusion) or self._labelled_options(conclusion):
            return letters
        named = self._whole_option(conclusion)
        return set() if self.phrases.within(text) - frozenset().union(*named) else named

    def _announced(self, text: str) -> set[Reading]:
        return _union(self._announced_at(text, start) for start in announcements(text))

    def _announced_at(self, text: str, start: int) -> set[Reading]:
        readings, end = list_at(text, start)
        if self.several:
            lines = [_BULLET.sub("", line, count=1) for line in text[start:].splitlines() if line.strip()]
            if len(block := _block(self._answer_alone(line) for line in lines)) > 1:
                return _merged(block)
        if readings:
            rest = text[end : _sentence_end(text, end)]
            others = loose_letters(rest) & set(self.letters) if self.several else frozenset()
            if not self.several and GOES_ON.match(text, end):
                return readings | {_DOUBT}
            is_retracted = RETRACTED_AFTER.match(text, end) or RETRACTED_LATER.search(rest) or called_wrong(rest)
            if is_retracted or DENIED_AFTER.match(text, end) or others - frozenset().union(*readings):
                return readings | {_DOUBT}
            contradiction = self._contradiction(readings, rest)
            line = text[start : start + len(self.letters) * self.phrases.reach].split("\n", 1)[0]
            return self._labelled_options(line) or readings | contradiction | self._doubt(readings, line)
        return self._option_first(text[start : _sentence_end(text, start)])

    def _lines_alone(self, text: str) -> set[Reading]:
        """Return what the block of answers gives with which the text begins, and that with which it ends."""
        lines = [_BULLET.sub("", line, count=1) for line in text.splitlines() if line.strip()]
        first = _block(self._answer_alone(line) for line in lines)
        if len(first) == len(lines):
            return _merged(first)
        return _merged(first) | _merged(_block(self._answer_alone(line) for line in reversed(lines)))

    def _answer_alone(self, text: str) -> set[Reading]:
        """Return what a text gives that is nothing but letters, or options with or without their letters."""
        return (
            whole_list(text) or self._labelled_options(text) or self._whole_option(text) or self._listed_options(text)
        )

    def _labelled_options(self, text: str) -> set[Reading]:
        """Return what "B. Red" or "A. Farmland, C. Forest" gives, when each text is that of an option."""
        labels = list(LABEL.finditer(text))
        if not labels or labels[0].start() > 0:
            return set()
        alone = self.phrases.equal_to(text[labels[0].end() :])  # an option may hold labels: "Start at A."
        if alone == _letter_of(labels[0]):
            return {frozenset(alone)}
        ends = [label.start() for label in labels[1:]] + [len(text)]
        parts = [text[label.end() : end] for label, end in zip(labels, ends, strict=True)]
        named = [self.phrases.equal_to(_AND_AT_END.sub("", part)) for part in parts]
        if None in named:
            return set()
        return {frozenset(map(_letter_of, labels)), frozenset(filter(None, named))}

    def _whole_option(self, text: str) -> set[Reading]:
        letter = self.phrases.equal_to(text)
        return set() if letter is None else {frozenset(letter)}

    def _listed_options(self, text: str) -> set[Reading]:
        """Return what "Farmland, forest" gives."""
        named = [self.phrases.equal_to(part) for part in _SEPARATOR.split(text) if words_of(part)]
        return set() if not named or None in named else {frozenset(filter(None, named))}

    # 2. an answer at the beginning of a reply

    def _headed(self, text: str) -> set[Reading]:
        first_line = text.split("\n", 1)[0]
        sentence = text[: _sentence_end(text, 0)]
        labels = list(LABEL.finditer(first_line))
        if self._says_answer_with_a(first_line):
            return {_DOUBT, frozenset("A")}
        if labels and labels[0].start() == 0:
            if self._goes_through(text):
                return {_DOUBT, frozenset(_letter_of(labels[0]))}
            reading = frozenset(map(_letter_of, labels))
            rest = first_line[labels[0].end() :]
            other = whole_list(rest) if len(labels) == 1 else set()  # "A: B"
            if called_wrong(rest) and self.phrases.at_start_of(rest.lstrip(" .,:;)-–—(")) is None:
                return {reading, _DOUBT}
            crossed = {_DOUBT} if holds_crosses(text) else set()
            return {reading} | other | crossed | self._contradiction({reading}, rest) | self._doubt({reading}, rest)
        head = HEAD.match(text)
        if head is not None:
            if len(next(iter(listed := begins_with_list(text)), "")) > 1 and not self.several:
                return listed
            reading = frozenset(head[1])
            rest = first_line[head.end() :]
            wrong = {_DOUBT} if called_wrong(rest) or _WAVERS.search(rest) else set()
            return {reading} | self._contradiction({reading}, rest) | self._doubt({reading}, rest) | wrong
        if beside := self._letter_beside_option(sentence):
            return beside
        begun = self.phrases.begun_by(text)
        found = self._option_first(sentence) or (set() if begun is None else {frozenset(begun)})
        last = self._whole_option(_SENTENCE_END.split(text.rstrip(" .!?;\n"))[-1]) if found else set()
        return found | last | ({_DOUBT} if found and _NO_AFTER_QUESTION.match(text, len(sentence)) else set())

    def _says_answer_with_a(self, line: str) -> bool:
        """Return whether "A:" stands for "answer" before words that abstain: "A: I cannot tell"."""
        return line.startswith("A:") and bool(_ABSTAINS.search(line)) and self.phrases.within(line) != frozenset("A")

    def _goes_through(self, text: str) -> bool:
        """Return whether the first lines of a text say something of (A), (B) and so on, one after the other."""
        first = [line.lstrip() for line in text.splitlines() if line.strip()][: max(2, len(self.letters) - 1)]
        labels = [LABEL.match(line) for line in first]
        return [label and _letter_of(label) for label in labels] == list(self.letters[: len(first)]) and len(first) > 1

    def _letter_beside_option(self, sentence: str) -> set[Reading]:
        """Return what "B red" gives: two readings when the text is another option's, but "A red one" is an article."""
        letter, named = sentence[:1], self.phrases.at_start_of(sentence[1:])
        is_article = letter in "AI" and sentence[2:3] != "("
        if letter not in self.letters or sentence[1:2] != " " or named is None or (named != letter and is_article):
            return set()
        return {frozenset(letter), frozenset(named)} | self._doubt({frozenset(letter)}, sentence[1:])

    def _option_first(self, sentence: str) -> set[Reading]:
        """Return what a sentence gives that begins with an option's text, and with it the others that it names."""
        ends = [match.start() for match in _PAUSE.finditer(sentence, 0, self.phrases.reach)] + [len(sentence)]
        for end in reversed(ends):
            letter = self.phrases.equal_to(sentence[:end])
            if letter is not None:
                rest = sentence[end:]
                readings = {self.phrases.within(rest) | {letter}}
                others = loose_letters(rest) & set(self.letters) - self.phrases.within(rest) - {letter}
                if others:
                    readings.add(frozenset(others))
                beside = _LETTER_BESIDE.match(rest)
                if beside is not None and beside[1] in self.letters and not (self.several and beside[1] == letter):
                    readings.add(frozenset(beside[1]))
                return readings | ({_DOUBT} if called_wrong(rest) or self._is_half_said(sentence, rest) else set())
        return set()

    def _is_half_said(self, sentence: str, rest: str) -> bool:
        """Return whether an option that begins a sentence is not the answer, or one of two: "No, I cannot tell"."""
        says_yes_or_no = set(words_of(sentence)[:1]) <= {"yes", "no"}
        if _EXCEPT.match(rest):
            return True
        return bool(says_yes_or_no and _ABSTAINS.search(rest)) or bool(self.several and _HEDGES.search(rest))

    def _contradiction(self, readings: set[Reading], rest: str) -> set[Reading]:
        """Return a reading more when a letter is followed by another option's text: "B. Blue" where B is red."""
        (first, *others) = readings
        named = self.phrases.at_start_of(rest.lstrip(" .,:;()-–—"))
        if others or len(first) > 1 or named is None or named in first:
            return set()
        return {frozenset(named)}

    def _doubt(self, readings: set[Reading], rest: str) -> set[Reading]:
        """Return a doubt when several options may be right, one letter was read, and the rest names other options."""
        if not self.several or any(len(reading) > 1 for reading in readings):
            return set()
        others = (loose_letters(rest) & set(self.letters)) | self.phrases.within(rest)
        return {_DOUBT} if others - frozenset().union(*readings) else set()

    # 3. a short reply that names an option

    def _named(self, text: str) -> set[Reading]:
        if len(words_of(text)) > MAX_SENTENCE_WORDS:
            return set()
        text = _LEADING_NO.sub("", text, count=1)  # answers the question, and denies no option
        named = self.phrases.within(text)
        found = mentioned(text) | ({named} if named else set())
        if found:
            found |= self._doubt(found, text) | ({_DOUBT} if holds_crosses(text) else set())
            rest = self.phrases.without_denied(text)
            if denies(rest) or doubts(text) or compares(text) or self.phrases.is_begun_within(text):
                return found | {_DOUBT}
            if (self.several and _HEDGES.search(rest)) or self._counts_more(text):
                return found | {_DOUBT}
        return found

    def _counts_two_ways(self, text: str) -> bool:
        """Return whether one option's number counts and that of another does not: "12 or so but under 14"."""
        bounds = frozenset().union(*map(self.phrases.within, uncounted(text)))
        counted = self.phrases.within(text)
        return len(words_of(text)) <= MAX_SENTENCE_WORDS and bool(bounds and counted and bounds != counted)

    def _counts_more(self, text: str) -> bool:
        """Return whether a text holds a number beside those of the options: "14 cars and 2 trucks"."""
        if not self.phrases.are_whole_numbers:
            return False
        return any(word.isdigit() and self.phrases.within(word) == frozenset() for word in words_of(text))


def _after_correction(text: str) -> str | None:
    """Return what follows the last "no," or "wait" that stands between words; None without one."""
    words = [match.start() for match in _WORD_CHARACTER.finditer(text)]
    last = None
    for match in _CORRECTION.finditer(text):
        if words[0] < match.start() and match.end() <= words[-1]:
            last = match
    return None if last is None else text[last.end() :].lstrip(" ,.:;!–—-")


def _sentence_end(text: str, start: int) -> int:
    match = _SENTENCE_END.search(text, start)
    return len(text) if match is None else match.start()


def _letter_of(label: re.Match[str]) -> str:
    return str(label[label.lastindex or 0]).upper()


def _block(answers: Iterable[set[Reading]]) -> list[set[Reading]]:
    """Return the answers up to the first line that has none."""
    block = []
    for answer in answers:
        if not answer:
            break
        block.append(answer)
    return block


def _merged(block: Sequence[set[Reading]]) -> set[Reading]:
    """Return lines that each give one reading as one list; a line that is ambiguous leaves all so."""
    if all(len(readings) == 1 for readings in block):
        found = _union(block)
        if len(found) > 1 and any(one & other for one, other in combinations(found, 2)):
            return found  # "A, C" and then "A, D" is no list
        return {frozenset().union(*found)} if block else set()
    return _union(block)


def _union(readings: Iterable[set[Reading]]) -> set[Reading]:
    return set().union(*readings)
