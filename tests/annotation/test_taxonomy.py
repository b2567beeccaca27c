"""The taxonomy holds the 22 tasks, and the benchmark's category strings byte for byte."""

from __future__ import annotations

from rsvqa.annotation.taxonomy import TASKS, AnswerForm

# Short name → `category` in the data files of XLRS-Bench; for captioning and grounding, which have files of their own
# without a VQA category, the names of the paper's sub-tasks.
XLRS_BENCH = {
    "OC": "Counting/Overall counting",
    "RC": "Counting/Regional counting",
    "OLUC": "Land use classification/Overall Land use classification",
    "RLUC": "Land use classification/Regional Land use classification",
    "OSR": "Object spatial relationship/Object spatial relationship",
    "OCC": "Object properties/Object classification",
    "OCL": "Object properties/Object color",
    "OMS": "Object properties/Object motion state",
    "RP": "Complex reasoning/Route planning",
    "AD": "Complex reasoning/Anomaly Detection and Interpretation",
    "ECR": "Complex reasoning/Environmental condition reasoning",
    "CCR": "Counting/Counting with complex reasoning",
    "RCCD": "Counting/Counting with changing detection",
}
XLRS_BENCH_SUB_TASKS = {
    "DIC": "Detailed Image Captioning",
    "FVG": "Fine-grained Visual Grounding",
    "CVG": "Condition-based Visual Grounding",
}


def test_there_are_22_tasks_of_which_six_are_our_own() -> None:
    assert len(TASKS) == 22
    assert [task.name for task in TASKS.values() if task.is_own] == [
        "regional_captioning",
        "land_use_change",
        "object_presence",
        "object_orientation",
        "object_size",
        "object_distance",
    ]


def test_categories_are_those_of_the_benchmark() -> None:
    theirs = {task.short: task.category for task in TASKS.values() if not task.is_own}
    assert theirs.keys() == XLRS_BENCH.keys() | XLRS_BENCH_SUB_TASKS.keys()
    for short, category in XLRS_BENCH.items():
        assert theirs[short] == category
    for short, name in XLRS_BENCH_SUB_TASKS.items():
        assert theirs[short].split("/")[1] == name


def test_names_short_names_and_categories_are_unique() -> None:
    assert list(TASKS) == [task.name for task in TASKS.values()]
    assert len({task.short for task in TASKS.values()}) == 22
    assert len({task.category for task in TASKS.values()}) == 22


def test_l2_category_is_the_part_before_the_slash() -> None:
    assert TASKS["route_planning"].l2_category == "Complex reasoning"
    assert TASKS["overall_land_use"].l2_category == "Land use classification"


def test_regions_dates_and_forms_of_the_tasks() -> None:
    assert {task.short for task in TASKS.values() if task.is_regional} == {"RC", "RLUC", "RCCD", "RIC", "LUC"}
    assert {task.short for task in TASKS.values() if task.num_dates == 2} == {"RCCD", "LUC"}
    forms = {task.short: set(task.forms) for task in TASKS.values()}
    assert forms["OLUC"] == {AnswerForm.SEVERAL_OF}
    assert forms["AD"] == {AnswerForm.ONE_OF, AnswerForm.YES_NO}
    assert {short for short, form in forms.items() if form == {AnswerForm.BOX}} == {"FVG", "CVG"}
    assert {short for short, form in forms.items() if form == {AnswerForm.TEXT}} == {"DIC", "RIC"}
    assert {short for short, form in forms.items() if form == {AnswerForm.YES_NO}} == {"OMS", "OP"}


def test_levels_follow_the_benchmark() -> None:
    reasoning = {task.short for task in TASKS.values() if task.level_1 == "Reasoning"}
    assert reasoning == {"RP", "AD", "ECR", "CCR", "RCCD", "CVG", "LUC"}


def test_pages_spell_as_the_words_around_them_and_data_as_the_benchmark_does() -> None:
    assert (TASKS["object_colour"].title, TASKS["object_colour"].level_3) == ("Object colour", "Object color")
    assert [info.name for info in TASKS.values() if info.title != info.level_3] == ["object_colour"]
