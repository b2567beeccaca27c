r"""Published evaluations that ask a language model: what they decide by rule, what they ask, and what counts as right.

VRSBench (github.com/lx709/VRSBench at d38cee1, eval_fianl/eval_vqa_gpt.ipynb) compares in lower case. Its faults are
kept: "no" stands in "unknown", so that is right where "no" is. What it does not decide, gpt-4o-mini does, at OpenAI's
default temperature and with at most 100 tokens; ours is asked at 0. Anything but "1" is not right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rsvqa.benchmark.protocol.judge_prompt import Verdict

_VRSBENCH = (
    "Question: {question}\nGround Truth Answer: {right}\nPredicted Answer: {reply}\nDoes the predicted answer match "
    "the ground truth? Answer 1 for match and 0 for not match. Use semantic meaning not exact match. Synonyms are also "
    "treated as a match, e.g., football and soccer, playground and ground track field, building and rooftop, pond and "
    "swimming pool. Do not explain the reason.\n"
)
VRSBENCH_DIGEST = hashlib.sha256(_VRSBENCH.encode()).hexdigest()[:16]
"""Tells this wording from others."""
_EXACT = frozenset(("yes", "no", *map(str, range(100))))


def vrsbench_decision(reply: str, references: Sequence[str]) -> Verdict | None:
    """Return what VRSBench's rules say of a reply; None where its judge is asked."""
    said, right = reply.lower(), references[0].lower()
    if right in said:
        return "right"
    return "wrong" if right in _EXACT else None


def vrsbench_prompt(reply: str, *, question: str, references: Sequence[str]) -> str:
    """Return what VRSBench asks its judge, byte for byte."""
    return _VRSBENCH.format(question=question, right=references[0].lower(), reply=reply.lower())


def read_vrsbench_verdict(text: str) -> Verdict:
    """Return the verdict that the judge's reply is: what is not the digit 1 is not right."""
    return "right" if text == "1" else "wrong"
