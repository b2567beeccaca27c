"""Blind answers, questions that give themselves away, and boxes found in a picture."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.llm.crops import CropSettings, CropWindow
from rsvqa.annotation.llm.items import QuestionItem
from rsvqa.annotation.llm.outcomes import QuestionState
from rsvqa.annotation.llm.passes import ChatResult
from rsvqa.annotation.llm.requests import ChatFailure
from rsvqa.annotation.llm.rule_check import RuleCheckPass
from rsvqa.annotation.llm.verifying_step import (
    CONTRADICTED,
    DISAGREES,
    DRAFTED,
    GIVEN_AWAY,
    NOT_AN_OPTION,
    WRONG_BOX,
    AnswerPass,
    Choice,
    FoundBox,
    Guess,
    GuessPass,
    Objections,
    box_frame,
    in_tile,
)
from rsvqa.annotation.taxonomy import AnswerForm
from tests.annotation.llm.make_items import colour_item, grounding_item, make_item, region_item, reply

ANSWER = AnswerPass(model="m", crops=CropSettings())
GUESS, AGAIN = GuessPass("m"), GuessPass("m", is_second=True)


def settle(work: GuessPass | AnswerPass, item: QuestionItem, replies: Sequence[ChatResult]) -> QuestionItem:
    (settled,) = work.settle(item, replies)
    return settled


# --- answers ---


@pytest.mark.parametrize(
    ("letters", "reasons", "agreement"),
    [
        ("C", (), 1.0),
        ("(C)", (), 1.0),
        ("A", (DISAGREES,), 0.0),
        ("Z", (NOT_AN_OPTION,), None),
        ("", (NOT_AN_OPTION,), None),
        ("Choice C", (NOT_AN_OPTION,), None),
        ("A, C", (DISAGREES,), 0.0),
    ],
)
def test_a_blind_answer_settles_or_sends_to_review(
    letters: str, reasons: tuple[str, ...], agreement: float | None
) -> None:
    item = settle(ANSWER, make_item(), [reply(Choice(letters=letters))])
    assert (item.outcome.reasons, item.outcome.agreement) == (reasons, agreement)
    assert item.outcome.state is (QuestionState.REVIEW if reasons else QuestionState.ACCEPTED)
    assert item.answer == "C"  # never changed


def test_several_letters_agree_in_any_order() -> None:
    asked = make_item(form=AnswerForm.SEVERAL_OF, answer="AC")
    assert settle(ANSWER, asked, [reply(Choice(letters="C, A"))]).outcome.agreement == 1.0
    assert settle(ANSWER, asked, [reply(Choice(letters="C"))]).outcome.agreement == 0.0


def test_no_answer_sends_to_review() -> None:
    item = settle(ANSWER, make_item(), [ChatFailure("k", "unreachable", "down")])
    assert item.outcome.reasons == ("no answer from the endpoint",)


def test_what_was_not_answered_is_settled_by_a_later_answer_and_a_disagreement_is_not() -> None:
    unanswered = settle(ANSWER, make_item(), [ChatFailure("k", "unreachable", "late")])
    assert settle(ANSWER, unanswered, [reply(Choice(letters="C"))]).outcome.state is QuestionState.ACCEPTED
    denied = settle(ANSWER, make_item(), [reply(Choice(letters="A"))])
    assert settle(ANSWER, denied, [reply(Choice(letters="C"))]).outcome.reasons == (DISAGREES,)


def test_agreement_settles_a_draft_and_disagreement_does_not() -> None:
    drafted = make_item().for_review(DRAFTED)
    assert settle(ANSWER, drafted, [reply(Choice(letters="C"))]).outcome.state is QuestionState.ACCEPTED
    assert settle(ANSWER, drafted, [reply(Choice(letters="A"))]).outcome.reasons == (DRAFTED, DISAGREES)


def test_objections_to_a_text_send_it_to_review() -> None:
    assert settle(ANSWER, region_item(), [reply(Objections(contradicted=["3 cars"]))]).outcome.reasons == (
        CONTRADICTED,
    )
    assert settle(ANSWER, region_item(), [reply(Objections(contradicted=[]))]).outcome.agreement == 1.0


def test_a_box_is_read_in_thousandths_of_its_picture() -> None:
    # the window is 200 px wide and 100 high: 250 / 1000 of 200 = 50, and so on
    frame = CropWindow(100, 50, 300, 150)
    assert in_tile([250, 500, 750, 1000], frame) == Box(150, 100, 250, 150)
    assert in_tile([750, 500, 250, 1000], frame) is None
    assert in_tile([0, 0, 1001, 10], frame) is None


def test_a_box_found_blind_is_compared_by_overlap() -> None:
    asked = grounding_item()
    assert asked.box is not None
    frame = box_frame(asked, CropSettings())
    width, height = frame.size
    right = [
        1000 * (asked.box.x_min - frame.x_min) / width,
        1000 * (asked.box.y_min - frame.y_min) / height,
        1000 * (asked.box.x_max - frame.x_min) / width,
        1000 * (asked.box.y_max - frame.y_min) / height,
    ]
    assert settle(ANSWER, asked, [reply(FoundBox(box=right))]).outcome.agreement == 1.0
    assert settle(ANSWER, asked, [reply(FoundBox(box=[0, 0, 20, 20]))]).outcome.reasons == (DISAGREES,)
    assert settle(ANSWER, asked, [reply(FoundBox(box=[0, 0, 99999, 20]))]).outcome.reasons == (WRONG_BOX,)


# --- without the image ---


def guesses(first: str, second: str, *, certain: bool = True) -> list[ChatResult]:
    return [reply(Guess(letters=letters, certain=certain)) for letters in (first, second)]


def test_the_second_order_is_the_reverse() -> None:
    first, second = GUESS.requests(make_item())
    assert "(A) 1\n(B) 2\n(C) 3\n(D) 5" in first.text
    assert "(A) 5\n(B) 3\n(C) 2\n(D) 1" in second.text
    assert first.pictures == second.pictures == ()


@pytest.mark.parametrize(
    "replies", [guesses("C", "C"), guesses("A", "B"), guesses("C", "B", certain=False)], ids=["once", "other", "unsure"]
)
def test_luck_is_not_held_against_a_question(replies: list[ChatResult]) -> None:
    # in reverse order the right choice is B
    item = settle(GUESS, colour_item(answer="C"), replies)
    assert item.outcome.state is QuestionState.ACCEPTED
    assert "needs its image" in item.outcome.checks


def test_words_that_tell_the_answer_are_dropped() -> None:
    item = settle(GUESS, colour_item(answer="C"), guesses("C", "B"))
    assert (item.outcome.state, item.outcome.reasons) == (QuestionState.REJECTED, (GIVEN_AWAY,))


def test_numbers_get_new_wrong_choices_and_a_second_look() -> None:
    item = settle(GUESS, make_item(options=("1", "900", "3", "777")), guesses("C", "B"))
    assert item.options[2] == "3"
    assert len(set(item.options)) == 4
    assert set(item.options) != {"1", "900", "3", "777"}
    assert max(map(int, item.options)) <= 7  # four steps of one above 3
    assert item.outcome.reasons == (GIVEN_AWAY,)
    assert len(AGAIN.requests(item)) == 2
    assert settle(AGAIN, item, guesses("A", "A")).outcome.state is QuestionState.ACCEPTED
    assert settle(AGAIN, item, guesses("C", "B")).outcome.state is QuestionState.REJECTED
    unanswered: list[ChatResult] = [ChatFailure("k", "refused", "no")] * 2
    assert settle(AGAIN, item, unanswered).outcome.reasons == (GIVEN_AWAY,)


def test_a_model_s_wording_that_tells_makes_room_for_the_rule_s() -> None:
    asked = make_item().worded(text="Are there 3 cars?")
    item = settle(GUESS, asked, guesses("C", "B"))
    assert (item.text, item.source) == ("How many cars are there in the image?", "rule")
    assert item.outcome.reasons == (GIVEN_AWAY,)


def test_what_was_not_given_away_is_not_asked_again() -> None:
    assert not AGAIN.requests(make_item())
    assert not GUESS.requests(grounding_item())


# --- rules ---


def test_the_rule_check_names_what_is_wrong() -> None:
    (wrong,) = RuleCheckPass().settle(make_item(answer="A"), ())
    assert wrong.outcome.reasons == ("key differs from its evidence",)
    (sound,) = RuleCheckPass().settle(make_item(), ())
    assert (sound.outcome.state, sound.outcome.checks) == (QuestionState.ACCEPTED, ("rule check",))
    (caption,) = RuleCheckPass().settle(region_item(answer="In circle 2 there are 4 cars."), ())
    assert caption.outcome.reasons == ("claims contradict the facts",)


def test_what_is_rejected_stays_so() -> None:
    assert make_item().rejected("x").for_review("y") == make_item().rejected("x")


def test_what_was_answered_is_kept_beside_the_key() -> None:
    item = make_item()
    wrong = settle(ANSWER, item, [reply(Choice(letters="a"))])
    assert wrong.outcome.notes[-1].answer == f"(A) {item.options[0]}"
    several = make_item(form=AnswerForm.SEVERAL_OF, answer="AC")
    both = settle(ANSWER, several, [reply(Choice(letters="C, A"))]).outcome.notes[-1].answer
    assert both == f"(A) {several.options[0]}; (C) {several.options[2]}"
    assert settle(ANSWER, item, [reply(Choice(letters="none of them"))]).outcome.notes[-1].answer == "none of them"
    assert settle(ANSWER, item, [ChatFailure("k", "unreachable", "down")]).outcome.notes[-1].answer == ""
    objected = settle(ANSWER, make_item(form=AnswerForm.TEXT), [reply(Objections(contradicted=["One.", "Two."]))])
    assert objected.outcome.notes[-1].answer == "One.; Two."


def test_a_box_that_was_found_is_kept_in_pixels_of_the_tile() -> None:
    item = grounding_item()
    frame = box_frame(item, ANSWER.crops)
    found = settle(ANSWER, item, [reply(FoundBox(box=[0, 0, 500, 1000]))]).outcome.notes[-1].answer
    assert found == str([frame.x_min, frame.y_min, round((frame.x_min + frame.x_max) / 2), frame.y_max])
