"""The part of a reply that is meant as the answer: after the reasoning, inside answer tags where there are any."""

from __future__ import annotations

import re

_REASONING = r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|reflection)"
_OPENING = re.compile(rf"<{_REASONING}>|◁think▷", re.IGNORECASE)
_CLOSING = re.compile(rf"</{_REASONING}>|◁/think▷", re.IGNORECASE)
_ANSWER = re.compile(r"<(/?)(?:answer|final_answer|final|conclusion)>|<\|(begin|end)_of_box\|>", re.IGNORECASE)


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
        if tag[1] == "/" or tag[2] == "end":
            parts += [] if opened is None else [text[opened : tag.start()]]
            opened = None
        else:
            opened = tag.end()
    if opened is not None:  # cut off, or the model ended there
        parts.append(text[opened:])
    return "\n".join(parts) if parts else text
