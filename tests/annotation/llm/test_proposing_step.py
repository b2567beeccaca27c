"""Proposals about tiles of which nothing is known: what is asked, what is left out, and that people decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Box
from rsvqa.annotation.llm.crops import CropSettings, CropWindow
from rsvqa.annotation.llm.items import QuestionItem, ShownImage
from rsvqa.annotation.llm.outcomes import QuestionState
from rsvqa.annotation.llm.passes import ChatResult
from rsvqa.annotation.llm.proposing_step import (
    LAND_USES,
    PROPOSED,
    PROPOSED_REASON,
    FoundObject,
    ProposedObjects,
    ProposedTile,
    ProposePass,
    SeenLandUse,
    SeenObject,
    SeenThing,
    bare_tile,
    merged,
    overlapping_crops,
)
from rsvqa.annotation.llm.requests import ChatFailure
from tests.annotation.llm.make_items import reply

WORK = ProposePass(model="m", crops=CropSettings(overview_px=200, part_px=100, crop_px=160))
LEFT, RIGHT = CropWindow(0, 0, 160, 160), CropWindow(120, 0, 280, 160)


def tile() -> QuestionItem:
    return bare_tile("a:0_0", ShownImage("a", lambda: np.zeros((160, 280, 3), np.uint8)), width=280, height=160)


def seen(**changes: Any) -> ProposedTile:
    values: dict[str, Any] = {
        "overall": "A harbour with ships.",
        "parts": [f"The part number {name} shows water." for name in "abcdefghi"],
        "inference": "It is a harbour.",
        "things": [SeenThing(singular="ship", plural="ships", picture=3)],
        "land_use": [SeenLandUse(type="water", picture=1)],
    }
    return ProposedTile(**(values | changes))


def found(name: str, box: tuple[float, ...], description: str = "") -> SeenObject:
    return SeenObject(name=name, description=description or f"the {name} at the quay", box=list(box))


def settle(*replies: ProposedTile | Sequence[SeenObject] | None) -> dict[str, QuestionItem]:
    results: list[ChatResult] = []
    for answer in replies:
        if answer is None:
            results.append(ChatFailure("k", "refused", "no"))
        else:
            results.append(reply(answer if isinstance(answer, ProposedTile) else ProposedObjects(objects=[*answer])))
    return {item.question_id: item for item in WORK.settle(tile(), results)}


def test_crops_cover_the_tile_and_share_a_quarter_with_the_next() -> None:
    assert overlapping_crops(280, 160, 160) == (LEFT, RIGHT)
    assert overlapping_crops(100, 90, 160) == (CropWindow(0, 0, 100, 90),)
    # 3/4 of 160 is 120: 0, 120, and the last one at 300 - 160
    assert [crop.x_min for crop in overlapping_crops(300, 160, 160)] == [0, 120, 140]


def test_the_tile_is_asked_about_once_and_each_crop_once() -> None:
    requests = WORK.requests(tile())
    assert [request.key for request in requests] == [f"a:0_0/propose/{number}" for number in range(3)]
    # the whole and its nine parts, then a crop each
    assert [len(request.pictures) for request in requests] == [10, 1, 1]
    assert "count" in requests[0].text


def test_what_is_seen_becomes_questions_that_wait_for_a_person() -> None:
    # in the right crop of 160 px: 250 thousandths are 40 px; the crop begins at x = 120
    items = settle(seen(), [], [found("ship", (250, 250, 500, 500))])
    assert list(items) == ["a:0_0/OLUC1", "a:0_0/DIC1", "a:0_0/FVG1", "a:0_0/OP1"]
    for item in items.values():
        assert (item.source, item.outcome.state, item.evidence.rule) == ("llm", QuestionState.REVIEW, PROPOSED)
        assert item.outcome.reasons == (PROPOSED_REASON,)
        assert item.outcome.notes[0].model == "m"
        assert check_question(item.as_question(), width=280, height=160) == ()
    ship = items["a:0_0/FVG1"]
    assert ship.box == Box(160, 40, 200, 80)
    assert ship.answer == "[0.5714, 0.25, 0.7143, 0.5]"  # 160 / 280, 40 / 160, 200 / 280, 80 / 160
    assert "the ship at the quay" in ship.text
    assert ship.evidence.values["crop"] == [120, 0, 280, 160]
    presence = items["a:0_0/OP1"]
    assert (presence.options, presence.answer) == (("Yes", "No"), "A")
    assert presence.evidence.values["crop"] == [93, 0, 187, 53]  # picture 3 is the top centre part
    assert items["a:0_0/DIC1"].answer.split("\n")[0] == "A harbour with ships."


def test_wrong_choices_of_land_use_are_marked_as_doubts() -> None:
    land_use = settle(seen(), [], [])["a:0_0/OLUC1"]
    assert land_use.right_options == ("water",)
    wrong = [name for name in land_use.options if name != "water"]
    assert set(wrong) < set(LAND_USES)
    assert land_use.outcome.doubts == tuple(f"{name}: covers less than 2 % of the image" for name in wrong)


@pytest.mark.parametrize(
    "thing",
    [
        SeenThing(singular="two ships", plural="ships", picture=1),
        SeenThing(singular="no ship", plural="no ships", picture=1),
        SeenThing(singular="ship", plural="ships", picture=11),
    ],
)
def test_counts_absence_and_things_in_no_picture_are_not_proposed(thing: SeenThing) -> None:
    assert "a:0_0/OP1" not in settle(seen(things=[thing]), [], [])


def test_sentences_that_count_or_deny_are_taken_out_of_a_description() -> None:
    overall = "A harbour. There are 12 ships. Two of them are white. No cars are to be seen."
    caption = settle(seen(overall=overall), [], [])["a:0_0/DIC1"].answer
    assert caption.split("\n")[0] == "A harbour."
    assert "a:0_0/DIC1" not in settle(seen(inference="There are 12 ships."), [], [])


def test_an_object_that_is_counted_or_outside_its_crop_is_left_out() -> None:
    items = settle(
        None,
        [found("ship", (0, 0, 1200, 500)), found("ship", (300, 300, 500, 500), "one of three ships at the quay")],
        [],
    )
    assert items == {}


def test_nothing_seen_is_nothing_proposed_but_the_description() -> None:
    assert list(settle(seen(things=[], land_use=[]), [], [])) == ["a:0_0/DIC1"]
    assert settle(None, None, None) == {}


# --- boxes over crops -------------------------------------------------------------------------------------------------


def piece(box: Box, crop: CropWindow, *, is_cut: bool, name: str = "ship", description: str = "it") -> FoundObject:
    return FoundObject(name, description, box, crop, is_cut)


def test_an_object_in_two_crops_has_the_box_of_the_one_that_shows_it_whole() -> None:
    cut = piece(Box(120, 20, 150, 60), RIGHT, is_cut=True)
    whole = piece(Box(110, 20, 150, 60), LEFT, is_cut=False)
    assert merged([cut, whole]) == [whole]


def test_an_object_that_both_crops_cut_gets_the_box_around_its_pieces() -> None:
    pieces = [piece(Box(60, 20, 160, 60), LEFT, is_cut=True), piece(Box(120, 22, 200, 60), RIGHT, is_cut=True)]
    # they share 40 x 38 of 80 x 38 px
    assert [one.box for one in merged(pieces)] == [Box(60, 20, 200, 60)]


def test_one_piece_of_an_object_is_left_out() -> None:
    assert merged([piece(Box(100, 20, 160, 60), LEFT, is_cut=True)]) == []


def test_objects_apart_stay_two_and_one_description_for_both_fits_neither() -> None:
    one = piece(Box(0, 0, 20, 20), LEFT, is_cut=False, description="the white ship")
    other = piece(Box(50, 0, 70, 20), LEFT, is_cut=False, description="the red ship")
    assert merged([one, other]) == [one, other]
    assert merged([one, other._replace(description="The white ship")]) == []


def test_one_object_under_two_names_is_one() -> None:
    one = piece(Box(0, 0, 20, 20), LEFT, is_cut=False)
    assert merged([one, one._replace(name="boat", box=Box(1, 0, 20, 20))]) == [one]
    assert merged([]) == []
