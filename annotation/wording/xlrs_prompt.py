"""The published prompt of XLRS-Bench for multiple-choice questions: what training writes and the benchmark asks."""

from __future__ import annotations

from collections.abc import Sequence

# The published prompt of XLRS-Bench (arXiv 2503.23771), as its harness in lmms-eval writes it: there is no separator
# between the question and "The choices", and none after "spaces."
_CHOICES = "{question}The choices are listed below:\n{options}\n\n"
_ONE_ANSWER = (
    "Select the best answer for the multiple-choice question based on the image. Only respond with the letter "
    "corresponding to the correct answer (A, B, C, D).\nThe answer is:"
)
_SEVERAL_ANSWERS = (
    "Select the best answer(s) for the multiple-choice question based on the image. There may be more than one correct "
    "option. Only respond with the letter(s) corresponding to the correct answer(s) (A, B, C, D), with multiple "
    "choices separated by spaces.The answer(s) is(are):"
)


def xlrs_prompt(question: str, options: Sequence[str], *, several: bool) -> str:
    """Return a multiple-choice question as XLRS-Bench puts it to a model; `several` when more than one may be right."""
    choices = _CHOICES.format(question=question, options="\n".join(options))
    return choices + (_SEVERAL_ANSWERS if several else _ONE_ANSWER)
