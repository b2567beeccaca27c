"""Other benchmarks in miniature: what is asked, in which words, and what is right."""

from __future__ import annotations

import base64
import dataclasses
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.errors import BenchmarkDataError
from rsvqa.benchmark.files.datasets import Dataset, open_dataset
from rsvqa.benchmark.protocol import task_file
from rsvqa.benchmark.protocol.task_file import find_task_file, task_file_names
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark import lmms_eval
from tests.benchmark.make_benchmarks import FIVE, MAKERS, mme_original, vrsbench, write_list
from tests.benchmark.make_xlrs import jpeg


@pytest.fixture(autouse=True)
def _without_wordnet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_file, "check_wordnet", lambda: None)


def opened(name: str, tmp_path: Path) -> Dataset:
    return open_dataset(BenchSettings(model="random", data=f"{name}:{MAKERS[name](tmp_path)}"))


def test_every_file_that_comes_along_has_a_miniature_copy() -> None:
    assert sorted(MAKERS) == task_file_names()


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_miniature_copies_are_read_whole(name: str, tmp_path: Path) -> None:
    dataset = opened(name, tmp_path)
    assert dataset.record.left_out == {}
    assert all(image.read() for sample in dataset.samples for image in sample.images)
    assert dataset.record.rules is not None
    assert dataset.record.rules.name == name


def test_lrs_vqa_is_asked_as_it_stands_and_grouped_by_source(tmp_path: Path) -> None:
    samples = opened("lrs-vqa", tmp_path).samples
    assert [sample.task for sample in samples] == [
        "lrs-vqa/FAIR/count",
        "lrs-vqa/FAIR/object color",
        "lrs-vqa/GLH-Bridge/count",
    ]
    assert samples[0].prompt == "What is thing 0?\n Answer the question using a single word or phrase."
    assert (samples[0].form, samples[0].references, samples[0].max_new_tokens) == (AnswerForm.WORDS, ("3",), 128)
    assert samples[0].images[0].read()[:4] == b"II*\0"  # the TIFF


def test_mme_realworld_asks_one_domain_of_it(tmp_path: Path) -> None:
    dataset = opened("mme-realworld-rs", tmp_path)
    assert (dataset.record.num_rows, dataset.record.num_other_tasks) == (3, 1)
    assert [(sample.l2_category, sample.category, sample.answer) for sample in dataset.samples] == [
        ("Perception", "position", "A"),
        ("Perception", "color", "B"),
    ]
    assert dataset.samples[0].options == tuple(FIVE)


@pytest.mark.parametrize(
    ("name", "function"),
    [("mme-realworld-rs", "mme_realworld_doc_to_text"), ("mme-realworld-cn-rs", "mme_realworld_cn_doc_to_text")],
)
def test_prompts_of_mme_realworld_are_lmms_evals(
    name: str, function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = lmms_eval.load("tasks/mme_realworld/utils.py", monkeypatch)
    row = {"question": "What color is thing 0?", "multi-choice options": FIVE}
    assert opened(name, tmp_path).samples[0].prompt == getattr(module, function)(row)


def test_the_original_mme_realworld_gives_the_same_prompt_and_group(tmp_path: Path) -> None:
    data = f"mme-realworld-rs:{mme_original(tmp_path)}"
    (sample,) = open_dataset(BenchSettings(model="random", data=data)).samples
    assert (sample.sample_id, sample.answer) == ("perception/remote_sensing/color/0558", "E")
    assert (sample.l2_category, sample.category) == ("Perception", "color")
    assert sample.prompt == (
        "What color is it? The choices are listed below:\n(A) red\n(B) green\n(C) blue\n(D) grey\n"
        "(E) The image does not feature the color.\nSelect the best answer to the above multiple-choice question based "
        "on the image. Respond with only the letter (A, B, C, D, or E) of the correct option.\nThe best answer is: "
    )


def test_lrs_gro_asks_its_test_split_and_keeps_braces_of_the_prompt(tmp_path: Path) -> None:
    dataset = opened("lrs-gro", tmp_path)
    assert [sample.task for sample in dataset.samples] == ["lrs-gro/global", "lrs-gro/object"]
    prompt = dataset.samples[0].prompt or ""
    assert prompt.startswith("Is thing 0 domed?\nYou are an intelligent remote sensing analyst.\n")
    assert '[{"bbox_2d": [x_min,y_min,x_max,y_max], "label": "<short description>"}]' in prompt
    assert prompt.endswith("make a best guess—never say uncertain.\n")


def test_geobench_asks_every_wording(tmp_path: Path) -> None:
    samples = opened("geobench-vlm", tmp_path).samples
    assert [sample.sample_id for sample in samples] == ["qa.json entry 0/0", "qa.json entry 0/1"]
    assert samples[0].options == ("(A) harbour", "(B) airport", "(C) farm", "(D) forest", "(E) town")
    assert (samples[1].prompt or "").endswith(
        "multiple-choice question given. Scenes.\nWhich scene is this?\nOptions: A. harbour B. airport C. farm "
        "D. forest E. town"
    )


def test_vrsbench_has_words_boxes_and_captions(tmp_path: Path) -> None:
    vqa = opened("vrsbench-vqa", tmp_path).samples
    assert [(sample.sample_id, sample.category) for sample in vqa] == [("0", "object quantity"), ("Q6", "scene type")]
    boxes = opened("vrsbench-referring", tmp_path).samples
    assert [(sample.category, sample.prompt) for sample in boxes] == [("unique", None), ("not unique", None)]
    assert boxes[0].box == pytest.approx((0.1, 0.2, 0.3, 0.6))
    (caption,) = opened("vrsbench-caption", tmp_path).samples
    assert (caption.form, caption.references) == (AnswerForm.TEXT, ("A harbour.",))


def test_omniearth_asks_by_the_kind_of_question(tmp_path: Path) -> None:
    dataset = opened("omniearth", tmp_path)
    one, several, thought, same_index = dataset.samples
    assert dataset.record.num_other_tasks == 2  # of grounding
    assert same_index.question == one.question
    assert same_index.sample_id != one.sample_id
    assert [one.form, several.form, thought.form] == [
        AnswerForm.ONE_OF,
        AnswerForm.SEVERAL_OF,
        AnswerForm.ONE_OF,
    ]
    assert "(A, B, C, D, E, F), with multiple choices separated by spaces.\nThe answer is:" in (several.prompt or "")
    assert (one.prompt or "").startswith("Which cloud is it 0?The choices are listed below:\n(A) kind A\n")
    assert (one.l2_category, one.category) == ("Atmosphere", "Weather/Perception/Clouds")
    assert thought.answer == "F"


def test_omniearths_grounding_is_asked_in_its_own_words(tmp_path: Path) -> None:
    dataset = opened("omniearth-grounding", tmp_path)
    first, _ = dataset.samples
    assert dataset.record.num_other_tasks == 4
    assert (first.form, first.prompt, first.box) == (AnswerForm.BOX, "the largest cloud", (0.25, 0.5, 0.75, 1.0))


def test_vlmevalkits_omniearth_takes_options_with_their_instruction(tmp_path: Path) -> None:
    (sample,) = opened("omniearth-vlmevalkit", tmp_path).samples
    assert sample.options == ("(A) fog", "(B) rain", "(C) Unable to decide")
    assert (sample.prompt or "").endswith(
        "\n\nSelect the best answer for the multiple-choice question.\nThe answer is:"
    )


# --- files of one's own, and what is wrong with them ---

OWN = """
name = "mine"
title = "Mine"
source = "here"
licence = "none"
files = ["mine.json"]
[columns]
image = "picture"
groups = ["kind"]
[[ask]]
form = "words"
prompt = "{question} {hint}"
[official]
match = [{ scorer = "numeric", relative = 0.1 }]
"""
ROW = {"picture": "a.jpg", "question": "How many?", "hint": "Count.", "answer": 10, "kind": "count"}


def write_own(folder: Path, text: str = OWN, rows: list[dict[str, object]] | None = None) -> str:
    vrsbench(folder)
    (folder / "a.jpg").write_bytes((folder / "Images_val/P0003_0002.png").read_bytes())
    write_list(folder / "mine.json", [ROW] if rows is None else rows)
    (folder / "own.toml").write_text(text)
    return str(folder / "own.toml")


def test_a_file_of_ones_own_needs_no_code(tmp_path: Path) -> None:
    dataset = open_dataset(BenchSettings(model="random", data=write_own(tmp_path)))
    (sample,) = dataset.samples
    assert (sample.prompt, sample.references, sample.task) == ("How many? Count.", ("10",), "mine/count")
    assert (dataset.record.name, dataset.record.layout) == ("mine", "task file")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hint": None}, "no hint for the prompt"),
        ({"question": " "}, "no question"),
        ({"answer": None}, "no right answer"),
        ({"kind": ""}, "no kind"),
        ({"picture": "b.jpg"}, "image cannot be read"),
        ({"picture": None}, "no image"),
    ],
)
def test_rows_that_cannot_be_asked_are_counted(change: dict[str, object], reason: str, tmp_path: Path) -> None:
    data = write_own(tmp_path, rows=[ROW, ROW | change])
    record = open_dataset(BenchSettings(model="random", data=data)).record
    assert (record.left_out, record.num_samples) == ({reason: 1}, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (OWN.replace("match", "macth"), r"official\.macth: no such key"),
        (OWN.replace("numeric", "exactly"), "official.match.0"),
        (OWN.replace('form = "words"', 'form = "choice"'), r'forms choice and choices need "columns\.options"'),
        (OWN.replace("prompt = ", "# "), "only boxes have a wording of ours"),
        (OWN + "[", "is not TOML"),
    ],
)
def test_a_file_with_a_fault_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkDataError, match=message):
        find_task_file(write_own(tmp_path, text))


def test_data_that_are_not_there_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkDataError, match="download and unpack them, and name the folder: lrs-vqa:FOLDER"):
        find_task_file("lrs-vqa")
    with pytest.raises(BenchmarkDataError, match=r"holds none of LRS_VQA_merged\.jsonl"):
        open_dataset(BenchSettings(model="random", data=f"lrs-vqa:{tmp_path}"))
    data = write_own(tmp_path, rows=[])
    with pytest.raises(BenchmarkDataError, match="holds no rows"):
        open_dataset(BenchSettings(model="random", data=data))
    (tmp_path / "mine.json").write_text(json.dumps({"not": "a list"}))
    with pytest.raises(BenchmarkDataError, match="expected a list of questions, found dict"):
        open_dataset(BenchSettings(model="random", data=data))


@pytest.mark.parametrize("setting", [{"tasks": ("OCL",)}, {"circular": True}, {"split": "test"}])
def test_settings_of_xlrs_bench_are_refused(setting: dict[str, Any], tmp_path: Path) -> None:
    settings = BenchSettings(model="random", data=write_own(tmp_path), **setting)
    with pytest.raises(BenchmarkDataError, match="mine"):
        open_dataset(settings)


def test_a_missing_wordnet_is_told_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise BenchmarkDataError("no WordNet")

    monkeypatch.setattr(task_file, "check_wordnet", missing)
    with pytest.raises(BenchmarkDataError, match="no WordNet"):
        opened("lrs-vqa", tmp_path)
    assert dataclasses.is_dataclass(opened("vrsbench-vqa", tmp_path))  # needs none


# --- tables ---

OWN = """
name = "mine"
title = "Mine"
source = "here"
licence = "none"
files = ["*.tsv", "*.csv"]
columns.id = "index"
columns.options = "options"
columns.groups = ["category"]
ask = [{form = "choice", prompt = "{question}\\n{listed_options}"}]
official.missing = "there is no published scorer"
"""


def test_a_table_of_vlmevalkit_has_options_in_columns_and_may_refer_to_images(tmp_path: Path) -> None:
    image = base64.b64encode(jpeg(0)).decode()
    (tmp_path / "mine.toml").write_text(OWN, "utf-8")
    (tmp_path / "a.tsv").write_text(
        "index\timage\tquestion\tA\tB\tC\tanswer\tcategory\n"
        f"1\t{image}\tWhich?\tred\tblue\t\tB\tcolour\n"
        "2\t1\tHow many?\t1\t2\t3\tc\tcount\n"
        "3\tno\n"
        "5\t1\tWhich?\tred\t\tblue\tC\tcolour\n",
        "utf-8",
    )
    cells = f"4,\"['{image}']\",Q?,\"['x', 'y']\",A,z\n"
    (tmp_path / "b.csv").write_text("index,image,question,options,answer,category\n" + cells, "utf-8")
    data = open_dataset(BenchSettings(model="random", data=str(tmp_path / "mine.toml")))
    assert [(sample.sample_id, sample.options, sample.answer) for sample in data.samples] == [
        ("1", ("(A) red", "(B) blue"), "B"),
        ("2", ("(A) 1", "(B) 2", "(C) 3"), "C"),
        ("4", ("(A) x", "(B) y"), "A"),
    ]
    assert all(image.read() == jpeg(0) for sample in data.samples for image in sample.images)
    assert data.record.left_out == {"row cannot be read": 2}
    assert data.samples[0].prompt == "Which?\nred\nblue"


QUESTION = {"key": "1", "image": base64.b64encode(jpeg(0)).decode(), "question": "Q?", "answer": "B", "kind": "k"}
CHOICE = """
name = "mine"
title = "Mine"
source = "here"
licence = "none"
files = ["q.jsonl"]
columns = {id = "key", options = "options", groups = ["kind"]}
ask = [{form = "choice", prompt = "{question}\\n{listed_options}"}]
official.extract = "xlrs"
"""


def open_own(folder: Path, text: str, ending: str = "toml") -> Dataset:
    (folder / "q.jsonl").write_text(json.dumps(QUESTION | {"options": ["red", "blue"]}) + "\n", "utf-8")
    (folder / f"mine.{ending}").write_text(text, "utf-8")
    return open_dataset(BenchSettings(model="random", data=str(folder / f"mine.{ending}")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("licence", "license", r"mine\.toml: license: no such key$"),
        ("extract", "extractor", r"official\.extractor: no such key$"),
        (
            '"key"',
            '"kee"',
            r"mine: columns\.id: no row has a column kee; there are answer, key, kind, ",
        ),
        ('["kind"]', '["kond"]', r"columns\.groups: no row has a column kond; there are "),
        ("{question}", "{qestion}", r"ask\.0\.prompt: no row has a column qestion; there are "),
        (
            "{question}\\n{listed_options}",
            "What?",
            "expected a column in braces",
        ),
        ("{form", '{when = {zz = "1"}, form', r"ask\.0\.when: no row has a column zz; there are "),
        (', options = "options"', "", r'the forms choice and choices need "columns\.options"$'),
        ("q.jsonl", "/etc/passwd", r"files: '/etc/passwd' is no pattern of files below the folder of the data$"),
        ("q.jsonl", "../q.jsonl", r"files: '\.\./q\.jsonl' is no pattern of files below"),
        ("q.jsonl", "", r"files: '' is no pattern of files below"),
        ('["kind"]', '[{column = "kind", pattern = "("}]', r"pattern: '\(' is no regular expression: "),
        ('extract = "xlrs"', 'extract = "xlrs"\nofficial.answer = "abc"', r"official\.answer: 'abc' has no group"),
        (
            'extract = "xlrs"',
            'extract = "xlrs"\nofficial.missing = "x"',
            'where a score is "missing", nothing else',
        ),
        ("ask =", 'only = [{cell = "kind", value = "z"}]\nask =', r"none of 1 rows meets `only` of mine$"),
    ],
)
def test_mistakes_in_a_task_file_are_told_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert len(open_own(tmp_path, CHOICE).samples) == 1
    assert CHOICE.count(old) == 1
    with pytest.raises(BenchmarkDataError, match=message) as caught:
        open_own(tmp_path, CHOICE.replace(old, new))
    assert "\n" not in str(caught.value)


def test_a_task_file_may_be_yaml(tmp_path: Path) -> None:
    text = yaml.safe_dump(tomllib.loads(CHOICE))
    assert open_own(tmp_path, text, "yaml").samples[0].prompt == "Q?\nred\nblue"
    with pytest.raises(BenchmarkDataError, match="the task file is not YAML: "):
        open_own(tmp_path, "name: [", "yml")
    with pytest.raises(BenchmarkDataError, match=r"mine\.yml: the file: Input should be a valid dictionary"):
        open_own(tmp_path, "- name", "yml")
