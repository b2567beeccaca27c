"""Replies to questions without options, judged against the right words.

A task file lists scorers, and a reply is right when one of them says so. What surprises: the published scores of open
answers differ more by their scorer than by their model, so each scorer is plain, and its parameters stand in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, NonNegativeFloat, Tag, model_validator

from rsvqa.annotation.errors import RsvqaError
from rsvqa.annotation.extras import install_command
from rsvqa.annotation.plugins import has_plugin, load_plugin, package_of
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.protocol.counts import as_counts, uncounted

_ARTICLES = re.compile(r"\b(?:an?|the)\b")
_PUNCTUATION = re.compile(r"[^\w\s.-]|[.](?!\d)|(?<!\w)-(?!\d)|_")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_BOUND = re.compile(
    r"\b(?:not|no|never|than|least|most|over|under|above|below|between|up to|within|except|minus|plus|before|after)\b"
    r"|n't\b|\d(?:st|nd|rd|th)\b|[<>≤≥±]"
)
"""What makes a number one that the text does not state: "more than 5", "not 5", "the 5th"."""
_NO_SIGN = re.compile(r"(?<![\w)\]])[-−](?=\d)|(?<=\d)\s?%")
"""What bars a number from being how many there are, and not from being an answer."""
_TIMES = re.compile(r"\b(?:hundreds?|thousands?|millions?|billions?|dozens?|lakh|crore)\b")
_UNIT = re.compile(
    r"\d\s?(km2|km²|m2|m²|km|cm|mm|m|ha|hectares?|acres?|ft|feet|mi|miles?|met(?:er|re)s?|kilomet(?:er|re)s?|px|pixels?"
    r"|square\s(?:kilomet(?:er|re)s?|met(?:er|re)s?)|degrees?|°|%|per ?cent)(?![^\W\d_])"
)
_SPELT = {
    **dict.fromkeys(("meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("kilometer", "kilometers", "kilometre", "kilometres"), "km"),
    **dict.fromkeys(("m²", "square meter", "square meters", "square metre", "square metres"), "m2"),
    **dict.fromkeys(("km²", *(f"square kilomet{end}" for end in ("er", "ers", "re", "res"))), "km2"),
    **{"hectare": "ha", "hectares": "ha", "acres": "acre", "feet": "ft", "mile": "mi", "miles": "mi"},
    **{"pixel": "px", "pixels": "px", "degrees": "°", "degree": "°", "percent": "%", "per cent": "%"},
}
_NUMBER_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)


class ExactScorer(BaseModel):
    """Right when both texts are the same in lower case; `cleaned` also without punctuation and articles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scorer: Literal["exact"]
    cleaned: bool = False

    def accepts(self, reply: str, right: str) -> bool:
        """Tell whether `reply` is `right`."""
        change: Callable[[str], str] = clean if self.cleaned else str.lower
        return change(reply) == change(right)


class ContainmentScorer(BaseModel):
    """Right when the right text stands in the reply; `whole_words` keeps "no" out of "unknown"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scorer: Literal["contains"]
    whole_words: bool = True

    def accepts(self, reply: str, right: str) -> bool:
        """Tell whether `reply` holds `right`."""
        if not self.whole_words:
            return right.lower() in reply.lower()
        return bool(clean(right)) and f" {clean(right)} " in f" {clean(reply)} "


class NumericScorer(BaseModel):
    """Right when both are one number and lie no further apart than `tolerance`, or `relative` times the right one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scorer: Literal["numeric"]
    tolerance: NonNegativeFloat = 0.0
    relative: NonNegativeFloat = 0.0

    def accepts(self, reply: str, right: str) -> bool:
        """Tell whether `reply` is near `right`; False where either is no number, or the reply holds several."""
        said, expected = read_number(reply), read_number(right)
        if said is None or expected is None:
            return False
        units = {unit for unit in (_unit_of(reply), _unit_of(right)) if unit}
        if len(units) > 1:  # 14 km are not 14 m
            return False
        return abs(said - expected) <= max(self.tolerance, self.relative * abs(expected)) + 1e-9


class WordNetScorer(BaseModel):
    """Right when any senses of both whole texts have a path similarity above `threshold`.

    Attributes:
        threshold: of the similarity, in 0–1.
        inclusive: whether the threshold itself is enough.
        lemmas: whether both texts are lemmatised before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scorer: Literal["wordnet"]
    threshold: Annotated[float, Field(ge=0, le=1)]
    inclusive: bool = False
    lemmas: bool = False

    def accepts(self, reply: str, right: str) -> bool:
        """Tell whether `reply` means what `right` means.

        Raises:
            BenchmarkDataError: WordNet is not on this machine.
        """
        similarity = _similarity(reply.lower(), right.lower(), lemmas=self.lemmas)
        return similarity > self.threshold or (self.inclusive and similarity == self.threshold)


class PluginScorer(BaseModel):
    """Right when a function that an installed package brings says so; other keys than these are its parameters.

    Attributes:
        scorer: its name, as the entry point `scorer.NAME` has it.
        package: and its version, filled in here, so that a run tells by which it was scored.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    scorer: str
    package: str = ""

    @model_validator(mode="before")
    @classmethod
    def _is_installed(cls, values: dict[str, Any]) -> dict[str, Any]:
        name, stored = str(values.get("scorer")), values.get("package", "")
        if not has_plugin("scorer", name):
            raise ValueError(
                f"no scorer {name!r}; expected one of {', '.join(_OWN_SCORERS)}, or one of an installed package"
            )
        package = package_of("scorer", name)
        if stored not in ("", package):
            raise ValueError(f"the scorer {name!r} was that of {stored}, and here it is that of {package}")
        return {**values, "package": package}

    def accepts(self, reply: str, right: str) -> bool:
        """Tell whether the package's function accepts `reply` as `right`.

        Raises:
            BenchmarkDataError: it fails.
        """
        try:
            return bool(load_plugin("scorer", self.scorer)(reply, right, **(self.model_extra or {})))
        except RsvqaError:
            raise
        except Exception as error:  # whatever somebody else's code may raise
            raise BenchmarkDataError(
                f"the scorer {self.scorer!r} of {self.package} failed on the reply {reply[:80]!r}: {error!r}"
            ) from error


_OWN_SCORERS = ("exact", "contains", "numeric", "wordnet")


def _kind_of(value: Any) -> str:  # noqa: ANN401  what a file holds, or a scorer
    name = value.get("scorer") if isinstance(value, dict) else getattr(value, "scorer", None)
    return name if name in _OWN_SCORERS else "plugin"


OpenScorer = Annotated[
    Annotated[ExactScorer, Tag("exact")]
    | Annotated[ContainmentScorer, Tag("contains")]
    | Annotated[NumericScorer, Tag("numeric")]
    | Annotated[WordNetScorer, Tag("wordnet")]
    | Annotated[PluginScorer, Tag("plugin")],
    Discriminator(_kind_of),
]


STRICT_SCORERS: tuple[OpenScorer, ...] = (ExactScorer(scorer="exact", cleaned=True), NumericScorer(scorer="numeric"))
"""What a strict score of words is by, where a task file says nothing else."""
PERMISSIVE_SCORERS: tuple[OpenScorer, ...] = (ContainmentScorer(scorer="contains"),)


def is_right(reply: str, references: Sequence[str], scorers: Sequence[OpenScorer]) -> bool:
    """Tell whether one of the scorers accepts the reply as one of the right texts; they are tried in their order."""
    return any(scorer.accepts(reply, right) for scorer in scorers for right in references)


def clean(text: str) -> str:
    """Return text in lower case without punctuation and articles, words one space apart; "A." alone stays "a"."""
    plain = _PUNCTUATION.sub(" ", _THOUSANDS.sub("", text.lower()))
    return " ".join(_ARTICLES.sub(" ", plain).split() or plain.split())


def read_number(text: str) -> float | None:
    """Return the number that a text states, in digits or as a word up to twenty; None for none, several or a bound.

    A number that is part of a larger one, as in "14 thousand", is not stated.
    """
    if _BOUND.search(text.lower()) or _TIMES.search(text.lower()) or uncounted(as_counts(_NO_SIGN.sub("", text))):
        return None
    cleaned = clean(text)
    found = [float(number) for number in _NUMBER.findall(cleaned)]
    found += [float(_NUMBER_WORDS.index(word)) for word in cleaned.split() if word in _NUMBER_WORDS]
    return found[0] if len(set(found)) == 1 else None


def _unit_of(text: str) -> str:
    """Return the unit behind a text's number, in one spelling; empty where none is known."""
    match = _UNIT.search(text.lower())
    return "" if match is None else _SPELT.get(match[1], match[1])


# --- WordNet ----------------------------------------------------------------------------------------------------------


def check_wordnet() -> None:
    """Look a word up: a run that needs WordNet and has none says so before it asks a model.

    Raises:
        BenchmarkDataError: it is not on this machine; the message says how to fetch it.
    """
    _synsets("water")


@cache
def _similarity(first: str, second: str, *, lemmas: bool) -> float:
    """Return the largest path similarity of two texts' senses; 0 where a text has none."""
    check_wordnet()
    first, second = (_lemma(text) if lemmas else text for text in (first, second))
    known = [
        value
        for one in _synsets(first)
        for other in _synsets(second)
        if (value := one.path_similarity(other)) is not None
    ]
    return float(max(known, default=0.0))


def _lemma(text: str) -> str:
    """Return a noun's shortest lemma, or the text itself where WordNet knows none."""
    from nltk.stem import WordNetLemmatizer

    return str(WordNetLemmatizer().lemmatize(text))


def _synsets(text: str) -> Sequence[Any]:
    try:
        from nltk.corpus import wordnet
    except ImportError as error:
        raise BenchmarkDataError(f"WordNet scores need nltk: {install_command('nltk')}") from error
    try:
        return list(wordnet.synsets(text))
    except LookupError as error:
        raise BenchmarkDataError(
            "this benchmark is scored with WordNet, which is not on this machine; fetch it once with "
            "`python -m nltk.downloader wordnet`, or name nltk's data folder in NLTK_DATA"
        ) from error
