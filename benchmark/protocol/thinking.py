"""The part of a reply that is meant as the answer: after the reasoning, inside answer tags where there are any.

The marks are those that models write into their text. Where they are tokens of their own that a decoder leaves out,
gpt-oss' channels still show as "analysis…assistantfinal…".
"""

from __future__ import annotations

import re

_REASONING = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection|(?:reasoning_)?scratchpad|longcat_think"
    r"|(?:seed|mm):think)"
)
_OPENING = re.compile(
    rf"<{_REASONING}(?:\s[^<>]{{0,80}})?>|◁think▷|\[THINK\]|<\|begin_of_thought\|>|<\|START_THINKING\|>|<unused94>"
    r"|<\|channel>thought|<\|channel\|>(?:analysis|commentary)|(?-i:\Aanalysis(?=[A-Z]))",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    rf"</{_REASONING}>|◁/think▷|\[/THINK\]|<\|end_of_thought\|>|<\|END_THINKING\|>|<unused95>|<channel\|>"
    r"|<\|channel\|>final(?:<\|message\|>)?|(?-i:assistantfinal)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"<(/?)(?:(?:final|correct|best|selected|chosen|predicted)_(?:answer|option|choice|letter)|answer(?:_letter)?|ans|final|selected|solution"
    r"|conclusion|output|response|result)>|\[(/?)ANS\]|<\|(begin|end)_of_box\|>"
    r"|<\|(begin|end)_of_solution\|>|<\|(START|END)_RESPONSE\|>",
    re.IGNORECASE,
)


def final_text(reply: str) -> str | None:
    """Return what follows the last closed block of reasoning; None when the reasoning is not finished.

    Many chat templates open the block in the prompt, so a closing tag alone is enough. Where answer tags stand in the
    rest ("<answer>…</answer>", "<CONCLUSION>", or GLM's box tokens), only what they enclose is returned.
    """
    start = 0
    for closing in _CLOSING.finditer(reply):
        start = closing.end()
    if _OPENING.search(reply, start):
        return None
    return _inside_answer_tags(reply[start:]).strip()


def _inside_answer_tags(text: str) -> str:
    """Return what stands in answer tags, one line per pair; all of `text` where none is opened."""
    parts: list[str] = []
    opened: int | None = None
    for tag in _ANSWER.finditer(text):
        if any(mark and mark.lower() in ("/", "end") for mark in tag.groups()):
            if opened is not None or not parts:  # many chat templates open the answer in the prompt
                parts.append(text[opened or 0 : tag.start()])
            opened = None
        else:
            opened = tag.end()
    if opened is not None:  # cut off, or the model ended there
        parts.append(text[opened:])
    return "\n".join(parts) if parts else text
