"""Prices, and how many tokens things are."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image
from pydantic import BaseModel

from rsvqa.annotation.llm.prices import Patches, PricesError, Tiles, read_prices
from rsvqa.annotation.llm.requests import ChatRequest, Detail, RequestPicture
from rsvqa.annotation.llm.tokens import input_tokens, picture_tokens, text_tokens
from rsvqa.annotation.llm.turns import make_turn

PRICES = read_prices()


def picture(width: int, height: int, detail: Detail = "auto") -> RequestPicture:
    encoded = io.BytesIO()
    Image.new("L", (width, height)).save(encoded, "PNG")
    return RequestPicture(encoded.getvalue(), "image/png", detail)


def test_a_dated_release_costs_what_its_model_costs_and_a_smaller_model_does_not() -> None:
    assert PRICES.find("gpt-4o-2024-08-06") is PRICES.find("gpt-4o")
    assert PRICES.find("gpt-4o-mini") is not PRICES.find("gpt-4o")
    assert PRICES.find("gpt-4o-audio") is None


def test_cost_is_per_million_tokens_and_half_of_it_in_batches() -> None:
    price = PRICES.find("gpt-4o")
    assert price is not None
    # 1,000,000 × 2.50 + 100,000 × 10.00 a million
    assert price.cost(1_000_000, 100_000) == pytest.approx(3.5)
    assert price.cost(1_000_000, 100_000, batch=True) == pytest.approx(1.75)


def test_a_file_adds_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[models."gpt-4o"]\ninput = 1\noutput = 2\n[models."our/qwen"]\ninput = 0\noutput = 0\n')
    prices = read_prices(path)
    assert [prices.models[name].input for name in ("gpt-4o", "our/qwen", "gpt-4.1")] == [1, 0, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models", "not a readable table of prices"),
        ("[models.m]\ninput = -1\noutput = 0", "models.m.input: Input should be greater than or equal to 0"),
        ("[models.m]\ninput = 1", "models.m.output: Field required"),
        ("[model.m]\ninput = 1", "model: Extra inputs are not permitted"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(PricesError, match=message):
        read_prices(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PricesError, match="nowhere"):
        read_prices(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("width", "height", "detail", "tokens"),
    [
        # the two worked examples of https://platform.openai.com/docs/guides/images-vision, for gpt-4o:
        (1024, 1024, "high", 85 + 4 * 170),  # to 768 × 768: 2 × 2 squares
        (2048, 4096, "high", 85 + 6 * 170),  # to 1024 × 2048, then 768 × 1536: 2 × 3 squares
        (4096, 8192, "low", 85),
        (512, 512, "high", 85 + 170),
        (513, 100, "auto", 85 + 2 * 170),
    ],
)
def test_tiles(width: int, height: int, detail: Detail, tokens: int) -> None:
    assert picture_tokens(picture(width, height, detail), Tiles(base=85, tile=170)) == tokens


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 1024),  # 32 × 32 patches
        (33, 32, 2),
        (1800, 2400, 1536),  # 57 × 75 = 4,275 patches are reduced to at most 1,536
    ],
)
def test_patches(width: int, height: int, tokens: int) -> None:
    assert picture_tokens(picture(width, height), Patches(patch=32, most=1536)) == tokens


def test_patches_are_weighted_by_model() -> None:
    assert picture_tokens(picture(32, 32), Patches(patch=32, most=1536, times=1.62)) == 2  # 1.62, rounded up


def test_a_picture_that_cannot_be_read_counts_as_the_dearest() -> None:
    unknown = RequestPicture(b"not an image")
    assert picture_tokens(unknown, Tiles(base=85, tile=170)) == 85 + 8 * 170  # 2048 × 768: 4 × 2 squares
    assert picture_tokens(unknown, Patches(patch=32, most=1536)) == 1536


def test_text() -> None:
    assert [text_tokens(text) for text in ("", "abcd", "abcde", "图中有几艘船", "ab船")] == [0, 1, 2, 6, 2]


class Letter(BaseModel):
    letter: str


def test_a_turn_is_the_sum_of_its_parts() -> None:
    request = ChatRequest(key="k", model="gpt-4o", text="a" * 40, system="b" * 20, pictures=(picture(512, 512),) * 2)
    # 2 pictures of 255, 8 around each of two texts, 10 and 5 tokens of text
    assert input_tokens(make_turn(request), PRICES) == 510 + 16 + 15
    # not in the table: 19 × 19 patches of 28 pixels
    unknown = ChatRequest(key="k", model="our/qwen", text="a" * 40, pictures=(picture(512, 512),))
    assert input_tokens(make_turn(unknown), PRICES) == 361 + 8 + 10


def test_a_schema_is_counted() -> None:
    plain, told = ChatRequest(key="k", model="m", text="a"), ChatRequest(key="k", model="m", text="a", schema=Letter)
    assert input_tokens(make_turn(told), PRICES) > input_tokens(make_turn(plain), PRICES) + 40
