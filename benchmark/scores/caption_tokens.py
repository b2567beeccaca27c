"""A caption → the tokens that all caption metrics count."""

from __future__ import annotations

from rsvqa.benchmark.protocol.thinking import final_text

TOKENS_EN = "lower case, sacrebleu's 13a tokens, punctuation left out"
TOKENS_ZH = "lower case, sacrebleu's zh tokens (one a Chinese character), punctuation left out"


def caption_tokens(text: str, language: str) -> list[str]:
    """Return the words of an English text, or the characters of a Chinese one, in lower case and without punctuation.

    Punctuation is left out as in the COCO caption evaluation, so that markdown costs nothing.
    """
    if language == "zh":
        from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

        tokens = TokenizerZh()(text)
    else:
        from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

        tokens = Tokenizer13a()(text)
    return [token for token in tokens.lower().split() if any(character.isalnum() for character in token)]


def reply_tokens(reply: str, language: str) -> list[str]:
    """Return the tokens of a reply's answer, without its reasoning; none while the reasoning is not finished."""
    return caption_tokens(final_text(reply) or "", language)
