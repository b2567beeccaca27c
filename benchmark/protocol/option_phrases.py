"""The options' texts as they may turn up in a reply: compared word by word, without case, punctuation and articles."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from rsvqa.annotation.lettering import option_texts

# a number with its decimals and with what is glued before it ("a3", "^3" and ".3" are not 3; "3m" is 3 and m), one
# Chinese character, or a word
_WORD = re.compile(
    r"(?:[^\W\d_\u3400-\u9fff]+|\^|(?<!\w)\.)?\d+(?:[.,]\d+)*"
    r"|[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+(?:'[^\W\d_\u3400-\u9fff]+)*"
)
_THOUSANDS = re.compile(
    r"(?<=(?<![\d.,])\d),(?=\d{3}(?!\d))|(?<=(?<![\d.,])\d\d),(?=\d{3}(?!\d))|(?<=(?<![\d.,])\d\d\d),(?=\d{3}(?!\d))"
)
_UNITS = dict.fromkeys(("meter", "meters", "metre", "metres"), "m")
_WHOLE_NUMBER = re.compile(r"(?:\d{1,9}|\d{1,3}(?:,\d{3}){1,2})(?:\s[^\W\d_]+)*\.?")
_LETTER_A = re.compile(r"(?<![A-Za-z])A(?=\s?\()|(?<=[(\[])[Aa](?=[)\]])")
"""The letter where it cannot be the article."""
_ARTICLES = frozenset({"a", "an", "the"})
_OPENERS = frozenset({"it", "this", "that", "there", "is", "are", "in", "of"})
"""Words with which a reply may begin without naming an option."""
_GOING_ON = frozenset({"and", "or", "with", "without", "but", "to", "by", "vs"})
"""Words after which an option says more than what stands before them; as a number does, of a range."""
_AFTER_AN_OPTION = _OPENERS | {"because", "since", "as", "and", "or", "on", "at", "with", "for", "from", "which", "by"}
_COMPOUND = re.compile(
    r"(?<![\w-])(?!(?:off|dark|light|pale|deep|bright)-)[^\W\d_]{1,30}(?:-(?!(?:like|colou?red|shaped)\b)[^\W\d_]{1,30})+"
    r"(?![\w-])"
)
_ANYWHERE = _OPENERS | {"yes", "no", "none", "not"}
"""Words that turn up in any sentence."""
_NOT = (
    *(
        "not",
        "no",
        "neither",
        "nor",
        "isn't",
        "aren't",
        "rather than",
        "instead of",
        "than",
        "without",
        "lacks",
        "lacking",
        "except",
    ),
    *("anything but", "everything but", "hardly any", "less", "non", "un", "不是", "不"),
)
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_QUOTES = str.maketrans({"،": ",", "؛": ";", "‘": "'", "’": "'", **dict.fromkeys("“”「」«»‹›《》〈〉", '"')})
_INVISIBLE = dict.fromkeys((0x00, 0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, 0xFE0E, 0xFE0F, 0xFEFF))
"""Characters that nobody sees: of no width, of direction, of variants."""


def normalised(text: str) -> str:
    """Return a text with full-width and composed characters made plain (NFKC), straight quotes, nothing invisible."""
    plain = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).translate(_QUOTES)
    return _FOREIGN_DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), plain)


def words_of(text: str) -> list[str]:
    """Return the words, numbers and Chinese characters of a normalised text in lower case, articles left out."""
    words = _WORD.findall(_THOUSANDS.sub("", _LETTER_A.sub("option a", text).lower()))
    return [_UNITS.get(word, word) for word in words if word not in _ARTICLES]


def phrase_of(text: str) -> str:
    """Return the words of a text between single spaces, with one space at each end: " red car "."""
    return f" {' '.join(words_of(text))} "


class OptionPhrases:
    """The options of one question, by letter.

    Options without a word, and options whose words are also those of another ("5" and "-5"), are never found by their
    text.

    Attributes:
        are_whole_numbers: whether each option is one, perhaps with its unit, so that sums and "14.0" may name it.
        reach: characters beyond which a text is longer than any option, with generous punctuation.
    """

    def __init__(self, letters: str, options: Sequence[str]) -> None:
        texts = [normalised(text) for text in option_texts(options)]
        self._all = {letter: phrase_of(text) for letter, text in zip(letters, texts, strict=True)}
        uses = Counter(self._all.values())
        self._phrases = {letter: own for letter, own in self._all.items() if own.strip() and uses[own] == 1}
        self.are_whole_numbers = all(_WHOLE_NUMBER.fullmatch(text) for text in texts)
        self.reach = 2 * max(map(len, texts), default=0) + 20

    def equal_to(self, text: str) -> str | None:
        """Return the letter of the option whose text this is."""
        if len(text) > self.reach:
            return None
        phrase = phrase_of(text)
        return next((letter for letter, own in self._phrases.items() if own == phrase), None)

    def begun_by(self, text: str) -> str | None:
        """Return the letter of the only option that begins with this text, cut off at a word."""
        phrase = phrase_of(text[: self.reach])
        if len(text) > self.reach or not set(phrase.split()) - _OPENERS:
            return None
        begun = [letter for letter, own in self._all.items() if own.startswith(phrase)]
        if len(begun) != 1:
            return None
        rest = self._all[begun[0]].removeprefix(phrase).split()
        return None if rest and (rest[0][0].isdigit() or rest[0] in _GOING_ON) else begun[0]

    def at_start_of(self, text: str) -> str | None:
        """Return the letter of the option with which the text begins; the longest one where several do."""
        phrase = phrase_of(text[: self.reach])
        begun = [letter for letter, own in self._phrases.items() if phrase.startswith(own)]
        return max(begun, key=lambda letter: len(self._phrases[letter]), default=None)

    def within(self, text: str) -> frozenset[str]:
        """Return the letters of all options that a text names, those it denies ("not red") left out.

        An option within a longer one that is named ("red" in "red and white") is not named itself. Words such as "no"
        are in too many sentences to name an option.
        """
        rest = _spread(self.without_denied(_COMPOUND.sub(self._joined_unless_of_an_option, text)))
        named = set()
        for letter, own in self._longest_first():
            if _spread(own) in rest and not set(own.split()) <= _ANYWHERE:
                named.add(letter)
                rest = rest.replace(_spread(own), "")
        return frozenset(named)

    def _joined_unless_of_an_option(self, compound: re.Match[str]) -> str:
        """Return "ship-free" as a word of its own, which is not "ship", unless an option is written so."""
        is_written = any(phrase_of(compound[0]) in own for own in self._all.values())
        return compound[0] if is_written else compound[0].replace("-", "")

    def is_begun_within(self, text: str) -> bool:
        """Return whether a text goes on after an option with a word, where a longer option begins with it.

        "Red truck" may be meant for "Red", or for "Red car".
        """
        phrase = phrase_of(text)
        for own in self._phrases.values():
            longer = [other for other in self._all.values() if other != own and other.startswith(own)]
            if longer and not any(other in phrase for other in longer):
                following = phrase.partition(own)[2].split()[:1]
                if following and following[0] not in _AFTER_AN_OPTION:
                    return True
        return False

    def without_denied(self, text: str) -> str:
        """Return the words of a text without the options that it denies, and without what denies them.

        "No cars" denies no option where it is one.
        """
        rest = _spread(phrase_of(text))
        for _, own in self._longest_first():
            for denial in _NOT:
                denied = phrase_of(denial) + own.lstrip()
                if not any(denied in phrase for phrase in self._all.values()):
                    rest = rest.replace(_spread(denied), "")
        return " ".join(rest.split())

    def _longest_first(self) -> list[tuple[str, str]]:
        return sorted(self._phrases.items(), key=lambda item: -len(item[1]))


def _spread(phrase: str) -> str:
    """Return a phrase in which neighbouring words share no space, so that one can be cut out: " red  car "."""
    return "".join(f" {word} " for word in phrase.split())
