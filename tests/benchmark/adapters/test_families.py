"""Pixel budgets and views of the families, against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from rsvqa.annotation.images import ImageSize
from rsvqa.benchmark.adapters.families import DEFAULT, FAMILIES, family_of
from rsvqa.benchmark.adapters.prompt_rows import EncodedPrompt, PromptEncoder
from rsvqa.benchmark.adapters.transformers_model import open_transformers_model
from rsvqa.benchmark.models import ModelView
from rsvqa.benchmark.settings import BenchSettings
from tests.benchmark.conftest import CheckpointMaker
from tests.benchmark.make_prompts import make_group, make_image

WIDTH, HEIGHT = 96, 64


class Seen:
    """One image of 96 × 64 px as a tiny model of a family takes it."""

    def __init__(self, folder: Any, max_pixels: int | None) -> None:
        from PIL import Image

        settings = BenchSettings(model=str(folder), device="cpu", max_pixels=max_pixels)
        self.model = open_transformers_model(settings)
        self.processor = self.model._checkpoint.processor
        self.config = self.model._checkpoint.model.config
        image = Image.fromarray(make_image(1, width=WIDTH, height=HEIGHT).rgb)
        self.encoded: EncodedPrompt = PromptEncoder(self.processor, [image], self.config.image_token_id).encode("Hi")

    @property
    def view(self) -> ModelView:
        see = family_of(self.config.model_type).see
        assert see is not None
        return see(self.processor, self.encoded.vision, 0, ImageSize(HEIGHT, WIDTH))


def test_an_unknown_type_takes_no_short_cut() -> None:
    assert family_of("a_model_of_next_year") is DEFAULT
    assert not DEFAULT.reuses_prefix
    assert not DEFAULT.batches


def test_siblings_of_a_family_take_its_processors_part_and_no_short_cut() -> None:
    for kind in ("qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "glm4v", "glm4v_moe", "glm46v"):
        family = family_of(kind)
        assert (family.box_convention, family.reuses_prefix, family.batches) == ("0-1000", False, False)
    assert family_of("qwen3_5").set_budget is family_of("qwen3_vl").set_budget
    assert not family_of("glm4v").takes_arrays
    assert not DEFAULT.takes_arrays


def test_who_rewrites_boxes_knows_the_view() -> None:
    assert [name for name, family in FAMILIES.items() if family.rewrites_boxes] == ["qwen2_5_vl"]
    assert all(family.see for family in FAMILIES.values() if family.rewrites_boxes)


@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_area_is_bounded(kind: str, checkpoint: CheckpointMaker) -> None:
    # β = √(96 · 64 / 1024) = 2.449; 64 / β = 26.1 → 24 and 96 / β = 39.2 → 32: multiples of 2 × 4 px
    seen = Seen(checkpoint(kind), 1024)
    assert seen.view == ModelView(width=32, height=24, scale_x=32 / WIDTH, scale_y=24 / HEIGHT)
    assert seen.encoded.vision["pixel_values"].shape[0] == 8 * 6


def test_area_may_be_smaller_than_the_least_that_the_processor_has(checkpoint: CheckpointMaker) -> None:
    # 16 × 16 = 256 is the least of the tiny processors; β = √(6144 / 128) = 6.93; 64 / β = 9.2 → 8, 96 / β = 13.9 → 8
    assert Seen(checkpoint("qwen2_vl"), 128).view == ModelView(width=8, height=8, scale_x=8 / WIDTH, scale_y=8 / HEIGHT)


@pytest.mark.parametrize("kind", ["llava_next", "llava_onevision"])
def test_grids_are_left_out_in_processor_and_model(kind: str, checkpoint: CheckpointMaker) -> None:
    seen = Seen(checkpoint(kind), 28 * 56)
    fitting = {"llava_next": [[28, 56], [56, 28]], "llava_onevision": [[28, 28], [28, 56], [56, 28]]}[kind]
    assert seen.processor.image_processor.image_grid_pinpoints == fitting
    assert seen.config.image_grid_pinpoints == fitting
    assert seen.encoded.vision["pixel_values"].shape[1] == 3  # the whole, and 1 × 2 squares


def test_the_smallest_grid_stays(checkpoint: CheckpointMaker) -> None:
    assert Seen(checkpoint("llava_next"), 1).config.image_grid_pinpoints == [[28, 56]]


@pytest.mark.parametrize("kind", ["llava_next", "llava_onevision", "internvl", "idefics3"])
def test_a_bounded_model_still_replies(kind: str, checkpoint: CheckpointMaker) -> None:
    seen = Seen(checkpoint(kind), 28 * 56)
    (reply,) = seen.model.reply([make_group([make_image(1)], ["Hi"])])
    assert reply.key == "g-0"


def test_longest_edge_is_bounded(checkpoint: CheckpointMaker) -> None:
    # √1600 = 40; 40 × 27 px becomes one row of two squares of 28 px, and the whole
    assert Seen(checkpoint("idefics3"), 1600).processor.image_processor.size["longest_edge"] == 40
    assert Seen(checkpoint("idefics3"), 10).processor.image_processor.size["longest_edge"] == 28
    assert Seen(checkpoint("idefics3"), 10**6).processor.image_processor.size["longest_edge"] == 56


@pytest.mark.parametrize(("max_pixels", "squares"), [(None, 7), (28 * 28 * 4, 5), (1, 1)])
def test_squares_are_bounded(max_pixels: int | None, squares: int, checkpoint: CheckpointMaker) -> None:
    # 3 : 2 is cut 3 × 2; of at most four squares 2 : 1 and 1 : 1 are as near to it, and as the image is large enough,
    # 2 × 2 is taken; the whole is added to more than one
    assert Seen(checkpoint("internvl"), max_pixels).encoded.vision["pixel_values"].shape[0] == squares


def test_cells_are_bounded(checkpoint: CheckpointMaker) -> None:
    # four cells of 28 px; 2 × 2 shows most: 56 × 37.3 → 38 rows of 56, 9 above
    seen = Seen(checkpoint("geollava"), 28 * 28 * 4)
    assert seen.view == ModelView(width=56, height=56, scale_x=56 / WIDTH, scale_y=38 / HEIGHT, offset_x=0, offset_y=9)
    assert seen.encoded.vision["image_grid_thw"].tolist() == [[1, 2, 2]]
