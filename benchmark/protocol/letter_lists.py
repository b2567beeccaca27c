r"""The grammar of letters in a reply: "B", "(B)", "A, C and D", "ACD", and the words that announce an answer.

No pattern repeats without a bound what may fail later, so a reply of a million characters is read in linear time.
What surprises: "A" before a word is taken for the article, and "I" is always the pronoun.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Reading = frozenset[str]
"""Capital letters that one place of a reply gives together."""

_OPEN, _CLOSE = r"[(\[{<\"']{0,2}", r"[)\]}>\"']{0,2}"
_NO_WORD_BEFORE = r"(?<![A-Za-z0-9_À-ɏ'])"
_NO_WORD_AFTER = r"(?![A-Za-z0-9_À-ɏ]|'[A-Za-z])"
_AND = r"(?:\s{0,3}(?:[,;、&+]\s{0,3}(?:and\s{1,3}|&\s{0,3})?|\band\b|\bund\b|\bet\b|和|与|及|と|와|과)\s{0,3}|\s{1,3})"
_OR = r"(?:\s{0,3}(?:[,;]\s{0,3})?(?:\bor\b|/|\boder\b|\bou\b|或者?|还是|か|또는)\s{0,3})"
_RUN = r"(?=[A-H]{2})A?B?C?D?E?F?G?H?"  # "ACD", in the order of the alphabet: "BAD" is a word
_ITEM = rf"{_OPEN}(?:{_RUN}|[A-HJ-Z]){_CLOSE}{_NO_WORD_AFTER}"
_LIST = rf"{_NO_WORD_BEFORE}{_ITEM}(?:(?:{_OR}|{_AND}){_ITEM}){{0,11}}+"
_KIND = r"(?:(?:the\s|both\s|either\s)?(?:options?|choices?|letters?|answers?|both|either|选项|项)\s{0,3}:?\s{0,3})?"

# where an announcement ends: a list, or its first capital when the list runs on into words
_ANNOUNCED = re.compile(rf"{_KIND}({_LIST})", re.IGNORECASE)
_FIRST_ITEM = re.compile(rf"{_KIND}({_NO_WORD_BEFORE}{_ITEM})")
_WHOLE = re.compile(rf"{_KIND}({_ITEM}(?:(?:{_OR}|{_AND}){_ITEM})*+)[\s.,;:!?。]*", re.IGNORECASE)
_LETTERS = re.compile(r"(?<![A-Za-z])(?:[A-H]{2,8}|[A-Z])(?![A-Za-z])", re.IGNORECASE)
_OR_BETWEEN = re.compile(_OR, re.IGNORECASE)
_ENDS = re.compile(r"\s{0,3}(?:[.,;:!?)。]|\n|$)")
_LOOSE = re.compile(rf"{_NO_WORD_BEFORE}[A-HJ-Z]{_NO_WORD_AFTER}")
_IS_ARTICLE = re.compile(
    r"\s{1,3}(?!(?:because|since|as|due|is|are|and|or|based|given|which|for|but|with|without|together"
    r"|only|alone|plus|then|than|vs|versus|rather|over|instead|except|minus|to|through|yes|no)\b)[^\W\d_]"
)

LABEL = re.compile(
    rf"{_NO_WORD_BEFORE}(?:"
    r"[(\[{<]\s?([A-HJ-Za-hj-z])\s?[)\]}>][.:,]?"  # (B) [B] (b):
    r"|([A-HJ-Z])(?:[).:、](?=\s|$|[A-Z][a-z]|[\u3400-\u9fff]))"  # B. B) B: B.Red
    r"|([a-hj-z])[).:](?=\s|$)"  # b) b.
    r")"
)
"""A letter in the way in which options are lettered; exactly one group holds it."""

HEAD = re.compile(
    r"([A-HJ-Z])(?:\s{0,3}(?:[-–—,;]|->|→)(?=\s|[\u3400-\u9fff])"  # B - B, B→
    r"|\s{1,3}(?:because|since|as|due to|based on|given that)\b)"
)
"""A capital letter at the beginning of a reply that goes on in another way."""

# announcements
_NOUN = (
    r"(?:\b(?:answer|ans)(?:\(s\)|s)?"
    r"|\b(?:correct|right|best|final|chosen|my|appropriate|suitable|selected)\s(?:choice|option|selection)(?:\(s\)|s)?)"
)
_OF_WHAT = r"(?:\s(?:to|for)\s[^.,:;\n]{1,60}?)?"
_COPULA = (
    r"(?:\s{0,3}(?:is\(are\)|[:=→]|->|=>|[-–—]\s)"
    r"|\s{1,3}(?:is/are|is|are|was|would be|should be|must be|will be|seems to be|appears to be)\b)\s{0,3}[:=]?"
)
_SURELY = r"(?:\s{0,3}(?:most likely|likely|clearly|probably|definitely|therefore|simply|indeed|actually)\b)?"
_CHOOSING = r"\b(?:choose|select|pick|go with|opt for|go for|I(?:'d|'ll| would| will)? (?:answer|say))\b\s{0,3}:?"
_CHINESE = (
    r"(?:答案|正确选项)\s?(?:应该|应当|应)?\s?(?:是|为|选择?|:|=)\s?:?|(?<![不没非])(?:选择?)(?!项)\s?(?:是|为)?\s?:?"
)
_OTHER_LANGUAGES = (
    r"\b(?:Antwort(?:en)?|Lösung)\s{0,3}(?::|(?:ist|sind|lautet|lauten)\b)"
    r"|\bRichtig (?:ist|sind)\b"
    r"|\b(?:respuestas?|resposta|respostas|risposta|risposte|réponses?)(?:\s(?:corr\w{1,8}|final\w{0,2}))?\s{0,3}"
    r"(?::|(?:es|son|é|são|è|sono|est|sont)(?!\w))(?:\s(?:las?|les?|a|as)(?=\s))?(?:\s(?:opci[oó]n|opção|opzione|option)(?:es)?\b)?"
    r"|(?:答え|正解|解答)\s?(?:は|:)|(?:정답|답)\s?(?:은|:)"
)
_ANNOUNCEMENT = re.compile(
    rf"(?:{_NOUN}{_OF_WHAT}{_COPULA}{_SURELY}|{_CHOOSING}|{_CHINESE}|{_OTHER_LANGUAGES})[\s(]{{0,3}}", re.IGNORECASE
)
DENIED_AFTER = re.compile(
    r"\s?,?\s?or\s(?:something|some|another|none|else|neither|not|any|so)\b|\s?[-–—~]\s?[A-H]\b"
    r"|\s?(?:では|じゃ)\s?(?:ありません|な[いく])|\s?以外|\s?か(?:どうか|わか|分か)|\s?(?:가|이)?\s?아(?:닙|니|닌)|\s?(?:인지|외)"
    r"|\s(?:nicht|no|pas|não|non)\b"
)
"""How languages deny or doubt what they have just said."""
_CONFIRMED = re.compile(
    rf"({_LIST})(?:\s{{1,3}}(?:is|are)\s(?:the\s)?(?:most\s\w{{1,20}}\s)?"
    r"(?:correct|right|best|answers?|true|appropriate|suitable)\b|\s?(?:选?项)?是?(?:正确|对的))"
)
_DENIAL = re.compile(
    r"\b(?:not|neither|nor|none|whether|if|ob|wenn|si|cannot|never|wrong|incorrect|which|unless|could|might)\b|n't\b|不|没|错",
    re.IGNORECASE,
)
_MISGIVING = re.compile(
    r"\b(?:hesitat\w{1,5}|refus\w{1,4}|unable|tempt\w{1,5}|mistakes?|mistaken|someone|you sa(?:y|id)|going to|wanted to"
    r"|worst|least|second[- ](?:best|most|choice)|falsche?|mauvaise|incorrect\w|sbagliat\w|errad\w|err[oó]ne\w)\b"
    r"|难道|不可能|并不",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|unless|assuming|suppose|supposing|provided that|in case|had I)\b"
    r"(?! (?:I|you) (?:had|have|were|must|need)\b)(?! (?:forced|pressed)\b)",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"\s*(?:and |but |so )?(?:is|are|was|could|would|should|can|may|might|why|do|does|did|shall|isn't|难道)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!;\n。](?:\s|$)|\?")
_COMPARED = re.compile(
    r"(?<![A-Za-z])[A-H]\s?(?:[<>=≠~→]|->|vs\.?|versus|except|excluding|without|minus|through)\s?[(\[]?[A-H]\b"
    r"|\b(?:all|every\w{0,5}|any\w{0,5}|options?)\b[^.\n]{0,30}?\b(?:but|except|excluding|save)\b",
    re.IGNORECASE,
)
_WINDOW = 80  # characters before an announcement in which a denial is looked for
_CLAUSE_END = re.compile(r"[.,;:!?\n。]")

# letters that are rejected, texts that deny anything, and options that are named in passing
_DENIED = re.compile(
    r"(?:\b(?i:not|neither|nor|rather than|instead of|except|excluding|over|cannot be|(?:isn|aren|can)'t(?: be)?)\b"
    rf"|不是|并非|不选)\s{{0,3}}(?:(?:the\s)?(?:options?|choices?|letters?|answers?)\s{{1,3}}|选项)?{_LIST}"
    r"(?:\s{0,3},?\s{0,3}\bbut\b(?!\s(?:also|not|I)\b))?"  # "not A but B" says B
    r"|\bnothing but\b"
    r"|\bN/A\b"
)
_DENIES = re.compile(
    r"\b(?:not|no|none|neither|nor|never|cannot|wrong|incorrect|except|eliminat\w{1,4}|exclud\w{1,4}|rule[sd]? out"
    r"|unclear|unsure|either|unlikely|less likely|least likely|(?:is|are) (?:out|absent|missing|impossible))\b"
    r"|n't\b|不|没|错|非",
    re.IGNORECASE,
)
_SPACES = re.compile(r" {2,}")
_MENTION = re.compile(
    r"[(\[]([A-HJ-Z])[)\]]"
    r"|(?:\b[Oo]ption|\b[Cc]hoice|\b[Ll]etter|\b[Aa]nswer|选项)\s{0,3}[\"']?([A-HJ-Z])\b(?!'[a-z])"
    r"|(?:\b(?i:is|it's|that's|be|so|therefore|thus|hence|say|think|with|like|likely|probably|maybe|perhaps)\b,?|[:=→>是])"
    rf"\s{{0,3}}({_LIST})"
    r"(?=\s{0,3}(?:[.,;:!?)\"'。]|\n|$|(?:because|since|as|due|instead)\b))"
)


def whole_list(text: str) -> set[Reading]:
    """Return what a text gives that is nothing but a list of letters, capital or not; empty for any other."""
    match = _WHOLE.fullmatch(text.strip())
    if match is None or not (_is_capital(match[1]) or match[1].islower()):
        return set()  # "Be" is a word
    return _readings(match[1])


def list_at(text: str, start: int) -> tuple[set[Reading], int]:
    """Return what a list of letters at `start` gives, and where it ends; empty when there is none.

    Small letters count only where nothing but the end of a sentence follows.
    """
    match = _ANNOUNCED.match(text, start)
    if match is None or not (_is_capital(match[1]) or _ENDS.match(text, match.end())):
        match = _FIRST_ITEM.match(text, start)
    if match is None or (match[1].endswith("A") and _IS_ARTICLE.match(text, match.end())):
        return set(), start
    return _readings(match[1]), match.end()


def _is_capital(found: str) -> bool:
    return "".join(_LETTERS.findall(found)).isupper()


def _readings(found: str) -> set[Reading]:
    """Return one reading for "A, C and D", two for "A or C"."""
    return {frozenset("".join(_LETTERS.findall(part)).upper()) for part in _OR_BETWEEN.split(found)}


def announcements(text: str) -> Iterator[int]:
    """Yield where each "the answer is", "I choose", "答案是" ends, those in a clause that denies or doubts left out."""
    for match in _ANNOUNCEMENT.finditer(text):
        if not _is_denied(text, match.start()):
            yield match.end()


def confirmed(text: str) -> set[Reading]:
    """Return what is called correct: "B is the correct answer"."""
    found: set[Reading] = set()
    for match in _CONFIRMED.finditer(text):
        if not _is_denied(text, match.start()):
            found |= _readings(match[1])
    return found


def _is_denied(text: str, start: int) -> bool:
    before = text[max(0, start - _WINDOW) : start]
    clause = _CLAUSE_END.split(before)[-1]
    if _DENIAL.search(clause) or _MISGIVING.search(clause):
        return True
    sentence = _SENTENCE.split(before)[-1] + text[start : start + _WINDOW]
    return _is_conditional(sentence)


def _is_conditional(text: str) -> bool:
    """Return whether the first sentence of a text states a condition, or asks."""
    end = _SENTENCE.search(text)
    sentence = text if end is None else text[: end.end()]
    return bool(_CONDITION.search(sentence)) or (sentence.endswith("?") and bool(_QUESTION.match(sentence)))


def doubts(text: str) -> bool:
    """Return whether a short text states a condition, asks, or tells what somebody might answer."""
    return bool(_MISGIVING.search(text)) or any(
        _is_conditional(part) for part in re.split(r"(?<=[.!;?。])\s|\n", text) if part
    )


def compares(text: str) -> bool:
    """Return whether letters stand in a text as more than a list: "A > C", "A except C", "all but B"."""
    return _COMPARED.search(text) is not None


def without_denied(text: str) -> str:
    """Return a text without the letters that it rejects: "not A", "neither A nor C", "rather than B"."""
    return _SPACES.sub(" ", _DENIED.sub(" ", text))


def mentioned(text: str) -> set[Reading]:
    """Return the letters that a text names as options, as one reading: "(B)", "option B", "it is B"; two for "or"."""
    named: Reading = frozenset()
    for groups in _MENTION.findall(text):
        readings = _readings(next(filter(None, groups)))
        if len(readings) > 1:
            return readings
        named |= readings.pop()
    return {named} if named else set()


def loose_letters(text: str) -> Reading:
    """Return every capital letter that stands alone in a text, the article left out."""
    return frozenset(
        match[0] for match in _LOOSE.finditer(text) if match[0] != "A" or not _IS_ARTICLE.match(text, match.end())
    )


def denies(text: str) -> bool:
    """Return whether a text says anywhere that something is not so, or is wrong."""
    return _DENIES.search(text) is not None
