"""Numbers in replies about counts: sums worked out, and a sign before each number that counts nothing.

Of the words before a number only those count that are known to: after any other it may be a row, a year or a bound.
"""

from __future__ import annotations

import math
import re

_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]|\.\d)")
_WHOLE_NUMBER = re.compile(r"(?<![\d.,])(\d{1,9})\.0+(?![\d.,]*\d)")
_EXPRESSION = r"\d{1,6}(?:\s?[+×x*-]\s?\d{1,6}){1,30}"
_SUM = re.compile(
    rf"(?<![\d.,=+×*-])(?<![=+×*-]\s)(?:({_EXPRESSION})\s?=\s?(\d{{1,9}})|(\d{{1,9}})\s?=\s?({_EXPRESSION}))"
    r"(?!\d|[.,]\d|\s?[=+×x*/-]\s?\d|\s?\?)"
)
_NO_COUNT = re.compile(
    r"(?:(?<=than\s)|(?<=at least\s)|(?<=at most\s)|(?<=over\s)|(?<=under\s)|(?<=above\s)|(?<=below\s)|(?<=twice\s)"
    r"|(?<=half of\s)|(?<=double\s)|(?<=minus\s)|(?<=plus\s)|(?<=image\s)|(?<=figure\s)|(?<=picture\s)|(?<=up to\s)"
    r"|(?<=or equal to\s)"
    r"|(?<=超过)|(?<=至少)|(?<=至多)|(?<=不到)|(?<=少于)|(?<=多于)|(?<=大于)|(?<=小于)|(?<=最多)|(?<=最少)|(?<=不足)"
    r"|(?<=高于)|(?<=低于)|(?<=第)|(?<=接近)|(?<=近)"
    r"|(?<=[<>≥≤±])|(?<=[<>]=)|(?<=[<>≥≤±]\s)|(?<=\d[/:])|(?<=(?<![\w)\]])[−-]))(?=\d)"
    r"|(?<![\d.,^/:-])(?=\d{1,9}(?:\+(?!\s?\d)|\s?%|°|(?:st|nd|rd|th|x|s)\b|[\^²³]|[/:]\d|\s(?:is|are)\stoo\b"
    r"|[ ]?(?:k|thousand|million|billion|lakh|crore|hundred|dozen|mil|tausend|mille|тысяч\w{0,2}|тыс)\b|e\d"
    r"|\s?[×x*]\s?10\b"
    r"|[ ]?[万千百亿億萬]|\s?[\u3400-\u9fff]{0,2}(?:以上|以下|以内|多|余|来|未満)"
    r"|\s?[\uac00-\ud7a3]{0,2}\s?(?:이상|이하|미만)|\s(?:\w{1,20}\s)?(?:at (?:most|least)|maximum|minimum|max|min)\b"
    r"|\s(?:Jan|Feb|Mar|Apr|May|June?|July?|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\b|\s(?:minus|plus)\b"
    r"|\sor\s(?:more|less|fewer|higher|lower|above|below|over|under|greater|larger|smaller)\b"
    r"|\sand\s(?:up|above|over|below|counting)\b|\s(?:upwards|squared|cubed|per|each|in each|on each)\b|\so'clock\b"
    r"|\s\w{1,20}\sago\b))",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"(?<!by )\b(?:id|index|confidence|probability|score|year|error|row|line|page|step|level|zoom|scale|width|height"
    r"|size|version)"
    r"\s?[:=#]\s?(?=\d)",
    re.IGNORECASE,
)
"""What says of a number that it is something else than how many there are."""
_WORD_BEFORE = re.compile(r"(?:([^\W_]{1,30})\s)?(?<!\w)([^\W\d_]{1,30})\s(?=\d)")
_BEFORE_A_COUNT = frozenset(
    # English
    "are is be was were there count counted counts counting total totals totaling totalling sum about approximately "  # noqa: SIM905
    "approx around roughly exactly precisely circa ca only just see sees saw find finds found identify identified "
    "detect detected observe observed spot spotted contains contain containing has have having shows show showing with "
    "equals equal answer answers say says choose pick select guess guessed estimate estimated me gives give get makes "
    "make and or the all these those visible so therefore thus hence i then but between from either maybe perhaps "
    "possibly likely probably clearly no not by conclude its image result like holds hold holding "
    "estimates estimating a b c d e f g h "
    # other languages
    "hay sind gibt es sont avons são há existem tem sono son ist est é è есть всего около примерно ровно environ "
    "ungefähr etwa aproximadamente unos unas genau exactement exactamente insgesamt "
    "respuesta resposta risposta antwort réponse ответ".split()
)
"""Words after which a number says how many there are, or is an answer; after others it may be anything: "row 14"."""
_TOTALS = frozenset(
    (
        "total",
        "count",
        "sum",
        "number",
        "cerca",
        "alrededor",
        "autour",
        "out",
        "rows",
        "columns",
        "groups",
        "sets",
        "pairs",
    )
)
_SUMS_UP = frozenset(("equal", "equals", "comes", "come", "amounts", "amount", "adds", "sums"))
_LINKS = {
    "of": _TOTALS,
    "de": _TOTALS,
    "to": _SUMS_UP,
}
"""Words that say how many only behind certain others; of "14 rows of 12" neither number is the answer."""
_BOUNDS = frozenset(
    (
        *("than", "least", "most", "over", "under", "above", "below", "exceeds", "exceed", "exceeding"),
        *("de", "als", "di", "чем", "más", "plus"),
    )
)


def _marked_unless_counting(match: re.Match[str]) -> str:
    """Return the words before a number, with the sign behind them unless they say that it counts.

    In "12 to 14" and "14 out of 16" both numbers are left, so that neither is the answer.
    """
    before, word = (match[1] or "").lower(), match[2].lower()
    if before.isdigit():
        counts = True
    elif word in _LINKS:
        counts = before in _LINKS[word]
    else:
        counts = word in _BEFORE_A_COUNT and before not in _BOUNDS
    return match[0] if counts else f"{match[0]}^"


_SIGNED = re.compile(r"\^[−-]?(\d{1,9})")
_OPEN_SUM = re.compile(r"\d{1,9}\s?[+×*=]\s?\d|\d\s?=\s?\?")
"""A sum that is not worked out, or not rightly."""


def _worked_out(match: re.Match[str]) -> str:
    """Return the result of a sum that is right, and a sum that is wrong as it stands."""
    written, result = (match[1], match[2]) if match[1] else (match[4], match[3])
    numbers, signs = re.findall(r"\d+", written), re.findall(r"[+×x*-]", written)
    if set(signs) <= {"+", "-"}:
        value = int(numbers[0]) + sum(int(sign + number) for sign, number in zip(signs, numbers[1:], strict=True))
    elif set(signs) <= {"×", "x", "*"}:
        value = math.prod(map(int, numbers))
    else:
        return match[0]
    return result if value == int(result) else match[0]


def as_counts(text: str) -> str:
    """Return a text with its sums worked out, 14.0 as 14 and 1,400 as 1400.

    Numbers that are bounds, shares, places, powers and the like get the sign "^" before them, and name no option.
    """
    text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    text = _SUM.sub(_worked_out, _WHOLE_NUMBER.sub(r"\1", text))
    text = _LABELLED.sub(lambda match: f"{match[0]}^", _NO_COUNT.sub("^", text))
    return _WORD_BEFORE.sub(_marked_unless_counting, text)


def holds_open_sum(text: str) -> bool:
    """Return whether a text holds a sum that is not worked out, or not rightly."""
    return _OPEN_SUM.search(text) is not None


def uncounted(text: str) -> list[str]:
    """Return the numbers that `as_counts` has put the sign before."""
    return _SIGNED.findall(text)
