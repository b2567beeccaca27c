"""What a stored reply is worth."""

from __future__ import annotations

import pytest

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.errors import RunError
from rsvqa.benchmark.files.stored_replies import StoredImage
from rsvqa.benchmark.protocol.rotation import rotate
from rsvqa.benchmark.scores.score import AnswerOutcome, Score
from rsvqa.benchmark.scores.scoring import circular_outcome, score_reply
from tests.benchmark.make_samples import make_reply

OPTIONS = ("(A) Blue", "(B) Red", "(C) White", "(D) Black")


def choice(reply: str | None, answer: str = "B") -> Score:
    return score_reply(make_reply(reply=reply, options=OPTIONS, answer=answer))


@pytest.mark.parametrize(
    ("reply", "official", "strict"),
    [
        ("B", AnswerOutcome.RIGHT, AnswerOutcome.RIGHT),
        ("A", AnswerOutcome.WRONG, AnswerOutcome.WRONG),
        ("B. Red", AnswerOutcome.WRONG, AnswerOutcome.RIGHT),  # official reads B, D, E
        ("b", AnswerOutcome.NO_ANSWER, AnswerOutcome.RIGHT),
        ("Red", AnswerOutcome.NO_ANSWER, AnswerOutcome.RIGHT),
        ("I cannot say.", AnswerOutcome.NO_ANSWER, AnswerOutcome.NO_ANSWER),
        ("A car", AnswerOutcome.WRONG, AnswerOutcome.NO_ANSWER),  # official reads A and C
        ("", AnswerOutcome.NO_ANSWER, AnswerOutcome.NO_ANSWER),
        (None, AnswerOutcome.NOT_SCORED, AnswerOutcome.NOT_SCORED),
    ],
)
def test_both_scores_of_a_choice(reply: str | None, official: AnswerOutcome, strict: AnswerOutcome) -> None:
    score = choice(reply)
    assert (score.official, score.strict) == (official, strict)


def test_letters_are_kept_with_the_score() -> None:
    score = choice("B. Red")
    assert (score.official_letters, score.strict_letters) == ("BDE", "B")


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("A, C", AnswerOutcome.RIGHT),
        ("C A", AnswerOutcome.RIGHT),
        ("A", AnswerOutcome.WRONG),
        ("A, B, C", AnswerOutcome.WRONG),
    ],
)
def test_several_letters_are_right_as_a_set(reply: str, outcome: AnswerOutcome) -> None:
    score = score_reply(make_reply("overall_land_use", reply, options=OPTIONS, answer="AC"))
    assert (score.official, score.strict) == (outcome, outcome)


def test_a_text_has_no_outcome() -> None:
    reply = make_reply("detailed_captioning", "A forest.", references=("A wood.",))
    assert score_reply(reply) == Score(reply=reply)


# --- boxes: image 1000 × 500, right box (0.1, 0.2, 0.3, 0.4) ---


@pytest.mark.parametrize(
    ("text", "iou", "outcome"),
    [
        ("[100, 100, 300, 200]", 1, AnswerOutcome.RIGHT),
        ("[100, 100, 300, 150]", 0.5, AnswerOutcome.RIGHT),  # half of it: exactly 0.5
        ("[100, 100, 300, 149]", 0.49, AnswerOutcome.WRONG),
        ("[500, 300, 600, 400]", 0, AnswerOutcome.WRONG),
        ("[0.1, 0.2, 0.3, 0.4]", 0, AnswerOutcome.WRONG),  # a speck: pixels were declared
        ("no box", None, AnswerOutcome.NO_ANSWER),
        (None, None, AnswerOutcome.NOT_SCORED),
    ],
)
def test_a_box_is_right_from_half_overlap_on(text: str | None, iou: float | None, outcome: AnswerOutcome) -> None:
    score = score_reply(make_reply("fine_grained_grounding", text, box=(0.1, 0.2, 0.3, 0.4)))
    assert (score.official, score.strict) == (None, outcome)
    assert score.iou == (None if iou is None else pytest.approx(iou, abs=1e-5))


def test_units_that_the_question_states_go_before_those_of_the_adapter() -> None:
    question = "Where is it? Give [x1, y1, x2, y2] from 0 to 1."
    reply = make_reply(
        "fine_grained_grounding",
        "[0.1, 0.2, 0.3, 0.4]",
        box=(0.1, 0.2, 0.3, 0.4),
        box_convention="0-1000",
        question=question,
    )
    assert score_reply(reply).iou == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "offset_x", "offset_y"),
    [("[10, 10, 30, 20]", None, None), ("[15, 12, 35, 22]", 5, 2)],  # tenths of 100, 100, 300, 200, then moved
)
def test_view_pixels_are_read_through_the_stored_view(
    text: str, offset_x: float | None, offset_y: float | None
) -> None:
    image = StoredImage(
        sha256="0",
        width=1000,
        height=500,
        view_width=110,
        view_height=60,
        scale_x=0.1,
        scale_y=0.1,
        offset_x=offset_x,
        offset_y=offset_y,
    )
    right = (0.1, 0.2, 0.3, 0.4)
    reply = make_reply("fine_grained_grounding", text, box=right, box_convention="view_pixels", images=(image,))
    assert score_reply(reply).iou == pytest.approx(1)


def test_view_pixels_without_the_view_are_a_broken_run() -> None:
    reply = make_reply("fine_grained_grounding", "[1, 2, 3, 4]", box=(0.1, 0.2, 0.3, 0.4), box_convention="view_pixels")
    with pytest.raises(RunError, match="s1: boxes are in pixels of the view"):
        score_reply(reply)


def test_a_box_question_without_its_box_is_a_broken_run() -> None:
    with pytest.raises(RunError, match="s1: a box question is stored without its right box"):
        score_reply(make_reply("fine_grained_grounding", "[1, 2, 3, 4]"))


def test_pixels_of_an_image_that_was_not_shown_are_invalid() -> None:
    for text, convention, outcome in [
        ("[100, 100, 300, 200]", "pixels", AnswerOutcome.NO_ANSWER),
        ("[1, 2, 3, 4]", "view_pixels", AnswerOutcome.NO_ANSWER),
        ("[100, 200, 300, 400]", "0-1000", AnswerOutcome.RIGHT),
    ]:
        reply = make_reply(
            "fine_grained_grounding", text, box=(0.1, 0.2, 0.3, 0.4), box_convention=convention, images=()
        )
        assert score_reply(reply).strict is outcome


# --- rotated options ---


def rotations(*replies: str | None) -> list[Score]:
    scores = []
    for rotation, reply in enumerate(replies):
        options, answer = rotate(OPTIONS, "B", rotation)
        scores.append(score_reply(make_reply(reply=reply, options=options, answer=answer, rotation=rotation)))
    return scores


@pytest.mark.parametrize(
    ("replies", "outcome"),
    [
        (("B", "C", "D", "A"), AnswerOutcome.RIGHT),  # the letter goes round with the option
        (("B", "B", "B", "B"), AnswerOutcome.WRONG),  # a model that likes a letter
        (("B", "C", "D", "B"), AnswerOutcome.WRONG),
        (("B", "C", "D", "who knows"), AnswerOutcome.WRONG),
        (("who", "who", "who", "who"), AnswerOutcome.NO_ANSWER),
        (("B", "C", "D", None), AnswerOutcome.NOT_SCORED),
        (("B", "C", "D"), AnswerOutcome.NOT_SCORED),  # one is missing
        ((), AnswerOutcome.NOT_SCORED),
    ],
)
def test_right_only_when_right_in_all_rotations(replies: tuple[str | None, ...], outcome: AnswerOutcome) -> None:
    assert circular_outcome(rotations(*replies)) is outcome
    assert circular_outcome(rotations(*replies)[::-1], official=True) is outcome


def test_every_choice_form_is_scored() -> None:
    for form in (AnswerForm.ONE_OF, AnswerForm.YES_NO, AnswerForm.SEVERAL_OF):
        reply = make_reply(reply="A", form=form, options=("(A) Yes", "(B) No"), answer="A")
        assert score_reply(reply).strict is AnswerOutcome.RIGHT
