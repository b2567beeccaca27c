"""Models that see nothing, against answers worked out by hand."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rsvqa.annotation.facts import Box
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.adapters.baselines import FakeModel, MajorityModel, RandomModel
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.models import Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.samples import Sample
from tests.benchmark.make_prompts import make_sample


def ask(model: Any, *samples: Sample) -> list[Reply | Unanswered]:
    prompts = tuple(
        Prompt(key=sample.sample_id, sample=sample, text=sample.question, max_new_tokens=8) for sample in samples
    )
    return list(model.reply([PromptGroup((), prompts[:1]), PromptGroup((), prompts[1:])]))


def texts(model: Any, *samples: Sample) -> list[str]:
    replies = ask(model, *samples)
    assert [reply.key for reply in replies] == [sample.sample_id for sample in samples]
    return [reply.text if isinstance(reply, Reply) else f"- {reply.reason}" for reply in replies]


def test_chance_is_even_and_the_same_each_time_in_any_order() -> None:
    samples = [make_sample(f"s{number}") for number in range(4000)]
    first = texts(RandomModel(7), *samples)
    assert texts(RandomModel(7), *reversed(samples)) == first[::-1]
    assert texts(RandomModel(8), *samples) != first
    counts = Counter(first)
    # 4,000 draws of 4: 1,000 each, standard deviation √(4000 · ¼ · ¾) = 27
    assert set(counts) == set("ABCD")
    assert all(abs(count - 1000) < 5 * 27 for count in counts.values())


def test_chance_of_several_letters_is_even_over_sets() -> None:
    samples = [make_sample(f"s{number}", form=AnswerForm.SEVERAL_OF) for number in range(3000)]
    counts = Counter(texts(RandomModel(0), *samples))
    # 15 sets that are not empty: 200 each, standard deviation √(3000 · 1/15 · 14/15) = 13.7
    assert len(counts) == 15
    assert {"A", "A B C D", "B D"} <= counts.keys()
    assert all(abs(count - 200) < 5 * 13.7 for count in counts.values())


def test_chance_knows_how_many_options_there_are() -> None:
    samples = [make_sample(f"s{number}", options=("(A) yes", "(B) no")) for number in range(50)]
    assert set(texts(RandomModel(0), *samples)) == {"A", "B"}


def test_a_random_box_is_one_and_a_text_is_empty() -> None:
    box, text = texts(
        RandomModel(0),
        make_sample("b", task="fine_grained_grounding", form=AnswerForm.BOX, options=(), answer=""),
        make_sample("t", task="detailed_captioning", form=AnswerForm.TEXT, options=(), answer=""),
    )
    x_min, y_min, x_max, y_max = json.loads(box)
    assert 0 <= x_min < x_max <= 1
    assert 0 <= y_min < y_max <= 1
    assert text == ""


def test_majority_gives_the_most_frequent_answer_of_the_task() -> None:
    counting = [make_sample(f"c{n}", task="overall_counting", answer=answer) for n, answer in enumerate("DDA")]
    colours = [make_sample(f"o{n}", answer=answer) for n, answer in enumerate("CBBC")]
    uses = [
        make_sample(f"u{n}", task="overall_land_use", form=AnswerForm.SEVERAL_OF, answer=answer)
        for n, answer in enumerate(["ACD", "ACD", "A"])
    ]
    model = MajorityModel([*counting, *colours, *uses])
    # B and C are as frequent: the first in the alphabet
    assert texts(model, counting[2], colours[0], uses[2]) == ["D", "B", "A C D"]


def test_majority_of_boxes_is_the_median_of_each_side() -> None:
    boxes = [Box(0.1, 0.2, 0.5, 0.6), Box(0.2, 0.1, 0.9, 0.4), Box(0.4, 0.3, 0.8, 0.5)]
    samples = [
        make_sample(f"b{n}", task="fine_grained_grounding", form=AnswerForm.BOX, options=(), answer="", box=box)
        for n, box in enumerate(boxes)
    ]
    model = MajorityModel(samples)
    assert texts(model, samples[0]) == ["[0.2000, 0.2000, 0.8000, 0.5000]"]
    assert model.box_convention == "0-1"


def test_majority_of_texts_is_the_first_one() -> None:
    samples = [
        make_sample(n, task="detailed_captioning", form=AnswerForm.TEXT, options=(), answer="", references=(text,))
        for n, text in (("t0", "A harbour."), ("t1", "A town."))
    ]
    assert texts(MajorityModel(samples), samples[1]) == ["A harbour."]


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_replies_come_from_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"key": "s1", "reply": "B"}, {"key": "s2", "reply": "long", "ended": False}, "")
    replies = ask(FakeModel(path), make_sample("s1"), make_sample("s2"), make_sample("s3"))
    assert replies == [
        Reply(key="s1", text="B", box_convention="0-1"),
        Reply(key="s2", text="long", ended=False, box_convention="0-1"),
        Unanswered("s3", "r.jsonl has no line for it"),
    ]


def test_a_key_goes_before_the_sample_and_the_sample_before_any(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.jsonl",
        {"key": "*", "reply": "any"},
        {"key": "s1", "reply": "sample"},
        {"key": "s1/1", "reply": "rotation"},
    )
    prompts = tuple(
        Prompt(key=key, sample=make_sample("s1"), text="", max_new_tokens=8) for key in ("s1", "s1/1", "s1/2")
    )
    other = Prompt(key="s2", sample=make_sample("s2"), text="", max_new_tokens=8)
    replies = FakeModel(path).reply([PromptGroup((), (*prompts, other))])
    assert [reply.text for reply in replies if isinstance(reply, Reply)] == ["sample", "rotation", "sample", "any"]


def test_another_file_is_another_model(tmp_path: Path) -> None:
    first = FakeModel(write(tmp_path / "r.jsonl", {"key": "*", "reply": "A"})).describe()
    assert FakeModel(write(tmp_path / "r.jsonl", {"key": "*", "reply": "B"})).describe() != first


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("B", r"r.jsonl, line 2: expected \{\"key\": …, \"reply\": …\}, found 'B'"),
        ({"key": "s"}, "line 2: expected"),
        ({"key": "s", "reply": "A", "replies": "B"}, "line 2: expected"),
        ({"key": "*", "reply": "B"}, r"line 2: the key '\*' stands there twice"),
    ],
)
def test_a_wrong_line_is_named(line: Any, match: str, tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", {"key": "*", "reply": "A"}, line)
    with pytest.raises(ModelError, match=match):
        FakeModel(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read the reply file .*nowhere.jsonl"):
        FakeModel(tmp_path / "nowhere.jsonl")


def test_descriptions_are_json() -> None:
    for model in (RandomModel(3), MajorityModel([make_sample()])):
        assert json.loads(json.dumps(model.describe())) == model.describe()
