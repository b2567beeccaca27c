r"""The grammar of letters in a reply: "B", "(B)", "A, C and D", "ACD", and the words that announce an answer.

No pattern repeats without a bound what may fail later, so a reply of a million characters is read in linear time.
What surprises: "A" before a word is taken for the article, and "I" is always the pronoun.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

Reading = frozenset[str]
"""Capital letters that one place of a reply gives together."""

_OPEN, _CLOSE = r"[(\[{<\"']{0,2}", r"[)\]}>\"']{0,2}"
_NO_WORD_BEFORE = r"(?<![A-Za-z0-9_À-ɏ'])"
_NO_WORD_AFTER = r"(?![A-Za-z0-9_À-ɏ]|'[A-Za-z]|-\d|\+(?:[.,;!]|$))"
_AND = (
    r"(?:\s{0,3}(?:[,;、&+]\s{0,3}(?:and\s{1,3}|&\s{0,3})?|\b(?:and|und|et|и|ve)\b|\sو\s?|和|与|及|と|와|과)\s{0,3}"
    r"|\s{1,3})"
)
_OR = r"(?:\s{0,3}(?:[,;]\s{0,3})?(?:\b(?:or|oder|ou|или|либо|veya|atau|lub|hoặc)\b|/|أو|或者?|还是|か|또는)\s{0,3})"
_RUN = r"(?=[A-H]{2})A?B?C?D?E?F?G?H?"  # "ACD", in the order of the alphabet: "BAD" is a word
_ITEM = rf"{_OPEN}(?:{_RUN}|[A-HJ-Z]){_CLOSE}{_NO_WORD_AFTER}"
_LIST = rf"{_NO_WORD_BEFORE}{_ITEM}(?:(?:{_OR}|{_AND}){_ITEM}){{0,11}}+"
_KIND = (
    r"(?:(?:the\s|both\s|either\s)?(?:options?|choices?|letters?|answers?|both|either|选项|项)(?!s\b)\s{0,3}:?\s{0,3})?"
)

# where an announcement ends: a list, or its first capital when the list runs on into words
_ANNOUNCED = re.compile(rf"{_KIND}({_LIST})", re.IGNORECASE)
_FIRST_ITEM = re.compile(rf"{_KIND}({_NO_WORD_BEFORE}{_ITEM})")
_SURE = r"(?:definitely|certainly|clearly|surely|obviously|only|just)"
_WHOLE = re.compile(
    rf"(?:{_SURE},?\s)?{_KIND}({_ITEM}(?:(?:{_OR}|{_AND}){_ITEM})*+)(?:,?\s(?:{_SURE}|for sure|it is"
    rf"|alone))?[\s.,;:!?。]*",
    re.IGNORECASE,
)
_SEVERAL = re.compile(rf"({_NO_WORD_BEFORE}{_ITEM}(?:{_AND}{_ITEM}){{1,11}}+)(?!\s?[).:])")
_LETTERS = re.compile(r"(?<![A-Za-z])(?:[A-H]{2,8}|[A-Z])(?![A-Za-z])", re.IGNORECASE)
_OR_BETWEEN = re.compile(_OR, re.IGNORECASE)
_ENDS = re.compile(r"\s{0,3}(?:[.,;:!?)。]|\n|$)")
_LOOSE = re.compile(rf"{_NO_WORD_BEFORE}[A-HJ-Z]{_NO_WORD_AFTER}")
_IS_ARTICLE = re.compile(
    r"[^\S\n]{1,3}(?!(?:because|since|as|due|is|are|and|or|based|given|which|for|but|with|without|together"
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
    r"([A-HJ-Z])(?:\s{0,3}(?:[-–—,;]|(?:->|=>|→)(?!\s?[(\[]?[A-H]\b))(?=\s|[\u3400-\u9fff])"  # B - B, B→
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
_CHOOSING = (
    r"\b(?:choose|select|pick|go(?:ing)? with|opt for|go for|I(?:'d|'ll| would| will)? (?:answer|say))\b\s{0,3}:?"
)
_CHINESE = (
    r"(?:答案|正确选项)\s?(?:应该|应当|应)?\s?(?:是|为|选择?|:|=)\s?:?"
    r"|(?<![不没非别勿莫])(?:选择?)(?!项)\s?(?:是|为)?\s?:?"
)
_OTHER_LANGUAGES = (
    r"\b(?:Antwort(?:en)?|Lösung)\s{0,3}(?::|(?:ist|sind|lautet|lauten)\b)"
    r"|\bRichtig (?:ist|sind)\b"
    r"|\b(?:respuestas?|resposta|respostas|risposta|risposte|réponses?)(?:\s(?:corr\w{1,8}|final\w{0,2}))?\s{0,3}"
    r"(?::|(?:es|son|é|são|è|sono|est|sont)(?!\w))(?:\s(?:las?|les?|a|as)(?=\s))?(?:\s(?:opci[oó]n|opção|opzione"
    r"|option|alternativa|letra|lettera|lettre)(?:es)?\b)?"
    r"|(?:\bje choisis|(?<!no )\belijo|(?<!não )\bescolho|(?<!non )\bscelgo|\bich wähle|\bя выбираю|(?<!لا )أختار)\b"
    r"(?:\s(?:la|le|a|l'option|opción|opção|вариант)(?=\s))?"
    r"|\bответ\s?(?:[—–-]\s|это\b)|\bans\s?[.)]|(?:答え|正解|解答)\s?(?:は|:)|(?:정답|답)\s?(?:은|:)"
)
_ANNOUNCEMENT = re.compile(
    rf"(?:(?P<noun>{_NOUN}){_OF_WHAT}{_COPULA}{_SURELY}|{_CHOOSING}|{_CHINESE}|{_OTHER_LANGUAGES})[\s(]{{0,3}}",
    re.IGNORECASE,
)
DENIED_AFTER = re.compile(
    r"\s?吗|\s?[,，]?\s?(?:也|或)?可能是?\s?[A-H]|\s?也可能|[\s.;]{1,3}[Oo]r\s(?:maybe\s|perhaps\s)?[(\[]?[A-H]\b"
    r"|\sto\s(?:continue|proceed|skip|exit|go|start|see|view|agree|submit)\b|"
    r"\s?,?\s?or\s(?:something|some|another|none|else|neither|not|any|so)\b|\s?[-–—~]\s?[A-H]\b"
    r"|\s?(?:では|じゃ)\s?(?:ありません|な[いく])|\s?以外|\s?か(?:どうか|わか|分か)|\s?(?:가|이)?\s?아(?:닙|니|닌|님)"
    r"|\s?(?:인지|외)"
    r"|\s(?:nicht|no|pas|não|non)\b"
)
"""How languages deny or doubt what they have just said."""
_CONFIRMED = re.compile(
    rf"({_LIST})(?:\s{{1,3}}(?:(?:is|are)(?:\s(?:both|all|clearly|therefore))?|seems?(?:\sto\sbe)?)\s(?:the\s|my\s)?"
    r"(?:only\s)?(?:most\s\w{1,20}\s)?(?:correct|right|best|answers?|true|appropriate|suitable)\b(?!\s(?:and|but)\s(?:wrong"
    r"|incorrect|not))(?![^.!\n]{0,40}\?)"
    r"(?=\s{0,3}(?:[.,;:!)\n]|$)|\s(?:because|since|as|here|given|based|for this|in this|and|while|but|with|to|among"
    r"|answers?|options?|choices?|letters?|one|ones|selection|match|fit|description|label|category|class|colou?r"
    r"|count)\b)"
    r"|\s(?:fits|matches)\sbest(?=[.,;!\n]|$)|\s?(?:选?项)?[都均]?是?(?:正确|对的)|\s?(?:选?项)?[都均]对(?=[\s,.;!。]|$)"
    r"|\s(?:ist|sind|es|son|é|são|est|sont|è|sono)\s"
    r"(?:richtig|korrekt|correct[aeos]{0,2}|corrett[aeio]|exact[aeos]{0,2}|juste)(?=[.,;!\n]|$))"
)
_DENIAL = re.compile(
    r"\b(?:not|neither|nor|none|whether|if|ob|wenn|si|cannot|never|wrong|incorrect|which|unless|could|might|unlikely"
    r"|hardly|no way"
    r"|keine?|aucune?|ningun[oa]?|nenhuma?|nessuna?|geen|ingen|inget|hiçbir|żadna|nicht"
    r"|far from|no\s(?:reason|evidence|way|chance|basis|grounds?|indication|proof|point|need)\s(?:to|that|for|in"
    r"|why))\b"
    r"|n't\b|不|没|错|除了|除去|(?<!no\s)(?<!without\s)(?<!without a\s)\bdoubt",
    re.IGNORECASE,
)
_MISGIVING = re.compile(
    r"\b(?:hesitat\w{1,5}|refus\w{1,4}|unable|tempt\w{1,5}|mistakes?|mistaken|someone"
    r"|you (?:(?:might|could|may|can|should)\s)?sa(?:y|id)|going to|wanted to|worst|least"
    r"|second[- ](?:best|most|choice)"
    r"|falsche?|mauvaise|incorrect\w|sbagliat\w|errad\w|err[oó]ne\w)\b|\bresembl\w{1,3}\b.{0,80}\bbut\b"
    r"|也可能|[红蓝白绿黑黄灰棕紫橙粉青银褐]{2}色|排除|除[了去]|难[道说以]|不可能|并不|无法|无从"
    r"|^\s*(?:(?:most|some|many|other|few)\s)?(?:people|others|many|most(?! likely\b)|some|they"
    r"|students|annotators|users"
    r"|readers|one (?:might|could|may|would))\b",
    re.IGNORECASE,
)
_ADJECTIVES = (
    r"(?:final|correct|right|best|true|actual|real|expected|only|most|likely|probable|plausible|suitable|appropriate"
    r"|accurate"
    r"|logical|reasonable|short|ultimate|overall|chosen|selected|predicted|obvious|clear|revised|corrected|updated"
    r"|new|closest"
    r"|single|full|proper|valid|required|desired|resulting|multiple-choice|question's|and)"
)
_OTHERS = re.compile(
    r"(?:\b(?-i:a|an|one|A(?!\sthe)|One)|\b(?:some|their|his|her|another|other|any|every|user'?s|student'?s))"
    r"\s(?:(?!the\b|my\b|your\b)[\w'-]{1,30}\s){0,2}$"
    rf"|\b(?:the|my|your|this|that)\s(?!(?:{_ADJECTIVES}\s){{1,3}}$)(?:(?!the\b|my\b|your\b)[\w'-]{{1,30}}\s){{1,2}}$"
    r"|\b(?:previous|earlier|former|initial|original|first|backup|alternat(?:iv)?e|example|sample|other|another"
    r"|opposite|second"
    r"|next|hypothetical|false|distractor|yanlış|неправильный|неверный|ошибочный)\s$",
    re.IGNORECASE,
)
"""Ends before the noun of an announcement, and says that it is some answer, or somebody's, or of an unknown kind."""
RETRACTED_AFTER = re.compile(
    r"[\s.,;:!)*–—-]{0,4}(?:(?:but|and|however|though|no|wait|hmm|sorry|actually|except)[\s,.…]{1,3}){0,4}"
    r"(?:(?:that|this|which|it)(?:'s|\s(?:is|was|would be|seems|looks))\s(?:(?:clearly|probably|likely|also|just)\s)?"
    r"(?:wrong|incorrect|false|mistaken|a mistake|an error|not\s(?:right|correct|true|so|it|the answer))\b"
    r"|(?:that|this|it)\s(?:cannot|can't|isn't|wasn't)\b"
    r"|I\s(?:disagree|doubt|(?:do not|don't)\s(?:agree|think so|believe)|take\s(?:that|it)\sback|was\s(?:wrong"
    r"|mistaken)))",
    re.IGNORECASE,
)
"""What takes back the answer directly before it."""
SHARES = re.compile(r"(?:(?<![A-Za-z])[A-H][)\]]?\s?[:=(–-]\s?\(?\d{1,3}(?:\.\d{1,9})?\s?%[^A-H%]{0,40}){2,26}")
"""Options, each with how sure the model is of it."""
GOES_ON = re.compile(
    r"\s?[(\[](?:or|maybe|possibly|perhaps|alternatively)\s[(\[]?[A-H]\b|"
    r"\s?[,;]?\s?(?:as well as|along with|together with|(?:and\s)?(?:then|also)\b|with|plus|followed by|\.{2,}|…|~)\s?"
    r"(?:(?:or|maybe|perhaps|also|even|and|else)\s){0,3}[(\[]?[A-H]\b"
    r"|[^\n]{0,80}?\b[A-H]\b[^.\n]{0,20}\balso\b[^.\n]{0,20}\b(?:correct|right|true|fits?|applies)\b"
)
"""What makes one letter one of several."""
_RIVAL = re.compile(
    rf"{_NO_WORD_BEFORE}([A-H])[)\]]?\s(?:is|are|would be|could be|may be|might be|seems|looks|fits|works)\s"
    r"(?:(?:much|far|slightly|even|probably|likely)\s)?"
    r"(?:also|too|as well|better|more likely|more plausible|just as|equally|closer|preferable)\b"
    r"|(?i:\b(?:then again|that said|on the other hand|alternatively)\b[^.\n]{0,40}?)(?<![A-Za-z])([A-H])(?![A-Za-z'])"
)
RETRACTED_LATER = re.compile(
    r"\b(?:but|however|though|although|yet)\b[^.!?\n]{0,60}\b(?:(?:they|he|she|everyone|that|this|it)\s?(?:'re|'s"
    r"|are|is|was"
    r"|were)\s(?:mistaken|wrong|incorrect|false|not\s(?:right|correct|true))|I\s(?:disagree|doubt|(?:do not|don't)\s"
    r"(?:agree|think so|believe))|(?:otherwise|differently))\b",
    re.IGNORECASE,
)
"""Likewise, at the end of its sentence."""
_CONDITION = re.compile(
    r"\b(?:if|unless|assume|imagine|pretend|let's say|assuming|suppose|supposing|provided that|in case|had I)\b"
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
    r"(?:(?:\s(?:and|but)\s)?\b(?i:not|neither|nor|rather than|instead of|except|excluding|over|cannot be|(?:isn"
    r"|aren|can)'t(?: be)?)\b"
    rf"|不是|并非|不选|!=|≠|<>)\s{{0,3}}(?:(?:the\s)?(?:options?|choices?|letters?|answers?)\s{{1,3}}|选项)?{_LIST}"
    r"(?:\s{0,3},?\s{0,3}\bbut\b(?!\s(?:also|not|I)\b))?"  # "not A but B" says B
    r"|\bnothing but\b"
    r"|\bN/A\b"
)
_DENIES = re.compile(
    r"\b(?:(?:almost|nearly) (?:the |a )?(?:right|correct|best|true)|used to|no longer|formerly|previously|opposite"
    r"|hardly|barely|scarcely|(?<!no\s)(?<!without\s)(?<!without a\s)doubt"
    r"|away from|far from|not|no|none|neither|nor|never|cannot|wrong|incorrect|except|eliminat\w{1,4}|exclud\w{1,4}"
    r"|rule[sd]? out"
    r"|unclear|unsure|either|unlikely|less likely|least likely|(?:is|are) (?:out|absent|missing|impossible))\b"
    r"|n't\b|不|没|错|非|\b(?:discard|reject|ignor|distract|dismiss)\w{0,4}\b",
    re.IGNORECASE,
)
_SPACES = re.compile(r" {2,}")
_MENTION = re.compile(
    r"[(\[]([A-HJ-Z])[)\]]"
    r"|(?:\b[Oo]ption|\b[Cc]hoice|\b[Ll]etter|\b[Aa]nswer|选项)\s{0,3}[\"']?([A-HJ-Z])\b(?!'[a-z]|\s(?:is\s)?(?:appears|"
    r"painted|written|printed|marked|visible|shown)\b)"
    r"|(?:\b(?i:is|it's|that's|be|so|therefore|thus|hence|say|think|likely|probably|maybe|perhaps"
    r"|(?:agree|settle|stick|went) with|(?:looks?|feels?|seems?|sounds?|feel) like)\b,?|(?P<mark>[:=→>])|是)"
    rf"\s{{0,3}}({_LIST})"
    r"(?=\s{0,3}(?:[.,;:!?)\"'。]|\n|$|(?:because|since|as|due|instead)\b))"
)
_ASKED_WORDS = frozenset(
    unicodedata.normalize(
        "NFKC",
        # of any answer
        "if i had have must be forced a an the my your our is are of in to for this that these it its here so thus "
        "hence therefore then final best right correct true most likely appropriate suitable plausible probable "
        "overall short summary key answer answers ans s ai option options choice choices letter letters selection "
        "selected chosen pick guess verdict decision conclusion result response reply output prediction predicted "
        "solution label assistant model bot question image picture q "
        # of what is asked for
        "color colour colors colours category categories class classes type kind object objects vehicle vehicles "
        "car ship count counts number numbers total amount state status motion moving position location direction "
        "relation land use contains contain shows show includes include features cover scene route path environment "
        "condition anomaly change changes region area "
        # the answer, and that it is right, in other languages
        "antwort antworten lösung richtige richtig korrekte die der das ist lautet endgültige respuesta respuestas "
        "correcta correctas la las el los es final réponse réponses bonne correcte le les est resposta respostas "
        "correta certa risposta risposte corretta giusta ответ ответы правильный верный итоговый окончательный "
        "cevap cevabı yanıt doğru doğrusu đáp án đúng jawaban yang benar svar svaret rätt rett riktig rigtige "
        "odpowiedź prawidłowa poprawna odpověď správná odpoveď răspuns răspunsul corect vastaus oikea válasz helyes "
        "antwoord juiste goede het de απάντηση σωστή відповідь правильна отговор верен odgovor točan tačan الإجابة "
        "الصحيحة الجواب الصحيح جواب پاسخ درست उत्तर सही জবাব উত্তর คำตอบ ตอบ 答え 解答 正解 正答 最終 정답 답 답변 "
        "답은 答案 正确答案 最终答案 选项 正确选项 选择 选 故选 结论 因此 所以 综上所述",
    ).split()
)
"""Words of which a label may consist that stands before an answer, as "The answer" in "The answer: B" does.

Of a label with any other word ("Discarded: B", "Absent: B") it is not known what it says of the letters behind it.
"""
_LABEL_WORD = re.compile(r"[^\s\d()\[\]\"'/*–—-]+")
_LABEL_START = re.compile(r"[.,;!?()\n。，；]")
_LETTER_BEFORE = re.compile(r"(?<![A-Za-z'])[A-H]\s?[-=]?$")


def whole_list(text: str) -> set[Reading]:
    """Return what a text gives that is nothing but a list of letters, capital or not; empty for any other."""
    match = _WHOLE.fullmatch(text.strip())
    if match is None or not (_is_capital(match[1]) or match[1].islower()):
        return set()  # "Be" is a word
    readings = _readings(match[1])
    is_asked = "?" in match[0][match.end(1) - match.start() :]
    return readings | {frozenset()} if is_asked and any(len(one) > 1 for one in readings) else readings


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


def begins_with_list(text: str) -> set[Reading]:
    """Return what a text gives that begins with several capital letters: "A, C and D can be ruled out"."""
    match = _SEVERAL.match(text)
    return _readings(match[1]) if match else set()


def _is_capital(found: str) -> bool:
    return "".join(_LETTERS.findall(found)).isupper()


def _readings(found: str) -> set[Reading]:
    """Return one reading for "A, C and D", two for "A or C"."""
    return {frozenset("".join(_LETTERS.findall(part)).upper()) for part in _OR_BETWEEN.split(found)}


def announcements(text: str) -> Iterator[int]:
    """Yield where each "the answer is", "I choose", "答案是" ends, those in a clause that denies or doubts left out."""
    for match in _ANNOUNCEMENT.finditer(text):
        if not _is_of_another(text, match):
            yield match.end()


def _is_of_another(text: str, announcement: re.Match[str]) -> bool:
    """Return whether an announcement is of something else than the answer that the reply gives."""
    start = announcement.start()
    return _is_denied(text, start) or bool(announcement["noun"] and _OTHERS.search(_clause(text, start)))


def confirmed(text: str) -> set[Reading]:
    """Return what is called correct: "B is the correct answer"."""
    found: set[Reading] = set()
    for match in _CONFIRMED.finditer(text):
        if not _is_denied(text, match.start()):
            found |= _readings(match[1])
    return found


def _is_denied(text: str, start: int) -> bool:
    before = text[max(0, start - _WINDOW) : start]
    clause = _clause(text, start)
    if _DENIAL.search(clause) or _MISGIVING.search(clause):
        return True
    sentence = _SENTENCE.split(before)[-1] + text[start : start + _WINDOW]
    return _is_conditional(sentence)


def _clause(text: str, end: int) -> str:
    """Return what stands between the last comma or stop and `end`."""
    return _CLAUSE_END.split(text[max(0, end - _WINDOW) : end])[-1]


def _is_conditional(text: str) -> bool:
    """Return whether the first sentence of a text states a condition, or asks."""
    end = _SENTENCE.search(text)
    sentence = text if end is None else text[: end.end()]
    return bool(_CONDITION.search(sentence)) or (sentence.endswith("?") and bool(_QUESTION.match(sentence)))


def doubts(text: str) -> bool:
    """Return whether a short text states a condition, asks, or tells what somebody might answer."""
    if _MISGIVING.search(text) or any(_is_of_another(text, match) for match in _ANNOUNCEMENT.finditer(text)):
        return True
    return any(_is_conditional(part) for part in re.split(r"(?<=[.!;?。])\s|\n", text) if part)


def rivals(text: str) -> Reading:
    """Return the letters that a text calls better, or right as well: "but C is better", "then again, it could be C"."""
    return frozenset(match[1] or match[2] for match in _RIVAL.finditer(text))


def compares(text: str) -> bool:
    """Return whether letters stand in a text as more than a list: "A > C", "A except C", "all but B"."""
    return _COMPARED.search(text) is not None


def without_denied(text: str) -> str:
    """Return a text without the letters that it rejects: "not A", "neither A nor C", "rather than B"."""
    return _SPACES.sub(" ", _DENIED.sub(" ", text))


def mentioned(text: str) -> set[Reading]:
    """Return the letters that a text names as options, as one reading: "(B)", "option B", "it is B"; two for "or".

    Letters behind a label that says something else of them ("Absent: B") leave a doubt.
    """
    named: Reading = frozenset()
    doubt = False
    for match in _MENTION.finditer(text):
        if match["mark"] and not _announces(text[: match.start()]):
            doubt = True
            continue
        readings = _readings(next(group for group in match.groups() if group and group != match["mark"]))
        if len(readings) > 1:
            return readings
        named |= readings.pop()
    return ({named, frozenset()} if doubt else {named}) if named else set()


def _announces(before: str) -> bool:
    """Return whether what stands before ":" or "→" is at most a label of an answer."""
    label = _LABEL_START.split(before[-_WINDOW:])[-1]
    return not _LETTER_BEFORE.search(label) and set(_LABEL_WORD.findall(label.lower())) <= _ASKED_WORDS


def loose_letters(text: str) -> Reading:
    """Return every capital letter that stands alone in a text, the article left out."""
    return frozenset(
        match[0] for match in _LOOSE.finditer(text) if match[0] != "A" or not _IS_ARTICLE.match(text, match.end())
    )


def denies(text: str) -> bool:
    """Return whether a text says anywhere that something is not so, or is wrong."""
    return _DENIES.search(text) is not None
