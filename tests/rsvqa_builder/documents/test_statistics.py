"""Statistics against counts made by hand."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from rsvqa.annotation.taxonomy import TASKS, AnswerForm
from rsvqa.rsvqa_builder.documents.statistics import dataset_statistics
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.rsvqa_builder.make_records import make_record, make_tile, square_footprint

TRAIN = make_tile("a:0_0", gsd=0.5, footprint=square_footprint(), crs="EPSG:32631", date="2020-01-02")
TEST = make_tile("b:0_0", split="test", scene="b", window=Window(0, 0, 30, 20), images={"tile": 5, "tile_marked": 7})
EMPTY = make_tile("a:200_0", window=Window(200, 0, 200, 100), gsd=0.25)
LETTERS = ("(A) red", "(B) blue", "(C) grey", "(D) white")


def test_totals() -> None:
    found = dataset_statistics(
        [make_record(TRAIN), make_record(TEST), make_record(TRAIN, number=2)], [TRAIN, TEST, EMPTY]
    )
    assert (found.num_questions, found.num_tiles, found.num_tiles_without_questions) == (3, 3, 1)
    assert (found.num_images, found.image_bytes) == (1 + 2 + 1, 10 + 12 + 10)
    assert found.num_pixels == 200 * 100 + 30 * 20 + 200 * 100
    assert found.gsd == (0.25, 0.5)
    assert found.tile_sizes == {"200 x 100": 2, "30 x 20": 1}
    assert (found.splits["train"].num_questions, found.splits["train"].num_tiles) == (2, 2)
    assert (found.splits["test"].num_images, found.splits["test"].image_bytes) == (2, 12)
    assert (found.scenes["a"].num_questions, found.scenes["a"].num_tiles, found.scenes["a"].date) == (
        2,
        2,
        "2020-01-02",
    )
    assert (found.languages, found.sources, found.reviews) == ({"en": 3}, {"rule": 3}, {"none": 3})
    assert found.num_tasks == 1


def test_ground_area_is_ellipsoidal() -> None:
    found = dataset_statistics([], [TRAIN, TEST])
    # at the equator a degree is 111.3195 km along it (2 pi 6378.137 / 360) and 110.5743 km across it
    # (the meridian's radius of curvature there, a (1 - e^2) = 6335.439 km): 1.113195 x 1.105743 km
    assert found.area_km2 == pytest.approx(1.113195 * 1.105743, rel=1e-5)
    assert found.num_georeferenced == 1
    assert dataset_statistics([], [TEST]).area_km2 is None


def test_letters_answers_and_baselines_of_one_task() -> None:
    answers = "AABC"  # right: red, red, blue, grey
    records = [
        make_record(TRAIN, "object_colour", number, options=LETTERS, answer=letter)
        for number, letter in enumerate(answers)
    ]
    # the same word behind another letter: red is right three times of five, A only twice
    records.append(make_record(TEST, "object_colour", 9, options=("(A) blue", "(B) red"), answer="B"))
    task = dataset_statistics(records, [TRAIN, TEST]).tasks["object_colour"]
    assert task.letters == {"A": 2, "B": 2, "C": 1}
    assert task.answers == {"red": 3, "blue": 1, "grey": 1}
    assert (task.num_answers, task.num_questions) == (3, 5)
    assert task.majority_letter == pytest.approx(2 / 5)
    assert task.majority_answer == pytest.approx(3 / 5)
    assert task.chance == pytest.approx((4 * 1 / 4 + 1 / 2) / 5)
    assert task.num_options == {2: 1, 4: 4}
    assert task.splits == {"train": 4, "test": 1}


def test_several_answers_count_each_letter_and_guess_over_subsets() -> None:
    records = [
        make_record(TRAIN, "overall_land_use", 1, options=LETTERS, answer="AC"),
        make_record(TRAIN, "overall_land_use", 2, options=LETTERS, answer="C"),
    ]
    task = dataset_statistics(records, [TRAIN]).tasks["overall_land_use"]
    assert task.letters == {"A": 1, "C": 2}
    assert task.answers == {"grey": 1, "grey; red": 1}
    assert task.chance == pytest.approx(1 / 15)  # 2^4 - 1 non-empty subsets
    assert task.forms == {"several_of": 2}


@pytest.mark.parametrize("name", ["detailed_captioning", "fine_grained_grounding"])
def test_tasks_without_options_have_no_baselines(name: str) -> None:
    task = dataset_statistics([make_record(TRAIN, name)], [TRAIN]).tasks[name]
    assert (task.num_questions, task.num_options) == (1, {0: 1})
    assert (task.chance, task.majority_letter, task.majority_answer, task.num_answers) == (None, None, None, None)


def test_openings_ignore_case_and_what_follows() -> None:
    questions = ["How many cars are here?", "how many cars do you see?", "Count the cars."]
    records = [make_record(TRAIN, number=n, question=text) for n, text in enumerate(questions)]
    assert dataset_statistics(records, [TRAIN]).tasks["overall_counting"].num_openings == 2


@pytest.mark.parametrize(
    ("task", "options", "form"),
    [
        ("anomaly_detection", LETTERS, AnswerForm.ONE_OF),
        ("anomaly_detection", LETTERS[:2], AnswerForm.YES_NO),
        ("overall_land_use", LETTERS, AnswerForm.SEVERAL_OF),
        ("object_colour", LETTERS[:2], AnswerForm.ONE_OF),
        ("condition_based_grounding", (), AnswerForm.BOX),
        ("regional_captioning", (), AnswerForm.TEXT),
    ],
)
def test_answer_form(task: str, options: tuple[str, ...], form: AnswerForm) -> None:
    assert make_record(TRAIN, task, options=options).form is form


def test_right_options_keep_brackets_of_their_own() -> None:
    record = make_record(TRAIN, options=("(A) lot (B)", "(B) (A) lot"), answer="AB")
    assert record.right_options == ("lot (B)", "(A) lot")


def test_all_tasks_are_listed_in_the_order_of_the_taxonomy() -> None:
    found = dataset_statistics([], [])
    assert list(found.tasks) == list(TASKS)
    assert (found.num_tasks, found.gsd, found.area_km2) == (0, None, None)


def test_json_does_not_depend_on_the_order_of_records() -> None:
    records = [make_record(TRAIN, name, 1) for name in TASKS] + [make_record(TEST, name, 2) for name in TASKS]
    expected = dataset_statistics(records, [TRAIN, TEST]).to_json()
    random.Random(3).shuffle(records)
    assert dataset_statistics(records, [TRAIN, TEST]).to_json() == expected


def test_json_rounds_and_names_its_schema() -> None:
    records = [make_record(TRAIN, number=n, answer=letter) for n, letter in enumerate("AAB")]
    content = json.loads(dataset_statistics(records, [replace(TRAIN)]).to_json())
    assert content["schema_version"] == 1
    assert content["tasks"]["overall_counting"]["majority_letter"] == 0.666667
    assert content["tasks"]["overall_counting"]["num_options"] == {"4": 3}
