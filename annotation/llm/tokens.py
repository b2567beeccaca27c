"""How many tokens a turn will cost, estimated before it is sent; the bill counts what the endpoint reports."""

from __future__ import annotations

import math

from rsvqa.annotation.images import ImageError, read_header
from rsvqa.annotation.llm.prices import UNKNOWN_PICTURE, Patches, Prices, Tiles
from rsvqa.annotation.llm.requests import RequestPicture
from rsvqa.annotation.llm.structured import in_words
from rsvqa.annotation.llm.turns import Turn

MESSAGE_TOKENS = 8
"""Around each message, an estimate."""

_SQUARE, _LONG_SIDE, _SHORT_SIDE = 512, 2_048, 768
"""Pixels, of the tiling of pictures: https://platform.openai.com/docs/guides/images-vision."""

_UNKNOWN_SIZE = (65_536, 24_576)
"""The size that costs most by either method, assumed for a picture that cannot be read here."""


def input_tokens(turn: Turn, prices: Prices) -> int:
    """Return about how many input tokens a turn has: an estimate for text, by the table of prices for pictures."""
    request = turn.request
    texts = [request.system, request.text, turn.bad_reply, turn.complaint]
    if request.schema is not None:
        texts.append(in_words(request.schema))
    price = prices.find(request.model)
    method = UNKNOWN_PICTURE if price is None else price.picture
    pictures = sum(picture_tokens(picture, method) for picture in request.pictures)
    return pictures + sum(MESSAGE_TOKENS + text_tokens(text) for text in texts if text)


def text_tokens(text: str) -> int:
    """Return about how many tokens a text has.

    An estimate: one token per four ASCII characters, and one per other character.
    """
    num_ascii = len(text.encode("ascii", "ignore"))
    return math.ceil(num_ascii / 4) + len(text) - num_ascii


def picture_tokens(picture: RequestPicture, method: Tiles | Patches) -> int:
    """Return how many tokens a picture costs by a method; the most that one can cost if its header cannot be read."""
    try:
        _, height, width = read_header(picture.data)
    except ImageError:
        width, height = _UNKNOWN_SIZE
    if isinstance(method, Patches):
        return _patch_tokens(width, height, method)
    return method.base if picture.detail == "low" else _tile_tokens(width, height, method)


def _tile_tokens(width: int, height: int, method: Tiles) -> int:
    scale = min(1.0, _LONG_SIDE / max(width, height))
    scale *= min(1.0, _SHORT_SIDE / (min(width, height) * scale))
    squares = math.ceil(width * scale / _SQUARE) * math.ceil(height * scale / _SQUARE)
    return method.base + squares * method.tile


def _patch_tokens(width: int, height: int, method: Patches) -> int:
    patches = math.ceil(width / method.patch) * math.ceil(height / method.patch)
    return math.ceil(min(patches, method.most) * method.times)
