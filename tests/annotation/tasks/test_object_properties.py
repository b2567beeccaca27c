"""Properties of single objects whose class, colour, motion, direction and size are known by construction."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import box

from rsvqa.annotation.checks import check_question
from rsvqa.annotation.facts import Box, Gsd, Outline, TileFacts, TileObject
from rsvqa.annotation.questions import Question
from rsvqa.annotation.tasks.geometry import LongAxis
from rsvqa.annotation.tasks.object_properties import (
    MotionState,
    axis_of,
    colour_key,
    motion_states,
    told_by_box,
)
from rsvqa.annotation.wording.phrases import load_phrases
from tests.annotation.make_facts import (
    CLASSES,
    ask,
    make_area,
    make_facts,
    make_object,
    paint,
    rectangle,
    right_texts,
    square,
    wrong_texts,
)

RED, WHITE = (220, 20, 60), (255, 255, 255)


def car(**more: str | bool | float) -> TileObject:
    """Return a car of 20 x 20 px at (100, 100)."""
    return make_object("c", "car", square(100, 100), **more)  # type: ignore[arg-type]


def painted(size: int, *patches: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Return a mid-grey tile with coloured boxes."""
    pixels = np.full((size, size, 3), 128, dtype=np.uint8)
    for bounds, colour in patches:
        paint(pixels, box(*bounds), colour)
    return pixels


def only(task: str, facts: TileFacts, **more: object) -> Question:
    """Return the single question of a task."""
    questions, reasons = ask(task, facts, **more)
    assert len(questions) == 1, reasons
    return questions[0]


def reasons_of(task: str, facts: TileFacts, **more: object) -> list[str]:
    """Return why a task asks nothing."""
    questions, reasons = ask(task, facts, **more)
    assert questions == []
    return reasons


TASKS = ["object_classification", "object_colour", "object_motion_state", "object_orientation", "object_size"]


@pytest.mark.parametrize("task", TASKS)
def test_a_tile_without_objects_says_so(task: str) -> None:
    facts = make_facts(gsd_m=Gsd(1, 1))
    assert reasons_of(task, facts) == ["no object of known motion" if task == "object_motion_state" else "no objects"]


@pytest.mark.parametrize("task", ["object_classification", "object_colour", "object_motion_state"])
def test_the_box_stands_in_the_text_and_in_the_question(task: str) -> None:
    found = make_object("c", "car", rectangle(100, 100, 10, 30), moving=True)
    question = only(task, make_facts(objects=[found], gsd_m=Gsd(1, 1)))
    assert question.box == (95, 85, 105, 115)
    assert "Image resolution: 1000 x 1000. Bounding box: [95, 85, 105, 115]." in question.text
    assert question.evidence.feature_ids == ("c",)
    assert question.evidence.geometry is found.geometry
    assert check_question(question, width=1000, height=1000, is_chosen=False) == ()


@pytest.mark.parametrize("task", ["object_orientation", "object_size"])
def test_direction_and_size_are_asked_of_a_point_since_a_box_would_tell_them(task: str) -> None:
    found = make_object("c", "car", rectangle(100, 100, 10, 30))
    # another bar right beside it, whose box holds the first one: a point tells them apart
    other = make_object("o", "ship", rectangle(108, 100, 4, 30))
    question = only(task, make_facts(objects=[found, other], gsd_m=Gsd(0.5, 0.5)))
    assert question.box is None
    assert "Image resolution: 1000 x 1000. Point: [100, 100]." in question.text
    assert "bounding box" not in question.text
    assert question.evidence.feature_ids == ("c",)
    assert question.evidence.geometry is found.geometry
    assert check_question(question, width=1000, height=1000) == ()


# --- class ----------------------------------------------------------------------------------------------------------


def test_the_class_is_the_label_and_the_others_are_other_object_classes() -> None:
    question = only("object_classification", make_facts(objects=[car()]))
    assert right_texts(question) == ["car"]
    # all that it is not: which of them are shown is chosen over the whole data set
    assert set(wrong_texts(question)) == {"bicycle", "ship", "plane", "house", "silo"}
    assert "car" not in question.text


def test_a_box_label_is_enough_for_the_class_but_not_for_colour_direction_and_size() -> None:
    facts = make_facts(objects=[make_object("c", "car", square(100, 100), outline=Outline.BOX)], gsd_m=Gsd(1, 1))
    assert right_texts(only("object_classification", facts)) == ["car"]
    for task in ("object_colour", "object_orientation", "object_size"):
        assert reasons_of(task, facts) == ["the label does not follow the object closely enough"]


def test_a_small_class_table_has_too_few_wrong_options() -> None:
    classes = {name: CLASSES[name] for name in ("car", "ship", "house", "forest", "water")}
    facts = make_facts(objects=[car()], classes=classes)
    assert reasons_of("object_classification", facts) == ["too few classes for wrong options"]


# --- colour ---------------------------------------------------------------------------------------------------------


def test_the_colour_is_that_of_the_pixels() -> None:
    question = only("object_colour", make_facts(objects=[car()]), pixels=painted(1000, ((90, 90, 110, 110), RED)))
    assert right_texts(question) == ["red"]
    assert question.evidence.rule == "dominant_lab_colour"
    assert question.evidence.values == {"class": "car", "colour": "red", "share": 1.0, "pixels": 400}
    assert len(wrong_texts(question)) >= 9  # of twelve; a colour that red might be called is none of them


def test_strata_tell_what_a_reader_of_the_box_knows() -> None:
    # log2 of the box's area in pixels, in halves and in whole steps, and twice log2 of its sides' ratio:
    # 32 x 32 is 2^10, 16 x 64 has the same area and a ratio of 4, upright or lying
    assert told_by_box(Box(0, 0, 32, 32)) == ("size 5", "size 10, shape 0")
    assert told_by_box(Box(0, 0, 16, 64)) == ("size 5", "size 10, shape 4")
    assert told_by_box(Box(9, 9, 73, 25)) == ("size 5", "size 10, shape 4")
    found = make_object("c", "car", square(100, 100, side=32))
    facts = make_facts(objects=[found])
    assert only("object_classification", facts).strata == ("class", "size 5", "size 10, shape 0")
    assert only("object_colour", facts).strata == ("colour", "car", "size 5", "size 10, shape 0")


@pytest.mark.parametrize("seed", range(15))
def test_a_colour_that_part_of_the_object_has_is_no_wrong_option(seed: int) -> None:
    # 18 of 20 columns are red, 2 white
    pixels = painted(1000, ((90, 90, 108, 110), RED), ((108, 90, 110, 110), WHITE))
    question = only("object_colour", make_facts(objects=[car()]), pixels=pixels, seed=seed)
    assert right_texts(question) == ["red"]
    assert question.evidence.values["share"] == 0.9
    assert "white" not in wrong_texts(question)


def test_two_halves_have_no_dominant_colour() -> None:
    pixels = painted(1000, ((90, 90, 100, 110), RED), ((100, 90, 110, 110), WHITE))
    assert reasons_of("object_colour", make_facts(objects=[car()]), pixels=pixels) == ["no dominant colour"]


def test_a_labelled_colour_must_agree_with_the_pixels() -> None:
    pixels = painted(1000, ((90, 90, 110, 110), RED))
    agreed = only("object_colour", make_facts(objects=[car(colour="Red")]), pixels=pixels)
    assert (right_texts(agreed), agreed.evidence.rule) == (["red"], "labelled_colour_seen")
    for colour in ("blue", "vermilion"):
        assert reasons_of("object_colour", make_facts(objects=[car(colour=colour)]), pixels=pixels) == [
            "the labelled colour and the pixels disagree"
        ]


@pytest.mark.parametrize(("label", "key"), [("Gray", "grey"), (" blue ", "blue"), ("vermilion", "vermilion")])
def test_labelled_colours_are_spelt_as_the_wording_spells_them(label: str, key: str) -> None:
    assert colour_key(label) == key


# --- motion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moving", [True, False])
def test_yes_and_no_are_even_and_follow_the_label_in_both_wordings(moving: bool) -> None:
    facts = make_facts(objects=[car(moving=moving)])
    answers: Counter[str] = Counter()
    for seed in range(120):
        question = only("object_motion_state", facts, seed=seed)
        asks_still = question.strata[0] == "still"
        assert right_texts(question) == ["Yes" if moving is not asks_still else "No"]
        answers.update(right_texts(question))
    # 60 expected, standard deviation 5.5
    assert 40 < answers["Yes"] < 80


def test_a_vehicle_in_a_car_park_stands_and_others_are_unknown() -> None:
    lot = make_area("lot", "car_park", box(50, 50, 300, 300))
    inside, across = make_object("in", "car", square(100, 100)), make_object("x", "car", square(300, 200))
    ship, cut = make_object("s", "ship", square(200, 200)), make_object("h", "car", square(150, 200), visible=0.9)
    facts = make_facts(objects=[inside, across, ship, cut], areas=[lot])
    assert motion_states(facts) == {"in": MotionState(False, "lot")}
    question = only("object_motion_state", facts)
    assert question.evidence.rule == "inside_parking_area"
    assert question.evidence.values == {"class": "car", "moving": False, "parking_area": "lot"}


def test_the_label_wins_over_the_car_park_and_an_uncertain_one_says_nothing() -> None:
    moving = make_object("m", "car", square(100, 100), moving=True)
    other = make_object("o", "car", square(200, 200))
    lot = make_area("lot", "car_park", box(50, 50, 300, 300), certain=False)
    assert motion_states(make_facts(objects=[moving, other], areas=[lot])) == {"m": MotionState(True)}


def test_moving_and_standing_objects_take_turns() -> None:
    parked = [make_object(f"p{i}", "car", square(50 + 40 * i, 100), moving=False) for i in range(10)]
    facts = make_facts(objects=[*parked, make_object("m", "car", square(500, 500), moving=True)])
    questions, _ = ask("object_motion_state", facts, limit=2)
    assert [question.evidence.values["moving"] for question in questions] == [True, False]


# --- direction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "north", "axis"),
    [
        (0, 0, "north–south"),
        (45, 0, "northeast–southwest"),
        (90, 0, "east–west"),
        (135, 0, "northwest–southeast"),
        (172, 0, "north–south"),  # 8 degrees from north
        (90, 45, "northeast–southwest"),  # north points to the upper right, so right is half way to the east
        (0, 350, "north–south"),
        (0, 90, "east–west"),
    ],
)
def test_the_long_axis_is_named_from_true_north(turn: float, north: float, axis: str) -> None:
    bar = make_object("b", "ship", rectangle(500, 500, 20, 80, clockwise_deg=turn))
    question = only("object_orientation", make_facts(objects=[bar], north_deg=north, gsd_m=Gsd(1, 1)))
    assert right_texts(question) == [axis]
    assert len({*wrong_texts(question), axis}) == 4


@pytest.mark.parametrize(
    ("north", "said"),
    [
        (0.0, "North is at the top of the image."),
        (355.0, "North is at the top of the image."),
        (30.4, "North is 30° clockwise from the top of the image."),
        (-90.0, "North is 270° clockwise from the top of the image."),
        (None, "Directions are those of the image."),
    ],
)
def test_the_question_says_where_north_is(north: float | None, said: str) -> None:
    bar = make_object("b", "ship", rectangle(500, 500, 20, 80, clockwise_deg=0 if north != 30.4 else 30.4))
    assert said in only("object_orientation", make_facts(objects=[bar], north_deg=north)).text


@pytest.mark.parametrize(
    ("turn", "axis"),
    [
        (0, "vertical"),
        (45, "diagonal, from lower left to upper right"),
        (90, "horizontal"),
        (135, "diagonal, from upper left to lower right"),
    ],
)
def test_without_north_the_axes_are_those_of_the_image(turn: float, axis: str) -> None:
    bar = make_object("b", "ship", rectangle(500, 500, 20, 80, clockwise_deg=turn))
    assert right_texts(only("object_orientation", make_facts(objects=[bar]))) == [axis]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (make_object("b", "ship", rectangle(500, 500, 20, 29)), "the object is nearly square"),
        (make_object("b", "ship", rectangle(500, 500, 20, 80), visible=0.9), "the object is cut"),
        # 22.5 is the border of two sectors; 15 is 7.5 degrees away from it
        (
            make_object("b", "ship", rectangle(500, 500, 20, 80, clockwise_deg=15)),
            "the direction is near a sector border",
        ),
        (
            make_object("b", "ship", rectangle(500, 500, 20, 80, clockwise_deg=30)),
            "the direction is near a sector border",
        ),
        # an L of two bars of 10 px fills 10 * 80 + 10 * 40 of 80 * 50 px: 30 %
        (
            make_object("b", "ship", box(0, 0, 10, 80).union(box(10, 0, 50, 10))),  # type: ignore[arg-type]
            "the outline has no clear direction",
        ),
    ],
)
def test_a_doubtful_direction_is_not_asked(found: TileObject, reason: str) -> None:
    assert reasons_of("object_orientation", make_facts(objects=[found])) == [reason]


def test_a_direction_that_looks_different_on_the_ground_is_not_asked() -> None:
    # 45 degrees in the image; rows three times as far apart as columns: atan2(1, 3) = 18.4 degrees, near a border.
    bar = make_object("b", "ship", rectangle(500, 500, 10, 100, clockwise_deg=45))
    stretched = make_facts(objects=[bar], gsd_m=Gsd(1, 3), north_deg=0)
    assert reasons_of("object_orientation", stretched) == ["the direction is near a sector border"]
    # six times: 9.5 degrees, north-south on the ground and diagonal to the eye
    stretched = make_facts(objects=[bar], gsd_m=Gsd(1, 6), north_deg=0)
    assert reasons_of("object_orientation", stretched) == ["the direction looks different on the ground"]


@given(st.floats(0, 179.99), st.floats(0, 360))
def test_an_axis_is_named_by_the_nearest_multiple_of_45_degrees(angle: float, north: float) -> None:
    named = axis_of(LongAxis(2, 1, angle), north)
    # the twice-angle vector makes an axis a direction: 0 is n_s, 90 ne_sw, 180 e_w, 270 nw_se
    turned = np.exp(2j * np.radians(angle - north))
    closeness = [float((turned * np.exp(-1j * np.pi / 2 * k)).real) for k in range(4)]
    best = int(np.argmax(closeness))
    off = np.degrees(np.arccos(min(closeness[best], 1.0))) / 2
    assert named == (("n_s", "ne_sw", "e_w", "nw_se")[best] if off < 14.5 else None) or abs(off - 14.5) < 1e-5


# --- size -----------------------------------------------------------------------------------------------------------


def metres(text: str) -> float:
    """Return the number of an option such as "4.5 m"."""
    return float(text.split()[0])


@pytest.mark.parametrize(
    ("gsd", "turn", "size"),
    [
        (Gsd(0.3, 0.3), 0, "24 m"),  # 80 px of 0.3 m
        (Gsd(0.3, 0.3), 33, "24 m"),
        (Gsd(0.3, 0.6), 0, "48 m"),  # along the rows' axis
        (Gsd(0.3, 0.6), 90, "24 m"),
        (Gsd(0.05, 0.05), 0, "4 m"),
    ],
)
def test_the_length_is_in_metres_on_the_ground(gsd: Gsd, turn: float, size: str) -> None:
    bar = make_object("b", "ship", rectangle(500, 500, 20, 80, clockwise_deg=turn), outline=Outline.ORIENTED_BOX)
    question = only("object_size", make_facts(objects=[bar], gsd_m=gsd))
    assert right_texts(question) == [size]
    assert question.evidence.rule == "longer_side_of_smallest_rectangle"
    assert all(abs(metres(wrong) - metres(size)) >= 0.25 * metres(size) for wrong in wrong_texts(question))


def test_polygons_are_also_asked_for_their_area() -> None:
    # 50 x 30 px of 0.3 m x 0.6 m: 1500 * 0.18 = 270 m²; the longer side on the ground is 30 * 0.6 = 18 m
    house = make_object("h", "house", rectangle(500, 500, 50, 30))
    facts = make_facts(objects=[house], gsd_m=Gsd(0.3, 0.6))
    rights = {right_texts(only("object_size", facts, seed=seed))[0] for seed in range(20)}
    assert rights == {"270 m²", "18 m"}


@pytest.mark.parametrize(
    ("gsd", "said"),
    [(Gsd(0.3, 0.3), {"0.3 m"}), (Gsd(0.2984, 0.298), {"0.298 m"}), (Gsd(0.3, 0.6), {"0.3 m", "0.6 m"})],
)
def test_a_question_about_metres_says_what_a_pixel_measures(gsd: Gsd, said: set[str]) -> None:
    facts = make_facts(objects=[car()], gsd_m=gsd)
    for seed in range(8):
        told = only("object_size", facts, seed=seed).text.split(" Point: ")[1]
        assert set(re.findall(r"[\d.]+ m\b", told)) == said


def test_a_question_of_size_does_not_say_what_the_object_is() -> None:
    # whoever reads "car" knows about how long it is
    for seed in range(8):
        assert (
            "car" not in only("object_size", make_facts(objects=[car()], gsd_m=Gsd(0.3, 0.3)), seed=seed).text.split()
        )


def test_sizes_need_metres_and_whole_objects() -> None:
    assert reasons_of("object_size", make_facts(objects=[car()])) == ["no GSD"]
    cut = make_facts(objects=[car(visible=0.9)], gsd_m=Gsd(1, 1))
    assert reasons_of("object_size", cut) == ["the object is cut"]


# --- all ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=8)
@given(seed=st.integers(0, 10_000))
def test_questions_pass_the_checks_and_depend_on_the_seed_alone(task: str, seed: int) -> None:
    turns = range(0, 180, 15)
    objects = [
        make_object(
            f"o{turn}", ("car", "ship", "house")[turn % 3], rectangle(60 + 4.8 * turn, 500, 15, 40, clockwise_deg=turn)
        )
        for turn in turns
    ]
    facts = make_facts(objects=objects, gsd_m=Gsd(0.5, 0.5), north_deg=77.0)
    first, second = (ask(task, facts, seed=seed, limit=3) for _ in range(2))
    assert first == second
    assert all(check_question(question, width=1000, height=1000, is_chosen=False) == () for question in first[0])
    assert len(first[0]) <= 3


@pytest.mark.parametrize(
    "key",
    [
        "object_classification.question",
        "object_colour.question",
        "object_motion_state.moving",
        "object_motion_state.still",
        "object_orientation.question",
        "object_size.length",
        "object_size.area",
    ],
)
def test_there_are_ten_wordings_and_every_one_is_used(key: str) -> None:
    wordings = load_phrases().alternatives(key)
    assert len(set(wordings)) >= 10
    found = make_object("c", "car", rectangle(100, 100, 10, 30), moving=True)
    facts = make_facts(objects=[found], gsd_m=Gsd(1, 1), size=400)
    asked = [only(key.split(".")[0], facts, seed=seed) for seed in range(250)]
    box, point = "Bounding box: [95, 85, 105, 115].", "Point: [100, 100]."
    where = f"Image resolution: 400 x 400. {box if asked[0].box else point}"
    north = "Directions are those of the image."
    expected = {wording.format(name="car", where=where, north=north) for wording in wordings}
    assert all(any(question.text.startswith(text) for question in asked) for text in expected)
