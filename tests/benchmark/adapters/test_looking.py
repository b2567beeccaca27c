"""Looking before answering: who sees only details gains, who ignores them does not; boxes stay those of the image."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from rsvqa.annotation.facts import Box
from rsvqa.annotation.images import ImageSize
from rsvqa.annotation.taxonomy import AnswerForm
from rsvqa.benchmark.adapters.looking import LookingModel
from rsvqa.benchmark.errors import ModelError
from rsvqa.benchmark.files.reply_store import read_replies
from rsvqa.benchmark.models import BenchImage, BoxConvention, ModelView, Prompt, PromptGroup, Reply, Unanswered
from rsvqa.benchmark.protocol.boxes import read_box
from rsvqa.benchmark.reports.comparison import compare_runs
from rsvqa.benchmark.reports.writing import write_reports
from rsvqa.benchmark.run.runner import run_benchmark
from rsvqa.benchmark.settings import BenchSettings
from rsvqa.rsvqa_builder.config import load_settings
from rsvqa.rsvqa_builder.scenes.tiling import Window
from tests.benchmark.make_samples import make_sample
from tests.benchmark.make_xlrs import vqa_row, write_jsonl

WIDTH, HEIGHT = 800, 400
SIDE = 100
DARK, MARK = 40, 255
"""Grey of the ground, and of the one small square that an image holds."""
COLOURS = {"A": 0, "B": 1, "C": 2}
"""The band in which the square is bright, by the letter that is right."""


def image_with_mark(x: int, y: int, letter: str, size: int = 3) -> BenchImage:
    """Return an image with a square too small to be told from noise when the whole is reduced to `SIDE`."""
    rgb = np.full((HEIGHT, WIDTH, 3), DARK, np.uint8)
    rgb[y : y + size, x : x + size, COLOURS[letter]] = MARK
    return BenchImage(rgb, b"", f"{x},{y},{letter}")


def letter_seen(rgb: NDArray[np.uint8]) -> str | None:
    """Return the letter of the square that is seen whole, at full contrast."""
    bands = [letter for letter, band in COLOURS.items() if (rgb[..., band] == MARK).sum() == 9]
    return bands[0] if len(bands) == 1 else None


@dataclass(kw_only=True)
class Seer:
    """Answers by what it sees in full detail, else "D"; names the region that `points_at` says, by prompt."""

    points_at: Mapping[str, list[str]] = field(default_factory=dict)
    name: str = "seer"
    box_convention: BoxConvention = "0-1"
    ignores_parts: bool = False
    view_scale: float | None = None
    fails_at: str = ""
    calls: list[PromptGroup] = field(default_factory=list)

    def describe(self) -> Mapping[str, Any]:
        return {"adapter": "seer"}

    def reply(self, groups: Iterable[PromptGroup]) -> Iterator[Reply | Unanswered]:
        for group in groups:
            self.calls.append(group)
            for prompt in group.prompts:
                yield self._answer(group, prompt)

    def _answer(self, group: PromptGroup, prompt: Prompt) -> Reply | Unanswered:
        if prompt.key == self.fails_at:
            return Unanswered(prompt.key, "refused")
        views: tuple[ModelView, ...] = ()
        if self.view_scale is not None:
            views = tuple(
                ModelView(
                    width=round(image.rgb.shape[1] * self.view_scale) + 2,
                    height=round(image.rgb.shape[0] * self.view_scale) + 6,
                    scale_x=self.view_scale,
                    scale_y=self.view_scale,
                    offset_x=2,
                    offset_y=6,
                )
                for image in group.images
            )
        if "Do not answer" in prompt.text:
            text = self.points_at[prompt.key][len(group.images) - 1]
        else:
            seen = [letter_seen(image.rgb) for image in group.images[: 1 if self.ignores_parts else None]]
            text = next((letter for letter in seen if letter), "D")
        return Reply(
            key=prompt.key,
            text=text,
            num_prompt_tokens=100 * len(group.images),
            num_new_tokens=2,
            seconds=0.5,
            views=views,
            box_convention=self.box_convention,
        )


MARKS = {"a": (700, 300, "A"), "b": (20, 10, "B"), "c": (411, 222, "C")}


def prompt(key: str, text: str = "Which?", **changes: Any) -> Prompt:
    values = {"form": AnswerForm.ONE_OF, "question": "Which?", "options": ("(A) r", "(B) g", "(C) b", "(D) none")}
    sample = make_sample(sample_id=key, **{**values, **changes})
    return Prompt(key=key, sample=sample, text=text, max_new_tokens=64)


def groups(**changes: Any) -> list[PromptGroup]:
    return [PromptGroup((image_with_mark(*MARKS[key]),), (prompt(key, **changes),)) for key in MARKS]


def around(key: str, *, by: float = 4.0) -> str:
    """Return the box of a mark in shares of the sides."""
    x, y, _ = MARKS[key]
    box = ((x - by) / WIDTH, (y - by) / HEIGHT, (x + 3 + by) / WIDTH, (y + 3 + by) / HEIGHT)
    return str([round(max(0.0, value), 4) for value in box])


def looking(model: Seer, look: str, **changes: Any) -> LookingModel:
    chosen = {"model": "fake:x", "look": look, "look_side": SIDE, **changes}
    return LookingModel(model, load_settings(BenchSettings, chosen))


def answers(model: LookingModel, asked: list[PromptGroup] | None = None) -> dict[str, Reply]:
    found = {result.key: result for result in model.reply(asked or groups())}
    assert all(isinstance(result, Reply) for result in found.values())
    return found  # type: ignore[return-value]


def texts(found: Mapping[str, Reply]) -> dict[str, str]:
    return {key: found[key].text for key in sorted(found)}


ALL_RIGHT = {key: letter for key, (_, _, letter) in MARKS.items()}
NONE_SEEN = dict.fromkeys(MARKS, "D")
POINTS = {key: [around(key), "ENOUGH"] for key in MARKS}


# --- who gains ---


def test_one_who_sees_only_details_gains_by_a_fovea_alone() -> None:
    assert texts(answers(looking(Seer(), "overview"))) == NONE_SEEN
    assert texts(answers(looking(Seer(), "tiles"))) == NONE_SEEN  # a quarter is reduced four times
    assert texts(answers(looking(Seer(points_at=POINTS), "fovea"))) == ALL_RIGHT
    assert texts(answers(looking(Seer(points_at=POINTS), "zoom"))) == ALL_RIGHT


def test_quarters_show_what_is_twice_as_large() -> None:
    # 400 × 200 px, each quarter at full size
    assert texts(answers(looking(Seer(), "tiles", look_side=400))) == ALL_RIGHT
    assert texts(answers(looking(Seer(), "overview", look_side=400))) == NONE_SEEN


def test_one_who_ignores_parts_does_not_gain() -> None:
    for look in ("overview", "tiles", "fovea", "zoom"):
        assert texts(answers(looking(Seer(points_at=POINTS, ignores_parts=True), look))) == NONE_SEEN


def test_one_who_points_elsewhere_does_not_gain() -> None:
    elsewhere = {"a": [around("b")], "b": [around("c")], "c": [around("a")]}
    assert texts(answers(looking(Seer(points_at=elsewhere), "fovea"))) == NONE_SEEN


def test_one_who_zooms_finds_what_the_second_part_shows_and_stops_when_told_the_same_again() -> None:
    seer = Seer(
        points_at={"a": [around("b"), around("a"), around("a"), "unused"], "b": ["no idea"], "c": [around("c"), "x"]}
    )
    found = answers(looking(seer, "zoom", max_calls=6))
    assert texts(found) == {"a": "A", "b": "D", "c": "C"}
    assert [len(found[key].looks) for key in "abc"] == [4, 2, 3]
    assert [len(look.windows) for look in found["a"].looks] == [0, 1, 2, 2]


def test_calls_are_bounded() -> None:
    seer = Seer(points_at={**POINTS, "a": ["[0, 0, 0.1, 0.1]", "[0.5, 0, 0.6, 0.1]", "[0.2, 0.5, 0.3, 0.6]"]})
    found = answers(looking(seer, "zoom", max_calls=3))
    assert max(len(reply.looks) for reply in found.values()) == 3
    assert found["a"].text == "D"


# --- what is shown ---


def test_the_part_is_at_full_size_with_its_surroundings_and_inside_the_image() -> None:
    seer = Seer(points_at=POINTS)
    found = answers(looking(seer, "fovea"))
    whole, part = seer.calls[3].images
    assert whole.rgb.shape == (50, 100, 3)
    assert part.rgb.shape == (100, 100, 3)
    assert found["a"].looks[0].windows == ()
    # 11 px around (701.5, 301.5), shown with 100
    assert found["a"].looks[1].windows == (Window(652, 252, 100, 100),)
    assert found["b"].looks[1].windows == (Window(0, 0, 100, 100),)
    assert (part.rgb == image_with_mark(*MARKS["a"]).rgb[252:352, 652:752]).all()
    assert part.sha256 != whole.sha256


def test_a_large_region_is_shown_half_as_wide_again_and_reduced() -> None:
    seer = Seer(points_at={"a": ["[0.25, 0.25, 0.75, 0.75]"], "b": ["-"], "c": ["-"]})
    found = answers(looking(seer, "fovea"))
    assert found["a"].looks[1].windows == (Window(100, 50, 600, 300),)
    assert seer.calls[3].images[1].rgb.shape == (50, 100, 3)


def test_a_region_that_cannot_be_read_leaves_the_whole_alone() -> None:
    seer = Seer(points_at={key: ["the top left"] for key in MARKS})
    found = answers(looking(seer, "fovea"))
    assert texts(found) == NONE_SEEN
    assert [[len(group.images) for group in seer.calls]] == [[1] * 6]
    assert seer.calls[3].prompts[0].text == "Which?"


def test_the_questions_of_an_image_name_their_regions_together() -> None:
    image = image_with_mark(*MARKS["a"])
    seer = Seer(points_at={"p": [around("a")], "q": [around("a")], "r": [around("b")]})
    group = PromptGroup((image,), tuple(prompt(key) for key in "pqr"))
    found = answers(looking(seer, "fovea"), [group])
    assert texts(found) == {"p": "A", "q": "A", "r": "D"}
    assert [[one.key for one in call.prompts] for call in seer.calls] == [["p", "q", "r"], ["p", "q"], ["r"]]


def test_two_dates_are_both_shown_and_the_text_says_which_is_which() -> None:
    seer = Seer(points_at={"a": ["-", around("a")]})
    pair = (image_with_mark(5, 5, "B"), image_with_mark(*MARKS["a"]))
    found = answers(looking(seer, "fovea"), [PromptGroup(pair, (prompt("a"),))])
    assert [len(call.images) for call in seer.calls] == [2, 4]
    assert found["a"].text == "A"
    assert seer.calls[1].prompts[0].text == (
        "Pictures 1 and 2 are the whole image at the earlier and at the later date, reduced. Pictures 3 and 4 show its "
        "part from 82 to 94 % of the width and from 63 to 88 % of the height in more detail, at the earlier and at the "
        "later date.\nWhich?"
    )


def test_an_image_that_is_shown_in_full_and_a_caption_are_asked_at_once() -> None:
    small = BenchImage(np.zeros((50, 100, 3), np.uint8), b"small", "small")
    seer = Seer()
    answers(looking(seer, "zoom"), [PromptGroup((small,), (prompt("a"),))])
    assert seer.calls[0].images == (small,)
    answers(looking(seer, "fovea"), groups(form=AnswerForm.TEXT, options=()))
    assert [len(call.images) for call in seer.calls] == [1] * 4


# --- boxes ---


def test_boxes_in_questions_are_those_of_what_is_shown() -> None:
    seer = Seer(points_at=POINTS)
    text = "What is in [400, 200, 480, 240]?"
    answers(looking(seer, "fovea"), [PromptGroup((image_with_mark(*MARKS["a"]),), (prompt("a", text, question=text),))])
    assert "[50, 25, 60, 30]" in seer.calls[0].prompts[0].text
    assert seer.calls[1].prompts[0].text.endswith("What is in [50, 25, 60, 30]?")
    seer = Seer(points_at=POINTS)
    answers(looking(seer, "overview", rewrite_boxes=False), groups(question=text))
    assert seer.calls[0].prompts[0].text == "Which?"


@pytest.mark.parametrize(
    ("convention", "scale", "question", "said"),
    [
        ("0-1", None, "Where?", "[0.5, 0.5, 0.6, 0.6]"),
        ("0-1000", 2.0, "Where?", "[500, 500, 600, 600]"),
        ("pixels", None, "Where?", "[50, 25, 60, 30]"),
        ("view_pixels", 2.0, "Where?", "[102, 56, 122, 66]"),
        ("0-1000", 2.0, "Where, in pixels?", "[50, 25, 60, 30]"),
    ],
)
def test_replied_boxes_are_those_of_the_image(
    convention: BoxConvention, scale: float | None, question: str, said: str
) -> None:
    seer = Seer(box_convention=convention, view_scale=scale, points_at={"a": [said]})
    group = PromptGroup(
        (image_with_mark(*MARKS["a"]),), (prompt("a", form=AnswerForm.BOX, question=question, options=()),)
    )
    reply = answers(looking(seer, "fovea"), [group])["a"]
    size = (HEIGHT, WIDTH)
    view = reply.views[0]
    box = read_box(said, convention=reply.box_convention, size=ImageSize(*size), view=view)
    assert box is not None
    assert tuple(box) == pytest.approx(Box(0.5, 0.5, 0.6, 0.6), abs=1e-9)
    if "in pixels" not in question:  # the region was named in the model's own units
        assert reply.looks[1].windows == (Window(380, 170, 120, 100),)


# --- costs, failures, runs ---


def test_tokens_and_seconds_are_those_of_all_calls() -> None:
    found = answers(looking(Seer(points_at=POINTS), "fovea"))["a"]
    assert (found.num_prompt_tokens, found.num_new_tokens, found.num_visual_tokens) == (300, 4, None)
    assert 1.0 <= found.seconds < 2.0
    assert [(look.num_prompt_tokens, look.text) for look in found.looks] == [(100, around("a")), (200, "A")]
    assert found.sent == found.looks[1].sent


def test_a_refused_call_is_no_reply_and_costs_the_others_nothing() -> None:
    found = {result.key: result for result in looking(Seer(points_at=POINTS, fails_at="b"), "fovea").reply(groups())}
    assert found["b"] == Unanswered("b", "refused")
    assert [found[key].text for key in "ac"] == ["A", "C"]  # type: ignore[union-attr]


def test_without_images_there_is_nothing_to_look_at() -> None:
    with pytest.raises(ModelError, match="shown no image"):
        list(looking(Seer(), "fovea").reply([PromptGroup((), (prompt("a"),))]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "random", "look": "fovea"}, "`look` is for models that see images"),
        ({"model": "blind:x", "look": "overview"}, "`look` is for models that see images"),
        ({"model": "x", "look": "zoom", "max_calls": 1}, "needs 2 calls"),
    ],
)
def test_what_cannot_look_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        BenchSettings(**settings)


def test_settings_of_looking_bear_on_replies_only_where_one_looks() -> None:
    plain = BenchSettings(model="x").bearing_on_replies()
    assert not {"look", "max_calls", "look_side"} & plain.keys()
    fovea = BenchSettings(model="x", look="fovea").bearing_on_replies()
    assert fovea.keys() - plain.keys() == {"look", "look_side"}
    assert BenchSettings(model="x", look="zoom").bearing_on_replies().keys() - plain.keys() == {
        "look",
        "look_side",
        "max_calls",
    }
    assert BenchSettings(model="a/x", look="fovea").run_folder == Path("runs/x-xlrs-lite-fovea")


def test_a_run_stores_every_call_and_reports_what_looking_cost(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "xlrs.jsonl", [vqa_row(number) for number in range(4)])
    settings = BenchSettings(model="fake:x", data=str(data), look="fovea", look_side=32)
    seer = Seer(points_at={str(number): ["[0.1, 0.1, 0.2, 0.2]"] for number in range(4)})
    run = tmp_path / "run"
    run_benchmark(settings, run, open_model=lambda given, _: LookingModel(seer, given))
    [first, *others] = read_replies(run)
    assert len(others) == 3
    assert [(look.text, len(look.windows)) for look in first.looks] == [("[0.1, 0.1, 0.2, 0.2]", 0), ("D", 1)]
    assert json.loads((run / "samples.jsonl").read_text().splitlines()[0])["looks"][0]["windows"] == []
    results = write_reports(run)
    assert results.costs.calls_per_question == 2
    assert results.costs.prompt_tokens_per_question == 300
    comparison = compare_runs(run, run)
    assert "per question A: 2 calls, 300 prompt tokens, 1 s; B: 2 calls, 300 prompt tokens, 1 s" in comparison.notes
    page = (run / "report.html").read_text("utf-8")
    assert "looked at" in page
    assert "calls per question" in page


@pytest.mark.parametrize("region", ["[0, 0, 1, 1]", "[0.01, 0, 1, 0.99]", "[0.5, 0.5, 0.5, 0.5]", "[nan, nan, 1, 1]"])
def test_a_region_that_shows_nothing_new_is_no_part(region: str) -> None:
    found = answers(looking(Seer(points_at={key: [region] for key in MARKS}), "fovea"))
    assert [[len(look.windows) for look in found[key].looks] for key in MARKS] == [[0, 0]] * 3
